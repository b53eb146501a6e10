"""minigrad.summary: its figures from closed forms and from the allocator, and that it leaves the model as it was."""

from __future__ import annotations

import gc
import tracemalloc
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import models, nn
from minigrad.errors import ArgumentError, DTypeError, ShapeError


def test_parameters_shapes_and_multiply_adds_of_a_cnn_are_those_of_the_formulas() -> None:
    found = minigrad.summary(models.cnn(28, width=(8, 16)), (1, 28, 28), batch_size=5)
    rows = {row.name: row for row in found.rows}
    assert rows["0"].output_shape == (5, 8, 28, 28)
    assert rows["0"].input_shape == (5, 1, 28, 28)
    assert rows["0"].parameters == 8 * 9 + 8
    assert rows["0"].multiply_adds == 5 * 8 * 28 * 28 * 9
    assert rows["3"].multiply_adds == 5 * 16 * 14 * 14 * 8 * 9
    assert rows["7"].output_shape == (5, 10)
    assert rows["7"].multiply_adds == 5 * 10 * 16 * 7 * 7
    assert found.multiply_adds == sum(row.multiply_adds for row in found.rows)
    assert found.total_parameters == found.trainable_parameters == 80 + 16 * 72 + 16 + 10 * 784 + 10
    assert found.parameter_bytes == 4 * found.total_parameters


def products(*dims: int) -> int:
    return int(np.prod(dims))


