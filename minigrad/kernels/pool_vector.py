"""Pooling with explicit vectors over the channels of a pixel; the formulas are those of `plain.py`.

Each task fills rows of its own, forward those of the result, backward those of the input's gradient, which it
collects from the windows that reach over them: however windows overlap, no two tasks write the same number. The
channels that do not fill a vector are done one by one.

The geometry is read into variables first: LLVM cannot know that a store to y leaves the plan alone, and would read the
plan again and again.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.kernels.jit import kernel
from minigrad.kernels.launch import run, task
from minigrad.kernels.pool_plan import (
    CHANNELS,
    COLUMN_STEP,
    COLUMNS,
    DOWN,
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
    RIGHT,
    ROW_STEP,
    ROW_STRIDE,
    ROWS,
    ROWS_OF,
    ROWS_OF_LENGTH,
    SAMPLE_STRIDE,
    SAMPLES,
    TASKS,
    TOP,
    WIDTH,
    WINDOW_COLUMNS,
    WINDOW_COLUMNS_OF,
    WINDOW_ROWS_OF,
)
from minigrad.kernels.tile import keep_small, never_inline
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
LOWEST = np.float32(-np.inf)
NONE = np.float32(255)


@kernel(internal=True)
def clear(p: Pointer, n: int) -> None:
    """p[0], ..., p[n - 1] = 0"""
    never_inline()
    for i in range(n):
        p[i] = ZERO


@task
def max_forward(
    x: Pointer, b: Pointer, y: Pointer, index: Pointer, work: Pointer, plan: Pointer, number: int, worker: int
) -> None:
    """Fill this task's rows of y and of index."""
    keep_small()
    rows, columns, channels, relu = plan[ROWS], plan[COLUMNS], plan[CHANNELS], plan[RELU]
    out_pixel, pixel, across = plan[OUT_PIXEL], plan[PIXEL_STRIDE], plan[WINDOW_COLUMNS]
    row_step, column_step, top, left = plan[ROW_STEP], plan[COLUMN_STEP], plan[TOP], plan[LEFT]
    down, right = plan[DOWN], plan[RIGHT]
    columns_of = pointer_to(plan, plan[WINDOW_COLUMNS_OF])
    whole = channels // LANES * LANES
    lines = plan[SAMPLES] * rows
    for line in range(lines * number // plan[TASKS], lines * (number + 1) // plan[TASKS]):
        n, i = line // rows, line % rows
        p0, p1 = plan[plan[WINDOW_ROWS_OF] + 2 * i], plan[plan[WINDOW_ROWS_OF] + 2 * i + 1]
        source = pointer_to(x, n * plan[SAMPLE_STRIDE] + (i * row_step - top) * plan[ROW_STRIDE])
        start = n * plan[OUT_SAMPLE] + i * plan[OUT_ROW]
        for j in range(columns):
            q0, q1 = columns_of[2 * j], columns_of[2 * j + 1]
            at = (j * column_step - left) * pixel
            to = start + j * out_pixel
            for c in range(0, whole, LANES):
                best = splat(LOWEST)
                where = splat(np.float32(p0 * across + q0))
                for p in range(p0, p1):
                    for q in range(q0, q1):
                        value = load(source, at + p * down + q * right + c)
                        where = where_greater(value, best, splat(np.float32(p * across + q)), where)
                        best = where_greater(value, best, value, best)
                if relu:
                    where = where_greater(best, splat(ZERO), where, splat(NONE))
                    best = where_greater(best, splat(ZERO), best, splat(ZERO))
                store(y, to + c, best)
                store_bytes(index, to + c, where)
            for c in range(whole, channels):
                best_one = LOWEST
                where_one = p0 * across + q0
                for p in range(p0, p1):
                    for q in range(q0, q1):
                        one = source[at + p * down + q * right + c]
                        if one > best_one or one != one:
                            best_one = one
                            where_one = p * across + q
                if relu and best_one <= 0:
                    best_one = ZERO
                    where_one = 255
                y[to + c] = best_one
                index[to + c] = where_one


@task
def max_backward(
    g: Pointer, b: Pointer, gx: Pointer, index: Pointer, work: Pointer, plan: Pointer, number: int, worker: int
) -> None:
    """Fill this task's rows of gx: what the windows that reach over a row give to those numbers that they chose."""
    keep_small()
    height, width, columns, channels = plan[HEIGHT], plan[WIDTH], plan[COLUMNS], plan[CHANNELS]
    pixel, right, across = plan[PIXEL_STRIDE], plan[RIGHT], plan[WINDOW_COLUMNS]
    out_row, out_pixel, index_row, index_pixel = plan[OUT_ROW], plan[OUT_PIXEL], plan[INDEX_ROW], plan[INDEX_PIXEL]
    column_step, left = plan[COLUMN_STEP], plan[LEFT]
    columns_of = pointer_to(plan, plan[WINDOW_COLUMNS_OF])
    whole = channels // LANES * LANES
    lines = plan[SAMPLES] * height
    for line in range(lines * number // plan[TASKS], lines * (number + 1) // plan[TASKS]):
        n, h = line // height, line % height
        target = pointer_to(gx, n * plan[SAMPLE_STRIDE] + h * plan[ROW_STRIDE])
        clear(target, width * pixel)
        rows_of = pointer_to(plan, plan[ROWS_OF] + h * plan[ROWS_OF_LENGTH])
        for i in range(rows_of[0], rows_of[1]):
            p = rows_of[2 + i - rows_of[0]]
            if p < 0:
                continue
            shares = pointer_to(g, n * plan[OUT_SAMPLE] + i * out_row)
            winners = pointer_to(index, n * plan[INDEX_SAMPLE] + i * index_row)
            for j in range(columns):
                q0, q1 = columns_of[2 * j], columns_of[2 * j + 1]
                at = (j * column_step - left) * pixel
                for c in range(0, whole, LANES):
                    share, winner = load(shares, j * out_pixel + c), load_bytes(winners, j * index_pixel + c)
                    for q in range(q0, q1):
                        here = where_equal(winner, splat(np.float32(p * across + q)), share, splat(ZERO))
                        to = at + q * right + c
                        store(target, to, add(load(target, to), here))
                for c in range(whole, channels):
                    q = np.int64(winners[j * index_pixel + c]) - p * across
                    if q0 <= q < q1:
                        target[at + q * right + c] += shares[j * out_pixel + c]


@task
def mean_forward(
    x: Pointer, share: Pointer, y: Pointer, index: Pointer, work: Pointer, plan: Pointer, number: int, worker: int
) -> None:
    """Fill this task's rows of y: the sum of each window times share[i, j]."""
    keep_small()
    rows, columns, channels = plan[ROWS], plan[COLUMNS], plan[CHANNELS]
    out_pixel, row, pixel = plan[OUT_PIXEL], plan[ROW_STRIDE], plan[PIXEL_STRIDE]
    column_step, left = plan[COLUMN_STEP], plan[LEFT]
    columns_of = pointer_to(plan, plan[WINDOW_COLUMNS_OF])
    whole = channels // LANES * LANES
    lines = plan[SAMPLES] * rows
    for line in range(lines * number // plan[TASKS], lines * (number + 1) // plan[TASKS]):
        n, i = line // rows, line % rows
        p0, p1 = plan[plan[WINDOW_ROWS_OF] + 2 * i], plan[plan[WINDOW_ROWS_OF] + 2 * i + 1]
        source = pointer_to(x, n * plan[SAMPLE_STRIDE] + (i * plan[ROW_STEP] - plan[TOP]) * row)
        start = n * plan[OUT_SAMPLE] + i * plan[OUT_ROW]
        for j in range(columns):
            q0, q1 = columns_of[2 * j], columns_of[2 * j + 1]
            at = (j * column_step - left) * pixel
            to = start + j * out_pixel
            factor = share[i * columns + j]
            for c in range(0, whole, LANES):
                s = splat(ZERO)
                for p in range(p0, p1):
                    for q in range(q0, q1):
                        s = add(s, load(source, at + p * row + q * pixel + c))
                store(y, to + c, multiply(s, splat(factor)))
            for c in range(whole, channels):
                one = ZERO
                for p in range(p0, p1):
                    for q in range(q0, q1):
                        one += source[at + p * row + q * pixel + c]
                y[to + c] = one * factor


@task
def mean_backward(
    g: Pointer, share: Pointer, gx: Pointer, index: Pointer, work: Pointer, plan: Pointer, number: int, worker: int
) -> None:
    """Fill this task's rows of gx: the g * share of the windows that reach over a row."""
    keep_small()
    height, width, columns, channels = plan[HEIGHT], plan[WIDTH], plan[COLUMNS], plan[CHANNELS]
    pixel, out_row, out_pixel = plan[PIXEL_STRIDE], plan[OUT_ROW], plan[OUT_PIXEL]
    column_step, left = plan[COLUMN_STEP], plan[LEFT]
    columns_of = pointer_to(plan, plan[WINDOW_COLUMNS_OF])
    whole = channels // LANES * LANES
    lines = plan[SAMPLES] * height
    for line in range(lines * number // plan[TASKS], lines * (number + 1) // plan[TASKS]):
        n, h = line // height, line % height
        target = pointer_to(gx, n * plan[SAMPLE_STRIDE] + h * plan[ROW_STRIDE])
        clear(target, width * pixel)
        rows_of = pointer_to(plan, plan[ROWS_OF] + h * plan[ROWS_OF_LENGTH])
        for i in range(rows_of[0], rows_of[1]):
            grads = pointer_to(g, n * plan[OUT_SAMPLE] + i * out_row)
            for j in range(columns):
                q0, q1 = columns_of[2 * j], columns_of[2 * j + 1]
                at = (j * column_step - left) * pixel
                factor = share[i * columns + j]
                for c in range(0, whole, LANES):
                    here = multiply(load(grads, j * out_pixel + c), splat(factor))
                    for q in range(q0, q1):
                        to = at + q * pixel + c
                        store(target, to, add(load(target, to), here))
                for c in range(whole, channels):
                    for q in range(q0, q1):
                        target[at + q * pixel + c] += grads[j * out_pixel + c] * factor
