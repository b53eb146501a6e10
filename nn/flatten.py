"""Layers that only change the shape."""

from __future__ import annotations

from typing import Any

from minigrad.errors import ArgumentError
from minigrad.nn import functional as F
from minigrad.nn.arguments import several
from minigrad.nn.module import Module
from minigrad.ops.shape import unflatten
from minigrad.tensor import Tensor

__all__ = ["Flatten", "Unflatten"]


def _dim(value: Any, what: str) -> int:
    return several(value, 1, what, least=-(2**31))[0]


class Flatten(Module):
    """(N, C, H, W) -> (N, C H W): make one dimension of the dimensions start_dim to end_dim.

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.Flatten.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> nn.Flatten()(minigrad.zeros(8, 3, 4, 4)).shape
    (8, 48)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim = _dim(start_dim, "Flatten: start_dim")
        self.end_dim = _dim(end_dim, "Flatten: end_dim")

    def forward(self, x: Tensor) -> Tensor:
        return F.flatten(x, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """(N, C H W) -> (N, C, H, W): make several dimensions of one; the reverse of Flatten.

    Parameters
    ----------
    dim : int
        The dimension to replace.
    unflattened_size : tuple of ints
        The lengths that take its place; one of them may be -1 and is worked out.

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> nn.Unflatten(1, (2, 3, -1))(minigrad.zeros(5, 24)).shape
    (5, 2, 3, 4)

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.Unflatten.html
    """

    def __init__(self, dim: int, unflattened_size: tuple[int, ...]) -> None:
        super().__init__()
        self.dim = _dim(dim, "Unflatten: dim")
        if not isinstance(unflattened_size, tuple | list) or not unflattened_size:
            raise ArgumentError(f"Unflatten: expected unflattened_size as a tuple of ints, got {unflattened_size!r}.")
        sizes = several(unflattened_size, len(unflattened_size), "Unflatten: unflattened_size", least=-1)
        if sizes.count(-1) > 1:
            raise ArgumentError(f"Unflatten: expected at most one -1 in unflattened_size, got {sizes}.")
        self.unflattened_size = sizes

    def forward(self, x: Tensor) -> Tensor:
        return unflatten(x, self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
