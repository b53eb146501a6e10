"""Step 5: an operation is two plain functions, and one test checks them all.

In step 4 the gradients were closures inside the methods: they could be neither read in one place nor tested by a
loop. Here an operation is a pair of functions on arrays that stand next to each other,

    forward  z = f(x, y)
    rule     (g, z, x, y) -> gradients of x and y,   where g is the gradient of z

and the rules read like a table of derivatives. A node keeps the operation, its inputs and its output, and backward
calls the rule. A registry knows all operations, so a loop can check them: each rule against finite differences, for a
random g. (g = 1 would hide mistakes: a rule that forgets to multiply by g passes with it.)

Next: with a matrix product among the operations there is something to learn. Step 6 fits a line.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

births = itertools.count()
registry: dict[str, Op] = {}


class Op:
    """Called with Tensors, it computes `forward` on their arrays and remembers what `rule` will need."""

    def __init__(self, forward: Callable) -> None:
        self.forward = forward
        registry[forward.__name__] = self

    def vjp(self, rule: Callable) -> Op:
        self.rule = rule
        return self

    def __call__(self, *inputs: Tensor) -> Tensor:
        return Tensor(self.forward(*(x.data for x in inputs)), self, inputs)


class Tensor:
    """An array, and the operation and inputs that made it."""

    def __init__(self, data: Any, op: Op | None = None, inputs: tuple[Tensor, ...] = ()) -> None:
        self.data = np.asarray(data, np.float64)
        self.grad: np.ndarray | None = None
        self.op, self.inputs, self.birth = op, inputs, next(births)

    def backward(self, g: np.ndarray) -> None:
        seen, stack = {self}, [self]
        while stack:
            new = set(stack.pop().inputs) - seen
            seen |= new
            stack += new
        self.grad = g
        for z in sorted(seen, key=lambda tensor: tensor.birth, reverse=True):
            if z.op is not None:
                gradients = z.op.rule(z.grad, z.data, *(x.data for x in z.inputs))
                for x, gx in zip(z.inputs, gradients, strict=True):
                    gx = sum_to(gx, x.data.shape)
                    x.grad = gx if x.grad is None else x.grad + gx


def sum_to(g: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    g = g.sum(axis=tuple(range(g.ndim - len(shape))))
    stretched = tuple(i for i, n in enumerate(shape) if n == 1 and g.shape[i] != 1)
    return g.sum(axis=stretched, keepdims=True) if stretched else g


# ---- the table of derivatives: (name, forward, rule) -----------------------------------------------------------------

TABLE: list[tuple[str, Callable, Callable]] = [
    ("add", lambda x, y: x + y, lambda g, z, x, y: (g, g)),
    ("sub", lambda x, y: x - y, lambda g, z, x, y: (g, -g)),
    ("mul", lambda x, y: x * y, lambda g, z, x, y: (g * y, g * x)),
    ("div", lambda x, y: x / y, lambda g, z, x, y: (g / y, -g * z / y)),
    ("exp", lambda x: np.exp(x), lambda g, z, x: (g * z,)),
    ("log", lambda x: np.log(x), lambda g, z, x: (g / x,)),
    ("tanh", lambda x: np.tanh(x), lambda g, z, x: (g * (1 - z * z),)),
    ("relu", lambda x: np.maximum(x, 0), lambda g, z, x: (g * (x > 0),)),
    ("sum", lambda x: x.sum(), lambda g, z, x: (np.broadcast_to(g, x.shape),)),
]
for name, forward, rule in TABLE:
    forward.__name__ = name
    Op(forward).vjp(rule)


def largest_error(op: Op, rng: np.random.Generator, h: float = 1e-6) -> float:
    """|d<g, z>/dx - finite difference| along random directions, over inputs that are broadcast."""
    shapes = [(3, 4), (4,), ()][: op.forward.__code__.co_argcount]
    z = op(*(inputs := [Tensor(rng.uniform(0.5, 2.0, shape)) for shape in shapes]))
    g = rng.standard_normal(z.data.shape)
    z.backward(g)
    errors = []
    for x in inputs:
        direction, before = rng.standard_normal(x.data.shape), x.data
        values = []
        for sign in (1, -1):
            x.data = before + sign * h * direction
            values.append(np.sum(g * op(*inputs).data))
        x.data = before
        errors.append(abs(np.sum(x.grad * direction) - (values[0] - values[1]) / (2 * h)))
    return float(max(errors))


def main() -> None:
    rng = np.random.default_rng(0)
    for name, op in registry.items():
        error = largest_error(op, rng)
        print(f"{name:5} error {error:.1e}")
        if not error < 1e-7:
            raise SystemExit(f"the rule of {name} is wrong")
    wrong = Op(lambda x: np.exp(x)).vjp(lambda g, z, x: (z,))  # forgets g
    print(f"a rule that forgets g: error {largest_error(wrong, rng):.1f}, found")


if __name__ == "__main__":
    main()
