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

A plan is made once for a geometry and kept (`conv_run.py`). It is one array of integers: a header, a record for each
phase, tables.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from minigrad.kernels.conv_axis import Axis, Phase, backward_axis, forward_axis

__all__ = ["Geometry", "Makers", "Plan", "backward_plan", "forward_plan", "weight_plan"]

Pair = tuple[int, int]
Shape = tuple[int, ...]

NO_WINDOW: Pair = (0, 0)


class Geometry(NamedTuple):
    """What PyTorch calls by these names; padding is ((top, bottom), (left, right))."""

    stride: Pair
    padding: tuple[Pair, Pair]
    dilation: Pair
    groups: int


class Makers(NamedTuple):
    """The addresses of the kernels that work on a block before and after the sums; see `conv_blocks.py`."""

    copy: int
    expand: int
    pool: int


# The header. Lengths and strides are counted in numbers, not in bytes.
(
    SAMPLES,
    BLOCKS,
    BLOCK_SAMPLES,  # images in a block
    BANDS,  # blocks in an image, where an image is cut
    BAND_ROWS,  # phase rows in a block
    PHASES,
    GROUPS,
    OUTPUTS,  # output channels in a group
    PADDED,  # and how many there are in whole vectors
    STORED,  # and how many are written: all whole vectors where y is scratch memory
    OUT_SAMPLE,  # from one image of what is written to the next
    OUT_BAND,  # from one band to the next
    OUTPUT_STRIDE,  # of w, from one output channel to the next
    GROUP_STRIDE,  # of w, from one group to the next
    HAS_BIAS,
    TASKS,
    SCRATCH,  # in `work`: where the scratch memory of worker 0 begins
    SCRATCH_LENGTH,
    # Of the forward pass with pooling alone
    POOL_ROWS,  # rows of a window, 0: there is no pooling
    POOL_COLUMNS,
    Y_SCRATCH,  # in a worker's scratch: where the block of y begins that is pooled
    POOL,  # the address of the kernel that pools it
    POOLED_ROW,  # from one row of the pooled image to the next
    # Of the weight gradient alone
    G_SCRATCH,  # in a worker's scratch: where the copy of g begins
    PARTIALS,  # sums over a part of the samples each
    RANGES,  # parts of the taps, or of the channels
    PARTIAL_LENGTH,
    MOST_WINNERS,  # by winners alone: the most pixels of a block that win in a channel
    SOURCE,  # here begins the record of the image that is read through `at`
) = range(29)

# The record of an image that is read block by block; the weight gradient has a second one, of g, after the first.
(
    DIRECT,  # 1: it needs no padding and is read where it is; 0: blocks of it are made in scratch memory
    MAKER,  # the address of the kernel that does that
    IMAGES,
    IMAGES_IN_BLOCK,
    BANDS_IN_IMAGE,
    ROWS_IN_BAND,
    SAMPLE_STRIDE,
    ROW_STRIDE,
    PIXEL_STRIDE,
    CHANNEL_STRIDE,
    HEIGHT,
    WIDTH,
    TOP,  # the row that phase row 0 begins with; negative where there is padding
    LEFT,
    ROW_STEP,  # rows from one phase row to the next
    COPY_ROWS,  # rows, and columns, of the copy of one image of a block
    COPY_COLUMNS,
    IMAGE_GROUPS,  # groups of channels that are copied separately
    DEPTH,  # channels in such a group
    DEPTH_COPY,  # and how many there are in the copy, where more may be wanted to fill a vector
    GROUP_STEP,  # where it is read: from one group of the convolution to the next
    WINDOW_ROWS,  # it is the gradient of an image that was pooled in windows with so many rows; 0: it is an image
    WINDOW_COLUMNS,
    IMAGE,
) = range(24)

G_SOURCE = SOURCE + IMAGE
HEADER = SOURCE + 2 * IMAGE

