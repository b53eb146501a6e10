"""Pooling of images and its gradients, on arrays.

Shapes are PyTorch's: x (N, C, H, W), y (N, C, OH, OW), any memory layout; results of float32 have channels-last
strides. Windows, strides and paddings are (rows, columns). float32 runs in vectors (`pool_vector.py`), everything else
in the loops of `plain.py`.

Max-pooling returns, beside the result, which position of its window each number came from, one byte each: the gradient
is then one pass that compares positions, and never looks at x again.

References
----------
https://docs.pytorch.org/docs/stable/generated/torch.nn.MaxPool2d.html
https://docs.pytorch.org/docs/stable/generated/torch.nn.AvgPool2d.html
"""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any

import numpy as np

from minigrad.errors import ShapeError
from minigrad.kernels import plain
from minigrad.kernels.buffers import empty_image
from minigrad.kernels.jit import jit_disabled, tasks_if, threads_if
from minigrad.kernels.pool_plan import average_divisors, pool_plan, pooled_length

__all__ = [
    "avg_pool2d",
    "avg_pool2d_grad",
    "max_pool2d",
    "max_pool2d_grad",
    "pool2d_output_shape",
    "relu_max_pool2d",
]

Pair = tuple[int, int]
Shape = tuple[int, ...]

_FLOAT32 = np.dtype(np.float32)
# Numbers read or written from which a second thread saves more than waking it costs.
_PARALLEL_FROM = 100_000
# The most positions of a window that a byte can tell apart; 255 means 'none of them', see `relu_max_pool2d`.
_BYTE_POSITIONS = 255


@functools.lru_cache(maxsize=1024)
def pool2d_output_shape(
    x_shape: Shape, window: Pair, stride: Pair, padding: Pair, dilation: Pair = (1, 1), ceil_mode: bool = False
) -> tuple[int, int, int, int]:
    """The shape of a pooled image.

    Raises
    ------
    ShapeError
        The window does not fit into the padded image.

    Examples
    --------
    >>> pool2d_output_shape((8, 3, 7, 7), (2, 2), (2, 2), (0, 0))
    (8, 3, 3, 3)
    >>> pool2d_output_shape((8, 3, 7, 7), (2, 2), (2, 2), (0, 0), ceil_mode=True)
    (8, 3, 4, 4)
    """
    n, c, *size = x_shape
    out = [pooled_length(*axis, ceil_mode) for axis in zip(size, window, stride, padding, dilation, strict=True)]
    if min(out) < 1:
        raise ShapeError(
            f"pooling: a window of {window} with dilation {dilation} does not fit into input {x_shape} padded by "
            f"{padding}. Use a larger input or a smaller window."
        )
    return n, c, out[0], out[1]


