"""Several operations in one pass over memory; `nn/fusion.py` decides where they stand in for the single ones.

    conv2d_relu_max_pool2d    z = max_pool2d(relu(conv2d(x, W, b)))
    relu_max_pool2d           z = max_pool2d(relu(x))
    linear_relu               z = relu(x W^T + b)

In a small convolutional network the convolution's result is the largest array of all. Neither it nor its gradient is
ever written: of each window all that the way back needs to know is which of its numbers won, one byte, or that none
was positive. A linear layer's result is only ever read by the ReLU after it, which may as well overwrite it.

The results are those of the single operations, bit for bit, and so are the gradients, but for those of a pooled
convolution of many channels, which are added up in another order (`kernels/conv_winners.py`).

The rules of an ordinary backward pass call the fused kernels. Under `create_graph` they are written in the single
operations' rules, which can be differentiated again.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.graph import op
from minigrad.kernels import conv, conv_pool
from minigrad.kernels import pool as pool_kernels
from minigrad.kernels.buffers import dense_image
from minigrad.ops.conv import channel_sums, conv2d_input_grad, conv2d_weight_grad
from minigrad.ops.linalg import linear
from minigrad.ops.once import once
from minigrad.ops.pool import max_pool2d_scatter
from minigrad.ops.promotion import as_float, same_float
from minigrad.ops.samples import Sample, draw
from minigrad.ops.select import relu

__all__ = ["conv2d_relu_max_pool2d", "linear_relu", "relu_max_pool2d"]

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]
Shape = tuple[int, ...]


@op(prepare=same_float)
def conv2d_relu_max_pool2d(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None,
    /,
    stride: Pair = (1, 1),
    padding: Padding = ((0, 0), (0, 0)),
    dilation: Pair = (1, 1),
    groups: int = 1,
    kernel_size: Pair = (2, 2),
) -> Any:
    """z[n, o, i, j] = max(0, max_pq y[n, o, i k + p, j l + q]),  y = conv2d(x, W, b),  (k, l) = kernel_size"""
    z, index = conv_pool.conv2d_relu_pool(x, weight, bias, stride, padding, dilation, groups, kernel_size)
    return z, {"index": index}


@conv2d_relu_max_pool2d.vjp
def conv2d_relu_max_pool2d(
    g: Any, _z: Any, x: Any, weight: Any, _bias: Any, index: np.ndarray, kernel_size: Pair = (2, 2), **geometry: Any
) -> tuple:
    if isinstance(g, np.ndarray):
        g = dense_image(g)  # once for both kernels
        weight_and_bias = once(
            lambda: conv_pool.conv2d_relu_pool_weight_bias_grad(
                g, index, x, weight.shape, window=kernel_size, **geometry
            )
        )
        return (
            lambda: conv_pool.conv2d_relu_pool_input_grad(g, index, weight, x.shape, window=kernel_size, **geometry),
            lambda: weight_and_bias()[0],
            lambda: weight_and_bias()[1],
        )
    y_shape = conv.conv2d_output_shape(x.shape, weight.shape, **{**_UNIT, **geometry})
    gy = _to_winners(g, index, y_shape, kernel_size, kernel_size)
    return (
        lambda: conv2d_input_grad(gy, weight, input_shape=x.shape, **geometry),
        lambda: conv2d_weight_grad(gy, x, weight_shape=weight.shape, **geometry),
        lambda: channel_sums(gy),
    )


_UNIT: dict[str, Any] = {"stride": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1), "groups": 1}


@op(prepare=as_float)
def relu_max_pool2d(
    x: np.ndarray,
    /,
    kernel_size: Pair,
    stride: Pair,
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    ceil_mode: bool = False,
) -> Any:
    """z[n, c, i, j] = max(0, max_uv x[n, c, i s + u d - p, j s + v d - p])"""
    z, index = pool_kernels.relu_max_pool2d(x, kernel_size, stride, padding, dilation, ceil_mode)
    return z, {"index": index}


@relu_max_pool2d.vjp
def relu_max_pool2d(
    g: Any, _z: Any, _x: Any, index: np.ndarray, kernel_size: Pair, stride: Pair, ceil_mode: bool = False, **border: Any
) -> tuple:
    if isinstance(g, np.ndarray):
        return (pool_kernels.max_pool2d_grad(g, index, _x.shape, kernel_size, stride, **border),)
    return (_to_winners(g, index, _x.shape, kernel_size, stride, **border),)


@op(prepare=same_float)
def linear_relu(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, /) -> np.ndarray:
    """z = max(0, x W^T + b), for x (..., in), W (out, in), b (out) or None"""
    z = linear.forward(x, weight, bias)
    return np.maximum(z, 0, out=z)


@linear_relu.vjp
def linear_relu(g: Any, z: Any, x: Any, weight: Any, _bias: Any) -> tuple:
    (g,) = relu.rule(g, z, z)
    return linear.rule(g, z, x, weight, _bias)


linear_relu.sampled(linear.samples)


def _to_winners(g: Any, index: np.ndarray, shape: Shape, kernel_size: Pair, stride: Pair, **border: Any) -> Any:
    """g at the number that won each window, nothing where none was positive; differentiable in g."""
    won = (index >= 0) & (index < kernel_size[0] * kernel_size[1])
    # A window without a winner sends its gradient, which is zero, to its first number.
    return max_pool2d_scatter(
        g * won.astype(g.dtype),
        index=np.where(won, index, 0),
        input_shape=shape,
        kernel_size=kernel_size,
        stride=stride,
        **border,
    )


# (input, weight, options): same padding, a border that no window covers, stride and groups, an odd window, nothing.
_CASES: list[tuple[Shape, Shape, dict[str, Any]]] = [
    ((2, 1, 4, 4), (2, 1, 3, 3), {"padding": ((1, 1), (1, 1))}),
    ((1, 2, 5, 5), (3, 2, 2, 2), {"padding": ((0, 1), (1, 0)), "kernel_size": (2, 2)}),
    ((2, 2, 7, 6), (4, 1, 3, 2), {"stride": (1, 2), "groups": 2, "kernel_size": (2, 1)}),
    ((1, 1, 6, 6), (2, 1, 2, 2), {"dilation": (2, 2), "kernel_size": (3, 3)}),
    ((0, 2, 4, 4), (2, 2, 1, 1), {}),
]


@conv2d_relu_max_pool2d.sampled
def _conv_samples() -> list[Sample]:
    made = [Sample(draw(*x), draw(*w, seed=1), draw(w[0], seed=2), **options) for x, w, options in _CASES]
    return [*made, Sample(draw(2, 1, 4, 4, seed=3), draw(2, 1, 3, 3, seed=4), None)]


@relu_max_pool2d.sampled
def _pool_samples() -> list[Sample]:
    windows: list[tuple[Shape, dict[str, Any]]] = [
        ((2, 3, 4, 4), {"kernel_size": (2, 2), "stride": (2, 2)}),
        ((1, 2, 5, 5), {"kernel_size": (3, 3), "stride": (1, 1)}),
        ((2, 1, 5, 4), {"kernel_size": (3, 2), "stride": (2, 1), "padding": (1, 1)}),
        ((1, 2, 6, 6), {"kernel_size": (2, 2), "stride": (1, 2), "dilation": (2, 3)}),
        ((1, 1, 5, 5), {"kernel_size": (2, 2), "stride": (2, 2), "ceil_mode": True}),
        ((0, 2, 4, 4), {"kernel_size": (2, 2), "stride": (2, 2)}),
    ]
    return [Sample(draw(*shape), **window) for shape, window in windows]
