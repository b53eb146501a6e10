"""Transformer layers against PyTorch with the same weights: outputs and every gradient; masks, dropout, mistakes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import nn
from minigrad.errors import ArgumentError, ShapeError
from minigrad.nn.transformer_stacks import generate_square_subsequent_mask

DTYPES = pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-10), ("float32", 1e-5)])
SIZES: dict[str, Any] = {"d_model": 6, "nhead": 2, "dim_feedforward": 9, "dropout": 0.0}


def draw(seed: int, *shape: int, dtype: str = "float64") -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def pair(name: str, dtype: str, **options: Any) -> tuple[Any, Any]:
    """Our layer and PyTorch's with the same random parameters, biases and norms included."""
    import torch

    torch.manual_seed(0)
    theirs = getattr(torch.nn, name)(**{**SIZES, **options}).to(getattr(torch, dtype))
    for key, p in theirs.named_parameters():
        torch.nn.init.normal_(p, mean=1.0 if key.startswith("norm") and key.endswith("weight") else 0.0, std=0.4)
    ours = getattr(nn, name)(**{**SIZES, **options}).to(dtype)
    ours.load_state_dict({key: value.numpy() for key, value in theirs.state_dict().items()})
    assert list(ours.state_dict()) == list(theirs.state_dict())
    return ours, theirs


def assert_agree(ours: Any, theirs: Any, arrays: list[np.ndarray], masks: dict[str, Any], tolerance: float) -> None:
    import torch

    our_inputs = [minigrad.tensor(a, requires_grad=True) for a in arrays]
    their_inputs = [torch.tensor(a, requires_grad=True) for a in arrays]
    is_mask = {key: isinstance(value, np.ndarray) for key, value in masks.items()}
    mine = ours(*our_inputs, **{key: minigrad.tensor(m) if is_mask[key] else m for key, m in masks.items()})
    expected = theirs(*their_inputs, **{key: torch.tensor(m) if is_mask[key] else m for key, m in masks.items()})
    g = draw(6, *mine.shape, dtype=mine.dtype.name)
    mine.backward(minigrad.tensor(g))
    expected.backward(torch.tensor(g))
    checked = [("output", mine.detach(), expected.detach())]
    checked += [(f"input {i}", x.grad, y.grad) for i, (x, y) in enumerate(zip(our_inputs, their_inputs, strict=True))]
    their_parameters = dict(theirs.named_parameters())
    assert [key for key, _ in ours.named_parameters()] == list(their_parameters)
    checked += [(key, p.grad, their_parameters[key].grad) for key, p in ours.named_parameters()]
    for what, a, b in checked:
        scale = max(float(np.abs(b.numpy()).max(initial=0)), 1.0)
        np.testing.assert_allclose(a.data, b.numpy(), rtol=tolerance, atol=tolerance * scale, err_msg=what)


LATER = ~np.tri(5, dtype=bool)
PADDING = np.array([[False] * 5, [False, False, False, True, True]])

# constructor options, input shape, masks
ENCODERS: list[tuple[dict[str, Any], tuple[int, ...], dict[str, Any]]] = [
    ({}, (5, 2, 6), {}),
    ({"batch_first": True}, (2, 5, 6), {}),
    ({"norm_first": True}, (5, 2, 6), {}),
    ({"activation": "gelu", "batch_first": True, "norm_first": True}, (2, 5, 6), {}),
    ({"activation": "gelu"}, (5, 6), {}),
    ({"bias": False, "batch_first": True}, (2, 5, 6), {}),
    ({"layer_norm_eps": 0.1}, (5, 2, 6), {"src_mask": LATER}),
    ({"batch_first": True}, (2, 5, 6), {"src_mask": draw(7, 5, 5)}),
    ({"batch_first": True}, (2, 5, 6), {"src_key_padding_mask": PADDING}),
    ({"norm_first": True}, (5, 2, 6), {"src_mask": LATER, "src_key_padding_mask": PADDING, "is_causal": True}),
    ({"nhead": 6}, (5, 2, 6), {}),
]


def in_dtype(masks: dict[str, Any], dtype: str) -> dict[str, Any]:
    floats = {key for key, m in masks.items() if isinstance(m, np.ndarray) and m.dtype.kind == "f"}
    return {key: m.astype(dtype) if key in floats else m for key, m in masks.items()}


