"""Recurrent layers: one op for all time steps of one direction, and the single step in ordinary operations.

    h_t = cell(x_t, h_(t-1)),    t = 1 ... T

Written as a loop of ordinary operations, a layer of T steps is a graph of some twenty T nodes, and the gradient of
each slice x_t is as large as x. The ops below are that loop, on arrays, in three parts:

- x_t W_ih^T of all steps is one matrix product, and so are the gradients of both weights at the end;
- h_(t-1) W_hh^T has to wait for the step before, and is a product in the loop;
- the gates of a step are one kernel, `minigrad/kernels/recurrent.py`.

In an ordinary backward pass their rules run the loop in reverse, on what the forward saved. When the gradient is to be
differentiated itself, the layer is computed once more from single steps (`lstm_cell`, ...), of which every order
of derivative exists.

Sequences are (T, N, features); weights and the order of their blocks of rows are PyTorch's: W_ih (gates H, I), W_hh
(gates H, H), i f g o in an LSTM, r z n in a GRU.

References
----------
S. Hochreiter and J. Schmidhuber, Long Short-Term Memory, Neural Computation 9(8), 1997.
K. Cho et al., Learning phrase representations using RNN encoder-decoder, arXiv:1406.1078.
https://docs.pytorch.org/docs/stable/nn.html#recurrent-layers
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.graph import Variable, op
from minigrad.kernels import recurrent as kernels
from minigrad.ops.joining import chunk, concatenate, unbind
from minigrad.ops.linalg import linear
from minigrad.ops.once import once
from minigrad.ops.promotion import same_float
from minigrad.ops.recorded import recorded_gradients
from minigrad.ops.samples import Sample, draw, strided
from minigrad.ops.select import relu
from minigrad.ops.shape import unsqueeze
from minigrad.ops.special import sigmoid
from minigrad.ops.trigonometric import tanh

__all__ = ["gru_cell", "gru_layer", "lstm_cell", "lstm_layer", "lstm_steps", "rnn_cell", "rnn_layer"]

Array = np.ndarray
Bias = Any  # (gates H,) or None


# ---- one step, in ordinary operations --------------------------------------------------------------------------------


def rnn_cell(x: Any, h: Any, w_ih: Any, w_hh: Any, b_ih: Bias, b_hh: Bias, *, nonlinearity: str = "tanh") -> Any:
    """h' = tanh(x W_ih^T + b_ih + h W_hh^T + b_hh), or max(0, ...)"""
    a = linear(x, w_ih, b_ih) + linear(h, w_hh, b_hh)
    return tanh(a) if nonlinearity == "tanh" else relu(a)


def lstm_cell(
    x: Any, h: Any, c: Any, w_ih: Any, w_hh: Any, b_ih: Bias, b_hh: Bias, w_hr: Any = None
) -> tuple[Any, Any]:
    """c' = σ(f) c + σ(i) tanh(g), h' = σ(o) tanh(c'), with (i, f, g, o) = x W_ih^T + b_ih + h W_hh^T + b_hh

    With w_hr (P, H) the hidden state is projected: h' W_hr^T.
    """
    i, f, g, o = chunk(linear(x, w_ih, b_ih) + linear(h, w_hh, b_hh), 4, -1)
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    h = sigmoid(o) * tanh(c)
    return (h if w_hr is None else linear(h, w_hr, None)), c


def gru_cell(x: Any, h: Any, w_ih: Any, w_hh: Any, b_ih: Bias, b_hh: Bias) -> Any:
    """h' = (1 - z) n + z h, n = tanh(x_n + r h_n), r = σ(x_r + h_r), z = σ(x_z + h_z)

    with (x_r, x_z, x_n) = x W_ih^T + b_ih and (h_r, h_z, h_n) = h W_hh^T + b_hh.
    """
    x_r, x_z, x_n = chunk(linear(x, w_ih, b_ih), 3, -1)
    h_r, h_z, h_n = chunk(linear(h, w_hh, b_hh), 3, -1)
    r, z = sigmoid(x_r + h_r), sigmoid(x_z + h_z)
    n = tanh(x_n + r * h_n)
    return (1 - z) * n + z * h


def _rnn_steps(x: Any, h: Any, *weights: Any, nonlinearity: str) -> Any:
    outputs = []
    for x_t in unbind(x):
        h = rnn_cell(x_t, h, *weights, nonlinearity=nonlinearity)
        outputs.append(unsqueeze(h, 0))
    return concatenate(*outputs, dim=0)


