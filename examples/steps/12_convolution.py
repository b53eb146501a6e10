"""Step 12: convolution, first as loops, then as a matrix product.

A filter w (F, C, k, k) slides over the images x (N, C, H, W) and gives at each place a weighted sum of what is under
it:

    z[n, f, i, j] = sum over c, a, b of  x[n, c, i + a, j + b] w[f, c, a, b]

Seven loops say exactly that, and take a microsecond for each multiplication. `im2col` copies the patch under the
filter at each place into a row of a matrix; then all places, images and filters are one matrix product. The matrix is
k^2 times as large as the images: memory is paid for speed.

The gradients need no new thought. The weights' is that of a matrix product. The images': each pixel was copied into
several patches, so it gets the sum of their gradients, which is `col2im`, im2col backwards.

Next: step 13 trains a network with it.
"""

from __future__ import annotations

import time

import numpy as np


def conv_loops(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    (N, C, H, W), (F, _, k, _) = x.shape, w.shape
    z = np.zeros((N, F, H - k + 1, W - k + 1))
    for n in range(N):
        for f in range(F):
            for i in range(H - k + 1):
                for j in range(W - k + 1):
                    for c in range(C):
                        for a in range(k):
                            for b in range(k):
                                z[n, f, i, j] += x[n, c, i + a, j + b] * w[f, c, a, b]
    return z


def im2col(x: np.ndarray, k: int) -> np.ndarray:
    """(N, C, H, W) -> (N, H', W', C k k): the patch under the filter at each place."""
    patches = np.lib.stride_tricks.sliding_window_view(x, (k, k), axis=(2, 3))  # (N, C, H', W', k, k), a view
    N, C, height, width, _, _ = patches.shape
    return patches.transpose(0, 2, 3, 1, 4, 5).reshape(N, height, width, C * k * k)


def col2im(columns: np.ndarray, shape: tuple[int, ...], k: int) -> np.ndarray:
    """Each patch is added to where im2col took it from."""
    N, C, H, W = shape
    patches = columns.reshape(N, H - k + 1, W - k + 1, C, k, k).transpose(0, 3, 1, 2, 4, 5)
    x = np.zeros(shape)
    for a in range(k):
        for b in range(k):
            x[:, :, a : a + H - k + 1, b : b + W - k + 1] += patches[..., a, b]
    return x


def conv(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    F, _, k, _ = w.shape
    return (im2col(x, k) @ w.reshape(F, -1).T).transpose(0, 3, 1, 2)


def conv_rule(g: np.ndarray, x: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The gradients of x and w, for the gradient g (N, F, H', W') of the output."""
    F, _, k, _ = w.shape
    rows = g.transpose(0, 2, 3, 1)  # (N, H', W', F)
    gx = col2im(rows @ w.reshape(F, -1), x.shape, k)
    gw = np.tensordot(rows, im2col(x, k), axes=((0, 1, 2), (0, 1, 2))).reshape(w.shape)
    return gx, gw


def finite_difference(x: np.ndarray, w: np.ndarray, g: np.ndarray, dx: np.ndarray, dw: np.ndarray) -> float:
    """The derivative of <g, conv(x, w)> along the direction (dx, dw)."""
    h = 1e-6
    return float(np.sum(g * (conv(x + h * dx, w + h * dw) - conv(x - h * dx, w - h * dw))) / (2 * h))


def main() -> None:
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((4, 3, 10, 10)), rng.standard_normal((8, 3, 3, 3))

    start = time.perf_counter()
    slow = conv_loops(x, w)
    middle = time.perf_counter()
    fast = conv(x, w)
    end = time.perf_counter()
    difference = np.abs(slow - fast).max()
    print(f"loops {1e3 * (middle - start):.0f} ms, im2col {1e3 * (end - middle):.2f} ms; difference {difference:.1e}")

    # The random g matters: with g = 1 a gradient that mixes up places or channels would pass.
    g = rng.standard_normal(fast.shape)
    gx, gw = conv_rule(g, x, w)
    dx, dw = rng.standard_normal(x.shape), rng.standard_normal(w.shape)
    got, expected = float(np.sum(gx * dx) + np.sum(gw * dw)), finite_difference(x, w, g, dx, dw)
    print(f"derivative along a random direction: {got:.7f}, expected {expected:.7f}")

    # col2im is the transpose of im2col: <im2col(x), c> = <x, col2im(c)> for every x and c.
    c = rng.standard_normal(im2col(x, 3).shape)
    left, right = float(np.sum(im2col(x, 3) * c)), float(np.sum(x * col2im(c, x.shape, 3)))
    print(f"im2col and col2im are transposes: {left:.10f}, expected {right:.10f}")
    if not (difference < 1e-12 and abs(got - expected) < 1e-6 and abs(left - right) < 1e-9):
        raise SystemExit("the convolution or its gradient is wrong")


if __name__ == "__main__":
    main()
