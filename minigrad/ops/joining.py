"""Several tensors into one, and one into several."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.errors import ArgumentError, DTypeError, ShapeError
from minigrad.graph import Variable, op
from minigrad.ops.index import getitem
from minigrad.ops.promotion import promote
from minigrad.ops.samples import Sample, draw, strided
from minigrad.ops.shape import integers, unsqueeze, wrap_dim

__all__ = ["cat", "chunk", "concatenate", "split", "stack", "unbind"]


def _along(dim: int, part: Any) -> tuple:
    """The index of a part along `dim`, whole along the dimensions before it."""
    return (*(slice(None),) * dim, part)


@op(prepare=promote)
def concatenate(*xs: np.ndarray, dim: int) -> tuple:
    """z = x_1, x_2, ... one after the other along `dim`"""
    return np.concatenate(xs, axis=dim), {"lengths": [x.shape[dim] for x in xs]}


@concatenate.vjp
def concatenate(g: Any, _z: Any, *_xs: Any, dim: int, lengths: list[int]) -> tuple:
    ends = itertools.accumulate(lengths)
    parts = [slice(end - length, end) for length, end in zip(lengths, ends, strict=True)]
    return tuple((lambda part=part: getitem(g, index=_along(dim, part))) for part in parts)


@concatenate.sampled
def _concatenate_samples() -> list[Sample]:
    cases: list[tuple[int, list[tuple[int, ...]]]] = [
        (0, [(3,)]),
        (0, [(3,), (2,), (1,)]),
        (1, [(2, 3), (2, 1)]),
        (0, [(2, 3), (0, 3), (1, 3)]),
        (2, [(2, 1, 3), (2, 1, 2)]),
    ]
    made = [Sample(*(draw(*s, seed=i) for i, s in enumerate(shapes)), dim=dim) for dim, shapes in cases]
    return [*made, Sample(strided(draw(2, 3)), draw(3, 2).T, dim=0)]


def cat(tensors: Sequence[Any], dim: int = 0) -> Any:
    """The tensors one after the other along a dimension that they have; all other lengths are the same.

    Examples
    --------
    >>> import minigrad
    >>> minigrad.cat([minigrad.zeros(2, 1), minigrad.ones(2, 2)], dim=1)
    tensor([[0., 1., 1.],
            [0., 1., 1.]])
    """
    given = _several(tensors, "cat")
    # An empty vector joins anything, as in PyTorch: it is what a loop that appends begins with.
    joined = [x for x in given if x.shape != (0,)] or given[:1]
    dim = wrap_dim(dim, len(joined[0].shape), "cat")
    rest = {(*x.shape[:dim], *x.shape[dim + 1 :]) for x in joined}
    if len(rest) > 1 or not joined[0].shape or len({len(x.shape) for x in joined}) > 1:
        shapes = ", ".join(str(x.shape) for x in given)
        raise ShapeError(f"cat: expected shapes that are equal but for dimension {dim}, got {shapes}.")
    return concatenate(*joined, dim=dim)


def stack(tensors: Sequence[Any], dim: int = 0) -> Any:
    """Tensors of one shape side by side along a new dimension.

    Examples
    --------
    >>> import minigrad
    >>> minigrad.stack([minigrad.tensor([1, 2]), minigrad.tensor([3, 4])], dim=1)
    tensor([[1, 3],
            [2, 4]])
    """
    given = _several(tensors, "stack")
    if len({x.shape for x in given}) > 1:
        raise ShapeError(f"stack: expected tensors of one shape, got {', '.join(str(x.shape) for x in given)}.")
    place = wrap_dim(dim, len(given[0].shape) + 1, "stack")
    return concatenate(*(unsqueeze(x, place) for x in given), dim=place)


def split(x: Any, split_size_or_sections: int | Sequence[int], dim: int = 0) -> tuple:
    """Views of x along `dim`, of one length each (the last may be shorter), or of the lengths that are listed."""
    dim = wrap_dim(dim, len(x.shape), "split")
    n = _length(x, dim, "split")
    if isinstance(split_size_or_sections, int):
        size = split_size_or_sections
        if size < 0 or (size == 0 and n > 0):
            raise ArgumentError(f"split: expected a positive length, got {size}.")
        starts = range(0, n, size) if n else [0]
        return tuple(getitem(x, index=_along(dim, slice(start, start + size))) for start in starts)
    lengths = integers((tuple(split_size_or_sections),))
    ends = list(itertools.accumulate(lengths))
    if min(lengths, default=0) < 0 or (ends[-1] if ends else 0) != n:
        raise ShapeError(f"split: the lengths {lengths} do not add up to {n}, dimension {dim} of shape {x.shape}.")
    return tuple(
        getitem(x, index=_along(dim, slice(end - length, end))) for length, end in zip(lengths, ends, strict=True)
    )


def chunk(x: Any, chunks: int, dim: int = 0) -> tuple:
    """At most `chunks` views of x along `dim`, all of one length but for the last."""
    if chunks < 1:
        raise ArgumentError(f"chunk: expected at least 1 chunk, got {chunks}.")
    dim = wrap_dim(dim, len(x.shape), "chunk")
    n = _length(x, dim, "chunk")
    return split(x, -(-n // chunks), dim) if n else (x,) * chunks


def unbind(x: Any, dim: int = 0) -> tuple:
    """The slices of x along `dim`, without that dimension."""
    dim = wrap_dim(dim, len(x.shape), "unbind")
    return tuple(getitem(x, index=_along(dim, i)) for i in range(_length(x, dim, "unbind")))


def _length(x: Any, dim: int, name: str) -> int:
    if not x.shape:
        raise ShapeError(f"{name}: expected at least one dimension, got a 0-d tensor.")
    return x.shape[dim]


def _several(tensors: Sequence[Any], name: str) -> list:
    given = list(tensors) if isinstance(tensors, list | tuple) else []
    if not given or not all(isinstance(x, Variable) for x in given):
        raise DTypeError(f"{name}: expected a list of at least one Tensor, got {tensors!r:.60}.")
    return given
