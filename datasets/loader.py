"""The DataLoader: batches of a dataset, in order or shuffled, reproducible and resumable."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Generator as Batches
from contextlib import closing
from typing import Any

import numpy as np

from minigrad.datasets.dataset import gather, samples
from minigrad.datasets.prefetch import read_ahead
from minigrad.datasets.seeding import as_generator
from minigrad.errors import ArgumentError, CheckpointError, DTypeError
from minigrad.random import Generator, default_generator
from minigrad.tensor import Tensor, from_numpy

__all__ = ["DataLoader"]


class DataLoader:
    """Iterate over a dataset in batches; each `for` over the loader is one epoch.

    Every epoch takes one number s from `generator`. The order of the samples is the permutation that PCG64
    seeded with s draws, and the augmentation of batch b draws from PCG64 seeded with (s, b). So the
    generator, and how many epochs were begun before, decide everything, `prefetch` changes nothing, and an
    epoch can be resumed at any batch without replaying the ones before it. An epoch that neither shuffles nor
    augments takes no number.

    Parameters
    ----------
    dataset : Dataset or sequence
        Anything with `__len__` and `__getitem__`. A `Dataset` makes the whole batch at once (`gather`), and draws
        random numbers from the generator that it is given; those that a sequence draws of its own are not resumed.
    batch_size : int, default 1
        Samples in a batch; the last one of an epoch has fewer if the numbers do not divide.
    shuffle : bool, default False
        A new order in every epoch.
    drop_last : bool, default False
        Leave out a last batch that is not full.
    generator : int, minigrad.Generator or None
        A seed, or where to draw from; None is the default generator, which `minigrad.manual_seed` sets.
    collate_fn : callable, optional
        Makes a batch of a list of samples, in place of the dataset's own way.
    batch_transform : callable, optional
        Called `batch_transform(images, labels, generator)` with the arrays of each batch and a numpy
        generator, for what mixes samples, such as `Mixup`. It returns the new pair of arrays.
    prefetch : int, default 0
        How many batches a thread makes ahead while the loop works on the one before; 0 makes them in the
        loop.

    Raises
    ------
    ArgumentError, DTypeError
        An argument is outside what is accepted.

    References
    ----------
    torch.utils.data.DataLoader, for the names.

    Examples
    --------
    >>> from minigrad.datasets import Digits
    >>> loader = DataLoader(Digits(), batch_size=64, shuffle=True, generator=0)
    >>> len(loader), [tuple(part.shape) for part in next(iter(loader))]
    (23, [(64, 1, 8, 8), (64,)])
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        shuffle: bool = False,
        *,
        drop_last: bool = False,
        generator: int | Generator | None = None,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        batch_transform: Callable[..., tuple[np.ndarray, np.ndarray]] | None = None,
        prefetch: int = 0,
    ) -> None:
        if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
            raise DTypeError(
                f"DataLoader: expected a dataset with __len__ and __getitem__, got {type(dataset).__name__}. "
                "Wrap arrays in TensorDataset(inputs, targets)."
            )
        for name, function in (("collate_fn", collate_fn), ("batch_transform", batch_transform)):
            if function is not None and not callable(function):
                raise DTypeError(
                    f"DataLoader: expected {name} to be a function or None, got {type(function).__name__}. "
                    "Pass a callable."
                )
        self.dataset = dataset
        self.batch_size = _whole_number("batch_size", batch_size, least=1)
        self.shuffle = bool(shuffle)
        self.drop_last = bool(drop_last)
        self.generator = as_generator(generator)
        self.collate_fn = collate_fn
        self.batch_transform = batch_transform
        self.prefetch = _whole_number("prefetch", prefetch, least=0)
        self._epochs = 0  # begun so far
        self._seed = 0  # the number s of the last of them
        self._position = 0  # batches that it has handed out
        self._under_way = False  # whether it is still to be finished
        self._resume = False  # whether the next iterator finishes it

    @property
    def position(self) -> int:
        """How many batches of the current epoch were handed out."""
        return self._position

    def __len__(self) -> int:
        """Batches in an epoch."""
        full, rest = divmod(len(self.dataset), self.batch_size)
        return full if self.drop_last or rest == 0 else full + 1

    def __iter__(self) -> Iterator[Any]:
        if self._resume:
            self._resume = False
        else:
            draws = self.shuffle or self._augments()
            self._seed = int(self.generator.numpy.integers(2**63)) if draws else 0
            self._position = 0
            self._epochs += 1
            self._under_way = True
        return self._epoch(self._epochs, self._batches(self._seed, self._position))

    def _epoch(self, epoch: int, batches: Batches[Any, None, None]) -> Iterator[Any]:
        """Hand out the batches and keep count of them."""
        if self.prefetch:
            batches = read_ahead(batches, self.prefetch)
        with closing(batches):
            for batch in batches:
                # Of two epochs at the same time, state_dict() tells of the one that was begun last.
                if epoch == self._epochs:
                    self._position += 1
                yield batch
        if epoch == self._epochs:
            self._under_way = False

    def _batches(self, seed: int, position: int) -> Batches[Any, None, None]:
        """Make the batches of the epoch with the number `seed`, from batch `position` on."""
        count = len(self.dataset)
        order = _random_stream(seed).permutation(count) if self.shuffle else np.arange(count)
        augments = self._augments()
        for b in range(position, len(self)):
            indices = order[b * self.batch_size : (b + 1) * self.batch_size]
            yield self._batch(indices, _random_stream(seed, b) if augments else None)

    def _batch(self, indices: np.ndarray, generator: np.random.Generator | None) -> Any:
        if self.collate_fn is not None:
            batch = self.collate_fn(samples(self.dataset, indices, generator))
        else:
            batch = gather(self.dataset, indices, generator)
        if self.batch_transform is None:
            return batch
        if not (isinstance(batch, (tuple, list)) and len(batch) == 2 and all(isinstance(x, Tensor) for x in batch)):
            raise DTypeError(
                "DataLoader: expected batches of two tensors for batch_transform, got "
                f"{type(batch).__name__}. Use collate_fn for batches of another form."
            )
        images, labels = self.batch_transform(batch[0].data, batch[1].data, generator)
        return from_numpy(images), from_numpy(labels)

    def _augments(self) -> bool:
        return self.batch_transform is not None or getattr(self.dataset, "random", False)

    def state_dict(self) -> dict[str, Any]:
        """Where the loader is, for `load_state_dict`: exact also in the middle of an epoch.

        Batches that were made ahead and not handed out do not count. The state of a generator that the loader
        has for itself (from a seed), or was given, is part of it; that of the default generator is not, since
        others draw from it and a checkpoint holds it once.

        Returns
        -------
        dict
            Integers and booleans, and under "generator" what `Generator.get_state()` returns.
        """
        state: dict[str, Any] = {
            **self._fixed(),
            "epochs": self._epochs,
            "seed": self._seed,
            "position": self._position,
            "under_way": self._under_way,
        }
        if self.generator is not default_generator:
            state["generator"] = self.generator.get_state()
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state: the next `for` finishes the epoch that was under way, or begins the next one.

        Raises
        ------
        CheckpointError
            The state is not that of a loader like this one; nothing is changed then.
        """
        expected = set(self.state_dict())
        if set(state) != expected:
            raise CheckpointError(
                f"DataLoader: expected a state with the keys {sorted(expected)}, got {sorted(state)}. "
                "Give the loader the kind of generator that it was saved with."
            )
        for key, value in self._fixed().items():
            if state[key] != value:
                raise CheckpointError(
                    f"DataLoader: expected a state with {key}={value}, got {state[key]}. "
                    "Make the loader with the arguments that it was saved with."
                )
        most = {"position": len(self), "epochs": 2**63 - 1, "seed": 2**63 - 1, "under_way": 1}
        for key, limit in most.items():
            if not isinstance(state[key], int) or not 0 <= state[key] <= limit:
                raise CheckpointError(
                    f"DataLoader: expected {key} from 0 to {limit}, got {state[key]!r:.80}. The state is damaged."
                )
        if "generator" in state:
            try:
                self.generator.set_state(state["generator"])
            except ArgumentError as error:
                raise CheckpointError(f"DataLoader: {error} The state is damaged.") from None
        self._epochs = int(state["epochs"])
        self._seed = int(state["seed"])
        self._position = int(state["position"])
        self._under_way = self._resume = bool(state["under_way"])

    def _fixed(self) -> dict[str, int | bool]:
        """What decides which samples are in batch b of an epoch, beside its number."""
        return {
            "samples": len(self.dataset),
            "batch_size": self.batch_size,
            "shuffle": self.shuffle,
            "drop_last": self.drop_last,
        }


def _random_stream(seed: int, *key: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key)))


def _whole_number(name: str, value: Any, least: int) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        raise DTypeError(
            f"DataLoader: expected {name} to be an int, got {type(value).__name__}. Pass for example {name}={least}."
        ) from None
    if number < least:
        raise ArgumentError(
            f"DataLoader: expected {name} to be at least {least}, got {number}. Pass for example {name}={least}."
        )
    return number
