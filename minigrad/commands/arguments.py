"""What the commands share: the checks of option values, and the options that several of them take."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

from minigrad.commands.build import MODELS
from minigrad.errors import ArgumentError

__all__ = [
    "MODEL_HELP",
    "add_command",
    "add_json",
    "add_model",
    "add_threads",
    "add_training",
    "check_picture",
    "positive",
    "seed",
    "shape",
    "whole",
]

MODEL_HELP = f"{', '.join(MODELS)}, with options as in mlp:hidden=64,32, or path/to/file.py:function"


def add_command(commands: Any, name: str, summary: str, description: str, examples: list[str]) -> Any:
    """A parser for the command `name`, with its examples under its options."""
    lines = "\n".join(f"  python -m minigrad {example}" for example in examples)
    return commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog=f"examples:\n{lines}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_json(parser: Any, what: str = "an object") -> None:
    parser.add_argument("--json", action="store_true", help=f"print {what} for a program to read, and nothing else")


def add_threads(parser: Any) -> None:
    parser.add_argument("--threads", type=whole, metavar="N", help="threads of kernels and matrix products "
                        "(default: one for each processor)")  # fmt: skip


def add_model(parser: Any, default: str) -> None:
    parser.add_argument("--model", metavar="MODEL", help=f"{MODEL_HELP} (default: {default})")


def add_training(parser: Any) -> None:
    """The options of what is trained on what; their defaults depend on the dataset, so each is None if not given."""
    parser.add_argument("--data", metavar="DIR", help="folder with the files of mnist or fashion-mnist")
    add_model(parser, "the one that suits the dataset")
    parser.add_argument("--epochs", type=whole, metavar="N", help="passes over the training set "
                        "(default: by the dataset)")  # fmt: skip
    parser.add_argument("--batch-size", type=whole, metavar="N", help="samples in a step (default: by the dataset)")
    parser.add_argument("--clip-norm", type=positive, metavar="X", help="highest gradient norm (default: none)")
    parser.add_argument("--accumulate", type=whole, metavar="N",
                        help="sum the gradients of N batches for a step (default: 1)")  # fmt: skip
    parser.add_argument("--augment", nargs="+", metavar="CHANGE",
                        help="random changes of the training images: shift:pixels=2, rotation:degrees=10, "
                        "crop:size=28:padding=2, horizontal-flip, vertical-flip, erasing")  # fmt: skip


def whole(text: str) -> int:
    """A whole number of at least 1."""
    return _number(text, least=1)


def seed(text: str) -> int:
    """A whole number of at least 0."""
    return _number(text, least=0)


def _number(text: str, least: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least {least}, got {text!r}")
    return value


def positive(text: str) -> float:
    """A finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text!r}")
    return value


def shape(text: str) -> tuple[int, ...]:
    """Lengths with `x` or commas between them: 1x28x28."""
    try:
        lengths = tuple(int(part) for part in text.replace("x", ",").split(","))
    except ValueError:
        lengths = ()
    if not lengths or min(lengths) < 1:
        raise argparse.ArgumentTypeError(f"expected the lengths of a shape such as 1x28x28, got {text!r}")
    return lengths


def check_picture(path: str | None, option: str) -> None:
    """Raise ArgumentError if no picture can be written to `path`: before the work, not after it."""
    if path is None:
        return
    if Path(path).suffix.lower() not in (".png", ".pdf", ".svg"):
        raise ArgumentError(f"{option}: expected a name that ends in .png, .pdf or .svg, got {path!r}.")
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArgumentError(f"{option}: cannot make the folder of {path}: {error.strerror}.") from None
