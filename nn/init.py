"""Weight initialisation: Xavier/Glorot and He/Kaiming, uniform and normal.

A layer of n_in inputs adds up n_in products, so Var(y) = n_in Var(w) Var(x). For a signal whose variance neither
vanishes nor explodes through many layers, Var(w) must be near 1/n_in; ReLU drops half of it, which asks for 2/n_in.

    Xavier uniform   W ~ U(-a, a),    a = gain sqrt(6 / (n_in + n_out))      sigmoid, tanh
    Xavier normal    W ~ N(0, s^2),   s = gain sqrt(2 / (n_in + n_out))
    He uniform       W ~ U(-a, a),    a = gain sqrt(3 / n_in)                ReLU: gain = sqrt(2)
    He normal        W ~ N(0, s^2),   s = gain / sqrt(n_in)

The second argument of N in the course module's formula for He, sqrt(2/n_in), is the standard deviation s.

Every function changes its tensor in place, outside of the graph, and returns it. Random numbers come from
`generator`, or from the one that `minigrad.manual_seed` sets.

References
----------
X. Glorot and Y. Bengio, Understanding the difficulty of training deep feedforward neural networks, AISTATS 2010.
K. He et al., Delving deep into rectifiers, arXiv:1502.01852.
https://docs.pytorch.org/docs/stable/nn.init.html
"""

from __future__ import annotations

import math

from minigrad.errors import ArgumentError, ShapeError
from minigrad.graph import no_grad
from minigrad.random import Generator, default_generator
from minigrad.tensor import Tensor

__all__ = [
    "calculate_gain",
    "constant_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "normal_",
    "ones_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> Tensor:
    """W ~ U(a, b)"""
    if not a <= b:
        raise ArgumentError(f"uniform_: expected a <= b, got a={a}, b={b}.")
    values = (generator or default_generator).numpy.uniform(a, b, tensor.shape)
    with no_grad():
        return tensor.copy_(values)


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None) -> Tensor:
    """W ~ N(mean, std^2)"""
    if not std >= 0:
        raise ArgumentError(f"normal_: expected std >= 0, got {std}.")
    values = (generator or default_generator).numpy.normal(mean, std, tensor.shape)
    with no_grad():
        return tensor.copy_(values)


def constant_(tensor: Tensor, val: float) -> Tensor:
    """W = val"""
    with no_grad():
        return tensor.fill_(val)


def zeros_(tensor: Tensor) -> Tensor:
    """W = 0"""
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """W = 1"""
    return constant_(tensor, 1.0)


def fans(tensor: Tensor) -> tuple[int, int]:
    """n_in and n_out of a weight: (out, in) of Linear, (out, in/groups, *kernel) of a convolution."""
    if tensor.ndim < 2:
        raise ShapeError(f"init: a weight of at least two dimensions has fans, got shape {tensor.shape}.")
    kernel = math.prod(tensor.shape[2:])
    return tensor.shape[1] * kernel, tensor.shape[0] * kernel


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor by which weights must grow to make up for what the nonlinearity takes from the variance.

    Examples
    --------
    >>> calculate_gain("tanh")
    1.6666666666666667
    """
    gains = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 3 / 4}
    gains |= {f"conv{transpose}{n}d": 1.0 for transpose in ("", "_transpose") for n in (1, 2, 3)}
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else float(param)
        return math.sqrt(2 / (1 + slope**2))
    if nonlinearity not in gains:
        raise ArgumentError(f"nonlinearity: expected one of {', '.join([*gains, 'leaky_relu'])}, got {nonlinearity!r}.")
    return gains[nonlinearity]


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """W ~ U(-a, a), a = gain sqrt(6 / (n_in + n_out))"""
    n_in, n_out = fans(tensor)
    a = gain * math.sqrt(6 / (n_in + n_out))
    return uniform_(tensor, -a, a, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """W ~ N(0, s^2), s = gain sqrt(2 / (n_in + n_out))"""
    n_in, n_out = fans(tensor)
    return normal_(tensor, 0.0, gain * math.sqrt(2 / (n_in + n_out)), generator)


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    """s = gain / sqrt(n), n being n_in or n_out as `mode` says."""
    if mode not in ("fan_in", "fan_out"):
        raise ArgumentError(f"mode: expected 'fan_in' or 'fan_out', got {mode!r}.")
    n = fans(tensor)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(n)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """W ~ U(-b, b), b = gain sqrt(3 / n); `a` is the slope of a leaky ReLU, 0 for ReLU"""
    bound = math.sqrt(3) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """W ~ N(0, s^2), s = gain / sqrt(n); `a` is the slope of a leaky ReLU, 0 for ReLU"""
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


def default_(weight: Tensor, bias: Tensor | None) -> None:
    """PyTorch's default for Linear and convolutions: weight and bias ~ U(-k, k), k = 1/sqrt(n_in)."""
    n_in, _ = fans(weight)
    k = 1 / math.sqrt(n_in)
    uniform_(weight, -k, k)
    if bias is not None:
        uniform_(bias, -k, k)
