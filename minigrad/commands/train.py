"""`python -m minigrad train DATASET`: train the CNN of exercise 3.4 and keep what came of it."""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import minigrad
from minigrad import datasets, io, models, nn, optim
from minigrad.errors import ArgumentError, DataError, MinigradError
from minigrad.history import EpochRow
from minigrad.optim import schedules
from minigrad.train import evaluate, fit

__all__ = ["add_parser", "run"]


@dataclass(frozen=True)
class Recipe:
    """A dataset, and the settings with which the CNN reaches the README's accuracy on it."""

    load: Callable[..., Any]
    size: int
    epochs: int
    batch_size: int


RECIPES = {
    "digits": Recipe(datasets.Digits, size=8, epochs=40, batch_size=32),
    "mnist": Recipe(datasets.MNIST, size=28, epochs=3, batch_size=64),
    "fashion-mnist": Recipe(datasets.FashionMNIST, size=28, epochs=5, batch_size=64),
}

# Name -> how to make it and its default (peak) learning rate.
OPTIMIZERS: dict[str, tuple[Callable[..., Any], float]] = {
    "sgd": (optim.SGD, 0.1),
    "momentum": (optim.SGDMomentum, 0.05),
    "nesterov": (functools.partial(optim.SGD, momentum=0.9, nesterov=True), 0.05),
    "adagrad": (optim.AdaGrad, 0.02),
    "rmsprop": (optim.RMSprop, 0.002),
    "adam": (optim.Adam, 0.003),
    "adamw": (optim.AdamW, 0.003),
}


