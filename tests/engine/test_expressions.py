"""Random expressions of up to 12 operations: value, gradient and second derivative are PyTorch's.

hypothesis draws a program: some inputs, then steps, each an operation on values that exist by then. The same program
runs in minigrad and in PyTorch. A step is left out where the operation does not fit the shapes, or where it would
come so close to a kink or a pole that the last digits decide.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import minigrad
from minigrad import autograd

torch = pytest.importorskip("torch")

SHAPES = [(), (1,), (3,), (2, 3), (2, 1), (1, 3), (3, 3), (2, 2, 3), (2, 3, 2), (0, 3), (2, 0)]
MOST_STEPS, MOST_ELEMENTS, LARGEST = 12, 150, 30.0


def far(x: np.ndarray, low: float = 0.05) -> bool:
    """No element is near 0."""
    return bool((np.abs(x) > low).all())


def apart(x: np.ndarray) -> bool:
    """No two elements of a row are nearly equal."""
    return x.ndim > 0 and bool((np.diff(np.sort(x, -1), axis=-1) > 1e-3).all())


def within(x: np.ndarray, low: float, high: float) -> bool:
    return bool(((x > low) & (x < high)).all())


# name: (the operation with t as minigrad or torch, k a small number; where it may be used)
ONE: dict[str, tuple[Callable, Callable]] = {
    "neg": (lambda t, x, k: -x, lambda x: True),
    "exp": (lambda t, x, k: t.exp(x), lambda x: within(x, -5, 3)),
    "exp2": (lambda t, x, k: t.exp2(x), lambda x: within(x, -5, 4)),
    "expm1": (lambda t, x, k: t.expm1(x), lambda x: within(x, -5, 3)),
    "log": (lambda t, x, k: t.log(x), lambda x: within(x, 0.05, 99)),
    "log2": (lambda t, x, k: t.log2(x), lambda x: within(x, 0.05, 99)),
    "log10": (lambda t, x, k: t.log10(x), lambda x: within(x, 0.05, 99)),
    "log1p": (lambda t, x, k: t.log1p(x), lambda x: within(x, -0.9, 99)),
    "sqrt": (lambda t, x, k: t.sqrt(x), lambda x: within(x, 0.05, 99)),
    "rsqrt": (lambda t, x, k: x.rsqrt(), lambda x: within(x, 0.1, 99)),
    "reciprocal": (lambda t, x, k: 1 / x, lambda x: far(x, 0.1)),
    "square": (lambda t, x, k: t.square(x), lambda x: True),
    "power": (lambda t, x, k: x ** (k + 1), lambda x: within(x, -3, 3)),
    "fraction": (lambda t, x, k: x ** (0.5 * k), lambda x: within(x, 0.05, 9)),
    "base": (lambda t, x, k: (k + 1.5) ** x, lambda x: within(x, -3, 3)),
    "abs": (lambda t, x, k: t.abs(x), far),
    "relu": (lambda t, x, k: t.relu(x), far),
    "sin": (lambda t, x, k: t.sin(x), lambda x: True),
    "cos": (lambda t, x, k: t.cos(x), lambda x: True),
    "tan": (lambda t, x, k: t.tan(x), lambda x: within(x, -1.3, 1.3)),
    "asin": (lambda t, x, k: t.asin(x), lambda x: within(x, -0.9, 0.9)),
    "acos": (lambda t, x, k: t.acos(x), lambda x: within(x, -0.9, 0.9)),
    "atan": (lambda t, x, k: t.atan(x), lambda x: True),
    "sinh": (lambda t, x, k: t.sinh(x), lambda x: within(x, -3, 3)),
    "cosh": (lambda t, x, k: t.cosh(x), lambda x: within(x, -3, 3)),
    "tanh": (lambda t, x, k: t.tanh(x), lambda x: True),
    "erf": (lambda t, x, k: t.erf(x), lambda x: True),
    "sigmoid": (lambda t, x, k: t.sigmoid(x), lambda x: True),
    "clamp": (
        lambda t, x, k: t.clamp(x, -0.5 * k, 1.0),
        lambda x: far(x + 0.5) and far(x - 1) and far(x) and far(x + 1),
    ),
    "scale": (lambda t, x, k: 2.5 - x * (k - 1), lambda x: True),
    "sum": (lambda t, x, k: x.sum(k % x.ndim) if x.ndim else x.sum(), lambda x: True),
    "sum of all": (lambda t, x, k: x.sum(), lambda x: True),
    "mean": (lambda t, x, k: x.mean(k % x.ndim, keepdim=True), lambda x: x.ndim > 0 and x.size > 0),
    "var": (lambda t, x, k: x.var(-1), lambda x: x.ndim > 0 and x.size > 0 and x.shape[-1] > 1),
    "std": (lambda t, x, k: x.std(-1, keepdim=True), lambda x: apart(x) and x.size > 0 and x.shape[-1] > 1),
    "logsumexp": (lambda t, x, k: x.logsumexp(k % x.ndim), lambda x: x.ndim > 0 and x.size > 0),
    "softmax": (lambda t, x, k: x.softmax(k % x.ndim), lambda x: x.ndim > 0 and x.size > 0),
    "norm": (lambda t, x, k: x.norm(), lambda x: x.size > 0 and far(x)),
    "prod": (lambda t, x, k: x.prod(k % x.ndim), lambda x: x.ndim > 0 and within(x, -3, 3)),
    "cumsum": (lambda t, x, k: x.cumsum(k % x.ndim), lambda x: x.ndim > 0),
    "cumprod": (lambda t, x, k: x.cumprod(k % x.ndim), lambda x: x.ndim > 0 and within(x, -3, 3)),
    "amax": (lambda t, x, k: x.amax(-1), lambda x: apart(x) and x.size > 0),
    "min": (lambda t, x, k: x.min(-1).values, lambda x: apart(x) and x.size > 0),
    "sort": (lambda t, x, k: t.sort(x, -1, descending=k > 1).values, apart),
    "topk": (lambda t, x, k: x.topk(1).values, lambda x: apart(x) and x.size > 0),
    "median": (lambda t, x, k: x.median(-1).values, lambda x: apart(x) and x.size > 0),
    "T": (lambda t, x, k: t.permute(x, tuple(range(x.ndim))[::-1]), lambda x: True),
    "row": (lambda t, x, k: x.reshape(-1), lambda x: True),
    "unsqueeze": (lambda t, x, k: x.unsqueeze(k % (x.ndim + 1)), lambda x: x.ndim < 4),
    "squeeze": (lambda t, x, k: x.squeeze(), lambda x: True),
    "expand": (lambda t, x, k: x.expand(2, *x.shape), lambda x: x.ndim < 4),
    "repeat": (lambda t, x, k: t.tile(x, (2, *[1] * x.ndim)), lambda x: x.ndim < 4),
    "flip": (lambda t, x, k: t.flip(x, (k % x.ndim,)), lambda x: x.ndim > 0),
    "roll": (lambda t, x, k: t.roll(x, k, 0), lambda x: x.ndim > 0),
    "tril": (lambda t, x, k: t.tril(x, k - 1), lambda x: x.ndim > 1),
    "diagonal": (lambda t, x, k: t.diagonal(x), lambda x: x.ndim > 1),
    "part": (lambda t, x, k: x[..., 1:], lambda x: x.ndim > 0),
    "picked": (lambda t, x, k: x[[0, 0, -1]], lambda x: x.ndim > 0 and len(x) > 0),
    "chosen": (lambda t, x, k: x[x.detach() > 0], far),
    "chunk": (lambda t, x, k: x.chunk(2, -1)[0], lambda x: x.ndim > 0 and x.size > 0),
}
TWO: dict[str, tuple[Callable, Callable]] = {
    "add": (lambda t, x, y, k: x + y, lambda x, y: True),
    "sub": (lambda t, x, y, k: x - y, lambda x, y: True),
    "mul": (lambda t, x, y, k: x * y, lambda x, y: True),
    "div": (lambda t, x, y, k: x / y, lambda x, y: far(y, 0.1)),
    "pow": (lambda t, x, y, k: x**y, lambda x, y: within(x, 0.1, 4) and within(y, -3, 3)),
    "maximum": (lambda t, x, y, k: t.maximum(x, y), lambda x, y: far(x - y, 1e-3)),
    "minimum": (lambda t, x, y, k: t.minimum(x, y), lambda x, y: far(x - y, 1e-3)),
    "where": (lambda t, x, y, k: t.where(x.detach() > y.detach(), x, y * 2), lambda x, y: far(x - y, 1e-3)),
    "lerp": (lambda t, x, y, k: t.lerp(x, y, 0.25 * k), lambda x, y: True),
    "addcmul": (lambda t, x, y, k: t.addcmul(x, x, y, value=0.5), lambda x, y: True),
    "matmul": (lambda t, x, y, k: x @ y, lambda x, y: x.ndim > 0 and y.ndim > 0),
    "outer": (lambda t, x, y, k: t.outer(x, y), lambda x, y: x.ndim == y.ndim == 1),
    "einsum": (lambda t, x, y, k: t.einsum("...i,ij->j...", x, y), lambda x, y: x.ndim > 0 and y.ndim == 2),
    "cat": (lambda t, x, y, k: t.cat([x, y], 0), lambda x, y: x.ndim == y.ndim > 0 and x.shape[1:] == y.shape[1:]),
    "stack": (lambda t, x, y, k: t.stack([y, x], -1), lambda x, y: x.shape == y.shape and x.ndim < 4),
}

steps = st.tuples(
    st.sampled_from(sorted(ONE) + sorted(TWO) * 3), st.integers(0, 99), st.integers(0, 99), st.integers(0, 3)
)
programs = st.tuples(
    st.lists(st.sampled_from(SHAPES), min_size=1, max_size=3),
    st.lists(steps, min_size=10, max_size=25),
    st.integers(0, 2**32 - 1),
)


def step(values: list[Any], name: str, i: int, j: int, k: int) -> tuple[Callable, list[int]] | None:
    """The operation and the places of its operands, the last values first; None where it does not fit."""
    places = [len(values) - 1 - n % len(values) for n in (i, j)][: 1 if name in ONE else 2]
    operation, fits = ONE[name] if name in ONE else TWO[name]

    def run(t: Any, pool: list[Any]) -> Any:
        return operation(t, *(pool[place] for place in places), k)

    try:
        if not fits(*(values[place].data for place in places)):
            return None
        z = run(minigrad, values)
    except ValueError:  # shapes that cannot be broadcast against each other
        return None
    fine = z.data.size <= MOST_ELEMENTS and z.ndim <= 5 and (np.abs(z.data) < LARGEST).all()
    return (run, places) if fine else None


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.filter_too_much])
@given(programs)
def test_random_expressions_have_the_value_and_the_derivatives_of_pytorch(program):
    shapes, drawn, seed = program
    rng = np.random.default_rng(seed)
    arrays = [np.asarray(rng.uniform(-2, 2, shape)) for shape in shapes]
    ours: list[Any] = [minigrad.tensor(a, requires_grad=True) for a in arrays]
    theirs: list[Any] = [torch.from_numpy(a.copy()).requires_grad_() for a in arrays]
    for name, i, j, k in drawn:
        found = step(ours, name, i, j, k) if len(ours) < len(shapes) + MOST_STEPS else None
        if found is not None:
            ours.append(found[0](minigrad, ours))
            theirs.append(found[0](torch, theirs))
    assume(len(ours) > len(shapes))

    for z, expected in zip(ours, theirs, strict=True):
        assert z.shape == tuple(expected.shape)
        np.testing.assert_allclose(z.data, expected.detach().numpy(), rtol=1e-9, atol=1e-9)

    g = np.asarray(rng.standard_normal(ours[-1].shape))
    leaves, leaves_ = ours[: len(shapes)], theirs[: len(shapes)]
    first = autograd.grad(ours[-1], leaves, minigrad.tensor(g), create_graph=True, materialize_grads=True)
    first_ = in_torch(theirs[-1], leaves_, torch.from_numpy(g))
    same(first, first_)

    v = [np.asarray(rng.standard_normal(a.shape)) for a in arrays]
    phi = sum((gx * minigrad.tensor(d)).sum() for gx, d in zip(first, v, strict=True))
    phi_ = sum((gx * torch.from_numpy(d)).sum() for gx, d in zip(first_, v, strict=True))
    assert phi.requires_grad or not phi_.requires_grad or not any((t != 0).any() for t in in_torch(phi_, leaves_))
    if phi.requires_grad and phi_.requires_grad:
        same(autograd.grad(phi, leaves, materialize_grads=True), in_torch(phi_, leaves_))


def in_torch(root: Any, leaves: list[Any], g: Any = None) -> list[Any]:
    """The gradients in PyTorch, zeros where there is none."""
    found = torch.autograd.grad(root, leaves, g, create_graph=True, allow_unused=True)
    # The sum also gives memory to the zeros that PyTorch keeps without any.
    zeros = [torch.zeros(leaf.shape, dtype=leaf.dtype) for leaf in leaves]
    return [zero if f is None else zero + f for f, zero in zip(found, zeros, strict=True)]


def same(ours: tuple, theirs: list[Any]) -> None:
    """Equal to nine digits of the largest number among them: what is ill-conditioned has fewer."""
    scale = max([1.0, *(float(t.detach().abs().max()) for t in theirs if t.numel())])
    assume(scale < 1e5)
    for g, expected in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(g.data, expected.detach().numpy(), rtol=1e-9, atol=1e-9 * scale)


def test_every_operation_of_the_table_is_reached():
    rng = np.random.default_rng(0)
    reached = set()
    for _ in range(3000):
        values = [
            minigrad.tensor(np.asarray(rng.uniform(0.06, 0.9, SHAPES[n]))) for n in rng.integers(0, len(SHAPES), 2)
        ]
        name = [*ONE, *TWO][rng.integers(0, len(ONE) + len(TWO))]
        if step(values, name, 0, 1, int(rng.integers(0, 4))):
            reached.add(name)
    assert reached == ONE.keys() | TWO.keys()
