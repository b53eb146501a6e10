"""The safetensors format: named arrays and strings in a file that holds no code.

    8 bytes     n, the length of the header, little-endian
    n bytes     JSON: {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [begin, end]}, ...}, padded with
                spaces; under "__metadata__" a dictionary of strings
    the rest    the arrays, little-endian, in C order, one after the other without holes

Writing goes from the arrays' own memory to the file. Reading believes nothing that it has not compared with the size of
the file, so it never takes more memory than a small multiple of that.

A file can carry a checksum of itself. It is the first entry of the metadata, so other readers of the format see one
more string. It is the CRC-32 of the file with eight zeros in its own place, in which something shorter stands for the
arrays: each is taken as rows of 512 words of 8 bytes, and for every 256 rows stand the sums of the rows and those of
the columns, modulo 2^64; less than a row at the end stands for itself. That is several times faster than the CRC-32 of
every byte. A flipped bit always changes it, and of all other damage one case in 2^32 goes unnoticed.

References
----------
https://huggingface.co/docs/safetensors
"""

from __future__ import annotations

import json
import math
import os
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import numpy as np

from minigrad.errors import CheckpointError, DTypeError

__all__ = ["TensorFile", "parse_json", "read_tensors", "write_tensors"]

# In the order in which the format's own library writes them: larger elements first, so that all of them are aligned.
_DTYPES = {
    "U64": "<u8",
    "I64": "<i8",
    "F64": "<f8",
    "F32": "<f4",
    "U32": "<u4",
    "I32": "<i4",
    "F16": "<f2",
    "U16": "<u2",
    "I16": "<i2",
    "I8": "|i1",
    "U8": "|u1",
    "BOOL": "|b1",
    # numpy has no bfloat16; its bits are the upper half of a float32.
    "BF16": "<u2",
}
_CODES = {np.dtype(name): code for code, name in _DTYPES.items() if code != "BF16"}

_MAX_HEADER = 100_000_000  # the format's own limit
_MAX_DIMS = 64  # numpy's
_MAX_DIGITS = 1000  # of an integer: turning a text of many digits into a number takes quadratic time

_BEFORE_CHECKSUM = b'{"__metadata__":{"checksum":"'
_NO_CHECKSUM = b"00000000"

# The blocks of the checksum: 1 MB stays in the cache between the two sums.
_ROWS, _COLUMNS = 256, 512


@dataclass(frozen=True)
class TensorFile:
    """What is in a file: `arrays` by name, the strings of the metadata, and whether a checksum was there and right."""

    arrays: dict[str, np.ndarray]
    metadata: dict[str, str]
    checked: bool


