"""Gradients that somebody keeps stay what they were, although an optimizer has one place in memory for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import nn, optim
from minigrad.optim.slot import Slot

KEPT: dict[str, Callable[[Any], Any]] = {
    "the tensor": lambda p: p.grad,
    "a detached one": lambda p: p.grad.detach(),
    "the array": lambda p: p.grad.data,
    "a view": lambda p: p.grad[0],
    "a view of the array": lambda p: p.grad.numpy()[1],
}


@pytest.mark.parametrize("what", list(KEPT))
@pytest.mark.parametrize("forget", ["the model", "the optimizer"])
def test_a_kept_gradient_is_not_overwritten_by_the_next_pass(what: str, forget: str) -> None:
    model = nn.Linear(3, 2)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    x = minigrad.randn(4, 3, generator=minigrad.Generator(0))
    for _ in range(2):  # the arena is laid out in the first step
        optimizer.zero_grad()
        model(x).sum().backward()
        optimizer.step()
    kept = KEPT[what](model.weight)
    before = np.array(kept.data if isinstance(kept, minigrad.Tensor) else kept)
    (model if forget == "the model" else optimizer).zero_grad()
    (model(x) ** 2).sum().backward()
    np.testing.assert_array_equal(kept.data if isinstance(kept, minigrad.Tensor) else kept, before)
    assert not np.array_equal(model.weight.grad.data, before)


def test_steps_with_kept_gradients_are_the_same_bit_for_bit() -> None:
    weights = []
    for keep in (False, True):
        minigrad.manual_seed(0)
        model = nn.Linear(3, 2)
        optimizer = optim.Adam(model.parameters(), lr=0.1)
        x = minigrad.randn(4, 3)
        kept = []
        for _ in range(5):
            model.zero_grad()
            (model(x) ** 2).sum().backward()
            if keep:
                kept.append(model.weight.grad)
            optimizer.step()
        weights.append(model.weight.data.copy())
    np.testing.assert_array_equal(*weights)


def test_without_anybody_keeping_them_gradients_land_in_the_optimizers_memory() -> None:
    model = nn.Linear(3, 2)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    x = minigrad.ones(4, 3)
    for _ in range(3):
        optimizer.zero_grad()
        model(x).sum().backward()
        optimizer.step()
    optimizer.zero_grad()
    model(x).sum().backward()
    assert model.weight.grad is model.weight.slot
    assert model.weight.grad.data.base is model.bias.grad.data.base


def _stepped(sizes: tuple[int, int] = (3, 3)) -> tuple[nn.Linear, optim.SGD]:
    """A layer whose gradients have their places, which a first step lays out."""
    minigrad.manual_seed(0)
    model = nn.Linear(*sizes)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    model(minigrad.ones(1, sizes[0])).sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    return model, optimizer


def test_a_weight_that_is_used_twice_gets_the_sum_of_both_gradients() -> None:
    model, _ = _stepped()
    x = minigrad.randn(4, 3, generator=minigrad.Generator(1))
    model(model(x)).sum().backward()
    w, b, seen = model.weight.data.copy(), model.bias.data.copy(), x.numpy()
    ones = np.ones((4, 3), np.float32)
    np.testing.assert_allclose(model.weight.grad.numpy(), ones.T @ (seen @ w.T + b) + (ones @ w).T @ seen, rtol=1e-5)
    assert model.weight.grad is model.weight.slot


def test_the_gradient_of_a_weight_is_computed_in_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    model, _ = _stepped((300, 200))  # large enough for kernels of our own
    x = minigrad.randn(64, 300, generator=minigrad.Generator(1))
    there: list[bool] = []
    fill = Slot.fill

    def watched(self: Slot, g: np.ndarray) -> None:
        there.append(g is self._data)
        fill(self, g)

    monkeypatch.setattr(Slot, "fill", watched)
    model(x).sum().backward()
    assert there == [True, False]  # the weight, the bias
    once = np.ones((64, 200), np.float32).T @ x.numpy()
    np.testing.assert_allclose(model.weight.grad.numpy(), once, rtol=1e-4, atol=1e-4)
    model(x).sum().backward()  # added to what is there
    np.testing.assert_allclose(model.weight.grad.numpy(), 2 * once, rtol=1e-4, atol=1e-4)


def test_autograd_grad_and_hooks_do_not_write_there() -> None:
    model, _ = _stepped()
    memory = model.weight.slot._data.base  # all gradients: to hold it does not count as holding one
    memory[...] = 7
    x = minigrad.ones(2, 3)
    (gradient,) = minigrad.autograd.grad(model(x).sum(), [model.weight])
    assert (memory == 7).all()
    assert (gradient.numpy() == 2).all()
    seen: list[Any] = []
    model.weight.register_hook(lambda g: seen.append(bool((memory == 7).all())))
    model(x).sum().backward()
    assert seen == [True]


def test_a_view_of_an_earlier_gradient_in_the_graph_is_not_overwritten_before_it_is_read() -> None:
    model, _ = _stepped()
    model(minigrad.ones(1, 3)).sum().backward()
    old = model.weight.grad[0]
    values = old.data.copy()
    model.zero_grad()
    a = minigrad.full((1, 3), 5.0, requires_grad=True)
    model(a * old).sum().backward()  # the rule of the product reads `old` after that of the layer has made its gradient
    np.testing.assert_allclose(a.grad.data, model.weight.data.sum(0, keepdims=True) * values, rtol=1e-6)


def test_a_pass_that_fails_leaves_the_gradients_none() -> None:
    model, optimizer = _stepped()
    x = minigrad.ones(2, 3, requires_grad=True)

    def fail(_: Any) -> None:
        raise RuntimeError("no")

    x.register_hook(fail)
    with pytest.raises(RuntimeError, match="no"):
        model(x).sum().backward()
    assert model.weight.grad is None
    before = model.weight.data.copy()
    optimizer.step()
    np.testing.assert_array_equal(model.weight.data, before)
