"""Schedules with phases: warm-up, warm-up and cosine, one-cycle, warm-up-stable-decay, inverse root."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal

from minigrad.errors import ArgumentError
from minigrad.optim import schedule_checks as check
from minigrad.optim.schedule_base import Schedule

__all__ = ["inverse_sqrt", "noam", "one_cycle", "warmup", "warmup_cosine", "wsd"]


def _climbed(t: Any, T_warmup: float, xp: Any) -> Any:
    """Return t/T_warmup, at most 1; a warm-up of no steps is over at once."""
    return xp.minimum(t, T_warmup) / T_warmup if T_warmup > 0 else 1.0


def _warmup_steps(owner: str, T_warmup: Any) -> float:
    return check.nonnegative(owner, "T_warmup", T_warmup, "a number of steps, zero or more")


@dataclass(frozen=True, repr=False)
class warmup(Schedule):
    """Linear warm-up from 0, then the target is held.

        α_t = t/T_warmup · α_target for t < T_warmup

    Parameters
    ----------
    T_warmup : float
        T_warmup, the step at which the target is reached; 0 is no warm-up.
    alpha_target : float, optional
        α_target. Left out, it is the first value of what follows in `warmup(...).then(...)`, and 1 elsewhere,
        so that `warmup(500) * schedule` scales another schedule in.

    References
    ----------
    P. Goyal et al., Accurate, Large Minibatch SGD, section 2.2 (arXiv:1706.02677).

    Examples
    --------
    >>> warmup(100, 0.4)(25)
    0.1
    >>> from minigrad.optim.schedules import cosine
    >>> warmup(100).then(cosine(0.4, T=900))
    warmup(T_warmup=100, alpha_target=0.4).then(cosine(alpha_max=0.4, T=900), at=100)
    """

    T_warmup: float
    alpha_target: float | None = None

    def __post_init__(self) -> None:
        self._set(T_warmup=_warmup_steps("warmup", self.T_warmup))
        if self.alpha_target is not None:
            self._set(alpha_target=check.nonnegative("warmup", "alpha_target", self.alpha_target))

    @property
    def duration(self) -> float:
        return self.T_warmup

    @property
    def equation(self) -> str:
        return "α_t = t/T_warmup · α_target for t < T_warmup"

    def formula(self, t: Any, xp: Any) -> Any:
        alpha_target = 1.0 if self.alpha_target is None else self.alpha_target
        return _climbed(t, self.T_warmup, xp) * alpha_target

    def _aiming_at(self, value: float) -> Schedule:
        return self if self.alpha_target is not None else dataclasses.replace(self, alpha_target=value)


@dataclass(frozen=True, repr=False)
class warmup_cosine(Schedule):
    """Linear warm-up from 0 to α_max, then cosine annealing to α_min at step T, in one object.

        α_t = t/T_warmup · α_max for t < T_warmup; else α_min + ½ (α_max - α_min) (1 + cos(πx))
        x = (t - T_warmup)/(T - T_warmup)

    Past T it stays at α_min.

    Parameters
    ----------
    alpha_max : float
        α_max, the value at step T_warmup.
    T_warmup : float
        T_warmup, the step at which the warm-up ends; 0 is no warm-up.
    T : float
        T, the step at which α_min is reached, counted from the start of the warm-up.
    alpha_min : float
        α_min, the value from step T on.

    Examples
    --------
    >>> lr = warmup_cosine(0.1, T_warmup=100, T=1100)
    >>> lr(50), lr(100), lr(600), lr(1100)
    (0.05, 0.1, 0.05, 0.0)
    """

    alpha_max: float
    T_warmup: float
    T: float
    alpha_min: float = 0.0

    def __post_init__(self) -> None:
        self._set(
            alpha_max=check.nonnegative("warmup_cosine", "alpha_max", self.alpha_max),
            T_warmup=_warmup_steps("warmup_cosine", self.T_warmup),
            T=check.positive("warmup_cosine", "T", self.T, "a number of steps above zero"),
            alpha_min=check.nonnegative("warmup_cosine", "alpha_min", self.alpha_min),
        )
        if not self.T_warmup < self.T:
            raise ArgumentError(
                f"warmup_cosine: expected T_warmup below T={self.T}, got {self.T_warmup}. "
                f"T counts from the start of the warm-up."
            )

    @property
    def duration(self) -> float:
        return self.T

    @property
    def equation(self) -> str:
        return "α_t = t/T_warmup · α_max for t < T_warmup; else α_min + ½ (α_max - α_min) (1 + cos(πx))"

    def formula(self, t: Any, xp: Any) -> Any:
        x = (xp.minimum(t, self.T) - self.T_warmup) / (self.T - self.T_warmup)
        return xp.where(
            t < self.T_warmup,
            _climbed(t, self.T_warmup, xp) * self.alpha_max,
            self.alpha_min + 0.5 * (self.alpha_max - self.alpha_min) * (1.0 + xp.cos(xp.pi * x)),
        )


@dataclass(frozen=True, repr=False)
class one_cycle(Schedule):
    """The one-cycle policy: warm up to α_max, then anneal down, in two phases or three.

        α_t = A(α_0, α_max) to step T_warmup; A(α_max, α_min) to step T
        three phases: α_t = A(α_0, α_max) to T_warmup; A(α_max, α_0) to 2 T_warmup, A(α_0, α_min) to T
        A(a, b) = b + ½ (a - b) (1 + cos(πx)), or a + (b - a) x, with x the part of the phase that is done

    Past T it stays at α_min. With `alpha_0` above `alpha_max` the cycle is upside down: that is momentum's
    side of the policy.

    Parameters
    ----------
    alpha_max : float
        α_max, the value at the peak.
    T : float
        T, the step at which α_min is reached.
    T_warmup : float, optional
        T_warmup, the step of the peak. By default 0.3 T.
    alpha_0 : float, optional
        α_0, the value at step 0. By default α_max/25.
    alpha_min : float, optional
        α_min, the value from step T on. By default α_0/10,000.
    anneal : {'cosine', 'linear'}
        The shape of every phase.
    three_phase : bool
        Whether the way down has two phases; T_warmup is then below half of T.

    References
    ----------
    L. N. Smith and N. Topin, Super-Convergence: Very Fast Training of Neural Networks Using Large Learning
    Rates (arXiv:1708.07120). The defaults are those of torch.optim.lr_scheduler.OneCycleLR.

    Examples
    --------
    >>> lr = one_cycle(1.0, T=100)
    >>> round(lr(0), 6), lr(30), lr(100), lr(101)
    (0.04, 1.0, 4e-06, 4e-06)
    """

    alpha_max: float
    T: float
    T_warmup: float | None = None
    alpha_0: float | None = None
    alpha_min: float | None = None
    anneal: Literal["cosine", "linear"] = "cosine"
    three_phase: bool = False

    def __post_init__(self) -> None:
        name = "one_cycle"
        alpha_max = check.nonnegative(name, "alpha_max", self.alpha_max)
        T = check.positive(name, "T", self.T, "a number of steps above zero")
        T_warmup = _warmup_steps(name, 0.3 * T if self.T_warmup is None else self.T_warmup)
        alpha_0 = check.nonnegative(name, "alpha_0", alpha_max / 25.0 if self.alpha_0 is None else self.alpha_0)
        alpha_min = check.nonnegative(
            name, "alpha_min", alpha_0 / 10_000.0 if self.alpha_min is None else self.alpha_min
        )
        check.choice(name, "anneal", self.anneal, ("cosine", "linear"))
        if not T_warmup < T:
            raise ArgumentError(f"one_cycle: expected T_warmup below T={T}, where the way down ends, got {T_warmup}.")
        if self.three_phase and not 2 * T_warmup < T:
            raise ArgumentError(
                f"one_cycle: expected T_warmup below half of T={T}, for three phases, got {T_warmup}. "
                f"Warm up for less, or use two phases."
            )
        self._set(alpha_max=alpha_max, T=T, T_warmup=T_warmup, alpha_0=alpha_0, alpha_min=alpha_min)
        self._set(three_phase=bool(self.three_phase))

    @property
    def duration(self) -> float:
        return self.T

    @property
    def equation(self) -> str:
        if self.three_phase:
            return "α_t = A(α_0, α_max) to T_warmup; A(α_max, α_0) to 2 T_warmup, A(α_0, α_min) to T"
        return "α_t = A(α_0, α_max) to step T_warmup; A(α_max, α_min) to step T"

    def formula(self, t: Any, xp: Any) -> Any:
        T, T_warmup = self.T, self.T_warmup
        alpha_0, alpha_max, alpha_min = self.alpha_0, self.alpha_max, self.alpha_min
        up = self._phase(t, 0.0, T_warmup, alpha_0, alpha_max, xp)
        if not self.three_phase:
            return xp.where(t <= T_warmup, up, self._phase(t, T_warmup, T, alpha_max, alpha_min, xp))
        T_back: Any = 2.0 * T_warmup  # type: ignore[operator]
        back = self._phase(t, T_warmup, T_back, alpha_max, alpha_0, xp)
        rest = self._phase(t, T_back, T, alpha_0, alpha_min, xp)
        return xp.where(t <= T_warmup, up, xp.where(t <= T_back, back, rest))

    def _phase(self, t: Any, start: Any, end: Any, a: Any, b: Any, xp: Any) -> Any:
        """Return A(a, b, x) with x the part of the phase that is done; before it a, after it b."""
        if end == start:  # no warm-up, so no way up
            return b
        x = (xp.minimum(xp.maximum(t, start), end) - start) / (end - start)
        if self.anneal == "linear":
            return (b - a) * x + a
        return b + (a - b) / 2.0 * (xp.cos(xp.pi * x) + 1.0)


@dataclass(frozen=True, repr=False)
class wsd(Schedule):
    """Warm-up, stable, decay: a long plateau between a short warm-up from 0 and a short cool-down to α_min.

        α_t = t/T_warmup · α_max for t < T_warmup; else α_min + (α_max - α_min) f(x)
        x = (t - T_warmup - T_stable)/T_decay, kept between 0 and 1
        f(x) = (1 - x), ½ (1 + cos(πx)) or (1 - √x)

    The plateau has no built-in end, which is the point of it: a run is stopped, or branched, by cooling down.
    Past the end it stays at α_min.

    Parameters
    ----------
    alpha_max : float
        α_max, the value of the plateau.
    T_warmup, T_stable, T_decay : float
        The lengths of the three phases in steps; zero leaves the first or the second out.
    cooldown : {'linear', 'cosine', '1-sqrt'}
        f, the shape of the cool-down.
    alpha_min : float
        α_min, the value at the end.

    References
    ----------
    S. Hu et al., MiniCPM (arXiv:2404.06395); A. Hägele et al., Scaling Laws and Compute-Optimal Training
    Beyond Fixed Training Durations (arXiv:2405.18392) for the 1-sqrt cool-down.

    Examples
    --------
    >>> lr = wsd(0.1, T_warmup=100, T_stable=800, T_decay=100, cooldown="1-sqrt")
    >>> lr(50), lr(500), lr(925), lr(1000)
    (0.05, 0.1, 0.05, 0.0)
    """

    alpha_max: float
    T_warmup: float
    T_stable: float
    T_decay: float
    cooldown: Literal["linear", "cosine", "1-sqrt"] = "linear"
    alpha_min: float = 0.0

    def __post_init__(self) -> None:
        self._set(
            alpha_max=check.nonnegative("wsd", "alpha_max", self.alpha_max),
            T_warmup=_warmup_steps("wsd", self.T_warmup),
            T_stable=check.nonnegative("wsd", "T_stable", self.T_stable, "a number of steps, zero or more"),
            T_decay=check.positive("wsd", "T_decay", self.T_decay, "a number of steps above zero"),
            cooldown=check.choice("wsd", "cooldown", self.cooldown, ("linear", "cosine", "1-sqrt")),
            alpha_min=check.nonnegative("wsd", "alpha_min", self.alpha_min),
        )

    @property
    def duration(self) -> float:
        return self.T_warmup + self.T_stable + self.T_decay

    @property
    def equation(self) -> str:
        f = {"linear": "(1 - x)", "cosine": "½ (1 + cos(πx))", "1-sqrt": "(1 - √x)"}[self.cooldown]
        return f"α_t = t/T_warmup · α_max for t < T_warmup; else α_min + (α_max - α_min) {f}"

    def formula(self, t: Any, xp: Any) -> Any:
        x = xp.minimum(xp.maximum(t - self.T_warmup - self.T_stable, 0.0) / self.T_decay, 1.0)
        if self.cooldown == "linear":
            f = 1.0 - x
        elif self.cooldown == "cosine":
            f = 0.5 * (1.0 + xp.cos(xp.pi * x))
        else:
            f = 1.0 - xp.sqrt(x)
        return xp.where(
            t < self.T_warmup,
            _climbed(t, self.T_warmup, xp) * self.alpha_max,
            self.alpha_min + (self.alpha_max - self.alpha_min) * f,
        )


@dataclass(frozen=True, repr=False)
class inverse_sqrt(Schedule):
    """Linear warm-up from 0 to α_max, then a fall like one over the root of the step.

        α_t = α_max · min(t/T_warmup, √(T_warmup/t))

    It never ends.

    Parameters
    ----------
    alpha_max : float
        α_max, the value at step T_warmup.
    T_warmup : float
        T_warmup, the step of the peak, above zero: it also sets how fast the value falls.

    References
    ----------
    A. Vaswani et al., Attention Is All You Need, section 5.3 (arXiv:1706.03762); `noam` takes its parameters.

    Examples
    --------
    >>> lr = inverse_sqrt(0.1, T_warmup=100)
    >>> lr(50), lr(100), lr(400)
    (0.05, 0.1, 0.05)
    """

    alpha_max: float
    T_warmup: float

    def __post_init__(self) -> None:
        self._set(
            alpha_max=check.nonnegative("inverse_sqrt", "alpha_max", self.alpha_max),
            T_warmup=check.positive("inverse_sqrt", "T_warmup", self.T_warmup, "a number of steps above zero"),
        )

    @property
    def horizon(self) -> float:
        return 10.0 * self.T_warmup

    @property
    def equation(self) -> str:
        return "α_t = α_max · min(t/T_warmup, √(T_warmup/t))"

    def formula(self, t: Any, xp: Any) -> Any:
        # One factor is 1 whenever the other is not, and neither divides by the step 0.
        fall = xp.sqrt(self.T_warmup / xp.maximum(t, self.T_warmup))
        return self.alpha_max * _climbed(t, self.T_warmup, xp) * fall


def noam(d_model: float, T_warmup: float, scale: float = 1.0) -> inverse_sqrt:
    """Return the Transformer's schedule, an `inverse_sqrt` whose peak follows from the width of the model.

        α_t = scale · d_model^(-1/2) · min(t^(-1/2), t · T_warmup^(-3/2))

    Parameters
    ----------
    d_model : float
        The width of the model.
    T_warmup : float
        The step of the peak; the paper uses 4000.
    scale : float
        A factor for the whole.

    References
    ----------
    A. Vaswani et al., Attention Is All You Need, equation 3 (arXiv:1706.03762). Its step_num is t.

    Examples
    --------
    >>> f"{noam(d_model=512, T_warmup=4000)(4000):.3e}"
    '6.988e-04'
    """
    d_model = check.positive("noam", "d_model", d_model)
    T_warmup = check.positive("noam", "T_warmup", T_warmup, "a number of steps above zero")
    scale = check.nonnegative("noam", "scale", scale)
    return inverse_sqrt(scale / math.sqrt(d_model * T_warmup), T_warmup)
