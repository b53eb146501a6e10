"""The lab without a browser: the page is one file that loads nothing, and minigrad's side of its runs is right."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
import shutil
import struct
import subprocess
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import lab, optim
from minigrad.__main__ import main
from minigrad.errors import ArgumentError
from minigrad.lab.page import SCRIPTS, source
from minigrad.lab.run import SURFACES
from minigrad.lab.settings import SETTINGS

PICTURE = Path(__file__).parents[2] / "examples" / "pictures" / "lab.png"


# ---- the file --------------------------------------------------------------------------------------------------------


def test_the_command_writes_the_page_as_one_file(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    target = tmp_path / "lab.html"
    assert main(["lab", "--out", str(target)]) == 0
    assert str(target) in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == [target]
    assert target.read_text(encoding="utf-8") == lab.page()
    assert target.stat().st_size < 150_000


def test_a_file_that_cannot_be_written_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["lab", "--out", str(tmp_path / "no" / "lab.html")]) == 2
    error = capsys.readouterr().err
    assert "cannot write" in error
    assert error.count("\n") == 1


def test_the_page_names_no_address_from_which_anything_could_be_loaded() -> None:
    page = lab.page()
    named = set(re.findall(r"""(?:https?:)?//[\w.-]+\.\w+[^\s"'<)]*""", page))
    assert named == {"http://www.w3.org/1998/Math/MathML", "http://www.w3.org/2000/svg"}  # names of markup languages
    assert not re.search(r"<(?:script|img|iframe|link|source|object|embed)[^>]*(?:src|href)=(?![\"']?data:,)", page)
    assert not re.search(r"@import|url\(|\bfetch\(|XMLHttpRequest|WebSocket|EventSource|sendBeacon|\bimport\(", page)


def test_the_page_holds_the_sources_of_the_package_as_they_are() -> None:
    page = lab.page()
    for name in (*SCRIPTS, "page.css"):
        assert source(name) in page, name
    (settings,) = re.findall(r"^const SETTINGS = (.*);$", page, flags=re.MULTILINE)
    assert json.loads(settings) == SETTINGS
    assert "{{" not in re.sub(r"<script>.*</script>", "", page, flags=re.DOTALL)


def test_the_policy_allows_this_script_and_this_style_and_nothing_else() -> None:
    page = lab.page()
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert "connect-src" not in rules
    for tag in ("script", "style"):
        (text,) = re.findall(f"<{tag}>(.*?)</{tag}>", page, flags=re.DOTALL)
        assert rules[f"{tag}-src"] == f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_every_control_of_the_frame_has_a_name_for_readers_of_the_screen() -> None:
    html = source("page.html")
    labelled = set(re.findall(r'<label[^>]*for="([\w-]+)"', html))
    for tag, attributes, inside in re.findall(r"<(button|select|input|canvas)\b([^>]*)>([^<]*)", html):
        identity = re.search(r'\bid="([\w-]+)"', attributes)
        named = "aria-label=" in attributes or (identity and identity[1] in labelled) or (tag == "button" and inside)
        wrapped = identity and re.search(f'<label class="inline">[^<]*<select id="{identity[1]}"', html)
        assert named or wrapped, attributes


def test_the_picture_of_the_lab_is_small_and_wide() -> None:
    data = PICTURE.read_bytes()
    assert data.startswith(b"\x89PNG")
    assert len(data) < 150_000
    assert struct.unpack(">II", data[16:24])[0] >= 1000


# ---- what can be chosen ----------------------------------------------------------------------------------------------


def test_the_lab_has_the_surfaces_optimizers_and_schedules_of_the_course() -> None:
    assert list(SETTINGS["surfaces"]) == ["bowl", "ravine", "rosenbrock", "beale", "saddle", "himmelblau", "noisy"]
    classes = {row["class"] for row in SETTINGS["optimizers"].values()}
    assert {"GD", "SGDMomentum", "Nesterov", "AdaGrad", "RMSprop", "Adam", "AdamW"} <= classes
    assert classes <= set(optim.__all__)
    assert {"constant", "step", "exponential", "cosine", "warmup-cosine", "one-cycle"} <= set(SETTINGS["schedules"])


