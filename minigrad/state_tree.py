"""Nested states as JSON beside arrays: what `state_dict()` returns, made fit for a file that holds no code.

Dictionaries with strings as keys, lists, strings, integers, finite floats, True, False and None are JSON's own. The
rest is written as an object with one key that begins with a dollar sign:

    {"$array": "optimizer.state.0.exp_avg"}     an array, by its name in the file
    {"$tuple": [0.9, 0.999]}                    a tuple
    {"$dict": [[0, ...], [1, ...]]}             a dictionary whose keys are not all plain strings
    {"$float": "inf"}                           inf, -inf or nan

Floats come back bit for bit: their shortest decimal form, which JSON has, names one float64.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from minigrad.errors import DTypeError
from minigrad.tensor import Tensor

__all__ = ["pack", "unpack"]


def pack(tree: Any, name: str, arrays: dict[str, np.ndarray]) -> Any:
    """What JSON can hold of `tree`; its arrays go into `arrays`, under names that begin with `name`.

    Raises
    ------
    DTypeError
        For an object that is none of the kinds above; its place is named.

    Examples
    --------
    >>> arrays = {}
    >>> pack({"lr": 0.1, "betas": (0.9, float("inf")), "m": np.ones(2)}, "optimizer", arrays)
    {'lr': 0.1, 'betas': {'$tuple': [0.9, {'$float': 'inf'}]}, 'm': {'$array': 'optimizer.m'}}
    >>> arrays
    {'optimizer.m': array([1., 1.])}
    """
    if isinstance(tree, Tensor):
        tree = tree.data
    if isinstance(tree, np.generic):
        # A float32 stays one; Python has the other kinds.
        tree = tree.item() if isinstance(tree, np.integer | np.bool_ | np.float64) else np.asarray(tree)
    if isinstance(tree, np.ndarray):
        while name in arrays:  # "a.b" and "a" -> "b" would both be a.b
            name += "'"
        arrays[name] = tree
        return {"$array": name}
    if tree is None or isinstance(tree, bool | int | str):
        return tree
    if isinstance(tree, float):
        return tree if math.isfinite(tree) else {"$float": str(tree)}
    if isinstance(tree, list | tuple):
        items = [pack(value, f"{name}.{i}", arrays) for i, value in enumerate(tree)]
        return items if isinstance(tree, list) else {"$tuple": items}
    if isinstance(tree, Mapping):
        if all(isinstance(key, str) and not key.startswith("$") for key in tree):
            return {key: pack(value, f"{name}.{key}", arrays) for key, value in tree.items()}
        if all(isinstance(key, int | str) for key in tree):
            return {"$dict": [[key, pack(value, f"{name}.{key}", arrays)] for key, value in tree.items()]}
    raise DTypeError(
        f"save_checkpoint: expected numbers, strings, tensors, lists, tuples and dicts, got {type(tree).__name__} at "
        f"{name}. Leave it out of the state, or save what it is made from."
    )


def unpack(tree: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """The reverse of `pack`.

    Raises
    ------
    ValueError
        For what `pack` would not have made, or an array that is not there.

    Examples
    --------
    >>> unpack({"a": {"$tuple": [1, {"$array": "m"}]}}, {"m": np.ones(2)})
    {'a': (1, array([1., 1.]))}
    """
    if isinstance(tree, list):
        return [unpack(value, arrays) for value in tree]
    if not isinstance(tree, dict):
        return tree
    tag = next((key for key in tree if key.startswith("$")), None)
    if tag is None:
        return {key: unpack(value, arrays) for key, value in tree.items()}
    if len(tree) == 1:
        content = tree[tag]
        if tag == "$array" and isinstance(content, str) and content in arrays:
            return arrays[content]
        if tag == "$tuple" and isinstance(content, list):
            return tuple(unpack(value, arrays) for value in content)
        if tag == "$float" and content in ("inf", "-inf", "nan"):
            return float(content)
        if tag == "$dict" and isinstance(content, list) and all(map(_is_pair, content)):
            made = {key: unpack(value, arrays) for key, value in content}
            if len(made) == len(content):
                return made
    raise ValueError(f"{tree!r:.80} is no packed state")


def _is_pair(item: Any) -> bool:
    return isinstance(item, list) and len(item) == 2 and isinstance(item[0], int | str)
