"""Sequential, ModuleList, ModuleDict, ParameterList and ParameterDict: lists and dicts whose parameters are found."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import nn
from minigrad.errors import ArgumentError, DTypeError

# What is done to a row of three layers, in both libraries.
EDITS: dict[str, Callable[[Any, Any], Any]] = {
    "append": lambda row, nn: row.append(nn.Tanh()),
    "extend": lambda row, nn: row.extend([nn.Tanh(), nn.Linear(2, 5)]),
    "insert first": lambda row, nn: row.insert(0, nn.Tanh()),
    "insert in the middle": lambda row, nn: row.insert(1, nn.Tanh()),
    "insert at the end": lambda row, nn: row.insert(3, nn.Tanh()),
    "set": lambda row, nn: row.__setitem__(1, nn.Tanh()),
    "set from the end": lambda row, nn: row.__setitem__(-1, nn.Linear(3, 7)),
    "delete": lambda row, nn: row.__delitem__(1),
    "delete from the end": lambda row, nn: row.__delitem__(-3),
    "delete a slice": lambda row, nn: row.__delitem__(slice(0, 2)),
    "pop": lambda row, nn: row.pop(1),
    "pop the last": lambda row, nn: row.pop(-1),
    "add in place": lambda row, nn: row.__iadd__(nn.Sequential(nn.Tanh())),
}


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("kind", ["Sequential", "ModuleList"])
def test_a_row_is_edited_as_in_pytorch(kind: str, edit: str) -> None:
    torch = pytest.importorskip("torch")
    rows = []
    for library in (nn, torch.nn):
        layers = [library.Linear(3, 4), library.ReLU(), library.Linear(4, 2)]
        row = library.Sequential(*layers) if kind == "Sequential" else library.ModuleList(layers)
        EDITS[edit](row, library)
        rows.append(row)
    ours, theirs = rows
    assert len(ours) == len(theirs)
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert [name for name, _ in ours.named_modules()] == [name for name, _ in theirs.named_modules()]


@pytest.mark.parametrize("index", [slice(None), slice(1, None), slice(None, -1), slice(None, None, 2), slice(3, 9)])
@pytest.mark.parametrize("kind", ["Sequential", "ModuleList"])
def test_a_slice_is_a_row_of_the_same_modules(kind: str, index: slice) -> None:
    torch = pytest.importorskip("torch")
    made = []
    for library in (nn, torch.nn):
        layers = [library.Linear(3, 4), library.ReLU(), library.Linear(4, 2)]
        row = library.Sequential(*layers) if kind == "Sequential" else library.ModuleList(layers)
        part = row[index]
        assert [id(layer) for layer in part] == [id(layer) for layer in layers[index]]
        assert type(part) is type(row)
        made.append(part)
    assert list(made[0].state_dict()) == list(made[1].state_dict())


def test_names_of_a_sequential_stay_with_their_modules() -> None:
    net = nn.Sequential(OrderedDict(first=nn.Linear(2, 3), act=nn.ReLU(), last=nn.Linear(3, 1)))
    net.insert(1, nn.Tanh())
    assert [name for name, _ in net.named_children()] == ["first", "3", "act", "last"]
    del net[0]
    net.append(nn.Sigmoid())
    assert [name for name, _ in net.named_children()] == ["3", "act", "last", "4"]
    assert isinstance(net[0], nn.Tanh)
    assert net.pop(2) is not None
    assert [type(m).__name__ for m in net] == ["Tanh", "ReLU", "Sigmoid"]


def test_sequentials_are_added_up() -> None:
    one, two = nn.Sequential(nn.Linear(2, 3), nn.ReLU()), nn.Sequential(nn.Linear(3, 1))
    both = one + two
    assert list(both.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert both[2] is two[0]
    x = minigrad.randn(4, 2)
    np.testing.assert_array_equal(both(x).data, two(one(x)).data)
    several = nn.ModuleList([one]) + nn.ModuleList([two])
    assert isinstance(several, nn.ModuleList)
    assert several[1] is two


def test_a_module_list_holds_its_layers_parameters_and_has_no_forward() -> None:
    class Deep(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(nn.Linear(3, 3) for _ in range(4))

        def forward(self, x: minigrad.Tensor) -> minigrad.Tensor:
            for layer in self.layers:
                x = layer(x)
            return x

    net = Deep()
    net(minigrad.ones(2, 3)).sum().backward()
    assert [name for name, _ in net.named_parameters()][:3] == [
        "layers.0.weight",
        "layers.0.bias",
        "layers.1.weight",
    ]
    assert all(p.grad is not None for p in net.parameters())
    assert net.layers[2] in net.layers
    assert nn.Linear(3, 3) not in net.layers
    with pytest.raises(NotImplementedError, match=r"ModuleList has no forward\(\)"):
        net.layers(minigrad.ones(2, 3))


def test_a_module_dict_is_that_of_pytorch() -> None:
    torch = pytest.importorskip("torch")
    made = []
    for library in (nn, torch.nn):
        heads = library.ModuleDict({"a": library.Linear(2, 3), "b": library.ReLU()})
        heads["c"] = library.Linear(3, 1)
        heads.update([("a", library.Linear(2, 2)), ("d", library.Tanh())])
        assert heads.pop("b") is not None
        del heads["d"]
        made.append(heads)
    ours, theirs = made
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert list(ours) == list(ours.keys()) == ["a", "c"]
    assert dict(ours.items()) == dict(zip(ours.keys(), ours.values(), strict=True))
    assert "a" in ours
    assert "b" not in ours
    assert len(ours) == 2
    assert ours["c"] is ours.c
    ours.clear()
    assert len(ours) == 0


def test_parameter_lists_and_dicts_make_parameters_of_tensors() -> None:
    torch = pytest.importorskip("torch")

    def build(library: Any, make: Any) -> Any:
        net = library.Module()
        net.weights = library.ParameterList([library.Parameter(make.ones(2)), make.zeros(3)])
        net.scales = library.ParameterDict({"x": make.ones(2, 3)})
        net.weights.append(library.Parameter(make.ones(1)))
        net.scales["y"] = make.zeros(4)
        return net

    ours, theirs = build(nn, minigrad), build(torch.nn, torch)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert [tuple(p.shape) for p in ours.parameters()] == [tuple(p.shape) for p in theirs.parameters()]
    assert all(isinstance(p, nn.Parameter) and p.requires_grad for p in ours.parameters())
    assert "(0): Parameter containing: [float32 of size 2]" in repr(ours)
    assert "(x): Parameter containing: [float32 of size 2x3]" in repr(ours)
    assert ours.weights[-1].shape == (1,)
    assert len(ours.weights[:2]) == 2


row = nn.Sequential(nn.ReLU(), nn.Tanh())
BAD: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: nn.Sequential(nn.ReLU(), 3), DTypeError, "Sequential: expected modules, got int as '1'"),
    (lambda: nn.Sequential([nn.ReLU()]), DTypeError, "Sequential: expected modules, got list as '0'"),
    (lambda: nn.Sequential({"a.b": nn.ReLU()}), ArgumentError, "without a dot, got 'a.b'"),
    (lambda: nn.Sequential({"forward": nn.ReLU()}), ArgumentError, "'forward' is no name for a module"),
    (lambda: row[2], IndexError, "Sequential: index 2 is out of range, there are 2 items"),
    (lambda: row["0"], DTypeError, "expected an integer or a slice as index, got '0'"),
    (lambda: row.append(minigrad.relu), DTypeError, "Sequential: expected modules, got Op as '2'"),
    (lambda: row.extend(3), DTypeError, "Sequential.extend: expected several items, got int"),
    (lambda: nn.ModuleList([nn.ReLU]), DTypeError, "ModuleList: expected modules, got type as '0'"),
    (lambda: nn.ModuleList().pop(), IndexError, "ModuleList: index -1 is out of range, there are 0 items"),
    (lambda: nn.ModuleDict({"keys": nn.ReLU()}), ArgumentError, "ModuleDict: 'keys' is no name for a module"),
    (lambda: nn.ModuleDict({"": nn.ReLU()}), ArgumentError, "not empty and without a dot, got ''"),
    (lambda: nn.ModuleDict({"a": 1}), DTypeError, "ModuleDict: expected modules, got int as 'a'"),
    (lambda: nn.ModuleDict(3), DTypeError, "ModuleDict: expected a mapping or pairs of name and item, got int"),
    (lambda: nn.ModuleDict({"a": nn.ReLU()})["b"], ArgumentError, "ModuleDict: there is no 'b', only a"),
    (lambda: nn.ParameterList([1.0]), DTypeError, "ParameterList: expected parameters, got float as '0'"),
    (lambda: nn.ParameterDict({"w": np.ones(2)}), DTypeError, "ParameterDict: expected parameters, got ndarray as 'w'"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD, ids=[message for _, _, message in BAD])
def test_bad_use_is_explained_and_changes_nothing(call: Callable, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
    assert [type(m).__name__ for m in row] == ["ReLU", "Tanh"]