def lstm_steps(x: Any, h: Any, c: Any, *weights: Any) -> tuple[Any, Any]:
    """h_1, ..., h_T as one tensor, and c_T, by a call of `lstm_cell` for each step; the weights are those it takes."""
    outputs = []
    for x_t in unbind(x):
        h, c = lstm_cell(x_t, h, c, *weights)
        outputs.append(unsqueeze(h, 0))
    return concatenate(*outputs, dim=0), c


def _lstm_packed(*inputs: Any) -> Any:
    outputs, c = lstm_steps(*inputs)
    return concatenate(outputs, unsqueeze(c, 0), dim=0)


def _gru_steps(x: Any, h: Any, *weights: Any) -> Any:
    outputs = []
    for x_t in unbind(x):
        h = gru_cell(x_t, h, *weights)
        outputs.append(unsqueeze(h, 0))
    return concatenate(*outputs, dim=0)


# ---- what the three layers share -------------------------------------------------------------------------------------


def _rows(x: Array) -> Array:
    """(T, N, features) -> (T N, features), contiguous."""
    return np.ascontiguousarray(x).reshape(-1, x.shape[2])


def _projected(rows: Array, w_ih: Array, steps: int) -> Array:
    """x W_ih^T of all steps, (T, N, gates H)."""
    return np.matmul(rows, w_ih.T).reshape(steps, -1, w_ih.shape[0])


def _bias(b: Array | None, w: Array) -> Array:
    return np.zeros(w.shape[0], w.dtype) if b is None else b


def _weight_gradients(rows: Array, da: Array, w_ih: Array, x_shape: tuple[int, ...]) -> tuple[Callable, ...]:
    """dL/dx, dL/dW_ih and dL/db_ih from the gradients `da` of x W_ih^T + b_ih."""
    flat = da.reshape(-1, da.shape[2])
    return (
        lambda: np.matmul(flat, w_ih).reshape(x_shape),
        lambda: np.matmul(flat.T, rows),
        once(lambda: flat.sum(0)),
    )


def _recurrent_gradient(dp: Array, h0: Array, outputs: Array) -> Array:
    """dL/dW_hh = sum_t dp_t^T h_(t-1) from the gradients `dp` of h W_hh^T + b_hh."""
    later = dp[1:].reshape(-1, dp.shape[2]).T
    return np.matmul(dp[0].T, h0) + np.matmul(later, outputs[: len(dp) - 1].reshape(-1, h0.shape[1]))


# ---- all steps -------------------------------------------------------------------------------------------------------


@op(prepare=same_float)
def rnn_layer(
    x: Array,
    h: Array,
    w_ih: Array,
    w_hh: Array,
    b_ih: Array | None,
    b_hh: Array | None,
    /,
    nonlinearity: str = "tanh",
) -> Any:
    """z_t = tanh(x_t W_ih^T + b_ih + z_(t-1) W_hh^T + b_hh), or max(0, ...); z_0 = h"""
    rows, steps = _rows(x), len(x)
    z = _projected(rows, w_ih, steps)
    z += _bias(b_ih, w_ih) + _bias(b_hh, w_hh)
    w_hh_t = np.ascontiguousarray(w_hh.T)
    for t in range(steps):
        z[t] += np.matmul(h, w_hh_t)
        h = np.tanh(z[t], out=z[t]) if nonlinearity == "tanh" else np.maximum(z[t], 0, out=z[t])
    return z, {"rows": rows}


@rnn_layer.vjp
def rnn_layer(
    g: Any,
    z: Any,
    x: Any,
    h: Any,
    w_ih: Any,
    w_hh: Any,
    b_ih: Any,
    b_hh: Any,
    rows: Array,
    nonlinearity: str = "tanh",
) -> tuple:
    if isinstance(g, Variable):
        steps = functools.partial(_rnn_steps, nonlinearity=nonlinearity)
        return recorded_gradients(steps, g, (x, h, w_ih, w_hh, b_ih, b_hh))
    da = (1 - z * z) if nonlinearity == "tanh" else (z > 0).astype(z.dtype)
    dh = np.zeros_like(z[0])
    for t in reversed(range(len(z))):
        dh += g[t]
        da[t] *= dh
        np.matmul(da[t], w_hh, out=dh)
    dx, dw_ih, db = _weight_gradients(rows, da, w_ih, x.shape)
    return dx, dh, dw_ih, lambda: _recurrent_gradient(da, h, z), db, db


