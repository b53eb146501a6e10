"""Transforms of whole batches, gathered under one name: `from minigrad.datasets import transforms`.

`Transform`, `Compose` and `Normalize` are in batchwise.py, what draws random numbers in augment.py, what changes
labels in mixing.py.
"""

from minigrad.datasets.augment import (
    RandomCrop,
    RandomErasing,
    RandomHorizontalFlip,
    RandomRotation,
    RandomShift,
    RandomVerticalFlip,
    rotate,
)
from minigrad.datasets.batchwise import Compose, Normalize, Transform
from minigrad.datasets.mixing import MixUp, OneHot

__all__ = [
    "Compose",
    "MixUp",
    "Normalize",
    "OneHot",
    "RandomCrop",
    "RandomErasing",
    "RandomHorizontalFlip",
    "RandomRotation",
    "RandomShift",
    "RandomVerticalFlip",
    "Transform",
    "rotate",
]
