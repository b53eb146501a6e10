"""Data: real and synthetic datasets, transforms of whole batches, and the DataLoader."""

from minigrad.datasets import transforms
from minigrad.datasets.collate import default_collate
from minigrad.datasets.dataset import Dataset, Subset, TensorDataset
from minigrad.datasets.idx import read_idx, write_idx
from minigrad.datasets.loader import DataLoader
from minigrad.datasets.picture import draw_samples
from minigrad.datasets.quadratic import QuadraticBowl
from minigrad.datasets.split import random_split
from minigrad.datasets.synthetic import (
    adding_problem,
    blobs,
    circles,
    linear_regression,
    moons,
    sine,
    spirals,
    xor,
)
from minigrad.datasets.vision import MNIST, Digits, FashionMNIST, ImageDataset

__all__ = [
    "MNIST",
    "DataLoader",
    "Dataset",
    "Digits",
    "FashionMNIST",
    "ImageDataset",
    "QuadraticBowl",
    "Subset",
    "TensorDataset",
    "adding_problem",
    "blobs",
    "circles",
    "default_collate",
    "draw_samples",
    "linear_regression",
    "moons",
    "random_split",
    "read_idx",
    "sine",
    "spirals",
    "transforms",
    "write_idx",
    "xor",
]
