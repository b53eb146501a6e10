"""What the exercises share: the package of this checkout, their options, and the way in which they draw."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

# A script in this folder runs from a bare checkout too, and always with the package beside it.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from minigrad.errors import ArgumentError, DataError, MinigradError
from minigrad.io import write_atomically

# Okabe and Ito's colours: they can be told apart under every form of colour blindness.
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
SKY, YELLOW, GREY, BLACK = "#56B4E9", "#E69F00", "#8A8A8A", "#000000"


class Parser(argparse.ArgumentParser):
    """The options of an exercise; a mistake gets one line and exit code 2.

    Parameters
    ----------
    name : str
        The name of the exercise, of its folder and of its figures, "exercise_3_1".
    doc : str
        The lesson's docstring; its first line describes the script.
    """

    def __init__(self, name: str, doc: str) -> None:
        super().__init__(description=doc.strip().split("\n")[0])
        self.add_argument("--out", metavar="DIR", type=Path, default=Path("runs", name),
                          help=f"folder for the figures (default: runs/{name})")  # fmt: skip
        self.add_argument("--quick", action="store_true", help="a small version that takes seconds")

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message}\n")


def run(lesson: Callable[[argparse.Namespace], None], parser: Parser, argv: Sequence[str] | None = None) -> int:
    """Read the options, make the folder for the figures, give the lesson; returns the exit code."""
    arguments = parser.parse_args(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without Greek letters shows question marks
    try:
        arguments.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        parser.error(f"--out: cannot make the folder {arguments.out}: {error.strerror}. Give another.")
    try:
        lesson(arguments)
    except BrokenPipeError:
        # The reader of the output, such as `head`, has seen enough. Nothing is left to be flushed into its pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (MinigradError, OSError) as error:
        wrong = isinstance(error, (ArgumentError, DataError))
        print(f"{parser.prog}: {'error' if wrong else 'failed'}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2 if wrong else 1
    except KeyboardInterrupt:
        print("Interrupted. Figures that were complete by then are kept.", file=sys.stderr)
        return 130
    return 0


def figure(width: float, height: float, rows: int, columns: int, **options: Any) -> tuple[Any, Any]:
    """A figure of that size in inches and its axes (rows, columns), drawn without a screen."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # Not pyplot: it takes twice as long to import, and keeps global state.
    picture = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(picture)
    axes = picture.subplots(rows, columns, squeeze=False, **options)
    for ax in axes.flat:
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(alpha=0.25, linewidth=0.6)
    return picture, axes


def save(picture: Any, folder: Path, name: str) -> Path:
    """Write a figure to `folder/name.png` and say so."""
    from PIL import Image  # matplotlib stands on it

    drawn, content = io.BytesIO(), io.BytesIO()
    picture.savefig(drawn, dpi=110, format="png")
    # A palette of 96 colours cannot be told from the original and takes less than half of its bytes.
    Image.open(drawn).convert("RGB").quantize(96, dither=Image.Dither.NONE).save(content, "png", optimize=True)
    path = folder / f"{name}.png"
    write_atomically(path, content.getvalue())
    print(f"figure: {path}")
    return path
