"""The functions that are made of ops, and the corners of the ops: results, gradients and messages are PyTorch's.

Each case is one expression, evaluated with `t` as minigrad and as torch on the same float64 inputs; the gradients
under random upstream gradients are compared too.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import autograd
from minigrad.ops.samples import draw
from minigrad.ops.special import erf

torch = pytest.importorskip("torch")
inf, nan = math.inf, math.nan


def both(expression: Callable, arrays: list[np.ndarray]) -> tuple[list[Any], list[Any], list[Any], list[Any]]:
    """Results and inputs of the expression in minigrad and in PyTorch."""
    ours_in = [minigrad.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
    theirs_in = [torch.from_numpy(np.array(a)).requires_grad_(a.dtype.kind == "f") for a in arrays]

    def flat(results: Any) -> list[Any]:
        return list(results) if isinstance(results, tuple | list) else [results]

    ours = flat(expression(minigrad, *ours_in))
    return ours, flat(expression(torch, *theirs_in)), ours_in, theirs_in


def agree(expression: Callable, *arrays: np.ndarray, rtol: float = 1e-11) -> None:
    ours, theirs, ours_in, theirs_in = both(expression, list(arrays))
    assert len(ours) == len(theirs)
    for z, expected in zip(ours, theirs, strict=True):
        assert z.shape == tuple(expected.shape)
        assert z.dtype == expected.detach().numpy().dtype
        np.testing.assert_allclose(z.data, expected.detach().numpy(), rtol=rtol, atol=1e-12)
    roots = [(z, expected) for z, expected in zip(ours, theirs, strict=True) if expected.requires_grad]
    if not roots:
        assert not any(z.requires_grad for z in ours)
        return
    rng = np.random.default_rng(5)
    seeds = [np.asarray(rng.standard_normal(z.shape)) for z, _ in roots]
    variables = [(a, b) for a, b in zip(ours_in, theirs_in, strict=True) if b.requires_grad]
    found = autograd.grad(
        [z for z, _ in roots], [a for a, _ in variables], [minigrad.tensor(s) for s in seeds], materialize_grads=True
    )
    expected = torch.autograd.grad(
        [z for _, z in roots], [b for _, b in variables], [torch.from_numpy(s) for s in seeds], materialize_grads=True
    )
    for g, same in zip(found, expected, strict=True):
        np.testing.assert_allclose(g.data, same.numpy(), rtol=rtol, atol=1e-11)


X = draw(3, 4)
CUBE = draw(2, 3, 4)
POSITIVE = draw(3, 4, low=0.2)
TIES = np.array([[1.0, 3.0, 3.0, 2.0], [0.0, 0.0, -1.0, 0.0], [5.0, 5.0, 5.0, 5.0]])
MISSING = np.array([[1.0, nan, 3.0], [inf, 2.0, -inf], [nan, nan, 0.0]])
ROWS = np.array([[2, 0, 0, 1], [1, 1, 1, 1]])
EMPTY = draw(0, 3)

CASES: dict[str, tuple[Callable, list[np.ndarray]]] = {
    # the largest, the smallest, the middle
    "max of all shares the gradient among ties": (lambda t, x: t.max(x), [TIES]),
    "min of all shares the gradient among ties": (lambda t, x: t.min(x), [TIES]),
    "amax shares the gradient among ties": (lambda t, x: t.amax(x, 1), [TIES]),
    "amin over two dims shares it too": (lambda t, x: t.amin(x, (0, 1), keepdim=True), [TIES]),
    "max along a dim sends it to the index": (lambda t, x: tuple(t.max(x, 1)), [TIES]),
    "min along a dim sends it to the index": (lambda t, x: tuple(t.min(x, 1, keepdim=True)), [TIES]),
    "max of two tensors": (lambda t, x, y: t.max(x, y), [TIES, TIES[:, ::-1].copy()]),
    "min of two tensors": (lambda t, x, y: x.min(y), [TIES, TIES[0]]),
    "maximum halves the gradient of a tie": (lambda t, x: t.maximum(x, x.detach()), [X]),
    "max finds NaN": (lambda t, x: tuple(t.max(x, 1)), [MISSING]),
    "max of a 0-d tensor": (lambda t, x: tuple(x.max(0)), [draw()]),
    "max of bools": (lambda t, x: tuple(t.max(x, 0)), [X > 0]),
    "argmax takes the first": (lambda t, x: (t.argmax(x), t.argmax(x, 1), t.argmin(x, 0, keepdim=True)), [TIES]),
    "argmax finds NaN": (lambda t, x: (t.argmax(x, 1), t.argmin(x, 1)), [MISSING]),
    "argmax of no rows": (lambda t, x: t.argmax(x, 1), [EMPTY]),
    "median of all": (lambda t, x: t.median(x), [X]),
    "median of all shares the gradient among ties": (lambda t, x: t.median(x), [TIES]),
    "median along a dim": (lambda t, x: tuple(t.median(x, 1)), [X]),
    "median along a dim, kept": (lambda t, x: tuple(x.median(dim=0, keepdim=True)), [CUBE]),
    "median with NaN": (lambda t, x: (t.median(x), t.median(x, 1).values), [MISSING]),
    "sort": (lambda t, x: tuple(t.sort(x)), [X]),
    "sort along dim 0, downwards": (lambda t, x: tuple(t.sort(x, 0, descending=True)), [X]),
    "sort is stable": (lambda t, x: tuple(t.sort(x, dim=1, stable=True)), [TIES]),
    "sort downwards is stable": (lambda t, x: tuple(t.sort(x, dim=1, descending=True, stable=True)), [TIES]),
    "sort puts NaN last": (lambda t, x: t.sort(x, dim=1).values, [MISSING]),
    "sort downwards puts NaN first": (lambda t, x: t.sort(x, dim=1, descending=True).values, [MISSING]),
    "sort of a 0-d tensor": (lambda t, x: tuple(t.sort(x)), [draw()]),
    "topk": (lambda t, x: tuple(t.topk(x, 2)), [X]),
    "topk of the smallest along dim 0": (lambda t, x: tuple(x.topk(2, 0, largest=False)), [X]),
    "topk of none": (lambda t, x: tuple(t.topk(x, 0)), [X]),
    "argsort": (lambda t, x: t.argsort(x, dim=1, descending=True, stable=True), [TIES]),
    # sums, products, spread
    "an empty dim is all dims": (lambda t, x: (x.sum(dim=()), x.mean(dim=()), x.amax(dim=()), x.norm(dim=())), [X]),
    "sum of bools and bytes is int64": (lambda t, x, y: (x.sum(), y.sum(0)), [X > 0, np.arange(3, dtype=np.uint8)]),
    "sum in another dtype": (lambda t, x: x.sum(0, dtype=t.float32), [X]),
    "mean of nothing is NaN": (lambda t, x: x.mean(), [EMPTY]),
    "var and std, unbiased or not": (lambda t, x: (x.var(), x.var(1, unbiased=False), x.std(0, correction=2)), [X]),
    "var over two dims": (lambda t, x: t.var(x, dim=(0, 2), correction=0, keepdim=True), [CUBE]),
    "std of equal elements has gradient 0": (lambda t, x: x.std(1), [TIES]),
    "prod with one zero": (lambda t, x: (t.prod(x), t.prod(x, 1)), [TIES[:2]]),
    "prod with several zeros": (lambda t, x: (x.prod(), x.prod(0, keepdim=True)), [np.zeros((2, 3))]),
    "prod of integers": (lambda t, x: (x.prod(), x.prod(1)), [ROWS]),
    "cumprod with zeros": (lambda t, x: t.cumprod(x, 1), [TIES]),
    "cumsum of integers": (lambda t, x: t.cumsum(x, 1), [ROWS]),
    "cumsum of bools": (lambda t, x: x.cumsum(0), [X > 0]),
    "logsumexp of large numbers": (lambda t, x: t.logsumexp(x * 1000, 1), [X]),
    "logsumexp over two dims": (lambda t, x: t.logsumexp(x, (0, 2), keepdim=True), [CUBE]),
    "logsumexp of integers": (lambda t, x: t.logsumexp(x, 1), [ROWS]),
    "logsumexp of -inf among others": (lambda t, x: x.logsumexp(0), [np.array([-inf, 0.5, 1.0])]),
    "all and any": (lambda t, x: (x.all(), x.any(1), t.all(x, 0, keepdim=True), t.any(x, (0, 1))), [X > 0]),
    "all of nothing": (lambda t, x: (t.all(x), t.any(x), t.all(x, 1)), [EMPTY]),
    # norms
    "norm": (lambda t, x: (t.norm(x), x.norm(1), t.norm(x, 3, 1), t.norm(x, inf, 0, keepdim=True)), [X]),
    "norm at 0 has gradient 0": (lambda t, x: (t.norm(x), t.norm(x, 1), t.norm(x, 3), t.norm(x, 1.5)), [np.zeros(3)]),
    "norm shares among equal maxima": (lambda t, x: (t.norm(x, inf), t.norm(x, -inf)), [np.array([2.0, -2, 1, 1])]),
    "norm of some zeros": (lambda t, x: (t.norm(x, 0.5), t.norm(x, 0), t.norm(x, 2)), [np.array([0.0, 4.0, -1.0])]),
    "linalg.norm without ord": (lambda t, x: (t.linalg.norm(x), t.linalg.norm(x, dim=(0, 1))), [CUBE]),
    "linalg.norm of a vector": (lambda t, x: (t.linalg.norm(x, 3), t.linalg.norm(x, -1), t.linalg.norm(x, 0)), [X[0]]),
    "linalg.norm of a matrix": (
        lambda t, x: tuple(t.linalg.norm(x, p) for p in ("fro", "nuc", inf, -inf, 1, -1, 2, -2)),
        [X],
    ),
    "linalg.norm along a dim": (lambda t, x: t.linalg.norm(x, 1, dim=1, keepdim=True), [X]),
    "linalg.matrix_norm of a batch": (
        lambda t, x: tuple(t.linalg.matrix_norm(x, p, dim=(0, 2), keepdim=True) for p in ("fro", "nuc", 1, -inf)),
        [CUBE],
    ),
    "linalg.vector_norm": (lambda t, x: t.linalg.vector_norm(x, 2.5, dim=(0, 2)), [CUBE]),
    # powers, rounding, choices
    "0 to the 0 is 1 and flat": (lambda t, x: (x**0, x**0.0, 0**x, t.pow(x, x)), [np.array([0.0, 1.0, 2.0])]),
    "0 to a positive tensor": (lambda t, x, y: x**y, [np.zeros(3), np.array([0.0, 1.0, 2.5])]),
    "a negative base": (lambda t, x: (x**2, x**3, x**-1, x**2.0), [np.array([-2.0, -0.5])]),
    "a negative base to a fraction is NaN": (lambda t, x: x**0.5, [np.array([-2.0, 4.0])]),
    "a root at 0 has an infinite slope": (lambda t, x: (t.sqrt(x), x**0.5), [np.array([0.0, 1.0])]),
    "a number to a tensor": (lambda t, x: (2**x, 3.0**x, t.pow(0.5, x)), [X]),
    "abs, sign and relu at 0": (lambda t, x: (t.abs(x), t.sign(x), t.relu(x)), [np.array([-1.0, 0.0, 2.0])]),
    "half to even": (lambda t, x: t.round(x), [np.array([0.5, 1.5, 2.5, -0.5, -1.5])]),
    "remainder has the sign of the divisor": (
        lambda t, x, y: (x % y, t.remainder(x, 3), 7 % y.detach()),
        [np.array([7.0, -7.0, 7.0, -7.0]), np.array([3.0, 3.0, -3.0, -3.0])],
    ),
    "remainder and quotient of integers": (
        lambda t, x, y: (x % y, x // y, t.div(x, y, rounding_mode="trunc"), t.div(x, y, rounding_mode="floor")),
        [np.array([7, -7, 7, -7]), np.array([3, 3, -3, -3])],
    ),
    "trunc and floor of a quotient": (
        lambda t, x, y: (t.div(x, y, rounding_mode="trunc"), x.div(y, rounding_mode="floor")),
        [X, POSITIVE],
    ),
    "division by 0": (lambda t, x: (x / 0, 1 / x, t.remainder(x, 0.0)), [np.array([1.0, -1.0, 0.0])]),
    "clamp with numbers": (lambda t, x: (t.clamp(x, -1, 1), x.clamp(min=0.5), x.clamp(max=0)), [X]),
    "clamp with tensors": (lambda t, x, a, b: t.clamp(x, a, b), [X, draw(4) - 1, draw(4) + 1]),
    "clamp with one tensor": (lambda t, x, a: (t.clamp(x, min=a), t.clamp(x, max=a)), [X, draw(4)]),
    "clamp at its bounds": (lambda t, x: t.clamp(x, 0, 3), [TIES]),
    "clamp with bounds the wrong way round": (lambda t, x, a, b: t.clamp(x, a, b), [X, draw(4) + 1, draw(4) - 1]),
    "clamp of integers": (lambda t, x: (x.clamp(1), x.clamp(0.5, 1.5)), [ROWS]),
    "where": (lambda t, x: (t.where(x > 0, x, 0.0), t.where(x > 0, 1.0, x), x.where(x < 0, x * 2)), [X]),
    "masked_fill": (lambda t, x: (x.masked_fill(x > 0, -inf), t.masked_fill(x, x > 1, 0)), [X]),
    "masked_fill with a tensor": (lambda t, x, v: x.masked_fill(x > 0, v), [X, draw()]),
    "lerp": (lambda t, x, y, w: (t.lerp(x, y, 0.3), x.lerp(y, w)), [X, CUBE[0], POSITIVE]),
    "addcmul and addcdiv": (lambda t, x, y: (t.addcmul(x, y, y, value=2), x.addcdiv(x, y, value=-0.5)), [X, POSITIVE]),
    "add and sub with alpha": (lambda t, x, y: (t.add(x, y, alpha=3), x.sub(y, alpha=0.5)), [X, draw(4)]),
    "logical": (
        lambda t, x, y: (t.logical_and(x, y), t.logical_or(x, y), t.logical_xor(x, y), t.logical_not(x)),
        [TIES, X],
    ),
    "bits": (lambda t, x: (x & 1, x | 4, x ^ 3, ~x, ~(x > 1), (x > 0) & (x < 2)), [ROWS]),
    # shapes
    "view and reshape": (lambda t, x: (x.view(-1), x.reshape(2, 6), t.reshape(x, (4, -1)), x.view((2, 2, 3))), [X]),
    "flatten": (lambda t, x: (x.flatten(), t.flatten(x, 1), x.flatten(0, 1), x.flatten(-2, -1)), [CUBE]),
    "flatten of a 0-d tensor": (lambda t, x: t.flatten(x), [draw()]),
    "unflatten": (lambda t, x: (x.unflatten(1, (2, -1)), t.unflatten(x, -1, (2, 1, 2))), [X]),
    "transpose": (lambda t, x: (x.transpose(0, 2), t.transpose(x, -1, 1), x.mT, x.permute(2, 0, 1)), [CUBE]),
    "T and t": (lambda t, x: (x.T, x.t(), x[0].t(), t.permute(x, (1, 0))), [X]),
    "movedim": (lambda t, x: (t.movedim(x, 0, 2), x.movedim((0, 1), (-1, 0)), t.movedim(x, (2, 0), (0, 1))), [CUBE]),
    "squeeze": (
        lambda t, x: (
            x.squeeze(),
            x.squeeze(0),
            x.squeeze(1),
            t.squeeze(x, (0, 2)),
            x.unsqueeze(-1),
            t.unsqueeze(x, 1),
        ),
        [draw(1, 3, 1)],
    ),
    "expand": (lambda t, x: (x.expand(2, 3, 4), x.expand(-1, 4), t.broadcast_to(x, (2, 3, 4))), [draw(3, 1)]),
    "repeat and tile": (lambda t, x: (x.repeat(2, 1), x.repeat(2, 1, 3), t.tile(x, (2,)), x.tile((2, 1, 1))), [X]),
    "repeat no times": (lambda t, x: x.repeat(0, 2), [X]),
    "cat": (lambda t, x, y: (t.cat([x, y]), t.cat((x, x), 1), t.cat([x, y], dim=-2)), [X, draw(2, 4)]),
    "cat with an empty vector": (lambda t, x: t.cat([t.zeros(0, dtype=t.float64), x], 1), [X]),
    "cat of two dtypes": (lambda t, x, y: t.cat([x, y]), [X, ROWS]),
    "stack": (lambda t, x, y: (t.stack([x, y]), t.stack([x, y], 1), t.stack((x, y, x), -1)), [X, POSITIVE]),
    "split": (lambda t, x: (*t.split(x, 3, 1), *x.split([1, 0, 2]), *t.split(x, 10)), [X]),
    "split of an empty dim": (lambda t, x: t.split(x, 2), [EMPTY]),
    "chunk": (lambda t, x: (*t.chunk(x, 3, 1), *x.chunk(2), *x.chunk(7, 0)), [X]),
    "unbind": (lambda t, x: (*t.unbind(x), *x.unbind(-1)), [X]),
    "iteration": (lambda t, x: [row.sum() for row in x], [X]),
    "flip and roll": (lambda t, x: (x.flip(0), t.flip(x, (0, 1)), x.roll(1), t.roll(x, (1, -2), (0, 1))), [X]),
    "triangles": (lambda t, x: (t.tril(x), x.triu(1), t.tril(x, -1), x.triu(diagonal=-2)), [CUBE]),
    "diagonal": (lambda t, x: (x.diagonal(), t.diagonal(x, 1, 0, 2), x.diagonal(-1, dim1=1, dim2=2)), [CUBE]),
    "trace": (lambda t, x: (t.trace(x), x.trace()), [X]),
    # products
    "products": (
        lambda t, x, y: (x @ y, t.mm(x, y), x.matmul(y), x.mv(y[:, 0]), t.dot(x[0], y[:, 1])),
        [X, draw(4, 2)],
    ),
    "bmm and outer": (
        lambda t, x, y: (t.bmm(x, y), t.outer(x[0, 0], y[0, 0]), x[0, 0].outer(y[0, :, 0])),
        [CUBE, draw(2, 4, 5)],
    ),
    "products of integers": (lambda t, x: (x @ x.T, t.einsum("ij,kj->ik", x, x)), [ROWS]),
    "einsum of a matrix": (
        lambda t, x: tuple(t.einsum(e, x) for e in ("ii", "ii->i", "ij->ji", "ji", "ij->", "ij->j", "...j->...", "ij")),
        [draw(3, 3)],
    ),
    "einsum of two": (
        lambda t, x, y: tuple(
            t.einsum(e, x, y)
            for e in ("ij,jk", "ij,jk->ik", "ij,jk->ki", "ij, jk -> ijk", "ij,jk->", "ij,jk->k", "ij,kl->ljik")
        ),
        [X, draw(4, 4)],
    ),
    "einsum of batches": (
        lambda t, x, y: tuple(
            t.einsum(e, x, y) for e in ("bij,bkj->bik", "bij,bkj", "...ij,...kj->...ik", "bij,bij->b")
        ),
        [CUBE, draw(2, 3, 4, seed=1)],
    ),
    "einsum with dots of different lengths": (
        lambda t, x, y: (
            t.einsum("...ij,jk->...ik", x, y),
            t.einsum("i...,...->i...", x, x[0]),
            t.einsum("...,...", x, y[:, 0]),
        ),
        [CUBE, draw(4, 2)],
    ),
    "einsum repeats lengths of 1": (
        lambda t, x, y: (t.einsum("ij,jk", x, y), t.einsum("i...,i...", x, y.T[:3]), t.einsum("ij,ij->i", x, y.T[:3])),
        [draw(3, 1), draw(4, 3)],
    ),
    "einsum of three and four": (
        lambda t, x, y, z: (
            t.einsum("ij,jk,kl->il", x, y, z),
            t.einsum("ij,jk,kl", x, y, z),
            t.einsum("ij,jk,kl,il->j", x, y, z, x @ y @ z),
            t.einsum("bn,anm,bm->ba", x, t.stack([y, y * 2]), y[:3]),
        ),
        [X, draw(4, 5), draw(5, 2)],
    ),
    "einsum of diagonals": (
        lambda t, x, y: (
            t.einsum("iij,jk->ik", x, y),
            t.einsum("iij->ji", x),
            t.einsum("iii->i", x[:, :, :2]),
            t.einsum("ii...->...", x),
        ),
        [draw(2, 2, 3), draw(3, 2)],
    ),
    "einsum of a list, an outer product, scalars": (
        lambda t, x: (t.einsum("i,j", [x, x]), t.einsum("i,->i", x, x[0]), t.einsum(",", x[0], x[1])),
        [draw(3)],
    ),
    "einsum of nothing": (lambda t, x: (t.einsum("ij,kj->ik", x, x), t.einsum("ij->j", x)), [EMPTY]),
    # by index
    "gather": (lambda t, x, i: (t.gather(x, 0, i), x.gather(1, i), x.gather(-1, i[:, :1])), [X, ROWS]),
    "scatter": (
        lambda t, x, i, s: (t.scatter(x, 0, i[:1], s), x.scatter(1, i[:1, :1], 2.5), x.scatter(0, i, value=1)),
        [X, ROWS, draw(1, 4)],
    ),
    "scatter_add": (lambda t, x, i, s: (t.scatter_add(x, 0, i, s), x.scatter_add(1, i, s)), [X, ROWS, draw(2, 4)]),
    "index_select": (lambda t, x, i: (t.index_select(x, 0, i), x.index_select(-1, i)), [X, np.array([2, 0, 0])]),
    "take_along_dim": (
        lambda t, x, i: (t.take_along_dim(x, i, 0), x.take_along_dim(i[:, :1], 1), t.take_along_dim(x, i)),
        [X, np.array([[2, 0, 0, 1], [1, 1, 1, 1], [0, 0, 0, 0]])],
    ),
    "clone and contiguous": (lambda t, x: (x.clone(), x.T.contiguous(), t.clone(x)), [X]),
    "softmax": (lambda t, x: (x.softmax(1), t.softmax(x, 0), x.log_softmax(-1)), [X]),
    "isclose and allclose": (lambda t, x: t.isclose(x, x + 1e-9 * x), [MISSING]),
}


@pytest.mark.parametrize("claim", CASES)
def test_result_and_gradient_are_those_of_pytorch(claim):
    expression, arrays = CASES[claim]
    agree(expression, *arrays)


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
def test_pad_is_that_of_pytorch(mode):
    for shape, widths in [((1, 2, 5), (2, 3)), ((1, 2, 4, 5), (1, 2, 3, 0)), ((2, 3, 4, 4, 3), (1, 2, 0, 1, 2, 2))]:
        agree(
            lambda t, x, w=widths: (minigrad if t is minigrad else torch.nn.functional).pad(x, w, mode=mode),
            draw(*shape),
        )
    if mode == "constant":
        agree(lambda t, x: (minigrad if t is minigrad else torch.nn.functional).pad(x, (1, -2, -1, 3), value=0.5), X)
    else:
        agree(
            lambda t, x: (minigrad if t is minigrad else torch.nn.functional).pad(x, (-1, 2), mode=mode), draw(1, 2, 5)
        )


def test_logsumexp_of_infinities_is_infinite_and_the_gradient_of_minus_infinity_is_0():
    assert minigrad.logsumexp(minigrad.tensor([[-inf, -inf], [inf, 1.0]]), 1).tolist() == [-inf, inf]
    x = minigrad.tensor([[-inf, -inf], [0.0, -inf]], requires_grad=True)
    minigrad.logsumexp(x, 1).backward(minigrad.ones(2))
    assert x.grad.tolist() == [[0.0, 0.0], [1.0, 0.0]]


def test_max_along_a_dim_gives_named_results():
    values, indices = result = minigrad.max(minigrad.tensor([[1.0, 5.0], [4.0, 2.0]]), dim=1)
    assert result.values is values
    assert result.indices is indices
    assert values.tolist() == [5.0, 4.0]
    assert indices.tolist() == [1, 0]


def test_scatter_reads_only_the_part_of_its_source_that_the_index_covers():
    source = minigrad.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    z = minigrad.zeros(1, 3).scatter(1, minigrad.tensor([[2, 0]]), source)
    assert z.tolist() == [[2.0, 0.0, 1.0]]
    z.sum().backward()
    assert source.grad.tolist() == [[1.0, 1.0], [0.0, 0.0]]


def test_a_quotient_rounded_down_has_no_gradient():
    x = minigrad.tensor([7.0, -7.0], requires_grad=True)
    assert (x // 2).tolist() == [3.0, -4.0]
    assert not (x // 2).requires_grad
    assert (-7 // minigrad.tensor([2])).tolist() == [-4]


def test_scatter_gives_the_gradient_to_the_element_that_stayed():
    source = minigrad.tensor([1.0, 2.0, 3.0], requires_grad=True)
    z = minigrad.zeros(2).scatter(0, minigrad.tensor([1, 1, 0]), source)
    assert z.tolist() == [3.0, 2.0]
    z.sum().backward()
    assert source.grad.tolist() == [0.0, 1.0, 1.0]


def test_erf_is_exact_to_the_last_digits():
    x = np.concatenate([np.linspace(-7, 7, 20001), np.logspace(-300, 0, 500), [0.46875, 4.0, 6.0, 0.0, inf, -inf]])
    expected = np.array([math.erf(value) for value in x])
    np.testing.assert_allclose(erf(x), expected, rtol=6e-16, atol=0)
    np.testing.assert_allclose(erf(x.astype(np.float32)), expected, rtol=1e-6, atol=1e-44)
    assert math.isnan(erf(np.array(nan)))


def test_equal_and_allclose_answer_with_a_bool():
    x = minigrad.tensor([1.0, nan])
    assert minigrad.equal(x, x) is False
    assert minigrad.equal(x[:1], minigrad.tensor([1.0])) is True
    assert minigrad.equal(x, x[:1]) is False
    assert minigrad.allclose(x, x) is False
    assert minigrad.allclose(x, x, equal_nan=True) is True
    assert x[:1].allclose(minigrad.tensor([1.00001]), rtol=1e-4)
    assert not x[:1].allclose(minigrad.tensor([1.001]))


def test_a_flipped_or_cloned_tensor_has_its_own_memory():
    x = minigrad.tensor([1.0, 2.0])
    for copy in (x.flip(0), x.clone(), x.roll(2), x.tril() if x.ndim > 1 else x.clone()):
        copy.zero_()
    assert x.tolist() == [1.0, 2.0]
