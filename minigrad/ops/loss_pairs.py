"""Losses of pairs of numbers, an output x and what it should have been, y; one loss for each pair.

The squared error and the absolute error are single operations already. These have a bend or a pole that asks for a
rule of its own.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.graph import op
from minigrad.ops.activation import logsigmoid
from minigrad.ops.exponential import log
from minigrad.ops.promotion import promote
from minigrad.ops.samples import BROADCASTS, Sample, draw, strided
from minigrad.ops.select import clamp, clip, where

__all__ = ["binary_cross_entropy", "binary_cross_entropy_with_logits", "huber", "kl_divergence"]

# The least that a logarithm may be, so that a sure and wrong answer costs much and not infinity; as in PyTorch.
_LEAST_LOG = -100.0


@op(prepare=promote)
def huber(x: Any, y: Any, /, delta: float = 1.0) -> Any:
    """z = d²/2 for |d| = |x - y| < delta, else delta (|d| - delta/2)"""
    apart = np.abs(x - y)
    return np.where(apart < delta, 0.5 * apart * apart, delta * (apart - 0.5 * delta))


@huber.vjp
def huber(g: Any, _z: Any, x: Any, y: Any, delta: float = 1.0) -> tuple:
    slope = g * clip(x - y, -delta, delta)
    return slope, -slope


@huber.sampled
def _huber_samples() -> list[Sample]:
    made = [Sample(draw(*a), draw(*b, seed=1) * 1.3, delta=2.5) for a, b in BROADCASTS]
    made += [Sample(draw(*a), draw(*b, seed=1) * 1.3 + 9, delta=0.7) for a, b in BROADCASTS[1:4]]
    return [*made, Sample(strided(draw(3, 4)), draw(4, seed=1) + 9)]


@op(prepare=promote)
def binary_cross_entropy(x: Any, y: Any, /) -> Any:
    """z = -y ln x - (1 - y) ln(1 - x), no logarithm less than -100"""
    return (y - 1) * np.maximum(np.log1p(-x), _LEAST_LOG) - y * np.maximum(np.log(x), _LEAST_LOG)


@binary_cross_entropy.vjp
def binary_cross_entropy(g: Any, _z: Any, x: Any, y: Any) -> tuple:
    return (
        lambda: g * (x - y) / clamp(x * (1 - x), min=1e-12),
        lambda: g * (clamp(log(1 - x), min=_LEAST_LOG) - clamp(log(x), min=_LEAST_LOG)),
    )


@binary_cross_entropy.sampled
def _binary_samples() -> list[Sample]:
    made = [Sample(draw(*a, low=0.05, high=0.95), draw(*b, low=0.05, high=0.95, seed=1)) for a, b in BROADCASTS]
    return [*made, Sample(strided(draw(3, 4, low=0.05, high=0.95)), draw(4, low=0.05, high=0.95, seed=1))]


def binary_cross_entropy_with_logits(x: Any, y: Any, pos_weight: Any = None) -> Any:
    """z = -w y ln σ(x) - (1 - y) ln(1 - σ(x)) for pairs of logits and probabilities, exact for logits of any size.

    With ln(1 - σ(x)) = ln σ(x) - x that is (1 - y) x - (1 + (w - 1) y) ln σ(x).
    """
    log_share = logsigmoid(x)
    if pos_weight is None:
        return (1 - y) * x - log_share
    return (1 - y) * x - (1 + (pos_weight - 1) * y) * log_share


def kl_divergence(x: Any, y: Any, log_target: bool) -> Any:
    """z = y (ln y - x) for pairs of log-probabilities x and probabilities y, or ln y; zero where y is."""
    if log_target:
        return y.exp() * (y - x)
    positive = y > 0
    return y * log(where(positive, y, 1.0)) - y * x
