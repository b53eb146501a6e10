"""Optimizers that PyTorch does not have: the papers' algorithms in plain numpy, steps worked out by hand, and tasks."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import nn, optim
from minigrad.backward import accumulate
from minigrad.optim.schedules import cosine

SHAPES = [(3, 2), (4,)]
STEPS = 30
Oracle = Callable[[list[np.ndarray], Callable[[int], list[np.ndarray]]], list[np.ndarray]]


def norm(x: np.ndarray) -> float:
    return float(np.sqrt(np.sum(x * x)))


def lion(w, g_of, lr, beta1, beta2, decay):
    """arXiv:2302.06675, algorithm 2."""
    m = [np.zeros_like(x) for x in w]
    for t in range(STEPS):
        for i, g in enumerate(g_of(t)):
            c = beta1 * m[i] + (1 - beta1) * g
            w[i] = w[i] - lr * (np.sign(c) + decay * w[i])
            m[i] = beta2 * m[i] + (1 - beta2) * g
    return w


def lars(w, g_of, lr, momentum, decay, trust):
    """arXiv:1708.03888, algorithm 1."""
    v = [np.zeros_like(x) for x in w]
    for t in range(STEPS):
        for i, g in enumerate(g_of(t)):
            rate = trust * norm(w[i]) / (norm(g) + decay * norm(w[i]))
            v[i] = momentum * v[i] + lr * rate * (g + decay * w[i])
            w[i] = w[i] - v[i]
    return w


def lamb(w, g_of, lr, beta1, beta2, eps, decay, largest):
    """arXiv:1904.00962, algorithm 2."""
    m, v = [np.zeros_like(x) for x in w], [np.zeros_like(x) for x in w]
    for t in range(STEPS):
        for i, g in enumerate(g_of(t)):
            m[i] = beta1 * m[i] + (1 - beta1) * g
            v[i] = beta2 * v[i] + (1 - beta2) * g * g
            r = m[i] / (1 - beta1 ** (t + 1)) / (np.sqrt(v[i] / (1 - beta2 ** (t + 1))) + eps)
            update = r + decay * w[i]
            w[i] = w[i] - lr * min(norm(w[i]), largest) / norm(update) * update
    return w


def adabelief(w, g_of, lr, beta1, beta2, eps):
    """arXiv:2010.07468, algorithm 2."""
    m, s = [np.zeros_like(x) for x in w], [np.zeros_like(x) for x in w]
    for t in range(STEPS):
        for i, g in enumerate(g_of(t)):
            m[i] = beta1 * m[i] + (1 - beta1) * g
            s[i] = beta2 * s[i] + (1 - beta2) * (g - m[i]) ** 2 + eps
            m_hat, s_hat = m[i] / (1 - beta1 ** (t + 1)), s[i] / (1 - beta2 ** (t + 1))
            w[i] = w[i] - lr * m_hat / (np.sqrt(s_hat) + eps)
    return w


def yogi(w, g_of, lr, beta1, beta2, eps, v0):
    """Zaheer et al., algorithm 2, with Adam's corrections."""
    m, v = [np.zeros_like(x) for x in w], [np.full_like(x, v0) for x in w]
    for t in range(STEPS):
        for i, g in enumerate(g_of(t)):
            m[i] = beta1 * m[i] + (1 - beta1) * g
            v[i] = v[i] - (1 - beta2) * np.sign(v[i] - g * g) * g * g
            m_hat, v_hat = m[i] / (1 - beta1 ** (t + 1)), v[i] / (1 - beta2 ** (t + 1))
            w[i] = w[i] - lr * m_hat / (np.sqrt(v_hat) + eps)
    return w


def adan(w, g_of, lr, b1, b2, b3, eps, decay):
    """arXiv:2208.06677, algorithm 1, where the paper's betas are 1 - b, with bias corrections."""
    beta1, beta2, beta3 = 1 - b1, 1 - b2, 1 - b3
    m, v, n = ([np.zeros_like(x) for x in w] for _ in range(3))
    last = None
    for t in range(STEPS):
        gs = g_of(t)
        last = gs if last is None else last
        for i, g in enumerate(gs):
            d = g - last[i]
            m[i] = (1 - beta1) * m[i] + beta1 * g
            v[i] = (1 - beta2) * v[i] + beta2 * d
            n[i] = (1 - beta3) * n[i] + beta3 * (g + (1 - beta2) * d) ** 2
            c1, c2, c3 = (1 - b ** (t + 1) for b in (b1, b2, b3))
            eta = lr / (np.sqrt(n[i] / c3) + eps)
            w[i] = (w[i] - eta * (m[i] / c1 + (1 - beta2) * v[i] / c2)) / (1 + decay * lr)
        last = gs
    return w


