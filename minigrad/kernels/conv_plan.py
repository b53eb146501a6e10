"""The geometry of a convolution as tables of offsets, so that its loops know nothing of stride, padding or groups.

In memory an image is a row of numbers, so a convolution is

    y[to[p] + o] = sum over k of  x[at[p] + tap[k]] * w[k, o]

where `p` counts output pixels, `k` counts the numbers that one output is made of (kernel row, kernel column, input
channel), `at[p]` is where the window of pixel p begins in x, and `tap[k]` is how far from there number k lies. Stride
is in `at`, dilation in `tap`, groups shift both, and padding is a copy of the input with zeros around it. All that
the loop sees of it is one addition.

The gradient of the input is the same kind of sum. Row h of the input took part in the output rows i with
h = i*s + p*d - pad. For stride 1 that is a convolution of g with the kernel turned around. For stride s, the rows h
that leave the remainder r when divided by s meet only those kernel rows p for which r + pad - p*d is divisible by s,
and for those

    i = (h - r) / s + (r + pad - p*d) / s

so each remainder is a *phase*: a convolution with some of the kernel's rows, at stride 1, that fills every s-th row.
No product with an inserted zero is ever computed. The forward pass is one phase.

Images are worked through in *blocks*: some rows of one image, or several small images. A block is copied, with its
padding, to scratch memory that stays in the processor's cache. The tables are made for one block and serve all.

A plan is made once for a geometry and kept. It is one array of integers: a header, a record for each phase, tables.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

__all__ = ["Axis", "Phase", "backward_axis", "forward_axis", "gather_plan", "weight_plan"]

Pair = tuple[int, int]
Shape = tuple[int, ...]

# What stands where in the header. Lengths and strides are counted in numbers, not in bytes.
(
    SAMPLES,
    CHANNELS,  # of x
    HEIGHT,
    WIDTH,
    SAMPLE_STRIDE,
    CHANNEL_STRIDE,
    ROW_STRIDE,
    PIXEL_STRIDE,
    DIRECT,  # 1: x needs no padding and is read where it is; 0: blocks of it are copied
    TOP,  # the row of x that phase row 0 begins with; negative where there is padding
    LEFT,
    ROW_STEP,  # rows of x from one phase row to the next
    ROW_SPAN,  # rows of x that one phase row sees
    COPY_ROWS,  # rows, and columns, of the copy of one image of a block
    COPY_COLUMNS,
    BLOCKS,
    BLOCK_SAMPLES,  # images in a block
    BANDS,  # blocks in an image, where an image is cut
    BAND_ROWS,  # phase rows in a block
    OUT_SAMPLE,  # from one image of y to the next
    OUT_BAND,  # from one band of y to the next
    GROUPS,
    OUTPUTS,  # output channels in a group
    PADDED,  # and how many there are in whole vectors
    OUTPUT_STRIDE,  # of w, from one output channel to the next
    GROUP_STRIDE,  # of w, from one group to the next
    HAS_BIAS,
    TASKS,
    SCRATCH,  # in `work`: where the scratch memory of task 0 begins
    SCRATCH_LENGTH,
    PHASES,
    IN_GROUP,  # of x, from one group to the next
    # Of the weight gradient alone
    G_DIRECT,
    G_GROUP,  # of g, from one group to the next
    G_ROW_STRIDE,
    G_PIXEL_STRIDE,
    G_CHANNEL_STRIDE,
    G_SCRATCH,  # where in a task's scratch the copy of g begins
    PARTIALS,  # sums over a part of the samples each
    RANGES,  # parts of the taps
    PARTIAL_LENGTH,
    HEADER,
) = range(42)

# What stands where in the record of a phase.
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

# Numbers in the copy of a block: it should stay in the second-level cache with the weights and the output.
_SCRATCH_GOAL = 32768
# Pixels in a block: fewer would waste much of the last tile, and the start of each sum of the weight gradient.
_PIXEL_GOAL = 128
# Partial sums of a weight gradient: enough for many threads, and few enough that adding them up costs little.
_MAX_PARTIALS = 16
_PARTIAL_GOAL = 1 << 20
# The most rows in a tile; the last tile of a weight gradient reaches past the last tap.
TAP_SLACK = 8
# The most vectors in a tile.
SPARE = 24


class Phase(NamedTuple):
    """One axis of a phase: output rows `first, first + out_step, ...` and the kernel rows that they meet.

    `taps` are pairs (kernel row, row of x minus `step` times the phase row).
    """

    first: int
    count: int
    taps: tuple[Pair, ...]


class Axis(NamedTuple):
    """The phases of one axis; from one phase row to the next it is `step` rows in x and `out_step` rows in y."""

    step: int
    out_step: int
    phases: tuple[Phase, ...]

    @property
    def count(self) -> int:
        """The most rows in a phase."""
        return max(phase.count for phase in self.phases)

    @property
    def low(self) -> int:
        """The first row of x that phase row 0 meets."""
        return min((e for phase in self.phases for _, e in phase.taps), default=0)

    @property
    def span(self) -> int:
        """The rows of x from the first to the last that one phase row meets."""
        return max((e for phase in self.phases for _, e in phase.taps), default=0) - self.low + 1


def forward_axis(count: int, kernel: int, stride: int, pad: int, dilation: int) -> Axis:
    """The axis of a forward convolution with `count` outputs: i meets i*s + p*d - pad.

    Examples
    --------
    >>> forward_axis(4, kernel=3, stride=2, pad=1, dilation=1).phases
    (Phase(first=0, count=4, taps=((0, -1), (1, 0), (2, 1))),)
    """
    return Axis(stride, 1, (Phase(0, count, tuple((p, p * dilation - pad) for p in range(kernel))),))


def backward_axis(size: int, kernel: int, stride: int, pad: int, dilation: int) -> Axis:
    """The axis of an input gradient with `size` rows: h = q*s + r meets q + (r + pad - p*d) / s where that is whole.

    Examples
    --------
    >>> for phase in backward_axis(7, kernel=3, stride=2, pad=1, dilation=1).phases:
    ...     print(phase)
    Phase(first=0, count=4, taps=((1, 0),))
    Phase(first=1, count=3, taps=((0, 1), (2, 0)))
    """
    phases = []
    for r in range(min(stride, size)):
        meets = [(p, r + pad - p * dilation) for p in range(kernel)]
        taps = tuple((p, e // stride) for p, e in meets if e % stride == 0)
        phases.append(Phase(r, -(-(size - r) // stride), taps))
    return Axis(1, stride, tuple(phases))


class _Source(NamedTuple):
    """How a block of x is read: where it lies, in place or as a padded copy, and how it is cut into blocks."""

    header: dict[int, int]
    sample: int
    row: int
    pixel: int
    channel: int
    copy_length: int


def _source(shape: Shape, strides: Shape, rows: Axis, columns: Axis) -> _Source:
    samples, channels, height, width = shape
    sample_stride, channel_stride, row_stride, pixel_stride = strides
    needed_rows = (rows.count - 1) * rows.step + rows.span
    needed_columns = (columns.count - 1) * columns.step + columns.span
    inside = rows.low >= 0 and rows.low + needed_rows <= height
    inside = inside and columns.low >= 0 and columns.low + needed_columns <= width
    direct = inside and (channel_stride == 1 or channels == 1)

    row_length = needed_columns * channels
    band_rows = rows.count
    block_samples = 1
    if needed_rows * row_length > _SCRATCH_GOAL:
        fitting = (_SCRATCH_GOAL // row_length - rows.span) // rows.step + 1
        band_rows = min(rows.count, max(1, fitting))
    else:
        wanted = -(-_PIXEL_GOAL // (rows.count * columns.count))
        block_samples = max(1, min(samples, wanted, _SCRATCH_GOAL // (needed_rows * row_length)))
    bands = -(-rows.count // band_rows)
    copy_rows = (band_rows - 1) * rows.step + rows.span
    header = {
        SAMPLES: samples,
        CHANNELS: channels,
        HEIGHT: height,
        WIDTH: width,
        SAMPLE_STRIDE: sample_stride,
        CHANNEL_STRIDE: channel_stride,
        ROW_STRIDE: row_stride,
        PIXEL_STRIDE: pixel_stride,
        DIRECT: int(direct),
        TOP: rows.low,
        LEFT: columns.low,
        ROW_STEP: rows.step,
        ROW_SPAN: rows.span,
        COPY_ROWS: copy_rows,
        COPY_COLUMNS: needed_columns,
        BLOCKS: -(-samples // block_samples) * bands,
        BLOCK_SAMPLES: block_samples,
        BANDS: bands,
        BAND_ROWS: band_rows,
    }
    if direct:
        return _Source(header, sample_stride, row_stride, pixel_stride, channel_stride, 0)
    length = copy_rows * row_length
    return _Source(header, length, row_length, channels, 1, block_samples * length)


class _Sheet:
    """Collects tables and gives their places; ends as the array of integers that kernels read."""

    def __init__(self, phases: int):
        self.header = np.zeros(HEADER, np.int64)
        self.header[PHASES] = phases
        self.records = np.zeros((phases, RECORD), np.int64)
        self.tables: list[np.ndarray] = []
        self.length = HEADER + self.records.size

    def set(self, values: dict[int, int]) -> None:
        for place, value in values.items():
            self.header[place] = value

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


def _taps(rows: Axis, columns: Axis, a: Phase, b: Phase, source: _Source, w: _Weights) -> tuple[np.ndarray, np.ndarray]:
    """The tables `tap` and `weight` of a phase: kernel rows, then kernel columns, then inner channels."""
    kernel_row, row = np.array(a.taps, np.int64).reshape(-1, 2, 1, 1).transpose(1, 0, 2, 3)
    kernel_column, column = np.array(b.taps, np.int64).reshape(-1, 2, 1).transpose(1, 0, 2)
    channel = np.arange(w.inner)
    tap = (row - rows.low) * source.row + (column - columns.low) * source.pixel + channel * source.channel
    weight = kernel_row * w.row_stride + kernel_column * w.column_stride + channel * w.inner_stride
    return tap, weight


class Plan(NamedTuple):
    """What a launch needs: the integers for the kernels, and how much of what."""

    table: np.ndarray
    work: int  # float32 numbers of scratch memory
    tasks: int


@functools.lru_cache(maxsize=256)
def gather_plan(
    source_shape: Shape,
    source_strides: Shape,
    out_strides: Shape,
    rows: Axis,
    columns: Axis,
    weight_shape: Shape,
    weight_strides: Shape,
    groups: int,
    backward: bool,
    has_bias: bool,
    lanes: int,
    tasks: int,
) -> Plan:
    """The plan of a forward convolution, or (`backward`) of an input gradient, where g is the source.

    Shapes and strides are those of arrays (N, C, H, W) and (O, C / groups, KH, KW).
    """
    source = _source(source_shape, source_strides, rows, columns)
    w = _weights(weight_shape, weight_strides, groups, backward)
    phases = [(a, b) for a in rows.phases for b in columns.phases]
    sheet = _Sheet(len(phases))
    samples, band = source.header[BLOCK_SAMPLES], source.header[BAND_ROWS]
    out_sample, _, out_row, out_pixel = out_strides
    padded = -(-w.outer // lanes) * lanes
    packed = 0
    for record, (a, b) in zip(sheet.records, phases, strict=True):
        size = (samples, min(band, a.count), b.count)
        at = _pixels(*size, (source.sample, rows.step * source.row, columns.step * source.pixel))
        to = _pixels(*size, (out_sample, rows.out_step * out_row, columns.out_step * out_pixel))
        tap, weight = _taps(rows, columns, a, b, source, w)
        record[ROWS] = a.count
        record[COLUMNS] = b.count
        record[TAPS] = tap.size
        record[AT] = sheet.add(at)
        record[TO] = sheet.add(to + a.first * out_row + b.first * out_pixel)
        record[TAP] = sheet.add(tap)
        record[WEIGHT] = sheet.add(weight)
        record[PACKED] = packed
        # One row of weights for each tap, and one more for the bias.
        packed += groups * padded * (tap.size + 1)
    tasks = min(tasks, source.header[BLOCKS])
    scratch = source.copy_length + SPARE * lanes
    sheet.set(source.header)
    sheet.set(
        {
            OUT_SAMPLE: out_sample,
            OUT_BAND: band * rows.out_step * out_row,
            GROUPS: groups,
            OUTPUTS: w.outer,
            PADDED: padded,
            IN_GROUP: w.inner * source.channel,
            OUTPUT_STRIDE: w.outer_stride,
            GROUP_STRIDE: w.group_stride,
            HAS_BIAS: int(has_bias),
            TASKS: tasks,
            SCRATCH: packed,
            SCRATCH_LENGTH: scratch,
        }
    )
    return Plan(sheet.array(), packed + tasks * scratch, tasks)


@functools.lru_cache(maxsize=256)
def weight_plan(
    source_shape: Shape,
    source_strides: Shape,
    grad_shape: Shape,
    grad_strides: Shape,
    rows: Axis,
    columns: Axis,
    weight_shape: Shape,
    groups: int,
    has_bias: bool,
    lanes: int,
    tasks: int,
) -> Plan:
    """The plan of a weight gradient: each weight's sum over all pixels, cut into `PARTIALS` that are added in order.

    How many partial sums there are depends on the shapes alone, never on the number of threads, and so do the bits.
    """
    source = _source(source_shape, source_strides, rows, columns)
    # The gradient is a new array in C order.
    weight_strides = tuple(int(np.prod(weight_shape[i:])) for i in (1, 2, 3, 4))
    w = _weights(weight_shape, weight_strides, groups, backward=False)
    sheet = _Sheet(1)
    samples, band = source.header[BLOCK_SAMPLES], source.header[BAND_ROWS]
    padded = -(-w.outer // lanes) * lanes
    grad_sample, grad_channel, grad_row, grad_pixel = grad_strides
    in_place = w.outer % lanes == 0 and (grad_channel == 1 or grad_shape[1] == 1)
    copied = 0
    (a,), (b,) = rows.phases, columns.phases
    if in_place:
        strides = (grad_sample, grad_row, grad_pixel)
    else:
        pixel = groups * padded
        strides = (band * b.count * pixel, b.count * pixel, pixel)
        copied = samples * band * b.count * pixel
    record = sheet.records[0]
    size = (samples, min(band, a.count), b.count)
    tap, weight = _taps(rows, columns, a, b, source, w)
    record[ROWS] = a.count
    record[COLUMNS] = b.count
    record[TAPS] = weight.size
    record[AT] = sheet.add(_pixels(*size, (source.sample, rows.step * source.row, columns.step * source.pixel)))
    record[TO] = sheet.add(_pixels(*size, strides))
    record[TAP] = sheet.add(tap)
    record[WEIGHT] = sheet.add(weight)
    partial = groups * padded * (weight.size + TAP_SLACK + 1)
    blocks = source.header[BLOCKS]
    partials = min(blocks, max(1, min(_MAX_PARTIALS, _PARTIAL_GOAL // partial)))
    ranges = max(1, min(_MAX_PARTIALS // partials, weight.size // TAP_SLACK))
    tasks = min(tasks, partials * ranges)
    scratch = source.copy_length + copied
    sheet.set(source.header)
    sheet.set(
        {
            OUT_SAMPLE: grad_sample,
            OUT_BAND: band * grad_row,
            GROUPS: groups,
            OUTPUTS: w.outer,
            PADDED: padded,
            IN_GROUP: w.inner * source.channel,
            OUTPUT_STRIDE: w.outer_stride,
            GROUP_STRIDE: w.group_stride,
            HAS_BIAS: int(has_bias),
            TASKS: tasks,
            SCRATCH: partials * partial,
            SCRATCH_LENGTH: scratch,
            G_DIRECT: int(in_place),
            G_ROW_STRIDE: grad_row,
            G_PIXEL_STRIDE: grad_pixel,
            G_CHANNEL_STRIDE: grad_channel,
            G_GROUP: w.outer if in_place else padded,
            G_SCRATCH: source.copy_length,
            PARTIALS: partials,
            RANGES: ranges,
            PARTIAL_LENGTH: partial,
        }
    )
    return Plan(sheet.array(), partials * partial + tasks * scratch, tasks)
