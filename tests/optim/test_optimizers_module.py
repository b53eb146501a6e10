"""The course module: its formulas evaluated literally, its listing, and its exercises' claims."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad
from minigrad import optim

ALPHA, BETA, EPS = 0.05, 0.9, 1e-6
TARGET = np.array([1.0, -2.0, 0.5])
SCALE = np.array([1.0, 10.0, 0.1])


def gradient(theta: np.ndarray) -> np.ndarray:
    """Of L(θ) = ½ Σ s (θ - target)²."""
    return SCALE * (theta - TARGET)


def run(optimizer: optim.Optimizer, steps: int = 50) -> np.ndarray:
    theta = np.array([3.0, 3.0, 3.0])
    for _ in range(steps):
        optimizer.update([theta], [gradient(theta)])
    return theta


def test_gradient_descent():
    theta = np.array([3.0, 3.0, 3.0])
    for _ in range(50):
        theta = theta - ALPHA * gradient(theta)
    np.testing.assert_allclose(run(optim.GD(lr=ALPHA)), theta, rtol=1e-12)
    np.testing.assert_allclose(run(optim.SGD(lr=ALPHA)), theta, rtol=1e-12)


def test_momentum():
    theta, v = np.array([3.0, 3.0, 3.0]), np.zeros(3)
    for _ in range(50):
        v = BETA * v + gradient(theta)
        theta = theta - ALPHA * v
    np.testing.assert_allclose(run(optim.SGDMomentum(lr=ALPHA, momentum=BETA)), theta, rtol=1e-12)


def nesterov(steps: int, look_ahead: bool = False) -> np.ndarray:
    theta, v = np.array([3.0, 3.0, 3.0]), np.zeros(3)
    for _ in range(steps):
        v = BETA * v + gradient(theta - ALPHA * BETA * v)
        theta = theta - ALPHA * v
    return theta - ALPHA * BETA * v if look_ahead else theta


def test_nesterov_takes_the_gradient_at_the_look_ahead_point():
    theta = np.array([3.0, 3.0, 3.0])
    optimizer = optim.Nesterov(lr=ALPHA, momentum=BETA)
    for _ in range(50):
        optimizer.update([theta], lambda params: [gradient(params[0])])
    np.testing.assert_allclose(theta, nesterov(50), rtol=1e-12)


def test_nesterov_by_closure_on_tensors():
    w = minigrad.tensor(np.array([3.0, 3.0, 3.0]), requires_grad=True)
    optimizer = optim.SGD([w], lr=ALPHA, momentum=BETA, nesterov="lookahead")

    def closure():
        optimizer.zero_grad()
        off = w - minigrad.tensor(TARGET)
        loss = (off * off * minigrad.tensor(SCALE)).sum() * 0.5
        loss.backward()
        return loss

    losses = [optimizer.step(closure).item() for _ in range(50)]
    np.testing.assert_allclose(w.data, nesterov(50), rtol=1e-12)
    assert losses[-1] < 1e-2 * losses[0]


def test_pytorchs_nesterov_walks_over_the_look_ahead_points():
    """For a constant rate both forms make the same path: PyTorch's iterate is θ_t - α β v_t."""
    for steps in (1, 2, 10, 50):
        theirs = run(optim.SGD(lr=ALPHA, momentum=BETA, nesterov=True), steps)
        np.testing.assert_allclose(theirs, nesterov(steps, look_ahead=True), rtol=1e-11)


def test_adagrad_has_eps_inside_the_root():
    theta, g = np.array([3.0, 3.0, 3.0]), np.zeros(3)
    for _ in range(50):
        g = g + gradient(theta) ** 2
        theta = theta - ALPHA / np.sqrt(g + EPS) * gradient(theta)
    np.testing.assert_allclose(run(optim.AdaGrad(lr=ALPHA, eps=EPS)), theta, rtol=1e-12)


def test_rmsprop_has_eps_inside_the_root_and_decays_by_nine_tenths():
    theta, g = np.array([3.0, 3.0, 3.0]), np.zeros(3)
    for _ in range(50):
        g = 0.9 * g + (1 - 0.9) * gradient(theta) ** 2
        theta = theta - ALPHA / np.sqrt(g + EPS) * gradient(theta)
    np.testing.assert_allclose(run(optim.RMSprop(lr=ALPHA, eps=EPS)), theta, rtol=1e-12)


def test_adam():
    theta, m, v = np.array([3.0, 3.0, 3.0]), np.zeros(3), np.zeros(3)
    for t in range(50):
        grad = gradient(theta)
        m = 0.9 * m + (1 - 0.9) * grad
        v = 0.999 * v + (1 - 0.999) * grad**2
        m_hat = m / (1 - 0.9 ** (t + 1))
        v_hat = v / (1 - 0.999 ** (t + 1))
        theta = theta - ALPHA / (np.sqrt(v_hat) + 1e-8) * m_hat
    np.testing.assert_allclose(run(optim.Adam(lr=ALPHA)), theta, rtol=1e-12)


def test_adamw_shrinks_the_parameters_apart_from_the_gradient():
    theta, m, v = np.array([3.0, 3.0, 3.0]), np.zeros(3), np.zeros(3)
    for t in range(50):
        grad = gradient(theta)
        m = 0.9 * m + (1 - 0.9) * grad
        v = 0.999 * v + (1 - 0.999) * grad**2
        m_hat, v_hat = m / (1 - 0.9 ** (t + 1)), v / (1 - 0.999 ** (t + 1))
        theta = theta - ALPHA * (m_hat / (np.sqrt(v_hat) + 1e-8) + 0.1 * theta)
    np.testing.assert_allclose(run(optim.AdamW(lr=ALPHA, weight_decay=0.1)), theta, rtol=1e-12)


