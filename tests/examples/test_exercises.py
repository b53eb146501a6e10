"""The exercises of the course module: each runs, draws, and prints numbers that agree with theory and with PyTorch."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SCRIPTS = {
    "3_1": "exercise_3_1_gd_vs_sgd",
    "3_2": "exercise_3_2_momentum",
    "3_3": "exercise_3_3_adam_vs_pytorch",
    "3_4": "exercise_3_4_cnn_schedules",
}
DATA = os.environ.get("MINIGRAD_DATA", "")


def start(arguments: list[str], cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    outside = {name: value for name, value in os.environ.items() if name != "MINIGRAD_DATA"}
    env = {**outside, "XDG_CACHE_HOME": str(cwd), "PYTHONIOENCODING": "utf-8", **environment}
    return subprocess.run([sys.executable, *arguments], cwd=cwd, env=env, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def lesson(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[str, Path]]:
    """Runs an exercise with --quick, once; returns what it printed and the folder of its figures."""
    done: dict[str, tuple[str, Path]] = {}

    def run(name: str) -> tuple[str, Path]:
        if name not in done:
            out = tmp_path_factory.mktemp(name)
            result = start([str(EXAMPLES / f"{SCRIPTS[name]}.py"), "--quick", "--out", str(out)], out)
            assert result.returncode == 0, result.stderr
            done[name] = result.stdout, out
        return done[name]

    return run


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Imports an exercise, without running it."""
    monkeypatch.setattr(sys, "path", [str(EXAMPLES), *sys.path])

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(SCRIPTS[name], EXAMPLES / f"{SCRIPTS[name]}.py")
        assert spec is not None
        assert spec.loader is not None
        found = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, SCRIPTS[name], found)  # dataclasses look their module up
        spec.loader.exec_module(found)
        return found

    return load


def number(pattern: str, text: str) -> float:
    """The number in the first group of the pattern."""
    found = re.search(pattern, text)
    assert found is not None, f"{pattern!r} is not in:\n{text}"
    return float(found[1].replace(",", ""))


@pytest.mark.parametrize(
    ("name", "figures"),
    [
        ("3_1", ["exercise_3_1.png"]),
        ("3_2", ["exercise_3_2.png"]),
        ("3_3", ["exercise_3_3.png"]),
        ("3_4", ["exercise_3_4_digits.png"]),
    ],
)
def test_an_exercise_writes_its_figures_and_nothing_else_into_the_folder_asked_for(name, figures, lesson):
    printed, out = lesson(name)
    assert sorted(path.name for path in out.iterdir() if path.is_file()) == figures
    for figure in figures:
        content = (out / figure).read_bytes()
        assert content.startswith(b"\x89PNG")
        width = int.from_bytes(content[16:20], "big")
        assert 1000 < width < 2500
        assert 20_000 < len(content) < 120_000  # a picture with something on it, small enough to be committed
        assert str(out / figure) in printed


# ---- 3.1: the closed form of SGD's noise floor, and the edge of stability --------------------------------------------


FLOORS = r"^ +(1|8|64) +(0\.0\d+) +(\S+) +(\S+) +([+-]\d+\.\d) % +(\S+)$"


def test_3_1_the_measured_noise_floor_is_the_closed_form(lesson):
    printed, _ = lesson("3_1")
    rows = re.findall(FLOORS, printed.split("Reshuffled")[0], re.MULTILINE)
    assert len(rows) == 6
    for size, alpha, measured, predicted, _, first_order in rows:
        assert float(measured) == pytest.approx(float(predicted), rel=0.06)
        # The first-order formula misses terms of relative size α λ and α tr A / B.
        missing = float(alpha) * 5 + 4 * float(alpha) * 6 / int(size)
        assert float(first_order) <= float(predicted) <= float(first_order) * (1 + missing)


def test_3_1_epochs_without_replacement_have_a_floor_of_the_third_order(lesson):
    printed, _ = lesson("3_1")
    rows = re.findall(FLOORS, printed.split("Reshuffled")[1], re.MULTILINE)
    assert len(rows) == 2
    for _, _, measured, predicted, _, part in rows:
        assert float(measured) == pytest.approx(float(predicted), rel=0.1)
        assert float(part) < 0.3
    assert number(r"B = 64, reshuffled: (\S+), formula", printed) == pytest.approx(3.0, abs=0.25)
    assert number(r"B = 64, with replacement: (\S+), formula", printed) == pytest.approx(1.0, abs=0.15)


