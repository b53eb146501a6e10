"""Step 10: the derivative of a derivative.

The rules of the earlier steps compute with arrays, so the gradient that comes out has no history. But a rule is
ordinary arithmetic: g * y, g * x. If it is given Tensors in place of arrays, its own operations are recorded like any
others, and the gradient can be differentiated again, as often as one likes. Nothing else changes: the same rules, and
a flag `create_graph` that decides what they are given.

One condition: a rule must be written in operations that work on both. `tanh` below uses its own output z, so under
create_graph it has to get z as the Tensor it was.

Next: what if somebody changes an array after the graph has recorded it? Step 11.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

births = itertools.count()


class Tensor:
    def __init__(self, data: Any, rule: Callable | None = None, inputs: tuple[Tensor, ...] = ()) -> None:
        self.data = np.asarray(data, np.float64)
        self.rule, self.inputs, self.birth = rule, inputs, next(births)

    def __add__(self, other: Any) -> Tensor:
        other = as_tensor(other)
        return Tensor(self.data + other.data, lambda g, z, x, y: (g, g), (self, other))

    def __mul__(self, other: Any) -> Tensor:
        other = as_tensor(other)
        return Tensor(self.data * other.data, lambda g, z, x, y: (g * y, g * x), (self, other))

    __radd__, __rmul__ = __add__, __mul__

    def __neg__(self) -> Tensor:
        return self * -1.0

    def __rsub__(self, other: Any) -> Tensor:
        return other + -self

    def tanh(self) -> Tensor:
        return Tensor(np.tanh(self.data), lambda g, z, x: (g * (1.0 - z * z),), (self,))


def as_tensor(x: Any) -> Tensor:
    return x if isinstance(x, Tensor) else Tensor(x)


# These two appear in each other's rules, so they take arrays as well as Tensors.
def sin(x: Any) -> Any:
    return Tensor(np.sin(x.data), lambda g, z, x: (g * cos(x),), (x,)) if isinstance(x, Tensor) else np.sin(x)


def cos(x: Any) -> Any:
    return Tensor(np.cos(x.data), lambda g, z, x: (-(g * sin(x)),), (x,)) if isinstance(x, Tensor) else np.cos(x)


def grad(y: Tensor, x: Tensor, create_graph: bool = False) -> Tensor:
    """dy/dx, itself a part of the graph under create_graph."""
    seen, stack = {y}, [y]
    while stack:
        new = set(stack.pop().inputs) - seen
        seen |= new
        stack += new
    gradients: dict[Tensor, Any] = {y: Tensor(np.ones_like(y.data)) if create_graph else np.ones_like(y.data)}
    for z in sorted(seen, key=lambda tensor: tensor.birth, reverse=True):
        if z.rule is not None and z in gradients:
            given = (z, *z.inputs) if create_graph else (z.data, *(i.data for i in z.inputs))
            for i, gi in zip(z.inputs, z.rule(gradients[z], *given), strict=True):
                gradients[i] = gradients[i] + gi if i in gradients else gi
    return as_tensor(gradients[x])


def check(what: str, got: float, expected: float, tolerance: float = 1e-12) -> None:
    print(f"{what}: {got:.9f}, expected {expected:.9f}")
    if not abs(got - expected) <= tolerance * max(1.0, abs(expected)):
        raise SystemExit(f"{what} is wrong")


def main() -> None:
    x = Tensor(0.8)
    derivative = x.tanh()
    t = math.tanh(0.8)
    expected = [1 - t**2, -2 * t * (1 - t**2), (1 - t**2) * (6 * t**2 - 2), 8 * t * (1 - t**2) * (2 - 3 * t**2)]
    for order, value in enumerate(expected, 1):
        derivative = grad(derivative, x, create_graph=True)
        check(f"tanh, derivative {order}", float(derivative.data), value)

    y = x * x * x * sin(x)
    first = grad(y, x, create_graph=True)
    a = 0.8
    check("(x³ sin x)'", float(first.data), 3 * a**2 * math.sin(a) + a**3 * math.cos(a))
    second = (6 * a - a**3) * math.sin(a) + 6 * a**2 * math.cos(a)
    check("(x³ sin x)''", float(grad(first, x).data), second)

    # Newton's method needs the second derivative; it doubles the number of correct digits in each step.
    w = Tensor(1.0)
    for step in range(5):
        value = w * w * w * w + -3.0 * w  # smallest where 4 w^3 = 3
        first = grad(value, w, create_graph=True)
        w = Tensor(w.data - first.data / grad(first, w).data)
        print(f"Newton, step {step + 1}: error {abs(float(w.data) - 0.75 ** (1 / 3)):.1e}")
    check("minimum of w⁴ - 3w", float(w.data), 0.75 ** (1 / 3))


if __name__ == "__main__":
    main()
