"""The learning-rate range test: train a copy for a few steps while the rate grows, and see where the loss falls.

result = lr_range_test(model, optimizer, F.cross_entropy, loader)
result.plot()
result.suggestion
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from minigrad.errors import ArgumentError, NonFiniteError
from minigrad.optim import schedule_checks as check
from minigrad.optim.lr_scheduler_base import write
from minigrad.optim.schedules import exponential

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["LRRangeTest", "lr_range_test"]

# Okabe and Ito's palette: told apart under every form of colour blindness, and the marks differ in shape as well.
LOSS_COLOUR, STEEPEST_COLOUR, TENTH_COLOUR = "#0072B2", "#D55E00", "#009E73"
# Fewer losses than this say nothing about a slope.
FEWEST = 5


@dataclass(frozen=True, eq=False)
class LRRangeTest:
    """What a range test found.

    Attributes
    ----------
    lrs : ndarray (n,)
        The learning rates tried, rising by one factor.
    losses : ndarray (n,)
        The loss of the batch at each of them, before the step.
    smoothed : ndarray (n,)
        `losses` averaged with their neighbours on both sides, so that the curve is smooth and not late.
    diverged_at : float or None
        The learning rate at which the loss exploded and the test stopped; None if it came to the end.
    """

    lrs: NDArray[np.float64]
    losses: NDArray[np.float64]
    smoothed: NDArray[np.float64]
    diverged_at: float | None

    @property
    def steepest(self) -> float:
        """The learning rate where the smoothed loss falls fastest per factor of the rate, before its minimum."""
        slopes = np.gradient(self.smoothed, np.log(self.lrs))
        return float(self.lrs[np.argmin(slopes[: self._lowest() + 1])])

    @property
    def tenth_of_minimum(self) -> float:
        """A tenth of the learning rate at which the smoothed loss is lowest."""
        return float(self.lrs[self._lowest()] / 10.0)

    @property
    def suggestion(self) -> float:
        """The smaller of `steepest` and `tenth_of_minimum`: a rate to begin with."""
        return min(self.steepest, self.tenth_of_minimum)

    def _lowest(self) -> int:
        lowest = int(np.argmin(self.smoothed))
        if lowest == 0:
            raise ArgumentError(
                f"lr_range_test: expected a loss that falls at first, but it was lowest at the first learning rate, "
                f"{self.lrs[0]:g}. Start lower (lr_min), or look at the model: its loss may not fall at all."
            )
        return lowest

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the losses over the learning rate, with both points marked where there are any.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; by default on a new figure.

        Returns
        -------
        matplotlib Axes
        """
        if ax is None:
            import matplotlib.pyplot as plt

            _, ax = plt.subplots(figsize=(7.0, 4.2), layout="constrained")
        ax.plot(self.lrs, self.losses, color=LOSS_COLOUR, alpha=0.3, linewidth=1.0, label="loss of the batch")
        ax.plot(self.lrs, self.smoothed, color=LOSS_COLOUR, linewidth=2.0, label="smoothed")
        if np.argmin(self.smoothed) > 0:
            for lr, name, colour, marker in (
                (self.steepest, "steepest descent", STEEPEST_COLOUR, "o"),
                (self.tenth_of_minimum, "a tenth of the minimum", TENTH_COLOUR, "D"),
            ):
                height = np.interp(math.log(lr), np.log(self.lrs), self.smoothed)
                ax.plot(lr, height, marker, color=colour, markersize=9, label=f"{name}: {lr:.2g}")
        if self.diverged_at is not None:
            ax.axvline(self.diverged_at, color="0.4", linestyle="--", label=f"diverged at {self.diverged_at:.2g}")
        ax.set_xscale("log")
        ax.set_xlabel("learning rate")
        ax.set_ylabel("loss")
        ax.set_title("Learning-rate range test", loc="left")
        ax.legend(frameon=False)
        ax.grid(alpha=0.3)
        return ax

    def __str__(self) -> str:
        tried = f"{len(self.lrs)} learning rates from {self.lrs[0]:.2g} to {self.lrs[-1]:.2g}"
        end = "" if self.diverged_at is None else f", diverged at {self.diverged_at:.2g}"
        if np.argmin(self.smoothed) == 0:
            return f"{tried}{end}; the loss did not fall"
        return (
            f"{tried}{end}; steepest descent at {self.steepest:.2g}, a tenth of the minimum {self.tenth_of_minimum:.2g}"
        )


