"""LARS and LAMB: steps in proportion to the size of each layer's weights, for very large batches."""

from __future__ import annotations

from math import sqrt
from typing import Any, ClassVar

import numpy as np

from minigrad.kernels import optimizers as kernels
from minigrad.optim import hyper
from minigrad.optim.arena import Block
from minigrad.optim.clip import sum_of_squares
from minigrad.optim.optimizer import Group, Optimizer, sign

__all__ = ["LAMB", "LARS"]


class LARS(Optimizer):
    """Layer-wise adaptive rate scaling: SGD with momentum, whose rate is in proportion to ‖w‖ / ‖g‖ for each tensor.

        r = η ‖θ_t‖ / (‖g_t‖ + λ ‖θ_t‖ + ε)            1 where ‖θ_t‖ or ‖g_t‖ is 0
        v_{t+1} = β v_t + α r (g_t + λ θ_t)
        θ_{t+1} = θ_t - v_{t+1}

    Parameters
    ----------
    params : iterable of parameters or of groups, optional
        Biases and norms are best put in a group with trust_coefficient=None, which leaves r at 1: see `decay_groups`.
    lr : float or schedule
        α.
    momentum : float
        β, in [0, 1).
    weight_decay : float
        λ.
    trust_coefficient : float or None
        η.
    eps : float
        ε.
    maximize : bool
    options
        `clipnorm`, `clipvalue`, `global_clipnorm`, `nonfinite`: see `Optimizer`.

    References
    ----------
    You, Gitman and Ginsburg, Large batch training of convolutional networks, arXiv:1708.03888.

    Examples
    --------
    >>> import numpy as np
    >>> from minigrad import optim
    >>> w = np.array([3.0, 4.0])
    >>> optimizer = optim.LARS(lr=1.0, trust_coefficient=0.1)  # a first step of 0.1 ‖θ‖, however large g is
    >>> optimizer.update([w], [np.array([0.0, 200.0])])
    >>> w.round(6)
    array([3. , 3.5])
    """

    rules: ClassVar = {
        "lr": hyper.rate,
        "momentum": hyper.fraction,
        "weight_decay": hyper.nonnegative,
        "trust_coefficient": hyper.optional(hyper.positive),
        "eps": hyper.nonnegative,
        "maximize": hyper.flag,
    }
    arrays: ClassVar = ("momentum_buffer",)
    elementwise: ClassVar = False

    def __init__(
        self, params: Any = None, lr: Any = 0.1, momentum: float = 0.9, weight_decay: float = 0.0,
        trust_coefficient: float | None = 0.001, eps: float = 0.0, *, maximize: bool = False, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(
            params, lr=lr, momentum=momentum, weight_decay=weight_decay, trust_coefficient=trust_coefficient, eps=eps,
            maximize=maximize, **options,
        )  # fmt: skip

    def _update(self, block: Block, group: Group) -> None:
        weight_decay, rate = group["weight_decay"], float(group["lr"])
        if group["trust_coefficient"] is not None:
            size, slope = sqrt(sum_of_squares(block.p)), sqrt(sum_of_squares(block.g))
            if size > 0 and slope > 0:
                rate *= group["trust_coefficient"] * size / (slope + weight_decay * size + group["eps"])
        v = block.array("momentum_buffer")
        block.run(kernels.momentum, (v,), (sign(group), weight_decay, 1.0, group["momentum"], rate))


class LAMB(Optimizer):
    """Layer-wise Adam: the direction of AdamW, scaled for each tensor to the length of its weights.

        m̂ and v̂ as in Adam
        r_t = m̂ / (√v̂ + ε) + λ θ_t
        θ_{t+1} = θ_t - α φ(‖θ_t‖) / ‖r_t‖ · r_t             the factor is 1 where ‖θ_t‖ or ‖r_t‖ is 0

    Parameters
    ----------
    params : iterable of parameters or of groups, optional
    lr : float or schedule
        α.
    betas : (float, float)
        β₁ and β₂, in [0, 1).
    eps, weight_decay : float
        ε and λ.
    max_size : float or None
        φ(x) = min(x, max_size); None leaves it at x.
    maximize : bool
    options
        `clipnorm`, `clipvalue`, `global_clipnorm`, `nonfinite`: see `Optimizer`.

    References
    ----------
    You et al., Large batch optimization for deep learning: training BERT in 76 minutes, arXiv:1904.00962.

    Examples
    --------
    >>> import numpy as np
    >>> from minigrad import optim
    >>> w = np.array([3.0, 4.0])
    >>> optimizer = optim.LAMB(lr=0.1, weight_decay=0.0)  # a step of 0.1 ‖θ‖ = 0.5 along (1, -1) / √2
    >>> optimizer.update([w], [np.array([7.0, -7.0])])
    >>> w.round(6)
    array([2.646447, 4.353553])
    """

    rules: ClassVar = {
        "lr": hyper.rate,
        "betas": hyper.fractions(2),
        "eps": hyper.nonnegative,
        "weight_decay": hyper.nonnegative,
        "max_size": hyper.optional(hyper.positive),
        "maximize": hyper.flag,
    }
    numbers: ClassVar = ("step",)
    arrays: ClassVar = ("exp_avg", "exp_avg_sq")
    elementwise: ClassVar = False

    def __init__(
        self, params: Any = None, lr: Any = 1e-3, betas: Any = (0.9, 0.999), eps: float = 1e-6,
        weight_decay: float = 0.01, max_size: float | None = None, *, maximize: bool = False, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(
            params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, max_size=max_size, maximize=maximize,
            **options,
        )  # fmt: skip

    def _update(self, block: Block, group: Group) -> None:
        (beta1, beta2), t = group["betas"], block.count()
        r = np.empty_like(block.p)
        c1, c2 = 1.0 / (1.0 - beta1**t), 1.0 / (1.0 - beta2**t)
        numbers = (sign(group), group["weight_decay"], group["eps"], 1.0 - beta1, 1.0 - beta2, c1, c2)
        block.run(kernels.lamb_direction, (block.array("exp_avg"), block.array("exp_avg_sq"), r), numbers)
        size, length = sqrt(sum_of_squares(block.p)), sqrt(sum_of_squares(r))
        if group["max_size"] is not None:
            size = min(size, group["max_size"])
        factor = size / length if size > 0 and length > 0 else 1.0
        block.g = r
        block.run(kernels.sgd, (), (1.0, 0.0, float(group["lr"]) * factor))
