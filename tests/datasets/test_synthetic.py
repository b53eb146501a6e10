"""Synthetic problems: that they are the geometry and the statistics that their docstrings state."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from minigrad import Generator, Tensor, manual_seed
from minigrad.datasets import (
    QuadraticBowl,
    TensorDataset,
    adding_problem,
    blobs,
    circles,
    linear_regression,
    moons,
    sine,
    spirals,
    xor,
)
from minigrad.errors import ArgumentError, ShapeError

MAKERS: dict[str, Callable[..., TensorDataset]] = {
    "adding_problem": partial(adding_problem, length=10),
    "blobs": blobs,
    "circles": circles,
    "linear_regression": linear_regression,
    "moons": moons,
    "sine": sine,
    "spirals": spirals,
    "xor": xor,
}


def arrays(data: TensorDataset) -> tuple[np.ndarray, np.ndarray]:
    x, y = data.tensors
    return x.numpy(), y.numpy()


# ---- all of them -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MAKERS)
def test_the_seed_decides_the_data(name: str) -> None:
    make = MAKERS[name]
    manual_seed(3)
    for other in (make(50, generator=Generator(3)), make(50)):
        for mine, theirs in zip(arrays(make(50, generator=3)), arrays(other), strict=True):
            np.testing.assert_array_equal(mine, theirs)
    assert not np.array_equal(arrays(make(50, generator=3))[0], arrays(make(50, generator=4))[0])


@pytest.mark.parametrize("name", MAKERS)
def test_inputs_are_float32_and_there_are_as_many_as_asked(name: str) -> None:
    x, y = arrays(MAKERS[name](37, generator=0))
    assert x.dtype == np.float32
    assert y.dtype in (np.float32, np.int64)
    assert len(x) == len(y) == 37


@pytest.mark.parametrize("name", ["moons", "circles", "spirals", "blobs"])
def test_classes_are_equally_frequent_and_in_random_order(name: str) -> None:
    _, labels = arrays(MAKERS[name](100, generator=0))
    counts = np.bincount(labels)
    assert counts.max() - counts.min() <= 1
    assert (np.diff(labels) < 0).sum() > 20


@pytest.mark.parametrize("name", MAKERS)
def test_arguments_that_make_no_sense_are_refused(name: str) -> None:
    with pytest.raises(ArgumentError, match=f"{name}: expected samples to be an int of at least 1, got 0"):
        MAKERS[name](0)
    if name not in ("adding_problem", "blobs"):
        for noise in (-0.1, math.nan, math.inf):
            with pytest.raises(ArgumentError, match=f"{name}: expected a standard deviation"):
                MAKERS[name](10, noise=noise)


def test_each_one_refuses_its_own_bad_arguments() -> None:
    for call, message in [
        (lambda: adding_problem(10, 1), "length to be an int of at least 2, got 1"),
        (lambda: blobs(10, centers=0), "centers to be an int of at least 1"),
        (lambda: blobs(10, centers=[1, 2]), r"centers of shape \(classes, features\), got \(2,\)"),
        (lambda: blobs(10, std=-1), "standard deviation"),
        (lambda: circles(10, factor=1.0), r"factor in \(0, 1\), got 1.0"),
        (lambda: spirals(10, classes=0), "classes to be an int"),
        (lambda: sine(10, interval=(1, 1)), "rising pair"),
        (lambda: linear_regression(10, 2, weight=[1.0]), r"weight of shape \(2,\), got \(1,\)"),
    ]:
        with pytest.raises(ArgumentError, match=message):
            call()


# ---- one by one --------------------------------------------------------------------------------------------------


def test_least_squares_finds_the_weight_of_the_linear_regression() -> None:
    x, y = arrays(linear_regression(4000, 3, noise=0.5, weight=[1.0, -2.0, 0.5], bias=3.0, generator=0))
    design = np.column_stack([x, np.ones(len(x))]).astype(np.float64)
    solution, residual, *_ = np.linalg.lstsq(design, y[:, 0].astype(np.float64), rcond=None)
    # each coefficient has the standard error 0.5 / sqrt(4000) = 0.008
    np.testing.assert_allclose(solution, [1.0, -2.0, 0.5, 3.0], atol=5 * 0.008)
    assert abs(math.sqrt(residual[0] / 3996) - 0.5) < 0.03


def test_a_sine_without_noise_is_one() -> None:
    x, y = arrays(sine(500, noise=0.0, interval=(-1.0, 2.0), generator=0))
    np.testing.assert_allclose(y, np.sin(x), atol=1e-6)
    assert -1 <= x.min() < -0.95
    assert 1.95 < x.max() <= 2


def test_moons_without_noise_are_two_half_circles() -> None:
    x, labels = arrays(moons(500, noise=0.0, generator=0))
    outer, inner = x[labels == 0], x[labels == 1]
    np.testing.assert_allclose(np.linalg.norm(outer, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(inner - [1, 0.5], axis=1), 1, atol=1e-6)
    assert outer[:, 1].min() >= -1e-6
    assert inner[:, 1].max() <= 0.5 + 1e-6
    # both reach over the whole half circle
    assert (np.ptp(outer[:, 0]) > 1.99, np.ptp(inner[:, 0]) > 1.99) == (True, True)


def test_circles_without_noise_have_the_radii_1_and_factor() -> None:
    x, labels = arrays(circles(500, noise=0.0, factor=0.3, generator=0))
    np.testing.assert_allclose(np.linalg.norm(x, axis=1), np.where(labels == 1, 0.3, 1.0), atol=1e-6)
    assert len(np.unique(np.sign(x), axis=0)) == 4


def test_noise_has_the_standard_deviation_that_was_asked_for() -> None:
    clean, noisy = (arrays(circles(5000, noise=noise, generator=0))[0] for noise in (0.0, 0.2))
    # The same seed draws the same points before it draws the noise.
    assert abs((noisy - clean).std() - 0.2) < 5 * 0.2 / math.sqrt(2 * 10000)


def test_spiral_arms_turn_with_their_radius() -> None:
    x, labels = arrays(spirals(600, classes=4, turns=1.5, noise=0.0, generator=0))
    radius = np.linalg.norm(x, axis=1)
    angle = np.arctan2(x[:, 1], x[:, 0])
    expected = 2 * math.pi * (labels / 4 + 1.5 * radius)
    # On points well away from the origin, where the angle is well defined.
    far = radius > 0.05
    np.testing.assert_allclose(np.exp(1j * angle)[far], np.exp(1j * expected)[far], atol=1e-4)
    assert radius.max() <= 1 + 1e-6


def test_blobs_have_their_centres_and_deviation() -> None:
    centers = np.array([[0.0, 0.0, 5.0], [10.0, -3.0, 0.0]])
    x, labels = arrays(blobs(4000, centers=centers, std=0.5, generator=0))
    for k in range(2):
        cloud = x[labels == k]
        np.testing.assert_allclose(cloud.mean(axis=0), centers[k], atol=5 * 0.5 / math.sqrt(2000))
        np.testing.assert_allclose(cloud.std(axis=0), 0.5, atol=5 * 0.5 / math.sqrt(4000))
    drawn, labels = arrays(blobs(60, centers=4, features=3, std=0.0, generator=0))
    assert drawn.shape == (60, 3)
    assert len(np.unique(drawn, axis=0)) == 4
    assert np.abs(drawn).max() <= 10


def test_xor_is_its_truth_table() -> None:
    x, labels = arrays(xor(4, noise=0.0, generator=0))
    assert sorted((*map(int, point), int(label)) for point, label in zip(x, labels, strict=True)) == [
        (0, 0, 0),
        (0, 1, 1),
        (1, 0, 1),
        (1, 1, 0),
    ]


def test_no_line_divides_xor_better_than_three_corners_of_four() -> None:
    x, labels = arrays(xor(400, noise=0.0, generator=0))
    angle = np.random.default_rng(0).uniform(0, 2 * math.pi, 2000)
    offset = np.random.default_rng(1).uniform(-2, 2, 2000)
    side = x @ np.stack([np.cos(angle), np.sin(angle)]) > offset
    assert (side == labels[:, None].astype(bool)).mean(axis=0).max() == 0.75


def test_the_sum_of_the_marked_numbers_is_the_answer() -> None:
    x, y = arrays(adding_problem(500, 9, generator=0))
    assert x.shape == (500, 9, 2)
    numbers, marks = x[..., 0], x[..., 1]
    assert np.unique(marks).tolist() == [0, 1]
    assert (marks[:, :4].sum(axis=1) == 1).all()
    assert (marks[:, 4:].sum(axis=1) == 1).all()
    np.testing.assert_allclose(y[:, 0], numbers[marks == 1].reshape(500, 2).sum(axis=1), rtol=1e-6)
    # every step can be marked
    assert (marks.sum(axis=0) > 0).all()


def test_always_answering_1_has_the_error_that_the_docstring_gives() -> None:
    _, y = arrays(adding_problem(20000, 4, generator=0))
    # (y - 1)^2 has the mean 1/6 and the variance E[(y-1)^4] - 1/36 = 1/15 - 1/36
    assert abs(((y - 1) ** 2).mean() - 1 / 6) < 5 * math.sqrt((1 / 15 - 1 / 36) / 20000)


# ---- the quadratic bowl ------------------------------------------------------------------------------------------


def test_the_matrix_has_the_eigenvalues_that_were_given() -> None:
    bowl = QuadraticBowl([0.1, 3.0, 50.0, 2.0], generator=0)
    np.testing.assert_allclose(np.linalg.eigvalsh(bowl.matrix), [0.1, 2.0, 3.0, 50.0], atol=1e-12)
    np.testing.assert_allclose(bowl.matrix, bowl.matrix.T, atol=1e-12)
    np.testing.assert_allclose(bowl.matrix @ bowl.eigenvectors, bowl.eigenvectors * bowl.eigenvalues, atol=1e-12)
    assert bowl.condition_number == pytest.approx(500)
    assert np.abs(bowl.matrix - np.diag(np.diag(bowl.matrix))).max() > 0.1


def test_eigenvectors_have_no_preferred_direction() -> None:
    generator = Generator(0)
    first = np.array([QuadraticBowl([1.0, 2.0, 3.0], generator=generator).eigenvectors[:, 0] for _ in range(2000)])
    # Uniform on the sphere: mean 0 and E[x x^T] = I/3; QR alone would prefer one sign.
    assert np.abs(first.mean(axis=0)).max() < 5 / math.sqrt(3 * 2000)
    np.testing.assert_allclose(first.T @ first / 2000, np.eye(3) / 3, atol=0.05)


def test_without_rotation_the_axes_are_the_eigenvectors() -> None:
    np.testing.assert_array_equal(QuadraticBowl([1.0, 10.0], rotate=False).matrix, [[1, 0], [0, 10]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_value_and_gradient_are_the_formula_and_backward_agrees(dtype: type) -> None:
    bowl = QuadraticBowl([1.0, 20.0, 5.0], minimum=[1.0, -2.0, 0.5], generator=3)
    point = np.array([0.3, 0.7, -1.1], dtype)
    w = Tensor(point, requires_grad=True)
    value = bowl(w)
    value.backward()
    error = point - bowl.minimum
    assert value.dtype == dtype
    assert value.item() == pytest.approx(0.5 * error @ bowl.matrix @ error, rel=1e-5)
    np.testing.assert_allclose(bowl.gradient(point), bowl.matrix @ error, rtol=1e-12)
    np.testing.assert_allclose(w.grad.numpy(), bowl.gradient(point), rtol=1e-5)
    assert bowl(Tensor(bowl.minimum)).item() == 0


def test_gradient_descent_converges_as_the_docstring_says() -> None:
    bowl = QuadraticBowl([1.0, 4.0, 9.0], minimum=[1.0, 2.0, 3.0], generator=1)
    rate = 2 / (1 + 9)
    w = np.array([5.0, 5.0, 5.0])
    distances = [np.linalg.norm(w - bowl.minimum)]
    for _ in range(60):
        w -= rate * bowl.gradient(w)
        distances.append(np.linalg.norm(w - bowl.minimum))
    assert distances[60] / distances[50] == pytest.approx(((9 - 1) / (9 + 1)) ** 10, rel=1e-3)
    # About the limit 2 / l_max the error along the steepest eigenvector shrinks or grows by |1 - 2 factor|.
    for factor in (0.99, 1.01):
        w = bowl.minimum + bowl.eigenvectors[:, 2]
        for _ in range(100):
            w -= factor * 2 / 9 * bowl.gradient(w)
        assert np.linalg.norm(w - bowl.minimum) == pytest.approx(abs(1 - 2 * factor) ** 100, rel=1e-6)


def test_a_bowl_of_nothing_and_points_of_another_size_are_refused() -> None:
    for eigenvalues in ([], [math.nan], [[1.0]]):
        with pytest.raises(ArgumentError, match="one or more finite eigenvalues"):
            QuadraticBowl(eigenvalues)
    bowl = QuadraticBowl([1.0, 2.0])
    with pytest.raises(ShapeError, match=r"expected w of shape \(2,\)"):
        bowl(Tensor(np.zeros(3)))
    with pytest.raises(ShapeError, match=r"expected w of shape \(2,\)"):
        bowl.gradient(np.zeros((2, 1)))
    with pytest.raises(ShapeError, match="expected minimum"):
        QuadraticBowl([1.0, 2.0], minimum=[1.0])
