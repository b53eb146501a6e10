"""Does the gradient point to where the loss rises most, and its negative to where it falls most?

For a small step h in the direction of a unit vector u the loss changes by h <g, u> + O(h^2): by h |g| at most, when u
is the direction of g, and by cos(u, g) of that otherwise. In a thousand dimensions a random direction is nearly at a
right angle to the gradient, so that its cosine is about 1/sqrt(n): that is what a search without gradients would earn.

Measured on a network that learns the handwritten digits, in float64: the loss is computed at both ends of the step.
"""

from __future__ import annotations

import numpy as np
from claim import NOT_SUPPORTED, SUPPORTED, Result, label, main, number, panels
from training import digits

import minigrad
from minigrad.nn import functional as F

SHAPES = ((16, 64), (10, 16))  # two layers, without biases


def run(quick: bool) -> Result:
    rng = np.random.default_rng(0)
    data = digits()
    x, y = minigrad.from_numpy(data.x.astype(np.float64)), minigrad.from_numpy(data.y)
    theta = np.concatenate([rng.normal(0, np.sqrt(2 / shape[1]), shape).ravel() for shape in SHAPES])
    n = theta.size

    def loss(theta: minigrad.Tensor) -> minigrad.Tensor:
        w1, w2 = theta[: 16 * 64].reshape(16, 64), theta[16 * 64 :].reshape(10, 16)
        return F.cross_entropy(F.linear(F.relu(F.linear(x, w1)), w2), y)

    value, g = minigrad.functional.value_and_grad(loss)(minigrad.from_numpy(theta))
    gradient = g.numpy()
    length = np.linalg.norm(gradient)

    h = 1e-4

    def change(direction: np.ndarray) -> float:
        """How the loss changes for a step h, as a fraction of the largest change h |g|."""
        moved = minigrad.from_numpy(theta + h * direction / np.linalg.norm(direction))
        return (loss(moved).item() - value.item()) / (h * length)

    uphill, downhill = change(gradient), change(-gradient)
    directions = rng.standard_normal((100 if quick else 1000, n))
    changes = np.array([change(d) for d in directions])
    cosines = directions @ gradient / np.linalg.norm(directions, axis=1) / length

    figure, (ax,) = panels()
    ax.hist(changes, bins=30, label=f"{len(changes)} random directions")
    ax.axvline(uphill, color="#D55E00", label="the gradient")
    ax.axvline(downhill, color="#009E73", linestyle="--", label="its negative")
    label(ax, f"Change of the loss for a step of {h:g}", "change of the loss / (h |g|)", "directions")

    best = np.abs(changes).max()
    ok = best < uphill and best < -downhill and abs(uphill - 1) < 0.01 and abs(downhill + 1) < 0.01
    return Result(
        section="3.1",
        quote="Gradient points toward steepest ascent; negative gradient points toward steepest descent",
        numbers=[
            number("change along the gradient", uphill, 1.0),
            number("change along its negative", downhill, -1.0),
            number("largest of the random directions", best),
            number("typical random direction", float(changes.std()), 1 / np.sqrt(n)),
            number("largest |change - cosine|", float(np.abs(changes - cosines).max()), 0.0),
        ],
        verdict=SUPPORTED if ok else NOT_SUPPORTED,
        because=f"no random direction changes the loss by more than {best:.3f} of what the gradient does; "
        f"a typical one by {changes.std():.3f}, which is 1/√n for n = {n}.",
        figure=figure,
    )


if __name__ == "__main__":
    main(run)
