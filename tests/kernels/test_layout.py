"""Copies between channels-last memory and planes: numpy's own, number for number, nothing outside of the buffers."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad
from minigrad.kernels import buffers
from minigrad.kernels.jit import jit_disabled

SHAPES = [(1, 1, 1, 1), (2, 3, 5, 7), (5, 8, 3, 3), (3, 17, 2, 9), (130, 33, 4, 3), (2, 9, 1, 1), (4, 1, 6, 5)]


@pytest.fixture(params=[0, 1 << 60], ids=["all threads", "one thread"])
def all_ours(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffers, "_KERNEL_FROM", 0)
    monkeypatch.setattr(buffers, "_PARALLEL_FROM", request.param)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_both_ways(shape: tuple[int, int, int, int], all_ours: None) -> None:
    values = np.random.default_rng(0).standard_normal(shape, np.float32)
    image = buffers.empty_image(shape, np.float32)
    image[...] = values
    planes = buffers.planes(image)
    np.testing.assert_array_equal(planes, values)
    assert planes.flags.c_contiguous
    back = buffers.dense_image(values)
    np.testing.assert_array_equal(back, values)
    assert back.transpose(0, 2, 3, 1).flags.c_contiguous


@pytest.mark.skipif(jit_disabled(), reason="vectors exist in compiled code only")
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_nothing_outside_is_read_or_written(shape: tuple[int, int, int, int], all_ours: None) -> None:
    n, c, h, w = shape
    size = n * c * h * w
    source, target = np.full(size + 64, np.nan, np.float32), np.full(size + 64, 7, np.float32)
    source[32:-32] = np.arange(size)
    out = target[32:-32].reshape(n, c, h, w)
    buffers._transpose(source[32:-32].reshape(n, h, w, c), out, n, h * w, c)
    np.testing.assert_array_equal(out, np.arange(size).reshape(n, h, w, c).transpose(0, 3, 1, 2))
    assert (target[:32] == 7).all()
    assert (target[-32:] == 7).all()


def test_other_arrays_are_left_to_numpy(all_ours: None) -> None:
    values = np.random.default_rng(0).standard_normal((2, 3, 4, 5))
    for x in (values, values.astype(np.float32), values.transpose(1, 0, 3, 2).astype(np.float32)[::-1]):
        assert buffers.planes(x) is x
    np.testing.assert_array_equal(buffers.dense_image(values[:, :, ::2]), values[:, :, ::2])


def test_flattening_an_image_goes_through_it(all_ours: None, monkeypatch: pytest.MonkeyPatch) -> None:
    image = buffers.empty_image((2, 3, 4, 5), np.float32)
    image[...] = np.random.default_rng(0).standard_normal(image.shape)
    flat = minigrad.flatten(minigrad.Tensor(image), 1)
    np.testing.assert_array_equal(flat.numpy(), image.reshape(2, -1))
    view = minigrad.flatten(minigrad.Tensor(image), 2)  # planes of other lengths need no copy
    np.testing.assert_array_equal(view.numpy(), image.reshape(2, 3, -1))


@pytest.mark.parametrize("length", [0, 1, 1000, 65_536, 65_537, 1_000_003])
def test_much_memory_begins_at_a_cache_line(length: int) -> None:
    for _ in range(4):
        memory = buffers.empty_numbers(length)
        assert memory.shape == (length,)
        assert memory.dtype == np.float32
        assert memory.flags.c_contiguous
        assert length < 65_536 or memory.ctypes.data % 64 == 0
        memory[:] = 1  # all of it is there


def test_large_images_begin_at_a_cache_line() -> None:
    image = buffers.empty_image((2, 16, 60, 70), np.float32)
    assert image.ctypes.data % 64 == 0
    assert image.transpose(0, 2, 3, 1).flags.c_contiguous