def test_3_1_the_closed_form_is_the_fixed_point_of_the_average_over_all_samples(module):
    """For batches of one the expectation is a mean over N samples, which can be taken without any algebra."""
    exercise = module("3_1")
    samples = exercise.make_samples()
    x, A = samples.x, samples.x.T @ samples.x / len(samples.x)
    np.testing.assert_allclose(np.linalg.eigvalsh(A), exercise.CURVATURES, rtol=1e-12)
    r = x @ samples.bowl.minimum - samples.y
    alpha, M = 0.03, np.zeros((2, 2))
    step = np.eye(2) - alpha * x[:, :, None] * x[:, None, :]  # (N, 2, 2)
    pull = alpha * r[:, None] * x
    for _ in range(2000):
        M = (step @ M @ step.transpose(0, 2, 1)).mean(0) + pull.T @ pull / len(x)
    assert exercise.Theory(samples, alpha, 1).floor() == pytest.approx(0.5 * np.trace(A @ M), rel=1e-10)


def test_3_1_the_curves_follow_the_exact_expectation_and_gd_needs_more_samples(lesson):
    printed, _ = lesson("3_1")
    assert 0.6 < number(r"curves lie (\S+) standard errors", printed) < 1.5
    assert number(r"GD looks at (\d+) times as many samples", printed) > 10
    assert number(r"B = 8 ends at (\S+) times the floor", printed) < 0.5  # a falling rate has no floor


def test_3_1_gd_diverges_just_above_two_over_the_largest_curvature(lesson):
    printed, _ = lesson("3_1")
    for times, growth in (("0.99", 0.98), ("1.0", 1.0), ("1.01", 1.02)):
        measured = number(rf"(?m)^ +{re.escape(times)} +(\d\.\d+) ", printed)
        assert measured == pytest.approx(growth, abs=2e-6)


# ---- 3.2: κ against √κ, and the saddle -------------------------------------------------------------------------------


def test_3_2_the_updates_are_those_of_the_theory_one_by_one(lesson):
    printed, _ = lesson("3_2")
    assert number(r"Counted and predicted differ by (\d+) at most", printed) <= 1
    assert number(r"predicted differ by (\S+) updates at most", printed) <= 1.0  # at the saddle


def test_3_2_momentum_takes_the_square_root_of_the_condition_number(lesson):
    printed, _ = lesson("3_2")
    assert number(r"GD +(\S+) +theory 1", printed) == pytest.approx(1.0, abs=0.005)
    assert number(r"heavy ball +(\S+) +theory 0.5", printed) == pytest.approx(0.5, abs=0.05)
    assert number(r"Nesterov +(\S+) +theory 0.5", printed) == pytest.approx(0.5, abs=0.05)


def test_3_2_gd_counts_are_those_of_the_textbook_rate(lesson):
    printed, _ = lesson("3_2")
    rows = re.findall(r"^ +(\d+) +([\d,]+) \(", printed, re.MULTILINE)
    assert len(rows) == 3
    for kappa, count in rows:
        rate = (int(kappa) - 1) / (int(kappa) + 1)
        assert int(count.replace(",", "")) == np.ceil(np.log(1e-6) / np.log(rate))


# ---- 3.3: Adam, and all of torch.optim -------------------------------------------------------------------------------

HIDE_TORCH = """
import runpy, sys
script = sys.argv[1]
sys.argv = sys.argv[1:]
sys.modules["torch"] = None
sys.path.insert(0, script.rpartition("/")[0])
runpy.run_path(script, run_name="__main__")
"""


def check_adam(printed: str) -> None:
    differences = re.findall(r"largest difference (\S+), first", printed)
    assert len(differences) == 3
    assert all(float(difference) <= 1e-12 for difference in differences)
    assert "14 of 14 agree to 1e-12" in printed
    # Rounding, and not the formula: with the digits of float32 it is 2^29 times as large, times what training adds.
    assert 1e8 < number(r"differ by \S+, (\S+) times as much", printed) < 1e11


