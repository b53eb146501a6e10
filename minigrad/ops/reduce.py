"""Many elements to one: sum, mean, max, argmax, logsumexp."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.errors import DTypeError, ShapeError
from minigrad.graph import op
from minigrad.ops.cast import cast
from minigrad.ops.promotion import as_float
from minigrad.ops.samples import Sample, draw, strided
from minigrad.ops.shape import expand, reshape, wrap_dims

__all__ = ["argmax", "kept_shape", "mean", "sum"]

Dims = int | tuple[int, ...] | None

REDUCTIONS: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((), {}),
    ((4,), {}),
    ((3, 2), {"dim": 1}),
    ((3, 2), {"dim": -2, "keepdim": True}),
    ((2, 3, 4), {"dim": (0, 2)}),
    ((2, 1, 3), {"dim": (1, -1), "keepdim": True}),
]


def reduction_samples(empty: bool = True, **how: Any) -> list[Sample]:
    """Samples over dims, keepdim, 0-d, empty and strided inputs."""
    made = [Sample(draw(*shape, **how), **options) for shape, options in REDUCTIONS]
    made.append(Sample(strided(draw(3, 4, **how)), dim=0))
    return [*made, Sample(draw(0, 3, **how), dim=0)] if empty else made


def kept_shape(shape: tuple[int, ...], dim: Dims, name: str) -> tuple[int, ...]:
    """The shape of a reduction with keepdim=True: a rule expands its gradient from there."""
    reduced = wrap_dims(dim, len(shape), name)
    return tuple(1 if i in reduced else n for i, n in enumerate(shape))


@op
def sum(x: np.ndarray, /, dim: Dims = None, keepdim: bool = False, dtype: np.dtype | None = None) -> np.ndarray:
    """z = sum_i x_i over the dimensions `dim`"""
    if dtype is None and x.dtype.kind in "bui":
        dtype = np.dtype(np.int64)
    return x.sum(axis=wrap_dims(dim, x.ndim, "sum"), keepdims=keepdim, dtype=dtype)


@sum.vjp
def sum(g: Any, _z: Any, _x: Any, dim: Dims = None, keepdim: bool = False, dtype: np.dtype | None = None) -> tuple:
    return (expand(reshape(g, shape=kept_shape(_x.shape, dim, "sum")), shape=_x.shape),)


@sum.sampled
def _sum_samples() -> list[Sample]:
    return reduction_samples()


@op
def mean(x: np.ndarray, /, dim: Dims = None, keepdim: bool = False, dtype: np.dtype | None = None) -> np.ndarray:
    """z = (1/n) sum_i x_i over the dimensions `dim`, of n elements together"""
    if x.dtype.kind != "f" and dtype is None:
        raise DTypeError(f"mean: expected floating-point elements, got {x.dtype.name}. Give dtype=, or call .float().")
    axes = wrap_dims(dim, x.ndim, "mean")
    n = math.prod(x.shape[i] for i in axes)
    # Not ndarray.mean: it goes through Python code that costs more than a small sum.
    return x.sum(axis=axes, keepdims=keepdim, dtype=dtype) / (n or np.nan)


@mean.vjp
def mean(g: Any, _z: Any, _x: Any, dim: Dims = None, keepdim: bool = False, dtype: np.dtype | None = None) -> tuple:
    kept = kept_shape(_x.shape, dim, "mean")
    n = math.prod(_x.shape) // max(math.prod(kept), 1)
    return (expand(reshape(g, shape=kept) / (n or 1), shape=_x.shape),)


@mean.sampled
def _mean_samples() -> list[Sample]:
    return reduction_samples(empty=False)


@op(differentiable=False)
def argmax(x: np.ndarray, /, dim: int | None = None, keepdim: bool = False) -> np.ndarray:
    """z = the index of the first largest element along `dim`, or of the flattened x"""
    if x.size == 0:
        raise ShapeError(f"argmax: expected at least one element, got shape {x.shape}.")
    axis = None if dim is None else wrap_dims(dim, x.ndim, "argmax")[0]
    if x.ndim == 0:
        return np.zeros((), np.int64)
    return x.argmax(axis=axis, keepdims=keepdim)


@argmax.sampled
def _argmax_samples() -> list[Sample]:
    cases: list[tuple[tuple[int, ...], dict[str, Any]]] = [
        ((4,), {}),
        ((3, 2), {"dim": 1}),
        ((3, 2), {"dim": 0, "keepdim": True}),
        ((2, 3, 4), {"dim": -1}),
        ((2, 3), {}),
    ]
    return [Sample(draw(*shape), **options) for shape, options in cases]
