"""Normalisation kernels: against their plain twins, in every memory layout, for large means, inside their bounds."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad.kernels import norm
from minigrad.kernels.vec import LANES

Shape = tuple[int, ...]


def rows(x: np.ndarray) -> np.ndarray:
    """The same values with the channels of a pixel side by side."""
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)


def gaps(x: np.ndarray) -> np.ndarray:
    """The same values with something between any two of them."""
    wide = np.full((*x.shape, 2), np.nan, x.dtype)
    wide[..., 0] = x
    return wide[..., 0]


LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {"planes": np.ascontiguousarray, "rows": rows, "gaps": gaps}

# Channels below, at, above and at multiples of the lanes; single pixels; more rows than a segment; odd tails.
SHAPES: list[Shape] = [
    (7, 1), (6, 5), (130, LANES), (9, LANES + 1), (5, 3, 7), (3, 2 * LANES, 5), (5, 3, 7, 7), (2, LANES, 4, 4),
    (4, LANES + 3, 3, 5), (40, 6, 16, 16), (2, 4, 70, 70), (3, 8, 1, 1), (1, 12, 9, 1), (2, 3, 2, 3, 2),
]  # fmt: skip


def problem(shape: Shape, offset: float = 0.0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(shape)
    made = {"x": rng.standard_normal(shape) * 2 + offset, "g": rng.standard_normal(shape)}
    made |= {"w": rng.uniform(0.5, 2, shape[1]), "b": rng.standard_normal(shape[1])}
    return {name: array.astype(np.float32) for name, array in made.items()}


def both_ways(x: Any, g: Any, w: Any, b: Any, groups: int | None, eps: float = 1e-3) -> dict[str, np.ndarray]:
    y, mean, var = norm.grouped_norm(x, w, b, groups, eps)
    gx, gw, gb = norm.grouped_norm_grad(g, x, w, mean, var, groups, eps)
    return {"y": y, "mean": mean, "var": var, "gx": gx(), "gw": gw, "gb": gb}


def close(ours: np.ndarray, truth: np.ndarray, tolerance: float) -> None:
    assert ours.shape == truth.shape
    np.testing.assert_allclose(ours, truth, rtol=tolerance, atol=tolerance * max(1.0, float(np.abs(truth).max())))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_fast_kernels_match_their_plain_twins(shape: Shape, layout: str) -> None:
    p = problem(shape)
    # A group of a single number has no variance: its gradient is the difference of equal numbers.
    divisors = [n for n in (1, 2, 3, shape[1]) if shape[1] % n == 0 and n < np.prod(shape[1:])]
    for groups in (None, *divisors):
        # The twin computes in float64.
        truth = both_ways(*(p[key].astype(np.float64) for key in "xgwb"), groups)
        fast = both_ways(LAYOUTS[layout](p["x"]), LAYOUTS[layout](p["g"]), p["w"], p["b"], groups)
        for key, expected in truth.items():
            close(fast[key], expected, 3e-6)


@pytest.mark.parametrize("shape", [(5, 3, 7, 7), (2, LANES, 4, 4)], ids=str)
def test_the_result_lies_in_memory_as_the_input_does(shape: Shape) -> None:
    p = problem(shape)
    for layout in (LAYOUTS["rows"], LAYOUTS["planes"]):
        x = layout(p["x"])
        fast = both_ways(x, layout(p["g"]), p["w"], p["b"], None)
        assert fast["y"].strides == fast["gx"].strides == x.strides


@pytest.mark.parametrize("layout", ["planes", "rows"])
@pytest.mark.parametrize("groups", [None, 2])
def test_a_large_mean_leaves_the_variance_as_it_was(layout: str, groups: int | None) -> None:
    """Numbers near 10,000 with a standard deviation of 2: squares about zero would have lost it."""
    p = problem((20, 6, 16, 16), offset=1e4)
    truth = both_ways(*(p[key].astype(np.float64) for key in "xgwb"), groups, eps=1e-5)
    fast = both_ways(LAYOUTS[layout](p["x"]), LAYOUTS[layout](p["g"]), p["w"], p["b"], groups, eps=1e-5)
    assert truth["var"].max() < 5
    np.testing.assert_allclose(fast["mean"], truth["mean"], rtol=1e-9)
    np.testing.assert_allclose(fast["var"], truth["var"], rtol=1e-6)
    for key in ("y", "gx", "gw", "gb"):
        close(fast[key], truth[key], 1e-5)


@pytest.mark.parametrize("shape", [(64, 50), (3, 1), (1, 7), (20, 4), (1030, 3), (5, 9000)], ids=str)
@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_fast_row_kernels_match_their_plain_twins(shape: Shape, centred: bool, offset: float) -> None:
    p = problem(shape, offset)
    results = []
    for dtype in (np.float32, np.float64):
        x, g, w, b = (p[key].astype(dtype) for key in "xgwb")
        y, moments = norm.row_norm(x, w, b, 1e-3, centred)
        results.append((y, *norm.row_norm_grad(g, x, w, moments, centred)))
    for fast, truth in zip(*results, strict=True):
        assert fast.dtype == np.float32
        close(fast, truth, 1e-5)


@pytest.mark.parametrize("kind", ["rows", "planes", "layer", "rms"])
def test_results_are_the_same_bits_for_any_number_of_threads(kind: str) -> None:
    shape = (64, 6, 30, 30) if kind in ("rows", "planes") else (3000, 70)
    p = problem(shape)
    before, found = minigrad.get_num_threads(), []
    try:
        for threads in range(1, min(before, 4) + 1):
            minigrad.set_num_threads(threads)
            if kind in ("rows", "planes"):
                place = LAYOUTS[kind]
                found.append(both_ways(place(p["x"]), place(p["g"]), p["w"], p["b"], None))
            else:
                y, moments = norm.row_norm(p["x"], p["w"], p["b"], 1e-3, kind == "layer")
                gx, gw, gb = norm.row_norm_grad(p["g"], p["x"], p["w"], moments, kind == "layer")
                found.append({"y": y, "gx": gx, "gw": gw, "gb": gb})
    finally:
        minigrad.set_num_threads(before)
    for other in found[1:]:
        for key, expected in found[0].items():
            np.testing.assert_array_equal(other[key], expected)


@pytest.mark.parametrize("layout", ["planes", "rows"])
@pytest.mark.parametrize("shape", [shape for shape in SHAPES if len(shape) == 4], ids=str)
def test_nothing_outside_of_the_buffers_is_read_or_written(
    shape: Shape, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every buffer stands between stretches of NaN: a number read there shows in a result, one written is seen."""
    surroundings: list[np.ndarray] = []

    def walled(array: np.ndarray) -> np.ndarray:
        room = np.full(array.size + 512, np.nan, array.dtype)
        room[256:-256] = array.ravel()
        surroundings.append(room)
        return room[256:-256].reshape(array.shape)

    def fenced(shape: Any, dtype: Any = float, **_: Any) -> np.ndarray:
        return walled(np.zeros(shape, dtype))

    p = problem(shape)
    place = LAYOUTS[layout]
    order = (0, 2, 3, 1) if layout == "rows" else (0, 1, 2, 3)
    expected = both_ways(place(p["x"]), place(p["g"]), p["w"], p["b"], None)
    x, g = (
        walled(np.ascontiguousarray(p[key].transpose(order))).transpose(tuple(np.argsort(order))) for key in ("x", "g")
    )
    w, b = walled(p["w"]), walled(p["b"])
    monkeypatch.setattr(norm.np, "empty", fenced)
    monkeypatch.setattr(norm.np, "empty_like", lambda array, **_: fenced(array.shape, array.dtype))
    found = both_ways(x, g, w, b, None)
    monkeypatch.undo()
    assert len(surroundings) > 8
    for key, truth in expected.items():
        np.testing.assert_array_equal(found[key], truth)
    for room in surroundings:
        assert np.isnan(room[:256]).all()
        assert np.isnan(room[-256:]).all()


