"""The largest, the smallest and the middle; and sorting, which finds them all.

Where several elements are equal, what reduces all of `dim` at once (`amax(x, dim)`, `max(x)`, `median(x)`) divides
the gradient evenly among them; what also gives an index (`max(x, dim)`, `sort`) sends it to the element at the index.
NaN counts as larger than every number, and is the largest and the smallest where there is one.
"""

from __future__ import annotations

import builtins
from typing import Any, NamedTuple

import numpy as np

from minigrad.errors import ArgumentError, DimError
from minigrad.graph import Variable, op
from minigrad.ops.gather import take_along_dim
from minigrad.ops.index import getitem
from minigrad.ops.reduce import Dims, reduced_dims, reduction_samples, spread, sum
from minigrad.ops.samples import Sample, draw
from minigrad.ops.select import maximum, minimum
from minigrad.ops.shape import squeeze, wrap_dim

__all__ = ["Selected", "amax", "amin", "argmax", "argmin", "argsort", "max", "median", "min", "sort", "topk"]


class Selected(NamedTuple):
    """Elements of a tensor, and where along the dimension they were."""

    values: Any
    indices: Any


def _not_empty(x: np.ndarray, axes: tuple[int, ...], name: str) -> None:
    if builtins.any(x.shape[i] == 0 for i in axes):
        raise DimError(f"{name}: expected at least one element along dim {axes}, got shape {x.shape}.")


@op
def amax(x: np.ndarray, /, dim: Dims = (), keepdim: bool = False) -> np.ndarray:
    """z = max_i x_i over the dimensions `dim`"""
    axes = reduced_dims(dim, x.ndim, "amax")
    _not_empty(x, axes, "amax")
    return x.max(axis=axes, keepdims=keepdim)


@op
def amin(x: np.ndarray, /, dim: Dims = (), keepdim: bool = False) -> np.ndarray:
    """z = min_i x_i over the dimensions `dim`"""
    axes = reduced_dims(dim, x.ndim, "amin")
    _not_empty(x, axes, "amin")
    return x.min(axis=axes, keepdims=keepdim)


def _evenly(g: Any, z: Any, x: Any, dim: Dims) -> Any:
    """The gradient divided among the elements that are equal to the result, which is NaN where one is NaN."""
    chosen = (x == spread(z, x.shape, dim, "amax")) | (x != x)
    count = sum(chosen, dim=dim, keepdim=True)
    return spread(g, x.shape, dim, "amax") * chosen / count


@amax.vjp
def amax(g: Any, z: Any, x: Any, dim: Dims = (), keepdim: bool = False) -> tuple:
    return (_evenly(g, z, x, dim),)


@amin.vjp
def amin(g: Any, z: Any, x: Any, dim: Dims = (), keepdim: bool = False) -> tuple:
    return (_evenly(g, z, x, dim),)


def _extreme_samples() -> list[Sample]:
    return [*reduction_samples(empty=False), Sample(draw(0, 3), dim=1), Sample(draw(2, 3), dim=())]


amax.sampled(_extreme_samples)
amin.sampled(_extreme_samples)


def _position(x: np.ndarray, dim: int | None, keepdim: bool, name: str) -> np.ndarray:
    axis = None if dim is None else wrap_dim(dim, x.ndim, name)
    _not_empty(x, range(x.ndim) if axis is None else (axis,) if x.ndim else (), name)  # type: ignore[arg-type]
    if x.ndim == 0:
        return np.zeros((), np.int64)
    find = np.argmax if name == "argmax" else np.argmin
    return np.asarray(find(x, axis=axis, keepdims=keepdim))


@op(differentiable=False)
def argmax(x: np.ndarray, /, dim: int | None = None, keepdim: bool = False) -> np.ndarray:
    """z = the index of the first largest element along `dim`, or of the flattened x"""
    return _position(x, dim, keepdim, "argmax")


@op(differentiable=False)
def argmin(x: np.ndarray, /, dim: int | None = None, keepdim: bool = False) -> np.ndarray:
    """z = the index of the first smallest element along `dim`, or of the flattened x"""
    return _position(x, dim, keepdim, "argmin")


@op(differentiable=False)
def argsort(x: np.ndarray, /, dim: int = -1, descending: bool = False, stable: bool = True) -> np.ndarray:
    """z = the indices that put x in order along `dim`; equal elements keep theirs, always"""
    if x.ndim == 0:
        return np.zeros((), np.int64)
    dim = wrap_dim(dim, x.ndim, "argsort")
    if not descending:
        return np.argsort(x, dim, kind="stable")
    # From the other end and back, so that equal elements keep their order here too.
    order = x.shape[dim] - 1 - np.argsort(np.flip(x, dim), dim, kind="stable")
    return np.flip(order, dim).copy()


def _index_samples() -> list[Sample]:
    cases: list[tuple[tuple[int, ...], dict[str, Any]]] = [
        ((), {}),
        ((4,), {}),
        ((3, 2), {"dim": 1}),
        ((3, 2), {"dim": 0, "keepdim": True}),
        ((2, 3, 4), {"dim": -1}),
        ((2, 3), {}),
        ((0, 3), {"dim": 1}),
    ]
    return [Sample(draw(*shape), **options) for shape, options in cases]


