"""Module: what the walk finds, what a state dict holds, and what a mistake gets to hear."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest

import minigrad
from minigrad import nn
from minigrad.errors import ArgumentError, DTypeError, ShapeError


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


def test_nn_stands_on_public_names_of_the_engine_alone() -> None:
    import ast
    from pathlib import Path

    for file in Path(nn.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("minigrad"):
                private = [alias.name for alias in node.names if alias.name.startswith("_")]
                assert not private, f"{file.name} imports {private} from {node.module}"
                assert not node.module.startswith("minigrad.kernels"), f"{file.name} imports kernels"
