"""Standardising to mean 0 and variance 1: the one op inside of batch, layer and group norm."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.graph import op
from minigrad.ops.powers import rsqrt
from minigrad.ops.reduce import mean, reduced_dims, var
from minigrad.ops.samples import Sample, draw, strided

__all__ = ["standardize"]


@op
def standardize(x: np.ndarray, /, dim: int | tuple[int, ...], eps: float = 1e-5) -> Any:
    """z = (x - mean(x)) / √(var(x) + eps), mean and variance (divided by n) over the dimensions `dim`"""
    dims = reduced_dims(dim, x.ndim, "standardize")
    apart = x - mean(x, dim=dims, keepdim=True)
    scale = 1 / np.sqrt(mean(apart * apart, dim=dims, keepdim=True) + x.dtype.type(eps))
    return apart * scale, {"scale": scale}


@standardize.vjp
def standardize(g: Any, z: Any, x: Any, scale: Any, dim: int | tuple[int, ...], eps: float = 1e-5) -> tuple:
    # The mean and the scale depend on every x: both parts of g that would only shift or stretch z drop out.
    if not isinstance(x, np.ndarray):
        scale = rsqrt(var(x, dim=dim, correction=0, keepdim=True) + eps)
    return (scale * (g - mean(g, dim=dim, keepdim=True) - z * mean(g * z, dim=dim, keepdim=True)),)


@standardize.sampled
def _samples() -> list[Sample]:
    cases: list[tuple[tuple[int, ...], Any]] = [
        ((4,), 0),
        ((3, 4), 1),
        ((3, 4), (0,)),
        ((2, 3, 4), (0, 2)),
        ((2, 2, 3, 2), (-2, -1)),
    ]
    made = [Sample(draw(*shape), dim=dim) for shape, dim in cases]
    return [*made, Sample(strided(draw(3, 4)), dim=-1, eps=0.1), Sample(draw(0, 4), dim=1)]
