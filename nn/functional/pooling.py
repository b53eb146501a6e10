"""Pooling as functions: maximum and mean of windows, of given size or of given number."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.errors import ArgumentError, ShapeError
from minigrad.nn.arguments import Pair, check_images, pair, single, windows
from minigrad.ops import pool
from minigrad.ops.gather import gather
from minigrad.tensor import Tensor, from_numpy

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "avg_pool1d",
    "avg_pool2d",
    "max_pool1d",
    "max_pool2d",
]


def max_pool2d(
    input: Tensor,
    kernel_size: int | Pair,
    stride: int | Pair | None = None,
    padding: int | Pair = 0,
    dilation: int | Pair = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest element of each window; see `minigrad.nn.MaxPool2d`.

    With `return_indices` also where it was: the position h W + w in the image, int64, of the result's shape.

    Shapes: (N, C, H, W) or (C, H, W) -> the same with the H' and W' that the windows give

    Examples
    --------
    >>> import minigrad
    >>> x = minigrad.tensor([[[1.0, 5.0, 2.0, 0.0], [3.0, 4.0, 6.0, 1.0]]])
    >>> max_pool2d(x, 2, return_indices=True)
    (tensor([[[5., 6.]]]), tensor([[[1, 6]]]))
    """
    check_images(input, "max_pool2d")
    kernel, step, border = _windows(kernel_size, stride, padding, "max_pool2d")
    spread = pair(dilation, "max_pool2d: dilation", least=1)
    if input.ndim == 3:
        y = max_pool2d(input.unsqueeze(0), kernel, step, border, spread, ceil_mode, return_indices)
        return (y[0].squeeze(0), y[1].squeeze(0)) if return_indices else y.squeeze(0)
    window: dict[str, Any] = {"kernel_size": kernel, "stride": step, "padding": border, "dilation": spread}
    y = pool.max_pool2d(input, ceil_mode=ceil_mode, **window)
    return (y, pool.max_pool2d_positions(input, ceil_mode=ceil_mode, **window)) if return_indices else y


