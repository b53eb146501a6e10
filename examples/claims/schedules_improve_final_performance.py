"""Do learning rate schedules improve the final performance?

A large rate is fast and leaves noise at the end, a small one is exact and slow; a schedule has both, one after the
other. The same network is trained for the same number of epochs with a constant rate and with five schedules. Each
gets the same budget of rates to choose from, by validation accuracy, and is then compared on test data with the
constant rate seed by seed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from claim import DEPENDS, NOT_SUPPORTED, SUPPORTED, Result, differs, label, main, number, panels
from training import MLP, Data, Run, best, fashion, train

import minigrad
from minigrad import optim
from minigrad.optim import schedules

NAMES = ["constant", "step", "exponential", "cosine", "warmup-cosine", "one-cycle"]


def trained(name: str, lr: float, data: Data, epochs: int, seed: int) -> Run:
    minigrad.manual_seed(seed)
    model = MLP([data.x.shape[1], 64, 10])
    schedule: Any = schedules.by_name(name, lr, epochs * (len(data.x) // 32))
    optimizer = optim.SGD(model.parameters(), lr=schedule, momentum=0.9)
    return train(model, optimizer, data, epochs, 32, seed)


def run(quick: bool) -> Result:
    data = fashion(400, 400) if quick else fashion(3000, 2000)
    cut = len(data.x) * 4 // 5
    tuning = Data(data.x[:cut], data.y[:cut], data.x[cut:], data.y[cut:], data.name)
    names = ["constant", "cosine", "one-cycle"] if quick else NAMES
    seeds, epochs = (3, 4) if quick else (6, 8)
    rates = [0.01, 0.1] if quick else [0.003, 0.01, 0.03, 0.1]

    runs, lrs = {}, {}
    for name in names:
        lrs[name], _ = best(rates, lambda lr, name=name: trained(name, lr, tuning, epochs, 100).test_loss)
        runs[name] = [trained(name, lrs[name], data, epochs, seed) for seed in range(seeds)]
    test_loss = {name: [r.test_loss for r in rs] for name, rs in runs.items()}
    accuracy = {name: [r.accuracy for r in rs] for name, rs in runs.items()}

    figure, (left, right) = panels(2)
    for name in names:
        curves = np.array([r.test_losses for r in runs[name]])
        left.plot(range(1, epochs + 1), curves.mean(0), label=f"{name}, {lrs[name]:g}")
    label(left, f"{data.name}, {len(data.x)} images, {seeds} seeds", "epoch", "test loss")
    for i, name in enumerate(names):
        values = 100 * np.array(accuracy[name])
        right.errorbar(i, values.mean(), values.std(ddof=1), marker="o", capsize=3)
        right.plot(np.full(len(values), i) + 0.15, values, ".", color="#000000", markersize=3)
    right.set_xticks(range(len(names)), names, rotation=30, ha="right", fontsize=8)
    label(right, "After the last epoch: mean, deviation, seeds", "schedule", "test accuracy (%)", legend=False)

    better_loss = [name for name in names[1:] if differs(test_loss["constant"], test_loss[name]) == 1]
    better = [name for name in names[1:] if differs(accuracy[name], accuracy["constant"]) == 1]
    n = len(names) - 1
    return Result(
        section="Summary",
        quote="Learning rate schedules improve final performance",
        numbers=[
            *(number(f"test accuracy, {name}", accuracy[name]) for name in names),
            *(number(f"test loss, {name}", test_loss[name]) for name in names),
        ],
        verdict=SUPPORTED if len(better) == n else DEPENDS if better or better_loss else NOT_SUPPORTED,
        because=f"compared with a constant rate seed by seed, {len(better)} of {n} schedules have a higher accuracy "
        f"({', '.join(better) or 'none'}) and {len(better_loss)} a lower test loss.",
        figure=figure,
    )


if __name__ == "__main__":
    main(run)
