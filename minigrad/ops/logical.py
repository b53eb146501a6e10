"""Truth, element by element (every number but 0 is true), and the bits of integers: no gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.graph import op
from minigrad.ops.promotion import promote
from minigrad.ops.samples import Sample, draw, strided

__all__ = [
    "bitwise_and",
    "bitwise_not",
    "bitwise_or",
    "bitwise_xor",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
]


@op(prepare=promote, differentiable=False)
def logical_and(x: Any, y: Any, /) -> Any:
    """z = (x and y)"""
    return np.logical_and(x, y)


@op(prepare=promote, differentiable=False)
def logical_or(x: Any, y: Any, /) -> Any:
    """z = (x or y)"""
    return np.logical_or(x, y)


@op(prepare=promote, differentiable=False)
def logical_xor(x: Any, y: Any, /) -> Any:
    """z = (either x or y)"""
    return np.logical_xor(x, y)


@op(differentiable=False)
def logical_not(x: Any, /) -> Any:
    """z = (not x)"""
    return np.logical_not(x)


@op(prepare=promote, differentiable=False)
def bitwise_and(x: Any, y: Any, /) -> Any:
    """z = x & y, bit by bit; of bools it is `logical_and`"""
    return np.bitwise_and(x, y)


@op(prepare=promote, differentiable=False)
def bitwise_or(x: Any, y: Any, /) -> Any:
    """z = x | y, bit by bit; of bools it is `logical_or`"""
    return np.bitwise_or(x, y)


@op(prepare=promote, differentiable=False)
def bitwise_xor(x: Any, y: Any, /) -> Any:
    """z = x ^ y, bit by bit; of bools it is `logical_xor`"""
    return np.bitwise_xor(x, y)


@op(differentiable=False)
def bitwise_not(x: Any, /) -> Any:
    """z = ~x, bit by bit; of bools it is `logical_not`"""
    return np.bitwise_not(x)


def _bits(*shape: int, seed: int = 0) -> np.ndarray:
    return np.asarray(draw(*shape, low=-4, high=5, seed=seed).round().astype(np.int64))


def _pairs() -> list[Sample]:
    integers = [Sample(_bits(*a), _bits(*b, seed=1)) for a, b in [((), ()), ((3, 2), (2,)), ((0, 3), (3,)), ((4,), ())]]
    return [*integers, Sample(strided(_bits(3, 4)), _bits(4)), Sample(draw(3, 2) > 0, draw(2, seed=1) > 0)]


def _singles() -> list[Sample]:
    integers = [Sample(_bits(*shape)) for shape in [(), (4,), (3, 2), (0, 3)]]
    return [*integers, Sample(strided(_bits(3, 4))), Sample(draw(2, 3) > 0)]


for binary in (logical_and, logical_or, logical_xor, bitwise_and, bitwise_or, bitwise_xor):
    binary.sampled(_pairs)
for unary in (logical_not, bitwise_not):
    unary.sampled(_singles)
