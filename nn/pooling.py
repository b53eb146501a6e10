"""Pooling layers: one number for each window of a signal or an image."""

from __future__ import annotations

from typing import Any

from minigrad.errors import ArgumentError
from minigrad.nn import functional as F
from minigrad.nn.arguments import several, windows
from minigrad.nn.module import Module
from minigrad.tensor import Tensor

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AvgPool1d",
    "AvgPool2d",
    "MaxPool1d",
    "MaxPool2d",
]


def _shown(sizes: tuple[int | None, ...]) -> Any:
    """(2, 2) as 2: one number where all are equal, as they are usually written."""
    return sizes[0] if len(set(sizes)) == 1 else sizes


class _Pool(Module):
    """The window that pooling layers share, checked."""

    _dims: int

    def __init__(self, kernel_size: Any, stride: Any, padding: Any, ceil_mode: bool) -> None:
        super().__init__()
        kernel, step, border = windows(kernel_size, stride, padding, self._dims, type(self).__name__)
        self.kernel_size: Any = kernel
        self.stride: Any = step
        self.padding: Any = border
        self.ceil_mode = ceil_mode

    def extra_repr(self) -> str:
        return f"kernel_size={_shown(self.kernel_size)}, stride={_shown(self.stride)}, padding={_shown(self.padding)}"


class _MaxPool(_Pool):
    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode)
        self.dilation: Any = several(dilation, self._dims, f"{type(self).__name__}: dilation", least=1)
        self.return_indices = return_indices

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, dilation={_shown(self.dilation)}, ceil_mode={self.ceil_mode}"


class MaxPool1d(_MaxPool):
    """The largest element of each window:  y[n, c, i] = max over u of x[n, c, i s + u d - p].

    Parameters
    ----------
    kernel_size : int
    stride : int, optional
        The kernel size by default: windows that touch and do not overlap.
    padding : int
        At most half the kernel; the padding is never the maximum.
    dilation : int
    return_indices : bool
        True returns (y, positions): where in the signal each maximum was.
    ceil_mode : bool
        True keeps a last window that hangs over the end.

    Shapes: (N, C, L) or (C, L) -> (N, C, L'),  L' = (L + 2p - d (kernel_size - 1) - 1) // s + 1

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.MaxPool1d.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> x = minigrad.tensor([[1.0, 3.0, 2.0, 6.0]])  # (channels, length)
    >>> nn.MaxPool1d(2)(x)
    tensor([[3., 6.]])
    """

    _dims = 1

    def forward(self, x: Tensor) -> Any:
        return F.max_pool1d(
            x, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices
        )


class MaxPool2d(_MaxPool):
    """The largest element of each window:  y[n, c, i, j] = max over u, v of x[n, c, i s + u d - p, j s + v d - p].

    Parameters
    ----------
    kernel_size : int or (height, width)
    stride : int or (height, width), optional
        The kernel size by default: windows that touch and do not overlap.
    padding : int or (height, width)
        At most half the kernel; the padding is never the maximum.
    dilation : int or (height, width)
    return_indices : bool
        True returns (y, positions): where each maximum was, as h W + w in the image.
    ceil_mode : bool
        True keeps a last window that hangs over the edge.

    Shapes: (N, C, H, W) or (C, H, W) -> (N, C, H', W'),  H' = (H + 2p - d (kernel - 1) - 1) // s + 1

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.MaxPool2d.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> x = minigrad.arange(16.0).reshape(1, 4, 4)  # (channels, height, width)
    >>> nn.MaxPool2d(2)(x)
    tensor([[[ 5.,  7.],
             [13., 15.]]])
    """

    _dims = 2

    def forward(self, x: Tensor) -> Any:
        return F.max_pool2d(
            x, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices
        )


