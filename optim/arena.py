"""What an optimizer updates at one go: a tensor (`Cell`), or all tensors of a group in one buffer (`Arena`).

An update is a function of single elements, so a kernel does not care where one tensor ends and the next begins. An
arena lays the parameters of a group behind each other, and their gradients, and each kind of state:

    p      [ weight .............. | bias .. | weight ......... | bias ]     p.data are views of this
    g      [ ..................... | ....... | ................ | .... ]     p.grad are views of this
    state  [ ..................... | ....... | ................ | .... ]     for each name

Then a step is one launch, however many tensors there are. Backward writes a gradient straight to its place: the
arena offers each parameter a `slot`, a Tensor over its part of `g` (`slot.py`).

Every loop over an arena gives the first part of it to the first thread, which is the one that calls, and so on. What a
core reads should be in its own cache, and what it writes in nobody else's: fetching memory from another core takes
longer than computing with it, above all where groups of cores have caches of their own. So the look for NaN is shared
out like the update; a product writes the gradient of a large weight in the same parts (`kernels/dense_plan.py`); and
small tensors, whose gradients the calling thread computes by itself, lie first. On a machine whose two cores at times
shared a cache and at times did not, a step of an MLP with 784-128-10 units took 169 and 262 microseconds before, and
takes 162 and 190 since.

It is an optimisation and never a condition. A tensor whose memory somebody else holds is left where it is. When a
step finds that a parameter was rebound, that its gradient is None or lies elsewhere, or that its step count is not
that of the others, the tensors of the arena are updated one by one, by the same kernel on the same memory:
the same bits, only slower.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from minigrad.errors import ArgumentError, ShapeError
from minigrad.graph import wrap
from minigrad.kernels.jit import Kernel
from minigrad.kernels.optimizers import has_nonfinite
from minigrad.optim.slot import LOOK_FROM, Slot
from minigrad.versions import mark_changed, marker

__all__ = ["Arena", "Block", "Cell", "arrange"]

# From this many elements on, an update, and a look for NaN, runs on all threads. Measured on two cores within training
# steps: with 100,000 parameters a step of momentum takes 27 microseconds on both and 59 on one.
PARALLEL_FROM = 1 << 16
# Smaller tensors lie first in an arena; see the head of this file.
LARGE = 1 << 14
# Tensors begin at multiples of 64 bytes, a cache line and the width of the widest vector.
LINE = 64
PAGE = 4096
STAGGER = 512
_NOTHING = np.empty(0, np.float32)


class Block:
    """What one launch updates: flat arrays of parameters and gradients, and the state that goes with them.

    Attributes
    ----------
    p, g : 1-D arrays of one dtype
    state : dict
        1-D arrays of the size of `p`, and numbers such as 'step', by PyTorch's names.
    """

    __slots__ = ("g", "p", "state")

    p: np.ndarray
    g: np.ndarray
    state: dict[str, Any]

    def run(self, kernel: Kernel, arrays: tuple[np.ndarray, ...], numbers: tuple[float, ...]) -> None:
        """Launch `kernel(p, g, *arrays, numbers)`, on several threads where that is faster."""
        p = self.p
        (kernel.serial if p.size < PARALLEL_FROM else kernel)(p, self.g, *arrays, numbers)

    def count(self) -> int:
        """Add 1 to the block's 'step' and return it: 1 in the first step."""
        t = self.state["step"] = self.state.get("step", 0) + 1
        return t

    def all_finite(self) -> bool:
        """Whether no gradient is NaN or infinite."""
        return _all_finite(self.g)

    def array(self, name: str, fill: Any = 0.0) -> np.ndarray:
        """The state array of this name; made and filled (with a number or an array) when first asked for."""
        found = self.state.get(name)
        return self._make(name, fill) if found is None else found

    def cells(self) -> Sequence[Cell]:
        """The single tensors of the block."""
        raise NotImplementedError

    def _make(self, name: str, fill: Any) -> np.ndarray:
        raise NotImplementedError


