"""MultiheadAttention: every position looks at every other, in several ways at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.creation import empty
from minigrad.errors import ArgumentError, DTypeError, ShapeError
from minigrad.nn import init
from minigrad.nn.functional.attention import Heads, combined_mask, multi_head_attention
from minigrad.nn.linear import Linear
from minigrad.nn.module import Module, Parameter
from minigrad.tensor import Tensor

__all__ = ["MultiheadAttention"]


class MultiheadAttention(Module):
    """head_h = softmax(q W_q^h (k W_k^h)^T / √d) v W_v^h,    z = [head_1 ... head_H] W_o^T + b_o

    Parameters
    ----------
    embed_dim : int
        E, the features of queries and of the output; each head has d = E / H of them.
    num_heads : int
        H, which divides E.
    dropout : float
        The probability with which a weight of the attention is zeroed in training.
    bias : bool
        Biases of the projections.
    add_bias_kv : bool
        Append a learned key and value to each sequence.
    add_zero_attn : bool
        Append a key and value of zeros.
    kdim, vdim : int, optional
        The features of keys and values; E by default.
    batch_first : bool
        Sequences are (N, T, features) instead of (T, N, features).
    dtype : numpy dtype, optional

    Attributes
    ----------
    in_proj_weight : Parameter (3 E, E), W_q, W_k and W_v below each other, Xavier uniform; or None, and instead
    q_proj_weight, k_proj_weight, v_proj_weight : Parameter (E, E), (E, kdim), (E, vdim), if kdim or vdim is not E
    in_proj_bias : Parameter (3 E,), zeros, or None
    bias_k, bias_v : Parameter (1, 1, E), Xavier normal, or None
    out_proj : Linear(E, E), its bias zeros

    Shapes: query (T, N, E), key (S, N, kdim), value (S, N, vdim) -> output (T, N, E), weights (N, T, S). With
    batch_first N comes first; without a batch there is no N at all.

    Raises
    ------
    ArgumentError, ShapeError, DTypeError
        For heads that do not divide E; inputs, masks of another shape or dtype.

    References
    ----------
    A. Vaswani et al., Attention is all you need, arXiv:1706.03762, section 3.2.2.
    https://docs.pytorch.org/docs/stable/generated/torch.nn.MultiheadAttention.html

    Examples
    --------
    >>> import minigrad
    >>> attention = MultiheadAttention(8, num_heads=2, batch_first=True)
    >>> x = minigrad.randn(4, 5, 8)
    >>> output, weights = attention(x, x, x)
    >>> output.shape, weights.shape
    ((4, 5, 8), (4, 5, 5))
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        sizes = {"embed_dim": embed_dim, "num_heads": num_heads, "kdim": kdim, "vdim": vdim}
        for what, value in sizes.items():
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1):
                raise ArgumentError(f"MultiheadAttention: expected {what} to be a positive integer, got {value!r}.")
        if embed_dim % num_heads:
            raise ArgumentError(
                f"MultiheadAttention: expected num_heads that divides embed_dim, got embed_dim={embed_dim}, "
                f"num_heads={num_heads}."
            )
        if not 0 <= dropout <= 1:
            raise ArgumentError(f"MultiheadAttention: expected dropout to be a probability in [0, 1], got {dropout!r}.")
        self.embed_dim = embed_dim
        self.num_heads = num_heads
        self.head_dim = embed_dim // num_heads
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self.dropout = float(dropout)
        self.add_zero_attn = add_zero_attn
        self.batch_first = batch_first
        self.in_proj_weight = self.q_proj_weight = self.k_proj_weight = self.v_proj_weight = None
        if self.kdim == self.vdim == embed_dim:
            self.in_proj_weight = Parameter(empty(3 * embed_dim, embed_dim, dtype=dtype))
        else:
            self.q_proj_weight = Parameter(empty(embed_dim, embed_dim, dtype=dtype))
            self.k_proj_weight = Parameter(empty(embed_dim, self.kdim, dtype=dtype))
            self.v_proj_weight = Parameter(empty(embed_dim, self.vdim, dtype=dtype))
        self.in_proj_bias = Parameter(empty(3 * embed_dim, dtype=dtype)) if bias else None
        self.bias_k = Parameter(empty(1, 1, embed_dim, dtype=dtype)) if add_bias_kv else None
        self.bias_v = Parameter(empty(1, 1, embed_dim, dtype=dtype)) if add_bias_kv else None
        self.out_proj = Linear(embed_dim, embed_dim, bias=bias, dtype=dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the projections (Xavier uniform) and the appended key and value (Xavier normal); zero the biases."""
        for weight in (self.in_proj_weight, self.q_proj_weight, self.k_proj_weight, self.v_proj_weight):
            if weight is not None:
                init.xavier_uniform_(weight)
        for bias in (self.in_proj_bias, self.out_proj.bias):
            if bias is not None:
                init.zeros_(bias)
        for row in (self.bias_k, self.bias_v):
            if row is not None:
                init.xavier_normal_(row)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend.

        Parameters
        ----------
        query, key, value : Tensors
        key_padding_mask : Tensor (N, S), optional
            Of bool: True for keys that are padding and must not be seen. Of the inputs' dtype: added to the scores.
        need_weights : bool
            Return the weights. False is much faster: they need not be kept.
        attn_mask : Tensor (T, S) or (N H, T, S), optional
            Of bool: True where a query must NOT see a key. Of the inputs' dtype: added to the scores.
        average_attn_weights : bool
            The mean over the heads, or with False the weights of each head, (N, H, T, S).
        is_causal : bool
            Without an attn_mask, query i sees the keys 0 ... i only. With one, as in PyTorch, it only says what
            the mask is.

        Returns
        -------
        output : Tensor
        weights : Tensor or None
            After dropout. A query that may see no key has weights 0, where PyTorch gives NaN.
        """
        batched = self._check(query, key, value)
        same = query is key is value
        if not batched:
            query, key, value = self._each(same, query, key, value, lambda x: x.unsqueeze(0))
            key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
        elif not self.batch_first:
            query, key, value = self._each(same, query, key, value, lambda x: x.transpose(0, 1))
        sizes = (len(query), self.num_heads, query.shape[1], key.shape[1])
        mask = combined_mask(attn_mask, key_padding_mask, sizes, query.dtype, "MultiheadAttention")
        z, weights = multi_head_attention(
            query,
            key,
            value,
            self.num_heads,
            self._parameters(),
            mask=mask,
            is_causal=is_causal and attn_mask is None,
            dropout_p=self.dropout if self.training else 0.0,
            add_zero_attn=self.add_zero_attn,
            need_weights=need_weights,
            average_attn_weights=average_attn_weights,
        )
        if not batched:
            return z.squeeze(0), None if weights is None else weights.squeeze(0)
        return z if self.batch_first else z.transpose(0, 1), weights

    def _parameters(self) -> Heads:
        return Heads(
            self.in_proj_weight, self.q_proj_weight, self.k_proj_weight, self.v_proj_weight, self.in_proj_bias,
            self.bias_k, self.bias_v, self.out_proj.weight, self.out_proj.bias,
        )  # fmt: skip

    @staticmethod
    def _each(same: bool, query: Tensor, key: Tensor, value: Tensor, change: Any) -> tuple[Tensor, Tensor, Tensor]:
        """All three changed; one object stays one object, which is how self-attention is recognised."""
        if same:
            query = change(query)
            return query, query, query
        return change(query), change(key), change(value)

    def _check(self, query: Any, key: Any, value: Any) -> bool:
        """Raise an error unless the three fit this layer and each other; whether there is a batch."""
        given = {"query": (query, self.embed_dim), "key": (key, self.kdim), "value": (value, self.vdim)}
        dtype = self.out_proj.weight.dtype
        form = "(N, T, {0})" if self.batch_first else "(T, N, {0})"
        for what, (x, features) in given.items():
            if not isinstance(x, Tensor):
                raise DTypeError(f"MultiheadAttention: expected a Tensor as {what}, got {type(x).__name__}.")
            if x.ndim not in (2, 3) or x.ndim != query.ndim or x.shape[-1] != features:
                raise ShapeError(
                    f"MultiheadAttention: expected {what} {form.format(features)}, or (T, {features}) without a batch, "
                    f"got {x.shape}" + (f" with a query {query.shape}." if what != "query" else ".")
                )
            if x.dtype != dtype:
                raise DTypeError(
                    f"MultiheadAttention: expected {what} of the weights' dtype {dtype.name}, got {x.dtype.name}."
                )
        batch = slice(0, 1) if self.batch_first else slice(1, 2)
        one_batch = query.ndim == 2 or query.shape[batch] == key.shape[batch]
        if key.shape[:-1] != value.shape[:-1] or not one_batch:
            raise ShapeError(
                "MultiheadAttention: expected one batch, and as many keys as values, got query "
                f"{query.shape}, key {key.shape}, value {value.shape} (batch_first={self.batch_first})."
            )
        return query.ndim == 3
