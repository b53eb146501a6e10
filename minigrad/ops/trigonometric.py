"""Circular and hyperbolic functions and their inverses, element by element; angles in radians."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.graph import op
from minigrad.ops.powers import rsqrt
from minigrad.ops.promotion import as_float
from minigrad.ops.samples import singles

__all__ = ["acos", "asin", "atan", "cos", "cosh", "sin", "sinh", "tan", "tanh"]


@op(prepare=as_float)
def sin(x: np.ndarray, /) -> np.ndarray:
    """z = sin x"""
    return np.sin(x)


@sin.vjp
def sin(g: Any, _z: Any, x: Any) -> tuple:
    return (g * cos(x),)


@op(prepare=as_float)
def cos(x: np.ndarray, /) -> np.ndarray:
    """z = cos x"""
    return np.cos(x)


@cos.vjp
def cos(g: Any, _z: Any, x: Any) -> tuple:
    return (-g * sin(x),)


@op(prepare=as_float)
def tan(x: np.ndarray, /) -> np.ndarray:
    """z = tan x"""
    return np.tan(x)


@tan.vjp
def tan(g: Any, z: Any, _x: Any) -> tuple:
    return (g * (1 + z * z),)


@op(prepare=as_float)
def asin(x: np.ndarray, /) -> np.ndarray:
    """z = the angle in [-π/2, π/2] whose sine is x"""
    return np.arcsin(x)


@asin.vjp
def asin(g: Any, _z: Any, x: Any) -> tuple:
    return (g * rsqrt(1 - x * x),)


@op(prepare=as_float)
def acos(x: np.ndarray, /) -> np.ndarray:
    """z = the angle in [0, π] whose cosine is x"""
    return np.arccos(x)


@acos.vjp
def acos(g: Any, _z: Any, x: Any) -> tuple:
    return (-g * rsqrt(1 - x * x),)


@op(prepare=as_float)
def atan(x: np.ndarray, /) -> np.ndarray:
    """z = the angle in (-π/2, π/2) whose tangent is x"""
    return np.arctan(x)


@atan.vjp
def atan(g: Any, _z: Any, x: Any) -> tuple:
    return (g / (1 + x * x),)


@op(prepare=as_float)
def sinh(x: np.ndarray, /) -> np.ndarray:
    """z = (e^x - e^-x) / 2"""
    return np.sinh(x)


@sinh.vjp
def sinh(g: Any, _z: Any, x: Any) -> tuple:
    return (g * cosh(x),)


@op(prepare=as_float)
def cosh(x: np.ndarray, /) -> np.ndarray:
    """z = (e^x + e^-x) / 2"""
    return np.cosh(x)


@cosh.vjp
def cosh(g: Any, _z: Any, x: Any) -> tuple:
    return (g * sinh(x),)


@op(prepare=as_float)
def tanh(x: np.ndarray, /) -> np.ndarray:
    """z = sinh x / cosh x"""
    return np.tanh(x)


@tanh.vjp
def tanh(g: Any, z: Any, _x: Any) -> tuple:
    return (g * (1 - z * z),)


for function in (sin, cos, atan, sinh, cosh, tanh):
    function.sampled(singles())
tan.sampled(singles(low=-1.2, high=1.2))
for function in (asin, acos):
    function.sampled(singles(low=-0.9, high=0.9))
