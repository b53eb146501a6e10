"""Adam, and Adam with decoupled weight decay."""

from __future__ import annotations

from typing import Any, ClassVar

from minigrad.kernels import optimizers as kernels
from minigrad.optim import hyper
from minigrad.optim.arena import Block
from minigrad.optim.optimizer import Group, Optimizer, decays, sign

__all__ = ["Adam", "AdamW"]


class Adam(Optimizer):
    """Adaptive moment estimation: momentum, divided by the root of a running mean of squares.

        g_t = ∇L(θ_t) + λ θ_t
        m_{t+1} = β₁ m_t + (1 - β₁) g_t             m̂ = m_{t+1} / (1 - β₁^{t+1})
        v_{t+1} = β₂ v_t + (1 - β₂) g_t²            v̂ = v_{t+1} / (1 - β₂^{t+1})
        θ_{t+1} = θ_t - α m̂ / (√v̂ + ε)

    `amsgrad` takes the largest v so far in place of v; `decoupled_weight_decay` is what `AdamW` does.

    Parameters
    ----------
    params : iterable of parameters or of groups, optional
        Left out, for `update(params, grads)` on numpy arrays.
    lr : float or schedule
        α.
    betas : (float, float)
        β₁ and β₂, in [0, 1). `beta1` and `beta2`, the course module's names, set one of them.
    eps, weight_decay : float
        ε and λ.
    amsgrad, maximize, decoupled_weight_decay : bool
    options
        `clipnorm`, `clipvalue`, `global_clipnorm`, `nonfinite`: see `Optimizer`.

    References
    ----------
    Kingma and Ba, arXiv:1412.6980; AMSGrad: Reddi, Kale and Kumar, arXiv:1904.09237.
    https://docs.pytorch.org/docs/stable/generated/torch.optim.Adam.html

    Examples
    --------
    >>> import minigrad
    >>> w = minigrad.tensor([4.0, -3.0], requires_grad=True)
    >>> optimizer = Adam([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()      # the first step has the length α along each axis
    >>> w
    tensor([ 3.5, -2.5], requires_grad=True)
    """

    rules: ClassVar = {
        "lr": hyper.rate,
        "betas": hyper.fractions(2),
        "eps": hyper.nonnegative,
        "weight_decay": hyper.nonnegative,
        "amsgrad": hyper.flag,
        "maximize": hyper.flag,
        "decoupled_weight_decay": hyper.flag,
    }
    numbers: ClassVar = ("step",)
    arrays: ClassVar = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")

    def __init__(
        self, params: Any = None, lr: Any = 1e-3, betas: Any = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 0.0, amsgrad: bool = False, *, maximize: bool = False,
        decoupled_weight_decay: bool = False, beta1: float | None = None, beta2: float | None = None, **options: Any,
    ) -> None:  # fmt: skip
        if beta1 is not None or beta2 is not None:
            betas = (betas[0] if beta1 is None else beta1, betas[1] if beta2 is None else beta2)
        super().__init__(
            params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, amsgrad=amsgrad, maximize=maximize,
            decoupled_weight_decay=decoupled_weight_decay, **options,
        )  # fmt: skip

    def state_names(self, group: Group) -> tuple[str, ...]:
        return self.numbers + (self.arrays if group["amsgrad"] else self.arrays[:2])

    def _update(self, block: Block, group: Group) -> None:
        alpha, (beta1, beta2), t = float(group["lr"]), group["betas"], block.count()
        m, v = block.array("exp_avg"), block.array("exp_avg_sq")
        c1, c2 = 1.0 / (1.0 - beta1**t), 1.0 / (1.0 - beta2**t)
        numbers = (sign(group), *decays(group, alpha), alpha, group["eps"], 1.0 - beta1, 1.0 - beta2, c1, c2)
        if group["amsgrad"]:
            block.run(kernels.amsgrad, (m, v, block.array("max_exp_avg_sq")), numbers)
        else:
            block.run(kernels.adam, (m, v), numbers)


class AdamW(Adam):
    """Adam with decoupled weight decay: each step also shrinks θ by α λ θ_t, whatever the gradient.

        θ_{t+1} = θ_t - α (m̂ / (√v̂ + ε) + λ θ_t)            m̂, v̂ as in `Adam`, of ∇L(θ_t) alone

    Parameters
    ----------
    params, lr, betas, eps, weight_decay, amsgrad, options
        As in `Adam`; λ is 0.01 by default.

    References
    ----------
    Loshchilov and Hutter, Decoupled weight decay regularization, arXiv:1711.05101.

    Examples
    --------
    >>> import numpy as np
    >>> from minigrad import optim
    >>> w = np.array([2.0])
    >>> optimizer = optim.AdamW(lr=0.5, weight_decay=0.1)  # without a gradient, only the decay moves θ
    >>> for _ in range(2):
    ...     optimizer.update([w], [np.array([0.0])])
    ...     print(w)
    [1.9]
    [1.805]
    """

    def __init__(
        self, params: Any = None, lr: Any = 1e-3, betas: Any = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 1e-2, amsgrad: bool = False, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, decoupled_weight_decay=True, **options)

    def _check_together(self, group: Group) -> None:
        group["decoupled_weight_decay"] = True  # a loaded state of Adam has False
