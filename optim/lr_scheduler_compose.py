"""Schedulers that run others, and the one that steps by a measured metric."""

from __future__ import annotations

import copy
import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any, Literal

from minigrad.errors import ArgumentError
from minigrad.optim import schedule_checks as check
from minigrad.optim.lr_scheduler_base import LRScheduler, write

__all__ = ["ChainedScheduler", "ReduceLROnPlateau", "SequentialLR"]


class ReduceLROnPlateau(LRScheduler):
    """A fall by `factor` when a metric has stopped getting better.

    A metric m is better than the best so far, b, when with mode 'min' (with 'max', the other way round)

        rel:         m < b (1 - threshold)       PyTorch's rule, meant for positive metrics
        abs:         m < b - threshold
        rel-signed:  m < b - threshold · |b|     the same for positive metrics, and right for negative ones

    With 'rel' a negative metric counts as better even when it is a little worse, so that the learning rate
    never falls; a log-likelihood needs 'rel-signed' or 'abs'.

    It multiplies what it finds, so it works beside other chainable schedulers, and it may stand in a
    `SequentialLR` or a `ChainedScheduler` (after a warm-up, say), whose `step` then takes the metric. A
    schedule of this kind has no end: it can go down at any time, to `min_lr`.

    Parameters
    ----------
    optimizer : any object with `param_groups`
    mode : {'min', 'max'}
        Whether a lower or a higher metric is better.
    factor : float
        What the learning rate is multiplied by, from 0 to below 1.
    patience : int
        How many steps in a row without a better metric are borne; the next one brings the fall.
    threshold : float
        How much better is better, zero or more.
    threshold_mode : {'rel', 'abs', 'rel-signed'}
        See above.
    cooldown : int
        How many steps after a fall are not counted.
    min_lr : float, or list with one for each group
        The learning rate is not taken below it.
    eps : float
        A fall by less than this is not made.

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import optim
    >>> from minigrad.optim import lr_scheduler
    >>> optimizer = optim.SGD([minigrad.zeros(1, requires_grad=True)], lr=1.0)
    >>> scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
    >>> rates = []
    >>> for loss in (3.0, 2.0, 2.0, 2.5, 1.0):
    ...     scheduler.step(loss)
    ...     rates.append(optimizer.lr)
    >>> rates
    [1.0, 1.0, 1.0, 0.5, 0.5]
    """

    hyper_parameters = (
        "mode",
        "factor",
        "patience",
        "threshold",
        "threshold_mode",
        "cooldown",
        "min_lrs",
        "default_min_lr",
        "eps",
        "best",
        "num_bad_epochs",
        "cooldown_counter",
    )
    # PyTorch's class does not derive its first rate from a base, and does not count calls.
    own_state = ("base_lrs", "_step_count")

    def __init__(
        self,
        optimizer: Any,
        mode: Literal["min", "max"] = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: Literal["rel", "abs", "rel-signed"] = "rel",
        cooldown: int = 0,
        min_lr: float | list[float] = 0,
        eps: float = 1e-8,
    ) -> None:
        self.mode = mode
        self.factor = factor
        self.patience = patience
        self.threshold = threshold
        self.threshold_mode = threshold_mode
        self.cooldown = cooldown
        self.eps = eps
        self._validate()
        self.min_lrs = self._for_each_group("min_lr", min_lr, len(self._groups_of(optimizer)))
        self.default_min_lr = None if isinstance(min_lr, list | tuple) else self.min_lrs[0]
        super().__init__(optimizer)

    def _validate(self) -> None:
        name = "ReduceLROnPlateau"
        check.choice(name, "mode", self.mode, ("min", "max"))
        if check.between(name, "factor", self.factor, 0, 1) == 1:
            raise ArgumentError(f"{name}: expected factor below 1, got 1, which would reduce nothing.")
        check.integer(name, "patience", self.patience, at_least=0)
        check.nonnegative(name, "threshold", self.threshold)
        check.choice(name, "threshold_mode", self.threshold_mode, ("rel", "abs", "rel-signed"))
        check.integer(name, "cooldown", self.cooldown, at_least=0)
        check.nonnegative(name, "eps", self.eps)

    def _begin(self) -> None:
        self.last_epoch = 0
        self.best = math.inf if self.mode == "min" else -math.inf
        self.num_bad_epochs = 0
        self.cooldown_counter = 0
        self._last_lr = self._read()

    def _jump(self, epoch: int) -> None:
        raise ArgumentError(
            "ReduceLROnPlateau: expected a metric for each step, got only a step to jump to: where it stands "
            "depends on what was measured. Load its state instead."
        )

    @property
    def in_cooldown(self) -> bool:
        """Whether steps are not counted because of a recent fall."""
        return self.cooldown_counter > 0

    def is_better(self, metric: float, best: float) -> bool:
        """Return whether a metric is better than the best so far, by the rule of `threshold_mode`."""
        sign = -1.0 if self.mode == "min" else 1.0
        if math.isinf(best):
            return sign * metric > sign * best
        if self.threshold_mode == "rel":
            limit = best * (1.0 + sign * self.threshold)
        else:
            limit = best + sign * self.threshold * (1.0 if self.threshold_mode == "abs" else abs(best))
        return sign * metric > sign * limit

    def step(self, metrics: Any = None, epoch: int | None = None) -> None:  # type: ignore[override]
        """Take in the metric of this step, and reduce the learning rate if it is time.

        Parameters
        ----------
        metrics : number
            The metric; anything that `float` accepts, a loss tensor for instance.
        epoch : int, optional
            The number of this step, by default one more than the last.

        Raises
        ------
        ArgumentError
            If no metric is given.
        """
        if metrics is None:
            raise ArgumentError(
                "ReduceLROnPlateau: expected the metric, step(metric), got none. In a SequentialLR or a "
                "ChainedScheduler give it to their step."
            )
        metric = float(metrics)
        added = len(self.optimizer.param_groups) - len(self.base_lrs)
        if added > 0 and self.default_min_lr is not None:
            # It needs nothing of a group but its rate, so one added on the way joins in, as with PyTorch.
            self.base_lrs += [float(group["lr"]) for group in self.optimizer.param_groups[-added:]]
            self.min_lrs += [self.default_min_lr] * added
        self._count()
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        if self.is_better(metric, self.best):
            self.best = metric
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.in_cooldown:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce()
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0
        self._last_lr = self._read()

    def _reduce(self) -> None:
        for group, min_lr in zip(self.optimizer.param_groups, self.min_lrs, strict=True):
            lr = float(group["lr"])
            reduced = max(lr * self.factor, min_lr)
            if lr - reduced > self.eps:
                write(group, "lr", reduced)


