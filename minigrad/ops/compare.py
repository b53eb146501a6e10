"""Comparisons and tests, element by element: results are bool and have no gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.errors import DTypeError
from minigrad.graph import Variable, op
from minigrad.ops.promotion import promote
from minigrad.ops.samples import Sample, draw, pairs, singles

__all__ = ["allclose", "eq", "equal", "ge", "gt", "isclose", "isfinite", "isinf", "isnan", "le", "lt", "ne"]


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


@op(prepare=promote, differentiable=False)
def isclose(x: Any, y: Any, /, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Any:
    """z = (|x - y| <= atol + rtol |y|), and true for equal infinities"""
    return np.isclose(x, y, rtol=rtol, atol=atol, equal_nan=equal_nan)


def _comparable() -> list[Sample]:
    """Pairs in which some elements are equal, NaN and infinite."""
    special = np.array([0.0, 1.0, np.inf, -np.inf, np.nan])
    return [*pairs()(), Sample(draw(3), 0.5), Sample(special, special[:, None]), Sample(np.arange(4), 2)]


for comparison in (eq, ne, lt, le, gt, ge, isclose):
    comparison.sampled(_comparable)


@op(differentiable=False)
def isnan(x: Any, /) -> Any:
    """z = (x is not a number)"""
    return np.isnan(x)


@op(differentiable=False)
def isinf(x: Any, /) -> Any:
    """z = (x is inf or -inf)"""
    return np.isinf(x)


@op(differentiable=False)
def isfinite(x: Any, /) -> Any:
    """z = (x is neither infinite nor NaN)"""
    return np.isfinite(x)


def _special() -> list[Sample]:
    return [*singles()(), Sample(np.array([0.0, np.inf, -np.inf, np.nan])), Sample(np.arange(3))]


for test in (isnan, isinf, isfinite):
    test.sampled(_special)


def allclose(x: Variable, y: Variable, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """True when |x - y| <= atol + rtol |y| for every element, after broadcasting.

    Examples
    --------
    >>> import minigrad
    >>> minigrad.allclose(minigrad.tensor([1.0, 2.0]), minigrad.tensor([1.0, 2.000001]))
    True
    """
    return bool(np.all(np.asarray(isclose(x, y, rtol=rtol, atol=atol, equal_nan=equal_nan))))


def equal(x: Variable, y: Variable) -> bool:
    """True when both have the same shape and the same elements; NaN is equal to nothing."""
    if not isinstance(x, Variable) or not isinstance(y, Variable):
        raise DTypeError(f"equal: expected two Tensors, got {type(x).__name__} and {type(y).__name__}.")
    return x.shape == y.shape and bool(np.all(np.asarray(eq(x, y))))
