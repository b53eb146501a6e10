"""Prodigy: Adam that finds its own learning rate."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import Any, ClassVar

import numpy as np

from minigrad.kernels import optimizers as kernels
from minigrad.optim import hyper
from minigrad.optim.arena import Block
from minigrad.optim.optimizer import Group, Optimizer, sign

__all__ = ["Prodigy"]


class Prodigy(Optimizer):
    """Prodigy: Adam whose rate is an estimate d of the distance from the start to the solution, which only grows.

        m_{k+1} = β₁ m_k + (1 - β₁) d_k g_k
        v_{k+1} = β₂ v_k + (1 - β₂) d_k² g_k²
        r_{k+1} = √β₂ r_k + (1 - √β₂) γ_k d_k² <g_k, x_0 - x_k>
        s_{k+1} = √β₂ s_k + (1 - √β₂) γ_k d_k² g_k
        x_{k+1} = x_k - γ_k d_k (m_{k+1} / (√v_{k+1} + d_k ε) + λ x_k)
        d_{k+1} = max(d_k, c r_{k+1} / ‖s_{k+1}‖₁)

    r and ‖s‖₁ run over all parameters of all groups, and so does d, which `param_groups[0]['d']` shows.

    Parameters
    ----------
    params : iterable of parameters or of groups, optional
    lr : float or schedule
        γ: leave it at 1, or give a schedule that falls from 1.
    betas : (float, float)
        β₁ and β₂, in [0, 1).
    eps, weight_decay : float
        ε, and λ, decoupled.
    d0 : float
        d_0, any small number.
    d_coef : float
        c: 0.5 or 2 where the estimate turns out too large or too small.
    maximize : bool
    options
        `clipnorm`, `clipvalue`, `global_clipnorm`, `nonfinite`: see `Optimizer`.

    References
    ----------
    Mishchenko and Defazio, Prodigy: an expeditiously adaptive parameter-free learner, algorithm 4, arXiv:2306.06101.

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import optim
    >>> w = minigrad.tensor([4.0], requires_grad=True)
    >>> optimizer = optim.Prodigy([w])
    >>> for _ in range(100):
    ...     optimizer.zero_grad()
    ...     (w * w).sum().backward()
    ...     optimizer.step()
    >>> abs(w.item()) < 0.1, 1.0 < optimizer.param_groups[0]["d"] < 4.5  # the distance is 4
    (True, True)
    """

    rules: ClassVar = {
        "lr": hyper.rate,
        "betas": hyper.fractions(2),
        "eps": hyper.nonnegative,
        "weight_decay": hyper.nonnegative,
        "d0": hyper.positive,
        "d_coef": hyper.positive,
        "maximize": hyper.flag,
    }
    arrays: ClassVar = ("exp_avg", "exp_avg_sq", "s", "p0")
    elementwise: ClassVar = False

    def __init__(
        self, params: Any = None, lr: Any = 1.0, betas: Any = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 0.0, d0: float = 1e-6, d_coef: float = 1.0, *, maximize: bool = False, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(
            params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, d0=d0, d_coef=d_coef, maximize=maximize,
            **options,
        )  # fmt: skip

    def _add(self, group: Group) -> None:
        super()._add(group)
        added = self.param_groups[-1]
        added.setdefault("d", self.param_groups[0].get("d", added["d0"]))
        added.setdefault("r", 0.0)

    def _make_step(self, closure: Callable[[], Any] | None) -> Any:
        before = self.steps
        self._products = {id(group): 0.0 for group in self.param_groups}  # <g, x_0 - x> of each group
        loss = super()._make_step(closure)
        if self.steps > before:
            self._estimate()
        return loss

    def _update(self, block: Block, group: Group) -> None:
        (beta1, beta2), d, s = group["betas"], group["d"], sign(group)
        rate = float(group["lr"]) * d
        start = block.array("p0", block.p)
        self._products[id(group)] += s * float(np.dot(block.g.astype(np.float64), start.astype(np.float64) - block.p))
        state = block.array("exp_avg"), block.array("exp_avg_sq"), block.array("s")
        root = sqrt(beta2)
        decay, gain = 1.0 - rate * group["weight_decay"], (1.0 - root) * rate * d
        numbers = (s, decay, rate, d * group["eps"], d, beta1, beta2, 1.0 - beta1, 1.0 - beta2, root, gain)
        block.run(kernels.prodigy, state, numbers)

    def _estimate(self) -> None:
        """d_{k+1} = max(d_k, c r / ‖s‖₁)"""
        r = length = 0.0
        for group, plan in zip(self.param_groups, self._plans, strict=True):
            root = sqrt(group["betas"][1])
            gain = (1.0 - root) * float(group["lr"]) * group["d"] ** 2
            group["r"] = root * group["r"] + gain * self._products[id(group)]
            r += group["r"]
            sums = [cell.state["s"] for cell in plan.cells if "s" in cell.state]
            length += sum(float(np.sum(np.abs(x), dtype=np.float64)) for x in sums)
        if length > 0:
            d = max(self.param_groups[0]["d"], self.param_groups[0]["d_coef"] * r / length)
            for group in self.param_groups:
                group["d"] = d
