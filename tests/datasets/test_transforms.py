"""Transforms of whole batches, against numpy, PyTorch and the distributions that they promise."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from minigrad import Generator, manual_seed
from minigrad.datasets import DataLoader, Digits
from minigrad.datasets.transforms import (
    Compose,
    MixUp,
    Normalize,
    OneHot,
    RandomCrop,
    RandomErasing,
    RandomHorizontalFlip,
    RandomRotation,
    RandomShift,
    RandomVerticalFlip,
    Transform,
    rotate,
)
from minigrad.errors import ArgumentError, DTypeError, ShapeError

RANDOM = [
    RandomCrop(6, padding=1),
    RandomShift(2),
    RandomHorizontalFlip(),
    RandomVerticalFlip(),
    RandomRotation(30),
    RandomErasing(1.0),
    Compose([RandomShift(1), Normalize(0.5, 0.5)]),
]


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).random((16, 3, 8, 7), dtype=np.float32)


# ---- what all have in common -------------------------------------------------------------------------------------


@pytest.mark.parametrize("transform", [*RANDOM, Normalize(0.5, 0.5)], ids=repr)
def test_a_transform_leaves_its_input_alone_and_keeps_the_dtype(transform: Transform, images: np.ndarray) -> None:
    before = images.copy()
    result = transform(images, 0)
    np.testing.assert_array_equal(images, before)
    assert result.dtype == np.float32
    assert result.shape[:2] == (16, 3)
    result[:] = 9  # no view of the input
    np.testing.assert_array_equal(images, before)


@pytest.mark.parametrize("transform", RANDOM, ids=repr)
def test_the_seed_decides_what_is_drawn(transform: Transform, images: np.ndarray) -> None:
    np.testing.assert_array_equal(transform(images, 5), transform(images, 5))
    np.testing.assert_array_equal(transform(images, 5), transform(images, Generator(5)))
    assert not np.array_equal(transform(images, 5), transform(images, 6))
    manual_seed(5)
    np.testing.assert_array_equal(transform(images), transform(images, 5))


@pytest.mark.parametrize("transform", RANDOM, ids=repr)
def test_every_image_of_a_batch_is_drawn_for(transform: Transform) -> None:
    one = np.random.default_rng(0).random((1, 3, 8, 7), dtype=np.float32)
    results = transform(np.repeat(one, 64, axis=0), 0)
    assert len({image.tobytes() for image in results}) > 1


@pytest.mark.parametrize("transform", RANDOM, ids=repr)
def test_an_empty_batch_stays_one(transform: Transform) -> None:
    assert len(transform(np.zeros((0, 3, 8, 7), np.float32), 0)) == 0


def test_what_is_no_batch_of_images_is_refused() -> None:
    for transform in (Normalize(0, 1), RandomShift(1)):
        with pytest.raises(ShapeError, match=r"batch of images \(B, C, H, W\), got shape \(1, 8, 8\)"):
            transform(np.zeros((1, 8, 8), np.float32))
        with pytest.raises(DTypeError, match="float32 numpy array, got dtype uint8"):
            transform(np.zeros((2, 1, 8, 8), np.uint8))
        with pytest.raises(DTypeError, match="got list"):
            transform([[1.0]])


# ---- normalize ---------------------------------------------------------------------------------------------------


def test_normalize_is_what_torchvision_documents(images: np.ndarray) -> None:
    mean, std = [0.1, 0.2, 0.3], [0.4, 0.5, 0.6]
    expected = np.stack([(images[:, c].astype(np.float64) - mean[c]) / std[c] for c in range(3)], axis=1)
    np.testing.assert_allclose(Normalize(mean, std)(images), expected, rtol=1e-5, atol=1e-6)


def test_the_training_digits_normalised_by_their_own_mean_and_std_have_mean_0_and_std_1() -> None:
    pixels = Digits().images / 16
    batch, _ = Digits(transform=Normalize(pixels.mean(), pixels.std()))[:]
    assert abs(batch.numpy().mean(dtype=np.float64)) < 1e-6
    assert abs(batch.numpy().std(dtype=np.float64) - 1) < 1e-6


@pytest.mark.parametrize(
    ("mean", "std"), [(0, 0), (0, -1), (math.nan, 1), (0, math.inf), ([0, 0], [1]), ([[0]], [[1]])]
)
def test_normalize_refuses_numbers_that_are_no_mean_and_std(mean: Any, std: Any) -> None:
    with pytest.raises(ArgumentError, match="Normalize: expected"):
        Normalize(mean, std)


def test_normalize_refuses_images_with_other_channels(images: np.ndarray) -> None:
    with pytest.raises(ShapeError, match="images with 2 channels"):
        Normalize([0, 0], [1, 1])(images)


def test_compose_is_one_after_the_other(images: np.ndarray) -> None:
    both = Compose([lambda x: x + 1, Normalize(1, 0.5)])
    np.testing.assert_allclose(both(images), images * 2, rtol=1e-5, atol=1e-6)
    assert not both.random
    assert Compose([both, RandomShift(1)]).random
    np.testing.assert_array_equal(Compose([])(images), images)
    with pytest.raises(DTypeError, match="transforms that can be called, got int"):
        Compose([3])


# ---- crop and shift ----------------------------------------------------------------------------------------------


def test_a_shift_moves_pixels_and_fills_what_comes_in() -> None:
    point = np.zeros((2000, 1, 5, 5), np.float32)
    point[:, :, 2, 2] = 1
    moved = RandomShift((1, 2), fill=0.25)(point, 0)
    where = [tuple(np.argwhere(image[0] == 1)[0]) for image in moved]
    places, counts = np.unique(where, axis=0, return_counts=True)
    # 3 rows x 5 columns, 133 of 2,000 expected at each; 5 standard deviations are 56
    assert places.tolist() == [[y, x] for y in (1, 2, 3) for x in range(5)]
    assert np.abs(counts - 2000 / 15).max() < 56
    corner = moved[[place == (3, 4) for place in where]][0, 0]
    assert corner[0].tolist() == [0.25] * 5
    assert corner[:, :2].tolist() == [[0.25] * 2] * 5
    assert corner[1:, 2:].sum() == 1


def test_every_crop_is_a_window_of_the_padded_image() -> None:
    image = np.arange(1, 21, dtype=np.float32).reshape(1, 1, 4, 5)
    padded = np.pad(image[0, 0], 1, constant_values=-1)
    windows = {padded[y : y + 3, x : x + 4].tobytes() for y in range(4) for x in range(4)}
    crops = RandomCrop((3, 4), padding=1, fill=-1)(np.repeat(image, 500, axis=0), 0)
    assert crops.shape == (500, 1, 3, 4)
    assert {crop[0].tobytes() for crop in crops} == windows


def test_a_crop_takes_the_same_window_of_every_channel(images: np.ndarray) -> None:
    stacked = np.repeat(images[:, :1], 3, axis=1)
    crops = RandomCrop(4)(stacked, 0)
    np.testing.assert_array_equal(crops[:, 0], crops[:, 2])


def test_crop_and_shift_refuse_sizes_that_make_no_sense(images: np.ndarray) -> None:
    with pytest.raises(ShapeError, match="at least 9x9 pixels with their padding, got 8x7"):
        RandomCrop(9)(images)
    for make in (
        lambda: RandomCrop(0),
        lambda: RandomCrop(3, padding=-1),
        lambda: RandomShift(-1),
        lambda: RandomShift(1.5),
    ):
        with pytest.raises(ArgumentError, match="expected one or two whole numbers"):
            make()


# ---- flip --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("flip", "axis"), [(RandomHorizontalFlip, 3), (RandomVerticalFlip, 2)])
def test_a_flip_is_numpys_and_happens_with_its_probability(flip: type, axis: int, images: np.ndarray) -> None:
    np.testing.assert_array_equal(flip(1.0)(images, 0), np.flip(images, axis))
    np.testing.assert_array_equal(flip(0.0)(images, 0), images)
    many = np.repeat(images[:1], 4000, axis=0)
    flipped = (flip(0.3)(many, 0) != many).any(axis=(1, 2, 3)).mean()
    # 5 standard deviations of a share of 0.3 among 4,000
    assert abs(flipped - 0.3) < 5 * math.sqrt(0.3 * 0.7 / 4000)
    with pytest.raises(ArgumentError, match=r"p in \[0, 1\], got 1.5"):
        flip(1.5)


# ---- rotation ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_a_right_angle_is_numpys_rot90(turns: int) -> None:
    square = np.random.default_rng(0).random((2, 3, 6, 6), dtype=np.float32)
    np.testing.assert_allclose(rotate(square, [90.0 * turns] * 2), np.rot90(square, turns, axes=(2, 3)), atol=1e-5)


@pytest.mark.parametrize("shape", [(5, 1, 8, 8), (5, 2, 7, 10), (5, 1, 1, 4)])
def test_any_angle_is_pytorchs_bilinear_sampling(shape: tuple[int, ...]) -> None:
    torch = pytest.importorskip("torch")
    images = np.random.default_rng(0).random(shape, dtype=np.float32)
    angles = np.array([0.0, 17.0, -45.0, 133.0, 270.5])
    batch, _, height, width = shape
    a = np.deg2rad(angles)
    # affine_grid works in coordinates from -1 to 1 in both directions: scale its matrix to square pixels.
    theta = np.zeros((batch, 2, 3))
    theta[:, 0, 0], theta[:, 0, 1] = np.cos(a), -np.sin(a) * height / width
    theta[:, 1, 0], theta[:, 1, 1] = np.sin(a) * width / height, np.cos(a)
    grid = torch.nn.functional.affine_grid(torch.from_numpy(theta), list(shape), align_corners=False)
    expected = torch.nn.functional.grid_sample(
        torch.from_numpy(images).double(), grid, mode="bilinear", padding_mode="zeros", align_corners=False
    )
    np.testing.assert_allclose(rotate(images, angles), expected.numpy(), atol=2e-5)


def test_a_large_batch_is_rotated_as_its_images_one_by_one() -> None:
    images = np.random.default_rng(0).random((50, 1, 28, 28), dtype=np.float32)
    angles = np.linspace(-180, 180, 50)
    one_by_one = [rotate(image[None], [angle]) for image, angle in zip(images, angles, strict=True)]
    np.testing.assert_array_equal(rotate(images, angles), np.concatenate(one_by_one))


def test_outside_a_rotated_image_is_the_fill_value() -> None:
    turned = rotate(np.ones((1, 1, 9, 9), np.float32), [45.0], fill=-3.0)[0, 0]
    assert [turned[y, x] for y, x in ((0, 0), (0, 8), (8, 0), (8, 8))] == [-3.0] * 4
    assert turned[4, 4] == 1


def test_angles_are_uniform_between_the_limits() -> None:
    # On a plane z = x the rotated value at (row 0, centre column) is c + cy sin(a): it shows the angle.
    ramp = np.broadcast_to(np.arange(9, dtype=np.float32), (3000, 1, 9, 9))
    values = RandomRotation((-20, 10))(np.ascontiguousarray(ramp), 0)[:, 0, 0, 4]
    angles = np.rad2deg(np.arcsin((values - 4) / 4))
    assert -20 <= angles.min() < -19.5
    assert 9.5 < angles.max() <= 10.001
    # a uniform distribution of width 30 has the standard deviation 30 / sqrt(12)
    assert abs(angles.mean() + 5) < 5 * 30 / math.sqrt(12 * 3000)
    assert abs(angles.std() - 30 / math.sqrt(12)) < 0.3


def test_rotation_refuses_angles_that_are_none(images: np.ndarray) -> None:
    for degrees in (-5, math.nan, (3, 2), (0, math.inf)):
        with pytest.raises(ArgumentError, match="RandomRotation: expected"):
            RandomRotation(degrees)
    with pytest.raises(ShapeError, match="one angle for each of the 16 images"):
        rotate(images, [1.0])


# ---- erasing -----------------------------------------------------------------------------------------------------


def test_the_erased_part_is_one_rectangle_of_the_promised_area_and_ratio() -> None:
    ones = np.ones((2000, 2, 32, 40), np.float32)
    erased = RandomErasing(1.0, scale=(0.05, 0.2), ratio=(0.5, 2.0), fill=7.0)(ones, 0) == 7.0
    np.testing.assert_array_equal(erased[:, 0], erased[:, 1])
    for mask in erased[:, 0]:
        y, x = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        height, width = y[-1] - y[0] + 1, x[-1] - x[0] + 1
        assert mask.sum() == height * width
        # sides are rounded to whole pixels: by at most half of one
        assert (height - 0.5) * (width - 0.5) <= 0.2 * 32 * 40
        assert (height + 0.5) * (width + 0.5) >= 0.05 * 32 * 40
        assert (height - 0.5) / (width + 0.5) <= 2.0
        assert (height + 0.5) / (width - 0.5) >= 0.5
    # the mean of a uniform share, which rounding and misfits hardly move
    assert abs(erased[:, 0].mean() - 0.125) < 0.005


def test_erasing_happens_with_its_probability() -> None:
    ones = np.ones((4000, 1, 28, 28), np.float32)
    share = (RandomErasing(0.25)(ones, 0) == 0).any(axis=(1, 2, 3)).mean()
    assert abs(share - 0.25) < 5 * math.sqrt(0.25 * 0.75 / 4000)


def test_an_image_that_no_rectangle_fits_stays_as_it_was() -> None:
    # Its whole area, four times as high as wide: never smaller than the image in both directions.
    ones = np.ones((50, 1, 8, 8), np.float32)
    np.testing.assert_array_equal(RandomErasing(1.0, scale=(1, 1), ratio=(4, 4))(ones, 0), ones)


def test_erasing_refuses_ranges_that_are_none() -> None:
    for options in ({"p": -0.1}, {"scale": (0.5, 0.2)}, {"scale": (0, 2)}, {"ratio": (0, 1)}, {"ratio": (2, 1)}):
        with pytest.raises(ArgumentError, match="RandomErasing: expected"):
            RandomErasing(**options)


# ---- labels ------------------------------------------------------------------------------------------------------


def test_one_hot_is_pytorchs_in_float32() -> None:
    torch = pytest.importorskip("torch")
    labels = np.array([3, 0, 2, 2])
    expected = torch.nn.functional.one_hot(torch.from_numpy(labels), 5).numpy()
    np.testing.assert_array_equal(OneHot(5)(labels), expected)
    assert OneHot(5)(labels).dtype == np.float32
    assert OneHot(5)(labels[:0]).shape == (0, 5)


def test_one_hot_refuses_labels_beyond_its_classes() -> None:
    with pytest.raises(ArgumentError, match="labels from 0 to 2, got 0 to 3"):
        OneHot(3)(np.array([0, 3]))
    with pytest.raises(ArgumentError, match="got -1"):
        OneHot(3)(np.array([-1]))
    with pytest.raises(DTypeError, match="integer labels, got float64"):
        OneHot(3)(np.array([0.0]))
    with pytest.raises(ArgumentError, match="at least 1 class"):
        OneHot(0)


def test_one_hot_as_target_transform_makes_rows() -> None:
    _, rows = next(iter(DataLoader(Digits(target_transform=OneHot(10)), 32)))
    assert rows.shape == (32, 10)
    np.testing.assert_array_equal(rows.numpy().argmax(axis=1), Digits().labels[:32])


def test_mixup_mixes_images_and_labels_by_the_same_number() -> None:
    # Images that hold their class number everywhere: the mixed label tells what the mixed pixel must be.
    labels = np.arange(10) % 5
    images = np.ones((10, 1, 2, 2), np.float32) * labels.astype(np.float32)[:, None, None, None]
    mixed, rows = MixUp(0.4, num_classes=5)(images, labels, 3)
    np.testing.assert_allclose(rows.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(mixed[:, 0, 0, 0], rows @ np.arange(5), rtol=1e-5, atol=1e-6)
    assert mixed.dtype == rows.dtype == np.float32
    # the mean over the batch is kept, since the partners are a permutation
    np.testing.assert_allclose(mixed.mean(), images.mean(), rtol=1e-5)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_the_mixing_number_has_the_variance_of_its_beta_distribution(alpha: float) -> None:
    mix = MixUp(alpha, num_classes=2)
    rng = np.random.default_rng(0)
    drawn = []
    while len(drawn) < 2000:
        _, rows = mix(np.zeros((2, 1, 1, 1), np.float32), np.array([0, 1]), rng)
        if rows[0, 0] not in (0.0, 1.0):  # the partner was the other one (or the same, which shows nothing)
            drawn.append(rows[0, 0])
    # Var Beta(a, a) = 1 / (4 (2a + 1)); dropping exact 0 and 1 drops the draws with no partner, and rounding
    assert abs(np.var(drawn) - 1 / (4 * (2 * alpha + 1))) < 0.01
    assert abs(np.mean(drawn) - 0.5) < 0.05


def test_mixup_takes_rows_that_are_one_hot_already() -> None:
    images, labels = np.random.default_rng(0).random((6, 1, 2, 2), dtype=np.float32), np.arange(6) % 3
    mix = MixUp(num_classes=3)
    for plain, rows in zip(mix(images, labels, 1), mix(images, OneHot(3)(labels), 1), strict=True):
        np.testing.assert_array_equal(plain, rows)


def test_mixup_in_a_loader_draws_anew_for_each_batch() -> None:
    loader = DataLoader(Digits(), 64, shuffle=True, generator=0, batch_transform=MixUp(num_classes=10))
    epoch = [labels.numpy() for _, labels in loader]
    assert {labels.shape[1] for labels in epoch} == {10}
    largest = {float(labels.max(axis=1).min().round(5)) for labels in epoch}
    assert len(largest) > 20


def test_mixup_refuses_what_it_cannot_mix() -> None:
    with pytest.raises(ArgumentError, match="positive alpha, got 0"):
        MixUp(0, num_classes=2)
    with pytest.raises(ShapeError, match="MixUp: expected 3 labels, or rows of 2"):
        MixUp(num_classes=2)(np.zeros((3, 1, 1, 1), np.float32), np.array([0, 1]))