def schedule_free_sgd(w, g_of, lr, beta, decay, warmup):
    """arXiv:2405.15682, equations 3 to 5, with the weights of algorithm 1. Returns the average x."""
    x, z = [a.copy() for a in w], [a.copy() for a in w]
    total = 0.0
    y = w
    for t in range(STEPS):
        gamma = lr * min(1.0, (t + 1) / warmup)
        total += gamma**2
        c = gamma**2 / total
        for i, g in enumerate(g_of(t)):
            y[i] = (1 - beta) * z[i] + beta * x[i]
            z[i] = z[i] - gamma * (g + decay * y[i])
            x[i] = (1 - c) * x[i] + c * z[i]
    return x


def schedule_free_adamw(w, g_of, lr, beta1, beta2, eps, decay, warmup):
    """arXiv:2405.15682, algorithm 1, with Adam's correction of v. Returns the average x."""
    x, z, v = [a.copy() for a in w], [a.copy() for a in w], [np.zeros_like(a) for a in w]
    total = 0.0
    for t in range(STEPS):
        gamma = lr * min(1.0, (t + 1) / warmup)
        total += gamma**2
        c = gamma**2 / total
        for i, g in enumerate(g_of(t)):
            y = (1 - beta1) * z[i] + beta1 * x[i]
            v[i] = beta2 * v[i] + (1 - beta2) * g * g
            z[i] = z[i] - gamma * (g / (np.sqrt(v[i] / (1 - beta2 ** (t + 1))) + eps) + decay * y)
            x[i] = (1 - c) * x[i] + c * z[i]
    return x


def prodigy(w, g_of, beta1, beta2, eps, d, decay):
    """arXiv:2306.06101, algorithm 4."""
    start = [x.copy() for x in w]
    m, v, s = ([np.zeros_like(x) for x in w] for _ in range(3))
    r, root = 0.0, sqrt(beta2)
    for t in range(STEPS):
        gs = g_of(t)
        r = root * r + (1 - root) * d * d * sum(
            float(np.sum(g * (a - x))) for g, a, x in zip(gs, start, w, strict=True)
        )
        for i, g in enumerate(gs):
            m[i] = beta1 * m[i] + (1 - beta1) * d * g
            v[i] = beta2 * v[i] + (1 - beta2) * d * d * g * g
            s[i] = root * s[i] + (1 - root) * d * d * g
            w[i] = w[i] - d * (m[i] / (np.sqrt(v[i]) + d * eps) + decay * w[i])
        d = max(d, r / sum(float(np.abs(x).sum()) for x in s))
    return w


ORACLES: dict[str, tuple[str, dict[str, Any], Oracle]] = {
    "Lion": (
        "Lion",
        {"lr": 0.01, "betas": (0.9, 0.99), "weight_decay": 0.1},
        lambda w, g: lion(w, g, 0.01, 0.9, 0.99, 0.1),
    ),
    "LARS": (
        "LARS",
        {"lr": 0.5, "momentum": 0.9, "weight_decay": 0.01, "trust_coefficient": 0.02},
        lambda w, g: lars(w, g, 0.5, 0.9, 0.01, 0.02),
    ),
    "LAMB": (
        "LAMB",
        {"lr": 0.01, "eps": 1e-6, "weight_decay": 0.1, "max_size": 1.5},
        lambda w, g: lamb(w, g, 0.01, 0.9, 0.999, 1e-6, 0.1, 1.5),
    ),
    "AdaBelief": ("AdaBelief", {"lr": 0.01, "eps": 1e-8}, lambda w, g: adabelief(w, g, 0.01, 0.9, 0.999, 1e-8)),
    "Yogi": ("Yogi", {"lr": 0.01}, lambda w, g: yogi(w, g, 0.01, 0.9, 0.999, 1e-3, 1e-6)),
    "Adan": (
        "Adan",
        {"lr": 0.01, "weight_decay": 0.1},
        lambda w, g: adan(w, g, 0.01, 0.98, 0.92, 0.99, 1e-8, 0.1),
    ),
    "ScheduleFreeSGD": (
        "ScheduleFreeSGD",
        {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01, "warmup_steps": 5},
        lambda w, g: schedule_free_sgd(w, g, 0.1, 0.9, 0.01, 5),
    ),
    "ScheduleFreeAdamW": (
        "ScheduleFreeAdamW",
        {"lr": 0.01, "weight_decay": 0.1, "warmup_steps": 5},
        lambda w, g: schedule_free_adamw(w, g, 0.01, 0.9, 0.999, 1e-8, 0.1, 5),
    ),
    "Prodigy": (
        "Prodigy",
        {"d0": 1e-3, "weight_decay": 0.01},
        lambda w, g: prodigy(w, g, 0.9, 0.999, 1e-8, 1e-3, 0.01),
    ),
}


def gradients(t: int) -> list[np.ndarray]:
    rng = np.random.default_rng((7, t))
    return [rng.standard_normal(s) for s in SHAPES]


