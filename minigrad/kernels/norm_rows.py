"""Batch and group normalisation in float32 where the channels of a pixel lie side by side.

An image is then a matrix of *rows*, one for each pixel, with a column for each channel. Fewer channels than a vector
has lanes are made enough by taking several pixels as one row. The last vector of a row steps back to overlap the
one before, so every width from LANES on needs no remainder loop; what is left of the last pixels, a part of a
row, is the *tail* and done number by number.

Rows come in *segments* of at most 32 KB, so that a segment is read from memory once and then from the cache. Each
segment leaves its own sums, which the caller adds in order: whichever thread did a segment, the bits are the same.
First sums about zero only give a pivot, nearly the mean; the moments are taken about the pivot, so that numbers
of any size keep their variance.

The *factors* of a sample are rows of numbers, one for each column: what the caller made of the moments.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.kernels.launch import run, task
from minigrad.kernels.tile import keep_small
from minigrad.kernels.vec import LANES, add, fma, load, multiply, pointer_to, splat, store

__all__ = ["LANES", "rows_apply", "rows_combine", "rows_moments", "rows_products", "run"]

Pointer = Any
ZERO = np.float32(0)
ONE = np.float32(1)
MINUS = np.float32(-1)

# The plan. A sample is ROWS rows of WIDTH numbers and TAIL more; it has SEGMENTS segments of LENGTH rows, of which the
# last one is the tail if there is one.
TASKS, SAMPLES, ROWS, WIDTH, TAIL, LENGTH, SEGMENTS = range(7)


@task
def rows_moments(
    x: Pointer, b: Pointer, stats: Pointer, index: Pointer, work: Pointer, plan: Pointer, number: int, worker: int
) -> None:
    """For each segment and column: a pivot p, sum of x - p, sum of (x - p)^2."""
    keep_small()
    rows, width, tail, length, segments = plan[ROWS], plan[WIDTH], plan[TAIL], plan[LENGTH], plan[SEGMENTS]
    everything = plan[SAMPLES] * segments
    for segment in range(everything * number // plan[TASKS], everything * (number + 1) // plan[TASKS]):
        n, first = segment // segments, min(segment % segments * length, rows)
        source = pointer_to(x, n * (rows * width + tail) + first * width)
        out = pointer_to(stats, segment * 3 * width)
        count = min(length, rows - first)
        if count == 0:
            for i in range(width):
                out[i] = source[i] if i < tail else ZERO
                out[width + i] = ZERO
                out[2 * width + i] = ZERO
        else:
            share = splat(ONE / np.float32(count))
            for v in range(0, width, LANES):
                c = min(v, width - LANES)
                s0 = splat(ZERO)
                s1 = splat(ZERO)
                s2 = splat(ZERO)
                s3 = splat(ZERO)
                at = c
                for _ in range(count // 4):
                    s0 = add(s0, load(source, at))
                    s1 = add(s1, load(source, at + width))
                    s2 = add(s2, load(source, at + 2 * width))
                    s3 = add(s3, load(source, at + 3 * width))
                    at += 4 * width
                for _ in range(count % 4):
                    s0 = add(s0, load(source, at))
                    at += width
                pivot = multiply(add(add(s0, s1), add(s2, s3)), share)
                back = multiply(pivot, splat(MINUS))
                s0 = splat(ZERO)
                s1 = splat(ZERO)
                q0 = splat(ZERO)
                q1 = splat(ZERO)
                at = c
                for _ in range(count // 2):
                    d0 = add(load(source, at), back)
                    d1 = add(load(source, at + width), back)
                    s0 = add(s0, d0)
                    s1 = add(s1, d1)
                    q0 = fma(d0, d0, q0)
                    q1 = fma(d1, d1, q1)
                    at += 2 * width
                if count % 2:
                    d0 = add(load(source, at), back)
                    s0 = add(s0, d0)
                    q0 = fma(d0, d0, q0)
                store(out, c, pivot)
                store(out, width + c, add(s0, s1))
                store(out, 2 * width + c, add(q0, q1))


@task
def rows_apply(
    x: Pointer, factors: Pointer, y: Pointer, index: Pointer, work: Pointer, plan: Pointer, number: int, worker: int
) -> None:
    """y = (x - m) a + b; the factors of a sample are m, a, b."""
    keep_small()
    rows, width, tail, length, segments = plan[ROWS], plan[WIDTH], plan[TAIL], plan[LENGTH], plan[SEGMENTS]
    everything = plan[SAMPLES] * segments
    for segment in range(everything * number // plan[TASKS], everything * (number + 1) // plan[TASKS]):
        n, first = segment // segments, min(segment % segments * length, rows)
        start = n * (rows * width + tail) + first * width
        source, out, of = pointer_to(x, start), pointer_to(y, start), pointer_to(factors, n * 3 * width)
        count = min(length, rows - first)
        if count == 0:
            for i in range(tail):
                out[i] = (source[i] - of[i]) * of[width + i] + of[2 * width + i]
        else:
            for v in range(0, width, LANES):
                c = min(v, width - LANES)
                back = multiply(load(of, c), splat(MINUS))
                a, b = load(of, width + c), load(of, 2 * width + c)
                for i in range(c, c + count * width, width):
                    store(out, i, fma(add(load(source, i), back), a, b))


@task
def rows_products(
    g: Pointer, x: Pointer, stats: Pointer, index: Pointer, factors: Pointer, plan: Pointer, number: int, worker: int
) -> None:
    """For each segment and column: sum of g, sum of g (x - m); the factors of a sample are m, a, q, r."""
    keep_small()
    rows, width, tail, length, segments = plan[ROWS], plan[WIDTH], plan[TAIL], plan[LENGTH], plan[SEGMENTS]
    everything = plan[SAMPLES] * segments
    for segment in range(everything * number // plan[TASKS], everything * (number + 1) // plan[TASKS]):
        n, first = segment // segments, min(segment % segments * length, rows)
        start = n * (rows * width + tail) + first * width
        grads, source, of = pointer_to(g, start), pointer_to(x, start), pointer_to(factors, n * 4 * width)
        out = pointer_to(stats, segment * 2 * width)
        count = min(length, rows - first)
        if count == 0:
            for i in range(width):
                out[i] = grads[i] if i < tail else ZERO
                out[width + i] = grads[i] * (source[i] - of[i]) if i < tail else ZERO
        else:
            for v in range(0, width, LANES):
                c = min(v, width - LANES)
                back = multiply(load(of, c), splat(MINUS))
                s0 = splat(ZERO)
                s1 = splat(ZERO)
                p0 = splat(ZERO)
                p1 = splat(ZERO)
                at = c
                for _ in range(count // 2):
                    g0 = load(grads, at)
                    g1 = load(grads, at + width)
                    s0 = add(s0, g0)
                    s1 = add(s1, g1)
                    p0 = fma(g0, add(load(source, at), back), p0)
                    p1 = fma(g1, add(load(source, at + width), back), p1)
                    at += 2 * width
                if count % 2:
                    g0 = load(grads, at)
                    s0 = add(s0, g0)
                    p0 = fma(g0, add(load(source, at), back), p0)
                store(out, c, add(s0, s1))
                store(out, width + c, add(p0, p1))


@task
def rows_combine(
    g: Pointer, x: Pointer, gx: Pointer, index: Pointer, factors: Pointer, plan: Pointer, number: int, worker: int
) -> None:
    """gx = g a + (x - m) q + r; the factors of a sample are m, a, q, r."""
    keep_small()
    rows, width, tail, length, segments = plan[ROWS], plan[WIDTH], plan[TAIL], plan[LENGTH], plan[SEGMENTS]
    everything = plan[SAMPLES] * segments
    for segment in range(everything * number // plan[TASKS], everything * (number + 1) // plan[TASKS]):
        n, first = segment // segments, min(segment % segments * length, rows)
        start = n * (rows * width + tail) + first * width
        grads, source, out = pointer_to(g, start), pointer_to(x, start), pointer_to(gx, start)
        of = pointer_to(factors, n * 4 * width)
        count = min(length, rows - first)
        if count == 0:
            for i in range(tail):
                centred = (source[i] - of[i]) * of[2 * width + i] + of[3 * width + i]
                out[i] = grads[i] * of[width + i] + centred
        else:
            for v in range(0, width, LANES):
                c = min(v, width - LANES)
                back = multiply(load(of, c), splat(MINUS))
                a, q, r = load(of, width + c), load(of, 2 * width + c), load(of, 3 * width + c)
                for i in range(c, c + count * width, width):
                    store(out, i, fma(load(grads, i), a, fma(add(load(source, i), back), q, r)))
