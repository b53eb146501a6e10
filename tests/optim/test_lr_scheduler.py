"""Schedulers without PyTorch: resuming, composing, what is refused, and what happens past the end."""

from __future__ import annotations

import copy
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad
from minigrad import optim
from minigrad.errors import ArgumentError
from minigrad.optim import lr_scheduler as lrs
from minigrad.optim.schedules import constant, cosine, one_cycle, step_decay, warmup


class PlainOptimizer:
    """The least that a scheduler needs: parameter groups, and a state that is saved and loaded."""

    def __init__(self, *rates, **entries):
        self.param_groups = [{"lr": rate, **copy.deepcopy(entries)} for rate in rates or (1.0,)]

    def state_dict(self):
        return copy.deepcopy(self.param_groups)

    def load_state_dict(self, state):
        self.param_groups[:] = copy.deepcopy(state)

    @property
    def lr(self):
        return self.param_groups[0]["lr"]


class Cooling:
    """A callable object that remembers how often it was asked."""

    def __init__(self):
        self.calls = 0

    def __call__(self, t):
        self.calls += 1
        return 0.9**self.calls


def nested(optimizer):
    chain = lrs.ChainedScheduler([lrs.ConstantLR(optimizer, 0.5, 7), lrs.ExponentialLR(optimizer, 0.97)])
    inner = lrs.SequentialLR(optimizer, [chain, lrs.CosineAnnealingWarmRestarts(optimizer, 5, 2)], [20])
    return lrs.SequentialLR(optimizer, [lrs.LinearLR(optimizer, 0.1, total_iters=9), inner], [10])


# One builder for each class, each with every feature that has a state.
BUILDERS = {
    "LambdaLR": lambda o: lrs.LambdaLR(o, Cooling()),
    "LambdaLR of a pure schedule": lambda o: lrs.LambdaLR(o, warmup(9).then(cosine(1.0, T=30))),
    "MultiplicativeLR": lambda o: lrs.MultiplicativeLR(o, lambda t: 1.0 - 0.3 / (t + 1)),
    "StepLR": lambda o: lrs.StepLR(o, 7, 0.5),
    "MultiStepLR": lambda o: lrs.MultiStepLR(o, [5, 5, 30], 0.5),
    "ConstantLR": lambda o: lrs.ConstantLR(o, 0.3, 12),
    "LinearLR": lambda o: lrs.LinearLR(o, 0.2, 0.9, 25),
    "ExponentialLR": lambda o: lrs.ExponentialLR(o, 0.93),
    "PolynomialLR": lambda o: lrs.PolynomialLR(o, 40, 1.7),
    "CosineAnnealingLR": lambda o: lrs.CosineAnnealingLR(o, 17, 0.01),
    "CosineAnnealingWarmRestarts": lambda o: lrs.CosineAnnealingWarmRestarts(o, 6, 2, 0.01),
    "CyclicLR": lambda o: lrs.CyclicLR(o, 0.1, 0.7, 6, 4, mode="triangular2"),
    "CyclicLR with a scale_fn": lambda o: lrs.CyclicLR(o, 0.1, 0.7, 6, scale_fn=Cooling(), cycle_momentum=False),
    "OneCycleLR": lambda o: lrs.OneCycleLR(o, 0.8, total_steps=90, three_phase=True),
    "SWALR": lambda o: lrs.SWALR(o, 0.05, 30),
    "ReduceLROnPlateau": lambda o: lrs.ReduceLROnPlateau(o, factor=0.7, patience=2, cooldown=3),
    "SequentialLR": lambda o: lrs.SequentialLR(
        o, [lrs.LinearLR(o, 0.1, total_iters=9), lrs.OneCycleLR(o, 0.4, total_steps=80)], [10]
    ),
    "ChainedScheduler": lambda o: lrs.ChainedScheduler(
        [lrs.LinearLR(o, 0.1, total_iters=9), lrs.ReduceLROnPlateau(o, patience=4), lrs.StepLR(o, 11, 0.6)]
    ),
    "nested": nested,
}
WITH_METRIC = (lrs.ReduceLROnPlateau, lrs.ChainedScheduler)


def optimizer():
    return PlainOptimizer(1.0, 0.3, momentum=0.9)


def go(scheduler, steps, start=0):
    """Step with a metric that gets better, then worse; return the groups as they stood after each step."""
    record = []
    for t in range(start, start + steps):
        if isinstance(scheduler, WITH_METRIC):
            scheduler.step(abs(t - 20) / 20 + 0.5)
        else:
            scheduler.step()
        record.append(copy.deepcopy(scheduler.optimizer.param_groups))
    return record


