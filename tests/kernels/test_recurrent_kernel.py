"""The kernels of recurrent steps against their numpy twins, and their elementary functions against numpy in float64."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from minigrad.kernels import recurrent
from minigrad.kernels.elementary import exp_float32, sigmoid_float32, tanh_float32
from minigrad.kernels.jit import get_num_threads, kernel, set_num_threads


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


# steps, batch, hidden units: less than a tile, odd, more than one block, several shares of the batch, an empty batch
SHAPES = [(1, 1, 1), (3, 2, 3), (4, 5, 16), (2, 7, 33), (5, 32, 64), (3, 0, 4)]
Call = Callable[[list[np.ndarray]], None]


def agrees(call: Call, inputs: list[np.ndarray], outputs: list[tuple[int, ...]]) -> list[np.ndarray]:
    """Call on float64 arrays (numpy) and float32 arrays (kernel), the outputs full of NaN; what float32 gave."""
    answers = []
    for dtype in (np.float64, np.float32):
        arrays = [a.astype(dtype) for a in inputs] + [np.full(shape, np.nan, dtype) for shape in outputs]
        call(arrays)
        answers.append(arrays)
    for mine, expected in zip(answers[1], answers[0], strict=True):
        np.testing.assert_allclose(mine, expected, rtol=1e-5, atol=1e-5)
    return answers[1]


def draw(*shapes: tuple[int, ...]) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=shape) / 2 for shape in shapes]


def lstm_case(t: int, n: int, h: int) -> tuple[Call, Call, list[np.ndarray], list[np.ndarray]]:
    gates, w, b, state, c, g, dc = draw((t, n, 4 * h), (4 * h, h), (4 * h,), (n, h), (n, h), (t, n, h), (n, h))
    cells = np.zeros((t + 1, n, h))
    cells[0] = c
    seen = np.random.default_rng(1).uniform(0.1, 0.9, (t, n, 4 * h))

    def forward(a: list[np.ndarray]) -> None:
        recurrent.lstm_forward(a[0], a[1], a[2], a[3], a[4], a[5], a[6])

    def backward(a: list[np.ndarray]) -> None:
        recurrent.lstm_backward(a[0], a[1], a[2], a[3], a[4], a[6], a[5], a[7])

    return forward, backward, [gates, w, b, state, cells], [g, seen, w, draw((t + 1, n, h))[0], np.tanh(g), dc]


@pytest.mark.parametrize(("t", "n", "h"), SHAPES)
def test_the_lstm_kernels_agree_with_numpy(t: int, n: int, h: int) -> None:
    forward, backward, inputs, saved = lstm_case(t, n, h)
    agrees(forward, inputs, [(t, n, h), (t, n, h)])
    agrees(backward, saved, [(n, h), (t, n, 4 * h)])


@pytest.mark.parametrize(("t", "n", "h"), SHAPES)
def test_the_gru_kernels_agree_with_numpy(t: int, n: int, h: int) -> None:
    wide = (t, n, 3 * h)
    gates, w, b_ih, b_hh, state, g = draw(wide, (3 * h, h), (3 * h,), (3 * h,), (n, h), (t, n, h))
    agrees(lambda a: recurrent.gru_forward(*a), [gates, w, b_ih, b_hh, state], [(t, n, h), (t, n, h)])
    seen = np.random.default_rng(1).uniform(0.1, 0.9, wide)
    saved = [g, seen, w, state, *draw((t, n, h), (t, n, h))]
    agrees(lambda a: recurrent.gru_backward(*a), saved, [(n, h), wide, wide])


def test_the_number_of_threads_changes_no_bit() -> None:
    forward, backward, inputs, saved = lstm_case(6, 37, 70)  # enough work for several shares
    threads = get_num_threads()
    answers = []
    try:
        for count in (1, threads):
            set_num_threads(count)
            first = agrees(forward, inputs, [(6, 37, 70), (6, 37, 70)])
            answers.append([*first, *agrees(backward, saved, [(37, 70), (6, 37, 280)])])
    finally:
        set_num_threads(threads)
    for one, several in zip(*answers, strict=True):
        np.testing.assert_array_equal(one, several)


def test_packed_weights_are_the_columns_in_blocks() -> None:
    vectors = pytest.importorskip("minigrad.kernels.recurrent_vector")
    w = np.arange(3.0 * 20).reshape(3, 20)
    blocks = vectors.packed(w)
    for k, column in [(0, 0), (2, 7), (1, 19)]:
        assert blocks[column // vectors.WIDTH, k, column % vectors.WIDTH] == w[k, column]
    assert blocks.sum() == w.sum()


def test_a_step_forward_is_the_textbook_formula_for_one_unit() -> None:
    a, r, b = np.array([[0.3, -1.2, 0.7, 2.0]]), np.array([[0.1, 0.2, -0.4, 0.5]]), np.array([0.05, 1.0, 0.0, -0.3])
    c, c_next, tanh_c, h = (np.array([[value]]) for value in (0.8, 0.0, 0.0, 0.0))
    recurrent.lstm_step(a.copy(), r, b, c, c_next, tanh_c, h)
    i, f, g, o = (a + r + b)[0]
    expected = 0.8 / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
    assert c_next.item() == pytest.approx(expected, rel=1e-14)
    assert h.item() == pytest.approx(np.tanh(expected) / (1 + np.exp(-o)), rel=1e-14)
