"""Step 1: the chain rule, by hand.

A program computes y from x in small operations, and each of them has a derivative that a school book lists:

    u = x * x        du/dx = 2 x
    v = sin(u)       dv/du = cos(u)
    y = v * x        dy/dv = x,  and directly dy/dx = v

The chain rule puts them together, going backwards from y: keep for each quantity q the number dy/dq, and hand to the
inputs of q that number times the derivative of q. A quantity that is used twice, as x here, gets a sum.

Next: every new formula needs new work by hand. Step 2 lets the program record the operations itself.
"""

from __future__ import annotations

import math


def f(x: float) -> float:
    return math.sin(x * x) * x


def f_and_derivative(x: float) -> tuple[float, float]:
    # Forward: the operations one by one, keeping what they give.
    u = x * x
    v = math.sin(u)
    y = v * x
    # Backward: dy_q stands for dy/dq.
    dy_y = 1.0
    dy_v = dy_y * x  # from y = v x
    dy_x = dy_y * v  # from y = v x, the direct way
    dy_u = dy_v * math.cos(u)  # from v = sin u
    dy_x += dy_u * 2 * x  # from u = x x: the second way to x, added to the first
    return y, dy_x


def finite_difference(x: float, h: float = 1e-5) -> float:
    """The slope of the chord from x - h to x + h: its error is of the order h^2, and needs no derivative."""
    return (f(x + h) - f(x - h)) / (2 * h)


def check(what: str, got: float, expected: float, tolerance: float) -> None:
    print(f"{what}: {got:.9f}, expected {expected:.9f}")
    if not abs(got - expected) <= tolerance:
        raise SystemExit(f"{what} is wrong")


def main() -> None:
    x = 1.3
    y, slope = f_and_derivative(x)
    check("f(1.3)", y, f(x), 0.0)
    check("f'(1.3), against finite differences", slope, finite_difference(x), 1e-8)
    check("f'(1.3), against the formula", slope, math.sin(x * x) + 2 * x * x * math.cos(x * x), 1e-12)


if __name__ == "__main__":
    main()
