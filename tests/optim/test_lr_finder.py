"""The learning-rate range test: on closed forms, on both frameworks, and what it must not touch."""

from __future__ import annotations

import copy

import matplotlib
import numpy as np
import pytest

import minigrad
from minigrad import nn, optim
from minigrad.errors import ArgumentError
from minigrad.nn import functional as F
from minigrad.optim.lr_finder import LRRangeTest, lr_range_test
from minigrad.optim.schedules import cosine

matplotlib.use("Agg")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(256, 8)).astype(np.float32)
LABELS = (X @ RNG.normal(size=(8, 3))).argmax(axis=1)


def batches(size=32):
    return [(minigrad.tensor(X[i : i + size]), minigrad.tensor(LABELS[i : i + size])) for i in range(0, len(X), size)]


def network():
    minigrad.manual_seed(1)
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))


class Quadratic(nn.Module):
    """loss = ½ Σ h_i w_i², for which gradient descent is a closed form and diverges above 2/max(h)."""

    def __init__(self, curvatures):
        super().__init__()
        self.w = nn.Parameter(minigrad.ones(len(curvatures), dtype=minigrad.float64))
        self.h = minigrad.tensor(np.array(curvatures, dtype=np.float64))

    def forward(self, scale):
        return (self.h * self.w * self.w).sum() * 0.5


def test_the_losses_are_those_of_gradient_descent_with_a_growing_rate():
    h = np.array([1.0, 0.2])
    model = Quadratic(h)
    result = lr_range_test(
        model, optim.SGD(model.parameters(), lr=0.3), lambda out, _: out, [(1, 0)], 1e-3, 1.0, steps=50
    )
    w, losses = np.ones(2), []
    lrs = np.geomspace(1e-3, 1.0, 50)
    for lr in lrs:
        losses.append(0.5 * (h * w * w).sum())
        w = w - lr * h * w
    np.testing.assert_allclose(result.lrs, lrs, rtol=1e-12)
    np.testing.assert_allclose(result.losses, losses, rtol=1e-12)
    assert result.diverged_at is None


def test_it_stops_when_the_rate_has_passed_the_limit_of_stability():
    # Gradient descent on curvature 10 grows above lr = 2/10.
    h = np.array([10.0, 0.01])
    model = Quadratic(h)
    result = lr_range_test(model, optim.SGD(model.parameters(), lr=0.3), lambda out, _: out, [(1, 0)], 0.01, 1e3)
    w, losses, lrs = np.ones(2), [], np.geomspace(0.01, 1e3, 100)
    for lr in lrs:
        losses.append(0.5 * (h * w * w).sum())
        w = w - lr * h * w
    lowest = np.minimum.accumulate(losses)
    # The running mean passes four times its lowest after a single loss does, and before one is a hundred times it.
    earliest, latest = (lrs[np.argmax(losses > times * lowest)] for times in (4, 100))
    assert 0.2 < earliest <= result.diverged_at <= latest
    assert len(result.losses) == len(result.lrs) == len(result.smoothed) < 100
    assert result.lrs[-1] < result.diverged_at
    assert result.suggestion < 0.2


def test_the_points_are_found_on_a_known_curve():
    # In u = log10(lr), the loss is a falling logistic around u = -3, then it rises from u = -1 on.
    u = np.linspace(-6, 0, 121)
    curve = 1 / (1 + np.exp(4 * (u + 3))) + 5 * np.maximum(u + 1, 0) ** 2
    result = LRRangeTest(10**u, curve, curve, None)
    assert result.steepest == pytest.approx(1e-3, rel=0.13)
    assert result.tenth_of_minimum == pytest.approx(10 ** (u[curve.argmin()] - 1))
    assert 10**-2.2 < result.tenth_of_minimum < 10**-1.9
    assert result.suggestion == result.steepest


def test_smoothing_is_not_late():
    model = Quadratic([1.0])
    result = lr_range_test(
        model, optim.SGD(model.parameters(), lr=1.0), lambda out, _: out, [(1, 0)], 1e-3, 1.0, smoothing=0.9
    )
    weights = 0.9 ** np.abs(np.arange(100)[:, None] - np.arange(100))
    np.testing.assert_allclose(result.smoothed, weights @ result.losses / weights.sum(axis=1), rtol=1e-12)
    plain = lr_range_test(
        model, optim.SGD(model.parameters(), lr=1.0), lambda out, _: out, [(1, 0)], 1e-3, 1.0, smoothing=0.0
    )
    np.testing.assert_array_equal(plain.smoothed, plain.losses)


