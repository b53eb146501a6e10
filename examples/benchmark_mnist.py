"""Three epochs of MNIST in minigrad and in PyTorch: same network, schedule, first weights and order of batches."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

EPOCHS, BATCH, SEEDS = 3, 64, (0, 1, 2)


def train(side: str, folder: str, seed: int) -> tuple[float, float]:
    """Seconds of training and test accuracy in per cent. The data is read, by minigrad, before the clock starts."""
    from minigrad import datasets, models, optim

    train_set, test_set = datasets.MNIST(folder, train=True), datasets.MNIST(folder, train=False)
    (x, y), (x_test, y_test) = ((s.images, s.labels) for s in (train_set, test_set))
    order = np.random.default_rng(seed)
    import minigrad

    minigrad.manual_seed(seed)
    weights = {key: value.numpy().copy() for key, value in models.cnn(28).state_dict().items()}
    steps = EPOCHS * (len(x) // BATCH)
    schedule = optim.schedules.one_cycle(0.003, steps)
    lib, model, optimizer, loss_of = _program(side, weights)
    started = time.perf_counter()
    t = 0
    for _ in range(EPOCHS):
        places = order.permutation(len(x))
        for start in range(0, len(x) - BATCH + 1, BATCH):
            batch = places[start : start + BATCH]
            loss = loss_of(model(_images(lib, side, x[batch])), lib.from_numpy(y[batch].astype(np.int64)))
            optimizer.param_groups[0]["lr"] = schedule(t)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            t += 1
    seconds = time.perf_counter() - started
    with lib.no_grad():
        right = sum(
            int((model(_images(lib, side, x_test[i : i + 500])).numpy().argmax(1) == y_test[i : i + 500]).sum())
            for i in range(0, len(x_test), 500)
        )
    return seconds, 100 * right / len(x_test)


def _program(side: str, weights: dict[str, np.ndarray]) -> tuple[Any, Any, Any, Any]:
    if side == "minigrad":
        import minigrad as lib
        from minigrad import nn, optim
    else:
        import torch as lib
        from torch import nn, optim
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(32 * 7 * 7, 10),
    )  # fmt: skip
    model.load_state_dict({key: lib.from_numpy(value) for key, value in weights.items()})
    if side.endswith("channels-last"):
        model = model.to(memory_format=lib.channels_last)
    fused = {} if side == "minigrad" else {"fused": True}
    return lib, model, optim.Adam(model.parameters(), lr=0.003, **fused), nn.CrossEntropyLoss()


def _images(lib: Any, side: str, pixels: np.ndarray) -> Any:
    x = lib.from_numpy((pixels.reshape(-1, 1, 28, 28) * np.float32(1 / 255)).astype(np.float32))
    return x.contiguous(memory_format=lib.channels_last) if side.endswith("channels-last") else x


def compare(folder: str, with_torch: bool) -> list[str]:
    """Run every side and seed, in turns, each in a process of its own; sentences about time and accuracy."""
    sides = ["minigrad", *(["torch", "torch channels-last"] if with_torch else [])]
    found: dict[str, list[tuple[float, float]]] = {side: [] for side in sides}
    for seed in SEEDS:
        for side in sides:
            command = [sys.executable, __file__, side, folder, str(seed)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found[side].append(tuple(json.loads(done.stdout.splitlines()[-1])))
    lines = []
    for side, runs in found.items():
        seconds, accuracy = zip(*runs, strict=True)
        lines.append(
            f"MNIST, {EPOCHS} epochs, {side}: {statistics.median(seconds):.1f} s, "
            f"accuracy {', '.join(f'{a:.2f}' for a in accuracy)} %, mean {statistics.fmean(accuracy):.2f} %"
        )
    return lines


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    side, folder, seed = sys.argv[1:]
    print(json.dumps(train(side, folder, int(seed))))
