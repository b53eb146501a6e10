"""Batch, group, layer and RMS normalisation and their gradients, on arrays.

    grouped_norm        y, mean, var from x (N, C, ...), w, b      batch norm: groups=None; group and instance norm
    grouped_norm_grad   gx, gw, gb   from g, x, w, mean, var
    row_norm            y, moments   from x (M, D), w, b           layer norm; RMS norm: centred=False
    row_norm_grad       gx, gw, gb   from g, x, w, moments
    channel_affine      y            from x (N, C, ...), m, a, b   batch norm in evaluation

float32 runs in vectors, everything else in the loops of `norm_plain.py`. An image is read as it lies in memory, with
the channels of a pixel side by side (`norm_rows.py`) or in planes (`norm_planes.py`), and the result lies likewise.

Grouped normalisation visits x twice, for the moments and to apply them; so does its gradient. In between are a few
numbers for each channel, the *factors*: forward y = (x - m) a + b, back gx = g a + (x - m) q + r (`norm_factors.py`).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.kernels import norm_plain
from minigrad.kernels.jit import jit_disabled, tasks_if, threads_if
from minigrad.kernels.norm_factors import backward_factors, forward_factors

__all__ = ["channel_affine", "grouped_norm", "grouped_norm_grad", "row_norm", "row_norm_grad"]

Shape = tuple[int, ...]

_FLOAT32 = np.dtype(np.float32)
_NONE = np.empty(0, np.float32)
# Numbers read from which a second thread saves more than waking it costs, at most 15 microseconds: a visit to so many
# takes 14 on one core (0.14 ns a number, measured).
_PARALLEL_FROM = 100_000
# float32 numbers in a segment of rows: 32 KB.
_SEGMENT = 8192
# `row_norm_grad` sums gw and gb over blocks of rows: at least so many blocks, and at most so many rows in one.
_BLOCKS = 8
_BLOCK_ROWS = 512


def grouped_norm(
    x: np.ndarray, w: np.ndarray | None, b: np.ndarray | None, groups: int | None, eps: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """y = (x - mean) / sqrt(var + eps) w_c + b_c

    Parameters
    ----------
    x : ndarray of shape (N, C, ...)
    w, b : ndarray of shape (C,), optional
        Without them, 1 and 0.
    groups : int or None
        The moments are those of each sample's `groups` groups of channels; None: of each channel over the batch.
    eps : float

    Returns
    -------
    y : ndarray of the shape of x
    mean, var : float64 ndarrays of shape (N, groups), or (1, C) where groups is None
        The variance is divided by the number of elements.

    Examples
    --------
    >>> y, mean, var = grouped_norm(np.array([[1.0], [3.0]]), None, None, None, eps=0.0)
    >>> y.ravel(), mean, var
    (array([-1.,  1.]), array([[2.]]), array([[1.]]))
    """
    n, channels = x.shape[:2]
    mean, var = np.zeros((2, *((1, channels) if groups is None else (n, groups))))
    if not x.size:
        return np.empty_like(x), mean, var
    if not _fast(x):
        dtype = np.result_type(np.float32, x)
        y = np.empty(x.shape, dtype)
        scale, shift = _weights(w, channels, dtype, 1), _weights(b, channels, dtype, 0)
        norm_plain.grouped(_folded(x, groups, dtype), scale, shift, eps, _folded(y, groups, dtype), mean, var)
        return y.astype(x.dtype, copy=False), mean, var
    layout = _layout(x, groups)
    dense = layout.dense(x)
    factors = layout.factors(3)
    scale, shift = _weights(w, channels, _FLOAT32, 1), _weights(b, channels, _FLOAT32, 0)
    forward_factors(layout.moments(dense), layout.sizes, scale, shift, eps, mean, var, factors)
    return layout.shaped(layout.apply(dense, factors), x.shape), mean, var


def grouped_norm_grad(
    g: np.ndarray,
    x: np.ndarray,
    w: np.ndarray | None,
    mean: np.ndarray,
    var: np.ndarray,
    groups: int | None,
    eps: float,
) -> tuple[Callable[[], np.ndarray], np.ndarray, np.ndarray]:
    """The gradients of `grouped_norm`.

    Parameters
    ----------
    g : ndarray of the shape of y
    x, w, groups, eps
        As given to `grouped_norm`.
    mean, var
        As it returned them.

    Returns
    -------
    gx : function without arguments that returns an ndarray of the shape of x
        The first layer of a network does not need it, and it costs a visit to x.
    gw, gb : ndarray of shape (C,)
    """
    channels = x.shape[1]
    dtype = np.result_type(np.float32, x)
    scale = _weights(w, channels, dtype, 1)
    gw, gb = np.zeros((2, channels), dtype)
    if not x.size:
        return lambda: np.zeros_like(x), gw.astype(x.dtype, copy=False), gb.astype(x.dtype, copy=False)
    if not _fast(x):
        gx = np.empty(x.shape, dtype)
        images = (_folded(g, groups, dtype), _folded(x, groups, dtype))
        norm_plain.grouped_grad(*images, scale, eps, mean, var, _folded(gx, groups, dtype), gw, gb)
        return lambda: gx.astype(x.dtype, copy=False), gw.astype(x.dtype, copy=False), gb.astype(x.dtype, copy=False)
    layout = _layout(x, groups)
    g, dense = layout.dense(g), layout.dense(x)
    factors = layout.factors(4)
    factors[:, 0] = np.repeat(mean, channels // mean.shape[1], 1)[:, layout.channel]
    backward_factors(layout.products(g, dense, factors), layout.sizes, scale, eps, mean, var, factors, gw, gb)
    return lambda: layout.shaped(layout.combine(g, dense, factors), x.shape), gw, gb


def channel_affine(x: np.ndarray, m: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """y = (x - m_c) a_c + b_c

    Parameters
    ----------
    x : ndarray of shape (N, C, ...)
    m, a, b : ndarrays of shape (C,)

    Examples
    --------
    >>> channel_affine(np.array([[1.0, 2.0]]), *np.array([[1.0, 0.0], [5.0, 5.0], [0.5, 0.0]]))
    array([[ 0.5, 10. ]])
    """
    if not (_fast(x) and x.size):
        m, a, b = (given.reshape((-1,) + (1,) * (x.ndim - 2)) for given in (m, a, b))
        return (x - m) * a + b
    layout = _layout(x, None)
    factors = np.stack([m, a, b])[None, :, layout.channel]
    return layout.shaped(layout.apply(layout.dense(x), np.ascontiguousarray(factors)), x.shape)


def row_norm(
    x: np.ndarray, w: np.ndarray | None, b: np.ndarray | None, eps: float, centred: bool
) -> tuple[np.ndarray, np.ndarray]:
    """y = (x - mean) / sqrt(var + eps) w + b for each row; without `centred`, x / sqrt(mean of x^2 + eps) w + b

    Parameters
    ----------
    x : ndarray of shape (M, D)
    w, b : ndarray of shape (D,), optional
    eps : float
    centred : bool

    Returns
    -------
    y : ndarray of shape (M, D)
    moments : ndarray
        For `row_norm_grad`.

    Examples
    --------
    >>> row_norm(np.array([[3.0, 4.0]]), None, None, eps=0.0, centred=False)[0] * np.sqrt(12.5)
    array([[3., 4.]])
    """
    rows, width = x.shape
    dtype = np.result_type(np.float32, x)
    scale, shift = _weights(w, width, dtype, 1), _weights(b, width, dtype, 0)
    dense, y = np.ascontiguousarray(x, dtype), np.empty((rows, width), dtype)
    if not _fast(x):
        moments = np.empty((rows, 2))
        norm_plain.centred_rows(dense, scale, shift, eps, centred, y, moments)
        return y.astype(x.dtype, copy=False), moments
    work = np.empty(1 + 3 * rows, np.float32)
    work[0] = eps
    if x.size:
        planes = _planes()
        blocks, plan = _row_plan(rows, width, centred)
        affine = np.concatenate([scale, shift])
        workers = threads_if(_big(x))
        planes.run(planes.centred_rows, blocks, plan, work, _quad(dense), _quad(affine), _quad(y), workers=workers)
    return y, work[1:]


def row_norm_grad(
    g: np.ndarray, x: np.ndarray, w: np.ndarray | None, moments: np.ndarray, centred: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The gradients of `row_norm`: gx of shape (M, D), gw and gb of shape (D,).

    Parameters
    ----------
    g : ndarray of shape (M, D)
    x, w, centred
        As given to `row_norm`.
    moments
        As it returned them.
    """
    rows, width = x.shape
    dtype = np.result_type(np.float32, x)
    scale = _weights(w, width, dtype, 1)
    gx = np.empty((rows, width), dtype)
    g, dense = np.ascontiguousarray(g, dtype), np.ascontiguousarray(x, dtype)
    if not (_fast(x) and x.size):
        gw, gb = np.zeros((2, width), dtype)
        norm_plain.centred_rows_grad(g, dense, scale, centred, moments, gx, gw, gb)
        return gx.astype(x.dtype, copy=False), gw.astype(x.dtype, copy=False), gb.astype(x.dtype, copy=False)
    planes = _planes()
    blocks, plan = _row_plan(rows, width, centred)
    work = np.empty(width + 3 * rows + 2 * width * blocks, np.float32)
    work[:width] = scale
    work[width : width + 3 * rows] = moments
    workers = threads_if(_big(x))
    planes.run(planes.centred_rows_grad, blocks, plan, work, _quad(g), _quad(dense), _quad(gx), workers=workers)
    gw, gb = work[width + 3 * rows :].reshape(blocks, 2, width).sum(0, dtype=np.float64).astype(np.float32)
    return gx, gw, gb


