"""When a convolution goes by transformed tiles, and the plans for it. See `conv_winograd.py` for the kernels."""

from __future__ import annotations

import math

import numpy as np

from minigrad.kernels import conv_fields as field
from minigrad.kernels.conv_axis import Axis, Phase, backward_axis, forward_axis
from minigrad.kernels.conv_parts import (
    NO_WINDOW,
    Blocks,
    Geometry,
    Image,
    Kernels,
    Layout,
    Plan,
    Sheet,
    Weights,
    in_numbers,
    read_image,
    read_weights,
)
from minigrad.kernels.conv_plan import MOST_PARTIALS, PARTIAL_NUMBERS, gradient_strides

__all__ = [
    "NUMBERS",
    "by_tiles",
    "even",
    "put_kernel",
    "put_phase",
    "tile_backward_plan",
    "tile_forward_plan",
    "tile_weight_plan",
    "tiled_blocks",
    "weights_by_tiles",
]

Pair = tuple[int, int]
Shape = tuple[int, ...]

NUMBERS = 16  # in a transformed tile
# Where it pays: with fewer channels the additions take longer than what they save; with fewer tiles the products of
# matrices are too small; and the sums for the weights, which are themselves added up, should be sums of many numbers.
_FEWEST_CHANNELS = 16
_FEWEST_TILES = 32
_FEWEST_NUMBERS = 1 << 15
# A block of transformed tiles should stay in the second-level cache; longer ones gain nothing.
_MOST_NUMBERS = 1 << 18
_MOST_TILES = 200
# And there should be blocks to share out.
_WANTED_BLOCKS = 16
# A block has at least one row of tiles, whatever its size: wider images go without tiles, to save memory.
_MOST_IN_ROW = 1 << 20
# From one of the sixteen matrices to the next it must not be a multiple of this, or they would all meet in a few places
# of the first-level cache.
_PAGE = 1024
_LINE = 16


