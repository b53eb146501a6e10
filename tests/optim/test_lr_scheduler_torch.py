"""Every scheduler against PyTorch's of the same name, live, on PyTorch optimizers, with rates edited midway."""

from __future__ import annotations

import copy
import math
import random
import warnings

import numpy as np
import pytest

from minigrad.optim import lr_scheduler as ours

torch = pytest.importorskip("torch")
theirs = torch.optim.lr_scheduler

STEPS = 300
CONFIGURATIONS = 40
RELATIVE = 1e-12


class Halving:
    """A callable object with state of its own, as a factor."""

    def __init__(self, period):
        self.period = period

    def __call__(self, t):
        return 0.5 ** (t / self.period)


def constant_lr(rng):
    return {"factor": rng.uniform(0.05, 1.0), "total_iters": rng.randint(1, 200)}


def linear_lr(rng):
    return {
        "start_factor": rng.uniform(0.01, 1.0),
        "end_factor": rng.uniform(0.01, 1.0),
        "total_iters": rng.randint(1, 350),
    }


def multi_step_lr(rng):
    return {"milestones": rng.choices(range(250), k=rng.randint(0, 6)), "gamma": rng.uniform(0.1, 1.2)}


def cosine_annealing_lr(rng):
    return {"T_max": rng.randint(1, 400), "eta_min": rng.choice([0.0, rng.uniform(0.0, 0.05)])}


def warm_restarts(rng):
    return {"T_0": rng.randint(1, 60), "T_mult": rng.randint(1, 3), "eta_min": rng.uniform(0.0, 0.05)}


def lambda_lr(rng):
    period = rng.randint(5, 100)
    return {"lr_lambda": [lambda t: 1.0 / (1.0 + t / period), Halving(period)]}


def multiplicative_lr(rng):
    a = rng.uniform(0.95, 1.01)
    return {"lr_lambda": [lambda t: a, lambda t: 1.0 - 0.5 / (t + 2)]}


def cyclic_lr(rng):
    return {
        "base_lr": [rng.uniform(0.001, 0.01), rng.uniform(0.001, 0.01)],
        "max_lr": rng.uniform(0.1, 1.0),
        "step_size_up": rng.randint(1, 80),
        "step_size_down": rng.choice([None, rng.randint(1, 80)]),
        "mode": rng.choice(["triangular", "triangular2", "exp_range"]),
        "gamma": rng.uniform(0.98, 1.0),
        "scale_fn": rng.choice([None, None, lambda x: 1.0 / (1.0 + 0.1 * x)]),
        "scale_mode": rng.choice(["cycle", "iterations"]),
        "cycle_momentum": rng.random() < 0.7,
        "base_momentum": rng.uniform(0.5, 0.8),
        "max_momentum": [0.9, rng.uniform(0.8, 0.95)],
    }


def one_cycle_lr(rng):
    three_phase = rng.random() < 0.5
    lengths = {"total_steps": rng.randint(STEPS + 1, 500)}
    if rng.random() < 0.3:
        lengths = {"epochs": rng.randint(10, 20), "steps_per_epoch": rng.randint(31, 40)}
    return {
        "max_lr": [rng.uniform(0.1, 1.0), rng.uniform(0.1, 1.0)],
        **lengths,
        "pct_start": rng.uniform(0.02, 0.49) if three_phase else rng.choice([0.0, rng.uniform(0.001, 0.99)]),
        "anneal_strategy": rng.choice(["cos", "linear"]),
        "cycle_momentum": rng.random() < 0.7,
        "base_momentum": rng.uniform(0.5, 0.85),
        "max_momentum": rng.uniform(0.85, 0.99),
        "div_factor": rng.uniform(2.0, 50.0),
        "final_div_factor": rng.uniform(10.0, 1e5),
        "three_phase": three_phase,
    }


def swa_lr(rng):
    return {
        "swa_lr": [rng.uniform(0.001, 0.5), rng.uniform(0.001, 0.5)],
        "anneal_epochs": rng.randint(0, 250),
        "anneal_strategy": rng.choice(["cos", "linear"]),
    }