def max_pool1d(
    input: Tensor,
    kernel_size: int,
    stride: int | None = None,
    padding: int = 0,
    dilation: int = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest element of each window of a signal;  (N, C, L) or (C, L) -> (N, C, L')

    With `return_indices` also its position in the signal.

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> x = minigrad.tensor([[1.0, 3.0, 2.0, 6.0]])  # (channels, length)
    >>> F.max_pool1d(x, 2)
    tensor([[3., 6.]])
    """
    check_images(input, "max_pool1d", dims=1)
    k, s, p = _signal_windows(kernel_size, stride, padding, "max_pool1d")
    d = single(dilation, "max_pool1d: dilation", least=1)
    y = max_pool2d(input.unsqueeze(-2), (1, k), (1, s), (0, p), (1, d), ceil_mode, return_indices)
    return (y[0].squeeze(-2), y[1].squeeze(-2)) if return_indices else y.squeeze(-2)


def avg_pool2d(
    input: Tensor,
    kernel_size: int | Pair,
    stride: int | Pair | None = None,
    padding: int | Pair = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window:  y[n, c, i, j] = sum over u, v of x[n, c, i s + u - p, j s + v - p] / divisor.

    Parameters
    ----------
    ceil_mode : bool
        Keep a last window that hangs over the edge.
    count_include_pad : bool
        Count zeros of the padding as elements.
    divisor_override : int, optional
        Divide by this in place of the number of elements.

    Shapes: (N, C, H, W) or (C, H, W) -> the same with the H' and W' that the windows give

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.avg_pool2d.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> x = minigrad.arange(16.0).reshape(1, 4, 4)  # (channels, height, width)
    >>> F.avg_pool2d(x, 2)
    tensor([[[ 2.5,  4.5],
             [10.5, 12.5]]])
    """
    check_images(input, "avg_pool2d")
    kernel, step, border = _windows(kernel_size, stride, padding, "avg_pool2d")
    if divisor_override is not None and divisor_override < 1:
        raise ArgumentError(f"avg_pool2d: expected a positive divisor_override, got {divisor_override}.")
    options: dict[str, Any] = {
        "ceil_mode": ceil_mode,
        "count_include_pad": count_include_pad,
        "divisor_override": divisor_override,
    }
    if input.ndim == 3:
        return avg_pool2d(input.unsqueeze(0), kernel, step, border, **options).squeeze(0)
    return pool.avg_pool2d(input, kernel_size=kernel, stride=step, padding=border, **options)


def avg_pool1d(
    input: Tensor,
    kernel_size: int,
    stride: int | None = None,
    padding: int = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of each window of a signal;  (N, C, L) or (C, L) -> (N, C, L')

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> x = minigrad.tensor([[1.0, 3.0, 2.0, 6.0]])  # (channels, length)
    >>> F.avg_pool1d(x, 2)
    tensor([[2., 4.]])
    """
    check_images(input, "avg_pool1d", dims=1)
    k, s, p = _signal_windows(kernel_size, stride, padding, "avg_pool1d")
    return avg_pool2d(input.unsqueeze(-2), (1, k), (1, s), (0, p), ceil_mode, count_include_pad).squeeze(-2)


def adaptive_avg_pool2d(input: Tensor, output_size: int | tuple[int | None, int | None]) -> Tensor:
    """The mean of each of output_size windows that share the image out; None keeps a length.

    Window i of n along a length L covers floor(i L / n) up to and without ceil((i + 1) L / n).

    Shapes: (N, C, H, W) or (C, H, W) -> (N, C, *output_size)

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> x = minigrad.arange(16.0).reshape(1, 4, 4)  # (channels, height, width)
    >>> F.adaptive_avg_pool2d(x, 1)
    tensor([[[7.5]]])
    """
    check_images(input, "adaptive_avg_pool2d")
    rows, columns = _wanted(output_size, input.shape[-2:], "adaptive_avg_pool2d")
    height, width = input.shape[-2:]
    if rows == columns == 1:
        return input.mean((-2, -1), keepdim=True)
    if height % rows == 0 and width % columns == 0:  # windows of one size, side by side
        return avg_pool2d(input, (height // rows, width // columns))
    # The mean over rows, then over columns: two matrices of weights 1/length, (H', H) and (W, W').
    means = [
        from_numpy(_window_means(length, count).astype(input.dtype))
        for length, count in ((height, rows), (width, columns))
    ]
    return means[0] @ input @ means[1].mT


def adaptive_avg_pool1d(input: Tensor, output_size: int) -> Tensor:
    """The mean of each of output_size windows that share a signal out;  (N, C, L) or (C, L) -> (N, C, output_size)

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> x = minigrad.tensor([[1.0, 3.0, 2.0, 6.0]])  # (channels, length)
    >>> F.adaptive_avg_pool1d(x, 1)
    tensor([[3.]])
    """
    check_images(input, "adaptive_avg_pool1d", dims=1)
    count = single(output_size, "adaptive_avg_pool1d: output_size", least=1)
    return adaptive_avg_pool2d(input.unsqueeze(-2), (1, count)).squeeze(-2)


def adaptive_max_pool2d(
    input: Tensor, output_size: int | tuple[int | None, int | None], return_indices: bool = False
) -> Any:
    """The largest element of each of output_size windows that share the image out, as in `adaptive_avg_pool2d`.

    With `return_indices` also where it was: the position h W + w in the image, int64.

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> x = minigrad.arange(16.0).reshape(1, 4, 4)  # (channels, height, width)
    >>> F.adaptive_max_pool2d(x, (1, 2))
    tensor([[[13., 15.]]])
    """
    check_images(input, "adaptive_max_pool2d")
    rows, columns = _wanted(output_size, input.shape[-2:], "adaptive_max_pool2d")
    height, width = input.shape[-2:]
    if height % rows == 0 and width % columns == 0:  # windows of one size, side by side
        return max_pool2d(input, (height // rows, width // columns), return_indices=return_indices)
    x = input.data
    places = np.empty((*x.shape[:-2], rows, columns), np.int64)  # of the winners in the flattened image
    for i, (top, bottom) in enumerate(_bounds(height, rows)):
        for j, (left, right) in enumerate(_bounds(width, columns)):
            window = x[..., top:bottom, left:right]
            u, v = np.divmod(window.reshape(*x.shape[:-2], -1).argmax(-1), right - left)
            places[..., i, j] = (top + u) * width + left + v
    flat = input.reshape(*input.shape[:-2], height * width)
    won = gather(flat, -1, from_numpy(places.reshape(*x.shape[:-2], -1)))
    y = won.reshape(*x.shape[:-2], rows, columns)
    return (y, from_numpy(places)) if return_indices else y


def adaptive_max_pool1d(input: Tensor, output_size: int, return_indices: bool = False) -> Any:
    """The largest element of each of output_size windows of a signal;  (N, C, L) or (C, L) -> (N, C, output_size)

    With `return_indices` also its position in the signal.

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> x = minigrad.tensor([[1.0, 3.0, 2.0, 6.0]])  # (channels, length)
    >>> F.adaptive_max_pool1d(x, 2)
    tensor([[3., 6.]])
    """
    check_images(input, "adaptive_max_pool1d", dims=1)
    count = single(output_size, "adaptive_max_pool1d: output_size", least=1)
    y = adaptive_max_pool2d(input.unsqueeze(-2), (1, count), return_indices)
    return (y[0].squeeze(-2), y[1].squeeze(-2)) if return_indices else y.squeeze(-2)


def _windows(kernel_size: Any, stride: Any, padding: Any, name: str) -> tuple[Pair, Pair, Pair]:
    kernel, step, border = windows(kernel_size, stride, padding, 2, name)
    return (kernel[0], kernel[1]), (step[0], step[1]), (border[0], border[1])


def _signal_windows(kernel_size: Any, stride: Any, padding: Any, name: str) -> tuple[int, int, int]:
    kernel, step, border = windows(kernel_size, stride, padding, 1, name)
    return kernel[0], step[0], border[0]


def _wanted(output_size: Any, size: tuple[int, ...], name: str) -> Pair:
    given = output_size if isinstance(output_size, tuple | list) else (output_size, output_size)
    if len(given) != 2:
        raise ArgumentError(f"{name}: output_size: expected an integer or two, got {output_size!r}.")
    rows, columns = pair([n if w is None else w for w, n in zip(given, size, strict=True)], f"{name}: output_size", 1)
    if 0 in size:
        raise ShapeError(f"{name}: expected images with at least one pixel, got size {tuple(size)}.")
    return rows, columns


def _bounds(length: int, count: int) -> list[Pair]:
    return [(i * length // count, math.ceil((i + 1) * length / count)) for i in range(count)]


def _window_means(length: int, count: int) -> np.ndarray:
    """The matrix (count, length) that takes the mean of each window."""
    matrix = np.zeros((count, length))
    for i, (first, last) in enumerate(_bounds(length, count)):
        matrix[i, first:last] = 1 / (last - first)
    return matrix
