"""Initialisers: the distribution that the formula states, and what it is for."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

import minigrad
from minigrad import nn
from minigrad.errors import ArgumentError, ShapeError


def kolmogorov_smirnov(values: np.ndarray, cdf: Callable[[float], float]) -> float:
    """The largest distance between the empirical and the stated distribution function, times sqrt(n)."""
    x = np.sort(values.ravel())
    stated = np.array([cdf(v) for v in x])
    n = len(x)
    above, below = np.arange(1, n + 1) / n - stated, stated - np.arange(n) / n
    return math.sqrt(n) * max(above.max(), below.max())


# The distance exceeds this with probability 0.1 % if the values do follow the distribution (Kolmogorov 1933).
CRITICAL = 1.95


def uniform_cdf(a: float) -> Callable[[float], float]:
    return lambda v: min(max((v + a) / (2 * a), 0.0), 1.0)


def normal_cdf(s: float) -> Callable[[float], float]:
    return lambda v: 0.5 * (1 + math.erf(v / (s * math.sqrt(2))))


# name, weight shape, (n_in, n_out), options, distribution
CASES = [
    ("xavier_uniform_", (60, 40), {}, uniform_cdf(math.sqrt(6 / 100))),
    ("xavier_uniform_", (16, 8, 3, 3), {"gain": 5 / 3}, uniform_cdf(5 / 3 * math.sqrt(6 / (72 + 144)))),
    ("xavier_normal_", (60, 40), {}, normal_cdf(math.sqrt(2 / 100))),
    ("kaiming_normal_", (60, 40), {"mode": "fan_in", "nonlinearity": "relu"}, normal_cdf(math.sqrt(2 / 40))),
    ("kaiming_normal_", (16, 8, 3, 3), {"nonlinearity": "relu"}, normal_cdf(math.sqrt(2 / 72))),
    ("kaiming_normal_", (60, 40), {"mode": "fan_out", "nonlinearity": "tanh"}, normal_cdf(5 / 3 / math.sqrt(60))),
    ("kaiming_uniform_", (60, 40), {"nonlinearity": "relu"}, uniform_cdf(math.sqrt(6 / 40))),
    ("kaiming_uniform_", (60, 40), {"a": math.sqrt(5)}, uniform_cdf(1 / math.sqrt(40))),
    ("uniform_", (50, 50), {"a": -3.0, "b": 3.0}, uniform_cdf(3.0)),
    ("normal_", (50, 50), {"std": 0.3}, normal_cdf(0.3)),
]


@pytest.mark.parametrize(("name", "shape", "options", "cdf"), CASES)
def test_values_follow_the_stated_distribution(name: str, shape: tuple, options: dict, cdf: Callable) -> None:
    weight = minigrad.empty(*shape, dtype=np.float64)
    getattr(nn.init, name)(weight, generator=minigrad.Generator(0), **options)
    assert kolmogorov_smirnov(weight.data, cdf) < CRITICAL


@pytest.mark.parametrize("layer", [nn.Linear(40, 60), nn.Conv2d(8, 16, 3), nn.Conv2d(8, 16, 3, groups=4)])
def test_the_default_of_a_layer_is_pytorchs(layer: nn.Module) -> None:
    minigrad.manual_seed(0)
    layer.reset_parameters()
    k = 1 / math.sqrt(np.prod(layer.weight.shape[1:]))
    assert kolmogorov_smirnov(layer.weight.data, uniform_cdf(k)) < CRITICAL
    assert np.abs(layer.bias.data).max() <= k


def test_gains_are_pytorchs() -> None:
    torch = pytest.importorskip("torch")
    for name in ("linear", "conv2d", "conv_transpose1d", "sigmoid", "tanh", "relu", "selu", "leaky_relu"):
        assert nn.init.calculate_gain(name) == pytest.approx(torch.nn.init.calculate_gain(name), rel=1e-15)
    assert nn.init.calculate_gain("leaky_relu", 0.3) == torch.nn.init.calculate_gain("leaky_relu", 0.3)


def test_the_snippet_of_the_module_runs_unchanged() -> None:
    import minigrad.nn as nn

    layer = nn.Linear(4, 3)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    nn.init.kaiming_normal_(layer.weight, mode="fan_in", nonlinearity="relu")
    np.testing.assert_array_equal(layer.bias.data, np.zeros(3))
    assert layer.weight.requires_grad
    assert layer.weight.is_leaf


def test_the_seed_decides_every_number() -> None:
    first = nn.init.kaiming_normal_(minigrad.empty(5, 5), generator=minigrad.Generator(3))
    second = nn.init.kaiming_normal_(minigrad.empty(5, 5), generator=minigrad.Generator(3))
    np.testing.assert_array_equal(first.data, second.data)
    minigrad.manual_seed(3)
    np.testing.assert_array_equal(nn.init.kaiming_normal_(minigrad.empty(5, 5)).data, first.data)


def test_he_keeps_the_signal_of_twenty_relu_layers_within_a_factor_of_two_and_naive_scales_do_not() -> None:
    """Section 3.7 of the module: poor initialisation makes signals vanish or explode."""

    def variance_after_20_layers(fill: Callable[[minigrad.Tensor], object], seed: int) -> float:
        minigrad.manual_seed(seed)
        x = minigrad.randn(100, 600)
        for _ in range(20):
            weight = minigrad.empty(600, 600)
            fill(weight)
            x = nn.functional.linear(x, weight).relu()
        return float((x.data.astype(np.float64) ** 2).mean())

    # At 600 units the variance of one network fluctuates by about 40 %; the median of nine is the statement.
    he = [
        variance_after_20_layers(lambda w: nn.init.kaiming_normal_(w, nonlinearity="relu"), seed) for seed in range(9)
    ]
    assert 0.5 < float(np.median(he)) < 2.0
    assert variance_after_20_layers(lambda w: nn.init.normal_(w, std=0.01), 0) < 1e-20
    assert variance_after_20_layers(lambda w: nn.init.normal_(w, std=1.0), 0) > 1e20


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda w: nn.init.kaiming_normal_(w, mode="fan"), ArgumentError, "expected 'fan_in' or 'fan_out', got 'fan'"),
        (lambda w: nn.init.kaiming_normal_(w, nonlinearity="rleu"), ArgumentError, "expected one of linear.*'rleu'"),
        (lambda w: nn.init.normal_(w, std=-1.0), ArgumentError, "expected std >= 0, got -1.0"),
        (lambda w: nn.init.uniform_(w, 1.0, 0.0), ArgumentError, "expected a <= b"),
        (lambda w: nn.init.xavier_uniform_(minigrad.empty(3)), ShapeError, r"at least two dimensions.*\(3,\)"),
    ],
)
def test_bad_arguments_are_explained_and_change_nothing(call: Callable, error: type, message: str) -> None:
    weight = minigrad.ones(2, 2)
    with pytest.raises(error, match=message):
        call(weight)
    np.testing.assert_array_equal(weight.data, np.ones((2, 2)))
