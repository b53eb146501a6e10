"""Lion: momentum of which only the sign counts."""

from __future__ import annotations

from typing import Any, ClassVar

from minigrad.kernels import optimizers as kernels
from minigrad.optim import hyper
from minigrad.optim.arena import Block
from minigrad.optim.optimizer import Group, Optimizer, sign

__all__ = ["Lion"]


class Lion(Optimizer):
    """Evolved sign momentum: every element moves by the same length, in the direction of an interpolated momentum.

        c_t = β₁ m_t + (1 - β₁) g_t
        θ_{t+1} = θ_t - α (sign(c_t) + λ θ_t)
        m_{t+1} = β₂ m_t + (1 - β₂) g_t

    Half the state of Adam. The paper takes a rate 3 to 10 times smaller than AdamW's, and a decay as much larger.

    Parameters
    ----------
    params : iterable of parameters or of groups, optional
        Left out, for `update(params, grads)` on numpy arrays.
    lr : float or schedule
        α.
    betas : (float, float)
        β₁ and β₂, in [0, 1).
    weight_decay : float
        λ, decoupled.
    maximize : bool
    options
        `clipnorm`, `clipvalue`, `global_clipnorm`, `nonfinite`: see `Optimizer`.

    References
    ----------
    Chen et al., Symbolic discovery of optimization algorithms, arXiv:2302.06675.

    Examples
    --------
    >>> import numpy as np
    >>> from minigrad import optim
    >>> w = np.array([1.0, 1.0])
    >>> optimizer = optim.Lion(lr=0.1)  # only signs count
    >>> for _ in range(2):
    ...     optimizer.update([w], [np.array([30.0, -0.2])])
    ...     print(w.round(6))
    [0.9 1.1]
    [0.8 1.2]
    """

    rules: ClassVar = {
        "lr": hyper.rate,
        "betas": hyper.fractions(2),
        "weight_decay": hyper.nonnegative,
        "maximize": hyper.flag,
    }
    arrays: ClassVar = ("exp_avg",)

    def __init__(
        self, params: Any = None, lr: Any = 1e-4, betas: Any = (0.9, 0.99), weight_decay: float = 0.0, *,
        maximize: bool = False, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(params, lr=lr, betas=betas, weight_decay=weight_decay, maximize=maximize, **options)

    def _update(self, block: Block, group: Group) -> None:
        alpha, (beta1, beta2) = float(group["lr"]), group["betas"]
        keep = 1.0 - alpha * group["weight_decay"]
        block.run(kernels.lion, (block.array("exp_avg"),), (sign(group), keep, alpha, 1.0 - beta1, 1.0 - beta2))
