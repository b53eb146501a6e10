"""Products of two float32 matrices: our own vector kernels for those of small networks, numpy's BLAS for the others.

BLAS is hard to beat for large matrices. For smaller ones it is not: it copies both factors into another order before it
multiplies, and above 2^18 multiply-adds OpenBLAS wakes threads of its own, which compete for the processor's cores
with those of the kernels before and after. Of 18 weight gradients, measured in turns on two cores (Zen 4),
`dense_vector.py`, on the threads that convolutions run on, does 15 in 1 / 3.5 to 1 / 1.1 of OpenBLAS's time. The three
smallest, of 2^18 to 2^19 multiply-adds, take 1.2 to 1.8 times as long, most with 10 outputs, which leave 6 of the 16
rows of two tiles empty. Smaller ones take up to 2 microseconds longer than numpy's. But a program of launches
(`network.py`) can hold our kernels, and numpy's it cannot, and both should give the same bits. The tiniest and the
largest are numpy's.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from minigrad.kernels.buffers import workspace
from minigrad.kernels.dense_plan import dense_plan
from minigrad.kernels.jit import SHARES, get_num_threads, jit_disabled

__all__ = ["Launch", "dense", "launch_of", "product"]

Pair = tuple[int, int]

_FLOAT32 = np.dtype(np.float32)
# In multiply-adds: where a network of such layers is worth a program, where we use several threads (OpenBLAS does from
# 2^18 on, interface/gemm.c), and where copying the factors into panels pays.
_OWN_FROM = 1 << 12
_PARALLEL_FROM = 2_000_000
_OWN_TO = 1 << 26
# With fewer rows a tile would be half empty.
_FEWEST_ROWS = 4
_ITEM = _FLOAT32.itemsize


def product(a: np.ndarray, b: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """The matrix product a @ b, for any arrays that `np.matmul` takes; written to `out` where there is one."""
    y = _own(a, b, None, out)
    return np.matmul(a, b, out=out) if y is None else y


def dense(x: np.ndarray, w: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    """x w^T + bias, for x (n, in), w (out, in), bias (out) or None."""
    y = _own(x, w.T, bias)
    if y is None:
        y = np.matmul(x, w.T)
        if bias is not None:
            y += bias
    return y


def _own(a: np.ndarray, b: np.ndarray, bias: np.ndarray | None, out: np.ndarray | None = None) -> np.ndarray | None:
    """a @ b + bias by the vector kernels, in `out` or in a new array; None where numpy should do it."""
    if a.ndim != 2 or b.ndim != 2 or jit_disabled():
        return None
    (rows, depth), wide = a.shape, b.shape[1]
    if not _OWN_FROM <= rows * depth * wide <= _OWN_TO or b.shape[0] != depth:  # most products of a program are tiny
        return None
    if bias is not None and bias.shape != (wide,):
        return None
    if a.dtype != _FLOAT32 or b.dtype != _FLOAT32 or not (a.flags.aligned and b.flags.aligned):
        return None
    if out is not None and not (out.flags.c_contiguous and out.flags.aligned):
        return None
    launch = launch_of(rows, wide, depth, a.strides, b.strides, bias is not None, get_num_threads())
    if launch is None:
        return None
    y = np.empty((rows, wide), np.float32) if out is None else out
    spare = workspace(launch.scratch) if bias is None else np.ascontiguousarray(bias, np.float32)
    launch.run(launch.kernel, launch.tasks, launch.plan, spare, a[None, None], b[None, None], y[None, None],
               workers=launch.workers)  # fmt: skip
    return y


class Launch(NamedTuple):
    """What computes a product: a kernel, its plan, into how many tasks it is cut, and on how many threads they run."""

    kernel: Any
    plan: np.ndarray
    tasks: int
    workers: int
    scratch: int  # numbers of scratch memory
    run: Callable[..., None]


@functools.lru_cache(maxsize=512)
def launch_of(
    rows: int, wide: int, depth: int, a_strides: Pair, b_strides: Pair, has_bias: bool, threads: int
) -> Launch | None:
    """How our kernels compute a (rows, depth) @ b (depth, wide), strides in bytes; None where they do not."""
    work = rows * depth * wide
    if not _OWN_FROM <= work <= _OWN_TO or rows < _FEWEST_ROWS:
        return None
    kernels = _vectors()
    if b_strides[1] == _ITEM and wide >= kernels.LANES and not has_bias:
        kernel, tile = kernels.narrow_tiles, (kernels.NARROW.rows, kernels.LANES)
        if wide >= kernels.COLUMNS:
            kernel, tile = kernels.outer_tiles, (kernels.OUTER.rows, kernels.COLUMNS)
    elif b_strides[0] == _ITEM and a_strides[1] == _ITEM and depth >= kernels.LANES:
        kernel, tile = kernels.inner_tiles, (kernels.INNER.rows, kernels.INNER.columns)
    else:
        return None
    tasks, workers = (SHARES * threads, threads) if work >= _PARALLEL_FROM else (1, 1)
    plan = dense_plan(rows, wide, depth, a_strides, b_strides, has_bias, tile, tasks)
    return Launch(kernel, plan, tasks, workers, workers * kernels.SPARE, kernels.run)


@functools.cache
def _vectors() -> ModuleType:
    """The vector kernels, whose import brings Numba with it."""
    from minigrad.kernels import dense_vector

    return dense_vector
