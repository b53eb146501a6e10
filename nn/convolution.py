"""Convolution layers, in one and two dimensions, and the transposed ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minigrad.creation import empty
from minigrad.errors import ArgumentError, ShapeError
from minigrad.nn import functional as F
from minigrad.nn import init
from minigrad.nn.arguments import several, sides
from minigrad.nn.module import Module, Parameter
from minigrad.tensor import Tensor

__all__ = ["Conv1d", "Conv2d", "ConvTranspose1d", "ConvTranspose2d"]

_PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class _Convolution(Module):
    """The arguments that all convolution layers share, checked; the weight and the bias."""

    _dims: int
    _transposed = False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any,
        padding: Any,
        dilation: Any,
        groups: int,
        bias: bool,
        padding_mode: str,
        dtype: Any,
    ) -> None:
        super().__init__()
        name, dims = type(self).__name__, self._dims
        for what, value in (("in_channels", in_channels), ("out_channels", out_channels), ("groups", groups)):
            several(value, 1, f"{name}: {what}", least=1)
        if in_channels % groups or out_channels % groups:
            raise ArgumentError(
                f"{name}: expected positive channels that groups divides, got "
                f"in_channels={in_channels}, out_channels={out_channels}, groups={groups}."
            )
        modes = _PADDING_MODES[:1] if self._transposed else _PADDING_MODES
        if padding_mode not in modes:
            expected = ", ".join(map(repr, modes))
            raise ArgumentError(f"{name}: expected padding_mode {expected}, got {padding_mode!r}.")
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size: Any = several(kernel_size, dims, f"{name}: kernel_size", least=1)
        self.stride: Any = several(stride, dims, f"{name}: stride", least=1)
        self.dilation: Any = several(dilation, dims, f"{name}: dilation", least=1)
        words = isinstance(padding, str) and not self._transposed
        self.padding: Any = padding if words else several(padding, dims, f"{name}: padding", least=0)
        if words:  # to hear now what is wrong with it
            sides(padding, (1, 1), (1, max(self.stride)), (1, 1), name)
        self.groups = groups
        self.padding_mode = padding_mode
        outer, inner = (in_channels, out_channels) if self._transposed else (out_channels, in_channels)
        self.weight = Parameter(empty(outer, inner // groups, *self.kernel_size, dtype=dtype))
        self.bias = Parameter(empty(out_channels, dtype=dtype)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weight and the bias again from U(-k, k), k = 1/sqrt(n_in)."""
        init.default_(self.weight, self.bias)

    def _bordered(self, x: Tensor) -> tuple[Tensor, Any]:
        """x with its border where that is not of zeros, and the padding that the convolution is still to add."""
        if self.padding_mode == "zeros":
            return x, self.padding
        dims = self._dims
        ones = (1,) * (2 - dims)  # a signal is an image of height 1
        padding = self.padding if isinstance(self.padding, str) else (0,) * (2 - dims) + self.padding
        kernel, stride, dilation = ((*ones, *of) for of in (self.kernel_size, self.stride, self.dilation))
        rows, columns = sides(padding, kernel, stride, dilation, type(self).__name__)
        return F.pad(x, (*columns, *rows)[: 2 * dims], mode=self.padding_mode), 0

    def extra_repr(self) -> str:
        none = (0,) * self._dims
        shown = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        if self.padding != none:
            shown += f", padding={self.padding}"
        if self.dilation != (1,) * self._dims:
            shown += f", dilation={self.dilation}"
        if getattr(self, "output_padding", none) != none:
            shown += f", output_padding={self.output_padding}"
        if self.groups != 1:
            shown += f", groups={self.groups}"
        if self.bias is None:
            shown += ", bias=False"
        return shown if self.padding_mode == "zeros" else f"{shown}, padding_mode={self.padding_mode}"


