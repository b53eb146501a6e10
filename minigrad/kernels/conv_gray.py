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

The numbers v lie in sixteen rows, one for each place in a tile; vectors of tiles that lie side by side are transformed
at once.
"""

from __future__ import annotations

from typing import Any

from minigrad.kernels.conv_blocks import between, clear, copy
from minigrad.kernels.conv_fields import (
    BANDS,
    BLOCK_SAMPLES,
    BLOCKS,
    COLUMNS,
    COPY_COLUMNS,
    COPY_ROWS,
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
    rows_in_block,
    samples_in_block,
)
from minigrad.kernels.conv_winograd_plan import NUMBERS
from minigrad.kernels.gray_tile import every_second, plus_times, store_pooled, sum_of, times, unpooled
from minigrad.kernels.grid import Matrix, from_left, from_right, load_grid, store_grid
from minigrad.kernels.jit import kernel
from minigrad.kernels.launch import call, run, task
from minigrad.kernels.tile import Shape, keep_small, never_inline, width
from minigrad.kernels.vec import LANES, WIDE, pointer_to

__all__ = [
    "add_tile_partials",
    "gray_partials",
    "gray_tiles",
    "pack_transformed",
    "run",
    "wide_gray_partials",
    "wide_gray_tiles",
]

Pointer = Any
# The shapes of tiles whose vectors are channels: as wide as all other vectors, and as wide as the processor has them.
KERNEL, WIDE_KERNEL = Shape(4, 4), Shape(4, 4, WIDE)
OUTPUT, WIDE_OUTPUT = Shape(2, 2), Shape(2, 2, WIDE)
ONE, WIDE_ONE = Shape(1, 1), Shape(1, 1, WIDE)
# What takes the number in the middle out of a tile, which is the sum of the tile of g.
PICK = Matrix((0, 1, 0, 0))


# ---- v = B^T x B -----------------------------------------------------------------------------------------------------


@kernel(internal=True)
def copy_images(x: Pointer, plan: Pointer, block: int, samples: int, target: Pointer) -> None:
    """Copy whole images whose rows lie in memory in one piece; around them the copy is zero already.

    A row or a column at the end that no window needs has no place in the copy.
    """
    image = pointer_to(plan, SOURCE)
    columns, rows = image[COPY_COLUMNS], image[COPY_ROWS]
    height = between(0, image[HEIGHT], rows + image[TOP])
    length = between(0, image[WIDTH], columns + image[LEFT])
    first = pointer_to(x, block * image[IMAGES_IN_BLOCK] * image[SAMPLE_STRIDE])
    inside = pointer_to(target, -image[TOP] * columns - image[LEFT])
    for n in range(samples):
        for h in range(height):
            row = pointer_to(first, n * image[SAMPLE_STRIDE] + h * image[ROW_STRIDE])
            copy(row, pointer_to(inside, (n * rows + h) * columns), length)


@kernel(internal=True)
def read_images(x: Pointer, index: Pointer, plan: Pointer, block: int, is_first: bool, scratch: Pointer) -> None:
    """Copy a block of x with its padding to scratch memory."""
    image = pointer_to(plan, SOURCE)
    if plan[BANDS] == 1 and image[PIXEL_STRIDE] == 1:
        if is_first:
            clear(scratch, image[IMAGES_IN_BLOCK] * image[COPY_ROWS] * image[COPY_COLUMNS])
        copy_images(x, plan, block, samples_in_block(plan, block), scratch)
    else:
        read_block(x, index, image, block, scratch)


@kernel(internal=True)
def transform_lines(scratch: Pointer, plan: Pointer, rows: int, begin: int, end: int, v: Pointer) -> None:
    """The tiles of some rows of a block, which has so many in each image.

    What the last vector of a row computes past its end, from whatever lies there, the next row overwrites.
    """
    keep_small()
    never_inline()
    columns, row, pitch = columns_of(plan), plan[IN_ROW], plan[V_PITCH]
    for line in range(begin, end):
        source = pointer_to(scratch, line // rows * plan[IN_SAMPLE] + line % rows * 2 * row)
        for j in range(0, columns, WIDE):
            s = every_second(WIDE_KERNEL, pointer_to(source, 2 * j), row)
            target = pointer_to(v, (line - begin) * pitch + j)
            store_grid(from_right(B_T, from_left(B_T, s)), target, 4 * PITCH, PITCH)


@kernel(internal=True)
def columns_of(plan: Pointer) -> int:
    """Tiles side by side."""
    return (plan[HEADER + COLUMNS] + 1) // 2


# ---- y = A^T [u * v] A -----------------------------------------------------------------------------------------------


@kernel(internal=True)
def write_tiles(
    shape: Any, one: Any, v: Pointer, u: Pointer, step: int, b: Pointer, plan: Pointer, height: int, begin: int,
    end: int, y: Pointer,
) -> None:  # fmt: skip
    """The outputs of some rows of tiles of a block; of the last ones a row or a column may not exist."""
    across = plan[HEADER + COLUMNS]
    rows, columns, pixel = (height + 1) // 2, columns_of(plan), plan[TO_PIXEL]
    kernels, bias = load_grid(shape, u, 4 * step, step), load_grid(one, b, 0, 0)
    for line in range(begin, end):
        i, tiles = line % rows, pointer_to(v, (line - begin) * plan[V_PITCH])
        target = pointer_to(y, line // rows * plan[TO_SAMPLE] + 2 * i * plan[TO_ROW])
        row = plan[TO_ROW] if 2 * i + 1 < height else 0
        for j in range(columns):
            outputs = from_right(A_T, from_left(A_T, times(kernels, tiles, j, bias)))
            store_grid(outputs, pointer_to(target, 2 * j * pixel), row, pixel if 2 * j + 1 < across else 0)


@kernel(internal=True)
def pool_tiles(
    shape: Any, one: Any, v: Pointer, u: Pointer, step: int, b: Pointer, plan: Pointer, height: int, begin: int,
    end: int, z: Pointer, index: Pointer,
) -> None:  # fmt: skip
    """The pooled outputs of some rows of tiles, each of which is a window, or belongs to none."""
    rows, windows, pixel = (height + 1) // 2, plan[HEADER + COLUMNS] // 2, plan[OUTPUTS]
    kernels, bias = load_grid(shape, u, 4 * step, step), load_grid(one, b, 0, 0)
    for line in range(begin, end):
        if line % rows < height // 2:
            tiles = pointer_to(v, (line - begin) * plan[V_PITCH])
            to = line // rows * plan[OUT_SAMPLE] + line % rows * plan[POOLED_ROW]
            for j in range(windows):
                outputs = from_right(A_T, from_left(A_T, times(kernels, tiles, j, bias)))
                store_pooled(outputs, z, index, to + j * pixel)


@kernel(internal=True)
def outputs_of_lines(
    shape: Any, one: Any, y: Pointer, index: Pointer, v: Pointer, work: Pointer, target: Pointer, plan: Pointer,
    block: int, height: int, begin: int, end: int,
) -> None:  # fmt: skip
    """Write what some rows of tiles give, pooled or not; a block that something else pools goes to target."""
    keep_small()
    never_inline()
    out = block // plan[BANDS] * plan[BLOCK_SAMPLES] * plan[OUT_SAMPLE] + block % plan[BANDS] * plan[OUT_BAND]
    first, outputs = 0, plan[OUTPUTS]
    while first < outputs:
        wide = slice_width(outputs - first)
        slice_of = pointer_to(work, first * NUMBERS * 2)  # after the numbers of the channel come those of the bias
        for o in range(0, wide, width(one)):
            u, b = pointer_to(slice_of, o), pointer_to(slice_of, (2 * MIDDLE + 1) * wide + o)
            place = out + first + o
            if plan[POOL]:
                pixels = pointer_to(target, first + o)
                write_tiles(shape, one, v, u, 2 * wide, b, plan, height, begin, end, pixels)
            elif plan[POOL_ROWS]:
                z, winners = pointer_to(y, place), pointer_to(index, place)
                pool_tiles(shape, one, v, u, 2 * wide, b, plan, height, begin, end, z, winners)
            else:
                write_tiles(shape, one, v, u, 2 * wide, b, plan, height, begin, end, pointer_to(y, place))
        first += wide


@kernel(internal=True)
def gather_gray(
    shape: Any, one: Any, x: Pointer, y: Pointer, index: Pointer, work: Pointer, plan: Pointer, number: int,
    worker: int,
) -> None:  # fmt: skip
    scratch = pointer_to(work, plan[SCRATCH] + worker * plan[SCRATCH_LENGTH])
    spare = pointer_to(scratch, plan[SCRATCH_LENGTH] - SPARE * LANES)
    v, target = pointer_to(scratch, plan[V_SCRATCH]), pointer_to(scratch, plan[Y_SCRATCH])
    blocks, tasks, lines = plan[BLOCKS], plan[TASKS], plan[V_LINES]
    first = blocks * number // tasks
    for block in range(first, blocks * (number + 1) // tasks):
        read_images(x, index, plan, block, block == first, scratch)
        height = rows_in_block(plan, block)
        rows = (height + 1) // 2
        last = samples_in_block(plan, block) * rows
        for begin in range(0, last, lines):
            end = between(0, begin + lines, last)
            transform_lines(scratch, plan, rows, begin, end, v)
            outputs_of_lines(shape, one, y, index, v, work, target, plan, block, height, begin, end)
        if plan[POOL]:
            call(plan[POOL], target, target, y, index, spare, plan, block, 0)


@task
def gray_tiles(
    x: Pointer, b: Pointer, y: Pointer, index: Pointer, work: Pointer, plan: Pointer, number: int, worker: int
) -> None:
    """Fill this task's share of the blocks of y, or of its pooled form; the weights are in `work`, transformed."""
    gather_gray(KERNEL, ONE, x, y, index, work, plan, number, worker)


