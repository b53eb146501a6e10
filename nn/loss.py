"""Losses as layers: one number that says how wrong the outputs are. The formulas compute in `F`."""

from __future__ import annotations

from typing import ClassVar

from minigrad.errors import ArgumentError, DTypeError
from minigrad.nn import functional as F
from minigrad.nn.functional.loss_checks import check_reduction, check_share
from minigrad.nn.module import Module
from minigrad.tensor import Tensor

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "GaussianNLLLoss",
    "HuberLoss",
    "KLDivLoss",
    "L1Loss",
    "Loss",
    "MSELoss",
    "NLLLoss",
    "PoissonNLLLoss",
    "SmoothL1Loss",
]


class Loss(Module):
    """What all losses have: a reduction, and where they take weights, these as buffers."""

    _more_reductions: ClassVar[tuple[str, ...]] = ()

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        check_reduction(type(self).__name__, reduction, *self._more_reductions)
        self.reduction = reduction

    def _register_weight(self, name: str, weight: Tensor | None) -> None:
        if weight is not None and not isinstance(weight, Tensor):
            raise DTypeError(f"{type(self).__name__}: expected {name} as a Tensor, got {type(weight).__name__}.")
        self.register_buffer(name, weight)

    def extra_repr(self) -> str:
        return f"reduction={self.reduction!r}" if self.reduction != "mean" else ""


# ---- classes ---------------------------------------------------------------------------------------------------------


class CrossEntropyLoss(Loss):
    """L = -log softmax(x)[y]: the surprise at the right class y under scores x (logits, not probabilities).

        L_m = -sum over c of  a_mc w_c log softmax(x_m)_c,    a_mc = (1 - e) [c = y_m] + e / C

    with class weights w and label smoothing e. The mean divides by the sum of the weights of the right classes. Where
    the target is a distribution, it takes the place of [c = y_m], and the mean divides by the number of samples.

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

    Examples
    --------
    >>> import minigrad
    >>> CrossEntropyLoss()(minigrad.zeros(1, 4), minigrad.tensor([2])).item()  # ln 4
    1.3862943649291992

    References
    ----------
    C. Szegedy et al., Rethinking the inception architecture, arXiv:1512.00567 (label smoothing).
    https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(reduction)
        check_share("CrossEntropyLoss", "label_smoothing", label_smoothing)
        self._register_weight("weight", weight)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, scores: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(scores, labels, self.weight, self.ignore_index, self.reduction, self.label_smoothing)


class NLLLoss(Loss):
    """L = -w_y x_y: the surprise at the right class y under log-probabilities x; the mean divides by the sum of w_y.

    `NLLLoss()(log_softmax(x), y)` is `CrossEntropyLoss()(x, y)`.

    Parameters
    ----------
    weight : Tensor (C,), optional
        A factor for each class.
    ignore_index : int
        Samples with this label do not count.
    reduction : 'mean', 'sum' or 'none'

    Shapes: (N, C) or (N, C, d1, ...), labels (N,) or (N, d1, ...) -> scalar, or the labels' shape for 'none'

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.NLLLoss.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> loss = nn.NLLLoss()(minigrad.log(minigrad.tensor([[0.75, 0.25]])), minigrad.tensor([1]))
    >>> round(loss.item(), 4)  # -ln 0.25
    1.3863
    """

    def __init__(self, weight: Tensor | None = None, ignore_index: int = -100, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self._register_weight("weight", weight)
        self.ignore_index = ignore_index

    def forward(self, log_probabilities: Tensor, labels: Tensor) -> Tensor:
        return F.nll_loss(log_probabilities, labels, self.weight, self.ignore_index, self.reduction)


# ---- distances -------------------------------------------------------------------------------------------------------


class MSELoss(Loss):
    """L = (x - y)².

    Parameters
    ----------
    reduction : 'mean', 'sum' or 'none'

    Shapes: two of one shape -> scalar, or that shape for 'none'

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.MSELoss.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> round(nn.MSELoss()(minigrad.tensor([1.0, 2.0]), minigrad.tensor([1.0, 4.0])).item(), 4)  # (0² + 2²) / 2
    2.0
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(input, target, self.reduction)


