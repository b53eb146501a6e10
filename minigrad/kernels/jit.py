"""The one way in which minigrad compiles: `@kernel` around a plain Python loop.

    @kernel
    def axpy(a, x, y):
        for i in range(x.size):
            y[i] += a * x[i]

A kernel is an ordinary function until it is called. Then Numba is imported (it costs 0.2 s, which `import
minigrad` does not pay), the loop is compiled for the dtypes that came, and the machine code is kept in Numba's
cache folder for the next process. What every kernel has in common is decided here and nowhere else:

- division by zero gives inf or NaN as in numpy (`error_model='numpy'`);
- each operation is rounded as it is written; `reorder=True` lets a sum be added up in another order, which vectors
  need, but never assumes that NaN does not come (`REORDER`);
- the GIL is released, so other Python threads go on;
- a damaged cache file means compiling again, never a traceback (`cache.py`);
- with `NUMBA_DISABLE_JIT=1` the function runs as the Python that it is.

Write kernels at module level, never inside a function: the cache finds them by file and line. Cast hyper-parameters to
the array's dtype outside (`dtype.type(lr)`): a float64 scalar makes Numba compute the whole loop in float64.

Threads
-------
`@kernel(parallel=True)` splits each loop over `prange` among threads; `axpy.serial(...)` is the same loop on one.
Starting threads costs 1 to 15 microseconds, so a caller chooses by size. Two traps are guarded here: Numba's own
'workqueue' threads abort the process when two Python threads start loops at once (a lock), and GNU OpenMP
aborts a forked child that starts one (a child of `fork` runs every loop serially).
"""

from __future__ import annotations

import contextlib
import functools
import gc
import os
import sys
import threading
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, overload

from minigrad.errors import ArgumentError

__all__ = [
    "REORDER",
    "SHARES",
    "Kernel",
    "get_num_threads",
    "jit_disabled",
    "kernel",
    "prange",
    "set_num_threads",
    "tasks_if",
    "threads_if",
    "uncollected",
]

# LLVM's licences for it. 'nnan' and 'ninf' would let it assume that NaN never comes, and `isnan` would lie; 'afn' would
# let it replace exp and log by coarser ones. The four below only allow sums to be reordered and fused.
REORDER = frozenset({"reassoc", "contract", "nsz", "arcp"})

# How many tasks a kernel's work is cut into for each thread: so that fast cores can take over some of slow ones' work.
SHARES = 8

# Numba knows its parallel loop by the object `numba.prange`; that is put into a kernel's module when the kernel is
# compiled, so that the module can be imported without Numba.
prange = range


@functools.cache
def jit_disabled() -> bool:
    """Whether kernels run as plain Python (`NUMBA_DISABLE_JIT=1`): slow, same answers."""
    return os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Let Python's cyclic collector rest: a compiler makes many objects that live on; a tenth of its time went there.

    What is garbage by then is collected afterwards.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class Kernel:
    """A function that Numba compiles at its first call.

    Made by the decorator `kernel`. One kernel may call another by its name.

    Parameters
    ----------
    function : callable
        A module-level function in the part of Python that Numba compiles.
    parallel : bool
        Whether its `prange` loops are split among threads.
    internal : bool
        The kernel is called by other kernels only. No entry for Python is compiled, which saves time.
    reorder : bool
        Sums may be added up in any order. For loops that write no array: of one that does, LLVM makes two versions,
        with vectors and without, and equal calls run the one or the other as their arrays lie in memory, far from each
        other or close. With the licence the two round differently.
    """

    def __init__(self, function: Callable[..., Any], parallel: bool, internal: bool, reorder: bool = False):
        functools.update_wrapper(self, function)
        self.function = function
        self.parallel = parallel
        self.internal = internal
        self.reorder = reorder

    def __call__(self, *args: Any) -> Any:
        if self.parallel:
            return call_parallel(self.dispatcher, self.serial, args)
        return self.dispatcher(*args)

    def __repr__(self) -> str:
        return f"<kernel {self.__module__}.{self.function.__qualname__}>"

    @functools.cached_property
    def dispatcher(self) -> Callable[..., Any]:
        """What Numba makes of the function; the function itself when compiling is disabled."""
        return self._compile(self.parallel)

    @functools.cached_property
    def serial(self) -> Callable[..., Any]:
        """The same loops on the calling thread alone."""
        return self._compile(False) if self.parallel else self.dispatcher

    def _compile(self, parallel: bool) -> Callable[..., Any]:
        if jit_disabled():
            return self.function
        numba = load_numba()
        namespace = self.function.__globals__
        if namespace.get("prange") is range:
            namespace["prange"] = numba.prange
        options: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True} if self.internal else {}
        if not parallel:
            options["pipeline_class"] = _compiler()
        fastmath = set(REORDER) if self.reorder else False
        dispatcher = numba.njit(error_model="numpy", fastmath=fastmath, nogil=True, parallel=parallel, **options)(
            self.function
        )
        dispatcher._cache = _cache_module().open_cache(self.function, "parallel" if parallel else "serial")
        dispatcher.compile = uncollected()(dispatcher.compile)  # what a call does that finds nothing compiled
        return dispatcher


