"""Adamax, NAdam and RAdam: what PyTorch has of Adam's relatives."""

from __future__ import annotations

from math import sqrt
from typing import Any, ClassVar

from minigrad.kernels import optimizers as kernels
from minigrad.optim import hyper
from minigrad.optim.arena import Block
from minigrad.optim.optimizer import Group, Optimizer, decays, sign

__all__ = ["Adamax", "NAdam", "RAdam"]


class Adamax(Optimizer):
    """Adamax: Adam with the largest gradient of late in place of the root of the mean square.

        d_t = ∇L(θ_t) + λ θ_t
        m_{t+1} = β₁ m_t + (1 - β₁) d_t
        u_{t+1} = max(β₂ u_t, |d_t| + ε)
        θ_{t+1} = θ_t - α / (1 - β₁^{t+1}) · m_{t+1} / u_{t+1}

    Parameters
    ----------
    params : iterable of parameters or of groups, optional
    lr : float or schedule
        α.
    betas : (float, float)
        β₁ and β₂, in [0, 1).
    eps, weight_decay : float
        ε, which must be above zero for gradients that are zero, and λ.
    maximize : bool
    options
        `clipnorm`, `clipvalue`, `global_clipnorm`, `nonfinite`: see `Optimizer`.

    References
    ----------
    Kingma and Ba, Adam: a method for stochastic optimization, section 7.1, arXiv:1412.6980.
    https://docs.pytorch.org/docs/stable/generated/torch.optim.Adamax.html

    Examples
    --------
    >>> import numpy as np
    >>> from minigrad import optim
    >>> w = np.array([1.0, 1.0])
    >>> optimizer = optim.Adamax(lr=0.25)  # steps of length α, whatever the gradient
    >>> for _ in range(2):
    ...     optimizer.update([w], [np.array([3.0, -0.5])])
    ...     print(w.round(6))
    [0.75 1.25]
    [0.5 1.5]
    """

    rules: ClassVar = {
        "lr": hyper.rate,
        "betas": hyper.fractions(2),
        "eps": hyper.nonnegative,
        "weight_decay": hyper.nonnegative,
        "maximize": hyper.flag,
    }
    numbers: ClassVar = ("step",)
    arrays: ClassVar = ("exp_avg", "exp_inf")

    def __init__(
        self, params: Any = None, lr: Any = 2e-3, betas: Any = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 0.0, *, maximize: bool = False, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, maximize=maximize, **options)

    def _update(self, block: Block, group: Group) -> None:
        (beta1, beta2), t = group["betas"], block.count()
        alpha = float(group["lr"]) / (1.0 - beta1**t)
        state = block.array("exp_avg"), block.array("exp_inf")
        numbers = (sign(group), group["weight_decay"], alpha, 1.0 - beta1, beta2, group["eps"])
        block.run(kernels.adamax, state, numbers)


