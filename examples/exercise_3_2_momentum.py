"""Exercise 3.2: what momentum does where one direction is steep and another is flat.

    python examples/exercise_3_2_momentum.py            # about 20 seconds
    python examples/exercise_3_2_momentum.py --quick    # a few seconds, smaller condition numbers

The question
------------
On f(x, y) = 1/2 (μ x² + L y²) with L much larger than μ, the rate must stay below 2/L, or the steep direction y blows
up. With such a rate the flat direction x takes some L/μ updates. That ratio is the condition number κ. How much does
momentum help, and does it still when κ grows?

The updates of section 3.3
--------------------------
    GD             θ_{t+1} = θ_t - α ∇f(θ_t)
    heavy ball     v_{t+1} = β v_t + ∇f(θ_t),               θ_{t+1} = θ_t - α v_{t+1}
    Nesterov       v_{t+1} = β v_t + ∇f(θ_t - α β v_t),     θ_{t+1} = θ_t - α v_{t+1}

The theory
----------
Along a direction of curvature λ the gradient is λ times the error e. Putting v = (e_{t-1} - e_t)/α into the updates
leaves a recursion for e alone, whose solutions are powers z^t of the roots of

    GD             z = 1 - αλ
    heavy ball     z² - (1 + β - αλ) z + β = 0
    Nesterov       z² - (1 + β)(1 - αλ) z + β (1 - αλ) = 0

and the larger |z| decides. Choosing α and β so that the slowest direction is as fast as it can be (for Nesterov, with
his α = 1/L) gives, with κ = L/μ,

    GD             α = 2/(L + μ)                                          |z| = (κ - 1)/(κ + 1)
    heavy ball     α = 4/(√L + √μ)²,  β = ((√κ - 1)/(√κ + 1))²            |z| = (√κ - 1)/(√κ + 1)
    Nesterov       α = 1/L,           β = (√κ - 1)/(√κ + 1)               |z| = 1 - 1/√κ

To shrink the error by a factor ε takes ln ε / ln |z| updates: some κ/2 · ln(1/ε) for GD, and only some √κ · ln(1/ε)
with momentum. At these values the two roots are equal, so that the error is not a pure power but e_t = (1 + c t) z^t,
relative to e_0; c follows from the first update, e_1 = (1 - αλ) e_0. So the number of updates can be predicted exactly.

A saddle is a minimum in one direction and a maximum in another. The same roots with a negative λ are above 1: they say
how fast an error that is almost nothing grows until the saddle is left.

References
----------
B. Polyak, Some methods of speeding up the convergence of iteration methods, 1964.
Y. Nesterov, Introductory Lectures on Convex Optimization, 2004, section 2.2.
G. Goh, Why Momentum Really Works, Distill, 2017.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from math import log, sqrt
from typing import Any

import lesson
import numpy as np

import minigrad
from minigrad import optim
from minigrad.datasets import QuadraticBowl
from minigrad.tensor import Tensor

METHODS = ("GD", "heavy ball", "Nesterov")
FIXED = "heavy ball, β = 0.9"
COLOUR = {"GD": lesson.BLUE, "heavy ball": lesson.ORANGE, "Nesterov": lesson.GREEN, FIXED: lesson.PURPLE}
MARKER = {"GD": "o", "heavy ball": "s", "Nesterov": "^", FIXED: "D"}
Function = Callable[[Tensor], Tensor]


# ---- the three methods -----------------------------------------------------------------------------------------------


def make(method: str, theta: Tensor, alpha: float, beta: float) -> optim.Optimizer:
    """The optimizer of that name, for one tensor."""
    if method == "GD":
        return optim.GD([theta], lr=alpha)
    if method == "Nesterov":
        return optim.SGD([theta], lr=alpha, momentum=beta, nesterov="lookahead")
    return optim.SGD([theta], lr=alpha, momentum=beta)


def descend(
    method: str, f: Function, start: list[float], alpha: float, beta: float, done: Callable[[np.ndarray], bool]
) -> np.ndarray:
    """The points θ_0, θ_1, ... up to the first that is `done`, (T + 1, 2)."""
    theta = minigrad.tensor(np.array(start), requires_grad=True)
    optimizer = make(method, theta, alpha, beta)

    def closure() -> Tensor:  # step() calls it at the point where the method wants the gradient
        optimizer.zero_grad()
        loss = f(theta)
        loss.backward()
        return loss

    path = [theta.data.copy()]
    while not done(path[-1]):
        optimizer.step(closure)
        path.append(theta.data.copy())
    return np.array(path)


def best(method: str, mu: float, L: float) -> tuple[float, float, float]:
    """α, β and |z| of the theory above."""
    kappa = L / mu
    root = sqrt(kappa)
    if method == "GD":
        return 2 / (L + mu), 0.0, (kappa - 1) / (kappa + 1)
    if method == "heavy ball":
        return 4 / (sqrt(L) + sqrt(mu)) ** 2, ((root - 1) / (root + 1)) ** 2, (root - 1) / (root + 1)
    return 1 / L, (root - 1) / (root + 1), 1 - 1 / root


def largest_root(method: str, alpha: float, beta: float, curvature: float) -> float:
    """|z|: the factor by which the error along a direction of that curvature changes in an update, after many."""
    q = 1 - alpha * curvature
    polynomial = {
        "GD": [1, -q],
        "heavy ball": [1, -(beta + q), beta],
        "Nesterov": [1, -(1 + beta) * q, beta * q],
    }[method]
    return float(np.abs(np.roots(polynomial)).max())


# ---- 1: paths over the contours --------------------------------------------------------------------------------------


def paths(row: Any) -> None:
    mu, L, start, target = 1.0, 30.0, [-9.0, 0.9], 1e-3
    f = QuadraticBowl([mu, L], rotate=False)
    x, y = np.meshgrid(np.linspace(-10, 10, 200), np.linspace(-2.4, 2.4, 120))
    height = 0.5 * (mu * x**2 + L * y**2)
    first = float(np.linalg.norm(start))
    print(f"1. Paths on 1/2 (x² + {L:g} y²), until the distance to the minimum is {target:g} of the first")
    print("                    α        β     updates    |z| of the theory")
    for ax, method in zip(row, METHODS, strict=True):
        alpha, beta, z = best(method, mu, L)
        path = descend(method, f, start, alpha, beta, lambda theta: bool(np.linalg.norm(theta) <= target * first))
        updates = len(path) - 1
        print(f"   {method:<11}  {alpha:.4f}   {beta:.4f}   {updates:>9}    {z:.4f}")
        ax.contour(x, y, height, levels=np.geomspace(0.3, 120, 9), colors=lesson.GREY, linewidths=0.5)
        ax.plot(*path.T, "-", color=COLOUR[method], linewidth=1.1, marker=".", markersize=4)
        ax.plot(*start, "o", color="black", markersize=5)
        ax.plot(0, 0, "*", color="black", markersize=9)
        settings = f"α = {alpha:.3f}" + (f", β = {beta:.2f}" if beta else "")
        ax.set(
            xlim=(-10, 10),
            xticks=(-10, -5, 0, 5, 10),
            ylim=(-2.4, 2.4),
            xlabel=f"x  (curvature {mu:g})",
            ylabel=f"y  (curvature {L:g})",
        )
        ax.set_title(f"{'abc'[METHODS.index(method)]}   {method}: {updates} updates\n{settings}", fontsize=11)
        ax.grid(False)
    print()


# ---- 2: how the number of updates grows with the condition number ----------------------------------------------------


EPSILON = 1e-6


def predicted(method: str, kappa: float) -> int:
    """The number of updates from (1, 1) until the error is EPSILON of the first, from the closed form of e_t."""
    alpha, _, z = best(method, 1.0, kappa)
    t = np.arange(30 + int(1.5 * log(EPSILON) / log(z)))
    if method == "GD":
        flat, steep = z**t, (-z) ** t
    elif method == "heavy ball":  # the double root is z in the flat direction and -z in the steep one
        flat = (1 + t * ((1 - alpha) / z - 1)) * z**t
        steep = (1 + t * ((1 - alpha * kappa) / -z - 1)) * (-z) ** t
    else:  # αL = 1: the steep direction is done after one update
        flat, steep = (1 + t * ((1 - alpha) / z - 1)) * z**t, t == 0
    return int(np.argmax(np.hypot(flat, steep) <= EPSILON * sqrt(2)))


def against_condition_number(quick: bool, ax: Any) -> None:
    kappas = (10, 100, 1000) if quick else (10, 30, 100, 300, 1000, 3000, 10000)
    print(f"2. Updates until the error is {EPSILON:g} of the first, from equal errors in both directions (predicted)")
    print("       κ" + "".join(f"    {name:>20}" for name in (*METHODS, FIXED)))
    counts: dict[str, list[int]] = {name: [] for name in (*METHODS, FIXED)}
    worst = 0
    for kappa in kappas:
        f = QuadraticBowl([1.0, kappa], rotate=False)
        line = f"  {kappa:>6}"
        for name in counts:
            method = "heavy ball" if name == FIXED else name
            alpha, beta, _ = best(method, 1.0, kappa) if name != FIXED else (1 / kappa, 0.9, 0.0)
            path = descend(method, f, [1.0, 1.0], alpha, beta, lambda e: bool(np.linalg.norm(e) <= EPSILON * sqrt(2)))
            counts[name].append(len(path) - 1)
            shown = f"{counts[name][-1]:,}"
            if name != FIXED:
                shown += f" ({predicted(name, kappa):,})"
                worst = max(worst, abs(counts[name][-1] - predicted(name, kappa)))
            line += f"    {shown:>20}"
        print(line)
    print(f"   Counted and predicted differ by {worst} at most.")

    print("   Slope of log(updates) against log(κ), fitted from κ = 100 on:")
    upper = [i for i, kappa in enumerate(kappas) if kappa >= 100]
    for name in METHODS:
        slope = np.polyfit(np.log([kappas[i] for i in upper]), np.log([counts[name][i] for i in upper]), 1)[0]
        print(f"     {name:<10} {slope:.3f}    theory {'1, κ updates' if name == 'GD' else '0.5, √κ updates'}")
        ax.plot(
            kappas, counts[name], MARKER[name], color=COLOUR[name], label=f"{name}: slope {slope:.2f}", markersize=6
        )
    grid = np.geomspace(min(kappas), max(kappas), 80)
    for name in METHODS:
        ax.plot(grid, [predicted(name, kappa) for kappa in grid], color=COLOUR[name], linewidth=1.2)
    ax.plot(kappas, counts[FIXED], MARKER[FIXED], color=COLOUR[FIXED], label=FIXED + ", α = 1/L", markersize=6)
    line = [log(EPSILON) / log(largest_root("heavy ball", 1 / kappa, 0.9, 1.0)) for kappa in grid]
    ax.plot(grid, line, color=COLOUR[FIXED], linewidth=1.2)
    ax.plot([], [], color="black", linewidth=1.2, label="theory")
    saved = counts["GD"][-1] / counts["heavy ball"][-1]
    print(f"   At κ = {kappas[-1]:,} GD takes {saved:.0f} times as many updates as the heavy ball with that κ's β.")
    # GD with the same α = 1/L takes ln ε / ln(1 - 1/κ).
    same_rate = log(EPSILON) / log(1 - 1 / kappas[-1]) / counts[FIXED][-1]
    print(f"   With β = 0.9 for every κ it takes {same_rate:.1f} times as many; for κ → ∞ that is 1/(1 - β) = 10.")
    slope = log(counts[FIXED][-1] / counts[FIXED][-2]) / log(kappas[-1] / kappas[-2])
    print(f"   Its slope from κ = {kappas[-2]:,} to {kappas[-1]:,} is {slope:.2f}; for κ → ∞ it is 1, as that of GD.")
    print(f"   Below κ = 1/(1 - √β)² = {1 / (1 - sqrt(0.9)) ** 2:.0f} it is too large: ln ε / ln √β = "
          f"{log(EPSILON) / log(sqrt(0.9)):.0f} updates whatever κ is.\n")  # fmt: skip
    ax.set(xscale="log", yscale="log", xlabel="condition number κ", ylabel="updates to an error of $10^{-6}$")
    ax.set_title("d   κ updates, or √κ", fontsize=11)
    ax.legend(frameon=False, fontsize=8.5)


# ---- 3: leaving a saddle ---------------------------------------------------------------------------------------------

DELTA = 0.2


def double_well(theta: Tensor) -> Tensor:
    """x²/2 + δ/4 (y² - 1)²: minima at y = ±1, between them a saddle with the curvatures 1 and -δ."""
    x, y = theta[0], theta[1]
    return 0.5 * x * x + 0.25 * DELTA * (y * y - 1) ** 2


def saddle(quick: bool, ax_path: Any, ax_time: Any) -> None:
    alpha, beta, left = 0.1, 0.9, 0.1
    starts = (1e-3, 1e-6) if quick else (1e-2, 1e-4, 1e-6, 1e-8)
    print(f"3. A saddle: x²/2 + {DELTA}/4 (y² - 1)²; updates from y_0 until |y| > {left}, α = {alpha}, β = {beta}")
    print("     y_0" + "".join(f"    {method:>11}    theory" for method in METHODS))
    roots = {method: largest_root(method, alpha, beta, -DELTA) for method in METHODS}
    worst = 0.0
    times = {}
    for y_0 in starts:
        line = f"  {y_0:>6.0e}"
        for method in METHODS:
            path = descend(method, double_well, [1.0, y_0], alpha, beta, lambda theta: abs(theta[1]) > left)
            times[method] = len(path) - 1
            # With momentum only a part of y_0 is along the growing root: the other root takes the rest.
            theory = log(left / (y_0 * part_that_grows(method, alpha, beta))) / log(roots[method])
            worst = max(worst, abs(times[method] - theory))
            line += f"    {times[method]:>11}    {theory:>6.1f}"
        print(line)
    print(f"   Measured and predicted differ by {worst:.1f} updates at most: counts are rounded up, and the saddle is")
    print(f"   no longer quite quadratic at |y| = {left}.")
    faster = times["GD"] / times["heavy ball"]
    print(f"   From y_0 = {starts[-1]:g} the heavy ball leaves {faster:.1f} times as fast as GD.\n")

    updates, start = 400, [1.0, 1e-3]
    x, y = np.meshgrid(np.linspace(-1.2, 1.2, 120), np.linspace(-0.25, 1.55, 120))
    height = 0.5 * x**2 + 0.25 * DELTA * (y**2 - 1) ** 2
    ax_path.contour(x, y, height, levels=np.linspace(0.004, 0.5, 12) ** 1.5, colors=lesson.GREY, linewidths=0.5)
    for method in METHODS:
        count = iter(range(updates + 1))
        path = descend(method, double_well, start, alpha, beta, lambda _, count=count: next(count) == updates)
        ax_time.plot(
            np.abs(path[:, 1]), color=COLOUR[method], linewidth=1.4, label=f"{method}: |z| = {roots[method]:.3f}"
        )
        t = np.arange(updates + 1)
        grown = start[1] * part_that_grows(method, alpha, beta) * roots[method] ** t
        ax_time.plot(t[grown < 3], grown[grown < 3], ":", color="black", linewidth=0.9)
        seen = path[:61]
        ax_path.plot(*seen.T, color=COLOUR[method], linewidth=1.3, label=method)
        ax_path.plot(*seen[::10].T, MARKER[method], color=COLOUR[method], markersize=5)
    box = {"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.8}
    for name, mark, place in (("saddle", "x", (0, 0)), ("minimum", "*", (0, 1))):
        ax_path.plot(*place, mark, color="black", markersize=9)
        ax_path.annotate(
            name, place, (-12, -12), "data", "offset points", ha="right", va="center", fontsize=9, bbox=box
        )
    ax_path.set(xlabel="x  (curvature 1)", ylabel=f"y  (curvature −{DELTA:g} at the saddle)", xlim=(-1.2, 1.2))
    ax_path.set_title(f"e   The first 60 updates from (1, {start[1]:g}), a mark every 10", fontsize=11)
    ax_path.grid(False)
    ax_path.legend(frameon=True, framealpha=0.9, edgecolor="none", fontsize=9, loc="upper right")
    ax_time.plot([], [], ":", color="black", linewidth=0.9, label="theory")
    ax_time.set(yscale="log", ylim=(5e-4, 3), xlabel="updates", ylabel="|y|, the distance from the saddle",
                xlim=(0, updates))  # fmt: skip
    ax_time.set_title(f"f   Leaving a saddle, α = {alpha}, β = {beta}", fontsize=11)
    ax_time.legend(frameon=False, fontsize=9, loc="lower right")


def part_that_grows(method: str, alpha: float, beta: float) -> float:
    """c in y_t = y_0 (c z_1^t + (1 - c) z_2^t): from y_1 = (1 - αλ) y_0, what all three methods do first."""
    if method == "GD":
        return 1.0
    q = 1 + alpha * DELTA
    z_1 = largest_root(method, alpha, beta, -DELTA)
    z_2 = (beta if method == "heavy ball" else beta * q) / z_1  # the product of the roots is the last coefficient
    return (q - z_2) / (z_1 - z_2)


def main(arguments: argparse.Namespace) -> None:
    picture, axes = lesson.figure(13, 7.6, 2, 3)
    paths(axes[0])
    against_condition_number(arguments.quick, axes[1, 0])
    saddle(arguments.quick, axes[1, 1], axes[1, 2])
    lesson.save(picture, arguments.out, "exercise_3_2")


if __name__ == "__main__":
    sys.exit(lesson.run(main, lesson.Parser("exercise_3_2", __doc__)))
