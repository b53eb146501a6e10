"""Normalisation layers: what enters is given mean 0 and variance 1, then a learned scale and shift.

layer           mean and variance of            over
BatchNorm1d/2d  each channel                    batch and positions (in evaluation: remembered ones)
GroupNorm       each sample's channel groups    their channels and positions
InstanceNorm    each sample's channels          positions
LayerNorm       each element before the last    the last dimensions
RMSNorm         the same, without the mean      the last dimensions
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.creation import ones, zeros
from minigrad.errors import ArgumentError, ShapeError
from minigrad.nn import functional as F
from minigrad.nn import init
from minigrad.nn.module import Module, Parameter
from minigrad.tensor import Tensor

__all__ = ["BatchNorm1d", "BatchNorm2d", "GroupNorm", "InstanceNorm1d", "InstanceNorm2d", "LayerNorm", "RMSNorm"]


def _checked_eps(name: str, eps: float) -> float:
    if isinstance(eps, bool) or not isinstance(eps, int | float) or not eps >= 0:
        raise ArgumentError(f"{name}: expected eps >= 0, got {eps!r}.")
    return float(eps)


def _checked_shape(name: str, normalized_shape: Any) -> tuple[int, ...]:
    shape = tuple(normalized_shape) if isinstance(normalized_shape, list | tuple) else (normalized_shape,)
    if not shape or not all(isinstance(n, int | np.integer) and n >= 1 for n in shape):
        raise ArgumentError(
            f"{name}: expected normalized_shape as a positive number of features or a tuple of them, "
            f"got {normalized_shape!r}."
        )
    return tuple(int(n) for n in shape)


class _ChannelNorm(Module):
    """What batch and instance normalisation share: scale and shift for each channel, and running statistics."""

    _dims: tuple[int, ...]
    _shapes: str

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        if isinstance(num_features, bool) or not isinstance(num_features, int | np.integer) or num_features < 1:
            raise ArgumentError(f"{name}: expected a positive number of features, got {num_features!r}.")
        if momentum is not None and not 0 <= momentum <= 1:
            raise ArgumentError(f"{name}: expected momentum in [0, 1], or None for a plain mean, got {momentum!r}.")
        self.num_features = int(num_features)
        self.eps = _checked_eps(name, eps)
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        self.weight = Parameter(ones(num_features, dtype=dtype)) if affine else None
        self.bias = Parameter(zeros(num_features, dtype=dtype)) if affine else None
        self.register_buffer("running_mean", zeros(num_features, dtype=dtype) if track_running_stats else None)
        self.register_buffer("running_var", ones(num_features, dtype=dtype) if track_running_stats else None)
        self.register_buffer("num_batches_tracked", zeros(dtype=np.int64) if track_running_stats else None)

    def reset_running_stats(self) -> None:
        """Forget the statistics: mean 0, variance 1, no batch seen."""
        if self.track_running_stats:
            init.zeros_(self.running_mean)
            init.ones_(self.running_var)
            init.zeros_(self.num_batches_tracked)

    def reset_parameters(self) -> None:
        """Forget everything: scale 1, shift 0, no statistics."""
        self.reset_running_stats()
        if self.weight is not None and self.bias is not None:
            init.ones_(self.weight)
            init.zeros_(self.bias)

    def _check(self, x: Tensor) -> None:
        if x.ndim not in self._dims or x.shape[1] != self.num_features:
            raise ShapeError(
                f"{type(self).__name__}: expected input {self._shapes} with C={self.num_features} channels, "
                f"got shape {x.shape}."
            )

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"track_running_stats={self.track_running_stats}"
        )


class _BatchNorm(_ChannelNorm):
    def forward(self, x: Tensor) -> Tensor:
        self._check(x)
        mean, var = self.running_mean, self.running_var
        if not self.track_running_stats:  # those of the batch serve in evaluation too
            return F.batch_norm(x, None, None, self.weight, self.bias, True, 0.0, self.eps)
        if not self.training:
            return F.batch_norm(x, mean, var, self.weight, self.bias, False, 0.0, self.eps)
        factor = 1 / (int(self.num_batches_tracked.data) + 1) if self.momentum is None else self.momentum
        y = F.batch_norm(x, mean, var, self.weight, self.bias, True, factor, self.eps)
        self.num_batches_tracked.data += 1
        return y


class BatchNorm1d(_BatchNorm):
    """y = (x - mean_c) / √(var_c + eps) w_c + b_c, mean and variance of channel c over the batch (and its positions).

    In training they are those of the batch, the variance divided by n, and the running statistics follow:
    running ← (1 - momentum) running + momentum batch, the variance divided by n - 1. In evaluation (`eval()`) the
    running ones are used, so that a sample's output does not depend on its neighbours.

    Parameters
    ----------
    num_features : int
        C.
    eps : float
    momentum : float in [0, 1], or None
        None makes the running statistics the plain mean over all batches since they were reset.
    affine : bool
        False leaves w and b out.
    track_running_stats : bool
        False keeps no running statistics; evaluation then uses those of the batch.
    dtype : numpy dtype, optional

    Attributes
    ----------
    weight, bias : Parameter (C,), at first 1 and 0; or None
    running_mean, running_var, num_batches_tracked : buffers (C,), (C,) and (), or None

    Shapes: (N, C) or (N, C, L) -> the same

    Examples
    --------
    >>> import minigrad
    >>> BatchNorm1d(1, eps=0.0)(minigrad.tensor([[1.0], [3.0]])).tolist()
    [[-1.0], [1.0]]

    References
    ----------
    S. Ioffe and C. Szegedy, Batch normalization, arXiv:1502.03167.
    https://docs.pytorch.org/docs/stable/generated/torch.nn.BatchNorm1d.html
    """

    _dims = (2, 3)
    _shapes = "(N, C) or (N, C, L)"


class BatchNorm2d(_BatchNorm):
    """`BatchNorm1d` for images: the mean and variance of channel c are over batch and pixels.

    Parameters and attributes are those of `BatchNorm1d`.

    Shapes: (N, C, H, W) -> the same

    References
    ----------
    S. Ioffe and C. Szegedy, Batch normalization, arXiv:1502.03167.
    https://docs.pytorch.org/docs/stable/generated/torch.nn.BatchNorm2d.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> layer = nn.BatchNorm2d(3)
    >>> y = layer(5 + 2 * minigrad.randn(8, 3, 10, 10))
    >>> bool(abs(y.mean().item()) < 1e-5), layer.running_mean.shape
    (True, (3,))
    """

    _dims = (4,)
    _shapes = "(N, C, H, W)"


class _InstanceNorm(_ChannelNorm):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        dtype: Any = None,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, dtype)

    def forward(self, x: Tensor) -> Tensor:
        alone = x.ndim == min(self._dims)  # one sample, without the batch dimension
        if alone:
            x = x.unsqueeze(0)
        self._check(x)
        use_input = self.training or not self.track_running_stats
        mean, var = self.running_mean, self.running_var
        y = F.instance_norm(x, mean, var, self.weight, self.bias, use_input, self.momentum or 0.0, self.eps)
        return y.squeeze(0) if alone else y


class InstanceNorm1d(_InstanceNorm):
    """y = (x - mean_nc) / √(var_nc + eps) w_c + b_c, mean and variance of each sample's channel over its positions.

    Parameters
    ----------
    num_features : int
        C.
    eps : float
    momentum : float in [0, 1], or None
        How far running averages move; None is 0, and as in PyTorch batches are not counted.
    affine : bool
        True learns w and b.
    track_running_stats : bool
        True keeps running averages of the samples' statistics, which are used in evaluation.
    dtype : numpy dtype, optional

    Shapes: (N, C, L) or (C, L) -> the same

    References
    ----------
    D. Ulyanov, A. Vedaldi and V. Lempitsky, Instance normalization, arXiv:1607.08022.
    https://docs.pytorch.org/docs/stable/generated/torch.nn.InstanceNorm1d.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> nn.InstanceNorm1d(3)(minigrad.randn(4, 3, 20)).shape
    (4, 3, 20)
    """

    _dims = (2, 3)
    _shapes = "(N, C, L)"


class InstanceNorm2d(_InstanceNorm):
    """`InstanceNorm1d` for images.

    Shapes: (N, C, H, W) or (C, H, W) -> the same

    References
    ----------
    D. Ulyanov, A. Vedaldi and V. Lempitsky, Instance normalization, arXiv:1607.08022.
    https://docs.pytorch.org/docs/stable/generated/torch.nn.InstanceNorm2d.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> nn.InstanceNorm2d(3)(minigrad.randn(4, 3, 8, 8)).shape
    (4, 3, 8, 8)
    """

    _dims = (3, 4)
    _shapes = "(N, C, H, W)"


class LayerNorm(Module):
    """y = (x - mean) / √(var + eps) w + b, mean and variance (divided by n) over the last dimensions.

    Parameters
    ----------
    normalized_shape : int or tuple of int
        The last dimensions of the input.
    eps : float
    elementwise_affine : bool
        False leaves w and b out.
    bias : bool
        False leaves b out.
    dtype : numpy dtype, optional

    Attributes
    ----------
    weight, bias : Parameter of shape normalized_shape, at first 1 and 0; or None

    Shapes: (..., *normalized_shape) -> the same

    References
    ----------
    J. L. Ba, J. R. Kiros and G. E. Hinton, Layer normalization, arXiv:1607.06450.
    https://docs.pytorch.org/docs/stable/generated/torch.nn.LayerNorm.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> x = minigrad.tensor([[1.0, 3.0], [2.0, 10.0]])
    >>> nn.LayerNorm(2)(x).data.round(3)  # each row to mean 0 and variance 1
    array([[-1.,  1.],
           [-1.,  1.]], dtype=float32)
    """

    def __init__(
        self,
        normalized_shape: int | tuple[int, ...] | list[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = _checked_shape("LayerNorm", normalized_shape)
        self.eps = _checked_eps("LayerNorm", eps)
        self.elementwise_affine = elementwise_affine
        self.weight = Parameter(ones(*self.normalized_shape, dtype=dtype)) if elementwise_affine else None
        self.bias = Parameter(zeros(*self.normalized_shape, dtype=dtype)) if elementwise_affine and bias else None

    def reset_parameters(self) -> None:
        """Scale 1, shift 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class RMSNorm(Module):
    """y = x / √(mean(x²) + eps) w, the mean over the last dimensions.

    Parameters
    ----------
    normalized_shape : int or tuple of int
        The last dimensions of the input.
    eps : float, optional
        By default the spacing of numbers near 1 in the input's dtype.
    elementwise_affine : bool
        False leaves w out.
    dtype : numpy dtype, optional

    Attributes
    ----------
    weight : Parameter of shape normalized_shape, at first 1; or None

    Shapes: (..., *normalized_shape) -> the same

    References
    ----------
    B. Zhang and R. Sennrich, Root mean square layer normalization, arXiv:1910.07467.
    https://docs.pytorch.org/docs/stable/generated/torch.nn.RMSNorm.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> nn.RMSNorm(2)(minigrad.tensor([[1.0, 7.0]])).data.round(3)  # over √((1 + 49) / 2) = 5
    array([[0.2, 1.4]], dtype=float32)
    """

    def __init__(
        self,
        normalized_shape: int | tuple[int, ...] | list[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = _checked_shape("RMSNorm", normalized_shape)
        self.eps = None if eps is None else _checked_eps("RMSNorm", eps)
        self.elementwise_affine = elementwise_affine
        self.weight = Parameter(ones(*self.normalized_shape, dtype=dtype)) if elementwise_affine else None

    def reset_parameters(self) -> None:
        """Scale 1."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class GroupNorm(Module):
    """y = (x - mean_nk) / √(var_nk + eps) w_c + b_c, mean and variance of sample n over the channels of group k.

    Parameters
    ----------
    num_groups : int
        Divides num_channels. 1 normalises a whole sample, num_channels each channel for itself.
    num_channels : int
        C.
    eps : float
    affine : bool
        False leaves w and b out.
    dtype : numpy dtype, optional

    Attributes
    ----------
    weight, bias : Parameter (C,), at first 1 and 0; or None

    Shapes: (N, C, ...) -> the same

    References
    ----------
    Y. Wu and K. He, Group normalization, arXiv:1803.08494.
    https://docs.pytorch.org/docs/stable/generated/torch.nn.GroupNorm.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> nn.GroupNorm(2, 6)(minigrad.randn(4, 6, 5, 5)).shape
    (4, 6, 5, 5)
    """

    def __init__(
        self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True, dtype: Any = None
    ) -> None:
        super().__init__()
        if num_groups < 1 or num_channels < 1 or num_channels % num_groups:
            raise ArgumentError(
                "GroupNorm: expected a positive number of groups that divides num_channels, "
                f"got num_groups={num_groups}, num_channels={num_channels}."
            )
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = _checked_eps("GroupNorm", eps)
        self.affine = affine
        self.weight = Parameter(ones(num_channels, dtype=dtype)) if affine else None
        self.bias = Parameter(zeros(num_channels, dtype=dtype)) if affine else None

    def reset_parameters(self) -> None:
        """Scale 1, shift 0."""
        if self.weight is not None and self.bias is not None:
            init.ones_(self.weight)
            init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim < 2 or x.shape[1] != self.num_channels:
            raise ShapeError(
                f"GroupNorm: expected input (N, C, ...) with C={self.num_channels} channels, got shape {x.shape}."
            )
        return F.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}"
