"""Sizes as PyTorch lets one write them: one number for every dimension, or one for each."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.errors import ArgumentError, ShapeError
from minigrad.tensor import Tensor

__all__ = ["check_images", "pair", "sides", "single"]

Pair = tuple[int, int]


def _several(value: Any, count: int, what: str, least: int) -> tuple[int, ...]:
    many = tuple(value) if isinstance(value, tuple | list) else (value,) * count
    whole = all(isinstance(n, int | np.integer) and not isinstance(n, bool) for n in many)
    if len(many) != count or not whole or min(many) < least:
        others = "" if count == 1 else f", or {count} of them"
        raise ArgumentError(f"{what}: expected an integer of at least {least}{others}, got {value!r}.")
    return tuple(int(n) for n in many)


def single(value: Any, what: str, least: int) -> int:
    """One integer of at least `least`; PyTorch takes a tuple of one as well."""
    return _several(value, 1, what, least)[0]


def pair(value: Any, what: str, least: int) -> Pair:
    """One integer for both dimensions, or two; each at least `least`.

    Examples
    --------
    >>> pair(3, "kernel_size", least=1)
    (3, 3)
    """
    first, second = _several(value, 2, what, least)
    return first, second


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
    """Raise ShapeError unless x is a batch of images (or, with dims=1, of signals), or one of them."""
    if x.ndim not in (dims + 1, dims + 2):
        form = "images (N, C, H, W) or one image (C, H, W)" if dims == 2 else "signals (N, C, L) or one signal (C, L)"
        raise ShapeError(f"{name}: expected {form}, got shape {x.shape}.")
