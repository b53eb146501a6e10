"""Dropout as an op: random, and yet a function, because the randomness is in its key."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.graph import op
from minigrad.kernels import dropout as kernels
from minigrad.ops.samples import Sample, draw, strided

__all__ = ["dropout", "keep_mask", "masked_scale"]

# Ones and zeros have no gradient, so this is no op: dropout of whole channels multiplies by it.
keep_mask = kernels.keep_mask


@op
def dropout(x: np.ndarray, /, p: float, key: int) -> Any:
    """z_i = x_i / (1 - p), or 0 with probability p, as Philox(key) decides for element i"""
    z, mask = kernels.dropout(x, p, key)
    return z, {"mask": mask}


@dropout.vjp
def dropout(g: Any, _z: Any, _x: Any, mask: np.ndarray, p: float, key: int) -> tuple:
    return (masked_scale(g, mask=mask, scale=0.0 if p == 1 else 1 / (1 - p)),)


@dropout.sampled
def _dropout_samples() -> list[Sample]:
    cases: list[tuple[tuple[int, ...], float]] = [
        ((), 0.5),
        ((7,), 0.3),
        ((3, 2), 0.9),
        ((2, 3, 4), 0.1),
        ((2, 3, 2, 2), 0.5),
        ((2, 2), 1.0),
        ((0, 3), 0.5),
    ]
    made = [Sample(draw(*shape), p=p, key=0x0123456789ABCDEF) for shape, p in cases]
    return [*made, Sample(strided(draw(2, 3, 2, 2)), p=0.5, key=5)]


@op
def masked_scale(x: np.ndarray, /, mask: np.ndarray, scale: float) -> np.ndarray:
    """z_i = scale x_i where the mask is 1, else 0"""
    return kernels.masked_scale(x, mask, scale)


@masked_scale.vjp
def masked_scale(g: Any, _z: Any, _x: Any, mask: np.ndarray, scale: float) -> tuple:
    return (masked_scale(g, mask=mask, scale=scale),)


@masked_scale.sampled
def _masked_scale_samples() -> list[Sample]:
    shapes: list[tuple[int, ...]] = [(), (4,), (3, 2), (2, 3, 2, 2), (0, 3)]
    return [Sample(draw(*shape), mask=kernels.keep_mask(shape, 0.5, 3), scale=1.25) for shape in shapes]
