"""Affine maps, and flattening."""

from __future__ import annotations

from minigrad.errors import DTypeError
from minigrad.ops import linalg
from minigrad.ops import shape as shape_ops
from minigrad.tensor import Tensor

__all__ = ["flatten", "linear"]


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y = x W^T + b;  (..., in), W (out, in), b (out) -> (..., out)

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> F.linear(minigrad.tensor([1.0, 2.0]), minigrad.tensor([[3.0, 4.0]]), minigrad.tensor([0.5]))  # 3 + 8 + 0.5
    tensor([11.5])
    """
    if not isinstance(input, Tensor):
        raise DTypeError(f"linear: expected input as a Tensor, got {type(input).__name__}. Use minigrad.tensor(...).")
    return linalg.linear(input, weight, bias)


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Make one dimension of the dimensions start_dim to end_dim.

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> F.flatten(minigrad.zeros(2, 3, 4), start_dim=1).shape
    (2, 12)
    """
    return shape_ops.flatten(input, start_dim, end_dim)
