"""A row of layers as two programs, one forward and one backward: which kernels run, on what, for a shape of the input.

The layers are *parts*. Each writes its launches into the script of a program (`program.py`), in three pieces:

    forward           z = f(x, w)
    receive           what becomes of g = dL/dz before anything else: masked by a ReLU, in another layout
    input_grad        dL/dx
    weight_grads      dL/dw

The backward program is cut so that only what is wanted is run. Its rows stand in the order

    receive, input_grad of the last part, ..., receive of the first    the way back
    weight_grads of the first part, ..., of the last                   on demand
    input_grad of the first part                                       on demand

Kernels and plans are those that the single operations take, so the bits are the same.
"""

from __future__ import annotations

import functools
import math
import weakref
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any, ClassVar, NamedTuple

import numpy as np

from minigrad.errors import ShapeError
from minigrad.kernels import conv_launch, dense, elementwise_vector, layout_vector
from minigrad.kernels.conv import NO_PADDING, conv2d_output_shape
from minigrad.kernels.conv_parts import NO_WINDOW, Geometry
from minigrad.kernels.conv_pool import MOST_POSITIONS
from minigrad.kernels.jit import SHARES, get_num_threads
from minigrad.kernels.program import (
    LOCAL,
    MEMORY,
    NOWHERE,
    OUT,
    RESULT,
    UPSTREAM,
    WEIGHTS,
    WORK,
    Place,
    Script,
    Value,
    X,
    c_strides,
    strides_of,
)

__all__ = ["Layer", "Network", "Pass", "network"]

Pair = tuple[int, int]
Shape = tuple[int, ...]
Layout = tuple[Shape, Shape]
# The addresses of the weights; the input, the memory between the passes, and the result as flat arrays.
Bases = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]

_FLOAT32 = np.dtype(np.float32)
# Numbers from which a pass over them is worth a second thread.
_PARALLEL_FROM = 50_000


# The name of a layer's operation, how many weights it has, and the options it is called with.
Layer = tuple[str, int, Mapping[str, Any]]


class _Unfit(Exception):
    """There are no kernels for this layer with an input of this shape."""


# ---- parts -----------------------------------------------------------------------------------------------------------


class _Gradient(NamedTuple):
    """A weight's gradient: these numbers of LOCAL, or, with None, what OUT holds."""

    part: slice | None
    shape: Shape

    @classmethod
    def at(cls, place: Place, shape: Shape, after: int = 0) -> _Gradient:
        """What lies at a place in LOCAL, so many numbers after its beginning."""
        start = place.at // 4 + after
        return cls(slice(start, start + math.prod(shape)), shape)


class _Part:
    """One layer in the programs of a network; see the head of this file."""

    # Whether the backward pass reads its input, and its result.
    reads_x: ClassVar[bool] = False
    reads_z: ClassVar[bool] = False

    x: Value
    z: Value

    def receive(self, script: Script, g: Value) -> Value:
        return g

    def input_grad(self, script: Script, g: Value) -> Value:
        raise NotImplementedError

    def weight_grads(self, script: Script, g: Value) -> Sequence[_Gradient | None]:
        return ()


