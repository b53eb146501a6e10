"""Random changes of images that keep their class: crop, shift, flip, rotation, erasing.

Each draws for every image of the batch on its own and does the batch in a few array operations. New pixels get the
value `fill`, which is in the units of the images at that point: put these before `Normalize`, where 0 is black.
"""

from __future__ import annotations

import math
from numbers import Integral

import numpy as np

from minigrad.datasets.batchwise import Transform
from minigrad.datasets.rotation import rotate
from minigrad.errors import ArgumentError, ShapeError

__all__ = [
    "RandomCrop",
    "RandomErasing",
    "RandomHorizontalFlip",
    "RandomRotation",
    "RandomShift",
    "RandomVerticalFlip",
]

# How often RandomErasing looks for a rectangle that fits, as in torchvision.
_ATTEMPTS = 10


class RandomCrop(Transform):
    """Cut a window of a given size out of each image, at a place drawn uniformly.

    Parameters
    ----------
    size : int or (int, int)
        Height and width of the window.
    padding : int, default 0
        Pixels added on every side before.
    fill : float, default 0.0
        Their value.

    Raises
    ------
    ArgumentError
        A size below 1 or a negative padding.
    ShapeError
        When called: the padded image is smaller than the window.

    References
    ----------
    torchvision.transforms.RandomCrop.

    Examples
    --------
    >>> import numpy as np
    >>> RandomCrop(24)(np.zeros((8, 1, 28, 28), np.float32), np.random.default_rng(0)).shape
    (8, 1, 24, 24)
    """

    random = True

    def __init__(self, size: int | tuple[int, int], padding: int = 0, fill: float = 0.0) -> None:
        self.size = _pair("RandomCrop: size", size, least=1)
        self.padding = _pair("RandomCrop: padding", padding, least=0)[0]
        self.fill = fill

    def transform(self, images: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        padded = _pad(images, self.padding, self.padding, self.fill)
        (height, width), (h, w) = padded.shape[2:], self.size
        if h > height or w > width:
            raise ShapeError(
                f"RandomCrop: expected images of at least {h}x{w} pixels with their padding, got {height}x{width}. "
                "Make size smaller or padding larger."
            )
        top = generator.integers(0, height - h + 1, len(images))
        left = generator.integers(0, width - w + 1, len(images))
        return _windows(padded, top, left, h, w)

    def __repr__(self) -> str:
        return f"RandomCrop({self.size}, padding={self.padding}, fill={self.fill})"


class RandomShift(Transform):
    """Move each image by a whole number of pixels, drawn uniformly from -pixels to pixels, in both directions.

    Parameters
    ----------
    pixels : int or (int, int)
        The largest shift down or up, and to the right or left.
    fill : float, default 0.0
        The value of the pixels that come in.

    Raises
    ------
    ArgumentError
        A negative number of pixels.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.zeros((1, 1, 5, 5), np.float32)
    >>> x[0, 0, 2, 2] = 1.0
    >>> y = RandomShift(1)(x, np.random.default_rng(0))
    >>> y.shape, float(y[:, :, 1:4, 1:4].sum())
    ((1, 1, 5, 5), 1.0)
    """

    random = True

    def __init__(self, pixels: int | tuple[int, int], fill: float = 0.0) -> None:
        self.pixels = _pair("RandomShift: pixels", pixels, least=0)
        self.fill = fill

    def transform(self, images: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        down, right = self.pixels
        top = generator.integers(0, 2 * down + 1, len(images))
        left = generator.integers(0, 2 * right + 1, len(images))
        return _windows(_pad(images, down, right, self.fill), top, left, *images.shape[2:])

    def __repr__(self) -> str:
        return f"RandomShift({self.pixels}, fill={self.fill})"


class _RandomFlip(Transform):
    """Mirror each image with probability p."""

    random = True
    axis: int

    def __init__(self, p: float = 0.5) -> None:
        self.p = _probability(type(self).__name__, p)

    def transform(self, images: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        chosen = generator.random(len(images)) < self.p
        flipped = images.copy()
        flipped[chosen] = np.flip(images[chosen], self.axis)
        return flipped

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.p})"


class RandomHorizontalFlip(_RandomFlip):
    """Exchange left and right of each image with probability `p`; not for digits and letters.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(4.0, dtype=np.float32).reshape(1, 1, 2, 2)
    >>> RandomHorizontalFlip(p=1.0)(x, np.random.default_rng(0))[0, 0]
    array([[1., 0.],
           [3., 2.]], dtype=float32)
    """

    axis = 3


class RandomVerticalFlip(_RandomFlip):
    """Exchange top and bottom of each image with probability `p`.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(4.0, dtype=np.float32).reshape(1, 1, 2, 2)
    >>> RandomVerticalFlip(p=1.0)(x, np.random.default_rng(0))[0, 0]
    array([[2., 3.],
           [0., 1.]], dtype=float32)
    """

    axis = 2


class RandomRotation(Transform):
    """Rotate each image about its centre by an angle drawn uniformly.

    Parameters
    ----------
    degrees : float or (float, float)
        The angle is between these two, or between -degrees and degrees; positive is counter-clockwise.
    fill : float, default 0.0
        The value outside the image.

    Raises
    ------
    ArgumentError
        An angle that is not finite, or a pair in falling order.

    References
    ----------
    torchvision.transforms.RandomRotation, with bilinear interpolation.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(9.0, dtype=np.float32).reshape(1, 1, 3, 3)
    >>> RandomRotation((90, 90))(x, np.random.default_rng(0))[0, 0].round(3)
    array([[2., 5., 8.],
           [1., 4., 7.],
           [0., 3., 6.]], dtype=float32)
    """

    random = True

    def __init__(self, degrees: float | tuple[float, float], fill: float = 0.0) -> None:
        low, high = degrees if isinstance(degrees, tuple) else (-degrees, degrees)
        if not (math.isfinite(low) and math.isfinite(high) and low <= high):
            raise ArgumentError(
                f"RandomRotation: expected a number of degrees of at least 0 or a rising pair, got {degrees}. "
                "Pass for example 10."
            )
        self.degrees = (low, high)
        self.fill = fill

    def transform(self, images: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        return rotate(images, generator.uniform(*self.degrees, len(images)), self.fill)

    def __repr__(self) -> str:
        return f"RandomRotation({self.degrees}, fill={self.fill})"


class RandomErasing(Transform):
    """Overwrite a rectangle of each image, with probability `p`.

    The rectangle has a share of the image area drawn uniformly from `scale` and a ratio of height to width drawn
    uniformly in its logarithm from `ratio`. It has to be smaller than the image in both directions; after ten draws
    without one that is, the image stays as it was.

    Parameters
    ----------
    p : float, default 0.5
        How probable it is that an image is changed.
    scale : (float, float), default (0.02, 0.33)
        Smallest and largest share of the area.
    ratio : (float, float), default (0.3, 3.3)
        Smallest and largest ratio of height to width.
    fill : float, default 0.0
        The new value of its pixels.

    Raises
    ------
    ArgumentError
        p or scale is outside [0, 1], or a pair is in falling order or not positive where it must be.

    References
    ----------
    Z. Zhong, L. Zheng, G. Kang, S. Li and Y. Yang, "Random Erasing Data Augmentation", AAAI 2020, arXiv:1708.04896.
    torchvision.transforms.RandomErasing.

    Examples
    --------
    >>> import numpy as np
    >>> erase = RandomErasing(p=1.0, scale=(0.25, 0.25), ratio=(1.0, 1.0))
    >>> y = erase(np.ones((1, 1, 8, 8), np.float32), np.random.default_rng(0))
    >>> 64 - int(y.sum())  # a square of a quarter of the pixels
    16
    """

    random = True

    def __init__(
        self,
        p: float = 0.5,
        scale: tuple[float, float] = (0.02, 0.33),
        ratio: tuple[float, float] = (0.3, 3.3),
        fill: float = 0.0,
    ) -> None:
        self.p = _probability("RandomErasing", p)
        if not 0 <= scale[0] <= scale[1] <= 1:
            raise ArgumentError(
                f"RandomErasing: expected scale to be a rising pair in [0, 1], got {scale}. "
                "Pass for example (0.02, 0.33)."
            )
        if not 0 < ratio[0] <= ratio[1] < math.inf:
            raise ArgumentError(
                f"RandomErasing: expected ratio to be a rising pair above 0, got {ratio}. Pass for example (0.3, 3.3)."
            )
        self.scale = scale
        self.ratio = ratio
        self.fill = fill

    def transform(self, images: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        batch, _, height, width = images.shape
        chosen = generator.random(batch) < self.p
        area = height * width * generator.uniform(*self.scale, (_ATTEMPTS, batch))
        ratio = np.exp(generator.uniform(math.log(self.ratio[0]), math.log(self.ratio[1]), (_ATTEMPTS, batch)))
        heights = np.rint(np.sqrt(area * ratio))
        widths = np.rint(np.sqrt(area / ratio))
        fits = (heights < height) & (widths < width)
        first = fits.argmax(axis=0), np.arange(batch)
        h, w = heights[first], widths[first]
        top = np.floor(generator.random(batch) * (height - h + 1))
        left = np.floor(generator.random(batch) * (width - w + 1))
        inside_y = _between(np.arange(height), top, top + h)  # (B, H)
        inside_x = _between(np.arange(width), left, left + w)  # (B, W)
        inside = inside_y[:, :, None] & inside_x[:, None, :] & (chosen & fits[first])[:, None, None]
        return np.where(inside[:, None], np.float32(self.fill), images)

    def __repr__(self) -> str:
        return f"RandomErasing({self.p}, scale={self.scale}, ratio={self.ratio}, fill={self.fill})"


def _pad(images: np.ndarray, down: int, right: int, fill: float) -> np.ndarray:
    return np.pad(images, ((0, 0), (0, 0), (down, down), (right, right)), constant_values=fill)


def _windows(images: np.ndarray, top: np.ndarray, left: np.ndarray, height: int, width: int) -> np.ndarray:
    """One window of each image, (B, C, H, W) -> (B, C, height, width)."""
    # (B, C, H - height + 1, W - width + 1, height, width), a view
    windows = np.lib.stride_tricks.sliding_window_view(images, (height, width), axis=(2, 3))
    return windows[np.arange(len(images)), :, top, left]


def _between(places: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    return (places >= first[:, None]) & (places < last[:, None])


def _pair(what: str, value: int | tuple[int, int], least: int) -> tuple[int, int]:
    pair = value if isinstance(value, tuple) else (value, value)
    if len(pair) != 2 or not all(isinstance(number, Integral) and number >= least for number in pair):
        raise ArgumentError(
            f"{what}: expected one or two whole numbers of at least {least}, got {value}. Pass for example {least + 2}."
        )
    return pair


def _probability(what: str, p: float) -> float:
    if not 0 <= p <= 1:
        raise ArgumentError(f"{what}: expected p in [0, 1], got {p}. Pass for example 0.5.")
    return p
