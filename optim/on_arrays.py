"""Optimizers on plain numpy arrays, as the course module writes them: `update(params, grads)`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigrad.errors import ArgumentError, DTypeError, ShapeError
from minigrad.graph import wrap
from minigrad.optim.arena import Cell
from minigrad.optim.plan import Plan
from minigrad.tensor import Tensor

__all__ = ["OnArrays"]


class OnArrays:
    """The part of `Optimizer` that updates arrays: it puts Tensors around them and makes a step."""

    param_groups: list[dict[str, Any]]
    step: Callable[..., Any]
    _plans: list[Plan]
    _relist: Callable[[], None]
    _takes_arrays: bool

    def update(self, params: Sequence[np.ndarray], grads: Any) -> None:
        """One step on numpy arrays, in place, for an optimizer made without parameters.

        Parameters
        ----------
        params : sequence of arrays of floats
            The same number and shapes in each call: state belongs to the position.
        grads : sequence of arrays, or function of `params` that returns it
            The gradient for each array; None leaves it out. A function is called where the optimizer wants the
            gradient: `nesterov='lookahead'` needs one.

        Examples
        --------
        >>> import numpy as np
        >>> from minigrad import optim
        >>> w = np.array([1.0, -2.0])
        >>> optim.SGD(lr=0.1).update([w], [w])
        >>> w
        array([ 0.9, -1.8])
        """
        tensors = self._around(params)

        def give_gradients() -> None:
            given = grads(params) if callable(grads) else grads
            if len(given) != len(tensors):
                raise ArgumentError(f"update: expected {len(tensors)} gradients, one an array, got {len(given)}.")
            for i, (tensor, g) in enumerate(zip(tensors, given, strict=True)):
                if g is not None and np.shape(g) != tensor.shape:
                    raise ShapeError(f"update: array {i} has shape {tensor.shape}, its gradient {np.shape(g)}.")
            for tensor, g in zip(tensors, given, strict=True):
                tensor._grad = None if g is None else wrap(np.array(g, tensor.dtype))

        if callable(grads):
            self.step(give_gradients)
        else:
            give_gradients()
            self.step()

    def _around(self, params: Sequence[np.ndarray]) -> Sequence[Tensor]:
        """The optimizer's Tensors, around these arrays."""
        if not self._takes_arrays:
            raise ArgumentError(
                "update: this optimizer was made with parameters, use step(). For arrays make it without: "
                f"{type(self).__name__}(lr=...)."
            )
        for i, array in enumerate(params):
            if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
                kind = array.dtype.name if isinstance(array, np.ndarray) else type(array).__name__
                raise DTypeError(f"update: expected arrays of floats to change in place, got {kind} at position {i}.")
        group = self.param_groups[0]
        if not group["params"]:
            group["params"] = tuple(wrap(array) for array in params)
            cells = [Cell(tensor, f"array {i}") for i, tensor in enumerate(group["params"])]
            self._plans[0] = Plan(cells, fused=False)
            self._relist()
        tensors = group["params"]
        if [tensor.shape for tensor in tensors] != [array.shape for array in params]:
            raise ShapeError(
                f"update: expected arrays of the shapes {[t.shape for t in tensors]}, as in the first call, "
                f"got {[array.shape for array in params]}."
            )
        for tensor, array in zip(tensors, params, strict=True):
            tensor._data = array
        return tensors