def plateau(rng):
    return {
        "mode": rng.choice(["min", "max"]),
        "factor": rng.uniform(0.1, 0.9),
        "patience": rng.randint(0, 8),
        "threshold": rng.uniform(0.0, 0.1),
        "threshold_mode": rng.choice(["rel", "abs"]),
        "cooldown": rng.randint(0, 5),
        "min_lr": rng.choice([0.0, [1e-3, 1e-2]]),
        "eps": rng.choice([1e-8, 1e-3]),
    }


CHAINABLE = {
    "StepLR": lambda rng: {"step_size": rng.randint(1, 60), "gamma": rng.uniform(0.1, 1.2)},
    "MultiStepLR": multi_step_lr,
    "ConstantLR": constant_lr,
    "LinearLR": linear_lr,
    "ExponentialLR": lambda rng: {"gamma": rng.uniform(0.9, 1.01)},
    "PolynomialLR": lambda rng: {"total_iters": rng.randint(1, 350), "power": rng.uniform(0.3, 3.0)},
    "CosineAnnealingLR": cosine_annealing_lr,
    "MultiplicativeLR": multiplicative_lr,
}
ABSOLUTE = {
    "LambdaLR": lambda_lr,
    "CyclicLR": cyclic_lr,
    "OneCycleLR": one_cycle_lr,
    "CosineAnnealingWarmRestarts": warm_restarts,
}
SINGLE = {**CHAINABLE, **ABSOLUTE, "SWALR": swa_lr}
ALL = [*SINGLE, "ReduceLROnPlateau", "SequentialLR", "ChainedScheduler"]


def new_optimizer(seed):
    rng = random.Random(seed)
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": rng.uniform(0.01, 1.0)} for _ in range(2)]
    if rng.random() < 0.5:
        return torch.optim.SGD(groups, momentum=0.9)
    return torch.optim.Adam(groups)


def theirs_named(name):
    return torch.optim.swa_utils.SWALR if name == "SWALR" else getattr(theirs, name)


def pair_of(name, seed):
    """Return (their scheduler, ours), each on an optimizer of its own, with the same random settings."""

    def build(named):
        rng = random.Random(seed)
        optimizer = new_optimizer(seed)
        if name == "ReduceLROnPlateau":
            return named(name)(optimizer, **plateau(rng))
        if name in SINGLE:
            return named(name)(optimizer, **SINGLE[name](rng))
        kinds = CHAINABLE if name == "ChainedScheduler" else SINGLE
        # At most one that cycles momentum: PyTorch keeps the ends of the cycle in the groups, where the next one
        # overwrites them (see the table of differences).
        left_out = rng.choice(["CyclicLR", "OneCycleLR"])
        parts = rng.sample([kind for kind in kinds if kind != left_out], k=rng.randint(1, 4))
        inside = [named(part)(optimizer, **kinds[part](rng)) for part in parts]
        if name == "ChainedScheduler":
            return named(name)(inside)
        milestones = sorted(rng.sample(range(1, 200), len(inside) - 1))
        return named(name)(optimizer, inside, milestones)

    return build(theirs_named), build(lambda part: getattr(ours, part))


def metric(rng, t):
    return math.exp(-t / 60) + 0.1 * rng.random()


def rates(scheduler):
    groups = scheduler.optimizer.param_groups
    return [group["lr"] for group in groups], [group.get("momentum", group.get("betas")) for group in groups]


def reading(scheduler):
    """Return what a scheduler has set, as one flat list: rates, momenta or betas, and the rates it says it set."""
    lrs, momenta = rates(scheduler)
    return [*lrs, *np.ravel(momenta), *scheduler.get_last_lr()]


def edit(scheduler, factor):
    for group in scheduler.optimizer.param_groups:
        group["lr"] = group["lr"] * factor


def advance(scheduler, value, name):
    scheduler.optimizer.step()
    if name == "ReduceLROnPlateau":
        scheduler.step(value)
    else:
        scheduler.step()