def test_optimizers_differ_in_more_than_colour() -> None:
    marks = [(row["colour"], row["line"], row["marker"]) for row in SETTINGS["optimizers"].values()]
    assert len(set(marks)) == len(marks)
    assert len({(line, marker) for _, line, marker in marks}) >= 10
    chosen = [SETTINGS["optimizers"][name] for name in SETTINGS["chosen"]["optimizers"]]
    assert len({row["marker"] for row in chosen}) == len(chosen)  # without any colour


@pytest.mark.parametrize("name", SURFACES)
def test_the_minima_of_a_surface_are_where_its_gradient_vanishes(name: str) -> None:
    row = SETTINGS["surfaces"][name]
    for point in row["minima"]:
        theta = minigrad.tensor(np.array(point, np.float64), requires_grad=True)
        loss = SURFACES[name](theta[0], theta[1])
        loss.backward()
        assert loss.item() == pytest.approx(row["lowest"], abs=1e-20)
        np.testing.assert_allclose(theta.grad.numpy(), 0.0, atol=1e-9)
        left, right, bottom, top = row["view"]
        x, y = np.meshgrid(np.linspace(left, right, 401), np.linspace(bottom, top, 401))
        assert SURFACES[name](x, y).min() >= row["lowest"]


@pytest.mark.parametrize(
    "address", ["surface=hill", "adam.lr=0", "adam.lr=x", "steps=2.5", "x=99", "adam.gamma=1", "k=1"]
)
def test_an_address_that_says_nothing_is_refused_with_its_key(address: str) -> None:
    with pytest.raises(ArgumentError, match=address.partition("=")[0].replace(".", r"\.")):
        lab.read_address(address)


def test_the_rates_of_a_surface_are_those_of_its_kind_of_optimizer() -> None:
    setting = lab.read_address("surface=ravine")
    assert setting.own["gd"]["lr"] == 0.34
    assert setting.own["momentum"]["lr"] == 0.102
    assert setting.own["adam"]["lr"] == 0.2
    assert setting.own["adadelta"]["lr"] == 1.0


# ---- runs ------------------------------------------------------------------------------------------------------------


def test_gradient_descent_on_the_ravine_follows_its_closed_form() -> None:
    (path,) = lab.run("surface=ravine&optimizers=gd&gd.lr=0.3&x=4&y=-2&steps=30")
    k = np.arange(31)
    np.testing.assert_allclose(path.x, 4 * (1 - 0.3 * 0.1) ** k, rtol=1e-13)
    np.testing.assert_allclose(path.y, -2 * (1 - 0.3 * 5.0) ** k, rtol=1e-13)
    np.testing.assert_allclose(path.loss, 0.5 * (0.1 * path.x**2 + 5 * path.y**2), rtol=1e-15)


def test_divergence_is_told_at_the_step_at_which_a_coordinate_passes_ten_thousand() -> None:
    (path,) = lab.run("surface=ravine&optimizers=gd&gd.lr=0.5&x=1&y=2&steps=100")
    assert path.diverged == math.ceil(math.log(1e4 / 2) / math.log(1.5))  # |y_k| = 2 · 1.5^k
    assert len(path.x) == path.diverged
    assert np.abs(path.y).max() <= 1e4


def test_the_noise_floor_is_the_one_that_the_lesson_of_the_noisy_bowl_tells() -> None:
    runs = [lab.run(f"surface=noisy&optimizers=gd&gd.lr=0.2&steps=1000&seed={seed}")[0] for seed in range(8)]
    floor = np.mean([path.loss[100:] for path in runs])
    assert floor == pytest.approx(0.2 / (2 - 0.2), rel=0.08)


