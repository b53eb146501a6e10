"""How a convolution reads images block by block, and how blocks of its result are pooled.

A block of the input is copied to scratch memory with zeros around it, or read where it is if it needs none. A block of
the gradient of an image that went through ReLU and max-pooling is made from the pooled gradient: the image-sized
gradient never exists. In the same way `pool_block` pools a block of the result that never leaves the cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.kernels.conv_plan import (
    BAND_ROWS,
    BANDS,
    BLOCK_SAMPLES,
    CHANNEL_STRIDE,
    COLUMNS,
    COPY_COLUMNS,
    COPY_ROWS,
    DEPTH,
    DEPTH_COPY,
    DIRECT,
    GROUPS,
    HEADER,
    HEIGHT,
    IMAGE_GROUPS,
    LEFT,
    OUT_BAND,
    OUT_SAMPLE,
    OUTPUTS,
    PADDED,
    PIXEL_STRIDE,
    POOL_COLUMNS,
    POOL_ROWS,
    POOLED_ROW,
    ROW_STEP,
    ROW_STRIDE,
    ROWS,
    SAMPLE_STRIDE,
    SAMPLES,
    TOP,
    WIDTH,
    WINDOW_COLUMNS,
    WINDOW_ROWS,
)
from minigrad.kernels.jit import kernel
from minigrad.kernels.tile import never_inline
from minigrad.kernels.vec import (
    LANES,
    load,
    load_bytes,
    pointer_to,
    splat,
    store,
    store_bytes,
    where_equal,
    where_greater,
)

__all__ = ["between", "clear", "pixels_in_block", "pool_block", "read_block"]

Pointer = Any
ZERO = np.float32(0)
NONE = np.float32(255)


@kernel(internal=True)
def between(low: int, i: int, high: int) -> int:
    """i, but not less than low and not more than high. (Numba's min and max each take a while to compile.)"""
    if i > high:
        i = high
    return low if i < low else i


@kernel(internal=True)
def clear(p: Pointer, n: int) -> None:
    """p[0], ..., p[n - 1] = 0"""
    never_inline()
    for i in range(n):
        p[i] = 0


@kernel(internal=True)
def copy(source: Pointer, target: Pointer, n: int) -> None:
    """target[i] = source[i] for n numbers"""
    whole = n // LANES * LANES
    for i in range(0, whole, LANES):
        store(target, i, load(source, i))
    for i in range(whole, n):
        target[i] = source[i]


@kernel(internal=True)
def copy_image(x: Pointer, image: Pointer, top: int, target: Pointer) -> None:
    """Copy the rows from `top` on that a block needs out of one image; outside the image is zero.

    The copy is channels-last. In it, a group of channels may be filled up with zeros.
    """
    never_inline()
    channel_stride, pixel_stride, left = image[CHANNEL_STRIDE], image[PIXEL_STRIDE], image[LEFT]
    columns, groups, depth, depth_copy = image[COPY_COLUMNS], image[IMAGE_GROUPS], image[DEPTH], image[DEPTH_COPY]
    pitch = groups * depth_copy
    first = between(0, -left, columns)
    last = between(first, image[WIDTH] - left, columns)
    solid = pixel_stride == pitch and depth == depth_copy and (channel_stride == 1 or pitch == 1)
    for i in range(image[COPY_ROWS]):
        row = pointer_to(target, i * columns * pitch)
        h = top + i
        if h < 0 or h >= image[HEIGHT]:
            clear(row, columns * pitch)
        else:
            clear(row, first * pitch)
            clear(pointer_to(row, last * pitch), (columns - last) * pitch)
            source = pointer_to(x, h * image[ROW_STRIDE] + (left + first) * pixel_stride)
            inner = pointer_to(row, first * pitch)
            if solid:
                copy(source, inner, (last - first) * pitch)
            else:
                for j in range((last - first) * groups):
                    pixel = pointer_to(inner, j * depth_copy)
                    start = j // groups * pixel_stride + j % groups * depth * channel_stride
                    for c in range(depth):
                        pixel[c] = source[start + c * channel_stride]
                    clear(pointer_to(pixel, depth), depth_copy - depth)


@kernel(internal=True)
def expand_image(g: Pointer, index: Pointer, image: Pointer, top: int, target: Pointer) -> None:
    """Make the rows from `top` on of the gradient of an image out of the gradient of its pooled form.

    Of each window, the number whose position is in `index` gets the g of the window, and the others zero.
    """
    never_inline()
    height, across, left = image[WINDOW_ROWS], image[WINDOW_COLUMNS], image[LEFT]
    columns, groups, depth, depth_copy = image[COPY_COLUMNS], image[IMAGE_GROUPS], image[DEPTH], image[DEPTH_COPY]
    pitch = groups * depth_copy
    whole = depth // LANES * LANES
    for i in range(image[COPY_ROWS]):
        row = pointer_to(target, i * columns * pitch)
        clear(row, columns * pitch)
        h = top + i
        if 0 <= h < image[HEIGHT]:
            p = h % height
            shares = pointer_to(g, h // height * image[ROW_STRIDE])
            winners = pointer_to(index, h // height * image[ROW_STRIDE])
            for j in range(image[WIDTH] // across):
                start = j * across - left
                q0, q1 = between(0, -start, across), between(0, columns - start, across)
                for group in range(groups):
                    at = j * image[PIXEL_STRIDE] + group * depth
                    to = start * pitch + group * depth_copy
                    for c in range(0, whole, LANES):
                        share, winner = load(shares, at + c), load_bytes(winners, at + c)
                        for q in range(q0, q1):
                            position = splat(np.float32(p * across + q))
                            store(row, to + q * pitch + c, where_equal(winner, position, share, splat(ZERO)))
                    for c in range(whole, depth):
                        q = np.int64(winners[at + c]) - p * across
                        if q0 <= q < q1:
                            row[to + q * pitch + c] = shares[at + c]


@kernel(internal=True)
def read_block(x: Pointer, index: Pointer, plan: Pointer, image: Pointer, block: int, scratch: Pointer) -> Pointer:
    """The block of x with its padding: where it is, or a copy in scratch."""
    first = block // plan[BANDS] * plan[BLOCK_SAMPLES]
    top = block % plan[BANDS] * plan[BAND_ROWS] * image[ROW_STEP] + image[TOP]
    start = pointer_to(x, first * image[SAMPLE_STRIDE])
    if image[DIRECT]:
        return pointer_to(start, top * image[ROW_STRIDE] + image[LEFT] * image[PIXEL_STRIDE])
    length = image[COPY_ROWS] * image[COPY_COLUMNS] * image[IMAGE_GROUPS] * image[DEPTH_COPY]
    for n in range(between(0, plan[SAMPLES] - first, plan[BLOCK_SAMPLES])):
        target = pointer_to(scratch, n * length)
        if image[WINDOW_ROWS]:
            winners = pointer_to(index, (first + n) * image[SAMPLE_STRIDE])
            expand_image(pointer_to(start, n * image[SAMPLE_STRIDE]), winners, image, top, target)
        else:
            copy_image(pointer_to(start, n * image[SAMPLE_STRIDE]), image, top, target)
    return scratch


@kernel(internal=True)
def pixels_in_block(plan: Pointer, phase: Pointer, block: int) -> int:
    """How many pixels of a phase there are in a block: the last block of an image or of a batch has fewer."""
    samples = between(0, plan[SAMPLES] - block // plan[BANDS] * plan[BLOCK_SAMPLES], plan[BLOCK_SAMPLES])
    rows = between(0, phase[ROWS] - block % plan[BANDS] * plan[BAND_ROWS], plan[BAND_ROWS])
    return samples * rows * phase[COLUMNS]


@kernel(internal=True)
def pool_block(y: Pointer, z: Pointer, index: Pointer, plan: Pointer, block: int, spare: Pointer) -> None:
    """Write z, the largest positive number in each window of a block of y, and its position in the window to index.

    Where no number is positive, z is 0 and the position is 255.
    """
    never_inline()
    height, across, columns = plan[POOL_ROWS], plan[POOL_COLUMNS], plan[HEADER + COLUMNS]
    groups, outputs, padded, band_rows = plan[GROUPS], plan[OUTPUTS], plan[PADDED], plan[BAND_ROWS]
    first = block // plan[BANDS] * plan[BLOCK_SAMPLES]
    band = block % plan[BANDS]
    samples = between(0, plan[SAMPLES] - first, plan[BLOCK_SAMPLES])
    rows = between(0, plan[HEADER + ROWS] - band * band_rows, band_rows) // height
    pitch = groups * padded
    for line in range(samples * rows):
        n, i = line // rows, line % rows
        source = pointer_to(y, (n * band_rows + i * height) * columns * pitch)
        out = (first + n) * plan[OUT_SAMPLE] + band * plan[OUT_BAND] + i * plan[POOLED_ROW]
        for j in range(columns // across):
            for group in range(groups):
                to = out + (j * groups + group) * outputs
                for c in range(0, outputs, LANES):
                    best, where = splat(ZERO), splat(NONE)
                    for p in range(height):
                        for q in range(across):
                            at = (p * columns + j * across + q) * pitch + group * padded + c
                            value = load(source, at)
                            where = where_greater(value, best, splat(np.float32(p * across + q)), where)
                            best = where_greater(value, best, value, best)
                    if c + LANES <= outputs:
                        store(z, to + c, best)
                        store_bytes(index, to + c, where)
                    else:
                        store(spare, 0, best)
                        store(spare, LANES, where)
                        for k in range(outputs - c):
                            z[to + c + k] = spare[k]
                            index[to + c + k] = np.uint8(spare[LANES + k])
