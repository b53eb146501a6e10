"""Pooling layers: one number for each window of the image."""

from __future__ import annotations

from minigrad.nn import functional as F
from minigrad.nn.arguments import pair
from minigrad.nn.module import Module
from minigrad.tensor import Tensor

__all__ = ["MaxPool2d"]


class MaxPool2d(Module):
    """The largest element of each window:  y[n, c, i, j] = max over u, v of x[n, c, i s + u d - p, j s + v d - p].

    Parameters
    ----------
    kernel_size : int or (height, width)
    stride : int or (height, width), optional
        The kernel size by default: windows that touch and do not overlap.
    padding : int or (height, width)
        At most half the kernel; the padding is never the maximum.
    dilation : int or (height, width)
    ceil_mode : bool
        True keeps a last window that hangs over the edge.

    Shapes: (N, C, H, W) -> (N, C, H', W')

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.MaxPool2d.html
    """

    def __init__(
        self,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] | None = None,
        padding: int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = pair(kernel_size, "MaxPool2d: kernel_size", least=1)
        self.stride = self.kernel_size if stride is None else pair(stride, "MaxPool2d: stride", least=1)
        self.padding = pair(padding, "MaxPool2d: padding", least=0)
        self.dilation = pair(dilation, "MaxPool2d: dilation", least=1)
        self.ceil_mode = ceil_mode

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(x, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode)

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )
