"""`python -m minigrad schedules`: every schedule with its equation, and a picture of all of them."""

from __future__ import annotations

import argparse
import json
from typing import Any

from minigrad.commands import arguments as args
from minigrad.commands.build import options_of
from minigrad.commands.spec import choose
from minigrad.errors import ArgumentError
from minigrad.optim import schedules

__all__ = ["add_parser", "run"]

# What the schedules in the list are built for.
LR, STEPS = 0.1, 1000


def add_parser(commands: Any) -> None:
    """Add `schedules` and its options to the command line."""
    parser = args.add_command(
        commands,
        "schedules",
        "list the learning rate schedules with their equations, or draw them",
        "List the learning rate schedules with their equations and what --schedule NAME:KEY=VALUE takes, for a run\n"
        f"of {STEPS:,} steps with a peak of {LR}. With --plot, draw all of them.",
        ["schedules", "schedules cosine warmup-step", "schedules --plot schedules.png", "schedules --json"],
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these")
    parser.add_argument("--plot", metavar="FILE", help="write a picture of all schedules (PNG, PDF or SVG)")
    args.add_json(parser, "a list of objects")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the list, or draw the gallery; returns the exit code."""
    for name in arguments.names:
        choose(name, schedules.names(), "NAME")
    if arguments.plot is not None:
        return _draw(arguments.plot)
    rows = [
        {"name": name, "equation": equation, "expression": repr(schedule), "options": options_of(schedule, LR)}
        for name, schedule, equation in schedules.gallery(LR, STEPS)
        if name in (arguments.names or schedules.names())
    ]
    if arguments.json:
        print(json.dumps(rows, indent=1, ensure_ascii=False))
    else:
        print("\n\n".join(_paragraph(row) for row in rows))
    return 0


def _draw(path: str) -> int:
    from minigrad.optim.schedule_plot import plot_gallery

    try:
        plot_gallery(path)
    except (OSError, ValueError) as error:
        raise ArgumentError(f"--plot: cannot write {path}: {error}.") from error
    print(f"all {len(schedules.names())} schedules are drawn in {path}")
    return 0


def _paragraph(row: dict[str, Any]) -> str:
    options = ", ".join(row["options"]) or "none"
    return f"{row['name']}\n    {row['equation']}\n    {row['expression']}\n    options: {options}"
