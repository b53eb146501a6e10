"""SAM: the gradient is taken where the loss is worst nearby."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import sqrt
from typing import Any

import numpy as np

from minigrad.errors import ArgumentError
from minigrad.optim import schedule_checks as check
from minigrad.optim.clip import sum_of_squares
from minigrad.optim.wrapper import Wrapper
from minigrad.versions import mark_changed

__all__ = ["SAM"]


class SAM(Wrapper):
    """Sharpness-aware minimisation around another optimizer.

        e = ρ ∇L(θ) / ‖∇L(θ)‖₂
        step of the inner optimizer from θ, with ∇L(θ + e)

    With `adaptive`, sizes are measured in units of |θ|:  e = ρ θ² ∇L(θ) / ‖ |θ| ∇L(θ) ‖₂. A step evaluates the
    closure twice.

    Parameters
    ----------
    optimizer : Optimizer
        Its own closure is not used, so not LBFGS.
    rho : float
        ρ, the radius.
    adaptive : bool
        ASAM.

    References
    ----------
    Foret, Kleiner, Mobahi and Neyshabur, Sharpness-aware minimization, arXiv:2010.01412.
    Kwon, Kim, Park and Choi, ASAM, arXiv:2102.11600.

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import optim
    >>> w = minigrad.tensor([1.0], requires_grad=True)
    >>> optimizer = optim.SAM(optim.SGD([w], lr=0.1), rho=0.5)
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = (w * w).sum()
    ...     loss.backward()
    ...     return loss
    >>> optimizer.step(closure).item()      # gradient 3, at w = 1.5
    1.0
    >>> w
    tensor([0.7], requires_grad=True)
    """

    def __init__(self, optimizer: Any, rho: float = 0.05, adaptive: bool = False) -> None:
        super().__init__(optimizer)
        self.rho = check.nonnegative("SAM", "rho", rho)
        self.adaptive = adaptive

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; `closure` clears the gradients, computes the loss, calls backward and returns the loss."""
        if closure is None:
            raise ArgumentError("SAM: step() needs a closure, which it evaluates at two points.")
        loss = self.optimizer._evaluate(closure)
        tensors = [p for p in self.parameters() if p.grad is not None]
        scales = [np.abs(p.data) if self.adaptive else None for p in tensors]
        climbs = [p.grad.data if a is None else a * p.grad.data for p, a in zip(tensors, scales, strict=True)]
        norm = sqrt(sum(map(sum_of_squares, climbs)))
        before = [p.data.copy() for p in tensors]
        try:
            if 0 < norm < float("inf"):
                for p, a, climb in zip(tensors, scales, climbs, strict=True):
                    climb = climb * climb.dtype.type(self.rho / norm)
                    p.data[...] += climb if a is None else a * climb
                    mark_changed(p.data)
            self.optimizer._evaluate(closure)
        finally:
            for p, value in zip(tensors, before, strict=True):
                p.data[...] = value
                mark_changed(p.data)
        self.optimizer.step()
        return loss

    def own_state(self) -> dict[str, Any]:
        return {}

    def load_own_state(self, state: Mapping[str, Any]) -> Callable[[], None]:
        return lambda: None