def run_together(name, seed, pair, steps=STEPS, edits=2):
    rng = random.Random(seed + 1)
    edited = {rng.randrange(1, steps): rng.uniform(0.3, 2.0) for _ in range(edits)}
    readings = [[reading(scheduler)] for scheduler in pair]
    for t in range(steps):
        value = metric(rng, t)
        for scheduler in pair:
            if t in edited:
                edit(scheduler, edited[t])
            advance(scheduler, value, name)
        for scheduler, read in zip(pair, readings, strict=True):
            read.append(reading(scheduler))
    expected, got = readings
    np.testing.assert_allclose(got, expected, rtol=RELATIVE, atol=0.0, err_msg=f"{name}, settings {seed}")


@pytest.mark.parametrize("name", ALL)
def test_scheduler_equals_pytorch_for_random_settings_with_rates_edited_midway(name):
    for seed in range(CONFIGURATIONS):
        run_together(name, seed, pair_of(name, seed))


@pytest.mark.parametrize("name", ALL)
def test_position_is_counted_as_pytorch_does(name):
    expected, got = pair_of(name, 3)
    for t in range(5):
        advance(expected, 1.0, name)
        advance(got, 1.0, name)
        assert got.last_epoch == t + 1
        if name != "ChainedScheduler":  # PyTorch's has no last_epoch
            assert got.last_epoch == expected.last_epoch


@pytest.mark.parametrize("name", ALL)
def test_state_of_pytorch_loads_and_continues(name):
    for seed in range(8):
        expected, _ = pair_of(name, seed)
        _, got = pair_of(name, seed)
        rng = random.Random(seed)
        for t in range(37):
            advance(expected, metric(rng, t), name)
        got.optimizer.load_state_dict(expected.optimizer.state_dict())
        got.load_state_dict(copy.deepcopy(expected.state_dict()))
        run_together(name, seed, (expected, got), steps=100)


@pytest.mark.parametrize("name", ALL)
def test_our_state_loads_in_pytorch_and_continues(name):
    for seed in range(8):
        expected, got = pair_of(name, seed)
        rng = random.Random(seed)
        for t in range(37):
            advance(got, metric(rng, t), name)
        expected.optimizer.step()
        expected.optimizer.load_state_dict(got.optimizer.state_dict())
        expected.load_state_dict(got.state_dict())
        run_together(name, seed, (expected, got), steps=100)


@pytest.mark.parametrize("epoch", [0, 1, 7, 40, 123])
@pytest.mark.parametrize("name", [name for name in SINGLE if name not in ("MultiplicativeLR", "SWALR")])
def test_jump_to_an_epoch_equals_pytorch_closed_form(name, epoch):
    for seed in range(10):
        expected, got = pair_of(name, seed)
        got.step(epoch)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch warns that epoch is deprecated
            expected.step(epoch)
        # In closed form a rate near its end is a difference of numbers of the size of the base rate.
        lrs, _ = rates(expected)
        assert rates(got)[0] == pytest.approx(lrs, rel=RELATIVE, abs=1e-15)


def test_warm_restarts_take_fractional_epochs_as_pytorch_does():
    for seed in range(CONFIGURATIONS):
        expected, got = pair_of("CosineAnnealingWarmRestarts", seed)
        rng = random.Random(seed)
        epoch = 0.0
        for t in range(100):
            epoch += rng.uniform(0.01, 0.9)
            for scheduler in (expected, got):
                scheduler.optimizer.step()
                if t % 10 == 9:
                    scheduler.step()
                else:
                    scheduler.step(epoch)
            np.testing.assert_allclose(reading(got), reading(expected), rtol=RELATIVE, atol=0.0)


# Where PyTorch's scheduler of the same name does something else, on purpose. Each entry: what, and a function that
# shows PyTorch's behaviour and asserts ours.
DIFFERENCES = {}


def difference(what):
    def register(check):
        DIFFERENCES[what] = check
        return check

    return register


def sgd(lr=1.0, groups=1):
    return torch.optim.SGD([{"params": [torch.zeros(1, requires_grad=True)]} for _ in range(groups)], lr, momentum=0.9)


