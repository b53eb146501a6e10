"""TensorDataset, Subset, random_split and default_collate."""

from __future__ import annotations

from collections import namedtuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigrad import Generator, Tensor, manual_seed
from minigrad.datasets import Dataset, Digits, Subset, TensorDataset, default_collate, random_split
from minigrad.errors import ArgumentError, DimError, DTypeError, ShapeError


@pytest.fixture
def rows() -> TensorDataset:
    return TensorDataset(np.arange(12, dtype=np.float32).reshape(6, 2), np.array([0, 1, 0, 1, 0, 1]))


# ---- TensorDataset -----------------------------------------------------------------------------------------


def test_a_sample_has_one_part_of_each_tensor(rows: TensorDataset) -> None:
    x, y = rows[2]
    assert x.numpy().tolist() == [4.0, 5.0]
    assert (y.shape, y.item()) == ((), 0)
    assert len(rows) == 6


def test_a_batch_keeps_dtype_and_order(rows: TensorDataset) -> None:
    x, y = rows[[5, 0]]
    assert x.numpy().tolist() == [[10.0, 11.0], [0.0, 1.0]]
    assert (x.dtype, y.dtype) == (np.float32, np.int64)
    assert rows[-1][0].numpy().tolist() == [10.0, 11.0]


def test_a_batch_is_a_copy(rows: TensorDataset) -> None:
    rows[[0, 1]][0].data[:] = -1
    rows[0][0].data[:] = -1
    assert rows[0][0].numpy().tolist() == [0.0, 1.0]


def test_tensors_of_different_lengths_are_refused() -> None:
    with pytest.raises(ShapeError, match="same number of rows"):
        TensorDataset(np.zeros((3, 2)), np.zeros(4))
    with pytest.raises(ShapeError, match="at least one tensor"):
        TensorDataset()
    with pytest.raises(ShapeError, match="same number of rows"):
        TensorDataset(np.zeros(()))
    with pytest.raises(DTypeError, match="got list"):
        TensorDataset([1, 2])


# ---- Subset ------------------------------------------------------------------------------------------------


def test_a_subset_of_a_subset_counts_in_its_own_indices(rows: TensorDataset) -> None:
    inner = Subset(Subset(rows, [5, 3, 1]), [2, -3])
    assert [x.numpy()[0] for x, _ in inner] == [2.0, 10.0]
    assert inner[[1, 0]][0].numpy()[:, 0].tolist() == [10.0, 2.0]
    assert inner.labels.tolist() == [1, 1]


def test_a_subset_of_a_plain_list_works() -> None:
    subset = Subset([(0.0, 1), (1.0, 2), (2.0, 3)], [2, 0])
    assert subset[0] == (2.0, 3)
    assert subset[:][1].numpy().tolist() == [3, 1]


def test_a_subset_hands_on_class_names() -> None:
    assert Subset(Digits(), [0]).classes == tuple("0123456789")


def test_a_subset_refuses_indices_that_the_whole_does_not_have(rows: TensorDataset) -> None:
    with pytest.raises(DimError, match="from -6 to 5"):
        Subset(rows, [0, 6])
    with pytest.raises(DimError, match="from -2 to 1"):
        Subset(rows, [0, 1])[2]


# ---- random_split ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lengths", "sizes"),
    [
        ([7, 3], [7, 3]),
        ([0.75, 0.25], [8, 2]),
        ([1 / 3] * 3, [4, 3, 3]),
        ([10], [10]),
        ([0, 10], [0, 10]),
        ([1.0], [10]),
    ],
)
def test_parts_have_the_lengths_that_were_asked_for(lengths: list, sizes: list[int]) -> None:
    parts = random_split(range(10), lengths, generator=1)
    assert [len(part) for part in parts] == sizes
    assert sorted(np.concatenate([part.indices for part in parts]).tolist()) == list(range(10))


def test_fractions_are_rounded_as_pytorch_rounds_them() -> None:
    torch = pytest.importorskip("torch")
    for total, fractions in [
        (1797, [0.8, 0.2]),
        (10, [0.35, 0.35, 0.3]),
        (7, [0.5, 0.5]),
        (100, [0.125] * 8),
    ]:
        theirs = torch.utils.data.random_split(range(total), fractions)
        ours = random_split(range(total), fractions, generator=0)
        assert [len(part) for part in ours] == [len(part) for part in theirs]


def test_the_seed_decides_the_division() -> None:
    first, again, other = (random_split(range(100), [50, 50], generator=seed)[0].indices.tolist() for seed in (3, 3, 4))
    assert first == again
    assert first != other
    manual_seed(3)
    assert random_split(range(100), [50, 50])[0].indices.tolist() == first
    assert random_split(range(100), [50, 50], Generator(3))[0].indices.tolist() == first


