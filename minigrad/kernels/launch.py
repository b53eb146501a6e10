"""Vector kernels as tasks: compiled once each, run one after another or shared out among threads by one driver.

A vector kernel does one *task*, a numbered share of the work, and every such kernel has the same signature:

    @task
    def some_kernel(a, b, c, index, work, plan, number, worker):

    a, b      float32 images to read, as pointers to their first element
    c         a float32 image to write
    index     one byte an element (which window position won a max-pooling)
    work      float32 scratch memory, shared by all tasks of a call
    plan      the geometry: integers, laid out by whoever wrote the kernel
    number    which task this is
    worker    which of the threads runs it: tasks of one worker never run at the same time and may use the same scratch

A slot that a kernel does not need is left empty. Because the signature is always the same, the loop over tasks,
`share_out`, is compiled once for all kernels and calls them through their address; compiling each kernel with
its own parallel loop costs a quarter of a second more for each. Because kernels see bare pointers and not arrays, the
code that LLVM has to work through is a fraction of what Numba's array structures would give.

Tasks may run in any order and at the same time: no two write the same memory.

Each worker begins with tasks of its own, always the same ones, so that it finds in its cache what the kernel before
left there. When it has done them it takes over tasks of the others. Cores are never equally fast: laptops have large
and small ones, other programs run, and on rented machines other people's. With equal shares all wait for the slowest:
measured in turns on two cores of a shared machine, training steps of CNNs took up to 17 % longer.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core.ccallback import CFunc

from minigrad.kernels.cache import open_cache
from minigrad.kernels.jit import REORDER, call_parallel, kernel, prange, uncollected
from minigrad.kernels.pipeline import KernelCompiler
from minigrad.kernels.vec import intrinsic

__all__ = [
    "LINE", "Task", "address_of", "call", "call_at", "call_slice", "entry", "integers_at", "integers_on_stack",
    "reordered_task", "run", "share_out", "slice_task", "task",
]  # fmt: skip

_FLOATS = types.CPointer(types.float32)
_INTS = types.CPointer(types.int64)
_BYTES = types.CPointer(types.uint8)
_SIGNATURE = types.void(_FLOATS, _FLOATS, _FLOATS, _BYTES, _FLOATS, _INTS, types.intp, types.intp)
_SLICE = types.void(*[_FLOATS] * 3, *[_INTS] * 3, *[types.intp] * 3, _FLOATS)
_IMAGE = types.Array(types.float32, 4, "A")
_INPUT = types.Array(types.float32, 4, "A", readonly=True)
_BYTE_IMAGE = types.Array(types.uint8, 4, "A")
_WORK = types.Array(types.float32, 1, "C")
_PLAN = types.Array(types.int64, 1, "C")

LINE = 8  # a cache line in int64 numbers

_NO_IMAGE = np.empty((0, 0, 0, 0), np.float32)
_NO_INDEX = np.empty((0, 0, 0, 0), np.uint8)


class Task:
    """A vector kernel; compiled when its address is first asked for. For `reorder` see `jit.Kernel`."""

    def __init__(self, function: Callable[..., None], reorder: bool = False, signature: Any = _SIGNATURE):
        self.function = function
        self.reorder = reorder
        self.signature = signature
        self.__doc__ = function.__doc__

    @functools.cached_property
    def address(self) -> int:
        """Where the machine code is."""
        options = {"error_model": "numpy", "fastmath": set(REORDER) if self.reorder else False}
        signature = self.signature.args, types.void
        compiled: Any = CFunc(self.function, signature, locals={}, options=options, pipeline_class=KernelCompiler)
        compiled._cache = open_cache(self.function, "task")
        with uncollected():
            compiled.compile()
        self._keep = compiled  # the code lives as long as this object
        return int(compiled.address)

    def compile(self) -> None:
        """Compile it now, or load it from the cache."""
        _ = self.address


def task(function: Callable[..., None]) -> Task:
    """Make a vector kernel out of a function with the signature at the head of this file."""
    return Task(function)


def reordered_task(function: Callable[..., None]) -> Task:
    """The same where LLVM makes the vectors, and for that may add up sums in another order."""
    return Task(function, reorder=True)


def slice_task(function: Callable[..., None]) -> Task:
    """A part of a task that other tasks share: an inner loop for one shape of tile.

    Its arguments are three pointers to float32 numbers, three to tables of integers, three integers, and a pointer to
    scratch memory. It has an address of its own, so that it is compiled once and only where it is needed.
    """
    return Task(function, signature=_SLICE)


def _write_call(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    kind = ir.FunctionType(ir.VoidType(), [value.type for value in args[1:]])
    builder.call(builder.inttoptr(args[0], kind.as_pointer()), args[1:])
    return context.get_dummy_value()


@intrinsic
def call(
    typing: Any, address: Any, a: Any, b: Any, c: Any, index: Any, work: Any, plan: Any, number: Any, worker: Any
) -> Any:
    """Call the kernel at `address`, from another kernel.

    A kernel that is called by its name becomes part of each caller and is compiled again with it.
    """
    return types.void(types.intp, *_SIGNATURE.args), _write_call


@intrinsic
def call_at(
    typing: Any, address: Any, a: Any, b: Any, c: Any, index: Any, work: Any, plan: Any, number: Any, worker: Any
) -> Any:
    """`call` with addresses in the place of pointers."""

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kinds = [context.get_value_type(kind) for kind in _SIGNATURE.args]
        values = [builder.inttoptr(x, kind) for x, kind in zip(args[1:-2], kinds[:-2], strict=True)]
        kernel = builder.inttoptr(args[0], ir.FunctionType(ir.VoidType(), kinds).as_pointer())
        builder.call(kernel, [*values, *args[-2:]])
        return context.get_dummy_value()

    return types.void(types.intp, *[types.intp] * 8), write


@intrinsic
def call_slice(
    typing: Any, address: Any, a: Any, b: Any, c: Any, at: Any, to: Any, tap: Any, i: Any, j: Any, k: Any, spare: Any
) -> Any:
    """Call the slice task at `address`."""
    return types.void(types.intp, *_SLICE.args), _write_call


@intrinsic
def integers_on_stack(typing: Any, count: Any) -> Any:
    """The address of so many integers, which go when the caller returns.

    To compile `np.empty` would take a tenth of a second. An address, because a parallel loop cannot hand on a pointer.
    """

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ptrtoint(builder.alloca(ir.IntType(64), args[0]), args[0].type)

    return types.intp(types.intp), write


@intrinsic
def integers_at(typing: Any, address: Any) -> Any:
    """A pointer to the integers at an address."""

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], context.get_value_type(_INTS))

    return _INTS(types.intp), write


@intrinsic
def put(typing: Any, p: Any, i: Any, value: Any) -> Any:
    """p[i] = value. Written so, Numba drops it in a function with a parallel loop: p is no array that is read later."""

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[2], builder.gep(args[0], [args[1]]))
        return context.get_dummy_value()

    return types.void(_INTS, types.intp, types.int64), write


@intrinsic
def take(typing: Any, p: Any, i: Any) -> Any:
    """p[i], which becomes one more, in one step that no other thread can get between."""

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        one = context.get_constant(types.int64, 1)
        return builder.atomic_rmw("add", builder.gep(args[0], [args[1]]), one, "monotonic")

    return types.int64(_INTS, types.intp), write


@kernel(parallel=True, internal=True)
def share_out(address: int, a: int, b: int, c: int, index: int, work: int, plan: int, tasks: int, workers: int) -> None:
    """Run the tasks of the kernel at an address; the operands are addresses, too."""
    if workers > 1:
        # The next task of each worker, in cache lines of their own.
        following = integers_on_stack(workers * LINE)
        for owner in range(workers):
            put(integers_at(following), owner * LINE, tasks * owner // workers)
        for worker in prange(workers):
            for i in range(workers):
                owner = (worker + i) % workers
                end = tasks * (owner + 1) // workers
                number = take(integers_at(following), owner * LINE)
                while number < end:
                    call_at(address, a, b, c, index, work, plan, number, worker)
                    number = take(integers_at(following), owner * LINE)
    else:
        for number in range(tasks):
            call_at(address, a, b, c, index, work, plan, number, 0)


@intrinsic
def address_of(typing: Any, x: Any) -> Any:
    """Where an array begins, as the integer that `share_out` takes."""

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(x)(context, builder, args[0]).data
        return builder.ptrtoint(data, context.get_value_type(types.intp))

    return types.intp(x), write


def _launch(
    address: int,
    a: np.ndarray,
    b: np.ndarray,
    c: np.ndarray,
    index: np.ndarray,
    work: np.ndarray,
    plan: np.ndarray,
    tasks: int,
    workers: int,
) -> None:
    share_out(
        address, address_of(a), address_of(b), address_of(c), address_of(index), address_of(work), address_of(plan),
        tasks, workers,
    )  # fmt: skip


def entry(function: Callable[..., None], *arguments: Any) -> Callable[..., None]:
    """Compile a function that Python calls and that calls `share_out`, for arguments of these Numba types."""
    dispatcher: Any = numba.njit(nogil=True, error_model="numpy", pipeline_class=KernelCompiler)(function)
    dispatcher._cache = open_cache(function, "serial")
    with uncollected():
        # First what it calls: Numba 0.61 prepares its threads for a parallel loop that comes out of the cache, but not
        # for a function that calls one.
        shared: Any = share_out.dispatcher
        shared.compile(types.void(*[types.intp] * 9))
        dispatcher.compile(types.void(*arguments))
    dispatcher.disable_compile()
    return dispatcher


@functools.cache
def _launcher() -> Callable[..., None]:
    return entry(_launch, types.intp, _INPUT, _INPUT, _IMAGE, _BYTE_IMAGE, _WORK, _PLAN, types.intp, types.intp)


def run(
    kernel: Task,
    tasks: int,
    plan: np.ndarray,
    work: np.ndarray,
    a: np.ndarray = _NO_IMAGE,
    b: np.ndarray = _NO_IMAGE,
    c: np.ndarray = _NO_IMAGE,
    index: np.ndarray = _NO_INDEX,
    workers: int = 1,
) -> None:
    """Run the tasks `0 ... tasks - 1` of a kernel on so many threads, or fewer where there are fewer tasks.

    Images are 4-D float32 arrays of any layout: a kernel sees the address of their first element, the plan tells it the
    strides.
    """
    launch = _launcher()
    args = (kernel.address, a, b, c, index, work, plan, tasks)
    if workers > 1 and tasks > 1:
        call_parallel(launch, _run_serially, (*args, min(tasks, workers)))
    else:
        launch(*args, 1)


def _run_serially(*args: Any) -> None:
    _launcher()(*args[:-1], 1)
