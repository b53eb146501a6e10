"""Elements moved to other places, repeated, or left out: flip, roll, tile, triangles, diagonals, padding."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.errors import ArgumentError, DimError, ShapeError
from minigrad.graph import op
from minigrad.ops.index import getitem
from minigrad.ops.samples import Sample, draw, strided
from minigrad.ops.shape import expand, integers, reshape, wrap_dim, wrap_dims

__all__ = ["constant_pad", "diagonal", "diagonal_zeros", "flip", "pad", "repeat", "roll", "tile", "tril", "triu"]


@op
def flip(x: np.ndarray, /, dims: int | tuple[int, ...]) -> np.ndarray:
    """z = x in reverse order along `dims`"""
    axes = wrap_dims(dims, x.ndim, "flip")
    return (np.flip(x, axes) if x.ndim else x).copy()


@flip.vjp
def flip(g: Any, _z: Any, _x: Any, dims: int | tuple[int, ...]) -> tuple:
    return (flip(g, dims=dims),)


@flip.sampled
def _flip_samples() -> list[Sample]:
    cases: list[tuple[tuple[int, ...], Any]] = [
        ((), ()),
        ((4,), 0),
        ((3, 2), (0, 1)),
        ((2, 1, 3), -1),
        ((0, 3), (1,)),
    ]
    return [Sample(draw(*shape), dims=dims) for shape, dims in cases] + [Sample(strided(draw(3, 4)), dims=[0])]


@op
def roll(x: np.ndarray, /, shifts: int | tuple[int, ...], dims: int | tuple[int, ...] | None = None) -> np.ndarray:
    """z_i = x_(i - shift), round the end to the beginning; without `dims` as if x were one long row"""
    if dims is None:
        if not isinstance(shifts, int) and len(shifts) != 1:
            raise ArgumentError(f"roll: several shifts need as many dims, got shifts={shifts} and no dims.")
        return np.roll(x, shifts)
    axes = wrap_dims(dims, x.ndim, "roll") if x.ndim else ()
    if (1 if isinstance(shifts, int) else len(shifts)) != (1 if isinstance(dims, int) else len(dims)):
        raise ArgumentError(f"roll: expected as many shifts as dims, got shifts={shifts} and dims={dims}.")
    return np.roll(x, shifts, axes) if axes else x.copy()


@roll.vjp
def roll(g: Any, _z: Any, _x: Any, shifts: Any, dims: Any = None) -> tuple:
    back = -shifts if isinstance(shifts, int) else tuple(-n for n in shifts)
    return (roll(g, shifts=back, dims=dims),)


@roll.sampled
def _roll_samples() -> list[Sample]:
    cases: list[tuple[tuple[int, ...], Any, Any]] = [
        ((), 1, None),
        ((4,), 1, 0),
        ((3, 2), 4, None),
        ((3, 4), (1, -2), (0, 1)),
        ((0, 3), 1, 1),
        ((2, 1, 3), -5, -1),
    ]
    made = [Sample(draw(*shape), shifts=shifts, dims=dims) for shape, shifts, dims in cases]
    return [*made, Sample(strided(draw(3, 4)), shifts=2, dims=1)]


def _matrix(x: np.ndarray, name: str) -> None:
    if x.ndim < 2:
        raise ShapeError(f"{name}: expected at least two dimensions, got shape {x.shape}.")


@op
def tril(x: np.ndarray, /, diagonal: int = 0) -> np.ndarray:
    """z_ij = x_ij where j - i <= diagonal, else 0: the lower triangle of each matrix"""
    _matrix(x, "tril")
    return np.tril(x, diagonal)


@tril.vjp
def tril(g: Any, _z: Any, _x: Any, diagonal: int = 0) -> tuple:
    return (tril(g, diagonal=diagonal),)


@op
def triu(x: np.ndarray, /, diagonal: int = 0) -> np.ndarray:
    """z_ij = x_ij where j - i >= diagonal, else 0: the upper triangle of each matrix"""
    _matrix(x, "triu")
    return np.triu(x, diagonal)


@triu.vjp
def triu(g: Any, _z: Any, _x: Any, diagonal: int = 0) -> tuple:
    return (triu(g, diagonal=diagonal),)


def _triangle_samples() -> list[Sample]:
    cases: list[tuple[tuple[int, ...], int]] = [
        ((3, 3), 0),
        ((2, 4), 1),
        ((4, 2), -1),
        ((2, 3, 3), 0),
        ((0, 3), 0),
        ((3, 0), 2),
    ]
    return [Sample(draw(*s), diagonal=k) for s, k in cases] + [Sample(strided(draw(3, 4)), diagonal=-1)]


tril.sampled(_triangle_samples)
triu.sampled(_triangle_samples)


def _two_dims(shape: tuple[int, ...], dim1: int, dim2: int) -> tuple[int, int]:
    if len(shape) < 2:
        raise ShapeError(f"diagonal: expected at least two dimensions, got shape {shape}.")
    first, second = wrap_dim(dim1, len(shape), "diagonal"), wrap_dim(dim2, len(shape), "diagonal")
    if first == second:
        raise DimError(f"diagonal: expected two different dimensions, got dim1={dim1} and dim2={dim2}.")
    return first, second


@op
def diagonal(x: np.ndarray, /, offset: int = 0, dim1: int = 0, dim2: int = 1) -> np.ndarray:
    """z_i = x_(i, i + offset) over the dimensions dim1, dim2; i is the last dimension of z"""
    return x.diagonal(offset, *_two_dims(x.shape, dim1, dim2))


@diagonal.vjp
def diagonal(g: Any, _z: Any, _x: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> tuple:
    return (diagonal_zeros(g, shape=_x.shape, offset=offset, dim1=dim1, dim2=dim2),)


@op
def diagonal_zeros(
    x: np.ndarray, /, shape: tuple[int, ...], offset: int = 0, dim1: int = 0, dim2: int = 1
) -> np.ndarray:
    """z = zeros of `shape`, with x on its diagonal"""
    z = np.zeros(shape, x.dtype)
    first, second = _two_dims(shape, dim1, dim2)
    i = np.arange(x.shape[-1])
    rows, columns = i + max(-offset, 0), i + max(offset, 0)
    np.moveaxis(z, (first, second), (-2, -1))[..., rows, columns] = x
    return z


@diagonal_zeros.vjp
def diagonal_zeros(
    g: Any, _z: Any, _x: Any, shape: tuple[int, ...], offset: int = 0, dim1: int = 0, dim2: int = 1
) -> tuple:
    return (diagonal(g, offset=offset, dim1=dim1, dim2=dim2),)


_DIAGONALS: list[tuple[tuple[int, ...], dict[str, int]]] = [
    ((3, 3), {}),
    ((2, 4), {"offset": 1}),
    ((4, 2), {"offset": -2}),
    ((2, 3, 4), {"offset": 1, "dim1": -1, "dim2": 0}),
    ((2, 3, 3), {"dim1": 1, "dim2": 2}),
    ((0, 3), {}),
]


@diagonal.sampled
def _diagonal_samples() -> list[Sample]:
    return [Sample(draw(*shape), **how) for shape, how in _DIAGONALS] + [Sample(strided(draw(3, 4)), offset=2)]


@diagonal_zeros.sampled
def _diagonal_zeros_samples() -> list[Sample]:
    parts = [(diagonal(draw(*shape), **how).shape, shape, how) for shape, how in _DIAGONALS]
    return [Sample(draw(*part), shape=shape, **how) for part, shape, how in parts]


@op
def constant_pad(x: np.ndarray, /, widths: tuple[tuple[int, int], ...], value: float = 0) -> np.ndarray:
    """z = x with `value` around it: (before, after) for each dimension; a negative width cuts off"""
    shape = tuple(n + before + after for n, (before, after) in zip(x.shape, widths, strict=True))
    if min(shape, default=0) < 0:
        raise ShapeError(f"pad: widths {widths} cut off more than shape {x.shape} has.")
    z = np.full(shape, value, x.dtype)
    overlap = [
        range(max(before, 0), min(before + n, m)) for n, m, (before, _) in zip(x.shape, shape, widths, strict=True)
    ]
    inside = tuple(slice(r.start, max(r.stop, r.start)) for r in overlap)
    z[inside] = x[
        tuple(slice(s.start - before, s.stop - before) for s, (before, _) in zip(inside, widths, strict=True))
    ]
    return z


@constant_pad.vjp
def constant_pad(g: Any, _z: Any, _x: Any, widths: tuple[tuple[int, int], ...], value: float = 0) -> tuple:
    return (constant_pad(g, widths=tuple((-before, -after) for before, after in widths)),)


@constant_pad.sampled
def _constant_pad_samples() -> list[Sample]:
    cases: list[tuple[tuple[int, ...], Any]] = [
        ((), ()),
        ((4,), ((1, 2),)),
        ((3, 2), ((0, 0), (2, 1))),
        ((4, 3), ((-1, 1), (2, -2))),
        ((0, 3), ((1, 1), (0, 0))),
    ]
    return [Sample(draw(*s), widths=w, value=0.5) for s, w in cases] + [
        Sample(strided(draw(2, 3)), widths=((1, 0), (0, 1)))
    ]


def pad(x: Any, pad: tuple[int, ...], mode: str = "constant", value: float | None = None) -> Any:
    """x with a border.

    Parameters
    ----------
    x : Tensor
    pad : tuple of ints
        (before, after) of the last dimension, then of the one before it, and so on. A negative width cuts off.
    mode : {'constant', 'reflect', 'replicate', 'circular'}
        What the border holds: `value`; x mirrored at its edge, without repeating it; the element at the edge; x from
        the other side.
    value : float, optional
        For 'constant'; 0 by default.

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.pad.html

    Examples
    --------
    >>> import minigrad
    >>> minigrad.pad(minigrad.tensor([1, 2, 3]), (2, 1), mode="reflect")
    tensor([3, 2, 1, 2, 3, 2])
    """
    widths = integers((tuple(pad),))
    ndim = len(x.shape)
    if len(widths) % 2 or len(widths) > 2 * ndim:
        raise ArgumentError(f"pad: expected (before, after) for at most {ndim} dimensions of {x.shape}, got {widths}.")
    last_first = list(zip(widths[::2], widths[1::2], strict=True))
    if mode == "constant":
        kept = [(0, 0)] * (ndim - len(last_first))
        return constant_pad(x, widths=(*kept, *last_first[::-1]), value=0 if value is None else value)
    if mode not in ("reflect", "replicate", "circular"):
        raise ArgumentError(f"pad: expected mode 'constant', 'reflect', 'replicate' or 'circular', got {mode!r}.")
    if value is not None:
        raise ArgumentError(f"pad: value is for mode 'constant', got value={value} with {mode!r}.")
    for dim, (before, after) in enumerate(last_first, start=1):
        n = x.shape[ndim - dim]
        most = {"reflect": n - 1, "circular": n, "replicate": math.inf if n else 0}[mode]
        if before > most or after > most or n + before + after <= 0:
            raise ShapeError(f"pad: widths {before, after} are too large to {mode} a length of {n}, shape {x.shape}.")
        places = np.arange(-before, n + after)
        if mode == "reflect":
            places = n - 1 - np.abs(n - 1 - np.abs(places))
        elif mode == "replicate":
            places = places.clip(0, n - 1)
        else:  # what a negative width cuts off does not come back on the other side
            first, last = max(-before, 0), n - max(-after, 0)
            places = first + (places - first) % (last - first)
        x = getitem(x, index=(*(slice(None),) * (ndim - dim), places))
    return x


def repeat(x: Any, *sizes: Any) -> Any:
    """x side by side `sizes[i]` times along dimension i; more sizes than dimensions add dimensions in front."""
    times = integers(sizes)
    if len(times) < len(x.shape) or min(times, default=0) < 0:
        raise ShapeError(
            f"repeat: expected at least {len(x.shape)} counts for shape {x.shape}, none negative, got {times}."
        )
    lengths = (1,) * (len(times) - len(x.shape)) + x.shape
    # (n, ...) -> (1, n, ...) -> (times, n, ...) -> (times * n, ...)
    apart = reshape(x, tuple(m for n in lengths for m in (1, n)))
    wide = expand(apart, tuple(m for pair in zip(times, lengths, strict=True) for m in pair))
    return reshape(wide, tuple(t * n for t, n in zip(times, lengths, strict=True)))


def tile(x: Any, *dims: Any) -> Any:
    """Like `repeat`, but fewer counts than dimensions are for the last dimensions.

    Examples
    --------
    >>> import minigrad
    >>> minigrad.tile(minigrad.tensor([[1, 2]]), (2,))
    tensor([[1, 2, 1, 2]])
    """
    times = integers(dims)
    return repeat(x, (1,) * (len(x.shape) - len(times)) + times)