# ---- memory ----------------------------------------------------------------------------------------------------------


class _Layout:
    """How an image lies in memory, and the kernels that read it so.

    Attributes
    ----------
    sizes : float64 array (parts, columns)
        How many numbers each partial sum of a sample is of; with groups=None the whole batch is one sample.
    channel : integer array (columns,)
        The channel of each column.
    """

    def __init__(self, name: str, kernels: Any, samples: int, sizes: np.ndarray, channels: int, plan: list[int]):
        self._kernels = {
            step: getattr(kernels, f"{name}_{step}") for step in ("moments", "apply", "products", "combine")
        }
        self._launch = kernels.run
        self._plan = np.array(plan, np.int64)
        self._tasks = plan[0]
        self._rows = name == "rows"
        self.samples = samples
        self.sizes = sizes
        self.channel = np.arange(sizes.shape[1]) % channels

    def dense(self, x: np.ndarray) -> np.ndarray:
        """x without gaps, in the order of this layout; a copy only if it is not so already."""
        return np.ascontiguousarray(_channels_last(x) if self._rows else x)

    def shaped(self, dense: np.ndarray, shape: Shape) -> np.ndarray:
        """What `dense` came from."""
        return dense.transpose(_orders(dense.ndim)[1]) if self._rows else dense.reshape(shape)

    def factors(self, count: int) -> np.ndarray:
        return np.empty((self.samples, count, len(self.channel)), np.float32)

    def moments(self, x: np.ndarray) -> np.ndarray:
        return self._run("moments", x, _NONE, self._partials(3))

    def apply(self, x: np.ndarray, factors: np.ndarray) -> np.ndarray:
        return self._run("apply", x, factors, np.empty_like(x))

    def products(self, g: np.ndarray, x: np.ndarray, factors: np.ndarray) -> np.ndarray:
        return self._run("products", g, x, self._partials(2), factors)

    def combine(self, g: np.ndarray, x: np.ndarray, factors: np.ndarray) -> np.ndarray:
        return self._run("combine", g, x, np.empty_like(x), factors)

    def _partials(self, count: int) -> np.ndarray:
        return np.empty((self.samples, len(self.sizes), count, len(self.channel)), np.float32)

    def _run(self, step: str, a: np.ndarray, b: np.ndarray, c: np.ndarray, work: np.ndarray = _NONE) -> np.ndarray:
        images = (_quad(a), _quad(b), _quad(c))
        kernel, workers = self._kernels[step], threads_if(self._tasks > 1)
        self._launch(kernel, self._tasks, self._plan, work.reshape(-1), *images, workers=workers)
        return c


