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

from llvmlite import ir
from numba import types

from minigrad.kernels.conv_blocks import clear, copy
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
from minigrad.kernels.grid import Matrix, from_left, from_right, load_grid, store_grid
from minigrad.kernels.jit import kernel
from minigrad.kernels.launch import call, run, task
from minigrad.kernels.tile import Shape, Tile, keep_small, never_inline, width
from minigrad.kernels.vec import LANES, WIDE, address, copied, fused, intrinsic, pointer_to

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
_FUSED = ("contract",)


# ---- what tiles do here ----------------------------------------------------------------------------------------------


def _v(builder: Any, v: Any, t: Any, place: int) -> Any:
    """Number `place` of tile t."""
    return builder.load(builder.gep(v, [builder.add(t, ir.Constant(t.type, place * PITCH))]))


@intrinsic
def every_second(typing: Any, shape: Any, p: Any, row: Any) -> Any:
    """s[i, j], whose lane k is p[i * row + j + 2 k]: the pixels of tiles that begin two apart."""
    tile = Tile(shape.rows, shape.columns, shape.lanes)

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, p, row = args
        value = ir.Constant(context.get_value_type(tile), ir.Undefined)
        numbers = ir.VectorType(ir.IntType(32), tile.lanes)
        start: Any = ir.Constant(row.type, 0)
        for i in range(tile.rows):
            for pair in range(0, tile.columns, 2):
                halves = [
                    builder.load(
                        address(builder, p, builder.add(start, ir.Constant(row.type, pair + at)), tile.vector), align=4
                    )
                    for at in (0, tile.lanes)
                ]
                for j in (0, 1):
                    taken = builder.shuffle_vector(
                        *halves, ir.Constant(numbers, [2 * k + j for k in range(tile.lanes)])
                    )
                    value = builder.insert_value(value, taken, i * tile.columns + pair + j)
            start = builder.add(start, row)
        return value

    return tile(shape, p, types.intp), write


@intrinsic
def times(typing: Any, u: Any, v: Any, t: Any, b: Any) -> Any:
    """u * v for tile t, with b added in the middle: what is added there is added to all outputs of the tile."""

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value, v, t, b = args
        for place in range(NUMBERS):
            x = copied(builder, _v(builder, v, t, place), u.lanes)
            product = builder.fmul(builder.extract_value(value, place), x, flags=_FUSED)
            if place == MIDDLE:
                product = builder.fadd(product, builder.extract_value(b, 0), flags=_FUSED)
            value = builder.insert_value(value, product, place)
        return value

    return u(u, v, types.intp, b), write


@intrinsic
def plus_times(typing: Any, s: Any, q: Any, v: Any, t: Any) -> Any:
    """s + q * v for tile t."""

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value, q, v, t = args
        for place in range(NUMBERS):
            x = copied(builder, _v(builder, v, t, place), s.lanes)
            added = fused(builder, builder.extract_value(q, place), x, builder.extract_value(value, place))
            value = builder.insert_value(value, added, place)
        return value

    return s(s, q, v, types.intp), write


@intrinsic
def sum_of(typing: Any, a: Any, b: Any) -> Any:
    """a + b, of tiles with one vector."""

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        a, b = (builder.extract_value(x, 0) for x in args)
        return builder.insert_value(args[0], builder.fadd(a, b), 0)

    return a(a, b), write


@intrinsic
def store_pooled(typing: Any, s: Any, z: Any, index: Any, i: Any) -> Any:
    """Write the largest positive number of a 2x2 tile to z[i], or 0, and where in the tile it is to index[i], or 255.

    NaN counts as larger than all, as in `pool_fours`.
    """

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value, z, index, i = args
        integers = ir.VectorType(ir.IntType(8), s.lanes)
        best: Any = ir.Constant(s.vector, None)
        where: Any = ir.Constant(integers, [255] * s.lanes)
        for place in range(4):
            x = builder.extract_value(value, place)
            larger = builder.or_(builder.fcmp_ordered(">", x, best), builder.fcmp_unordered("uno", x, x))
            best = builder.select(larger, x, best)
            where = builder.select(larger, ir.Constant(integers, [place] * s.lanes), where)
        builder.store(best, address(builder, z, i, s.vector), align=4)
        builder.store(where, address(builder, index, i, integers), align=1)
        return context.get_dummy_value()

    return types.void(s, z, index, types.intp), write


