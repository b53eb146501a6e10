"""Measuring a model on data, and applying it: no gradients, and the modules in eval mode."""

from __future__ import annotations

import contextlib
from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from minigrad.datasets import DataLoader, Dataset
from minigrad.errors import ArgumentError, DTypeError
from minigrad.graph import no_grad
from minigrad.metrics import Accuracy, Metric, as_array, named_metrics
from minigrad.nn.module import Module
from minigrad.tensor import Tensor, from_numpy

__all__ = ["Sums", "evaluate", "evaluating", "predict", "split_batch"]

Loss = Callable[[Tensor, Tensor], Tensor]

# Batches that are not given as such: large enough to be fast, small enough for any memory.
_BATCH = 256

# Outputs of small batches are kept until there are so many numbers, and measured together: the calls would take longer
# than the work.
_MEASURED_TOGETHER = 2**14


class Sums:
    """The running sums of loss and metrics over batches.

    Parameters
    ----------
    loss : callable
        If its `reduction` is 'sum', its values are sums over the batch, else means.
    metrics : dict of Metric, or None
        None is the accuracy where there are class labels, and nothing elsewhere; the first batch decides.
    """

    def __init__(self, loss: Any, metrics: Mapping[str, Metric] | None) -> None:
        self.summed = getattr(loss, "reduction", "mean") == "sum"
        self.metrics = metrics  # None until the first batch decides
        self.loss = 0.0
        self.samples = 0
        self.statistics: dict[str, np.ndarray] = {}
        self._kept: list[tuple[np.ndarray, np.ndarray]] = []
        self._size = 0

    def add(self, value: float, output: Any, target: Any) -> None:
        """Take in a batch: the value of its loss, and what it was computed from."""
        n = len(target)
        self.loss += value if self.summed else value * n
        self.samples += n
        if self.metrics is None:
            self.metrics = {"accuracy": Accuracy()} if _is_classification(output, target) else {}
        if self.metrics:
            x = as_array(output)
            self._kept.append((x, as_array(target)))
            self._size += x.size
            if self._size >= _MEASURED_TOGETHER:
                self._measure()

    def _measure(self) -> None:
        """Take the outputs that were kept into the statistics."""
        kept, self._kept, self._size = self._kept, [], 0
        together = _joined(kept)
        for name, metric in (self.metrics or {}).items():
            for x, y in together if metric.joins else kept:
                statistic = metric.statistic(x, y)
                self.statistics[name] = self.statistics[name] + statistic if name in self.statistics else statistic

    def values(self) -> dict[str, float]:
        """The mean loss over samples, and the metrics, so far."""
        self._measure()
        found = {"loss": self.loss / self.samples}
        for name, statistic in self.statistics.items():
            found[name] = float((self.metrics or {})[name].value(statistic))
        return found

    def state_dict(self) -> dict[str, Any]:
        self._measure()
        return {"loss": self.loss, "samples": self.samples, "statistics": dict(self.statistics)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state; metrics that were left to the first batch are the accuracy if it was there."""
        loss, samples, statistics = float(state["loss"]), int(state["samples"]), dict(state["statistics"])
        if self.metrics is None and samples:
            self.metrics = {"accuracy": Accuracy()} if statistics else {}
        if samples and set(statistics) != set(self.metrics or {}):
            raise ArgumentError(
                f"fit: expected the metrics {', '.join(statistics) or 'none'}, with which the run was begun, got "
                f"{', '.join(self.metrics or {}) or 'none'}."
            )
        self.loss, self.samples, self.statistics = loss, samples, statistics


def _joined(kept: list[tuple[np.ndarray, np.ndarray]]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Batches of equal shapes as one large batch; others as they are."""
    forms = {(x.shape[1:], x.dtype, y.shape[1:], y.dtype) for x, y in kept}
    if len(forms) != 1 or any(x.ndim == 0 or y.ndim == 0 for x, y in kept):
        return kept
    outputs, targets = zip(*kept, strict=True)
    return [(np.concatenate(outputs), np.concatenate(targets))]


def _is_classification(output: Any, target: Any) -> bool:
    if not isinstance(output, Tensor) or not isinstance(target, Tensor):
        return False
    x, y = output.shape, target.shape
    return target.data.dtype.kind in "iu" and len(x) == len(y) + 1 and x[:1] + x[2:] == y


def split_batch(owner: str, batch: Any) -> tuple[tuple[Any, ...], Any]:
    """The inputs and the target of a batch (x, y) or (x1, x2, ..., y)."""
    if not isinstance(batch, tuple | list) or len(batch) < 2:
        raise DTypeError(
            f"{owner}: expected batches (x, y) or (x1, x2, ..., y), got {type(batch).__name__}. "
            "Let the DataLoader's collate_fn make tuples whose last part is the target."
        )
    *inputs, target = batch
    return tuple(inputs), target


def in_batches(data: Any) -> Iterable[Any]:
    """Batches as they are; those of a dataset made here."""
    return DataLoader(data, batch_size=_BATCH) if isinstance(data, Dataset) else data


@contextlib.contextmanager
def evaluating(model: Module) -> Iterator[None]:
    """The model in eval mode and no gradients; afterwards every module has the mode that it had."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with no_grad():
            yield
    finally:
        for module, training in modes:
            module.training = training


def evaluate(model: Module, loss: Loss, data: Any, metrics: Iterable[Any] | Mapping[str, Any] | None = None) -> Any:
    """The mean loss and the metrics on data, with the model in eval mode.

    Parameters
    ----------
    model : Module
    loss : function of outputs and targets that returns a scalar Tensor
    data : Dataset, or iterable of batches (x, y) or (x1, x2, ..., y), such as a DataLoader
    metrics : list of metrics and functions, or dict with their names, optional
        By default the accuracy (a fraction of 1) if the targets are class labels, and nothing if they are not.

    Returns
    -------
    named tuple
        `loss`, the mean over samples, and each metric under its name: `evaluate(...).accuracy`.

    Raises
    ------
    ArgumentError
        If there is no batch.

    Examples
    --------
    >>> from minigrad import nn
    >>> from minigrad.datasets import Digits
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    >>> evaluate(model, nn.CrossEntropyLoss(), Digits(train=False))._fields
    ('loss', 'accuracy')
    """
    named = None if metrics is None else named_metrics("evaluate", metrics)
    return measure(model, loss, in_batches(data), named, "evaluate")


def measure(model: Module, loss: Loss, data: Iterable[Any], metrics: Mapping[str, Metric] | None, owner: str) -> Any:
    """`evaluate`, for metrics that were named before."""
    sums = Sums(loss, metrics)
    with evaluating(model):
        for batch in data:
            inputs, target = split_batch(owner, batch)
            output = model(*inputs)
            sums.add(loss(output, target).item(), output, target)
    if sums.samples == 0:
        raise ArgumentError(f"{owner}: expected at least one batch, got none.")
    values = sums.values()
    return _tuple_class(tuple(values))(*values.values())


@lru_cache
def _tuple_class(names: tuple[str, ...]) -> Any:
    return namedtuple("Measured", names)  # its fields are only known here


def predict(model: Module, data: Any, batch_size: int = _BATCH) -> Any:
    """The outputs of a model on all data, as one array.

    Parameters
    ----------
    model : Module
        Put into eval mode meanwhile.
    data : Tensor, array, Dataset, or iterable of batches
        A Tensor or an array is all inputs, (N, ...). Of batches that are tuples the last part is the target, which is
        left out.
    batch_size : int
        How many samples of a Tensor, an array or a Dataset go through the model at a time.

    Returns
    -------
    numpy.ndarray (N, ...), or a tuple of them for a model that returns a tuple

    Raises
    ------
    ArgumentError
        If there is nothing to predict.

    Examples
    --------
    >>> from minigrad import nn
    >>> predict(nn.Linear(3, 2), np.zeros((1000, 3), np.float32)).shape
    (1000, 2)
    """
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise ArgumentError(f"predict: expected a batch_size of at least 1, got {batch_size!r}.")
    outputs = []
    with evaluating(model):
        for inputs in _inputs(data, batch_size):
            outputs.append(model(*inputs))
    if not outputs:
        raise ArgumentError("predict: expected at least one sample, got none.")
    if isinstance(outputs[0], tuple):
        return tuple(np.concatenate([as_array(part) for part in parts]) for parts in zip(*outputs, strict=True))
    return np.concatenate([as_array(output) for output in outputs])


def _inputs(data: Any, batch_size: int) -> Iterator[tuple[Any, ...]]:
    """The arguments of the model, a batch at a time."""
    if isinstance(data, np.ndarray):
        data = from_numpy(data)
    if isinstance(data, Tensor):
        yield from ((data[i : i + batch_size],) for i in range(0, len(data), batch_size))
        return
    for batch in DataLoader(data, batch_size=batch_size) if isinstance(data, Dataset) else data:
        if isinstance(batch, tuple | list):
            yield tuple(batch[:-1]) if len(batch) > 1 else tuple(batch)
        else:
            yield (batch,)
