"""The activation kernels against the same formulas in float64, over the whole range that matters, in any layout."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

import minigrad
from minigrad.kernels import activation as kernels
from minigrad.kernels.jit import jit_disabled
from minigrad.ops.special import erf

pytestmark = pytest.mark.skipif(jit_disabled(), reason="float32 runs in numpy without a compiler")

POINTS = np.concatenate([np.linspace(-12, 12, 4801), np.geomspace(1e-6, 1, 200), -np.geomspace(1e-6, 1, 200)])
X = POINTS.astype(np.float32)
D = X.astype(np.float64)
G = np.random.default_rng(0).normal(size=X.size).astype(np.float32)
LOGISTIC = 1 / (1 + np.exp(-D))
BELL = np.exp(-D * D / 2) / math.sqrt(2 * math.pi)
TAIL = np.array([0.5 * math.erfc(-v / math.sqrt(2)) for v in D])  # P(normal <= x), to the last digit
U = math.sqrt(2 / math.pi) * (D + 0.044715 * D**3)
U_SLOPE = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * D**2)
T = np.tanh(np.log1p(np.exp(D)))


def named(value: object) -> str:
    return getattr(value, "__name__", "")


FORWARD: list[tuple[Callable, tuple[float, ...], np.ndarray, float]] = [
    (kernels.gelu, (), D * TAIL, 6e-6),  # relative; x²/2 = 72 in an exponent costs 72 half units of the last digit
    (kernels.gelu_tanh, (), D / (1 + np.exp(-2 * U)), 2e-5),
    (kernels.silu, (), D * LOGISTIC, 1e-6),
    (kernels.mish, (), D * T, 2e-6),
    (kernels.softplus, (1.0, 20.0), np.logaddexp(0, D), 1e-6),
    (kernels.softplus, (2.5, math.inf), np.logaddexp(0, 2.5 * D) / 2.5, 3e-6),
    (kernels.softplus, (-1.0, math.inf), -np.logaddexp(0, -D), 1e-6),
    (kernels.bent, (1.0, 0.7, 1.0), np.where(D > 0, D, 0.7 * np.expm1(D)), 1e-6),
    (kernels.bent, (1.3, 2.0, 0.5), np.where(D > 0, np.float32(1.3) * D, 2 * np.expm1(D / 2)), 1e-6),
]


@pytest.mark.parametrize(
    ("loop", "numbers", "expected", "tolerance"), FORWARD, ids=lambda v: getattr(v, "__name__", "")
)
def test_values_keep_their_digits_even_in_the_tails(
    loop: Callable, numbers: tuple, expected: np.ndarray, tolerance: float
) -> None:
    z = loop(X, *numbers)
    normal = np.abs(expected) > 1e-35
    np.testing.assert_allclose(z[normal], expected[normal], rtol=tolerance)
    np.testing.assert_allclose(z[~normal], expected[~normal], atol=1e-35)


LEAKY = np.where(D > 0, 1.0, np.float32(0.1))
GRADIENTS: list[tuple[Callable, tuple[float, ...], np.ndarray]] = [
    (kernels.gelu_grad, (), TAIL + D * BELL),
    (kernels.gelu_tanh_grad, (), (1 + np.tanh(U)) / 2 + D / 2 * (1 - np.tanh(U) ** 2) * U_SLOPE),
    (kernels.silu_grad, (), LOGISTIC * (1 + D * (1 - LOGISTIC))),
    (kernels.mish_grad, (), T + D * LOGISTIC * (1 - T * T)),
    (kernels.bent_grad, (1.0, 0.0, 0.1), LEAKY),
    (kernels.bent_grad, (1.0, 1.0, 0.5), np.where(D > 0, 1.0, D + 0.5)),
    (kernels.inside_grad, (-1.0, 2.0, 0.5), np.where((D > -1) & (D < 2), 0.5, 0.0)),
    (kernels.hardswish_grad, (), np.where(D >= 3, 1.0, np.where(D > -3, D / 3 + 0.5, 0.0))),
    (kernels.sigmoid_grad, (2.0, 20.0), np.where(2 * D > 20, 1.0, 1 / (1 + np.exp(-2 * D)))),
    (kernels.sigmoid_grad, (-1.0, math.inf), 1 - LOGISTIC),
]


@pytest.mark.parametrize(("loop", "numbers", "slope"), GRADIENTS, ids=named)
def test_gradients_are_g_times_the_slope(loop: Callable, numbers: tuple, slope: np.ndarray) -> None:
    np.testing.assert_allclose(loop(G, X, *numbers), G * slope, rtol=2e-6, atol=2e-6)


def test_the_normal_distribution_agrees_with_erf() -> None:
    np.testing.assert_allclose(kernels.gelu(X), D * (1 + erf(D / math.sqrt(2))) / 2, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("loop", [kernels.gelu, kernels.gelu_tanh, kernels.silu, kernels.mish])
def test_nan_and_infinity_come_out_as_they_should(loop: Callable) -> None:
    z = loop(np.float32([np.nan, np.inf, 1e30, -1e30, -100.0]))
    assert np.isnan(z[0])
    assert z[1] == np.inf
    assert z[2] == np.float32(1e30)
    np.testing.assert_allclose(z[4], 0, atol=1e-35)


LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "C": lambda a: a,
    "channels last": lambda a: np.ascontiguousarray(a.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2),
    "Fortran": np.asfortranarray,
    "every second": lambda a: np.repeat(a, 2, axis=2)[:, :, ::2],
    "reversed": lambda a: np.ascontiguousarray(a[::-1])[::-1],
    "broadcast": lambda a: np.broadcast_to(a[:, :1], a.shape),
}


@pytest.mark.parametrize("other", LAYOUTS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_element_meets_its_own_gradient_in_any_layout(layout: str, other: str) -> None:
    rng = np.random.default_rng(0)
    x, g = (rng.normal(size=(2, 3, 4, 5)).astype(np.float32) for _ in range(2))
    x, g = LAYOUTS[layout](x), LAYOUTS[other](g)
    found = kernels.bent_grad(g, x, 1.0, 0.0, 0.0)
    np.testing.assert_array_equal(found, g * (x > 0))
    if layout == other == "channels last":
        assert found.strides == x.strides


@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (1, 1), (300, 301)])
def test_shapes_from_none_to_many_threads(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    z = kernels.silu(np.asarray(x))
    assert z.shape == shape
    np.testing.assert_allclose(z, x / (1 + np.exp(-x)), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("shape", [(64, 64), (128, 129), (4, 16, 20, 20)])
def test_relus_gradient_is_the_same_with_and_without_the_kernel(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    leaf = minigrad.tensor(x, requires_grad=True)
    g = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    minigrad.relu(leaf).backward(minigrad.tensor(g))
    np.testing.assert_array_equal(leaf.grad.data, g * (x > 0))
    (twice,) = minigrad.autograd.grad((minigrad.relu(leaf) * leaf).sum(), [leaf], create_graph=True)
    (second,) = minigrad.autograd.grad(twice.sum(), [leaf])
    np.testing.assert_array_equal(second.data, 2.0 * (x > 0))
