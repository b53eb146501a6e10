"""Taking parts of a tensor: x[...] in every form that numpy has, and its transpose, putting a part into zeros."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.graph import op
from minigrad.ops.samples import Sample, draw

__all__ = ["getitem", "setitem_zeros"]


def _is_basic(index: Any) -> bool:
    """True when no element can be named twice: integers, slices, None and Ellipsis, or one boolean mask."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(p is None or p is Ellipsis or isinstance(p, int | np.integer | slice) for p in parts)


@op
def getitem(x: np.ndarray, /, index: Any) -> np.ndarray:
    """z = x[index]"""
    return x[index]


@getitem.vjp
def getitem(g: Any, _z: Any, _x: Any, index: Any) -> tuple:
    return (setitem_zeros(g, index=index, shape=_x.shape),)


@op
def setitem_zeros(x: np.ndarray, /, index: Any, shape: tuple[int, ...]) -> np.ndarray:
    """z = zeros; z[index] += x"""
    z = np.zeros(shape, x.dtype)
    if _is_basic(index):
        z[index] = x
    else:
        np.add.at(z, index, x)  # an element may be named more than once: every mention counts
    return z


@setitem_zeros.vjp
def setitem_zeros(g: Any, _z: Any, _x: Any, index: Any, shape: tuple[int, ...]) -> tuple:
    return (getitem(g, index=index),)


_INDICES: list[tuple[tuple[int, ...], Any]] = [
    ((4,), 1),
    ((4,), slice(None, None, -2)),
    ((3, 4), (slice(1, None), 2)),
    ((3, 4), (Ellipsis, None, 0)),
    ((3, 4), np.array([0, 2, 2, -1])),
    ((3, 4), (np.array([[0], [2]]), np.array([1, 1, 3]))),
    ((3, 4), np.arange(12).reshape(3, 4) % 3 == 0),
    ((), ()),
    ((0, 3), (slice(None), 1)),
]


@getitem.sampled
def _getitem_samples() -> list[Sample]:
    return [Sample(draw(*shape), index=index) for shape, index in _INDICES]


@setitem_zeros.sampled
def _setitem_samples() -> list[Sample]:
    return [Sample(draw(*draw(*shape)[index].shape), index=index, shape=shape) for shape, index in _INDICES]
