"""3x3 convolutions of images with one channel by transformed tiles, in one pass over the output channels.

The formulas are those of `conv_winograd.py`: a tile of 4x4 pixels gives 2x2 outputs,

    y = A^T [ u * (B^T x B) ] A,      u = G w G^T              * multiplies number by number

With many channels the sixteen products of a tile are sums over channels, which are matrix products. With one channel
there is nothing to add up: sixteen numbers u, vectors over the output channels, stay in sixteen registers, and each
tile of x is sixteen numbers v = B^T x B that they are multiplied with. A third of the operations is what is left of the
multiplications, a third additions, which processors do beside them, and a third loads of the numbers v.

Pooling by windows of 2x2 costs a few comparisons: a tile of outputs is a window, and is in registers. On the way back
sixteen sums gu, over all tiles, stay in registers,

    gu = sum over tiles of  v * (A g A^T),      gw = G^T gu G

and the tile g of a pooled image is made from its one number and the place where it belongs.

Rounding errors (root mean square, images of 28x28 from 0 to 1) are 1.6 times those of `conv_vector.py` in y, where a
sum has nine terms only, and 0.65 times in gw.

The numbers v lie in sixteen rows, one for each place in a tile; vectors of tiles that lie side by side are transformed
at once. A block of images is read, and then some rows of tiles at a time are transformed, and used. These steps are
tasks of their own: each is compiled once, and of the last kind only the one that a plan names.
"""

from __future__ import annotations

from typing import Any

from minigrad.kernels.conv_blocks import between, clear, copy
from minigrad.kernels.conv_fields import (
    BANDS,
    BLOCKS,
    COLUMNS,
    COPY_COLUMNS,
    COPY_ROWS,
    FINISH,
    G_SCRATCH,
    G_SOURCE,
    HEADER,
    HEIGHT,
    IMAGES_IN_BLOCK,
    IN_ROW,
    IN_SAMPLE,
    LEFT,
    OUT_BAND,
    OUT_SAMPLE,
    OUTPUTS,
    PARTIAL_LENGTH,
    PARTIALS,
    PIXEL_STRIDE,
    POOL,
    POOL_ROWS,
    POOLED_ROW,
    READ,
    ROW_STRIDE,
    SAMPLE_STRIDE,
    SCRATCH,
    SCRATCH_LENGTH,
    SOURCE,
    SPARE,
    TAP_SLACK,
    TASKS,
    TO_PIXEL,
    TO_ROW,
    TO_SAMPLE,
    TOP,
    TRANSFORM,
    V_LINES,
    V_PITCH,
    V_SCRATCH,
    WIDTH,
    Y_SCRATCH,
)
from minigrad.kernels.conv_gray_plan import PITCH
from minigrad.kernels.conv_slices import slice_width
from minigrad.kernels.conv_vector import read_block
from minigrad.kernels.conv_winograd import (
    A_T,
    B_T,
    MIDDLE,
    A,
    add_tile_partials,
    pack_transformed,
    place_of,
    rows_in_block,
    samples_in_block,
)
from minigrad.kernels.conv_winograd_plan import NUMBERS
from minigrad.kernels.gray_tile import every_second, plus_times, stacked, store_pooled, sum_of, times, unpooled
from minigrad.kernels.grid import Matrix, expect_grid, from_left, from_right, load_grid, store_grid
from minigrad.kernels.jit import kernel
from minigrad.kernels.launch import call, run, task
from minigrad.kernels.tile import Shape, keep_small, width
from minigrad.kernels.vec import LANES, WIDE, pointer_to

__all__ = [
    "add_tile_partials",
    "gray_partials",
    "gray_tiles",
    "pack_transformed",
    "run",
    "steps",
]

Pointer = Any
# The shapes of tiles whose vectors are channels: as wide as all other vectors, and as wide as the processor has them.
KERNEL, WIDE_KERNEL = Shape(4, 4), Shape(4, 4, WIDE)
WIDE_PAIR = Shape(2, 4, WIDE)
OUTPUT, WIDE_OUTPUT = Shape(2, 2), Shape(2, 2, WIDE)
ONE, WIDE_ONE = Shape(1, 1), Shape(1, 1, WIDE)
# What takes the number in the middle out of a tile, which is the sum of the tile of g.
PICK = Matrix((0, 1, 0, 0))


# ---- blocks and rows of tiles ----------------------------------------------------------------------------------------


@kernel(internal=True)
def columns_of(plan: Pointer) -> int:
    """Tiles side by side."""
    return (plan[HEADER + COLUMNS] + 1) // 2


