"""What changes labels: one-hot rows, and mixtures of images with their labels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.datasets.seeding import numpy_generator
from minigrad.errors import ArgumentError, DTypeError, ShapeError

__all__ = ["MixUp", "OneHot"]


class OneHot:
    """Class numbers (B,) to float32 rows (B, classes) with a 1 at the class: a `target_transform`.

    Parameters
    ----------
    num_classes : int
        How many classes there are.

    Raises
    ------
    ArgumentError
        Fewer than one class, or, when called, a label outside [0, num_classes).
    DTypeError
        When called: the labels are no integers.

    Examples
    --------
    >>> OneHot(3)(np.array([2, 0]))
    array([[0., 0., 1.],
           [1., 0., 0.]], dtype=float32)
    """

    def __init__(self, num_classes: int) -> None:
        if not isinstance(num_classes, int) or num_classes < 1:
            raise ArgumentError(f"OneHot: expected at least 1 class, got {num_classes}. Pass for example 10.")
        self.num_classes = num_classes

    def __call__(self, labels: np.ndarray) -> np.ndarray:
        if labels.dtype.kind not in "iu":
            raise DTypeError(f"OneHot: expected integer labels, got {labels.dtype}. Pass class numbers.")
        if labels.size and (labels.min() < 0 or labels.max() >= self.num_classes):
            raise ArgumentError(
                f"OneHot: expected labels from 0 to {self.num_classes - 1}, got {labels.min()} to {labels.max()}. "
                "Give num_classes the number of classes."
            )
        rows = np.zeros((*labels.shape, self.num_classes), np.float32)
        np.put_along_axis(rows, labels[..., None], 1.0, axis=-1)
        return rows

    def __repr__(self) -> str:
        return f"OneHot({self.num_classes})"


class MixUp:
    """Mix each sample with another one of its batch: a `batch_transform` of the DataLoader.

        x~ = l x_i + (1 - l) x_j,    y~ = l y_i + (1 - l) y_j,    l ~ Beta(alpha, alpha)

    with one l for the batch, j a permutation of it, and y one-hot.

    Parameters
    ----------
    alpha : float, default 1.0
        Near 0, l is nearly always almost 0 or 1; at 1 it is uniform.
    num_classes : int
        How many classes there are.

    Raises
    ------
    ArgumentError
        alpha is not positive and finite, or num_classes is below 1.
    ShapeError
        When called: there is not one label, or one row of `num_classes`, for each image.

    References
    ----------
    H. Zhang, M. Cisse, Y. Dauphin and D. Lopez-Paz, "mixup: Beyond Empirical Risk Minimization", ICLR 2018,
    arXiv:1710.09412. torchvision.transforms.v2.MixUp.

    Examples
    --------
    >>> images = np.zeros((2, 1, 4, 4), np.float32)
    >>> images, labels = MixUp(num_classes=2)(images, np.array([0, 1]), generator=0)
    >>> labels.sum(axis=1).tolist()
    [1.0, 1.0]
    """

    def __init__(self, alpha: float = 1.0, *, num_classes: int) -> None:
        if not 0 < alpha < math.inf:
            raise ArgumentError(f"MixUp: expected a positive alpha, got {alpha}. Pass for example 0.2.")
        self.alpha = alpha
        self.one_hot = OneHot(num_classes)

    def __call__(self, images: np.ndarray, labels: np.ndarray, generator: Any = None) -> tuple[np.ndarray, np.ndarray]:
        rows = self.one_hot(labels) if labels.ndim == 1 else labels
        if rows.shape != (len(images), self.one_hot.num_classes):
            raise ShapeError(
                f"MixUp: expected {len(images)} labels, or rows of {self.one_hot.num_classes}, one for each image, "
                f"got shape {labels.shape}. Pass class numbers or one-hot rows."
            )
        rng = numpy_generator(generator)
        mix = np.float32(rng.beta(self.alpha, self.alpha))
        partner = rng.permutation(len(images))
        return mix * images + (1 - mix) * images[partner], mix * rows + (1 - mix) * rows[partner]

    def __repr__(self) -> str:
        return f"MixUp({self.alpha}, num_classes={self.one_hot.num_classes})"
