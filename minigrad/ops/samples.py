"""The inputs on which the test suite checks every op: forward, first and second derivative.

A sample is what an op is called with. An op's file lists its samples right under its rule; the arrays are float64,
drawn from a fixed seed, and keep away from kinks and poles, where a finite difference means nothing.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["Sample", "draw", "pairs", "singles", "strided", "triples"]

# 0-d, a vector, a matrix, three dimensions with a 1, and empty.
SHAPES: list[tuple[int, ...]] = [(), (4,), (3, 2), (2, 1, 3), (0, 3)]
BROADCASTS: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
    ((), ()),
    ((3, 2), (3, 2)),
    ((3, 2), (2,)),
    ((2, 1, 3), (4, 1)),
    ((), (2, 3)),
    ((0, 3), (3,)),
]


class Sample:
    """The positional inputs and the options of one call of an op."""

    def __init__(self, *inputs: Any, **options: Any) -> None:
        # Arithmetic on 0-d arrays gives numpy's scalars; an op gets arrays.
        self.inputs = tuple(np.asarray(x) if isinstance(x, np.generic) else x for x in inputs)
        self.options = options

    def __repr__(self) -> str:
        arrays = [f"{x.dtype.name}{list(x.shape)}" if isinstance(x, np.ndarray) else repr(x) for x in self.inputs]
        return ", ".join(arrays + [f"{key}={value!r}" for key, value in self.options.items()])


def draw(
    *shape: int, low: float = -2.0, high: float = 2.0, away_from: float | None = None, seed: int = 0
) -> np.ndarray:
    """Uniform float64 numbers in [low, high), none within 0.1 of `away_from`; the same for the same arguments."""
    key = zlib.crc32(repr((shape, low, high, away_from, seed)).encode())
    x = np.random.default_rng(key).uniform(low, high, shape)
    if away_from is not None:
        x = np.where(np.abs(x - away_from) < 0.1, x + 0.25, x)
    return np.asarray(x)


def strided(x: np.ndarray) -> np.ndarray:
    """The same values in memory that is not contiguous."""
    wide = np.zeros((*x.shape, 2), x.dtype)
    wide[..., 0] = x
    return wide[..., 0]


def singles(**how: Any) -> Callable[[], list[Sample]]:
    """Samples of an element-wise function of one input: every shape, and a matrix that is not contiguous."""

    def make() -> list[Sample]:
        return [Sample(draw(*shape, **how)) for shape in SHAPES] + [Sample(strided(draw(3, 4, **how)))]

    return make


def pairs(**how: Any) -> Callable[[], list[Sample]]:
    """Samples of an element-wise function of two inputs that are broadcast against each other."""

    def make() -> list[Sample]:
        both = [(draw(*a, **how), draw(*b, seed=1, **how)) for a, b in BROADCASTS]
        return [Sample(x, y) for x, y in both] + [Sample(strided(draw(3, 4, **how)), draw(4, seed=1, **how))]

    return make


def triples(**how: Any) -> Callable[[], list[Sample]]:
    """Samples of an element-wise function of three inputs that are broadcast against each other."""

    def make() -> list[Sample]:
        return [Sample(*pair.inputs, draw(*pair.inputs[1].shape, seed=2, **how)) for pair in pairs(**how)()]

    return make
