"""Vectors and tiles in Numba: each operation against numpy, lane by lane."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minigrad.kernels.jit import jit_disabled, kernel
from minigrad.kernels.launch import run, task
from minigrad.kernels.tile import (
    Shape,
    height,
    load_tile,
    outer,
    plus,
    rows_of,
    store_rows,
    store_tile,
    width,
    zeros,
)
from minigrad.kernels.vec import (
    LANES,
    add,
    fma,
    lanes_of,
    load,
    load_bytes,
    multiply,
    pointer_to,
    registers_of,
    splat,
    store,
    store_bytes,
    total,
    where_equal,
    where_greater,
)

pytestmark = pytest.mark.skipif(jit_disabled(), reason="vectors exist in compiled code only")

Pointer = Any
SHAPE = Shape(3, 2)


@task
def arithmetic(
    a: Pointer, b: Pointer, c: Pointer, index: Pointer, work: Pointer, plan: Pointer, number: int, worker: int
) -> None:
    x, y = load(a, 0), load(b, 0)
    store(c, 0, add(x, y))
    store(c, LANES, multiply(x, y))
    store(c, 2 * LANES, fma(x, y, load(b, LANES)))
    store(c, 3 * LANES, splat(a[1]))
    store(c, 4 * LANES, where_greater(x, y, x, splat(a[0])))
    store(c, 5 * LANES, where_equal(x, y, splat(a[0]), y))
    store(c, 6 * LANES, load(pointer_to(a, 3), -2))
    c[7 * LANES] = total(x)


@task
def bytes_there_and_back(
    a: Pointer, b: Pointer, c: Pointer, index: Pointer, work: Pointer, plan: Pointer, number: int, worker: int
) -> None:
    store(c, 0, load_bytes(index, 1))
    store_bytes(index, LANES + 1, load(a, 0))


@kernel(internal=True)
def product(shape: Any, a: Pointer, b: Pointer, c: Pointer, plan: Pointer) -> None:
    """c = a w + bias for 4 rows of a and 5 steps, in tiles of the given shape; the bias is row 5 of b."""
    for first in range(0, 4, height(shape)):
        rows = rows_of(shape, a, plan, first, 3)
        s = zeros(shape)
        for k in range(5):
            s = outer(s, rows, k, b, k * width(shape))
        s = plus(s, b, 5 * width(shape))
        store_rows(s, c, pointer_to(plan, 4), first, 3)


@task
def products(
    a: Pointer, b: Pointer, c: Pointer, index: Pointer, work: Pointer, plan: Pointer, number: int, worker: int
) -> None:
    product(SHAPE, a, b, c, plan)
    # A tile goes to memory and comes back as it was.
    store_tile(load_tile(SHAPE, c), work)


def image(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values, np.float32).reshape(1, 1, 1, -1)


NO_PLAN = np.zeros(1, np.int64)
NO_WORK = np.zeros(1, np.float32)


def test_each_operation_works_lane_by_lane() -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.integers(-3, 4, 2 * LANES).astype(np.float32) for _ in range(2))
    a[2], b[3] = np.nan, np.nan
    c = image(np.zeros(7 * LANES + 1))
    run(arithmetic, 1, NO_PLAN, NO_WORK, image(a), image(b), c)
    out = c.ravel()
    rows = out[: 7 * LANES].reshape(7, LANES)
    x, y = a[:LANES], b[:LANES]
    np.testing.assert_array_equal(rows[0], x + y)
    np.testing.assert_array_equal(rows[1], x * y)
    np.testing.assert_array_equal(rows[2], x * y + b[LANES:])
    np.testing.assert_array_equal(rows[3], a[1])
    np.testing.assert_array_equal(rows[4], np.where((x > y) | np.isnan(x), x, a[0]))
    np.testing.assert_array_equal(rows[5], np.where(x == y, a[0], y))
    np.testing.assert_array_equal(rows[6], a[1 : LANES + 1])
    assert np.isnan(out[-1])


def test_total_adds_all_lanes() -> None:
    a = np.arange(1, LANES + 1) ** 2
    c = image(np.zeros(7 * LANES + 1))
    run(arithmetic, 1, NO_PLAN, NO_WORK, image(np.r_[a, a]), image(np.zeros(2 * LANES)), c)
    assert c.ravel()[-1] == a.sum()


def test_bytes_are_numbers_from_0_to_255() -> None:
    index = np.zeros((1, 1, 1, 2 * LANES + 2), np.uint8)
    values = np.linspace(0, 255, LANES).astype(np.uint8)
    index.ravel()[1 : LANES + 1] = values[::-1]
    c = image(np.zeros(LANES))
    run(bytes_there_and_back, 1, NO_PLAN, NO_WORK, image(values), c=c, index=index)
    np.testing.assert_array_equal(c.ravel(), values[::-1])
    np.testing.assert_array_equal(index.ravel()[LANES + 1 : -1], values)
    assert index.ravel()[[0, -1]].tolist() == [0, 0]


def test_a_tile_is_a_matrix_product_whose_rows_are_found_through_tables() -> None:
    rng = np.random.default_rng(0)
    a = rng.integers(-4, 5, (4, 5)).astype(np.float32)
    b = rng.integers(-4, 5, (6, 2 * LANES)).astype(np.float32)
    # Rows of a are read in the order 2, 0, 3, 1 and written to the places 1, 3, 0, 2.
    order, places = np.array([2, 0, 3, 1]), np.array([1, 3, 0, 2])
    plan = np.r_[order * 5, places * 2 * LANES]
    c = image(np.zeros(4 * 2 * LANES))
    work = np.zeros(3 * 2 * LANES, np.float32)
    run(products, 1, plan, work, image(a), image(b), c)
    expected = np.empty((4, 2 * LANES), np.float32)
    expected[places] = a[order] @ b[:5] + b[5]
    np.testing.assert_array_equal(c.reshape(4, -1), expected)
    np.testing.assert_array_equal(work.reshape(3, -1), expected[:3])


@pytest.mark.parametrize(
    ("cpu", "features", "lanes"),
    [
        ("skylake-avx512", "+sse2,+avx,+avx2,+avx512f,+avx512vl", 16),
        ("znver4", "+sse2,+avx,+avx2,+avx512f,+avx512vl", 8),
        ("haswell", "+sse2,+avx,+avx2,-avx512f", 8),
        ("generic", "", 4),
        ("apple-m1", "+neon", 4),
    ],
)
def test_lanes_are_those_of_the_processor(cpu: str, features: str, lanes: int) -> None:
    assert lanes_of(cpu, features) == lanes


@pytest.mark.parametrize(
    ("triple", "features", "registers"),
    [
        ("x86_64-unknown-linux-gnu", "+avx2,+avx512f,+avx512vl", 32),
        ("x86_64-unknown-linux-gnu", "+avx2,-avx512vl", 16),
        ("aarch64-unknown-linux-gnu", "+neon", 32),
    ],
)
def test_registers_are_those_of_the_processor(triple: str, features: str, registers: int) -> None:
    assert registers_of(triple, features) == registers
