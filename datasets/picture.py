"""A picture of samples: small images in a grid, each with its label."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.datasets.dataset import gather
from minigrad.errors import ArgumentError, DTypeError, ShapeError
from minigrad.tensor import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_samples", "tile"]

# Inches: one image with its label.
_CELL = 0.9

_RIGHT, _WRONG = "#1a1a1a", "#c1121f"


def draw_samples(
    dataset: Any,
    indices: Sequence[int] | np.ndarray | None = None,
    *,
    predictions: Sequence[int] | np.ndarray | None = None,
    columns: int | None = None,
    title: str | None = None,
    path: str | os.PathLike[str] | None = None,
) -> Figure:
    """Draw samples of an image dataset in a grid, with their labels and, if given, what a model predicted.

    A wrong prediction reads `predicted, not label` in red. One grey scale, or one range of colours, serves all images,
    so that brightness can be compared; images that a transform has moved out of [0, 1] are brought back by their
    common minimum and maximum.

    Parameters
    ----------
    dataset : Dataset or sequence
        Samples are (image, label): an image (C, H, W) with 1 or 3 channels, and a class number.
    indices : sequence of int, optional
        Which samples; the first 25 if not given.
    predictions : sequence of int, optional
        The predicted class of each of these samples.
    columns : int, optional
        Images in a row; as many as make the grid square if not given.
    title : str, optional
        Stands above.
    path : str or path-like, optional
        Write the picture there, in the format of the suffix (`.png`, `.pdf`, `.svg`).

    Returns
    -------
    matplotlib.figure.Figure
        Made without pyplot: no window opens and nothing has to be closed.

    Raises
    ------
    ArgumentError
        No sample, or fewer than one column.
    ShapeError
        The samples are not images, or there is not one prediction for each.

    Examples
    --------
    >>> from minigrad.datasets import Digits
    >>> figure = draw_samples(Digits(), range(12), columns=6)
    >>> [text.get_text() for text in figure.axes[0].texts][:3]
    ['0', '1', '4']
    """
    # Drawing is the only use of matplotlib, whose import takes longer than everything else here.
    from matplotlib.figure import Figure

    chosen = np.arange(min(25, len(dataset))) if indices is None else np.asarray(indices, dtype=np.int64)
    if chosen.ndim != 1 or not chosen.size:
        raise ArgumentError("draw_samples: expected at least one sample, got none. Pass indices such as range(25).")
    images, labels = _samples(dataset, chosen)
    if predictions is not None and np.shape(predictions) != chosen.shape:
        raise ShapeError(
            f"draw_samples: expected one prediction for each of {len(chosen)} samples, got shape "
            f"{np.shape(predictions)}. Pass class numbers."
        )
    columns = math.ceil(math.sqrt(len(chosen))) if columns is None else columns
    mosaic = tile(images, columns)

    rows = math.ceil(len(chosen) / columns)
    figure = Figure(figsize=(columns * _CELL, rows * _CELL + (0.4 if title else 0.1)), layout="constrained")
    axes = figure.add_subplot()
    axes.set_axis_off()
    if title:
        axes.set_title(title)
    # One picture and the labels as text on it: hundreds of axes would take seconds.
    axes.imshow(mosaic, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    height, width = mosaic.shape[0] / rows, mosaic.shape[1] / columns
    names = getattr(dataset, "classes", None)
    for k, label in enumerate(labels.tolist()):
        predicted = label if predictions is None else int(np.asarray(predictions)[k])
        text = _name(names, label)
        if predicted != label:
            text = f"{_name(names, predicted)}, not {text}"
        axes.text(
            (k % columns + 0.5) * width - 0.5,
            k // columns * height + images.shape[2] - 0.5,
            text,
            color=_RIGHT if predicted == label else _WRONG,
            fontsize=7 if len(text) < 14 else 5,  # two long names fill a column at 5
            ha="center",
            va="top",
        )
    if path is not None:
        figure.savefig(path, dpi=150)
    return figure


def tile(images: np.ndarray, columns: int) -> np.ndarray:
    """Lay images beside each other, with a white margin and room for a line of text under each.

    Parameters
    ----------
    images : numpy.ndarray
        (N, C, H, W) with 1 or 3 channels, in [0, 1] or brought into it by the common minimum and maximum.
    columns : int
        Images in a row.

    Returns
    -------
    numpy.ndarray
        float32 (rows * (H + margin), columns * (W + margin)), with a last dimension of 3 for colours.

    Raises
    ------
    ShapeError
        `images` has another form.
    ArgumentError
        `columns` is below 1.
    """
    if images.ndim != 4 or images.shape[1] not in (1, 3) or 0 in images.shape:
        raise ShapeError(
            f"tile: expected images of shape (N, C, H, W) with 1 or 3 channels, got {images.shape}. "
            "Choose or reshape the channels."
        )
    if columns < 1:
        raise ArgumentError(f"tile: expected at least 1 column, got {columns}. Pass for example 5.")
    low, high = float(images.min()), float(images.max())
    if low < 0 or high > 1:
        images = (images - low) / (high - low)
    count, channels, height, width = images.shape
    rows = math.ceil(count / columns)
    side, line = max(1, width // 8), max(3, height // 3)
    cells = np.ones((rows * columns, channels, height + line, width + side), np.float32)
    left = side // 2
    cells[:count, :, :height, left : left + width] = images
    grid = cells.reshape(rows, columns, channels, height + line, width + side)
    # (rows, columns, C, h, w) -> (rows, h, columns, w, C)
    mosaic = grid.transpose(0, 3, 1, 4, 2).reshape(rows * (height + line), columns * (width + side), channels)
    return mosaic[..., 0] if channels == 1 else mosaic


def _samples(dataset: Any, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    batch = gather(dataset, indices)
    if not (isinstance(batch, (tuple, list)) and len(batch) == 2 and all(isinstance(part, Tensor) for part in batch)):
        raise DTypeError(
            f"draw_samples: expected samples (image, label), got {type(batch).__name__}. Pass an image dataset."
        )
    images, labels = batch[0].data, batch[1].data
    if labels.ndim == 2:  # one-hot rows
        labels = labels.argmax(axis=1)
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise ShapeError(
            f"draw_samples: expected a class number for each image, got {labels.dtype} of shape {labels.shape}. "
            "Pass a dataset of images with classes."
        )
    return images, labels


def _name(names: Sequence[str] | None, label: int) -> str:
    return names[label] if names is not None and 0 <= label < len(names) else str(label)
