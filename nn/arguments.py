"""Sizes as PyTorch lets one write them: one number for every dimension, or one for each."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.errors import ArgumentError, DTypeError, ShapeError
from minigrad.tensor import Tensor

__all__ = ["Pair", "check_images", "pair", "several", "sides", "single", "windows"]

Pair = tuple[int, int]


def several(value: Any, count: int, what: str, least: int) -> tuple[int, ...]:
    """One integer for each of `count` dimensions, or that many; each at least `least`."""
    if type(value) is tuple and len(value) == count:  # as layers hand it on in each forward pass
        for n in value:
            if type(n) is not int or n < least:
                break
        else:
            return value
    many = tuple(value) if isinstance(value, tuple | list) else (value,) * count
    whole = all(isinstance(n, int | np.integer) and not isinstance(n, bool) for n in many)
    if len(many) != count or not whole or min(many) < least:
        others = "" if count == 1 else f", or {count} of them"
        raise ArgumentError(f"{what}: expected an integer of at least {least}{others}, got {value!r}.")
    return tuple(int(n) for n in many)


def single(value: Any, what: str, least: int) -> int:
    """One integer of at least `least`; PyTorch takes a tuple of one as well."""
    return several(value, 1, what, least)[0]


def pair(value: Any, what: str, least: int) -> Pair:
    """One integer for both dimensions, or two; each at least `least`.

    Examples
    --------
    >>> pair(3, "kernel_size", least=1)
    (3, 3)
    """
    first, second = several(value, 2, what, least)
    return first, second


def windows(
    kernel_size: Any, stride: Any, padding: Any, count: int, name: str
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """The kernel, stride and padding of pooling; without a stride the windows touch and do not overlap."""
    kernel = several(kernel_size, count, f"{name}: kernel_size", least=1)
    step = kernel if stride is None else several(stride, count, f"{name}: stride", least=1)
    border = several(padding, count, f"{name}: padding", least=0)
    if any(2 * p > k for p, k in zip(border, kernel, strict=True)):
        raise ArgumentError(f"{name}: padding is at most half the kernel, got {border} for kernel {kernel}.")
    return kernel, step, border


def sides(padding: Any, kernel: Pair, stride: Pair, dilation: Pair, name: str) -> tuple[Pair, Pair]:
    """The padding ((top, bottom), (left, right)) that a number, a pair, 'valid' or 'same' stands for."""
    if padding == "valid":
        return (0, 0), (0, 0)
    if padding == "same":
        if stride != (1, 1):
            raise ArgumentError(f"{name}: padding='same' needs stride 1, got stride {stride}.")
        # An odd sum leaves one more zero at the end, as in PyTorch.
        rows, columns = (d * (k - 1) for d, k in zip(dilation, kernel, strict=True))
        return (rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2)
    if isinstance(padding, str):
        raise ArgumentError(f"{name}: expected padding 'same', 'valid' or numbers, got {padding!r}.")
    height, width = pair(padding, f"{name}: padding", least=0)
    return (height, height), (width, width)


def check_images(x: Tensor, name: str, dims: int = 2) -> None:
    """Raise ShapeError or DTypeError unless x is a batch of images (or, with dims=1, of signals), or one of them."""
    form = "images (N, C, H, W) or one image (C, H, W)" if dims == 2 else "signals (N, C, L) or one signal (C, L)"
    if not isinstance(x, Tensor):
        raise DTypeError(f"{name}: expected {form} as a Tensor, got {type(x).__name__}. Use minigrad.tensor(...).")
    if x.ndim not in (dims + 1, dims + 2):
        raise ShapeError(f"{name}: expected {form}, got shape {x.shape}.")
