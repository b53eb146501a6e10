"""Pooling as functions: maximum and mean of windows, of given size or of given number."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.errors import ArgumentError, ShapeError
from minigrad.nn.arguments import Pair, check_images, pair, single
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
) -> Tensor:
    """The largest element of each window; see `minigrad.nn.MaxPool2d`.

    Shapes: (N, C, H, W) or (C, H, W) -> the same with the H' and W' that the windows give
    """
    check_images(input, "max_pool2d")
    kernel, step, border = _windows(kernel_size, stride, padding, "max_pool2d")
    spread = pair(dilation, "max_pool2d: dilation", least=1)
    if input.ndim == 3:
        return max_pool2d(input.unsqueeze(0), kernel, step, border, spread, ceil_mode).squeeze(0)
    return pool.max_pool2d(input, kernel_size=kernel, stride=step, padding=border, dilation=spread, ceil_mode=ceil_mode)


def max_pool1d(
    input: Tensor,
    kernel_size: int,
    stride: int | None = None,
    padding: int = 0,
    dilation: int = 1,
    ceil_mode: bool = False,
) -> Tensor:
    """The largest element of each window of a signal;  (N, C, L) or (C, L) -> (N, C, L')"""
    check_images(input, "max_pool1d", dims=1)
    k, s, p = _signal_windows(kernel_size, stride, padding, "max_pool1d")
    d = single(dilation, "max_pool1d: dilation", least=1)
    return max_pool2d(input.unsqueeze(-2), (1, k), (1, s), (0, p), (1, d), ceil_mode).squeeze(-2)


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
    """The mean of each window of a signal;  (N, C, L) or (C, L) -> (N, C, L')"""
    check_images(input, "avg_pool1d", dims=1)
    k, s, p = _signal_windows(kernel_size, stride, padding, "avg_pool1d")
    return avg_pool2d(input.unsqueeze(-2), (1, k), (1, s), (0, p), ceil_mode, count_include_pad).squeeze(-2)


def adaptive_avg_pool2d(input: Tensor, output_size: int | tuple[int | None, int | None]) -> Tensor:
    """The mean of each of output_size windows that share the image out; None keeps a length.

    Window i of n along a length L covers floor(i L / n) up to and without ceil((i + 1) L / n).

    Shapes: (N, C, H, W) or (C, H, W) -> (N, C, *output_size)
    """
    check_images(input, "adaptive_avg_pool2d")
    rows, columns = _wanted(output_size, input.shape[-2:], "adaptive_avg_pool2d")
    # The mean over rows, then over columns: two matrices of weights 1/length, (H', H) and (W, W').
    means = [
        from_numpy(_window_means(length, count).astype(input.dtype))
        for length, count in zip(input.shape[-2:], (rows, columns), strict=True)
    ]
    return means[0] @ input @ means[1].mT


def adaptive_avg_pool1d(input: Tensor, output_size: int) -> Tensor:
    """The mean of each of output_size windows that share a signal out;  (N, C, L) or (C, L) -> (N, C, output_size)"""
    check_images(input, "adaptive_avg_pool1d", dims=1)
    count = single(output_size, "adaptive_avg_pool1d: output_size", least=1)
    return adaptive_avg_pool2d(input.unsqueeze(-2), (1, count)).squeeze(-2)


def adaptive_max_pool2d(input: Tensor, output_size: int | tuple[int | None, int | None]) -> Tensor:
    """The largest element of each of output_size windows that share the image out, as in `adaptive_avg_pool2d`."""
    check_images(input, "adaptive_max_pool2d")
    rows, columns = _wanted(output_size, input.shape[-2:], "adaptive_max_pool2d")
    height, width = input.shape[-2:]
    x = input.data
    places = np.empty((*x.shape[:-2], rows, columns), np.int64)  # of the winners in the flattened image
    for i, (top, bottom) in enumerate(_bounds(height, rows)):
        for j, (left, right) in enumerate(_bounds(width, columns)):
            window = x[..., top:bottom, left:right]
            u, v = np.divmod(window.reshape(*x.shape[:-2], -1).argmax(-1), right - left)
            places[..., i, j] = (top + u) * width + left + v
    flat = input.reshape(*input.shape[:-2], height * width)
    won = gather(flat, -1, from_numpy(places.reshape(*x.shape[:-2], -1)))
    return won.reshape(*x.shape[:-2], rows, columns)


def adaptive_max_pool1d(input: Tensor, output_size: int) -> Tensor:
    """The largest element of each of output_size windows of a signal;  (N, C, L) or (C, L) -> (N, C, output_size)"""
    check_images(input, "adaptive_max_pool1d", dims=1)
    count = single(output_size, "adaptive_max_pool1d: output_size", least=1)
    return adaptive_max_pool2d(input.unsqueeze(-2), (1, count)).squeeze(-2)


def _windows(kernel_size: Any, stride: Any, padding: Any, name: str) -> tuple[Pair, Pair, Pair]:
    kernel = pair(kernel_size, f"{name}: kernel_size", least=1)
    step = kernel if stride is None else pair(stride, f"{name}: stride", least=1)
    border = pair(padding, f"{name}: padding", least=0)
    if any(2 * p > k for p, k in zip(border, kernel, strict=True)):
        raise ArgumentError(f"{name}: padding is at most half the kernel, got {border} for kernel {kernel}.")
    return kernel, step, border


def _signal_windows(kernel_size: Any, stride: Any, padding: Any, name: str) -> tuple[int, int, int]:
    k = single(kernel_size, f"{name}: kernel_size", least=1)
    s = k if stride is None else single(stride, f"{name}: stride", least=1)
    p = single(padding, f"{name}: padding", least=0)
    if 2 * p > k:
        raise ArgumentError(f"{name}: padding is at most half the kernel, got {p} for kernel {k}.")
    return k, s, p


def _wanted(output_size: Any, size: tuple[int, ...], name: str) -> Pair:
    given = output_size if isinstance(output_size, tuple | list) else (output_size, output_size)
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
