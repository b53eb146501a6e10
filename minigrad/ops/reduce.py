"""Many elements to one: sums, means, variances, truth. Largest and smallest elements are in `extremes.py`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.errors import DTypeError
from minigrad.graph import op
from minigrad.ops.exponential import exp
from minigrad.ops.promotion import as_float
from minigrad.ops.samples import Sample, draw, strided
from minigrad.ops.select import where
from minigrad.ops.shape import expand, reshape, wrap_dims

__all__ = [
    "Dims",
    "all",
    "any",
    "kept_shape",
    "logsumexp",
    "mean",
    "reduced_dims",
    "reduction_samples",
    "std",
    "sum",
    "var",
]

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
    return [*made, Sample(draw(0, 3, **how), dim=0), Sample(draw(0, 3, **how), dim=1)] if empty else made


def reduced_dims(dim: Dims, ndim: int, name: str) -> tuple[int, ...]:
    """The dimensions that a reduction is over, from 0; as in PyTorch an empty tuple means all of them, like None."""
    return wrap_dims(None if dim is None or dim == () or dim == [] else dim, ndim, name)


def kept_shape(shape: tuple[int, ...], dim: Dims, name: str) -> tuple[int, ...]:
    """The shape of a reduction with keepdim=True: a rule expands its gradient from there."""
    reduced = reduced_dims(dim, len(shape), name)
    return tuple(1 if i in reduced else n for i, n in enumerate(shape))


def spread(g: Any, shape: tuple[int, ...], dim: Dims, name: str) -> Any:
    """What has the shape of a reduction, expanded to the shape that was reduced."""
    return expand(reshape(g, kept_shape(shape, dim, name)), shape)


@op
def sum(x: np.ndarray, /, dim: Dims = None, keepdim: bool = False, dtype: np.dtype | None = None) -> np.ndarray:
    """z = sum_i x_i over the dimensions `dim`"""
    if dtype is None and x.dtype.kind in "bui":
        dtype = np.dtype(np.int64)
    return x.sum(axis=reduced_dims(dim, x.ndim, "sum"), keepdims=keepdim, dtype=dtype)


@sum.vjp
def sum(g: Any, _z: Any, _x: Any, dim: Dims = None, keepdim: bool = False, dtype: np.dtype | None = None) -> tuple:
    return (spread(g, _x.shape, dim, "sum"),)


sum.sampled(reduction_samples)


def _floating(x: np.ndarray, dtype: np.dtype | None, name: str) -> None:
    if x.dtype.kind != "f" and dtype is None:
        raise DTypeError(f"{name}: expected floating-point elements, got {x.dtype.name}. Convert with .float().")


def _count(shape: tuple[int, ...], dim: Dims, name: str) -> int:
    """How many elements go into one."""
    return math.prod(shape[i] for i in reduced_dims(dim, len(shape), name))


@op
def mean(x: np.ndarray, /, dim: Dims = None, keepdim: bool = False, dtype: np.dtype | None = None) -> np.ndarray:
    """z = (1/n) sum_i x_i over the dimensions `dim`, of n elements together; NaN of no elements"""
    _floating(x, dtype, "mean")
    axes = reduced_dims(dim, x.ndim, "mean")
    n = math.prod(x.shape[i] for i in axes)
    # Not ndarray.mean: it goes through Python code that costs more than a small sum.
    return x.sum(axis=axes, keepdims=keepdim, dtype=dtype) / (n or math.nan)


@mean.vjp
def mean(g: Any, _z: Any, _x: Any, dim: Dims = None, keepdim: bool = False, dtype: np.dtype | None = None) -> tuple:
    return (spread(g / (_count(_x.shape, dim, "mean") or 1), _x.shape, dim, "mean"),)


mean.sampled(reduction_samples)


@op
def var(
    x: np.ndarray, /, dim: Dims = None, unbiased: bool | None = None, keepdim: bool = False, correction: float = 1
) -> np.ndarray:
    """z = sum_i (x_i - mean)² / (n - correction) over the dimensions `dim`; unbiased=False is correction=0"""
    _floating(x, None, "var")
    n = _freedom(x.shape, dim, unbiased, correction)
    axes = reduced_dims(dim, x.ndim, "var")
    apart = x - x.sum(axis=axes, keepdims=True) / (_count(x.shape, dim, "var") or 1)
    return (apart * apart).sum(axis=axes, keepdims=keepdim) / np.asarray(n, x.dtype)


@var.vjp
def var(
    g: Any,
    _z: Any,
    x: Any,
    dim: Dims = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    correction: float = 1,
) -> tuple:
    apart = x - mean(x, dim=dim, keepdim=True)
    return (spread(g * (2 / _freedom(x.shape, dim, unbiased, correction)), x.shape, dim, "var") * apart,)


def _freedom(shape: tuple[int, ...], dim: Dims, unbiased: bool | None, correction: float) -> np.float64:
    """n - correction, not below 0, as a number that may be divided by: the variance of one element is NaN."""
    return np.float64(max(_count(shape, dim, "var") - (correction if unbiased is None else int(unbiased)), 0))


@op
def std(
    x: np.ndarray, /, dim: Dims = None, unbiased: bool | None = None, keepdim: bool = False, correction: float = 1
) -> np.ndarray:
    """z = √var(x); see there"""
    return np.sqrt(var(x, dim=dim, unbiased=unbiased, keepdim=keepdim, correction=correction))


@std.vjp
def std(
    g: Any, z: Any, x: Any, dim: Dims = None, unbiased: bool | None = None, keepdim: bool = False, correction: float = 1
) -> tuple:
    # Where all elements are equal the root has no derivative; PyTorch's is 0 there.
    g = where(z == 0, 0.0, g / (2 * where(z == 0, 1.0, z)))
    return var.rule(g, z, x, dim=dim, unbiased=unbiased, keepdim=keepdim, correction=correction)


def _var_samples() -> list[Sample]:
    made = [s for s in reduction_samples(empty=False) if s.inputs[0].shape not in ((), (2, 1, 3))]
    x = draw(4, 3)
    made += [Sample(x, dim=0, correction=c) for c in (0, 0.5, 2)] + [
        Sample(x, dim=1, unbiased=False),
        Sample(draw(), correction=0),
    ]
    return [*made, Sample(draw(2, 1, 3), dim=(0, -1), keepdim=True), Sample(draw(3, 0), dim=0)]


var.sampled(_var_samples)
std.sampled(_var_samples)


@op(prepare=as_float)
def logsumexp(x: np.ndarray, /, dim: Dims, keepdim: bool = False) -> np.ndarray:
    """z = ln sum_i e^x_i over the dimensions `dim`, without overflow"""
    axes = reduced_dims(dim, x.ndim, "logsumexp")
    most = x.max(axis=axes, keepdims=True, initial=-np.inf)
    most = np.where(np.isfinite(most), most, most.dtype.type(0))  # inf - inf would be NaN
    z = np.log(np.exp(x - most).sum(axis=axes, keepdims=True)) + most
    return z if keepdim else z.squeeze(axes)


@logsumexp.vjp
def logsumexp(g: Any, z: Any, x: Any, dim: Dims, keepdim: bool = False) -> tuple:
    # z is -inf where every x is; the gradient there is 0.
    z = where(z == -math.inf, 0.0, z)
    return (spread(g, x.shape, dim, "logsumexp") * exp(x - spread(z, x.shape, dim, "logsumexp")),)


@logsumexp.sampled
def _logsumexp_samples() -> list[Sample]:
    return [Sample(*s.inputs, **{"dim": (), **s.options}) for s in reduction_samples()]


@op(differentiable=False)
def all(x: np.ndarray, /, dim: Dims = None, keepdim: bool = False) -> np.ndarray:
    """z = (every x_i is true, which is: not 0)"""
    return np.all(x, axis=reduced_dims(dim, x.ndim, "all"), keepdims=keepdim)


@op(differentiable=False)
def any(x: np.ndarray, /, dim: Dims = None, keepdim: bool = False) -> np.ndarray:
    """z = (some x_i is true, which is: not 0)"""
    return np.any(x, axis=reduced_dims(dim, x.ndim, "any"), keepdims=keepdim)


def _truth_samples() -> list[Sample]:
    made = [Sample(s.inputs[0] > 0, **s.options) for s in reduction_samples()]
    return [*made, Sample(np.arange(6).reshape(2, 3), dim=1), Sample(np.ones((2, 3)), dim=0)]


all.sampled(_truth_samples)
any.sampled(_truth_samples)
