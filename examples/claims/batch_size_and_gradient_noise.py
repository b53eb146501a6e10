"""How far is the gradient of a mini-batch from that of all the data?

The gradient of a batch is a mean of B gradients drawn from N. Its expectation is the full gradient, and its error has
the standard deviation of a mean: sigma / sqrt(B), sigma^2 being the trace of the covariance of the single gradients.
Drawing without replacement makes it smaller by sqrt((N - B) / (N - 1)), to zero at B = N.

Measured on the parameters of a small network on the handwritten digits, in the middle of training.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from claim import NOT_SUPPORTED, SUPPORTED, Result, label, main, number, panels, slope
from training import MLP, Data, digits, train

import minigrad
from minigrad import optim
from minigrad.nn import functional as F


def gradient(model: Any, data: Data, rows: np.ndarray) -> np.ndarray:
    """The gradient of the mean loss on those rows, all parameters as one vector."""
    loss = F.cross_entropy(model(minigrad.from_numpy(data.x[rows])), minigrad.from_numpy(data.y[rows]))
    grads = minigrad.autograd.grad(loss, list(model.parameters()))
    return np.concatenate([g.numpy().ravel() for g in grads])


def relative_errors(model: Any, data: Data, sizes: list[int], draws: int, rng: np.random.Generator) -> list[float]:
    """For each batch size the root mean square of |batch gradient - full gradient| / |full gradient|."""
    everything = np.arange(len(data.x))
    full = gradient(model, data, everything)
    errors = []
    for size in sizes:
        squares = [
            np.sum((gradient(model, data, rng.choice(everything, size, replace=False)) - full) ** 2)
            for _ in range(draws)
        ]
        errors.append(float(np.sqrt(np.mean(squares)) / np.linalg.norm(full)))
    return errors


def run(quick: bool) -> Result:
    data = digits()
    sizes = [2, 4, 8, 16, 32, 64, 128]
    seeds, draws = (3, 60) if quick else (5, 400)
    curves = []
    for seed in range(seeds):
        minigrad.manual_seed(seed)
        model = MLP([64, 32, 10])
        train(model, optim.SGD(model.parameters(), lr=0.1), data, 1, 32, seed)
        curves.append(relative_errors(model, data, sizes, draws, np.random.default_rng(seed)))
    errors = np.array(curves)
    N = len(data.x)
    # What remains when the known factor of drawing without replacement is divided out is the law of the mean.
    corrected = errors / np.sqrt((N - np.array(sizes)) / (N - 1))
    slopes = [slope(sizes, curve) for curve in corrected]
    exact = relative_errors(model, data, [N], 2, np.random.default_rng(0))[0]

    figure, (ax,) = panels()
    ax.errorbar(sizes, errors.mean(0), errors.std(0, ddof=1), fmt="o", capsize=3, label=f"measured, {seeds} seeds")
    reference = corrected[:, 0].mean() * np.sqrt(sizes[0] / np.array(sizes))
    ax.loglog(sizes, reference, "--", label="1/√B through the first point")
    ax.set_xticks(sizes, [str(size) for size in sizes])
    ax.minorticks_off()
    label(ax, "Error of the mini-batch gradient", "batch size B", "relative error of the gradient")

    mean = float(np.mean(slopes))
    ok = abs(mean + 0.5) < 0.05 and exact < 1e-5
    return Result(
        section="3.2",
        quote="Gradient accuracy: Exact (full batch), Noisy estimate (mini-batch)",
        numbers=[
            number("exponent of B in the noise", slopes, -0.5),
            number("relative error at B = 2", errors[:, 0]),
            number("relative error at B = 128", errors[:, -1]),
            number("relative error at B = N", exact, 0.0),
        ],
        verdict=SUPPORTED if ok else NOT_SUPPORTED,
        because=f"the noise falls as B^{mean:.3f}; at B = 2 it is {errors[:, 0].mean():.1f} times the gradient itself, "
        "and all the data give the gradient exactly.",
        figure=figure,
    )


if __name__ == "__main__":
    main(run)
