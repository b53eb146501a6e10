"""Changing the dtype, and copying, as ops: the gradient goes back to what the input was."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.graph import op
from minigrad.ops.samples import Sample, draw, singles, strided

__all__ = ["cast", "clone"]


@op
def cast(x: np.ndarray, /, dtype: np.dtype) -> np.ndarray:
    """z = x in another dtype"""
    return x.astype(dtype)


@cast.vjp
def cast(g: Any, _z: Any, _x: Any, dtype: np.dtype) -> tuple:
    # The engine casts a gradient to its input's dtype; an ordinary backward pass has nothing else to do.
    return (g,)


@cast.sampled
def _samples() -> list[Sample]:
    made = [Sample(draw(*shape), dtype=np.dtype(np.float64)) for shape in [(), (3,), (2, 3), (0, 2), (2, 1, 3)]]
    return [*made, Sample(strided(draw(2, 3)), dtype=np.dtype(np.float64))]


@op
def clone(x: np.ndarray, /) -> np.ndarray:
    """z = x, in memory of its own"""
    return np.array(x, order="C")


@clone.vjp
def clone(g: Any, _z: Any, _x: Any) -> tuple:
    return (g,)


clone.sampled(singles())