def snapshot(model, optimizer):
    state = optimizer.state_dict()
    return copy.deepcopy(
        (
            {name: value.detach().numpy() for name, value in model.state_dict().items()},
            [None if p.grad is None else p.grad.numpy() for p in model.parameters()],
            [{k: v for k, v in group.items() if k != "params"} for group in state["param_groups"]],
            {
                i: {k: np.asarray(v.detach().numpy() if hasattr(v, "detach") else v) for k, v in slots.items()}
                for i, slots in state["state"].items()
            },
        )
    )


def same_bits(a, b):
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same_bits(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same_bits, a, b))
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.tobytes() == b.tobytes()
    return a == b


def train(model, optimizer, steps):
    for x, y in (batches() * 10)[:steps]:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()


@pytest.mark.parametrize("make", [lambda p: optim.SGD(p, lr=0.1, momentum=0.9), lambda p: optim.AdamW(p, lr=0.01)])
@pytest.mark.parametrize("steps_before", [0, 5])
def test_model_and_optimizer_are_untouched_bit_for_bit(make, steps_before):
    model = network()
    optimizer = make(model.parameters())
    train(model, optimizer, steps_before)
    twin, twin_optimizer = copy.deepcopy((model, optimizer))
    before = snapshot(model, optimizer)
    tensors = [(id(p), id(p.grad)) for p in model.parameters()]
    result = lr_range_test(model, optimizer, F.cross_entropy, batches(), lr_max=100.0)
    assert len(result.losses) > 20
    assert same_bits(snapshot(model, optimizer), before)
    assert [(id(p), id(p.grad)) for p in model.parameters()] == tensors
    # And training goes on as if nothing had been.
    train(model, optimizer, 5)
    train(twin, twin_optimizer, 5)
    assert same_bits(snapshot(model, optimizer), snapshot(twin, twin_optimizer))


def test_model_and_optimizer_are_untouched_when_the_test_fails():
    model = network()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    before = snapshot(model, optimizer)
    with pytest.raises(RuntimeError, match="no loss today"):
        lr_range_test(model, optimizer, lambda out, y: (_ for _ in ()).throw(RuntimeError("no loss today")), batches())
    assert same_bits(snapshot(model, optimizer), before)


def test_the_suggestion_trains_the_network():
    model = network()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    result = lr_range_test(model, optimizer, F.cross_entropy, batches(), 1e-4, 100.0)
    assert result.suggestion == min(result.steepest, result.tenth_of_minimum)
    assert 1e-3 < result.suggestion < 10.0

    def loss_after(lr):
        model = network()
        train(model, optim.SGD(model.parameters(), lr=lr), 40)
        return F.cross_entropy(model(minigrad.tensor(X)), minigrad.tensor(LABELS)).item()

    assert loss_after(result.suggestion) < 0.7 * loss_after(result.suggestion / 100)


def test_groups_keep_the_ratios_of_their_rates():
    model = network()
    layers = list(model)
    optimizer = optim.SGD(
        [{"params": layers[0].parameters(), "lr": 0.1}, {"params": layers[2].parameters(), "lr": 0.001}], lr=1.0
    )
    seen = []

    def loss_fn(out, y):
        return F.cross_entropy(out, y)

    class Watched(optim.SGD):
        def step(self, closure=None):
            seen.append([group["lr"] for group in self.param_groups])
            return super().step(closure)

    optimizer.__class__ = Watched
    result = lr_range_test(model, optimizer, loss_fn, batches(), 1e-4, 1.0, steps=20)
    np.testing.assert_allclose(np.array(seen)[:, 0], result.lrs, rtol=1e-12)
    np.testing.assert_allclose(np.array(seen)[:, 1], 0.01 * result.lrs, rtol=1e-12)


