"""The formulas as loops: convolution, pooling and the matrix product the way that they are written on paper.

Each function here is the twin of a fast kernel. It is the oracle that the tests hold the fast one against, the path
for float64, and what runs under `NUMBA_DISABLE_JIT=1`. Images are (N, C, H, W), weights (O, C / groups, KH, KW), in
any memory layout; outputs are filled in place.

    y[n, o, i, j] = b[o] + sum over c, p, q of  x[n, c, i*s + p*d - pad, j*s + q*d - pad] * w[o, c, p, q]

with zero where x is asked for outside its bounds. The two gradients are the same sum, read towards x and towards w.

References
----------
Dumoulin, Visin, "A guide to convolution arithmetic for deep learning", https://arxiv.org/abs/1603.07285
https://docs.pytorch.org/docs/stable/generated/torch.nn.Conv2d.html
"""

from __future__ import annotations

import numpy as np

from minigrad.kernels.jit import kernel

__all__ = [
    "avg_pool2d",
    "avg_pool2d_grad",
    "conv2d",
    "conv2d_input_grad",
    "conv2d_weight_grad",
    "max_pool2d",
    "max_pool2d_grad",
    "product",
]

Pair = tuple[int, int]


@kernel
def conv2d(
    x: np.ndarray, w: np.ndarray, b: np.ndarray, y: np.ndarray, stride: Pair, corner: Pair, dilation: Pair
) -> None:
    """Fill y with the convolution of x and w, plus b; `corner` is the padding at the top and on the left."""
    outputs, depth, height, width = w.shape
    outputs_per_group = outputs * depth // x.shape[1]
    for n in range(y.shape[0]):
        for o in range(outputs):
            first = o // outputs_per_group * depth
            for i in range(y.shape[2]):
                for j in range(y.shape[3]):
                    s = b[o]
                    for p in range(height):
                        u = i * stride[0] + p * dilation[0] - corner[0]
                        if 0 <= u < x.shape[2]:
                            for q in range(width):
                                v = j * stride[1] + q * dilation[1] - corner[1]
                                if 0 <= v < x.shape[3]:
                                    for c in range(depth):
                                        s += x[n, first + c, u, v] * w[o, c, p, q]
                    y[n, o, i, j] = s


@kernel
def conv2d_input_grad(g: np.ndarray, w: np.ndarray, gx: np.ndarray, stride: Pair, corner: Pair, dilation: Pair) -> None:
    """Add to gx, for each product x * w of the forward sum, g * w."""
    outputs, depth, height, width = w.shape
    outputs_per_group = outputs * depth // gx.shape[1]
    for n in range(g.shape[0]):
        for o in range(outputs):
            first = o // outputs_per_group * depth
            for i in range(g.shape[2]):
                for j in range(g.shape[3]):
                    for p in range(height):
                        u = i * stride[0] + p * dilation[0] - corner[0]
                        if 0 <= u < gx.shape[2]:
                            for q in range(width):
                                v = j * stride[1] + q * dilation[1] - corner[1]
                                if 0 <= v < gx.shape[3]:
                                    for c in range(depth):
                                        gx[n, first + c, u, v] += g[n, o, i, j] * w[o, c, p, q]


@kernel
def conv2d_weight_grad(
    g: np.ndarray, x: np.ndarray, gw: np.ndarray, stride: Pair, corner: Pair, dilation: Pair
) -> None:
    """Add to gw, for each product x * w of the forward sum, g * x."""
    outputs, depth, height, width = gw.shape
    outputs_per_group = outputs * depth // x.shape[1]
    for n in range(g.shape[0]):
        for o in range(outputs):
            first = o // outputs_per_group * depth
            for i in range(g.shape[2]):
                for j in range(g.shape[3]):
                    for p in range(height):
                        u = i * stride[0] + p * dilation[0] - corner[0]
                        if 0 <= u < x.shape[2]:
                            for q in range(width):
                                v = j * stride[1] + q * dilation[1] - corner[1]
                                if 0 <= v < x.shape[3]:
                                    for c in range(depth):
                                        gw[o, c, p, q] += g[n, o, i, j] * x[n, first + c, u, v]


