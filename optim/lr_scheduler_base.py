"""What every scheduler under a PyTorch name is: a position on a schedule that is written into an optimizer.

The optimizer is known only by its `param_groups`, a list of dicts with the key 'lr' (and, where a scheduler
cycles it, 'momentum' or 'betas'). minigrad's optimizers have it, PyTorch's too, and so has anything else.

Two kinds of scheduler differ in what a learning rate edited by hand does:

- an `AbsoluteScheduler` computes the value from the base rate and forgets the edit at its next step (LambdaLR,
  CyclicLR, OneCycleLR, CosineAnnealingWarmRestarts);
- a `ChainableScheduler` goes on from the present value and carries the edit along: it multiplies what it finds
  by f(t)/f(t-1), which is also what lets several of them work on one optimizer. Each is a pure schedule f and
  little else.
"""

from __future__ import annotations

import copy
import types
from typing import Any

from minigrad.errors import ArgumentError
from minigrad.optim import schedule_checks as check
from minigrad.optim.schedule_base import Schedule

__all__ = ["AbsoluteScheduler", "ChainableScheduler", "LRScheduler"]


class LRScheduler:
    """Base class of the schedulers: the counter, the writing, the state.

    A subclass defines `get_lr`, which returns the learning rate of each group at `last_epoch`, and names in
    `hyper_parameters` the attributes that belong to its state.

    Parameters
    ----------
    optimizer : any object with `param_groups`
        Its learning rates are set when the scheduler is built and at each `step`.
    last_epoch : int
        -1 to begin. To go on after k calls of `step` without a saved state, k - 1: the groups must then have
        'initial_lr', which a loaded optimizer has.

    Attributes
    ----------
    base_lrs : list of float
        The learning rates that the schedule starts from, one a group.
    last_epoch : int
        The number of steps made.

    Notes
    -----
    Resuming: build the optimizer and the scheduler in any order and load their states in any order. The
    scheduler's state holds everything it has set, learning rates included, and loading writes it to the groups.

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import optim
    >>> class Halving(LRScheduler):  # a scheduler of your own
    ...     def get_lr(self):
    ...         return [base_lr * 0.5**self.last_epoch for base_lr in self.base_lrs]
    >>> optimizer = optim.SGD([minigrad.zeros(1, requires_grad=True)], lr=1.0)
    >>> scheduler = Halving(optimizer)
    >>> for _ in range(3):
    ...     optimizer.step()
    ...     scheduler.step()
    >>> scheduler.get_last_lr()
    [0.125]
    """

    #: Names of the attributes, besides the position, that `state_dict` holds.
    hyper_parameters: tuple[str, ...] = ()
    #: Those among them that PyTorch's state of the class lacks: there the constructor's arguments stay.
    own_state: tuple[str, ...] = ()

    _last_lr: list[float]

    def __init__(self, optimizer: Any, last_epoch: int = -1) -> None:
        groups = self._groups_of(optimizer, last_epoch)
        for group in groups:
            group.setdefault("initial_lr", float(group["lr"]))
        self.optimizer = optimizer
        self.base_lrs = [float(group["initial_lr"]) for group in groups]
        self.initial_lrs = list(self.base_lrs)
        self._step_count = 1
        self.last_epoch = last_epoch + 1
        if last_epoch == -1:
            self._begin()
        else:
            self._resume()

    def get_lr(self) -> list[float]:
        """Return the learning rate of each group at `last_epoch`, for `step`; `get_last_lr` is for reading."""
        raise NotImplementedError(f"{type(self).__name__} does not define get_lr(self)")

    def get_last_lr(self) -> list[float]:
        """Return the learning rate of each group as last set by this scheduler."""
        return list(self._last_lr)

    def step(self, epoch: int | None = None) -> None:
        """Go one step on, after the optimizer's own `step`, and set the learning rates.

        Parameters
        ----------
        epoch : int, optional
            Jump to this step instead, as if every step up to it had been made from the base learning rate.
        """
        if epoch is not None:
            check.integer(type(self).__name__, "epoch", epoch, at_least=0)
        self._count()
        if epoch is None:
            self.last_epoch += 1
            self._write(self.get_lr())
        else:
            self._jump(epoch)

    def _count(self) -> None:
        """Begin a step, with as many groups as at the start."""
        groups = len(self.optimizer.param_groups)
        if groups != len(self.base_lrs):
            raise ArgumentError(
                f"{type(self).__name__}: expected {len(self.base_lrs)} parameter groups, as when it was built, "
                f"got {groups}. Build a new scheduler after add_param_group."
            )
        self._step_count += 1

    def state_dict(self) -> dict[str, Any]:
        """Return the state as a dict of copies: position, base and present learning rates, settings."""
        names = ("base_lrs", "last_epoch", "_step_count", *self.hyper_parameters)
        # The rates are read from the groups, so that one edited by hand since the last step is not lost.
        return {
            "scheduler": type(self).__name__,
            "initial_lrs": [float(group.get("initial_lr", group["lr"])) for group in self.optimizer.param_groups],
            **{name: copy.deepcopy(getattr(self, name)) for name in names},
            "_last_lr": self._read(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take on a saved state, and write its learning rates to the optimizer.

        PyTorch's state of the same class loads too.

        Raises
        ------
        ArgumentError
            If the state is of another class or for another number of groups, or a setting in it is not valid.
            Nothing is changed then.
        """
        copy.copy(self)._take(state_dict)
        self._absorb(state_dict)
        self._apply()

    def _take(self, state_dict: dict[str, Any]) -> None:
        """Set the attributes from a state and check them; called on a copy, so an error changes nothing."""
        name = type(self).__name__
        saved_by = state_dict.get("scheduler", name)
        if saved_by != name:
            raise ArgumentError(f"{name}.load_state_dict: expected the state of a {name}, got a {saved_by}'s.")
        known = set(self.state_dict()) - {"scheduler"}
        missing = sorted(known - {"initial_lrs", *self.own_state} - set(state_dict))
        if missing:
            raise ArgumentError(
                f"{name}.load_state_dict: expected the state of a {name}, but {', '.join(missing)} "
                f"is not in it (it has {', '.join(sorted(map(str, state_dict)))})."
            )
        groups = len(self.optimizer.param_groups)
        for key in ("base_lrs", "initial_lrs", "_last_lr"):
            if key in state_dict and len(state_dict[key]) != groups:
                raise ArgumentError(
                    f"{name}.load_state_dict: expected {groups} learning rates in {key}, one for each group, "
                    f"got {len(state_dict[key])}. Build the optimizer with the groups it was saved with."
                )
        for key in known & set(state_dict):
            setattr(self, key, copy.deepcopy(state_dict[key]))
        self.base_lrs = [float(lr) for lr in self.base_lrs]
        self._last_lr = [float(lr) for lr in self._last_lr]
        self._validate()

    def _absorb(self, state_dict: dict[str, Any]) -> None:
        """Take on a state that has been checked, with everything inside that a copy would share."""
        self._take(state_dict)

    def _apply(self) -> None:
        """Write what a loaded state says to the optimizer."""
        for group, initial_lr in zip(self.optimizer.param_groups, self.initial_lrs, strict=True):
            group["initial_lr"] = initial_lr
        self._write(self._last_lr)

    def _validate(self) -> None:
        """Check the settings, and raise ArgumentError for one that is not valid."""

    def _begin(self) -> None:
        """Take position 0, on top of whatever learning rates the groups have now."""
        self.last_epoch = 0
        self._write(self.get_lr())

    def _restart(self) -> None:
        """Take position 0 from the base learning rates: what a SequentialLR does at its milestone."""
        self._write(self.base_lrs)
        self._begin()

    def _resume(self) -> None:
        """Set the learning rates at a position given by hand (`last_epoch`)."""
        self._write(self.get_lr())

    def _jump(self, epoch: int) -> None:
        """Go to a step as if by stepping. In general there is no shorter way than to do that."""
        self._restart()
        for _ in range(epoch):
            self.last_epoch += 1
            self._write(self.get_lr())

    def _write(self, lrs: list[float]) -> None:
        for group, lr in zip(self.optimizer.param_groups, lrs, strict=True):
            write(group, "lr", lr)
        self._last_lr = self._read()

    def _read(self) -> list[float]:
        return [float(group["lr"]) for group in self.optimizer.param_groups]

    def _groups_of(self, optimizer: Any, last_epoch: int = -1) -> list[dict[str, Any]]:
        """Return the parameter groups, once it is known that this scheduler can begin, or go on, with them."""
        name = type(self).__name__
        check.integer(name, "last_epoch", last_epoch, at_least=-1)
        groups = getattr(optimizer, "param_groups", None)
        if not isinstance(groups, list) or not groups or not all(isinstance(group, dict) for group in groups):
            raise ArgumentError(
                f"{name}: expected an optimizer with param_groups, a list of dicts, got {type(optimizer).__name__}."
            )
        for i, group in enumerate(groups):
            if "lr" not in group:
                raise ArgumentError(f"{name}: expected 'lr' in param_groups[{i}], got {', '.join(group)}.")
            if callable(group["lr"]) and not hasattr(group["lr"], "item"):
                self._refuse_schedule(f"{group['lr']!r} as 'lr' in param_groups[{i}]")
            if last_epoch >= 0 and "initial_lr" not in group:
                raise ArgumentError(
                    f"{name}: expected 'initial_lr' in param_groups[{i}], because last_epoch={last_epoch} means to go "
                    f"on with a run. Load the optimizer's state first, or leave last_epoch out and load the "
                    f"scheduler's state."
                )
        # minigrad's optimizers show the present value in the group and keep the schedule itself.
        if "lr" in getattr(optimizer, "scheduled", ()):
            self._refuse_schedule(f"a schedule as lr of the {type(optimizer).__name__}")
        return groups

    def _refuse_schedule(self, what: str) -> None:
        raise ArgumentError(
            f"{type(self).__name__}: expected a number as learning rate, got {what}, which the optimizer asks at each "
            f"step and which would undo what the scheduler sets. Give the optimizer a number, or drop the scheduler "
            f"and multiply the schedules."
        )

    def _for_each_group(self, name: str, value: Any, groups: int) -> list[float]:
        """Return one number for each parameter group, from a number or from a list of as many."""
        owner = type(self).__name__
        if not isinstance(value, list | tuple):
            return [float(check.nonnegative(owner, name, value))] * groups
        if len(value) != groups:
            raise ArgumentError(
                f"{owner}: expected {name} as one number or a list of {groups}, one for each group, got {len(value)}."
            )
        return [float(check.nonnegative(owner, f"{name}[{i}]", v)) for i, v in enumerate(value)]

    def __repr__(self) -> str:
        settings = [f"{name}={getattr(self, name)!r}" for name in self.hyper_parameters]
        return f"{type(self).__name__}({', '.join([*settings, f'last_epoch={self.last_epoch}'])})"


class AbsoluteScheduler(LRScheduler):
    """A scheduler whose value follows from `base_lrs` and `last_epoch` alone.

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import optim
    >>> class Down(AbsoluteScheduler):
    ...     def get_lr(self):
    ...         return [base_lr * (1 - self.last_epoch / 4) for base_lr in self.base_lrs]
    >>> optimizer = optim.SGD([minigrad.zeros(1, requires_grad=True)], lr=8.0)
    >>> scheduler = Down(optimizer)
    >>> scheduler.step()
    >>> optimizer.lr = 3.0  # edited by hand: forgotten at the next step
    >>> scheduler.step()
    >>> optimizer.lr
    4.0
    """

    def _restart(self) -> None:
        self._begin()

    def _jump(self, epoch: int) -> None:
        self.last_epoch = epoch
        self._write(self.get_lr())


class ChainableScheduler(LRScheduler):
    """A scheduler that goes on from the learning rate it finds, so that several of them multiply.

    With f the pure `schedule` of the factor, and a floor that only cosine annealing raises above 0:

        lr_t = floor + (lr_(t-1) - floor) · f(t)/f(t-1)

    Nothing can be scaled up from f(t-1) = 0; there lr_t = lr_(t-1) + (base_lr - floor) · f(t).

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import optim
    >>> from minigrad.optim.schedules import linear
    >>> class Down(ChainableScheduler):
    ...     @property
    ...     def schedule(self):
    ...         return linear(1.0, 0.0, T=4)
    >>> optimizer = optim.SGD([minigrad.zeros(1, requires_grad=True)], lr=8.0)
    >>> scheduler = Down(optimizer)
    >>> scheduler.step()
    >>> optimizer.lr = 3.0  # edited by hand: carried along
    >>> scheduler.step()
    >>> optimizer.lr
    2.0
    """

    #: The value that the factor leaves alone.
    floor: float = 0.0

    @property
    def schedule(self) -> Schedule:
        """The pure schedule of the factor by which the base learning rate is multiplied."""
        raise NotImplementedError(f"{type(self).__name__} does not define schedule")

    def ratio(self, t: int) -> float | None:
        """Return f(t)/f(t-1), or None where f(t-1) is 0."""
        before = self.schedule(t - 1)
        return self.schedule(t) / before if before != 0 else None

    def climb(self, t: int) -> float:
        """Return f(t) where f(t-1) is 0."""
        return self.schedule(t)

    def get_lr(self) -> list[float]:
        t = self.last_epoch
        ratio = self.schedule(0) if t == 0 else self.ratio(t)
        lrs = self._read()
        if ratio is None:
            climb = self.climb(t)
            return [lr + (base_lr - self.floor) * climb for lr, base_lr in zip(lrs, self.base_lrs, strict=True)]
        # The floor is not taken off and put back for a factor of 1: that would cost the last bit for nothing.
        return lrs if ratio == 1.0 else [self.floor + (lr - self.floor) * ratio for lr in lrs]

    def _resume(self) -> None:
        # The optimizer was loaded with the value of this very step; there is nothing to multiply.
        self._last_lr = self._read()

    def _jump(self, epoch: int) -> None:
        self.last_epoch = epoch
        factor = self.schedule(epoch)
        self._write([self.floor + (base_lr - self.floor) * factor for base_lr in self.base_lrs])

    def _validate(self) -> None:
        _ = self.schedule


def write(group: dict[str, Any], key: str, value: float) -> None:
    """Set an entry of a parameter group; a tensor there, as PyTorch allows, is filled and stays the same."""
    if hasattr(group.get(key), "fill_"):
        group[key].fill_(value)
    else:
        group[key] = value


def state_of_function(function: Any) -> dict[str, Any] | None:
    """Return what a callable object keeps in attributes, None for one that keeps nothing.

    A plain function keeps nothing and a `Schedule` never changes: the code that builds them is their state.
    """
    stateless = (types.FunctionType, types.MethodType, types.BuiltinFunctionType, Schedule)
    if isinstance(function, stateless) or not hasattr(function, "__dict__"):
        return None
    return copy.deepcopy(function.__dict__)


def load_function(function: Any, saved: dict[str, Any] | None) -> None:
    """Give a callable object the attributes that `state_of_function` returned."""
    if saved is not None and not isinstance(function, Schedule):
        function.__dict__.update(copy.deepcopy(saved))
