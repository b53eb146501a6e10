"""Losses: one number that says how wrong the outputs are."""

from __future__ import annotations

from minigrad.errors import ArgumentError, DTypeError
from minigrad.nn import functional as F
from minigrad.nn.module import Module
from minigrad.tensor import Tensor

__all__ = ["CrossEntropyLoss"]


class CrossEntropyLoss(Module):
    """L = -log softmax(x)[y]: the surprise at the right class y under scores x (logits, not probabilities).

    Parameters
    ----------
    weight : Tensor (C,), optional
        A factor for each class.
    ignore_index : int
        Samples with this label do not count.
    reduction : 'mean', 'sum' or 'none'
    label_smoothing : float in [0, 1]
        Mix the target with the uniform distribution.

    Shapes: scores (N, C) or (N, C, d1, ...), labels (N,) or (N, d1, ...) -> scalar, or the labels' shape for 'none'

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        if weight is not None and not isinstance(weight, Tensor):
            raise DTypeError(f"CrossEntropyLoss: expected weight as a Tensor, got {type(weight).__name__}.")
        if reduction not in ("mean", "sum", "none"):
            raise ArgumentError(f"CrossEntropyLoss: expected reduction 'mean', 'sum' or 'none', got {reduction!r}.")
        if not 0.0 <= label_smoothing <= 1.0:
            raise ArgumentError(f"CrossEntropyLoss: expected label_smoothing in [0, 1], got {label_smoothing}.")
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index
        self.reduction = reduction
        self.label_smoothing = label_smoothing

    def forward(self, scores: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(scores, labels, self.weight, self.ignore_index, self.reduction, self.label_smoothing)

    def extra_repr(self) -> str:
        return f"reduction={self.reduction!r}" if self.reduction != "mean" else ""
