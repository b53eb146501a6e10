"""minigrad.debug(): the first NaN or infinity, forward or backward, with its op and the line that made it."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import minigrad
from minigrad import autograd, backward, graph
from minigrad.debug import debug
from minigrad.errors import GraphError, NonFiniteError
from minigrad.ops.select import where


def leaf(*values):
    return minigrad.tensor(np.array(values), requires_grad=True)


def here(offset=0):
    """ "file:line" of the caller's line, as debug() writes it."""
    frame = inspect.currentframe().f_back
    return f"test_debug.py:{frame.f_lineno + offset}: "


def test_a_forward_nan_names_op_line_element_and_the_range_of_the_inputs():
    x = leaf(4.0, -1.0)
    with debug():
        y = x * 1.0
        line = here(2)
        with pytest.raises(NonFiniteError) as caught:
            y.sqrt().sum()
    message = str(caught.value)
    assert message.startswith("sqrt: made NaN in 1 of 2 elements, first at index (1,)")
    assert line + "y.sqrt().sum()" in message
    assert "from -1 to 4" in message


def test_a_forward_infinity_is_found_where_it_is_made_not_where_it_arrives():
    x = leaf(1.0, 0.0)
    with debug(), pytest.raises(NonFiniteError, match=r"^log: made infinity in 1 of 2"):
        (x.log() * 0.0).sum()


def test_an_overflow_is_found():
    with debug(), pytest.raises(NonFiniteError, match=r"^exp: made infinity"):
        leaf(1000.0).exp()


def test_unrecorded_operations_are_checked_too():
    with debug(), minigrad.no_grad(), pytest.raises(NonFiniteError, match=r"^div"):
        minigrad.tensor([1.0]) / minigrad.tensor([0.0])


def test_data_that_has_nan_already_is_blamed_on_the_data():
    x = leaf(np.nan, 1.0)
    with debug(), pytest.raises(NonFiniteError, match=r"input 0 is float64.*with NaN already"):
        x * 2.0


def test_an_infinity_that_was_put_in_is_no_error():
    scores = leaf(1.0, 2.0)
    mask = minigrad.tensor(np.array([0.0, -np.inf]))
    with debug():
        (scores + mask).exp().sum().backward()
        where(minigrad.tensor([True, False]), scores, -np.inf).exp().sum().backward()
    np.testing.assert_allclose(scores.grad.data, [2 * np.exp(1.0), 0.0])


def test_infinities_can_be_left_alone():
    with debug(inf=False):
        assert np.isinf(leaf(0.0).log().item())
    with debug(inf=False), pytest.raises(NonFiniteError, match="NaN"):
        leaf(0.0).log() * 0.0


def test_a_backward_infinity_names_the_rule_and_the_line_of_the_forward():
    x = leaf(0.0, 1.0)
    with debug():
        line = here(1)
        loss = x.sqrt().sum()
        with pytest.raises(NonFiniteError) as caught:
            loss.backward()
    message = str(caught.value)
    assert message.startswith("backward: the rule of sqrt made infinity in 1 of 2 elements, first at index (0,)")
    assert line in message
    assert x.grad is None


def test_the_classical_nan_behind_where_is_found_in_the_backward_pass():
    x = leaf(0.0, 4.0)
    with debug():
        root = x.sqrt()
        y = where(x > 0, root, 0.0)  # its gradient for x = 0 is 0, times the infinite slope of sqrt
        with pytest.raises(NonFiniteError, match="the rule of sqrt made NaN"):
            y.sum().backward()


def test_an_upstream_gradient_with_nan_is_blamed_on_the_caller():
    x = leaf(1.0)
    with debug(), pytest.raises(NonFiniteError, match=r"gradient that reaches mul.*given to backward\(\)"):
        (x * 2.0).backward(minigrad.tensor(np.array([np.nan])))


def test_a_graph_made_outside_says_that_its_line_is_unknown():
    loss = leaf(0.0).sqrt().sum()
    with debug(), pytest.raises(NonFiniteError, match=r"outside of debug\(\)"):
        loss.backward()


def test_a_second_derivative_is_checked_by_its_rules_results():
    x = leaf(0.0)
    with debug():
        # d/dx x^2.5 goes through log 0, masked: no error. The third derivative at 0 is infinite: an error.
        (first,) = autograd.grad((x**2.5).sum(), x, create_graph=True)
        (second,) = autograd.grad(first.sum(), x, create_graph=True)
        assert (first.item(), second.item()) == (0.0, 0.0)
        with pytest.raises(NonFiniteError, match="backward"):
            autograd.grad(second.sum(), x)


def test_lines_are_recorded_and_named_by_the_errors_of_backward():
    x = leaf(1.0, 2.0)
    with debug():
        line = here(1)
        y = x * x
    assert y.node.line.endswith(line + "y = x * x")
    with minigrad.no_grad():
        x.zero_()
    with pytest.raises(GraphError, match=r"test_debug\.py:.*y = x"):
        y.sum().backward()


def test_no_lines_are_recorded_outside():
    assert (leaf(1.0) * 2.0).node.line is None


def test_everything_is_as_before_after_the_block_also_after_an_error():
    with debug():
        with debug(inf=False):
            assert np.isinf(leaf(0.0).log().item())
        with pytest.raises(NonFiniteError):
            leaf(0.0).log()
    assert graph.observer is None
    assert backward.observer is None
    assert np.isnan(leaf(-1.0).sqrt().item())


def test_it_is_a_decorator_too():
    @debug()
    def step():
        return leaf(0.0).log()

    with pytest.raises(NonFiniteError, match="log"):
        step()


def test_functions_of_ones_own_are_checked_and_know_their_line():
    class Inverse(autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x.detach() * 0.0

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return minigrad.tensor(g.data / x.data)

    x = leaf(0.0)
    with debug():
        line = here(1)
        y = Inverse.apply(x)
        assert line in y.node.line
        with np.errstate(all="ignore"), pytest.raises(NonFiniteError, match="rule of Inverse made infinity"):
            y.sum().backward()
