"""Activations: the functions between the layers of a network.

In float32 most are one pass over memory in `minigrad/kernels/activation.py`, and so are their gradients in an ordinary
backward pass. What stands here is the mathematics: it runs in other dtypes, and where a gradient is differentiated.

A rule reads what costs no memory of its own. Where the slope can be told from the output z it reads z, which the next
layer's product keeps anyway; else it reads x and computes the slope again. Where a function has a kink, the slope
there is PyTorch's.

References
----------
leaky_relu: A. Maas et al., Rectifier nonlinearities improve neural network acoustic models, ICML 2013.
prelu: K. He et al., Delving deep into rectifiers, arXiv:1502.01852.
elu: D.-A. Clevert et al., arXiv:1511.07289. celu: J. Barron, arXiv:1704.07483.
selu: G. Klambauer et al., Self-normalizing neural networks, arXiv:1706.02515.
gelu: D. Hendrycks and K. Gimpel, arXiv:1606.08415. silu: the same, and S. Elfwing et al., arXiv:1702.03118.
mish: D. Misra, arXiv:1908.08681. hardswish: A. Howard et al., Searching for MobileNetV3, arXiv:1905.02244.
https://docs.pytorch.org/docs/stable/nn.functional.html#non-linear-activation-functions
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.graph import op
from minigrad.kernels import activation as kernels
from minigrad.kernels.activation import applies
from minigrad.ops.arithmetic import abs
from minigrad.ops.exponential import exp
from minigrad.ops.powers import square
from minigrad.ops.promotion import as_float, promote
from minigrad.ops.samples import Sample, draw, pairs, singles
from minigrad.ops.select import where
from minigrad.ops.special import erf, sigmoid
from minigrad.ops.trigonometric import tanh

__all__ = [
    "celu",
    "elu",
    "gelu",
    "gelu_slope",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "leaky_relu",
    "logsigmoid",
    "mish",
    "prelu",
    "selu",
    "silu",
    "softplus",
    "softsign",
]


# ---- straight lines --------------------------------------------------------------------------------------------------


@op(prepare=as_float)
def leaky_relu(x: np.ndarray, /, negative_slope: float = 0.01) -> np.ndarray:
    """z = x for x > 0, else a x with the slope a, which is not negative"""
    falls = x * negative_slope
    return np.maximum(x, falls) if negative_slope <= 1 else np.minimum(x, falls)


@leaky_relu.vjp
def leaky_relu(g: Any, z: Any, _x: Any, negative_slope: float = 0.01) -> tuple:
    if applies(z):
        return (kernels.bent_grad(g, z, 1.0, 0.0, negative_slope),)
    return (where(z > 0, g, g * negative_slope),)


@leaky_relu.sampled
def _leaky_relu_samples() -> list[Sample]:
    x = draw(3, 2, away_from=0.0)
    return [*singles(away_from=0.0)(), *(Sample(x, negative_slope=slope) for slope in (0.0, 0.3, 1.0, 2.5))]


@op(prepare=promote)
def prelu(x: Any, weight: Any, /) -> Any:
    """z = x for x > 0, else w x, with w broadcast against x"""
    return np.where(x > 0, x, weight * x)


@prelu.vjp
def prelu(g: Any, _z: Any, x: Any, weight: Any) -> tuple:
    positive = x > 0
    return lambda: where(positive, g, g * weight), lambda: where(positive, 0.0, g * x)


prelu.sampled(pairs(away_from=0.0))


@op(prepare=as_float)
def hardtanh(x: np.ndarray, /, min_val: float = -1.0, max_val: float = 1.0) -> np.ndarray:
    """z = min(max(x, min_val), max_val)"""
    return np.clip(x, min_val, max_val)


@hardtanh.vjp
def hardtanh(g: Any, z: Any, _x: Any, min_val: float = -1.0, max_val: float = 1.0) -> tuple:
    if applies(z):
        return (kernels.inside_grad(g, z, min_val, max_val, 1.0),)
    return (where((z > min_val) & (z < max_val), g, 0.0),)


@hardtanh.sampled
def _hardtanh_samples() -> list[Sample]:
    x = 3 * draw(4, 3, away_from=0.5)
    return [*singles(low=-0.9, away_from=1.0)(), Sample(x, min_val=-2.0, max_val=1.5), Sample(x + 0.1, max_val=1.5)]


@op(prepare=as_float)
def hardsigmoid(x: np.ndarray, /) -> np.ndarray:
    """z = min(max(x / 6 + 1/2, 0), 1)"""
    return np.clip(x / 6 + 0.5, 0, 1)


@hardsigmoid.vjp
def hardsigmoid(g: Any, z: Any, _x: Any) -> tuple:
    if applies(z):
        return (kernels.inside_grad(g, z, 0.0, 1.0, 1 / 6),)
    return (where((z > 0) & (z < 1), g * (1 / 6), 0.0),)


def _beside_three() -> list[Sample]:
    """Numbers on both sides of -3 and of 3, and none close to either."""
    return [*singles(low=-2.8, high=5.0, away_from=3.0)(), Sample(draw(2, 5, low=-5.0, high=1.0, away_from=-3.0))]


hardsigmoid.sampled(_beside_three)


@op(prepare=as_float)
def hardswish(x: np.ndarray, /) -> np.ndarray:
    """z = x min(max(x / 6 + 1/2, 0), 1)"""
    return x * np.clip(x / 6 + 0.5, 0, 1)


@hardswish.vjp
def hardswish(g: Any, _z: Any, x: Any) -> tuple:
    if applies(x):
        return (kernels.hardswish_grad(g, x),)
    return (where(x >= 3, g, where(x > -3, g * (x / 3 + 0.5), 0.0)),)


hardswish.sampled(_beside_three)


# ---- exponential below zero ------------------------------------------------------------------------------------------


@op(prepare=as_float)
def elu(x: np.ndarray, /, alpha: float = 1.0) -> np.ndarray:
    """z = x for x > 0, else a (e^x - 1), with a not negative"""
    if applies(x):
        return kernels.bent(x, 1.0, alpha, 1.0)
    return np.expm1(np.minimum(x, 0)) * alpha + np.maximum(x, 0)


@elu.vjp
def elu(g: Any, z: Any, _x: Any, alpha: float = 1.0) -> tuple:
    if applies(z):
        return (kernels.bent_grad(g, z, 1.0, 1.0, alpha),)
    return (where(z > 0, g, g * (z + alpha)),)


@elu.sampled
def _elu_samples() -> list[Sample]:
    x = draw(3, 2, away_from=0.0)
    return [*singles(away_from=0.0)(), Sample(x, alpha=0.3), Sample(2 * x, alpha=2.0)]


@op(prepare=as_float)
def celu(x: np.ndarray, /, alpha: float = 1.0) -> np.ndarray:
    """z = x for x > 0, else a (e^(x / a) - 1), with a > 0: once differentiable at 0 for every a"""
    if applies(x):
        return kernels.bent(x, 1.0, alpha, 1 / alpha)
    return np.expm1(np.minimum(x, 0) / alpha) * alpha + np.maximum(x, 0)


@celu.vjp
def celu(g: Any, z: Any, _x: Any, alpha: float = 1.0) -> tuple:
    if applies(z):
        return (kernels.bent_grad(g, z, 1.0, 1 / alpha, 1.0),)
    return (where(z > 0, g, g * (z / alpha + 1)),)


celu.sampled(_elu_samples)

# The numbers for which mean 0 and variance 1 are a fixed point: Klambauer et al., equation 14.
SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805


@op(prepare=as_float)
def selu(x: np.ndarray, /) -> np.ndarray:
    """z = s x for x > 0, else s a (e^x - 1);  s = 1.0507..., a = 1.6732..."""
    if applies(x):
        return kernels.bent(x, SELU_SCALE, SELU_SCALE * SELU_ALPHA, 1.0)
    return SELU_SCALE * (SELU_ALPHA * np.expm1(np.minimum(x, 0)) + np.maximum(x, 0))


@selu.vjp
def selu(g: Any, z: Any, _x: Any) -> tuple:
    if applies(z):
        return (kernels.bent_grad(g, z, SELU_SCALE, 1.0, SELU_SCALE * SELU_ALPHA),)
    return (g * where(z > 0, SELU_SCALE, z + SELU_SCALE * SELU_ALPHA),)


selu.sampled(singles(away_from=0.0))


# ---- smooth ----------------------------------------------------------------------------------------------------------


@op(prepare=as_float)
def softplus(x: np.ndarray, /, beta: float = 1.0, threshold: float = 20.0) -> np.ndarray:
    """z = ln(1 + e^(b x)) / b, and x itself where b x > threshold"""
    if applies(x):
        return kernels.softplus(x, beta, threshold)
    y = x * beta
    # ln(1 + e^y) = max(y, 0) + ln(1 + e^-|y|): the exponential cannot overflow.
    z = (np.log1p(np.exp(-np.abs(y))) + np.maximum(y, 0)) / beta
    return np.where(y > threshold, x, z)


@softplus.vjp
def softplus(g: Any, _z: Any, x: Any, beta: float = 1.0, threshold: float = 20.0) -> tuple:
    if applies(x):
        return (kernels.sigmoid_grad(g, x, beta, threshold),)
    y = x * beta
    return (where(y > threshold, g, g * sigmoid(y)),)


@softplus.sampled
def _softplus_samples() -> list[Sample]:
    x = draw(4, 3)
    return [*singles()(), Sample(x, beta=3.0), Sample(10 * x, beta=2.0), Sample(x, beta=0.5, threshold=2.0)]


@op(prepare=as_float)
def logsigmoid(x: np.ndarray, /) -> np.ndarray:
    """z = ln(1 / (1 + e^-x))"""
    if applies(x):
        return kernels.softplus(x, -1.0, math.inf)
    return np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x)))


@logsigmoid.vjp
def logsigmoid(g: Any, _z: Any, x: Any) -> tuple:
    if applies(x):
        return (kernels.sigmoid_grad(g, x, -1.0, math.inf),)
    return (g * sigmoid(-x),)


logsigmoid.sampled(singles())


@op(prepare=as_float)
def softsign(x: np.ndarray, /) -> np.ndarray:
    """z = x / (1 + |x|)"""
    return x / (1 + np.abs(x))


@softsign.vjp
def softsign(g: Any, z: Any, _x: Any) -> tuple:
    return (g * square(1 - abs(z)),)


softsign.sampled(singles(away_from=0.0))


@op(prepare=as_float)
def silu(x: np.ndarray, /) -> np.ndarray:
    """z = x / (1 + e^-x)"""
    return kernels.silu(x) if applies(x) else x / (1 + np.exp(-x))


@silu.vjp
def silu(g: Any, _z: Any, x: Any) -> tuple:
    if applies(x):
        return (kernels.silu_grad(g, x),)
    s = sigmoid(x)
    return (g * (s * (1 + x * (1 - s))),)


silu.sampled(singles(low=-4.0, high=4.0))


@op(prepare=as_float)
def mish(x: np.ndarray, /) -> np.ndarray:
    """z = x tanh(ln(1 + e^x))"""
    if applies(x):
        return kernels.mish(x)
    # tanh(ln u) = (u^2 - 1) / (u^2 + 1), and u^2 - 1 = e^x (e^x + 2). From x = 20 on it is 1 to the last digit.
    e = np.exp(np.minimum(x, 20))
    n = e * (e + 2)
    return x * (n / (n + 2))


@mish.vjp
def mish(g: Any, _z: Any, x: Any) -> tuple:
    if applies(x):
        return (kernels.mish_grad(g, x),)
    t = tanh(softplus(x))
    return (g * (t + x * sigmoid(x) * (1 - square(t))),)


mish.sampled(singles(low=-4.0, high=4.0))

_ROOT_HALF = math.sqrt(0.5)
_ROOT_2_BY_PI = math.sqrt(2 / math.pi)
_CUBIC = 0.044715


@op(prepare=as_float)
def gelu(x: np.ndarray, /, approximate: str = "none") -> np.ndarray:
    """z = x P(X <= x) for a standard normal X: x (1 + erf(x / √2)) / 2; 'tanh' has √(2/π) (x + 0.044715 x³) in place"""
    if applies(x):
        return kernels.gelu_tanh(x) if approximate == "tanh" else kernels.gelu(x)
    smooth = np.tanh(_ROOT_2_BY_PI * (x + _CUBIC * (x * x * x))) if approximate == "tanh" else erf(x * _ROOT_HALF)
    return (smooth + 1) * (x * 0.5)


@gelu.vjp
def gelu(g: Any, _z: Any, x: Any, approximate: str = "none") -> tuple:
    if applies(x):
        return (kernels.gelu_tanh_grad(g, x) if approximate == "tanh" else kernels.gelu_grad(g, x),)
    return (g * gelu_slope(x, approximate=approximate),)


@op(prepare=as_float)
def gelu_slope(x: np.ndarray, /, approximate: str = "none") -> np.ndarray:
    """z = the derivative of gelu at x: P(X <= x) + x p(x), with the normal density p"""
    if approximate == "tanh":
        square_x = x * x
        t = np.tanh(_ROOT_2_BY_PI * x * (1 + _CUBIC * square_x))
        slope = _ROOT_2_BY_PI * (1 + 3 * _CUBIC * square_x)
        return 0.5 * ((1 + t) + x * (1 - t * t) * slope)
    return 0.5 * (1 + erf(x * _ROOT_HALF)) + x * np.exp(-0.5 * (x * x)) * (_ROOT_HALF / math.sqrt(math.pi))


@gelu_slope.vjp
def gelu_slope(g: Any, _z: Any, x: Any, approximate: str = "none") -> tuple:
    if approximate == "tanh":
        t = tanh(_ROOT_2_BY_PI * x * (1 + _CUBIC * square(x)))
        slope = _ROOT_2_BY_PI * (1 + 3 * _CUBIC * square(x))
        bend = (6 * _ROOT_2_BY_PI * _CUBIC) * x
        return (g * ((1 - square(t)) * (slope + 0.5 * x * (bend - 2 * t * square(slope)))),)
    density = exp(-0.5 * square(x)) * (_ROOT_HALF / math.sqrt(math.pi))
    return (g * (density * (2 - square(x))),)


@gelu.sampled
@gelu_slope.sampled
def _gelu_samples() -> list[Sample]:
    x = draw(3, 4, low=-4.0, high=4.0)
    return [*singles()(), Sample(x), Sample(x, approximate="tanh"), Sample(draw(), approximate="tanh")]
