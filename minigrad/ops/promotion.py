"""Which dtype an operation computes in: PyTorch's rules, which differ from numpy's.

Three kinds of operand, in descending weight: arrays with at least one dimension, arrays without (0-d), Python numbers.
A lighter one changes the result's dtype only if it is of a higher category (bool < integer < float):

    float32 (3,) + float64 ()     float32      numpy: float64
    int64 (3,)   + float32 (3,)   float32      numpy: float64
    int64 (3,)   + 0.5            float32      numpy: float64; float32 is the default dtype
    float32 (3,) + 2              float32

Source: https://docs.pytorch.org/docs/stable/tensor_attributes.html#torch.dtype (type promotion).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.errors import DTypeError

__all__ = ["as_dtype", "as_float", "category", "default_dtype", "promote", "result_type", "same_float"]

default_dtype = np.dtype(np.float32)

_array = np.ndarray  # found faster than an attribute of numpy
_CATEGORY = {"b": 0, "u": 1, "i": 1, "f": 2}


def category(dtype: np.dtype) -> int:
    """0 for bool, 1 for integers, 2 for floating point."""
    try:
        return _CATEGORY[dtype.kind]
    except KeyError:
        raise DTypeError(f"expected bool, integer or floating-point elements, got dtype {dtype}.") from None


def as_dtype(dtype: Any) -> np.dtype:
    """A dtype by its numpy type or name: `numpy.float32`, 'float32', `float`. DTypeError if no tensor has it."""
    try:
        found = np.dtype(dtype)
    except TypeError:
        raise DTypeError(f"expected a dtype such as minigrad.float32 or 'int64', got {dtype!r:.60}.") from None
    category(found)
    return found


def _of_number(number: Any) -> np.dtype:
    """The dtype that a Python number has on its own."""
    if isinstance(number, bool):
        return np.dtype(np.bool_)
    if isinstance(number, int):
        return np.dtype(np.int64)
    if isinstance(number, float):
        return default_dtype
    raise DTypeError(f"expected Tensors, arrays or numbers as operands, got {type(number).__name__} {number!r:.60}.")


def _wider(a: np.dtype | None, b: np.dtype) -> np.dtype:
    if a is None or a == b:
        return b
    if category(a) != category(b):
        return a if category(a) > category(b) else b
    return np.promote_types(a, b)


def result_type(*operands: Any) -> np.dtype:
    """The dtype in which an element-wise operation on `operands` (arrays, numbers) is computed.

    Examples
    --------
    >>> result_type(np.ones(3, np.float32), np.float64(2.0), 1)
    dtype('float32')
    """
    by_weight: list[np.dtype | None] = [None, None, None]  # with dimensions, 0-d, Python numbers
    for x in operands:
        if isinstance(x, np.ndarray | np.generic):
            weight, dtype = (0 if x.ndim else 1), x.dtype
        else:
            weight, dtype = 2, _of_number(x)
        by_weight[weight] = _wider(by_weight[weight], dtype)
    result: np.dtype | None = None
    for dtype_ in by_weight:
        if dtype_ is not None and (result is None or category(dtype_) > category(result)):
            result = dtype_
    assert result is not None
    return result


def promote(operands: list) -> list:
    """The operands of an element-wise op, all of one dtype; Python numbers stay numbers if they fit it."""
    if len(operands) == 2:  # nearly every call; the rest would take 0.5 microseconds to find the same
        x, y = operands
        if type(x) is type(y) is _array and x.dtype is y.dtype:
            return operands
    kind = None
    numbers = ""  # the array kinds that hold every number among the operands
    for x in operands:
        if isinstance(x, np.ndarray):
            if kind is None:
                kind = x.dtype
            elif x.dtype is not kind:
                break
        elif type(x) is float:
            numbers = "f"
        elif type(x) is int:
            numbers = numbers or "fiu"
        else:
            break
    else:
        if kind is not None and (not numbers or kind.kind in numbers):
            return operands  # one dtype, and numbers that numpy does not widen it for
    dtype = result_type(*operands)
    return [x.astype(dtype, copy=False) if isinstance(x, np.ndarray) else dtype.type(x) for x in operands]


def as_float(operands: list) -> list:
    """Integers become float32, for functions whose values are real; floating-point operands as `promote` does."""
    if len(operands) == 1 and isinstance(operands[0], np.ndarray) and operands[0].dtype.kind == "f":
        return operands
    operands = promote(operands)
    if any(isinstance(x, np.ndarray | np.generic) and x.dtype.kind != "f" for x in operands):
        operands = [default_dtype.type(x) if np.ndim(x) == 0 else x.astype(default_dtype) for x in operands]
    return operands


def same_float(operands: list) -> list:
    """Check that all arrays have one floating-point dtype, as products and convolutions need."""
    first = operands[0].dtype
    for x in operands:
        if x is not None and x.dtype != first:
            names = ", ".join(y.dtype.name for y in operands if y is not None)
            raise DTypeError(
                f"expected operands of one dtype, got {names}. "
                "Convert one of them with .float(), .double() or .to(dtype)."
            )
    return operands
