"""The DataLoader: what is in the batches, in which order, and how it resumes."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from minigrad import Generator, Tensor, manual_seed
from minigrad.datasets import DataLoader, Dataset, Digits, ImageDataset, Subset, TensorDataset
from minigrad.datasets.transforms import Compose, Normalize, Transform
from minigrad.errors import ArgumentError, CheckpointError, DTypeError


class Noise(Transform):
    random = True

    def transform(self, images: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        return images + generator.standard_normal(images.shape, dtype=np.float32)


def numbered(count: int) -> TensorDataset:
    return TensorDataset(np.arange(count), np.arange(count) % 3)


def order(batches: Any) -> list[list[int]]:
    return [x.numpy().tolist() for x, _ in batches]


def noisy(generator: Any = 0, **options: Any) -> DataLoader:
    images = np.zeros((20, 1, 3, 3), np.uint8)
    dataset = ImageDataset(images, np.arange(20), ("a",), transform=Compose([Normalize(0, 1), Noise()]))
    return DataLoader(dataset, 3, shuffle=True, generator=generator, **options)


def contents(batches: Any) -> list[bytes]:
    return [x.numpy().tobytes() + y.numpy().tobytes() for x, y in batches]


# ---- batches -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefetch", [0, 3])
def test_without_shuffling_the_batches_are_consecutive(prefetch: int) -> None:
    assert order(DataLoader(numbered(7), 3, prefetch=prefetch)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert order(DataLoader(numbered(7), 3, drop_last=True, prefetch=prefetch)) == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize("count", [0, 1, 5, 6, 7])
@pytest.mark.parametrize("drop_last", [False, True])
def test_the_length_is_the_number_of_batches_as_in_pytorch(count: int, drop_last: bool) -> None:
    ours = DataLoader(numbered(count), 3, drop_last=drop_last)
    assert len(ours) == len(list(ours))
    torch = pytest.importorskip("torch")
    assert len(ours) == len(torch.utils.data.DataLoader(range(count), 3, drop_last=drop_last))


def test_a_shuffled_epoch_has_every_sample_once() -> None:
    epoch = order(DataLoader(numbered(100), 7, shuffle=True, generator=0))
    samples = [sample for batch in epoch for sample in batch]
    assert sorted(samples) == list(range(100))
    assert samples != list(range(100))


def test_every_order_is_equally_likely() -> None:
    loader = DataLoader(numbered(3), 3, shuffle=True, generator=0)
    counts: dict[tuple, int] = {}
    for _ in range(1200):
        key = tuple(order(loader)[0])
        counts[key] = counts.get(key, 0) + 1
    # Six orders, 200 expected of each: the chi-squared statistic with 5 degrees of freedom is below 20.5 at p
    # = 0.999.
    assert len(counts) == 6
    assert sum((n - 200) ** 2 / 200 for n in counts.values()) < 20.5


def test_inputs_and_labels_stay_together() -> None:
    digits = Digits()
    seen = 0
    for images, labels in DataLoader(digits, 100, shuffle=True, generator=5):
        for image, label in zip(images.numpy(), labels.numpy(), strict=True):
            matches = np.flatnonzero((digits.images == (image * 16).astype(np.uint8)).all((1, 2, 3)))
            assert label in digits.labels[matches]
            seen += 1
    assert seen == 1437


def test_a_batch_of_an_image_dataset_is_one_gather() -> None:
    asked: list[int] = []

    class Watched(Digits):
        def __getitem__(self, index: Any) -> Any:
            raise AssertionError("asked for a single sample")

        def gather(self, indices: np.ndarray, generator: Any = None) -> Any:
            asked.append(len(indices))
            return super().gather(indices, generator)

    assert len(list(DataLoader(Subset(Watched(), range(250)), 100, shuffle=True))) == 3
    assert asked == [100, 100, 50]


def test_any_sequence_is_a_dataset() -> None:
    batches = list(DataLoader([(0.5, "a"), (1.5, "b"), (2.5, "c")], batch_size=2))
    assert [x.numpy().tolist() for x, _ in batches] == [[0.5, 1.5], [2.5]]
    assert [names for _, names in batches] == [["a", "b"], ["c"]]


def test_collate_fn_gets_the_list_of_samples() -> None:
    ragged = [np.arange(n) for n in (1, 2, 3)]
    assert list(DataLoader(ragged, 2, collate_fn=lambda samples: [len(s) for s in samples])) == [[1, 2], [3]]


def test_batch_transform_changes_inputs_and_labels_together() -> None:
    def swap(images: np.ndarray, labels: np.ndarray, generator: np.random.Generator) -> tuple:
        chosen = generator.permutation(len(images))
        return images[chosen] + 100, labels[chosen]

    for images, labels in DataLoader(numbered(10), 5, batch_transform=swap, generator=0):
        assert isinstance(images, Tensor)
        np.testing.assert_array_equal((images.numpy() - 100) % 3, labels.numpy())


def test_batch_transform_needs_pairs_of_tensors() -> None:
    loader = DataLoader([1, 2, 3], 3, batch_transform=lambda x, y, g: (x, y), generator=0)
    with pytest.raises(DTypeError, match="batches of two tensors for batch_transform"):
        next(iter(loader))


# ---- order -------------------------------------------------------------------------------------------------


def test_the_seed_and_the_number_of_epochs_decide_the_order() -> None:
    def epochs(seed: int) -> list:
        loader = DataLoader(numbered(50), 8, shuffle=True, generator=seed)
        return [order(loader) for _ in range(3)]

    assert epochs(0) == epochs(0)
    assert epochs(0) != epochs(1)
    first, second, third = epochs(0)
    assert first != second != third


def test_the_order_does_not_depend_on_how_far_an_earlier_epoch_went() -> None:
    whole, broken = (DataLoader(numbered(50), 8, shuffle=True, generator=0) for _ in range(2))
    list(whole)
    next(iter(broken))
    assert order(whole) == order(broken)


def test_manual_seed_decides_where_no_generator_is_given() -> None:
    loader = DataLoader(numbered(50), 8, shuffle=True)
    manual_seed(11)
    first = order(loader)
    manual_seed(11)
    assert order(loader) == first
    assert order(DataLoader(numbered(50), 8, shuffle=True, generator=Generator(11))) == first
    assert order(DataLoader(numbered(50), 8, shuffle=True, generator=11)) == first


def test_a_loader_in_fixed_order_takes_no_random_numbers() -> None:
    generator = Generator(4)
    before = generator.get_state()
    list(DataLoader(numbered(50), 8, generator=generator))
    assert generator.get_state() == before


@pytest.mark.parametrize("prefetch", [1, 2, 50])
def test_prefetching_changes_nothing_in_the_batches(prefetch: int) -> None:
    plain, ahead = noisy(), noisy(prefetch=prefetch)
    for _ in range(2):
        assert contents(ahead) == contents(plain)


def test_two_epochs_at_the_same_time_do_not_disturb_each_other() -> None:
    one, other = noisy(), noisy()
    expected = [contents(one), contents(one)]
    pairs = list(zip(other, other, strict=True))
    assert [contents(a for a, _ in pairs), contents(b for _, b in pairs)] == expected


# ---- resume ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefetch", [0, 2])
@pytest.mark.parametrize("generator", [3, Generator])
@pytest.mark.parametrize("epoch", [0, 2])
@pytest.mark.parametrize("taken", [0, 1, 4, 7])
def test_resuming_in_mid_epoch_gives_the_same_bytes(epoch: int, taken: int, generator: Any, prefetch: int) -> None:
    def make() -> DataLoader:
        return noisy(generator(3) if generator is Generator else generator, prefetch=prefetch)

    loader = make()
    for _ in range(epoch):
        list(loader)
    iterator = iter(loader)
    for _ in range(taken):
        next(iterator)
    # through text, as a checkpoint would
    state = json.loads(json.dumps(loader.state_dict()))
    rest = contents(iterator) + contents(loader)

    resumed = make()
    resumed.load_state_dict(state)
    assert resumed.position == taken
    assert contents(resumed) + contents(resumed) == rest


def test_a_part_of_an_augmented_dataset_is_augmented_from_the_seed_of_the_loader() -> None:
    images = np.zeros((20, 1, 3, 3), np.uint8)
    whole = ImageDataset(images, np.arange(20), ("a",), transform=Noise())
    part = Subset(whole, range(5, 15))
    first, second = (contents(DataLoader(part, 4, generator=1)) for _ in range(2))
    assert first == second
    assert first != contents(DataLoader(part, 4, generator=2))


def test_collate_fn_gets_samples_that_are_augmented_from_the_seed_of_the_loader() -> None:
    images = np.zeros((20, 1, 3, 3), np.uint8)
    part = Subset(ImageDataset(images, np.arange(20), ("a",), transform=Noise()), range(20))

    def epoch(seed: int, prefetch: int) -> list[list[bytes]]:
        def raw(samples: list) -> list[bytes]:
            return [image.numpy().tobytes() for image, _ in samples]

        return list(DataLoader(part, 4, generator=seed, collate_fn=raw, prefetch=prefetch))

    first = epoch(1, 0)
    assert len({image for batch in first for image in batch}) == 20
    assert epoch(1, 2) == first
    assert epoch(2, 0) != first


def test_a_state_between_epochs_begins_the_next_one() -> None:
    loader = noisy()
    list(loader)
    state = loader.state_dict()
    resumed = noisy(generator=99)
    resumed.load_state_dict(state)
    assert contents(resumed) == contents(loader)


def test_a_state_taken_at_the_last_batch_finishes_the_epoch_with_nothing() -> None:
    loader = noisy()
    for _ in loader:
        state = loader.state_dict()
    resumed = noisy()
    resumed.load_state_dict(state)
    assert list(resumed) == []
    assert contents(resumed) == contents(loader)


def test_an_epoch_that_was_broken_off_is_finished_after_a_resume() -> None:
    loader = noisy()
    whole = contents(noisy())
    for position, _ in enumerate(loader):
        if position == 2:
            break
    resumed = noisy()
    resumed.load_state_dict(loader.state_dict())
    assert contents(resumed) == whole[3:]


def test_a_state_of_the_default_generator_is_left_to_the_checkpoint() -> None:
    loader = noisy(generator=None)
    assert "generator" not in loader.state_dict()
    manual_seed(0)
    iterator = iter(loader)
    next(iterator)
    state = loader.state_dict()
    rest = contents(iterator)
    manual_seed(12345)
    loader.load_state_dict(state)
    assert contents(loader) == rest


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"samples": 21}, "samples=20, got 21"),
        ({"batch_size": 4}, "batch_size=3, got 4"),
        ({"shuffle": False}, "shuffle=True, got False"),
        ({"drop_last": True}, "drop_last=False, got True"),
        ({"position": 8}, "position from 0 to 7, got 8"),
        ({"position": -1}, "position from 0 to 7, got -1"),
        ({"generator": {}}, "state is damaged"),
        ({"more": 1}, "the keys"),
    ],
)
def test_a_state_of_another_loader_is_refused_and_changes_nothing(change: dict, message: str) -> None:
    loader = noisy()
    next(iter(loader))
    before = loader.state_dict()
    with pytest.raises(CheckpointError, match=message):
        loader.load_state_dict({**noisy(generator=7).state_dict(), **change})
    assert loader.state_dict() == before
    untouched = noisy()
    next(iter(untouched))
    assert contents(loader) == contents(untouched)


# ---- prefetch ----------------------------------------------------------------------------------------------


class Slow(Dataset):
    """Counts what was read, and fails at one index."""

    def __init__(self, count: int, fails_at: int = -1) -> None:
        self.count, self.fails_at, self.read = count, fails_at, threading.Semaphore(0)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> int:
        self.read.release()
        if index == self.fails_at:
            raise RuntimeError("sample 4 is broken")
        return index


def prefetch_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "minigrad prefetch"]


def test_batches_are_made_while_the_loop_holds_one() -> None:
    dataset = Slow(10)
    iterator = iter(DataLoader(dataset, 1, prefetch=3))
    next(iterator)
    # One is in the loop and three wait; the thread reads no further.
    for _ in range(4):
        assert dataset.read.acquire(timeout=10)
    assert not dataset.read.acquire(timeout=0.05)


def test_an_error_in_the_thread_comes_out_at_its_batch() -> None:
    iterator = iter(DataLoader(Slow(10, fails_at=4), 1, prefetch=2))
    assert [next(iterator).item() for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(RuntimeError, match="sample 4 is broken"):
        next(iterator)
    assert prefetch_threads() == []


def test_no_thread_outlives_an_epoch_that_is_finished_or_dropped() -> None:
    loader = DataLoader(Slow(10), 1, prefetch=2)
    list(loader)
    assert prefetch_threads() == []
    for _ in loader:
        assert len(prefetch_threads()) == 1
        break
    assert prefetch_threads() == []
    iterator: Iterator = iter(loader)
    next(iterator)
    del iterator
    assert prefetch_threads() == []


# ---- arguments ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"batch_size": 0}, ArgumentError, "batch_size to be at least 1, got 0"),
        ({"batch_size": 2.0}, DTypeError, "batch_size to be an int, got float"),
        ({"batch_size": None}, DTypeError, "batch_size to be an int, got NoneType"),
        ({"prefetch": -1}, ArgumentError, "prefetch to be at least 0, got -1"),
        ({"generator": -1}, ArgumentError, "seed of at least 0, got -1"),
        ({"generator": "0"}, DTypeError, "an int seed, a minigrad.Generator or None, got str"),
        ({"collate_fn": 1}, DTypeError, "collate_fn to be a function or None, got int"),
        ({"batch_transform": 1}, DTypeError, "batch_transform to be a function or None, got int"),
    ],
)
def test_a_bad_argument_is_refused_by_the_constructor(options: dict, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        DataLoader(numbered(3), **options)


def test_something_that_is_no_dataset_is_refused() -> None:
    with pytest.raises(DTypeError, match="expected a dataset with __len__ and __getitem__, got generator"):
        DataLoader(x for x in range(3))
