"""Losses, as layers, that ask two things to be near each other, or apart by a margin. The formulas compute in `F`."""

from __future__ import annotations

from minigrad.errors import ArgumentError
from minigrad.nn import functional as F
from minigrad.nn.loss import Loss
from minigrad.nn.module import Module
from minigrad.tensor import Tensor

__all__ = [
    "CosineEmbeddingLoss",
    "CosineSimilarity",
    "HingeEmbeddingLoss",
    "MarginRankingLoss",
    "SoftMarginLoss",
    "TripletMarginLoss",
]


class CosineSimilarity(Module):
    """y = x1 · x2 / (max(‖x1‖, eps) max(‖x2‖, eps)) along `dim`.

    Parameters
    ----------
    dim : int
    eps : float

    Shapes: two of one shape -> that shape without `dim`

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.CosineSimilarity.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> loss = nn.CosineSimilarity()(minigrad.tensor([[3.0, 4.0]]), minigrad.tensor([[4.0, 3.0]]))
    >>> round(loss.item(), 4)  # 24 / (5 · 5)
    0.96
    """

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        super().__init__()
        self.dim = dim
        self.eps = eps

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return F.cosine_similarity(x1, x2, self.dim, self.eps)


class _MarginLoss(Loss):
    _margin = 0.0

    def __init__(self, margin: float | None = None, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = self._margin if margin is None else margin


class CosineEmbeddingLoss(_MarginLoss):
    """L = 1 - cos(x1, x2) where the target is 1, max(cos(x1, x2) - margin, 0) where it is -1.

    Parameters
    ----------
    margin : float
        0 by default.
    reduction : 'mean', 'sum' or 'none'

    Shapes: inputs (N, D), target (N,) -> scalar, or (N,) for 'none'

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.CosineEmbeddingLoss.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> a = minigrad.tensor([[3.0, 4.0]])
    >>> b = minigrad.tensor([[4.0, 3.0]])
    >>> y = minigrad.tensor([1])
    >>> round(nn.CosineEmbeddingLoss()(a, b, y).item(), 4)  # 1 - 24/25
    0.04
    """

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:
        return F.cosine_embedding_loss(input1, input2, target, self.margin, self.reduction)


class HingeEmbeddingLoss(_MarginLoss):
    """L = x where the target is 1, max(margin - x, 0) where it is -1.

    Parameters
    ----------
    margin : float
        1 by default.
    reduction : 'mean', 'sum' or 'none'

    Shapes: two of one shape -> scalar, or that shape for 'none'

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.HingeEmbeddingLoss.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> loss = nn.HingeEmbeddingLoss()(minigrad.tensor([0.25, 0.25]), minigrad.tensor([1, -1]))
    >>> round(loss.item(), 4)  # (0.25 + (1 - 0.25)) / 2
    0.5
    """

    _margin = 1.0

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.hinge_embedding_loss(input, target, self.margin, self.reduction)


class MarginRankingLoss(_MarginLoss):
    """L = max(-y (x1 - x2) + margin, 0): x1 should rank above x2 where y is 1, below where it is -1.

    Parameters
    ----------
    margin : float
        0 by default.
    reduction : 'mean', 'sum' or 'none'

    Shapes: three of one shape -> scalar, or that shape for 'none'

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.MarginRankingLoss.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> a = minigrad.tensor([1.0])
    >>> b = minigrad.tensor([2.0])
    >>> y = minigrad.tensor([1])
    >>> round(nn.MarginRankingLoss(margin=0.5)(a, b, y).item(), 4)  # 2 - 1 + 0.5
    1.5
    """

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:
        return F.margin_ranking_loss(input1, input2, target, self.margin, self.reduction)


class SoftMarginLoss(Loss):
    """L = ln(1 + e^(-y x)) for targets y of 1 and -1.

    Parameters
    ----------
    reduction : 'mean', 'sum' or 'none'

    Shapes: two of one shape -> scalar, or that shape for 'none'

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.SoftMarginLoss.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> round(nn.SoftMarginLoss()(minigrad.tensor([0.0]), minigrad.tensor([1])).item(), 4)  # ln(1 + e⁰)
    0.6931
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.soft_margin_loss(input, target, self.reduction)


class TripletMarginLoss(Loss):
    """L = max(‖a - p‖ - ‖a - n‖ + margin, 0) for an anchor, something like it, and something unlike it.

    Parameters
    ----------
    margin : float, more than 0
    p : float
        Of the norm.
    eps : float
        Added to each difference.
    swap : bool
        ‖p - n‖ counts where it is less than ‖a - n‖.
    reduction : 'mean', 'sum' or 'none'

    Shapes: three of (N, D) -> scalar, or (N,) for 'none'

    References
    ----------
    V. Balntas et al., Learning local feature descriptors with triplets, BMVC 2016.
    https://docs.pytorch.org/docs/stable/generated/torch.nn.TripletMarginLoss.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> a = minigrad.zeros(1, 2)
    >>> b = minigrad.tensor([[3.0, 4.0]])
    >>> y = minigrad.tensor([[6.0, 8.0]])
    >>> round(nn.TripletMarginLoss(margin=6.0)(a, b, y).item(), 4)  # 5 - 10 + 6
    1.0
    """

    def __init__(
        self, margin: float = 1.0, p: float = 2.0, eps: float = 1e-6, swap: bool = False, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction)
        if not margin > 0:
            raise ArgumentError(f"TripletMarginLoss: expected margin > 0, got {margin}.")
        self.margin = margin
        self.p = p
        self.eps = eps
        self.swap = swap

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        return F.triplet_margin_loss(
            anchor, positive, negative, self.margin, self.p, self.eps, self.swap, self.reduction
        )
