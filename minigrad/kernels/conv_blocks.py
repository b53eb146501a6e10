"""How a convolution reads images block by block, and how blocks of its result are pooled.

A block of the input is copied to scratch memory with zeros around it, or read where it is if it needs none. A block of
the gradient of an image that went through ReLU and max-pooling is made from the pooled gradient: the image-sized
gradient never exists. In the same way `pool_block` pools a block of the result that never leaves the cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.kernels.conv_fields import (
    BAND_ROWS,
    BANDS,
    BANDS_IN_IMAGE,
    BLOCK_SAMPLES,
    CHANNEL_STRIDE,
    COLUMNS,
    COPY_COLUMNS,
    COPY_ROWS,
    DEPTH,
    DEPTH_COPY,
    GROUPS,
    HEADER,
    HEIGHT,
    IMAGE_GROUPS,
    IMAGES,
    IMAGES_IN_BLOCK,
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
    ROWS_IN_BAND,
    SAMPLE_STRIDE,
    SAMPLES,
    TOP,
    WIDTH,
    WINDOW_COLUMNS,
    WINDOW_ROWS,
)
from minigrad.kernels.jit import kernel
from minigrad.kernels.launch import task
from minigrad.kernels.tile import keep_small, never_inline
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

__all__ = ["between", "clear", "copy_block", "expand_block", "expand_pairs", "pool_block", "pool_fours_of_block"]

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
    keep_small()
    whole = n // LANES * LANES
    for i in range(0, whole, LANES):
        store(target, i, load(source, i))
    if n >= LANES:
        store(target, n - LANES, load(source, n - LANES))  # the rest, and some once more
    else:
        for i in range(n):
            target[i] = source[i]


@kernel(internal=True)
def copy_image(x: Pointer, image: Pointer, top: int, target: Pointer) -> None:
    """Copy the rows from `top` on that a block needs out of one image; outside the image is zero.

    The copy is channels-last. In it, a group of channels may be filled up with zeros.
    """
    keep_small()
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
def give_to_winners(
    shares: Pointer, winners: Pointer, position: int, windows: int, groups: int, depth: int, target: Pointer,
    step: int, depth_copy: int,
) -> None:  # fmt: skip
    """Write to one position of some windows side by side the share of the window, or zero where another won it."""
    keep_small()
    here = splat(np.float32(position))
    whole = depth // LANES * LANES
    pixel = groups * depth
    for group in range(groups):
        for c in range(0, whole, LANES):
            at, to = group * depth + c, group * depth_copy + c
            for j in range(windows):
                winner, share = load_bytes(winners, j * pixel + at), load(shares, j * pixel + at)
                store(target, j * step + to, where_equal(winner, here, share, splat(ZERO)))
        for c in range(whole, depth):
            at, to = group * depth + c, group * depth_copy + c
            for j in range(windows):
                if winners[j * pixel + at] == position:
                    target[j * step + to] = shares[j * pixel + at]


@kernel(internal=True)
def give_to_pairs(shares: Pointer, winners: Pointer, position: int, windows: int, pitch: int, target: Pointer) -> None:
    """The same for both columns of windows that are two wide, and whole vectors of channels."""
    keep_small()
    left, right, zero = splat(np.float32(position)), splat(np.float32(position + 1)), splat(ZERO)
    for j in range(windows):
        pixels = pointer_to(target, 2 * j * pitch)
        for c in range(0, pitch, LANES):
            winner, share = load_bytes(winners, j * pitch + c), load(shares, j * pitch + c)
            store(pixels, c, where_equal(winner, left, share, zero))
            store(pixels, pitch + c, where_equal(winner, right, share, zero))


@kernel(internal=True)
def expand_image(g: Pointer, index: Pointer, image: Pointer, top: int, target: Pointer) -> None:
    """Make the rows from `top` on of the gradient of an image out of the gradient of its pooled form.

    Of each window, the number whose position is in `index` gets the g of the window, and the others zero.
    """
    keep_small()
    height, across, left = image[WINDOW_ROWS], image[WINDOW_COLUMNS], image[LEFT]
    columns, groups, depth, depth_copy = image[COPY_COLUMNS], image[IMAGE_GROUPS], image[DEPTH], image[DEPTH_COPY]
    pitch = groups * depth_copy
    windows = image[WIDTH] // across
    clear(target, image[COPY_ROWS] * columns * pitch)
    for i in range(image[COPY_ROWS]):
        row = pointer_to(target, i * columns * pitch)
        h = top + i
        if 0 <= h < image[HEIGHT]:
            shares = pointer_to(g, h // height * image[ROW_STRIDE])
            winners = pointer_to(index, h // height * image[ROW_STRIDE])
            for q in range(across):
                # Column q of window j is column j * across + q - left of the copy.
                j0 = between(0, (left - q + across - 1) // across, windows)
                j1 = between(j0, (columns + left - q + across - 1) // across, windows)
                start = j0 * image[PIXEL_STRIDE]
                give_to_winners(
                    pointer_to(shares, start),
                    pointer_to(winners, start),
                    h % height * across + q,
                    j1 - j0,
                    groups,
                    depth,
                    pointer_to(row, (j0 * across + q - left) * pitch),
                    across * pitch,
                    depth_copy,
                )


@kernel(internal=True)
def expand_pairs_of_image(g: Pointer, index: Pointer, image: Pointer, top: int, target: Pointer) -> None:
    """The same for windows of two columns that all lie in the block, and channels that fill vectors."""
    keep_small()
    height, left, columns, pitch = image[WINDOW_ROWS], image[LEFT], image[COPY_COLUMNS], image[DEPTH_COPY]
    width = image[WIDTH]
    for i in range(image[COPY_ROWS]):
        row = pointer_to(target, i * columns * pitch)
        h = top + i
        if 0 <= h < image[HEIGHT]:
            clear(row, -left * pitch)
            clear(pointer_to(row, (width - left) * pitch), (columns + left - width) * pitch)
            at = h // height * image[ROW_STRIDE]
            shares, winners = pointer_to(g, at), pointer_to(index, at)
            give_to_pairs(shares, winners, h % height * 2, width // 2, pitch, pointer_to(row, -left * pitch))
        else:
            clear(row, columns * pitch)


@task
def copy_block(
    x: Pointer, b: Pointer, target: Pointer, index: Pointer, work: Pointer, image: Pointer, block: int, worker: int
) -> None:
    """Copy a block of x with its padding. What tasks know as plan is here the record of the image."""
    keep_small()
    first = block // image[BANDS_IN_IMAGE] * image[IMAGES_IN_BLOCK]
    top = block % image[BANDS_IN_IMAGE] * image[ROWS_IN_BAND] * image[ROW_STEP] + image[TOP]
    length = image[COPY_ROWS] * image[COPY_COLUMNS] * image[IMAGE_GROUPS] * image[DEPTH_COPY]
    for n in range(between(0, image[IMAGES] - first, image[IMAGES_IN_BLOCK])):
        copy_image(pointer_to(x, (first + n) * image[SAMPLE_STRIDE]), image, top, pointer_to(target, n * length))


@task
def expand_block(
    g: Pointer, b: Pointer, target: Pointer, index: Pointer, work: Pointer, image: Pointer, block: int, worker: int
) -> None:
    """Make a block of the gradient of an image from the gradient of its pooled form."""
    keep_small()
    first = block // image[BANDS_IN_IMAGE] * image[IMAGES_IN_BLOCK]
    top = block % image[BANDS_IN_IMAGE] * image[ROWS_IN_BAND] * image[ROW_STEP] + image[TOP]
    length = image[COPY_ROWS] * image[COPY_COLUMNS] * image[IMAGE_GROUPS] * image[DEPTH_COPY]
    for n in range(between(0, image[IMAGES] - first, image[IMAGES_IN_BLOCK])):
        start = (first + n) * image[SAMPLE_STRIDE]
        expand_image(pointer_to(g, start), pointer_to(index, start), image, top, pointer_to(target, n * length))


@task
def expand_pairs(
    g: Pointer, b: Pointer, target: Pointer, index: Pointer, work: Pointer, image: Pointer, block: int, worker: int
) -> None:
    """The same where windows are pairs of columns; `in_pairs` in `conv_parts.py` says where."""
    keep_small()
    first = block // image[BANDS_IN_IMAGE] * image[IMAGES_IN_BLOCK]
    top = block % image[BANDS_IN_IMAGE] * image[ROWS_IN_BAND] * image[ROW_STEP] + image[TOP]
    length = image[COPY_ROWS] * image[COPY_COLUMNS] * image[IMAGE_GROUPS] * image[DEPTH_COPY]
    for n in range(between(0, image[IMAGES] - first, image[IMAGES_IN_BLOCK])):
        start = (first + n) * image[SAMPLE_STRIDE]
        expand_pairs_of_image(
            pointer_to(g, start), pointer_to(index, start), image, top, pointer_to(target, n * length)
        )


@kernel(internal=True)
def pool_windows(
    y: Pointer, windows: int, height: int, across: int, down: int, pitch: int, channels: int, z: Pointer,
    index: Pointer, out_pitch: int, spare: Pointer,
) -> None:  # fmt: skip
    """Write the largest positive number, and its position, of each channel of some windows side by side."""
    keep_small()
    for j in range(windows):
        for c in range(0, channels, LANES):
            best = splat(ZERO)
            where = splat(NONE)
            for p in range(height):
                for q in range(across):
                    value = load(y, p * down + (j * across + q) * pitch + c)
                    where = where_greater(value, best, splat(np.float32(p * across + q)), where)
                    best = where_greater(value, best, value, best)
            store(spare, 0, best)
            store(spare, LANES, where)
            for k in range(between(0, channels - c, LANES)):
                z[j * out_pitch + c + k] = spare[k]
                index[j * out_pitch + c + k] = np.uint8(spare[LANES + k])


@kernel(internal=True)
def pool_fours(
    y: Pointer, windows: int, down: int, pitch: int, channels: int, z: Pointer, index: Pointer, out_pitch: int
) -> None:
    """The same for windows of 2 by 2 and whole vectors of channels.

    The four steps are written out: loops with two turns take longer than their work.
    """
    keep_small()
    for j in range(windows):
        for c in range(0, channels, LANES):
            upper = pointer_to(y, 2 * j * pitch + c)
            lower = pointer_to(upper, down)
            best = splat(ZERO)
            value = load(upper, 0)
            where = where_greater(value, best, splat(ZERO), splat(NONE))
            best = where_greater(value, best, value, best)
            value = load(upper, pitch)
            where = where_greater(value, best, splat(np.float32(1)), where)
            best = where_greater(value, best, value, best)
            value = load(lower, 0)
            where = where_greater(value, best, splat(np.float32(2)), where)
            best = where_greater(value, best, value, best)
            value = load(lower, pitch)
            where = where_greater(value, best, splat(np.float32(3)), where)
            best = where_greater(value, best, value, best)
            store(z, j * out_pitch + c, best)
            store_bytes(index, j * out_pitch + c, where)


@kernel(internal=True)
def rows_of_windows(plan: Pointer, block: int) -> int:
    """How many rows of windows there are in a block, in one of its images."""
    rows = between(0, plan[HEADER + ROWS] - block % plan[BANDS] * plan[BAND_ROWS], plan[BAND_ROWS])
    return rows // plan[POOL_ROWS]


@task
def pool_block(
    y: Pointer, b: Pointer, z: Pointer, index: Pointer, spare: Pointer, plan: Pointer, block: int, worker: int
) -> None:
    """Write z, the largest positive number in each window of a block of y, and its position in the window to index.

    Where no number is positive, z is 0 and the position is 255.
    """
    keep_small()
    height, across, columns = plan[POOL_ROWS], plan[POOL_COLUMNS], plan[HEADER + COLUMNS]
    groups, outputs, padded = plan[GROUPS], plan[OUTPUTS], plan[PADDED]
    first, band = block // plan[BANDS] * plan[BLOCK_SAMPLES], block % plan[BANDS]
    samples, rows = between(0, plan[SAMPLES] - first, plan[BLOCK_SAMPLES]), rows_of_windows(plan, block)
    pitch, out_pitch = groups * padded, groups * outputs
    whole = outputs // LANES * LANES if height == 2 and across == 2 else 0
    for line in range(samples * rows):
        n, i = line // rows, line % rows
        source = pointer_to(y, (n * plan[BAND_ROWS] + i * height) * columns * pitch)
        out = (first + n) * plan[OUT_SAMPLE] + band * plan[OUT_BAND] + i * plan[POOLED_ROW]
        for group in range(groups):
            channels = pointer_to(source, group * padded)
            numbers, positions = pointer_to(z, out + group * outputs), pointer_to(index, out + group * outputs)
            pool_fours(channels, columns // 2, columns * pitch, pitch, whole, numbers, positions, out_pitch)
            pool_windows(
                pointer_to(channels, whole),
                columns // across,
                height,
                across,
                columns * pitch,
                pitch,
                outputs - whole,
                pointer_to(numbers, whole),
                pointer_to(positions, whole),
                out_pitch,
                spare,
            )


@task
def pool_fours_of_block(
    y: Pointer, b: Pointer, z: Pointer, index: Pointer, spare: Pointer, plan: Pointer, block: int, worker: int
) -> None:
    """The same for windows of 2 by 2, one group, and whole vectors of channels."""
    keep_small()
    columns, outputs = plan[HEADER + COLUMNS], plan[OUTPUTS]
    first, band = block // plan[BANDS] * plan[BLOCK_SAMPLES], block % plan[BANDS]
    samples, rows = between(0, plan[SAMPLES] - first, plan[BLOCK_SAMPLES]), rows_of_windows(plan, block)
    for line in range(samples * rows):
        n, i = line // rows, line % rows
        source = pointer_to(y, (n * plan[BAND_ROWS] + 2 * i) * columns * outputs)
        out = (first + n) * plan[OUT_SAMPLE] + band * plan[OUT_BAND] + i * plan[POOLED_ROW]
        numbers, positions = pointer_to(z, out), pointer_to(index, out)
        pool_fours(source, columns // 2, columns * outputs, outputs, outputs, numbers, positions, outputs)
