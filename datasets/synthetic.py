"""Small problems made from a seed: to see what an optimizer or a network does where the answer is known.

Each function returns a TensorDataset of float32 inputs and of labels (int64) or targets (float32). `generator` is
a seed, a minigrad.Generator, or None for the default generator; the same seed gives the same data.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from minigrad.datasets.dataset import TensorDataset
from minigrad.datasets.seeding import as_generator
from minigrad.errors import ArgumentError
from minigrad.random import Generator

__all__ = ["adding_problem", "blobs", "circles", "linear_regression", "moons", "sine", "spirals", "xor"]


def linear_regression(
    samples: int = 200,
    features: int = 1,
    *,
    noise: float = 0.1,
    weight: Sequence[float] | np.ndarray | None = None,
    bias: float = 0.0,
    generator: int | Generator | None = None,
) -> TensorDataset:
    """y = x w + b + noise e, with x and e drawn from a standard normal distribution.

    Parameters
    ----------
    samples, features : int
        How many samples N, and how many inputs F each has.
    noise : float, default 0.1
        Standard deviation of what is added to y; no model has a smaller expected squared error than its square.
    weight : sequence of float, optional
        w, of shape (F,); drawn from a standard normal distribution if not given. Pass it to know it.
    bias : float, default 0.0
        b.
    generator : int, minigrad.Generator or None
        The seed.

    Returns
    -------
    TensorDataset
        x (N, F) and y (N, 1).

    Examples
    --------
    >>> data = linear_regression(50, 2, weight=[2.0, -1.0], noise=0.0, generator=0)
    >>> x, y = data.tensors
    >>> bool(np.allclose(x.numpy() @ [2.0, -1.0], y.numpy()[:, 0], atol=1e-5))
    True
    """
    rng = _begin("linear_regression", samples, noise, generator)
    _at_least("linear_regression", "features", features, 1)
    w = rng.standard_normal(features) if weight is None else np.asarray(weight, np.float64)
    if w.shape != (features,):
        raise ArgumentError(
            f"linear_regression: expected a weight of shape ({features},), got {w.shape}. Pass one number per feature."
        )
    x = rng.standard_normal((samples, features))
    y = x @ w + bias + noise * rng.standard_normal(samples)
    return _regression(x, y[:, None])


def sine(
    samples: int = 200,
    *,
    noise: float = 0.1,
    interval: tuple[float, float] = (-math.pi, math.pi),
    generator: int | Generator | None = None,
) -> TensorDataset:
    """y = sin(x) + noise e, with x uniform in an interval and e standard normal.

    Returns
    -------
    TensorDataset
        x (N, 1) and y (N, 1).

    Examples
    --------
    >>> from minigrad import datasets
    >>> data = datasets.sine(100, noise=0.0, generator=0)
    >>> x, y = data.tensors
    >>> x.shape, y.shape
    ((100, 1), (100, 1))
    """
    rng = _begin("sine", samples, noise, generator)
    low, high = interval
    if not -math.inf < low < high < math.inf:
        raise ArgumentError(f"sine: expected a rising pair as interval, got {interval}. Pass for example (-3.0, 3.0).")
    x = rng.uniform(low, high, (samples, 1))
    return _regression(x, np.sin(x) + noise * rng.standard_normal((samples, 1)))


def moons(samples: int = 200, *, noise: float = 0.1, generator: int | Generator | None = None) -> TensorDataset:
    """Two half circles of radius 1 that reach into each other.

    Class 0 is (cos t, sin t), class 1 is (1 - cos t, 1/2 - sin t), with t uniform in [0, pi], and normal noise is
    added to both coordinates. A straight line cannot divide them.

    Parameters
    ----------
    samples : int
        N; an odd one gives class 0 one more.
    noise : float, default 0.1
        Standard deviation of the noise.
    generator : int, minigrad.Generator or None
        The seed.

    Returns
    -------
    TensorDataset
        Points (N, 2) and classes (N,), in random order.

    References
    ----------
    sklearn.datasets.make_moons, where t is evenly spaced.

    Examples
    --------
    >>> from minigrad import datasets
    >>> data = datasets.moons(100, generator=0)
    >>> x, y = data.tensors
    >>> x.shape, y.shape
    ((100, 2), (100,))
    """
    rng = _begin("moons", samples, noise, generator)
    labels = _labels(rng, samples, 2)
    t = rng.uniform(0, math.pi, samples)
    sign = 1 - 2 * labels
    x = np.stack([labels + sign * np.cos(t), labels / 2 + sign * np.sin(t)], axis=1)
    return _classes(x + noise * rng.standard_normal(x.shape), labels)


def circles(
    samples: int = 200, *, noise: float = 0.05, factor: float = 0.5, generator: int | Generator | None = None
) -> TensorDataset:
    """Two circles about the origin: class 0 with radius 1, class 1 with radius `factor`.

    Parameters
    ----------
    samples : int
        N; an odd one gives class 0 one more.
    noise : float, default 0.05
        Standard deviation of the normal noise in both coordinates.
    factor : float, default 0.5
        The radius of the inner circle, in (0, 1).
    generator : int, minigrad.Generator or None
        The seed.

    Returns
    -------
    TensorDataset
        Points (N, 2) and classes (N,), in random order.

    References
    ----------
    sklearn.datasets.make_circles, where the angles are evenly spaced.

    Examples
    --------
    >>> from minigrad import datasets
    >>> x, y = datasets.circles(100, noise=0.0, generator=0).tensors
    >>> radius = (x * x).sum(dim=1).sqrt()
    >>> round(radius[y == 0].mean().item(), 4), round(radius[y == 1].mean().item(), 4)
    (1.0, 0.5)
    """
    rng = _begin("circles", samples, noise, generator)
    if not 0 < factor < 1:
        raise ArgumentError(f"circles: expected a factor in (0, 1), got {factor}. Pass for example 0.5.")
    labels = _labels(rng, samples, 2)
    radius = np.where(labels == 1, factor, 1.0)
    x = _polar(radius, rng.uniform(0, 2 * math.pi, samples))
    return _classes(x + noise * rng.standard_normal(x.shape), labels)


def spirals(
    samples: int = 300,
    *,
    classes: int = 3,
    turns: float = 0.75,
    noise: float = 0.02,
    generator: int | Generator | None = None,
) -> TensorDataset:
    """Arms of a spiral, one a class: radius r uniform in [0, 1], angle 2 pi (class / classes + turns r).

    Parameters
    ----------
    samples : int
        N; what does not divide goes to the first classes.
    classes : int, default 3
        How many arms.
    turns : float, default 0.75
        How often an arm goes round the origin.
    noise : float, default 0.02
        Standard deviation of the normal noise in both coordinates.
    generator : int, minigrad.Generator or None
        The seed.

    Returns
    -------
    TensorDataset
        Points (N, 2) and classes (N,), in random order.

    Examples
    --------
    >>> from minigrad import datasets
    >>> data = datasets.spirals(90, classes=3, generator=0)
    >>> x, y = data.tensors
    >>> x.shape, y.shape, sorted(set(y.tolist()))
    ((90, 2), (90,), [0, 1, 2])
    """
    rng = _begin("spirals", samples, noise, generator)
    _at_least("spirals", "classes", classes, 1)
    labels = _labels(rng, samples, classes)
    radius = rng.random(samples)
    x = _polar(radius, 2 * math.pi * (labels / classes + turns * radius))
    return _classes(x + noise * rng.standard_normal(x.shape), labels)


def blobs(
    samples: int = 300,
    *,
    centers: int | Sequence[Sequence[float]] | np.ndarray = 3,
    features: int = 2,
    std: float = 1.0,
    generator: int | Generator | None = None,
) -> TensorDataset:
    """Normal clouds about centres, one a class.

    Parameters
    ----------
    samples : int
        N; what does not divide goes to the first classes.
    centers : int or array, default 3
        How many centres, drawn uniformly from [-10, 10]^features, or the centres themselves (K, F).
    features : int, default 2
        F, where the centres are drawn.
    std : float, default 1.0
        Standard deviation of a cloud in each direction.
    generator : int, minigrad.Generator or None
        The seed.

    Returns
    -------
    TensorDataset
        Points (N, F) and classes (N,), in random order.

    References
    ----------
    sklearn.datasets.make_blobs.

    Examples
    --------
    >>> from minigrad import datasets
    >>> data = datasets.blobs(60, centers=[[0.0, 0.0], [9.0, 9.0]], generator=0)
    >>> x, y = data.tensors
    >>> x.shape, y.shape, bool(((x.sum(dim=1) > 9) == (y == 1)).all())
    ((60, 2), (60,), True)
    """
    rng = _begin("blobs", samples, std, generator)
    if isinstance(centers, int):
        _at_least("blobs", "centers", centers, 1)
        _at_least("blobs", "features", features, 1)
        places = rng.uniform(-10, 10, (centers, features))
    else:
        places = np.asarray(centers, np.float64)
        if places.ndim != 2 or 0 in places.shape:
            raise ArgumentError(
                f"blobs: expected centers of shape (classes, features), got {places.shape}. "
                "Pass for example [[0, 0], [3, 3]]."
            )
    labels = _labels(rng, samples, len(places))
    x = places[labels]
    return _classes(x + std * rng.standard_normal(x.shape), labels)


def xor(samples: int = 200, *, noise: float = 0.1, generator: int | Generator | None = None) -> TensorDataset:
    """The corners of the unit square, with the class 1 where exactly one coordinate is 1.

    The smallest problem that no linear classifier solves.

    Parameters
    ----------
    samples : int
        N; the corners (0, 0), (0, 1), (1, 0), (1, 1) come equally often, with 4 samples once each.
    noise : float, default 0.1
        Standard deviation of the normal noise in both coordinates.
    generator : int, minigrad.Generator or None
        The seed.

    Returns
    -------
    TensorDataset
        Points (N, 2) and classes (N,), in random order.

    References
    ----------
    M. Minsky and S. Papert, "Perceptrons", 1969.

    Examples
    --------
    >>> from minigrad import datasets
    >>> x, y = datasets.xor(100, noise=0.0, generator=0).tensors
    >>> bool(((x[:, 0].round() == x[:, 1].round()) == (y == 0)).all())  # the corners of the unit square
    True
    """
    rng = _begin("xor", samples, noise, generator)
    corner = _labels(rng, samples, 4)
    x = np.stack([corner // 2, corner % 2], axis=1)
    return _classes(x + noise * rng.standard_normal(x.shape), x[:, 0] ^ x[:, 1])


def adding_problem(samples: int = 1000, length: int = 50, *, generator: int | Generator | None = None) -> TensorDataset:
    """Sequences in which two marked numbers are to be added: a test of memory for recurrent networks.

    Each step holds a number uniform in [0, 1] and a mark, which is 1 at one step of the first half and at one of
    the second, and 0 elsewhere. The target is the sum of the two marked numbers. To answer 1 always has the mean
    squared error 1/6, the variance of the sum of two such numbers; below it, a network remembers.

    Parameters
    ----------
    samples : int
        N.
    length : int, default 50
        Steps T of a sequence, at least 2.
    generator : int, minigrad.Generator or None
        The seed.

    Returns
    -------
    TensorDataset
        Sequences (N, T, 2) and sums (N, 1).

    References
    ----------
    S. Hochreiter and J. Schmidhuber, "Long Short-Term Memory", Neural Computation 9(8), 1997, experiment 4; in the
    form of Q. Le, N. Jaitly and G. Hinton, arXiv:1504.00941, section 4.1.

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import datasets
    >>> x, y = datasets.adding_problem(4, length=10, generator=0).tensors  # channels: numbers, marks
    >>> x.shape, bool(minigrad.allclose((x[:, :, 0] * x[:, :, 1]).sum(dim=1, keepdim=True), y.reshape(4, 1)))
    ((4, 10, 2), True)
    """
    rng = _begin("adding_problem", samples, 0.0, generator)
    _at_least("adding_problem", "length", length, 2)
    numbers = rng.random((samples, length))
    marks = np.zeros((samples, length))
    rows = np.arange(samples)
    marks[rows, rng.integers(0, length // 2, samples)] = 1
    marks[rows, rng.integers(length // 2, length, samples)] = 1
    return _regression(np.stack([numbers, marks], axis=2), (numbers * marks).sum(axis=1, keepdims=True))


def _begin(name: str, samples: int, noise: float, generator: int | Generator | None) -> np.random.Generator:
    """Check what all functions take, and give the stream of random numbers."""
    _at_least(name, "samples", samples, 1)
    if not 0 <= noise < math.inf:
        raise ArgumentError(f"{name}: expected a standard deviation of at least 0, got {noise}. Pass for example 0.1.")
    return as_generator(generator).numpy


def _at_least(name: str, what: str, value: int, least: int) -> None:
    if not isinstance(value, (int, np.integer)) or value < least:
        raise ArgumentError(
            f"{name}: expected {what} to be an int of at least {least}, got {value}. Pass {least} or more."
        )


def _labels(rng: np.random.Generator, samples: int, classes: int) -> np.ndarray:
    """Class numbers in random order, each equally often or once more."""
    return rng.permutation(np.arange(samples) % classes)


def _polar(radius: np.ndarray, angle: np.ndarray) -> np.ndarray:
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


def _classes(x: np.ndarray, labels: np.ndarray) -> TensorDataset:
    return TensorDataset(x.astype(np.float32), labels.astype(np.int64))


def _regression(x: np.ndarray, y: np.ndarray) -> TensorDataset:
    return TensorDataset(x.astype(np.float32), y.astype(np.float32))
