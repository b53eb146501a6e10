"""The operations as methods and operators of a Tensor: the table from names to ops, a line each.

An op in the body of a class is a method (see `Op.__get__`), and so is a plain function of ops. What an operation
computes, and its gradient, stands in `minigrad/ops`; what a Tensor is stands in `minigrad/tensor.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from minigrad.devices import check_device, device
from minigrad.errors import DeviceError, ShapeError
from minigrad.graph import Op, Variable
from minigrad.in_place import augmented, check_in_place, in_place, overwrite, writable
from minigrad.ops import (
    arithmetic,
    arrange,
    cast,
    compare,
    exponential,
    extremes,
    index,
    joining,
    linalg,
    logical,
    norms,
    powers,
    reduce,
    rounding,
    scan,
    select,
    shape,
    special,
    trigonometric,
)
from minigrad.ops import gather as gather_ops
from minigrad.ops import softmax as softmax_ops
from minigrad.ops.promotion import as_dtype
from minigrad.versions import mark_changed

__all__ = ["Operations"]


def _reflected(operation: Op) -> Callable:
    """The operator for a number or an array on the left."""

    def method(self: Any, other: Any) -> Any:
        return operation(other, self)

    return method


def _converted(dtype: type) -> Callable:
    """The tensor in another dtype: itself if it has it already."""
    wanted = np.dtype(dtype)

    def method(self: Any) -> Any:
        return self if self.dtype == wanted else cast.cast(self, dtype=wanted)

    method.__doc__ = f"This tensor in {wanted.name}."
    return method


def _is_operand(other: Any) -> bool:
    return isinstance(other, Variable | np.ndarray | np.generic | int | float)


class Operations(Variable):
    """What can be computed from a Tensor. Signatures and results: `minigrad/ops`, and PyTorch's documentation."""

    __slots__ = ()

    # ---- operators ---------------------------------------------------------------------------------------------------

    __add__ = __radd__ = arithmetic.add
    __sub__ = arithmetic.sub
    __mul__ = __rmul__ = arithmetic.mul
    __truediv__ = arithmetic.div
    __floordiv__ = rounding.floor_divide
    __mod__ = rounding.remainder
    __pow__ = powers.pow
    __matmul__ = linalg.matmul
    __rsub__ = _reflected(arithmetic.sub)
    __rtruediv__ = _reflected(arithmetic.div)
    __rfloordiv__ = _reflected(rounding.floor_divide)
    __rmod__ = _reflected(rounding.remainder)
    __rpow__ = _reflected(powers.pow)
    __rmatmul__ = _reflected(linalg.matmul)
    __iadd__ = augmented(arithmetic.add)
    __isub__ = augmented(arithmetic.sub)
    __imul__ = augmented(arithmetic.mul)
    __itruediv__ = augmented(arithmetic.div)
    __ifloordiv__ = augmented(rounding.floor_divide)
    __imod__ = augmented(rounding.remainder)
    __ipow__ = augmented(powers.pow)
    __neg__ = arithmetic.neg
    __abs__ = arithmetic.abs
    __lt__ = compare.lt
    __le__ = compare.le
    __gt__ = compare.gt
    __ge__ = compare.ge
    __and__ = __rand__ = logical.bitwise_and
    __or__ = __ror__ = logical.bitwise_or
    __xor__ = __rxor__ = logical.bitwise_xor
    __invert__ = logical.bitwise_not
    __hash__ = Variable.__hash__

    def __eq__(self, other: Any) -> Any:
        return compare.eq(self, other) if _is_operand(other) else NotImplemented

    def __ne__(self, other: Any) -> Any:
        return compare.ne(self, other) if _is_operand(other) else NotImplemented

    def __pos__(self) -> Any:
        return self

    def __getitem__(self, key: Any) -> Any:
        return index.getitem(self, index=index.plain_index(key))

    def __setitem__(self, key: Any, value: Any) -> None:
        check_in_place(self, "assignment to elements", (value,))
        writable(self, "assignment to elements")
        index.put(self._data, index.plain_index(key), value._data if isinstance(value, Variable) else value)
        mark_changed(self._data)

    # ---- element by element ------------------------------------------------------------------------------------------

    add = arithmetic.add
    sub = arithmetic.sub
    mul = arithmetic.mul
    div = arithmetic.div
    neg = arithmetic.neg
    abs = arithmetic.abs
    lerp = arithmetic.lerp
    addcmul = arithmetic.addcmul
    addcdiv = arithmetic.addcdiv
    pow = powers.pow
    square = powers.square
    sqrt = powers.sqrt
    rsqrt = powers.rsqrt
    reciprocal = powers.reciprocal
    exp = exponential.exp
    exp2 = exponential.exp2
    expm1 = exponential.expm1
    log = exponential.log
    log2 = exponential.log2
    log10 = exponential.log10
    log1p = exponential.log1p
    sin = trigonometric.sin
    cos = trigonometric.cos
    tan = trigonometric.tan
    asin = trigonometric.asin
    acos = trigonometric.acos
    atan = trigonometric.atan
    sinh = trigonometric.sinh
    cosh = trigonometric.cosh
    tanh = trigonometric.tanh
    erf = special.erf
    sigmoid = special.sigmoid
    relu = select.relu
    clamp = select.clamp
    maximum = select.maximum
    minimum = select.minimum
    masked_fill = select.masked_fill
    floor = rounding.floor
    ceil = rounding.ceil
    round = rounding.round
    sign = rounding.sign
    floor_divide = rounding.floor_divide
    remainder = rounding.remainder
    eq = compare.eq
    ne = compare.ne
    lt = compare.lt
    le = compare.le
    gt = compare.gt
    ge = compare.ge
    equal = compare.equal
    isclose = compare.isclose
    allclose = compare.allclose
    isnan = compare.isnan
    isinf = compare.isinf
    isfinite = compare.isfinite
    logical_and = logical.logical_and
    logical_or = logical.logical_or
    logical_xor = logical.logical_xor
    logical_not = logical.logical_not
    clone = cast.clone

    def where(self, condition: Any, other: Any) -> Any:
        """This tensor where the condition holds, else `other`."""
        return select.where(condition, self, other)

    # ---- reductions, running sums, order -----------------------------------------------------------------------------

    sum = reduce.sum
    mean = reduce.mean
    var = reduce.var
    std = reduce.std
    logsumexp = reduce.logsumexp
    all = reduce.all
    any = reduce.any
    prod = scan.prod
    cumsum = scan.cumsum
    cumprod = scan.cumprod
    max = extremes.max
    min = extremes.min
    amax = extremes.amax
    amin = extremes.amin
    argmax = extremes.argmax
    argmin = extremes.argmin
    argsort = extremes.argsort
    sort = extremes.sort
    topk = extremes.topk
    median = extremes.median
    norm = norms.norm
    softmax = softmax_ops.softmax
    log_softmax = softmax_ops.log_softmax

    # ---- shapes and parts --------------------------------------------------------------------------------------------

    flatten = shape.flatten
    unflatten = shape.unflatten
    transpose = shape.transpose
    movedim = shape.movedim
    squeeze = shape.squeeze
    unsqueeze = shape.unsqueeze
    broadcast_to = shape.broadcast_to
    repeat = arrange.repeat
    tile = arrange.tile
    roll = arrange.roll
    tril = arrange.tril
    triu = arrange.triu
    diagonal = arrange.diagonal
    split = joining.split
    chunk = joining.chunk
    unbind = joining.unbind
    gather = gather_ops.gather
    scatter = gather_ops.scatter
    scatter_add = gather_ops.scatter_add
    index_select = gather_ops.index_select
    take_along_dim = gather_ops.take_along_dim

    def reshape(self, *shape_: Any) -> Any:
        """The same elements in another shape, `reshape(2, 3)` or `reshape((2, 3))`; one length may be -1."""
        return shape.reshape(self, shape=shape.integers(shape_))

    view = reshape

    def permute(self, *dims: Any) -> Any:
        """The dimensions in another order, `permute(1, 0)` or `permute((1, 0))`."""
        return shape.permute(self, dims=shape.integers(dims))

    def expand(self, *sizes: Any) -> Any:
        """Repeat dimensions of length 1, without a copy; -1 keeps a length."""
        return shape.broadcast_to(self, shape.integers(sizes))

    def flip(self, *dims: Any) -> Any:
        """A copy in reverse order along the dimensions."""
        return arrange.flip(self, dims=shape.integers(dims))

    def t(self) -> Any:
        """The transpose of a matrix; a vector stays as it is."""
        if len(self.shape) > 2:
            raise ShapeError(f"t: expected at most two dimensions, got shape {self.shape}. Use .mT.")
        return self.T

    @property
    def T(self) -> Any:
        """All dimensions in reverse order."""
        return shape.permute(self, dims=tuple(range(len(self.shape)))[::-1])

    @property
    def mT(self) -> Any:
        """The last two dimensions exchanged: the transpose of each matrix."""
        if len(self.shape) < 2:
            raise ShapeError(f"mT: expected at least two dimensions, got shape {self.shape}.")
        return shape.transpose(self, -2, -1)

    # ---- products ----------------------------------------------------------------------------------------------------

    matmul = linalg.matmul
    dot = linalg.dot
    outer = linalg.outer
    mv = linalg.mv
    mm = linalg.mm
    bmm = linalg.bmm
    trace = linalg.trace

    # ---- in place, where nothing is recorded -------------------------------------------------------------------------

    add_ = in_place(arithmetic.add)
    sub_ = in_place(arithmetic.sub)
    mul_ = in_place(arithmetic.mul)
    div_ = in_place(arithmetic.div)
    neg_ = in_place(arithmetic.neg)
    abs_ = in_place(arithmetic.abs)
    lerp_ = in_place(arithmetic.lerp)
    addcmul_ = in_place(arithmetic.addcmul)
    addcdiv_ = in_place(arithmetic.addcdiv)
    pow_ = in_place(powers.pow)
    square_ = in_place(powers.square)
    sqrt_ = in_place(powers.sqrt)
    rsqrt_ = in_place(powers.rsqrt)
    reciprocal_ = in_place(powers.reciprocal)
    exp_ = in_place(exponential.exp)
    exp2_ = in_place(exponential.exp2)
    expm1_ = in_place(exponential.expm1)
    log_ = in_place(exponential.log)
    log2_ = in_place(exponential.log2)
    log10_ = in_place(exponential.log10)
    log1p_ = in_place(exponential.log1p)
    sin_ = in_place(trigonometric.sin)
    cos_ = in_place(trigonometric.cos)
    tan_ = in_place(trigonometric.tan)
    asin_ = in_place(trigonometric.asin)
    acos_ = in_place(trigonometric.acos)
    atan_ = in_place(trigonometric.atan)
    sinh_ = in_place(trigonometric.sinh)
    cosh_ = in_place(trigonometric.cosh)
    tanh_ = in_place(trigonometric.tanh)
    erf_ = in_place(special.erf)
    sigmoid_ = in_place(special.sigmoid)
    relu_ = in_place(select.relu)
    clamp_ = in_place(select.clamp)
    masked_fill_ = in_place(select.masked_fill)
    floor_ = in_place(rounding.floor)
    ceil_ = in_place(rounding.ceil)
    round_ = in_place(rounding.round)
    sign_ = in_place(rounding.sign)
    floor_divide_ = in_place(rounding.floor_divide)
    remainder_ = in_place(rounding.remainder)
    tril_ = in_place(arrange.tril)
    triu_ = in_place(arrange.triu)
    scatter_ = in_place(gather_ops.scatter)
    scatter_add_ = in_place(gather_ops.scatter_add)

    def copy_(self, source: Any) -> Any:
        """Overwrite the elements with those of `source`, broadcast and cast to this dtype."""
        check_in_place(self, "copy_", (source,))
        return overwrite(self, source._data if isinstance(source, Variable) else np.asarray(source), "copy_")

    def fill_(self, value: Any) -> Any:
        """Overwrite every element with one number."""
        check_in_place(self, "fill_", (value,))
        number = value._data if isinstance(value, Variable) else np.asarray(value)
        if number.shape:
            raise ShapeError(f"fill_: expected one number, got shape {number.shape}. Use copy_().")
        return overwrite(self, number, "fill_")

    def zero_(self) -> Any:
        """Overwrite every element with 0."""
        check_in_place(self, "zero_")
        return overwrite(self, 0, "zero_")

    # ---- memory ------------------------------------------------------------------------------------------------------

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return self._data.ndim

    @property
    def itemsize(self) -> int:
        """The bytes of one element."""
        return self._data.itemsize

    @property
    def nbytes(self) -> int:
        """The bytes of all elements."""
        return self._data.nbytes

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the length of one dimension."""
        return self.shape if dim is None else self.shape[shape.wrap_dim(dim, self.ndim, "size")]

    def numel(self) -> int:
        """The number of elements."""
        return self._data.size

    def dim(self) -> int:
        """The number of dimensions."""
        return self._data.ndim

    def stride(self) -> tuple[int, ...]:
        """Steps between neighbours along each dimension, in elements."""
        return tuple(step // self._data.itemsize for step in self._data.strides)

    def is_contiguous(self) -> bool:
        """True when the elements lie in memory one after the other, in row-major order."""
        return self._data.flags.c_contiguous

    def contiguous(self) -> Any:
        """This tensor if it is contiguous, else a copy that is."""
        return self if self.is_contiguous() else cast.clone(self)

    def is_floating_point(self) -> bool:
        """True for the dtypes that can have gradients."""
        return self._data.dtype.kind == "f"

    # ---- dtype and device --------------------------------------------------------------------------------------------

    @property
    def device(self) -> device:
        """Where the elements are: always on the CPU."""
        return device("cpu")

    def to(self, *target: Any, dtype: Any = None, device: Any = None, non_blocking: bool = False) -> Any:
        """This tensor in another dtype; itself if it has it. The only device is 'cpu', where nothing blocks."""
        for given in (*target, device):
            if isinstance(given, Variable):
                dtype = given.dtype
            elif isinstance(given, str) and not hasattr(np, given):
                check_device(given, "to")
            elif given is not None:
                dtype = given
        return self if dtype is None or as_dtype(dtype) == self.dtype else cast.cast(self, dtype=as_dtype(dtype))

    def cpu(self) -> Any:
        """This tensor."""
        return self

    def cuda(self, *_: Any, **__: Any) -> NoReturn:
        """Raise DeviceError."""
        raise DeviceError("cuda: minigrad computes on the CPU only. Leave .cuda() out.")

    float = _converted(np.float32)
    double = _converted(np.float64)
    half = _converted(np.float16)
    long = _converted(np.int64)
    int = _converted(np.int32)
    bool = _converted(np.bool_)
