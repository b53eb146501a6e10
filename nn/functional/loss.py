"""Losses as functions."""

from __future__ import annotations

from minigrad.errors import ArgumentError
from minigrad.ops import loss as loss_ops
from minigrad.tensor import Tensor

__all__ = ["cross_entropy"]


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """-log softmax(input)[target]; see `minigrad.nn.CrossEntropyLoss`.

    Shapes: input (N, C) or (N, C, d1, ...), or (C,) for one sample; target class labels of the same shape without C,
    or probabilities of the same shape
    """
    if reduction not in ("mean", "sum", "none"):
        raise ArgumentError(f"cross_entropy: expected reduction 'mean', 'sum' or 'none', got {reduction!r}.")
    if not 0.0 <= label_smoothing <= 1.0:
        raise ArgumentError(f"cross_entropy: expected label_smoothing in [0, 1], got {label_smoothing}.")
    return loss_ops.cross_entropy(input, target, weight, ignore_index, reduction, label_smoothing)
