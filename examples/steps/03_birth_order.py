"""Step 3: a chain of a hundred thousand operations, without recursion.

Step 2 found its order by recursion and died at a thousand operations; a recurrent network has more. But there is an
order for free: an operation can only use what exists already, so inputs are always born before outputs. Give every
number a birth number from a counter. Then backward is

1. collect what the result depends on, with a stack of our own, in any order;
2. sort it by birth, the youngest first.

A walk in that order meets a number only after everything that used it.

There is a second recursion, a hidden one. When the last reference to the result goes, Python frees it, which frees
its parents, and so on down the chain. For plain objects CPython keeps that in bounds itself; the test at the end goes
through it.

Next: a network has millions of numbers, and an object for each is far too slow. Step 4 makes the number an array.
"""

from __future__ import annotations

import itertools
import math

births = itertools.count()


class Value:
    """A number, how it was made, and when."""

    def __init__(self, data: float, parents: tuple[tuple[Value, float], ...] = ()) -> None:
        self.data = data
        self.grad = 0.0
        self.parents = parents
        self.birth = next(births)

    def __add__(self, other: Value) -> Value:
        return Value(self.data + other.data, ((self, 1.0), (other, 1.0)))

    def __mul__(self, other: Value) -> Value:
        return Value(self.data * other.data, ((self, other.data), (other, self.data)))

    def sin(self) -> Value:
        return Value(math.sin(self.data), ((self, math.cos(self.data)),))

    def backward(self) -> None:
        seen, stack = {self}, [self]
        while stack:
            for parent, _ in stack.pop().parents:
                if parent not in seen:
                    seen.add(parent)
                    stack.append(parent)
        self.grad = 1.0
        for value in sorted(seen, key=lambda value: value.birth, reverse=True):
            for parent, local in value.parents:
                parent.grad += value.grad * local


def check(what: str, got: float, expected: float, tolerance: float) -> None:
    print(f"{what}: {got:.9f}, expected {expected:.9f}")
    if not abs(got - expected) <= tolerance:
        raise SystemExit(f"{what} is wrong")


def main() -> None:
    x = Value(0.5)
    u = x * x
    (u * u.sin() + u).backward()
    check("shared nodes: d/dx (x² sin x² + x²)", x.grad, 2 * 0.5 * (math.sin(0.25) + 0.25 * math.cos(0.25) + 1), 1e-12)

    n = 100_000
    z = x = Value(1.0)
    factor = Value(1.0 + 1.0 / n)
    for _ in range(n):
        z = z * factor
    z.backward()
    check(f"x (1 + 1/n)^n for n = {n}: derivative in x", x.grad, (1 + 1 / n) ** n, 1e-9)
    check("derivative in the factor, over n", factor.grad / n, (1 + 1 / n) ** (n - 1), 1e-9)

    del z  # the whole chain goes
    print(f"the chain of {n} operations was freed")


if __name__ == "__main__":
    main()
