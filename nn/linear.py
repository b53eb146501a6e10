"""The affine layer, and the one that does nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.creation import empty
from minigrad.errors import ArgumentError
from minigrad.nn import functional as F
from minigrad.nn import init
from minigrad.nn.module import Module, Parameter
from minigrad.tensor import Tensor

__all__ = ["Identity", "Linear"]


class Linear(Module):
    """y = x W^T + b.

    Parameters
    ----------
    in_features, out_features : int
    bias : bool
        False leaves b out.
    dtype : numpy dtype, optional

    Attributes
    ----------
    weight : Parameter (out_features, in_features), drawn from U(-k, k) with k = 1/sqrt(in_features)
    bias : Parameter (out_features,), drawn likewise, or None

    Shapes: (..., in_features) -> (..., out_features)

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.Linear.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> layer = nn.Linear(3, 2)
    >>> layer.weight.shape, layer.bias.shape, layer(minigrad.ones(5, 3)).shape
    ((2, 3), (2,), (5, 2))
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True, dtype: Any = None) -> None:
        super().__init__()
        for n in (in_features, out_features):
            if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
                raise ArgumentError(
                    f"Linear: expected positive numbers of features, got {in_features!r}, {out_features!r}."
                )
        self.in_features = int(in_features)
        self.out_features = int(out_features)
        self.weight = Parameter(empty(out_features, in_features, dtype=dtype))
        self.bias = Parameter(empty(out_features, dtype=dtype)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weight and the bias again from U(-k, k), k = 1/sqrt(in_features)."""
        init.default_(self.weight, self.bias)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Identity(Module):
    """y = x; whatever arguments it is made with are ignored.

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> nn.Identity()(minigrad.tensor([1.0, 2.0]))
    tensor([1., 2.])
    """

    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        return x
