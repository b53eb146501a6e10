"""The backward walk: values against PyTorch, and what its arguments and its errors promise."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad
from minigrad import autograd
from minigrad.errors import DeviceError, DTypeError, GraphError, MinigradError, ShapeError
from minigrad.graph import op

torch = pytest.importorskip("torch")

RNG = np.random.default_rng(0)
A, B = RNG.standard_normal((3, 4)), RNG.standard_normal(4)


def leaf(array: np.ndarray | float) -> minigrad.Tensor:
    return minigrad.tensor(np.asarray(array, np.float64), requires_grad=True)


def torch_leaf(array: np.ndarray | float):
    return torch.tensor(np.asarray(array, np.float64), requires_grad=True)


def one_of_each(x, y):
    h = (x * y).exp() + x / (y * y + 1.0)
    return (h @ h.T).sum() - h.mean() * 3.0


def test_gradients_of_a_composite_expression_are_pytorchs():
    x, y, tx, ty = leaf(A), leaf(B), torch_leaf(A), torch_leaf(B)
    one_of_each(x, y).backward()
    one_of_each(tx, ty).backward()
    np.testing.assert_allclose(x.grad.data, tx.grad.numpy(), rtol=1e-12)
    np.testing.assert_allclose(y.grad.data, ty.grad.numpy(), rtol=1e-12)


def test_an_upstream_gradient_weighs_the_outputs():
    g = RNG.standard_normal((3, 4))
    x, tx = leaf(A), torch_leaf(A)
    (x * x * x).backward(minigrad.tensor(g))
    (tx * tx * tx).backward(torch.tensor(g))
    np.testing.assert_allclose(x.grad.data, tx.grad.numpy(), rtol=1e-14)


def test_an_upstream_gradient_of_another_dtype_is_cast():
    x = leaf(A)
    (x * 2.0).backward(minigrad.ones(3, 4))
    assert x.grad.dtype == np.float64
    np.testing.assert_array_equal(x.grad.data, np.full((3, 4), 2.0))


def test_the_same_tensor_used_many_times_sums_all_its_uses():
    x = leaf(1.5)
    total = x * 0.0
    for _ in range(1000):
        total = total + x * x
    total.backward()
    assert x.grad.item() == pytest.approx(1000 * 2 * 1.5, rel=1e-12)


def test_a_diamond_is_walked_once_through_each_node():
    calls = []

    @op
    def counted(x, /):
        """z = x"""
        return x + 0.0

    @counted.vjp
    def counted(g, _z, _x):
        calls.append(float(g))
        return (g,)

    x = leaf(2.0)
    h = counted(x)
    (h * h + h * 3.0).backward()  # dL/dh = 2 h + 3
    assert calls == [7.0]
    assert x.grad.item() == 7.0


def test_gradients_of_two_losses_accumulate_in_shared_leaves_as_in_pytorch():
    x, tx = leaf(A), torch_leaf(A)
    for t in (x, tx):
        (t * t).sum().backward()
        t.exp().sum().backward()
    np.testing.assert_allclose(x.grad.data, tx.grad.numpy(), rtol=1e-14)


def test_accumulation_keeps_the_grad_object_and_adds_in_place_as_in_pytorch():
    x = leaf(A)
    x.sum().backward()
    first = x.grad
    x.sum().backward()
    assert x.grad is first
    np.testing.assert_array_equal(first.data, np.full((3, 4), 2.0))


def test_a_gradient_is_never_shared_between_two_leaves():
    x, y = leaf(A), leaf(A)
    g = minigrad.tensor(A)
    (x + y).backward(g)
    x.grad.data[:] = 0.0
    np.testing.assert_array_equal(y.grad.data, A)
    np.testing.assert_array_equal(g.data, A)


def test_the_gradient_of_a_broadcast_input_is_summed_to_its_shape():
    shapes = [((3, 4), (4,)), ((3, 1), (1, 4)), ((), (2, 3)), ((2, 1, 3), (4, 1)), ((1,), (5,))]
    for a, b in shapes:
        x, y = leaf(RNG.standard_normal(a)), leaf(RNG.standard_normal(b))
        tx, ty = torch_leaf(x.data), torch_leaf(y.data)
        (x * y + x).exp().sum().backward()
        (tx * ty + tx).exp().sum().backward()
        assert x.grad.shape == a
        assert y.grad.shape == b
        np.testing.assert_allclose(x.grad.data, tx.grad.numpy(), rtol=1e-12)
        np.testing.assert_allclose(y.grad.data, ty.grad.numpy(), rtol=1e-12)


def test_mixed_dtypes_give_each_leaf_its_own_dtype_as_in_pytorch():
    x, y = minigrad.tensor(A.astype(np.float32), requires_grad=True), leaf(B)
    tx, ty = torch.tensor(A.astype(np.float32), requires_grad=True), torch_leaf(B)
    (x * y).sum().backward()
    (tx * ty).sum().backward()
    assert (x.grad.dtype, y.grad.dtype) == (np.float32, np.float64)
    np.testing.assert_allclose(x.grad.data, tx.grad.numpy(), rtol=1e-6)
    np.testing.assert_allclose(y.grad.data, ty.grad.numpy(), rtol=1e-12)


def test_a_leaf_is_its_own_root():
    x, tx = leaf(3.0), torch_leaf(3.0)
    x.backward()
    tx.backward()
    assert x.grad.item() == tx.grad.item() == 1.0


def test_a_root_with_one_element_in_more_dimensions_counts_as_scalar():
    x = leaf(np.ones((1, 1)))
    (x * 5.0).backward()
    np.testing.assert_array_equal(x.grad.data, [[5.0]])


def test_backward_with_inputs_touches_only_those():
    x, y = leaf(2.0), leaf(3.0)
    h = x * y
    (h * h).backward(inputs=[y])
    assert y.grad.item() == pytest.approx(2 * 6.0 * 2.0)
    assert x.grad is None


def test_backward_with_a_computed_input_stops_there_as_in_pytorch():
    x, tx = leaf(2.0), torch_leaf(2.0)
    h, th = x * x, tx * tx
    h.retain_grad()
    th.retain_grad()
    h.exp().backward(inputs=h)
    th.exp().backward(inputs=th)
    assert h.grad.item() == pytest.approx(th.grad.item(), rel=1e-14)
    assert x.grad is None
    h.backward()  # the part below h was not used, so it was not freed
    assert x.grad.item() == 4.0


# ---- retain_graph, create_graph --------------------------------------------------------------------------------


def test_retain_graph_allows_a_second_pass_with_the_same_result():
    x = leaf(A)
    loss = (x * x).sum()
    loss.backward(retain_graph=True)
    first = x.grad.data.copy()
    loss.backward()
    np.testing.assert_array_equal(x.grad.data, 2 * first)


def test_a_second_pass_over_a_freed_graph_names_the_op_and_the_remedy():
    x = leaf(A)
    loss = (x * x).sum()
    loss.backward()
    with pytest.raises(GraphError, match=r"freed at .*retain_graph=True"):
        loss.backward()
    with pytest.raises(GraphError, match="mul"):
        (loss * 2.0).backward()


def test_a_freed_branch_does_not_matter_where_it_is_not_needed_as_in_pytorch():
    for make, grad in ((leaf, autograd.grad), (torch_leaf, torch.autograd.grad)):
        x, w = make(2.0), make(3.0)
        shared = x.exp()
        shared.backward()
        (gw,) = grad(shared * w * w, w)
        assert gw.item() == pytest.approx(np.exp(2.0) * 6.0)


def test_the_arrays_of_a_used_graph_are_let_go_and_those_of_a_retained_one_kept():
    x = leaf(A)
    used, kept = (x * x).sum(), (x * x).sum()
    nodes = used.node.edges[0], kept.node.edges[0]
    used.backward()
    kept.backward(retain_graph=True)
    assert nodes[0].freed
    assert not nodes[1].freed


@pytest.mark.filterwarnings("ignore:Using backward")  # torch warns of the cycle between a leaf and its grad
def test_create_graph_makes_grad_differentiable_as_in_pytorch():
    x, tx = leaf(A), torch_leaf(A)
    grads = []
    for t in (x, tx):
        (t * t * t).sum().backward(create_graph=True)
        first = t.grad
        t.grad = None
        (first * first).sum().backward()
        grads.append(np.asarray(t.grad.detach()))
        t.grad = None
    np.testing.assert_allclose(grads[0], 36 * A**3, rtol=1e-12)  # d/dx (3 x^2)^2
    np.testing.assert_allclose(grads[0], grads[1], rtol=1e-12)


def test_derivatives_up_to_the_fourth_are_pytorchs():
    def wave(x):
        return (x.exp() * x - 1.0 / (x + 4.0)) * (x * x).exp()

    x, tx = leaf(0.7), torch_leaf(0.7)
    y, ty = wave(x), wave(tx)
    for _ in range(4):
        (y,) = autograd.grad(y, x, create_graph=True)
        (ty,) = torch.autograd.grad(ty, tx, create_graph=True)
        assert y.item() == pytest.approx(ty.item(), rel=1e-10)


def test_a_mixed_second_derivative_does_not_depend_on_the_order():
    x, y = leaf(0.3), leaf(1.2)
    f = (x * y).exp() * y
    (fx,) = autograd.grad(f, x, create_graph=True)
    (fy,) = autograd.grad(f, y, create_graph=True)
    (fxy,) = autograd.grad(fx, y, retain_graph=True)
    (fyx,) = autograd.grad(fy, x)
    assert fxy.item() == pytest.approx(fyx.item(), rel=1e-13)
    assert fxy.item() == pytest.approx(np.exp(0.36) * (2 * 1.2 + 1.2**2 * 0.3), rel=1e-13)


def test_a_gradient_penalty_trains_through_the_gradient():
    x, w, tx, tw = leaf(A), leaf(B), torch_leaf(A), torch_leaf(B)
    for inputs, weights, grad in ((x, w, autograd.grad), (tx, tw, torch.autograd.grad)):
        score = (inputs * weights).exp().sum()
        (slope,) = grad(score, inputs, create_graph=True)
        ((slope * slope).sum() - 1.0).backward()
    np.testing.assert_allclose(w.grad.data, tw.grad.numpy(), rtol=1e-11)


def test_a_rule_that_can_be_used_once_says_so_under_create_graph_and_works_without():
    @op(once=True)
    def fused_square(x, /):
        """z = x^2"""
        return x * x

    @fused_square.vjp
    def fused_square(g, _z, x):
        return (2 * g * x,)

    x = leaf(A)
    loss = fused_square(x).sum()
    with pytest.raises(GraphError, match=r"fused_square is fused .*create_graph"):
        loss.backward(create_graph=True)
    assert x.grad is None
    loss.backward()
    np.testing.assert_allclose(x.grad.data, 2 * A)


# ---- errors, which leave every .grad as it was -----------------------------------------------------------------


def test_a_root_that_is_no_scalar_needs_a_gradient():
    x = leaf(A)
    with pytest.raises(GraphError, match=r"root has shape \(3, 4\).*must be a scalar"):
        (x * 2.0).backward()
    assert x.grad is None


def test_a_root_without_gradient_is_an_error():
    with pytest.raises(GraphError, match="does not require a gradient"):
        minigrad.tensor([1.0]).backward()
    with minigrad.no_grad():
        y = leaf(1.0) * 2.0
    with pytest.raises(GraphError, match="no_grad"):
        y.backward()


def test_an_upstream_gradient_of_the_wrong_shape_or_type_is_an_error():
    x = leaf(A)
    with pytest.raises(ShapeError, match=r"\(4, 3\).*\(3, 4\)"):
        (x * 2.0).backward(minigrad.ones(4, 3))
    with pytest.raises(DTypeError, match="expected gradient to be a Tensor"):
        (x * 2.0).backward(np.ones((3, 4)))
    assert x.grad is None


@pytest.mark.parametrize("change", ["zero_", "setitem", "view"])
def test_a_saved_array_changed_in_place_is_found_and_its_op_named_as_pytorch_finds_it(change):
    for make, no_grad, error in ((leaf, minigrad.no_grad, GraphError), (torch_leaf, torch.no_grad, RuntimeError)):
        x = make(A)
        loss = (x * x).sum()
        with no_grad():
            if change == "zero_":
                x.zero_()
            elif change == "setitem":
                x[0] = 1.0
            else:
                x.T[1, 2] = 5.0
        with pytest.raises(error, match="mul" if make is leaf else "inplace"):
            loss.backward()
        assert x.grad is None


def test_a_saved_output_changed_in_place_is_found():
    x = leaf(A)
    z = x.exp()
    loss = z.sum()
    with minigrad.no_grad():
        z.zero_()
    with pytest.raises(GraphError, match=r"output of exp, shape \(3, 4\)"):
        loss.backward()


def test_a_change_that_no_rule_reads_is_allowed_as_in_pytorch():
    for make, no_grad in ((leaf, minigrad.no_grad), (torch_leaf, torch.no_grad)):
        x = make(A)
        loss = (x + 1.0).sum()  # the rule of add reads nothing
        with no_grad():
            x.zero_()
        loss.backward()
        assert float(x.grad.sum()) == A.size


def test_a_change_of_another_part_of_the_same_memory_is_allowed():
    base = minigrad.tensor(np.arange(6.0))
    first, last = base[:3], base[3:]
    first.requires_grad_()
    loss = (first * first).sum()
    last.zero_()
    loss.backward()
    np.testing.assert_array_equal(first.grad.data, [0.0, 2.0, 4.0])


def test_an_accumulated_grad_that_another_graph_has_saved_is_found():
    x, y = leaf(2.0), leaf(3.0)
    (x * x).backward()
    loss = y * x.grad * y
    (x * x).backward()  # changes x.grad in place
    with pytest.raises(GraphError, match="changed in place"):
        loss.backward()


def test_an_error_in_the_middle_of_the_pass_leaves_every_grad_as_it_was():
    @op
    def fragile(x, /):
        """z = x"""
        return x + 0.0

    @fragile.vjp
    def fragile(g, _z, _x):
        raise ZeroDivisionError

    x, y = leaf(2.0), leaf(3.0)
    (x * y).backward()
    before = x.grad.item(), y.grad.item()
    kept = y * 2.0
    kept.retain_grad()
    with pytest.raises(ZeroDivisionError):
        (kept * y * fragile(x)).backward()
    assert (x.grad.item(), y.grad.item()) == before
    assert kept.grad is None


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda g: g, "got a ndarray"),
        (lambda g: (g,), "tuple of 2 gradients.* got 1"),
        (lambda g: (g, g, g), "got 3"),
    ],
)
def test_a_rule_with_the_wrong_number_of_gradients_is_named(answer, message):
    @op
    def careless(x, y, /):
        """z = x + y"""
        return x + y

    @careless.vjp
    def careless(g, _z, _x, _y):
        return answer(g)

    x = leaf(A)
    with pytest.raises(GraphError, match=f"careless.*{message}"):
        careless(x, x).sum().backward()
    assert x.grad is None


def test_a_rule_with_a_gradient_of_a_wrong_shape_is_named():
    @op
    def misshapen(x, /):
        """z = x"""
        return x + 0.0

    @misshapen.vjp
    def misshapen(g, _z, _x):
        return (np.ones((7, 5)),)

    with pytest.raises(ShapeError, match=r"misshapen.*\(7, 5\).*\(3, 4\)"):
        misshapen(leaf(A)).sum().backward()


def test_an_op_without_a_rule_says_how_to_add_one():
    @op
    def ruleless(x, /):
        """z = x"""
        return x + 0.0

    with pytest.raises(GraphError, match=r"ruleless has no gradient rule.*@ruleless\.vjp"):
        ruleless(leaf(1.0)).backward()


def test_requires_grad_of_integers_is_refused_as_in_pytorch():
    with pytest.raises(DTypeError, match=r"floating-point.*int64"):
        minigrad.tensor([1, 2], requires_grad=True)
    with pytest.raises(RuntimeError, match="floating point"):
        torch.tensor([1, 2], requires_grad=True)
    with pytest.raises(DTypeError, match="int64"):
        minigrad.tensor([1, 2]).requires_grad_()


def test_cuda_is_refused_with_a_remedy():
    with pytest.raises(DeviceError, match="CPU"):
        minigrad.tensor([1.0]).cuda()


def test_a_dim_out_of_range_names_the_op_and_is_an_index_error_as_in_pytorch():
    with pytest.raises(IndexError, match=r"sum.*dim.* 2 .*2 dimensions") as caught:
        leaf(A).sum(2)
    assert isinstance(caught.value, MinigradError)
    with pytest.raises(IndexError):
        torch_leaf(A).sum(2)


def test_shapes_that_do_not_fit_name_the_op_and_both_shapes():
    with pytest.raises(ShapeError, match=r"add.*\(3, 4\).*\(5,\)"):
        leaf(A) + leaf(np.ones(5))
    with pytest.raises(ShapeError, match=r"matmul.*\(3, 4\) @ \(3, 4\)"):
        leaf(A) @ leaf(A)


def test_in_place_changes_of_a_recorded_leaf_are_refused_as_in_pytorch():
    x, tx = leaf(A), torch_leaf(A)
    with pytest.raises(GraphError, match="no_grad"):
        x.zero_()
    with pytest.raises(RuntimeError, match="in-place"):
        tx.zero_()
    np.testing.assert_array_equal(x.data, A)


def test_float32_numpy_errors_stay_silent_and_inf_is_a_result():
    x = leaf(np.array([0.0, 1.0]))
    (x.log() * x).sum().backward()
    assert np.isnan(x.grad.data[0]) or np.isinf(x.grad.data[0])
    assert x.grad.data[1] == pytest.approx(1.0)
