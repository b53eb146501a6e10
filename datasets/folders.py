"""Where the files of a dataset are looked for, and where they are put."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from minigrad.errors import DataError

__all__ = ["cache_folder", "find_files"]

VARIABLE = "MINIGRAD_DATA"


def cache_folder() -> Path:
    """The user's folder for downloads: `$XDG_CACHE_HOME/minigrad`, or `~/.cache/minigrad`."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "minigrad"


def find_files(
    title: str, names: Sequence[str], root: str | os.PathLike[str] | None, subfolders: Sequence[str]
) -> list[Path]:
    """Find files that belong together, in the first folder that has all of them.

    Parameters
    ----------
    title : str
        The dataset, for the message.
    names : sequence of str
        The file names, without `.gz`; plain files come before compressed ones, which take longer to read.
    root : str, path-like or None
        The first place: the folder itself, then its subfolders. After it come the subfolders of the folder in
        the environment variable MINIGRAD_DATA, and those of the cache folder. Only `root` itself may hold the
        files without a subfolder, since other datasets have files of the same names.
    subfolders : sequence of str
        Relative paths, tried in this order.

    Returns
    -------
    list of Path
        One for each name.

    Raises
    ------
    DataError
        No folder has them all; the message lists the folders.
    """
    folders = []
    if root is not None:
        folders += [Path(root), *(Path(root, sub) for sub in subfolders)]
    if os.environ.get(VARIABLE):
        folders += [Path(os.environ[VARIABLE], sub) for sub in subfolders]
    folders += [cache_folder() / sub for sub in subfolders]
    for folder in folders:
        found = [_find(folder, name) for name in names]
        if all(found):
            return [path for path in found if path]
    raise DataError(
        f"{title}: expected {' and '.join(names)} (plain or .gz) in one of {', '.join(map(str, folders))}, "
        f"got none with all of them. Pass download=True, or root=FOLDER or {VARIABLE}=FOLDER if you have "
        "the files."
    )


def _find(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)
