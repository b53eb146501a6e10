"""Can a poor initialisation prevent learning entirely?

The same network of eight hidden layers is trained on the digits from five initialisations. Each gets three learning
rates and keeps its best, so that a failure is not merely a wrong rate. Weights of zero are the extreme case: every
hidden unit then is 0 for ever, and only the last bias learns.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from claim import NOT_SUPPORTED, SUPPORTED, Result, label, main, number, panels
from training import MLP, best, digits, train

import minigrad
from minigrad import nn, optim
from minigrad.nn import functional as F

INITS: dict[str, Any] = {
    "zero": nn.init.zeros_,
    "N(0, 0.01²)": lambda w: nn.init.normal_(w, std=0.01),
    "N(0, 1)": lambda w: nn.init.normal_(w, std=1.0),
    "Xavier": nn.init.xavier_uniform_,
    "He": lambda w: nn.init.kaiming_normal_(w, nonlinearity="relu"),
}


def accuracy(init: str, activation: Any, lr: float, epochs: int, seed: int) -> float:
    minigrad.manual_seed(seed)
    model = MLP([64, *[32] * 8, 10], activation, INITS[init])
    optimizer = optim.SGD(model.parameters(), lr=lr, nonfinite="skip")
    return train(model, optimizer, digits(), epochs, 32, seed, measure=False).accuracy


def run(quick: bool) -> Result:
    seeds, epochs = (2, 4) if quick else (3, 10)
    rates = [0.05] if quick else [0.01, 0.05, 0.2]
    table: dict[tuple[str, str], list[float]] = {}
    for name, activation in (("relu", F.relu), ("tanh", F.tanh)):
        for init in INITS:
            lr, _ = best(rates, lambda lr, i=init, a=activation: -accuracy(i, a, lr, epochs, 100))
            table[name, init] = [accuracy(init, activation, lr, epochs, seed) for seed in range(seeds)]

    figure, (ax,) = panels()
    for k, name in enumerate(("relu", "tanh")):
        values = 100 * np.array([table[name, init] for init in INITS])
        places = np.arange(len(INITS)) + 0.4 * k - 0.2
        ax.bar(places, values.mean(1), 0.36, yerr=values.std(1, ddof=1), capsize=3, color=["#0072B2", "#D55E00"][k],
               label=name)  # fmt: skip
    ax.axhline(10, color="#000000", linestyle=":", label="guessing")
    ax.set_xticks(range(len(INITS)), list(INITS), fontsize=8)
    ax.set_ylim(0, 130)
    label(ax, f"Digits, 8 hidden layers, {epochs} epochs", "initialisation", "test accuracy (%)")

    means = {key: float(np.mean(values)) for key, values in table.items()}
    failed = [f"{init} ({name})" for (name, init), value in means.items() if value < 0.15]
    ok = means["relu", "zero"] < 0.15 and means["relu", "He"] > 0.8
    return Result(
        section="3.7",
        quote="Poor initialization can prevent learning entirely",
        numbers=[number(f"test accuracy, {init}, {name}", values) for (name, init), values in table.items()],
        verdict=SUPPORTED if ok else NOT_SUPPORTED,
        because=f"{', '.join(failed)} stay at guessing at every rate tried; He with ReLU reaches "
        f"{means['relu', 'He']:.0%}, Xavier with tanh {means['tanh', 'Xavier']:.0%}.",
        figure=figure,
    )


if __name__ == "__main__":
    main(run)
