"""What too large and too small a learning rate do.

On a quadratic bowl with largest curvature l_max, gradient descent multiplies the error along that direction by
1 - lr l_max in each step: it diverges beyond lr = 2 / l_max. Far below, the number of steps grows as 1/lr. Both are
measured on the bowl, where they are exact, and looked for in a network on the digits, where they are not.
"""

from __future__ import annotations

import numpy as np
from claim import NOT_SUPPORTED, SUPPORTED, Result, label, main, number, panels, slope
from training import MLP, digits, train

import minigrad
from minigrad import optim
from minigrad.datasets import QuadraticBowl


def steps_to(bowl: QuadraticBowl, lr: float, tolerance: float, limit: int) -> int:
    """Steps until the error is below the tolerance; `limit` if that does not happen or the error explodes."""
    w = np.ones(2)
    optimizer = optim.GD(lr=lr)
    for step in range(limit):
        size = np.abs(w).max()
        if size < tolerance:
            return step
        if size > 1e6:
            return limit
        optimizer.update([w], [bowl.gradient(w)])
    return limit


def largest_stable_rate(bowl: QuadraticBowl) -> float:
    """By bisection: the rate above which 2,000 steps end farther away than they began."""
    low, high = 1e-3, 10.0
    while high / low > 1.0001:
        middle = np.sqrt(low * high)
        w = np.ones(2)
        optimizer = optim.GD(lr=middle)
        for _ in range(2000):
            optimizer.update([w], [bowl.gradient(w)])
            if np.abs(w).max() > 1e3:
                break
        low, high = (low, middle) if np.abs(w).max() > 1.0 else (middle, high)
    return float(low)


def run(quick: bool) -> Result:
    bowl = QuadraticBowl([1.0, 10.0], rotate=False)
    threshold = largest_stable_rate(bowl)
    rates = np.geomspace(1e-3, 0.1999, 12)
    steps = [steps_to(bowl, lr, 1e-3, 20_000) for lr in rates]
    small = rates < 0.05
    exponent = slope(rates[small], np.array(steps)[small])

    data = digits()
    seeds, epochs = (2, 3) if quick else (5, 10)
    network_rates = np.geomspace(1e-3, 30, 6 if quick else 12)
    losses = np.full((seeds, len(network_rates)), np.nan)
    for seed in range(seeds):
        for i, lr in enumerate(network_rates):
            minigrad.manual_seed(seed)
            model = MLP([64, 32, 10])
            result = train(model, optim.SGD(model.parameters(), lr=lr), data, epochs, 32, seed, measure=False)
            losses[seed, i] = min(result.final_loss(44), 10.0)  # 44 steps are an epoch; 10 stands for diverged
    curve = losses.mean(0)
    best = int(curve.argmin())

    figure, (left, right) = panels(2)
    left.loglog(rates, steps, "o-", label="measured")
    left.axvline(0.2, color="#D55E00", linestyle="--", label="2/λ_max: divergence beyond")
    label(left, "Bowl: steps to an error of 0.001", "learning rate", "steps")
    right.errorbar(network_rates, curve, losses.std(0, ddof=1), marker="o", capsize=3, label=f"mean of {seeds} seeds")
    right.axhline(np.log(10), color="#000000", linestyle=":", label="guessing, log 10")
    right.set_xscale("log")
    right.set_yscale("log")
    label(right, f"Digits: training loss after {epochs} epochs", "learning rate", "loss (10: diverged)")

    slow, fast = curve[0], curve[-1]
    ok = abs(threshold - 0.2) < 0.001 and abs(exponent + 1) < 0.05 and min(slow, fast) > 3 * curve[best]
    return Result(
        section="3.1",
        quote="Learning rate selection: Too large → diverge, too small → slow",
        numbers=[
            number("bowl: rate where divergence begins", threshold, 0.2),
            number("bowl: exponent of lr in the steps", exponent, -1.0),
            number("digits: best rate", float(network_rates[best])),
            number("digits: loss at the best rate", losses[:, best]),
            number("digits: loss at the smallest rate", losses[:, 0]),
            number("digits: loss at the largest rate", losses[:, -1]),
        ],
        verdict=SUPPORTED if ok else NOT_SUPPORTED,
        because=f"the bowl diverges beyond {threshold:.4f} and needs lr^{exponent:.2f} steps below; the network's loss "
        f"is {curve[best]:.3f} at {network_rates[best]:.2g}, {slow:.2f} at {network_rates[0]:.2g} and {fast:.2f} at "
        f"{network_rates[-1]:.2g}.",
        figure=figure,
    )


if __name__ == "__main__":
    main(run)
