"""The IDX reader: what it reads, and what it says about files that are not what they claim."""

from __future__ import annotations

import gzip
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from minigrad.datasets import read_idx, write_idx
from minigrad.errors import ArgumentError, DataError

DTYPES = ["uint8", "int8", "int16", "int32", "float32", "float64"]


def header(code: int, *sizes: int) -> bytes:
    return bytes([0, 0, code, len(sizes)]) + struct.pack(f">{len(sizes)}I", *sizes)


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_what_was_written_is_read_back_in_native_byte_order(tmp_path: Path, dtype: str, suffix: str) -> None:
    values = (np.random.default_rng(0).standard_normal((3, 4, 5)) * 50).astype(dtype)
    write_idx(tmp_path / f"values{suffix}", values)
    read = read_idx(tmp_path / f"values{suffix}")
    assert read.dtype == np.dtype(dtype)
    assert read.dtype.isnative
    assert read.flags.writeable
    np.testing.assert_array_equal(read, values)


def test_bytes_laid_out_by_hand_are_read_as_the_format_says(tmp_path: Path) -> None:
    # int16, shape (2, 2): 1, -2, 256, 32767, big-endian
    (tmp_path / "x").write_bytes(header(0x0B, 2, 2) + bytes.fromhex("0001 fffe 0100 7fff"))
    assert read_idx(tmp_path / "x").tolist() == [[1, -2], [256, 32767]]


def test_an_array_without_elements_is_read(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(header(0x08, 0, 28, 28))
    assert read_idx(tmp_path / "x").shape == (0, 28, 28)


def test_compression_is_recognised_by_content_not_by_name(tmp_path: Path) -> None:
    content = header(0x08, 3) + bytes([7, 8, 9])
    (tmp_path / "plain.gz").write_bytes(content)
    (tmp_path / "compressed").write_bytes(gzip.compress(content))
    assert read_idx(tmp_path / "plain.gz").tolist() == [7, 8, 9]
    assert read_idx(tmp_path / "compressed").tolist() == [7, 8, 9]


GOOD = header(0x08, 2, 3) + bytes(range(6))
GZIPPED = gzip.compress(GOOD, mtime=0)

DAMAGED = {
    "empty": (b"", "cut"),
    "cut in the magic number": (GOOD[:3], "cut"),
    "cut in the sizes": (GOOD[:9], "cut"),
    "cut in the values": (GOOD[:-1], "cut"),
    "one byte too long": (GOOD + b"\0", "got more"),
    "first byte not zero": (b"\1" + GOOD[1:], "header"),
    "unknown type code": (header(0x0A, 2, 3) + bytes(6), "header"),
    "no dimensions": (bytes([0, 0, 8, 0]), "header"),
    "33 dimensions": (header(0x08, *[1] * 33) + b"\0", "header"),
    "promises 4 GiB": (header(0x08, 2**32 - 1) + bytes(6), "at most"),
    "promises 2**160 bytes": (header(0x08, *[2**32 - 1] * 5), "at most"),
    "promises nothing of 2**64 rows": (header(0x08, 0, 2**32 - 1, 2**32 - 1), "at most"),
    "promises 1 GiB": (header(0x08, 2**30) + bytes(6), "too small"),
    "gzip cut": (GZIPPED[:-9], "cannot be read"),
    "gzip without check sum": (GZIPPED[:-8], "cannot be read"),
    "gzip with a wrong check sum": (GZIPPED[:-8] + bytes(4) + GZIPPED[-4:], "cannot be read"),
    "gzip with bytes after it": (GZIPPED + b"tail", "cannot be read"),
    "gzip of a cut file": (gzip.compress(GOOD[:-1]), "cut"),
    "gzip of a longer file": (gzip.compress(GOOD + b"\0"), "got more"),
    "two gzip members": (GZIPPED + gzip.compress(b"\0"), "got more"),
    "gzip that promises 1 GiB": (gzip.compress(header(0x08, 2**30) + bytes(6)), "too small"),
    "web page": (b"<!DOCTYPE html><html>404</html>", "header"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_file_is_one_typed_error_that_says_why(tmp_path: Path, name: str) -> None:
    content, reason = DAMAGED[name]
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(DataError, match=reason) as caught:
        read_idx(tmp_path / "x")
    assert str(tmp_path / "x") in str(caught.value)


@pytest.mark.parametrize("compressed", [False, True])
def test_a_header_that_promises_a_gigabyte_costs_no_memory(tmp_path: Path, compressed: bool) -> None:
    content = header(0x08, 2**30) + bytes(100)
    (tmp_path / "x").write_bytes(gzip.compress(content) if compressed else content)
    tracemalloc.start()
    try:
        with pytest.raises(DataError):
            read_idx(tmp_path / "x")
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_a_compression_bomb_is_refused_before_it_unfolds(tmp_path: Path) -> None:
    # 64 MiB of zeros behind a header for 10 bytes
    (tmp_path / "x").write_bytes(gzip.compress(header(0x08, 10) + bytes(2**26)))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="got more"):
            read_idx(tmp_path / "x")
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_max_bytes_is_the_limit_for_the_values(tmp_path: Path) -> None:
    write_idx(tmp_path / "x", np.zeros(10, np.float64))
    assert read_idx(tmp_path / "x", max_bytes=80).shape == (10,)
    with pytest.raises(DataError, match="at most 79 bytes"):
        read_idx(tmp_path / "x", max_bytes=79)


def test_a_missing_file_and_a_folder_are_data_errors(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(DataError, match="no such file"):
            read_idx(path)


def test_the_writer_refuses_what_the_format_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="expected one of float32, float64, int16"):
        write_idx(tmp_path / "x", np.zeros(3, np.int64))
    with pytest.raises(ArgumentError, match="dimensions"):
        write_idx(tmp_path / "x", np.zeros((), np.uint8))
    assert not (tmp_path / "x").exists()
