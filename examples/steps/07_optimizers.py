"""Step 7: gradient descent, momentum and Adam.

Step 6 stepped along the gradient with one rate for everything. In a ravine, where one direction is a hundred times
steeper than another, the steep one limits the rate and the flat one waits. Two remedies, in the course module's form:

    momentum    v <- b v + g                      p <- p - lr v
    Adam        m <- b1 m + (1 - b1) g            v <- b2 v + (1 - b2) g^2
                p <- p - lr m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps)

An optimizer needs no graph: it sees arrays and their gradients, and keeps state between the steps. Each one is
checked against something that can be calculated by hand.

Next: so far the network says numbers. Step 8 lets it say which class.
"""

from __future__ import annotations

import numpy as np

Arrays = list[np.ndarray]


class GD:
    def __init__(self, lr: float) -> None:
        self.lr = lr

    def update(self, params: Arrays, grads: Arrays) -> None:
        for p, g in zip(params, grads, strict=True):
            p -= self.lr * g


class Momentum:
    def __init__(self, lr: float, beta: float = 0.9) -> None:
        self.lr, self.beta = lr, beta
        self.v: Arrays = []

    def update(self, params: Arrays, grads: Arrays) -> None:
        self.v = self.v or [np.zeros_like(p) for p in params]
        for p, g, v in zip(params, grads, self.v, strict=True):
            v *= self.beta
            v += g
            p -= self.lr * v


class Adam:
    def __init__(self, lr: float, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8) -> None:
        self.lr, self.beta1, self.beta2, self.eps = lr, beta1, beta2, eps
        self.m: Arrays = []
        self.v: Arrays = []
        self.t = 0

    def update(self, params: Arrays, grads: Arrays) -> None:
        self.m = self.m or [np.zeros_like(p) for p in params]
        self.v = self.v or [np.zeros_like(p) for p in params]
        self.t += 1
        for p, g, m, v in zip(params, grads, self.m, self.v, strict=True):
            m += (1 - self.beta1) * (g - m)
            v += (1 - self.beta2) * (g * g - v)
            m_hat, v_hat = m / (1 - self.beta1**self.t), v / (1 - self.beta2**self.t)
            p -= self.lr * m_hat / (np.sqrt(v_hat) + self.eps)


CURVATURES = np.array([1.0, 100.0])  # f(w) = (w1^2 + 100 w2^2) / 2


def steps_needed(optimizer: GD | Momentum | Adam, limit: int = 5000) -> int:
    """From (1, 1) until both coordinates are below 0.001."""
    w = np.ones(2)
    for step in range(limit):
        if np.abs(w).max() < 1e-3:
            return step
        optimizer.update([w], [CURVATURES * w])
    return limit


def check(what: str, got: float, expected: float, tolerance: float) -> None:
    print(f"{what}: {got:.6f}, expected {expected:.6f}")
    if not abs(got - expected) <= tolerance:
        raise SystemExit(f"{what} is wrong")


def main() -> None:
    w = np.ones(2)
    descent = GD(0.015)
    for _ in range(10):
        descent.update([w], [CURVATURES * w])
    check("GD after 10 steps, flat direction: (1 - lr)^10", w[0], (1 - 0.015) ** 10, 1e-12)
    check("GD after 10 steps, steep direction: (1 - 100 lr)^10", w[1], (1 - 1.5) ** 10, 1e-12)

    momentum, p = Momentum(0.01), np.zeros(1)
    for _ in range(200):
        before = p.copy()
        momentum.update([p], [np.ones(1)])
    check("momentum, constant gradient 1: the step becomes lr / (1 - β)", (before - p).item(), 0.1, 1e-9)

    adam, p = Adam(0.01), np.array([5.0, 5.0])
    adam.update([p], [np.array([1000.0, 0.001])])
    check("Adam, first step: lr, whatever the size of the gradient", 5 - p[0], 0.01, 1e-9)
    check("Adam, first step, of a gradient a million times smaller", 5 - p[1], 0.01, 1e-6)

    root = np.sqrt(100.0)
    needed = {
        "gradient descent": steps_needed(GD(2 / 101)),
        "momentum": steps_needed(Momentum(4 / (1 + root) ** 2, ((root - 1) / (root + 1)) ** 2)),
        "Adam": steps_needed(Adam(0.1)),
    }
    for name, steps in needed.items():
        print(f"ravine of condition number 100, {name}: {steps} steps")
    check("gradient descent: log(0.001) / log(99/101)", needed["gradient descent"], np.log(1e-3) / np.log(99 / 101), 1)
    if not needed["momentum"] < needed["gradient descent"] / 3:
        raise SystemExit("momentum should be much faster in a ravine")


if __name__ == "__main__":
    main()
