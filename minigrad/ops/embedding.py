"""Rows of a table by number."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.graph import Variable, op
from minigrad.kernels.embedding import add_rows
from minigrad.ops.samples import Sample, draw, strided

__all__ = ["embedding", "embedding_weight_grad"]


@op
def embedding(
    index: np.ndarray, weight: np.ndarray, /, padding_idx: int | None = None, scale_grad_by_freq: bool = False
) -> np.ndarray:
    """z[i] = W[x[i]]; the row padding_idx gets no gradient"""
    return weight[index]


@embedding.vjp
def embedding(
    g: Any, _z: Any, index: Any, _weight: Any, padding_idx: int | None = None, scale_grad_by_freq: bool = False
) -> tuple:
    if scale_grad_by_freq:
        rows = index._data if isinstance(index, Variable) else index
        counts = np.bincount(rows.reshape(-1), minlength=1)
        g = g * (1 / counts[rows])[..., None].astype(g.dtype)
    return None, lambda: embedding_weight_grad(index, g, shape=_weight.shape, padding_idx=padding_idx)


@op
def embedding_weight_grad(
    index: np.ndarray, g: np.ndarray, /, shape: tuple[int, int], padding_idx: int | None = None
) -> np.ndarray:
    """z = zeros; z[x[i]] += g[i], but for the row padding_idx"""
    z = np.zeros(shape, g.dtype)
    rows = np.ascontiguousarray(index, np.int64).reshape(-1)
    features = np.ascontiguousarray(g).reshape(-1, shape[1])
    add_rows(rows, features, -1 if padding_idx is None else padding_idx, z)
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
