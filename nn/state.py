"""What stands behind `Module.load_state_dict`: values of any library as arrays, and all that does not fit, at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from minigrad.errors import ArgumentError, DTypeError, ShapeError
from minigrad.tensor import Tensor

__all__ = ["LoadResult", "fitting"]


class LoadResult(NamedTuple):
    """What `load_state_dict(strict=False)` left out on either side."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def fitting(
    own: Mapping[str, Tensor], given: Mapping[str, Any], strict: bool, name: str
) -> tuple[dict[str, np.ndarray], LoadResult]:
    """The arrays of `given` that belong to the tensors `own`, and the names that only one side has.

    Raises
    ------
    DTypeError
        For a `given` that is no mapping, or a value that is no array of numbers.
    ArgumentError, ShapeError
        Lists every missing, unexpected and misshapen name; names alone matter with `strict`.
    """
    if not isinstance(given, Mapping):
        raise DTypeError(f"load_state_dict: expected a mapping from names to tensors, got {type(given).__name__}.")
    arrays = {key: _as_array(key, value) for key, value in given.items()}
    missing = [key for key in own if key not in arrays]
    unexpected = [key for key in arrays if key not in own]
    misshapen = [
        f"{key}: expected {own[key].shape}, got {array.shape}"
        for key, array in arrays.items()
        if key in own and own[key].shape != array.shape
    ]
    if misshapen or (strict and (missing or unexpected)):
        found = [("missing", missing if strict else []), ("unexpected", unexpected if strict else [])]
        found.append(("of another shape", misshapen))
        listing = "; ".join(f"{what}: {', '.join(names)}" for what, names in found if names)
        error = ShapeError if misshapen else ArgumentError
        raise error(f"load_state_dict: {name} was not changed. {listing}.{_prefix_hint(missing, unexpected)}")
    return {key: arrays[key] for key in own if key in arrays}, LoadResult(missing, unexpected)


def _prefix_hint(missing: list[str], unexpected: list[str]) -> str:
    """What to do where all names differ by one prefix, as after training in a wrapper."""
    if not missing or len(missing) != len(unexpected):
        return ""
    for shorter, longer, advice in ((missing, unexpected, "Take"), (unexpected, missing, "Put")):
        prefix = longer[0].removesuffix(shorter[0])
        if prefix != longer[0] and longer == [prefix + key for key in shorter]:
            way = "from" if advice == "Take" else "before"
            return f" {advice} the prefix {prefix!r} {way} every given name."
    return ""


def _as_array(key: str, value: Any) -> np.ndarray:
    """The values of a Tensor of any library that can give a numpy array."""
    if isinstance(value, Tensor):
        return value.data
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        if str(value.dtype).endswith("bfloat16"):
            value = value.float()  # numpy has no bfloat16, and every one of its numbers is a float32
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise DTypeError(
            f"load_state_dict: {key}: expected a tensor or an array that numpy can hold, got {type(value).__name__} "
            f"({error}). Convert it first, with .float() for example."
        ) from error
    if array.dtype.kind not in "biuf":
        raise DTypeError(f"load_state_dict: {key}: expected numbers, got dtype {array.dtype}.")
    return array
