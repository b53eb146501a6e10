"""`python -m minigrad benchmark`: where the time of a training step goes on this machine."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import minigrad
from minigrad import nn
from minigrad.commands import arguments as args
from minigrad.commands import build
from minigrad.commands.threads import limited
from minigrad.tensor import from_numpy

__all__ = ["add_parser", "run"]

# The first steps are slower: memory is taken from the system, and caches are cold.
WARM_STEPS = 3
FEWEST_STEPS = 5

PARTS = ("forward", "backward", "optimizer")


def add_parser(commands: Any) -> None:
    """Add `benchmark` and its options to the command line."""
    parser = args.add_command(
        commands,
        "benchmark",
        "measure the parts of a training step on this machine",
        "Train a model on random numbers for a few seconds and print how long a step takes, part by part. The\n"
        "comparison with PyTorch is a program of its own in a checkout: python examples/benchmark.py.",
        [
            "benchmark",
            "benchmark --model mlp:hidden=512,512 --optimizer adamw --batch-size 64",
            "benchmark --threads 1 --json",
        ],
    )
    args.add_model(parser, "cnn")
    parser.add_argument("--input-shape", type=args.shape, default=(1, 28, 28), metavar="SHAPE",
                        help="of a sample (default: 1x28x28)")  # fmt: skip
    parser.add_argument("--outputs", type=args.whole, default=10, metavar="N", help="classes (default: 10)")
    parser.add_argument("--optimizer", default="adam", metavar="NAME", help="with options as in momentum:nesterov=true "
                        "(default: adam)")  # fmt: skip
    parser.add_argument(
        "--batch-size", type=args.whole, default=128, metavar="N", help="samples in a step (default: 128)"
    )
    parser.add_argument("--seconds", type=args.positive, default=3.0, metavar="X", help="how long (default: 3)")
    args.add_threads(parser)
    args.add_json(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Measure and print; returns the exit code."""
    with limited(arguments.threads):
        minigrad.manual_seed(0)
        model = build.build_model(arguments.model or "cnn", arguments.input_shape, arguments.outputs)
        optimizer = build.build_optimizer(arguments.optimizer, model, build.peak_lr(arguments.optimizer, None))
        first, times = measure(
            model, optimizer, arguments.input_shape, arguments.outputs, arguments.batch_size, arguments.seconds
        )
        threads = minigrad.get_num_threads()
    found = {
        "model": arguments.model or "cnn",
        "parameters": model.num_parameters(),
        "input_shape": list(arguments.input_shape),
        "optimizer": arguments.optimizer,
        "batch_size": arguments.batch_size,
        "steps": len(times["step"]),
        "first_step_seconds": first,
        "samples_per_second": arguments.batch_size / statistics.median(times["step"]),
        "milliseconds": {part: _spread(seconds) for part, seconds in times.items()},
        "machine": {
            "processors": os.cpu_count(),
            "threads": threads,
            "system": platform.platform(),
            "python": platform.python_version(),
            "numpy": np.__version__,
            "minigrad": minigrad.__version__,
        },
    }
    if arguments.json:
        print(json.dumps(found, indent=1))
        return 0
    print(
        f"{found['model']}, {found['parameters']:,} parameters, batches of {arguments.batch_size} samples of "
        f"{'x'.join(map(str, arguments.input_shape))}, {arguments.optimizer}, {threads} threads, {found['steps']} steps"
    )
    print(f"\n{'':<10}  {'median':>9}  {'half of the steps':>19}")
    for part, ms in found["milliseconds"].items():
        between = f"{ms['lower_quartile']:.3f} to {ms['upper_quartile']:.3f}"
        print(f"{part:<10}  {ms['median']:>6.3f} ms  {between:>16} ms")
    print(f"\n{found['samples_per_second']:,.0f} samples a second; the first step, with compiling, took {first:.2f} s")
    program = Path(minigrad.__file__).parents[1] / "examples" / "benchmark.py"
    if program.is_file():
        print(f"beside PyTorch: python {os.path.relpath(program)}")
    return 0


def measure(
    model: nn.Module, optimizer: Any, input_shape: tuple[int, ...], outputs: int, batch_size: int, seconds: float
) -> tuple[float, dict[str, list[float]]]:
    """Seconds of the first step, and of each part of each later one."""
    rng = np.random.default_rng(0)
    x = from_numpy(rng.random((batch_size, *input_shape), np.float32))
    labels = from_numpy(rng.integers(0, outputs, batch_size))
    loss = nn.CrossEntropyLoss()

    def step(note: Callable[[str, float], None]) -> None:
        t0 = time.perf_counter()
        value = loss(model(x), labels)
        t1 = time.perf_counter()
        optimizer.zero_grad()
        value.backward()
        t2 = time.perf_counter()
        optimizer.step()
        t3 = time.perf_counter()
        for part, taken in zip((*PARTS, "step"), (t1 - t0, t2 - t1, t3 - t2, t3 - t0), strict=True):
            note(part, taken)

    began = time.perf_counter()
    step(lambda part, taken: None)
    first = time.perf_counter() - began
    for _ in range(WARM_STEPS):
        step(lambda part, taken: None)
    times: dict[str, list[float]] = {part: [] for part in (*PARTS, "step")}
    until = time.perf_counter() + seconds
    while time.perf_counter() < until or len(times["step"]) < FEWEST_STEPS:
        step(lambda part, taken: times[part].append(taken))
    return first, times


def _spread(seconds: list[float]) -> dict[str, float]:
    lower, median, upper = (1000 * q for q in statistics.quantiles(seconds, n=4))
    return {"median": median, "lower_quartile": lower, "upper_quartile": upper}
