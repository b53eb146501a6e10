"""Gradients that somebody keeps stay what they were, although an optimizer has one place in memory for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import nn, optim

KEPT: dict[str, Callable[[Any], Any]] = {
    "the tensor": lambda p: p.grad,
    "a detached one": lambda p: p.grad.detach(),
    "the array": lambda p: p.grad.data,
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
