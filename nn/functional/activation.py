"""Activations as functions. The formulas, and where they come from, stand in `minigrad/ops/activation.py`.

With `inplace=True` the result takes the place of the input, which is returned: its memory is overwritten where nothing
is recorded; where it is part of a graph, which may still need what was there, the tensor is bound to the result. A
leaf that requires a gradient cannot be replaced while operations are recorded.

References
----------
https://docs.pytorch.org/docs/stable/nn.functional.html#non-linear-activation-functions
"""

from __future__ import annotations

from typing import Any

from minigrad.errors import ArgumentError, DTypeError, GraphError, ShapeError
from minigrad.grad_mode import is_grad_enabled, no_grad
from minigrad.ops import activation as ops
from minigrad.ops import select
from minigrad.ops import softmax as softmax_ops
from minigrad.ops.exponential import expm1
from minigrad.ops.joining import chunk
from minigrad.ops.special import sigmoid
from minigrad.ops.trigonometric import tanh
from minigrad.tensor import Tensor

__all__ = [
    "celu",
    "elu",
    "gelu",
    "glu",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "leaky_relu",
    "log_softmax",
    "logsigmoid",
    "mish",
    "prelu",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softmin",
    "softplus",
    "softsign",
    "tanh",
]


def replaced(input: Tensor, result: Tensor, name: str) -> Tensor:
    """`input`, with the elements and the graph of `result`."""
    if not (is_grad_enabled() and input.requires_grad):
        with no_grad():
            return input.copy_(result)
    if input.is_leaf:
        raise GraphError(
            f"{name}: inplace=True would replace a leaf that requires a gradient, and the gradient would be lost. "
            "Leave inplace out."
        )
    input.data, input.node = result.data, result.node
    return input


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """y = max(x, 0)

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> x = minigrad.tensor([-2.0, 0.0, 1.0])
    >>> F.relu(x).data.round(4)
    array([0., 0., 1.], dtype=float32)
    """
    y = select.relu(input)
    return replaced(input, y, "relu") if inplace else y


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """y = min(max(x, 0), 6)

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> x = minigrad.tensor([-2.0, 0.0, 1.0])
    >>> F.relu6(4 * x).data.round(4)
    array([0., 0., 4.], dtype=float32)
    """
    return hardtanh(input, 0.0, 6.0, inplace)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """y = x for x > 0, else negative_slope x

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> x = minigrad.tensor([-2.0, 0.0, 1.0])
    >>> F.leaky_relu(x, negative_slope=0.1).data.round(4)
    array([-0.2,  0. ,  1. ], dtype=float32)
    """
    if negative_slope >= 0:
        y = ops.leaky_relu(input, negative_slope=negative_slope)
    else:  # the sign of y does not tell that of x, which the op's rule relies on
        y = select.where(input > 0, input, input * negative_slope)
    return replaced(input, y, "leaky_relu") if inplace else y


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """y = x for x > 0, else w x: a leaky ReLU whose slope is learned.

    Parameters
    ----------
    input : Tensor (N, C, ...) or of any shape
    weight : Tensor (C,), a slope for each channel; or (1,) or ()

    Raises
    ------
    ShapeError
        When there are neither one slope nor as many as channels.

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> x = minigrad.tensor([-2.0, 0.0, 1.0])
    >>> F.prelu(x, minigrad.tensor([0.25])).data.round(4)
    array([-0.5,  0. ,  1. ], dtype=float32)
    """
    if weight.ndim > 1:
        raise ShapeError(f"prelu: expected weight of shape (C,) or (1,), got {weight.shape}.")
    channels = input.shape[1] if input.ndim > 1 else 1
    if weight.numel() not in (1, channels):
        raise ShapeError(
            f"prelu: expected 1 slope, or {channels} for the channels of input {input.shape}, got {weight.numel()}."
        )
    return ops.prelu(input, weight.reshape((-1,) + (1,) * (input.ndim - 2) if input.ndim > 1 else ()))


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """y = x for x > 0, else alpha (e^x - 1)

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> x = minigrad.tensor([-2.0, 0.0, 1.0])
    >>> F.elu(x).data.round(4)
    array([-0.8647,  0.    ,  1.    ], dtype=float32)
    """
    if alpha >= 0:
        y = ops.elu(input, alpha=alpha)
    else:  # the sign of y does not tell that of x, which the op's rule relies on
        y = select.where(input > 0, input, expm1(select.minimum(input, 0.0)) * alpha)
    return replaced(input, y, "elu") if inplace else y


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """y = max(x, 0) + min(0, alpha (e^(x / alpha) - 1)), with alpha > 0

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> x = minigrad.tensor([-2.0, 0.0, 1.0])
    >>> F.celu(x, alpha=0.5).data.round(4)
    array([-0.4908,  0.    ,  1.    ], dtype=float32)
    """
    if not alpha > 0:
        raise ArgumentError(f"celu: expected alpha > 0, got {alpha}.")
    y = ops.celu(input, alpha=alpha)
    return replaced(input, y, "celu") if inplace else y


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """y = s x for x > 0, else s a (e^x - 1), with the s and a that keep mean 0 and variance 1

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> x = minigrad.tensor([-2.0, 0.0, 1.0])
    >>> F.selu(x).data.round(4)
    array([-1.5202,  0.    ,  1.0507], dtype=float32)
    """
    y = ops.selu(input)
    return replaced(input, y, "selu") if inplace else y


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """y = x P(X <= x) for a standard normal X; 'tanh' has (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2 for P

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> x = minigrad.tensor([-2.0, 0.0, 1.0])
    >>> F.gelu(x).data.round(4)
    array([-0.0455,  0.    ,  0.8413], dtype=float32)
    """
    if approximate not in ("none", "tanh"):
        raise ArgumentError(f"gelu: expected approximate 'none' or 'tanh', got {approximate!r}.")
    return ops.gelu(input, approximate=approximate)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """y = x / (1 + e^-x), also called swish

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> x = minigrad.tensor([-2.0, 0.0, 1.0])
    >>> F.silu(x).data.round(4)
    array([-0.2384,  0.    ,  0.7311], dtype=float32)
    """
    y = ops.silu(input)
    return replaced(input, y, "silu") if inplace else y


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """y = x tanh(ln(1 + e^x))

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> x = minigrad.tensor([-2.0, 0.0, 1.0])
    >>> F.mish(x).data.round(4)
    array([-0.2525,  0.    ,  0.8651], dtype=float32)
    """
    y = ops.mish(input)
    return replaced(input, y, "mish") if inplace else y


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """y = ln(1 + e^(beta x)) / beta, and x itself where beta x > threshold

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> x = minigrad.tensor([-2.0, 0.0, 1.0])
    >>> F.softplus(x).data.round(4)
    array([0.1269, 0.6931, 1.3133], dtype=float32)
    """
    if not beta:
        raise ArgumentError("softplus: expected a beta that is not 0.")
    return ops.softplus(input, beta=beta, threshold=threshold)


