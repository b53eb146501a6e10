"""Steps: functions that are constant but for their jumps, so that their gradient is 0; and the remainder.

As in PyTorch the gradient of a step is 0, not an error: a rounded branch of a model takes no part in training.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.errors import ArgumentError
from minigrad.graph import op
from minigrad.ops.promotion import promote
from minigrad.ops.samples import Sample, draw, pairs, singles

__all__ = ["ceil", "flat", "floor", "floor_divide", "remainder", "round", "sign", "towards_zero"]


def flat(g: Any) -> np.ndarray:
    """The gradient of a step function: 0 everywhere, also where the upstream gradient is infinite."""
    return np.zeros(g.shape, g.dtype)


def _nonzero(y: Any, name: str) -> None:
    """Integers have no infinity: numpy would answer 0."""
    if np.asarray(y).dtype.kind != "f" and not np.all(y):
        raise ArgumentError(f"{name}: integer division by zero. Convert to floating point for inf and nan.")


def towards_zero(x: Any, y: Any) -> Any:
    """x / y without its fraction; exact for integers of any size."""
    if np.result_type(x, y).kind == "f":
        return np.trunc(np.true_divide(x, y))
    _nonzero(y, "div")
    down = np.floor_divide(x, y)
    return down + ((down * y != x) & ((np.less(x, 0)) != np.less(y, 0)))


@op(prepare=promote)
def floor(x: Any, /) -> Any:
    """z = the largest integer <= x"""
    return np.floor(x)


@op(prepare=promote)
def ceil(x: Any, /) -> Any:
    """z = the smallest integer >= x"""
    return np.ceil(x)


@op(prepare=promote)
def round(x: Any, /, decimals: int = 0) -> Any:
    """z = the nearest integer, or multiple of 10^-decimals; a half goes to the even neighbour"""
    return np.round(x, decimals)


@op(prepare=promote)
def sign(x: Any, /) -> Any:
    """z = -1 for x < 0, 0 for x = 0, 1 for x > 0"""
    return np.sign(x)


@floor.vjp
def floor(g: Any, _z: Any, _x: Any) -> tuple:
    return (flat(g),)


@ceil.vjp
def ceil(g: Any, _z: Any, _x: Any) -> tuple:
    return (flat(g),)


@round.vjp
def round(g: Any, _z: Any, _x: Any, decimals: int = 0) -> tuple:
    return (flat(g),)


@sign.vjp
def sign(g: Any, _z: Any, _x: Any) -> tuple:
    return (flat(g),)


for step in (floor, ceil, sign):
    step.sampled(singles(away_from=0.0))


@round.sampled
def _round_samples() -> list[Sample]:
    return [*singles()(), Sample(draw(2, 3), decimals=1)]


@op(prepare=promote, differentiable=False)
def floor_divide(x: Any, y: Any, /) -> Any:
    """z = x / y rounded down"""
    _nonzero(y, "floor_divide")
    return np.floor_divide(x, y)


@op(prepare=promote)
def remainder(x: Any, y: Any, /) -> Any:
    """z = x - y floor(x / y), which has the sign of y"""
    _nonzero(y, "remainder")
    return np.remainder(x, y)


@remainder.vjp
def remainder(g: Any, _z: Any, x: Any, y: Any) -> tuple:
    return g, lambda: -g * floor_divide(x, y)


@floor_divide.sampled
def _floor_divide_samples() -> list[Sample]:
    return [*pairs(away_from=0.0)(), Sample(np.array([7, -7, 7, -7]), np.array([2, 2, -2, -2]))]


@remainder.sampled
def _remainder_samples() -> list[Sample]:
    # x is a whole number of y nowhere: away from the jumps.
    return [Sample(3 * s.inputs[0] + 0.05, s.inputs[1]) for s in pairs(away_from=0.0)()]
