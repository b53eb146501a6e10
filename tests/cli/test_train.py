"""`python -m minigrad train`: what it prints, writes and refuses."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest

import minigrad
from minigrad import datasets, models
from minigrad.__main__ import main
from minigrad.io import load
from minigrad.nn import functional as F

DATA = os.environ.get("MINIGRAD_DATA", "")


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MINIGRAD_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def _rows(path: str | Path) -> list[dict[str, str]]:
    return list(csv.DictReader(Path(path).read_text().splitlines()))


def test_the_default_command_reaches_98_percent_and_says_where_the_files_are(capsys: pytest.CaptureFixture) -> None:
    assert main(["train", "digits"]) == 0
    out = capsys.readouterr().out
    accuracy = float(out.split("\ntest accuracy ")[1].split(" ")[0])
    assert accuracy >= 98.0
    epochs = [line for line in out.splitlines() if line.startswith("epoch ")]
    assert all(word in epochs[0] for word in ("loss", "accuracy", "lr"))
    for name in ("history.csv", "curves.png", "model.safetensors"):
        assert Path("runs/digits", name).stat().st_size > 0
        assert str(Path("runs/digits", name)) in out

    # The weights on disk are the ones that were measured: they give the same accuracy in a new model.
    model = models.cnn(size=8).eval()
    model.load_state_dict(load("runs/digits/model.safetensors"))
    images, labels = datasets.Digits(train=False).gather(np.arange(360))
    with minigrad.no_grad():
        right = (model(images).data.argmax(1) == labels.data).mean()
    assert 100 * right == pytest.approx(accuracy, abs=0.005)

    rows = _rows("runs/digits/history.csv")
    assert len(rows) == len(epochs)
    assert float(rows[-1]["test_accuracy"]) == pytest.approx(right)
    assert Path("runs/digits/curves.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_seed_gives_the_same_weights_bit_for_bit_and_another_seed_others() -> None:
    for out, seed in (("a", "5"), ("b", "5"), ("c", "6")):
        assert main(["train", "digits", "--epochs", "2", "--seed", seed, "--out", out]) == 0
    first, second, other = (Path(name, "model.safetensors").read_bytes() for name in "abc")
    assert first == second
    assert first != other


def test_runs_do_not_overwrite_each_other() -> None:
    for _ in range(2):
        assert main(["train", "digits", "--epochs", "1"]) == 0
    assert sorted(path.name for path in Path("runs").iterdir()) == ["digits", "digits-2"]


MODULE_OPTIMIZERS = ["sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw"]
MODULE_SCHEDULES = ["constant", "step", "exponential", "cosine", "warmup", "one-cycle"]


@pytest.mark.parametrize(
    ("optimizer", "schedule"),
    [(name, "one-cycle") for name in MODULE_OPTIMIZERS] + [("momentum", name) for name in MODULE_SCHEDULES[:-1]],
)
def test_every_optimizer_and_schedule_of_the_module_learns(
    optimizer: str, schedule: str, capsys: pytest.CaptureFixture
) -> None:
    assert main(["train", "digits", "--epochs", "3", "--optimizer", optimizer, "--schedule", schedule]) == 0
    accuracy = float(capsys.readouterr().out.split("\ntest accuracy ")[1].split(" ")[0])
    assert accuracy > 80.0  # chance is 10


def test_clipping_and_batch_size_reach_the_training(capsys: pytest.CaptureFixture) -> None:
    assert main(["train", "digits", "--epochs", "1", "--batch-size", "1437", "--out", "one"]) == 0
    assert "1 steps of 1437" in capsys.readouterr().out
    assert len(_rows("one/history.csv")) == 1
    sgd = ["train", "digits", "--epochs", "1", "--optimizer", "sgd", "--schedule", "constant", "--lr", "1"]
    assert main([*sgd, "--batch-size", "1437", "--clip-norm", "1e-3", "--out", "clipped"]) == 0
    minigrad.manual_seed(0)
    start = models.cnn(size=8)
    after = load("clipped/model.safetensors")
    moved = sum(float(((after[k].data - v.data) ** 2).sum()) for k, v in start.state_dict().items()) ** 0.5
    assert moved == pytest.approx(1e-3, rel=1e-3)  # one step of lr 1 along a gradient of norm 1e-3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "digit"], "got 'digit'. Did you mean 'digits'?"),
        (["train", "digits", "--optimizer", "adamm"], "adam"),
        (["train", "digits", "--schedule", "cosin"], "one-cycle"),
        (["train", "digits", "--lr", "-1"], "expected a number above 0, got '-1'"),
        (["train", "digits", "--lr", "nan"], "expected a number above 0, got 'nan'"),
        (["train", "digits", "--lr", "fast"], "expected a number above 0, got 'fast'"),
        (["train", "digits", "--epochs", "0"], "expected a whole number of at least 1, got '0'"),
        (["train", "digits", "--batch-size", "2.5"], "expected a whole number of at least 1, got '2.5'"),
        (["train", "digits", "--seed", "-3"], "expected a whole number of at least 0, got '-3'"),
        (["train", "digits", "--clip-norm", "0"], "expected a number above 0, got '0'"),
        (["train", "digits", "--data", "."], "--data: digits needs no files"),
        (["train", "mnist", "--data", "nowhere"], "On this command line: --data FOLDER."),
        (["train", "fashion-mnist"], "fashion"),
        (["trian", "digits"], "invalid choice: 'trian'"),
        ([], "required: COMMAND"),
    ],
)
def test_a_mistake_gets_one_line_and_exit_code_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture
) -> None:
    try:
        code = main(arguments)
    except SystemExit as stopped:
        code = stopped.code
    captured = capsys.readouterr()
    assert code == 2
    assert captured.err.count("\n") == 1
    assert message in captured.err
    assert not Path("runs").exists()


@pytest.mark.skipif(not DATA, reason="needs MNIST: set MINIGRAD_DATA to the folder that holds it")
def test_a_folder_without_the_dataset_is_refused_even_if_it_is_found_elsewhere(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("MINIGRAD_DATA", DATA)
    assert main(["train", "mnist", "--data", "nowhere"]) == 2
    assert "mnist is not in nowhere" in capsys.readouterr().err


def test_a_diverging_run_fails_with_the_step_and_what_to_do(capsys: pytest.CaptureFixture) -> None:
    command = ["train", "digits", "--optimizer", "sgd", "--schedule", "constant", "--lr", "1e25", "--epochs", "2"]
    assert main(command) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "step" in err
    assert not list(Path("runs").iterdir())


@pytest.mark.skipif(not DATA, reason="needs MNIST: set MINIGRAD_DATA to the folder that holds it")
@pytest.mark.slow
def test_mnist_reaches_98_8_percent_in_three_epochs_of_one_cycle(capsys: pytest.CaptureFixture) -> None:
    command = ["train", "mnist", "--data", str(Path(DATA, "mnist")), "--epochs", "3", "--schedule", "one-cycle"]
    assert main(command) == 0
    accuracy = float(capsys.readouterr().out.split("\ntest accuracy ")[1].split(" ")[0])
    assert accuracy >= 98.8


def test_functional_and_layer_forms_of_the_network_agree() -> None:
    """The network of exercise 3.4 is conv-relu-pool, conv-relu-pool, linear and nothing else."""
    model = models.cnn(size=8, width=(2, 3))
    x = minigrad.randn(4, 1, 8, 8, generator=minigrad.Generator(0))
    w1, b1, w2, b2, w3, b3 = model.parameters()
    y = F.max_pool2d(F.relu(F.conv2d(x, w1, b1, padding=1)), 2)
    y = F.max_pool2d(F.relu(F.conv2d(y, w2, b2, padding=1)), 2)
    y = F.linear(F.flatten(y, 1), w3, b3)
    np.testing.assert_array_equal(model(x).detach().numpy(), y.detach().numpy())
