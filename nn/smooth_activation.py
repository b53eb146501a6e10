"""Smooth activations: sigmoid, tanh, and products of them with the input.

The formulas are those of `minigrad/ops/activation.py`.

References
----------
https://docs.pytorch.org/docs/stable/nn.html#non-linear-activations-weighted-sum-nonlinearity
"""

from __future__ import annotations

from minigrad.errors import ArgumentError
from minigrad.nn import functional as F
from minigrad.nn.activation import InPlace
from minigrad.nn.module import Module
from minigrad.tensor import Tensor

__all__ = ["GELU", "GLU", "LogSigmoid", "Mish", "SiLU", "Sigmoid", "Softplus", "Softsign", "Tanh"]


class SiLU(InPlace):
    """y = x / (1 + e^-x), also called swish.

    Parameters
    ----------
    inplace : bool
        The result takes the place of the input.

    Shapes: any -> the same

    References
    ----------
    S. Elfwing et al., Sigmoid-weighted linear units, arXiv:1702.03118.
    https://docs.pytorch.org/docs/stable/generated/torch.nn.SiLU.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> x = minigrad.tensor([-2.0, 0.0, 1.0])
    >>> nn.SiLU()(x).data.round(4)
    array([-0.2384,  0.    ,  0.7311], dtype=float32)
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.silu(x, self.inplace)


class Mish(InPlace):
    """y = x tanh(ln(1 + e^x))

    Parameters
    ----------
    inplace : bool
        The result takes the place of the input.

    Shapes: any -> the same

    References
    ----------
    D. Misra, Mish: a self regularized non-monotonic activation function, arXiv:1908.08681.
    https://docs.pytorch.org/docs/stable/generated/torch.nn.Mish.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> x = minigrad.tensor([-2.0, 0.0, 1.0])
    >>> nn.Mish()(x).data.round(4)
    array([-0.2525,  0.    ,  0.8651], dtype=float32)
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.mish(x, self.inplace)


class GELU(Module):
    """y = x P(X <= x) for a standard normal X.

    Parameters
    ----------
    approximate : 'none' or 'tanh'
        'tanh' has x (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2 in its place.

    References
    ----------
    D. Hendrycks and K. Gimpel, Gaussian error linear units, arXiv:1606.08415.
    https://docs.pytorch.org/docs/stable/generated/torch.nn.GELU.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> x = minigrad.tensor([-2.0, 0.0, 1.0])
    >>> nn.GELU()(x).data.round(4)
    array([-0.0455,  0.    ,  0.8413], dtype=float32)
    """

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        if approximate not in ("none", "tanh"):
            raise ArgumentError(f"GELU: expected approximate 'none' or 'tanh', got {approximate!r}.")
        self.approximate = approximate

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(x, self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class Softplus(Module):
    """y = ln(1 + e^(beta x)) / beta, and x itself where beta x > threshold: a smooth ReLU.

    Parameters
    ----------
    beta : float, not 0
        The larger, the closer to ReLU.
    threshold : float

    Shapes: any -> the same

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.Softplus.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> x = minigrad.tensor([-2.0, 0.0, 1.0])
    >>> nn.Softplus()(x).data.round(4)
    array([0.1269, 0.6931, 1.3133], dtype=float32)
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        if not beta:
            raise ArgumentError("Softplus: expected a beta that is not 0.")
        self.beta = beta
        self.threshold = threshold

    def forward(self, x: Tensor) -> Tensor:
        return F.softplus(x, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


class LogSigmoid(Module):
    """y = ln(1 / (1 + e^-x)), without overflow for any x.

    Shapes: any -> the same

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.LogSigmoid.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> x = minigrad.tensor([-2.0, 0.0, 1.0])
    >>> nn.LogSigmoid()(x).data.round(4)
    array([-2.1269, -0.6931, -0.3133], dtype=float32)
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.logsigmoid(x)


class Softsign(Module):
    """y = x / (1 + |x|)

    Shapes: any -> the same

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.Softsign.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> x = minigrad.tensor([-2.0, 0.0, 1.0])
    >>> nn.Softsign()(x).data.round(4)
    array([-0.6667,  0.    ,  0.5   ], dtype=float32)
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.softsign(x)


class Sigmoid(Module):
    """y = 1 / (1 + e^-x)

    Shapes: any -> the same

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.Sigmoid.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> x = minigrad.tensor([-2.0, 0.0, 1.0])
    >>> nn.Sigmoid()(x).data.round(4)
    array([0.1192, 0.5   , 0.7311], dtype=float32)
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.sigmoid(x)


class Tanh(Module):
    """y = (e^x - e^-x) / (e^x + e^-x)

    Shapes: any -> the same

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.Tanh.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> x = minigrad.tensor([-2.0, 0.0, 1.0])
    >>> nn.Tanh()(x).data.round(4)
    array([-0.964 ,  0.    ,  0.7616], dtype=float32)
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.tanh(x)


class GLU(Module):
    """y = a / (1 + e^-b), where a and b are the halves of x along `dim`: b opens and closes the way of a.

    Parameters
    ----------
    dim : int

    Shapes: (..., 2 n, ...) -> (..., n, ...)

    References
    ----------
    Y. Dauphin et al., Language modeling with gated convolutional networks, arXiv:1612.08083.
    https://docs.pytorch.org/docs/stable/generated/torch.nn.GLU.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> nn.GLU()(minigrad.tensor([3.0, 5.0, 0.0, 0.0]))  # gates of σ(0) = ½
    tensor([1.5, 2.5])
    """

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        return F.glu(x, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"
