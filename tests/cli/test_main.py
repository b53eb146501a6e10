"""What all commands share: help, exit codes, colour, start-up."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import minigrad
from minigrad import __main__ as program
from minigrad.__main__ import main
from minigrad.commands import terminal
from minigrad.errors import MinigradError

COMMANDS = [
    "train", "evaluate", "predict", "compare", "lr-find", "summary", "ops", "optimizers", "schedules", "benchmark",
    "lab",
]  # fmt: skip


# For a process of its own: this package, and whatever this process finds its packages by.
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(minigrad.__file__).parents[1]), *sys.path])}


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _help(capsys: pytest.CaptureFixture, *command: str) -> str:
    with pytest.raises(SystemExit) as stopped:
        main([*command, "--help"])
    assert stopped.value.code == 0
    return capsys.readouterr().out


def test_the_help_names_every_command(capsys: pytest.CaptureFixture) -> None:
    text = _help(capsys)
    listed = re.findall(r"^    ([a-z-]+)(?:  |$)", text, re.MULTILINE)
    assert listed == COMMANDS
    assert re.findall(r"^  (\d+)  +", text.partition("exit codes:")[2], re.MULTILINE) == ["0", "1", "2", "130"]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_examples_in_the_help_are_commands(
    command: str, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is understood, up to the point where it would be carried out."""
    _, _, text = _help(capsys, command).partition("xample")
    examples = re.findall(rf"python -m minigrad ({command}\b.*?)(?:  .*)?$", text, re.MULTILINE)
    assert examples
    module = getattr(program, command.replace("-", "_"))
    seen = []
    monkeypatch.setattr(module, "run", lambda arguments: seen.append(arguments) or 0)
    for example in examples:
        assert main(shlex.split(example)) == 0
    assert len(seen) == len(examples)


