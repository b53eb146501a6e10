"""The steps that grow the engine: each runs, checks itself, and stays short enough to be read in one go."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad.graph import registry
from minigrad.nn import functional as F

FOLDER = Path(__file__).parents[2] / "examples" / "steps"
STEPS = sorted(FOLDER.glob("[0-9]*.py"))


def load(name: str) -> dict[str, Any]:
    (path,) = FOLDER.glob(f"{name}_*.py")
    return runpy.run_path(str(path))


def test_the_steps_are_numbered_without_a_gap() -> None:
    assert [int(path.name[:2]) for path in STEPS] == list(range(1, len(STEPS) + 1))
    assert len(STEPS) >= 12


@pytest.mark.parametrize("path", STEPS, ids=lambda path: path.stem)
def test_a_step_has_at_most_120_lines_and_says_what_it_is_for(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 120
    assert text.startswith(f'"""Step {int(path.name[:2])}: ')
    if path != STEPS[-1]:
        assert "\nNext: " in text  # what this one cannot do
        assert "minigrad import" not in text  # only the last one uses the framework


# What each prints, with the number that it is about.
PRINTED = {
    "01": r"f'\(1.3\), against the formula: 0.590948747, expected 0.590948747",
    "02": r"d\(xy \+ x\)/dx = y \+ 1: -2.0+, expected -2.0+\n[^$]*RecursionError",
    "03": r"n = 100000: derivative in x: 2.7182682\d\d, expected 2.7182682\d\d",
    "04": r"shapes \(\(2, 3, 4\), \(3, 1\)\): largest error \d.\de-0[6-9]",
    "05": r"mul   error \d.\de-(0[8-9]|1\d)\n[^$]*forgets g: error \d+\.\d, found",
    "06": r"from the least squares solution \d.\de-1\d",
    "07": r"gradient descent: 346 steps\n.*momentum: 58 steps",
    "08": r"loss of scores \(1000, 0\) for class 1: 1000.0",
    "09": r"the graph holds 10.0 MB, after backward 1.0 MB",
    "10": r"tanh, derivative 4: 2.01109\d+, expected 2.01109\d+",
    "11": r"input 1 of mul, shape \(2, 2\), was changed in place",
    "12": r"im2col and col2im are transposes: (-?\d+\.\d{6})\d+, expected \1",
    "13": r"derivative along a random direction: (-?\d+\.\d{5})\d+, expected \1",
    "14": r"step 10, z'' = \(6x² - 2\) / \(1 \+ x²\)³: -0.2560000, expected -0.2560000",
}


@pytest.mark.parametrize("path", STEPS, ids=lambda path: path.stem)
def test_a_step_runs_and_prints_its_number(path: Path, capsys: pytest.CaptureFixture) -> None:
    main = runpy.run_path(str(path))["main"]
    try:
        main(3) if path.name[:2] == "14" else main()
    finally:
        registry.pop("agnesi", None)  # the operation that step 14 adds
    assert re.search(PRINTED[path.name[:2]], capsys.readouterr().out)


def test_the_arrays_of_step_4_have_minigrads_gradients() -> None:
    Tensor = load("04")["Tensor"]
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((2, 3, 4)), rng.standard_normal((3, 1))
    x, y = Tensor(a), Tensor(b)
    (((x + y) * y).exp() * x).sum().backward()
    u, v = (minigrad.tensor(array, requires_grad=True) for array in (a, b))
    (((u + v) * v).exp() * u).sum().backward()
    np.testing.assert_allclose(x.grad, u.grad.numpy(), rtol=1e-12)
    np.testing.assert_allclose(y.grad, v.grad.numpy(), rtol=1e-12)


def test_adam_of_step_7_is_the_modules() -> None:
    ours, theirs = load("07")["Adam"](0.01), minigrad.optim.Adam(lr=0.01)
    p, q = np.ones(3), np.ones(3)
    rng = np.random.default_rng(0)
    for _ in range(50):
        g = rng.standard_normal(3)
        ours.update([p], [g])
        theirs.update([q], [g])
    np.testing.assert_allclose(p, q, rtol=1e-12)


def test_cross_entropy_of_step_8_is_minigrads() -> None:
    step = load("08")
    rng = np.random.default_rng(2)
    scores, labels = rng.standard_normal((5, 3)), np.array([0, 2, 1, 1, 0])
    s = step["Tensor"](scores)
    loss = step["cross_entropy"](s, labels)
    loss.backward()
    t = minigrad.tensor(scores, requires_grad=True)
    expected = F.cross_entropy(t, minigrad.from_numpy(labels))
    expected.backward()
    assert float(loss.data) == pytest.approx(expected.item(), rel=1e-12)
    np.testing.assert_allclose(s.grad, t.grad.numpy(), atol=1e-14)


def test_the_convolution_of_step_12_is_minigrads_and_its_loops() -> None:
    step = load("12")
    rng = np.random.default_rng(3)
    x, w = rng.standard_normal((2, 3, 6, 7)), rng.standard_normal((4, 3, 3, 3))
    z = step["conv"](x, w)
    np.testing.assert_allclose(z, step["conv_loops"](x, w), atol=1e-12)
    g = rng.standard_normal(z.shape)
    u, v = (minigrad.tensor(array, requires_grad=True) for array in (x, w))
    out = F.conv2d(u, v)
    np.testing.assert_allclose(z, out.detach().numpy(), atol=1e-12)
    out.backward(minigrad.from_numpy(g))
    for ours, theirs in zip(step["conv_rule"](g, x, w), (u.grad, v.grad), strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-11)


def test_every_file_that_the_last_step_points_at_exists() -> None:
    text = STEPS[-1].read_text(encoding="utf-8")
    for path in re.findall(r"`((?:minigrad|optim|tests)/[\w/]+\.py)`", text):
        assert (FOLDER.parents[1] / path).exists(), path
