"""autograd.grad and autograd.backward, side by side with PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad
from minigrad import autograd
from minigrad.errors import DTypeError, GraphError, ShapeError

torch = pytest.importorskip("torch")

A = np.random.default_rng(1).standard_normal((2, 3))


@pytest.fixture(params=["minigrad", "torch"])
def library(request):
    """The two libraries: a test that takes this one must hold in both."""
    return {"minigrad": minigrad, "torch": torch}[request.param]


@pytest.fixture
def engine(library):
    return autograd if library is minigrad else torch.autograd


def leaf(library, value):
    if library is minigrad:
        return minigrad.tensor(np.asarray(value, np.float64), requires_grad=True)
    return torch.tensor(np.asarray(value, np.float64), requires_grad=True)


def test_grad_gives_a_tuple_and_touches_no_grad(library, engine):
    x, y = leaf(library, A), leaf(library, 2.0)
    found = engine.grad((x * x * y).sum(), [x, y])
    assert isinstance(found, tuple)
    np.testing.assert_allclose(np.asarray(found[0]), 4.0 * A)
    assert found[1].item() == pytest.approx((A**2).sum())
    assert x.grad is None
    assert y.grad is None


def test_grad_with_respect_to_a_computed_tensor(library, engine):
    x = leaf(library, 3.0)
    h = x * x
    gh, gx = engine.grad(h * h * h, (h, x))
    assert (gh.item(), gx.item()) == (3 * 9.0**2, 3 * 9.0**2 * 6.0)


def test_grad_of_several_outputs_is_the_sum_over_them(library, engine):
    x = leaf(library, 3.0)
    (g,) = engine.grad([x * x, x * 5.0], x)
    assert g.item() == 11.0


def test_grad_outputs_weigh_each_output(library, engine):
    x = leaf(library, A)
    g1, g2 = library.ones(2, 3, dtype=x.dtype) * 2.0, None
    (g,) = engine.grad([x * 3.0, (x * x).sum()], x, [g1, g2])
    np.testing.assert_allclose(np.asarray(g), 6.0 + 2.0 * A)


def test_an_unused_input_is_an_error_none_or_zeros(library, engine):
    x, unused = leaf(library, 3.0), leaf(library, A)
    with pytest.raises(RuntimeError, match="allow_unused=True"):
        engine.grad(x * x, [x, unused])
    assert engine.grad(x * x, [x, unused], allow_unused=True)[1] is None
    zeros = engine.grad(x * x, [x, unused], materialize_grads=True)[1]
    np.testing.assert_array_equal(np.asarray(zeros), np.zeros((2, 3)))
    with pytest.raises((RuntimeError, ValueError), match="allow_unused"):
        engine.grad(x * x, [x, unused], allow_unused=False, materialize_grads=True)


def test_an_error_in_grad_of_unused_inputs_names_the_shape():
    x, unused = leaf(minigrad, 3.0), leaf(minigrad, A)
    with pytest.raises(GraphError, match=r"input 1, shape \(2, 3\)"):
        autograd.grad(x * x, [x, unused])


def test_an_input_without_requires_grad_is_an_error(library, engine):
    x = leaf(library, 3.0)
    with pytest.raises(RuntimeError, match="require"):
        engine.grad(x * x, library.ones(2))


def test_grad_frees_the_graph_unless_it_is_retained(library, engine):
    x = leaf(library, 3.0)
    loss = x * x
    engine.grad(loss, x, retain_graph=True)
    engine.grad(loss, x)
    with pytest.raises(RuntimeError, match="retain_graph"):
        engine.grad(loss, x)


def test_grad_of_a_wanted_computed_tensor_leaves_what_lies_below_it_usable(library, engine):
    x = leaf(library, 3.0)
    h = x * x
    engine.grad(h * h, h)
    assert engine.grad(h, x)[0].item() == 6.0


def test_grad_also_fills_a_retained_grad(library, engine):
    x = leaf(library, 2.0)
    h = x * x
    h.retain_grad()
    engine.grad(h * h, x)
    assert h.grad.item() == 8.0


def test_create_graph_gives_gradients_that_can_be_differentiated(library, engine):
    x = leaf(library, A)
    (first,) = engine.grad((x * x * x).sum(), x, create_graph=True)
    (second,) = engine.grad(first.sum(), x)
    assert first.requires_grad
    assert not second.requires_grad
    np.testing.assert_allclose(np.asarray(second), 6.0 * A)


def test_a_hessian_column_by_column_through_non_leaf_tensors(library, engine):
    x = leaf(library, [1.0, 2.0])
    h = x * 2.0
    f = h[0] * h[0] * h[1]
    (gh,) = engine.grad(f, h, create_graph=True)  # (2 a b, a^2) for h = (a, b) = (2, 4)
    rows = [engine.grad(gh[i], h, retain_graph=True)[0].tolist() for i in range(2)]
    assert rows == [[8.0, 4.0], [4.0, 0.0]]


def test_the_gradients_of_grad_are_arrays_of_their_own():
    x, y = leaf(minigrad, A), leaf(minigrad, A)
    gx, gy = autograd.grad((x + y).sum(), [x, y])
    gx.zero_()
    np.testing.assert_array_equal(gy.data, np.ones((2, 3)))


def test_backward_of_several_roots_accumulates(library, engine):
    x = leaf(library, A)
    engine.backward([(x * x).sum(), x * 3.0], [None, library.ones(2, 3, dtype=x.dtype)])
    np.testing.assert_allclose(np.asarray(x.grad), 2.0 * A + 3.0)


def test_backward_takes_inputs_from_any_iterable():
    x, y = leaf(minigrad, 2.0), leaf(minigrad, 3.0)
    autograd.backward(x * y, inputs=iter([x]))
    assert (x.grad.item(), y.grad) == (3.0, None)
    (x * y).backward(inputs=iter([y]))
    assert (x.grad.item(), y.grad.item()) == (3.0, 2.0)


def test_a_wrong_number_of_upstream_gradients_is_an_error(library, engine):
    x = leaf(library, 3.0)
    with pytest.raises((ShapeError, RuntimeError)):
        engine.grad([x * x, x], x, [None])


def test_roots_and_inputs_must_be_tensors():
    x = leaf(minigrad, 3.0)
    with pytest.raises(DTypeError, match="root"):
        autograd.grad([1.0], x)
    with pytest.raises(DTypeError, match="input of grad"):
        autograd.grad(x * x, [2.0])


def test_the_names_are_those_of_torch_autograd():
    shared = {
        "Function",
        "backward",
        "enable_grad",
        "functional",
        "grad",
        "gradcheck",
        "gradgradcheck",
        "inference_mode",
    }
    shared |= {"no_grad", "set_grad_enabled"}
    for name in shared:
        assert hasattr(torch.autograd, name)
        assert name in autograd.__all__
        assert hasattr(autograd, name)
