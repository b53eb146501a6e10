"""Rules for hyper-parameters: `rule(owner, name, value)` returns the value as a plain number, or raises.

An optimizer lists one for each of its hyper-parameters. They hold for its defaults, for parameter groups, for loaded
states and for what a schedule returns.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minigrad.errors import ArgumentError
from minigrad.optim import schedule_checks as check
from minigrad.tensor import Tensor

__all__ = [
    "Rule",
    "between",
    "flag",
    "fraction",
    "fractions",
    "nonnegative",
    "numbers",
    "one_of",
    "optional",
    "positive",
    "positive_fraction",
    "rate",
    "real",
    "whole",
]

Rule = Callable[[str, str, Any], Any]


def real(owner: str, name: str, value: Any) -> float:
    """A finite number."""
    return float(check.real(owner, name, value))


def nonnegative(owner: str, name: str, value: Any) -> float:
    """A finite number, zero or more."""
    return float(check.nonnegative(owner, name, value))


def positive(owner: str, name: str, value: Any) -> float:
    """A finite number above zero."""
    return float(check.positive(owner, name, value))


def rate(owner: str, name: str, value: Any) -> Any:
    """A learning rate: zero or more, or a Tensor of one element, which is kept, and read anew in each step."""
    if isinstance(value, Tensor) and value.numel() == 1:
        nonnegative(owner, name, value.item())
        return value
    return nonnegative(owner, name, value)


def fraction(owner: str, name: str, value: Any) -> float:
    """A number from 0 up to and without 1: the weight of the past in a running mean."""
    expected = "a number from 0 up to and without 1"
    number = float(check.nonnegative(owner, name, value, expected))
    if number >= 1:
        raise ArgumentError(f"{owner}: expected {name} to be {expected}, got {value!r}.")
    return number


def positive_fraction(owner: str, name: str, value: Any) -> float:
    """A number between 0 and 1, both excluded."""
    number = fraction(owner, name, value)
    if number == 0:
        raise ArgumentError(f"{owner}: expected {name} to be a number between 0 and 1, got {value!r}.")
    return number


def between(low: float, high: float) -> Rule:
    """A rule for a number from `low` to `high`, both included."""

    def rule(owner: str, name: str, value: Any) -> float:
        return float(check.between(owner, name, value, low, high))

    return rule


def whole(low: int, high: int | None = None) -> Rule:
    """A rule for a whole number of `low` or more, and of `high` or less."""

    def rule(owner: str, name: str, value: Any) -> int:
        number = check.integer(owner, name, value, at_least=low)
        if high is not None and number > high:
            raise ArgumentError(f"{owner}: expected {name} to be a whole number from {low} to {high}, got {value!r}.")
        return number

    return rule


def fractions(n: int) -> Rule:
    """A rule for a tuple of `n` numbers from 0 up to and without 1, such as Adam's betas."""

    def rule(owner: str, name: str, value: Any) -> tuple[float, ...]:
        if not isinstance(value, tuple | list) or len(value) != n:
            raise ArgumentError(f"{owner}: expected {name} to be a tuple of {n} numbers, got {value!r}.")
        return tuple(fraction(owner, f"{name}[{i}]", x) for i, x in enumerate(value))

    return rule


def optional(rule: Rule) -> Rule:
    """A rule for None, or what `rule` accepts."""

    def either(owner: str, name: str, value: Any) -> Any:
        return None if value is None else rule(owner, name, value)

    return either


def numbers(n: int) -> Rule:
    """A rule for a tuple of `n` finite numbers."""

    def rule(owner: str, name: str, value: Any) -> tuple[float, ...]:
        if not isinstance(value, tuple | list) or len(value) != n:
            raise ArgumentError(f"{owner}: expected {name} to be a tuple of {n} numbers, got {value!r}.")
        return tuple(real(owner, f"{name}[{i}]", x) for i, x in enumerate(value))

    return rule


def flag(owner: str, name: str, value: Any) -> bool:
    """True or False."""
    if not isinstance(value, bool):
        raise ArgumentError(f"{owner}: expected {name} to be True or False, got {value!r}.")
    return value


def one_of(*accepted: Any) -> Rule:
    """A rule for a choice among some values."""

    def rule(owner: str, name: str, value: Any) -> Any:
        for known in accepted:
            if type(value) is type(known) and value == known:
                return value
        raise ArgumentError(f"{owner}: expected {name} to be one of {', '.join(map(repr, accepted))}; got {value!r}.")

    return rule
