"""What a dataset is, the one made of tensors, and parts of datasets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.datasets.collate import default_collate
from minigrad.errors import DimError, DTypeError, ShapeError
from minigrad.tensor import Tensor, from_numpy

__all__ = ["Dataset", "Subset", "TensorDataset"]


class Dataset:
    """Base class: a subclass has `__len__` and `__getitem__(index)`, as in PyTorch.

    A dataset that keeps its samples in arrays also overrides `gather`, which makes a whole batch in one
    indexing operation; the one here asks for sample after sample.

    Examples
    --------
    >>> from minigrad import datasets
    >>> class Squares(datasets.Dataset):
    ...     def __len__(self):
    ...         return 5
    ...
    ...     def __getitem__(self, index):
    ...         return float(index), float(index**2)
    >>> next(iter(datasets.DataLoader(Squares(), batch_size=3)))
    (tensor([0., 1., 2.]), tensor([0., 1., 4.]))
    """

    #: Whether reading draws random numbers (an augmentation). The DataLoader then passes a generator.
    random: bool = False

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__}: implement __len__()")

    def __getitem__(self, index: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__}: implement __getitem__(index)")

    def sample(self, index: int, generator: np.random.Generator | None) -> Any:
        """`self[index]`; a dataset that draws random numbers overrides this and draws them from `generator`.

        Parameters
        ----------
        index : int
            In [0, len(self)).
        generator : numpy.random.Generator or None
            What the DataLoader gives if `random` is True; None takes the default generator.
        """
        return self[index]

    def gather(self, indices: np.ndarray, generator: np.random.Generator | None = None) -> Any:
        """The batch of the samples at `indices`.

        Parameters
        ----------
        indices : numpy.ndarray
            Integers of shape (B,), each in [0, len(self)).
        generator : numpy.random.Generator, optional
            For augmentation; None takes the default generator.

        Returns
        -------
        tuple of Tensor, or what the samples are
            Each part with a new first dimension B.
        """
        return default_collate([self.sample(index, generator) for index in indices.tolist()])


def samples(dataset: Any, indices: np.ndarray, generator: np.random.Generator | None = None) -> list[Any]:
    """A list of samples from a Dataset, or from anything that has `__getitem__`."""
    if isinstance(dataset, Dataset):
        return [dataset.sample(index, generator) for index in indices.tolist()]
    return [dataset[index] for index in indices.tolist()]


def gather(dataset: Any, indices: np.ndarray, generator: np.random.Generator | None = None) -> Any:
    """A batch from a Dataset, or from anything that has `__getitem__`."""
    if isinstance(dataset, Dataset):
        return dataset.gather(indices, generator)
    return default_collate(samples(dataset, indices))


def as_indices(index: Any, length: int) -> np.ndarray:
    """The sample numbers that a slice, a mask, a sequence of integers or an integer Tensor stands for.

    Raises
    ------
    DimError
        An index is outside [-length, length), or a mask has another length.
    DTypeError
        The index holds something other than integers or booleans.
    """
    if isinstance(index, slice):
        return np.arange(length)[index]
    indices = index.data if isinstance(index, Tensor) else np.asarray(index)
    if indices.size == 0 and not isinstance(index, (Tensor, np.ndarray)):
        indices = indices.astype(np.int64)
    if indices.dtype == np.bool_:
        if indices.shape != (length,):
            raise DimError(f"index: expected a mask of shape ({length},), got {indices.shape}. Use one per sample.")
        return np.flatnonzero(indices)
    if indices.dtype.kind not in "iu" or indices.ndim > 1:
        raise DTypeError(
            f"index: expected integers in one dimension, a mask or a slice, got dtype {indices.dtype} and "
            f"shape {indices.shape}. Pass for example dataset[[0, 5, 7]]."
        )
    # Unsigned integers wrap where a negative index is resolved.
    indices = indices.astype(np.int64)
    if indices.size and (indices.min() < -length or indices.max() >= length):
        raise DimError(
            f"index: expected numbers from {-length} to {length - 1} for {length} samples, got "
            f"{indices.min()} to {indices.max()}. Check the indices."
        )
    return np.where(indices < 0, indices + length, indices)


class TensorDataset(Dataset):
    """Samples are the rows of tensors of equal length.

    Parameters
    ----------
    *tensors : Tensor or numpy.ndarray
        At least one; all have the same size in dimension 0. Arrays are not copied.

    Raises
    ------
    ShapeError
        No tensor, one without dimensions, or lengths that differ.
    DTypeError
        Something that is neither a Tensor nor an array.

    References
    ----------
    torch.utils.data.TensorDataset.

    Examples
    --------
    >>> data = TensorDataset(np.arange(6, dtype=np.float32).reshape(3, 2), np.array([0, 1, 0]))
    >>> len(data), data[1][0].numpy().tolist(), data[[0, 2]][1].numpy().tolist()
    (3, [2.0, 3.0], [0, 0])
    """

    def __init__(self, *tensors: Tensor | np.ndarray) -> None:
        if not tensors:
            raise ShapeError("TensorDataset: expected at least one tensor, got none. Pass inputs and targets.")
        for tensor in tensors:
            if not isinstance(tensor, (Tensor, np.ndarray)):
                raise DTypeError(
                    f"TensorDataset: expected tensors or arrays, got {type(tensor).__name__}. "
                    "Convert it with numpy.asarray()."
                )
        shapes = [tuple(tensor.shape) for tensor in tensors]
        if any(not shape or shape[0] != shapes[0][0] for shape in shapes):
            raise ShapeError(
                f"TensorDataset: expected tensors with the same number of rows, got the shapes {shapes}. "
                "Give each one row per sample."
            )
        self.tensors = tuple(tensor if isinstance(tensor, Tensor) else from_numpy(tensor) for tensor in tensors)

    @property
    def labels(self) -> np.ndarray:
        """The values of the last tensor, which by custom holds the labels."""
        return self.tensors[-1].data

    def __len__(self) -> int:
        return len(self.tensors[0].data)

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        indices = as_indices(index, len(self))
        if indices.ndim == 0:
            return tuple(from_numpy(np.array(tensor.data[indices])) for tensor in self.tensors)
        return self.gather(indices)

    def gather(self, indices: np.ndarray, generator: np.random.Generator | None = None) -> tuple[Tensor, ...]:
        return tuple(from_numpy(tensor.data.take(indices, axis=0)) for tensor in self.tensors)

    def __repr__(self) -> str:
        return f"TensorDataset({', '.join(str(tuple(tensor.shape)) for tensor in self.tensors)})"


class Subset(Dataset):
    """Some samples of a dataset, in a given order.

    Parameters
    ----------
    dataset : Dataset or sequence
        The whole.
    indices : sequence of int
        Which samples, each in [-len(dataset), len(dataset)).

    Raises
    ------
    DimError, DTypeError
        An index is out of range or no integer.

    References
    ----------
    torch.utils.data.Subset.

    Examples
    --------
    >>> from minigrad import datasets
    >>> part = datasets.Subset([10, 20, 30, 40], [3, 0])
    >>> len(part), part[0], part[1]
    (2, 40, 10)
    """

    def __init__(self, dataset: Any, indices: Sequence[int] | np.ndarray) -> None:
        self.dataset = dataset
        self.indices = np.atleast_1d(as_indices(indices, len(dataset)))

    @property
    def random(self) -> bool:  # type: ignore[override]
        """Whether the whole draws random numbers when it is read."""
        return getattr(self.dataset, "random", False)

    @property
    def labels(self) -> np.ndarray:
        """The labels of these samples, if the whole has `labels`."""
        return self.dataset.labels[self.indices]

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names of the whole, if it has them."""
        return self.dataset.classes

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: Any) -> Any:
        chosen = as_indices(index, len(self))
        if chosen.ndim == 0:
            return self.dataset[int(self.indices[chosen])]
        return self.gather(chosen)

    def sample(self, index: int, generator: np.random.Generator | None) -> Any:
        return samples(self.dataset, self.indices[[index]], generator)[0]

    def gather(self, indices: np.ndarray, generator: np.random.Generator | None = None) -> Any:
        return gather(self.dataset, self.indices[indices], generator)

    def __repr__(self) -> str:
        return f"Subset({len(self)} of {self.dataset!r})"
