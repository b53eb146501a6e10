"""The weights of attention: scale, mask, softmax and dropout of the scores in one visit to each row, and its gradient.

For the scores s_j of one query with all keys, its mask m_j and the factors c_j of dropout, 0 or 1 / (1 - p):

    P_j = e^(a s_j + m_j - top) / sum_k e^(a s_k + m_k - top)        D_j = c_j P_j
    dL/ds_j = a (D_j g_j - P_j sum_k D_k g_k)                        g_j = dL/dD_j

Written in numpy, each sign is a pass over all scores: the largest array of a transformer. Here a row stays in the first
cache from the first pass to the last. A query that the mask forbids every key has weights 0, not NaN.

Which elements dropout zeroes is decided by `dropout.py`.

In float32 a row is a loop with the exponential of `elementary.py`; in float64, and without a compiler, the same in
numpy, to which the tests hold the kernel.

References
----------
A. Vaswani et al., Attention is all you need, arXiv:1706.03762.
"""

from __future__ import annotations

import math

import numpy as np

from minigrad.kernels.dropout import keep_mask
from minigrad.kernels.elementary import exp_float32
from minigrad.kernels.jit import jit_disabled, kernel, prange

__all__ = ["attention_weights", "attention_weights_grad", "causal_mask", "dropout_factors"]

Array = np.ndarray

# Scores from which a second thread saves more than waking it costs.
_PARALLEL_FROM = 100_000

_NO_MASK = np.zeros((1, 1, 1, 0), np.float32)
_NOTHING_DROPPED = np.zeros((0, 0), np.uint8)
_SIGN, _MAGNITUDE = np.int32(31), np.int32(0x7FFFFFFF)
_MINUS_INFINITY = np.float32(-np.inf)
_ZERO, _ONE = np.float32(0), np.float32(1)


def attention_weights(
    scores: Array, mask: Array | None, scale: float, causal: bool, p: float = 0.0, key: int = 0
) -> tuple[Array, Array]:
    """Turn scores into weights.

    Parameters
    ----------
    scores : ndarray (N, H, T, S), contiguous
        q . k for each query and key. It is overwritten.
    mask : ndarray of the same dtype (1 or N, 1 or H, 1 or T, 1 or S), or None
        Added to the scaled scores; -inf forbids a key.
    scale : float
    causal : bool
        Query i sees the keys 0 ... i only.
    p : float
        The probability with which dropout zeroes a weight.
    key : int
        64 bits that choose which, see `dropout_factors`.

    Returns
    -------
    P, D : ndarrays (N, H, T, S)
        The softmax, and what dropout leaves of it; one array if p is 0.
    """
    dropped, kept = scores, _NOTHING_DROPPED
    if p > 0:
        dropped, kept = np.empty_like(scores), _kept(scores.shape, p, key)
    if scores.dtype != np.float32 or jit_disabled():
        _weights(scores, mask, scale, causal)
        if p > 0:
            np.multiply(scores, kept.reshape(scores.shape) * _factor(p), out=dropped)
        return scores, dropped
    run = weight_rows if scores.size >= _PARALLEL_FROM else weight_rows.serial
    given = (
        _NO_MASK if mask is None else np.ascontiguousarray(np.broadcast_to(mask, (*mask.shape[:3], scores.shape[3])))
    )
    run(scores, given, np.float32(scale), causal, dropped, kept, np.float32(_factor(p)))
    return scores, dropped


def attention_weights_grad(weights: Array, dropped: Array, g: Array, scale: float) -> Array:
    """Turn g, the gradient of `dropped`, into the gradient of the scores; both are (N, H, T, S), g is overwritten."""
    if g.dtype != np.float32 or jit_disabled():
        g *= dropped
        g -= weights * g.sum(-1, keepdims=True)
        g *= scale
        return g
    run = weight_rows_grad if g.size >= _PARALLEL_FROM else weight_rows_grad.serial
    rows = (-1, g.shape[-1])
    run(weights.reshape(rows), dropped.reshape(rows), g.reshape(rows), np.float32(scale))
    return g


