"""Softmax-cross-entropy and its gradient in one pass, against PyTorch and against the formula."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad.errors import DimError, ShapeError
from minigrad.kernels import loss
from minigrad.kernels.loss import softmax_cross_entropy


def random_problem(seed: int, dtype: type) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, int, float]:
    rng = np.random.default_rng(seed)
    # Above 4000 logits the rows are shared among threads.
    rows, classes = (700, 12) if seed % 5 == 0 else (int(rng.integers(1, 60)), int(rng.integers(2, 30)))
    logits = (rng.standard_normal((rows, classes)) * 5).astype(dtype)
    weight = rng.random(classes).astype(dtype) if seed % 2 else None
    ignore = int(rng.integers(classes)) if seed % 3 == 0 else -100
    return logits, rng.integers(0, classes, rows), weight, ignore, float(rng.random()) if seed % 4 else 0.0


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-5), (np.float64, 1e-12)])
@pytest.mark.parametrize("seed", range(20))
def test_losses_and_gradient_match_pytorch(seed: int, dtype: type, tolerance: float) -> None:
    torch = pytest.importorskip("torch")
    logits, labels, weight, ignore, smoothing = random_problem(seed, dtype)
    z = torch.tensor(logits, requires_grad=True)
    options: dict[str, Any] = {"ignore_index": ignore, "label_smoothing": smoothing}
    w = None if weight is None else torch.tensor(weight)
    truth = torch.nn.functional.cross_entropy(z, torch.tensor(labels), w, reduction="none", **options)
    truth.sum().backward()
    result = softmax_cross_entropy(logits, labels, weight, ignore, smoothing)
    assert {a.dtype for a in result[:3]} == {np.dtype(dtype)}
    np.testing.assert_allclose(result.losses, truth.detach().numpy(), rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(result.grad, z.grad.numpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("seed", range(6))
def test_losses_over_weights_is_pytorchs_mean(seed: int) -> None:
    torch = pytest.importorskip("torch")
    logits, labels, weight, ignore, smoothing = random_problem(seed, np.float64)
    truth = torch.nn.functional.cross_entropy(
        torch.tensor(logits),
        torch.tensor(labels),
        None if weight is None else torch.tensor(weight),
        ignore_index=ignore,
        label_smoothing=smoothing,
    )
    result = softmax_cross_entropy(logits, labels, weight, ignore, smoothing)
    assert result.total_loss / result.total_weight == pytest.approx(truth.item(), rel=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_huge_logits_do_not_overflow(dtype: type) -> None:
    big = 80.0 if dtype is np.float32 else 700.0
    logits = np.array([[1000 * big, 0, -1000 * big], [-1000 * big, -1000 * big, 0]], dtype)
    result = softmax_cross_entropy(logits, np.array([0, 2]))
    assert result.losses.tolist() == [0, 0]
    assert not result.grad.any()
    assert softmax_cross_entropy(logits, np.array([1, 2])).losses.tolist() == [1000 * big, 0]


def test_nan_logits_give_a_nan_loss_in_their_row_only() -> None:
    logits = np.zeros((2, 3), np.float32)
    logits[0, 1] = np.nan
    losses = softmax_cross_entropy(logits, np.array([0, 0])).losses
    assert np.isnan(losses[0])
    assert losses[1] == pytest.approx(np.log(3), rel=1e-6)


def test_an_impossible_class_costs_infinity_only_where_it_is_the_label() -> None:
    logits = np.array([[0.0, -np.inf], [0.0, -np.inf]])
    assert softmax_cross_entropy(logits, np.array([0, 1])).losses.tolist() == [0, np.inf]


def test_each_row_of_the_gradient_sums_to_zero() -> None:
    logits, labels, *_ = random_problem(1, np.float64)
    np.testing.assert_allclose(softmax_cross_entropy(logits, labels).grad.sum(1), 0, atol=1e-14)


def test_no_rows_give_no_losses() -> None:
    result = softmax_cross_entropy(np.zeros((0, 3), np.float32), np.zeros(0, np.int64))
    assert [a.shape for a in result[:3]] == [(0,), (0,), (0, 3)]
    assert result[3:] == (0, 0)


def test_a_transposed_and_a_strided_input_are_read_rightly() -> None:
    logits = np.random.default_rng(0).standard_normal((6, 4))
    labels = np.array([0, 3, 1, 2, 1, 0])
    straight = softmax_cross_entropy(logits, labels)
    turned = softmax_cross_entropy(np.asfortranarray(logits), np.repeat(labels, 2)[::2].astype(np.uint8))
    np.testing.assert_array_equal(straight.grad, turned.grad)


@pytest.mark.parametrize("label", [3, -1, 2**40])
def test_a_label_that_is_no_class_is_an_index_error_that_names_the_row(label: int) -> None:
    with pytest.raises(DimError, match=rf"0 to 2 for 3 classes.*got {label} in row 1"):
        softmax_cross_entropy(np.zeros((2, 3), np.float32), np.array([0, label]))


def test_shapes_that_do_not_fit_are_named() -> None:
    with pytest.raises(ShapeError, match=r"\(2,\), got \(3,\)"):
        softmax_cross_entropy(np.zeros((2, 3)), np.zeros(3, np.int64))
    with pytest.raises(ShapeError, match=r"\(3,\), got \(2,\)"):
        softmax_cross_entropy(np.zeros((2, 3)), np.zeros(2, np.int64), np.ones(2))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_same_bits_for_any_number_of_threads(dtype: type) -> None:
    logits, labels, weight, ignore, _ = random_problem(5, dtype)
    before, found = minigrad.get_num_threads(), []
    try:
        for threads in range(1, min(before, 4) + 1):
            minigrad.set_num_threads(threads)
            found.append(softmax_cross_entropy(logits, labels, weight, ignore, 0.1))
    finally:
        minigrad.set_num_threads(before)
    for other in found[1:]:
        for mine, first in zip(other, found[0], strict=True):
            np.testing.assert_array_equal(mine, first)


@pytest.mark.parametrize(("rows", "classes"), [(1, 2), (7, 3), (40, 17), (600, 10)])
def test_nothing_outside_of_the_buffers_is_read_or_written(
    rows: int, classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    surroundings: list[np.ndarray] = []

    def walled(array: np.ndarray) -> np.ndarray:
        room = np.full(array.size + 128, np.nan, array.dtype)
        room[64:-64] = array.ravel()
        surroundings.append(room)
        return room[64:-64].reshape(array.shape)

    rng = np.random.default_rng(rows)
    logits, weight = rng.standard_normal((rows, classes)).astype(np.float32), rng.random(classes).astype(np.float32)
    labels = rng.integers(0, classes, rows)
    expected = softmax_cross_entropy(logits, labels, weight, -100, 0.1)
    walled_logits, walled_weight = walled(logits), walled(weight)
    monkeypatch.setattr(loss.np, "empty", lambda shape, dtype: walled(np.zeros(shape, dtype)))
    result = softmax_cross_entropy(walled_logits, labels, walled_weight, -100, 0.1)
    monkeypatch.undo()
    assert len(surroundings) == 5
    for mine, truth in zip(result, expected, strict=True):
        np.testing.assert_array_equal(mine, truth)
    for room in surroundings:
        assert np.isnan(room[:64]).all()
        assert np.isnan(room[-64:]).all()


def test_float16_is_computed_in_float32() -> None:
    logits, labels, *_ = random_problem(1, np.float32)
    half = softmax_cross_entropy(logits.astype(np.float16), labels)
    full = softmax_cross_entropy(logits.astype(np.float16).astype(np.float32), labels)
    assert {array.dtype for array in half[:3]} == {np.dtype(np.float16)}
    np.testing.assert_allclose(half.losses, full.losses, rtol=1e-3)


@pytest.mark.parametrize("dtype", [">f4", ">f8", "<f2"])
def test_numbers_of_another_byte_order_or_width_are_converted(dtype: str) -> None:
    z = np.random.default_rng(0).standard_normal((5, 4)).astype(dtype)
    found = softmax_cross_entropy(z, np.arange(5).astype(">i8") % 4)
    wide = softmax_cross_entropy(z.astype(np.float64), np.arange(5) % 4)
    assert found.losses.dtype == np.dtype(dtype)
    np.testing.assert_allclose(found.losses.astype(np.float64), wide.losses, rtol=2e-3 if dtype == "<f2" else 1e-6)
