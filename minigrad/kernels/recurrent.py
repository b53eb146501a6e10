"""The gates of one time step of LSTM and GRU, forward and backward, in one pass over the batch.

The matrix products of a recurrent layer are numpy's. What is left of a step are a dozen element-wise operations, each
of which would read and write all of its operands; here they are one call, with a row of the batch in the cache.

LSTM, with a = x W_ih^T from the layer's one product for all steps, and r = h W_hh^T from this step's:

    i, f, o = σ(a + r + b)     g = tanh(a + r + b)       four blocks of columns, in the order i f g o
    c' = f c + i g             h' = o tanh(c')

GRU, where the new content n adds W_hn h only after the reset gate, so that its product is kept apart:

    r, z = σ(a + b_ih + p + b_hh)        n = tanh(a + b_ih + r q),  q = p + b_hh        p = h W_hh^T; blocks r z n
    h' = (1 - z) n + z h

Each function works in place on arrays of one dtype. In float32 it is a kernel with the exponential of `elementary.py`,
on one thread: a step takes some microseconds, and waking a second thread takes as long. In float64, and without a
compiler, it is the same formula in numpy, to which the tests hold the kernel.

References
----------
https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTM.html
https://docs.pytorch.org/docs/stable/generated/torch.nn.GRU.html
"""

from __future__ import annotations

import numpy as np

from minigrad.kernels.elementary import sigmoid_float32, tanh_float32
from minigrad.kernels.jit import jit_disabled, kernel

__all__ = ["gru_step", "gru_step_grad", "lstm_step", "lstm_step_grad"]

Array = np.ndarray


def _compiled(state: Array) -> bool:
    return state.dtype == np.float32 and not jit_disabled()


def lstm_step(a: Array, r: Array, b: Array, c: Array, c_next: Array, tanh_c: Array, h: Array) -> None:
    """One step forward: fills c_next, tanh_c and h, and turns `a` into the gates.

    Parameters
    ----------
    a : (N, 4H), in: x W_ih^T, out: the gates i f g o
    r : (N, 4H), h W_hh^T
    b : (4H,), the sum of both biases
    c, c_next, tanh_c, h : (N, H), the cell state before and after the step, tanh of the latter, the hidden state
    """
    if _compiled(c):
        lstm_gates(a, r, b, c, c_next, tanh_c, h)
        return
    a += r
    a += b
    i, f, g, o = _blocks(a, 4)
    for gate in (i, f, o):
        gate[...] = _sigmoid(gate)
    np.tanh(g, out=g)
    np.multiply(f, c, out=c_next)
    c_next += i * g
    np.tanh(c_next, out=tanh_c)
    np.multiply(o, tanh_c, out=h)


def lstm_step_grad(gates: Array, c: Array, tanh_c: Array, dh: Array, dc: Array, da: Array) -> None:
    """One step backward: fills da, and turns the gradient of the step's new cell state into that of the old one.

    Parameters
    ----------
    gates : (N, 4H), from the step forward
    c, tanh_c : (N, H), the cell state before the step, and tanh of the one after it
    dh, dc : (N, H), the gradients of the step's h and c_next; `dc` becomes that of c
    da : (N, 4H), filled with the gradient of a + r + b
    """
    if _compiled(c):
        lstm_gates_grad(gates, c, tanh_c, dh, dc, da)
        return
    i, f, g, o = _blocks(gates, 4)
    di, df, dg, do = _blocks(da, 4)
    dc += dh * o * (1 - tanh_c * tanh_c)
    do[...] = dh * tanh_c * o * (1 - o)
    di[...] = dc * g * i * (1 - i)
    df[...] = dc * c * f * (1 - f)
    dg[...] = dc * i * (1 - g * g)
    dc *= f


def gru_step(a: Array, p: Array, b_ih: Array, b_hh: Array, h: Array, h_next: Array) -> None:
    """One step forward: fills h_next, turns `a` into the gates r z n, and the last block of `p` into q.

    Parameters
    ----------
    a : (N, 3H), in: x W_ih^T, out: the gates r z n
    p : (N, 3H), h W_hh^T
    b_ih, b_hh : (3H,), the biases
    h, h_next : (N, H), the hidden state before and after the step
    """
    if _compiled(h):
        gru_gates(a, p, b_ih, b_hh, h, h_next)
        return
    a += b_ih
    r, z, n = _blocks(a, 3)
    pr, pz, q = _blocks(p, 3)
    br, bz, bn = _blocks(b_hh, 3)
    r[...] = _sigmoid(r + pr + br)
    z[...] = _sigmoid(z + pz + bz)
    q += bn
    n[...] = np.tanh(n + r * q)
    h_next[...] = (1 - z) * n + z * h


