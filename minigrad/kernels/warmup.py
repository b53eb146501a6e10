"""Compile ahead of time what a first training step would compile."""

from __future__ import annotations

import functools

import numpy as np

from minigrad.kernels import buffers, conv, conv_pool, dense, dropout, norm, pool
from minigrad.kernels.jit import jit_disabled
from minigrad.kernels.loss import softmax_cross_entropy

__all__ = ["warmup"]


def warmup() -> None:
    """Compile what a convolutional network in float32 is trained with, or load it from the cache.

    It takes some seconds on a machine where they have never run, and a fraction of a second afterwards. Without it the
    first training step takes that time. With `NUMBA_DISABLE_JIT=1` there is nothing to do.
    """
    if jit_disabled():
        return
    x, w = np.zeros((1, 1, 4, 4), np.float32), np.zeros((1, 1, 3, 3), np.float32)
    padding = ((1, 1), (1, 1))
    y = conv.conv2d(x, w, padding=padding)
    conv.conv2d_input_grad(y, w, x.shape, padding=padding)
    conv.conv2d_weight_bias_grad(y, x, w.shape, padding=padding)
    z, index = pool.max_pool2d(y, (2, 2), (2, 2))
    pool.max_pool2d_grad(z, index, y.shape, (2, 2), (2, 2))
    z, index = conv_pool.conv2d_relu_pool(x, w, padding=padding)
    conv_pool.conv2d_relu_pool_weight_bias_grad(z, index, x, w.shape, padding=padding)
    # Images of one channel, enough of them to go by tiles, with few output channels and with many.
    x = np.zeros((8, 1, 4, 4), np.float32)
    for outputs in (8, 16):
        w = np.zeros((outputs, 1, 3, 3), np.float32)
        z, index = conv_pool.conv2d_relu_pool(x, w, padding=padding)
        conv_pool.conv2d_relu_pool_weight_bias_grad(z, index, x, w.shape, padding=padding)
    # A layer that is wide enough for its gradients to go by the winners.
    x, w = np.zeros((8, 32, 4, 4), np.float32), np.zeros((32, 32, 3, 3), np.float32)
    z, index = conv_pool.conv2d_relu_pool(x, w, padding=padding)
    conv_pool.conv2d_relu_pool_input_grad(z, index, w, x.shape, padding=padding)
    conv_pool.conv2d_relu_pool_weight_bias_grad(z, index, x, w.shape, padding=padding)
    _slices()
    center, spread = norm.grouped_norm(y, None, None, None, 1e-5)[1:]
    input_grad, *_ = norm.grouped_norm_grad(y, y, None, center, spread, None, 1e-5)
    input_grad()
    # Large enough that they are not numpy's.
    a = np.zeros((64, 128), np.float32)
    dense.dense(a, a, None)
    dense.product(a, np.zeros((128, 64), np.float32))
    buffers.planes(buffers.empty_image((64, 64, 4, 4), np.float32))
    dropout.masked_scale(*dropout.dropout(x, 0.5, key=0), 2.0)
    softmax_cross_entropy(np.zeros((1, 2), np.float32), np.zeros(1, np.int64))
    _chain()
    _step()


def _slices() -> None:
    """The inner loops for all numbers of channels, and what layers of several widths need around them."""
    from minigrad.kernels import conv_blocks, conv_slices, conv_winograd

    for tasks in (conv_slices.GATHER, conv_slices.SUM, conv_slices.SUM_NINE):
        for some in tasks.values():
            some.compile()
    for some in (conv_winograd.tile_partials, conv_winograd.add_tile_partials, conv_blocks.expand_pairs):
        some.compile()


def _chain() -> None:
    """What runs a row of layers as one, and the small kernels between large ones."""
    from minigrad import nn, zeros

    model = nn.Sequential(nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 16))
    for _ in range(2):
        model(zeros(32, 32)).sum().backward()


def _step() -> None:
    """A step of each of the commonest optimizers."""
    from minigrad import optim, zeros

    for make in (optim.SGD, functools.partial(optim.SGD, momentum=0.9), optim.Adam, optim.AdamW):
        parameter = zeros(1, requires_grad=True)
        parameter.sum().backward()
        make([parameter], lr=0.1).step()
