"""Attention as functions: of queries, keys and values, and in several heads with their projections."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from minigrad.errors import ArgumentError, DTypeError, ShapeError
from minigrad.nn.functional.linear import linear
from minigrad.ops import attention as ops
from minigrad.ops.joining import cat
from minigrad.random import Generator, default_generator
from minigrad.tensor import Tensor, from_numpy

__all__ = ["Heads", "combined_mask", "multi_head_attention", "scaled_dot_product_attention"]


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """z = dropout(softmax(a q k^T + mask)) v: for each query the mean of the values, weighted by how well keys fit.

    Parameters
    ----------
    query : Tensor (..., T, d)
    key : Tensor (..., S, d)
    value : Tensor (..., S, e)
    attn_mask : Tensor that broadcasts to (..., T, S), optional
        Of bool: True where a query may see a key. Of the queries' dtype: added to the scaled products.
    dropout_p : float
        The probability with which a weight is zeroed; always, so give 0 in evaluation.
    is_causal : bool
        Query i sees the keys 0 ... i only. Not together with a mask.
    scale : float, optional
        a; 1/√d by default.
    enable_gqa : bool
        Keys and values have fewer heads (dimension -3) than queries: each serves a group of neighbouring ones.
    generator : Generator, optional
        Where dropout draws from; by default the one that `minigrad.manual_seed` sets.

    Shapes: -> (..., T, e). The leading dimensions broadcast.

    Returns
    -------
    Tensor
        Zeros for a query that the mask forbids every key.

    Raises
    ------
    ShapeError, DTypeError, ArgumentError
        For shapes that do not fit, a mask of another dtype, a probability outside [0, 1], a mask with is_causal.

    References
    ----------
    A. Vaswani et al., Attention is all you need, arXiv:1706.03762, section 3.2.1.
    J. Ainslie et al., GQA: training generalized multi-query transformer models, arXiv:2305.13245.
    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.scaled_dot_product_attention.html

    Examples
    --------
    A query that fits one key well takes that key's value:

    >>> import minigrad
    >>> keys = minigrad.tensor([[0.0, 9.0], [9.0, 0.0]])
    >>> values = minigrad.tensor([[1.0], [2.0]])
    >>> scaled_dot_product_attention(minigrad.tensor([[9.0, 0.0]]), keys, values)
    tensor([[2.]])
    """
    name = "scaled_dot_product_attention"
    shapes = f"query {query.shape}, key {key.shape}, value {value.shape}"
    if (
        min(query.ndim, key.ndim, value.ndim) < 2
        or query.shape[-1] != key.shape[-1]
        or key.shape[-2] != value.shape[-2]
    ):
        raise ShapeError(f"{name}: expected query (..., T, d), key (..., S, d), value (..., S, e), got {shapes}.")
    if not 0 <= dropout_p <= 1:
        raise ArgumentError(f"{name}: expected dropout_p in [0, 1], got {dropout_p}.")
    if is_causal and attn_mask is not None:
        raise ArgumentError(f"{name}: expected either attn_mask or is_causal=True, got both. Put both into the mask.")
    if enable_gqa:
        key, value = (_repeated(x, query, name) for x in (key, value))
    try:
        leading = np.broadcast_shapes(query.shape[:-2], key.shape[:-2], value.shape[:-2])
    except ValueError:
        raise ShapeError(f"{name}: the leading dimensions of {shapes} do not broadcast.") from None
    # Any leading dimensions -> (N, H)
    folded = (math.prod(leading[:-1]), leading[-1]) if leading else (1, 1)
    q, k, v = (x.expand(*leading, *x.shape[-2:]).reshape(*folded, *x.shape[-2:]) for x in (query, key, value))
    mask = None
    if attn_mask is not None:
        mask = _folded_mask(_additive(attn_mask, query.dtype, name, keep=True), leading, (q.shape[2], k.shape[2]), name)
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else float(scale)
    seed = _draw_key(generator) if dropout_p > 0 else 0
    z = ops.attention(q, k, v, mask, scale=scale, causal=bool(is_causal), p=float(dropout_p), key=seed)
    return z.reshape(*leading, *z.shape[-2:])


def _repeated(x: Tensor, query: Tensor, name: str) -> Tensor:
    """Each head as often as there are queries' heads for it."""
    heads, wanted = x.shape[-3] if x.ndim > 2 else 0, query.shape[-3] if query.ndim > 2 else 0
    if not heads or wanted % heads:
        raise ShapeError(
            f"{name}: enable_gqa expects heads in dimension -3, those of key and value dividing the queries', got "
            f"{query.shape} and {x.shape}."
        )
    shape = (*x.shape[:-2], wanted // heads, *x.shape[-2:])
    return x.unsqueeze(-3).expand(*shape).reshape(*x.shape[:-3], wanted, *x.shape[-2:])


def _draw_key(generator: Generator | None) -> int:
    return int((generator or default_generator).numpy.integers(2**64, dtype=np.uint64))


def _additive(mask: Tensor, dtype: np.dtype, name: str, keep: bool) -> Tensor:
    """A mask that is added to scores: of a bool mask, 0 where it is `keep` and -inf elsewhere."""
    if mask.dtype == np.bool_:
        forbidden = mask.data != keep
        return from_numpy(np.where(forbidden, dtype.type(-np.inf), dtype.type(0)))
    if mask.dtype != dtype:
        raise DTypeError(f"{name}: expected a mask of bool or {dtype.name}, got {mask.dtype.name}.")
    return mask


def _folded_mask(mask: Tensor, leading: tuple[int, ...], size: tuple[int, int], name: str) -> Tensor:
    """The mask in the four dimensions of the folded scores, not larger than it has to be."""
    wanted = (*leading, *size)
    try:
        fits = np.broadcast_shapes(mask.shape, wanted) == wanted
    except ValueError:
        fits = False
    if not fits:
        raise ShapeError(f"{name}: expected a mask that broadcasts to {wanted}, got {mask.shape}.")
    mask = mask.reshape((1,) * (max(len(wanted), 4) - mask.ndim) + mask.shape)
    if mask.ndim > 4:
        mask = mask.expand(*wanted).reshape(-1, leading[-1], *size)
    return mask


# ---- in several heads ------------------------------------------------------------------------------------------------


class Heads(NamedTuple):
    """The parameters of attention in several heads, as `MultiheadAttention` keeps them; None where there is none."""

    in_proj_weight: Any  # (3 E, E), or None where keys or values have other features:
    q_proj_weight: Any  # (E, E)
    k_proj_weight: Any  # (E, kdim)
    v_proj_weight: Any  # (E, vdim)
    in_proj_bias: Any  # (3 E,)
    bias_k: Any  # (1, 1, E)
    bias_v: Any  # (1, 1, E)
    out_proj_weight: Any  # (E, E)
    out_proj_bias: Any  # (E,)


def multi_head_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    num_heads: int,
    parameters: Heads,
    mask: Tensor | None = None,
    is_causal: bool = False,
    dropout_p: float = 0.0,
    add_zero_attn: bool = False,
    need_weights: bool = False,
    average_attn_weights: bool = True,
) -> tuple[Tensor, Tensor | None]:
    """Project queries, keys and values, attend in every head on its own, join the heads, and project.

        head_h = attention(q W_q^h, k W_k^h, v W_v^h),    z = [head_1 ... head_H] W_o^T + b_o

    Parameters
    ----------
    query : Tensor (N, T, E)
    key : Tensor (N, S, kdim)
    value : Tensor (N, S, vdim)
    num_heads : int
        H, which divides E.
    parameters : Heads
    mask : Tensor (1 or N, 1 or H, 1 or T, S), optional
        Added to the scaled products, see `combined_mask`.
    is_causal : bool
        Query i sees the keys 0 ... i only.
    dropout_p : float
    add_zero_attn : bool
        Append a key and a value of zeros.
    need_weights : bool
        Return the weights too. They have to be kept then, and the fused operation cannot be used.
    average_attn_weights : bool

    Returns
    -------
    output : Tensor (N, T, E)
    weights : Tensor (N, T, S), or (N, H, T, S) without averaging; None where they are not wanted

    References
    ----------
    A. Vaswani et al., Attention is all you need, arXiv:1706.03762, section 3.2.2.
    """
    p = parameters
    scale = 1 / math.sqrt(query.shape[-1] // num_heads)
    seed = _draw_key(None) if dropout_p > 0 else 0
    how: dict[str, Any] = {"scale": scale, "causal": is_causal, "p": dropout_p, "key": seed}
    weights = None
    if (
        query is key is value
        and p.in_proj_weight is not None
        and p.bias_k is None
        and not (add_zero_attn or need_weights)
    ):
        z = ops.packed_attention(linear(query, p.in_proj_weight, p.in_proj_bias), mask, heads=num_heads, **how)
    else:
        q, k, v = _projected(query, key, value, p)
        if p.bias_k is not None:
            k, v = (cat([x, row.expand(len(x), 1, -1)], dim=1) for x, row in ((k, p.bias_k), (v, p.bias_v)))
        if add_zero_attn:
            k, v = (cat([x, from_numpy(np.zeros((len(x), 1, x.shape[2]), x.dtype))], dim=1) for x in (k, v))
        more = k.shape[1] - key.shape[1]
        if more and mask is not None:  # what was appended is seen by all
            mask = cat([mask, from_numpy(np.zeros((*mask.shape[:3], more), mask.dtype))], dim=3)
        if more and is_causal:
            mask = _causal_with(mask, query.shape[1], key.shape[1], more, query.dtype)
            how["causal"] = False
        q, k, v = (x.reshape(*x.shape[:2], num_heads, -1).transpose(1, 2) for x in (q, k, v))  # (N, H, T, d)
        if need_weights:
            z, weights = ops.attention_by_steps(q, k, v, mask, **how)
        else:
            z = ops.attention(q, k, v, mask, **how)
        z = z.transpose(1, 2).reshape(query.shape)
    if weights is not None and average_attn_weights:
        weights = weights.mean(dim=1)
    return linear(z, p.out_proj_weight, p.out_proj_bias), weights


def _projected(query: Tensor, key: Tensor, value: Tensor, p: Heads) -> tuple[Tensor, Tensor, Tensor]:
    """q W_q^T + b_q, k W_k^T + b_k, v W_v^T + b_v"""
    if p.in_proj_weight is not None:
        weights = p.in_proj_weight.chunk(3)
    else:
        weights = (p.q_proj_weight, p.k_proj_weight, p.v_proj_weight)
    biases = (None,) * 3 if p.in_proj_bias is None else p.in_proj_bias.chunk(3)
    q, k, v = (linear(x, w, b) for x, w, b in zip((query, key, value), weights, biases, strict=True))
    return q, k, v


def _causal_with(mask: Tensor | None, queries: int, keys: int, more: int, dtype: np.dtype) -> Tensor:
    """The mask with that of causality for the first `keys` keys."""
    seen = np.concatenate([np.tri(queries, keys, dtype=bool), np.ones((queries, more), bool)], axis=1)
    causal = from_numpy(np.where(seen, dtype.type(0), dtype.type(-np.inf))[None, None])
    return causal if mask is None else mask + causal


def combined_mask(
    attn_mask: Tensor | None,
    key_padding_mask: Tensor | None,
    sizes: tuple[int, int, int, int],
    dtype: np.dtype,
    name: str,
) -> Tensor | None:
    """One mask to add, out of what `MultiheadAttention` takes.

    Parameters
    ----------
    attn_mask : Tensor (T, S) or (N H, T, S), optional
        Of bool: True where a query may NOT see a key. Of `dtype`: added.
    key_padding_mask : Tensor (N, S), optional
        Of bool: True for keys that are padding. Of `dtype`: added.
    sizes : N, H, T and S
    dtype : numpy dtype
    name : str
        Who asks, for the error.

    Returns
    -------
    Tensor (1 or N, 1 or H, 1 or T, S), or None

    Raises
    ------
    ShapeError, DTypeError
        For a mask of another shape or dtype.
    """
    n, h, t, s = sizes
    mask = None
    if attn_mask is not None:
        if attn_mask.shape == (t, s):
            mask = attn_mask.reshape(1, 1, t, s)
        elif attn_mask.shape == (n * h, t, s):
            mask = attn_mask.reshape(n, h, t, s)
        else:
            raise ShapeError(
                f"{name}: expected attn_mask {(t, s)} or {(n * h, t, s)} for {t} queries, {s} keys, a batch of {n} and "
                f"{h} heads, got {attn_mask.shape}."
            )
        mask = _additive(mask, dtype, f"{name}: attn_mask", keep=False)
    if key_padding_mask is not None:
        if key_padding_mask.shape != (n, s):
            raise ShapeError(f"{name}: expected key_padding_mask {(n, s)}, got {key_padding_mask.shape}.")
        padding = _additive(key_padding_mask, dtype, f"{name}: key_padding_mask", keep=False).reshape(n, 1, 1, s)
        mask = padding if mask is None else mask + padding
    return mask
