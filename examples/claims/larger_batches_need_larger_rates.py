"""Do larger batches need a larger learning rate, and are they more stable?

With the number of epochs fixed, a batch ten times as large makes a tenth of the updates: to get as far, each must be
larger. A rule of thumb says in proportion to B (Goyal et al. 2017), another as sqrt(B) (Krizhevsky 2014). Measured: for
each batch size the rate with the lowest training loss after five epochs. Stability is the fluctuation of the loss on
all the data from one step to the next, at one rate, beginning at one place.
"""

from __future__ import annotations

import numpy as np
from claim import DEPENDS, NOT_SUPPORTED, SUPPORTED, Result, label, main, number, panels, slope
from training import MLP, Data, digits, test, train

import minigrad
from minigrad import optim


def final_losses(data: Data, batch_size: int, rates: list[float], epochs: int, seed: int) -> list[float]:
    """The loss on all training data for each rate; a diverged run has 10."""
    losses = []
    for lr in rates:
        minigrad.manual_seed(seed)
        model = MLP([64, 32, 10])
        run = train(model, optim.SGD(model.parameters(), lr=lr), data, epochs, batch_size, seed, measure=False)
        losses.append(10.0 if run.diverged else min(test(model, data.x, data.y)[0], 10.0))
    return losses


def best_rate(rates: list[float], losses: list[float]) -> float:
    """Where a parabola through the lowest point and its neighbours, on logarithmic scales, is lowest."""
    i = min(max(int(np.argmin(losses)), 1), len(rates) - 2)
    a, b, _ = np.polyfit(np.log(rates[i - 1 : i + 2]), np.log(losses[i - 1 : i + 2]), 2)
    low, high = np.log(rates[i - 1]), np.log(rates[i + 1])
    return float(np.exp(np.clip(-b / (2 * a), low, high))) if a > 0 else rates[int(np.argmin(losses))]


def fluctuation(data: Data, batch_size: int, steps: int, seed: int) -> float:
    """Standard deviation of the change of the loss on all data in one step of rate 0.2."""
    minigrad.manual_seed(seed)
    model = MLP([64, 32, 10])
    train(model, optim.SGD(model.parameters(), lr=0.1), data, 3, 32, seed, measure=False)
    losses: list[float] = []
    optimizer = optim.SGD(model.parameters(), lr=0.2)
    epochs = -(-steps // (len(data.x) // batch_size))
    train(
        model, optimizer, data, epochs, batch_size, seed, measure=False,
        on_step=lambda _: losses.append(test(model, data.x, data.y)[0]) if len(losses) < steps else None,
    )  # fmt: skip
    return float(np.std(np.diff(losses)))


def run(quick: bool) -> Result:
    data = digits()
    sizes = [8, 32, 128, 512]
    rates = [float(r) for r in 0.02 * 2.0 ** np.arange(0, 9 if quick else 10)]
    seeds, epochs = (2, 2) if quick else (5, 5)
    curves = np.array([[final_losses(data, B, rates, epochs, seed) for B in sizes] for seed in range(seeds)])
    best = np.array([[best_rate(rates, losses) for losses in of_seed] for of_seed in curves])
    exponents = [slope(sizes, row) for row in best]
    wobble = {B: [fluctuation(data, B, 30 if quick else 60, seed) for seed in range(seeds)] for B in (8, 512)}

    figure, (left, right) = panels(2)
    for i, B in enumerate(sizes):
        left.loglog(rates, curves[:, i].mean(0), "o-", markersize=3, label=f"B = {B}")
    label(left, f"Digits: training loss after {epochs} epochs", "learning rate", "loss (10: diverged)")
    right.errorbar(sizes, best.mean(0), best.std(0, ddof=1), fmt="o-", capsize=3, label=f"measured, {seeds} seeds")
    right.plot(sizes, best.mean(0)[0] * np.array(sizes) / sizes[0], ":", label="in proportion to B")
    right.plot(sizes, best.mean(0)[0] * np.sqrt(np.array(sizes) / sizes[0]), "--", label="as √B")
    right.set_xscale("log", base=2)
    right.set_yscale("log")
    right.set_xticks(sizes, [str(B) for B in sizes])
    label(right, "Best learning rate", "batch size B", "learning rate")

    exponent, error = float(np.mean(exponents)), float(np.std(exponents, ddof=1) / np.sqrt(seeds))
    ratio = np.mean(wobble[8]) / np.mean(wobble[512])
    grows, stable = exponent - 2 * error > 0, ratio > 1
    return Result(
        section="3.2",
        quote="Larger batches → more stable but need larger learning rate",
        numbers=[
            number("exponent of B in the best rate", exponents),
            *(number(f"best rate at B = {B}", best[:, i]) for i, B in enumerate(sizes)),
            number("fluctuation of the loss a step, B = 8", wobble[8]),
            number("fluctuation of the loss a step, B = 512", wobble[512]),
        ],
        verdict=SUPPORTED if grows and stable else DEPENDS if grows or stable else NOT_SUPPORTED,
        because=f"the best rate grows as B^{exponent:.2f} (± {error:.2f}), from {best[:, 0].mean():.2f} at B = 8 to "
        f"{best[:, -1].mean():.2f} at B = 512; at one rate the loss fluctuates {ratio:.1f} times as much with B = 8.",
        figure=figure,
    )


if __name__ == "__main__":
    main(run)
