"""What the tiles of `conv_gray.py` do beside what all tiles do (`tile.py`, `grid.py`).

    s = every_second(shape, x, row)         # pixels of tiles that lie side by side, a lane for each tile
    s = times(u, v, t, b)                   # u * v for tile t, a lane for each output channel
    s = plus_times(s, q, v, t)              # s + q * v
    store_pooled(s, z, index, i)            # a tile of outputs as one window
    s = unpooled(shape, g, index, i)        # a tile of the gradient from that of its window

Each number v of a tile is loaded into all lanes; the sixteen numbers of tile t are v[t], v[t + PITCH], ...
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types

from minigrad.kernels.conv_gray_plan import PITCH
from minigrad.kernels.conv_winograd import MIDDLE
from minigrad.kernels.conv_winograd_plan import NUMBERS
from minigrad.kernels.tile import Tile
from minigrad.kernels.vec import address, copied, fused, intrinsic

__all__ = ["every_second", "plus_times", "stacked", "store_pooled", "sum_of", "times", "unpooled"]

# An addition of a product may become one instruction.
_FUSED = ("contract",)


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
def stacked(typing: Any, upper: Any, lower: Any) -> Any:
    """One tile with the rows of both."""
    tile = Tile(upper.rows + lower.rows, upper.columns, upper.lanes)

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value = ir.Constant(context.get_value_type(tile), ir.Undefined)
        vectors = [
            builder.extract_value(half, i)
            for half, kind in zip(args, (upper, lower), strict=True)
            for i in range(kind.rows * kind.columns)
        ]
        for place, vector in enumerate(vectors):
            value = builder.insert_value(value, vector, place)
        return value

    return tile(upper, lower), write


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