def walk(scheduler, steps):
    lrs = [scheduler.optimizer.param_groups[0]["lr"]]
    for _ in range(steps):
        scheduler.optimizer.step()
        scheduler.step()
        lrs.append(scheduler.optimizer.param_groups[0]["lr"])
    return lrs


@difference("OneCycleLR does not rise again at step(total_steps)")
def one_cycle_end():
    expected = walk(theirs.OneCycleLR(sgd(), 1.0, total_steps=10), 10)
    got = walk(ours.OneCycleLR(sgd(), 1.0, total_steps=10), 10)
    assert got[:10] == pytest.approx(expected[:10], rel=RELATIVE)
    assert expected[10] > 1000 * expected[9]
    assert got[10] == got[9] == pytest.approx(1.0 / 25 / 1e4)


@difference("OneCycleLR past total_steps stays and warns once, where PyTorch stops the run")
def one_cycle_past_end():
    with pytest.raises(ValueError, match="Tried to step"):
        walk(theirs.OneCycleLR(sgd(), 1.0, total_steps=10), 11)
    scheduler = ours.OneCycleLR(sgd(), 1.0, total_steps=10)
    with pytest.warns(UserWarning, match="past total_steps=10") as caught:
        lrs = walk(scheduler, 15)
    assert len(caught) == 1
    assert set(lrs[9:]) == {lrs[9]}


@difference("LinearLR(end_factor=0) ends at 0, where PyTorch's product leaves rounding errors")
def linear_to_zero():
    expected = walk(theirs.LinearLR(sgd(), 1.0, 0.0, total_iters=7), 9)
    got = walk(ours.LinearLR(sgd(), 1.0, 0.0, total_iters=7), 9)
    assert got == pytest.approx(expected, rel=RELATIVE, abs=1e-14)
    assert got[7:] == [0.0, 0.0, 0.0]


@difference("ConstantLR(factor=0) goes on to the base rate, where PyTorch divides by zero at total_iters")
def constant_from_zero():
    with pytest.raises(ZeroDivisionError):
        walk(theirs.ConstantLR(sgd(), 0.0, total_iters=3), 3)
    assert walk(ours.ConstantLR(sgd(), 0.0, total_iters=3), 4) == [0.0, 0.0, 0.0, 1.0, 1.0]


@difference("arguments that divide by zero later are refused when the scheduler is built")
def zero_divisors():
    for name, arguments in [
        ("CosineAnnealingLR", {"T_max": 0}),
        ("StepLR", {"step_size": 0}),
        ("LinearLR", {"total_iters": 0}),
        ("PolynomialLR", {"total_iters": 0}),
        ("ConstantLR", {"total_iters": 0}),
        ("OneCycleLR", {"max_lr": 1.0, "total_steps": 10, "pct_start": 0.1}),
        ("OneCycleLR", {"max_lr": 1.0, "total_steps": 10, "pct_start": 1.0}),
    ]:
        optimizer = sgd()
        before = copy.deepcopy(optimizer.param_groups[0])
        with pytest.raises(ValueError, match=name):
            getattr(ours, name)(optimizer, **arguments)
        assert {k: v for k, v in optimizer.param_groups[0].items() if k != "params"} == {
            k: v for k, v in before.items() if k != "params"
        }
    with pytest.raises(ZeroDivisionError):
        walk(theirs.OneCycleLR(sgd(), 1.0, total_steps=10, pct_start=1.0), 10)


@difference("OneCycleLR(three_phase=True) refuses a pct_start whose third phase PyTorch never reaches")
def three_phases_that_do_not_fit():
    lrs = walk(theirs.OneCycleLR(sgd(), 1.0, total_steps=10, pct_start=0.6, three_phase=True), 9)
    assert lrs[-1] > 0.04
    with pytest.raises(ValueError, match="three phases"):
        ours.OneCycleLR(sgd(), 1.0, total_steps=10, pct_start=0.6, three_phase=True)


