"""The geometry of a matrix product as one array of integers: a header, then where each row of its matrices begins."""

from __future__ import annotations

import functools

import numpy as np

__all__ = ["dense_plan"]

Pair = tuple[int, int]

# The header. Distances are counted in numbers, not in bytes.
(
    ROWS,  # of y
    Y_WIDE,  # columns of y
    DEPTH,  # products in a sum
    STEP,  # in a, from one number of a sum to the next
    B_ROW,  # in b, from one number of a sum to the next, or from one column of y to the next
    HAS_BIAS,
    TASKS,
    TILES,  # tiles below one another
    ACROSS,  # and side by side
    UNITS,  # all tiles
    BELOW,  # from a tile to the one below it, in the order in which they are computed
    BESIDE,  # and to the one beside it
    AT,  # where in the plan the tables begin: of the rows of a,
    TO,  # of the rows of y,
    FROM,  # and of what b has for each column of y
    HEADER,
) = range(16)

# With so many numbers b does not stay in the cache of one core (1 MB is usual for the second level).
_MANY = 1 << 18


@functools.lru_cache(maxsize=256)
def dense_plan(
    rows: int, wide: int, depth: int, a_strides: Pair, b_strides: Pair, has_bias: bool, tile: Pair, tasks: int
) -> np.ndarray:
    """The plan of the product of a (rows, depth) and b (depth, wide), with their strides in bytes."""
    (a_row, a_step), (b_row, b_step) = ((s // 4 for s in strides) for strides in (a_strides, b_strides))
    plan = np.zeros(HEADER + 2 * rows + wide, np.int64)
    tiles, across = (-(-length // n) for length, n in zip((rows, wide), tile, strict=True))
    # By strips as wide as a tile b is read once. But the gradient of a weight, A^T B, goes row after row of tiles: a
    # thread then writes neighbouring rows, those that it updates in the optimizer's step (`optim/arena.py`). Going down
    # strips it reaches the end of its rows again and again, and there the processor, which guesses what comes next and
    # fetches it ahead, takes memory away from the other thread's core.
    by_rows = a_step != 1 and depth * wide < _MANY
    below, beside = (across, 1) if by_rows else (1, tiles)
    at, to, start = HEADER, HEADER + rows, HEADER + 2 * rows
    for place, value in {
        ROWS: rows,
        Y_WIDE: wide,
        DEPTH: depth,
        STEP: a_step,
        B_ROW: b_row,
        HAS_BIAS: int(has_bias),
        TASKS: tasks,
        TILES: tiles,
        ACROSS: across,
        UNITS: tiles * across,
        BELOW: below,
        BESIDE: beside,
        AT: at,
        TO: to,
        FROM: start,
    }.items():
        plan[place] = value
    plan[at:to] = np.arange(rows) * a_row
    plan[to:start] = np.arange(rows) * wide
    plan[start:] = np.arange(wide) * b_step
    return plan
