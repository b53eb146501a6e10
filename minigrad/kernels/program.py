"""Kernels one after another in a single call: what a network does, written down once for a shape of its input.

A training step of a small network is a dozen kernels of a few microseconds each, and to find each of them again, with
its plan, its arrays and its memory, takes longer than to run it. None of that changes from one batch to the next. So it
is written down: a *program* is a table with a row for each launch,

    kernel    a              b         c               index     work    plan   tasks  workers
    pack      weight 0       weight 1                            WORK    ...    16     1
    gather    X                        MEMORY + 0      MEMORY    WORK    ...    16     2
    pack      weight 2       weight 3                            WORK    ...    4      1
    gather    MEMORY + 0               MEMORY + 98304  MEMORY    WORK    ...    4      2

and `Program.run` goes through some of its rows without coming back to Python between them. Kernels, plans and threads
are those of `launch.py`: each row does what `launch.run` does, and gives the same bits.

An operand is a *place*: a base and an offset in bytes. The bases are what is another array in each call; they come with
the call, and so a program never changes and may run in several Python threads at once.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba import types

from minigrad.kernels.buffers import workspace
from minigrad.kernels.jit import call_parallel
from minigrad.kernels.launch import Task, address_of, entry, integers_at, integers_on_stack, share_out

__all__ = [
    "LOCAL",
    "MEMORY",
    "NOWHERE",
    "OUT",
    "RESULT",
    "UPSTREAM",
    "WEIGHTS",
    "Place",
    "Program",
    "Script",
    "Value",
    "X",
    "c_strides",
    "strides_of",
]

Shape = tuple[int, ...]

# The bases of places.
(
    NOTHING,
    WORK,  # scratch memory, free again when the next launch begins
    X,  # the input of the network
    MEMORY,  # what the forward pass leaves for the backward pass
    RESULT,  # the result
    UPSTREAM,  # its gradient
    LOCAL,  # what this pass alone needs
    OUT,  # where the gradient of a weight is wanted
    WEIGHTS,  # the first weight; the others follow
) = range(9)

# The columns of the table: for each operand its base, and in the next column its offset.
KERNEL, A, B, C, INDEX, SCRATCH, PLAN, TASKS, MOST_WORKERS, COLUMNS = 0, 1, 3, 5, 7, 9, 11, 12, 13, 14

# Arrays begin at cache lines.
_ALIGNMENT = 64


class Place(NamedTuple):
    """Somewhere in memory: `at` bytes after the beginning of a base."""

    base: int
    at: int = 0


NOWHERE = Place(NOTHING)
_SCRATCH = Place(WORK)


class Value(NamedTuple):
    """A float32 array of the program: its place, shape, and strides in bytes."""

    place: Place
    shape: Shape
    strides: Shape

    @property
    def layout(self) -> tuple[Shape, Shape]:
        return self.shape, self.strides

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def lies_as(self, strides: Shape) -> bool:
        """Whether its elements lie in memory as those of an array with these strides."""
        return all(n == 1 or a == b for n, a, b in zip(self.shape, self.strides, strides, strict=True))


def strides_of(shape: Shape) -> Shape:
    """The strides in bytes of a new array: images have their channels side by side, others are in C order."""
    if len(shape) != 4:
        return c_strides(shape)
    n, c, h, w = shape
    sample, row, pixel, channel = c_strides((n, h, w, c))
    return sample, channel, row, pixel


def c_strides(shape: Shape) -> Shape:
    """The strides in bytes of an array in C order."""
    return tuple(4 * math.prod(shape[i + 1 :]) for i in range(len(shape)))


class Script:
    """A program while it is being written.

    Parameters
    ----------
    threads : so many threads are to run it
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.rows: list[list[int]] = []
        self.scratch = 0  # numbers of scratch memory that a launch needs at most
        self.lengths = {MEMORY: 0, LOCAL: 0}  # bytes
        self.output_base = MEMORY
        self.plans: list[np.ndarray] = []

    def array(self, base: int, shape: Shape) -> Value:
        """Room for an array in MEMORY or LOCAL."""
        value = Value(Place(base, self.lengths[base]), shape, strides_of(shape))
        self._reserve(base, 4 * value.size)
        return value

    def output(self, shape: Shape) -> Value:
        """Room for the result of a layer, in `output_base`."""
        if self.output_base == RESULT:
            return Value(Place(RESULT), shape, strides_of(shape))
        return self.array(self.output_base, shape)

    def bytes(self, base: int, count: int) -> Place:
        """Room for so many bytes."""
        place = Place(base, self.lengths[base])
        self._reserve(base, count)
        return place

    def _reserve(self, base: int, count: int) -> None:
        self.lengths[base] += -(-count // _ALIGNMENT) * _ALIGNMENT

    def launch(
        self,
        kernel: Task,
        plan: np.ndarray,
        tasks: int = 1,
        workers: int = 1,
        a: Place = NOWHERE,
        b: Place = NOWHERE,
        c: Place = NOWHERE,
        index: Place = NOWHERE,
        work: Place = _SCRATCH,
        scratch: int = 0,
    ) -> None:
        """One more row: the operands are those of a task (`launch.py`), `scratch` is the length of its work memory."""
        row = [0] * COLUMNS
        row[KERNEL], row[PLAN] = kernel.address, plan.ctypes.data
        row[TASKS], row[MOST_WORKERS] = tasks, min(workers, tasks)
        for column, place in ((A, a), (B, b), (C, c), (INDEX, index), (SCRATCH, work)):
            row[column], row[column + 1] = place
        self.plans.append(plan)
        self.rows.append(row)
        self.scratch = max(self.scratch, scratch)

    def program(self) -> Program:
        """What was written."""
        return Program(self)


def _run(
    table: np.ndarray,
    first: int,
    last: int,
    work: np.ndarray,
    x: np.ndarray,
    memory: np.ndarray,
    result: np.ndarray,
    upstream: np.ndarray,
    local: np.ndarray,
    out: np.ndarray,
    weights: np.ndarray,
    most_workers: int,
) -> None:
    begin = integers_at(integers_on_stack(WEIGHTS + weights.size))
    begin[NOTHING] = 0
    begin[WORK], begin[X], begin[MEMORY] = address_of(work), address_of(x), address_of(memory)
    begin[RESULT], begin[UPSTREAM] = address_of(result), address_of(upstream)
    begin[LOCAL], begin[OUT] = address_of(local), address_of(out)
    for i in range(weights.size):
        begin[WEIGHTS + i] = weights[i]
    for i in range(first, last):
        a, b = begin[table[i, A]] + table[i, A + 1], begin[table[i, B]] + table[i, B + 1]
        c, index = begin[table[i, C]] + table[i, C + 1], begin[table[i, INDEX]] + table[i, INDEX + 1]
        spare = begin[table[i, SCRATCH]] + table[i, SCRATCH + 1]
        workers = min(table[i, MOST_WORKERS], most_workers)
        share_out(table[i, KERNEL], a, b, c, index, spare, table[i, PLAN], table[i, TASKS], workers)


_NUMBERS = types.Array(types.float32, 1, "C")
_GIVEN = types.Array(types.float32, 1, "C", readonly=True)


@functools.cache
def _runner() -> Callable[..., None]:
    table, weights = types.Array(types.int64, 2, "C"), types.Array(types.int64, 1, "C")
    arrays = _NUMBERS, _GIVEN, _NUMBERS, _NUMBERS, _GIVEN, _NUMBERS, _NUMBERS
    return entry(_run, table, types.intp, types.intp, *arrays, weights, types.intp)


_EMPTY = np.empty(0, np.float32)


class Program:
    """A table of launches, which is never changed.

    Attributes
    ----------
    length : int
        How many rows it has.
    """

    def __init__(self, script: Script) -> None:
        self.length = len(script.rows)
        self._table = np.array(script.rows, np.int64).reshape(-1, COLUMNS)
        self._scratch, self._threads = script.scratch, script.threads
        self._plans = script.plans  # the rows have their addresses only

    def run(
        self,
        first: int,
        last: int,
        weights: np.ndarray,
        x: np.ndarray,
        memory: np.ndarray,
        result: np.ndarray,
        upstream: np.ndarray = _EMPTY,
        local: np.ndarray = _EMPTY,
        out: np.ndarray = _EMPTY,
    ) -> None:
        """Run the rows first, ..., last - 1.

        Parameters
        ----------
        weights : the addresses of the weights
        x, memory, result, upstream, local, out : the bases of those names, 1-D float32 arrays
        """
        work, threads = workspace(self._scratch), self._threads
        args = self._table, first, last, work, x, memory, result, upstream, local, out, weights, threads
        call_parallel(_runner(), _run_serially, args)


def _run_serially(*args: Any) -> None:
    _runner()(*args[:-1], 1)