def by_tiles(w_shape: Shape, geometry: Geometry, y_shape: Shape, lanes: int) -> bool:
    """Whether there are kernels for it, and it pays: a 3x3 kernel, stride 1, channels that fill vectors, enough tiles.

    y is what is written: the result, or the gradient of the input.
    """
    outputs, channels, *kernel = w_shape
    return (
        kernel == [3, 3]
        and geometry.stride == (1, 1)
        and geometry.dilation == (1, 1)
        and geometry.groups == 1
        and outputs % lanes == 0
        and channels % lanes == 0
        and min(outputs, channels) >= _FEWEST_CHANNELS
        and _tiles_in(y_shape) >= _FEWEST_TILES
        and -(-y_shape[3] // 2) * NUMBERS * (outputs + channels) <= _MOST_IN_ROW
    )


def weights_by_tiles(w_shape: Shape, geometry: Geometry, y_shape: Shape, lanes: int) -> bool:
    """The same for the gradient of the weights; y is the result."""
    numbers = _tiles_in(y_shape) * sum(w_shape[:2])
    return by_tiles(w_shape, geometry, y_shape, lanes) and numbers >= _FEWEST_NUMBERS


def _tiles_in(y_shape: Shape) -> int:
    return y_shape[0] * -(-y_shape[2] // 2) * -(-y_shape[3] // 2)


def even(axis: Axis) -> Axis:
    """The axis with one more row where their number is odd: tiles are two rows high."""
    (phase,) = axis.phases
    return Axis(1, 1, (Phase(0, phase.length + phase.length % 2, phase.taps),))


def tiled_blocks(samples: int, channels: int, rows: Axis, columns: Axis, step: int) -> Blocks:
    """Cut images into blocks of tiles; `channels` are those of both sides, `step` as in `cut_into_blocks`."""
    down, across = rows.length // 2, columns.length // 2
    most = max(1, min(_MOST_TILES, _MOST_NUMBERS // (NUMBERS * channels)))
    if down * across > most:
        step = math.lcm(2, step)
        bands = -(-down // max(1, most // across))
        height = -(-rows.length // (bands * step)) * step
        bands = -(-rows.length // height)
        return Blocks(samples, samples * bands, 1, bands, height)
    wanted = min(most, max(_FEWEST_TILES, samples * down * across // _WANTED_BLOCKS))
    together = max(1, min(samples, wanted // (down * across)))
    return Blocks(samples, -(-samples // together), together, 1, rows.length)


def _pitch(tiles: int, channels: int) -> int:
    """From one of the sixteen matrices to the next."""
    return tiles * channels + (_LINE if tiles * channels % _PAGE == 0 else 0)


def _tiles(blocks: Blocks, columns: Axis) -> int:
    return blocks.samples * -(-blocks.rows // 2) * (columns.length // 2)


def tile_forward_plan(
    x: Layout, w: Layout, y: Layout, geometry: Geometry, has_bias: bool, window: Pair, kernels: Kernels, tasks: int
) -> Plan:
    """The plan of a forward convolution; with a window, y is the pooled image."""
    rows, columns = (forward_axis(y[0][2 + i] * max(1, window[i]), 3, 1, geometry.padding[i][0], 1) for i in (0, 1))
    blocks = tiled_blocks(x[0][0], sum(w[0][:2]), even(rows), even(columns), max(1, window[0]))
    source = read_image(x, blocks, even(rows), even(columns), 1, kernels)
    weights = read_weights(w, 1, backward=False)
    return _tile_plan(blocks, source, y, rows, columns, weights, has_bias, window, kernels, tasks)


def tile_backward_plan(
    g: Layout, w: Layout, x: Layout, geometry: Geometry, window: Pair, kernels: Kernels, tasks: int
) -> Plan:
    """The plan of an input gradient; with a window, g is the gradient of the pooled image."""
    rows, columns = (backward_axis(x[0][2 + i], 3, 1, geometry.padding[i][0], 1) for i in (0, 1))
    blocks = tiled_blocks(g[0][0], sum(w[0][:2]), even(rows), even(columns), 1)
    source = read_image(g, blocks, even(rows), even(columns), 1, kernels, window)
    weights = read_weights(w, 1, backward=True)
    return _tile_plan(blocks, source, x, rows, columns, weights, False, NO_WINDOW, kernels, tasks)


def _tile_plan(
    blocks: Blocks,
    source: Image,
    out: Layout,
    rows: Axis,
    columns: Axis,
    w: Weights,
    has_bias: bool,
    window: Pair,
    kernels: Kernels,
    tasks: int,
) -> Plan:
    sheet = Sheet(blocks, w, 1, kernels)
    tiles = _tiles(blocks, even(columns))
    v_length, m_length = (NUMBERS * _pitch(tiles, channels) for channels in (w.inner, w.outer))
    out_sample, _, out_row, out_pixel = in_numbers(out[1])
    y_length = 0
    to_strides = (out_sample, out_row, out_pixel)
    if window != NO_WINDOW:
        # A block of y is written to scratch memory and pooled from there.
        per_sample = blocks.rows * columns.length * w.outer
        to_strides, y_length = (per_sample, columns.length * w.outer, w.outer), blocks.samples * per_sample
    put_phase(sheet, rows, columns, tiles, w)
    put_kernel(sheet, rows, columns, w)
    # One row of weights for each channel, and one more for the bias.
    packed = NUMBERS * w.outer * (w.inner + 1)
    tasks = min(tasks, blocks.total)
    scratch = source.copy_length + v_length + m_length + y_length + field.SPARE * kernels.lanes
    sheet.put(source.record, field.SOURCE)
    sheet.put(
        {
            field.PADDED: w.outer,
            field.OUT_SAMPLE: out_sample,
            field.OUT_BAND: blocks.rows // max(1, window[0]) * out_row,
            field.HAS_BIAS: int(has_bias),
            field.TASKS: tasks,
            field.SCRATCH: packed,
            field.SCRATCH_LENGTH: scratch,
            field.POOL_ROWS: window[0],
            field.POOL_COLUMNS: window[1],
            field.POOL: kernels.pool(window, 1, w.outer),
            field.POOLED_ROW: out_row,
            field.V_SCRATCH: source.copy_length,
            field.V_PITCH: _pitch(tiles, w.inner),
            field.M_SCRATCH: source.copy_length + v_length,
            field.M_PITCH: _pitch(tiles, w.outer),
            field.Y_SCRATCH: source.copy_length + v_length + m_length,
            field.IN_SAMPLE: source.sample,
            field.IN_ROW: source.row,
            field.IN_PIXEL: source.pixel,
            field.TO_SAMPLE: to_strides[0],
            field.TO_ROW: to_strides[1],
            field.TO_PIXEL: to_strides[2],
        }
    )
    return Plan(sheet.array(), tasks, packed, scratch)


def tile_weight_plan(
    x: Layout,
    g: Layout,
    y_shape: Shape,
    w_shape: Shape,
    geometry: Geometry,
    has_bias: bool,
    window: Pair,
    kernels: Kernels,
    tasks: int,
) -> Plan:
    """The plan of a weight gradient; with a window, g is the gradient of the pooled image, and y the image itself."""
    rows, columns = (forward_axis(y_shape[2 + i], 3, 1, geometry.padding[i][0], 1) for i in (0, 1))
    blocks = tiled_blocks(x[0][0], sum(w_shape[:2]), even(rows), even(columns), 1)
    source = read_image(x, blocks, even(rows), even(columns), 1, kernels)
    g_rows, g_columns = (even(forward_axis(y_shape[i], 1, 1, 0, 1)) for i in (2, 3))
    grad = read_image(g, blocks, g_rows, g_columns, 1, kernels, window)
    w = read_weights((w_shape, gradient_strides(w_shape)), 1, backward=False)
    sheet = Sheet(blocks, w, 1, kernels)
    tiles = _tiles(blocks, even(columns))
    v_length, m_length = (NUMBERS * _pitch(tiles, channels) for channels in (w.inner, w.outer))
    put_phase(sheet, rows, columns, tiles, w)
    put_kernel(sheet, rows, columns, w)
    partial = w.outer * (NUMBERS * (w.inner + field.TAP_SLACK) + 1)
    partials = min(blocks.total, max(1, min(MOST_PARTIALS, PARTIAL_NUMBERS // partial)))
    ranges = max(1, MOST_PARTIALS // partials)
    tasks = min(tasks, partials * ranges)
    scratch = source.copy_length + grad.copy_length + v_length + m_length
    sheet.put(source.record, field.SOURCE)
    sheet.put(grad.record, field.G_SOURCE)
    sheet.put(
        {
            field.HAS_BIAS: int(has_bias),
            field.TASKS: tasks,
            field.SCRATCH: partials * partial,
            field.SCRATCH_LENGTH: scratch,
            field.G_SCRATCH: source.copy_length,
            field.PARTIALS: partials,
            field.RANGES: ranges,
            field.PARTIAL_LENGTH: partial,
            field.V_SCRATCH: source.copy_length + grad.copy_length,
            field.V_PITCH: _pitch(tiles, w.inner),
            field.M_SCRATCH: source.copy_length + grad.copy_length + v_length,
            field.M_PITCH: _pitch(tiles, w.outer),
            field.IN_SAMPLE: source.sample,
            field.IN_ROW: source.row,
            field.IN_PIXEL: source.pixel,
            field.TO_SAMPLE: grad.sample,
            field.TO_ROW: grad.row,
            field.TO_PIXEL: grad.pixel,
        }
    )
    return Plan(sheet.array(), tasks, partials * partial, scratch)


def put_phase(sheet: Sheet, rows: Axis, columns: Axis, tiles: int, w: Weights) -> None:
    """The tables of the products: row `t` of a matrix is a tile, and its columns are channels."""
    record = sheet.records[0]
    record[field.ROWS] = rows.length
    record[field.COLUMNS] = columns.length
    record[field.TAPS] = w.inner
    record[field.AT] = sheet.add(np.arange(tiles) * w.inner)
    record[field.TO] = sheet.add(np.arange(tiles) * w.outer)
    record[field.TAP] = sheet.add(np.arange(w.inner))


def put_kernel(sheet: Sheet, rows: Axis, columns: Axis, w: Weights) -> None:
    """How the 3 x 3 numbers of a kernel are read in the order of the rows of x that they meet: going back, turned."""
    strides = []
    start = 0
    for axis, stride in ((rows, w.row_stride), (columns, w.column_stride)):
        meeting = {row - axis.low: kernel_row for kernel_row, row in axis.phases[0].taps}
        start += meeting[0] * stride
        strides.append((meeting[1] - meeting[0]) * stride)
    sheet.put(
        {
            field.W_START: start,
            field.W_INNER: w.inner_stride,
            field.W_ROW: strides[0],
            field.W_COLUMN: strides[1],
        }
    )
