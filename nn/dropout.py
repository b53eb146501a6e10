"""Dropout layers: random zeros in training, nothing in evaluation."""

from __future__ import annotations

from minigrad.errors import ArgumentError
from minigrad.nn import functional as F
from minigrad.nn.module import Module
from minigrad.tensor import Tensor

__all__ = ["AlphaDropout", "Dropout", "Dropout1d", "Dropout2d"]


class _Dropout(Module):
    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if isinstance(p, bool) or not 0 <= p <= 1:
            raise ArgumentError(f"{type(self).__name__}: expected a probability p in [0, 1], got {p!r}.")
        self.p = p
        self.inplace = inplace

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """y_i = x_i / (1 - p), or 0 with probability p, drawn anew in each call; in evaluation y = x.

    No unit can rely on another one being there, and the mean of each stays what it was.

    Parameters
    ----------
    p : float in [0, 1]
        The probability of zero.
    inplace : bool
        The result takes the place of the input.

    Shapes: any -> the same

    Examples
    --------
    >>> import minigrad
    >>> layer = Dropout(0.5)
    >>> sorted(set(layer(minigrad.ones(100)).tolist())), layer.eval()(minigrad.ones(2)).tolist()
    ([0.0, 2.0], [1.0, 1.0])

    References
    ----------
    N. Srivastava et al., Dropout: a simple way to prevent neural networks from overfitting, JMLR 15 (2014).
    https://docs.pytorch.org/docs/stable/generated/torch.nn.Dropout.html
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.p, self.training, self.inplace)


class Dropout1d(_Dropout):
    """Zero whole channels of sequences with probability p and divide the others by 1 - p; in evaluation y = x.

    Parameters are those of `Dropout`.

    Shapes: (N, C, L) or (C, L) -> the same

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.Dropout1d.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> y = nn.Dropout1d(0.5)(minigrad.ones(8, 16, 10))
    >>> sorted(set(y.sum(dim=2).flatten().tolist()))  # whole channels: 0, or 10 times 1 / (1 - 0.5)
    [0.0, 20.0]
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout1d(x, self.p, self.training, self.inplace)


class Dropout2d(_Dropout):
    """Zero whole channels of images with probability p and divide the others by 1 - p; in evaluation y = x.

    Parameters are those of `Dropout`.

    Shapes: (N, C, H, W), or (N, C, L) -> the same

    References
    ----------
    J. Tompson et al., Efficient object localization using convolutional networks, arXiv:1411.4280.
    https://docs.pytorch.org/docs/stable/generated/torch.nn.Dropout2d.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> y = nn.Dropout2d(0.5)(minigrad.ones(8, 16, 2, 5))
    >>> sorted(set(y.sum(dim=(2, 3)).flatten().tolist()))  # whole channels: 0, or 10 times 1 / (1 - 0.5)
    [0.0, 20.0]
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout2d(x, self.p, self.training, self.inplace)


class AlphaDropout(_Dropout):
    """Dropout that keeps mean 0 and variance 1 of what SELU gives; see `minigrad.nn.functional.alpha_dropout`.

    Parameters are those of `Dropout`.

    Shapes: any -> the same

    References
    ----------
    G. Klambauer et al., Self-normalizing neural networks, arXiv:1706.02515.
    https://docs.pytorch.org/docs/stable/generated/torch.nn.AlphaDropout.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> x = minigrad.randn(100_000)
    >>> y = nn.AlphaDropout(0.3)(x)  # keeps mean 0 and variance 1
    >>> abs(y.mean().item()) < 0.02, abs(y.var().item() - 1) < 0.05
    (True, True)
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.alpha_dropout(x, self.p, self.training, self.inplace)