BUILD_AND_LOAD = [
    order
    for order in itertools.permutations(["build", "load optimizer", "load scheduler"])
    if order.index("build") < order.index("load scheduler")
]


@pytest.mark.parametrize("name", BUILDERS)
@settings(max_examples=12, deadline=None)
@given(saved_at=st.integers(0, 60), order=st.sampled_from(BUILD_AND_LOAD), edited=st.booleans())
def test_saving_at_any_step_and_loading_in_any_order_continues_bit_for_bit(name, saved_at, order, edited):
    first = optimizer()
    scheduler = BUILDERS[name](first)
    go(scheduler, saved_at)
    if edited:
        first.param_groups[1]["lr"] *= 0.37
    saved, optimizer_saved = copy.deepcopy(scheduler.state_dict()), first.state_dict()
    expected = go(scheduler, 25, saved_at)

    second = optimizer()
    for action in order:
        if action == "build":
            resumed = BUILDERS[name](second)
        elif action == "load optimizer":
            second.load_state_dict(optimizer_saved)
        else:
            resumed.load_state_dict(saved)
    assert second.param_groups == optimizer_saved
    assert go(resumed, 25, saved_at) == expected


@pytest.mark.parametrize("name", BUILDERS)
def test_the_state_of_the_scheduler_alone_restores_the_optimizers_rates(name):
    scheduler = BUILDERS[name](optimizer())
    go(scheduler, 13)
    resumed = BUILDERS[name](PlainOptimizer(0.123, 0.456, momentum=0.1))
    resumed.load_state_dict(scheduler.state_dict())
    assert [g["lr"] for g in resumed.optimizer.param_groups] == [g["lr"] for g in scheduler.optimizer.param_groups]
    assert resumed.get_last_lr() == scheduler.get_last_lr()


@pytest.mark.parametrize("name", BUILDERS)
def test_a_state_is_a_copy(name):
    scheduler = BUILDERS[name](optimizer())
    saved = scheduler.state_dict()
    before = copy.deepcopy(saved)
    go(scheduler, 30)
    assert saved == before


CLASSES = [name for name in BUILDERS if "of a" not in name and "with a" not in name and name != "nested"]


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("other", CLASSES)
def test_the_state_of_another_class_is_refused_and_nothing_changes(name, other):
    if name == other:
        return
    scheduler = BUILDERS[name](optimizer())
    go(scheduler, 4)
    before, groups = copy.deepcopy(scheduler.state_dict()), copy.deepcopy(scheduler.optimizer.param_groups)
    with pytest.raises(ArgumentError, match=f"expected the state of a {name}, got a {other}'s"):
        scheduler.load_state_dict(BUILDERS[other](optimizer()).state_dict())
    assert scheduler.state_dict() == before
    assert scheduler.optimizer.param_groups == groups


def test_a_state_without_what_the_class_needs_is_refused():
    with pytest.raises(ArgumentError, match="but gamma, step_size is not in it"):
        lrs.StepLR(optimizer(), 5).load_state_dict(
            {"base_lrs": [1, 1], "last_epoch": 3, "_step_count": 4, "_last_lr": [1, 1]}
        )


def test_a_state_for_other_groups_or_with_an_invalid_setting_is_refused_and_nothing_changes():
    scheduler = lrs.StepLR(optimizer(), 5)
    before = scheduler.state_dict()
    with pytest.raises(ArgumentError, match="expected 2 learning rates in base_lrs, one for each group, got 1"):
        scheduler.load_state_dict(lrs.StepLR(PlainOptimizer(), 5).state_dict())
    with pytest.raises(ArgumentError, match="step_size"):
        scheduler.load_state_dict({**before, "step_size": 0})
    assert scheduler.state_dict() == before


def test_a_part_that_does_not_fit_leaves_the_other_parts_of_a_composite_as_they_were():
    scheduler = BUILDERS["SequentialLR"](optimizer())
    go(scheduler, 4)
    other = BUILDERS["SequentialLR"](optimizer())
    go(other, 9)
    bad = other.state_dict()
    del bad["_schedulers"][1]["total_steps"]
    before = copy.deepcopy(scheduler.state_dict())
    with pytest.raises(ArgumentError, match="total_steps"):
        scheduler.load_state_dict(bad)
    assert scheduler.state_dict() == before


