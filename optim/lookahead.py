"""Lookahead: fast weights that explore, slow weights that follow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from minigrad.errors import ArgumentError, ShapeError
from minigrad.graph import wrap
from minigrad.optim import hyper
from minigrad.optim import schedule_checks as check
from minigrad.optim.saved import as_array
from minigrad.optim.wrapper import Wrapper
from minigrad.versions import mark_changed

__all__ = ["Lookahead"]


class Lookahead(Wrapper):
    """After every k steps of the inner optimizer, move slow weights φ towards its θ, and set θ back to them.

        φ ← φ + α (θ - φ),   θ ← φ

    Parameters
    ----------
    optimizer : Optimizer
    k : int
        Steps between two moves.
    alpha : float
        α, in (0, 1].

    References
    ----------
    Zhang, Lucas, Hinton and Ba, Lookahead optimizer: k steps forward, 1 step back, arXiv:1907.08610.

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import optim
    >>> w = minigrad.tensor([8.0], requires_grad=True)
    >>> optimizer = optim.Lookahead(optim.SGD([w], lr=0.25), k=2, alpha=0.5)
    >>> for _ in range(2):            # 8 -> 4 -> 2 with the inner optimizer; then half of the way from 8 to 2
    ...     optimizer.zero_grad()
    ...     (w * w).sum().backward()
    ...     optimizer.step()
    >>> w
    tensor([5.], requires_grad=True)
    """

    def __init__(self, optimizer: Any, k: int = 5, alpha: float = 0.5) -> None:
        super().__init__(optimizer)
        self.k = check.integer("Lookahead", "k", k, at_least=1)
        self.alpha = hyper.between(0.0, 1.0)("Lookahead", "alpha", alpha)
        if self.alpha == 0:
            raise ArgumentError("Lookahead: expected alpha above 0; with 0 the weights would never move.")
        self._made = 0
        self._slow = [p.data.copy() for p in self.parameters()]

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        self.optimizer.add_param_group(param_group)
        self._slow += [p.data.copy() for p in self.parameters()[len(self._slow) :]]

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = self.optimizer.step(closure)
        self._made += 1
        if self._made % self.k == 0:
            for p, slow in zip(self.parameters(), self._slow, strict=True):
                slow += slow.dtype.type(self.alpha) * (p.data - slow)
                p.data[...] = slow
                mark_changed(p.data)
        return loss

    def own_state(self) -> dict[str, Any]:
        return {"made": self._made, "slow": [wrap(slow.copy()) for slow in self._slow]}

    def load_own_state(self, state: Mapping[str, Any]) -> Callable[[], None]:
        slow = [as_array(x) for x in state["slow"]]
        if [x.shape for x in slow] != [x.shape for x in self._slow]:
            raise ShapeError(
                f"Lookahead.load_state_dict: expected slow weights of the shapes {[x.shape for x in self._slow]}, "
                f"got {[x.shape for x in slow]}."
            )

        def take() -> None:
            self._made = int(state["made"])
            for mine, theirs in zip(self._slow, slow, strict=True):
                mine[...] = theirs

        return take
