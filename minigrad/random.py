"""Random numbers: one seed makes every run the same.

Everything random in minigrad (initialisation, shuffling, dropout) draws from a `Generator`, by default from the one
that `manual_seed` sets. The stream is numpy's PCG64, so a seed gives the same numbers on every machine.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.errors import ArgumentError
from minigrad.ops.promotion import default_dtype
from minigrad.tensor import Tensor, _sizes

__all__ = ["Generator", "default_generator", "manual_seed", "rand", "randint", "randn", "randperm"]


class Generator:
    """A stream of random numbers.

    Parameters
    ----------
    seed : int, optional
        Without one, it is drawn from the operating system.

    Attributes
    ----------
    numpy : numpy.random.Generator
        The stream itself, for code that draws arrays.

    Examples
    --------
    >>> a, b = Generator(7), Generator().manual_seed(7)
    >>> a.numpy.integers(100) == b.numpy.integers(100)
    True
    """

    def __init__(self, seed: int | None = None) -> None:
        self.manual_seed(np.random.SeedSequence().entropy if seed is None else seed)  # type: ignore[arg-type]

    def manual_seed(self, seed: int) -> Generator:
        """Start the stream of `seed` from its beginning."""
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
            raise ArgumentError(f"manual_seed: expected a non-negative integer, got {seed!r}.")
        self._seed = int(seed)
        self.numpy = np.random.Generator(np.random.PCG64(self._seed))
        return self

    def initial_seed(self) -> int:
        return self._seed

    def get_state(self) -> dict[str, Any]:
        """Where the stream stands, as plain integers and strings."""
        return {"seed": self._seed, **self.numpy.bit_generator.state}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from where `get_state` was called."""
        state = dict(state)
        try:
            seed = state.pop("seed")
            fresh = np.random.Generator(np.random.PCG64(seed))
            fresh.bit_generator.state = state
        except (KeyError, TypeError, ValueError) as error:
            raise ArgumentError(f"set_state: expected what get_state() returned, got a broken state ({error}).") from None
        self._seed, self.numpy = seed, fresh

    def __repr__(self) -> str:
        return f"Generator(seed={self._seed})"


default_generator = Generator()


def manual_seed(seed: int) -> Generator:
    """Start the default generator anew, and return it."""
    return default_generator.manual_seed(seed)


def rand(*size: Any, generator: Generator | None = None, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Uniform numbers in [0, 1)."""
    stream = (generator or default_generator).numpy
    return Tensor(stream.random(_sizes(size)), dtype or default_dtype, requires_grad)


def randn(*size: Any, generator: Generator | None = None, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Numbers from the normal distribution of mean 0 and variance 1."""
    stream = (generator or default_generator).numpy
    return Tensor(stream.standard_normal(_sizes(size)), dtype or default_dtype, requires_grad)


def randint(low: int, high: Any = None, size: Any = None, generator: Generator | None = None, dtype: Any = None) -> Tensor:
    """Integers from `low` (0 where only `high` is given) up to and without `high`."""
    if size is None:
        low, high, size = 0, low, high
    if low >= high:
        raise ArgumentError(f"randint: expected low < high, got {low} and {high}.")
    stream = (generator or default_generator).numpy
    return Tensor(stream.integers(low, high, _sizes((size,))), dtype)


def randperm(n: int, generator: Generator | None = None) -> Tensor:
    """The integers 0 to n-1 in random order."""
    return Tensor((generator or default_generator).numpy.permutation(n))