@argsort.sampled
def _argsort_samples() -> list[Sample]:
    ties = np.array([[1.0, 0.0, 1.0, 0.0], [np.nan, 2.0, np.inf, 2.0]])
    shapes: list[tuple[int, ...]] = [(), (5,), (3, 2), (2, 3, 4), (0, 3)]
    made = [Sample(draw(*shape), dim=-1, descending=d) for shape in shapes for d in (False, True)]
    return [*made, Sample(draw(4, 2), dim=0), Sample(ties), Sample(ties, descending=True)]


argmax.sampled(_index_samples)
argmin.sampled(_index_samples)


@op(differentiable=False)
def argmedian(x: np.ndarray, /, dim: int) -> np.ndarray:
    """z = the index along `dim`, kept, of the middle element, the lower one of two; of a NaN if there is one"""
    _not_empty(x, (dim,) if x.ndim else (), "median")
    if x.ndim == 0:
        return np.zeros((), np.int64)
    middle = (x.shape[dim] - 1) // 2
    places = np.take(np.argsort(x, dim, kind="stable"), [middle], axis=dim)
    missing = np.isnan(x) if x.dtype.kind == "f" else np.zeros(x.shape, np.bool_)
    return np.where(missing.any(axis=dim, keepdims=True), missing.argmax(axis=dim, keepdims=True), places)


@argmedian.sampled
def _argmedian_samples() -> list[Sample]:
    missing = np.array([[1.0, np.nan, 0.0, np.nan], [4.0, 3.0, 2.0, 1.0]])
    cases: list[tuple[tuple[int, ...], int]] = [((), 0), ((5,), 0), ((4, 3), 0), ((2, 3, 4), 1), ((0, 3), 1)]
    return [*(Sample(draw(*shape), dim=dim) for shape, dim in cases), Sample(missing, dim=1)]


@op
def middle(x: np.ndarray, /) -> np.ndarray:
    """z = the middle element of all in order, the lower one of two; NaN of none, and where one is NaN"""
    if x.size == 0:
        return np.full((), np.nan, x.dtype)
    row = x.reshape(-1)
    return row[argmedian(row, dim=0)].reshape(())


@middle.vjp
def middle(g: Any, z: Any, x: Any) -> tuple:
    return (_evenly(g, z, x, None),)


@middle.sampled
def _middle_samples() -> list[Sample]:
    return [Sample(draw(*shape)) for shape in [(), (5,), (4,), (3, 3), (2, 1, 3), (2, 3, 2), (0, 3)]]


# ---- PyTorch's functions --------------------------------------------------------------------------------------------


def _at(x: Any, indices: Any, dim: int, keepdim: bool) -> Selected:
    """The elements at `indices`, whose dimension `dim` was kept."""
    values = take_along_dim(x, indices, dim)
    return Selected(values, indices) if keepdim else Selected(squeeze(values, dim), squeeze(indices, dim))


def max(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The largest element; along `dim`, (values, indices); with a Tensor in place of `dim`, `maximum`.

    Examples
    --------
    >>> import minigrad
    >>> x = minigrad.tensor([[1.0, 5.0], [4.0, 2.0]])
    >>> minigrad.max(x)
    tensor(5.)
    >>> minigrad.max(x, dim=1).indices
    tensor([1, 0])
    """
    if isinstance(dim, Variable):
        return maximum(x, dim)
    if dim is None:
        return amax(x, dim=None)
    return _at(x, argmax(x, dim=dim, keepdim=True), dim, keepdim)


def min(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The smallest element; along `dim`, (values, indices); with a Tensor in place of `dim`, `minimum`."""
    if isinstance(dim, Variable):
        return minimum(x, dim)
    if dim is None:
        return amin(x, dim=None)
    return _at(x, argmin(x, dim=dim, keepdim=True), dim, keepdim)


def median(x: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The middle element in order, the lower one of two; along `dim`, (values, indices).

    Examples
    --------
    >>> import minigrad
    >>> minigrad.median(minigrad.tensor([3.0, 1.0, 4.0, 2.0]))
    tensor(2.)
    """
    if dim is None:
        return middle(x)
    dim = wrap_dim(dim, len(x.shape), "median")
    return _at(x, argmedian(x, dim=dim), dim, keepdim)


def sort(x: Any, dim: int = -1, descending: bool = False, stable: bool = True) -> Selected:
    """x in order along `dim`, as (values, indices); equal elements keep their order.

    Examples
    --------
    >>> import minigrad
    >>> minigrad.sort(minigrad.tensor([3, 1, 2]), descending=True).values
    tensor([3, 2, 1])
    """
    return _at(x, argsort(x, dim=dim, descending=descending), dim, keepdim=True)


def topk(x: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Selected:
    """The k largest elements along `dim`, or the k smallest, as (values, indices), in order.

    Examples
    --------
    >>> import minigrad
    >>> minigrad.topk(minigrad.tensor([3.0, 1.0, 4.0, 2.0]), 2).indices
    tensor([2, 0])
    """
    dim = wrap_dim(dim, len(x.shape), "topk")
    n = x.shape[dim] if x.shape else 1
    if not 0 <= k <= n:
        raise ArgumentError(f"topk: expected k from 0 to {n}, the length of dimension {dim} of {x.shape}, got {k}.")
    order = argsort(x, dim=dim, descending=largest)
    return _at(x, getitem(order, index=(*(slice(None),) * dim, slice(k))) if x.shape else order, dim, keepdim=True)