@pytest.mark.parametrize("position", [0, 3, 14])
@pytest.mark.parametrize(
    "name", [name for name in BUILDERS if name not in ("ReduceLROnPlateau", "ChainedScheduler", "LambdaLR")]
)
def test_jumping_equals_stepping(name, position):
    if "scale_fn" in name:  # its function counts calls
        return
    stepped, jumped = BUILDERS[name](optimizer()), BUILDERS[name](optimizer())
    go(stepped, position)
    jumped.step(position) if not isinstance(jumped, lrs.SequentialLR) else jumped._jump(position)
    assert jumped.get_last_lr() == pytest.approx(stepped.get_last_lr(), rel=1e-12)
    go(stepped, 5)
    go(jumped, 5)
    assert jumped.get_last_lr() == pytest.approx(stepped.get_last_lr(), rel=1e-12)


@pytest.mark.parametrize(
    "name", ["StepLR", "LinearLR", "OneCycleLR", "CyclicLR", "CosineAnnealingWarmRestarts", "SWALR"]
)
def test_last_epoch_goes_on_from_a_loaded_optimizer(name):
    build = {
        "StepLR": lambda o, k: lrs.StepLR(o, 7, 0.5, last_epoch=k),
        "LinearLR": lambda o, k: lrs.LinearLR(o, 0.2, 0.9, 25, last_epoch=k),
        "OneCycleLR": lambda o, k: lrs.OneCycleLR(o, 0.8, total_steps=90, last_epoch=k),
        "CyclicLR": lambda o, k: lrs.CyclicLR(o, 0.1, 0.7, 6, last_epoch=k),
        "CosineAnnealingWarmRestarts": lambda o, k: lrs.CosineAnnealingWarmRestarts(o, 6, 2, last_epoch=k),
        "SWALR": lambda o, k: lrs.SWALR(o, 0.05, 30, last_epoch=k),
    }[name]
    first = optimizer()
    scheduler = build(first, -1)
    go(scheduler, 21)
    second = optimizer()
    second.load_state_dict(first.state_dict())
    resumed = build(second, 20)
    assert resumed.last_epoch == 21
    assert go(resumed, 10) == go(scheduler, 10)


def test_sequential_resumes_by_last_epoch_even_after_its_parts_have_set_their_first_rates():
    def build(o, k=-1):
        parts = [lrs.LinearLR(o, 0.1, total_iters=4), lrs.ExponentialLR(o, 0.9)]
        return lrs.SequentialLR(o, parts, [5], last_epoch=k)

    first = optimizer()
    scheduler = build(first)
    go(scheduler, 8)
    second = optimizer()
    second.load_state_dict(first.state_dict())
    resumed = build(second, 7)
    assert resumed.get_last_lr() == pytest.approx(scheduler.get_last_lr(), rel=1e-12)
    go(scheduler, 3), go(resumed, 3)
    assert resumed.get_last_lr() == pytest.approx(scheduler.get_last_lr(), rel=1e-12)


def test_nested_sequences_of_any_depth_run_each_part_in_its_turn():
    o = PlainOptimizer(1.0)
    deepest = lrs.SequentialLR(o, [lrs.ConstantLR(o, 0.5, 10), lrs.ConstantLR(o, 0.25, 10)], [2])
    middle = lrs.SequentialLR(o, [lrs.ConstantLR(o, 0.125, 10), deepest], [2])
    outer = lrs.SequentialLR(o, [middle, lrs.ExponentialLR(o, 0.5)], [6])
    rates = [o.lr]
    for _ in range(8):
        outer.step()
        rates.append(o.lr)
    assert rates == [0.125, 0.125, 0.5, 0.5, 0.25, 0.25, 1.0, 0.5, 0.25]


