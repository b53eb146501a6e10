"""The state of an optimizer as a dict in PyTorch's layout, and back.

    {'state': {0: {'step': tensor(12.), 'exp_avg': tensor(...), ...}, 1: ...},
     'param_groups': [{'lr': 0.001, 'betas': (0.9, 0.999), ..., 'params': [0, 1]}],
     'steps': 12}

Parameters are numbered through all groups. 'steps', which PyTorch does not have and ignores, is what schedules go on
from. A state saved by `torch.optim` can be loaded as it is: its tensors are read as arrays.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minigrad.errors import ArgumentError, DTypeError, ShapeError
from minigrad.graph import Variable, wrap
from minigrad.optim.arena import Cell

__all__ = ["as_array", "read_groups", "read_state", "write_groups", "write_state"]

Group = dict[str, Any]


def write_state(cell: Cell, state: dict[str, Any]) -> dict[str, Any]:
    """Copies of a parameter's state as Tensors in the parameter's shape."""
    return {name: wrap(np.array(cell.shaped(_exact(value)))) for name, value in state.items()}


def _exact(value: Any) -> Any:
    """A number as PyTorch keeps it, in float32, unless that would change it."""
    if isinstance(value, np.ndarray):
        return value
    return np.float32(value) if float(np.float32(value)) == value else np.float64(value)


def as_array(value: Any) -> np.ndarray:
    """A copy of a saved value, a Tensor of ours or of PyTorch or an array, as an array."""
    return np.asarray(value._data if isinstance(value, Variable) else value).copy()


def write_groups(groups: Sequence[Group]) -> list[Group]:
    """Copies of the groups with numbers in place of the parameters."""
    written, start = [], 0
    for group in groups:
        copied = {name: copy.deepcopy(value) for name, value in group.items() if name != "params"}
        copied["params"] = list(range(start, start + len(group["params"])))
        start += len(group["params"])
        written.append(copied)
    return written


def read_groups(owner: str, saved: Any, groups: Sequence[Group], needed: Sequence[str]) -> list[Group]:
    """The hyper-parameters of a saved state, one dict a group; raises where they do not fit `groups`.

    `needed` are those that must be there. Flags may be missing: older states do not have them.
    """
    if not isinstance(saved, Mapping) or not {"state", "param_groups"} <= saved.keys():
        found = f"the keys {sorted(map(str, saved))}" if isinstance(saved, Mapping) else type(saved).__name__
        raise DTypeError(f"{owner}: expected what state_dict() returned, with 'state' and 'param_groups', got {found}.")
    if len(saved["param_groups"]) != len(groups):
        raise ArgumentError(
            f"{owner}: expected {len(groups)} parameter groups, the state has {len(saved['param_groups'])}. "
            "Make the optimizer with the same groups before loading."
        )
    read = []
    for i, (theirs, ours) in enumerate(zip(saved["param_groups"], groups, strict=True)):
        if len(theirs["params"]) != len(ours["params"]):
            raise ArgumentError(
                f"{owner}: expected {len(ours['params'])} parameters in group {i}, "
                f"the state has {len(theirs['params'])}."
            )
        names = theirs.get("param_names")
        if names is not None and "param_names" in ours and list(names) != list(ours["param_names"]):
            first = next((a, b) for a, b in zip(ours["param_names"], names, strict=True) if a != b)
            raise ArgumentError(f"{owner}: expected parameter {first[0]!r} in group {i}, the state has {first[1]!r}.")
        missing = [name for name in needed if name not in theirs]
        if missing:
            raise ArgumentError(
                f"{owner}: the saved group {i} has no {', '.join(missing)}: it is the state of another optimizer "
                f"(it has {', '.join(sorted(set(theirs) - {'params', 'param_names'}))})."
            )
        read.append({name: copy.deepcopy(value) for name, value in theirs.items() if name != "params"})
    return read


def read_state(
    owner: str,
    cell: Cell,
    saved: Mapping[str, Any],
    numbers: Sequence[str],
    shapes: Mapping[str, tuple[int, ...]],
    needed: Sequence[str],
) -> dict[str, Any]:
    """A parameter's state as numbers and arrays; raises where it is not that of this optimizer.

    `numbers` and the keys of `shapes` are the names that may be there, `needed` those that must be.
    """
    saved = {name: value for name, value in saved.items() if value is not None}
    missing = [name for name in needed if name not in saved]
    unknown = [name for name in saved if name not in numbers and name not in shapes]
    if saved and (missing or unknown):
        raise ArgumentError(
            f"{owner}: expected the state ({', '.join(needed)}) for {cell.name}, got ({', '.join(saved)}). "
            "It is the state of another optimizer, or of other settings."
        )
    dtype = np.float64 if cell.tensor.dtype.itemsize == 8 else np.float32
    read: dict[str, Any] = {}
    for name, value in saved.items():
        array = as_array(value)
        if array.shape != shapes.get(name, ()):
            raise ShapeError(
                f"{owner}: expected {name} of {cell.name} in shape {shapes.get(name, ())}, the state has {array.shape}."
            )
        if name in numbers:
            read[name] = int(array) if name == "step" else float(array)
        else:
            flat = array.shape == cell.tensor.shape
            read[name] = (array.reshape(-1) if flat else array).astype(dtype)
    return read
