"""Explicit SIMD in Numba: a vector type and the few instructions that loops need.

A processor has registers that hold several float32 numbers, its *lanes*, and instructions that work on all of
them at once. Compilers try to turn ordinary loops into such instructions, and often fail at the loops that matter:
as soon as several output rows are written, LLVM cannot prove that the arrays do not overlap and falls back to one
number at a time. With the vectors of this file a kernel says what it means, and the machine code is what was
written. The inner loop of a convolution, for two pixels and `2 * LANES` output channels, is

    w0, w1 = load(w, k), load(w, k + LANES)          # weights of 2 * LANES output channels
    x0 = splat(x[p0 + t])                            # one input number, copied to all lanes
    a00, a01 = fma(x0, w0, a00), fma(x0, w1, a01)    # a += x * w, all lanes at once
    x1 = splat(x[p1 + t])
    a10, a11 = fma(x1, w0, a10), fma(x1, w1, a11)

and each line is one or two instructions. The sums `a00 ... a11` stay in registers for the whole loop: that is the
one idea behind every fast matrix product.

How it works
------------
Numba compiles Python to LLVM's intermediate language, which has vectors: `<8 x float>` is a value like any
other, `fadd <8 x float> %a, %b` adds two of them, and LLVM turns both into the registers of the machine, or into
several smaller ones where it has none of that size. Numba does not know this type, so we add it, in three steps:

1. `Vector` is a Numba type without any property: the type checker learns that there are things of this kind.
2. `_VectorModel` says how such a thing is represented: by LLVM's `<LANES x float>`.
3. Each operation is an *intrinsic*: a function that gives Numba the type of its result, and a second
   function that writes the LLVM instructions where the call stands. Nothing is called at run time.

Memory is a pointer and an index counted in numbers, `load(p, i)`. Nothing checks bounds: that is the kernel's duty,
and the tests surround every buffer with NaN to see that it is done. Loads and stores need no alignment.

`LANES` comes from the processor that Numba compiles for. With 4 lanes the code runs on every x86-64 and ARM64
machine; LLVM splits it into single numbers where there is no vector unit at all.

References
----------
LLVM Language Reference, "Vector Type" and "Vector Operations", https://llvm.org/docs/LangRef.html
Numba, "Low-level extension API", https://numba.readthedocs.io/en/stable/extending/low-level.html
Goto, van de Geijn, "Anatomy of High-Performance Matrix Multiplication", ACM TOMS 34(3), 2008 (tiles in registers).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba.extending
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import models, register_model

__all__ = [
    "LANES",
    "REGISTERS",
    "WIDE",
    "Vector",
    "add",
    "equal_bytes",
    "first_bit",
    "fma",
    "integers",
    "load",
    "load_bytes",
    "multiply",
    "pointer_to",
    "splat",
    "store",
    "store_bytes",
    "total",
    "vector",
    "where_equal",
    "where_greater",
]


# Numba's own annotations describe the function that writes instructions, not the one that kernels call.
intrinsic: Any = numba.extending.intrinsic


def lanes_of(cpu: str, features: str) -> int:
    """How many float32 lanes to use on a processor, from LLVM's name and feature list of it.

    AVX-512 registers hold 16 numbers, AVX registers 8, SSE and NEON registers 4. Zen 4 has AVX-512 but works through
    each instruction in two halves: measured, 16 lanes are no faster there, and 8 waste less where a layer has few
    channels.

    Examples
    --------
    >>> lanes_of("skylake-avx512", "+avx,+avx2,+avx512f"), lanes_of("generic", "")
    (16, 4)
    """
    present = set(features.split(","))
    if "+avx512f" in present and cpu != "znver4":
        return 16
    return 8 if "+avx" in present else 4


def widest_of(features: str) -> int:
    """How many float32 lanes the widest register has, whether or not `lanes_of` chooses it.

    Examples
    --------
    >>> widest_of("+avx,+avx2,+avx512f"), widest_of("+avx,+avx2"), widest_of("")
    (16, 8, 4)
    """
    return lanes_of("", features)


def registers_of(triple: str, features: str) -> int:
    """How many vector registers there are: 32 with AVX-512 and on ARM64, 16 on other machines.

    Examples
    --------
    >>> registers_of("x86_64-unknown-linux-gnu", "+avx,+avx2"), registers_of("arm64-apple-darwin", "+neon")
    (16, 32)
    """
    many = "+avx512vl" in features.split(",") or triple.startswith(("aarch64", "arm64"))
    return 32 if many else 16


_triple, _cpu, _features = cpu_target.target_context.codegen().magic_tuple()
LANES: int = lanes_of(_cpu, _features)
REGISTERS: int = registers_of(_triple, _features)
# Twice LANES on Zen 4, elsewhere the same: for loops in which loading numbers takes longer than multiplying them.
WIDE: int = widest_of(_features)

vector_ir = ir.VectorType(ir.FloatType(), LANES)
_BYTES = ir.VectorType(ir.IntType(8), LANES)
_INDEX = ir.IntType(32)


class Vector(types.Type):
    """The Numba type of `LANES` float32 numbers in one register."""

    def __init__(self) -> None:
        super().__init__(name=f"float32x{LANES}")


vector = Vector()


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, numba_type: Vector):
        super().__init__(manager, numba_type, vector_ir)


def fused(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """`a * b + c` on values of LLVM's language."""
    kind = ir.FunctionType(a.type, [a.type] * 3)
    name = f"llvm.fmuladd.v{a.type.count}f32"
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [a, b, c])


_Typed = tuple[Any, Callable[[Any, Any, Any, Any], Any]]


