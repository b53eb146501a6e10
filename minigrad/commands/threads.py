"""How many threads a command uses: those of the kernels and those of numpy's matrix products."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import minigrad

__all__ = ["limited"]


@contextlib.contextmanager
def limited(threads: int | None) -> Iterator[None]:
    """Use at most so many threads inside the `with` block; None changes nothing.

    The kernels give the same bits for any number of threads. The BLAS that numpy calls for matrix products does not
    promise that: where it divides a product among threads, the last bits of some sizes change.

    Raises
    ------
    ArgumentError
        There are fewer processors than that.
    """
    if threads is None:
        yield
        return
    from threadpoolctl import threadpool_limits

    before = minigrad.get_num_threads()
    minigrad.set_num_threads(threads)
    try:
        with threadpool_limits(threads, user_api="blas"):
            yield
    finally:
        minigrad.set_num_threads(before)
