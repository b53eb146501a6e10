"""Gradient clipping: the module's formula, PyTorch live, extreme sizes, and the optimizers' own clipping."""

from __future__ import annotations

import math

import numpy as np
import pytest

import minigrad
from minigrad import optim
from minigrad.errors import ArgumentError, DTypeError, NonFiniteError

SHAPES = [(3, 4), (5,), (), (2, 3, 2), (40000,)]
NORMS = [1.0, 2.0, 3.5, 0.5, math.inf]


def with_gradients(*arrays: np.ndarray) -> list[minigrad.Tensor]:
    params = [minigrad.tensor(np.zeros_like(a), requires_grad=True) for a in arrays]
    for p, a in zip(params, arrays, strict=True):
        p.grad = minigrad.tensor(a)
    return params


def random_gradients(dtype: str = "float32", seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [np.asarray(rng.standard_normal(s), dtype) for s in SHAPES]


def norm(arrays: list[np.ndarray], p: float = 2.0) -> float:
    flat = np.concatenate([np.asarray(a, np.float64).reshape(-1) for a in arrays])
    return float(np.linalg.norm(flat, p))


@pytest.mark.parametrize("p", NORMS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_norm_is_that_of_all_gradients_as_one_vector(p, dtype):
    grads = random_gradients(dtype)
    params = with_gradients(*grads)
    total = optim.clip_grad_norm_(params, 0.25, p)
    assert total.item() == pytest.approx(norm(grads, p), rel=1e-12)
    clipped = [q.grad.data for q in params]
    assert norm(clipped, p) == pytest.approx(0.25, rel=1e-6 if dtype == "float32" else 1e-12)
    factor = 0.25 / total.item()
    for before, after in zip(grads, clipped, strict=True):
        np.testing.assert_allclose(after, before * factor, rtol=1e-6)


def test_a_norm_that_is_small_enough_changes_no_bit():
    grads = random_gradients()
    params = with_gradients(*grads)
    optim.clip_grad_norm_(params, norm(grads) + 1)
    assert all(np.array_equal(p.grad.data, g) for p, g in zip(params, grads, strict=True))


@pytest.mark.parametrize("p", NORMS)
@pytest.mark.parametrize("max_norm", [0.5, 1e4, math.inf])
def test_pytorch_agrees_with_its_eps(p, max_norm):
    torch = pytest.importorskip("torch")
    grads = random_gradients("float64")
    params = with_gradients(*grads)
    theirs = [torch.zeros(g.shape, dtype=torch.float64, requires_grad=True) for g in grads]
    for t, g in zip(theirs, grads, strict=True):
        t.grad = torch.tensor(g)
    expected = torch.nn.utils.clip_grad_norm_(theirs, max_norm, p)
    total = optim.clip_grad_norm_(params, max_norm, p, eps=1e-6)
    assert total.item() == pytest.approx(expected.item(), rel=1e-12)
    for ours, t in zip(params, theirs, strict=True):
        np.testing.assert_allclose(ours.grad.data, t.grad.numpy(), rtol=1e-12)


@pytest.mark.parametrize("size", [1e20, 5e37, 1e-30, 1e-44])
def test_float32_gradients_of_any_size_clip_right(size):
    """Their squares overflow or vanish in float32; the sum is made in float64."""
    g = np.array([3.0, 4.0], np.float64) * np.float64(np.float32(size))
    (p,) = with_gradients(g.astype(np.float32))
    expected = norm([g.astype(np.float32)])
    assert optim.clip_grad_norm_(p, expected / 2).item() == pytest.approx(expected, rel=1e-6)
    assert norm([p.grad.data]) == pytest.approx(expected / 2, rel=1e-6 if size > 1e-38 else 0.2)


def test_a_factor_too_small_for_the_dtype_of_the_gradient_is_not_rounded_to_it():
    (single,) = with_gradients(np.array([1e38, 2e38], np.float32))
    optim.clip_grad_norm_(single, 1e-3)
    np.testing.assert_allclose(single.grad.data, np.array([1.0, 2.0]) * 1e-3 / math.sqrt(5), rtol=1e-6)
    (half,) = with_gradients(np.array([3e4, 4e4], np.float16))
    optim.clip_grad_norm_(half, 0.5)
    np.testing.assert_allclose(half.grad.data, [0.3, 0.4], rtol=1e-3)


@pytest.mark.parametrize("size", [1e200, 1e-200])
@pytest.mark.parametrize("p", [1.0, 2.0, 3.5])
def test_float64_gradients_whose_powers_leave_float64_clip_right(size, p):
    (q,) = with_gradients(np.array([3.0, 4.0]) * size)
    expected = float(np.linalg.norm([3.0, 4.0], p))
    assert optim.clip_grad_norm_(q, size, p).item() / size == pytest.approx(expected, rel=1e-12)
    assert np.linalg.norm(q.grad.data / size, p) == pytest.approx(1.0, rel=1e-12)


def test_the_norm_has_the_same_bits_for_any_number_of_threads():
    big = np.random.default_rng(0).standard_normal(300_000).astype(np.float32)
    threads = minigrad.kernels.jit.get_num_threads()
    try:
        totals = []
        for n in {1, threads}:
            minigrad.kernels.jit.set_num_threads(n)
            totals.append(optim.get_total_norm(minigrad.tensor(big)).item())
    finally:
        minigrad.kernels.jit.set_num_threads(threads)
    assert len(set(totals)) == 1
    assert totals[0] == pytest.approx(norm([big]), rel=1e-13)


def test_max_norm_zero_makes_the_gradients_zero_and_no_gradients_have_norm_zero():
    params = with_gradients(*random_gradients())
    optim.clip_grad_norm_(params, 0.0)
    assert all(np.all(p.grad.data == 0) for p in params)
    assert optim.clip_grad_norm_(params, 0.0).item() == 0.0
    assert optim.clip_grad_norm_([minigrad.ones(2, requires_grad=True)], 1.0).item() == 0.0


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("p", [2.0, 1.0, math.inf])
def test_a_norm_that_is_not_finite_is_an_error_on_request(value, p):
    grads = [np.array([1.0, value], np.float32), np.ones(3, np.float32)]
    params = with_gradients(*grads)
    with pytest.raises(NonFiniteError, match=r"is (nan|inf)\."):
        optim.clip_grad_norm_(params, 1.0, p, error_if_nonfinite=True)
    assert np.array_equal(params[1].grad.data, grads[1]), "nothing was changed"
    total = optim.clip_grad_norm_(params, 1.0, p).item()
    assert math.isnan(total) if math.isnan(value) else total == math.inf
    np.testing.assert_array_equal(params[1].grad.data, np.full(3, math.nan if math.isnan(value) else 0.0))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((-1.0,), "max_norm"), ((math.nan,), "max_norm"), ((1.0, 0.0), "norm_type"), ((1.0, -2.0), "norm_type")],
)
def test_bad_arguments(arguments, message):
    (p,) = with_gradients(np.ones(2, np.float32))
    with pytest.raises(ArgumentError, match=message):
        optim.clip_grad_norm_(p, *arguments)
    np.testing.assert_array_equal(p.grad.data, np.ones(2))
    with pytest.raises(ArgumentError, match="clip_value"):
        optim.clip_grad_value_(p, -1.0)
    with pytest.raises(DTypeError, match="expected Tensors, got ndarray"):
        optim.clip_grad_norm_([np.ones(2)], 1.0)


