"""Transformer layers: attention between positions, then a small network at each, both added to what came in.

    norm_first=False, as in the paper:      x = norm1(x + attention(x)),    x = norm2(x + feedforward(x))
    norm_first=True, easier to train:       x = x + attention(norm1(x)),    x = x + feedforward(norm2(x))

with feedforward(x) = W_2 dropout(activation(W_1 x + b_1)) + b_2, and dropout after each of the two as well.

Sequences are (T, N, E), with batch_first (N, T, E), or (T, E) without a batch. Masks are those of `MultiheadAttention`:
of bool, True where a position must NOT be seen; of the inputs' dtype, added to the scores.

References
----------
A. Vaswani et al., Attention is all you need, arXiv:1706.03762.
R. Xiong et al., On layer normalization in the transformer architecture, arXiv:2002.04745 (norm_first).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.errors import ArgumentError
from minigrad.nn import functional as F
from minigrad.nn.attention import MultiheadAttention
from minigrad.nn.dropout import Dropout
from minigrad.nn.linear import Linear
from minigrad.nn.module import Module
from minigrad.nn.normalization import LayerNorm
from minigrad.tensor import Tensor

__all__ = ["TransformerDecoderLayer", "TransformerEncoderLayer"]


class _Layer(Module):
    """What encoder and decoder layers share: the sizes, and the network at each position."""

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int,
        dropout: float,
        activation: str | Callable[[Tensor], Tensor],
        norm_first: bool,
        bias: bool,
        batch_first: bool,
        dtype: Any,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        if (
            isinstance(dim_feedforward, bool)
            or not isinstance(dim_feedforward, int | np.integer)
            or dim_feedforward < 1
        ):
            raise ArgumentError(f"{name}: expected dim_feedforward to be a positive integer, got {dim_feedforward!r}.")
        if isinstance(activation, str):
            if activation not in ("relu", "gelu"):
                raise ArgumentError(f"{name}: expected activation 'relu', 'gelu' or a function, got {activation!r}.")
            activation = F.relu if activation == "relu" else F.gelu
        elif not callable(activation):
            raise ArgumentError(f"{name}: expected activation 'relu', 'gelu' or a function, got {activation!r}.")
        self.self_attn = MultiheadAttention(
            d_model, nhead, dropout=dropout, bias=bias, batch_first=batch_first, dtype=dtype
        )
        self.norm_first = norm_first
        self.activation = activation

    def _feedforward(self, x: Tensor) -> Tensor:
        return self.linear2(self.dropout(self.activation(self.linear1(x))))


class TransformerEncoderLayer(_Layer):
    """Self-attention, then a network at each position; the formulas stand at the head of this file.

    Parameters
    ----------
    d_model : int
        E, the features of each position.
    nhead : int
        The heads of the attention; they divide d_model.
    dim_feedforward : int
        The hidden units of the network at each position.
    dropout : float
        The probability, in four places: on attention weights, after attention, inside and after the network.
    activation : {'relu', 'gelu'} or callable
    layer_norm_eps : float
    batch_first, norm_first, bias : bool
    dtype : numpy dtype, optional

    Attributes
    ----------
    self_attn : MultiheadAttention
    linear1, linear2 : Linear
    norm1, norm2 : LayerNorm
    dropout, dropout1, dropout2 : Dropout
        Inside the network, after attention, after the network.

    Shapes: (T, N, E), (N, T, E) with batch_first, or (T, E) -> the same

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.TransformerEncoderLayer.html

    Examples
    --------
    >>> import minigrad
    >>> layer = TransformerEncoderLayer(d_model=8, nhead=2, dim_feedforward=16, batch_first=True)
    >>> layer(minigrad.randn(4, 5, 8), is_causal=True).shape
    (4, 5, 8)
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable[[Tensor], Tensor] = F.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        dtype: Any = None,
    ) -> None:
        super().__init__(d_model, nhead, dim_feedforward, dropout, activation, norm_first, bias, batch_first, dtype)
        self.linear1 = Linear(d_model, dim_feedforward, bias=bias, dtype=dtype)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias=bias, dtype=dtype)
        self.norm1 = LayerNorm(d_model, eps=layer_norm_eps, bias=bias, dtype=dtype)
        self.norm2 = LayerNorm(d_model, eps=layer_norm_eps, bias=bias, dtype=dtype)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        """Encode `src`; `is_causal` without `src_mask` lets position i see the positions 0 ... i only."""

        def attend(x: Tensor) -> Tensor:
            z, _ = self.self_attn(
                x, x, x, src_key_padding_mask, need_weights=False, attn_mask=src_mask, is_causal=is_causal
            )
            return self.dropout1(z)

        x = src
        if self.norm_first:
            x = x + attend(self.norm1(x))
            return x + self.dropout2(self._feedforward(self.norm2(x)))
        x = self.norm1(x + attend(x))
        return self.norm2(x + self.dropout2(self._feedforward(x)))


