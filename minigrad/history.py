"""What a training run did: a row for each epoch, loss and learning rate of each step, as a table and as a picture."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from minigrad.errors import ArgumentError, DataError
from minigrad.history_plot import draw
from minigrad.io import write_atomically

__all__ = ["EpochRow", "History"]


@dataclass(frozen=True)
class EpochRow:
    """One epoch.

    Attributes
    ----------
    epoch, step : int
        How many epochs and optimizer steps there were so far.
    values : dict of float
        `train_loss` and the metrics of training (`train_accuracy`), as measured during the epoch while the model was
        changing; then `test_loss` and the metrics on test data, measured at its end. Losses are means over samples,
        accuracies fractions of 1. They are also attributes: `row.test_loss`.
    lr : float
        That of the epoch's last step.
    seconds : float
        Since the beginning of the run, without the time between an interruption and its resumption.
    """

    epoch: int
    step: int
    values: Mapping[str, float]
    lr: float
    seconds: float

    def __getattr__(self, name: str) -> float:
        if name == "values" or name.startswith("__") or name not in self.values:
            raise AttributeError(f"this epoch has no {name!r}; it has {', '.join(vars(self).get('values', ()))}")
        return self.values[name]

    def as_dict(self) -> dict[str, float]:
        """All columns by name, in their order."""
        return {"epoch": self.epoch, "step": self.step, **self.values, "lr": self.lr, "seconds": self.seconds}


@dataclass
class History:
    """The record that `fit` returns.

    Attributes
    ----------
    rows : list of EpochRow
        One for each whole epoch.
    step_losses, step_lrs : list of float
        For every optimizer step, in order.
    step_grad_norms : list of float
        The norm of all gradients at every step, before clipping; NaN where it was not measured, and empty if it never
        was. `clip_norm` and `GradientMonitor` measure it.
    loss_name : str
        What was minimised.
    interrupted : bool
        True when Ctrl-C ended the run.
    stopped : str
        Why a callback ended the run; empty if none did.
    """

    rows: list[EpochRow] = field(default_factory=list)
    step_losses: list[float] = field(default_factory=list)
    step_lrs: list[float] = field(default_factory=list)
    step_grad_norms: list[float] = field(default_factory=list)
    loss_name: str = "loss"
    interrupted: bool = False
    stopped: str = ""

    def columns(self) -> list[str]:
        """The names of the columns, in their order."""
        names: dict[str, None] = {}
        for row in self.rows:
            names.update(dict.fromkeys(row.values))
        return ["epoch", "step", *names, "lr", "seconds"]

    def column(self, name: str) -> list[float]:
        """The values of one column, an epoch each; NaN where an epoch does not have it.

        Raises
        ------
        ArgumentError
            If no epoch has it.
        """
        if self.rows and name not in self.columns():
            raise ArgumentError(f"History.column: expected one of {', '.join(self.columns())}, got {name!r}.")
        return [row.as_dict().get(name, math.nan) for row in self.rows]

    # ---- as text -----------------------------------------------------------------------------------------------------

    def table(self) -> str:
        """The rows as text, with aligned columns.

        Examples
        --------
        >>> print(History([EpochRow(1, 45, {"train_loss": 0.5, "train_accuracy": 0.91}, 0.01, 1.5)]).table())
        epoch  step  train_loss  train_accuracy    lr  seconds
            1    45      0.5000          0.9100  0.01      1.5
        """
        columns = self.columns()
        lines = [columns, *([_cell(name, row.as_dict().get(name)) for name in columns] for row in self.rows)]
        widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
        return "\n".join(
            "  ".join(f"{text:>{width}}" for text, width in zip(line, widths, strict=True)) for line in lines
        )

    def __str__(self) -> str:
        return self.table()

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write the rows, with a header, to a CSV file; every number so that it can be read back bit for bit."""
        text = io.StringIO()
        table = csv.DictWriter(text, self.columns(), lineterminator="\n")
        table.writeheader()
        table.writerows(row.as_dict() for row in self.rows)
        write_atomically(path, text.getvalue().encode())

    @classmethod
    def from_csv(cls, path: str | os.PathLike[str]) -> History:
        """The rows of a file that `to_csv` wrote; single steps are not in it.

        Raises
        ------
        DataError
            When the file is missing or is no such table.
        """
        try:
            table = list(csv.DictReader(Path(path).read_text().splitlines(), strict=True))
            rows = [
                EpochRow(
                    int(line.pop("epoch")),
                    int(line.pop("step")),
                    lr=float(line.pop("lr")),
                    seconds=float(line.pop("seconds")),
                    values={name: float(value) for name, value in line.items() if value != ""},
                )
                for line in table
            ]
        except OSError as error:
            raise DataError(f"History.from_csv: cannot read {path}: {error.strerror}. Check the path.") from error
        except (csv.Error, KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"History.from_csv: expected a table that History.to_csv wrote, got {path} ({error!r})."
            ) from error
        return cls(rows)

    # ---- as a picture ------------------------------------------------------------------------------------------------

    def plot(self, path: str | os.PathLike[str], title: str = "") -> None:
        """Draw loss, metrics, gradient norm (if it was measured) and learning rate over the steps into a PNG file."""
        draw(self, path, title)

    # ---- state -------------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Everything, as plain data and arrays, for a checkpoint."""
        return {
            "rows": [{**vars(row), "values": dict(row.values)} for row in self.rows],
            **{name: np.array(getattr(self, name), np.float64) for name in _STEP_LISTS},
            "loss_name": self.loss_name,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take on a saved state. How the saved run ended is not part of it: this one goes on.

        Raises
        ------
        ArgumentError
            When it is not the state of a history; nothing is changed then.
        """
        try:
            rows = [
                EpochRow(
                    epoch=int(row["epoch"]),
                    step=int(row["step"]),
                    values={str(name): float(value) for name, value in row["values"].items()},
                    lr=float(row["lr"]),
                    seconds=float(row["seconds"]),
                )
                for row in state["rows"]
            ]
            lists = {name: [float(value) for value in state[name]] for name in _STEP_LISTS}
            loss_name = str(state["loss_name"])
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
            raise ArgumentError(f"History.load_state_dict: expected what state_dict() returned ({error!r}).") from None
        self.rows, self.loss_name, self.interrupted, self.stopped = rows, loss_name, False, ""
        for name, values in lists.items():
            setattr(self, name, values)


_STEP_LISTS = ("step_losses", "step_lrs", "step_grad_norms")


def _cell(name: str, value: float | None) -> str:
    if value is None:
        return ""
    if name in ("epoch", "step"):
        return str(value)
    return f"{value:.1f}" if name == "seconds" else f"{value:.3g}" if name == "lr" else f"{value:.4f}"
