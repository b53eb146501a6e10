"""Attention: for each query, the mean of the values, weighted by how well their keys fit.

    z = D v,    D = dropout(softmax(a q k^T + mask))

The matrix products are numpy's; everything between them is one kernel (`minigrad/kernels/attention.py`). There are two
ops with one computation: `attention` of separate queries, keys and values, and `packed_attention` of one array that
holds them next to each other, as the projection of self-attention makes them. It reads and writes them in place there;
split into three tensors, each would have a gradient as large as all.

References
----------
A. Vaswani et al., Attention is all you need, arXiv:1706.03762.
https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.scaled_dot_product_attention.html
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from minigrad.graph import Variable, op
from minigrad.kernels.attention import attention_weights, attention_weights_grad, causal_mask, dropout_factors
from minigrad.ops.index import getitem
from minigrad.ops.linalg import matmul
from minigrad.ops.promotion import same_float
from minigrad.ops.recorded import recorded_gradients
from minigrad.ops.samples import Sample, draw, strided
from minigrad.ops.select import where
from minigrad.ops.shape import permute, reshape
from minigrad.ops.softmax import softmax

__all__ = ["attention", "attention_by_steps", "packed_attention"]

Array = np.ndarray


def attention_by_steps(
    q: Any, k: Any, v: Any, mask: Any, scale: float, causal: bool = False, p: float = 0.0, key: int = 0
) -> tuple[Any, Any]:
    """z and D of the formula above, in ordinary operations: for when the weights are wanted, or second derivatives.

    Parameters
    ----------
    q, k, v : Tensors (N, H, T, d), (N, H, S, d), (N, H, S, e)
    mask : Tensor that broadcasts to (N, H, T, S), or None
        Added to the scaled scores; -inf forbids a key. A query that sees no key has weights 0.
    scale : float
    causal : bool
        Query i sees the keys 0 ... i only.
    p, key : float, int
        Dropout of the weights, as in `attention`: the same elements for the same key.
    """
    scores = matmul(q * scale, k.mT)
    if mask is not None:
        scores = scores + mask
    if causal:
        scores = where(causal_mask(*scores.shape[-2:]), scores, -np.inf)
    blind = np.all(scores._data == -np.inf, axis=-1, keepdims=True)
    if blind.any():  # their softmax would be NaN, and so would be the gradient of all others
        scores = where(blind, 0.0, scores)
    weights = softmax(scores, dim=-1)
    if blind.any():
        weights = where(blind, 0.0, weights)
    if p > 0:
        weights = weights * dropout_factors(weights.shape, p, key).astype(weights.dtype)
    return matmul(weights, v), weights


# ---- on arrays -------------------------------------------------------------------------------------------------------


def _forward(
    q: Array, k: Array, v: Array, mask: Array | None, z: Array, scale: float, causal: bool, p: float, key: int
) -> tuple[Array, Array]:
    """Fill z; the weights before and after dropout."""
    weights, dropped = attention_weights(np.matmul(q, k.mT), mask, scale, causal, p, key)
    np.matmul(dropped, v, out=z)
    return weights, dropped


def _backward(
    g: Array, q: Array, k: Array, v: Array, weights: Array, dropped: Array, scale: float, out: tuple[Array, ...]
) -> Array:
    """Fill the gradients of q, k and v in `out`; the gradient of the scores times `scale`."""
    dq, dk, dv = out
    np.matmul(dropped.mT, g, out=dv)
    ds = attention_weights_grad(weights, dropped, np.matmul(g, v.mT), scale)
    np.matmul(ds, k, out=dq)
    np.matmul(ds.mT, q, out=dk)
    return ds


# ---- queries, keys and values apart ----------------------------------------------------------------------------------


@op(prepare=same_float)
def attention(
    q: Array,
    k: Array,
    v: Array,
    mask: Array | None,
    /,
    scale: float,
    causal: bool = False,
    p: float = 0.0,
    key: int = 0,
) -> Any:
    """z = dropout(softmax(a q k^T + mask)) v, of q (N, H, T, d), k (N, H, S, d), v (N, H, S, e)"""
    z = np.empty((*q.shape[:-1], v.shape[-1]), q.dtype)
    weights, dropped = _forward(q, k, v, mask, z, scale, causal, p, key)
    return z, {"weights": weights, "dropped": dropped}


@attention.vjp
def attention(
    g: Any,
    _z: Any,
    q: Any,
    k: Any,
    v: Any,
    mask: Any,
    weights: Array,
    dropped: Array,
    scale: float,
    causal: bool = False,
    p: float = 0.0,
    key: int = 0,
) -> tuple:
    if isinstance(g, Variable):
        steps = functools.partial(_attention_steps, scale=scale, causal=causal, p=p, key=key)
        return recorded_gradients(steps, g, (q, k, v, mask))
    dq, dk, dv = (np.empty(x.shape, x.dtype) for x in (q, k, v))
    ds = _backward(g, q, k, v, weights, dropped, scale, (dq, dk, dv))
    return dq, dk, dv, lambda: ds / scale


def _attention_steps(q: Any, k: Any, v: Any, mask: Any, **how: Any) -> Any:
    return attention_by_steps(q, k, v, mask, **how)[0]


# ---- packed ----------------------------------------------------------------------------------------------------------


def _parts(x: Any, heads: int) -> tuple:
    """Views (N, H, T, d) of the queries, keys and values in (N, T, 3 E)."""
    n, t, width = x.shape
    apart = x.reshape(n, t, 3, heads, width // 3 // heads).transpose(2, 0, 3, 1, 4)
    return apart[0], apart[1], apart[2]


def _heads_apart(z: Array, heads: int) -> Array:
    """(N, T, E) -> a view (N, H, T, d)"""
    n, t, width = z.shape
    return z.reshape(n, t, heads, width // heads).transpose(0, 2, 1, 3)


@op(prepare=same_float)
def packed_attention(
    x: Array,
    mask: Array | None,
    /,
    heads: int,
    scale: float,
    causal: bool = False,
    p: float = 0.0,
    key: int = 0,
) -> Any:
    """z = attention of the queries, keys and values that lie in x (N, T, 3 E) one behind the other; z is (N, T, E)"""
    x = np.ascontiguousarray(x)
    z = np.empty((*x.shape[:2], x.shape[2] // 3), x.dtype)
    weights, dropped = _forward(*_parts(x, heads), mask, _heads_apart(z, heads), scale, causal, p, key)
    return z, {"weights": weights, "dropped": dropped}


@packed_attention.vjp
def packed_attention(
    g: Any,
    _z: Any,
    x: Any,
    mask: Any,
    weights: Array,
    dropped: Array,
    heads: int,
    scale: float,
    causal: bool = False,
    p: float = 0.0,
    key: int = 0,
) -> tuple:
    if isinstance(g, Variable):
        steps = functools.partial(_packed_steps, heads=heads, scale=scale, causal=causal, p=p, key=key)
        return recorded_gradients(steps, g, (x, mask))
    x = np.ascontiguousarray(x)
    dx = np.empty_like(x)
    g = _heads_apart(np.ascontiguousarray(g), heads)
    q, k, v = _parts(x, heads)
    ds = _backward(g, q, k, v, weights, dropped, scale, _parts(dx, heads))
    return dx, lambda: ds / scale


def _packed_steps(x: Any, mask: Any, heads: int, **how: Any) -> Any:
    n, t, width = x.shape
    apart = permute(reshape(x, (n, t, 3, heads, width // 3 // heads)), (2, 0, 3, 1, 4))
    q, k, v = (getitem(apart, index=i) for i in range(3))
    z, _ = attention_by_steps(q, k, v, mask, **how)
    return reshape(permute(z, (0, 2, 1, 3)), (n, t, width // 3))


# ---- samples ---------------------------------------------------------------------------------------------------------


@attention.sampled
def _attention_samples() -> list[Sample]:
    cases: list[tuple[tuple[int, ...], tuple[int, ...] | None, dict[str, Any]]] = [
        ((1, 1, 1, 1, 1, 1), None, {}),
        ((2, 2, 3, 2, 2, 1), None, {}),
        ((1, 2, 3, 3, 2, 2), None, {"causal": True}),
        ((2, 1, 2, 3, 2, 2), (1, 1, 2, 3), {}),
        ((2, 2, 2, 2, 1, 2), (2, 1, 1, 2), {"causal": True}),
        ((1, 0, 2, 2, 2, 2), None, {}),
    ]
    made = []
    for (n, h, t, s, d, e), mask, how in cases:
        operands: list[Any] = [draw(n, h, t, d), draw(n, h, s, d, seed=1), draw(n, h, s, e, seed=2)]
        operands.append(draw(*mask, seed=3) if mask else None)
        made.append(Sample(*operands, scale=0.7, **how))
    views = [draw(1, 3, 2, 2, seed=i).swapaxes(1, 2) for i in range(3)]
    return [*made, Sample(*views, strided(draw(1, 1, 3, 3)), scale=1.0)]


@packed_attention.sampled
def _packed_samples() -> list[Sample]:
    return [
        Sample(draw(1, 1, 3), None, heads=1, scale=1.0),
        Sample(draw(2, 3, 12), None, heads=2, scale=0.5),
        Sample(draw(2, 3, 6), None, heads=1, scale=0.5, causal=True),
        Sample(draw(2, 2, 12), draw(2, 1, 1, 2), heads=2, scale=0.5),
        Sample(draw(3, 2, 6).swapaxes(0, 1), draw(1, 2, 3, 3), heads=2, scale=1.0, causal=True),
        Sample(draw(0, 2, 6), None, heads=1, scale=1.0),
    ]
