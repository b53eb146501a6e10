"""Convolutions in one and two dimensions, the transposed one, and the patches that they are made of."""

from __future__ import annotations

from typing import Any

from minigrad.errors import ArgumentError, ShapeError
from minigrad.nn.arguments import Pair, check_images, pair, sides, single
from minigrad.ops import conv, patches
from minigrad.ops.arrange import pad
from minigrad.tensor import Tensor

__all__ = ["conv1d", "conv2d", "conv_transpose1d", "conv_transpose2d", "fold", "unfold"]


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Pair = 1,
    padding: int | Pair | str = 0,
    dilation: int | Pair = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlate images with filters; see `minigrad.nn.Conv2d` for the formula.

    Shapes: input (N, C, H, W) or (C, H, W), weight (O, C/groups, KH, KW), bias (O,) -> (N, O, H', W')

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> x, w = minigrad.ones(1, 3, 5, 5), minigrad.ones(2, 3, 3, 3)
    >>> F.conv2d(x, w).shape, F.conv2d(x, w)[0, 0, 0, 0].item()  # 3 · 3 · 3 ones
    ((1, 2, 3, 3), 27.0)
    """
    check_images(input, "conv2d")
    if weight.ndim != 4:
        raise ShapeError(f"conv2d: expected weight (out, in/groups, height, width), got shape {weight.shape}.")
    stride = pair(stride, "conv2d: stride", least=1)
    dilation = pair(dilation, "conv2d: dilation", least=1)
    _check_groups(input.shape[-3], weight, bias, groups, "conv2d")
    border = sides(padding, (weight.shape[2], weight.shape[3]), stride, dilation, "conv2d")
    if input.ndim == 3:
        return conv2d(input.unsqueeze(0), weight, bias, stride, padding, dilation, groups).squeeze(0)
    return conv.conv2d(input, weight, bias, stride=stride, padding=border, dilation=dilation, groups=groups)


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int = 1,
    padding: int | str = 0,
    dilation: int = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlate signals with filters: a convolution of images of height 1.

    Shapes: input (N, C, L) or (C, L), weight (O, C/groups, K), bias (O,) -> (N, O, L')

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> x, w = minigrad.tensor([[[1.0, 4.0, 9.0, 16.0]]]), minigrad.tensor([[[-1.0, 1.0]]])
    >>> F.conv1d(x, w)  # differences
    tensor([[[3., 5., 7.]]])
    """
    check_images(input, "conv1d", dims=1)
    if weight.ndim != 3:
        raise ShapeError(f"conv1d: expected weight (out, in/groups, length), got shape {weight.shape}.")
    _check_groups(input.shape[-2], weight, bias, groups, "conv1d")
    stride, dilation = single(stride, "conv1d: stride", least=1), single(dilation, "conv1d: dilation", least=1)
    length = weight.shape[2]
    _, (before, after) = sides(_padding_of_signal(padding, "conv1d"), (1, length), (1, stride), (1, dilation), "conv1d")
    if input.shape[-1] + before + after < dilation * (length - 1) + 1:
        raise ShapeError(
            f"conv1d: a kernel of {length} with dilation {dilation} is longer than input {input.shape} padded by "
            f"{before, after}. Use a longer input, more padding or a shorter kernel."
        )
    border = padding if isinstance(padding, str) else (0, before)
    y = conv2d(
        input.unsqueeze(-2),  # (N, C, L) -> (N, C, 1, L)
        weight.unsqueeze(-2),
        bias,
        (1, stride),
        border,
        (1, dilation),
        groups,
    )
    return y.squeeze(-2)


def _padding_of_signal(padding: Any, name: str) -> Any:
    """The padding of a signal as that of an image of height 1."""
    return padding if isinstance(padding, str) else (0, single(padding, f"{name}: padding", least=0))


