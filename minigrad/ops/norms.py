"""Lengths of vectors and sizes of matrices.

Names and results are those of https://docs.pytorch.org/docs/stable/generated/torch.linalg.norm.html.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.errors import ArgumentError, DimError, DTypeError, ShapeError
from minigrad.graph import op
from minigrad.ops.arithmetic import abs
from minigrad.ops.extremes import amax, amin
from minigrad.ops.reduce import Dims, kept_shape, reduced_dims, reduction_samples, spread, sum
from minigrad.ops.rounding import sign
from minigrad.ops.samples import Sample, draw
from minigrad.ops.select import where
from minigrad.ops.shape import movedim, reshape, wrap_dims

__all__ = ["matrix_norm", "norm", "svdvals", "vector_norm"]


@op
def vector_norm(x: np.ndarray, /, ord: float = 2, dim: Dims = None, keepdim: bool = False) -> np.ndarray:
    """z = (sum_i |x_i|^ord)^(1/ord) over the dimensions `dim`; inf: the largest |x_i|, 0: how many are not 0"""
    if x.dtype.kind != "f":
        raise DTypeError(f"norm: expected floating-point elements, got {x.dtype.name}. Convert with .float().")
    axes = reduced_dims(dim, x.ndim, "norm")
    how: dict[str, Any] = {"axis": axes, "keepdims": keepdim}
    if ord == 2:
        return np.sqrt((x * x).sum(**how))
    size = np.abs(x)
    if math.isinf(ord) or (ord < 0 and x.size == 0):
        if not size.size and not math.prod(kept_shape(x.shape, dim, "norm")) == 0:
            raise ShapeError(f"norm: ord={ord} needs at least one element along dim {axes}, got shape {x.shape}.")
        return size.max(**how) if ord > 0 else size.min(**how)
    if ord == 0:
        return (x != 0).sum(**how, dtype=x.dtype)
    return size.sum(**how) if ord == 1 else (size**ord).sum(**how) ** (1 / ord)


@vector_norm.vjp
def vector_norm(g: Any, z: Any, x: Any, ord: float = 2, dim: Dims = None, keepdim: bool = False) -> tuple:
    if ord == 0:
        return (np.zeros(x.shape, g.dtype),)
    g, z = (spread(a, x.shape, dim, "norm") for a in (g, z))
    if ord == 1:
        return (g * sign(x),)
    if math.isinf(ord):
        chosen = abs(x) == z
        return (g * sign(x) * chosen / sum(chosen, dim=dim, keepdim=True),)
    # dz/dx_i = sign(x_i) (|x_i| / z)^(ord - 1). At 0, where it has no derivative, it is 0.
    if ord == 2:
        return (g * x / where(z == 0, math.inf, z),)
    ratio = where(x == 0, 1.0, abs(x)) / where(z == 0, 1.0, z)
    return (where(x == 0, 0.0, g * sign(x) * ratio ** (ord - 1)),)


@vector_norm.sampled
def _vector_norm_samples() -> list[Sample]:
    made = reduction_samples(away_from=0.0)
    orders = (0, 0.5, 1, 1.5, 2, 3, -1, math.inf, -math.inf)
    return [*made, *(Sample(draw(3, 4, away_from=0.0), ord=p, dim=1) for p in orders)]


@op(once=True)
def svdvals(x: np.ndarray, /) -> tuple:
    """z = the singular values of each matrix, σ in x = U diag(σ) V^T, from the largest to the smallest"""
    if x.ndim < 2 or x.dtype.kind != "f":
        raise ShapeError(f"svdvals: expected floating-point matrices (..., m, n), got {x.dtype.name} {x.shape}.")
    u, s, vt = np.linalg.svd(x, full_matrices=False)
    return s, {"u": u, "vt": vt}


@svdvals.vjp
def svdvals(g: Any, _z: Any, _x: Any, u: Any, vt: Any) -> tuple:
    return ((u * g[..., None, :]) @ vt,)


@svdvals.sampled
def _svdvals_samples() -> list[Sample]:
    return [Sample(draw(*shape)) for shape in [(3, 3), (2, 4), (4, 2), (2, 3, 2), (0, 2, 3)]]


def matrix_norm(x: Any, ord: float | str = "fro", dim: tuple[int, int] = (-2, -1), keepdim: bool = False) -> Any:
    """The norm of each matrix in the dimensions `dim`.

    Parameters
    ----------
    ord : {'fro', 'nuc', inf, -inf, 1, -1, 2, -2}
        The root of the sum of squares; the sum of the singular values; the largest (smallest) sum of a row; of a
        column; the largest (smallest) singular value. 'nuc', 2 and -2 can be differentiated once.

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.linalg.matrix_norm.html
    """
    if len(x.shape) < 2:
        raise ShapeError(f"matrix_norm: expected at least two dimensions, got shape {x.shape}.")
    dims = wrap_dims(dim, len(x.shape), "matrix_norm")
    if len(dims) != 2:
        raise DimError(f"matrix_norm: expected two dimensions, got dim={dim}.")
    kept = kept_shape(x.shape, dims, "matrix_norm") if keepdim else None
    if ord == "fro":
        return vector_norm(x, 2, dims, keepdim)
    x = movedim(x, dims, (-2, -1))
    if ord in ("nuc", 2, -2):
        values = svdvals(x)
        z = sum(values, -1) if ord == "nuc" else (amax if ord == 2 else amin)(values, -1)
    elif ord in (1, -1, math.inf, -math.inf):
        along = sum(abs(x), -2 if ord in (1, -1) else -1)
        z = (amin if ord in (-1, -math.inf) else amax)(along, -1)
    else:
        raise ArgumentError(f"matrix_norm: expected ord 'fro', 'nuc', inf, -inf, 1, -1, 2 or -2, got {ord!r}.")
    return z if kept is None else reshape(z, kept)


def norm(x: Any, p: float | str = "fro", dim: Dims = None, keepdim: bool = False) -> Any:
    """(sum_i |x_i|^p)^(1/p) over the dimensions `dim`, or over all elements; 'fro' is 2, 'nuc' is of matrices.

    Examples
    --------
    >>> import minigrad
    >>> minigrad.norm(minigrad.tensor([3.0, 4.0]))
    tensor(5.)
    """
    if p == "nuc":
        return matrix_norm(x, "nuc", (-2, -1) if dim is None else dim, keepdim)  # type: ignore[arg-type]
    if isinstance(p, str) and p != "fro":
        raise ArgumentError(f"norm: expected p to be a number, 'fro' or 'nuc', got {p!r}.")
    return vector_norm(x, 2 if p == "fro" else p, dim, keepdim)
