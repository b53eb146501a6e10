"""Memory for the kernels: images whose channels lie side by side, and scratch that is kept from call to call."""

from __future__ import annotations

import threading

import numpy as np

__all__ = ["dense_image", "empty_image", "workspace"]


def empty_image(shape: tuple[int, int, int, int], dtype: np.typing.DTypeLike) -> np.ndarray:
    """An uninitialised (N, C, H, W) array in channels-last memory: the channels of a pixel are neighbours.

    Examples
    --------
    >>> empty_image((2, 3, 8, 8), np.float32).strides
    (768, 4, 96, 12)
    """
    n, c, h, w = shape
    return np.empty((n, h, w, c), dtype).transpose(0, 3, 1, 2)


def dense_image(x: np.ndarray) -> np.ndarray:
    """The (N, C, H, W) array in channels-last memory without gaps: x itself, or a copy."""
    if x.transpose(0, 2, 3, 1).flags.c_contiguous:
        return x
    copy = empty_image(x.shape, x.dtype)
    copy[...] = x
    return copy


class _Workspace(threading.local):
    """One scratch buffer for each Python thread, so that kernels may run in several at once."""

    def __init__(self) -> None:
        self.buffer = np.empty(1 << 16, np.float32)


_workspace = _Workspace()


def workspace(length: int) -> np.ndarray:
    """At least `length` float32 numbers of scratch memory, with anything in it; valid until the next call.

    It grows and is never given back: taking fresh pages from the operating system at each step would cost
    more time than many of the kernels do.
    """
    if _workspace.buffer.size < length:
        _workspace.buffer = np.empty(length, np.float32)
    return _workspace.buffer
