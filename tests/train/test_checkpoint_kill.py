"""Processes that are killed while they train and write checkpoints: what is there can always be read and gone on from.

Run as a script, this file is the process that does the killing: it imports everything once and forks the processes that
are killed, since starting an interpreter for each would take longer than all the rest. The tests start it, because a
test process may have threads, which a fork does not copy.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import minigrad
from minigrad import datasets, nn, optim
from minigrad.callbacks import Checkpoint
from minigrad.checkpoint import newest, read_checkpoint
from minigrad.io import save
from minigrad.train import fit

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL")

STEPS_AN_EPOCH = 5


def train(folder: Path, epochs: int) -> nn.Module:
    """Begin the run in `folder`, or go on with it; a checkpoint after every step."""
    minigrad.manual_seed(0)
    model = nn.Linear(8, 3)
    data = datasets.TensorDataset(np.arange(160, dtype=np.float32).reshape(20, 8) / 160, np.arange(20) % 3)
    loader = datasets.DataLoader(data, batch_size=4, shuffle=True)
    keeper = Checkpoint(folder, every_steps=1, keep=3)
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    fit(
        model, optimizer, nn.CrossEntropyLoss(), loader, epochs, callbacks=[keeper], progress=False,
        resume=newest(folder),
    )  # fmt: skip
    return model


def kill_after(seconds: float, work: Callable[[], object]) -> None:
    """Do `work` in a forked process, and kill that after some time."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def kill_training(kills: int, folder: Path) -> dict[str, list[int]]:
    """After each kill, the step of the newest checkpoint, and how many unfinished files lie about."""
    train(folder / "warm", 1)  # compiles what the children use
    rng = np.random.default_rng(kills)
    steps, parts = [], []
    for _ in range(kills):
        kill_after(float(rng.uniform(0.0, 0.12)), lambda: train(folder / "run", 10**6))
        path = newest(folder / "run")
        history = read_checkpoint(path).history if path is not None else None
        steps.append(len(history["step_losses"]) if history is not None else 0)
        parts.append(len(list((folder / "run").glob(".*.part"))))
        # Every file that has a checkpoint's name is one: the write is all or nothing.
        for file in (folder / "run").glob("*.safetensors"):
            read_checkpoint(file)
    return {"steps": steps, "parts": parts}


def kill_writing(kills: int, folder: Path) -> dict[str, list[int]]:
    """Whether each kill hit the middle of writing; the file is read after each."""
    path = folder / "a.safetensors"

    def write_forever() -> None:
        for k in range(10**6):
            save({"a": np.full(1_000_000, k, np.float32)}, path)

    rng = np.random.default_rng(kills)
    parts = []
    for _ in range(kills):
        kill_after(float(rng.uniform(0.001, 0.05)), write_forever)
        parts.append(len(list(folder.glob(".*.part"))))
        if path.exists():
            values = minigrad.load(path)["a"].data
            assert values.shape == (1_000_000,)
            assert (values == values[0]).all()
    return {"parts": parts}


def run_script(what: str, kills: int, folder: Path) -> dict[str, list[int]]:
    single = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    root = str(Path(minigrad.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, __file__, what, str(kills), str(folder)],
        env={**os.environ, **single, "PYTHONPATH": root, "PYTHONWARNINGS": "ignore::DeprecationWarning"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("kills", [10, pytest.param(200, marks=pytest.mark.slow)])
def test_after_every_kill_the_newest_checkpoint_loads_and_the_run_goes_on(kills: int, tmp_path: Path) -> None:
    found = run_script("training", kills, tmp_path)
    steps = found["steps"]
    assert len(steps) == kills
    assert steps == sorted(steps)  # nothing that was saved is ever lost
    assert len(set(steps)) > kills // 4  # and the run went on in between
    assert max(found["parts"]) <= 3  # what was killed half-way is cleared by the next write
    # The run that was killed so often is the run that never was.
    reached = steps[-1] // STEPS_AN_EPOCH + 1
    often, never = train(tmp_path / "run", reached), train(tmp_path / "never", reached)
    for ours, theirs in zip(often.parameters(), never.parameters(), strict=True):
        assert ours.data.tobytes() == theirs.data.tobytes()


@pytest.mark.parametrize("kills", [10, pytest.param(60, marks=pytest.mark.slow)])
def test_a_large_file_is_the_old_one_or_the_new_one_never_a_part(kills: int, tmp_path: Path) -> None:
    """Writing 4 MB takes long enough for many kills to hit the middle of it."""
    found = run_script("writing", kills, tmp_path)
    assert len(found["parts"]) == kills
    assert 1 in found["parts"]  # a kill in the middle of a write; with a slow disk each of them is
    assert max(found["parts"]) == 1  # what earlier ones left is cleared
    save({"a": np.zeros(1, np.float32)}, tmp_path / "a.safetensors")
    assert [file.name for file in tmp_path.iterdir()] == ["a.safetensors"]


if __name__ == "__main__":
    work = {"training": kill_training, "writing": kill_writing}[sys.argv[1]]
    print(json.dumps(work(int(sys.argv[2]), Path(sys.argv[3]))))
