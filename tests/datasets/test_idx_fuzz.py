"""Mutated IDX files: whatever happens to the bytes, one typed error or a right answer, in bounded memory."""

from __future__ import annotations

import gzip
import math
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from minigrad.datasets import MNIST, read_idx, write_idx
from minigrad.errors import DataError

MAX_BYTES = 2**20

# What reading may take beyond the array: buffers of gzip and of the file.
OVERHEAD = 2**20


def mutate(content: bytes, rng: np.random.Generator) -> bytes:
    """One or two changes: a flipped bit, another byte, a hostile size, a cut, an insertion, a block moved or "
    "doubled."""
    data = bytearray(content)
    for _ in range(rng.integers(1, 3)):
        place = int(rng.integers(0, max(len(data), 1)))
        # Half of the changes hit the header, where they matter most.
        if rng.random() < 0.5:
            place = min(place, int(rng.integers(0, 24)))
        kind = rng.integers(0, 7)
        if kind == 0 and place < len(data):
            data[place] ^= 1 << rng.integers(0, 8)
        elif kind == 1 and place < len(data):
            data[place] = rng.integers(0, 256)
        elif kind == 2:
            size = int(rng.choice([0, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**16, 65537]))
            data[place : place + 4] = struct.pack(">I", size)
        elif kind == 3:
            del data[place:]
        elif kind == 4:
            data[place:place] = rng.bytes(int(rng.integers(1, 9)))
        elif kind == 5:
            del data[place : place + int(rng.integers(1, 17))]
        else:
            data[place:place] = data[place : place + int(rng.integers(1, 65))]
    return bytes(data)


def plain_reading(content: bytes) -> np.ndarray | None:
    """The format written down a second time, for files that are not compressed; None is 'not an IDX file'."""
    dtypes = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in dtypes or not 1 <= content[3] <= 32:
        return None
    start = 4 + 4 * content[3]
    if len(content) < start:
        return None
    shape = struct.unpack(f">{content[3]}I", content[4:start])
    dtype = np.dtype(dtypes[content[2]])
    if len(content) - start != math.prod(shape) * dtype.itemsize or math.prod(max(n, 1) for n in shape) > MAX_BYTES:
        return None
    return np.frombuffer(content, dtype, offset=start).reshape(shape)


def overwrite(path: Path, content: bytes) -> None:
    """`write_bytes` without making the file anew, which takes most of the time of 20,000 rounds."""
    with open(path, "r+b") as file:
        file.write(content)
        file.truncate()


def check(path: Path, content: bytes, compressed: bool, original: np.ndarray) -> bool:
    """Read a mutated file; True if it was accepted."""
    overwrite(path, content)
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    try:
        values = read_idx(path, max_bytes=MAX_BYTES)
    except DataError:
        accepted = False
    else:
        accepted = True
        if content[:2] == b"\x1f\x8b":
            # The check sum of gzip leaves only changes of its header that do not touch the content.
            assert compressed
            np.testing.assert_array_equal(values, original)
        else:
            expected = plain_reading(content)
            assert expected is not None
            assert values.tobytes() == expected.astype(expected.dtype.newbyteorder("=")).tobytes()
            assert values.shape == expected.shape
    if content[:2] != b"\x1f\x8b":
        assert accepted == (plain_reading(content) is not None)
    assert tracemalloc.get_traced_memory()[1] - before < MAX_BYTES + OVERHEAD
    return accepted


@pytest.mark.parametrize("count", [600, pytest.param(20_000, marks=pytest.mark.slow)])
def test_a_mutated_file_is_refused_or_read_rightly_in_bounded_memory(tmp_path: Path, count: int) -> None:
    rng = np.random.default_rng(count)
    originals = [
        rng.integers(0, 256, (5, 6, 7), dtype=np.uint8),
        np.arange(10, dtype=np.uint8),
        rng.standard_normal((3, 4)).astype(np.float32),
        rng.integers(-100, 100, 12).astype(np.int16),
    ]
    contents = {}
    for number, original in enumerate(originals):
        for compressed, name in ((False, "x"), (True, "x.gz")):
            write_idx(tmp_path / name, original)
            contents[number, compressed] = (tmp_path / name).read_bytes()
    (tmp_path / "mutated").touch()
    accepted = 0
    tracemalloc.start()
    try:
        for k in range(count):
            original, compressed = originals[k // 2 % 4], k % 2 == 1
            content = contents[k // 2 % 4, compressed]
            accepted += check(tmp_path / "mutated", mutate(content, rng), compressed, original)
    finally:
        tracemalloc.stop()
    # Both answers must occur often, or the mutations would be testing nothing.
    assert 0.05 * count < accepted < 0.6 * count


@pytest.mark.parametrize("count", [100, pytest.param(2_000, marks=pytest.mark.slow)])
def test_mutated_mnist_files_are_refused_or_make_a_sound_dataset(
    tmp_path: Path, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MINIGRAD_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    rng = np.random.default_rng(count)
    images, labels = tmp_path / "train-images-idx3-ubyte.gz", tmp_path / "train-labels-idx1-ubyte.gz"
    write_idx(images, rng.integers(0, 256, (4, 28, 28), dtype=np.uint8))
    write_idx(labels, np.array([3, 1, 4, 1], np.uint8))
    whole = images.read_bytes(), labels.read_bytes()
    sound = 0
    for k in range(count):
        raw = [gzip.decompress(content) for content in whole]
        raw[k % 2] = mutate(raw[k % 2], rng)
        overwrite(images, gzip.compress(raw[0], 1))
        overwrite(labels, gzip.compress(raw[1], 1))
        try:
            mnist = MNIST(tmp_path)
        except DataError:
            continue
        sound += 1
        assert mnist.images.shape == (len(mnist.labels), 1, 28, 28)
        assert mnist.labels.max() <= 9
        assert mnist[:][0].shape == mnist.images.shape
    assert sound > 0.02 * count
