"""Section 3.7 of the course module: poor initialisation makes signals vanish or explode, through twenty layers."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

import minigrad
from minigrad import nn
from minigrad.errors import ArgumentError, NonFiniteError
from minigrad.tensor import Tensor

LAYERS = 20
# At finite width the variance of one network fluctuates; 400 units and the median of nine networks make it a statement.
WIDTH, NETWORKS = 400, 9

Fill = Callable[[Tensor], object]


def mean_squares(fill: Fill, activation: str, seed: int, scale: float = 1.0) -> np.ndarray:
    """The mean square of the activations after each of the layers, for inputs of variance scale^2."""
    minigrad.manual_seed(seed)
    x = minigrad.randn(100, WIDTH) * scale
    found = []
    for _ in range(LAYERS):
        weight = minigrad.empty(WIDTH, WIDTH)
        fill(weight)
        x = getattr(nn.functional.linear(x, weight), activation)()
        found.append(float((x.data.astype(np.float64) ** 2).mean()))
    return np.array(found)


def typical(fill: Fill, activation: str, scale: float = 1.0) -> np.ndarray:
    return np.median([mean_squares(fill, activation, seed, scale) for seed in range(NETWORKS)], axis=0)


@pytest.mark.parametrize("name", ["kaiming_normal_", "kaiming_uniform_"])
def test_he_keeps_a_relu_signal_within_a_factor_of_two_through_twenty_layers(name: str) -> None:
    squares = typical(lambda w: getattr(nn.init, name)(w, nonlinearity="relu"), "relu")
    assert 0.5 < squares.min() <= squares.max() < 2.0  # of inputs of variance 1


def settled(gain: float) -> float:
    """Where q -> E tanh(gain sqrt(q) z)^2 for normal z leaves q alone: the mean square after many wide tanh layers."""
    z, weights = np.polynomial.hermite_e.hermegauss(101)
    q = 1.0
    for _ in range(500):
        q = float((weights * np.tanh(gain * math.sqrt(q) * z) ** 2).sum() / math.sqrt(2 * math.pi))
    return q


@pytest.mark.parametrize("name", ["xavier_normal_", "xavier_uniform_"])
def test_xavier_with_the_gain_of_tanh_keeps_a_tanh_signal_within_a_factor_of_two(name: str) -> None:
    gain = nn.init.calculate_gain("tanh")
    squares = typical(lambda w: getattr(nn.init, name)(w, gain=gain), "tanh")
    assert squares.max() / squares.min() < 2.0  # from the first layer to the twentieth
    assert squares[-1] == pytest.approx(settled(gain), rel=0.05)
    assert settled(gain) == pytest.approx(0.42, abs=0.01)


def test_xavier_alone_keeps_small_signals_which_tanh_hands_on_unchanged() -> None:
    squares = typical(nn.init.xavier_uniform_, "tanh", scale=0.05)
    assert 0.5 < squares.min() / 0.05**2 <= squares.max() / 0.05**2 < 2.0


def test_xavier_alone_lets_large_tanh_signals_fade_as_one_over_twice_the_depth() -> None:
    """q -> E tanh(sqrt(q) z)^2 = q - 2 q^2 + ... has q = 1 / (2 l) as its slow end."""
    squares = typical(nn.init.xavier_normal_, "tanh")
    assert squares[-1] == pytest.approx(1 / (2 * LAYERS), rel=0.25)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_a_naive_small_scale_makes_the_signal_vanish(activation: str) -> None:
    assert mean_squares(lambda w: nn.init.normal_(w, std=0.01), activation, 0)[-1] < 1e-20


def test_a_naive_large_scale_makes_a_relu_signal_explode_and_a_tanh_signal_saturate() -> None:
    assert mean_squares(lambda w: nn.init.normal_(w, std=1.0), "relu", 0)[-1] > 1e20
    assert mean_squares(lambda w: nn.init.normal_(w, std=1.0), "tanh", 0)[-1] > 0.9  # all at -1 or 1: no gradient


def test_the_gradient_of_twenty_layers_keeps_its_size_with_he_and_vanishes_with_a_naive_scale() -> None:
    def gradient_ratio(fill: Fill) -> float:
        """The mean square of the gradient at the input over that at the output."""
        minigrad.manual_seed(0)
        x = minigrad.randn(100, 300).requires_grad_()
        y = x
        for _ in range(LAYERS):
            weight = minigrad.empty(300, 300)
            fill(weight)
            y = nn.functional.linear(y, weight).relu()
        y.backward(minigrad.randn(100, 300))
        return float((x.grad.data.astype(np.float64) ** 2).mean())

    assert 0.2 < gradient_ratio(lambda w: nn.init.kaiming_normal_(w, nonlinearity="relu")) < 5.0
    assert gradient_ratio(lambda w: nn.init.normal_(w, std=0.01)) < 1e-20


# ---- LSUV ------------------------------------------------------------------------------------------------------------


def deep(activation: type, width: int = 60) -> nn.Sequential:
    layers = [layer for _ in range(10) for layer in (nn.Linear(width, width), activation())]
    return nn.Sequential(*layers, nn.Linear(width, 5))


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh, nn.Sigmoid])
@pytest.mark.parametrize("std", [1.0, 0.3])
def test_lsuv_gives_every_layer_unit_variance_on_its_batch(activation: type, std: float) -> None:
    minigrad.manual_seed(0)
    model, x = deep(activation), 7 * minigrad.randn(64, 60) + 2
    assert nn.init.lsuv_(model, x, std=std, tolerance=0.02) is model
    for layer in model:
        x = layer(x)
        if isinstance(layer, nn.Linear):
            assert float(x.data.astype(np.float64).var()) == pytest.approx(std**2, rel=0.021)
            assert not layer.bias.data.any()


def test_lsuv_scales_orthogonal_matrices_and_reaches_convolutions() -> None:
    minigrad.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 4))
    before = {name: buffer.data.copy() for name, buffer in model.named_buffers()}
    nn.init.lsuv_(model, minigrad.randn(16, 3, 8, 8), generator=minigrad.Generator(3))
    for layer in (model[0], model[4]):
        w = layer.weight.data.reshape(layer.weight.shape[0], -1).astype(np.float64)
        gram = w @ w.T
        np.testing.assert_allclose(gram / gram[0, 0], np.eye(len(gram)), atol=1e-5)
    for name, buffer in model.named_buffers():
        np.testing.assert_array_equal(buffer.data, before[name])
    assert all(not module._forward_hooks for module in model.modules())


def test_lsuv_says_what_it_cannot_do() -> None:
    with pytest.raises(ArgumentError, match="has no layer with a weight"):
        nn.init.lsuv_(nn.Sequential(nn.ReLU()), minigrad.ones(2, 3))
    with pytest.raises(NonFiniteError, match=r"outputs of layer '0' to vary, got variance 0\.0"):
        nn.init.lsuv_(nn.Sequential(nn.Linear(3, 2)), minigrad.zeros(2, 3))
    with pytest.raises(ArgumentError, match=r"tolerance=0\.0"):
        nn.init.lsuv_(nn.Linear(3, 2), minigrad.ones(2, 3), tolerance=0.0)
