"""Recurrent layers and cells against PyTorch with the same weights: outputs, all states, every gradient."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import nn
from minigrad.errors import ArgumentError, DTypeError, ShapeError
from minigrad.gradcheck import gradcheck, gradgradcheck
from minigrad.ops import recurrent as ops

# constructor options, input shape, whether initial states are given
CONFIGURATIONS: list[tuple[dict[str, Any], tuple[int, ...], bool]] = [
    ({"input_size": 3, "hidden_size": 4}, (5, 2, 3), False),
    ({"input_size": 3, "hidden_size": 4}, (5, 2, 3), True),
    ({"input_size": 3, "hidden_size": 4, "batch_first": True}, (2, 6, 3), True),
    ({"input_size": 2, "hidden_size": 5, "num_layers": 2}, (4, 3, 2), True),
    ({"input_size": 2, "hidden_size": 3, "bidirectional": True}, (4, 3, 2), True),
    ({"input_size": 2, "hidden_size": 3, "bidirectional": True, "num_layers": 3, "batch_first": True}, (3, 4, 2), True),
    ({"input_size": 3, "hidden_size": 4, "bias": False}, (5, 2, 3), False),
    ({"input_size": 3, "hidden_size": 4, "bias": False, "num_layers": 2, "bidirectional": True}, (5, 3), True),
    ({"input_size": 1, "hidden_size": 1}, (1, 1, 1), False),
    ({"input_size": 4, "hidden_size": 3}, (6, 4), False),
    ({"input_size": 5, "hidden_size": 33, "num_layers": 2, "dropout": 0.0}, (7, 4, 5), True),
    ({"input_size": 17, "hidden_size": 8, "batch_first": True}, (6, 17), True),
]
LAYERS: list[tuple[str, dict[str, Any]]] = [
    ("RNN", {"nonlinearity": "tanh"}),
    ("RNN", {"nonlinearity": "relu"}),
    ("LSTM", {}),
    ("GRU", {}),
]
PROJECTED: list[tuple[dict[str, Any], tuple[int, ...], bool]] = [
    ({"input_size": 3, "hidden_size": 5, "proj_size": 2}, (4, 2, 3), True),
    ({"input_size": 3, "hidden_size": 5, "proj_size": 2, "num_layers": 2, "bidirectional": True}, (4, 2, 3), True),
    ({"input_size": 3, "hidden_size": 5, "proj_size": 4, "batch_first": True}, (2, 4, 3), False),
]
CASES = [(*layer, *case) for layer in LAYERS for case in CONFIGURATIONS] + [("LSTM", {}, *case) for case in PROJECTED]


def flattened(result: Any) -> list[Any]:
    """The tensors of (output, h) or (output, (h, c)), in order."""
    if isinstance(result, tuple):
        return [tensor for part in result for tensor in flattened(part)]
    return [result]


def assert_close(mine: Any, expected: Any, tolerance: float, what: str) -> None:
    expected = expected.detach().numpy()
    scale = max(float(np.abs(expected).max(initial=0)), 1.0)
    np.testing.assert_allclose(mine.data, expected, rtol=tolerance, atol=tolerance * scale, err_msg=what)


def assert_agree(ours: Any, theirs: Any, our_inputs: list, their_inputs: list, call: Any, tolerance: float) -> None:
    """Outputs, gradients of inputs and of parameters, under a random upstream gradient for every output."""
    our_results, their_results = flattened(call(ours, *our_inputs)), flattened(call(theirs, *their_inputs))
    rng = np.random.default_rng(4)
    import torch

    our_total, their_total = 0.0, 0.0
    for i, (mine, expected) in enumerate(zip(our_results, their_results, strict=True)):
        assert mine.shape == tuple(expected.shape)
        assert_close(mine.detach(), expected, tolerance, f"result {i}")
        g = rng.normal(size=mine.shape).astype(mine.dtype)
        our_total = our_total + (mine * minigrad.tensor(g)).sum()
        their_total = their_total + (expected * torch.tensor(g)).sum()
    our_total.backward()
    their_total.backward()
    for i, (mine, expected) in enumerate(zip(our_inputs, their_inputs, strict=True)):
        assert_close(mine.grad, expected.grad, tolerance, f"gradient of input {i}")
    their_gradients = {key: p.grad for key, p in theirs.named_parameters()}
    assert [key for key, _ in ours.named_parameters()] == list(their_gradients)
    for key, p in ours.named_parameters():
        assert_close(p.grad, their_gradients[key], tolerance, f"gradient of {key}")


def random_states(layer: Any, shape: tuple[int, ...], dtype: str) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    rows = layer.num_layers * (2 if layer.bidirectional else 1)
    batch = () if len(shape) == 2 else (shape[0 if layer.batch_first else 1],)
    sizes = [layer.proj_size or layer.hidden_size, layer.hidden_size][: 1 + isinstance(layer, nn.LSTM)]
    return [rng.normal(size=(rows, *batch, size)).astype(dtype) for size in sizes]


def call_layer(layer: Any, x: Any, *states: Any) -> Any:
    if not states:
        return layer(x)
    return layer(x, states if len(states) > 1 else states[0])


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN:UserWarning")
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-10), ("float32", 1e-5)])
@pytest.mark.parametrize(("name", "kind", "options", "shape", "with_states"), CASES, ids=lambda value: str(value)[:60])
def test_a_layer_agrees_with_pytorch(
    name: str, kind: dict, options: dict, shape: tuple, with_states: bool, dtype: str, tolerance: float
) -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    theirs = getattr(torch.nn, name)(**options, **kind).to(getattr(torch, dtype))
    ours = getattr(nn, name)(**options, **kind).to(dtype)
    ours.load_state_dict({key: value.numpy() for key, value in theirs.state_dict().items()})
    arrays = [np.random.default_rng(0).normal(size=shape).astype(dtype)]
    arrays += random_states(ours, shape, dtype) if with_states else []
    our_inputs = [minigrad.tensor(array, requires_grad=True) for array in arrays]
    their_inputs = [torch.tensor(array, requires_grad=True) for array in arrays]
    assert_agree(ours, theirs, our_inputs, their_inputs, call_layer, tolerance)


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_weights_cross_to_pytorch(name: str) -> None:
    torch = pytest.importorskip("torch")
    options = {"input_size": 3, "hidden_size": 4, "num_layers": 2, "bidirectional": True}
    ours, theirs = getattr(nn, name)(**options), getattr(torch.nn, name)(**options)
    theirs.load_state_dict({key: torch.tensor(value.numpy()) for key, value in ours.state_dict().items()})
    assert list(ours.state_dict()) == list(theirs.state_dict())
    x = np.random.default_rng(0).normal(size=(5, 2, 3)).astype(np.float32)
    for mine, expected in zip(flattened(ours(minigrad.tensor(x))), flattened(theirs(torch.tensor(x))), strict=True):
        assert_close(mine.detach(), expected, 1e-5, name)


CELLS: list[tuple[str, dict[str, Any], tuple[int, ...], bool]] = [
    (name, {"input_size": 3, "hidden_size": 4, **options}, shape, with_states)
    for name in ("RNNCell", "LSTMCell", "GRUCell")
    for options in ({}, {"bias": False})
    for shape, with_states in [((2, 3), True), ((2, 3), False), ((3,), True), ((3,), False)]
] + [("RNNCell", {"input_size": 3, "hidden_size": 2, "nonlinearity": "relu"}, (4, 3), True)]


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-10), ("float32", 1e-5)])
@pytest.mark.parametrize(("name", "options", "shape", "with_states"), CELLS, ids=lambda value: str(value)[:60])
def test_a_cell_agrees_with_pytorch(
    name: str, options: dict, shape: tuple, with_states: bool, dtype: str, tolerance: float
) -> None:
    torch = pytest.importorskip("torch")
    theirs = getattr(torch.nn, name)(**options).to(getattr(torch, dtype))
    ours = getattr(nn, name)(**options).to(dtype)
    ours.load_state_dict({key: value.numpy() for key, value in theirs.state_dict().items()})
    rng = np.random.default_rng(2)
    arrays = [rng.normal(size=shape).astype(dtype)]
    if with_states:
        arrays += [rng.normal(size=(*shape[:-1], ours.hidden_size)).astype(dtype) for _ in range(1 + ("LSTM" in name))]
    our_inputs = [minigrad.tensor(array, requires_grad=True) for array in arrays]
    their_inputs = [torch.tensor(array, requires_grad=True) for array in arrays]
    assert_agree(ours, theirs, our_inputs, their_inputs, call_layer, tolerance)


@pytest.mark.parametrize("name", ["RNNCell", "LSTMCell", "GRUCell"])
def test_gradients_of_a_cell_are_those_of_finite_differences_in_every_operand(name: str) -> None:
    minigrad.manual_seed(0)
    cell = getattr(nn, name)(2, 3, dtype=np.float64)
    x = minigrad.randn(2, 2, dtype=np.float64, requires_grad=True)
    states = [minigrad.randn(2, 3, dtype=np.float64, requires_grad=True) for _ in range(1 + ("LSTM" in name))]
    step = {"RNNCell": ops.rnn_cell, "LSTMCell": ops.lstm_cell, "GRUCell": ops.gru_cell}[name]
    operands = [x, *states, *cell.parameters()]
    for mine, expected in zip(flattened(step(*operands)), flattened(call_layer(cell, x, *states)), strict=True):
        np.testing.assert_array_equal(mine.data, expected.data)
    assert gradcheck(step, operands)
    assert gradgradcheck(step, operands)


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_a_layer_is_its_cell_step_after_step(name: str) -> None:
    minigrad.manual_seed(1)
    layer = getattr(nn, name)(3, 4, dtype=np.float64)
    cell = getattr(nn, name + "Cell")(3, 4, dtype=np.float64)
    cell.load_state_dict({key.removesuffix("_l0"): value for key, value in layer.state_dict().items()})
    x = minigrad.randn(6, 2, 3, dtype=np.float64)
    output, last = layer(x)
    state = None
    for t in range(6):
        state = cell(x[t], state)
        h = state[0] if name == "LSTM" else state
        np.testing.assert_allclose(output[t].detach().data, h.detach().data, rtol=1e-12, atol=1e-14)
    for mine, expected in zip(flattened(last), flattened(state), strict=True):
        np.testing.assert_allclose(mine[0].detach().data, expected.detach().data, rtol=1e-12, atol=1e-14)


def test_a_second_derivative_through_a_layer_is_that_of_pytorch() -> None:
    torch = pytest.importorskip("torch")
    theirs = torch.nn.LSTM(2, 3).double()
    ours = nn.LSTM(2, 3).double()
    ours.load_state_dict({key: value.numpy() for key, value in theirs.state_dict().items()})
    x = np.random.default_rng(0).normal(size=(4, 2, 2))
    our_x, their_x = minigrad.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    (gx,) = minigrad.autograd.grad((ours(our_x)[0] ** 2).sum(), [our_x], create_graph=True)
    (their_gx,) = torch.autograd.grad((theirs(their_x)[0] ** 2).sum(), [their_x], create_graph=True)
    (gx**2).sum().backward()
    (their_gx**2).sum().backward()
    assert_close(our_x.grad, their_x.grad, 1e-10, "input")
    for (key, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert_close(p.grad, q.grad, 1e-10, key)


# ---- dropout and initialisation --------------------------------------------------------------------------------------


def test_dropout_lies_between_layers_in_training_and_nowhere_in_eval() -> None:
    minigrad.manual_seed(0)
    plain, dropped = nn.LSTM(3, 4, num_layers=2), nn.LSTM(3, 4, num_layers=2, dropout=0.5)
    dropped.load_state_dict(plain.state_dict())
    x = minigrad.randn(5, 2, 3)
    assert not np.allclose(plain(x)[0].data, dropped(x)[0].data)
    np.testing.assert_array_equal(plain(x)[1][0].data[0], dropped(x)[1][0].data[0])  # the first layer is untouched
    dropped.eval()
    np.testing.assert_array_equal(plain(x)[0].data, dropped(x)[0].data)


def test_dropout_zeroes_the_given_share_of_what_the_second_layer_sees_and_keeps_its_mean() -> None:
    # A second layer that passes its input on: relu with the identity as W_ih, nothing else.
    rnn = nn.RNN(1, 50, num_layers=2, nonlinearity="relu", dropout=0.3)
    for key, p in rnn.named_parameters():
        p.data[...] = {"weight_ih_l0": 1.0, "weight_ih_l1": np.eye(50)}.get(key, 0.0)
    minigrad.manual_seed(3)
    seen = rnn(minigrad.ones(40, 20, 1))[0].data
    count = seen.size
    assert set(np.unique(seen)) == {np.float32(0), np.float32(1 / np.float32(0.7))}
    assert abs((seen == 0).mean() - 0.3) < 4 * math.sqrt(0.3 * 0.7 / count)


def test_dropout_of_one_layer_warns_that_it_does_nothing() -> None:
    with pytest.warns(UserWarning, match="LSTM: dropout=0.2 has no effect with one layer"):
        nn.LSTM(2, 2, dropout=0.2)


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell"])
def test_weights_and_biases_start_uniform_within_one_over_the_root_of_the_hidden_size(name: str) -> None:
    minigrad.manual_seed(5)
    layer = getattr(nn, name)(60, 64)
    values = np.sort(np.concatenate([p.data.ravel() for p in layer.parameters()]) * math.sqrt(64))
    assert -1 <= values[0] < values[-1] <= 1
    distance = np.abs((values + 1) / 2 - (np.arange(values.size) + 0.5) / values.size).max()
    assert distance < 1.95 / math.sqrt(values.size)  # Kolmogorov-Smirnov, 0.1 %


def test_the_printed_form_is_that_of_pytorch() -> None:
    torch = pytest.importorskip("torch")
    for name, arguments, options in [
        ("LSTM", (3, 4), {}),
        ("LSTM", (3, 4), {"num_layers": 2, "batch_first": True, "dropout": 0.1, "bidirectional": True, "bias": False}),
        ("LSTM", (3, 4), {"proj_size": 2}),
        ("GRU", (3, 4, 2), {}),
        ("RNN", (3, 4), {"batch_first": True}),
        ("GRUCell", (3, 4), {}),
        ("LSTMCell", (3, 4), {"bias": False}),
    ]:
        assert repr(getattr(nn, name)(*arguments, **options)) == repr(getattr(torch.nn, name)(*arguments, **options))


# ---- mistakes --------------------------------------------------------------------------------------------------------


class PackedSequence:
    """Stands for PyTorch's."""