class L1Loss(Loss):
    """L = |x - y|.

    Parameters
    ----------
    reduction : 'mean', 'sum' or 'none'

    Shapes: two of one shape -> scalar, or that shape for 'none'

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.L1Loss.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> round(nn.L1Loss()(minigrad.tensor([1.0, 2.0]), minigrad.tensor([1.0, 4.0])).item(), 4)  # (0 + 2) / 2
    1.0
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.l1_loss(input, target, self.reduction)


class SmoothL1Loss(Loss):
    """L = (x - y)² / (2 beta) where |x - y| < beta, else |x - y| - beta / 2.

    Parameters
    ----------
    reduction : 'mean', 'sum' or 'none'
    beta : float, at least 0
        0 makes it `L1Loss`.

    Shapes: two of one shape -> scalar, or that shape for 'none'

    References
    ----------
    R. Girshick, Fast R-CNN, arXiv:1504.08083.
    https://docs.pytorch.org/docs/stable/generated/torch.nn.SmoothL1Loss.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> loss = nn.SmoothL1Loss()(minigrad.tensor([0.5, 2.0]), minigrad.zeros(2))
    >>> round(loss.item(), 4)  # (½ 0.5² + (2 - ½)) / 2
    0.8125
    """

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction)
        if not beta >= 0:
            raise ArgumentError(f"SmoothL1Loss: expected beta >= 0, got {beta}.")
        self.beta = beta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.smooth_l1_loss(input, target, self.reduction, self.beta)


class HuberLoss(Loss):
    """L = (x - y)² / 2 where |x - y| < delta, else delta (|x - y| - delta / 2).

    Parameters
    ----------
    reduction : 'mean', 'sum' or 'none'
    delta : float, more than 0

    Shapes: two of one shape -> scalar, or that shape for 'none'

    References
    ----------
    P. Huber, Robust estimation of a location parameter, Annals of Mathematical Statistics 35 (1964).
    https://docs.pytorch.org/docs/stable/generated/torch.nn.HuberLoss.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> loss = nn.HuberLoss(delta=2.0)(minigrad.tensor([0.5, 3.0]), minigrad.zeros(2))
    >>> round(loss.item(), 4)  # (½ 0.5² + 2 (3 - 1)) / 2
    2.0625
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        if not delta > 0:
            raise ArgumentError(f"HuberLoss: expected delta > 0, got {delta}.")
        self.delta = delta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.huber_loss(input, target, self.reduction, self.delta)


# ---- probabilities ---------------------------------------------------------------------------------------------------


