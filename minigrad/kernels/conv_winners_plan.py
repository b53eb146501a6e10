"""When the gradients of a pooled convolution are made from the winners of the windows alone, and the plan for it.

See `conv_winners.py` for the kernels.
"""

from __future__ import annotations

import math

import numpy as np

from minigrad.kernels.conv_parts import Geometry, Layout, Plan, in_numbers

__all__ = ["by_winners", "fits", "scatter_plan", "vectors_of_part"]

Pair = tuple[int, int]
Shape = tuple[int, ...]

# With fewer numbers in a window there are too few zeros to skip.
_FEWEST_IN_WINDOW = 4
# Vectors in a row of the kernel, from which going through the winners takes less time than multiplying zeros.
_FEWEST_VECTORS = 6
# The gradient of an image is made in scratch memory of each thread, and all weights are read for each of its pixels.
_MOST_NUMBERS = 1 << 20
_MOST_WEIGHTS = 1 << 20
# An image is the work of one thread.
_FEWEST_IMAGES = 8

# The plan of `scatter_winners`.
(
    IMAGES,
    TASKS,
    OUTPUTS,
    TAPS,  # numbers in a kernel
    KERNEL_ROW,  # and in a row of it
    WINDOW_ROWS,
    WINDOW_COLUMNS,
    POOLED_ROWS,
    POOLED_COLUMNS,
    G_IMAGE,  # strides of the pooled gradient, in numbers: from one image to the next, one row, one pixel
    G_ROW,
    G_PIXEL,
    PATCH_ROWS,  # rows, and numbers in a row, of the gradient in scratch memory, with its padding
    PATCH_PITCH,
    STEP_DOWN,  # in it: from one row of the convolution's output to the next, and from one column
    STEP_ACROSS,
    NEXT_ROW,  # and from one row of the kernel to the next
    TOP,  # the padding
    LEFT,
    HEIGHT,
    WIDTH,
    CHANNELS,
    X_IMAGE,  # strides of the result
    X_ROW,
    W_OUTPUT,  # strides of the weights
    W_INPUT,
    W_ROW,
    W_COLUMN,
    SCRATCH,
    SCRATCH_LENGTH,
    LENGTH,
) = range(31)


def vectors_of_part(registers: int) -> int:
    """How many vectors of each of the kernel's three rows are kept in registers at a time."""
    return 6 if registers > 16 else 3


def by_winners(w_shape: Shape, geometry: Geometry, window: Pair, lanes: int, registers: int) -> bool:
    """Whether there are kernels for it, and it pays: most numbers are zero, and the rows of the kernel are long.

    A row of the kernel must lie in memory in one piece, of whole parts, and the output's channels must fill vectors.
    """
    outputs, channels, height, width = w_shape
    row = width * channels
    return (
        window[0] * window[1] >= _FEWEST_IN_WINDOW
        and geometry.groups == 1
        and geometry.dilation[1] == 1
        and height == 3
        and outputs % lanes == 0
        and channels % lanes == 0
        and row % (vectors_of_part(registers) * lanes) == 0
        and row >= _FEWEST_VECTORS * lanes
    )


def fits(x_shape: Shape, w_shape: Shape, geometry: Geometry) -> bool:
    """Whether images of x and the weights are not too large for `scatter_winners`, and there are images to share out.

    It does not depend on the number of threads, so that not even NaN does.
    """
    images, channels, height, width = x_shape
    (top, bottom), (left, right) = geometry.padding
    numbers = channels * (height + top + bottom) * (width + left + right)
    return images >= _FEWEST_IMAGES and numbers <= _MOST_NUMBERS and math.prod(w_shape) <= _MOST_WEIGHTS


def scatter_plan(g: Layout, w: Layout, x: Layout, geometry: Geometry, window: Pair, tasks: int) -> Plan:
    """The plan of an input gradient, g being the pooled gradient."""
    images, channels, height, width = x[0]
    outputs, _, _, kernel_columns = w[0]
    (top, bottom), (left, right) = geometry.padding
    pitch = (width + left + right) * channels
    rows = height + top + bottom
    taps = math.prod(w[0][1:])
    tasks = min(tasks, images)
    table = np.zeros(LENGTH, np.int64)
    g_image, _, g_row, g_pixel = in_numbers(g[1])
    x_image, _, x_row, _ = in_numbers(x[1])
    for place, value in {
        IMAGES: images,
        TASKS: tasks,
        OUTPUTS: outputs,
        TAPS: taps,
        KERNEL_ROW: kernel_columns * channels,
        WINDOW_ROWS: window[0],
        WINDOW_COLUMNS: window[1],
        POOLED_ROWS: g[0][2],
        POOLED_COLUMNS: g[0][3],
        G_IMAGE: g_image,
        G_ROW: g_row,
        G_PIXEL: g_pixel,
        PATCH_ROWS: rows,
        PATCH_PITCH: pitch,
        STEP_DOWN: geometry.stride[0] * pitch,
        STEP_ACROSS: geometry.stride[1] * channels,
        NEXT_ROW: geometry.dilation[0] * pitch,
        TOP: top,
        LEFT: left,
        HEIGHT: height,
        WIDTH: width,
        CHANNELS: channels,
        X_IMAGE: x_image,
        X_ROW: x_row,
        SCRATCH: outputs * taps,
        SCRATCH_LENGTH: rows * pitch,
    }.items():
        table[place] = value
    table[W_OUTPUT : W_COLUMN + 1] = in_numbers(w[1])
    return Plan(table, tasks, outputs * taps, rows * pitch)
