"""What `generator=` means everywhere in this package."""

from __future__ import annotations

import operator

import numpy as np

from minigrad.errors import ArgumentError, DTypeError
from minigrad.random import Generator, default_generator

__all__ = ["as_generator", "numpy_generator"]


def as_generator(generator: int | Generator | None) -> Generator:
    """The generator that an argument `generator=` stands for.

    Parameters
    ----------
    generator : int, minigrad.Generator or None
        A seed makes a generator of its own; a generator is used, and advanced, as it is; None is the default
        generator, which `minigrad.manual_seed` sets.

    Returns
    -------
    minigrad.Generator

    Raises
    ------
    DTypeError
        `generator` is something else.
    ArgumentError
        The seed is negative.
    """
    if generator is None:
        return default_generator
    if isinstance(generator, Generator):
        return generator
    try:
        seed = operator.index(generator)
    except TypeError:
        raise DTypeError(
            f"generator: expected an int seed, a minigrad.Generator or None, got {type(generator).__name__}. "
            "Pass a seed such as generator=0."
        ) from None
    if seed < 0:
        raise ArgumentError(f"generator: expected a seed of at least 0, got {seed}. Pass a seed such as 0.")
    return Generator(seed)


def numpy_generator(generator: int | Generator | np.random.Generator | None) -> np.random.Generator:
    """The numpy generator behind `generator=`; one of numpy's own is passed through."""
    return generator if isinstance(generator, np.random.Generator) else as_generator(generator).numpy