def test_values_are_clipped_to_the_interval():
    (p,) = with_gradients(np.array([-3.0, -0.5, 0.0, 0.5, 3.0], np.float32))
    optim.clip_grad_value_(p, 1.0)
    np.testing.assert_array_equal(p.grad.data, [-1.0, -0.5, 0.0, 0.5, 1.0])


def test_each_gradient_is_scaled_by_its_own_norm():
    a, b = params = with_gradients(np.array([3.0, 4.0]), np.array([0.3, 0.4]))
    optim.clip_grad_norm_each_(params, 1.0)
    np.testing.assert_allclose(a.grad.data, [0.6, 0.8], rtol=1e-15)
    np.testing.assert_array_equal(b.grad.data, [0.3, 0.4])


def test_clipping_with_a_known_norm_is_the_second_half_of_clipping():
    grads = random_gradients("float64")
    once, twice = with_gradients(*grads), with_gradients(*grads)
    optim.clip_grad_norm_(once, 0.5)
    total = optim.get_total_norm([p.grad for p in twice])
    optim.clip_grads_with_norm_(twice, 0.5, total)
    assert all(np.array_equal(a.grad.data, b.grad.data) for a, b in zip(once, twice, strict=True))


def test_adaptive_clipping_bounds_each_unit_relative_to_its_weights():
    """arXiv:2102.06171, equation 3, row by row."""
    rng = np.random.default_rng(0)
    weight, grad = rng.standard_normal((4, 3, 2, 2)), rng.standard_normal((4, 3, 2, 2))
    weight[1] = 0.0
    p = minigrad.tensor(weight, requires_grad=True)
    p.grad = minigrad.tensor(grad)
    bias = minigrad.tensor(np.array([3.0, 4.0]), requires_grad=True)
    bias.grad = minigrad.tensor(np.array([30.0, 40.0]))
    optim.adaptive_clip_grad_([p, bias], clip_factor=0.1, eps=1e-3)
    for i in range(4):
        w, g = np.linalg.norm(weight[i]), np.linalg.norm(grad[i])
        factor = min(1.0, 0.1 * max(w, 1e-3) / g)
        np.testing.assert_allclose(p.grad.data[i], factor * grad[i], rtol=1e-12)
    np.testing.assert_allclose(bias.grad.data, [0.3, 0.4], rtol=1e-12)


# ---- the Keras forms on optimizers -----------------------------------------------------------------------------------


def one_step(**options: float) -> np.ndarray:
    params = with_gradients(np.array([3.0, 4.0]), np.array([0.3, -0.4]))
    optim.SGD(params, lr=1.0, **options).step()
    return np.concatenate([-p.data for p in params])


def test_clipnorm_clips_each_gradient():
    np.testing.assert_allclose(one_step(clipnorm=1.0), [0.6, 0.8, 0.3, -0.4], rtol=1e-12)


def test_clipvalue_clips_each_element():
    np.testing.assert_allclose(one_step(clipvalue=0.35), [0.35, 0.35, 0.3, -0.35], rtol=1e-12)


def test_global_clipnorm_clips_all_gradients_together():
    g = np.array([3.0, 4.0, 0.3, -0.4])
    np.testing.assert_allclose(one_step(global_clipnorm=1.0), g / np.linalg.norm(g), rtol=1e-12)


def test_update_on_arrays_clips_too():
    w = np.zeros(2)
    optim.SGD(lr=1.0, clipnorm=1.0).update([w], [np.array([3.0, 4.0])])
    np.testing.assert_allclose(w, [-0.6, -0.8], rtol=1e-12)


@pytest.mark.parametrize("name", ["clipnorm", "clipvalue", "global_clipnorm"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, "1"])
def test_bad_clipping_arguments_of_optimizers(name, value):
    with pytest.raises(ArgumentError, match=name):
        optim.Adam([minigrad.ones(1, requires_grad=True)], **{name: value})


def test_only_one_kind_of_clipping_at_a_time():
    with pytest.raises(ArgumentError, match="at most one"):
        optim.SGD(lr=0.1, clipnorm=1.0, clipvalue=1.0)