def start() -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    return [rng.standard_normal(s) for s in SHAPES]


def run(name: str, settings: dict[str, Any], dtype: str = "float64") -> list[minigrad.Tensor]:
    params = [minigrad.tensor(x.astype(dtype), requires_grad=True) for x in start()]
    optimizer = getattr(optim, name)(params, **settings)
    for t in range(STEPS):
        optimizer.zero_grad()
        for p, g in zip(params, gradients(t), strict=True):
            accumulate(p, g.astype(dtype))
        optimizer.step()
    if hasattr(optimizer, "eval"):
        optimizer.eval()
    return params


@pytest.mark.parametrize("case", ORACLES)
def test_the_papers_algorithm_in_float64(case):
    name, settings, oracle = ORACLES[case]
    for ours, expected in zip(run(name, settings), oracle(start(), gradients), strict=True):
        np.testing.assert_allclose(ours.data, expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("case", ORACLES)
def test_the_papers_algorithm_in_float32(case):
    """Lion's sign can flip where the momentum is nearly zero; none does for this seed."""
    name, settings, oracle = ORACLES[case]
    for ours, expected in zip(run(name, settings, "float32"), oracle(start(), gradients), strict=True):
        np.testing.assert_allclose(ours.data, expected, rtol=2e-4, atol=2e-6)


# The path of w over the loss w², from 1, with the settings above: numbers worked out by hand, or with a pocket
# calculator, from the papers' equations.
GOLDEN = {
    # c = 0.1 g > 0: every step is -0.25, until the sign turns
    "Lion": ({"lr": 0.25}, [0.75, 0.5, 0.25]),
    # r = 0.5 |w| / |2w| = 0.25: v = 0.25 * 2 * 1 = 0.5, then 0.5 * 0.5 + 0.25 * 1 = 0.5
    "LARS": ({"lr": 1.0, "momentum": 0.5, "trust_coefficient": 0.5}, [0.5, 0.0]),
    # m̂ / √v̂ = 1 in the first step, scaled to |w|: w shrinks by the factor 1 - lr, whatever comes after
    "LAMB": ({"lr": 0.5, "weight_decay": 0.0, "eps": 0.0}, [0.5, 0.25, 0.125]),
    # m̂ = 2; (g - m)² = (2 - 0.2)² = 3.24, ŝ = 3.24: the step is 0.1 * 2 / 1.8
    "AdaBelief": ({"lr": 0.1, "eps": 0.0}, [1 - 0.2 / 1.8]),
    # v = 0.001 * 4, v̂ = 4: the step of Adam
    "Yogi": ({"lr": 0.1, "eps": 0.0, "initial_accumulator_value": 0.0}, [0.9]),
    # Δ = 0 and n̂ = 4 in the first step: 0.1 * 2 / 2
    "Adan": ({"lr": 0.1, "eps": 0.0}, [0.9]),
    # z: 1 → 1 - 0.1 * 2 = 0.8 = x = y; then z = 0.8 - 0.16 = 0.64, x = (0.8 + 0.64) / 2 = 0.72, y = 0.064 + 0.648
    "ScheduleFreeSGD": ({"lr": 0.1, "momentum": 0.9}, [0.8, 0.712]),
    # g / √v̂ = 1: z = x = y = 0.9
    "ScheduleFreeAdamW": ({"lr": 0.1, "eps": 0.0}, [0.9]),
    # d = 0.5: m = 0.1 * 0.5 * 2, √v = √(0.001 * 0.25 * 4): the step is 0.5 * 0.1 / √0.001
    "Prodigy": ({"d0": 0.5, "eps": 0.0}, [1 - 0.05 / sqrt(0.001)]),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_the_first_steps_by_hand(name):
    settings, path = GOLDEN[name]
    w = minigrad.tensor(np.array([1.0]), requires_grad=True)
    optimizer = getattr(optim, name)([w], **settings)
    for expected in path:
        optimizer.zero_grad()
        (w * w).sum().backward()
        optimizer.step()
        assert w.item() == pytest.approx(expected, rel=1e-12, abs=1e-15)


# ---- on tasks --------------------------------------------------------------------------------------------------------

# For each optimizer: its settings for the quadratic, for Rosenbrock's valley, and for the classification.
TASKS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "Lion": ({"lr": 0.002}, {"lr": 0.0005}, {"lr": 0.01}),
    "LARS": ({"lr": 10.0}, {"lr": cosine(2.0, T=5000)}, {"lr": cosine(2.0, T=300)}),
    "LAMB": ({"lr": 0.005, "weight_decay": 0.0}, {"lr": cosine(0.02, T=5000), "weight_decay": 0.0}, {"lr": 0.05}),
    "AdaBelief": ({"lr": 0.03}, {"lr": 0.01}, {"lr": 0.05}),
    "Yogi": ({"lr": 0.03}, {"lr": 0.01}, {"lr": 0.05}),
    "Adan": ({"lr": 0.03}, {"lr": 0.01}, {"lr": 0.05}),
    "ScheduleFreeSGD": ({"lr": 0.08}, {"lr": 0.002}, {"lr": 0.5}),
    "ScheduleFreeAdamW": ({"lr": 0.1}, {"lr": 0.05}, {"lr": 0.05}),
    "Prodigy": ({}, {}, {}),
}
each = pytest.mark.parametrize("name", TASKS)


def minimise(name: str, settings: dict, start_at: list[float], loss_of: Callable, steps: int) -> np.ndarray:
    w = minigrad.tensor(np.array(start_at), requires_grad=True)
    optimizer = getattr(optim, name)([w], **settings)
    for _ in range(steps):
        optimizer.zero_grad()
        loss_of(w).backward()
        optimizer.step()
    if hasattr(optimizer, "eval"):
        optimizer.eval()
    return w.data


@each
def test_the_quadratic(name):
    """½ (w₁² + 10 w₂²) from (3, 2), loss 24.5: below 0.01 in 2000 steps."""
    scale = minigrad.tensor(np.array([1.0, 10.0]))
    w = minimise(name, TASKS[name][0], [3.0, 2.0], lambda w: (w * w * scale).sum() * 0.5, 2000)
    assert 0.5 * (w[0] ** 2 + 10 * w[1] ** 2) < 0.01


@each
def test_rosenbrocks_valley(name):
    """(1 - x)² + 100 (y - x²)² from (-1, 1), loss 4: below 0.05 in 5000 steps."""

    def loss(w: Any) -> Any:
        x, y = w[0], w[1]
        return (1.0 - x) * (1.0 - x) + (y - x * x) * (y - x * x) * 100.0

    x, y = minimise(name, TASKS[name][1], [-1.0, 1.0], loss, 5000)
    assert (1 - x) ** 2 + 100 * (y - x * x) ** 2 < 0.05


@each
def test_two_spirals_of_points(name):
    """Two interleaved arms, 200 points: at least 97 % right after 300 full-batch steps of a small network."""
    rng = np.random.default_rng(0)
    t = np.sqrt(rng.uniform(0.05, 1.0, 100)) * 4.0
    arm = np.stack([t * np.cos(t), t * np.sin(t)], 1) / 4.0
    x = minigrad.tensor(np.concatenate([arm, -arm]).astype(np.float32))
    labels = minigrad.tensor(np.repeat([0, 1], 100))
    minigrad.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 2))
    optimizer = getattr(optim, name)(model.parameters(), **TASKS[name][2])
    loss = nn.CrossEntropyLoss()
    for _ in range(300):
        optimizer.zero_grad()
        loss(model(x), labels).backward()
        optimizer.step()
    if hasattr(optimizer, "eval"):
        optimizer.eval()
    with minigrad.no_grad():
        right = (model(x).data.argmax(1) == labels.data).mean()
    assert right >= 0.97


