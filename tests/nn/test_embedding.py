"""Embedding against PyTorch with the same table: rows, gradients, and what its options change."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import minigrad
import minigrad.nn.functional as F
from minigrad import nn
from minigrad.errors import ArgumentError, DimError, DTypeError, ShapeError

# constructor options beyond the sizes (7, 3), and the shape of the indices
CONFIGURATIONS: list[tuple[dict[str, Any], tuple[int, ...]]] = [
    ({}, (5,)),
    ({}, ()),
    ({}, (2, 3, 4)),
    ({}, (0,)),
    ({"padding_idx": 0}, (4, 6)),
    ({"padding_idx": -1}, (4, 6)),
    ({"max_norm": 1.0}, (3, 5)),
    ({"max_norm": 0.8, "norm_type": 1.0}, (6,)),
    ({"scale_grad_by_freq": True}, (4, 5)),
    ({"scale_grad_by_freq": True, "padding_idx": 2}, (30,)),
]


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-10), ("float32", 1e-5)])
@pytest.mark.parametrize(("options", "shape"), CONFIGURATIONS, ids=lambda value: str(value)[:60])
def test_a_table_agrees_with_pytorch(options: dict, shape: tuple, dtype: str, tolerance: float) -> None:
    torch = pytest.importorskip("torch")
    theirs = torch.nn.Embedding(7, 3, **options).to(getattr(torch, dtype))
    ours = nn.Embedding(7, 3, **options).to(dtype)
    ours.load_state_dict({key: value.numpy() for key, value in theirs.state_dict().items()})
    rng = np.random.default_rng(0)
    index = rng.integers(0, 7, shape)
    mine, expected = ours(minigrad.tensor(index)), theirs(torch.tensor(index))
    assert mine.shape == tuple(expected.shape)
    np.testing.assert_allclose(mine.detach().data, expected.detach().numpy(), rtol=tolerance)
    g = rng.normal(size=mine.shape).astype(dtype)
    mine.backward(minigrad.tensor(g))
    expected.backward(torch.tensor(g))
    np.testing.assert_allclose(ours.weight.grad.data, theirs.weight.grad.numpy(), rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(ours.weight.data, theirs.weight.detach().numpy(), rtol=tolerance)  # max_norm changes it
    assert repr(ours) == repr(theirs)


def test_the_gradient_of_a_row_is_the_sum_over_its_mentions_bit_for_bit_in_every_run() -> None:
    rng = np.random.default_rng(1)
    index = rng.integers(0, 5, 3000)
    g = rng.normal(size=(3000, 8)).astype(np.float32)
    gradients = []
    for _ in range(3):
        table = minigrad.zeros(5, 8).requires_grad_()
        F.embedding(minigrad.tensor(index), table).backward(minigrad.tensor(g))
        gradients.append(table.grad.data)
    expected = np.zeros((5, 8), np.float32)
    np.add.at(expected, index, g)  # one by one, in order
    for gradient in gradients:
        np.testing.assert_array_equal(gradient, expected)


def test_the_padding_row_is_zero_and_stays_so_in_training() -> None:
    minigrad.manual_seed(0)
    words = nn.Embedding(6, 4, padding_idx=2)
    assert not words.weight.data[2].any()
    assert words.weight.data[[0, 1, 3, 4, 5]].all()
    optimizer = minigrad.optim.SGD(words.parameters(), lr=1.0)
    words(minigrad.tensor([2, 1, 2, 5])).sum().backward()
    optimizer.step()
    assert not words.weight.data[2].any()


def test_a_given_table_is_frozen_by_default_and_shared() -> None:
    table = minigrad.tensor([[1.0, 2.0], [3.0, 4.0]])
    words = nn.Embedding.from_pretrained(table)
    assert not words.weight.requires_grad
    assert np.shares_memory(words.weight.data, table.data)
    np.testing.assert_array_equal(words(minigrad.tensor([1, 0])).data, [[3, 4], [1, 2]])
    assert nn.Embedding.from_pretrained(table, freeze=False).weight.requires_grad
    kept = nn.Embedding.from_pretrained(table, padding_idx=0)
    np.testing.assert_array_equal(kept.weight.data[0], [1, 2])


def test_the_table_starts_standard_normal() -> None:
    minigrad.manual_seed(3)
    values = np.sort(nn.Embedding(500, 40).weight.data.ravel().astype(np.float64))
    normal = np.array([0.5 * (1 + math.erf(v / math.sqrt(2))) for v in values])
    distance = np.abs(normal - (np.arange(values.size) + 0.5) / values.size).max()
    assert distance < 1.95 / math.sqrt(values.size)  # Kolmogorov-Smirnov, 0.1 %


BAD: list[tuple[Any, type, str]] = [
    (lambda: nn.Embedding(0, 3), ArgumentError, "Embedding: expected num_embeddings to be a positive integer, got 0"),
    (lambda: nn.Embedding(4, 2, padding_idx=4), ArgumentError, "Embedding: expected padding_idx from -4 to 3, got 4"),
    (lambda: nn.Embedding(4, 2, max_norm=0.0), ArgumentError, "max_norm and norm_type above 0, got max_norm=0.0"),
    (lambda: nn.Embedding(4, 2, sparse=True), ArgumentError, "Embedding: expected sparse=False"),
    (lambda: nn.Embedding.from_pretrained(minigrad.zeros(3)), ShapeError, r"expected a Tensor \(rows, features\)"),
    (lambda: nn.Embedding(4, 2)(minigrad.tensor([0, 4])), DimError, "expected indices from 0 to 3, got 0 to 4"),
    (lambda: nn.Embedding(4, 2)(minigrad.tensor([-1])), DimError, "expected indices from 0 to 3, got -1 to -1"),
    (lambda: nn.Embedding(4, 2)(minigrad.tensor([1.0])), DTypeError, "expected integer indices, got float32"),
    (
        lambda: F.embedding(minigrad.tensor([1]), minigrad.zeros(4, 2), max_norm=-1),
        ArgumentError,
        "max_norm and norm_type above 0",
    ),
    (lambda: F.embedding(minigrad.tensor([1]), minigrad.zeros(4, 2), sparse=True), ArgumentError, "sparse=False"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD, ids=[message for _, _, message in BAD])
def test_bad_input_names_what_was_expected_and_what_came(call: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        call()