def gru_step_grad(gates: Array, q: Array, h: Array, dh: Array, da: Array, dp: Array) -> None:
    """One step backward: fills da and dp, and turns `dh` into the part of the old state's gradient that passes by.

    Parameters
    ----------
    gates, q : (N, 3H) and (N, H), from the step forward
    h : (N, H), the hidden state before the step
    dh : (N, H), in: the gradient of h_next; out: dh z, to which dp W_hh is to be added
    da, dp : (N, 3H), filled with the gradients of x W_ih^T + b_ih and of h W_hh^T + b_hh
    """
    if _compiled(h):
        gru_gates_grad(gates, q, h, dh, da, dp)
        return
    r, z, n = _blocks(gates, 3)
    dr, dz, dn = _blocks(da, 3)
    dn[...] = dh * (1 - z) * (1 - n * n)
    dz[...] = dh * (h - n) * z * (1 - z)
    dr[...] = dn * q * r * (1 - r)
    dp[...] = da
    _blocks(dp, 3)[2][...] = dn * r
    dh *= z


def _blocks(a: Array, count: int) -> list[Array]:
    """Views of the blocks of columns."""
    return np.split(a, count, axis=-1)


def _sigmoid(x: Array) -> Array:
    # As a tanh it does not overflow for a large negative x.
    return 0.5 * np.tanh(0.5 * x) + 0.5


# ---- the kernels ---------------------------------------------------------------------------------------------------

# LLVM makes vectors of a loop only if it touches few arrays, or it gives up proving that they do not overlap, and only
# if it starts at 0, or each index is first checked for being negative. Loops that obey are four times as fast here.


@kernel
def lstm_gates(a: Array, r: Array, b: Array, c: Array, c_next: Array, tanh_c: Array, h: Array) -> None:
    rows, size = c.shape
    for n in range(rows):
        for k in range(2 * size):
            a[n, k] = sigmoid_float32(a[n, k] + r[n, k] + b[k])
        for k in range(size):
            j = 2 * size + k
            a[n, j] = tanh_float32(a[n, j] + r[n, j] + b[j])
        for k in range(size):
            j = 3 * size + k
            a[n, j] = sigmoid_float32(a[n, j] + r[n, j] + b[j])
        for k in range(size):
            c_next[n, k] = a[n, size + k] * c[n, k] + a[n, k] * a[n, 2 * size + k]
        for k in range(size):
            tanh_c[n, k] = tanh_float32(c_next[n, k])
        for k in range(size):
            h[n, k] = a[n, 3 * size + k] * tanh_c[n, k]


@kernel
def lstm_gates_grad(gates: Array, c: Array, tanh_c: Array, dh: Array, dc: Array, da: Array) -> None:
    rows, size = c.shape
    one = np.float32(1)
    for n in range(rows):
        for k in range(size):
            dc[n, k] += dh[n, k] * gates[n, 3 * size + k] * (one - tanh_c[n, k] * tanh_c[n, k])
        for k in range(size):
            o = gates[n, 3 * size + k]
            da[n, 3 * size + k] = dh[n, k] * tanh_c[n, k] * o * (one - o)
        for k in range(size):
            i = gates[n, k]
            da[n, k] = dc[n, k] * gates[n, 2 * size + k] * i * (one - i)
        for k in range(size):
            f = gates[n, size + k]
            da[n, size + k] = dc[n, k] * c[n, k] * f * (one - f)
        for k in range(size):
            g = gates[n, 2 * size + k]
            da[n, 2 * size + k] = dc[n, k] * gates[n, k] * (one - g * g)
        for k in range(size):
            dc[n, k] *= gates[n, size + k]


@kernel
def gru_gates(a: Array, p: Array, b_ih: Array, b_hh: Array, h: Array, h_next: Array) -> None:
    rows, size = h.shape
    one = np.float32(1)
    for n in range(rows):
        for k in range(2 * size):
            a[n, k] = sigmoid_float32(a[n, k] + b_ih[k] + p[n, k] + b_hh[k])
        for k in range(size):
            p[n, 2 * size + k] += b_hh[2 * size + k]
        for k in range(size):
            j = 2 * size + k
            a[n, j] = tanh_float32(a[n, j] + b_ih[j] + a[n, k] * p[n, j])
        for k in range(size):
            z = a[n, size + k]
            h_next[n, k] = (one - z) * a[n, 2 * size + k] + z * h[n, k]


@kernel
def gru_gates_grad(gates: Array, q: Array, h: Array, dh: Array, da: Array, dp: Array) -> None:
    rows, size = h.shape
    one = np.float32(1)
    for n in range(rows):
        for k in range(size):
            new = gates[n, 2 * size + k]
            da[n, 2 * size + k] = dh[n, k] * (one - gates[n, size + k]) * (one - new * new)
        for k in range(size):
            z = gates[n, size + k]
            da[n, size + k] = dh[n, k] * (h[n, k] - gates[n, 2 * size + k]) * z * (one - z)
        for k in range(size):
            r = gates[n, k]
            da[n, k] = da[n, 2 * size + k] * q[n, k] * r * (one - r)
        for k in range(2 * size):
            dp[n, k] = da[n, k]
        for k in range(size):
            dp[n, 2 * size + k] = da[n, 2 * size + k] * gates[n, k]
        for k in range(size):
            dh[n, k] *= gates[n, size + k]
