"""The loops of the optimizers: one pass over memory for each update.

Every kernel has the form `update(p, g, *state, h)`: flat arrays of one dtype, and the numbers of this step in the tuple `h`.
The names are those of the equation in the optimizer's docstring. `h` comes as Python floats, computed in float64 where it
matters (1 - β, bias corrections), and is cast to the dtype of the arrays before the loop: one float64 inside would turn
the whole loop into float64.

`s` is the sign of the gradient: 1 to minimise, -1 to maximise.
"""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np

from minigrad.kernels.jit import kernel, prange

Array = np.ndarray
Numbers = tuple[Any, ...]

# Each chunk of a sum is added up on its own, and the chunks in order: the same bits for any number of threads.
CHUNK = 1 << 14


@kernel(parallel=True)
def sgd(p: Array, g: Array, h: Numbers) -> None:
    T = p.dtype.type
    s, weight_decay, alpha = T(h[0]), T(h[1]), T(h[2])
    for i in prange(p.size):
        p[i] -= alpha * (s * g[i] + weight_decay * p[i])


@kernel(parallel=True)
def momentum(p: Array, g: Array, v: Array, h: Numbers) -> None:
    T = p.dtype.type
    s, weight_decay, alpha, beta, tau = T(h[0]), T(h[1]), T(h[2]), T(h[3]), T(h[4])  # tau = 1 - dampening
    for i in prange(p.size):
        v[i] = beta * v[i] + tau * (s * g[i] + weight_decay * p[i])
        p[i] -= alpha * v[i]


@kernel(parallel=True)
def nesterov(p: Array, g: Array, v: Array, h: Numbers) -> None:
    T = p.dtype.type
    s, weight_decay, alpha, beta, tau = T(h[0]), T(h[1]), T(h[2]), T(h[3]), T(h[4])
    for i in prange(p.size):
        d = s * g[i] + weight_decay * p[i]
        v[i] = beta * v[i] + tau * d
        p[i] -= alpha * (d + beta * v[i])


@kernel(parallel=True)
def nesterov_lookahead(p: Array, g: Array, v: Array, h: Numbers) -> None:
    T = p.dtype.type
    s, weight_decay, alpha, beta, tau = T(h[0]), T(h[1]), T(h[2]), T(h[3]), T(h[4])
    for i in prange(p.size):
        ahead = p[i] - alpha * beta * v[i]  # where g was taken
        v[i] = beta * v[i] + tau * (s * g[i] + weight_decay * ahead)
        p[i] -= alpha * v[i]


@kernel(parallel=True)
def adam(p: Array, g: Array, m: Array, v: Array, h: Numbers) -> None:
    T = p.dtype.type
    s, l2, keep, alpha, eps = T(h[0]), T(h[1]), T(h[2]), T(h[3]), T(h[4])
    w1, w2, c1, c2 = T(h[5]), T(h[6]), T(h[7]), T(h[8])  # 1 - β1, 1 - β2, 1 / (1 - β1^t), 1 / (1 - β2^t)
    for i in prange(p.size):
        d = s * g[i] + l2 * p[i]
        m[i] += w1 * (d - m[i])
        v[i] += w2 * (d * d - v[i])
        m_hat, v_hat = c1 * m[i], c2 * v[i]
        p[i] = keep * p[i] - alpha * m_hat / (sqrt(v_hat) + eps)


@kernel(parallel=True)
def amsgrad(p: Array, g: Array, m: Array, v: Array, v_max: Array, h: Numbers) -> None:
    T = p.dtype.type
    s, l2, keep, alpha, eps = T(h[0]), T(h[1]), T(h[2]), T(h[3]), T(h[4])
    w1, w2, c1, c2 = T(h[5]), T(h[6]), T(h[7]), T(h[8])
    for i in prange(p.size):
        d = s * g[i] + l2 * p[i]
        m[i] += w1 * (d - m[i])
        v[i] += w2 * (d * d - v[i])
        v_max[i] = max(v_max[i], v[i])
        m_hat, v_hat = c1 * m[i], c2 * v_max[i]
        p[i] = keep * p[i] - alpha * m_hat / (sqrt(v_hat) + eps)


@kernel(parallel=True)
def square_sums(x: Array, out: Array) -> None:
    """out[k] = sum of x_i^2 over the k-th chunk, in float64"""
    for k in prange(out.size):
        total = 0.0
        for i in range(k * CHUNK, min((k + 1) * CHUNK, x.size)):
            a = np.float64(x[i])
            total += a * a
        out[k] = total


@kernel(parallel=True)
def power_sums(x: Array, out: Array, exponent: float) -> None:
    """out[k] = sum of |x_i|^exponent over the k-th chunk, in float64"""
    for k in prange(out.size):
        total = 0.0
        for i in range(k * CHUNK, min((k + 1) * CHUNK, x.size)):
            total += abs(np.float64(x[i])) ** exponent
        out[k] = total