@kernel(internal=True)
def rows_of(plan: Pointer, block: int) -> int:
    """Tiles below one another, in an image of a block."""
    return (rows_in_block(plan, block) + 1) // 2


@kernel(internal=True)
def first_line(begin: int, rows: int) -> tuple[int, int]:
    """The image of the row `begin` of a block, and which row of tiles of it that is."""
    if begin < rows:  # to ask takes less time than to divide
        return 0, begin
    return begin // rows, begin % rows


@kernel(internal=True)
def next_line(n: int, i: int, rows: int) -> tuple[int, int]:
    """The row of tiles after row i of image n. Dividing the number of each row took 3 % longer."""
    i += 1
    return (n + 1, 0) if i == rows else (n, i)


@kernel(internal=True)
def end_of(plan: Pointer, block: int, begin: int) -> int:
    """Where the rows of tiles of a block end that are transformed together with the row `begin`."""
    return between(0, begin + plan[V_LINES], samples_in_block(plan, block) * rows_of(plan, block))


@kernel(internal=True)
def copy_row(source: Pointer, target: Pointer, length: int) -> None:
    """target[i] = source[i], by the widest vectors; the last one copies some numbers once more."""
    if length >= WIDE:
        for i in range(0, length - WIDE, WIDE):
            store_grid(load_grid(WIDE_ONE, pointer_to(source, i), 0, 0), pointer_to(target, i), 0, 0)
        last = length - WIDE
        store_grid(load_grid(WIDE_ONE, pointer_to(source, last), 0, 0), pointer_to(target, last), 0, 0)
    else:
        copy(source, target, length)


@kernel(internal=True)
def copy_images(x: Pointer, plan: Pointer, block: int, samples: int, target: Pointer) -> None:
    """Copy whole images whose rows lie in memory in one piece; around them the copy is zero already.

    A row or a column at the end that no window needs has no place in the copy.
    """
    image = pointer_to(plan, SOURCE)
    columns, rows = image[COPY_COLUMNS], image[COPY_ROWS]
    height = between(0, image[HEIGHT], rows + image[TOP])
    length = between(0, image[WIDTH], columns + image[LEFT])
    to_row, to_sample = image[ROW_STRIDE], image[SAMPLE_STRIDE]
    first = pointer_to(x, block * image[IMAGES_IN_BLOCK] * to_sample)
    inside = pointer_to(target, -image[TOP] * columns - image[LEFT])
    for n in range(samples):
        row, copied = pointer_to(first, n * to_sample), pointer_to(inside, n * rows * columns)
        for _ in range(height):
            copy_row(row, copied, length)
            row, copied = pointer_to(row, to_row), pointer_to(copied, columns)


@task
def read_images(
    x: Pointer, b: Pointer, target: Pointer, index: Pointer, work: Pointer, plan: Pointer, block: int, is_first: int
) -> None:
    """Copy a block of x with its padding. What tasks know as number is here the block."""
    keep_small()
    image = pointer_to(plan, SOURCE)
    if plan[BANDS] == 1 and image[PIXEL_STRIDE] == 1:
        if is_first:
            clear(target, image[IMAGES_IN_BLOCK] * image[COPY_ROWS] * image[COPY_COLUMNS])
        copy_images(x, plan, block, samples_in_block(plan, block), target)
    else:
        read_block(x, index, image, block, target)


# ---- v = B^T x B -----------------------------------------------------------------------------------------------------


@task
def transform_lines(
    x: Pointer, b: Pointer, v: Pointer, index: Pointer, work: Pointer, plan: Pointer, block: int, begin: int
) -> None:
    """The tiles of some rows of a block, from the row `begin` on. What tasks know as number is here the block.

    What the last vector of a row computes past its end, from whatever lies there, the next row overwrites. Tiles below
    one another have two rows of pixels in common, whose products with B are computed once. (After the last image that
    is done with whatever lies behind the block in scratch memory, and not used.)
    """
    keep_small()
    columns, rows, row, pitch = columns_of(plan), rows_of(plan, block), plan[IN_ROW], plan[V_PITCH]
    for j in range(0, columns, WIDE):
        n, i = first_line(begin, rows)
        source = pointer_to(x, n * plan[IN_SAMPLE] + i * 2 * row + 2 * j)
        upper = from_right(B_T, every_second(WIDE_PAIR, source, row))
        for line in range(begin, end_of(plan, block, begin)):
            lower = from_right(B_T, every_second(WIDE_PAIR, pointer_to(source, 2 * row), row))
            target = pointer_to(v, (line - begin) * pitch + j)
            store_grid(from_left(B_T, stacked(upper, lower)), target, 4 * PITCH, PITCH)
            n, i = next_line(n, i, rows)
            source, upper = pointer_to(source, 2 * row), lower
            if i == 0:
                source = pointer_to(x, n * plan[IN_SAMPLE] + 2 * j)
                upper = from_right(B_T, every_second(WIDE_PAIR, source, row))


