"""Schedules that go one way: step, exponential, cosine, linear, polynomial, inverse time, REX, piecewise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from minigrad.errors import ArgumentError
from minigrad.optim import schedule_checks as check
from minigrad.optim.schedule_base import Schedule

__all__ = ["cosine", "exponential", "inverse_time", "linear", "piecewise", "polynomial", "rex", "step_decay"]


@dataclass(frozen=True, repr=False)
class step_decay(Schedule):
    """A fall by the factor γ every s steps.

        α_t = α_0 · γ^⌊t/s⌋

    It never ends: the value keeps falling.

    Parameters
    ----------
    alpha_0 : float
        α_0, the value at step 0.
    gamma : float
        γ, zero or more.
    s : float
        s, the number of steps between two falls, above zero.

    Examples
    --------
    >>> lr = step_decay(0.1, gamma=0.5, s=30)
    >>> lr(29), lr(30), lr(60)
    (0.1, 0.05, 0.025)
    """

    alpha_0: float
    gamma: float
    s: float

    def __post_init__(self) -> None:
        self._set(
            alpha_0=check.nonnegative("step_decay", "alpha_0", self.alpha_0),
            gamma=check.nonnegative("step_decay", "gamma", self.gamma),
            s=check.positive("step_decay", "s", self.s, "a number of steps above zero"),
        )

    @property
    def horizon(self) -> float:
        return 5.0 * self.s

    @property
    def equation(self) -> str:
        return "α_t = α_0 · γ^⌊t/s⌋"

    def formula(self, t: Any, xp: Any) -> Any:
        return self.alpha_0 * self.gamma ** xp.floor(t / self.s)


@dataclass(frozen=True, repr=False)
class exponential(Schedule):
    """A fall by the same factor in each step, given by the rate λ or by the factor γ = e^(-λ).

        α_t = α_0 · e^(-λt) = α_0 · γ^t

    It never ends. With a negative `decay`, or `gamma` above 1, it grows, as a learning-rate range test does.

    Parameters
    ----------
    alpha_0 : float
        α_0, the value at step 0.
    decay : float, optional
        λ, the rate per step. Give this or `gamma`.
    gamma : float, optional
        γ, the factor per step, zero or more.

    Examples
    --------
    >>> round(exponential(0.1, decay=0.05)(20), 6)  # 0.1 / e
    0.036788
    >>> exponential(0.1, gamma=0.5)(2)
    0.025
    """

    alpha_0: float
    decay: float | None = None
    gamma: float | None = None

    def __post_init__(self) -> None:
        self._set(alpha_0=check.nonnegative("exponential", "alpha_0", self.alpha_0))
        if (self.decay is None) == (self.gamma is None):
            raise ArgumentError(
                f"exponential: expected decay or gamma, one of the two, got decay={self.decay!r} and "
                f"gamma={self.gamma!r}. They are tied by gamma = exp(-decay)."
            )
        if self.decay is not None:
            self._set(decay=check.real("exponential", "decay", self.decay))
        else:
            self._set(gamma=check.nonnegative("exponential", "gamma", self.gamma))

    @property
    def horizon(self) -> float:
        decay: Any = self.decay if self.gamma is None else math.log(self.gamma or 1.0)
        rate = abs(decay)
        return 5.0 / rate if rate > 0 else super().horizon

    @property
    def equation(self) -> str:
        return "α_t = α_0 · e^(-λt)"

    def formula(self, t: Any, xp: Any) -> Any:
        if self.gamma is not None:
            return self.alpha_0 * self.gamma**t
        decay: Any = self.decay
        return self.alpha_0 * xp.exp(-decay * t)


@dataclass(frozen=True, repr=False)
class cosine(Schedule):
    """Cosine annealing: half a cosine wave from α_max at step 0 to α_min at step T.

        α_t = α_min + ½ (α_max - α_min) (1 + cos(πt/T))

    Past T it stays at α_min, unless `periodic`. With α_min above α_max it rises instead, which is how
    momentum is led up while the learning rate falls.

    Parameters
    ----------
    alpha_max : float
        α_max, the value at step 0.
    T : float
        T, the step at which α_min is reached.
    alpha_min : float
        α_min, the value from step T on.
    periodic : bool
        Follow the formula past T: back up to α_max at 2T, down again, and so on.

    References
    ----------
    I. Loshchilov and F. Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts, equation 5
    (arXiv:1608.03983).

    Examples
    --------
    >>> lr = cosine(0.1, T=100, alpha_min=0.02)
    >>> lr(0), lr(100), lr(150)
    (0.1, 0.02, 0.02)
    """

    alpha_max: float
    T: float
    alpha_min: float = 0.0
    periodic: bool = False

    def __post_init__(self) -> None:
        self._set(
            alpha_max=check.nonnegative("cosine", "alpha_max", self.alpha_max),
            T=check.positive("cosine", "T", self.T, "a number of steps above zero"),
            alpha_min=check.nonnegative("cosine", "alpha_min", self.alpha_min),
            periodic=bool(self.periodic),
        )

    @property
    def duration(self) -> float:
        return math.inf if self.periodic else self.T

    @property
    def horizon(self) -> float:
        return 4.0 * self.T if self.periodic else super().horizon

    @property
    def equation(self) -> str:
        return "α_t = α_min + ½ (α_max - α_min) (1 + cos(πt/T))"

    def formula(self, t: Any, xp: Any) -> Any:
        if not self.periodic:
            t = xp.minimum(t, self.T)
        return self.alpha_min + 0.5 * (self.alpha_max - self.alpha_min) * (1.0 + xp.cos(xp.pi * t / self.T))


@dataclass(frozen=True, repr=False)
class linear(Schedule):
    """A straight line from α_0 at step 0 to α_T at step T, up or down; past T it stays there.

        α_t = α_0 + (α_T - α_0) t/T

    Parameters
    ----------
    alpha_0, alpha_T : float
        α_0 and α_T, the values at the two ends.
    T : float
        T, the step at which α_T is reached.

    Examples
    --------
    >>> import numpy as np
    >>> linear(1.0, 0.0, T=10)(np.array([0, 5, 10, 20]))
    array([1. , 0.5, 0. , 0. ])
    """

    alpha_0: float
    alpha_T: float
    T: float

    def __post_init__(self) -> None:
        self._set(
            alpha_0=check.nonnegative("linear", "alpha_0", self.alpha_0),
            alpha_T=check.nonnegative("linear", "alpha_T", self.alpha_T),
            T=check.positive("linear", "T", self.T, "a number of steps above zero"),
        )

    @property
    def duration(self) -> float:
        return self.T

    @property
    def equation(self) -> str:
        return "α_t = α_0 + (α_T - α_0) t/T"

    def formula(self, t: Any, xp: Any) -> Any:
        # As a weighted mean it is exact at both ends, and rounding cannot take it below zero.
        x = xp.minimum(t, self.T) / self.T
        return self.alpha_0 * (1.0 - x) + self.alpha_T * x


@dataclass(frozen=True, repr=False)
class polynomial(Schedule):
    """A fall from α_0 at step 0 to α_T at step T along a power of what remains; past T it stays at α_T.

        α_t = α_T + (α_0 - α_T) (1 - t/T)^p

    Parameters
    ----------
    alpha_0 : float
        α_0, the value at step 0.
    T : float
        T, the step at which α_T is reached.
    power : float
        p, zero or more; 1 is a straight line, above 1 the fall is steep first.
    alpha_T : float
        α_T, the value from step T on.

    Examples
    --------
    >>> polynomial(0.8, T=10, power=2)(5)
    0.2
    """

    alpha_0: float
    T: float
    power: float = 1.0
    alpha_T: float = 0.0

    def __post_init__(self) -> None:
        self._set(
            alpha_0=check.nonnegative("polynomial", "alpha_0", self.alpha_0),
            T=check.positive("polynomial", "T", self.T, "a number of steps above zero"),
            power=check.nonnegative("polynomial", "power", self.power),
            alpha_T=check.nonnegative("polynomial", "alpha_T", self.alpha_T),
        )

    @property
    def duration(self) -> float:
        return self.T

    @property
    def equation(self) -> str:
        return "α_t = α_T + (α_0 - α_T) (1 - t/T)^p"

    def formula(self, t: Any, xp: Any) -> Any:
        remaining = 1.0 - xp.minimum(t, self.T) / self.T
        return self.alpha_T + (self.alpha_0 - self.alpha_T) * remaining**self.power


@dataclass(frozen=True, repr=False)
class inverse_time(Schedule):
    """A fall like one over the step: the rate under which stochastic approximation converges.

        α_t = α_0 / (1 + λt)

    It never ends.

    Parameters
    ----------
    alpha_0 : float
        α_0, the value at step 0.
    decay : float
        λ, zero or more: after 1/λ steps the value has halved.

    References
    ----------
    H. Robbins and S. Monro, A Stochastic Approximation Method, Annals of Mathematical Statistics 22 (1951).

    Examples
    --------
    >>> inverse_time(0.1, decay=0.01)(100)
    0.05
    """

    alpha_0: float
    decay: float

    def __post_init__(self) -> None:
        self._set(
            alpha_0=check.nonnegative("inverse_time", "alpha_0", self.alpha_0),
            decay=check.nonnegative("inverse_time", "decay", self.decay),
        )

    @property
    def horizon(self) -> float:
        return 9.0 / self.decay if self.decay > 0 else super().horizon

    @property
    def equation(self) -> str:
        return "α_t = α_0 / (1 + λt)"

    def formula(self, t: Any, xp: Any) -> Any:
        return self.alpha_0 / (1.0 + self.decay * t)


@dataclass(frozen=True, repr=False)
class rex(Schedule):
    """REX, reflected exponential: high for most of the run and falling ever faster to 0 at step T.

        α_t = α_0 (1 - t/T) / (½ + ½ (1 - t/T))

    Past T it stays at 0.

    Parameters
    ----------
    alpha_0 : float
        α_0, the value at step 0.
    T : float
        T, the step at which 0 is reached: the training budget.

    References
    ----------
    J. Chen, C. Wolfe and A. Kyrillidis, REX: Revisiting Budgeted Training with an Improved Schedule
    (arXiv:2107.04197).

    Examples
    --------
    >>> lr = rex(0.3, T=100)
    >>> lr(0), round(lr(50), 6), lr(100)
    (0.3, 0.2, 0.0)
    """

    alpha_0: float
    T: float

    def __post_init__(self) -> None:
        self._set(
            alpha_0=check.nonnegative("rex", "alpha_0", self.alpha_0),
            T=check.positive("rex", "T", self.T, "a number of steps above zero"),
        )

    @property
    def duration(self) -> float:
        return self.T

    @property
    def equation(self) -> str:
        return "α_t = α_0 (1 - t/T) / (½ + ½ (1 - t/T))"

    def formula(self, t: Any, xp: Any) -> Any:
        remaining = 1.0 - xp.minimum(t, self.T) / self.T
        return self.alpha_0 * remaining / (0.5 + 0.5 * remaining)


@dataclass(frozen=True, repr=False)
class piecewise(Schedule):
    """Constant values that change at given steps; the last one is held.

        α_t = α_i for b_i <= t < b_(i+1), with b_0 = 0

    Parameters
    ----------
    boundaries : sequence of float
        b_1, b_2, ...: the steps of the changes, increasing and above zero. A boundary is the first step of
        its value.
    values : sequence of float
        α_0, α_1, ...: one more than there are boundaries.

    Examples
    --------
    >>> lr = piecewise([80, 120], [0.1, 0.01, 0.001])
    >>> lr(79), lr(80), lr(500)
    (0.1, 0.01, 0.001)
    """

    boundaries: tuple[float, ...]
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        boundaries = check.increasing("piecewise", "boundaries", self.boundaries)
        values = tuple(check.nonnegative("piecewise", f"values[{i}]", value) for i, value in enumerate(self.values))
        if len(values) != len(boundaries) + 1:
            raise ArgumentError(
                f"piecewise: expected one value more than boundaries, got {len(boundaries)} boundaries and "
                f"{len(values)} values. The first value holds from step 0."
            )
        self._set(boundaries=boundaries, values=values)

    @property
    def horizon(self) -> float:
        return 1.5 * self.boundaries[-1] if self.boundaries else super().horizon

    @property
    def equation(self) -> str:
        return "α_t = α_i for b_i <= t < b_(i+1)"

    def formula(self, t: Any, xp: Any) -> Any:
        alpha = self.values[0]
        for b_i, alpha_i in zip(self.boundaries, self.values[1:], strict=True):
            alpha = xp.where(t >= b_i, alpha_i, alpha)
        return alpha