BAD: list[tuple[Any, type, str]] = [
    (lambda: nn.LSTM(0, 3), ArgumentError, "LSTM: expected input_size to be a positive integer, got 0"),
    (lambda: nn.GRU(3, 2.5), ArgumentError, "GRU: expected hidden_size to be a positive integer, got 2.5"),
    (lambda: nn.RNN(3, 3, num_layers=0), ArgumentError, "RNN: expected num_layers to be a positive integer, got 0"),
    (lambda: nn.RNN(3, 3, nonlinearity="gelu"), ArgumentError, "RNN: expected nonlinearity 'tanh' or 'relu'"),
    (lambda: nn.LSTM(3, 3, 2, dropout=1.5), ArgumentError, r"LSTM: expected dropout .* in \[0, 1\], got 1.5"),
    (lambda: nn.LSTM(3, 3, proj_size=3), ArgumentError, r"proj_size from 0 \(no projection\) to 2.*got 3"),
    (lambda: nn.RNNCell(3, 3, nonlinearity="x"), ArgumentError, "RNNCell: expected nonlinearity"),
    (lambda: nn.GRUCell(3, -1), ArgumentError, "GRUCell: expected hidden_size to be a positive integer, got -1"),
    (
        lambda: nn.LSTM(3, 4)(minigrad.zeros(5, 2, 4)),
        ShapeError,
        r"LSTM: expected input \(T, N, 3\), or \(T, 3\) for one sequence, got \(5, 2, 4\)",
    ),
    (lambda: nn.GRU(3, 4, batch_first=True)(minigrad.zeros(3)), ShapeError, r"GRU: expected input \(N, T, 3\).*\(3,\)"),
    (lambda: nn.GRU(3, 4)(minigrad.zeros(0, 2, 3)), ShapeError, "GRU: expected a sequence of at least one step"),
    (lambda: nn.RNN(3, 4)(minigrad.zeros(5, 3).double()), DTypeError, "RNN: expected input of .* float32, got float64"),
    (lambda: nn.LSTM(3, 4)(PackedSequence()), DTypeError, "LSTM: expected a Tensor, got PackedSequence.*pad them"),
    (
        lambda: nn.GRU(3, 4, num_layers=2, bidirectional=True)(minigrad.zeros(5, 2, 3), minigrad.zeros(2, 2, 4)),
        ShapeError,
        r"GRU: expected h_0 to be float32 \(4, 2, 4\) \(2 layers x 2 directions\), got float32 \(2, 2, 4\)",
    ),
    (
        lambda: nn.LSTM(3, 4)(minigrad.zeros(5, 3), (minigrad.zeros(1, 4), minigrad.zeros(1, 1, 4))),
        ShapeError,
        r"LSTM: expected c_0 to be float32 \(1, 4\).*got float32 \(1, 1, 4\)",
    ),
    (
        lambda: nn.LSTM(3, 4)(minigrad.zeros(5, 2, 3), minigrad.zeros(1, 2, 4)),
        DTypeError,
        r"LSTM: expected the states \(h_0, c_0\), got Tensor",
    ),
    (
        lambda: nn.LSTMCell(3, 4)(minigrad.zeros(2, 3), minigrad.zeros(2, 4)),
        DTypeError,
        r"LSTMCell: expected the states \(h, c\), got Tensor",
    ),
    (
        lambda: nn.LSTMCell(3, 4)(minigrad.zeros(2, 3), (minigrad.zeros(2, 4), minigrad.zeros(4))),
        ShapeError,
        r"LSTMCell: expected c of shape \(2, 4\), got \(4,\)",
    ),
    (
        lambda: nn.GRUCell(3, 4)(minigrad.zeros(2, 5)),
        ShapeError,
        r"GRUCell: expected input \(N, 3\) or \(3,\), got \(2, 5\)",
    ),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD, ids=[message for _, _, message in BAD])
def test_bad_input_names_the_layer_what_was_expected_and_what_came(call: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        call()
