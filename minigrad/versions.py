"""Which memory was changed in place, and when.

Backward needs the arrays of the forward pass as they were. Every in-place change writes a stamp here: the memory
it touched and the moment on the graph's clock (`graph.tick`). A node checks the arrays it saved against the stamps
before it uses them. The forward pass pays nothing for this, and views of one buffer need no bookkeeping: a stamp
belongs to the buffer at the root of all its views, with the range of bytes that changed.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable

import numpy as np

# One clock for the whole process: nodes take their birth number from it, changes their stamp.
_clock = itertools.count(1)
tick = _clock.__next__

# Beyond this many different ranges of one buffer, it is kept as changed everywhere.
_MOST_RANGES = 64

_Range = tuple[int, int] | None  # the first byte and the one after the last; None is the whole buffer
_changes: dict[int, tuple[weakref.ref[np.ndarray], dict[_Range, int]]] = {}
_latest = 0


def _root(array: np.ndarray) -> np.ndarray:
    """The array that owns the memory `array` looks at."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _bytes_of(array: np.ndarray) -> tuple[int, int]:
    return np.lib.array_utils.byte_bounds(array)


def mark_changed(array: np.ndarray) -> None:
    """Note that the elements of `array` have just been changed in place."""
    global _latest
    _latest = tick()
    root = array if array.base is None else _root(array)
    key = id(root)
    known = _changes.get(key)
    if known is None:
        # The weak reference drops the entry with the buffer, before its id can be given to another.
        known = _changes[key] = (weakref.ref(root, lambda _: _changes.pop(key, None)), {})
    ranges = known[1]
    if array is root or len(ranges) >= _MOST_RANGES:
        if len(ranges) > 1 or None not in ranges:
            ranges.clear()
        ranges[None] = _latest
    else:
        ranges[_bytes_of(array)] = _latest


def marker(root: np.ndarray) -> Callable[[], None]:
    """A function that does `mark_changed(root)` in half the time, for memory that is changed again and again."""
    mark_changed(root)
    ranges = _changes[id(root)][1]

    def mark() -> None:
        global _latest
        if len(ranges) > 1:
            ranges.clear()
        ranges[None] = _latest = tick()

    return mark


def last_change() -> int:
    """The moment of the latest change in place of any memory: a node born after it needs no check."""
    return _latest


def changed_since(array: np.ndarray, moment: int) -> bool:
    """True when any byte of `array` was changed in place after `moment`."""
    if not _changes:
        return False
    known = _changes.get(id(_root(array)))
    if known is None:
        return False
    late = [span for span, stamp in known[1].items() if stamp > moment]
    if not late or None in late:
        return bool(late)
    low, high = _bytes_of(array)
    return any(span is not None and span[0] < high and low < span[1] for span in late)
