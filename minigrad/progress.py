"""What is seen of a training run: a bar with numbers on a terminal, a line for each epoch elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from minigrad.errors import ArgumentError

if TYPE_CHECKING:
    from minigrad.history import EpochRow

__all__ = ["Bar", "Lines", "Silent", "display"]

# Seconds between two changes of the bar. More often is not readable, and costs more than small steps do.
_INTERVAL = 0.1

# What tqdm fills in.
_FORM = "{desc} {percentage:3.0f}%|{bar}|"


class Silent:
    """Shows nothing; the others show it differently."""

    #: Whether `step` has to be called.
    every_step = False

    def begin(self, epoch: int, epochs: int, batches: int | None, done: int) -> None:
        """An epoch of so many batches begins, or goes on after the first `done` of them."""

    def step(self, batch: int, values: Callable[[], Mapping[str, float]], lr: float) -> None:
        """So many batches of the epoch are done; `values` returns the loss and the metrics of the epoch so far."""

    def end(self, row: EpochRow | None, epochs: int) -> None:
        """The epoch is over, or broken off (None)."""


class Lines(Silent):
    """A line on stderr after each epoch, for files and pipes."""

    def __init__(self, file: Any = None) -> None:
        self.file = file

    def end(self, row: EpochRow | None, epochs: int) -> None:
        if row is not None:
            numbers = "  ".join(_number(name, value) for name, value in row.values.items())
            text = f"epoch {row.epoch:>{len(str(epochs))}}/{epochs}  {numbers}  lr {row.lr:.3g}  {clock(row.seconds)}"
            print(text, file=self.file or sys.stderr, flush=True)


class Bar(Lines):
    """A bar for each epoch on stderr; when it is full, the line of the epoch takes its place.

    It shows loss and metrics of the epoch so far, the learning rate, the time left of this epoch and, if there are more
    to come, of the whole run.
    """

    every_step = True

    def begin(self, epoch: int, epochs: int, batches: int | None, done: int) -> None:
        from tqdm import tqdm

        self.bar = tqdm(
            total=batches, initial=done, desc=f"epoch {epoch}/{epochs}", leave=False, dynamic_ncols=True, unit="batch",
            file=self.file or sys.stderr, mininterval=0.0, miniters=1,
            bar_format=_FORM if batches else None,
        )  # fmt: skip
        self.epochs_left = epochs - epoch
        self.started = self.shown = time.perf_counter()
        self.first = done

    def step(self, batch: int, values: Callable[[], Mapping[str, float]], lr: float) -> None:
        now = time.perf_counter()
        if now - self.shown < _INTERVAL:
            return
        self.shown = now
        parts = [*(_number(name, value) for name, value in values().items()), f"lr {lr:.3g}"]
        if self.bar.total:
            each = (now - self.started) / (batch - self.first)
            left = each * (self.bar.total - batch)
            parts.append(f"{clock(left)} left")
            if self.epochs_left:
                parts.append(f"{clock(left + self.epochs_left * each * self.bar.total)} in all")
        if self.bar.total:
            self.bar.bar_format = f"{_FORM} {'  '.join(parts)}"  # tqdm would put a comma in front of it
        else:
            self.bar.set_postfix_str("  ".join(parts), refresh=False)
        self.bar.update(batch - self.bar.n)

    def end(self, row: EpochRow | None, epochs: int) -> None:
        self.bar.close()
        super().end(row, epochs)


def display(progress: bool | str, reported: bool) -> Silent:
    """What `progress` asks for: 'bar', 'lines', False for nothing; True is a bar on a terminal and lines elsewhere.

    Without a terminal, True shows nothing where somebody else reports each epoch.
    """
    if progress not in (True, False, "bar", "lines"):
        raise ArgumentError(f"fit: expected progress as True, False, 'bar' or 'lines', got {progress!r}.")
    if progress == "bar" or (progress is True and sys.stderr.isatty()):
        return Bar()
    if progress == "lines" or (progress is True and not reported):
        return Lines()
    return Silent()


def clock(seconds: float) -> str:
    """A time in words as short as it is long: 0.4 s, 12 s, 3:05, 2:00:07."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _number(name: str, value: float) -> str:
    label = name.replace("_", " ").removeprefix("train ")
    return f"{label} {100 * value:.2f} %" if name.endswith("accuracy") else f"{label} {value:.4f}"
