"""Layers and losses as functions, for code that keeps its own parameters. Usually imported as F.

Names, arguments and defaults are those of https://docs.pytorch.org/docs/stable/nn.functional.html. The functions
translate PyTorch's forms ('same', one number for a pair) into what the ops in `minigrad/ops` compute, and check them.
"""

from minigrad.nn.functional.convolution import conv1d, conv2d, conv_transpose2d, fold, unfold
from minigrad.nn.functional.linear import dropout, embedding, flatten, linear, one_hot
from minigrad.nn.functional.loss import cross_entropy
from minigrad.nn.functional.normalization import batch_norm, group_norm, instance_norm, layer_norm, rms_norm
from minigrad.nn.functional.pooling import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    avg_pool1d,
    avg_pool2d,
    max_pool1d,
    max_pool2d,
)
from minigrad.ops.arrange import pad
from minigrad.ops.select import relu
from minigrad.ops.softmax import log_softmax, softmax
from minigrad.ops.special import sigmoid
from minigrad.ops.trigonometric import tanh

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "avg_pool1d",
    "avg_pool2d",
    "batch_norm",
    "conv1d",
    "conv2d",
    "conv_transpose2d",
    "cross_entropy",
    "dropout",
    "embedding",
    "flatten",
    "fold",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "linear",
    "log_softmax",
    "max_pool1d",
    "max_pool2d",
    "one_hot",
    "pad",
    "relu",
    "rms_norm",
    "sigmoid",
    "softmax",
    "tanh",
    "unfold",
]
