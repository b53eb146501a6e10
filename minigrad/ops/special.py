"""The logistic function and the error function."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.graph import op
from minigrad.ops.exponential import exp
from minigrad.ops.promotion import as_float
from minigrad.ops.samples import singles

__all__ = ["erf", "sigmoid"]


@op(prepare=as_float)
def sigmoid(x: np.ndarray, /) -> np.ndarray:
    """z = 1 / (1 + e^-x)"""
    return 1 / (1 + np.exp(-x))


@sigmoid.vjp
def sigmoid(g: Any, z: Any, _x: Any) -> tuple:
    return (g * (z * (1 - z)),)


sigmoid.sampled(singles())


# Cody's minimax rational approximations, one for each of three ranges of |x|; highest power last. The relative error
# of each is below 6e-19. In the first the variable is x^2, in the second |x|, in the third 1 / x^2.
_SMALL = (
    (3.20937758913846947e3, 3.77485237685302021e2, 1.13864154151050156e2, 3.16112374387056560, 1.85777706184603153e-1),
    (2.84423683343917062e3, 1.28261652607737228e3, 2.44024637934444173e2, 2.36012909523441209e1, 1.0),
)
_MIDDLE = (
    (
        1.23033935479799725e3, 2.05107837782607147e3, 1.71204761263407058e3, 8.81952221241769090e2,
        2.98635138197400131e2, 6.61191906371416295e1, 8.88314979438837594, 5.64188496988670089e-1,
        2.15311535474403846e-8,
    ),
    (
        1.23033935480374942e3, 3.43936767414372164e3, 4.36261909014324716e3, 3.29079923573345963e3,
        1.62138957456669019e3, 5.37181101862009858e2, 1.17693950891312499e2, 1.57449261107098347e1,
        1.0,
    ),
)  # fmt: skip
_LARGE = (
    (
        6.58749161529837803e-4, 1.60837851487422766e-2, 1.25781726111229246e-1, 3.60344899949804439e-1,
        3.05326634961232344e-1, 1.63153871373020978e-2,
    ),
    (
        2.33520497626869185e-3, 6.05183413124413191e-2, 5.27905102951428412e-1, 1.87295284992346047,
        2.56852019228982242, 1.0,
    ),
)  # fmt: skip


def _ratio(coefficients: tuple[tuple[float, ...], tuple[float, ...]], x: np.ndarray) -> np.ndarray:
    """p(x) / q(x), each by Horner's rule."""
    values = []
    for polynomial in coefficients:
        value = np.full_like(x, polynomial[-1])
        for c in polynomial[-2::-1]:
            value *= x
            value += c
        values.append(value)
    return values[0] / values[1]


@op(prepare=as_float)
def erf(x: np.ndarray, /) -> np.ndarray:
    """z = 2/√π ∫_0^x e^(-t²) dt

    Computed by the rational approximations of W. J. Cody, "Rational Chebyshev approximations for the error function",
    Mathematics of Computation 23 (1969), 631-637, in the dtype of x: to a few units of its last digit.
    """
    x = np.asarray(x)
    size = np.abs(x)
    z = np.asarray(np.sign(x))  # from |x| = 6 on, erf is 1 to the last digit
    small, large = size <= 0.46875, (size > 4) & (size < 6)
    middle = ~small & (size <= 4)

    t = x[small]
    z[small] = t * _ratio(_SMALL, t * t)
    t = size[middle]
    z[middle] *= 1 - np.exp(-t * t) * _ratio(_MIDDLE, t)
    t = size[large]
    inverse = 1 / (t * t)
    tail = (1 / math.sqrt(math.pi) - inverse * _ratio(_LARGE, inverse)) / t
    z[large] *= 1 - np.exp(-t * t) * tail
    return z


@erf.vjp
def erf(g: Any, _z: Any, x: Any) -> tuple:
    return (g * (2 / math.sqrt(math.pi) * exp(-x * x)),)


erf.sampled(singles(low=-3.0, high=3.0))
