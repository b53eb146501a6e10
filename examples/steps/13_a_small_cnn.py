"""Step 13: a convolution network that reads handwritten digits, on the engine of these steps.

Births order the backward walk (step 3), rules stand beside their forwards (5), Adam makes the steps (7), softmax and
cross-entropy are one operation (8), convolution is im2col (12). New is max pooling: the largest of four pixels goes on.

    (N, 1, 8, 8) ─conv 3x3─► (N, 8, 6, 6) ─relu, pool 2x2─► (N, 8, 3, 3) ─linear─► (N, 10)

Next: step 14 is the same program in minigrad, and says where each idea of these steps lives there.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np

births = itertools.count()


class Tensor:
    def __init__(self, data: np.ndarray, rule: Callable | None = None, inputs: tuple[Tensor, ...] = ()) -> None:
        self.data, self.grad = np.asarray(data, np.float64), None
        self.rule, self.inputs, self.birth = rule, inputs, next(births)

    def backward(self) -> None:
        seen, stack = {self}, [self]
        while stack:
            new = set(stack.pop().inputs) - seen
            seen |= new
            stack += new
        self.grad = np.ones_like(self.data)
        for z in sorted(seen, key=lambda tensor: tensor.birth, reverse=True):
            if z.rule is not None:
                for x, gx in zip(z.inputs, z.rule(z.grad), strict=True):
                    x.grad = gx if x.grad is None else x.grad + gx


def conv(x: Tensor, w: Tensor) -> Tensor:
    (F, C, k, _), (N, _, H, W) = w.data.shape, x.data.shape
    patches = np.lib.stride_tricks.sliding_window_view(x.data, (k, k), axis=(2, 3))
    columns = patches.transpose(0, 2, 3, 1, 4, 5).reshape(N, H - k + 1, W - k + 1, C * k * k)

    def rule(g: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rows = g.transpose(0, 2, 3, 1)
        gc = (rows @ w.data.reshape(F, -1)).reshape(N, H - k + 1, W - k + 1, C, k, k).transpose(0, 3, 1, 2, 4, 5)
        gx = np.zeros(x.data.shape)
        for a, b in itertools.product(range(k), range(k)):
            gx[:, :, a : a + H - k + 1, b : b + W - k + 1] += gc[..., a, b]
        return gx, np.tensordot(rows, columns, axes=((0, 1, 2), (0, 1, 2))).reshape(w.data.shape)

    return Tensor((columns @ w.data.reshape(F, -1).T).transpose(0, 3, 1, 2), rule, (x, w))


def relu(x: Tensor) -> Tensor:
    return Tensor(np.maximum(x.data, 0), lambda g: (g * (x.data > 0),), (x,))


def max_pool(x: Tensor) -> Tensor:
    corners = [np.s_[:, :, a::2, b::2] for a in (0, 1) for b in (0, 1)]
    squares = np.stack([x.data[corner] for corner in corners])
    winner = squares.argmax(0)

    def rule(g: np.ndarray) -> tuple[np.ndarray]:
        gx = np.zeros(x.data.shape)
        for i, corner in enumerate(corners):
            gx[corner] = g * (winner == i)
        return (gx,)

    return Tensor(squares.max(0), rule, (x,))


def linear(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    rows, shape = x.data.reshape(len(x.data), -1), x.data.shape
    return Tensor(rows @ w.data.T + b.data, lambda g: ((g @ w.data).reshape(shape), g.T @ rows, g.sum(0)), (x, w, b))


def cross_entropy(scores: Tensor, labels: np.ndarray) -> Tensor:
    s, rows = scores.data - scores.data.max(axis=1, keepdims=True), np.arange(len(labels))
    p = np.exp(s) / np.exp(s).sum(axis=1, keepdims=True)
    return Tensor(-np.log(p[rows, labels]).mean(), lambda g: (g * (p - np.eye(10)[labels]) / len(labels),), (scores,))


def main(epochs: int = 12) -> None:
    file = np.load(Path(__file__).parents[2] / "datasets" / "digits.npz")
    images, labels = file["images"][:, None] / 16.0, file["labels"]
    x, y, x_test, y_test = images[:1437], labels[:1437], images[1437:], labels[1437:]  # the last 360: other writers
    rng = np.random.default_rng(0)
    starts = rng.normal(0, np.sqrt(2 / 9), (8, 1, 3, 3)), rng.normal(0, np.sqrt(2 / 72), (10, 72)), np.zeros(10)
    parameters = [Tensor(start) for start in starts]

    def network(x: np.ndarray, w1: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
        return linear(max_pool(relu(conv(Tensor(x), w1))), w2, b2)

    cross_entropy(network(x[:5], *parameters), y[:5]).backward()
    along, ends = [rng.standard_normal(start.shape) for start in starts], []
    for h in (1e-5, -1e-5):
        moved = [Tensor(start + h * d) for start, d in zip(starts, along, strict=True)]
        ends.append(float(cross_entropy(network(x[:5], *moved), y[:5]).data))
    got, expected = sum(np.sum(p.grad * d) for p, d in zip(parameters, along, strict=True)), (ends[0] - ends[1]) / 2e-5
    print(f"derivative along a random direction: {got:.7f}, expected {expected:.7f}")

    m, v, t = [np.zeros_like(start) for start in starts], [np.zeros_like(start) for start in starts], 0
    for epoch in range(epochs):
        for batch in np.array_split(rng.permutation(len(x)), 45):
            parameters, t = [Tensor(p.data) for p in parameters], t + 1  # without the old gradients
            (loss := cross_entropy(network(x[batch], *parameters), y[batch])).backward()
            for i, p in enumerate(parameters):
                m[i] += 0.1 * (p.grad - m[i])
                v[i] += 0.001 * (p.grad**2 - v[i])
                p.data = p.data - 0.01 * m[i] / (1 - 0.9**t) / (np.sqrt(v[i] / (1 - 0.999**t)) + 1e-8)
        accuracy = (network(x_test, *parameters).data.argmax(1) == y_test).mean()
        print(f"epoch {epoch + 1:2}: loss of the last batch {float(loss.data):.4f}, test accuracy {accuracy:.1%}")
    if not (abs(got - expected) < 1e-6 and accuracy > 0.85):
        raise SystemExit("a gradient is wrong, or the network did not learn")


if __name__ == "__main__":
    main()
