"""`python -m minigrad optimizers`: every optimizer with its equation, its memory, its paper and what it is for."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import Any

from minigrad.commands import arguments as args
from minigrad.commands.build import OPTIMIZERS, WRAPPERS, Choice, peak_lr
from minigrad.commands.spec import choose, keywords
from minigrad.optim import table

__all__ = ["add_parser", "run"]


def add_parser(commands: Any) -> None:
    """Add `optimizers` and its options to the command line."""
    parser = args.add_command(
        commands,
        "optimizers",
        "list the optimizers with equations, state, papers and uses",
        "List the optimizers: equation, bytes of state a float32 parameter, paper, best use. With names, also what\n"
        "--optimizer NAME:KEY=VALUE takes.",
        ["optimizers", "optimizers adamw lion", "optimizers --json"],
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these, with their options")
    args.add_json(parser, "a list of objects")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the table; returns the exit code."""
    for name in arguments.names:
        choose(name, OPTIMIZERS, "NAME")
    rows = [_as_object(name, OPTIMIZERS[name]) for name in arguments.names or OPTIMIZERS]
    if arguments.json:
        print(json.dumps(rows, indent=1, ensure_ascii=False))
    elif arguments.names:
        print("\n\n".join(_paragraph(row) for row in rows))
    else:
        print(table.listing())
        print(f"\n--optimizer takes {', '.join(OPTIMIZERS)}; `optimizers NAME` shows the options of one")
        around = [
            f"{name}:base=NAME ({', '.join(keywords(make, ('optimizer',)))})" for name, (make, _) in WRAPPERS.items()
        ]
        print(f"and, around another one, {' and '.join(around)}")
    return 0


def _as_object(name: str, choice: Choice) -> dict[str, Any]:
    """One optimizer of the command line: the row of its class, and its options with their defaults."""
    title = "Nesterov" if name == "nesterov" else choice.make.__name__
    row = next(row for row in table.ROWS if row.name == title)
    own = {"lr": peak_lr(name, None), "schedule": choice.schedule, "options": choice.options}
    return {"command": name, **asdict(row), **own}


def _paragraph(row: dict[str, Any]) -> str:
    choice = OPTIMIZERS[row["command"]]
    settings = "".join(f", {key}={_written(value)}" for key, value in choice.settings.items())
    options = "\n".join(f"        {key}={_written(value)}" for key, value in row["options"].items())
    return (
        f"{row['command']}    (optim.{choice.make.__name__}{settings}; {row['paper']})\n"
        f"    {row['equation']}\n"
        f"    {row['best_for']}\n"
        f"    {row['bytes']} bytes of state for each parameter\n"
        f"    lr {row['lr']:g} and schedule {row['schedule']}, if not given\n"
        f"    options and their defaults:\n{options}"
    )


def _written(value: Any) -> str:
    """A value as one writes it after KEY=."""
    if isinstance(value, tuple):
        return ",".join(map(_written, value))
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)
