"""The folder that the results of a command go to."""

from __future__ import annotations

from pathlib import Path

from minigrad.errors import ArgumentError

__all__ = ["results_folder"]


def results_folder(wanted: str | None, name: str) -> Path:
    """Make the folder that was asked for, or the first of runs/NAME, runs/NAME-2, ... that is new."""
    if wanted is not None:
        folder = Path(wanted)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ArgumentError(f"--out: cannot make the folder {folder}: {error.strerror}.") from None
        return folder
    number = 1
    while True:
        folder = Path("runs", name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            number += 1
        except OSError as error:
            raise ArgumentError(
                f"cannot make the folder {folder}: {error.strerror}. Give another with --out."
            ) from None
        else:
            return folder
