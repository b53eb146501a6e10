"""The learning curves of a sweep: the mean over the seeds, with a band of one standard deviation."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minigrad.io import write_atomically

__all__ = ["draw"]

# Okabe and Ito's palette: told apart under every form of colour blindness. One colour an optimizer, one line style a
# schedule; beyond eight optimizers the markers tell them apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#999933")
LINES: tuple[Any, ...] = ("-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)))
MARKERS = ("", "o", "s", "^", "D", "v", "P", "X")


def draw(outcomes: Sequence[Any], path: Path, title: str) -> None:
    """Draw test metric and training loss over the epochs into a PNG file.

    Parameters
    ----------
    outcomes : sequence of compare.Outcome
        Those that diverged are left out.
    path : Path
    title : str
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    groups: dict[tuple[str, str], list[Any]] = {}
    for outcome in outcomes:
        if outcome.diverged is None:
            groups.setdefault((outcome.settings.optimizer, outcome.settings.schedule), []).append(outcome)
    optimizers = list(dict.fromkeys(optimizer for optimizer, _ in groups))
    schedules = list(dict.fromkeys(schedule for _, schedule in groups))
    accuracy = outcomes[0].metric == "accuracy"

    figure = Figure(figsize=(11.0, 4.6 + 0.18 * max(0, len(groups) - 14)), layout="constrained")
    FigureCanvasAgg(figure)
    score, loss = figure.subplots(1, 2)
    for (optimizer, schedule), runs in groups.items():
        i, j = optimizers.index(optimizer), schedules.index(schedule)
        style = {
            "color": COLOURS[i % len(COLOURS)],
            "linestyle": LINES[j % len(LINES)],
            "marker": MARKERS[(i // len(COLOURS) + j // len(LINES)) % len(MARKERS)] or None,
            "markersize": 4,
            "linewidth": 1.6,
        }
        label = optimizer if len(schedules) == 1 else f"{optimizer}, {schedule}"
        scores = np.array([run.scores for run in runs]) * (100 if accuracy else 1)
        _band(score, scores, {**style, "label": label})
        _band(loss, np.array([run.train_losses for run in runs]), style)
    score.set_ylabel("test accuracy (%)" if accuracy else "mean absolute error of the test set")
    loss.set_ylabel("training loss, " + ("cross-entropy (nats)" if accuracy else "mean squared error"))
    loss.set_yscale("log")
    for axes in (score, loss):
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right upper", frameon=False, fontsize=9, handlelength=3)
    seeds = max(len(runs) for runs in groups.values())
    if seeds > 1:
        title += f": mean ± standard deviation of {seeds} seeds"
    gone = sum(outcome.diverged is not None for outcome in outcomes)
    if gone:
        title += f" (not shown: {gone} runs that diverged)"
    figure.suptitle(title, fontsize=11)
    picture = io.BytesIO()
    figure.savefig(picture, dpi=120, format="png")
    write_atomically(path, picture.getvalue())


def _band(axes: Any, values: np.ndarray, style: dict[str, Any]) -> None:
    """`values` (seeds, epochs): a line for their mean, and a band where there are several."""
    epochs = np.arange(1, values.shape[1] + 1)
    mean = values.mean(axis=0)
    axes.plot(epochs, mean, **style)
    if len(values) > 1:
        deviation = values.std(axis=0, ddof=1)
        # On a logarithmic axis a band that reaches 0 would go down for ever.
        low = np.maximum(mean - deviation, 0.5 * values.min(axis=0)) if values.min() > 0 else mean - deviation
        axes.fill_between(epochs, low, mean + deviation, color=style["color"], alpha=0.15, linewidth=0)
