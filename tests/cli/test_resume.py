"""`train --resume`: a run that was ended goes on, and comes to what it would have come to."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import minigrad
from minigrad.__main__ import main
from minigrad.checkpoint import read_checkpoint
from minigrad.commands import experiment

# For a process of its own: this package, and whatever this process finds its packages by.
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(minigrad.__file__).parents[1]), *sys.path])}


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _untimed(path: str) -> list[str]:
    """The lines of a history without their last column, the seconds."""
    return [line.rpartition(",")[0] for line in Path(path, "history.csv").read_text().splitlines()]


def _ctrl_c_after(steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the process send itself a SIGINT in a certain step of the next run."""
    original = experiment.train

    def interrupted(one: experiment.Experiment, **options: object) -> object:
        seen = 0
        loss = type(one.loss).forward

        def forward(self: object, *inputs: object) -> object:
            nonlocal seen
            seen += 1
            if seen == steps:
                signal.raise_signal(signal.SIGINT)
            return loss(self, *inputs)  # type: ignore[arg-type]

        with monkeypatch.context() as patch:
            patch.setattr(type(one.loss), "forward", forward)
            return original(one, **options)

    monkeypatch.setattr("minigrad.commands.train.train", interrupted)


@pytest.mark.parametrize(
    "options",
    [
        ["moons", "--epochs", "4"],
        ["moons", "--epochs", "4", "--optimizer", "sam:base=adamw"],
        ["moons", "--epochs", "4", "--optimizer", "lookahead:k=7"],
        ["moons", "--epochs", "4", "--optimizer", "schedule-free-adamw", "--clip-norm", "0.5", "--accumulate", "3"],
        ["moons:noise=0.3", "--epochs", "4", "--optimizer", "lbfgs:max_iter=3"],
        ["digits", "--epochs", "3", "--augment", "shift:pixels=1", "rotation:degrees=10", "--optimizer", "muon"],
    ],
)
def test_an_interrupted_run_that_goes_on_ends_with_the_bytes_of_one_that_was_not(
    options: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    assert main(["train", *options, "--seed", "3", "--out", "whole"]) == 0
    with monkeypatch.context() as patch:
        # In the middle of an epoch; LBFGS takes a whole epoch in each step.
        _ctrl_c_after(2 if "lbfgs" in options[-1] else 40, patch)
        assert main(["train", *options, "--seed", "3", "--out", "parts"]) == 130
    assert "Go on with: python -m minigrad train --resume parts" in capsys.readouterr().err
    assert Path("parts/model.safetensors").read_bytes() != Path("whole/model.safetensors").read_bytes()

    assert main(["train", "--resume", "parts"]) == 0
    assert Path("parts/model.safetensors").read_bytes() == Path("whole/model.safetensors").read_bytes()
    assert _untimed("parts") == _untimed("whole")
    # A finished run has nothing left to do, and stays what it is.
    assert main(["train", "--resume", "parts"]) == 0
    assert Path("parts/model.safetensors").read_bytes() == Path("whole/model.safetensors").read_bytes()


def test_a_run_goes_on_from_any_kept_checkpoint_and_from_the_newest_run(capsys: pytest.CaptureFixture) -> None:
    assert main(["train", "xor", "--epochs", "4", "--checkpoint-every", "2"]) == 0
    assert main(["train", "moons", "--epochs", "1"]) == 0
    kept = sorted(path.name for path in Path("runs/xor").glob("step-*"))
    assert len(kept) == 2
    whole = Path("runs/xor/model.safetensors").read_bytes()
    shutil.copytree("runs/xor", "again")
    for name in ("last.safetensors", "model.safetensors", kept[1]):
        Path("again", name).unlink()
    assert main(["train", "--resume", f"again/{kept[0]}"]) == 0
    assert Path("again/model.safetensors").read_bytes() == whole
    capsys.readouterr()
    assert main(["train", "--resume"]) == 0
    assert "going on with runs/moons/last.safetensors" in capsys.readouterr().out
    assert main(["train", "xor", "--resume"]) == 0
    assert "going on with runs/xor/last.safetensors" in capsys.readouterr().out


def test_a_damaged_last_checkpoint_is_passed_over_for_the_one_before(capsys: pytest.CaptureFixture) -> None:
    assert main(["train", "xor", "--epochs", "2", "--checkpoint-every", "1", "--out", "run"]) == 0
    whole = Path("run/model.safetensors").read_bytes()
    last = Path("run/last.safetensors")
    last.write_bytes(last.read_bytes()[:-10])
    newer = sorted(Path("run").glob("step-*"))[1]
    newer.write_bytes(b"")
    capsys.readouterr()
    assert main(["train", "--resume", "run"]) == 0
    assert "32 of 64 steps are done" in capsys.readouterr().out
    assert Path("run/model.safetensors").read_bytes() == whole
    assert main(["train", "--resume", str(newer)]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_settings_of_the_run_cannot_be_changed_when_it_goes_on(capsys: pytest.CaptureFixture) -> None:
    assert main(["train", "xor", "--epochs", "2", "--lr", "0.01", "--out", "run"]) == 0
    assert main(["train", "xor", "--epochs", "2", "--lr", "0.01", "--resume", "run"]) == 0  # saying the same is fine
    for option, value in (("--epochs", "3"), ("--lr", "0.1"), ("--optimizer", "sgd"), ("--seed", "1"),
                          ("--batch-size", "8"), ("--model", "mlp:hidden=3"), ("--schedule", "cosine"),
                          ("--clip-norm", "1"), ("--accumulate", "2"), ("--out", "other")):  # fmt: skip
        capsys.readouterr()
        assert main(["train", "--resume", "run", option, value]) == 2
        err = capsys.readouterr().err
        assert f"error: {option}: the run" in err
        assert err.count("\n") == 1
    assert main(["train", "moons", "--resume", "run"]) == 2
    assert "DATASET: the run in run was begun with xor, got moons" in capsys.readouterr().err


def test_a_model_from_a_file_is_run_only_when_it_is_named(capsys: pytest.CaptureFixture) -> None:
    Path("net.py").write_text(
        "from minigrad import nn\n"
        "def make(input_shape, outputs):\n"
        "    open('ran', 'w').close()\n"
        "    return nn.Linear(input_shape[0], outputs)\n"
    )
    assert main(["train", "blobs", "--model", "net.py:make", "--epochs", "2", "--out", "run"]) == 0
    whole = Path("run/model.safetensors").read_bytes()
    Path("ran").unlink()
    for command in (
        ["train", "--resume", "run"],
        ["evaluate", "blobs", "--checkpoint", "run"],
        ["predict", "x.npy", "--checkpoint", "run"],
    ):
        assert main(command) == 2
        err = capsys.readouterr().err
        assert "runs no code" in err
        assert "--model net.py:make" in err
    assert not Path("ran").exists()
    assert main(["train", "--resume", "run", "--model", "net.py:make"]) == 0
    assert Path("run/model.safetensors").read_bytes() == whole
    assert main(["evaluate", "blobs", "--checkpoint", "run", "--model", "net.py:make"]) == 0


def test_what_cannot_go_on_says_why(capsys: pytest.CaptureFixture) -> None:
    Path("empty").mkdir()
    assert main(["train", "xor", "--epochs", "1", "--out", "run"]) == 0
    capsys.readouterr()
    for command, code, message in (
        (["train", "--resume"], 2, "no run with a checkpoint in runs/"),
        (["train", "xor", "--resume"], 2, "no run on xor with a checkpoint in runs/"),
        (["train", "--resume", "nowhere"], 2, "there is no nowhere"),
        (["train", "--resume", "empty"], 2, "no checkpoint in empty"),
        (["train", "--resume", "run/model.safetensors"], 1, "expected a checkpoint"),
        (["train"], 2, "expected a DATASET"),
    ):
        assert main(command) == code
        err = capsys.readouterr().err
        assert message in err
        assert err.count("\n") == 1


def test_the_checkpoint_says_what_the_run_was() -> None:
    assert main(["train", "spirals:classes=4", "--epochs", "1", "--out", "run"]) == 0
    about = read_checkpoint("run/last.safetensors").about
    assert about["settings"]["optimizer"] == "adam"
    assert (about["dataset"], about["model"], about["outputs"]) == ("spirals:classes=4", "mlp", 4)


@pytest.mark.skipif(os.name != "posix", reason="signals are sent as on POSIX")
def test_ctrl_c_in_a_process_of_its_own_ends_with_130_and_the_run_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    command = [sys.executable, "-u", "-m", "minigrad", "train", "xor", "--epochs", "60", "--out", "run"]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=ENVIRONMENT,
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if line.split()[:2] == ["epoch", "2/60"]:
            break
    time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "what was trained so far is saved" in err
    assert "test accuracy" in out
    assert 2 <= len(Path("run/history.csv").read_text().splitlines()) - 1 < 60
    assert all(Path("run", name).stat().st_size for name in ("model.safetensors", "curves.png"))
    steps = len(read_checkpoint(tmp_path / "run/last.safetensors").history["step_losses"])  # type: ignore[index]
    assert 2 * 32 <= steps < 60 * 32
    assert main(["train", "--resume", "run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["steps"] == 60 * 32