class Net(nn.Module):
    """Two inputs, a shared layer, an attention, outputs in a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(11, 6)
        self.mix = nn.Linear(6, 6)
        self.free = nn.Parameter(minigrad.ones(6, 4))
        self.up = nn.ConvTranspose2d(2, 3, 2, stride=2)

    def forward(self, words: minigrad.Tensor, image: minigrad.Tensor) -> dict[str, Any]:
        h = self.mix(self.mix(self.table(words)))  # (N, T, 6)
        scores = h @ h.transpose(1, 2)
        return {"scores": scores, "others": (h @ self.free, self.up(image), None)}


def test_several_inputs_shared_layers_and_nested_outputs_are_followed() -> None:
    found = minigrad.summary(Net(), [(7,), (2, 5, 5)], dtype=[minigrad.int64, None], batch_size=3)
    rows = {row.name: row for row in found.rows}
    assert found.inputs == ["(3, 7) int64", "(3, 2, 5, 5) float32"]
    assert rows["mix"].calls == 2
    assert rows["mix"].parameters == 42
    assert rows["mix"].multiply_adds == 2 * products(3, 7, 6, 6)
    assert rows["up"].multiply_adds == products(3, 2, 5, 5, 3, 2, 2)
    assert rows[""].multiply_adds == products(3, 7, 7, 6) + products(3, 7, 4, 6)
    assert rows[""].parameters == 24
    assert rows[""].output_shape == {"scores": (3, 7, 7), "others": ((3, 7, 4), (3, 3, 10, 10), None)}
    assert found.total_parameters == 11 * 6 + 42 + 24 + 2 * 3 * 4 + 3
    assert "mix x2" in str(found)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_a_recurrent_layer_multiplies_with_both_weights_at_each_step(kind: str) -> None:
    gates = {"RNN": 1, "LSTM": 4, "GRU": 3}[kind]
    found = minigrad.summary(getattr(nn, kind)(5, 6, batch_first=True), (9, 5), batch_size=2)
    assert found.multiply_adds == 2 * 9 * gates * 6 * (5 + 6)
    states = ((1, 2, 6), (1, 2, 6)) if kind == "LSTM" else (1, 2, 6)
    assert found.rows[0].output_shape == ((2, 9, 6), states)


def test_attention_counts_its_two_products_and_its_projections() -> None:
    layer = nn.MultiheadAttention(8, 2, batch_first=True)
    x = minigrad.zeros(3, 5, 8)
    found = minigrad.summary(layer, [x, x, x])
    assert found.multiply_adds == 4 * products(3, 5, 8, 8) + 2 * products(3, 5, 5, 8)
    assert found.total_parameters == 4 * (8 * 8 + 8)


def measured(model: nn.Module, x: minigrad.Tensor) -> int:
    """The bytes that numpy gives back when the result and its graph go."""
    model(x)
    gc.collect()
    tracemalloc.start()
    try:
        y = model(x)
        own = 0 if y.grad_fn.output is y.data else y.data.nbytes  # the result itself, where no rule reads it
        before, _ = tracemalloc.get_traced_memory()
        del y
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return before - after - own


MODELS = {
    "mlp": (lambda: nn.Sequential(nn.Linear(300, 400), nn.Tanh(), nn.Linear(400, 50)), (300,)),
    "relu": (lambda: nn.Sequential(nn.Linear(300, 400), nn.ReLU(), nn.Linear(400, 400), nn.GELU()), (300,)),
    "cnn": (lambda: models.cnn(28), (1, 28, 28)),
    "frozen": (lambda: nn.Sequential(nn.Linear(300, 400).requires_grad_(False), nn.SiLU(), nn.Linear(400, 5)), (300,)),
    "batchnorm": (lambda: nn.Sequential(nn.Linear(300, 400), nn.BatchNorm1d(400), nn.Sigmoid()), (300,)),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_memory_held_for_backward_is_what_is_given_back_with_the_graph(name: str) -> None:
    make, shape = MODELS[name]
    model = make()
    found = minigrad.summary(model, shape, batch_size=64)
    x = minigrad.zeros(64, *shape)
    assert measured(model, x) == pytest.approx(found.fused_bytes, abs=20_000)  # the nodes themselves
    assert found.held_bytes == sum(row.held_bytes for row in found.rows)


def test_what_fusion_saves_is_said() -> None:
    found = minigrad.summary(models.cnn(28), (1, 28, 28))
    assert found.fused_bytes < found.held_bytes / 2
    assert "as Sequential runs them" in str(found)


def test_evaluation_without_gradients_holds_nothing() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh()).requires_grad_(False)
    found = minigrad.summary(model, (3,))
    assert found.held_bytes == 0
    assert found.trainable_parameters == 0
    assert "16 of them frozen" in str(found)


class Careless(nn.Module):
    """Changes everything that a forward pass may change, and may fail after that."""

    def __init__(self, fails: bool) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(4)
        self.drop = nn.Dropout(0.5)
        self.register_buffer("calls", minigrad.zeros(1))
        self.generator = minigrad.Generator(3)
        self.out = nn.Linear(5 if fails else 4, 2)

    def forward(self, x: minigrad.Tensor) -> minigrad.Tensor:
        with minigrad.no_grad():
            self.calls += 1
        self.register_buffer("calls", self.calls + minigrad.rand(1, generator=self.generator))
        h = self.drop(self.norm(x))
        self.eval()
        return self.out(h)


@pytest.mark.parametrize("fails", [False, True])
def test_it_leaves_no_trace(fails: bool) -> None:
    model = Careless(fails)
    model.drop.eval()
    seen: list[Any] = []
    model.norm.register_forward_hook(lambda *_: seen.append(1))
    loss = (model.norm.weight * model.calls).sum()  # a graph that needs a buffer as it is
    before = {key: value.data.copy() for key, value in model.state_dict().items()}
    objects = dict(model.named_buffers())
    minigrad.manual_seed(5)
    state, own = minigrad.random.default_generator.get_state(), model.generator.get_state()
    if fails:
        with pytest.raises(ShapeError, match="layer 'out', Linear, does not take its input"):
            minigrad.summary(model, (4,))
    else:
        minigrad.summary(model, (4,))
    for key, value in model.state_dict().items():
        np.testing.assert_array_equal(value.data, before[key])
    assert all(value is objects[key] for key, value in model.named_buffers())
    assert [m.training for m in model.modules()] == [True, True, False, True]
    assert minigrad.random.default_generator.get_state() == state
    assert model.generator.get_state() == own
    assert [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()] == [0, 1, 0, 0]
    assert all(p.grad is None for p in model.parameters())
    assert minigrad.graph.observer is None
    loss.backward()


def test_it_names_the_layer_where_the_shapes_stop_fitting_and_shows_the_table_so_far() -> None:
    features = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2))
    model = nn.Sequential(features, nn.Flatten(), nn.Linear(100, 10), nn.ReLU())
    with pytest.raises(ShapeError) as caught:
        minigrad.summary(model, (1, 8, 8), batch_size=2)
    message = str(caught.value)
    assert message.startswith("summary: layer '2', Linear, does not take its input, of shape (2, 36).")
    assert "expected input (..., 100)" in message
    assert "in_features=100" in message
    lines = [line.split() for line in message.splitlines()]
    assert ["0.0", "Conv2d", "(2,", "4,", "6,", "6)", "40", "2,592"] in lines
    assert ["1", "Flatten", "(2,", "36)", "0", "0"] in lines
    assert not any(line[:1] == ["3"] for line in lines)


def test_the_text_is_aligned() -> None:
    lines = str(minigrad.summary(models.cnn(28), (1, 28, 28))).splitlines()
    table = lines[2 : lines.index("", 3)]
    assert len({len(line) for line in table}) == 1
    assert all(line == line.rstrip() for line in lines)


def test_without_a_batch_the_shapes_are_taken_as_they_are() -> None:
    found = minigrad.summary(nn.Conv2d(1, 2, 3), (1, 5, 5), batch_size=None)
    assert found.rows[0].output_shape == (2, 3, 3)
    assert "a sample" not in str(found)


def test_the_dtype_is_that_of_the_model() -> None:
    found = minigrad.summary(nn.Linear(2, 3).double(), (2,))
    assert found.inputs == ["(32, 2) float64"]
    assert found.parameter_bytes == 8 * 9


BAD: list[tuple[Any, type, str]] = [
    (lambda: minigrad.summary(3, (1,)), DTypeError, "summary: expected a Module, got int"),  # type: ignore[arg-type]
    (lambda: minigrad.summary(nn.Linear(1, 1), "big"), ArgumentError, "expected a shape such as .*got 'big'"),
    (lambda: minigrad.summary(nn.Linear(1, 1), (1.5,)), ArgumentError, "expected a shape such as"),
    (lambda: minigrad.summary(nn.Linear(1, 1), (1,), batch_size=0), ArgumentError, "batch_size as a positive integer"),
    (lambda: minigrad.summary(nn.Linear(1, 1), (1,), dtype=["int64"] * 2), ArgumentError, "expected one dtype, or 1"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD, ids=[message for _, _, message in BAD])
def test_bad_arguments_are_explained(call: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        call()
