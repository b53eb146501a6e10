"""IDX, the file format of MNIST: read strictly, in bounded memory, and written.

A file is a header and the values, all of it big-endian:

    byte 0, 1   zero
    byte 2      code of the value type (the table `_DTYPES`)
    byte 3      number of dimensions d
    d x 4       the sizes, unsigned
    the rest    the values in C order, and nothing after them

Nothing that the header claims is believed before it was compared with the size of the file: a header of
sixteen bytes that promises gigabytes costs sixteen bytes.
"""

from __future__ import annotations

import gzip
import io
import math
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from minigrad.errors import ArgumentError, DataError

__all__ = ["read_idx", "write_idx"]

_DTYPES: dict[int, np.dtype[Any]] = {
    0x08: np.dtype(">u1"),
    0x09: np.dtype(">i1"),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}
_CODES = {dtype: code for code, dtype in _DTYPES.items()}

# MNIST needs 3; a numpy array can have 64.
_MAX_DIMS = 32

# DEFLATE cannot do better: a match of 258 bytes takes at least 2 bits.
_DEFLATE_RATIO = 1032

_GZIP_MAGIC = b"\x1f\x8b"


def read_idx(path: str | os.PathLike[str], *, max_bytes: int = 2**30) -> np.ndarray:
    """Read one IDX file, plain or gzip-compressed (told apart by content, not by name).

    Parameters
    ----------
    path : str or path-like
        The file.
    max_bytes : int, default 2**30
        The largest array, in bytes, that a file may hold.

    Returns
    -------
    numpy.ndarray
        The values in native byte order, writable and C-contiguous.

    Raises
    ------
    DataError
        The file is missing, no IDX file, cut, damaged, longer than its header says, or larger than
        `max_bytes`.

    References
    ----------
    Y. LeCun, C. Cortes and C. Burges, "The MNIST database of handwritten digits", section "File formats".

    Examples
    --------
    >>> import tempfile, os
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     name = os.path.join(folder, "labels-idx1-ubyte")
    ...     write_idx(name, np.array([7, 2, 1], dtype=np.uint8))
    ...     read_idx(name)
    array([7, 2, 1], dtype=uint8)
    """
    path = Path(path)
    # A named pipe would block in open(), a folder would fail there with a message about something else.
    if not path.is_file():
        raise DataError(f"read_idx: expected an IDX file at {path}, got no such file. Check the path.")
    try:
        with open(path, "rb") as file:
            stored = os.fstat(file.fileno()).st_size
            compressed = file.read(2) == _GZIP_MAGIC
            file.seek(0)
            if not compressed:
                return _read_stream(file, path, max_bytes, most=stored)
            with gzip.GzipFile(fileobj=file) as stream:
                return _read_stream(stream, path, max_bytes, most=stored * _DEFLATE_RATIO)
    except DataError:
        raise
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"read_idx: expected a whole IDX file at {path}, got one that cannot be read ({error}). "
            "Remove it and fetch it again."
        ) from error


def write_idx(path: str | os.PathLike[str], array: np.ndarray) -> None:
    """Write an array as an IDX file; a name that ends in `.gz` is compressed.

    Parameters
    ----------
    path : str or path-like
        The file; it is overwritten.
    array : numpy.ndarray
        uint8, int8, int16, int32, float32 or float64, of 1 to 32 dimensions.

    Raises
    ------
    ArgumentError
        IDX has no code for the dtype, or no way to write the shape.

    Examples
    --------
    >>> import numpy as np
    >>> from minigrad.datasets import read_idx, write_idx
    >>> write_idx("labels.idx.gz", np.array([7, 2, 1], np.uint8))
    >>> read_idx("labels.idx.gz")
    array([7, 2, 1], dtype=uint8)
    """
    dtype = array.dtype.newbyteorder(">")
    if dtype not in _CODES:
        names = ", ".join(sorted(known.newbyteorder("=").name for known in _CODES))
        raise ArgumentError(f"write_idx: expected one of {names}, got {array.dtype}. Convert it with astype().")
    if not 1 <= array.ndim <= _MAX_DIMS or max(array.shape) >= 2**32:
        raise ArgumentError(
            f"write_idx: expected 1 to {_MAX_DIMS} dimensions below 2**32, got shape {array.shape}. Reshape it."
        )
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, _CODES[dtype], array.ndim, *array.shape)
    content = header + array.astype(dtype).tobytes()
    # Without a time stamp the same array always makes the same file.
    Path(path).write_bytes(gzip.compress(content, mtime=0) if str(path).endswith(".gz") else content)


def _read_stream(stream: io.BufferedIOBase, path: Path, max_bytes: int, most: int) -> np.ndarray:
    """Read the (uncompressed) bytes of an IDX file, which are at most `most`."""
    zero, code, ndim = struct.unpack(">HBB", _read_exactly(stream, 4, path))
    if zero != 0 or code not in _DTYPES or not 1 <= ndim <= _MAX_DIMS:
        raise DataError(
            f"read_idx: expected an IDX header at the start of {path}, got the bytes "
            f"{struct.pack('>HBB', zero, code, ndim).hex(' ')}. Check that this is the right file."
        )
    shape = struct.unpack(f">{ndim}I", _read_exactly(stream, 4 * ndim, path))
    dtype = _DTYPES[code]
    size = math.prod(shape) * dtype.itemsize
    # numpy refuses a shape by the product of its non-zero sizes, even where another size is 0.
    if math.prod(max(length, 1) for length in shape) * dtype.itemsize > max_bytes:
        raise DataError(
            f"read_idx: expected at most {max_bytes} bytes of values, got a header of shape {shape} and "
            f"dtype {dtype.name} in {path}. Raise max_bytes if you trust the file."
        )
    if size > most:
        raise DataError(
            f"read_idx: expected {size} bytes of values for the shape {shape}, got a file that is too small "
            f"to hold them: {path}. Remove it and fetch it again."
        )
    values = np.empty(shape, dtype)
    # A zero-sized array has no buffer to read into.
    if size:
        _read_into(stream, values.reshape(-1).view(np.uint8).data, path)
    # At the end of a gzip stream this also checks length and CRC.
    if stream.read(1):
        raise DataError(
            f"read_idx: expected {path} to end after {size} bytes of values for the shape {shape}, got more. "
            "Remove it and fetch it again."
        )
    native = dtype.newbyteorder("=")
    return values.view(native) if dtype == native else values.byteswap(inplace=True).view(native)


def _read_exactly(stream: io.BufferedIOBase, count: int, path: Path) -> bytes:
    buffer = bytearray(count)
    _read_into(stream, memoryview(buffer), path)
    return bytes(buffer)


def _read_into(stream: io.BufferedIOBase, buffer: memoryview, path: Path) -> None:
    """Fill the buffer from the stream, which must have that much left."""
    filled = 0
    while filled < len(buffer):
        count = stream.readinto(buffer[filled:])
        if not count:
            raise DataError(
                f"read_idx: expected {len(buffer)} more bytes, got {filled} before the end of {path}. "
                "The file is cut: remove it and fetch it again."
            )
        filled += count