PAST_THE_END = {
    # what, scheduler, steps to its end, the rates that follow
    "LambdaLR asks its function": (lambda o: lrs.LambdaLR(o, lambda t: t), 5, [6, 7]),
    "MultiplicativeLR asks its function": (lambda o: lrs.MultiplicativeLR(o, lambda t: 2.0), 3, [16, 32]),
    "StepLR falls on": (lambda o: lrs.StepLR(o, 1, 0.5), 3, [0.0625, 0.03125]),
    "MultiStepLR stays": (lambda o: lrs.MultiStepLR(o, [2], 0.5), 2, [0.5, 0.5]),
    "ConstantLR stays at the base": (lambda o: lrs.ConstantLR(o, 0.5, 3), 3, [1.0, 1.0]),
    "LinearLR stays": (lambda o: lrs.LinearLR(o, 1.0, 0.25, 3), 3, [0.25, 0.25]),
    "ExponentialLR falls on": (lambda o: lrs.ExponentialLR(o, 0.5), 1, [0.25, 0.125]),
    "PolynomialLR stays at 0": (lambda o: lrs.PolynomialLR(o, 3, 2.0), 3, [0.0, 0.0]),
    "CosineAnnealingLR rises again": (lambda o: lrs.CosineAnnealingLR(o, 2), 2, [0.5, 1.0, 0.5, 0.0]),
    "CosineAnnealingWarmRestarts restarts": (lambda o: lrs.CosineAnnealingWarmRestarts(o, 2), 2, [0.5, 1.0, 0.5]),
    "CyclicLR repeats": (lambda o: lrs.CyclicLR(o, 0.5, 1.0, 1, cycle_momentum=False), 2, [1.0, 0.5, 1.0]),
    "SWALR stays": (lambda o: lrs.SWALR(o, 0.25, 3), 3, [0.25, 0.25]),
    "SequentialLR does as its last part": (
        lambda o: lrs.SequentialLR(o, [lrs.ConstantLR(o, 0.5, 9), lrs.ExponentialLR(o, 0.5)], [2]),
        2,
        [0.5, 0.25],
    ),
    "ChainedScheduler does as its parts": (
        lambda o: lrs.ChainedScheduler([lrs.ConstantLR(o, 0.5, 2), lrs.ExponentialLR(o, 0.5)]),
        2,
        [0.125, 0.0625],
    ),
}


@pytest.mark.parametrize("what", PAST_THE_END)
def test_stepping_past_the_end(what):
    build, steps, expected = PAST_THE_END[what]
    scheduler = build(PlainOptimizer(1.0))
    go(scheduler, steps)
    assert [record[0]["lr"] for record in go(scheduler, len(expected))] == pytest.approx(expected, abs=1e-15)


def test_one_cycle_stays_at_its_last_rate_and_momentum_and_warns_once():
    o = PlainOptimizer(1.0, momentum=0.9)
    scheduler = lrs.OneCycleLR(o, 1.0, total_steps=5, pct_start=0.6)
    record = go(scheduler, 5)
    assert [r[0]["lr"] for r in record[-2:]] == pytest.approx([1 / 25 / 1e4] * 2)
    assert [r[0]["momentum"] for r in record[-2:]] == pytest.approx([0.95] * 2)
    with pytest.warns(UserWarning, match="step 6 is past total_steps=5"):
        scheduler.step()
    assert go(scheduler, 3)[-1][0]["lr"] == pytest.approx(1 / 25 / 1e4)


def test_one_cycle_moves_the_first_beta_where_there_is_no_momentum():
    o = PlainOptimizer(1.0, betas=(0.9, 0.999))
    scheduler = lrs.OneCycleLR(o, 1.0, total_steps=11, pct_start=0.6, anneal_strategy="linear")
    assert o.param_groups[0]["betas"] == pytest.approx((0.95, 0.999))
    go(scheduler, 10)
    assert o.param_groups[0]["betas"] == pytest.approx((0.95, 0.999))
    scheduler = lrs.OneCycleLR(o, 1.0, total_steps=10, pct_start=0.6)
    go(scheduler, 5)
    assert o.param_groups[0]["betas"] == pytest.approx((0.85, 0.999))


def test_one_cycle_is_the_pure_schedule_between_its_two_ends():
    o = PlainOptimizer(1.0, momentum=0.9)
    scheduler = lrs.OneCycleLR(o, 0.5, total_steps=101, pct_start=0.31)
    pure = one_cycle(0.5, T=100, T_warmup=0.31 * 101 - 1)
    rates = [o.lr] + [record[0]["lr"] for record in go(scheduler, 100)]
    np.testing.assert_allclose(rates, pure(np.arange(101)), rtol=1e-12)


@pytest.mark.parametrize("name", [n for n in BUILDERS if hasattr(BUILDERS[n](optimizer()), "schedule")])
def test_each_scheduler_shows_its_pure_schedule(name):
    scheduler = BUILDERS[name](optimizer())
    if name in ("CyclicLR", "CyclicLR with a scale_fn", "SWALR", "CosineAnnealingWarmRestarts", "CosineAnnealingLR"):
        assert scheduler.schedule(0) in (0.0, 1.0)
        return
    rates = [scheduler.get_last_lr()[0]] + [record[0]["lr"] for record in go(scheduler, 40)]
    np.testing.assert_allclose(rates, scheduler.schedule(np.arange(41)), rtol=1e-12, atol=1e-15)


def test_a_recursive_scheduler_still_multiplies_where_its_powers_have_underflowed():
    for scheduler in (lrs.ExponentialLR(PlainOptimizer(), 0.1), lrs.StepLR(PlainOptimizer(), 1, 0.1)):
        go(scheduler, 400)
        scheduler.optimizer.param_groups[0]["lr"] = 1.0
        scheduler.step()
        assert scheduler.optimizer.lr == 0.1