@kernel
def max_pool2d(
    x: np.ndarray,
    y: np.ndarray,
    index: np.ndarray,
    window: Pair,
    stride: Pair,
    corner: Pair,
    dilation: Pair,
) -> None:
    """Fill y with the largest number of each window, and index with its position p * width + q in the window.

    The first of equal numbers wins, padding never does, and NaN beats every number (the last NaN of a window).
    """
    for n in range(y.shape[0]):
        for c in range(y.shape[1]):
            for i in range(y.shape[2]):
                for j in range(y.shape[3]):
                    best = x.dtype.type(-np.inf)
                    where = -1
                    for p in range(window[0]):
                        u = i * stride[0] + p * dilation[0] - corner[0]
                        if 0 <= u < x.shape[2]:
                            for q in range(window[1]):
                                v = j * stride[1] + q * dilation[1] - corner[1]
                                if 0 <= v < x.shape[3]:
                                    value = x[n, c, u, v]
                                    if value > best or np.isnan(value) or where < 0:
                                        best = value
                                        where = p * window[1] + q
                    y[n, c, i, j] = best
                    index[n, c, i, j] = where


@kernel
def max_pool2d_grad(
    g: np.ndarray,
    index: np.ndarray,
    gx: np.ndarray,
    window: Pair,
    stride: Pair,
    corner: Pair,
    dilation: Pair,
) -> None:
    """Add each g to the gx of the number that won its window; a position that no window has means nobody did."""
    for n in range(g.shape[0]):
        for c in range(g.shape[1]):
            for i in range(g.shape[2]):
                for j in range(g.shape[3]):
                    p, q = divmod(np.int64(index[n, c, i, j]), window[1])
                    if 0 <= p < window[0]:
                        u = i * stride[0] + p * dilation[0] - corner[0]
                        v = j * stride[1] + q * dilation[1] - corner[1]
                        gx[n, c, u, v] += g[n, c, i, j]


@kernel
def avg_pool2d(x: np.ndarray, y: np.ndarray, divisor: np.ndarray, window: Pair, stride: Pair, corner: Pair) -> None:
    """Fill y with the sum of each window divided by `divisor[i, j]`; padding adds zero to the sum."""
    for n in range(y.shape[0]):
        for c in range(y.shape[1]):
            for i in range(y.shape[2]):
                for j in range(y.shape[3]):
                    s = x.dtype.type(0)
                    for p in range(window[0]):
                        u = i * stride[0] + p - corner[0]
                        if 0 <= u < x.shape[2]:
                            for q in range(window[1]):
                                v = j * stride[1] + q - corner[1]
                                if 0 <= v < x.shape[3]:
                                    s += x[n, c, u, v]
                    y[n, c, i, j] = s / divisor[i, j]


@kernel
def avg_pool2d_grad(
    g: np.ndarray, gx: np.ndarray, divisor: np.ndarray, window: Pair, stride: Pair, corner: Pair
) -> None:
    """Add to gx, for each number of each window, that window's g divided by `divisor[i, j]`."""
    for n in range(g.shape[0]):
        for c in range(g.shape[1]):
            for i in range(g.shape[2]):
                for j in range(g.shape[3]):
                    share = g[n, c, i, j] / divisor[i, j]
                    for p in range(window[0]):
                        u = i * stride[0] + p - corner[0]
                        if 0 <= u < gx.shape[2]:
                            for q in range(window[1]):
                                v = j * stride[1] + q - corner[1]
                                if 0 <= v < gx.shape[3]:
                                    gx[n, c, u, v] += share


@kernel
def product(a: np.ndarray, b: np.ndarray, y: np.ndarray) -> None:
    """y[i, j] = sum over k of a[i, k] * b[k, j]"""
    for i in range(a.shape[0]):
        for j in range(b.shape[1]):
            s = a.dtype.type(0)
            for k in range(a.shape[1]):
                s += a[i, k] * b[k, j]
            y[i, j] = s
