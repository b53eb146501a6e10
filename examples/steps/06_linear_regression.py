"""Step 6: the matrix product, and a first thing that learns.

The engine of step 5 gets the operation that all networks consist of. For Z = X W, L some later loss and G = dL/dZ,

    dL/dX = G W^T        dL/dW = X^T G

which can be had from the shapes alone: with X (n, i), W (i, o) and G (n, o) there is only one way to multiply G and W
to (n, i). Then: linear regression by gradient descent, compared with what linear algebra gives in one line.

Next: 200 steps for a problem of three numbers is a lot. Step 7 looks at the ways to take a step.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

births = itertools.count()


class Tensor:
    """An array, and the rule and inputs that made it: rule(g, z, *inputs) gives the gradients of the inputs."""

    def __init__(self, data: Any, rule: Callable | None = None, inputs: tuple[Tensor, ...] = ()) -> None:
        self.data = np.asarray(data, np.float64)
        self.grad: np.ndarray | None = None
        self.rule, self.inputs, self.birth = rule, inputs, next(births)

    def backward(self) -> None:
        seen, stack = {self}, [self]
        while stack:
            new = set(stack.pop().inputs) - seen
            seen |= new
            stack += new
        self.grad = np.ones_like(self.data)
        for z in sorted(seen, key=lambda tensor: tensor.birth, reverse=True):
            if z.rule is not None:
                gradients = z.rule(z.grad, z.data, *(x.data for x in z.inputs))
                for x, gx in zip(z.inputs, gradients, strict=True):
                    gx = sum_to(gx, x.data.shape)
                    x.grad = gx if x.grad is None else x.grad + gx

    def __add__(self, other: Tensor) -> Tensor:
        return Tensor(self.data + other.data, lambda g, z, x, y: (g, g), (self, other))

    def __sub__(self, other: Tensor) -> Tensor:
        return Tensor(self.data - other.data, lambda g, z, x, y: (g, -g), (self, other))

    def __mul__(self, other: Tensor) -> Tensor:
        return Tensor(self.data * other.data, lambda g, z, x, y: (g * y, g * x), (self, other))

    def __matmul__(self, other: Tensor) -> Tensor:
        return Tensor(self.data @ other.data, lambda g, z, x, w: (g @ w.T, x.T @ g), (self, other))

    def mean(self) -> Tensor:
        return Tensor(self.data.mean(), lambda g, z, x: (np.broadcast_to(g / x.size, x.shape),), (self,))


def sum_to(g: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    g = g.sum(axis=tuple(range(g.ndim - len(shape))))
    stretched = tuple(i for i, n in enumerate(shape) if n == 1 and g.shape[i] != 1)
    return g.sum(axis=stretched, keepdims=True) if stretched else g


def loss(x: Tensor, y: Tensor, w: Tensor, b: Tensor) -> Tensor:
    error = x @ w + b - y
    return (error * error).mean()


def main() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((100, 2))
    y = x @ [[2.0], [-1.0]] + 0.5 + 0.1 * rng.standard_normal((100, 1))

    # First the gradient: against its closed form, 2 X^T (X w + b - y) / n.
    w, b = Tensor(np.ones((2, 1))), Tensor(np.zeros(1))
    loss(Tensor(x), Tensor(y), w, b).backward()
    residual = x @ w.data + b.data - y
    error = max(np.abs(w.grad - 2 * x.T @ residual / 100).max(), np.abs(b.grad - 2 * residual.mean(0)).max())
    print(f"gradient against 2 Xᵀ(Xw + b - y)/n: largest error {error:.1e}")

    # Then the descent.
    learning_rate = 0.1
    for step in range(201):
        w.grad = b.grad = None
        value = loss(Tensor(x), Tensor(y), w, b)
        value.backward()
        for p in (w, b):
            p.data -= learning_rate * p.grad
        if step % 50 == 0:
            print(f"step {step:3}: loss {float(value.data):.6f}")

    best, *_ = np.linalg.lstsq(np.hstack([x, np.ones((100, 1))]), y, rcond=None)
    distance = np.abs(np.concatenate([w.data, b.data[:, None]]) - best).max()
    print(f"w = {w.data.ravel().round(4)}, b = {b.data.round(4)}; from the least squares solution {distance:.1e}")
    if not (error < 1e-12 and distance < 1e-10):
        raise SystemExit("the gradient or the descent is wrong")


if __name__ == "__main__":
    main()
