"""A browser for the tests of the lab: Chromium without a window, led over the WebDriver protocol."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minigrad import lab
from minigrad.lab.settings import SETTINGS

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the key of an element's id, fixed by the WebDriver standard


# Every surface with every optimizer and every schedule, and what else changes a path.
_ALL = f"optimizers={','.join(SETTINGS['optimizers'])}&steps=20"
ADDRESSES = [
    *(
        f"surface={surface}&{_ALL}&schedule={name}"
        for surface in SETTINGS["surfaces"]
        for name in SETTINGS["schedules"]
    ),
    f"surface=himmelblau&{_ALL}&clip=norm&clip.at=5",
    f"surface=rosenbrock&{_ALL}&clip=value&clip.at=2.5",
    f"surface=saddle&{_ALL}&noise=0.3&seed=7&schedule=one-cycle&one-cycle.warm=0",
    f"surface=beale&{_ALL}&x=-2&y=0.5&schedule=step&step.gamma=0.3&step.s=7",
    f"surface=ravine&{_ALL}&gd.lr=0.5&momentum.lr=2&nesterov.lr=3&rprop.lr=9",  # some of these diverge
    # Every number of every optimizer, moved a quarter of the way to its upper limit.
    f"surface=ravine&{_ALL}&schedule=warmup-cosine&warmup-cosine.floor=0.2&"
    + "&".join(
        f"{name}.{key}={number['value'] + (number['max'] - number['value']) / 4 if key != 'eps' else 1e-4}"
        for name, row in SETTINGS["optimizers"].items()
        for key, number in row["numbers"].items()
    ),
]


@pytest.fixture(scope="session")
def same_paths() -> Any:
    """A function that holds paths computed by the page's programs, for all `ADDRESSES`, against minigrad's."""
    ours = [lab.run(address) for address in ADDRESSES]

    def compare(theirs: list[list[dict[str, Any]]]) -> int:
        assert len(theirs) == len(ours)
        for address, their_paths, our_paths in zip(ADDRESSES, theirs, ours, strict=True):
            assert [path["name"] for path in their_paths] == list(SETTINGS["optimizers"])
            for path, expected in zip(their_paths, our_paths, strict=True):
                about = f"{address}: {expected.name}"
                assert path["diverged"] == expected.diverged, about
                for key in ("x", "y", "alpha", "loss"):
                    np.testing.assert_allclose(path[key], getattr(expected, key), rtol=1e-9, atol=1e-9, err_msg=about)
        return sum(len(paths) for paths in ours)

    return compare


@pytest.fixture(scope="session")
def addresses() -> list[str]:
    return ADDRESSES


# The driver is on this machine, whatever proxy the environment names.
_LOCAL = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Browser:
    """One browser session; `run` is JavaScript in the page, `cdp` a command of Chromium's own protocol."""

    def __init__(self, port: int, chromium: str, downloads: Path) -> None:
        self.base = f"http://127.0.0.1:{port}/session"
        self.downloads = downloads
        options = {
            "binary": chromium,
            "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"],
            "prefs": {"download.default_directory": str(downloads)},
        }
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}
        answer = self._send("POST", "", {"capabilities": {"alwaysMatch": wanted}})
        self.base += f"/{answer['sessionId']}"

    def _send(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with _LOCAL.open(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(json.load(error)["value"]["message"]) from error

    def open(self, page: Path, address: str = "") -> None:
        """Open the page anew, also where only the part after # differs."""
        self._send("POST", "/url", {"url": "about:blank"})
        self._send("POST", "/url", {"url": f"{page.as_uri()}{'#' if address else ''}{address}"})

    def run(self, script: str, *arguments: Any) -> Any:
        return self._send("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def cdp(self, command: str, **parameters: Any) -> Any:
        return self._send("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def look(self, width: int, height: int, theme: str = "light", calm: bool = False) -> None:
        """A screen of this size, in this theme, and with less motion if wanted."""
        mobile = width < 600
        self.cdp("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)
        features = [
            {"name": "prefers-color-scheme", "value": theme},
            {"name": "prefers-reduced-motion", "value": "reduce" if calm else "no-preference"},
        ]
        self.cdp("Emulation.setEmulatedMedia", features=features)

    def find(self, selector: str) -> str:
        return self._send("POST", "/element", {"using": "css selector", "value": selector})[ELEMENT]

    def click(self, selector: str) -> None:
        """A real click in the middle of the element, which fails where something else lies over it."""
        self._send("POST", f"/element/{self.find(selector)}/click", {})

    def press(self, *keys: str) -> None:
        """Press and release keys one after another; `Shift+Tab` holds Shift."""
        actions = []
        for key in keys:
            parts = [KEYS.get(part, part) for part in key.split("+")]
            actions += [{"type": "keyDown", "value": part} for part in parts]
            actions += [{"type": "keyUp", "value": part} for part in reversed(parts)]
        self._send("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def logs(self, kind: str) -> list[dict[str, Any]]:
        """What was logged since the last call: `browser` is the console, `performance` has the network."""
        return self._send("POST", "/se/log", {"type": kind})

    def picture(self) -> bytes:
        """What the screen shows, as PNG."""
        return base64.b64decode(self.cdp("Page.captureScreenshot", format="png")["data"])

    def quit(self) -> None:
        self._send("DELETE", "")


KEYS = {
    "Tab": "\ue004", "Enter": "\ue007", "Shift": "\ue008", "Space": " ", "Home": "\ue011", "End": "\ue010",
    "Left": "\ue012", "Up": "\ue013", "Right": "\ue014", "Down": "\ue015",
}  # fmt: skip


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if not all(_programs()):
        pytest.skip("the lab is tested in Chromium: apt-get install chromium chromium-driver")
    with started_browser(tmp_path_factory.mktemp("downloads")) as session:
        yield session


def _programs() -> tuple[str | None, str | None]:
    """Where Chromium and its driver are."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next(filter(None, map(shutil.which, names)), None), shutil.which("chromedriver")


@contextmanager
def started_browser(downloads: Path) -> Iterator[Browser]:
    """A browser for a `with` block."""
    chromium, driver = _programs()
    assert chromium and driver  # noqa: PT018
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [driver, f"--port={port}", "--log-level=OFF"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _wait_for(port, process)
            session = Browser(port, chromium, downloads)
            yield session
            session.quit()
        finally:
            process.terminate()


def _wait_for(port: int, process: subprocess.Popen) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end and process.poll() is None:
        try:
            with _LOCAL.open(f"http://127.0.0.1:{port}/status", timeout=5) as answer:
                if json.load(answer)["value"]["ready"]:
                    return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"chromedriver did not become ready; exit code {process.poll()}")
