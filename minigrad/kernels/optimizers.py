"""The loops of the optimizers: one pass over memory for each update.

Every kernel has the form `update(p, g, *state, h)`: flat arrays of one dtype, and the numbers of this step in the
tuple `h`. The names are those of the equation in the optimizer's docstring. `h` comes as Python floats, computed in
float64 where it matters (1 - β, bias corrections), and is cast to the dtype of the arrays before the loop: one float64
inside would turn the whole loop into float64.

`s` is the sign of the gradient: 1 to minimise, -1 to maximise. The sign of x is written T(x > 0) - T(x < 0), which
needs no branch.

Each operation of an update is rounded as it is written, so that an element's result depends on nothing but its own
values: one flat array gives the bits that its parts give, with any number of threads. The licence to reorder and fuse
would gain nothing that can be measured: the loops wait for memory, or for square roots and divisions.
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import Any

import numpy as np

from minigrad.kernels.jit import Kernel, jit_disabled, kernel, prange

Array = np.ndarray
Numbers = tuple[Any, ...]

# Each chunk of a sum is added up on its own, and the chunks in order: the same bits for any number of threads.
CHUNK = 1 << 14


class _Update(Kernel):
    """The kernel of an update; uncompiled it does not warn of infinities either."""

    def _compile(self, parallel: bool) -> Callable[..., Any]:
        return np.errstate(all="ignore")(self.function) if jit_disabled() else super()._compile(parallel)


def update(function: Callable[..., None]) -> Kernel:
    """The decorator of the loops below."""
    return _Update(function, parallel=True, internal=False)


@update
def sgd(p: Array, g: Array, h: Numbers) -> None:
    T = p.dtype.type
    s, weight_decay, alpha = T(h[0]), T(h[1]), T(h[2])
    for i in prange(p.size):
        p[i] -= alpha * (s * g[i] + weight_decay * p[i])


@update
def momentum(p: Array, g: Array, v: Array, h: Numbers) -> None:
    T = p.dtype.type
    s, weight_decay, alpha, beta, tau = T(h[0]), T(h[1]), T(h[2]), T(h[3]), T(h[4])  # tau = 1 - dampening
    for i in prange(p.size):
        v[i] = beta * v[i] + tau * (s * g[i] + weight_decay * p[i])
        p[i] -= alpha * v[i]


@update
def nesterov(p: Array, g: Array, v: Array, h: Numbers) -> None:
    T = p.dtype.type
    s, weight_decay, alpha, beta, tau = T(h[0]), T(h[1]), T(h[2]), T(h[3]), T(h[4])
    for i in prange(p.size):
        d = s * g[i] + weight_decay * p[i]
        v[i] = beta * v[i] + tau * d
        p[i] -= alpha * (d + beta * v[i])


@update
def nesterov_lookahead(p: Array, g: Array, v: Array, h: Numbers) -> None:
    T = p.dtype.type
    s, weight_decay, alpha, beta, tau = T(h[0]), T(h[1]), T(h[2]), T(h[3]), T(h[4])
    for i in prange(p.size):
        ahead = p[i] - alpha * beta * v[i]  # where g was taken
        v[i] = beta * v[i] + tau * (s * g[i] + weight_decay * ahead)
        p[i] -= alpha * v[i]


@update
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


@update
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


@update
def adagrad(p: Array, g: Array, total: Array, h: Numbers) -> None:
    T = p.dtype.type
    s, weight_decay, alpha, inner, outer = T(h[0]), T(h[1]), T(h[2]), T(h[3]), T(h[4])  # eps in the root, or outside
    for i in prange(p.size):
        d = s * g[i] + weight_decay * p[i]
        total[i] += d * d
        p[i] -= alpha * d / (sqrt(total[i] + inner) + outer)


@update
def rmsprop(p: Array, g: Array, v: Array, mean: Array, buffer: Array, h: Numbers) -> None:
    T = p.dtype.type
    s, weight_decay, alpha, inner, outer = T(h[0]), T(h[1]), T(h[2]), T(h[3]), T(h[4])
    w, mu, centered = T(h[5]), T(h[6]), h[7]  # w = 1 - β; `mean` is empty if not centered, `buffer` if mu is 0
    for i in prange(p.size):
        d = s * g[i] + weight_decay * p[i]
        v[i] += w * (d * d - v[i])
        variance = v[i]
        if centered:
            mean[i] += w * (d - mean[i])
            variance = max(variance - mean[i] * mean[i], T(0))  # rounding may take it below zero
        d = d / (sqrt(variance + inner) + outer)
        if mu != 0:
            buffer[i] = mu * buffer[i] + d
            d = buffer[i]
        p[i] -= alpha * d


@update
def adadelta(p: Array, g: Array, v: Array, u: Array, h: Numbers) -> None:
    T = p.dtype.type
    s, weight_decay, alpha, w, eps = T(h[0]), T(h[1]), T(h[2]), T(h[3]), T(h[4])  # w = 1 - ρ
    for i in prange(p.size):
        d = s * g[i] + weight_decay * p[i]
        v[i] += w * (d * d - v[i])
        delta = sqrt((u[i] + eps) / (v[i] + eps)) * d
        u[i] += w * (delta * delta - u[i])
        p[i] -= alpha * delta


@update
def adamax(p: Array, g: Array, m: Array, u: Array, h: Numbers) -> None:
    T = p.dtype.type
    s, weight_decay, alpha, w1, beta2, eps = T(h[0]), T(h[1]), T(h[2]), T(h[3]), T(h[4]), T(h[5])
    for i in prange(p.size):
        d = s * g[i] + weight_decay * p[i]
        m[i] += w1 * (d - m[i])
        u[i] = max(beta2 * u[i], abs(d) + eps)
        p[i] -= alpha * m[i] / u[i]


@update
def nadam(p: Array, g: Array, m: Array, v: Array, h: Numbers) -> None:
    T = p.dtype.type
    s, l2, keep, alpha_g, alpha_m, eps = T(h[0]), T(h[1]), T(h[2]), T(h[3]), T(h[4]), T(h[5])
    w1, w2, c2 = T(h[6]), T(h[7]), T(h[8])
    for i in prange(p.size):
        d = s * g[i] + l2 * p[i]
        m[i] += w1 * (d - m[i])
        v[i] += w2 * (d * d - v[i])
        p[i] = keep * p[i] - (alpha_g * d + alpha_m * m[i]) / (sqrt(c2 * v[i]) + eps)


@update
def radam(p: Array, g: Array, m: Array, v: Array, h: Numbers) -> None:
    T = p.dtype.type
    s, l2, keep, alpha, eps = T(h[0]), T(h[1]), T(h[2]), T(h[3]), T(h[4])
    w1, w2, c1, r = T(h[5]), T(h[6]), T(h[7]), T(h[8])  # r = 0 while the variance is not tractable
    for i in prange(p.size):
        d = s * g[i] + l2 * p[i]
        m[i] += w1 * (d - m[i])
        v[i] += w2 * (d * d - v[i])
        adapted = T(1) if r == 0 else r / (sqrt(v[i]) + eps)
        p[i] = keep * p[i] - alpha * c1 * m[i] * adapted


@update
def asgd(p: Array, g: Array, mean: Array, h: Numbers) -> None:
    T = p.dtype.type
    s, weight_decay, keep, eta, mu = T(h[0]), T(h[1]), T(h[2]), T(h[3]), T(h[4])
    for i in prange(p.size):
        p[i] = keep * p[i] - eta * (s * g[i] + weight_decay * p[i])
        mean[i] = p[i] if mu == 1 else mean[i] + mu * (p[i] - mean[i])


@update
def rprop(p: Array, g: Array, previous: Array, step: Array, h: Numbers) -> None:
    T = p.dtype.type
    s, shrink, grow, smallest, largest = T(h[0]), T(h[1]), T(h[2]), T(h[3]), T(h[4])
    for i in prange(p.size):
        d = s * g[i]
        agreement = d * previous[i]
        factor = grow if agreement > 0 else shrink if agreement < 0 else T(1)
        step[i] = min(max(step[i] * factor, smallest), largest)
        d *= T(agreement >= 0)
        p[i] -= (T(d > 0) - T(d < 0)) * step[i]
        previous[i] = d


@update
def lion(p: Array, g: Array, m: Array, h: Numbers) -> None:
    T = p.dtype.type
    s, keep, alpha, w1, w2 = T(h[0]), T(h[1]), T(h[2]), T(h[3]), T(h[4])
    for i in prange(p.size):
        d = s * g[i]
        c = m[i] + w1 * (d - m[i])
        p[i] = keep * p[i] - alpha * (T(c > 0) - T(c < 0))
        m[i] += w2 * (d - m[i])


@update
def adabelief(p: Array, g: Array, m: Array, v: Array, h: Numbers) -> None:
    T = p.dtype.type
    s, l2, keep, alpha, eps = T(h[0]), T(h[1]), T(h[2]), T(h[3]), T(h[4])
    w1, w2, c1, c2 = T(h[5]), T(h[6]), T(h[7]), T(h[8])
    for i in prange(p.size):
        d = s * g[i] + l2 * p[i]
        m[i] += w1 * (d - m[i])
        surprise = d - m[i]
        v[i] += w2 * (surprise * surprise - v[i]) + eps
        p[i] = keep * p[i] - alpha * c1 * m[i] / (sqrt(c2 * v[i]) + eps)


@update
def yogi(p: Array, g: Array, m: Array, v: Array, h: Numbers) -> None:
    T = p.dtype.type
    s, l2, keep, alpha, eps = T(h[0]), T(h[1]), T(h[2]), T(h[3]), T(h[4])
    w1, w2, c1, c2 = T(h[5]), T(h[6]), T(h[7]), T(h[8])
    for i in prange(p.size):
        d = s * g[i] + l2 * p[i]
        m[i] += w1 * (d - m[i])
        square = d * d
        v[i] -= w2 * square * (T(v[i] > square) - T(v[i] < square))
        p[i] = keep * p[i] - alpha * c1 * m[i] / (sqrt(c2 * v[i]) + eps)


@update
def adan(p: Array, g: Array, m: Array, v: Array, n: Array, previous: Array, h: Numbers) -> None:
    T = p.dtype.type
    s, shrink, alpha, eps, beta2 = T(h[0]), T(h[1]), T(h[2]), T(h[3]), T(h[4])
    w1, w2, w3, c1, c2, c3 = T(h[5]), T(h[6]), T(h[7]), T(h[8]), T(h[9]), T(h[10])
    for i in prange(p.size):
        d = s * g[i]
        change = d - previous[i]
        previous[i] = d
        ahead = d + beta2 * change
        m[i] += w1 * (d - m[i])
        v[i] += w2 * (change - v[i])
        n[i] += w3 * (ahead * ahead - n[i])
        p[i] = shrink * (p[i] - alpha * (c1 * m[i] + beta2 * c2 * v[i]) / (sqrt(c3 * n[i]) + eps))


@update
def schedule_free_sgd(p: Array, g: Array, z: Array, h: Numbers) -> None:
    T = p.dtype.type
    s, weight_decay, alpha, beta, c = T(h[0]), T(h[1]), T(h[2]), T(h[3]), T(h[4])
    for i in prange(p.size):
        d = s * g[i] + weight_decay * p[i]
        p[i] += c * (z[i] - p[i]) - alpha * (T(1) - beta * (T(1) - c)) * d
        z[i] -= alpha * d


@update
def schedule_free_adamw(p: Array, g: Array, z: Array, v: Array, h: Numbers) -> None:
    T = p.dtype.type
    s, weight_decay, alpha, beta, c = T(h[0]), T(h[1]), T(h[2]), T(h[3]), T(h[4])
    w2, c2, eps = T(h[5]), T(h[6]), T(h[7])
    for i in prange(p.size):
        d = s * g[i]
        v[i] += w2 * (d * d - v[i])
        d = d / (sqrt(c2 * v[i]) + eps) + weight_decay * p[i]
        p[i] += c * (z[i] - p[i]) - alpha * (T(1) - beta * (T(1) - c)) * d
        z[i] -= alpha * d


@update
def lamb_direction(p: Array, g: Array, m: Array, v: Array, r: Array, h: Numbers) -> None:
    T = p.dtype.type
    s, weight_decay, eps = T(h[0]), T(h[1]), T(h[2])
    w1, w2, c1, c2 = T(h[3]), T(h[4]), T(h[5]), T(h[6])
    for i in prange(p.size):
        d = s * g[i]
        m[i] += w1 * (d - m[i])
        v[i] += w2 * (d * d - v[i])
        r[i] = c1 * m[i] / (sqrt(c2 * v[i]) + eps) + weight_decay * p[i]


@update
def prodigy(p: Array, g: Array, m: Array, v: Array, total: Array, h: Numbers) -> None:
    T = p.dtype.type
    s, keep, alpha, eps, d = T(h[0]), T(h[1]), T(h[2]), T(h[3]), T(h[4])  # alpha = γ d, eps = ε d
    beta1, beta2, w1, w2, root, gain = T(h[5]), T(h[6]), T(h[7]), T(h[8]), T(h[9]), T(h[10])
    for i in prange(p.size):
        u = s * g[i]
        total[i] = root * total[i] + gain * u
        m[i] = beta1 * m[i] + w1 * d * u
        v[i] = beta2 * v[i] + w2 * d * d * u * u
        p[i] = keep * p[i] - alpha * m[i] / (sqrt(v[i]) + eps)


@kernel(parallel=True, reorder=True)
def has_nonfinite(x: Array) -> bool:
    """Whether there is a NaN or an infinity: 0 x_i is 0 for every other number.

    Each thread reads what it will update, as all loops here share out their elements alike (`optim/arena.py`).
    """
    zero = x.dtype.type(0)
    total = zero
    for i in prange(x.size):
        total += zero * x[i]
    return total != zero


@kernel(parallel=True, reorder=True)
def copy_and_look(x: Array, y: Array) -> bool:
    """y = x; whether there is a NaN or an infinity."""
    zero = x.dtype.type(0)
    total = zero
    for i in prange(x.size):
        y[i] = x[i]
        total += zero * x[i]
    return total != zero


@kernel(parallel=True, reorder=True)
def square_sums(x: Array, out: Array) -> None:
    """out[k] = sum of x_i^2 over the k-th chunk, in float64"""
    for k in prange(out.size):
        part = x[k * CHUNK : (k + 1) * CHUNK]
        total = 0.0
        for i in range(part.size):
            a = np.float64(part[i])
            total += a * a
        out[k] = total


@kernel(parallel=True, reorder=True)
def power_sums(x: Array, out: Array, exponent: float) -> None:
    """out[k] = sum of |x_i|^exponent over the k-th chunk, in float64"""
    for k in prange(out.size):
        part = x[k * CHUNK : (k + 1) * CHUNK]
        total = 0.0
        for i in range(part.size):
            total += abs(np.float64(part[i])) ** exponent
        out[k] = total
