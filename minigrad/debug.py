"""Find the operation that made the first NaN or infinity: `with minigrad.debug(): ...`."""

from __future__ import annotations

import contextlib
import linecache
import math
import os
import sys
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any

import numpy as np

from minigrad import backward, graph
from minigrad.errors import NonFiniteError
from minigrad.graph import Node, Op, Variable

__all__ = ["debug"]


@contextlib.contextmanager
def debug(*, inf: bool = True) -> Iterator[None]:
    """Check every operation inside, forward and backward, and remember which line of yours made it.

    The first operation whose result is not finite raises an error that names it, its inputs and the line. A NaN always
    counts. An infinity counts where it comes out of finite numbers (an overflow, a division by zero, log 0), not where
    it was put in, as in a mask of -inf.

    Graphs made inside know their lines: `explain` shows them, and the errors of `backward` name them. It is a context
    manager and a decorator; it works in every thread, and costs about as much as a second small operation for each.

    Parameters
    ----------
    inf : bool
        False looks for NaN alone.

    Raises
    ------
    NonFiniteError
        At the first operation or gradient rule that makes a NaN or an infinity.

    Examples
    --------
    >>> import minigrad
    >>> x = minigrad.tensor([4.0, -1.0], requires_grad=True)
    >>> with debug():
    ...     x.sqrt().sum()  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    minigrad.errors.NonFiniteError: sqrt: made NaN in 1 of 2 elements, first at index (1,), at ...
    """
    before = graph.observer, backward.observer
    watch = _Watch(inf)
    graph.observer, backward.observer = watch.forward, watch.backward
    try:
        yield
    finally:
        graph.observer, backward.observer = before


class _Watch:
    """The two functions that the engine calls: after an op, and after a gradient rule."""

    def __init__(self, inf: bool) -> None:
        self.inf = inf

    def forward(self, op: Op, inputs: tuple, params: dict, z: np.ndarray, node: Node | None) -> None:
        line, in_backward = users_line()
        if node is not None:
            node.line = line
        # Under create_graph a rule is made of ops too. It may mask what is not finite; its result is checked instead.
        if in_backward or not self._is_bad(z, (*inputs, *params.values())):
            return
        given = "; ".join(f"input {i} is {_described(x)}" for i, x in enumerate(inputs))
        raise NonFiniteError(f"{op.name}: made {_found(z)}, at {line}. Its {given}.")

    def backward(self, node: Node, g: Any, gradients: Sequence[Any]) -> None:
        where = f"made at {node.line}" if node.line else "made outside of debug(), so its line is not known"
        saved = (*(node.inputs or ()), node.output, *node.params.values())
        output = f"{node.dtype.name} {node.shape}" if node.output is None else _described(node.output)
        if self._is_bad(g, saved):
            raise NonFiniteError(
                f"backward: the gradient that reaches {node.name}, {where}, has {_found(g)}, though no rule before it "
                "made any: it was given to backward(), or a sum of finite gradients overflowed."
            )
        for i, (gx, edge) in enumerate(zip(gradients, node.edges, strict=True)):
            if edge is not None and gx is not None and self._is_bad(gx, (g, *saved)):
                raise NonFiniteError(
                    f"backward: the rule of {node.name} made {_found(gx)}, in the gradient of input {i}. The operation "
                    f"was {where}; its output is {output}, the gradient that came {_described(g)}."
                )

    def _is_bad(self, z: Any, sources: Sequence[Any]) -> bool:
        array = _array(z)
        if array is None or np.isfinite(array).all():
            return False
        if np.isnan(array).any():
            return True
        return self.inf and not any(_has_inf(x) for x in sources)


def users_line() -> tuple[str, bool]:
    """The innermost line outside of minigrad that is being executed, "train.py:12: loss = ...".

    With it, whether minigrad is in a backward pass there.
    """
    frame: FrameType | None = sys._getframe(1)
    in_backward = False
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module != "minigrad" and not module.startswith("minigrad."):
            break
        in_backward = in_backward or frame.f_code is backward.run.__code__
        frame = frame.f_back
    if frame is None:
        return "an unknown line", in_backward
    path = frame.f_code.co_filename
    text = linecache.getline(path, frame.f_lineno, frame.f_globals).strip()
    inside = os.path.relpath(path) if os.path.isabs(path) and path.startswith(os.getcwd() + os.sep) else path
    return f"{inside}:{frame.f_lineno}" + (f": {text}" if text else ""), in_backward


def _array(x: Any) -> np.ndarray | None:
    """The floating-point array of a Tensor or an array, else None."""
    data = x._data if isinstance(x, Variable) else x
    return data if isinstance(data, np.ndarray | np.generic) and data.dtype.kind == "f" else None  # type: ignore[return-value]


def _has_inf(x: Any) -> bool:
    if isinstance(x, float):
        return math.isinf(x)
    array = _array(x)
    return array is not None and bool(np.isinf(array).any())


def _found(z: Any) -> str:
    """ "NaN in 1 of 2 elements, first at index (1,)"."""
    array = np.asarray(_array(z))
    kind = "NaN" if np.isnan(array).any() else "infinity"
    bad = np.isnan(array) if kind == "NaN" else np.isinf(array)
    first = tuple(int(i) for i in np.argwhere(bad)[0])
    return f"{kind} in {int(bad.sum())} of {bad.size} elements" + (f", first at index {first}" if first else "")


def _described(x: Any) -> str:
    """Shape and range of an array, and what in it is not finite."""
    array = _array(x)
    if array is None:
        shown = x._data if isinstance(x, Variable) else x
        return f"{shown.dtype.name} {shown.shape}" if isinstance(shown, np.ndarray) else f"{shown!r:.40}"
    if array.size == 0:
        return f"{array.dtype.name} {array.shape}, empty"
    if np.isnan(array).any():
        return f"{array.dtype.name} {array.shape}, with NaN already"
    low, high = float(array.min()), float(array.max())
    return f"{array.dtype.name} {array.shape}, " + (f"{low:.4g}" if low == high else f"from {low:.4g} to {high:.4g}")
