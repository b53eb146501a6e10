"""`train` on every dataset: the defaults learn what is to be learned, and the numbers that are printed are true."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

import minigrad
from minigrad.__main__ import main
from minigrad.commands import build


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _train(capsys: pytest.CaptureFixture, *options: str) -> dict:
    capsys.readouterr()
    assert main(["train", *options, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("dataset", "options", "least"),
    [
        ("moons", [], 0.99),
        ("circles", ["--epochs", "10"], 0.99),
        ("spirals", [], 0.97),
        ("blobs", [], 0.98),
        ("xor", ["--epochs", "10"], 0.99),  # noise 0.1: the corners are five deviations from the lines between them
    ],
)
def test_the_defaults_learn_each_synthetic_set_of_classes(
    dataset: str, options: list[str], least: float, capsys: pytest.CaptureFixture
) -> None:
    assert _train(capsys, dataset, *options)["test_accuracy"] >= least


@pytest.mark.parametrize("dataset", ["sine", "linear-regression"])
def test_the_defaults_of_a_regression_come_down_to_the_noise(dataset: str, capsys: pytest.CaptureFixture) -> None:
    """Noise of deviation 0.1: the best mean squared error is 0.01, the best mean absolute one 0.1 sqrt(2/pi)."""
    result = _train(capsys, dataset)
    assert result["test_loss"] == pytest.approx(0.01, rel=0.2)
    assert result["test_mae"] == pytest.approx(0.1 * np.sqrt(2 / np.pi), rel=0.1)


@pytest.mark.slow
def test_the_lstm_solves_the_adding_problem(capsys: pytest.CaptureFixture) -> None:
    """Without memory nothing beats the variance of a sum of two uniform numbers, 1/6."""
    assert _train(capsys, "adding:length=20", "--threads", "1")["test_loss"] < 0.01


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", build.OPTIMIZERS)
def test_every_optimizer_learns_at_the_rate_and_schedule_that_it_has_here(
    optimizer: str, capsys: pytest.CaptureFixture
) -> None:
    # A step a epoch; one of LBFGS is up to 20 iterations.
    epochs = {"gd": "60", "rprop": "30", "lbfgs": "5"}.get(optimizer, "10")
    result = _train(capsys, "moons", "--optimizer", optimizer, "--epochs", epochs, "--threads", "1")
    assert result["test_accuracy"] > 0.85  # a straight line reaches that
    assert result["batch_size"] == (1000 if build.OPTIMIZERS[optimizer].full_batch else 32)


def test_the_json_of_train_has_its_keys_and_agrees_with_the_files(capsys: pytest.CaptureFixture) -> None:
    result = _train(capsys, "digits", "--epochs", "2", "--seed", "4", "--batch-size", "100", "--accumulate", "2")
    assert set(result) == {
        "dataset", "model", "parameters", "optimizer", "schedule", "lr", "batch_size", "seed", "epochs", "steps",
        "interrupted", "test_loss", "test_accuracy", "train_loss", "seconds", "files",
    }  # fmt: skip
    # 1437 samples are 15 batches of 100, which are 8 pairs.
    assert (result["steps"], result["epochs"], result["seed"], result["parameters"]) == (16, 2, 4, 6090)
    last = list(csv.DictReader(Path(result["files"]["history"]).read_text().splitlines()))[-1]
    assert float(last["test_accuracy"]) == result["test_accuracy"]
    assert all(Path(file).stat().st_size for file in result["files"].values())


def test_accumulated_batches_make_the_steps_of_large_ones(capsys: pytest.CaptureFixture) -> None:
    """Four batches of 8 and one of 32 are the same samples, so the losses differ by rounding alone."""
    small = _train(capsys, "moons", "--epochs", "2", "--batch-size", "8", "--accumulate", "4")
    large = _train(capsys, "moons", "--epochs", "2", "--batch-size", "32")
    assert small["steps"] == large["steps"]
    assert small["test_loss"] == pytest.approx(large["test_loss"], rel=1e-4)


def test_augmentation_changes_what_is_trained_on_and_not_what_is_tested(capsys: pytest.CaptureFixture) -> None:
    plain = _train(capsys, "digits", "--epochs", "1", "--out", "a")
    moved = _train(capsys, "digits", "--epochs", "1", "--out", "b", "--augment", "shift:pixels=2")
    assert moved["train_loss"] > plain["train_loss"]
    one, two = (_evaluate(capsys, "digits", out)["samples"] for out in "ab")
    assert one == two == 360


def _evaluate(capsys: pytest.CaptureFixture, dataset: str, run: str) -> dict:
    assert main(["evaluate", dataset, "--checkpoint", run, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.skipif(minigrad.get_num_threads() < 2, reason="there is one processor")
def test_threads_do_not_change_the_weights_of_a_convolutional_network(capsys: pytest.CaptureFixture) -> None:
    """The kernels promise it; the matrix product of a large linear layer, which is the BLAS's, does not."""
    for threads in ("1", "2"):
        _train(capsys, "digits", "--epochs", "1", "--threads", threads, "--out", threads)
    assert Path("1/model.safetensors").read_bytes() == Path("2/model.safetensors").read_bytes()