class _Composite(LRScheduler):
    """What SequentialLR and ChainedScheduler share: the schedulers inside, and their part of the state."""

    _schedulers: list[LRScheduler]

    def _check_schedulers(self, schedulers: Any, optimizer: Any) -> list[LRScheduler]:
        name = type(self).__name__
        if not isinstance(schedulers, list | tuple) or not schedulers:
            raise ArgumentError(f"{name}: expected a list of schedulers, one or more, got {schedulers!r}.")
        for i, scheduler in enumerate(schedulers):
            if not isinstance(scheduler, LRScheduler):
                raise ArgumentError(f"{name}: expected schedulers[{i}] to be a scheduler, got {scheduler!r}.")
            if scheduler.optimizer is not (schedulers[0].optimizer if optimizer is None else optimizer):
                raise ArgumentError(
                    f"{name}: expected all schedulers to be of one optimizer, but schedulers[{i}], a "
                    f"{type(scheduler).__name__}, has another. Build them all with the same optimizer object."
                )
        return list(schedulers)

    def state_dict(self) -> dict[str, Any]:
        """Return the state, with the state of each scheduler inside."""
        return {**super().state_dict(), "_schedulers": [s.state_dict() for s in self._schedulers]}

    def _take(self, state_dict: dict[str, Any]) -> None:
        schedulers = self._schedulers
        super()._take(state_dict)
        states = state_dict["_schedulers"]
        if len(states) != len(schedulers):
            raise ArgumentError(
                f"{type(self).__name__}.load_state_dict: expected the states of {len(schedulers)} "
                f"schedulers, got {len(states)}."
            )
        # Copies take the states, so that one that does not fit leaves the others as they were.
        self._schedulers = [copy.copy(scheduler) for scheduler in schedulers]
        for scheduler, state in zip(self._schedulers, states, strict=True):
            scheduler._take(state)

    def _absorb(self, state_dict: dict[str, Any]) -> None:
        schedulers = self._schedulers
        super()._absorb(state_dict)
        self._schedulers = schedulers
        for scheduler, state in zip(schedulers, state_dict["_schedulers"], strict=True):
            scheduler._absorb(state)

    def _advance(self, scheduler: LRScheduler, metrics: Any) -> None:
        if isinstance(scheduler, ReduceLROnPlateau | _Composite):
            scheduler.step(metrics)
        else:
            scheduler.step()


