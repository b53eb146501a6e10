"""What the command line can train on: each dataset with its loss, the model that suits it, and its settings.

A synthetic set is drawn anew from a fixed seed of its own, so `train` and `evaluate` see the same samples whatever
`--seed` is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minigrad import datasets, nn
from minigrad.commands.spec import Spec, call, choose, parse
from minigrad.datasets import transforms
from minigrad.errors import ArgumentError, DataError
from minigrad.metrics import MAE, Accuracy, Metric

__all__ = ["AUGMENTATIONS", "TASKS", "Data", "Task", "load"]

SYNTHETIC_SEED = 0


@dataclass(frozen=True)
class Task:
    """A dataset and the settings with which its model learns it.

    Attributes
    ----------
    make : the dataset's class or function
    model : the default of `--model`
    epochs, batch_size : the defaults of these options
    optimizer, lr : the same; without `lr`, it is the one that suits the optimizer
    samples : of a synthetic set, training and test samples together
    content : for images, the share of the height that the drawn part fills, which `predict` scales a picture to
    white : for images, the brightest value of a raw pixel
    """

    make: Callable[..., Any]
    model: str
    epochs: int
    batch_size: int
    optimizer: str = "adam"
    lr: float | None = None
    samples: int = 1500
    content: float | None = None
    white: int = 255

    @property
    def has_files(self) -> bool:
        """Whether the samples are read from files that `--data` can name."""
        return isinstance(self.make, type) and issubclass(self.make, datasets.MNIST)


# MNIST's digits were scaled to 20x20 pixels and put into 28x28; the digits of the package fill their 8x8.
TASKS = {
    "digits": Task(datasets.Digits, "cnn", epochs=40, batch_size=32, content=1.0, white=16),
    "mnist": Task(datasets.MNIST, "cnn", epochs=3, batch_size=64, content=20 / 28),
    "fashion-mnist": Task(datasets.FashionMNIST, "cnn", epochs=5, batch_size=64, content=1.0),
    "moons": Task(datasets.moons, "mlp", epochs=30, batch_size=32),
    "circles": Task(datasets.circles, "mlp", epochs=30, batch_size=32),
    "spirals": Task(datasets.spirals, "mlp", epochs=60, batch_size=32),
    "blobs": Task(datasets.blobs, "mlp", epochs=15, batch_size=32),
    "xor": Task(datasets.xor, "mlp", epochs=30, batch_size=32),
    "sine": Task(datasets.sine, "mlp", epochs=60, batch_size=32),
    "linear-regression": Task(datasets.linear_regression, "mlp:hidden=none", epochs=10, batch_size=32, optimizer="sgd"),
    "adding": Task(datasets.adding_problem, "lstm:hidden=32", epochs=15, batch_size=32, lr=0.01, samples=6000),
}

AUGMENTATIONS = {
    "shift": transforms.RandomShift,
    "crop": transforms.RandomCrop,
    "rotation": transforms.RandomRotation,
    "horizontal-flip": transforms.RandomHorizontalFlip,
    "vertical-flip": transforms.RandomVerticalFlip,
    "erasing": transforms.RandomErasing,
}


@dataclass(frozen=True)
class Data:
    """A dataset in memory, and what a model for it must look like.

    Attributes
    ----------
    name : str
        As in `TASKS`.
    train, test : Dataset
    input_shape : tuple of int
        Of one sample, (C, H, W) for images.
    outputs : int
        Classes, or numbers to predict.
    classes : tuple of str
        Their names; empty for a regression.
    """

    name: str
    train: Any
    test: Any
    input_shape: tuple[int, ...]
    outputs: int
    classes: tuple[str, ...]

    @property
    def classifies(self) -> bool:
        return bool(self.classes)

    @property
    def loss(self) -> nn.Module:
        """Cross-entropy for classes, the mean squared error for numbers."""
        return nn.CrossEntropyLoss() if self.classifies else nn.MSELoss()

    @property
    def metrics(self) -> list[Metric]:
        """The accuracy for classes, the mean absolute error for numbers."""
        return [Accuracy()] if self.classifies else [MAE()]


def load(text: str, folder: str | None = None, augment: tuple[str, ...] = ()) -> Data:
    """The dataset that `DATASET` on the command line stands for.

    Parameters
    ----------
    text : str
        `NAME` or `NAME:KEY=VALUE`, such as `spirals:classes=5`.
    folder : str, optional
        Where the files of MNIST and Fashion-MNIST are.
    augment : tuple of str
        Random changes of the training images, such as `shift:pixels=2`.

    Raises
    ------
    ArgumentError, DataError
        The name or an option is unknown, or the files are missing or damaged.
    """
    spec = parse(text, "DATASET")
    choose(spec.name, TASKS, "DATASET")
    task = TASKS[spec.name]
    if folder and not task.has_files:
        raise ArgumentError(f"--data: {spec.name} needs no files, it is part of the package. Leave it out.")
    if task.content is None:
        if augment:
            raise ArgumentError(f"--augment: expected a dataset of images, got {spec.name}. Leave it out.")
        return _synthetic(task, spec)
    if spec.options:
        raise ArgumentError(f"DATASET: {spec.name} has no options, got {text!r}.")
    changes = [_augmentation(each) for each in augment]
    where = {"root": folder} if task.has_files else {}
    try:
        train = task.make(**where, train=True, transform=transforms.Compose(changes) if changes else None)
        test = task.make(**where, train=False)
    except DataError as error:
        raise DataError(f"{error} On this command line: --data FOLDER.") from error
    if folder and not train.folder.resolve().is_relative_to(Path(folder).resolve()):
        # The dataset goes on to look in MINIGRAD_DATA and the cache; who names a folder means that one.
        raise DataError(f"--data: {spec.name} is not in {folder}; expected the IDX files there.")
    return Data(spec.name, train, test, train.images.shape[1:], len(train.classes), train.classes)


def _augmentation(text: str) -> Any:
    spec = parse(text, "--augment")
    choose(spec.name, AUGMENTATIONS, "--augment")
    return call(AUGMENTATIONS[spec.name], spec, "--augment", {})


def _synthetic(task: Task, spec: Spec) -> Data:
    options = dict(spec.options)
    samples = options.setdefault("samples", task.samples)
    whole = call(task.make, Spec(spec.text, spec.name, options), "DATASET", {"generator": SYNTHETIC_SEED})
    if samples < 3:
        raise ArgumentError(f"DATASET: expected at least 3 samples to divide into two parts, got {spec.text!r}.")
    # Two parts in three are for training. The rows are in random order already.
    cut = 2 * samples // 3
    train, test = datasets.Subset(whole, range(cut)), datasets.Subset(whole, range(cut, samples))
    targets = whole.labels
    classes: tuple[str, ...] = ()
    if targets.dtype.kind == "f":
        outputs = targets.shape[1]
    else:
        outputs = int(targets.max()) + 1
        classes = tuple(map(str, range(outputs)))
    return Data(spec.name, train, test, tuple(np.shape(whole.tensors[0])[1:]), outputs, classes)
