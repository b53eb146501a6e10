"""How fast minigrad is, side by side with PyTorch on the same processor.

    python examples/benchmark.py                 # every row, two minutes
    python examples/benchmark.py --only step     # rows whose name contains 'step'

Each side runs in a process of its own, because two libraries in one process fight for the cores. The processes take
turns in short blocks, so that a slow moment of the machine hits all of them alike, and only the ratio of medians of
one run is quoted. PyTorch takes part where it is installed, in both of its memory layouts; the faster one counts.
`OPENBLAS_CORETYPE`, where it is set, is taken out of the environment of every side: it can halve matrix products.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Call = Callable[[], Any]

SIDES = ("minigrad", "torch", "torch channels-last")


# ---- what is measured: for each row and side, a function that does it once -------------------------------------------


def _library(side: str) -> tuple[Any, Any, Any]:
    """The library, its nn and its optim: the same program text runs on each side."""
    if side == "minigrad":
        import minigrad

        return minigrad, minigrad.nn, minigrad.optim
    import torch

    return torch, torch.nn, torch.optim


def add_4x4(side: str) -> Call:
    """x + y of 4x4 matrices, recorded for the backward pass: what one operation costs beyond its arithmetic."""
    lib, _, _ = _library(side)
    x, y = lib.ones(4, 4, requires_grad=True), lib.ones(4, 4)
    return lambda: x + y


def add_4x4_numpy(side: str) -> Call:
    """The same sum in numpy, which has nothing to record."""
    x, y = np.ones((4, 4), np.float32), np.ones((4, 4), np.float32)
    return lambda: x + y


def _step(side: str, model: Any, optimizer: Any, shape: tuple[int, ...], channels_last: bool) -> Call:
    lib, nn, _ = _library(side)
    rng = np.random.default_rng(0)
    x = lib.from_numpy(rng.standard_normal(shape, np.float32))
    labels = lib.from_numpy(rng.integers(0, 10, shape[0]))
    if channels_last:
        model = model.to(memory_format=lib.channels_last)
        x = x.contiguous(memory_format=lib.channels_last)
    loss_of = nn.CrossEntropyLoss()

    def step() -> None:
        loss = loss_of(model(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def cnn_step(size: int, width: tuple[int, int], batch: int) -> Callable[[str], Call]:
    """One training step of conv-relu-pool, conv-relu-pool, linear with SGD and momentum."""

    def make(side: str) -> Call:
        _, nn, optim = _library(side)
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
        optimizer = optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
        return _step(side, model, optimizer, (batch, 1, size, size), side.endswith("channels-last"))

    return make


def mlp_step(side: str) -> Call:
    """One training step of 784-128-10 at batch 32 with SGD and momentum."""
    _, nn, optim = _library(side)
    model = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    return _step(side, model, optim.SGD(model.parameters(), lr=1e-3, momentum=0.9), (32, 784), False)


def conv(channels: tuple[int, int], size: int, batch: int, backward: bool) -> Callable[[str], Call]:
    """A 3x3 convolution of padding 1: forward alone, or with both gradients."""

    def make(side: str) -> Call:
        lib, nn, _ = _library(side)
        layer = nn.Conv2d(*channels, 3, padding=1)
        x = lib.from_numpy(np.random.default_rng(0).standard_normal((batch, channels[0], size, size), np.float32))
        if side.endswith("channels-last"):
            layer, x = layer.to(memory_format=lib.channels_last), x.contiguous(memory_format=lib.channels_last)
        if not backward:
            with lib.no_grad():
                layer(x)

            def forward() -> None:
                with lib.no_grad():
                    layer(x)

            return forward
        x.requires_grad_()
        g = lib.ones(*layer(x).shape)

        def both() -> None:
            x.grad = None
            layer.zero_grad()
            layer(x).backward(g)

        return both

    return make


def adam_step(shapes: list[tuple[int, ...]]) -> Callable[[str], Call]:
    """`optimizer.step()` of AdamW alone, Python included; PyTorch's fused one."""

    def make(side: str) -> Call:
        lib, _, optim = _library(side)
        parameters = [lib.zeros(*shape).requires_grad_() for shape in shapes]
        options = {} if side == "minigrad" else {"fused": True}
        optimizer = optim.AdamW(parameters, lr=1e-3, **options)
        loss = sum((p * 0.5).sum() for p in parameters)
        loss.backward()
        return optimizer.step

    return make


