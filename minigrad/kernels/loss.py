"""Softmax and cross-entropy in one pass over the rows, with the gradient.

For a row z of logits, its label y, class weights w, and label smoothing e over C classes, as PyTorch defines them:

    log p_c = z_c - max(z) - log sum over k of exp(z_k - max(z))
    loss    = -(1 - e) w_y log p_y - e/C sum over c of w_c log p_c

    d loss / d z_c = (1 - e) w_y (p_c - [c = y]) + e/C (p_c sum over k of w_k - w_c)

Subtracting the maximum changes nothing in the formula and keeps exp from overflowing.

References
----------
https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html
Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", 2016, https://arxiv.org/abs/1512.00567
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np

from minigrad.errors import DimError, ShapeError
from minigrad.kernels.elementary import exp_float32
from minigrad.kernels.jit import kernel, prange

__all__ = ["CrossEntropy", "softmax_cross_entropy"]

_FLOAT32, _FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
# Logits from which a second thread saves more than waking it costs.
_PARALLEL_FROM = 4_000


class CrossEntropy(NamedTuple):
    """What `softmax_cross_entropy` returns.

    Attributes
    ----------
    losses : ndarray of shape (M,)
        The loss of each row; 0 where the label is `ignore_index`.
    weights : ndarray of shape (M,)
        The class weight of each row's label, 0 where it is ignored. A mean divides the sum of the losses by their sum.
    grad : ndarray of shape (M, C)
        grad[m] is the gradient of losses[m] with respect to row m of the logits.
    total_loss, total_weight : float
        The sums of the losses and of the weights, added up in float64.
    """

    losses: np.ndarray
    weights: np.ndarray
    grad: np.ndarray
    total_loss: float
    total_weight: float


def softmax_cross_entropy(
    logits: np.ndarray,
    labels: np.ndarray,
    weight: np.ndarray | None = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
) -> CrossEntropy:
    """The cross-entropy of each row of logits with a class index, and its gradient.

    Parameters
    ----------
    logits : ndarray of shape (M, C), float32 or float64
    labels : ndarray of integers, shape (M,)
        From 0 to C - 1, or `ignore_index`.
    weight : ndarray of shape (C,), optional
        The weight of each class; 1 by default.
    ignore_index : int
        Rows with this label have no loss and no gradient.
    label_smoothing : float
        From 0 to 1: how much of the target is spread evenly over all classes.

    Returns
    -------
    CrossEntropy

    Raises
    ------
    ShapeError
        The shapes of logits, labels and weight do not belong together.
    DimError
        A label is neither a class nor `ignore_index`. It is an IndexError, as in PyTorch.

    Examples
    --------
    >>> loss = softmax_cross_entropy(np.zeros((1, 4)), np.array([2]))
    >>> loss.losses.round(4), loss.grad
    (array([1.3863]), array([[ 0.25,  0.25, -0.75,  0.25]]))
    """
    rows, classes = logits.shape
    if labels.shape != (rows,):
        raise ShapeError(f"cross_entropy: expected one label a row, shape ({rows},), got {labels.shape}.")
    kind = logits.dtype
    dtype = _FLOAT64 if kind.itemsize >= 8 else _FLOAT32  # Numba has no float16, and only the processor's byte order
    z = logits if kind == dtype and logits.flags.c_contiguous else np.ascontiguousarray(logits, dtype)
    y = labels if labels.dtype == np.int64 and labels.flags.c_contiguous else np.ascontiguousarray(labels, np.int64)
    if weight is None:
        w = _ones(classes, dtype)
    elif weight.shape == (classes,):
        w = np.ascontiguousarray(weight, dtype)
    else:
        raise ShapeError(f"cross_entropy: expected a weight for each class, shape ({classes},), got {weight.shape}.")
    losses, weights, grad = np.empty(rows, dtype), np.empty(rows, dtype), np.empty((rows, classes), dtype)
    is_large = z.size >= _PARALLEL_FROM
    has_exp = is_large and dtype == _FLOAT32
    if has_exp:
        exponentials(z, grad)
    forward = rows_forward if is_large else rows_forward.serial
    bad, total, count = forward(z, y, w, ignore_index, dtype.type(label_smoothing), losses, weights, grad, has_exp)
    if bad >= 0:
        raise DimError(
            f"cross_entropy: expected labels from 0 to {classes - 1} for {classes} classes (or ignore_index="
            f"{ignore_index}), got {y[bad]} in row {bad}. Check that classes are numbered from 0 and that the last "
            "layer has one output for each."
        )
    if kind == dtype:
        return CrossEntropy(losses, weights, grad, total, count)
    return CrossEntropy(losses.astype(kind), weights.astype(kind), grad.astype(kind), total, count)


@functools.lru_cache(maxsize=64)
def _ones(classes: int, dtype: np.dtype) -> np.ndarray:
    return np.ones(classes, dtype)


@kernel(internal=True)
def largest(z: np.ndarray, m: int) -> float:
    """max_c z[m, c]"""
    top = z[m, 0]
    for c in range(1, z.shape[1]):
        if z[m, c] > top:
            top = z[m, c]
    return top


@kernel(parallel=True)
def exponentials(z: np.ndarray, y: np.ndarray) -> None:
    """y[m, c] = exp(z[m, c] - max_k z[m, k]) in float32, several at once: half of the time for a thousand classes."""
    for m in prange(z.shape[0]):
        top = largest(z, m)
        for c in range(z.shape[1]):
            y[m, c] = exp_float32(z[m, c] - top)


@kernel(parallel=True)
def rows_forward(
    z: np.ndarray,
    y: np.ndarray,
    w: np.ndarray,
    ignore_index: int,
    smoothing: float,
    losses: np.ndarray,
    weights: np.ndarray,
    grad: np.ndarray,
    has_exp: bool,
) -> tuple[int, float, float]:
    """Fill losses, weights and grad, which with `has_exp` is what `exponentials` made it.

    Returns -1, the sum of the losses and that of the weights; or the first row whose label is no class, and then it has
    filled nothing.
    """
    rows, classes = z.shape
    for m in range(rows):
        if not (0 <= y[m] < classes or y[m] == ignore_index):
            return m, 0.0, 0.0
    zero, one = w.dtype.type(0), w.dtype.type(1)
    spread = smoothing / w.dtype.type(classes)
    all_weights = zero
    if smoothing > zero:
        for c in range(classes):
            all_weights += w[c]
    for m in prange(rows):
        label = y[m]
        if label == ignore_index:
            losses[m] = zero
            weights[m] = zero
            for c in range(classes):
                grad[m, c] = zero
        else:
            top = largest(z, m)
            total = zero
            for c in range(classes):
                e = grad[m, c] if has_exp else math.exp(z[m, c] - top)
                grad[m, c] = e
                total += e
            log_total = math.log(total)
            hard = (one - smoothing) * w[label]
            loss = hard * (log_total - (z[m, label] - top))
            share = (hard + spread * all_weights) / total
            if smoothing > zero:
                for c in range(classes):
                    loss += spread * w[c] * (log_total - (z[m, c] - top))
                    grad[m, c] = grad[m, c] * share - spread * w[c]
            else:
                for c in range(classes):
                    grad[m, c] *= share
            grad[m, label] -= hard
            losses[m] = loss
            weights[m] = w[label]
    sum_of_losses, sum_of_weights = 0.0, 0.0
    for m in range(rows):
        sum_of_losses += losses[m]
        sum_of_weights += weights[m]
    return -1, sum_of_losses, sum_of_weights
