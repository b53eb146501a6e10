"""Depth and memory: a million operations, graphs that vanish without the collector, steps that leave nothing."""

from __future__ import annotations

import gc
import tracemalloc
import weakref

import numpy as np
import pytest

import minigrad
from minigrad import autograd


@pytest.fixture
def no_collector():
    """The cyclic garbage collector switched off: what goes, goes by reference counting alone."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def chain(x: minigrad.Tensor, length: int) -> minigrad.Tensor:
    y = x
    for _ in range(length):
        y = y + x
    return y


@pytest.mark.slow
def test_a_chain_of_a_million_ops_runs_forward_backward_and_is_freed():
    x = minigrad.tensor(1.0, requires_grad=True)
    y = chain(x, 1_000_000)
    y.backward()
    assert x.grad.item() == 1_000_001.0  # y = 1,000,001 x; every float32 integer up to 2^24 is exact
    last = weakref.ref(y.node)
    del y
    assert last() is None


@pytest.mark.slow
def test_a_chain_of_a_million_ops_is_freed_without_a_backward_pass(no_collector):
    x = minigrad.tensor(1.0, requires_grad=True)
    y = chain(x, 1)
    first = weakref.ref(y.node)
    y = chain(y, 1_000_000)
    del y
    assert first() is None


def test_a_deep_chain_is_differentiated_twice_without_recursion():
    x = minigrad.tensor(np.float64(0.5), requires_grad=True)
    y = x
    for _ in range(3000):
        y = y * 1.0
    (first,) = autograd.grad(y * y, x, create_graph=True)
    (second,) = autograd.grad(first, x)
    assert (first.item(), second.item()) == (1.0, 2.0)


def graph_of(x: minigrad.Tensor) -> tuple[minigrad.Tensor, list[weakref.ref]]:
    h = (x * x).exp() / (x + 3.0)
    loss = (h @ h.T).sum()
    nodes, stack = [], [loss.node]
    while stack:
        node = stack.pop()
        nodes.append(weakref.ref(node))
        stack += [edge for edge in node.edges if edge is not None and edge is not x]
    return loss, nodes


def alive(nodes: list[weakref.ref]) -> int:
    return sum(node() is not None for node in nodes)


def test_a_graph_goes_with_its_loss_before_any_backward(no_collector):
    x = minigrad.ones(3, 3, requires_grad=True)
    loss, nodes = graph_of(x)
    assert alive(nodes) == len(nodes) > 5
    del loss
    assert alive(nodes) == 0


@pytest.mark.parametrize("retain_graph", [False, True])
def test_a_graph_goes_with_its_loss_after_backward(no_collector, retain_graph):
    x = minigrad.ones(3, 3, requires_grad=True)
    loss, nodes = graph_of(x)
    loss.backward(retain_graph=retain_graph)
    del loss
    assert alive(nodes) == 0


def test_a_graph_goes_after_grad_with_create_graph(no_collector):
    x = minigrad.ones(3, 3, requires_grad=True)
    loss, nodes = graph_of(x)
    (g,) = autograd.grad(loss, x, create_graph=True)
    (gg,) = autograd.grad((g * g).sum(), x)
    del loss, g
    assert alive(nodes) == 0
    assert gg.shape == (3, 3)


def test_backward_with_create_graph_is_freed_once_grad_is_none(no_collector):
    # x.grad leads through its graph to x: the one cycle there is, and PyTorch's too.
    x = minigrad.ones(3, 3, requires_grad=True)
    loss, nodes = graph_of(x)
    loss.backward(create_graph=True)
    del loss
    assert alive(nodes) > 0
    x.grad = None
    assert alive(nodes) == 0


def test_hooks_and_retained_grads_make_no_cycle(no_collector):
    x = minigrad.ones(3, 3, requires_grad=True)
    h = x * x
    h.retain_grad()
    h.register_hook(lambda g: g * 2.0)
    node, tensor = weakref.ref(h.node), weakref.ref(h)
    h.sum().backward()
    del h
    assert tensor() is None
    assert node() is None


def test_an_error_in_backward_keeps_no_graph_alive(no_collector):
    x = minigrad.ones(3, 3, requires_grad=True)
    loss, nodes = graph_of(x)
    with minigrad.no_grad():
        x.zero_()
    try:
        loss.backward()
    except RuntimeError:
        pass
    else:
        pytest.fail("the change in place was not found")
    del loss
    assert alive(nodes) == 0


def test_backward_lets_arrays_go_on_the_way():
    x = minigrad.ones(1 << 16, requires_grad=True)
    y = x
    for _ in range(40):
        y = y.exp() * 0.1  # each step saves an output of 256 KB
    loss = y.sum()
    del y
    tracemalloc.start()
    loss.backward()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * x.nbytes  # gradients of a few steps at once, not of forty


@pytest.mark.slow
def test_ten_thousand_training_steps_hold_memory_flat(no_collector):
    rng = np.random.default_rng(0)
    data = minigrad.tensor(rng.standard_normal((8, 4)))
    w = minigrad.tensor(rng.standard_normal((4, 1)), requires_grad=True)

    def steps(n: int) -> int:
        """The peak of memory in n steps."""
        tracemalloc.reset_peak()
        for _ in range(n):
            loss = ((data @ w) * (data @ w)).mean()
            w.grad = None
            loss.backward()
            with minigrad.no_grad():
                w.copy_(w - 0.01 * w.grad)
        return tracemalloc.get_traced_memory()[1]

    tracemalloc.start()
    first, second = steps(5000), steps(5000)
    tracemalloc.stop()
    # Python's own free lists move by some kilobytes; one small object left by each step would be 200.
    assert second <= first + 20_000
    assert float((w * w).sum()) < 1.0