@settings(max_examples=60, deadline=None)
@given(
    labels=st.lists(st.integers(0, 4), min_size=1, max_size=60),
    cut=st.floats(0, 1),
    seed=st.integers(0, 2**32),
)
def test_two_stratified_parts_are_within_one_sample_of_the_exact_share(
    labels: list[int], cut: float, seed: int
) -> None:
    size = round(cut * len(labels))
    parts = random_split(range(len(labels)), [size, len(labels) - size], seed, stratify=labels)
    assert [len(part) for part in parts] == [size, len(labels) - size]
    assert sorted(np.concatenate([part.indices for part in parts]).tolist()) == list(range(len(labels)))
    whole = np.bincount(labels, minlength=5)
    for part in parts:
        counts = np.bincount(np.array(labels)[part.indices], minlength=5)
        assert np.abs(counts - whole * len(part) / len(labels)).max() < 1


def test_every_part_has_a_rare_class_where_chance_would_miss_it() -> None:
    labels = np.array([0] * 990 + [1] * 10)
    for part in random_split(range(1000), [0.1] * 10, generator=0, stratify=labels):
        assert np.bincount(labels[part.indices]).tolist() == [99, 1]


def test_stratify_takes_the_labels_of_the_dataset() -> None:
    digits = Digits(train=False)
    half, _ = random_split(digits, [180, 180], generator=0, stratify=True)
    assert np.abs(np.bincount(half.labels) - np.bincount(digits.labels) / 2).max() < 1
    # not class by class
    assert (np.diff(half.labels) < 0).sum() > 50


def test_lengths_that_do_not_add_up_are_refused() -> None:
    for lengths in ([5, 4], [0.5, 0.4], [11, -1], [], [float("nan"), 1.0]):
        with pytest.raises(ArgumentError, match="random_split"):
            random_split(range(10), lengths)


def test_stratify_needs_a_label_for_each_sample() -> None:
    with pytest.raises(ArgumentError, match="Pass the labels"):
        random_split(range(10), [5, 5], stratify=True)
    with pytest.raises(ShapeError, match="one label for each of the 10"):
        random_split(range(10), [5, 5], stratify=[0, 1])


# ---- default_collate ---------------------------------------------------------------------------------------


def test_structures_are_collated_as_pytorch_collates_them() -> None:
    torch = pytest.importorskip("torch")
    Point = namedtuple("Point", "x y")

    def plain(batch):
        if isinstance(batch, (Tensor, torch.Tensor)):
            return batch.numpy().tolist()
        if isinstance(batch, dict):
            return {key: plain(value) for key, value in batch.items()}
        return [plain(part) for part in batch] if isinstance(batch, (tuple, list)) else batch

    samples: list = [
        [1, 2, 3],
        [0.5, 1.5],
        [True, False],
        ["a", "b"],
        [(np.arange(3), 1), (np.arange(3) + 3, 0)],
        [{"x": 1.0, "y": [1, 2]}, {"x": 2.0, "y": [3, 4]}],
        [Point(1, 2.0), Point(3, 4.0)],
    ]
    for batch in samples:
        assert plain(default_collate(batch)) == plain(torch.utils.data.default_collate(batch))
    assert type(default_collate(samples[-1])).__name__ == "Point"


def test_numbers_become_the_default_dtypes() -> None:
    assert default_collate([1, 2]).dtype == np.int64
    assert default_collate([1.0, 2]).dtype == np.float32
    assert default_collate([True, False]).dtype == np.bool_
    assert default_collate([1, 2.5]).numpy().tolist() == [1.0, 2.5]


def test_samples_that_do_not_fit_together_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"samples of one shape, got \[\(2,\), \(3,\)\]"):
        default_collate([np.zeros(2), np.zeros(3)])
    with pytest.raises(ShapeError, match="samples of 2 parts"):
        default_collate([(1, 2), (1,)])
    with pytest.raises(ShapeError, match="the keys"):
        default_collate([{"a": 1}, {"b": 1}])
    with pytest.raises(DTypeError, match="got object"):
        default_collate([object()])
    with pytest.raises(DTypeError, match="like the first"):
        default_collate([np.zeros(2), None])
    with pytest.raises(ShapeError, match="at least one sample"):
        default_collate([])


# ---- Dataset -----------------------------------------------------------------------------------------------


def test_a_dataset_of_ones_own_needs_two_methods() -> None:
    class Squares(Dataset):
        def __len__(self) -> int:
            return 5

        def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
            return np.full(2, index, np.float32), index**2

    x, y = Squares().gather(np.array([4, 2]))
    assert x.numpy().tolist() == [[4.0, 4.0], [2.0, 2.0]]
    assert y.numpy().tolist() == [16, 4]


def test_a_dataset_that_lacks_a_method_says_which() -> None:
    with pytest.raises(NotImplementedError, match="Dataset: implement __len__"):
        len(Dataset())
    with pytest.raises(NotImplementedError, match=r"Dataset: implement __getitem__\(index\)"):
        Dataset()[0]
