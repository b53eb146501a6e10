"""Modules and parameters in rows and by name: Sequential, ModuleList, ModuleDict, ParameterList, ParameterDict."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from minigrad.errors import ArgumentError, DimError, DTypeError
from minigrad.nn.fusion import Runner
from minigrad.nn.module import Module, Parameter
from minigrad.tensor import Tensor

__all__ = ["ModuleDict", "ModuleList", "ParameterDict", "ParameterList", "Sequential"]


class _Row(Module):
    """Items of one kind as the attributes '0', '1', ..., with the methods of a Python list."""

    _kind: type = Module

    def _checked(self, item: Any, name: Any) -> Any:
        if not isinstance(item, self._kind):
            raise DTypeError(
                f"{type(self).__name__}: expected {self._kind.__name__.lower()}s, got {type(item).__name__} "
                f"as {str(name)!r}."
            )
        return item

    def _of(self, items: list[Any]) -> Any:
        """Another row of this class."""
        made = type(self)()
        return made.extend(items)

    def _items(self) -> list[tuple[str, Any]]:
        kind = self._kind
        return [(name, value) for name, value in vars(self).items() if isinstance(value, kind)]

    def _place(self, index: Any) -> int:
        """The index counted from the front."""
        count = len(self)
        try:
            i = index.__index__()
        except AttributeError:
            raise DTypeError(
                f"{type(self).__name__}: expected an integer or a slice as index, got {index!r}."
            ) from None
        if not -count <= i < count:
            raise DimError(f"{type(self).__name__}: index {i} is out of range, there are {count} items.")
        return i % count

    def _arrange(self, items: list[tuple[str | None, Any]]) -> None:
        """Hold these items in this order. A row that was numbered still is; a new item of another gets a new number."""
        names = [name for name, _ in self._items()]
        numbered = names == [str(i) for i in range(len(names))]
        free = (number for number in map(str, itertools.count(len(names))) if number not in names)
        for name in names:
            delattr(self, name)
        for i, (kept, item) in enumerate(items):
            setattr(self, str(i) if numbered else kept or next(free), item)

    def __len__(self) -> int:
        return len(self._items())

    def __iter__(self) -> Iterator[Any]:
        return iter([item for _, item in self._items()])

    def __contains__(self, item: Any) -> bool:
        return any(item is other for other in self)

    def __getitem__(self, index: Any) -> Any:
        items = self._items()
        if isinstance(index, slice):
            return self._of([item for _, item in items[index]])
        return items[self._place(index)][1]

    def __setitem__(self, index: int, item: Any) -> None:
        name = self._items()[self._place(index)][0]
        setattr(self, name, self._checked(item, name))

    def __delitem__(self, index: int | slice) -> None:
        items: list[tuple[str | None, Any]] = list(self._items())
        del items[index if isinstance(index, slice) else self._place(index)]
        self._arrange(items)

    def __iadd__(self, items: Iterable[Any]) -> Any:
        return self.extend(items)

    def append(self, item: Any) -> Any:
        """Put `item` at the end, and return this row."""
        return self.extend([item])

    def extend(self, items: Iterable[Any]) -> Any:
        """Put `items` at the end, and return this row."""
        if not isinstance(items, Iterable):
            raise DTypeError(f"{type(self).__name__}.extend: expected several items, got {type(items).__name__}.")
        first = len(self)
        new = [(None, self._checked(item, first + i)) for i, item in enumerate(items)]
        self._arrange([*self._items(), *new])
        return self

    def insert(self, index: int, item: Any) -> Any:
        """Put `item` before the one at `index`, and return this row."""
        items: list[tuple[str | None, Any]] = list(self._items())
        items.insert(index, (None, self._checked(item, index)))
        self._arrange(items)
        return self

    def pop(self, index: int = -1) -> Any:
        """Take the item at `index` out, and return it."""
        item = self[index]
        del self[index]
        return item


class Sequential(_Row):
    """Call modules one after another: y = f_n(... f_2(f_1(x))).

    It is indexed, sliced and changed like a list; what is a slice of it is a Sequential too, of the same modules.

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
        named = modules[0] if len(modules) == 1 and isinstance(modules[0], Mapping) else None
        for name, module in named.items() if named is not None else enumerate(modules):
            self.add_module(str(name), self._checked(module, name))

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return Sequential(OrderedDict(self._items()[index]))
        return super().__getitem__(index)

    def __add__(self, other: Iterable[Module]) -> Sequential:
        return Sequential(*self, *other)

    def forward(self, x: Any) -> Any:
        revision, runner = self.__dict__.get("_runner") or (0, None)
        if runner is None or revision != self._revision or not runner.holds():
            runner = Runner(list(self))
            self.__dict__["_runner"] = self._revision, runner
        return runner(x)


class ModuleList(_Row):
    """A list of modules that are found: their parameters are those of the module that holds the list.

    It has no forward of its own: the module that holds it says what to do with them.

    Parameters
    ----------
    modules : iterable of Module, optional

    Examples
    --------
    >>> from minigrad import nn
    >>> nn.ModuleList([nn.Linear(4, 4) for _ in range(3)])
    ModuleList(
      (0-2): 3 x Linear(in_features=4, out_features=4, bias=True)
    )

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.ModuleList.html
    """

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        if modules is not None:
            self.extend(modules)

    def __add__(self, other: Iterable[Module]) -> ModuleList:
        return ModuleList([*self, *other])

    def _repr_lines(self) -> list[str]:
        lines, first = [], 0
        for shown, same in itertools.groupby(map(repr, self)):
            count = len(list(same))
            last = first + count - 1
            lines.append(f"({first}): {shown}" if count == 1 else f"({first}-{last}): {count} x {shown}")
            first += count
        return lines


