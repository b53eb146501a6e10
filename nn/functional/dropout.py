"""Dropout as functions: zero at random what a network might otherwise lean on; only in training.

Each call draws one key of 64 bits from the generator; the key decides every element (`minigrad/kernels/dropout.py`). So
a seed gives the same elements for any number of threads, in any memory layout and dtype, and a generator whose state is
saved and restored goes on with the same ones.

References
----------
N. Srivastava et al., Dropout: a simple way to prevent neural networks from overfitting, JMLR 15 (2014).
"""

from __future__ import annotations

import math

import numpy as np

from minigrad.errors import ArgumentError, DTypeError, ShapeError
from minigrad.nn.functional.activation import replaced
from minigrad.ops import dropout as ops
from minigrad.random import Generator, default_generator
from minigrad.tensor import Tensor, from_numpy

__all__ = ["alpha_dropout", "dropout", "dropout1d", "dropout2d"]

# -lambda alpha of SELU: what it gives for inputs that go to minus infinity.
_SELU_FLOOR = -1.7580993408473766


def dropout(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False, generator: Generator | None = None
) -> Tensor:
    """y_i = x_i / (1 - p), or 0 with probability p: the mean stays what it was. In evaluation, y = x.

    Parameters
    ----------
    input : Tensor of any shape
    p : float in [0, 1]
    training : bool
    inplace : bool
        The result takes the place of the input, as for the activations.
    generator : Generator, optional
        By default the one that `minigrad.manual_seed` sets.

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.dropout.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> y = F.dropout(minigrad.ones(1000), p=0.75)
    >>> sorted(set(y.tolist()))  # 0, or 1 / (1 - 0.75)
    [0.0, 4.0]
    """
    _check(input, p, "dropout")
    if not training or p == 0:
        return input
    y = ops.dropout(input, p=float(p), key=_draw_key(generator))
    return replaced(input, y, "dropout") if inplace else y


def dropout1d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False, generator: Generator | None = None
) -> Tensor:
    """Zero whole channels with probability p, divide the others by 1 - p.

    Shapes: (N, C, L) or (C, L) -> the same

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.dropout1d.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> y = F.dropout1d(minigrad.ones(8, 16, 10), p=0.5)
    >>> sorted(set(y.sum(dim=2).flatten().tolist()))
    [0.0, 20.0]
    """
    if input.ndim not in (2, 3):
        raise ShapeError(f"dropout1d: expected input (N, C, L) or (C, L), got shape {input.shape}.")
    return _channel_dropout(input, input.ndim - 1, p, training, inplace, generator, "dropout1d")


def dropout2d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False, generator: Generator | None = None
) -> Tensor:
    """Zero whole channels of images with probability p, divide the others by 1 - p.

    Neighbouring pixels say nearly the same, so dropping single ones takes little away.

    Shapes: (N, C, H, W), or (N, C, L) -> the same

    References
    ----------
    J. Tompson et al., Efficient object localization using convolutional networks, arXiv:1411.4280.
    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.dropout2d.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> y = F.dropout2d(minigrad.ones(8, 16, 2, 5), p=0.5)
    >>> sorted(set(y.sum(dim=(2, 3)).flatten().tolist()))
    [0.0, 20.0]
    """
    if input.ndim not in (3, 4):
        raise ShapeError(f"dropout2d: expected input (N, C, H, W), or (N, C, L), got shape {input.shape}.")
    return _channel_dropout(input, 2, p, training, inplace, generator, "dropout2d")


def alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False, generator: Generator | None = None
) -> Tensor:
    """Dropout for SELU networks: y = a x + b, or a f + b where dropped, f = -1.758... being SELU's lowest value.

    a = 1 / √((1 - p) (1 + p f²)) and b = -a p f keep mean 0 and variance 1.

    References
    ----------
    G. Klambauer et al., Self-normalizing neural networks, arXiv:1706.02515.
    https://docs.pytorch.org/docs/stable/generated/torch.nn.AlphaDropout.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> y = F.alpha_dropout(minigrad.randn(100_000), p=0.3, training=True)
    >>> abs(y.mean().item()) < 0.02, abs(y.var().item() - 1) < 0.05
    (True, True)
    """
    _check(input, p, "alpha_dropout")
    if not training or p == 0:
        return input
    if p == 1:
        y = input * 0.0
    else:
        a = 1 / math.sqrt((1 - p) * (1 + p * _SELU_FLOOR**2))
        mask = ops.keep_mask(input.shape, p, _draw_key(generator)).astype(input.dtype)
        shift = from_numpy((1 - mask) * input.dtype.type(a * _SELU_FLOOR) - input.dtype.type(a * p * _SELU_FLOOR))
        y = input * from_numpy(mask * input.dtype.type(a)) + shift
    return replaced(input, y, "alpha_dropout") if inplace else y


def _channel_dropout(
    input: Tensor, leading: int, p: float, training: bool, inplace: bool, generator: Generator | None, name: str
) -> Tensor:
    """Dropout of the first `leading` dimensions, the same for all positions behind them."""
    _check(input, p, name)
    if not training or p == 0:
        return input
    shape = input.shape[:leading] + (1,) * (input.ndim - leading)
    scale = input.dtype.type(0 if p == 1 else 1 / (1 - p))
    y = input * from_numpy(ops.keep_mask(shape, p, _draw_key(generator)).astype(input.dtype) * scale)
    return replaced(input, y, name) if inplace else y


def _draw_key(generator: Generator | None) -> int:
    return int((generator or default_generator).numpy.integers(0, 2**64, dtype=np.uint64))


def _check(input: Tensor, p: float, name: str) -> None:
    if isinstance(p, bool) or not 0 <= p <= 1:
        raise ArgumentError(f"{name}: expected a probability p in [0, 1], got {p}.")
    if input.dtype.kind != "f":
        raise DTypeError(f"{name}: expected floating-point input, got {input.dtype.name}. Convert it with .float().")
