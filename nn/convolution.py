"""Convolution layers."""

from __future__ import annotations

from typing import Any

from minigrad.creation import empty
from minigrad.errors import ArgumentError
from minigrad.nn import functional as F
from minigrad.nn import init
from minigrad.nn.arguments import pair
from minigrad.nn.module import Module, Parameter
from minigrad.tensor import Tensor

__all__ = ["Conv2d"]


class Conv2d(Module):
    """Slide `out_channels` filters over an image:

        y[n, o, i, j] = b[o] + sum over c, u, v of  x[n, c, i s + u d - p, j s + v d - p]  W[o, c, u, v]

    with stride s, dilation d and padding p; x is 0 outside of the image.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size : int or (height, width)
    stride, dilation : int or (height, width)
    padding : int, (height, width), 'valid' (none) or 'same' (the output is as large as the input; stride 1)
    groups : int
        Split the channels into this many independent convolutions; in_channels of them is a depthwise one.
    bias : bool

    Attributes
    ----------
    weight : Parameter (out_channels, in_channels/groups, kernel height, width),
        drawn from U(-k, k) with k = 1/sqrt(n_in), n_in = in_channels/groups * height * width
    bias : Parameter (out_channels,), drawn likewise, or None

    Shapes: (N, C, H, W) -> (N, out_channels, H', W'),  H' = (H + 2p - d (kernel - 1) - 1) // s + 1

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.Conv2d.html
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] | str = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if min(in_channels, out_channels, groups) < 1 or in_channels % groups or out_channels % groups:
            raise ArgumentError(
                "Conv2d: expected positive channels that groups divides, got "
                f"in_channels={in_channels}, out_channels={out_channels}, groups={groups}."
            )
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = pair(kernel_size, "Conv2d: kernel_size", least=1)
        self.stride = pair(stride, "Conv2d: stride", least=1)
        self.dilation = pair(dilation, "Conv2d: dilation", least=1)
        self.padding = padding if isinstance(padding, str) else pair(padding, "Conv2d: padding", least=0)
        self.groups = groups
        self.weight = Parameter(empty(out_channels, in_channels // groups, *self.kernel_size, dtype=dtype))
        self.bias = Parameter(empty(out_channels, dtype=dtype)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        init.default_(self.weight, self.bias)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)

    def extra_repr(self) -> str:
        shown = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        if self.padding != (0, 0):
            shown += f", padding={self.padding!r}"
        if self.dilation != (1, 1):
            shown += f", dilation={self.dilation}"
        if self.groups != 1:
            shown += f", groups={self.groups}"
        return shown if self.bias is not None else shown + ", bias=False"
