"""A computation that two gradients of a rule share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

__all__ = ["once"]

T = TypeVar("T")


def once(compute: Callable[[], T]) -> Callable[[], T]:
    """A function that calls `compute` the first time, and afterwards returns what came of it.

    `functools.cache` does that too, but copies names and docstrings each time one is made: 5 microseconds.

    Examples
    --------
    >>> both = once(lambda: print("computed") or (1, 2))
    >>> both()[0], both()[1]
    computed
    (1, 2)
    """
    made: list[T] = []

    def result() -> T:
        if not made:
            made.append(compute())
        return made[0]

    return result
