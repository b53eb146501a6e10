"""The checks that constructors of schedules and schedulers share, and the one form of their messages.

Each function takes the name of what is being built, the name of the argument and its value, and returns the
value as a plain Python number (a numpy scalar becomes one), so that reprs are short and equality is exact.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Sequence
from typing import Any

from minigrad.errors import ArgumentError


def real(owner: str, name: str, value: Any, expected: str = "a finite number") -> float:
    """Return `value` as an int or a float; a bool, a string, NaN and infinity are refused."""
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        number: float = int(value) if isinstance(value, numbers.Integral) else float(value)
        if math.isfinite(number):
            return number
    raise ArgumentError(f"{owner}: expected {name} to be {expected}, got {value!r}.")


def nonnegative(owner: str, name: str, value: Any, expected: str = "a finite number, zero or more") -> float:
    """Return `value`, a number of zero or more."""
    number = real(owner, name, value, expected)
    if number < 0:
        raise ArgumentError(f"{owner}: expected {name} to be {expected}, got {value!r}.")
    return number


def positive(owner: str, name: str, value: Any, expected: str = "a finite number above zero") -> float:
    """Return `value`, a number above zero."""
    number = real(owner, name, value, expected)
    if number <= 0:
        raise ArgumentError(f"{owner}: expected {name} to be {expected}, got {value!r}.")
    return number


def between(owner: str, name: str, value: Any, low: float, high: float) -> float:
    """Return `value`, a number from `low` to `high`, both included."""
    number = real(owner, name, value, f"a number from {low} to {high}")
    if not low <= number <= high:
        raise ArgumentError(f"{owner}: expected {name} to be a number from {low} to {high}, got {value!r}.")
    return number


def integer(owner: str, name: str, value: Any, at_least: int) -> int:
    """Return `value`, a whole number of `at_least` or more; 3.0 is not taken for 3."""
    if isinstance(value, numbers.Integral) and not isinstance(value, bool) and int(value) >= at_least:
        return int(value)
    raise ArgumentError(f"{owner}: expected {name} to be a whole number, at least {at_least}, got {value!r}.")


def choice(owner: str, name: str, value: Any, accepted: Sequence[str]) -> str:
    """Return `value`, one of the `accepted` words."""
    if isinstance(value, str) and value in accepted:
        return value
    raise ArgumentError(f"{owner}: expected {name} to be one of {', '.join(accepted)}; got {value!r}.")


def increasing(owner: str, name: str, values: Iterable[Any]) -> tuple[float, ...]:
    """Return `values` as a tuple of numbers above zero, each above the one before."""
    steps = tuple(positive(owner, f"{name}[{i}]", value) for i, value in enumerate(values))
    for i in range(1, len(steps)):
        if steps[i] <= steps[i - 1]:
            raise ArgumentError(
                f"{owner}: expected {name} to increase, got {list(steps)}: "
                f"{steps[i]} follows {steps[i - 1]}. Sort them and drop repeats."
            )
    return steps
