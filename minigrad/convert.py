"""From Python's data to arrays: what `minigrad.tensor(...)` accepts."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.errors import DTypeError, ShapeError
from minigrad.graph import Variable
from minigrad.ops.promotion import as_dtype, category, default_dtype

__all__ = ["to_array"]


def to_array(data: Any, dtype: Any = None) -> np.ndarray:
    """A new array of `data`.

    Parameters
    ----------
    data : Tensor, ndarray, number, or nested lists of them
        Arrays and Tensors keep their dtype; Python floats become float32, integers int64.
    dtype : optional

    Raises
    ------
    ShapeError, DTypeError
        For lists of different lengths, and for elements that are no numbers.
    """
    if dtype is not None:
        dtype = as_dtype(dtype)
    if isinstance(data, Variable):
        data = data._data
    plain = data
    if not isinstance(data, np.ndarray | np.generic):
        arrays: list[np.dtype] = []
        plain = _unwrapped(data, arrays)
        try:
            plain = np.array(plain)
        except ValueError as error:
            raise ShapeError(f"tensor: expected nested lists of equal lengths, got ragged ones ({error}).") from None
        if dtype is None and plain.dtype == np.float64 and np.dtype(np.float64) not in arrays:
            dtype = default_dtype
    try:
        array = np.array(plain, dtype=dtype, order="C")
    except (ValueError, TypeError) as error:
        raise DTypeError(f"tensor: expected numbers, got {type(data).__name__} {data!r:.60} ({error}).") from None
    category(array.dtype)
    return array


def _unwrapped(data: Any, dtypes: list[np.dtype]) -> Any:
    """Nested lists in which Tensors have become arrays; notes the dtypes of the arrays among them."""
    if isinstance(data, list | tuple):
        return [_unwrapped(x, dtypes) for x in data]
    if isinstance(data, Variable):
        data = data._data
    if isinstance(data, np.ndarray | np.generic):
        dtypes.append(data.dtype)
    return data