@task
def wide_gray_tiles(
    x: Pointer, b: Pointer, y: Pointer, index: Pointer, work: Pointer, plan: Pointer, number: int, worker: int
) -> None:
    """The same with the widest vectors, for a number of channels that fills them."""
    gather_gray(WIDE_KERNEL, WIDE_ONE, x, y, index, work, plan, number, worker)


# ---- gu = sum of v * (A g A^T) ---------------------------------------------------------------------------------------


@kernel(internal=True)
def sum_tiles(
    shape: Any, output: Any, one: Any, v: Pointer, g: Pointer, plan: Pointer, rows: int, begin: int, end: int,
    sums: Pointer, step: int, biases: Pointer,
) -> None:  # fmt: skip
    """Add some rows of tiles of a block of g to the sums, and to those for the bias."""
    columns, row, pixel = columns_of(plan), plan[TO_ROW], plan[TO_PIXEL]
    s, total = load_grid(shape, sums, 4 * step, step), load_grid(one, biases, 0, 0)
    for line in range(begin, end):
        grads = pointer_to(g, line // rows * plan[TO_SAMPLE] + line % rows * 2 * row)
        tiles = pointer_to(v, (line - begin) * plan[V_PITCH])
        for j in range(columns):
            q = from_right(A, from_left(A, load_grid(output, pointer_to(grads, 2 * j * pixel), row, pixel)))
            s = plus_times(s, q, tiles, j)
            total = sum_of(total, from_right(PICK, from_left(PICK, q)))
    store_grid(s, sums, 4 * step, step)
    store_grid(total, biases, 0, 0)


@kernel(internal=True)
def sum_pooled(
    shape: Any, output: Any, one: Any, v: Pointer, g: Pointer, index: Pointer, plan: Pointer, height: int,
    begin: int, end: int, sums: Pointer, step: int, biases: Pointer,
) -> None:  # fmt: skip
    """The same from the gradient of the pooled image; tiles that belong to no window have none."""
    rows, windows = (height + 1) // 2, plan[HEADER + COLUMNS] // 2
    s, total = load_grid(shape, sums, 4 * step, step), load_grid(one, biases, 0, 0)
    for line in range(begin, end):
        if line % rows < height // 2:
            at = line // rows * plan[TO_SAMPLE] + line % rows * plan[TO_ROW]
            tiles = pointer_to(v, (line - begin) * plan[V_PITCH])
            for j in range(windows):
                q = from_right(A, from_left(A, unpooled(output, g, index, at + j * plan[TO_PIXEL])))
                s = plus_times(s, q, tiles, j)
                total = sum_of(total, from_right(PICK, from_left(PICK, q)))
    store_grid(s, sums, 4 * step, step)
    store_grid(total, biases, 0, 0)


@kernel(internal=True)
def sums_of_lines(
    shape: Any, output: Any, one: Any, v: Pointer, g: Pointer, index: Pointer, sums_here: Pointer, plan: Pointer,
    height: int, begin: int, end: int,
) -> None:  # fmt: skip
    """Add what some rows of tiles give to the sums of all output channels."""
    keep_small()
    never_inline()
    first, outputs, pooled = 0, plan[OUTPUTS], plan[POOL_ROWS] != 0
    biases = pointer_to(sums_here, plan[PARTIAL_LENGTH] - outputs)
    while first < outputs:
        wide = slice_width(outputs - first)
        step = (1 + TAP_SLACK) * wide
        for o in range(0, wide, width(one)):
            sums = pointer_to(sums_here, first * NUMBERS * (1 + TAP_SLACK) + o)
            grads, bias = pointer_to(g, first + o), pointer_to(biases, first + o)
            if pooled:
                winners = pointer_to(index, first + o)
                sum_pooled(shape, output, one, v, grads, winners, plan, height, begin, end, sums, step, bias)
            else:
                sum_tiles(shape, output, one, v, grads, plan, (height + 1) // 2, begin, end, sums, step, bias)
        first += wide


@kernel(internal=True)
def partial_sums(
    shape: Any, output: Any, one: Any, x: Pointer, g: Pointer, index: Pointer, work: Pointer, plan: Pointer,
    number: int, worker: int,
) -> None:  # fmt: skip
    scratch = pointer_to(work, plan[SCRATCH] + worker * plan[SCRATCH_LENGTH])
    blocks, partials, lines = plan[BLOCKS], plan[PARTIALS], plan[V_LINES]
    v = pointer_to(scratch, plan[V_SCRATCH])
    for partial in range(partials * number // plan[TASKS], partials * (number + 1) // plan[TASKS]):
        sums = pointer_to(work, partial * plan[PARTIAL_LENGTH])
        clear(sums, plan[PARTIAL_LENGTH])
        first = blocks * partial // partials
        for block in range(first, blocks * (partial + 1) // partials):
            read_images(x, index, plan, block, block == first, scratch)
            if plan[POOL_ROWS]:
                start = block // plan[BANDS] * plan[BLOCK_SAMPLES] * plan[TO_SAMPLE]
                start += block % plan[BANDS] * plan[OUT_BAND]
                grads, winners = pointer_to(g, start), pointer_to(index, start)
            else:
                room = pointer_to(scratch, plan[G_SCRATCH])
                grads, winners = read_block(g, index, pointer_to(plan, G_SOURCE), block, room), index
            height = rows_in_block(plan, block)
            rows = (height + 1) // 2
            last = samples_in_block(plan, block) * rows
            for begin in range(0, last, lines):
                end = between(0, begin + lines, last)
                transform_lines(scratch, plan, rows, begin, end, v)
                sums_of_lines(shape, output, one, v, grads, winners, sums, plan, height, begin, end)


@task
def gray_partials(
    x: Pointer, g: Pointer, c: Pointer, index: Pointer, work: Pointer, plan: Pointer, number: int, worker: int
) -> None:
    """Sum v * (A g A^T) over a part of the blocks; `add_tile_partials` adds up the parts and makes gw of them."""
    keep_small()
    partial_sums(KERNEL, OUTPUT, ONE, x, g, index, work, plan, number, worker)


@task
def wide_gray_partials(
    x: Pointer, g: Pointer, c: Pointer, index: Pointer, work: Pointer, plan: Pointer, number: int, worker: int
) -> None:
    """The same with the widest vectors, for a number of channels that fills them."""
    keep_small()
    partial_sums(WIDE_KERNEL, WIDE_OUTPUT, WIDE_ONE, x, g, index, work, plan, number, worker)