def test_a_steep_polynomial_still_multiplies_where_its_powers_have_underflowed():
    scheduler = lrs.PolynomialLR(PlainOptimizer(), 100, power=200.0)
    go(scheduler, 98)
    assert scheduler.schedule(98) == 0.0
    scheduler.optimizer.param_groups[0]["lr"] = 1.0
    scheduler.step()
    assert scheduler.optimizer.lr == pytest.approx(0.5**200)


def test_multi_step_counts_milestones_in_any_order_and_repeated():
    scheduler = lrs.MultiStepLR(PlainOptimizer(), [4, 2, 2], gamma=0.5)
    assert [record[0]["lr"] for record in go(scheduler, 5)] == [1.0, 0.25, 0.25, 0.125, 0.125]


@pytest.mark.parametrize("mode", ["min", "max"])
def test_plateau_rules_for_better(mode):
    sign = 1 if mode == "min" else -1
    for threshold_mode, best, better, not_better in [
        ("rel", 10.0, 8.9, 9.1),
        ("abs", 10.0, 9.8, 9.95),
        ("rel-signed", -10.0, -11.1, -10.9),
        ("rel-signed", 10.0, 8.9, 9.1),
    ]:
        plateau = lrs.ReduceLROnPlateau(PlainOptimizer(), mode, threshold=0.1, threshold_mode=threshold_mode)
        if mode == "max":  # mirrored: for a maximum the step to be better is upwards
            better, not_better = best - (better - best), best - (not_better - best)
        assert plateau.is_better(better, best), (threshold_mode, mode)
        assert not plateau.is_better(not_better, best), (threshold_mode, mode)
        assert plateau.is_better(0.0, sign * math.inf)


def test_plateau_counts_a_nan_as_not_better():
    o = PlainOptimizer()
    plateau = lrs.ReduceLROnPlateau(o, patience=1, factor=0.5)
    for _ in range(3):
        plateau.step(math.nan)
    assert o.lr == 0.5


def test_plateau_needs_a_metric_alone_and_inside_others():
    o = PlainOptimizer()
    plateau = lrs.ReduceLROnPlateau(o)
    for scheduler in (plateau, lrs.ChainedScheduler([plateau]), lrs.SequentialLR(o, [plateau], [])):
        with pytest.raises(ArgumentError, match="metric"):
            scheduler.step()


def test_plateau_keeps_what_it_took_off_while_a_chained_warm_up_goes_on():
    o = PlainOptimizer(1.0)
    scheduler = lrs.ChainedScheduler(
        [lrs.LinearLR(o, 0.5, total_iters=4), lrs.ReduceLROnPlateau(o, factor=0.1, patience=0)]
    )
    scheduler.step(1.0)
    scheduler.step(1.0)
    assert o.lr == pytest.approx(0.75 * 0.1)
    scheduler.step(0.5)
    scheduler.step(0.1)
    assert o.lr == pytest.approx(1.0 * 0.1)


@pytest.mark.parametrize("name", [name for name in BUILDERS if name != "ReduceLROnPlateau"])
def test_a_group_added_later_is_refused_with_what_to_do(name):
    scheduler = BUILDERS[name](optimizer())
    scheduler.optimizer.param_groups.append({"lr": 1.0, "momentum": 0.9})
    before = scheduler.last_epoch
    with pytest.raises(ArgumentError, match="expected 2 parameter groups, as when it was built, got 3"):
        go(scheduler, 1)
    assert scheduler.last_epoch == before


def test_plateau_takes_in_a_group_added_later_unless_each_group_has_a_floor_of_its_own():
    o = PlainOptimizer(1.0)
    plateau = lrs.ReduceLROnPlateau(o, patience=0, factor=0.5, min_lr=0.1)
    plateau.step(1.0)
    o.param_groups.append({"lr": 0.15})
    plateau.step(1.0)
    assert [group["lr"] for group in o.param_groups] == [0.5, 0.1]
    plateau = lrs.ReduceLROnPlateau(o, min_lr=[0.1, 0.1])
    o.param_groups.append({"lr": 0.15})
    with pytest.raises(ArgumentError, match="add_param_group"):
        plateau.step(1.0)


def test_custom_scheduler_needs_only_get_lr():
    class Halves(lrs.LRScheduler):
        def get_lr(self):
            return [base_lr / 2**self.last_epoch for base_lr in self.base_lrs]

    o = optimizer()
    scheduler = lrs.SequentialLR(o, [lrs.ConstantLR(o, 0.5, 3), Halves(o)], [3])
    assert [record[0]["lr"] for record in go(scheduler, 5)] == [0.5, 0.5, 1.0, 0.5, 0.25]


