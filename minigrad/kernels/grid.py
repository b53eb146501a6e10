"""Small matrices of vectors that lie anywhere in memory, and what a constant matrix makes of them.

`conv_winners.py` adds up kernels of three rows with them, and the transforms of `conv_winograd.py` are

    B_T = Matrix((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1))

    s = load_grid(Shape(4, 4), x, row, pixel)    # s[i, j] is the vector at x[i * row + j * pixel]
    expect_grid(Shape(4, 4), next, row, pixel)   # what will be loaded soon
    s = from_right(B_T, from_left(B_T, s))       # B^T s B
    store_grid(s, v, 4 * step, step)

The grids are tiles (`tile.py`): values that LLVM keeps in registers. A matrix is a constant of the program, part of its
type, and multiplying by it is written out: where it holds 1 and -1 that is an addition and a subtraction, and nothing
where it holds 0.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core.imputils import lower_constant
from numba.extending import models, register_model, typeof_impl

from minigrad.kernels.buffers import LINE
from minigrad.kernels.tile import Tile
from minigrad.kernels.vec import LANES, address, copied, fused, intrinsic

__all__ = ["Matrix", "add_multiple", "expect_grid", "from_left", "from_right", "load_grid", "store_grid"]


class Matrix:
    """A constant matrix of few numbers, given by its rows; its products add up the columns in the order told."""

    def __init__(self, *rows: tuple[float, ...], order: tuple[int, ...] | None = None):
        self.rows = rows
        self.order = order or tuple(range(len(rows[0])))


class MatrixType(types.Type):
    """The Numba type of a `Matrix`; there is one for each."""

    def __init__(self, rows: tuple[tuple[float, ...], ...], order: tuple[int, ...]):
        self.rows = rows
        self.order = order
        super().__init__(name=f"matrix{rows}{order}")


@typeof_impl.register(Matrix)
def _typeof_matrix(matrix: Matrix, context: Any) -> MatrixType:
    return MatrixType(matrix.rows, matrix.order)


register_model(MatrixType)(models.OpaqueModel)


@lower_constant(MatrixType)
def _matrix_constant(context: Any, builder: Any, kind: MatrixType, value: Matrix) -> Any:
    return context.get_dummy_value()


def _places(builder: Any, tile: Tile, p: Any, row: Any, column: Any) -> list[Any]:
    """The addresses of the vectors of a grid, row by row."""
    found = []
    start: Any = ir.Constant(row.type, 0)
    for _ in range(tile.rows):
        place = start
        for _ in range(tile.columns):
            found.append(address(builder, p, place, tile.vector))
            place = builder.add(place, column)
        start = builder.add(start, row)
    return found


@intrinsic
def load_grid(typing: Any, shape: Any, p: Any, row: Any, column: Any) -> Any:
    """The vectors at p[i * row + j * column]."""
    tile = Tile(shape.rows, shape.columns, shape.lanes)

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value = ir.Constant(context.get_value_type(tile), ir.Undefined)
        for place, source in enumerate(_places(builder, tile, *args[1:])):
            value = builder.insert_value(value, builder.load(source, align=4), place)
        return value

    return tile(shape, p, types.intp, types.intp), write


@intrinsic
def expect_grid(typing: Any, shape: Any, p: Any, row: Any, column: Any) -> Any:
    """Ask the processor to bring what `load_grid` will load near; the memory need not exist.

    It guesses well what is read next in one line, and badly in several: sums over a gradient that lay in the
    third-level cache took an eighth longer on one thread, a quarter on two. Vectors that are narrower than a cache line
    ask for nothing, because several would ask for the same.
    """

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if shape.lanes >= LINE:
            byte, integer = ir.IntType(8).as_pointer(), ir.IntType(32)
            kind = ir.FunctionType(ir.VoidType(), [byte, *[integer] * 3])
            prefetch = builder.module.declare_intrinsic("llvm.prefetch", (byte,), kind)
            how = [ir.Constant(integer, n) for n in (0, 3, 1)]  # for reading; into all caches; data
            for source in _places(builder, Tile(shape.rows, shape.columns, shape.lanes), *args[1:]):
                builder.call(prefetch, [builder.bitcast(source, byte), *how])
        return context.get_dummy_value()

    return types.void(shape, p, types.intp, types.intp), write


@intrinsic
def add_multiple(typing: Any, s: Any, a: Any, p: Any, i: Any, row: Any) -> Any:
    """s + a x, where a is a number and x has rows of vectors side by side, row r from p[i + r * row] on."""

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value, a, p, i, row = args
        a = copied(builder, a)
        start, lanes = builder.gep(p, [i]), ir.Constant(row.type, LANES)
        for place, source in enumerate(_places(builder, s, start, row, lanes)):
            x = builder.load(source, align=4)
            value = builder.insert_value(value, fused(builder, a, x, builder.extract_value(value, place)), place)
        return value

    return s(s, types.float32, p, types.intp, types.intp), write


@intrinsic
def store_grid(typing: Any, s: Any, p: Any, row: Any, column: Any) -> Any:
    """Write s[i, j] to p[i * row + j * column], from the last to the first.

    Where a step is 0, the first row or column is what stays: so the others are left out.
    """

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        targets = list(enumerate(_places(builder, s, *args[1:])))
        for place, target in reversed(targets):
            builder.store(builder.extract_value(args[0], place), target, align=4)
        return context.get_dummy_value()

    return types.void(s, p, types.intp, types.intp), write


# An addition of a product may become one instruction, if the product says so too.
_FUSED = ("contract",)


def _everywhere(factor: float, vector: Any) -> Any:
    """A constant like the vector, with the factor in every lane."""
    return ir.Constant(vector.type, [factor] * vector.type.count)


def _combined(builder: Any, factors: tuple[float, ...], vectors: list[Any], order: tuple[int, ...]) -> Any:
    """The sum of factor * vector, in that order."""
    total: Any = None
    for k in order:
        factor, vector = factors[k], vectors[k]
        if factor == 0:
            continue
        if total is None and factor == 1:
            total = vector
        elif total is None:
            total = builder.fmul(_everywhere(factor, vector), vector)
        elif factor in (1, -1):
            total = (builder.fadd if factor == 1 else builder.fsub)(total, vector, flags=_FUSED)
        else:
            total = fused(builder, _everywhere(factor, vector), vector, total)
    return total


@intrinsic
def from_left(typing: Any, m: Any, s: Any) -> Any:
    """The matrix product m s."""
    result = Tile(len(m.rows), s.columns, s.lanes)

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value = ir.Constant(context.get_value_type(result), ir.Undefined)
        for j in range(s.columns):
            column = [builder.extract_value(args[1], i * s.columns + j) for i in range(s.rows)]
            for i, factors in enumerate(m.rows):
                value = builder.insert_value(value, _combined(builder, factors, column, m.order), i * s.columns + j)
        return value

    return result(m, s), write


@intrinsic
def from_right(typing: Any, m: Any, s: Any) -> Any:
    """The matrix product s m^T."""
    result = Tile(s.rows, len(m.rows), s.lanes)

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value = ir.Constant(context.get_value_type(result), ir.Undefined)
        for i in range(s.rows):
            row = [builder.extract_value(args[1], i * s.columns + j) for j in range(s.columns)]
            for j, factors in enumerate(m.rows):
                value = builder.insert_value(value, _combined(builder, factors, row, m.order), i * result.columns + j)
        return value

    return result(m, s), write
