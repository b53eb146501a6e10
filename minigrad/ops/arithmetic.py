"""Sums, products and what is made of them: element by element, with broadcasting.

Names, arguments and results are those of https://docs.pytorch.org/docs/stable/torch.html#pointwise-ops.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.errors import ArgumentError, DTypeError
from minigrad.graph import op
from minigrad.ops.promotion import default_dtype, promote
from minigrad.ops.rounding import sign
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
    return np.add(x, y) if alpha == 1 else np.add(x, _scaled(alpha, y))


@add.vjp
def add(g: Any, _z: Any, _x: Any, _y: Any, alpha: float = 1) -> tuple:
    return g, g if alpha == 1 else lambda: alpha * g


@add.sampled
def _add_samples() -> list[Sample]:
    return [*pairs()(), Sample(draw(3, 2), draw(2), alpha=-2.5), Sample(draw(3), 2.0), Sample(2, draw(3))]


@op(prepare=promote)
def sub(x: Any, y: Any, /, alpha: float = 1) -> Any:
    """z = x - alpha y"""
    return np.subtract(x, y) if alpha == 1 else np.subtract(x, _scaled(alpha, y))


@sub.vjp
def sub(g: Any, _z: Any, _x: Any, _y: Any, alpha: float = 1) -> tuple:
    return g, lambda: -g if alpha == 1 else -alpha * g


@sub.sampled
def _sub_samples() -> list[Sample]:
    return [*pairs()(), Sample(draw(3, 2), draw(2), alpha=0.5), Sample(2.0, draw(3))]


@op(prepare=promote)
def mul(x: Any, y: Any, /) -> Any:
    """z = x y"""
    return np.multiply(x, y)


@mul.vjp
def mul(g: Any, _z: Any, x: Any, y: Any) -> tuple:
    return lambda: g * y, lambda: g * x


@mul.sampled
def _mul_samples() -> list[Sample]:
    return [*pairs()(), Sample(draw(3, 2), 3)]


@op(prepare=promote)
def div(x: Any, y: Any, /, rounding_mode: str | None = None) -> Any:
    """z = x / y, of integers as float32; with rounding_mode 'floor' or 'trunc' rounded down, or towards 0"""
    if rounding_mode not in (None, "floor", "trunc"):
        raise ArgumentError(f"div: expected rounding_mode None, 'floor' or 'trunc', got {rounding_mode!r}.")
    if rounding_mode == "floor":
        return np.floor_divide(x, y)
    z = np.true_divide(x, y)
    integers = np.result_type(x, y).kind != "f" if z.dtype == np.float64 else False
    if rounding_mode == "trunc":
        return np.trunc(z).astype(np.result_type(x, y)) if integers else np.trunc(z)
    return z.astype(default_dtype) if integers else z


@div.vjp
def div(g: Any, z: Any, _x: Any, y: Any, rounding_mode: str | None = None) -> tuple:
    if rounding_mode is not None:
        return flat(_x), flat(y)
    return g / y, lambda: -g * z / y


@div.sampled
def _div_samples() -> list[Sample]:
    x, y = draw(3, 2), draw(2, seed=1, low=0.3)
    return [*pairs(away_from=0.0)(), Sample(1.0, y), *(Sample(x, y, rounding_mode=r) for r in ("floor", "trunc"))]
