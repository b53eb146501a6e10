"""Optimizers around optimizers, and averages of weights."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import nn, optim
from minigrad.errors import ArgumentError, MinigradError, NonFiniteError
from minigrad.optim import swa_utils


def vector(*values: float) -> minigrad.Tensor:
    return minigrad.tensor(np.array(values), requires_grad=True)


def square_step(optimizer: Any, w: minigrad.Tensor) -> None:
    optimizer.zero_grad()
    (w * w).sum().backward()
    optimizer.step()


# ---- Lookahead -------------------------------------------------------------------------------------------------------


def test_lookahead_follows_its_algorithm():
    """arXiv:1907.08610, algorithm 1, with SGD of rate 0.1 on w²."""
    w = vector(1.0, -3.0)
    optimizer = optim.Lookahead(optim.SGD([w], lr=0.1), k=3, alpha=0.4)
    fast = slow = np.array([1.0, -3.0])
    for t in range(10):
        square_step(optimizer, w)
        fast = fast - 0.1 * 2 * fast
        if (t + 1) % 3 == 0:
            slow = slow + 0.4 * (fast - slow)
            fast = slow
        np.testing.assert_allclose(w.data, fast, rtol=1e-13)


def test_lookahead_resumes_bit_for_bit():
    def make(values: np.ndarray) -> tuple[minigrad.Tensor, optim.Lookahead]:
        w = minigrad.tensor(values, requires_grad=True)
        return w, optim.Lookahead(optim.Adam([w], lr=0.1), k=3)

    w, whole = make(np.array([1.0, -3.0]))
    for t in range(8):
        if t == 4:
            state, values = copy.deepcopy(whole.state_dict()), w.data.copy()
        square_step(whole, w)
    v, second = make(values)
    second.load_state_dict(state)
    for _ in range(4):
        square_step(second, v)
    assert v.data.tobytes() == w.data.tobytes()


def test_lookahead_takes_new_groups_and_refuses_states_that_do_not_fit():
    w, v = vector(1.0), vector(2.0)
    optimizer = optim.Lookahead(optim.SGD([w], lr=0.25), k=1, alpha=0.5)
    optimizer.add_param_group({"params": [v]})
    optimizer.zero_grad()
    (w + v).sum().backward()
    optimizer.step()
    assert (w.item(), v.item()) == (1 - 0.125, 2 - 0.125)
    with pytest.raises(MinigradError, match="slow"):
        optimizer.load_state_dict(optim.SGD([w], lr=0.1).state_dict())
    with pytest.raises(MinigradError, match="shapes"):
        optimizer.load_state_dict(optim.Lookahead(optim.SGD([vector(1.0)], lr=0.1)).state_dict())


@pytest.mark.parametrize("options", [{"k": 0}, {"k": 2.5}, {"alpha": 0.0}, {"alpha": 1.5}, {"alpha": math.nan}])
def test_bad_arguments_of_lookahead(options):
    with pytest.raises(ArgumentError, match=next(iter(options))):
        optim.Lookahead(optim.SGD([vector(1.0)], lr=0.1), **options)
    with pytest.raises(MinigradError, match="expected an optimizer"):
        optim.Lookahead([vector(1.0)])


# ---- SAM -------------------------------------------------------------------------------------------------------------


def sam_closure(optimizer: Any, w: minigrad.Tensor, scale: np.ndarray) -> Any:
    def closure() -> minigrad.Tensor:
        optimizer.zero_grad()
        loss = (w * w * minigrad.tensor(scale)).sum()
        loss.backward()
        return loss

    return closure


@pytest.mark.parametrize("adaptive", [False, True])
def test_sam_steps_from_where_it_is_with_the_gradient_of_the_worst_point_nearby(adaptive):
    """arXiv:2010.01412 equation 2 and arXiv:2102.11600 equation 8, for Σ s w²."""
    start, scale = np.array([1.0, -2.0]), np.array([1.0, 3.0])
    w = minigrad.tensor(start, requires_grad=True)
    optimizer = optim.SAM(optim.SGD([w], lr=0.01), rho=0.1, adaptive=adaptive)
    loss = optimizer.step(sam_closure(optimizer, w, scale))
    g = 2 * scale * start
    climb = start**2 * g / np.linalg.norm(np.abs(start) * g) if adaptive else g / np.linalg.norm(g)
    np.testing.assert_allclose(w.data, start - 0.01 * 2 * scale * (start + 0.1 * climb), rtol=1e-13)
    assert loss.item() == pytest.approx(13.0)


def test_sam_with_radius_zero_is_the_inner_optimizer():
    a, b = vector(1.0, -2.0), vector(1.0, -2.0)
    plain, sam = optim.Adam([a], lr=0.1), optim.SAM(optim.Adam([b], lr=0.1), rho=0.0)
    for _ in range(5):
        plain.step(sam_closure(plain, a, np.ones(2)))
        sam.step(sam_closure(sam, b, np.ones(2)))
    assert np.array_equal(a.data, b.data)


def test_sam_comes_back_when_the_second_evaluation_fails():
    w = vector(1.0)
    optimizer = optim.SAM(optim.SGD([w], lr=0.1))
    calls = [0]

    def closure() -> minigrad.Tensor:
        calls[0] += 1
        if calls[0] == 2:
            raise RuntimeError("no more data")
        return sam_closure(optimizer, w, np.ones(1))()

    with pytest.raises(RuntimeError, match="no more data"):
        optimizer.step(closure)
    assert w.item() == 1.0
    with pytest.raises(ArgumentError, match="needs a closure"):
        optimizer.step()


# ---- accumulation ----------------------------------------------------------------------------------------------------


def test_accumulating_k_batches_is_one_batch_of_all():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((12, 3)), rng.standard_normal((12, 1))
    models = [nn.Linear(3, 1).double() for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    whole = optim.Adam(models[0].parameters(), lr=0.1)
    parts = optim.accumulate(optim.Adam(models[1].parameters(), lr=0.1), k=4)

    def learn(model: nn.Module, optimizer: Any, rows: slice) -> None:
        optimizer.zero_grad()
        off = model(minigrad.tensor(x[rows])) - minigrad.tensor(y[rows])
        (off * off).mean().backward()
        optimizer.step()

    for _ in range(3):
        learn(models[0], whole, slice(None))
        for i in range(4):
            learn(models[1], parts, slice(3 * i, 3 * i + 3))
    np.testing.assert_allclose(models[1].weight.data, models[0].weight.data, rtol=1e-12)
    assert whole.steps == parts.steps == 3


def test_flush_steps_with_the_mean_of_what_there_is():
    w = vector(0.0)
    optimizer = optim.accumulate(optim.SGD([w], lr=1.0), k=4)
    for g in (1.0, 2.0):
        optimizer.zero_grad()
        (w * g).sum().backward()
        optimizer.step()
    assert w.item() == 0.0
    with pytest.raises(ArgumentError, match="after 2 of 4 batches"):
        optimizer.load_state_dict(optimizer.state_dict())
    optimizer.flush()
    assert w.item() == -1.5
    optimizer.flush()
    assert w.item() == -1.5
    optimizer.load_state_dict(optimizer.state_dict())


def test_a_wrapped_optimizer_is_scheduled_like_any_other():
    w = vector(1.0)
    optimizer = optim.accumulate(optim.SGD([w], lr=0.5), k=2)
    scheduler = optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    scheduler.step()
    assert optimizer.lr == optimizer.optimizer.lr == 0.25
    optimizer.lr = 0.125
    assert optimizer.optimizer.param_groups[0]["lr"] == 0.125


# ---- composite -------------------------------------------------------------------------------------------------------


def routed(nonfinite: str = "raise") -> tuple[nn.Module, optim.Composite]:
    minigrad.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    return model, optim.Composite.route(
        model.named_parameters(),
        [
            (lambda name, p: p.ndim == 2, lambda ps: optim.Muon(ps, lr=0.02, nonfinite=nonfinite)),
            (None, lambda ps: optim.AdamW(ps, lr=0.01, nonfinite=nonfinite)),
        ],
    )


def learn(model: nn.Module, optimizer: Any) -> None:
    optimizer.zero_grad()
    out = model(minigrad.tensor(np.arange(20.0, dtype=np.float32).reshape(5, 4) / 10))
    (out * out).sum().backward()


def test_each_parameter_goes_to_its_optimizer():
    model, together = routed()
    names = [group["param_names"] for group in together.param_groups]
    assert names == [["0.weight", "2.weight"], ["0.bias", "2.bias"]]
    other, _ = routed()
    parts = [
        optim.Muon([other[0].weight, other[2].weight], lr=0.02),
        optim.AdamW([other[0].bias, other[2].bias], lr=0.01),
    ]
    for _ in range(3):
        learn(model, together)
        together.step()
        for part in parts:
            part.zero_grad()
        learn(other, together)
        for part in parts:
            part.step()
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        assert np.array_equal(a.data, b.data)


@pytest.mark.parametrize("nonfinite", ["raise", "skip"])
def test_a_bad_gradient_of_one_part_stops_all(nonfinite):
    model, optimizer = routed(nonfinite)
    learn(model, optimizer)
    model[2].bias.grad.data[0] = math.nan
    before = [p.data.copy() for p in model.parameters()]
    if nonfinite == "raise":
        with pytest.raises(NonFiniteError, match=r"2\.bias"):
            optimizer.step()
    else:
        optimizer.step()
    assert all(np.array_equal(p.data, x) for p, x in zip(model.parameters(), before, strict=True))


def test_composite_states_resume_and_a_part_that_does_not_fit_changes_nothing():
    model, optimizer = routed()
    learn(model, optimizer)
    optimizer.step()
    state = copy.deepcopy(optimizer.state_dict())
    other, second = routed()
    other.load_state_dict(model.state_dict())
    second.load_state_dict(state)
    for m, o in ((model, optimizer), (other, second)):
        learn(m, o)
        o.step()
    assert all(np.array_equal(a.data, b.data) for a, b in zip(model.parameters(), other.parameters(), strict=True))
    before = second.state_dict()
    state["optimizers"][1] = state["optimizers"][0]
    with pytest.raises(MinigradError):
        second.load_state_dict(state)
    after = second.state_dict()
    assert after["optimizers"][0]["steps"] == before["optimizers"][0]["steps"]


def test_errors_of_the_composite():
    w = vector(1.0)
    with pytest.raises(ArgumentError, match="in two of the optimizers"):
        optim.Composite(optim.SGD([w], lr=0.1), optim.Adam([w]))
    with pytest.raises(ArgumentError, match="no route took bias"):
        optim.Composite.route([("bias", w)], [(lambda name, p: False, optim.SGD)])
    with pytest.raises(ArgumentError, match="at least one"):
        optim.Composite()


# ---- groups ----------------------------------------------------------------------------------------------------------


def test_decay_groups_leave_out_biases_and_norms():
    class LayerNorm(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(minigrad.ones(2, 3))  # two dimensions, as for normalised images

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.norm, self.second = nn.Linear(3, 2), LayerNorm(), nn.Conv2d(1, 2, 3)

    decaying, others = optim.decay_groups(Net(), 0.1)
    assert [name for name, _ in decaying["params"]] == ["first.weight", "second.weight"]
    assert [name for name, _ in others["params"]] == ["first.bias", "norm.weight", "second.bias"]
    assert (decaying["weight_decay"], others["weight_decay"]) == (0.1, 0.0)
    optimizer = optim.AdamW(optim.decay_groups(Net(), 0.1), lr=0.1)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.1, 0.0]
    with pytest.raises(ArgumentError, match="no parameters"):
        optim.decay_groups(nn.ReLU())


# ---- averages of weights ---------------------------------------------------------------------------------------------


class Plain(nn.Module):
    def __init__(self, value: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(minigrad.full((2,), value))
        self.register_buffer("seen", minigrad.full((1,), value))

    def forward(self, x: Any) -> Any:
        return x * self.weight


def test_the_swa_average_is_the_mean_of_the_models():
    model = Plain(0.0)
    averaged = swa_utils.AveragedModel(model)
    for value in (1.0, 2.0, 6.0):
        model.weight.data[...] = value
        model.seen.data[...] = value
        averaged.update_parameters(model)
    np.testing.assert_allclose(averaged.module.weight.data, 3.0)
    np.testing.assert_allclose(averaged.module.seen.data, 6.0)  # buffers are copied
    np.testing.assert_allclose(averaged(minigrad.ones(2)).data, 3.0)
    assert averaged.n_averaged == 3
    np.testing.assert_allclose(model.weight.data, 6.0)


def test_the_exponential_average_and_buffers_on_request():
    model = Plain(1.0)
    averaged = swa_utils.AveragedModel(model, swa_utils.get_ema_avg_fn(0.9), use_buffers=True)
    for value in (1.0, 2.0, 3.0):
        model.weight.data[...] = value
        model.seen.data[...] = value
        averaged.update_parameters(model)
    expected = 0.9 * (0.9 * 1.0 + 0.1 * 2.0) + 0.1 * 3.0
    np.testing.assert_allclose(averaged.module.weight.data, expected, rtol=1e-6)
    np.testing.assert_allclose(averaged.module.seen.data, expected, rtol=1e-6)


@pytest.mark.parametrize("kind", ["swa", "ema"])
def test_averages_agree_with_pytorch(kind):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    theirs, ours = torch.nn.Linear(3, 2).double(), nn.Linear(3, 2).double()
    their_fn = {"swa": torch.optim.swa_utils.get_swa_avg_fn(), "ema": torch.optim.swa_utils.get_ema_avg_fn(0.99)}[kind]
    our_fn = {"swa": swa_utils.get_swa_avg_fn(), "ema": swa_utils.get_ema_avg_fn(0.99)}[kind]
    a, b = torch.optim.swa_utils.AveragedModel(theirs, avg_fn=their_fn), swa_utils.AveragedModel(ours, our_fn)
    for _ in range(5):
        weight, bias = rng.standard_normal((2, 3)), rng.standard_normal(2)
        with torch.no_grad():
            theirs.weight.copy_(torch.tensor(weight))
            theirs.bias.copy_(torch.tensor(bias))
        ours.weight.data[...], ours.bias.data[...] = weight, bias
        a.update_parameters(theirs)
        b.update_parameters(ours)
    assert sorted(a.state_dict()) == sorted(b.state_dict())
    np.testing.assert_allclose(b.module.weight.data, a.module.weight.detach().numpy(), rtol=1e-13)
    np.testing.assert_allclose(b.module.bias.data, a.module.bias.detach().numpy(), rtol=1e-13)


def test_averaged_models_are_saved_and_loaded_and_refuse_other_models():
    model = Plain(1.0)
    averaged = swa_utils.AveragedModel(model)
    averaged.update_parameters(model)
    other = swa_utils.AveragedModel(Plain(0.0))
    other.load_state_dict(averaged.state_dict())
    assert other.n_averaged == 1
    np.testing.assert_allclose(other.module.weight.data, 1.0)
    with pytest.raises(MinigradError, match="other parameters"):
        averaged.update_parameters(nn.Linear(2, 2))
    with pytest.raises(ArgumentError, match="n_averaged"):
        other.load_state_dict(model.state_dict())


def test_statistics_of_batch_normalisation_are_computed_anew():
    """Whatever the layer kept, it ends with the plain mean of its batches' statistics."""

    class Norm(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.momentum: float | None = 0.1
            self.register_buffer("running_mean", minigrad.zeros(1))
            self.count = 0

        def reset_running_stats(self) -> None:
            self.running_mean.zero_()
            self.count = 0

        def forward(self, x: Any) -> Any:
            if self.training:
                self.count += 1
                rate = 1 / self.count if self.momentum is None else self.momentum
                self.running_mean.data[...] += rate * (x.data.mean() - self.running_mean.data)
            return x

    model = nn.Sequential(Norm())
    model[0].running_mean.fill_(100.0)
    model.eval()
    batches = [(minigrad.full((2, 1), value), None) for value in (1.0, 2.0, 6.0)]
    swa_utils.update_bn(batches, model)
    np.testing.assert_allclose(model[0].running_mean.data, 3.0)
    assert (model[0].momentum, model.training) == (0.1, False)
    swa_utils.update_bn(batches, nn.Sequential(nn.ReLU()))
