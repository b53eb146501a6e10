"""Adam, and Adam with decoupled weight decay."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from minigrad.errors import ArgumentError
from minigrad.kernels import optimizers as kernels
from minigrad.optim import hyper
from minigrad.optim.arena import Block
from minigrad.optim.optimizer import Group, Optimizer

__all__ = ["Adam", "AdamW"]


class Adam(Optimizer):
    """Adaptive moment estimation: momentum, divided by the root of a running mean of squares.

        g_t = ∇L(θ_t) + λ θ_t
        m_{t+1} = β₁ m_t + (1 - β₁) g_t             m̂ = m_{t+1} / (1 - β₁^{t+1})
        v_{t+1} = β₂ v_t + (1 - β₂) g_t²            v̂ = v_{t+1} / (1 - β₂^{t+1})
        θ_{t+1} = θ_t - α m̂ / (√v̂ + ε)

    With `amsgrad`, v̂ is made from the largest v so far. With `decoupled_weight_decay`, λ θ_t is left out of g_t
    and θ shrinks by α λ θ_t instead: AdamW.

    Parameters
    ----------
    params : iterable of parameters or of groups, optional
        Left out, for `update(params, grads)` on numpy arrays.
    lr : float or schedule
        α.
    betas : (float, float)
        β₁ and β₂, in [0, 1).
    eps : float
        ε, added outside of the root.
    weight_decay : float
        λ.
    amsgrad, maximize, decoupled_weight_decay : bool
    beta1, beta2 : float, optional
        The course module's names for the two betas.
    options
        `clipnorm`, `clipvalue`, `global_clipnorm`, `nonfinite`: see `Optimizer`.

    References
    ----------
    Kingma and Ba, Adam: a method for stochastic optimization, arXiv:1412.6980.
    Reddi, Kale and Kumar, On the convergence of Adam and beyond, arXiv:1904.09237 (AMSGrad).
    https://docs.pytorch.org/docs/stable/generated/torch.optim.Adam.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import optim
    >>> w = minigrad.tensor([4.0, -3.0], requires_grad=True)
    >>> optimizer = optim.Adam([w], lr=0.5)
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
        self,
        params: Iterable[Any] | None = None,
        lr: Any = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
        beta1: float | None = None,
        beta2: float | None = None,
        **options: Any,
    ) -> None:
        betas = (betas[0] if beta1 is None else beta1, betas[1] if beta2 is None else beta2)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults, **options)

    def state_names(self, group: Group) -> tuple[str, ...]:
        return self.numbers + (self.arrays if group["amsgrad"] else self.arrays[:2])

    def _update(self, block: Block, group: Group) -> None:
        alpha, (beta1, beta2) = float(group["lr"]), group["betas"]
        l2, keep = group["weight_decay"], 1.0
        if group["decoupled_weight_decay"]:
            l2, keep = 0.0, 1.0 - alpha * l2
        t = block.count()
        state = [block.array(name) for name in self.state_names(group)[1:]]
        s = -1.0 if group["maximize"] else 1.0
        corrections = 1.0 / (1.0 - beta1**t), 1.0 / (1.0 - beta2**t)
        block.run(
            kernels.amsgrad if group["amsgrad"] else kernels.adam,
            state,
            (s, l2, keep, alpha, group["eps"], 1.0 - beta1, 1.0 - beta2, *corrections),
        )


class AdamW(Adam):
    """Adam with decoupled weight decay: each step also shrinks θ by α λ θ_t, whatever the gradient.

        θ_{t+1} = θ_t - α (m̂ / (√v̂ + ε) + λ θ_t)            m̂, v̂ as in `Adam`, of ∇L(θ_t) alone

    Parameters
    ----------
    params, lr, betas, eps, amsgrad, maximize, options
        As in `Adam`.
    weight_decay : float
        λ. By default 0.01.

    References
    ----------
    Loshchilov and Hutter, Decoupled weight decay regularization, arXiv:1711.05101.
    https://docs.pytorch.org/docs/stable/generated/torch.optim.AdamW.html
    """

    def __init__(
        self,
        params: Iterable[Any] | None = None,
        lr: Any = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, decoupled_weight_decay=True, **options)

    def _check_together(self, group: Group) -> None:
        if not group["decoupled_weight_decay"]:
            raise ArgumentError("AdamW: its weight decay is decoupled. For the other kind use Adam.")
