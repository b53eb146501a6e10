"""Callbacks: what `fit` should do besides training.

    fit(model, optimizer, loss, batches, epochs=50, test_data=test_batches, callbacks=[
        EarlyStopping("test_loss", patience=5, restore_best=True),
        Checkpoint("run", monitor="test_accuracy", every_steps=500, keep=2),
        CSVLogger("run/history.csv"),
    ])

A callback of your own is a subclass of `Callback` that defines the moments it needs. Those that watch gradients and
time are in `monitors.py`.
"""

from __future__ import annotations

import contextlib
import copy
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from minigrad.checkpoint import SUFFIX
from minigrad.errors import ArgumentError, DTypeError
from minigrad.history import EpochRow
from minigrad.io import write_atomically
from minigrad.monitors import GradientMonitor, TerminateOnNaN, Timer
from minigrad.optim import schedule_checks as check
from minigrad.optim.lr_scheduler import ReduceLROnPlateau
from minigrad.run import Callback, Run

__all__ = [
    "CSVLogger",
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "GradientMonitor",
    "LRScheduler",
    "Monitored",
    "TerminateOnNaN",
    "Timer",
]


class Monitored(Callback):
    """Base class of callbacks that compare a number of each epoch with the best one so far.

    Parameters
    ----------
    monitor : str
        A column of the history, such as 'test_loss' or 'test_accuracy'.
    mode : {'min', 'max', 'auto'}
        Whether lower or higher is better; 'auto' is 'min' for losses and errors and 'max' for what ends in accuracy.
    min_delta : float
        How much better is better, zero or more.

    Attributes
    ----------
    best : float
        The best value so far; NaN before the first.
    best_epoch : int
        The epoch of that value; 0 before the first.
    """

    def __init__(self, monitor: str = "test_loss", *, mode: str = "auto", min_delta: float = 0.0) -> None:
        owner = type(self).__name__
        self.monitor = monitor
        mode = check.choice(owner, "mode", mode, ("min", "max", "auto"))
        if mode == "auto":
            known = {"loss": "min", "mae": "min", "rmse": "min", "accuracy": "max"}
            mode = known.get(monitor.rpartition("_")[2], "")
            if not mode:
                raise ArgumentError(
                    f"{owner}: whether a higher {monitor!r} is better is not known. Say mode='max' or 'min'."
                )
        self.mode = mode
        self.min_delta = check.nonnegative(owner, "min_delta", min_delta)
        self.best = math.nan
        self.best_epoch = 0

    def improved(self, row: EpochRow) -> bool:
        """Take in an epoch; True if it is the best so far. A NaN never is."""
        value = value_of(type(self).__name__, row, self.monitor)
        sign = 1.0 if self.mode == "max" else -1.0
        if math.isnan(value) or not (math.isnan(self.best) or sign * (value - self.best) > self.min_delta):
            return False
        self.best, self.best_epoch = value, row.epoch
        return True

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "best_epoch": self.best_epoch}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.best, self.best_epoch = float(state["best"]), int(state["best_epoch"])


def value_of(owner: str, row: EpochRow, name: str) -> float:
    """One number of an epoch."""
    columns = row.as_dict()
    if name not in columns:
        hint = " Give fit test_data." if name.startswith("test_") else ""
        raise ArgumentError(f"{owner}: expected one of {', '.join(columns)} as what to monitor, got {name!r}.{hint}")
    return columns[name]


