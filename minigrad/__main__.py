"""The command line: `python -m minigrad COMMAND`.

Exit codes: 0 done, 1 the work failed, 2 the command was not understood, 130 ended by Ctrl-C with the state saved.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from minigrad.commands import benchmark, compare, lab, lr_find, ops, optimizers, predict, schedules, train
from minigrad.errors import ArgumentError, DataError, MinigradError

__all__ = ["main"]


class _Parser(argparse.ArgumentParser):
    """An argument parser whose complaint is one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message}\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; `argv` is `sys.argv[1:]` by default. Returns the exit code."""
    parser = _Parser(
        prog="python -m minigrad",
        description="Train and inspect small neural networks, from scratch, on the CPU.",
        epilog="Example: python -m minigrad train digits --epochs 10",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for module in (train, predict, compare, lr_find, ops, optimizers, schedules, benchmark, lab):
        module.add_parser(commands)
    arguments = parser.parse_args(argv)
    try:
        return arguments.run(arguments)
    except (ArgumentError, DataError) as error:
        # Wrong values that only the work itself can find: same form and code as a wrong option.
        print(f"{parser.prog} {arguments.command}: error: {_one_line(error)}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # The reader of the output, such as `head`, has seen enough. Nothing is left to be flushed into its pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (MinigradError, OSError) as error:
        print(f"{parser.prog} {arguments.command}: failed: {_one_line(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted. Files that were complete by then are kept.", file=sys.stderr)
        return 130


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


if __name__ == "__main__":
    sys.exit(main())
