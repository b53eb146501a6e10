"""softmax and its logarithm: scores into probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.graph import op
from minigrad.ops.exponential import exp
from minigrad.ops.promotion import as_float
from minigrad.ops.reduce import sum
from minigrad.ops.samples import Sample, draw, strided
from minigrad.ops.shape import wrap_dim

__all__ = ["log_softmax", "softmax"]


def _shifted(x: np.ndarray, dim: int) -> np.ndarray:
    """x minus its maximum: e^(x - max) cannot overflow, and the shift cancels out."""
    return x - x.max(axis=dim, keepdims=True, initial=-np.inf)


@op(prepare=as_float)
def softmax(x: np.ndarray, /, dim: int) -> np.ndarray:
    """z_i = e^x_i / sum_j e^x_j"""
    dim = wrap_dim(dim, x.ndim, "softmax")
    if x.ndim == 0:
        return np.ones_like(x)
    z = np.exp(_shifted(x, dim))
    z /= z.sum(axis=dim, keepdims=True)
    return z


@softmax.vjp
def softmax(g: Any, z: Any, _x: Any, dim: int) -> tuple:
    if not _x.shape:
        return (g * 0.0,)
    return (z * (g - sum(g * z, dim=dim, keepdim=True)),)


@op(prepare=as_float)
def log_softmax(x: np.ndarray, /, dim: int) -> np.ndarray:
    """z_i = x_i - ln sum_j e^x_j"""
    dim = wrap_dim(dim, x.ndim, "log_softmax")
    if x.ndim == 0:
        return np.zeros_like(x)
    shifted = _shifted(x, dim)
    return shifted - np.log(np.exp(shifted).sum(axis=dim, keepdims=True))


@log_softmax.vjp
def log_softmax(g: Any, z: Any, _x: Any, dim: int) -> tuple:
    if not _x.shape:
        return (g * 0.0,)
    return (g - exp(z) * sum(g, dim=dim, keepdim=True),)


def _samples() -> list[Sample]:
    cases: list[tuple[tuple[int, ...], int]] = [((), 0), ((4,), 0), ((3, 2), 1), ((3, 2), 0), ((2, 3, 2), -2)]
    made = [Sample(draw(*shape), dim=dim) for shape, dim in cases]
    return [*made, Sample(strided(draw(3, 4)), dim=-1), Sample(draw(0, 3), dim=1)]


softmax.sampled(_samples)
log_softmax.sampled(_samples)
