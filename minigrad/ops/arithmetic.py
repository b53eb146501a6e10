"""Sums, products and what is made of them: element by element, with broadcasting.

Names, arguments and results are those of https://docs.pytorch.org/docs/stable/torch.html#pointwise-ops.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.errors import ArgumentError, DTypeError
from minigrad.graph import op
from minigrad.ops.promotion import default_dtype, promote
from minigrad.ops.rounding import flat, floor_divide, sign, towards_zero
from minigrad.ops.samples import Sample, draw, pairs, singles, triples

__all__ = ["abs", "add", "addcdiv", "addcmul", "div", "lerp", "mul", "neg", "sub"]


def _scaled(alpha: float, y: Any) -> Any:
    """alpha y, in the dtype of y."""
    if isinstance(alpha, float) and np.asarray(y).dtype.kind != "f":
        raise DTypeError(f"expected an integer alpha for integer operands, got {alpha!r}.")
    return alpha * y


@op(prepare=promote)
def add(x: Any, y: Any, /, alpha: float = 1) -> Any:
    """z = x + alpha y"""
    return x + y if alpha == 1 else x + _scaled(alpha, y)


@add.vjp
def add(g: Any, _z: Any, _x: Any, _y: Any, alpha: float = 1) -> tuple:
    return g, g if alpha == 1 else lambda: g * alpha


@add.sampled
def _add_samples() -> list[Sample]:
    return [*pairs()(), Sample(draw(3, 2), draw(2), alpha=-2.5), Sample(draw(3), 2.0), Sample(2, draw(3))]


@op(prepare=promote)
def sub(x: Any, y: Any, /, alpha: float = 1) -> Any:
    """z = x - alpha y"""
    return np.subtract(x, y) if alpha == 1 else np.subtract(x, _scaled(alpha, y))


@sub.vjp
def sub(g: Any, _z: Any, _x: Any, _y: Any, alpha: float = 1) -> tuple:
    return g, lambda: -g if alpha == 1 else g * -alpha


@sub.sampled
def _sub_samples() -> list[Sample]:
    return [*pairs()(), Sample(draw(3, 2), draw(2), alpha=0.5), Sample(2.0, draw(3))]


@op(prepare=promote)
def mul(x: Any, y: Any, /) -> Any:
    """z = x y"""
    return x * y


@mul.vjp
def mul(g: Any, _z: Any, x: Any, y: Any) -> tuple:
    return lambda: g * y, lambda: g * x


@mul.sampled
def _mul_samples() -> list[Sample]:
    return [*pairs()(), Sample(draw(3, 2), 3)]


@op(prepare=promote)
def div(x: Any, y: Any, /, rounding_mode: str | None = None) -> Any:
    """z = x / y, for integers in float32; with rounding_mode 'floor' or 'trunc' rounded down, or towards 0"""
    if rounding_mode is None:
        z = np.true_divide(x, y)
        if z.dtype == np.float64 and np.result_type(x, y).kind != "f":
            return z.astype(default_dtype)
        return z
    if rounding_mode == "floor":
        return floor_divide(x, y)
    if rounding_mode == "trunc":
        return towards_zero(x, y)
    raise ArgumentError(f"div: expected rounding_mode None, 'floor' or 'trunc', got {rounding_mode!r}.")


@div.vjp
def div(g: Any, z: Any, _x: Any, y: Any, rounding_mode: str | None = None) -> tuple:
    if rounding_mode is not None:
        return flat(g), flat(g)
    return g / y, lambda: -g * z / y


@div.sampled
def _div_samples() -> list[Sample]:
    x, y = draw(3, 2), draw(2, seed=1, low=0.3)
    return [*pairs(away_from=0.0)(), Sample(1.0, y), *(Sample(x, y, rounding_mode=r) for r in ("floor", "trunc"))]


@op(prepare=promote)
def neg(x: Any, /) -> Any:
    """z = -x"""
    return np.negative(x)


@neg.vjp
def neg(g: Any, _z: Any, _x: Any) -> tuple:
    return (-g,)


neg.sampled(singles())


@op(prepare=promote)
def abs(x: Any, /) -> Any:
    """z = |x|"""
    return np.abs(x)


@abs.vjp
def abs(g: Any, _z: Any, x: Any) -> tuple:
    return (g * sign(x),)  # 0 at the kink


abs.sampled(singles(away_from=0.0))


@op(prepare=promote)
def lerp(x: Any, end: Any, weight: Any, /) -> Any:
    """z = x + weight (end - x)"""
    return x + weight * (end - x)


@lerp.vjp
def lerp(g: Any, _z: Any, x: Any, end: Any, weight: Any) -> tuple:
    return lambda: g * (1 - weight), lambda: g * weight, lambda: g * (end - x)


@lerp.sampled
def _lerp_samples() -> list[Sample]:
    return [*triples()(), Sample(draw(3, 2), draw(3, 2, seed=1), 0.3)]


@op(prepare=promote)
def addcmul(x: Any, y1: Any, y2: Any, /, value: float = 1) -> Any:
    """z = x + value y1 y2"""
    return x + value * (y1 * y2)


@addcmul.vjp
def addcmul(g: Any, _z: Any, _x: Any, y1: Any, y2: Any, value: float = 1) -> tuple:
    return g, lambda: g * (value * y2), lambda: g * (value * y1)


@addcmul.sampled
def _addcmul_samples() -> list[Sample]:
    return [*triples()(), Sample(draw(3, 2), draw(2), draw(3, 1), value=-0.5)]


@op(prepare=promote)
def addcdiv(x: Any, y1: Any, y2: Any, /, value: float = 1) -> Any:
    """z = x + value y1 / y2"""
    return x + value * (y1 / y2)


@addcdiv.vjp
def addcdiv(g: Any, _z: Any, _x: Any, y1: Any, y2: Any, value: float = 1) -> tuple:
    return g, lambda: g * (value / y2), lambda: g * (-value * y1 / (y2 * y2))


@addcdiv.sampled
def _addcdiv_samples() -> list[Sample]:
    return [*triples(away_from=0.0)(), Sample(draw(3, 2), draw(2), draw(3, 1, low=0.3), value=-0.5)]