@DTYPES
@pytest.mark.parametrize(("options", "shape", "masks"), ENCODERS, ids=lambda value: str(value)[:60])
def test_an_encoder_layer_agrees_with_pytorch(
    options: dict, shape: tuple, masks: dict, dtype: str, tolerance: float
) -> None:
    pytest.importorskip("torch")
    ours, theirs = pair("TransformerEncoderLayer", dtype, **options)
    assert_agree(ours, theirs, [draw(1, *shape, dtype=dtype)], in_dtype(masks, dtype), tolerance)


DECODERS: list[tuple[dict[str, Any], tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    ({}, (5, 2, 6), (4, 2, 6), {}),
    ({"batch_first": True}, (2, 5, 6), (2, 4, 6), {}),
    ({"norm_first": True}, (5, 2, 6), (4, 2, 6), {}),
    ({"activation": "gelu", "norm_first": True, "batch_first": True}, (2, 5, 6), (2, 4, 6), {"tgt_mask": LATER}),
    ({"bias": False}, (5, 2, 6), (4, 2, 6), {"tgt_mask": LATER, "tgt_is_causal": True}),
    ({}, (5, 6), (4, 6), {}),
    ({}, (5, 2, 6), (5, 2, 6), {"memory_mask": draw(7, 5, 5), "memory_key_padding_mask": draw(8, 2, 5)}),
    (
        {"batch_first": True},
        (2, 5, 6),
        (2, 5, 6),
        {"tgt_key_padding_mask": PADDING, "memory_key_padding_mask": PADDING},
    ),
]


@DTYPES
@pytest.mark.parametrize(("options", "shape", "memory", "masks"), DECODERS, ids=lambda value: str(value)[:60])
def test_a_decoder_layer_agrees_with_pytorch(
    options: dict, shape: tuple, memory: tuple, masks: dict, dtype: str, tolerance: float
) -> None:
    pytest.importorskip("torch")
    ours, theirs = pair("TransformerDecoderLayer", dtype, **options)
    arrays = [draw(1, *shape, dtype=dtype), draw(2, *memory, dtype=dtype)]
    assert_agree(ours, theirs, arrays, in_dtype(masks, dtype), tolerance)


@pytest.mark.filterwarnings("ignore:enable_nested_tensor is True:UserWarning")
@pytest.mark.parametrize("kind", ["Encoder", "Decoder"])
def test_a_stack_agrees_with_pytorch_and_its_weights_cross_both_ways(kind: str) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = pair(f"Transformer{kind}Layer", "float64", norm_first=True)
    ours = getattr(nn, f"Transformer{kind}")(ours, 3, norm=nn.LayerNorm(6)).double()
    theirs = getattr(torch.nn, f"Transformer{kind}")(theirs, 3, norm=torch.nn.LayerNorm(6)).double()
    minigrad.manual_seed(0)
    for p in ours.parameters():  # three different layers
        nn.init.normal_(p, std=0.4)
    theirs.load_state_dict({key: torch.tensor(value.numpy()) for key, value in ours.state_dict().items()})
    arrays = [draw(1, 5, 2, 6)] + ([draw(2, 4, 2, 6)] if kind == "Decoder" else [])
    masks = {"mask": LATER} if kind == "Encoder" else {"tgt_mask": LATER}
    assert_agree(ours, theirs, arrays, masks, 1e-10)
    ours.load_state_dict({key: 2 * value.numpy() for key, value in theirs.state_dict().items()})
    np.testing.assert_array_equal(
        ours.layers[2].linear1.weight.data, 2 * theirs.layers[2].linear1.weight.detach().numpy()
    )


@pytest.mark.filterwarnings("ignore:enable_nested_tensor is True:UserWarning")
@DTYPES
@pytest.mark.parametrize("batch_first", [False, True])
def test_encoder_and_decoder_together_agree_with_pytorch(batch_first: bool, dtype: str, tolerance: float) -> None:
    pytest.importorskip("torch")
    ours, theirs = pair("Transformer", dtype, num_encoder_layers=2, num_decoder_layers=2, batch_first=batch_first)
    shapes = [(2, 5, 6), (2, 4, 6)] if batch_first else [(5, 2, 6), (4, 2, 6)]
    arrays = [draw(i, *shape, dtype=dtype) for i, shape in enumerate(shapes)]
    mask = ours.generate_square_subsequent_mask(4, dtype).data
    padding = {"src_key_padding_mask": -10.0 * PADDING, "memory_key_padding_mask": -10.0 * PADDING}
    assert_agree(ours, theirs, arrays, in_dtype({"tgt_mask": mask, **padding}, dtype), tolerance)


def test_the_layers_of_a_stack_are_copies() -> None:
    layer = nn.TransformerEncoderLayer(**SIZES)
    stack = nn.TransformerEncoder(layer, 2)
    stack.layers[0].linear1.weight.data[...] = 0
    assert stack.layers[1].linear1.weight.data.any()
    assert layer.linear1.weight.data.any()
    assert stack.num_parameters() == 2 * layer.num_parameters()


def test_the_printed_form_is_that_of_pytorch() -> None:
    torch = pytest.importorskip("torch")
    for name in ("TransformerEncoderLayer", "TransformerDecoderLayer"):
        ours, theirs = getattr(nn, name)(**SIZES), getattr(torch.nn, name)(**SIZES)
        expected = repr(theirs).replace("NonDynamicallyQuantizableLinear", "Linear")
        # Newer versions of PyTorch print one more argument of LayerNorm.
        shorter = [
            text.replace("elementwise_affine=True, bias=True", "elementwise_affine=True")
            for text in (repr(ours), expected)
        ]
        assert shorter[0] == shorter[1]


def test_causality_is_a_mask_and_a_causal_layer_does_not_see_the_future() -> None:
    minigrad.manual_seed(1)
    layer = nn.TransformerEncoderLayer(**SIZES, batch_first=True)
    x = minigrad.randn(2, 5, 6)
    causal = layer(x, is_causal=True)
    np.testing.assert_allclose(causal.data, layer(x, generate_square_subsequent_mask(5)).data, rtol=1e-5, atol=1e-6)
    changed = minigrad.tensor(np.concatenate([x.data[:, :2], x.data[:, 2:] + 3], axis=1))
    np.testing.assert_array_equal(layer(changed, is_causal=True).data[:, :2], causal.data[:, :2])


def test_dropout_stands_in_four_places_and_none_in_eval() -> None:
    minigrad.manual_seed(2)
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.5, batch_first=True)
    x = minigrad.randn(3, 5, 8)
    layer.eval()
    expected = layer(x).data
    changes = []
    for place in (layer.self_attn, layer.dropout, layer.dropout1, layer.dropout2):
        place.training = True
        changes.append(not np.allclose(layer(x).data, expected))
        place.training = False
    assert changes == [True] * 4
    np.testing.assert_array_equal(layer(x).data, expected)


