"""gradcheck finds wrong rules of every kind, names them, and accepts what is right."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad
from minigrad import autograd
from minigrad.errors import ArgumentError
from minigrad.gradcheck import GradcheckError, gradcheck, gradgradcheck
from minigrad.graph import Op, registry

torch = pytest.importorskip("torch")

A = np.random.default_rng(4).uniform(0.5, 2.0, (2, 3))


def leaf(array=A, dtype=np.float64):
    return minigrad.tensor(np.asarray(array), dtype=dtype, requires_grad=True)


def wrong_op(name, forward, rule):
    """An op outside of the registry, whose rule is not the derivative of its forward."""
    forward.__name__ = name
    return Op(forward, None, True, False).vjp(rule)


def square(x, /):
    """z = x^2"""
    return x * x


def times(x, y, /):
    """z = x y"""
    return x * y


def test_right_rules_pass_in_first_and_second_order():
    x, y = leaf(), leaf(A[0])
    f = lambda x, y: (x * y).exp() / (x + y)  # noqa: E731
    assert gradcheck(f, (x, y))
    assert gradcheck(f, (x, y), fast_mode=True)
    assert gradgradcheck(f, (x, y))
    assert gradgradcheck(f, (x, y), fast_mode=True)


def test_an_op_of_the_registry_can_be_checked_itself():
    assert gradcheck(registry["mul"], (leaf(), leaf()))
    assert gradgradcheck(registry["matmul"], (leaf(), leaf(A.T)))


def test_a_wrong_factor_is_reported_with_op_input_index_and_both_values():
    wrong = wrong_op("halved_square", square, lambda g, _z, x: (g * x,))
    with pytest.raises(GradcheckError, match="halved_square") as caught:
        gradcheck(lambda x: wrong(x).exp(), (leaf(),))
    error = caught.value
    assert (error.op, error.input, error.output) == ("halved_square", 0, 0)
    x = A[error.index]
    assert error.numeric == pytest.approx(2 * x * np.exp(x * x), rel=1e-6)
    assert error.analytic == pytest.approx(x * np.exp(x * x), rel=1e-6)
    for part in ("input 0", str(error.index), f"{error.analytic:.10g}", f"{error.numeric:.10g}", "test_gradcheck.py:"):
        assert part in str(error)


def test_only_the_input_that_is_wrong_is_blamed():
    wrong = wrong_op("one_sided", times, lambda g, _z, x, y: (g * y, g * y))
    with pytest.raises(GradcheckError) as caught:
        gradcheck(wrong, (leaf(), leaf(A + 1.0)))
    assert (caught.value.op, caught.value.input) == ("one_sided", 1)


def test_the_wrong_op_is_found_among_right_ones():
    wrong = wrong_op("hidden", square, lambda g, _z, x: (g * 2.0,))
    with pytest.raises(GradcheckError) as caught:
        gradcheck(lambda x: (wrong((x * 2.0).exp()) + x).sum(), (leaf(),))
    assert caught.value.op == "hidden"


def test_a_rule_that_is_wrong_only_for_upstream_gradients_that_are_not_uniform_is_caught():
    # The mean of g in place of g itself: right for an all-ones upstream gradient, and for every uniform one.
    wrong = wrong_op("uniform_only", square, lambda g, _z, x: (2 * x * (g * 0.0 + g.mean()),))
    x = leaf()
    wrong(x).sum().backward()
    np.testing.assert_allclose(x.grad.data, 2 * A)  # the usual test does not see it
    with pytest.raises(GradcheckError, match="uniform_only"):
        gradcheck(wrong, (leaf(),))
    with pytest.raises(GradcheckError, match="uniform_only"):
        gradcheck(wrong, (leaf(),), fast_mode=True)


def test_a_rule_that_is_wrong_only_for_upstream_gradients_that_are_not_unit_vectors_is_caught():
    # Right where each g is 0 or 1, so that the Jacobian row by row looks right: only a random g tells.
    wrong = wrong_op("unit_only", square, lambda g, _z, x: (2 * x * g * g,))
    with pytest.raises(GradcheckError, match="random upstream gradient") as caught:
        gradcheck(wrong, (leaf(),))
    assert caught.value.op == "unit_only"


def test_a_rule_that_forgets_the_upstream_gradient_is_caught():
    wrong = wrong_op("forgetful", square, lambda g, _z, x: (2 * x,))
    with pytest.raises(GradcheckError, match="forgetful"):
        gradcheck(wrong, (leaf(),))


def test_a_missing_gradient_is_caught_as_zero():
    wrong = wrong_op("silent", square, lambda g, _z, x: (None,))
    with pytest.raises(GradcheckError) as caught:
        gradcheck(wrong, (leaf(),))
    assert caught.value.analytic == 0.0


def test_a_detached_part_is_caught():
    with pytest.raises(GradcheckError):
        gradcheck(lambda x: x * x.detach(), (leaf(),))
    with pytest.raises(GradcheckError, match="has no gradient"):
        gradcheck(lambda x: x.detach() * 2.0, (leaf(),))
    assert gradcheck(lambda x: x.detach().floor(), (leaf(),))


def test_a_second_derivative_that_is_wrong_behind_a_right_first_one_is_caught():
    # d/dx x^2 = 2 x is right, but the rule takes x out of the graph.
    wrong = wrong_op("detached_rule", square, lambda g, _z, x: (g * 2.0 * getattr(x, "detach", lambda: x)(),))
    assert gradcheck(wrong, (leaf(),))
    with pytest.raises(GradcheckError, match="gradient of detached_rule"):
        gradgradcheck(wrong, (leaf(),))


def test_without_raise_exception_the_answer_is_false():
    wrong = wrong_op("wrong", square, lambda g, _z, x: (g * x,))
    assert gradcheck(wrong, (leaf(),), raise_exception=False) is False
    detached = wrong_op("detached", square, lambda g, _z, x: (g * 2.0 * getattr(x, "detach", lambda: x)(),))
    assert gradgradcheck(detached, (leaf(),), raise_exception=False) is False


def test_several_outputs_and_unchecked_arguments():
    f = lambda x, n, c: ((x * c).exp(), (x * n).sum(0))  # noqa: E731
    assert gradcheck(f, (leaf(), 3, minigrad.tensor(A)))
    assert gradgradcheck(f, (leaf(), 3, minigrad.tensor(A)))


def test_an_autograd_function_with_a_wrong_backward_is_named():
    class Sine(autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x.sin()

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return -g * x.cos()  # the sign

    with pytest.raises(GradcheckError) as caught:
        gradcheck(lambda x: Sine.apply(x) * 2.0, (leaf(),))
    assert caught.value.op == "Sine"


def test_zero_dimensional_empty_and_transposed_inputs():
    assert gradcheck(lambda x: x * x, (leaf(np.array(1.5)),))
    assert gradcheck(lambda x: x * x, (leaf(np.ones((0, 3))),))
    transposed = minigrad.from_numpy(A.T).requires_grad_()
    assert gradcheck(lambda x: x.exp(), (transposed,))


def test_the_inputs_are_left_as_they_were():
    x = leaf()
    gradcheck(lambda x: x * x, (x,))
    np.testing.assert_array_equal(x.data, A)
    assert x.grad is None


def test_a_gradient_that_changes_between_passes_is_caught():
    rng = np.random.default_rng(0)
    jittery = wrong_op("jittery", square, lambda g, _z, x: (2 * x * g + 1e-7 * rng.standard_normal(x.shape),))
    with pytest.raises(GradcheckError, match=r"two backward passes.*nondet_tol=0\.0"):
        gradcheck(jittery, (leaf(),))
    assert gradcheck(jittery, (leaf(),), nondet_tol=1e-5)


def test_tolerances_are_pytorchs_and_mean_what_they_say():
    ours, theirs = gradcheck.__kwdefaults__, torch.autograd.gradcheck.__kwdefaults__
    for name in ("eps", "atol", "rtol", "raise_exception", "nondet_tol", "check_grad_dtypes", "fast_mode"):
        assert ours[name] == theirs.get(name, ours[name])
    slightly_off = wrong_op("slightly_off", square, lambda g, _z, x: (g * x * 2.001,))
    assert gradcheck(slightly_off, (leaf(),), rtol=1e-3)
    assert not gradcheck(slightly_off, (leaf(),), rtol=4e-4, atol=0.0, raise_exception=False)


def test_single_precision_is_warned_about_as_in_pytorch():
    with pytest.warns(UserWarning, match="float32.*double"):
        gradcheck(lambda x: x * 2.0, (leaf(dtype=np.float32),), eps=1e-2, atol=1e-2)


def test_wrong_arguments_are_refused():
    with pytest.raises(ArgumentError, match="requires_grad=True"):
        gradcheck(lambda x: x, (minigrad.tensor(A),))
    with pytest.raises(ArgumentError, match="eps=0"):
        gradcheck(lambda x: x, (leaf(),), eps=0)
    with pytest.raises(TypeError, match="return Tensors"):
        gradcheck(lambda x: 3.0, (leaf(),))