class TransformerDecoderLayer(_Layer):
    """Self-attention, attention to the encoder's output `memory`, then a network at each position.

    Each of the three is added to what came in, with a norm before (norm_first) or after it, as in the encoder layer.

    Parameters
    ----------
    d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias, dtype
        As for `TransformerEncoderLayer`.

    Attributes
    ----------
    self_attn, multihead_attn : MultiheadAttention
        Of the sequence to itself, and to `memory`.
    linear1, linear2 : Linear
    norm1, norm2, norm3 : LayerNorm
    dropout, dropout1, dropout2, dropout3 : Dropout
        Inside the network, and after each of the three.

    Shapes: tgt (T, N, E), memory (S, N, E) -> (T, N, E); with batch_first N comes first

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.TransformerDecoderLayer.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> layer = nn.TransformerDecoderLayer(d_model=8, nhead=2, dim_feedforward=16, batch_first=True)
    >>> layer(minigrad.randn(4, 7, 8), minigrad.randn(4, 10, 8)).shape  # target, memory
    (4, 7, 8)
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable[[Tensor], Tensor] = F.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        dtype: Any = None,
    ) -> None:
        super().__init__(d_model, nhead, dim_feedforward, dropout, activation, norm_first, bias, batch_first, dtype)
        self.multihead_attn = MultiheadAttention(
            d_model, nhead, dropout=dropout, bias=bias, batch_first=batch_first, dtype=dtype
        )
        self.linear1 = Linear(d_model, dim_feedforward, bias=bias, dtype=dtype)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias=bias, dtype=dtype)
        self.norm1 = LayerNorm(d_model, eps=layer_norm_eps, bias=bias, dtype=dtype)
        self.norm2 = LayerNorm(d_model, eps=layer_norm_eps, bias=bias, dtype=dtype)
        self.norm3 = LayerNorm(d_model, eps=layer_norm_eps, bias=bias, dtype=dtype)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)
        self.dropout3 = Dropout(dropout)

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """Decode `tgt` with a view of `memory`; masks as for `MultiheadAttention`."""

        def attend(x: Tensor) -> Tensor:
            z, _ = self.self_attn(
                x, x, x, tgt_key_padding_mask, need_weights=False, attn_mask=tgt_mask, is_causal=tgt_is_causal
            )
            return self.dropout1(z)

        def look(x: Tensor) -> Tensor:
            z, _ = self.multihead_attn(
                x,
                memory,
                memory,
                memory_key_padding_mask,
                need_weights=False,
                attn_mask=memory_mask,
                is_causal=memory_is_causal,
            )
            return self.dropout2(z)

        x = tgt
        if self.norm_first:
            x = x + attend(self.norm1(x))
            x = x + look(self.norm2(x))
            return x + self.dropout3(self._feedforward(self.norm3(x)))
        x = self.norm1(x + attend(x))
        x = self.norm2(x + look(x))
        return self.norm3(x + self.dropout3(self._feedforward(x)))
