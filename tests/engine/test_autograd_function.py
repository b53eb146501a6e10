"""autograd.Function: the same classes run in PyTorch and here, and give the same gradients."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

import minigrad
from minigrad import autograd
from minigrad.autograd import gradcheck, gradgradcheck
from minigrad.errors import DTypeError, GraphError

torch = pytest.importorskip("torch")
from torch.autograd.function import once_differentiable as torch_once  # noqa: E402

A, B = np.random.default_rng(2).uniform(0.5, 2.0, (2, 2, 3))


@pytest.fixture(params=["minigrad", "torch"])
def library(request):
    return {"minigrad": minigrad, "torch": torch}[request.param]


@pytest.fixture
def engine(library):
    return autograd if library is minigrad else torch.autograd


@pytest.fixture
def once(library):
    return autograd.once_differentiable if library is minigrad else torch_once


def leaf(library, value):
    if library is minigrad:
        return minigrad.tensor(np.asarray(value, np.float64), requires_grad=True)
    return torch.tensor(np.asarray(value, np.float64), requires_grad=True)


def test_saved_inputs_and_outputs_give_first_and_second_derivatives(library, engine):
    class ScaledExp(engine.Function):
        @staticmethod
        def forward(ctx, x, scale):
            assert not library.is_grad_enabled()
            z = (x * scale).exp()
            ctx.scale = scale
            ctx.save_for_backward(x, z)
            return z

        @staticmethod
        def backward(ctx, g):
            _, z = ctx.saved_tensors
            return g * z * ctx.scale, None

    x = leaf(library, A)
    z = ScaledExp.apply(x, 3.0)
    (first,) = engine.grad(z.sum(), x, create_graph=True)
    np.testing.assert_allclose(np.asarray(first.detach()), 3.0 * np.exp(3.0 * A))
    (second,) = engine.grad(first.sum(), x)
    np.testing.assert_allclose(np.asarray(second), 9.0 * np.exp(3.0 * A))


def test_several_outputs_and_inputs_each_get_their_gradient(library, engine):
    class SumAndProduct(engine.Function):
        @staticmethod
        def forward(ctx, x, y):
            ctx.save_for_backward(x, y)
            return x + y, x * y

        @staticmethod
        def backward(ctx, g_sum, g_product):
            x, y = ctx.saved_tensors
            return g_sum + g_product * y, g_sum + g_product * x

    x, y = leaf(library, A), leaf(library, B)
    total, product = SumAndProduct.apply(x, y)
    gx, gy = engine.grad((total * 2.0 + product * product).sum(), (x, y))
    np.testing.assert_allclose(np.asarray(gx), 2.0 + 2 * A * B * B)
    np.testing.assert_allclose(np.asarray(gy), 2.0 + 2 * A * B * A)
    total, _ = SumAndProduct.apply(x, y)  # one output unused: its gradient is zeros
    np.testing.assert_allclose(np.asarray(engine.grad(total.sum(), x)[0]), np.ones_like(A))


def test_a_second_derivative_through_several_outputs(library, engine):
    class Powers(engine.Function):
        @staticmethod
        def forward(ctx, x):
            square, cube = x * x, x * x * x
            ctx.save_for_backward(x, square)
            return square, cube

        @staticmethod
        def backward(ctx, g_square, g_cube):
            x, square = ctx.saved_tensors
            return 2 * x * g_square + 3 * square * g_cube

    x = leaf(library, A)
    square, cube = Powers.apply(x)
    (first,) = engine.grad((square * cube).sum(), x, create_graph=True)  # x^5
    np.testing.assert_allclose(np.asarray(first.detach()), 5 * A**4)
    (second,) = engine.grad(first.sum(), x)
    np.testing.assert_allclose(np.asarray(second), 20 * A**3)


def test_needs_input_grad_tells_which_gradients_are_of_use(library, engine):
    seen = []

    class Product(engine.Function):
        @staticmethod
        def forward(ctx, x, factor, y):
            ctx.save_for_backward(x, y)
            return x * y * factor

        @staticmethod
        def backward(ctx, g):
            seen.append(tuple(ctx.needs_input_grad))
            x, y = ctx.saved_tensors
            return g * y * 2.0, None, (g * x * 2.0 if ctx.needs_input_grad[2] else None)

    x, constant = leaf(library, A), leaf(library, B).detach()
    Product.apply(x, 2.0, constant).sum().backward()
    assert seen == [(True, False, False)]
    np.testing.assert_allclose(np.asarray(x.grad), 2.0 * B)


def test_an_output_marked_non_differentiable_requires_no_gradient(library, engine):
    seen = []

    class MaxAndWhere(engine.Function):
        @staticmethod
        def forward(ctx, x):
            flat = x.reshape(-1)
            index = flat.argmax()
            rounded = x * 0.0
            ctx.mark_non_differentiable(index, rounded)
            ctx.index, ctx.shape = int(index), x.shape
            return flat[ctx.index] * 1.0, index, rounded

        @staticmethod
        def backward(ctx, g, g_index, g_rounded):
            seen.append((tuple(g_index.shape), g_rounded.tolist()))
            z = library.zeros(6, dtype=g.dtype)
            z[ctx.index] = g
            return z.reshape(ctx.shape)

    x = leaf(library, A)
    largest, index, rounded = MaxAndWhere.apply(x)
    assert (largest.requires_grad, index.requires_grad, rounded.requires_grad) == (True, False, False)
    (largest * 5.0).backward()
    assert np.asarray(x.grad).ravel().tolist() == (5.0 * (A.max() == A)).ravel().tolist()
    assert seen == [((), [[0.0] * 3] * 2)]  # zeros arrive for what has no gradient


def test_set_materialize_grads_false_passes_none(library, engine):
    seen = []

    class Twice(engine.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.set_materialize_grads(False)
            return x * 1.0, x * 2.0

        @staticmethod
        def backward(ctx, g1, g2):
            seen.append((g1 is None, g2 is None))
            return g1 if g1 is not None else g2 * 2.0

    x = leaf(library, A)
    first, second = Twice.apply(x)
    second.sum().backward(retain_graph=True)
    first.sum().backward()
    assert seen == [(True, False), (False, True)]
    np.testing.assert_array_equal(np.asarray(x.grad), np.full_like(A, 3.0))


def test_setup_context_replaces_the_context_argument(library, engine):
    class Square(engine.Function):
        @staticmethod
        def forward(x):
            return x * x

        @staticmethod
        def setup_context(ctx, inputs, output):
            (x,) = inputs
            ctx.save_for_backward(x, output)

        @staticmethod
        def backward(ctx, g):
            x, _ = ctx.saved_tensors
            return 2 * x * g

    x = leaf(library, A)
    Square.apply(x).sum().backward()
    np.testing.assert_allclose(np.asarray(x.grad), 2 * A)


def test_once_differentiable_works_once_and_refuses_the_second_derivative(library, engine, once):
    class Cube(engine.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x * x

        @staticmethod
        @once
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            assert not library.is_grad_enabled()
            return 3 * x * x * g

    x = leaf(library, A)
    upstream = leaf(library, np.ones_like(A))
    (first,) = engine.grad(Cube.apply(x), x, upstream, create_graph=True)
    np.testing.assert_allclose(np.asarray(first.detach()), 3 * A * A)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


def test_the_refused_second_derivative_names_the_function_also_where_only_saved_inputs_matter():
    class Cube(autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x * x

        @staticmethod
        @autograd.once_differentiable
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return 3 * x * x * g

    x = leaf(minigrad, A)
    (first,) = autograd.grad(Cube.apply(x).sum(), x, create_graph=True)
    with pytest.raises(GraphError, match=r"^Cube"):
        autograd.grad(first.sum(), x)


class Cosh(autograd.Function):
    @staticmethod
    def forward(ctx, x):
        e = x.exp()
        z = (e + 1.0 / e) / 2.0
        ctx.save_for_backward(x)
        return z

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * (x.exp() - (-x).exp()) / 2.0


def test_gradcheck_and_gradgradcheck_accept_a_right_function():
    x = leaf(minigrad, A)
    assert gradcheck(Cosh.apply, (x,))
    assert gradgradcheck(Cosh.apply, (x,))


def test_nothing_is_recorded_without_gradients_or_under_no_grad():
    assert not Cosh.apply(minigrad.ones(2)).requires_grad
    with minigrad.no_grad():
        assert not Cosh.apply(leaf(minigrad, A)).requires_grad


def test_the_node_carries_the_name_of_the_function():
    z = Cosh.apply(leaf(minigrad, 1.0))
    assert z.grad_fn.name == "Cosh"
    assert "Cosh" in repr(z)
    assert not z.is_leaf


def test_a_freed_function_and_a_changed_saved_tensor_are_found_as_in_pytorch(library, engine):
    class Square(engine.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return 2 * x * g

    x = leaf(library, A)
    z = Square.apply(x).sum()
    z.backward()
    with pytest.raises(RuntimeError, match="retain_graph"):
        z.backward()
    z = Square.apply(x).sum()
    with library.no_grad():
        x.zero_()
    with pytest.raises(RuntimeError, match=r"in place|inplace"):
        z.backward()


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (lambda g: (g, g, g), GraphError, "expected backward to return 2 gradients.* got 3"),
        (lambda g: g, GraphError, "got 1"),
        (lambda g: (g, 1.0), DTypeError, "gradient 1 to be a Tensor or None, got float"),
    ],
)
def test_wrong_answers_of_backward_name_the_function(answer, error, message):
    class Wrong(autograd.Function):
        @staticmethod
        def forward(ctx, x, y):
            return x + y

        @staticmethod
        def backward(ctx, g):
            return answer(g)

    x = leaf(minigrad, A)
    with pytest.raises(error, match=f"Wrong.*{message}"):
        Wrong.apply(x, x).sum().backward()
    assert x.grad is None


def test_trailing_nones_beyond_the_arguments_are_allowed(library, engine):
    class Identity(engine.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1.0

        @staticmethod
        def backward(ctx, g):
            return g, None, None

    x = leaf(library, A)
    Identity.apply(x).sum().backward()
    np.testing.assert_array_equal(np.asarray(x.grad), np.ones_like(A))


def test_misuse_of_the_class_teaches():
    with pytest.raises(GraphError, match=r"Cosh\.apply"):
        Cosh()

    class Saves(autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x, 3)

    class Returns(autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return "text"

    class Changes(autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.mark_dirty(x)

    class Empty(autograd.Function):
        pass

    x = leaf(minigrad, A)
    with pytest.raises(DTypeError, match="attributes of ctx"):
        Saves.apply(x)
    with pytest.raises(DTypeError, match="Returns: expected forward to return a Tensor"):
        Returns.apply(x)
    with pytest.raises(GraphError, match="new tensor"):
        Changes.apply(x)
    with pytest.raises(NotImplementedError, match="forward"):
        Empty.apply(x)


def test_an_output_saved_for_backward_does_not_keep_itself_alive():
    class Exp(autograd.Function):
        @staticmethod
        def forward(ctx, x):
            z, other = x.exp(), x * 2.0
            ctx.save_for_backward(z)
            return z, other

        @staticmethod
        def backward(ctx, g, g_other):
            (z,) = ctx.saved_tensors
            return g * z + g_other * 2.0

    gc.disable()
    try:
        x = leaf(minigrad, A)
        z, other = Exp.apply(x)
        application = weakref.ref(z.node.edges[0])
        (first,) = autograd.grad((z * other).sum(), x, create_graph=True)
        np.testing.assert_allclose(first.data, np.exp(A) * (2 * A + 2), rtol=1e-12)
        del z, other, first
        assert application() is None
    finally:
        gc.enable()
