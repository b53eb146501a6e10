"""Convolution with explicit vectors: the forward pass, the gradient of the input, the gradient of the weights.

The formulas are those of `plain.py`, in the form of `conv_plan.py`,

    y[to[p] + o]  = bias[o] + sum over k of  x[at[p] + tap[k]] * w[k, o]
    gw[k, o]      =           sum over p of  x[at[p] + tap[k]] * g[to[p] + o]

Both are matrix products whose left factor is read through two tables. What makes them fast is the *tile*: a block of
sums, 6 pixels (or taps) by 2 vectors of output channels, that stays in registers while the loop over the sum
runs. For one step it loads 2 vectors and 6 single numbers and does 12 multiply-adds, so the arithmetic, not the
loading, sets the pace; 12 sums in flight also cover the four cycles that a multiply-add takes. A tile needs
15 of the 16 vector registers of a processor with AVX2.

Channels that do not fill two vectors take a tile of 8 by 1; the weights are packed with zeros up to the full vector, and
only the channels that exist are stored.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.kernels.conv_plan import (
    AT,
    BAND_ROWS,
    BANDS,
    BLOCK_SAMPLES,
    BLOCKS,
    CHANNEL_STRIDE,
    CHANNELS,
    COLUMNS,
    COPY_COLUMNS,
    COPY_ROWS,
    DIRECT,
    G_CHANNEL_STRIDE,
    G_DIRECT,
    G_GROUP,
    G_PIXEL_STRIDE,
    G_ROW_STRIDE,
    G_SCRATCH,
    GROUP_STRIDE,
    GROUPS,
    HAS_BIAS,
    HEADER,
    HEIGHT,
    IN_GROUP,
    LEFT,
    OUT_BAND,
    OUT_SAMPLE,
    OUTPUT_STRIDE,
    OUTPUTS,
    PACKED,
    PARTIAL_LENGTH,
    PARTIALS,
    PHASES,
    PIXEL_STRIDE,
    RANGES,
    RECORD,
    ROW_SPAN,
    ROW_STEP,
    ROW_STRIDE,
    ROWS,
    SAMPLE_STRIDE,
    SAMPLES,
    SCRATCH,
    SCRATCH_LENGTH,
    SLICES,
    TAP,
    TAP_SLACK,
    TAPS,
    TASKS,
    TO,
    TOP,
    WEIGHT,
    WIDTH,
)
from minigrad.kernels.jit import kernel
from minigrad.kernels.launch import run, task
from minigrad.kernels.vec import LANES, add, fma, load, pointer_to, splat, store

__all__ = ["LANES", "add_partials", "gather", "pack_weights", "run", "weight_partials"]

Pointer = Any
WIDE = 2 * LANES
ZERO = np.float32(0)


@kernel(internal=True)
def clear(p: Pointer, n: int) -> None:
    """p[0], ..., p[n - 1] = 0"""
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
def copy_image(
    x: Pointer,
    channel_stride: int,
    row_stride: int,
    pixel_stride: int,
    height: int,
    width: int,
    groups: int,
    channels: int,
    top: int,
    left: int,
    target: Pointer,
    rows: int,
    columns: int,
    group_pitch: int,
) -> None:
    """Copy the window of `rows` by `columns` at (top, left) out of an image; outside the image is zero.

    The copy is channels-last, and a group of channels takes `group_pitch` numbers in it, those past `channels` zero.
    """
    pitch = groups * group_pitch
    first = min(max(-left, 0), columns)
    last = max(min(width - left, columns), first)
    solid = pixel_stride == pitch and group_pitch == channels and (channel_stride == 1 or pitch == 1)
    for i in range(rows):
        row = pointer_to(target, i * columns * pitch)
        h = top + i
        if h < 0 or h >= height:
            clear(row, columns * pitch)
            continue
        clear(row, first * pitch)
        clear(pointer_to(row, last * pitch), (columns - last) * pitch)
        start = h * row_stride + (left + first) * pixel_stride
        if solid:
            copy(pointer_to(x, start), pointer_to(row, first * pitch), (last - first) * pitch)
            continue
        for j in range(last - first):
            for group in range(groups):
                pixel = pointer_to(row, (first + j) * pitch + group * group_pitch)
                source = pointer_to(x, start + j * pixel_stride + group * channels * channel_stride)
                for c in range(channels):
                    pixel[c] = source[c * channel_stride]
                clear(pointer_to(pixel, channels), group_pitch - channels)


@kernel(internal=True)
def read_block(x: Pointer, plan: Pointer, block: int, scratch: Pointer) -> Pointer:
    """The block of x with its padding: where it is, or a copy in scratch."""
    first = block // plan[BANDS] * plan[BLOCK_SAMPLES]
    row = block % plan[BANDS] * plan[BAND_ROWS]
    top = row * plan[ROW_STEP] + plan[TOP]
    if plan[DIRECT]:
        return pointer_to(
            x, first * plan[SAMPLE_STRIDE] + top * plan[ROW_STRIDE] + plan[LEFT] * plan[PIXEL_STRIDE]
        )
    length = plan[COPY_ROWS] * plan[COPY_COLUMNS] * plan[CHANNELS]
    for n in range(min(plan[BLOCK_SAMPLES], plan[SAMPLES] - first)):
        copy_image(
            pointer_to(x, (first + n) * plan[SAMPLE_STRIDE]),
            plan[CHANNEL_STRIDE],
            plan[ROW_STRIDE],
            plan[PIXEL_STRIDE],
            plan[HEIGHT],
            plan[WIDTH],
            1,
            plan[CHANNELS],
            top,
            plan[LEFT],
            pointer_to(scratch, n * length),
            plan[COPY_ROWS],
            plan[COPY_COLUMNS],
            plan[CHANNELS],
        )
    return scratch


@kernel(internal=True)
def pixels_in_block(plan: Pointer, phase: Pointer, block: int) -> int:
    """How many pixels of a phase there are in a block: the last block of an image or of a batch has fewer."""
    samples = min(plan[BLOCK_SAMPLES], plan[SAMPLES] - block // plan[BANDS] * plan[BLOCK_SAMPLES])
    rows = min(plan[BAND_ROWS], phase[ROWS] - block % plan[BANDS] * plan[BAND_ROWS])
    return samples * max(rows, 0) * phase[COLUMNS]


@task
def pack_weights(
    w: Pointer, bias: Pointer, c: Pointer, index: Pointer, work: Pointer, plan: Pointer, number: int
) -> None:
    """Bring one slice of the weights into the order in which a tile reads them, [k, o], with the bias as last row."""
    part = number % (plan[GROUPS] * plan[SLICES])
    phase = pointer_to(plan, HEADER + number // (plan[GROUPS] * plan[SLICES]) * RECORD)
    group, first = part // plan[SLICES], part % plan[SLICES] * WIDE
    outputs = min(WIDE, plan[OUTPUTS] - first)
    taps = phase[TAPS]
    weight = pointer_to(plan, phase[WEIGHT])
    packed = pointer_to(work, phase[PACKED] + part * (taps + 1) * WIDE)
    source = pointer_to(w, group * plan[GROUP_STRIDE] + first * plan[OUTPUT_STRIDE])
    for k in range(taps):
        row = pointer_to(packed, k * WIDE)
        for o in range(outputs):
            row[o] = source[weight[k] + o * plan[OUTPUT_STRIDE]]
        clear(pointer_to(row, outputs), WIDE - outputs)
    row = pointer_to(packed, taps * WIDE)
    clear(row, WIDE)
    if plan[HAS_BIAS]:
        for o in range(outputs):
            row[o] = bias[group * plan[OUTPUTS] + first + o]


@kernel(internal=True)
def put(y: Pointer, i: int, low: Any, high: Any, outputs: int, spare: Pointer) -> None:
    """Write the channels that exist: all of two vectors, or the first `outputs` numbers by way of `spare`."""
    if outputs == WIDE:
        store(y, i, low)
        store(y, i + LANES, high)
    else:
        store(spare, 0, low)
        store(spare, LANES, high)
        for o in range(outputs):
            y[i + o] = spare[o]


@kernel(internal=True)
def put1(y: Pointer, i: int, v: Any, outputs: int, spare: Pointer) -> None:
    """The same for one vector."""
    if outputs == LANES:
        store(y, i, v)
    else:
        store(spare, 0, v)
        for o in range(outputs):
            y[i + o] = spare[o]


@kernel(internal=True)
def gather_6x2(
    x: Pointer, at: Pointer, tap: Pointer, taps: int, w: Pointer, y: Pointer, to: Pointer, p: int, last: int,
    outputs: int, spare: Pointer,
) -> None:  # fmt: skip
    """y for the pixels p ... p + 5 and two vectors of channels; past the last pixel, the last one again."""
    p1, p2, p3, p4, p5 = min(p + 1, last), min(p + 2, last), min(p + 3, last), min(p + 4, last), min(p + 5, last)
    x0, x1, x2 = pointer_to(x, at[p]), pointer_to(x, at[p1]), pointer_to(x, at[p2])
    x3, x4, x5 = pointer_to(x, at[p3]), pointer_to(x, at[p4]), pointer_to(x, at[p5])
    a00 = a01 = a10 = a11 = a20 = a21 = a30 = a31 = a40 = a41 = a50 = a51 = splat(ZERO)
    for k in range(taps):
        t = tap[k]
        w0, w1 = load(w, k * WIDE), load(w, k * WIDE + LANES)
        v = splat(x0[t])
        a00, a01 = fma(v, w0, a00), fma(v, w1, a01)
        v = splat(x1[t])
        a10, a11 = fma(v, w0, a10), fma(v, w1, a11)
        v = splat(x2[t])
        a20, a21 = fma(v, w0, a20), fma(v, w1, a21)
        v = splat(x3[t])
        a30, a31 = fma(v, w0, a30), fma(v, w1, a31)
        v = splat(x4[t])
        a40, a41 = fma(v, w0, a40), fma(v, w1, a41)
        v = splat(x5[t])
        a50, a51 = fma(v, w0, a50), fma(v, w1, a51)
    b0, b1 = load(w, taps * WIDE), load(w, taps * WIDE + LANES)
    put(y, to[p], add(a00, b0), add(a01, b1), outputs, spare)
    put(y, to[p1], add(a10, b0), add(a11, b1), outputs, spare)
    put(y, to[p2], add(a20, b0), add(a21, b1), outputs, spare)
    put(y, to[p3], add(a30, b0), add(a31, b1), outputs, spare)
    put(y, to[p4], add(a40, b0), add(a41, b1), outputs, spare)
    put(y, to[p5], add(a50, b0), add(a51, b1), outputs, spare)


@kernel(internal=True)
def gather_8x1(
    x: Pointer, at: Pointer, tap: Pointer, taps: int, w: Pointer, y: Pointer, to: Pointer, p: int, last: int,
    outputs: int, spare: Pointer,
) -> None:  # fmt: skip
    """y for the pixels p ... p + 7 and one vector of channels."""
    p1, p2, p3, p4 = min(p + 1, last), min(p + 2, last), min(p + 3, last), min(p + 4, last)
    p5, p6, p7 = min(p + 5, last), min(p + 6, last), min(p + 7, last)
    x0, x1, x2, x3 = pointer_to(x, at[p]), pointer_to(x, at[p1]), pointer_to(x, at[p2]), pointer_to(x, at[p3])
    x4, x5, x6, x7 = pointer_to(x, at[p4]), pointer_to(x, at[p5]), pointer_to(x, at[p6]), pointer_to(x, at[p7])
    a0 = a1 = a2 = a3 = a4 = a5 = a6 = a7 = splat(ZERO)
    for k in range(taps):
        t = tap[k]
        v = load(w, k * WIDE)
        a0, a1, a2, a3 = fma(splat(x0[t]), v, a0), fma(splat(x1[t]), v, a1), fma(splat(x2[t]), v, a2), fma(splat(x3[t]), v, a3)
        a4, a5, a6, a7 = fma(splat(x4[t]), v, a4), fma(splat(x5[t]), v, a5), fma(splat(x6[t]), v, a6), fma(splat(x7[t]), v, a7)
    b = load(w, taps * WIDE)
    put1(y, to[p], add(a0, b), outputs, spare)
    put1(y, to[p1], add(a1, b), outputs, spare)
    put1(y, to[p2], add(a2, b), outputs, spare)
    put1(y, to[p3], add(a3, b), outputs, spare)
    put1(y, to[p4], add(a4, b), outputs, spare)
    put1(y, to[p5], add(a5, b), outputs, spare)
    put1(y, to[p6], add(a6, b), outputs, spare)
    put1(y, to[p7], add(a7, b), outputs, spare)


@task
def gather(
    x: Pointer, b: Pointer, y: Pointer, index: Pointer, work: Pointer, plan: Pointer, number: int
) -> None:
    """Fill this task's share of the blocks of y; the weights have been packed into `work`."""
    scratch = pointer_to(work, plan[SCRATCH] + number * plan[SCRATCH_LENGTH])
    spare = pointer_to(scratch, plan[SCRATCH_LENGTH] - WIDE)
    blocks, tasks = plan[BLOCKS], plan[TASKS]
    for block in range(blocks * number // tasks, blocks * (number + 1) // tasks):
        source = read_block(x, plan, block, scratch)
        target = pointer_to(
            y, block // plan[BANDS] * plan[BLOCK_SAMPLES] * plan[OUT_SAMPLE] + block % plan[BANDS] * plan[OUT_BAND]
        )
        for f in range(plan[PHASES]):
            phase = pointer_to(plan, HEADER + f * RECORD)
            pixels = pixels_in_block(plan, phase, block)
            taps = phase[TAPS]
            at, to, tap = pointer_to(plan, phase[AT]), pointer_to(plan, phase[TO]), pointer_to(plan, phase[TAP])
            for part in range(plan[GROUPS] * plan[SLICES]):
                group, first = part // plan[SLICES], part % plan[SLICES] * WIDE
                w = pointer_to(work, phase[PACKED] + part * (taps + 1) * WIDE)
                inputs = pointer_to(source, group * plan[IN_GROUP])
                outputs = min(WIDE, plan[OUTPUTS] - first)
                channels = pointer_to(target, group * plan[OUTPUTS] + first)
                if outputs > LANES:
                    for p in range(0, pixels, 6):
                        gather_6x2(inputs, at, tap, taps, w, channels, to, p, pixels - 1, outputs, spare)
                else:
                    for p in range(0, pixels, 8):
                        gather_8x1(inputs, at, tap, taps, w, channels, to, p, pixels - 1, outputs, spare)


@kernel(internal=True)
def sum_6x2(
    x: Pointer, at: Pointer, pixels: int, g: Pointer, to: Pointer, tap: Pointer, sums: Pointer
) -> None:
    """sums[k, o] += x * g over the pixels of a block, for 6 taps and two vectors of channels."""
    x0, x1, x2 = pointer_to(x, tap[0]), pointer_to(x, tap[1]), pointer_to(x, tap[2])
    x3, x4, x5 = pointer_to(x, tap[3]), pointer_to(x, tap[4]), pointer_to(x, tap[5])
    a00, a01 = load(sums, 0), load(sums, LANES)
    a10, a11 = load(sums, WIDE), load(sums, WIDE + LANES)
    a20, a21 = load(sums, 2 * WIDE), load(sums, 2 * WIDE + LANES)
    a30, a31 = load(sums, 3 * WIDE), load(sums, 3 * WIDE + LANES)
    a40, a41 = load(sums, 4 * WIDE), load(sums, 4 * WIDE + LANES)
    a50, a51 = load(sums, 5 * WIDE), load(sums, 5 * WIDE + LANES)
    for p in range(pixels):
        i = at[p]
        g0, g1 = load(g, to[p]), load(g, to[p] + LANES)
        v = splat(x0[i])
        a00, a01 = fma(v, g0, a00), fma(v, g1, a01)
        v = splat(x1[i])
        a10, a11 = fma(v, g0, a10), fma(v, g1, a11)
        v = splat(x2[i])
        a20, a21 = fma(v, g0, a20), fma(v, g1, a21)
        v = splat(x3[i])
        a30, a31 = fma(v, g0, a30), fma(v, g1, a31)
        v = splat(x4[i])
        a40, a41 = fma(v, g0, a40), fma(v, g1, a41)
        v = splat(x5[i])
        a50, a51 = fma(v, g0, a50), fma(v, g1, a51)
    store(sums, 0, a00)
    store(sums, LANES, a01)
    store(sums, WIDE, a10)
    store(sums, WIDE + LANES, a11)
    store(sums, 2 * WIDE, a20)
    store(sums, 2 * WIDE + LANES, a21)
    store(sums, 3 * WIDE, a30)
    store(sums, 3 * WIDE + LANES, a31)
    store(sums, 4 * WIDE, a40)
    store(sums, 4 * WIDE + LANES, a41)
    store(sums, 5 * WIDE, a50)
    store(sums, 5 * WIDE + LANES, a51)


@kernel(internal=True)
def sum_8x1(
    x: Pointer, at: Pointer, pixels: int, g: Pointer, to: Pointer, tap: Pointer, sums: Pointer
) -> None:
    """The same for 8 taps and one vector of channels."""
    x0, x1, x2, x3 = pointer_to(x, tap[0]), pointer_to(x, tap[1]), pointer_to(x, tap[2]), pointer_to(x, tap[3])
    x4, x5, x6, x7 = pointer_to(x, tap[4]), pointer_to(x, tap[5]), pointer_to(x, tap[6]), pointer_to(x, tap[7])
    a0, a1, a2, a3 = load(sums, 0), load(sums, WIDE), load(sums, 2 * WIDE), load(sums, 3 * WIDE)
    a4, a5, a6, a7 = load(sums, 4 * WIDE), load(sums, 5 * WIDE), load(sums, 6 * WIDE), load(sums, 7 * WIDE)
    for p in range(pixels):
        i = at[p]
        v = load(g, to[p])
        a0, a1, a2, a3 = fma(splat(x0[i]), v, a0), fma(splat(x1[i]), v, a1), fma(splat(x2[i]), v, a2), fma(splat(x3[i]), v, a3)
        a4, a5, a6, a7 = fma(splat(x4[i]), v, a4), fma(splat(x5[i]), v, a5), fma(splat(x6[i]), v, a6), fma(splat(x7[i]), v, a7)
    store(sums, 0, a0)
    store(sums, WIDE, a1)
    store(sums, 2 * WIDE, a2)
    store(sums, 3 * WIDE, a3)
    store(sums, 4 * WIDE, a4)
    store(sums, 5 * WIDE, a5)
    store(sums, 6 * WIDE, a6)
    store(sums, 7 * WIDE, a7)


@kernel(internal=True)
def sum_ones(pixels: int, g: Pointer, to: Pointer, sums: Pointer, vectors: int) -> None:
    """sums[o] += g, over the pixels of a block: the gradient of the bias, whose x is one everywhere."""
    for i in range(0, vectors * LANES, LANES):
        a = load(sums, i)
        for p in range(pixels):
            a = add(a, load(g, to[p] + i))
        store(sums, i, a)


@kernel(internal=True)
def read_grad_block(g: Pointer, plan: Pointer, block: int, scratch: Pointer) -> Pointer:
    """The block of g, in vectors: where it is, or a copy whose groups are filled up with zeros."""
    first = block // plan[BANDS] * plan[BLOCK_SAMPLES]
    row = block % plan[BANDS] * plan[BAND_ROWS]
    source = pointer_to(g, first * plan[OUT_SAMPLE] + block % plan[BANDS] * plan[OUT_BAND])
    if plan[G_DIRECT]:
        return source
    phase = pointer_to(plan, HEADER)
    rows = min(plan[BAND_ROWS], phase[ROWS] - row)
    columns = phase[COLUMNS]
    for n in range(min(plan[BLOCK_SAMPLES], plan[SAMPLES] - first)):
        copy_image(
            pointer_to(source, n * plan[OUT_SAMPLE]),
            plan[G_CHANNEL_STRIDE],
            plan[G_ROW_STRIDE],
            plan[G_PIXEL_STRIDE],
            rows,
            columns,
            plan[GROUPS],
            plan[OUTPUTS],
            0,
            0,
            pointer_to(scratch, n * plan[BAND_ROWS] * columns * plan[GROUPS] * plan[G_GROUP]),
            rows,
            columns,
            plan[G_GROUP],
        )
    return scratch


@task
def weight_partials(
    x: Pointer, g: Pointer, c: Pointer, index: Pointer, work: Pointer, plan: Pointer, number: int
) -> None:
    """Sum x * g over a part of the blocks, for a part of the taps."""
    scratch = pointer_to(work, plan[SCRATCH] + number * plan[SCRATCH_LENGTH])
    phase = pointer_to(plan, HEADER)
    at, to, tap = pointer_to(plan, phase[AT]), pointer_to(plan, phase[TO]), pointer_to(plan, phase[TAP])
    taps, blocks, partials, ranges = phase[TAPS], plan[BLOCKS], plan[PARTIALS], plan[RANGES]
    units = partials * ranges
    pitch = (taps + TAP_SLACK + 1) * WIDE
    for unit in range(units * number // plan[TASKS], units * (number + 1) // plan[TASKS]):
        partial, part_of_taps = unit // ranges, unit % ranges
        begin, end = taps * part_of_taps // ranges // 24 * 24, taps * (part_of_taps + 1) // ranges // 24 * 24
        rows = end - begin
        if part_of_taps == ranges - 1:
            end = taps
            rows = taps + TAP_SLACK + 1 - begin
        for part in range(plan[GROUPS] * plan[SLICES]):
            clear(pointer_to(work, partial * plan[PARTIAL_LENGTH] + part * pitch + begin * WIDE), rows * WIDE)
        for block in range(blocks * partial // partials, blocks * (partial + 1) // partials):
            source = read_block(x, plan, block, scratch)
            grads = read_grad_block(g, plan, block, pointer_to(scratch, plan[G_SCRATCH]))
            pixels = pixels_in_block(plan, phase, block)
            for part in range(plan[GROUPS] * plan[SLICES]):
                group, first = part // plan[SLICES], part % plan[SLICES] * WIDE
                outputs = min(WIDE, plan[OUTPUTS] - first)
                inputs = pointer_to(source, group * plan[IN_GROUP])
                channels = pointer_to(grads, group * plan[G_GROUP] + first)
                sums = pointer_to(work, partial * plan[PARTIAL_LENGTH] + part * pitch)
                if outputs > LANES:
                    for k in range(begin, end, 6):
                        sum_6x2(inputs, at, pixels, channels, to, pointer_to(tap, k), pointer_to(sums, k * WIDE))
                else:
                    for k in range(begin, end, 8):
                        sum_8x1(inputs, at, pixels, channels, to, pointer_to(tap, k), pointer_to(sums, k * WIDE))
                if part_of_taps == ranges - 1 and plan[HAS_BIAS]:
                    vectors = 1 + (outputs > LANES)
                    sum_ones(pixels, channels, to, pointer_to(sums, (taps + TAP_SLACK) * WIDE), vectors)


@task
def add_partials(
    a: Pointer, b: Pointer, gw: Pointer, index: Pointer, work: Pointer, plan: Pointer, number: int
) -> None:
    """Add the partial sums of one slice of channels, in order; gw is as w in C order, with gb after it."""
    phase = pointer_to(plan, HEADER)
    taps, length = phase[TAPS], plan[PARTIAL_LENGTH]
    weight = pointer_to(plan, phase[WEIGHT])
    group, first = number // plan[SLICES], number % plan[SLICES] * WIDE
    outputs = min(WIDE, plan[OUTPUTS] - first)
    sums = pointer_to(work, number * (taps + TAP_SLACK + 1) * WIDE)
    target = pointer_to(gw, group * plan[GROUP_STRIDE] + first * plan[OUTPUT_STRIDE])
    for k in range(taps + TAP_SLACK + 1):
        row = pointer_to(sums, k * WIDE)
        for i in range(0, outputs, LANES):
            s = load(row, i)
            for partial in range(1, plan[PARTIALS]):
                s = add(s, load(row, partial * length + i))
            store(row, i, s)
        if k < taps:
            for o in range(outputs):
                target[weight[k] + o * plan[OUTPUT_STRIDE]] = row[o]
    if plan[HAS_BIAS]:
        row = pointer_to(sums, (taps + TAP_SLACK) * WIDE)
        gb = pointer_to(gw, plan[GROUPS] * plan[GROUP_STRIDE] + group * plan[OUTPUTS] + first)
        for o in range(outputs):
            gb[o] = row[o]
