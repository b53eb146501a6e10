"""What stands between the two visits of a normalisation to its input: a few numbers for each channel.

Forward y = (x - m) a + b, back gx = g a + (x - m) q + r. The factors are computed in float64 from the partial sums that
the kernels left, in their fixed order: the same bits for any number of threads. Since m is rounded to float32, what the
rounding took is put into b and r.
"""

from __future__ import annotations

import math

import numpy as np

from minigrad.kernels.jit import kernel

__all__ = ["backward_factors", "forward_factors"]


@kernel
def forward_factors(
    stats: np.ndarray,
    sizes: np.ndarray,
    w: np.ndarray,
    b: np.ndarray,
    eps: float,
    mean: np.ndarray,
    var: np.ndarray,
    factors: np.ndarray,
) -> None:
    """Fill mean, var and the factors m, a, b from the partial moments (sample, part, which, column).

    A part of n numbers has the sum n p + s about zero and, about the mean M of all, the squares
    q - s^2 / n + n (p + s / n - M)^2.
    """
    samples, parts, _, width = stats.shape
    channels, groups = w.size, mean.shape[1]
    for n in range(samples):
        count = np.zeros(groups)
        mean[n] = 0.0
        var[n] = 0.0
        for part in range(parts):
            for i in range(width):
                k = i % channels * groups // channels
                count[k] += sizes[part, i]
                mean[n, k] += sizes[part, i] * stats[n, part, 0, i] + stats[n, part, 1, i]
        for k in range(groups):
            mean[n, k] /= count[k]
        for part in range(parts):
            for i in range(width):
                size = sizes[part, i]
                if size > 0:
                    k = i % channels * groups // channels
                    shift = stats[n, part, 1, i] / size
                    apart = stats[n, part, 0, i] + shift - mean[n, k]
                    var[n, k] += stats[n, part, 2, i] - size * shift * shift + size * apart * apart
        for k in range(groups):
            var[n, k] /= count[k]
        for i in range(width):
            c = i % channels
            k = c * groups // channels
            m = np.float32(mean[n, k])
            a = w[c] / math.sqrt(var[n, k] + eps)
            factors[n, 0, i] = m
            factors[n, 1, i] = a
            factors[n, 2, i] = b[c] - (mean[n, k] - m) * a


@kernel
def backward_factors(
    stats: np.ndarray,
    sizes: np.ndarray,
    w: np.ndarray,
    eps: float,
    mean: np.ndarray,
    var: np.ndarray,
    factors: np.ndarray,
    gw: np.ndarray,
    gb: np.ndarray,
) -> None:
    """Fill gw, gb and the factors a, q, r from the partial sums of g and g (x - m); m stands in `factors` already.

    With s = 1 / sqrt(var + eps), z = (x - mean) s and the means A of g w and B of g w z,
    gx = (g w - A - z B) s = g (w s) + (x - mean) (-s^2 B) - s A.
    """
    samples, parts, _, width = stats.shape
    channels, groups = w.size, mean.shape[1]
    all_gw, all_gb = np.zeros(channels), np.zeros(channels)
    for n in range(samples):
        count, total, along = np.zeros(groups), np.zeros(groups), np.zeros(groups)
        for part in range(parts):
            for i in range(width):
                c = i % channels
                k = c * groups // channels
                rounded = mean[n, k] - factors[n, 0, i]
                grad = np.float64(stats[n, part, 0, i])
                product = (stats[n, part, 1, i] - rounded * grad) / math.sqrt(var[n, k] + eps)
                all_gb[c] += grad
                all_gw[c] += product
                count[k] += sizes[part, i]
                total[k] += w[c] * grad
                along[k] += w[c] * product
        for i in range(width):
            c = i % channels
            k = c * groups // channels
            scale = 1 / math.sqrt(var[n, k] + eps)
            slope = -scale * scale * along[k] / count[k]
            factors[n, 1, i] = w[c] * scale
            factors[n, 2, i] = slope
            factors[n, 3, i] = -scale * total[k] / count[k] - (mean[n, k] - factors[n, 0, i]) * slope
    for c in range(channels):
        gw[c] = all_gw[c]
        gb[c] = all_gb[c]
