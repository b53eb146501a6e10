"""The time steps of LSTM and GRU, forward and backward.

What can be done for all steps at once, x W_ih^T and the gradients of the weights, is done outside by one matrix product
each. What is left of a step is the product with W_hh, which has to wait for the step before, and the gates.

LSTM, with a = x W_ih^T from the layer's one product for all steps, and r = h W_hh^T from this step's:

    i, f, o = σ(a + r + b)     g = tanh(a + r + b)       four blocks of columns, in the order i f g o
    c' = f c + i g             h' = o tanh(c')

GRU, where the new content n adds W_hn h only after the reset gate, so that its product is kept apart:

    r, z = σ(a + b_ih + p + b_hh)        n = tanh(a + b_ih + r q),  q = p + b_hh        p = h W_hh^T; blocks r z n
    h' = (1 - z) n + z h

Each function works in place on arrays of one dtype. In float32 all steps are one call of a kernel, see
`recurrent_vector.py`. In float64, and without a compiler, they are the loop in numpy that stands here; the tests hold
the kernel to it.

References
----------
https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTM.html
https://docs.pytorch.org/docs/stable/generated/torch.nn.GRU.html
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from minigrad.kernels.jit import jit_disabled

__all__ = ["gru_backward", "gru_forward", "lstm_backward", "lstm_forward"]

Array = np.ndarray


def _fast(gates: Array) -> bool:
    return gates.dtype == np.float32 and not jit_disabled() and gates.size > 0


def lstm_forward(gates: Array, w_hh: Array, b: Array, h: Array, cells: Array, tanh_c: Array, z: Array) -> None:
    """All steps of an LSTM forward.

    Parameters
    ----------
    gates : (T, N, 4H), in: x W_ih^T of all steps, out: the gates i f g o
    w_hh : (4H, H)
    b : (4H,), the sum of both biases
    h : (N, H), the hidden state before the first step
    cells : (T + 1, N, H), in: the cell state before the first step at 0; filled
    tanh_c : (T, N, H), filled with the tanh of the later cell states
    z : (at least T, N, H), filled with the hidden states
    """
    if _fast(gates):
        _vectors().lstm_forward(gates, w_hh, b, np.ascontiguousarray(h), cells, tanh_c, z)
        return
    for t in range(len(gates)):
        lstm_step(gates[t], h @ w_hh.T, b, cells[t], cells[t + 1], tanh_c[t], z[t])
        h = z[t]


def lstm_backward(
    g: Array, gates: Array, w_hh: Array, cells: Array, tanh_c: Array, dh: Array, dc: Array, da: Array
) -> None:
    """All steps of an LSTM backward.

    Parameters
    ----------
    g : (at least T, N, H), the gradients of the hidden states from outside of the recurrence
    gates, cells, tanh_c : from the way forward
    w_hh : (4H, H)
    dh : (N, H), filled with the gradient of the hidden state before the first step
    dc : (N, H), in: the gradient of the last cell state, out: of the cell state before the first step
    da : (T, N, 4H), filled with the gradients of x W_ih^T
    """
    if _fast(gates):
        _vectors().lstm_backward(np.ascontiguousarray(g), gates, w_hh, cells, tanh_c, dh, dc, da)
        return
    dh[...] = 0
    for t in reversed(range(len(gates))):
        dh += g[t]
        lstm_step_grad(gates[t], cells[t], tanh_c[t], dh, dc, da[t])
        np.matmul(da[t], w_hh, out=dh)


@functools.cache
def _vectors() -> Any:
    """The compiled loops over all steps, whose import brings Numba with it."""
    from minigrad.kernels import recurrent_vector

    return recurrent_vector


def lstm_step(a: Array, r: Array, b: Array, c: Array, c_next: Array, tanh_c: Array, h: Array) -> None:
    """One step forward in numpy: fills c_next, tanh_c and h, and turns `a` into the gates.

    Parameters
    ----------
    a : (N, 4H), in: x W_ih^T, out: the gates i f g o
    r : (N, 4H), h W_hh^T
    b : (4H,), the sum of both biases
    c, c_next, tanh_c, h : (N, H), the cell state before and after the step, tanh of the latter, the hidden state
    """
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
    """One step backward in numpy: fills da, and turns the gradient of c_next into that of c.

    Parameters
    ----------
    gates : (N, 4H), from the step forward
    c, tanh_c : (N, H), the cell state before the step, and tanh of the one after it
    dh, dc : (N, H), the gradients of the step's h and c_next; `dc` becomes that of c
    da : (N, 4H), filled with the gradient of a + r + b
    """
    i, f, g, o = _blocks(gates, 4)
    di, df, dg, do = _blocks(da, 4)
    dc += dh * o * (1 - tanh_c * tanh_c)
    do[...] = dh * tanh_c * o * (1 - o)
    di[...] = dc * g * i * (1 - i)
    df[...] = dc * c * f * (1 - f)
    dg[...] = dc * i * (1 - g * g)
    dc *= f


def gru_forward(gates: Array, w_hh: Array, b_ih: Array, b_hh: Array, h: Array, q: Array, z: Array) -> None:
    """All steps of a GRU forward.

    Parameters
    ----------
    gates : (T, N, 3H), in: x W_ih^T of all steps, out: the gates r z n
    w_hh : (3H, H)
    b_ih, b_hh : (3H,)
    h : (N, H), the hidden state before the first step
    q : (T, N, H), filled
    z : (T, N, H), filled with the hidden states
    """
    if _fast(gates):
        _vectors().gru_forward(gates, w_hh, *map(np.ascontiguousarray, (b_ih, b_hh, h)), q, z)
        return
    for t in range(len(gates)):
        gru_step(gates[t], h @ w_hh.T, b_ih, b_hh, h, q[t], z[t])
        h = z[t]


def gru_backward(
    g: Array, gates: Array, w_hh: Array, h: Array, q: Array, z: Array, dh: Array, da: Array, dp: Array
) -> None:
    """All steps of a GRU backward.

    Parameters
    ----------
    g : (T, N, H), the gradients of the hidden states from outside of the recurrence
    gates, q, z : from the way forward
    w_hh : (3H, H)
    h : (N, H), the hidden state before the first step
    dh : (N, H), filled with the gradient of h
    da, dp : (T, N, 3H), filled with the gradients of x W_ih^T and of h W_hh^T
    """
    if _fast(gates):
        _vectors().gru_backward(np.ascontiguousarray(g), gates, w_hh, np.ascontiguousarray(h), q, z, dh, da, dp)
        return
    dh[...] = 0
    for t in reversed(range(len(gates))):
        dh += g[t]
        gru_step_grad(gates[t], q[t], z[t - 1] if t else h, dh, da[t], dp[t])
        dh += dp[t] @ w_hh


def gru_step(a: Array, p: Array, b_ih: Array, b_hh: Array, h: Array, q: Array, h_next: Array) -> None:
    """One step forward in numpy: fills q and h_next, and turns `a` into the gates.

    Parameters
    ----------
    a : (N, 3H), in: x W_ih^T, out: the gates r z n
    p : (N, 3H), h W_hh^T
    b_ih, b_hh : (3H,), the biases
    h, h_next : (N, H), the hidden state before and after the step
    q : (N, H)
    """
    p = p + b_hh
    a += b_ih
    r, z, n = _blocks(a, 3)
    pr, pz, pn = _blocks(p, 3)
    q[...] = pn
    r[...] = _sigmoid(r + pr)
    z[...] = _sigmoid(z + pz)
    n[...] = np.tanh(n + r * q)
    h_next[...] = (1 - z) * n + z * h


def gru_step_grad(gates: Array, q: Array, h: Array, dh: Array, da: Array, dp: Array) -> None:
    """One step backward in numpy: fills da and dp, and turns `dh` into the part of h's gradient that passes by.

    Parameters
    ----------
    gates, q : (N, 3H) and (N, H), from the step forward
    h : (N, H), the hidden state before the step
    dh : (N, H), in: the gradient of h_next; out: dh z, to which dp W_hh is to be added
    da, dp : (N, 3H), filled with the gradients of x W_ih^T and of h W_hh^T
    """
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
