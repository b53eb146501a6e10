"""The geometry of a convolution as tables of offsets, so that its loops know nothing of stride, padding or groups.

In memory an image is a row of numbers, so a convolution is

    y[to[p] + o] = sum over k of  x[at[p] + tap[k]] * w[k, o]

where `p` counts output pixels, `k` counts the numbers that one output is made of (kernel row, kernel column, input
channel), `at[p]` is where the window of pixel p begins in x, and `tap[k]` is how far from there number k lies. Stride
is in `at`, dilation in `tap`, groups shift both, and padding is a copy of the input with zeros around it. All that
the loop sees of it is one addition. The gradient of the input is the same kind of sum, in phases (`conv_axis.py`).

Images are worked through in *blocks*: some rows of one image, or several small images. A block is copied, with its
padding, to scratch memory that stays in the processor's cache. The tables are made for one block and serve all.

A convolution that is followed by ReLU and max-pooling (`conv_pool.py`) need not write its result at all: blocks of it
are pooled while they are in the cache. On the way back, blocks of its gradient are made from the pooled gradient.

A plan is made once for a geometry and kept (`conv_launch.py`). It is one array of integers: a header, a record for each
phase, tables. `conv_fields.py` names their places, and `conv_parts.py` makes what all plans are made of.
"""

from __future__ import annotations

import math

from minigrad.kernels import conv_fields as field
from minigrad.kernels.conv_axis import Axis, backward_axis, forward_axis
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
    cut_into_blocks,
    in_numbers,
    pixels_of,
    read_image,
    read_weights,
    taps_of,
)

__all__ = ["MOST_PARTIALS", "PARTIAL_NUMBERS", "backward_plan", "forward_plan", "gradient_strides", "weight_plan"]

Pair = tuple[int, int]
Shape = tuple[int, ...]

# Partial sums of a weight gradient: enough for many threads, and few enough that adding them up costs little.
MOST_PARTIALS = 16
PARTIAL_NUMBERS = 1 << 20


def forward_plan(
    x: Layout, w: Layout, y: Layout, geometry: Geometry, has_bias: bool, window: Pair, kernels: Kernels, tasks: int
) -> Plan:
    """The plan of a forward convolution; with a window, y is the pooled image."""
    rows, columns = (
        forward_axis(
            y[0][2 + i] * max(1, window[i]),
            w[0][2 + i],
            geometry.stride[i],
            geometry.padding[i][0],
            geometry.dilation[i],
        )
        for i in (0, 1)
    )
    blocks = cut_into_blocks(x[0][0], x[0][1], rows, columns, max(1, window[0]))
    source = read_image(x, blocks, rows, columns, geometry.groups, kernels)
    weights = read_weights(w, geometry.groups, backward=False)
    return _gather_plan(blocks, source, y, rows, columns, weights, has_bias, window, kernels, tasks)


def backward_plan(
    g: Layout, w: Layout, x: Layout, geometry: Geometry, window: Pair, kernels: Kernels, tasks: int
) -> Plan:
    """The plan of an input gradient; with a window, g is the gradient of the pooled image."""
    rows, columns = (
        backward_axis(x[0][2 + i], w[0][2 + i], geometry.stride[i], geometry.padding[i][0], geometry.dilation[i])
        for i in (0, 1)
    )
    blocks = cut_into_blocks(g[0][0], g[0][1], rows, columns)
    source = read_image(g, blocks, rows, columns, geometry.groups, kernels, window)
    weights = read_weights(w, geometry.groups, backward=True)
    return _gather_plan(blocks, source, x, rows, columns, weights, False, NO_WINDOW, kernels, tasks)