def test_batches_are_begun_anew_and_may_have_several_inputs():
    class Sum(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(8, 3)

        def forward(self, a, b):
            return self.layer(a + b)

    model = Sum()
    two = [(x, x, y) for x, y in batches()[:2]]
    result = lr_range_test(model, optim.SGD(model.parameters(), lr=0.1), F.cross_entropy, two, 1e-5, 1e-2, steps=9)
    assert len(result.losses) == 9


def test_a_loss_that_is_not_finite_ends_the_test_before_the_optimizer_sees_it():
    model = Quadratic([1.0])
    calls = []

    def loss_fn(out, _):
        calls.append(1)
        return out * (float("nan") if len(calls) > 12 else 1.0)

    result = lr_range_test(model, optim.SGD(model.parameters(), lr=1.0), loss_fn, [(1, 0)], 1e-4, 1e-1)
    assert len(result.losses) == 12
    assert result.diverged_at == pytest.approx(result.lrs[-1] * 1000 ** (1 / 99))


def test_a_negative_loss_that_falls_is_no_divergence_and_one_that_rises_far_is():
    model = Quadratic([1.0])
    fall = lr_range_test(model, optim.SGD(model.parameters(), lr=1.0), lambda out, _: out - 10.0, [(1, 0)], 1e-3, 1.0)
    assert fall.diverged_at is None
    model = Quadratic([1.0])
    rise = lr_range_test(model, optim.SGD(model.parameters(), lr=1.0), lambda out, _: out - 10.0, [(1, 0)], 1e-1, 100.0)
    assert rise.diverged_at is not None
    assert rise.diverged_at > 2.0


@pytest.fixture
def pyplot():
    import matplotlib.pyplot as plt

    yield plt
    plt.close("all")


def test_the_plot_marks_both_points_and_the_divergence(pyplot):
    u = np.linspace(-6, 0, 121)
    curve = 1 / (1 + np.exp(4 * (u + 3))) + 5 * np.maximum(u + 1, 0) ** 2
    result = LRRangeTest(10**u, curve + 0.02 * np.sin(50 * u), curve, 1.1)
    ax = result.plot()
    ax.figure.canvas.draw()
    assert ax.get_xscale() == "log"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("learning rate", "loss")
    marked = {line.get_label().split(":")[0]: line.get_xdata()[0] for line in ax.lines if line.get_marker() in "oD"}
    assert marked == {"steepest descent": result.steepest, "a tenth of the minimum": result.tenth_of_minimum}
    assert "diverged at 1.1" in [text.get_text() for text in ax.get_legend().get_texts()]
    assert "steepest descent at 0.001" in str(result)


def test_a_loss_that_never_falls_has_no_suggestion_but_a_plot(pyplot):
    curve = np.linspace(1.0, 2.0, 20)
    result = LRRangeTest(np.geomspace(1e-3, 1, 20), curve, curve, None)
    for point in ("steepest", "tenth_of_minimum", "suggestion"):
        with pytest.raises(ArgumentError, match="Start lower"):
            getattr(result, point)
    assert len(result.plot().lines) == 2
    assert "did not fall" in str(result)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lr_min": 0}, "lr_min"),
        ({"lr_max": -1}, "lr_max"),
        ({"lr_min": 1.0, "lr_max": 0.1}, "lr_min below lr_max"),
        ({"steps": 4}, "steps"),
        ({"smoothing": 1.0}, "smoothing"),
        ({"divergence": 1.0}, "divergence"),
        ({"batches": 3}, "batches"),
        ({"batches": []}, "at least one batch"),
        ({"batches": [3]}, r"\(input, target\)"),
        ({"lr_min": 1e6, "lr_max": 1e30}, "Start lower"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    model = Quadratic([1.0])
    call = {"loss_fn": lambda out, _: out, "batches": [(1, 0)], **arguments}
    with pytest.raises(ArgumentError, match=message):
        lr_range_test(model, optim.SGD(model.parameters(), lr=0.1), **call)


def test_an_optimizer_of_other_parameters_or_with_a_schedule_as_rate_is_refused():
    model = Quadratic([1.0])
    with pytest.raises(ArgumentError, match="over parameters of the model"):
        lr_range_test(model, optim.SGD(Quadratic([1.0]).parameters(), lr=0.1), lambda out, _: out, [(1, 0)])
    with pytest.raises(ArgumentError, match="not with a schedule"):
        lr_range_test(model, optim.SGD(model.parameters(), lr=cosine(0.1, 10)), lambda out, _: out, [(1, 0)])


def test_it_tests_pytorchs_models_and_optimizers_too():
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(8, 16), torch.nn.BatchNorm1d(16), torch.nn.ReLU(), torch.nn.Linear(16, 3)
    )
    data = [(torch.tensor(X[i : i + 32]), torch.tensor(LABELS[i : i + 32])) for i in range(0, 256, 32)]
    for optimizer in (
        torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9),
        torch.optim.Adam(model.parameters()),
    ):
        before = copy.deepcopy((model.state_dict(), optimizer.state_dict()))
        result = lr_range_test(model, optimizer, torch.nn.functional.cross_entropy, data, 1e-5, 1e3, steps=40)
        assert result.losses[0] == pytest.approx(
            torch.nn.functional.cross_entropy(model(data[0][0]), data[0][1]).item(), rel=0.2
        )
        model.load_state_dict(before[0])  # the line above has moved the running means
        after = (model.state_dict(), optimizer.state_dict())
        assert all(torch.equal(before[0][name], after[0][name]) for name in before[0])
        assert after[1] == before[1]
        assert result.suggestion > 1e-5
