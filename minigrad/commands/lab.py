"""`python -m minigrad lab`: the optimizer lab as one HTML file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from minigrad.errors import ArgumentError
from minigrad.lab import page

__all__ = ["add_parser", "run"]


def add_parser(commands: Any) -> None:
    """Add `lab` and its options to the command line."""
    parser = commands.add_parser(
        "lab",
        help="write a page in which optimizers run side by side on surfaces",
        description="Write the optimizer lab: one HTML file, for any browser, that needs no network.",
        epilog="Example: python -m minigrad lab --out lab.html",
    )
    parser.add_argument("--out", metavar="FILE", default="lab.html", help="where to write it (default: lab.html)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the page; returns the exit code."""
    try:
        Path(arguments.out).write_text(page(), encoding="utf-8", newline="\n")
    except OSError as error:
        raise ArgumentError(f"--out: cannot write {arguments.out}: {error}.") from error
    print(f"the lab is in {arguments.out}: open it in a browser")
    return 0