class SequentialLR(_Composite):
    """Several schedulers one after the other; each begins at its milestone, from its own base learning rate.

    They may be SequentialLR or ChainedScheduler themselves, and ReduceLROnPlateau. Past the last milestone the last
    scheduler goes on, and what it does past its own end happens.

    Parameters
    ----------
    optimizer : any object with `param_groups`
    schedulers : list of schedulers
        All built with this optimizer.
    milestones : list of int
        The steps at which the second and the following ones begin, increasing and above zero.
    last_epoch : int
        -1 to begin. To go on without a saved state: one less than the number of steps made.

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import optim
    >>> from minigrad.optim import lr_scheduler
    >>> optimizer = optim.SGD([minigrad.zeros(1, requires_grad=True)], lr=1.0)
    >>> warm = lr_scheduler.LinearLR(optimizer, start_factor=0.5, total_iters=2)
    >>> fall = lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    >>> scheduler = lr_scheduler.SequentialLR(optimizer, [warm, fall], milestones=[2])
    >>> rates = [optimizer.lr]
    >>> for _ in range(4):
    ...     optimizer.step()
    ...     scheduler.step()
    ...     rates.append(round(optimizer.lr, 6))
    >>> rates
    [0.5, 0.75, 1.0, 0.5, 0.25]
    """

    hyper_parameters = ("_milestones",)
    own_state = ("base_lrs", "_step_count")

    def __init__(
        self, optimizer: Any, schedulers: list[LRScheduler], milestones: list[int], last_epoch: int = -1
    ) -> None:
        self._groups_of(optimizer)
        self._schedulers = self._check_schedulers(schedulers, optimizer)
        if not isinstance(milestones, list | tuple):
            raise ArgumentError(f"SequentialLR: expected milestones as a list of steps, got {milestones!r}.")
        self._milestones = list(milestones)
        self._validate()
        self.optimizer = optimizer
        # Each scheduler has set its own first learning rate as it was built.
        self._write_initial()
        super().__init__(optimizer, last_epoch)

    def _validate(self) -> None:
        for milestone in self._milestones:
            check.integer("SequentialLR", "each milestone", milestone, at_least=1)
        check.increasing("SequentialLR", "milestones", self._milestones)
        if len(self._milestones) != len(self._schedulers) - 1:
            raise ArgumentError(
                f"SequentialLR: expected one milestone less than schedulers, got {len(self._milestones)} for "
                f"{len(self._schedulers)} schedulers. The first scheduler begins at step 0 and has none."
            )

    def _active(self) -> tuple[LRScheduler, int]:
        """Return the scheduler of this step, and the step counted from where it began."""
        i = bisect_right(self._milestones, self.last_epoch)
        return self._schedulers[i], self.last_epoch - (self._milestones[i - 1] if i > 0 else 0)

    def step(self, metrics: Any = None) -> None:
        """Go one step on.

        Parameters
        ----------
        metrics : number, optional
            The metric for a ReduceLROnPlateau; needed while one is active.
        """
        self._count()
        self.last_epoch += 1
        scheduler, local = self._active()
        if local == 0:
            scheduler._restart()
        else:
            self._advance(scheduler, metrics)
        self._last_lr = self._read()

    def _begin(self) -> None:
        self.last_epoch = 0
        self._schedulers[0]._begin()
        for scheduler in self._schedulers[1:]:
            scheduler.last_epoch = -1
        self._last_lr = self._read()

    def _restart(self) -> None:
        self._begin()
        self._schedulers[0]._restart()
        self._last_lr = self._read()

    def _apply(self) -> None:
        # Only the scheduler whose turn it is has a say, in momentum as well.
        self._active()[0]._apply()

    def _resume(self) -> None:
        self._jump(self.last_epoch)

    def _jump(self, epoch: int) -> None:
        self.last_epoch = epoch
        scheduler, local = self._active()
        if scheduler is not self._schedulers[0]:
            scheduler._jump(local)
        else:
            # The first part begins from 'initial_lr', which a later part may have set, not from a base of its own.
            self._write_initial()
            scheduler._begin()
            for _ in range(local):
                scheduler.step()
        self._last_lr = self._read()

    def _write_initial(self) -> None:
        for group in self.optimizer.param_groups:
            write(group, "lr", group["initial_lr"])


