"""Taking parts of a tensor: x[...] in every form that numpy and PyTorch have, and its transpose.

An index is an integer, a slice (its step may be negative), None for a new dimension, Ellipsis for all dimensions that
are not named, an integer array, a boolean mask, or a tuple of those. As in PyTorch, integers and slices are applied
first and arrays to what remains: `x[0, :, [1, 2]]` is `x[0][:, [1, 2]]`, of shape (rows, 2), where numpy would put
the 2 in front.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.errors import DimError, DTypeError, ShapeError
from minigrad.graph import Variable, op
from minigrad.ops.samples import Sample, draw, strided

__all__ = ["getitem", "plain_index", "put", "setitem_zeros", "view_and_arrays"]

_WHOLE = slice(None)


def plain_index(key: Any) -> Any:
    """The index with arrays in place of Tensors and lists."""
    if isinstance(key, tuple):
        return tuple(plain_index(part) for part in key)
    if isinstance(key, Variable):
        key = key._data
    elif isinstance(key, list):
        key = np.asarray([plain_index(part) for part in key])
        key = key.astype(np.int64) if key.size == 0 else key
    if isinstance(key, np.ndarray):
        if key.dtype.kind not in "biu":
            raise DTypeError(f"index: expected integers or bools, got {key.dtype.name} of shape {key.shape}.")
        return int(key) if key.ndim == 0 and key.dtype.kind != "b" else key
    return key


def view_and_arrays(x: np.ndarray, index: Any) -> tuple[np.ndarray, tuple | None]:
    """x after the integers, slices and Nones of `index`, as a view, and the index by arrays that remains."""
    parts = index if isinstance(index, tuple) else (index,)
    if not any(isinstance(part, np.ndarray) for part in parts):
        # With an Ellipsis numpy returns a view also of a single element.
        return x[parts if any(part is Ellipsis for part in parts) else (*parts, Ellipsis)], None
    named = sum(
        0 if part is None or part is Ellipsis else part.ndim if _is_mask(part) else 1 for part in parts
    )  # the dimensions of x that are spoken for
    first: list[Any] = []
    then: list[Any] = []
    for part in (*parts, Ellipsis):
        if part is Ellipsis:
            rest = max(x.ndim - named, 0)
            named = x.ndim  # what the first Ellipsis stands for
            first += [_WHOLE] * rest
            then += [_WHOLE] * rest
        elif isinstance(part, np.ndarray):
            first += [_WHOLE] * (part.ndim if _is_mask(part) else 1)
            then.append(part)
        else:
            first.append(part)
            if part is None or isinstance(part, slice):
                then.append(_WHOLE)
    first.append(Ellipsis)  # a view also where nothing is left to name
    return x[tuple(first)], tuple(then)


def _is_mask(part: Any) -> bool:
    return isinstance(part, np.ndarray) and part.dtype.kind == "b"


def put(x: np.ndarray, index: Any, value: Any) -> None:
    """x[index] = value"""
    try:
        view, arrays = view_and_arrays(x, index)
        view[... if arrays is None else arrays] = value
    except IndexError as error:
        raise DimError(f"index: {error} (the tensor has shape {x.shape}).") from None
    except ValueError as error:
        raise ShapeError(f"assignment to elements: {error} (the tensor has shape {x.shape}).") from None
    except TypeError as error:
        raise DTypeError(f"assignment to elements: expected numbers, got {value!r:.60} ({error}).") from None


@op
def getitem(x: np.ndarray, /, index: Any) -> np.ndarray:
    """z = x[index]"""
    try:
        view, arrays = view_and_arrays(x, index)
        return view if arrays is None else view[arrays]
    except IndexError as error:
        raise DimError(f"index: {error} (the tensor has shape {x.shape}).") from None


@getitem.vjp
def getitem(g: Any, _z: Any, _x: Any, index: Any) -> tuple:
    return (setitem_zeros(g, index=index, shape=_x.shape),)


@op
def setitem_zeros(x: np.ndarray, /, index: Any, shape: tuple[int, ...]) -> np.ndarray:
    """z = zeros; z[index] += x"""
    z = np.zeros(shape, x.dtype)
    view, arrays = view_and_arrays(z, index)
    if arrays is None:
        view[...] = x
    elif all(_is_mask(part) or isinstance(part, slice) for part in arrays):
        view[arrays] = x
    else:
        # An element may be named more than once, and every mention counts. `np.add.at` is fast in one dimension.
        positions = np.arange(math.prod(shape)).reshape(shape)
        view, arrays = view_and_arrays(positions, index)
        np.add.at(z.reshape(-1), view[arrays].reshape(-1), x.reshape(-1))
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
    ((2, 3, 4), (1, slice(None), np.array([0, 0, 3]))),
    ((2, 3, 4), (np.array([1, 0]), None, slice(0, 2), np.array([2, 2]))),
    ((2, 3, 4), (Ellipsis, np.array([True, False, True, True]))),
    ((), ()),
    ((), np.array(True)),
    ((0, 3), (slice(None), 1)),
]


@getitem.sampled
def _getitem_samples() -> list[Sample]:
    made = [Sample(draw(*shape), index=index) for shape, index in _INDICES]
    return [*made, Sample(strided(draw(3, 4)), index=(np.array([0, 0, 1]), slice(1, 3)))]


@setitem_zeros.sampled
def _setitem_samples() -> list[Sample]:
    shapes = [(getitem(draw(*shape), index=index).shape, index, shape) for shape, index in _INDICES]
    return [Sample(draw(*part), index=index, shape=shape) for part, index, shape in shapes]
