"""Dividing a dataset into parts, at random or so that each part has every class in the same proportion."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.datasets.dataset import Subset
from minigrad.datasets.seeding import as_generator
from minigrad.errors import ArgumentError, ShapeError
from minigrad.random import Generator

__all__ = ["random_split"]


def random_split(
    dataset: Any,
    lengths: Sequence[int] | Sequence[float],
    generator: int | Generator | None = None,
    *,
    stratify: bool | Sequence[int] | np.ndarray = False,
) -> list[Subset]:
    """Divide a dataset into parts that do not overlap and together are the whole.

    Parameters
    ----------
    dataset : Dataset or sequence
        The whole.
    lengths : sequence of int or of float
        How many samples each part gets, with the sum `len(dataset)`, or which fraction, with the sum 1. A
        fraction is rounded down; what is left over goes to the first parts, one sample each.
    generator : int, minigrad.Generator or None
        The seed of the division; None is the default generator.
    stratify : bool or sequence of int, default False
        True gives every part the classes in the proportions of the whole, by `dataset.labels`; a sequence
        holds the labels themselves, one for each sample. When a part is taken out of what is left, each class
        gives its share rounded up or down, so two parts are within one sample of the exact share in every
        class.

    Returns
    -------
    list of Subset

    Raises
    ------
    ArgumentError
        The lengths do not add up, or one is negative, or `stratify=True` and the dataset has no `labels`.
    ShapeError
        There is not one label for each sample.

    References
    ----------
    torch.utils.data.random_split; `stratify` is scikit-learn's name for it in train_test_split.

    Examples
    --------
    >>> train, valid = random_split(range(10), [0.8, 0.2], generator=0)
    >>> len(train), len(valid), sorted([*train.indices.tolist(), *valid.indices.tolist()]) == list(range(10))
    (8, 2, True)
    """
    sizes = _sizes(lengths, len(dataset))
    if stratify is False:
        order = as_generator(generator).numpy.permutation(len(dataset))
        return [Subset(dataset, part) for part in np.split(order, np.cumsum(sizes)[:-1])]
    if stratify is True:
        if not hasattr(dataset, "labels"):
            raise ArgumentError(
                f"random_split: expected a dataset with labels to stratify by, got {type(dataset).__name__} "
                "without. Pass the labels as stratify=labels."
            )
        stratify = dataset.labels
    labels = np.asarray(stratify)
    if labels.shape != (len(dataset),):
        raise ShapeError(
            f"random_split: expected one label for each of the {len(dataset)} samples, got shape "
            f"{labels.shape}. Pass class numbers, not one-hot rows."
        )
    rng = as_generator(generator).numpy
    parts = stratified_parts(labels, sizes, rng.permutation(len(labels)))
    # Inside a part the samples would stand class by class: mix them.
    return [Subset(dataset, rng.permutation(part)) for part in parts]


def stratified_parts(labels: np.ndarray, sizes: Sequence[int], keys: np.ndarray) -> list[np.ndarray]:
    """The sample numbers of each part, class by class; within a class the order of `keys` decides.

    Part j takes from class k, of which n_k samples are left, the share n_k * size_j / n of the n samples
    left, rounded down, and the seats still empty go to the classes with the largest remainders (Hamilton's
    method).
    """
    order = np.lexsort((keys, labels))
    _, starts = np.unique(labels[order], return_index=True)
    queues = np.split(order, starts[1:])
    parts = []
    for size in sizes:
        left = np.array([len(queue) for queue in queues])
        # In integers: quotient and remainder are exact where a float share could round across a whole number.
        share, remainder = np.divmod(left * size, max(left.sum(), 1))
        seats = size - share.sum()
        share[np.argsort(-remainder, kind="stable")[:seats]] += 1
        parts.append(np.concatenate([queue[:count] for queue, count in zip(queues, share, strict=True)]))
        queues = [queue[count:] for queue, count in zip(queues, share, strict=True)]
    return parts


def _sizes(lengths: Sequence[int] | Sequence[float], total: int) -> list[int]:
    """Whole numbers with the sum `total`, from numbers or fractions."""
    lengths = list(lengths)
    if not lengths or not all(math.isfinite(length) and length >= 0 for length in lengths):
        raise ArgumentError(
            f"random_split: expected lengths or fractions of at least 0, got {lengths}. Pass for example [0.8, 0.2]."
        )
    if all(isinstance(length, (int, np.integer)) for length in lengths):
        sizes = [int(length) for length in lengths]
        if sum(sizes) == total:
            return sizes
    if not math.isclose(sum(lengths), 1.0, abs_tol=1e-9):
        raise ArgumentError(
            f"random_split: expected lengths with the sum {total} or fractions with the sum 1, got "
            f"{lengths} with the sum {sum(lengths)}. Change the last one."
        )
    sizes = [math.floor(length * total) for length in lengths]
    for part in range(total - sum(sizes)):
        sizes[part % len(sizes)] += 1
    return sizes
