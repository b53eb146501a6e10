"""Step 2: the program records its own operations.

Step 1 had to be written again for every formula. Here a number is an object that knows how it was made: its parents,
and the local derivative for each of them. Calling `backward` on the result goes through these records.

The order matters. In

        x ──► u = x x ──► y = u + x u

u is used twice. If it hands its gradient on to x before both uses have reported, x gets too little. So a number may
be visited only after everything that used it: a topological order, found here by a recursive walk.

Next: the recursion ends at Python's limit of about a thousand calls. Step 3 needs none.
"""

from __future__ import annotations

import math
from collections.abc import Callable


class Value:
    """A number, and how it was made."""

    def __init__(self, data: float, parents: tuple[tuple[Value, float], ...] = ()) -> None:
        self.data = data
        self.grad = 0.0
        self.parents = parents  # pairs of an input and d self / d input

    def __add__(self, other: Value) -> Value:
        return Value(self.data + other.data, ((self, 1.0), (other, 1.0)))

    def __mul__(self, other: Value) -> Value:
        return Value(self.data * other.data, ((self, other.data), (other, self.data)))

    def sin(self) -> Value:
        return Value(math.sin(self.data), ((self, math.cos(self.data)),))

    def backward(self) -> None:
        order: list[Value] = []
        seen: set[int] = set()

        def visit(value: Value) -> None:
            if id(value) not in seen:
                seen.add(id(value))
                for parent, _ in value.parents:
                    visit(parent)
                order.append(value)  # after all that it was made from

        visit(self)
        self.grad = 1.0
        for value in reversed(order):
            for parent, local in value.parents:
                parent.grad += value.grad * local


def finite_difference(f: Callable[[float], float], x: float, h: float = 1e-5) -> float:
    return (f(x + h) - f(x - h)) / (2 * h)


def check(what: str, got: float, expected: float, tolerance: float) -> None:
    print(f"{what}: {got:.9f}, expected {expected:.9f}")
    if not abs(got - expected) <= tolerance:
        raise SystemExit(f"{what} is wrong")


def main() -> None:
    def g(x: Value) -> Value:
        u = x * x
        return u + x * u.sin() + u * u  # u is used three times, x twice

    x = Value(0.7)
    g(x).backward()
    check("g'(0.7), shared nodes", x.grad, finite_difference(lambda a: g(Value(a)).data, 0.7), 1e-8)

    x, y = Value(2.0), Value(-3.0)
    (x * y + x).backward()
    check("d(xy + x)/dx = y + 1", x.grad, -2.0, 0.0)
    check("d(xy + x)/dy = x", y.grad, 2.0, 0.0)

    z = x = Value(1.0)
    for _ in range(2000):
        z = z + x
    try:
        z.backward()
        raise SystemExit("expected a RecursionError")
    except RecursionError:
        print("a sum of 2000 terms: RecursionError. Step 3 mends it.")


if __name__ == "__main__":
    main()
