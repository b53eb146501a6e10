"""Products of two matrices with explicit vectors, without copying either of them first.

    outer_tiles    y[i, j] = sum over k of  a[i*row + k*step] * b[k*b_row + j]
    narrow_tiles   the same for few columns
    inner_tiles    y[i, j] = sum over k of  a[i*row + k]      * b[j*b_row + k]  + bias[j]

The first one is A B, and also A^T B: columns of A are read one number at a time, and it does not matter how far apart
they are. The sums of a tile are y's rows, and each step of k adds an outer product to them. The second one is A B^T,
the product of a layer x W^T, where both factors lie along k. There each sum of a tile is a vector of `LANES` partial
sums, which are added up at the end.

One unit of work is a tile of y: its numbers are summed in the order of k whoever computes it, so the bits do not depend
on the number of threads. Libraries copy ("pack") panels of both factors into the order in which they are read; that
pays for large matrices, and for the products of a small network costs as much as the product.

References
----------
Goto, van de Geijn, "Anatomy of High-Performance Matrix Multiplication", ACM TOMS 34(3), 2008.
"""

from __future__ import annotations

from typing import Any

from minigrad.kernels.conv_blocks import between
from minigrad.kernels.dense_plan import (
    ACROSS,
    AT,
    B_ROW,
    BELOW,
    BESIDE,
    DEPTH,
    FROM,
    HAS_BIAS,
    ROWS,
    STEP,
    TASKS,
    TILES,
    TO,
    UNITS,
    Y_WIDE,
)
from minigrad.kernels.jit import kernel
from minigrad.kernels.launch import run, task
from minigrad.kernels.tile import (
    Shape,
    height,
    inner,
    inner_last,
    keep_small,
    never_inline,
    outer,
    rows_of,
    store_rows,
    store_tile,
    store_totals,
    width,
    zeros,
)
from minigrad.kernels.vec import LANES, REGISTERS, WIDE, pointer_to

__all__ = [
    "COLUMNS",
    "INNER",
    "LANES",
    "NARROW",
    "OUTER",
    "SPARE",
    "inner_tiles",
    "narrow_tiles",
    "outer_tiles",
    "run",
]

Pointer = Any

# The shapes of tiles: as many sums as there are registers for, less those that hold the factors. Where the widest
# vectors are twice our usual ones (Zen 4), half as many hold as many columns, in fewer instructions.
OUTER = Shape(8, 2, WIDE) if WIDE > LANES else Shape(6, 4) if REGISTERS > 16 else Shape(6, 2)
INNER = Shape(4, 6) if REGISTERS > 16 else Shape(3, 4)
WEIGHTS = Shape(INNER.columns, 1)
NARROW = Shape(8, 1)
# How many columns a tile of the first kernel has: the matrix must have as many.
COLUMNS = OUTER.columns * OUTER.lanes
# Scratch memory of a worker: a tile.
SPARE = OUTER.rows * COLUMNS


@kernel(internal=True)
def copy_part(tile: Pointer, pitch: int, begin: int, y: Pointer, to: Pointer, first: int, last: int, end: int) -> None:
    """Write the columns begin <= j < end of a tile to y[to[i] + j], for its rows first <= i < last."""
    keep_small()
    never_inline()
    for i in range(first, last):
        row = pointer_to(tile, (i - first) * pitch)
        target = pointer_to(y, to[i])
        for j in range(begin, end):
            target[j] = row[j]


@kernel(internal=True)
def outer_tile(shape: Any, a: Pointer, b: Pointer, y: Pointer, spare: Pointer, plan: Pointer, unit: int) -> None:
    never_inline()
    at, to = pointer_to(plan, plan[AT]), pointer_to(plan, plan[TO])
    first, last = unit // plan[BELOW] % plan[TILES] * height(shape), plan[ROWS] - 1
    start = unit // plan[BESIDE] % plan[ACROSS] * width(shape)
    # The last tile of a row begins where it still fits, and repeats columns that another tile writes.
    column = between(0, start, plan[Y_WIDE] - width(shape))
    rows = rows_of(shape, a, at, first, last)
    b = pointer_to(b, column)
    s = zeros(shape)
    step, pitch = plan[STEP], plan[B_ROW]
    for k in range(plan[DEPTH]):
        s = outer(s, rows, k * step, b, k * pitch)
    y = pointer_to(y, column)
    if column == start:
        store_rows(s, y, to, first, last)
    else:
        store_tile(s, spare)
        below = between(0, first + height(shape), last + 1)
        copy_part(spare, width(shape), start - column, y, to, first, below, width(shape))


@task
def outer_tiles(
    a: Pointer, b: Pointer, y: Pointer, index: Pointer, work: Pointer, plan: Pointer, number: int, worker: int
) -> None:
    """This task's share of the tiles of y = A B."""
    units, tasks = plan[UNITS], plan[TASKS]
    for unit in range(units * number // tasks, units * (number + 1) // tasks):
        outer_tile(OUTER, a, b, y, pointer_to(work, worker * SPARE), plan, unit)


@task
def narrow_tiles(
    a: Pointer, b: Pointer, y: Pointer, index: Pointer, work: Pointer, plan: Pointer, number: int, worker: int
) -> None:
    """The same for a matrix with fewer columns than those tiles."""
    units, tasks = plan[UNITS], plan[TASKS]
    for unit in range(units * number // tasks, units * (number + 1) // tasks):
        outer_tile(NARROW, a, b, y, pointer_to(work, worker * SPARE), plan, unit)


@kernel(internal=True)
def inner_tile(
    shape: Any, weights: Any, a: Pointer, b: Pointer, y: Pointer, bias: Pointer, plan: Pointer, unit: int
) -> None:
    never_inline()
    first, last = unit // plan[BELOW] % plan[TILES] * height(shape), plan[ROWS] - 1
    column, last_column = unit // plan[BESIDE] % plan[ACROSS] * height(weights), plan[Y_WIDE] - 1
    xs = rows_of(shape, a, pointer_to(plan, plan[AT]), first, last)
    ws = rows_of(weights, b, pointer_to(plan, plan[FROM]), column, last_column)
    depth, lanes = plan[DEPTH], width(weights)
    whole = depth // lanes * lanes
    s = zeros(shape)
    for k in range(0, whole, lanes):
        s = inner(s, xs, ws, k)
    if whole < depth:
        s = inner_last(s, xs, ws, depth - lanes, depth - whole)
    store_totals(s, y, pointer_to(plan, plan[TO]), first, last, column, last_column, bias, plan[HAS_BIAS])


@task
def inner_tiles(
    a: Pointer, b: Pointer, y: Pointer, index: Pointer, bias: Pointer, plan: Pointer, number: int, worker: int
) -> None:
    """This task's share of the tiles of y = A B^T + bias; the bias is in the place of scratch memory."""
    units, tasks = plan[UNITS], plan[TASKS]
    for unit in range(units * number // tasks, units * (number + 1) // tasks):
        inner_tile(INNER, WEIGHTS, a, b, y, bias, plan, unit)
