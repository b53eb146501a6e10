"""The geometry of a matrix product as one array of integers: a header, then where each row of its matrices begins."""

from __future__ import annotations

import functools

import numpy as np

__all__ = ["dense_plan"]

Pair = tuple[int, int]

# The header. Distances are counted in numbers, not in bytes.
(
    ROWS,  # of y
    WIDE,  # columns of y
    DEPTH,  # products in a sum
    STEP,  # in a, from one number of a sum to the next
    B_ROW,  # in b, from one number of a sum to the next, or from one column of y to the next
    HAS_BIAS,
    TASKS,
    TILES,  # tiles below one another
    UNITS,  # all tiles
    AT,  # where in the plan the tables begin: of the rows of a,
    TO,  # of the rows of y,
    FROM,  # and of what b has for each column of y
    HEADER,
) = range(13)


@functools.lru_cache(maxsize=256)
def dense_plan(
    rows: int, wide: int, depth: int, a_strides: Pair, b_strides: Pair, has_bias: bool, tile: Pair, tasks: int
) -> np.ndarray:
    """The plan of the product of a (rows, depth) and b (depth, wide), with their strides in bytes."""
    (a_row, a_step), (b_row, b_step) = ((s // 4 for s in strides) for strides in (a_strides, b_strides))
    plan = np.zeros(HEADER + 2 * rows + wide, np.int64)
    tiles = -(-rows // tile[0])
    at, to, start = HEADER, HEADER + rows, HEADER + 2 * rows
    for place, value in {
        ROWS: rows,
        WIDE: wide,
        DEPTH: depth,
        STEP: a_step,
        B_ROW: b_row,
        HAS_BIAS: int(has_bias),
        TASKS: tasks,
        TILES: tiles,
        UNITS: tiles * -(-wide // tile[1]),
        AT: at,
        TO: to,
        FROM: start,
    }.items():
        plan[place] = value
    plan[at:to] = np.arange(rows) * a_row
    plan[to:start] = np.arange(rows) * wide
    plan[start:] = np.arange(wide) * b_step
    return plan
