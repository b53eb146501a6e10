"""AdaBelief, Yogi and Adan: other second moments than Adam's."""

from __future__ import annotations

from typing import Any, ClassVar

from minigrad.kernels import optimizers as kernels
from minigrad.optim import hyper
from minigrad.optim.arena import Block
from minigrad.optim.optimizer import Group, Optimizer, decays, sign

__all__ = ["AdaBelief", "Adan", "Yogi"]


class AdaBelief(Optimizer):
    """AdaBelief: Adam whose denominator measures how much gradients differ from what the momentum predicted.

        d_t = ∇L(θ_t) + λ θ_t
        m_{t+1} = β₁ m_t + (1 - β₁) d_t                                  m̂ = m_{t+1} / (1 - β₁^{t+1})
        s_{t+1} = β₂ s_t + (1 - β₂) (d_t - m_{t+1})² + ε                 ŝ = s_{t+1} / (1 - β₂^{t+1})
        θ_{t+1} = θ_t - α m̂ / (√ŝ + ε)

    Parameters
    ----------
    params : iterable of parameters or of groups, optional
        Left out, for `update(params, grads)` on numpy arrays.
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
    Zhuang et al., AdaBelief optimizer: adapting stepsizes by the belief in observed gradients, arXiv:2010.07468.

    Examples
    --------
    >>> import numpy as np
    >>> from minigrad import optim
    >>> w = np.array([1.0])
    >>> optimizer = optim.AdaBelief(lr=0.1, betas=(0.5, 0.5))  # the gradient is as predicted: longer steps
    >>> for _ in range(2):
    ...     optimizer.update([w], [np.array([1.0])])
    ...     print(w.round(4))
    [0.8]
    [0.5172]
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
    arrays: ClassVar = ("exp_avg", "exp_avg_var")

    def __init__(
        self, params: Any = None, lr: Any = 1e-3, betas: Any = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 0.0, decoupled_weight_decay: bool = True, *, maximize: bool = False, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(
            params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay,
            decoupled_weight_decay=decoupled_weight_decay, maximize=maximize, **options,
        )  # fmt: skip

    def _update(self, block: Block, group: Group) -> None:
        alpha, (beta1, beta2), t = float(group["lr"]), group["betas"], block.count()
        c1, c2 = 1.0 / (1.0 - beta1**t), 1.0 / (1.0 - beta2**t)
        numbers = (sign(group), *decays(group, alpha), alpha, group["eps"], 1.0 - beta1, 1.0 - beta2, c1, c2)
        block.run(kernels.adabelief, (block.array("exp_avg"), block.array("exp_avg_var")), numbers)


class Yogi(Optimizer):
    """Yogi: Adam whose second moment changes by at most (1 - β₂) d², so that it cannot forget a large gradient at once.

        d_t = ∇L(θ_t) + λ θ_t
        m_{t+1} = β₁ m_t + (1 - β₁) d_t                                  m̂ = m_{t+1} / (1 - β₁^{t+1})
        v_{t+1} = v_t - (1 - β₂) sign(v_t - d_t²) d_t²                   v̂ = v_{t+1} / (1 - β₂^{t+1})
        θ_{t+1} = θ_t - α m̂ / (√v̂ + ε)

    Parameters
    ----------
    params : iterable of parameters or of groups, optional
    lr : float or schedule
        α.
    betas : (float, float)
        β₁ and β₂, in [0, 1).
    eps, weight_decay : float
        ε and λ.
    initial_accumulator_value : float
        v_0.
    decoupled_weight_decay : bool
        Shrink θ by α λ θ instead of adding λ θ to the gradient.
    maximize : bool
    options
        `clipnorm`, `clipvalue`, `global_clipnorm`, `nonfinite`: see `Optimizer`.

    References
    ----------
    Zaheer et al., Adaptive methods for nonconvex optimization, NeurIPS 2018. The corrections m̂ and v̂ are Adam's,
    arXiv:1412.6980.

    Examples
    --------
    >>> import numpy as np
    >>> from minigrad import optim
    >>> w = np.array([1.0])
    >>> optimizer = optim.Yogi(lr=0.1, eps=0.0, initial_accumulator_value=0.0)  # the first step is Adam's
    >>> optimizer.update([w], [np.array([5.0])])
    >>> w.round(6)
    array([0.9])
    """

    rules: ClassVar = {
        "lr": hyper.rate,
        "betas": hyper.fractions(2),
        "eps": hyper.nonnegative,
        "weight_decay": hyper.nonnegative,
        "initial_accumulator_value": hyper.nonnegative,
        "decoupled_weight_decay": hyper.flag,
        "maximize": hyper.flag,
    }
    numbers: ClassVar = ("step",)
    arrays: ClassVar = ("exp_avg", "exp_avg_sq")

    def __init__(
        self, params: Any = None, lr: Any = 1e-2, betas: Any = (0.9, 0.999), eps: float = 1e-3,
        weight_decay: float = 0.0, initial_accumulator_value: float = 1e-6, decoupled_weight_decay: bool = False, *,
        maximize: bool = False, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(
            params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value, decoupled_weight_decay=decoupled_weight_decay,
            maximize=maximize, **options,
        )  # fmt: skip

    def _update(self, block: Block, group: Group) -> None:
        alpha, (beta1, beta2), t = float(group["lr"]), group["betas"], block.count()
        state = block.array("exp_avg"), block.array("exp_avg_sq", group["initial_accumulator_value"])
        c1, c2 = 1.0 / (1.0 - beta1**t), 1.0 / (1.0 - beta2**t)
        numbers = (sign(group), *decays(group, alpha), alpha, group["eps"], 1.0 - beta1, 1.0 - beta2, c1, c2)
        block.run(kernels.yogi, state, numbers)


class Adan(Optimizer):
    """Adan: adaptive Nesterov momentum, which looks ahead by the difference of gradients.

        Δ_t = g_t - g_{t-1}                                              0 in the first step
        m_{t+1} = β₁ m_t + (1 - β₁) g_t
        v_{t+1} = β₂ v_t + (1 - β₂) Δ_t
        n_{t+1} = β₃ n_t + (1 - β₃) (g_t + β₂ Δ_t)²
        θ_{t+1} = (θ_t - α (m̂ + β₂ v̂) / (√n̂ + ε)) / (1 + α λ)           x̂ = x_{t+1} / (1 - β^{t+1})

    The betas weigh the past, as in Adam: the paper's are 1 less these. The corrections x̂ are those of the authors'
    code.

    Parameters
    ----------
    params : iterable of parameters or of groups, optional
    lr : float or schedule
        α.
    betas : (float, float, float)
        β₁, β₂ and β₃, in [0, 1).
    eps, weight_decay : float
        ε and λ.
    maximize : bool
    options
        `clipnorm`, `clipvalue`, `global_clipnorm`, `nonfinite`: see `Optimizer`.

    References
    ----------
    Xie et al., Adan: adaptive Nesterov momentum algorithm for faster optimizing deep models, arXiv:2208.06677.

    Examples
    --------
    >>> import numpy as np
    >>> from minigrad import optim
    >>> w = np.array([1.0, 1.0])
    >>> optimizer = optim.Adan(lr=0.1)  # the first step is Adam's
    >>> optimizer.update([w], [np.array([4.0, -0.2])])
    >>> w.round(6)
    array([0.9, 1.1])
    """

    rules: ClassVar = {
        "lr": hyper.rate,
        "betas": hyper.fractions(3),
        "eps": hyper.nonnegative,
        "weight_decay": hyper.nonnegative,
        "maximize": hyper.flag,
    }
    numbers: ClassVar = ("step",)
    arrays: ClassVar = ("exp_avg", "exp_avg_diff", "exp_avg_sq", "previous_grad")

    def __init__(
        self, params: Any = None, lr: Any = 1e-3, betas: Any = (0.98, 0.92, 0.99), eps: float = 1e-8,
        weight_decay: float = 0.0, *, maximize: bool = False, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, maximize=maximize, **options)

    def _update(self, block: Block, group: Group) -> None:
        alpha, betas, t = float(group["lr"]), group["betas"], block.count()
        moments = [block.array(name) for name in self.arrays[:3]]
        if t == 1:
            block.array("previous_grad", sign(group) * block.g)
        previous = block.array("previous_grad")
        shrink = 1.0 / (1.0 + alpha * group["weight_decay"])
        weights = (1.0 - beta for beta in betas)
        corrections = (1.0 / (1.0 - beta**t) for beta in betas)
        numbers = (sign(group), shrink, alpha, group["eps"], betas[1], *weights, *corrections)
        block.run(kernels.adan, (*moments, previous), numbers)
