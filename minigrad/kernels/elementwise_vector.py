"""The steps between the large kernels of a network, as tasks: ReLU, its gradient, and the gradient of a bias.

LLVM makes their vectors: nothing is summed up across them, and what is added up is added in the order that is written.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.kernels.jit import kernel
from minigrad.kernels.launch import task
from minigrad.kernels.vec import pointer_to

__all__ = ["column_sums", "relu", "relu_grad"]

Pointer = Any
_ZERO, _ONE = np.float32(0), np.float32(1)


@task
def relu(
    a: Pointer, b: Pointer, c: Pointer, index: Pointer, work: Pointer, plan: Pointer, number: int, worker: int
) -> None:
    """c[i] = max(a[i], 0), NaN where a[i] is NaN; the plan is the length and the number of tasks."""
    length, tasks = plan[0], plan[1]
    for i in range(length * number // tasks, length * (number + 1) // tasks):
        c[i] = a[i] if a[i] > _ZERO or a[i] != a[i] else _ZERO


@task
def relu_grad(
    a: Pointer, b: Pointer, c: Pointer, index: Pointer, work: Pointer, plan: Pointer, number: int, worker: int
) -> None:
    """c[i] = a[i] (b[i] > 0), a being the gradient of the ReLU's result b; the plan is that of `relu`."""
    length, tasks = plan[0], plan[1]
    for i in range(length * number // tasks, length * (number + 1) // tasks):
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
