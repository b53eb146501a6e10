"""Is warm-up important for large batches?

The argument for it: with large batches few updates are made, and each must be large (see
larger_batches_need_larger_rates.py); at the start, where the gradients are largest, a rate that is right later on can
throw the weights to where nothing is learned. A warm-up over the first fifth of the run starts at rate 0. Measured for
a large and a small batch over a range of rates: the loss at the end with and without it, at the same rates, and the
largest rate that still works.
"""

from __future__ import annotations

import numpy as np
from claim import DEPENDS, NOT_SUPPORTED, SUPPORTED, Result, label, main, number, panels
from training import MLP, Data, digits, test, train

import minigrad
from minigrad import optim
from minigrad.optim import schedules


def final_loss(data: Data, batch_size: int, lr: float, warm: bool, epochs: int, seed: int) -> float:
    """The loss on all training data; at most log 10, which is guessing: a failed run can be no worse."""
    minigrad.manual_seed(seed)
    model = MLP([64, 64, 64, 64, 10])
    total = epochs * (len(data.x) // batch_size)
    rate = schedules.warmup(total / 5, lr) if warm else lr
    optimizer = optim.SGD(model.parameters(), lr=rate, momentum=0.9)
    run = train(model, optimizer, data, epochs, batch_size, seed, measure=False)
    return np.log(10) if run.diverged else min(test(model, data.x, data.y)[0], np.log(10))


def run(quick: bool) -> Result:
    data = digits()
    seeds, epochs = (2, 5) if quick else (5, 10)
    rates = [float(r) for r in 0.02 * 2.0 ** np.arange(0, 8, 2 if quick else 1)]
    sizes = {"large": 512, "small": 32}
    losses = {
        (kind, warm): np.array([[final_loss(data, B, lr, warm, epochs, s) for lr in rates] for s in range(seeds)])
        for kind, B in sizes.items()
        for warm in (False, True)
    }
    # A rate works if the loss is below half of guessing on average over the seeds.
    largest = {
        key: max((lr for lr, loss in zip(rates, table.mean(0), strict=True) if loss < np.log(10) / 2), default=0.0)
        for key, table in losses.items()
    }
    lowest = {key: float(table.mean(0).min()) for key, table in losses.items()}

    figure, axes = panels(2)
    for ax, (kind, B) in zip(axes, sizes.items(), strict=True):
        for warm, name in ((False, "from the first step"), (True, "warm-up over the first fifth")):
            table = losses[kind, warm]
            ax.errorbar(rates, table.mean(0), table.std(0, ddof=1), marker="o", capsize=3, label=name)
        ax.set_xscale("log", base=2)
        ax.set_xticks(rates, [f"{lr:g}" for lr in rates], fontsize=8)
        label(ax, f"B = {B}, {epochs * (1437 // B)} updates", "learning rate", "training loss at the end")

    wider = {kind: largest[kind, True] / max(largest[kind, False], rates[0] / 2) for kind in sizes}
    gain = {kind: lowest[kind, False] / lowest[kind, True] for kind in sizes}
    ok = wider["large"] > 1 and gain["large"] > 1.1
    partly = wider["large"] > 1 or gain["large"] > 1.1
    return Result(
        section="3.5",
        quote="Warmup: important for large batch training",
        numbers=[
            *(
                number(f"largest rate that works, B = {B}, {'warm-up' if warm else 'none'}", largest[kind, warm])
                for kind, B in sizes.items()
                for warm in (False, True)
            ),
            *(
                number(f"lowest loss over the rates, B = {B}, {'warm-up' if warm else 'none'}", lowest[kind, warm])
                for kind, B in sizes.items()
                for warm in (False, True)
            ),
        ],
        verdict=SUPPORTED if ok else DEPENDS if partly else NOT_SUPPORTED,
        because="the lowest loss over the rates is "
        + " and ".join(
            f"{lowest[kind, True]:.3g} with warm-up and {lowest[kind, False]:.3g} without (B = {B}, largest rate that "
            f"works {largest[kind, True]:g} and {largest[kind, False]:g})"
            for kind, B in sizes.items()
        )
        + ".",
        figure=figure,
    )


if __name__ == "__main__":
    main(run)
