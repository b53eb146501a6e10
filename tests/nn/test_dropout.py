"""Dropout layers and functions: what they do to values and gradients, seeds, resuming, and bad arguments."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

import minigrad
import minigrad.nn.functional as F
from minigrad import nn
from minigrad.backward import run
from minigrad.errors import ArgumentError, DTypeError, GraphError, ShapeError

LAYERS = [nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.AlphaDropout]
SHAPES = {nn.Dropout: (50, 30), nn.Dropout1d: (50, 30, 4), nn.Dropout2d: (50, 30, 3, 3), nn.AlphaDropout: (50, 30)}


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dropped_elements_are_zero_and_the_others_larger_forward_and_back(p: float, dtype: type) -> None:
    rng = np.random.default_rng(0)
    values, upstream = rng.uniform(1, 2, (40, 50)).astype(dtype), rng.uniform(1, 2, (40, 50)).astype(dtype)
    x = minigrad.tensor(values, requires_grad=True)
    y = F.dropout(x, p, generator=minigrad.Generator(1))
    kept = y.data != 0
    np.testing.assert_allclose(y.data, np.where(kept, values / (1 - p), 0), rtol=1e-6)
    y.backward(minigrad.tensor(upstream))
    np.testing.assert_allclose(x.grad.data, np.where(kept, upstream / (1 - p), 0), rtol=1e-6)
    assert abs(kept.mean() - (1 - p)) < 3.3 * math.sqrt(p * (1 - p) / kept.size)


def test_mean_and_variance_are_those_of_the_formula() -> None:
    """Of x = 1 the mean stays 1 and the variance becomes p / (1 - p)."""
    n, p = 1_000_000, 0.3
    y = F.dropout(minigrad.ones(n), p, generator=minigrad.Generator(0)).data.astype(float)
    deviation = math.sqrt(p / (1 - p))
    assert abs(y.mean() - 1) < 3.3 * deviation / math.sqrt(n)
    assert y.var() == pytest.approx(p / (1 - p), rel=0.01)


@pytest.mark.parametrize(("function", "shape"), [(F.dropout1d, (30, 40, 5)), (F.dropout2d, (30, 40, 3, 2)),
                                                 (F.dropout2d, (30, 40, 5)), (F.dropout1d, (1000, 5))])  # fmt: skip
def test_channels_are_dropped_as_a_whole(function: Callable, shape: tuple[int, ...]) -> None:
    x = minigrad.tensor(np.random.default_rng(0).uniform(1, 2, shape).astype(np.float32), requires_grad=True)
    y = function(x, 0.4, generator=minigrad.Generator(2))
    channels = (y.data != 0).reshape(-1, math.prod(shape[2:]) if len(shape) > 2 else shape[1])
    assert (channels.all(1) | ~channels.any(1)).all()
    assert abs(channels[:, 0].mean() - 0.6) < 3.3 * math.sqrt(0.24 / len(channels))
    y.sum().backward()
    np.testing.assert_allclose(x.grad.data, np.where(y.data != 0, np.float32(1 / 0.6), 0), rtol=1e-6)
    np.testing.assert_allclose(y.data, x.data * x.grad.data, rtol=1e-6)


def test_alpha_dropout_keeps_mean_zero_and_variance_one() -> None:
    x = minigrad.randn(1_000_000, generator=minigrad.Generator(0))
    for p in (0.1, 0.5):
        y = F.alpha_dropout(x, p, generator=minigrad.Generator(1)).data.astype(float)
        assert abs(y.mean()) < 3.3e-3
        assert y.var() == pytest.approx(1, rel=0.01)


def test_alpha_dropout_has_pytorchs_two_lines() -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    x = np.linspace(-1, 2, 1000)
    theirs = torch.nn.functional.alpha_dropout(torch.tensor(x), 0.3, training=True).numpy()
    ours = F.alpha_dropout(minigrad.tensor(x), 0.3, generator=minigrad.Generator(1)).data
    dropped = np.isclose(theirs, theirs.min())  # the lowest value is that of all that are dropped
    a, b = np.polyfit(x[~dropped], theirs[~dropped], 1)
    kept = np.isclose(ours, a * x + b)
    np.testing.assert_allclose(ours[~kept], theirs.min())
    assert 600 < kept.sum() < 800


@pytest.mark.parametrize("layer", LAYERS)
def test_evaluation_and_p_zero_hand_the_input_on(layer: type) -> None:
    x = minigrad.ones(*SHAPES[layer])
    assert layer(0.7).eval()(x) is x
    assert layer(0.0)(x) is x


@pytest.mark.parametrize("layer", LAYERS)
def test_p_one_drops_everything(layer: type) -> None:
    x = minigrad.ones(*SHAPES[layer], requires_grad=True)
    y = layer(1.0)(x)
    assert not y.data.any()
    y.sum().backward()
    assert not x.grad.data.any()


@pytest.mark.parametrize("layer", LAYERS)
def test_a_seed_repeats_and_each_call_differs(layer: type) -> None:
    x, drop = minigrad.ones(*SHAPES[layer]), layer(0.5)
    minigrad.manual_seed(3)
    first, second = drop(x).data, drop(x).data
    assert not np.array_equal(first, second)
    minigrad.manual_seed(3)
    np.testing.assert_array_equal(drop(x).data, first)


def test_calls_are_independent_of_each_other() -> None:
    minigrad.manual_seed(0)
    n, p = 300_000, 0.5
    a, b = (F.dropout(minigrad.ones(n), p).data.astype(float) - 1 for _ in range(2))
    assert abs((a * b).mean()) < 3.3 / math.sqrt(n)


def test_a_restored_generator_goes_on_bit_for_bit() -> None:
    generator = minigrad.Generator(5)
    x = minigrad.ones(100, 7)
    F.dropout(x, 0.5, generator=generator)
    generator.numpy.integers(10, dtype=np.int32)  # numpy keeps half of a word for later
    state = generator.get_state()
    expected = [F.dropout(x, 0.5, generator=generator).data for _ in range(3)]
    resumed = minigrad.Generator(0)
    resumed.set_state(state)
    for mask in expected:
        np.testing.assert_array_equal(F.dropout(x, 0.5, generator=resumed).data, mask)


def test_all_orders_of_derivative_use_the_same_mask() -> None:
    x = minigrad.tensor(np.random.default_rng(0).uniform(1, 2, 50), requires_grad=True)
    y = F.dropout(x * x, 0.4, generator=minigrad.Generator(0))
    (gx,) = run([y.sum()], [None], [x], create_graph=True)
    (ggx,) = run([gx.sum()], [None], [x])
    mask = np.where(y.data != 0, 1 / 0.6, 0)
    np.testing.assert_allclose(gx.data, 2 * x.data * mask)
    np.testing.assert_allclose(ggx.data, 2 * mask)


@pytest.mark.parametrize("layer", LAYERS)
def test_in_place_takes_the_inputs_place(layer: type) -> None:
    x = minigrad.ones(*SHAPES[layer])
    minigrad.manual_seed(0)
    expected = layer(0.5)(x).data.copy()
    minigrad.manual_seed(0)
    memory = x.data
    assert layer(0.5, inplace=True)(x) is x
    assert x.data is memory
    np.testing.assert_array_equal(x.data, expected)
    leaf = minigrad.ones(*SHAPES[layer], requires_grad=True)
    with pytest.raises(GraphError, match="leaf that requires a gradient"):
        layer(0.5, inplace=True)(leaf)
    inner = leaf * 1.0
    layer(0.5, inplace=True)(inner).sum().backward()
    assert set(np.unique(leaf.grad.data)) == {0.0, np.unique(leaf.grad.data)[-1]}


def test_repr_is_pytorchs() -> None:
    torch = pytest.importorskip("torch")
    for layer in LAYERS:
        assert repr(layer(0.25)) == repr(getattr(torch.nn, layer.__name__)(0.25))


def test_no_state_is_kept() -> None:
    for layer in LAYERS:
        assert not layer().state_dict()


@pytest.mark.parametrize("p", [-0.1, 1.5, math.nan])
@pytest.mark.parametrize("layer", LAYERS)
def test_what_is_no_probability_is_refused_when_the_layer_is_made(layer: type, p: float) -> None:
    with pytest.raises(ArgumentError, match=rf"{layer.__name__}: expected a probability p in \[0, 1\], got"):
        layer(p)


def test_bad_input_names_what_was_expected_and_what_came() -> None:
    with pytest.raises(ArgumentError, match=r"dropout2d: expected a probability p in \[0, 1\], got 2"):
        F.dropout2d(minigrad.ones(1, 2, 3, 3), 2)
    with pytest.raises(DTypeError, match="dropout: expected floating-point input, got int64"):
        F.dropout(minigrad.ones(3, dtype=np.int64))
    with pytest.raises(
        ShapeError, match=r"dropout2d: expected input \(N, C, H, W\), or \(N, C, L\), got shape \(3, 4\)"
    ):
        F.dropout2d(minigrad.ones(3, 4))
    with pytest.raises(ShapeError, match=r"dropout1d: expected input \(N, C, L\) or \(C, L\), got shape \(3,\)"):
        F.dropout1d(minigrad.ones(3))
