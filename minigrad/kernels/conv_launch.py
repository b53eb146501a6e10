"""Which kernels and which plan a convolution takes; looked up once for a geometry and a number of threads.

    pooled, wide enough          gradients by winners     `conv_winners.py`
    3x3, 16 channels or more     transformed tiles        `conv_winograd.py`
    3x3, images of one channel   the same in registers    `conv_gray.py`
    everything else              all products             `conv_vector.py`

A launch is a plan and two kernels: one for the weights alone, which copies them into another order or adds up their
partial sums, and the main one. `conv_run.py` runs them; importing this file brings Numba with it.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np

from minigrad.kernels import conv_blocks, conv_gray, conv_vector, conv_winners, conv_winograd
from minigrad.kernels.conv_gray_plan import IN_REGISTERS, by_gray_tiles, gray_forward_plan, gray_weight_plan
from minigrad.kernels.conv_parts import Geometry, Kernels, Layout, Plan
from minigrad.kernels.conv_plan import backward_plan, forward_plan, weight_plan
from minigrad.kernels.conv_slices import gather_slices, sum_slices
from minigrad.kernels.conv_winners_plan import by_winners, fits, scatter_plan
from minigrad.kernels.conv_winograd_plan import (
    by_tiles,
    tile_backward_plan,
    tile_forward_plan,
    tile_weight_plan,
    weights_by_tiles,
)
from minigrad.kernels.jit import SHARES
from minigrad.kernels.launch import run
from minigrad.kernels.vec import LANES, REGISTERS

__all__ = ["Launch", "backward", "forward", "run", "weights"]

Pair = tuple[int, int]
Shape = tuple[int, ...]

# Starting a second thread takes 2 to 10 microseconds, and 30 to 60 where it has fallen asleep. So many multiply-adds,
# and so many weights (times partial sums) that are copied or added up, take one thread a good deal longer.
_PARALLEL_FROM = 800_000
_COPY_PARALLEL_FROM = 200_000
# What it takes to store one number of the output, or to load one of its gradient, in multiply-adds.
_PER_NUMBER = 16


class Launch(NamedTuple):
    """A plan and its two kernels, one for the weights alone, which it copies or adds up, and the main one."""

    small: Any
    main: Any
    table: np.ndarray
    tasks: int
    few: int  # threads for the small kernel
    workers: int  # and for the main one
    memory: int  # numbers of scratch memory


@functools.lru_cache(maxsize=512)
def forward(x: Layout, w: Layout, y: Layout, geometry: Geometry, has_bias: bool, window: Pair, threads: int) -> Launch:
    """The forward pass; with a window, y is the pooled image."""
    tasks = _tasks(math.prod(y[0]) * max(1, math.prod(window)), math.prod(w[0][1:]), threads)
    outputs = (*y[0][:2], *(y[0][2 + i] * max(1, window[i]) for i in (0, 1)))
    if by_gray_tiles(w[0], geometry, outputs, LANES, REGISTERS):
        kernels = Kernels(LANES, (), conv_blocks, *conv_gray.steps(w[0][0], False, window == IN_REGISTERS))
        plan = gray_forward_plan(x, w, y, geometry, has_bias, window, kernels, tasks)
        return _launch(conv_gray.pack_transformed, conv_gray.gray_tiles, plan, math.prod(w[0]), threads)
    kernels = Kernels(LANES, gather_slices(w[0][0] // geometry.groups), conv_blocks)
    if by_tiles(w[0], geometry, outputs, LANES):
        plan = tile_forward_plan(x, w, y, geometry, has_bias, window, kernels, tasks)
        return _launch(conv_winograd.pack_transformed, conv_winograd.gather_tiles, plan, math.prod(w[0]), threads)
    plan = forward_plan(x, w, y, geometry, has_bias, window, kernels, tasks)
    return _launch(conv_vector.pack_weights, conv_vector.gather, plan, math.prod(w[0]), threads)


@functools.lru_cache(maxsize=512)
def backward(g: Layout, w: Layout, x: Layout, geometry: Geometry, window: Pair, threads: int) -> Launch:
    """The gradient of the input; with a window, g is the gradient of the pooled image."""
    tasks = _tasks(math.prod(g[0]) * max(1, math.prod(window)), math.prod(w[0][1:]), threads)
    if by_winners(w[0], geometry, window, LANES, REGISTERS) and fits(x[0], w[0], geometry):
        plan = scatter_plan(g, w, x, geometry, window, tasks)
        return _launch(conv_winners.pack_kernels, conv_winners.scatter_winners, plan, math.prod(w[0]), threads)
    kernels = Kernels(LANES, gather_slices(w[0][1]), conv_blocks)
    if by_tiles(w[0], geometry, x[0], LANES):
        plan = tile_backward_plan(g, w, x, geometry, window, kernels, tasks)
        return _launch(conv_winograd.pack_transformed, conv_winograd.gather_tiles, plan, math.prod(w[0]), threads)
    plan = backward_plan(g, w, x, geometry, window, kernels, tasks)
    return _launch(conv_vector.pack_weights, conv_vector.gather, plan, math.prod(w[0]), threads)


@functools.lru_cache(maxsize=512)
def weights(
    x: Layout,
    g: Layout,
    y_shape: Shape,
    w_shape: Shape,
    geometry: Geometry,
    with_bias: bool,
    window: Pair,
    threads: int,
) -> Launch:
    """The gradients of the weights and of the bias; y_shape is that of the convolution's own result."""
    tasks = _tasks(math.prod(y_shape), math.prod(w_shape[1:]), threads)
    if by_winners(w_shape, geometry, window, LANES, REGISTERS):
        kernels = Kernels(LANES, (), conv_blocks)
        plan = weight_plan(x, g, y_shape, w_shape, geometry, with_bias, window, kernels, tasks, by_winners=True)
        return _launch(conv_winners.add_winner_sums, conv_winners.winner_sums, plan, plan.shared, threads)
    outputs, inputs, *kernel = w_shape
    if by_gray_tiles(w_shape, geometry, y_shape, LANES, REGISTERS):
        kernels = Kernels(LANES, (), conv_blocks, *conv_gray.steps(outputs, True, window == IN_REGISTERS))
        plan = gray_weight_plan(x, g, y_shape, w_shape, geometry, with_bias, window, kernels, tasks)
        return _launch(conv_gray.add_tile_partials, conv_gray.gray_partials, plan, plan.shared, threads)
    if weights_by_tiles(w_shape, geometry, y_shape, LANES):
        kernels = Kernels(LANES, sum_slices(outputs, inputs), conv_blocks)
        plan = tile_weight_plan(x, g, y_shape, w_shape, geometry, with_bias, window, kernels, tasks)
        return _launch(conv_winograd.add_tile_partials, conv_winograd.tile_partials, plan, plan.shared, threads)
    kernels = Kernels(LANES, sum_slices(outputs // geometry.groups, inputs * math.prod(kernel)), conv_blocks)
    plan = weight_plan(x, g, y_shape, w_shape, geometry, with_bias, window, kernels, tasks)
    return _launch(conv_vector.add_partials, conv_vector.weight_partials, plan, plan.shared, threads)


def _launch(small: Any, main: Any, plan: Plan, weights: int, threads: int) -> Launch:
    """`weights` is how many numbers the small kernel copies or adds up."""
    workers = threads if plan.tasks > 1 else 1
    few = threads if weights >= _COPY_PARALLEL_FROM else 1
    return Launch(small, main, plan.table, plan.tasks, few, workers, plan.shared + workers * plan.scratch)


def _tasks(numbers: int, taps: int, threads: int) -> int:
    """Into how many tasks to cut a convolution with so many numbers, each a sum over so many taps."""
    return SHARES * threads if numbers * (taps + _PER_NUMBER) >= _PARALLEL_FROM else 1
