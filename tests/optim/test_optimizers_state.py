"""States: PyTorch's layout in both directions, schedules across a restart, and states that do not fit."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import optim
from minigrad.errors import MinigradError
from minigrad.optim import hyper
from minigrad.optim.schedules import cosine

SHAPES = [(3, 4), (4, 2)]
# Settings of each class that PyTorch has; the second dict is for ours alone.
CLASSES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "SGD": ({"lr": 0.1, "momentum": 0.9, "dampening": 0.1}, {}),
    "Adam": ({"lr": 0.01, "amsgrad": True}, {}),
    "AdamW": ({"lr": 0.01, "weight_decay": 0.1}, {}),
    "Adamax": ({"lr": 0.01}, {}),
    "NAdam": ({"lr": 0.01}, {}),
    "RAdam": ({"lr": 0.01}, {}),
    "Adagrad": ({"lr": 0.1, "lr_decay": 0.1}, {"eps_in_sqrt": False}),
    "RMSprop": ({"lr": 0.01, "centered": True, "momentum": 0.5, "alpha": 0.9}, {"eps_in_sqrt": False}),
    "Adadelta": ({"lr": 1.0}, {}),
    "ASGD": ({"lr": 0.01, "t0": 2.0}, {}),
    "Rprop": ({"lr": 0.01}, {}),
    "Adafactor": ({"lr": 0.01}, {}),
    "Muon": ({"lr": 0.01}, {}),
}
every_class = pytest.mark.parametrize("name", CLASSES)


def values(seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(s) for s in SHAPES]


class Ours:
    def __init__(self, name: str, arrays: list[np.ndarray]) -> None:
        self.params = [minigrad.tensor(a, requires_grad=True) for a in arrays]
        settings, own = CLASSES[name]
        self.optimizer = getattr(optim, name)(self.params, **settings, **own)

    def step(self, t: int) -> None:
        for p, g in zip(self.params, values(100 + t), strict=True):
            p.grad = minigrad.tensor(g)
        self.optimizer.step()

    def arrays(self) -> list[np.ndarray]:
        return [p.data.copy() for p in self.params]


@pytest.fixture
def torch(monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)
    torch.set_default_dtype(torch.float64)
    yield torch
    torch.set_default_dtype(torch.float32)


class Theirs(Ours):
    def __init__(self, torch: Any, name: str, arrays: list[np.ndarray]) -> None:
        self.torch = torch
        self.params = [torch.tensor(a, requires_grad=True) for a in arrays]
        self.optimizer = getattr(torch.optim, name)(self.params, **CLASSES[name][0])

    def step(self, t: int) -> None:
        for p, g in zip(self.params, values(100 + t), strict=True):
            p.grad = self.torch.tensor(g)
        self.optimizer.step()

    def arrays(self) -> list[np.ndarray]:
        return [p.detach().numpy().copy() for p in self.params]


def agree(a: Ours, b: Ours) -> None:
    for x, y in zip(a.arrays(), b.arrays(), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-10, atol=1e-12)


@every_class
def test_a_run_begun_in_pytorch_goes_on_here(name, torch):
    theirs = Theirs(torch, name, values())
    for t in range(5):
        theirs.step(t)
    ours = Ours(name, theirs.arrays())
    ours.optimizer.load_state_dict(theirs.optimizer.state_dict())
    for t in range(5, 10):
        theirs.step(t)
        ours.step(t)
    agree(ours, theirs)


@every_class
def test_a_run_begun_here_goes_on_in_pytorch(name, torch):
    ours = Ours(name, values())
    for t in range(5):
        ours.step(t)
    theirs = Theirs(torch, name, ours.arrays())
    theirs.optimizer.load_state_dict(in_torch(torch, ours.optimizer.state_dict()))
    for t in range(5, 10):
        theirs.step(t)
        ours.step(t)
    agree(ours, theirs)


@every_class
def test_the_state_has_pytorchs_names_and_shapes(name, torch):
    ours, theirs = Ours(name, values()), Theirs(torch, name, values())
    ours.step(0)
    theirs.step(0)
    a, b = ours.optimizer.state_dict(), theirs.optimizer.state_dict()
    assert a["state"].keys() == b["state"].keys()
    for i in b["state"]:
        ours_here = {key: np.shape(np.asarray(value)) for key, value in a["state"][i].items()}
        assert ours_here == {key: tuple(value.shape) for key, value in b["state"][i].items()}
    switches = {"foreach", "fused", "capturable", "differentiable"}
    assert b["param_groups"][0].keys() - switches <= a["param_groups"][0].keys()


def in_torch(torch: Any, value: Any) -> Any:
    if isinstance(value, dict):
        return {key: in_torch(torch, x) for key, x in value.items()}
    if isinstance(value, list):
        return [in_torch(torch, x) for x in value]
    return torch.tensor(value.numpy()) if isinstance(value, minigrad.Tensor) else value


def test_the_step_count_is_a_float32_scalar_as_in_pytorch():
    ours = Ours("Adam", values())
    ours.step(0)
    step = ours.optimizer.state_dict()["state"][0]["step"]
    assert (step.shape, step.dtype, step.item()) == ((), np.float32, 1.0)


def test_names_of_parameters_are_kept_and_checked():
    def make(*names: str) -> optim.Optimizer:
        return optim.SGD([(name, minigrad.ones(2, requires_grad=True)) for name in names], lr=0.1)

    state = make("weight", "bias").state_dict()
    assert state["param_groups"][0]["param_names"] == ["weight", "bias"]
    make("weight", "bias").load_state_dict(state)
    with pytest.raises(MinigradError, match="expected parameter 'scale' in group 0, the state has 'bias'"):
        make("weight", "scale").load_state_dict(state)


def test_a_schedule_goes_on_where_it_was():
    schedule = cosine(0.1, T=20)
    whole = optim.SGD([minigrad.ones(1, requires_grad=True)], lr=schedule)
    rates = []
    for _ in range(10):
        whole.step()
        rates.append(whole.param_groups[0]["lr"])
    assert rates == [schedule(t) for t in range(10)]
    resumed = optim.SGD([minigrad.ones(1, requires_grad=True)], lr=schedule)
    resumed.load_state_dict(whole.state_dict())
    resumed.step()
    assert resumed.lr == schedule(10)


def test_any_hyper_parameter_may_be_a_schedule():
    optimizer = optim.SGD([minigrad.ones(1, requires_grad=True)], lr=0.1, momentum=lambda t: 0.5 + 0.1 * t)
    seen = []
    for _ in range(3):
        optimizer.step()
        seen.append(optimizer.param_groups[0]["momentum"])
    assert seen == pytest.approx([0.5, 0.6, 0.7])


def test_groups_may_have_schedules_of_their_own():
    a, b = minigrad.ones(1, requires_grad=True), minigrad.ones(1, requires_grad=True)
    optimizer = optim.SGD([{"params": [a]}, {"params": [b], "lr": lambda t: 0.5 / (t + 1)}], lr=0.25)
    for p in (a, b):
        p.grad = minigrad.ones(1)
    optimizer.step()
    optimizer.step()
    assert (a.item(), b.item()) == (0.5, 0.25)


def test_a_deep_copy_follows_its_own_schedules():
    a, b = minigrad.ones(1, requires_grad=True), minigrad.ones(1, requires_grad=True)
    groups = [{"params": [a], "lr": lambda t: 1.0 + t}, {"params": [b], "lr": lambda t: 10.0 + t}]
    optimizer = optim.SGD(groups, lr=0.1)
    optimizer.step()
    other = copy.deepcopy(optimizer)
    other.step()
    assert [group["lr"] for group in other.param_groups] == [2.0, 11.0]
    assert [group["lr"] for group in optimizer.param_groups] == [1.0, 10.0]
    assert other.param_groups[0]["params"][0] is not a


def test_an_optimizer_of_your_own_needs_its_rule_alone():
    class SignSGD(optim.Optimizer):
        rules = {"lr": hyper.nonnegative}  # noqa: RUF012 (as a user would write it)

        def __init__(self, params=None, lr=1e-3, **options):
            super().__init__(params, lr=lr, **options)

        def _update(self, block, group):
            block.p -= group["lr"] * np.sign(block.g)

    params = [minigrad.tensor(a, requires_grad=True) for a in values()]
    optimizer = SignSGD(params, lr=lambda t: 0.5, nonfinite="skip")
    for p, g in zip(params, values(1), strict=True):
        p.grad = minigrad.tensor(g)
    optimizer.step()
    for p, start, g in zip(params, values(), values(1), strict=True):
        np.testing.assert_allclose(p.data, start - 0.5 * np.sign(g), rtol=1e-15)


# ---- states that do not fit ------------------------------------------------------------------------------------------


def trained(name: str = "Adam", shapes: list = SHAPES, groups: int = 1, **settings: Any) -> optim.Optimizer:
    params = [minigrad.tensor(np.ones(s), requires_grad=True) for s in shapes]
    each = len(params) // groups
    parts = [{"params": params[i : i + each]} for i in range(0, len(params), each)]
    optimizer = getattr(optim, name)(parts, lr=0.1, **settings)
    for p in params:
        p.grad = minigrad.tensor(np.ones(p.shape))
    optimizer.step()
    return optimizer


def without(state: dict, *path: Any) -> dict:
    state = copy.deepcopy(state)
    place = state
    for key in path[:-1]:
        place = place[key]
    del place[path[-1]]
    return state


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (trained("SGD", momentum=0.9).state_dict(), "has no betas, eps"),
        (trained("Adamax").state_dict(), "expected the state .*exp_avg_sq.*exp_inf"),
        (trained("RMSprop").state_dict(), "has no betas"),
        (trained(shapes=[(3, 4), (2, 4)]).state_dict(), r"exp_avg of .* in shape \(4, 2\), the state has \(2, 4\)"),
        (trained(shapes=[(3, 4)]).state_dict(), "expected 2 parameters in group 0, the state has 1"),
        (trained(groups=2).state_dict(), "expected 1 parameter groups, the state has 2"),
        (without(trained().state_dict(), "state"), "with 'state' and 'param_groups'"),
        (without(trained().state_dict(), "state", 0, "exp_avg"), "expected the state"),
        (without(trained().state_dict(), "param_groups", 0, "eps"), "has no eps"),
        ({"state": {}, "param_groups": [{}]}, "a dict with 'params'"),
        ([1, 2], "with 'state' and 'param_groups', got list"),
    ],
)
def test_a_state_that_does_not_fit_is_an_error_and_changes_nothing(state, message):
    optimizer = trained()
    before = optimizer.state_dict()
    with pytest.raises(MinigradError, match=message):
        optimizer.load_state_dict(state)
    after = optimizer.state_dict()
    assert after["param_groups"] == before["param_groups"]
    assert after["steps"] == before["steps"]
    for i, entries in before["state"].items():
        for key, value in entries.items():
            assert np.array_equal(after["state"][i][key].data, value.data)


def test_a_bad_hyper_parameter_in_a_state_is_an_error():
    state = trained().state_dict()
    state["param_groups"][0]["lr"] = -1.0
    optimizer = trained()
    with pytest.raises(MinigradError, match="lr"):
        optimizer.load_state_dict(state)
    assert optimizer.lr == 0.1


def test_the_public_state_shares_memory_and_cannot_be_mistaken_for_a_plain_dict():
    optimizer = trained()
    p = optimizer.param_groups[0]["params"][0]
    optimizer.state[p]["exp_avg"].zero_()
    np.testing.assert_array_equal(optimizer.state[p]["exp_avg"].data, np.zeros(p.shape))
    with pytest.raises(TypeError):
        optimizer.state[p] = {}
