"""Convolution with explicit vectors: the forward pass, the gradient of the input, the gradient of the weights.

The formulas are those of `plain.py`, in the form of `conv_plan.py`,

    y[to[p] + o]  = bias[o] + sum over k of  x[at[p] + tap[k]] * w[k, o]
    gw[k, o]      =           sum over p of  x[at[p] + tap[k]] * g[to[p] + o]

Both are matrix products whose left factor is read through two tables. Their inner loops are the outer products of
`tile.py`. On a machine with 32 vector registers a tile is 6 pixels (or taps) by 4 vectors of channels: 24 sums, for
which each step loads 4 vectors and 6 single numbers, so the arithmetic sets the pace and not the loading. With 16
registers it is 6 by 2. What is left of the channels goes through tiles of 6 by 2 and 8 by 1, and the nine taps of a 3x3
kernel on one channel through tiles of 9 rows. Weights are packed with zeros up to a full vector, and only the channels
that exist are stored.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.kernels.conv_blocks import between, clear, copy_block, expand_block, pool_block
from minigrad.kernels.conv_plan import (
    AT,
    BAND_ROWS,
    BANDS,
    BANDS_IN_IMAGE,
    BLOCK_SAMPLES,
    BLOCKS,
    COLUMNS,
    DIRECT,
    G_SCRATCH,
    G_SOURCE,
    GROUP_STEP,
    GROUP_STRIDE,
    GROUPS,
    HAS_BIAS,
    HEADER,
    IMAGES_IN_BLOCK,
    LEFT,
    MAKER,
    OUT_BAND,
    OUT_SAMPLE,
    OUTPUT_STRIDE,
    OUTPUTS,
    PACKED,
    PADDED,
    PARTIAL_LENGTH,
    PARTIALS,
    PHASES,
    PIXEL_STRIDE,
    POOL,
    POOL_ROWS,
    RANGES,
    RECORD,
    ROW_STEP,
    ROW_STRIDE,
    ROWS,
    ROWS_IN_BAND,
    SAMPLE_STRIDE,
    SAMPLES,
    SCRATCH,
    SCRATCH_LENGTH,
    SOURCE,
    SPARE,
    STORED,
    TAP,
    TAP_SLACK,
    TAPS,
    TASKS,
    TO,
    TOP,
    WEIGHT,
    Y_SCRATCH,
)
from minigrad.kernels.jit import kernel
from minigrad.kernels.launch import call, run, task
from minigrad.kernels.tile import (
    Shape,
    height,
    keep_small,
    load_tile,
    never_inline,
    outer,
    plus,
    rows_of,
    store_rows,
    store_tile,
    width,
    zeros,
)
from minigrad.kernels.vec import LANES, REGISTERS, add, load, pointer_to, splat, store

__all__ = [
    "LANES",
    "REGISTERS",
    "add_partials",
    "copy_block",
    "expand_block",
    "gather",
    "pack_weights",
    "pool_block",
    "run",
    "weight_partials",
]

Pointer = Any
ZERO = np.float32(0)
# The shapes of tiles for four, two and one vectors of channels.
FOUR = Shape(6, 4)
TWO = Shape(6, 2)
ONE = Shape(8, 1)
# For the weight gradient of a 3x3 kernel on one channel, of which tiles with six rows would waste a quarter.
NINE_TWO = Shape(9, 2)
NINE_ONE = Shape(9, 1)
# A number of taps that tiles of each shape fill without a rest.
STEP = 24


@kernel(internal=True)
def read_block(x: Pointer, index: Pointer, image: Pointer, block: int, scratch: Pointer) -> Pointer:
    """The block of an image with its padding: where it is, or made in scratch memory."""
    keep_small()
    if image[DIRECT]:
        first = block // image[BANDS_IN_IMAGE] * image[IMAGES_IN_BLOCK]
        top = block % image[BANDS_IN_IMAGE] * image[ROWS_IN_BAND] * image[ROW_STEP] + image[TOP]
        start = first * image[SAMPLE_STRIDE] + top * image[ROW_STRIDE] + image[LEFT] * image[PIXEL_STRIDE]
        return pointer_to(x, start)
    call(image[MAKER], x, x, scratch, index, scratch, image, block, 0)
    return scratch


@kernel(internal=True)
def pixels_in_block(plan: Pointer, phase: Pointer, block: int) -> int:
    """How many pixels of a phase there are in a block: the last block of an image or of a batch has fewer."""
    samples = between(0, plan[SAMPLES] - block // plan[BANDS] * plan[BLOCK_SAMPLES], plan[BLOCK_SAMPLES])
    rows = between(0, phase[ROWS] - block % plan[BANDS] * plan[BAND_ROWS], plan[BAND_ROWS])
    return samples * rows * phase[COLUMNS]


@kernel(internal=True)
def slice_width(channels: int) -> int:
    """How many channels the next slice takes: four vectors, two or one."""
    if REGISTERS > 16 and channels > 3 * LANES:
        return 4 * LANES
    return 2 * LANES if channels > LANES else LANES


@kernel(internal=True)
def is_nine(taps: int) -> bool:
    """Whether the weight gradient is made of tiles with nine rows; they want registers."""
    return REGISTERS > 16 and 6 < taps <= 9


@kernel(internal=True)
def sums_width(channels: int, taps: int) -> int:
    """The same for the weight gradient."""
    return slice_width(between(0, channels, 2 * LANES) if is_nine(taps) else channels)


@task
def pack_weights(
    w: Pointer, bias: Pointer, c: Pointer, index: Pointer, work: Pointer, plan: Pointer, number: int, worker: int
) -> None:
    """Bring the weights into the order in which tiles read them: slices, then taps, then the channels of a slice.

    The bias is one more row after the last tap. Each task takes a share of the taps.
    """
    keep_small()
    outputs = plan[OUTPUTS]
    for f in range(plan[PHASES]):
        phase = pointer_to(plan, HEADER + f * RECORD)
        taps = phase[TAPS]
        weight = pointer_to(plan, phase[WEIGHT])
        for group in range(plan[GROUPS]):
            source = pointer_to(w, group * plan[GROUP_STRIDE])
            first = 0
            while first < outputs:
                wide = slice_width(outputs - first)
                here = between(0, outputs - first, wide)
                packed = pointer_to(work, phase[PACKED] + (group * plan[PADDED] + first) * (taps + 1))
                for k in range((taps + 1) * number // plan[TASKS], (taps + 1) * (number + 1) // plan[TASKS]):
                    row = pointer_to(packed, k * wide)
                    clear(row, wide)
                    if k < taps:
                        for o in range(here):
                            row[o] = source[weight[k] + (first + o) * plan[OUTPUT_STRIDE]]
                    elif plan[HAS_BIAS]:
                        for o in range(here):
                            row[o] = bias[group * outputs + first + o]
                first += wide


@kernel(internal=True)
def store_some(tile: Pointer, pitch: int, y: Pointer, to: Pointer, begin: int, end: int, outputs: int) -> None:
    """Write the first `outputs` channels of the rows of a tile, those that exist, for the pixels begin <= p < end."""
    keep_small()
    never_inline()
    for p in range(begin, end):
        row = pointer_to(tile, (p - begin) * pitch)
        pixel = pointer_to(y, to[p])
        for o in range(outputs):
            pixel[o] = row[o]


@kernel(internal=True)
def gather_slice(
    shape: Any, x: Pointer, at: Pointer, tap: Pointer, taps: int, w: Pointer, y: Pointer, to: Pointer, pixels: int,
    outputs: int, spare: Pointer,
) -> None:  # fmt: skip
    """y for the pixels of a block and one slice of channels. Past the last pixel, a tile repeats it."""
    never_inline()
    pitch = width(shape)
    for p in range(0, pixels, height(shape)):
        rows = rows_of(shape, x, at, p, pixels - 1)
        s = zeros(shape)
        for k in range(taps):
            s = outer(s, rows, tap[k], w, k * pitch)
        s = plus(s, w, taps * pitch)
        if outputs >= pitch:
            store_rows(s, y, to, p, pixels - 1)
        else:
            store_tile(s, spare)
            store_some(spare, pitch, y, to, p, between(p, p + height(shape), pixels), outputs)


@task
def gather(
    x: Pointer, b: Pointer, y: Pointer, index: Pointer, work: Pointer, plan: Pointer, number: int, worker: int
) -> None:
    """Fill this task's share of the blocks of y; the weights have been packed into `work`.

    With pooling, blocks of y are scratch memory, and what is filled is their pooled form and its index.
    """
    keep_small()
    scratch = pointer_to(work, plan[SCRATCH] + worker * plan[SCRATCH_LENGTH])
    spare = pointer_to(scratch, plan[SCRATCH_LENGTH] - SPARE * LANES)
    blocks, tasks, outputs = plan[BLOCKS], plan[TASKS], plan[STORED]
    for block in range(blocks * number // tasks, blocks * (number + 1) // tasks):
        source = read_block(x, index, pointer_to(plan, SOURCE), block, scratch)
        if plan[POOL_ROWS]:
            target = pointer_to(scratch, plan[Y_SCRATCH])
        else:
            sample, band = block // plan[BANDS] * plan[BLOCK_SAMPLES], block % plan[BANDS]
            target = pointer_to(y, sample * plan[OUT_SAMPLE] + band * plan[OUT_BAND])
        for f in range(plan[PHASES]):
            phase = pointer_to(plan, HEADER + f * RECORD)
            pixels = pixels_in_block(plan, phase, block)
            taps = phase[TAPS]
            at, to, tap = pointer_to(plan, phase[AT]), pointer_to(plan, phase[TO]), pointer_to(plan, phase[TAP])
            for group in range(plan[GROUPS]):
                inputs = pointer_to(source, group * plan[SOURCE + GROUP_STEP])
                first = 0
                while first < outputs:
                    left = outputs - first
                    wide = slice_width(left)
                    w = pointer_to(work, phase[PACKED] + (group * plan[PADDED] + first) * (taps + 1))
                    channels = pointer_to(target, group * outputs + first)
                    if wide == 4 * LANES:
                        gather_slice(FOUR, inputs, at, tap, taps, w, channels, to, pixels, left, spare)
                    elif wide == 2 * LANES:
                        gather_slice(TWO, inputs, at, tap, taps, w, channels, to, pixels, left, spare)
                    else:
                        gather_slice(ONE, inputs, at, tap, taps, w, channels, to, pixels, left, spare)
                    first += wide
        if plan[POOL_ROWS]:
            call(plan[POOL], target, target, y, index, spare, plan, block, 0)


@kernel(internal=True)
def sum_slice(
    shape: Any, x: Pointer, at: Pointer, pixels: int, g: Pointer, to: Pointer, tap: Pointer, begin: int, end: int,
    sums: Pointer,
) -> None:  # fmt: skip
    """sums[k, o] += x * g over the pixels of a block, for the taps begin <= k < end and one slice of channels."""
    keep_small()  # unrolled, nine rows would not fit into the registers
    never_inline()
    for k in range(begin, end, height(shape)):
        rows = rows_of(shape, x, tap, k, end - 1)
        s = load_tile(shape, pointer_to(sums, k * width(shape)))
        for p in range(pixels):
            s = outer(s, rows, at[p], g, to[p])
        store_tile(s, pointer_to(sums, k * width(shape)))


@kernel(internal=True)
def sum_ones(pixels: int, g: Pointer, to: Pointer, sums: Pointer, outputs: int) -> None:
    """sums[o] += g over the pixels of a block: the gradient of the bias, whose x is one everywhere."""
    keep_small()
    never_inline()
    fours = pixels // 4 * 4
    for i in range(0, outputs, LANES):
        a0 = load(sums, i)
        # Four sums side by side, because an addition takes some cycles before the next can use its result.
        a1 = splat(ZERO)
        a2 = splat(ZERO)
        a3 = splat(ZERO)
        for p in range(0, fours, 4):
            a0 = add(a0, load(g, to[p] + i))
            a1 = add(a1, load(g, to[p + 1] + i))
            a2 = add(a2, load(g, to[p + 2] + i))
            a3 = add(a3, load(g, to[p + 3] + i))
        for p in range(fours, pixels):
            a0 = add(a0, load(g, to[p] + i))
        store(sums, i, add(add(a0, a1), add(a2, a3)))


@task
def weight_partials(
    x: Pointer, g: Pointer, c: Pointer, index: Pointer, work: Pointer, plan: Pointer, number: int, worker: int
) -> None:
    """Sum x * g over a part of the blocks, for a part of the taps."""
    keep_small()
    scratch = pointer_to(work, plan[SCRATCH] + worker * plan[SCRATCH_LENGTH])
    phase = pointer_to(plan, HEADER)
    at, to, tap = pointer_to(plan, phase[AT]), pointer_to(plan, phase[TO]), pointer_to(plan, phase[TAP])
    taps, blocks, partials, ranges = phase[TAPS], plan[BLOCKS], plan[PARTIALS], plan[RANGES]
    units, outputs = partials * ranges, plan[OUTPUTS]
    for unit in range(units * number // plan[TASKS], units * (number + 1) // plan[TASKS]):
        partial, part = unit // ranges, unit % ranges
        begin, end = taps * part // ranges // STEP * STEP, taps * (part + 1) // ranges // STEP * STEP
        last = part == ranges - 1
        if last:
            end = taps
        for block in range(blocks * partial // partials, blocks * (partial + 1) // partials):
            source = read_block(x, index, pointer_to(plan, SOURCE), block, scratch)
            grads = read_block(g, index, pointer_to(plan, G_SOURCE), block, pointer_to(scratch, plan[G_SCRATCH]))
            pixels = pixels_in_block(plan, phase, block)
            for group in range(plan[GROUPS]):
                inputs = pointer_to(source, group * plan[SOURCE + GROUP_STEP])
                first = 0
                while first < outputs:
                    left = outputs - first
                    wide = sums_width(left, taps)
                    channels = pointer_to(grads, group * plan[G_SOURCE + GROUP_STEP] + first)
                    place = (group * plan[PADDED] + first) * (taps + TAP_SLACK + 1)
                    sums = pointer_to(work, partial * plan[PARTIAL_LENGTH] + place)
                    if block == blocks * partial // partials:
                        clear(pointer_to(sums, begin * wide), (end - begin) * wide)
                        if last:
                            clear(pointer_to(sums, end * wide), (TAP_SLACK + 1) * wide)
                    if is_nine(taps) and wide == 2 * LANES:
                        sum_slice(NINE_TWO, inputs, at, pixels, channels, to, tap, begin, end, sums)
                    elif is_nine(taps):
                        sum_slice(NINE_ONE, inputs, at, pixels, channels, to, tap, begin, end, sums)
                    elif wide == 4 * LANES:
                        sum_slice(FOUR, inputs, at, pixels, channels, to, tap, begin, end, sums)
                    elif wide == 2 * LANES:
                        sum_slice(TWO, inputs, at, pixels, channels, to, tap, begin, end, sums)
                    else:
                        sum_slice(ONE, inputs, at, pixels, channels, to, tap, begin, end, sums)
                    if last and plan[HAS_BIAS]:
                        sum_ones(
                            pixels, channels, to, pointer_to(sums, (taps + TAP_SLACK) * wide), between(0, left, wide)
                        )
                    first += wide


@task
def add_partials(
    a: Pointer, b: Pointer, gw: Pointer, index: Pointer, work: Pointer, plan: Pointer, number: int, worker: int
) -> None:
    """Add the partial sums, in order; gw is as w in C order, with gb after it. Each task takes a share of the taps."""
    keep_small()
    phase = pointer_to(plan, HEADER)
    taps, length, outputs, partials = phase[TAPS], plan[PARTIAL_LENGTH], plan[OUTPUTS], plan[PARTIALS]
    weight = pointer_to(plan, phase[WEIGHT])
    gb = pointer_to(gw, plan[GROUPS] * plan[GROUP_STRIDE])
    rows = taps + plan[HAS_BIAS]
    for group in range(plan[GROUPS]):
        target = pointer_to(gw, group * plan[GROUP_STRIDE])
        first = 0
        while first < outputs:
            wide = sums_width(outputs - first, taps)
            here = between(0, outputs - first, wide)
            sums = pointer_to(work, (group * plan[PADDED] + first) * (taps + TAP_SLACK + 1))
            for k in range(rows * number // plan[TASKS], rows * (number + 1) // plan[TASKS]):
                row = pointer_to(sums, (k if k < taps else k + TAP_SLACK) * wide)
                for i in range(0, here, LANES):
                    s = load(row, i)
                    for partial in range(1, partials):
                        s = add(s, load(row, partial * length + i))
                    store(row, i, s)
                if k < taps:
                    for o in range(here):
                        target[weight[k] + (first + o) * plan[OUTPUT_STRIDE]] = row[o]
                else:
                    for o in range(here):
                        gb[group * outputs + first + o] = row[o]
            first += wide
