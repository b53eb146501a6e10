"""PyTorch's schedulers that come back, and those that move momentum against the learning rate."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any, Literal

from minigrad.errors import ArgumentError
from minigrad.optim import schedule_checks as check
from minigrad.optim.lr_scheduler_base import AbsoluteScheduler, load_function, state_of_function, write
from minigrad.optim.schedule_base import Schedule
from minigrad.optim.schedules import cosine, cosine_restarts, cyclic, one_cycle

__all__ = ["CosineAnnealingWarmRestarts", "CyclicLR", "OneCycleLR"]


class CosineAnnealingWarmRestarts(AbsoluteScheduler):
    """Cosine annealing from the base learning rate to `eta_min`, over and over.

        lr_t = eta_min + ½ (base_lr - eta_min) (1 + cos(π T_cur/T_i)), T_i = T_0 · T_mult^i

    It never ends.

    Parameters
    ----------
    optimizer : any object with `param_groups`
    T_0 : int
        The length of the first period in steps, at least 1.
    T_mult : int
        The factor by which each period is longer than the one before, at least 1.
    eta_min : float
        Zero or more.
    last_epoch : int
        See `LRScheduler`.

    References
    ----------
    I. Loshchilov and F. Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts (arXiv:1608.03983).

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import optim
    >>> from minigrad.optim import lr_scheduler
    >>> optimizer = optim.SGD([minigrad.zeros(1, requires_grad=True)], lr=1.0)
    >>> scheduler = lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=2, T_mult=2)
    >>> rates = [optimizer.lr]
    >>> for _ in range(6):
    ...     optimizer.step()
    ...     scheduler.step()
    ...     rates.append(round(optimizer.lr, 6))
    >>> rates
    [1.0, 0.5, 1.0, 0.853553, 0.5, 0.146447, 1.0]
    """

    hyper_parameters = ("T_0", "T_mult", "eta_min", "T_cur", "T_i")

    def __init__(self, optimizer: Any, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        self.T_0 = T_0
        self.T_mult = T_mult
        self.eta_min = eta_min
        self._validate()
        self._place(0)
        super().__init__(optimizer, last_epoch)

    def _validate(self) -> None:
        check.integer("CosineAnnealingWarmRestarts", "T_0", self.T_0, at_least=1)
        check.integer("CosineAnnealingWarmRestarts", "T_mult", self.T_mult, at_least=1)
        check.nonnegative("CosineAnnealingWarmRestarts", "eta_min", self.eta_min)

    @property
    def schedule(self) -> Schedule:
        """The pure schedule of the factor by which `base_lr - eta_min` is multiplied."""
        return cosine_restarts(1.0, self.T_0, self.T_mult)

    def _place(self, t: float) -> None:
        """Set T_i and T_cur: the length of the period that step `t` is in, and how much of it has passed."""
        self.T_i, self.T_cur = self.T_0, t
        if self.T_mult == 1:
            self.T_cur = t % self.T_0
        else:
            while self.T_cur >= self.T_i:
                self.T_cur -= self.T_i
                self.T_i *= self.T_mult

    def step(self, epoch: float | None = None) -> None:
        """Go one step on, or to `epoch`, which may be fractional.

        Within an epoch of n batches, `step(epoch + i / n)` after batch i moves the learning rate smoothly. A
        plain `step()` after it goes one whole epoch on from there.
        """
        if epoch is not None:
            check.nonnegative("CosineAnnealingWarmRestarts", "epoch", epoch)
        self._count()
        if epoch is not None:
            self._jump(epoch)
            return
        self.last_epoch += 1
        self.T_cur += 1
        if self.T_cur >= self.T_i:
            self.T_cur -= self.T_i
            self.T_i *= self.T_mult
        self._write(self.get_lr())

    def get_lr(self) -> list[float]:
        factor = cosine(1.0, self.T_i)(self.T_cur)
        return [self.eta_min + (base_lr - self.eta_min) * factor for base_lr in self.base_lrs]

    def _begin(self) -> None:
        self._place(0)
        super()._begin()

    def _resume(self) -> None:
        self._place(self.last_epoch)
        super()._resume()

    def _jump(self, epoch: float) -> None:
        self._place(epoch)
        super()._jump(math.floor(epoch))


class _MomentumCycler(AbsoluteScheduler):
    """What CyclicLR and OneCycleLR share: momentum goes down while the learning rate goes up."""

    cycle_momentum: bool

    def _prepare_momentum(self, groups: list[dict[str, Any]], base: Any, peak: Any) -> None:
        """Check that there is a momentum to cycle, and store its two ends for each group."""
        name = type(self).__name__
        self.base_momentums = self._for_each_group("base_momentum", base, len(groups))
        self.max_momentums = self._for_each_group("max_momentum", peak, len(groups))
        if self.cycle_momentum and not all("betas" in group or "momentum" in group for group in groups):
            raise ArgumentError(
                f"{name}: expected groups with 'momentum' or 'betas', because cycle_momentum is on, "
                f"got {', '.join(groups[0])}. Give cycle_momentum=False."
            )
        if self.cycle_momentum:
            # Not read here: PyTorch keeps the ends of the cycle in the groups, and finds them in a saved state.
            for i, group in enumerate(groups):
                group["base_momentum"] = self.base_momentums[i]
                group["max_momentum"] = self.max_momentums[i]

    def get_momentum(self) -> list[float]:
        """Return the momentum of each group at `last_epoch`."""
        raise NotImplementedError(f"{type(self).__name__} does not define get_momentum(self)")

    def _write(self, lrs: list[float]) -> None:
        super()._write(lrs)
        if self.cycle_momentum:
            for group, momentum in zip(self.optimizer.param_groups, self.get_momentum(), strict=True):
                if "betas" in group:
                    group["betas"] = (momentum, *group["betas"][1:])
                else:
                    write(group, "momentum", momentum)


class CyclicLR(_MomentumCycler):
    """Straight lines from `base_lr` up to `max_lr` and back, over and over.

        lr_t = base_lr + (max_lr - base_lr) · triangle(t) · m(t)
        momentum_t = max_momentum - (max_momentum - base_momentum) · triangle(t) · m(t)

    with triangle and m as in the pure `cyclic`. It never ends.

    Parameters
    ----------
    optimizer : any object with `param_groups`
    base_lr, max_lr : float, or list with one for each group
        The learning rates at the low and at the first peak.
    step_size_up : float
        The number of steps on the way up, above zero.
    step_size_down : float, optional
        The number of steps on the way down; by default as many as up.
    mode : {'triangular', 'triangular2', 'exp_range'}
        m: 1, ½^(cycle - 1), or gamma^t. Not used when `scale_fn` is given.
    gamma : float
        For 'exp_range', from 0 to 1.
    scale_fn : function, optional
        m as a function of one number, which `scale_mode` chooses.
    scale_mode : {'cycle', 'iterations'}
        Whether `scale_fn` is given the number of the cycle, from 1, or the step.
    cycle_momentum : bool
        Whether momentum, or the first of `betas`, is cycled the other way.
    base_momentum, max_momentum : float, or list with one for each group
        Momentum at the peak and at the low of the learning rate.
    last_epoch : int
        See `LRScheduler`.

    References
    ----------
    L. N. Smith, Cyclical Learning Rates for Training Neural Networks (arXiv:1506.01186).

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import optim
    >>> from minigrad.optim import lr_scheduler
    >>> optimizer = optim.SGD([minigrad.zeros(1, requires_grad=True)], lr=0.1)
    >>> scheduler = lr_scheduler.CyclicLR(optimizer, base_lr=0.1, max_lr=0.5, step_size_up=2, cycle_momentum=False)
    >>> rates = [optimizer.lr]
    >>> for _ in range(5):
    ...     optimizer.step()
    ...     scheduler.step()
    ...     rates.append(round(optimizer.lr, 6))
    >>> rates
    [0.1, 0.3, 0.5, 0.3, 0.1, 0.3]
    """

    own_state = ("base_momentums", "max_momentums")
    hyper_parameters = (
        "max_lrs",
        "total_size",
        "step_ratio",
        "mode",
        "gamma",
        "scale_mode",
        "cycle_momentum",
        "base_momentums",
        "max_momentums",
    )

    def __init__(
        self,
        optimizer: Any,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: Literal["triangular", "triangular2", "exp_range"] = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: Literal["cycle", "iterations"] = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.8,
        max_momentum: float | list[float] = 0.9,
        last_epoch: int = -1,
    ) -> None:
        groups = self._groups_of(optimizer, last_epoch)
        base_lrs = self._for_each_group("base_lr", base_lr, len(groups))
        self.max_lrs = self._for_each_group("max_lr", max_lr, len(groups))
        up = check.positive("CyclicLR", "step_size_up", step_size_up, "a number of steps above zero")
        down = up if step_size_down is None else step_size_down
        check.positive("CyclicLR", "step_size_down", down, "a number of steps above zero")
        self.total_size = float(up + down)
        self.step_ratio = up / self.total_size
        if scale_fn is not None and not callable(scale_fn):
            raise ArgumentError(f"CyclicLR: expected scale_fn as a function of one number, got {scale_fn!r}.")
        self.mode = mode
        self.gamma = gamma
        self._scale_fn_custom: Any = scale_fn
        self.scale_mode = scale_mode
        self.cycle_momentum = bool(cycle_momentum)
        self._validate()
        self._prepare_momentum(groups, base_momentum, max_momentum)
        if last_epoch == -1:
            for group, lr in zip(groups, base_lrs, strict=True):
                write(group, "lr", lr)
        super().__init__(optimizer, last_epoch)
        # Another scheduler may have left its own 'initial_lr' in the groups.
        self.base_lrs = base_lrs
        self._write(self.get_lr())

    def _validate(self) -> None:
        if self._scale_fn_custom is None:
            check.choice("CyclicLR", "mode", self.mode, ("triangular", "triangular2", "exp_range"))
            check.between("CyclicLR", "gamma", self.gamma, 0, 1)
        check.choice("CyclicLR", "scale_mode", self.scale_mode, ("cycle", "iterations"))

    @property
    def schedule(self) -> Schedule:
        """The pure schedule of the height of the triangles, without a `scale_fn` of one's own."""
        up = self.total_size * self.step_ratio
        mode = self.mode if self._scale_fn_custom is None else "triangular"
        return cyclic(0.0, 1.0, up, self.total_size - up, mode, self.gamma)

    def _height(self) -> float:
        """Return triangle(t) · m(t) at `last_epoch`."""
        t = self.last_epoch
        height = self.schedule(t)
        if self._scale_fn_custom is None:
            return height
        cycle = math.floor(1 + t / self.total_size)
        return height * float(self._scale_fn_custom(cycle if self.scale_mode == "cycle" else t))

    def get_lr(self) -> list[float]:
        height = self._height()
        return [
            base_lr + (max_lr - base_lr) * height for base_lr, max_lr in zip(self.base_lrs, self.max_lrs, strict=True)
        ]

    def get_momentum(self) -> list[float]:
        height = self._height()
        return [high - (high - low) * height for low, high in zip(self.base_momentums, self.max_momentums, strict=True)]

    def state_dict(self) -> dict[str, Any]:
        """Return the state; of a `scale_fn` only what a callable object keeps in attributes."""
        return {**super().state_dict(), "_scale_fn_custom": state_of_function(self._scale_fn_custom)}

    def _take(self, state_dict: dict[str, Any]) -> None:
        function = self._scale_fn_custom
        super()._take(state_dict)
        self._scale_fn_custom = function

    def _absorb(self, state_dict: dict[str, Any]) -> None:
        super()._absorb(state_dict)
        load_function(self._scale_fn_custom, state_dict["_scale_fn_custom"])


