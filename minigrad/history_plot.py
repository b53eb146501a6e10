"""Learning curves: the picture of a `History`."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from minigrad.io import write_atomically

if TYPE_CHECKING:
    from minigrad.history import History

__all__ = ["draw"]

# Okabe and Ito's colours, which stay apart for the colour-blind; test data are dashed and dotted besides.
_TRAIN = {"color": "#0072B2"}
_TEST = {"color": "#D55E00", "linestyle": "--", "marker": "o", "markersize": 4}
_GREY = "#444444"

_LOSSES = {"cross_entropy": "cross-entropy (nats)", "mse_loss": "mean square error", "l1_loss": "mean absolute error"}
_LOSSES |= {"CrossEntropyLoss": _LOSSES["cross_entropy"], "MSELoss": _LOSSES["mse_loss"], "L1Loss": _LOSSES["l1_loss"]}


def draw(history: History, path: str | os.PathLike[str], title: str = "") -> None:
    """Draw loss, metrics, gradient norm and learning rate over the steps, one above the other, into a PNG file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    values = [name for name in history.columns() if name.startswith(("train_", "test_")) and not name.endswith("_loss")]
    metrics = list(dict.fromkeys(name.removeprefix("train_").removeprefix("test_") for name in values))
    norms = [norm for norm in history.step_grad_norms if math.isfinite(norm)]
    count = 2 + len(metrics) + bool(norms)

    # Not pyplot: it takes twice as long to import, and keeps global state.
    figure = Figure(figsize=(8.0, 1.4 + 2.2 * count), layout="constrained")
    FigureCanvasAgg(figure)
    panels = list(figure.subplots(count, 1, sharex=True))

    loss = panels[0]
    _draw_steps(loss, history.step_losses, alpha=0.35, **_TRAIN)  # the epochs are drawn over it
    _draw_epochs(loss, history, "loss", 1.0)
    loss.set_ylabel(_LOSSES.get(history.loss_name, history.loss_name))
    drawn = [*history.step_losses, *(row.values.get("test_loss", math.nan) for row in history.rows)]
    if any(value > 0 for value in drawn) and not any(value <= 0 for value in drawn):
        loss.set_yscale("log")

    for axes, name in zip(panels[1:], metrics, strict=False):
        percent = name.endswith("accuracy")
        _draw_epochs(axes, history, name, 100.0 if percent else 1.0)
        label = name.replace("_", " ")
        axes.set_ylabel(f"{label} (%)" if percent else label.upper() if len(label) <= 4 else label)

    if norms:
        axes = panels[-2]
        _draw_steps(axes, history.step_grad_norms, color="#009E73")
        axes.set_ylabel("gradient norm ‖g‖₂")
        if min(norms) > 0:
            axes.set_yscale("log")

    rate = panels[-1]
    rate.plot(range(1, len(history.step_lrs) + 1), history.step_lrs, color=_GREY)
    rate.set_ylabel("learning rate")
    rate.set_xlabel("optimizer step")
    rate.set_ylim(bottom=0)
    for axes in panels:
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False)
    if title:
        figure.suptitle(title)
    picture = io.BytesIO()
    figure.savefig(picture, dpi=120, format="png")
    write_atomically(path, picture.getvalue())


def _draw_steps(axes: Any, values: Sequence[float], **style: Any) -> None:
    """A thin line through the values of single steps."""
    axes.plot(range(1, len(values) + 1), values, linewidth=0.8, **style)


def _draw_epochs(axes: Any, history: History, name: str, scale: float) -> None:
    """The training and test values of each epoch, at the step with which it ended."""
    steps = [row.step for row in history.rows]
    for kind, label, style in (("train", "training, mean of the epoch", _TRAIN), ("test", "test", _TEST)):
        values = [scale * row.values.get(f"{kind}_{name}", math.nan) for row in history.rows]
        if any(map(math.isfinite, values)):
            # A run of one epoch is one point, which a line alone would not show.
            axes.plot(steps, values, label=label, **({"marker": "o", "markersize": 4} | style))
