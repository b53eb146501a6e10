"""Losses that ask two things to be near each other, or apart by a margin. `reduction` as in `loss.py`.

References
----------
https://docs.pytorch.org/docs/stable/nn.functional.html#loss-functions
"""

from __future__ import annotations

import numpy as np

from minigrad.errors import ArgumentError, ShapeError
from minigrad.nn.functional.loss_checks import check_pair, check_reduction, check_signs, reduced
from minigrad.ops.activation import logsigmoid
from minigrad.ops.norms import vector_norm
from minigrad.ops.select import minimum
from minigrad.tensor import Tensor

__all__ = [
    "cosine_embedding_loss",
    "cosine_similarity",
    "hinge_embedding_loss",
    "margin_ranking_loss",
    "soft_margin_loss",
    "triplet_margin_loss",
]


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """x1 · x2 / (max(‖x1‖, eps) max(‖x2‖, eps)) along `dim`.

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.cosine_similarity.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> loss = F.cosine_similarity(minigrad.tensor([[3.0, 4.0]]), minigrad.tensor([[4.0, 3.0]]))
    >>> round(loss.item(), 4)  # 24 / (5 · 5)
    0.96
    """
    lengths = [x.square().sum(dim, keepdim=True).clamp(min=eps**2).sqrt() for x in (x1, x2)]
    return (x1 / lengths[0] * (x2 / lengths[1])).sum(dim)


def cosine_embedding_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """1 - cos(x1, x2) where the target is 1, max(cos(x1, x2) - margin, 0) where it is -1.

    Shapes: inputs (N, D) and target (N,), or inputs (D,) and target ()

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.cosine_embedding_loss.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> a = minigrad.tensor([[3.0, 4.0]])
    >>> b = minigrad.tensor([[4.0, 3.0]])
    >>> y = minigrad.tensor([1])
    >>> round(F.cosine_embedding_loss(a, b, y).item(), 4)  # 1 - 24/25
    0.04
    """
    check_reduction("cosine_embedding_loss", reduction)
    if input1.shape != input2.shape or input1.ndim not in (1, 2) or target.shape != input1.shape[:-1]:
        raise ShapeError(
            "cosine_embedding_loss: expected two inputs (N, D) and target (N,), or inputs (D,) and target (), got "
            f"{input1.shape}, {input2.shape} and {target.shape}."
        )
    signs = check_signs("cosine_embedding_loss", target)
    # eps is inside the root there, and another number.
    products = [(a * b).sum(-1) for a, b in ((input1, input1), (input2, input2))]
    eps = float(np.finfo(np.float32).eps) if input1.dtype == np.float32 else 1e-12
    cosine = (input1 * input2).sum(-1) / ((products[0] + eps) * (products[1] + eps)).sqrt()
    losses = (1 - cosine).where(signs > 0, (cosine - margin).relu())
    return reduced(losses, reduction)


def hinge_embedding_loss(input: Tensor, target: Tensor, margin: float = 1.0, reduction: str = "mean") -> Tensor:
    """x where the target is 1, max(margin - x, 0) where it is -1.

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.hinge_embedding_loss.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> loss = F.hinge_embedding_loss(minigrad.tensor([0.25, 0.25]), minigrad.tensor([1, -1]))
    >>> round(loss.item(), 4)  # (0.25 + (1 - 0.25)) / 2
    0.5
    """
    check_pair("hinge_embedding_loss", input, target, reduction)
    signs = check_signs("hinge_embedding_loss", target)
    return reduced(input.where(signs > 0, (margin - input).relu()), reduction)


def margin_ranking_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """max(-y (x1 - x2) + margin, 0): x1 should rank above x2 where y is 1, below where it is -1.

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.margin_ranking_loss.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> a = minigrad.tensor([1.0])
    >>> b = minigrad.tensor([2.0])
    >>> y = minigrad.tensor([1])
    >>> round(F.margin_ranking_loss(a, b, y, margin=0.5).item(), 4)  # 2 - 1 + 0.5
    1.5
    """
    check_pair("margin_ranking_loss", input1, input2, reduction)
    check_pair("margin_ranking_loss", input1, target, reduction)
    check_signs("margin_ranking_loss", target)
    return reduced((target * (input2 - input1) + margin).relu(), reduction)


def soft_margin_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """ln(1 + e^(-y x)) for targets y of 1 and -1, exact for inputs of any size.

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.soft_margin_loss.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> round(F.soft_margin_loss(minigrad.tensor([0.0]), minigrad.tensor([1])).item(), 4)  # ln(1 + e⁰)
    0.6931
    """
    check_pair("soft_margin_loss", input, target, reduction)
    check_signs("soft_margin_loss", target)
    return reduced(-logsigmoid(target * input), reduction)


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """max(‖a - p‖ - ‖a - n‖ + margin, 0): what belongs together should be closer than what does not, by a margin.

    The norm is (sum |d + eps|^p)^(1/p) over the last dimension. With `swap`, ‖p - n‖ counts where it is less than
    ‖a - n‖.

    Shapes: (N, D), or (D,), all the same

    References
    ----------
    V. Balntas et al., Learning local feature descriptors with triplets, BMVC 2016.
    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.triplet_margin_loss.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> a = minigrad.zeros(1, 2)
    >>> b = minigrad.tensor([[3.0, 4.0]])
    >>> y = minigrad.tensor([[6.0, 8.0]])
    >>> round(F.triplet_margin_loss(a, b, y, margin=6.0).item(), 4)  # 5 - 10 + 6
    1.0
    """
    check_pair("triplet_margin_loss", anchor, positive, reduction)
    check_pair("triplet_margin_loss", anchor, negative, reduction)
    if not margin > 0 or not p > 0:
        raise ArgumentError(f"triplet_margin_loss: expected margin > 0 and p > 0, got margin={margin}, p={p}.")

    def distance(a: Tensor, b: Tensor) -> Tensor:
        return vector_norm(a - b + eps, ord=p, dim=-1)

    far = distance(anchor, negative)
    if swap:
        far = minimum(far, distance(positive, negative))
    return reduced((distance(anchor, positive) - far + margin).relu(), reduction)
