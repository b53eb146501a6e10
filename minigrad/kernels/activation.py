"""Activations of float32 and their gradients, each in one pass over memory.

What numpy does in five to twenty passes, an exponential and a few products, is a loop here in which LLVM works on
whole vectors. A gradient kernel reads what the op's rule keeps, x or z, computes the slope and multiplies it with g.

gelu needs the normal distribution. With φ(x) = e^(-x²/2) and the smooth function R,

    P(X > x) = φ(x) R(x) for x >= 0,    R(x) ≈ t (c_0 + c_1 t + ... + c_8 t^8),    t = 1 / (1 + 0.27 x)

R falls like 1/x, as t does. The polynomial was fitted so that the largest relative error from 0 to 14, beyond which
φ(x) is below every float32, is least: 2.4e-8. So the tails keep their digits.

References
----------
The form of R: C. Hastings, Approximations for digital computers, Princeton 1955, sheet 45.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.kernels.elementary import exp_float32, sigmoid_float32, tanh_float32
from minigrad.kernels.jit import Kernel, jit_disabled, kernel, prange

__all__ = [
    "applies",
    "bent",
    "bent_grad",
    "gelu",
    "gelu_grad",
    "gelu_tanh",
    "gelu_tanh_grad",
    "hardswish_grad",
    "inside_grad",
    "mish",
    "mish_grad",
    "sigmoid_grad",
    "silu",
    "silu_grad",
    "softplus",
]

_F = np.float32
_FLOAT32 = np.dtype(np.float32)
_ZERO, _HALF, _ONE, _TWO, _THREE = _F(0), _F(0.5), _F(1), _F(2), _F(3)

_T = _F(0.27)
_C0, _C1, _C2 = _F(0.107720182), _F(0.107550489), _F(0.10175929)
_C3, _C4, _C5 = _F(0.0722397922), _F(0.107400619), _F(-0.0686227195)
_C6, _C7, _C8 = _F(0.169292943), _F(-0.126256014), _F(0.028915429)
_DENSITY = _F(0.3989422804014327)  # 1 / √(2π)

_ROOT_2_BY_PI = _F(0.7978845608028654)
_CUBIC = _F(0.044715)
_CUBIC_SLOPE = _F(3 * 0.044715)

# From x = 20 on tanh(ln(1 + e^x)) is 1 in float32, and the square of e^x stays finite.
_MISH_MOST = _F(20)
_THIRD = _F(1 / 3)
_A3, _A5, _A7, _A9, _A11, _A13 = (_F(1 / n) for n in (3, 5, 7, 9, 11, 13))

# Elements from which a second thread saves more than waking it costs.
_PARALLEL_FROM = 50_000


def applies(x: Any) -> bool:
    """Whether the kernels of this file are for x: a float32 array, where there is a compiler."""
    return type(x) is np.ndarray and x.dtype is _FLOAT32 and not jit_disabled()


# ---- the loops, on flat arrays ---------------------------------------------------------------------------------------


@kernel(parallel=True)
def gelu_loop(x: Any, z: Any) -> None:
    for i in prange(x.size):
        size = -x[i] if x[i] < _ZERO else x[i]
        t = _ONE / (_ONE + _T * size)
        p = (((_C8 * t + _C7) * t + _C6) * t + _C5) * t + _C4
        tail = exp_float32(-_HALF * size * size) * (t * ((((p * t + _C3) * t + _C2) * t + _C1) * t + _C0))
        z[i] = x[i] * (tail if x[i] < _ZERO else _ONE - tail)


@kernel(parallel=True)
def gelu_grad_loop(g: Any, x: Any, gx: Any) -> None:
    for i in prange(x.size):
        size = -x[i] if x[i] < _ZERO else x[i]
        t = _ONE / (_ONE + _T * size)
        p = (((_C8 * t + _C7) * t + _C6) * t + _C5) * t + _C4
        bell = exp_float32(-_HALF * size * size)
        tail = bell * (t * ((((p * t + _C3) * t + _C2) * t + _C1) * t + _C0))
        gx[i] = g[i] * ((tail if x[i] < _ZERO else _ONE - tail) + x[i] * bell * _DENSITY)


@kernel(parallel=True)
def gelu_tanh_loop(x: Any, z: Any) -> None:
    for i in prange(x.size):
        u = _ROOT_2_BY_PI * x[i] * (_ONE + _CUBIC * x[i] * x[i])
        z[i] = x[i] * sigmoid_float32(_TWO * u)  # (1 + tanh u) / 2


@kernel(parallel=True)
def gelu_tanh_grad_loop(g: Any, x: Any, gx: Any) -> None:
    for i in prange(x.size):
        u = _ROOT_2_BY_PI * x[i] * (_ONE + _CUBIC * x[i] * x[i])
        slope = _ROOT_2_BY_PI * (_ONE + _CUBIC_SLOPE * x[i] * x[i])
        s = sigmoid_float32(_TWO * u)
        gx[i] = g[i] * (s + x[i] * _TWO * s * (_ONE - s) * slope)


@kernel(parallel=True)
def silu_loop(x: Any, z: Any) -> None:
    for i in prange(x.size):
        z[i] = x[i] * sigmoid_float32(x[i])


@kernel(parallel=True)
def silu_grad_loop(g: Any, x: Any, gx: Any) -> None:
    for i in prange(x.size):
        s = sigmoid_float32(x[i])
        gx[i] = g[i] * (s * (_ONE + x[i] * (_ONE - s)))


@kernel(parallel=True)
def mish_loop(x: Any, z: Any) -> None:
    for i in prange(x.size):
        e = exp_float32(_MISH_MOST if x[i] > _MISH_MOST else x[i])
        n = e * (e + _TWO)
        # Not x n / (n + 2), which LLVM may make of it and which overflows: above, z is x itself.
        z[i] = x[i] if x[i] > _MISH_MOST else x[i] * (n / (n + _TWO))


@kernel(parallel=True)
def mish_grad_loop(g: Any, x: Any, gx: Any) -> None:
    for i in prange(x.size):
        e = exp_float32(_MISH_MOST if x[i] > _MISH_MOST else x[i])
        n = e * (e + _TWO)
        t = n / (n + _TWO)
        gx[i] = g[i] * (t + x[i] * (e / (_ONE + e)) * (_ONE - t) * (_ONE + t))


@kernel(parallel=True)
def bent_loop(x: Any, z: Any, up: Any, low: Any, rate: Any) -> None:
    for i in prange(x.size):
        # e^y - 1 = 2 t / (1 - t) with t = tanh(y / 2), which keeps the digits of a small y; without an exponential
        # that overflows above 0.
        y = rate * x[i] if x[i] < _ZERO else _ZERO
        t = tanh_float32(_HALF * y)
        z[i] = low * (_TWO * t / (_ONE - t)) if x[i] <= _ZERO else up * x[i]


@kernel(parallel=True)
def bent_grad_loop(g: Any, z: Any, gx: Any, up: Any, factor: Any, shift: Any) -> None:
    for i in prange(z.size):
        gx[i] = g[i] * (up if z[i] > _ZERO else factor * z[i] + shift)


@kernel(parallel=True)
def inside_grad_loop(g: Any, z: Any, gx: Any, low: Any, high: Any, slope: Any) -> None:
    for i in prange(z.size):
        gx[i] = slope * g[i] if (z[i] > low) & (z[i] < high) else _ZERO


@kernel(parallel=True)
def hardswish_grad_loop(g: Any, x: Any, gx: Any) -> None:
    for i in prange(x.size):
        middle = _THIRD * x[i] + _HALF if x[i] > -_THREE else _ZERO
        gx[i] = g[i] * (_ONE if x[i] >= _THREE else middle)


@kernel(parallel=True)
def softplus_loop(x: Any, z: Any, rate: Any, most: Any) -> None:
    for i in prange(x.size):
        y = rate * x[i]
        # ln(1 + e^y) = max(y, 0) + ln(1 + u) with u = e^-|y|, and ln(1 + u) = 2 artanh s with s = u / (2 + u) <= 1/3:
        # the series of artanh, whose next term is below 1e-8 of the sum.
        u = exp_float32(y if y < _ZERO else -y)
        s = u / (_TWO + u)
        q = s * s
        p = (((_A13 * q + _A11) * q + _A9) * q + _A7) * q + _A5
        log = _TWO * s * ((p * q + _A3) * q + _ONE)
        z[i] = x[i] if y > most else ((y if y > _ZERO else _ZERO) + log) / rate


@kernel(parallel=True)
def sigmoid_grad_loop(g: Any, x: Any, gx: Any, rate: Any, most: Any) -> None:
    for i in prange(x.size):
        y = rate * x[i]
        gx[i] = g[i] if y > most else g[i] * sigmoid_float32(y)


# ---- on arrays of any layout -----------------------------------------------------------------------------------------


def _run(loop: Kernel, *arrays: np.ndarray, numbers: tuple[float, ...] = ()) -> np.ndarray:
    """Call `loop(*arrays, z, *numbers)` on the flat memory of arrays of one shape; z is new."""
    model = arrays[-1]
    if all(a.flags.c_contiguous for a in arrays):
        z = np.empty(model.shape, _F)
        chosen = loop if z.size >= _PARALLEL_FROM else loop.serial
        chosen(*[a.reshape(-1) for a in arrays], z.reshape(-1), *map(_F, numbers))
        return z
    # The dimensions by falling strides: an image whose channels lie side by side is flat too.
    order = sorted(range(model.ndim), key=lambda dim: -model.strides[dim])
    z = _run(loop, *[np.ascontiguousarray(a.transpose(order)) for a in arrays], numbers=numbers)
    return z.transpose(np.argsort(order))


def gelu(x: np.ndarray) -> np.ndarray:
    """z = x P(X <= x) for a standard normal X"""
    return _run(gelu_loop, x)


def gelu_grad(g: np.ndarray, x: np.ndarray) -> np.ndarray:
    """gx = g (P(X <= x) + x φ(x) / √(2π))"""
    return _run(gelu_grad_loop, g, x)


def gelu_tanh(x: np.ndarray) -> np.ndarray:
    """z = x (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2"""
    return _run(gelu_tanh_loop, x)


def gelu_tanh_grad(g: np.ndarray, x: np.ndarray) -> np.ndarray:
    """gx = g times the slope of `gelu_tanh` at x"""
    return _run(gelu_tanh_grad_loop, g, x)


def silu(x: np.ndarray) -> np.ndarray:
    """z = x / (1 + e^-x)"""
    return _run(silu_loop, x)


def silu_grad(g: np.ndarray, x: np.ndarray) -> np.ndarray:
    """gx = g s (1 + x (1 - s)), s = 1 / (1 + e^-x)"""
    return _run(silu_grad_loop, g, x)


def mish(x: np.ndarray) -> np.ndarray:
    """z = x tanh(ln(1 + e^x))"""
    return _run(mish_loop, x)


def mish_grad(g: np.ndarray, x: np.ndarray) -> np.ndarray:
    """gx = g (t + x (1 - t²) / (1 + e^-x)), t = tanh(ln(1 + e^x))"""
    return _run(mish_grad_loop, g, x)


def bent(x: np.ndarray, up: float, low: float, rate: float) -> np.ndarray:
    """z = up x for x > 0, else low (e^(rate x) - 1)"""
    return _run(bent_loop, x, numbers=(up, low, rate))


def bent_grad(g: np.ndarray, z: np.ndarray, up: float, factor: float, shift: float) -> np.ndarray:
    """gx = g up for z > 0, else g (factor z + shift)"""
    return _run(bent_grad_loop, g, z, numbers=(up, factor, shift))


def inside_grad(g: np.ndarray, z: np.ndarray, low: float, high: float, slope: float) -> np.ndarray:
    """gx = slope g where low < z < high, else 0"""
    return _run(inside_grad_loop, g, z, numbers=(low, high, slope))


def hardswish_grad(g: np.ndarray, x: np.ndarray) -> np.ndarray:
    """gx = g times the slope of x min(max(x / 6 + 1/2, 0), 1)"""
    return _run(hardswish_grad_loop, g, x)


def softplus(x: np.ndarray, rate: float, most: float) -> np.ndarray:
    """z = ln(1 + e^(rate x)) / rate, and x where rate x > most; rate -1 gives the logarithm of the logistic function"""
    return _run(softplus_loop, x, numbers=(rate, most))


def sigmoid_grad(g: np.ndarray, x: np.ndarray, rate: float, most: float) -> np.ndarray:
    """gx = g / (1 + e^(-rate x)), and g where rate x > most"""
    return _run(sigmoid_grad_loop, g, x, numbers=(rate, most))
