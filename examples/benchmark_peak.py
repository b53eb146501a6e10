"""The loop that finds how many fused multiply-adds a core can do."""

from __future__ import annotations

import numpy as np

from minigrad.kernels.jit import kernel
from minigrad.kernels.vec import fma, splat, total

# Enough independent sums that none waits for the one before it, and few enough for 16 registers.
VECTORS = 12


@kernel
def multiply_and_add(turns: int, x: float, y: float) -> float:
    """`turns` times a <- x a + y for 12 vectors a. They begin differently, or the compiler would compute only one."""
    u, v = splat(np.float32(x)), splat(np.float32(y))
    a, b, c, d = splat(np.float32(1)), splat(np.float32(2)), splat(np.float32(3)), splat(np.float32(4))
    e, f, g, h = splat(np.float32(5)), splat(np.float32(6)), splat(np.float32(7)), splat(np.float32(8))
    i, j, k, m = splat(np.float32(9)), splat(np.float32(10)), splat(np.float32(11)), splat(np.float32(12))
    for _ in range(turns):
        a, b, c, d = fma(u, a, v), fma(u, b, v), fma(u, c, v), fma(u, d, v)
        e, f, g, h = fma(u, e, v), fma(u, f, v), fma(u, g, v), fma(u, h, v)
        i, j, k, m = fma(u, i, v), fma(u, j, v), fma(u, k, v), fma(u, m, v)
    return (
        total(a) + total(b) + total(c) + total(d) + total(e) + total(f)
        + total(g) + total(h) + total(i) + total(j) + total(k) + total(m)
    )  # fmt: skip
