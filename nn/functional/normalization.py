"""Batch, layer and group norm: standardise, then scale and shift."""

from __future__ import annotations

import math

from minigrad.errors import ArgumentError, ShapeError
from minigrad.graph import no_grad
from minigrad.ops import norm
from minigrad.tensor import Tensor

__all__ = ["batch_norm", "group_norm", "layer_norm"]


def layer_norm(
    input: Tensor,
    normalized_shape: tuple[int, ...] | list[int] | int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """y = (x - mean) / √(var + eps) w + b, mean and variance over the last dimensions, those of normalized_shape.

    References
    ----------
    J. L. Ba, J. R. Kiros and G. E. Hinton, Layer normalization, arXiv:1607.06450.
    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.layer_norm.html
    """
    last = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if not last or input.shape[-len(last) :] != last:
        raise ShapeError(f"layer_norm: expected input (..., {', '.join(map(str, last))}), got shape {input.shape}.")
    for name, given in (("weight", weight), ("bias", bias)):
        if given is not None and given.shape != last:
            raise ShapeError(f"layer_norm: expected {name} of shape {last}, got {given.shape}.")
    y = norm.standardize(input, dim=tuple(range(-len(last), 0)), eps=eps)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """y = (x - mean) / √(var + eps) w + b, mean and variance over each sample's groups of channels.

    Shapes: (N, C, ...), num_groups divides C; weight and bias (C,)

    References
    ----------
    Y. Wu and K. He, Group normalization, arXiv:1803.08494.
    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.group_norm.html
    """
    if input.ndim < 2 or num_groups < 1 or input.shape[1] % num_groups:
        raise ShapeError(
            f"group_norm: expected input (N, C, ...) with C divisible by num_groups={num_groups}, got {input.shape}."
        )
    n, c = input.shape[:2]
    groups = input.reshape(n, num_groups, -1)  # (N, C, ...) -> (N, groups, elements of a group)
    y = norm.standardize(groups, dim=-1, eps=eps).reshape(input.shape)
    return _scaled(y, weight, bias, c, "group_norm")


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
    """y = (x - mean) / √(var + eps) w + b, mean and variance of each channel over batch and positions.

    In training they are those of the batch, and the running ones move towards them in place:
    running = (1 - momentum) running + momentum batch (with the variance divided by n - 1). Otherwise the running
    ones are used.

    Shapes: (N, C, ...); running_mean, running_var, weight and bias (C,)

    References
    ----------
    S. Ioffe and C. Szegedy, Batch normalization, arXiv:1502.03167.
    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.batch_norm.html
    """
    if input.ndim < 2:
        raise ShapeError(f"batch_norm: expected input (N, C, ...), got shape {input.shape}.")
    c = input.shape[1]
    for name, given in (("running_mean", running_mean), ("running_var", running_var)):
        if given is not None and given.shape != (c,):
            raise ShapeError(f"batch_norm: expected {name} of shape ({c},), got {given.shape}.")
        if given is None and not training:
            raise ArgumentError(f"batch_norm: expected {name}, which is used when training=False.")
    dims = (0, *range(2, input.ndim))
    if training:
        count = math.prod(input.shape[i] for i in dims)
        if count < 2:
            raise ShapeError(
                f"batch_norm: expected more than one value for each channel in training, got {input.shape}."
            )
        if running_mean is not None and running_var is not None:
            with no_grad():
                for running, batch in ((running_mean, input.mean(dims)), (running_var, input.var(dims))):
                    running.copy_(running * (1 - momentum) + batch * momentum)
        y = norm.standardize(input, dim=dims, eps=eps)
    else:
        assert running_mean is not None
        assert running_var is not None
        shape = (c,) + (1,) * (input.ndim - 2)
        y = (input - running_mean.reshape(shape)) * (running_var + eps).rsqrt().reshape(shape)
    return _scaled(y, weight, bias, c, "batch_norm")


def _scaled(y: Tensor, weight: Tensor | None, bias: Tensor | None, channels: int, name: str) -> Tensor:
    """y w + b for each channel."""
    shape = (channels,) + (1,) * (y.ndim - 2)
    for what, given in (("weight", weight), ("bias", bias)):
        if given is not None and given.shape != (channels,):
            raise ShapeError(f"{name}: expected {what} of shape ({channels},), got {given.shape}.")
    y = y if weight is None else y * weight.reshape(shape)
    return y if bias is None else y + bias.reshape(shape)
