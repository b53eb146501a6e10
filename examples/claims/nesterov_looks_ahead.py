"""Does Nesterov's method evaluate the gradient at the anticipated next position, and what is it good for?

Before the gradient is known, the best guess of the next position is where the momentum alone would go. Measured on a
network that learns the digits: how far that point is from the true next position, compared with the present one.

On a bowl the effect has a closed form (Sutskever et al. 2013): along a direction of curvature l, Nesterov's method is
momentum with b (1 - lr l) in place of b. Where both oscillate, the error decays by sqrt(b) a step for momentum and by
sqrt(b (1 - lr l)) for Nesterov: it dampens most where momentum oscillates fastest.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from claim import NOT_SUPPORTED, SUPPORTED, Result, label, main, number, panels
from training import MLP, digits

import minigrad
from minigrad import optim
from minigrad.nn import functional as F

BETA = 0.9


def decay(lr_curvature: float, nesterov: bool, steps: int = 300) -> tuple[float, np.ndarray]:
    """The factor by which the error shrinks a step, fitted to its envelope, and the path from 1."""
    w = np.ones(1)
    optimizer: Any = optim.Nesterov(lr=1.0, momentum=BETA) if nesterov else optim.SGDMomentum(lr=1.0, momentum=BETA)
    path = [1.0]
    for _ in range(steps):
        optimizer.update([w], lambda params: [lr_curvature * params[0]])
        path.append(w[0])
    size = np.abs(path)
    envelope = np.array([size[i : i + 20].max() for i in range(0, steps - 20, 20)])
    kept = envelope > 1e-12
    return float(np.exp(np.polyfit(20 * np.arange(len(envelope))[kept], np.log(envelope[kept]), 1)[0])), np.array(path)


def anticipation(seed: int, steps: int) -> float:
    """The median of |look-ahead point - next point| / |present point - next point| during training."""
    minigrad.manual_seed(seed)
    data = digits()
    model = MLP([64, 32, 10])
    parameters = list(model.parameters())
    lr = 0.02
    optimizer = optim.SGD(parameters, lr=lr, momentum=BETA, nesterov="lookahead")
    rng = np.random.default_rng(seed)

    def position() -> np.ndarray:
        return np.concatenate([p.data.ravel() for p in parameters])

    ratios = []
    for _ in range(steps):
        batch = rng.integers(0, len(data.x), 64)
        x, y = minigrad.from_numpy(data.x[batch]), minigrad.from_numpy(data.y[batch])
        here = position()
        seen = {}

        def closure(x: Any = x, y: Any = y, seen: dict = seen) -> Any:
            seen["at"] = position()  # where the optimizer has put the parameters
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            return loss

        optimizer.step(closure)
        there = position()
        ratios.append(np.linalg.norm(seen["at"] - there) / np.linalg.norm(here - there))
    return float(np.median(ratios[10:]))


def run(quick: bool) -> Result:
    products = [0.02, 0.1, 0.3, 0.6]
    measured = {nesterov: [decay(p, nesterov)[0] for p in products] for nesterov in (False, True)}
    theory = [np.sqrt(BETA * (1 - p)) for p in products]
    ratios = [anticipation(seed, 60 if quick else 300) for seed in range(2 if quick else 5)]

    figure, (left, right) = panels(2)
    for nesterov, name in ((False, "momentum"), (True, "Nesterov")):
        left.plot(decay(0.3, nesterov)[1][:60], label=name)
    label(left, "One direction of a bowl, lr λ = 0.3", "step", "error")
    right.plot(products, measured[False], "o", label="momentum")
    right.axhline(np.sqrt(BETA), linestyle="--", color="#0072B2", label="√β")
    right.plot(products, measured[True], "o", color="#D55E00", label="Nesterov")
    right.plot(products, theory, "--", color="#D55E00", label="√(β (1 - lr λ))")
    label(right, "How fast the oscillation decays", "learning rate times curvature, lr λ", "factor a step")

    error = float(np.max(np.abs(np.array(measured[True]) - theory)))
    mean = float(np.mean(ratios))
    ok = mean < 0.7 and error < 0.02
    return Result(
        section="3.3",
        quote="Evaluate gradient at the anticipated next position",
        numbers=[
            number("distance to the next point: look-ahead / present", ratios),
            number("decay at lr λ = 0.3, momentum", measured[False][2], np.sqrt(BETA)),
            number("decay at lr λ = 0.3, Nesterov", measured[True][2], theory[2]),
            number("largest error of the closed form", error, 0.0),
        ],
        verdict=SUPPORTED if ok else NOT_SUPPORTED,
        because=f"the point where the gradient is taken is at {mean:.2f} of the distance from the next position that "
        f"the present one has; at lr λ = 0.3 the oscillation decays by {measured[True][2]:.2f} a step instead of "
        f"{measured[False][2]:.2f}.",
        figure=figure,
    )


if __name__ == "__main__":
    main(run)
