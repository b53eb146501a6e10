"""`compare`: a sweep is the same runs as one by one, whatever carries it out."""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

import minigrad
from minigrad.__main__ import main
from minigrad.commands.compare import Outcome, summarise, table
from minigrad.commands.experiment import Settings

# For a process of its own: this package, and whatever this process finds its packages by.
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(minigrad.__file__).parents[1]), *sys.path])}


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _compare(capsys: pytest.CaptureFixture, *options: str) -> dict:
    capsys.readouterr()
    assert main(["compare", *options, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


SWEEP = ["moons", "--optimizers", "sgd", "adamw:lr=0.01:weight_decay=0.1", "--schedules", "constant", "cosine",
         "--seeds", "0", "5", "--epochs", "2"]  # fmt: skip


def test_the_numbers_are_those_of_separate_runs_and_do_not_depend_on_the_jobs(capsys: pytest.CaptureFixture) -> None:
    one = _compare(capsys, *SWEEP, "--jobs", "1", "--out", "one")
    two = _compare(capsys, *SWEEP, "--jobs", "2", "--out", "two")
    assert one["runs"] == two["runs"]
    assert one["rows"] == two["rows"]
    assert len(one["runs"]) == 8

    run = next(run for run in one["runs"] if run["settings"]["seed"] == 5 and "adamw" in run["settings"]["optimizer"])
    assert run["settings"]["schedule"] == "constant"
    assert main(["train", "moons", "--optimizer", "adamw:lr=0.01:weight_decay=0.1", "--schedule", "constant",
                 "--seed", "5", "--epochs", "2", "--threads", "1", "--json"]) == 0  # fmt: skip
    alone = json.loads(capsys.readouterr().out)
    assert alone["test_accuracy"] == run["scores"][-1]
    assert alone["test_loss"] == run["test_losses"][-1]
    assert alone["train_loss"] == run["train_losses"][-1]

    row = next(row for row in one["rows"] if (row["optimizer"], row["schedule"]) == ("sgd", "cosine"))
    scores = [
        run["scores"][-1]
        for run in one["runs"]
        if (run["settings"]["optimizer"], run["settings"]["schedule"]) == ("sgd", "cosine")
    ]
    assert row["mean"] == pytest.approx(statistics.fmean(scores))
    assert row["deviation"] == pytest.approx(abs(scores[0] - scores[1]) / 2**0.5)
    assert [row["mean"] for row in one["rows"]] == sorted((row["mean"] for row in one["rows"]), reverse=True)
    assert all(Path(file).stat().st_size for file in one["files"])
    assert Path("one/curves.png").read_bytes().startswith(b"\x89PNG")


def test_the_json_has_its_keys(capsys: pytest.CaptureFixture) -> None:
    found = _compare(capsys, "xor", "--optimizers", "sgd", "--seeds", "0", "--epochs", "1", "--jobs", "1")
    assert set(found) == {"dataset", "model", "epochs", "batch_size", "seeds", "metric", "rows", "runs", "files"}
    assert set(found["rows"][0]) == {
        "optimizer", "schedule", "lr", "seeds", "diverged", "mean", "deviation", "loss_mean", "loss_deviation",
    }  # fmt: skip
    assert found["rows"][0]["deviation"] is None  # one run has none
    assert (found["metric"], found["rows"][0]["schedule"], found["rows"][0]["lr"]) == ("accuracy", "one-cycle", 0.1)


def test_a_run_that_diverges_is_counted_and_the_others_are_compared(capsys: pytest.CaptureFixture) -> None:
    command = ["compare", "moons", "--optimizers", "sgd:lr=1e30", "sgd", "--schedules", "constant", "--epochs", "2",
               "--seeds", "0", "1", "--jobs", "1", "--out", "run"]  # fmt: skip
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "sgd:lr=1e30, constant, seed 0: diverged" in out
    assert out.index("\nsgd  ") < out.index("\nsgd:lr=1e30  ")  # the best first
    assert "2, 2 diverged" in out
    assert main([*command[:3], "sgd:lr=1e30", *command[5:-1], "other"]) == 1
    assert "every run diverged" in capsys.readouterr().err


def test_a_sweep_goes_on_with_what_is_in_its_folder(capsys: pytest.CaptureFixture) -> None:
    whole = _compare(
        capsys, "xor", "--optimizers", "sgd", "adam", "--seeds", "0", "1", "--epochs", "1", "--out", "whole"
    )
    _compare(capsys, "xor", "--optimizers", "sgd", "--seeds", "0", "--epochs", "1", "--jobs", "1", "--out", "part")
    command = ["compare", "xor", "--optimizers", "sgd", "adam", "--seeds", "0", "1", "--epochs", "1", "--out", "part"]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "4 runs with mlp, epochs: 1, 1 of them done before" in out
    assert "\n3 runs in" in out
    assert {json.dumps(run) for run in json.loads(Path("part/results.json").read_text())} == {
        json.dumps(run) for run in whole["runs"]
    }
    Path("part/results.json").write_text("[{}]")
    assert main(command) == 2
    assert "--out: part/results.json is not a file that `compare` wrote" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["moon"], "Did you mean 'moons'"),
        (["moons", "--optimizers", "adamm"], "--optimizer: expected one of"),
        (["moons", "--optimizers", "adam:beta=3"], "adam has no option 'beta'"),
        (["moons", "--schedules", "cosinus"], "--schedule: expected one of"),
        (["moons", "--optimizers", "sgd", "sgd"], "would run twice"),
        (["moons", "--seeds", "1", "1"], "would run twice"),
        (["moons", "--seeds", "-1"], "expected a whole number of at least 0"),
        (["moons", "--jobs", "0"], "expected a whole number of at least 1"),
        (["moons", "--backend", "threads"], "invalid choice: 'threads'"),
        (["moons", "--model", "cnn"], "expected a dataset of images"),
    ],
)
def test_a_mistake_is_found_before_anything_is_trained(
    options: list[str], message: str, capsys: pytest.CaptureFixture
) -> None:
    try:
        code = main(["compare", *options])
    except SystemExit as stopped:
        code = stopped.code  # type: ignore[assignment]
    assert code == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert not Path("runs").exists()


