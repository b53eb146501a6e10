"""Large gradients get smaller steps, small gradients larger ones: what adaptive methods do about scales.

Linear regression on eight features whose units differ, from 0.01 to 100. The gradient of a weight is proportional to
the scale of its feature, while the weight must become 1 / scale: small features need the large weights. Plain
gradient descent does the reverse. The rate that each weight gets is its step divided by its gradient.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from claim import NOT_SUPPORTED, SUPPORTED, Result, label, main, number, panels, slope
from training import best

from minigrad import optim

SCALES = np.geomspace(0.01, 100, 8)
N = 256


def problem(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((N, len(SCALES)))
    return z * SCALES, z.sum(1)  # the answer is w = 1 / scale, and the loss at w = 0 is about 8 / 2


def descend(optimizer: Any, seed: int, steps: int) -> tuple[list[float], np.ndarray, np.ndarray]:
    """The losses, and for the first ten steps the mean |gradient| and the mean |step| of each weight."""
    x, y = problem(seed)
    w = np.zeros(len(SCALES))
    losses, gradients, moves = [], [], []
    for step in range(steps):
        residual = x @ w - y
        losses.append(float(np.mean(residual**2) / 2))
        if not losses[-1] < 1e6:
            return [*losses, np.inf], np.ones_like(w), np.ones_like(w)
        g = x.T @ residual / N
        before = w.copy()
        optimizer.update([w], [g])
        if step < 10:
            gradients.append(np.abs(g))
            moves.append(np.abs(w - before))
    return losses, np.mean(gradients, 0), np.mean(moves, 0)


MAKERS = {
    "SGD": lambda lr: optim.SGD(lr=lr),
    "momentum": lambda lr: optim.SGDMomentum(lr=lr),
    "AdaGrad": lambda lr: optim.AdaGrad(lr=lr),
    "RMSprop": lambda lr: optim.RMSprop(lr=lr),
    "Adam": lambda lr: optim.Adam(lr=lr),
}


def run(quick: bool) -> Result:
    seeds, steps = (2, 300) if quick else (5, 1000)
    rates = 10.0 ** np.arange(-6, 3)
    exponents: dict[str, list[float]] = {}
    finals: dict[str, list[float]] = {}
    curves, effective = {}, {}
    for name, make in MAKERS.items():
        lr, _ = best(rates, lambda lr, make=make: descend(make(lr), 100, steps)[0][-1])
        runs = [descend(make(lr), seed, steps) for seed in range(seeds)]
        exponents[name] = [slope(gradient, move / gradient) for _, gradient, move in runs]
        finals[name] = [losses[-1] / losses[0] for losses, _, _ in runs]
        curves[name] = np.mean([losses for losses, _, _ in runs], 0)
        effective[name] = runs[0][1], runs[0][2] / runs[0][1]

    figure, (left, right) = panels(2)
    for name, marker in zip(MAKERS, "os^vD", strict=True):
        gradient, rate = effective[name]
        left.loglog(gradient, rate, marker + "-", markersize=4, label=name)
        right.semilogy(curves[name], label=name)
    label(left, "The rate that a weight gets, first 10 steps", "mean |gradient| of the weight", "|step| / |gradient|")
    label(right, f"Loss, rates tuned for each ({len(rates)} tried)", "step", "loss")

    adaptive = ("AdaGrad", "RMSprop", "Adam")
    mean = {name: float(np.mean(finals[name])) for name in MAKERS}
    ok = all(abs(np.mean(exponents[name]) + 1) < 0.15 for name in adaptive) and abs(np.mean(exponents["SGD"])) < 0.05
    ok = ok and max(mean[name] for name in adaptive) < mean["SGD"] / 2
    return Result(
        section="3.4",
        quote="Features with large gradients → smaller steps, features with small gradients → larger steps",
        numbers=[
            *(
                number(
                    f"exponent of |gradient| in the rate, {name}", exponents[name], -1.0 if name in adaptive else 0.0
                )
                for name in MAKERS
            ),
            *(number(f"loss left after {steps} steps, {name}", finals[name]) for name in MAKERS),
        ],
        verdict=SUPPORTED if ok else NOT_SUPPORTED,
        because="the adaptive methods give a weight a rate proportional to 1/|gradient|, SGD the same rate to all; "
        + ", ".join(f"{name} leaves {mean[name]:.1%}" for name in MAKERS)
        + " of the loss.",
        figure=figure,
    )


if __name__ == "__main__":
    main(run)