def test_repr_shows_settings_and_position():
    scheduler = lrs.StepLR(PlainOptimizer(), 5, 0.5)
    scheduler.step()
    assert repr(scheduler) == "StepLR(step_size=5, gamma=0.5, last_epoch=1)"


REFUSED = [
    (lambda o: lrs.StepLR(o, 0), "StepLR: expected step_size to be a number of steps above zero, got 0"),
    (lambda o: lrs.StepLR(o, -3), "step_size"),
    (lambda o: lrs.StepLR(o, math.nan), "step_size"),
    (lambda o: lrs.StepLR(o, "5"), "got '5'"),
    (lambda o: lrs.StepLR(o, 5, -0.1), "gamma"),
    (lambda o: lrs.StepLR(o, 5, last_epoch=-2), "last_epoch"),
    (lambda o: lrs.StepLR(o, 5, last_epoch=3), "initial_lr"),
    (lambda o: lrs.MultiStepLR(o, [3, -1]), "milestone"),
    (lambda o: lrs.MultiStepLR(o, 3), "milestones"),
    (lambda o: lrs.MultiStepLR(o, [3], math.inf), "gamma"),
    (lambda o: lrs.ConstantLR(o, 1.5), "factor"),
    (lambda o: lrs.ConstantLR(o, 0.5, 0), "total_iters"),
    (lambda o: lrs.LinearLR(o, 0.0), "warm-up from 0"),
    (lambda o: lrs.LinearLR(o, 1.1), "start_factor"),
    (lambda o: lrs.LinearLR(o, 0.5, -0.1), "end_factor"),
    (lambda o: lrs.LinearLR(o, 0.5, total_iters=0), "total_iters"),
    (lambda o: lrs.ExponentialLR(o, -0.5), "gamma"),
    (lambda o: lrs.PolynomialLR(o, 0), "total_iters"),
    (lambda o: lrs.PolynomialLR(o, 5, -1.0), "power"),
    (lambda o: lrs.CosineAnnealingLR(o, 0), "T_max"),
    (lambda o: lrs.CosineAnnealingLR(o, 10, -0.1), "eta_min"),
    (lambda o: lrs.CosineAnnealingWarmRestarts(o, 0), "T_0"),
    (lambda o: lrs.CosineAnnealingWarmRestarts(o, 2.5), "T_0"),
    (lambda o: lrs.CosineAnnealingWarmRestarts(o, 5, 0), "T_mult"),
    (lambda o: lrs.CosineAnnealingWarmRestarts(o, 5, eta_min=None), "eta_min"),
    (lambda o: lrs.CyclicLR(o, 0.1, 1.0, last_epoch=3), "initial_lr"),
    (lambda o: lrs.OneCycleLR(o, 0.1, 10, last_epoch=-2), "last_epoch"),
    (lambda o: lrs.SWALR(o, 0.1, last_epoch=3), "initial_lr"),
    (lambda o: lrs.CyclicLR(o, 0.1, 1.0, 0), "step_size_up"),
    (lambda o: lrs.CyclicLR(o, 0.1, 1.0, 5, 0), "step_size_down"),
    (lambda o: lrs.CyclicLR(o, [0.1], 1.0), "base_lr as one number or a list of 2"),
    (lambda o: lrs.CyclicLR(o, 0.1, -1.0), "max_lr"),
    (lambda o: lrs.CyclicLR(o, 0.1, 1.0, mode="square"), "triangular, triangular2, exp_range; got 'square'"),
    (lambda o: lrs.CyclicLR(o, 0.1, 1.0, mode="exp_range", gamma=1.5), "gamma"),
    (lambda o: lrs.CyclicLR(o, 0.1, 1.0, scale_fn=3), "scale_fn"),
    (lambda o: lrs.CyclicLR(o, 0.1, 1.0, scale_mode="epoch"), "scale_mode"),
    (lambda o: lrs.CyclicLR(o, 0.1, 1.0, base_momentum=[0.8]), "base_momentum"),
    (lambda o: lrs.CyclicLR(PlainOptimizer(), 0.1, 1.0), "cycle_momentum=False"),
    (lambda o: lrs.OneCycleLR(o, 1.0), "total_steps, or epochs and steps_per_epoch"),
    (lambda o: lrs.OneCycleLR(o, 1.0, total_steps=0), "total_steps"),
    (lambda o: lrs.OneCycleLR(o, 1.0, epochs=3), "steps_per_epoch"),
    (lambda o: lrs.OneCycleLR(o, 1.0, epochs=3, steps_per_epoch=0), "steps_per_epoch"),
    (lambda o: lrs.OneCycleLR(o, 1.0, total_steps=10, pct_start=0.1), "exactly 1"),
    (lambda o: lrs.OneCycleLR(o, 1.0, total_steps=10, pct_start=1.0), "pct_start below 1"),
    (lambda o: lrs.OneCycleLR(o, 1.0, total_steps=10, pct_start=-0.1), "pct_start"),
    (lambda o: lrs.OneCycleLR(o, 1.0, total_steps=10, pct_start=0.6, three_phase=True), "three phases"),
    (lambda o: lrs.OneCycleLR(o, 1.0, total_steps=10, anneal_strategy="cosine"), "cos, linear"),
    (lambda o: lrs.OneCycleLR(o, 1.0, total_steps=10, div_factor=0), "div_factor"),
    (lambda o: lrs.OneCycleLR(o, 1.0, total_steps=10, final_div_factor=0), "final_div_factor"),
    (lambda o: lrs.OneCycleLR(o, [1.0], total_steps=10), "max_lr"),
    (lambda o: lrs.SWALR(o, -0.1), "swa_lr"),
    (lambda o: lrs.SWALR(o, 0.1, -1), "anneal_epochs"),
    (lambda o: lrs.SWALR(o, 0.1, 5, "square"), "anneal_strategy"),
    (lambda o: lrs.ReduceLROnPlateau(o, "lowest"), "min, max"),
    (lambda o: lrs.ReduceLROnPlateau(o, factor=1.0), "factor below 1"),
    (lambda o: lrs.ReduceLROnPlateau(o, patience=-1), "patience"),
    (lambda o: lrs.ReduceLROnPlateau(o, threshold=-1), "threshold"),
    (lambda o: lrs.ReduceLROnPlateau(o, threshold_mode="relative"), "rel-signed"),
    (lambda o: lrs.ReduceLROnPlateau(o, cooldown=1.5), "cooldown"),
    (lambda o: lrs.ReduceLROnPlateau(o, min_lr=[0.1]), "min_lr"),
    (lambda o: lrs.ReduceLROnPlateau(o, eps=-1), "eps"),
    (lambda o: lrs.LambdaLR(o, 0.5), "lr_lambda"),
    (lambda o: lrs.LambdaLR(o, [abs]), "a list of 2"),
    (lambda o: lrs.MultiplicativeLR(o, [abs, None]), "lr_lambda"),
    (lambda o: lrs.ParamGroupScheduler(o, {}), "names with schedules"),
    (lambda o: lrs.ParamGroupScheduler(o, {"lrate": constant(1)}), "got 'lrate'"),
    (lambda o: lrs.ParamGroupScheduler(o, {"lr": [constant(1)]}), "a list of 2"),
    (lambda o: lrs.ParamGroupScheduler(o, {"lr": abs}), "expected schedules for 'lr'"),
    (lambda o: lrs.ParamGroupScheduler(o, {"lr": (constant(1), 0.9)}), "the form of its value"),
]
REFUSED_COMPOSITES = [
    (lambda o: lrs.SequentialLR(o, [], []), "one or more"),
    (lambda o: lrs.SequentialLR(o, [lrs.StepLR(o, 1)], [3]), "one milestone less"),
    (lambda o: lrs.SequentialLR(o, [lrs.StepLR(o, 1), lrs.StepLR(o, 1)], 3), "milestones as a list"),
    (lambda o: lrs.SequentialLR(o, [lrs.StepLR(o, 1) for _ in range(3)], [5, 3]), "3 follows 5"),
    (lambda o: lrs.SequentialLR(o, [lrs.StepLR(o, 1), lrs.StepLR(optimizer(), 1)], [3]), "one optimizer"),
    (lambda o: lrs.SequentialLR(o, [lrs.StepLR(o, 1), abs], [3]), "schedulers\\[1\\]"),
    (lambda o: lrs.ChainedScheduler([]), "one or more"),
    (lambda o: lrs.ChainedScheduler([lrs.StepLR(o, 1), lrs.StepLR(optimizer(), 1)]), "one optimizer"),
]