@pytest.mark.parametrize(("backend", "package"), [("dask", "distributed"), ("ray", "ray")])
def test_a_backend_that_is_not_installed_says_what_to_install(
    backend: str, package: str, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (package, "ray.util.joblib"):
        monkeypatch.setitem(sys.modules, name, None)
    assert main(["compare", "xor", "--epochs", "1", "--backend", backend]) == 2
    err = capsys.readouterr().err
    assert f"pip install {package}" in err
    assert err.count("\n") == 1


def test_dask_carries_the_sweep_out_with_the_same_numbers(capsys: pytest.CaptureFixture) -> None:
    distributed = pytest.importorskip("distributed")
    options = ["xor", "--optimizers", "sgd", "--seeds", "0", "1", "--epochs", "1"]
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0") as cluster:
        os.environ["DASK_SCHEDULER_ADDRESS"] = cluster.scheduler_address
        try:
            there = _compare(capsys, *options, "--backend", "dask", "--out", "dask")
        finally:
            del os.environ["DASK_SCHEDULER_ADDRESS"]
    assert there["runs"] == _compare(capsys, *options, "--out", "here")["runs"]


def test_the_table_of_a_regression_has_the_lowest_error_first() -> None:
    def outcome(name: str, score: float) -> Outcome:
        return Outcome(
            Settings("sine", "mlp", name, 0.1, "constant", 1, 8, 0, None, 1, ()), "mae", [score], [1.0], [1.0]
        )

    rows = summarise([outcome("sgd", 0.5), outcome("adam", 0.25)])
    assert [(row.optimizer, row.mean) for row in rows] == [("adam", 0.25), ("sgd", 0.5)]
    assert table(rows, "mae").splitlines()[2].split() == ["adam", "constant", "0.1", "0.2500", "1.0000", "1"]


@pytest.mark.skipif(os.name != "posix", reason="signals are sent as on POSIX")
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_ctrl_c_keeps_the_runs_that_were_done(jobs: str, tmp_path: Path) -> None:
    command = [sys.executable, "-u", "-m", "minigrad", "compare", "xor", "--optimizers", "sgd", "--seeds",
               *map(str, range(200)), "--epochs", "5", "--jobs", jobs, "--out", "run"]  # fmt: skip
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env=ENVIRONMENT,
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if "2/200" in line:
            break
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all processes of the command
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    done = json.loads((tmp_path / "run/results.json").read_text())
    assert 2 <= len(done) < 200
    assert all(len(run["scores"]) == 5 for run in done)  # none is half a run
