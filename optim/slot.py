"""The place in an arena where backward writes a parameter's gradient, looking for NaN on the way.

An optimizer refuses gradients that are not finite before it changes anything, so it must look at all of them first. For
millions of parameters that is one more pass over memory, a fifth of the time of a step of Adam. Backward copies
gradients into their slots (all but those that a rule computes there, `graph.Into`), and a look at the numbers that are
being copied costs nothing. So a large slot remembers when it was filled with finite numbers, and the optimizer does not
read it again unless it may have changed:

- changes in place of Tensors, and of views of them, are on record (`minigrad/versions.py`);
- whoever asks a slot for its array (`numpy()`, `data`, `detach()`) may write to it: the slot forgets what it knows.

What is written with numpy into a view of a slot (`p.grad[0].numpy()[...] = nan`) is the one thing that goes unnoticed.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from minigrad.graph import wrap
from minigrad.kernels.jit import jit_disabled
from minigrad.kernels.optimizers import copy_and_look
from minigrad.tensor import Tensor
from minigrad.versions import changed_since, tick

__all__ = ["LOOK_FROM", "Slot"]

# From so many elements on a gradient does not stay in the cache until the optimizer reads it.
LOOK_FROM = 1 << 19


class Slot(Tensor):
    """A Tensor over its part of an arena's gradients."""

    __slots__ = ("_finite_at", "own_views")

    _finite_at: int  # on the clock of the graph; 0: not known
    own_views: int  # what `views` says while nobody but the arena looks at its memory

    def __init__(self, place: np.ndarray) -> None:
        super().__init__(0.0)
        self._data = place  # itself, where the constructor copies
        self._finite_at = 0
        self.own_views = sys.maxsize

    def views(self) -> int:
        """How many references there are to the memory that this slot and others are views of."""
        return sys.getrefcount(self._data.base)

    def fill(self, g: np.ndarray) -> None:
        """Take the numbers of `g`, of the slot's shape; or know that they have been written, when `g` is its array."""
        place = self._data
        self._finite_at = 0
        if g is place:
            return
        if place.size < LOOK_FROM or g.dtype != place.dtype or not g.flags.c_contiguous or jit_disabled():
            place[...] = g
        elif not copy_and_look(g.reshape(-1), place.reshape(-1)):
            self._finite_at = tick()

    def known_finite(self) -> bool:
        """Whether all numbers were finite when they came, and are still the same."""
        return bool(self._finite_at) and not changed_since(self._data, self._finite_at)

    # ---- who gets the array may write to it ------------------------------------------------------------------------

    def numpy(self) -> np.ndarray:
        self._finite_at = 0
        return super().numpy()

    def detach(self) -> Tensor:
        self._finite_at = 0
        return super().detach()

    @property
    def data(self) -> np.ndarray:
        """The elements."""
        self._finite_at = 0
        return self._data

    @data.setter
    def data(self, value: Any) -> None:
        self._finite_at = 0
        Tensor.data.fset(self, value)  # type: ignore[attr-defined]

    # ---- a copy of a gradient is no place for one ------------------------------------------------------------------

    def __reduce__(self) -> tuple:
        return wrap, (self.numpy(),)

    def __deepcopy__(self, memo: dict) -> Tensor:
        copied = memo[id(self)] = Tensor(self._data)
        return copied
