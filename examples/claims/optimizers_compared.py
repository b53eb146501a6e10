"""The module's table of SGD, momentum, Adam and AdamW: speed and generalisation.

An untuned comparison says nothing: whoever's default suits the problem wins. Here each optimizer gets the same
budget, six learning rates half a decade apart, and keeps the one with the best accuracy on validation data; the
figures are those of other seeds, on test data. Speed is the number of epochs until the training loss is below a mark.
How much an optimizer needs tuning is how many of its six rates come within two points of its best.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from claim import DEPENDS, NOT_SUPPORTED, SUPPORTED, Result, differs, label, main, number, paired, panels
from training import MLP, Data, Run, best, fashion, train

import minigrad
from minigrad import optim

MAKERS: dict[str, Any] = {
    "SGD": lambda p, lr: optim.SGD(p, lr=lr),
    "SGD+Momentum": lambda p, lr: optim.SGD(p, lr=lr, momentum=0.9),
    "Adam": lambda p, lr: optim.Adam(p, lr=lr),
    "AdamW": lambda p, lr: optim.AdamW(p, lr=lr, weight_decay=0.1),
}
# Half a decade apart, around where each kind usually works.
RATES = {
    "SGD": [0.01, 0.03, 0.1, 0.3, 1.0, 3.0],
    "SGD+Momentum": [0.001, 0.003, 0.01, 0.03, 0.1, 0.3],
    "Adam": [1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2],
    "AdamW": [1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2],
}


def trained(name: str, lr: float, data: Data, epochs: int, seed: int) -> Run:
    minigrad.manual_seed(seed)
    model = MLP([data.x.shape[1], 64, 10])
    return train(model, MAKERS[name](model.parameters(), lr), data, epochs, 64, seed)


def epoch_losses(run: Run, epochs: int) -> np.ndarray:
    """The mean training loss of each epoch; infinite from where it diverged."""
    losses = np.array(run.losses) if not run.diverged else np.full(epochs, np.inf)
    return losses[: len(losses) // epochs * epochs].reshape(epochs, -1).mean(1)


def run(quick: bool) -> Result:
    data = fashion(400, 400) if quick else fashion(4000, 2000)
    cut = len(data.x) * 4 // 5
    tuning = Data(data.x[:cut], data.y[:cut], data.x[cut:], data.y[cut:], data.name)
    seeds, epochs = (3, 3) if quick else (6, 12)
    mark = 1.0 if quick else 0.3

    runs, lrs, good = {}, {}, {}
    for name, rates in RATES.items():
        rates = rates[1:5:2] if quick else rates
        lrs[name], scores = best(rates, lambda lr, name=name: -trained(name, lr, tuning, epochs, 100).accuracy)
        good[name] = sum(score < min(scores.values()) + 0.02 for score in scores.values())
        runs[name] = [trained(name, lrs[name], data, epochs, seed) for seed in range(seeds)]

    losses = {name: np.array([epoch_losses(r, epochs) for r in rs]) for name, rs in runs.items()}
    speed = {name: [int(np.sum(curve > mark)) + 1 for curve in curves] for name, curves in losses.items()}
    accuracy = {name: [r.accuracy for r in rs] for name, rs in runs.items()}

    figure, (left, right) = panels(2)
    for name in MAKERS:
        left.semilogy(range(1, epochs + 1), losses[name].mean(0), label=f"{name}, lr {lrs[name]:g}")
        curves = 100 * np.array([r.test_accuracies for r in runs[name]])
        right.plot(range(1, epochs + 1), curves.mean(0), label=name)
    label(left, f"{data.name}, {len(data.x)} images, {seeds} seeds", "epoch", "training loss")
    label(right, "Rates tuned for each by the same budget", "epoch", "test accuracy (%)")

    def word(sign: int, more: str, less: str) -> str:
        return {1: more, 0: "no different from", -1: less}[sign]

    faster = differs(speed["SGD"], speed["SGD+Momentum"])  # more epochs for SGD: momentum is faster
    adam_fast = differs(speed["SGD"], speed["Adam"])
    worse = differs(accuracy["SGD+Momentum"], accuracy["Adam"])
    better = differs(accuracy["AdamW"], accuracy["Adam"])
    holds = [faster == 1, adam_fast == 1, worse == 1, better == 1]
    gap, error = paired(accuracy["AdamW"], accuracy["Adam"])
    return Result(
        section="3.6",
        quote="SGD: generalizes well, slow, needs tuning. SGD+Momentum: faster than SGD. Adam: fast, can generalize "
        "worse. AdamW: better generalization",
        numbers=[
            *(number(f"epochs to a training loss of {mark}, {name}", speed[name]) for name in MAKERS),
            *(number(f"test accuracy, {name}", accuracy[name]) for name in MAKERS),
            *(number(f"rates within 2 points of the best, {name}", float(good[name])) for name in MAKERS),
        ],
        verdict=SUPPORTED if all(holds) else DEPENDS if any(holds) else NOT_SUPPORTED,
        because=f"momentum is {word(faster, 'faster than', 'slower than')} SGD, Adam "
        f"{word(adam_fast, 'faster than', 'slower than')} SGD; Adam generalises "
        f"{word(-worse, 'better than', 'worse than')} momentum; AdamW {word(better, 'better than', 'worse than')} Adam "
        f"({100 * gap:+.2f} ± {100 * error:.2f} points).",
        figure=figure,
    )


if __name__ == "__main__":
    main(run)