@difference("SequentialLR works inside SequentialLR, where PyTorch fails at the milestone")
def nested_sequences():
    def build(module, optimizer):
        inner = module.SequentialLR(
            optimizer, [module.ConstantLR(optimizer, 0.5, 100), module.ExponentialLR(optimizer, 0.9)], [2]
        )
        return module.SequentialLR(optimizer, [module.LinearLR(optimizer, 0.1, total_iters=3), inner], [4])

    with pytest.raises(NotImplementedError):
        walk(build(theirs, sgd()), 4)
    got = walk(build(ours, sgd()), 8)
    assert got == pytest.approx([0.1, 0.4, 0.7, 1.0, 0.5, 0.5, 1.0, 0.9, 0.81])


@difference("two OneCycleLR in a SequentialLR keep their own rates, where PyTorch's second overwrites the first's")
def two_cycles_in_sequence():
    def build(module):
        optimizer = sgd()
        cycles = [module.OneCycleLR(optimizer, peak, total_steps=10, pct_start=0.5) for peak in (1.0, 0.2)]
        return module.SequentialLR(optimizer, cycles, [10])

    expected, got = walk(build(theirs), 19), walk(build(ours), 19)
    assert max(expected[1:10]) == pytest.approx(0.2)
    assert max(got[1:10]) == pytest.approx(1.0)
    assert got[10:] == pytest.approx(expected[10:])


@difference("ChainedScheduler works inside SequentialLR, where PyTorch fails at the milestone")
def chain_in_sequence():
    def build(module, optimizer):
        chain = module.ChainedScheduler([module.ConstantLR(optimizer, 0.5, 2), module.ExponentialLR(optimizer, 0.9)])
        return module.SequentialLR(optimizer, [module.LinearLR(optimizer, 0.1, total_iters=3), chain], [4])

    with pytest.raises(NotImplementedError):
        walk(build(theirs, sgd()), 4)
    assert walk(build(ours, sgd()), 7) == pytest.approx([0.1, 0.4, 0.7, 1.0, 0.5, 0.45, 0.81, 0.729])


@difference("ReduceLROnPlateau follows a warm-up in SequentialLR, and multiplies with it in ChainedScheduler")
def plateau_after_warm_up():
    optimizer = sgd()
    parts = [theirs.LinearLR(optimizer, 0.1, total_iters=3), theirs.ReduceLROnPlateau(optimizer)]
    with pytest.raises(ValueError, match="does not support"):
        theirs.SequentialLR(optimizer, parts, [3])

    optimizer = sgd()
    parts = [ours.LinearLR(optimizer, 0.1, total_iters=3), ours.ReduceLROnPlateau(optimizer, factor=0.5, patience=1)]
    scheduler = ours.SequentialLR(optimizer, parts, [3])
    lrs = []
    for _ in range(8):
        lrs.append(optimizer.param_groups[0]["lr"])
        scheduler.step(1.0)
    # The first metric counts at step 4; two steps without a better one make the fall.
    assert lrs == pytest.approx([0.1, 0.4, 0.7, 1.0, 1.0, 1.0, 0.5, 0.5])

    optimizer = sgd()
    parts = [ours.LinearLR(optimizer, 0.1, total_iters=3), ours.ReduceLROnPlateau(optimizer, factor=0.5, patience=0)]
    scheduler = ours.ChainedScheduler(parts)
    lrs = []
    for _ in range(4):
        lrs.append(optimizer.param_groups[0]["lr"])
        scheduler.step(1.0)
    assert lrs == pytest.approx([0.1, 0.4, 0.35, 0.25])


@difference("ReduceLROnPlateau can compare negative metrics rightly (threshold_mode='rel-signed')")
def negative_metrics():
    def falls(scheduler):
        for step in range(20):
            scheduler.step(-100.0 + 0.001 * step)  # a little worse each time
        return scheduler.optimizer.param_groups[0]["lr"]

    assert falls(theirs.ReduceLROnPlateau(sgd(), patience=3)) == 1.0
    assert falls(ours.ReduceLROnPlateau(sgd(), patience=3)) == 1.0
    assert falls(ours.ReduceLROnPlateau(sgd(), patience=3, threshold_mode="rel-signed")) < 1e-3