class ChainedScheduler(_Composite):
    """Several schedulers at once: each step is a step of every one, in order, on the same learning rates.

    Chainable schedulers multiply. One that computes its value from the base learning rate (LambdaLR,
    CyclicLR, OneCycleLR, CosineAnnealingWarmRestarts) overwrites what those before it in the list have done.
    Each does what it does past its own end.

    Parameters
    ----------
    schedulers : list of schedulers
        All built with the same optimizer. ReduceLROnPlateau may be among them.
    optimizer : any object with `param_groups`, optional
        By default the one of the schedulers.

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import optim
    >>> from minigrad.optim import lr_scheduler
    >>> optimizer = optim.SGD([minigrad.zeros(1, requires_grad=True)], lr=1.0)
    >>> half = lr_scheduler.ConstantLR(optimizer, factor=0.5, total_iters=2)
    >>> fall = lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    >>> scheduler = lr_scheduler.ChainedScheduler([half, fall])
    >>> rates = [optimizer.lr]
    >>> for _ in range(3):
    ...     optimizer.step()
    ...     scheduler.step()
    ...     rates.append(round(optimizer.lr, 6))
    >>> rates
    [0.5, 0.25, 0.25, 0.125]
    """

    own_state = ("base_lrs", "last_epoch", "_step_count")

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Any | None = None) -> None:
        self._schedulers = self._check_schedulers(schedulers, optimizer)
        # The schedulers are already at their first step, so nothing begins here.
        self.optimizer = self._schedulers[0].optimizer
        self.base_lrs = [float(group["initial_lr"]) for group in self._groups_of(self.optimizer)]
        self.initial_lrs = list(self.base_lrs)
        self._step_count = 1
        self.last_epoch = max(0, self._schedulers[0].last_epoch)
        self._last_lr = self._read()

    def step(self, metrics: Any = None) -> None:
        """Go one step on.

        Parameters
        ----------
        metrics : number, optional
            The metric for a ReduceLROnPlateau; needed if there is one.
        """
        if metrics is None and any(isinstance(s, ReduceLROnPlateau) for s in self._schedulers):
            raise ArgumentError(
                "ChainedScheduler: expected step(metric), for the ReduceLROnPlateau inside, got no metric."
            )
        self._count()
        self.last_epoch += 1
        for scheduler in self._schedulers:
            self._advance(scheduler, metrics)
        self._last_lr = self._read()

    def _begin(self) -> None:
        self.last_epoch = 0
        for scheduler in self._schedulers:
            scheduler._begin()
        self._last_lr = self._read()

    def _apply(self) -> None:
        for scheduler in self._schedulers:
            scheduler._apply()

    def _jump(self, epoch: int) -> None:
        self._restart()
        for _ in range(epoch):
            self.step()
