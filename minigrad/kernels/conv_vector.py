"""Convolution with explicit vectors: the forward pass, the gradient of the input, the gradient of the weights.

The formulas are those of `plain.py`, in the form of `conv_plan.py`,

    y[to[p] + o]  = bias[o] + sum over k of  x[at[p] + tap[k]] * w[k, o]
    gw[k, o]      =           sum over p of  x[at[p] + tap[k]] * g[to[p] + o]

The inner loops are those of `conv_slices.py`; here are the loops over blocks, phases, groups and slices.
"""

from __future__ import annotations

from typing import Any

from minigrad.kernels.conv_blocks import between, clear
from minigrad.kernels.conv_fields import (
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
    SLICES,
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
from minigrad.kernels.conv_slices import STEP, slice_width, sum_ones, sums_width
from minigrad.kernels.jit import kernel
from minigrad.kernels.launch import call, call_slice, run, task
from minigrad.kernels.tile import keep_small
from minigrad.kernels.vec import LANES, REGISTERS, add, load, pointer_to, store

__all__ = [
    "LANES",
    "REGISTERS",
    "add_partials",
    "gather",
    "pack_weights",
    "run",
    "weight_partials",
]

Pointer = Any


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
                    gather_slice = plan[SLICES + wide // LANES]
                    call_slice(gather_slice, inputs, w, channels, at, to, tap, taps, pixels, left, spare)
                    first += wide
        if plan[POOL_ROWS]:
            call(plan[POOL], target, target, y, index, spare, plan, block, 0)


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
                    sum_slice = plan[SLICES + wide // LANES]
                    call_slice(sum_slice, inputs, channels, sums, at, to, tap, pixels, begin, end, sums)
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
