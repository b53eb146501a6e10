"""3x3 convolutions with 16 multiplications where 36 stood: Winograd's minimal filtering, F(2x2, 3x3).

Two neighbouring outputs of a kernel of three weights, y0 = x0 w0 + x1 w1 + x2 w2 and y1 = x1 w0 + x2 w1 + x3 w2, take
six multiplications. Four are enough:

    m0 = (x0 - x2) w0                       y0 = m0 + m1 + m2
    m1 = (x1 + x2) (w0 + w1 + w2) / 2       y1 = m1 - m2 - m3
    m2 = (x2 - x1) (w0 - w1 + w2) / 2
    m3 = (x1 - x3) w2

With the three sums as matrices, and the same once more along the other axis, a *tile* of 4 x 4 pixels x gives 2 x 2
outputs y:

    y = A^T [ (G w G^T) * (B^T x B) ] A          * multiplies number by number

        B^T = 1  0 -1  0       G =  1    0    0       A^T = 1  1  1  0
              0  1  1  0            1/2  1/2  1/2           0  1 -1 -1
              0 -1  1  0            1/2 -1/2  1/2
              0  1  0 -1            0    0    1

A convolution sums the products over the channels of x, and A^T ... A can wait until after that sum. So number xi of all
tiles v = B^T x B of a block is a matrix, tiles by channels; number xi of all kernels u = G w G^T is a matrix, channels
by output channels; and their product, m, is one of sixteen products of matrices. They run in the inner loops of
`conv_slices.py`, and take nearly all the time: counted for 16 channels or more, a convolution in 4/9 of the
multiplications with a few additions before and after.

The gradients are those of the same formula. That of the input is a convolution with the kernels turned around. That of
the weights is, with q = A g A^T for each tile of g,

    gu = sum over tiles of  v q  (again sixteen products),      gw = G^T gu G

The numbers differ from those of `conv_vector.py` by rounding, and err less, by a quarter to two fifths, because sums
have as many terms as there are channels instead of nine times as many; for gw the errors are about equal. Where x is
infinite the result may be NaN instead of infinite.

References
----------
Winograd, "Arithmetic Complexity of Computations", SIAM 1980.
Lavin, Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016, https://arxiv.org/abs/1509.09308.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.kernels.conv_blocks import between, clear
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
    IN_PIXEL,
    IN_ROW,
    IN_SAMPLE,
    M_PITCH,
    M_SCRATCH,
    OUT_BAND,
    OUT_SAMPLE,
    OUTPUT_STRIDE,
    OUTPUTS,
    PARTIAL_LENGTH,
    PARTIALS,
    POOL,
    POOL_ROWS,
    RANGES,
    ROWS,
    SAMPLES,
    SCRATCH,
    SCRATCH_LENGTH,
    SLICES,
    SOURCE,
    SPARE,
    TAP,
    TAP_SLACK,
    TAPS,
    TASKS,
    TO,
    TO_PIXEL,
    TO_ROW,
    TO_SAMPLE,
    V_PITCH,
    V_SCRATCH,
    W_COLUMN,
    W_INNER,
    W_ROW,
    W_START,
    Y_SCRATCH,
)
from minigrad.kernels.conv_slices import slice_width, sum_ones, sums_width
from minigrad.kernels.conv_vector import read_block
from minigrad.kernels.conv_winograd_plan import NUMBERS
from minigrad.kernels.grid import Matrix, from_left, from_right, load_grid, store_grid
from minigrad.kernels.jit import kernel
from minigrad.kernels.launch import call, call_slice, run, task
from minigrad.kernels.tile import Shape, keep_small, never_inline
from minigrad.kernels.vec import LANES, Vector, add, load, pointer_to, store

__all__ = ["add_tile_partials", "gather_tiles", "pack_transformed", "run", "tile_partials"]

Pointer = Any
HALF = np.float32(0.5)
# The matrices of the formulas above.
A = Matrix((1, 0), (1, 1), (1, -1), (0, -1))
# The columns in the middle come first: their sum and their difference are needed by one row each, and what is added to
# those are products that nobody else needs, which become one instruction with the addition where they were just made.
A_T = Matrix((1, 1, 1, 0), (0, 1, -1, -1), order=(1, 2, 0, 3))
B_T = Matrix((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1))
G_T = Matrix((1, 0.5, 0.5, 0), (0, 0.5, -0.5, 0), (0, 0.5, 0.5, 1))
FOUR_BY_FOUR = Shape(4, 4)
TWO_BY_TWO = Shape(2, 2)
# The number of a tile whose product gets the bias. What is added there is added to all outputs of the tile, for column
# 1 of A^T is all ones; and in A g A^T it is the sum of the tile of g.
MIDDLE = 5


# ---- u = G w G^T ---------------------------------------------------------------------------------------------------


@kernel(internal=True)
def put_kernel_row(a: np.float32, b: np.float32, c: np.float32, u: Pointer, step: int) -> None:
    """u = (a, b, c) G^T"""
    u[0] = a
    u[step] = HALF * ((a + c) + b)
    u[2 * step] = HALF * ((a + c) - b)
    u[3 * step] = c


@kernel(internal=True)
def put_kernel(w: Pointer, row: int, column: int, u: Pointer, step: int) -> None:
    """The sixteen numbers of one kernel, `step` apart."""
    a0, a1, a2 = w[0], w[column], w[2 * column]
    b0, b1, b2 = w[row], w[row + column], w[row + 2 * column]
    c0, c1, c2 = w[2 * row], w[2 * row + column], w[2 * row + 2 * column]
    put_kernel_row(a0, a1, a2, u, step)
    put_kernel_row(
        HALF * ((a0 + c0) + b0), HALF * ((a1 + c1) + b1), HALF * ((a2 + c2) + b2), pointer_to(u, 4 * step), step
    )
    put_kernel_row(
        HALF * ((a0 + c0) - b0), HALF * ((a1 + c1) - b1), HALF * ((a2 + c2) - b2), pointer_to(u, 8 * step), step
    )
    put_kernel_row(c0, c1, c2, pointer_to(u, 12 * step), step)


@task
def pack_transformed(
    w: Pointer, bias: Pointer, c: Pointer, index: Pointer, work: Pointer, plan: Pointer, number: int, worker: int
) -> None:
    """Transform the weights into the order slice, number of the tile, channel, channels of the slice.

    After the last channel comes a row for the bias. Each task takes a share of the channels.
    """
    keep_small()
    taps, outputs = plan[HEADER + TAPS], plan[OUTPUTS]
    first = 0
    while first < outputs:
        wide = slice_width(outputs - first)
        packed = pointer_to(work, first * NUMBERS * (taps + 1))
        step = (taps + 1) * wide
        for k in range((taps + 1) * number // plan[TASKS], (taps + 1) * (number + 1) // plan[TASKS]):
            u = pointer_to(packed, k * wide)
            if k < taps:
                for o in range(wide):
                    kernel_of = pointer_to(w, plan[W_START] + k * plan[W_INNER] + (first + o) * plan[OUTPUT_STRIDE])
                    put_kernel(kernel_of, plan[W_ROW], plan[W_COLUMN], pointer_to(u, o), step)
            else:
                for xi in range(NUMBERS):
                    clear(pointer_to(u, xi * step), wide)
                if plan[HAS_BIAS]:
                    for o in range(wide):
                        u[MIDDLE * step + o] = bias[first + o]
        first += wide


# ---- v = B^T x B ---------------------------------------------------------------------------------------------------


@kernel(internal=True)
def transform_inputs(x: Pointer, plan: Pointer, samples: int, rows: int, columns: int, v: Pointer) -> None:
    """All tiles of a block: images, then rows, then columns; from one to the next it is two pixels."""
    keep_small()
    never_inline()
    channels, row, pixel, step = plan[HEADER + TAPS], plan[IN_ROW], plan[IN_PIXEL], plan[V_PITCH]
    for line in range(samples * rows):
        source = pointer_to(x, line // rows * plan[IN_SAMPLE] + line % rows * 2 * row)
        target = pointer_to(v, line * columns * channels)
        for c in range(0, channels, LANES):
            for j in range(columns):
                s = load_grid(FOUR_BY_FOUR, pointer_to(source, 2 * j * pixel + c), row, pixel)
                s = from_right(B_T, from_left(B_T, s))
                store_grid(s, pointer_to(target, j * channels + c), 4 * step, step)


# ---- y = A^T m A ---------------------------------------------------------------------------------------------------


@kernel(internal=True)
def transform_outputs(m: Pointer, plan: Pointer, samples: int, height: int, width: int, y: Pointer) -> None:
    """The outputs of all tiles of a block, whose images are `height` by `width` pixels."""
    keep_small()
    never_inline()
    rows, columns, channels, step = (height + 1) // 2, (width + 1) // 2, plan[OUTPUTS], plan[M_PITCH]
    for line in range(samples * rows):
        i = line % rows
        source = pointer_to(m, line * columns * channels)
        target = pointer_to(y, line // rows * plan[TO_SAMPLE] + 2 * i * plan[TO_ROW])
        # Of the last tiles a row or a column may not exist.
        row = plan[TO_ROW] if 2 * i + 1 < height else 0
        for j in range(columns):
            pixel = plan[TO_PIXEL] if 2 * j + 1 < width else 0
            to = pointer_to(target, 2 * j * plan[TO_PIXEL])
            for o in range(0, channels, LANES):
                s = load_grid(FOUR_BY_FOUR, pointer_to(source, j * channels + o), 4 * step, step)
                store_grid(from_right(A_T, from_left(A_T, s)), pointer_to(to, o), row, pixel)


@kernel(internal=True)
def place_of(plan: Pointer, block: int) -> tuple[int, int]:
    """The first image of a block, and which band of it the block is."""
    bands = plan[BANDS]
    if bands == 1:  # to ask takes less time than to divide
        return block * plan[BLOCK_SAMPLES], 0
    return block // bands * plan[BLOCK_SAMPLES], block % bands


@kernel(internal=True)
def samples_in_block(plan: Pointer, block: int) -> int:
    first, _ = place_of(plan, block)
    return between(0, plan[SAMPLES] - first, plan[BLOCK_SAMPLES])


@kernel(internal=True)
def rows_in_block(plan: Pointer, block: int) -> int:
    _, band = place_of(plan, block)
    return between(0, plan[HEADER + ROWS] - band * plan[BAND_ROWS], plan[BAND_ROWS])


@task
def gather_tiles(
    x: Pointer, b: Pointer, y: Pointer, index: Pointer, work: Pointer, plan: Pointer, number: int, worker: int
) -> None:
    """Fill this task's share of the blocks of y; the weights have been transformed into `work`.

    With pooling, blocks of y are scratch memory, and what is filled is their pooled form and its index.
    """
    keep_small()
    scratch = pointer_to(work, plan[SCRATCH] + worker * plan[SCRATCH_LENGTH])
    spare = pointer_to(scratch, plan[SCRATCH_LENGTH] - SPARE * LANES)
    v, m = pointer_to(scratch, plan[V_SCRATCH]), pointer_to(scratch, plan[M_SCRATCH])
    phase = pointer_to(plan, HEADER)
    at, to, tap = pointer_to(plan, phase[AT]), pointer_to(plan, phase[TO]), pointer_to(plan, phase[TAP])
    taps, width, blocks, tasks, outputs = phase[TAPS], phase[COLUMNS], plan[BLOCKS], plan[TASKS], plan[OUTPUTS]
    for block in range(blocks * number // tasks, blocks * (number + 1) // tasks):
        samples, height = samples_in_block(plan, block), rows_in_block(plan, block)
        rows, columns = (height + 1) // 2, (width + 1) // 2
        tiles = samples * rows * columns
        source = read_block(x, index, pointer_to(plan, SOURCE), block, scratch)
        transform_inputs(source, plan, samples, rows, columns, v)
        for xi in range(NUMBERS):
            first = 0
            while first < outputs:
                wide = slice_width(outputs - first)
                u = pointer_to(work, (first * NUMBERS + xi * wide) * (taps + 1))
                inputs, products = pointer_to(v, xi * plan[V_PITCH]), pointer_to(m, xi * plan[M_PITCH] + first)
                gather_slice = plan[SLICES + wide // LANES]
                call_slice(gather_slice, inputs, u, products, at, to, tap, taps, tiles, wide, spare)
                first += wide
        if plan[POOL_ROWS]:
            target = pointer_to(scratch, plan[Y_SCRATCH])
        else:
            sample, band = place_of(plan, block)
            target = pointer_to(y, sample * plan[OUT_SAMPLE] + band * plan[OUT_BAND])
        transform_outputs(m, plan, samples, height, width, target)
        if plan[POOL_ROWS]:
            call(plan[POOL], target, target, y, index, spare, plan, block, 0)


# ---- q = A g A^T and gw = G^T gu G ---------------------------------------------------------------------------------


@kernel(internal=True)
def transform_grads(g: Pointer, plan: Pointer, samples: int, rows: int, columns: int, q: Pointer) -> None:
    """All tiles of a block of g; where it has an odd number of rows or columns, its copy has one more, of zeros."""
    keep_small()
    never_inline()
    channels, step, row, pixel = plan[OUTPUTS], plan[M_PITCH], plan[TO_ROW], plan[TO_PIXEL]
    for line in range(samples * rows):
        source = pointer_to(g, line // rows * plan[TO_SAMPLE] + line % rows * 2 * row)
        target = pointer_to(q, line * columns * channels)
        for j in range(columns):
            for o in range(0, channels, LANES):
                s = load_grid(TWO_BY_TWO, pointer_to(source, 2 * j * pixel + o), row, pixel)
                store_grid(from_right(A, from_left(A, s)), pointer_to(target, j * channels + o), 4 * step, step)


@task
def tile_partials(
    x: Pointer, g: Pointer, c: Pointer, index: Pointer, work: Pointer, plan: Pointer, number: int, worker: int
) -> None:
    """Sum v q over a part of the blocks, for a part of the sixteen products."""
    keep_small()
    scratch = pointer_to(work, plan[SCRATCH] + worker * plan[SCRATCH_LENGTH])
    v, q = pointer_to(scratch, plan[V_SCRATCH]), pointer_to(scratch, plan[M_SCRATCH])
    phase = pointer_to(plan, HEADER)
    at, to, tap = pointer_to(plan, phase[AT]), pointer_to(plan, phase[TO]), pointer_to(plan, phase[TAP])
    taps, blocks, partials, ranges = phase[TAPS], plan[BLOCKS], plan[PARTIALS], plan[RANGES]
    units, outputs, columns = partials * ranges, plan[OUTPUTS], (phase[COLUMNS] + 1) // 2
    for unit in range(units * number // plan[TASKS], units * (number + 1) // plan[TASKS]):
        partial, part = unit // ranges, unit % ranges
        begin, end = NUMBERS * part // ranges, NUMBERS * (part + 1) // ranges
        sums_here = pointer_to(work, partial * plan[PARTIAL_LENGTH])
        biases = pointer_to(sums_here, plan[PARTIAL_LENGTH] - outputs)
        with_bias = plan[HAS_BIAS] != 0 and begin <= MIDDLE < end
        for block in range(blocks * partial // partials, blocks * (partial + 1) // partials):
            samples, rows = samples_in_block(plan, block), (rows_in_block(plan, block) + 1) // 2
            tiles = samples * rows * columns
            source = read_block(x, index, pointer_to(plan, SOURCE), block, scratch)
            transform_inputs(source, plan, samples, rows, columns, v)
            grads = read_block(g, index, pointer_to(plan, G_SOURCE), block, pointer_to(scratch, plan[G_SCRATCH]))
            transform_grads(grads, plan, samples, rows, columns, q)
            is_first = block == blocks * partial // partials
            if is_first and with_bias:
                clear(biases, outputs)
            for xi in range(begin, end):
                first = 0
                while first < outputs:
                    wide = sums_width(outputs - first, taps)
                    sums = pointer_to(sums_here, (first * NUMBERS + xi * wide) * (taps + TAP_SLACK))
                    if is_first:
                        clear(sums, (taps + TAP_SLACK) * wide)
                    inputs, theirs = pointer_to(v, xi * plan[V_PITCH]), pointer_to(q, xi * plan[M_PITCH] + first)
                    sum_slice = plan[SLICES + wide // LANES]
                    call_slice(sum_slice, inputs, theirs, sums, at, to, tap, tiles, 0, taps, sums)
                    if with_bias and xi == MIDDLE:
                        sum_ones(tiles, theirs, to, pointer_to(biases, first), wide)
                    first += wide


@kernel(internal=True)
def total_of(sums: Pointer, i: int, partials: int, length: int) -> Vector:
    s = load(sums, i)
    for partial in range(1, partials):
        s = add(s, load(sums, partial * length + i))
    return s


@task
def add_tile_partials(
    a: Pointer, b: Pointer, gw: Pointer, index: Pointer, work: Pointer, plan: Pointer, number: int, worker: int
) -> None:
    """Add the partial sums, in order, and transform them back; gw is as w in C order, with gb after it.

    Each task takes a share of the channels of x.
    """
    keep_small()
    taps, length, outputs, partials = plan[HEADER + TAPS], plan[PARTIAL_LENGTH], plan[OUTPUTS], plan[PARTIALS]
    first = 0
    while first < outputs:
        wide = sums_width(outputs - first, taps)
        step = (taps + TAP_SLACK) * wide
        for k in range(taps * number // plan[TASKS], taps * (number + 1) // plan[TASKS]):
            for i in range(0, wide, LANES):
                sums = pointer_to(work, first * NUMBERS * (taps + TAP_SLACK) + k * wide + i)
                for xi in range(NUMBERS):
                    store(sums, xi * step, total_of(sums, xi * step, partials, length))
                s = load_grid(FOUR_BY_FOUR, sums, 4 * step, step)
                store_grid(from_right(G_T, from_left(G_T, s)), sums, 4 * step, step)
                for lane in range(LANES):
                    o = first + i + lane
                    target = pointer_to(gw, plan[W_START] + k * plan[W_INNER] + o * plan[OUTPUT_STRIDE])
                    for p in range(3):
                        for q in range(3):
                            target[p * plan[W_ROW] + q * plan[W_COLUMN]] = sums[(4 * p + q) * step + lane]
        first += wide
    if plan[HAS_BIAS] and number == 0:
        biases, gb = pointer_to(work, length - outputs), pointer_to(gw, outputs * taps * 9)
        for o in range(0, outputs, LANES):
            store(gb, o, total_of(biases, o, partials, length))
