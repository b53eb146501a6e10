"""From arrays to kernels: a plan, scratch memory, two launches. `conv.py` and `conv_pool.py` stand on it.

In each function a window of (0, 0) means no pooling, and `index` is then not looked at.
"""

from __future__ import annotations

import functools
import math
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from minigrad.kernels.buffers import empty_image, workspace
from minigrad.kernels.conv_parts import NO_WINDOW, Geometry, Kernels, Layout, Plan
from minigrad.kernels.conv_plan import backward_plan, forward_plan, weight_plan
from minigrad.kernels.conv_winners_plan import by_winners, fits, scatter_plan
from minigrad.kernels.conv_winograd_plan import (
    by_tiles,
    tile_backward_plan,
    tile_forward_plan,
    tile_weight_plan,
    weights_by_tiles,
)
from minigrad.kernels.jit import SHARES, get_num_threads, jit_disabled

__all__ = ["fast", "fill_input_grad", "fill_output", "weight_and_bias_grad"]

Pair = tuple[int, int]
Shape = tuple[int, ...]

_FLOAT32 = np.dtype(np.float32)
_NO_INDEX = np.empty((0, 0, 0, 0), np.uint8)
# Starting a second thread takes 2 to 10 microseconds, and 30 to 60 where it has fallen asleep. So many multiply-adds,
# and so many weights (times partial sums) that are copied or added up, take one thread a good deal longer.
_PARALLEL_FROM = 800_000
_COPY_PARALLEL_FROM = 200_000
# What it takes to store one number of the output, or to load one of its gradient, in multiply-adds.
_PER_NUMBER = 16


def fast(x: np.ndarray, y: np.ndarray) -> bool:
    """Whether the vector kernels can do it: both are float32, and compiling is not disabled."""
    return x.dtype == _FLOAT32 and y.dtype == _FLOAT32 and not jit_disabled()


class _Launch(NamedTuple):
    """A plan and its two kernels, one for the weights alone, which it copies or adds up, and the main one."""

    small: Any
    main: Any
    table: np.ndarray
    tasks: int
    few: int  # threads for the small kernel
    workers: int  # and for the main one
    memory: int  # numbers of scratch memory


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
        launch = _forward(_layout(x), _layout(w), _layout(y), geometry, b is not None, window, get_num_threads())
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
    launch = _backward(_layout(g), _layout(w), _layout(gx), geometry, window, get_num_threads())
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
    both = empty_image((1, 1, 1, size + outputs), np.float32)
    if g.size and size:
        g, x = _aligned(g), _aligned(x)
        launch = _weights(_layout(x), _layout(g), y_shape, w_shape, geometry, with_bias, window, get_num_threads())
        small, main, table, tasks, few, workers, memory = launch
        work = workspace(memory)
        run = _vectors().run
        run(main, tasks, table, work, x, g, index=index, workers=workers)
        run(small, tasks, table, work, c=both, workers=few)
    else:
        both.fill(0)
    flat = both[0, 0, 0]
    return flat[:size].reshape(w_shape), flat[size:]


def _gather(
    launch: _Launch, x: np.ndarray, w: np.ndarray, b: np.ndarray | None, y: np.ndarray, index: np.ndarray
) -> None:
    small, main, table, tasks, few, workers, memory = launch
    work = workspace(memory)
    run = _vectors().run
    bias = w if b is None else np.ascontiguousarray(b, np.float32).reshape(1, 1, 1, -1)
    run(small, tasks, table, work, w, bias, workers=few)
    run(main, tasks, table, work, x, c=y, index=index, workers=workers)


# ---- launches, made once for a geometry and a number of threads ------------------------------------------------------


