"""Tensors in files: safetensors, written so that a file is either the old one or the new one, never half of it.

A safetensors file holds named arrays and a dictionary of strings, and no code: reading one runs nothing. The format
itself is in `tensor_file.py`; whole training runs, with optimizer and random state, are saved by `checkpoint.py`.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from minigrad.errors import ArgumentError, DTypeError
from minigrad.tensor import Tensor, from_numpy
from minigrad.tensor_file import read_tensors, write_tensors

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["load", "replacing", "save", "write_atomically"]

Pathlike = str | os.PathLike[str]


def write_atomically(path: Pathlike, content: bytes) -> None:
    """Put `content` into the file `path`: all of it or, whatever happens, nothing."""
    with replacing(path) as file:
        file.write(content)


@contextlib.contextmanager
def replacing(path: Pathlike) -> Iterator[BinaryIO]:
    """Open a file to write that becomes `path` at the end of the `with` block, or never.

    It is written beside the target and flushed to the disk, then takes the target's name in one step, and the folder
    is flushed so that the name survives a power cut as well. What a killed process left of an earlier attempt at the
    same target is removed.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> target = pathlib.Path(tempfile.mkdtemp(), "x.txt")
    >>> with replacing(target) as file:
    ...     _ = file.write(b"whole")
    ...     target.exists()
    False
    >>> target.read_text()
    'whole'
    """
    target = Path(path)
    _remove_abandoned(target)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    try:
        with _locked(handle):
            with os.fdopen(handle, "wb", closefd=False) as file:
                yield file
                file.flush()
                os.fsync(handle)
            umask = os.umask(0)
            os.umask(umask)
            os.chmod(name, 0o666 & ~umask)  # mkstemp makes files that only their owner can read
            if fcntl is not None:
                os.replace(name, target)
        if fcntl is None:
            os.replace(name, target)  # Windows renames only closed files
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
    if hasattr(os, "O_DIRECTORY"):
        folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@contextlib.contextmanager
def _locked(handle: int) -> Iterator[None]:
    """Hold the lock that says that a process is writing this file, and close the file at the end."""
    try:
        if fcntl is not None:
            fcntl.flock(handle, fcntl.LOCK_EX)  # the kernel lets go of it when the process dies
        yield
    finally:
        os.close(handle)


def _remove_abandoned(target: Path) -> None:
    """Remove unfinished files for `target` that no process is writing any more."""
    if fcntl is None:
        return
    for entry in os.scandir(target.parent):
        if entry.name.startswith(f".{target.name}.") and entry.name.endswith(".part"):
            with contextlib.suppress(OSError), open(entry.path, "rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails while its writer lives
                os.unlink(entry.path)


def save(tensors: Mapping[str, Any], path: Pathlike, metadata: Mapping[str, str] | None = None) -> None:
    """Write named tensors, such as a `state_dict()`, to a safetensors file.

    Parameters
    ----------
    tensors : mapping from name to Tensor or array
    path : file to write; an existing one is replaced in one step
    metadata : strings to keep with them, such as the model's name

    Raises
    ------
    DTypeError, ArgumentError
        For values that are no tensors, or metadata that is not all strings.
    OSError
        When the file cannot be written; the old file is still there then.

    Examples
    --------
    >>> import minigrad
    >>> minigrad.save({"w": minigrad.tensor([1.0, 2.0])}, "weights.safetensors")
    >>> minigrad.load("weights.safetensors")
    {'w': tensor([1., 2.])}
    """
    arrays = {}
    for name, value in tensors.items():
        array = value.data if isinstance(value, Tensor) else value
        if not isinstance(array, np.ndarray):
            raise DTypeError(f"save: {name}: expected a Tensor or an array, got {type(value).__name__}.")
        arrays[name] = array
    for key, text in (metadata or {}).items():
        if not isinstance(key, str) or not isinstance(text, str):
            raise ArgumentError(f"save: expected metadata of strings, got {key!r}: {text!r:.60}.")
        if key == "checksum":
            raise ArgumentError(
                "save: expected metadata without 'checksum', where a checkpoint has its own. Take another name."
            )
    with replacing(path) as file:
        write_tensors(file, arrays, metadata or {})


def load(path: Pathlike) -> dict[str, Tensor]:
    """Read the tensors of a safetensors file.

    Raises
    ------
    CheckpointError
        When the file is missing, cut, damaged, or not a safetensors file. (A file that `save_checkpoint` wrote has a
        checksum, which is compared; in others damage inside of the numbers cannot be seen.)

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> model = nn.Linear(2, 1)
    >>> minigrad.save(model.state_dict(), "model.safetensors")
    >>> model.load_state_dict(minigrad.load("model.safetensors"))
    LoadResult(missing_keys=[], unexpected_keys=[])
    """
    return {name: from_numpy(array) for name, array in read_tensors(path, "load").arrays.items()}
