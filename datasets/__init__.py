"""Data: real and synthetic datasets, transforms of whole batches, and the DataLoader."""

from minigrad.datasets import transforms
from minigrad.datasets.collate import default_collate
from minigrad.datasets.dataset import Dataset, Subset, TensorDataset
from minigrad.datasets.idx import read_idx, write_idx
from minigrad.datasets.loader import DataLoader
from minigrad.datasets.split import random_split
from minigrad.datasets.vision import MNIST, Digits, FashionMNIST, ImageDataset

__all__ = [
    "MNIST",
    "DataLoader",
    "Dataset",
    "Digits",
    "FashionMNIST",
    "ImageDataset",
    "Subset",
    "TensorDataset",
    "default_collate",
    "random_split",
    "read_idx",
    "transforms",
    "write_idx",
]
