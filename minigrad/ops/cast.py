"""Changing the dtype, as an op: its gradient goes back to the dtype that the input had."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.graph import op
from minigrad.ops.samples import Sample, draw

__all__ = ["cast"]


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
    return [Sample(draw(*shape), dtype=np.dtype(np.float64)) for shape in [(), (3,), (2, 3), (0, 2), (2, 1, 3)]]
