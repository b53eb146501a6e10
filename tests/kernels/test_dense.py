"""Matrix products by our own kernels, against the plain loops in float64, in buffers surrounded by NaN."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad
from minigrad.kernels import dense, dense_plan, plain
from minigrad.kernels.jit import get_num_threads, jit_disabled, set_num_threads

pytestmark = pytest.mark.skipif(jit_disabled(), reason="vectors exist in compiled code only")

# The remainders of tiles 6 or 8 high and 32 wide, 8 high and 8 wide, 4 high and 6 wide, and of vectors of 4, 8, 16
# numbers.
SHAPES = [
    (4, 8, 64), (6, 16, 64), (7, 17, 65), (5, 31, 97), (32, 128, 64), (13, 33, 127), (24, 1, 64), (4, 100, 70),
    (64, 3, 80), (13, 33, 16), (9, 20, 17), (8, 40, 31), (33, 9, 29),
]  # fmt: skip
LAYOUTS = ["NN", "TN", "NT"]


def surrounded(values: np.ndarray, order: str) -> np.ndarray:
    """A copy of a matrix in the middle of memory that is NaN; its rows (or columns) are apart, too."""
    if order == "T":
        return surrounded(values.T, "N").T
    room = np.full((values.shape[0] + 4, values.shape[1] + 37), np.nan, np.float32)
    inside = room[2:-2, 19:-18]
    inside[...] = values
    return inside


def oracle(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    y = np.empty((a.shape[0], b.shape[1]))
    plain.product(a.astype(np.float64), b.astype(np.float64), y)
    return y


@pytest.fixture
def all_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every product runs in the vector kernels, on all threads, in tasks."""
    for name in ("_OWN_FROM", "_PARALLEL_FROM"):
        monkeypatch.setattr(dense, name, 0)
    monkeypatch.setattr(dense, "launch_of", dense.launch_of.__wrapped__)  # which remembers what it chose before


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("parallel", [False, True], ids=["one", "all"])
def test_products_are_those_of_the_plain_loops(
    shape: tuple[int, int, int], layout: str, parallel: bool, all_ours: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not parallel:
        monkeypatch.setattr(dense, "_PARALLEL_FROM", 1 << 60)
    rows, depth, wide = shape
    rng = np.random.default_rng(depth)
    a = surrounded(rng.standard_normal((rows, depth)), layout[0])
    b = surrounded(rng.standard_normal((depth, wide)), layout[1])
    y = dense._own(a, b, None)
    if layout == "NT" and depth < dense._vectors().LANES:
        assert y is None
        return
    assert y is not None
    truth = oracle(a, b)
    # A sum of `depth` products of numbers near 1 is rounded at each addition: errors of 6e-8 add up like its root.
    np.testing.assert_allclose(y, truth, rtol=0, atol=3e-7 * depth)
    np.testing.assert_array_equal(dense.product(a, b), y)


@pytest.mark.parametrize("shape", [(32, 784, 128), (5, 33, 7), (4, 8, 1)], ids=str)
def test_a_layers_product_with_its_bias(shape: tuple[int, int, int], all_ours: None) -> None:
    rows, depth, wide = shape
    rng = np.random.default_rng(0)
    x, w = surrounded(rng.standard_normal((rows, depth)), "N"), surrounded(rng.standard_normal((wide, depth)), "N")
    bias = surrounded(rng.standard_normal((1, wide)), "N")[0]
    y = dense._own(x, w.T, bias)
    assert y is not None
    np.testing.assert_array_equal(y, dense.dense(x, w, None) + bias)
    np.testing.assert_allclose(y, oracle(x, w.T) + bias, rtol=0, atol=3e-7 * depth)


def test_nothing_is_written_outside_of_the_result(all_ours: None, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    rooms: list[np.ndarray] = []

    def empty(shape: tuple[int, int], dtype: type) -> np.ndarray:
        rooms.append(np.full(shape[0] * shape[1] + 512, 7, dtype))
        return rooms[-1][256:-256].reshape(shape)

    for rows, depth, wide in SHAPES:
        a, b = rng.standard_normal((rows, depth), np.float32), rng.standard_normal((depth, wide), np.float32)
        for x, y in ((a, b), (a, np.ascontiguousarray(b.T).T), (np.ascontiguousarray(a.T).T, b)):
            with monkeypatch.context() as patched:
                patched.setattr(np, "empty", empty)
                dense.product(x, y)
    assert len(rooms) >= 3 * len(SHAPES) - 2
    for room in rooms:
        assert (room[:256] == 7).all()
        assert (room[-256:] == 7).all()


def test_the_order_of_tiles_does_not_change_the_bits(all_ours: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dense, "dense_plan", dense_plan.dense_plan.__wrapped__)  # which remembers its plans
    rng = np.random.default_rng(0)
    for rows, depth, wide in SHAPES:
        a = rng.standard_normal((depth, rows), np.float32).T  # a weight's gradient: row after row
        b = rng.standard_normal((depth, wide), np.float32)
        by_rows = dense.product(a, b)
        with monkeypatch.context() as patched:
            patched.setattr(dense_plan, "_MANY", 0)  # by strips, whatever the size of b
            np.testing.assert_array_equal(dense.product(a, b), by_rows)


def test_each_thread_computes_neighbouring_rows_of_a_weights_gradient() -> None:
    item = 4
    launch = dense.launch_of(128, 784, 32, (item, 128 * item), (784 * item, item), False, 2)
    plan = launch.plan
    half = plan[dense_plan.UNITS] // 2
    rows = [unit // plan[dense_plan.BELOW] % plan[dense_plan.TILES] for unit in range(plan[dense_plan.UNITS])]
    assert max(rows[:half]) <= min(rows[half:])
    strips = dense.launch_of(128, 784, 32, (32 * item, item), (784 * item, item), False, 2).plan  # not transposed
    assert strips[dense_plan.BELOW] == 1


def test_infinity_and_nan_reach_what_they_are_part_of_and_nothing_else(all_ours: None) -> None:
    a, b = np.ones((9, 19), np.float32), np.ones((19, 70), np.float32)
    a[3, 18], b[18, 69] = np.nan, np.inf
    for right in (b, np.ascontiguousarray(b.T).T):
        y = dense.product(a, right)
        assert np.isnan(y[3]).all()
        assert np.isinf(np.delete(y[:, 69], 3)).all()
        assert (np.delete(y[:, :69], 3, axis=0) == 19).all()


@pytest.mark.skipif(not jit_disabled() and get_num_threads() < 2, reason="one processor")
def test_the_bits_do_not_depend_on_the_number_of_threads(all_ours: None) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((130, 70), np.float32), rng.standard_normal((70, 300), np.float32)
    before = get_num_threads()
    found = []
    try:
        for threads in (1, 2):
            set_num_threads(threads)
            found.append([dense.product(a, right).tobytes() for right in (b, np.ascontiguousarray(b.T).T)])
    finally:
        set_num_threads(before)
    assert found[0] == found[1]


def test_what_the_kernels_cannot_do_is_left_to_numpy(all_ours: None) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((40, 50), np.float32), rng.standard_normal((50, 60), np.float32)
    left, right = a.astype(np.float64), b.astype(np.float64)
    bytes_apart = np.zeros(4 * b.size + 1, np.uint8)[1:].view(np.float32).reshape(b.shape)
    bytes_apart[...] = b
    for x, y in (
        (left, right),  # float64
        (a, right),
        (np.asfortranarray(a), np.asfortranarray(b)),  # A^T B^T
        (a[:3], b),  # few rows
        (a, b[:, :5]),  # few columns
        (a, b[:, ::2]),
        (a, bytes_apart),
        (a[None], b),
        (a, b[:, 0]),
    ):
        assert dense._own(x, y, None) is None
        np.testing.assert_array_equal(dense.product(x, y), np.matmul(x, y))
    assert dense._own(a, b, np.zeros(1, np.float32)) is None
    np.testing.assert_allclose(dense.dense(a, np.ascontiguousarray(b.T), np.ones(1, np.float32)), a @ b + 1, rtol=1e-5)


@pytest.mark.parametrize("batch", [32, 96])
def test_a_layer_and_its_gradients_use_them(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Linear(784, 128) forward and backward: three products, none of them numpy's, and its numbers in float64."""
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape) for shape in ((batch, 784), (128, 784), (128,), (batch, 128))]
    found = []
    for dtype in (np.float32, np.float64):
        x, w, b, g = (minigrad.tensor(array.astype(dtype)) for array in arrays)
        for leaf in (x, w, b):
            leaf.requires_grad_()
        with monkeypatch.context() as patched:
            if dtype is np.float32:
                patched.setattr(np, "matmul", None)
            y = minigrad.nn.functional.linear(x, w, b)
            y.backward(g)
        found.append([y.detach().numpy(), x.grad.numpy(), w.grad.numpy(), b.grad.numpy()])
    for ours, truth in zip(*found, strict=True):
        np.testing.assert_allclose(ours, truth, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("outputs", [64, 70])
def test_a_bias_is_added_whichever_way_the_weights_lie(outputs: int) -> None:
    rng = np.random.default_rng(0)
    x, w, b = (rng.standard_normal(shape).astype(np.float32) for shape in ((64, 100), (100, outputs), (outputs,)))
    kept = b.copy()
    for weight in (w.T, np.ascontiguousarray(w.T)):
        y = dense.dense(x, weight, b)
        np.testing.assert_allclose(y, oracle(x, w) + b, rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(b, kept)
