"""Training: `fit` runs the loop, `evaluate` measures, `predict` applies.

The loop itself is no secret. This is one to copy, with what most runs need:

    >>> def train(model, optimizer, batches, test_set, epochs):
    ...     for epoch in range(epochs):
    ...         model.train()
    ...         total, right, seen = 0.0, 0, 0
    ...         for x, y in batches:
    ...             scores = model(x)
    ...             loss = F.cross_entropy(scores, y)
    ...             optimizer.zero_grad()
    ...             loss.backward()
    ...             optim.clip_grad_norm_(model.parameters(), 1.0)
    ...             optimizer.step()
    ...             total += loss.item() * len(y)
    ...             right += int((scores.argmax(1) == y).sum())
    ...             seen += len(y)
    ...         test_loss, test_accuracy = evaluate(model, F.cross_entropy, test_set)
    ...         print(f"epoch {epoch + 1}: loss {total / seen:.1f}, {right / seen:.0%} right, test {test_accuracy:.0%}")

    >>> import minigrad
    >>> from minigrad import datasets, models, optim
    >>> from minigrad.nn import functional as F
    >>> generator = minigrad.manual_seed(0)
    >>> batches = datasets.DataLoader(datasets.Digits(), batch_size=64, shuffle=True, generator=generator)
    >>> model = models.cnn(size=8)
    >>> optimizer = optim.AdamW(model.parameters(), lr=optim.schedules.one_cycle(0.01, 2 * len(batches)))
    >>> train(model, optimizer, batches, datasets.Digits(train=False), epochs=2)  # doctest: +ELLIPSIS
    epoch 1: loss ..., ...% right, test ...%
    epoch 2: loss ..., ...% right, test 9...%

`fit` puts around it what one would write next: progress, metrics, a history, callbacks (`callbacks.py`), checkpoints
from which it goes on bit for bit (`checkpoint.py`), and an end on Ctrl-C that loses nothing.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np

from minigrad.callbacks import Callback, LRScheduler
from minigrad.checkpoint import Checkpoint
from minigrad.diagnosis import first_nonfinite
from minigrad.errors import ArgumentError, DTypeError, NonFiniteError
from minigrad.evaluation import Loss, Sums, evaluate, in_batches, measure, predict, split_batch
from minigrad.history import EpochRow, History
from minigrad.interrupt import CtrlC
from minigrad.metrics import named_metrics
from minigrad.nn.module import Module
from minigrad.optim import schedule_checks as check
from minigrad.optim.clip import clip_grad_norm_
from minigrad.progress import Silent, display
from minigrad.run import Run, showing_result
from minigrad.tensor import from_numpy

__all__ = ["evaluate", "fit", "predict"]


def fit(
    model: Module,
    optimizer: Any,
    loss: Loss,
    data: Any,
    epochs: int,
    test_data: Iterable | None = None,
    clip_norm: float | None = None,
    on_epoch: Callable[[EpochRow], None] | None = None,
    progress: bool | str = True,
    *,
    metrics: Iterable[Any] | Mapping[str, Any] | None = None,
    callbacks: Sequence[Callback] = (),
    accumulate: int = 1,
    resume: Checkpoint | str | os.PathLike[str] | None = None,
    about: Mapping[str, Any] | None = None,
) -> History:
    """Train a model.

    Parameters
    ----------
    model : Module
        From the inputs of a batch to what the loss takes.
    optimizer : Optimizer
        Of the model's parameters; any one, also those that need a closure (SAM, LBFGS), which they are given. If its
        `lr` is a schedule, the optimizer follows it step by step.
    loss : function of outputs and targets that returns a scalar Tensor
        A mean over the samples of the batch, or, if its attribute `reduction` is 'sum', a sum.
    data : iterable of batches (x, y) or (x1, x2, ..., y), such as a DataLoader
    epochs : int
        How many there are to be, together with those before a `resume`.
    test_data : Dataset, or iterable of batches, optional
        Measured after each epoch.
    clip_norm : float, optional
        Scale the gradients so that their norm is at most this.
    on_epoch : function of the epoch's row, optional
    progress : bool, 'bar' or 'lines'
        True shows a bar for each epoch on a terminal, and elsewhere writes a line after each, if there is no
        `on_epoch` to do so. The strings do one of the two in any case. Both go to stderr.
    metrics : list of metrics and functions, or dict with their names, optional
        By default the accuracy, if the targets are class labels. See `metrics.py`.
    callbacks : sequence of Callback
    accumulate : int
        Make one step for so many batches. The gradient is that of one batch with all their samples, if the loss is a
        mean over samples (or their sum), and what is left over at the end of an epoch makes a step too. What looks at
        a whole batch, as batch normalisation does, still sees the small ones.
    resume : path or Checkpoint, optional
        Go on from a checkpoint that a run of `fit` wrote (the callback `Checkpoint` does), bit for bit, also in the
        middle of an epoch. All other arguments are those of that run; `epochs` may be more.
    about : dict, optional
        Written into checkpoints for whoever finds them: the model's name, the options.

    Returns
    -------
    History
        With `interrupted` set when Ctrl-C ended the run early: it waits for the end of the step, and the model then is
        what it was at that moment.

    Raises
    ------
    ArgumentError, DTypeError
        For an argument that is not as above.
    NonFiniteError
        When the loss or a gradient becomes NaN or infinite. The step is not made, and the error names the layer. An
        optimizer with nonfinite='skip' or 'ignore' goes on instead, and `TerminateOnNaN` ends the run.
    CheckpointError
        When the checkpoint does not fit. Nothing is changed then.

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import datasets, models, nn, optim
    >>> generator = minigrad.manual_seed(0)
    >>> model = models.cnn(size=8)
    >>> batches = datasets.DataLoader(datasets.Digits(), batch_size=64, shuffle=True, generator=generator)
    >>> optimizer = optim.Adam(model.parameters(), lr=0.01)
    >>> history = fit(model, optimizer, nn.CrossEntropyLoss(), batches, epochs=2, progress=False)
    >>> history.rows[1].train_accuracy > history.rows[0].train_accuracy > 0.1
    True
    """
    check.integer("fit", "epochs", epochs, at_least=1)
    check.integer("fit", "accumulate", accumulate, at_least=1)
    if clip_norm is not None and not clip_norm > 0:
        raise ArgumentError(f"fit: expected a positive clip_norm, got {clip_norm}.")
    if clip_norm is not None and hasattr(optimizer, "pending"):
        raise ArgumentError("fit: clip_norm would clip each part of what optim.accumulate adds up. Use accumulate=k.")
    for callback in callbacks:
        if not isinstance(callback, Callback):
            raise DTypeError(f"fit: expected callbacks to be made from Callback, got {callback!r:.80}.")
    schedulers = [callback.scheduler for callback in callbacks if isinstance(callback, LRScheduler)]
    if len(schedulers) > 1:
        raise ArgumentError(
            f"fit: expected at most one LRScheduler, got {len(schedulers)}. Chain them with ChainedScheduler."
        )
    sums = Sums(loss, None if metrics is None else named_metrics("fit", metrics))
    ordered = sorted(callbacks, key=lambda callback: callback.order)
    run = Run(model, optimizer, loss, data, epochs, ordered, schedulers[0] if schedulers else None, sums, about or {})
    trained = [part for part in getattr(optimizer, "optimizers", [optimizer]) if hasattr(part, "training")]
    show = display(progress, reported=on_epoch is not None)
    if resume is not None:
        run.restore(resume)
    with CtrlC() as ctrl_c:
        try:
            for part in trained:
                part.train()
            for callback in ordered:
                callback.on_begin(run)
            while run.epoch <= epochs and not run.history.stopped:
                show.begin(run.epoch, epochs, len(data) if hasattr(data, "__len__") else None, run.batch)
                row = None
                try:
                    _train_epoch(run, accumulate, clip_norm, show, ctrl_c)
                    if not run.history.stopped:
                        row = _end_epoch(run, test_data, ctrl_c)
                finally:
                    show.end(row, epochs)
                if row is not None and on_epoch is not None:
                    on_epoch(row)
        except KeyboardInterrupt:
            run.history.interrupted = True
        except NonFiniteError as error:
            message = f"{error} {first_nonfinite(model, loss, run.batches)}"
            if not any(callback.on_nonfinite(run, message) for callback in ordered):
                raise NonFiniteError(message) from error
        for part in trained:
            part.eval()  # of an optimizer with modes, the model is now the result
        for callback in reversed(ordered):
            callback.on_end(run)
    return run.history


def _train_epoch(run: Run, accumulate: int, clip_norm: float | None, show: Silent, ctrl_c: CtrlC) -> None:
    """The loop: what is left of an epoch, step by step."""
    history, optimizer = run.history, run.optimizer
    on_step = [callback.on_step for callback in run.callbacks if type(callback).on_step is not Callback.on_step]
    gradients = _Gradients(run, clip_norm)
    run.model.train()
    for batches in grouped(run.remaining(), accumulate):
        run.batches, run.whole = batches, False
        gradients.fresh = True
        optimizer.step(gradients)
        run.batch += len(batches)
        history.step_losses.append(gradients.loss)
        lr = float(optimizer.param_groups[0]["lr"])
        history.step_lrs.append(lr)
        if run.grad_norm is not None or history.step_grad_norms:
            missing = len(history.step_losses) - 1 - len(history.step_grad_norms)
            history.step_grad_norms += [math.nan] * missing
            history.step_grad_norms.append(math.nan if run.grad_norm is None else run.grad_norm)
        run.whole = True
        for call in on_step:
            call(run)
        if show.every_step:
            show.step(run.batch, run.sums.values, lr)
        if history.stopped:
            return
        ctrl_c.check()
    if run.sums.samples == 0:
        raise ArgumentError("fit: expected at least one batch of data, got none.")
    if hasattr(optimizer, "flush"):
        optimizer.flush()


class _Gradients:
    """The closure of a step: gradients of the loss over all the batches of the step, as if they were one.

    An optimizer may call it more than once, at other points; what is recorded is the first call of each step.
    """

    def __init__(self, run: Run, clip_norm: float | None) -> None:
        self.run, self.clip_norm = run, clip_norm
        self.parameters = list(run.model.parameters()) if clip_norm is not None else []
        hooks = (callback for callback in run.callbacks if type(callback).on_gradients is not Callback.on_gradients)
        self.hooks = [callback.on_gradients for callback in hooks]
        self.raises = getattr(run.optimizer, "nonfinite", "raise") == "raise"
        self.fresh = True
        self.loss = math.nan

    def __call__(self) -> float:
        run = self.run
        run.optimizer.zero_grad()
        samples = sum(len(batch[-1]) for batch in run.batches) if len(run.batches) > 1 else 0
        total = 0.0
        for batch in run.batches:
            inputs, target = split_batch("fit", batch)
            output = run.model(*inputs)
            value = run.loss(output, target)
            number = value.item()
            # The mean over all samples is that of the means, weighted by how many samples each is of.
            share = len(target) / samples if samples and not run.sums.summed else 1.0
            total += share * number
            if self.fresh:
                self._record(number, output, target)
            if share == 1.0:
                value.backward()
            else:
                value.backward(from_numpy(np.full(value.shape, share, value.data.dtype)))
        if self.fresh:
            run.grad_norm = None
            for call in self.hooks:
                call(run)
        if self.clip_norm is not None:
            norm = clip_grad_norm_(self.parameters, self.clip_norm)
            if self.fresh:
                run.grad_norm = norm.item()
        if self.fresh:
            self.loss, self.fresh = total, False
        return total

    def _record(self, number: float, output: Any, target: Any) -> None:
        if self.raises and not math.isfinite(number):
            raise NonFiniteError(
                f"fit: the loss is {number} at step {self.run.step + 1}. "
                "Lower the learning rate, clip the gradient norm, or warm up."
            )
        self.run.sums.add(number, output, target)


def _end_epoch(run: Run, test_data: Any, ctrl_c: CtrlC) -> EpochRow:
    """Measure, note and tell what came of an epoch."""
    history = run.history
    values = {f"train_{name}": value for name, value in run.sums.values().items()}
    with showing_result(run.optimizer):
        if test_data is not None:
            watched = _until_interrupted(in_batches(test_data), ctrl_c)
            tested = measure(run.model, run.loss, watched, run.sums.metrics, "fit")
            values |= {f"test_{name}": value for name, value in zip(tested._fields, tested, strict=True)}
        row = EpochRow(run.epoch, run.step, values, history.step_lrs[-1], run.seconds)
        history.rows.append(row)
        run.epoch, run.batch, run.sums = run.epoch + 1, 0, Sums(run.loss, run.sums.metrics)
        for callback in run.callbacks:
            callback.on_epoch(run, row)
    return row


def _until_interrupted(batches: Iterable[Any], ctrl_c: CtrlC) -> Iterator[Any]:
    for batch in batches:
        yield batch
        ctrl_c.check()


def grouped(items: Iterator[Any], size: int) -> Iterator[list[Any]]:
    """Lists of `size` items; the last one has what is left."""
    while group := list(islice(items, size)):
        yield group
