"""How fast minigrad is, side by side with PyTorch, JAX and numpy on the same processor.

    python examples/benchmark.py                     # every row
    python examples/benchmark.py --only step         # rows whose name contains 'step'
    python examples/benchmark.py --mnist DIR         # and three epochs of MNIST, from the IDX files in DIR

What a row does is in `benchmark_rows.py`. Each side runs in a process of its own, because two libraries in one process
fight for the cores. The processes take turns in short blocks, so that a slow moment of the machine hits all of
them alike, with a pause between them: threads of PyTorch (GNU OpenMP's) go on spinning for some 10 ms after their last
work, those of numpy (OpenBLAS's) for 100, and would take the time from whoever comes next. Neighbouring rows of one
kind take turns as well: a slow second takes a round from all of them, not all rounds from one, and they can be compared
with one another.

Only ratios of medians of one run are quoted: the fastest of PyTorch's modes over minigrad. PyTorch and JAX take part
where they are installed, `torch.compile` where there is a C++ compiler. `OPENBLAS_CORETYPE`, where it is set, is taken
out of the environment of every side: it can halve matrix products.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import itertools
import json
import math
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import benchmark_mnist
import numpy as np
from benchmark_rows import COMPILED, ONE_THREAD, ROWS, Call

Times = dict[str, float]

ROOT = str(Path(__file__).resolve().parents[1])

# Blocks in which the number of calls that fill a block is found; they are not counted.
WARM_UP = 4
# Seconds after a block, until the threads of its side have gone to sleep; OpenBLAS's take a tenth of a second.
PAUSE, NUMPY_PAUSE = 0.03, 0.2


# ---- one side: a process that times what it is asked to --------------------------------------------------------------


def serve(side: str) -> None:
    """Read 'row name<TAB>seconds' lines, run the row for about so long, answer with the time (or number) of a call."""
    held: dict[str, tuple[Call, int]] = {}  # what is timed, and how often in a block
    for line in sys.stdin:
        name, seconds = line.rstrip("\n").split("\t")
        row = ROWS[name]
        if name not in held:
            # Rows of other groups are let go: their memory may be large.
            held = {other: value for other, value in held.items() if row.group and ROWS[other].group == row.group}
            held[name] = row.make(side), 1
            if row.rounds is None:
                held[name][0]()
                held[name][0]()  # the first calls compile, allocate and choose algorithms
        call, count = held[name]
        if row.unit != "s":
            print(call(), flush=True)
            continue
        started = time.perf_counter()
        for _ in range(count):
            call()
        spent = time.perf_counter() - started
        print(spent / count, flush=True)
        if row.rounds is None:
            held[name] = call, max(1, min(int(count * float(seconds) / spent), 10 * count))


class Worker:
    """The process of one side; it starts when it is first asked."""

    def __init__(self, side: str, environment: dict[str, str]) -> None:
        self.side = side
        self.environment = {**environment, **(_SINGLE if side == ONE_THREAD else {})}

    @functools.cached_property
    def process(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, __file__, "--serve", self.side],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=self.environment,
        )  # fmt: skip

    def ask(self, name: str, seconds: float) -> float:
        process = self.process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{name}\t{seconds}\n")
        process.stdin.flush()
        answer = process.stdout.readline()
        if not answer:
            raise SystemExit(f"the process for {self.side} ended at row {name!r}; its error is above")
        time.sleep(NUMPY_PAUSE if self.side == "numpy" else PAUSE)
        return float(answer)

    def stop(self) -> None:
        if "process" in self.__dict__:
            self.process.kill()


_SINGLE = {"OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}


def measure(names: list[str], present: set[str], rounds: int, seconds: float, peak: float) -> dict[str, Times]:
    """The median of each row and side, in the row's unit."""
    environment = {key: value for key, value in os.environ.items() if key != "OPENBLAS_CORETYPE"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [ROOT, environment.get("PYTHONPATH")]))
    workers = {side: Worker(side, environment) for side in present}
    results: dict[str, Times] = {}
    try:
        for _, group in itertools.groupby(names, lambda name: ROWS[name].group or name):
            rows = list(group)
            measured = _in_turns(rows, workers, rounds, seconds)
            for name in rows:
                results[name] = measured[name]
                print(row_text(name, results[name], peak), flush=True)
    finally:
        for worker in workers.values():
            worker.stop()
    return results


def _in_turns(names: list[str], workers: dict[str, Worker], rounds: int, seconds: float) -> dict[str, Times]:
    """The medians of some rows, all of which take part in each round."""
    warm_up = WARM_UP if ROWS[names[0]].rounds is None else 0
    times: dict[str, dict[str, list[float]]] = {
        name: {side: [] for side in ("minigrad", *ROWS[name].sides) if side in workers} for name in names
    }
    for turn in range((ROWS[names[0]].rounds or rounds) + warm_up):
        for name in names:
            for side, found in times[name].items():
                answer = workers[side].ask(name, seconds)
                if turn >= warm_up:
                    found.append(answer)
    return {name: {side: statistics.median(found) for side, found in sides.items()} for name, sides in times.items()}


