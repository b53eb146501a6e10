"""The patches of an image under a sliding window, as columns (unfold), and back (fold): two transposed maps."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.errors import ShapeError
from minigrad.graph import op
from minigrad.ops.samples import Sample, draw, strided

__all__ = ["fold", "unfold"]

Pair = tuple[int, int]


def _counts(size: Pair, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair, name: str) -> Pair:
    """How many windows fit along the height and the width."""
    counts = [
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(size, kernel_size, stride, padding, dilation, strict=True)
    ]
    if min(counts) < 1:
        raise ShapeError(
            f"{name}: a window of {kernel_size} with dilation {dilation} does not fit into images of {size} padded "
            f"by {padding}. Use a smaller window or more padding."
        )
    return counts[0], counts[1]


def _window_views(padded: np.ndarray, counts: Pair, kernel_size: Pair, stride: Pair, dilation: Pair) -> np.ndarray:
    """(N, C, KH, KW, rows, columns): a view of the padded images with an entry for each place in each window."""
    n, c, *_ = padded.shape
    sn, sc, sh, sw = padded.strides
    return np.lib.stride_tricks.as_strided(
        padded,
        (n, c, *kernel_size, *counts),
        (sn, sc, sh * dilation[0], sw * dilation[1], sh * stride[0], sw * stride[1]),
    )


@op
def unfold(
    x: np.ndarray,
    /,
    kernel_size: Pair,
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
) -> np.ndarray:
    """z[n, (c, u, v), (i, j)] = x[n, c, i s + u d - p, j s + v d - p]"""
    n, c, h, w = x.shape
    counts = _counts((h, w), kernel_size, stride, padding, dilation, "unfold")
    padded = np.pad(x, ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2))
    views = _window_views(padded, counts, kernel_size, stride, dilation)
    return views.reshape(n, c * kernel_size[0] * kernel_size[1], counts[0] * counts[1])


@unfold.vjp
def unfold(g: Any, _z: Any, _x: Any, **window: Any) -> tuple:
    return (fold(g, size=_x.shape[2:], **window),)


@op
def fold(
    x: np.ndarray,
    /,
    size: Pair,
    kernel_size: Pair,
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
) -> np.ndarray:
    """z = zeros; z[n, c, i s + u d - p, j s + v d - p] += x[n, (c, u, v), (i, j)]"""
    counts = _counts(size, kernel_size, stride, padding, dilation, "fold")
    n, rows, windows = x.shape
    places = kernel_size[0] * kernel_size[1]
    if rows % places or windows != counts[0] * counts[1]:
        raise ShapeError(
            f"fold: expected (N, C * {places}, {counts[0] * counts[1]}) for images of {tuple(size)} and windows of "
            f"{kernel_size}, got {x.shape}."
        )
    padded = np.zeros((n, rows // places, size[0] + 2 * padding[0], size[1] + 2 * padding[1]), x.dtype)
    views = _window_views(padded, counts, kernel_size, stride, dilation)
    parts = x.reshape(views.shape)
    for u in range(kernel_size[0]):
        for v in range(kernel_size[1]):
            views[:, :, u, v] += parts[:, :, u, v]  # for one (u, v) no two windows share an element
    return padded[:, :, padding[0] : padding[0] + size[0], padding[1] : padding[1] + size[1]]


@fold.vjp
def fold(g: Any, _z: Any, _x: Any, size: Pair, **window: Any) -> tuple:
    return (unfold(g, **window),)


_CASES: list[tuple[tuple[int, ...], dict[str, Pair]]] = [
    ((1, 1, 3, 3), {"kernel_size": (2, 2)}),
    ((2, 2, 4, 3), {"kernel_size": (3, 2), "padding": (1, 0)}),
    ((1, 2, 5, 5), {"kernel_size": (2, 3), "stride": (2, 1)}),
    ((1, 1, 5, 6), {"kernel_size": (2, 2), "dilation": (2, 3), "padding": (0, 1)}),
    ((0, 2, 3, 3), {"kernel_size": (1, 1)}),
]


@unfold.sampled
def _unfold_samples() -> list[Sample]:
    made = [Sample(draw(*shape), **window) for shape, window in _CASES]
    return [*made, Sample(strided(draw(1, 2, 3, 3)), kernel_size=(2, 2))]


@fold.sampled
def _fold_samples() -> list[Sample]:
    shapes = [unfold(draw(*shape), **window).shape for shape, window in _CASES]
    return [
        Sample(draw(*folded), size=shape[2:], **window) for folded, (shape, window) in zip(shapes, _CASES, strict=True)
    ]