class NAdam(Optimizer):
    """NAdam: Adam with Nesterov's momentum.

        d_t = ∇L(θ_t) + λ θ_t
        μ_t = β₁ (1 - ½ · 0.96^{t ψ}),  M_t = μ_1 ··· μ_t                        t = 1, 2, ...
        m_t = β₁ m_{t-1} + (1 - β₁) d_t,  v_t = β₂ v_{t-1} + (1 - β₂) d_t²
        m̂_t = (1 - μ_t) d_t / (1 - M_t) + μ_{t+1} m_t / (1 - M_{t+1})
        θ_t = θ_{t-1} - α m̂_t / (√(v_t / (1 - β₂^t)) + ε)

    Parameters
    ----------
    params : iterable of parameters or of groups, optional
    lr : float or schedule
        α.
    betas : (float, float)
        β₁ and β₂, in [0, 1).
    eps, weight_decay : float
        ε and λ.
    momentum_decay : float
        ψ.
    decoupled_weight_decay : bool
        Shrink θ by α λ θ instead of adding λ θ to the gradient.
    maximize : bool
    options
        `clipnorm`, `clipvalue`, `global_clipnorm`, `nonfinite`: see `Optimizer`.

    References
    ----------
    Dozat, Incorporating Nesterov momentum into Adam, ICLR workshop 2016.
    https://docs.pytorch.org/docs/stable/generated/torch.optim.NAdam.html

    Examples
    --------
    >>> import numpy as np
    >>> from minigrad import optim
    >>> w = np.array([1.0])
    >>> optimizer = optim.NAdam(lr=0.1, momentum_decay=0.0)  # μ_t = 0.45, so m̂ = 0.55 / 0.55 + 0.45 · 0.1 / 0.7975
    >>> optimizer.update([w], [np.array([1.0])])
    >>> w.round(6)
    array([0.894357])
    """

    rules: ClassVar = {
        "lr": hyper.rate,
        "betas": hyper.fractions(2),
        "eps": hyper.nonnegative,
        "weight_decay": hyper.nonnegative,
        "momentum_decay": hyper.nonnegative,
        "decoupled_weight_decay": hyper.flag,
        "maximize": hyper.flag,
    }
    numbers: ClassVar = ("step", "mu_product")
    arrays: ClassVar = ("exp_avg", "exp_avg_sq")

    def __init__(
        self, params: Any = None, lr: Any = 2e-3, betas: Any = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 0.0, momentum_decay: float = 4e-3, decoupled_weight_decay: bool = False, *,
        maximize: bool = False, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(
            params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, momentum_decay=momentum_decay,
            decoupled_weight_decay=decoupled_weight_decay, maximize=maximize, **options,
        )  # fmt: skip

    def _update(self, block: Block, group: Group) -> None:
        alpha, (beta1, beta2), psi = float(group["lr"]), group["betas"], group["momentum_decay"]
        t = block.count()
        mu, mu_next = (beta1 * (1.0 - 0.5 * 0.96 ** (k * psi)) for k in (t, t + 1))
        product = block.state["mu_product"] = block.state.get("mu_product", 1.0) * mu
        alpha_g = alpha * (1.0 - mu) / (1.0 - product)
        alpha_m = alpha * mu_next / (1.0 - product * mu_next)
        weights = (1.0 - beta1, 1.0 - beta2, 1.0 / (1.0 - beta2**t))
        numbers = (sign(group), *decays(group, alpha), alpha_g, alpha_m, group["eps"], *weights)
        block.run(kernels.nadam, (block.array("exp_avg"), block.array("exp_avg_sq")), numbers)


class RAdam(Optimizer):
    """RAdam: Adam that trusts its second moment only when enough gradients went into it.

        d_t = ∇L(θ_t) + λ θ_t,  m_t and v_t as in Adam                              t = 1, 2, ...
        ρ_∞ = 2 / (1 - β₂) - 1,  ρ_t = ρ_∞ - 2 t β₂^t / (1 - β₂^t)
        r_t = √( (ρ_t - 4)(ρ_t - 2) ρ_∞ / ((ρ_∞ - 4)(ρ_∞ - 2) ρ_t) )
        θ_t = θ_{t-1} - α m_t / (1 - β₁^t) · r_t √(1 - β₂^t) / (√v_t + ε)           if ρ_t > 5
        θ_t = θ_{t-1} - α m_t / (1 - β₁^t)                                          else

    Parameters
    ----------
    params : iterable of parameters or of groups, optional
    lr : float or schedule
        α.
    betas : (float, float)
        β₁ and β₂, in [0, 1).
    eps, weight_decay : float
        ε and λ.
    decoupled_weight_decay : bool
        Shrink θ by α λ θ instead of adding λ θ to the gradient.
    maximize : bool
    options
        `clipnorm`, `clipvalue`, `global_clipnorm`, `nonfinite`: see `Optimizer`.

    References
    ----------
    Liu et al., On the variance of the adaptive learning rate and beyond, arXiv:1908.03265.
    https://docs.pytorch.org/docs/stable/generated/torch.optim.RAdam.html

    Examples
    --------
    >>> import numpy as np
    >>> from minigrad import optim
    >>> w = np.array([1.0])
    >>> optimizer = optim.RAdam(lr=0.01)  # at first momentum: steps in proportion to the gradient
    >>> for _ in range(2):
    ...     optimizer.update([w], [np.array([10.0])])
    ...     print(w.round(6))
    [0.9]
    [0.8]
    """

    rules: ClassVar = {
        "lr": hyper.rate,
        "betas": hyper.fractions(2),
        "eps": hyper.nonnegative,
        "weight_decay": hyper.nonnegative,
        "decoupled_weight_decay": hyper.flag,
        "maximize": hyper.flag,
    }
    numbers: ClassVar = ("step",)
    arrays: ClassVar = ("exp_avg", "exp_avg_sq")

    def __init__(
        self, params: Any = None, lr: Any = 1e-3, betas: Any = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 0.0, decoupled_weight_decay: bool = False, *, maximize: bool = False, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(
            params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay,
            decoupled_weight_decay=decoupled_weight_decay, maximize=maximize, **options,
        )  # fmt: skip

    def _update(self, block: Block, group: Group) -> None:
        alpha, (beta1, beta2), t = float(group["lr"]), group["betas"], block.count()
        rho_inf = 2.0 / (1.0 - beta2) - 1.0
        rho = rho_inf - 2.0 * t * beta2**t / (1.0 - beta2**t)
        r = 0.0
        if rho > 5.0:
            rectified = (rho - 4.0) * (rho - 2.0) * rho_inf / ((rho_inf - 4.0) * (rho_inf - 2.0) * rho)
            r = sqrt(rectified * (1.0 - beta2**t))
        c1 = 1.0 / (1.0 - beta1**t)
        numbers = (sign(group), *decays(group, alpha), alpha, group["eps"], 1.0 - beta1, 1.0 - beta2, c1, r)
        block.run(kernels.radam, (block.array("exp_avg"), block.array("exp_avg_sq")), numbers)
