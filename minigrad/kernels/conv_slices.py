"""The two inner loops of a convolution, for the shapes of tiles in which they run.

    gather_slice   y[to[p] + o]  = sum over k of  x[at[p] + tap[k]] * w[k, o]   + bias[o]
    sum_slice      sums[k, o]   += sum over p of  x[at[p] + tap[k]] * g[to[p] + o]

for all pixels p of a block and a *slice* of the channels o, as many as a tile is wide. Both are matrix products whose
left factor is read through two tables, and an inner loop adds outer products to a tile (`tile.py`).

On a machine with 32 vector registers a tile is 6 pixels (or taps) by 4 vectors of channels: 24 sums, for which each
step loads 4 vectors and 6 single numbers, so the arithmetic sets the pace and not the loading. With 16 registers it is
6 by 2. What is left of the channels goes through tiles of 6 by 2 and 8 by 1, and the nine taps of a 3x3 kernel on one
channel through tiles of 9 rows. Weights are packed with zeros up to a full vector, and only the channels that exist
are stored.

Each shape is compiled by itself, when a layer first needs it, and called through its address in the plan.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from minigrad.kernels.conv_blocks import between
from minigrad.kernels.jit import kernel
from minigrad.kernels.launch import Task, slice_task
from minigrad.kernels.tile import (
    Shape,
    height,
    keep_small,
    load_tile,
    never_inline,
    outer,
    plus,
    rows_of,
    store_rows,
    store_tile,
    width,
    zeros,
)
from minigrad.kernels.vec import LANES, REGISTERS, add, load, pointer_to, splat, store

__all__ = ["STEP", "gather_slices", "slice_width", "sum_ones", "sum_slices", "sums_width"]

Pointer = Any
ZERO = np.float32(0)
# The shapes of tiles for four, two and one vectors of channels.
FOUR = Shape(6, 4)
TWO = Shape(6, 2)
ONE = Shape(8, 1)
# For the weight gradient of a 3x3 kernel on one channel, of which tiles with six rows would waste a quarter.
NINE_TWO = Shape(9, 2)
NINE_ONE = Shape(9, 1)
# A number of taps that tiles of each shape fill without a rest.
STEP = 24


@kernel(internal=True)
def slice_width(channels: int) -> int:
    """How many channels the next slice takes: four vectors, two or one."""
    if REGISTERS > 16 and channels > 3 * LANES:
        return 4 * LANES
    return 2 * LANES if channels > LANES else LANES


@kernel(internal=True)
def is_nine(taps: int) -> bool:
    """Whether the weight gradient is made of tiles with nine rows; they want registers."""
    return REGISTERS > 16 and 6 < taps <= 9


@kernel(internal=True)
def sums_width(channels: int, taps: int) -> int:
    """How many channels the next slice of a weight gradient takes."""
    return slice_width(between(0, channels, 2 * LANES) if is_nine(taps) else channels)


# ---- y -------------------------------------------------------------------------------------------------------------


@kernel(internal=True)
def store_some(tile: Pointer, pitch: int, y: Pointer, to: Pointer, begin: int, end: int, outputs: int) -> None:
    """Write the first `outputs` channels of the rows of a tile, those that exist, for the pixels begin <= p < end."""
    keep_small()
    never_inline()
    for p in range(begin, end):
        row = pointer_to(tile, (p - begin) * pitch)
        pixel = pointer_to(y, to[p])
        for o in range(outputs):
            pixel[o] = row[o]


@kernel(internal=True)
def gather_slice(
    shape: Any, x: Pointer, w: Pointer, y: Pointer, at: Pointer, to: Pointer, tap: Pointer, taps: int, pixels: int,
    outputs: int, spare: Pointer,
) -> None:  # fmt: skip
    """y for the pixels of a block and one slice of channels. Past the last pixel, a tile repeats it."""
    pitch = width(shape)
    for p in range(0, pixels, height(shape)):
        rows = rows_of(shape, x, at, p, pixels - 1)
        s = zeros(shape)
        for k in range(taps):
            s = outer(s, rows, tap[k], w, k * pitch)
        s = plus(s, w, taps * pitch)
        if outputs >= pitch:
            store_rows(s, y, to, p, pixels - 1)
        else:
            store_tile(s, spare)
            store_some(spare, pitch, y, to, p, between(p, p + height(shape), pixels), outputs)


@slice_task
def gather_four(
    x: Pointer, w: Pointer, y: Pointer, at: Pointer, to: Pointer, tap: Pointer, taps: int, pixels: int, outputs: int,
    spare: Pointer,
) -> None:  # fmt: skip
    gather_slice(FOUR, x, w, y, at, to, tap, taps, pixels, outputs, spare)


@slice_task
def gather_two(
    x: Pointer, w: Pointer, y: Pointer, at: Pointer, to: Pointer, tap: Pointer, taps: int, pixels: int, outputs: int,
    spare: Pointer,
) -> None:  # fmt: skip
    gather_slice(TWO, x, w, y, at, to, tap, taps, pixels, outputs, spare)


@slice_task
def gather_one(
    x: Pointer, w: Pointer, y: Pointer, at: Pointer, to: Pointer, tap: Pointer, taps: int, pixels: int, outputs: int,
    spare: Pointer,
) -> None:  # fmt: skip
    gather_slice(ONE, x, w, y, at, to, tap, taps, pixels, outputs, spare)


# ---- the sums of a weight gradient ----------------------------------------------------------------------------------


@kernel(internal=True)
def sum_slice(
    shape: Any, x: Pointer, g: Pointer, sums: Pointer, at: Pointer, to: Pointer, tap: Pointer, pixels: int,
    begin: int, end: int,
) -> None:  # fmt: skip
    """sums[k, o] += x * g over the pixels of a block, for the taps begin <= k < end and one slice of channels."""
    keep_small()  # unrolled, nine rows would not fit into the registers
    for k in range(begin, end, height(shape)):
        rows = rows_of(shape, x, tap, k, end - 1)
        s = load_tile(shape, pointer_to(sums, k * width(shape)))
        for p in range(pixels):
            s = outer(s, rows, at[p], g, to[p])
        store_tile(s, pointer_to(sums, k * width(shape)))


@slice_task
def sum_four(
    x: Pointer, g: Pointer, sums: Pointer, at: Pointer, to: Pointer, tap: Pointer, pixels: int, begin: int, end: int,
    spare: Pointer,
) -> None:  # fmt: skip
    keep_small()
    sum_slice(FOUR, x, g, sums, at, to, tap, pixels, begin, end)


@slice_task
def sum_two(
    x: Pointer, g: Pointer, sums: Pointer, at: Pointer, to: Pointer, tap: Pointer, pixels: int, begin: int, end: int,
    spare: Pointer,
) -> None:  # fmt: skip
    keep_small()
    sum_slice(TWO, x, g, sums, at, to, tap, pixels, begin, end)


@slice_task
def sum_one(
    x: Pointer, g: Pointer, sums: Pointer, at: Pointer, to: Pointer, tap: Pointer, pixels: int, begin: int, end: int,
    spare: Pointer,
) -> None:  # fmt: skip
    keep_small()
    sum_slice(ONE, x, g, sums, at, to, tap, pixels, begin, end)


@slice_task
def sum_nine_by_two(
    x: Pointer, g: Pointer, sums: Pointer, at: Pointer, to: Pointer, tap: Pointer, pixels: int, begin: int, end: int,
    spare: Pointer,
) -> None:  # fmt: skip
    keep_small()
    sum_slice(NINE_TWO, x, g, sums, at, to, tap, pixels, begin, end)


@slice_task
def sum_nine_by_one(
    x: Pointer, g: Pointer, sums: Pointer, at: Pointer, to: Pointer, tap: Pointer, pixels: int, begin: int, end: int,
    spare: Pointer,
) -> None:  # fmt: skip
    keep_small()
    sum_slice(NINE_ONE, x, g, sums, at, to, tap, pixels, begin, end)


@kernel(internal=True)
def sum_ones(pixels: int, g: Pointer, to: Pointer, sums: Pointer, outputs: int) -> None:
    """sums[o] += g over the pixels of a block: the gradient of the bias, whose x is one everywhere."""
    keep_small()
    never_inline()
    fours = pixels // 4 * 4
    for i in range(0, outputs, LANES):
        a0 = load(sums, i)
        # Four sums side by side, because an addition takes some cycles before the next can use its result.
        a1 = splat(ZERO)
        a2 = splat(ZERO)
        a3 = splat(ZERO)
        for p in range(0, fours, 4):
            a0 = add(a0, load(g, to[p] + i))
            a1 = add(a1, load(g, to[p + 1] + i))
            a2 = add(a2, load(g, to[p + 2] + i))
            a3 = add(a3, load(g, to[p + 3] + i))
        for p in range(fours, pixels):
            a0 = add(a0, load(g, to[p] + i))
        store(sums, i, add(add(a0, a1), add(a2, a3)))


# ---- their addresses ------------------------------------------------------------------------------------------------

GATHER = {4 * LANES: gather_four, 2 * LANES: gather_two, LANES: gather_one}
SUM = {4 * LANES: sum_four, 2 * LANES: sum_two, LANES: sum_one}
SUM_NINE = {2 * LANES: sum_nine_by_two, LANES: sum_nine_by_one}


def _addresses(tasks: dict[int, Task], outputs: int) -> tuple[tuple[int, int], ...]:
    """(vectors, address) of those of the tasks that slices of so many channels need."""
    widths = set()
    while outputs > 0:
        wide = slice_width.function(min(outputs, max(tasks)))
        widths.add(wide)
        outputs -= wide
    return tuple((wide // LANES, tasks[wide].address) for wide in sorted(widths))


@functools.cache
def gather_slices(outputs: int) -> tuple[tuple[int, int], ...]:
    """What a plan for so many output channels names as its `slices`."""
    return _addresses(GATHER, outputs)


@functools.cache
def sum_slices(outputs: int, taps: int) -> tuple[tuple[int, int], ...]:
    """The same for the gradient of the weights, with so many taps."""
    return _addresses(SUM_NINE if is_nine.function(taps) else SUM, outputs)
