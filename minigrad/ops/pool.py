"""Max and average pooling.

Max pooling remembers in the forward pass which element won each window; its gradient goes there. Gathering the winners
is linear in x once they are known, and sending g back to them is the transposed map, so the ops gather and scatter are
each other's gradient and every order of derivative exists. Average pooling is linear from the start; it and its
transposed map are each other's gradient.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.graph import op
from minigrad.kernels import pool as kernels
from minigrad.ops.promotion import as_float
from minigrad.ops.samples import Sample, draw, strided

__all__ = [
    "avg_pool2d", "avg_pool2d_input_grad", "max_pool2d", "max_pool2d_gather",
    "max_pool2d_positions", "max_pool2d_scatter",
]  # fmt: skip

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


@op(prepare=as_float, differentiable=False)
def max_pool2d_positions(
    x: np.ndarray,
    /,
    kernel_size: Pair,
    stride: Pair,
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    ceil_mode: bool = False,
) -> np.ndarray:
    """z = h W + w, the place in the image of the element x[n, c, h, w] that won window i, j"""
    _, index = kernels.max_pool2d(x, kernel_size, stride, padding, dilation, ceil_mode)
    rows, columns = _winners(index, kernel_size, stride, padding, dilation)
    return rows * x.shape[3] + columns


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
    N, C = index.shape[:2]
    rows, columns = _winners(index, kernel_size, stride, padding, dilation)
    return x[np.arange(N)[:, None, None, None], np.arange(C)[:, None, None], rows, columns]


def _winners(
    index: np.ndarray, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> tuple[np.ndarray, np.ndarray]:
    """The row and the column in the image that won each window; index (N, C, H, W) counts within the window."""
    u, v = np.divmod(index.astype(np.int64), kernel_size[1])
    rows = np.arange(index.shape[2])[:, None] * stride[0] + u * dilation[0] - padding[0]
    columns = np.arange(index.shape[3]) * stride[1] + v * dilation[1] - padding[1]
    return rows, columns


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
@max_pool2d_positions.sampled
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


@op(prepare=as_float)
def avg_pool2d(
    x: np.ndarray,
    /,
    kernel_size: Pair,
    stride: Pair,
    padding: Pair = (0, 0),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> np.ndarray:
    """z[n, c, i, j] = sum_uv x[n, c, i s + u - p, j s + v - p] / divisor[i, j]"""
    return kernels.avg_pool2d(x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


@avg_pool2d.vjp
def avg_pool2d(g: Any, _z: Any, _x: Any, **window: Any) -> tuple:
    return (avg_pool2d_input_grad(g, input_shape=_x.shape, **window),)


@op
def avg_pool2d_input_grad(
    g: np.ndarray,
    /,
    input_shape: Shape,
    kernel_size: Pair,
    stride: Pair,
    padding: Pair = (0, 0),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> np.ndarray:
    """z[n, c, h, w] = sum of g[n, c, i, j] / divisor[i, j] over the windows i, j that cover h, w"""
    return kernels.avg_pool2d_grad(g, input_shape, kernel_size, stride, padding, count_include_pad, divisor_override)


@avg_pool2d_input_grad.vjp
def avg_pool2d_input_grad(h: Any, _z: Any, _g: Any, input_shape: Shape, **window: Any) -> tuple:
    return (avg_pool2d(h, **window),)


_AVERAGES: list[tuple[Shape, dict[str, Any]]] = [
    ((2, 3, 4, 4), {"kernel_size": (2, 2), "stride": (2, 2)}),
    ((1, 2, 5, 5), {"kernel_size": (3, 2), "stride": (1, 2), "padding": (1, 1)}),
    ((1, 2, 5, 5), {"kernel_size": (3, 3), "stride": (2, 2), "padding": (1, 1), "count_include_pad": False}),
    ((1, 1, 5, 5), {"kernel_size": (2, 2), "stride": (2, 2), "ceil_mode": True}),
    ((2, 1, 4, 3), {"kernel_size": (2, 3), "stride": (1, 1), "divisor_override": 4}),
    ((0, 2, 4, 4), {"kernel_size": (2, 2), "stride": (2, 2)}),
]


@avg_pool2d.sampled
def _avg_samples() -> list[Sample]:
    made = [Sample(draw(*shape), **window) for shape, window in _AVERAGES]
    return [*made, Sample(strided(draw(1, 2, 4, 4)), kernel_size=(2, 2), stride=(2, 2))]


@avg_pool2d_input_grad.sampled
def _avg_grad_samples() -> list[Sample]:
    outputs = [avg_pool2d(draw(*shape), **window).shape for shape, window in _AVERAGES]
    return [
        Sample(draw(*output, seed=1), input_shape=shape, **window)
        for output, (shape, window) in zip(outputs, _AVERAGES, strict=True)
    ]
