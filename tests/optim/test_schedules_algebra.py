"""What holds for every schedule: purity, equality, repr, products and sequences."""

from __future__ import annotations

import copy
import math
import pickle
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigrad.errors import ArgumentError
from minigrad.optim import schedules as s
from minigrad.optim.schedules import Schedule, constant, cosine, product, sequence, step_decay, warmup

rates = st.floats(0.0, 2.0, allow_subnormal=False)
lengths = st.floats(0.5, 300.0)
whole = st.integers(1, 300)
simple = st.one_of(
    st.builds(constant, rates),
    st.builds(step_decay, rates, st.floats(0.0, 1.0), lengths),
    st.builds(s.exponential, rates, decay=st.floats(0.0, 0.1)),
    st.builds(s.exponential, rates, gamma=st.floats(0.0, 1.0)),
    st.builds(cosine, rates, lengths, rates, st.booleans()),
    st.builds(s.linear, rates, rates, lengths),
    st.builds(s.polynomial, rates, lengths, st.floats(0.0, 4.0), rates),
    st.builds(s.inverse_time, rates, st.floats(0.0, 1.0)),
    st.builds(s.rex, rates, lengths),
    st.builds(s.piecewise, st.just((10, 50.5, 70)), st.tuples(rates, rates, rates, rates)),
    st.builds(warmup, st.just(0) | lengths, st.none() | rates),
    st.builds(lambda a, w, d, b: s.warmup_cosine(a, w, w + d, b), rates, lengths, lengths, rates),
    st.builds(
        s.one_cycle,
        rates,
        lengths,
        alpha_0=rates,
        anneal=st.sampled_from(["cosine", "linear"]),
        three_phase=st.booleans(),
    ),
    st.builds(s.wsd, rates, lengths, lengths, lengths, st.sampled_from(["linear", "cosine", "1-sqrt"]), rates),
    st.builds(s.inverse_sqrt, rates, lengths),
    st.builds(
        s.cyclic,
        rates,
        rates,
        whole,
        whole,
        st.sampled_from(["triangular", "triangular2", "exp_range"]),
        st.floats(0.9, 1.0),
    ),
    st.builds(s.cosine_restarts, rates, whole, st.sampled_from([1, 2, 3]), rates),
)
schedules = st.recursive(
    simple,
    lambda inner: st.one_of(
        st.builds(lambda a, b: a * b, inner, inner),
        st.builds(lambda a, b: a * b, rates, inner),
        st.builds(lambda a, b, at: a.then(b, at), inner, inner, st.floats(0.0, 200.0)),
    ),
    max_leaves=5,
)


@settings(max_examples=150, deadline=None)
@given(schedule=schedules, order=st.permutations(range(0, 300, 7)))
def test_a_schedule_asked_in_any_order_answers_as_one_asked_in_sequence(schedule, order):
    in_sequence = [schedule(t) for t in range(300)]
    assert [schedule(t) for t in order] == [in_sequence[t] for t in order]
    assert [copy.deepcopy(schedule)(t) for t in order[:3]] == [in_sequence[t] for t in order[:3]]


@settings(max_examples=150, deadline=None)
@given(schedule=schedules, offset=st.sampled_from([0.0, 0.5, 1 / 3]))
def test_an_array_of_steps_gives_the_values_of_single_steps(schedule, offset):
    steps = np.arange(300) + offset
    single = [schedule(float(t)) for t in steps]
    many = schedule(steps)
    assert many.dtype == np.float64
    # Numpy's cos and exp may differ from the math module's in the last bit; rates here are of the order of 1.
    np.testing.assert_allclose(many, single, rtol=1e-13, atol=1e-14)
    np.testing.assert_array_equal(schedule(steps.reshape(20, 15)), many.reshape(20, 15))


