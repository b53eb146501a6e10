"""Optimizer: what all optimizers have in common.

An optimizer is a subclass that states its hyper-parameters and one update:

    class SignSGD(Optimizer):
        rules = {"lr": hyper.nonnegative}

        def __init__(self, params=None, lr=1e-3, **options):
            super().__init__(params, lr=lr, **options)

        def _update(self, block, group):
            block.p -= group["lr"] * np.sign(block.g)

`block` is a tensor or a whole arena of them (see `arena.py`): flat arrays `block.p` and `block.g`, and state by name.
Everything else stands here: parameter groups, schedules, clipping, the check for NaN, hooks. Saving and loading is in
`saved.py`, the course module's `update(params, grads)` in `on_arrays.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import numpy as np

from minigrad.errors import ArgumentError, DTypeError, NonFiniteError
from minigrad.graph import enable_grad
from minigrad.kernels.optimizers import has_nonfinite
from minigrad.optim import clip, hyper, parameters
from minigrad.optim.arena import PARALLEL_FROM, Block, Cell
from minigrad.optim.on_arrays import OnArrays
from minigrad.optim.plan import Plan
from minigrad.optim.saved import Stateful
from minigrad.tensor import RemovableHandle, Tensor

__all__ = ["Group", "Optimizer", "decays", "sign"]

Group = dict[str, Any]


class Optimizer(Stateful, OnArrays):
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

    Examples
    --------
    >>> import numpy as np
    >>> from minigrad import optim
    >>> from minigrad.optim import hyper
    >>> class SignSGD(optim.Optimizer):  # an optimizer of your own
    ...     rules = {"lr": hyper.rate}
    ...
    ...     def __init__(self, params=None, lr=0.1, **options):
    ...         super().__init__(params, lr=lr, **options)
    ...
    ...     def _update(self, block, group):
    ...         block.p -= group["lr"] * np.sign(block.g)
    >>> w = np.array([1.0, 1.0])
    >>> SignSGD(lr=0.25).update([w], [np.array([30.0, -0.2])])
    >>> w
    array([0.75, 1.25])
    """

    #: For each hyper-parameter the check and normalisation of its value, `rule(owner, name, value)`.
    rules: ClassVar[dict[str, hyper.Rule]] = {}
    #: Whether the update is one of single elements, so that many tensors can be updated as one array.
    elementwise: ClassVar[bool] = True
    #: Why step() cannot do without a closure; None if it can.
    _closure_needed: str | None = None

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
                raise DTypeError(parameters.unknown_argument(owner, name, self.rules))
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
        self._watched: list[tuple[Any, ...]] = []
        self._all_whole = False
        self._schedules: list[tuple[Group, str, Callable[[int], float]]] = []
        self._before: dict[int, Callable] = {}
        self._after: dict[int, Callable] = {}
        self._takes_arrays = params is None
        self._checked(dict(defaults))
        if params is None:
            self._add({"params": ()})
            return
        given = parameters.listed(owner, params)
        for group in given if isinstance(given[0], dict) else [{"params": given}]:
            self.add_param_group(group)

    # ---- what subclasses define --------------------------------------------------------------------------------------

    def _update(self, block: Block, group: Group) -> None:
        """Update `block.p` in place from `block.g`."""
        raise NotImplementedError(f"{type(self).__name__} does not define _update(self, block, group)")

    def _check_together(self, group: Group) -> None:
        """Raise ArgumentError for hyper-parameters that do not fit together."""

    def _check_parameter(self, p: Any, i: int) -> None:
        """Raise an error for what cannot be optimised."""
        parameters.check_parameter(type(self).__name__, p, i)

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
        owner = type(self).__name__
        group = dict(param_group)
        params = group["params"]
        entries = [params] if isinstance(params, Tensor) else parameters.listed(owner, params, "group['params']")
        names, tensors = parameters.split_names(owner, entries)
        if names is not None:
            group["param_names"] = names
        group["params"] = tuple(tensors)
        for i, p in enumerate(tensors):
            self._check_parameter(p, i)
        parameters.check_new(owner, group, self.param_groups)
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
        if closure is not None:
            loss = self._evaluate(closure)
        elif self._closure_needed is None:
            loss = None
        else:
            raise ArgumentError(f"{type(self).__name__}: {self._closure_needed}")
        work = self._work()
        if self._finite(work):
            if self._clips:
                self._clip(work)
            for block, group in work:
                self._update(block, group)
                block.store()
            if work is not self._whole:
                self._settle()
            self.steps += 1
        return loss

    def _work(self) -> list[tuple[Any, Group]]:
        """What to update, with the group it belongs to. The same list each time while every arena is whole."""
        # This loop is a good part of a small step. It is `Plan.whole` for all plans, without the calls.
        for _, tensor, data, slot, grad in self._watched:
            if tensor._data is not data or tensor._grad is not slot or slot._data is not grad:
                return self._work_anew()
        return self._whole if self._all_whole else self._work_anew()

    def _work_anew(self) -> list[tuple[Any, Group]]:
        if all(plan.whole() for plan in self._plans):
            self._relist()
            return self._whole
        groups = zip(self.param_groups, self._plans, strict=True)
        return [(block, group) for group, plan in groups for block in plan.blocks()]

    def _let_go(self) -> None:
        """Drop what `_relist` noted, before arenas are laid out anew: a tensor with other references is not moved."""
        self._whole, self._watched = [], []

    def _settle(self) -> None:
        self._let_go()
        for plan in self._plans:
            plan.settle()
        self._relist()

    def _relist(self) -> None:
        """Note what there is to update when every arena is whole, and where its parts should then be."""
        groups = zip(self.param_groups, self._plans, strict=True)
        self._whole = [(arena, group) for group, plan in groups for arena in plan.arenas]
        self._watched = [member for arena, _ in self._whole for member in arena.members]
        self._all_whole = all(arena.whole_state for arena, _ in self._whole) and not any(p.loose for p in self._plans)

    def _evaluate(self, closure: Callable[[], Any]) -> Any:
        with enable_grad():
            return closure()

    def _finite(self, work: list[tuple[Any, Group]]) -> bool:
        """Whether the step may be made; if not, it is an error, or left out and counted."""
        if self.nonfinite == "ignore":
            return True
        look = has_nonfinite.serial
        for block, _ in work:
            g = block.g
            # Without the call of a method where there is little to read: this is a good part of a small step.
            if look(g) if g.size < PARALLEL_FROM else not block.all_finite():
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
                plan.fill_grad_with_zeros()

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

    @property
    def scheduled(self) -> set[str]:
        """The hyper-parameters that follow a schedule, in one group or more."""
        return {name for _, name, _ in self._schedules}

    def __repr__(self) -> str:
        lines = []
        for i, group in enumerate(self.param_groups):
            count = sum(p.numel() for p in group["params"])
            settings = ", ".join(f"{name}={group[name]!r}" for name in self.rules)
            lines.append(f"  group {i}: {len(group['params'])} tensors, {count:,} parameters, {settings}")
        held = sum(v.nbytes for state in self.state.values() for v in state.values() if isinstance(v, Tensor))
        lines.append(f"  steps made: {self.steps}, state: {held:,} bytes")
        return "\n".join([f"{type(self).__name__}(", *lines, ")"])


def sign(group: Group) -> float:
    """What the gradient is multiplied by: -1 for a group that maximises."""
    return -1.0 if group["maximize"] else 1.0


def decays(group: Group, alpha: float) -> tuple[float, float]:
    """Weight decay as (λ for the gradient, factor for the parameter): g + λ θ, or θ (1 - α λ) if it is decoupled."""
    if group["decoupled_weight_decay"]:
        return 0.0, 1.0 - alpha * group["weight_decay"]
    return group["weight_decay"], 1.0
