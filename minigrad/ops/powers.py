"""Powers and roots, element by element."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.errors import ArgumentError
from minigrad.graph import op
from minigrad.ops.exponential import log
from minigrad.ops.promotion import as_float, promote
from minigrad.ops.samples import Sample, draw, pairs, singles
from minigrad.ops.select import where

__all__ = ["pow", "reciprocal", "rsqrt", "sqrt", "square"]


@op(prepare=promote)
def pow(x: Any, y: Any, /) -> Any:
    """z = x^y"""
    if np.result_type(x, y).kind != "f" and np.any(np.less(y, 0)):
        raise ArgumentError("pow: integers to negative powers are not integers. Convert the base with .float().")
    return x**y


@pow.vjp
def pow(g: Any, z: Any, x: Any, y: Any) -> tuple:
    def base() -> Any:
        if isinstance(y, int | float):
            return g * (y * x ** (y - 1)) if y != 0 else g * 0.0
        return g * where(y == 0, 0.0, y * x ** (y - 1))  # x^0 is 1 for every x: flat, also at x = 0

    def exponent() -> Any:
        # 0^y is 0 for y > 0 and 1 for y = 0: PyTorch's gradient there is 0, where z log x would be NaN.
        ln_x = float(np.log(x)) if isinstance(x, int | float) else log(x)
        return g * where((x == 0) & (y >= 0), 0.0, z * ln_x)

    return base, exponent


@pow.sampled
def _pow_samples() -> list[Sample]:
    x = draw(3, 2)
    return [
        *pairs(low=0.3, high=2.0)(),
        *(Sample(x, exponent) for exponent in (3, 2.0, 0, 1, -1)),
        Sample(draw(3, low=0.3), 0.5),
        Sample(2.0, draw(4)),
    ]


@op(prepare=promote)
def square(x: Any, /) -> Any:
    """z = x^2"""
    return np.square(x)


@square.vjp
def square(g: Any, _z: Any, x: Any) -> tuple:
    return (g * (2 * x),)


square.sampled(singles())


@op(prepare=as_float)
def sqrt(x: Any, /) -> Any:
    """z = x^(1/2)"""
    return np.sqrt(x)


@sqrt.vjp
def sqrt(g: Any, z: Any, _x: Any) -> tuple:
    return (g / (2 * z),)


sqrt.sampled(singles(low=0.2))


@op(prepare=as_float)
def rsqrt(x: Any, /) -> Any:
    """z = x^(-1/2)"""
    return 1 / np.sqrt(x)


@rsqrt.vjp
def rsqrt(g: Any, z: Any, _x: Any) -> tuple:
    return (g * (-0.5 * z * z * z),)


rsqrt.sampled(singles(low=0.2))


@op(prepare=as_float)
def reciprocal(x: Any, /) -> Any:
    """z = 1 / x"""
    return 1 / x


@reciprocal.vjp
def reciprocal(g: Any, z: Any, _x: Any) -> tuple:
    return (-g * z * z,)


reciprocal.sampled(singles(away_from=0.0))