@intrinsic
def unpooled(typing: Any, shape: Any, g: Any, index: Any, i: Any) -> Any:
    """The 2x2 tile that is g[i] at the place index[i], and 0 elsewhere."""
    tile = Tile(shape.rows, shape.columns, shape.lanes)

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, g, index, i = args
        integers = ir.VectorType(ir.IntType(8), tile.lanes)
        share = builder.load(address(builder, g, i, tile.vector), align=4)
        winner = builder.load(address(builder, index, i, integers), align=1)
        value = ir.Constant(context.get_value_type(tile), ir.Undefined)
        for place in range(4):
            won = builder.icmp_unsigned("==", winner, ir.Constant(integers, [place] * tile.lanes))
            value = builder.insert_value(value, builder.select(won, share, ir.Constant(tile.vector, None)), place)
        return value

    return tile(shape, g, index, types.intp), write


# ---- v = B^T x B -----------------------------------------------------------------------------------------------------


@kernel(internal=True)
def copy_images(x: Pointer, plan: Pointer, block: int, samples: int, target: Pointer) -> None:
    """Copy whole images whose rows lie in memory in one piece; around them the copy is zero already."""
    image = pointer_to(plan, SOURCE)
    columns, rows = image[COPY_COLUMNS], image[COPY_ROWS]
    first = pointer_to(x, block * image[IMAGES_IN_BLOCK] * image[SAMPLE_STRIDE])
    inside = pointer_to(target, -image[TOP] * columns - image[LEFT])
    for n in range(samples):
        for h in range(image[HEIGHT]):
            row = pointer_to(first, n * image[SAMPLE_STRIDE] + h * image[ROW_STRIDE])
            copy(row, pointer_to(inside, (n * rows + h) * columns), image[WIDTH])


