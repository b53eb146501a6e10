"""Helpers that PyTorch users look for here: clipping (from `minigrad.optim.clip`), and parameters as one vector."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from minigrad.errors import ArgumentError, ShapeError
from minigrad.graph import no_grad
from minigrad.ops.joining import cat
from minigrad.optim.clip import clip_grad_norm_, clip_grad_value_
from minigrad.tensor import Tensor

__all__ = ["clip_grad_norm_", "clip_grad_value_", "parameters_to_vector", "vector_to_parameters"]


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All parameters, one after another, as one vector; it can be differentiated.

    Examples
    --------
    >>> from minigrad import nn
    >>> parameters_to_vector(nn.Linear(3, 2).parameters()).shape
    (8,)
    """
    flat = [parameter.reshape(-1) for parameter in parameters]
    if not flat:
        raise ArgumentError("parameters_to_vector: expected at least one parameter, got none.")
    return cat(flat)


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Copy a vector made by `parameters_to_vector` back into parameters of the same shapes.

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> from minigrad.nn.utils import vector_to_parameters
    >>> model = nn.Linear(2, 1)
    >>> vector_to_parameters(minigrad.tensor([1.0, 2.0, 3.0]), model.parameters())
    >>> model.weight.tolist(), model.bias.tolist()
    ([[1.0, 2.0]], [3.0])
    """
    targets = list(parameters)
    total = sum(parameter.numel() for parameter in targets)
    if vec.shape != (total,):
        raise ShapeError(f"vector_to_parameters: expected a vector of {total} elements, got shape {vec.shape}.")
    ends = np.cumsum([parameter.numel() for parameter in targets])
    with no_grad():
        for parameter, end in zip(targets, ends, strict=True):
            parameter.copy_(vec.data[end - parameter.numel() : end].reshape(parameter.shape))
