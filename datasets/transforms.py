"""Transforms of whole batches, gathered under one name: `from minigrad.datasets import transforms`.

`Transform`, `Compose` and `Normalize` are in batchwise.py, what draws random numbers in augment.py, rotation in
rotation.py, what changes labels in mixing.py.
"""

from minigrad.datasets.augment import (
    RandomCrop,
    RandomErasing,
    RandomHorizontalFlip,
    RandomRotation,
    RandomShift,
    RandomVerticalFlip,
)
from minigrad.datasets.batchwise import Compose, Normalize, Transform
from minigrad.datasets.mixing import MixUp, OneHot
from minigrad.datasets.rotation import rotate

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
