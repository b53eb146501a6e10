"""Activations against PyTorch: values, gradients, second derivatives, kinks, enormous inputs, in place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import nn
from minigrad.errors import ArgumentError, DTypeError, GraphError, ShapeError
from minigrad.nn import functional as F

PLAIN = [
    "Hardsigmoid",
    "Hardswish",
    "LogSigmoid",
    "Mish",
    "ReLU",
    "ReLU6",
    "SELU",
    "SiLU",
    "Sigmoid",
    "Softsign",
    "Tanh",
]
OPTIONS: dict[str, list[dict[str, Any]]] = {
    **{name: [{}] for name in PLAIN},
    # Powers of two: PyTorch divides by alpha in float32 for every dtype.
    "CELU": [{}, {"alpha": 0.5}, {"alpha": 2.0}],
    "ELU": [{}, {"alpha": 0.3}, {"alpha": 0.0}],
    "GELU": [{}, {"approximate": "tanh"}],
    "GLU": [{}, {"dim": 0}],
    "Hardtanh": [{}, {"min_val": -0.5, "max_val": 2.0}],
    "LeakyReLU": [{}, {"negative_slope": 0.3}, {"negative_slope": 1.7}, {"negative_slope": -0.2}],
    "LogSoftmax": [{"dim": -1}, {"dim": 0}],
    "PReLU": [{}, {"init": -0.4}],
    "Softmax": [{"dim": -1}, {"dim": 0}],
    "Softmin": [{"dim": -1}],
    "Softplus": [{}, {"beta": 3.0}, {"beta": 0.5, "threshold": 2.0}, {"beta": -1.0}],
}
SHAPES: list[tuple[int, ...]] = [(4,), (2, 6), (4, 2, 6), (2, 4, 2, 2), (0, 4), (6, 1, 2), (2, 2, 2, 2, 2), (64, 32)]
CASES = [(name, options, shape) for name, several in OPTIONS.items() for options in several for shape in SHAPES]


def numbers(shape: tuple[int, ...], dtype: str = "float64") -> np.ndarray:
    return (3 * np.random.default_rng(0).normal(size=shape)).astype(dtype)


def reference(torch: Any, name: str, options: dict[str, Any]) -> Callable:
    """PyTorch's layer; its hardsigmoid has 1/6 in float32 for every dtype, so the formula stands for it."""
    return (lambda x: torch.clamp(x / 6 + 0.5, 0, 1)) if name == "Hardsigmoid" else getattr(torch.nn, name)(**options)


@pytest.mark.parametrize(("name", "options", "shape"), CASES, ids=str)
def test_values_and_gradients_are_pytorchs(name: str, options: dict, shape: tuple) -> None:
    torch = pytest.importorskip("torch")
    for dtype, tolerance in (("float64", 1e-10), ("float32", 1e-5)):
        x = numbers(shape, dtype)
        ours, theirs = getattr(nn, name)(**options).to(dtype), reference(torch, name, options)
        theirs = theirs.to(getattr(torch, dtype)) if isinstance(theirs, torch.nn.Module) else theirs
        our_x, their_x = minigrad.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        y, expected = ours(our_x), theirs(their_x)
        assert y.dtype == np.dtype(dtype)
        g = np.random.default_rng(1).normal(size=y.shape).astype(dtype)
        y.backward(minigrad.tensor(g))
        expected.backward(torch.tensor(g))
        pairs = [(y.detach(), expected.detach()), (our_x.grad, their_x.grad)]
        pairs += [(p.grad, q.grad) for p, q in zip(ours.parameters(), getattr(theirs, "parameters", list)())]  # noqa: B905
        for mine, other in pairs:
            scale = max(1.0, float(np.abs(other.numpy()).max(initial=0)))
            np.testing.assert_allclose(mine.numpy(), other.numpy(), rtol=tolerance, atol=tolerance * scale)


@pytest.mark.parametrize(("name", "options"), [(n, o) for n, several in OPTIONS.items() for o in several], ids=str)
def test_second_derivatives_are_those_of_finite_differences(name: str, options: dict) -> None:
    layer = getattr(nn, name)(**options).double()
    x = np.random.default_rng(2).uniform(-2.5, 2.5, (4, 4))
    for kink in (-3.0, -1.0, -0.5, 0.0, 1.0, 2.0):
        x = np.where(np.abs(x - kink) < 0.05, x + 0.1, x)
    inputs = [minigrad.tensor(x, requires_grad=True), *layer.parameters()]
    assert minigrad.gradcheck(lambda x, *_: layer(x), inputs)
    assert minigrad.gradgradcheck(lambda x, *_: layer(x), inputs)


