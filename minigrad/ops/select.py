"""Choosing element by element: where, and relu, which chooses between x and 0."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.graph import op
from minigrad.ops.promotion import promote
from minigrad.ops.samples import Sample, draw, singles

__all__ = ["relu", "where"]


def _promote_choices(operands: list) -> list:
    condition, x, y = operands
    return [condition, *promote([x, y])]


@op(prepare=_promote_choices)
def where(condition: np.ndarray, x: Any, y: Any, /) -> np.ndarray:
    """z = x where the condition holds, else y"""
    return np.where(condition, x, y)


@where.vjp
def where(g: Any, _z: Any, condition: Any, _x: Any, _y: Any) -> tuple:
    return None, lambda: where(condition, g, 0.0), lambda: where(condition, 0.0, g)


@where.sampled
def _where_samples() -> list[Sample]:
    shapes = [((), (), ()), ((3, 2), (3, 2), (2,)), ((4, 1), (1, 3), (4, 3)), ((0, 2), (2,), (1, 2)), ((3,), (), (2, 1))]
    return [Sample(draw(*c) > 0, draw(*x), draw(*y, seed=1)) for c, x, y in shapes]


@op(prepare=promote)
def relu(x: np.ndarray, /) -> np.ndarray:
    """z = max(x, 0)"""
    return np.maximum(x, 0)


@relu.vjp
def relu(g: Any, z: Any, _x: Any) -> tuple:
    return (g * (z > 0),)


relu.sampled(singles(away_from=0.0))