def start_up(side: str) -> Call:
    """A new Python process that imports the library and runs one matrix product."""
    name = "minigrad" if side == "minigrad" else "torch"
    code = f"import {name} as lib; lib.ones(2, 2) @ lib.ones(2, 2)"
    return lambda: subprocess.run([sys.executable, "-c", code], check=True)


DIGITS_CNN = [(16, 1, 3, 3), (16,), (32, 16, 3, 3), (32,), (10, 128), (10,)]

ROWS: dict[str, Callable[[str], Call]] = {
    "add 4x4, recorded": add_4x4,
    "add 4x4, numpy alone": add_4x4_numpy,
    "CNN step 8x8 (16, 32), batch 32": cnn_step(8, (16, 32), 32),
    "MLP step 784-128-10, batch 32": mlp_step,
    "CNN step 28x28 (8, 16), batch 128": cnn_step(28, (8, 16), 128),
    "CNN step 28x28 (16, 32), batch 32": cnn_step(28, (16, 32), 32),
    "CNN step 28x28 (16, 32), batch 128": cnn_step(28, (16, 32), 128),
    "CNN step 28x28 (32, 64), batch 128": cnn_step(28, (32, 64), 128),
    "conv 16->32, 14x14, batch 128, forward": conv((16, 32), 14, 128, False),
    "conv 16->32, 14x14, batch 128, with gradients": conv((16, 32), 14, 128, True),
    "conv 1->16, 28x28, batch 128, forward": conv((1, 16), 28, 128, False),
    "AdamW step, 6 tensors of the digits CNN": adam_step(DIGITS_CNN),
    "AdamW step, 1.2 M parameters in 100 tensors": adam_step([(110, 109)] * 100),
    "start-up: import and one product": start_up,
}


# ---- one side: a process that times what it is asked to --------------------------------------------------------------


def serve(side: str) -> None:
    """Read 'row name<TAB>seconds' lines, run the row for about so long, answer with the time of one call."""
    made: dict[str, tuple[Call, int]] = {}
    for line in sys.stdin:
        name, seconds = line.rstrip("\n").split("\t")
        if name not in made:
            call = ROWS[name](side)
            call()
            call()  # the first calls compile, allocate and choose algorithms
            made[name] = call, 1
        call, count = made[name]
        started = time.perf_counter()
        for _ in range(count):
            call()
        spent = time.perf_counter() - started
        made[name] = call, max(1, min(int(count * float(seconds) / spent), 10 * count))
        print(spent / count, flush=True)


