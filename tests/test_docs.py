"""What the docs show is true: every docstring's example runs, and every block of code in the README."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import minigrad
from minigrad import graph
from minigrad.__main__ import main

ROOT = Path(__file__).parents[1]
# Where every public class and function shows an example of itself.
SHOWN = [
    "minigrad.creation", "minigrad.datasets", "minigrad.datasets.synthetic", "minigrad.datasets.transforms",
    "minigrad.debug", "minigrad.draw", "minigrad.explain", "minigrad.functional", "minigrad.gradcheck", "minigrad.lab",
    "minigrad.nn", "minigrad.nn.functional", "minigrad.nn.init", "minigrad.nn.utils", "minigrad.optim",
    "minigrad.optim.clip", "minigrad.optim.lr_scheduler", "minigrad.optim.schedules", "minigrad.optim.swa_utils",
    "minigrad.random",
]  # fmt: skip
# Results, which are not made by their users; what only other modules use; what needs files that are not here; and two
# functions that are operations of the engine.
NOT_SHOWN = {
    "Explanation", "Path", "Setting", "lengths", "made", "MNIST", "FashionMNIST", "sigmoid", "tanh",
}  # fmt: skip


def _modules() -> list[str]:
    names = [info.name for info in pkgutil.walk_packages(minigrad.__path__, "minigrad.")]
    return ["minigrad", *(name for name in names if not name.endswith("__main__"))]


def _docstrings(source: str) -> Iterator[tuple[str, int, str]]:
    """Name, line and text of every docstring in a file.

    Found in the text, not in the module: what stands below a decorator such as `op` is no longer a function there, and
    doctest's own search would pass over it without a word.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            text = ast.get_docstring(node, clean=False)
            if text is not None:
                yield getattr(node, "name", "module"), node.body[0].lineno - 1, text


@pytest.mark.parametrize("name", _modules())
def test_the_examples_of_the_docstrings_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    assert module.__file__ is not None
    source = Path(module.__file__).read_text(encoding="utf-8")
    monkeypatch.setattr(graph, "registry", dict(graph.registry))  # an example may define an operation
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    parser = doctest.DocTestParser()
    report: list[str] = []
    for owner, line, text in _docstrings(source):
        test = parser.get_doctest(text, dict(vars(module)), f"{name}.{owner}", module.__file__, line)
        assert len(test.examples) == len(re.findall(r"^ *>>> ", text, flags=re.MULTILINE)), f"{name}.{owner}"
        runner.run(test, out=report.append)
    assert not report, "".join(report)


def _public(name: str) -> Iterator[tuple[str, Any]]:
    module = importlib.import_module(name)
    for public in module.__all__:
        thing = getattr(module, public)
        if callable(thing) and not inspect.ismodule(thing):
            yield public, thing


@pytest.mark.parametrize("name", SHOWN)
def test_every_public_class_and_function_shows_an_example(name: str) -> None:
    without = []
    for public, thing in _public(name):
        texts = [inspect.getdoc(thing) or ""]
        if inspect.isclass(thing):
            texts += [inspect.getdoc(part) or "" for part in vars(thing).values() if callable(part)]
        if public not in NOT_SHOWN and not any(">>> " in text for text in texts):
            without.append(public)
    assert without == []


def test_every_public_thing_says_what_it_is() -> None:
    silent = [
        f"{name}.{public}"
        for name in ("minigrad", "minigrad.nn", "minigrad.nn.functional", "minigrad.optim", "minigrad.datasets")
        for public, thing in _public(name)
        if not (inspect.getdoc(thing) or "").strip()
    ]
    assert silent == []


def _readme(heading: str) -> str:
    section = re.split(r"^## ", (ROOT / "README.md").read_text(), flags=re.MULTILINE)
    return next(part for part in section if part.startswith(heading))


def test_the_training_loop_of_the_readme_runs_and_learns(capsys: pytest.CaptureFixture) -> None:
    minigrad.manual_seed(0)
    (code,) = re.findall(r"```python\n(.*?)```", _readme("A training loop"), flags=re.DOTALL)
    exec(compile(code, "README.md", "exec"), {})
    last = float(capsys.readouterr().out.splitlines()[-1].split()[1])
    assert last < 0.5  # ten classes: 2.3 before training


def _texts() -> list[str]:
    """The texts for readers, with their code."""
    return [str(path.relative_to(ROOT)) for path in (ROOT / "README.md", *sorted(ROOT.glob("examples/*.md")))]


@pytest.mark.parametrize("text", _texts())
def test_the_python_of_a_text_runs_from_top_to_bottom(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    minigrad.manual_seed(0)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / text).read_text(encoding="utf-8"), flags=re.DOTALL)
    assert blocks or text != "README.md"
    names: dict[str, Any] = {}
    for block in blocks:
        if ">>> " in block:
            test = doctest.DocTestParser().get_doctest(block, names, text, text, 0)
            assert doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, clear_globs=False).failed == 0
            names.update(test.globs)
        else:
            exec(compile(block, text, "exec"), names)


def test_every_command_that_a_text_names_is_there(capsys: pytest.CaptureFixture) -> None:
    named = {
        command
        for text in _texts()
        for command in re.findall(r"python -m minigrad ([a-z][\w-]*)", (ROOT / text).read_text(encoding="utf-8"))
    }
    assert "train" in named
    for command in sorted(named):
        with pytest.raises(SystemExit) as ended:
            main([command, "--help"])
        assert ended.value.code == 0, command
    capsys.readouterr()


def test_every_file_that_a_text_links_to_is_there() -> None:
    for text in _texts():
        for link in re.findall(r"\]\(([^)#:\s]+)\)", (ROOT / text).read_text(encoding="utf-8")):
            assert (ROOT / text).parent.joinpath(link).exists(), f"{text}: {link}"


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
