"""Cross-entropy and negative log-likelihood: how surprised scores, or log-probabilities, are by the right class.

With class labels, softmax, logarithm, loss and gradient are one pass over the scores. With probabilities as targets
the loss is written in single operations, so that the targets can have a gradient too.

References
----------
https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.errors import ArgumentError, DimError, DTypeError, ShapeError
from minigrad.graph import op
from minigrad.kernels import loss as kernels
from minigrad.ops.gather import gather_along
from minigrad.ops.promotion import same_float
from minigrad.ops.reduce import mean, sum
from minigrad.ops.samples import Sample, draw
from minigrad.ops.select import where
from minigrad.ops.shape import permute, reshape
from minigrad.ops.softmax import log_softmax, softmax

__all__ = ["cross_entropy", "nll", "softmax_cross_entropy"]


def _prepare(operands: list) -> list:
    scores, labels, weight = operands
    same_float([scores, weight])
    if scores.dtype.kind != "f":
        raise DTypeError(f"cross_entropy: expected floating-point scores, got {scores.dtype.name}.")
    if labels.dtype.kind not in "iu":
        raise DTypeError(
            f"cross_entropy: expected integer labels, or probabilities of the scores' shape {scores.shape}, "
            f"got {labels.dtype.name} {labels.shape}."
        )
    return operands


@op(prepare=_prepare)
def softmax_cross_entropy(
    scores: np.ndarray,
    labels: np.ndarray,
    weight: np.ndarray | None,
    /,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """z_m = -sum_c a_mc ln softmax(x_m)_c, a_mc = w_c ((1 - e) [c = y_m] + e/C); their sum, or sum / sum_m w_y_m"""
    found = kernels.softmax_cross_entropy(scores, labels, weight, ignore_index, label_smoothing)
    if reduction == "none":
        return found.losses, {"grad": found.grad, "count": None}
    number = found.losses.dtype.type
    if reduction == "sum":
        return np.asarray(number(found.total_loss)), {"grad": found.grad, "count": None}
    count = number(found.total_weight)
    return np.asarray(number(found.total_loss) / count), {"grad": found.grad, "count": count}


@softmax_cross_entropy.vjp
def softmax_cross_entropy(
    g: Any,
    _z: Any,
    scores: Any,
    labels: Any,
    weight: Any,
    grad: np.ndarray,
    count: Any,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> tuple:
    g = g if count is None else g / count
    if reduction == "none":
        g = reshape(g, shape=(-1, 1))
    if isinstance(scores, np.ndarray):
        return grad * g, None, None
    # To be differentiated again: the same gradient, s_m softmax(x_m) - a_m with s_m = sum_c a_mc, as a formula.
    a = _targets(labels, grad, weight, ignore_index, label_smoothing)
    return (softmax(scores, dim=1) * a.sum(1, keepdims=True) - a) * g, None, None


def _targets(labels: Any, grad: np.ndarray, weight: Any, ignore_index: int, label_smoothing: float) -> np.ndarray:
    """a_mc of the op's formula; zero in rows that are ignored."""
    y = labels._data
    classes = grad.shape[1]
    a = np.full_like(grad, label_smoothing / classes)
    counted = np.flatnonzero(y != ignore_index)
    a[counted, y[counted]] += 1 - label_smoothing
    a[y == ignore_index] = 0
    return a if weight is None else a * weight._data


@softmax_cross_entropy.sampled
def _samples() -> list[Sample]:
    x, y, w = draw(5, 4), np.array([0, 3, 1, 1, 2]), draw(4, low=0.5)
    return [
        Sample(x, y, None),
        Sample(x, y, None, reduction="sum"),
        Sample(x, y, w, reduction="none"),
        Sample(x, y, w, label_smoothing=0.2),
        Sample(x, y, w, ignore_index=1, label_smoothing=0.1),
        Sample(draw(0, 3), np.zeros(0, np.int64), None, reduction="sum"),
        Sample(draw(4, 5).T, y, None),
    ]


