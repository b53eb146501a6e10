"""Changing a tensor in place: the checks, and the makers of the methods with a trailing underscore.

A change in place is not recorded. It is refused where a gradient would be lost or wrong, and it is stamped on the
memory (`minigrad/versions.py`), so that a backward pass that needs what was there before says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.errors import DTypeError, GraphError, ShapeError
from minigrad.grad_mode import is_recording, no_grad
from minigrad.graph import Op, Variable
from minigrad.ops.cast import cast
from minigrad.ops.promotion import category
from minigrad.versions import mark_changed

__all__ = ["augmented", "check_in_place", "in_place", "overwrite", "writable"]


def check_in_place(tensor: Variable, what: str, others: tuple = ()) -> None:
    """GraphError when the change would have to be recorded."""
    if not is_recording():
        return
    if tensor._requires_grad:
        raise GraphError(
            f"{what}: a tensor that requires a gradient cannot be changed in place while operations are recorded. "
            "Do it inside `with minigrad.no_grad():`, or compute a new tensor."
        )
    if any(isinstance(x, Variable) and x._requires_grad for x in others):
        raise GraphError(
            f"{what}: a change in place is not recorded, so the gradient of the operand would be lost. "
            "Compute a new tensor, or give the operand's .detach()."
        )


def writable(tensor: Variable, what: str) -> None:
    """GraphError for memory that is not the tensor's own, such as an expanded view."""
    if not tensor._data.flags.writeable:
        raise GraphError(
            f"{what}: this tensor of shape {tensor.shape} only looks at memory that cannot be written, as after "
            "expand(). Change a clone()."
        )


def overwrite(tensor: Any, source: Any, what: str) -> Any:
    """Write the elements of `source` into the tensor's memory, broadcast and cast to its dtype."""
    writable(tensor, what)
    try:
        np.copyto(tensor._data, source, casting="unsafe")
    except ValueError:
        raise ShapeError(f"{what}: shape {np.shape(source)} does not fit into {tensor.shape} in place.") from None
    mark_changed(tensor._data)
    return tensor


def in_place(operation: Callable) -> Callable:
    """The form of an operation that overwrites its first operand with the result."""
    name = _name(operation)

    def method(self: Any, *operands: Any, **options: Any) -> Any:
        check_in_place(self, name, operands)
        with no_grad():
            z = operation(self, *operands, **options)
        _check_fits(self, z, name)
        return overwrite(self, z._data, name)

    method.__name__ = name
    method.__doc__ = f"`{name[:-1]}`, written into this tensor's own memory."
    return method


def augmented(operation: Op) -> Callable:
    """`x += y`: in place where nothing has to be recorded, else a new tensor of the same shape and dtype."""
    name, change = _name(operation), in_place(operation)

    def method(self: Any, other: Any) -> Any:
        recorded = self.node is not None or (isinstance(other, Variable) and other._requires_grad)
        if not (is_recording() and recorded):
            return change(self, other)
        z = operation(self, other)
        _check_fits(self, z, name)
        return z if z.dtype == self.dtype else cast(z, dtype=self.dtype)

    method.__doc__ = f"`{name}` where nothing is recorded, else a new tensor under the old name."
    return method


def _name(operation: Callable) -> str:
    return (operation.name if isinstance(operation, Op) else operation.__name__) + "_"


def _check_fits(tensor: Variable, z: Variable, what: str) -> None:
    """ShapeError or DTypeError when the result z cannot take the place of the tensor."""
    if category(z.dtype) > category(tensor.dtype):
        raise DTypeError(f"{what}: the result is {z.dtype.name}, which does not fit into {tensor.dtype.name}.")
    if z.shape != tensor.shape:
        raise ShapeError(f"{what}: the result has shape {z.shape}, which does not fit into {tensor.shape} in place.")
