"""`python -m minigrad ops` and `schedules`: what they list is what there is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from minigrad.__main__ import main
from minigrad.graph import registry
from minigrad.optim import schedules


def test_ops_lists_every_op_of_the_package(capsys: pytest.CaptureFixture) -> None:
    assert main(["ops", "--json"]) == 0
    listed = {row["name"] for row in json.loads(capsys.readouterr().out)}
    assert listed == set(registry)
    assert listed >= {name for name, op in registry.items() if op.forward.__module__.startswith("minigrad.ops.")}
    assert len(listed) >= 110


def test_an_op_is_shown_with_formula_gradient_place_and_kernel(capsys: pytest.CaptureFixture) -> None:
    assert main(["ops", "mul", "conv2d"]) == 0
    out = capsys.readouterr().out
    assert "mul\n    z = x y\n    g_x = g * y\n    g_y = g * x\n    rule    minigrad/ops/arithmetic.py:" in out
    assert "kernel  " in out.split("conv2d\n")[1]


def test_an_unknown_op_is_refused_in_one_line(capsys: pytest.CaptureFixture) -> None:
    assert main(["ops", "mull"]) == 2
    err = capsys.readouterr().err
    assert "no operation is called mull" in err
    assert err.count("\n") == 1


def test_optimizers_are_listed_as_a_table_and_as_json(capsys: pytest.CaptureFixture) -> None:
    assert main(["optimizers"]) == 0
    text = capsys.readouterr().out
    assert main(["optimizers", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {"SGD", "Adam", "AdamW"} <= {row["name"] for row in rows}
    assert all(row["name"] in text and row["equation"] in text for row in rows)


def test_schedules_lists_every_schedule(capsys: pytest.CaptureFixture) -> None:
    assert main(["schedules"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in schedules.names())


def test_schedules_draws_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    target = tmp_path / "schedules.png"
    assert main(["schedules", "--plot", str(target)]) == 0
    assert target.read_bytes().startswith(b"\x89PNG")
    assert str(target) in capsys.readouterr().out


def test_a_picture_that_cannot_be_written_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    for name in ("no/such/folder/a.png", "a.unknown"):
        assert main(["schedules", "--plot", str(tmp_path / name)]) == 2
        err = capsys.readouterr().err
        assert err.startswith("python -m minigrad schedules: error: --plot: cannot write")
        assert err.count("\n") == 1
