"""Is the learning rate the hyper-parameter to tune first?

A full grid over five hyper-parameters, each with a range that people try. The spread of the logarithm of the final
test loss is divided among them as in an analysis of variance: the share of one is the variance of its averages (over
everything else) in the variance of all. What is left are interactions and the seed.
"""

from __future__ import annotations

import itertools

import numpy as np
from claim import NOT_SUPPORTED, SUPPORTED, Result, label, main, number, panels
from training import MLP, Data, digits, train

import minigrad
from minigrad import optim

GRID = {
    "learning rate": [0.001, 0.01, 0.1, 1.0],
    "momentum": [0.0, 0.5, 0.9],
    "batch size": [16, 32, 64],
    "weight decay": [0.0, 1e-4, 1e-3],
    "hidden units": [16, 32, 64],
}


def log_loss(data: Data, epochs: int, seed: int, lr: float, beta: float, B: int, decay: float, width: int) -> float:
    """Logarithm of the test loss at the end; a diverged run counts as log 10, a loss worse than guessing too."""
    minigrad.manual_seed(seed)
    model = MLP([64, width, 10])
    optimizer = optim.SGD(model.parameters(), lr=lr, momentum=beta, weight_decay=decay)
    run = train(model, optimizer, data, epochs, B, seed, measure=False)
    return float(np.log(min(run.test_loss, np.log(10))))


def shares(results: np.ndarray) -> list[float]:
    """For each axis but the first (the seeds): variance of its averages over the variance of all results."""
    axes = range(1, results.ndim)
    return [float(results.mean(axis=tuple(a for a in range(results.ndim) if a != axis)).var() / results.var())
            for axis in axes]  # fmt: skip


def run(quick: bool) -> Result:
    data = digits()
    # Quick: of the other hyper-parameters only the smallest and the largest value.
    grid = {name: values[::2] if quick and len(values) == 3 else values for name, values in GRID.items()}
    seeds, epochs = (1, 2) if quick else (1, 3)
    results = np.array([
        [log_loss(data, epochs, seed, *values) for values in itertools.product(*grid.values())]
        for seed in range(seeds)
    ]).reshape(seeds, *(len(values) for values in grid.values()))  # fmt: skip
    share = dict(zip(grid, shares(results), strict=True))
    # How much is lost by leaving one at its worst value, with everything else at its best.
    best = results.mean(0)
    left_alone = {
        name: float(np.exp(best.min(axis=tuple(a for a in range(best.ndim) if a != i)).max() - best.min()))
        for i, name in enumerate(grid)
    }

    figure, (left, right) = panels(2)
    left.barh(list(share), [100 * s for s in share.values()], color="#0072B2", label=f"{results.size} runs")
    left.invert_yaxis()
    label(left, "Share of the spread of the test loss", "share of the variance (%)", "")
    right.barh(list(left_alone), list(left_alone.values()), color="#D55E00", label="the others at their best")
    right.invert_yaxis()
    right.set_yticklabels([])
    label(right, "Test loss if one stays at its worst value", "times the best loss", "")

    first = max(share, key=lambda name: share[name])
    others = max(value for name, value in share.items() if name != "learning rate")
    return Result(
        section="3.6",
        quote="Tune learning rate first, then other hyperparameters",
        numbers=[
            *(number(f"share of the variance, {name}", value) for name, value in share.items()),
            *(number(f"loss if left at its worst, {name}", value) for name, value in left_alone.items()),
        ],
        verdict=SUPPORTED if first == "learning rate" else NOT_SUPPORTED,
        because=f"the learning rate explains {share['learning rate']:.0%} of the spread of the loss, no other above "
        f"{others:.0%}.",
        figure=figure,
    )


if __name__ == "__main__":
    main(run)
