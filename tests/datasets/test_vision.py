"""Digits, MNIST and FashionMNIST: what they hold, where they are found, and what is refused."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

import minigrad.datasets
from minigrad.datasets import MNIST, Digits, FashionMNIST, ImageDataset, write_idx
from minigrad.datasets.transforms import Compose, Normalize
from minigrad.errors import DataError, DimError, DTypeError, ShapeError

DIGITS_FILE = Path(minigrad.datasets.__file__).with_name("digits.npz")

real_data = pytest.mark.skipif(not os.environ.get("MINIGRAD_DATA"), reason="MINIGRAD_DATA is not set")


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def sha256(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def write_pair(folder: Path, part: str = "train", count: int = 4, first_label: int = 0, suffix: str = "") -> None:
    """A small image and label file under the names that MNIST has."""
    folder.mkdir(parents=True, exist_ok=True)
    images = np.arange(count * 784, dtype=np.uint32).reshape(count, 28, 28).astype(np.uint8)
    labels = (np.arange(count) + first_label).astype(np.uint8)
    write_idx(folder / f"{part}-images-idx3-ubyte{suffix}", images)
    write_idx(folder / f"{part}-labels-idx1-ubyte{suffix}", labels)


# ---- Digits ------------------------------------------------------------------------------------------------


def test_the_shipped_file_is_the_published_one() -> None:
    # The figures stand in DIGITS.md and come from the folder that the file was taken from.
    assert hashlib.sha256(DIGITS_FILE.read_bytes()).hexdigest() == (
        "b2dab7b501728c22e9119ad76740b2e17c77a231e42d1e592380d90886f1a05e"
    )
    with np.load(DIGITS_FILE, allow_pickle=False) as file:
        assert sha256(file["images"]) == "8f26b2bd9d135c256808f68f14fdabddde6d9c7f869ae419704b051f0f14b3b3"
        assert sha256(file["labels"]) == "8ba4f891220f5e4c9c819638d1602d74b83618f167043c6da52a2a247841ddf0"


def test_the_two_parts_of_digits_are_the_whole_and_share_nothing() -> None:
    with np.load(DIGITS_FILE, allow_pickle=False) as file:
        whole = [image.tobytes() for image in file["images"]]
    train, test = Digits(train=True), Digits(train=False)
    parts = [image.tobytes() for image in np.concatenate([train.images, test.images])]
    # All 1,797 images differ, so that the multiset says which sample went where.
    assert len(set(whole)) == 1797
    assert sorted(parts) == sorted(whole)


def test_each_class_of_digits_is_divided_four_to_one() -> None:
    train, test = np.bincount(Digits().labels), np.bincount(Digits(train=False).labels)
    # 178 182 177 183 181 182 181 179 174 180 in the whole: 360/1797 of each, rounded by largest remainder
    assert test.tolist() == [36, 37, 35, 37, 36, 36, 36, 36, 35, 36]
    assert (train + test).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_the_division_of_digits_never_changes() -> None:
    assert sha256(Digits(train=True).images) == "c584843453abe9e6064af6866c0c6b67ef8ecabc8a908640382836e5d51a9ffc"
    assert sha256(Digits(train=False).images) == "c4a6437d004c678f8d5f893fb4f6f94e1b550c3ec7f363e232890c975c01cc0a"


def test_pixels_of_digits_are_sixteenths() -> None:
    digits = Digits()
    image, label = digits[3]
    assert image.dtype == np.float32
    assert type(label) is int
    np.testing.assert_array_equal(image.numpy() * 16, digits.images[3])
    assert image.numpy().max() <= 1.0


# ---- indexing ----------------------------------------------------------------------------------------------


@pytest.fixture
def tiny() -> ImageDataset:
    images = np.random.default_rng(0).integers(0, 256, (6, 2, 5, 4), dtype=np.uint8)
    return ImageDataset(images, np.array([0, 1, 2, 0, 1, 2]), ("a", "b", "c"))


def test_pixels_are_divided_by_255_exactly_as_torchvision_does(tiny: ImageDataset) -> None:
    np.testing.assert_array_equal(tiny[:][0].numpy(), tiny.images.astype(np.float32) / np.float32(255))


@pytest.mark.parametrize("index", [[1, 4], np.array([1, 4]), slice(1, 5, 3), [-5, -2], np.uint8([1, 4])])
def test_a_batch_is_what_its_samples_are(tiny: ImageDataset, index: object) -> None:
    images, labels = tiny[index]
    assert images.shape == (2, 2, 5, 4)
    assert labels.dtype == np.int64
    for row, sample in enumerate((1, 4)):
        image, label = tiny[sample]
        np.testing.assert_array_equal(images.numpy()[row], image.numpy())
        assert labels.numpy()[row] == label


def test_a_mask_chooses_its_samples(tiny: ImageDataset) -> None:
    np.testing.assert_array_equal(tiny[tiny.labels == 2][1].numpy(), [2, 2])


def test_iteration_ends_after_the_last_sample(tiny: ImageDataset) -> None:
    assert [label for _, label in tiny] == [0, 1, 2, 0, 1, 2]


def test_an_index_out_of_range_is_an_error_that_names_the_range(tiny: ImageDataset) -> None:
    for index in (6, -7, [0, 6]):
        with pytest.raises(DimError, match="from -6 to 5 for 6 samples"):
            tiny[index]


def test_an_index_that_is_no_integer_is_refused(tiny: ImageDataset) -> None:
    for index in (0.5, "0", [[0, 1]], [0.0]):
        with pytest.raises(DTypeError, match="expected integers"):
            tiny[index]
    with pytest.raises(DimError, match="mask of shape"):
        tiny[np.array([True, False])]


# ---- transforms --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrap", [lambda t: t, lambda t: Compose([t])])
def test_normalising_bytes_in_one_pass_is_the_textbook_formula(wrap) -> None:
    images = np.random.default_rng(0).integers(0, 256, (6, 2, 5, 4), dtype=np.uint8)
    transform = wrap(Normalize([0.2, 0.5], [0.3, 0.7]))
    dataset = ImageDataset(images, np.zeros(6, np.int64), ("a",), transform=transform)
    mean, std = np.array([0.2, 0.5]).reshape(2, 1, 1), np.array([0.3, 0.7]).reshape(2, 1, 1)
    np.testing.assert_allclose(dataset[:][0].numpy(), (images / 255 - mean) / std, rtol=1e-6, atol=3e-7)


def test_a_plain_function_is_a_transform_of_the_batch(tiny: ImageDataset) -> None:
    dataset = ImageDataset(tiny.images, tiny.labels, tiny.classes, transform=lambda x: 1 - x)
    np.testing.assert_array_equal(dataset[2][0].numpy(), 1 - tiny[2][0].numpy())


def test_a_target_transform_sees_the_labels_of_the_batch(tiny: ImageDataset) -> None:
    dataset = ImageDataset(tiny.images, tiny.labels, tiny.classes, target_transform=lambda y: y * 10)
    assert dataset[[1, 2]][1].numpy().tolist() == [10, 20]
    assert dataset[2][1] == 20
    halves = ImageDataset(tiny.images, tiny.labels, tiny.classes, target_transform=lambda y: y / 4)
    assert halves[2][1] == 0.5


def test_a_transform_that_returns_something_else_is_named(tiny: ImageDataset) -> None:
    def double(images):
        return images.astype(np.float64)

    def halve(images):
        return images[::2]

    with pytest.raises(DTypeError, match="transform double: expected a float32"):
        ImageDataset(tiny.images, tiny.labels, tiny.classes, transform=double)[0]
    with pytest.raises(ShapeError, match="transform halve: expected one image for each of the 2"):
        ImageDataset(tiny.images, tiny.labels, tiny.classes, transform=halve)[[0, 1]]
    with pytest.raises(DTypeError, match="expected transform to be a function or None, got int"):
        ImageDataset(tiny.images, tiny.labels, tiny.classes, transform=3)


def test_a_subclass_of_normalize_is_not_taken_for_it(tiny: ImageDataset) -> None:
    class Doubled(Normalize):
        def transform(self, images: np.ndarray, generator: object) -> np.ndarray:
            return 2 * super().transform(images, generator)

    plain, doubled = (
        ImageDataset(tiny.images, tiny.labels, tiny.classes, transform=kind(0.5, 0.5)) for kind in (Normalize, Doubled)
    )
    np.testing.assert_allclose(doubled[:][0].numpy(), 2 * plain[:][0].numpy(), atol=1e-6)


@pytest.mark.parametrize(
    ("images", "labels", "error"),
    [
        (np.zeros((2, 1, 4, 4), np.float32), np.zeros(2, np.int64), DTypeError),
        (np.zeros((2, 1, 4, 4), np.uint8), np.zeros(2), DTypeError),
        (np.zeros((2, 4, 4), np.uint8), np.zeros(2, np.int64), ShapeError),
        (np.zeros((2, 1, 4, 4), np.uint8), np.zeros(3, np.int64), ShapeError),
    ],
)
def test_arrays_that_are_no_images_with_labels_are_refused(images: np.ndarray, labels: np.ndarray, error: type) -> None:
    with pytest.raises(error, match="ImageDataset: expected"):
        ImageDataset(images, labels, ("a",))


# ---- where the files are found -----------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("place", ["", "mnist", "MNIST/raw"])
def test_root_may_hold_the_files_or_their_folder(tmp_path: Path, place: str, suffix: str) -> None:
    write_pair(tmp_path / place, suffix=suffix)
    mnist = MNIST(tmp_path)
    assert mnist.folder == tmp_path / place
    assert mnist.images.shape == (4, 1, 28, 28)
    assert mnist.labels.tolist() == [0, 1, 2, 3]
    assert mnist.images[1, 0, 0, 0] == 784 % 256


def test_folders_are_searched_in_the_order_root_variable_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_pair(tmp_path / "root", first_label=1)
    write_pair(tmp_path / "variable" / "mnist", first_label=2)
    write_pair(tmp_path / "cache" / "minigrad" / "mnist", first_label=3)
    monkeypatch.setenv("MINIGRAD_DATA", str(tmp_path / "variable"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert MNIST(tmp_path / "root").labels[0] == 1
    assert MNIST(tmp_path / "nowhere").labels[0] == 2
    assert MNIST().labels[0] == 2
    monkeypatch.delenv("MINIGRAD_DATA")
    assert MNIST().labels[0] == 3


def test_without_xdg_the_cache_is_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("MINIGRAD_DATA", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    write_pair(tmp_path / ".cache" / "minigrad" / "fashion-mnist")
    assert FashionMNIST().classes[9] == "Ankle boot"


def test_the_training_part_is_enough_to_train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MINIGRAD_DATA", raising=False)
    write_pair(tmp_path, "train")
    assert len(MNIST(tmp_path, train=True)) == 4
    with pytest.raises(DataError, match="t10k-images-idx3-ubyte"):
        MNIST(tmp_path, train=False)


def test_a_missing_set_says_where_it_looked_and_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINIGRAD_DATA", str(tmp_path / "variable"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(DataError) as caught:
        MNIST(tmp_path / "root")
    message = str(caught.value)
    for place in ("root", "root/mnist", "root/MNIST/raw", "variable/mnist", "cache/minigrad/mnist"):
        assert str(tmp_path / place) in message
    for advice in ("download=True", "root=FOLDER", "MINIGRAD_DATA=FOLDER"):
        assert advice in message


# ---- files that do not fit ---------------------------------------------------------------------------------


def test_labels_without_images_are_refused(tmp_path: Path) -> None:
    write_pair(tmp_path)
    write_idx(tmp_path / "train-labels-idx1-ubyte", np.zeros(5, np.uint8))
    with pytest.raises(DataError, match="expected 4 uint8 labels, one for each image, got uint8 \\(5,\\)"):
        MNIST(tmp_path)


def test_a_label_beyond_the_classes_is_refused(tmp_path: Path) -> None:
    write_pair(tmp_path, first_label=7)
    with pytest.raises(DataError, match="labels from 0 to 9, got 10"):
        MNIST(tmp_path)


@pytest.mark.parametrize(
    "images",
    [np.zeros((4, 8, 8), np.uint8), np.zeros((4, 28, 28), np.float32), np.zeros((0, 28, 28), np.uint8)],
)
def test_images_of_another_form_are_refused(tmp_path: Path, images: np.ndarray) -> None:
    write_pair(tmp_path)
    write_idx(tmp_path / "train-images-idx3-ubyte", images)
    with pytest.raises(DataError, match="expected uint8 images of shape"):
        MNIST(tmp_path)


def test_a_cut_file_is_refused_and_no_other_folder_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_pair(tmp_path / "root", suffix=".gz")
    write_pair(tmp_path / "variable" / "mnist")
    monkeypatch.setenv("MINIGRAD_DATA", str(tmp_path / "variable"))
    file = tmp_path / "root" / "train-images-idx3-ubyte.gz"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(DataError, match="cannot be read"):
        MNIST(tmp_path / "root")


# ---- the real files ----------------------------------------------------------------------------------------


@real_data
@pytest.mark.parametrize(
    ("kind", "counts"),
    [
        # The class counts of MNIST as its papers give them; Fashion-MNIST is balanced.
        (MNIST, [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]),
        (FashionMNIST, [1000] * 10),
    ],
)
def test_the_published_test_sets_have_their_known_class_counts(kind: type[MNIST], counts: list[int]) -> None:
    data = kind(train=False)
    assert data.images.shape == (10000, 1, 28, 28)
    assert np.bincount(data.labels).tolist() == counts


@real_data
def test_the_known_mean_and_deviation_of_mnist_normalise_it() -> None:
    images = MNIST().images
    assert images.shape == (60000, 1, 28, 28)
    # 0.1307 and 0.3081, which every MNIST script has
    assert round(float(images.mean() / 255), 4) == 0.1307
    assert round(float(images.std() / 255), 4) == 0.3081


@real_data
def test_fashion_files_are_not_taken_for_digits() -> None:
    folder = Path(os.environ["MINIGRAD_DATA"])
    with pytest.raises(DataError, match="got those of FashionMNIST"):
        MNIST(folder / "fashion-mnist", train=False)
    with pytest.raises(DataError, match="got those of MNIST"):
        FashionMNIST(folder / "mnist", train=False)