@pytest.mark.parametrize(("build", "message"), REFUSED, ids=[f"{i}-{m[:30]}" for i, (_, m) in enumerate(REFUSED)])
def test_bad_arguments_are_refused_when_the_scheduler_is_built_and_the_optimizer_stays_as_it_was(build, message):
    o = optimizer()
    with pytest.raises(ArgumentError, match=message):
        build(o)
    assert o.param_groups == optimizer().param_groups


@pytest.mark.parametrize(("build", "message"), REFUSED_COMPOSITES)
def test_bad_arguments_of_composites_are_refused_when_they_are_built(build, message):
    with pytest.raises(ArgumentError, match=message):
        build(optimizer())


@pytest.mark.parametrize("optimizer", [None, 3, PlainOptimizer, type("Empty", (), {"param_groups": []})()])
def test_something_without_parameter_groups_is_refused(optimizer):
    for build in (lambda o: lrs.StepLR(o, 1), lambda o: lrs.ParamGroupScheduler(o, {"lr": constant(1)})):
        with pytest.raises(ArgumentError, match="expected an optimizer with param_groups"):
            build(optimizer)


def test_a_group_without_a_rate_or_with_a_schedule_as_rate_is_refused():
    o = PlainOptimizer(1.0)
    o.param_groups[0]["lr"] = step_decay(0.1, 0.5, 3)
    with pytest.raises(ArgumentError, match="multiply the schedules"):
        lrs.StepLR(o, 1)
    del o.param_groups[0]["lr"]
    with pytest.raises(ArgumentError, match="expected 'lr'"):
        lrs.StepLR(o, 1)


