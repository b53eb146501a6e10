"""Attention against PyTorch with the same weights: outputs, weights, every gradient; masks, dropout, mistakes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import minigrad
import minigrad.nn.functional as F
from minigrad import nn
from minigrad.errors import ArgumentError, DTypeError, ShapeError
from minigrad.gradcheck import gradcheck, gradgradcheck
from minigrad.kernels.attention import attention_weights, attention_weights_grad, dropout_factors
from minigrad.ops import attention as ops

DTYPES = pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-10), ("float32", 1e-5)])


def assert_close(mine: Any, expected: Any, tolerance: float, what: str) -> None:
    expected = expected.detach().numpy()
    scale = max(float(np.abs(expected).max(initial=0)), 1.0)
    np.testing.assert_allclose(mine.data, expected, rtol=tolerance, atol=tolerance * scale, err_msg=what)


def draw(seed: int, *shape: int, dtype: str = "float64") -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


# ---- scaled_dot_product_attention ------------------------------------------------------------------------------------

# shapes of query, key and value, shape of the mask or None, whether it is bool, options
PRODUCTS: list[tuple[tuple[tuple[int, ...], ...], tuple[int, ...] | None, bool, dict[str, Any]]] = [
    (((2, 3, 5, 4), (2, 3, 7, 4), (2, 3, 7, 6)), None, False, {}),
    (((5, 4), (7, 4), (7, 2)), None, False, {}),
    (((2, 5, 4), (2, 7, 4), (2, 7, 4)), (5, 7), False, {}),
    (((2, 3, 5, 4), (2, 3, 5, 4), (2, 3, 5, 4)), None, False, {"is_causal": True}),
    (((2, 3, 5, 4), (2, 3, 9, 4), (2, 3, 9, 4)), None, False, {"is_causal": True}),
    (((2, 3, 5, 4), (2, 3, 7, 4), (2, 3, 7, 4)), (2, 1, 1, 7), True, {}),
    (((2, 3, 5, 4), (2, 3, 7, 4), (2, 3, 7, 4)), (2, 3, 5, 7), False, {"scale": 0.3}),
    (((2, 3, 5, 4), (2, 3, 7, 4), (2, 3, 7, 4)), (5, 1), False, {}),
    (((2, 2, 2, 3, 4), (2, 2, 2, 5, 4), (2, 2, 2, 5, 4)), (2, 1, 1, 3, 5), False, {}),
    (((2, 6, 5, 4), (2, 2, 7, 4), (2, 2, 7, 3)), None, False, {"enable_gqa": True}),
    (((1, 1, 33, 17), (1, 1, 40, 17), (1, 1, 40, 17)), (33, 40), True, {}),
]


@DTYPES
@pytest.mark.parametrize(("shapes", "mask_shape", "is_bool", "options"), PRODUCTS, ids=lambda value: str(value)[:50])
def test_scaled_dot_product_attention_agrees_with_pytorch(
    shapes: tuple, mask_shape: tuple | None, is_bool: bool, options: dict, dtype: str, tolerance: float
) -> None:
    torch = pytest.importorskip("torch")
    arrays = [draw(i, *shape, dtype=dtype) for i, shape in enumerate(shapes)]
    if mask_shape and not is_bool:
        arrays.append(draw(3, *mask_shape, dtype=dtype))
    our_inputs = [minigrad.tensor(array, requires_grad=True) for array in arrays]
    their_inputs = [torch.tensor(array, requires_grad=True) for array in arrays]
    our_masks, their_masks = [], []
    if mask_shape and is_bool:
        seen = np.random.default_rng(4).random(mask_shape) < 0.6
        our_masks, their_masks = [minigrad.tensor(seen)], [torch.tensor(seen)]
    mine = F.scaled_dot_product_attention(*our_inputs, *our_masks, **options)
    expected = torch.nn.functional.scaled_dot_product_attention(*their_inputs, *their_masks, **options)
    assert mine.shape == tuple(expected.shape)
    assert_close(mine.detach(), expected, tolerance, "output")
    g = draw(5, *mine.shape, dtype=dtype)
    mine.backward(minigrad.tensor(g))
    expected.backward(torch.tensor(g))
    for i, (ours, theirs) in enumerate(zip(our_inputs, their_inputs, strict=True)):
        assert_close(ours.grad, theirs.grad, tolerance, f"gradient of input {i}")


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_query_that_sees_no_key_gives_zeros_and_no_gradient_as_in_pytorch(dtype: str) -> None:
    torch = pytest.importorskip("torch")
    arrays = [draw(i, 1, 1, 3, 2, dtype=dtype) for i in range(3)]
    seen = np.array([[True, False, True], [False, False, False], [True, True, True]])
    ours = [minigrad.tensor(a, requires_grad=True) for a in arrays]
    z = F.scaled_dot_product_attention(*ours, minigrad.tensor(seen))
    expected = torch.nn.functional.scaled_dot_product_attention(*map(torch.tensor, arrays), torch.tensor(seen))
    assert_close(z.detach(), expected, 1e-6, "output")
    assert not z.data[0, 0, 1].any()
    z.sum().backward()
    assert all(np.isfinite(x.grad.data).all() for x in ours)
    assert not ours[0].grad.data[0, 0, 1].any()


@pytest.mark.parametrize("causal", [False, True])
def test_both_derivatives_of_attention_are_those_of_finite_differences(causal: bool) -> None:
    q, k, v = (minigrad.tensor(draw(i, 2, 1, 3, 2), requires_grad=True) for i in range(3))
    mask = minigrad.tensor(draw(3, 2, 1, 1, 3), requires_grad=True)
    x = minigrad.tensor(draw(4, 2, 3, 12), requires_grad=True)

    def apart(q: Any, k: Any, v: Any, mask: Any) -> Any:
        return ops.attention(q, k, v, mask, scale=0.7, causal=causal, p=0.3, key=11)

    def packed(x: Any, mask: Any) -> Any:
        return ops.packed_attention(x, mask, heads=2, scale=0.7, causal=causal, p=0.3, key=11)

    assert gradcheck(apart, [q, k, v, mask])
    assert gradgradcheck(apart, [q, k, v, mask])
    assert gradcheck(packed, [x, mask])
    assert gradgradcheck(packed, [x, mask])


def test_enormous_scores_give_finite_weights() -> None:
    q, k = (minigrad.tensor([[3e4, 0.0], [0.0, -3e4]]).requires_grad_() for _ in range(2))
    z = F.scaled_dot_product_attention(q, k, minigrad.eye(2))
    np.testing.assert_array_equal(z.data, np.eye(2))
    z.sum().backward()
    np.testing.assert_array_equal(q.grad.data, 0)


# ---- the kernel and its twin in numpy --------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(2, 3, 5, 7), (1, 1, 1, 1), (2, 2, 16, 33), (8, 4, 64, 64), (0, 2, 3, 3)])
@pytest.mark.parametrize("masked", [(False, False, False, False), (True, False, False, True), (True, True, True, True)])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_the_kernel_agrees_with_numpy(shape: tuple, masked: tuple, causal: bool, p: float) -> None:
    rng = np.random.default_rng(0)
    scores, g, mask = rng.normal(size=shape), rng.normal(size=shape), None
    if any(masked):
        mask = rng.normal(size=tuple(n if whole else min(n, 1) for n, whole in zip(shape, masked, strict=True)))
        mask[rng.random(mask.shape) < 0.4] = -np.inf
    narrow = None if mask is None else mask.astype(np.float32)
    wide_answer = attention_weights(scores.copy(), mask, 2.0, causal, p, 99)
    answer = attention_weights(scores.astype(np.float32), narrow, 2.0, causal, p, 99)
    for mine, expected in zip(answer, wide_answer, strict=True):
        assert mine.dtype == np.float32
        np.testing.assert_allclose(mine, expected, rtol=3e-6, atol=1e-7)
    mine = attention_weights_grad(*answer, g.astype(np.float32), 2.0)
    np.testing.assert_allclose(mine, attention_weights_grad(*wide_answer, g.copy(), 2.0), rtol=1e-5, atol=3e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nan_in_a_score_makes_its_row_nan_and_no_other(dtype: type) -> None:
    scores = np.zeros((1, 1, 2, 5), dtype)
    scores[0, 0, 1, 3] = np.nan
    weights, _ = attention_weights(scores, None, 1.0, False)
    np.testing.assert_allclose(weights[0, 0, 0], 0.2, rtol=1e-6)
    assert np.isnan(weights[0, 0, 1]).all()


# ---- dropout ---------------------------------------------------------------------------------------------------------


def test_dropout_zeroes_the_given_share_of_the_weights_and_keeps_their_mean() -> None:
    minigrad.manual_seed(0)
    n, t, p = 50, 40, 0.25
    # All scores equal, and values that are the identity: the output is the weights, 1/t before dropout.
    q = minigrad.zeros(n, t, 8)
    weights = F.scaled_dot_product_attention(q, q, minigrad.eye(t).expand(n, t, t), dropout_p=p).data
    kept = weights != 0
    assert abs(kept.mean() - (1 - p)) < 4 * math.sqrt(p * (1 - p) / weights.size)
    np.testing.assert_allclose(weights[kept], 1 / t / (1 - p), rtol=1e-5)


def test_dropout_is_the_same_for_the_same_seed_and_another_in_the_next_call() -> None:
    x = minigrad.randn(2, 6, 4)
    draws = []
    for seed in (7, 7, 8):
        minigrad.manual_seed(seed)
        draws.append([F.scaled_dot_product_attention(x, x, x, dropout_p=0.5).data for _ in range(2)])
    np.testing.assert_array_equal(draws[0][0], draws[1][0])
    np.testing.assert_array_equal(draws[0][1], draws[1][1])
    assert not np.array_equal(draws[0][0], draws[0][1])
    assert not np.array_equal(draws[0][0], draws[2][0])


def test_the_gradient_under_dropout_is_that_of_the_same_weights_written_out() -> None:
    q, k, v = (minigrad.tensor(draw(i, 2, 2, 4, 3), requires_grad=True) for i in range(3))
    g = minigrad.tensor(draw(9, 2, 2, 4, 3))
    ops.attention(q, k, v, None, scale=0.5, p=0.4, key=5).backward(g)
    fused = [x.grad.data.copy() for x in (q, k, v)]
    for x in (q, k, v):
        x.grad = None
    factors = minigrad.tensor(dropout_factors((2, 2, 4, 4), 0.4, 5))
    (((q @ k.mT * 0.5).softmax(-1) * factors) @ v).backward(g)
    for mine, x in zip(fused, (q, k, v), strict=True):
        np.testing.assert_allclose(mine, x.grad.data, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("need_weights", [False, True])
def test_a_layer_drops_in_training_and_not_in_eval(need_weights: bool) -> None:
    minigrad.manual_seed(1)
    plain, dropping = nn.MultiheadAttention(8, 2), nn.MultiheadAttention(8, 2, dropout=0.5)
    dropping.load_state_dict(plain.state_dict())
    x = minigrad.randn(5, 3, 8)
    assert not np.allclose(dropping(x, x, x, need_weights=need_weights)[0].data, plain(x, x, x)[0].data)
    dropping.eval()
    np.testing.assert_allclose(
        dropping(x, x, x, need_weights=need_weights)[0].data, plain(x, x, x)[0].data, rtol=1e-5, atol=1e-6
    )


# ---- MultiheadAttention ----------------------------------------------------------------------------------------------

# constructor options beyond embed_dim=6 and num_heads=3, the kind of input, options of the call
SELF, CROSS, ALONE, SAME_KV = "self", "cross", "alone", "same_kv"
LAYERS: list[tuple[dict[str, Any], str, dict[str, Any]]] = [
    ({}, SELF, {}),
    ({}, SELF, {"need_weights": False}),
    ({"batch_first": True}, SELF, {"need_weights": False}),
    ({"batch_first": True}, CROSS, {"average_attn_weights": False}),
    ({}, CROSS, {"need_weights": False}),
    ({}, SAME_KV, {"need_weights": False}),
    ({"bias": False}, SELF, {"need_weights": False}),
    ({"bias": False}, CROSS, {}),
    ({"kdim": 4, "vdim": 5}, CROSS, {"need_weights": False}),
    ({"kdim": 4, "vdim": 5, "batch_first": True}, CROSS, {}),
    ({}, ALONE, {}),
    ({}, ALONE, {"need_weights": False}),
    ({}, CROSS, {"key_padding_mask": "bool"}),
    ({}, CROSS, {"key_padding_mask": "float", "need_weights": False}),
    ({}, CROSS, {"attn_mask": "bool", "need_weights": False}),
    ({}, SELF, {"attn_mask": "float", "need_weights": False}),
    ({}, SELF, {"attn_mask": "bool of each head", "need_weights": False}),
    ({}, SELF, {"attn_mask": "float", "key_padding_mask": "float"}),
    ({"add_bias_kv": True}, CROSS, {"attn_mask": "float", "key_padding_mask": "float"}),
    ({"add_zero_attn": True}, SELF, {"need_weights": False}),
    ({"add_bias_kv": True, "add_zero_attn": True}, SELF, {"attn_mask": "float", "need_weights": False}),
]


def mask_of(kind: str, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    rng = np.random.default_rng(8)
    if kind.startswith("bool"):
        forbidden = rng.random(shape) < 0.3
        forbidden[..., 0] = False  # every query sees something: PyTorch's weights would be NaN
        return forbidden
    return rng.normal(size=shape).astype(dtype)


@DTYPES
@pytest.mark.parametrize(("options", "kind", "call"), LAYERS, ids=lambda value: str(value)[:70])
def test_a_layer_agrees_with_pytorch(options: dict, kind: str, call: dict, dtype: str, tolerance: float) -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    theirs = torch.nn.MultiheadAttention(6, 3, **options).to(getattr(torch, dtype))
    for p in theirs.parameters():
        torch.nn.init.normal_(p)  # biases too, which start as zeros
    ours = nn.MultiheadAttention(6, 3, **options).to(dtype)
    ours.load_state_dict({key: value.numpy() for key, value in theirs.state_dict().items()})
    assert list(ours.state_dict()) == list(theirs.state_dict())

    t, s, n = (5, 5, 1) if kind == ALONE else (5, 5, 2) if kind == SELF else (5, 4, 2)
    batch = () if kind == ALONE else (n,)
    shapes = {"query": (t, 6), "key": (s, ours.kdim), "value": (s, ours.vdim)}
    arrays = []
    for i, (length, features) in enumerate(shapes.values()):
        shape = (*batch, length, features) if options.get("batch_first") else (length, *batch, features)
        arrays.append(draw(i, *shape, dtype=dtype))
    distinct = {SELF: 1, SAME_KV: 2}.get(kind, 3)
    our_inputs = [minigrad.tensor(a, requires_grad=True) for a in arrays[:distinct]]
    their_inputs = [torch.tensor(a, requires_grad=True) for a in arrays[:distinct]]
    places = {1: (0, 0, 0), 2: (0, 1, 1), 3: (0, 1, 2)}[distinct]

    our_call, their_call = dict(call), dict(call)
    for what, shape in (("key_padding_mask", (n, s)), ("attn_mask", (t, s))):
        if what in call:
            shape = (n * 3, *shape) if call[what].endswith("of each head") else shape
            mask = mask_of(call[what], shape, dtype)
            our_call[what], their_call[what] = minigrad.tensor(mask), torch.tensor(mask)
    mine, our_weights = ours(*(our_inputs[i] for i in places), **our_call)
    expected, their_weights = theirs(*(their_inputs[i] for i in places), **their_call)

    assert mine.shape == tuple(expected.shape)
    assert_close(mine.detach(), expected, tolerance, "output")
    g = draw(6, *mine.shape, dtype=dtype)
    our_total, their_total = (mine * minigrad.tensor(g)).sum(), (expected * torch.tensor(g)).sum()
    if call.get("need_weights", True):
        assert our_weights.shape == tuple(their_weights.shape)
        assert_close(our_weights.detach(), their_weights, tolerance, "weights")
        h = draw(7, *our_weights.shape, dtype=dtype)
        our_total = our_total + (our_weights * minigrad.tensor(h)).sum()
        their_total = their_total + (their_weights * torch.tensor(h)).sum()
    else:
        assert our_weights is None
    our_total.backward()
    their_total.backward()
    for i, (x, y) in enumerate(zip(our_inputs, their_inputs, strict=True)):
        assert_close(x.grad, y.grad, tolerance, f"gradient of input {i}")
    for (key, p), (their_key, q) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        assert key == their_key
        assert_close(p.grad, q.grad, tolerance, key)


def test_weights_cross_to_pytorch() -> None:
    torch = pytest.importorskip("torch")
    for options in ({}, {"kdim": 3, "vdim": 5}, {"add_bias_kv": True, "bias": False}):
        ours, theirs = nn.MultiheadAttention(4, 2, **options), torch.nn.MultiheadAttention(4, 2, **options)
        theirs.load_state_dict({key: torch.tensor(value.numpy()) for key, value in ours.state_dict().items()})
        q, k, v = draw(0, 5, 2, 4), draw(1, 6, 2, ours.kdim), draw(2, 6, 2, ours.vdim)
        mine, _ = ours(*(minigrad.tensor(a.astype(np.float32)) for a in (q, k, v)))
        expected, _ = theirs(*(torch.tensor(a.astype(np.float32)) for a in (q, k, v)))
        assert_close(mine.detach(), expected, 1e-5, str(options))


@pytest.mark.parametrize("need_weights", [False, True])
def test_is_causal_without_a_mask_is_the_mask_of_causality(need_weights: bool) -> None:
    minigrad.manual_seed(2)
    for options in ({}, {"add_bias_kv": True, "add_zero_attn": True}):
        layer = nn.MultiheadAttention(6, 2, batch_first=True, **options)
        x = minigrad.randn(2, 5, 6)
        later = minigrad.tensor(~np.tri(5, dtype=bool))
        expected, _ = layer(x, x, x, attn_mask=later)
        mine, _ = layer(x, x, x, is_causal=True, need_weights=need_weights)
        np.testing.assert_allclose(mine.data, expected.data, rtol=1e-5, atol=1e-6)
        moved = minigrad.tensor(np.concatenate([x.data[:, :3], 5 + x.data[:, 3:]], axis=1))
        again, _ = layer(moved, moved, moved, is_causal=True, need_weights=need_weights)
        np.testing.assert_array_equal(again.data[:, :3], mine.data[:, :3])  # the past does not see the future
        assert not np.allclose(again.data[:, 3:], mine.data[:, 3:])


@pytest.mark.parametrize("need_weights", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_causality_and_padding_are_both_kept(need_weights: bool, dtype: type) -> None:
    minigrad.manual_seed(4)
    layer = nn.MultiheadAttention(6, 2, batch_first=True, dtype=dtype)
    x = minigrad.randn(2, 5, 6, dtype=dtype)
    padding = np.array([[False, False, False, False, True], [True, False, False, True, False]])
    forbidden = padding[:, None, :] | ~np.tri(5, dtype=bool)  # the first query of the second sequence sees nothing
    expected, _ = layer(x, x, x, attn_mask=minigrad.tensor(forbidden.repeat(2, axis=0)))
    mine, weights = layer(x, x, x, minigrad.tensor(padding), is_causal=True, need_weights=need_weights)
    np.testing.assert_allclose(mine.data, expected.data, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(mine.data[1, 0], layer.out_proj.bias.data, rtol=1e-6)
    if weights is not None:
        assert not weights.data[forbidden].any()
        np.testing.assert_allclose(weights.data.sum(-1), np.where(forbidden.all(-1), 0, 1), rtol=1e-6)
    mine.sum().backward()
    assert all(np.isfinite(p.grad.data).all() for p in layer.parameters())


def test_what_padding_holds_does_not_matter() -> None:
    minigrad.manual_seed(3)
    layer = nn.MultiheadAttention(6, 2, batch_first=True)
    x = minigrad.randn(2, 5, 6).data
    padding = np.array([[False] * 5, [False, False, False, True, True]])
    outputs = []
    for filler in (0.0, 1e3):
        filled = np.where(padding[..., None], np.float32(filler), x)
        query = minigrad.tensor(x)
        y, _ = layer(query, minigrad.tensor(filled), minigrad.tensor(filled), minigrad.tensor(padding))
        outputs.append(y.data)
    np.testing.assert_array_equal(*outputs)


# ---- mistakes --------------------------------------------------------------------------------------------------------


def attend(*shapes: tuple[int, ...], **options: Any) -> Any:
    return nn.MultiheadAttention(6, 3)(*(minigrad.zeros(*shape) for shape in shapes), **options)


X = (5, 2, 6)
BAD: list[tuple[Any, type, str]] = [
    (lambda: nn.MultiheadAttention(6, 4), ArgumentError, "num_heads that divides embed_dim.*embed_dim=6, num_heads=4"),
    (lambda: nn.MultiheadAttention(6, 0), ArgumentError, "expected num_heads to be a positive integer, got 0"),
    (lambda: nn.MultiheadAttention(6, 3, dropout=-0.1), ArgumentError, r"a probability in \[0, 1\], got -0.1"),
    (lambda: attend((5, 2, 4), X, X), ShapeError, r"expected query \(T, N, 6\), or \(T, 6\).*got \(5, 2, 4\)"),
    (lambda: attend(X, (5, 6), X), ShapeError, r"expected key .*got \(5, 6\) with a query \(5, 2, 6\)"),
    (lambda: attend(X, (4, 2, 6), X), ShapeError, r"as many keys as values.*key \(4, 2, 6\), value \(5, 2, 6\)"),
    (lambda: attend(X, (5, 3, 6), (5, 3, 6)), ShapeError, r"expected one batch.*query \(5, 2, 6\), key \(5, 3, 6\)"),
    (
        lambda: attend(X, X, X, attn_mask=minigrad.zeros(5, 4)),
        ShapeError,
        r"MultiheadAttention: expected attn_mask \(5, 5\) or \(6, 5, 5\).*got \(5, 4\)",
    ),
    (
        lambda: attend(X, X, X, key_padding_mask=minigrad.zeros(5, 2)),
        ShapeError,
        r"MultiheadAttention: expected key_padding_mask \(2, 5\), got \(5, 2\)",
    ),
    (
        lambda: attend(X, X, X, attn_mask=minigrad.zeros(5, 5).long()),
        DTypeError,
        "MultiheadAttention: attn_mask: expected a mask of bool or float32, got int64",
    ),
    (
        lambda: nn.MultiheadAttention(6, 3).double()(minigrad.zeros(*X), minigrad.zeros(*X), minigrad.zeros(*X)),
        DTypeError,
        "expected query of the weights' dtype float64, got float32",
    ),
    (lambda: nn.MultiheadAttention(6, 3)(1, 2, 3), DTypeError, "expected a Tensor as query, got int"),
    (
        lambda: F.scaled_dot_product_attention(minigrad.zeros(3, 4), minigrad.zeros(5, 3), minigrad.zeros(5, 3)),
        ShapeError,
        r"expected query \(..., T, d\).*got query \(3, 4\), key \(5, 3\), value \(5, 3\)",
    ),
    (
        lambda: F.scaled_dot_product_attention(*(minigrad.zeros(2, 3, 4),) * 3, attn_mask=minigrad.zeros(3, 4)),
        ShapeError,
        r"expected a mask that broadcasts to \(2, 3, 3\), got \(3, 4\)",
    ),
    (
        lambda: F.scaled_dot_product_attention(
            *(minigrad.zeros(3, 4),) * 3, attn_mask=minigrad.zeros(3, 3), is_causal=True
        ),
        ArgumentError,
        "either attn_mask or is_causal=True, got both",
    ),
    (
        lambda: F.scaled_dot_product_attention(*(minigrad.zeros(3, 4),) * 3, dropout_p=2),
        ArgumentError,
        r"expected dropout_p in \[0, 1\], got 2",
    ),
    (
        lambda: F.scaled_dot_product_attention(
            minigrad.zeros(4, 3, 2), minigrad.zeros(3, 3, 2), minigrad.zeros(3, 3, 2), enable_gqa=True
        ),
        ShapeError,
        r"heads in dimension -3.*got \(4, 3, 2\) and \(3, 3, 2\)",
    ),
    (
        lambda: F.scaled_dot_product_attention(
            minigrad.zeros(2, 3, 2), minigrad.zeros(3, 3, 2), minigrad.zeros(3, 3, 2)
        ),
        ShapeError,
        "the leading dimensions of .* do not broadcast",
    ),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD, ids=[message for _, _, message in BAD])
def test_bad_input_names_the_layer_what_was_expected_and_what_came(call: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        call()


# ---- initialisation --------------------------------------------------------------------------------------------------


def uniform_distance(values: np.ndarray, bound: float) -> float:
    """Kolmogorov-Smirnov: the largest distance from U(-bound, bound), in units of 1/√n."""
    ordered = np.sort(values.ravel().astype(np.float64))
    places = (np.arange(ordered.size) + 0.5) / ordered.size
    return float(np.abs((ordered / bound + 1) / 2 - places).max() * math.sqrt(ordered.size))


def test_projections_start_as_pytorchs_do() -> None:
    minigrad.manual_seed(11)
    layer = nn.MultiheadAttention(64, 4, kdim=32, vdim=48, add_bias_kv=True)
    for weight in (layer.q_proj_weight, layer.k_proj_weight, layer.v_proj_weight):
        assert uniform_distance(weight.data, math.sqrt(6 / sum(weight.shape))) < 1.95  # 0.1 %
    packed = nn.MultiheadAttention(64, 4)
    assert uniform_distance(packed.in_proj_weight.data, math.sqrt(6 / (64 + 3 * 64))) < 1.95
    assert uniform_distance(packed.out_proj.weight.data, 1 / math.sqrt(64)) < 1.95
    assert not packed.in_proj_bias.data.any()
    assert not packed.out_proj.bias.data.any()
    # Xavier normal of (1, 1, 64), whose fans are 64 and 64.
    rows = np.concatenate([layer.bias_k.data.ravel(), layer.bias_v.data.ravel()])
    assert rows.std() == pytest.approx(math.sqrt(2 / 128), rel=4 / math.sqrt(2 * rows.size))
