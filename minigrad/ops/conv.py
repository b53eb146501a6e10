"""Convolution: three ops, each of which is the gradient of the others.

The convolution y = x * w is linear in x and in w. Write A for the map x -> y at a fixed w and B for w -> y at a
fixed x. Their transposes A^T g and B^T g are the gradients of x and w; both are linear in g and in the other
operand again, so their own gradients are made of the same three maps and every order of derivative exists:

    op                    computes     gradient of g       gradient of the other operand
    conv2d(x, w)          y
    conv2d_input_grad     A^T g        conv2d(h, w)        conv2d_weight_grad(g, h)
    conv2d_weight_grad    B^T g        conv2d(x, h)        conv2d_input_grad(g, h)

Images are (N, C, H, W), weights (O, C/groups, KH, KW), padding is ((top, bottom), (left, right)).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.graph import op
from minigrad.kernels import conv as kernels
from minigrad.ops.once import once
from minigrad.ops.promotion import same_float
from minigrad.ops.samples import Sample, draw, strided
from minigrad.ops.shape import expand, reshape

__all__ = ["channel_sums", "conv2d", "conv2d_input_grad", "conv2d_weight_grad"]

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]
Shape = tuple[int, ...]


@op(prepare=same_float)
def conv2d(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None,
    /,
    stride: Pair = (1, 1),
    padding: Padding = ((0, 0), (0, 0)),
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> np.ndarray:
    """z[n, o, i, j] = b[o] + sum_cuv x[n, c, i s + u d - p, j s + v d - p] W[o, c, u, v]"""
    return kernels.conv2d(x, weight, bias, stride, padding, dilation, groups)


@conv2d.vjp
def conv2d(g: Any, _z: Any, x: Any, weight: Any, _bias: Any, **geometry: Any) -> tuple:
    if isinstance(g, np.ndarray):
        # An ordinary pass: the kernels themselves, and the gradients of weight and bias from one reading of g.
        def input_grad() -> Any:
            return kernels.conv2d_input_grad(g, weight, x.shape, **geometry)

        if _bias is None:
            return input_grad, lambda: kernels.conv2d_weight_grad(g, x, weight.shape, **geometry), None
        both = once(lambda: kernels.conv2d_weight_bias_grad(g, x, weight.shape, **geometry))
        return input_grad, lambda: both()[0], lambda: both()[1]
    return (
        lambda: conv2d_input_grad(g, weight, input_shape=x.shape, **geometry),
        lambda: conv2d_weight_grad(g, x, weight_shape=weight.shape, **geometry),
        lambda: channel_sums(g),
    )


@op(prepare=same_float)
def conv2d_input_grad(
    g: np.ndarray,
    weight: np.ndarray,
    /,
    input_shape: Shape,
    stride: Pair = (1, 1),
    padding: Padding = ((0, 0), (0, 0)),
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> np.ndarray:
    """z[n, c, h, w] = sum of g[n, o, i, j] W[o, c, u, v] over h = i s + u d - p, w = j s + v d - p"""
    return kernels.conv2d_input_grad(g, weight, input_shape, stride, padding, dilation, groups)


@conv2d_input_grad.vjp
def conv2d_input_grad(h: Any, _z: Any, g: Any, weight: Any, input_shape: Shape, **geometry: Any) -> tuple:
    return (
        lambda: conv2d(h, weight, None, **geometry),
        lambda: conv2d_weight_grad(g, h, weight_shape=weight.shape, **geometry),
    )


@op(prepare=same_float)
def conv2d_weight_grad(
    g: np.ndarray,
    x: np.ndarray,
    /,
    weight_shape: Shape,
    stride: Pair = (1, 1),
    padding: Padding = ((0, 0), (0, 0)),
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> np.ndarray:
    """z[o, c, u, v] = sum_nij g[n, o, i, j] x[n, c, i s + u d - p, j s + v d - p]"""
    return kernels.conv2d_weight_grad(g, x, weight_shape, stride, padding, dilation, groups)


@conv2d_weight_grad.vjp
def conv2d_weight_grad(h: Any, _z: Any, g: Any, x: Any, weight_shape: Shape, **geometry: Any) -> tuple:
    return (
        lambda: conv2d(x, h, None, **geometry),
        lambda: conv2d_input_grad(g, h, input_shape=x.shape, **geometry),
    )


@op
def channel_sums(g: np.ndarray, /) -> np.ndarray:
    """z[o] = sum_nij g[n, o, i, j]: the gradient of a bias"""
    return kernels.conv2d_bias_grad(g)


@channel_sums.vjp
def channel_sums(h: Any, _z: Any, _g: Any) -> tuple:
    return (expand(reshape(h, shape=(-1, 1, 1)), shape=_g.shape),)


@channel_sums.sampled
def _channel_sums_samples() -> list[Sample]:
    shapes = [(2, 3, 4, 4), (1, 1, 1, 1), (3, 2, 1, 5), (0, 2, 3, 3), (2, 1, 3, 2)]
    return [*(Sample(draw(*shape)) for shape in shapes), Sample(strided(draw(2, 3, 2, 2)))]


# (input, weight, options): one channel, several, strided, dilated, grouped, 'same' (unequal sides), empty batch.
_CASES: list[tuple[Shape, Shape, dict[str, Any]]] = [
    ((2, 1, 4, 4), (2, 1, 3, 3), {}),
    ((1, 2, 5, 4), (3, 2, 2, 3), {"padding": ((1, 1), (1, 1))}),
    ((2, 2, 5, 5), (2, 2, 3, 3), {"stride": (2, 2), "padding": ((1, 1), (1, 1))}),
    ((1, 2, 6, 6), (2, 2, 2, 2), {"dilation": (2, 3), "stride": (1, 2)}),
    ((1, 4, 3, 3), (6, 2, 2, 2), {"groups": 2, "padding": ((0, 1), (1, 0))}),
    ((0, 2, 3, 3), (2, 2, 1, 1), {}),
]


def _outputs(x: Shape, w: Shape, options: dict[str, Any]) -> np.ndarray:
    shape = kernels.conv2d(np.zeros(x), np.zeros(w), None, **options).shape
    return draw(*shape, seed=2)


@conv2d.sampled
def _conv2d_samples() -> list[Sample]:
    made = [Sample(draw(*x), draw(*w, seed=1), draw(w[0], seed=2), **options) for x, w, options in _CASES]
    return [*made, Sample(strided(draw(1, 2, 4, 4)), draw(2, 2, 3, 3, seed=1), None)]


@conv2d_input_grad.sampled
def _input_grad_samples() -> list[Sample]:
    return [Sample(_outputs(x, w, o), draw(*w, seed=1), input_shape=x, **o) for x, w, o in _CASES]


@conv2d_weight_grad.sampled
def _weight_grad_samples() -> list[Sample]:
    return [Sample(_outputs(x, w, o), draw(*x), weight_shape=w, **o) for x, w, o in _CASES]
