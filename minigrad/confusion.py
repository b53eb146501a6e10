"""The confusion matrix: which classes are taken for which others, as numbers and as a picture."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from minigrad.errors import ArgumentError
from minigrad.io import write_atomically
from minigrad.metrics import Metric, as_array, classes_of
from minigrad.optim import schedule_checks as check

__all__ = ["ConfusionMatrix"]

# Beyond this many classes the numbers in the cells would not be readable.
_MOST_NUMBERS = 25


class ConfusionMatrix(Metric):
    """How often samples of class i were given class j: `counts[i, j]`.

    As a metric of `fit` its value is the mean recall over the classes that occur (the balanced accuracy), and `counts`
    are those of the data that were measured last: the test data, if there are any.

    Parameters
    ----------
    classes : int or sequence of str
        How many classes there are, or what they are called.

    Attributes
    ----------
    counts : array (C, C) of int
        Rows are true classes, columns predicted ones.

    Examples
    --------
    >>> matrix = ConfusionMatrix(["cat", "dog"])
    >>> matrix.add(np.array([0, 1, 1, 1]), np.array([0, 0, 1, 1])).counts
    array([[1, 1],
           [0, 2]])
    >>> matrix.recall, matrix.precision
    (array([0.5, 1. ]), array([1.        , 0.66666667]))
    >>> print(matrix)
         cat  dog
    cat    1    1
    dog    0    2
    """

    name = "balanced_accuracy"

    def __init__(self, classes: int | Sequence[str]) -> None:
        if isinstance(classes, str):
            raise ArgumentError(f"ConfusionMatrix: expected how many classes or a list of names, got {classes!r}.")
        if isinstance(classes, Sequence):
            self.names = [str(name) for name in classes]
        else:
            self.names = [str(i) for i in range(check.integer("ConfusionMatrix", "classes", classes, at_least=1))]
        if not self.names:
            raise ArgumentError("ConfusionMatrix: expected at least one class, got none.")
        self.counts = np.zeros((len(self.names),) * 2, np.int64)

    def add(self, output: Any, target: Any) -> ConfusionMatrix:
        """Count a batch: predicted labels, or scores (N, C, ...), beside the true labels. Returns the matrix."""
        self.counts = self.counts + self.statistic(as_array(output), as_array(target))
        return self

    def statistic(self, output: np.ndarray, target: np.ndarray) -> np.ndarray:
        c = len(self.names)
        if output.shape == target.shape and output.dtype.kind in "iu":
            predicted, true = output, target
        else:
            true = classes_of(self, output, target)
            predicted = output.argmax(1)
        for what, labels in (("true", true), ("predicted", predicted)):
            if labels.size and not (labels.min() >= 0 and labels.max() < c):
                raise ArgumentError(
                    f"ConfusionMatrix: expected {what} labels from 0 to {c - 1}, got {labels.min()} to {labels.max()}. "
                    "Make the matrix with as many classes."
                )
        pairs = true.reshape(-1).astype(np.int64) * c + predicted.reshape(-1)
        return np.bincount(pairs, minlength=c * c).reshape(c, c)

    def value(self, statistic: np.ndarray) -> float:
        self.counts = statistic
        there = statistic.sum(1) > 0
        return float(self.recall[there].mean()) if there.any() else float("nan")

    @property
    def accuracy(self) -> float:
        """The fraction on the diagonal."""
        return _ratio(np.trace(self.counts), self.counts.sum()).item()

    @property
    def recall(self) -> np.ndarray:
        """Of the samples of each class, the fraction that was recognised; NaN for a class without samples."""
        return _ratio(np.diag(self.counts), self.counts.sum(1))

    @property
    def precision(self) -> np.ndarray:
        """Of what was given each class, the fraction that belongs to it; NaN for a class that was never given."""
        return _ratio(np.diag(self.counts), self.counts.sum(0))

    @property
    def f1(self) -> np.ndarray:
        """The harmonic mean of precision and recall, 2 TP / (2 TP + FP + FN), for each class."""
        return _ratio(2 * np.diag(self.counts), self.counts.sum(0) + self.counts.sum(1))

    def plot(self, path: str | os.PathLike[str], title: str = "") -> None:
        """Draw the matrix into a PNG file: colours are fractions of each true class, numbers are counts."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        c = len(self.names)
        size = min(12.0, max(4.0, 1.8 + 0.5 * c))
        figure = Figure(figsize=(size + 1.0, size), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        fractions = _ratio(self.counts, self.counts.sum(1, keepdims=True))
        image = axes.imshow(fractions, cmap="Blues", vmin=0.0, vmax=1.0)
        figure.colorbar(image, ax=axes, label="fraction of the true class", shrink=0.8)
        longest = max(map(len, self.names))
        axes.set_xticks(
            range(c), self.names, rotation=45 if longest > 3 else 0, ha="right" if longest > 3 else "center"
        )
        axes.set_yticks(range(c), self.names)
        axes.set_xlabel("predicted class")
        axes.set_ylabel("true class")
        if c <= _MOST_NUMBERS:
            for (i, j), count in np.ndenumerate(self.counts):
                if count:
                    colour = "white" if fractions[i, j] > 0.5 else "black"
                    axes.text(j, i, f"{count}", ha="center", va="center", color=colour, fontsize=8)
        axes.set_title(title or f"accuracy {100 * self.accuracy:.2f} % of {self.counts.sum():,} samples")
        picture = io.BytesIO()
        figure.savefig(picture, dpi=120, format="png")
        write_atomically(path, picture.getvalue())

    def __str__(self) -> str:
        first = max(map(len, self.names))
        width = max(3, first, len(str(self.counts.max())))
        lines: list[tuple[str, Iterable[Any]]] = [("", self.names), *zip(self.names, self.counts, strict=True)]
        return "\n".join(
            "  ".join([f"{name:<{first}}", *(f"{cell:>{width}}" for cell in row)]).rstrip() for name, row in lines
        )

    def __repr__(self) -> str:
        return f"ConfusionMatrix({len(self.names)})"


def _ratio(a: Any, b: Any) -> np.ndarray:
    """a / b, NaN where b is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.true_divide(a, b)
