"""Max pooling: the forward pass remembers which element won each window, its gradient goes there.

Gathering the winners is linear in x once they are known, and sending g back to them is the transposed map, so
the two small ops at the end are each other's gradient and every order of derivative exists.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.graph import op
from minigrad.kernels import pool as kernels
from minigrad.ops.promotion import as_float
from minigrad.ops.samples import Sample, draw, strided

__all__ = ["max_pool2d", "max_pool2d_gather", "max_pool2d_scatter"]

Pair = tuple[int, int]
Shape = tuple[int, ...]


@op(prepare=as_float)
def max_pool2d(
    x: np.ndarray,
    /,
    kernel_size: Pair,
    stride: Pair,
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    ceil_mode: bool = False,
) -> Any:
    """z[n, c, i, j] = max_uv x[n, c, i s + u d - p, j s + v d - p]"""
    z, index = kernels.max_pool2d(x, kernel_size, stride, padding, dilation, ceil_mode)
    return z, {"index": index}


@max_pool2d.vjp
def max_pool2d(g: Any, _z: Any, _x: Any, index: np.ndarray, ceil_mode: bool = False, **geometry: Any) -> tuple:
    return (max_pool2d_scatter(g, index=index, input_shape=_x.shape, **geometry),)


@op
def max_pool2d_scatter(
    g: np.ndarray,
    /,
    index: np.ndarray,
    input_shape: Shape,
    kernel_size: Pair,
    stride: Pair,
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
) -> np.ndarray:
    """z = zeros; z[the element that won window i, j] += g[n, c, i, j]"""
    return kernels.max_pool2d_grad(g, index, input_shape, kernel_size, stride, padding, dilation)


@max_pool2d_scatter.vjp
def max_pool2d_scatter(h: Any, _z: Any, _g: Any, input_shape: Shape, **winners: Any) -> tuple:
    return (max_pool2d_gather(h, **winners),)


@op
def max_pool2d_gather(
    x: np.ndarray,
    /,
    index: np.ndarray,
    kernel_size: Pair,
    stride: Pair,
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
) -> np.ndarray:
    """z[n, c, i, j] = x[the element that won window i, j]"""
    N, C, H, W = index.shape
    u, v = np.divmod(index.astype(np.intp), kernel_size[1])
    rows = np.arange(H)[:, None] * stride[0] + u * dilation[0] - padding[0]  # (N, C, H, W)
    columns = np.arange(W) * stride[1] + v * dilation[1] - padding[1]
    return x[np.arange(N)[:, None, None, None], np.arange(C)[:, None, None], rows, columns]


@max_pool2d_gather.vjp
def max_pool2d_gather(g: Any, _z: Any, _x: Any, **winners: Any) -> tuple:
    return (max_pool2d_scatter(g, input_shape=_x.shape, **winners),)


# (input, options): touching windows, overlapping, padded, dilated, a window over the edge, an empty batch.
_CASES: list[tuple[Shape, dict[str, Any]]] = [
    ((2, 3, 4, 4), {"kernel_size": (2, 2), "stride": (2, 2)}),
    ((1, 2, 5, 5), {"kernel_size": (3, 3), "stride": (1, 1)}),
    ((2, 1, 5, 4), {"kernel_size": (3, 2), "stride": (2, 1), "padding": (1, 1)}),
    ((1, 2, 6, 6), {"kernel_size": (2, 2), "stride": (1, 2), "dilation": (2, 3)}),
    ((1, 1, 5, 5), {"kernel_size": (2, 2), "stride": (2, 2), "ceil_mode": True}),
    ((0, 2, 4, 4), {"kernel_size": (2, 2), "stride": (2, 2)}),
]


def _shuffled(*shape: int) -> np.ndarray:
    """Numbers that differ by at least 0.1, so that a finite difference never changes which one is largest."""
    size = int(np.prod(shape))
    return 0.1 * np.random.default_rng(size).permutation(size).reshape(shape) - 0.05 * size


@max_pool2d.sampled
def _max_pool2d_samples() -> list[Sample]:
    made = [Sample(_shuffled(*shape), **options) for shape, options in _CASES]
    return [*made, Sample(strided(_shuffled(1, 2, 4, 4)), kernel_size=(2, 2), stride=(2, 2))]


def _won(shape: Shape, options: dict[str, Any]) -> tuple[np.ndarray, dict[str, Any]]:
    z, index = kernels.max_pool2d(
        _shuffled(*shape),
        options["kernel_size"],
        options["stride"],
        options.get("padding", (0, 0)),
        options.get("dilation", (1, 1)),
        options.get("ceil_mode", False),
    )
    winners = {key: value for key, value in options.items() if key != "ceil_mode"}
    return draw(*z.shape, seed=1), {"index": index, **winners}


@max_pool2d_scatter.sampled
def _scatter_samples() -> list[Sample]:
    made = [(_won(shape, options), shape) for shape, options in _CASES]
    return [Sample(g, input_shape=shape, **winners) for (g, winners), shape in made]


@max_pool2d_gather.sampled
def _gather_samples() -> list[Sample]:
    return [Sample(draw(*shape), **_won(shape, options)[1]) for shape, options in _CASES]
