"""`python -m minigrad optimizers`: every optimizer with its equation, its memory, its paper and what it is for."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import Any

from minigrad.optim import table

__all__ = ["add_parser", "run"]


def add_parser(commands: Any) -> None:
    """Add `optimizers` and its options to the command line."""
    parser = commands.add_parser(
        "optimizers",
        help="list the optimizers with equations, state, papers and uses",
        description="List the optimizers: equation, bytes of state a float32 parameter, paper, best use.",
        epilog="Example: python -m minigrad optimizers --json",
    )
    parser.add_argument("--json", action="store_true", help="print a list of objects for a program to read")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the table; returns the exit code."""
    if arguments.json:
        print(json.dumps([asdict(row) for row in table.ROWS], indent=1, ensure_ascii=False))
    else:
        print(table.listing())
    return 0
