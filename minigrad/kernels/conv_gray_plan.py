"""When a convolution of images with one channel goes by transformed tiles, and the plans. See `conv_gray.py`."""

from __future__ import annotations

from typing import Any

from minigrad.kernels import conv_fields as field
from minigrad.kernels.conv_axis import Axis, forward_axis
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
from minigrad.kernels.conv_plan import MOST_PARTIALS, gradient_strides
from minigrad.kernels.conv_winograd_plan import NUMBERS, even, put_kernel, put_phase, tiled_blocks

__all__ = ["IN_REGISTERS", "PITCH", "by_gray_tiles", "gray_forward_plan", "gray_weight_plan"]

Pair = tuple[int, int]
Shape = tuple[int, ...]

# Tiles that are transformed at a time; their sixteen numbers should stay in the first-level cache.
_MOST_TILES = 256
# From the numbers at one place of all these tiles to those at the next. It is a constant of the kernels, so that
# the sixteen addresses are offsets. A vector of tiles may reach past the last one; and the numbers of a tile should not
# all meet in the same place of the cache.
PITCH = _MOST_TILES + 16
# Vectors are stored faster where they do not cross cache lines: so many numbers.
_LINE = 16
# What the last vectors of a block read past its end.
_SLACK = 64
# With fewer tiles it takes longer to transform the weights than to use them.
_FEWEST_TILES = 32
# Windows that are pooled while they are in registers: they are the tiles themselves.
IN_REGISTERS: Pair = (2, 2)


