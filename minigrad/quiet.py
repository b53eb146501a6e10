"""Infinity and NaN are results, as in PyTorch, not warnings: around every forward, numpy is told to be quiet.

    errors = set_errors(quiet)
    try:
        z = x / y
    finally:
        reset_errors(errors)

`with numpy.errstate(all="ignore")` says that too, but costs more than a small operation does (0.65 microseconds), so
its context variable is set directly (0.17) where this numpy has it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy._core import umath

from minigrad.grad_mode import reset_recording, switch_recording

__all__ = ["quiet", "quietly", "reset_errors", "set_errors"]

quiet: Any
set_errors: Callable[[Any], Any]
reset_errors: Callable[[Any], Any]

if hasattr(umath, "_extobj_contextvar"):
    quiet = umath._make_extobj(all="ignore")
    set_errors, reset_errors = umath._extobj_contextvar.set, umath._extobj_contextvar.reset
else:
    quiet = {"all": "ignore"}
    set_errors, reset_errors = (lambda wanted: np.seterr(**wanted)), (lambda before: np.seterr(**before))


class quietly:
    """The same for all rules of a backward pass, as a `with` block in which operations are recorded or not.

    `with enable_grad()` beside it would take a microsecond more.
    """

    __slots__ = ("_before", "_errors", "_recording")

    def __init__(self, recording: bool) -> None:
        self._recording = recording

    def __enter__(self) -> None:
        self._before = switch_recording(self._recording)
        self._errors = set_errors(quiet)

    def __exit__(self, *exception: object) -> None:
        reset_errors(self._errors)
        reset_recording(self._before)
