"""Batch, layer, group, instance and RMS normalisation: standardise, then scale and shift."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.errors import ArgumentError, DTypeError, ShapeError
from minigrad.ops import norm
from minigrad.tensor import Tensor, from_numpy
from minigrad.versions import mark_changed

__all__ = ["batch_norm", "group_norm", "instance_norm", "layer_norm", "rms_norm"]


def layer_norm(
    input: Tensor,
    normalized_shape: tuple[int, ...] | list[int] | int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """y = (x - mean) / √(var + eps) w + b, mean and variance over the last dimensions, those of normalized_shape.

    Shapes: (..., *normalized_shape); weight and bias normalized_shape

    References
    ----------
    J. L. Ba, J. R. Kiros and G. E. Hinton, Layer normalization, arXiv:1607.06450.
    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.layer_norm.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> x = minigrad.tensor([[1.0, 3.0], [2.0, 10.0]])
    >>> F.layer_norm(x, (2,)).data.round(3)  # each row to mean 0 and variance 1
    array([[-1.,  1.],
           [-1.,  1.]], dtype=float32)
    """
    last = _last_dimensions(input, normalized_shape, "layer_norm", weight=weight, bias=bias)
    return norm.layer_normalize(input, weight, bias, normalized_shape=last, eps=eps)


def rms_norm(
    input: Tensor,
    normalized_shape: tuple[int, ...] | list[int] | int,
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    """y = x / √(mean(x²) + eps) w, the mean over the last dimensions, those of normalized_shape.

    Without `eps` it is the spacing of numbers near 1 in the input's dtype, as in PyTorch.

    Shapes: (..., *normalized_shape); weight normalized_shape

    References
    ----------
    B. Zhang and R. Sennrich, Root mean square layer normalization, arXiv:1910.07467.
    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.rms_norm.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> F.rms_norm(minigrad.tensor([[1.0, 7.0]]), (2,)).data.round(3)  # over √((1 + 49) / 2) = 5
    array([[0.2, 1.4]], dtype=float32)
    """
    last = _last_dimensions(input, normalized_shape, "rms_norm", weight=weight)
    eps = float(np.finfo(input.dtype).eps) if eps is None else eps
    return norm.layer_normalize(input, weight, None, normalized_shape=last, eps=eps, centred=False)


def group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """y = (x - mean) / √(var + eps) w_c + b_c, mean and variance over each sample's groups of channels.

    Shapes: (N, C, ...), num_groups divides C; weight and bias (C,)

    References
    ----------
    Y. Wu and K. He, Group normalization, arXiv:1803.08494.
    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.group_norm.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> x = minigrad.randn(2, 4, 5)
    >>> y = F.group_norm(x, num_groups=2)
    >>> bool(abs(y[0, :2].mean().item()) < 1e-5)  # over both channels of a group
    True
    """
    _check_floating(input, "group_norm")
    if input.ndim < 2 or num_groups < 1 or input.shape[1] % num_groups:
        raise ShapeError(
            f"group_norm: expected input (N, C, ...) with C divisible by num_groups={num_groups}, got {input.shape}."
        )
    _check_channels(input.shape[1], "group_norm", weight=weight, bias=bias)
    return norm.group_normalize(input, weight, bias, num_groups=num_groups, eps=eps)


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """y = (x - mean) / √(var + eps) w_c + b_c, mean and variance over the positions of each sample's channels.

    The running ones, if given, move towards the average of the samples' in place; with use_input_stats=False they are
    used in place of the samples' own.

    Shapes: (N, C, ...) with more than one position; running_mean, running_var, weight and bias (C,)

    References
    ----------
    D. Ulyanov, A. Vedaldi and V. Lempitsky, Instance normalization, arXiv:1607.08022.
    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.instance_norm.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> y = F.instance_norm(minigrad.randn(2, 3, 50))
    >>> bool(abs(y[1, 2].var(correction=0).item() - 1) < 1e-3)  # each channel of each sample
    True
    """
    if not use_input_stats:
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    _check_floating(input, "instance_norm")
    size = math.prod(input.shape[2:])
    if input.ndim < 3 or size < 2:
        raise ShapeError(
            f"instance_norm: expected input (N, C, ...) with more than one position a channel, got {input.shape}."
        )
    channels = input.shape[1]
    _check_channels(
        channels, "instance_norm", running_mean=running_mean, running_var=running_var, weight=weight, bias=bias
    )
    if running_mean is not None and running_var is not None:
        positions = input.data.reshape(*input.shape[:2], -1).astype(np.float64)
        _move(running_mean, positions.mean(2).mean(0), momentum)
        _move(running_var, positions.var(2, ddof=1).mean(0), momentum)
    return norm.group_normalize(input, weight, bias, num_groups=channels, eps=eps)


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """y = (x - mean) / √(var + eps) w_c + b_c, mean and variance of each channel over batch and positions.

    In training they are those of the batch, and the running ones move towards them in place:
    running = (1 - momentum) running + momentum batch (with the variance divided by n - 1). Otherwise the running
    ones are used.

    Shapes: (N, C, ...); running_mean, running_var, weight and bias (C,)

    References
    ----------
    S. Ioffe and C. Szegedy, Batch normalization, arXiv:1502.03167.
    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.batch_norm.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> x = minigrad.tensor([[1.0, 3.0], [2.0, 10.0]])
    >>> F.batch_norm(x, None, None, training=True).data.round(3)  # each column to mean 0 and variance 1
    array([[-1., -1.],
           [ 1.,  1.]], dtype=float32)
    """
    _check_floating(input, "batch_norm")
    if input.ndim < 2:
        raise ShapeError(f"batch_norm: expected input (N, C, ...), got shape {input.shape}.")
    channels = input.shape[1]
    for name, given in (("running_mean", running_mean), ("running_var", running_var)):
        if given is None and not training:
            raise ArgumentError(f"batch_norm: expected {name}, which is used when training=False.")
    _check_channels(
        channels, "batch_norm", running_mean=running_mean, running_var=running_var, weight=weight, bias=bias
    )
    if not training:
        assert running_mean is not None
        assert running_var is not None
        scale = (running_var + eps).rsqrt()
        shift = from_numpy(np.zeros(channels, input.dtype)) if bias is None else bias
        return norm.channel_affine(input, running_mean, scale if weight is None else scale * weight, shift)
    if math.prod(input.shape) // max(1, channels) < 2:
        raise ShapeError(f"batch_norm: expected more than one value for each channel in training, got {input.shape}.")
    running: Any = None
    if running_mean is not None and running_var is not None:
        running = (running_mean.data, running_var.data, momentum)
    y = norm.batch_normalize(input, weight, bias, eps=eps, running=running)
    if running is not None:
        mark_changed(running[0])
        mark_changed(running[1])
    return y


def _move(running: Tensor, towards: np.ndarray, momentum: float) -> None:
    running.data[...] += momentum * (towards - running.data)
    mark_changed(running.data)


def _check_floating(input: Tensor, name: str) -> None:
    if input.dtype.kind != "f":
        raise DTypeError(f"{name}: expected floating-point input, got {input.dtype.name}. Convert it with .float().")


def _check_channels(channels: int, name: str, **vectors: Tensor | None) -> None:
    for what, given in vectors.items():
        if given is not None and given.shape != (channels,):
            raise ShapeError(f"{name}: expected {what} of shape ({channels},), got {given.shape}.")


def _last_dimensions(input: Tensor, normalized_shape: Any, name: str, **affine: Tensor | None) -> tuple[int, ...]:
    _check_floating(input, name)
    last = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if not last or input.shape[-len(last) :] != last:
        raise ShapeError(f"{name}: expected input (..., {', '.join(map(str, last))}), got shape {input.shape}.")
    for what, given in affine.items():
        if given is not None and given.shape != last:
            raise ShapeError(f"{name}: expected {what} of shape {last}, got {given.shape}.")
    return last
