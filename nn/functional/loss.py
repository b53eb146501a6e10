"""Losses as functions.

`reduction` says what becomes of the losses of the samples or pairs: 'none' leaves them, 'sum' adds them up, 'mean'
divides the sum by their number (for classes with weights, by the sum of the weights). An input and a target of
different shapes are an error: broadcasting them, as PyTorch does with a warning, hides mistakes. Where a formula has a
derivative by the target too, the target gets its gradient.

References
----------
https://docs.pytorch.org/docs/stable/nn.functional.html#loss-functions
"""

from __future__ import annotations

import math

import numpy as np

from minigrad.errors import ArgumentError, ShapeError
from minigrad.nn.functional.loss_checks import (
    alike,
    check_floating,
    check_pair,
    check_probabilities,
    check_reduction,
    check_share,
    check_spreads,
    reduced,
    times,
    weighted_mean,
)
from minigrad.ops import loss as class_losses
from minigrad.ops import loss_pairs
from minigrad.tensor import Tensor

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "gaussian_nll_loss",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "mse_loss",
    "nll_loss",
    "poisson_nll_loss",
    "smooth_l1_loss",
]


# ---- classes ---------------------------------------------------------------------------------------------------------


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

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> round(F.cross_entropy(minigrad.zeros(1, 4), minigrad.tensor([2])).item(), 4)  # four classes alike: ln 4
    1.3863
    """
    check_reduction("cross_entropy", reduction)
    check_share("cross_entropy", "label_smoothing", label_smoothing)
    return class_losses.cross_entropy(input, target, weight, ignore_index, reduction, label_smoothing)


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """-input[target] of log-probabilities; see `minigrad.nn.NLLLoss`.

    Shapes: input (N, C) or (N, C, d1, ...), or (C,) for one sample; target class labels of the same shape without C

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> loss = F.nll_loss(minigrad.log(minigrad.tensor([[0.75, 0.25]])), minigrad.tensor([1]))
    >>> round(loss.item(), 4)  # -ln 0.25
    1.3863
    """
    check_reduction("nll_loss", reduction)
    check_floating("nll_loss", input)
    return class_losses.nll(input, target, weight, ignore_index, reduction)


# ---- distances -------------------------------------------------------------------------------------------------------


def mse_loss(input: Tensor, target: Tensor, reduction: str = "mean", weight: Tensor | None = None) -> Tensor:
    """(x - y)²; `weight` multiplies each, and a mean then divides by the sum of the weights.

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.mse_loss.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> round(F.mse_loss(minigrad.tensor([1.0, 2.0]), minigrad.tensor([1.0, 4.0])).item(), 4)  # (0² + 2²) / 2
    2.0
    """
    check_pair("mse_loss", input, target, reduction)
    return weighted_mean("mse_loss", (input - target).square(), weight, reduction)


def l1_loss(input: Tensor, target: Tensor, reduction: str = "mean", weight: Tensor | None = None) -> Tensor:
    """|x - y|; `weight` multiplies each, and a mean then divides by the sum of the weights.

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.l1_loss.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> round(F.l1_loss(minigrad.tensor([1.0, 2.0]), minigrad.tensor([1.0, 4.0])).item(), 4)  # (0 + 2) / 2
    1.0
    """
    check_pair("l1_loss", input, target, reduction)
    return weighted_mean("l1_loss", (input - target).abs(), weight, reduction)


def smooth_l1_loss(input: Tensor, target: Tensor, reduction: str = "mean", beta: float = 1.0) -> Tensor:
    """(x - y)² / (2 beta) where |x - y| < beta, else |x - y| - beta / 2; `l1_loss` for beta = 0.

    References
    ----------
    R. Girshick, Fast R-CNN, arXiv:1504.08083.
    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.smooth_l1_loss.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> loss = F.smooth_l1_loss(minigrad.tensor([0.5, 2.0]), minigrad.zeros(2))
    >>> round(loss.item(), 4)  # (½ 0.5² + (2 - ½)) / 2
    0.8125
    """
    check_pair("smooth_l1_loss", input, target, reduction)
    if not beta >= 0:
        raise ArgumentError(f"smooth_l1_loss: expected beta >= 0, got {beta}.")
    if beta == 0:
        return l1_loss(input, target, reduction)
    return reduced(loss_pairs.huber(input, target, delta=float(beta)) / float(beta), reduction)


def huber_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0, weight: Tensor | None = None
) -> Tensor:
    """(x - y)² / 2 where |x - y| < delta, else delta (|x - y| - delta / 2); `weight` multiplies each.

    A mean divides by the number of pairs, weighted or not; as in PyTorch, and other than in `mse_loss`.

    References
    ----------
    P. Huber, Robust estimation of a location parameter, Annals of Mathematical Statistics 35 (1964).
    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.huber_loss.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> loss = F.huber_loss(minigrad.tensor([0.5, 3.0]), minigrad.zeros(2), delta=2.0)
    >>> round(loss.item(), 4)  # (½ 0.5² + 2 (3 - 1)) / 2
    2.0625
    """
    check_pair("huber_loss", input, target, reduction)
    if not delta > 0:
        raise ArgumentError(f"huber_loss: expected delta > 0, got {delta}.")
    losses = loss_pairs.huber(input, target, delta=float(delta))
    return reduced(losses if weight is None else losses * alike("huber_loss", weight, losses), reduction)


# ---- probabilities ---------------------------------------------------------------------------------------------------


def binary_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, reduction: str = "mean"
) -> Tensor:
    """-w (y ln x + (1 - y) ln(1 - x)) for probabilities x and y, no logarithm less than -100.

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.binary_cross_entropy.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> loss = F.binary_cross_entropy(minigrad.tensor([0.75, 0.5]), minigrad.tensor([1.0, 0.0]))
    >>> round(loss.item(), 4)  # -(ln 0.75 + ln 0.5) / 2
    0.4904
    """
    check_pair("binary_cross_entropy", input, target, reduction)
    check_probabilities("binary_cross_entropy", "input", input, " Logits go to binary_cross_entropy_with_logits.")
    check_probabilities("binary_cross_entropy", "target", target)
    losses = loss_pairs.binary_cross_entropy(input, target)
    return reduced(times("binary_cross_entropy", losses, "weight", weight), reduction)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """-w (p y ln σ(x) + (1 - y) ln(1 - σ(x))) for logits x and probabilities y; `pos_weight` p is for the right class.

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.binary_cross_entropy_with_logits.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> a = minigrad.tensor([0.0, 100.0])
    >>> b = minigrad.tensor([1.0, 0.0])
    >>> round(F.binary_cross_entropy_with_logits(a, b).item(), 4)  # (ln 2 + 100) / 2: nothing overflows
    50.3466
    """
    name = "binary_cross_entropy_with_logits"
    check_pair(name, input, target, reduction)
    check_probabilities(name, "target", target)
    if pos_weight is not None:
        check_spreads(name, "pos_weight", pos_weight, input)
    losses = loss_pairs.binary_cross_entropy_with_logits(input, target, pos_weight)
    return reduced(times(name, losses, "weight", weight), reduction)


def kl_div(input: Tensor, target: Tensor, reduction: str = "mean", log_target: bool = False) -> Tensor:
    """y (ln y - x) for log-probabilities x and probabilities y, or with `log_target` their logarithms.

    'mean' divides the sum by the number of elements, 'batchmean' by the number of rows, which is the divergence of
    the definition.

    References
    ----------
    S. Kullback and R. A. Leibler, On information and sufficiency, Annals of Mathematical Statistics 22 (1951).
    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.kl_div.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> a = minigrad.log(minigrad.tensor([[0.5, 0.5]]))
    >>> b = minigrad.tensor([[1.0, 0.0]])
    >>> round(F.kl_div(a, b, reduction="batchmean").item(), 4)  # 1 ln(1 / 0.5)
    0.6931
    """
    check_pair("kl_div", input, target, "sum" if reduction == "batchmean" else reduction)
    if not log_target:
        check_probabilities("kl_div", "target", target, " Logarithms of probabilities need log_target=True.")
    losses = loss_pairs.kl_divergence(input, target, log_target)
    if reduction == "batchmean":
        if not input.ndim:
            raise ShapeError("kl_div: expected a batch for reduction='batchmean', got a 0-d tensor.")
        return losses.sum() / input.shape[0]
    return reduced(losses, reduction)


def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """(ln v + (x - y)² / v) / 2 for a normal distribution of mean x and variance v, which is at least eps.

    `full` adds the constant ln(2π) / 2. As in PyTorch, no gradient flows where `eps` takes the variance's place.

    Shapes: input and target the same; var the same, the same with 1 in the last dimension, or without it

    References
    ----------
    D. A. Nix and A. S. Weigend, Estimating the mean and variance of the target probability distribution, ICNN 1994.
    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.gaussian_nll_loss.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> a = minigrad.tensor([1.0])
    >>> b = minigrad.tensor([3.0])
    >>> y = minigrad.tensor([4.0])
    >>> round(F.gaussian_nll_loss(a, b, y).item(), 4)  # ½ (ln 4 + 2² / 4)
    1.1931
    """
    check_pair("gaussian_nll_loss", input, target, reduction)
    if not eps > 0:
        raise ArgumentError(f"gaussian_nll_loss: expected eps > 0, got {eps}.")
    v = var if isinstance(var, Tensor) else input.detach() * 0.0 + var
    if v.shape == input.shape[:-1] and v.shape != input.shape:
        v = v.unsqueeze(-1)
    elif v.shape not in (input.shape, (*input.shape[:-1], 1)):
        raise ShapeError(
            f"gaussian_nll_loss: expected var of shape {input.shape}, or with 1 in the last dimension, got {v.shape}."
        )
    if (v.data < 0).any():
        raise ArgumentError(f"gaussian_nll_loss: expected var >= 0, got {v.data.min():g}.")
    # The value is max(v, eps), the slope that of v.
    v = v + Tensor(np.maximum(eps - v.data, 0).astype(v.dtype))
    losses = 0.5 * (v.log() + (input - target).square() / v)
    return reduced(losses + 0.5 * math.log(2 * math.pi) if full else losses, reduction)


def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> Tensor:
    """e^x - y x for a Poisson distribution of rate e^x; with log_input=False, x - y ln(x + eps) for the rate x.

    `full` adds Stirling's y ln y - y + ln(2πy) / 2 where y > 1.

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.poisson_nll_loss.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> round(F.poisson_nll_loss(minigrad.tensor([0.0]), minigrad.tensor([5.0])).item(), 4)  # e⁰ - 5 · 0
    1.0
    """
    check_pair("poisson_nll_loss", input, target, reduction)
    losses = input.exp() - target * input if log_input else input - target * (input + eps).log()
    if full:
        y = target.where(target > 1, 2.0)  # where it does not count: anything with a logarithm
        stirling = y * y.log() - y + 0.5 * (2 * math.pi * y).log()
        losses = losses + stirling * Tensor((target.data > 1).astype(input.dtype))
    return reduced(losses, reduction)