@kernel(internal=True)
def transformed_block(
    x: Pointer, index: Pointer, plan: Pointer, block: int, is_first: bool, scratch: Pointer
) -> Pointer:
    """All tiles of a block of x: images, then rows, then columns.

    What the last vector of a row computes past its end, from whatever lies there, the next row overwrites.
    """
    keep_small()
    never_inline()
    samples, rows, columns = samples_in_block(plan, block), (rows_in_block(plan, block) + 1) // 2, columns_of(plan)
    image, v = pointer_to(plan, SOURCE), pointer_to(scratch, plan[V_SCRATCH])
    if plan[BANDS] == 1 and image[PIXEL_STRIDE] == 1:
        if is_first:
            clear(scratch, image[IMAGES_IN_BLOCK] * image[COPY_ROWS] * image[COPY_COLUMNS])
        copy_images(x, plan, block, samples, scratch)
    else:
        read_block(x, index, image, block, scratch)
    row, pitch = plan[IN_ROW], plan[V_PITCH]
    for line in range(samples * rows):
        source = pointer_to(scratch, line // rows * plan[IN_SAMPLE] + line % rows * 2 * row)
        for j in range(0, columns, WIDE):
            s = every_second(WIDE_KERNEL, pointer_to(source, 2 * j), row)
            store_grid(from_right(B_T, from_left(B_T, s)), pointer_to(v, line * pitch + j), 4 * PITCH, PITCH)
    return v


@kernel(internal=True)
def columns_of(plan: Pointer) -> int:
    """Tiles side by side."""
    return (plan[HEADER + COLUMNS] + 1) // 2


# ---- y = A^T [u * v] A -----------------------------------------------------------------------------------------------


@kernel(internal=True)
def write_tiles(
    shape: Any, one: Any, v: Pointer, u: Pointer, step: int, b: Pointer, plan: Pointer, block: int, y: Pointer
) -> None:
    """The outputs of the tiles of a block; of the last ones a row or a column may not exist."""
    samples, height, across = samples_in_block(plan, block), rows_in_block(plan, block), plan[HEADER + COLUMNS]
    rows, columns, pixel = (height + 1) // 2, columns_of(plan), plan[TO_PIXEL]
    kernels, bias = load_grid(shape, u, 4 * step, step), load_grid(one, b, 0, 0)
    for line in range(samples * rows):
        i, tiles = line % rows, pointer_to(v, line * plan[V_PITCH])
        target = pointer_to(y, line // rows * plan[TO_SAMPLE] + 2 * i * plan[TO_ROW])
        row = plan[TO_ROW] if 2 * i + 1 < height else 0
        for j in range(columns):
            outputs = from_right(A_T, from_left(A_T, times(kernels, tiles, j, bias)))
            store_grid(outputs, pointer_to(target, 2 * j * pixel), row, pixel if 2 * j + 1 < across else 0)


@kernel(internal=True)
def pool_tiles(
    shape: Any, one: Any, v: Pointer, u: Pointer, step: int, b: Pointer, plan: Pointer, block: int, z: Pointer,
    index: Pointer,
) -> None:  # fmt: skip
    """The pooled outputs of the tiles of a block, each of which is a window, or belongs to none."""
    samples, height = samples_in_block(plan, block), rows_in_block(plan, block)
    rows, columns, windows, pixel = (height + 1) // 2, columns_of(plan), plan[HEADER + COLUMNS] // 2, plan[OUTPUTS]
    kernels, bias = load_grid(shape, u, 4 * step, step), load_grid(one, b, 0, 0)
    for line in range(samples * rows):
        if line % rows < height // 2:
            to, tiles = line // rows * plan[OUT_SAMPLE] + line % rows * plan[POOLED_ROW], pointer_to(v, line * plan[V_PITCH])
            for j in range(windows):
                outputs = from_right(A_T, from_left(A_T, times(kernels, tiles, j, bias)))
                store_pooled(outputs, z, index, to + j * pixel)


@kernel(internal=True)
def block_of_tiles(
    shape: Any, one: Any, y: Pointer, index: Pointer, v: Pointer, work: Pointer, target: Pointer, plan: Pointer,
    block: int,
) -> None:  # fmt: skip
    """Write a block of the result, pooled or not, from its tiles; a block that something else pools goes to target."""
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
                write_tiles(shape, one, v, u, 2 * wide, b, plan, block, pointer_to(target, first + o))
            elif plan[POOL_ROWS]:
                z, winners = pointer_to(y, place), pointer_to(index, place)
                pool_tiles(shape, one, v, u, 2 * wide, b, plan, block, z, winners)
            else:
                write_tiles(shape, one, v, u, 2 * wide, b, plan, block, pointer_to(y, place))
        first += wide


@kernel(internal=True)
def gather(
    shape: Any, one: Any, x: Pointer, y: Pointer, index: Pointer, work: Pointer, plan: Pointer, number: int,
    worker: int,
) -> None:  # fmt: skip
    scratch = pointer_to(work, plan[SCRATCH] + worker * plan[SCRATCH_LENGTH])
    spare = pointer_to(scratch, plan[SCRATCH_LENGTH] - SPARE * LANES)
    target = pointer_to(scratch, plan[Y_SCRATCH])
    blocks, tasks = plan[BLOCKS], plan[TASKS]
    begin = blocks * number // tasks
    for block in range(begin, blocks * (number + 1) // tasks):
        v = transformed_block(x, index, plan, block, block == begin, scratch)
        block_of_tiles(shape, one, y, index, v, work, target, plan, block)
        if plan[POOL]:
            call(plan[POOL], target, target, y, index, spare, plan, block, 0)


@task
def gray_tiles(
    x: Pointer, b: Pointer, y: Pointer, index: Pointer, work: Pointer, plan: Pointer, number: int, worker: int
) -> None:
    """Fill this task's share of the blocks of y, or of its pooled form; the weights are in `work`, transformed."""
    gather(KERNEL, ONE, x, y, index, work, plan, number, worker)


@task
def wide_gray_tiles(
    x: Pointer, b: Pointer, y: Pointer, index: Pointer, work: Pointer, plan: Pointer, number: int, worker: int
) -> None:
    """The same with the widest vectors, for a number of channels that fills them."""
    gather(WIDE_KERNEL, WIDE_ONE, x, y, index, work, plan, number, worker)


# ---- gu = sum of v * (A g A^T) ---------------------------------------------------------------------------------------


@kernel(internal=True)
def sum_tiles(
    shape: Any, output: Any, one: Any, v: Pointer, g: Pointer, plan: Pointer, block: int, first: int, sums: Pointer,
    step: int, biases: Pointer,
) -> None:  # fmt: skip
    """Add the tiles of a block of g to the sums, and to those for the bias."""
    samples, rows, columns = samples_in_block(plan, block), (rows_in_block(plan, block) + 1) // 2, columns_of(plan)
    row, pixel = plan[TO_ROW], plan[TO_PIXEL]
    s, total = load_grid(shape, sums, 4 * step, step), load_grid(one, biases, 0, 0)
    for line in range(samples * rows):
        grads = pointer_to(g, line // rows * plan[TO_SAMPLE] + line % rows * 2 * row + first)
        tiles = pointer_to(v, line * plan[V_PITCH])
        for j in range(columns):
            q = from_right(A, from_left(A, load_grid(output, pointer_to(grads, 2 * j * pixel), row, pixel)))
            s = plus_times(s, q, tiles, j)
            total = sum_of(total, from_right(PICK, from_left(PICK, q)))
    store_grid(s, sums, 4 * step, step)
    store_grid(total, biases, 0, 0)


@kernel(internal=True)
def sum_pooled(
    shape: Any, output: Any, one: Any, v: Pointer, g: Pointer, index: Pointer, plan: Pointer, block: int, first: int,
    sums: Pointer, step: int, biases: Pointer,
) -> None:  # fmt: skip
    """The same from the gradient of the pooled image; tiles that belong to no window have none."""
    samples, height, columns = samples_in_block(plan, block), rows_in_block(plan, block), columns_of(plan)
    rows, windows = (height + 1) // 2, plan[HEADER + COLUMNS] // 2
    start = block // plan[BANDS] * plan[BLOCK_SAMPLES] * plan[TO_SAMPLE] + block % plan[BANDS] * plan[OUT_BAND] + first
    s, total = load_grid(shape, sums, 4 * step, step), load_grid(one, biases, 0, 0)
    for line in range(samples * rows):
        if line % rows < height // 2:
            at = start + line // rows * plan[TO_SAMPLE] + line % rows * plan[TO_ROW]
            tiles = pointer_to(v, line * plan[V_PITCH])
            for j in range(windows):
                q = from_right(A, from_left(A, unpooled(output, g, index, at + j * plan[TO_PIXEL])))
                s = plus_times(s, q, tiles, j)
                total = sum_of(total, from_right(PICK, from_left(PICK, q)))
    store_grid(s, sums, 4 * step, step)
    store_grid(total, biases, 0, 0)


@kernel(internal=True)
def partial_sums(
    shape: Any, output: Any, one: Any, x: Pointer, g: Pointer, index: Pointer, work: Pointer, plan: Pointer,
    number: int, worker: int,
) -> None:  # fmt: skip
    scratch = pointer_to(work, plan[SCRATCH] + worker * plan[SCRATCH_LENGTH])
    blocks, partials, outputs, length = plan[BLOCKS], plan[PARTIALS], plan[OUTPUTS], plan[PARTIAL_LENGTH]
    for partial in range(partials * number // plan[TASKS], partials * (number + 1) // plan[TASKS]):
        sums_here = pointer_to(work, partial * length)
        clear(sums_here, length)
        biases = pointer_to(sums_here, length - outputs)
        begin = blocks * partial // partials
        for block in range(begin, blocks * (partial + 1) // partials):
            v = transformed_block(x, index, plan, block, block == begin, scratch)
            grads = g
            if plan[POOL_ROWS] == 0:
                grads = read_block(g, index, pointer_to(plan, G_SOURCE), block, pointer_to(scratch, plan[G_SCRATCH]))
            first = 0
            while first < outputs:
                wide = slice_width(outputs - first)
                step = (1 + TAP_SLACK) * wide
                for o in range(0, wide, width(one)):
                    sums = pointer_to(sums_here, first * NUMBERS * (1 + TAP_SLACK) + o)
                    bias = pointer_to(biases, first + o)
                    if plan[POOL_ROWS]:
                        sum_pooled(shape, output, one, v, grads, index, plan, block, first + o, sums, step, bias)
                    else:
                        sum_tiles(shape, output, one, v, grads, plan, block, first + o, sums, step, bias)
                first += wide


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
