"""What every loss does besides its formula: check what it is given, weigh, and reduce."""

from __future__ import annotations

import numpy as np

from minigrad.errors import ArgumentError, DTypeError, ShapeError
from minigrad.tensor import Tensor

__all__ = [
    "alike",
    "check_floating",
    "check_pair",
    "check_probabilities",
    "check_reduction",
    "check_share",
    "check_signs",
    "check_spreads",
    "reduced",
    "times",
    "weighted_mean",
]


def check_reduction(name: str, reduction: str, *more: str) -> None:
    """ArgumentError for anything but 'none', 'mean', 'sum' and `more`."""
    known = ("none", "mean", "sum", *more)
    if reduction not in known:
        raise ArgumentError(f"{name}: expected reduction {', '.join(map(repr, known))}, got {reduction!r}.")


def check_share(name: str, what: str, value: float) -> None:
    """ArgumentError for what is not a number from 0 to 1."""
    if not 0.0 <= value <= 1.0:
        raise ArgumentError(f"{name}: expected {what} in [0, 1], got {value}.")


def check_probabilities(name: str, what: str, tensor: Tensor, hint: str = "") -> None:
    """ArgumentError for elements that are not from 0 to 1; NaN is not either."""
    x = tensor.data
    if not np.all((x >= 0) & (x <= 1)):
        raise ArgumentError(
            f"{name}: expected probabilities from 0 to 1 as {what}, got {x.min():g} to {x.max():g}.{hint}"
        )


def check_floating(name: str, input: Tensor) -> None:
    if input.dtype.kind != "f":
        raise DTypeError(f"{name}: expected floating-point input, got {input.dtype.name}. Convert it with .float().")


def check_pair(name: str, input: Tensor, target: Tensor, reduction: str) -> None:
    check_reduction(name, reduction)
    check_floating(name, input)
    if input.shape != target.shape:
        raise ShapeError(
            f"{name}: expected input and target of the same shape, got {input.shape} and {target.shape}. "
            "Use reshape(), squeeze() or unsqueeze() on one of them."
        )


def check_spreads(name: str, what: str, weight: Tensor, input: Tensor) -> None:
    """ShapeError where `weight` cannot be broadcast to the input's shape."""
    try:
        fits = np.broadcast_shapes(weight.shape, input.shape) == input.shape
    except ValueError:
        fits = False
    if not fits:
        raise ShapeError(f"{name}: expected {what} that spreads to shape {input.shape}, got {weight.shape}.")


def check_signs(name: str, target: Tensor) -> np.ndarray:
    y = target.data
    if not np.all((y == 1) | (y == -1)):
        raise ArgumentError(f"{name}: expected targets of 1 and -1, got {y.min():g} to {y.max():g}.")
    return y


def times(name: str, losses: Tensor, what: str, weight: Tensor | None) -> Tensor:
    if weight is None:
        return losses
    check_spreads(name, what, weight, losses)
    return losses * weight


def alike(name: str, weight: Tensor, losses: Tensor) -> Tensor:
    if weight.shape != losses.shape:
        raise ShapeError(f"{name}: expected weight of the input's shape {losses.shape}, got {weight.shape}.")
    return weight


def weighted_mean(name: str, losses: Tensor, weight: Tensor | None, reduction: str) -> Tensor:
    if weight is None:
        return reduced(losses, reduction)
    weighted = losses * alike(name, weight, losses)
    return weighted.sum() / weight.sum() if reduction == "mean" else reduced(weighted, reduction)


def reduced(losses: Tensor, reduction: str) -> Tensor:
    if reduction == "none":
        return losses
    return losses.sum() if reduction == "sum" else losses.mean()
