"""Wrapper: an optimizer that adds something to another one. And accumulation, the simplest of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from minigrad.errors import ArgumentError, DTypeError
from minigrad.optim import schedule_checks as check
from minigrad.optim.optimizer import Optimizer
from minigrad.optim.saved import without_copies
from minigrad.versions import mark_changed

__all__ = ["Accumulated", "Wrapper", "accumulate"]


class Wrapper:
    """Base class of optimizers around an optimizer: what it does not define itself is the inner one's.

    So schedulers, hooks and whatever else works on an optimizer works on a wrapped one.

    Parameters
    ----------
    optimizer : Optimizer or Wrapper
    """

    def __init__(self, optimizer: Any) -> None:
        if not isinstance(optimizer, Optimizer | Wrapper):
            raise DTypeError(f"{type(self).__name__}: expected an optimizer, got {type(optimizer).__name__}.")
        self.optimizer = optimizer

    def __getattr__(self, name: str) -> Any:
        if name == "optimizer":  # while a copy is being made
            raise AttributeError(name)
        return getattr(self.optimizer, name)

    @property
    def lr(self) -> Any:
        """The learning rate of the first group; setting it sets that of every group."""
        return self.optimizer.lr

    @lr.setter
    def lr(self, value: Any) -> None:
        self.optimizer.lr = value

    def parameters(self) -> list[Any]:
        """All parameters of all groups."""
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    def zero_grad(self, set_to_none: bool = True) -> None:
        self.optimizer.zero_grad(set_to_none)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not define step(self, closure)")

    def own_state(self) -> dict[str, Any]:
        """What the wrapper itself has to remember, as copies."""
        raise NotImplementedError

    def load_own_state(self, state: Mapping[str, Any]) -> Callable[[], None]:
        """Check what `own_state` returned, and return a function that takes it on."""
        raise NotImplementedError

    def state_dict(self, *, copy: bool = True) -> dict[str, Any]:
        """The inner optimizer's state under 'optimizer', the wrapper's own, always as copies, beside it."""
        inner = self.optimizer.state_dict() if copy else without_copies(self.optimizer)
        return {"optimizer": inner, **self.own_state()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a saved state. Everything is checked before anything is changed."""
        expected = {"optimizer", *self.own_state()}
        if not isinstance(state_dict, Mapping) or set(state_dict) != expected:
            got = sorted(map(str, state_dict)) if isinstance(state_dict, Mapping) else type(state_dict).__name__
            raise ArgumentError(f"{type(self).__name__}.load_state_dict: expected {sorted(expected)}, got {got}.")
        take = self.load_own_state(state_dict)
        self.optimizer.load_state_dict(state_dict["optimizer"])
        take()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.optimizer!r})"


class Accumulated(Wrapper):
    """An optimizer that steps at every k-th call, with the mean of the gradients since the last time.

    The loop stays as it is: `zero_grad()` and `step()` after every small batch do nothing in between. The step is the
    one that a batch k times as large would have made, if the loss is a mean.

    Parameters
    ----------
    optimizer : Optimizer
    k : int
        How many batches make one step.

    Attributes
    ----------
    pending : int
        How many gradients have been added up since the last step.
    """

    def __init__(self, optimizer: Any, k: int) -> None:
        super().__init__(optimizer)
        self.k = check.integer("accumulate", "k", k, at_least=1)
        self.pending = 0

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, unless they are being added up."""
        if self.pending == 0:
            self.optimizer.zero_grad(set_to_none)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Count one batch; at the k-th, step. A closure computes the gradients of one batch."""
        loss = None if closure is None else self.optimizer._evaluate(closure)
        self.pending += 1
        if self.pending == self.k:
            self.flush()
        return loss

    def flush(self) -> None:
        """Step with what there is: for the end of an epoch."""
        if self.pending:
            for p in self.parameters():
                if p.grad is not None:
                    p.grad.data[...] /= self.pending
                    mark_changed(p.grad.data)
            self.pending = 0
            self.optimizer.step()

    def own_state(self) -> dict[str, Any]:
        return {"pending": self.pending}

    def load_own_state(self, state: Mapping[str, Any]) -> Callable[[], None]:
        if state["pending"] != 0:
            raise ArgumentError(
                f"accumulate: the state was saved after {state['pending']} of {self.k} batches, and gradients are not "
                "saved. Save after a step, or call flush() first."
            )
        return lambda: setattr(self, "pending", 0)


def accumulate(optimizer: Any, k: int) -> Accumulated:
    """Make `optimizer` step once for every k batches; see `Accumulated`.

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import optim
    >>> w = minigrad.tensor([1.0], requires_grad=True)
    >>> optimizer = optim.accumulate(optim.SGD([w], lr=0.5), k=2)
    >>> for x in (1.0, 3.0):
    ...     optimizer.zero_grad()
    ...     (w * x).sum().backward()
    ...     optimizer.step()
    >>> w
    tensor([0.], requires_grad=True)
    """
    return Accumulated(optimizer, k)
