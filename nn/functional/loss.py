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

from minigrad.errors import ArgumentError, DTypeError, ShapeError
from minigrad.ops import loss as class_losses
from minigrad.ops import loss_pairs
from minigrad.ops.activation import logsigmoid
from minigrad.ops.norms import vector_norm
from minigrad.ops.select import minimum
from minigrad.tensor import Tensor

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cosine_embedding_loss",
    "cosine_similarity",
    "cross_entropy",
    "gaussian_nll_loss",
    "hinge_embedding_loss",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "margin_ranking_loss",
    "mse_loss",
    "nll_loss",
    "poisson_nll_loss",
    "smooth_l1_loss",
    "soft_margin_loss",
    "triplet_margin_loss",
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
    _check_floating("nll_loss", input)
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
    _check_pair("mse_loss", input, target, reduction)
    return _weighted_mean("mse_loss", (input - target).square(), weight, reduction)


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
    _check_pair("l1_loss", input, target, reduction)
    return _weighted_mean("l1_loss", (input - target).abs(), weight, reduction)


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
    _check_pair("smooth_l1_loss", input, target, reduction)
    if not beta >= 0:
        raise ArgumentError(f"smooth_l1_loss: expected beta >= 0, got {beta}.")
    if beta == 0:
        return l1_loss(input, target, reduction)
    return _reduced(loss_pairs.huber(input, target, delta=float(beta)) / float(beta), reduction)


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
    _check_pair("huber_loss", input, target, reduction)
    if not delta > 0:
        raise ArgumentError(f"huber_loss: expected delta > 0, got {delta}.")
    losses = loss_pairs.huber(input, target, delta=float(delta))
    return _reduced(losses if weight is None else losses * _alike("huber_loss", weight, losses), reduction)


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
    _check_pair("binary_cross_entropy", input, target, reduction)
    check_probabilities("binary_cross_entropy", "input", input, " Logits go to binary_cross_entropy_with_logits.")
    check_probabilities("binary_cross_entropy", "target", target)
    losses = loss_pairs.binary_cross_entropy(input, target)
    return _reduced(_times("binary_cross_entropy", losses, "weight", weight), reduction)


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
    _check_pair(name, input, target, reduction)
    check_probabilities(name, "target", target)
    if pos_weight is not None:
        _check_spreads(name, "pos_weight", pos_weight, input)
    losses = loss_pairs.binary_cross_entropy_with_logits(input, target, pos_weight)
    return _reduced(_times(name, losses, "weight", weight), reduction)


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
    _check_pair("kl_div", input, target, "sum" if reduction == "batchmean" else reduction)
    if not log_target:
        check_probabilities("kl_div", "target", target, " Logarithms of probabilities need log_target=True.")
    losses = loss_pairs.kl_divergence(input, target, log_target)
    if reduction == "batchmean":
        if not input.ndim:
            raise ShapeError("kl_div: expected a batch for reduction='batchmean', got a 0-d tensor.")
        return losses.sum() / input.shape[0]
    return _reduced(losses, reduction)


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
    _check_pair("gaussian_nll_loss", input, target, reduction)
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
    return _reduced(losses + 0.5 * math.log(2 * math.pi) if full else losses, reduction)


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
    _check_pair("poisson_nll_loss", input, target, reduction)
    losses = input.exp() - target * input if log_input else input - target * (input + eps).log()
    if full:
        y = target.where(target > 1, 2.0)  # where it does not count: anything with a logarithm
        stirling = y * y.log() - y + 0.5 * (2 * math.pi * y).log()
        losses = losses + stirling * Tensor((target.data > 1).astype(input.dtype))
    return _reduced(losses, reduction)


