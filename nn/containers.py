"""Modules made of modules: Sequential."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from minigrad.errors import DTypeError
from minigrad.nn.fusion import steps
from minigrad.nn.module import Module

__all__ = ["Sequential"]


class Sequential(Module):
    """Call modules one after another: y = f_n(... f_2(f_1(x))).

    Parameters
    ----------
    *modules : Module, or one OrderedDict of names and modules
        Without names they are called '0', '1', ...

    Examples
    --------
    >>> from minigrad import nn
    >>> net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> len(net), net[-1].weight.shape, list(net[:1].state_dict())
    (3, (2, 8), ['0.weight', '0.bias'])

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.Sequential.html
    """

    def __init__(self, *modules: Any) -> None:
        super().__init__()
        named = modules[0] if len(modules) == 1 and isinstance(modules[0], dict) else None
        for name, module in named.items() if named is not None else enumerate(modules):
            self.add_module(str(name), module)

    def add_module(self, name: str, module: Module) -> None:
        """Put `module` at the end under `name`."""
        if not isinstance(module, Module):
            raise DTypeError(f"Sequential: expected modules, got {type(module).__name__} as {name!r}.")
        setattr(self, name, module)

    def append(self, module: Module) -> Sequential:
        self.add_module(str(len(self)), module)
        return self

    def _items(self) -> list[tuple[str, Module]]:
        return [(name, value) for name, value in vars(self).items() if isinstance(value, Module)]

    def __len__(self) -> int:
        return len(self._items())

    def __iter__(self) -> Iterator[Module]:
        return iter([module for _, module in self._items()])

    def __getitem__(self, index: int | slice) -> Any:
        items = self._items()
        if isinstance(index, slice):
            return Sequential(OrderedDict(items[index]))
        return items[index][1]

    def forward(self, x: Any) -> Any:
        for step in steps(list(self)):
            x = step(x)
        return x
