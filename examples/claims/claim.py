"""What the scripts of this folder share: the form of a result, how it is printed and drawn, the command line.

A script defines `run(quick)`, which measures and returns a `Result`: the sentence of the course module, the numbers,
a verdict that follows from them, and a figure. `main(run)` is its command line.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

# The minigrad of this checkout, also where it is not installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# The colours of M. Okabe and K. Ito, Color Universal Design (2008): told apart with any kind of colour vision.
BLACK, ORANGE, SKY, GREEN, YELLOW = "#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442"
BLUE, VERMILION, PURPLE = "#0072B2", "#D55E00", "#CC79A7"
COLOURS = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY, BLACK)

SUPPORTED, NOT_SUPPORTED, DEPENDS = "supported", "not supported", "depends"


@dataclass(frozen=True)
class Number:
    """One measured number: its name, the value, the standard deviation over seeds, and what theory says."""

    name: str
    value: float
    deviation: float | None = None
    expected: float | None = None


@dataclass
class Result:
    """What a script found out.

    Attributes
    ----------
    section, quote
        Where the module says it, and its words.
    numbers
        What was measured.
    verdict, because
        One of SUPPORTED, NOT_SUPPORTED and DEPENDS, and the sentence that says why, with its numbers.
    figure
        One matplotlib figure.
    """

    section: str
    quote: str
    numbers: list[Number]
    verdict: str
    because: str
    figure: Figure

    def __getitem__(self, name: str) -> float:
        """The value of the number with that name."""
        return next(number.value for number in self.numbers if number.name == name)

    def text(self, name: str) -> str:
        """The result as lines of text."""
        width = max(len(number.name) for number in self.numbers)
        lines = [f"{name} (section {self.section})", f'  claim    "{self.quote}"', ""]
        lines.append(f"  {'measured':{width}}  {'value':>10}  {'± std':>9}  {'theory':>10}")
        for number in self.numbers:
            deviation, expected = _short(number.deviation), _short(number.expected)
            lines.append(f"  {number.name:{width}}  {_short(number.value):>10}  {deviation:>9}  {expected:>10}")
        return "\n".join([*lines, "", f"  verdict  {self.verdict}: {self.because}"])


def _short(x: float | None) -> str:
    return "" if x is None else f"{x:.4g}"


def mean_std(values: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """Mean and sample standard deviation."""
    values = np.asarray(values, np.float64)
    return float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else 0.0


def number(name: str, values: float | Sequence[float] | np.ndarray, expected: float | None = None) -> Number:
    """A Number from one value, or from one value a seed."""
    if np.ndim(values) == 0:
        return Number(name, float(values), None, expected)  # type: ignore[arg-type]
    return Number(name, *mean_std(values), expected)  # type: ignore[arg-type]


def slope(x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray) -> float:
    """The exponent p of the power law y ~ x^p that fits best: the slope of a line through the logarithms."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def paired(a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """The mean of a - b over the seeds they share, and its standard error.

    A difference of less than two standard errors is what chance alone would often give; the scripts call it none.
    """
    difference = np.asarray(a, np.float64) - np.asarray(b, np.float64)
    mean, std = mean_std(difference)
    return mean, std / math.sqrt(len(difference))


def differs(a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray) -> int:
    """1 if a is above b by more than two standard errors of the paired difference, -1 if below, else 0."""
    mean, error = paired(a, b)
    return int(np.sign(mean)) if abs(mean) > 2 * error else 0


def panels(columns: int = 1, width: float = 4.6, height: float = 3.4) -> tuple[Figure, list[Any]]:
    """A figure with axes side by side; no display is needed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * columns, height), layout="constrained")
    axes = list(np.ravel(figure.subplots(1, columns)))
    for ax in axes:
        ax.set_prop_cycle(color=COLOURS)
        ax.grid(alpha=0.25, linewidth=0.6)
        ax.spines[["top", "right"]].set_visible(False)
    return figure, axes


def label(ax: Any, title: str, x: str, y: str, legend: bool = True) -> None:
    """Title, axis labels and a legend."""
    ax.set_title(title, fontsize=10)
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    if legend:
        ax.legend(fontsize=8, frameon=False)


def save(result: Result, folder: Path, name: str) -> Path:
    """Write the figure to `folder`/claim_NAME.png."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"claim_{name}.png"
    result.figure.savefig(path, dpi=90)
    return path


def main(run: Callable[[bool], Result]) -> None:
    """The command line of a script: measure, print, draw."""
    name = Path(run.__code__.co_filename).stem
    parser = argparse.ArgumentParser(prog=f"{name}.py", description=f"Measures a claim of the course module: {name}.")
    parser.add_argument("--out", type=Path, default=Path("runs/claims"), metavar="DIR", help="where the figure goes")
    parser.add_argument("--quick", action="store_true", help="smaller and rougher: seconds instead of up to a minute")
    options = parser.parse_args()
    result = run(options.quick)
    print(result.text(name))
    print(f"  figure   {save(result, options.out, name)}")