@pytest.mark.parametrize("name", [n for n in OPTIONS if n not in ("GLU", "PReLU", "Softmax", "LogSoftmax", "Softmin")])
@pytest.mark.parametrize("options", [0, -1])
def test_values_at_zero_at_the_bounds_and_far_out_are_pytorchs(name: str, options: int) -> None:
    torch = pytest.importorskip("torch")
    arguments = OPTIONS[name][options]
    x = np.array([0.0, -0.0, -1.0, 1.0, -3.0, 3.0, 6.0, 100.0, -100.0, 1e4, -1e4, 20.0, -20.0, 2.0, -0.5])
    for dtype, tolerance in (("float64", 1e-9), ("float32", 1e-6)):
        our_x = minigrad.tensor(x.astype(dtype), requires_grad=True)
        their_x = torch.tensor(x.astype(dtype), requires_grad=True)
        y, expected = getattr(nn, name)(**arguments)(our_x), getattr(torch.nn, name)(**arguments)(their_x)
        y.sum().backward()
        expected.sum().backward()
        assert np.isfinite(y.data).all()
        assert np.isfinite(our_x.grad.data).all()
        if name == "Hardsigmoid":
            tolerance = 1e-7  # of PyTorch's 1/6
        np.testing.assert_allclose(y.data, expected.detach().numpy(), rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(our_x.grad.data, their_x.grad.numpy(), rtol=tolerance, atol=tolerance)


def test_the_tails_keep_their_digits() -> None:
    x = minigrad.tensor([-100.0, -50.0, -10.0, 10.0, 50.0, 100.0], dtype=np.float64)
    exact = np.log1p(np.exp(-np.abs(x.data)))  # ln(1 + e^-|x|)
    np.testing.assert_allclose(F.softplus(x, threshold=200).data, np.maximum(x.data, 0) + exact, rtol=1e-15)
    np.testing.assert_allclose(F.logsigmoid(x).data, np.minimum(x.data, 0) - exact, rtol=1e-15)
    np.testing.assert_allclose(F.silu(x).data[:3], x.data[:3] * np.exp(x.data[:3]), rtol=1e-4)
    np.testing.assert_allclose(F.mish(x).data[:3], x.data[:3] * np.exp(x.data[:3]), rtol=1e-4)


def test_selu_keeps_mean_0_and_variance_1() -> None:
    # Integrals of selu and of its square over the normal density, by Simpson's rule on both sides of the kink.
    for power, expected in ((1, 0.0), (2, 1.0)):
        total = 0.0
        for low, high in ((-12.0, 0.0), (0.0, 12.0)):
            t = np.linspace(low, high, 4001)
            values = F.selu(minigrad.from_numpy(t)).data ** power * np.exp(-0.5 * t * t) / np.sqrt(2 * np.pi)
            total += (t[1] - t[0]) / 3 * (values[0] + values[-1] + 4 * values[1::2].sum() + 2 * values[2:-1:2].sum())
        assert total == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("name", ["relu", "log_softmax", "softmax", "softmin"])
def test_functions_take_the_rarer_arguments_of_pytorch(name: str) -> None:
    torch = pytest.importorskip("torch")
    x = numbers((3, 4), "float32")
    options = {} if name == "relu" else {"dim": 1}
    mine, other = getattr(F, name), getattr(torch.nn.functional, name)
    np.testing.assert_allclose(
        mine(minigrad.tensor(x), **options).data, other(torch.tensor(x), **options).numpy(), rtol=1e-6
    )
    if name != "relu":
        y = mine(minigrad.tensor(x), dim=1, dtype=minigrad.float64)
        assert y.dtype == np.float64
        np.testing.assert_allclose(
            y.data, other(torch.tensor(x), dim=1, dtype=torch.float64).numpy(), rtol=1e-12, atol=1e-15
        )


IN_PLACE = ["CELU", "ELU", "Hardsigmoid", "Hardswish", "Hardtanh", "LeakyReLU", "Mish", "ReLU", "ReLU6", "SELU", "SiLU"]


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place_without_a_graph_writes_into_the_memory_of_the_input(name: str) -> None:
    x = minigrad.from_numpy(numbers((5, 4)))
    view, expected = x[1:3], getattr(nn, name)()(x.clone())
    memory = x.data
    y = getattr(nn, name)(inplace=True)(x)
    assert y is x
    assert x.data is memory
    np.testing.assert_array_equal(x.data, expected.data)
    np.testing.assert_array_equal(view.data, expected.data[1:3])
    assert "inplace=True" in repr(getattr(nn, name)(inplace=True))


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place_in_a_graph_has_the_same_gradient_and_spoils_nothing_that_the_graph_needs(name: str) -> None:
    a = numbers((5, 4))
    grads = []
    for inplace in (False, True):
        x = minigrad.tensor(a, requires_grad=True)
        h = minigrad.tanh(x) * 2  # tanh needs its own output in backward
        kept = h
        y = getattr(nn, name)(inplace=inplace)(h)
        assert (y is kept) == inplace
        (y * y).sum().backward()
        grads.append(x.grad.data)
    np.testing.assert_array_equal(*grads)


def test_in_place_on_a_leaf_is_refused_and_leaves_it_as_it_was() -> None:
    x = minigrad.tensor([-1.0, 2.0], requires_grad=True)
    with pytest.raises(GraphError, match="relu: inplace=True would replace a leaf"):
        F.relu(x, inplace=True)
    assert x.tolist() == [-1.0, 2.0]
    with minigrad.no_grad():
        F.relu(x, inplace=True)
    assert x.tolist() == [0.0, 2.0]


def test_prelu_has_a_slope_for_each_channel() -> None:
    torch = pytest.importorskip("torch")
    weight = np.array([0.1, -0.2, 0.3])
    for shape in ((2, 3), (2, 3, 4), (2, 3, 2, 2)):
        x = numbers(shape)
        ours, theirs = nn.PReLU(3).double(), torch.nn.PReLU(3).double()
        for layer, make in ((ours, minigrad.tensor), (theirs, torch.tensor)):
            layer.load_state_dict({"weight": make(weight)})
        y, expected = ours(minigrad.tensor(x)), theirs(torch.tensor(x))
        np.testing.assert_allclose(y.detach().numpy(), expected.detach().numpy(), rtol=1e-14)
        (y * y).sum().backward()
        (expected * expected).sum().backward()
        np.testing.assert_allclose(ours.weight.grad.numpy(), theirs.weight.grad.numpy(), rtol=1e-12)
    assert nn.PReLU(2, init=0.5).weight.tolist() == [0.5, 0.5]


def test_printed_forms_are_pytorchs() -> None:
    torch = pytest.importorskip("torch")
    for name, several in OPTIONS.items():
        for options in several:
            if name not in ("Hardtanh", "Softsign"):
                assert repr(getattr(nn, name)(**options)) == repr(getattr(torch.nn, name)(**options))


@pytest.mark.parametrize(
    ("name", "reads_output"),
    [("relu", True), ("leaky_relu", True), ("elu", True), ("selu", True), ("hardtanh", True), ("softsign", True)],
)
def test_where_the_output_tells_the_slope_the_input_is_not_kept(name: str, reads_output: bool) -> None:
    y = getattr(F, name)(minigrad.tensor([1.0, -1.0], requires_grad=True) * 1)
    assert (y.grad_fn.output is not None) == reads_output
    assert not any(x is not None for x in y.grad_fn.inputs)


z = minigrad.zeros
BAD: list[tuple[Callable[[], Any], type, str]] = [
    (lambda: nn.GELU("sigmoid"), ArgumentError, "GELU: expected approximate 'none' or 'tanh', got 'sigmoid'"),
    (lambda: F.gelu(z(2), "erf"), ArgumentError, "gelu: expected approximate 'none' or 'tanh', got 'erf'"),
    (lambda: nn.CELU(0.0), ArgumentError, "CELU: expected alpha > 0, got 0"),
    (lambda: F.celu(z(2), -1.0), ArgumentError, "celu: expected alpha > 0, got -1"),
    (lambda: nn.Softplus(beta=0), ArgumentError, "Softplus: expected a beta that is not 0"),
    (lambda: F.softplus(z(2), beta=0), ArgumentError, "softplus: expected a beta that is not 0"),
    (lambda: nn.Hardtanh(2.0, 1.0), ArgumentError, "Hardtanh: expected min_val < max_val, got 2.0 and 1.0"),
    (lambda: F.hardtanh(z(2), 2.0, 1.0), ArgumentError, "hardtanh: expected min_val <= max_val, got 2.0 and 1.0"),
    (lambda: nn.PReLU(0), ArgumentError, "PReLU: num_parameters: expected an integer of at least 1, got 0"),
    (lambda: nn.PReLU(3)(z(2, 4)), ShapeError, r"prelu: expected 1 slope, or 4 for the channels.*\[in PReLU\("),
    (lambda: F.prelu(z(2, 4), z(2, 2)), ShapeError, r"prelu: expected weight of shape \(C,\) or \(1,\), got \(2, 2\)"),
    (lambda: nn.GLU()(z(2, 3)), ShapeError, r"glu: expected an even length along dim=-1.*got shape \(2, 3\)"),
    (lambda: nn.Softmax(), ArgumentError, "Softmax: expected dim.*got None.*dim=1"),
    (lambda: nn.LogSoftmax(1.0), ArgumentError, "LogSoftmax: expected dim.*got 1.0"),  # type: ignore[arg-type]
    (lambda: F.softmax(z(2, 2), None), DTypeError, "softmax: expected dim.*got None"),  # type: ignore[arg-type]
    (lambda: nn.Softmax(2)(z(2, 2)), IndexError, r"softmax: .*2"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD, ids=[message for _, _, message in BAD])
def test_bad_input_names_what_was_expected_and_what_came(call: Callable, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        call()