def minigrad_optimizer(lr):
    w = minigrad.tensor(np.ones(3), dtype=minigrad.float64, requires_grad=True)
    return w, optim.SGD([w], lr=lr, momentum=0.9)


def descend(w, optimizer, steps, scheduler=None):
    for _ in range(steps):
        optimizer.zero_grad()
        (w * w).sum().backward()
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
    return w.detach().numpy()


def test_a_scheduler_drives_minigrads_optimizers_as_a_schedule_given_to_them_does():
    pure = warmup(5).then(cosine(0.1, T=20))
    w, sgd = minigrad_optimizer(pure)
    expected = descend(w, sgd, 30)
    w, sgd = minigrad_optimizer(1.0)
    np.testing.assert_array_equal(descend(w, sgd, 30, lrs.LambdaLR(sgd, pure)), expected)
    w, sgd = minigrad_optimizer(1.0)
    np.testing.assert_array_equal(descend(w, sgd, 30, lrs.ParamGroupScheduler(sgd, {"lr": pure})), expected)
    # The same steps written out.
    x, v = np.ones(3), np.zeros(3)
    for t in range(30):
        v = 0.9 * v + 2 * x
        x = x - pure(t) * v
    np.testing.assert_allclose(expected, x, rtol=1e-12)


def test_a_scheduler_is_refused_for_an_optimizer_that_follows_a_schedule_itself():
    _, sgd = minigrad_optimizer(cosine(0.1, 10))
    with pytest.raises(ArgumentError, match="a schedule as lr of the SGD"):
        lrs.StepLR(sgd, 5)


def test_a_rate_in_a_minigrad_tensor_is_filled():
    rate = minigrad.tensor(0.5, dtype=minigrad.float64)
    _, sgd = minigrad_optimizer(rate)
    lrs.ExponentialLR(sgd, 0.5).step()
    assert sgd.param_groups[0]["lr"] is rate
    assert rate.item() == 0.25


def test_any_hyper_parameter_follows_a_schedule_and_resumes():
    def build():
        o = PlainOptimizer(1.0, 0.1, momentum=0.9, weight_decay=0.0, betas=(0.9, 0.999))
        scheduler = lrs.ParamGroupScheduler(
            o,
            {
                "lr": [warmup(4).then(cosine(1.0, T=10)), 0.1 * warmup(4)],
                "momentum": cosine(0.85, T=10, alpha_min=0.95),
                "weight_decay": constant(0.01),
                "betas": (cosine(0.95, T=10, alpha_min=0.85), 0.999),
            },
        )
        return o, scheduler

    o, scheduler = build()
    assert [group["lr"] for group in o.param_groups] == [0.0, 0.0]
    for _ in range(4):
        scheduler.step()
    assert [group["lr"] for group in o.param_groups] == [1.0, 0.1]
    assert o.param_groups[0]["weight_decay"] == 0.01
    assert o.param_groups[1]["momentum"] == pytest.approx(0.9 - 0.05 * math.cos(0.4 * math.pi))
    assert o.param_groups[1]["betas"] == pytest.approx((0.9 + 0.05 * math.cos(0.4 * math.pi), 0.999))
    again, resumed = build()
    resumed.load_state_dict(scheduler.state_dict())
    assert again.param_groups == o.param_groups
    with pytest.raises(ArgumentError, match="last_epoch"):
        resumed.load_state_dict({"step": 3})
