"""Random numbers: one seed makes every run the same.

Everything random in minigrad (initialisation, shuffling, dropout) draws from a `Generator`, by default from the one
that `manual_seed` sets. The stream is numpy's PCG64, so a seed gives the same numbers on every machine.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.creation import lengths, made
from minigrad.errors import ArgumentError, DTypeError
from minigrad.graph import Variable
from minigrad.ops.promotion import as_dtype, default_dtype
from minigrad.tensor import Tensor

__all__ = [
    "Generator",
    "bernoulli",
    "default_generator",
    "manual_seed",
    "rand",
    "rand_like",
    "randint",
    "randint_like",
    "randn",
    "randn_like",
    "randperm",
]


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
    >>> bool(a.numpy.integers(100) == b.numpy.integers(100))
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
            raise ArgumentError(
                f"set_state: expected what get_state() returned, got a broken state ({error})."
            ) from None
        self._seed, self.numpy = seed, fresh

    def __repr__(self) -> str:
        return f"Generator(seed={self._seed})"


default_generator = Generator()


def manual_seed(seed: int) -> Generator:
    """Start the default generator anew, and return it.

    Examples
    --------
    >>> _ = manual_seed(0)
    >>> first = rand(3)
    >>> _ = manual_seed(0)
    >>> bool((rand(3) == first).all())
    True
    """
    return default_generator.manual_seed(seed)


def _stream(generator: Generator | None) -> np.random.Generator:
    return (generator or default_generator).numpy


def rand(
    *size: Any, generator: Generator | None = None, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Uniform numbers in [0, 1).

    Examples
    --------
    >>> x = rand(2, 3, generator=Generator(0))
    >>> x.shape, bool((x >= 0).all()), bool((x < 1).all())
    ((2, 3), True, True)
    """
    array = np.asarray(_stream(generator).random(lengths(size, "rand")))
    # Rounding to a shorter dtype can reach 1, which is not in the range.
    kind = as_dtype(dtype or default_dtype)
    if kind.kind != "f":
        raise DTypeError(f"rand: expected a floating-point dtype, got {kind.name}.")
    below_one = np.nextafter(kind.type(1), kind.type(0))
    return made(np.minimum(array.astype(kind), below_one), None, device, requires_grad)


def randn(
    *size: Any, generator: Generator | None = None, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Numbers from the normal distribution of mean 0 and variance 1.

    Examples
    --------
    >>> x = randn(10_000, generator=Generator(0))
    >>> abs(x.mean().item()) < 0.05, abs(x.var().item() - 1) < 0.05
    (True, True)
    """
    array = np.asarray(_stream(generator).standard_normal(lengths(size, "randn")))
    return made(array, dtype or default_dtype, device, requires_grad)


def randint(
    low: int = 0,
    high: Any = None,
    size: Any = None,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
) -> Tensor:
    """Integers from `low` (0 where only `high` is given) up to and without `high`.

    Examples
    --------
    >>> randint(10, (3,)).shape, randint(5, 10, (3,)).shape
    ((3,), (3,))
    """
    if size is None:
        low, high, size = 0, low, high
    elif high is None:
        low, high = 0, low
    if size is None or not low < high:
        raise ArgumentError(f"randint: expected low < high and a size, got low={low}, high={high}, size={size}.")
    array = np.asarray(_stream(generator).integers(low, high, lengths((size,), "randint")))
    return made(array, dtype, device, False)


def randperm(n: int, generator: Generator | None = None, dtype: Any = None, device: Any = None) -> Tensor:
    """The integers 0 to n-1 in random order.

    Examples
    --------
    >>> randperm(4, Generator(0)).tolist()
    [2, 0, 1, 3]
    >>> sorted(randperm(4).tolist())
    [0, 1, 2, 3]
    """
    return made(_stream(generator).permutation(n), dtype, device, False)


def bernoulli(x: Variable, generator: Generator | None = None) -> Tensor:
    """1 with the probability that each element of x gives, else 0; in the dtype of x.

    Examples
    --------
    >>> bernoulli(Tensor([0.0, 1.0]))
    tensor([0., 1.])
    """
    p = x._data
    if p.dtype.kind != "f":
        raise DTypeError(f"bernoulli: expected floating-point probabilities, got {p.dtype.name}.")
    if not np.all((p >= 0) & (p <= 1)):
        raise ArgumentError("bernoulli: expected probabilities from 0 to 1.")
    return made(np.asarray(_stream(generator).random(p.shape) < p), p.dtype, None, False)


def rand_like(
    x: Variable, generator: Generator | None = None, dtype: Any = None, requires_grad: bool = False
) -> Tensor:
    """Uniform numbers in [0, 1) in the shape and dtype of x.

    Examples
    --------
    >>> rand_like(Tensor([[1.0, 2.0]])).shape
    (1, 2)
    """
    return rand(x.shape, generator=generator, dtype=dtype or x.dtype, requires_grad=requires_grad)


def randn_like(
    x: Variable, generator: Generator | None = None, dtype: Any = None, requires_grad: bool = False
) -> Tensor:
    """Normal numbers in the shape and dtype of x.

    Examples
    --------
    >>> randn_like(Tensor([[1.0, 2.0]])).shape
    (1, 2)
    """
    return randn(x.shape, generator=generator, dtype=dtype or x.dtype, requires_grad=requires_grad)


def randint_like(
    x: Variable, low: int = 0, high: Any = None, generator: Generator | None = None, dtype: Any = None
) -> Tensor:
    """Integers from `low` (0 where only `high` is given) up to and without `high`, in the shape and dtype of x.

    Examples
    --------
    >>> x = randint_like(Tensor([1, 2, 3]), 10)
    >>> x.dtype, bool((x < 10).all())
    (dtype('int64'), True)
    """
    return randint(low, high, x.shape, generator, dtype or x.dtype)
