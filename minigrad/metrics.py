"""Metrics: numbers that say how good outputs are, for people; what is differentiated is the loss.

    Accuracy()(model(x), labels)                                   a number, at once
    fit(..., metrics=[Accuracy(), TopK(3)])                        over each epoch, for training and test data

A metric is two functions: a *statistic* of a batch, which adds up over batches, and the *value* of a sum of statistics.
So the value over many batches is exactly that over all their samples, whatever the batches were, and it is the mean of
the values of the batches only where that is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from minigrad.errors import ArgumentError, DTypeError, ShapeError
from minigrad.optim import schedule_checks as check
from minigrad.tensor import Tensor

__all__ = ["MAE", "RMSE", "Accuracy", "BinaryAccuracy", "Mean", "Metric", "TopK", "classes_of", "named_metrics"]


class Metric:
    """Base class: a subclass has a `name`, and defines `statistic` and `value`.

    Attributes
    ----------
    name : str
        An identifier; the columns of a history are `train_` and `test_` and this.
    better : {'max', 'min'}
        Whether a higher or a lower value is better.
    """

    name: str
    better: str = "max"
    #: Whether the statistic of two batches as one is the sum of their statistics.
    joins: bool = True

    def statistic(self, output: np.ndarray, target: np.ndarray) -> np.ndarray:
        """Numbers that, added up over batches, are all that `value` needs."""
        raise NotImplementedError(f"{type(self).__name__} does not define statistic(self, output, target)")

    def value(self, statistic: np.ndarray) -> float:
        """The metric, from the sum of the statistics."""
        raise NotImplementedError(f"{type(self).__name__} does not define value(self, statistic)")

    def __call__(self, output: Any, target: Any) -> float:
        """The metric of one batch, of Tensors or arrays."""
        return self.value(self.statistic(as_array(output), as_array(target)))

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class _Fraction(Metric):
    """A metric whose statistic is (sum, how many), and whose value is their quotient."""

    def value(self, statistic: np.ndarray) -> float:
        total, count = statistic
        return float(total / count) if count else float("nan")


class Accuracy(_Fraction):
    """The fraction of samples whose highest score is that of their class.

        accuracy = |{i : argmax_c x_{i,c} = y_i}| / N

    Shapes: scores (N, C) or (N, C, d1, ...); labels (N,) or (N, d1, ...) of integers, or soft targets in the shape of
    the scores, whose class is their own highest. Of equal scores the first counts.

    Parameters
    ----------
    ignore_index : int, optional
        Samples with this label do not count.

    Examples
    --------
    >>> Accuracy()(np.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]]), np.array([1, 0, 0, 0]))
    0.75
    """

    name = "accuracy"

    def __init__(self, ignore_index: int | None = None) -> None:
        self.ignore_index = ignore_index

    def statistic(self, output: np.ndarray, target: np.ndarray) -> np.ndarray:
        labels = classes_of(self, output, target)
        right = output.argmax(1) == labels
        if self.ignore_index is None:
            return np.array((np.count_nonzero(right), right.size))
        counted = labels != self.ignore_index
        return np.array((np.count_nonzero(right & counted), np.count_nonzero(counted)))


class TopK(_Fraction):
    """The fraction of samples whose class is among the k with the highest scores.

    Of equal scores the first counts as the higher, so that k = 1 is `Accuracy`.

    Shapes: scores (N, C) or (N, C, d1, ...); labels (N,) or (N, d1, ...)

    Parameters
    ----------
    k : int

    Examples
    --------
    >>> TopK(2)(np.array([[0.1, 0.3, 0.6], [0.5, 0.4, 0.1]]), np.array([1, 2]))
    0.5
    """

    def __init__(self, k: int = 5) -> None:
        self.k = check.integer("TopK", "k", k, at_least=1)
        self.name = f"top{k}_accuracy"

    def statistic(self, output: np.ndarray, target: np.ndarray) -> np.ndarray:
        labels = classes_of(self, output, target)
        c = output.shape[1]
        if self.k > c:
            raise ArgumentError(f"TopK: expected k of at most {c}, the number of classes, got {self.k}.")
        scores = np.moveaxis(output, 1, -1).reshape(-1, c)  # (N, C, d1, ...) -> (N d1 ..., C)
        y = labels.reshape(-1, 1)
        if y.size and not (y.min() >= 0 and y.max() < c):
            raise ArgumentError(f"TopK: expected labels from 0 to {c - 1}, got {y.min()} to {y.max()}.")
        own = np.take_along_axis(scores, y, 1)
        # Counted are the classes that stand below: so a score of NaN stands last, not first.
        below = (scores < own) | ((scores == own) & (np.arange(c) > y))
        return np.array((np.count_nonzero(below.sum(1) >= c - self.k), y.size))

    def __repr__(self) -> str:
        return f"TopK({self.k})"


class BinaryAccuracy(_Fraction):
    """The fraction of outputs that are on the right side of a threshold.

        accuracy = |{i : (x_i > threshold) = (y_i > 1/2)}| / N

    Shapes: outputs (N,) or (N, 1), or any other; targets of 0 and 1, as many

    Parameters
    ----------
    threshold : float
        0 for logits, 0.5 for probabilities.

    Examples
    --------
    >>> BinaryAccuracy()(np.array([-2.0, 0.5, 3.0]), np.array([0, 0, 1]))
    0.6666666666666666
    """

    name = "accuracy"

    def __init__(self, threshold: float = 0.0) -> None:
        self.threshold = float(threshold)

    def statistic(self, output: np.ndarray, target: np.ndarray) -> np.ndarray:
        x, y = paired(self, output, target)
        return np.array((np.count_nonzero((x > self.threshold) == (y > 0.5)), x.size))

    def __repr__(self) -> str:
        return f"BinaryAccuracy(threshold={self.threshold:g})"


class MAE(_Fraction):
    """The mean absolute error, Σ |x_i - y_i| / N, over all elements, in the unit of the targets.

    Examples
    --------
    >>> MAE()(np.array([1.0, 2.0]), np.array([1.5, 4.0]))
    1.25
    """

    name = "mae"
    better = "min"

    def statistic(self, output: np.ndarray, target: np.ndarray) -> np.ndarray:
        x, y = paired(self, output, target)
        return np.array((np.abs(x.astype(np.float64) - y).sum(), x.size))


class RMSE(_Fraction):
    """The root of the mean square error, √(Σ (x_i - y_i)² / N), over all elements, in the unit of the targets.

    Examples
    --------
    >>> RMSE()(np.array([1.0, 2.0]), np.array([4.0, 6.0]))
    3.5355339059327378
    """

    name = "rmse"
    better = "min"

    def statistic(self, output: np.ndarray, target: np.ndarray) -> np.ndarray:
        x, y = paired(self, output, target)
        return np.array((np.square(x.astype(np.float64) - y).sum(), x.size))

    def value(self, statistic: np.ndarray) -> float:
        return super().value(statistic) ** 0.5


class Mean(_Fraction):
    """A function of a batch as a metric: the mean of its values, weighted by the sizes of the batches.

    Parameters
    ----------
    function : callable
        From outputs and targets, as Tensors, to a number that is a mean over samples.
    name : str, optional
        The function's own name if not given.
    better : {'max', 'min'}

    Examples
    --------
    >>> bias = Mean(lambda x, y: (x - y).mean(), name="bias")
    >>> bias(np.array([1.0, 2.0]), np.array([1.0, 1.0]))
    0.5
    """

    joins = False  # a function may look at the batch as such

    def __init__(self, function: Callable[[Tensor, Tensor], Any], name: str | None = None, better: str = "max") -> None:
        if not callable(function):
            raise DTypeError(f"Mean: expected a function of outputs and targets, got {function!r:.80}.")
        self.function = function
        self.name = str(name or getattr(function, "__name__", type(function).__name__))
        self.better = check.choice("Mean", "better", better, ("max", "min"))

    def statistic(self, output: np.ndarray, target: np.ndarray) -> np.ndarray:
        n = len(target)
        return np.array((float(self.function(Tensor(output), Tensor(target))) * n, n))

    def __repr__(self) -> str:
        return f"Mean({self.name})"


def as_array(value: Any) -> np.ndarray:
    """The array of a Tensor, or of what numpy makes one from."""
    return value.data if isinstance(value, Tensor) else np.asarray(value)


def classes_of(metric: Metric, scores: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The labels that belong to scores (N, C, ...), from labels or from soft targets; raises if they do not fit."""
    if target.shape == scores.shape and scores.ndim > 1 and target.dtype.kind == "f":
        return target.argmax(1)
    if target.dtype.kind not in "iu" or scores.ndim < 2 or scores.shape[:1] + scores.shape[2:] != target.shape:
        expected = (*scores.shape[:1], *scores.shape[2:]) if scores.ndim > 1 else "(N,)"
        raise ShapeError(
            f"{metric!r}: expected scores (N, C, ...) with integer labels {expected} or soft targets {scores.shape}, "
            f"got scores {scores.shape} and {target.dtype} {target.shape}."
        )
    return target