def _layout(x: np.ndarray, groups: int | None) -> _Layout:
    """The layout in which x is read. Memory that is neither dense rows nor dense planes is copied into rows."""
    planes = x.flags.c_contiguous and not _channels_last(x).flags.c_contiguous
    tasks = tasks_if(_big(x))
    return _planes_layout(x.shape, groups, tasks) if planes else _rows_layout(x.shape, groups, tasks)


@functools.lru_cache(maxsize=256)
def _rows_layout(shape: Shape, groups: int | None, tasks: int) -> _Layout:
    from minigrad.kernels import norm_rows

    lanes = norm_rows.LANES
    channels = shape[1]
    samples = 1 if groups is None else shape[0]
    numbers = math.prod(shape) // samples  # of a sample
    width = channels if channels >= lanes else channels * (lanes // math.gcd(channels, lanes))
    rows, tail = divmod(numbers, width)
    length = max(1, _SEGMENT // width)
    sizes = np.zeros((-(-rows // length) + (tail > 0), width))
    for part in range(-(-rows // length)):
        sizes[part] = min(length, rows - part * length)
    sizes[-1, :tail] = 1 if tail else sizes[-1, :tail]
    plan = [tasks, samples, rows, width, tail, length, len(sizes)]
    return _Layout("rows", norm_rows, samples, sizes, channels, plan)


@functools.lru_cache(maxsize=256)
def _planes_layout(shape: Shape, groups: int | None, tasks: int) -> _Layout:
    n, channels = shape[:2]
    size = math.prod(shape[2:])
    samples, parts = (1, n) if groups is None else (n, 1)
    sizes = np.full((parts, channels), float(size))
    return _Layout("planes", _planes(), samples, sizes, channels, [tasks, n * channels, size, channels, groups is None])


@functools.lru_cache(maxsize=256)
def _row_plan(rows: int, width: int, centred: bool) -> tuple[int, np.ndarray]:
    blocks = max(min(_BLOCKS, rows), -(-rows // _BLOCK_ROWS))
    return blocks, np.array([blocks, rows, width, centred], np.int64)


@functools.cache
def _orders(ndim: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(N, C, ...) -> (N, ..., C) and back, as `transpose` wants it; `moveaxis` takes ten times as long."""
    return (0, *range(2, ndim), 1), (0, ndim - 1, *range(1, ndim - 1))


def _channels_last(x: np.ndarray) -> np.ndarray:
    return x.transpose(_orders(x.ndim)[0])


@functools.cache
def _planes() -> Any:
    """The vector kernels, whose import brings Numba with it."""
    from minigrad.kernels import norm_planes

    return norm_planes


def _fast(x: np.ndarray) -> bool:
    return x.dtype == _FLOAT32 and not jit_disabled()


def _big(x: np.ndarray) -> bool:
    return x.size >= _PARALLEL_FROM


def _quad(dense: np.ndarray) -> np.ndarray:
    """The same memory with the four dimensions that kernels are handed."""
    return dense.reshape(1, 1, 1, -1)


@functools.lru_cache(maxsize=64)
def _constant(length: int, dtype: np.dtype, value: int) -> np.ndarray:
    return np.full(length, value, dtype)


def _weights(given: np.ndarray | None, length: int, dtype: np.dtype, neutral: int) -> np.ndarray:
    return _constant(length, dtype, neutral) if given is None else np.ascontiguousarray(given, dtype)


def _folded(x: np.ndarray, groups: int | None, dtype: np.dtype) -> np.ndarray:
    """(N, C, ...) as the (samples, I, C, S) of `norm_plain.grouped`."""
    n, channels = x.shape[:2]
    size = math.prod(x.shape[2:])
    tight = np.ascontiguousarray(x, dtype)
    return tight.reshape((1, n, channels, size) if groups is None else (n, 1, channels, size))