def by_gray_tiles(w_shape: Shape, geometry: Geometry, y_shape: Shape, lanes: int, registers: int) -> bool:
    """Whether there are kernels for it, and it pays: one channel, 3x3, stride 1, output channels that fill vectors.

    y is the result of the convolution itself. The sixteen numbers of a kernel want registers.
    """
    outputs, *rest = w_shape
    down, across = -(-y_shape[2] // 2), _row_of_tiles(y_shape[3])
    return (
        rest == [1, 3, 3]
        and geometry.stride == (1, 1)
        and geometry.dilation == (1, 1)
        and geometry.groups == 1
        and outputs % lanes == 0
        and registers > NUMBERS
        and across <= _MOST_TILES
        and y_shape[0] * down * across >= _FEWEST_TILES
    )


def _row_of_tiles(pixels: int) -> int:
    """From one row of tiles to the next, for rows of so many pixels: a cache line, or several, or a part of one."""
    tiles = -(-pixels // 2)
    return min(_whole(tiles, _LINE), 1 << (tiles - 1).bit_length())


def _whole(numbers: int, unit: int = _LINE) -> int:
    return -(-numbers // unit) * unit


def _source(
    x: Layout, w_shape: Shape, y_shape: Shape, geometry: Geometry, kernels: Kernels, step: int
) -> tuple[Blocks, Image, Axis, Axis]:
    rows, columns = (forward_axis(y_shape[2 + i], 3, 1, geometry.padding[i][0], 1) for i in (0, 1))
    blocks = tiled_blocks(x[0][0], 1 + w_shape[0], even(rows), even(columns), step)
    return blocks, read_image(x, blocks, even(rows), even(columns), 1, kernels, copied=True), rows, columns


def gray_forward_plan(
    x: Layout, w: Layout, y: Layout, geometry: Geometry, has_bias: bool, window: Pair, kernels: Kernels, tasks: int
) -> Plan:
    """The plan of a forward convolution; with a window, y is the pooled image."""
    y_shape = (*y[0][:2], *(y[0][2 + i] * max(1, window[i]) for i in (0, 1)))
    blocks, source, rows, columns = _source(x, w[0], y_shape, geometry, kernels, max(1, window[0]))
    weights = read_weights(w, 1, backward=False)
    sheet = _sheet(blocks, weights, rows, columns, source, kernels)
    out_sample, _, out_row, out_pixel = in_numbers(y[1])
    pool, y_length = 0, 0
    to_strides = (out_sample, out_row, out_pixel)
    if window not in (NO_WINDOW, IN_REGISTERS):
        # A block of y is written to scratch memory and pooled from there.
        pool = kernels.pool(window, 1, weights.outer)
        per_sample = blocks.rows * columns.length * weights.outer
        to_strides = (per_sample, columns.length * weights.outer, weights.outer)
        y_length = blocks.samples * per_sample
    packed = NUMBERS * weights.outer * 2
    tasks = min(tasks, blocks.total)
    v_end = _v_start(source) + NUMBERS * PITCH
    scratch = _whole(v_end + y_length + field.SPARE * kernels.lanes)
    sheet.put(
        {
            field.PADDED: weights.outer,
            field.OUT_SAMPLE: out_sample,
            field.OUT_BAND: blocks.rows // max(1, window[0]) * out_row,
            field.HAS_BIAS: int(has_bias),
            field.TASKS: tasks,
            field.SCRATCH: packed,
            field.SCRATCH_LENGTH: scratch,
            field.POOL_ROWS: window[0],
            field.POOL_COLUMNS: window[1],
            field.POOL: pool,
            field.POOLED_ROW: out_row,
            field.Y_SCRATCH: v_end,
            **_strides(to_strides),
        }
    )
    return Plan(sheet.array(), tasks, packed, scratch)


def gray_weight_plan(
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
    # Blocks end where windows end, pooled or not, so that the sums are the same.
    blocks, source, rows, columns = _source(x, w_shape, y_shape, geometry, kernels, 2)
    w = read_weights((w_shape, gradient_strides(w_shape)), 1, backward=False)
    sheet = _sheet(blocks, w, rows, columns, source, kernels)
    copy_length = 0
    if window == IN_REGISTERS:
        g_sample, _, g_row, g_pixel = in_numbers(g[1])
        strides = (g_sample, g_row, g_pixel)
        sheet.put({field.POOL_ROWS: window[0], field.OUT_BAND: blocks.rows // window[0] * g_row})
    else:
        g_rows, g_columns = (even(forward_axis(y_shape[i], 1, 1, 0, 1)) for i in (2, 3))
        grad = read_image(g, blocks, g_rows, g_columns, 1, kernels, window)
        sheet.put(grad.record, field.G_SOURCE)
        strides, copy_length = (grad.sample, grad.row, grad.pixel), grad.copy_length
    partial = w.outer * (NUMBERS * (1 + field.TAP_SLACK) + 1)
    partials = min(blocks.total, MOST_PARTIALS)
    tasks = min(tasks, partials)
    v_end = _v_start(source) + NUMBERS * PITCH
    scratch, shared = _whole(v_end + copy_length), _whole(partials * partial)
    sheet.put(
        {
            field.HAS_BIAS: int(has_bias),
            field.TASKS: tasks,
            field.SCRATCH: shared,
            field.SCRATCH_LENGTH: scratch,
            field.G_SCRATCH: v_end,
            field.PARTIALS: partials,
            field.RANGES: 1,
            field.PARTIAL_LENGTH: partial,
            **_strides(strides),
        }
    )
    return Plan(sheet.array(), tasks, shared, scratch)


def _sheet(blocks: Blocks, w: Weights, rows: Axis, columns: Axis, source: Image, kernels: Kernels) -> Any:
    """What both plans have in common."""
    sheet = Sheet(blocks, w, 1, kernels)
    put_phase(sheet, rows, columns, 0, w)
    put_kernel(sheet, rows, columns, w)
    sheet.put(source.record, field.SOURCE)
    sheet.put(
        {
            field.V_SCRATCH: _v_start(source),
            field.V_PITCH: _row_of_tiles(columns.length),
            field.READ: kernels.read,
            field.TRANSFORM: kernels.transform,
            field.FINISH: kernels.finish,
            field.V_LINES: _MOST_TILES // _row_of_tiles(columns.length),
            field.IN_SAMPLE: source.sample,
            field.IN_ROW: source.row,
            field.IN_PIXEL: source.pixel,
        }
    )
    return sheet


def _v_start(source: Image) -> int:
    """Where in a worker's scratch memory the numbers v begin, after the copy of the images."""
    return _whole(source.copy_length + _SLACK)


def _strides(strides: tuple[int, int, int]) -> dict[int, int]:
    return dict(zip((field.TO_SAMPLE, field.TO_ROW, field.TO_PIXEL), strides, strict=True))
