"""Making tensors: values, shapes, dtypes and errors are PyTorch's; random ones follow their seed."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad
from minigrad.errors import ArgumentError, DeviceError, DTypeError, ShapeError

torch = pytest.importorskip("torch")


def name(tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


FACTORIES = {
    "zeros": lambda t: t.zeros(2, 3),
    "zeros of a tuple": lambda t: t.zeros((2, 3), dtype=t.int64),
    "ones, 0-d": lambda t: t.ones(()),
    "full of an integer": lambda t: t.full((2, 2), 7),
    "full of a float": lambda t: t.full((2, 2), 7.5),
    "full of a bool": lambda t: t.full((2,), True),
    "full in another dtype": lambda t: t.full((2,), 3, dtype=t.float64),
    "arange of integers": lambda t: t.arange(5),
    "arange from to": lambda t: t.arange(2, 5),
    "arange in steps": lambda t: t.arange(1, 2.5, 0.5),
    "arange downwards": lambda t: t.arange(5, 1, -2),
    "arange of a float": lambda t: t.arange(3.0),
    "arange in another dtype": lambda t: t.arange(0, 1, 0.1, dtype=t.float64),
    "arange of nothing": lambda t: t.arange(0),
    "linspace": lambda t: t.linspace(-1, 1, 5),
    "linspace of one": lambda t: t.linspace(3, 4, 1),
    "linspace of none": lambda t: t.linspace(0, 1, 0, dtype=t.float64),
    "eye": lambda t: t.eye(3),
    "eye, not square": lambda t: t.eye(2, 4, dtype=t.int64),
    "zeros_like": lambda t: t.zeros_like(t.ones(2, 3, dtype=t.float64)),
    "ones_like": lambda t: t.ones_like(t.arange(3)),
    "full_like": lambda t: t.full_like(t.arange(3), 2),
    "full_like in another dtype": lambda t: t.full_like(t.arange(3), 2.5, dtype=t.float32),
    "tensor of floats": lambda t: t.tensor([[1.0, 2.0], [3.0, 4.0]]),
    "tensor of integers": lambda t: t.tensor([1, 2]),
    "tensor of bools": lambda t: t.tensor([True, False]),
    "tensor of mixed numbers": lambda t: t.tensor([1, 2.5, True]),
    "tensor of nothing": lambda t: t.tensor([]),
    "tensor of a number": lambda t: t.tensor(3.0),
    "tensor of arrays": lambda t: t.tensor(np.arange(4.0)),
    "tensor of numpy's numbers": lambda t: t.tensor([np.float64(1.0), np.float64(2.0)]),
    "tensor of tensors": lambda t: t.tensor([t.tensor(1.0), t.tensor(2.0)]),
    "tensor with a dtype": lambda t: t.tensor([1.7, -1.7], dtype=t.int32),
    "as_tensor": lambda t: t.as_tensor([1, 2], dtype=t.float32),
}


@pytest.mark.parametrize("case", FACTORIES)
def test_values_and_dtype_are_those_of_pytorch(case):
    ours, theirs = FACTORIES[case](minigrad), FACTORIES[case](torch)
    assert ours.shape == tuple(theirs.shape)
    assert name(ours) == name(theirs)
    np.testing.assert_allclose(ours.data, theirs.numpy(), rtol=1e-6)
    assert not ours.requires_grad


def test_empty_has_the_shape_and_dtype_asked_for():
    assert minigrad.empty(2, 0, 3, dtype=minigrad.float16).shape == (2, 0, 3)
    assert minigrad.empty_like(minigrad.arange(3)).dtype == minigrad.int64


def test_tensor_copies_and_from_numpy_shares():
    array = np.zeros(2)
    copy, view, same = minigrad.tensor(array), minigrad.from_numpy(array), minigrad.as_tensor(array)
    array[0] = 1.0
    assert copy.tolist() == [0.0, 0.0]
    assert view.tolist() == same.tolist() == [1.0, 0.0]
    assert minigrad.as_tensor(view) is view
    assert minigrad.as_tensor(array, dtype=minigrad.float32).dtype == minigrad.float32


def test_factories_take_requires_grad_and_the_cpu():
    for x in (
        minigrad.zeros(2, requires_grad=True, device="cpu"),
        minigrad.randn(2, requires_grad=True, device=minigrad.device("cpu")),
        minigrad.linspace(0, 1, 2, requires_grad=True, device="cpu:0"),
        minigrad.tensor([1.0], requires_grad=True, device="cpu"),
    ):
        assert x.requires_grad
        assert x.is_leaf
        assert x.device == "cpu"
        assert x.device.type == "cpu"
    assert minigrad.cuda.is_available() is False


@pytest.mark.parametrize(
    ("mistake", "error", "message"),
    [
        (
            lambda: minigrad.tensor([[1.0, 2.0], [3.0]]),
            ShapeError,
            r"tensor: expected nested lists of equal lengths, got ragged",
        ),
        (lambda: minigrad.tensor("abc"), DTypeError, r"expected bool, integer or floating-point elements"),
        (
            lambda: minigrad.tensor([None]),
            DTypeError,
            r"expected bool, integer or floating-point elements, got dtype object",
        ),
        (
            lambda: minigrad.tensor([1, 2], requires_grad=True),
            DTypeError,
            r"only floating-point tensors have gradients, .*int64",
        ),
        (lambda: minigrad.zeros(2, -1), ShapeError, r"zeros: expected lengths of at least 0, got \(2, -1\)"),
        (lambda: minigrad.zeros(2.5), ArgumentError, r"expected integers as lengths or dimensions, got \(2.5,\)"),
        (lambda: minigrad.full((2,), [1, 2]), ShapeError, r"full: expected one number as fill_value, got shape \(2,\)"),
        (lambda: minigrad.arange(0, 5, 0), ArgumentError, r"arange: a step of 0 does not lead from 0 to 5"),
        (lambda: minigrad.arange(5, 0), ArgumentError, r"arange: a step of 1 does not lead from 5 to 0"),
        (lambda: minigrad.linspace(0, 1, -1), ArgumentError, r"linspace: expected steps of at least 0, got -1"),
        (lambda: minigrad.zeros(2, device="cuda"), DeviceError, r"computes on the CPU only, got device 'cuda'"),
        (lambda: minigrad.device("mps"), DeviceError, r"computes on the CPU only, got device 'mps'"),
        (lambda: minigrad.from_numpy([1.0]), DTypeError, r"from_numpy: expected an array, got list"),
        (lambda: minigrad.from_numpy(np.array([1j])), DTypeError, r"expected bool, integer or floating-point elements"),
        (
            lambda: minigrad.randint(5, 5, (2,)),
            ArgumentError,
            r"randint: expected low < high and a size, got low=5, high=5",
        ),
        (
            lambda: minigrad.bernoulli(minigrad.tensor([1.5])),
            ArgumentError,
            r"bernoulli: expected probabilities from 0 to 1",
        ),
        (
            lambda: minigrad.bernoulli(minigrad.tensor([1])),
            DTypeError,
            r"bernoulli: expected floating-point probabilities",
        ),
        (
            lambda: minigrad.rand(2, dtype=minigrad.int64),
            DTypeError,
            r"rand: expected a floating-point dtype, got int64",
        ),
        (lambda: minigrad.manual_seed(-1), ArgumentError, r"manual_seed: expected a non-negative integer, got -1"),
        (lambda: minigrad.Generator().set_state({}), ArgumentError, r"set_state: expected what get_state\(\) returned"),
    ],
)
def test_a_mistake_says_what_was_expected(mistake, error, message):
    with pytest.raises(error, match=message):
        mistake()


# ---- random numbers --------------------------------------------------------------------------------------------------

DRAWS = {
    "rand": lambda **how: minigrad.rand(3, 4, **how),
    "randn": lambda **how: minigrad.randn((3, 4), **how),
    "randint": lambda **how: minigrad.randint(100, (12,), **how),
    "randperm": lambda **how: minigrad.randperm(12, **how),
    "bernoulli": lambda **how: minigrad.bernoulli(minigrad.full((12,), 0.5), **how),
    "rand_like": lambda **how: minigrad.rand_like(minigrad.zeros(3, 4), **how),
    "randn_like": lambda **how: minigrad.randn_like(minigrad.zeros(3, 4), **how),
    "randint_like": lambda **how: minigrad.randint_like(minigrad.zeros(12), 0, 100, **how),
}


@pytest.mark.parametrize("case", DRAWS)
def test_the_seed_decides_what_is_drawn(case):
    minigrad.manual_seed(7)
    first, second = DRAWS[case](), DRAWS[case]()
    minigrad.manual_seed(7)
    assert minigrad.equal(DRAWS[case](), first)
    assert not minigrad.equal(first, second)
    assert minigrad.equal(DRAWS[case](generator=minigrad.Generator(7)), first)


def test_the_state_of_a_generator_can_be_kept():
    generator = minigrad.Generator(3)
    minigrad.rand(5, generator=generator)
    state = generator.get_state()
    expected = minigrad.rand(5, generator=generator)
    other = minigrad.Generator()
    other.set_state(state)
    assert minigrad.equal(minigrad.rand(5, generator=other), expected)
    assert other.initial_seed() == 3


def test_moments_and_ranges_are_those_of_the_distributions():
    minigrad.manual_seed(0)
    n = 100_000
    uniform, normal = minigrad.rand(n, dtype=minigrad.float64), minigrad.randn(n, dtype=minigrad.float64)
    # Five standard errors of each estimate.
    assert abs(uniform.mean().item() - 1 / 2) < 5 * (1 / 12 / n) ** 0.5
    assert abs(uniform.var().item() - 1 / 12) < 5 * (1 / 180 / n) ** 0.5
    assert abs(normal.mean().item()) < 5 * (1 / n) ** 0.5
    assert abs(normal.var().item() - 1) < 5 * (2 / n) ** 0.5
    dice = minigrad.randint(1, 7, (n,))
    assert (dice.min().item(), dice.max().item()) == (1, 6)
    assert abs(dice.double().mean().item() - 3.5) < 5 * (35 / 12 / n) ** 0.5
    coins = minigrad.bernoulli(minigrad.full((n,), 0.3, dtype=minigrad.float64))
    assert abs(coins.mean().item() - 0.3) < 5 * (0.21 / n) ** 0.5
    assert sorted(minigrad.randperm(50).tolist()) == list(range(50))


def test_rand_stays_below_one_after_rounding():
    class AlmostOne:
        @staticmethod
        def random(shape):
            return np.full(shape, 1 - 2.0**-53)

    generator = minigrad.Generator(0)
    generator.numpy = AlmostOne()
    for dtype in (minigrad.float16, minigrad.float32, minigrad.float64):
        assert minigrad.rand(2, generator=generator, dtype=dtype).max().item() < 1