class Cell(Block):
    """One parameter and its state; the block of the tensors that are not updated in an arena."""

    __slots__ = ("arena", "copied", "name", "place", "tensor")

    def __init__(self, tensor: Any, name: str) -> None:
        self.tensor = tensor
        self.name = name
        self.state = {}
        self.arena: Arena | None = None
        self.place = slice(0)  # in the arena's buffers
        self.copied = False  # p is a copy, to be written back
        self.p = self.g = _NOTHING

    def cells(self) -> Sequence[Cell]:
        return (self,)

    def load(self) -> None:
        """Take the parameter and its gradient as flat arrays; the gradient must not be None.

        Where the layout or the dtype (float16) is not one that kernels know, they are copies.
        """
        data, grad = self.tensor._data, self.tensor._grad._data
        if not data.flags.writeable:
            raise ArgumentError(f"step: {self.name} is read-only memory. Give it a copy: p.data = p.data.copy().")
        if grad.shape != data.shape:
            raise ShapeError(f"step: {self.name} has shape {data.shape}, its gradient {grad.shape}.")
        dtype = np.float64 if data.dtype.itemsize == 8 else np.float32
        self.copied = not data.flags.c_contiguous or data.dtype != dtype
        self.p = np.ascontiguousarray(data, dtype).reshape(-1)
        self.g = np.ascontiguousarray(grad, dtype).reshape(-1)
        for name, value in self.state.items():
            if isinstance(value, np.ndarray):
                if value.ndim == 1 and value.size != data.size:
                    raise ShapeError(
                        f"step: {self.name} now has shape {data.shape}, but its {name} has {value.size} elements. "
                        "A parameter keeps its shape; make a new optimizer for another one."
                    )
                if value.dtype != dtype:
                    self.state[name] = value.astype(dtype)  # the parameter was converted, by .double() say

    def store(self) -> None:
        """Write the updated parameter back if it was a copy, and let backward know of the change."""
        data = self.tensor._data
        if self.copied:
            data[...] = self.p.reshape(data.shape)
        mark_changed(data)
        self.p = self.g = _NOTHING

    def _make(self, name: str, fill: Any) -> np.ndarray:
        if self.arena is None or self.arena.p.dtype != self.p.dtype:
            made = np.empty_like(self.p)
        else:
            made = self.arena.buffer(name)[self.place]
        made[...] = fill
        self.state[name] = made
        return made

    def shaped(self, value: Any) -> Any:
        """A flat state array in the shape of the parameter; anything else as it is."""
        if isinstance(value, np.ndarray) and value.ndim == 1:
            return value.reshape(self.tensor.shape)
        return value


