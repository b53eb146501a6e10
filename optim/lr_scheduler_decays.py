"""PyTorch's schedulers that follow a function of the step or go one way."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from minigrad.errors import ArgumentError
from minigrad.optim import schedule_checks as check
from minigrad.optim.lr_scheduler_base import (
    AbsoluteScheduler,
    ChainableScheduler,
    LRScheduler,
    load_function,
    state_of_function,
)
from minigrad.optim.schedule_base import Schedule
from minigrad.optim.schedules import cosine, exponential, linear, piecewise, polynomial, step_decay

__all__ = [
    "ConstantLR",
    "CosineAnnealingLR",
    "ExponentialLR",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "PolynomialLR",
    "StepLR",
]


class _FunctionScheduler(LRScheduler):
    """What LambdaLR and MultiplicativeLR share: one function of the step for each group."""

    def __init__(
        self,
        optimizer: Any,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        groups = self._groups_of(optimizer)
        name = type(self).__name__
        lambdas = list(lr_lambda) if isinstance(lr_lambda, list | tuple) else [lr_lambda] * len(groups)
        if len(lambdas) != len(groups):
            raise ArgumentError(
                f"{name}: expected one function or a list of {len(groups)}, one for each parameter group, "
                f"got {len(lambdas)}."
            )
        for function in lambdas:
            if not callable(function):
                raise ArgumentError(f"{name}: expected lr_lambda as a function of the step, got {function!r}.")
        self.lr_lambdas: list[Any] = lambdas
        super().__init__(optimizer, last_epoch)

    def state_dict(self) -> dict[str, Any]:
        """Return the state; of the functions only what callable objects keep in attributes."""
        return {**super().state_dict(), "lr_lambdas": [state_of_function(f) for f in self.lr_lambdas]}

    def _take(self, state_dict: dict[str, Any]) -> None:
        functions = self.lr_lambdas
        super()._take(state_dict)
        self.lr_lambdas = functions

    def _absorb(self, state_dict: dict[str, Any]) -> None:
        super()._absorb(state_dict)
        for function, saved in zip(self.lr_lambdas, state_dict["lr_lambdas"], strict=True):
            load_function(function, saved)


class LambdaLR(_FunctionScheduler, AbsoluteScheduler):
    """The base learning rate times a function of the step.

        lr_t = base_lr · λ(t)

    A pure schedule is such a function: `LambdaLR(optimizer, warmup(5).then(cosine(1.0, T=95)))` scales
    `base_lr`. Past any end the function is asked all the same.

    Parameters
    ----------
    optimizer : any object with `param_groups`
    lr_lambda : function of the step, or a list with one for each group
    last_epoch : int
        See `LRScheduler`.

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import optim
    >>> from minigrad.optim import lr_scheduler
    >>> optimizer = optim.SGD([minigrad.zeros(1, requires_grad=True)], lr=1.0)
    >>> scheduler = lr_scheduler.LambdaLR(optimizer, lambda t: 1 / (1 + t))
    >>> rates = [optimizer.lr]
    >>> for _ in range(4):
    ...     optimizer.step()
    ...     scheduler.step()
    ...     rates.append(round(optimizer.lr, 6))
    >>> rates
    [1.0, 0.5, 0.333333, 0.25, 0.2]
    """

    def get_lr(self) -> list[float]:
        t = self.last_epoch
        return [base_lr * float(function(t)) for base_lr, function in zip(self.base_lrs, self.lr_lambdas, strict=True)]


class MultiplicativeLR(_FunctionScheduler):
    """The present learning rate times a function of the step, from step 1 on.

        lr_t = lr_(t-1) · λ(t)

    Past any end the function is asked all the same.

    Parameters
    ----------
    optimizer : any object with `param_groups`
    lr_lambda : function of the step, or a list with one for each group
    last_epoch : int
        See `LRScheduler`.

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import optim
    >>> from minigrad.optim import lr_scheduler
    >>> optimizer = optim.SGD([minigrad.zeros(1, requires_grad=True)], lr=1.0)
    >>> scheduler = lr_scheduler.MultiplicativeLR(optimizer, lambda t: 0.5)
    >>> rates = [optimizer.lr]
    >>> for _ in range(4):
    ...     optimizer.step()
    ...     scheduler.step()
    ...     rates.append(round(optimizer.lr, 6))
    >>> rates
    [1.0, 0.5, 0.25, 0.125, 0.0625]
    """

    def get_lr(self) -> list[float]:
        t = self.last_epoch
        return [lr * float(function(t)) for lr, function in zip(self._read(), self.lr_lambdas, strict=True)]

    def _begin(self) -> None:
        self.last_epoch = 0
        self._last_lr = self._read()

    def _restart(self) -> None:
        # It has no base to go back to: at a milestone it multiplies on, with λ(0), as PyTorch's does.
        self.last_epoch = 0
        self._write(self.get_lr())

    def _resume(self) -> None:
        self._last_lr = self._read()

    def _jump(self, epoch: int) -> None:
        self._write(self.base_lrs)
        self._begin()
        for _ in range(epoch):
            self.last_epoch += 1
            self._write(self.get_lr())


class StepLR(ChainableScheduler):
    """A fall by `gamma` every `step_size` steps, which never ends.

        f(t) = γ^⌊t/s⌋

    Parameters
    ----------
    optimizer : any object with `param_groups`
    step_size : float
        s, the number of steps between two falls, above zero.
    gamma : float
        γ, zero or more.
    last_epoch : int
        See `LRScheduler`.

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import optim
    >>> from minigrad.optim import lr_scheduler
    >>> optimizer = optim.SGD([minigrad.zeros(1, requires_grad=True)], lr=1.0)
    >>> scheduler = lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
    >>> rates = [optimizer.lr]
    >>> for _ in range(5):
    ...     optimizer.step()
    ...     scheduler.step()
    ...     rates.append(round(optimizer.lr, 6))
    >>> rates
    [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]
    """

    hyper_parameters = ("step_size", "gamma")

    def __init__(self, optimizer: Any, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        self.step_size = step_size
        self.gamma = gamma
        self._validate()
        super().__init__(optimizer, last_epoch)

    def _validate(self) -> None:
        check.positive("StepLR", "step_size", self.step_size, "a number of steps above zero")
        check.nonnegative("StepLR", "gamma", self.gamma)

    @property
    def schedule(self) -> Schedule:
        return step_decay(1.0, self.gamma, self.step_size)

    def ratio(self, t: int) -> float:
        # Not f(t)/f(t-1): after 324 falls by ten both are below the smallest float64, and the ratio still is
        # γ.
        return self.gamma ** (math.floor(t / self.step_size) - math.floor((t - 1) / self.step_size))


class MultiStepLR(ChainableScheduler):
    """A fall by `gamma` at each milestone; past the last one the learning rate stays.

        f(t) = γ^(number of milestones up to t)

    Parameters
    ----------
    optimizer : any object with `param_groups`
    milestones : iterable of int
        The steps of the falls, in any order, zero or more; one given n times falls n times.
    gamma : float
        γ, zero or more.
    last_epoch : int
        See `LRScheduler`.

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import optim
    >>> from minigrad.optim import lr_scheduler
    >>> optimizer = optim.SGD([minigrad.zeros(1, requires_grad=True)], lr=1.0)
    >>> scheduler = lr_scheduler.MultiStepLR(optimizer, milestones=[1, 3], gamma=0.5)
    >>> rates = [optimizer.lr]
    >>> for _ in range(4):
    ...     optimizer.step()
    ...     scheduler.step()
    ...     rates.append(round(optimizer.lr, 6))
    >>> rates
    [1.0, 0.5, 0.5, 0.25, 0.25]
    """

    hyper_parameters = ("milestones", "gamma")

    def __init__(self, optimizer: Any, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1) -> None:
        if not isinstance(milestones, Iterable):
            raise ArgumentError(f"MultiStepLR: expected milestones as a list of steps, got {milestones!r}.")
        self.milestones = Counter(milestones)
        self.gamma = gamma
        self._validate()
        super().__init__(optimizer, last_epoch)

    def _validate(self) -> None:
        for milestone in self.milestones:
            check.nonnegative("MultiStepLR", "each milestone", milestone, "a step, zero or more")
        check.nonnegative("MultiStepLR", "gamma", self.gamma)

    @property
    def schedule(self) -> Schedule:
        boundaries = sorted(milestone for milestone in self.milestones if milestone > 0)
        return piecewise(tuple(boundaries), tuple(self.gamma ** self._passed(step) for step in [0.0, *boundaries]))

    def _passed(self, t: float) -> int:
        return sum(count for milestone, count in self.milestones.items() if milestone <= t)

    def ratio(self, t: int) -> float:
        # As in StepLR, the powers themselves may be too small for a float64.
        return self.gamma ** (self._passed(t) - self._passed(t - 1))


class ConstantLR(ChainableScheduler):
    """The learning rate times `factor` until step `total_iters`; from then on it is whole and stays.

        f(t) = factor for t < total_iters, else 1

    Parameters
    ----------
    optimizer : any object with `param_groups`
    factor : float
        From 0 to 1.
    total_iters : float
        The step at which the factor is taken off, above zero.
    last_epoch : int
        See `LRScheduler`.

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import optim
    >>> from minigrad.optim import lr_scheduler
    >>> optimizer = optim.SGD([minigrad.zeros(1, requires_grad=True)], lr=1.0)
    >>> scheduler = lr_scheduler.ConstantLR(optimizer, factor=0.5, total_iters=2)
    >>> rates = [optimizer.lr]
    >>> for _ in range(3):
    ...     optimizer.step()
    ...     scheduler.step()
    ...     rates.append(round(optimizer.lr, 6))
    >>> rates
    [0.5, 0.5, 1.0, 1.0]
    """

    hyper_parameters = ("factor", "total_iters")

    def __init__(self, optimizer: Any, factor: float = 1.0 / 3, total_iters: int = 5, last_epoch: int = -1) -> None:
        self.factor = factor
        self.total_iters = total_iters
        self._validate()
        super().__init__(optimizer, last_epoch)

    def _validate(self) -> None:
        check.between("ConstantLR", "factor", self.factor, 0, 1)
        check.positive("ConstantLR", "total_iters", self.total_iters, "a number of steps above zero")

    @property
    def schedule(self) -> Schedule:
        return piecewise((self.total_iters,), (self.factor, 1.0))


class LinearLR(ChainableScheduler):
    """A factor that goes in a straight line from `start_factor` to `end_factor`; past the end it stays.

        f(t) = start_factor + (end_factor - start_factor) · min(t, total_iters)/total_iters

    Parameters
    ----------
    optimizer : any object with `param_groups`
    start_factor : float
        Above 0 and at most 1. (`warmup` starts at 0; so does `LambdaLR(optimizer, warmup(T))`.)
    end_factor : float
        From 0 to 1.
    total_iters : float
        The step at which the end is reached, above zero.
    last_epoch : int
        See `LRScheduler`.

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import optim
    >>> from minigrad.optim import lr_scheduler
    >>> optimizer = optim.SGD([minigrad.zeros(1, requires_grad=True)], lr=1.0)
    >>> scheduler = lr_scheduler.LinearLR(optimizer, start_factor=0.25, total_iters=3)
    >>> rates = [optimizer.lr]
    >>> for _ in range(4):
    ...     optimizer.step()
    ...     scheduler.step()
    ...     rates.append(round(optimizer.lr, 6))
    >>> rates
    [0.25, 0.5, 0.75, 1.0, 1.0]
    """

    hyper_parameters = ("start_factor", "end_factor", "total_iters")

    def __init__(
        self,
        optimizer: Any,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        self.start_factor = start_factor
        self.end_factor = end_factor
        self.total_iters = total_iters
        self._validate()
        super().__init__(optimizer, last_epoch)

    def _validate(self) -> None:
        if check.between("LinearLR", "start_factor", self.start_factor, 0, 1) == 0:
            raise ArgumentError(
                "LinearLR: expected start_factor above 0, got 0: a learning rate of 0 cannot be scaled up. "
                "For a warm-up from 0 use LambdaLR(optimizer, warmup(T_warmup))."
            )
        check.between("LinearLR", "end_factor", self.end_factor, 0, 1)
        check.positive("LinearLR", "total_iters", self.total_iters, "a number of steps above zero")

    @property
    def schedule(self) -> Schedule:
        return linear(self.start_factor, self.end_factor, self.total_iters)


class ExponentialLR(ChainableScheduler):
    """A fall by `gamma` in every step, which never ends.

        f(t) = γ^t

    Parameters
    ----------
    optimizer : any object with `param_groups`
    gamma : float
        γ, zero or more.
    last_epoch : int
        See `LRScheduler`.

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import optim
    >>> from minigrad.optim import lr_scheduler
    >>> optimizer = optim.SGD([minigrad.zeros(1, requires_grad=True)], lr=1.0)
    >>> scheduler = lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    >>> rates = [optimizer.lr]
    >>> for _ in range(3):
    ...     optimizer.step()
    ...     scheduler.step()
    ...     rates.append(round(optimizer.lr, 6))
    >>> rates
    [1.0, 0.5, 0.25, 0.125]
    """

    hyper_parameters = ("gamma",)

    def __init__(self, optimizer: Any, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        self._validate()
        super().__init__(optimizer, last_epoch)

    def _validate(self) -> None:
        check.nonnegative("ExponentialLR", "gamma", self.gamma)

    @property
    def schedule(self) -> Schedule:
        return exponential(1.0, gamma=self.gamma)

    def ratio(self, t: int) -> float:
        # As in StepLR, the powers themselves may be too small for a float64.
        return self.gamma


class PolynomialLR(ChainableScheduler):
    """A fall to 0 along a power of what remains; past the end it stays at 0.

        f(t) = (1 - min(t, total_iters)/total_iters)^power

    Parameters
    ----------
    optimizer : any object with `param_groups`
    total_iters : float
        The step at which 0 is reached, above zero.
    power : float
        Zero or more.
    last_epoch : int
        See `LRScheduler`.

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import optim
    >>> from minigrad.optim import lr_scheduler
    >>> optimizer = optim.SGD([minigrad.zeros(1, requires_grad=True)], lr=1.0)
    >>> scheduler = lr_scheduler.PolynomialLR(optimizer, total_iters=4, power=2.0)
    >>> rates = [optimizer.lr]
    >>> for _ in range(5):
    ...     optimizer.step()
    ...     scheduler.step()
    ...     rates.append(round(optimizer.lr, 6))
    >>> rates
    [1.0, 0.5625, 0.25, 0.0625, 0.0, 0.0]
    """

    hyper_parameters = ("total_iters", "power")

    def __init__(self, optimizer: Any, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1) -> None:
        self.total_iters = total_iters
        self.power = power
        self._validate()
        super().__init__(optimizer, last_epoch)

    def _validate(self) -> None:
        check.positive("PolynomialLR", "total_iters", self.total_iters, "a number of steps above zero")
        check.nonnegative("PolynomialLR", "power", self.power)

    @property
    def schedule(self) -> Schedule:
        return polynomial(1.0, self.total_iters, self.power)

    def ratio(self, t: int) -> float:
        # The power is taken last: for a high one, f itself is too small for a float64 towards the end.
        remaining = linear(1.0, 0.0, self.total_iters)
        before = remaining(t - 1)
        return (remaining(t) / before) ** self.power if before > 0 else 1.0


class CosineAnnealingLR(ChainableScheduler):
    """Half a cosine wave from the base learning rate to `eta_min` at step `T_max`.

        f(t) = ½ (1 + cos(πt/T_max)), with eta_min as the floor

    Past T_max it rises again, as PyTorch's does, and is back at the base learning rate at 2 T_max. The pure
    `cosine` stays at its minimum instead.

    Parameters
    ----------
    optimizer : any object with `param_groups`
    T_max : float
        The step at which `eta_min` is reached, above zero.
    eta_min : float
        Zero or more.
    last_epoch : int
        See `LRScheduler`.

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import optim
    >>> from minigrad.optim import lr_scheduler
    >>> optimizer = optim.SGD([minigrad.zeros(1, requires_grad=True)], lr=1.0)
    >>> scheduler = lr_scheduler.CosineAnnealingLR(optimizer, T_max=4, eta_min=0.2)
    >>> rates = [optimizer.lr]
    >>> for _ in range(5):
    ...     optimizer.step()
    ...     scheduler.step()
    ...     rates.append(round(optimizer.lr, 6))
    >>> rates
    [1.0, 0.882843, 0.6, 0.317157, 0.2, 0.317157]
    """

    hyper_parameters = ("T_max", "eta_min")

    def __init__(self, optimizer: Any, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        self.T_max = T_max
        self.eta_min = eta_min
        self._validate()
        super().__init__(optimizer, last_epoch)

    def _validate(self) -> None:
        check.positive("CosineAnnealingLR", "T_max", self.T_max, "a number of steps above zero")
        check.nonnegative("CosineAnnealingLR", "eta_min", self.eta_min)

    @property
    def floor(self) -> float:  # type: ignore[override]
        return self.eta_min

    @property
    def schedule(self) -> Schedule:
        return cosine(1.0, self.T_max, periodic=True)

    def climb(self, t: int) -> float:
        # f one step past T_max. Written like this it has PyTorch's rounding, which later ratios keep for good.
        return (1.0 - math.cos(math.pi / self.T_max)) / 2.0