def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int = 1,
    padding: int = 0,
    output_padding: int = 0,
    groups: int = 1,
    dilation: int = 1,
) -> Tensor:
    """The transposed map of `conv1d`: that of images of height 1, see `conv_transpose2d`.

    Shapes: input (N, C, L) or (C, L), weight (C, O/groups, K), bias (O,) -> (N, O, L'),
    L' = (L - 1) s - 2p + d (K - 1) + output_padding + 1

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.conv_transpose1d.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> x, w = minigrad.tensor([[[1.0, 2.0]]]), minigrad.tensor([[[1.0, 10.0]]])
    >>> F.conv_transpose1d(x, w, stride=2)  # each value spreads out a copy of w
    tensor([[[ 1., 10.,  2., 20.]]])
    """
    name = "conv_transpose1d"
    check_images(input, name, dims=1)
    if weight.ndim != 3:
        raise ShapeError(f"{name}: expected weight (in, out/groups, length), got shape {weight.shape}.")
    y = _transposed(
        input.unsqueeze(-2),  # (N, C, L) -> (N, C, 1, L)
        weight.unsqueeze(-2),
        bias,
        (1, single(stride, f"{name}: stride", least=1)),
        (0, single(padding, f"{name}: padding", least=0)),
        (0, single(output_padding, f"{name}: output_padding", least=0)),
        groups,
        (1, single(dilation, f"{name}: dilation", least=1)),
        name,
    )
    return y.squeeze(-2)


def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Pair = 1,
    padding: int | Pair = 0,
    output_padding: int | Pair = 0,
    groups: int = 1,
    dilation: int | Pair = 1,
) -> Tensor:
    """The transposed map of `conv2d`, from its outputs to its inputs: it enlarges where the convolution shrinks.

        y = A^T x,  where A is the convolution of images of y's size with these weights, stride, padding and dilation

    Parameters
    ----------
    output_padding : int or (int, int)
        Which of the sizes that a convolution of this stride shrinks to the size of `input` the result has: the smallest
        plus this. Below the stride or the dilation.

    Shapes: input (N, C, H, W) or (C, H, W), weight (C, O/groups, KH, KW), bias (O,) -> (N, O, H', W'),
    H' = (H - 1) s - 2p + d (KH - 1) + output_padding + 1

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.conv_transpose2d.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> F.conv_transpose2d(minigrad.ones(1, 1, 2, 2), minigrad.ones(1, 1, 2, 2))
    tensor([[[[1., 2., 1.],
              [2., 4., 2.],
              [1., 2., 1.]]]])
    """
    name = "conv_transpose2d"
    check_images(input, name)
    if weight.ndim != 4:
        raise ShapeError(f"{name}: expected weight (in, out/groups, height, width), got shape {weight.shape}.")
    step, spread = pair(stride, f"{name}: stride", least=1), pair(dilation, f"{name}: dilation", least=1)
    border, extra = pair(padding, f"{name}: padding", least=0), pair(output_padding, f"{name}: output_padding", least=0)
    return _transposed(input, weight, bias, step, border, extra, groups, spread, name)


def _transposed(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    step: Pair,
    border: Pair,
    extra: Pair,
    groups: int,
    spread: Pair,
    name: str,
) -> Tensor:
    if input.ndim == 3:
        return _transposed(input.unsqueeze(0), weight, bias, step, border, extra, groups, spread, name).squeeze(0)
    depth, outs, *kernel = weight.shape
    if groups < 1 or depth % groups:
        raise ArgumentError(f"{name}: expected groups that divide the {depth} input channels, got groups={groups}.")
    if input.shape[1] != depth:
        raise ShapeError(
            f"{name}: expected input with {depth} channels for weight {weight.shape}, got {input.shape[1]}. "
            f"Make the layer with in_channels={input.shape[1]}."
        )
    if bias is not None and bias.shape != (outs * groups,):
        raise ShapeError(f"{name}: expected bias of shape ({outs * groups},) for {weight.shape}, got {bias.shape}.")
    if any(e >= max(s, d) for e, s, d in zip(extra, step, spread, strict=True)):
        raise ArgumentError(f"{name}: expected output_padding below the stride {step} or the dilation, got {extra}.")
    n, _, *size = input.shape
    channels = outs * groups
    larger = [
        (length - 1) * s - 2 * p + d * (k - 1) + e + 1
        for length, s, p, d, k, e in zip(size, step, border, spread, kernel, extra, strict=True)
    ]
    if min(larger) < 1:
        raise ShapeError(f"{name}: the output would have the size {larger}; use less padding or a larger kernel.")
    # output_padding takes away from the padding at the end; what is left over are rows that no window reaches.
    ends = [max(p - e, 0) for p, e in zip(border, extra, strict=True)]
    beyond = [max(e - p, 0) for p, e in zip(border, extra, strict=True)]
    y = conv.conv2d_input_grad(
        input,
        weight,
        input_shape=(n, channels, larger[0] - beyond[0], larger[1] - beyond[1]),
        stride=step,
        padding=((border[0], ends[0]), (border[1], ends[1])),
        dilation=spread,
        groups=groups,
    )
    if any(beyond):
        y = pad(y, (0, beyond[1], 0, beyond[0]))
    return y if bias is None else y + bias.reshape(channels, 1, 1)


