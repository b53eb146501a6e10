"""Is Adam the one to start with for quick experiments?

A quick experiment is one before anything was tuned. So every optimizer runs with its customary learning rate, Adam with
0.001, SGD and SGD+Momentum with 0.01, on networks of different kinds and for few epochs, and nothing is chosen. What
counts is the test accuracy at the end of each, and how far an optimizer falls behind the best one on the network that
suits it least.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from claim import DEPENDS, NOT_SUPPORTED, SUPPORTED, Result, differs, label, main, number, panels
from training import MLP, Data, digits, fashion, train

import minigrad
from minigrad import nn, optim
from minigrad.nn import functional as F

MAKERS: dict[str, Any] = {
    "SGD": lambda p: optim.SGD(p, lr=0.01),
    "SGD+Momentum": lambda p: optim.SGD(p, lr=0.01, momentum=0.9),
    "Adam": lambda p: optim.Adam(p, lr=0.001),
}


def networks(quick: bool) -> dict[str, tuple[Data, Any]]:
    """Some networks that one might begin with: shallow, deep, with sigmoids, on larger images."""
    small = digits()
    large = fashion(400, 400) if quick else fashion(4000, 2000)

    def xavier(weight: Any) -> Any:
        return nn.init.xavier_uniform_(weight)

    return {
        "one hidden layer": (small, lambda: MLP([64, 32, 10])),
        "six hidden layers": (small, lambda: MLP([64, *[64] * 6, 10])),
        "three layers of sigmoids": (small, lambda: MLP([64, *[64] * 3, 10], F.sigmoid, xavier)),
        f"one hidden layer, {large.name}": (large, lambda: MLP([large.x.shape[1], 64, 10])),
    }


def run(quick: bool) -> Result:
    seeds, epochs = (3, 3) if quick else (6, 5)
    accuracy: dict[tuple[str, str], list[float]] = {}
    cases = networks(quick)
    for case, (data, make) in cases.items():
        for name, maker in MAKERS.items():
            accuracy[case, name] = []
            for seed in range(seeds):
                minigrad.manual_seed(seed)
                model = make()
                done = train(model, maker(model.parameters()), data, epochs, 32, seed, measure=False)
                accuracy[case, name].append(done.accuracy)

    def behind(name: str) -> float:
        """Points behind the best optimizer, on the network where that is most."""
        means = {key: float(np.mean(values)) for key, values in accuracy.items()}
        return 100 * max(max(means[case, other] for other in MAKERS) - means[case, name] for case in cases)

    figure, (ax,) = panels(1, width=6.4)
    places = np.arange(len(cases))
    for i, name in enumerate(MAKERS):
        values = 100 * np.array([accuracy[case, name] for case in cases])
        ax.bar(places + 0.27 * (i - 1), values.mean(1), 0.25, yerr=values.std(1, ddof=1), capsize=2, label=name)
    ax.axhline(10, color="#000000", linestyle=":", linewidth=1, label="guessing")
    ax.set_xticks(places, [case.replace(", ", ",\n").replace(" of ", "\nof ") for case in cases], fontsize=8)
    ax.set_ylim(0, 125)
    label(ax, f"Nothing tuned, {epochs} epochs, {seeds} seeds", "network", "test accuracy (%)")

    better = [case for case in cases if all(differs(accuracy[case, "Adam"], accuracy[case, n]) >= 0 for n in MAKERS)]
    worst = {name: behind(name) for name in MAKERS}
    safest = min(worst, key=lambda name: worst[name])
    holds = [len(better) == len(cases), safest == "Adam"]
    return Result(
        section="3.6",
        quote="Start with Adam for quick experiments",
        numbers=[
            *(number(f"test accuracy, {case}, {name}", accuracy[case, name]) for case in cases for name in MAKERS),
            *(number(f"points behind the best at worst, {name}", worst[name]) for name in MAKERS),
        ],
        verdict=SUPPORTED if all(holds) else DEPENDS if any(holds) else NOT_SUPPORTED,
        because=f"untuned, no other is better than Adam on {len(better)} of {len(cases)} networks; at worst Adam is "
        f"{worst['Adam']:.1f} points behind the best, momentum {worst['SGD+Momentum']:.1f}, SGD {worst['SGD']:.1f}.",
        figure=figure,
    )


if __name__ == "__main__":
    main(run)
