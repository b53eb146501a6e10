"""Tensors in files: safetensors, written so that a file is either the old one or the new one, never half of it.

A safetensors file holds named arrays and a dictionary of strings, and no code: reading one runs nothing.
Source of the format: https://huggingface.co/docs/safetensors
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from minigrad.errors import ArgumentError, CheckpointError, DTypeError
from minigrad.tensor import Tensor, from_numpy

__all__ = ["load", "save", "write_atomically"]

Pathlike = str | os.PathLike[str]


def write_atomically(path: Pathlike, content: bytes) -> None:
    """Put `content` into the file `path`: all of it or, whatever happens, nothing.

    It is written beside the target and flushed to the disk, then takes the target's name in one step, and the folder
    is flushed so that the name survives a power cut as well.
    """
    target = Path(path)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)  # mkstemp makes files that only their owner can read
        os.replace(name, target)
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
    """
    from safetensors.numpy import save as to_bytes

    arrays = {}
    for name, value in tensors.items():
        array = value.data if isinstance(value, Tensor) else value
        if not isinstance(array, np.ndarray):
            raise DTypeError(f"save: {name}: expected a Tensor or an array, got {type(value).__name__}.")
        # The library writes the memory as it lies: an array with other strides would come back scrambled.
        arrays[name] = np.ascontiguousarray(array).reshape(array.shape)
    for key, text in (metadata or {}).items():
        if not isinstance(key, str) or not isinstance(text, str):
            raise ArgumentError(f"save: expected metadata of strings, got {key!r}: {text!r:.60}.")
    write_atomically(path, to_bytes(arrays, dict(metadata) if metadata else None))


def load(path: Pathlike) -> dict[str, Tensor]:
    """Read the tensors of a safetensors file.

    Raises
    ------
    CheckpointError
        When the file is missing, cut, or not a safetensors file.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load as from_bytes

    try:
        arrays = from_bytes(Path(path).read_bytes())
    except (SafetensorError, KeyError, ValueError) as error:
        raise CheckpointError(f"load: {path} is cut or is not a safetensors file ({error}).") from error
    except OSError as error:
        raise CheckpointError(f"load: cannot read {path}: {error.strerror or error}.") from error
    return {name: from_numpy(array) for name, array in arrays.items()}
