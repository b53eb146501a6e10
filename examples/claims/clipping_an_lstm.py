"""Clipping the gradient norm of an LSTM, and the loss spikes that it prevents.

An LSTM of 32 units reads 40 numbers, two of them marked, and answers their sum (the adding problem). It is trained with
momentum at a range of learning rates, with the gradients as they come and with their norm clipped to 1. A spike is the
largest loss after the first 50 steps; to answer 1 always has the loss 1/6.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from claim import DEPENDS, NOT_SUPPORTED, SUPPORTED, Result, label, main, number, panels

import minigrad
from minigrad import datasets, nn, optim

UNCLIPPED = 1e9  # a threshold that no norm passes


class Adder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(2, 32, batch_first=True)
        self.out = nn.Linear(32, 1)

    def forward(self, x: Any) -> Any:
        return self.out(self.lstm(x)[0][:, -1])


def trained(lr: float, max_norm: float, steps: int, seed: int) -> tuple[list[float], list[float]]:
    """The losses and the gradient norms before clipping; a loss above 1e6 ends the run."""
    minigrad.manual_seed(seed)
    x, y = (tensor.numpy() for tensor in datasets.adding_problem(1000, 40, generator=seed).tensors)
    model = Adder()
    parameters = list(model.parameters())
    optimizer = optim.SGD(parameters, lr=lr, momentum=0.9, nonfinite="skip")
    rng = np.random.default_rng(seed)
    losses, norms = [], []
    for _ in range(steps):
        batch = rng.integers(0, len(x), 32)
        error = model(minigrad.from_numpy(x[batch])) - minigrad.from_numpy(y[batch])
        loss = (error * error).mean()
        losses.append(min(loss.item(), 1e6) if np.isfinite(loss.item()) else 1e6)
        if losses[-1] >= 1e6:
            break
        optimizer.zero_grad()
        loss.backward()
        norms.append(optim.clip_grad_norm_(parameters, max_norm).item())
        optimizer.step()
    return losses, norms


def run(quick: bool) -> Result:
    seeds, steps = (2, 120) if quick else (4, 300)
    rates = [0.1, 1.0] if quick else [0.1, 0.3, 1.0]
    runs = {
        (lr, clip): [trained(lr, clip, steps, seed) for seed in range(seeds)]
        for lr in rates
        for clip in (UNCLIPPED, 1.0)
    }
    spike = {key: [max(losses[50:], default=1e6) for losses, _ in rs] for key, rs in runs.items()}

    figure, (left, right) = panels(2)
    for clip, name in ((UNCLIPPED, "as they come"), (1.0, "norm clipped to 1")):
        losses, norms = runs[rates[-1], clip][0]
        left.semilogy(losses, linewidth=0.9, label=name)
        right.semilogy(norms, linewidth=0.9, label=name)
    right.axhline(1, color="#000000", linestyle=":", label="threshold")
    label(left, f"LSTM, adding problem, lr = {rates[-1]:g}", "step", "training loss")
    label(right, "Gradient norm before clipping", "step", "norm")

    # Medians: of runs of which some explode the mean says nothing.
    ratio = {lr: float(np.median(spike[lr, UNCLIPPED]) / np.median(spike[lr, 1.0])) for lr in rates}
    prevented = [lr for lr in rates if ratio[lr] > 2]
    verdict = SUPPORTED if len(prevented) == len(rates) else DEPENDS if prevented else NOT_SUPPORTED
    return Result(
        section="3.8",
        quote="Gradients can become very large, destabilizing training. Clip for RNNs/LSTMs, and when loss suddenly "
        "spikes during training",
        numbers=[
            number(f"median spike, lr = {lr:g}, {'clipped' if clip == 1 else 'not clipped'}", float(np.median(values)))
            for (lr, clip), values in spike.items()
        ],
        verdict=verdict,
        because="the largest loss after step 50 is "
        + ", ".join(f"{ratio[lr]:.3g} times as high without clipping at lr = {lr:g}" for lr in rates)
        + ": clipping matters where the rate is large enough for the norms to pass the threshold.",
        figure=figure,
    )


if __name__ == "__main__":
    main(run)