@op(prepare=same_float)
def lstm_layer(
    x: Array, h: Array, c: Array, w_ih: Array, w_hh: Array, b_ih: Array | None, b_hh: Array | None, /
) -> Any:
    """z = h_1, ..., h_T, c_T, with h_t, c_t = lstm_cell(x_t, h_(t-1), c_(t-1)) from h_0 = h, c_0 = c"""
    rows, steps = _rows(x), len(x)
    gates = _projected(rows, w_ih, steps)
    bias = _bias(b_ih, w_ih) + _bias(b_hh, w_hh)
    z, cells = (np.empty((steps + 1, *c.shape), c.dtype) for _ in range(2))
    tanh_c = np.empty((steps, *c.shape), c.dtype)
    cells[0] = c
    kernels.lstm_forward(gates, w_hh, bias, h, cells, tanh_c, z)
    z[steps] = cells[steps]
    return z, {"rows": rows, "saved": (gates, cells, tanh_c)}


@lstm_layer.vjp
def lstm_layer(
    g: Any, z: Any, x: Any, h: Any, c: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, rows: Array, saved: tuple
) -> tuple:
    if isinstance(g, Variable):
        return recorded_gradients(_lstm_packed, g, (x, h, c, w_ih, w_hh, b_ih, b_hh))
    gates, cells, tanh_c = saved
    da, dh, dc = np.empty_like(gates), np.empty_like(cells[0]), np.array(g[-1], order="C")
    kernels.lstm_backward(g, gates, w_hh, cells, tanh_c, dh, dc, da)
    dx, dw_ih, db = _weight_gradients(rows, da, w_ih, x.shape)
    return dx, dh, dc, dw_ih, lambda: _recurrent_gradient(da, h, z), db, db


@op(prepare=same_float)
def gru_layer(x: Array, h: Array, w_ih: Array, w_hh: Array, b_ih: Array | None, b_hh: Array | None, /) -> Any:
    """z_t = gru_cell(x_t, z_(t-1)), z_0 = h"""
    rows, steps = _rows(x), len(x)
    gates = _projected(rows, w_ih, steps)
    b_ih, b_hh = _bias(b_ih, w_ih), _bias(b_hh, w_hh)
    z, q = (np.empty((steps, *h.shape), h.dtype) for _ in range(2))
    kernels.gru_forward(gates, w_hh, b_ih, b_hh, h, q, z)
    return z, {"rows": rows, "saved": (gates, q)}


@gru_layer.vjp
def gru_layer(
    g: Any, z: Any, x: Any, h: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, rows: Array, saved: tuple
) -> tuple:
    if isinstance(g, Variable):
        return recorded_gradients(_gru_steps, g, (x, h, w_ih, w_hh, b_ih, b_hh))
    gates, q = saved
    da, dp, dh = np.empty_like(gates), np.empty_like(gates), np.empty_like(z[0])
    kernels.gru_backward(g, gates, w_hh, h, q, z, dh, da, dp)
    dx, dw_ih, db_ih = _weight_gradients(rows, da, w_ih, x.shape)
    return dx, dh, dw_ih, lambda: _recurrent_gradient(dp, h, z), db_ih, lambda: dp.sum((0, 1))


# ---- samples ---------------------------------------------------------------------------------------------------------


def _samples(gates: int, states: int, **options: Any) -> list[Sample]:
    made = []
    for steps, n, inputs, size in [(1, 1, 1, 1), (3, 2, 3, 2), (4, 1, 2, 3), (2, 3, 1, 2), (2, 0, 2, 2)]:
        x = draw(steps, n, inputs)
        hidden = [draw(n, size, seed=i) for i in range(states)]
        weights = [draw(gates * size, inputs, seed=3), draw(gates * size, size, seed=4)]
        biases: list[Any] = [draw(gates * size, seed=5), draw(gates * size, seed=6)]
        made.append(Sample(x, *hidden, *weights, *biases, **options))
    biases = [None, None]
    weights = [strided(draw(gates * 2, 3, seed=3)), draw(2, gates * 2, seed=4).T]
    hidden = [strided(draw(2, 2, seed=i)) for i in range(states)]
    return [*made, Sample(draw(2, 3, 3).swapaxes(0, 1), *hidden, *weights, *biases, **options)]


@rnn_layer.sampled
def _rnn_samples() -> list[Sample]:
    return _samples(1, 1) + _samples(1, 1, nonlinearity="relu")


@lstm_layer.sampled
def _lstm_samples() -> list[Sample]:
    return _samples(4, 2)


@gru_layer.sampled
def _gru_samples() -> list[Sample]:
    return _samples(3, 1)
