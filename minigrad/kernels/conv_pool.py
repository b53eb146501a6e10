"""Convolution, ReLU and max-pooling in one pass, forward and back.

    conv2d_relu_pool                   z, index from x, w, b
    conv2d_relu_pool_input_grad        gx from g, index, w
    conv2d_relu_pool_weight_bias_grad  gw, gb from g, index, x

In a small convolutional network the convolution's result is the largest array of all, and it is written, read, and
read again by ReLU, pooling and their gradients, while all that the backward pass needs of it is which number won each
window: one byte for a window. Here blocks of it are pooled while they are in the processor's cache, and blocks of its
gradient are made in the cache from the gradient of the pooled image; or, where a layer is wide enough, they are not
made at all, and only the winners are multiplied (`conv_winners.py`). The numbers are those of the separate functions,
bit for bit, but for gradients by winners of a convolution that alone goes by tiles (`conv_winograd.py`): they round
otherwise.

Windows must not overlap and have no padding: stride and window are the same. Everything that is not float32 goes
through the separate functions.
"""

from __future__ import annotations

import functools

import numpy as np

from minigrad.errors import ShapeError
from minigrad.kernels import pool
from minigrad.kernels.buffers import dense_image, empty_image
from minigrad.kernels.conv import (
    NO_PADDING,
    check_grad,
    conv2d,
    conv2d_input_grad,
    conv2d_output_shape,
    conv2d_weight_bias_grad,
)
from minigrad.kernels.conv_parts import Geometry
from minigrad.kernels.conv_run import fast, fill_input_grad, fill_output, weight_and_bias_grad

__all__ = ["MOST_POSITIONS", "conv2d_relu_pool", "conv2d_relu_pool_input_grad", "conv2d_relu_pool_weight_bias_grad"]

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]
Shape = tuple[int, ...]

# 255 positions of a window can be told apart by a byte, beside 'none of them'.
MOST_POSITIONS = 255


def conv2d_relu_pool(
    x: np.ndarray,
    w: np.ndarray,
    b: np.ndarray | None = None,
    stride: Pair = (1, 1),
    padding: Padding = NO_PADDING,
    dilation: Pair = (1, 1),
    groups: int = 1,
    window: Pair = (2, 2),
) -> tuple[np.ndarray, np.ndarray]:
    """z = max_pool2d(relu(conv2d(x, w, b)), window)

    Parameters
    ----------
    x, w, b, stride, padding, dilation, groups
        As in `conv2d`.
    window : (int, int)
        Rows and columns of a window, and the steps from one to the next.

    Returns
    -------
    z : ndarray of shape (N, O, OH // window[0], OW // window[1])
    index : ndarray of that shape
        As `relu_max_pool2d` returns it.
    """
    geometry, _, shape = _geometry(x.shape, w.shape, stride, padding, dilation, groups, window)
    if not _fused(x, w, window):
        y = conv2d(x, w, b, stride, padding, dilation, groups)
        return pool.relu_max_pool2d(y, window, window)
    z, index = empty_image(shape, np.float32), empty_image(shape, np.uint8)
    fill_output(x, w, b, z, geometry, index, window)
    return z, index


def conv2d_relu_pool_input_grad(
    g: np.ndarray,
    index: np.ndarray,
    w: np.ndarray,
    input_shape: Shape,
    stride: Pair = (1, 1),
    padding: Padding = NO_PADDING,
    dilation: Pair = (1, 1),
    groups: int = 1,
    window: Pair = (2, 2),
) -> np.ndarray:
    """The gradient of x, from the gradient of z and the index that `conv2d_relu_pool` returned.

    Returns
    -------
    gx : ndarray of shape `input_shape`
    """
    n, c, h, v = input_shape
    geometry, y_shape, z_shape = _geometry((n, c, h, v), w.shape, stride, padding, dilation, groups, window)
    _check_pooled(g, index, z_shape)
    if not _fused(g, w, window):
        gy = pool.max_pool2d_grad(g, index, y_shape, window, window)
        return conv2d_input_grad(gy, w, (n, c, h, v), stride, padding, dilation, groups)
    gx = empty_image((n, c, h, v), np.float32)
    fill_input_grad(dense_image(g), w, gx, geometry, dense_image(index), window)
    return gx


def conv2d_relu_pool_weight_bias_grad(
    g: np.ndarray,
    index: np.ndarray,
    x: np.ndarray,
    weight_shape: Shape,
    stride: Pair = (1, 1),
    padding: Padding = NO_PADDING,
    dilation: Pair = (1, 1),
    groups: int = 1,
    window: Pair = (2, 2),
) -> tuple[np.ndarray, np.ndarray]:
    """The gradients of w and b, from the gradient of z and the index that `conv2d_relu_pool` returned.

    Returns
    -------
    gw : ndarray of shape `weight_shape`
    gb : ndarray of shape (O,)
    """
    weight_shape = tuple(weight_shape)
    geometry, y_shape, z_shape = _geometry(x.shape, weight_shape, stride, padding, dilation, groups, window)
    _check_pooled(g, index, z_shape)
    if not _fused(g, x, window):
        gy = pool.max_pool2d_grad(g, index, y_shape, window, window)
        return conv2d_weight_bias_grad(gy, x, weight_shape, stride, padding, dilation, groups)
    return weight_and_bias_grad(dense_image(g), x, y_shape, weight_shape, geometry, True, dense_image(index), window)


def _fused(x: np.ndarray, w: np.ndarray, window: Pair) -> bool:
    return fast(x, w) and window[0] * window[1] <= MOST_POSITIONS


@functools.lru_cache(maxsize=1024)
def _geometry(
    x_shape: Shape, w_shape: Shape, stride: Pair, padding: Padding, dilation: Pair, groups: int, window: Pair
) -> tuple[Geometry, Shape, tuple[int, int, int, int]]:
    """How the convolution goes, the shape of its result, and that of the pooled result."""
    y_shape = conv2d_output_shape(x_shape, w_shape, stride, padding, dilation, groups)
    return (
        Geometry(stride, padding, dilation, groups),
        y_shape,
        pool.pool2d_output_shape(y_shape, window, window, (0, 0)),
    )


def _check_pooled(g: np.ndarray, index: np.ndarray, shape: Shape) -> None:
    check_grad(g, shape)
    if index.shape != g.shape:
        raise ShapeError(f"conv2d: expected one position for each window, shape {g.shape}, got {index.shape}.")