def paired(metric: Metric, output: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Outputs and targets in one shape: (N, 1) beside (N,) is meant as a pair, anything else is a mistake."""
    if output.shape == target.shape:
        return output, target
    if output.size == target.size and {output.shape, target.shape} == {(output.size,), (output.size, 1)}:
        return output.reshape(-1), target.reshape(-1)
    # numpy would broadcast (N, 1) and (N,) to (N, N), and the number would mean nothing.
    raise ShapeError(f"{metric!r}: expected outputs and targets of one shape, got {output.shape} and {target.shape}.")


def named_metrics(owner: str, metrics: Iterable[Any] | Mapping[str, Any]) -> dict[str, Metric]:
    """Metrics by name, from a list of metrics and functions, or from a dict that gives them other names."""
    if isinstance(metrics, Metric) or not isinstance(metrics, Iterable):
        raise DTypeError(f"{owner}: expected a list of metrics or a dict, got {metrics!r:.80}. Write metrics=[...].")
    listed: Iterable[tuple[Any, Any]] = (
        metrics.items() if isinstance(metrics, Mapping) else ((None, metric) for metric in metrics)
    )
    found: dict[str, Metric] = {}
    for given, one in listed:
        metric = one if isinstance(one, Metric) else Mean(one, given)
        name = given or metric.name
        if not str(name).isidentifier() or name == "loss":
            raise ArgumentError(
                f"{owner}: expected an identifier other than 'loss' as the name of a metric, got {name!r}. "
                "Give it one: metrics={'name': metric}."
            )
        if name in found:
            raise ArgumentError(f"{owner}: two metrics have the name {name!r}. Give them other names with a dict.")
        found[name] = metric
    return found
