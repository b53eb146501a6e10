"""Sums, products and powers: the operators, element by element, with broadcasting."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.graph import op
from minigrad.ops.exponential import log
from minigrad.ops.promotion import as_float, promote
from minigrad.ops.samples import Sample, draw, pairs, singles
from minigrad.ops.select import where

__all__ = ["add", "div", "mul", "neg", "pow", "sub"]


@op(prepare=promote)
def add(x: Any, y: Any, /) -> Any:
    """z = x + y"""
    return x + y


@add.vjp
def add(g: Any, _z: Any, _x: Any, _y: Any) -> tuple:
    return g, g


add.sampled(pairs())


@op(prepare=promote)
def sub(x: Any, y: Any, /) -> Any:
    """z = x - y"""
    return np.subtract(x, y)


@sub.vjp
def sub(g: Any, _z: Any, _x: Any, _y: Any) -> tuple:
    return g, lambda: -g


sub.sampled(pairs())


@op(prepare=promote)
def mul(x: Any, y: Any, /) -> Any:
    """z = x y"""
    return x * y


@mul.vjp
def mul(g: Any, _z: Any, x: Any, y: Any) -> tuple:
    return lambda: g * y, lambda: g * x


mul.sampled(pairs())


@op(prepare=as_float)
def div(x: Any, y: Any, /) -> Any:
    """z = x / y"""
    return x / y


@div.vjp
def div(g: Any, z: Any, _x: Any, y: Any) -> tuple:
    return g / y, lambda: -g * z / y


div.sampled(pairs(away_from=0.0))


@op(prepare=promote)
def neg(x: Any, /) -> Any:
    """z = -x"""
    return np.negative(x)


@neg.vjp
def neg(g: Any, _z: Any, _x: Any) -> tuple:
    return (-g,)


neg.sampled(singles())


@op(prepare=promote)
def pow(x: Any, y: Any, /) -> Any:
    """z = x^y"""
    return x**y


@pow.vjp
def pow(g: Any, z: Any, x: Any, y: Any) -> tuple:
    def base() -> Any:
        if isinstance(y, int | float):
            return g * (y * x ** (y - 1)) if y != 0 else g * 0.0
        return g * where(y == 0, 0.0, y * x ** (y - 1))  # x^0 is 1 for every x: flat, also at x = 0

    def exponent() -> Any:
        # 0^y is 0 for y > 0 and 1 for y = 0: PyTorch's gradient there is 0, where z log x would be NaN.
        return g * where((x == 0) & (y >= 0), 0.0, z * log(x))

    return base, exponent


@pow.sampled
def _pow_samples() -> list[Sample]:
    positive = pairs(low=0.3, high=2.0)()
    return [*positive, Sample(draw(3, 2), 3), Sample(draw(3, 2), 2.0), Sample(draw(3), 0), Sample(2.0, draw(4))]