def causal_mask(queries: int, keys: int) -> Array:
    """True where query i may see key j: j <= i."""
    return np.arange(keys) <= np.arange(queries)[:, None]


def dropout_factors(shape: tuple[int, ...], p: float, key: int) -> Array:
    """The factors c of weights (N, H, T, S), float64: 1 / (1 - p) where dropout keeps an element, 0 elsewhere."""
    return _kept(shape, p, key).reshape(shape) * _factor(p)


def _kept(shape: tuple[int, ...], p: float, key: int) -> Array:
    """1 where dropout keeps an element, else 0, a row for each query."""
    return keep_mask((math.prod(shape[:-1]), shape[-1]), p, key)


def _factor(p: float) -> float:
    return 1 / (1 - p) if p < 1 else 0.0


# ---- in numpy --------------------------------------------------------------------------------------------------------


def _weights(s: Array, mask: Array | None, scale: float, causal: bool) -> None:
    s *= scale
    if mask is not None:
        s += mask
    if causal:
        s[..., ~causal_mask(*s.shape[-2:])] = -np.inf
    top = s.max(-1, keepdims=True, initial=-np.inf)
    s -= np.where(top == -np.inf, 0, top)
    np.exp(s, out=s)
    total = s.sum(-1, keepdims=True)
    s /= np.where(top == -np.inf, 1, total)


# ---- the kernels: a row at a time ------------------------------------------------------------------------------------


@kernel(parallel=True, reorder=True)
def weight_rows(
    s: Array,
    mask: Array,
    scale: float,
    causal: bool,
    dropped: Array,
    kept: Array,
    factor: float,
) -> None:
    heads, queries, keys = s.shape[1], s.shape[2], s.shape[3]
    masked = mask.shape[3] > 0
    for row in prange(s.shape[0] * heads * queries):
        i = row % queries
        h = row // queries % heads
        n = row // queries // heads
        x = s[n, h, i]
        seen = min(i + 1, keys) if causal else keys
        if masked:
            m = mask[n % mask.shape[0], h % mask.shape[1], i % mask.shape[2]]
            for j in range(seen):
                x[j] = x[j] * scale + m[j]
        else:
            for j in range(seen):
                x[j] *= scale
        # The largest score as an integer with the order of the floats: LLVM makes no vectors of a maximum of floats,
        # because of NaN. (A positive NaN is the largest integer, and makes the row NaN.)
        top_bits = np.int32(-2147483648)
        for j in range(seen):
            bits = np.float32(x[j]).view(np.int32)
            ordered = np.int32(bits ^ (np.int32(bits >> _SIGN) & _MAGNITUDE))
            top_bits = max(top_bits, ordered)
        top = np.int32(top_bits ^ (np.int32(top_bits >> _SIGN) & _MAGNITUDE)).view(np.float32)
        if top == _MINUS_INFINITY or seen == 0:
            for j in range(seen):
                x[j] = _ZERO
        else:
            total = _ZERO
            for j in range(seen):
                e = exp_float32(x[j] - top)
                x[j] = e
                total += e
            share = _ONE / total
            for j in range(seen):
                x[j] *= share
        for j in range(seen, keys):
            x[j] = _ZERO
        if kept.size:
            d = dropped[n, h, i]
            for j in range(keys):
                d[j] = x[j] * factor if kept[row, j] else _ZERO


@kernel(parallel=True, reorder=True)
def weight_rows_grad(weights: Array, dropped: Array, g: Array, scale: float) -> None:
    rows, keys = g.shape
    for row in prange(rows):
        total = _ZERO
        for j in range(keys):
            total += dropped[row, j] * g[row, j]
        for j in range(keys):
            g[row, j] = scale * (dropped[row, j] * g[row, j] - weights[row, j] * total)