def _check_groups(channels: int, weight: Tensor, bias: Tensor | None, groups: int, name: str) -> None:
    outs, depth = weight.shape[:2]
    if groups < 1 or outs % groups:
        raise ArgumentError(f"{name}: expected groups that divide the {outs} output channels, got groups={groups}.")
    if channels != depth * groups:
        raise ShapeError(
            f"{name}: expected input with {depth * groups} channels for weight {weight.shape} and groups={groups}, "
            f"got {channels}. Make the layer with in_channels={channels}."
        )
    if bias is not None and bias.shape != (outs,):
        raise ShapeError(f"{name}: expected bias of shape ({outs},) for weight {weight.shape}, got {bias.shape}.")


def unfold(
    input: Tensor,
    kernel_size: int | Pair,
    dilation: int | Pair = 1,
    padding: int | Pair = 0,
    stride: int | Pair = 1,
) -> Tensor:
    """The patches under a sliding window as columns, also called im2col.

    Shapes: (N, C, H, W) or (C, H, W) -> (N, C KH KW, L), L windows in row-major order

    A convolution is a matrix product with them: weight.reshape(O, -1) @ unfold(x).

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.unfold.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> F.unfold(minigrad.arange(9.0).reshape(1, 1, 3, 3), 2)[0].T  # a row for each window
    tensor([[0., 1., 3., 4.],
            [1., 2., 4., 5.],
            [3., 4., 6., 7.],
            [4., 5., 7., 8.]])
    """
    check_images(input, "unfold")
    window: dict[str, Any] = _window(kernel_size, dilation, padding, stride, "unfold")
    if input.ndim == 3:
        return patches.unfold(input.unsqueeze(0), **window).squeeze(0)
    return patches.unfold(input, **window)


def fold(
    input: Tensor,
    output_size: int | Pair,
    kernel_size: int | Pair,
    dilation: int | Pair = 1,
    padding: int | Pair = 0,
    stride: int | Pair = 1,
) -> Tensor:
    """Add patches up to an image of `output_size`: the transposed map of `unfold`.

    Shapes: (N, C KH KW, L) or (C KH KW, L) -> (N, C, H, W)

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.fold.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> F.fold(minigrad.ones(1, 4, 4), (3, 3), 2)  # how many windows lie over each pixel
    tensor([[[[1., 2., 1.],
              [2., 4., 2.],
              [1., 2., 1.]]]])
    """
    if input.ndim not in (2, 3):
        raise ShapeError(f"fold: expected patches (N, C KH KW, L) or (C KH KW, L), got shape {input.shape}.")
    window: dict[str, Any] = _window(kernel_size, dilation, padding, stride, "fold")
    size = pair(output_size, "fold: output_size", least=1)
    if input.ndim == 2:
        return patches.fold(input.unsqueeze(0), size=size, **window).squeeze(0)
    return patches.fold(input, size=size, **window)


def _window(kernel_size: Any, dilation: Any, padding: Any, stride: Any, name: str) -> dict[str, Pair]:
    return {
        "kernel_size": pair(kernel_size, f"{name}: kernel_size", least=1),
        "dilation": pair(dilation, f"{name}: dilation", least=1),
        "padding": pair(padding, f"{name}: padding", least=0),
        "stride": pair(stride, f"{name}: stride", least=1),
    }
