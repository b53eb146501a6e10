"""Does the noise of mini-batches help out of a local minimum?

f(w) = w^4/4 - w^2/2 - w/5 has a shallow minimum at w = -0.88 and a deep one at w = 1.09. The loss is a mean over 256
samples, L_i(w) = f(w) + x_i w with x_i of mean zero: with all of them the gradient is that of f exactly, a batch of B
adds noise of the size sigma / sqrt(B). All runs start at the bottom of the shallow well and make the same number of
steps; counted are those that end in the deep one.
"""

from __future__ import annotations

import numpy as np
from claim import NOT_SUPPORTED, SUPPORTED, Result, label, main, number, panels

from minigrad import optim

N, SIGMA, LR = 256, 4.0, 0.05


def f(w: np.ndarray) -> np.ndarray:
    return w**4 / 4 - w**2 / 2 - w / 5


def gradient(w: np.ndarray) -> np.ndarray:
    return w**3 - w - 1 / 5


def descend(batch_size: int, runs: int, steps: int, lr: float) -> np.ndarray:
    """Where `runs` independent runs end."""
    rng = np.random.default_rng(batch_size)
    x = rng.normal(0, SIGMA, N)
    x -= x.mean()
    w = np.full(runs, -0.8794)  # f'(-0.8794) = 0: the shallow minimum
    optimizer = optim.SGD(lr=lr)
    for _ in range(steps):
        noise = 0.0 if batch_size == N else x[rng.integers(0, N, (runs, batch_size))].mean(1)
        optimizer.update([w], [gradient(w) + noise])
    return w


def run(quick: bool) -> Result:
    runs, steps = (100, 500) if quick else (400, 2000)
    sizes = [2, 4, 8, 16, 32, 64, N]
    ends = [descend(size, runs, steps, LR) for size in sizes]
    escaped = np.array([(end > 0).mean() for end in ends])
    losses = np.array([f(end).mean() for end in ends])
    deviation = np.sqrt(escaped * (1 - escaped) / runs)

    figure, (left, right) = panels(2)
    w = np.linspace(-1.7, 1.8, 200)
    left.plot(w, f(w), color="#000000", label="f(w)")
    left.plot(-0.8794, f(np.array(-0.8794)), "o", color="#D55E00", label="start")
    label(left, "The loss over all samples", "w", "loss")
    right.errorbar(sizes, 100 * escaped, 100 * deviation, marker="o", capsize=3, label=f"{runs} runs a point")
    right.set_xscale("log", base=2)
    right.set_xticks(sizes, [*map(str, sizes[:-1]), "N"])
    label(right, f"After {steps} steps", "batch size", "runs in the deep well (%)")

    ok = escaped[-1] == 0 and escaped[1] > 0.5
    return Result(
        section="3.2",
        quote="Can escape local minima: Hard (full batch), Easier (noise helps) (mini-batch)",
        numbers=[
            *(number(f"escaped, B = {'N' if s == N else s}", e) for s, e in zip(sizes, escaped, strict=True)),
            number("mean loss at the end, B = 4", losses[1]),
            number("mean loss at the end, B = N", losses[-1]),
        ],
        verdict=SUPPORTED if ok else NOT_SUPPORTED,
        because=f"{escaped[1]:.0%} of the runs with B = 4 reach the deep well, none with all the data. It takes enough "
        f"noise: with B = 64 {escaped[-2]:.0%} do.",
        figure=figure,
    )


if __name__ == "__main__":
    main(run)
