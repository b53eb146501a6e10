"""Activations with corners: ReLU and what stands in for it. The smooth ones are in `nn/smooth_activation.py`.

The formulas are those of `minigrad/ops/activation.py`. `inplace=True` lets the result take the place of the input, see
`minigrad/nn/functional/activation.py`.

References
----------
https://docs.pytorch.org/docs/stable/nn.html#non-linear-activations-weighted-sum-nonlinearity
"""

from __future__ import annotations

from typing import Any

from minigrad.creation import full
from minigrad.errors import ArgumentError
from minigrad.nn import functional as F
from minigrad.nn.arguments import single
from minigrad.nn.module import Module, Parameter
from minigrad.tensor import Tensor

__all__ = ["CELU", "ELU", "SELU", "Hardsigmoid", "Hardswish", "Hardtanh", "LeakyReLU", "PReLU", "ReLU", "ReLU6"]


class InPlace(Module):
    """An activation without arguments that can take its input's place."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class ReLU(InPlace):
    """y = max(x, 0): what is negative is cut off.

    Parameters
    ----------
    inplace : bool
        The result takes the place of the input.

    Shapes: any -> the same

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.ReLU.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> x = minigrad.tensor([-2.0, 0.0, 1.0])
    >>> nn.ReLU()(x).data.round(4)
    array([0., 0., 1.], dtype=float32)
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x, self.inplace)


class ReLU6(InPlace):
    """y = min(max(x, 0), 6)

    Parameters
    ----------
    inplace : bool
        The result takes the place of the input.

    Shapes: any -> the same

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.ReLU6.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> x = minigrad.tensor([-2.0, 0.0, 1.0])
    >>> nn.ReLU6()(x).data.round(4)
    array([0., 0., 1.], dtype=float32)
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.relu6(x, self.inplace)


class SELU(InPlace):
    """y = s x for x > 0, else s a (e^x - 1); s = 1.0507... and a = 1.6733... keep mean 0 and variance 1.

    Parameters
    ----------
    inplace : bool
        The result takes the place of the input.

    Shapes: any -> the same

    References
    ----------
    G. Klambauer et al., Self-normalizing neural networks, arXiv:1706.02515.
    https://docs.pytorch.org/docs/stable/generated/torch.nn.SELU.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> x = minigrad.tensor([-2.0, 0.0, 1.0])
    >>> nn.SELU()(x).data.round(4)
    array([-1.5202,  0.    ,  1.0507], dtype=float32)
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.selu(x, self.inplace)


class Hardsigmoid(InPlace):
    """y = min(max(x / 6 + 1/2, 0), 1): straight lines in place of the logistic function.

    Parameters
    ----------
    inplace : bool
        The result takes the place of the input.

    Shapes: any -> the same

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.Hardsigmoid.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> x = minigrad.tensor([-2.0, 0.0, 1.0])
    >>> nn.Hardsigmoid()(x).data.round(4)
    array([0.1667, 0.5   , 0.6667], dtype=float32)
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.hardsigmoid(x, self.inplace)


class Hardswish(InPlace):
    """y = x min(max(x / 6 + 1/2, 0), 1): SiLU with straight lines in place of the logistic function.

    Parameters
    ----------
    inplace : bool
        The result takes the place of the input.

    Shapes: any -> the same

    References
    ----------
    A. Howard et al., Searching for MobileNetV3, arXiv:1905.02244.
    https://docs.pytorch.org/docs/stable/generated/torch.nn.Hardswish.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> x = minigrad.tensor([-2.0, 0.0, 1.0])
    >>> nn.Hardswish()(x).data.round(4)
    array([-0.3333,  0.    ,  0.6667], dtype=float32)
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.hardswish(x, self.inplace)


class Hardtanh(Module):
    """y = min(max(x, min_val), max_val)

    Parameters
    ----------
    min_val, max_val : float
        The bounds, where and beyond which the gradient is 0.
    inplace : bool
        The result takes the place of the input.

    Shapes: any -> the same

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.Hardtanh.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> x = minigrad.tensor([-2.0, 0.0, 1.0])
    >>> nn.Hardtanh()(x).data.round(4)
    array([-1.,  0.,  1.], dtype=float32)
    """

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        if not min_val < max_val:
            raise ArgumentError(f"Hardtanh: expected min_val < max_val, got {min_val} and {max_val}.")
        self.min_val = min_val
        self.max_val = max_val
        self.inplace = inplace

    def forward(self, x: Tensor) -> Tensor:
        return F.hardtanh(x, self.min_val, self.max_val, self.inplace)

    def extra_repr(self) -> str:
        return f"min_val={self.min_val}, max_val={self.max_val}" + (", inplace=True" if self.inplace else "")


