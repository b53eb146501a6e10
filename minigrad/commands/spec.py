"""The one form in which the command line names a thing and its options: `NAME:KEY=VALUE:KEY=VALUE`.

    adamw:weight_decay=0.1:betas=0.9,0.95
    cosine:alpha_min=1e-5
    spirals:classes=5
    net.py:make:width=32

Nothing in it needs quoting in a shell. A value is a number, `true`, `false`, `none`, a list of these with commas, or
else the text itself. What options there are is read from the signature of what is built: there is no second list.
"""

from __future__ import annotations

import ast
import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from minigrad.errors import ArgumentError, MinigradError

__all__ = ["Spec", "call", "choose", "keywords", "parse"]

_WORDS = {"true": True, "false": False, "none": None}


@dataclass(frozen=True)
class Spec:
    """A name, and the options given with it; `text` is how it was written."""

    text: str
    name: str
    options: dict[str, Any]


def parse(text: str, option: str) -> Spec:
    """Read `NAME:KEY=VALUE:...`; `option` is what the error message calls it.

    Examples
    --------
    >>> parse("adamw:weight_decay=0.1:betas=0.9,0.95", "--optimizer").options
    {'weight_decay': 0.1, 'betas': (0.9, 0.95)}
    >>> parse("net.py:make:width=32", "--model").name
    'net.py:make'
    """
    parts = text.split(":")
    first = next((i for i, part in enumerate(parts) if "=" in part), len(parts))
    name = ":".join(parts[:first])
    options: dict[str, Any] = {}
    for part in parts[first:]:
        key, equals, value = part.partition("=")
        if not key.isidentifier() or not equals or not value:
            raise ArgumentError(f"{option}: expected KEY=VALUE after a colon, got {part!r} in {text!r}.")
        if key in options:
            raise ArgumentError(f"{option}: {key} is given twice in {text!r}. Give it once.")
        options[key] = _value(value)
    if not name:
        raise ArgumentError(f"{option}: expected NAME or NAME:KEY=VALUE, got {text!r}.")
    return Spec(text, name, options)


def _value(text: str) -> Any:
    if "," in text:
        return tuple(_value(part) for part in text.split(",") if part)
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
    return value if isinstance(value, int | float) else text


def choose(name: str, known: Iterable[str], option: str) -> str:
    """`name`, if it is known; else an error that lists what is, the nearest name first."""
    known = list(known)
    if name in known:
        return name
    near = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ArgumentError(f"{option}: expected one of {', '.join(known)}; got {name!r}.{hint}")


def keywords(make: Callable[..., Any], without: Iterable[str] = ()) -> dict[str, inspect.Parameter]:
    """The keyword arguments that `make` takes, with those that a class hands on to its base classes.

    Examples
    --------
    >>> from minigrad import optim
    >>> {"lr", "momentum", "nesterov", "clipnorm"} <= set(keywords(optim.SGDMomentum))
    True
    """
    makers: list[Any] = [make]
    if inspect.isclass(make):
        makers = [cls.__dict__["__init__"] for cls in make.__mro__ if "__init__" in cls.__dict__ and cls is not object]
        # A dataclass or a class without an __init__ of its own still has a signature.
        makers = makers or [make]
    found: dict[str, inspect.Parameter] = {}
    for maker in makers:
        parameters = inspect.signature(maker).parameters.values()
        for parameter in parameters:
            if parameter.name != "self" and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                found.setdefault(parameter.name, parameter)
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            break
    return {name: parameter for name, parameter in found.items() if name not in set(without)}


def call(
    make: Callable[..., Any],
    spec: Spec,
    option: str,
    given: Mapping[str, Any],
    args: tuple[Any, ...] = (),
    known: Iterable[str] | None = None,
) -> Any:
    """`make(*args, **given, **spec.options)`, where every mistake in the options is one ArgumentError.

    Parameters
    ----------
    make : class or function
    spec : Spec
        Its options are the user's.
    option : str
        What the error message calls them.
    given : mapping
        Keyword arguments that the user cannot give.
    args : tuple
        Positional arguments before them.
    known : iterable of str, optional
        The options that the user can give; all that are left in the signature, if not given.
    """
    if known is None:
        known = keywords(make, (*given, *list(inspect.signature(make).parameters)[: len(args)]))
    for key in spec.options:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ArgumentError(
                f"{option}: {spec.name} has no option {key!r}; it has {', '.join(known) or 'none'}.{hint}"
            )
    try:
        return make(*args, **given, **spec.options)
    except (MinigradError, TypeError, ValueError) as error:
        raise ArgumentError(f"{option} {spec.text}: {error}") from error
