"""Products of vectors and matrices, and their norms. numpy's matmul (its BLAS) does the arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.errors import ShapeError
from minigrad.graph import op
from minigrad.kernels import dense
from minigrad.ops.arithmetic import mul
from minigrad.ops.arrange import diagonal
from minigrad.ops.norms import matrix_norm, svdvals, vector_norm
from minigrad.ops.promotion import same_float
from minigrad.ops.reduce import Dims, sum
from minigrad.ops.samples import Sample, draw
from minigrad.ops.shape import reshape
from minigrad.places import Into

__all__ = [
    "bmm",
    "dot",
    "linear",
    "matmul",
    "matrix_norm",
    "mm",
    "mv",
    "norm",
    "outer",
    "svdvals",
    "trace",
    "vector_norm",
]


@op(prepare=same_float)
def matmul(x: np.ndarray, y: np.ndarray, /) -> np.ndarray:
    """z_ij = sum_k x_ik y_kj, over any leading dimensions broadcast against each other"""
    if x.ndim == 0 or y.ndim == 0 or x.shape[-1] != y.shape[max(y.ndim - 2, 0)]:
        raise ShapeError(
            f"matmul: expected (..., n, k) @ (..., k, m) with the same k, got {x.shape} @ {y.shape}. "
            "Transpose one of them with .mT?"
        )
    try:
        return dense.product(x, y)
    except ValueError:
        raise ShapeError(
            f"matmul: the leading dimensions of {x.shape} @ {y.shape} cannot be broadcast against each other."
        ) from None


@matmul.vjp
def matmul(g: Any, _z: Any, x: Any, y: Any) -> tuple:
    # A vector is a matrix of one row on the left, of one column on the right.
    row, column = len(x.shape) == 1, len(y.shape) == 1
    shape = list(g.shape)
    if column:
        shape.append(1)
        y = reshape(y, shape=(*y.shape, 1))
    if row:
        shape.insert(len(shape) - 1, 1)
        x = reshape(x, shape=(1, *x.shape))
    g = reshape(g, shape=tuple(shape)) if row or column else g

    def left() -> Any:
        gx = matmul(g, y.mT)  # (..., n, k)
        return sum(gx, dim=-2) if row else gx

    def right() -> Any:
        gy = matmul(x.mT, g)  # (..., k, m)
        return sum(gy, dim=-1) if column else gy

    return left, right


@matmul.sampled
def _matmul_samples() -> list[Sample]:
    shapes: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
        ((3,), (3,)),
        ((2, 3), (3,)),
        ((3,), (3, 2)),
        ((2, 3), (3, 4)),
        ((5, 2, 3), (3, 4)),
        ((5, 2, 3), (5, 3, 1)),
        ((2, 1, 2, 3), (4, 3, 2)),
        ((3,), (2, 3, 2)),
        ((2, 2, 3), (3,)),
        ((0, 3), (3, 2)),
    ]
    return [Sample(draw(*a), draw(*b, seed=1)) for a, b in shapes] + [Sample(draw(3, 2).T, draw(4, 3, seed=1).T)]


@op(prepare=same_float)
def linear(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, /) -> np.ndarray:
    """z = x W^T + b, for x (..., in), W (out, in), b (out) or None"""
    if x.ndim == 0 or weight.ndim != 2 or x.shape[-1] != weight.shape[1]:
        wanted = weight.shape[1] if weight.ndim == 2 else "in"
        raise ShapeError(
            f"linear: expected input (..., {wanted}) for weight (out, in) {weight.shape}, got {x.shape}. "
            "Flatten the input, or give the layer another in_features."
        )
    # One product of all rows; of a batch of matrices numpy would make one product each.
    z = dense.dense(x.reshape(-1, x.shape[-1]) if x.ndim > 2 else x, weight, bias)
    return z.reshape(*x.shape[:-1], weight.shape[0]) if x.ndim > 2 else z


@linear.vjp
def linear(g: Any, _z: Any, x: Any, weight: Any, _bias: Any) -> tuple:
    outs, ins = weight.shape
    if isinstance(g, np.ndarray) and g.ndim == 2:  # most of all calls, without the ops' bookkeeping
        return (
            lambda: dense.product(g, weight),
            Into(lambda out: dense.product(g.T, x, out)),
            lambda: np.add.reduce(g, 0),
        )

    def rows(a: Any, n: int) -> Any:
        return reshape(a, shape=(-1, n)) if len(a.shape) != 2 else a

    return (
        lambda: reshape(matmul(rows(g, outs), weight), shape=x.shape) if len(x.shape) > 2 else matmul(g, weight),
        lambda: matmul(rows(g, outs).mT, rows(x, ins)),
        lambda: sum(rows(g, outs), dim=0),
    )


@linear.sampled
def _linear_samples() -> list[Sample]:
    w, b = draw(4, 3, seed=1), draw(4, seed=2)
    inputs = [draw(2, 3), draw(3), draw(2, 5, 3), draw(0, 3), draw(3, 2).T]
    return [Sample(x, w, b) for x in inputs] + [Sample(draw(2, 3), w, None)]


# ---- products of given dimensions -----------------------------------------------------------------------------------


def _dimensions(name: str, x: Any, x_ndim: int, y: Any, y_ndim: int) -> None:
    names = {1: "a vector (n)", 2: "a matrix (n, m)", 3: "matrices (b, n, m)"}
    if (len(x.shape), len(y.shape)) != (x_ndim, y_ndim):
        raise ShapeError(
            f"{name}: expected {names[x_ndim]} and {names[y_ndim]}, got {x.shape} and {y.shape}. "
            "matmul takes every number of dimensions."
        )


def dot(x: Any, y: Any) -> Any:
    """z = sum_i x_i y_i, of two vectors of one length."""
    _dimensions("dot", x, 1, y, 1)
    if x.shape != y.shape:
        raise ShapeError(f"dot: expected vectors of one length, got {x.shape} and {y.shape}.")
    return matmul(x, y)


def mv(x: Any, y: Any) -> Any:
    """z_i = sum_k x_ik y_k, of a matrix and a vector."""
    _dimensions("mv", x, 2, y, 1)
    return matmul(x, y)


def mm(x: Any, y: Any) -> Any:
    """z_ij = sum_k x_ik y_kj, of two matrices."""
    _dimensions("mm", x, 2, y, 2)
    return matmul(x, y)


def bmm(x: Any, y: Any) -> Any:
    """z_bij = sum_k x_bik y_bkj, of two batches of b matrices."""
    _dimensions("bmm", x, 3, y, 3)
    if x.shape[0] != y.shape[0]:
        raise ShapeError(f"bmm: expected batches of one length, got {x.shape} and {y.shape}.")
    return matmul(x, y)


def outer(x: Any, y: Any) -> Any:
    """z_ij = x_i y_j, of two vectors."""
    _dimensions("outer", x, 1, y, 1)
    return mul(reshape(x, (*x.shape, 1)), y)


def trace(x: Any) -> Any:
    """z = sum_i x_ii, of a matrix."""
    if len(x.shape) != 2:
        raise ShapeError(f"trace: expected a matrix, got shape {x.shape}.")
    return sum(diagonal(x))


def norm(A: Any, ord: float | str | None = None, dim: Dims = None, keepdim: bool = False) -> Any:
    """The norm of a vector or of matrices, as `minigrad.linalg.norm`.

    Parameters
    ----------
    A : Tensor
    ord : float or str, optional
        See `vector_norm` and `matrix_norm`. None is the root of the sum of squares.
    dim : int or pair of ints, optional
        One dimension: vectors; two: matrices. Without it, A is a vector or a matrix, or with ord None anything,
        taken as one long vector.
    keepdim : bool

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.linalg.norm.html

    Examples
    --------
    >>> import minigrad
    >>> minigrad.linalg.norm(minigrad.tensor([[1.0, -2.0], [3.0, 4.0]]), ord=1)
    tensor(6.)
    """
    if ord is None:
        return vector_norm(A, 2, dim, keepdim)
    if dim is None:
        if len(A.shape) not in (1, 2):
            raise ShapeError(f"linalg.norm: with ord and without dim, expected 1 or 2 dimensions, got {A.shape}.")
        dim = tuple(range(len(A.shape)))
    pair = isinstance(dim, tuple | list) and len(dim) == 2
    if pair or isinstance(ord, str):
        return matrix_norm(A, ord, dim, keepdim)  # type: ignore[arg-type]
    return vector_norm(A, ord, dim, keepdim)
