"""Rprop, and averaged SGD: full-batch and convex methods of long standing."""

from __future__ import annotations

from typing import Any, ClassVar

from minigrad.errors import ArgumentError
from minigrad.kernels import optimizers as kernels
from minigrad.optim import hyper
from minigrad.optim.arena import Block
from minigrad.optim.optimizer import Group, Optimizer, sign

__all__ = ["ASGD", "Rprop"]


class Rprop(Optimizer):
    """Resilient backpropagation: only the signs of the gradient count, and each element has its own step size.

        where d_t d_{t-1} > 0:    Δ_t = min(η₊ Δ_{t-1}, Δ_max)
        where d_t d_{t-1} < 0:    Δ_t = max(η₋ Δ_{t-1}, Δ_min),  and d_t is taken as 0
        θ_{t+1} = θ_t - sign(d_t) Δ_t                              Δ_0 = α

    For full batches: the noise of mini-batches changes signs too often.

    Parameters
    ----------
    params : iterable of parameters or of groups, optional
    lr : float or schedule
        α, the first step size.
    etas : (float, float)
        η₋ in (0, 1) and η₊ above 1.
    step_sizes : (float, float)
        Δ_min and Δ_max.
    maximize : bool
    options
        `clipnorm`, `clipvalue`, `global_clipnorm`, `nonfinite`: see `Optimizer`.

    References
    ----------
    Riedmiller and Braun, A direct adaptive method for faster backpropagation learning, ICNN 1993.
    https://docs.pytorch.org/docs/stable/generated/torch.optim.Rprop.html

    Examples
    --------
    >>> import numpy as np
    >>> from minigrad import optim
    >>> w = np.array([1.0])
    >>> optimizer = optim.Rprop(lr=0.1)  # the sign stays: steps of 0.1 · 1.2, 0.1 · 1.2², ... after the first
    >>> for _ in range(3):
    ...     optimizer.update([w], [np.array([7.0])])
    ...     print(w.round(6))
    [0.9]
    [0.78]
    [0.636]
    """

    rules: ClassVar = {
        "lr": hyper.rate,
        "etas": hyper.numbers(2),
        "step_sizes": hyper.numbers(2),
        "maximize": hyper.flag,
    }
    numbers: ClassVar = ("step",)
    arrays: ClassVar = ("prev", "step_size")

    def __init__(
        self, params: Any = None, lr: Any = 1e-2, etas: Any = (0.5, 1.2), step_sizes: Any = (1e-6, 50.0), *,
        maximize: bool = False, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(params, lr=lr, etas=etas, step_sizes=step_sizes, maximize=maximize, **options)

    def _check_together(self, group: Group) -> None:
        shrink, grow = group["etas"]
        smallest, largest = group["step_sizes"]
        if not 0.0 < shrink < 1.0 < grow:
            raise ArgumentError(f"Rprop: expected etas with 0 < etas[0] < 1 < etas[1], got {group['etas']}.")
        if not 0.0 <= smallest <= largest:
            raise ArgumentError(f"Rprop: expected 0 <= step_sizes[0] <= step_sizes[1], got {group['step_sizes']}.")

    def _update(self, block: Block, group: Group) -> None:
        block.count()
        state = block.array("prev"), block.array("step_size", float(group["lr"]))
        block.run(kernels.rprop, state, (sign(group), *group["etas"], *group["step_sizes"]))


class ASGD(Optimizer):
    """Averaged stochastic gradient descent: SGD whose result is the average of its path.

        η_t = α / (1 + Λ α t)^p,  η_0 = α
        θ_{t+1} = (1 - Λ η_t) θ_t - η_t (∇L(θ_t) + λ θ_t)
        a_{t+1} = a_t + μ_t (θ_{t+1} - a_t)                       μ_t = 1 / max(1, t - t₀),  μ_0 = 1

    The parameters are θ; the average a of each is `optimizer.state[p]['ax']`.

    Parameters
    ----------
    params : iterable of parameters or of groups, optional
    lr : float or schedule
        α.
    lambd : float
        Λ, decay of the parameters and of the rate.
    alpha : float
        p, the power of the rate's decay.
    t0 : float
        t₀, the step at which averaging starts.
    weight_decay : float
        λ, an L2 penalty.
    maximize : bool
    options
        `clipnorm`, `clipvalue`, `global_clipnorm`, `nonfinite`: see `Optimizer`.

    References
    ----------
    Polyak and Juditsky, Acceleration of stochastic approximation by averaging, 1992. The schedule is that of
    Bottou's sgd, and https://docs.pytorch.org/docs/stable/generated/torch.optim.ASGD.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import optim
    >>> w = minigrad.tensor([1.0], requires_grad=True)
    >>> optimizer = optim.ASGD([w], lr=0.5, lambd=0.0, t0=0)
    >>> for x in (1.0, -1.0, 1.0):  # θ: 0.5, 1, 0.5
    ...     optimizer.zero_grad()
    ...     (w * x).sum().backward()
    ...     optimizer.step()
    >>> optimizer.state[w]["ax"]  # the mean of the last two: averaging begins after the first step
    tensor([0.75])
    """

    rules: ClassVar = {
        "lr": hyper.rate,
        "lambd": hyper.nonnegative,
        "alpha": hyper.real,
        "t0": hyper.nonnegative,
        "weight_decay": hyper.nonnegative,
        "maximize": hyper.flag,
    }
    numbers: ClassVar = ("step", "eta", "mu")
    arrays: ClassVar = ("ax",)

    def __init__(
        self, params: Any = None, lr: Any = 1e-2, lambd: float = 1e-4, alpha: float = 0.75, t0: float = 1e6,
        weight_decay: float = 0.0, *, maximize: bool = False, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(
            params, lr=lr, lambd=lambd, alpha=alpha, t0=t0, weight_decay=weight_decay, maximize=maximize, **options
        )

    def _update(self, block: Block, group: Group) -> None:
        lr, lambd = float(group["lr"]), group["lambd"]
        t = block.count()
        eta, mu = block.state.get("eta", lr), block.state.get("mu", 1.0)
        numbers = (sign(group), group["weight_decay"], 1.0 - lambd * eta, eta, mu)
        block.run(kernels.asgd, (block.array("ax"),), numbers)
        block.state["eta"] = lr / (1.0 + lambd * lr * t) ** group["alpha"]
        block.state["mu"] = 1.0 / max(1.0, t - group["t0"])
