"""Several optimizers as one: each parameter goes to the one that suits it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from minigrad.errors import ArgumentError, DTypeError
from minigrad.optim.optimizer import Group, Optimizer
from minigrad.optim.saved import without_copies

__all__ = ["Composite"]

Route = tuple[Callable[[str, Any], bool] | None, Callable[[list[tuple[str, Any]]], Optimizer]]


class Composite:
    """Optimizers that step together: Muon for matrices, AdamW for the rest.

    Parameters
    ----------
    optimizers : Optimizers
        No parameter may be in two of them.

    Attributes
    ----------
    optimizers : list of Optimizer
    param_groups : list of dict
        The groups of all of them, so that a scheduler reaches every learning rate.

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import optim
    >>> weight, bias = minigrad.randn(3, 2, requires_grad=True), minigrad.zeros(3, requires_grad=True)
    >>> optimizer = optim.Composite(optim.Muon([weight], lr=0.02), optim.AdamW([bias], lr=3e-4))
    >>> [group["lr"] for group in optimizer.param_groups]
    [0.02, 0.0003]
    """

    def __init__(self, *optimizers: Optimizer) -> None:
        if not optimizers:
            raise ArgumentError("Composite: expected at least one optimizer.")
        for optimizer in optimizers:
            if not isinstance(optimizer, Optimizer):
                raise DTypeError(f"Composite: expected optimizers, got {type(optimizer).__name__}.")
        self.optimizers = list(optimizers)
        seen: set[int] = set()
        for group in self.param_groups:
            for p in group["params"]:
                if id(p) in seen:
                    raise ArgumentError(f"Composite: a parameter of shape {p.shape} is in two of the optimizers.")
                seen.add(id(p))

    @classmethod
    def route(cls, named_parameters: Iterable[tuple[str, Any]], routes: Iterable[Route]) -> Composite:
        """Give each parameter to the first optimizer whose condition holds.

        Parameters
        ----------
        named_parameters : iterable of (name, Tensor)
            `model.named_parameters()`.
        routes : iterable of (condition, make)
            `condition(name, tensor)`, or None for all that are left; `make(named)` makes the optimizer of a list of
            (name, Tensor) pairs. Optimizers that would get nothing are not made.

        Raises
        ------
        ArgumentError
            If a parameter is left over.

        Examples
        --------
        >>> from minigrad import nn, optim
        >>> model = nn.Linear(4, 2)
        >>> optimizer = optim.Composite.route(
        ...     model.named_parameters(),
        ...     [(lambda name, p: p.ndim == 2, lambda ps: optim.Muon(ps, lr=0.02)),
        ...      (None, lambda ps: optim.AdamW(ps, lr=3e-4))],
        ... )
        >>> [type(part).__name__ for part in optimizer.optimizers]
        ['Muon', 'AdamW']
        """
        left = list(named_parameters)
        made = []
        for condition, make in routes:
            taken = [(name, p) for name, p in left if condition is None or condition(name, p)]
            if taken:
                made.append(make(taken))
                chosen = {id(p) for _, p in taken}
                left = [(name, p) for name, p in left if id(p) not in chosen]
        if left:
            raise ArgumentError(
                f"Composite.route: no route took {', '.join(name for name, _ in left)}. Let the last condition be None."
            )
        return cls(*made)

    @property
    def param_groups(self) -> list[Group]:
        return [group for optimizer in self.optimizers for group in optimizer.param_groups]

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of each, after one call of the closure. A gradient that is not finite stops all before the first."""
        loss = None if closure is None else self.optimizers[0]._evaluate(closure)
        if all(optimizer._finite(optimizer._work()) for optimizer in self.optimizers):
            for optimizer in self.optimizers:
                optimizer.step()
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none)

    def state_dict(self, *, copy: bool = True) -> dict[str, Any]:
        """The states of the optimizers, in their order."""
        parts = [part.state_dict() if copy else without_copies(part) for part in self.optimizers]
        return {"optimizers": parts}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a saved state. If one part does not fit, none is changed."""
        parts = state_dict.get("optimizers") if isinstance(state_dict, Mapping) else None
        if not isinstance(parts, list) or len(parts) != len(self.optimizers):
            raise ArgumentError(
                f"Composite.load_state_dict: expected {len(self.optimizers)} states under 'optimizers', got "
                f"{len(parts) if isinstance(parts, list) else 'none'}."
            )
        before = [optimizer.state_dict() for optimizer in self.optimizers]
        try:
            for optimizer, part in zip(self.optimizers, parts, strict=True):
                optimizer.load_state_dict(part)
        except Exception:
            for optimizer, state in zip(self.optimizers, before, strict=True):
                optimizer.load_state_dict(state)
            raise

    def __repr__(self) -> str:
        return "\n".join(["Composite(", *map(repr, self.optimizers), ")"])
