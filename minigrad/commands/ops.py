"""`python -m minigrad ops`: each op with its formula, its gradient, where the rule stands, and its kernels."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import Any

from minigrad.commands import arguments as args
from minigrad.errors import ArgumentError
from minigrad.listing import OpRow, listing

__all__ = ["add_parser", "run"]


def add_parser(commands: Any) -> None:
    """Add `ops` and its options to the command line."""
    parser = args.add_command(
        commands,
        "ops",
        "list the operations with formulas, gradient rules and kernels",
        "List every operation with its formula, its gradient rule, the rule's place and its kernels.",
        ["ops", "ops mul matmul conv2d", "ops --json"],
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these operations")
    args.add_json(parser, "a list of objects")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the list; returns the exit code."""
    rows = [row for row in listing() if row.rule.startswith("minigrad/ops/") or not row.rule]
    unknown = sorted(set(arguments.names) - {row.name for row in rows})
    if unknown:
        raise ArgumentError(f"no operation is called {', '.join(unknown)}; `python -m minigrad ops` lists all.")
    if arguments.names:
        rows = [row for row in rows if row.name in arguments.names]
    if arguments.json:
        print(json.dumps([asdict(row) for row in rows], indent=1, ensure_ascii=False))
        return 0
    print("\n\n".join(_paragraph(row) for row in rows))
    if not arguments.names:
        print(f"\n{len(rows)} operations")
    return 0


def _paragraph(row: OpRow) -> str:
    lines = [f"{row.name}", f"    {row.formula}"]
    lines += [f"    {gradient}" for gradient in row.gradients] or ["    no derivative"]
    if row.rule:
        lines.append(f"    rule    {row.rule}")
    if row.kernels:
        lines.append(f"    kernel  {', '.join(row.kernels)}")
    return "\n".join(lines)
