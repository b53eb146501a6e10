"""The dtype of a result is PyTorch's, for every pair of dtypes and every weight of operand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import minigrad
from minigrad.errors import DTypeError

torch = pytest.importorskip("torch")

DTYPES = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"]
NUMBERS = [True, 2, 2.5]


def operands(dtype: str, dims: int) -> tuple:
    array = np.ones((2,) * dims, dtype)
    return minigrad.tensor(array), torch.from_numpy(array.copy()) if dims else torch.tensor(
        1, dtype=getattr(torch, dtype)
    )


def name(tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


@pytest.mark.parametrize(("left", "right"), list(itertools.product(DTYPES, DTYPES)))
def test_two_tensors_give_the_dtype_that_pytorch_gives(left, right):
    for dims in [(1, 1), (1, 0), (0, 1), (0, 0)]:
        (x, x_), (y, y_) = operands(left, dims[0]), operands(right, dims[1])
        assert name(x * y) == name(x_ * y_)
        assert name(x / y) == name(x_ / y_)
        assert name(minigrad.where(x == y, x, y)) == name(torch.where(x_ == y_, x_, y_))
        assert name(minigrad.maximum(x, y)) == name(torch.maximum(x_, y_))
        assert name(x < y) == name(x_ < y_) == "bool"
        if dims == (1, 1):
            assert name(minigrad.cat([x, y])) == name(torch.cat([x_, y_]))


@pytest.mark.parametrize(("dtype", "number"), list(itertools.product(DTYPES, NUMBERS)))
def test_a_number_changes_the_dtype_only_to_a_higher_kind(dtype, number):
    for dims in (0, 1):
        x, x_ = operands(dtype, dims)
        for z, expected in [(x + number, x_ + number), (number * x, number * x_), (x / number, x_ / number)]:
            assert name(z) == name(expected)
            np.testing.assert_allclose(z.data, expected.numpy(), rtol=1e-3)
        if dtype != "bool" and not isinstance(number, bool):
            assert name(x**number) == name(x_**number)
            assert name(x.clamp(number)) == name(x_.clamp(number))


@pytest.mark.parametrize("dtype", DTYPES)
def test_functions_with_real_values_make_float32_of_integers(dtype):
    x, x_ = operands(dtype, 1)
    for function in ("exp", "log", "sin", "tanh", "sqrt", "sigmoid", "erf", "reciprocal", "log1p"):
        assert name(getattr(minigrad, function)(x)) == name(getattr(torch, function)(x_))
    for function in ("sum", "prod", "amax"):
        assert name(getattr(x, function)()) == name(getattr(x_, function)())
    assert name(x.cumsum(0)) == name(x_.cumsum(0))


def test_a_gradient_has_the_dtype_of_its_tensor():
    half = minigrad.ones(2, dtype=minigrad.float16, requires_grad=True)
    double = minigrad.ones(2, dtype=minigrad.float64, requires_grad=True)
    (half * double * 3).sum().backward()
    assert half.grad.dtype == minigrad.float16
    assert double.grad.dtype == minigrad.float64
    assert half.grad.tolist() == double.grad.tolist() == [3.0, 3.0]


def test_numpy_operands_count_as_tensors_and_numpy_on_the_left_leaves_it_to_the_tensor():
    x = minigrad.tensor([1.0, 2.0], requires_grad=True)
    for z in (np.array([2.0, 4.0]) * x, x * np.array([2.0, 4.0])):
        assert isinstance(z, minigrad.Tensor)
        assert z.dtype == minigrad.float64
        assert z.requires_grad
    assert (np.float64(2.0) * x).dtype == minigrad.float32
    assert isinstance(np.float64(2.0) * x, minigrad.Tensor)
    assert isinstance(np.array([1.0, 5.0]) == x, minigrad.Tensor)
    assert isinstance(np.ones((2, 2), np.float32) @ x, minigrad.Tensor)


def test_a_dtype_that_tensors_do_not_have_is_refused():
    for wrong in ("complex64", "U3", "no such type", object):
        with pytest.raises(DTypeError, match=r"expected (a dtype|bool, integer or floating-point)"):
            minigrad.zeros(2, dtype=wrong)
    with pytest.raises(DTypeError, match=r"got list \[1, 2\]"):
        minigrad.ones(2).add([1, 2])