# ---- what the machine can do at most ---------------------------------------------------------------------------------


def fma_peak() -> float:
    """Float32 fused multiply-adds of all cores, in GFLOP/s: vectors that stay in registers, nothing loaded."""
    import benchmark_peak

    from minigrad.kernels.vec import LANES

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    turns = 2_000_000
    with ThreadPoolExecutor(cores) as pool:

        def all_cores() -> None:
            list(pool.map(lambda _: benchmark_peak.multiply_and_add(turns, 0.999, 0.001), range(cores)))

        all_cores()
        seconds = min(_timed(all_cores) for _ in range(10))
    return cores * turns * benchmark_peak.VECTORS * LANES * 2 / seconds / 1e9


def copy_peak() -> float:
    """Bytes read and written while memory is copied, in GB/s; the better of numpy and of two threads with halves."""
    source, target = np.ones(2**26, np.float32), np.zeros(2**26, np.float32)
    half = 2**25
    with ThreadPoolExecutor(2) as pool:

        def halves() -> None:
            parts = (slice(half), slice(half, None))
            list(pool.map(lambda part: np.copyto(target[part], source[part]), parts))

        seconds = min(_timed(f) for f in (lambda: np.copyto(target, source), halves) for _ in range(5))
    return 2 * source.nbytes / seconds / 1e9


def matmul_peak() -> float:
    a = np.ones((1024, 1024), np.float32)
    return 2 * 1024**3 / min(_timed(lambda: a @ a) for _ in range(10)) / 1e9


def _timed(call: Callable[[], Any]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


# ---- the table and the picture ---------------------------------------------------------------------------------------


def amount(value: float, unit: str) -> str:
    if unit != "s":
        return f"{value:.0f} {unit}"
    for name, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= scale:
            return f"{value / scale:.3g} {name}"
    return f"{value / 1e-9:.3g} ns"


def ratio_of(times: Times) -> float | None:
    """PyTorch's fastest mode over minigrad, where PyTorch took part."""
    theirs = [value for side, value in times.items() if side.startswith("torch")]
    return min(theirs) / times["minigrad"] if theirs else None


def row_text(name: str, times: Times, peak: float) -> str:
    row = ROWS[name]
    ratio = ratio_of(times)
    cells = ", ".join(f"{side} {amount(value, row.unit)}" for side, value in times.items() if side != "minigrad")
    share = f", {row.flops / times['minigrad'] / 1e9 / peak:4.0%} of peak" if row.flops else ""
    return (
        f"{name:<50} {amount(times['minigrad'], row.unit):>9} "
        f"{'' if ratio is None else f'{ratio:6.2f}x':>8}   {cells}{share}"
    )


def conclusions(results: dict[str, Times]) -> list[str]:
    """Sentences about several rows."""
    lines = []
    for rows, start in (("convolutions at 14x14", "conv "), ("CNN steps at 28x28", "CNN step 28x28")):
        chosen = [ratio_of(times) for name, times in results.items() if name.startswith(start) and "1->16" not in name]
        ratios = [ratio for ratio in chosen if ratio is not None]
        if ratios:
            mean = math.exp(statistics.fmean(map(math.log, ratios)))
            lines.append(f"{rows}: geometric mean {mean:.2f}x over {len(ratios)}, least {min(ratios):.2f}x")
    if any(ROWS[name].flops for name in results):
        lines.append(
            "shares of the peak count the multiply-adds of the formula; 3x3 kernels of many channels do 4/9 of them"
        )
    first = {n: t for n, t in results.items() if n.startswith("conv 1->16") and "torch" in t}
    if first:
        texts = ", ".join(f"{n.split(', ')[-1]} {t['torch'] / t['minigrad']:.2f}x" for n, t in first.items())
        lines.append(f"first layers against PyTorch's NCHW layout alone: {texts}")
    sizes = {n: results.get(f"scaling: CNN step (16, 32), batch {n}") for n in (64, 256, 1024)}
    for n in (128, 512):
        sizes[n] = results.get(f"CNN step 28x28 (16, 32), batch {n}")
    per_sample = {n: times["minigrad"] / n for n, times in sizes.items() if times}
    if len(per_sample) == len(sizes):
        middle = statistics.median(per_sample.values())
        texts = ", ".join(f"{n}: {value / middle:.2f}" for n, value in sorted(per_sample.items()))
        lines.append(f"time per sample against its median, by batch size: {texts}")
    threads = results.get("threads: CNN step (32, 64), batch 512", {})
    if ONE_THREAD in threads:
        lines.append(f"all threads against one: {threads[ONE_THREAD] / threads['minigrad']:.2f}x")
    add = results.get("add 4x4, recorded", {})
    if "numpy" in add:
        lines.append(f"a recorded 4x4 sum costs {amount(add['minigrad'] - add['numpy'], 's')} more than numpy's own")
    return lines


def markdown(results: dict[str, Times]) -> str:
    """The table of the README."""
    lines = ["| | minigrad | PyTorch, fastest mode | ratio |", "| --- | --- | --- | --- |"]
    for name, times in results.items():
        unit, ratio = ROWS[name].unit, ratio_of(times)
        theirs = [value for side, value in times.items() if side.startswith("torch")]
        others = [f"{side} {amount(times[side], unit)}" for side in ("numpy", ONE_THREAD) if side in times]
        parts = [amount(min(theirs), unit)] if theirs else []
        parts += [f"({', '.join(others)})"] if others else []
        cells = name, amount(times["minigrad"], unit), " ".join(parts), "" if ratio is None else f"{ratio:.2f}"
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def plot(results: dict[str, Times], path: str) -> None:
    """Bars of PyTorch's time over minigrad's, on a logarithmic axis: to the right of 1, minigrad is ahead."""
    from matplotlib.figure import Figure

    ratios = {name: ratio for name, times in results.items() if (ratio := ratio_of(times)) is not None}
    figure = Figure(figsize=(9, 0.3 * len(ratios) + 1.4), layout="constrained")
    axes = figure.subplots()
    names = list(ratios)[::-1]
    values = [ratios[name] for name in names]
    axes.barh(names, values, color=["#0072B2" if value >= 1 else "#D55E00" for value in values])
    for place, value in enumerate(values):  # those of bars that end just before the line at 1 stand behind it
        axes.annotate(
            f"{value:.2f}x", (max(value, 1), place), (4, 0), textcoords="offset points", va="center", fontsize=8
        )
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xscale("log")
    axes.set_xlim(min([*values, 1]) / 1.5, max([*values, 1]) * 2)
    axes.set_ylim(-0.8, len(names) - 0.2)
    axes.tick_params(axis="y", labelsize=8)
    axes.set_xlabel("PyTorch's fastest mode / minigrad (time, or memory; right of 1: minigrad needs less)")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)


