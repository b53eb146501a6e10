"""Colour on a terminal, for the one word that must not be overlooked."""

from __future__ import annotations

import os
from typing import TextIO

__all__ = ["alarm"]


def alarm(word: str, stream: TextIO) -> str:
    """The word in bold red, if `stream` is a terminal that has colours and NO_COLOR is not set.

    References
    ----------
    https://no-color.org: any value of NO_COLOR that is not empty turns colour off.
    """
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not stream.isatty():
        return word
    return f"\x1b[1;31m{word}\x1b[0m"