def add_parser(commands: Any) -> None:
    """Add `train` and its options to the command line."""
    parser = commands.add_parser(
        "train",
        help="train a small CNN on images and write its curves and weights",
        description="Train the CNN conv-relu-pool, conv-relu-pool, linear on a dataset of images.",
        epilog="Example: python -m minigrad train mnist --data DIR --epochs 3 --schedule one-cycle",
    )
    parser.add_argument("dataset", choices=list(RECIPES), metavar="DATASET", help=", ".join(RECIPES))
    parser.add_argument("--data", metavar="DIR", help="folder with the dataset's files (digits needs none)")
    parser.add_argument("--epochs", type=_whole, metavar="N", help="passes over the training set")
    parser.add_argument("--batch-size", type=_whole, metavar="N", help="samples in a step")
    parser.add_argument("--optimizer", choices=list(OPTIMIZERS), default="adam", metavar="NAME",
                        help=f"{', '.join(OPTIMIZERS)} (default: adam)")  # fmt: skip
    parser.add_argument("--lr", type=_positive, metavar="X", help="learning rate; of a schedule, its highest")
    parser.add_argument("--schedule", choices=schedules.names(), default="one-cycle", metavar="NAME",
                        help=f"{', '.join(schedules.names())} (default: one-cycle)")  # fmt: skip
    parser.add_argument("--seed", type=_seed, default=0, metavar="N", help="of all random numbers (default: 0)")
    parser.add_argument("--clip-norm", type=_positive, metavar="X", help="highest gradient norm (default: none)")
    parser.add_argument("--out", metavar="DIR", help="folder for the results (default: a new one in runs/)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Train, report and save; returns the exit code."""
    recipe = RECIPES[arguments.dataset]
    epochs = arguments.epochs or recipe.epochs
    batch_size = arguments.batch_size or recipe.batch_size
    make_optimizer, default_lr = OPTIMIZERS[arguments.optimizer]
    lr = arguments.lr or default_lr

    where = {} if recipe.load is datasets.Digits else {"root": arguments.data}
    if arguments.data and not where:
        raise ArgumentError("--data: the digits are part of the package; leave it out, or train another dataset.")
    try:
        train_set, test_set = recipe.load(**where, train=True), recipe.load(**where, train=False)
    except DataError as error:
        raise DataError(f"{error} On this command line: --data FOLDER.") from error
    if arguments.data and not train_set.folder.resolve().is_relative_to(Path(arguments.data).resolve()):
        # The dataset goes on to look in MINIGRAD_DATA and the cache; who names a folder means that one.
        raise DataError(f"--data: {arguments.dataset} is not in {arguments.data}; expected the IDX files there.")
    out = _make_folder(arguments.out, arguments.dataset)

    generator = minigrad.manual_seed(arguments.seed)
    model = models.cnn(recipe.size)
    batches = datasets.DataLoader(train_set, batch_size=batch_size, shuffle=True, generator=generator)
    test_batches = datasets.DataLoader(test_set, batch_size=500)
    steps = epochs * len(batches)
    schedule = schedules.by_name(arguments.schedule, lr=lr, total_steps=steps)
    optimizer = make_optimizer(model.parameters(), lr=schedule)
    loss = nn.CrossEntropyLoss()

    print(
        f"{arguments.dataset}: {len(train_set):,} training and {len(test_set):,} test images, "
        f"{model.num_parameters():,} parameters, {steps:,} steps of {batch_size}, "
        f"{arguments.optimizer}, {arguments.schedule}, lr {lr:g}, seed {arguments.seed}"
    )
    started = time.perf_counter()
    try:
        history = fit(
            model, optimizer, loss, batches, epochs, test_batches, arguments.clip_norm, on_epoch=_report(epochs)
        )
    except MinigradError:
        with contextlib.suppress(OSError):
            out.rmdir()  # a run that failed leaves no empty folder behind; one with files in it stays
        raise
    seconds = time.perf_counter() - started

    # What was trained is on the disk before anything else is done with it.
    # One string, not one for each fact: safetensors writes several in any order, and equal runs give equal files.
    about = json.dumps({"version": minigrad.__version__, "model": "cnn", "dataset": arguments.dataset})
    io.save(model.state_dict(), out / "model.safetensors", {"minigrad": about})
    history.to_csv(out / "history.csv")
    # The last epoch was measured at its end; only a run that stopped in the middle of one has moved on since.
    accuracy = evaluate(model, loss, test_batches)[1] if history.interrupted else history.rows[-1].test_accuracy
    title = f"{arguments.dataset}: {arguments.optimizer}, {arguments.schedule}, test accuracy {100 * accuracy:.2f} %"
    history.plot(out / "curves.png", title)
    if history.interrupted:
        print(
            f"\nInterrupted in epoch {len(history.rows) + 1} after {len(history.step_losses)} steps: "
            "what was trained so far is saved.",
            file=sys.stderr,
        )
    print(f"test accuracy {100 * accuracy:.2f} %, trained in {seconds:.1f} s")
    print(f"files: {', '.join(str(out / name) for name in ('history.csv', 'curves.png', 'model.safetensors'))}")
    return 130 if history.interrupted else 0


def _report(epochs: int) -> Callable[[EpochRow], None]:
    def line(row: EpochRow) -> None:
        print(
            f"epoch {row.epoch:>{len(str(epochs))}}/{epochs}  "
            f"loss {row.train_loss:.4f}  accuracy {100 * row.train_accuracy:6.2f} %  "
            f"test loss {row.test_loss:.4f}  test accuracy {100 * row.test_accuracy:6.2f} %  lr {row.lr:.3g}"
        )

    return line


def _make_folder(wanted: str | None, name: str) -> Path:
    """The folder for the results: the one asked for, or the first of runs/NAME, runs/NAME-2, ... that is new."""
    if wanted is not None:
        folder = Path(wanted)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ArgumentError(f"--out: cannot make the folder {folder}: {error.strerror}.") from None
        return folder
    number = 1
    while True:
        folder = Path("runs", name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            number += 1
        except OSError as error:
            raise ArgumentError(
                f"cannot make the folder {folder}: {error.strerror}. Give another with --out."
            ) from None
        else:
            return folder


def _whole(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")
    return value


def _seed(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = -1
    if value < 0:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 0, got {text!r}")
    return value


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text!r}")
    return value