class Conv1d(_Convolution):
    """Slide `out_channels` filters over a signal:

        y[n, o, i] = b[o] + sum over c, u of  x[n, c, i s + u d - p]  W[o, c, u]

    with stride s, dilation d and padding p; `padding_mode` says what x is outside of the signal.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride, dilation : int
    padding : int, 'valid' (none) or 'same' (the output is as long as the input; stride 1)
    groups : int
        Split the channels into this many independent convolutions.
    bias : bool
    padding_mode : 'zeros', 'reflect', 'replicate' or 'circular'

    Attributes
    ----------
    weight : Parameter (out_channels, in_channels/groups, kernel_size),
        drawn from U(-k, k) with k = 1/sqrt(n_in), n_in = in_channels/groups * kernel_size
    bias : Parameter (out_channels,), drawn likewise, or None

    Shapes: (N, C, L) or (C, L) -> (N, out_channels, L'),  L' = (L + 2p - d (kernel_size - 1) - 1) // s + 1

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.Conv1d.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> layer = nn.Conv1d(3, 8, kernel_size=5, padding=2)
    >>> layer.weight.shape, layer(minigrad.zeros(4, 3, 20)).shape
    ((8, 3, 5), (4, 8, 20))
    """

    _dims = 1

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int | str = 0,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, dtype
        )

    def forward(self, x: Tensor) -> Tensor:
        x, padding = self._bordered(x)
        return F.conv1d(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class Conv2d(_Convolution):
    """Slide `out_channels` filters over an image:

        y[n, o, i, j] = b[o] + sum over c, u, v of  x[n, c, i s + u d - p, j s + v d - p]  W[o, c, u, v]

    with stride s, dilation d and padding p; `padding_mode` says what x is outside of the image.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size : int or (height, width)
    stride, dilation : int or (height, width)
    padding : int, (height, width), 'valid' (none) or 'same' (the output is as large as the input; stride 1)
    groups : int
        Split the channels into this many independent convolutions; in_channels of them is a depthwise one.
    bias : bool
    padding_mode : 'zeros', 'reflect', 'replicate' or 'circular'
        Outside of the image: 0, the image mirrored at its edge, its edge repeated, or its other side.

    Attributes
    ----------
    weight : Parameter (out_channels, in_channels/groups, kernel height, width),
        drawn from U(-k, k) with k = 1/sqrt(n_in), n_in = in_channels/groups * height * width
    bias : Parameter (out_channels,), drawn likewise, or None

    Shapes: (N, C, H, W) or (C, H, W) -> (N, out_channels, H', W'),  H' = (H + 2p - d (kernel - 1) - 1) // s + 1

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.Conv2d.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> layer = nn.Conv2d(3, 8, kernel_size=3, stride=2, padding=1)
    >>> layer.weight.shape, layer(minigrad.zeros(4, 3, 32, 32)).shape
    ((8, 3, 3, 3), (4, 8, 16, 16))
    """

    _dims = 2

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
        padding_mode: str = "zeros",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, dtype
        )

    def forward(self, x: Tensor) -> Tensor:
        x, padding = self._bordered(x)
        return F.conv2d(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class _Transposed(_Convolution):
    """The arguments of the transposed convolutions; which of the possible sizes the output has."""

    _transposed = True

    def _set_output_padding(self, output_padding: Any) -> None:
        name = type(self).__name__
        self.output_padding: Any = several(output_padding, self._dims, f"{name}: output_padding", least=0)
        room = [max(s, d) for s, d in zip(self.stride, self.dilation, strict=True)]
        if any(extra >= most for extra, most in zip(self.output_padding, room, strict=True)):
            raise ArgumentError(
                f"{name}: expected output_padding below the stride {self.stride} or the dilation {self.dilation}, "
                f"got {self.output_padding}."
            )

    def _padding_for(self, x: Tensor, output_size: Sequence[int] | None) -> Any:
        """The output_padding that gives the size asked for."""
        if output_size is None:
            return self.output_padding
        name, dims = type(self).__name__, self._dims
        wanted = tuple(int(n) for n in output_size)
        if len(wanted) == x.ndim > dims:
            wanted = wanted[-dims:]
        if len(wanted) != dims:
            raise ShapeError(f"{name}: expected output_size of {dims} or {x.ndim} numbers, got {tuple(output_size)}.")
        geometry = zip(x.shape[-dims:], self.kernel_size, self.stride, self.padding, self.dilation, strict=True)
        least = [(n - 1) * s - 2 * p + d * (k - 1) + 1 for n, k, s, p, d in geometry]
        if any(not low <= n < low + s for n, low, s in zip(wanted, least, self.stride, strict=True)):
            most = tuple(low + s - 1 for low, s in zip(least, self.stride, strict=True))
            raise ShapeError(
                f"{name}: expected output_size from {tuple(least)} to {most} for input {x.shape}, got {wanted}."
            )
        return tuple(n - low for n, low in zip(wanted, least, strict=True))


class ConvTranspose1d(_Transposed):
    """The transposed map of a Conv1d, from its outputs to its inputs: it lengthens where the convolution shortens.

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride, padding, dilation : int
        Those of the convolution whose transposed map this is; padding shortens the output.
    output_padding : int
        Added to the length at the end, for the lengths that such a convolution makes equal; below stride or dilation.
    groups : int
    bias : bool

    Attributes
    ----------
    weight : Parameter (in_channels, out_channels/groups, kernel_size),
        drawn from U(-k, k) with k = 1/sqrt(out_channels/groups * kernel_size)
    bias : Parameter (out_channels,), drawn likewise, or None

    Shapes: (N, C, L) -> (N, out_channels, L'),  L' = (L - 1) s - 2p + d (kernel_size - 1) + output_padding + 1

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.ConvTranspose1d.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> layer = nn.ConvTranspose1d(8, 3, kernel_size=2, stride=2)
    >>> layer.weight.shape, layer(minigrad.zeros(4, 8, 10)).shape
    ((8, 3, 2), (4, 3, 20))
    """

    _dims = 1

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        output_padding: int = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: int = 1,
        padding_mode: str = "zeros",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, dtype
        )
        self._set_output_padding(output_padding)

    def forward(self, x: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        extra = self._padding_for(x, output_size)
        return F.conv_transpose1d(
            x, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation
        )


class ConvTranspose2d(_Transposed):
    """The transposed map of a Conv2d, from its outputs to its inputs: it enlarges where the convolution shrinks.

        y = A^T x + b,  where A is the convolution of images of y's size with these weights, stride, padding, dilation

    Parameters
    ----------
    in_channels, out_channels : int
    kernel_size, stride, padding, dilation : int or (height, width)
        Those of the convolution whose transposed map this is; padding makes the output smaller.
    output_padding : int or (height, width)
        A stride s makes s sizes of an image equal; the output has the smallest of them plus this. Below the stride or
        the dilation. `forward(x, output_size=...)` names the size itself.
    groups : int
    bias : bool
    padding_mode : 'zeros'

    Attributes
    ----------
    weight : Parameter (in_channels, out_channels/groups, kernel height, width),
        drawn from U(-k, k) with k = 1/sqrt(out_channels/groups * height * width)
    bias : Parameter (out_channels,), drawn likewise, or None

    Shapes: (N, C, H, W) -> (N, out_channels, H', W'),  H' = (H - 1) s - 2p + d (kernel - 1) + output_padding + 1

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> down, up = nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ConvTranspose2d(8, 3, 3, stride=2, padding=1)
    >>> x = minigrad.zeros(1, 3, 12, 12)
    >>> up(down(x), output_size=x.shape).shape
    (1, 3, 12, 12)

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.ConvTranspose2d.html
    """

    _dims = 2

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        output_padding: int | tuple[int, int] = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: int | tuple[int, int] = 1,
        padding_mode: str = "zeros",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, dtype
        )
        self._set_output_padding(output_padding)

    def forward(self, x: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        extra = self._padding_for(x, output_size)
        return F.conv_transpose2d(
            x, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation
        )
