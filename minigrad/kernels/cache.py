"""Where compiled kernels are kept between processes, and what happens when that goes wrong.

Numba's own cache, with four differences that a user would otherwise meet as a surprise:

- an entry is out of date when ANY file of this folder has changed. Numba looks only at the file of the kernel itself,
  and would go on using old code of a function that it calls elsewhere;
- a cut or damaged file is forgotten and the kernel compiled again; Numba would raise EOFError or worse;
- no writable folder, or a full disk, means no cache;
- the first kernel that is really compiled says so on stderr, once a process: a first step that takes seconds should
  not look like a hang.

This module imports Numba; `jit.py` imports it when the first kernel is called.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba.core.caching import FunctionCache, IndexDataCacheFile, NullCache
from numba.extending import typeof_impl

from minigrad.kernels.jit import Kernel

__all__ = ["KernelCache", "open_cache"]


@typeof_impl.register(Kernel)
def _typeof_kernel(kernel: Kernel, context: Any) -> Any:
    """Inside a kernel, the name of another kernel means that one's compiled form."""
    return typeof_impl(kernel.dispatcher, context)


@functools.cache
def _folder_stamp() -> tuple[tuple[str, int, int], ...]:
    files = sorted(Path(__file__).parent.glob("*.py"))
    return tuple((file.name, file.stat().st_mtime_ns, file.stat().st_size) for file in files)


class KernelCache(FunctionCache):
    """Numba's cache of one function, in one form ('serial', 'parallel', 'task')."""

    def __init__(self, function: Callable[..., Any], form: str):
        super().__init__(function)
        self._form = form
        self._cache_file = IndexDataCacheFile(
            cache_path=self.cache_path,
            filename_base=self._impl.filename_base,
            source_stamp=(self._impl.locator.get_source_stamp(), _folder_stamp()),
        )

    def _index_key(self, sig: Any, codegen: Any) -> tuple[Any, ...]:
        return (*super()._index_key(sig, codegen), self._form)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            found = super().load_overload(sig, target_context)
        except Exception:
            # Unpickling damaged bytes may raise nearly anything; whatever it was, the remedy is the same.
            found = None
            self._forget()
        if found is None:
            announce(self._py_func.__name__, f"kept in {self.cache_path}")
        return found

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except OSError as error:
            _warn_unsaved(self.cache_path, error)

    def _forget(self) -> None:
        try:
            self.flush()
        except OSError as error:
            _warn_unsaved(self.cache_path, error)


class NoCache(NullCache):
    """Stands in where no folder can be written: every process compiles."""

    def __init__(self, function: Callable[..., Any]):
        self._name = function.__name__

    def load_overload(self, sig: Any, target_context: Any) -> None:
        announce(self._name, "not kept: no writable folder, set NUMBA_CACHE_DIR to one")


def open_cache(function: Callable[..., Any], form: str) -> KernelCache | NoCache:
    """The cache of `function`, or one that keeps nothing where no folder can be written."""
    try:
        return KernelCache(function, form)
    except (RuntimeError, OSError):
        return NoCache(function)


_said: set[str] = set()


def _say_once(subject: str, line: str) -> None:
    if subject not in _said:
        _said.add(subject)
        print(f"minigrad: {line}", file=sys.stderr, flush=True)


def announce(name: str, where: str) -> None:
    """Say once in a process that kernels are being compiled, starting with `name`."""
    _say_once("compiling", f"compiling kernels, first run only ({name}, ...; {where})")


def _warn_unsaved(folder: str, error: OSError) -> None:
    _say_once(
        "unsaved",
        f"compiled kernels cannot be kept in {folder} ({error}). Set NUMBA_CACHE_DIR to another folder.",
    )
