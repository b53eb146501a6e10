"""What Adam's bias correction does in the first steps.

Both averages begin at zero. With a constant gradient g, m_t = (1 - b1^t) g and v_t = (1 - b2^t) g^2, so without the
correction the t-th step has the length

    lr (1 - b1^t) / sqrt(1 - b2^t)

which is 3.16 lr at t = 1 for the default b1 = 0.9, b2 = 0.999, and rises to more than 6 lr before it returns to lr
after thousands of steps: the average of the squares is the slower one. With the correction every step has length lr.
"""

from __future__ import annotations

import numpy as np
from claim import DEPENDS, NOT_SUPPORTED, SUPPORTED, Result, differs, label, main, number, paired, panels
from training import MLP, digits

import minigrad
from minigrad import optim
from minigrad.nn import functional as F


class UncorrectedAdam:
    """The module's listing without its two lines of bias correction."""

    def __init__(self, lr: float, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8) -> None:
        self.lr, self.beta1, self.beta2, self.eps = lr, beta1, beta2, eps
        self.m: list[np.ndarray] = []
        self.v: list[np.ndarray] = []

    def update(self, params: list[np.ndarray], grads: list[np.ndarray]) -> None:
        if not self.m:
            self.m, self.v = [np.zeros_like(p) for p in params], [np.zeros_like(p) for p in params]
        for m, v, p, g in zip(self.m, self.v, params, grads, strict=True):
            m += (1 - self.beta1) * (g - m)
            v += (1 - self.beta2) * (g * g - v)
            p -= self.lr * m / (np.sqrt(v) + self.eps)


def step_lengths(optimizer: optim.Adam | UncorrectedAdam, steps: int) -> np.ndarray:
    """In units of lr, for a constant gradient."""
    w = np.zeros(1)
    positions = [0.0]
    for _ in range(steps):
        optimizer.update([w], [np.array([0.3])])
        positions.append(w[0])
    return np.abs(np.diff(positions)) / 1e-3


def losses(corrected: bool, steps: int, seed: int, lr: float) -> list[float]:
    """Of a network in its first steps on the digits."""
    minigrad.manual_seed(seed)
    data = digits()
    model = MLP([64, 32, 10])
    parameters = list(model.parameters())
    arrays = [p.data for p in parameters]
    optimizer = optim.Adam(lr=lr) if corrected else UncorrectedAdam(lr)
    rng = np.random.default_rng(seed)
    history = []
    for _ in range(steps):
        batch = rng.integers(0, len(data.x), 64)
        loss = F.cross_entropy(model(minigrad.from_numpy(data.x[batch])), minigrad.from_numpy(data.y[batch]))
        history.append(loss.item())
        optimizer.update(arrays, [g.numpy() for g in minigrad.autograd.grad(loss, parameters)])
    return history


def run(quick: bool) -> Result:
    steps = 5000
    with_it = step_lengths(optim.Adam(lr=1e-3), steps)
    without = step_lengths(UncorrectedAdam(1e-3), steps)
    t = np.arange(1, steps + 1)
    theory = (1 - 0.9**t) / np.sqrt(1 - 0.999**t)

    seeds = range(4 if quick else 10)
    curves = {
        (lr, corrected): np.array([losses(corrected, 60, seed, lr) for seed in seeds])
        for lr in (0.01, 0.1)
        for corrected in (True, False)
    }
    early = {key: curve[:, 5:30].mean(1) for key, curve in curves.items()}

    figure, (left, middle, right) = panels(3, width=4.0)
    left.semilogx(t, without, label="without correction")
    left.semilogx(t, with_it, label="with correction")
    left.semilogx(t, theory, "k--", linewidth=1, label="(1-β₁ᵗ) / √(1-β₂ᵗ)")
    label(left, "Step length, constant gradient", "step t", "length / lr")
    for ax, lr in ((middle, 0.01), (right, 0.1)):
        for corrected, name in ((False, "without correction"), (True, "with correction")):
            ax.semilogy(curves[lr, corrected].mean(0), label=name)
        label(ax, f"Digits, lr = {lr}, mean of {len(seeds)} seeds", "step", "training loss")

    exact = np.abs(with_it - 1).max() < 1e-3 and np.abs(without / theory - 1).max() < 1e-3
    words = {1: "higher", 0: "the same within the noise", -1: "lower"}
    effects = {lr: differs(early[lr, False], early[lr, True]) for lr in (0.01, 0.1)}
    said = []
    for lr, effect in effects.items():
        gap, error = paired(early[lr, False], early[lr, True])
        said.append(f"{words[effect]} at lr = {lr} ({gap:+.2f} ± {error:.2f})")
    return Result(
        section="3.4",
        quote="Bias correction: m̂ = m / (1 - β₁ᵗ), v̂ = v / (1 - β₂ᵗ)",
        numbers=[
            number("first step / lr, with correction", with_it[0], 1.0),
            number("first step / lr, without", without[0], 0.1 / np.sqrt(0.001)),
            number("longest step / lr, without", float(without.max()), float(theory.max())),
            number("it is the step number", float(without.argmax() + 1), float(theory.argmax() + 1)),
            *(
                number(f"loss of steps 6 to 30, lr = {lr}, {'with' if corrected else 'without'}", losses)
                for (lr, corrected), losses in early.items()
            ),
        ],
        verdict=NOT_SUPPORTED if not exact else SUPPORTED if min(effects.values()) == 1 else DEPENDS,
        because=f"without it the first step is {without[0]:.2f} lr and the longest {without.max():.2f} lr, with it all "
        f"are lr. What the longer steps do to the early loss depends on lr: without it is {' and '.join(said)}.",
        figure=figure,
    )


if __name__ == "__main__":
    main(run)
