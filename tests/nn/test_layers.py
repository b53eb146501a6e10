"""Layers and losses against PyTorch with the same weights: outputs, input gradients, parameter gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import nn
from minigrad.errors import ArgumentError, DimError, DTypeError, ShapeError

# For each class: constructor arguments and the input's shape.
LAYERS: dict[str, list[tuple[dict[str, Any], tuple[int, ...]]]] = {
    "Linear": [
        ({"in_features": 3, "out_features": 4}, (5, 3)),
        ({"in_features": 3, "out_features": 4, "bias": False}, (3,)),
        ({"in_features": 1, "out_features": 1}, (2, 3, 1)),
        ({"in_features": 7, "out_features": 2}, (0, 7)),
        ({"in_features": 2, "out_features": 5}, (2, 3, 4, 2)),
        ({"in_features": 16, "out_features": 16, "bias": False}, (8, 16)),
        ({"in_features": 33, "out_features": 1}, (1, 33)),
        ({"in_features": 1, "out_features": 9}, (1,)),
    ],
    "Conv1d": [
        ({"in_channels": 1, "out_channels": 4, "kernel_size": 3}, (2, 1, 9)),
        ({"in_channels": 3, "out_channels": 2, "kernel_size": 4, "stride": 2, "padding": 3}, (2, 3, 9)),
        ({"in_channels": 4, "out_channels": 6, "kernel_size": 2, "dilation": 3, "groups": 2}, (2, 4, 9)),
        ({"in_channels": 2, "out_channels": 2, "kernel_size": 4, "padding": "same", "dilation": 2}, (2, 2, 9)),
        ({"in_channels": 2, "out_channels": 3, "kernel_size": 3, "padding": "valid", "bias": False}, (2, 9)),
        ({"in_channels": 3, "out_channels": 3, "kernel_size": 5, "groups": 3, "padding": 2}, (1, 3, 6)),
        ({"in_channels": 2, "out_channels": 3, "kernel_size": 3, "padding": 2, "padding_mode": "reflect"}, (2, 2, 6)),
        ({"in_channels": 2, "out_channels": 3, "kernel_size": 3, "padding": 4, "padding_mode": "replicate"}, (2, 2, 3)),
        (
            {"in_channels": 2, "out_channels": 3, "kernel_size": 4, "padding": "same", "padding_mode": "circular"},
            (2, 2, 6),
        ),
        ({"in_channels": 2, "out_channels": 3, "kernel_size": 1}, (0, 2, 5)),
    ],
    "Conv2d": [
        ({"in_channels": 1, "out_channels": 8, "kernel_size": 3, "padding": 1}, (4, 1, 8, 8)),
        ({"in_channels": 3, "out_channels": 5, "kernel_size": (3, 2)}, (2, 3, 7, 6)),
        ({"in_channels": 4, "out_channels": 6, "kernel_size": 3, "stride": 2, "padding": 1}, (2, 4, 9, 9)),
        ({"in_channels": 4, "out_channels": 8, "kernel_size": 3, "groups": 4}, (2, 4, 6, 6)),
        ({"in_channels": 2, "out_channels": 2, "kernel_size": 4, "padding": "same"}, (2, 2, 6, 5)),
        ({"in_channels": 2, "out_channels": 3, "kernel_size": 3, "padding": "valid", "bias": False}, (1, 2, 5, 5)),
        ({"in_channels": 2, "out_channels": 3, "kernel_size": 3, "dilation": (2, 1)}, (2, 2, 8, 8)),
        ({"in_channels": 1, "out_channels": 2, "kernel_size": 1}, (1, 4, 4)),
        (
            {"in_channels": 2, "out_channels": 3, "kernel_size": 3, "padding": (2, 1), "padding_mode": "reflect"},
            (2, 2, 5, 6),
        ),
        (
            {"in_channels": 2, "out_channels": 3, "kernel_size": 3, "padding": (1, 3), "padding_mode": "replicate"},
            (2, 2, 5, 4),
        ),
        (
            {"in_channels": 2, "out_channels": 4, "kernel_size": 3, "padding": (2, 1), "padding_mode": "circular"}
            | {"stride": 2, "groups": 2, "bias": False},
            (2, 2, 5, 4),
        ),
        (
            {"in_channels": 2, "out_channels": 2, "kernel_size": (4, 3), "padding": "same", "dilation": (1, 2)}
            | {"padding_mode": "reflect"},
            (2, 6, 7),
        ),
        ({"in_channels": 2, "out_channels": 3, "kernel_size": 3, "padding": 1}, (0, 2, 5, 5)),
    ],
    "ConvTranspose1d": [
        ({"in_channels": 1, "out_channels": 4, "kernel_size": 3}, (2, 1, 5)),
        ({"in_channels": 3, "out_channels": 2, "kernel_size": 4, "stride": 2, "padding": 1}, (2, 3, 5)),
        ({"in_channels": 3, "out_channels": 2, "kernel_size": 3, "stride": 3, "output_padding": 2}, (2, 3, 4)),
        ({"in_channels": 4, "out_channels": 6, "kernel_size": 2, "dilation": 3, "groups": 2}, (2, 4, 5)),
        ({"in_channels": 2, "out_channels": 3, "kernel_size": 3, "bias": False}, (2, 4)),
        ({"in_channels": 3, "out_channels": 3, "kernel_size": 5, "groups": 3, "padding": 2}, (1, 3, 6)),
        ({"in_channels": 2, "out_channels": 2, "kernel_size": 1, "stride": 2, "output_padding": 1}, (2, 2, 3)),
        ({"in_channels": 2, "out_channels": 1, "kernel_size": 2, "dilation": 2, "output_padding": 1}, (1, 2, 1)),
    ],
    "ConvTranspose2d": [
        ({"in_channels": 3, "out_channels": 2, "kernel_size": 3}, (2, 3, 4, 5)),
        ({"in_channels": 2, "out_channels": 3, "kernel_size": 2, "stride": 2}, (2, 2, 3, 4)),
        (
            {"in_channels": 4, "out_channels": 6, "kernel_size": (3, 2), "stride": 2, "padding": 1}
            | {"output_padding": 1, "groups": 2},
            (2, 4, 4, 3),
        ),
        (
            {"in_channels": 2, "out_channels": 2, "kernel_size": 2, "stride": (2, 3), "output_padding": (0, 2)},
            (2, 3, 3),
        ),
        (
            {"in_channels": 2, "out_channels": 2, "kernel_size": 3, "dilation": 2, "padding": (1, 0)}
            | {"output_padding": 1, "bias": False},
            (1, 2, 3, 3),
        ),
        ({"in_channels": 4, "out_channels": 4, "kernel_size": 4, "stride": 2, "padding": 1, "groups": 4}, (2, 4, 3, 3)),
        ({"in_channels": 1, "out_channels": 5, "kernel_size": 1}, (3, 1, 2, 2)),
        ({"in_channels": 3, "out_channels": 1, "kernel_size": (1, 5), "stride": (3, 1)}, (1, 3, 2, 4)),
    ],
    "MaxPool1d": [
        ({"kernel_size": 2}, (2, 3, 8)),
        ({"kernel_size": 3, "stride": 2, "padding": 1}, (2, 3, 9)),
        ({"kernel_size": 2, "ceil_mode": True}, (3, 7)),
        ({"kernel_size": 3, "stride": 1, "dilation": 2}, (2, 1, 9)),
        ({"kernel_size": 4, "stride": 3, "padding": 2, "ceil_mode": True}, (2, 2, 10)),
        ({"kernel_size": 1, "stride": 2}, (2, 2, 5)),
        ({"kernel_size": 5}, (1, 1, 5)),
        ({"kernel_size": 2, "stride": 5}, (2, 2, 12)),
    ],
    "MaxPool2d": [
        ({"kernel_size": 2}, (3, 2, 8, 8)),
        ({"kernel_size": 3, "stride": 2, "padding": 1}, (2, 3, 7, 7)),
        ({"kernel_size": 2, "ceil_mode": True}, (2, 3, 7, 5)),
        ({"kernel_size": (3, 2), "stride": 1, "dilation": 2}, (2, 1, 7, 7)),
        ({"kernel_size": 2}, (2, 6, 6)),
        ({"kernel_size": (2, 3), "stride": (1, 2), "padding": (1, 0)}, (2, 2, 5, 7)),
        ({"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}, (1, 2, 6, 8)),
        ({"kernel_size": 1}, (2, 2, 3, 3)),
    ],
    "AvgPool1d": [
        ({"kernel_size": 2}, (2, 3, 8)),
        ({"kernel_size": 3, "stride": 2, "padding": 1}, (2, 3, 9)),
        ({"kernel_size": 3, "stride": 2, "padding": 1, "count_include_pad": False}, (2, 3, 9)),
        ({"kernel_size": 2, "ceil_mode": True}, (3, 7)),
        ({"kernel_size": 4, "stride": 3, "padding": 2, "ceil_mode": True}, (2, 2, 10)),
        ({"kernel_size": 4, "stride": 3, "padding": 2, "ceil_mode": True, "count_include_pad": False}, (2, 2, 10)),
        ({"kernel_size": 1, "stride": 2}, (2, 2, 5)),
        ({"kernel_size": 5}, (1, 1, 5)),
    ],
    "AvgPool2d": [
        ({"kernel_size": 2}, (3, 2, 8, 8)),
        ({"kernel_size": (2, 3), "stride": (1, 2), "padding": (1, 0)}, (2, 3, 6, 5)),
        ({"kernel_size": 2, "ceil_mode": True, "divisor_override": 3}, (3, 6, 5)),
        ({"kernel_size": 3, "stride": 2, "padding": 1, "count_include_pad": False}, (2, 3, 7, 7)),
        ({"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}, (1, 2, 6, 8)),
        (
            {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True, "count_include_pad": False},
            (1, 2, 6, 8),
        ),
        ({"kernel_size": (1, 4), "stride": 1}, (2, 2, 3, 5)),
        ({"kernel_size": 4, "divisor_override": 1}, (2, 2, 4, 4)),
    ],
    "AdaptiveAvgPool1d": [
        ({"output_size": n}, shape)
        for n, shape in [
            (3, (2, 3, 7)), (1, (2, 3, 7)), (7, (2, 3, 7)), (9, (2, 3, 7)), (4, (3, 8)), (2, (1, 1, 3)), (5, (2, 2, 6)),
            (1, (3, 1)),
        ]
    ],
    "AdaptiveAvgPool2d": [
        ({"output_size": n}, shape)
        for n, shape in [
            (1, (2, 3, 7, 5)), ((3, 2), (2, 3, 7, 5)), ((None, 7), (2, 3, 6, 5)), (2, (3, 4, 4)), (3, (1, 2, 8, 9)),
            ((5, None), (2, 2, 3, 3)), ((1, 4), (2, 1, 6, 8)), (6, (1, 1, 4, 4)),
        ]
    ],
    "AdaptiveMaxPool1d": [
        ({"output_size": n}, shape)
        for n, shape in [
            (3, (2, 3, 7)), (1, (2, 3, 7)), (7, (2, 3, 7)), (9, (2, 3, 7)), (4, (3, 8)), (2, (1, 1, 3)), (5, (2, 2, 6)),
            (1, (3, 1)),
        ]
    ],
    "AdaptiveMaxPool2d": [
        ({"output_size": n}, shape)
        for n, shape in [
            (1, (2, 3, 7, 5)), ((3, 2), (2, 3, 7, 5)), ((None, 7), (2, 3, 6, 5)), (2, (3, 4, 4)), (3, (1, 2, 8, 9)),
            ((5, None), (2, 2, 3, 3)), ((1, 4), (2, 1, 6, 8)), (6, (1, 1, 4, 4)),
        ]
    ],
    "Flatten": [
        ({}, (2, 3, 4, 5)),
        ({}, (3, 2)),
        ({"start_dim": 0, "end_dim": 1}, (2, 3, 4)),
        ({"start_dim": 0}, (2, 3, 4)),
        ({"start_dim": 1, "end_dim": -2}, (2, 3, 4, 5)),
        ({"start_dim": -2}, (2, 3, 4)),
        ({"start_dim": 2, "end_dim": 2}, (2, 3, 4)),
        ({}, (0, 3, 4)),
    ],
    "Unflatten": [
        ({"dim": dim, "unflattened_size": size}, shape)
        for dim, size, shape in [
            (1, (3, 4), (2, 12)), (1, (3, -1), (2, 12)), (-1, (1, 12), (2, 12)), (0, (2, 3), (6,)),
            (-2, (2, 2, 3), (2, 12, 5)), (2, (-1, 5), (2, 3, 5)), (1, (12,), (2, 12)), (0, (0, 2), (0, 3)),
        ]
    ],
}  # fmt: skip
CASES = [(name, options, shape) for name, cases in LAYERS.items() for options, shape in cases]


def test_every_layer_is_compared_in_at_least_eight_configurations() -> None:
    assert {name: len(cases) for name, cases in LAYERS.items() if len(cases) < 8} == {}


@pytest.mark.filterwarnings("ignore:Using padding='same':UserWarning")
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-10), ("float32", 1e-5)])
@pytest.mark.parametrize(("name", "options", "shape"), CASES, ids=lambda value: str(value)[:60])
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
    np.testing.assert_array_equal(ours.eval()(our_x).data, our_y.data)
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


@pytest.mark.parametrize(("name", "options", "shape"), CASES, ids=lambda value: str(value)[:60])
def test_the_printed_form_is_pytorchs(name: str, options: dict, shape: tuple) -> None:
    torch = pytest.importorskip("torch")
    assert repr(getattr(nn, name)(**options)) == repr(getattr(torch.nn, name)(**options))


POSITIONS = [(name, o, shape) for name, o, shape in CASES if "MaxPool" in name]


@pytest.mark.parametrize(("name", "options", "shape"), POSITIONS, ids=lambda value: str(value)[:60])
def test_the_positions_of_the_maxima_are_pytorchs(name: str, options: dict, shape: tuple) -> None:
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).normal(size=shape)
    our_y, ours = getattr(nn, name)(**options, return_indices=True)(minigrad.tensor(x))
    their_y, theirs = getattr(torch.nn, name)(**options, return_indices=True)(torch.tensor(x))
    np.testing.assert_array_equal(our_y.numpy(), their_y.numpy())
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    assert ours.dtype == np.int64


@pytest.mark.parametrize("size", [(11, 13), (12, 14), (2, 3, 11, 14)])
def test_a_transposed_convolution_reaches_the_size_that_it_is_asked_for(size: tuple[int, ...]) -> None:
    torch = pytest.importorskip("torch")
    options: dict[str, Any] = {"kernel_size": 3, "stride": 2, "padding": 1}
    ours, theirs = nn.ConvTranspose2d(4, 3, **options).double(), torch.nn.ConvTranspose2d(4, 3, **options).double()
    ours.load_state_dict(theirs.state_dict())
    x = np.random.default_rng(0).normal(size=(2, 4, 6, 7))
    expected = theirs(torch.tensor(x), output_size=size).detach().numpy()
    y = ours(minigrad.tensor(x), output_size=size)
    assert y.shape[-2:] == size[-2:]
    np.testing.assert_allclose(y.detach().numpy(), expected, rtol=1e-12)
    signal = nn.ConvTranspose1d(4, 3, **options)
    assert signal(minigrad.zeros(2, 4, 6), output_size=[size[-2]]).shape == (2, 3, size[-2])


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
def test_a_transposed_convolution_is_the_transposed_map(mode: str) -> None:
    # <conv(x), y> = <x, conv^T(y)> for every x and y.
    down = nn.Conv2d(3, 4, 3, stride=2, padding=1, bias=False, padding_mode=mode).double()
    x, y = (minigrad.randn(*shape, dtype=np.float64) for shape in ((2, 3, 9, 9), (2, 4, 5, 5)))
    x.requires_grad_()
    product = (down(x) * y).sum()
    product.backward()
    np.testing.assert_allclose((x.grad * x).sum().item(), product.item(), rtol=1e-10)
    if mode == "zeros":
        up = nn.ConvTranspose2d(4, 3, 3, stride=2, padding=1, bias=False).double()
        up.load_state_dict(down.state_dict())
        np.testing.assert_allclose(up(y).data, x.grad.data, rtol=1e-10, atol=1e-12)


def test_the_memory_layout_of_the_input_changes_nothing() -> None:
    x = np.random.default_rng(0).normal(size=(2, 6, 7, 3)).transpose(0, 3, 1, 2)
    for layer in (nn.Conv2d(3, 4, 3), nn.ConvTranspose2d(3, 4, 3), nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(2)):
        y = layer.double()(minigrad.from_numpy(x))
        np.testing.assert_allclose(y.data, layer(minigrad.from_numpy(x.copy(order="C"))).data, rtol=1e-13)


# Each layer with weights, and the bound of the uniform distribution that PyTorch draws them from.
DEFAULTS: list[tuple[str, dict[str, Any]]] = [
    ("Linear", {"in_features": 50, "out_features": 60}),
    ("Conv1d", {"in_channels": 20, "out_channels": 30, "kernel_size": 5}),
    ("Conv1d", {"in_channels": 20, "out_channels": 40, "kernel_size": 5, "groups": 4}),
    ("Conv2d", {"in_channels": 8, "out_channels": 16, "kernel_size": 5}),
    ("Conv2d", {"in_channels": 16, "out_channels": 32, "kernel_size": (3, 5), "groups": 2}),
    ("ConvTranspose1d", {"in_channels": 30, "out_channels": 20, "kernel_size": 5}),
    ("ConvTranspose2d", {"in_channels": 16, "out_channels": 8, "kernel_size": 5}),
    ("ConvTranspose2d", {"in_channels": 16, "out_channels": 32, "kernel_size": 3, "groups": 4}),
]


@pytest.mark.parametrize(("name", "options"), DEFAULTS, ids=lambda value: str(value)[:60])
def test_default_weights_have_pytorchs_distribution(name: str, options: dict) -> None:
    torch = pytest.importorskip("torch")
    minigrad.manual_seed(0)
    torch.manual_seed(0)
    ours, theirs = getattr(nn, name)(**options), getattr(torch.nn, name)(**options)
    bound = 1 / np.sqrt(torch.nn.init._calculate_fan_in_and_fan_out(theirs.weight)[0])
    for mine, other in ((ours.weight, theirs.weight), (ours.bias, theirs.bias)):
        values, drawn = np.sort(mine.data.ravel()), other.detach().numpy().ravel()
        assert np.abs(values).max() <= bound
        assert np.abs(drawn).max() <= bound * (1 + 1e-6)
        # Kolmogorov and Smirnov: sqrt(n) times the largest distance to U(-bound, bound) exceeds 1.95 once in 1000.
        n = values.size
        stated = (values + bound) / (2 * bound)
        distance = max((np.arange(1, n + 1) / n - stated).max(), (stated - np.arange(n) / n).max())
        assert np.sqrt(n) * distance < 1.95


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
    (lambda: nn.CrossEntropyLoss(reduction="avg"), ArgumentError, "expected reduction .*got 'avg'"),
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