def logsigmoid(input: Tensor) -> Tensor:
    """y = ln(1 / (1 + e^-x))

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> x = minigrad.tensor([-2.0, 0.0, 1.0])
    >>> F.logsigmoid(x).data.round(4)
    array([-2.1269, -0.6931, -0.3133], dtype=float32)
    """
    return ops.logsigmoid(input)


def softsign(input: Tensor) -> Tensor:
    """y = x / (1 + |x|)

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> x = minigrad.tensor([-2.0, 0.0, 1.0])
    >>> F.softsign(x).data.round(4)
    array([-0.6667,  0.    ,  0.5   ], dtype=float32)
    """
    return ops.softsign(input)


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """y = min(max(x, min_val), max_val); on the bounds the gradient is 0, unlike that of `clamp`

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> x = minigrad.tensor([-2.0, 0.0, 1.0])
    >>> F.hardtanh(x).data.round(4)
    array([-1.,  0.,  1.], dtype=float32)
    """
    if not min_val <= max_val:
        raise ArgumentError(f"hardtanh: expected min_val <= max_val, got {min_val} and {max_val}.")
    y = ops.hardtanh(input, min_val=min_val, max_val=max_val)
    return replaced(input, y, "hardtanh") if inplace else y


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """y = min(max(x / 6 + 1/2, 0), 1)

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> x = minigrad.tensor([-2.0, 0.0, 1.0])
    >>> F.hardsigmoid(x).data.round(4)
    array([0.1667, 0.5   , 0.6667], dtype=float32)
    """
    y = ops.hardsigmoid(input)
    return replaced(input, y, "hardsigmoid") if inplace else y


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """y = x min(max(x / 6 + 1/2, 0), 1)

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> x = minigrad.tensor([-2.0, 0.0, 1.0])
    >>> F.hardswish(x).data.round(4)
    array([-0.3333,  0.    ,  0.6667], dtype=float32)
    """
    y = ops.hardswish(input)
    return replaced(input, y, "hardswish") if inplace else y


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """y = a / (1 + e^-b), where a and b are the halves of x along `dim`

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> x = minigrad.tensor([3.0, 5.0, 0.0, 0.0])  # halves: values, and gates of σ(0) = ½
    >>> F.glu(x)
    tensor([1.5, 2.5])
    """
    if not input.ndim or input.shape[dim] % 2:
        raise ShapeError(f"glu: expected an even length along dim={dim} to halve, got shape {input.shape}.")
    a, b = chunk(input, 2, dim)
    return a * sigmoid(b)


def _converted(input: Tensor, dtype: Any, dim: Any, name: str) -> Tensor:
    if isinstance(dim, bool) or not isinstance(dim, int):
        raise DTypeError(f"{name}: expected dim, the dimension along which to normalise, as an integer, got {dim!r}.")
    return input if dtype is None else input.to(dtype)


def softmax(input: Tensor, dim: int, dtype: Any = None) -> Tensor:
    """y_i = e^x_i / sum_j e^x_j along `dim`; with `dtype` the input is converted to it first

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> x = minigrad.tensor([-2.0, 0.0, 1.0])
    >>> F.softmax(x, dim=0).data.round(4)
    array([0.0351, 0.2595, 0.7054], dtype=float32)
    """
    return softmax_ops.softmax(_converted(input, dtype, dim, "softmax"), dim=dim)


def softmin(input: Tensor, dim: int, dtype: Any = None) -> Tensor:
    """y_i = e^-x_i / sum_j e^-x_j along `dim`; with `dtype` the input is converted to it first

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> x = minigrad.tensor([-2.0, 0.0, 1.0])
    >>> F.softmin(x, dim=0).data.round(4)
    array([0.8438, 0.1142, 0.042 ], dtype=float32)
    """
    return softmax_ops.softmax(-_converted(input, dtype, dim, "softmin"), dim=dim)


def log_softmax(input: Tensor, dim: int, dtype: Any = None) -> Tensor:
    """y_i = x_i - ln sum_j e^x_j along `dim`; with `dtype` the input is converted to it first

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> x = minigrad.tensor([-2.0, 0.0, 1.0])
    >>> F.log_softmax(x, dim=0).data.round(4)
    array([-3.349, -1.349, -0.349], dtype=float32)
    """
    return softmax_ops.log_softmax(_converted(input, dtype, dim, "log_softmax"), dim=dim)
