"""The command line: `python -m minigrad COMMAND`.

Exit codes: 0 done, 1 the work failed, 2 the command was not understood, 130 ended by Ctrl-C with the state saved.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import minigrad
from minigrad.commands import (
    benchmark,
    compare,
    evaluate,
    lab,
    lr_find,
    ops,
    optimizers,
    predict,
    schedules,
    summary,
    train,
)
from minigrad.commands.terminal import alarm
from minigrad.errors import ArgumentError, DataError, MinigradError

__all__ = ["main"]

EPILOG = """\
examples:
  python -m minigrad train digits
  python -m minigrad predict seven.png --checkpoint runs/digits
  python -m minigrad COMMAND --help        options and examples of a command

exit codes:
  0    done
  1    the work failed
  2    the command was not understood
  130  ended by Ctrl-C, with the state saved
"""


class _Parser(argparse.ArgumentParser):
    """An argument parser whose complaint is one line, and which takes no abbreviated options."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **arguments})

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {alarm('error:', sys.stderr)} {_one_line(message)}\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; `argv` is `sys.argv[1:]` by default. Returns the exit code."""
    parser = _Parser(
        prog="python -m minigrad",
        description="Train and inspect small neural networks, from scratch, on the CPU.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"minigrad {minigrad.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for module in (train, evaluate, predict, compare, lr_find, summary, ops, optimizers, schedules, benchmark, lab):
        module.add_parser(commands)
    arguments = parser.parse_args(argv)
    try:
        return arguments.run(arguments)
    except (ArgumentError, DataError) as error:
        # Wrong values that only the work itself can find: same form and code as a wrong option.
        return _complain(arguments.command, "error:", error, 2)
    except BrokenPipeError:
        # The reader of the output, such as `head`, has seen enough. Nothing is left to be flushed into its pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (MinigradError, OSError) as error:
        return _complain(arguments.command, "failed:", error, 1)
    except MemoryError as error:
        return _complain(arguments.command, "failed:", f"there is not enough memory. {error}", 1)
    except KeyboardInterrupt:
        print("Interrupted. Files that were complete by then are kept.", file=sys.stderr)
        return 130


def _complain(command: str, word: str, error: object, code: int) -> int:
    print(f"python -m minigrad {command}: {alarm(word, sys.stderr)} {_one_line(error)}", file=sys.stderr)
    return code


def _one_line(error: object) -> str:
    return " ".join(str(error).split())


if __name__ == "__main__":
    sys.exit(main())
