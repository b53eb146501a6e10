"""What a training run did: a row for each epoch, the learning rate and loss of each step, as a table and a picture."""

from __future__ import annotations

import csv
import io
import math
import os
from dataclasses import asdict, dataclass, field, fields

from minigrad.io import write_atomically

__all__ = ["EpochRow", "History"]


@dataclass(frozen=True)
class EpochRow:
    """One epoch. Losses are means over samples, accuracies fractions of 1, `lr` is that of the epoch's last step."""

    epoch: int
    step: int
    train_loss: float
    train_accuracy: float
    test_loss: float
    test_accuracy: float
    lr: float
    seconds: float


@dataclass
class History:
    """The record that `fit` returns.

    Attributes
    ----------
    rows : list of EpochRow
    step_losses, step_lrs : list of float
        For every optimizer step, in order.
    interrupted : bool
        True when Ctrl-C ended the run; the last row is then that of the last whole epoch.
    """

    rows: list[EpochRow] = field(default_factory=list)
    step_losses: list[float] = field(default_factory=list)
    step_lrs: list[float] = field(default_factory=list)
    interrupted: bool = False

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write the rows, with a header, to a CSV file."""
        text = io.StringIO()
        table = csv.DictWriter(text, [column.name for column in fields(EpochRow)], lineterminator="\n")
        table.writeheader()
        table.writerows(asdict(row) for row in self.rows)
        write_atomically(path, text.getvalue().encode())

    def plot(self, path: str | os.PathLike[str], title: str = "") -> None:
        """Draw loss, accuracy and learning rate over the steps into a PNG file."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        # Not pyplot: it takes twice as long to import, and keeps global state.
        figure = Figure(figsize=(8.0, 8.0), layout="constrained")
        FigureCanvasAgg(figure)
        loss, accuracy, rate = figure.subplots(3, 1, sharex=True)
        steps = [row.step for row in self.rows]
        train, test = {"color": "#0072B2"}, {"color": "#D55E00", "marker": "o", "markersize": 4}

        loss.plot(range(1, len(self.step_losses) + 1), self.step_losses, alpha=0.25, linewidth=0.8, **train)
        loss.plot(steps, [row.train_loss for row in self.rows], label="training, mean of the epoch", **train)
        loss.plot(steps, [row.test_loss for row in self.rows], label="test", linestyle="--", **test)
        loss.set_ylabel("cross-entropy (nats)")
        positive = [value for value in self.step_losses if value > 0 and math.isfinite(value)]
        if positive:
            loss.set_yscale("log")

        accuracy.plot(steps, [100 * row.train_accuracy for row in self.rows], label="training", **train)
        accuracy.plot(steps, [100 * row.test_accuracy for row in self.rows], label="test", linestyle="--", **test)
        accuracy.set_ylabel("accuracy (%)")

        rate.plot(range(1, len(self.step_lrs) + 1), self.step_lrs, color="#444444")
        rate.set_ylabel("learning rate")
        rate.set_xlabel("optimizer step")
        rate.set_ylim(bottom=0)
        for axes in (loss, accuracy):
            if self.rows:
                axes.legend(frameon=False)
        for axes in (loss, accuracy, rate):
            axes.grid(alpha=0.25)
            axes.spines[["top", "right"]].set_visible(False)
        if title:
            figure.suptitle(title)
        picture = io.BytesIO()
        figure.savefig(picture, dpi=120, format="png")
        write_atomically(path, picture.getvalue())