@settings(max_examples=150, deadline=None)
@given(schedule=schedules)
def test_repr_is_the_expression_that_builds_an_equal_schedule(schedule):
    again = eval(repr(schedule), dict(vars(s)))
    assert again == schedule
    assert hash(again) == hash(schedule)
    assert again(17.5) == schedule(17.5)
    assert pickle.loads(pickle.dumps(schedule)) == schedule


@settings(max_examples=100, deadline=None)
@given(schedule=schedules)
def test_past_its_duration_a_schedule_keeps_its_value(schedule):
    if schedule.duration < math.inf:
        # Fractional lengths add up to the end but for the last bit, so the end is looked at a hair later.
        end = schedule(schedule.duration * (1 + 1e-12))
        for t in (0.5, 1, 1000):
            assert schedule(schedule.duration + t) == end


@settings(max_examples=150, deadline=None)
@given(schedule=schedules)
def test_rounding_never_takes_a_value_below_zero(schedule):
    # An optimizer refuses a negative rate, be it -1e-17.
    steps = np.concatenate([np.arange(300), np.linspace(0, 300, 777)])
    assert schedule(steps).min() >= 0.0
    if schedule.duration < math.inf:
        assert schedule(schedule.duration) >= 0.0


def test_schedules_built_alike_are_equal_and_others_are_not():
    assert cosine(0.1, 100) == cosine(alpha_max=0.1, T=100, alpha_min=0.0)
    assert cosine(0.1, 100) == cosine(np.float64(0.1), np.int64(100))
    assert cosine(0.1, 100) != cosine(0.1, 101)
    assert cosine(0.1, 100) != s.rex(0.1, 100)
    assert warmup(5) * cosine(0.1, 10) == product((warmup(5), cosine(0.1, 10)))
    assert len({cosine(0.1, 100), cosine(0.1, 100.0), cosine(0.2, 100)}) == 2


def test_a_schedule_cannot_be_changed():
    with pytest.raises(AttributeError):
        cosine(0.1, 100).T = 50


@pytest.mark.parametrize("t", [3, 3.0, np.int64(3), np.float32(3), np.uint8(3)])
def test_a_number_gives_a_plain_float(t):
    value = cosine(0.1, 10)(t)
    assert type(value) is float
    assert value == pytest.approx(0.05 * (1 + math.cos(0.3 * math.pi)))


@pytest.mark.parametrize("t", [np.array(3), np.array([3]), [3], (3,), range(3, 4), np.array([3], dtype=np.int8), []])
def test_anything_like_an_array_gives_an_array_of_its_shape(t):
    value = constant(0.5)(t)
    assert isinstance(value, np.ndarray)
    assert value.dtype == np.float64
    assert value.shape == np.shape(t)
    assert np.all(value == 0.5)


def test_the_array_that_comes_back_is_the_callers_own():
    schedule = constant(0.5)
    values = schedule(np.arange(3))
    values[0] = 7
    assert schedule(np.arange(3))[0] == 0.5


def test_products_multiply_and_take_numbers_on_both_sides():
    both = warmup(10) * step_decay(0.4, 0.5, 20)
    assert both(5) == pytest.approx(0.5 * 0.4)
    assert both(25) == pytest.approx(0.2)
    for scaled in (3 * both, both * 3, np.float64(3) * both, both * np.float32(3), np.int64(3) * both):
        assert scaled(5) == pytest.approx(0.6)
        assert isinstance(scaled, product)
        assert len(scaled.factors) == 3
    assert both.duration == math.inf
    assert (0.5 * cosine(0.1, 10)).duration == 10


@pytest.mark.parametrize("other", ["2", None, [1, 2], np.arange(3), 1j])
def test_only_schedules_and_numbers_multiply(other):
    with pytest.raises((TypeError, ArgumentError)):
        cosine(0.1, 10) * other
    with pytest.raises((TypeError, ArgumentError)):
        other * cosine(0.1, 10)


