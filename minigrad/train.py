"""Training: `fit` runs the loop, `evaluate` measures.

The loop itself is what every example writes by hand:

    for x, y in loader:
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

`fit` adds what one wants around it: a progress bar, the accuracy, a history, and an end on Ctrl-C that loses nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from minigrad.errors import ArgumentError, NonFiniteError
from minigrad.graph import no_grad
from minigrad.history import EpochRow, History
from minigrad.nn.module import Module
from minigrad.optim.clip import clip_grad_norm_
from minigrad.progress import bar
from minigrad.tensor import Tensor

__all__ = ["evaluate", "fit"]

Loss = Callable[[Tensor, Tensor], Tensor]


def fit(
    model: Module,
    optimizer: Any,
    loss: Loss,
    data: Any,
    epochs: int,
    test_data: Iterable | None = None,
    clip_norm: float | None = None,
    on_epoch: Callable[[EpochRow], None] | None = None,
    progress: bool = True,
) -> History:
    """Train a classifier.

    Parameters
    ----------
    model : Module
        From a batch x to scores (N, classes).
    optimizer : Optimizer
        Of the model's parameters. If its `lr` is a schedule, the optimizer follows it step by step.
    loss : function of scores and labels that returns a scalar Tensor
    data : sized iterable of (x, labels) batches, such as a DataLoader
    epochs : int
    test_data : iterable of batches, optional
        Measured after each epoch.
    clip_norm : float, optional
        Scale the gradients so that their norm is at most this.
    on_epoch : function of the epoch's row, optional
    progress : bool
        Show a bar for each epoch, on a terminal.

    Returns
    -------
    History
        With `interrupted` set when Ctrl-C ended the run early; the model then is what it was at that moment.

    Raises
    ------
    ArgumentError
        For a number of epochs or a norm that is not positive.
    NonFiniteError
        When the loss becomes NaN or infinite.
    """
    if epochs < 1:
        raise ArgumentError(f"fit: expected at least one epoch, got epochs={epochs}.")
    if clip_norm is not None and not clip_norm > 0:
        raise ArgumentError(f"fit: expected a positive clip_norm, got {clip_norm}.")
    history = History()
    started = time.perf_counter()
    try:
        for epoch in range(1, epochs + 1):
            model.train()
            total, right, seen = 0.0, 0, 0
            for x, labels in bar(data, f"epoch {epoch}/{epochs}", progress):
                scores = model(x)
                value = loss(scores, labels)
                step_loss = value.item()
                if not abs(step_loss) < float("inf"):
                    raise NonFiniteError(
                        f"fit: the loss is {step_loss} at step {len(history.step_losses) + 1}. "
                        "Lower the learning rate, clip the gradient norm, or warm up."
                    )
                optimizer.zero_grad()
                value.backward()
                if clip_norm is not None:
                    clip_grad_norm_(model.parameters(), clip_norm)
                optimizer.step()
                n = len(labels)
                total += step_loss * n
                right += int((scores.data.argmax(1) == labels.data).sum())
                seen += n
                history.step_losses.append(step_loss)
                history.step_lrs.append(float(optimizer.param_groups[0]["lr"]))
            test_loss, test_accuracy = evaluate(model, loss, test_data) if test_data else (float("nan"),) * 2
            row = EpochRow(
                epoch=epoch,
                step=len(history.step_losses),
                train_loss=total / seen,
                train_accuracy=right / seen,
                test_loss=test_loss,
                test_accuracy=test_accuracy,
                lr=history.step_lrs[-1],
                seconds=time.perf_counter() - started,
            )
            history.rows.append(row)
            if on_epoch is not None:
                on_epoch(row)
    except KeyboardInterrupt:
        history.interrupted = True
    return history


def evaluate(model: Module, loss: Loss, data: Iterable) -> tuple[float, float]:
    """The mean loss and the accuracy (a fraction of 1) on batches of (x, labels), with the model in eval mode."""
    was_training = model.training
    model.eval()
    total, right, seen = 0.0, 0, 0
    with no_grad():
        for x, labels in data:
            scores = model(x)
            total += loss(scores, labels).item() * len(labels)
            right += int((scores.data.argmax(1) == labels.data).sum())
            seen += len(labels)
    model.train(was_training)
    if seen == 0:
        raise ArgumentError("evaluate: expected at least one batch, got none.")
    return total / seen, right / seen