def _as_parameter(value: Any) -> Any:
    """A Tensor as a Parameter over the same memory; anything else as it is, to be refused."""
    return Parameter(value) if isinstance(value, Tensor) and not isinstance(value, Parameter) else value


def _described(parameter: Parameter) -> str:
    size = "x".join(map(str, parameter.shape))
    return f"Parameter containing: [{parameter.dtype.name}{f' of size {size}' if size else ''}]"


class ParameterList(_Row):
    """A list of parameters that are found; a Tensor that is put in becomes a Parameter.

    Parameters
    ----------
    values : iterable of Parameter or Tensor, optional

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> nn.ParameterList([minigrad.zeros(2, 3), minigrad.ones(3)])
    ParameterList(
      (0): Parameter containing: [float32 of size 2x3]
      (1): Parameter containing: [float32 of size 3]
    )

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.ParameterList.html
    """

    _kind = Parameter

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__()
        if values is not None:
            self.extend(values)

    def _checked(self, item: Any, name: Any) -> Any:
        return super()._checked(_as_parameter(item), name)

    def _repr_lines(self) -> list[str]:
        return [f"({name}): {_described(parameter)}" for name, parameter in self._items()]


class _Named(Module):
    """Items of one kind as attributes, with the methods of a Python dict."""

    _kind: type = Module

    def __init__(self, items: Any = None) -> None:
        super().__init__()
        if items is not None:
            self.update(items)

    def _checked(self, key: Any, item: Any) -> Any:
        name, kind = type(self).__name__, self._kind.__name__.lower()
        if not isinstance(item, self._kind):
            raise DTypeError(f"{name}: expected {kind}s, got {type(item).__name__} as {key!r}.")
        self._check_free(key, kind, isinstance(key, str) and isinstance(vars(self).get(key), self._kind))
        return item

    def _items(self) -> dict[str, Any]:
        kind = self._kind
        return {name: value for name, value in vars(self).items() if isinstance(value, kind)}

    def keys(self) -> Iterable[str]:
        """The names."""
        return self._items().keys()

    def values(self) -> Iterable[Any]:
        """The items."""
        return self._items().values()

    def items(self) -> Iterable[tuple[str, Any]]:
        """Pairs of name and item."""
        return self._items().items()

    def update(self, items: Any) -> None:
        """Put in the items of a mapping, or of an iterable of pairs; in an error's case none of them."""
        try:
            given = dict(items.items() if isinstance(items, Mapping | _Named) else items)
        except (TypeError, ValueError):
            raise DTypeError(
                f"{type(self).__name__}: expected a mapping or pairs of name and item, got {type(items).__name__}."
            ) from None
        for key, item in [(key, self._checked(key, item)) for key, item in given.items()]:
            setattr(self, key, item)

    def pop(self, key: str) -> Any:
        """Take the item of this name out, and return it."""
        item = self[key]
        del self[key]
        return item

    def clear(self) -> None:
        """Take all items out."""
        for key in self._items():
            delattr(self, key)

    def __len__(self) -> int:
        return len(self._items())

    def __iter__(self) -> Iterator[str]:
        return iter(self._items())

    def __contains__(self, key: Any) -> bool:
        return key in self._items()

    def __getitem__(self, key: str) -> Any:
        items = self._items()
        if key not in items:
            known = ", ".join(items) or "nothing yet"
            raise ArgumentError(f"{type(self).__name__}: there is no {key!r}, only {known}.")
        return items[key]

    def __setitem__(self, key: str, item: Any) -> None:
        setattr(self, key, self._checked(key, item))

    def __delitem__(self, key: str) -> None:
        self[key]  # says what there is where it is missing
        delattr(self, key)


class ModuleDict(_Named):
    """Modules by name that are found: their parameters are those of the module that holds the dict.

    Parameters
    ----------
    modules : mapping or iterable of (name, Module), optional
        A name has no dot and is not that of a method, such as 'keys'.

    Examples
    --------
    >>> from minigrad import nn
    >>> heads = nn.ModuleDict({"age": nn.Linear(8, 1), "kind": nn.Linear(8, 5)})
    >>> heads["kind"].weight.shape, list(heads)
    ((5, 8), ['age', 'kind'])

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.ModuleDict.html
    """


class ParameterDict(_Named):
    """Parameters by name that are found; a Tensor that is put in becomes a Parameter.

    Parameters
    ----------
    parameters : mapping or iterable of (name, Parameter or Tensor), optional

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.ParameterDict.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> weights = nn.ParameterDict({"scale": nn.Parameter(minigrad.ones(2))})
    >>> weights["shift"] = nn.Parameter(minigrad.zeros(2))
    >>> [name for name, _ in weights.named_parameters()]
    ['scale', 'shift']
    """

    _kind = Parameter

    def _checked(self, key: Any, item: Any) -> Any:
        return super()._checked(key, _as_parameter(item))

    def _repr_lines(self) -> list[str]:
        return [f"({name}): {_described(parameter)}" for name, parameter in self.items()]
