"""Initialisers: the distribution that the formula states, and what it is for."""

from __future__ import annotations

import inspect
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


def truncated_cdf(mean: float, s: float, a: float, b: float) -> Callable[[float], float]:
    whole = normal_cdf(s)
    low, high = whole(a - mean), whole(b - mean)
    return lambda v: (whole(min(max(v, a), b) - mean) - low) / (high - low)


# name, weight shape, options, distribution
CASES = [
    ("xavier_uniform_", (60, 40), {}, uniform_cdf(math.sqrt(6 / 100))),
    ("xavier_uniform_", (16, 8, 3, 3), {"gain": 5 / 3}, uniform_cdf(5 / 3 * math.sqrt(6 / (72 + 144)))),
    ("xavier_normal_", (60, 40), {}, normal_cdf(math.sqrt(2 / 100))),
    ("kaiming_normal_", (60, 40), {"mode": "fan_in", "nonlinearity": "relu"}, normal_cdf(math.sqrt(2 / 40))),
    ("kaiming_normal_", (16, 8, 3, 3), {"nonlinearity": "relu"}, normal_cdf(math.sqrt(2 / 72))),
    ("kaiming_normal_", (60, 40), {"mode": "fan_out", "nonlinearity": "tanh"}, normal_cdf(5 / 3 / math.sqrt(60))),
    ("kaiming_uniform_", (60, 40), {"nonlinearity": "relu"}, uniform_cdf(math.sqrt(6 / 40))),
    ("kaiming_uniform_", (60, 40), {"a": math.sqrt(5)}, uniform_cdf(1 / math.sqrt(40))),
    ("xavier_normal_", (8, 4, 5), {"gain": 2.0}, normal_cdf(2 * math.sqrt(2 / (20 + 40)))),
    ("kaiming_normal_", (16, 8, 3, 3), {"mode": "fan_out", "a": 0.2}, normal_cdf(math.sqrt(2 / 1.04 / 144))),
    ("kaiming_uniform_", (16, 8, 3, 3), {"mode": "fan_out", "nonlinearity": "linear"}, uniform_cdf(math.sqrt(3 / 144))),
    ("trunc_normal_", (50, 50), {}, truncated_cdf(0, 1, -2, 2)),
    ("trunc_normal_", (50, 50), {"std": 0.02}, normal_cdf(0.02)),
    ("trunc_normal_", (50, 50), {"mean": 1, "std": 2, "a": 0, "b": 1.5}, truncated_cdf(1, 2, 0, 1.5)),
    ("trunc_normal_", (50, 50), {"a": 2, "b": 3}, truncated_cdf(0, 1, 2, 3)),
    ("uniform_", (50, 50), {"a": -3.0, "b": 3.0}, uniform_cdf(3.0)),
    ("normal_", (50, 50), {"std": 0.3}, normal_cdf(0.3)),
]


def test_the_test_of_distributions_can_fail() -> None:
    """A uniform sample is not normal, and one that is 10 % too wide is noticed."""
    values = np.random.default_rng(0).uniform(-1, 1, 2500)
    assert kolmogorov_smirnov(values, uniform_cdf(1.0)) < CRITICAL
    assert kolmogorov_smirnov(values, normal_cdf(1 / math.sqrt(3))) > CRITICAL
    assert kolmogorov_smirnov(1.1 * values, uniform_cdf(1.0)) > CRITICAL


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
    convolutions = [f"conv{kind}{n}d" for kind in ("", "_transpose") for n in (1, 2, 3)]
    for name in (*convolutions, "linear", "sigmoid", "tanh", "relu", "selu", "leaky_relu"):
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


def test_the_clipping_snippet_of_the_module_runs_unchanged() -> None:
    import minigrad as torch

    model = torch.nn.Linear(4, 3)
    (model(torch.ones(2, 4)) * 1e3).sum().backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
    assert np.sqrt(sum((p.grad.data.astype(np.float64) ** 2).sum() for p in model.parameters())) == pytest.approx(1.0)


def test_the_seed_decides_every_number() -> None:
    first = nn.init.kaiming_normal_(minigrad.empty(5, 5), generator=minigrad.Generator(3))
    second = nn.init.kaiming_normal_(minigrad.empty(5, 5), generator=minigrad.Generator(3))
    np.testing.assert_array_equal(first.data, second.data)
    minigrad.manual_seed(3)
    np.testing.assert_array_equal(nn.init.kaiming_normal_(minigrad.empty(5, 5)).data, first.data)


@pytest.mark.parametrize(
    "shape", [(60, 40), (40, 60), (50, 50), (1, 7), (7, 1), (16, 8, 3, 3), (64, 2, 3, 3), (4, 3, 5)]
)
@pytest.mark.parametrize("gain", [1.0, math.sqrt(2)])
def test_orthogonal_matrices_have_orthonormal_rows_or_columns(shape: tuple[int, ...], gain: float) -> None:
    weight = nn.init.orthogonal_(minigrad.empty(*shape, dtype=np.float64), gain, generator=minigrad.Generator(1))
    w = weight.data.reshape(shape[0], -1)
    product = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    np.testing.assert_allclose(product, gain**2 * np.eye(len(product)), atol=1e-13)


