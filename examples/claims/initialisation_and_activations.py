"""Vanishing and exploding: what initialisation does to a signal on its way through thirty layers, and back.

Every layer multiplies the size (root mean square) of the signal by some factor; thirty layers raise it to the
thirtieth power. For ReLU and weights of variance s^2 the factor is s sqrt(n_in / 2): He's s^2 = 2 / n_in makes it 1,
Xavier's 1 / n_in (for square layers) 0.71. The gradient takes the same way backwards, with a factor of its own.
Measured for each initialisation and activation in networks 256 wide, with normal inputs and upstream gradients.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from claim import DEPENDS, NOT_SUPPORTED, SUPPORTED, Result, label, main, number, panels

import minigrad
from minigrad import nn

DEPTH, WIDTH = 30, 256
INITS: dict[str, Callable[[Any], Any]] = {
    "N(0, 0.01²)": lambda w: nn.init.normal_(w, std=0.01),
    "N(0, 1)": lambda w: nn.init.normal_(w, std=1.0),
    "Xavier": nn.init.xavier_uniform_,
    "He": lambda w: nn.init.kaiming_normal_(w, nonlinearity="relu"),
}
ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "tanh": lambda x: x.tanh(),
    "sigmoid": lambda x: x.sigmoid(),
    "relu": lambda x: x.relu(),
}


def rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(x.astype(np.float64) ** 2)))


def sizes(init: str, activation: str, seed: int) -> tuple[list[float], list[float]]:
    """The size of the signal after each layer, and of the gradient that arrives there."""
    minigrad.manual_seed(seed)
    x = minigrad.randn(128, WIDTH, requires_grad=True)
    signals = [x]
    for _ in range(DEPTH):
        weight = INITS[init](minigrad.empty(WIDTH, WIDTH))
        signals.append(ACTIVATIONS[activation](signals[-1] @ weight.T))
    upstream = minigrad.randn(128, WIDTH)
    gradients = minigrad.autograd.grad(signals[-1], signals, grad_outputs=upstream)
    return [rms(s.detach().numpy()) for s in signals], [rms(g.numpy()) for g in gradients]


def run(quick: bool) -> Result:
    seeds = range(2 if quick else 5)
    forward, backward = {}, {}
    for activation in ACTIVATIONS:
        for init in INITS:
            runs = [sizes(init, activation, seed) for seed in seeds]
            forward[activation, init] = np.mean([s for s, _ in runs], 0)
            backward[activation, init] = np.mean([g for _, g in runs], 0)

    def factor(sizes_: np.ndarray) -> float:
        """The factor a layer over the last twenty; float32 ends at 1e-45, so zeros count as that."""
        return float((max(sizes_[-1], 1e-45) / max(sizes_[10], 1e-45)) ** (1 / 20))

    signal = {key: factor(s) for key, s in forward.items()}
    gradient = {key: factor(g[::-1]) for key, g in backward.items()}  # on its way from the output to the input

    figure, axes = panels(3, width=3.9)
    for ax, activation in zip(axes, ACTIVATIONS, strict=True):
        for init in INITS:
            ax.semilogy(np.maximum(backward[activation, init], 1e-45), label=init)
        ax.set_ylim(1e-30, 1e42)
        label(ax, f"{activation}: gradient at each layer", "layer (0 is the input)", "size of the gradient (rms)")

    def kept(x: float) -> bool:
        return 0.8 < x < 1.25  # between 1/800 and 800 over thirty layers

    naive = [kept(gradient[a, i]) and kept(signal[a, i]) for a in ("tanh", "relu") for i in ("N(0, 0.01²)", "N(0, 1)")]
    tanh, sigmoid, he = gradient["tanh", "Xavier"], gradient["sigmoid", "Xavier"], gradient["relu", "He"]
    good = [kept(tanh), kept(sigmoid), kept(he)]
    verdict = SUPPORTED if all(good) and not any(naive) else DEPENDS if any(good) and not any(naive) else NOT_SUPPORTED
    return Result(
        section="3.7",
        quote="Poor initialization → vanishing/exploding gradients. Xavier best for sigmoid, tanh; He best for ReLU",
        numbers=[
            number("signal a layer, ReLU, He", signal["relu", "He"], 1.0),
            number("signal a layer, ReLU, Xavier", signal["relu", "Xavier"], np.sqrt(1 / 2)),
            number("signal a layer, ReLU, N(0, 0.01²)", signal["relu", "N(0, 0.01²)"], 0.01 * np.sqrt(WIDTH / 2)),
            number("signal a layer, ReLU, N(0, 1)", signal["relu", "N(0, 1)"], np.sqrt(WIDTH / 2)),
            *(number(f"gradient a layer, {a}, {i}", gradient[a, i]) for a in ACTIVATIONS for i in INITS),
        ],
        verdict=verdict,
        because=f"a layer multiplies the gradient by {he:.2f} with ReLU and He and by {tanh:.2f} with tanh and Xavier; "
        f"with sigmoid by {sigmoid:.2f} in spite of Xavier, because its slope is at most 1/4; naive scales are off by "
        f"{gradient['relu', 'N(0, 0.01²)']:.2f} or {gradient['relu', 'N(0, 1)']:.0f} with ReLU.",
        figure=figure,
    )


if __name__ == "__main__":
    main(run)
