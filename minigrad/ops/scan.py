"""Running sums and products along one dimension, and the whole product."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.graph import op
from minigrad.ops.arrange import constant_pad, flip
from minigrad.ops.samples import Sample, draw, strided
from minigrad.ops.shape import expand, reshape, unsqueeze, wrap_dim

__all__ = ["cumprod", "cumsum", "prod", "recurrence"]


def _sum_dtype(x: np.ndarray, dtype: Any) -> Any:
    """Bools and integers are added up and multiplied as int64, as in PyTorch."""
    return np.dtype(np.int64) if dtype is None and x.dtype.kind in "bui" else dtype


def _samples(zeros: bool = False, **how: Any) -> list[Sample]:
    cases: list[tuple[tuple[int, ...], int]] = [((), 0), ((4,), 0), ((3, 2), 0), ((2, 1, 3), -1), ((0, 3), 0)]
    made = [Sample(draw(*shape, **how), dim=dim) for shape, dim in cases]
    made.append(Sample(strided(draw(3, 4, **how)), dim=1))
    if zeros:
        x = draw(5, 3)
        x[1, :2] = x[3, 1] = 0.0  # no zero, one zero and two zeros
        made.append(Sample(x, dim=0))
    return made


@op
def cumsum(x: np.ndarray, /, dim: int, dtype: np.dtype | None = None) -> np.ndarray:
    """z_i = x_0 + ... + x_i along `dim`"""
    dim = wrap_dim(dim, x.ndim, "cumsum")
    return np.cumsum(x, dim, dtype=_sum_dtype(x, dtype)).reshape(x.shape)


@cumsum.vjp
def cumsum(g: Any, _z: Any, _x: Any, dim: int, dtype: np.dtype | None = None) -> tuple:
    return (flip(cumsum(flip(g, dim), dim=dim), dim),)


cumsum.sampled(_samples)


def _shifted(x: Any, dim: int, by: int, fill: float = 0.0) -> Any:
    """x moved along `dim` by one place up (by=1) or down (by=-1)."""
    widths = [(0, 0)] * len(x.shape)
    widths[dim] = (by, -by)
    return constant_pad(x, widths=tuple(widths), value=fill)


@op
def recurrence(a: np.ndarray, b: np.ndarray, /, dim: int) -> np.ndarray:
    """z_i = a_i z_(i-1) + b_i along `dim`, from z_(-1) = 0; a and b have one shape"""
    z = np.empty_like(b)
    a_, b_, z_ = (np.moveaxis(y, dim, 0) for y in (a, b, z))
    before = np.zeros_like(b_[:1].sum(axis=0))
    for i in range(b.shape[dim]):
        before = z_[i] = a_[i] * before + b_[i]
    return z


@recurrence.vjp
def recurrence(g: Any, z: Any, a: Any, _b: Any, dim: int) -> tuple:
    # h_i = g_i + a_(i+1) h_(i+1): the same recurrence from the other end.
    h = flip(recurrence(flip(_shifted(a, dim, -1), dim), flip(g, dim), dim=dim), dim)
    return lambda: h * _shifted(z, dim, 1), h


@recurrence.sampled
def _recurrence_samples() -> list[Sample]:
    return [
        Sample(*s.inputs, draw(*s.inputs[0].shape, seed=1), dim=s.options["dim"] % s.inputs[0].ndim)
        for s in _samples()
        if s.inputs[0].ndim
    ]


@op
def cumprod(x: np.ndarray, /, dim: int, dtype: np.dtype | None = None) -> np.ndarray:
    """z_i = x_0 ... x_i along `dim`"""
    dim = wrap_dim(dim, x.ndim, "cumprod")
    return np.cumprod(x, dim, dtype=_sum_dtype(x, dtype)).reshape(x.shape)


@cumprod.vjp
def cumprod(g: Any, z: Any, x: Any, dim: int, dtype: np.dtype | None = None) -> tuple:
    # dL/dx_i = (x_0 ... x_(i-1)) h_i,  h_i = sum_(k >= i) g_k x_(i+1) ... x_k = g_i + x_(i+1) h_(i+1).
    # Nothing is divided by x, so zeros are numbers like any other.
    if not x.shape:
        return (g,)
    dim = wrap_dim(dim, len(x.shape), "cumprod")
    h = flip(recurrence(flip(_shifted(x, dim, -1), dim), flip(g, dim), dim=dim), dim)
    return (_shifted(z, dim, 1, fill=1.0) * h,)


@cumprod.sampled
def _cumprod_samples() -> list[Sample]:
    return _samples(zeros=True)


@op
def prod(x: np.ndarray, /, dim: int | None = None, keepdim: bool = False, dtype: np.dtype | None = None) -> np.ndarray:
    """z = the product of x_i along `dim`, or of all elements"""
    axis = None if dim is None else wrap_dim(dim, x.ndim, "prod")
    if x.ndim == 0:
        return x.astype(_sum_dtype(x, dtype) or x.dtype)
    return np.prod(x, axis, keepdims=keepdim, dtype=_sum_dtype(x, dtype))


@prod.vjp
def prod(
    g: Any, _z: Any, x: Any, dim: int | None = None, keepdim: bool = False, dtype: np.dtype | None = None
) -> tuple:
    # dL/dx_i = g (x_0 ... x_(i-1)) (x_(i+1) ... x_(n-1)), which holds with zeros too.
    shape = x.shape
    if not shape:
        return (g,)
    if dim is None:
        x, dim = reshape(x, (-1,)), 0
        g = reshape(g, (1,))
    elif not keepdim:
        g = unsqueeze(g, wrap_dim(dim, len(shape), "prod"))
    dim = wrap_dim(dim, len(x.shape), "prod")
    below = _shifted(cumprod(x, dim=dim), dim, 1, fill=1.0)
    above = flip(_shifted(cumprod(flip(x, dim), dim=dim), dim, 1, fill=1.0), dim)
    return (reshape(expand(g, x.shape) * below * above, shape),)


@prod.sampled
def _prod_samples() -> list[Sample]:
    made = [
        Sample(s.inputs[0], dim=s.options["dim"], keepdim=keep) for s in _samples(zeros=True) for keep in (False, True)
    ]
    return [*made, Sample(draw(2, 3)), Sample(draw(0, 2)), Sample(np.zeros((2, 2)))]