class BCELoss(Loss):
    """L = -w (y ln x + (1 - y) ln(1 - x)) for probabilities x and y, no logarithm less than -100.

    `BCEWithLogitsLoss` takes logits and loses no digits where x is close to 0 or 1.

    Parameters
    ----------
    weight : Tensor that spreads to the input's shape, optional
    reduction : 'mean', 'sum' or 'none'

    Shapes: two of one shape -> scalar, or that shape for 'none'

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.BCELoss.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> loss = nn.BCELoss()(minigrad.tensor([0.75, 0.5]), minigrad.tensor([1.0, 0.0]))
    >>> round(loss.item(), 4)  # -(ln 0.75 + ln 0.5) / 2
    0.4904
    """

    def __init__(self, weight: Tensor | None = None, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self._register_weight("weight", weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy(input, target, self.weight, self.reduction)


class BCEWithLogitsLoss(Loss):
    """L = -w (p y ln σ(x) + (1 - y) ln(1 - σ(x))) for logits x and probabilities y, exact for logits of any size.

    Parameters
    ----------
    weight : Tensor that spreads to the input's shape, optional
    reduction : 'mean', 'sum' or 'none'
    pos_weight : Tensor that spreads to the input's shape, optional
        p: more than 1 asks for recall, less for precision.

    Shapes: two of one shape -> scalar, or that shape for 'none'

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.BCEWithLogitsLoss.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> loss = nn.BCEWithLogitsLoss()(minigrad.tensor([0.0, 100.0]), minigrad.tensor([1.0, 0.0]))
    >>> round(loss.item(), 4)  # (ln 2 + 100) / 2: nothing overflows
    50.3466
    """

    def __init__(self, weight: Tensor | None = None, reduction: str = "mean", pos_weight: Tensor | None = None) -> None:
        super().__init__(reduction)
        self._register_weight("weight", weight)
        self._register_weight("pos_weight", pos_weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(input, target, self.weight, self.reduction, self.pos_weight)


class KLDivLoss(Loss):
    """L = y (ln y - x) for log-probabilities x and probabilities y.

    Parameters
    ----------
    reduction : 'mean', 'batchmean', 'sum' or 'none'
        'batchmean' divides the sum by the number of rows, which is the divergence of the definition; 'mean' divides
        by the number of elements.
    log_target : bool
        True: the target is ln y.

    Shapes: two of one shape -> scalar, or that shape for 'none'

    References
    ----------
    S. Kullback and R. A. Leibler, On information and sufficiency, Annals of Mathematical Statistics 22 (1951).
    https://docs.pytorch.org/docs/stable/generated/torch.nn.KLDivLoss.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> a = minigrad.log(minigrad.tensor([[0.5, 0.5]]))
    >>> b = minigrad.tensor([[1.0, 0.0]])
    >>> round(nn.KLDivLoss("batchmean")(a, b).item(), 4)  # 1 ln(1 / 0.5)
    0.6931
    """

    _more_reductions = ("batchmean",)

    def __init__(self, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__(reduction)
        self.log_target = log_target

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.kl_div(input, target, self.reduction, self.log_target)


class GaussianNLLLoss(Loss):
    """L = (ln v + (x - y)² / v) / 2 for a normal distribution of mean x and variance v, which is at least eps.

    Parameters
    ----------
    full : bool
        Add the constant ln(2π) / 2.
    eps : float
    reduction : 'mean', 'sum' or 'none'

    Shapes: mean and target of one shape, variance as `F.gaussian_nll_loss` says -> scalar, or that shape for 'none'

    References
    ----------
    D. A. Nix and A. S. Weigend, Estimating the mean and variance of the target probability distribution, ICNN 1994.
    https://docs.pytorch.org/docs/stable/generated/torch.nn.GaussianNLLLoss.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> a = minigrad.tensor([1.0])
    >>> b = minigrad.tensor([3.0])
    >>> y = minigrad.tensor([4.0])
    >>> round(nn.GaussianNLLLoss()(a, b, y).item(), 4)  # ½ (ln 4 + 2² / 4)
    1.1931
    """

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction)
        if not eps > 0:
            raise ArgumentError(f"GaussianNLLLoss: expected eps > 0, got {eps}.")
        self.full = full
        self.eps = eps

    def forward(self, input: Tensor, target: Tensor, var: Tensor | float) -> Tensor:
        return F.gaussian_nll_loss(input, target, var, self.full, self.eps, self.reduction)


class PoissonNLLLoss(Loss):
    """L = e^x - y x for a Poisson distribution of rate e^x; with log_input=False, x - y ln(x + eps) for the rate x.

    Parameters
    ----------
    log_input : bool
    full : bool
        Add Stirling's y ln y - y + ln(2πy) / 2 where y > 1.
    eps : float
    reduction : 'mean', 'sum' or 'none'

    Shapes: two of one shape -> scalar, or that shape for 'none'

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.PoissonNLLLoss.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> round(nn.PoissonNLLLoss()(minigrad.tensor([0.0]), minigrad.tensor([5.0])).item(), 4)  # e⁰ - 5 · 0
    1.0
    """

    def __init__(self, log_input: bool = True, full: bool = False, eps: float = 1e-8, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.log_input = log_input
        self.full = full
        self.eps = eps

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.poisson_nll_loss(input, target, self.log_input, self.full, self.eps, self.reduction)
