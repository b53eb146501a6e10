"""Grids of vectors and constant matrices, against numpy's products; and the matrices of the transformed tiles."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from minigrad.kernels.jit import jit_disabled
from minigrad.kernels.launch import run, task

if jit_disabled():
    pytest.skip("grids exist in compiled code only", allow_module_level=True)

from minigrad.kernels import conv_winograd
from minigrad.kernels.grid import Matrix, add_multiple, expect_grid, from_left, from_right, load_grid, store_grid
from minigrad.kernels.tile import Shape
from minigrad.kernels.vec import LANES, WIDE, pointer_to

Pointer = Any
# A first factor other than 1, zeros at both ends, factors other than 1 and -1.
M = Matrix((0, -1, 1), (0.5, 0, 2), (1, 1, 0), (0, 0, -3))
SUM, SUM_FROM_1 = Matrix((1, 1, 1)), Matrix((1, 1, 1), order=(1, 2, 0))
THREE_BY_TWO = Shape(3, 2)
TWO_BY_THREE = Shape(2, 3)
COLUMN = Shape(3, 1)
WIDEST = Shape(2, 2, WIDE)


@task
def products(
    a: Pointer, b: Pointer, c: Pointer, index: Pointer, work: Pointer, plan: Pointer, number: int, worker: int
) -> None:
    s = load_grid(THREE_BY_TWO, a, plan[0], plan[1])
    store_grid(from_left(M, s), c, 2 * LANES, LANES)
    t = load_grid(TWO_BY_THREE, a, plan[0], plan[1])
    store_grid(from_right(M, t), work, 4 * LANES, LANES)


@task
def multiples(
    a: Pointer, b: Pointer, c: Pointer, index: Pointer, work: Pointer, plan: Pointer, number: int, worker: int
) -> None:
    s = load_grid(THREE_BY_TWO, a, 2 * LANES, LANES)
    store_grid(add_multiple(s, b[0], a, plan[0], plan[1]), c, 2 * LANES, LANES)


@task
def first_of_each(
    a: Pointer, b: Pointer, c: Pointer, index: Pointer, work: Pointer, plan: Pointer, number: int, worker: int
) -> None:
    store_grid(load_grid(THREE_BY_TWO, a, 2 * LANES, LANES), c, plan[0], plan[1])


@task
def sums(
    a: Pointer, b: Pointer, c: Pointer, index: Pointer, work: Pointer, plan: Pointer, number: int, worker: int
) -> None:
    s = load_grid(COLUMN, a, LANES, LANES)
    store_grid(from_left(SUM, s), c, LANES, LANES)
    store_grid(from_left(SUM_FROM_1, s), pointer_to(c, LANES), LANES, LANES)


@task
def expectations(
    a: Pointer, b: Pointer, c: Pointer, index: Pointer, work: Pointer, plan: Pointer, number: int, worker: int
) -> None:
    expect_grid(WIDEST, pointer_to(a, plan[0]), plan[1], plan[2])
    c[0] = a[0]


def image(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values, np.float32).reshape(1, 1, 1, -1)


@pytest.mark.parametrize("steps", [(3 * LANES, LANES), (LANES, 5 * LANES), (7, 100)])
def test_products_with_constant_matrices(steps: tuple[int, int]) -> None:
    a = np.random.default_rng(0).integers(-9, 10, 400).astype(np.float32)
    c, work = image(np.zeros(8 * LANES)), np.zeros(8 * LANES, np.float32)
    run(products, 1, np.array(steps), work, image(a), c=c)
    m = np.array(M.rows)

    def grid(rows: int, columns: int) -> np.ndarray:
        starts = np.arange(rows)[:, None] * steps[0] + np.arange(columns) * steps[1]
        return a[starts[..., None] + np.arange(LANES)]

    np.testing.assert_array_equal(c.reshape(4, 2, LANES), np.einsum("ki,ijl->kjl", m, grid(3, 2)))
    np.testing.assert_array_equal(work.reshape(2, 4, LANES), np.einsum("kj,ijl->ikl", m, grid(2, 3)))


def test_a_matrix_says_in_which_order_it_adds_up() -> None:
    a = np.repeat(np.float32([1, 1e8, -1e8]), LANES)
    c = image(np.zeros(2 * LANES))
    run(sums, 1, np.array([0]), np.zeros(1, np.float32), image(a), c=c)
    assert c.ravel().tolist() == [0.0] * LANES + [1.0] * LANES  # (1 + 1e8) - 1e8 and (1e8 - 1e8) + 1


@pytest.mark.parametrize("plan", [(0, 1, 1), (-(1 << 50), 3, 7), (1 << 50, 1 << 48, 1 << 40)], ids=str)
def test_what_is_expected_need_not_exist(plan: tuple[int, int, int]) -> None:
    c = image(np.zeros(1))
    run(expectations, 1, np.array(plan), np.zeros(1, np.float32), image(np.array([5])), c=c)
    assert c.item() == 5


def test_adding_a_multiple_of_rows_that_lie_apart() -> None:
    a = np.random.default_rng(0).integers(-9, 10, 400).astype(np.float32)
    c = image(np.zeros(6 * LANES))
    run(multiples, 1, np.array([5, 37]), np.zeros(1, np.float32), image(a), image(np.array([-3])), c)
    x = np.stack([a[5 + 37 * row :][: 2 * LANES] for row in range(3)])
    np.testing.assert_array_equal(c.reshape(3, 2 * LANES), a[: 6 * LANES].reshape(3, -1) - 3 * x)


@pytest.mark.parametrize(("steps", "kept"), [((2, 1), (3, 2)), ((0, 1), (1, 2)), ((2, 0), (3, 1)), ((0, 0), (1, 1))])
def test_with_a_step_of_zero_the_first_row_or_column_stays(steps: tuple[int, int], kept: tuple[int, int]) -> None:
    a = np.arange(6 * LANES, dtype=np.float32)
    c = image(np.full(6 * LANES, -1))
    run(first_of_each, 1, np.array(steps) * LANES, np.zeros(1, np.float32), image(a), c=c)
    expected = np.full((3, 2, LANES), -1.0)
    expected[: kept[0], : kept[1]] = a.reshape(3, 2, LANES)[: kept[0], : kept[1]]
    np.testing.assert_array_equal(c.reshape(3, 2, LANES), expected)


def test_the_matrices_of_the_tiles_make_a_convolution() -> None:
    """A^T [(G w) * (B^T x)] = (x0 w0 + x1 w1 + x2 w2, x1 w0 + x2 w1 + x3 w2), for all x and w, without rounding."""
    a_t, b_t, g_t, a = (
        [[Fraction(number) for number in row] for row in matrix.rows]
        for matrix in (conv_winograd.A_T, conv_winograd.B_T, conv_winograd.G_T, conv_winograd.A)
    )
    for i in range(2):
        for j in range(4):
            for k in range(3):
                # The coefficient of x_j w_k in y_i.
                found = sum(a_t[i][m] * b_t[m][j] * g_t[k][m] for m in range(4))
                assert found == (j == i + k)
    assert a == [list(column) for column in zip(*a_t, strict=True)]