class OneCycleLR(_MomentumCycler):
    """The one-cycle policy: up from `max_lr/div_factor` to `max_lr`, then down to far below the start.

    The learning rate follows the pure `one_cycle` with its peak at step pct_start · total_steps - 1 and its
    end at step total_steps - 1; momentum follows the same curve upside down, from `max_momentum` to
    `base_momentum` and back.

    Past the end, the learning rate and momentum stay; going further than `total_steps` warns, once.

    Parameters
    ----------
    optimizer : any object with `param_groups`
    max_lr : float, or list with one for each group
        The learning rate at the peak.
    total_steps : int, optional
        The number of steps of the run. Or give `epochs` and `steps_per_epoch`.
    epochs, steps_per_epoch : int, optional
        Their product is `total_steps`.
    pct_start : float
        The part of the run that goes up, from 0 to below 1; it must not be exactly one step. With less than
        one step the run begins just past the peak.
    anneal_strategy : {'cos', 'linear'}
        The shape of every phase.
    cycle_momentum : bool
        Whether momentum, or the first of `betas`, is cycled the other way.
    base_momentum, max_momentum : float, or list with one for each group
        Momentum at the peak of the learning rate, and at its start and end.
    div_factor : float
        max_lr over the first learning rate, above zero.
    final_div_factor : float
        The first learning rate over the last one, above zero.
    three_phase : bool
        Come down to the first learning rate as fast as it went up, then to the last one.
    last_epoch : int
        See `LRScheduler`.

    References
    ----------
    L. N. Smith and N. Topin, Super-Convergence: Very Fast Training of Neural Networks Using Large Learning
    Rates (arXiv:1708.07120).

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import optim
    >>> from minigrad.optim import lr_scheduler
    >>> optimizer = optim.SGD([minigrad.zeros(1, requires_grad=True)], lr=0.1, momentum=0.9)
    >>> scheduler = lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=6, pct_start=0.5)
    >>> rates = [round(optimizer.lr, 6)]
    >>> for _ in range(5):
    ...     optimizer.step()
    ...     scheduler.step()
    ...     rates.append(round(optimizer.lr, 6))
    >>> rates
    [0.04, 0.52, 1.0, 0.750001, 0.250003, 4e-06]
    """

    hyper_parameters = (
        "total_steps",
        "cycle_momentum",
        "pct_start",
        "anneal_strategy",
        "three_phase",
        "final_div_factor",
        "max_lrs",
        "base_momentums",
        "max_momentums",
    )
    own_state = hyper_parameters[2:]

    def __init__(
        self,
        optimizer: Any,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        groups = self._groups_of(optimizer, last_epoch)
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ArgumentError(
                    "OneCycleLR: expected total_steps, or epochs and steps_per_epoch, got neither. "
                    "total_steps is the number of calls of optimizer.step() in the whole run."
                )
            total_steps = check.integer("OneCycleLR", "epochs", epochs, at_least=1) * check.integer(
                "OneCycleLR", "steps_per_epoch", steps_per_epoch, at_least=1
            )
        self.total_steps = total_steps
        self.pct_start = pct_start
        self.anneal_strategy = anneal_strategy
        self.three_phase = bool(three_phase)
        self.final_div_factor = check.positive("OneCycleLR", "final_div_factor", final_div_factor)
        self.cycle_momentum = bool(cycle_momentum)
        self.max_lrs = self._for_each_group("max_lr", max_lr, len(groups))
        check.positive("OneCycleLR", "div_factor", div_factor)
        self._validate()
        self._prepare_momentum(groups, base_momentum, max_momentum)
        self._warned = False
        if last_epoch == -1:
            for group, peak in zip(groups, self.max_lrs, strict=True):
                group["initial_lr"] = peak / div_factor
                # Not read here either.
                group["max_lr"] = peak
                group["min_lr"] = peak / div_factor / final_div_factor
        super().__init__(optimizer, last_epoch)

    def _validate(self) -> None:
        name = "OneCycleLR"
        N = check.integer(name, "total_steps", self.total_steps, at_least=1)
        check.choice(name, "anneal_strategy", self.anneal_strategy, ("cos", "linear"))
        up = check.between(name, "pct_start", self.pct_start, 0, 1) * N
        if up == 1:
            raise ArgumentError(
                f"{name}: expected pct_start * total_steps above 1, got exactly 1 ({self.pct_start} * {N}): "
                f"the way up would begin and end at step 0. Give a larger pct_start, or 0 for no way up."
            )
        if up == N:
            raise ArgumentError(
                f"{name}: expected pct_start below 1, got {self.pct_start}, which leaves no way down. "
                f"For a warm-up alone use LinearLR."
            )
        if self.three_phase and not (up > 1 and 2 * (up - 1) < N - 1):
            raise ArgumentError(
                f"{name}: expected pct_start to leave room for three phases in {N} steps, "
                f"got {self.pct_start}. pct_start * total_steps must lie above 1 and below (total_steps + 1)/2."
            )

    def _curve(self, start: float, peak: float, end: float) -> float:
        """Return the one-cycle curve through three values at `last_epoch`."""
        T_warmup = self.pct_start * self.total_steps - 1
        T = self.total_steps - 1.0
        # A way up of less than one step has its peak before step 0: the clock is moved so that the peak is at
        # 0.
        late = max(0.0, -T_warmup)
        anneal: Literal["cosine", "linear"] = "cosine" if self.anneal_strategy == "cos" else "linear"
        curve = one_cycle(peak, T + late, T_warmup + late, start, end, anneal, self.three_phase)
        return curve(self.last_epoch + late)

    def get_lr(self) -> list[float]:
        if self.last_epoch > self.total_steps and not self._warned:
            self._warned = True
            warnings.warn(
                f"OneCycleLR: step {self.last_epoch} is past total_steps={self.total_steps}; the learning rate "
                f"stays at its last value. Give as total_steps the number of optimizer.step() in the run.",
                stacklevel=3,
            )
        return [
            self._curve(base_lr, max_lr, base_lr / self.final_div_factor)
            for base_lr, max_lr in zip(self.base_lrs, self.max_lrs, strict=True)
        ]

    def get_momentum(self) -> list[float]:
        return [self._curve(high, low, high) for low, high in zip(self.base_momentums, self.max_momentums, strict=True)]
