"""Making tensors: from data, filled with one value, counting up. Random ones are in `minigrad/random.py`."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.errors import ArgumentError
from minigrad.graph import Variable
from minigrad.ops.promotion import default_dtype
from minigrad.tensor import Tensor, _sizes, from_numpy

__all__ = ["arange", "as_tensor", "empty", "full", "ones", "ones_like", "tensor", "zeros", "zeros_like"]


def tensor(data: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A Tensor with a copy of `data`.

    Examples
    --------
    >>> tensor([[1.0, 2.0], [3.0, 4.0]]).shape
    (2, 2)
    """
    return Tensor(data, dtype, requires_grad)


def as_tensor(data: Any, dtype: Any = None) -> Tensor:
    """`data` as a Tensor: itself, or sharing an array's memory, where the dtype allows it."""
    if isinstance(data, Tensor):
        return data.to(dtype) if dtype is not None else data
    if isinstance(data, np.ndarray) and (dtype is None or data.dtype == np.dtype(dtype)):
        return from_numpy(data)
    return Tensor(data, dtype)


def full(size: Any, fill_value: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A Tensor of one value; its type gives the dtype unless `dtype` does."""
    if dtype is None:
        dtype = Tensor(fill_value).dtype
    return Tensor(np.full(_sizes((size,)), fill_value, dtype), None, requires_grad)


def zeros(*size: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    return full(_sizes(size), 0, dtype or default_dtype, requires_grad)


def ones(*size: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    return full(_sizes(size), 1, dtype or default_dtype, requires_grad)


def empty(*size: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A Tensor whose elements are whatever was in memory."""
    return Tensor(np.empty(_sizes(size), dtype or default_dtype), None, requires_grad)


def zeros_like(x: Variable, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    return zeros(x.shape, dtype=dtype or x.dtype, requires_grad=requires_grad)


def ones_like(x: Variable, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    return ones(x.shape, dtype=dtype or x.dtype, requires_grad=requires_grad)


def arange(start: Any, end: Any = None, step: Any = 1, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Numbers from `start` (0 with one argument) up to and without `end`; integers if all arguments are."""
    if end is None:
        start, end = 0, start
    if step == 0:
        raise ArgumentError("arange: expected a step other than 0.")
    if dtype is None:
        dtype = default_dtype if any(isinstance(x, float) for x in (start, end, step)) else np.int64
    return Tensor(np.arange(start, end, step).astype(dtype), None, requires_grad)
