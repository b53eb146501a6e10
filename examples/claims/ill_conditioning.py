"""What different curvatures in different directions do to gradient descent.

One learning rate serves all directions. The steepest allows at most 2 / l_max; with it the flattest shrinks by only
1 - 2 l_min / l_max a step. The number of steps is proportional to the condition number l_max / l_min, and near the
largest rate the steep coordinate changes its sign in every step.
"""

from __future__ import annotations

import numpy as np
from claim import NOT_SUPPORTED, SUPPORTED, Result, label, main, number, panels, slope

from minigrad import optim
from minigrad.datasets import QuadraticBowl


def descend(bowl: QuadraticBowl, lr: float, steps: int, tolerance: float = 0.0) -> np.ndarray:
    """The path from (1, 1), one row a step; it ends below the tolerance."""
    w = np.ones(2)
    optimizer = optim.GD(lr=lr)
    path = [w.copy()]
    while len(path) <= steps and np.abs(w).max() > tolerance:
        optimizer.update([w], [bowl.gradient(w)])
        path.append(w.copy())
    return np.array(path)


def run(quick: bool) -> Result:
    kappas = [3, 10, 30, 100] if quick else [3, 10, 30, 100, 300, 1000, 3000]
    steps = []
    for kappa in kappas:
        bowl = QuadraticBowl([1.0, kappa], rotate=False)
        steps.append(len(descend(bowl, 2 / (1 + kappa), 100_000, 1e-4)) - 1)  # 2 / (l_min + l_max): the best rate
    exponent = slope(kappas[1:], steps[1:])
    theory = [np.log(1e-4) / np.log((k - 1) / (k + 1)) for k in kappas]

    bowl = QuadraticBowl([1.0, 50.0], rotate=False)
    path = descend(bowl, 1.9 / 50, 40)
    changes = (np.sign(path[1:]) != np.sign(path[:-1])).mean(0)  # of [flat, steep]
    left_over = float(path[40, 0])

    figure, (left, right) = panels(2)
    left.plot(path[:, 0], "o-", markersize=3, label="flat direction, curvature 1")
    left.plot(path[:, 1], "o-", markersize=3, label="steep direction, curvature 50")
    label(left, "40 steps at lr = 1.9 / λ_max", "step", "coordinate")
    right.loglog(kappas, steps, "o", label="measured at the best rate")
    right.loglog(kappas, theory, "--", label="log(1e-4) / log((κ-1)/(κ+1))")
    label(right, "Steps to an error of 0.0001", "condition number κ", "steps")

    ok = changes[1] == 1 and changes[0] == 0 and abs(exponent - 1) < 0.05
    return Result(
        section="3.1 and 3.3",
        quote="Vanilla SGD oscillates in steep dimensions, slow progress in flat dimensions, "
        "especially bad when curvature varies greatly",
        numbers=[
            number("exponent of κ in the steps", exponent, 1.0),
            number(f"steps at κ = {kappas[-1]}", float(steps[-1]), theory[-1]),
            number("sign changes a step, steep direction", changes[1], 1.0),
            number("sign changes a step, flat direction", changes[0], 0.0),
            number("left of the flat coordinate after 40 steps", left_over, (1 - 1.9 / 50) ** 40),
        ],
        verdict=SUPPORTED if ok else NOT_SUPPORTED,
        because=f"the steps grow as κ^{exponent:.2f}; at κ = 50 the steep coordinate changes its sign in every step "
        f"while {left_over:.0%} of the flat one is left after 40.",
        figure=figure,
    )


if __name__ == "__main__":
    main(run)
