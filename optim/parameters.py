"""What an optimizer is given: parameters in one of several forms, and arguments; and what is wrong with them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

from minigrad.errors import ArgumentError, DTypeError, GraphError
from minigrad.tensor import Tensor

__all__ = ["PYTORCH_SWITCHES", "check_new", "check_parameter", "listed", "split_names", "unknown_argument"]

Group = dict[str, Any]
PYTORCH_SWITCHES = ("foreach", "fused", "capturable", "differentiable")
OPTIONS = ("clipnorm", "clipvalue", "global_clipnorm", "nonfinite")


def listed(owner: str, params: Any, what: str = "params") -> list[Any]:
    """The parameters, or groups, as a list of at least one."""
    if hasattr(params, "parameters"):
        raise DTypeError(f"{owner}: expected {what} to be Tensors, got a model. Give it model.parameters().")
    if isinstance(params, Tensor | str | bytes | dict) or not isinstance(params, Iterable):
        advice = " Without parameters, name the learning rate: lr=..." if isinstance(params, float) else ""
        raise DTypeError(
            f"{owner}: expected {what} to be an iterable of Tensors or dicts, got {type(params).__name__}.{advice}"
        )
    if isinstance(params, set | frozenset):
        raise DTypeError(f"{owner}: expected {what} in a fixed order, got a set. Give it a list.")
    found = list(params)
    if not found:
        raise ArgumentError(
            f"{owner}: expected at least one parameter in {what}, got none. A generator, such as "
            "model.parameters(), gives its elements only once: was it used before?"
        )
    return found


def split_names(owner: str, entries: list[Any]) -> tuple[list[str] | None, list[Any]]:
    """The names and the tensors of (name, Tensor) pairs; no names if they are plain Tensors."""
    named = [isinstance(entry, tuple) and len(entry) == 2 for entry in entries]
    if any(named) and not all(named):
        raise ArgumentError(f"{owner}: expected names for all parameters or for none, got some with and some without.")
    if not any(named):
        return None, entries
    return [name for name, _ in entries], [tensor for _, tensor in entries]


def check_parameter(owner: str, p: Any, i: int) -> None:
    """Raise an error for what cannot be optimised."""
    if not isinstance(p, Tensor):
        raise DTypeError(f"{owner}: expected Tensors to optimise, got {type(p).__name__} at position {i}.")
    if not p.is_leaf:
        raise GraphError(
            f"{owner}: parameter {i}, shape {p.shape}, was computed by an operation, so it gets no gradient. "
            "Optimise the tensors that it was computed from, or p.detach().requires_grad_()."
        )


def check_new(owner: str, group: Group, others: Sequence[Group]) -> None:
    """Raise an error for a parameter that is in the group twice or in another one, or for names in some groups only."""
    known = {id(p) for other in others for p in other["params"]}
    for i, p in enumerate(group["params"]):
        if id(p) in known:
            raise ArgumentError(
                f"{owner}: parameter {i} of the group, shape {p.shape}, is given twice, here or in an earlier group. "
                "Each may be in one group, once."
            )
        known.add(id(p))
    if any(("param_names" in other) != ("param_names" in group) for other in others):
        raise ArgumentError(f"{owner}: expected names for all parameters or for none, got some with and some without.")


def unknown_argument(owner: str, name: str, known: Iterable[str]) -> str:
    """What to say about an argument that the optimizer does not have."""
    if name in PYTORCH_SWITCHES:
        return f"{owner}: {name} chooses among PyTorch's implementations; minigrad has one. Leave it out."
    accepted = [*known, *OPTIONS]
    close = difflib.get_close_matches(name, accepted, 1)
    advice = f" Did you mean {close[0]}?" if close else ""
    return f"{owner}: unknown argument {name!r}.{advice} It takes {', '.join(accepted)}."