def measure(names: list[str], sides: list[str], rounds: int, seconds: float) -> dict[str, dict[str, float]]:
    """The median time of a call for each row and side, in seconds."""
    environment = {key: value for key, value in os.environ.items() if key != "OPENBLAS_CORETYPE"}
    root = str(Path(__file__).resolve().parents[1])
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [root, environment.get("PYTHONPATH")]))
    command = [sys.executable, __file__, "--serve"]
    workers = {
        side: subprocess.Popen(
            [*command, side], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        for side in sides
    }
    results: dict[str, dict[str, float]] = {}
    try:
        for name in names:
            times: dict[str, list[float]] = {side: [] for side in sides}
            for turn in range(rounds + 4):
                for side, worker in workers.items():
                    assert worker.stdin is not None
                    assert worker.stdout is not None
                    worker.stdin.write(f"{name}\t{seconds}\n")
                    worker.stdin.flush()
                    answer = worker.stdout.readline()
                    if not answer:
                        raise SystemExit(f"the process for {side} ended at row {name!r}; its error is above")
                    if turn >= 4:  # until then the number of calls in a block finds its size
                        times[side].append(float(answer))
            results[name] = {side: statistics.median(values) for side, values in times.items()}
            print(row_text(name, results[name]), flush=True)
    finally:
        for worker in workers.values():
            worker.kill()
    return results


def machine_peaks() -> dict[str, float]:
    """What this machine can do at most: a float32 matrix product, and copying memory."""
    a = np.ones((1024, 1024), np.float32)
    wide, other = np.ones(2**25, np.float32), np.empty(2**25, np.float32)
    product = min(_timed(lambda: a @ a) for _ in range(10))
    copy = min(_timed(lambda: np.copyto(other, wide)) for _ in range(10))
    return {"matmul_gflops": 2 * 1024**3 / product / 1e9, "copy_gbytes": 2 * wide.nbytes / copy / 1e9}


def _timed(call: Call) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


# ---- the table and the picture ---------------------------------------------------------------------------------------


def duration(seconds: float) -> str:
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def best_of_others(times: dict[str, float]) -> float | None:
    others = [value for side, value in times.items() if side != "minigrad"]
    return min(others) if others else None


def row_text(name: str, times: dict[str, float]) -> str:
    best = best_of_others(times)
    cells = "  ".join(f"{duration(value):>9}" for value in times.values())
    ratio = "" if best is None else f"  {best / times['minigrad']:6.2f}x"
    return f"{name:<46}  {cells}{ratio}"


def plot(results: dict[str, dict[str, float]], path: str) -> None:
    """Bars of PyTorch's time over minigrad's, on a logarithmic axis: to the right of 1, minigrad is faster."""
    from matplotlib.figure import Figure

    ratios = {name: best_of_others(times) / times["minigrad"] for name, times in results.items() if len(times) > 1}
    ratios = {name: ratio for name, ratio in ratios.items() if "numpy alone" not in name}
    figure = Figure(figsize=(9, 0.42 * len(ratios) + 1.4), layout="constrained")
    axes = figure.subplots()
    names = list(ratios)[::-1]
    values = [ratios[name] for name in names]
    bars = axes.barh(names, values, left=0, color=["#0072B2" if value >= 1 else "#D55E00" for value in values])
    axes.bar_label(bars, [f"{value:.2f}x" for value in values], padding=4)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xscale("log")
    axes.set_xlim(min([*values, 1]) / 1.5, max([*values, 1]) * 2)
    axes.set_xlabel("PyTorch's time / minigrad's (medians of one run; right of 1: minigrad is faster)")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", metavar="TEXT", default="", help="rows whose name contains this")
    parser.add_argument("--rounds", type=int, default=15, metavar="N", help="blocks of each side a row (default: 15)")
    parser.add_argument("--seconds", type=float, default=0.05, metavar="X", help="length of a block (default: 0.05)")
    parser.add_argument("--json", metavar="FILE", help="write the medians, in seconds, to a file")
    parser.add_argument("--plot", metavar="FILE", help="draw the ratios into a file")
    parser.add_argument("--serve", choices=SIDES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve)
        return
    names = [name for name in ROWS if arguments.only.lower() in name.lower()]
    if not names:
        parser.error(f"--only: no row contains {arguments.only!r}; the rows are: {'; '.join(ROWS)}")
    sides = list(SIDES) if importlib.util.find_spec("torch") else ["minigrad"]
    os.environ.pop("OPENBLAS_CORETYPE", None)
    peaks = machine_peaks()
    machine = f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}"
    print(f"{machine}; matmul 1024: {peaks['matmul_gflops']:.0f} GFLOP/s, copy: {peaks['copy_gbytes']:.1f} GB/s")
    print(f"{'':<46}  {'  '.join(f'{side[:9]:>9}' for side in sides)}   ratio to the faster PyTorch")
    results = measure(names, sides, arguments.rounds, arguments.seconds)
    if "add 4x4, recorded" in results:
        extra = results["add 4x4, recorded"]["minigrad"] - results["add 4x4, numpy alone"]["minigrad"]
        print(f"a recorded 4x4 sum costs {duration(extra)} more than numpy's own")
    if arguments.json:
        Path(arguments.json).write_text(json.dumps({"machine": machine, "peaks": peaks, "medians": results}, indent=1))
    if arguments.plot:
        plot(results, arguments.plot)


if __name__ == "__main__":
    main()
