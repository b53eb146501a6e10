"""Making tensors: from data, filled with one value, counting up. Random ones are in `minigrad/random.py`.

Names, arguments and results are those of https://docs.pytorch.org/docs/stable/torch.html#creation-ops. The dtype is
float32 where neither `dtype` nor the data say otherwise; the device, if it is given, must be 'cpu'.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.devices import check_device
from minigrad.errors import ArgumentError, ShapeError
from minigrad.graph import Variable
from minigrad.ops.promotion import as_dtype, default_dtype
from minigrad.ops.shape import integers
from minigrad.tensor import Tensor, from_numpy

__all__ = [
    "arange",
    "as_tensor",
    "empty",
    "empty_like",
    "eye",
    "full",
    "full_like",
    "lengths",
    "linspace",
    "made",
    "ones",
    "ones_like",
    "tensor",
    "zeros",
    "zeros_like",
]


def made(array: np.ndarray, dtype: Any, device: Any, requires_grad: bool) -> Tensor:
    """The Tensor around a new array, in another dtype if one is given."""
    check_device(device, "device")
    x = from_numpy(array if dtype is None else array.astype(as_dtype(dtype), copy=False))
    return x.requires_grad_() if requires_grad else x


def lengths(size: tuple, name: str) -> tuple[int, ...]:
    """A shape, given as `f(2, 3)` or as `f((2, 3))`."""
    shape = integers(size)
    if min(shape, default=0) < 0:
        raise ShapeError(f"{name}: expected lengths of at least 0, got {shape}.")
    return shape


def tensor(data: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A Tensor with a copy of `data`; see `Tensor`.

    Examples
    --------
    >>> tensor([[1.0, 2.0], [3.0, 4.0]]).shape
    (2, 2)
    """
    check_device(device, "tensor")
    return Tensor(data, dtype, requires_grad)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """`data` as a Tensor: itself, or sharing an array's memory, where the dtype allows it.

    Examples
    --------
    >>> import numpy as np
    >>> array = np.zeros(2, np.float32)
    >>> x = as_tensor(array)
    >>> array[0] = 5.0  # the memory is shared
    >>> x
    tensor([5., 0.])
    """
    check_device(device, "as_tensor")
    if isinstance(data, Tensor):
        return data.to(dtype) if dtype is not None else data
    if isinstance(data, np.ndarray) and (dtype is None or data.dtype == as_dtype(dtype)):
        return from_numpy(data)
    return Tensor(data, dtype)


def full(size: Any, fill_value: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A Tensor of one value, whose type gives the dtype unless `dtype` does.

    Examples
    --------
    >>> full((2,), 7)
    tensor([7, 7])
    """
    value = Tensor(fill_value, dtype)
    if value.shape:
        raise ShapeError(f"full: expected one number as fill_value, got shape {value.shape}.")
    return made(np.full(lengths((size,), "full"), value._data), None, device, requires_grad)


def zeros(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A Tensor of zeros.

    Examples
    --------
    >>> zeros(2, 3)
    tensor([[0., 0., 0.],
            [0., 0., 0.]])
    """
    array = np.zeros(lengths(size, "zeros"), as_dtype(dtype or default_dtype))
    return made(array, None, device, requires_grad)


def ones(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A Tensor of ones.

    Examples
    --------
    >>> ones((2,), dtype="int64")
    tensor([1, 1])
    """
    array = np.ones(lengths(size, "ones"), as_dtype(dtype or default_dtype))
    return made(array, None, device, requires_grad)


def empty(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A Tensor whose elements are whatever was in memory.

    Examples
    --------
    >>> empty(2, 3).shape
    (2, 3)
    """
    array = np.empty(lengths(size, "empty"), as_dtype(dtype or default_dtype))
    return made(array, None, device, requires_grad)


def zeros_like(x: Variable, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros in the shape and dtype of x.

    Examples
    --------
    >>> zeros_like(tensor([1, 2]))
    tensor([0, 0])
    """
    return zeros(x.shape, dtype=dtype or x.dtype, device=device, requires_grad=requires_grad)


def ones_like(x: Variable, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones in the shape and dtype of x.

    Examples
    --------
    >>> ones_like(tensor([[0.5], [2.0]]))
    tensor([[1.],
            [1.]])
    """
    return ones(x.shape, dtype=dtype or x.dtype, device=device, requires_grad=requires_grad)


def empty_like(x: Variable, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A Tensor in the shape and dtype of x whose elements are whatever was in memory.

    Examples
    --------
    >>> empty_like(tensor([1, 2])).dtype
    dtype('int64')
    """
    return empty(x.shape, dtype=dtype or x.dtype, device=device, requires_grad=requires_grad)


def full_like(
    x: Variable, fill_value: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """One value in the shape and dtype of x.

    Examples
    --------
    >>> full_like(tensor([1.0, 2.0]), 7)
    tensor([7., 7.])
    """
    return full(x.shape, fill_value, dtype or x.dtype, device, requires_grad)


def arange(
    start: Any,
    end: Any = None,
    step: Any = 1,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Numbers from `start` (0 with one argument) up to and without `end`; integers if all arguments are.

    Examples
    --------
    >>> arange(0, 1, 0.25)
    tensor([0.  , 0.25, 0.5 , 0.75])
    """
    if end is None:
        start, end = 0, start
    if step == 0 or (end - start) * step < 0:
        raise ArgumentError(f"arange: a step of {step} does not lead from {start} to {end}.")
    if dtype is None:
        dtype = default_dtype if any(isinstance(x, float | np.floating) for x in (start, end, step)) else np.int64
    count = math.ceil((end - start) / step)
    return made(start + np.arange(count) * step, dtype, device, requires_grad)


def linspace(
    start: float, end: float, steps: int, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """`steps` numbers at equal distances from `start` to `end`, with both.

    Examples
    --------
    >>> linspace(0, 1, 3)
    tensor([0. , 0.5, 1. ])
    """
    if steps < 0:
        raise ArgumentError(f"linspace: expected steps of at least 0, got {steps}.")
    return made(np.linspace(start, end, steps), dtype or default_dtype, device, requires_grad)


def eye(n: int, m: int | None = None, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """The n x m matrix (n x n without m) with ones on its diagonal and zeros elsewhere.

    Examples
    --------
    >>> eye(2, 3)
    tensor([[1., 0., 0.],
            [0., 1., 0.]])
    """
    rows, columns = lengths((n, n if m is None else m), "eye")
    return made(np.eye(rows, columns), dtype or default_dtype, device, requires_grad)
