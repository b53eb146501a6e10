"""Convolution of images and its two gradients, on arrays.

    conv2d             y  from x, w, b
    conv2d_input_grad  gx from g, w
    conv2d_weight_grad gw from g, x          (and conv2d_weight_bias_grad: gb in the same pass)

Shapes are PyTorch's: x (N, C, H, W), w (O, C / groups, KH, KW), b (O,), y (N, O, OH, OW), any memory layout. float32
results have channels-last strides: an (N, H, W, C) array seen as (N, C, H, W), as in PyTorch's `channels_last`.
float32 runs in vectors, 3x3 kernels of many channels with fewer multiplications than the formulas below have
(`conv_winograd.py`), others as they stand (`conv_vector.py`); everything else in the loops of `plain.py`.

`padding` is ((top, bottom), (left, right)), which also says 'same' for even kernels, where one side gets one more.

All results are the same bits for any number of threads.
"""

from __future__ import annotations

import functools

import numpy as np

from minigrad.errors import ShapeError
from minigrad.kernels import plain
from minigrad.kernels.buffers import empty_image
from minigrad.kernels.conv_parts import Geometry
from minigrad.kernels.conv_run import fast, fill_input_grad, fill_output, weight_and_bias_grad

__all__ = [
    "NO_PADDING",
    "check_grad",
    "conv2d",
    "conv2d_bias_grad",
    "conv2d_input_grad",
    "conv2d_output_shape",
    "conv2d_weight_bias_grad",
    "conv2d_weight_grad",
]

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]
Shape = tuple[int, ...]

NO_PADDING: Padding = ((0, 0), (0, 0))


