"""Parameter groups for weight decay."""

from __future__ import annotations

from typing import Any

from minigrad.errors import ArgumentError
from minigrad.optim import schedule_checks as check

__all__ = ["decay_groups"]


def decay_groups(model: Any, weight_decay: float = 0.01) -> list[dict[str, Any]]:
    """Split a model's parameters into those that should decay and those that should not: biases, and norm layers.

    Decay keeps matrices and filters small. For a bias, or the scale of a normalisation, small means nothing good.

    Parameters
    ----------
    model : Module
    weight_decay : float
        For the first group.

    Returns
    -------
    list of two dicts
        For an optimizer's `params`, with names. Without parameters of one kind, only one. Left out of the decay are
        parameters called 'bias', those of one dimension or none, and those of layers with 'Norm' in their class's name.

    Examples
    --------
    >>> from minigrad import nn, optim
    >>> groups = optim.decay_groups(nn.Linear(3, 2), weight_decay=0.1)
    >>> [([name for name, _ in group["params"]], group["weight_decay"]) for group in groups]
    [(['weight'], 0.1), (['bias'], 0.0)]
    """
    weight_decay = check.nonnegative("decay_groups", "weight_decay", weight_decay)
    decaying: list[tuple[str, Any]] = []
    others: list[tuple[str, Any]] = []
    norms = {name for name, module in model.named_modules() if "Norm" in type(module).__name__}
    for name, p in model.named_parameters():
        owner, _, last = name.rpartition(".")
        spared = owner in norms or last == "bias" or p.ndim <= 1
        (others if spared else decaying).append((name, p))
    groups = [{"params": decaying, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    groups = [group for group in groups if group["params"]]
    if not groups:
        raise ArgumentError(f"decay_groups: {type(model).__name__} has no parameters.")
    return groups
