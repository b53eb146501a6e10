"""The gradients of a convolution whose result was pooled: only the numbers that won their windows count.

Of the four numbers in a 2x2 window one goes on, so at least three quarters of the gradient of the convolution's result
are zeros. A matrix product multiplies them all. Here the loops go over the winners instead, with their offsets in the
image, and multiply a quarter as often:

    gw[k, o]             += x[at[p] + tap[k]] * g      for each winner p of channel o, all k at once
    gx[at[p] + tap[k]]   += w[k, o] * g                for each pixel p and each channel o that it won, all k at once

A kernel of 3 rows, in memory 3 pieces, is a tile of registers: `add_multiple` adds a multiple of one to it. For gw the
tile belongs to a channel and stays while the loop goes through the winners of a block; for gx it belongs to a place of
the kernel on the image, and stays for all channels that won there.

The products that are left are added up in the order of `conv_vector.py`, which differs by additions of zero: the bits
are the same. But where x or w is infinite or NaN, zero times it is NaN in that file, and nothing in this one.
"""

from __future__ import annotations

from typing import Any

from minigrad.kernels import conv_winners_plan as scatter
from minigrad.kernels.conv_blocks import between, clear, copy
from minigrad.kernels.conv_fields import (
    AT,
    BAND_ROWS,
    BANDS,
    BLOCK_SAMPLES,
    BLOCKS,
    COLUMNS,
    G_SCRATCH,
    G_SOURCE,
    HAS_BIAS,
    HEADER,
    HEIGHT,
    MOST_WINNERS,
    OUTPUT_STRIDE,
    OUTPUTS,
    PARTIAL_LENGTH,
    PARTIALS,
    PIXEL_STRIDE,
    RANGES,
    ROW_STRIDE,
    ROWS,
    SAMPLE_STRIDE,
    SAMPLES,
    SCRATCH,
    SCRATCH_LENGTH,
    SOURCE,
    TAP,
    TAPS,
    TASKS,
    WEIGHT,
    WIDTH,
    WINDOW_COLUMNS,
    WINDOW_ROWS,
)
from minigrad.kernels.conv_vector import pixels_in_block, read_block
from minigrad.kernels.grid import add_multiple, load_grid, store_grid
from minigrad.kernels.jit import kernel
from minigrad.kernels.launch import run, task
from minigrad.kernels.tile import Shape, keep_small, never_inline, width
from minigrad.kernels.vec import (
    LANES,
    REGISTERS,
    add,
    equal_bytes,
    first_bit,
    integers,
    load,
    pointer_to,
    store,
)

__all__ = ["add_winner_sums", "pack_kernels", "run", "scatter_winners", "winner_sums"]

Pointer = Any
# The tile for a part of the kernel.
PART = Shape(3, scatter.vectors_of_part(REGISTERS))


@kernel(internal=True)
def who_won(winners: Pointer, position: int, first: int, last: int) -> int:
    """Bit o - first is 1 for the channels first <= o < last, at most 64, in which the number at this position won."""
    keep_small()
    bits = 0
    for o in range(first, last, LANES):
        bits |= equal_bytes(winners, o, position) << (o - first)
    return bits


# ---- the gradient of the weights ----------------------------------------------------------------------------------


@kernel(internal=True)
def list_winners(
    g: Pointer, index: Pointer, plan: Pointer, block: int, begin: int, end: int, counts: Pointer, places: Pointer,
    values: Pointer, biases: Pointer, sums: Pointer,
) -> None:  # fmt: skip
    """For each channel begin <= o < end, the pixels of a block that won there, in their order, and what they got.

    What they got is added to the biases too, in four sums side by side, as `conv_vector.sum_ones` adds it up.
    """
    keep_small()
    never_inline()
    image, phase = pointer_to(plan, G_SOURCE), pointer_to(plan, HEADER)
    height, across, step, most = image[WINDOW_ROWS], image[WINDOW_COLUMNS], image[PIXEL_STRIDE], plan[MOST_WINNERS]
    windows, columns, channels = image[WIDTH] // across, phase[COLUMNS], end - begin
    first, top = block // plan[BANDS] * plan[BLOCK_SAMPLES], block % plan[BANDS] * plan[BAND_ROWS]
    samples = between(0, plan[SAMPLES] - first, plan[BLOCK_SAMPLES])
    rows = between(0, between(0, image[HEIGHT], phase[ROWS]) - top, plan[BAND_ROWS])
    pitch = between(0, plan[BAND_ROWS], phase[ROWS]) * columns
    fours = pixels_in_block(plan, phase, block) // 4 * 4
    clear(sums, 4 * channels)
    copy(pointer_to(biases, begin), sums, channels)
    for o in range(channels):
        counts[o] = 0
    for row in range(samples * rows):
        sample, i = row // rows, row % rows
        h = top + i
        at = (first + sample) * image[SAMPLE_STRIDE] + h // height * image[ROW_STRIDE]
        low, place = h % height * across, sample * pitch + i * columns
        for _ in range(windows):
            winners, shares = pointer_to(index, at), pointer_to(g, at)
            for q in range(across):
                quarter = pointer_to(sums, place % 4 * channels if place < fours else 0)
                for o0 in range(begin, end, 64):
                    bits = who_won(winners, low + q, o0, between(0, end, o0 + 64))
                    while bits != 0:
                        o = o0 + first_bit(bits)
                        c = o - begin
                        n = counts[c]
                        places[c * most + n] = place
                        values[c * most + n] = shares[o]
                        counts[c] = n + 1
                        quarter[c] += shares[o]
                        bits &= bits - 1
                place += 1
            at += step
    for c in range(channels):
        biases[begin + c] = (sums[c] + sums[channels + c]) + (sums[2 * channels + c] + sums[3 * channels + c])