@functools.lru_cache(maxsize=1024)
def conv2d_output_shape(
    x_shape: Shape, w_shape: Shape, stride: Pair, padding: Padding, dilation: Pair, groups: int
) -> tuple[int, int, int, int]:
    """The shape of conv2d's result.

    Raises
    ------
    ShapeError
        x and w do not fit each other, or the kernel does not fit into the padded image.

    Examples
    --------
    >>> conv2d_output_shape((8, 3, 32, 32), (16, 3, 5, 5), (2, 2), ((2, 2), (2, 2)), (1, 1), 1)
    (8, 16, 16, 16)
    """
    n, c, *size = x_shape
    o, depth, *kernel = w_shape
    if c != depth * groups or o % groups:
        raise ShapeError(
            f"conv2d: weight {w_shape} with groups={groups} needs an input with {depth * groups} channels and a "
            f"number of output channels that {groups} divides, got input {x_shape}."
        )
    out = []
    for name, length, k, s, (before, after), d in zip(
        ("height", "width"), size, kernel, stride, padding, dilation, strict=True
    ):
        reach = d * (k - 1) + 1
        if length + before + after < reach:
            raise ShapeError(
                f"conv2d: the {name} of input {x_shape} is {length + before + after} with its padding, but a kernel "
                f"of size {k} and dilation {d} reaches over {reach}. Use a larger input, more padding or a smaller "
                "kernel."
            )
        out.append((length + before + after - reach) // s + 1)
    return n, o, out[0], out[1]


def conv2d(
    x: np.ndarray,
    w: np.ndarray,
    b: np.ndarray | None = None,
    stride: Pair = (1, 1),
    padding: Padding = NO_PADDING,
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> np.ndarray:
    """y[n, o, i, j] = b[o] + sum over c, p, q of x[n, c, i*s + p*d - pad, j*s + q*d - pad] * w[o, c, p, q]

    Parameters
    ----------
    x : ndarray of shape (N, C, H, W)
    w : ndarray of shape (O, C / groups, KH, KW)
    b : ndarray of shape (O,), optional
    stride, dilation : (int, int)
        Rows, columns.
    padding : ((int, int), (int, int))
        Zeros at the (top, bottom), (left, right).
    groups : int
        Into how many independent convolutions the channels are divided.

    Returns
    -------
    y : ndarray of shape (N, O, OH, OW)

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.conv2d.html
    """
    shape = conv2d_output_shape(x.shape, w.shape, stride, padding, dilation, groups)
    if not fast(x, w):
        dtype = _plain_dtype(x, w)
        y = np.zeros(shape, dtype)
        bias = np.zeros(shape[1], dtype) if b is None else b.astype(dtype, copy=False)
        plain.conv2d(_tight(x, dtype), _tight(w, dtype), bias, y, stride, _corner(padding), dilation)
        return y.astype(np.result_type(x, w), copy=False)
    y = empty_image(shape, np.float32)
    fill_output(x, w, b, y, Geometry(stride, padding, dilation, groups))
    return y


def conv2d_input_grad(
    g: np.ndarray,
    w: np.ndarray,
    input_shape: Shape,
    stride: Pair = (1, 1),
    padding: Padding = NO_PADDING,
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> np.ndarray:
    """gx[n, c, h, v] = sum over all i, j, o, p, q that x[n, c, h, v] took part in of g[n, o, i, j] * w[o, c, p, q]

    Parameters
    ----------
    g : ndarray of shape (N, O, OH, OW)
        The gradient of the output of `conv2d`.
    w : ndarray of shape (O, C / groups, KH, KW)
    input_shape : tuple of int
        The shape of x. The output's shape does not determine it when the stride is not 1.
    stride, padding, dilation, groups
        As in `conv2d`.

    Returns
    -------
    gx : ndarray of shape `input_shape`
    """
    n, c, h, v = input_shape
    check_grad(g, conv2d_output_shape((n, c, h, v), w.shape, stride, padding, dilation, groups))
    if not fast(g, w):
        dtype = _plain_dtype(g, w)
        gx = np.zeros((n, c, h, v), dtype)
        plain.conv2d_input_grad(_tight(g, dtype), _tight(w, dtype), gx, stride, _corner(padding), dilation)
        return gx.astype(np.result_type(g, w), copy=False)
    gx = empty_image((n, c, h, v), np.float32)
    fill_input_grad(g, w, gx, Geometry(stride, padding, dilation, groups))
    return gx


def conv2d_weight_grad(
    g: np.ndarray,
    x: np.ndarray,
    weight_shape: Shape,
    stride: Pair = (1, 1),
    padding: Padding = NO_PADDING,
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> np.ndarray:
    """gw[o, c, p, q] = sum over n, i, j of g[n, o, i, j] * x[n, c, i*s + p*d - pad, j*s + q*d - pad]

    Parameters
    ----------
    g : ndarray of shape (N, O, OH, OW)
        The gradient of the output of `conv2d`.
    x : ndarray of shape (N, C, H, W)
    weight_shape : tuple of int
        The shape of w.
    stride, padding, dilation, groups
        As in `conv2d`.

    Returns
    -------
    gw : ndarray of shape `weight_shape`
    """
    return _weight_grad(g, x, tuple(weight_shape), stride, padding, dilation, groups, False)[0]


def conv2d_weight_bias_grad(
    g: np.ndarray,
    x: np.ndarray,
    weight_shape: Shape,
    stride: Pair = (1, 1),
    padding: Padding = NO_PADDING,
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> tuple[np.ndarray, np.ndarray]:
    """`conv2d_weight_grad` and, from the same reading of g, gb[o] = sum over n, i, j of g[n, o, i, j].

    Returns
    -------
    gw : ndarray of shape `weight_shape`
    gb : ndarray of shape (O,)
    """
    return _weight_grad(g, x, tuple(weight_shape), stride, padding, dilation, groups, True)


def conv2d_bias_grad(g: np.ndarray) -> np.ndarray:
    """gb[o] = sum over n, i, j of g[n, o, i, j]: the gradient of a 1 x 1 weight whose input is one everywhere."""
    n, o, height, width = g.shape
    ones = np.broadcast_to(g.dtype.type(1), (n, 1, height, width))
    return conv2d_weight_grad(g, ones, (o, 1, 1, 1)).reshape(o)


def _weight_grad(
    g: np.ndarray,
    x: np.ndarray,
    weight_shape: Shape,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
    with_bias: bool,
) -> tuple[np.ndarray, np.ndarray]:
    y_shape = conv2d_output_shape(x.shape, weight_shape, stride, padding, dilation, groups)
    check_grad(g, y_shape)
    if not fast(g, x):
        dtype = _plain_dtype(g, x)
        gw = np.zeros(weight_shape, dtype)
        plain.conv2d_weight_grad(_tight(g, dtype), _tight(x, dtype), gw, stride, _corner(padding), dilation)
        kind = np.result_type(g, x)
        return gw.astype(kind, copy=False), g.sum(axis=(0, 2, 3), dtype=kind)
    geometry = Geometry(stride, padding, dilation, groups)
    return weight_and_bias_grad(g, x, y_shape, weight_shape, geometry, with_bias)


def check_grad(g: np.ndarray, shape: Shape) -> None:
    """Refuse a gradient that has not the shape of the output."""
    if g.shape != shape:
        raise ShapeError(f"conv2d: expected a gradient of the output's shape {shape}, got {g.shape}.")


def _plain_dtype(*arrays: np.ndarray) -> np.dtype:
    """What the plain loops compute in: Numba has no float16."""
    return np.result_type(np.float32, *arrays)


def _tight(array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """C order, so that each plain loop is compiled for one layout."""
    return np.ascontiguousarray(array, dtype)


def _corner(padding: Padding) -> Pair:
    return padding[0][0], padding[1][0]
