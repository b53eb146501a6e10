"""Stacks of transformer layers, and the whole model of encoder and decoder. The layers are in `transformer.py`."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.errors import ArgumentError
from minigrad.nn import functional as F
from minigrad.nn import init
from minigrad.nn.containers import ModuleList
from minigrad.nn.module import Module
from minigrad.nn.normalization import LayerNorm
from minigrad.nn.transformer import TransformerDecoderLayer, TransformerEncoderLayer
from minigrad.tensor import Tensor, from_numpy

__all__ = ["Transformer", "TransformerDecoder", "TransformerEncoder", "generate_square_subsequent_mask"]


def generate_square_subsequent_mask(sz: int, dtype: Any = None) -> Tensor:
    """The mask of causality, (sz, sz): 0 where a position may be seen, -inf at those that come later.

    Examples
    --------
    >>> generate_square_subsequent_mask(3)
    tensor([[  0., -inf, -inf],
            [  0.,   0., -inf],
            [  0.,   0.,   0.]])
    """
    seen = np.tri(sz, dtype=bool)
    return from_numpy(np.where(seen, 0.0, -np.inf).astype(dtype or np.float32))


class _Stack(Module):
    """Copies of one layer, one after the other."""

    def __init__(self, layer: Module, num_layers: int, norm: Module | None) -> None:
        super().__init__()
        if isinstance(num_layers, bool) or not isinstance(num_layers, int | np.integer) or num_layers < 1:
            raise ArgumentError(
                f"{type(self).__name__}: expected num_layers to be a positive integer, got {num_layers!r}."
            )
        self.layers = ModuleList([copy.deepcopy(layer) for _ in range(num_layers)])
        self.num_layers = num_layers
        self.norm = norm


class TransformerEncoder(_Stack):
    """`num_layers` copies of an encoder layer, one after the other, and a norm at the end.

    As in PyTorch the copies start with the same weights. Draw them anew where that matters (loop over `parameters()`).

    Parameters
    ----------
    encoder_layer : TransformerEncoderLayer
        It is copied, and not part of the stack.
    num_layers : int
    norm : Module, optional
        Usually LayerNorm(d_model), for layers with norm_first=True.

    Shapes: those of the layer

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.TransformerEncoder.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> layer = nn.TransformerEncoderLayer(d_model=8, nhead=2, dim_feedforward=16, batch_first=True)
    >>> model = nn.TransformerEncoder(layer, num_layers=2)
    >>> model(minigrad.randn(4, 10, 8)).shape
    (4, 10, 8)
    """

    def __init__(self, encoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__(encoder_layer, num_layers, norm)

    def forward(
        self,
        src: Tensor,
        mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool | None = None,
    ) -> Tensor:
        """Encode `src` through all layers, each with the same masks."""
        for layer in self.layers:
            src = layer(src, mask, src_key_padding_mask, is_causal=bool(is_causal))
        return src if self.norm is None else self.norm(src)


class TransformerDecoder(_Stack):
    """`num_layers` copies of a decoder layer, one after the other, and a norm at the end.

    Parameters
    ----------
    decoder_layer : TransformerDecoderLayer
        It is copied, and not part of the stack.
    num_layers : int
    norm : Module, optional

    Shapes: those of the layer

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.TransformerDecoder.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> layer = nn.TransformerDecoderLayer(d_model=8, nhead=2, dim_feedforward=16, batch_first=True)
    >>> model = nn.TransformerDecoder(layer, num_layers=2)
    >>> model(minigrad.randn(4, 7, 8), minigrad.randn(4, 10, 8)).shape  # target, memory
    (4, 7, 8)
    """

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__(decoder_layer, num_layers, norm)

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """Decode `tgt` through all layers, each with the same memory and masks."""
        for layer in self.layers:
            tgt = layer(
                tgt,
                memory,
                tgt_mask,
                memory_mask,
                tgt_key_padding_mask,
                memory_key_padding_mask,
                bool(tgt_is_causal),
                memory_is_causal,
            )
        return tgt if self.norm is None else self.norm(tgt)


class Transformer(Module):
    """Encoder and decoder of the paper: `src` is encoded, and `tgt` decoded with a view of it.

    Parameters
    ----------
    d_model, nhead : int
    num_encoder_layers, num_decoder_layers : int
    dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias, dtype
        As for `TransformerEncoderLayer`.
    custom_encoder, custom_decoder : Module, optional
        To take the place of the stacks; called as `TransformerEncoder` and `TransformerDecoder` are.

    Attributes
    ----------
    encoder : TransformerEncoder
    decoder : TransformerDecoder
        Each with a LayerNorm at its end; all matrices are drawn from Xavier's uniform distribution.

    Shapes: src (S, N, E), tgt (T, N, E) -> (T, N, E); with batch_first N comes first

    References
    ----------
    A. Vaswani et al., Attention is all you need, arXiv:1706.03762, section 3.
    https://docs.pytorch.org/docs/stable/generated/torch.nn.Transformer.html

    Examples
    --------
    >>> import minigrad
    >>> model = Transformer(8, 2, num_encoder_layers=1, num_decoder_layers=1, dim_feedforward=16, batch_first=True)
    >>> model(minigrad.randn(4, 6, 8), minigrad.randn(4, 5, 8), tgt_is_causal=True).shape
    (4, 5, 8)
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable[[Tensor], Tensor] = F.relu,
        custom_encoder: Module | None = None,
        custom_decoder: Module | None = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        options: dict[str, Any] = {
            "dim_feedforward": dim_feedforward, "dropout": dropout, "activation": activation,
            "layer_norm_eps": layer_norm_eps, "batch_first": batch_first, "norm_first": norm_first, "bias": bias,
            "dtype": dtype,
        }  # fmt: skip

        def norm() -> LayerNorm:
            return LayerNorm(d_model, eps=layer_norm_eps, bias=bias, dtype=dtype)

        self.encoder = custom_encoder or TransformerEncoder(
            TransformerEncoderLayer(d_model, nhead, **options), num_encoder_layers, norm()
        )
        self.decoder = custom_decoder or TransformerDecoder(
            TransformerDecoderLayer(d_model, nhead, **options), num_decoder_layers, norm()
        )
        self.d_model = d_model
        self.nhead = nhead
        self.batch_first = batch_first
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all matrices anew, Xavier uniform."""
        for parameter in self.parameters():
            if parameter.ndim > 1:
                init.xavier_uniform_(parameter)

    generate_square_subsequent_mask = staticmethod(generate_square_subsequent_mask)

    def forward(
        self,
        src: Tensor,
        tgt: Tensor,
        src_mask: Tensor | None = None,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """Encode `src`, and decode `tgt`; masks as for `MultiheadAttention`."""
        memory = self.encoder(src, src_mask, src_key_padding_mask, src_is_causal)
        return self.decoder(
            tgt,
            memory,
            tgt_mask,
            memory_mask,
            tgt_key_padding_mask,
            memory_key_padding_mask,
            tgt_is_causal,
            memory_is_causal,
        )
