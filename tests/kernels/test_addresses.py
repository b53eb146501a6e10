"""No result depends on where in memory its arrays lie.

LLVM makes two versions of a loop that reads one array and writes another, with vectors and without, and the program
takes the second where the arrays lie close to each other. Where sums may be reordered the two round differently: equal
runs then differ in the last bit, now and then, as the allocator pleases. So here all memory that kernels get from numpy
lies close together the first time, and far apart the second.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import Tensor, nn
from minigrad.kernels.jit import jit_disabled
from minigrad.nn import functional as F
from minigrad.tensor import from_numpy

pytestmark = pytest.mark.skipif(jit_disabled(), reason="about compiled code")

numpy_empty = np.empty


class Memory:
    """A `numpy.empty` that takes one piece after the other out of one buffer, `gap` bytes apart."""

    def __init__(self, gap: int) -> None:
        self.gap, self.used = gap, 0
        self.buffer = np.zeros(1 << 24, np.uint8)

    def empty(self, shape: Any, dtype: Any = float, order: Any = "C", **_: Any) -> np.ndarray:
        dtype = np.dtype(dtype)
        size = int(np.prod(shape)) * dtype.itemsize
        if dtype.hasobject or not dtype.itemsize:
            return numpy_empty(shape, dtype)
        piece = self.buffer[self.used : self.used + size].view(dtype).reshape(shape, order=order)
        self.used += -(-(size + self.gap) // 16) * 16
        return piece

    def empty_like(self, array: np.ndarray, dtype: Any = None, **_: Any) -> np.ndarray:
        return self.empty(array.shape, dtype or array.dtype)

    def normal(self, seed: int, *shape: int) -> np.ndarray:
        numbers = np.random.default_rng(seed).standard_normal(shape)
        array = self.empty(shape, np.float32)
        array[...] = numbers
        return array


LABELS = minigrad.tensor([0, 3, 5, 9])


def attention(x: Tensor) -> Tensor:
    heads = x.reshape(1, 2, 2, 19)
    return F.scaled_dot_product_attention(heads, heads, heads, is_causal=True)


CASES: dict[str, tuple[tuple[int, ...], Callable[[Tensor], Tensor]]] = {
    "cross-entropy": ((4, 12), lambda x: F.cross_entropy(x, LABELS)),
    "cross-entropy, smoothed": ((4, 12), lambda x: F.cross_entropy(x, LABELS, label_smoothing=0.1)),
    "softmax": ((2, 19), lambda x: F.softmax(x, dim=1)),
    "log_softmax": ((2, 19), lambda x: F.log_softmax(x, dim=1)),
    "gelu": ((2, 19), F.gelu),
    "gelu, tanh": ((2, 19), lambda x: F.gelu(x, approximate="tanh")),
    "silu": ((2, 19), F.silu),
    "mish": ((2, 19), F.mish),
    "elu": ((2, 19), F.elu),
    "selu": ((2, 19), F.selu),
    "softplus": ((2, 19), F.softplus),
    "sigmoid": ((2, 19), F.sigmoid),
    "tanh": ((2, 19), F.tanh),
    "hardswish": ((2, 19), F.hardswish),
    "dropout": ((2, 19), lambda x: F.dropout(x, 0.3)),
    "layer_norm": ((2, 19), lambda x: F.layer_norm(x, (19,))),
    "layer_norm, and its weight and bias": ((4, 19), lambda x: F.layer_norm(x[:2], (19,), x[2], x[3])),
    "rms_norm": ((2, 19), lambda x: F.rms_norm(x, (19,))),
    "group_norm": ((2, 2, 3, 5), lambda x: F.group_norm(x, 2)),
    "batch_norm": ((2, 19), lambda x: F.batch_norm(x, None, None, training=True)),
    "batch_norm of images": ((2, 2, 3, 5), lambda x: F.batch_norm(x, None, None, training=True)),
    "max_pool2d": ((3, 6, 7, 9), lambda x: F.max_pool2d(x, 3, 2, 1)),
    "avg_pool2d": ((3, 6, 7, 9), lambda x: F.avg_pool2d(x, 3, 2, 1)),
    "conv2d": ((3, 6, 7, 9), lambda x: nn.Conv2d(6, 5, 3, padding=1)(x)),
    "fused layers": ((3, 6, 8, 8), lambda x: nn.Sequential(nn.Conv2d(6, 5, 3), nn.ReLU(), nn.MaxPool2d(2))(x)),
    "linear": ((64, 97), lambda x: nn.Linear(97, 71)(x)),
    "attention": ((1, 2, 2, 19), attention),
    "LSTM": ((5, 3, 9), lambda x: nn.LSTM(9, 11)(x)[0]),
    "GRU": ((5, 3, 9), lambda x: nn.GRU(9, 11)(x)[0]),
}


def bits(name: str, seed: int, gap: int, patch: pytest.MonkeyPatch) -> list[bytes]:
    shape, function = CASES[name]
    memory = Memory(gap)
    with patch.context() as patched:
        patched.setattr(np, "empty", memory.empty)
        patched.setattr(np, "empty_like", memory.empty_like)
        minigrad.manual_seed(0)
        x = from_numpy(memory.normal(seed, *shape))
        x.requires_grad = True
        z = function(x)
        z.backward(from_numpy(memory.normal(seed + 1, *z.shape)))
        return [z._data.tobytes(), x.grad.numpy().tobytes()]


@pytest.mark.parametrize("name", CASES)
def test_the_same_bits_wherever_the_arrays_lie(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shape, function = CASES[name]
    x = minigrad.randn(*shape, requires_grad=True)
    function(x).sum().backward()  # compiles; the compiler is to keep the memory that it is used to
    for seed in range(5):
        far = bits(name, seed, 4096, monkeypatch)
        assert [bits(name, seed, gap, monkeypatch) == far for gap in (0, 16, 32, 64)] == [True] * 4
