"""What the docs show is true: every docstring's example runs, and so does the README's training loop."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import minigrad

ROOT = Path(__file__).parents[1]


def _modules() -> list[str]:
    names = [info.name for info in pkgutil.walk_packages(minigrad.__path__, "minigrad.")]
    return ["minigrad", *(name for name in names if not name.endswith("__main__"))]


@pytest.mark.parametrize("name", _modules())
def test_the_examples_of_the_docstrings_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert result.failed == 0


def _readme(heading: str) -> str:
    section = re.split(r"^## ", (ROOT / "README.md").read_text(), flags=re.MULTILINE)
    return next(part for part in section if part.startswith(heading))


def test_the_training_loop_of_the_readme_runs_and_learns(capsys: pytest.CaptureFixture) -> None:
    minigrad.manual_seed(0)
    (code,) = re.findall(r"```python\n(.*?)```", _readme("A training loop"), flags=re.DOTALL)
    exec(compile(code, "README.md", "exec"), {})
    last = float(capsys.readouterr().out.splitlines()[-1].split()[1])
    assert last < 0.5  # ten classes: 2.3 before training


@pytest.mark.parametrize("heading", ["Run", "Test"])
def test_run_and_test_are_one_command_each(heading: str) -> None:
    (command,) = re.findall(r"```sh\n(.*?)```", _readme(heading), flags=re.DOTALL)
    assert command.count("\n") == 1
    assert command.startswith("python3 -m venv .venv && .venv/bin/pip install")


def test_every_path_in_the_readmes_map_exists() -> None:
    (house,) = re.findall(r"```\n(minigrad/.*?)```", _readme("The house"), flags=re.DOTALL)
    folder = ""
    for line in house.splitlines():
        name = line.split()[0]
        folder = name if not line.startswith(" ") else folder
        for path in {name if not line.startswith(" ") else folder + name}:
            assert (ROOT / path).exists(), path


def test_no_text_tells_anyone_to_install_somebody_elses_package() -> None:
    for file in [ROOT / "README.md", *ROOT.glob("*/**/*.py")]:
        if ".venv" not in file.parts:
            assert "pip install " + "minigrad" not in file.read_text(), file
