"""Does it pay to switch from Adam to SGD+Momentum for the final training?

Three ways to spend the same number of epochs on the same network: Adam to the end, SGD+Momentum from the start, and
Adam for the first half with SGD+Momentum for the second. Each gets its learning rates from the same budget of
validation runs (the switch keeps the rate that Adam has, and tries as many for the second half), and every rate
falls to zero along a cosine. Compared seed by seed on test data.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from claim import DEPENDS, NOT_SUPPORTED, SUPPORTED, Result, differs, label, main, number, paired, panels
from training import MLP, Data, Run, best, fashion, train

import minigrad
from minigrad import optim
from minigrad.optim import schedules

ADAM, MOMENTUM = [3e-4, 1e-3, 3e-3, 1e-2], [0.003, 0.01, 0.03, 0.1]
BATCH = 64
Rates = tuple[float, float]  # of Adam, of SGD+Momentum; 0 for one that does not take part


def cosine(lr: float, steps: int) -> Any:
    return schedules.cosine(lr, T=steps)


def trained(rates: Rates, data: Data, epochs: int, seed: int) -> Run:
    """A run: with both rates, the first half is Adam's and the second SGD's."""
    minigrad.manual_seed(seed)
    model = MLP([data.x.shape[1], 64, 10])
    steps = epochs * (len(data.x) // BATCH)
    adam, momentum = rates
    if not momentum:
        return train(model, optim.Adam(model.parameters(), lr=cosine(adam, steps)), data, epochs, BATCH, seed)
    if not adam:
        sgd = optim.SGD(model.parameters(), lr=cosine(momentum, steps), momentum=0.9)
        return train(model, sgd, data, epochs, BATCH, seed)
    half = epochs // 2
    # Adam at the rate that it would have in the first half of its whole run, then a cosine of SGD's own.
    first = train(model, optim.Adam(model.parameters(), lr=cosine(adam, steps)), data, half, BATCH, seed)
    if first.diverged:
        return first
    rest = epochs - half
    sgd = optim.SGD(model.parameters(), lr=cosine(momentum, steps * rest // epochs), momentum=0.9)
    second = train(model, sgd, data, rest, BATCH, seed + 1000)
    return Run(
        first.losses + second.losses,
        first.test_losses + second.test_losses,
        first.test_accuracies + second.test_accuracies,
        second.diverged,
    )


def run(quick: bool) -> Result:
    data = fashion(400, 400) if quick else fashion(4000, 2000)
    cut = len(data.x) * 4 // 5
    tuning = Data(data.x[:cut], data.y[:cut], data.x[cut:], data.y[cut:], data.name)
    seeds, epochs = (3, 4) if quick else (8, 12)
    tried = slice(1, 3) if quick else slice(None)

    def score(rates: Rates) -> float:
        return -trained(rates, tuning, epochs, 100).accuracy

    adam, _ = best(ADAM[tried], lambda lr: score((lr, 0)))
    momentum, _ = best(MOMENTUM[tried], lambda lr: score((0, lr)))
    second, _ = best(MOMENTUM[tried], lambda lr: score((adam, lr)))
    ways: dict[str, Rates] = {
        "Adam": (adam, 0),
        "SGD+Momentum": (0, momentum),
        "Adam, then SGD+Momentum": (adam, second),
    }
    runs = {name: [trained(rates, data, epochs, seed) for seed in range(seeds)] for name, rates in ways.items()}
    accuracy = {name: [r.accuracy for r in rs] for name, rs in runs.items()}
    loss = {name: [r.test_loss for r in rs] for name, rs in runs.items()}

    figure, (left, right) = panels(2)
    for name, rs in runs.items():
        epoch = range(1, epochs + 1)
        left.plot(epoch, np.mean([r.test_losses for r in rs], 0), label=name)
        right.plot(epoch, 100 * np.mean([r.test_accuracies for r in rs], 0), label=name)
    for ax in (left, right):
        ax.axvline(epochs // 2 + 0.5, color="#000000", linestyle=":", linewidth=1)
    label(left, f"{data.name}, {len(data.x)} images, {seeds} seeds; dotted: the switch", "epoch", "test loss")
    label(right, "Rates tuned for each by the same budget", "epoch", "test accuracy (%)")

    switched = "Adam, then SGD+Momentum"
    gain, error = paired(accuracy[switched], accuracy["Adam"])
    lead, lead_error = paired(accuracy["SGD+Momentum"], accuracy["Adam"])
    # Either way of ending with SGD+Momentum would make the advice good.
    holds = [differs(accuracy[name], accuracy["Adam"]) == 1 for name in (switched, "SGD+Momentum")]
    return Result(
        section="3.6",
        quote="Switch to SGD+Momentum for final training if time allows",
        numbers=[
            *(number(f"test accuracy, {name}", accuracy[name]) for name in ways),
            *(number(f"test loss, {name}", loss[name]) for name in ways),
        ],
        verdict=SUPPORTED if all(holds) else DEPENDS if any(holds) else NOT_SUPPORTED,
        because=f"against Adam to the end, the switch changes the test accuracy by {100 * gain:+.2f} ± "
        f"{100 * error:.2f} points, SGD+Momentum from the start by {100 * lead:+.2f} ± {100 * lead_error:.2f}.",
        figure=figure,
    )


if __name__ == "__main__":
    main(run)