# ---- schedule-free: the two modes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ScheduleFreeSGD", "ScheduleFreeAdamW"])
def test_evaluating_in_between_changes_no_bit_of_the_training(name):
    def train(evaluate: bool) -> np.ndarray:
        params = [minigrad.tensor(x.astype(np.float32), requires_grad=True) for x in start()]
        optimizer = getattr(optim, name)(params, lr=0.05)
        for t in range(6):
            optimizer.zero_grad()
            for p, g in zip(params, gradients(t), strict=True):
                accumulate(p, g.astype(np.float32))
            optimizer.step()
            if evaluate:
                training = params[0].data.copy()
                optimizer.eval()
                assert t == 0 or not np.array_equal(params[0].data, training)
                optimizer.eval()
                optimizer.train()
                assert np.array_equal(params[0].data, training)
        return np.concatenate([p.data.reshape(-1) for p in params])

    assert train(True).tobytes() == train(False).tobytes()


def test_a_step_while_the_average_is_shown_is_an_error_and_a_saved_mode_is_loaded():
    w = minigrad.tensor(np.array([1.0, 2.0]), requires_grad=True)
    optimizer = optim.ScheduleFreeSGD([w], lr=0.1)
    w.grad = minigrad.tensor(np.ones(2))
    optimizer.step()
    optimizer.step()
    training = w.data.copy()
    optimizer.eval()
    with pytest.raises(ValueError, match="Call train"):
        optimizer.step()
    v = minigrad.tensor(w.data, requires_grad=True)
    other = optim.ScheduleFreeSGD([v], lr=0.1)
    other.load_state_dict(optimizer.state_dict())
    assert not other.training
    other.train()
    np.testing.assert_array_equal(v.data, training)
