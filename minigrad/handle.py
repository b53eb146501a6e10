"""The handle that every `register_..._hook` returns."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["RemovableHandle"]


class RemovableHandle:
    """What `register_hook` returns; `remove()` takes the hook away."""

    _numbers = iter(range(2**62))

    def __init__(self, hooks: dict[int, Callable], hook: Callable) -> None:
        self._hooks, self._key = hooks, next(self._numbers)
        hooks[self._key] = hook

    def remove(self) -> None:
        self._hooks.pop(self._key, None)
