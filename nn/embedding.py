"""Embedding: a learned vector for each word of a vocabulary."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.creation import empty
from minigrad.errors import ArgumentError, ShapeError
from minigrad.graph import no_grad
from minigrad.nn import functional as F
from minigrad.nn import init
from minigrad.nn.module import Module, Parameter
from minigrad.tensor import Tensor

__all__ = ["Embedding"]


class Embedding(Module):
    """y[i] = W[x[i]]: the rows of a table that integers name.

    Parameters
    ----------
    num_embeddings, embedding_dim : int
        The numbers of rows and of features.
    padding_idx : int, optional
        A row that stands for nothing: it starts as zeros and gets no gradient. A negative one counts from the end.
    max_norm, norm_type : float
        Rows that are named and longer than max_norm, in the norm_type-norm, are shortened in the table itself.
    scale_grad_by_freq : bool
        Divide the gradient of a row by how often the input names it.
    sparse : bool
        Only False: gradients are dense.
    dtype : numpy dtype, optional

    Attributes
    ----------
    weight : Parameter (num_embeddings, embedding_dim), drawn from N(0, 1)

    Shapes: (...) of integers -> (..., embedding_dim)

    Raises
    ------
    ArgumentError, DTypeError, DimError
        For arguments out of range; inputs that are no integers; an index that names no row.

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.Embedding.html

    Examples
    --------
    >>> import minigrad
    >>> words = Embedding(10, 3, padding_idx=0)
    >>> y = words(minigrad.tensor([[1, 5, 0], [2, 2, 0]]))
    >>> y.shape, y[:, 2].abs().sum().item()
    ((2, 3, 3), 0.0)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        for what, value in (("num_embeddings", num_embeddings), ("embedding_dim", embedding_dim)):
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
                raise ArgumentError(f"Embedding: expected {what} to be a positive integer, got {value!r}.")
        if padding_idx is not None:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise ArgumentError(
                    f"Embedding: expected padding_idx from {-num_embeddings} to {num_embeddings - 1}, "
                    f"got {padding_idx}."
                )
            padding_idx %= num_embeddings
        if (max_norm is not None and not max_norm > 0) or not norm_type > 0:
            raise ArgumentError(
                f"Embedding: expected max_norm and norm_type above 0, got max_norm={max_norm}, norm_type={norm_type}."
            )
        if sparse:
            raise ArgumentError("Embedding: expected sparse=False; gradients are dense.")
        self.num_embeddings = int(num_embeddings)
        self.embedding_dim = int(embedding_dim)
        self.padding_idx = padding_idx
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self.weight = Parameter(empty(num_embeddings, embedding_dim, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the table from N(0, 1), and zero the row padding_idx."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with no_grad():
                self.weight[self.padding_idx] = 0.0

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> Embedding:
        """An Embedding with a given table, whose memory it shares.

        Parameters
        ----------
        embeddings : Tensor (num_embeddings, embedding_dim)
        freeze : bool
            True: the table is not trained.
        padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse
            As for the class; the row padding_idx stays as it is given.
        """
        if not isinstance(embeddings, Tensor) or embeddings.ndim != 2:
            got = embeddings.shape if isinstance(embeddings, Tensor) else type(embeddings).__name__
            raise ShapeError(f"Embedding.from_pretrained: expected a Tensor (rows, features), got {got}.")
        rows, features = embeddings.shape
        made = cls(rows, features, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse, embeddings.dtype)
        made.weight = Parameter(embeddings.detach(), requires_grad=not freeze)
        return made

    def forward(self, input: Tensor) -> Tensor:
        return F.embedding(input, self.weight, self.padding_idx, self.max_norm, self.norm_type, self.scale_grad_by_freq)

    def extra_repr(self) -> str:
        defaults = {"padding_idx": None, "max_norm": None, "norm_type": 2.0, "scale_grad_by_freq": False}
        parts = [str(self.num_embeddings), str(self.embedding_dim)]
        parts += [f"{key}={vars(self)[key]}" for key, usual in defaults.items() if vars(self)[key] != usual]
        return ", ".join(parts)
