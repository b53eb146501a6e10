"""The same elements in another shape, and the two ops that undo each other: expand and sum_to.

Results share memory with their input wherever numpy allows it, as PyTorch's views do.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from minigrad.errors import ArgumentError, DimError, ShapeError
from minigrad.graph import op
from minigrad.kernels.buffers import planes
from minigrad.ops.samples import Sample, draw, strided

__all__ = [
    "broadcast_to",
    "expand",
    "flatten",
    "integers",
    "movedim",
    "permute",
    "reshape",
    "squeeze",
    "sum_to",
    "transpose",
    "unflatten",
    "unsqueeze",
    "wrap_dim",
    "wrap_dims",
]


def integers(given: tuple) -> tuple[int, ...]:
    """Lengths or dimensions, given as `f(2, 3)` or as `f((2, 3))`."""
    values = given[0] if len(given) == 1 and isinstance(given[0], tuple | list) else given
    try:
        return tuple(operator.index(n) for n in values)
    except TypeError:
        raise ArgumentError(f"expected integers as lengths or dimensions, got {given}.") from None


def wrap_dim(dim: int, ndim: int, name: str) -> int:
    """`dim` counted from 0; a negative one counts from the end. DimError when there is no such dimension."""
    if not -ndim <= dim < max(ndim, 1) and not (ndim == 0 and dim == -1):
        raise DimError(
            f"{name}: dimension {dim} is out of range for {ndim} dimensions; expected {-ndim} to {ndim - 1}."
        )
    return dim % max(ndim, 1)


def wrap_dims(dims: Any, ndim: int, name: str) -> tuple[int, ...]:
    """One dim, several, or None for all, as a tuple of different dims counted from 0."""
    if dims is None:
        return tuple(range(ndim))
    given = tuple(dims) if isinstance(dims, tuple | list) else (dims,)
    wrapped = tuple(wrap_dim(operator.index(dim), ndim, name) for dim in given)
    if len(set(wrapped)) != len(wrapped):
        raise DimError(f"{name}: dimension given twice in dim={given}.")
    return wrapped


@op
def reshape(x: np.ndarray, /, shape: tuple[int, ...]) -> np.ndarray:
    """z = the elements of x in row-major order, in another shape; one length may be -1"""
    if -1 in shape and shape.count(-1) == 1:
        known = -math.prod(shape)
        if known == 0 or x.size % known:
            raise ShapeError(f"reshape: {x.size} elements of shape {x.shape} do not fit shape {tuple(shape)}.")
    elif math.prod(shape) != x.size or min(shape, default=0) < 0:
        raise ShapeError(f"reshape: {x.size} elements of shape {x.shape} do not fit shape {tuple(shape)}.")
    if x.ndim == 4 and len(shape) == 2:
        x = planes(x)  # an image to be flattened, whose channels lie side by side: numpy copies it slowly
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
    try:
        return np.broadcast_to(x, shape)
    except ValueError:
        raise ShapeError(
            f"expand: shape {x.shape} cannot be repeated to {tuple(shape)}; only dimensions of length 1 can."
        ) from None


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
        ((0, 1), (0, 3)),
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
        ((), ()),
        ((2, 3), ()),
        ((2, 3), (3,)),
        ((2, 4), (2, 1)),
        ((2, 3, 2), (1, 3, 1)),
        ((0, 3), (1, 3)),
    ]
    return [Sample(draw(*a), shape=b) for a, b in cases]


# ---- forms of reshape, permute and expand ---------------------------------------------------------------------------


def flatten(x: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """One dimension in place of the dimensions `start_dim` to `end_dim`.

    Examples
    --------
    >>> import minigrad
    >>> flatten(minigrad.zeros(2, 3, 4), start_dim=1).shape
    (2, 12)
    """
    ndim = len(x.shape)
    first, last = wrap_dim(start_dim, ndim, "flatten"), wrap_dim(end_dim, ndim, "flatten")
    if first > last:
        raise ShapeError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim} in shape {x.shape}.")
    shape = x.shape
    return reshape(x, shape=(*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :]))


def unflatten(x: Any, dim: int, sizes: tuple[int, ...]) -> Any:
    """Several dimensions in place of one; a length of -1 is worked out.

    Examples
    --------
    >>> import minigrad
    >>> unflatten(minigrad.zeros(2, 12), 1, (3, -1)).shape
    (2, 3, 4)
    """
    dim = wrap_dim(dim, len(x.shape), "unflatten")
    sizes, n = integers((sizes,)), x.shape[dim]
    if sizes.count(-1) == 1 and (known := -math.prod(sizes)) and n % known == 0:
        sizes = tuple(n // known if size == -1 else size for size in sizes)
    if math.prod(sizes) != n or min(sizes, default=0) < 0:
        raise ShapeError(f"unflatten: dimension {dim} of shape {x.shape} has length {n}, which is not {sizes}.")
    return reshape(x, (*x.shape[:dim], *sizes, *x.shape[dim + 1 :]))


def transpose(x: Any, dim0: int, dim1: int) -> Any:
    """The dimensions `dim0` and `dim1` exchanged."""
    ndim = len(x.shape)
    order = list(range(ndim))
    first, second = wrap_dim(dim0, ndim, "transpose"), wrap_dim(dim1, ndim, "transpose")
    if order:
        order[first], order[second] = second, first
    return permute(x, tuple(order))


def movedim(x: Any, source: int | tuple[int, ...], destination: int | tuple[int, ...]) -> Any:
    """The dimensions `source` at the places `destination`; the others keep their order.

    Examples
    --------
    >>> import minigrad
    >>> movedim(minigrad.zeros(2, 3, 4), 0, -1).shape
    (3, 4, 2)
    """
    ndim = len(x.shape)
    moved, places = wrap_dims(source, ndim, "movedim"), wrap_dims(destination, ndim, "movedim")
    if len(moved) != len(places):
        raise DimError(f"movedim: expected as many destinations as sources, got {source} and {destination}.")
    others = iter(i for i in range(ndim) if i not in moved)
    comes_from = dict(zip(places, moved, strict=True))
    return permute(x, tuple(comes_from[i] if i in comes_from else next(others) for i in range(ndim)))


def squeeze(x: Any, dim: int | tuple[int, ...] | None = None) -> Any:
    """x without its dimensions of length 1, or without those of them that are in `dim`."""
    dropped = wrap_dims(dim, len(x.shape), "squeeze")
    return reshape(x, tuple(n for i, n in enumerate(x.shape) if n != 1 or i not in dropped))


def unsqueeze(x: Any, dim: int) -> Any:
    """x with a new dimension of length 1 at `dim`."""
    place = wrap_dim(dim, len(x.shape) + 1, "unsqueeze")
    return reshape(x, (*x.shape[:place], 1, *x.shape[place:]))


def broadcast_to(x: Any, shape: tuple[int, ...]) -> Any:
    """x repeated to `shape` along dimensions of length 1 and new ones in front, without a copy; -1 keeps a length."""
    wanted = integers((shape,))
    lengths = (1,) * (len(wanted) - len(x.shape)) + x.shape
    if len(lengths) == len(wanted):
        wanted = tuple(n if want == -1 else want for want, n in zip(wanted, lengths, strict=True))
    return expand(x, wanted)
