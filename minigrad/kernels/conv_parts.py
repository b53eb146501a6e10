"""The parts of which the plans of convolutions are made: blocks, images, weights, tables. See `conv_plan.py`."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minigrad.kernels import conv_fields as field
from minigrad.kernels.conv_axis import Axis, Phase

__all__ = [
    "NO_WINDOW",
    "Blocks",
    "Geometry",
    "Image",
    "Kernels",
    "Layout",
    "Plan",
    "Sheet",
    "Weights",
    "cut_into_blocks",
    "in_numbers",
    "pixels_of",
    "read_image",
    "read_weights",
    "taps_of",
]

Pair = tuple[int, int]
Shape = tuple[int, ...]
# The shape of a float32 array, and its strides in bytes.
Layout = tuple[Shape, Shape]

NO_WINDOW: Pair = (0, 0)


class Geometry(NamedTuple):
    """What PyTorch calls by these names; padding is ((top, bottom), (left, right))."""

    stride: Pair
    padding: tuple[Pair, Pair]
    dilation: Pair
    groups: int


class Kernels(NamedTuple):
    """The kernels that a plan names, by their addresses; they are compiled when a plan asks for the address."""

    lanes: int
    slices: tuple[Pair, ...]  # (vectors in a slice, address of the inner loop), see `conv_slices.py`
    blocks: Any  # the module `conv_blocks`: what makes blocks of images before the sums, and pools them after
    read: int = 0  # the three steps of `conv_gray.py`
    transform: int = 0
    finish: int = 0

    def maker(self, window: Pair, pairs: bool) -> int:
        """What makes a block of an image, or, with a window, of the gradient of one that was pooled."""
        if window == NO_WINDOW:
            return self.blocks.copy_block.address
        return (self.blocks.expand_pairs if pairs else self.blocks.expand_block).address

    def pool(self, window: Pair, groups: int, outputs: int) -> int:
        """What pools a block of the result."""
        if window == NO_WINDOW:
            return 0
        fours = window == (2, 2) and groups == 1 and outputs % self.lanes == 0
        return (self.blocks.pool_fours_of_block if fours else self.blocks.pool_block).address


# A block should stay in the second-level cache with the weights and the output ...
_MOST_NUMBERS = 32768
# ... and its output in the first-level cache; few pixels would waste much of the last tile.
_MOST_PIXELS = 256
_FEWEST_PIXELS = 128


class Blocks(NamedTuple):
    """How images are cut into blocks."""

    all_samples: int
    total: int
    samples: int
    bands: int
    rows: int


def cut_into_blocks(samples: int, channels: int, rows: Axis, columns: Axis, step: int = 1) -> Blocks:
    """Cut images with so many channels into blocks; where an image is cut, at a multiple of `step` phase rows."""
    width = (columns.length - 1) * columns.step + columns.span
    per_row = width * channels * rows.step
    fixed = width * channels * max(rows.span - rows.step, 0)
    if rows.length * columns.length > _MOST_PIXELS or fixed + rows.length * per_row > _MOST_NUMBERS:
        most = max(1, min(_MOST_PIXELS // columns.length, (_MOST_NUMBERS - fixed) // per_row))
        bands = -(-rows.length // most)
        height = -(-rows.length // (bands * step)) * step
        bands = -(-rows.length // height)
        return Blocks(samples, samples * bands, 1, bands, height)
    wanted = -(-_FEWEST_PIXELS // (rows.length * columns.length))
    together = max(1, min(samples, wanted, _MOST_NUMBERS // (fixed + rows.length * per_row)))
    return Blocks(samples, -(-samples // together), together, 1, rows.length)


class Image(NamedTuple):
    """How an image is read: its record, and the strides of where it is read, in place or as a copy."""

    record: dict[int, int]
    sample: int
    row: int
    pixel: int
    channel: int
    copy_length: int


def read_image(
    x: Layout,
    blocks: Blocks,
    rows: Axis,
    columns: Axis,
    groups: int,
    kernels: Kernels,
    window: Pair = NO_WINDOW,
    lanes: int = 1,
    solid: bool = False,
    copied: bool = False,
    made: bool = True,
) -> Image:
    """An image for the phases of two axes; its groups of channels are filled up to `lanes`, 1 for any number.

    `solid` asks for rows without gaps between the pixels; a part of the channels of an image has gaps, and is copied.
    `copied` asks for a copy in any case, and without `made` nobody makes blocks of it: the kernel that would is not
    compiled.
    With a window, x is the pooled gradient, from which blocks of the gradient of the image are made.
    """
    _, channels, height, width = x[0]
    sample_stride, channel_stride, row_stride, pixel_stride = in_numbers(x[1])
    all_rows = (rows.length - 1) * rows.step + rows.span
    copy_columns = (columns.length - 1) * columns.step + columns.span
    copy_rows = (blocks.rows - 1) * rows.step + rows.span
    inside = rows.low >= 0 and rows.low + all_rows <= height
    inside = inside and columns.low >= 0 and columns.low + copy_columns <= width
    depth = channels // groups
    padded = -(-depth // lanes) * lanes
    direct = inside and (channel_stride == 1 or channels == 1) and padded == depth and window == NO_WINDOW
    direct = direct and not (solid and pixel_stride != channels) and not copied
    row, pixel, channel = copy_columns * groups * padded, groups * padded, 1
    full_width = width * max(1, window[1])
    in_pairs = window[1] == 2 and columns.low <= 0 and copy_columns + columns.low >= full_width and padded == depth
    in_pairs = in_pairs and groups * padded % kernels.lanes == 0
    record = {
        field.DIRECT: int(direct),
        field.MAKER: 0 if direct or not made else kernels.maker(window, in_pairs),
        field.IMAGES: blocks.all_samples,
        field.IMAGES_IN_BLOCK: blocks.samples,
        field.BANDS_IN_IMAGE: blocks.bands,
        field.ROWS_IN_BAND: blocks.rows,
        field.SAMPLE_STRIDE: sample_stride,
        field.ROW_STRIDE: row_stride,
        field.PIXEL_STRIDE: pixel_stride,
        field.CHANNEL_STRIDE: channel_stride,
        field.HEIGHT: height * max(1, window[0]),
        field.WIDTH: full_width,
        field.TOP: rows.low,
        field.LEFT: columns.low,
        field.ROW_STEP: rows.step,
        field.COPY_ROWS: copy_rows,
        field.COPY_COLUMNS: copy_columns,
        # A copy that fills nothing up treats the channels as one group.
        field.IMAGE_GROUPS: 1 if padded == depth else groups,
        field.DEPTH: channels if padded == depth else depth,
        field.DEPTH_COPY: channels if padded == depth else padded,
        field.GROUP_STEP: padded,
        field.WINDOW_ROWS: window[0],
        field.WINDOW_COLUMNS: window[1],
    }
    if direct:
        return Image(record, sample_stride, row_stride, pixel_stride, 1, 0)
    return Image(record, copy_rows * row, row, pixel, channel, blocks.samples * copy_rows * row)


class Sheet:
    """Collects tables and gives their places; ends as the array of integers that kernels read."""

    def __init__(self, blocks: Blocks, w: Weights, phases: int, kernels: Kernels):
        self.header = np.zeros(field.HEADER, np.int64)
        self.put(
            {
                field.SAMPLES: blocks.all_samples,
                field.BLOCKS: blocks.total,
                field.BLOCK_SAMPLES: blocks.samples,
                field.BANDS: blocks.bands,
                field.BAND_ROWS: blocks.rows,
                field.PHASES: phases,
                field.GROUPS: w.groups,
                field.OUTPUTS: w.outer,
                field.OUTPUT_STRIDE: w.outer_stride,
                field.GROUP_STRIDE: w.group_stride,
            }
        )
        self.put({field.SLICES + vectors: address for vectors, address in kernels.slices})
        self.records = np.zeros((phases, field.RECORD), np.int64)
        self.tables: list[np.ndarray] = []
        self.length = field.HEADER + self.records.size

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


class Weights(NamedTuple):
    """How w is read: as (group, inner channel that is summed over, outer channel, kernel row, kernel column)."""

    groups: int
    inner: int
    outer: int
    group_stride: int
    inner_stride: int
    outer_stride: int
    row_stride: int
    column_stride: int


def read_weights(w: Layout, groups: int, backward: bool) -> Weights:
    """w is (outputs, inputs / groups, KH, KW); the forward pass sums over the inputs, backward over the outputs."""
    outputs, inputs = w[0][0] // groups, w[0][1]
    to_output, to_input, *kernel_strides = in_numbers(w[1])
    if backward:
        return Weights(groups, outputs, inputs, outputs * to_output, to_output, to_input, *kernel_strides)
    return Weights(groups, inputs, outputs, outputs * to_output, to_input, to_output, *kernel_strides)


def pixels_of(samples: int, rows: int, columns: int, strides: tuple[int, int, int]) -> np.ndarray:
    """The offset of each pixel of a block: images, then rows, then columns."""
    n, i, j = np.ogrid[:samples, :rows, :columns]
    return n * strides[0] + i * strides[1] + j * strides[2]


def taps_of(rows: Axis, columns: Axis, a: Phase, b: Phase, source: Image, w: Weights) -> tuple[np.ndarray, np.ndarray]:
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


def in_numbers(strides: Shape) -> Shape:
    """Strides in float32 numbers instead of bytes."""
    return tuple(s // 4 for s in strides)
