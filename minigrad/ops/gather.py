"""Elements picked and placed by an integer tensor along one dimension.

Inside `z = gather(x, dim, index)` every element of `index` says where along `dim` its element of z comes from:
z[i][j] = x[index[i][j]][j] for dim 0, x[i][index[i][j]] for dim 1. `scatter` and `scatter_add` go the other way.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.errors import ArgumentError, DimError, DTypeError, ShapeError
from minigrad.graph import Variable, op
from minigrad.ops.index import getitem
from minigrad.ops.promotion import category
from minigrad.ops.samples import Sample, draw, strided
from minigrad.ops.select import where
from minigrad.ops.shape import expand, reshape, wrap_dim

__all__ = [
    "gather",
    "gather_along",
    "index_select",
    "scatter",
    "scatter_add",
    "scatter_add_along",
    "scatter_along",
    "take_along_dim",
]


def _places(index: np.ndarray, shape: tuple[int, ...], dim: int, name: str) -> tuple[np.ndarray, ...]:
    """The full index, an array for each dimension, of the elements that `index` names."""
    if index.dtype.kind not in "iu":
        raise DTypeError(f"{name}: expected an integer index, got {index.dtype.name}. Convert it with .long().")
    if index.ndim != len(shape) or any(
        k > n for i, (k, n) in enumerate(zip(index.shape, shape, strict=True)) if i != dim
    ):
        raise ShapeError(
            f"{name}: expected an index of {len(shape)} dimensions, none but dimension {dim} longer than "
            f"that of shape {shape}, got {index.shape}."
        )
    length = shape[dim] if shape else 1
    if index.size and not 0 <= index.min() <= index.max() < length:
        raise DimError(f"{name}: an index is out of range 0 to {length - 1}, dimension {dim} of shape {shape}.")
    if not shape:
        return ()
    places: list[np.ndarray] = list(np.indices(index.shape, sparse=True))
    places[dim] = index
    return tuple(places)


@op
def gather_along(x: np.ndarray, index: np.ndarray, /, dim: int) -> np.ndarray:
    """z_i = x_index_i along `dim`"""
    return x[_places(index, x.shape, dim, "gather")]


@gather_along.vjp
def gather_along(g: Any, _z: Any, _x: Any, index: Any, dim: int) -> tuple:
    return scatter_add_along(np.zeros(_x.shape, _x.dtype), index, g, dim=dim), None


@op
def scatter_add_along(x: np.ndarray, index: np.ndarray, src: np.ndarray, /, dim: int) -> np.ndarray:
    """z = x; z_index_i += src_i along `dim`"""
    z = np.array(x, order="C")
    # One dimension, where `np.add.at` is fast.
    in_a_row = np.arange(x.size).reshape(x.shape)[_places(index, x.shape, dim, "scatter_add")]
    np.add.at(z.reshape(-1), in_a_row.reshape(-1), src.reshape(-1))
    return z


@scatter_add_along.vjp
def scatter_add_along(g: Any, _z: Any, _x: Any, index: Any, _src: Any, dim: int) -> tuple:
    return g, None, lambda: gather_along(g, index, dim=dim)


@op
def scatter_along(x: np.ndarray, index: np.ndarray, src: Any, /, dim: int) -> np.ndarray:
    """z = x; z_index_i = src_i along `dim`; of several for one place the last stays"""
    z = np.array(x)
    z[_places(index, x.shape, dim, "scatter")] = src
    return z


@scatter_along.vjp
def scatter_along(g: Any, _z: Any, _x: Any, index: Any, _src: Any, dim: int) -> tuple:
    places = np.asarray(index)

    def base() -> Any:
        return scatter_along(g, index, 0.0, dim=dim)

    def source() -> Any:
        # Only the one that stayed has a gradient.
        turn = np.arange(places.size).reshape(places.shape)
        stayed = gather_along(scatter_along(np.zeros(g.shape, np.int64), places, turn, dim=dim), places, dim=dim)
        return where(stayed == turn, gather_along(g, index, dim=dim), 0.0)

    return base, None, source


_CASES: list[tuple[tuple[int, ...], Any, int]] = [
    ((), 0, 0),
    ((4,), [3, 0, 0], 0),
    ((3, 2), [[2, 0], [0, 0], [1, 2], [1, 1]], 0),
    ((3, 4), [[1], [3]], 1),
    ((2, 1, 3), [[[0, 1, 1]]], 0),
    ((0, 3), np.zeros((0, 2), np.int64), 1),
]


@gather_along.sampled
def _gather_samples() -> list[Sample]:
    made = [Sample(draw(*shape), np.array(index), dim=dim) for shape, index, dim in _CASES]
    return [*made, Sample(strided(draw(3, 4)), np.array([[3, 3, 0]]), dim=1)]


def _scatter_samples() -> list[Sample]:
    made = []
    for shape, values, dim in _CASES:
        index = np.array(values)
        made.append(Sample(draw(*shape), index, draw(*index.shape, seed=1), dim=dim))
    index = np.array([[3, 3, 0]])
    return [*made, Sample(strided(draw(3, 4)), index, draw(3, 1, seed=1).T, dim=1)]


scatter_along.sampled(_scatter_samples)
scatter_add_along.sampled(_scatter_samples)


# ---- PyTorch's argument order ---------------------------------------------------------------------------------------


def gather(x: Any, dim: int, index: Any) -> Any:
    """The elements of x that `index` names along `dim`; the result has the shape of `index`.

    Examples
    --------
    >>> import minigrad
    >>> x = minigrad.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> minigrad.gather(x, 1, minigrad.tensor([[1], [0]]))
    tensor([[2.],
            [3.]])
    """
    return gather_along(x, index, dim=wrap_dim(dim, len(x.shape), "gather"))


def scatter(x: Any, dim: int, index: Any, src: Any = None, *, value: Any = None) -> Any:
    """A copy of x with the elements of `src`, a tensor or one number, at the places that `index` names along `dim`.

    One number may also be given as `value`.

    Examples
    --------
    >>> import minigrad
    >>> minigrad.scatter(minigrad.zeros(2, 3), 1, minigrad.tensor([[2], [0]]), 1.0)
    tensor([[0., 0., 1.],
            [1., 0., 0.]])
    """
    if (src is None) == (value is None):
        raise ArgumentError("scatter: expected either src or value.")
    source = _source(x, index, value if src is None else src, "scatter")
    return scatter_along(x, index, source, dim=wrap_dim(dim, len(x.shape), "scatter"))


def scatter_add(x: Any, dim: int, index: Any, src: Any) -> Any:
    """A copy of x with the elements of `src` added at the places that `index` names along `dim`.

    Examples
    --------
    >>> import minigrad
    >>> minigrad.scatter_add(minigrad.zeros(3), 0, minigrad.tensor([0, 0, 2]), minigrad.ones(3))
    tensor([2., 0., 1.])
    """
    if not isinstance(src, Variable):
        raise DTypeError(f"scatter_add: expected a Tensor as src, got {type(src).__name__}.")
    return scatter_add_along(
        x, index, _source(x, index, src, "scatter_add"), dim=wrap_dim(dim, len(x.shape), "scatter_add")
    )


def _source(x: Any, index: Any, src: Any, name: str) -> Any:
    """The part of `src` that `index` covers."""
    if not isinstance(src, Variable):
        if category(np.asarray(src).dtype) > category(x.dtype):
            raise DTypeError(f"{name}: a tensor of {x.dtype.name} cannot hold the value {src!r}.")
        return src
    if src.dtype != x.dtype:
        raise DTypeError(f"{name}: expected src of dtype {x.dtype.name} like the tensor, got {src.dtype.name}.")
    if len(src.shape) != len(index.shape) or any(n < k for n, k in zip(src.shape, index.shape, strict=True)):
        raise ShapeError(f"{name}: expected src at least as long as the index {index.shape}, got {src.shape}.")
    return src if src.shape == index.shape else getitem(src, index=tuple(slice(k) for k in index.shape))


def index_select(x: Any, dim: int, index: Any) -> Any:
    """The slices of x along `dim` that the integer vector `index` names.

    Examples
    --------
    >>> import minigrad
    >>> minigrad.index_select(minigrad.tensor([[1, 2, 3]]), 1, minigrad.tensor([2, 0]))
    tensor([[3, 1]])
    """
    dim = wrap_dim(dim, len(x.shape), "index_select")
    places = index._data if isinstance(index, Variable) else np.asarray(index)
    if places.ndim > 1 or places.dtype.kind not in "iu":
        raise ArgumentError(f"index_select: expected a vector of integers, got {places.dtype.name} {places.shape}.")
    return getitem(x, index=(*(slice(None),) * dim, places.reshape(-1)))


def take_along_dim(x: Any, indices: Any, dim: int | None = None) -> Any:
    """Like `gather`, with x and `indices` broadcast against each other in the other dimensions.

    Without `dim` x counts as one long row. It undoes `argsort`: `take_along_dim(x, argsort(x, d), d)` is sorted.
    """
    if dim is None:
        return gather_along(reshape(x, (-1,)), reshape(indices, (-1,)), dim=0)
    ndim = len(x.shape)
    dim = wrap_dim(dim, ndim, "take_along_dim")
    if len(indices.shape) != ndim:
        raise ShapeError(f"take_along_dim: expected indices of {ndim} dimensions for {x.shape}, got {indices.shape}.")
    wide, places = list(x.shape), list(indices.shape)
    for i, (n, k) in enumerate(zip(x.shape, indices.shape, strict=True)):
        if i != dim:
            wide[i] = places[i] = k if n == 1 else n
    return gather_along(expand(x, tuple(wide)), expand(indices, tuple(places)), dim=dim)
