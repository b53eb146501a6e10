"""A training run while it is under way: what callbacks see of it, and what a checkpoint keeps of it."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from minigrad.checkpoint import MISFITS, Checkpoint, read_checkpoint, save_checkpoint
from minigrad.errors import CheckpointError
from minigrad.evaluation import Loss, Sums
from minigrad.history import EpochRow, History
from minigrad.nn.module import Module
from minigrad.random import default_generator

__all__ = ["Callback", "Run", "showing_result"]


class Callback:
    """Base class: a subclass defines the moments that it needs.

    What a run has to find again when it is resumed goes through `state_dict` and `load_state_dict`.
    """

    #: Callbacks are called in the order in which they were given, but those with a higher number after the others.
    order = 0

    def on_begin(self, run: Run) -> None:
        """The run begins, or goes on."""

    def on_gradients(self, run: Run) -> None:
        """The gradients of a step are there, not clipped yet."""

    def on_step(self, run: Run) -> None:
        """A step of the optimizer was made."""

    def on_epoch(self, run: Run, row: EpochRow) -> None:
        """An epoch is over, and `row` is the last one of the history."""

    def on_nonfinite(self, run: Run, message: str) -> bool:
        """The loss or a gradient is not finite, and the step was not made. True ends the run without an error."""
        return False

    def on_end(self, run: Run) -> None:
        """The run is over: all epochs are done, a callback stopped it, or Ctrl-C did; not after another error."""

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs: numbers, strings, tensors, lists, tuples and dicts."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned."""


class Run:
    """What callbacks are given.

    Attributes
    ----------
    model, optimizer, loss, data : as given to `fit`
    scheduler : the one of the `LRScheduler` callback, or None
    epochs : int
        How many there are to be.
    epoch : int
        The one under way, from 1.
    batch : int
        How many of its batches are done.
    step : int
        How many optimizer steps were made.
    history : History
        All numbers so far.
    batches : list
        The batches of the present step: one, or as many as are accumulated.
    grad_norm : float or None
        The norm of all gradients of this step before clipping, if somebody measured it.
    about : dict
        Written into checkpoints for whoever finds them.
    """

    def __init__(
        self,
        model: Module,
        optimizer: Any,
        loss: Loss,
        data: Any,
        epochs: int,
        callbacks: Sequence[Callback],
        scheduler: Any,
        sums: Sums,
        about: Mapping[str, Any],
    ) -> None:
        self.model, self.optimizer, self.loss, self.data, self.epochs = model, optimizer, loss, data, epochs
        self.callbacks, self.scheduler, self.about = callbacks, scheduler, about
        self.history = History(loss_name=getattr(loss, "__name__", type(loss).__name__))
        self.sums = sums
        self.epoch, self.batch = 1, 0
        self.batches: list[Any] = []
        self.grad_norm: float | None = None
        #: False while a step is being made: an interruption then leaves it half done.
        self.whole = True
        self._started = time.perf_counter()

    @property
    def step(self) -> int:
        return len(self.history.step_losses)

    @property
    def seconds(self) -> float:
        """Since the beginning of the run, without the time between an interruption and its resumption."""
        return time.perf_counter() - self._started

    def stop(self, reason: str) -> None:
        """End the run after this step, or this epoch if that is over; the history says why."""
        self.history.stopped = reason

    def remaining(self) -> Iterator[Any]:
        """The batches of this epoch that are still to be done."""
        if self.batch == 0:
            return iter(self.data)
        if hasattr(self.data, "load_state_dict"):
            # A loader with a state knows where it is. If it has handed out all, the run was interrupted while the epoch
            # was measured, and the next iterator would begin another epoch.
            return iter(self.data) if self.data.state_dict().get("under_way", True) else iter(())
        return islice(iter(self.data), self.batch, None)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write a checkpoint from which `fit(..., resume=path)` goes on."""
        state = {
            "epoch": self.epoch,
            "batch": self.batch,
            "seconds": self.seconds,
            "sums": self.sums.state_dict(),
            "callbacks": [[type(callback).__name__, callback.state_dict()] for callback in self.callbacks],
        }
        with showing_result(self.optimizer):
            return save_checkpoint(
                path,
                model=self.model,
                optimizer=self.optimizer,
                scheduler=self.scheduler,
                loader=self.data if hasattr(self.data, "state_dict") else None,
                history=self.history,
                extra={"fit": state},
                about=self.about,
            )

    def restore(self, source: Checkpoint | str | os.PathLike[str]) -> None:
        """Go on from a checkpoint that `save` wrote. All of it fits, or nothing is changed."""
        checkpoint = source if isinstance(source, Checkpoint) else read_checkpoint(source)
        state = checkpoint.extra.get("fit")
        if not isinstance(state, dict) or checkpoint.history is None:
            raise CheckpointError(
                f"fit: expected a checkpoint of a run of fit, got {checkpoint.path}, which save_checkpoint wrote "
                "elsewhere. Apply it with restore(), and call fit without resume."
            )
        history, sums = History(), Sums(self.loss, self.sums.metrics)
        before = [callback.state_dict() for callback in self.callbacks]
        try:
            history.load_state_dict(checkpoint.history)
            sums.load_state_dict(state["sums"])
            epoch, batch, seconds = int(state["epoch"]), int(state["batch"]), float(state["seconds"])
            if epoch < 1 or batch < 0:
                raise ValueError(f"it is at batch {batch} of epoch {epoch}")
            self._load_callbacks(state["callbacks"])
            checkpoint.restore(
                model=self.model,
                optimizer=self.optimizer,
                scheduler=self.scheduler,
                loader=self.data if hasattr(self.data, "load_state_dict") else None,
                generator=default_generator,
            )
        except BaseException as error:
            for callback, state in zip(self.callbacks, before, strict=True):
                callback.load_state_dict(state)
            if isinstance(error, CheckpointError) or not isinstance(error, MISFITS):
                raise
            raise CheckpointError(
                f"fit: the state of the run in {checkpoint.path} does not fit, and nothing was changed. {error}"
            ) from error
        self.history, self.sums, self.epoch, self.batch = history, sums, epoch, batch
        self._started = time.perf_counter() - seconds

    def _load_callbacks(self, saved: Any) -> None:
        """Give each callback the state of the saved one of its class and turn; new ones begin anew."""
        left = list(saved)
        for callback in self.callbacks:
            names = [name for name, _ in left]
            if type(callback).__name__ in names:
                callback.load_state_dict(left.pop(names.index(type(callback).__name__))[1])


@contextlib.contextmanager
def showing_result(optimizer: Any) -> Iterator[None]:
    """Let an optimizer that trains other weights than it finds (Schedule-Free) show those that it found."""
    training = [part for part in getattr(optimizer, "optimizers", [optimizer]) if getattr(part, "training", False)]
    for part in training:
        part.eval()
    try:
        yield
    finally:
        for part in training:
            part.train()
