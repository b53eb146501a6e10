"""Pooling and its gradients: the fast kernels, their plain twins, and PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minigrad.errors import ShapeError
from minigrad.kernels import plain, pool

Pair = tuple[int, int]


def channels_last(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


def random_pooling(seed: int, dtype: type) -> tuple[np.ndarray, dict[str, Any], bool]:
    """An image with many equal numbers, a geometry that PyTorch accepts, and ceil_mode."""
    rng = np.random.default_rng(seed)

    def pick(low: int, high: int) -> int:
        return int(rng.integers(low, high + 1))

    window, stride = (pick(1, 4), pick(1, 4)), (pick(1, 3), pick(1, 3))
    padding = (pick(0, window[0] // 2), pick(0, window[1] // 2))
    size = tuple(2 * (window[i] - 1) + pick(1, 15) for i in (0, 1))
    x = rng.standard_normal((pick(1, 4), pick(1, 21), *size)).round(1).astype(dtype)
    x = channels_last(x) if seed % 2 else x[:, :, ::-1]
    return x, {"window": window, "stride": stride, "padding": padding}, bool(seed % 3)


def same(result: np.ndarray, truth: Any, tolerance: float) -> None:
    truth = truth.detach().numpy()
    assert result.shape == truth.shape
    np.testing.assert_allclose(result, truth, rtol=tolerance, atol=tolerance)


DTYPES = pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-5), (np.float64, 1e-12)])


@DTYPES
@pytest.mark.parametrize("seed", range(30))
def test_max_pool_matches_pytorch(seed: int, dtype: type, tolerance: float) -> None:
    torch = pytest.importorskip("torch")
    x, geometry, ceil_mode = random_pooling(seed, dtype)
    dilation = (1 + seed % 2, 1 + seed // 2 % 2)
    xt = torch.tensor(np.ascontiguousarray(x), requires_grad=True)
    yt = torch.nn.functional.max_pool2d(xt, *geometry.values(), dilation, ceil_mode)
    g = np.random.default_rng(seed).standard_normal(tuple(yt.shape)).astype(dtype)
    yt.backward(torch.tensor(g))
    y, index = pool.max_pool2d(x, **geometry, dilation=dilation, ceil_mode=ceil_mode)
    same(y, yt, 0)
    assert index.dtype == np.uint8
    same(pool.max_pool2d_grad(g, index, x.shape, **geometry, dilation=dilation), xt.grad, tolerance)


@DTYPES
@pytest.mark.parametrize("seed", range(20))
def test_relu_and_max_pool_in_one_pass_match_the_two_passes(seed: int, dtype: type, tolerance: float) -> None:
    torch = pytest.importorskip("torch")
    x, geometry, ceil_mode = random_pooling(seed, dtype)
    x = x - x.dtype.type(1)  # many windows without a positive number
    xt = torch.tensor(np.ascontiguousarray(x), requires_grad=True)
    yt = torch.nn.functional.max_pool2d(torch.relu(xt), *geometry.values(), 1, ceil_mode)
    g = np.random.default_rng(seed).standard_normal(tuple(yt.shape)).astype(dtype)
    yt.backward(torch.tensor(g))
    y, index = pool.relu_max_pool2d(x, **geometry, ceil_mode=ceil_mode)
    same(y, yt, 0)
    same(pool.max_pool2d_grad(g, index, x.shape, **geometry), xt.grad, tolerance)
    separate, _ = pool.max_pool2d(np.maximum(x, 0), **geometry, ceil_mode=ceil_mode)
    np.testing.assert_array_equal(y, separate)


@DTYPES
@pytest.mark.parametrize("seed", range(30))
def test_avg_pool_matches_pytorch(seed: int, dtype: type, tolerance: float) -> None:
    torch = pytest.importorskip("torch")
    x, geometry, ceil_mode = random_pooling(seed, dtype)
    options = {"count_include_pad": bool(seed % 2), "divisor_override": 3 if seed % 5 == 0 else None}
    xt = torch.tensor(np.ascontiguousarray(x), requires_grad=True)
    yt = torch.nn.functional.avg_pool2d(xt, *geometry.values(), ceil_mode, *options.values())
    g = np.random.default_rng(seed).standard_normal(tuple(yt.shape)).astype(dtype)
    yt.backward(torch.tensor(g))
    same(pool.avg_pool2d(x, **geometry, ceil_mode=ceil_mode, **options), yt, tolerance)
    same(pool.avg_pool2d_grad(g, x.shape, **geometry, **options), xt.grad, tolerance)


@pytest.mark.parametrize("seed", range(40, 60))
def test_vector_kernels_match_their_plain_twins(seed: int) -> None:
    x, geometry, ceil_mode = random_pooling(seed, np.float32)
    y, index = pool.max_pool2d(x, **geometry, ceil_mode=ceil_mode)
    g = np.random.default_rng(seed).standard_normal(y.shape).astype(np.float32)
    window, stride, corner = geometry.values()
    twin, twin_index = np.empty(y.shape, np.float32), np.empty(y.shape, np.uint8)
    tight = np.ascontiguousarray(x)
    plain.max_pool2d(tight, twin, twin_index, window, stride, corner, (1, 1))
    np.testing.assert_array_equal(y, twin)
    np.testing.assert_array_equal(index, twin_index)
    gx = np.zeros(x.shape, np.float32)
    plain.max_pool2d_grad(g, twin_index, gx, window, stride, corner, (1, 1))
    np.testing.assert_allclose(pool.max_pool2d_grad(g, index, x.shape, **geometry), gx, rtol=1e-6, atol=1e-6)
    divisor = np.full(y.shape[2:], window[0] * window[1], np.float32)
    plain.avg_pool2d(tight, twin, divisor, window, stride, corner)
    override = {"divisor_override": window[0] * window[1]}
    np.testing.assert_allclose(
        pool.avg_pool2d(x, **geometry, ceil_mode=ceil_mode, **override), twin, rtol=1e-5, atol=1e-6
    )
    gx[...] = 0
    plain.avg_pool2d_grad(g, gx, divisor, window, stride, corner)
    np.testing.assert_allclose(pool.avg_pool2d_grad(g, x.shape, **geometry, **override), gx, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("channels", [1, 9])
def test_the_first_of_equal_numbers_wins(dtype: type, channels: int) -> None:
    y, index = pool.max_pool2d(np.ones((1, channels, 4, 4), dtype), (2, 2), (2, 2))
    assert (y == 1).all()
    assert (index == 0).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("channels", [1, 9])
def test_nan_wins_its_window_wherever_it_stands(dtype: type, channels: int) -> None:
    for place in range(4):
        x = np.full((1, channels, 2, 2), 7, dtype)
        x[:, :, place // 2, place % 2] = np.nan
        for pooling in (pool.max_pool2d, pool.relu_max_pool2d):
            y, index = pooling(x, (2, 2), (2, 2))
            assert np.isnan(y).all()
            assert (index == place).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_padding_is_less_than_every_number(dtype: type) -> None:
    x = np.full((1, 9, 2, 2), -np.inf, dtype)
    y, index = pool.max_pool2d(x, (2, 2), (2, 2), (1, 1))
    assert (y == -np.inf).all()
    assert index[0, 0].tolist() == [[3, 2], [1, 0]]


def test_a_window_too_large_for_bytes_has_a_wider_index() -> None:
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).standard_normal((2, 3, 20, 20)).astype(np.float32)
    xt = torch.tensor(x, requires_grad=True)
    yt = torch.nn.functional.max_pool2d(torch.relu(xt), (17, 16), (2, 2))
    yt.sum().backward()
    y, index = pool.relu_max_pool2d(x, (17, 16), (2, 2))
    assert index.dtype == np.int32
    same(y, yt, 0)
    same(pool.max_pool2d_grad(np.ones_like(y), index, x.shape, (17, 16), (2, 2)), xt.grad, 0)


def test_results_have_channels_last_memory() -> None:
    x = np.zeros((2, 5, 6, 6), np.float32)
    y, index = pool.max_pool2d(x, (2, 2), (2, 2))
    gx = pool.max_pool2d_grad(y, index, x.shape, (2, 2), (2, 2))
    for image in (y, index, gx, pool.avg_pool2d(x, (2, 2), (2, 2)), pool.avg_pool2d_grad(y, x.shape, (2, 2), (2, 2))):
        assert image.transpose(0, 2, 3, 1).flags.c_contiguous


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_empty_batch_stays_empty(dtype: type) -> None:
    x = np.zeros((0, 3, 8, 8), dtype)
    y, index = pool.max_pool2d(x, (2, 2), (2, 2))
    assert y.shape == index.shape == (0, 3, 4, 4)
    assert pool.max_pool2d_grad(y, index, x.shape, (2, 2), (2, 2)).shape == x.shape
    assert pool.avg_pool2d_grad(pool.avg_pool2d(x, (2, 2), (2, 2)), x.shape, (2, 2), (2, 2)).shape == x.shape


class Guard:
    """Gives out images that are surrounded by NaN (bytes: by 77) and checks that the surroundings stay so."""

    def __init__(self) -> None:
        self.margins: list[tuple[np.ndarray, Any]] = []

    def image(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        n, c, h, w = shape
        mark = np.nan if np.dtype(dtype).kind == "f" else 77
        buffer = np.full(n * c * h * w + 128, mark, dtype)
        self.margins += [(buffer[:64], mark), (buffer[-64:], mark)]
        return buffer[64:-64].reshape(n, h, w, c).transpose(0, 3, 1, 2)

    def check(self) -> None:
        for margin, mark in self.margins:
            np.testing.assert_array_equal(margin, mark)


@pytest.mark.parametrize("seed", range(20))
def test_nothing_outside_a_buffer_is_read_or_written(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x, geometry, ceil_mode = random_pooling(seed, np.float32)
    guard = Guard()
    inside = guard.image(x.shape, np.float32)
    inside[...] = x

    def results(x: np.ndarray) -> list[np.ndarray]:
        y, index = pool.relu_max_pool2d(x, **geometry, ceil_mode=ceil_mode)
        mean = pool.avg_pool2d(x, **geometry, ceil_mode=ceil_mode)
        gradients = [
            pool.max_pool2d_grad(y, index, x.shape, **geometry),
            pool.avg_pool2d_grad(mean, x.shape, **geometry),
        ]
        return [y, index, mean, *gradients]

    expected = results(x)
    monkeypatch.setattr(pool, "empty_image", guard.image)
    if seed % 2:
        monkeypatch.setattr(pool, "_tasks", lambda _numbers: 3)
    for result, truth in zip(results(inside), expected, strict=True):
        np.testing.assert_array_equal(result, truth)
    guard.check()


def test_shapes_that_do_not_fit_are_named() -> None:
    with pytest.raises(ShapeError, match=r"\(3, 3\).*\(1, 1, 2, 2\)"):
        pool.max_pool2d(np.zeros((1, 1, 2, 2), np.float32), (3, 3), (1, 1))
    with pytest.raises(ShapeError, match=r"\(1, 1, 2, 2\)"):
        pool.max_pool2d_grad(
            np.zeros((1, 1, 3, 3), np.float32), np.zeros((1, 1, 2, 2), np.uint8), (1, 1, 4, 4), (2, 2), (2, 2)
        )