# The record of a phase; they follow the header.
(
    ROWS,
    COLUMNS,
    TAPS,
    AT,  # where in the plan the tables begin
    TO,
    TAP,
    WEIGHT,  # table: where in w the weight of tap k for output channel 0 is
    PACKED,  # where in `work` the packed weights begin
    RECORD,
) = range(9)

# A block should stay in the second-level cache with the weights and the output ...
_MOST_NUMBERS = 32768
# ... and its output in the first-level cache; few pixels would waste much of the last tile.
_MOST_PIXELS = 256
_FEWEST_PIXELS = 128
# Partial sums of a weight gradient: enough for many threads, and few enough that adding them up costs little.
_MOST_PARTIALS = 16
_PARTIAL_NUMBERS = 1 << 20
# The last tile of a weight gradient reaches past the last tap, by fewer rows than this.
TAP_SLACK = 8
# The most vectors in a tile.
SPARE = 24


class _Blocks(NamedTuple):
    """How images are cut into blocks."""

    all_samples: int
    total: int
    samples: int
    bands: int
    rows: int


def _blocks(samples: int, channels: int, rows: Axis, columns: Axis, step: int = 1) -> _Blocks:
    """Cut images with so many channels into blocks; where an image is cut, at a multiple of `step` phase rows."""
    width = (columns.length - 1) * columns.step + columns.span
    per_row = width * channels * rows.step
    fixed = width * channels * max(rows.span - rows.step, 0)
    if rows.length * columns.length > _MOST_PIXELS or fixed + rows.length * per_row > _MOST_NUMBERS:
        most = max(1, min(_MOST_PIXELS // columns.length, (_MOST_NUMBERS - fixed) // per_row))
        bands = -(-rows.length // most)
        height = -(-rows.length // (bands * step)) * step
        bands = -(-rows.length // height)
        return _Blocks(samples, samples * bands, 1, bands, height)
    wanted = -(-_FEWEST_PIXELS // (rows.length * columns.length))
    together = max(1, min(samples, wanted, _MOST_NUMBERS // (fixed + rows.length * per_row)))
    return _Blocks(samples, -(-samples // together), together, 1, rows.length)


class _Image(NamedTuple):
    """How an image is read: its record, and the strides of where it is read, in place or as a copy."""

    record: dict[int, int]
    sample: int
    row: int
    pixel: int
    channel: int
    copy_length: int


def _image(
    shape: Shape,
    strides: Shape,
    blocks: _Blocks,
    rows: Axis,
    columns: Axis,
    groups: int,
    lanes: int,
    window: Pair,
    makers: Makers,
) -> _Image:
    """An image for the phases of two axes; its groups of channels are filled up to `lanes`, 1 for any number.

    With a window, `shape` is that of the pooled gradient, from which blocks of the gradient of the image are made.
    """
    _, channels, height, width = shape
    sample_stride, channel_stride, row_stride, pixel_stride = strides
    all_rows = (rows.length - 1) * rows.step + rows.span
    copy_columns = (columns.length - 1) * columns.step + columns.span
    copy_rows = (blocks.rows - 1) * rows.step + rows.span
    inside = rows.low >= 0 and rows.low + all_rows <= height
    inside = inside and columns.low >= 0 and columns.low + copy_columns <= width
    depth = channels // groups
    padded = -(-depth // lanes) * lanes
    direct = inside and (channel_stride == 1 or channels == 1) and padded == depth and window == NO_WINDOW
    row, pixel, channel = copy_columns * groups * padded, groups * padded, 1
    record = {
        DIRECT: int(direct),
        MAKER: makers.copy if window == NO_WINDOW else makers.expand,
        IMAGES: blocks.all_samples,
        IMAGES_IN_BLOCK: blocks.samples,
        BANDS_IN_IMAGE: blocks.bands,
        ROWS_IN_BAND: blocks.rows,
        SAMPLE_STRIDE: sample_stride,
        ROW_STRIDE: row_stride,
        PIXEL_STRIDE: pixel_stride,
        CHANNEL_STRIDE: channel_stride,
        HEIGHT: height * max(1, window[0]),
        WIDTH: width * max(1, window[1]),
        TOP: rows.low,
        LEFT: columns.low,
        ROW_STEP: rows.step,
        COPY_ROWS: copy_rows,
        COPY_COLUMNS: copy_columns,
        # A copy that fills nothing up treats the channels as one group.
        IMAGE_GROUPS: 1 if padded == depth else groups,
        DEPTH: channels if padded == depth else depth,
        DEPTH_COPY: channels if padded == depth else padded,
        GROUP_STEP: padded,
        WINDOW_ROWS: window[0],
        WINDOW_COLUMNS: window[1],
    }
    if direct:
        return _Image(record, sample_stride, row_stride, pixel_stride, 1, 0)
    return _Image(record, copy_rows * row, row, pixel, channel, blocks.samples * copy_rows * row)


class _Sheet:
    """Collects tables and gives their places; ends as the array of integers that kernels read."""

    def __init__(self, blocks: _Blocks, w: _Weights, phases: int):
        self.header = np.zeros(HEADER, np.int64)
        self.put(
            {
                SAMPLES: blocks.all_samples,
                BLOCKS: blocks.total,
                BLOCK_SAMPLES: blocks.samples,
                BANDS: blocks.bands,
                BAND_ROWS: blocks.rows,
                PHASES: phases,
                GROUPS: w.groups,
                OUTPUTS: w.outer,
                OUTPUT_STRIDE: w.outer_stride,
                GROUP_STRIDE: w.group_stride,
            }
        )
        self.records = np.zeros((phases, RECORD), np.int64)
        self.tables: list[np.ndarray] = []
        self.length = HEADER + self.records.size

    def put(self, values: dict[int, int], start: int = 0) -> None:
        """Write header fields, or the record of an image that begins at `start`."""
        for place, value in values.items():
            self.header[start + place] = value

    def add(self, values: np.ndarray) -> int:
        """Append a table; returns its place in the plan."""
        place = self.length
        self.tables.append(values.ravel())
        self.length += values.size
        return place

    def array(self) -> np.ndarray:
        parts = [self.header, self.records.ravel(), *self.tables]
        return np.concatenate(parts).astype(np.int64, copy=False)


class _Weights(NamedTuple):
    """How w is read: as (group, inner channel that is summed over, outer channel, kernel row, kernel column)."""

    groups: int
    inner: int
    outer: int
    group_stride: int
    inner_stride: int
    outer_stride: int
    row_stride: int
    column_stride: int


def _weights(shape: Shape, strides: Shape, groups: int, backward: bool) -> _Weights:
    """w is (outputs, inputs / groups, KH, KW); the forward pass sums over the inputs, backward over the outputs."""
    outputs, inputs = shape[0] // groups, shape[1]
    to_output, to_input, *kernel_strides = strides
    if backward:
        return _Weights(groups, outputs, inputs, outputs * to_output, to_output, to_input, *kernel_strides)
    return _Weights(groups, inputs, outputs, outputs * to_output, to_input, to_output, *kernel_strides)


def _pixels(samples: int, rows: int, columns: int, strides: tuple[int, int, int]) -> np.ndarray:
    """The offset of each pixel of a block: images, then rows, then columns."""
    n, i, j = np.ogrid[:samples, :rows, :columns]
    return n * strides[0] + i * strides[1] + j * strides[2]


def _taps(rows: Axis, columns: Axis, a: Phase, b: Phase, source: _Image, w: _Weights) -> tuple[np.ndarray, np.ndarray]:
    """The tables `tap` and `weight` of a phase: kernel rows, then kernel columns, then inner channels."""
    kernel_row, row = np.array(a.taps, np.int64).reshape(-1, 2, 1, 1).transpose(1, 0, 2, 3)
    kernel_column, column = np.array(b.taps, np.int64).reshape(-1, 2, 1).transpose(1, 0, 2)
    channel = np.arange(w.inner)
    tap = (row - rows.low) * source.row + (column - columns.low) * source.pixel + channel * source.channel
    weight = kernel_row * w.row_stride + kernel_column * w.column_stride + channel * w.inner_stride
    return tap, weight


class Plan(NamedTuple):
    """What a launch needs: the integers for the kernels, and how many numbers of memory."""

    table: np.ndarray
    tasks: int
    shared: int  # memory that all tasks share
    scratch: int  # memory of each worker, after it


def forward_plan(
    x_shape: Shape,
    x_strides: Shape,
    w_shape: Shape,
    w_strides: Shape,
    y_shape: Shape,
    y_strides: Shape,
    geometry: Geometry,
    has_bias: bool,
    window: Pair,
    makers: Makers,
    lanes: int,
    tasks: int,
) -> Plan:
    """The plan of a forward convolution; strides are those of float32 arrays, in bytes.

    With a window, y is the pooled image.
    """
    rows, columns = (
        forward_axis(
            y_shape[2 + i] * max(1, window[i]),
            w_shape[2 + i],
            geometry.stride[i],
            geometry.padding[i][0],
            geometry.dilation[i],
        )
        for i in (0, 1)
    )
    blocks = _blocks(x_shape[0], x_shape[1], rows, columns, max(1, window[0]))
    source = _image(x_shape, _numbers(x_strides), blocks, rows, columns, geometry.groups, 1, NO_WINDOW, makers)
    w = _weights(w_shape, _numbers(w_strides), geometry.groups, backward=False)
    return _gather_plan(blocks, source, _numbers(y_strides), rows, columns, w, has_bias, window, makers, lanes, tasks)


def backward_plan(
    g_shape: Shape,
    g_strides: Shape,
    w_shape: Shape,
    w_strides: Shape,
    x_shape: Shape,
    x_strides: Shape,
    geometry: Geometry,
    window: Pair,
    makers: Makers,
    lanes: int,
    tasks: int,
) -> Plan:
    """The plan of an input gradient; with a window, g is the gradient of the pooled image."""
    rows, columns = (
        backward_axis(x_shape[2 + i], w_shape[2 + i], geometry.stride[i], geometry.padding[i][0], geometry.dilation[i])
        for i in (0, 1)
    )
    blocks = _blocks(g_shape[0], g_shape[1], rows, columns)
    source = _image(g_shape, _numbers(g_strides), blocks, rows, columns, geometry.groups, 1, window, makers)
    w = _weights(w_shape, _numbers(w_strides), geometry.groups, backward=True)
    return _gather_plan(blocks, source, _numbers(x_strides), rows, columns, w, False, NO_WINDOW, makers, lanes, tasks)


def _gather_plan(
    blocks: _Blocks,
    source: _Image,
    out_strides: Shape,
    rows: Axis,
    columns: Axis,
    w: _Weights,
    has_bias: bool,
    window: Pair,
    makers: Makers,
    lanes: int,
    tasks: int,
) -> Plan:
    phases = [(a, b) for a in rows.phases for b in columns.phases]
    sheet = _Sheet(blocks, w, len(phases))
    padded = -(-w.outer // lanes) * lanes
    out_sample, _, out_row, out_pixel = out_strides
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
        at = _pixels(*size, (source.sample, rows.step * source.row, columns.step * source.pixel))
        tap, weight = _taps(rows, columns, a, b, source, w)
        record[ROWS] = a.length
        record[COLUMNS] = b.length
        record[TAPS] = tap.size
        record[AT] = sheet.add(at)
        record[TO] = sheet.add(_pixels(*size, to_strides) + a.first * out_row + b.first * out_pixel)
        record[TAP] = sheet.add(tap)
        record[WEIGHT] = sheet.add(weight)
        record[PACKED] = packed
        # One row of weights for each tap, and one more for the bias.
        packed += w.groups * padded * (tap.size + 1)
    tasks = min(tasks, blocks.total)
    scratch = source.copy_length + y_length + SPARE * lanes
    sheet.put(source.record, SOURCE)
    sheet.put(
        {
            PADDED: padded,
            STORED: padded if pooled else w.outer,
            OUT_SAMPLE: out_sample,
            OUT_BAND: blocks.rows // max(1, window[0]) * rows.out_step * out_row,
            HAS_BIAS: int(has_bias),
            TASKS: tasks,
            SCRATCH: packed,
            SCRATCH_LENGTH: scratch,
            POOL_ROWS: window[0],
            POOL_COLUMNS: window[1],
            Y_SCRATCH: source.copy_length,
            POOL: makers.pool,
            POOLED_ROW: out_row,
        }
    )
    return Plan(sheet.array(), tasks, packed, scratch)


def weight_plan(
    x_shape: Shape,
    x_strides: Shape,
    g_shape: Shape,
    g_strides: Shape,
    y_shape: Shape,
    w_shape: Shape,
    geometry: Geometry,
    has_bias: bool,
    window: Pair,
    makers: Makers,
    lanes: int,
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
    blocks = _blocks(x_shape[0], x_shape[1], rows, columns)
    source = _image(x_shape, _numbers(x_strides), blocks, rows, columns, groups, 1, NO_WINDOW, makers)
    # The rows of g are the phase rows themselves.
    g_rows, g_columns = (forward_axis(y_shape[i], 1, 1, 0, 1) for i in (2, 3))
    grad = _image(g_shape, _numbers(g_strides), blocks, g_rows, g_columns, groups, lanes, window, makers)
    # The gradient is a new array in C order.
    w_strides = tuple(math.prod(w_shape[i:]) for i in (1, 2, 3, 4))
    w = _weights(w_shape, w_strides, groups, backward=False)
    padded = -(-w.outer // lanes) * lanes
    sheet = _Sheet(blocks, w, 1)
    (a,), (b,) = rows.phases, columns.phases
    size = (blocks.samples, min(blocks.rows, a.length), b.length)
    tap, weight = _taps(rows, columns, a, b, source, w)
    record = sheet.records[0]
    record[ROWS] = a.length
    record[COLUMNS] = b.length
    record[TAPS] = tap.size
    record[AT] = sheet.add(_pixels(*size, (source.sample, rows.step * source.row, columns.step * source.pixel)))
    record[TO] = sheet.add(_pixels(*size, (grad.sample, grad.row, grad.pixel)))
    record[TAP] = sheet.add(tap)
    record[WEIGHT] = sheet.add(weight)
    partial = groups * padded * (tap.size + TAP_SLACK + 1)
    partials = min(blocks.total, max(1, min(_MOST_PARTIALS, _PARTIAL_NUMBERS // partial)))
    if by_winners:  # ranges of channels, each of which looks for its winners in the same block
        ranges = max(1, min(_MOST_PARTIALS // 2 // partials, w.outer // lanes))
    else:
        ranges = max(1, min(_MOST_PARTIALS // partials, tap.size // TAP_SLACK))
    tasks = min(tasks, partials * ranges)
    most = blocks.samples * blocks.rows * (columns.length // window[1]) if by_winners else 0
    # For each of the winners of a channel a number and its place, besides their count and four sums.
    lists = w.outer * (2 * most + 5)
    scratch = source.copy_length + (lists if by_winners else grad.copy_length)
    sheet.put(source.record, SOURCE)
    sheet.put(grad.record, G_SOURCE)
    sheet.put(
        {
            PADDED: padded,
            HAS_BIAS: int(has_bias),
            TASKS: tasks,
            SCRATCH: partials * partial,
            SCRATCH_LENGTH: scratch,
            G_SCRATCH: source.copy_length,
            PARTIALS: partials,
            RANGES: ranges,
            PARTIAL_LENGTH: partial,
            MOST_WINNERS: most,
        }
    )
    return Plan(sheet.array(), tasks, partials * partial, scratch)


def _numbers(strides: Shape) -> Shape:
    """Strides in float32 numbers instead of bytes."""
    return tuple(s // 4 for s in strides)
