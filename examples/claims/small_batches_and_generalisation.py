"""Can the noise of small batches help generalisation?

For each batch size the same number of updates is made, so that a large batch has the advantage of more passes over
the data and only the noise differs. The learning rate is tuned for each batch size by the same budget on validation
data. This is done twice: with the true labels of the digits, and with a third of the training labels replaced by
random ones, where there is something to overfit.
"""

from __future__ import annotations

import numpy as np
from claim import DEPENDS, NOT_SUPPORTED, SUPPORTED, Result, differs, label, main, number, paired, panels
from training import MLP, Data, best, digits, noisy_labels, train

import minigrad
from minigrad import optim


def accuracy(data: Data, batch_size: int, lr: float, updates: int, seed: int) -> float:
    minigrad.manual_seed(seed)
    model = MLP([64, 64, 10])
    epochs = updates // (len(data.x) // batch_size)
    return train(
        model, optim.SGD(model.parameters(), lr=lr), data, epochs, batch_size, seed, measure=False
    ).accuracy  # fmt: skip


def run(quick: bool) -> Result:
    whole = digits()
    small = whole._replace(x=whole.x[:1000], y=whole.y[:1000])
    validation = (whole.x[1000:], whole.y[1000:])
    seeds, updates = (3, 250) if quick else (8, 1000)
    sizes = [8, 1000] if quick else [8, 32, 128, 1000]
    rates = [0.05, 0.2] if quick else [0.02, 0.05, 0.1, 0.2, 0.5]

    results: dict[str, dict[int, list[float]]] = {}
    for kind, noise in (("true labels", 0.0), ("a third random", 1 / 3)):
        results[kind] = {}
        for B in sizes:
            tuning = noisy_labels(small._replace(x_test=validation[0], y_test=validation[1]), noise, 100)
            lr, _ = best(rates, lambda lr, B=B, tuning=tuning: -accuracy(tuning, B, lr, updates, 100))
            results[kind][B] = [accuracy(noisy_labels(small, noise, s), B, lr, updates, s) for s in range(seeds)]

    figure, (ax,) = panels()
    for (kind, accuracies), marker in zip(results.items(), "os", strict=True):
        values = 100 * np.array([accuracies[B] for B in sizes])
        ax.errorbar(sizes, values.mean(1), values.std(1, ddof=1), marker=marker, capsize=3, label=kind)
    ax.set_xscale("log")
    ax.set_xticks(sizes, [*map(str, sizes[:-1]), "all 1000"])
    ax.minorticks_off()
    label(ax, f"Digits, {updates} updates, {seeds} seeds", "batch size", "test accuracy (%)")

    effects = {kind: differs(a[sizes[0]], a[sizes[-1]]) for kind, a in results.items()}
    sentences = []
    for kind, a in results.items():
        gap, error = paired(a[sizes[0]], a[sizes[-1]])
        sentences.append(f"{100 * gap:+.1f} ± {100 * error:.1f} points ({kind})")
    values = set(effects.values())
    verdict = SUPPORTED if values == {1} else NOT_SUPPORTED if 1 not in values else DEPENDS
    return Result(
        section="3.2",
        quote="Smaller batches → more noise, can help generalization",
        numbers=[
            number(f"test accuracy, B = {B}, {kind}", accuracies[B])
            for kind, accuracies in results.items()
            for B in sizes
        ],
        verdict=verdict,
        because=f"batches of 8 against all the data, after equally many updates: {' and '.join(sentences)}.",
        figure=figure,
    )


if __name__ == "__main__":
    main(run)