def test_nan_and_infinity_show_in_their_channel_and_nowhere_else() -> None:
    p = problem((4, 3, 5, 5))
    p["x"][1, 0, 2, 2] = np.nan
    p["x"][2, 2, 0, 0] = np.inf
    y, mean, _ = norm.grouped_norm(rows(p["x"]), p["w"], p["b"], None, 1e-5)
    assert np.isnan(mean[0, 0])
    assert np.isnan(y[:, [0, 2]]).all()
    assert np.isfinite(y[:, 1]).all()


def test_constant_channels_are_shifted_to_the_bias() -> None:
    x = np.full((4, 3, 5, 5), 7.1, np.float32)
    y, mean, var = norm.grouped_norm(x, None, np.float32([1, 2, 3]), None, 1e-5)
    np.testing.assert_allclose(y, np.broadcast_to(np.float32([1, 2, 3])[:, None, None], y.shape), atol=1e-6)
    np.testing.assert_allclose(mean, np.float32(7.1), rtol=1e-12)
    assert var.max() < 1e-12


def test_float16_is_computed_in_float32() -> None:
    p = problem((4, 3, 5, 5))
    x = p["x"].astype(np.float16)
    y, mean, var = norm.grouped_norm(x, None, None, None, 1e-5)
    assert y.dtype == np.float16
    np.testing.assert_allclose(mean[0], x.astype(np.float64).mean((0, 2, 3)), rtol=1e-6)
    gx, gw, gb = norm.grouped_norm_grad(p["g"].astype(np.float16), x, None, mean, var, None, 1e-5)
    assert {gx().dtype, gw.dtype, gb.dtype} == {np.dtype(np.float16)}


def test_the_same_answers_without_compiling() -> None:
    program = (
        "import numpy as np; from minigrad.kernels import norm;"
        "x = np.arange(24, dtype=np.float32).reshape(2, 3, 4); y, m, v = norm.grouped_norm(x, None, None, None, 1e-5);"
        "gx, gw, gb = norm.grouped_norm_grad(x, x, None, m, v, None, 1e-5);"
        "print(repr([float(np.abs(a).sum()) for a in (y, m, v, gx(), gw, gb)]))"
    )
    found = [
        eval(
            subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, check=True, text=True).stdout
        )
        for env in ({**_environment(), "NUMBA_DISABLE_JIT": "1"}, _environment())
    ]
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5, atol=1e-5)


def _environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key != "NUMBA_DISABLE_JIT"}
