"""exp, sigmoid and tanh of one float32 number, without a branch: in a loop, LLVM works on whole vectors of them.

`math.exp` is a call into the C library for every element, which no compiler turns into vectors. These are short
polynomials in the form that one does by hand:

    e^x = 2^n e^f,   n = floor(x / ln 2 + 1/2),   |f| <= (ln 2) / 2
    e^f = 1 + f + f^2 p(f)

p is a polynomial of degree 4 through Chebyshev nodes, so that e^f is right to 1e-8, less than float32 can tell. 2^n
is n written into the exponent bits of a float32.

    tanh x = x + x^3 q(x^2)             |x| <= 0.6, where the other form would lose the digits of a small x
    tanh x = ±(1 - 2 / (e^2|x| + 1))    beyond

NaN stays NaN and e^-inf is 0; e^x is 0 below -87, where float32 begins to lose digits, and stays at e^88 above 88. The
tests hold all three against numpy in float64 over the whole range.

References
----------
J.-M. Muller, Elementary Functions: Algorithms and Implementation, 3rd edition, 2016, chapters 3 and 11.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.kernels.jit import Kernel, jit_disabled

__all__ = ["exp_float32", "sigmoid_float32", "tanh_float32"]

_F = np.float32
_ZERO, _HALF, _ONE, _TWO = _F(0), _F(0.5), _F(1), _F(2)
_LOWEST, _HIGHEST = _F(-87), _F(88)
_PER_LN2 = _F(1.4426950408889634)
# ln 2 in two parts; n times the first one is exact.
_LN2_HIGH, _LN2_LOW = _F(0.693359375), _F(-2.1219444005469057e-4)
_P0, _P1, _P2, _P3, _P4 = _F(0.5), _F(0.16666577), _F(0.04166646), _F(0.00836324), _F(0.00139337)

_SMALL = _F(0.6)
_Q0, _Q1, _Q2, _Q3, _Q4 = _F(-0.3333333), _F(0.13332924), _F(-0.05387514), _F(0.02111621), _F(-0.00627639)

_BIAS, _MANTISSA = np.int32(127), np.int32(23)


class _Inlined(Kernel):
    """A kernel that becomes part of every loop that calls it; a call left in a loop keeps it from being vectors."""

    def _compile(self, parallel: bool) -> Callable[..., Any]:
        dispatcher: Any = super()._compile(parallel)
        if not jit_disabled():
            dispatcher.targetoptions["forceinline"] = True
        return dispatcher


def _inlined(function: Callable[[Any], Any]) -> Kernel:
    return _Inlined(function, parallel=False, internal=True)


@_inlined
def exp_float32(x: Any) -> Any:
    """e^x, from x = -87 to 88."""
    below = x < _LOWEST
    x = _LOWEST if below else x
    x = _HIGHEST if x > _HIGHEST else x
    n = np.floor(x * _PER_LN2 + _HALF) if x == x else _ZERO
    f = (x - n * _LN2_HIGH) - n * _LN2_LOW
    p = (((_P4 * f + _P3) * f + _P2) * f + _P1) * f + _P0
    power = np.int32((np.int32(n) + _BIAS) << _MANTISSA).view(np.float32)
    return _ZERO if below else (p * f * f + f + _ONE) * power


@_inlined
def sigmoid_float32(x: Any) -> Any:
    """1 / (1 + e^-x)"""
    return _ONE / (_ONE + exp_float32(-x))


@_inlined
def tanh_float32(x: Any) -> Any:
    """(e^x - e^-x) / (e^x + e^-x)"""
    size = -x if x < _ZERO else x
    large = _ONE - _TWO / (exp_float32(_TWO * size) + _ONE)
    large = -large if x < _ZERO else large
    u = x * x
    small = x + x * u * ((((_Q4 * u + _Q3) * u + _Q2) * u + _Q1) * u + _Q0)
    return small if size <= _SMALL else large
