"""AdaGrad's sum of squares only grows; RMSprop's average forgets.

With gradients of a constant size s, AdaGrad's rate lr / sqrt(g_t + eps) is lr / (s sqrt(t)): it goes to zero, with the
exponent -1/2. RMSprop's is lr / s for ever. Measured with gradients drawn from a normal distribution and on a
network; then the consequence: a minimum that moves at a late time is followed by RMSprop and hardly by AdaGrad.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from claim import NOT_SUPPORTED, SUPPORTED, Result, label, main, number, panels, slope
from training import MLP, digits, train

import minigrad
from minigrad import optim


def rates(optimizer: Any, steps: int, seed: int) -> np.ndarray:
    """|step| / |gradient| for standard normal gradients, the mean over 1,000 parameters."""
    rng = np.random.default_rng(seed)
    w = np.zeros(1000)
    result = []
    for _ in range(steps):
        g, before = rng.standard_normal(1000), w.copy()
        optimizer.update([w], [g])
        result.append(np.abs(w - before).sum() / np.abs(g).sum())
    return np.array(result)


def steps_to_follow(optimizer: Any, quiet: int, limit: int) -> int:
    """The minimum of (w - c)^2 / 2 swings between -1 and 1 for `quiet` steps, then c = 3: steps to within 0.1."""
    w = np.zeros(1)
    for step in range(quiet):
        optimizer.update([w], [w - (-1.0) ** step])
    for step in range(limit):
        if abs(w[0] - 3) < 0.1:
            return step
        optimizer.update([w], [w - 3.0])
    return limit


def network_rate(kind: Any, epochs: int, seed: int) -> float:
    """The mean rate 1 / sqrt(g_t) of a network's weights at the end, divided by that after the first epoch."""
    minigrad.manual_seed(seed)
    model = MLP([64, 32, 10])
    optimizer = kind(model.parameters(), lr=0.01)
    data = digits()
    seen = []

    def note(step: int) -> None:
        if (step + 1) % 44 == 0:
            sums = [s for p in model.parameters() for k, s in optimizer.state[p].items() if k in ("sum", "square_avg")]
            # AdaGrad's sum over t steps; the median, since weights of dead units have a rate of their own.
            seen.append(1 / np.sqrt(np.median(np.concatenate([np.ravel(s) for s in sums])) + 1e-8))

    train(model, optimizer, data, epochs, 32, seed, on_step=note, measure=False)
    return float(seen[-1] / seen[0])


def run(quick: bool) -> Result:
    steps, seeds = (1000, 2) if quick else (10_000, 5)
    measured = {
        "AdaGrad": [rates(optim.AdaGrad(lr=1.0), steps, seed) for seed in range(seeds)],
        "RMSprop": [rates(optim.RMSprop(lr=1.0), steps, seed) for seed in range(seeds)],
    }
    t = np.arange(1, steps + 1)
    late = t > 50  # RMSprop's average needs some tens of steps to be one
    exponents = {name: [slope(t[late], r[late]) for r in runs] for name, runs in measured.items()}

    quiet, limit = steps, 20_000
    follow = {
        "AdaGrad": steps_to_follow(optim.AdaGrad(lr=0.1), quiet, limit),
        "RMSprop": steps_to_follow(optim.RMSprop(lr=0.1), quiet, limit),
    }
    epochs = 4 if quick else 20
    ratio = network_rate(optim.AdaGrad, epochs, 0)

    figure, (ax,) = panels()
    for name, runs in measured.items():
        ax.loglog(t, runs[0], label=f"{name}, exponent {np.mean(exponents[name]):.2f}")
    ax.loglog(t, 1 / np.sqrt(t), "--", label="1/√t")
    label(ax, "Rate for gradients of constant size (lr = 1)", "step t", "|step| / |gradient|")

    ada, rms = float(np.mean(exponents["AdaGrad"])), float(np.mean(exponents["RMSprop"]))
    ok = abs(ada + 0.5) < 0.02 and abs(rms) < 0.02 and follow["AdaGrad"] > 5 * follow["RMSprop"]
    return Result(
        section="3.4",
        quote="AdaGrad: g only grows → learning rate goes to zero. RMSprop: exponential moving average instead of "
        "accumulation",
        numbers=[
            number("exponent of t in the rate, AdaGrad", exponents["AdaGrad"], -0.5),
            number("exponent of t in the rate, RMSprop", exponents["RMSprop"], 0.0),
            number(f"rate after {steps} steps, AdaGrad", [r[-1] for r in measured["AdaGrad"]], 1 / np.sqrt(steps)),
            number(f"steps to follow after {quiet}, AdaGrad", float(follow["AdaGrad"])),
            number(f"steps to follow after {quiet}, RMSprop", float(follow["RMSprop"])),
            number(f"network: rate after {epochs} epochs / after 1", ratio),
        ],
        verdict=SUPPORTED if ok else NOT_SUPPORTED,
        because=f"AdaGrad's rate falls as t^{ada:.2f}, RMSprop's as t^{rms:.2f}; when the minimum moves after {quiet} "
        f"steps, RMSprop follows in {follow['RMSprop']} steps and AdaGrad in {follow['AdaGrad']}.",
        figure=figure,
    )


if __name__ == "__main__":
    main(run)
