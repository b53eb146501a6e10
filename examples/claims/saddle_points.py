"""How a saddle holds gradient descent, and how noise ends it.

f(x, y) = x^2/2 - y^2/2 + y^4/4 has a saddle at the origin and minima of value -1/4 at (0, ±1). Near the saddle the
y-coordinate grows by the factor 1 + lr in each step, so from y = e it takes about log(1/e) / log(1 + lr) steps to get
away, and from y = 0 exactly it never does: the gradient there is zero although it is no minimum. A little noise in
the gradient, as mini-batches have it, starts the growth.
"""

from __future__ import annotations

import numpy as np
from claim import NOT_SUPPORTED, SUPPORTED, Result, label, main, number, panels

from minigrad import optim

LR = 0.1


def gradient(w: np.ndarray) -> np.ndarray:
    x, y = w
    return np.array([x, -y + y**3])


def descend(y0: float, noise: float, seed: int, limit: int = 2000) -> tuple[int, list[float]]:
    """From (1, y0): steps until the loss is below -0.2 (`limit` if never), and the gradient norms on the way."""
    rng = np.random.default_rng(seed)
    w = np.array([1.0, y0])
    optimizer = optim.GD(lr=LR)
    norms = []
    for step in range(limit):
        x, y = w
        if x**2 / 2 - y**2 / 2 + y**4 / 4 < -0.2:
            return step, norms
        norms.append(float(np.linalg.norm(gradient(w))))
        optimizer.update([w], [gradient(w) + noise * rng.standard_normal(2)])
    return limit, norms


def run(quick: bool) -> Result:
    starts = 10.0 ** -np.arange(2, 13)
    steps = [descend(y0, 0.0, 0)[0] for y0 in starts]
    per_decade = float(np.polyfit(-np.log10(starts), steps, 1)[0])
    theory = np.log(10) / np.log(1 + LR)
    smallest = min(descend(1e-8, 0.0, 0)[1][:150])
    exact, _ = descend(0.0, 0.0, 0)
    noisy = [descend(0.0, 0.01, seed)[0] for seed in range(10 if quick else 100)]

    figure, (ax,) = panels()
    for y0, style in ((1e-2, "-"), (1e-5, "-"), (1e-8, "-"), (0.0, "--")):
        ax.semilogy(descend(y0, 0.0, 0, 300)[1], style, label=f"from y = {y0:g}")
    ax.semilogy(descend(0.0, 0.01, 0, 300)[1], ":", linewidth=2, label="from y = 0, with noise 0.01")
    ax.set_ylim(1e-10, 20)
    label(ax, "Gradient norm on the way past a saddle", "step", "norm of the gradient")

    ok = exact == 2000 and max(noisy) < 2000 and abs(per_decade / theory - 1) < 0.05
    return Result(
        section="3.1",
        quote="Saddle points: Gradients vanish but not at minimum",
        numbers=[
            number("steps more per decade nearer the saddle", per_decade, theory),
            number("smallest gradient norm, from y = 1e-8", smallest),
            number("steps to leave from y = 0 (limit 2000)", float(exact)),
            number("the same with noise 0.01", noisy),
        ],
        verdict=SUPPORTED if ok else NOT_SUPPORTED,
        because=f"each decade nearer to the saddle costs {per_decade:.1f} steps; from the line y = 0 the descent stays "
        f"for ever, with noise it leaves after {np.mean(noisy):.0f} steps.",
        figure=figure,
    )


if __name__ == "__main__":
    main(run)
