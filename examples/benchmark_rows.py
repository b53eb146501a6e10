"""What `benchmark.py` measures: for each row and side, a function that does the thing once.

minigrad and PyTorch run the same program text; only the import differs. JAX and numpy alone, which have no layers,
run the same network written out below.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

Call = Callable[[], Any]
Make = Callable[[str], Call]

TORCH = ("torch", "torch channels-last")
COMPILED = "torch compiled"
ONE_THREAD = "minigrad, one thread"


class Row(NamedTuple):
    """One line of the table.

    Attributes
    ----------
    make : function of the side that returns what is timed
    sides : who takes part, beside minigrad
    flops : multiply-adds times two of one call, 0 where they are not what counts
    unit : 's' if the call is timed; otherwise the call returns the number itself, in this unit
    rounds : how many blocks, where a call takes long; None for the number asked for
    group : a name for neighbours in the table that take turns, so that a slow moment of the machine takes a round from
        all of them and not several from one
    """

    make: Make
    sides: tuple[str, ...] = TORCH
    flops: float = 0.0
    unit: str = "s"
    rounds: int | None = None
    group: str = ""


def library(side: str) -> tuple[Any, Any, Any]:
    """The library of a side, its nn and its optim."""
    if side.startswith("minigrad"):
        import minigrad

        return minigrad, minigrad.nn, minigrad.optim
    import torch

    return torch, torch.nn, torch.optim


# ---- single operations -----------------------------------------------------------------------------------------------


def add_4x4(side: str) -> Call:
    """x + y of 4x4 matrices, recorded for the backward pass: what one operation costs beyond its arithmetic."""
    if side == "numpy":
        a, b = np.ones((4, 4), np.float32), np.ones((4, 4), np.float32)
        return lambda: a + b
    lib, _, _ = library(side)
    x, y = lib.ones(4, 4, requires_grad=True), lib.ones(4, 4)
    return lambda: x + y


def conv(channels: tuple[int, int], size: int, batch: int, what: str) -> Row:
    """A 3x3 convolution with padding 1: 'forward', 'input gradient' or 'weight gradient' alone.

    The images are in memory of the library and in its own order, as they come from the layer before.
    """

    def make(side: str) -> Call:
        lib, nn, _ = library(side)
        layer = nn.Conv2d(*channels, 3, padding=1, bias=False)
        x = np.random.default_rng(0).standard_normal((batch, channels[0], size, size), np.float32)
        g = np.random.default_rng(1).standard_normal((batch, channels[1], size, size), np.float32)
        if side == "minigrad":
            x, g = (lib.from_numpy(_channels_last(image)) for image in (x, g))
        else:
            form = lib.channels_last if side.endswith("channels-last") else lib.contiguous_format
            layer = layer.to(memory_format=form)
            x, g = (lib.from_numpy(image).clone(memory_format=form) for image in (x, g))
        if what == "forward":

            def forward() -> None:
                with lib.no_grad():
                    layer(x)

            return forward
        wanted = x if what == "input gradient" else layer.weight
        layer.weight.requires_grad = wanted is layer.weight
        x.requires_grad = wanted is x
        y = layer(x)
        return lambda: lib.autograd.grad(y, wanted, g, retain_graph=True)

    return Row(make, flops=2.0 * batch * size * size * 9 * math.prod(channels), group="convolutions")


def _channels_last(image: np.ndarray) -> np.ndarray:
    from minigrad.kernels.buffers import empty_image

    copy = empty_image(image.shape, np.float32)
    copy[...] = image
    return copy


# ---- training steps --------------------------------------------------------------------------------------------------


def training_step(side: str, model: Any, optimizer: Any, x: Any, labels: Any, loss_of: Any) -> Call:
    """Forward, backward and update on one batch."""
    if side == COMPILED:
        import torch

        model = torch.compile(model)

    def step() -> None:
        loss = loss_of(model(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def classifier_step(side: str, model: Any, shape: tuple[int, ...], classes: int = 10) -> Call:
    """A step with SGD, momentum and cross-entropy on random numbers."""
    lib, nn, optim = library(side)
    rng = np.random.default_rng(0)
    x = lib.from_numpy(rng.standard_normal(shape, np.float32))
    labels = lib.from_numpy(rng.integers(0, classes, shape[0]))
    if side in ("torch channels-last", COMPILED) and len(shape) == 4:
        model = model.to(memory_format=lib.channels_last)
        x = x.contiguous(memory_format=lib.channels_last)
    optimizer = optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
    return training_step(side, model, optimizer, x, labels, nn.CrossEntropyLoss())


def cnn_step(size: int, width: tuple[int, int], batch: int) -> Make:
    """conv-relu-pool, conv-relu-pool, linear."""

    def make(side: str) -> Call:
        if side in ("jax", "numpy"):
            return (jax_cnn_step if side == "jax" else numpy_cnn_step)(size, width, batch)
        _, nn, _ = library(side)
        c1, c2 = width
        model = nn.Sequential(
            nn.Conv2d(1, c1, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(c1, c2, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(c2 * (size // 4) ** 2, 10),
        )
        return classifier_step(side, model, (batch, 1, size, size))

    return make


def batchnorm_cnn_step(side: str) -> Call:
    """conv-batchnorm-relu-pool twice, linear, at 28x28 and batch 128."""
    _, nn, _ = library(side)
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * 7 * 7, 10),
    )
    return classifier_step(side, model, (128, 1, 28, 28))


def mlp_step(side: str) -> Call:
    """784-128-10 at batch 32."""
    if side == "jax":
        return jax_mlp_step()
    if side == "numpy":
        return numpy_mlp_step()
    _, nn, _ = library(side)
    return classifier_step(side, nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10)), (32, 784))


def lstm_step(side: str) -> Call:
    """A layer of 128 cells over 50 steps of 64 numbers at batch 32, and a linear layer on its last output."""
    _, nn, _ = library(side)

    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(64, 128, batch_first=True)
            self.out = nn.Linear(128, 10)

        def forward(self, x: Any) -> Any:
            return self.out(self.lstm(x)[1][0][-1])  # the last hidden state

    return classifier_step(side, Last(), (32, 50, 64))


def transformer_step(side: str) -> Call:
    """A TransformerEncoderLayer (128 wide, 4 heads, 512 hidden) on 64 positions at batch 32, and a linear layer."""
    _, nn, _ = library(side)

    class Mean(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.TransformerEncoderLayer(128, 4, 512, dropout=0.1, batch_first=True)
            self.out = nn.Linear(128, 10)

        def forward(self, x: Any) -> Any:
            return self.out(self.layer(x).mean(1))

    return classifier_step(side, Mean(), (32, 64, 128))


# ---- the same networks without layers: numpy alone, and JAX ----------------------------------------------------------


def _cnn_arrays(size: int, width: tuple[int, int], batch: int) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    c1, c2 = width
    shapes: list[tuple[int, ...]] = [(3, 3, 1, c1), (c1,), (3, 3, c1, c2), (c2,), (c2 * (size // 4) ** 2, 10), (10,)]
    weights = [0.1 * rng.standard_normal(shape, np.float32) for shape in shapes]
    x = rng.standard_normal((batch, size, size, 1), np.float32)
    return weights, x, rng.integers(0, 10, batch)


def _mlp_arrays() -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    shapes: list[tuple[int, ...]] = [(784, 128), (128,), (128, 10), (10,)]
    weights = [0.05 * rng.standard_normal(shape, np.float32) for shape in shapes]
    return weights, rng.standard_normal((32, 784), np.float32), rng.integers(0, 10, 32)


def _softmax_gradient(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    e = np.exp(scores - scores.max(1, keepdims=True))
    g = e / e.sum(1, keepdims=True)
    g[np.arange(len(labels)), labels] -= 1
    return g / np.float32(len(labels))


def _momentum(weights: list[np.ndarray], gradients: list[np.ndarray], velocities: list[np.ndarray]) -> None:
    for w, g, v in zip(weights, gradients, velocities, strict=True):
        v *= np.float32(0.9)
        v += g
        w -= np.float32(1e-3) * v


def numpy_mlp_step() -> Call:
    weights, x, labels = _mlp_arrays()
    velocities = [np.zeros_like(w) for w in weights]

    def step() -> None:
        w1, b1, w2, b2 = weights
        h = np.maximum(x @ w1 + b1, 0)
        g = _softmax_gradient(h @ w2 + b2, labels)
        gh = (g @ w2.T) * (h > 0)
        _momentum(weights, [x.T @ gh, gh.sum(0), h.T @ g, g.sum(0)], velocities)

    return step


def numpy_cnn_step(size: int, width: tuple[int, int], batch: int) -> Call:
    """Convolution as a matrix product over patches (im2col), pooling by comparison: what one writes in numpy."""
    weights, x, labels = _cnn_arrays(size, width, batch)
    velocities = [np.zeros_like(w) for w in weights]

    def patches(image: np.ndarray) -> np.ndarray:  # (N, H, W, C) -> (N, H, W, C, 3, 3)
        padded = np.pad(image, ((0, 0), (1, 1), (1, 1), (0, 0)))
        return np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))

    def layer(image: np.ndarray, w: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        y = np.tensordot(patches(image), w, axes=([4, 5, 3], [0, 1, 2])) + b
        n, height, across, channels = y.shape
        windows = y.reshape(n, height // 2, 2, across // 2, 2, channels)
        z = np.maximum(windows.max(axis=(2, 4)), 0)
        return z, windows, z[:, :, None, :, None]

    def back(g: np.ndarray, windows: np.ndarray, best: np.ndarray) -> np.ndarray:
        won = (windows == best) & (best > 0)
        n, height, _, across, _, channels = windows.shape
        return (won * g[:, :, None, :, None]).reshape(n, 2 * height, 2 * across, channels)

    def step() -> None:
        w1, b1, w2, b2, w3, b3 = weights
        z1, windows1, best1 = layer(x, w1, b1)
        z2, windows2, best2 = layer(z1, w2, b2)
        flat = z2.reshape(batch, -1)
        g = _softmax_gradient(flat @ w3 + b3, labels)
        g2 = back((g @ w3.T).reshape(z2.shape), windows2, best2)
        gz1 = np.tensordot(patches(g2), w2[::-1, ::-1].transpose(0, 1, 3, 2), axes=([4, 5, 3], [0, 1, 2]))
        g1 = back(gz1, windows1, best1)
        over = ([0, 1, 2], [0, 1, 2])
        gw1 = np.tensordot(patches(x), g1, axes=over).transpose(1, 2, 0, 3)
        gw2 = np.tensordot(patches(z1), g2, axes=over).transpose(1, 2, 0, 3)
        gradients = [gw1, g1.sum((0, 1, 2)), gw2, g2.sum((0, 1, 2)), flat.T @ g, g.sum(0)]
        _momentum(weights, gradients, velocities)

    return step


def _jax_step(scores: Callable[[list[Any], Any], Any], arrays: tuple[list[np.ndarray], np.ndarray, np.ndarray]) -> Call:
    import jax
    import jax.numpy as jnp

    weights, x, labels = ([jnp.asarray(w) for w in arrays[0]], *map(jnp.asarray, arrays[1:]))
    velocities = [jnp.zeros_like(w) for w in weights]

    def loss(weights: list[Any], x: Any, labels: Any) -> Any:
        log_p = jax.nn.log_softmax(scores(weights, x))
        return -jnp.take_along_axis(log_p, labels[:, None], 1).mean()

    @jax.jit
    def update(weights: list[Any], velocities: list[Any], x: Any, labels: Any) -> tuple[list[Any], list[Any]]:
        gradients = jax.grad(loss)(weights, x, labels)
        velocities = [0.9 * v + g for v, g in zip(velocities, gradients, strict=True)]
        return [w - 1e-3 * v for w, v in zip(weights, velocities, strict=True)], velocities

    state = [weights, velocities]

    def step() -> None:
        state[:] = update(*state, x, labels)
        state[0][0].block_until_ready()

    return step


def jax_mlp_step() -> Call:
    def scores(weights: list[Any], x: Any) -> Any:
        w1, b1, w2, b2 = weights
        return (x @ w1 + b1).clip(0) @ w2 + b2

    return _jax_step(scores, _mlp_arrays())


def jax_cnn_step(size: int, width: tuple[int, int], batch: int) -> Call:
    import jax

    def layer(x: Any, w: Any, b: Any) -> Any:
        y = jax.lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")) + b
        return jax.lax.reduce_window(y.clip(0), -np.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")

    def scores(weights: list[Any], x: Any) -> Any:
        w1, b1, w2, b2, w3, b3 = weights
        return layer(layer(x, w1, b1), w2, b2).reshape(len(x), -1) @ w3 + b3

    return _jax_step(scores, _cnn_arrays(size, width, batch))


# ---- optimizers, processes, memory -----------------------------------------------------------------------------------


def optimizer_step(
    name: str, shapes: list[tuple[int, ...]], sides: tuple[str, ...], ours: dict[str, Any] | None = None, **options: Any
) -> Row:
    """`optimizer.step()` alone, Python included; PyTorch's fused and foreach forms. `ours` is for minigrad alone."""

    def make(side: str) -> Call:
        lib, _, optim = library(side)
        parameters = [lib.zeros(*shape).requires_grad_() for shape in shapes]
        forms: dict[str, dict[str, Any]] = {"torch fused": {"fused": True}, "torch foreach": {"foreach": True}}
        form = forms.get(side, ours or {})
        optimizer = getattr(optim, name)(parameters, lr=1e-3, **options, **form)
        for p in parameters:
            (p * 0.5).sum().backward()
        return optimizer.step

    return Row(make, sides)


