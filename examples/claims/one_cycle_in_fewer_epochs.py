"""Does the one-cycle policy achieve better results in fewer epochs?

One-cycle warms up to a large rate and anneals to almost zero, all within the epochs that are given. It is compared
with a constant rate for budgets of 2, 4, 8 and 16 epochs: both choose among the same rates by validation loss for each
budget. "Fewer epochs" means that one-cycle at a budget is at least as good as the constant rate at twice that budget.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from claim import DEPENDS, NOT_SUPPORTED, SUPPORTED, Result, differs, label, main, number, panels
from training import MLP, Data, Run, best, fashion, train

import minigrad
from minigrad import optim
from minigrad.optim import schedules


def trained(cycle: bool, lr: float, data: Data, epochs: int, seed: int) -> Run:
    minigrad.manual_seed(seed)
    model = MLP([data.x.shape[1], 64, 10])
    rate: Any = schedules.one_cycle(lr, T=epochs * (len(data.x) // 32)) if cycle else lr
    optimizer = optim.SGD(model.parameters(), lr=rate, momentum=0.9)
    return train(model, optimizer, data, epochs, 32, seed, measure=False)


def run(quick: bool) -> Result:
    data = fashion(400, 400) if quick else fashion(2000, 2000)
    cut = len(data.x) * 4 // 5
    tuning = Data(data.x[:cut], data.y[:cut], data.x[cut:], data.y[cut:], data.name)
    budgets = [2, 4] if quick else [2, 4, 8, 16]
    seeds = 3 if quick else 6
    rates = [0.01, 0.1] if quick else [0.003, 0.01, 0.03, 0.1]

    accuracy: dict[tuple[bool, int], list[float]] = {}
    for cycle in (False, True):
        for epochs in budgets:
            lr, _ = best(rates, lambda lr, c=cycle, e=epochs: trained(c, lr, tuning, e, 100).test_loss)
            accuracy[cycle, epochs] = [trained(cycle, lr, data, epochs, s).accuracy for s in range(seeds)]

    figure, (ax,) = panels()
    for cycle, name in ((False, "constant rate"), (True, "one-cycle")):
        values = 100 * np.array([accuracy[cycle, epochs] for epochs in budgets])
        ax.errorbar(budgets, values.mean(1), values.std(1, ddof=1), marker="o", capsize=3, label=name)
    ax.set_xscale("log", base=2)
    ax.set_xticks(budgets, [str(epochs) for epochs in budgets])
    label(ax, f"{data.name}, {len(data.x)} images, {seeds} seeds", "epochs of the run", "test accuracy (%)")

    better = [epochs for epochs in budgets if differs(accuracy[True, epochs], accuracy[False, epochs]) == 1]
    halves = [epochs for epochs in budgets[:-1] if differs(accuracy[False, 2 * epochs], accuracy[True, epochs]) < 1]
    means = {key: float(np.mean(values)) for key, values in accuracy.items()}
    full = len(better) == len(budgets) and len(halves) == len(budgets) - 1
    return Result(
        section="3.5",
        quote="One-cycle policy: often achieves better results in fewer epochs",
        numbers=[
            number(f"test accuracy after {epochs} epochs, {'one-cycle' if cycle else 'constant'}", values)
            for (cycle, epochs), values in accuracy.items()
        ],
        verdict=SUPPORTED if full else DEPENDS if better or halves else NOT_SUPPORTED,
        because=f"it is better than a constant rate at {len(better)} of {len(budgets)} budgets, and not worse than a "
        f"constant rate of twice the epochs at {len(halves)} of {len(budgets) - 1}; in {budgets[1]} epochs it reaches "
        f"{means[True, budgets[1]]:.1%}, a constant rate {means[False, budgets[1]]:.1%}.",
        figure=figure,
    )


if __name__ == "__main__":
    main(run)
