"""Momentum in consistent and in inconsistent directions.

v_{t+1} = b v_t + g_t is a geometric sum. A gradient that stays g makes v -> g / (1 - b): ten times the step at
b = 0.9. One that alternates between g and -g makes |v| -> g / (1 + b): about half the step. Together they reduce the
steps in a ravine of condition number k from the order of k to the order of sqrt(k).
"""

from __future__ import annotations

import numpy as np
from claim import NOT_SUPPORTED, SUPPORTED, Result, label, main, number, panels, slope

from minigrad import optim
from minigrad.datasets import QuadraticBowl

BETA = 0.9


def step_lengths(gradients: np.ndarray) -> np.ndarray:
    """The length of each step in units of lr |g|, for gradients of length 1."""
    w = np.zeros(1)
    optimizer = optim.SGDMomentum(lr=1.0, momentum=BETA)
    positions = [0.0]
    for g in gradients:
        optimizer.update([w], [np.array([g])])
        positions.append(w[0])
    return np.abs(np.diff(positions))


def steps_in_ravine(kappa: float, momentum: bool) -> int:
    """Steps to an error of 1e-4 with the rates that are best for the bowl (Polyak 1964)."""
    bowl = QuadraticBowl([1.0, kappa], rotate=False)
    root = np.sqrt(kappa)
    if momentum:
        optimizer = optim.SGDMomentum(lr=4 / (1 + root) ** 2, momentum=((root - 1) / (root + 1)) ** 2)
    else:
        optimizer = optim.GD(lr=2 / (1 + kappa))
    w = np.ones(2)
    for step in range(100_000):
        if np.abs(w).max() < 1e-4:
            return step
        optimizer.update([w], [bowl.gradient(w)])
    return 100_000


def run(quick: bool) -> Result:
    steps = 100
    consistent = step_lengths(np.ones(steps))
    alternating = step_lengths((-1.0) ** np.arange(steps))

    kappas = [10, 30, 100, 300] if quick else [10, 30, 100, 300, 1000, 3000]
    plain = [steps_in_ravine(k, momentum=False) for k in kappas]
    fast = [steps_in_ravine(k, momentum=True) for k in kappas]
    # The smallest condition numbers are left out of the fit: there the constant counts more than the growth.
    plain_slope, fast_slope = slope(kappas[1:], plain[1:]), slope(kappas[1:], fast[1:])

    figure, (left, right) = panels(2)
    left.plot(consistent, label="gradient 1, 1, 1, ...")
    left.plot(alternating, label="gradient 1, -1, 1, ...")
    left.axhline(1, color="#000000", linestyle=":", label="without momentum")
    left.set_yscale("log")
    label(left, f"Step length at β = {BETA}", "step", "length / (lr |g|)")
    right.loglog(kappas, plain, "o-", label=f"gradient descent, κ^{plain_slope:.2f}")
    right.loglog(kappas, fast, "o-", label=f"momentum, κ^{fast_slope:.2f}")
    label(right, "Ravine: steps to an error of 0.0001", "condition number κ", "steps")

    ok = abs(consistent[-1] - 1 / (1 - BETA)) < 0.01 and abs(alternating[-1] - 1 / (1 + BETA)) < 0.01
    ok = ok and fast_slope < 0.65 and fast[-1] < plain[-1]
    return Result(
        section="3.3",
        quote="Accelerates in consistent direction; dampens oscillations in inconsistent directions",
        numbers=[
            number("step length, consistent gradient", consistent[-1], 1 / (1 - BETA)),
            number("step length, alternating gradient", alternating[-1], 1 / (1 + BETA)),
            number("exponent of κ, gradient descent", plain_slope, 1.0),
            number("exponent of κ, momentum", fast_slope, 0.5),
            number(f"fewer steps at κ = {kappas[-1]}, factor", plain[-1] / fast[-1]),
        ],
        verdict=SUPPORTED if ok else NOT_SUPPORTED,
        because=f"steps become {consistent[-1]:.1f} times as long where the gradient is consistent and "
        f"{alternating[-1]:.2f} times where it alternates; a ravine of condition {kappas[-1]} takes "
        f"{plain[-1] / fast[-1]:.0f} times fewer steps.",
        figure=figure,
    )


if __name__ == "__main__":
    main(run)
