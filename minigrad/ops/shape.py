"""The same elements in another shape, and the two ops that undo each other: expand and sum_to."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.errors import DimError, ShapeError
from minigrad.graph import op
from minigrad.ops.samples import Sample, draw, strided

__all__ = ["expand", "permute", "reshape", "sum_to", "wrap_dim", "wrap_dims"]


def wrap_dim(dim: int, ndim: int, name: str) -> int:
    """`dim` counted from 0; a negative one counts from the end. DimError when there is no such dimension."""
    if not -ndim <= dim < max(ndim, 1) and not (ndim == 0 and dim == -1):
        raise DimError(f"{name}: dimension {dim} is out of range for {ndim} dimensions; expected {-ndim} to {ndim - 1}.")
    return dim % max(ndim, 1)


def wrap_dims(dims: Any, ndim: int, name: str) -> tuple[int, ...]:
    """One dim, several, or None for all, as a tuple of different dims counted from 0."""
    if dims is None:
        return tuple(range(ndim))
    given = tuple(dims) if isinstance(dims, tuple | list) else (dims,)
    wrapped = tuple(wrap_dim(int(dim), ndim, name) for dim in given)
    if len(set(wrapped)) != len(wrapped):
        raise DimError(f"{name}: dimension given twice in dim={given}.")
    return wrapped


@op
def reshape(x: np.ndarray, /, shape: tuple[int, ...]) -> np.ndarray:
    """z = the elements of x in row-major order, in another shape; one length may be -1"""
    if -1 in shape and shape.count(-1) == 1:
        known = -math.prod(shape)
        if known == 0 or x.size % known:
            raise ShapeError(f"reshape: {x.size} elements of shape {x.shape} do not fit shape {shape}.")
    elif math.prod(shape) != x.size or min(shape, default=0) < 0:
        raise ShapeError(f"reshape: {x.size} elements of shape {x.shape} do not fit shape {shape}.")
    return x.reshape(shape)


@reshape.vjp
def reshape(g: Any, _z: Any, _x: Any, shape: tuple[int, ...]) -> tuple:
    return (reshape(g, shape=_x.shape),)


@reshape.sampled
def _reshape_samples() -> list[Sample]:
    cases: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
        ((), (1,)),
        ((6,), (2, 3)),
        ((2, 3), (-1,)),
        ((2, 1, 3), (3, 2)),
        ((0, 3), (3, 0)),
    ]
    return [Sample(draw(*a), shape=b) for a, b in cases] + [Sample(strided(draw(2, 3)), shape=(3, 2))]


@op
def permute(x: np.ndarray, /, dims: tuple[int, ...]) -> np.ndarray:
    """z[i_dims[0], i_dims[1], ...] = x[i_0, i_1, ...]"""
    wrapped = wrap_dims(dims, x.ndim, "permute")
    if len(wrapped) != x.ndim:
        raise DimError(f"permute: expected all {x.ndim} dimensions of shape {x.shape}, got dims={tuple(dims)}.")
    return x.transpose(wrapped)


@permute.vjp
def permute(g: Any, _z: Any, _x: Any, dims: tuple[int, ...]) -> tuple:
    order = wrap_dims(dims, len(_x.shape), "permute")
    return (permute(g, dims=tuple(int(i) for i in np.argsort(order))),)


@permute.sampled
def _permute_samples() -> list[Sample]:
    cases: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
        ((), ()),
        ((3,), (0,)),
        ((2, 3), (1, 0)),
        ((2, 3, 4), (2, 0, 1)),
        ((2, 0, 3), (-1, 0, 1)),
    ]
    return [Sample(draw(*shape), dims=dims) for shape, dims in cases]


@op
def expand(x: np.ndarray, /, shape: tuple[int, ...]) -> np.ndarray:
    """z = x repeated along dimensions of length 1, and along new ones in front, without a copy"""
    return np.broadcast_to(x, shape)


@expand.vjp
def expand(g: Any, _z: Any, _x: Any, shape: tuple[int, ...]) -> tuple:
    return (sum_to(g, shape=_x.shape),)


@expand.sampled
def _expand_samples() -> list[Sample]:
    cases: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
        ((), (2, 3)),
        ((3,), (2, 3)),
        ((2, 1), (2, 4)),
        ((1, 3, 1), (2, 3, 2)),
        ((1, 3), (0, 3)),
    ]
    return [Sample(draw(*a), shape=b) for a, b in cases]


@op
def sum_to(x: np.ndarray, /, shape: tuple[int, ...]) -> np.ndarray:
    """z = x summed over the dimensions along which `shape` would be repeated to give x: expand, transposed"""
    extra = x.ndim - len(shape)
    repeated = [i for i, n in enumerate(shape, start=extra) if n == 1 and x.shape[i] != 1]
    summed = x.sum(axis=(*range(extra), *repeated), keepdims=True)
    if summed.shape[extra:] != tuple(shape):
        raise ShapeError(f"sum_to: shape {x.shape} does not come from repeating shape {shape}.")
    return summed.reshape(shape)


@sum_to.vjp
def sum_to(g: Any, _z: Any, _x: Any, shape: tuple[int, ...]) -> tuple:
    return (expand(g, shape=_x.shape),)


@sum_to.sampled
def _sum_to_samples() -> list[Sample]:
    cases: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
        ((2, 3), ()),
        ((2, 3), (3,)),
        ((2, 4), (2, 1)),
        ((2, 3, 2), (1, 3, 1)),
        ((0, 3), (1, 3)),
    ]
    return [Sample(draw(*a), shape=b) for a, b in cases]