class _Diverged(Exception):
    """Leaves a closure whose loss is not finite, before it reaches the optimizer."""


def lr_range_test(
    model: Any,
    optimizer: Any,
    loss_fn: Callable[[Any, Any], Any],
    batches: Iterable[Any],
    lr_min: float = 1e-7,
    lr_max: float = 10.0,
    steps: int = 100,
    smoothing: float = 0.8,
    divergence: float = 4.0,
) -> LRRangeTest:
    """Train a copy of model and optimizer with a learning rate that grows from step to step.

        lr_i = lr_min (lr_max/lr_min)^(i/(steps - 1))

    The originals are not touched, in parameters, gradients, buffers or state; random numbers and `batches` are used up
    as in any training.

    Parameters
    ----------
    model : Module
        Called with the inputs of a batch. It is copied as it is, in training or evaluation mode.
    optimizer : Optimizer
        Over parameters of `model`. Learning rates of its groups keep their ratios; the largest follows the sweep.
    loss_fn : function of (output, target)
        Returns the loss as a scalar Tensor.
    batches : iterable of (input, ..., target)
        A DataLoader or a list. It is begun anew when it is through.
    lr_min, lr_max : float
        The ends of the sweep, above zero.
    steps : int
        The number of learning rates, at least 5.
    smoothing : float
        From 0 to below 1: the weight of a neighbour in the smoothed loss, of the next one its square, and so on.
    divergence : float
        The test stops when the running mean of the loss is more than this many times its lowest so far, or when
        the loss or a gradient is not finite. Above 1. For losses that can be negative it is the distance from the
        first loss that counts: the test stops when the mean has risen by (divergence - 1) times the size of the first.

    Returns
    -------
    LRRangeTest

    Raises
    ------
    ArgumentError
        If an argument is out of range, there are no batches, the optimizer is over other parameters, its learning rate
        is a schedule, or the loss diverges within the first five steps.

    References
    ----------
    L. N. Smith, Cyclical Learning Rates for Training Neural Networks, section 3.3 (arXiv:1506.01186).

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn, optim
    >>> from minigrad.nn import functional as F
    >>> _ = minigrad.manual_seed(0)
    >>> x = minigrad.randn(64, 3)
    >>> batches = [(x, x.sum(dim=1, keepdim=True))]
    >>> model = nn.Linear(3, 1)
    >>> result = optim.lr_range_test(model, optim.SGD(model.parameters()), F.mse_loss, batches, lr_min=1e-4)
    >>> 1e-3 < result.suggestion < result.diverged_at
    True
    >>> result.lrs.shape == result.losses.shape
    True
    """
    name = "lr_range_test"
    lr_min = check.positive(name, "lr_min", lr_min)
    lr_max = check.positive(name, "lr_max", lr_max)
    check.integer(name, "steps", steps, at_least=FEWEST)
    if not lr_min < lr_max:
        raise ArgumentError(f"{name}: expected lr_min below lr_max, got {lr_min} and {lr_max}.")
    if not 0 <= check.real(name, "smoothing", smoothing) < 1:
        raise ArgumentError(f"{name}: expected smoothing from 0 to below 1, got {smoothing}.")
    if check.real(name, "divergence", divergence) <= 1:
        raise ArgumentError(f"{name}: expected divergence above 1, got {divergence}.")
    if not isinstance(batches, Iterable):
        raise ArgumentError(f"{name}: expected batches to be a DataLoader or a list, got {type(batches).__name__}.")

    # Copied together, so that the copied optimizer holds the parameters of the copied model.
    model, optimizer = copy.deepcopy((model, optimizer))
    _check_pair(model, optimizer)
    sweep = exponential(lr_min, gamma=(lr_max / lr_min) ** (1.0 / (steps - 1)))
    ratios = _ratios(optimizer.param_groups)
    source = _endless(batches)
    losses: list[float] = []
    diverged_at = None
    watch = _DivergenceWatch(divergence)
    for i in range(steps):
        lr = sweep(i)
        try:
            loss = _train_step(model, optimizer, loss_fn, next(source), [lr * ratio for ratio in ratios])
        except (_Diverged, NonFiniteError):
            diverged_at = lr
            break
        if watch.exploded(loss):
            diverged_at = lr
            break
        losses.append(loss)
    if len(losses) < FEWEST:
        raise ArgumentError(
            f"{name}: expected at least {FEWEST} steps with a finite loss, got {len(losses)}: it diverged at a "
            f"learning rate of {diverged_at:g}. Start lower (lr_min={lr_min / 100:g}), or look at the data for NaN."
        )
    found = np.array(losses)
    return LRRangeTest(sweep(np.arange(len(losses))), found, _smooth(found, smoothing), diverged_at)


def _train_step(model: Any, optimizer: Any, loss_fn: Any, batch: Any, lrs: list[float]) -> float:
    """Make one step at the given rates and return the loss before it."""
    *inputs, target = batch
    first: list[float] = []
    for group, lr in zip(optimizer.param_groups, lrs, strict=True):
        write(group, "lr", lr)

    # As a closure, so that optimizers that evaluate it more than once are tested too.
    def closure() -> Any:
        optimizer.zero_grad()
        loss = loss_fn(model(*inputs), target)
        first.append(float(loss.item()))
        if not math.isfinite(first[-1]):
            raise _Diverged
        loss.backward()
        return loss

    # Numbers grow past what a float holds on the way to divergence, which is what is looked for.
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        optimizer.step(closure)
    for group, lr in zip(optimizer.param_groups, lrs, strict=True):
        if not math.isclose(float(group["lr"]), lr, rel_tol=1e-6):
            raise ArgumentError(
                f"lr_range_test: expected the learning rate to stay at {lr:g} during a step, but it became "
                f"{float(group['lr']):g}. Build the optimizer with a number as lr, not with a schedule."
            )
    return first[0]


class _DivergenceWatch:
    """The running mean of the loss, and whether it has exploded."""

    def __init__(self, divergence: float) -> None:
        self.margin = divergence - 1.0
        self.mean = 0.0
        self.weight = 0.0
        self.lowest = math.inf
        self.scale = 0.0

    def exploded(self, loss: float) -> bool:
        # A mean over about five steps: one bad batch is not divergence.
        self.mean = 0.8 * self.mean + 0.2 * loss
        self.weight = 0.8 * self.weight + 0.2
        mean = self.mean / self.weight
        self.scale = self.scale or abs(loss)
        self.lowest = min(self.lowest, mean)
        size = self.lowest if self.lowest > 0 else self.scale
        return mean > self.lowest + self.margin * size


def _smooth(losses: NDArray[np.float64], smoothing: float) -> NDArray[np.float64]:
    """Return the mean of each loss and its neighbours, with weight smoothing^distance on both sides.

    A running mean of the past alone comes late, and would put the minimum at a rate that is too high.
    """
    i = np.arange(len(losses))
    weights = smoothing ** np.abs(i[:, None] - i[None, :]).astype(np.float64)  # (n, n)
    return weights @ losses / weights.sum(axis=1)


def _endless(batches: Iterable[Any]) -> Iterator[Any]:
    while True:
        empty = True
        for batch in batches:
            empty = False
            if not isinstance(batch, tuple | list) or len(batch) < 2:
                raise ArgumentError(
                    f"lr_range_test: expected batches of (input, target), got a {type(batch).__name__}."
                )
            yield batch
        if empty:
            raise ArgumentError(
                "lr_range_test: expected at least one batch, got none. An iterator gives its batches only once: "
                "give a DataLoader or a list."
            )


def _ratios(groups: list[dict[str, Any]]) -> list[float]:
    """Return the learning rate of each group over the largest one."""
    lrs = [float(group["lr"]) for group in groups]
    largest = max(lrs)
    return [lr / largest for lr in lrs] if largest > 0 else [1.0] * len(lrs)


def _check_pair(model: Any, optimizer: Any) -> None:
    own = {id(p) for p in model.parameters()}
    if not any(id(p) in own for group in optimizer.param_groups for p in group["params"]):
        raise ArgumentError(
            "lr_range_test: expected an optimizer over parameters of the model, got one over others. "
            "Build it with model.parameters()."
        )
