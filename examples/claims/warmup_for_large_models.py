"""Should large models be trained with a learning rate warm-up?

The advice comes from transformers, whose layers normalise after adding, as in the first paper on them (Vaswani et al.,
arXiv:1706.03762): deep ones are hard to start (Xiong et al., arXiv:2002.04745). So here a digit is a sentence of
eight words, its rows, and a shallow and a deep transformer read it, at the same rates of Adam, with and without a
warm-up over the first fifth of the run. Compared: the lowest loss over the rates, and how many rates work at all.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from claim import DEPENDS, NOT_SUPPORTED, SUPPORTED, Result, differs, label, main, number, panels
from training import Data, digits, test, train

import minigrad
from minigrad import nn, optim
from minigrad.optim import schedules

WIDTH, HEADS, BATCH = 32, 4, 64
GUESSING = np.log(10)


class Reader(nn.Module):
    """(N, 64) -> (N, 8 rows, 8) -> (N, 8, WIDTH) -> layers -> mean over rows -> (N, 10)"""

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.embed = nn.Linear(8, WIDTH)
        self.place = nn.Parameter(0.1 * minigrad.randn(8, WIDTH))
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 2 * WIDTH, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, layers)
        self.out = nn.Linear(WIDTH, 10)
        for weight in self.encoder.parameters():
            if weight.ndim == 2:
                nn.init.xavier_uniform_(weight)  # a stack begins as copies of one layer

    def forward(self, x: Any) -> Any:
        return self.out(self.encoder(self.embed(x.reshape(-1, 8, 8)) + self.place).mean(1))


def final_loss(data: Data, layers: int, lr: float, warm: bool, epochs: int, seed: int) -> float:
    """The loss on the training data at the end; at most that of guessing."""
    minigrad.manual_seed(seed)
    model = Reader(layers)
    total = epochs * (len(data.x) // BATCH)
    optimizer = optim.Adam(model.parameters(), lr=schedules.warmup(total / 5, lr) if warm else lr)
    run = train(model, optimizer, data, epochs, BATCH, seed, measure=False)
    return GUESSING if run.diverged else min(test(model, data.x, data.y)[0], GUESSING)


def run(quick: bool) -> Result:
    data = digits()
    seeds, epochs = (2, 1) if quick else (3, 4)
    rates = [0.003, 0.03] if quick else [0.001, 0.003, 0.01, 0.03, 0.1]
    depths = {"small": 1, "large": 3 if quick else 6}
    # For each size, with and without warm-up: a row for each seed, a column for each rate.
    losses = {
        (size, warm): np.array([[final_loss(data, n, lr, warm, epochs, s) for lr in rates] for s in range(seeds)])
        for size, n in depths.items()
        for warm in (False, True)
    }
    works = {key: int((table.mean(0) < GUESSING / 2).sum()) for key, table in losses.items()}
    at_best = {key: table[:, table.mean(0).argmin()] for key, table in losses.items()}

    figure, axes = panels(2)
    for ax, (size, n) in zip(axes, depths.items(), strict=True):
        for warm, name in ((False, "from the first step"), (True, "warm-up over the first fifth")):
            table = losses[size, warm]
            ax.errorbar(rates, table.mean(0), table.std(0, ddof=1), marker="o", capsize=3, label=name)
        ax.axhline(GUESSING, color="#000000", linestyle=":", linewidth=1, label="guessing")
        ax.set_xscale("log")
        ax.set_ylim(0, 1.45 * GUESSING)
        title = f"{n} layer{'s' if n > 1 else ''}, {epochs * (len(data.x) // BATCH)} steps, {seeds} seeds"
        label(ax, title, "learning rate", "training loss at the end")

    def helps(size: str) -> bool:
        return works[size, True] > works[size, False] or differs(at_best[size, True], at_best[size, False]) == -1

    holds = helps("large")
    return Result(
        section="3.6",
        quote="Use learning rate warmup for large models",
        numbers=[
            *(
                number(f"{what}, {size}, {'warm-up' if warm else 'none'}", values[size, warm])
                for what, values in (("lowest loss over the rates", at_best), ("rates that work", works))
                for size in depths
                for warm in (False, True)
            ),
        ],
        verdict=(DEPENDS if helps("small") else SUPPORTED) if holds else NOT_SUPPORTED,
        because=" and ".join(
            f"with {n} layer{'s' if n > 1 else ''} {works[size, True]} of {len(rates)} rates work with warm-up and "
            f"{works[size, False]} without (lowest loss {at_best[size, True].mean():.3g} and "
            f"{at_best[size, False].mean():.3g})"
            for size, n in depths.items()
        )
        + ".",
        figure=figure,
    )


if __name__ == "__main__":
    main(run)
