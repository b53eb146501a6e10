"""The kernels of recurrent steps against their numpy twins, and their elementary functions against numpy in float64."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from minigrad.kernels import recurrent
from minigrad.kernels.elementary import exp_float32, sigmoid_float32, tanh_float32
from minigrad.kernels.jit import kernel

SHAPES = [(1, 1), (2, 3), (3, 16), (5, 33), (32, 128), (0, 4)]


@kernel
def elementary_all(x: np.ndarray, exps: np.ndarray, sigmoids: np.ndarray, tanhs: np.ndarray) -> None:
    for i in range(x.size):
        exps[i] = exp_float32(x[i])
    for i in range(x.size):
        sigmoids[i] = sigmoid_float32(x[i])
    for i in range(x.size):
        tanhs[i] = tanh_float32(x[i])


def elementary(x: np.ndarray) -> list[np.ndarray]:
    results = [np.empty_like(x) for _ in range(3)]
    with np.errstate(all="ignore"):
        elementary_all(x, *results)
    return results


def test_exp_sigmoid_and_tanh_are_right_to_six_units_in_the_last_place() -> None:
    sizes = np.logspace(-37, np.log10(86), 20_001)
    x = np.concatenate([np.linspace(-86, 86, 100_001), sizes, -sizes]).astype(np.float32)
    exact = x.astype(np.float64)
    for mine, expected in zip(elementary(x), [np.exp(exact), 1 / (1 + np.exp(-exact)), np.tanh(exact)], strict=True):
        np.testing.assert_allclose(mine, expected, rtol=6 * 2**-24)


def test_infinity_and_nan_come_out_as_in_numpy_but_exp_stays_finite() -> None:
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0], np.float32)
    exps, sigmoids, tanhs = elementary(x)
    np.testing.assert_allclose(sigmoids, np.array([np.nan, 1, 1 / (1 + np.exp(88.0)), 0.5, 0.5]), rtol=1e-5)
    np.testing.assert_array_equal(tanhs, np.array([np.nan, 1, -1, 0, 0], np.float32))
    assert np.isnan(exps[0])
    np.testing.assert_allclose(exps[1:], [np.exp(88.0), 0, 1, 1], rtol=1e-5)


def random_arrays(*shapes: tuple[int, ...]) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=shape) for shape in shapes]


def agrees(step: Callable, arrays: list[np.ndarray], filled: int) -> None:
    """Run a step in float64 (numpy) and float32 (kernel); the last `filled` arrays start as rubbish."""
    wide, narrow = [a.copy() for a in arrays], [a.astype(np.float32) for a in arrays]
    for a in (*wide[-filled:], *narrow[-filled:]):
        a[...] = np.nan
    step(*wide)
    step(*narrow)
    for mine, expected in zip(narrow, wide, strict=True):
        np.testing.assert_allclose(mine, expected, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize(("n", "h"), SHAPES)
def test_the_lstm_kernels_agree_with_numpy(n: int, h: int) -> None:
    wide, narrow = (n, 4 * h), (n, h)
    agrees(recurrent.lstm_step, random_arrays(wide, wide, (4 * h,), narrow, narrow, narrow, narrow), 3)
    gates, c, tanh_c, dh, dc, da = random_arrays(wide, narrow, narrow, narrow, narrow, wide)
    agrees(recurrent.lstm_step_grad, [1 / (1 + np.exp(-gates)), c, np.tanh(tanh_c), dh, dc, da], 1)


@pytest.mark.parametrize(("n", "h"), SHAPES)
def test_the_gru_kernels_agree_with_numpy(n: int, h: int) -> None:
    wide, narrow = (n, 3 * h), (n, h)
    agrees(recurrent.gru_step, random_arrays(wide, wide, (3 * h,), (3 * h,), narrow, narrow), 1)
    gates, q, state, dh, da, dp = random_arrays(wide, narrow, narrow, narrow, wide, wide)
    agrees(recurrent.gru_step_grad, [1 / (1 + np.exp(-gates)), q, state, dh, da, dp], 2)


def test_a_step_forward_is_the_textbook_formula_for_one_unit() -> None:
    a, r, b = np.array([[0.3, -1.2, 0.7, 2.0]]), np.array([[0.1, 0.2, -0.4, 0.5]]), np.array([0.05, 1.0, 0.0, -0.3])
    c, c_next, tanh_c, h = (np.array([[value]]) for value in (0.8, 0.0, 0.0, 0.0))
    recurrent.lstm_step(a.copy(), r, b, c, c_next, tanh_c, h)
    i, f, g, o = (a + r + b)[0]
    expected = 0.8 / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
    assert c_next.item() == pytest.approx(expected, rel=1e-14)
    assert h.item() == pytest.approx(np.tanh(expected) / (1 + np.exp(-o)), rel=1e-14)
