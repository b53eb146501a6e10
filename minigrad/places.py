"""Where gradients go: an optimizer has a place in memory for each, and large ones are computed there.

An optimizer that updates all parameters in one loop wants their gradients side by side (`optim/arena.py`), and gives
each parameter a slot, a Tensor over its part of that memory. Backward copies a gradient there when it is complete. Of a
large one the copy takes as long as the step of the optimizer, so a gradient rule may offer to write it there itself:

    return lambda: matmul(g, w), Into(lambda out: dense.product(g.T, x, out))

That is done for the first gradient of a leaf whose `.grad` is None, of which nobody keeps an earlier one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.graph import Node

__all__ = ["Into", "free_slot", "place"]


class Into:
    """A gradient of a rule: `write(out)` computes it into an array of the input's shape, or, given None, anew."""

    __slots__ = ("write",)

    def __init__(self, write: Callable[[np.ndarray | None], np.ndarray]) -> None:
        self.write = write

    def __call__(self) -> np.ndarray:
        return self.write(None)


def free_slot(leaf: Any) -> Any:
    """The slot of a leaf, if nobody keeps an earlier gradient that is still there, else None."""
    slot = leaf.slot
    # Held by the leaf, the optimizer, `slot` and the argument; by one more, if somebody keeps it.
    if slot is None or sys.getrefcount(slot) > 4 or sys.getrefcount(slot._data) > 3:
        return None
    # A view of it refers to the memory alone, which all slots of the optimizer are views of.
    return None if slot.views() > slot.own_views else slot


def place(edge: Any) -> np.ndarray | None:
    """The memory to which the first gradient of a leaf would be copied in the end: it may be written there."""
    if isinstance(edge, Node) or edge._hooks or edge._grad is not None:
        return None
    slot = free_slot(edge)
    return None if slot is None else slot._data
