"""What a module says when something is wrong: the nearest name of an attribute, and which layer raised an error."""

from __future__ import annotations

import difflib
from typing import Any

__all__ = ["NoSuchAttributeError", "locate"]


class NoSuchAttributeError(AttributeError):
    """A module has no such attribute; the message suggests the nearest name.

    It is looked for only when the message is read: `hasattr`, and `getattr` with a default, never do.
    """

    def __init__(self, module: Any, name: str) -> None:
        super().__init__(name=name, obj=None)  # with an obj, Python would add a suggestion of its own
        self.module = module

    def __str__(self) -> str:
        module, name = self.module, str(self.name)
        known = [key for key in (*vars(module), *dir(type(module))) if not key.startswith("_")]
        near = difflib.get_close_matches(name, known, n=1)
        if not near:  # of a child, perhaps
            below = (*module.named_parameters(), *module.named_buffers(), *module.named_modules())
            near = [path for path, _ in below if path.rpartition(".")[2] == name][:1]
        hint = f" Did you mean {near[0]!r}?" if near else ""
        return f"{type(module).__name__} has no attribute {name!r}.{hint}"


def locate(error: Any, module: Any) -> None:
    """Say in the error's message which layer raised it; each model on the way out adds its name for it."""
    words, layer, path, child = getattr(error, "place", (str(error), "", "", None))
    if child is None:
        shown = repr(module)
        layer = type(module).__name__ if "\n" in shown else shown
        text = f"[in {layer}]"
    else:
        name = next((name for name, value in vars(module).items() if value is child), None)
        path = ".".join(part for part in (name, path) if part)
        text = f"[in {path} of {type(module).__name__}: {layer}]" if path else f"[in {layer}]"
    error.place = (words, layer, path, module)
    error.args = (f"{words} {text}", *error.args[1:])