# ---- y = A^T [u * v] A -----------------------------------------------------------------------------------------------


@kernel(internal=True)
def write_channels(
    shape: Any, one: Any, v: Pointer, work: Pointer, y: Pointer, plan: Pointer, block: int, begin: int
) -> None:
    """The outputs of some rows of tiles; of the last ones a row or a column may not exist."""
    keep_small()
    height, across, outputs = rows_in_block(plan, block), plan[HEADER + COLUMNS], plan[OUTPUTS]
    rows, columns, pixel = rows_of(plan, block), columns_of(plan), plan[TO_PIXEL]
    wide, start = 0, 0
    for o in range(0, outputs, width(one)):
        if o == start + wide:
            start, wide = o, slice_width(outputs - o)
        # Of a slice of channels there are the sixteen numbers, and after each those of the bias.
        u, step = pointer_to(work, start * NUMBERS * 2 + o - start), 2 * wide
        kernels, bias = load_grid(shape, u, 4 * step, step), load_grid(one, pointer_to(u, MIDDLE * step + wide), 0, 0)
        n, i = first_line(begin, rows)
        for line in range(begin, end_of(plan, block, begin)):
            tiles = pointer_to(v, (line - begin) * plan[V_PITCH])
            target = pointer_to(y, n * plan[TO_SAMPLE] + 2 * i * plan[TO_ROW] + o)
            row = plan[TO_ROW] if 2 * i + 1 < height else 0
            n, i = next_line(n, i, rows)
            for j in range(columns):
                outputs_here = from_right(A_T, from_left(A_T, times(kernels, tiles, j, bias)))
                store_grid(outputs_here, pointer_to(target, 2 * j * pixel), row, pixel if 2 * j + 1 < across else 0)


@kernel(internal=True)
def pool_channels(
    shape: Any, one: Any, v: Pointer, work: Pointer, z: Pointer, index: Pointer, plan: Pointer, block: int, begin: int
) -> None:
    """The pooled outputs of some rows of tiles, each of which is a window, or belongs to none."""
    keep_small()
    height, windows, outputs = rows_in_block(plan, block), plan[HEADER + COLUMNS] // 2, plan[OUTPUTS]
    rows = rows_of(plan, block)
    wide, start = 0, 0
    for o in range(0, outputs, width(one)):
        if o == start + wide:
            start, wide = o, slice_width(outputs - o)
        u, step = pointer_to(work, start * NUMBERS * 2 + o - start), 2 * wide
        kernels, bias = load_grid(shape, u, 4 * step, step), load_grid(one, pointer_to(u, MIDDLE * step + wide), 0, 0)
        n, i = first_line(begin, rows)
        for line in range(begin, end_of(plan, block, begin)):
            tiles = pointer_to(v, (line - begin) * plan[V_PITCH])
            to = n * plan[OUT_SAMPLE] + i * plan[POOLED_ROW] + o
            for j in range(windows if 2 * i + 1 < height else 0):
                outputs_here = from_right(A_T, from_left(A_T, times(kernels, tiles, j, bias)))
                store_pooled(outputs_here, z, index, to + j * outputs)
            n, i = next_line(n, i, rows)


@task
def write_tiles(
    v: Pointer, b: Pointer, y: Pointer, index: Pointer, work: Pointer, plan: Pointer, block: int, begin: int
) -> None:
    write_channels(KERNEL, ONE, v, work, y, plan, block, begin)


@task
def write_wide_tiles(
    v: Pointer, b: Pointer, y: Pointer, index: Pointer, work: Pointer, plan: Pointer, block: int, begin: int
) -> None:
    write_channels(WIDE_KERNEL, WIDE_ONE, v, work, y, plan, block, begin)


@task
def pool_tiles(
    v: Pointer, b: Pointer, z: Pointer, index: Pointer, work: Pointer, plan: Pointer, block: int, begin: int
) -> None:
    pool_channels(KERNEL, ONE, v, work, z, index, plan, block, begin)