def test_a_warm_up_aims_at_what_follows():
    lr = warmup(500).then(cosine(0.1, T=9500))
    assert lr == warmup(500, 0.1).then(cosine(0.1, T=9500))
    assert [lr(t) for t in (0, 250, 499, 500)] == pytest.approx([0.0, 0.05, 0.0998, 0.1])
    assert lr(10_000) == 0.0
    assert warmup(500, 0.3).then(cosine(0.1, T=9500))(250) == pytest.approx(0.15)
    assert (2 * warmup(4)).then(constant(0.1))(2) == 1.0  # a factor has its own height


def test_a_warm_up_in_the_middle_aims_at_what_follows_it_too():
    lr = constant(0.0).then(warmup(10), at=5).then(constant(0.4))
    assert [lr(t) for t in (0, 5, 10, 15, 99)] == pytest.approx([0.0, 0.0, 0.2, 0.4, 0.4])


def test_sequences_count_each_part_from_its_own_start():
    lr = constant(0.3).then(cosine(0.3, T=10), at=90).then(0.01)
    assert [lr(t) for t in (89, 90, 95, 99.999999, 100, 1e6)] == pytest.approx(
        [0.3, 0.3, 0.15, 0, 0.01, 0.01], abs=1e-9
    )
    assert lr.at == 100
    assert lr.duration == math.inf


def test_a_sequence_may_change_over_before_its_first_part_ends():
    lr = cosine(1.0, T=10).then(constant(0.2), at=5)
    assert lr(4.9) > 0.5
    assert lr(5) == 0.2


def test_a_growing_part_does_not_overflow_where_it_is_not_asked():
    lr = s.exponential(1e-7, gamma=1.2).then(constant(1.0), at=90)
    assert lr(10**6) == 1.0
    np.testing.assert_array_equal(lr(np.array([0.0, 1e6])), [1e-7, 1.0])


def test_what_never_ends_needs_to_be_told_when_the_next_begins():
    for endless in (constant(0.1), step_decay(0.1, 0.5, 3), s.cyclic(0.1, 0.2, 3), constant(2) * constant(3)):
        with pytest.raises(ArgumentError, match="expected at="):
            endless.then(constant(0.1))
    with pytest.raises(ArgumentError, match="a schedule or a number"):
        warmup(3).then("cosine")
    with pytest.raises(ArgumentError, match="at"):
        warmup(3).then(constant(0.1), at=-1)


def test_nested_sequences_equal_a_chain():
    a, b, c = warmup(10, 0.1), cosine(0.1, 20, 0.05), s.linear(0.05, 0.0, 5)
    steps = np.arange(40)
    np.testing.assert_array_equal(a.then(b).then(c)(steps), a.then(b.then(c))(steps))


def test_a_schedule_of_ones_own_needs_only_a_formula():
    @dataclass(frozen=True, repr=False)
    class sawtooth(Schedule):
        alpha: float
        period: float

        def formula(self, t, xp):
            return self.alpha * (t / self.period - xp.floor(t / self.period))

    saw = 0.5 * warmup(1).then(sawtooth(0.4, period=10), at=10)
    assert saw(15) == pytest.approx(0.1)
    np.testing.assert_allclose(saw(np.array([15, 18, 20])), [0.1, 0.16, 0.0])
    assert repr(sawtooth(0.4, 10)) == "sawtooth(alpha=0.4, period=10)"
    with pytest.raises(NotImplementedError, match="formula"):
        Schedule()(3)


def test_sequence_and_product_print_as_they_are_written():
    assert repr(2 * warmup(3)) == "constant(alpha=2.0) * warmup(T_warmup=3)"
    assert repr((2 * warmup(3)).then(0.5)) == (
        "(constant(alpha=2.0) * warmup(T_warmup=3)).then(constant(alpha=0.5), at=3)"
    )
    assert isinstance(eval(repr(warmup(3).then(0.5)), dict(vars(s))), sequence)
