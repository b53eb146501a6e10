"""Whether operations are recorded: one switch for each thread, and the `with` blocks that turn it.

Each block is a decorator too, with or without parentheses, also of a generator function: then every step of the
generator runs in its mode, and what its user does between the steps does not.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

from minigrad.errors import DTypeError

__all__ = ["enable_grad", "inference_mode", "is_grad_enabled", "no_grad", "set_grad_enabled"]


# A context variable: every thread starts with its own, and reading it costs a third of a `threading.local`.
_recording = ContextVar("recording", default=True)
is_recording = _recording.get
# For the engine, which turns the switch and back in every pass: the second takes what the first gave.
switch_recording, reset_recording = _recording.set, _recording.reset


def is_grad_enabled() -> bool:
    """True when operations on tensors that require a gradient are recorded in this thread.

    Examples
    --------
    >>> import minigrad
    >>> with minigrad.no_grad():
    ...     print(is_grad_enabled())
    False
    >>> is_grad_enabled()
    True
    """
    return is_recording()


class set_grad_enabled:
    """Record, or not, from now on; as a `with` block or a decorator, until its end.

    Parameters
    ----------
    mode : bool

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.autograd.grad_mode.set_grad_enabled.html

    Examples
    --------
    >>> import minigrad
    >>> w = minigrad.ones(2, requires_grad=True)
    >>> training = False
    >>> with minigrad.autograd.set_grad_enabled(training):
    ...     (w * 2).requires_grad
    False
    """

    def __init__(self, mode: bool) -> None:
        self.mode = _checked(type(self).__name__, mode)
        self.before = is_grad_enabled()
        _switch(self.mode)

    def __enter__(self) -> None:
        _switch(self.mode)

    def __exit__(self, *exception: object) -> None:
        _switch(self.before)

    def __call__(self, function: Callable) -> Callable:
        _switch(self.before)  # the decorator's line itself changes nothing
        return _decorated(function, self.mode)


class no_grad:
    """Record nothing inside: results have `requires_grad=False`. A context manager and a decorator.

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.no_grad.html

    Examples
    --------
    >>> import minigrad
    >>> w = minigrad.ones(2, requires_grad=True)
    >>> with minigrad.no_grad():
    ...     (w * 2).requires_grad
    False
    """

    wanted = False

    def __new__(cls, function: Callable | None = None) -> Any:
        return super().__new__(cls) if function is None else _decorated(function, cls.wanted)

    def __enter__(self) -> None:
        self.before = is_recording()
        _recording.set(self.wanted)

    def __exit__(self, *exception: object) -> None:
        _recording.set(self.before)

    def __call__(self, function: Callable) -> Callable:
        return _decorated(function, self.wanted)


class enable_grad(no_grad):
    """Record again, inside a `no_grad` block. A context manager and a decorator.

    Examples
    --------
    >>> import minigrad
    >>> w = minigrad.tensor(3.0, requires_grad=True)
    >>> with minigrad.no_grad():
    ...     with minigrad.enable_grad():
    ...         y = w * w
    >>> y.requires_grad
    True
    """

    wanted = True


class inference_mode(no_grad):
    """The name PyTorch users know for evaluation; the same as `no_grad` here.

    Parameters
    ----------
    mode : bool
        False leaves recording as it is.

    Examples
    --------
    >>> import minigrad
    >>> w = minigrad.tensor(3.0, requires_grad=True)
    >>> with minigrad.inference_mode():
    ...     y = w * w
    >>> y.requires_grad
    False
    """

    def __new__(cls, mode: bool | Callable = True) -> Any:
        if callable(mode):
            return _decorated(mode, False)
        made = object.__new__(cls)
        made.wanted = not _checked("inference_mode", mode) and is_grad_enabled()
        return made


def _checked(name: str, mode: Any) -> bool:
    if not isinstance(mode, bool):
        raise DTypeError(f"{name}: expected True or False, got {type(mode).__name__} {mode!r:.60}.")
    return mode


def _switch(enabled: bool) -> None:
    _recording.set(enabled)


def _decorated(function: Callable, enabled: bool) -> Callable:
    """`function`, each call of which runs in the mode; calls may nest and come from any thread."""
    if not callable(function):
        raise DTypeError(f"expected a function to decorate, got {type(function).__name__} {function!r:.60}.")
    block = enable_grad if enabled else no_grad

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with block():
            return function(*args, **kwargs)

    @functools.wraps(function)
    def generate(*args: Any, **kwargs: Any) -> Iterator[Any]:
        steps = function(*args, **kwargs)
        sent = None
        try:
            while True:
                try:
                    with block():
                        value = steps.send(sent)
                except StopIteration as end:
                    return end.value
                sent = yield value
        finally:
            steps.close()

    return generate if inspect.isgeneratorfunction(function) else call
