"""minigrad.functional against torch.func and torch.autograd.functional."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad
from minigrad import functional
from minigrad.errors import ArgumentError, DTypeError, GraphError, ShapeError

torch = pytest.importorskip("torch")
from torch.autograd import functional as torch_functional  # noqa: E402

RNG = np.random.default_rng(3)
A, B = RNG.standard_normal((2, 3)), RNG.standard_normal(3)


def vector(x, y):
    """(2, 3), (3,) -> (2,): smooth, not symmetric, and nonlinear in both."""
    return ((x * y).exp() + x * x).sum(1) * y.sum()


def two(x, y):
    return vector(x, y), x @ y


def scalar(x, y):
    return ((x * y).exp().sum() + (x * x * x).sum()) * y.sum()


def ours(*arrays):
    return tuple(minigrad.tensor(array) for array in arrays)


def theirs(*arrays):
    return tuple(torch.tensor(array) for array in arrays)


def same(found, expected, rtol=1e-11):
    """Nested tuples of Tensors of the two libraries: the same nesting, shapes and values."""
    if isinstance(expected, tuple):
        assert isinstance(found, tuple)
        assert len(found) == len(expected)
        for a, b in zip(found, expected, strict=True):
            same(a, b, rtol)
    else:
        assert found.shape == tuple(expected.shape)
        np.testing.assert_allclose(found.detach().data, expected.detach().numpy(), rtol=rtol, atol=1e-13)


V2, VX, VY = RNG.standard_normal(2), RNG.standard_normal((2, 3)), RNG.standard_normal(3)


def test_vjp_is_pytorchs_for_one_and_several_outputs():
    same(functional.vjp(vector, ours(A, B), *ours(V2)), torch_functional.vjp(vector, theirs(A, B), *theirs(V2)))
    same(functional.vjp(two, ours(A, B), ours(V2, -V2)), torch_functional.vjp(two, theirs(A, B), theirs(V2, -V2)))
    same(functional.vjp(scalar, ours(A, B)), torch_functional.vjp(scalar, theirs(A, B)))


def test_jvp_is_pytorchs_for_one_and_several_outputs():
    same(functional.jvp(vector, ours(A, B), ours(VX, VY)), torch_functional.jvp(vector, theirs(A, B), theirs(VX, VY)))
    same(functional.jvp(two, ours(A, B), ours(VX, VY)), torch_functional.jvp(two, theirs(A, B), theirs(VX, VY)))


def test_jvp_and_vjp_are_two_ways_to_the_same_number():
    (u,), v = ours(V2), ours(VX, VY)
    _, pushed = functional.jvp(vector, ours(A, B), v)
    _, pulled = functional.vjp(vector, ours(A, B), u)
    one_way = float((u * pushed).sum())
    assert one_way == pytest.approx(sum(float((g * d).sum()) for g, d in zip(pulled, v, strict=True)), rel=1e-12)


def test_jacobian_has_pytorchs_nesting_shapes_and_values():
    single = lambda x: vector(x, x[0])  # noqa: E731
    same(functional.jacobian(single, ours(A)[0]), torch_functional.jacobian(single, theirs(A)[0]))
    same(functional.jacobian(vector, ours(A, B)), torch_functional.jacobian(vector, theirs(A, B)))
    same(functional.jacobian(two, ours(A, B)), torch_functional.jacobian(two, theirs(A, B)))
    same(functional.jacobian(scalar, ours(A, B)), torch_functional.jacobian(scalar, theirs(A, B)))


def test_hessian_has_pytorchs_nesting_shapes_and_values():
    single = lambda x: scalar(x, x[0])  # noqa: E731
    same(functional.hessian(single, ours(A)[0]), torch_functional.hessian(single, theirs(A)[0]), rtol=1e-10)
    same(functional.hessian(scalar, ours(A, B)), torch_functional.hessian(scalar, theirs(A, B)), rtol=1e-10)


def test_hvp_is_pytorchs_and_the_product_with_the_hessian():
    x, v = ours(B)[0], ours(VY)[0]
    f = lambda x: scalar(x * x, x)  # noqa: E731
    value, product = functional.hvp(f, x, v)
    same((value, product), torch_functional.hvp(f, *theirs(B, VY)), rtol=1e-10)
    np.testing.assert_allclose(product.data, functional.hessian(f, x).data @ v.data, rtol=1e-10)
    same(
        functional.hvp(scalar, ours(A, B), ours(VX, VY)),
        torch_functional.hvp(scalar, theirs(A, B), theirs(VX, VY)),
        rtol=1e-10,
    )


def test_a_quadratic_form_has_the_derivatives_of_the_textbook():
    m = RNG.standard_normal((3, 3))
    x = minigrad.tensor(B)
    f = lambda x: x @ (minigrad.tensor(m) @ x)  # noqa: E731
    np.testing.assert_allclose(functional.grad(f)(x).data, (m + m.T) @ B, rtol=1e-12)
    np.testing.assert_allclose(functional.hessian(f, x).data, m + m.T, rtol=1e-12)
    np.testing.assert_allclose(functional.jacobian(lambda x: minigrad.tensor(m) @ x, x).data, m, rtol=1e-12)


@pytest.mark.parametrize("argnums", [0, 1, -1, (0, 1), (1,)])
def test_grad_takes_argnums_as_torch_func_does(argnums):
    found, expected = functional.grad(scalar, argnums)(*ours(A, B)), torch.func.grad(scalar, argnums)(*theirs(A, B))
    same(found, expected)


def test_grad_of_grad_of_grad_is_pytorchs():
    f = lambda x: (x * x).exp() * x  # noqa: E731
    third, torch_third = f, f
    for _ in range(3):
        third, torch_third = functional.grad(third), torch.func.grad(torch_third)
    same(third(minigrad.tensor(0.3, dtype=np.float64)), torch_third(torch.tensor(0.3, dtype=torch.float64)))


def test_value_and_grad_returns_the_value_first_and_aux_beside_it():
    x, y = ours(A, B)
    value, g = functional.value_and_grad(scalar)(x, y)
    assert value.item() == pytest.approx(scalar(x, y).item(), rel=1e-14)
    same(g, torch.func.grad(scalar)(*theirs(A, B)))
    with_aux = lambda x, y: (scalar(x, y), "aux")  # noqa: E731
    (value_again, aux), again = functional.value_and_grad(with_aux, has_aux=True)(x, y)
    assert (value_again.item(), aux) == (value.item(), "aux")
    np.testing.assert_array_equal(again.data, g.data)
    g_alone, aux = functional.grad(with_aux, has_aux=True)(x, y)
    assert aux == "aux"
    np.testing.assert_array_equal(g_alone.data, g.data)


def test_grad_keeps_the_form_of_nested_arguments_as_torch_func_does():
    def loss(parameters, x):
        return ((x @ parameters["w"][0] + parameters["b"]) ** 2).sum() + (parameters["w"][1] * x).sum()

    found = functional.grad(loss)({"w": list(ours(VX.T, A)), "b": ours(V2)[0]}, ours(A)[0])
    expected = torch.func.grad(loss)({"w": list(theirs(VX.T, A)), "b": theirs(V2)[0]}, theirs(A)[0])
    assert found.keys() == expected.keys()
    same(tuple(found["w"]), tuple(expected["w"]))
    same(found["b"], expected["b"])


def test_nothing_of_the_callers_is_changed_and_results_are_outside_of_the_graph():
    x = minigrad.tensor(A, requires_grad=True)
    value, product = functional.vjp(lambda x: x * x, x, minigrad.tensor(VX))
    assert x.grad is None
    assert not value.requires_grad
    assert not product.requires_grad
    x = x.detach()
    functional.grad(lambda x: (x * x).sum())(x)
    assert not x.requires_grad


def test_create_graph_lets_results_be_differentiated_as_in_pytorch():
    table = [
        (lambda f, x: f.jacobian(lambda x: x * x * x, x, create_graph=True)),
        (lambda f, x: f.vjp(lambda x: (x * x * x).sum(), x, create_graph=True)[1]),
        (lambda f, x: f.hessian(lambda x: (x * x * x * x).sum(), x, create_graph=True)),
        (lambda f, x: f.jvp(lambda x: x * x * x, x, x * x, create_graph=True)[1]),
        (lambda f, x: f.hvp(lambda x: (x * x * x).sum(), x, x * x, create_graph=True)[1]),
    ]
    for make in table:
        x, tx = minigrad.tensor(B, requires_grad=True), torch.tensor(B, requires_grad=True)
        make(functional, x).sum().backward()
        make(torch_functional, tx).sum().backward()
        np.testing.assert_allclose(x.grad.data, tx.grad.numpy(), rtol=1e-11)


def test_a_gradient_inside_a_recorded_computation_can_be_differentiated():
    x = minigrad.tensor(2.0, requires_grad=True)
    slope = functional.grad(lambda x: x * x * x)(x)  # 3 x^2
    slope.backward()
    assert x.grad.item() == 12.0
    with minigrad.no_grad():
        assert not functional.grad(lambda x: x * x)(x).requires_grad


def test_it_works_under_no_grad():
    with minigrad.no_grad():
        assert functional.grad(lambda x: x * x)(minigrad.tensor(3.0)).item() == 6.0
        assert functional.hessian(lambda x: x * x * x, minigrad.tensor(2.0)).item() == 12.0


def test_what_does_not_depend_on_an_input_is_zero_or_with_strict_an_error():
    constant = lambda x, y: x.sum() * 2.0  # noqa: E731
    same(functional.jacobian(constant, ours(A, B)), torch_functional.jacobian(constant, theirs(A, B)))
    assert functional.hessian(lambda x: x.sum(), minigrad.tensor(B)).tolist() == [[0.0] * 3] * 3
    assert functional.jvp(constant, ours(A, B), ours(VX, VY))[1].item() == pytest.approx(2 * VX.sum())
    assert functional.hvp(lambda x: x.sum(), minigrad.tensor(B), minigrad.tensor(VY))[1].tolist() == [0.0] * 3
    for name in ("jacobian", "vjp"):
        with pytest.raises(GraphError, match=f"{name}.*input 1.*strict"):
            getattr(functional, name)(constant, ours(A, B), strict=True)
    with pytest.raises(GraphError, match="output does not depend"):
        functional.jacobian(lambda x: minigrad.ones(2), minigrad.tensor(A), strict=True)


def test_an_empty_output_has_an_empty_jacobian():
    assert functional.jacobian(lambda x: x[:0] * 2.0, minigrad.tensor(B)).shape == (0, 3)


def test_wrong_arguments_are_named():
    x, y = ours(A, B)
    with pytest.raises(ShapeError, match=r"one element, got shape \(2,\)"):
        functional.grad(vector)(x, y)
    with pytest.raises(ShapeError, match="got float"):
        functional.grad(lambda x: 1.0)(x)
    with pytest.raises(ArgumentError, match="argnums=2 does not fit 2"):
        functional.grad(scalar, 2)(x, y)
    with pytest.raises(ArgumentError, match="argnums"):
        functional.grad(scalar, "x")
    with pytest.raises(DTypeError, match="expected a Tensor to differentiate by, got float"):
        functional.grad(lambda x: x)(1.0)
    with pytest.raises(DTypeError, match="int64"):
        functional.grad(lambda x: x.sum())(minigrad.tensor([1]))
    with pytest.raises(ArgumentError, match="v can be left out"):
        functional.vjp(vector, (x, y))
    with pytest.raises(ShapeError, match=r"\[\(2,\)\], got \[\(3,\)\]"):
        functional.vjp(vector, (x, y), y)
    with pytest.raises(ShapeError, match="hessian"):
        functional.hessian(vector, (x, y))
    with pytest.raises(DTypeError, match="inputs"):
        functional.jacobian(scalar, 3.0)
    with pytest.raises(DTypeError, match="return Tensors, got str"):
        functional.jacobian(lambda x: "no", x)
