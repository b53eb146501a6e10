"""The benchmark: who takes turns with whom, what is kept between blocks, and what it writes. No timings."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture(scope="module")
def benchmark() -> dict[str, Any]:
    """The names of examples/benchmark.py."""
    sys.path.insert(0, str(EXAMPLES))
    try:
        return runpy.run_path(str(EXAMPLES / "benchmark.py"))
    finally:
        sys.path.remove(str(EXAMPLES))


class Told:
    """A process that answers 1, 2, 3, ..., and notes what it was asked."""

    asked: list[tuple[str, str]]

    def __init__(self, side: str, asked: list[tuple[str, str]]) -> None:
        self.side, self.asked, self.answers = side, asked, 0

    def ask(self, name: str, seconds: float) -> float:
        self.asked.append((name, self.side))
        self.answers += 1
        return float(self.answers)


def test_rows_of_a_group_take_turns(benchmark: dict[str, Any]) -> None:
    asked: list[tuple[str, str]] = []
    names = ["CNN step 28x28 (16, 32), batch 128", "scaling: CNN step (16, 32), batch 64"]
    workers = {side: Told(side, asked) for side in ("minigrad", "torch")}
    times = benchmark["_in_turns"](names, workers, 3, 0.01)
    one_round = [(name, side) for name in names for side in workers]
    assert asked == one_round * (3 + benchmark["WARM_UP"])
    # Of the answers 1, 3, 5, ... to the first row and 2, 4, 6, ... to the second, the first four are not counted.
    assert times == {names[0]: {"minigrad": 11.0, "torch": 11.0}, names[1]: {"minigrad": 12.0, "torch": 12.0}}


def test_a_row_with_a_number_of_its_own_has_that_many_rounds(benchmark: dict[str, Any]) -> None:
    asked: list[tuple[str, str]] = []
    benchmark["_in_turns"](["start-up: import and one product"], {"minigrad": Told("minigrad", asked)}, 99, 0.01)
    assert len(asked) == 5


def test_rows_of_a_group_are_neighbours(benchmark: dict[str, Any]) -> None:
    groups = [row.group for row in benchmark["ROWS"].values()]
    begun = [group for i, group in enumerate(groups) if group and (i == 0 or groups[i - 1] != group)]
    assert len(begun) == len(set(begun))
    assert groups.count("CNN (16, 32)") == 6  # what the time per sample is compared in


def test_a_process_answers_for_several_rows_in_turn() -> None:
    rows = ["SGD step, 6 tensors of the digits CNN", "AdamW step, 6 tensors of the digits CNN"]
    lines = "".join(f"{name}\t0.001\n" for name in rows * 3)
    command = [sys.executable, str(EXAMPLES / "benchmark.py"), "--serve", "minigrad"]
    done = subprocess.run(command, input=lines, capture_output=True, text=True, check=True, timeout=300)
    answers = [float(line) for line in done.stdout.split()]
    assert len(answers) == 6
    assert all(0 < answer < 1 for answer in answers)


def test_the_table_and_the_conclusions(benchmark: dict[str, Any]) -> None:
    results = {
        "add 4x4, recorded": {"minigrad": 2e-6, "torch": 3e-6, "numpy": 5e-7},
        "conv 1->16, 28x28, batch 128, forward": {"minigrad": 1e-4, "torch": 4e-4, "torch channels-last": 2e-4},
        "threads: CNN step (32, 64), batch 512": {"minigrad": 0.02, "minigrad, one thread": 0.038},
        "peak memory: CNN (16, 32), batch 128": {"minigrad": 100.0, "torch": 250.0},
        **{
            ("CNN step 28x28 (16, 32)" if n in (128, 512) else "scaling: CNN step (16, 32)") + f", batch {n}": {
                "minigrad": n * (3e-5 if n == 64 else 2e-5)
            }
            for n in (64, 128, 256, 512, 1024)
        },
    }
    table = benchmark["markdown"](results).splitlines()
    assert table[2:6] == [
        "| add 4x4, recorded | 2 µs | 3 µs (numpy 500 ns) | 1.50 |",
        "| conv 1->16, 28x28, batch 128, forward | 100 µs | 200 µs | 2.00 |",
        "| threads: CNN step (32, 64), batch 512 | 20 ms | (minigrad, one thread 38 ms) |  |",
        "| peak memory: CNN (16, 32), batch 128 | 100 MB | 250 MB | 2.50 |",
    ]
    said = "\n".join(benchmark["conclusions"](results))
    assert "first layers against PyTorch's NCHW layout alone: forward 4.00x" in said
    assert "by batch size: 64: 1.50, 128: 1.00, 256: 1.00, 512: 1.00, 1024: 1.00" in said
    assert "all threads against one: 1.90x" in said
