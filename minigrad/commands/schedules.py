"""`python -m minigrad schedules`: every schedule with its equation, and a picture of all of them."""

from __future__ import annotations

import argparse
from typing import Any

from minigrad.errors import ArgumentError
from minigrad.optim import schedules

__all__ = ["add_parser", "run"]


def add_parser(commands: Any) -> None:
    """Add `schedules` and its options to the command line."""
    parser = commands.add_parser(
        "schedules",
        help="list the learning rate schedules with their equations, or draw them",
        description="List the learning rate schedules with their equations; with --plot, draw all of them.",
        epilog="Example: python -m minigrad schedules --plot schedules.png",
    )
    parser.add_argument("--plot", metavar="FILE", help="write a picture of all schedules (PNG, PDF or SVG)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the list, or draw the gallery; returns the exit code."""
    if arguments.plot is None:
        print(schedules.listing())
        return 0
    from minigrad.optim.schedule_plot import plot_gallery

    try:
        plot_gallery(arguments.plot)
    except (OSError, ValueError) as error:
        raise ArgumentError(f"--plot: cannot write {arguments.plot}: {error}.") from error
    print(f"all {len(schedules.names())} schedules are drawn in {arguments.plot}")
    return 0
