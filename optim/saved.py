"""The state of an optimizer as a dict in PyTorch's layout, and back.

    {'state': {0: {'step': tensor(12.), 'exp_avg': tensor(...), ...}, 1: ...},
     'param_groups': [{'lr': 0.001, 'betas': (0.9, 0.999), ..., 'params': [0, 1]}],
     'steps': 12}

Parameters are numbered through all groups. 'steps', which PyTorch does not have and ignores, is what schedules go on
from. A state saved by `torch.optim` can be loaded as it is: its tensors are read as arrays.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from minigrad.errors import ArgumentError, DTypeError, ShapeError
from minigrad.graph import Variable, wrap
from minigrad.optim.arena import Cell
from minigrad.optim.parameters import PYTORCH_SWITCHES
from minigrad.optim.plan import Plan
from minigrad.tensor import Tensor

__all__ = ["Stateful", "as_array", "read_groups", "read_state", "without_copies", "write_groups", "write_state"]

Group = dict[str, Any]


class Stateful:
    """The half of `Optimizer` that knows its state: shows, saves, loads and copies it."""

    #: The names of the state, in PyTorch's order. What a group really has, `state_names` says.
    numbers: ClassVar[tuple[str, ...]] = ()
    arrays: ClassVar[tuple[str, ...]] = ()

    defaults: Group
    param_groups: list[Group]
    steps: int
    _plans: list[Plan]
    _schedules: list[tuple[Group, str, Callable[[int], float]]]
    _checked: Callable[[Group], Any]
    _relist: Callable[[], None]
    _let_go: Callable[[], None]

    def state_names(self, group: Group) -> tuple[str, ...]:
        """The names of the state of a parameter in `group` once it was updated."""
        return self.numbers + self.arrays

    @property
    def state(self) -> Mapping[Tensor, dict[str, Any]]:
        """The state of each parameter that has one: Tensors that share the optimizer's memory, and numbers."""
        found = {}
        for plan in self._plans:
            for cell in plan.cells:
                state = plan.state_of(cell)
                if state:
                    found[cell.tensor] = {
                        name: wrap(cell.shaped(value)) if isinstance(value, np.ndarray) else value
                        for name, value in state.items()
                    }
        return MappingProxyType(found)

    def state_dict(self, *, copy: bool = True) -> dict[str, Any]:
        """All state in PyTorch's layout; with it a run goes on bit for bit as if it had not stopped.

        Parameters
        ----------
        copy : bool
            False shares the memory of the arrays: for writing them to a file at once.
        """
        cells = [(plan, cell) for plan in self._plans for cell in plan.cells]
        states = {i: write_state(cell, plan.state_of(cell), copy) for i, (plan, cell) in enumerate(cells)}
        return {
            "state": {i: state for i, state in states.items() if state},
            "param_groups": write_groups(self.param_groups),
            "steps": self.steps,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a saved state, of this class or of PyTorch's class of this name.

        Everything is checked before anything is changed. Hyper-parameters come from the state; schedules, which are not
        saved, go on from its step count.

        Raises
        ------
        ArgumentError, ShapeError, DTypeError
            For a state of another class, other groups, other parameters or other shapes.
        """
        owner = f"{type(self).__name__}.load_state_dict"
        needed = [name for name, value in self.defaults.items() if not isinstance(value, bool | None)]
        read = read_groups(owner, state_dict, self.param_groups, needed)
        groups = [{**ours, **theirs} for ours, theirs in zip(self.param_groups, read, strict=True)]
        for group in groups:
            self._checked(group)
        entries = iter(state_dict["state"].get(i, {}) for group in state_dict["param_groups"] for i in group["params"])
        states = [
            [self._read_state(owner, cell, next(entries), group) for cell in plan.cells]
            for plan, group in zip(self._plans, groups, strict=True)
        ]
        self._let_go()
        for plan, group, ours, new in zip(self._plans, groups, self.param_groups, states, strict=True):
            ours.update(group)
            plan.replace_states(new)
        self._relist()
        counts = [state["step"] for new in states for state in new if "step" in state]
        self.steps = int(state_dict.get("steps", max(counts, default=0)))

    def _read_state(self, owner: str, cell: Cell, entry: Mapping[str, Any], group: Group) -> dict[str, Any]:
        shapes = {name: self._state_shape(name, cell.tensor.shape) for name in self.arrays}
        return read_state(owner, cell, entry, self.numbers, shapes, self._names_of(cell, group))

    def _names_of(self, cell: Cell, group: Group) -> tuple[str, ...]:
        """The names of the state of this parameter, where they depend on it."""
        return self.state_names(group)

    def _state_shape(self, name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of a state array for a parameter of this shape."""
        return shape

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        """A copy with copies of the parameters; copying model and optimizer together keeps them together."""
        copied = type(self).__new__(type(self))
        memo[id(self)] = copied
        apart = ("_plans", "_schedules", "_watched", "_whole", "param_groups")
        copied.__dict__ = {
            name: copy.deepcopy(value, memo) for name, value in self.__dict__.items() if name not in apart
        }
        copied.param_groups = [copy.deepcopy(group, memo) for group in self.param_groups]
        twins = {id(group): twin for group, twin in zip(self.param_groups, copied.param_groups, strict=True)}
        copied._schedules = [(twins[id(group)], name, schedule) for group, name, schedule in self._schedules]
        copied._plans = []
        for group, plan in zip(copied.param_groups, self._plans, strict=True):
            cells = [Cell(p, cell.name) for p, cell in zip(group["params"], plan.cells, strict=True)]
            copied._plans.append(Plan(cells, plan.fused))
            copied._plans[-1].replace_states([copy.deepcopy(plan.state_of(cell)) for cell in plan.cells])
        copied._relist()
        return copied


def write_state(cell: Cell, state: dict[str, Any], copy: bool = True) -> dict[str, Any]:
    """A parameter's state as Tensors in the parameter's shape."""
    written = {name: np.asarray(cell.shaped(_exact(value))) for name, value in state.items()}
    return {name: wrap(array.copy() if copy else array) for name, array in written.items()}


def without_copies(part: Any) -> dict[str, Any]:
    """The `state_dict()` of anything, sharing memory where its class can do so."""
    if "copy" in inspect.signature(part.state_dict).parameters:
        return part.state_dict(copy=False)
    return part.state_dict()


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
        if not isinstance(theirs, Mapping) or "params" not in theirs:
            raise DTypeError(f"{owner}: expected group {i} to be a dict with 'params', got {theirs!r:.80}.")
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
        left_out = ("params", "param_names", *PYTORCH_SWITCHES)
        read.append({name: copy.deepcopy(value) for name, value in theirs.items() if name not in left_out})
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
