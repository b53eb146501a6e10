"""Downloads, against a server on this machine that cuts, stalls, lies and answers 404."""

from __future__ import annotations

import hashlib
import io
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from minigrad.datasets import MNIST, FashionMNIST, write_idx
from minigrad.datasets.download import RemoteFile, fetch
from minigrad.errors import DataError

CONTENT = np.random.default_rng(0).bytes(400_000)
FILE = RemoteFile("data.bin", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
LIES = bytes(len(CONTENT))


class Server(ThreadingHTTPServer):
    """Serves CONTENT; the first part of the path says in which way it misbehaves."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[tuple[str, int]] = []  # (behaviour, first byte asked for)
        self.released = threading.Event()  # ends what stalls
        self.files: dict[str, bytes] = {FILE.name: CONTENT}

    def mirror(self, behaviour: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{behaviour}/"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away in mid-answer is what these tests are about."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        _, behaviour, name = self.path.split("/", 2)
        content = self.server.files[name]
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(asked[1]) if asked else 0
        self.server.requests.append((behaviour, start))
        getattr(self, f"do_{behaviour}")(content, start)

    def answer(self, body: bytes, start: int, *, length: int | None = None, **headers: str) -> None:
        self.send_response(206 if start else 200)
        if start:
            total = start + len(body)
            headers.setdefault("Content_Range", f"bytes {start}-{total - 1}/{total}")
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()

    def do_good(self, content: bytes, start: int) -> None:
        self.answer(content[start:], start)
        self.wfile.write(content[start:])

    def do_cut(self, content: bytes, start: int) -> None:
        """Promises everything and hangs up after 100,000 bytes."""
        self.answer(content[start:], start)
        self.wfile.write(content[start : start + 100_000])

    def do_hangup(self, content: bytes, start: int) -> None:
        """Hangs up after 1,000 bytes, every time."""
        self.answer(content[start:], start)
        self.wfile.write(content[start : start + 1_000])

    def do_forgetful(self, content: bytes, start: int) -> None:
        """Knows no ranges: always answers 200 with everything."""
        self.do_good(content, 0)

    def do_stall(self, content: bytes, start: int) -> None:
        self.answer(content[start:], start)
        self.wfile.write(content[start : start + 1_000])
        self.wfile.flush()
        self.server.released.wait(20)

    def do_silent(self, content: bytes, start: int) -> None:
        self.server.released.wait(20)

    def do_drip(self, content: bytes, start: int) -> None:
        """One byte now and then: no single read times out."""
        self.answer(content[start:], start)
        for k in range(start, len(content)):
            self.wfile.write(content[k : k + 1])
            self.wfile.flush()
            if self.server.released.wait(0.05):
                return

    def do_lie(self, content: bytes, start: int) -> None:
        self.do_good(LIES, start)

    def do_lie_and_cut(self, content: bytes, start: int) -> None:
        self.do_cut(LIES, start)

    def do_short(self, content: bytes, start: int) -> None:
        """A whole answer that is not the file: a login page, an older version."""
        self.do_good(content[:1_000], 0)

    def do_endless(self, content: bytes, start: int) -> None:
        """No length, and no end."""
        self.send_response(200)
        self.end_headers()
        while not self.server.released.is_set():
            self.wfile.write(LIES)

    def do_unsized(self, content: bytes, start: int) -> None:
        """No length, but the file."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(content)

    def do_wrong_range(self, content: bytes, start: int) -> None:
        self.answer(content[start:], start, Content_Range=f"bytes 7-{len(content) - 1}/{len(content)}")
        self.wfile.write(content[start:])

    def do_no_range(self, content: bytes, start: int) -> None:
        if start:
            self.send_error(416)
        else:
            self.do_good(content, 0)

    def do_redirect(self, content: bytes, start: int) -> None:
        self.send_response(302)
        self.send_header("Location", f"/good/{FILE.name}")
        self.end_headers()

    def do_missing(self, content: bytes, start: int) -> None:
        self.send_error(404)

    def do_busy(self, content: bytes, start: int) -> None:
        self.send_error(503)

    def do_busy_once(self, content: bytes, start: int) -> None:
        if self.server.requests.count(("busy_once", 0)) == 1:
            self.send_error(503)
        else:
            self.do_good(content, start)

    def do_nonsense(self, content: bytes, start: int) -> None:
        self.wfile.write(b"\xff\xfe this is no HTTP\r\n\r\n")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield server
        server.released.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def get(server: Server, tmp_path: Path) -> Callable[..., Path]:
    def get(*behaviours: str, timeout: float = 5.0) -> Path:
        mirrors = [server.mirror(behaviour) for behaviour in behaviours]
        return fetch(FILE, mirrors, tmp_path, timeout=timeout, pause=0.0)

    return get


# ---- what succeeds -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("behaviour", ["good", "cut", "forgetful", "unsized", "redirect", "no_range", "busy_once"])
def test_a_server_that_has_the_file_delivers_it(get: Callable, tmp_path: Path, behaviour: str) -> None:
    assert get(behaviour).read_bytes() == CONTENT
    assert os.listdir(tmp_path) == [FILE.name]


def test_a_file_that_is_there_is_not_fetched_again(get: Callable, server: Server) -> None:
    get("good")
    get("good")
    assert server.requests == [("good", 0)]


def test_a_file_with_other_content_is_replaced(get: Callable, tmp_path: Path) -> None:
    (tmp_path / FILE.name).write_bytes(LIES)
    assert get("good").read_bytes() == CONTENT


def test_a_cut_connection_is_taken_up_where_it_ended(get: Callable, server: Server) -> None:
    get("cut")
    assert server.requests == [("cut", 0), ("cut", 100_000), ("cut", 200_000), ("cut", 300_000)]


def test_a_later_run_takes_up_where_an_earlier_one_ended(get: Callable, server: Server, tmp_path: Path) -> None:
    with pytest.raises(DataError):
        get("hangup")
    assert (tmp_path / f"{FILE.name}.part").read_bytes() == CONTENT[:3_000]
    assert get("good").read_bytes() == CONTENT
    assert server.requests[-1] == ("good", 3_000)


def test_one_mirror_completes_what_another_began(get: Callable, server: Server) -> None:
    assert get("hangup", "good").read_bytes() == CONTENT
    assert server.requests[-1] == ("good", 3_000)


def test_a_part_that_is_complete_is_only_checked(get: Callable, server: Server, tmp_path: Path) -> None:
    (tmp_path / f"{FILE.name}.part").write_bytes(CONTENT)
    assert get("good").read_bytes() == CONTENT
    assert server.requests == []


@pytest.mark.parametrize("part", [LIES, LIES[:1000], LIES + b"more"])
def test_a_part_that_was_damaged_is_thrown_away(get: Callable, tmp_path: Path, part: bytes) -> None:
    (tmp_path / f"{FILE.name}.part").write_bytes(part)
    assert get("good").read_bytes() == CONTENT
    assert os.listdir(tmp_path) == [FILE.name]


BAD = {
    "missing": "404",
    "busy": "503",
    "hangup": "the connection ended after 3000 of 400000 bytes|IncompleteRead.*after 3000",
    "lie": "another SHA-256",
    "lie_and_cut": "another SHA-256",
    "short": "1000 bytes where 400000 were expected",
    "endless": "more than 400000 bytes",
    "nonsense": "nonsense/data.bin: .*HTTP",
}


@pytest.mark.parametrize("behaviour", BAD)
def test_a_bad_mirror_is_passed_over(get: Callable, tmp_path: Path, behaviour: str) -> None:
    assert get(behaviour, "good").read_bytes() == CONTENT
    assert os.listdir(tmp_path) == [FILE.name]


@pytest.mark.parametrize("behaviour", ["stall", "silent", "drip"])
def test_a_mirror_that_stalls_is_passed_over(get: Callable, behaviour: str) -> None:
    assert get(behaviour, "good", timeout=0.2).read_bytes() == CONTENT


def test_a_range_that_was_not_asked_for_is_not_appended(get: Callable, tmp_path: Path) -> None:
    (tmp_path / f"{FILE.name}.part").write_bytes(CONTENT[:1000])
    assert get("wrong_range", "good").read_bytes() == CONTENT


# ---- what fails --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("behaviour", BAD)
def test_without_a_good_mirror_the_error_says_what_each_did(get: Callable, tmp_path: Path, behaviour: str) -> None:
    with pytest.raises(DataError, match=BAD[behaviour]) as caught:
        get("missing", behaviour)
    assert "missing/data.bin: 404" in str(caught.value)
    assert f"into {tmp_path} by hand" in str(caught.value)
    assert not (tmp_path / FILE.name).exists()


@pytest.mark.parametrize("behaviour", ["stall", "silent", "drip"])
def test_a_stall_is_reported_as_one(get: Callable, behaviour: str) -> None:
    with pytest.raises(DataError, match="stalled"):
        get(behaviour, timeout=0.2)


def test_attempts_without_progress_are_counted(get: Callable, server: Server) -> None:
    with pytest.raises(DataError):
        get("busy")
    assert server.requests == [("busy", 0)] * 3


def test_a_missing_file_is_not_asked_for_twice(get: Callable, server: Server) -> None:
    with pytest.raises(DataError):
        get("missing")
    assert server.requests == [("missing", 0)]


def test_nothing_listening_is_an_error_that_names_the_address(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"http://127.0.0.1:1/data.bin: .*refused"):
        fetch(FILE, ["http://127.0.0.1:1"], tmp_path, pause=0.0)
    with pytest.raises(DataError, match=r"nowhere/data\.bin: unknown url type"):
        fetch(FILE, ["nowhere"], tmp_path)


def test_a_folder_that_cannot_be_made_is_an_error_that_says_so(tmp_path: Path, server: Server) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match=r"expected to write .*file/data\.bin"):
        fetch(FILE, [server.mirror("good")], tmp_path / "file")
    assert server.requests == []


