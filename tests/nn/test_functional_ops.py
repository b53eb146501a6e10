"""The operations of nn.functional against PyTorch's: value, gradients of every input, in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad.errors import ArgumentError, DimError, DTypeError, ShapeError
from minigrad.nn import functional as F

# name, shapes of the tensors, options
CASES: list[tuple[str, list[tuple[int, ...]], dict[str, Any]]] = [
    ("conv1d", [(2, 3, 9), (4, 3, 3), (4,)], {}),
    ("conv1d", [(2, 4, 9), (4, 2, 2)], {"stride": 2, "padding": 1, "groups": 2}),
    ("conv1d", [(2, 3, 8), (2, 3, 4)], {"padding": "same", "dilation": 2}),
    ("conv1d", [(3, 8), (2, 3, 3), (2,)], {"padding": "valid"}),
    ("conv2d", [(2, 3, 6, 5), (4, 3, 3, 2), (4,)], {"padding": (1, 0), "stride": (1, 2)}),
    ("conv2d", [(3, 6, 5), (4, 3, 2, 2)], {"padding": "same"}),
    ("conv_transpose2d", [(2, 3, 4, 5), (3, 2, 3, 3), (2,)], {}),
    ("conv_transpose2d", [(2, 4, 4, 3), (4, 3, 3, 2)], {"stride": 2, "padding": 1, "output_padding": 1, "groups": 2}),
    ("conv_transpose2d", [(1, 2, 3, 3), (2, 2, 2, 2)], {"stride": (2, 3), "output_padding": (0, 2)}),
    ("conv_transpose2d", [(1, 2, 3, 3), (2, 2, 3, 3)], {"dilation": 2, "output_padding": 1, "padding": (1, 0)}),
    ("conv_transpose2d", [(2, 3, 3), (2, 3, 2, 2), (3,)], {"stride": 2}),
    ("max_pool1d", [(2, 3, 9)], {"kernel_size": 3, "stride": 2, "padding": 1}),
    ("max_pool1d", [(3, 8)], {"kernel_size": 2, "ceil_mode": True}),
    ("max_pool2d", [(2, 3, 6, 6)], {"kernel_size": 2}),
    ("avg_pool1d", [(2, 3, 9)], {"kernel_size": 3, "stride": 2, "padding": 1, "count_include_pad": False}),
    ("avg_pool1d", [(3, 9)], {"kernel_size": 2, "ceil_mode": True}),
    ("avg_pool2d", [(2, 3, 6, 5)], {"kernel_size": (2, 3), "stride": (1, 2), "padding": (1, 0)}),
    ("avg_pool2d", [(3, 6, 5)], {"kernel_size": 2, "ceil_mode": True, "divisor_override": 3}),
    ("adaptive_avg_pool1d", [(2, 3, 7)], {"output_size": 3}),
    ("adaptive_avg_pool2d", [(2, 3, 7, 5)], {"output_size": (3, 2)}),
    ("adaptive_avg_pool2d", [(2, 3, 6, 5)], {"output_size": (None, 7)}),
    ("adaptive_avg_pool2d", [(3, 4, 4)], {"output_size": 1}),
    ("adaptive_max_pool1d", [(2, 3, 7)], {"output_size": 3}),
    ("adaptive_max_pool2d", [(2, 3, 7, 5)], {"output_size": (3, 2)}),
    ("adaptive_max_pool2d", [(3, 4, 4)], {"output_size": 3}),
    ("layer_norm", [(4, 3, 5), (5,), (5,)], {"normalized_shape": (5,)}),
    ("layer_norm", [(4, 3, 5), (3, 5), (3, 5)], {"normalized_shape": (3, 5), "eps": 0.1}),
    ("layer_norm", [(4, 5)], {"normalized_shape": (5,)}),
    ("group_norm", [(2, 6, 4, 3), (6,), (6,)], {"num_groups": 3}),
    ("group_norm", [(3, 4)], {"num_groups": 2}),
    ("unfold", [(2, 3, 5, 6)], {"kernel_size": (2, 3), "stride": (1, 2), "padding": 1}),
    ("unfold", [(2, 5, 6)], {"kernel_size": 2, "dilation": 2}),
    ("fold", [(2, 12, 20)], {"output_size": (5, 6), "kernel_size": 2}),
    ("fold", [(8, 9)], {"output_size": 5, "kernel_size": 2, "padding": 1, "stride": 2}),
    ("linear", [(2, 3, 4), (5, 4), (5,)], {}),
    ("softmax", [(2, 3, 4)], {"dim": 1}),
    ("log_softmax", [(2, 3, 4)], {"dim": -1}),
]


@pytest.mark.filterwarnings("ignore:Using padding='same':UserWarning")
@pytest.mark.parametrize(("name", "shapes", "options"), CASES, ids=lambda value: str(value)[:70])
def test_value_and_gradients_are_pytorchs(name: str, shapes: list[tuple[int, ...]], options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=shape) for shape in shapes]
    ours = [minigrad.tensor(a, requires_grad=True) for a in arrays]
    theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
    if name == "layer_norm" or (name == "group_norm" and len(arrays) > 1):
        key = next(iter(options))
        rest = {k: v for k, v in options.items() if k != key}
        y = getattr(F, name)(ours[0], options[key], *ours[1:], **rest)
        expected = getattr(torch.nn.functional, name)(theirs[0], options[key], *theirs[1:], **rest)
    else:
        y, expected = getattr(F, name)(*ours, **options), getattr(torch.nn.functional, name)(*theirs, **options)
    assert y.shape == tuple(expected.shape)
    np.testing.assert_allclose(y.detach().numpy(), expected.detach().numpy(), rtol=1e-10, atol=1e-12)
    g = rng.normal(size=y.shape)
    y.backward(minigrad.tensor(g))
    expected.backward(torch.tensor(g))
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine.grad.numpy(), other.grad.numpy(), rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("shape", [(6, 3), (4, 3, 5), (2, 3, 4, 5)])
@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_and_its_running_statistics_are_pytorchs(shape: tuple[int, ...], training: bool) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=shape), rng.normal(size=3), rng.normal(size=3)]
    running = [rng.normal(size=3), rng.uniform(0.5, 2, 3)]
    ours = [minigrad.tensor(a, requires_grad=True) for a in arrays]
    theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
    our_running, their_running = [minigrad.tensor(a) for a in running], [torch.tensor(a) for a in running]
    y = F.batch_norm(ours[0], *our_running, *ours[1:], training=training, momentum=0.3)
    expected = torch.nn.functional.batch_norm(theirs[0], *their_running, *theirs[1:], training=training, momentum=0.3)
    np.testing.assert_allclose(y.detach().numpy(), expected.detach().numpy(), rtol=1e-10, atol=1e-12)
    for mine, other in zip(our_running, their_running, strict=True):
        np.testing.assert_allclose(mine.numpy(), other.numpy(), rtol=1e-12)
    g = rng.normal(size=y.shape)
    y.backward(minigrad.tensor(g))
    expected.backward(torch.tensor(g))
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine.grad.numpy(), other.grad.numpy(), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("padding_idx", [None, 2, -1])
def test_embedding_adds_the_gradients_of_every_mention(padding_idx: int | None) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    table, index = rng.normal(size=(5, 3)), np.array([[0, 2, 2], [4, 0, 2]])
    ours, theirs = minigrad.tensor(table, requires_grad=True), torch.tensor(table, requires_grad=True)
    g = rng.normal(size=(2, 3, 3))
    y = F.embedding(minigrad.tensor(index), ours, padding_idx)
    y.backward(minigrad.tensor(g))
    torch.nn.functional.embedding(torch.tensor(index), theirs, padding_idx).backward(torch.tensor(g))
    np.testing.assert_array_equal(y.detach().numpy(), table[index])
    np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), rtol=1e-12)


def test_one_hot_is_pytorchs() -> None:
    torch = pytest.importorskip("torch")
    labels = np.array([[3, 0], [1, 2]])
    for count in (-1, 6):
        expected = torch.nn.functional.one_hot(torch.tensor(labels), count).numpy()
        mine = F.one_hot(minigrad.tensor(labels), count).numpy()
        np.testing.assert_array_equal(mine, expected)
        assert mine.dtype == expected.dtype


def test_dropout_keeps_the_mean_and_drops_the_share_it_was_told_to() -> None:
    x = minigrad.ones(200_000, requires_grad=True)
    y = F.dropout(x, 0.3, generator=minigrad.Generator(0))
    y.sum().backward()
    dropped = float((y.data == 0).mean())
    # Five standard deviations of the mean of 200,000 Bernoulli numbers: 5 sqrt(0.3 * 0.7 / 200,000).
    assert abs(dropped - 0.3) < 5 * np.sqrt(0.21 / 200_000)
    assert set(np.unique(y.data)) == {np.float32(0), np.float32(1 / 0.7)}
    np.testing.assert_array_equal(x.grad.data, y.data)  # the gradient passes where the element did
    again = F.dropout(x, 0.3, generator=minigrad.Generator(0))
    np.testing.assert_array_equal(y.data, again.data)


def test_dropout_does_nothing_in_evaluation() -> None:
    x = minigrad.ones(10)
    assert F.dropout(x, 0.9, training=False) is x
    assert not F.dropout(x, 1.0).data.any()


def test_a_convolution_is_a_matrix_product_with_patches() -> None:
    rng = np.random.default_rng(0)
    x, w = minigrad.tensor(rng.normal(size=(2, 3, 6, 6))), minigrad.tensor(rng.normal(size=(4, 3, 3, 3)))
    by_patches = w.reshape(4, -1) @ F.unfold(x, 3, padding=1)
    np.testing.assert_allclose(by_patches.reshape(2, 4, 6, 6).numpy(), F.conv2d(x, w, padding=1).numpy(), rtol=1e-12)


z = minigrad.zeros
BAD: list[tuple[Callable[[], Any], type, str]] = [
    (lambda: F.conv1d(z(2, 3, 8), z(4, 2, 3)), ShapeError, "conv1d: expected input with 2 channels.*got 3"),
    (lambda: F.conv1d(z(8), z(4, 2, 3)), ShapeError, r"conv1d: expected signals \(N, C, L\)"),
    (
        lambda: F.conv2d(z(1, 4, 8, 8), z(3, 2, 3, 3), groups=2),
        ArgumentError,
        "groups that divide the 3 output channels",
    ),
    (lambda: F.conv2d(z(1, 2, 8, 8), z(3, 2, 3, 3), z(4)), ShapeError, r"bias of shape \(3,\).*got \(4,\)"),
    (
        lambda: F.conv2d(z(1, 2, 8, 8), z(3, 2, 3, 3), stride=0),
        ArgumentError,
        "conv2d: stride: expected an integer of at",
    ),
    (lambda: F.conv_transpose2d(z(1, 2, 3, 3), z(3, 2, 2, 2)), ShapeError, "conv_transpose2d: .*with 3 channels"),
    (
        lambda: F.conv_transpose2d(z(1, 2, 3, 3), z(2, 2, 2, 2), output_padding=1),
        ArgumentError,
        "output_padding below the stride",
    ),
    (lambda: F.avg_pool2d(z(1, 1, 4, 4), 2, padding=2), ArgumentError, "at most half the kernel"),
    (lambda: F.avg_pool2d(z(1, 1, 4, 4), 2, divisor_override=0), ArgumentError, "positive divisor_override, got 0"),
    (lambda: F.adaptive_avg_pool2d(z(1, 1, 4, 4), 0), ArgumentError, "output_size: expected an integer of at least 1"),
    (lambda: F.embedding(minigrad.tensor([5]), z(4, 2)), DimError, "from 0 to 3, got 5 to 5"),
    (lambda: F.embedding(minigrad.tensor([0.5]), z(4, 2)), DTypeError, "expected integer indices, got float32"),
    (lambda: F.one_hot(minigrad.tensor([3]), 3), DimError, "labels from 0 to 2, got 3 to 3"),
    (lambda: F.dropout(z(3), 1.5), ArgumentError, r"p in \[0, 1\], got 1.5"),
    (lambda: F.layer_norm(z(2, 3), (4,)), ShapeError, r"expected input \(..., 4\), got shape \(2, 3\)"),
    (lambda: F.group_norm(z(2, 3), 2), ShapeError, "divisible by num_groups=2"),
    (lambda: F.batch_norm(z(2, 3), None, None), ArgumentError, "expected running_mean, which is used when"),
    (lambda: F.batch_norm(z(1, 3), None, None, training=True), ShapeError, "more than one value for each channel"),
    (lambda: F.unfold(z(1, 1, 2, 2), 3), ShapeError, r"window of \(3, 3\).*does not fit"),
    (lambda: F.fold(z(1, 4, 5), 3, 2), ShapeError, r"expected \(N, C \* 4, 4\).*got \(1, 4, 5\)"),
    (lambda: F.cross_entropy(z(2, 3), z(2)), DTypeError, "expected integer labels"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD, ids=[message for _, _, message in BAD])
def test_bad_input_names_what_was_expected_and_what_came(call: Callable, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        call()
