"""Comparisons, element by element: results are bool and have no gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.graph import op
from minigrad.ops.promotion import promote
from minigrad.ops.samples import pairs

__all__ = ["eq", "ge", "gt", "le", "lt", "ne"]


@op(prepare=promote, differentiable=False)
def eq(x: Any, y: Any, /) -> Any:
    """z = (x == y)"""
    return np.equal(x, y)


@op(prepare=promote, differentiable=False)
def ne(x: Any, y: Any, /) -> Any:
    """z = (x != y)"""
    return np.not_equal(x, y)


@op(prepare=promote, differentiable=False)
def lt(x: Any, y: Any, /) -> Any:
    """z = (x < y)"""
    return np.less(x, y)


@op(prepare=promote, differentiable=False)
def le(x: Any, y: Any, /) -> Any:
    """z = (x <= y)"""
    return np.less_equal(x, y)


@op(prepare=promote, differentiable=False)
def gt(x: Any, y: Any, /) -> Any:
    """z = (x > y)"""
    return np.greater(x, y)


@op(prepare=promote, differentiable=False)
def ge(x: Any, y: Any, /) -> Any:
    """z = (x >= y)"""
    return np.greater_equal(x, y)


for comparison in (eq, ne, lt, le, gt, ge):
    comparison.sampled(pairs())