@task
def pool_wide_tiles(
    v: Pointer, b: Pointer, z: Pointer, index: Pointer, work: Pointer, plan: Pointer, block: int, begin: int
) -> None:
    pool_channels(WIDE_KERNEL, WIDE_ONE, v, work, z, index, plan, block, begin)


@task
def gray_tiles(
    x: Pointer, b: Pointer, y: Pointer, index: Pointer, work: Pointer, plan: Pointer, number: int, worker: int
) -> None:
    """Fill this task's share of the blocks of y, or of its pooled form; the weights are in `work`, transformed."""
    keep_small()
    scratch = pointer_to(work, plan[SCRATCH] + worker * plan[SCRATCH_LENGTH])
    spare = pointer_to(scratch, plan[SCRATCH_LENGTH] - SPARE * LANES)
    v, target = pointer_to(scratch, plan[V_SCRATCH]), pointer_to(scratch, plan[Y_SCRATCH])
    blocks, tasks = plan[BLOCKS], plan[TASKS]
    first = blocks * number // tasks
    for block in range(first, blocks * (number + 1) // tasks):
        call(plan[READ], x, x, scratch, index, work, plan, block, block == first)
        sample, band = place_of(plan, block)
        out = sample * plan[OUT_SAMPLE] + band * plan[OUT_BAND]
        if plan[POOL] == 0:
            target = pointer_to(y, out)
        for begin in range(0, samples_in_block(plan, block) * rows_of(plan, block), plan[V_LINES]):
            call(plan[TRANSFORM], scratch, scratch, v, index, work, plan, block, begin)
            call(plan[FINISH], v, v, target, pointer_to(index, out), work, plan, block, begin)
        if plan[POOL]:
            call(plan[POOL], target, target, y, index, spare, plan, block, 0)


# ---- gu = sum of v * (A g A^T) ---------------------------------------------------------------------------------------


@kernel(internal=True)
def sum_channels(
    shape: Any, output: Any, one: Any, v: Pointer, g: Pointer, sums_here: Pointer, plan: Pointer, block: int,
    begin: int,
) -> None:  # fmt: skip
    """Add some rows of tiles of g to the sums, and to those for the bias, which stand after all others."""
    keep_small()
    rows, columns, row, pixel = rows_of(plan, block), columns_of(plan), plan[TO_ROW], plan[TO_PIXEL]
    outputs, wide, start = plan[OUTPUTS], 0, 0
    for o in range(0, outputs, width(one)):
        if o == start + wide:
            start, wide = o, slice_width(outputs - o)
        sums, step = pointer_to(sums_here, start * NUMBERS * (1 + TAP_SLACK) + o - start), (1 + TAP_SLACK) * wide
        biases = pointer_to(sums_here, plan[PARTIAL_LENGTH] - outputs + o)
        s, total = load_grid(shape, sums, 4 * step, step), load_grid(one, biases, 0, 0)
        n, i = first_line(begin, rows)
        for line in range(begin, end_of(plan, block, begin)):
            grads = pointer_to(g, n * plan[TO_SAMPLE] + i * 2 * row + o)
            n, i = next_line(n, i, rows)
            tiles = pointer_to(v, (line - begin) * plan[V_PITCH])
            for j in range(columns):
                here = pointer_to(grads, 2 * j * pixel)
                expect_grid(output, pointer_to(here, 2 * row), row, pixel)  # the tile below
                q = from_right(A, from_left(A, load_grid(output, here, row, pixel)))
                s = plus_times(s, q, tiles, j)
                total = sum_of(total, from_right(PICK, from_left(PICK, q)))
        store_grid(s, sums, 4 * step, step)
        store_grid(total, biases, 0, 0)


@kernel(internal=True)
def sum_pooled_channels(
    shape: Any, output: Any, one: Any, v: Pointer, g: Pointer, sums_here: Pointer, index: Pointer, plan: Pointer,
    block: int, begin: int,
) -> None:  # fmt: skip
    """The same from the gradient of the pooled image; tiles that belong to no window have none."""
    keep_small()
    rows, height, windows = rows_of(plan, block), rows_in_block(plan, block), plan[HEADER + COLUMNS] // 2
    outputs, wide, start = plan[OUTPUTS], 0, 0
    for o in range(0, outputs, width(one)):
        if o == start + wide:
            start, wide = o, slice_width(outputs - o)
        sums, step = pointer_to(sums_here, start * NUMBERS * (1 + TAP_SLACK) + o - start), (1 + TAP_SLACK) * wide
        biases = pointer_to(sums_here, plan[PARTIAL_LENGTH] - outputs + o)
        s, total = load_grid(shape, sums, 4 * step, step), load_grid(one, biases, 0, 0)
        n, i = first_line(begin, rows)
        for line in range(begin, end_of(plan, block, begin)):
            at = n * plan[TO_SAMPLE] + i * plan[TO_ROW] + o
            tiles = pointer_to(v, (line - begin) * plan[V_PITCH])
            for j in range(windows if 2 * i + 1 < height else 0):
                q = from_right(A, from_left(A, unpooled(output, g, index, at + j * plan[TO_PIXEL])))
                s = plus_times(s, q, tiles, j)
                total = sum_of(total, from_right(PICK, from_left(PICK, q)))
            n, i = next_line(n, i, rows)
        store_grid(s, sums, 4 * step, step)
        store_grid(total, biases, 0, 0)


@task
def sum_tiles(
    v: Pointer, g: Pointer, sums: Pointer, index: Pointer, work: Pointer, plan: Pointer, block: int, begin: int
) -> None:
    sum_channels(KERNEL, OUTPUT, ONE, v, g, sums, plan, block, begin)


@task
def sum_wide_tiles(
    v: Pointer, g: Pointer, sums: Pointer, index: Pointer, work: Pointer, plan: Pointer, block: int, begin: int
) -> None:
    sum_channels(WIDE_KERNEL, WIDE_OUTPUT, WIDE_ONE, v, g, sums, plan, block, begin)


@task
def sum_pooled_tiles(
    v: Pointer, g: Pointer, sums: Pointer, index: Pointer, work: Pointer, plan: Pointer, block: int, begin: int
) -> None:
    sum_pooled_channels(KERNEL, OUTPUT, ONE, v, g, sums, index, plan, block, begin)


@task
def sum_wide_pooled_tiles(
    v: Pointer, g: Pointer, sums: Pointer, index: Pointer, work: Pointer, plan: Pointer, block: int, begin: int
) -> None:
    sum_pooled_channels(WIDE_KERNEL, WIDE_OUTPUT, WIDE_ONE, v, g, sums, index, plan, block, begin)


@task
def gray_partials(
    x: Pointer, g: Pointer, c: Pointer, index: Pointer, work: Pointer, plan: Pointer, number: int, worker: int
) -> None:
    """Sum v * (A g A^T) over a part of the blocks; `add_tile_partials` adds up the parts and makes gw of them."""
    keep_small()
    scratch = pointer_to(work, plan[SCRATCH] + worker * plan[SCRATCH_LENGTH])
    v, room = pointer_to(scratch, plan[V_SCRATCH]), pointer_to(scratch, plan[G_SCRATCH])
    blocks, partials = plan[BLOCKS], plan[PARTIALS]
    for partial in range(partials * number // plan[TASKS], partials * (number + 1) // plan[TASKS]):
        sums = pointer_to(work, partial * plan[PARTIAL_LENGTH])
        clear(sums, plan[PARTIAL_LENGTH])
        first = blocks * partial // partials
        for block in range(first, blocks * (partial + 1) // partials):
            call(plan[READ], x, x, scratch, index, work, plan, block, block == first)
            grads, winners = g, index
            if plan[POOL_ROWS]:
                sample, band = place_of(plan, block)
                start = sample * plan[TO_SAMPLE] + band * plan[OUT_BAND]
                grads, winners = pointer_to(g, start), pointer_to(index, start)
            else:
                grads = read_block(g, index, pointer_to(plan, G_SOURCE), block, room)
            for begin in range(0, samples_in_block(plan, block) * rows_of(plan, block), plan[V_LINES]):
                call(plan[TRANSFORM], scratch, scratch, v, index, work, plan, block, begin)
                call(plan[FINISH], v, grads, sums, winners, work, plan, block, begin)


def steps(outputs: int, backward: bool, pooled: bool) -> tuple[int, int, int]:
    """The addresses of the three steps for so many output channels, `pooled` in windows of 2x2 or not."""
    kinds = {
        (False, False): (write_tiles, write_wide_tiles),
        (False, True): (pool_tiles, pool_wide_tiles),
        (True, False): (sum_tiles, sum_wide_tiles),
        (True, True): (sum_pooled_tiles, sum_wide_pooled_tiles),
    }
    narrow, wide = kinds[backward, pooled]
    finish = narrow if outputs % WIDE else wide
    return read_images.address, transform_lines.address, finish.address