class _Conv(_Part):
    """conv2d(x, w, b); with a `kernel_size`, then a ReLU and max-pooling over windows of that size side by side."""

    reads_x = True

    def __init__(
        self,
        script: Script,
        x: Value,
        w: Value,
        b: Value | None,
        stride: Pair = (1, 1),
        padding: tuple[Pair, Pair] = NO_PADDING,
        dilation: Pair = (1, 1),
        groups: int = 1,
        kernel_size: Pair = NO_WINDOW,
    ) -> None:
        if len(x.shape) != 4 or len(w.shape) != 4:
            raise _Unfit
        self.x, self.w, self.b = x, w, b
        self.geometry, self.window = Geometry(stride, padding, dilation, groups), kernel_size
        self.y_shape = conv2d_output_shape(x.shape, w.shape, *self.geometry)
        n, o, *size = self.y_shape
        self.pooled = self.window != NO_WINDOW
        if self.pooled:
            size = [length // k for length, k in zip(size, self.window, strict=True)]
        self.z = script.output((n, o, *size))
        self.index = script.bytes(MEMORY, self.z.size) if self.pooled else NOWHERE
        if not (x.size and self.z.size and w.size) or math.prod(self.window) > MOST_POSITIONS:
            raise _Unfit
        launch = conv_launch.forward(
            x.layout, w.layout, self.z.layout, self.geometry, b is not None, self.window, script.threads
        )
        self._gather(script, launch, x, (w if b is None else b).place, self.z)

    def _gather(self, script: Script, launch: Any, source: Value, bias: Place, target: Value) -> None:
        small, main, table, tasks, few, workers, memory = launch
        script.launch(small, table, tasks, few, self.w.place, bias, scratch=memory)
        script.launch(main, table, tasks, workers, source.place, c=target.place, index=self.index, scratch=memory)

    def input_grad(self, script: Script, g: Value) -> Value:
        gx = script.array(LOCAL, self.x.shape)
        launch = conv_launch.backward(g.layout, self.w.layout, gx.layout, self.geometry, self.window, script.threads)
        self._gather(script, launch, g, self.w.place, gx)
        return gx

    def weight_grads(self, script: Script, g: Value) -> Sequence[_Gradient | None]:
        with_bias = self.pooled or self.b is not None
        launch = conv_launch.weights(
            self.x.layout, g.layout, self.y_shape, self.w.shape, self.geometry, with_bias, self.window, script.threads
        )
        small, main, table, tasks, few, workers, memory = launch
        outputs = self.w.shape[0]
        both = script.array(LOCAL, (self.w.size + outputs,))  # one array, because a kernel writes one
        script.launch(main, table, tasks, workers, self.x.place, g.place, index=self.index, scratch=memory)
        script.launch(small, table, tasks, few, c=both.place, scratch=memory)
        gb = None if self.b is None else _Gradient.at(both.place, (outputs,), after=self.w.size)
        return [_Gradient.at(both.place, self.w.shape), gb]


class _Linear(_Part):
    """x w^T + b"""

    reads_x = True

    def __init__(self, script: Script, x: Value, w: Value, b: Value | None) -> None:
        if len(x.shape) != 2 or len(w.shape) != 2 or x.shape[1] != w.shape[1] or x.strides[1] != 4:
            raise _Unfit
        self.x, self.w, self.b = x, w, b
        self.z = script.output((x.shape[0], w.shape[0]))
        self._product(script, x, _transposed(w), self.z, b)

    def _product(self, script: Script, x: Value, y: Value, z: Value, bias: Value | None = None) -> None:
        launch = dense.launch_of(
            x.shape[0], y.shape[1], x.shape[1], x.strides, y.strides, bias is not None, script.threads
        )
        if launch is None:
            raise _Unfit
        work = Place(WORK) if bias is None else bias.place
        script.launch(
            launch.kernel, launch.plan, launch.tasks, launch.workers, x.place, y.place, z.place, work=work,
            scratch=launch.scratch,
        )  # fmt: skip

    def input_grad(self, script: Script, g: Value) -> Value:
        gx = script.array(LOCAL, self.x.shape)
        self._product(script, g, self.w, gx)
        return gx

    def weight_grads(self, script: Script, g: Value) -> Sequence[_Gradient | None]:
        outs = self.w.shape[0]
        if outs == 1:
            raise _Unfit  # numpy adds up one column pairwise
        self._product(script, _transposed(g), self.x, Value(Place(OUT), self.w.shape, strides_of(self.w.shape)))
        if self.b is None:
            return [_Gradient(None, self.w.shape), None]
        gb = script.array(LOCAL, (outs,))
        script.launch(elementwise_vector.column_sums, np.array((g.shape[0], outs, 1)), a=g.place, c=gb.place)
        return [_Gradient(None, self.w.shape), _Gradient.at(gb.place, (outs,))]


class _LinearReLU(_Linear):
    """max(x w^T + b, 0)"""

    reads_z = True

    def __init__(self, script: Script, x: Value, w: Value, b: Value | None) -> None:
        super().__init__(script, x, w, b)
        _elementwise(script, elementwise_vector.relu, self.z, c=self.z)

    def receive(self, script: Script, g: Value) -> Value:
        return _masked(script, g, self.z)


class _ReLU(_Part):
    """max(x, 0)"""

    reads_z = True

    def __init__(self, script: Script, x: Value) -> None:
        if not x.lies_as(strides_of(x.shape)):
            raise _Unfit
        self.x = x
        self.z = script.output(x.shape)
        _elementwise(script, elementwise_vector.relu, x, c=self.z)

    def receive(self, script: Script, g: Value) -> Value:
        return _masked(script, g, self.z)

    def input_grad(self, script: Script, g: Value) -> Value:
        return g


class _Flatten(_Part):
    """(N, C, H, W) -> (N, C H W)"""

    def __init__(self, script: Script, x: Value, start_dim: int) -> None:
        if start_dim != 1 or len(x.shape) != 4:
            raise _Unfit
        n, c, h, w = x.shape
        self.x, self.matrix = x, (h * w, c)
        shape = n, c * h * w
        self.same = x.lies_as(c_strides(x.shape)) and x.place.base != LOCAL and script.output_base != RESULT
        if self.same:
            self.z = Value(x.place, shape, c_strides(shape))
        elif x.lies_as(strides_of(x.shape)):
            self.z = script.output(shape)
            _transpose(script, x, self.z, n, *self.matrix)
        else:
            raise _Unfit

    def receive(self, script: Script, g: Value) -> Value:
        if self.same:
            return Value(g.place, self.x.shape, self.x.strides)
        gx = script.array(LOCAL, self.x.shape)
        _transpose(script, g, gx, self.x.shape[0], *self.matrix[::-1])
        return gx

    def input_grad(self, script: Script, g: Value) -> Value:
        return g


def _transposed(value: Value) -> Value:
    return Value(value.place, value.shape[::-1], value.strides[::-1])


def _masked(script: Script, g: Value, z: Value) -> Value:
    gx = script.array(LOCAL, z.shape)
    _elementwise(script, elementwise_vector.relu_grad, g, z, c=gx)
    return gx


def _elementwise(script: Script, kernel: Any, a: Value, b: Value | None = None, *, c: Value) -> None:
    tasks, workers = _shares(script, a.size)
    plan = np.array((a.size, tasks))
    script.launch(kernel, plan, tasks, workers, a.place, NOWHERE if b is None else b.place, c.place)


def _transpose(script: Script, x: Value, z: Value, matrices: int, rows: int, columns: int) -> None:
    tasks, workers = _shares(script, x.size)
    plan = np.array((matrices, rows, columns, tasks))
    script.launch(layout_vector.transpose, plan, tasks, workers, x.place, c=z.place)


def _shares(script: Script, numbers: int) -> Pair:
    """Into how many tasks to cut a pass over so many numbers, and on how many threads."""
    return (SHARES * script.threads, script.threads) if numbers >= _PARALLEL_FROM else (1, 1)


_PARTS: dict[str, Any] = {
    "conv2d": _Conv,
    "conv2d_relu_max_pool2d": _Conv,
    "linear": _Linear,
    "linear_relu": _LinearReLU,
    "relu": _ReLU,
    "flatten": _Flatten,
}


def _base_of_result(kinds: Sequence[type[_Part]]) -> int:
    """Where the result of a part lies, given its kind and, unless it is the last one, that of the next.

    That of the last is an array of its own: who keeps it should not keep all that the way back needs.
    """
    if len(kinds) == 1:
        return RESULT
    return MEMORY if kinds[0].reads_z or kinds[1].reads_x else LOCAL


# ---- the network -----------------------------------------------------------------------------------------------------


class Network:
    """The two programs of a row of layers, for one shape and layout of the input and of each weight.

    They are written for as many threads as there are now (`minigrad.set_num_threads`).
    """

    def __init__(self, layers: Sequence[Layer], x: Layout, weights: Sequence[Layout | None]) -> None:
        self._x_layout, self._weight_layouts = x, tuple(weights)
        given = iter([None if w is None else Value(Place(WEIGHTS + i), *w) for i, w in enumerate(weights)])
        script = Script(get_num_threads())
        value = Value(Place(X), *x)
        parts: list[_Part] = []
        kinds = [_PARTS[name] for name, _, _ in layers]
        for i, (_, count, options) in enumerate(layers):
            script.output_base = _base_of_result(kinds[i : i + 2])
            parts.append(kinds[i](script, value, *islice(given, count), **options))
            value = parts[-1].z
        self._result = value
        self._forward = script.program()
        self._memory, self._forward_local = script.lengths[MEMORY] // 4, script.lengths[LOCAL] // 4
        self._size = value.size
        self._write_backward(parts, script.threads)
        # The addresses of the weights that came last, and who they were.
        self._known: tuple[list[Callable[[], Any]], np.ndarray] = [], np.empty(0, np.int64)

    def _write_backward(self, parts: Sequence[_Part], threads: int) -> None:
        script = Script(threads)
        g = self._result._replace(place=Place(UPSTREAM))
        received: dict[int, Value] = {}
        self._ends = [0] * len(parts)  # of the rows that must have run before a part's weights
        for k in reversed(range(len(parts))):
            received[k] = parts[k].receive(script, g)
            self._ends[k] = len(script.rows)
            if k:
                g = parts[k].input_grad(script, received[k])
        self._pieces: list[Pair] = []  # the rows for the weights of a part
        self._found: list[tuple[int, Sequence[_Gradient | None]]] = []  # its place in the row, and what they give
        for k, part in enumerate(parts):
            first = len(script.rows)
            self._found.append((k, part.weight_grads(script, received[k])))
            self._pieces.append((first, len(script.rows)))
        self._last_piece = len(script.rows)
        self._input_grad = parts[0].input_grad(script, received[0])
        self._backward = script.program()
        self._local = script.lengths[LOCAL] // 4

    def forward(self, x: np.ndarray, weights: Sequence[np.ndarray | None]) -> tuple[np.ndarray, Bases] | None:
        """The result, and what `Pass` needs; None when x or a weight is not as it was planned for."""
        addresses = self._addresses(weights)
        if addresses is None or not self._takes(x):
            return None
        memory, local = np.empty(self._memory, np.float32), np.empty(self._forward_local, np.float32)
        flat = np.empty(self._size, np.float32)
        bases = addresses, x.ravel("K"), memory, flat
        self._forward.run(0, self._forward.length, *bases, local=local)
        return _shaped(flat, self._result.shape), bases

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
    """A backward pass through a network, in which nothing is computed that is not asked for."""

    __slots__ = ("_bases", "_flat", "_found", "_network", "_reached")

    def __init__(self, network: Network, g: np.ndarray, bases: Bases) -> None:
        result = network._result
        if g.strides != result.strides or not g.flags.aligned:
            copy = _shaped(np.empty(g.size, np.float32), g.shape)
            copy[...] = g
            g = copy
        self._network = network
        self._flat = np.empty(network._local, np.float32)
        self._bases = (*bases, g.ravel("K"), self._flat)
        self._reached = 0  # the rows of the way back that were run
        self._found: dict[int, list[np.ndarray | None]] = {}  # the gradients of a layer's weights

    def weight_grads(self) -> list[tuple[Callable[..., np.ndarray], bool] | None]:
        """For each weight a function that computes its gradient, and whether it can be told to which array.

        None for a weight that is not there.
        """
        return [
            None if gradient is None else (functools.partial(self._weight_grad, k, i), gradient.part is None)
            for k, found in self._network._found
            for i, gradient in enumerate(found)
        ]

    def input_grad(self) -> np.ndarray:
        """The gradient of the input."""
        network = self._network
        self._come_to(network._ends[0])
        network._backward.run(network._last_piece, network._backward.length, *self._bases)
        gx = network._input_grad
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
        for gradient in network._found[k][1]:
            if gradient is None:
                found.append(None)
            elif gradient.part is None:
                out = np.empty(gradient.shape, np.float32) if out is None else out
                found.append(out)
            else:
                found.append(self._flat[gradient.part].reshape(gradient.shape))
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
    except (_Unfit, ShapeError):
        return None
