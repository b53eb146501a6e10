"""Layers and losses against PyTorch with the same weights: outputs, input gradients, parameter gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import nn
from minigrad.errors import ArgumentError, DimError, DTypeError, ShapeError

# class, constructor arguments, input shape
LAYERS: list[tuple[str, dict[str, Any], tuple[int, ...]]] = [
    ("Linear", {"in_features": 3, "out_features": 4}, (5, 3)),
    ("Linear", {"in_features": 3, "out_features": 4, "bias": False}, (3,)),
    ("Linear", {"in_features": 1, "out_features": 1}, (2, 3, 1)),
    ("Linear", {"in_features": 7, "out_features": 2}, (0, 7)),
    ("Conv2d", {"in_channels": 1, "out_channels": 8, "kernel_size": 3, "padding": 1}, (4, 1, 8, 8)),
    ("Conv2d", {"in_channels": 3, "out_channels": 5, "kernel_size": (3, 2)}, (2, 3, 7, 6)),
    ("Conv2d", {"in_channels": 4, "out_channels": 6, "kernel_size": 3, "stride": 2, "padding": 1}, (2, 4, 9, 9)),
    ("Conv2d", {"in_channels": 4, "out_channels": 8, "kernel_size": 3, "groups": 4}, (2, 4, 6, 6)),
    ("Conv2d", {"in_channels": 2, "out_channels": 2, "kernel_size": 4, "padding": "same"}, (2, 2, 6, 5)),
    (
        "Conv2d",
        {"in_channels": 2, "out_channels": 3, "kernel_size": 3, "padding": "valid", "bias": False},
        (1, 2, 5, 5),
    ),
    ("Conv2d", {"in_channels": 2, "out_channels": 3, "kernel_size": 3, "dilation": (2, 1)}, (2, 2, 8, 8)),
    ("Conv2d", {"in_channels": 1, "out_channels": 2, "kernel_size": 1}, (1, 4, 4)),
    ("MaxPool2d", {"kernel_size": 2}, (3, 2, 8, 8)),
    ("MaxPool2d", {"kernel_size": 3, "stride": 2, "padding": 1}, (2, 3, 7, 7)),
    ("MaxPool2d", {"kernel_size": 2, "ceil_mode": True}, (2, 3, 7, 5)),
    ("MaxPool2d", {"kernel_size": (3, 2), "stride": 1, "dilation": 2}, (2, 1, 7, 7)),
    ("MaxPool2d", {"kernel_size": 2}, (2, 6, 6)),
    ("ReLU", {}, (3, 4)),
    ("Flatten", {}, (2, 3, 4, 5)),
    ("Flatten", {"start_dim": 0, "end_dim": 1}, (2, 3, 4)),
    ("Identity", {}, (2, 2)),
]


@pytest.mark.filterwarnings("ignore:Using padding='same':UserWarning")
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-10), ("float32", 1e-5)])
@pytest.mark.parametrize(("name", "options", "shape"), LAYERS, ids=lambda value: str(value)[:60])
def test_a_layer_agrees_with_pytorch(name: str, options: dict, shape: tuple, dtype: str, tolerance: float) -> None:
    torch = pytest.importorskip("torch")
    theirs = getattr(torch.nn, name)(**options).to(getattr(torch, dtype))
    ours = getattr(nn, name)(**options).to(dtype)
    ours.load_state_dict({key: value.numpy() for key, value in theirs.state_dict().items()})

    rng = np.random.default_rng(0)
    x = rng.normal(size=shape).astype(dtype)
    their_x = torch.tensor(x, requires_grad=True)
    our_x = minigrad.tensor(x, requires_grad=True)
    their_y, our_y = theirs(their_x), ours(our_x)
    assert our_y.shape == tuple(their_y.shape)
    assert our_y.dtype == np.dtype(dtype)
    g = rng.normal(size=our_y.shape).astype(dtype)
    their_y.backward(torch.tensor(g))
    our_y.backward(minigrad.tensor(g))

    pairs = [("output", our_y.detach(), their_y.detach()), ("input", our_x.grad, their_x.grad)]
    pairs += [
        (key, our_p.grad, their_p.grad)
        for (key, our_p), their_p in zip(ours.named_parameters(), theirs.parameters(), strict=True)
    ]
    for what, mine, expected in pairs:
        scale = max(float(np.abs(expected.numpy()).max(initial=0)), 1.0)
        np.testing.assert_allclose(mine.numpy(), expected.numpy(), rtol=tolerance, atol=tolerance * scale, err_msg=what)


LOSSES: list[tuple[dict[str, Any], tuple[int, ...], list[int] | None]] = [
    ({}, (6, 4), None),
    ({"reduction": "sum"}, (6, 4), None),
    ({"reduction": "none"}, (6, 4), None),
    ({"label_smoothing": 0.1}, (6, 4), None),
    ({"weight": True}, (6, 4), None),
    ({"weight": True, "label_smoothing": 0.2, "reduction": "sum"}, (6, 4), None),
    ({"ignore_index": 2}, (6, 4), [0, 2, 1, 2, 3, 0]),
    ({"ignore_index": 2, "weight": True, "label_smoothing": 0.3}, (6, 4), [0, 2, 1, 2, 3, 0]),
    ({}, (3, 4, 2, 2), None),
    ({"reduction": "none"}, (3, 4, 5), None),
    ({}, (4,), None),
]


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-10), ("float32", 1e-5)])
@pytest.mark.parametrize(("options", "shape", "labels"), LOSSES, ids=lambda value: str(value)[:60])
def test_cross_entropy_agrees_with_pytorch(
    options: dict, shape: tuple, labels: list[int] | None, dtype: str, tolerance: float
) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    x = (3 * rng.normal(size=shape)).astype(dtype)
    classes = shape[1] if len(shape) > 1 else shape[0]
    target = np.asarray(labels if labels else rng.integers(0, classes, shape[:1] * (len(shape) > 1) + shape[2:]))
    weight = rng.uniform(0.5, 2.0, classes).astype(dtype)
    shared = {key: value for key, value in options.items() if key != "weight"}
    ours = nn.CrossEntropyLoss(weight=minigrad.tensor(weight) if "weight" in options else None, **shared)
    theirs = torch.nn.CrossEntropyLoss(weight=torch.tensor(weight) if "weight" in options else None, **shared)

    our_x, their_x = minigrad.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    our_loss = ours(our_x, minigrad.tensor(target))
    their_loss = theirs(their_x, torch.tensor(target))
    g = rng.normal(size=our_loss.shape).astype(dtype)
    our_loss.backward(minigrad.tensor(g))
    their_loss.backward(torch.tensor(g))
    np.testing.assert_allclose(our_loss.detach().numpy(), their_loss.detach().numpy(), rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(our_x.grad.numpy(), their_x.grad.numpy(), rtol=tolerance, atol=tolerance)


SOFT: list[tuple[dict[str, Any], tuple[int, ...]]] = [
    ({}, (5, 3)),
    ({"reduction": "sum", "weight": True}, (5, 3)),
    ({"reduction": "none", "label_smoothing": 0.2, "weight": True}, (2, 3, 4)),
    ({"weight": True}, (3,)),
]


@pytest.mark.parametrize(("options", "shape"), SOFT, ids=lambda value: str(value)[:60])
def test_cross_entropy_with_probabilities_agrees_with_pytorch_in_both_gradients(options: dict, shape: tuple) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(2)
    x, q = rng.normal(size=shape), rng.dirichlet(np.ones(3), size=shape[:1] + shape[2:] if len(shape) > 1 else None)
    q = np.moveaxis(q, -1, 1) if len(shape) > 1 else q
    weight = rng.uniform(0.5, 2.0, 3)
    shared = {key: value for key, value in options.items() if key != "weight"}
    ours = [minigrad.tensor(a, requires_grad=True) for a in (x, q)]
    theirs = [torch.tensor(a, requires_grad=True) for a in (x, q)]
    mine = nn.functional.cross_entropy(*ours, minigrad.tensor(weight) if "weight" in options else None, **shared)
    expected = torch.nn.functional.cross_entropy(
        *theirs, torch.tensor(weight) if "weight" in options else None, **shared
    )
    np.testing.assert_allclose(mine.detach().numpy(), expected.detach().numpy(), rtol=1e-12)
    mine.sum().backward()
    expected.sum().backward()
    for our, their in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(our.grad.numpy(), their.grad.numpy(), rtol=1e-10, atol=1e-14)


def test_cross_entropy_of_enormous_scores_is_finite_and_right() -> None:
    x = minigrad.tensor([[1e4, 0.0, -1e4]], requires_grad=True)
    loss = nn.CrossEntropyLoss()(x, minigrad.tensor([1]))
    loss.backward()
    assert loss.item() == pytest.approx(1e4)
    np.testing.assert_allclose(x.grad.data, [[1.0, -1.0, 0.0]])


BAD: list[tuple[Any, type, str]] = [
    (lambda: nn.Linear(0, 3), ArgumentError, "positive numbers of features, got 0, 3"),
    (lambda: nn.Linear(3, 2)(minigrad.zeros(4, 5)), ShapeError, r"linear: expected input \(..., 3\).*got \(4, 5\)"),
    (lambda: nn.Conv2d(3, 4, 3, groups=2), ArgumentError, "groups divides, got in_channels=3"),
    (lambda: nn.Conv2d(3, 4, 0), ArgumentError, "Conv2d: kernel_size: expected an integer of at least 1"),
    (lambda: nn.Conv2d(3, 4, 3)(minigrad.zeros(2, 1, 8, 8)), ShapeError, "conv2d: expected.* 3 "),
    (lambda: nn.Conv2d(1, 4, 5)(minigrad.zeros(2, 1, 3, 3)), ShapeError, "conv2d: .*kernel"),
    (lambda: nn.Conv2d(1, 4, 3)(minigrad.zeros(8, 8)), ShapeError, r"conv2d: expected images \(N, C, H, W\)"),
    (lambda: nn.Conv2d(1, 1, 3, padding="sane")(minigrad.zeros(1, 4, 4)), ArgumentError, "'same', 'valid'.*'sane'"),
    (lambda: nn.Conv2d(1, 1, 3, stride=2, padding="same")(minigrad.zeros(1, 4, 4)), ArgumentError, "stride 1"),
    (lambda: nn.Conv2d(1, 1, 3)(minigrad.zeros(1, 4, 4).double()), DTypeError, "one dtype, got float64, float32"),
    (lambda: nn.MaxPool2d(2, padding=2)(minigrad.zeros(1, 4, 4)), ArgumentError, "at most half the kernel"),
    (lambda: nn.MaxPool2d(5)(minigrad.zeros(1, 4, 4)), ShapeError, r"window of \(5, 5\).*does not fit"),
    (lambda: nn.CrossEntropyLoss(reduction="avg"), ArgumentError, "'mean', 'sum' or 'none', got 'avg'"),
    (lambda: nn.CrossEntropyLoss(label_smoothing=1.5), ArgumentError, r"label_smoothing in \[0, 1\], got 1.5"),
    (
        lambda: nn.CrossEntropyLoss()(minigrad.zeros(2, 3), minigrad.tensor([0, 3])),
        DimError,
        "cross_entropy: expected labels from 0 to 2.*got 3 in row 1",
    ),
    (
        lambda: nn.CrossEntropyLoss()(minigrad.zeros(2, 3), minigrad.tensor([0, 1, 2])),
        ShapeError,
        r"cross_entropy: .*\(2, 3\).*\(3,\)",
    ),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD, ids=[message for _, _, message in BAD])
def test_bad_input_names_what_was_expected_and_what_came(call: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        call()
