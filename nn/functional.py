"""Layers and losses as functions, for code that keeps its own parameters. Usually imported as F.

Names, arguments and defaults are those of https://docs.pytorch.org/docs/stable/nn.functional.html. The functions
translate PyTorch's forms ('same', one number for a pair) into what the ops in `minigrad/ops` compute, and check them.
"""

from __future__ import annotations

import math
from typing import Any

from minigrad.errors import ArgumentError, ShapeError
from minigrad.ops import conv as conv_ops
from minigrad.ops import linalg, pool
from minigrad.ops import loss as loss_ops
from minigrad.ops.select import relu
from minigrad.ops.shape import wrap_dim
from minigrad.ops.softmax import log_softmax, softmax
from minigrad.tensor import Tensor

__all__ = [
    "conv2d",
    "cross_entropy",
    "flatten",
    "linear",
    "log_softmax",
    "max_pool2d",
    "pair",
    "relu",
    "softmax",
]

Pair = tuple[int, int]


def pair(value: Any, what: str, least: int) -> Pair:
    """One integer for both dimensions, or two; each at least `least`.

    Examples
    --------
    >>> pair(3, "kernel_size", least=1)
    (3, 3)
    """
    both = tuple(value) if isinstance(value, tuple | list) else (value, value)
    if len(both) != 2 or any(isinstance(n, bool) or not isinstance(n, int) or n < least for n in both):
        raise ArgumentError(f"{what}: expected an integer of at least {least}, or two of them, got {value!r}.")
    return both[0], both[1]


def _images(x: Tensor, name: str) -> None:
    if x.ndim not in (3, 4):
        raise ShapeError(f"{name}: expected images (N, C, H, W) or one image (C, H, W), got shape {x.shape}.")


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y = x W^T + b;  (..., in), W (out, in), b (out) -> (..., out)"""
    return linalg.linear(input, weight, bias)


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Make one dimension of the dimensions start_dim to end_dim."""
    first = wrap_dim(start_dim, input.ndim, "flatten")
    last = wrap_dim(end_dim, input.ndim, "flatten")
    if first > last:
        raise ShapeError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim} in shape {input.shape}.")
    shape = input.shape
    return input.reshape(*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :])


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Pair = 1,
    padding: int | Pair | str = 0,
    dilation: int | Pair = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlate images with filters; see `minigrad.nn.Conv2d` for the formula.

    Shapes: input (N, C, H, W) or (C, H, W), weight (O, C/groups, KH, KW), bias (O,) -> (N, O, H', W')
    """
    _images(input, "conv2d")
    if weight.ndim != 4:
        raise ShapeError(f"conv2d: expected weight (out, in/groups, height, width), got shape {weight.shape}.")
    stride = pair(stride, "conv2d: stride", least=1)
    dilation = pair(dilation, "conv2d: dilation", least=1)
    sides = _sides(padding, weight.shape[2:], stride, dilation)
    if input.ndim == 3:
        return conv2d(input.reshape(1, *input.shape), weight, bias, stride, padding, dilation, groups)[0]
    return conv_ops.conv2d(input, weight, bias, stride=stride, padding=sides, dilation=dilation, groups=groups)


def _sides(padding: Any, kernel: tuple[int, ...], stride: Pair, dilation: Pair) -> tuple[Pair, Pair]:
    """The padding ((top, bottom), (left, right)) that a number, a pair, 'valid' or 'same' stands for."""
    if padding == "valid":
        return (0, 0), (0, 0)
    if padding == "same":
        if stride != (1, 1):
            raise ArgumentError(f"conv2d: padding='same' needs stride 1, got stride {stride}.")
        rows, columns = (d * (k - 1) for d, k in zip(dilation, kernel, strict=True))
        return (rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2)
    if isinstance(padding, str):
        raise ArgumentError(f"conv2d: expected padding 'same', 'valid' or numbers, got {padding!r}.")
    height, width = pair(padding, "conv2d: padding", least=0)
    return (height, height), (width, width)


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
    _images(input, "max_pool2d")
    kernel = pair(kernel_size, "max_pool2d: kernel_size", least=1)
    step = kernel if stride is None else pair(stride, "max_pool2d: stride", least=1)
    sides = pair(padding, "max_pool2d: padding", least=0)
    if any(2 * p > k for p, k in zip(sides, kernel, strict=True)):
        raise ArgumentError(f"max_pool2d: padding is at most half the kernel, got {sides} for kernel {kernel}.")
    spread = pair(dilation, "max_pool2d: dilation", least=1)
    if input.ndim == 3:
        return max_pool2d(input.reshape(1, *input.shape), kernel, step, sides, spread, ceil_mode)[0]
    return pool.max_pool2d(input, kernel_size=kernel, stride=step, padding=sides, dilation=spread, ceil_mode=ceil_mode)


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """-log softmax(input)[target]; see `minigrad.nn.CrossEntropyLoss`.

    Shapes: input (N, C) or (N, C, d1, ...), or (C,) for one sample; target the same without C
    """
    return loss_ops.cross_entropy(
        input,
        target,
        weight,
        ignore_index=ignore_index,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )
