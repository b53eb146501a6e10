"""Callbacks that watch: the norms of the gradients layer by layer, the layer that makes a NaN, the time."""

from __future__ import annotations

import io
import math
import os
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from minigrad.errors import ArgumentError
from minigrad.history import EpochRow
from minigrad.io import write_atomically
from minigrad.nn.module import Module
from minigrad.optim import schedule_checks as check
from minigrad.optim.clip import sum_of_squares
from minigrad.run import Callback, Run

__all__ = ["GradientMonitor", "TerminateOnNaN", "Timer", "gradient_norms"]

# Okabe and Ito's colours, which stay apart for the colour-blind. More layers than these become a picture of rows.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_STYLES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))


def gradient_norms(model: Module) -> dict[str, float]:
    """The norm of the gradients of each module's own parameters together, by the module's name.

        ‖g_layer‖₂ = √(Σ_{p in layer} Σ_i g_{p,i}²)

    Modules without gradients are left out; the model's own parameters have the name ''.

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> model = nn.Linear(1, 1, bias=False)
    >>> model(minigrad.tensor([[3.0]])).sum().backward()
    >>> gradient_norms(model)
    {'': 3.0}
    """
    squares: dict[str, float] = {}
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            layer = name.rpartition(".")[0]
            squares[layer] = squares.get(layer, 0.0) + sum_of_squares(parameter.grad.data)
    return {layer: math.sqrt(total) for layer, total in squares.items()}


class GradientMonitor(Callback):
    """Record the norm of the gradients of every layer over time, before clipping.

    Norms that fall by orders of magnitude from the last layer to the first are vanishing gradients, norms that grow
    are exploding ones.

    Parameters
    ----------
    every : int
        Measure at every so many steps. Measuring reads every gradient once.

    Attributes
    ----------
    steps : list of int
        At which was measured.
    norms : dict of lists of float
        For each layer, by its name in the model, the norms at these steps; NaN where it had no gradient.
    """

    def __init__(self, every: int = 1) -> None:
        self.every = check.integer("GradientMonitor", "every", every, at_least=1)
        self.steps: list[int] = []
        self.norms: dict[str, list[float]] = {}
        self._classes: dict[str, str] = {}

    def on_begin(self, run: Run) -> None:
        self._classes = {name: type(module).__name__ for name, module in run.model.named_modules()}

    def on_gradients(self, run: Run) -> None:
        step = run.step + 1
        if step % self.every:
            return
        found = gradient_norms(run.model)
        for layer in found:
            self.norms.setdefault(layer, [math.nan] * len(self.steps))
        for layer, norms in self.norms.items():
            norms.append(found.get(layer, math.nan))
        self.steps.append(step)
        if run.grad_norm is None:
            run.grad_norm = math.sqrt(sum(norm * norm for norm in found.values()))

    def plot(self, path: str | os.PathLike[str], title: str = "norm of the gradients by layer") -> None:
        """Draw the norms over the steps into a PNG file: lines, or, of many layers, rows of colours.

        Raises
        ------
        ArgumentError
            If nothing was measured.
        """
        if not self.steps:
            raise ArgumentError("GradientMonitor.plot: nothing was measured. Give it to fit(callbacks=[...]) first.")
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        few = len(self.norms) <= len(_COLOURS)
        figure = Figure(figsize=(8.0, 4.5 if few else 1.6 + 0.24 * len(self.norms)), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        if few:
            self._draw_lines(axes)
        else:
            self._draw_rows(figure, axes)
        axes.set_xlabel("optimizer step")
        axes.set_title(title)
        picture = io.BytesIO()
        figure.savefig(picture, dpi=120, format="png")
        write_atomically(path, picture.getvalue())

    def _draw_lines(self, axes: Any) -> None:
        marker = "o" if len(self.steps) == 1 else None
        for (layer, norms), colour, style in zip(self.norms.items(), _COLOURS, _STYLES, strict=False):
            axes.plot(self.steps, norms, color=colour, linestyle=style, marker=marker, label=self._label(layer))
        axes.set_yscale("log", nonpositive="mask")
        axes.set_ylabel("gradient norm ‖g‖₂")
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5), title="layer")

    def _draw_rows(self, figure: Any, axes: Any) -> None:
        values = np.array(list(self.norms.values()))
        values = np.log10(np.where(values > 0, values, np.nan))
        # Each column is as wide as the steps that it stands for.
        edges = np.array([*self.steps, self.steps[-1] + self.every]) - self.every + 0.5
        image = axes.pcolormesh(edges, np.arange(len(values) + 1) - 0.5, values, cmap="viridis")
        figure.colorbar(image, ax=axes, label="log₁₀ of the gradient norm ‖g‖₂")
        axes.set_yticks(range(len(values)), [self._label(layer) for layer in self.norms], fontsize=7)
        axes.invert_yaxis()  # the layer next to the input stands on top

    def _label(self, layer: str) -> str:
        """A layer by name and class: features.0 (Conv2d)."""
        name = layer or "the model"
        return f"{name} ({self._classes[layer]})" if layer in self._classes else name

    def state_dict(self) -> dict[str, Any]:
        return {
            "steps": np.array(self.steps, np.int64),
            "norms": {layer: np.array(norms, np.float64) for layer, norms in self.norms.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.steps = [int(step) for step in state["steps"]]
        self.norms = {layer: [float(norm) for norm in norms] for layer, norms in state["norms"].items()}


class TerminateOnNaN(Callback):
    """End the run, in place of raising an error, when the loss or a gradient is not finite.

    The step is not made, so the model is what it was after the last good one, and `history.stopped` says which layer
    made the first number that is not finite. Without this callback `fit` raises a `NonFiniteError` that says so.
    """

    def on_nonfinite(self, run: Run, message: str) -> bool:
        run.stop(message)
        return True


class Timer(Callback):
    """Where the time of a run goes; and, with a limit, its end after that time.

    Parameters
    ----------
    limit : float, optional
        End the run after so many seconds, after the step that is under way. A resumed run counts on.

    Attributes
    ----------
    epoch_seconds : list of float
        Of each epoch, measuring on test data included.
    steps : int
        Made since the run, or its resumption, began.
    training_seconds : float
        In steps, with the time that their batches took to come.
    """

    def __init__(self, limit: float | None = None) -> None:
        self.limit = None if limit is None else check.positive("Timer", "limit", limit, "seconds above zero")
        self.epoch_seconds: list[float] = []
        self.steps, self.training_seconds = 0, 0.0
        self._epoch_began = self._step_ended = 0.0

    def on_begin(self, run: Run) -> None:
        self.steps, self.training_seconds = 0, 0.0
        self._epoch_began = self._step_ended = time.perf_counter()

    def on_step(self, run: Run) -> None:
        now = time.perf_counter()
        self.steps += 1
        self.training_seconds += now - self._step_ended
        self._step_ended = now
        if self.limit is not None and run.seconds >= self.limit:
            run.stop(f"the time limit of {self.limit:g} s was reached")

    def on_epoch(self, run: Run, row: EpochRow) -> None:
        now = time.perf_counter()
        self.epoch_seconds.append(now - self._epoch_began)
        self._epoch_began = self._step_ended = now

    @property
    def seconds_per_step(self) -> float:
        """The mean; NaN before the first step."""
        return self.training_seconds / self.steps if self.steps else math.nan

    def state_dict(self) -> dict[str, Any]:
        return {"epoch_seconds": list(self.epoch_seconds)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.epoch_seconds = [float(seconds) for seconds in state["epoch_seconds"]]

    def __str__(self) -> str:
        return (
            f"{len(self.epoch_seconds)} epochs in {sum(self.epoch_seconds):.1f} s, "
            f"{1000 * self.seconds_per_step:.2f} ms a step"
        )
