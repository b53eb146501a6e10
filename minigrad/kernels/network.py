"""A row of layers as programs, forward and backward: which kernels run, and on what, for a shape of the input.

The layers are parts (`network_parts.py`), which write their launches into the scripts of the programs (`program.py`).
The backward program is cut so that only what is wanted is run. Its rows stand in the order

    receive, input_grad of the last part, ..., receive of the first    the way back
    weight_grads of the first part, ..., of the last                   on demand

but that small weight_grads stand on the way, after their part's receive: to run them takes less time than to come back
for them.

The gradient of the input is a program of its own, which is written when it is first asked for: a network that begins
with data does not need it, and its kernels would be compiled for nothing.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np

from minigrad.errors import ShapeError
from minigrad.kernels.buffers import empty_numbers
from minigrad.kernels.jit import get_num_threads
from minigrad.kernels.network_parts import PARTS, Gradient, Part, UnfitError
from minigrad.kernels.program import (
    LOCAL,
    MEMORY,
    OUT,
    RESULT,
    UPSTREAM,
    WEIGHTS,
    Place,
    Program,
    Script,
    Value,
    X,
    c_strides,
)

__all__ = ["Layer", "Network", "Pass", "network"]

Pair = tuple[int, int]
Shape = tuple[int, ...]
Layout = tuple[Shape, Shape]
# The addresses of the weights; the input, the memory between the passes, and the result as flat arrays.
Bases = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]

_FLOAT32 = np.dtype(np.float32)
# In multiply-adds; they take some 2 microseconds.
_MOST_ON_THE_WAY = 1 << 17
# The name of a layer's operation, how many weights it has, and the options it is called with.
Layer = tuple[str, int, Mapping[str, Any]]


def _base_of_result(kinds: Sequence[type[Part]]) -> int:
    """Where the result of a part lies, given its kind and, unless it is the last one, that of the next.

    That of the last is an array of its own: who keeps it should not keep all that the way back needs.
    """
    if len(kinds) == 1:
        return RESULT
    return MEMORY if kinds[0].reads_z or kinds[1].reads_x else LOCAL


class Network:
    """The programs of a row of layers, for one shape and layout of the input and of each weight.

    They are written for as many threads as there are now (`minigrad.set_num_threads`).
    """

    def __init__(self, layers: Sequence[Layer], x: Layout, weights: Sequence[Layout | None]) -> None:
        self._x_layout, self._weight_layouts = x, tuple(weights)
        given = iter([None if w is None else Value(Place(WEIGHTS + i), *w) for i, w in enumerate(weights)])
        script = Script(get_num_threads())
        value = Value(Place(X), *x)
        parts: list[Part] = []
        kinds = [PARTS[name] for name, _, _ in layers]
        for i, (_, count, options) in enumerate(layers):
            script.output_base = _base_of_result(kinds[i : i + 2])
            parts.append(kinds[i](script, value, *islice(given, count), **options))
            value = parts[-1].z
        self._result = value
        self._forward = script.program()
        self._memory, self._forward_local = script.lengths[MEMORY] // 4, script.lengths[LOCAL] // 4
        self._size = value.size
        self._write_backward(parts, script.threads)
        self._towards_input: tuple[Program, Value] | None = None
        # The addresses of the weights that came last, and who they were.
        self._known: tuple[list[Callable[[], Any]], np.ndarray] = [], np.empty(0, np.int64)

    def _write_backward(self, parts: Sequence[Part], threads: int) -> None:
        script = Script(threads)
        g = self._result._replace(place=Place(UPSTREAM))
        received: dict[int, Value] = {}
        self._found: list[Sequence[Gradient | None]] = [()] * len(parts)  # the gradients of a part's weights
        self._ends = [0] * len(parts)  # of the rows that must have run before those that give them
        self._pieces: list[Pair] = [(0, 0)] * len(parts)  # these rows
        for k in reversed(range(len(parts))):
            received[k] = parts[k].receive(script, g)
            if parts[k].weight_work <= _MOST_ON_THE_WAY:
                self._found[k] = parts[k].weight_grads(script, received[k], LOCAL)
            self._ends[k] = len(script.rows)
            if k:
                g = parts[k].input_grad(script, received[k])
        for k, part in enumerate(parts):
            first = len(script.rows)
            if part.weight_work > _MOST_ON_THE_WAY:
                self._found[k] = part.weight_grads(script, received[k], OUT)
            self._pieces[k] = first, len(script.rows)
        # For each weight its part, its place among the part's, and whether the gradient can be told to which array.
        self._wanted = [
            None if gradient is None else (k, i, gradient.part is None)
            for k, found in enumerate(self._found)
            for i, gradient in enumerate(found)
        ]
        self._backward = script.program()
        self._first, self._received, self._threads = parts[0], received[0], threads
        self._back_local = script.lengths[LOCAL] // 4
        self._local = self._back_local  # numbers of LOCAL that a pass needs

    def forward(self, x: np.ndarray, weights: Sequence[np.ndarray | None]) -> tuple[np.ndarray, Bases] | None:
        """The result, and what `Pass` needs; None when x or a weight is not as it was planned for."""
        addresses = self._addresses(weights)
        if addresses is None or not self._takes(x):
            return None
        memory, local, flat = map(empty_numbers, (self._memory, self._forward_local, self._size))
        bases = addresses, x.ravel("K"), memory, flat
        self._forward.run(0, self._forward.length, *bases, local=local)
        return _shaped(flat, self._result.shape), bases

    def towards_input(self) -> tuple[Program, Value]:
        """What computes the gradient of the input from what the way back has left in LOCAL, and where that then is."""
        if self._towards_input is None:
            script = Script(self._threads)
            script.lengths[LOCAL] = 4 * self._back_local
            gx = self._first.input_grad(script, self._received)
            self._local = script.lengths[LOCAL] // 4
            self._towards_input = script.program(), gx
        return self._towards_input

    def backward(self, g: np.ndarray, bases: Bases) -> Pass:
        """The backward pass from g, the gradient of the result; `bases` came with the result."""
        return Pass(self, g, bases)

    def _takes(self, x: np.ndarray) -> bool:
        return (x.shape, x.strides) == self._x_layout and x.flags.aligned and x.dtype == _FLOAT32

    def _addresses(self, weights: Sequence[np.ndarray | None]) -> np.ndarray | None:
        """Where the weights are in memory; None when one has another layout than the programs were written for."""
        seen, addresses = self._known
        for who, w in zip(seen, weights, strict=False):
            if who() is not w:
                break
        else:
            if seen:
                return addresses
        if tuple(None if w is None else layout_of(w) for w in weights) != self._weight_layouts:
            return None
        addresses = np.array([0 if w is None else w.ctypes.data for w in weights], np.int64)
        # Weak references: an optimizer moves only tensors whose memory nobody else holds.
        self._known = [_nobody if w is None else weakref.ref(w) for w in weights], addresses
        return addresses


class Pass:
    """A backward pass through a network, in which no large gradient is computed that is not asked for."""

    __slots__ = ("_bases", "_flat", "_found", "_network", "_reached")

    def __init__(self, network: Network, g: np.ndarray, bases: Bases) -> None:
        result = network._result
        if g.strides != result.strides or not g.flags.aligned:
            copy = _shaped(empty_numbers(g.size), g.shape)
            copy[...] = g
            g = copy
        self._network = network
        self._flat = empty_numbers(network._local)
        self._bases = (*bases, g.ravel("K"), self._flat)
        self._reached = 0  # the rows of the way back that were run
        self._found: dict[int, list[np.ndarray | None]] = {}  # the gradients of a layer's weights

    def weight_grads(self, into: Callable[[Callable[..., np.ndarray]], Any]) -> list[Any]:
        """For each weight a function that computes its gradient, None for a weight that is not there.

        One that can be told to which array is given to `into`, and what comes of it stands in its place.
        """
        gradient, partial = self._weight_grad, functools.partial
        return [
            None if w is None else into(partial(gradient, w[0], w[1])) if w[2] else partial(gradient, w[0], w[1])
            for w in self._network._wanted
        ]

    def input_grad(self) -> np.ndarray:
        """The gradient of the input."""
        network = self._network
        self._come_to(network._ends[0])
        program, gx = network.towards_input()
        if self._flat.size < network._local:  # the program was written after this pass began
            self._flat = np.concatenate([self._flat, np.empty(network._local - self._flat.size, np.float32)])
            self._bases = (*self._bases[:-1], self._flat)
        program.run(0, program.length, *self._bases)
        flat = self._flat[gx.place.at // 4 :][: gx.size]
        return flat.reshape(gx.shape) if gx.lies_as(c_strides(gx.shape)) else _shaped(flat, gx.shape)

    def _weight_grad(self, k: int, i: int, out: np.ndarray | None = None) -> Any:
        found = self._found.get(k)
        if found is None:
            found = self._found[k] = self._compute(k, out)
        return found[i]

    def _compute(self, k: int, out: np.ndarray | None) -> list[np.ndarray | None]:
        """The gradients of the weights of layer k; one that is not in LOCAL goes to `out`, or to a new array."""
        network = self._network
        first, last = network._pieces[k]
        if k == 0 and self._reached < first:
            first, self._reached = self._reached, first  # the way back ends where the first piece begins
        else:
            self._come_to(network._ends[k])
        found: list[np.ndarray | None] = []
        for gradient in network._found[k]:
            if gradient is None:
                found.append(None)
            elif gradient.part is None:
                out = np.empty(gradient.shape, np.float32) if out is None else out
                found.append(out)
            else:
                found.append(self._flat[gradient.part].reshape(gradient.shape))
        if first < last:
            network._backward.run(first, last, *self._bases, *(() if out is None else (out.reshape(-1),)))
        return found

    def _come_to(self, end: int) -> None:
        if self._reached < end:
            self._network._backward.run(self._reached, end, *self._bases)
            self._reached = end


def _nobody() -> None:
    return None


def _shaped(flat: np.ndarray, shape: Shape) -> np.ndarray:
    """Flat memory as an array with the strides that `strides_of` tells."""
    if len(shape) != 4:
        return flat.reshape(shape)
    n, c, h, w = shape
    return flat.reshape(n, h, w, c).transpose(0, 3, 1, 2)


def layout_of(array: np.ndarray) -> Layout | None:
    """Shape and strides; None where the kernels cannot read it, which want aligned float32 numbers in C order."""
    good = array.dtype == _FLOAT32 and array.flags.aligned and array.flags.c_contiguous
    return (array.shape, array.strides) if good else None


def network(layers: Sequence[Layer], x: np.ndarray, weights: Sequence[np.ndarray | None]) -> Network | None:
    """The programs for these layers and the layouts of x and the weights; None where there are no kernels for them."""
    layouts = [None if w is None else layout_of(w) for w in weights]
    fit = x.dtype == _FLOAT32 and x.flags.aligned and np.may_share_memory(x, x.ravel("K"))
    if not fit or any(w is not None and layout is None for w, layout in zip(weights, layouts, strict=True)):
        return None
    try:
        return Network(layers, (x.shape, x.strides), layouts)
    except (UnfitError, ShapeError):
        return None