def copied(builder: Any, x: Any, lanes: int = LANES) -> Any:
    """`x` in every lane."""
    undefined = ir.Constant(ir.VectorType(x.type, lanes), ir.Undefined)
    first = builder.insert_element(undefined, x, ir.Constant(_INDEX, 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(_INDEX, lanes), [0] * lanes))


def summed(builder: Any, value: Any) -> Any:
    """The sum of the lanes of `value`: halves are added to halves until one number is left."""
    width = value.type.count
    while width > 1:
        width //= 2
        low, high = (
            ir.Constant(ir.VectorType(_INDEX, width), list(range(start, start + width))) for start in (0, width)
        )
        value = builder.fadd(builder.shuffle_vector(value, value, low), builder.shuffle_vector(value, value, high))
    return builder.extract_element(value, ir.Constant(_INDEX, 0))


def address(builder: Any, pointer: Any, i: Any, element: Any) -> Any:
    """The address of `pointer[i]` as that of a vector of `element`."""
    return builder.bitcast(builder.gep(pointer, [i]), element.as_pointer())


@intrinsic
def pointer_to(typing: Any, p: Any, i: Any) -> _Typed:
    """`&p[i]`: the same memory, counted from element `i` on."""

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.gep(args[0], [args[1]])

    return p(p, types.intp), write


@intrinsic
def load(typing: Any, p: Any, i: Any) -> _Typed:
    """The numbers `p[i], ..., p[i + LANES - 1]`."""

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value = builder.load(address(builder, args[0], args[1], vector_ir))
        value.align = 4
        return value

    return vector(p, types.intp), write


@intrinsic
def store(typing: Any, p: Any, i: Any, v: Any) -> _Typed:
    """Write `v` to `p[i], ..., p[i + LANES - 1]`."""

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[2], address(builder, args[0], args[1], vector_ir)).align = 4
        return context.get_dummy_value()

    return types.void(p, types.intp, vector), write


@intrinsic
def load_bytes(typing: Any, p: Any, i: Any) -> _Typed:
    """`LANES` unsigned bytes from `p[i]` on, as float32 numbers from 0 to 255."""

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value = builder.load(address(builder, args[0], args[1], _BYTES))
        value.align = 1
        return builder.uitofp(value, vector_ir)

    return vector(p, types.intp), write


@intrinsic
def store_bytes(typing: Any, p: Any, i: Any, v: Any) -> _Typed:
    """Write `v`, whole numbers from 0 to 255, to `LANES` unsigned bytes from `p[i]` on."""

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value = builder.fptoui(args[2], _BYTES)
        builder.store(value, address(builder, args[0], args[1], _BYTES)).align = 1
        return context.get_dummy_value()

    return types.void(p, types.intp, vector), write


@intrinsic
def splat(typing: Any, x: Any) -> _Typed:
    """`x` in every lane."""

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return copied(builder, args[0])

    return vector(types.float32), write


@intrinsic
def fma(typing: Any, a: Any, b: Any, c: Any) -> _Typed:
    """`a * b + c`, in one instruction and rounded once where the processor has it, in two where it has not."""

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return fused(builder, *args)

    return vector(vector, vector, vector), write


@intrinsic
def add(typing: Any, a: Any, b: Any) -> _Typed:
    """`a + b`"""

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fadd(*args)

    return vector(vector, vector), write


@intrinsic
def multiply(typing: Any, a: Any, b: Any) -> _Typed:
    """`a * b`"""

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fmul(*args)

    return vector(vector, vector), write


@intrinsic
def total(typing: Any, v: Any) -> _Typed:
    """The sum of all lanes."""

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return summed(builder, args[0])

    return types.float32(vector), write


@intrinsic
def where_greater(typing: Any, a: Any, b: Any, x: Any, y: Any) -> _Typed:
    """`x` in the lanes where `a > b` or `a` is NaN, `y` in the others."""

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        a, b, x, y = args
        greater = builder.fcmp_ordered(">", a, b)
        return builder.select(builder.or_(greater, builder.fcmp_unordered("uno", a, a)), x, y)

    return vector(vector, vector, vector, vector), write


@intrinsic
def where_equal(typing: Any, a: Any, b: Any, x: Any, y: Any) -> _Typed:
    """`x` in the lanes where `a == b`, `y` in the others."""

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        a, b, x, y = args
        return builder.select(builder.fcmp_ordered("==", a, b), x, y)

    return vector(vector, vector, vector, vector), write


@intrinsic
def equal_bytes(typing: Any, p: Any, i: Any, byte: Any) -> _Typed:
    """An integer whose bit j is 1 where `p[i + j] == byte`, for the `LANES` bytes from `p[i]` on."""

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value = builder.load(address(builder, args[0], args[1], _BYTES))
        value.align = 1
        undefined = ir.Constant(_BYTES, ir.Undefined)
        wanted = builder.insert_element(undefined, builder.trunc(args[2], ir.IntType(8)), ir.Constant(_INDEX, 0))
        lanes = ir.Constant(ir.VectorType(_INDEX, LANES), [0] * LANES)
        same = builder.icmp_unsigned("==", value, builder.shuffle_vector(wanted, undefined, lanes))
        return builder.zext(builder.bitcast(same, ir.IntType(LANES)), ir.IntType(64))

    return types.int64(p, types.intp, types.intp), write


@intrinsic
def first_bit(typing: Any, bits: Any) -> _Typed:
    """The place of the lowest bit of an integer that is 1; there must be one."""

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.int64), write


@intrinsic
def integers(typing: Any, p: Any) -> _Typed:
    """The memory at `p` as int32 numbers, which take as much of it as float32 numbers."""

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.IntType(32).as_pointer())

    return types.CPointer(types.int32)(p), write