def max_pool2d(
    x: np.ndarray,
    window: Pair,
    stride: Pair,
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    ceil_mode: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """y[n, c, i, j] = max over p, q of x[n, c, i*s + p*d - pad, j*s + q*d - pad]

    Padding counts as minus infinity, the first of equal numbers wins, NaN beats every number.

    Parameters
    ----------
    x : ndarray of shape (N, C, H, W)
    window, stride, padding, dilation : (int, int)
        Rows, columns. PyTorch asks that padding be at most half of the window, so that no window lies outside x.
    ceil_mode : bool
        Keep a last window that reaches over the edge, if it begins inside the image or its left or top padding.

    Returns
    -------
    y : ndarray of shape (N, C, OH, OW)
    index : ndarray of shape (N, C, OH, OW), uint8 or int32
        The position p * window[1] + q of the maximum in its window.
    """
    return _max_pool(x, window, stride, padding, dilation, ceil_mode, relu=False)


def relu_max_pool2d(
    x: np.ndarray,
    window: Pair,
    stride: Pair,
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    ceil_mode: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """max_pool2d(relu(x)) in one pass.

    The largest of the positive parts is the positive part of the largest. Where that is zero no number of the window
    gets a gradient, and `index` says so with a position that no window has. `max_pool2d_grad` is then the gradient of
    both.
    """
    return _max_pool(x, window, stride, padding, dilation, ceil_mode, relu=True)


def _max_pool(
    x: np.ndarray, window: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool, relu: bool
) -> tuple[np.ndarray, np.ndarray]:
    shape = pool2d_output_shape(x.shape, window, stride, padding, dilation, ceil_mode)
    small = window[0] * window[1] <= _BYTE_POSITIONS
    if not (small and _fast(x)):
        y = np.empty(shape, _plain_dtype(x))
        index = np.empty(shape, np.uint8 if small else np.int32)
        plain.max_pool2d(_tight(x), y, index, window, stride, padding, dilation)
        if relu:
            positive = ~(y <= 0)
            y = np.where(positive, y, y.dtype.type(0))
            index = np.where(positive, index, index.dtype.type(_BYTE_POSITIONS if small else -1))
        return y.astype(x.dtype, copy=False), index
    x = _channels_last(x)
    y, index = empty_image(shape, np.float32), empty_image(shape, np.uint8)
    if y.size:
        tasks = _tasks(x.size)
        plan = pool_plan(x.shape, x.strides, shape, y.strides, window, stride, padding, dilation, relu, tasks)
        kernels = _vectors()
        kernels.run(kernels.max_forward, tasks, plan, _NO_WORK, x, c=y, index=index, workers=threads_if(tasks > 1))
    return y, index


def max_pool2d_grad(
    g: np.ndarray,
    index: np.ndarray,
    input_shape: Shape,
    window: Pair,
    stride: Pair,
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
) -> np.ndarray:
    """gx[n, c, h, v] = the sum of g over those windows that (h, v) was the maximum of

    Parameters
    ----------
    g : ndarray of shape (N, C, OH, OW)
    index : ndarray of shape (N, C, OH, OW)
        What `max_pool2d` or `relu_max_pool2d` returned.
    input_shape : tuple of int
        The shape of x.
    window, stride, padding, dilation
        As in `max_pool2d`.

    Returns
    -------
    gx : ndarray of shape `input_shape`
    """
    _check_grad(g, index.shape)
    n, c, h, v = input_shape
    if not (_fast(g) and index.dtype == np.uint8):
        gx = np.zeros((n, c, h, v), _plain_dtype(g))
        plain.max_pool2d_grad(_tight(g), np.ascontiguousarray(index), gx, window, stride, padding, dilation)
        return gx.astype(g.dtype, copy=False)
    g, index = _channels_last(g), _channels_last(index)
    gx = empty_image((n, c, h, v), np.float32)
    if gx.size:
        tasks = _tasks(gx.size)
        plan = pool_plan(
            gx.shape, gx.strides, g.shape, g.strides, window, stride, padding, dilation, False, tasks, index.strides
        )
        kernels = _vectors()
        kernels.run(kernels.max_backward, tasks, plan, _NO_WORK, g, c=gx, index=index, workers=threads_if(tasks > 1))
    return gx


def avg_pool2d(
    x: np.ndarray,
    window: Pair,
    stride: Pair,
    padding: Pair = (0, 0),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> np.ndarray:
    """y[n, c, i, j] = sum over p, q of x[n, c, i*s + p - pad, j*s + q - pad] / divisor[i, j]

    Parameters
    ----------
    x : ndarray of shape (N, C, H, W)
    window, stride, padding : (int, int)
    ceil_mode : bool
        As in `max_pool2d`.
    count_include_pad : bool
        Whether the divisor counts the zeros of the padding. What a window covers beyond the padding never counts.
    divisor_override : int, optional
        Use this divisor for every window.

    Returns
    -------
    y : ndarray of shape (N, C, OH, OW)
    """
    shape = pool2d_output_shape(x.shape, window, stride, padding, (1, 1), ceil_mode)
    geometry = (x.shape, shape, window, stride, padding, count_include_pad, divisor_override)
    if not _fast(x):
        y = np.empty(shape, _plain_dtype(x))
        plain.avg_pool2d(_tight(x), y, average_divisors(*geometry).astype(y.dtype), window, stride, padding)
        return y.astype(x.dtype, copy=False)
    x = _channels_last(x)
    y = empty_image(shape, np.float32)
    if y.size:
        tasks = _tasks(x.size)
        plan = pool_plan(x.shape, x.strides, shape, y.strides, window, stride, padding, (1, 1), False, tasks)
        kernels = _vectors()
        kernels.run(
            kernels.mean_forward, tasks, plan, _NO_WORK, x, _shares(*geometry), y, workers=threads_if(tasks > 1)
        )
    return y


def avg_pool2d_grad(
    g: np.ndarray,
    input_shape: Shape,
    window: Pair,
    stride: Pair,
    padding: Pair = (0, 0),
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> np.ndarray:
    """gx[n, c, h, v] = sum over the windows (i, j) that cover (h, v) of g[n, c, i, j] / divisor[i, j]

    Parameters
    ----------
    g : ndarray of shape (N, C, OH, OW)
    input_shape : tuple of int
        The shape of x.
    window, stride, padding, count_include_pad, divisor_override
        As in `avg_pool2d`; `ceil_mode` shows in the shape of g.

    Returns
    -------
    gx : ndarray of shape `input_shape`
    """
    n, c, h, v = input_shape
    _check_grad(g, (n, c, *g.shape[2:]))
    geometry = ((n, c, h, v), g.shape, window, stride, padding, count_include_pad, divisor_override)
    if not _fast(g):
        gx = np.zeros((n, c, h, v), _plain_dtype(g))
        plain.avg_pool2d_grad(_tight(g), gx, average_divisors(*geometry).astype(gx.dtype), window, stride, padding)
        return gx.astype(g.dtype, copy=False)
    g = _channels_last(g)
    gx = empty_image((n, c, h, v), np.float32)
    if gx.size:
        tasks = _tasks(gx.size)
        plan = pool_plan(gx.shape, gx.strides, g.shape, g.strides, window, stride, padding, (1, 1), False, tasks)
        kernels = _vectors()
        kernels.run(
            kernels.mean_backward, tasks, plan, _NO_WORK, g, _shares(*geometry), gx, workers=threads_if(tasks > 1)
        )
    return gx


_NO_WORK = np.empty(0, np.float32)


@functools.cache
def _vectors() -> ModuleType:
    """The vector kernels, whose import brings Numba with it."""
    from minigrad.kernels import pool_vector

    return pool_vector


def _fast(x: np.ndarray) -> bool:
    return x.dtype == _FLOAT32 and not jit_disabled()


def _plain_dtype(x: np.ndarray) -> np.dtype:
    """What the plain loops compute in: Numba has no float16."""
    return np.result_type(np.float32, x)


def _tight(x: np.ndarray) -> np.ndarray:
    """C order, so that each plain loop is compiled for one layout."""
    return np.ascontiguousarray(x, _plain_dtype(x))


def _channels_last(x: np.ndarray) -> np.ndarray:
    """x with the channels of a pixel side by side: x itself, or a copy."""
    if (x.strides[1] == x.itemsize or x.shape[1] == 1) and x.flags.aligned:
        return x
    copy = empty_image(x.shape, x.dtype)
    copy[...] = x
    return copy


def _tasks(numbers: int) -> int:
    return tasks_if(numbers >= _PARALLEL_FROM)


@functools.lru_cache(maxsize=256)
def _shares(*geometry: Any) -> np.ndarray:
    """What each number of window (i, j) counts for in its average, as an image."""
    return (1 / average_divisors(*geometry)).astype(np.float32)[None, None]


def _check_grad(g: np.ndarray, shape: Shape) -> None:
    if g.shape != shape:
        raise ShapeError(f"pooling: expected a gradient of the output's shape {shape}, got {g.shape}.")
