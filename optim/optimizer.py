"""Optimizer: what all optimizers have in common.

An optimizer is a subclass that states its hyper-parameters and one update:

    class SignSGD(Optimizer):
        rules = {"lr": hyper.nonnegative}

        def __init__(self, params=None, lr=1e-3, **options):
            super().__init__(params, lr=lr, **options)

        def _update(self, block, group):
            block.run(kernels.sign_sgd, (), (group["lr"],))

`block` is a tensor or a whole arena of them (see `arena.py`): flat arrays `block.p` and `block.g`, and state by name.
Everything else stands here: parameter groups, schedules, clipping, the check for NaN, hooks, saving and loading.
"""

from __future__ import annotations

import copy
import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from minigrad.errors import ArgumentError, DTypeError, GraphError, NonFiniteError, ShapeError
from minigrad.graph import enable_grad, wrap
from minigrad.optim import clip, hyper, saved
from minigrad.optim.arena import Block, Cell
from minigrad.optim.plan import Plan
from minigrad.tensor import RemovableHandle, Tensor

__all__ = ["Group", "Optimizer", "decays", "sign"]

Group = dict[str, Any]
_PYTORCH_SWITCHES = ("foreach", "fused", "capturable", "differentiable")


class Optimizer:
    """Base class of all optimizers.

    Parameters
    ----------
    params : iterable of Tensors, of (name, Tensor) pairs, or of dicts; or None
        What to optimise. A dict is a parameter group: 'params', and hyper-parameters of its own. None is for
        `update(params, grads)` on numpy arrays.
    defaults
        The hyper-parameters of groups that do not say otherwise. In place of a number a schedule may stand, or any
        other function of the step: before step t (0, 1, ...) the group gets its value at t.
    clipnorm : float, optional
        Before each step, scale every gradient whose norm is larger to this norm.
    clipvalue : float, optional
        Before each step, clip every element of the gradients to [-clipvalue, clipvalue].
    global_clipnorm : float, optional
        Before each step, scale all gradients so that the norm of all of them together is at most this.
    nonfinite : {'raise', 'skip', 'ignore'}
        What to do about a NaN or an infinity in a gradient. 'raise', before anything is changed, an error that names
        the parameter; 'skip' the step (`skipped` counts them); 'ignore', and save reading the gradients once more.

    Attributes
    ----------
    param_groups : list of dict
        The parameters ('params') and hyper-parameters of each group. Numbers may be changed between steps.
    steps : int
        How many steps were made; what schedules are asked at.
    skipped : int
        How many were not, for a gradient that was not finite.

    Raises
    ------
    ArgumentError, DTypeError, GraphError
        For hyper-parameters out of range, no parameters or one given twice, things that are not Tensors, and Tensors
        that were computed by operations.

    References
    ----------
    https://docs.pytorch.org/docs/stable/optim.html; the clipping arguments are those of
    https://keras.io/api/optimizers/
    """

    #: For each hyper-parameter the check and normalisation of its value, `rule(owner, name, value)`.
    rules: ClassVar[dict[str, hyper.Rule]] = {}
    #: The names of the state, in PyTorch's order. What a group really has, `state_names` says.
    numbers: ClassVar[tuple[str, ...]] = ()
    arrays: ClassVar[tuple[str, ...]] = ()
    #: Whether the update is one of single elements, so that many tensors can be updated as one array.
    elementwise: ClassVar[bool] = True

    def __init__(
        self,
        params: Iterable[Any] | None,
        *,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        nonfinite: str = "raise",
        **defaults: Any,
    ) -> None:
        owner = type(self).__name__
        for name in defaults:
            if name not in self.rules:
                raise DTypeError(_unknown_argument(owner, name, [*self.rules, *_OPTIONS]))
        clips = {"clipnorm": clipnorm, "clipvalue": clipvalue, "global_clipnorm": global_clipnorm}
        for name, value in clips.items():
            if value is not None:
                clips[name] = hyper.positive(owner, name, value)
        if sum(value is not None for value in clips.values()) > 1:
            raise ArgumentError(f"{owner}: expected at most one of {', '.join(clips)}, got {clips}.")
        self.clipnorm, self.clipvalue, self.global_clipnorm = clips.values()
        self._clips = any(value is not None for value in clips.values())
        self.nonfinite = hyper.one_of("raise", "skip", "ignore")(owner, "nonfinite", nonfinite)
        self.defaults = defaults
        self.param_groups: list[Group] = []
        self.steps = 0
        self.skipped = 0
        self._plans: list[Plan] = []
        self._whole: list[tuple[Any, Group]] = []
        self._schedules: list[tuple[Group, str, Callable[[int], float]]] = []
        self._before: dict[int, Callable] = {}
        self._after: dict[int, Callable] = {}
        self._takes_arrays = params is None
        self._checked(dict(defaults))
        if params is None:
            self._add({"params": ()})
            return
        groups = self._listed(params, "params")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    # ---- what subclasses define --------------------------------------------------------------------------------------

    def _update(self, block: Block, group: Group) -> None:
        """Update `block.p` in place from `block.g`."""
        raise NotImplementedError(f"{type(self).__name__} does not define _update(self, block, group)")

    def _check_together(self, group: Group) -> None:
        """Raise ArgumentError for hyper-parameters that do not fit together."""

    def state_names(self, group: Group) -> tuple[str, ...]:
        """The names of the state of a parameter in `group` once it was updated."""
        return self.numbers + self.arrays

    # ---- parameter groups --------------------------------------------------------------------------------------------

    def add_param_group(self, param_group: Group) -> None:
        """Add parameters with hyper-parameters of their own.

        Parameters
        ----------
        param_group : dict
            'params', a Tensor or an iterable of Tensors or (name, Tensor) pairs; hyper-parameters that differ from
            the defaults; and whatever else you want to keep with the group.
        """
        if not isinstance(param_group, dict) or "params" not in param_group:
            raise DTypeError(f"add_param_group: expected a dict with the key 'params', got {param_group!r:.80}.")
        group = dict(param_group)
        params = group["params"]
        group["params"] = [params] if isinstance(params, Tensor) else self._listed(params, "group['params']")
        named = [isinstance(entry, tuple) and len(entry) == 2 for entry in group["params"]]
        if all(named):
            group["param_names"] = [name for name, _ in group["params"]]
            group["params"] = [tensor for _, tensor in group["params"]]
        if any(named) != all(named) or any(("param_names" in other) != all(named) for other in self.param_groups):
            raise ArgumentError(
                f"{type(self).__name__}: expected names for all parameters or for none, got some with and some without."
            )
        group["params"] = tuple(group["params"])
        known = {id(p) for other in self.param_groups for p in other["params"]}
        for i, p in enumerate(group["params"]):
            self._check_parameter(p, i)
            if id(p) in known:
                raise ArgumentError(
                    f"{type(self).__name__}: parameter {i} of the group, shape {p.shape}, is given twice, here or in "
                    "an earlier group. Each may be in one group, once."
                )
            known.add(id(p))
        self._add(group)

    def _add(self, group: Group) -> None:
        group, schedules = self._checked({**self.defaults, **group})
        names = group.get("param_names") or [
            f"parameter {i} of group {len(self.param_groups)}, shape {p.shape}" for i, p in enumerate(group["params"])
        ]
        self._schedules += [(group, name, schedule) for name, schedule in schedules.items()]
        self._plans.append(Plan(list(map(Cell, group["params"], names)), self.elementwise))
        self.param_groups.append(group)
        self._relist()

    def _checked(self, group: Group) -> tuple[Group, dict[str, Callable[[int], float]]]:
        """The group with its hyper-parameters checked, schedules replaced by their present values; the schedules."""
        schedules = {name: group[name] for name in self.rules if callable(group[name])}
        for name, rule in self.rules.items():
            value = schedules[name](self.steps) if name in schedules else group[name]
            group[name] = rule(type(self).__name__, name, value)
        self._check_together(group)
        return group, schedules

    def _listed(self, params: Any, what: str) -> list[Any]:
        owner = type(self).__name__
        if hasattr(params, "parameters"):
            raise DTypeError(f"{owner}: expected {what} to be Tensors, got a model. Give it model.parameters().")
        if isinstance(params, Tensor | str | bytes | dict) or not isinstance(params, Iterable):
            advice = " Without parameters, name the learning rate: lr=..." if isinstance(params, float) else ""
            raise DTypeError(
                f"{owner}: expected {what} to be an iterable of Tensors or dicts, got {type(params).__name__}.{advice}"
            )
        if isinstance(params, set | frozenset):
            raise DTypeError(f"{owner}: expected {what} in a fixed order, got a set. Give it a list.")
        listed = list(params)
        if not listed:
            raise ArgumentError(
                f"{owner}: expected at least one parameter in {what}, got none. A generator, such as "
                "model.parameters(), gives its elements only once: was it used before?"
            )
        return listed

    def _check_parameter(self, p: Any, i: int) -> None:
        owner = type(self).__name__
        if not isinstance(p, Tensor):
            raise DTypeError(f"{owner}: expected Tensors to optimise, got {type(p).__name__} at position {i}.")
        if not p.is_leaf:
            raise GraphError(
                f"{owner}: parameter {i}, shape {p.shape}, was computed by an operation, so it gets no gradient. "
                "Optimise the tensors that it was computed from, or p.detach().requires_grad_()."
            )

    # ---- the step ----------------------------------------------------------------------------------------------------

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient.

        Parameters
        ----------
        closure : function, optional
            Clears the gradients, computes the loss and calls backward, and returns the loss.

        Returns
        -------
        what the closure returned, or None

        Raises
        ------
        NonFiniteError
            For a gradient with a NaN or an infinity, under nonfinite='raise'. Nothing has been changed then.
        """
        if self._before:
            closure = self._call_before(closure)
        for group, name, schedule in self._schedules:
            group[name] = self.rules[name](type(self).__name__, name, schedule(self.steps))
        loss = self._make_step(closure)
        if self._after:
            for hook in list(self._after.values()):
                hook(self, (closure,), {})
        return loss

    def _make_step(self, closure: Callable[[], Any] | None) -> Any:
        loss = None if closure is None else self._evaluate(closure)
        work = self._work()
        if self._finite(work):
            if self._clips:
                self._clip(work)
            for block, group in work:
                self._update(block, group)
                block.store()
            if work is not self._whole:
                for plan in self._plans:
                    plan.settle()
                self._relist()
            self.steps += 1
        return loss

    def _work(self) -> list[tuple[Any, Group]]:
        """What to update, with the group it belongs to. The same list each time while every arena is whole."""
        for plan in self._plans:
            if not plan.whole():
                groups = zip(self.param_groups, self._plans, strict=True)
                return [(block, group) for group, plan in groups for block in plan.blocks()]
        return self._whole

    def _relist(self) -> None:
        """Note what there is to update when every arena is whole."""
        groups = zip(self.param_groups, self._plans, strict=True)
        self._whole = [(arena, group) for group, plan in groups for arena in plan.arenas]

    def _evaluate(self, closure: Callable[[], Any]) -> Any:
        with enable_grad():
            return closure()

    def _finite(self, work: list[tuple[Any, Group]]) -> bool:
        """Whether the step may be made: the gradients are finite, or it does not matter."""
        if self.nonfinite != "ignore":
            for block, _ in work:
                if not block.finite():
                    if self.nonfinite == "raise":
                        raise NonFiniteError(self._say_nonfinite(block))
                    self.skipped += 1
                    return False
        return True

    def _say_nonfinite(self, block: Block) -> str:
        cell = next(cell for cell in block.cells() if not np.isfinite(cell.tensor._grad._data).all())
        grad = cell.tensor._grad._data
        return (
            f"{type(self).__name__}: the gradient of {cell.name} has {np.isnan(grad).sum()} NaN and "
            f"{np.isinf(grad).sum()} infinities among {grad.size} elements, at step {self.steps}. Nothing was changed. "
            "Lower the learning rate or clip the gradients; nonfinite='skip' leaves such steps out."
        )

    def _clip(self, work: list[tuple[Any, Group]]) -> None:
        tensors = [cell.tensor for block, _ in work for cell in block.cells()]
        if self.clipvalue is not None:
            clip.clip_grad_value_(tensors, self.clipvalue)
        if self.clipnorm is not None:
            clip.clip_grad_norm_each_(tensors, self.clipnorm)
        if self.global_clipnorm is not None:
            clip.clip_grad_norm_(tensors, self.global_clipnorm)
        for block, _ in work:
            if isinstance(block, Cell):
                block.load()  # its gradient may be a copy

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients.

        Parameters
        ----------
        set_to_none : bool
            True: `.grad` becomes None, and parameters that get no gradient are left out of the next step. False: it
            becomes zero, and momentum and weight decay still move them.
        """
        for plan in self._plans:
            if set_to_none:
                plan.zero_grad()
            else:
                for cell in plan.cells:
                    if cell.tensor._grad is not None:
                        cell.tensor._grad = cell.tensor._grad.detach().zero_()

    # ---- on numpy arrays ---------------------------------------------------------------------------------------------

    def update(self, params: Sequence[np.ndarray], grads: Any) -> None:
        """One step on numpy arrays, in place, for an optimizer made without parameters.

        Parameters
        ----------
        params : sequence of arrays of floats
            The same number and shapes in each call: state belongs to the position.
        grads : sequence of arrays, or function of `params` that returns it
            The gradient for each array; None leaves it out. A function is called where the optimizer wants the
            gradient: `nesterov='lookahead'` needs one.

        Examples
        --------
        >>> import numpy as np
        >>> from minigrad import optim
        >>> w = np.array([1.0, -2.0])
        >>> optim.SGD(lr=0.1).update([w], [w])
        >>> w
        array([ 0.9, -1.8])
        """
        tensors = self._around(params)

        def give_gradients() -> None:
            given = grads(params) if callable(grads) else grads
            if len(given) != len(tensors):
                raise ArgumentError(f"update: expected {len(tensors)} gradients, one an array, got {len(given)}.")
            for i, (tensor, g) in enumerate(zip(tensors, given, strict=True)):
                if g is not None and np.shape(g) != tensor.shape:
                    raise ShapeError(f"update: array {i} has shape {tensor.shape}, its gradient {np.shape(g)}.")
            for tensor, g in zip(tensors, given, strict=True):
                tensor._grad = None if g is None else wrap(np.array(g, tensor.dtype))

        if callable(grads):
            self.step(give_gradients)
        else:
            give_gradients()
            self.step()

    def _around(self, params: Sequence[np.ndarray]) -> Sequence[Tensor]:
        """The optimizer's Tensors, around these arrays."""
        if not self._takes_arrays:
            raise ArgumentError(
                "update: this optimizer was made with parameters, use step(). For arrays make it without: "
                f"{type(self).__name__}(lr=...)."
            )
        for i, array in enumerate(params):
            if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
                kind = array.dtype.name if isinstance(array, np.ndarray) else type(array).__name__
                raise DTypeError(f"update: expected arrays of floats to change in place, got {kind} at position {i}.")
        group = self.param_groups[0]
        if not group["params"]:
            group["params"] = tuple(wrap(array) for array in params)
            cells = [Cell(tensor, f"array {i}") for i, tensor in enumerate(group["params"])]
            self._plans[0] = Plan(cells, fused=False)
        tensors = group["params"]
        if [tensor.shape for tensor in tensors] != [array.shape for array in params]:
            raise ShapeError(
                f"update: expected arrays of the shapes {[t.shape for t in tensors]}, as in the first call, "
                f"got {[array.shape for array in params]}."
            )
        for tensor, array in zip(tensors, params, strict=True):
            tensor._data = array
        return tensors

    # ---- hooks -------------------------------------------------------------------------------------------------------

    def register_step_pre_hook(self, hook: Callable) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` before each step; it may return other (args, kwargs)."""
        return RemovableHandle(self._before, hook)

    def register_step_post_hook(self, hook: Callable) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` after each step."""
        return RemovableHandle(self._after, hook)

    def _call_before(self, closure: Any) -> Any:
        for hook in list(self._before.values()):
            answer = hook(self, (closure,), {})
            if answer is not None:
                args, kwargs = answer
                closure = kwargs.get("closure", args[0] if args else None)
        return closure

    # ---- state -------------------------------------------------------------------------------------------------------

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

    def state_dict(self) -> dict[str, Any]:
        """Copies of all state in PyTorch's layout; with it a run goes on bit for bit as if it had not stopped."""
        cells = [(plan, cell) for plan in self._plans for cell in plan.cells]
        states = {i: saved.write_state(cell, plan.state_of(cell)) for i, (plan, cell) in enumerate(cells)}
        return {
            "state": {i: state for i, state in states.items() if state},
            "param_groups": saved.write_groups(self.param_groups),
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
        groups = [
            {**ours, **theirs}
            for ours, theirs in zip(
                self.param_groups, saved.read_groups(owner, state_dict, self.param_groups, needed), strict=True
            )
        ]
        for group in groups:
            self._checked(group)
        entries = iter(state_dict["state"].get(i, {}) for group in state_dict["param_groups"] for i in group["params"])
        states = [
            [self._read_state(owner, cell, next(entries), group) for cell in plan.cells]
            for plan, group in zip(self._plans, groups, strict=True)
        ]
        for plan, group, ours, new in zip(self._plans, groups, self.param_groups, states, strict=True):
            ours.update(group)
            plan.replace_states(new)
        self._relist()
        counts = [state["step"] for new in states for state in new if "step" in state]
        self.steps = int(state_dict.get("steps", max(counts, default=0)))

    def _read_state(self, owner: str, cell: Cell, entry: Mapping[str, Any], group: Group) -> dict[str, Any]:
        shapes = {name: self._state_shape(name, cell.tensor.shape) for name in self.arrays}
        return saved.read_state(owner, cell, entry, self.numbers, shapes, self._names_of(cell, group))

    def _names_of(self, cell: Cell, group: Group) -> tuple[str, ...]:
        """The names of the state of this parameter, where they depend on it."""
        return self.state_names(group)

    def _state_shape(self, name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of a state array for a parameter of this shape."""
        return shape

    # ---- what it looks like ------------------------------------------------------------------------------------------

    @property
    def lr(self) -> Any:
        """The learning rate of the first group; setting it sets that of every group."""
        return self.param_groups[0]["lr"]

    @lr.setter
    def lr(self, value: Any) -> None:
        value = self.rules["lr"](type(self).__name__, "lr", value)
        for group in self.param_groups:
            group["lr"] = value

    def __repr__(self) -> str:
        lines = []
        for i, group in enumerate(self.param_groups):
            count = sum(p.numel() for p in group["params"])
            settings = ", ".join(f"{name}={group[name]!r}" for name in self.rules)
            lines.append(f"  group {i}: {len(group['params'])} tensors, {count:,} parameters, {settings}")
        held = sum(v.nbytes for state in self.state.values() for v in state.values() if isinstance(v, Tensor))
        lines.append(f"  steps made: {self.steps}, state: {held:,} bytes")
        return "\n".join([f"{type(self).__name__}(", *lines, ")"])

    def __deepcopy__(self, memo: dict[int, Any]) -> Optimizer:
        """A copy with copies of the parameters; copying model and optimizer together keeps them together."""
        copied = type(self).__new__(type(self))
        memo[id(self)] = copied
        apart = ("_plans", "_schedules", "_whole", "param_groups")
        copied.__dict__ = {
            name: copy.deepcopy(value, memo) for name, value in self.__dict__.items() if name not in apart
        }
        copied.param_groups = [copy.deepcopy(group, memo) for group in self.param_groups]
        copied._schedules = [
            (copied.param_groups[self.param_groups.index(group)], name, schedule)
            for group, name, schedule in self._schedules
        ]
        copied._plans = []
        for group, plan in zip(copied.param_groups, self._plans, strict=True):
            cells = [Cell(p, cell.name) for p, cell in zip(group["params"], plan.cells, strict=True)]
            copied._plans.append(Plan(cells, plan.fused))
            copied._plans[-1].replace_states([copy.deepcopy(plan.state_of(cell)) for cell in plan.cells])
        copied._relist()
        return copied


def sign(group: Group) -> float:
    """What the gradient is multiplied by: -1 for a group that maximises."""
    return -1.0 if group["maximize"] else 1.0


def decays(group: Group, alpha: float) -> tuple[float, float]:
    """Weight decay as (λ for the gradient, factor for the parameter): g + λ θ, or θ (1 - α λ) if it is decoupled."""
    if group["decoupled_weight_decay"]:
        return 0.0, 1.0 - alpha * group["weight_decay"]
    return group["weight_decay"], 1.0


_OPTIONS = ("clipnorm", "clipvalue", "global_clipnorm", "nonfinite")


def _unknown_argument(owner: str, name: str, known: list[str]) -> str:
    if name in _PYTORCH_SWITCHES:
        return f"{owner}: {name} chooses among PyTorch's implementations; minigrad has one. Leave it out."
    close = difflib.get_close_matches(name, known, 1)
    advice = f" Did you mean {close[0]}?" if close else ""
    return f"{owner}: unknown argument {name!r}.{advice} It takes {', '.join(known)}."