class LeakyReLU(Module):
    """y = x for x > 0, else negative_slope x

    Parameters
    ----------
    negative_slope : float
    inplace : bool
        The result takes the place of the input.

    Shapes: any -> the same

    References
    ----------
    A. Maas et al., Rectifier nonlinearities improve neural network acoustic models, ICML 2013.
    https://docs.pytorch.org/docs/stable/generated/torch.nn.LeakyReLU.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> x = minigrad.tensor([-2.0, 0.0, 1.0])
    >>> nn.LeakyReLU(0.1)(x).data.round(4)
    array([-0.2,  0. ,  1. ], dtype=float32)
    """

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__()
        self.negative_slope = negative_slope
        self.inplace = inplace

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(x, self.negative_slope, self.inplace)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}" + (", inplace=True" if self.inplace else "")


class PReLU(Module):
    """y = x for x > 0, else w x: a leaky ReLU whose slope is learned.

    Parameters
    ----------
    num_parameters : int
        1, or the number of channels (dimension 1 of the input) for a slope each.
    init : float
        The slope to begin with.

    Attributes
    ----------
    weight : Parameter (num_parameters,); weight decay would pull it towards ReLU

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.PReLU.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> layer = nn.PReLU()  # one learned slope, 0.25 at first
    >>> layer(minigrad.tensor([-2.0, 0.0, 1.0])).tolist()
    [-0.5, 0.0, 1.0]
    >>> layer.weight
    Parameter containing:
    tensor([0.25], requires_grad=True)
    """

    def __init__(self, num_parameters: int = 1, init: float = 0.25, dtype: Any = None) -> None:
        super().__init__()
        slopes = single(num_parameters, "PReLU: num_parameters", least=1)
        self.init = init
        self.weight = Parameter(full((slopes,), float(init), dtype=dtype))

    def reset_parameters(self) -> None:
        """Start again from the slope `init`."""
        self.weight.data[...] = self.init

    def forward(self, x: Tensor) -> Tensor:
        return F.prelu(x, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.weight.numel()}"


class _WithAlpha(Module):
    """An activation with a factor alpha."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha = alpha
        self.inplace = inplace

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}" + (", inplace=True" if self.inplace else "")


class ELU(_WithAlpha):
    """y = x for x > 0, else alpha (e^x - 1)

    Parameters
    ----------
    alpha : float
        y goes to -alpha for large negative x.
    inplace : bool
        The result takes the place of the input.

    Shapes: any -> the same

    References
    ----------
    D.-A. Clevert et al., Fast and accurate deep network learning by exponential linear units, arXiv:1511.07289.
    https://docs.pytorch.org/docs/stable/generated/torch.nn.ELU.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> x = minigrad.tensor([-2.0, 0.0, 1.0])
    >>> nn.ELU()(x).data.round(4)
    array([-0.8647,  0.    ,  1.    ], dtype=float32)
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.elu(x, self.alpha, self.inplace)


class CELU(_WithAlpha):
    """y = x for x > 0, else alpha (e^(x / alpha) - 1): an ELU whose slope at 0 is 1 for every alpha.

    Parameters
    ----------
    alpha : float, positive
    inplace : bool
        The result takes the place of the input.

    Shapes: any -> the same

    References
    ----------
    J. Barron, Continuously differentiable exponential linear units, arXiv:1704.07483.
    https://docs.pytorch.org/docs/stable/generated/torch.nn.CELU.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> x = minigrad.tensor([-2.0, 0.0, 1.0])
    >>> nn.CELU(alpha=0.5)(x).data.round(4)
    array([-0.4908,  0.    ,  1.    ], dtype=float32)
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__(alpha, inplace)
        if not alpha > 0:
            raise ArgumentError(f"CELU: expected alpha > 0, got {alpha}.")

    def forward(self, x: Tensor) -> Tensor:
        return F.celu(x, self.alpha, self.inplace)
