"""The lab in a real browser: its numbers, every one of its controls, its looks. Skipped where Chromium is not."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minigrad import lab
from minigrad.lab.settings import SETTINGS

PHONE, DESKTOP = (375, 780), (1280, 900)
LOOKS = [(*size, theme) for size in (PHONE, DESKTOP) for theme in ("light", "dark")]
# Much to see at once: every optimizer with every number, a schedule with numbers, clipping, noise, one that diverges.
FULL = (
    f"surface=ravine&optimizers={','.join(SETTINGS['optimizers'])}&schedule=warmup-cosine&clip=norm&clip.at=3"
    "&noise=0.2&steps=60&gd.lr=9"
)
# What a person can operate, in the order of the page.
CONTROLS = "a[href], button, select, input, canvas[tabindex], .scroll"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("lab") / "lab.html"
    target.write_text(lab.page(), encoding="utf-8")
    return target


@pytest.fixture(autouse=True)
def quiet(browser: Any) -> Any:
    """After every test: nothing on the console, nothing asked of the network."""
    browser.logs("browser")
    browser.logs("performance")
    yield
    assert [entry["message"] for entry in browser.logs("browser")] == []
    asked = [
        entry["message"] for entry in browser.logs("performance") if "Network.requestWillBeSent" in entry["message"]
    ]
    assert [
        text for text in asked if not any(kind in text for kind in ('"url":"file:', '"url":"data:', '"url":"blob:'))
    ] == []


def _until(found: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        answer = found()
        if answer:
            return answer
        time.sleep(0.02)
    raise AssertionError(f"waited in vain for {what}")


def _address(browser: Any) -> dict[str, str]:
    written = "return location.hash === writeAddress(setting) && location.hash.slice(1)"
    return dict(part.split("=", 1) for part in _until(lambda: browser.run(written), "the address").split("&"))


# ---- numbers ---------------------------------------------------------------------------------------------------------


def test_the_page_computes_minigrads_numbers(
    browser: Any, page: Path, addresses: list[str], same_paths: Callable[..., int]
) -> None:
    browser.open(page)
    script = """return arguments[0].map((address) => {
        const { setting } = readAddress(address);
        return setting.optimizers.map((name) => trajectory(setting, name));
    });"""
    assert same_paths(browser.run(script, addresses)) == 16 * len(addresses)


def test_the_table_shows_the_final_values_of_minigrads_run(browser: Any, page: Path) -> None:
    address = "surface=himmelblau&optimizers=nesterov,adam&schedule=cosine&steps=80"
    browser.look(*DESKTOP)
    browser.open(page, address)
    script = "return [...document.querySelectorAll('#table tr')].map((row) => [...row.cells].map((c) => c.textContent))"
    for row, path in zip(browser.run(script), lab.run(address), strict=True):
        x, y = (float(text.replace("−", "-")) for text in row[4:6])
        assert (x, y) == pytest.approx((path.x[-1], path.y[-1]), rel=1e-3)
        assert row[3] == "80"
        below = np.flatnonzero(path.loss < 1e-3)
        assert row[8] == (str(below[0]) if below.size else "never")


def test_the_line_of_python_below_the_page_makes_the_same_runs(browser: Any, page: Path) -> None:
    browser.open(page, "surface=noisy&optimizers=adam,lion&seed=5&lion.lr=0.02&steps=50&theme=dark")
    code = _until(lambda: browser.run("return by('python').textContent"), "the line")
    names: dict[str, Any] = {}
    exec(code, names)
    theirs = browser.run("return paths.map((path) => path.x)")
    np.testing.assert_allclose(theirs, [path.x for path in names["paths"]], rtol=1e-9, atol=1e-9)


def test_a_run_is_saved_as_csv_with_all_its_digits(browser: Any, page: Path) -> None:
    address = "surface=beale&optimizers=rmsprop&steps=25"
    browser.open(page, address)
    browser.cdp("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(browser.downloads))
    browser.click("#export")
    target = browser.downloads / "lab-beale.csv"
    _until(target.exists, "the download")
    with target.open(newline="") as file:
        rows = list(csv.DictReader(file))
    (path,) = lab.run(address)
    np.testing.assert_allclose([float(row["x"]) for row in rows], path.x, rtol=1e-9)
    np.testing.assert_allclose([float(row["loss"]) for row in rows], path.loss, rtol=1e-9)
    np.testing.assert_allclose([float(row["alpha"]) for row in rows[:-1]], path.alpha, rtol=1e-12)


def test_divergence_is_shown_in_legend_and_table_and_told(browser: Any, page: Path) -> None:
    browser.open(page, "surface=ravine&optimizers=gd,adam&gd.lr=0.5&x=1&y=2")
    for selector in ("#legend li:first-child", "#table tr:first-child"):
        text = browser.run("return document.querySelector(arguments[0]).textContent", selector)
        assert "diverged at step 22" in text  # 2 · 1.5^22 is the first above 10,000
    live = "return document.getElementById('live').textContent"
    assert "GD diverged at step 22" in _until(lambda: browser.run(live), "the announcement")


# ---- every control ---------------------------------------------------------------------------------------------------

# Work fields through all that they can do; returns what is wrong: changes that change nothing that one can notice,
# values out of range that are taken, a page wider than the screen.
WORK = """
const wrong = [];
const noticed = () => [writeAddress(setting), by('scrub').value, by('speed').value].join();
for (const id of arguments[0]) {
  const change = (kind, values) => {
    for (const value of values) {
      const before = noticed();
      if (kind === 'click') by(id).click();
      else {
        by(id).value = value;
        by(id).dispatchEvent(new Event(kind, { bubbles: true }));
      }
      if (noticed() === before) wrong.push(`${id} = ${value} changes nothing`);
      const wide = document.documentElement.scrollWidth - innerWidth;
      if (wide > 0) wrong.push(`after ${id} = ${value} the page is ${wide} pixels wider than the screen`);
    }
  };
  const { tagName, type, value, min, max, options } = by(id);
  const ends = [max, min].filter((end) => Number(end) !== Number(value));
  if (tagName === 'SELECT') change('change', [...options].map((o) => o.value).filter((o) => o !== value).concat(value));
  else if (type === 'checkbox') change('click', ['turned', 'turned back']);
  else if (type === 'range') change('input', ends);
  else {
    change('change', ends);
    const before = writeAddress(setting);
    for (const [text, good] of [[Number(max) + 1, false], ['', false], [min, true]]) {
      by(id).value = text;
      by(id).dispatchEvent(new Event('change'));
      if (by(id).hasAttribute('aria-invalid') === good) wrong.push(`${id} = ${text}: marked wrongly`);
    }
    if (writeAddress(setting) !== before && ends.includes(min)) wrong.push(`${id} takes what it may not have`);
  }
}
return wrong;
"""

# For each button what comes before it, and what shows that it has worked.
BUTTONS = {
    "skip": ("by('skip').focus()", "document.activeElement.id === 'play'"),
    "share": ("", "by('live').textContent.includes('copied')"),
    "reset": ("", "writeAddress({ ...setting, theme: 'auto' }) === writeAddress(defaultSetting())"),
    "first": ("goTo(5)", "by('scrub').value === '0'"),
    "back": ("goTo(5)", "by('now').textContent.startsWith('step 4 of')"),
    "play": ("goTo(5)", "Number(by('scrub').value) > 5"),
    "forward": ("goTo(5)", "by('now').textContent.startsWith('step 6 of')"),
    "last": ("goTo(5)", "by('scrub').value === by('scrub').max"),
    "usual-rates": ("setting.own.gd.lr = 1", "setting.own.gd.lr === 0.34"),
    "export": ("", "true"),  # what it saves is tested above
}


@pytest.mark.parametrize(
    ("width", "height", "theme"),
    # Two looks each time, the other two with the slow tests.
    [pytest.param(*look, marks=[pytest.mark.slow] if look in LOOKS[1:3] else []) for look in LOOKS],
)
def test_every_control_does_something_and_nothing_breaks(
    browser: Any, page: Path, width: int, height: int, theme: str
) -> None:
    browser.look(width, height, theme)
    address = "clip=value&schedule=step"
    names = _controls(browser, page, address)
    assert len(names) >= 50
    browser.cdp("Browser.grantPermissions", permissions=["clipboardSanitizedWrite"])
    browser.cdp("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(browser.downloads))
    buttons = [name for tag, name in names if tag in ("A", "BUTTON")]
    assert set(buttons) == set(BUTTONS)
    for name in buttons:
        before, effect = BUTTONS[name]
        browser.run(f"by({name!r}).scrollIntoView({{ block: 'center' }}); {before}")
        if name == "skip":  # it comes into sight when it has the focus
            _until(lambda: browser.run("return by('skip').getBoundingClientRect().top >= 0"), "the link")
        browser.click(f"#{name}")
        _until(lambda: browser.run(f"return {effect}"), f"an effect of {name}")  # noqa: B023
        browser.open(page, address)
    choices = [name for tag, name in names if tag == "SELECT" or name.startswith("o-")]
    fields = [name for tag, name in names if tag == "INPUT" and name not in choices]
    assert browser.run(WORK, choices) == []
    browser.open(page, address)
    assert browser.run(WORK, fields) == []
    browser.open(page, address)
    for name in [*choices, *fields]:  # a pointer reaches each of them
        if not name.startswith("o-"):
            browser.click(f"[id='{name}']")
            assert browser.run("return document.activeElement.id") == name
            browser.run("document.activeElement.blur()")
    # The surface and the table's frame have tests of their own.
    assert {name for _, name in names} - {*buttons, *choices, *fields} == {"map", "scroll"}


@pytest.mark.slow
def test_every_number_of_every_optimizer_and_schedule_does_something(browser: Any, page: Path) -> None:
    browser.look(*PHONE)
    fields = [name for tag, name in _controls(browser, page, FULL) if tag == "INPUT"]
    numbers = sum(len(row["numbers"]) + 1 for row in SETTINGS["optimizers"].values())
    assert len(fields) >= 2 * numbers
    assert browser.run(WORK, fields) == []
    for name, row in SETTINGS["schedules"].items():
        names = _controls(browser, page, f"optimizers=adam&schedule={name}&steps=60")
        own = [f"{kind}-{name}.{key}" for key in row["numbers"] for kind in ("s", "n")]
        assert set(own) <= {control for _, control in names}
        assert browser.run(WORK, own) == []


def _controls(browser: Any, page: Path, address: str) -> list[list[str]]:
    """Tag and name of all that one can operate, found in the page itself."""
    browser.open(page, address)
    find = f"return [...document.querySelectorAll({CONTROLS!r})].map((e) => [e.tagName, e.id || e.className])"
    names = browser.run(find)
    assert len({name for _, name in names}) == len(names)  # every control has a name of its own
    return names


def test_a_click_on_the_surface_sets_the_start(browser: Any, page: Path) -> None:
    for width, height in (PHONE, DESKTOP):
        browser.look(width, height)
        browser.open(page, "surface=himmelblau&optimizers=adam")
        left, top, x, y = browser.run(
            "const box = by('map').getBoundingClientRect();"
            "return [box.left, box.top, box.left + mapScale.toX(2), box.top + mapScale.toY(-3)]"
        )
        assert x > left
        assert y > top
        browser.run("window.scrollTo(0, 0)")
        moves = [
            {"type": "pointerMove", "x": round(x), "y": round(y)},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerUp", "button": 0},
        ]
        pointer = {"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": moves}
        browser._send("POST", "/actions", {"actions": [pointer]})
        address = _address(browser)
        pixel = 11.0 / (width - 76 if width < 600 else 400)  # how much of the view a pixel shows, at most
        assert float(address["x"]) == pytest.approx(2, abs=pixel)
        assert float(address["y"]) == pytest.approx(-3, abs=pixel)
        under = browser.run("return by('under').textContent").replace("−", "-").replace("x ", "").replace("y ", "")
        point, loss = under.split(": loss ")
        assert [float(number) for number in point.split(", ")] == pytest.approx([2, -3], abs=pixel)
        (path,) = lab.run("&".join(f"{key}={value}" for key, value in address.items()))
        assert float(loss) == pytest.approx(path.loss[0], rel=0.01)
        assert browser.run("return paths[0].loss.at(-1)") == pytest.approx(path.loss[-1], abs=1e-9)


def test_the_animation_plays_pauses_steps_and_ends(browser: Any, page: Path) -> None:
    browser.look(*DESKTOP)
    browser.open(page, "optimizers=adam&steps=100")
    shown = "return Number(by('scrub').value)"
    assert browser.run(shown) == 100  # the whole path is there at first
    browser.click("#play")
    _until(lambda: 0 < browser.run(shown) < 100, "the animation to run")
    browser.click("#play")
    assert browser.run("return by('play').textContent") == "Play"
    paused = browser.run(shown)
    time.sleep(0.2)
    assert browser.run(shown) == paused
    browser.click("#forward")
    assert browser.run(shown) == paused + 1
    browser.click("#back")
    browser.click("#back")
    assert browser.run(shown) == paused - 1
    browser.run("by('speed').value = '240'")
    browser.click("#play")
    _until(lambda: browser.run(shown) == 100 and browser.run("return playing === null"), "the end")
    assert browser.run("return by('play').textContent") == "Play"


def test_who_asks_for_less_motion_gets_two_pictures_a_second(browser: Any, page: Path) -> None:
    browser.look(*DESKTOP, calm=True)
    browser.open(page, "optimizers=adam&steps=2000")
    # A second of the animation, with a clock of our own.
    drawn = """goTo(0);
        playing = 0;
        const seen = new Set();
        for (let now = 10; now <= 1000; now += 10) {
          advance(now);
          seen.add(by('now').textContent);
        }
        pause();
        return [...seen];"""
    assert browser.run(drawn) == [f"step {step} of 2000" for step in (0, 30, 60)]
    browser.look(*DESKTOP)
    assert len(browser.run(drawn)) == 60  # 60 steps a second, each of them shown


def test_an_address_sets_everything_and_names_what_it_cannot_read(browser: Any, page: Path) -> None:
    browser.look(*DESKTOP)
    browser.open(page, f"{FULL}&theme=dark&adam.beta1=0.5&hue=3&steps=-1")
    assert browser.run("return by('n-adam.beta1').value") == "0.5"
    assert (
        browser.run("return by('schedule').value + by('clip').value + by('surface').value") == "warmup-cosinenormravine"
    )
    assert browser.run("return getComputedStyle(document.documentElement).colorScheme") == "dark"
    notice = browser.run("return by('notice').hidden ? '' : by('notice').textContent")
    assert "hue=3" in notice
    assert "steps=-1" in notice
    assert "hue" not in _address(browser)
    browser.run("location.hash = 'surface=bowl&optimizers=lion'")
    _until(lambda: browser.run("return setting.surface === 'bowl'"), "the address to be read again")
    assert browser.run("return [by('surface').value, paths.length, by('notice').hidden]") == ["bowl", 1, True]


# ---- the keyboard ----------------------------------------------------------------------------------------------------

FOCUSED = """
const here = document.activeElement;
if (here === document.body) return null;
const drawn = here.matches('.chip input') ? here.nextElementSibling : here;
const style = getComputedStyle(drawn);
const box = drawn.getBoundingClientRect();
return {
  name: here.id || here.className,
  ring: style.outlineStyle !== 'none' ? parseFloat(style.outlineWidth) : 0,
  seen: box.width > 0 && box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth,
};
"""


@pytest.mark.parametrize(("width", "height"), [PHONE, DESKTOP])
def test_tab_reaches_every_control_in_the_order_of_the_page_with_a_visible_ring(
    browser: Any, page: Path, width: int, height: int
) -> None:
    browser.look(width, height)
    browser.open(page)
    expected = browser.run(f"return [...document.querySelectorAll({CONTROLS!r})].map((e) => e.id || e.className)")
    for name in expected:
        browser.press("Tab")
        focused = _until(lambda: browser.run(FOCUSED), "a focus")
        assert focused["name"] == name
        assert focused["ring"] >= 2, name
        _until(lambda: browser.run(FOCUSED)["seen"], f"{name} to be in sight")


def test_a_whole_session_without_a_mouse(browser: Any, page: Path) -> None:
    browser.look(*DESKTOP)
    browser.open(page, "optimizers=gd&steps=100")
    browser.press("Tab", "Enter", "Space")  # the first link leads to the button that plays
    assert browser.run("return document.activeElement.id") == "play"
    _until(lambda: browser.run("return playing !== null"), "the animation to run")
    browser.press("Space")
    assert browser.run("return playing") is None
    browser.press("Shift+Tab", "Shift+Tab", "Shift+Tab")  # back, first, the surface
    assert browser.run("return document.activeElement.id") == "map"
    browser.press("Right", "Right", "Up", "Shift+Down")
    address = _address(browser)
    assert float(address["x"]) == pytest.approx(-4.4 + 2 * 10 / 50)
    assert float(address["y"]) == pytest.approx(2.2 + 10 / 50 - 10 / 10)
    browser.press("Home")
    assert "x" not in _address(browser)
    browser.run("by('surface').focus()")
    browser.press("Down")
    assert _address(browser)["surface"] == "rosenbrock"
    assert browser.run("return document.activeElement.id") == "surface"
    browser.run("by('o-lion').focus()")
    browser.press("Space")
    assert _address(browser)["optimizers"] == "gd,lion"
    assert browser.run("return document.activeElement.id") == "o-lion"
    browser.run("by('s-gd.lr').focus()")
    before = browser.run("return setting.own.gd.lr")
    browser.press("Right", "Right")
    assert before < browser.run("return setting.own.gd.lr") < 1.1 * before
    browser.run("by('n-steps').focus(); by('n-steps').select()")
    browser.press("3", "7", "Tab")
    assert _address(browser)["steps"] == "37"


@pytest.mark.parametrize(
    ("field", "start", "up"),
    [("adam.lr", 0.1, 0.1 * 10**0.06), ("adam.beta1", 0.9, 1 - 0.1 * 10**-0.04), ("steps", 2, 3), ("x", 0, 0.1)],
)
def test_arrow_keys_step_by_what_fits_the_field(browser: Any, page: Path, field: str, start: float, up: float) -> None:
    browser.open(page, f"optimizers=adam&{field}={start}")
    browser.run("by(`n-${arguments[0]}`).focus()", field)
    browser.press("Up")
    assert float(_address(browser)[field]) == pytest.approx(up, rel=5e-3)
    assert browser.run("return Number(by(`n-${arguments[0]}`).value)", field) == float(_address(browser)[field])
    browser.press("Down")
    assert browser.run("return Number(by(`n-${arguments[0]}`).value)", field) == pytest.approx(start, rel=5e-3)


# ---- looks -----------------------------------------------------------------------------------------------------------

# The contrast of every text with what lies behind it, as WCAG 2.2 defines it; returns those below 4.5.
CONTRAST = """
const pixel = Object.assign(document.createElement('canvas'), { width: 1, height: 1 });
const pen = pixel.getContext('2d', { willReadFrequently: true });
const solid = (colour, under) => {
  pen.fillStyle = under; pen.fillRect(0, 0, 1, 1);
  pen.fillStyle = colour; pen.fillRect(0, 0, 1, 1);
  return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3);
};
const luminance = (rgb) => rgb.map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
  .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