def test_3_3_adam_is_pytorchs_to_1e_12_live(lesson):
    torch = pytest.importorskip("torch")
    printed, _ = lesson("3_3")
    assert f"PyTorch {torch.__version__}, live" in printed
    check_adam(printed)
    names = {name for name, value in vars(torch.optim).items() if isinstance(value, type)} - {"Optimizer"}
    assert {name for name in names if re.search(rf"^ +{name}\b", printed, re.MULTILINE)} == names


def test_3_3_where_there_is_no_pytorch_the_golden_run_takes_its_place(tmp_path):
    script = str(EXAMPLES / f"{SCRIPTS['3_3']}.py")
    result = start(["-c", HIDE_TORCH, script, "--quick", "--out", str(tmp_path)], tmp_path)
    assert result.returncode == 0, result.stderr
    assert "against the stored run of PyTorch 2.13.0" in result.stdout
    check_adam(result.stdout)


def test_3_3_the_golden_run_is_what_pytorch_does_now(module):
    torch = pytest.importorskip("torch")
    exercise = module("3_3")
    version, stored = exercise.load_golden(exercise.STEPS, exercise.OTHERS)
    if torch.__version__.split("+")[0] != version:
        pytest.skip(f"stored by PyTorch {version}, here is {torch.__version__}")
    with exercise.double_scalars(torch):
        live = exercise.train(torch, exercise.of(torch, "Adam"), exercise.STEPS)
        fed = exercise.follow(torch, exercise.of(torch, "RMSprop"), exercise.OTHERS)
    assert np.abs(live - stored["Adam"]).max() < 1e-12
    assert exercise.relative(fed, stored["RMSprop, same gradients"]) < 1e-14
    assert len(stored) == 1 + 2 * (len(exercise.SETTINGS) + 1)


def test_3_3_a_wrong_adam_would_be_seen(module):
    """The comparison can fail: without the bias correction of v the paths part by more than any rounding."""
    exercise = module("3_3")

    class Wrong(exercise.Adam):
        def update(self, params, grads):
            self.beta2, kept = 0.99, self.beta2
            super().update(params, grads)
            self.beta2 = kept

    _, stored = exercise.load_golden(50, 50)
    right = exercise.train_by_listing(50)
    exercise.Adam = Wrong
    wrong = exercise.train_by_listing(50)
    assert exercise.relative(right, stored["Adam"]) < 1e-14
    assert exercise.relative(wrong, stored["Adam"]) > 1e-3


# ---- 3.4: the schedules ----------------------------------------------------------------------------------------------

NAMES = ["constant", "step", "exponential", "cosine", "warmup-cosine", "one-cycle"]


def test_3_4_every_schedule_learns_the_digits(lesson):
    printed, _ = lesson("3_4")
    rows = re.findall(r"^ +([a-z-]+) +\S+ +(\d+\.\d+) ± (\S+) ", printed, re.MULTILINE)
    assert [name for name, _, _ in rows] == NAMES
    assert all(float(accuracy) > 80 for _, accuracy, _ in rows)  # chance is 10
    assert "mnist: left out, its files are not here" in printed


def test_3_4_the_printed_intervals_are_students_for_fifteen_pairs(lesson):
    printed, _ = lesson("3_4")
    rows = re.findall(r"^ +([a-z-]+) +(\S+) ± (\S+) +\[(\S+), (\S+)\] +(.*)$", printed, re.MULTILINE)
    assert [row[0] for row in rows] == NAMES[1:]
    p = 1 - 0.05 / 30
    t = (2 * p - 1) / np.sqrt(2 * p * (1 - p))  # the quantile for 2 degrees of freedom, in closed form
    for _, mean, error, low, high, verdict in rows:
        low, high = float(low), float(high)
        assert (low + high) / 2 == pytest.approx(float(mean), abs=0.011)
        assert (high - low) / 2 == pytest.approx(t * float(error), abs=t * 0.006)
        clear = {"better": low > 0, "worse": high < 0, "not distinguishable from constant": low <= 0 <= high}
        assert clear[verdict]