BAD: list[tuple[Any, type, str]] = [
    (lambda: nn.TransformerEncoderLayer(6, 4), ArgumentError, "num_heads that divides embed_dim.*6, num_heads=4"),
    (
        lambda: nn.TransformerEncoderLayer(6, 2, 0),
        ArgumentError,
        "TransformerEncoderLayer: expected dim_feedforward to be a positive integer, got 0",
    ),
    (
        lambda: nn.TransformerDecoderLayer(6, 2, activation="tanh"),
        ArgumentError,
        "TransformerDecoderLayer: expected activation 'relu', 'gelu' or a function, got 'tanh'",
    ),
    (lambda: nn.TransformerEncoderLayer(6, 2, dropout=2), ArgumentError, r"probability in \[0, 1\], got 2"),
    (
        lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(**SIZES), 0),
        ArgumentError,
        "TransformerEncoder: expected num_layers to be a positive integer, got 0",
    ),
    (
        lambda: nn.TransformerEncoderLayer(**SIZES)(minigrad.zeros(5, 2, 4)),
        ShapeError,
        r"expected query \(T, N, 6\).*got \(5, 2, 4\)",
    ),
    (
        lambda: nn.TransformerEncoderLayer(**SIZES)(minigrad.zeros(5, 2, 6), minigrad.zeros(4, 4)),
        ShapeError,
        r"expected attn_mask \(5, 5\).*got \(4, 4\)",
    ),
    (
        lambda: nn.TransformerDecoderLayer(**SIZES)(minigrad.zeros(5, 2, 6), minigrad.zeros(5, 3, 6)),
        ShapeError,
        r"expected one batch.*query \(5, 2, 6\), key \(5, 3, 6\)",
    ),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD, ids=[message for _, _, message in BAD])
def test_bad_input_names_what_was_expected_and_what_came(call: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        call()
