"""A picture or an array from a file, made into what a model was trained on, with an account of what was done to it."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minigrad.errors import DataError

__all__ = ["Samples", "read"]

# Of the brightest pixel; what is darker counts as background when the drawn part is looked for.
BACKGROUND = 0.15


@dataclass(frozen=True)
class Samples:
    """Samples for a model.

    Attributes
    ----------
    array : ndarray (N, *input_shape)
        float32; the pixels of pictures are in [0, 1].
    steps : list of str
        What was done to what was in the file, in order.
    """

    array: np.ndarray
    steps: list[str]


def read(
    path: str, input_shape: tuple[int, ...], content: float | None, white: int = 255, invert: str = "auto"
) -> Samples:
    """Read a PNG (or another picture that Pillow knows) or a `.npy` file.

    Parameters
    ----------
    path : str
    input_shape : tuple of int
        Of one sample, (C, H, W) for pictures.
    content : float or None
        The share of the height that the drawn part of a picture fills in the dataset; None where samples are numbers.
    white : int
        The value in a uint8 array that is white in the dataset.
    invert : {'auto', 'yes', 'no'}
        The datasets are bright on black. 'auto' inverts a picture whose edge is bright.

    Raises
    ------
    DataError
        The file is missing, damaged, or of another shape.
    """
    if Path(path).suffix.lower() == ".npy":
        array = _load(path)
        kind = f"{array.dtype} array {array.shape}"
        if array.dtype.kind not in "fiub":
            raise DataError(f"{path}: expected an array of numbers, got {array.dtype}.")
        one = array.ndim == len(input_shape)
        if array.shape[-len(input_shape) :] == input_shape and (one or array.ndim == len(input_shape) + 1):
            return _as_they_are(path, array[None] if one else array, kind, content is not None, white)
        if content is None or not _is_grey(array.shape, input_shape):
            raise DataError(
                f"{path}: expected an array of shape {input_shape} or (N, {', '.join(map(str, input_shape))}), got "
                f"{array.shape}. That is what the model was trained on."
            )
        grey, unit = _in_units(array.reshape(array.shape[-2:]), white)
        steps = [kind, unit]
    elif content is None:
        raise DataError(
            f"{path}: expected a .npy file with numbers of shape {input_shape}, the model was not trained on pictures."
        )
    else:
        grey, steps = _picture(path)
    if input_shape[0] != 1:
        raise DataError(f"{path}: expected a model of grey pictures, got one with {input_shape[0]} channels. Use .npy.")
    return _fitted(path, grey, steps, input_shape, content, invert)


def _load(path: str) -> np.ndarray:
    try:
        # As a map of the file: a header that lies about the size is found before any memory is taken.
        return np.array(np.load(path, mmap_mode="r", allow_pickle=False))
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}.") from None
    except (ValueError, EOFError) as error:
        raise DataError(f"{path}: is cut or is no .npy file ({error}).") from None


def _is_grey(shape: tuple[int, ...], input_shape: tuple[int, ...]) -> bool:
    """Whether it is one grey picture, of whatever size."""
    return input_shape[0] == 1 and (len(shape) == 2 or (len(shape) == 3 and shape[0] == 1)) and 0 not in shape


def _in_units(array: np.ndarray, white: int) -> tuple[np.ndarray, str]:
    """The array as float32, bytes divided by their white."""
    if array.dtype.kind in "iu":
        top = white if array.max(initial=0) <= white else 255
        return np.divide(array, np.float32(top), dtype=np.float32), f"divided by {top}"
    return array.astype(np.float32), "numbers taken as they are"


def _as_they_are(path: str, array: np.ndarray, kind: str, pictures: bool, white: int) -> Samples:
    numbers, unit = _in_units(array, white) if pictures else (array.astype(np.float32), "numbers taken as they are")
    if not np.isfinite(numbers).all():
        raise DataError(f"{path}: expected finite numbers, got NaN or infinity.")
    if not len(numbers):
        raise DataError(f"{path}: expected at least one sample, got an array of shape {array.shape}.")
    return Samples(np.ascontiguousarray(numbers), [kind, unit])


def _picture(path: str) -> tuple[np.ndarray, list[str]]:
    """A picture as grey float32 (H, W) in [0, 1]."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            # Pillow's guard against pictures that unpack to gigabytes: a warning at first, an error when twice as big.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                image.load()
                picture: Any = image.copy()
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file. Give a PNG or a .npy file.") from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: cannot be read as a picture ({error}). Give a PNG or a .npy file.") from None
    steps = [f"picture {picture.width}x{picture.height}"]
    if picture.mode.startswith(("I", "F")):  # 16 bits a pixel, or more
        deep = np.asarray(picture, np.float32)
        return deep / max(float(deep.max()), 65535.0 if deep.max() > 255 else 255.0), [*steps, "16 bits a pixel"]
    if "transparency" in picture.info or picture.mode in ("RGBA", "LA", "PA"):
        picture = picture.convert("RGBA")
        paper = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(paper, picture)
        steps.append("laid on white")
    if picture.mode not in ("L", "1"):
        steps.append("made grey")
    return np.asarray(picture.convert("L"), np.float32) / 255, steps