@pytest.mark.parametrize("command", COMMANDS)
def test_no_option_is_without_a_word_of_help(command: str, capsys: pytest.CaptureFixture) -> None:
    text = _help(capsys, command)
    for option in re.findall(r"^  (--?[a-z][^\n]*?)(?:  +(\S[^\n]*))?$", text, re.MULTILINE):
        following = text.split(option[0], 1)[1].split("\n", 2)[1] if not option[1] else option[1]
        assert following.strip(), option


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--version"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out == f"minigrad {minigrad.__version__}\n"


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (MinigradError("a\n  b"), 1, "python -m minigrad ops: failed: a b\n"),
        (
            OSError(28, "No space left on device"),
            1,
            "python -m minigrad ops: failed: [Errno 28] No space left on device\n",
        ),
        (MemoryError("Unable to allocate 9 TiB"), 1, "failed: there is not enough memory. Unable to allocate 9 TiB\n"),
        (KeyboardInterrupt(), 130, "Interrupted. Files that were complete by then are kept.\n"),
    ],
)
def test_what_goes_wrong_is_one_line_and_a_code(
    error: BaseException, code: int, text: str, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(arguments: object) -> int:
        raise error

    monkeypatch.setattr(program.ops, "run", fail)
    assert main(["ops"]) == code
    assert capsys.readouterr().err.endswith(text)


def test_an_option_is_not_abbreviated(capsys: pytest.CaptureFixture) -> None:
    """A script that says --optim would mean something else as soon as there is another option of that beginning."""
    with pytest.raises(SystemExit) as stopped:
        main(["train", "digits", "--optim", "sgd"])
    assert stopped.value.code == 2
    assert "unrecognized arguments: --optim sgd" in capsys.readouterr().err


class _Terminal:
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("variables", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_colour_is_for_terminals_that_want_it(
    variables: dict[str, str], coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert (terminal.alarm("error:", _Terminal()) == "\x1b[1;31merror:\x1b[0m") is coloured  # type: ignore[arg-type]
    with open(os.devnull) as file:
        assert terminal.alarm("error:", file) == "error:"


@pytest.mark.skipif(os.name != "posix", reason="a pseudo-terminal")
@pytest.mark.parametrize("no_color", ["", "1"])
def test_a_real_terminal_gets_colour_unless_no_color_is_set(no_color: str) -> None:
    import pty

    outer, inner = pty.openpty()
    environment = {**ENVIRONMENT, "TERM": "xterm", "NO_COLOR": no_color}
    subprocess.run([sys.executable, "-m", "minigrad", "ops", "mull"], stderr=inner, env=environment)
    os.close(inner)
    text = os.read(outer, 1000).decode()
    os.close(outer)
    assert ("\x1b[" in text) is not no_color.isdigit()
    assert "no operation is called mull" in text


def test_help_imports_nothing_that_takes_long() -> None:
    code = (
        "import sys, json\nfrom minigrad.__main__ import main\n"
        "try: main(['train', '--help'])\nexcept SystemExit: pass\n"
        "print(json.dumps([m for m in sys.modules if '.' not in m]))"
    )
    out = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, stdout=subprocess.PIPE, check=True).stdout
    loaded = set(json.loads(out.splitlines()[-1]))
    heavy = {"matplotlib", "numba", "llvmlite", "joblib", "PIL", "tqdm", "safetensors", "threadpoolctl", "torch"}
    assert loaded & heavy == set()


def test_output_into_a_closed_pipe_is_no_traceback() -> None:
    listing = subprocess.Popen(
        [sys.executable, "-m", "minigrad", "ops"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT
    )
    assert listing.stdout is not None
    listing.stdout.close()
    _, err = listing.communicate(timeout=60)
    assert listing.returncode == 1
    assert err == b""


# ---- lr-find and benchmark -------------------------------------------------------------------------------------------


def _json(capsys: pytest.CaptureFixture, *command: str) -> dict:
    capsys.readouterr()
    assert main([*command, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_lr_find_suggests_a_rate_that_learns_and_draws_it(capsys: pytest.CaptureFixture) -> None:
    found = _json(capsys, "lr-find", "digits", "--batch-size", "64", "--out", "pictures/lr.png")
    assert set(found) == {
        "dataset", "model", "optimizer", "batch_size", "seed", "suggestion", "steepest", "tenth_of_minimum",
        "diverged_at", "lrs", "losses", "smoothed", "picture",
    }  # fmt: skip
    assert found["suggestion"] == min(found["steepest"], found["tenth_of_minimum"])
    assert len(found["lrs"]) == len(found["losses"]) == len(found["smoothed"])
    assert Path("pictures/lr.png").read_bytes().startswith(b"\x89PNG")
    trained = _json(capsys, "train", "digits", "--epochs", "3", "--lr", str(found["suggestion"]))
    assert trained["test_accuracy"] > 0.9
    assert main(["lr-find", "digits", "--batch-size", "64", "--out", "lr.svg"]) == 0
    out = capsys.readouterr().out
    assert f"suggested learning rate {found['suggestion']:.2g}" in out
    assert Path("lr.svg").read_bytes().startswith(b"<?xml")


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["digits", "--out", "lr.txt"], 2, "--out: expected a name that ends in .png, .pdf or .svg, got 'lr.txt'"),
        (["digits", "--lr-min", "1", "--lr-max", "0.1"], 2, "lr_min below lr_max"),
        (["digits", "--steps", "2"], 2, "steps"),
        (["digits", "--optimizer", "adamm"], 2, "--optimizer: expected one of"),
        (["moons", "--lr-min", "5", "--lr-max", "9", "--optimizer", "sgd"], 2, "Start lower (lr_min=0.05)"),
    ],
)
def test_lr_find_says_what_it_cannot_do(
    options: list[str], code: int, message: str, capsys: pytest.CaptureFixture
) -> None:
    assert main(["lr-find", *options]) == code
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


def test_benchmark_adds_up(capsys: pytest.CaptureFixture) -> None:
    found = _json(capsys, "benchmark", "--model", "mlp:hidden=8", "--input-shape", "4", "--batch-size", "16",
                  "--seconds", "0.05", "--threads", "1")  # fmt: skip
    assert set(found) == {
        "model", "parameters", "input_shape", "optimizer", "batch_size", "steps", "first_step_seconds",
        "samples_per_second", "milliseconds", "machine",
    }  # fmt: skip
    assert (found["parameters"], found["input_shape"], found["machine"]["threads"]) == (5 * 8 + 9 * 10, [4], 1)
    assert found["samples_per_second"] == pytest.approx(16 / found["milliseconds"]["step"]["median"] * 1000)
    assert set(found["milliseconds"]) == {"forward", "backward", "optimizer", "step"}
    for part in found["milliseconds"].values():
        assert 0 < part["lower_quartile"] <= part["median"] <= part["upper_quartile"]
    assert main(["benchmark", "--model", "mlp", "--optimizer", "lbfgs", "--seconds", "0.01"]) == 2
    assert "LBFGS" in capsys.readouterr().err


# ---- lists -----------------------------------------------------------------------------------------------------------


def test_the_lists_have_stable_keys(capsys: pytest.CaptureFixture) -> None:
    optimizers, schedules, ops = (_json(capsys, name) for name in ("optimizers", "schedules", "ops"))
    assert all(
        set(row) == {"command", "name", "equation", "bytes", "paper", "best_for", "lr", "schedule", "options"}
        for row in optimizers
    )
    assert all(set(row) == {"name", "equation", "expression", "options"} for row in schedules)
    assert all({"name", "formula", "gradients", "rule", "kernels"} <= set(row) for row in ops)


def test_one_optimizer_or_schedule_is_shown_with_its_options(capsys: pytest.CaptureFixture) -> None:
    assert main(["optimizers", "adamw"]) == 0
    out = capsys.readouterr().out
    assert "weight_decay=0.01" in out
    assert "betas=0.9,0.999" in out
    assert "decoupled" not in out
    assert main(["schedules", "step"]) == 0
    assert "options: gamma, s\n" in capsys.readouterr().out
    for command in ("optimizers", "schedules"):
        assert main([command, "nothing"]) == 2
        assert "NAME: expected one of" in capsys.readouterr().err
