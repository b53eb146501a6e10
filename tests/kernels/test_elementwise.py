"""ReLU, its gradient and the sums of columns as tasks: numpy's own numbers, nothing outside of the buffers."""

from __future__ import annotations

import numpy as np
import pytest

from minigrad.kernels.jit import jit_disabled

if jit_disabled():
    pytest.skip("tasks exist in compiled code only", allow_module_level=True)

from minigrad.kernels import elementwise_vector
from minigrad.kernels.buffers import workspace
from minigrad.kernels.launch import run

SPECIAL = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, -1e-45, 1.0, -1.0], np.float32)


def surrounded(values: np.ndarray) -> np.ndarray:
    room = np.full(values.size + 40, np.nan, np.float32)
    room[20:-20] = values.ravel()
    return room


def launch(kernel, plan, tasks, length, *inputs):
    given = [surrounded(x)[None, None, None, 20:-20] for x in inputs]
    room = surrounded(np.zeros(length, np.float32))
    run(kernel, tasks, np.array(plan), workspace(0), *given, c=room[None, None, None, 20:-20], workers=2)
    assert np.isnan(room[:20]).all()
    assert np.isnan(room[-20:]).all()
    return room[20:-20]


@pytest.mark.parametrize("tasks", [1, 3])
@pytest.mark.parametrize("length", [1, 7, 64, 1001])
def test_relu_and_its_gradient(length, tasks):
    rng = np.random.default_rng(length)
    x = np.concatenate([SPECIAL, rng.standard_normal(length).astype(np.float32)])
    g = np.concatenate([SPECIAL[::-1], rng.standard_normal(length).astype(np.float32)])
    z = launch(elementwise_vector.relu, (x.size, tasks), tasks, x.size, x)
    np.testing.assert_array_equal(z, np.maximum(x, 0))
    gx = launch(elementwise_vector.relu_grad, (x.size, tasks), tasks, x.size, g, z)
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(gx, g * (z > 0))


@pytest.mark.parametrize("tasks", [1, 3])
@pytest.mark.parametrize("shape", [(1, 5), (2, 2), (32, 10), (500, 3), (130, 128), (7, 1001)])
def test_sums_of_columns_are_added_in_the_order_of_numpy(shape, tasks):
    g = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    sums = launch(elementwise_vector.column_sums, (*shape, tasks), tasks, shape[1], g)
    np.testing.assert_array_equal(sums, g.sum(0))
