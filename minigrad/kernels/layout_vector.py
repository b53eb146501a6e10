"""From pixels whose channels lie side by side to planes, and back: many small matrices, each one transposed.

A channels-last image is a matrix of pixels by channels, a channels-first image one of channels by pixels. numpy copies
from one to the other a number at a time, each from another cache line. Here eight columns are read at once: the lines
that they lie in are used eight times before they leave the cache.
"""

from __future__ import annotations

from typing import Any

from minigrad.kernels.jit import kernel
from minigrad.kernels.launch import run, task
from minigrad.kernels.tile import keep_small
from minigrad.kernels.vec import pointer_to

__all__ = ["run", "transpose"]

Pointer = Any
BLOCK = 8


@kernel(internal=True)
def transpose_one(a: Pointer, b: Pointer, rows: int, columns: int) -> None:
    """b[j, i] = a[i, j] for a matrix a of so many rows and columns."""
    keep_small()
    whole = columns // BLOCK * BLOCK
    for j in range(0, whole, BLOCK):
        for i in range(rows):
            for n in range(BLOCK):
                b[(j + n) * rows + i] = a[i * columns + j + n]
    for j in range(whole, columns):
        for i in range(rows):
            b[j * rows + i] = a[i * columns + j]


@task
def transpose(
    a: Pointer, b: Pointer, c: Pointer, index: Pointer, work: Pointer, plan: Pointer, number: int, worker: int
) -> None:
    """This task's share of the matrices; the plan is their number, rows and columns, and the number of tasks."""
    matrices, rows, columns, tasks = plan[0], plan[1], plan[2], plan[3]
    size = rows * columns
    for n in range(matrices * number // tasks, matrices * (number + 1) // tasks):
        transpose_one(pointer_to(a, n * size), pointer_to(c, n * size), rows, columns)
