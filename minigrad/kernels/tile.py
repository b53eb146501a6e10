"""A tile: a small matrix of sums that stays in the processor's registers.

A matrix product adds up outer products, `S += x w^T`, one for each step of its sum. Of a column x with R numbers and a
row w with C vectors that is R * C multiply-adds for R + C loads: the larger the tile, the less there is to load for
each multiplication, until the registers are full. In a kernel it reads

    s = zeros(shape)
    for k in range(taps):
        s = outer(s, rows, tap[k], w, k * width)     # s[i] += rows[i][tap[k]] * w[k * width : (k + 1) * width]

where `rows` are as many pointers as the tile has rows. The tile is a value, as a number is: `outer` returns a new one.
Where both factors lie along k, `inner` adds to s[i, j] the product of two vectors, several steps of the sum at once.
To LLVM a tile is an array of vectors, which it takes apart and keeps in registers from the first step of the loop to
the last. (`vec.py` tells how such types are made known to Numba.)

The shape of a tile is part of its type. `Shape(6, 4)` is the Python object that stands for it: a kernel that gets
another shape is compiled anew, with as many multiply-adds in its loop as the shape has vectors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.imputils import lower_constant
from numba.extending import models, register_model, typeof_impl

from minigrad.kernels.vec import LANES, address, copied, fused, intrinsic, summed

__all__ = [
    "Rows",
    "Shape",
    "Tile",
    "height",
    "inner",
    "inner_last",
    "keep_small",
    "load_tile",
    "never_inline",
    "outer",
    "plus",
    "rows_of",
    "store_rows",
    "store_tile",
    "store_totals",
    "width",
    "zeros",
]


@dataclass(frozen=True)
class Shape:
    """`rows` rows of `columns` vectors of so many lanes: something that a kernel can be called with."""

    rows: int
    columns: int
    lanes: int = LANES


class ShapeType(types.Type):
    """The Numba type of a `Shape`; there is one for each."""

    def __init__(self, rows: int, columns: int, lanes: int):
        self.rows = rows
        self.columns = columns
        self.lanes = lanes
        super().__init__(name=f"shape{rows}x{columns}x{lanes}")


@typeof_impl.register(Shape)
def _typeof_shape(shape: Shape, context: Any) -> ShapeType:
    return ShapeType(shape.rows, shape.columns, shape.lanes)


register_model(ShapeType)(models.OpaqueModel)


@lower_constant(ShapeType)
def _shape_constant(context: Any, builder: Any, shape: ShapeType, value: Shape) -> Any:
    return context.get_dummy_value()


class Tile(types.Type):
    """The Numba type of `rows` rows of `columns` vectors."""

    def __init__(self, rows: int, columns: int, lanes: int = LANES):
        self.rows = rows
        self.columns = columns
        self.lanes = lanes
        self.vector = ir.VectorType(ir.FloatType(), lanes)
        super().__init__(name=f"tile{rows}x{columns}x{lanes}")


class Rows(types.Type):
    """The Numba type of `rows` pointers to float32 numbers."""

    def __init__(self, rows: int):
        self.rows = rows
        super().__init__(name=f"rows{rows}")


@register_model(Tile)
class _TileModel(models.PrimitiveModel):
    def __init__(self, manager: Any, tile: Tile):
        super().__init__(manager, tile, ir.ArrayType(tile.vector, tile.rows * tile.columns))


@register_model(Rows)
class _RowsModel(models.PrimitiveModel):
    def __init__(self, manager: Any, rows: Rows):
        super().__init__(manager, rows, ir.ArrayType(ir.FloatType().as_pointer(), rows.rows))


def _least(builder: Any, i: Any, last: Any) -> Any:
    """min(i, last)"""
    return builder.select(builder.icmp_signed("<", i, last), i, last)


def _entry(builder: Any, table: Any, first: Any, i: int, last: Any) -> Any:
    """table[min(first + i, last)]"""
    return builder.load(builder.gep(table, [_least(builder, _plus(builder, first, i), last)]))


def _plus(builder: Any, i: Any, n: int) -> Any:
    return builder.add(i, ir.Constant(i.type, n))


@intrinsic
def never_inline(typing: Any) -> Any:
    """Keep the kernel in which this stands a function of its own: it is compiled once, however often it is called."""

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.void(), write


@intrinsic
def height(typing: Any, shape: Any) -> Any:
    """The rows of a shape."""

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return context.get_constant(types.intp, shape.rows)

    return types.intp(shape), write


@intrinsic
def width(typing: Any, shape: Any) -> Any:
    """The numbers in a row of a shape."""

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return context.get_constant(types.intp, shape.columns * shape.lanes)

    return types.intp(shape), write


@intrinsic
def keep_small(typing: Any) -> Any:
    """Tell LLVM not to unroll the loops of the kernel in which this stands, nor to make several versions of them.

    Its vectors are written out already, and many of its loops are short: compiling takes half as long.
    """

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.function.attributes.add("optsize")
        return context.get_dummy_value()

    return types.void(), write


@intrinsic
def rows_of(typing: Any, shape: Any, p: Any, table: Any, first: Any, last: Any) -> Any:
    """A pointer for each row of the shape, the i-th to p[table[min(first + i, last)]]."""
    rows = shape.rows

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, p, table, first, last = args
        value = ir.Constant(ir.ArrayType(ir.FloatType().as_pointer(), rows), ir.Undefined)
        for i in range(rows):
            value = builder.insert_value(value, builder.gep(p, [_entry(builder, table, first, i, last)]), i)
        return value

    return Rows(rows)(shape, p, table, types.intp, types.intp), write


@intrinsic
def zeros(typing: Any, shape: Any) -> Any:
    """A tile of zeros."""
    tile = Tile(shape.rows, shape.columns, shape.lanes)

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return ir.Constant(context.get_value_type(tile), None)

    return tile(shape), write


@intrinsic
def outer(typing: Any, s: Any, rows: Any, t: Any, w: Any, k: Any) -> Any:
    """s + x w^T, where x[i] is rows[i][t] and w is the `s.columns` vectors at w[k]."""

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value, pointers, t, w, k = args
        factors = [
            builder.load(address(builder, w, _plus(builder, k, j * s.lanes), s.vector), align=4)
            for j in range(s.columns)
        ]
        for i in range(s.rows):
            x = copied(builder, builder.load(builder.gep(builder.extract_value(pointers, i), [t])), s.lanes)
            for j, factor in enumerate(factors):
                place = i * s.columns + j
                value = builder.insert_value(
                    value, fused(builder, x, factor, builder.extract_value(value, place)), place
                )
        return value

    return s(s, rows, types.intp, w, types.intp), write


def _inner(builder: Any, s: Tile, value: Any, xs: Any, ws: Any, load_from: Callable[[Any], Any]) -> Any:
    factors = [load_from(builder.extract_value(ws, j)) for j in range(s.columns)]
    for i in range(s.rows):
        x = load_from(builder.extract_value(xs, i))
        for j, factor in enumerate(factors):
            place = i * s.columns + j
            value = builder.insert_value(value, fused(builder, x, factor, builder.extract_value(value, place)), place)
    return value


@intrinsic
def inner(typing: Any, s: Any, xs: Any, ws: Any, k: Any) -> Any:
    """s[i, j] + x * w, where x and w are the vectors at xs[i][k] and ws[j][k]: for each lane a part of a sum over k."""

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value, xs, ws, k = args

        def load_from(p: Any) -> Any:
            return builder.load(address(builder, p, k, s.vector), align=4)

        return _inner(builder, s, value, xs, ws, load_from)

    return s(s, xs, ws, types.intp), write


@intrinsic
def inner_last(typing: Any, s: Any, xs: Any, ws: Any, k: Any, n: Any) -> Any:
    """The same with the last n numbers of each vector alone; what comes before them may be NaN."""

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value, xs, ws, k, n = args
        skipped = copied(builder, builder.sub(ir.Constant(k.type, s.lanes), n), s.lanes)
        lane = ir.Constant(ir.VectorType(k.type, s.lanes), list(range(s.lanes)))
        wanted = builder.icmp_signed(">=", lane, skipped)

        def load_from(p: Any) -> Any:
            loaded = builder.load(address(builder, p, k, s.vector), align=4)
            return builder.select(wanted, loaded, ir.Constant(s.vector, None))

        return _inner(builder, s, value, xs, ws, load_from)

    return s(s, xs, ws, types.intp, types.intp), write


@intrinsic
def store_totals(
    typing: Any, s: Any, y: Any, table: Any, first: Any, last: Any, column: Any, last_column: Any, bias: Any,
    has_bias: Any,
) -> Any:  # fmt: skip
    """Write the sum of the lanes of s[i, j], plus bias[q] if there is one, to y[table[min(first + i, last)] + q].

    There q is min(column + j, last_column).
    """

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value, y, table, first, last, column, last_column, bias, has_bias = args
        biased = builder.icmp_signed("!=", has_bias, ir.Constant(has_bias.type, 0))
        places, shifts = [], []
        for j in range(s.columns):
            q = _least(builder, _plus(builder, column, j), last_column)
            places.append(q)
            shifts.append(builder.load(builder.gep(bias, [q])))
        for i in range(s.rows):
            start = _entry(builder, table, first, i, last)
            for j in range(s.columns):
                x = summed(builder, builder.extract_value(value, i * s.columns + j))
                x = builder.select(biased, builder.fadd(x, shifts[j]), x)
                builder.store(x, builder.gep(y, [builder.add(start, places[j])]))
        return context.get_dummy_value()

    return types.void(s, y, table, *[types.intp] * 4, bias, types.intp), write


@intrinsic
def plus(typing: Any, s: Any, b: Any, k: Any) -> Any:
    """s with the vectors at b[k] added to each row."""

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value, b, k = args
        for j in range(s.columns):
            term = builder.load(address(builder, b, _plus(builder, k, j * s.lanes), s.vector), align=4)
            for i in range(s.rows):
                place = i * s.columns + j
                value = builder.insert_value(value, builder.fadd(builder.extract_value(value, place), term), place)
        return value

    return s(s, b, types.intp), write


@intrinsic
def store_rows(typing: Any, s: Any, y: Any, table: Any, first: Any, last: Any) -> Any:
    """Write row i of s to y[table[min(first + i, last)]]."""

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value, y, table, first, last = args
        for i in range(s.rows):
            start = _entry(builder, table, first, i, last)
            for j in range(s.columns):
                target = address(builder, y, _plus(builder, start, j * s.lanes), s.vector)
                builder.store(builder.extract_value(value, i * s.columns + j), target, align=4)
        return context.get_dummy_value()

    return types.void(s, y, table, types.intp, types.intp), write


@intrinsic
def load_tile(typing: Any, shape: Any, p: Any) -> Any:
    """The tile whose rows lie one after the other at p."""
    tile = Tile(shape.rows, shape.columns, shape.lanes)

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, p = args
        value = ir.Constant(context.get_value_type(tile), ir.Undefined)
        for place in range(tile.rows * tile.columns):
            source = address(builder, p, context.get_constant(types.intp, place * tile.lanes), tile.vector)
            value = builder.insert_value(value, builder.load(source, align=4), place)
        return value

    return tile(shape, p), write


@intrinsic
def store_tile(typing: Any, s: Any, p: Any) -> Any:
    """Write the rows of s one after the other to p."""

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value, p = args
        for place in range(s.rows * s.columns):
            target = address(builder, p, context.get_constant(types.intp, place * s.lanes), s.vector)
            builder.store(builder.extract_value(value, place), target, align=4)
        return context.get_dummy_value()

    return types.void(s, p), write
