"""Affine maps, look-ups in a table, and flattening."""

from __future__ import annotations

import numpy as np

from minigrad.creation import zeros
from minigrad.errors import ArgumentError, DimError, DTypeError, ShapeError
from minigrad.ops import embedding as embedding_ops
from minigrad.ops import linalg
from minigrad.ops import shape as shape_ops
from minigrad.tensor import Tensor

__all__ = ["embedding", "flatten", "linear", "one_hot"]


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y = x W^T + b;  (..., in), W (out, in), b (out) -> (..., out)"""
    return linalg.linear(input, weight, bias)


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Make one dimension of the dimensions start_dim to end_dim."""
    return shape_ops.flatten(input, start_dim, end_dim)


def embedding(input: Tensor, weight: Tensor, padding_idx: int | None = None) -> Tensor:
    """The rows of a table that indices name: y[i] = W[x[i]].

    Parameters
    ----------
    input : integer Tensor of any shape
    weight : Tensor (rows, features)
    padding_idx : int, optional
        This row gets no gradient.

    Shapes: (...) -> (..., features)

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.embedding.html
    """
    if weight.ndim != 2:
        raise ShapeError(f"embedding: expected a table (rows, features), got shape {weight.shape}.")
    if input.dtype.kind not in "iu":
        raise DTypeError(f"embedding: expected integer indices, got {input.dtype.name}. Convert them with .long().")
    rows = weight.shape[0]
    if padding_idx is not None:
        if not -rows <= padding_idx < rows:
            raise ArgumentError(f"embedding: expected padding_idx from {-rows} to {rows - 1}, got {padding_idx}.")
        padding_idx %= rows
    index = input.data
    if index.size and not 0 <= index.min() <= index.max() < rows:
        raise DimError(
            f"embedding: expected indices from 0 to {rows - 1}, got {index.min()} to {index.max()}. "
            "Make the table larger, or check how the words are numbered."
        )
    return embedding_ops.embedding(input, weight, padding_idx=padding_idx)


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """A 1 at the place that each label names, 0 elsewhere;  (...) -> (..., num_classes), int64.

    Examples
    --------
    >>> import minigrad
    >>> one_hot(minigrad.tensor([2, 0]))
    tensor([[0, 0, 1],
            [1, 0, 0]])
    """
    labels = tensor.data
    if labels.dtype.kind not in "iu":
        raise DTypeError(f"one_hot: expected integer labels, got {labels.dtype.name}.")
    if num_classes == -1:
        if not labels.size:
            raise ArgumentError("one_hot: expected num_classes, as there are no labels to count.")
        num_classes = int(labels.max()) + 1
    if labels.size and not 0 <= labels.min() <= labels.max() < num_classes:
        raise DimError(f"one_hot: expected labels from 0 to {num_classes - 1}, got {labels.min()} to {labels.max()}.")
    made = zeros(*labels.shape, num_classes, dtype=np.int64)
    np.put_along_axis(made.data, labels[..., None], 1, axis=-1)
    return made
