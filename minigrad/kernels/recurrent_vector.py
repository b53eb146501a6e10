"""All steps of an LSTM or GRU in one call: the products of a step in registers, its gates in the cache.

A step is a small product, (N, H) by (H, 4 H), that has to wait for the step before. A BLAS starts anew each time: it
packs the weights again, and wakes its threads and waits for them. Here the weights are packed once for all steps, and
the batch is divided among the threads for the whole sequence, so that none ever waits for another.

The packed weights are blocks of as many columns as a tile has (see `tile.py`), each with its rows one after the other:

    packed[j, k, i] = w[k, j * WIDTH + i]

so that the sum over k of one tile reads memory in order. What a row of the batch gives does not depend on the rows next
to it or on the number of threads, bit for bit.

The kernels are tasks (see `launch.py`): a task is a share of the batch. They find their arrays by address, in the plan.
The loops over the gates of a row each touch few arrays: of more, LLVM gives up proving that they do not overlap, and
makes no vectors. They take up a tenth of the time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from minigrad.kernels.elementary import sigmoid_float32, tanh_float32
from minigrad.kernels.jit import get_num_threads, kernel, threads_if
from minigrad.kernels.launch import run, task
from minigrad.kernels.tile import Shape, height, never_inline, outer, rows_of, store_rows, width, zeros
from minigrad.kernels.vec import LANES, intrinsic, pointer_to

__all__ = ["gru_backward", "gru_forward", "lstm_backward", "lstm_forward"]

Array = np.ndarray
Pointer = Any

# Eight sums, as many as a processor with two multiply-add units of latency four can keep going.
SHAPE = Shape(4, 2)
WIDTH = SHAPE.columns * LANES
ONE = np.float32(1)

# Multiply-adds from which a second thread saves more than waking it costs.
_PARALLEL_FROM = 2_000_000
_NO_WORK = np.empty(0, np.float32)

# The plan: sizes, from ARRAYS on the addresses of arrays, and from TABLES on where the rows of a product's operand
# begin, and then those of its result.
SHARES, STEPS, N, SIZE, BLOCKS, ARRAYS = range(6)
TABLES = 16


def packed(w: Array) -> Array:
    """(K, outputs) -> (blocks, K, WIDTH), with zeros where there is no column."""
    terms, outputs = w.shape
    blocks = -(-outputs // WIDTH)
    wide = np.zeros((terms, blocks * WIDTH), np.float32)
    wide[:, :outputs] = w
    return np.ascontiguousarray(wide.reshape(terms, blocks, WIDTH).transpose(1, 0, 2))


def _run(kernel: Any, steps: int, n: int, size: int, w: Array, *arrays: Array) -> None:
    """Run a task for each share of the batch; all arrays are contiguous float32, `w` is packed."""
    blocks, terms = w.shape[:2]
    work = np.zeros((n, blocks * WIDTH), np.float32)
    busy = steps * n * terms * blocks * WIDTH >= _PARALLEL_FROM
    shares = max(1, min(get_num_threads(), n // SHAPE.rows)) if busy else 1
    plan = np.empty(TABLES + 2 * n, np.int64)
    plan[:ARRAYS] = shares, steps, n, size, blocks
    for place, array in enumerate((w, work, *arrays), start=ARRAYS):
        assert array.flags.c_contiguous
        assert array.dtype == np.float32
        plan[place] = array.ctypes.data
    plan[TABLES : TABLES + n] = np.arange(n) * terms
    plan[TABLES + n :] = np.arange(n) * work.shape[1]
    run(kernel, shares, plan, _NO_WORK, workers=threads_if(shares > 1))


def lstm_forward(gates: Array, w_hh: Array, b: Array, h: Array, cells: Array, tanh_c: Array, z: Array) -> None:
    """See `recurrent.lstm_forward`."""
    _run(lstm_forward_share, *tanh_c.shape, packed(w_hh.T), gates, b, h, cells, tanh_c, z)


def lstm_backward(
    g: Array, gates: Array, w_hh: Array, cells: Array, tanh_c: Array, dh: Array, dc: Array, da: Array
) -> None:
    """See `recurrent.lstm_backward`."""
    _run(lstm_backward_share, *tanh_c.shape, packed(w_hh), g, gates, cells, tanh_c, dh, dc, da)


def gru_forward(gates: Array, w_hh: Array, b_ih: Array, b_hh: Array, h: Array, q: Array, z: Array) -> None:
    """See `recurrent.gru_forward`."""
    _run(gru_forward_share, *q.shape, packed(w_hh.T), gates, b_ih, b_hh, h, q, z)


def gru_backward(
    g: Array, gates: Array, w_hh: Array, h: Array, q: Array, z: Array, dh: Array, da: Array, dp: Array
) -> None:
    """See `recurrent.gru_backward`."""
    _run(gru_backward_share, *q.shape, packed(w_hh), g, gates, h, q, z, dh, da, dp)


# ---- products --------------------------------------------------------------------------------------------------------


@intrinsic
def floats_at(typing: Any, address: Any) -> Any:
    """A pointer to the float32 number at an address."""

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], context.get_value_type(signature.return_type))

    return types.CPointer(types.float32)(types.int64), write


@kernel(internal=True)
def product_tile(
    shape: Any, x: Pointer, w: Pointer, z: Pointer, x_rows: Pointer, z_rows: Pointer, first: int, last: int, terms: int
) -> None:
    """Write the products of the rows of a tile with one block of columns."""
    never_inline()
    rows = rows_of(shape, x, x_rows, first, last)
    s = zeros(shape)
    step = width(shape)
    for k in range(terms):
        s = outer(s, rows, k, w, k * step)
    store_rows(s, z, z_rows, first, last)


@kernel(internal=True)
def product(x: Pointer, w: Pointer, work: Pointer, plan: Pointer, terms: int, low: int, high: int) -> None:
    """work[low:high] = x[low:high] w, of x with `terms` columns and packed weights."""
    never_inline()
    shape = SHAPE
    x_rows, z_rows = pointer_to(plan, TABLES), pointer_to(plan, TABLES + plan[N])
    for j in range(plan[BLOCKS]):
        columns, target = pointer_to(w, j * terms * width(shape)), pointer_to(work, j * width(shape))
        for first in range(low, high, height(shape)):
            product_tile(shape, x, columns, target, x_rows, z_rows, first, high - 1, terms)


# ---- LSTM ------------------------------------------------------------------------------------------------------------


@kernel(internal=True)
def sigmoids(a: Pointer, r: Pointer, b: Pointer, count: int) -> None:
    """a = σ(a + r + b)"""
    never_inline()
    for k in range(count):
        a[k] = sigmoid_float32(a[k] + r[k] + b[k])


@kernel(internal=True)
def lstm_row(
    a: Pointer, r: Pointer, b: Pointer, c: Pointer, c_next: Pointer, tanh_c: Pointer, h: Pointer, size: int
) -> None:
    """One step forward of one row of the batch: `recurrent.lstm_step`."""
    never_inline()
    sigmoids(a, r, b, 2 * size)
    f, g, o = pointer_to(a, size), pointer_to(a, 2 * size), pointer_to(a, 3 * size)
    sigmoids(o, pointer_to(r, 3 * size), pointer_to(b, 3 * size), size)
    r, b = pointer_to(r, 2 * size), pointer_to(b, 2 * size)
    for k in range(size):
        g[k] = tanh_float32(g[k] + r[k] + b[k])
    for k in range(size):
        c_next[k] = f[k] * c[k] + a[k] * g[k]
    for k in range(size):
        tanh_c[k] = tanh_float32(c_next[k])
    for k in range(size):
        h[k] = o[k] * tanh_c[k]


@kernel(internal=True)
def lstm_row_grad(i: Pointer, c: Pointer, tanh_c: Pointer, dh: Pointer, dc: Pointer, di: Pointer, size: int) -> None:
    """One step backward of one row of the batch: `recurrent.lstm_step_grad`."""
    never_inline()
    f, g, o = pointer_to(i, size), pointer_to(i, 2 * size), pointer_to(i, 3 * size)
    df, dg, do = pointer_to(di, size), pointer_to(di, 2 * size), pointer_to(di, 3 * size)
    for k in range(size):
        dc[k] += dh[k] * o[k] * (ONE - tanh_c[k] * tanh_c[k])
    for k in range(size):
        do[k] = dh[k] * tanh_c[k] * o[k] * (ONE - o[k])
    for k in range(size):
        di[k] = dc[k] * g[k] * i[k] * (ONE - i[k])
    for k in range(size):
        df[k] = dc[k] * c[k] * f[k] * (ONE - f[k])
    for k in range(size):
        dg[k] = dc[k] * i[k] * (ONE - g[k] * g[k])
    for k in range(size):
        dc[k] *= f[k]


@task
def lstm_forward_share(
    _a: Pointer, _b: Pointer, _c: Pointer, _index: Pointer, _work: Pointer, plan: Pointer, number: int, worker: int
) -> None:
    n, size, padded = plan[N], plan[SIZE], plan[BLOCKS] * WIDTH
    low, high = n * number // plan[SHARES], n * (number + 1) // plan[SHARES]
    w, r, gates = floats_at(plan[ARRAYS]), floats_at(plan[ARRAYS + 1]), floats_at(plan[ARRAYS + 2])
    b, h, cells = floats_at(plan[ARRAYS + 3]), floats_at(plan[ARRAYS + 4]), floats_at(plan[ARRAYS + 5])
    tanh_c, z = floats_at(plan[ARRAYS + 6]), floats_at(plan[ARRAYS + 7])
    for t in range(plan[STEPS]):
        product(h, w, r, plan, size, low, high)
        for i in range(low, high):
            place = (t * n + i) * size
            lstm_row(
                pointer_to(gates, 4 * place),
                pointer_to(r, i * padded),
                b,
                pointer_to(cells, place),
                pointer_to(cells, place + n * size),
                pointer_to(tanh_c, place),
                pointer_to(z, place),
                size,
            )
        h = pointer_to(z, t * n * size)


@task
def lstm_backward_share(
    _a: Pointer, _b: Pointer, _c: Pointer, _index: Pointer, _work: Pointer, plan: Pointer, number: int, worker: int
) -> None:
    n, size, padded = plan[N], plan[SIZE], plan[BLOCKS] * WIDTH
    low, high = n * number // plan[SHARES], n * (number + 1) // plan[SHARES]
    w, r, g = floats_at(plan[ARRAYS]), floats_at(plan[ARRAYS + 1]), floats_at(plan[ARRAYS + 2])
    gates, cells, tanh_c = floats_at(plan[ARRAYS + 3]), floats_at(plan[ARRAYS + 4]), floats_at(plan[ARRAYS + 5])
    dh, dc, da = floats_at(plan[ARRAYS + 6]), floats_at(plan[ARRAYS + 7]), floats_at(plan[ARRAYS + 8])
    for t in range(plan[STEPS] - 1, -1, -1):
        for i in range(low, high):
            place = (t * n + i) * size
            joined(pointer_to(dh, i * size), pointer_to(r, i * padded), pointer_to(g, place), size)
            lstm_row_grad(
                pointer_to(gates, 4 * place),
                pointer_to(cells, place),
                pointer_to(tanh_c, place),
                pointer_to(dh, i * size),
                pointer_to(dc, i * size),
                pointer_to(da, 4 * place),
                size,
            )
        product(pointer_to(da, t * n * 4 * size), w, r, plan, 4 * size, low, high)
    for i in range(low, high):
        copied_row(pointer_to(dh, i * size), pointer_to(r, i * padded), size)


@kernel(internal=True)
def joined(z: Pointer, x: Pointer, y: Pointer, count: int) -> None:
    """z = x + y"""
    for k in range(count):
        z[k] = x[k] + y[k]


@kernel(internal=True)
def copied_row(z: Pointer, x: Pointer, count: int) -> None:
    """z = x"""
    for k in range(count):
        z[k] = x[k]


# ---- GRU -------------------------------------------------------------------------------------------------------------


@kernel(internal=True)
def gru_row(
    a: Pointer, p: Pointer, b_ih: Pointer, b_hh: Pointer, h: Pointer, h_next: Pointer, q: Pointer, size: int
) -> None:
    """One step forward of one row of the batch: `recurrent.gru_step`."""
    never_inline()
    for k in range(2 * size):
        a[k] = sigmoid_float32(a[k] + b_ih[k] + p[k] + b_hh[k])
    p, b_ih, b_hh = pointer_to(p, 2 * size), pointer_to(b_ih, 2 * size), pointer_to(b_hh, 2 * size)
    z, new = pointer_to(a, size), pointer_to(a, 2 * size)
    for k in range(size):
        q[k] = p[k] + b_hh[k]
    for k in range(size):
        new[k] = tanh_float32(new[k] + b_ih[k] + a[k] * q[k])
    for k in range(size):
        h_next[k] = (ONE - z[k]) * new[k] + z[k] * h[k]


@kernel(internal=True)
def gru_row_grad(r: Pointer, q: Pointer, h: Pointer, dh: Pointer, dr: Pointer, dp: Pointer, size: int) -> None:
    """One step backward of one row of the batch: `recurrent.gru_step_grad`."""
    never_inline()
    z, new = pointer_to(r, size), pointer_to(r, 2 * size)
    dz, dnew, dq = pointer_to(dr, size), pointer_to(dr, 2 * size), pointer_to(dp, 2 * size)
    for k in range(size):
        dnew[k] = dh[k] * (ONE - z[k]) * (ONE - new[k] * new[k])
    for k in range(size):
        dz[k] = dh[k] * (h[k] - new[k]) * z[k] * (ONE - z[k])
    for k in range(size):
        dr[k] = dnew[k] * q[k] * r[k] * (ONE - r[k])
    for k in range(2 * size):
        dp[k] = dr[k]
    for k in range(size):
        dq[k] = dnew[k] * r[k]
    for k in range(size):
        dh[k] *= z[k]


@task
def gru_forward_share(
    _a: Pointer, _b: Pointer, _c: Pointer, _index: Pointer, _work: Pointer, plan: Pointer, number: int, worker: int
) -> None:
    n, size, padded = plan[N], plan[SIZE], plan[BLOCKS] * WIDTH
    low, high = n * number // plan[SHARES], n * (number + 1) // plan[SHARES]
    w, p, gates = floats_at(plan[ARRAYS]), floats_at(plan[ARRAYS + 1]), floats_at(plan[ARRAYS + 2])
    b_ih, b_hh, h = floats_at(plan[ARRAYS + 3]), floats_at(plan[ARRAYS + 4]), floats_at(plan[ARRAYS + 5])
    q, z = floats_at(plan[ARRAYS + 6]), floats_at(plan[ARRAYS + 7])
    for t in range(plan[STEPS]):
        product(h, w, p, plan, size, low, high)
        for i in range(low, high):
            place = (t * n + i) * size
            gru_row(
                pointer_to(gates, 3 * place),
                pointer_to(p, i * padded),
                b_ih,
                b_hh,
                pointer_to(h, i * size),
                pointer_to(z, place),
                pointer_to(q, place),
                size,
            )
        h = pointer_to(z, t * n * size)


@task
def gru_backward_share(
    _a: Pointer, _b: Pointer, _c: Pointer, _index: Pointer, _work: Pointer, plan: Pointer, number: int, worker: int
) -> None:
    n, size, padded = plan[N], plan[SIZE], plan[BLOCKS] * WIDTH
    low, high = n * number // plan[SHARES], n * (number + 1) // plan[SHARES]
    w, s, g = floats_at(plan[ARRAYS]), floats_at(plan[ARRAYS + 1]), floats_at(plan[ARRAYS + 2])
    gates, h0, q = floats_at(plan[ARRAYS + 3]), floats_at(plan[ARRAYS + 4]), floats_at(plan[ARRAYS + 5])
    z, dh, da = floats_at(plan[ARRAYS + 6]), floats_at(plan[ARRAYS + 7]), floats_at(plan[ARRAYS + 8])
    dp = floats_at(plan[ARRAYS + 9])
    for i in range(low * size, high * size):
        dh[i] = 0
    for t in range(plan[STEPS] - 1, -1, -1):
        h = pointer_to(z, (t - 1) * n * size) if t > 0 else h0
        for i in range(low, high):
            place = (t * n + i) * size
            mine = pointer_to(dh, i * size)
            joined(mine, mine, pointer_to(g, place), size)
            gru_row_grad(
                pointer_to(gates, 3 * place),
                pointer_to(q, place),
                pointer_to(h, i * size),
                mine,
                pointer_to(da, 3 * place),
                pointer_to(dp, 3 * place),
                size,
            )
        product(pointer_to(dp, t * n * 3 * size), w, s, plan, 3 * size, low, high)
        for i in range(low, high):
            mine = pointer_to(dh, i * size)
            joined(mine, mine, pointer_to(s, i * padded), size)
