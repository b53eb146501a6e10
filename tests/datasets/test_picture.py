"""The grid picture: its pixels, its labels, and that drawing opens no window."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from minigrad.datasets import Digits, ImageDataset, TensorDataset, draw_samples
from minigrad.datasets.picture import tile
from minigrad.datasets.transforms import Normalize, OneHot
from minigrad.errors import ArgumentError, DTypeError, ShapeError


def texts(figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def test_images_lie_row_by_row_in_the_tiles() -> None:
    images = np.full((5, 1, 8, 8), 0.5, np.float32) * np.linspace(0, 1, 5, dtype=np.float32)[:, None, None, None]
    mosaic = tile(images, 3)
    height, width = mosaic.shape[0] // 2, mosaic.shape[1] // 3
    assert (height, width) == (8 + 3, 8 + 1)
    for k in range(5):
        cell = mosaic[k // 3 * height :, k % 3 * width :][:height, :width]
        np.testing.assert_array_equal(cell[:8, :8], images[k, 0])
        assert (cell[8:] == 1).all()
        assert (cell[:, 8:] == 1).all()
    # the place of the sixth is empty
    assert (mosaic[height:, 2 * width :] == 1).all()


def test_colours_become_the_last_dimension() -> None:
    images = np.random.default_rng(0).random((2, 3, 4, 4), dtype=np.float32)
    mosaic = tile(images, 2)
    assert mosaic.shape[2] == 3
    np.testing.assert_array_equal(mosaic[:4, :4], images[0].transpose(1, 2, 0))


def test_values_beyond_the_grey_scale_are_brought_into_it_together() -> None:
    images = np.array([-1.0, 0.0, 3.0], np.float32).reshape(3, 1, 1, 1)
    mosaic = tile(images, 3)
    assert mosaic[0, [0, 2, 4]].tolist() == [0.0, 0.25, 1.0]


def test_each_image_has_its_label_and_wrong_predictions_both_names() -> None:
    digits = Digits()
    predictions = digits.labels[:6].copy()
    predictions[4] = (predictions[4] + 1) % 10
    figure = draw_samples(digits, range(6), predictions=predictions, columns=3, title="Digits")
    expected = [str(label) for label in digits.labels[:6]]
    expected[4] = f"{predictions[4]}, not {digits.labels[4]}"
    assert texts(figure) == expected
    colours = [text.get_color() for text in figure.axes[0].texts]
    assert colours[4] != colours[0] == colours[5]
    assert figure.axes[0].get_title() == "Digits"


def test_class_names_are_written_where_there_are_some() -> None:
    dataset = ImageDataset(np.zeros((2, 1, 8, 8), np.uint8), np.array([1, 0]), ("cat", "dog"))
    assert texts(draw_samples(dataset)) == ["dog", "cat"]
    assert texts(draw_samples(TensorDataset(np.zeros((2, 1, 8, 8), np.float32), np.array([1, 0])))) == ["1", "0"]


def test_transformed_images_and_one_hot_labels_are_drawn_too() -> None:
    dataset = Digits(transform=Normalize(0.3, 0.4), target_transform=OneHot(10))
    assert texts(draw_samples(dataset, [0, 1])) == [str(label) for label in Digits().labels[:2]]


def test_without_indices_it_is_the_first_25_or_as_many_as_there_are() -> None:
    assert len(texts(draw_samples(Digits()))) == 25
    assert len(texts(draw_samples(TensorDataset(np.zeros((3, 1, 4, 4), np.float32), np.zeros(3, np.int64))))) == 3


@pytest.mark.parametrize(("suffix", "magic"), [(".png", b"\x89PNG"), (".pdf", b"%PDF"), (".svg", b"<?xml")])
def test_the_suffix_chooses_the_file_format(tmp_path: Path, suffix: str, magic: bytes) -> None:
    draw_samples(Digits(), range(4), path=tmp_path / f"digits{suffix}")
    assert (tmp_path / f"digits{suffix}").read_bytes().startswith(magic)


def test_the_png_shows_the_pixels_of_the_samples(tmp_path: Path) -> None:
    from matplotlib import image

    draw_samples(Digits(), [3], path=tmp_path / "digit.png")
    shown = image.imread(tmp_path / "digit.png")[..., 0]
    values = {round(v * 255) for v in shown.ravel().tolist()}
    # matplotlib's grey scale has 256 levels
    assert {round(int(v) / 16 * 255) for v in Digits().images[3].ravel()} <= {v + d for v in values for d in (-1, 0, 1)}


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(ArgumentError, match="at least one sample, got none"):
        draw_samples(Digits(), [])
    with pytest.raises(ArgumentError, match="at least 1 column, got 0"):
        draw_samples(Digits(), [0], columns=0)
    with pytest.raises(ShapeError, match="one prediction for each of 2 samples"):
        draw_samples(Digits(), [0, 1], predictions=[1])
    with pytest.raises(ShapeError, match="1 or 3 channels"):
        draw_samples(TensorDataset(np.zeros((3, 2)), np.zeros(3, np.int64)))
    with pytest.raises(ShapeError, match="a class number for each image"):
        draw_samples(TensorDataset(np.zeros((3, 1, 2, 2)), np.zeros(3)))
    with pytest.raises(DTypeError, match=r"samples \(image, label\)"):
        draw_samples([np.zeros((1, 2, 2), np.float32)])


def test_matplotlib_is_imported_when_something_is_drawn_and_pyplot_never() -> None:
    program = (
        "import sys; from minigrad.datasets import Digits, draw_samples; "
        "before = 'matplotlib' in sys.modules; draw_samples(Digits(), [0]); "
        "print(before, 'matplotlib' in sys.modules, 'matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True", "False"]
