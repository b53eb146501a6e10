"""The claims of the course module: the numbers, not only that the scripts run."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "claims"
VERDICTS = {"supported", "not supported", "depends"}


@pytest.fixture(scope="module")
def scripts() -> Any:
    """Imports a script by its name, as running it would: with its folder at the head of the path."""
    sys.path.insert(0, str(FOLDER))
    before = set(sys.modules)
    yield importlib.import_module
    sys.path.remove(str(FOLDER))
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "").parent == FOLDER:
            del sys.modules[name]


# For each script what a quick run must find: name of the number, where it lies. The bounds are those of theory.
FOUND: dict[str, dict[str, tuple[float, float]]] = {
    "gradient_is_steepest": {
        "change along the gradient": (0.99, 1.01),
        "change along its negative": (-1.01, -0.99),
        "largest |change - cosine|": (0, 1e-3),
    },
    "learning_rate_too_large_or_small": {
        "bowl: rate where divergence begins": (0.1995, 0.2005),
        "bowl: exponent of lr in the steps": (-1.02, -0.98),
    },
    "local_minima_and_dimension": {"stuck with 9 parameters": (0.4, 1), "stuck with 65 parameters": (0, 0.02)},
    "saddle_points": {
        "steps more per decade nearer the saddle": (23.9, 24.4),  # log 10 / log 1.1 = 24.16
        "steps to leave from y = 0 (limit 2000)": (2000, 2000),
    },
    "ill_conditioning": {
        "exponent of κ in the steps": (0.95, 1.05),
        "sign changes a step, steep direction": (1, 1),
        "sign changes a step, flat direction": (0, 0),
    },
    "batch_size_and_gradient_noise": {
        "exponent of B in the noise": (-0.55, -0.45),
        "relative error at B = N": (0, 1e-5),
    },
    "full_batch_against_mini_batch": {
        "exponent of B in the memory": (0.9, 1.1),
        "updates an epoch, full batch": (1, 1),
        "updates an epoch, B = 32": (44, 44),
    },
    "noise_escapes_local_minima": {"escaped, B = 4": (0.5, 1), "escaped, B = N": (0, 0)},
    "larger_batches_need_larger_rates": {"exponent of B in the best rate": (0, 1)},
    "small_batches_and_generalisation": {"test accuracy, B = 1000, true labels": (0.85, 1)},
    "momentum_accelerates_and_dampens": {
        "step length, consistent gradient": (9.99, 10.01),
        "step length, alternating gradient": (0.526, 0.527),
        "exponent of κ, momentum": (0.45, 0.6),
    },
    "nesterov_looks_ahead": {
        "distance to the next point: look-ahead / present": (0.01, 0.7),
        "decay at lr λ = 0.3, momentum": (0.94, 0.955),  # sqrt(0.9) = 0.949
        "decay at lr λ = 0.3, Nesterov": (0.78, 0.80),  # sqrt(0.9 * 0.7) = 0.794
    },
    "features_of_different_scale": {
        "exponent of |gradient| in the rate, SGD": (-1e-6, 1e-6),
        "exponent of |gradient| in the rate, AdaGrad": (-1.1, -0.9),
        "exponent of |gradient| in the rate, Adam": (-1.1, -0.9),
    },
    "adagrad_rate_goes_to_zero": {
        "exponent of t in the rate, AdaGrad": (-0.52, -0.48),
        "exponent of t in the rate, RMSprop": (-0.02, 0.02),
    },
    "bias_correction": {
        "first step / lr, with correction": (0.9999, 1.0001),
        "first step / lr, without": (3.162, 3.163),  # 0.1 / sqrt(0.001)
        "longest step / lr, without": (6.56, 6.58),
    },
    "warmup_for_large_batches": {"lowest loss over the rates, B = 32, none": (0, 0.5)},
    "one_cycle_in_fewer_epochs": {"test accuracy after 4 epochs, one-cycle": (0.5, 1)},
    "optimizers_compared": {"test accuracy, Adam": (0.5, 1), "test accuracy, SGD+Momentum": (0.5, 1)},
    "start_with_adam": {
        "test accuracy, six hidden layers, Adam": (0.85, 1),
        "test accuracy, three layers of sigmoids, SGD": (0, 0.2),  # the slopes of three sigmoids: at most 1/64
    },
    "switch_to_sgd_for_final_training": {"test accuracy, SGD+Momentum": (0.5, 1), "test accuracy, Adam": (0.4, 1)},
    "warmup_for_large_models": {"lowest loss over the rates, small, none": (0.1, 1.8)},
    "tune_learning_rate_first": {"share of the variance, learning rate": (0.02, 1)},
    "initialisation_and_activations": {
        "signal a layer, ReLU, He": (0.95, 1.05),
        "signal a layer, ReLU, Xavier": (0.67, 0.74),  # 1 / sqrt(2)
        "signal a layer, ReLU, N(0, 1)": (10.7, 11.9),  # sqrt(128)
        "gradient a layer, sigmoid, Xavier": (0.2, 0.25),  # the slope is at most 1/4
    },
    "poor_initialisation_prevents_learning": {
        "test accuracy, zero, relu": (0, 0.12),
        "test accuracy, He, relu": (0.7, 1),
    },
    "clipping_an_lstm": {"median spike, lr = 0.1, clipped": (0.05, 1.0)},
    "schedules_improve_final_performance": {"test accuracy, cosine": (0.5, 1)},
}


@pytest.mark.parametrize("name", FOUND)
def test_a_quick_run_finds_the_numbers_of_theory(
    name: str, scripts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MINIGRAD_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # without Fashion-MNIST, the digits: the same everywhere
    result = scripts(name).run(True)
    for number, (low, high) in FOUND[name].items():
        assert low <= result[number] <= high, f"{number} is {result[number]}"
    assert result.verdict in VERDICTS
    text = result.text(name)
    assert result.quote in text
    assert f"verdict  {result.verdict}: " in text
    path = scripts("claim").save(result, tmp_path, name)
    assert path.read_bytes().startswith(b"\x89PNG")
    for ax in result.figure.axes:
        assert ax.get_title()
        assert ax.get_xlabel()


def test_every_script_is_run_by_the_runner_and_tested(scripts: Any) -> None:
    shared = {"__main__", "claim", "training"}
    names = {path.stem for path in FOLDER.glob("*.py")} - shared
    source = (FOLDER / "__main__.py").read_text(encoding="utf-8")
    assert all(f'"{name}"' in source for name in names)
    assert names == set(FOUND)


def test_the_committed_table_has_a_row_and_a_small_figure_for_each_script() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    row = re.compile(r"^\| [^|]+ \| \[[^\]]+\]\((\w+)\.py\) \| \*\*([a-z ]+)\*\* \| (?:[^|]|\\\|)+ \|$", re.MULTILINE)
    rows = row.findall(text)
    assert {name for name, _ in rows} == set(FOUND)
    assert {verdict for _, verdict in rows} <= VERDICTS
    for name in FOUND:
        assert (ROOT / "examples" / "pictures" / f"claim_{name}.png").stat().st_size < 80_000


def test_slope_is_the_exponent_of_a_power_law(scripts: Any) -> None:
    x = np.array([1.0, 2.0, 5.0, 9.0])
    assert scripts("claim").slope(x, 3 * x**-0.5) == pytest.approx(-0.5, abs=1e-12)


@pytest.mark.parametrize(("a", "sign"), [([1.0, 1.1, 0.9], 1), ([-1.0, -1.1, -0.9], -1), ([1.0, -1.1, 0.2], 0)])
def test_a_difference_within_two_standard_errors_is_none(scripts: Any, a: list[float], sign: int) -> None:
    assert scripts("claim").differs(a, [0.0, 0.0, 0.0]) == sign
