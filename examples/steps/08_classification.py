"""Step 8: softmax, cross-entropy, and a network that divides spirals.

Classes are not numbers on a line, so a network gives a score for each class, softmax makes them probabilities, and
the loss is -log of the probability of the right class:

    p_k = exp(s_k) / sum_j exp(s_j)        L = -log p_y = log sum_j exp(s_j) - s_y

Written as it stands, exp(1000) overflows. Subtracting the largest score first changes nothing in p and everything in
floating point. And taken together the two have a gradient that neither has alone: dL/ds = p - onehot(y). So they
become one operation, as in every framework.

Next: this loop runs 1000 steps; what happens to the graphs of the steps that are over? Step 9.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

births = itertools.count()


class Tensor:
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
                    gx = gx.sum(0) if gx.ndim > x.data.ndim else gx  # a bias was added to every row
                    x.grad = gx if x.grad is None else x.grad + gx

    def __add__(self, other: Tensor) -> Tensor:
        return Tensor(self.data + other.data, lambda g, z, x, y: (g, g), (self, other))

    def __matmul__(self, other: Tensor) -> Tensor:
        return Tensor(self.data @ other.data, lambda g, z, x, w: (g @ w.T, x.T @ g), (self, other))

    def relu(self) -> Tensor:
        return Tensor(np.maximum(self.data, 0), lambda g, z, x: (g * (x > 0),), (self,))


def cross_entropy(scores: Tensor, labels: np.ndarray) -> Tensor:
    """The mean over the rows of log sum_j exp(s_j) - s_y."""
    s = scores.data - scores.data.max(axis=1, keepdims=True)
    total = np.exp(s).sum(axis=1, keepdims=True)
    rows = np.arange(len(labels))

    def rule(g: np.ndarray, z: np.ndarray, _: np.ndarray) -> tuple[np.ndarray]:
        p = np.exp(s) / total
        p[rows, labels] -= 1
        return (g * p / len(labels),)

    return Tensor((np.log(total[:, 0]) - s[rows, labels]).mean(), rule, (scores,))


def spirals(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    labels = np.arange(n) % 3
    radius = rng.random(n)
    angle = 2 * np.pi * (labels / 3 + 0.75 * radius) + 0.05 * rng.standard_normal(n)
    return radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1), labels


def main() -> None:
    rng = np.random.default_rng(0)
    s, labels = Tensor(rng.standard_normal((4, 3))), np.array([0, 2, 1, 1])
    cross_entropy(s, labels).backward()
    direction, h = rng.standard_normal((4, 3)), 1e-6
    chord = (cross_entropy(Tensor(s.data + h * direction), labels).data
             - cross_entropy(Tensor(s.data - h * direction), labels).data) / (2 * h)  # fmt: skip
    error = abs(np.sum(s.grad * direction) - chord)
    huge = float(cross_entropy(Tensor([[1000.0, 0.0]]), np.array([1])).data)
    print(f"gradient against finite differences: error {error:.1e}; loss of scores (1000, 0) for class 1: {huge:.1f}")

    x, y = spirals(300, rng)
    shapes = [(2, 64), (64,), (64, 3), (3,)]
    parameters = w1, b1, w2, b2 = [Tensor(rng.normal(0, 1, shape) / len(shape) ** 3) for shape in shapes]
    velocity = [np.zeros(shape) for shape in shapes]
    for _ in range(1000):
        loss = cross_entropy((Tensor(x) @ w1 + b1).relu() @ w2 + b2, y)
        for p in parameters:
            p.grad = None
        loss.backward()
        for p, v in zip(parameters, velocity, strict=True):
            v *= 0.9
            v += p.grad
            p.data -= 0.2 * v
    x_test, y_test = spirals(300, rng)
    scores = np.maximum(x_test @ w1.data + b1.data, 0) @ w2.data + b2.data
    accuracy = (scores.argmax(1) == y_test).mean()
    print(f"three spirals: training loss {float(loss.data):.4f}, accuracy on new points {accuracy:.1%}")
    if not (error < 1e-8 and huge == 1000.0 and accuracy > 0.9):
        raise SystemExit("the loss, its gradient or the training is wrong")


if __name__ == "__main__":
    main()
