"""Softmax and its relatives: a row of scores becomes probabilities, or their logarithms.

The formulas are those of `minigrad/ops/softmax.py`.

References
----------
https://docs.pytorch.org/docs/stable/nn.html#non-linear-activations-other
"""

from __future__ import annotations

from minigrad.errors import ArgumentError
from minigrad.nn import functional as F
from minigrad.nn.module import Module
from minigrad.tensor import Tensor

__all__ = ["LogSoftmax", "Softmax", "Softmin"]


class _AlongDim(Module):
    """A normalisation along one dimension, which must be given: a guess by the number of dimensions goes wrong."""

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        if isinstance(dim, bool) or not isinstance(dim, int):
            raise ArgumentError(
                f"{type(self).__name__}: expected dim, the dimension along which to normalise, as an integer, "
                f"got {dim!r}. For scores (N, classes) give dim=1."
            )
        self.dim = dim

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Softmax(_AlongDim):
    """y_i = e^x_i / sum_j e^x_j along `dim`: scores into probabilities.

    Parameters
    ----------
    dim : int
        Along which they sum to 1; it must be given.

    Shapes: any -> the same

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.Softmax.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> x = minigrad.tensor([-2.0, 0.0, 1.0])
    >>> nn.Softmax(dim=0)(x).data.round(4)
    array([0.0351, 0.2595, 0.7054], dtype=float32)
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.softmax(x, self.dim)


class Softmin(_AlongDim):
    """y_i = e^-x_i / sum_j e^-x_j along `dim`: the smallest score gets the largest probability.

    Parameters
    ----------
    dim : int
        Along which they sum to 1; it must be given.

    Shapes: any -> the same

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.Softmin.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> x = minigrad.tensor([-2.0, 0.0, 1.0])
    >>> nn.Softmin(dim=0)(x).data.round(4)
    array([0.8438, 0.1142, 0.042 ], dtype=float32)
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.softmin(x, self.dim)


class LogSoftmax(_AlongDim):
    """y_i = x_i - ln sum_j e^x_j along `dim`: the logarithm of softmax, without overflow.

    Parameters
    ----------
    dim : int
        It must be given.

    Shapes: any -> the same

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.LogSoftmax.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> x = minigrad.tensor([-2.0, 0.0, 1.0])
    >>> nn.LogSoftmax(dim=0)(x).data.round(4)
    array([-3.349, -1.349, -0.349], dtype=float32)
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.log_softmax(x, self.dim)