def _fitted(
    path: str, grey: np.ndarray, steps: list[str], input_shape: tuple[int, ...], content: float, invert: str
) -> Samples:
    """Bright on black, and of the model's size."""
    if not np.isfinite(grey).all() or float(np.ptp(grey)) < 1e-3:
        raise DataError(f"{path}: expected a picture of something, got {grey.shape[1]}x{grey.shape[0]} equal pixels.")
    edge = np.concatenate([grey[0], grey[-1], grey[1:-1, 0], grey[1:-1, -1]])
    if invert == "yes" or (invert == "auto" and np.median(edge) > 0.5):
        grey = 1 - grey
        steps = [*steps, "inverted" if invert == "yes" else "inverted, for its edge is bright"]
    height, width = input_shape[1:]
    if grey.shape != (height, width):
        grey, how = _scaled(grey, height, width, content)
        steps = [*steps, *how]
    return Samples(np.ascontiguousarray(grey, np.float32)[None, None], steps)


def _scaled(grey: np.ndarray, height: int, width: int, content: float) -> tuple[np.ndarray, list[str]]:
    """Cut out the drawn part, bring its longer side to the share `content` of the frame, and put it in the middle."""
    from PIL import Image

    low = float(np.percentile(grey, 5))  # the background of a photographed page is not quite even
    grey = np.clip((grey - low) / (float(grey.max()) - low), 0, 1)
    rows, columns = np.flatnonzero((grey > BACKGROUND).any(1)), np.flatnonzero((grey > BACKGROUND).any(0))
    cut = grey[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = content * min(height / cut.shape[0], width / cut.shape[1])
    size = [max(1, min(limit, round(scale * side))) for limit, side in zip((height, width), cut.shape, strict=True)]
    # The mean over the area that becomes a pixel, as the digits of the datasets were made smaller.
    how = Image.Resampling.BOX if scale < 1 else Image.Resampling.BILINEAR
    small = np.asarray(Image.fromarray(cut).resize((size[1], size[0]), how), np.float32)
    small = np.clip(small / small.max(), 0, 1)
    top, left = (height - size[0]) / 2, (width - size[1]) / 2
    if content < 1:  # MNIST put the centre of mass into the middle
        mass = small.sum()
        top = (height - 1) / 2 - float((small.sum(1) @ np.arange(size[0])) / mass)
        left = (width - 1) / 2 - float((small.sum(0) @ np.arange(size[1])) / mass)
    row = min(max(math.floor(top + 0.5), 0), height - size[0])
    column = min(max(math.floor(left + 0.5), 0), width - size[1])
    frame = np.zeros((height, width), np.float32)
    frame[row : row + size[0], column : column + size[1]] = small
    return frame, [
        f"cut to the drawn part, {cut.shape[1]}x{cut.shape[0]}",
        f"scaled to {size[1]}x{size[0]} in the middle of {width}x{height}",
    ]