class EarlyStopping(Monitored):
    """End the run when a number has not become better for `patience` epochs.

    Parameters
    ----------
    monitor, mode, min_delta
        See `Monitored`. An epoch is better if it beats the best one by more than `min_delta`.
    patience : int
        How many epochs in a row without a better one end the run, 1 or more.
    restore_best : bool
        At the end of the run, however it comes, put the model into its state of the best epoch. That state is kept in
        memory and in checkpoints.

    Attributes
    ----------
    best, best_epoch
        See `Monitored`.
    waited : int
        How many epochs there were since the best.

    References
    ----------
    Prechelt, Early stopping, but when?, in Neural Networks: Tricks of the Trade (1998).
    """

    def __init__(
        self,
        monitor: str = "test_loss",
        *,
        patience: int = 5,
        mode: str = "auto",
        min_delta: float = 0.0,
        restore_best: bool = False,
    ) -> None:
        super().__init__(monitor, mode=mode, min_delta=min_delta)
        self.patience = check.integer("EarlyStopping", "patience", patience, at_least=1)
        self.restore_best = bool(restore_best)
        self.waited = 0
        self._weights: dict[str, Any] = {}

    def on_epoch(self, run: Run, row: EpochRow) -> None:
        if self.improved(row):
            self.waited = 0
            if self.restore_best:
                self._weights = copy.deepcopy(dict(run.model.state_dict()))
            return
        self.waited += 1
        if self.waited >= self.patience:
            run.stop(
                f"{self.monitor} has not become better than {self.best:.6g} of epoch {self.best_epoch} "
                f"for {self.waited} epoch{'s' if self.waited > 1 else ''}"
            )

    def on_end(self, run: Run) -> None:
        if self._weights:
            run.model.load_state_dict(self._weights)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "waited": self.waited, "weights": dict(self._weights)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.waited, self._weights = int(state["waited"]), dict(state["weights"])


class Checkpoint(Monitored):
    """Write checkpoints into a folder, from which `fit(..., resume=newest(folder))` goes on bit for bit.

        best.safetensors            the epoch with the best `monitor`
        last.safetensors            the last epoch, or the last step when the run ends in the middle of one
        step-00001500.safetensors   every so many steps (or epochs), the last `keep` of them

    Parameters
    ----------
    folder : str or path-like
        Made if it is not there.
    monitor, mode, min_delta
        What `best` means, see `Monitored`; without a `monitor` there is no best.safetensors.
    last : bool
        Whether to write last.safetensors.
    every_steps, every_epochs : int, optional
        After how many optimizer steps, or epochs, to write one that is kept.
    keep : int or None
        How many of those to keep, the newest; None keeps all.

    Attributes
    ----------
    folder : Path
    """

    #: Written last, so that a checkpoint has the state of the other callbacks after the same epoch.
    order = 1

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        monitor: str | None = None,
        mode: str = "auto",
        min_delta: float = 0.0,
        last: bool = True,
        every_steps: int | None = None,
        every_epochs: int | None = None,
        keep: int | None = 3,
    ) -> None:
        super().__init__(monitor or "test_loss", mode=mode, min_delta=min_delta)
        self.folder = Path(folder)
        self.tracks_best = monitor is not None
        self.last = bool(last)
        for name, value in (("every_steps", every_steps), ("every_epochs", every_epochs), ("keep", keep)):
            if value is not None:
                check.integer("Checkpoint", name, value, at_least=1)
        self.every_steps, self.every_epochs, self.keep = every_steps, every_epochs, keep
        self._due = False

    def on_begin(self, run: Run) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)

    def on_step(self, run: Run) -> None:
        if self.every_steps is None:
            return
        # Gradients that an optimizer is still adding up are not part of a checkpoint.
        self._due = self._due or run.step % self.every_steps == 0
        if self._due and not getattr(run.optimizer, "pending", 0):
            self._due = False
            self._save_numbered(run)

    def on_epoch(self, run: Run, row: EpochRow) -> None:
        if self.tracks_best and self.improved(row):
            run.save(self.folder / f"best{SUFFIX}")
        if self.every_epochs is not None and row.epoch % self.every_epochs == 0:
            self._save_numbered(run)
        if self.last:
            run.save(self.folder / f"last{SUFFIX}")

    def on_end(self, run: Run) -> None:
        # At the end of an epoch it is there already, and after half a step there is nothing that could go on.
        if self.last and run.whole and run.batch > 0 and not getattr(run.optimizer, "pending", 0):
            run.save(self.folder / f"last{SUFFIX}")

    def _save_numbered(self, run: Run) -> None:
        run.save(self.folder / f"step-{run.step:08}{SUFFIX}")
        if self.keep is not None:
            for old in sorted(self.folder.glob(f"step-????????{SUFFIX}"))[: -self.keep]:
                with contextlib.suppress(OSError):
                    old.unlink()


