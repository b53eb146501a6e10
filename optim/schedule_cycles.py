"""Schedules that come back: cyclic learning rates, and cosine annealing with warm restarts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from minigrad.errors import ArgumentError
from minigrad.optim import schedule_checks as check
from minigrad.optim.schedule_base import Schedule

__all__ = ["cosine_restarts", "cyclic"]


@dataclass(frozen=True, repr=False)
class cyclic(Schedule):
    """Straight lines from α_min up to α_max and back, over and over.

        α_t = α_min + (α_max - α_min) · triangle(t) · m(t)
        triangle(t) rises from 0 to 1 in step_size_up steps and falls to 0 in step_size_down
        m(t) = 1 (triangular), ½^⌊t/period⌋ (triangular2) or γ^t (exp_range)

    It never ends. With α_min above α_max the triangles hang down, as momentum's do.

    Parameters
    ----------
    alpha_min, alpha_max : float
        α_min and α_max, the value at step 0 and the one at the first peak.
    step_size_up : float
        The number of steps on the way up.
    step_size_down : float, optional
        The number of steps on the way down; by default as many as up.
    mode : {'triangular', 'triangular2', 'exp_range'}
        m, what becomes of the height: it stays, it halves with each period, or it falls by γ with each step.
    gamma : float
        γ, for 'exp_range', from 0 to 1.

    References
    ----------
    L. N. Smith, Cyclical Learning Rates for Training Neural Networks (arXiv:1506.01186).

    Examples
    --------
    >>> lr = cyclic(0.1, 0.5, step_size_up=10, mode="triangular2")
    >>> lr(0), lr(10), lr(20), round(lr(30), 6)
    (0.1, 0.5, 0.1, 0.3)
    """

    alpha_min: float
    alpha_max: float
    step_size_up: float
    step_size_down: float | None = None
    mode: Literal["triangular", "triangular2", "exp_range"] = "triangular"
    gamma: float = 1.0

    def __post_init__(self) -> None:
        up = check.positive("cyclic", "step_size_up", self.step_size_up, "a number of steps above zero")
        down = up if self.step_size_down is None else self.step_size_down
        self._set(
            alpha_min=check.nonnegative("cyclic", "alpha_min", self.alpha_min),
            alpha_max=check.nonnegative("cyclic", "alpha_max", self.alpha_max),
            step_size_up=up,
            step_size_down=check.positive("cyclic", "step_size_down", down, "a number of steps above zero"),
            mode=check.choice("cyclic", "mode", self.mode, ("triangular", "triangular2", "exp_range")),
            gamma=check.between("cyclic", "gamma", self.gamma, 0, 1),
        )

    @property
    def period(self) -> float:
        """The number of steps from one low to the next."""
        down: Any = self.step_size_down
        return self.step_size_up + down

    @property
    def horizon(self) -> float:
        return 4.0 * self.period

    @property
    def equation(self) -> str:
        m = {"triangular": "", "triangular2": " · ½^⌊t/period⌋", "exp_range": " · γ^t"}[self.mode]
        return f"α_t = α_min + (α_max - α_min) · triangle(t){m}"

    def formula(self, t: Any, xp: Any) -> Any:
        periods = xp.floor(t / self.period)
        tau = xp.maximum(t - periods * self.period, 0.0)
        triangle = xp.minimum(tau / self.step_size_up, (self.period - tau) / self.step_size_down)
        triangle = xp.minimum(triangle, 1.0)  # the period is rounded, and with it the height of the peak
        if self.mode == "triangular2":
            triangle = triangle * 0.5**periods
        elif self.mode == "exp_range":
            triangle = triangle * self.gamma**t
        return self.alpha_min + (self.alpha_max - self.alpha_min) * triangle


@dataclass(frozen=True, repr=False)
class cosine_restarts(Schedule):
    """Cosine annealing with warm restarts: period i goes from α_max to α_min in T_i steps, then jumps back.

        α_t = α_min + ½ (α_max - α_min) (1 + cos(π T_cur/T_i)); T_i = T_0 · T_mult^i

    T_cur counts from the last restart and may be fractional (epochs). It never ends.

    Parameters
    ----------
    alpha_max : float
        α_max, the value at each restart.
    T_0 : float
        T_0, the length of the first period.
    T_mult : float
        The factor, 1 or more, by which each period is longer than the one before.
    alpha_min : float
        α_min, which each period approaches.

    References
    ----------
    I. Loshchilov and F. Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts (arXiv:1608.03983).

    Examples
    --------
    >>> lr = cosine_restarts(0.1, T_0=10, T_mult=2)
    >>> [round(lr(t), 4) for t in (5, 9.99, 10, 20, 30)]
    [0.05, 0.0, 0.1, 0.05, 0.1]
    """

    alpha_max: float
    T_0: float
    T_mult: float = 1
    alpha_min: float = 0.0

    def __post_init__(self) -> None:
        self._set(
            alpha_max=check.nonnegative("cosine_restarts", "alpha_max", self.alpha_max),
            T_0=check.positive("cosine_restarts", "T_0", self.T_0, "a number of steps above zero"),
            T_mult=check.real("cosine_restarts", "T_mult", self.T_mult),
            alpha_min=check.nonnegative("cosine_restarts", "alpha_min", self.alpha_min),
        )
        if self.T_mult < 1:
            raise ArgumentError(
                f"cosine_restarts: expected T_mult to be 1 or more, got {self.T_mult}: periods that shrink "
                f"would pile up at a step that is never passed."
            )

    @property
    def horizon(self) -> float:
        return 3.0 * self.T_0 if self.T_mult == 1 else self._restart(3.0)

    def _restart(self, i: Any) -> Any:
        """Return the step at which period i begins: T_0 (1 + T_mult + ... + T_mult^(i-1))."""
        if self.T_mult == 1:
            return i * self.T_0
        return self.T_0 * (self.T_mult**i - 1.0) / (self.T_mult - 1.0)

    @property
    def equation(self) -> str:
        return "α_t = α_min + ½ (α_max - α_min) (1 + cos(π T_cur/T_i)); T_i = T_0 · T_mult^i"

    def formula(self, t: Any, xp: Any) -> Any:
        if self.T_mult == 1:
            i = xp.floor(t / self.T_0)
        else:
            i = xp.floor(xp.log(t / self.T_0 * (self.T_mult - 1.0) + 1.0) / xp.log(self.T_mult))
        # Rounding can put a step next to a restart on the wrong side of it.
        i = xp.where(t >= self._restart(i + 1.0), i + 1.0, xp.where(t < self._restart(i), i - 1.0, i))
        done = (t - self._restart(i)) / (self.T_0 * self.T_mult**i)
        return self.alpha_min + 0.5 * (self.alpha_max - self.alpha_min) * (1.0 + xp.cos(xp.pi * done))
