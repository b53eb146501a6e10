"""From arrays to kernels: scratch memory and two launches. `conv.py` and `conv_pool.py` stand on it.

Which kernels they are, `conv_launch.py` says.

In each function a window of (0, 0) means no pooling, and `index` is then not looked at.
"""

from __future__ import annotations

import functools
import math
from types import ModuleType
from typing import Any

import numpy as np

from minigrad.kernels.buffers import empty_numbers, workspace
from minigrad.kernels.conv_parts import NO_WINDOW, Geometry, Layout
from minigrad.kernels.jit import get_num_threads, jit_disabled

__all__ = ["fast", "fill_input_grad", "fill_output", "weight_and_bias_grad"]

Pair = tuple[int, int]
Shape = tuple[int, ...]

_FLOAT32 = np.dtype(np.float32)
_NO_INDEX = np.empty((0, 0, 0, 0), np.uint8)


def fast(x: np.ndarray, y: np.ndarray) -> bool:
    """Whether the vector kernels can do it: both are float32, and compiling is not disabled."""
    return x.dtype == _FLOAT32 and y.dtype == _FLOAT32 and not jit_disabled()


def fill_output(
    x: np.ndarray,
    w: np.ndarray,
    b: np.ndarray | None,
    y: np.ndarray,
    geometry: Geometry,
    index: np.ndarray = _NO_INDEX,
    window: Pair = NO_WINDOW,
) -> None:
    """Fill y with the convolution of x and w plus b; with a window, with its ReLU, pooled, and index with positions."""
    if y.size:
        x, w = _aligned(x), _aligned(w)
        launch = _launches().forward(
            _layout(x), _layout(w), _layout(y), geometry, b is not None, window, get_num_threads()
        )
        _gather(launch, x, w, b, y, index)


def fill_input_grad(
    g: np.ndarray,
    w: np.ndarray,
    gx: np.ndarray,
    geometry: Geometry,
    index: np.ndarray = _NO_INDEX,
    window: Pair = NO_WINDOW,
) -> None:
    """Fill gx; with a window, g is the gradient of what `fill_output` pooled."""
    if not (g.size and w.size):
        gx.fill(0)
        return
    g, w = _aligned(g), _aligned(w)
    launch = _launches().backward(_layout(g), _layout(w), _layout(gx), geometry, window, get_num_threads())
    _gather(launch, g, w, None, gx, index)


def weight_and_bias_grad(
    g: np.ndarray,
    x: np.ndarray,
    y_shape: Shape,
    w_shape: Shape,
    geometry: Geometry,
    with_bias: bool,
    index: np.ndarray = _NO_INDEX,
    window: Pair = NO_WINDOW,
) -> tuple[np.ndarray, np.ndarray]:
    """gw and, if asked for, gb; y_shape is the shape of the convolution's own output."""
    # Both gradients in one array, because a kernel writes one.
    outputs, size = w_shape[0], math.prod(w_shape)
    both = empty_numbers(size + outputs)
    if g.size and size:
        g, x = _aligned(g), _aligned(x)
        launch = _launches().weights(
            _layout(x), _layout(g), y_shape, w_shape, geometry, with_bias, window, get_num_threads()
        )
        small, main, table, tasks, few, workers, memory = launch
        work = workspace(memory)
        run = _launches().run
        run(main, tasks, table, work, x, g, index=index, workers=workers)
        run(small, tasks, table, work, c=both.reshape(1, 1, 1, -1), workers=few)
    else:
        both.fill(0)
    return both[:size].reshape(w_shape), both[size:]


def _gather(launch: Any, x: np.ndarray, w: np.ndarray, b: np.ndarray | None, y: np.ndarray, index: np.ndarray) -> None:
    small, main, table, tasks, few, workers, memory = launch
    work = workspace(memory)
    run = _launches().run
    bias = w if b is None else np.ascontiguousarray(b, np.float32).reshape(1, 1, 1, -1)
    run(small, tasks, table, work, w, bias, workers=few)
    run(main, tasks, table, work, x, c=y, index=index, workers=workers)


def _layout(array: np.ndarray) -> Layout:
    return array.shape, array.strides


def _aligned(array: np.ndarray) -> np.ndarray:
    return array if array.flags.aligned else array.copy()


@functools.cache
def _launches() -> ModuleType:
    """What finds the kernels; its import brings Numba with it."""
    from minigrad.kernels import conv_launch

    return conv_launch