def _gather_plan(
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
    phases = [(a, b) for a in rows.phases for b in columns.phases]
    sheet = Sheet(blocks, w, len(phases), kernels)
    padded = -(-w.outer // kernels.lanes) * kernels.lanes
    out_sample, _, out_row, out_pixel = in_numbers(out[1])
    pooled = window != NO_WINDOW
    y_length = 0
    if pooled:
        # A block of y is written to scratch memory, whole vectors of it, and pooled from there.
        pitch = w.groups * padded
        per_sample = blocks.rows * columns.length * pitch
        to_strides, y_length = (per_sample, columns.length * pitch, pitch), blocks.samples * per_sample
    else:
        to_strides = (out_sample, rows.out_step * out_row, columns.out_step * out_pixel)
    packed = 0
    for record, (a, b) in zip(sheet.records, phases, strict=True):
        size = (blocks.samples, min(blocks.rows, a.length), b.length)
        at = pixels_of(*size, (source.sample, rows.step * source.row, columns.step * source.pixel))
        tap, weight = taps_of(rows, columns, a, b, source, w)
        record[field.ROWS] = a.length
        record[field.COLUMNS] = b.length
        record[field.TAPS] = tap.size
        record[field.AT] = sheet.add(at)
        record[field.TO] = sheet.add(pixels_of(*size, to_strides) + a.first * out_row + b.first * out_pixel)
        record[field.TAP] = sheet.add(tap)
        record[field.WEIGHT] = sheet.add(weight)
        record[field.PACKED] = packed
        # One row of weights for each tap, and one more for the bias.
        packed += w.groups * padded * (tap.size + 1)
    tasks = min(tasks, blocks.total)
    scratch = source.copy_length + y_length + field.SPARE * kernels.lanes
    sheet.put(source.record, field.SOURCE)
    sheet.put(
        {
            field.PADDED: padded,
            field.STORED: padded if pooled else w.outer,
            field.OUT_SAMPLE: out_sample,
            field.OUT_BAND: blocks.rows // max(1, window[0]) * rows.out_step * out_row,
            field.HAS_BIAS: int(has_bias),
            field.TASKS: tasks,
            field.SCRATCH: packed,
            field.SCRATCH_LENGTH: scratch,
            field.POOL_ROWS: window[0],
            field.POOL_COLUMNS: window[1],
            field.Y_SCRATCH: source.copy_length,
            field.POOL: kernels.pool(window, w.groups, w.outer),
            field.POOLED_ROW: out_row,
        }
    )
    return Plan(sheet.array(), tasks, packed, scratch)


def gradient_strides(w_shape: Shape) -> Shape:
    """The strides in bytes of the gradient of w, which is a new array in C order."""
    return tuple(4 * math.prod(w_shape[i:]) for i in (1, 2, 3, 4))


def weight_plan(
    x: Layout,
    g: Layout,
    y_shape: Shape,
    w_shape: Shape,
    geometry: Geometry,
    has_bias: bool,
    window: Pair,
    kernels: Kernels,
    tasks: int,
    by_winners: bool = False,
) -> Plan:
    """The plan of a weight gradient: each weight's sum over all pixels, cut into `PARTIALS` that are added in order.

    How many partial sums there are depends on the shapes alone, never on the number of threads, and so do the bits.
    With a window, g is the gradient of the pooled image; y is the image itself. `by_winners` is for the kernels of
    `conv_winners.py`.
    """
    rows, columns = (
        forward_axis(y_shape[2 + i], w_shape[2 + i], geometry.stride[i], geometry.padding[i][0], geometry.dilation[i])
        for i in (0, 1)
    )
    groups = geometry.groups
    blocks = cut_into_blocks(x[0][0], x[0][1], rows, columns)
    source = read_image(x, blocks, rows, columns, groups, kernels, solid=by_winners)
    # The rows of g are the phase rows themselves.
    g_rows, g_columns = (forward_axis(y_shape[i], 1, 1, 0, 1) for i in (2, 3))
    grad = read_image(g, blocks, g_rows, g_columns, groups, kernels, window, kernels.lanes, made=not by_winners)
    w = read_weights((w_shape, gradient_strides(w_shape)), groups, backward=False)
    padded = -(-w.outer // kernels.lanes) * kernels.lanes
    sheet = Sheet(blocks, w, 1, kernels)
    (a,), (b,) = rows.phases, columns.phases
    size = (blocks.samples, min(blocks.rows, a.length), b.length)
    tap, weight = taps_of(rows, columns, a, b, source, w)
    record = sheet.records[0]
    record[field.ROWS] = a.length
    record[field.COLUMNS] = b.length
    record[field.TAPS] = tap.size
    record[field.AT] = sheet.add(pixels_of(*size, (source.sample, rows.step * source.row, columns.step * source.pixel)))
    record[field.TO] = sheet.add(pixels_of(*size, (grad.sample, grad.row, grad.pixel)))
    record[field.TAP] = sheet.add(tap)
    record[field.WEIGHT] = sheet.add(weight)
    partial = groups * padded * (tap.size + field.TAP_SLACK + 1)
    partials = min(blocks.total, max(1, min(MOST_PARTIALS, PARTIAL_NUMBERS // partial)))
    if by_winners:  # ranges of channels, each of which looks for its winners in the same block
        ranges = max(1, min(MOST_PARTIALS // 2 // partials, w.outer // kernels.lanes))
    else:
        ranges = max(1, min(MOST_PARTIALS // partials, tap.size // field.TAP_SLACK))
    tasks = min(tasks, partials * ranges)
    most = blocks.samples * blocks.rows * (columns.length // window[1]) if by_winners else 0
    # For each of the winners of a channel a number and its place, besides their count and four sums.
    lists = w.outer * (2 * most + 5)
    scratch = source.copy_length + (lists if by_winners else grad.copy_length)
    sheet.put(source.record, field.SOURCE)
    sheet.put(grad.record, field.G_SOURCE)
    sheet.put(
        {
            field.PADDED: padded,
            field.HAS_BIAS: int(has_bias),
            field.TASKS: tasks,
            field.SCRATCH: partials * partial,
            field.SCRATCH_LENGTH: scratch,
            field.G_SCRATCH: source.copy_length,
            field.PARTIALS: partials,
            field.RANGES: ranges,
            field.PARTIAL_LENGTH: partial,
            field.MOST_WINNERS: most,
        }
    )
    return Plan(sheet.array(), tasks, partials * partial, scratch)