def installed() -> set[str]:
    """The sides that can take part here."""
    sides = {"minigrad", "numpy", ONE_THREAD}
    if importlib.util.find_spec("torch"):
        sides |= {"torch", "torch channels-last", "torch fused", "torch foreach"}
        if shutil.which("g++") or shutil.which("clang++"):
            sides.add(COMPILED)
    if importlib.util.find_spec("jax"):
        sides.add("jax")
    return sides


def main() -> None:
    everyone = sorted({"minigrad", *(side for row in ROWS.values() for side in row.sides)})
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", metavar="TEXT", default="", help="rows whose name contains this")
    parser.add_argument("--without", metavar="SIDE", action="append", default=[], choices=everyone,
                        help=f"leave a side out: {', '.join(everyone)}")  # fmt: skip
    parser.add_argument("--rounds", type=int, default=15, metavar="N", help="blocks of each side a row (default: 15)")
    parser.add_argument("--seconds", type=float, default=0.05, metavar="X", help="length of a block (default: 0.05)")
    parser.add_argument("--mnist", metavar="DIR", help="measure three epochs of MNIST, too, from the files in DIR")
    parser.add_argument("--json", metavar="FILE", help="write the medians, in seconds or MB, to a file")
    parser.add_argument("--markdown", metavar="FILE", help="write the table in the README's form to a file")
    parser.add_argument("--plot", metavar="FILE", help="draw the ratios into a file")
    parser.add_argument("--serve", choices=everyone, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve)
        return
    names = [name for name in ROWS if arguments.only.lower() in name.lower()]
    if not names and not arguments.mnist:
        parser.error(f"--only: no row contains {arguments.only!r}; the rows are: {'; '.join(ROWS)}")
    os.environ.pop("OPENBLAS_CORETYPE", None)
    sys.path.insert(0, ROOT)  # minigrad of this checkout, installed or not
    peaks = {"fma_gflops": fma_peak(), "matmul_gflops": matmul_peak(), "copy_gbytes": copy_peak()}
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    print(
        f"{machine}; fused multiply-add {peaks['fma_gflops']:.0f} GFLOP/s, numpy's matrix product "
        f"{peaks['matmul_gflops']:.0f} GFLOP/s, copy {peaks['copy_gbytes']:.1f} GB/s"
    )
    print(f"{'':<50} {'minigrad':>9} {'PyTorch/':>8}   others")
    present = installed() - set(arguments.without)
    results = measure(names, present, arguments.rounds, arguments.seconds, peaks["fma_gflops"])
    lines = conclusions(results)
    if arguments.mnist:
        lines += benchmark_mnist.compare(arguments.mnist, "torch" in present)
    print("", *lines, sep="\n")
    if arguments.json:
        record = {"machine": machine, "peaks": peaks, "medians": results, "conclusions": lines}
        Path(arguments.json).write_text(json.dumps(record, indent=1))
    if arguments.markdown:
        Path(arguments.markdown).write_text(markdown(results) + "\n")
    if arguments.plot:
        plot(results, arguments.plot)


if __name__ == "__main__":
    main()
