"""Rows of a table by number, and numbers as rows of an identity matrix."""

from __future__ import annotations

import numpy as np

from minigrad.creation import zeros
from minigrad.errors import ArgumentError, DimError, DTypeError, ShapeError
from minigrad.graph import no_grad
from minigrad.ops import embedding as embedding_ops
from minigrad.tensor import Tensor, from_numpy

__all__ = ["embedding", "one_hot"]


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """The rows of a table that indices name: y[i] = W[x[i]].

    Parameters
    ----------
    input : integer Tensor of any shape
    weight : Tensor (rows, features)
    padding_idx : int, optional
        This row gets no gradient. A negative one counts from the end.
    max_norm : float, optional
        Rows that are named and longer than this are first shortened to it, in the table itself.
    norm_type : float
        The p of the p-norm that max_norm bounds.
    scale_grad_by_freq : bool
        Divide the gradient of a row by how often the input names it.
    sparse : bool
        Only False: gradients are dense.

    Shapes: (...) -> (..., features)

    Raises
    ------
    ShapeError, DTypeError, ArgumentError
        For a table that is no matrix, indices that are no integers, options out of range.
    DimError
        An index names no row. It is an IndexError, as in PyTorch.

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.embedding.html

    Examples
    --------
    >>> import minigrad
    >>> table = minigrad.tensor([[0.0, 0.0], [1.0, 2.0], [3.0, 4.0]])
    >>> embedding(minigrad.tensor([2, 1, 2]), table)
    tensor([[3., 4.],
            [1., 2.],
            [3., 4.]])
    """
    if weight.ndim != 2:
        raise ShapeError(f"embedding: expected a table (rows, features), got shape {weight.shape}.")
    if input.dtype.kind not in "iu":
        raise DTypeError(f"embedding: expected integer indices, got {input.dtype.name}. Convert them with .long().")
    if sparse:
        raise ArgumentError("embedding: expected sparse=False; gradients are dense.")
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
    if max_norm is not None:
        _shorten(weight, np.unique(index), max_norm, norm_type)
    return embedding_ops.embedding(input, weight, padding_idx=padding_idx, scale_grad_by_freq=scale_grad_by_freq)


def _shorten(weight: Tensor, named: np.ndarray, max_norm: float, norm_type: float) -> None:
    """Scale the named rows of the table down to a norm of at most max_norm, in place."""
    if not (max_norm > 0 and norm_type > 0):
        raise ArgumentError(
            f"embedding: expected max_norm and norm_type above 0, got max_norm={max_norm}, norm_type={norm_type}."
        )
    norms = np.linalg.norm(weight.data[named], norm_type, axis=1)
    long = norms > max_norm
    if long.any():
        factor = max_norm / (norms[long] + 1e-7)  # as in PyTorch
        with no_grad():
            weight[named[long]] = from_numpy(weight.data[named[long]] * factor[:, None].astype(weight.dtype))


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
