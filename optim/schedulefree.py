"""Schedule-free SGD and AdamW: averaging in place of a learning rate that falls."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from minigrad.errors import ArgumentError
from minigrad.kernels import optimizers as kernels
from minigrad.optim import hyper
from minigrad.optim.arena import Block, Cell
from minigrad.optim.optimizer import Group, Optimizer, sign
from minigrad.versions import mark_changed

__all__ = ["ScheduleFreeAdamW", "ScheduleFreeSGD"]


class _ScheduleFree(Optimizer):
    """What the two share: three sequences x, y, z, of which the parameters show one at a time.

    z is the base optimizer's, x its average, and y, between them, is where gradients are taken. While training the
    parameters are y; `eval()` shows x, the result, and `train()` goes back to y, bit for bit. Of x only what y and z
    tell is kept.
    """

    numbers: ClassVar = ("step", "weight_sum")

    def __init__(self, params: Any, **arguments: Any) -> None:
        super().__init__(params, **arguments)
        self.training = True

    def eval(self) -> None:
        """Show the average x in the parameters: for evaluating and saving the model."""
        if self.training:
            self.training = False
            for cell, beta in self._started():
                y, z = cell.tensor._data.reshape(-1), cell.state["z"]
                cell.state["y"] = y.copy()
                self._show(cell, (y - (1.0 - beta) * z) / beta)
            self._relist()

    def train(self) -> None:
        """Show y in the parameters again: for training. An optimizer starts in this mode."""
        if not self.training:
            self.training = True
            for cell, _ in self._started():
                self._show(cell, cell.state.pop("y"))
            for plan in self._plans:
                for arena in plan.arenas:
                    arena.join()
            self._relist()

    def _started(self) -> list[tuple[Cell, float]]:
        for plan in self._plans:
            for arena in plan.arenas:
                arena.split()
        pairs = zip(self.param_groups, self._plans, strict=True)
        return [(cell, self._beta(group)) for group, plan in pairs for cell in plan.cells if "z" in cell.state]

    def _show(self, cell: Cell, value: np.ndarray) -> None:
        data = cell.tensor._data
        data[...] = value.reshape(data.shape)
        mark_changed(data)

    def step(self, closure: Any = None) -> Any:
        if not self.training:
            raise ArgumentError(f"{type(self).__name__}: the parameters show the average. Call train() before step().")
        return super().step(closure)

    def load_state_dict(self, state_dict: Any) -> None:
        super().load_state_dict(state_dict)
        self.training = not any("y" in state for state in self.state.values())

    def _beta(self, group: Group) -> float:
        """How far y lies from z towards x."""
        raise NotImplementedError

    def _weight(self, block: Block, group: Group) -> tuple[int, float, float]:
        """The step number t, its rate γ_t, and the weight c_t of the newest z in the average."""
        t = block.count()
        gamma = float(group["lr"]) * min(1.0, t / group["warmup_steps"] if group["warmup_steps"] else 1.0)
        total = block.state["weight_sum"] = block.state.get("weight_sum", 0.0) + gamma * gamma
        return t, gamma, gamma * gamma / total if total > 0 else 0.0


class ScheduleFreeSGD(_ScheduleFree):
    """Schedule-free SGD: the gradient is taken between the base iterate z and its average x.

        y_t = (1 - β) z_t + β x_t
        z_{t+1} = z_t - γ_t (∇L(y_t) + λ y_t)                            γ_t = γ min(1, t / T_warmup)
        x_{t+1} = (1 - c_t) x_t + c_t z_{t+1}                            c_t = γ_t² / Σ_{i≤t} γ_i²

    In training the parameters are y. Call `optimizer.eval()` before evaluating or saving the model, which makes them x,
    and `optimizer.train()` before going on. Give it a constant rate: the average does what a schedule would.

    Parameters
    ----------
    params : iterable of parameters or of groups, optional
    lr : float or schedule
        γ; larger than for SGD with a schedule.
    momentum : float
        β, in (0, 1).
    weight_decay : float
        λ.
    warmup_steps : int
        T_warmup.
    maximize : bool
    options
        `clipnorm`, `clipvalue`, `global_clipnorm`, `nonfinite`: see `Optimizer`.

    References
    ----------
    Defazio et al., The road less scheduled, arXiv:2405.15682.

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import optim
    >>> w = minigrad.tensor([4.0], requires_grad=True)
    >>> optimizer = optim.ScheduleFreeSGD([w], lr=0.25)
    >>> for _ in range(50):
    ...     optimizer.zero_grad()
    ...     (w * w).sum().backward()
    ...     optimizer.step()
    >>> y = w.item()
    >>> optimizer.eval()  # from here on, w is the average x
    >>> abs(w.item()) < 0.2, w.item() == y
    (True, False)
    """

    rules: ClassVar = {
        "lr": hyper.rate,
        "momentum": hyper.positive_fraction,
        "weight_decay": hyper.nonnegative,
        "warmup_steps": hyper.whole(0),
        "maximize": hyper.flag,
    }
    arrays: ClassVar = ("z", "y")

    def __init__(
        self, params: Any = None, lr: Any = 1.0, momentum: float = 0.9, weight_decay: float = 0.0,
        warmup_steps: int = 0, *, maximize: bool = False, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(
            params, lr=lr, momentum=momentum, weight_decay=weight_decay, warmup_steps=warmup_steps, maximize=maximize,
            **options,
        )  # fmt: skip

    def _beta(self, group: Group) -> float:
        return group["momentum"]

    def state_names(self, group: Group) -> tuple[str, ...]:
        return (*self.numbers, "z")

    def _update(self, block: Block, group: Group) -> None:
        _, gamma, c = self._weight(block, group)
        z = block.array("z", block.p)
        numbers = (sign(group), group["weight_decay"], gamma, group["momentum"], c)
        block.run(kernels.schedule_free_sgd, (z,), numbers)


class ScheduleFreeAdamW(_ScheduleFree):
    """Schedule-free AdamW: RMSprop with decoupled decay on z, averaged into x, with gradients taken between them.

        y_t = (1 - β₁) z_t + β₁ x_t
        v_t = β₂ v_{t-1} + (1 - β₂) g_t²                                 g_t = ∇L(y_t),  v̂_t = v_t / (1 - β₂^t)
        z_{t+1} = z_t - γ_t (g_t / (√v̂_t + ε) + λ y_t)                   γ_t = γ min(1, t / T_warmup)
        x_{t+1} = (1 - c_t) x_t + c_t z_{t+1}                            c_t = γ_t² / Σ_{i≤t} γ_i²

    In training the parameters are y. Call `optimizer.eval()` before evaluating or saving the model, which makes them x,
    and `optimizer.train()` before going on. The bias correction is Adam's, as in the authors' code; the paper puts
    its root into γ_t.

    Parameters
    ----------
    params : iterable of parameters or of groups, optional
    lr : float or schedule
        γ.
    betas : (float, float)
        β₁ in (0, 1), β₂ in [0, 1).
    eps, weight_decay : float
        ε and λ.
    warmup_steps : int
        T_warmup.
    maximize : bool
    options
        `clipnorm`, `clipvalue`, `global_clipnorm`, `nonfinite`: see `Optimizer`.

    References
    ----------
    Defazio et al., The road less scheduled, algorithm 1, arXiv:2405.15682.

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import optim
    >>> w = minigrad.tensor([4.0], requires_grad=True)
    >>> optimizer = optim.ScheduleFreeAdamW([w], lr=0.5, warmup_steps=5)
    >>> for _ in range(50):
    ...     optimizer.zero_grad()
    ...     (w * w).sum().backward()
    ...     optimizer.step()
    >>> optimizer.eval()
    >>> abs(w.item()) < 0.5
    True
    """

    rules: ClassVar = {
        "lr": hyper.rate,
        "betas": hyper.fractions(2),
        "eps": hyper.nonnegative,
        "weight_decay": hyper.nonnegative,
        "warmup_steps": hyper.whole(0),
        "maximize": hyper.flag,
    }
    arrays: ClassVar = ("z", "exp_avg_sq", "y")

    def __init__(
        self, params: Any = None, lr: Any = 2.5e-3, betas: Any = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 0.0, warmup_steps: int = 0, *, maximize: bool = False, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(
            params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, warmup_steps=warmup_steps,
            maximize=maximize, **options,
        )  # fmt: skip

    def _check_together(self, group: Group) -> None:
        hyper.positive_fraction(type(self).__name__, "betas[0]", group["betas"][0])

    def _beta(self, group: Group) -> float:
        return group["betas"][0]

    def state_names(self, group: Group) -> tuple[str, ...]:
        return (*self.numbers, "z", "exp_avg_sq")

    def _update(self, block: Block, group: Group) -> None:
        t, gamma, c = self._weight(block, group)
        beta1, beta2 = group["betas"]
        state = block.array("z", block.p), block.array("exp_avg_sq")
        c2 = 1.0 / (1.0 - beta2**t)
        numbers = (sign(group), group["weight_decay"], gamma, beta1, c, 1.0 - beta2, c2, group["eps"])
        block.run(kernels.schedule_free_adamw, state, numbers)
