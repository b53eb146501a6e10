"""What holds for every optimizer whatever the numbers: memory layout, saving, order and grouping change nothing."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad
from minigrad import optim
from minigrad.backward import accumulate
from minigrad.optim import arena

# Settings under which each class uses all of its state.
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "SGD": {"lr": 0.1},
    "GD": {"lr": 0.1},
    "SGDMomentum": {"lr": 0.1, "dampening": 0.2, "weight_decay": 0.01},
    "Nesterov": {"lr": 0.1, "nesterov": True},
    "AdaGrad": {"lr": 0.1, "lr_decay": 0.1},
    "RMSprop": {"lr": 0.01, "momentum": 0.9, "centered": True},
    "Adadelta": {},
    "Adam": {"lr": 0.01, "amsgrad": True, "weight_decay": 0.1},
    "AdamW": {"lr": 0.01},
    "Adamax": {"lr": 0.01},
    "NAdam": {"lr": 0.01},
    "RAdam": {"lr": 0.01},
    "ASGD": {"lr": 0.01, "t0": 3.0},
    "Rprop": {"lr": 0.01},
    "Adafactor": {"lr": 0.01},
    "Muon": {"lr": 0.01},
    "Lion": {"lr": 0.01, "weight_decay": 0.1},
    "LARS": {"lr": 0.1, "weight_decay": 0.01},
    "LAMB": {"lr": 0.01},
    "AdaBelief": {"lr": 0.01},
    "Yogi": {"lr": 0.01},
    "Adan": {"lr": 0.01, "weight_decay": 0.1},
    "ScheduleFreeSGD": {"lr": 0.1, "weight_decay": 0.01},
    "ScheduleFreeAdamW": {"lr": 0.01, "weight_decay": 0.1, "warmup_steps": 3},
    "Prodigy": {"weight_decay": 0.01},
}
SHAPES = [(3, 4), (5,), (2, 3, 2), (), (33,)]
MATRICES = [(3, 4), (5, 2), (17, 3)]
every_class = pytest.mark.parametrize("name", OPTIMIZERS)


class Run:
    """Parameters, an optimizer, and a stream of gradients that depends on nothing but the seed."""

    def __init__(self, name: str, seed: int = 0, dtype: str = "float32", **more: Any) -> None:
        rng = np.random.default_rng(seed)
        shapes = MATRICES if name == "Muon" else SHAPES
        self.name, self.seed, self.dtype, self.more = name, seed, dtype, more
        self.params = [minigrad.tensor(np.asarray(rng.standard_normal(s), dtype), requires_grad=True) for s in shapes]
        self.optimizer = getattr(optim, name)(self.params, **OPTIMIZERS[name], **more)

    def step(self, t: int, skip: set[int] | None = None) -> None:
        """Step t; the parameters in `skip` get no gradient."""
        rng = np.random.default_rng((self.seed, t))
        self.optimizer.zero_grad()
        for i, p in enumerate(self.params):
            g = np.asarray(rng.standard_normal(p.shape), self.dtype)
            if i not in (skip or ()):
                accumulate(p, g)
        self.optimizer.step()

    def values(self) -> list[np.ndarray]:
        return [p.data.copy() for p in self.params]


def same_bits(a: list[np.ndarray], b: list[np.ndarray]) -> bool:
    return all(x.dtype == y.dtype and x.tobytes() == y.tobytes() for x, y in zip(a, b, strict=True))


def apart(name: str, seed: int = 0, dtype: str = "float32", **more: Any) -> Run:
    """The same run on tensors that no arena may move, because somebody else holds their memory."""
    run = Run.__new__(Run)
    rng = np.random.default_rng(seed)
    shapes = MATRICES if name == "Muon" else SHAPES
    run.name, run.seed, run.dtype, run.more = name, seed, dtype, more
    run.arrays = [np.asarray(rng.standard_normal(s), dtype) for s in shapes]
    run.params = [minigrad.from_numpy(a).requires_grad_() for a in run.arrays]
    run.optimizer = getattr(optim, name)(run.params, **OPTIMIZERS[name], **more)
    return run


def in_arena(run: Run) -> bool:
    return all(plan.arenas and not plan.loose for plan in run.optimizer._plans)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@every_class
def test_the_arena_and_single_tensors_give_the_same_bits(name, dtype):
    together, single = Run(name, 1, dtype), apart(name, 1, dtype)
    if together.optimizer.elementwise:
        assert in_arena(together)
    assert not in_arena(single)
    for t in range(6):
        together.step(t)
        single.step(t)
    assert same_bits(together.values(), single.values())
    assert same_bits([p.data for p in single.params], single.arrays), "the memory the user holds is what is updated"


@pytest.mark.parametrize("name", ["SGDMomentum", "Adam", "Lion"])
def test_threads_change_no_bit(name, monkeypatch):
    serial, parallel = Run(name, 3), Run(name, 3)
    for t in range(3):
        serial.step(t)
        monkeypatch.setattr(arena, "PARALLEL_FROM", 1)
        parallel.step(t)
        monkeypatch.undo()
    assert same_bits(serial.values(), parallel.values())


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_missing_gradients_and_rebound_parameters_give_the_same_bits_in_an_arena(data):
    name = data.draw(st.sampled_from(sorted(OPTIMIZERS)))
    clip = data.draw(st.sampled_from([{}, {"global_clipnorm": 1.0}, {"clipnorm": 0.5}, {"clipvalue": 0.1}]))
    together, single = Run(name, 2, **clip), apart(name, 2, **clip)
    count = len(together.params)
    for t in range(data.draw(st.integers(2, 8))):
        if data.draw(st.integers(0, 4)) == 0:  # somebody puts other memory under a parameter
            i = data.draw(st.integers(0, count - 1))
            together.params[i].data = np.asarray(together.params[i].data * np.float32(0.5))
            single.params[i].data[...] *= np.float32(0.5)
        skip = data.draw(st.sets(st.integers(0, count - 1), max_size=count)) if data.draw(st.booleans()) else set()
        together.step(t, skip)
        single.step(t, skip)
        assert same_bits(together.values(), single.values())


@every_class
def test_saving_and_loading_in_the_middle_changes_no_bit(name):
    whole, first = Run(name), Run(name)
    for t in range(8):
        whole.step(t, {0} if t in (1, 5) else None)
        if t < 4:
            first.step(t, {0} if t == 1 else None)
    second = Run(name, 99)
    for p, value in zip(second.params, first.values(), strict=True):
        p.data[...] = value
    second.optimizer.load_state_dict(first.optimizer.state_dict())
    second.seed = first.seed
    for t in range(4, 8):
        second.step(t, {0} if t == 5 else None)
    assert same_bits(whole.values(), second.values())
    assert second.optimizer.steps == whole.optimizer.steps == 8
    assert in_arena(second) == second.optimizer.elementwise


@every_class
def test_a_state_dict_holds_copies(name):
    run = Run(name)
    run.step(0)
    state = run.optimizer.state_dict()
    before = copy.deepcopy(state)
    run.step(1)
    for i, entries in before["state"].items():
        for key, value in entries.items():
            assert np.array_equal(np.asarray(state["state"][i][key]), np.asarray(value)), key


@every_class
def test_a_deep_copy_goes_on_by_itself(name):
    run = Run(name)
    run.step(0)
    other = copy.copy(run)
    other.params, other.optimizer = copy.deepcopy((run.params, run.optimizer))
    before = run.values()
    other.step(1)
    assert same_bits(run.values(), before)
    run.step(1)
    assert same_bits(run.values(), other.values())


@every_class
def test_the_order_of_parameters_does_not_matter(name):
    forward, backward = Run(name, dtype="float64"), Run(name, dtype="float64")
    backward.optimizer = getattr(optim, name)(backward.params[::-1], **OPTIMIZERS[name])
    for t in range(5):
        forward.step(t)
        backward.step(t)
    if name == "Prodigy":  # it adds up over all parameters, and sums round by their order
        np.testing.assert_allclose(forward.values()[0], backward.values()[0], rtol=1e-12)
    else:
        assert same_bits(forward.values(), backward.values())


@every_class
def test_grouping_does_not_matter(name):
    one, many = Run(name, dtype="float64"), Run(name, dtype="float64")
    many.optimizer = getattr(optim, name)([{"params": [p]} for p in many.params], **OPTIMIZERS[name])
    for t in range(5):
        one.step(t)
        many.step(t)
    for a, b in zip(one.values(), many.values(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12 if name == "Prodigy" else 0)


@pytest.mark.parametrize("name", ["Adam", "Adamax", "NAdam", "RMSprop", "AdaGrad", "AdaBelief", "Yogi", "Adan"])
def test_a_scale_invariant_optimizer_makes_the_same_steps_for_gradients_of_any_scale(name):
    """With ε = 0, multiplying every gradient by a constant changes nothing."""
    options = {"lr": 0.01, "eps": 0.0}
    if name == "Yogi":
        options["initial_accumulator_value"] = 0.0
    paths = []
    for scale in (1.0, 1024.0):
        w = minigrad.tensor(np.array([1.0, -2.0, 3.0]), requires_grad=True)
        optimizer = getattr(optim, name)([w], **options)
        for t in range(5):
            optimizer.zero_grad()
            accumulate(w, scale * np.random.default_rng(t).standard_normal(3))
            optimizer.step()
        paths.append(w.data.copy())
    np.testing.assert_allclose(*paths, rtol=1e-12)


@pytest.mark.parametrize("name", ["Lion", "Rprop", "LAMB", "LARS", "Muon"])
def test_optimizers_that_normalise_do_not_see_the_scale_of_the_gradients(name):
    options: dict[str, Any] = {"lr": 0.01, "weight_decay": 0.0}
    if name == "Rprop":
        options = {"lr": 0.01}
    if name in ("LAMB", "Muon"):
        options["eps"] = 0.0
    paths = []
    for scale in (1.0, 1024.0):
        w = minigrad.tensor(np.array([[1.0, -2.0], [3.0, 0.5]]), requires_grad=True)
        optimizer = getattr(optim, name)([w], **options)
        for t in range(5):
            optimizer.zero_grad()
            accumulate(w, scale * np.random.default_rng(t).standard_normal((2, 2)))
            optimizer.step()
        paths.append(w.data.copy())
    np.testing.assert_allclose(*paths, rtol=1e-12)


@pytest.mark.parametrize("name", sorted(set(OPTIMIZERS) - {"Adafactor", "LAMB", "LARS", "Muon", "Prodigy"}))
def test_elementwise_optimizers_do_not_mix_elements(name):
    """Changing the gradient of one element changes that element alone."""
    runs = [Run(name), Run(name)]
    for run, extra in zip(runs, (0.0, 5.0), strict=True):
        for t in range(3):
            run.optimizer.zero_grad()
            for i, p in enumerate(run.params):
                g = np.random.default_rng((t, i)).standard_normal(p.shape).astype("float32")
                if i == 0:
                    g[1, 2] += extra
                accumulate(p, g)
            run.optimizer.step()
    differs = [a != b for a, b in zip(runs[0].values(), runs[1].values(), strict=True)]
    assert [int(d.sum()) for d in differs] == [1, 0, 0, 0, 0]
    assert differs[0][1, 2]
