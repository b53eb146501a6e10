"""Matrix products. numpy's matmul (its BLAS) does the arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.errors import ShapeError
from minigrad.graph import op
from minigrad.ops.promotion import same_float
from minigrad.ops.samples import Sample, draw
from minigrad.ops.shape import reshape
from minigrad.ops.reduce import sum

__all__ = ["linear", "matmul"]


@op(prepare=same_float)
def matmul(x: np.ndarray, y: np.ndarray, /) -> np.ndarray:
    """z_ij = sum_k x_ik y_kj, over any leading dimensions broadcast against each other"""
    if x.ndim == 0 or y.ndim == 0 or x.shape[-1] != y.shape[max(y.ndim - 2, 0)]:
        raise ShapeError(
            f"matmul: expected (..., n, k) @ (..., k, m) with the same k, got {x.shape} @ {y.shape}. "
            "Transpose one of them with .mT?"
        )
    return np.matmul(x, y)


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
        gx = g @ y.mT  # (..., n, k)
        return sum(gx, dim=-2) if row else gx

    def right() -> Any:
        gy = x.mT @ g  # (..., k, m)
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
    z = np.matmul(x, weight.T)
    if bias is not None:
        z += bias
    return z


@linear.vjp
def linear(g: Any, _z: Any, x: Any, weight: Any, _bias: Any) -> tuple:
    outs, ins = weight.shape

    def rows(a: Any, n: int) -> Any:
        return reshape(a, shape=(-1, n)) if len(a.shape) != 2 else a

    return (
        lambda: g @ weight,
        lambda: rows(g, outs).mT @ rows(x, ins),
        lambda: sum(rows(g, outs), dim=0),
    )


@linear.sampled
def _linear_samples() -> list[Sample]:
    w, b = draw(4, 3, seed=1), draw(4, seed=2)
    inputs = [draw(2, 3), draw(3), draw(2, 5, 3), draw(0, 3), draw(3, 2).T]
    return [Sample(x, w, b) for x in inputs] + [Sample(draw(2, 3), w, None)]