def write_tensors(
    file: BinaryIO, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str], *, checksum: bool = False
) -> None:
    """Write arrays and strings to a file that is open for writing and seeking, at its beginning.

    The arrays stand in the order that the format's own library gives them, by dtype and then by name, so that equal
    content makes equal files.

    Raises
    ------
    DTypeError
        For an array of a dtype that the format does not have.
    """
    entries: dict[str, Any] = {}
    if checksum or metadata:
        entries["__metadata__"] = {**({"checksum": _NO_CHECKSUM.decode()} if checksum else {}), **metadata}
    dtypes = {name: array.dtype.newbyteorder("<") for name, array in arrays.items()}
    for name, dtype in dtypes.items():
        if dtype not in _CODES:
            known = ", ".join(sorted(dtype.name for dtype in _CODES))
            raise DTypeError(f"save: {name}: expected one of the dtypes {known}, got {dtype}.")
    order = {dtype: rank for rank, dtype in enumerate(_CODES)}
    parts, end = [], 0
    for name in sorted(arrays, key=lambda name: (order[dtypes[name]], name)):
        array, dtype = arrays[name], dtypes[name]
        begin, end = end, end + array.nbytes
        entries[name] = {"dtype": _CODES[dtype], "shape": list(array.shape), "data_offsets": [begin, end]}
        # Only an array with other strides, or of the other byte order, is copied.
        parts.append(np.ascontiguousarray(array, dtype).reshape(-1).view(np.uint8))
    text = json.dumps(entries, separators=(",", ":"), allow_nan=False, ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    start = bytearray(struct.pack("<Q", len(text)) + text)
    if checksum:
        at = 8 + len(_BEFORE_CHECKSUM)
        start[at : at + len(_NO_CHECKSUM)] = b"%08x" % _sum_up(parts, zlib.crc32(start))
    file.write(start)
    for part in parts:
        file.write(part.data)


def _sum_up(parts: list[np.ndarray], value: int) -> int:
    """Go on with a checksum over arrays of bytes; see the head of this file."""
    for part in parts:
        whole = part.size // (8 * _COLUMNS) * (8 * _COLUMNS)
        rows = part[:whole].view("<u8").reshape(-1, _COLUMNS)
        for first in range(0, len(rows), _ROWS):
            block = rows[first : first + _ROWS]
            value = zlib.crc32(block.sum(0).data, zlib.crc32(block.sum(1).data, value))
        value = zlib.crc32(part[whole:].data, value)
    return value


def read_tensors(path: str | os.PathLike[str], owner: str) -> TensorFile:
    """Read a file, and check it.

    Parameters
    ----------
    path : str or path-like
    owner : str
        The name of the function that messages begin with.

    Raises
    ------
    CheckpointError
        When the file is missing, cut, damaged, or not a safetensors file.
    """
    path = Path(path)
    try:
        if not path.is_file():  # a named pipe would block in open()
            raise CheckpointError(f"{owner}: expected a file at {path}, got none there. Check the path.")
        with open(path, "rb") as file:
            return _read(file)
    except _Malformed as error:
        raise CheckpointError(
            f"{owner}: expected a whole safetensors file, got {path}, which is cut, damaged or something else: {error}."
        ) from None
    except CheckpointError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a path with a zero byte
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise CheckpointError(f"{owner}: cannot read {path}: {reason}. Check the path and its permissions.") from error


class _Malformed(Exception):
    """Why this is not a file of this format."""


def _read(file: BinaryIO) -> TensorFile:
    size = os.fstat(file.fileno()).st_size
    start = file.read(8)
    length = struct.unpack("<Q", start)[0] if len(start) == 8 else size
    if length > min(size - 8, _MAX_HEADER):
        raise _Malformed(f"its {size} bytes cannot hold the header of {length} bytes that it announces")
    text = file.read(length)
    entries, metadata = _parse_header(text, size - 8 - length)
    checksum = zlib.crc32(_without_checksum(text), zlib.crc32(start))
    arrays = {}
    for name, (code, shape, nbytes) in entries.items():
        raw = np.empty(nbytes, np.uint8)
        if file.readinto(raw.data) != nbytes:  # type: ignore[attr-defined]
            raise _Malformed(f"it ends within {name!r}")
        checksum = _sum_up([raw], checksum)
        arrays[name] = _as_array(raw, code, shape)
    given = metadata.pop("checksum", None) if text.startswith(_BEFORE_CHECKSUM) else None
    if given is not None and given != f"{checksum:08x}":
        raise _Malformed(f"its content has the checksum {checksum:08x}, and it was written with {given!r:.12}")
    return TensorFile(arrays, metadata, checked=given is not None)


def _without_checksum(text: bytes) -> bytes:
    place = len(_BEFORE_CHECKSUM)
    if not text.startswith(_BEFORE_CHECKSUM):
        return text
    return text[:place] + _NO_CHECKSUM + text[place + len(_NO_CHECKSUM) :]


def _as_array(raw: np.ndarray, code: str, shape: tuple[int, ...]) -> np.ndarray:
    array = raw.view(_DTYPES[code])
    if code == "BF16":
        array = (array.astype("<u4") << 16).view("<f4")
    if code == "BOOL" and (raw > 1).any():
        raise _Malformed("a boolean in it is neither 0 nor 1")
    return array.astype(array.dtype.newbyteorder("="), copy=False).reshape(shape)


Entry = tuple[str, tuple[int, ...], int]


def _parse_header(text: bytes, data_bytes: int) -> tuple[dict[str, Entry], dict[str, str]]:
    """The arrays that a header lists, in the order of the file, and its metadata."""
    if not text.startswith(b"{"):
        raise _Malformed(f"its header begins with {text[:8]!r}, not with a brace")
    try:
        entries = parse_json(text.decode())
    except ValueError as error:
        raise _Malformed(f"its header is no valid JSON ({error})") from None
    metadata = entries.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise _Malformed("its metadata is not a dictionary of strings")
    listed = sorted((*_offsets(name, entry), name) for name, entry in entries.items())
    position, found = 0, {}
    for begin, end, name in listed:
        if begin != position or end < begin:
            raise _Malformed(f"{name!r} is at bytes {begin} to {end}, where {position} is the next that is free")
        found[name] = _entry(name, entries[name], end - begin)
        position = end
    if position != data_bytes:
        raise _Malformed(f"it has {data_bytes} bytes of data, and its header lists {position}")
    return found, metadata


def _offsets(name: str, entry: Any) -> tuple[int, int]:
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise _Malformed(f"the entry {name!r:.80} has not exactly dtype, shape and data_offsets")
    offsets = entry["data_offsets"]
    if not _are_sizes(offsets) or len(offsets) != 2:
        raise _Malformed(f"the offsets of {name!r:.80} are {offsets!r:.80}, not two sizes")
    return offsets[0], offsets[1]


def _entry(name: str, entry: dict[str, Any], nbytes: int) -> Entry:
    code, shape = entry["dtype"], entry["shape"]
    if not isinstance(code, str) or code not in _DTYPES:
        raise _Malformed(f"{name!r:.80} has the dtype {code!r:.20}, and known are {', '.join(_DTYPES)}")
    if not _are_sizes(shape) or len(shape) > _MAX_DIMS:
        raise _Malformed(f"the shape of {name!r:.80} is {shape!r:.80}, not a list of sizes")
    itemsize = np.dtype(_DTYPES[code]).itemsize
    # numpy refuses a shape by the product of the sizes that are not zero, even where there is nothing to hold.
    if math.prod(shape) * itemsize != nbytes or math.prod(n for n in shape if n) * itemsize >= 2**63:
        raise _Malformed(f"{name!r:.80} has {nbytes} bytes, which is not the shape {shape!r:.80} in {code}")
    return code, tuple(shape), nbytes


def _are_sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(n) is int and 0 <= n < 2**63 for n in value)


def parse_json(text: str) -> Any:
    """Parse JSON by the letter: a key that comes twice, NaN and absurdly long numbers are errors.

    Raises
    ------
    ValueError
        For everything that is wrong with the text, also for brackets nested too deeply.
    """
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_int=_integer, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice!r:.80} comes twice")
    return made


def _integer(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise ValueError(f"a number has {len(digits)} digits")
    return int(digits)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")
