"""A line search for the strong Wolfe conditions."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite, sqrt
from typing import NamedTuple

import numpy as np

__all__ = ["Point", "strong_wolfe"]

# Sufficient decrease and curvature, in the usual values for quasi-Newton methods (Nocedal and Wright, chapter 3).
C1, C2 = 1e-4, 0.9


class Point(NamedTuple):
    """A point on the line x + t d: its loss, gradient and directional derivative."""

    t: float
    loss: float
    grad: np.ndarray
    slope: float


def strong_wolfe(
    phi: Callable[[float], Point], start: Point, t: float, tolerance: float = 1e-9, max_evals: int = 25
) -> Point:
    """Find a step that meets the strong Wolfe conditions: first a bracket around one, then the step in it.

        phi(t) <= phi(0) + c₁ t phi'(0)   and   |phi'(t)| <= c₂ |phi'(0)|

    Parameters
    ----------
    phi : function of t that returns a `Point`
    start : Point
        phi at 0, with a negative slope.
    t : float
        The step to try first.
    tolerance : float
        A bracket shorter than this is not divided further.
    max_evals : int
        Calls of phi after the first.

    Returns
    -------
    Point
        The one that was found; the best one if `max_evals` or `tolerance` came first.

    References
    ----------
    Nocedal and Wright, Numerical optimization, 2nd edition, algorithms 3.5 and 3.6; the guards against steps at the
    ends of a bracket are those of Schmidt's minFunc and of PyTorch.
    """

    def decreases(point: Point) -> bool:
        return point.loss <= start.loss + C1 * point.t * start.slope  # false for a loss that is not finite

    def is_flat(point: Point) -> bool:
        return abs(point.slope) <= -C2 * start.slope

    before, point, calls = start, phi(t), 0
    while calls < max_evals:
        if not decreases(point) or (calls > 1 and point.loss >= before.loss):
            break
        if is_flat(point):
            return point
        if point.slope >= 0:
            break
        ahead = _cubic_minimum(before, point, point.t + 0.01 * (point.t - before.t), 10.0 * point.t)
        before, point, calls = point, phi(ahead), calls + 1
    else:
        before = start

    low, high = (before, point) if before.loss <= point.loss or not isfinite(point.loss) else (point, before)
    near_end = False
    while calls < max_evals and abs(high.t - low.t) >= tolerance:
        left, right = min(low.t, high.t), max(low.t, high.t)
        t = _cubic_minimum(low, high, left, right)
        margin = 0.1 * (right - left)
        if min(right - t, t - left) < margin:
            # A step next to an end of the bracket makes no progress: allow it once, then go a tenth inwards.
            if near_end or t >= right or t <= left:
                t = right - margin if abs(t - right) < abs(t - left) else left + margin
                near_end = False
            else:
                near_end = True
        else:
            near_end = False
        point, calls = phi(t), calls + 1
        if not decreases(point) or point.loss >= low.loss:
            low, high = (point, low) if point.loss < low.loss else (low, point)
        else:
            if is_flat(point):
                return point
            if point.slope * (high.t - low.t) >= 0:
                high = low
            low = point
    return low


def _cubic_minimum(a: Point, b: Point, left: float, right: float) -> float:
    """The minimum of the cubic through two points and their slopes, kept within [left, right]; else the middle."""
    if a.t > b.t:
        a, b = b, a
    middle = 0.5 * (left + right)
    if a.t == b.t:
        return middle
    d1 = a.slope + b.slope - 3.0 * (a.loss - b.loss) / (a.t - b.t)
    square = d1 * d1 - a.slope * b.slope
    if not 0.0 <= square < float("inf"):
        return middle
    d2 = sqrt(square)
    divisor = b.slope - a.slope + 2.0 * d2
    if divisor == 0.0:
        return middle
    return min(max(b.t - (b.t - a.t) * (b.slope + d2 - d1) / divisor, left), right)