class AvgPool1d(_Pool):
    """The mean of each window:  y[n, c, i] = sum over u of x[n, c, i s + u - p] / kernel_size.

    Parameters
    ----------
    kernel_size : int
    stride : int, optional
        The kernel size by default.
    padding : int
        Zeros at both ends; at most half the kernel.
    ceil_mode : bool
        True keeps a last window that hangs over the end.
    count_include_pad : bool
        False divides by the number of elements that are not padding.

    Shapes: (N, C, L) or (C, L) -> (N, C, L'),  L' = (L + 2p - kernel_size) // s + 1

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.AvgPool1d.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> x = minigrad.tensor([[1.0, 3.0, 2.0, 6.0]])  # (channels, length)
    >>> nn.AvgPool1d(2)(x)
    tensor([[2., 4.]])
    """

    _dims = 1

    def __init__(
        self,
        kernel_size: int,
        stride: int | None = None,
        padding: int = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode)
        self.count_include_pad = count_include_pad

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool1d(x, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool2d(_Pool):
    """The mean of each window:  y[n, c, i, j] = sum over u, v of x[n, c, i s + u - p, j s + v - p] / divisor.

    Parameters
    ----------
    kernel_size : int or (height, width)
    stride : int or (height, width), optional
        The kernel size by default.
    padding : int or (height, width)
        Zeros around the image; at most half the kernel.
    ceil_mode : bool
        True keeps a last window that hangs over the edge.
    count_include_pad : bool
        False divides by the number of elements that are not padding.
    divisor_override : int, optional
        Divide by this in place of the number of elements.

    Shapes: (N, C, H, W) or (C, H, W) -> (N, C, H', W'),  H' = (H + 2p - kernel) // s + 1

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.AvgPool2d.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> x = minigrad.arange(16.0).reshape(1, 4, 4)  # (channels, height, width)
    >>> nn.AvgPool2d(2)(x)
    tensor([[[ 2.5,  4.5],
             [10.5, 12.5]]])
    """

    _dims = 2

    def __init__(
        self,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] | None = None,
        padding: int | tuple[int, int] = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__(kernel_size, stride, padding, ceil_mode)
        if divisor_override is not None:
            several(divisor_override, 1, "AvgPool2d: divisor_override", least=1)
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(
            x,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )


class _AdaptivePool(Module):
    """A number of windows that share the input out, whatever its size."""

    _dims: int

    def __init__(self, output_size: Any) -> None:
        super().__init__()
        name, dims = type(self).__name__, self._dims
        sizes = tuple(output_size) if isinstance(output_size, tuple | list) else (output_size,) * dims
        if len(sizes) != dims:
            raise ArgumentError(f"{name}: output_size: expected an integer, or {dims} of them, got {output_size!r}.")
        for n in sizes:
            if n is not None or dims == 1:
                several(n, 1, f"{name}: output_size", least=1)
        self.output_size: Any = sizes

    def extra_repr(self) -> str:
        return f"output_size={_shown(self.output_size)}"


class _AdaptiveMaxPool(_AdaptivePool):
    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__(output_size)
        self.return_indices = return_indices


class AdaptiveAvgPool1d(_AdaptivePool):
    """The mean of each of output_size windows that share a signal out.

    Window i of n along a length L covers floor(i L / n) up to and without ceil((i + 1) L / n).

    Shapes: (N, C, L) or (C, L) -> (N, C, output_size)

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.AdaptiveAvgPool1d.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> x = minigrad.tensor([[1.0, 3.0, 2.0, 6.0]])  # (channels, length)
    >>> nn.AdaptiveAvgPool1d(1)(x)
    tensor([[3.]])
    """

    _dims = 1

    def forward(self, x: Tensor) -> Tensor:
        return F.adaptive_avg_pool1d(x, self.output_size)


class AdaptiveAvgPool2d(_AdaptivePool):
    """The mean of each of output_size windows that share the image out; 1 is the mean of the whole image.

    Window i of n along a length L covers floor(i L / n) up to and without ceil((i + 1) L / n).

    Parameters
    ----------
    output_size : int or (height, width)
        None keeps a length.

    Shapes: (N, C, H, W) or (C, H, W) -> (N, C, *output_size)

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.AdaptiveAvgPool2d.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> x = minigrad.arange(16.0).reshape(1, 4, 4)  # (channels, height, width)
    >>> nn.AdaptiveAvgPool2d(1)(x)
    tensor([[[7.5]]])
    """

    _dims = 2

    def forward(self, x: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(x, self.output_size)


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """The largest element of each of output_size windows that share a signal out, as in AdaptiveAvgPool1d.

    With `return_indices` it returns (y, positions).

    Shapes: (N, C, L) or (C, L) -> (N, C, output_size)

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.AdaptiveMaxPool1d.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> x = minigrad.tensor([[1.0, 3.0, 2.0, 6.0]])  # (channels, length)
    >>> nn.AdaptiveMaxPool1d(2)(x)
    tensor([[3., 6.]])
    """

    _dims = 1

    def forward(self, x: Tensor) -> Any:
        return F.adaptive_max_pool1d(x, self.output_size, self.return_indices)


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """The largest element of each of output_size windows that share the image out, as in AdaptiveAvgPool2d.

    With `return_indices` it returns (y, positions), each position h W + w in the image.

    Shapes: (N, C, H, W) or (C, H, W) -> (N, C, *output_size)

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.AdaptiveMaxPool2d.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> x = minigrad.arange(16.0).reshape(1, 4, 4)  # (channels, height, width)
    >>> nn.AdaptiveMaxPool2d((1, 2))(x)
    tensor([[[13., 15.]]])
    """

    _dims = 2

    def forward(self, x: Tensor) -> Any:
        return F.adaptive_max_pool2d(x, self.output_size, self.return_indices)
