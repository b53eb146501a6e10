"""Exponentials and logarithms, element by element."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.graph import op
from minigrad.ops.promotion import as_float
from minigrad.ops.samples import singles

__all__ = ["exp", "exp2", "expm1", "log", "log1p", "log2", "log10"]


@op(prepare=as_float)
def exp(x: np.ndarray, /) -> np.ndarray:
    """z = e^x"""
    return np.exp(x)


@exp.vjp
def exp(g: Any, z: Any, _x: Any) -> tuple:
    return (g * z,)


exp.sampled(singles())


@op(prepare=as_float)
def exp2(x: np.ndarray, /) -> np.ndarray:
    """z = 2^x"""
    return np.exp2(x)


@exp2.vjp
def exp2(g: Any, z: Any, _x: Any) -> tuple:
    return (g * z * math.log(2),)


exp2.sampled(singles())


@op(prepare=as_float)
def expm1(x: np.ndarray, /) -> np.ndarray:
    """z = e^x - 1, exact to the last digits for small x"""
    return np.expm1(x)


@expm1.vjp
def expm1(g: Any, z: Any, _x: Any) -> tuple:
    return (g * (z + 1),)


expm1.sampled(singles())


@op(prepare=as_float)
def log(x: np.ndarray, /) -> np.ndarray:
    """z = ln x"""
    return np.log(x)


@log.vjp
def log(g: Any, _z: Any, x: Any) -> tuple:
    return (g / x,)


log.sampled(singles(low=0.2))


@op(prepare=as_float)
def log2(x: np.ndarray, /) -> np.ndarray:
    """z = ln x / ln 2"""
    return np.log2(x)


@log2.vjp
def log2(g: Any, _z: Any, x: Any) -> tuple:
    return (g / (x * math.log(2)),)


log2.sampled(singles(low=0.2))


@op(prepare=as_float)
def log10(x: np.ndarray, /) -> np.ndarray:
    """z = ln x / ln 10"""
    return np.log10(x)


@log10.vjp
def log10(g: Any, _z: Any, x: Any) -> tuple:
    return (g / (x * math.log(10)),)


log10.sampled(singles(low=0.2))


@op(prepare=as_float)
def log1p(x: np.ndarray, /) -> np.ndarray:
    """z = ln(1 + x), exact to the last digits for small x"""
    return np.log1p(x)


@log1p.vjp
def log1p(g: Any, _z: Any, x: Any) -> tuple:
    return (g / (x + 1),)


log1p.sampled(singles(low=-0.8))