def test_noise_has_mean_0_variance_1_and_no_memory() -> None:
    z = np.array(list(islice(lab.noise(3), 20_000)))
    assert abs(z.mean()) < 4 / math.sqrt(z.size)
    assert z.var() == pytest.approx(1.0, abs=4 * math.sqrt(2 / z.size))
    assert np.mean(z**4) == pytest.approx(3 - 0.1, abs=0.15)  # a sum of twelve uniforms has 3 - 6/5/12
    assert abs(np.corrcoef(z[:-1], z[1:])[0, 1]) < 4 / math.sqrt(z.size)
    assert not np.array_equal(z[:10], list(islice(lab.noise(4), 10)))


# ---- the page's programs, where node is ------------------------------------------------------------------------------


def _node(program: str, given: Any) -> Any:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed; the same programs are tested in the browser")
    text = f"const SETTINGS = {json.dumps(SETTINGS)};\n{source('formulas.js')}\n{source('settings.js')}\n"
    text += f"const given = JSON.parse(require('fs').readFileSync(0));\nconsole.log(JSON.stringify({program}));"
    done = subprocess.run([node, "-e", text], input=json.dumps(given), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_pages_programs_compute_minigrads_numbers(addresses: list[str], same_paths: Any) -> None:
    program = """given.map((address) => {
        const { setting } = readAddress(address);
        return setting.optimizers.map((name) => trajectory(setting, name));
    })"""
    assert same_paths(_node(program, addresses)) == 16 * len(addresses)


def test_noise_is_the_same_bits_in_both_languages() -> None:
    program = "given.map((seed) => { const draw = noise(seed); return Array.from({ length: 50 }, draw); })"
    seeds = [0, 1, 2, 500, 999]
    assert _node(program, seeds) == [list(islice(lab.noise(seed), 50)) for seed in seeds]


def test_a_setting_survives_the_address_in_both_languages(addresses: list[str]) -> None:
    program = """given.map((address) => {
        const { setting, ignored } = readAddress(address);
        return { setting, ignored, again: writeAddress(setting) };
    })"""
    for address, answer in zip(addresses, _node(program, addresses), strict=True):
        assert answer["ignored"] == []
        theirs, ours, again = answer["setting"], lab.read_address(address), lab.read_address(answer["again"])
        assert ours == again, address
        assert (theirs["own"], theirs["shape"], theirs["optimizers"]) == (ours.own, ours.shape, ours.optimizers)
        assert (theirs["x"], theirs["y"], theirs["steps"], theirs["noise"]) == (ours.x, ours.y, ours.steps, ours.noise)
        assert (theirs["clip"], theirs["clipAt"], theirs["seed"]) == (ours.clip, ours.clip_at, ours.seed)


def test_an_address_that_says_nothing_is_left_out_by_the_page() -> None:
    bad = "#surface=bowl&adam.lr=-1&steps=x&toString=1&optimizers=adam,sgdd&x=99&seed=&__proto__.x=1"
    answer = _node("readAddress(given)", bad)
    assert answer["ignored"] == [
        "adam.lr=-1", "steps=x", "toString=1", "optimizers=sgdd", "x=99", "seed=", "__proto__.x=1",
    ]  # fmt: skip
    assert answer["setting"]["surface"] == "bowl"
    assert answer["setting"]["optimizers"] == ["adam"]
    assert answer["setting"]["own"]["adam"]["lr"] == 0.1


def test_the_saved_table_has_every_step_of_every_run() -> None:
    address = "surface=ravine&optimizers=gd,adam&gd.lr=0.5&steps=60"
    program = "csv(readAddress(given).setting.optimizers.map((n) => trajectory(readAddress(given).setting, n)))"
    head, *lines = _node(program, address).splitlines()
    assert head == "optimizer,step,alpha,x,y,loss,diverged_at"
    gd, adam = lab.run(address)
    rows = [line.split(",") for line in lines]
    assert len(rows) == len(gd.x) + 61
    assert {row[6] for row in rows if row[0] == "gd"} == {str(gd.diverged)}
    assert [float(row[5]) for row in rows if row[0] == "adam"] == pytest.approx(list(adam.loss), rel=1e-9)
