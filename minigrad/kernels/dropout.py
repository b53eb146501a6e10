"""Dropout: which elements stay is a function of a key and of their number, so threads need no common state.

A counter-based generator is a good hash: Philox-4x32-10 turns a block number of 128 bits, under a key of 64 bits, into
four words that nobody can tell from random ones. The element 256 q + 64 i + j of a tensor is decided by word i of block
64 q + j, so that the blocks of a stretch are hashed side by side in vectors; it is dropped if that word is below
p 2^32. The elements of an image (N, C, H, W) are numbered with the channels of a pixel side by side, as convolutions
leave them in memory, those of other tensors as they are printed: the memory layout does not decide who stays.

The way back reads one byte for each element that the way there wrote. Hashing again would need no memory, but measured
three times as long (0.42 against 0.13 ns an element on one core; the hash in 10 rounds, 64 blocks at a time).

`philox` is the plain twin: the same words from numpy, for the tests and where compiling is disabled.

References
----------
J. K. Salmon, M. A. Moraes, R. O. Dror and D. E. Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011,
https://doi.org/10.1145/2063384.2063405
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from minigrad.kernels.jit import jit_disabled, tasks_if, threads_if

__all__ = ["dropout", "keep_mask", "masked_scale", "philox"]

ROUNDS = 10
MULTIPLIERS = 0xD2511F53, 0xCD9E8D57
KEY_STEPS = 0x9E3779B9, 0xBB67AE85
# Blocks that are hashed side by side; each gives four elements.
SIDE_BY_SIDE = 64

# Elements from which a second thread saves more than waking it costs, at most 15 microseconds: so many take 16 on one
# core.
_PARALLEL_FROM = 40_000
_LOW = np.uint64(0xFFFFFFFF)


def philox(counter: np.ndarray, key: tuple[int, int], rounds: int = ROUNDS) -> np.ndarray:
    """Philox-4x32: four words for each counter.

    A round multiplies two words of the state to 64 bits, and mixes high halves, the other words and the key:
    (c0, c1, c2, c3) -> (high(c2 M1) ^ c1 ^ k0, low(c2 M1), high(c0 M0) ^ c3 ^ k1, low(c0 M0)); then the key moves on.

    Parameters
    ----------
    counter : ndarray of shape (..., 4), uint32
    key : two integers of 32 bits
    rounds : int

    Returns
    -------
    ndarray of shape (..., 4), uint32

    Examples
    --------
    The first of the authors' known answers:

    >>> [f"{int(word):08x}" for word in philox(np.zeros(4, np.uint32), (0, 0))]
    ['6627e8d5', 'e169c58d', 'bc57ac4c', '9b00dbd8']
    """
    c0, c1, c2, c3 = np.moveaxis(counter.astype(np.uint64), -1, 0)
    k0, k1 = key
    m0, m1 = map(np.uint64, MULTIPLIERS)
    shift = np.uint64(32)
    for _ in range(rounds):
        product0, product1 = c0 * m0, c2 * m1
        c0, c1, c2, c3 = (
            (product1 >> shift) ^ c1 ^ np.uint64(k0),
            product1 & _LOW,
            (product0 >> shift) ^ c3 ^ np.uint64(k1),
            product0 & _LOW,
        )
        k0, k1 = (k0 + KEY_STEPS[0]) & 0xFFFFFFFF, (k1 + KEY_STEPS[1]) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3], -1).astype(np.uint32)


def keep_mask(shape: tuple[int, ...], p: float, key: int) -> np.ndarray:
    """1 where an element stays, 0 where it is dropped, which happens with probability p (rounded to 2^-32).

    Parameters
    ----------
    shape : tuple of int
    p : float in [0, 1]
    key : integer of 64 bits

    Returns
    -------
    uint8 ndarray of `shape`; of an image, in channels-last memory
    """
    mask = _empty(shape, np.uint8)
    dense = _dense(mask)
    if p == 1:
        dense[...] = 0
    elif jit_disabled():
        stretches = -(-dense.size // (4 * SIDE_BY_SIDE))
        block = np.arange(stretches * SIDE_BY_SIDE, dtype=np.uint64)
        counter = np.stack([block & _LOW, block >> np.uint64(32), block * 0, block * 0], -1)
        words = philox(counter, _halves(key)).reshape(stretches, SIDE_BY_SIDE, 4).swapaxes(1, 2)
        dense.reshape(-1)[:] = words.reshape(-1)[: dense.size] >= _threshold(p)
    elif dense.size:
        _run("keep", _plan(dense.size, p, key), _NONE, _NONE, dense)
    return mask


def dropout(x: np.ndarray, p: float, key: int) -> tuple[np.ndarray, np.ndarray]:
    """y = x / (1 - p) where an element stays, else 0.

    Parameters
    ----------
    x : ndarray, floating point
    p : float in [0, 1]
    key : integer of 64 bits

    Returns
    -------
    y : ndarray of the shape of x
    mask : uint8 ndarray of that shape
        For `masked_scale`, which is the way back too.
    """
    if p == 1 or not _fast(x) or not x.size:
        mask = keep_mask(x.shape, p, key)
        return masked_scale(x, mask, _scale(p)), mask
    y, mask = _empty(x.shape, np.float32), _empty(x.shape, np.uint8)
    _run("dropped", _plan(x.size, p, key), _dense(x), np.full(1, _scale(p), np.float32), _dense(mask), _dense(y))
    return y, mask


def masked_scale(x: np.ndarray, mask: np.ndarray, scale: float) -> np.ndarray:
    """y = scale x where the mask is 1, else 0; it is its own gradient.

    Examples
    --------
    >>> masked_scale(np.array([1.0, np.nan]), np.array([1, 0], np.uint8), 2.0)
    array([2., 0.])
    """
    if not _fast(x) or not x.size:
        return np.where(mask != 0, x * x.dtype.type(scale), x.dtype.type(0))
    y = _empty(x.shape, np.float32)
    _run("masked", _plan(x.size, 0.0, 0), _dense(x), np.full(1, scale, np.float32), _dense(mask), _dense(y))
    return y


_NONE = np.empty(0, np.float32)


def _scale(p: float) -> float:
    return 0.0 if p == 1 else 1 / (1 - p)


def _threshold(p: float) -> int:
    """Words below it drop their element."""
    return min(round(p * 2**32), 2**32 - 1)


def _halves(key: int) -> tuple[int, int]:
    return key & 0xFFFFFFFF, key >> 32


def _plan(size: int, p: float, key: int) -> np.ndarray:
    tasks = tasks_if(size >= _PARALLEL_FROM)
    return np.array([tasks, size, *_halves(key), _threshold(p)], np.int64)


def _run(
    name: str, plan: np.ndarray, x: np.ndarray, scale: np.ndarray, mask: np.ndarray, y: np.ndarray = _NONE
) -> None:
    kernels = _vectors()
    x, scale, mask, y = (array.reshape(1, 1, 1, -1) for array in (x, scale, mask, y))
    tasks = int(plan[0])
    kernels.run(getattr(kernels, name), tasks, plan, _NONE, x, scale, y, mask, workers=threads_if(tasks > 1))


@functools.cache
def _vectors() -> Any:
    """The compiled kernels, whose import brings Numba with it."""
    from minigrad.kernels import dropout_vector

    return dropout_vector


def _fast(x: np.ndarray) -> bool:
    return x.dtype == np.float32 and not jit_disabled()


def _dense(x: np.ndarray) -> np.ndarray:
    """x without gaps, in the order in which elements are numbered; a copy only if it is not so already."""
    return np.ascontiguousarray(np.moveaxis(x, 1, -1) if x.ndim == 4 else x)


def _empty(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """An array of that shape that `_dense` need not copy."""
    if len(shape) != 4:
        return np.empty(shape, dtype)
    return np.moveaxis(np.empty((shape[0], *shape[2:], shape[1]), dtype), -1, 1)