const behind = (element) => {
  if (element === null) return 'white';
  const own = getComputedStyle(element).backgroundColor;
  const alpha = own.startsWith('rgba') ? Number(own.match(/[\\d.]+/g)[3]) : 1;
  return alpha === 1 ? own : `rgb(${solid(own, behind(element.parentElement))})`;
};
const poor = [];
let count = 0;
const check = (element, style, text) => {
  const ground = behind(element);
  const [a, b] = [luminance(solid(style.color, ground)), luminance(solid(ground, 'white'))].sort((p, q) => q - p);
  const ratio = (a + 0.05) / (b + 0.05);
  count += 1;
  if (ratio < 4.5) poor.push(`${ratio.toFixed(2)} ${text.slice(0, 30)}`);
};
const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walk.nextNode()) {
  const element = walk.currentNode.parentElement;
  if (walk.currentNode.data.trim() && element.getClientRects().length && !element.matches('script, .unseen'))
    check(element, getComputedStyle(element), walk.currentNode.data);
}
for (const field of document.querySelectorAll('input[type=number], select')) {
  check(field, getComputedStyle(field), field.id);
  check(field, getComputedStyle(field, '::placeholder'), `placeholder of ${field.id}`);
}
const low = luminance([...channels('soft')].slice(0, 3));
const paper = luminance([...channels('paper')].slice(0, 3));
return { poor, count, plot: (Math.max(low, paper) + 0.05) / (Math.min(low, paper) + 0.05) };
"""


@pytest.mark.parametrize(("width", "height", "theme"), LOOKS)
def test_texts_stand_out_and_nothing_is_wider_than_the_screen(
    browser: Any, page: Path, width: int, height: int, theme: str
) -> None:
    browser.look(width, height, theme)
    for address in ("", f"{FULL}&hue=1"):
        browser.open(page, address)
        found = browser.run(CONTRAST)
        assert found["poor"] == []
        assert found["count"] > 80
        assert found["plot"] >= 4.5  # the labels of the axes
        assert browser.run("return document.documentElement.scrollWidth") <= width


def test_the_table_fits_a_desktop(browser: Any, page: Path) -> None:
    browser.look(*DESKTOP)
    browser.open(page)
    hidden = "const frame = document.querySelector('.scroll'); return frame.scrollWidth - frame.clientWidth"
    assert browser.run(hidden) <= 0


@pytest.mark.parametrize("width", [320, 600, 704, 768, 1024, 1120, 1920])
def test_no_width_of_a_screen_is_too_narrow(browser: Any, page: Path, width: int) -> None:
    browser.look(width, 800)
    browser.open(page, FULL)
    assert browser.run("return document.documentElement.scrollWidth") <= width
    cut = """return [...document.querySelectorAll('button, select, input, h1, h2, h3, .legend li')].filter((e) => {
        const { left, right } = e.getBoundingClientRect();
        return left < 0 || right > innerWidth || (e.tagName === 'BUTTON' && e.scrollWidth > e.clientWidth);
    }).map((e) => e.id || e.textContent)"""
    assert browser.run(cut) == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_line_stands_out_from_the_surface_by_itself_or_by_its_outline(
    browser: Any, page: Path, theme: str
) -> None:
    browser.look(*DESKTOP, theme)
    browser.open(page)
    names = [f"hue-{i}" for i in range(7)] + ["soft", "ink", "low", "high", "paper", "raised"]
    colours = browser.run(
        "return Object.fromEntries(arguments[0].map((n) => [n, [...channels(n)].slice(0, 3)]))", names
    )
    outlined = set(browser.run("return [...OUTLINED]"))
    grounds = [colours[name] for name in ("low", "high", "paper", "raised")]
    for i in range(7):
        line = colours["soft" if i in outlined else f"hue-{i}"]
        assert min(_contrast(line, ground) for ground in grounds) >= 3, i
    assert min(_contrast(colours["ink"], ground) for ground in grounds) >= 4.5  # rims of markers, minima, the start


def _contrast(one: list[int], other: list[int]) -> float:
    """WCAG's contrast of two colours: (a + 0.05) / (b + 0.05) of their luminances, the lighter one above."""
    light = []
    for colour in (one, other):
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in colour)]
        light.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    return (max(light) + 0.05) / (min(light) + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_toggle_overrules_the_systems_theme(browser: Any, page: Path, theme: str) -> None:
    other = {"light": "dark", "dark": "light"}[theme]
    browser.look(*DESKTOP, theme)
    browser.open(page)
    ground = "return getComputedStyle(document.body).backgroundColor"
    as_system = browser.run(ground)
    browser.run("by('theme').value = arguments[0]; by('theme').dispatchEvent(new Event('change'))", other)
    chosen = browser.run(ground)
    assert chosen != as_system
    browser.look(*DESKTOP, other)
    assert browser.run(ground) == chosen
    assert _address(browser)["theme"] == other


@pytest.mark.parametrize("size", [PHONE, DESKTOP])
def test_what_a_finger_touches_is_large_enough(browser: Any, page: Path, size: tuple[int, int]) -> None:
    browser.look(*size)
    browser.open(page, FULL)
    script = f"""return [...document.querySelectorAll({CONTROLS!r})].filter((e) => e.id !== 'skip')
        .map((e) => [e.id, e.getBoundingClientRect().width, e.getBoundingClientRect().height])
        .filter(([, w, h]) => w < 24 || h < 24);"""
    assert browser.run(script) == []


def test_every_surface_is_drawn_with_all_paths(browser: Any, page: Path) -> None:
    """Pixels of each chosen optimizer's colour are on the map; without optimizers there are none."""
    browser.look(*DESKTOP)
    count = """const { width, height } = by('map');
        const copy = Object.assign(document.createElement('canvas'), { width, height }).getContext('2d');
        copy.drawImage(by('map'), 0, 0);
        const { data } = copy.getImageData(0, 0, width, height);
        const [r, g, b] = channels(`hue-${SETTINGS.optimizers[arguments[0]].colour}`);
        let found = 0;
        for (let k = 0; k < data.length; k += 4) found += data[k] === r && data[k + 1] === g && data[k + 2] === b;
        return found;"""
    for surface in SETTINGS["surfaces"]:
        browser.open(page, f"surface={surface}&optimizers=momentum,adam")
        assert browser.run(count, "momentum") > 60, surface
        assert browser.run(count, "adam") > 60, surface
    browser.open(page, "optimizers=")
    assert browser.run(count, "momentum") == browser.run(count, "adam") == 0
    assert "Choose an optimizer" in browser.run("return by('legend').textContent")


def test_the_page_may_not_ask_the_network_for_anything(browser: Any, page: Path) -> None:
    browser.open(page)
    answer = browser.run("return fetch('http://127.0.0.1:9/').then(() => 'fetched', (error) => error.name)")
    assert answer == "TypeError"
    refused = [entry["message"] for entry in browser.logs("browser")]
    assert refused
    assert all("Content Security Policy" in text or "violates" in text or "Fetch API" in text for text in refused)
