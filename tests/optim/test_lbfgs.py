"""L-BFGS and its line search: against PyTorch, against what the theory says, and on what is hard."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import optim
from minigrad.errors import ArgumentError, MinigradError, NonFiniteError
from minigrad.optim.line_search import C1, C2, Point, strong_wolfe


def rosenbrock(w: Any) -> Any:
    """Σ 100 (w_{i+1} - w_i²)² + (1 - w_i)², in any library with slices and powers."""
    a, b = w[1:] - w[:-1] * w[:-1], 1.0 - w[:-1]
    return (a * a).sum() * 100.0 + (b * b).sum()


def closure_of(optimizer: Any, loss_of: Any, count: list[int] | None = None) -> Any:
    def closure() -> Any:
        if count is not None:
            count[0] += 1
        optimizer.zero_grad()
        loss = loss_of()
        loss.backward()
        return loss

    return closure


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("line_search", [None, "strong_wolfe"])
def test_runs_agree_with_pytorch(line_search, seed):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(seed)
    start = rng.standard_normal(6)
    settings = {
        "lr": 1.0 if line_search else 1e-3,
        "max_iter": int(rng.integers(2, 12)),
        "history_size": int(rng.integers(2, 8)),
        "line_search_fn": line_search,
    }
    if rng.random() < 0.5:
        settings["max_eval"] = int(rng.integers(3, 30))
    theirs, ours = torch.tensor(start, requires_grad=True), minigrad.tensor(start, requires_grad=True)
    their_optimizer, our_optimizer = torch.optim.LBFGS([theirs], **settings), optim.LBFGS([ours], **settings)
    for _ in range(4):
        expected = their_optimizer.step(closure_of(their_optimizer, lambda: rosenbrock(theirs)))
        loss = our_optimizer.step(closure_of(our_optimizer, lambda: rosenbrock(ours)))
        assert loss.item() == pytest.approx(expected.item(), rel=1e-8)
    np.testing.assert_allclose(ours.data, theirs.detach().numpy(), rtol=1e-8)
    their_state, our_state = their_optimizer.state[theirs], our_optimizer.state[ours]
    assert (our_state["func_evals"], our_state["n_iter"]) == (their_state["func_evals"], their_state["n_iter"])


def test_curvature_is_learnt_on_a_quadratic():
    """Gradient descent with its best rate shrinks the loss by ((κ-1)/(κ+1))² an iteration: by 5 in 12, for κ = 30."""
    scale = minigrad.tensor(np.array([1.0, 3.0, 10.0, 30.0]))
    w = minigrad.tensor(np.ones(4), requires_grad=True)
    optimizer = optim.LBFGS([w], max_iter=12, line_search_fn="strong_wolfe", tolerance_change=0.0)
    before = optimizer.step(closure_of(optimizer, lambda: (w * w * scale).sum())).item()
    assert before == 44.0
    assert (w * w * scale).sum().item() < 44.0 * 1e-8


def test_the_rosenbrock_valley():
    w = minigrad.tensor(np.array([-1.2, 1.0]), requires_grad=True)
    optimizer = optim.LBFGS([w], max_iter=60, line_search_fn="strong_wolfe", tolerance_change=1e-14)
    count = [0]
    optimizer.step(closure_of(optimizer, lambda: rosenbrock(w), count))
    np.testing.assert_allclose(w.data, [1.0, 1.0], atol=1e-6)
    assert count[0] < 60


@pytest.mark.parametrize(
    ("function", "slope", "first"),
    [
        (lambda t: (t - 2.0) ** 2, lambda t: 2.0 * (t - 2.0), 0.1),
        (lambda t: (t - 2.0) ** 2, lambda t: 2.0 * (t - 2.0), 50.0),
        (lambda t: math.cos(t + 0.1), lambda t: -math.sin(t + 0.1), 1e-3),
        (lambda t: t**4 - t, lambda t: 4 * t**3 - 1.0, 10.0),
        (lambda t: -t / (t * t + 2.0), lambda t: (t * t - 2.0) / (t * t + 2.0) ** 2, 30.0),  # Moré and Thuente, 5.1
        (lambda t: -math.log1p(t) + t / 9, lambda t: -1.0 / (1.0 + t) + 1.0 / 9, 1.0),
    ],
)
def test_the_line_search_meets_the_strong_wolfe_conditions(function, slope, first):
    def phi(t: float) -> Point:
        return Point(t, function(t), np.zeros(1), slope(t))

    start = phi(0.0)
    found = strong_wolfe(phi, start, first)
    assert found.t > 0
    assert found.loss <= start.loss + C1 * found.t * start.slope
    assert abs(found.slope) <= C2 * abs(start.slope)


def test_the_line_search_comes_back_from_where_the_loss_is_not_finite():
    def phi(t: float) -> Point:
        return (
            Point(t, -math.log(1 - t) - 3 * t, np.zeros(1), 1 / (1 - t) - 3)
            if t < 1
            else Point(t, math.inf, np.zeros(1), math.nan)
        )

    found = strong_wolfe(phi, phi(0.0), 8.0)
    assert 0 < found.t < 1
    assert found.loss < 0


def test_saving_and_loading_changes_no_bit():
    def make(start: np.ndarray) -> tuple[minigrad.Tensor, optim.LBFGS]:
        w = minigrad.tensor(start, requires_grad=True)
        return w, optim.LBFGS([w], lr=1e-3, max_iter=3, history_size=4)

    start = np.array([-1.2, 1.0, 0.3])
    w, whole = make(start)
    for step in range(4):
        whole.step(closure_of(whole, lambda: rosenbrock(w)))
        if step == 1:
            saved, values = whole.state_dict(), w.data.copy()
    v, second = make(values)
    second.load_state_dict(saved)
    for _ in range(2):
        second.step(closure_of(second, lambda: rosenbrock(v)))
    assert v.data.tobytes() == w.data.tobytes()


def test_states_cross_to_pytorch_and_back():
    torch = pytest.importorskip("torch")
    w = minigrad.tensor(np.array([-1.2, 1.0, 0.3]), requires_grad=True)
    ours = optim.LBFGS([w], lr=1e-3, max_iter=3)
    ours.step(closure_of(ours, lambda: rosenbrock(w)))
    v = torch.tensor(w.data.copy(), requires_grad=True)
    theirs = torch.optim.LBFGS([v], lr=1e-3, max_iter=3)
    state = ours.state_dict()

    def convert(x: Any) -> Any:
        if isinstance(x, list):
            return [convert(y) for y in x]
        return torch.tensor(x.numpy()) if isinstance(x, minigrad.Tensor) else x

    state["state"][0] = {key: convert(x) for key, x in state["state"][0].items()}
    theirs.load_state_dict(state)
    theirs.step(closure_of(theirs, lambda: rosenbrock(v)))
    ours.step(closure_of(ours, lambda: rosenbrock(w)))
    np.testing.assert_allclose(w.data, v.detach().numpy(), rtol=1e-10)
    ours.load_state_dict(theirs.state_dict())
    theirs.step(closure_of(theirs, lambda: rosenbrock(v)))
    ours.step(closure_of(ours, lambda: rosenbrock(w)))
    np.testing.assert_allclose(w.data, v.detach().numpy(), rtol=1e-10)


def test_errors():
    w = minigrad.ones(3, requires_grad=True)
    with pytest.raises(ArgumentError, match="one parameter group"):
        optim.LBFGS([{"params": [w]}, {"params": [minigrad.ones(1, requires_grad=True)]}])
    with pytest.raises(ArgumentError, match="needs the loss"):
        optim.LBFGS(None)
    optimizer = optim.LBFGS([w])
    with pytest.raises(ArgumentError, match="needs a closure"):
        optimizer.step()
    before = w.data.copy()
    with pytest.raises(NonFiniteError, match="the loss is inf"):
        optimizer.step(closure_of(optimizer, lambda: (w / 0.0).sum()))
    np.testing.assert_array_equal(w.data, before)
    with pytest.raises(MinigradError, match="has no max_iter"):
        optimizer.load_state_dict(optim.SGD([w], lr=0.1).state_dict())


def test_an_error_in_the_closure_brings_the_parameters_back():
    w = minigrad.tensor(np.array([-1.2, 1.0]), requires_grad=True)
    optimizer = optim.LBFGS([w], line_search_fn="strong_wolfe")
    calls = [0]

    def failing() -> Any:
        calls[0] += 1
        if calls[0] == 2:
            raise RuntimeError("no more data")
        optimizer.zero_grad()
        loss = rosenbrock(w)
        loss.backward()
        return loss

    with pytest.raises(RuntimeError, match="no more data"):
        optimizer.step(failing)
    np.testing.assert_array_equal(w.data, [-1.2, 1.0])
