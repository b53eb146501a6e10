"""RMSprop and Adadelta: step sizes from a running mean of squares."""

from __future__ import annotations

from typing import Any, ClassVar

from minigrad.kernels import optimizers as kernels
from minigrad.optim import hyper
from minigrad.optim.arena import Block
from minigrad.optim.optimizer import Group, Optimizer, sign

__all__ = ["Adadelta", "RMSprop"]


class RMSprop(Optimizer):
    """RMSprop: each element's step is divided by the root of a running mean of its squared gradients.

        d_t = ∇L(θ_t) + λ θ_t
        g_{t+1} = β g_t + (1 - β) d_t²
        u_{t+1} = μ u_t + d_t / √(g_{t+1} + ε)
        θ_{t+1} = θ_t - α u_{t+1}

    `centered` takes the variance instead of the mean square: g_{t+1} less the square of a running mean of d_t. With
    `eps_in_sqrt=False`, which is PyTorch's form, the denominator is √g_{t+1} + ε.

    Parameters
    ----------
    params : iterable of parameters or of groups, optional
        Left out, for `update(params, grads)` on numpy arrays.
    lr : float or schedule
        α of the equation.
    alpha : float
        β of the equation, in [0, 1]; the name is PyTorch's. 0.9 is the course module's value, PyTorch has 0.99.
    eps : float
        ε.
    weight_decay : float
        λ, an L2 penalty.
    momentum : float
        μ, in [0, 1).
    centered, maximize : bool
    eps_in_sqrt : bool
        True adds ε inside the root, as the course module does.
    options
        `clipnorm`, `clipvalue`, `global_clipnorm`, `nonfinite`: see `Optimizer`.

    References
    ----------
    Tieleman and Hinton, Lecture 6.5, Neural networks for machine learning, 2012. Centered: Graves, arXiv:1308.0850.
    https://docs.pytorch.org/docs/stable/generated/torch.optim.RMSprop.html

    Examples
    --------
    >>> import numpy as np
    >>> from minigrad import optim
    >>> w = np.array([1.0])
    >>> optimizer = optim.RMSprop(lr=0.1, alpha=0.75)  # a first step of 0.1 · 2 / √(0.25 · 2²)
    >>> optimizer.update([w], [np.array([2.0])])
    >>> w.round(6)
    array([0.8])
    """

    rules: ClassVar = {
        "lr": hyper.rate,
        "alpha": hyper.between(0.0, 1.0),
        "eps": hyper.nonnegative,
        "weight_decay": hyper.nonnegative,
        "momentum": hyper.fraction,
        "centered": hyper.flag,
        "maximize": hyper.flag,
        "eps_in_sqrt": hyper.flag,
    }
    numbers: ClassVar = ("step",)
    arrays: ClassVar = ("square_avg", "momentum_buffer", "grad_avg")

    def __init__(
        self, params: Any = None, lr: Any = 1e-2, alpha: float = 0.9, eps: float = 1e-8, weight_decay: float = 0.0,
        momentum: float = 0.0, centered: bool = False, maximize: bool = False, *, eps_in_sqrt: bool = True,
        **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(
            params, lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum, centered=centered,
            maximize=maximize, eps_in_sqrt=eps_in_sqrt, **options,
        )  # fmt: skip

    def state_names(self, group: Group) -> tuple[str, ...]:
        return (
            "step",
            "square_avg",
            *(("momentum_buffer",) if group["momentum"] else ()),
            *(("grad_avg",) if group["centered"] else ()),
        )

    def _update(self, block: Block, group: Group) -> None:
        block.count()
        nothing = block.p[:0]
        v = block.array("square_avg")
        buffer = block.array("momentum_buffer") if group["momentum"] else nothing
        mean = block.array("grad_avg") if group["centered"] else nothing
        inner, outer = (group["eps"], 0.0) if group["eps_in_sqrt"] else (0.0, group["eps"])
        numbers = (sign(group), group["weight_decay"], float(group["lr"]), inner, outer, 1.0 - group["alpha"])
        block.run(kernels.rmsprop, (v, mean, buffer), (*numbers, group["momentum"], group["centered"]))


class Adadelta(Optimizer):
    """Adadelta: RMSprop whose rate is the size of the steps so far, so that steps have the unit of the parameters.

        d_t = ∇L(θ_t) + λ θ_t
        v_{t+1} = ρ v_t + (1 - ρ) d_t²
        Δ_t = √(u_t + ε) / √(v_{t+1} + ε) · d_t
        u_{t+1} = ρ u_t + (1 - ρ) Δ_t²
        θ_{t+1} = θ_t - α Δ_t

    Parameters
    ----------
    params : iterable of parameters or of groups, optional
    lr : float or schedule
        α; the paper has 1.
    rho : float
        ρ, in [0, 1].
    eps, weight_decay : float
        ε and λ.
    maximize : bool
    options
        `clipnorm`, `clipvalue`, `global_clipnorm`, `nonfinite`: see `Optimizer`.

    References
    ----------
    Zeiler, ADADELTA: an adaptive learning rate method, arXiv:1212.5701.
    https://docs.pytorch.org/docs/stable/generated/torch.optim.Adadelta.html

    Examples
    --------
    >>> import numpy as np
    >>> from minigrad import optim
    >>> w = np.array([1.0])
    >>> optimizer = optim.Adadelta(rho=0.75, eps=1e-2)  # a first step of √0.01 / √(0.25 · 2² + 0.01) · 2
    >>> optimizer.update([w], [np.array([2.0])])
    >>> w.round(6)
    array([0.800993])
    """

    rules: ClassVar = {
        "lr": hyper.rate,
        "rho": hyper.between(0.0, 1.0),
        "eps": hyper.nonnegative,
        "weight_decay": hyper.nonnegative,
        "maximize": hyper.flag,
    }
    numbers: ClassVar = ("step",)
    arrays: ClassVar = ("square_avg", "acc_delta")

    def __init__(
        self, params: Any = None, lr: Any = 1.0, rho: float = 0.9, eps: float = 1e-6, weight_decay: float = 0.0, *,
        maximize: bool = False, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(params, lr=lr, rho=rho, eps=eps, weight_decay=weight_decay, maximize=maximize, **options)

    def _update(self, block: Block, group: Group) -> None:
        block.count()
        state = block.array("square_avg"), block.array("acc_delta")
        numbers = (sign(group), group["weight_decay"], float(group["lr"]), 1.0 - group["rho"], group["eps"])
        block.run(kernels.adadelta, state, numbers)
