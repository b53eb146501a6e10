"""Step 11: an array that was changed after the graph recorded it.

The rule of z = x y needs x and y as they were in the forward pass. An optimizer, an initialiser or a line like
`x.data[0] = 5` changes arrays in place; if that happens between forward and backward, the gradient is wrong, and
nothing says so: a wrong number looks like any other.

The remedy costs the forward pass nothing. There is one clock. Each node has a birth time on it already. A change in
place writes the present time beside the memory that it touched, and backward compares: memory that was changed after
the node was born is an error that names the operation. Views share memory, so the time belongs to the array at the
root of all its views.

Next: the engine is complete; what is missing are operations. Step 12 makes the most important one fast.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

clock = itertools.count(1)
changes: dict[int, tuple[weakref.ref, int]] = {}  # id of the root array: when it was last changed


def root(array: np.ndarray) -> np.ndarray:
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def mark_changed(array: np.ndarray) -> None:
    key = id(root(array))
    # The weak reference removes the entry with the array, before its id can belong to another one.
    changes[key] = weakref.ref(root(array), lambda _: changes.pop(key, None)), next(clock)


class Tensor:
    def __init__(self, data: Any, name: str = "", rule: Callable | None = None, inputs: tuple = ()) -> None:
        self.data = np.asarray(data, np.float64)
        self.grad: np.ndarray | None = None
        self.name, self.rule, self.inputs, self.birth = name, rule, inputs, next(clock)

    def __mul__(self, other: Tensor) -> Tensor:
        return Tensor(self.data * other.data, "mul", lambda g, x, y: (g * y, g * x), (self, other))

    def sum(self) -> Tensor:
        return Tensor(self.data.sum(), "sum", lambda g, x: (np.broadcast_to(g, x.shape),), (self,))

    def add_(self, amount: float) -> Tensor:
        """Change the array in place, as an optimizer does."""
        self.data += amount
        mark_changed(self.data)
        return self

    def row(self, i: int) -> Tensor:
        """A view: it shares the memory of this tensor."""
        return Tensor(self.data[i])

    def backward(self) -> None:
        seen, stack = {self}, [self]
        while stack:
            new = set(stack.pop().inputs) - seen
            seen |= new
            stack += new
        for z in seen:
            for i, x in enumerate(z.inputs):
                if changes.get(id(root(x.data)), (None, 0))[1] > z.birth:
                    raise RuntimeError(
                        f"backward: input {i} of {z.name}, shape {x.data.shape}, was changed in place after the "
                        "forward pass used it. Change it after backward(), or work on a copy."
                    )
        self.grad = np.ones_like(self.data)
        for z in sorted(seen, key=lambda tensor: tensor.birth, reverse=True):
            if z.rule is not None:
                for x, gx in zip(z.inputs, z.rule(z.grad, *(x.data for x in z.inputs)), strict=True):
                    x.grad = gx if x.grad is None else x.grad + gx


def expect_error(what: str, loss: Tensor) -> None:
    try:
        loss.backward()
    except RuntimeError as error:
        print(f"{what}: {error}")
    else:
        raise SystemExit(f"{what}: expected an error")


def main() -> None:
    x, y = Tensor([[1.0, 2.0], [3.0, 4.0]]), Tensor([[5.0, 6.0], [7.0, 8.0]])
    (x * y).sum().backward()
    print(f"unchanged: dL/dx = y is {x.grad.tolist()}")
    right = np.array_equal(x.grad, y.data)

    loss = (x * y).sum()
    y.add_(100.0)
    expect_error("changed", loss)

    loss = (x * y).sum()
    x.row(0).add_(1.0)  # through a view
    expect_error("changed through a view", loss)

    x.grad = None
    x.add_(1.0)  # before the forward pass it is harmless
    loss = (x * y).sum()
    loss.backward()
    x.add_(-0.1)  # and after backward, where optimizers do it
    print(f"changed before forward and after backward: dL/dx = {x.grad.tolist()}")
    right = right and np.array_equal(x.grad, y.data)

    del x, y, loss
    print(f"entries kept for arrays that are gone: {len(changes)}")
    if not right or changes:
        raise SystemExit("a gradient is wrong, or the book of changes leaks")


if __name__ == "__main__":
    main()
