"""Step 4: a node is an array, and broadcasting has to be undone.

Step 3 had an object for each number. Here it holds a numpy array, and a local derivative becomes a function: from the
gradient of the output, an array of its shape, to the gradient of an input.

numpy broadcasts: in x + b with x (3, 4) and b (4,), each element of b is used three times. A number used several times
gets the sum of the gradients of its uses, so the gradient that arrives with shape (3, 4) is summed over the rows to
(4,). This is the same rule as in step 1, and one function, `sum_to`, does it for every operation.

Next: forward and gradient are still mixed in each method, and nobody has checked them all. Step 5 takes them apart.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

births = itertools.count()


def sum_to(g: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Undo broadcasting: sum over the dimensions that were added in front, and over those that were 1."""
    g = g.sum(axis=tuple(range(g.ndim - len(shape))))
    stretched = tuple(i for i, n in enumerate(shape) if n == 1 and g.shape[i] != 1)
    return g.sum(axis=stretched, keepdims=True) if stretched else g


class Tensor:
    """An array and how it was made: pairs of an input and the function that gives its gradient."""

    def __init__(self, data: Any, parents: tuple[tuple[Tensor, Callable], ...] = ()) -> None:
        self.data = np.asarray(data, np.float64)
        self.grad: np.ndarray | None = None
        self.parents = parents
        self.birth = next(births)

    def __add__(self, other: Tensor) -> Tensor:
        return Tensor(self.data + other.data, ((self, lambda g: g), (other, lambda g: g)))

    def __mul__(self, other: Tensor) -> Tensor:
        a, b = self.data, other.data
        return Tensor(a * b, ((self, lambda g: g * b), (other, lambda g: g * a)))

    def exp(self) -> Tensor:
        z = np.exp(self.data)
        return Tensor(z, ((self, lambda g: g * z),))

    def sum(self) -> Tensor:
        return Tensor(self.data.sum(), ((self, lambda g: np.broadcast_to(g, self.data.shape)),))

    def backward(self) -> None:
        seen, stack = {self}, [self]
        while stack:
            for parent, _ in stack.pop().parents:
                if parent not in seen:
                    seen.add(parent)
                    stack.append(parent)
        self.grad = np.ones_like(self.data)
        for tensor in sorted(seen, key=lambda tensor: tensor.birth, reverse=True):
            for parent, gradient in tensor.parents:
                g = sum_to(gradient(tensor.grad), parent.data.shape)
                parent.grad = g if parent.grad is None else parent.grad + g


def finite_differences(f: Callable[..., Tensor], inputs: list[Tensor], i: int, h: float = 1e-6) -> np.ndarray:
    """The gradient of the scalar f in inputs[i]: each element is moved up and down on its own."""
    g, data = np.zeros_like(inputs[i].data), inputs[i].data
    for at in np.ndindex(data.shape):
        before = data[at]
        data[at] = before + h
        up = f(*inputs).data
        data[at] = before - h
        down = f(*inputs).data
        data[at] = before
        g[at] = (up - down) / (2 * h)
    return g


def main() -> None:
    rng = np.random.default_rng(0)
    for shapes in [((3, 4), (4,)), ((3, 1), (1, 4)), ((2, 3, 4), (3, 1)), ((3,), ()), ((2, 2), (2, 2))]:
        x, b = inputs = [Tensor(rng.standard_normal(shape)) for shape in shapes]

        def f(x: Tensor, b: Tensor) -> Tensor:
            return (((x + b) * b).exp() * x).sum()

        f(x, b).backward()
        errors = [np.abs(t.grad - finite_differences(f, inputs, i)).max() for i, t in enumerate(inputs)]
        print(f"sum(exp((x + b) b) x), shapes {shapes}: largest error {max(errors):.1e}")
        if x.grad.shape != shapes[0] or b.grad.shape != shapes[1] or not max(errors) < 1e-5:
            raise SystemExit(f"the gradient is wrong for {shapes}")


if __name__ == "__main__":
    main()
