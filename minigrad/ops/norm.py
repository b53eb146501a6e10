"""Normalisation: what is normalised gets mean 0 and variance 1, then each channel or feature its own scale and shift.

    op                 mean and variance over                          weight and bias of
    batch_normalize    batch and positions, for each channel           each channel
    group_normalize    each sample's groups of channels                each channel
    layer_normalize    the last dimensions (centred=False: RMS norm)   each of their elements

Values and first derivatives come from one kernel each. Their rules, asked for a gradient that can be differentiated
again, write the same gradient with the op `standardize` and single operations:

    z = (x - mean) s,  s = 1 / √(var + eps),  y = z w + b,  h = g w
    gx = (h - mean(h) - z mean(h z)) s,    gw = sum g z,    gb = sum g
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.graph import op
from minigrad.kernels import norm as kernels
from minigrad.ops.powers import rsqrt
from minigrad.ops.promotion import same_float
from minigrad.ops.reduce import mean, reduced_dims, sum, var
from minigrad.ops.samples import Sample, draw, strided
from minigrad.ops.shape import reshape

__all__ = ["batch_normalize", "channel_affine", "group_normalize", "layer_normalize", "standardize"]

Shape = tuple[int, ...]
# The running mean and variance, which move in place, and how far.
Running = tuple[np.ndarray, np.ndarray, float]


@op
def standardize(x: np.ndarray, /, dim: int | tuple[int, ...], eps: float = 1e-5) -> Any:
    """z = (x - mean(x)) / √(var(x) + eps), mean and variance (divided by n) over the dimensions `dim`"""
    dims = reduced_dims(dim, x.ndim, "standardize")
    apart = x - mean(x, dim=dims, keepdim=True)
    scale = 1 / np.sqrt(mean(apart * apart, dim=dims, keepdim=True) + x.dtype.type(eps))
    return apart * scale, {"scale": scale}


@standardize.vjp
def standardize(g: Any, z: Any, x: Any, scale: Any, dim: int | tuple[int, ...], eps: float = 1e-5) -> tuple:
    # The mean and the scale depend on every x: both parts of g that would only shift or stretch z drop out.
    if not isinstance(x, np.ndarray):
        scale = rsqrt(var(x, dim=dim, correction=0, keepdim=True) + eps)
    return (scale * (g - mean(g, dim=dim, keepdim=True) - z * mean(g * z, dim=dim, keepdim=True)),)


@standardize.sampled
def _samples() -> list[Sample]:
    cases: list[tuple[tuple[int, ...], Any]] = [
        ((4,), 0),
        ((3, 4), 1),
        ((3, 4), (0,)),
        ((2, 3, 4), (0, 2)),
        ((2, 2, 3, 2), (-2, -1)),
    ]
    made = [Sample(draw(*shape), dim=dim) for shape, dim in cases]
    return [*made, Sample(strided(draw(3, 4)), dim=-1, eps=0.1), Sample(draw(0, 4), dim=1)]


def _differentiable(
    g: Any, x: Any, weight: Any, bias: Any, dim: tuple[int, ...], eps: float, over: tuple[int, ...], shape: Shape
) -> tuple:
    """The gradients of x, weight and bias, in operations that can be differentiated again.

    `dim` are the dimensions of the moments; weight and bias, of shape `shape` against x, are summed over `over`.
    """
    z = standardize(x, dim=dim, eps=eps)
    scale = rsqrt(var(x, dim=dim, correction=0, keepdim=True) + eps)
    h = g if weight is None else g * reshape(weight, shape=shape)
    gx = scale * (h - mean(h, dim=dim, keepdim=True) - z * mean(h * z, dim=dim, keepdim=True))
    gw = None if weight is None else reshape(_summed(g * z, over), shape=weight.shape)
    return gx, gw, None if bias is None else reshape(_summed(g, over), shape=bias.shape)


def _summed(x: Any, dim: tuple[int, ...]) -> Any:
    """The sum over no dimensions is x itself; for `sum`, () means all of them."""
    return sum(x, dim=dim) if dim else x


def _per_channel(ndim: int) -> tuple[tuple[int, ...], Shape]:
    """The dimensions of (N, C, ...) other than C, and the shape of something with one number for each channel."""
    return (0, *range(2, ndim)), (-1,) + (1,) * (ndim - 2)


# ---- over the batch --------------------------------------------------------------------------------------------------


@op(prepare=same_float)
def batch_normalize(
    x: np.ndarray,
    weight: np.ndarray | None,
    bias: np.ndarray | None,
    /,
    eps: float = 1e-5,
    running: Running | None = None,
) -> Any:
    """z = (x - mean_c) / √(var_c + eps) w_c + b_c, mean and variance of channel c over batch and positions

    With `running` = (mean, var, momentum), both arrays move in place: r ← r + momentum (of this batch - r), the
    variance of the batch divided by n - 1.
    """
    z, center, spread = kernels.grouped_norm(x, weight, bias, None, eps)
    if running is not None:
        means, variances, momentum = running
        n = x.size // x.shape[1]
        means += momentum * (center[0] - means)
        variances += momentum * (spread[0] * (n / (n - 1)) - variances)
    return z, {"center": center, "spread": spread}


@batch_normalize.vjp
def batch_normalize(
    g: Any,
    _z: Any,
    x: Any,
    weight: Any,
    bias: Any,
    center: np.ndarray,
    spread: np.ndarray,
    eps: float = 1e-5,
    running: Running | None = None,
) -> tuple:
    if not isinstance(g, np.ndarray):
        others, shape = _per_channel(len(x.shape))
        return _differentiable(g, x, weight, bias, others, eps, others, shape)
    gx, gw, gb = kernels.grouped_norm_grad(g, x, weight, center, spread, None, eps)
    return gx, gw, gb


@batch_normalize.sampled
def _batch_samples() -> list[Sample]:
    w, b = draw(3, low=0.5, seed=1), draw(3, seed=2)
    return [
        Sample(draw(4, 3), w, b),
        Sample(draw(2, 3, 4), w, None),
        Sample(draw(2, 3, 2, 2), None, b, eps=0.1),
        Sample(draw(1, 3, 2, 3), None, None),
        Sample(strided(draw(3, 3, 2)), w, b),
        Sample(draw(2, 3, 0), w, b),
    ]


# ---- over each sample's groups of channels ---------------------------------------------------------------------------


@op(prepare=same_float)
def group_normalize(
    x: np.ndarray, weight: np.ndarray | None, bias: np.ndarray | None, /, num_groups: int, eps: float = 1e-5
) -> Any:
    """z = (x - mean_nk) / √(var_nk + eps) w_c + b_c, mean and variance over group k of the channels of sample n"""
    z, center, spread = kernels.grouped_norm(x, weight, bias, num_groups, eps)
    return z, {"center": center, "spread": spread}


@group_normalize.vjp
def group_normalize(
    g: Any,
    _z: Any,
    x: Any,
    weight: Any,
    bias: Any,
    center: np.ndarray,
    spread: np.ndarray,
    num_groups: int,
    eps: float = 1e-5,
) -> tuple:
    if not isinstance(g, np.ndarray):
        n, c, *size = x.shape
        split = (n, num_groups, c // num_groups, math.prod(size))  # (N, C, ...) -> (N, groups, C / groups, S)
        gx, gw, gb = _differentiable(
            reshape(g, shape=split), reshape(x, shape=split), weight, bias, (2, 3), eps, (0, 3), (*split[1:3], 1)
        )
        return reshape(gx, shape=x.shape), gw, gb
    return kernels.grouped_norm_grad(g, x, weight, center, spread, num_groups, eps)


@group_normalize.sampled
def _group_samples() -> list[Sample]:
    w, b = draw(4, low=0.5, seed=1), draw(4, seed=2)
    return [
        Sample(draw(2, 4, 3), w, b, num_groups=2),
        Sample(draw(2, 4), w, b, num_groups=1),
        Sample(draw(1, 4, 2, 2), w, None, num_groups=4),
        Sample(draw(2, 4, 1, 2), None, b, num_groups=2, eps=0.1),
        Sample(strided(draw(2, 4, 3)), None, None, num_groups=1),
        Sample(draw(0, 4, 3), w, b, num_groups=2),
    ]


# ---- over the last dimensions ----------------------------------------------------------------------------------------


@op(prepare=same_float)
def layer_normalize(
    x: np.ndarray,
    weight: np.ndarray | None,
    bias: np.ndarray | None,
    /,
    normalized_shape: Shape,
    eps: float = 1e-5,
    centred: bool = True,
) -> Any:
    """z = (x - mean) / √(var + eps) w + b over the last dimensions; with centred=False, x / √(mean x² + eps) w + b"""
    rows = x.reshape(-1, math.prod(normalized_shape)) if x.size else x.reshape(0, math.prod(normalized_shape))
    flat = [None if a is None else a.reshape(-1) for a in (weight, bias)]
    z, moments = kernels.row_norm(rows, *flat, eps, centred)
    return z.reshape(x.shape), {"moments": moments}


@layer_normalize.vjp
def layer_normalize(
    g: Any,
    _z: Any,
    x: Any,
    weight: Any,
    bias: Any,
    moments: np.ndarray,
    normalized_shape: Shape,
    eps: float = 1e-5,
    centred: bool = True,
) -> tuple:
    if isinstance(g, np.ndarray):
        rows = (x.size // max(1, math.prod(normalized_shape)), math.prod(normalized_shape))
        w = None if weight is None else weight.reshape(-1)
        gx, gw, gb = kernels.row_norm_grad(g.reshape(rows), x.reshape(rows), w, moments, centred)
        return gx.reshape(x.shape), gw.reshape(normalized_shape), gb.reshape(normalized_shape)
    ndim = len(x.shape)
    leading = ndim - len(normalized_shape)
    dim, over = tuple(range(leading, ndim)), tuple(range(leading))
    if centred:
        return _differentiable(g, x, weight, bias, dim, eps, over, normalized_shape)
    scale = rsqrt(mean(x * x, dim=dim, keepdim=True) + eps)
    z = x * scale
    h = g if weight is None else g * weight
    gx = scale * (h - z * mean(h * z, dim=dim, keepdim=True))
    return gx, None if weight is None else _summed(g * z, over), None if bias is None else _summed(g, over)


@layer_normalize.sampled
def _layer_samples() -> list[Sample]:
    w, b = draw(4, low=0.5, seed=1), draw(4, seed=2)
    return [
        Sample(draw(3, 4), w, b, normalized_shape=(4,)),
        Sample(draw(2, 3, 4), w, None, normalized_shape=(4,), centred=False),
        Sample(draw(2, 2, 2), draw(2, 2, seed=1), draw(2, 2, seed=2), normalized_shape=(2, 2)),
        Sample(draw(2, 1, 4), None, b, normalized_shape=(4,), eps=0.1),
        Sample(draw(3, 4), None, None, normalized_shape=(4,), centred=False, eps=0.2),
        Sample(strided(draw(3, 4)), w, b, normalized_shape=(4,)),
        Sample(draw(4), w, b, normalized_shape=(4,)),
        Sample(draw(4), w, b, normalized_shape=(4,), centred=False),
        Sample(draw(0, 4), w, b, normalized_shape=(4,)),
    ]


# ---- with given moments ----------------------------------------------------------------------------------------------


@op(prepare=same_float)
def channel_affine(x: np.ndarray, center: np.ndarray, scale: np.ndarray, shift: np.ndarray, /) -> np.ndarray:
    """z = (x - m_c) a_c + b_c: batch normalisation in evaluation, where m and a are the running ones"""
    return kernels.channel_affine(x, center, scale, shift)


@channel_affine.vjp
def channel_affine(g: Any, _z: Any, x: Any, center: Any, scale: Any, _shift: Any) -> tuple:
    others, shape = _per_channel(len(x.shape))
    if isinstance(g, np.ndarray):
        gx = kernels.channel_affine(g, np.zeros_like(scale), scale, np.zeros_like(scale))
    else:
        gx = g * reshape(scale, shape=shape)
    g_sum = sum(g, dim=others)
    return (
        gx,
        lambda: -g_sum * scale,
        lambda: sum(g * (x - reshape(center, shape=shape)), dim=others),
        g_sum,
    )


@channel_affine.sampled
def _affine_samples() -> list[Sample]:
    m, a, b = draw(3, seed=1), draw(3, seed=2), draw(3, seed=3)
    shapes: list[Shape] = [(4, 3), (2, 3, 4), (2, 3, 2, 2), (1, 3, 1), (0, 3, 2)]
    return [*(Sample(draw(*shape), m, a, b) for shape in shapes), Sample(strided(draw(3, 3, 2)), m, a, b)]
