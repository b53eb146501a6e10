"""Normalisation as loops, the way that it is written on paper: the oracle of the fast kernels, and the path for
float64.

    m = mean of x,   v = mean of (x - m)^2,   z = (x - m) / sqrt(v + eps),   y = z w_c + b_c

and with h = g w_c,   gx = (h - mean of h - z mean of h z) / sqrt(v + eps),   gw_c = sum of g z,   gb_c = sum of g.

`grouped` takes the means over (I, channels of the group, S) of x (N, I, C, S): I is the batch for batch normalisation,
where N = 1, and 1 for group normalisation. `centred_rows` takes them over each row of x (M, D); without `centred`,
m is zero and stays out of the formulas: that is RMS normalisation.

References
----------
S. Ioffe and C. Szegedy, Batch normalization, arXiv:1502.03167, section 3 (the gradient too).
B. Zhang and R. Sennrich, Root mean square layer normalization, arXiv:1910.07467.
"""

from __future__ import annotations

import numpy as np

from minigrad.kernels.jit import kernel

__all__ = ["centred_rows", "centred_rows_grad", "grouped", "grouped_grad"]


@kernel
def grouped(
    x: np.ndarray,
    w: np.ndarray,
    b: np.ndarray,
    eps: float,
    y: np.ndarray,
    mean: np.ndarray,
    var: np.ndarray,
) -> None:
    """Fill y (N, I, C, S), and mean and var (N, groups)."""
    inner, channels, size = x.shape[1:]
    groups = mean.shape[1]
    deep = channels // groups
    count = inner * deep * size
    for n in range(x.shape[0]):
        for k in range(groups):
            total = 0.0
            for i in range(inner):
                for c in range(k * deep, (k + 1) * deep):
                    for s in range(size):
                        total += x[n, i, c, s]
            m = total / count
            total = 0.0
            for i in range(inner):
                for c in range(k * deep, (k + 1) * deep):
                    for s in range(size):
                        total += (x[n, i, c, s] - m) ** 2
            v = total / count
            scale = 1 / np.sqrt(v + eps)
            for i in range(inner):
                for c in range(k * deep, (k + 1) * deep):
                    for s in range(size):
                        y[n, i, c, s] = (x[n, i, c, s] - m) * scale * w[c] + b[c]
            mean[n, k] = m
            var[n, k] = v


@kernel
def grouped_grad(
    g: np.ndarray,
    x: np.ndarray,
    w: np.ndarray,
    eps: float,
    mean: np.ndarray,
    var: np.ndarray,
    gx: np.ndarray,
    gw: np.ndarray,
    gb: np.ndarray,
) -> None:
    """Fill gx, and add to gw and gb."""
    inner, channels, size = x.shape[1:]
    groups = mean.shape[1]
    deep = channels // groups
    count = inner * deep * size
    for n in range(x.shape[0]):
        for k in range(groups):
            m = mean[n, k]
            scale = 1 / np.sqrt(var[n, k] + eps)
            total = 0.0
            along = 0.0
            for i in range(inner):
                for c in range(k * deep, (k + 1) * deep):
                    for s in range(size):
                        z = (x[n, i, c, s] - m) * scale
                        gw[c] += g[n, i, c, s] * z
                        gb[c] += g[n, i, c, s]
                        total += g[n, i, c, s] * w[c]
                        along += g[n, i, c, s] * w[c] * z
            for i in range(inner):
                for c in range(k * deep, (k + 1) * deep):
                    for s in range(size):
                        z = (x[n, i, c, s] - m) * scale
                        gx[n, i, c, s] = (g[n, i, c, s] * w[c] - total / count - z * along / count) * scale


@kernel
def centred_rows(
    x: np.ndarray, w: np.ndarray, b: np.ndarray, eps: float, centred: bool, y: np.ndarray, moments: np.ndarray
) -> None:
    """Fill y (M, D), and moments (M, 2) with m and 1 / sqrt(v + eps)."""
    rows, width = x.shape
    for row in range(rows):
        m = 0.0
        if centred:
            for i in range(width):
                m += x[row, i]
            m /= width
        v = 0.0
        for i in range(width):
            v += (x[row, i] - m) ** 2
        scale = 1 / np.sqrt(v / width + eps)
        for i in range(width):
            y[row, i] = (x[row, i] - m) * scale * w[i] + b[i]
        moments[row, 0] = m
        moments[row, 1] = scale


@kernel
def centred_rows_grad(
    g: np.ndarray,
    x: np.ndarray,
    w: np.ndarray,
    centred: bool,
    moments: np.ndarray,
    gx: np.ndarray,
    gw: np.ndarray,
    gb: np.ndarray,
) -> None:
    """Fill gx, and add to gw and gb."""
    rows, width = x.shape
    for row in range(rows):
        m, scale = moments[row, 0], moments[row, 1]
        total = 0.0
        along = 0.0
        for i in range(width):
            z = (x[row, i] - m) * scale
            gw[i] += g[row, i] * z
            gb[i] += g[row, i]
            total += g[row, i] * w[i]
            along += g[row, i] * w[i] * z
        mean = total / width if centred else 0.0
        for i in range(width):
            z = (x[row, i] - m) * scale
            gx[row, i] = (g[row, i] * w[i] - mean - z * along / width) * scale