def start_up(side: str) -> Call:
    """A new Python process that imports the library and runs one matrix product."""
    name = "minigrad" if side == "minigrad" else "torch"
    code = f"import {name} as lib; lib.ones(2, 2) @ lib.ones(2, 2)"
    return lambda: subprocess.run([sys.executable, "-c", code], check=True)


_FIRST_STEP = "import benchmark_rows; benchmark_rows.cnn_step(28, (16, 32), 128)({side!r})()"


def first_step(empty_cache: bool) -> Make:
    """From the start of a process to the end of the first training step of the CNN at batch 128."""

    def make(side: str) -> Call:
        def run() -> None:
            with tempfile.TemporaryDirectory() as folder:
                environment = {**os.environ, "NUMBA_CACHE_DIR": folder} if empty_cache else None
                _python(_FIRST_STEP.format(side=side), environment)

        return run

    return make


# Not getrusage: its peak includes that of the process that started this one.
_PEAK = """
import re, benchmark_rows
step = benchmark_rows.cnn_step(28, {width}, {batch})({side!r})
for _ in range(5):
    step()
print(int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) / 1024)
"""


def peak_memory(width: tuple[int, int], batch: int) -> Row:
    """The most memory that a process holds which trains the CNN for five steps."""

    def make(side: str) -> Call:
        code = _PEAK.format(width=width, batch=batch, side=side)
        return lambda: float(_python(code))

    return Row(make, unit="MB", rounds=3)