class CSVLogger(Callback):
    """Keep a CSV file up to date.

    Parameters
    ----------
    path : str or path-like
    per : {'epoch', 'step'}
        'epoch' writes what `History.to_csv` writes, after each epoch. 'step' writes step, loss, learning rate and
        gradient norm of every optimizer step, a block at a time. Either way a resumed run goes on with the rows of
        the first part.
    """

    #: Steps are written in blocks of so many.
    block = 50

    def __init__(self, path: str | os.PathLike[str], per: str = "epoch") -> None:
        self.path = Path(path)
        self.per = check.choice("CSVLogger", "per", per, ("epoch", "step"))
        self._written = 0

    def on_begin(self, run: Run) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.per == "step":
            write_atomically(self.path, b"step,loss,lr,grad_norm\n")
            self._written = 0
            self._write_steps(run)

    def on_step(self, run: Run) -> None:
        if self.per == "step" and run.step - self._written >= self.block:
            self._write_steps(run)

    def on_epoch(self, run: Run, row: EpochRow) -> None:
        if self.per == "epoch":
            run.history.to_csv(self.path)
        else:
            self._write_steps(run)

    def on_end(self, run: Run) -> None:
        if self.per == "step":
            self._write_steps(run)

    def _write_steps(self, run: Run) -> None:
        history, first = run.history, self._written
        norms = history.step_grad_norms or [math.nan] * run.step
        rows = zip(history.step_losses[first:], history.step_lrs[first:], norms[first:], strict=True)
        lines = [f"{first + i},{loss!r},{lr!r},{norm!r}\n" for i, (loss, lr, norm) in enumerate(rows, 1)]
        with open(self.path, "a") as file:
            file.writelines(lines)
        self._written = run.step


class LRScheduler(Callback):
    """Step a scheduler of `optim.lr_scheduler`, after every optimizer step or after every epoch.

    A schedule that was given to the optimizer itself needs no callback.

    Parameters
    ----------
    scheduler : a scheduler
        Of the optimizer that is trained with.
    per : {'epoch', 'step'}
    monitor : str, optional
        For ReduceLROnPlateau, alone or inside of another scheduler: the column of the history that is its metric.
    """

    def __init__(self, scheduler: Any, per: str = "epoch", *, monitor: str | None = None) -> None:
        if not hasattr(scheduler, "step") or not hasattr(scheduler, "state_dict"):
            raise DTypeError(f"LRScheduler: expected a scheduler, got {type(scheduler).__name__}.")
        self.scheduler = scheduler
        self.per = check.choice("LRScheduler", "per", per, ("epoch", "step"))
        self.monitor = monitor
        if isinstance(scheduler, ReduceLROnPlateau) and monitor is None:
            raise ArgumentError("LRScheduler: ReduceLROnPlateau needs a metric. Say for example monitor='test_loss'.")
        if monitor is not None and per == "step":
            raise ArgumentError("LRScheduler: a metric is known after an epoch. Leave monitor or per='step' out.")

    def on_begin(self, run: Run) -> None:
        trained = {id(group) for group in run.optimizer.param_groups}
        optimizer = getattr(self.scheduler, "optimizer", None)
        if optimizer is not None and not any(id(group) in trained for group in optimizer.param_groups):
            raise ArgumentError("LRScheduler: the scheduler is not one of the optimizer that was given to fit.")

    def on_step(self, run: Run) -> None:
        if self.per == "step":
            self.scheduler.step()

    def on_epoch(self, run: Run, row: EpochRow) -> None:
        if self.per == "epoch":
            metric = () if self.monitor is None else (value_of("LRScheduler", row, self.monitor),)
            self.scheduler.step(*metric)