@functools.lru_cache(maxsize=512)
def _forward(
    x: Layout, w: Layout, y: Layout, geometry: Geometry, has_bias: bool, window: Pair, threads: int
) -> _Launch:
    tasks = _tasks(math.prod(y[0]) * max(1, math.prod(window)), math.prod(w[0][1:]), threads)
    direct = _vectors()
    kernels = _kernels(_slices().gather_slices(w[0][0] // geometry.groups))
    outputs = (*y[0][:2], *(y[0][2 + i] * max(1, window[i]) for i in (0, 1)))
    if by_tiles(w[0], geometry, outputs, direct.LANES):
        plan = tile_forward_plan(x, w, y, geometry, has_bias, window, kernels, tasks)
        return _launch(_tiles().pack_transformed, _tiles().gather_tiles, plan, math.prod(w[0]), threads)
    plan = forward_plan(x, w, y, geometry, has_bias, window, kernels, tasks)
    return _launch(direct.pack_weights, direct.gather, plan, math.prod(w[0]), threads)


@functools.lru_cache(maxsize=512)
def _backward(g: Layout, w: Layout, x: Layout, geometry: Geometry, window: Pair, threads: int) -> _Launch:
    tasks = _tasks(math.prod(g[0]) * max(1, math.prod(window)), math.prod(w[0][1:]), threads)
    direct = _vectors()
    if by_winners(w[0], geometry, window, direct.LANES, direct.REGISTERS) and fits(x[0], w[0], geometry):
        winners = _winners()
        plan = scatter_plan(g, w, x, geometry, window, tasks)
        return _launch(winners.pack_kernels, winners.scatter_winners, plan, math.prod(w[0]), threads)
    kernels = _kernels(_slices().gather_slices(w[0][1]))
    if by_tiles(w[0], geometry, x[0], direct.LANES):
        plan = tile_backward_plan(g, w, x, geometry, window, kernels, tasks)
        return _launch(_tiles().pack_transformed, _tiles().gather_tiles, plan, math.prod(w[0]), threads)
    plan = backward_plan(g, w, x, geometry, window, kernels, tasks)
    return _launch(direct.pack_weights, direct.gather, plan, math.prod(w[0]), threads)


@functools.lru_cache(maxsize=512)
def _weights(
    x: Layout,
    g: Layout,
    y_shape: Shape,
    w_shape: Shape,
    geometry: Geometry,
    with_bias: bool,
    window: Pair,
    threads: int,
) -> _Launch:
    tasks = _tasks(math.prod(y_shape), math.prod(w_shape[1:]), threads)
    direct = _vectors()
    if by_winners(w_shape, geometry, window, direct.LANES, direct.REGISTERS):
        kernels = _kernels(())
        plan = weight_plan(x, g, y_shape, w_shape, geometry, with_bias, window, kernels, tasks, by_winners=True)
        return _launch(_winners().add_winner_sums, _winners().winner_sums, plan, plan.shared, threads)
    outputs, inputs, *kernel = w_shape
    if weights_by_tiles(w_shape, geometry, y_shape, direct.LANES):
        kernels = _kernels(_slices().sum_slices(outputs, inputs))
        plan = tile_weight_plan(x, g, y_shape, w_shape, geometry, with_bias, window, kernels, tasks)
        return _launch(_tiles().add_tile_partials, _tiles().tile_partials, plan, plan.shared, threads)
    kernels = _kernels(_slices().sum_slices(outputs // geometry.groups, inputs * math.prod(kernel)))
    plan = weight_plan(x, g, y_shape, w_shape, geometry, with_bias, window, kernels, tasks)
    return _launch(direct.add_partials, direct.weight_partials, plan, plan.shared, threads)


def _launch(small: Any, main: Any, plan: Plan, weights: int, threads: int) -> _Launch:
    """`weights` is how many numbers the small kernel copies or adds up."""
    workers = threads if plan.tasks > 1 else 1
    few = threads if weights >= _COPY_PARALLEL_FROM else 1
    return _Launch(small, main, plan.table, plan.tasks, few, workers, plan.shared + workers * plan.scratch)


@functools.cache
def _vectors() -> ModuleType:
    """The vector kernels, whose import brings Numba with it."""
    from minigrad.kernels import conv_vector

    return conv_vector


@functools.cache
def _blocks() -> ModuleType:
    """What makes and pools blocks of images."""
    from minigrad.kernels import conv_blocks

    return conv_blocks


@functools.cache
def _winners() -> ModuleType:
    """The kernels for gradients in which most numbers are zero."""
    from minigrad.kernels import conv_winners

    return conv_winners


@functools.cache
def _tiles() -> ModuleType:
    """The kernels that transform tiles, for 3x3 convolutions."""
    from minigrad.kernels import conv_winograd

    return conv_winograd


@functools.cache
def _slices() -> ModuleType:
    """The inner loops of these."""
    from minigrad.kernels import conv_slices

    return conv_slices


def _kernels(slices: tuple[Pair, ...]) -> Kernels:
    return Kernels(_vectors().LANES, slices, _blocks())


def _tasks(numbers: int, taps: int, threads: int) -> int:
    """Into how many tasks to cut a convolution with so many numbers, each a sum over so many taps."""
    return SHARES * threads if numbers * (taps + _PER_NUMBER) >= _PARALLEL_FROM else 1


def _layout(array: np.ndarray) -> Layout:
    return array.shape, array.strides


def _aligned(array: np.ndarray) -> np.ndarray:
    return array if array.flags.aligned else array.copy()