def test_a_lie_never_stands_under_the_name_of_the_file(get: Callable, server: Server, tmp_path: Path) -> None:
    seen = []
    done = threading.Event()

    def watch() -> None:
        last_look = False
        while not last_look:
            last_look = done.is_set()
            if (tmp_path / FILE.name).exists():
                seen.append((tmp_path / FILE.name).read_bytes() == CONTENT)
            time.sleep(0.001)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        get("lie", "cut")
    finally:
        done.set()
        thread.join()
    assert seen
    assert all(seen)


@pytest.mark.parametrize("terminal", [True, False])
def test_a_progress_bar_is_shown_on_a_terminal_only(
    get: Callable, monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    stderr = io.StringIO()
    stderr.isatty = lambda: terminal  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stderr", stderr)
    get("cut")
    if terminal:
        assert re.search(r"data\.bin: 100%.*400k/400k", stderr.getvalue())
    else:
        assert stderr.getvalue() == ""


# ---- two at once, and interruption -------------------------------------------------------------------------

PROGRAM = """
import sys
from minigrad.datasets.download import RemoteFile, fetch
name, size, sha256, mirror, folder = sys.argv[1:]
print("begin", flush=True)
fetch(RemoteFile(name, int(size), sha256), [mirror], folder, timeout=30)
"""


def start(server: Server, behaviour: str, folder: Path) -> subprocess.Popen:
    arguments = [FILE.name, str(FILE.size), FILE.sha256, server.mirror(behaviour), str(folder)]
    return subprocess.Popen([sys.executable, "-c", PROGRAM, *arguments], stdout=subprocess.PIPE)


@pytest.mark.skipif(os.name == "nt", reason="folders cannot be locked there")
def test_two_processes_fetch_a_file_once(server: Server, tmp_path: Path) -> None:
    processes = [start(server, "cut", tmp_path) for _ in range(2)]
    assert [process.wait(60) for process in processes] == [0, 0]
    for process in processes:
        process.stdout.close()
    assert len(server.requests) == 4
    assert (tmp_path / FILE.name).read_bytes() == CONTENT


def test_a_killed_download_leaves_a_part_that_the_next_one_completes(
    get: Callable, server: Server, tmp_path: Path
) -> None:
    process = start(server, "drip", tmp_path)
    part = tmp_path / f"{FILE.name}.part"
    deadline = time.monotonic() + 30
    while not part.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.wait(30)
    process.stdout.close()
    assert os.listdir(tmp_path) == [part.name]
    assert get("good").read_bytes() == CONTENT


# ---- MNIST -------------------------------------------------------------------------------------------------


@pytest.fixture
def tiny(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> type[MNIST]:
    """MNIST with few images, on the server."""
    files = []
    for part, count in (("train", 6), ("t10k", 3)):
        for kind, array in (
            ("images-idx3", np.full((count, 28, 28), count, np.uint8)),
            ("labels-idx1", np.arange(count, dtype=np.uint8)),
        ):
            path = tmp_path / f"{part}-{kind}-ubyte.gz"
            write_idx(path, array)
            content = path.read_bytes()
            server.files[path.name] = content
            files.append(RemoteFile(path.name, len(content), hashlib.sha256(content).hexdigest()))
            path.unlink()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("MINIGRAD_DATA", raising=False)
    mirrors = (server.mirror("missing"), server.mirror("good"))
    return type("Tiny", (MNIST,), {"mirrors": mirrors, "files": tuple(files)})


def test_download_fills_the_cache_folder_once(tiny: type[MNIST], server: Server, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="download=True"):
        tiny()
    assert server.requests == []
    train = tiny(download=True)
    assert train.folder == tmp_path / "cache" / "minigrad" / "mnist"
    assert train.labels.tolist() == [0, 1, 2, 3, 4, 5]
    count = len(server.requests)
    assert tiny(train=False, download=True).images.shape == (3, 1, 28, 28)
    assert len(tiny(train=False)) == 3
    assert len(server.requests) == count == 8


def test_download_fills_the_root_folder_that_was_given(tiny: type[MNIST], tmp_path: Path) -> None:
    assert tiny(tmp_path / "mine", download=True).folder == tmp_path / "mine" / "mnist"
    assert len(tiny(tmp_path / "mine")) == 6


@pytest.mark.skipif(not os.environ.get("MINIGRAD_DATA"), reason="MINIGRAD_DATA is not set")
@pytest.mark.parametrize("kind", [MNIST, FashionMNIST])
def test_the_real_files_are_the_ones_that_a_mirror_must_deliver(kind: type[MNIST]) -> None:
    for file in kind.files:
        content = Path(os.environ["MINIGRAD_DATA"], kind.subfolders[0], file.name).read_bytes()
        assert len(content) == file.size
        assert hashlib.sha256(content).hexdigest() == file.sha256
