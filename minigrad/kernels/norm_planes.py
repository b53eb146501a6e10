"""Normalisation in float32 where what is normalised lies in one piece.

`planes_...` are the kernels of `norm_rows.py` for memory in which the pixels of a channel lie side by side: a
plane has one mean, one scale, one shift. `centred_...` normalise each row of a matrix by its own moments and then
weigh its columns: layer and RMS normalisation, where a row fits into the cache and one visit does it all.

The loops are plain ones, for LLVM to make vectors of: they run along memory, and either add up and write nothing, or
write elements that are sums of two or three terms. Long sums are made of runs that are added in float64.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.kernels.launch import reordered_task, run
from minigrad.kernels.vec import pointer_to

__all__ = [
    "centred_rows",
    "centred_rows_grad",
    "planes_apply",
    "planes_combine",
    "planes_moments",
    "planes_products",
    "run",
]

Pointer = Any
ZERO = np.float32(0)
ONE = np.float32(1)
# Numbers that are added in float32 before the sum goes on in float64.
RUN = 4096

# The plan for planes: their number and size, channels a sample, and 1 where all samples share one row of factors.
TASKS, PLANES, SIZE, CHANNELS, SHARED = range(5)
# The plan for rows: tasks (blocks of rows), rows, columns, whether the mean is taken away.
BLOCKS, ROWS, COLUMNS, CENTRED = range(4)


@reordered_task
def planes_moments(
    x: Pointer, b: Pointer, stats: Pointer, index: Pointer, work: Pointer, plan: Pointer, number: int, worker: int
) -> None:
    """For each plane: a pivot p, sum of x - p, sum of (x - p)^2; laid out (sample, which, channel)."""
    size, channels = plan[SIZE], plan[CHANNELS]
    for plane in range(plan[PLANES] * number // plan[TASKS], plan[PLANES] * (number + 1) // plan[TASKS]):
        source = pointer_to(x, plane * size)
        out = pointer_to(stats, plane // channels * 3 * channels + plane % channels)
        total = 0.0
        for start in range(0, size, RUN):
            part = ZERO
            for i in range(start, min(start + RUN, size)):
                part += source[i]
            total += np.float64(part)
        pivot = np.float32(total / size)
        total = 0.0
        squares = 0.0
        for start in range(0, size, RUN):
            part = ZERO
            square = ZERO
            for i in range(start, min(start + RUN, size)):
                d = source[i] - pivot
                part += d
                square += d * d
            total += np.float64(part)
            squares += np.float64(square)
        out[0] = pivot
        out[channels] = np.float32(total)
        out[2 * channels] = np.float32(squares)


@reordered_task
def planes_apply(
    x: Pointer, factors: Pointer, y: Pointer, index: Pointer, work: Pointer, plan: Pointer, number: int, worker: int
) -> None:
    """y = (x - m) a + b; the factors of a sample are m, a, b."""
    size, channels = plan[SIZE], plan[CHANNELS]
    for plane in range(plan[PLANES] * number // plan[TASKS], plan[PLANES] * (number + 1) // plan[TASKS]):
        n = 0 if plan[SHARED] else plane // channels
        of = pointer_to(factors, n * 3 * channels + plane % channels)
        m, a, b = of[0], of[channels], of[2 * channels]
        source, out = pointer_to(x, plane * size), pointer_to(y, plane * size)
        for i in range(size):
            out[i] = (source[i] - m) * a + b


@reordered_task
def planes_products(
    g: Pointer, x: Pointer, stats: Pointer, index: Pointer, factors: Pointer, plan: Pointer, number: int, worker: int
) -> None:
    """For each plane: sum of g, sum of g (x - m); the factors of a sample are m, a, q, r."""
    size, channels = plan[SIZE], plan[CHANNELS]
    for plane in range(plan[PLANES] * number // plan[TASKS], plan[PLANES] * (number + 1) // plan[TASKS]):
        n = 0 if plan[SHARED] else plane // channels
        m = factors[n * 4 * channels + plane % channels]
        grads, source = pointer_to(g, plane * size), pointer_to(x, plane * size)
        out = pointer_to(stats, plane // channels * 2 * channels + plane % channels)
        total = 0.0
        products = 0.0
        for start in range(0, size, RUN):
            part = ZERO
            product = ZERO
            for i in range(start, min(start + RUN, size)):
                part += grads[i]
                product += grads[i] * (source[i] - m)
            total += np.float64(part)
            products += np.float64(product)
        out[0] = np.float32(total)
        out[channels] = np.float32(products)


@reordered_task
def planes_combine(
    g: Pointer, x: Pointer, gx: Pointer, index: Pointer, factors: Pointer, plan: Pointer, number: int, worker: int
) -> None:
    """gx = g a + (x - m) q + r; the factors of a sample are m, a, q, r."""
    size, channels = plan[SIZE], plan[CHANNELS]
    for plane in range(plan[PLANES] * number // plan[TASKS], plan[PLANES] * (number + 1) // plan[TASKS]):
        n = 0 if plan[SHARED] else plane // channels
        of = pointer_to(factors, n * 4 * channels + plane % channels)
        m, a, q, r = of[0], of[channels], of[2 * channels], of[3 * channels]
        grads, source, out = pointer_to(g, plane * size), pointer_to(x, plane * size), pointer_to(gx, plane * size)
        for i in range(size):
            out[i] = grads[i] * a + ((source[i] - m) * q + r)


@reordered_task
def centred_rows(
    x: Pointer, affine: Pointer, y: Pointer, index: Pointer, work: Pointer, plan: Pointer, number: int, worker: int
) -> None:
    """y = (x - mean) / sqrt(var + eps) w + b for each row; affine is w, b; work is eps and then, for each row,

    what the way back needs: a pivot m, and scale and shift with which (x - m) scale + shift is the standardised x.
    """
    width = plan[COLUMNS]
    w, b = pointer_to(affine, 0), pointer_to(affine, width)
    for row in range(plan[ROWS] * number // plan[BLOCKS], plan[ROWS] * (number + 1) // plan[BLOCKS]):
        source, out, kept = pointer_to(x, row * width), pointer_to(y, row * width), pointer_to(work, 1 + 3 * row)
        pivot = ZERO
        if plan[CENTRED]:
            total = 0.0
            for start in range(0, width, RUN):
                part = ZERO
                for i in range(start, min(start + RUN, width)):
                    part += source[i]
                total += np.float64(part)
            pivot = np.float32(total / width)
        total = 0.0
        squares = 0.0
        for start in range(0, width, RUN):
            part = ZERO
            square = ZERO
            for i in range(start, min(start + RUN, width)):
                d = source[i] - pivot
                part += d
                square += d * d
            total += np.float64(part)
            squares += np.float64(square)
        rest = total / width if plan[CENTRED] else 0.0
        precise = 1 / math.sqrt(squares / width - rest * rest + np.float64(work[0]))
        scale, shift = np.float32(precise), np.float32(-rest * precise)
        kept[0], kept[1], kept[2] = pivot, scale, shift
        for i in range(width):
            out[i] = ((source[i] - pivot) * scale + shift) * w[i] + b[i]


@reordered_task
def centred_rows_grad(
    g: Pointer, x: Pointer, gx: Pointer, index: Pointer, work: Pointer, plan: Pointer, number: int, worker: int
) -> None:
    """With h = g w and z the standardised x:  gx = (h - mean h - z mean h z) scale,  gw = sum g z,  gb = sum g.

    work is w, then pivot, scale and shift of each row, then the sums gw and gb of each block of rows.
    """
    width = plan[COLUMNS]
    saved = pointer_to(work, width)
    gw = pointer_to(work, width + 3 * plan[ROWS] + 2 * width * number)
    gb = pointer_to(gw, width)
    for i in range(2 * width):
        gw[i] = ZERO
    for row in range(plan[ROWS] * number // plan[BLOCKS], plan[ROWS] * (number + 1) // plan[BLOCKS]):
        grads, source, out = pointer_to(g, row * width), pointer_to(x, row * width), pointer_to(gx, row * width)
        pivot, scale, shift = saved[3 * row], saved[3 * row + 1], saved[3 * row + 2]
        total = 0.0
        products = 0.0
        for start in range(0, width, RUN):
            part = ZERO
            product = ZERO
            for i in range(start, min(start + RUN, width)):
                h = grads[i] * work[i]
                part += h
                product += h * ((source[i] - pivot) * scale + shift)
            total += np.float64(part)
            products += np.float64(product)
        mean = np.float32(total / width) if plan[CENTRED] else ZERO
        along = np.float32(products / width)
        for i in range(width):
            z = (source[i] - pivot) * scale + shift
            out[i] = (grads[i] * work[i] - mean - z * along) * scale
        for i in range(width):
            gw[i] += grads[i] * ((source[i] - pivot) * scale + shift)
            gb[i] += grads[i]