class Arena(Block):
    """Parameters of one group, dtype and step count in one buffer."""

    __slots__ = ("_alone", "_mark", "buffers", "members", "whole_state")

    def __init__(self, members: Sequence[Cell]) -> None:
        dtype = members[0].tensor._data.dtype
        line = LINE // dtype.itemsize
        end = 0
        for cell in sorted(members, key=_is_large):
            size = cell.tensor._data.size
            cell.place = slice(end, end + size)
            end += -(-size // line) * line
        self.p, self.g = _buffer(end, dtype, 0), _buffer(end, dtype, 1)
        owner: Any = self.p.base  # of the memory that the parameters are views of
        self._mark = marker(owner)
        self.buffers: dict[str, np.ndarray] = {}
        self.members: list[tuple[Cell, Any, np.ndarray, Any, np.ndarray]] = []
        for cell in members:
            self._take_in(cell)
        self.whole_state = False
        self.state = {}
        self.join()
        self._settle()

    def _take_in(self, cell: Cell) -> None:
        tensor = cell.tensor
        shape = tensor._data.shape
        data = self.p[cell.place].reshape(shape)
        data[...] = tensor._data
        tensor._data = data
        for name, value in cell.state.items():
            if isinstance(value, np.ndarray):
                part = self.buffer(name)[cell.place]
                part[...] = value
                cell.state[name] = part
        cell.arena = self
        self.members.append((cell, tensor, data, *self._offer_slot(cell, shape)))

    def _offer_slot(self, cell: Cell, shape: tuple[int, ...]) -> tuple[Any, np.ndarray]:
        """Give the parameter its part of `g` as the place for its gradient."""
        grad = self.g[cell.place].reshape(shape)
        slot = cell.tensor.slot = Slot(grad)
        return slot, grad

    def dissolve(self) -> None:
        """Let go of the cells, which keep their state; the tensors stay views of the buffer until they are moved."""
        self.split()
        for cell, tensor, _, slot, _ in self.members:
            if tensor.slot is slot:
                tensor.slot = None
            if cell.arena is self:
                cell.arena = None
        self.members = []
        self.p = self.g = _NOTHING
        self.buffers = {}

    def cells(self) -> Sequence[Cell]:
        return [member[0] for member in self.members]

    def buffer(self, name: str) -> np.ndarray:
        """The flat memory of a state array, for all cells."""
        found = self.buffers.get(name)
        if found is None:
            found = self.buffers[name] = _buffer(self.p.size, self.p.dtype, 2 + len(self.buffers))
        return found

    def _make(self, name: str, fill: Any) -> np.ndarray:
        made = self.state[name] = self.buffer(name)
        made[...] = fill
        return made

    def whole(self) -> bool:
        """True when every parameter and gradient is where the arena put it, and the state is common."""
        if not self.whole_state:
            return False
        for _, tensor, data, slot, grad in self.members:
            if tensor._data is not data or tensor._grad is not slot or slot._data is not grad:
                return False
        return True

    def all_finite(self) -> bool:
        if self.p.size < LOOK_FROM:
            return _all_finite(self.g)
        # Large slots were looked at when they were filled. What lies between slots is zero.
        unknown = [cell for cell, _, _, slot, _ in self.members if not slot.known_finite()]
        if len(unknown) == len(self.members):
            return _all_finite(self.g)
        return all(_all_finite(self.g[cell.place]) for cell in unknown)

    def store(self) -> None:
        """Let backward know that the parameters have changed."""
        self._mark()

    def split(self) -> None:
        """Give each cell its own state: views of the buffers, copies of the numbers."""
        if self.whole_state:
            for cell in self.cells():
                cell.state = {
                    name: value[cell.place] if isinstance(value, np.ndarray) else value
                    for name, value in self.state.items()
                }
            self.whole_state = False

    def join(self) -> None:
        """Make the cells' state common again if it is: same names, same numbers, arrays in the buffers."""
        first, *others = self.cells()
        numbers = _numbers(first)
        if all(_numbers(cell) == numbers for cell in others) and all(map(self._at_home, (first, *others))):
            self.state = {name: self.buffers.get(name, value) for name, value in first.state.items()}
            self.whole_state = True

    def _at_home(self, cell: Cell) -> bool:
        return all(
            name in self.buffers and value.base is self.buffers[name].base
            for name, value in cell.state.items()
            if isinstance(value, np.ndarray)
        )

    def release_gradients(self) -> None:
        """Set every gradient to None; one that somebody still holds stays theirs, as it is.

        The next backward pass writes into the slots. If a gradient of the last one is in other hands (a logger's list,
        say), the arena leaves the whole buffer to them and takes a fresh one.
        """
        for member in self.members:
            member[1]._grad = None
        if self._references() > self._alone:
            self.g = _buffer(self.g.size, self.g.dtype, 1)
            self.members = [
                (cell, tensor, data, *self._offer_slot(cell, data.shape)) for cell, tensor, data, _, _ in self.members
            ]
            self._settle()

    def _settle(self) -> None:
        """Note how many references there are while the gradients are nobody else's."""
        self._alone = self._references()
        for _, _, _, slot, _ in self.members:
            slot.own_views = slot.views()

    def _references(self) -> int:
        """How many references there are to the gradients; more than at the beginning: somebody else has some."""
        total = sys.getrefcount(self.g.base)  # every view of it counts
        for _, _, _, slot, grad in self.members:
            total += sys.getrefcount(slot) + sys.getrefcount(grad)
        return total


def _is_large(cell: Cell) -> bool:
    return cell.tensor._data.size >= LARGE


def _all_finite(g: np.ndarray) -> bool:
    return not (has_nonfinite.serial if g.size < PARALLEL_FROM else has_nonfinite)(g)


def _buffer(size: int, dtype: np.dtype, number: int) -> np.ndarray:
    """The arena's buffer of this number, filled with zeros, at a place in memory that processors like.

    It begins at a cache line: for Adam, loads and stores across lines take twice the time. And each buffer begins at
    another place within a page: addresses that differ by whole pages look the same to a processor that asks whether a
    load must wait for the store before it, which costs Adam another third.
    """
    memory = np.zeros(size * dtype.itemsize + PAGE, np.uint8)
    start = (number * STAGGER - memory.ctypes.data) % PAGE
    return memory[start : start + size * dtype.itemsize].view(dtype)


def arrange(cells: Sequence[Cell], wanted: Iterable[Cell]) -> list[Arena]:
    """Lay those of the `wanted` cells into arenas that can be moved.

    Parameters
    ----------
    cells : the cells of a group, in no arena
    wanted : those among them that are expected to be updated together

    Returns
    -------
    list of Arena
        One for each dtype and step count. Cells in none of them are updated one by one.
    """
    # Tensors that were views of one buffer (an arena that is gone) may leave it, if nobody else looks at it.
    owners = Counter(id(cell.tensor._data.base) for cell in cells)
    movable = [cell for cell in wanted if _held_by_one(cell.tensor, owners)]
    together: dict[Any, list[Cell]] = {}
    for cell in movable if _disjoint(movable) else ():
        together.setdefault((cell.tensor._data.dtype, _numbers(cell)), []).append(cell)
    return [Arena(members) for members in together.values()]


def _numbers(cell: Cell) -> tuple[tuple[str, Any], ...]:
    """The names of the cell's state, with the values of those that are numbers."""
    return tuple((name, None if isinstance(value, np.ndarray) else value) for name, value in sorted(cell.state.items()))


def _references(tensor: Any) -> int:
    """How many references there are to the array of a tensor."""
    data = tensor._data
    return sys.getrefcount(data)


def _base_references(tensor: Any) -> int:
    """How many references there are to the array that the array of a tensor is a view of."""
    base = tensor._data.base
    return sys.getrefcount(base)


# What these say when nobody else has a reference; measured, because it depends on the interpreter.
_ALONE = _references(wrap(np.zeros(1)))
_BASE_ALONE = _base_references(wrap(np.zeros(2)[:1])) - 1


def _held_by_one(tensor: Any, owners: Counter[int]) -> bool:
    """True when nobody but the tensor holds its memory, so that nobody notices when it is moved."""
    data = tensor._data
    if tensor.slot is not None or data.dtype not in (np.float32, np.float64) or not data.flags.writeable:
        return False
    base = data.base
    if _references(tensor) > _ALONE + 1:  # 1 is `data` here
        return False
    return base is None or (
        isinstance(base, np.ndarray) and _base_references(tensor) <= _BASE_ALONE + owners[id(base)] + 1
    )


def _disjoint(cells: list[Cell]) -> bool:
    """True when no two of the tensors look at the same memory."""
    spans = sorted(np.lib.array_utils.byte_bounds(cell.tensor._data) for cell in cells if cell.tensor._data.size)
    return all(end <= start for (_, end), (start, _) in pairwise(spans))
