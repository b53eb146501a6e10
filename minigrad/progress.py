"""The progress bar: tqdm on a terminal, nothing where the output goes to a file."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

__all__ = ["bar"]


def bar(items: Any, label: str, shown: bool = True) -> Iterable:
    """`items`, counted on a bar on stderr that goes away at its end; without a terminal there is no bar."""
    if not shown or not sys.stderr.isatty():
        return items
    from tqdm import tqdm

    return tqdm(items, desc=label, leave=False, dynamic_ncols=True, unit="batch")