def _python(code: str, environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
        cwd=os.path.dirname(os.path.abspath(__file__)),
    )
    return done.stdout


# ---- the table -------------------------------------------------------------------------------------------------------

DIGITS_CNN: list[tuple[int, ...]] = [(16, 1, 3, 3), (16,), (32, 16, 3, 3), (32,), (10, 128), (10,)]
HUNDRED: list[tuple[int, ...]] = [(110, 109)] * 100
FORMS = ("torch fused", "torch foreach")
STEPS = (*TORCH, COMPILED)


def cnn_steps(width: tuple[int, int], also: tuple[int, ...] = ()) -> dict[str, Row]:
    """Steps of a CNN at 28x28; those of the batches in `also` are there to see how the time grows."""
    rows, group = {}, f"CNN {width}"
    for batch in (32, 128, 512):
        sides = (*STEPS, "jax", "numpy") if (width, batch) == ((16, 32), 128) else STEPS
        rows[f"CNN step 28x28 {width}, batch {batch}"] = Row(cnn_step(28, width, batch), sides, group=group)
    for batch in also:
        rows[f"scaling: CNN step {width}, batch {batch}"] = Row(cnn_step(28, width, batch), TORCH, group=group)
    return rows


ROWS: dict[str, Row] = {
    "add 4x4, recorded": Row(add_4x4, ("torch", "numpy")),
    **{
        f"conv {c[0]}->{c[1]}, 14x14, batch 128, {what}": conv(c, 14, 128, what)
        for c in ((16, 32), (32, 64), (64, 64))
        for what in ("forward", "input gradient", "weight gradient")
    },
    **{
        f"conv 1->16, 28x28, batch 128, {what}": conv((1, 16), 28, 128, what) for what in ("forward", "weight gradient")
    },
    "CNN step 8x8 (16, 32), batch 32": Row(cnn_step(8, (16, 32), 32), (*STEPS, "jax", "numpy"), group="small"),
    "MLP step 784-128-10, batch 32": Row(mlp_step, ("torch", COMPILED, "jax", "numpy"), group="small"),
    **cnn_steps((8, 16)),
    **cnn_steps((16, 32), also=(64, 256, 1024)),
    **cnn_steps((32, 64)),
    "threads: CNN step (32, 64), batch 512": Row(cnn_step(28, (32, 64), 512), (ONE_THREAD,)),
    "BatchNorm CNN step 28x28, batch 128": Row(batchnorm_cnn_step),
    "LSTM step 64-128, 50 steps, batch 32": Row(lstm_step, ("torch",)),
    "transformer step 128 wide, 64 long, batch 32": Row(transformer_step, ("torch",)),
    "SGD step, 6 tensors of the digits CNN": optimizer_step("SGD", DIGITS_CNN, FORMS),
    "SGD momentum step, 6 tensors of the digits CNN": optimizer_step("SGD", DIGITS_CNN, FORMS, momentum=0.9),
    "AdamW step, 6 tensors of the digits CNN": optimizer_step("AdamW", DIGITS_CNN, FORMS),
    "AdamW step, 1.2 M parameters in 100 tensors": optimizer_step("AdamW", HUNDRED, FORMS),
    "AdamW step, 10 M parameters": optimizer_step("AdamW", [(1000, 1000)] * 10, FORMS),
    "AdamW step, 10 M, no look for NaN": optimizer_step("AdamW", [(1000, 1000)] * 10, FORMS, {"nonfinite": "ignore"}),
    "AdamW step, 100 M parameters": optimizer_step("AdamW", [(1000, 10000)] * 10, FORMS[:1]),
    "AdamW step, 100 M, no look for NaN": optimizer_step(
        "AdamW", [(1000, 10000)] * 10, FORMS[:1], {"nonfinite": "ignore"}
    ),
    "start-up: import and one product": Row(start_up, ("torch",), rounds=5),
    "start-up: first CNN step, compiled kernels kept": Row(first_step(False), ("torch",), rounds=5),
    "start-up: first CNN step, nothing compiled": Row(first_step(True), ("torch",), rounds=1),
    "peak memory: CNN (16, 32), batch 128": peak_memory((16, 32), 128),
    "peak memory: CNN (32, 64), batch 512": peak_memory((32, 64), 512),
}
