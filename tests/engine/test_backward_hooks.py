"""Hooks on tensors and retain_grad, side by side with PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad
from minigrad.errors import GraphError, ShapeError

torch = pytest.importorskip("torch")


@pytest.fixture(params=["minigrad", "torch"])
def leaf(request):
    """A function that makes a float64 leaf in one of the two libraries: each claim must hold in both."""
    if request.param == "minigrad":
        return lambda value: minigrad.tensor(np.asarray(value, np.float64), requires_grad=True)
    return lambda value: torch.tensor(np.asarray(value, np.float64), requires_grad=True)


def test_a_hook_sees_the_complete_gradient_once(leaf):
    x = leaf([1.0, 2.0])
    seen = []
    h = x * 2.0
    h.register_hook(lambda g: seen.append(g.tolist()))
    (h * h + h).sum().backward()  # dL/dh = 2 h + 1
    assert seen == [[5.0, 9.0]]


def test_a_hook_replaces_the_gradient_for_everything_below(leaf):
    x = leaf(3.0)
    h = x * x
    h.register_hook(lambda g: g * 10.0)
    h.backward()
    assert x.grad.item() == 60.0


def test_hooks_of_a_leaf_change_what_arrives_in_grad(leaf):
    x = leaf(3.0)
    x.register_hook(lambda g: g + 1.0)
    (x * x).backward()
    assert x.grad.item() == 7.0


def test_hooks_run_in_the_order_of_registration_each_on_the_result_of_the_one_before(leaf):
    x = leaf(3.0)
    h = x * 1.0
    h.register_hook(lambda g: g * 2.0)
    h.register_hook(lambda g: g + 5.0)
    h.backward()
    assert x.grad.item() == 1.0 * 2.0 + 5.0


def test_a_removed_hook_is_not_called_and_may_be_removed_twice(leaf):
    x = leaf(3.0)
    calls = []
    first = x.register_hook(lambda g: calls.append("first"))
    x.register_hook(lambda g: calls.append("second"))
    first.remove()
    first.remove()
    (x * x).backward()
    assert calls == ["second"]


def test_a_hook_runs_again_in_every_pass(leaf):
    x = leaf(3.0)
    calls = []
    x.register_hook(lambda g: calls.append(g.item()))
    loss = x * x
    loss.backward(retain_graph=True)
    loss.backward()
    assert calls == [6.0, 6.0]


@pytest.mark.filterwarnings("ignore:Using backward")
def test_under_create_graph_what_a_hook_does_is_differentiated(leaf):
    x = leaf(3.0)
    h = x * x
    handle = h.register_hook(lambda g: g * g * 4.0)
    (h * h).backward(create_graph=True)  # x.grad = 4 (2 x^2)^2 2 x = 32 x^5
    first = x.grad
    assert first.item() == pytest.approx(32 * 3.0**5)
    x.grad = None
    handle.remove()
    first.backward()
    assert x.grad.item() == pytest.approx(160 * 3.0**4)


def test_retain_grad_keeps_the_gradient_of_a_computed_tensor_and_adds_up(leaf):
    x = leaf([1.0, 2.0])
    h = x * 3.0
    h.retain_grad()
    (h * h).sum().backward(retain_graph=True)
    assert h.grad.tolist() == [6.0, 12.0]
    (h * h).sum().backward()
    assert h.grad.tolist() == [12.0, 24.0]


def test_retain_grad_keeps_what_the_hooks_made_of_it(leaf):
    x = leaf(2.0)
    h = x * 1.0
    h.retain_grad()
    h.register_hook(lambda g: g * 7.0)
    h.backward()
    assert h.grad.item() == 7.0


def test_the_grad_of_a_computed_tensor_is_none_without_retain_grad():
    x = minigrad.tensor(2.0, requires_grad=True)
    h = x * 1.0
    h.backward()
    assert h.grad is None


def test_a_retained_gradient_can_be_changed_although_its_rule_gave_a_read_only_view():
    x = minigrad.tensor([1.0, 2.0], requires_grad=True)
    h = x * 1.0
    h.retain_grad()
    h.sum().backward()
    h.grad.zero_()
    assert h.grad.tolist() == [0.0, 0.0]


def test_hooks_and_retain_grad_need_a_tensor_with_a_gradient():
    with pytest.raises(GraphError, match="register_hook"):
        minigrad.tensor([1.0]).register_hook(lambda g: None)
    with pytest.raises(GraphError, match="retain_grad"):
        minigrad.tensor([1.0]).retain_grad()


@pytest.mark.parametrize(
    "answer", [minigrad.ones(3), np.ones(2, np.float32), minigrad.tensor([1.0, 2.0], dtype=np.float64)]
)
def test_a_hook_that_returns_something_else_is_named_and_no_grad_is_written(answer):
    x, y = minigrad.ones(2, requires_grad=True), minigrad.ones(2, requires_grad=True)

    def strange(g):
        return answer

    y.register_hook(strange)
    with pytest.raises(ShapeError, match=r"hook 'strange'.*float32 \(2,\)"):
        (x * y).sum().backward()
    assert x.grad is None
    assert y.grad is None


def test_a_hook_runs_without_recording():
    x = minigrad.tensor(2.0, requires_grad=True)
    modes = []
    x.register_hook(lambda g: modes.append(minigrad.is_grad_enabled()))
    (x * x).backward()
    (x * x).backward(create_graph=True)
    assert modes == [False, True]