# ---- the module's own listing ----------------------------------------------------------------------------------------


class ListedSGD:
    def __init__(self, lr=0.01):
        self.lr = lr

    def update(self, params, grads):
        for p, g in zip(params, grads, strict=True):
            p -= self.lr * g


class ListedSGDMomentum:
    def __init__(self, lr=0.01, momentum=0.9):
        self.lr = lr
        self.momentum = momentum
        self.velocities = None

    def update(self, params, grads):
        if self.velocities is None:
            self.velocities = [np.zeros_like(p) for p in params]
        for i, (p, g) in enumerate(zip(params, grads, strict=True)):
            self.velocities[i] = self.momentum * self.velocities[i] + g
            p -= self.lr * self.velocities[i]


class ListedAdam:
    def __init__(self, lr=0.001, beta1=0.9, beta2=0.999, eps=1e-8):
        self.lr, self.beta1, self.beta2, self.eps = lr, beta1, beta2, eps
        self.m = self.v = None
        self.t = 0

    def update(self, params, grads):
        if self.m is None:
            self.m = [np.zeros_like(p) for p in params]
            self.v = [np.zeros_like(p) for p in params]
        self.t += 1
        for i, (p, g) in enumerate(zip(params, grads, strict=True)):
            self.m[i] = self.beta1 * self.m[i] + (1 - self.beta1) * g
            self.v[i] = self.beta2 * self.v[i] + (1 - self.beta2) * g**2
            m_hat = self.m[i] / (1 - self.beta1**self.t)
            v_hat = self.v[i] / (1 - self.beta2**self.t)
            p -= self.lr * m_hat / (np.sqrt(v_hat) + self.eps)


@pytest.mark.parametrize(
    ("ours", "listed", "arguments"),
    [
        (optim.SGD, ListedSGD, {}),
        (optim.SGD, ListedSGD, {"lr": 0.1}),
        (optim.SGDMomentum, ListedSGDMomentum, {}),
        (optim.SGDMomentum, ListedSGDMomentum, {"lr": 0.1, "momentum": 0.5}),
        (optim.Adam, ListedAdam, {}),
        (optim.Adam, ListedAdam, {"lr": 0.01, "beta1": 0.8, "beta2": 0.99, "eps": 1e-6}),
    ],
)
def test_the_listing_of_the_module(ours, listed, arguments):
    rng = np.random.default_rng(0)
    ours, listed = ours(**arguments), listed(**arguments)
    mine = [rng.standard_normal((3, 2)), rng.standard_normal(4)]
    theirs = [p.copy() for p in mine]
    kept = list(mine)
    for _ in range(100):
        grads = [rng.standard_normal(p.shape) for p in mine]
        ours.update(mine, grads)
        listed.update(theirs, grads)
    for a, b, c in zip(mine, theirs, kept, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
        assert a is c, "the arrays are changed in place"


def test_update_works_on_float32_strided_and_reallocated_arrays():
    base = np.ones((4, 6), np.float32)
    window = base[:, ::2]
    optimizer = optim.SGDMomentum(lr=0.5, momentum=0.5)
    optimizer.update([window], [np.ones((4, 3), np.float32)])
    assert np.array_equal(base[:, ::2], np.full((4, 3), 0.5, np.float32))
    assert np.array_equal(base[:, 1::2], np.ones((4, 3), np.float32))
    moved = window.copy()
    optimizer.update([moved], [np.ones((4, 3), np.float32)])  # the velocity belongs to the position: 0.5 - 0.5 * 1.5
    assert np.array_equal(moved, np.full((4, 3), -0.25, np.float32))


def test_the_rate_of_a_consistent_gradient_grows_by_one_over_one_minus_beta():
    """Section 3.3: momentum accelerates in a consistent direction; the velocity tends to g / (1 - β)."""
    theta = np.array([0.0])
    optimizer = optim.SGDMomentum(lr=1.0, momentum=0.9)
    before = 0.0
    for _ in range(200):
        before = theta[0]
        optimizer.update([theta], [np.array([1.0])])
    assert theta[0] - before == pytest.approx(-10.0, rel=1e-8)


def test_adagrads_rate_goes_to_zero_and_rmsprops_does_not():
    """Section 3.4: with a gradient of 1, AdaGrad's step t is α/√t, RMSprop's stays α."""
    ada, rms = np.array([0.0]), np.array([0.0])
    adagrad, rmsprop = optim.AdaGrad(lr=0.1), optim.RMSprop(lr=0.1)
    for _ in range(100):
        last = ada[0], rms[0]
        adagrad.update([ada], [np.ones(1)])
        rmsprop.update([rms], [np.ones(1)])
    assert last[0] - ada[0] == pytest.approx(0.1 / 10, rel=1e-6)
    assert last[1] - rms[0] == pytest.approx(0.1, rel=1e-4)


def test_adams_first_step_has_the_length_of_the_rate():
    for scale in (1e-3, 1.0, 1e3):
        theta = np.array([0.0])
        optim.Adam(lr=0.01).update([theta], [np.array([scale])])
        assert theta[0] == pytest.approx(-0.01, rel=1e-4)
