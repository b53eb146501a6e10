"""Exponentials and logarithms, element by element."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.graph import op
from minigrad.ops.promotion import as_float
from minigrad.ops.samples import singles

__all__ = ["exp", "log"]


@op(prepare=as_float)
def exp(x: np.ndarray, /) -> np.ndarray:
    """z = e^x"""
    return np.exp(x)


@exp.vjp
def exp(g: Any, z: Any, _x: Any) -> tuple:
    return (g * z,)


exp.sampled(singles())


@op(prepare=as_float)
def log(x: np.ndarray, /) -> np.ndarray:
    """z = ln x"""
    return np.log(x)


@log.vjp
def log(g: Any, _z: Any, x: Any) -> tuple:
    return (g / x,)


log.sampled(singles(low=0.2))
