"""Memory for the kernels: images whose channels lie side by side, and scratch that is kept from call to call."""

from __future__ import annotations

import functools
import math
import threading

import numpy as np

from minigrad.kernels.jit import jit_disabled, tasks_if, threads_if

__all__ = ["dense_image", "empty_image", "empty_numbers", "planes", "workspace"]

# From so many numbers on a kernel copies them at least as fast as numpy, and on several threads faster than on one.
_KERNEL_FROM = 4_096
_PARALLEL_FROM = 50_000
LINE = 16  # float32 numbers in a cache line
# From so many numbers on, memory begins at a cache line: finding where one begins takes a microsecond.
_ALIGNED_FROM = 65_536


def empty_numbers(length: int) -> np.ndarray:
    """Uninitialised float32 memory; if there is much of it, it begins at a cache line.

    A vector that lies in two lines takes two loads, or two stores: first layers of CNNs, whose vectors are as wide as
    a line, took a tenth longer.
    """
    if length < _ALIGNED_FROM:
        return np.empty(length, np.float32)
    memory = np.empty(length + LINE, np.float32)
    start = -memory.ctypes.data % (LINE * 4) // 4
    return memory[start : start + length]


def empty_image(shape: tuple[int, int, int, int], dtype: np.typing.DTypeLike) -> np.ndarray:
    """An uninitialised (N, C, H, W) array in channels-last memory: the channels of a pixel are neighbours.

    Examples
    --------
    >>> empty_image((2, 3, 8, 8), np.float32).strides
    (768, 4, 96, 12)
    """
    n, c, h, w = shape
    rows = n, h, w, c
    memory = empty_numbers(math.prod(rows)).reshape(rows) if dtype == np.float32 else np.empty(rows, dtype)
    return memory.transpose(0, 3, 1, 2)


def dense_image(x: np.ndarray) -> np.ndarray:
    """The (N, C, H, W) array in channels-last memory without gaps: x itself, or a copy."""
    if x.transpose(0, 2, 3, 1).flags.c_contiguous:
        return x
    copy = empty_image(x.shape, x.dtype)
    if x.flags.c_contiguous and _is_worth_a_kernel(x):
        n, c, h, w = x.shape
        _transpose(x, copy, n, c, h * w)
    else:
        copy[...] = x
    return copy


def planes(x: np.ndarray) -> np.ndarray:
    """A copy of an (N, C, H, W) array in channels-last memory with its planes side by side; another array itself."""
    if x.flags.c_contiguous or not _is_worth_a_kernel(x) or not x.transpose(0, 2, 3, 1).flags.c_contiguous:
        return x
    n, c, h, w = x.shape
    copy = np.empty(x.shape, x.dtype)
    _transpose(x, copy, n, h * w, c)
    return copy


def _is_worth_a_kernel(x: np.ndarray) -> bool:
    return x.size >= _KERNEL_FROM and x.dtype == np.float32 and x.flags.aligned and not jit_disabled()


def _transpose(x: np.ndarray, copy: np.ndarray, matrices: int, rows: int, columns: int) -> None:
    from minigrad.kernels import layout_vector  # brings Numba with it

    tasks = tasks_if(x.size >= _PARALLEL_FROM)
    plan = _transpose_plan(matrices, rows, columns, tasks)
    layout_vector.run(layout_vector.transpose, tasks, plan, workspace(0), x, c=copy, workers=threads_if(tasks > 1))


@functools.lru_cache(maxsize=256)
def _transpose_plan(matrices: int, rows: int, columns: int, tasks: int) -> np.ndarray:
    return np.array((matrices, rows, columns, tasks))


class _Workspace(threading.local):
    """One scratch buffer for each Python thread, so that kernels may run in several at once."""

    def __init__(self) -> None:
        self.buffer = empty_numbers(_ALIGNED_FROM)


_workspace = _Workspace()


def workspace(length: int) -> np.ndarray:
    """At least `length` float32 numbers of scratch memory, with anything in it; valid until the next call.

    It grows and is never given back: taking fresh pages from the operating system at each step would cost
    more time than many of the kernels do.
    """
    if _workspace.buffer.size < length:
        _workspace.buffer = empty_numbers(length)
    return _workspace.buffer
