"""Are local minima less of an issue with more parameters?

Exclusive-or is the smallest problem that a network without hidden units cannot learn. With two hidden ReLU units it
can be solved, but many starting points lead gradient descent to a place where the gradient is zero and the loss is
not: a local minimum or a flat region without a way out. The same descent is made from many random starts for several
widths; all starts of a width are trained at once, as one batch of networks.
"""

from __future__ import annotations

import numpy as np
from claim import NOT_SUPPORTED, SUPPORTED, Result, label, main, number, panels

import minigrad
from minigrad import optim

X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32) * 2 - 1
Y = np.array([[0], [1], [1], [0]], np.float32) * 2 - 1


def descend(width: int, starts: int, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Train `starts` networks of 2 inputs, `width` hidden units and 1 output; their losses and gradient norms."""
    rng = np.random.default_rng(width)
    shapes = [(starts, 2, width), (starts, 1, width), (starts, width, 1), (starts, 1, 1)]
    scales = [np.sqrt(2 / 2), 0.1, np.sqrt(1 / width), 0.0]
    w1, b1, w2, b2 = parameters = [
        minigrad.tensor(rng.normal(0, scale, shape).astype(np.float32), requires_grad=True)
        for shape, scale in zip(shapes, scales, strict=True)
    ]
    x, y = minigrad.from_numpy(X), minigrad.from_numpy(Y)
    optimizer = optim.GD(parameters, lr=0.1)
    for _ in range(steps):
        losses = ((((x @ w1 + b1).relu() @ w2 + b2) - y) ** 2).mean(dim=(1, 2))
        optimizer.zero_grad()
        losses.sum().backward()  # the networks share nothing: each gets the gradient of its own loss
        optimizer.step()
    squares = sum((p.grad.numpy().reshape(starts, -1) ** 2).sum(1) for p in parameters)
    return losses.detach().numpy(), np.sqrt(squares)


def run(quick: bool) -> Result:
    starts, steps = (200, 600) if quick else (1000, 3000)
    widths = [2, 3, 4, 6, 8, 12, 16]
    stuck, norms = [], []
    for width in widths:
        losses, gradients = descend(width, starts, steps)
        bad = losses > 0.1
        stuck.append(bad.mean())
        norms += list(gradients[bad])
    stuck = np.array(stuck)
    deviation = np.sqrt(stuck * (1 - stuck) / starts)  # of a fraction among independent starts

    figure, (ax,) = panels()
    parameters = [4 * width + 1 for width in widths]
    ax.errorbar(parameters, 100 * stuck, 100 * deviation, marker="o", capsize=3, label=f"{starts} starts a point")
    label(ax, "Gradient descent on exclusive-or", "parameters", "starts that end above loss 0.1 (%)")

    flat = float(np.mean(np.array(norms) < 0.01))
    ok = stuck[0] > 0.1 and stuck[-1] < stuck[0] / 10
    return Result(
        section="3.1",
        quote="Local minima: Can get stuck (less issue in high dimensions)",
        numbers=[
            *(number(f"stuck with {n} parameters", s) for n, s in zip(parameters, stuck, strict=True)),
            number("stuck ones with gradient norm < 0.01", flat),
        ],
        verdict=SUPPORTED if ok else NOT_SUPPORTED,
        because=f"{stuck[0]:.0%} of the starts get stuck with {parameters[0]} parameters, {stuck[-1]:.1%} with "
        f"{parameters[-1]}.",
        figure=figure,
    )


if __name__ == "__main__":
    main(run)
