"""Module: what the walk finds, what a state dict holds, and what a mistake gets to hear."""

from __future__ import annotations

import ast
import copy
import importlib
import pickle
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import nn, optim
from minigrad.errors import ArgumentError, DeviceError, DTypeError, ShapeError
from minigrad.graph import Variable


class Net(nn.Module):
    """A model with a buffer, a child and a parameter that two names share."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
        self.scale = nn.Parameter(minigrad.ones(4))
        self.register_buffer("steps", minigrad.zeros(1))
        self.head = nn.Linear(4, 2, bias=False)
        self.tied = self.head

    def forward(self, x: minigrad.Tensor) -> minigrad.Tensor:
        return self.tied(self.body(x) * self.scale)


def test_names_and_order_are_those_of_pytorch() -> None:
    torch = pytest.importorskip("torch")

    class TorchNet(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU())
            self.scale = torch.nn.Parameter(torch.ones(4))
            self.register_buffer("steps", torch.zeros(1))
            self.head = torch.nn.Linear(4, 2, bias=False)
            self.tied = self.head

    ours, theirs = Net(), TorchNet()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert [name for name, _ in ours.named_parameters()] == [name for name, _ in theirs.named_parameters()]
    assert [name for name, _ in ours.named_modules()] == [name for name, _ in theirs.named_modules()]
    assert [name for name, _ in ours.named_buffers()] == ["steps"]


def test_a_shared_parameter_counts_once() -> None:
    assert Net().num_parameters() == 3 * 4 + 4 + 4 + 4 * 2


def test_frozen_parameters_are_counted_apart() -> None:
    net = Net()
    net.body.requires_grad_(False)
    assert net.num_parameters(trainable_only=True) == 4 + 8


def test_weights_cross_to_pytorch_and_back() -> None:
    torch = pytest.importorskip("torch")
    theirs = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(8, 3))
    ours = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3))
    x = np.random.default_rng(0).normal(size=(5, 1, 4, 4)).astype(np.float32)
    ours.load_state_dict({key: value.numpy() for key, value in theirs.state_dict().items()})
    expected = theirs(torch.tensor(x)).detach().numpy()
    np.testing.assert_allclose(ours(minigrad.tensor(x)).detach().numpy(), expected, rtol=1e-5, atol=1e-6)

    ours[0].weight.data *= 2
    theirs.load_state_dict({key: torch.tensor(value.numpy()) for key, value in ours.state_dict().items()})
    expected = theirs(torch.tensor(x)).detach().numpy()
    np.testing.assert_allclose(ours(minigrad.tensor(x)).detach().numpy(), expected, rtol=1e-5, atol=1e-6)


def test_a_state_dict_shares_memory_and_loading_copies() -> None:
    net = nn.Linear(2, 2)
    state = net.state_dict()
    assert np.shares_memory(state["weight"].data, net.weight.data)
    other = nn.Linear(2, 2)
    other.load_state_dict(state)
    assert not np.shares_memory(other.weight.data, net.weight.data)
    np.testing.assert_array_equal(other.weight.data, net.weight.data)


def test_every_wrong_name_and_shape_is_listed_at_once_and_nothing_is_loaded() -> None:
    net = Net()
    before = {key: value.data.copy() for key, value in net.state_dict().items()}
    state = {key: minigrad.zeros(*value.shape) for key, value in net.state_dict().items()}
    del state["scale"], state["steps"]
    state["extra"] = minigrad.zeros(1)
    state["body.0.weight"] = minigrad.zeros(5, 3)
    with pytest.raises(ShapeError) as caught:
        net.load_state_dict(state)
    message = str(caught.value)
    assert "missing: scale, steps" in message
    assert "unexpected: extra" in message
    assert "body.0.weight: expected (4, 3), got (5, 3)" in message
    for key, value in net.state_dict().items():
        np.testing.assert_array_equal(value.data, before[key])


def test_missing_names_alone_are_an_argument_error_and_strict_false_allows_them() -> None:
    net = Net()
    state = net.state_dict()
    del state["scale"]
    state["extra"] = minigrad.zeros(1)
    with pytest.raises(ArgumentError, match=r"missing: scale; unexpected: extra"):
        net.load_state_dict(state)
    result = net.load_state_dict(state, strict=False)
    assert result == (["scale"], ["extra"])


def test_a_value_that_is_no_tensor_is_named() -> None:
    with pytest.raises(DTypeError, match="weight"):
        nn.Linear(1, 1).load_state_dict({"weight": "text", "bias": minigrad.zeros(1)})


def test_a_typo_in_an_attribute_suggests_the_nearest_name() -> None:
    with pytest.raises(AttributeError, match=r"Linear has no attribute 'wieght'. Did you mean 'weight'\?"):
        _ = nn.Linear(1, 1).wieght


def test_forgetting_super_init_is_explained() -> None:
    class Forgetful(nn.Module):
        def __init__(self) -> None:
            self.layer = nn.Linear(1, 1)

    with pytest.raises(AttributeError, match=r"call super\(\).__init__\(\) first in Forgetful"):
        Forgetful()(minigrad.zeros(1))


def test_train_and_eval_reach_every_module() -> None:
    net = Net()
    assert all(not module.training for module in net.eval().modules())
    assert all(module.training for module in net.train().modules())


def test_to_converts_parameters_and_buffers() -> None:
    net = Net().double()
    assert {value.dtype for value in net.state_dict().values()} == {np.dtype(np.float64)}
    assert net(minigrad.zeros(1, 3, dtype=np.float64)).dtype == np.float64


def test_zero_grad_forgets_or_zeroes() -> None:
    net = nn.Linear(2, 1)
    net(minigrad.ones(1, 2)).sum().backward()
    net.zero_grad(set_to_none=False)
    np.testing.assert_array_equal(net.weight.grad.data, np.zeros((1, 2)))
    net.zero_grad()
    assert net.weight.grad is None


def test_forward_hooks_see_and_may_replace() -> None:
    layer = nn.Identity()
    seen = []
    first = layer.register_forward_hook(lambda module, inputs, output: seen.append((inputs, output)))
    layer.register_forward_hook(lambda module, inputs, output: output + 1)
    layer.register_forward_pre_hook(lambda module, inputs: inputs[0] * 10)
    assert layer(minigrad.tensor(2.0)).item() == 21.0
    first.remove()
    layer(minigrad.tensor(3.0))
    assert len(seen) == 1


def test_apply_visits_children_before_their_parent() -> None:
    names: list[str] = []
    nn.Sequential(nn.Linear(1, 1), nn.ReLU()).apply(lambda module: names.append(type(module).__name__))
    assert names == ["Linear", "ReLU", "Sequential"]


def test_sequential_indexes_slices_and_takes_names() -> None:
    net = nn.Sequential(OrderedDict(first=nn.Linear(2, 3), act=nn.ReLU(), last=nn.Linear(3, 1)))
    assert next(iter(net.state_dict())) == "first.weight"
    assert isinstance(net[1], nn.ReLU)
    assert net[-1] is net.last
    assert [type(module).__name__ for module in net[1:]] == ["ReLU", "Linear"]
    with pytest.raises(DTypeError, match="expected modules, got int"):
        nn.Sequential(nn.ReLU(), 3)


def test_the_printed_form_nests_as_in_pytorch() -> None:
    torch = pytest.importorskip("torch")
    ours = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Sequential(nn.Flatten(), nn.Linear(8, 2)))
    theirs = torch.nn.Sequential(
        torch.nn.Conv2d(1, 8, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(8, 2)),
    )
    assert repr(ours) == repr(theirs)


PACKAGE = Path(nn.__file__).parent


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_nn_stands_on_public_names_of_the_engine_alone(file: Path) -> None:
    tree = ast.parse(file.read_text())
    private = {name for name in (*vars(Variable), *Variable.__slots__) if name.startswith("_") and name[1] != "_"}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("minigrad"):
            source = importlib.import_module(node.module)  # type: ignore[arg-type]
            assert not any(part.startswith("_") for part in node.module.split("."))  # type: ignore[union-attr]
            assert not node.module.startswith("minigrad.kernels"), f"imports {node.module}"  # type: ignore[union-attr]
            inside = node.module.startswith("minigrad.nn")  # type: ignore[union-attr]
            public = None if inside else getattr(source, "__all__", None)
            for alias in node.names:
                is_module = f"{node.module}.{alias.name}" in sys.modules
                assert is_module or public is None or alias.name in public, f"{alias.name} of {node.module}"
                assert not alias.name.startswith("_"), f"{alias.name} of {node.module}"
        elif isinstance(node, ast.Import):
            assert not any(alias.name.startswith("minigrad") for alias in node.names), "one way to import: from ..."
            assert not any(alias.name.split(".")[0] in ("numba", "torch") for alias in node.names)
        elif isinstance(node, ast.Attribute):
            assert node.attr not in private, f"reads {node.attr}, line {node.lineno}"


# ---- look-ups and names ----------------------------------------------------------------------------------------------


def test_walking_with_duplicates_and_prefixes_is_pytorchs() -> None:
    torch = pytest.importorskip("torch")

    def build(library: Any, make: Any) -> Any:
        net = library.Module()
        net.a = library.Linear(2, 2)
        net.b = library.Sequential(net.a, library.ReLU())
        net.c = library.Module()
        net.c.weight = net.a.weight
        net.register_buffer("steps", make.zeros(1))
        net.c.register_buffer("same", net.steps)
        net.c.register_buffer("nothing", None)
        net.c.register_buffer("fleeting", make.zeros(2), persistent=False)
        net.register_parameter("absent", None)
        return net

    ours, theirs = build(nn, minigrad), build(torch.nn, torch)
    for method in ("named_parameters", "named_buffers", "named_modules"):
        for options in ({}, {"remove_duplicate": False}, {"prefix": "net"}):
            mine = [name for name, _ in getattr(ours, method)(**options)]
            assert mine == [name for name, _ in getattr(theirs, method)(**options)], (method, options)
    for method in ("named_parameters", "named_buffers"):
        mine = [name for name, _ in getattr(ours.c, method)(recurse=False)]
        assert mine == [name for name, _ in getattr(theirs.c, method)(recurse=False)]
    assert [n for n, _ in ours.named_children()] == [n for n, _ in theirs.named_children()]
    assert len(list(ours.children())) == len(list(theirs.children()))
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert list(ours.state_dict(prefix="x.")) == list(theirs.state_dict(prefix="x."))
    assert ours.state_dict(keep_vars=True)["a.weight"] is ours.a.weight
    assert len(list(ours.buffers())) == len(list(theirs.buffers())) == 2


def test_parts_are_found_by_dotted_names() -> None:
    net = Net()
    assert net.get_submodule("body.0") is net.body[0]
    assert net.get_submodule("") is net
    assert net.get_parameter("body.0.weight") is net.body[0].weight
    assert net.get_buffer("steps") is net.steps
    for call, message in (
        (lambda: net.get_submodule("body.5"), "Sequential has no attribute '5'"),
        (lambda: net.get_submodule("scale"), "'scale': 'scale' is a Parameter"),
        (lambda: net.get_parameter("body.0.wieght"), "Did you mean 'weight'"),
        (lambda: net.get_parameter("steps"), "'steps' is no parameter, it is a Tensor"),
        (lambda: net.get_buffer("scale"), "'scale' is no buffer, it is a Parameter"),
    ):
        with pytest.raises(AttributeError, match=message):
            call()


def test_a_name_of_a_child_is_suggested_with_its_path() -> None:
    with pytest.raises(AttributeError, match=r"Net has no attribute 'weight'. Did you mean 'body.0.weight'\?"):
        _ = Net().weight
    with pytest.raises(AttributeError, match=r"Net has no attribute 'nothing_like_it'.$"):
        _ = Net().nothing_like_it
    assert not hasattr(Net(), "__array__")


def test_an_error_inside_of_a_property_is_not_mistaken_for_a_missing_attribute() -> None:
    class Wide(nn.Module):
        @property
        def width(self) -> int:
            return self.wdith_of_all

    with pytest.raises(AttributeError, match="Wide has no attribute 'wdith_of_all'"):
        _ = Wide().width


def test_a_parameter_is_not_lost_by_assigning_a_tensor() -> None:
    net = Net()
    with pytest.raises(DTypeError, match=r"Net: scale is a Parameter; expected another one or None.*got Tensor"):
        net.scale = minigrad.zeros(4)
    with pytest.raises(DTypeError, match=r"Net: head is a Module; expected another one or None.*got function"):
        net.head = lambda x: x
    with pytest.raises(DTypeError, match=r"Net: steps is a buffer; expected a Tensor or None.*got float"):
        net.steps = 1.0
    net.scale = nn.Parameter(minigrad.zeros(4))
    net.head = None
    net.steps = minigrad.zeros(2)
    assert [name for name, _ in net.named_buffers()] == ["steps"]
    del net.steps
    assert list(net.named_buffers()) == []
    with pytest.raises(AttributeError, match="Net has no attribute 'steps'"):
        del net.steps


BAD_NAMES = [
    (lambda net: net.register_parameter("a.b", None), ArgumentError, "without a dot, got 'a.b'"),
    (lambda net: net.register_parameter("forward", None), ArgumentError, "'forward' is no name for a parameter"),
    (lambda net: net.register_parameter("w", minigrad.ones(1)), DTypeError, "w: expected a Parameter or None, got Te"),
    (lambda net: net.register_buffer("scale", minigrad.ones(1)), ArgumentError, "'scale' is no name for a buffer"),
    (lambda net: net.register_buffer("b", 1.0), DTypeError, "b: expected a Tensor or None, got float"),
    (lambda net: net.add_module("", nn.ReLU()), ArgumentError, "not empty"),
    (lambda net: net.add_module("scale", nn.ReLU()), ArgumentError, "'scale' is no name for a module"),
    (lambda net: net.add_module("x", minigrad.relu), DTypeError, "expected modules, got Op as 'x'"),
    (lambda net: net.train("yes"), DTypeError, "train: expected True or False, got 'yes'"),
    (lambda net: net.to(minigrad.int64), DTypeError, "expected a floating-point dtype, got int64"),
    (lambda net: net.to("cuda"), DeviceError, "computes on the CPU only, got device 'cuda'"),
    (lambda net: net.cuda(), DeviceError, "Leave .cuda"),
    (lambda net: net.load_state_dict([1]), DTypeError, "expected a mapping from names to tensors, got list"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD_NAMES, ids=[message for _, _, message in BAD_NAMES])
def test_bad_use_is_explained_and_changes_nothing(call: Any, error: type, message: str) -> None:
    net = Net()
    before, shown = list(net.state_dict()), repr(net)
    with pytest.raises(error, match=message):
        call(net)
    assert (list(net.state_dict()), repr(net)) == (before, shown)


# ---- errors name the layer -------------------------------------------------------------------------------------------


def test_an_error_says_which_layer_of_which_model_raised_it() -> None:
    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.features = nn.Sequential(nn.ReLU(), nn.Linear(3, 4))
            self.hidden_from_walk = [nn.Linear(9, 9)]

        def forward(self, x: minigrad.Tensor, hidden: bool = False) -> minigrad.Tensor:
            return self.hidden_from_walk[0](x) if hidden else self.features(x) @ minigrad.zeros(2, 2)

    net = Outer()
    for call, place in (
        (lambda: net(minigrad.zeros(2, 5)), r"\[in features.1 of Outer: Linear\(in_features=3, out_features=4, bias=T"),
        (lambda: net.features(minigrad.zeros(2, 5)), r"\[in 1 of Sequential: Linear\("),
        (lambda: net.features[1](minigrad.zeros(2, 5)), r"\(2, 5\).*\[in Linear\("),
        (lambda: net(minigrad.zeros(2, 3)), r"matmul: .*\[in Outer\]$"),
        (lambda: net(minigrad.zeros(2, 3), hidden=True), r"\[in Linear\(in_features=9"),
    ):
        with pytest.raises(ShapeError, match=place):
            call()


# ---- modes and dtypes ------------------------------------------------------------------------------------------------


def test_a_child_that_stays_frozen_is_asked() -> None:
    class Frozen(nn.Linear):
        def train(self, mode: bool = True) -> nn.Module:
            return super().train(False)

    net = nn.Sequential(nn.Linear(1, 1), Frozen(1, 1))
    net.train()
    assert [m.training for m in net.modules()] == [True, True, False]


@pytest.mark.parametrize("kind", ["SGD", "Adam", "AdamW", "RMSprop"])
def test_an_optimizer_goes_on_after_the_dtype_was_changed(kind: str) -> None:
    def run(convert: bool) -> np.ndarray:
        minigrad.manual_seed(0)
        net = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 1))
        options = {"momentum": 0.9} if kind == "SGD" else {}
        optimizer = getattr(optim, kind)(net.parameters(), lr=0.01, **options)
        rng = np.random.default_rng(0)
        for step in range(12):
            if convert and step == 4:
                before = list(net.parameters())
                net.double()
                assert all(p is q for p, q in zip(before, net.parameters(), strict=True))
            x = minigrad.tensor(rng.normal(size=(6, 3)), dtype=net[0].weight.dtype)
            optimizer.zero_grad()
            (net(x) ** 2).mean().backward()
            assert all(p.grad.dtype == p.dtype for p in net.parameters())
            optimizer.step()
        assert net[0].weight.dtype == (np.float64 if convert else np.float32)
        return net[0].weight.data

    np.testing.assert_allclose(run(True), run(False), rtol=2e-5)


def test_to_converts_gradients_takes_tensors_and_devices_and_leaves_integers() -> None:
    net = Net()
    net.register_buffer("count", minigrad.zeros(1, dtype=minigrad.int64))
    net(minigrad.ones(2, 3)).sum().backward()
    expected = net.scale.grad.data.astype(np.float64)
    assert net.to("cpu").to(minigrad.device("cpu")) is net
    assert net.scale.dtype == np.float32
    net.to(minigrad.zeros(1, dtype=np.float64))
    np.testing.assert_array_equal(net.scale.grad.data, expected)
    assert net.count.dtype == np.int64
    assert net.to("cpu", dtype="float16").scale.dtype == net.half().scale.dtype == np.float16
    memory = net.scale.data
    net.half()
    assert net.scale.data is memory


def test_a_deep_copy_shares_nothing_but_keeps_what_is_shared_inside() -> None:
    net = Net()
    other = copy.deepcopy(net)
    assert other.tied is other.head
    assert not any(np.shares_memory(p.data, q.data) for p, q in zip(net.parameters(), other.parameters(), strict=True))
    np.testing.assert_array_equal(net.head.weight.data, other.head.weight.data)
    again = pickle.loads(pickle.dumps(net))
    np.testing.assert_array_equal(net.head.weight.data, again.head.weight.data)
    assert again.tied is again.head


# ---- hooks -----------------------------------------------------------------------------------------------------------


def test_hooks_run_in_order_and_see_keyword_arguments() -> None:
    class Scale(nn.Module):
        def forward(self, x: minigrad.Tensor, by: float = 1.0) -> minigrad.Tensor:
            return x * by

    layer, seen = Scale(), []
    layer.register_forward_pre_hook(lambda *_: seen.append("second"))
    layer.register_forward_pre_hook(lambda *_: seen.append("first"), prepend=True)
    layer.register_forward_hook(lambda *_: seen.append("third"))
    layer.register_forward_pre_hook(lambda m, args, kwargs: (args, {"by": kwargs["by"] + 1}), with_kwargs=True)
    layer.register_forward_hook(lambda m, args, kwargs, y: y + kwargs["by"], with_kwargs=True)
    assert layer(minigrad.tensor(2.0), by=3.0).item() == 2 * 4 + 4
    assert seen == ["first", "second", "third"]
    layer.register_forward_pre_hook(lambda m, args, kwargs: 3, with_kwargs=True)
    with pytest.raises(DTypeError, match=r"expected None or \(inputs, options\), got 3"):
        layer(minigrad.tensor(2.0), by=3.0)


def test_the_printed_form_with_words_and_children_is_pytorchs() -> None:
    torch = pytest.importorskip("torch")

    def build(library: Any) -> Any:
        class Block(library.Module):
            def __init__(self) -> None:
                super().__init__()
                self.inner = library.Sequential(library.Linear(1, 2), library.Sequential())
                self.rest = library.ModuleList([library.ReLU(), library.ReLU(), library.Tanh()])

            def extra_repr(self) -> str:
                return "width=3,\ndepth=4"

        return Block()

    assert repr(build(nn)) == repr(build(torch.nn))


def test_a_prefix_that_all_names_have_is_pointed_at() -> None:
    net = nn.Linear(2, 2)
    state = {f"module.{key}": value for key, value in net.state_dict().items()}
    with pytest.raises(ArgumentError, match=r"Take the prefix 'module\.' from every given name"):
        net.load_state_dict(state)
    with pytest.raises(ArgumentError, match=r"Put the prefix '0\.' before every given name"):
        nn.Sequential(nn.Linear(2, 2)).load_state_dict(net.state_dict())