def cross_entropy(
    scores: Any, target: Any, weight: Any, ignore_index: int, reduction: str, label_smoothing: float
) -> Any:
    """The cross-entropy of scores (C,), (N, C) or (N, C, d1, ...) with class labels, or with probabilities.

    Parameters
    ----------
    scores : Tensor
    target : Tensor
        Integers of the scores' shape without C, or floating-point probabilities of the scores' shape.
    weight : Tensor (C,) or None
    ignore_index, reduction, label_smoothing : see `minigrad.nn.CrossEntropyLoss`
    """
    shape = scores.shape
    axis = _class_axis(scores, weight, "cross_entropy")
    if target.dtype.kind == "f" and target.shape == shape:
        return _soft_cross_entropy(scores, target, weight, axis, reduction, label_smoothing)
    scores, target, labels_shape = _rows(scores, target, axis, "cross_entropy")
    z = softmax_cross_entropy(
        scores, target, weight, ignore_index=ignore_index, reduction=reduction, label_smoothing=label_smoothing
    )
    return reshape(z, shape=labels_shape) if reduction == "none" and len(shape) != 2 else z


def nll(x: Any, target: Any, weight: Any, ignore_index: int, reduction: str) -> Any:
    """-w_y x_y for log-probabilities x (C,), (N, C) or (N, C, d1, ...) and class labels y; a mean divides by sum w_y.

    Parameters are those of `cross_entropy`.
    """
    shape = x.shape
    axis = _class_axis(x, weight, "nll_loss")
    if target.dtype.kind not in "iu":
        raise DTypeError(f"nll_loss: expected integer labels, got {target.dtype.name}.")
    x, target, labels_shape = _rows(x, target, axis, "nll_loss")
    labels, classes = target._data, shape[axis]
    kept = labels != ignore_index
    bad = np.flatnonzero(kept & ((labels < 0) | (labels >= classes)))
    if bad.size:
        raise DimError(
            f"nll_loss: expected labels from 0 to {classes - 1} for {classes} classes (or ignore_index="
            f"{ignore_index}), got {labels[bad[0]]} in row {bad[0]}."
        )
    safe = np.where(kept, labels, 0)
    factor = kept.astype(x.dtype) if weight is None else np.where(kept, weight._data[safe], 0).astype(x.dtype)
    picked = reshape(gather_along(x, safe[:, None], dim=1), shape=(-1,))
    losses = where(kept, picked * -factor, 0.0)  # not 0 * x: x may be minus infinity
    if reduction == "none":
        return reshape(losses, shape=labels_shape)
    return sum(losses) if reduction == "sum" else sum(losses) / factor.sum()


def _class_axis(scores: Any, weight: Any, name: str) -> int:
    """The dimension of the classes, after checking the weights against it."""
    shape = scores.shape
    if not shape:
        raise ShapeError(f"{name}: expected scores (C,), (N, C) or (N, C, d1, ...), got a 0-d tensor.")
    axis = 0 if len(shape) == 1 else 1
    if weight is not None and weight.shape != (shape[axis],):
        raise ShapeError(f"{name}: expected a weight for each class, shape ({shape[axis]},), got {weight.shape}.")
    return axis


def _rows(scores: Any, target: Any, axis: int, name: str) -> tuple[Any, Any, tuple[int, ...]]:
    """(N, C, d1, ...) -> (N, d1, ..., C) -> (M, C): a row of scores for each label; and the shape of the labels."""
    shape = scores.shape
    labels_shape = shape[:axis] + shape[axis + 1 :]
    if target.shape != labels_shape:
        raise ShapeError(
            f"{name}: expected labels of shape {labels_shape} for scores of shape {shape}, got {target.shape}."
        )
    if len(shape) != 2:
        order = (*range(axis), *range(axis + 1, len(shape)), axis)
        scores = reshape(permute(scores, dims=order), shape=(math.prod(labels_shape), shape[axis]))
        target = reshape(target, shape=(-1,))
    return scores, target, labels_shape


def _soft_cross_entropy(
    scores: Any, target: Any, weight: Any, axis: int, reduction: str, label_smoothing: float
) -> Any:
    """-sum_c w_c q_c ln softmax(x)_c for probabilities q; a mean is over the samples, whatever their weights."""
    q = target._data
    if not np.all((q >= 0) & (q <= 1)):
        raise ArgumentError(
            f"cross_entropy: expected probabilities from 0 to 1 as target, got {q.min():g} to {q.max():g}."
        )
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / scores.shape[axis]
    terms = target * log_softmax(scores, dim=axis)
    if weight is not None:
        terms = terms * reshape(weight, shape=(-1,) + (1,) * (len(scores.shape) - axis - 1))
    losses = -sum(terms, dim=axis)
    if reduction == "none":
        return losses
    return sum(losses) if reduction == "sum" else mean(losses)
