"""What an operation says to a mistake: which op it was, what it expected, and what shapes and dtypes it got."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import minigrad
from minigrad.errors import ArgumentError, DimError, DTypeError, ShapeError

V, M = minigrad.ones(3), minigrad.ones(2, 3)
ERRORS: list[tuple[Callable[[], Any], type, str]] = [
    (lambda: M + minigrad.ones(2), ShapeError, "add(float32 (2, 3), float32 (2,)): .. broadcast"),
    (lambda: V + "a", DTypeError, "expected Tensors, arrays or numbers as operands, got str 'a'"),
    (lambda: M @ M, ShapeError, "matmul: expected (..., n, k) @ (..., k, m) with the same k, got (2, 3) @ (2, 3)"),
    (
        lambda: minigrad.ones(2, 2, 3) @ minigrad.ones(3, 3, 1),
        ShapeError,
        "leading dimensions of (2, 2, 3) @ (3, 3, 1)",
    ),
    (lambda: M.double() @ M.T, DTypeError, "expected operands of one dtype, got float64, float32"),
    (lambda: minigrad.bmm(M, M), ShapeError, "bmm: expected matrices (b, n, m) and matrices .. got (2, 3) and (2, 3)"),
    (
        lambda: minigrad.bmm(minigrad.ones(2, 1, 3), minigrad.ones(4, 3, 1)),
        ShapeError,
        "bmm: expected batches of one length",
    ),
    (lambda: minigrad.mm(M, V), ShapeError, "mm: expected a matrix (n, m) and a matrix (n, m), got (2, 3) and (3,)"),
    (lambda: minigrad.mv(V, V), ShapeError, "mv: expected a matrix (n, m) and a vector (n), got (3,) and (3,)"),
    (lambda: minigrad.dot(V, V[:2]), ShapeError, "dot: expected vectors of one length, got (3,) and (2,)"),
    (lambda: minigrad.outer(M, V), ShapeError, "outer: expected a vector (n) and a vector (n), got (2, 3) and (3,)"),
    (lambda: minigrad.trace(V), ShapeError, "trace: expected a matrix, got shape (3,)"),
    (lambda: M.sum(2), DimError, "sum: dimension 2 is out of range for 2 dimensions; expected -2 to 1"),
    (lambda: M.mean((0, 0)), DimError, "mean: dimension given twice in dim=(0, 0)"),
    (lambda: M.sum(1.5), DTypeError, "sum(float32 (2, 3), dim=1.5)"),
    (lambda: M.long().mean(), DTypeError, "mean: expected floating-point elements, got int64. Convert with .float()"),
    (lambda: M.long().std(), DTypeError, "var: expected floating-point elements, got int64"),
    (lambda: minigrad.norm(M.long()), DTypeError, "norm: expected floating-point elements, got int64"),
    (lambda: minigrad.norm(M, "inf"), ArgumentError, "norm: expected p to be a number, 'fro' or 'nuc', got 'inf'"),
    (lambda: minigrad.linalg.norm(M, "x"), ArgumentError, "matrix_norm: expected ord 'fro', 'nuc', .. , got 'x'"),
    (lambda: minigrad.linalg.norm(minigrad.ones(1, 2, 3), 2), ShapeError, "expected 1 or 2 dimensions, got (1, 2, 3)"),
    (
        lambda: minigrad.zeros(0, 2).max(),
        DimError,
        "amax: expected at least one element along dim (0, 1), got shape (0, 2)",
    ),
    (
        lambda: minigrad.zeros(2, 0).argmax(1),
        DimError,
        "argmax: expected at least one element along dim (1,), got shape (2, 0)",
    ),
    (lambda: minigrad.zeros(2, 0).median(1), DimError, "median: expected at least one element along dim (1,)"),
    (lambda: V.topk(4), ArgumentError, "topk: expected k from 0 to 3, the length of dimension 0 of (3,), got 4"),
    (lambda: M.reshape(4, 2), ShapeError, "reshape: 6 elements of shape (2, 3) do not fit shape (4, 2)"),
    (lambda: M.view(-1, -1), ShapeError, "reshape: 6 elements of shape (2, 3) do not fit shape (-1, -1)"),
    (lambda: M.view("a"), ArgumentError, "expected integers as lengths or dimensions, got ('a',)"),
    (lambda: M.permute(0), DimError, "permute: expected all 2 dimensions of shape (2, 3), got dims=(0,)"),
    (lambda: M.expand(2, 4), ShapeError, "expand: shape (2, 3) cannot be repeated to (2, 4)"),
    (
        lambda: M.unflatten(1, (2, 2)),
        ShapeError,
        "unflatten: dimension 1 of shape (2, 3) has length 3, which is not (2, 2)",
    ),
    (lambda: M.flatten(1, 0), ShapeError, "flatten: start_dim 1 comes after end_dim 0 in shape (2, 3)"),
    (lambda: M.movedim((0, 1), 0), DimError, "movedim: expected as many destinations as sources, got (0, 1) and 0"),
    (lambda: M.repeat(2), ShapeError, "repeat: expected at least 2 counts for shape (2, 3)"),
    (lambda: V.mT, ShapeError, "mT: expected at least two dimensions, got shape (3,)"),
    (lambda: minigrad.ones(1, 2, 3).t(), ShapeError, "t: expected at most two dimensions, got shape (1, 2, 3)"),
    (
        lambda: minigrad.cat([M, M.T]),
        ShapeError,
        "cat: expected shapes that are equal but for dimension 0, got (2, 3), (3, 2)",
    ),
    (lambda: minigrad.cat([]), DTypeError, "cat: expected a list of at least one Tensor, got []"),
    (lambda: minigrad.cat(M), DTypeError, "cat: expected a list of at least one Tenso"),
    (lambda: minigrad.stack([M, V]), ShapeError, "stack: expected tensors of one shape, got (2, 3), (3,)"),
    (lambda: M.split([1, 2]), ShapeError, "split: the lengths (1, 2) do not add up to 2, dimension 0 of shape (2, 3)"),
    (lambda: M.split(0), ArgumentError, "split: expected a positive length, got 0"),
    (lambda: M.chunk(0), ArgumentError, "chunk: expected at least 1 chunk, got 0"),
    (lambda: minigrad.tensor(1.0).unbind(), ShapeError, "unbind: expected at least one dimension, got a 0-d tenso"),
    (
        lambda: minigrad.roll(M, (1, 2), 0),
        ArgumentError,
        "roll: expected as many shifts as dims, got shifts=(1, 2) and dims=0",
    ),
    (lambda: V.tril(), ShapeError, "tril: expected at least two dimensions, got shape (3,)"),
    (lambda: M.diagonal(0, 1, -1), DimError, "diagonal: expected two different dimensions, got dim1=1 and dim2=-1"),
    (
        lambda: minigrad.pad(V, (1, 2, 3)),
        ArgumentError,
        "pad: expected (before, after) for at most 1 dimensions of (3,)",
    ),
    (
        lambda: minigrad.pad(V, (3, 0), "reflect"),
        ShapeError,
        "pad: widths (3, 0) are too large to reflect a length of 3",
    ),
    (lambda: minigrad.pad(V, (1, 0), "mirror"), ArgumentError, "pad: expected mode .. or 'circular', got 'mirror'"),
    (lambda: minigrad.pad(V, (-2, -2)), ShapeError, "pad: widths ((-2, -2),) cut off more than shape (3,) has"),
    (lambda: V[3], DimError, "index: index 3 is out of bounds for axis 0 with size 3 (the tensor has shape (3,))"),
    (lambda: V[0, 0], DimError, "index: too many indices"),
    (lambda: V[[0, 5]], DimError, "index: index 5 is out of bounds"),
    (lambda: V[minigrad.tensor([0.5])], DTypeError, "index: expected integers or bools, got float32 of shape (1,)"),
    (lambda: M[minigrad.tensor([True, False, True])], DimError, "index: boolean index did not match .. shape (2, 3)"),
    (
        lambda: M.gather(1, minigrad.tensor([[3]])),
        DimError,
        "gather: an index is out of range 0 to 2, dimension 1 of shape (2, 3)",
    ),
    (lambda: M.gather(0, minigrad.tensor([0])), ShapeError, "gather: expected an index of 2 dimensions"),
    (lambda: M.gather(0, M), DTypeError, "gather: expected an integer index, got float32"),
    (
        lambda: M.scatter(0, minigrad.tensor([[0]]), M.double()),
        DTypeError,
        "scatter: expected src of dtype float32 .. float64",
    ),
    (
        lambda: M.scatter_add(0, minigrad.tensor([[0]]), 1.0),
        DTypeError,
        "scatter_add: expected a Tensor as src, got float",
    ),
    (
        lambda: M.scatter_add(0, minigrad.tensor([[0, 1]]), M[:, :1]),
        ShapeError,
        "scatter_add: expected src at least as long as",
    ),
    (lambda: M.scatter(0, minigrad.tensor([[0]])), ArgumentError, "scatter: expected either src or value"),
    (lambda: M.index_select(0, minigrad.tensor([[0]])), ArgumentError, "index_select: expected a vector of integers"),
    (lambda: M.take_along_dim(minigrad.tensor([0]), 0), ShapeError, "take_along_dim: expected indices of 2 dimensions"),
    (lambda: minigrad.where(V, 1.0, 2.0), DTypeError, "where: expected a bool condition, got float32. Use x != 0"),
    (lambda: V.long().masked_fill(V > 0, 0.5), DTypeError, "masked_fill: a tensor of int64 cannot hold the value 0.5"),
    (
        lambda: V.masked_fill(V > 0, M),
        ArgumentError,
        "masked_fill: expected a number or a 0-d tensor as value, got shape (2, 3)",
    ),
    (lambda: V.clamp(), ArgumentError, "clamp: expected min, max or both, got neithe"),
    (lambda: V.long() // 0, ArgumentError, "floor_divide: integer division by zero"),
    (lambda: V.long() % 0, ArgumentError, "remainder: integer division by zero"),
    (lambda: V.long() ** -1, ArgumentError, "pow: integers to negative powers are not integers"),
    (
        lambda: minigrad.div(V, V, rounding_mode="up"),
        ArgumentError,
        "div: expected rounding_mode None, 'floor' or 'trunc', got 'up'",
    ),
    (
        lambda: minigrad.add(V.long(), 1, alpha=0.5),
        DTypeError,
        "expected an integer alpha for integer operands, got 0.5",
    ),
    (lambda: (V > 0) - (V > 0), DTypeError, "sub(bool (3,), bool (3,))"),
    (lambda: minigrad.equal(V, 1), DTypeError, "equal: expected two Tensors, got Tensor and int"),
    (
        lambda: minigrad.einsum("ij,jk", M, M),
        ShapeError,
        "einsum: index 'j' of 'ij,jk' has lengths 3 and 2 in shapes (2, 3), (2, 3)",
    ),
    (lambda: minigrad.einsum("ij,jk", M), ArgumentError, "einsum: 'ij,jk' has 2 operands, got 1"),
    (lambda: minigrad.einsum("ijk", M), ShapeError, "einsum: 'ijk' in 'ijk' names 3 dimensions of an operand with 2"),
    (lambda: minigrad.einsum("ij->l", M), ArgumentError, "einsum: no operand of 'ij->l' has the output's index 'l'"),
    (lambda: minigrad.einsum("ij->ii", M), ArgumentError, "einsum: the output of 'ij->ii' names an index twice"),
    (lambda: minigrad.einsum("i1", M), ArgumentError, "einsum: expected letters"),
    (lambda: minigrad.einsum("ii", M), ShapeError, "einsum: index 'i' of 'ii' has lengths 2 and 3 in shapes (2, 3)"),
    (lambda: minigrad.einsum("ii", M[:1]), ShapeError, "einsum: 'i' twice needs two equal lengths, got shape (1, 3)"),
    (lambda: minigrad.einsum("ij", "a"), DTypeError, "einsum: expected an equation and Tensors"),
    (lambda: minigrad.exp(V, V), DTypeError, "exp: expected exp(x .. got 2 positional arguments"),
    (lambda: minigrad.sum(V, 0, dim=0), DTypeError, "sum: expected .. got ['dim'] twice"),
]


@pytest.mark.parametrize(("mistake", "error", "message"), ERRORS, ids=[message[:45] for *_, message in ERRORS])
def test_a_mistake_is_named_with_the_op_and_what_it_was_given(mistake, error, message):
    with pytest.raises(error) as raised:
        mistake()
    assert all(part in str(raised.value) for part in message.split(" .. "))
