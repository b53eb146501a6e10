"""Fetch files whose size and SHA-256 are known, from mirrors that may cut, stall, lie or be gone.

A file grows as `NAME.part` beside its target and becomes `NAME` by one atomic rename, after its SHA-256 was
checked: nobody ever sees half a file. What was received is kept through cuts, mirrors and program runs, and
the next attempt asks only for the rest. Nothing that a server says is believed, so no server can do worse
than not help.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minigrad.errors import DataError

try:
    import fcntl
except ImportError:
    # Windows: two downloads at once may spoil each other's part, which the SHA-256 then shows
    fcntl = None  # type: ignore[assignment]

__all__ = ["RemoteFile", "fetch"]

_CHUNK = 2**16

# An attempt that brought this much was worth it: a server that cuts every connection after a while still
# delivers.
_PROGRESS = 2**16

# Bytes a second, averaged over one timeout. Below it a connection counts as stalled.
_LEAST_SPEED = 256


@dataclass(frozen=True)
class RemoteFile:
    """A published file: its name on every mirror, its length in bytes and its SHA-256 in hexadecimal."""

    name: str
    size: int
    sha256: str


class _TryAgain(Exception):
    """This attempt failed in a way that the next one may not."""


class _NextMirror(Exception):
    """This mirror does not have the file."""


def fetch(
    file: RemoteFile,
    mirrors: Sequence[str],
    folder: str | os.PathLike[str],
    *,
    timeout: float = 20.0,
    attempts: int = 3,
    pause: float = 1.0,
) -> Path:
    """Bring a file into a folder, unless it is there.

    Parameters
    ----------
    file : RemoteFile
        What to fetch.
    mirrors : sequence of str
        Addresses of folders (`https://host/path/`), tried in order.
    folder : str or path-like
        Where the file goes; it is created.
    timeout : float, default 20.0
        Seconds without a byte, or with fewer than 256 bytes a second, after which a connection counts as
        stalled.
    attempts : int, default 3
        How often in a row a mirror may fail without progress before it is given up.
    pause : float, default 1.0
        Seconds before the second attempt; each further pause is twice as long, up to 30 seconds.

    Returns
    -------
    Path
        The file, with the right SHA-256.

    Raises
    ------
    DataError
        No mirror delivered the file (the message says what each did), or the folder cannot be written to.

    Notes
    -----
    Processes that fetch into the same folder take turns. On a terminal a progress bar is shown on stderr.
    """
    target = Path(folder, file.name)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _turn(target.parent):
            if not (target.is_file() and _sha256(target) == file.sha256):
                _from_mirrors(file, mirrors, target, timeout, attempts, pause)
    except DataError:
        raise
    except OSError as error:
        raise DataError(
            f"fetch: expected to write {target}, got {error.strerror or error}. Choose another folder or make room."
        ) from error
    return target


def _from_mirrors(
    file: RemoteFile, mirrors: Sequence[str], target: Path, timeout: float, attempts: int, pause: float
) -> None:
    part = target.with_name(f"{file.name}.part")
    report = []
    with _progress_bar(file) as bar:
        for mirror in mirrors:
            url = f"{mirror.rstrip('/')}/{file.name}"
            try:
                _from_mirror(url, part, file, timeout, attempts, pause, bar)
            except (_TryAgain, _NextMirror) as error:
                report.append(f"{url}: {error}")
                continue
            _sync(part)
            os.replace(part, target)
            _sync(target.parent)
            return
    raise DataError(
        f"fetch: expected {file.name} ({file.size} bytes) from one of {len(mirrors)} mirrors, got "
        f"{'; '.join(report)}. Check the network, or put the file into {target.parent} by hand."
    )


def _from_mirror(url: str, part: Path, file: RemoteFile, timeout: float, attempts: int, pause: float, bar: Any) -> None:
    """Complete the part from one mirror and check it."""
    failures = 0
    clean = _length(part) == 0
    while True:
        before = _length(part)
        try:
            _receive(url, part, file, timeout, bar)
        except _TryAgain:
            failures = 0 if _length(part) - before >= _PROGRESS else failures + 1
            if failures == attempts:
                raise
            if failures:
                time.sleep(min(pause * 2 ** (failures - 1), 30.0))
            continue
        if _sha256(part) == file.sha256:
            return
        part.unlink()
        # If the beginning came from elsewhere, that may be the wrong half: once more, all of it from here.
        if clean:
            raise _NextMirror("content with another SHA-256")
        clean = True


def _receive(url: str, part: Path, file: RemoteFile, timeout: float, bar: Any) -> None:
    """Append to the part what it lacks, in one request."""
    start = _length(part)
    if start >= file.size:
        return  # complete, or too long: the SHA-256 tells
    # Without 'identity' a server may compress what is compressed, and the length is another.
    headers = {"User-Agent": "minigrad", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    with _open(url, headers, timeout, part) as response:
        start = _checked_start(response, start, file)
        with open(part, "ab" if start else "wb") as output:
            received = start
            window = time.monotonic(), received
            while True:
                bar.update(received - bar.n)
                try:
                    chunk = response.read1(_CHUNK)
                except (OSError, http.client.HTTPException) as error:
                    raise _TryAgain(f"{_reason(error)} after {received} of {file.size} bytes") from error
                if not chunk:
                    break
                received += len(chunk)
                if received > file.size:
                    raise _NextMirror(f"more than {file.size} bytes")
                output.write(chunk)
                seconds = time.monotonic() - window[0]
                if seconds > timeout:
                    if received - window[1] < _LEAST_SPEED * seconds:
                        raise _TryAgain(f"stalled after {received} of {file.size} bytes")
                    window = time.monotonic(), received
    if received < file.size:
        raise _TryAgain(f"the connection ended after {received} of {file.size} bytes")


def _open(url: str, headers: dict[str, str], timeout: float, part: Path) -> http.client.HTTPResponse:
    try:
        return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=timeout)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:
            part.unlink(missing_ok=True)
            raise _TryAgain("416: it could not go on where an earlier attempt ended") from None
        kind = _TryAgain if error.code >= 500 or error.code in (408, 425, 429) else _NextMirror
        raise kind(f"{error.code} {error.reason}") from None
    except (OSError, http.client.HTTPException) as error:
        raise _TryAgain(_reason(error)) from error
    except ValueError as error:
        raise _NextMirror(str(error)) from error


def _checked_start(response: http.client.HTTPResponse, asked: int, file: RemoteFile) -> int:
    """Where in the file the body begins, if the headers agree with what the file is known to be."""
    start, total = 0, response.headers.get("Content-Length")
    if response.status == 206:
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if not match or int(match[1]) != asked:
            raise _NextMirror(f"a range other than the one from byte {asked}")
        start = asked
    if total is not None and total != str(file.size - start):
        raise _NextMirror(f"{total} bytes where {file.size - start} were expected")
    return start


def _reason(error: BaseException) -> str:
    reason = getattr(error, "reason", error)
    if isinstance(reason, TimeoutError):
        return "stalled"
    return str(reason) or type(reason).__name__


def _length(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(2**20):
            digest.update(chunk)
    return digest.hexdigest()


def _sync(path: Path) -> None:
    """Have the system write a file, or the entries of a folder, to the disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows has no handle for a folder
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _turn(folder: Path) -> Iterator[None]:
    """Wait until no other process fetches into the folder, where the system can lock one."""
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a network file system may have no locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextmanager
def _progress_bar(file: RemoteFile) -> Iterator[Any]:
    from tqdm import tqdm

    # disable=None: only where stderr is a terminal
    with tqdm(total=file.size, desc=file.name, unit="B", unit_scale=True, disable=None) as bar:
        yield bar