@difference("a state is complete: it loads into a new optimizer in any order, where PyTorch's rate stays scaled twice")
def load_after_the_optimizer():
    def resumed(module):
        optimizer = sgd()
        scheduler = module.LinearLR(optimizer, 0.5, total_iters=10)
        walk(scheduler, 4)
        again = sgd()
        again.load_state_dict(optimizer.state_dict())
        scheduler_again = module.LinearLR(again, 0.5, total_iters=10)
        scheduler_again.load_state_dict(scheduler.state_dict())
        return optimizer.param_groups[0]["lr"], again.param_groups[0]["lr"]

    expected, wrong = resumed(theirs)
    assert wrong == pytest.approx(0.5 * expected)
    expected, right = resumed(ours)
    assert right == expected == pytest.approx(0.7)


@difference("building with last_epoch on a milestone does not multiply the loaded rate again")
def last_epoch_on_a_milestone():
    for module, factor in ((theirs, 0.1), (ours, 1.0)):
        optimizer = sgd()
        walk(module.StepLR(optimizer, 5), 5)
        again = sgd()
        again.load_state_dict(optimizer.state_dict())
        module.StepLR(again, 5, last_epoch=4)
        assert again.param_groups[0]["lr"] == pytest.approx(0.1 * factor)


@difference("warm restarts resume by last_epoch in any period, where PyTorch is right only in the first two")
def warm_restarts_by_last_epoch():
    whole = walk(ours.CosineAnnealingWarmRestarts(sgd(), 2, 2), 20)
    optimizer = sgd()
    optimizer.param_groups[0]["initial_lr"] = 1.0
    got = walk(ours.CosineAnnealingWarmRestarts(optimizer, 2, 2, last_epoch=9), 10)
    assert got == whole[10:]
    optimizer = sgd()
    optimizer.param_groups[0]["initial_lr"] = 1.0
    expected = theirs.CosineAnnealingWarmRestarts(optimizer, 2, 2, last_epoch=9)
    assert expected.get_last_lr()[0] != pytest.approx(whole[10])


@difference("SWALR goes on by last_epoch, where PyTorch begins the annealing anew")
def swa_by_last_epoch():
    whole = walk(ours.SWALR(sgd(), 0.1, anneal_epochs=10, anneal_strategy="linear"), 10)
    results = {}
    for module in (torch.optim.swa_utils, ours):
        optimizer = sgd(whole[4])
        optimizer.param_groups[0]["initial_lr"] = 1.0
        results[module] = walk(module.SWALR(optimizer, 0.1, 10, "linear", last_epoch=3), 6)[-1]
    assert results[ours] == pytest.approx(whole[10])
    assert results[torch.optim.swa_utils] > 2 * whole[10]


@difference("MultiplicativeLR.step(epoch) multiplies every step up to it, where PyTorch multiplies one")
def multiplicative_jump():
    optimizer = sgd()
    ours.MultiplicativeLR(optimizer, lambda t: 0.5).step(3)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.125)
    optimizer = sgd()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs.MultiplicativeLR(optimizer, lambda t: 0.5).step(3)
    assert optimizer.param_groups[0]["lr"] == 0.5


@difference("a milestone of SequentialLR must be above zero and not repeated: its scheduler would never run")
def milestones_that_skip():
    for milestones in ([0], [5, 5]):
        optimizer = sgd()
        parts = [ours.ExponentialLR(optimizer, 0.9) for _ in range(len(milestones) + 1)]
        with pytest.raises(ValueError, match="milestone"):
            ours.SequentialLR(optimizer, parts, milestones)


@pytest.mark.parametrize("what", DIFFERENCES)
def test_difference_from_pytorch_by_design(what):
    DIFFERENCES[what]()


def test_learning_rate_held_in_a_tensor_is_filled_and_stays_the_same_tensor():
    lr = torch.tensor(1.0, dtype=torch.float64)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr)
    scheduler = ours.ExponentialLR(optimizer, 0.5)
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] is lr
    assert lr.item() == 0.5
    assert scheduler.get_last_lr() == [0.5]