@overload
def kernel(function: Callable[..., Any], /) -> Kernel: ...
@overload
def kernel(
    *, parallel: bool = ..., internal: bool = ..., reorder: bool = ...
) -> Callable[[Callable[..., Any]], Kernel]: ...
def kernel(
    function: Callable[..., Any] | None = None,
    /,
    *,
    parallel: bool = False,
    internal: bool = False,
    reorder: bool = False,
) -> Kernel | Callable[[Callable[..., Any]], Kernel]:
    """Compile a loop with Numba at its first call; see the head of this file and `Kernel`.

    Examples
    --------
    >>> import numpy as np
    >>> from minigrad.kernels.jit import kernel
    >>> @kernel
    ... def total(x):
    ...     s = x.dtype.type(0)
    ...     for i in range(x.size):
    ...         s += x[i]
    ...     return s
    """
    if function is None:
        return functools.partial(Kernel, parallel=parallel, internal=internal, reorder=reorder)
    return Kernel(function, parallel, internal, reorder)


@functools.cache
def load_numba() -> ModuleType:
    """Import Numba, and teach it that a kernel may call another kernel."""
    import numba

    _cache_module()
    return numba


def _compiler() -> Any:
    from minigrad.kernels.pipeline import KernelCompiler

    return KernelCompiler


@functools.cache
def _cache_module() -> ModuleType:
    from minigrad.kernels import cache

    return cache


class _Threads(threading.local):
    """What each Python thread has told Numba: its number of threads is kept per Python thread."""

    applied: int | None = None


_wanted: int | None = None
_threads = _Threads()
_lock = threading.Lock()
_safe_layer = False
_forked = False


def call_parallel(parallel: Callable[..., Any], serial: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """Call `parallel(*args)` where threads can be started, `serial(*args)` where they cannot."""
    global _safe_layer
    if _forked or jit_disabled():
        return serial(*args)
    if _threads.applied != _wanted:
        load_numba().set_num_threads(_wanted)
        _threads.applied = _wanted
    if _safe_layer:
        return parallel(*args)
    with _lock:
        result = parallel(*args)
        _safe_layer = load_numba().threading_layer() != "workqueue"
    return result


def _after_fork_in_child() -> None:
    global _forked, _lock
    _lock = threading.Lock()
    runtime = sys.modules.get("numba.np.ufunc.parallel")
    _forked = runtime is not None and bool(runtime._is_initialized)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


def get_num_threads() -> int:
    """The number of threads that parallel kernels use.

    It starts as the number of processors that this process may run on, or `NUMBA_NUM_THREADS`.
    """
    return _wanted if _wanted is not None else _most_threads()


@functools.cache
def _most_threads() -> int:
    return int(load_numba().config.NUMBA_NUM_THREADS)


def threads_if(worth: bool) -> int:
    """The number of threads for a call of a kernel: all of them where that is worth it, else one."""
    return get_num_threads() if worth else 1


def tasks_if(worth: bool) -> int:
    """Into how many tasks to cut its work then."""
    return SHARES * get_num_threads() if worth else 1


def set_num_threads(n: int) -> None:
    """Set the number of threads that parallel kernels use; results do not depend on it, bit for bit.

    Large matrix products are numpy's and follow the settings of its BLAS (`OPENBLAS_NUM_THREADS`).

    Parameters
    ----------
    n : int
        From 1 to the number of processors, or to `NUMBA_NUM_THREADS` if that was set when Python started.

    Raises
    ------
    ArgumentError
        `n` is not in that range.
    """
    global _wanted
    limit = _most_threads()
    if isinstance(n, bool) or not isinstance(n, int) or not 1 <= n <= limit:
        raise ArgumentError(
            f"set_num_threads: expected an int from 1 to {limit}, got {n!r}. "
            "To go higher, set the environment variable NUMBA_NUM_THREADS before Python starts."
        )
    _wanted = n
