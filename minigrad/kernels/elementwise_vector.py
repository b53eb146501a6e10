"""The steps between the large kernels of a network, as tasks: ReLU, its gradient, and the gradient of a bias.

What is added up is added in the order that is written.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.kernels.jit import kernel
from minigrad.kernels.launch import task
from minigrad.kernels.vec import LANES, Vector, load, multiply, pointer_to, splat, store, where_equal, where_greater

__all__ = ["column_sums", "relu", "relu_grad"]

Pointer = Any
_ZERO, _ONE = np.float32(0), np.float32(1)


@task
def relu(
    a: Pointer, b: Pointer, c: Pointer, index: Pointer, work: Pointer, plan: Pointer, number: int, worker: int
) -> None:
    """c[i] = max(a[i], 0), NaN where a[i] is NaN; c may be a. The plan is the length and the number of tasks."""
    first, last = plan[0] * number // plan[1], plan[0] * (number + 1) // plan[1]
    whole = first + (last - first) // LANES * LANES
    zero = splat(_ZERO)
    for i in range(first, whole, LANES):
        x = load(a, i)
        store(c, i, where_greater(x, zero, x, zero))
    for i in range(whole, last):
        c[i] = a[i] if a[i] > _ZERO or a[i] != a[i] else _ZERO


@kernel(internal=True)
def is_positive(x: Vector) -> Vector:
    """1 where x > 0, else 0, also where it is NaN."""
    zero = splat(_ZERO)
    return where_equal(x, x, where_greater(x, zero, splat(_ONE), zero), zero)


@task
def relu_grad(
    a: Pointer, b: Pointer, c: Pointer, index: Pointer, work: Pointer, plan: Pointer, number: int, worker: int
) -> None:
    """c[i] = a[i] (b[i] > 0), a being the gradient of the ReLU's result b; the plan is that of `relu`."""
    first, last = plan[0] * number // plan[1], plan[0] * (number + 1) // plan[1]
    whole = first + (last - first) // LANES * LANES
    for i in range(first, whole, LANES):
        store(c, i, multiply(load(a, i), is_positive(load(b, i))))
    for i in range(whole, last):
        c[i] = a[i] * (_ONE if b[i] > _ZERO else _ZERO)


@kernel(internal=True)
def add_row(c: Pointer, a: Pointer, first: int, last: int) -> None:
    for j in range(first, last):
        c[j] += a[j]


@task
def column_sums(
    a: Pointer, b: Pointer, c: Pointer, index: Pointer, work: Pointer, plan: Pointer, number: int, worker: int
) -> None:
    """c[j] = sum over i of a[i, j], in the order of i; the plan is rows, columns and the number of tasks."""
    rows, columns, tasks = plan[0], plan[1], plan[2]
    first, last = columns * number // tasks, columns * (number + 1) // tasks
    for j in range(first, last):
        c[j] = a[j]
    for i in range(1, rows):
        add_row(c, pointer_to(a, i * columns), first, last)