def test_3_4_students_quantiles_are_those_of_the_printed_tables(module):
    quantile = module("3_4").student_quantile
    table = {(0.975, 1): 12.706, (0.975, 5): 2.571, (0.995, 9): 3.250, (0.975, 30): 2.042}
    for (p, freedom), t in table.items():
        assert quantile(p, freedom) == pytest.approx(t, abs=6e-4)


def test_3_4_runs_follow_the_formulas_and_repeat_bit_for_bit(module):
    exercise = module("3_4")
    task = exercise.replace(exercise.DIGITS, training=320, epochs=2)
    t, T, alpha = np.arange(20), 20, 0.05
    expected = {
        "constant": np.full(T, alpha),
        "step": alpha * 0.1 ** np.floor(t / (T / 3)),
        "exponential": alpha * 100.0 ** (-t / T),
        "cosine": alpha / 2 * (1 + np.cos(np.pi * t / T)),
        "warmup-cosine": np.where(t < 1, 0.0, alpha / 2 * (1 + np.cos(np.pi * (t - 1) / 19))),
        "one-cycle": np.where(
            t <= 6, alpha - alpha * 0.48 * (1 + np.cos(np.pi * t / 6)), alpha / 2 * (1 + np.cos(np.pi * (t - 6) / 14))
        ),
    }
    assert list(expected) == list(exercise.SCHEDULES)
    for schedule, rates in expected.items():
        run = exercise.train(task, None, schedule, alpha, 7, True)
        np.testing.assert_allclose(run.rates, rates, atol=3e-7)
        assert run.validation.shape == (exercise.CHECKS + 1,)
        assert np.isnan(run.test)  # a trial does not look at the test images
    again = exercise.train(task, None, "one-cycle", alpha, 7, True)
    other = exercise.train(task, None, "one-cycle", alpha, 8, True)
    np.testing.assert_array_equal(run.losses, again.losses)
    assert run.losses[0] != other.losses[0]


@pytest.mark.slow
@pytest.mark.skipif(not DATA, reason="needs MNIST: set MINIGRAD_DATA to the folder that holds it")
def test_3_4_takes_mnist_and_fashion_mnist_where_they_are(tmp_path):
    script = str(EXAMPLES / f"{SCRIPTS['3_4']}.py")
    result = start([script, "--quick", "--out", str(tmp_path)], tmp_path, MINIGRAD_DATA=DATA)
    assert result.returncode == 0, result.stderr
    assert sorted(path.name for path in tmp_path.glob("*.png")) == [
        f"exercise_3_4_{name}.png" for name in ("digits", "fashion-mnist", "mnist")
    ]
    assert "left out" not in result.stdout


# ---- the path through the folder -------------------------------------------------------------------------------------


def test_every_script_and_section_that_the_path_names_is_there():
    text = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    scripts = set(re.findall(r"python (examples/\S+\.py)", text))
    assert {f"examples/{name}.py" for name in SCRIPTS.values()} <= scripts
    assert all((EXAMPLES.parent / script).is_file() for script in scripts)
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    linked = re.findall(r"\]\(#([^)]+)\)", text)
    assert len(linked) == 8
    assert set(linked) <= anchors


# ---- mistakes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("3_1", ["--quik"], "unrecognized arguments: --quik"),
        ("3_2", ["--out", "a-file"], "--out: cannot make the folder a-file"),
        ("3_3", ["--quick", "--out"], "--out: expected one argument"),
        ("3_4", ["--data", "nowhere"], "MNIST: expected train-images-idx3-ubyte"),
    ],
)
def test_a_mistake_gets_one_line_and_exit_code_2(name, arguments, message, tmp_path):
    (tmp_path / "a-file").write_text("")
    result = start([str(EXAMPLES / f"{SCRIPTS[name]}.py"), *arguments], tmp_path)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert message in result.stderr
    assert result.stdout == ""
    assert not list(tmp_path.rglob("*.png"))


def test_recording_the_golden_run_needs_pytorch_and_says_so(tmp_path):
    script = str(EXAMPLES / f"{SCRIPTS['3_3']}.py")
    result = start(["-c", HIDE_TORCH, script, "--record", "golden.npz"], tmp_path)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "--record needs PyTorch" in result.stderr
    assert not (tmp_path / "golden.npz").exists()
