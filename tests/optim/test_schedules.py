"""The pure schedules: their formulas literally, their ends, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest

from minigrad.errors import ArgumentError
from minigrad.optim import schedules as s
from minigrad.optim.schedule_base import Schedule

STEPS = np.arange(0, 240)
EXACT = {"rtol": 1e-12, "atol": 1e-15}


def literally(formula, schedule, steps=STEPS):
    """Compare a schedule with a formula written for one step, for whole steps and fractional ones, and as an array."""
    for t in [*steps, *(steps[:50] + 0.37)]:
        assert schedule(t) == pytest.approx(formula(t), rel=1e-12, abs=1e-15), t
    np.testing.assert_allclose(schedule(steps), [formula(t) for t in steps], **EXACT)


# The five of the course module, in its symbols.


def test_step_decay_is_the_modules_formula():
    alpha_0, gamma, step_size = 0.3, 0.5, 30
    literally(lambda t: alpha_0 * gamma ** math.floor(t / step_size), s.step_decay(alpha_0, gamma, step_size))


def test_exponential_decay_is_the_modules_formula():
    alpha_0, rate = 0.3, 0.02
    literally(lambda t: alpha_0 * math.e ** (-rate * t), s.exponential(alpha_0, decay=rate))


def test_cosine_annealing_is_the_modules_formula_up_to_T():
    alpha_min, alpha_max, T = 0.01, 0.3, 200

    def formula(t):
        return alpha_min + 1 / 2 * (alpha_max - alpha_min) * (1 + math.cos(t / T * math.pi))

    literally(formula, s.cosine(alpha_max, T, alpha_min), np.arange(201))
    literally(formula, s.cosine(alpha_max, T, alpha_min, periodic=True), np.arange(900))


def test_warm_up_is_the_modules_formula_from_0():
    T_warmup, alpha_target = 100, 0.3
    schedule = s.warmup(T_warmup, alpha_target)
    literally(lambda t: t / T_warmup * alpha_target if t < T_warmup else alpha_target, schedule)
    assert schedule(0) == 0.0
    assert schedule(100) == schedule(10**9) == alpha_target


def test_one_cycle_warms_up_to_the_peak_and_anneals_down():
    schedule = s.one_cycle(0.5, T=100)
    values = schedule(np.arange(101))
    assert values[0] == pytest.approx(0.5 / 25)
    assert values.argmax() == 30
    assert values[30] == 0.5
    assert values[100] == pytest.approx(0.5 / 25 / 1e4)
    assert np.all(np.diff(values[:31]) > 0)
    assert np.all(np.diff(values[30:]) < 0)


# The others, from their papers.


@pytest.mark.parametrize("anneal", ["cosine", "linear"])
@pytest.mark.parametrize("three_phase", [False, True])
def test_one_cycle_phases_are_half_cosines_or_straight_lines(anneal, three_phase):
    low, high, end, up, T = 0.02, 0.5, 0.001, 40.0, 200.0
    phases = [(0, up, low, high), (up, T, high, end)]
    if three_phase:
        phases = [(0, up, low, high), (up, 2 * up, high, low), (2 * up, T, low, end)]

    def formula(t):
        for start, stop, a, b in phases:
            if t <= stop:
                x = (t - start) / (stop - start)
                return a + (b - a) * (x if anneal == "linear" else (1 - math.cos(math.pi * x)) / 2)
        return end

    literally(formula, s.one_cycle(high, T, up, low, end, anneal, three_phase))


def test_one_cycle_upside_down_is_the_momentum_of_the_policy():
    momentum = s.one_cycle(0.85, T=100, alpha_0=0.95, alpha_min=0.95)
    assert [momentum(t) for t in (0, 30, 100)] == pytest.approx([0.95, 0.85, 0.95])


def test_linear_goes_straight_from_one_end_to_the_other():
    literally(lambda t: 0.4 + (0.1 - 0.4) * min(t, 90) / 90, s.linear(0.4, 0.1, T=90))


def test_polynomial_formula():
    literally(lambda t: 0.1 + 0.4 * (1 - min(t, 150) / 150) ** 1.5, s.polynomial(0.5, 150, 1.5, 0.1))


def test_inverse_time_formula():
    literally(lambda t: 0.4 / (1 + 0.03 * t), s.inverse_time(0.4, 0.03))


def test_rex_formula_of_its_paper():
    # Table 1 of arXiv:2107.04197: (1 - z) / (1/2 + 1/2 (1 - z)) with z = t/T.
    def formula(t):
        z = min(t, 180) / 180
        return 0.4 * (1 - z) / (1 / 2 + 1 / 2 * (1 - z))

    literally(formula, s.rex(0.4, 180))


def test_noam_is_equation_3_of_attention_is_all_you_need():
    d_model, warmup_steps = 512, 40
    schedule = s.noam(d_model, warmup_steps)
    for step_num in range(1, 400):
        expected = d_model**-0.5 * min(step_num**-0.5, step_num * warmup_steps**-1.5)
        assert schedule(step_num) == pytest.approx(expected, rel=1e-12)
    assert schedule(0) == 0.0
    assert s.noam(512, 40, scale=2.0)(7) == pytest.approx(2 * schedule(7), rel=1e-15)


def test_piecewise_changes_at_its_boundaries():
    literally(lambda t: 0.1 if t < 30 else 0.05 if t < 100 else 0.01, s.piecewise([30, 100], [0.1, 0.05, 0.01]))
    assert s.piecewise([], [0.3])(5) == 0.3


@pytest.mark.parametrize("alpha_min", [0.0, 0.02])
def test_warmup_cosine_is_warm_up_then_cosine(alpha_min):
    both = s.warmup(20).then(s.cosine(0.3, 180, alpha_min))
    schedule = s.warmup_cosine(0.3, 20, 200, alpha_min)
    literally(both, schedule)
    assert schedule(0) == 0.0
    assert schedule(20) == 0.3
    assert schedule(200) == schedule(10**6) == alpha_min


COOLDOWNS = {
    "linear": lambda x: 1 - x,
    "cosine": lambda x: (1 + math.cos(math.pi * x)) / 2,
    "1-sqrt": lambda x: 1 - math.sqrt(x),
}


@pytest.mark.parametrize("cooldown", COOLDOWNS)
def test_wsd_warms_up_stays_and_cools_down(cooldown):
    def formula(t):
        if t < 20:
            return t / 20 * 0.5
        if t < 150:
            return 0.5
        return 0.05 + (0.5 - 0.05) * COOLDOWNS[cooldown](min((t - 150) / 60, 1))

    literally(formula, s.wsd(0.5, 20, 130, 60, cooldown, alpha_min=0.05))


@pytest.mark.parametrize("mode", ["triangular", "triangular2", "exp_range"])
def test_cyclic_is_the_formula_of_its_paper(mode):
    # The code line of arXiv:1506.01186, section 3.3, for equal halves.
    low, high, stepsize, gamma = 0.1, 0.6, 20, 0.99
    scale = {
        "triangular": lambda c, t: 1,
        "triangular2": lambda c, t: 1 / 2 ** (c - 1),
        "exp_range": lambda c, t: gamma**t,
    }

    def formula(t):
        cycle = math.floor(1 + t / (2 * stepsize))
        x = abs(t / stepsize - 2 * cycle + 1)
        return low + (high - low) * max(0, 1 - x) * scale[mode](cycle, t)

    literally(formula, s.cyclic(low, high, stepsize, mode=mode, gamma=gamma))


def test_cyclic_may_go_down_slower_than_up():
    schedule = s.cyclic(0.0, 1.0, 10, 30)
    assert [schedule(t) for t in (5, 10, 25, 40, 50)] == pytest.approx([0.5, 1.0, 0.5, 0.0, 1.0])


@pytest.mark.parametrize("T_mult", [1, 1.5, 2, 3])
def test_warm_restarts_begin_each_period_anew_even_at_fractional_epochs(T_mult):
    T_0, low, high = 7, 0.01, 0.3
    schedule = s.cosine_restarts(high, T_0, T_mult, low)
    start, length = 0.0, float(T_0)
    for _ in range(6):
        for part in (0.0, 0.25, 0.5, 0.9):
            expected = low + (high - low) * (1 + math.cos(math.pi * part)) / 2
            assert schedule(start + part * length) == pytest.approx(expected, rel=1e-9)
        start, length = start + length, length * T_mult


def test_a_restart_is_never_one_step_late_or_early():
    # log(t/T_0 + 1, 2) rounds to the wrong side of whole numbers: every restart of 300 periods and lengths is tried.
    for T_0 in range(1, 61):
        for T_mult in (2, 3, 5):
            schedule = s.cosine_restarts(1.0, T_0, T_mult)
            start, length = 0, T_0
            for _ in range(5):
                assert schedule(start) == 1.0
                assert schedule(start + length - 1e-6) < 1e-6
                np.testing.assert_array_equal(schedule(np.array([start])), [1.0])
                start, length = start + length, length * T_mult


PAST_THE_END = [
    (s.warmup(10, 0.3), 10, 0.3),
    (s.warmup(0, 0.3), 0, 0.3),
    (s.cosine(0.3, 10, 0.1), 10, 0.1),
    (s.linear(0.3, 0.2, 10), 10, 0.2),
    (s.polynomial(0.3, 10, 2, 0.1), 10, 0.1),
    (s.rex(0.3, 10), 10, 0.0),
    (s.one_cycle(0.3, 10, alpha_min=0.002), 10, 0.002),
    (s.one_cycle(0.3, 10, alpha_min=0.002, three_phase=True), 10, 0.002),
    (s.warmup_cosine(0.3, 2, 10, 0.1), 10, 0.1),
    (s.wsd(0.3, 2, 4, 4, "linear", 0.1), 10, 0.1),
    (s.wsd(0.3, 2, 4, 4, "cosine", 0.1), 10, 0.1),
    (s.wsd(0.3, 2, 4, 4, "1-sqrt", 0.1), 10, 0.1),
    (s.warmup(4).then(s.cosine(0.3, 6)), 10, 0.0),
    (s.warmup(4) * s.linear(0.5, 0.25, 10), 10, 0.25),
    (2 * s.warmup(10, 0.3), 10, 0.6),
]


@pytest.mark.parametrize(("schedule", "end", "value"), PAST_THE_END, ids=lambda x: repr(x)[:40])
def test_past_its_end_a_schedule_keeps_its_last_value(schedule, end, value):
    assert schedule.duration == end
    np.testing.assert_allclose(schedule(np.array([end, end + 0.5, end + 1, 1e3, 1e9])), value, rtol=1e-15)
    for t in (end, end + 1, 10**9):
        assert schedule(t) == pytest.approx(value, rel=1e-15)


ENDLESS = [
    (s.step_decay(1.0, 0.5, 10), 100, 0.5**10),
    (s.exponential(1.0, decay=0.1), 100, math.exp(-10)),
    (s.inverse_time(1.0, 0.1), 90, 0.1),
    (s.inverse_sqrt(1.0, 10), 1000, 0.1),
    (s.cyclic(0.0, 1.0, 10), 1010, 1.0),
    (s.cosine_restarts(1.0, 10), 1005, 0.5),
    (s.cosine(1.0, 10, periodic=True), 20, 1.0),
    (s.piecewise([10], [1.0, 0.5]), 10**6, 0.5),
    (s.constant(0.3), 10**6, 0.3),
]


@pytest.mark.parametrize(("schedule", "t", "value"), ENDLESS, ids=lambda x: repr(x)[:40])
def test_a_schedule_without_end_goes_on(schedule, t, value):
    assert schedule.duration == math.inf
    assert schedule(t) == pytest.approx(value, rel=1e-12)


REFUSED = [
    (lambda: s.step_decay(-0.1, 0.5, 3), "alpha_0"),
    (lambda: s.step_decay(0.1, -0.5, 3), "gamma"),
    (lambda: s.step_decay(0.1, 0.5, 0), "step_decay: expected s to be a number of steps above zero, got 0"),
    (lambda: s.step_decay(0.1, 0.5, True), "got True"),
    (lambda: s.step_decay("0.1", 0.5, 3), "alpha_0"),
    (lambda: s.exponential(0.1), "decay or gamma"),
    (lambda: s.exponential(0.1, decay=0.1, gamma=0.9), "decay or gamma"),
    (lambda: s.exponential(0.1, gamma=-0.9), "gamma"),
    (lambda: s.exponential(0.1, decay=math.nan), "decay"),
    (lambda: s.exponential(math.inf, decay=0.1), "alpha_0"),
    (lambda: s.cosine(0.1, 0), "T"),
    (lambda: s.cosine(0.1, -5), "T"),
    (lambda: s.cosine(-0.1, 5), "alpha_max"),
    (lambda: s.cosine(0.1, 5, -0.1), "alpha_min"),
    (lambda: s.linear(0.1, -0.1, 5), "alpha_T"),
    (lambda: s.linear(0.1, 0.2, 0), "T"),
    (lambda: s.polynomial(0.1, 0), "T"),
    (lambda: s.polynomial(0.1, 5, -1), "power"),
    (lambda: s.inverse_time(0.1, -1), "decay"),
    (lambda: s.rex(0.1, 0), "T"),
    (lambda: s.piecewise([3, 2], [1, 2, 3]), "2 follows 3"),
    (lambda: s.piecewise([3, 3], [1, 2, 3]), "increase"),
    (lambda: s.piecewise([0], [1, 2]), "boundaries\\[0\\]"),
    (lambda: s.piecewise([3], [1, 2, 3]), "one value more"),
    (lambda: s.piecewise([3], [1, -2]), "values\\[1\\]"),
    (lambda: s.warmup(-1), "T_warmup"),
    (lambda: s.warmup(5, -0.1), "alpha_target"),
    (lambda: s.warmup_cosine(0.1, 10, 10), "T_warmup below T=10"),
    (lambda: s.warmup_cosine(0.1, -1, 10), "T_warmup"),
    (lambda: s.one_cycle(0.1, 0), "T"),
    (lambda: s.one_cycle(0.1, 10, 10), "below T=10"),
    (lambda: s.one_cycle(0.1, 10, 5, three_phase=True), "half of T=10"),
    (lambda: s.one_cycle(0.1, 10, anneal="cos"), "cosine, linear; got 'cos'"),
    (lambda: s.one_cycle(0.1, 10, alpha_0=-1), "alpha_0"),
    (lambda: s.one_cycle(0.1, 10, alpha_min=-1), "alpha_min"),
    (lambda: s.wsd(0.1, 1, 2, 0), "T_decay"),
    (lambda: s.wsd(0.1, -1, 2, 3), "T_warmup"),
    (lambda: s.wsd(0.1, 1, -2, 3), "T_stable"),
    (lambda: s.wsd(0.1, 1, 2, 3, "sqrt"), "linear, cosine, 1-sqrt; got 'sqrt'"),
    (lambda: s.inverse_sqrt(0.1, 0), "T_warmup"),
    (lambda: s.noam(0, 100), "d_model"),
    (lambda: s.noam(512, 0), "T_warmup"),
    (lambda: s.noam(512, 100, -1), "scale"),
    (lambda: s.cyclic(0.1, 0.2, 0), "step_size_up"),
    (lambda: s.cyclic(0.1, 0.2, 5, 0), "step_size_down"),
    (lambda: s.cyclic(0.1, 0.2, 5, mode="saw"), "triangular, triangular2, exp_range; got 'saw'"),
    (lambda: s.cyclic(0.1, 0.2, 5, gamma=1.1), "gamma"),
    (lambda: s.cosine_restarts(0.1, 0), "T_0"),
    (lambda: s.cosine_restarts(0.1, 5, 0.5), "T_mult"),
    (lambda: s.cosine_restarts(0.1, 5, alpha_min=-1), "alpha_min"),
    (lambda: s.constant(-1), "alpha"),
    (lambda: s.product((s.constant(1),)), "two schedules"),
    (lambda: s.sequence(s.constant(1), 2, 3), "second"),
    (lambda: s.sequence(s.constant(1), s.constant(1), -3), "at"),
]


@pytest.mark.parametrize(("build", "message"), REFUSED, ids=[f"{i}-{m[:30]}" for i, (_, m) in enumerate(REFUSED)])
def test_bad_arguments_are_refused_by_the_constructor(build, message):
    with pytest.raises(ArgumentError, match=message):
        build()


@pytest.mark.parametrize("t", [-1, -0.5, math.nan, math.inf, [3, -1], np.array([0, np.nan]), "three", None, [[1], "x"]])
def test_a_step_that_is_no_step_is_refused(t):
    with pytest.raises(ArgumentError, match=r"expected (a finite step|steps)"):
        s.cosine(0.1, 5)(t)


@pytest.mark.parametrize("t", [10**6, np.array([3.0, 10**6])])
def test_growth_past_the_largest_float_is_an_error_and_not_an_infinite_rate(t):
    with pytest.raises(ArgumentError, match="too large for a float64"):
        s.exponential(1.0, gamma=2.0)(t)
    with pytest.raises(ArgumentError, match="too large for a float64"):
        s.exponential(1.0, decay=-2.0)(t)


def test_a_decay_past_the_smallest_float_is_0_without_a_warning():
    for schedule in (s.exponential(1.0, gamma=0.5), s.exponential(1.0, decay=2.0), s.step_decay(1.0, 0.1, 1)):
        assert schedule(10**6) == 0.0
        np.testing.assert_array_equal(schedule(np.array([0, 10**6])), [1.0, 0.0])


# Names, for the command line.


@pytest.mark.parametrize("name", s.names())
@pytest.mark.parametrize("total_steps", [1, 2, 3, 7, 1000])
def test_every_name_builds_a_schedule_that_peaks_at_the_given_rate(name, total_steps):
    schedule = s.by_name(name, lr=0.1, total_steps=total_steps)
    values = schedule(np.linspace(0, total_steps, 20_001))
    assert values.min() >= 0.0
    assert values.max() <= 0.1 * (1 + 1e-12)
    peak = 0.07 if name == "cyclic-exp-range" else 0.0999  # this one begins to shrink before its first peak
    assert values.max() >= peak


def test_the_modules_five_come_first_among_the_names():
    assert s.names()[:5] == ["step", "exponential", "cosine", "warmup", "one-cycle"]


def test_an_unknown_name_is_an_error_that_lists_what_is_accepted_and_guesses():
    with pytest.raises(ArgumentError) as caught:
        s.by_name("onecycle", lr=0.1, total_steps=10)
    assert all(name in str(caught.value) for name in s.names())
    assert "Did you mean 'one-cycle'?" in str(caught.value)
    for arguments in ({"lr": -1.0, "total_steps": 10}, {"lr": 0.1, "total_steps": 0}, {"lr": 0.1, "total_steps": 1.5}):
        with pytest.raises(ArgumentError, match="schedule: expected"):
            s.by_name("cosine", **arguments)


CLASSES = [value for value in vars(s).values() if isinstance(value, type) and value is not Schedule]


def test_the_gallery_shows_every_class_of_schedule():
    shown = {type(schedule) for _, schedule, _ in s.gallery()}
    assert {cls for cls in CLASSES if issubclass(cls, Schedule)} - shown == {s.sequence}


@pytest.mark.parametrize(("name", "schedule", "equation"), s.gallery(), ids=s.names())
def test_the_equation_of_the_gallery_stands_in_the_docstring(name, schedule, equation):
    words = type(schedule).__doc__
    for case in equation.split("; "):
        # The cool-downs and cycles name one of the forms that the docstring lists.
        parts = [case] if case in words else [part for part in case.split(" ") if part not in "·"]
        assert all(part in words for part in parts), (name, case)


def test_the_listing_has_name_equation_and_expression_of_each():
    text = s.listing()
    for name, schedule, equation in s.gallery():
        assert f"{name}\n    {equation}\n    {schedule!r}" in text
