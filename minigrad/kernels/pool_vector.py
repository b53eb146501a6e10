"""Pooling with explicit vectors over the channels of a pixel; the formulas are those of `plain.py`.

Both directions gather: each task writes rows of its own, forward those of the result, backward those of the input's
gradient, so nothing is written twice and no buffer has to be cleared first. The channels that do not fill a vector
are done one by one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.kernels.launch import run, task
from minigrad.kernels.pool_plan import (
    CHANNELS,
    COLUMN_DILATION,
    COLUMN_STEP,
    COLUMNS,
    COLUMNS_OF,
    HEIGHT,
    INDEX_PIXEL,
    INDEX_ROW,
    INDEX_SAMPLE,
    LEFT,
    OUT_PIXEL,
    OUT_ROW,
    OUT_SAMPLE,
    PIXEL_STRIDE,
    RELU,
    ROW_DILATION,
    ROW_STEP,
    ROW_STRIDE,
    ROWS,
    ROWS_OF,
    SAMPLE_STRIDE,
    SAMPLES,
    TASKS,
    TOP,
    WIDTH,
    WINDOW_COLUMNS,
    WINDOW_COLUMNS_OF,
    WINDOW_ROWS_OF,
)
from minigrad.kernels.vec import (
    LANES,
    add,
    load,
    load_bytes,
    multiply,
    pointer_to,
    splat,
    store,
    store_bytes,
    where_equal,
    where_greater,
)

__all__ = ["max_backward", "max_forward", "mean_backward", "mean_forward", "run"]

Pointer = Any
ZERO = np.float32(0)
NONE = np.float32(255)


@task
def max_forward(
    x: Pointer, b: Pointer, y: Pointer, index: Pointer, work: Pointer, plan: Pointer, number: int
) -> None:
    """Fill this task's rows of y and of index."""
    rows, columns, channels = plan[ROWS], plan[COLUMNS], plan[CHANNELS]
    whole = channels // LANES * LANES
    lines = plan[SAMPLES] * rows
    for line in range(lines * number // plan[TASKS], lines * (number + 1) // plan[TASKS]):
        n, i = line // rows, line % rows
        p0, p1 = plan[plan[WINDOW_ROWS_OF] + 2 * i], plan[plan[WINDOW_ROWS_OF] + 2 * i + 1]
        for j in range(columns):
            q0, q1 = plan[plan[WINDOW_COLUMNS_OF] + 2 * j], plan[plan[WINDOW_COLUMNS_OF] + 2 * j + 1]
            to = n * plan[OUT_SAMPLE] + i * plan[OUT_ROW] + j * plan[OUT_PIXEL]
            h, v = i * plan[ROW_STEP] - plan[TOP], j * plan[COLUMN_STEP] - plan[LEFT]
            at = n * plan[SAMPLE_STRIDE] + h * plan[ROW_STRIDE] + v * plan[PIXEL_STRIDE]
            down, right = plan[ROW_DILATION] * plan[ROW_STRIDE], plan[COLUMN_DILATION] * plan[PIXEL_STRIDE]
            for c in range(0, whole, LANES):
                best = load(x, at + p0 * down + q0 * right + c)
                where = splat(np.float32(p0 * plan[WINDOW_COLUMNS] + q0))
                for p in range(p0, p1):
                    for q in range(q0, q1):
                        value = load(x, at + p * down + q * right + c)
                        position = splat(np.float32(p * plan[WINDOW_COLUMNS] + q))
                        where = where_greater(value, best, position, where)
                        best = where_greater(value, best, value, best)
                if plan[RELU]:
                    where = where_greater(best, splat(ZERO), where, splat(NONE))
                    best = where_greater(best, splat(ZERO), best, splat(ZERO))
                store(y, to + c, best)
                store_bytes(index, to + c, where)
            for c in range(whole, channels):
                best_one = x[at + p0 * down + q0 * right + c]
                where_one = p0 * plan[WINDOW_COLUMNS] + q0
                for p in range(p0, p1):
                    for q in range(q0, q1):
                        one = x[at + p * down + q * right + c]
                        if one > best_one or one != one:
                            best_one = one
                            where_one = p * plan[WINDOW_COLUMNS] + q
                if plan[RELU] and best_one <= 0:
                    best_one, where_one = ZERO, 255
                y[to + c] = best_one
                index[to + c] = where_one


@task
def max_backward(
    g: Pointer, b: Pointer, gx: Pointer, index: Pointer, work: Pointer, plan: Pointer, number: int
) -> None:
    """Fill this task's rows of gx: for each number, the g of the windows that it won."""
    height, width, channels = plan[HEIGHT], plan[WIDTH], plan[CHANNELS]
    whole = channels // LANES * LANES
    lines = plan[SAMPLES] * height
    for line in range(lines * number // plan[TASKS], lines * (number + 1) // plan[TASKS]):
        n, h = line // height, line % height
        i0, i1 = plan[plan[ROWS_OF] + 2 * h], plan[plan[ROWS_OF] + 2 * h + 1]
        for v in range(width):
            j0, j1 = plan[plan[COLUMNS_OF] + 2 * v], plan[plan[COLUMNS_OF] + 2 * v + 1]
            to = n * plan[SAMPLE_STRIDE] + h * plan[ROW_STRIDE] + v * plan[PIXEL_STRIDE]
            for c in range(0, channels, LANES):
                full = c < whole
                s = splat(ZERO)
                if not full:
                    for k in range(c, channels):
                        gx[to + k] = ZERO
                for i in range(i0, i1):
                    p = h + plan[TOP] - i * plan[ROW_STEP]
                    if plan[ROW_DILATION] > 1:
                        if p % plan[ROW_DILATION]:
                            continue
                        p //= plan[ROW_DILATION]
                    for j in range(j0, j1):
                        q = v + plan[LEFT] - j * plan[COLUMN_STEP]
                        if plan[COLUMN_DILATION] > 1:
                            if q % plan[COLUMN_DILATION]:
                                continue
                            q //= plan[COLUMN_DILATION]
                        position = p * plan[WINDOW_COLUMNS] + q
                        at = n * plan[OUT_SAMPLE] + i * plan[OUT_ROW] + j * plan[OUT_PIXEL]
                        won = n * plan[INDEX_SAMPLE] + i * plan[INDEX_ROW] + j * plan[INDEX_PIXEL]
                        if full:
                            here = splat(np.float32(position))
                            share = where_equal(load_bytes(index, won + c), here, load(g, at + c), splat(ZERO))
                            s = add(s, share)
                        else:
                            for k in range(c, channels):
                                if index[won + k] == position:
                                    gx[to + k] += g[at + k]
                if full:
                    store(gx, to + c, s)


@task
def mean_forward(
    x: Pointer, share: Pointer, y: Pointer, index: Pointer, work: Pointer, plan: Pointer, number: int
) -> None:
    """Fill this task's rows of y: the sum of each window times share[i, j]."""
    rows, columns, channels = plan[ROWS], plan[COLUMNS], plan[CHANNELS]
    whole = channels // LANES * LANES
    lines = plan[SAMPLES] * rows
    for line in range(lines * number // plan[TASKS], lines * (number + 1) // plan[TASKS]):
        n, i = line // rows, line % rows
        p0, p1 = plan[plan[WINDOW_ROWS_OF] + 2 * i], plan[plan[WINDOW_ROWS_OF] + 2 * i + 1]
        for j in range(columns):
            q0, q1 = plan[plan[WINDOW_COLUMNS_OF] + 2 * j], plan[plan[WINDOW_COLUMNS_OF] + 2 * j + 1]
            to = n * plan[OUT_SAMPLE] + i * plan[OUT_ROW] + j * plan[OUT_PIXEL]
            h, v = i * plan[ROW_STEP] - plan[TOP], j * plan[COLUMN_STEP] - plan[LEFT]
            at = n * plan[SAMPLE_STRIDE] + h * plan[ROW_STRIDE] + v * plan[PIXEL_STRIDE]
            factor = share[i * columns + j]
            for c in range(0, whole, LANES):
                s = splat(ZERO)
                for p in range(p0, p1):
                    for q in range(q0, q1):
                        s = add(s, load(x, at + p * plan[ROW_STRIDE] + q * plan[PIXEL_STRIDE] + c))
                store(y, to + c, multiply(s, splat(factor)))
            for c in range(whole, channels):
                one = ZERO
                for p in range(p0, p1):
                    for q in range(q0, q1):
                        one += x[at + p * plan[ROW_STRIDE] + q * plan[PIXEL_STRIDE] + c]
                y[to + c] = one * factor


@task
def mean_backward(
    g: Pointer, share: Pointer, gx: Pointer, index: Pointer, work: Pointer, plan: Pointer, number: int
) -> None:
    """Fill this task's rows of gx: for each number, the g * share of the windows that cover it."""
    height, width, channels = plan[HEIGHT], plan[WIDTH], plan[CHANNELS]
    whole = channels // LANES * LANES
    lines = plan[SAMPLES] * height
    for line in range(lines * number // plan[TASKS], lines * (number + 1) // plan[TASKS]):
        n, h = line // height, line % height
        i0, i1 = plan[plan[ROWS_OF] + 2 * h], plan[plan[ROWS_OF] + 2 * h + 1]
        for v in range(width):
            j0, j1 = plan[plan[COLUMNS_OF] + 2 * v], plan[plan[COLUMNS_OF] + 2 * v + 1]
            to = n * plan[SAMPLE_STRIDE] + h * plan[ROW_STRIDE] + v * plan[PIXEL_STRIDE]
            for c in range(0, whole, LANES):
                s = splat(ZERO)
                for i in range(i0, i1):
                    for j in range(j0, j1):
                        at = n * plan[OUT_SAMPLE] + i * plan[OUT_ROW] + j * plan[OUT_PIXEL]
                        factor = splat(share[i * plan[COLUMNS] + j])
                        s = add(s, multiply(load(g, at + c), factor))
                store(gx, to + c, s)
            for c in range(whole, channels):
                one = ZERO
                for i in range(i0, i1):
                    for j in range(j0, j1):
                        at = n * plan[OUT_SAMPLE] + i * plan[OUT_ROW] + j * plan[OUT_PIXEL]
                        one += g[at + c] * share[i * plan[COLUMNS] + j]
                gx[to + c] = one
