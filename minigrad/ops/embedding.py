"""Rows of a table by number."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.graph import op
from minigrad.ops.samples import Sample, draw, strided

__all__ = ["embedding", "embedding_weight_grad"]


@op
def embedding(index: np.ndarray, weight: np.ndarray, /, padding_idx: int | None = None) -> np.ndarray:
    """z[i] = W[x[i]]; the row padding_idx gets no gradient"""
    return weight[index]


@embedding.vjp
def embedding(g: Any, _z: Any, index: Any, _weight: Any, padding_idx: int | None = None) -> tuple:
    return None, lambda: embedding_weight_grad(index, g, shape=_weight.shape, padding_idx=padding_idx)


@op
def embedding_weight_grad(
    index: np.ndarray, g: np.ndarray, /, shape: tuple[int, int], padding_idx: int | None = None
) -> np.ndarray:
    """z = zeros; z[x[i]] += g[i], but for the row padding_idx"""
    rows, features = index.reshape(-1), g.reshape(-1, shape[1])
    if padding_idx is not None:
        rows, features = rows[rows != padding_idx], features[rows != padding_idx]
    z = np.zeros(shape, g.dtype)
    # Sorted by row, each row's gradients lie together and are summed in one go; np.add.at adds them one by one.
    order = np.argsort(rows, kind="stable")
    if order.size:
        rows = rows[order]
        first = np.flatnonzero(np.concatenate(([True], rows[1:] != rows[:-1])))
        z[rows[first]] = np.add.reduceat(features[order], first, axis=0)
    return z


@embedding_weight_grad.vjp
def embedding_weight_grad(
    h: Any, _z: Any, index: Any, _g: Any, shape: tuple[int, int], padding_idx: int | None = None
) -> tuple:
    g = embedding(index, h, padding_idx=padding_idx)
    if padding_idx is None:
        return None, g
    index = index if isinstance(index, np.ndarray) else index._data
    return None, g * (index != padding_idx)[..., None].astype(h.dtype)


_CASES: list[tuple[Any, int | None]] = [
    (np.array(2), None),
    (np.array([0, 3, 3, 1]), None),
    (np.array([[1, 2], [2, 0]]), 2),
    (np.zeros((0, 2), np.int64), None),
    (strided(np.array([3, 1, 3])), 3),
]


@embedding.sampled
def _samples() -> list[Sample]:
    return [Sample(index, draw(4, 3), padding_idx=skip) for index, skip in _CASES]


@embedding_weight_grad.sampled
def _grad_samples() -> list[Sample]:
    return [Sample(index, draw(*index.shape, 3), shape=(4, 3), padding_idx=skip) for index, skip in _CASES]
