"""The layers of a network as parts: what each writes into the script of a program (`program.py`), in four pieces.

    forward           z = f(x, w)
    receive           what becomes of g = dL/dz before anything else: masked by a ReLU, in another layout
    input_grad        dL/dx
    weight_grads      dL/dw

Kernels and plans are those that the single operations take, so the bits are the same. `network.py` puts the pieces
together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from minigrad.kernels import conv_launch, dense, elementwise_vector, layout_vector
from minigrad.kernels.conv import NO_PADDING, conv2d_output_shape
from minigrad.kernels.conv_parts import NO_WINDOW, Geometry
from minigrad.kernels.conv_pool import MOST_POSITIONS
from minigrad.kernels.jit import SHARES
from minigrad.kernels.program import (
    LOCAL,
    MEMORY,
    NOWHERE,
    OUT,
    RESULT,
    WORK,
    Place,
    Script,
    Value,
    c_strides,
    strides_of,
)

__all__ = ["PARTS", "Gradient", "Part", "UnfitError"]

Pair = tuple[int, int]
Shape = tuple[int, ...]

# Numbers from which a pass over them is worth a second thread.
_PARALLEL_FROM = 50_000


class UnfitError(Exception):
    """There are no kernels for this layer with an input of this shape."""


class Gradient(NamedTuple):
    """A weight's gradient: these numbers of LOCAL, or, with None, what OUT holds."""

    part: slice | None
    shape: Shape

    @classmethod
    def at(cls, place: Place, shape: Shape, after: int = 0) -> Gradient:
        """What lies at a place in LOCAL, so many numbers after its beginning."""
        start = place.at // 4 + after
        return cls(slice(start, start + math.prod(shape)), shape)


class Part:
    """One layer in the programs of a network; see the head of this file."""

    # Whether the backward pass reads its input, and its result.
    reads_x: ClassVar[bool] = False
    reads_z: ClassVar[bool] = False

    x: Value
    z: Value

    @property
    def weight_work(self) -> int:
        """The multiply-adds of `weight_grads`."""
        return 0

    def receive(self, script: Script, g: Value) -> Value:
        return g

    def input_grad(self, script: Script, g: Value) -> Value:
        raise NotImplementedError

    def weight_grads(self, script: Script, g: Value, base: int) -> Sequence[Gradient | None]:
        """In LOCAL, or, given the base OUT, in what that is when it is run, if the part can write a gradient there."""
        return ()


class _Conv(Part):
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
            raise UnfitError
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
            raise UnfitError
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

    @property
    def weight_work(self) -> int:
        return math.prod(self.y_shape) // self.w.shape[0] * self.w.size

    def weight_grads(self, script: Script, g: Value, base: int) -> Sequence[Gradient | None]:
        with_bias = self.pooled or self.b is not None
        launch = conv_launch.weights(
            self.x.layout, g.layout, self.y_shape, self.w.shape, self.geometry, with_bias, self.window, script.threads
        )
        small, main, table, tasks, few, workers, memory = launch
        outputs = self.w.shape[0]
        both = script.array(LOCAL, (self.w.size + outputs,))  # one array, because a kernel writes one
        script.launch(main, table, tasks, workers, self.x.place, g.place, index=self.index, scratch=memory)
        script.launch(small, table, tasks, few, c=both.place, scratch=memory)
        gb = None if self.b is None else Gradient.at(both.place, (outputs,), after=self.w.size)
        return [Gradient.at(both.place, self.w.shape), gb]


class _Linear(Part):
    """x w^T + b"""

    reads_x = True

    def __init__(self, script: Script, x: Value, w: Value, b: Value | None) -> None:
        if len(x.shape) != 2 or len(w.shape) != 2 or x.shape[1] != w.shape[1] or x.strides[1] != 4:
            raise UnfitError
        self.x, self.w, self.b = x, w, b
        self.z = script.output((x.shape[0], w.shape[0]))
        self._product(script, x, _transposed(w), self.z, b)
        self._launch_of(script, self.z, w)  # that of the input's gradient, which may be written much later

    @staticmethod
    def _launch_of(script: Script, x: Value, y: Value, bias: Value | None = None) -> dense.Launch:
        launch = dense.launch_of(
            x.shape[0], y.shape[1], x.shape[1], x.strides, y.strides, bias is not None, script.threads
        )
        if launch is None:
            raise UnfitError
        return launch

    def _product(self, script: Script, x: Value, y: Value, z: Value, bias: Value | None = None) -> None:
        launch = self._launch_of(script, x, y, bias)
        work = Place(WORK) if bias is None else bias.place
        script.launch(
            launch.kernel, launch.plan, launch.tasks, launch.workers, x.place, y.place, z.place, work=work,
            scratch=launch.scratch,
        )  # fmt: skip

    def input_grad(self, script: Script, g: Value) -> Value:
        gx = script.array(LOCAL, self.x.shape)
        self._product(script, g, self.w, gx)
        return gx

    @property
    def weight_work(self) -> int:
        return self.x.shape[0] * self.w.size

    def weight_grads(self, script: Script, g: Value, base: int) -> Sequence[Gradient | None]:
        outs, shape = self.w.shape[0], self.w.shape
        if outs == 1:
            raise UnfitError  # numpy adds up one column pairwise
        gw = script.array(LOCAL, shape) if base == LOCAL else Value(Place(OUT), shape, strides_of(shape))
        self._product(script, _transposed(g), self.x, gw)
        found = Gradient.at(gw.place, shape) if base == LOCAL else Gradient(None, shape)
        if self.b is None:
            return [found, None]
        gb = script.array(LOCAL, (outs,))
        script.launch(elementwise_vector.column_sums, np.array((g.shape[0], outs, 1)), a=g.place, c=gb.place)
        return [found, Gradient.at(gb.place, (outs,))]


class _LinearReLU(_Linear):
    """max(x w^T + b, 0)"""

    reads_z = True

    def __init__(self, script: Script, x: Value, w: Value, b: Value | None) -> None:
        super().__init__(script, x, w, b)
        _elementwise(script, elementwise_vector.relu, self.z, c=self.z)

    def receive(self, script: Script, g: Value) -> Value:
        return _masked(script, g, self.z)


class _ReLU(Part):
    """max(x, 0)"""

    reads_z = True

    def __init__(self, script: Script, x: Value) -> None:
        if not x.lies_as(strides_of(x.shape)):
            raise UnfitError
        self.x = x
        self.z = script.output(x.shape)
        _elementwise(script, elementwise_vector.relu, x, c=self.z)

    def receive(self, script: Script, g: Value) -> Value:
        return _masked(script, g, self.z)

    def input_grad(self, script: Script, g: Value) -> Value:
        return g


class _Flatten(Part):
    """(N, C, H, W) -> (N, C H W)"""

    def __init__(self, script: Script, x: Value, start_dim: int) -> None:
        if start_dim != 1 or len(x.shape) != 4:
            raise UnfitError
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
            raise UnfitError

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


PARTS: dict[str, Any] = {
    "conv2d": _Conv,
    "conv2d_relu_max_pool2d": _Conv,
    "linear": _Linear,
    "linear_relu": _LinearReLU,
    "relu": _ReLU,
    "flatten": _Flatten,
}