def test_orthogonal_matrices_are_uniformly_distributed() -> None:
    """The angle of the first column of a uniform 2x2 orthogonal matrix is uniform; half of them are reflections."""
    generator = minigrad.Generator(0)
    found = [nn.init.orthogonal_(minigrad.empty(2, 2), generator=generator).data for _ in range(1000)]
    angles = np.array([math.atan2(q[1, 0], q[0, 0]) for q in found])
    assert kolmogorov_smirnov(angles, uniform_cdf(math.pi)) < CRITICAL
    assert sum(float(np.linalg.det(q)) < 0 for q in found) == pytest.approx(500, abs=5 * math.sqrt(250))


@pytest.mark.parametrize("shape", [(4, 4), (3, 5), (5, 3)])
def test_eye_is_pytorchs(shape: tuple[int, int]) -> None:
    torch = pytest.importorskip("torch")
    np.testing.assert_array_equal(
        nn.init.eye_(minigrad.empty(*shape)).data, torch.nn.init.eye_(torch.empty(shape)).numpy()
    )


@pytest.mark.parametrize(
    ("shape", "groups"),
    [((4, 4, 3), 1), ((6, 2, 3, 3), 1), ((6, 2, 3, 3), 3), ((2, 5, 2, 4), 1), ((4, 3, 3, 1, 3), 2), ((4, 1, 5), 4)],
)
def test_dirac_is_pytorchs(shape: tuple[int, ...], groups: int) -> None:
    torch = pytest.importorskip("torch")
    truth = torch.nn.init.dirac_(torch.empty(shape), groups).numpy()
    np.testing.assert_array_equal(nn.init.dirac_(minigrad.empty(*shape), groups).data, truth)


def test_a_dirac_convolution_hands_its_input_on() -> None:
    layer = nn.Conv2d(4, 4, 3, padding=1, groups=2, bias=False)
    nn.init.dirac_(layer.weight, groups=2)
    x = minigrad.randn(2, 4, 5, 5, generator=minigrad.Generator(0))
    np.testing.assert_array_equal(layer(x).data, x.data)


def test_truncated_values_stay_inside_their_bounds_also_in_float32() -> None:
    weight = nn.init.trunc_normal_(minigrad.empty(300, 300), 0.0, 1.0, -0.1, 0.3, generator=minigrad.Generator(0))
    assert -0.1 <= float(weight.data.min()) < -0.0999
    assert 0.2999 < float(weight.data.max()) <= np.float32(0.3)


INITIALISERS = ["uniform_", "normal_", "trunc_normal_", "xavier_uniform_", "xavier_normal_", "kaiming_uniform_",
                "kaiming_normal_", "orthogonal_"]  # fmt: skip


@pytest.mark.parametrize("name", INITIALISERS)
def test_signatures_are_pytorchs(name: str) -> None:
    torch = pytest.importorskip("torch")
    ours = list(inspect.signature(getattr(nn.init, name)).parameters.values())
    theirs = list(inspect.signature(getattr(torch.nn.init, name)).parameters.values())
    assert [(p.name, p.default) for p in ours] == [(p.name, p.default) for p in theirs]


@pytest.mark.parametrize("name", INITIALISERS)
def test_every_initialiser_draws_from_the_seeded_generator(name: str) -> None:
    fill = getattr(nn.init, name)
    minigrad.manual_seed(11)
    first, second = fill(minigrad.empty(6, 5)), fill(minigrad.empty(6, 5))
    assert not np.array_equal(first.data, second.data)
    again = fill(minigrad.empty(6, 5), generator=minigrad.Generator(11))
    np.testing.assert_array_equal(first.data, again.data)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda w: nn.init.kaiming_normal_(w, mode="fan"), ArgumentError, "expected 'fan_in' or 'fan_out', got 'fan'"),
        (lambda w: nn.init.kaiming_normal_(w, nonlinearity="rleu"), ArgumentError, "expected one of linear.*'rleu'"),
        (lambda w: nn.init.normal_(w, std=-1.0), ArgumentError, "expected std >= 0, got -1.0"),
        (lambda w: nn.init.uniform_(w, 1.0, 0.0), ArgumentError, "expected a <= b"),
        (lambda w: nn.init.xavier_uniform_(minigrad.empty(3)), ShapeError, r"at least two dimensions.*\(3,\)"),
        (lambda w: nn.init.calculate_gain("leaky_relu", "0.1"), ArgumentError, "slope of leaky_relu as a number"),
        (lambda w: nn.init.trunc_normal_(w, a=1.0, b=0.0), ArgumentError, "expected a <= b and std > 0"),
        (lambda w: nn.init.trunc_normal_(w, std=0.0), ArgumentError, "got a=-2.0, b=2.0, std=0.0"),
        (lambda w: nn.init.trunc_normal_(w, mean=9.0), ArgumentError, r"bounds that hold part of N\(9.0, 1.0\^2\)"),
        (lambda w: nn.init.orthogonal_(minigrad.empty(3)), ShapeError, r"at least two dimensions, got shape \(3,\)"),
        (lambda w: nn.init.eye_(minigrad.empty(2, 2, 2)), ShapeError, r"expected a matrix, got shape \(2, 2, 2\)"),
        (lambda w: nn.init.dirac_(w), ShapeError, r"the weight of a convolution, got shape \(2, 2\)"),
        (
            lambda w: nn.init.dirac_(minigrad.empty(4, 2, 3), 3),
            ArgumentError,
            "groups that divide 4 output channels, got 3",
        ),
    ],
)
def test_bad_arguments_are_explained_and_change_nothing(call: Callable, error: type, message: str) -> None:
    weight = minigrad.ones(2, 2)
    with pytest.raises(error, match=message):
        call(weight)
    np.testing.assert_array_equal(weight.data, np.ones((2, 2)))