# ---- margins ---------------------------------------------------------------------------------------------------------


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
    signs = _signs("cosine_embedding_loss", target)
    # eps is inside the root there, and another number.
    products = [(a * b).sum(-1) for a, b in ((input1, input1), (input2, input2))]
    eps = float(np.finfo(np.float32).eps) if input1.dtype == np.float32 else 1e-12
    cosine = (input1 * input2).sum(-1) / ((products[0] + eps) * (products[1] + eps)).sqrt()
    losses = (1 - cosine).where(signs > 0, (cosine - margin).relu())
    return _reduced(losses, reduction)


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
    _check_pair("hinge_embedding_loss", input, target, reduction)
    signs = _signs("hinge_embedding_loss", target)
    return _reduced(input.where(signs > 0, (margin - input).relu()), reduction)


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
    _check_pair("margin_ranking_loss", input1, input2, reduction)
    _check_pair("margin_ranking_loss", input1, target, reduction)
    _signs("margin_ranking_loss", target)
    return _reduced((target * (input2 - input1) + margin).relu(), reduction)


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
    _check_pair("soft_margin_loss", input, target, reduction)
    _signs("soft_margin_loss", target)
    return _reduced(-logsigmoid(target * input), reduction)


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
    _check_pair("triplet_margin_loss", anchor, positive, reduction)
    _check_pair("triplet_margin_loss", anchor, negative, reduction)
    if not margin > 0 or not p > 0:
        raise ArgumentError(f"triplet_margin_loss: expected margin > 0 and p > 0, got margin={margin}, p={p}.")

    def distance(a: Tensor, b: Tensor) -> Tensor:
        return vector_norm(a - b + eps, ord=p, dim=-1)

    far = distance(anchor, negative)
    if swap:
        far = minimum(far, distance(positive, negative))
    return _reduced((distance(anchor, positive) - far + margin).relu(), reduction)


# ---- checks and reductions, which the layers use as well -----------------------------------------------------------


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


def _check_floating(name: str, input: Tensor) -> None:
    if input.dtype.kind != "f":
        raise DTypeError(f"{name}: expected floating-point input, got {input.dtype.name}. Convert it with .float().")


def _check_pair(name: str, input: Tensor, target: Tensor, reduction: str) -> None:
    check_reduction(name, reduction)
    _check_floating(name, input)
    if input.shape != target.shape:
        raise ShapeError(
            f"{name}: expected input and target of the same shape, got {input.shape} and {target.shape}. "
            "Use reshape(), squeeze() or unsqueeze() on one of them."
        )


def _check_spreads(name: str, what: str, weight: Tensor, input: Tensor) -> None:
    """ShapeError where `weight` cannot be broadcast to the input's shape."""
    try:
        fits = np.broadcast_shapes(weight.shape, input.shape) == input.shape
    except ValueError:
        fits = False
    if not fits:
        raise ShapeError(f"{name}: expected {what} that spreads to shape {input.shape}, got {weight.shape}.")


def _signs(name: str, target: Tensor) -> np.ndarray:
    y = target.data
    if not np.all((y == 1) | (y == -1)):
        raise ArgumentError(f"{name}: expected targets of 1 and -1, got {y.min():g} to {y.max():g}.")
    return y


def _times(name: str, losses: Tensor, what: str, weight: Tensor | None) -> Tensor:
    if weight is None:
        return losses
    _check_spreads(name, what, weight, losses)
    return losses * weight


def _alike(name: str, weight: Tensor, losses: Tensor) -> Tensor:
    if weight.shape != losses.shape:
        raise ShapeError(f"{name}: expected weight of the input's shape {losses.shape}, got {weight.shape}.")
    return weight


def _weighted_mean(name: str, losses: Tensor, weight: Tensor | None, reduction: str) -> Tensor:
    if weight is None:
        return _reduced(losses, reduction)
    weighted = losses * _alike(name, weight, losses)
    return weighted.sum() / weight.sum() if reduction == "mean" else _reduced(weighted, reduction)


def _reduced(losses: Tensor, reduction: str) -> Tensor:
    if reduction == "none":
        return losses
    return losses.sum() if reduction == "sum" else losses.mean()