@kernel(internal=True)
def sum_winners(
    x: Pointer, at: Pointer, next_row: int, places: Pointer, values: Pointer, n: int, sums: Pointer, row: int
) -> None:
    """sums[k] += x * g over the winners, for the part of each row of the kernel that the tile is wide."""
    keep_small()
    never_inline()
    s = load_grid(PART, sums, row, LANES)
    for e in range(n):
        s = add_multiple(s, values[e], x, at[places[e]], next_row)
    store_grid(s, sums, row, LANES)


@task
def winner_sums(
    x: Pointer, g: Pointer, c: Pointer, index: Pointer, work: Pointer, plan: Pointer, number: int, worker: int
) -> None:
    """Sum x * g, and for the bias g, over the winners in a part of the blocks, for a part of the channels.

    The plan is that of `conv_vector.weight_partials`.
    """
    keep_small()
    scratch = pointer_to(work, plan[SCRATCH] + worker * plan[SCRATCH_LENGTH])
    phase = pointer_to(plan, HEADER)
    at, tap = pointer_to(plan, phase[AT]), pointer_to(plan, phase[TAP])
    taps, blocks, partials, ranges = phase[TAPS], plan[BLOCKS], plan[PARTIALS], plan[RANGES]
    row = taps // 3
    next_row = tap[row] - tap[0]
    units, outputs = partials * ranges, plan[OUTPUTS]
    vectors = outputs // LANES
    most = plan[MOST_WINNERS]
    quarters = pointer_to(scratch, plan[G_SCRATCH])
    values = pointer_to(quarters, 4 * outputs)
    places = integers(pointer_to(values, outputs * most))
    counts = integers(pointer_to(values, 2 * outputs * most))
    for unit in range(units * number // plan[TASKS], units * (number + 1) // plan[TASKS]):
        partial, part = unit // ranges, unit % ranges
        begin, end = vectors * part // ranges * LANES, vectors * (part + 1) // ranges * LANES
        sums = pointer_to(work, partial * plan[PARTIAL_LENGTH])
        biases = pointer_to(sums, outputs * taps)
        clear(pointer_to(sums, begin * taps), (end - begin) * taps)
        clear(pointer_to(biases, begin), end - begin)
        for block in range(blocks * partial // partials, blocks * (partial + 1) // partials):
            source = read_block(x, index, pointer_to(plan, SOURCE), block, scratch)
            list_winners(g, index, plan, block, begin, end, counts, places, values, biases, quarters)
            for o in range(begin, end):
                mine, n = pointer_to(sums, o * taps), counts[o - begin]
                here, theirs = pointer_to(places, (o - begin) * most), pointer_to(values, (o - begin) * most)
                for k in range(0, row, width(PART)):
                    sum_winners(pointer_to(source, k), at, next_row, here, theirs, n, pointer_to(mine, k), row)


@task
def add_winner_sums(
    a: Pointer, b: Pointer, gw: Pointer, index: Pointer, work: Pointer, plan: Pointer, number: int, worker: int
) -> None:
    """Add the partial sums, in order; gw is as w in C order, with gb after it. Each task takes some of the channels."""
    keep_small()
    phase = pointer_to(plan, HEADER)
    taps, length, outputs, partials = phase[TAPS], plan[PARTIAL_LENGTH], plan[OUTPUTS], plan[PARTIALS]
    weight = pointer_to(plan, phase[WEIGHT])
    biases, gb = pointer_to(work, outputs * taps), pointer_to(gw, outputs * taps)
    for o in range(outputs * number // plan[TASKS], outputs * (number + 1) // plan[TASKS]):
        sums, target = pointer_to(work, o * taps), pointer_to(gw, o * plan[OUTPUT_STRIDE])
        for k in range(0, taps, LANES):
            s = load(sums, k)
            for partial in range(1, partials):
                s = add(s, load(sums, partial * length + k))
            store(sums, k, s)
        for k in range(taps):
            target[weight[k]] = sums[k]
        if plan[HAS_BIAS]:
            bias = biases[o]
            for partial in range(1, partials):
                bias += biases[partial * length + o]
            gb[o] = bias


# ---- the gradient of the input ------------------------------------------------------------------------------------


@task
def pack_kernels(
    w: Pointer, b: Pointer, c: Pointer, index: Pointer, work: Pointer, plan: Pointer, number: int, worker: int
) -> None:
    """Bring the weights into the order channel of the output, kernel row, kernel column, channel of the input."""
    keep_small()
    channels, taps = plan[scatter.CHANNELS], plan[scatter.TAPS]
    outputs, tasks = plan[scatter.OUTPUTS], plan[scatter.TASKS]
    columns = plan[scatter.KERNEL_ROW] // channels
    for o in range(outputs * number // tasks, outputs * (number + 1) // tasks):
        for k in range(0, taps, channels):
            i, j = k // channels // columns, k // channels % columns
            source = pointer_to(w, o * plan[scatter.W_OUTPUT] + i * plan[scatter.W_ROW] + j * plan[scatter.W_COLUMN])
            packed = pointer_to(work, o * taps + k)
            for i_in in range(channels):
                packed[i_in] = source[i_in * plan[scatter.W_INPUT]]


@kernel(internal=True)
def add_kernels(target: Pointer, next_row: int, bits: int, shares: Pointer, w: Pointer, taps: int, row: int) -> None:
    """target += g w for the channels whose bit is 1, for the part of each row of the kernel that the tile is wide."""
    keep_small()
    never_inline()
    s = load_grid(PART, target, next_row, LANES)
    while bits != 0:
        o = first_bit(bits)
        s = add_multiple(s, shares[o], w, o * taps, row)
        bits &= bits - 1
    store_grid(s, target, next_row, LANES)


@task
def scatter_winners(
    g: Pointer, b: Pointer, gx: Pointer, index: Pointer, work: Pointer, plan: Pointer, number: int, worker: int
) -> None:
    """Fill this task's share of the images of gx; the weights have been packed into `work`.

    An image is made in scratch memory, with its padding. The pixels of g are gone through from the last to the first:
    so a number of gx gets its terms in the order of the kernel's rows and columns.
    """
    keep_small()
    patch = pointer_to(work, plan[scatter.SCRATCH] + worker * plan[scatter.SCRATCH_LENGTH])
    height, across = plan[scatter.WINDOW_ROWS], plan[scatter.WINDOW_COLUMNS]
    outputs, taps, row = plan[scatter.OUTPUTS], plan[scatter.TAPS], plan[scatter.KERNEL_ROW]
    images, tasks, next_row = plan[scatter.IMAGES], plan[scatter.TASKS], plan[scatter.NEXT_ROW]
    for image in range(images * number // tasks, images * (number + 1) // tasks):
        clear(patch, plan[scatter.SCRATCH_LENGTH])
        for h in range(plan[scatter.POOLED_ROWS] * height - 1, -1, -1):
            start = image * plan[scatter.G_IMAGE] + h // height * plan[scatter.G_ROW]
            for v in range(plan[scatter.POOLED_COLUMNS] * across - 1, -1, -1):
                pixel = start + v // across * plan[scatter.G_PIXEL]
                winners, shares = pointer_to(index, pixel), pointer_to(g, pixel)
                target = pointer_to(patch, h * plan[scatter.STEP_DOWN] + v * plan[scatter.STEP_ACROSS])
                position = h % height * across + v % across
                for first in range(0, outputs, 64):
                    bits = who_won(winners, position, first, between(0, outputs, first + 64))
                    if bits != 0:
                        theirs, w = pointer_to(shares, first), pointer_to(work, first * taps)
                        for k in range(0, row, width(PART)):
                            add_kernels(pointer_to(target, k), next_row, bits, theirs, pointer_to(w, k), taps, row)
        numbers = plan[scatter.WIDTH] * plan[scatter.CHANNELS]
        for h in range(plan[scatter.HEIGHT]):
            begin = (h + plan[scatter.TOP]) * plan[scatter.PATCH_PITCH] + plan[scatter.LEFT] * plan[scatter.CHANNELS]
            copy(
                pointer_to(patch, begin),
                pointer_to(gx, image * plan[scatter.X_IMAGE] + h * plan[scatter.X_ROW]),
                numbers,
            )
