"""The arena: when parameters share one buffer, when they do not, and that nobody notices but the clock."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

import minigrad
from minigrad import nn, optim
from minigrad.errors import GraphError


def parameters(*shapes: tuple[int, ...], dtype: str = "float32") -> list[minigrad.Tensor]:
    rng = np.random.default_rng(0)
    return [minigrad.tensor(np.asarray(rng.standard_normal(s), dtype), requires_grad=True) for s in shapes]


def backward(params: list[minigrad.Tensor]) -> None:
    sum(((p * p).sum() for p in params), minigrad.tensor(0.0)).backward()


def arenas(optimizer: optim.Optimizer) -> list:
    return [arena for plan in optimizer._plans for arena in plan.arenas]


def test_parameters_and_gradients_are_views_of_one_buffer_and_backward_writes_into_it():
    a, b = params = parameters((3, 4), (5,))
    optimizer = optim.Adam(params, lr=0.1)
    (arena,) = arenas(optimizer)
    backward(params)
    assert a.data.base is arena.p.base
    assert b.data.base is arena.p.base
    assert a.grad.data.base is arena.g.base
    np.testing.assert_array_equal(arena.g[:12], 2 * a.data.reshape(-1))
    optimizer.step()
    assert optimizer.state[b]["exp_avg"].data.base is arena.buffers["exp_avg"].base


def test_there_is_one_arena_for_each_group_and_dtype():
    params = parameters((3,), (2, 2)) + parameters((4,), dtype="float64")
    optimizer = optim.SGD([{"params": params}, {"params": parameters((7,))}])
    assert [(a.p.dtype.name, len(a.members)) for a in arenas(optimizer)] == [
        ("float32", 2),
        ("float64", 1),
        ("float32", 1),
    ]


def test_tensors_start_at_cache_lines():
    params = parameters((3,), (5,), (2,))
    optimizer = optim.SGD(params)
    assert len(arenas(optimizer)) == 1
    places = [p.data.ctypes.data for p in params]
    assert [place % 64 for place in places] == [0, 0, 0]
    assert [place - places[0] for place in places] == [0, 64, 128]


def test_small_tensors_lie_first_whatever_their_order():
    params = parameters((200, 100), (5,), (130, 128), (2,))
    before = [p.data.copy() for p in params]
    optimizer = optim.SGD(params, lr=0.5)
    (arena,) = arenas(optimizer)
    start = arena.p.ctypes.data
    assert sorted(range(4), key=lambda i: params[i].data.ctypes.data) == [1, 3, 0, 2]
    assert params[1].data.ctypes.data == start
    assert [cell.tensor for cell in arena.cells()] == params
    backward(params)
    optimizer.step()
    for p, value in zip(params, before, strict=True):
        np.testing.assert_array_equal(p.data, value - np.float32(0.5) * (2 * value))


def test_values_shapes_and_identity_survive_the_move():
    params = parameters((3, 4), (), (5,))
    before = [p.data.copy() for p in params]
    optim.SGD(params)
    for p, value in zip(params, before, strict=True):
        np.testing.assert_array_equal(p.data, value)
        assert p.shape == value.shape


def test_memory_that_somebody_holds_is_not_moved():
    array = np.ones(4, np.float32)
    shared = minigrad.from_numpy(array).requires_grad_()
    (held,) = parameters((4,))
    window = held.data[1:3]
    (detached,) = parameters((4,))
    other = detached.detach()
    (free,) = parameters((4,))
    optimizer = optim.SGD([shared, held, detached, free], lr=0.5)
    assert [cell.tensor is free for cell in arenas(optimizer)[0].cells()] == [True]
    for p in (shared, held, detached, free):
        p.grad = minigrad.ones(4)
    optimizer.step()
    np.testing.assert_array_equal(array, np.full(4, 0.5, np.float32))
    np.testing.assert_array_equal(window, held.data[1:3])
    np.testing.assert_array_equal(other.data, detached.data)


def test_two_tensors_over_the_same_memory_stay_together():
    buffer = np.arange(6, dtype=np.float32)
    a = minigrad.from_numpy(buffer[:4]).requires_grad_()
    b = minigrad.from_numpy(buffer[2:]).requires_grad_()
    del buffer
    optimizer = optim.SGD([a, b], lr=1.0)
    a.grad = minigrad.ones(4)
    optimizer.step()
    np.testing.assert_array_equal(a.data, [-1, 0, 1, 2])
    np.testing.assert_array_equal(b.data, [1, 2, 4, 5])


def test_a_parameter_in_two_optimizers_is_moved_by_both():
    (w,) = parameters((3,))
    first, second = optim.SGD([w], lr=0.5), optim.SGD([w], lr=0.25, momentum=0.5)
    start = w.data.copy()
    for optimizer, factor in ((first, 0.5), (second, 0.25), (first, 0.5)):
        before = w.data.copy()
        first.zero_grad()
        w.sum().backward()
        optimizer.step()
        np.testing.assert_allclose(w.data, before - factor, rtol=1e-6)
    np.testing.assert_allclose(w.data, start - 1.25, rtol=1e-6)


def test_rebinding_data_is_followed_and_the_arena_is_laid_out_again():
    params = parameters((3,), (4,))
    optimizer = optim.SGD(params, lr=0.5, momentum=0.5)
    for t in range(4):
        optimizer.zero_grad()
        if t == 1:
            params[0].data = np.zeros(3, np.float32)
        sum((p.sum() for p in params), minigrad.tensor(0.0)).backward()
        optimizer.step()
    np.testing.assert_allclose(params[0].data, -0.5 * (1.5 + 1.75 + 1.875))
    (arena,) = arenas(optimizer)
    assert arena.whole()
    assert params[0].data.base is arena.p.base


def test_conversion_to_another_dtype_takes_the_state_along():
    model = nn.Linear(3, 2)
    optimizer = optim.Adam(model.parameters(), lr=0.1)
    x = minigrad.ones(4, 3)
    model(x).sum().backward()
    optimizer.step()
    model.double()
    optimizer.zero_grad()
    model(x.double()).sum().backward()
    optimizer.step()
    assert model.weight.dtype == np.float64
    state = optimizer.state[model.weight]
    assert state["step"] == 2
    assert state["exp_avg"].dtype == np.float64
    np.testing.assert_allclose(state["exp_avg"].data, 4 * (1 - 0.9**2), rtol=1e-6)


def test_half_precision_parameters_are_updated_in_float32_and_written_back():
    w = minigrad.tensor(np.array([1.0, 2.0], np.float16), requires_grad=True)
    optimizer = optim.Adam([w], lr=0.25)
    w.grad = minigrad.tensor(np.array([1.0, -1.0], np.float16))
    optimizer.step()
    assert w.dtype == np.float16
    np.testing.assert_array_equal(w.data, np.array([0.75, 2.25], np.float16))
    assert optimizer.state[w]["exp_avg"].dtype == np.float32


def test_a_gradient_of_none_skips_momentum_and_decay_and_a_zero_gradient_does_not():
    def make() -> tuple[list, optim.Optimizer]:
        params = [minigrad.ones(2, requires_grad=True), minigrad.ones(2, requires_grad=True)]
        optimizer = optim.SGD(params, lr=0.5, momentum=0.5, weight_decay=0.1)
        for p in params:
            p.grad = minigrad.ones(2)
        optimizer.step()  # v = 1.1, w = 0.45
        return params, optimizer

    (a, b), optimizer = make()
    a.grad, b.grad = None, minigrad.zeros(2)
    optimizer.step()
    np.testing.assert_allclose(a.data, 0.45)
    np.testing.assert_allclose(b.data, 0.45 - 0.5 * (0.55 + 0.045), rtol=1e-6)


def test_freezing_a_layer_gives_the_rest_an_arena_of_its_own():
    a, b = params = parameters((3,), (4,))
    optimizer = optim.Adam(params, lr=0.1)
    for t in range(6):
        optimizer.zero_grad()
        backward([a, b] if t < 2 else [b])
        optimizer.step()
    assert [[cell.tensor is b for cell in arena.cells()] for arena in arenas(optimizer)] == [[True]]
    assert (optimizer.state[a]["step"], optimizer.state[b]["step"]) == (2, 6)
    frozen = a.data.copy()
    for _ in range(3):
        optimizer.zero_grad()
        backward([a, b])
        optimizer.step()
    assert (optimizer.state[a]["step"], optimizer.state[b]["step"]) == (5, 9)
    assert len(arenas(optimizer)) == 2
    assert np.all(a.data != frozen)


def test_a_gradient_that_somebody_keeps_stays_as_it_is():
    """zero_grad and the next backward pass write into the arena, not into what a logger has kept."""
    params = parameters((3,), (4,))
    optimizer = optim.SGD(params, lr=0.1)
    kept = []
    for keep in (lambda p: p.grad, lambda p: p.grad.data, lambda p: p.grad[1:]):
        optimizer.zero_grad()
        backward(params)
        gradient = keep(params[0])
        kept.append((gradient, np.array(getattr(gradient, "data", gradient)) if keep else None))
        optimizer.step()
    optimizer.zero_grad()
    backward(params)
    for gradient, before in kept:
        now = gradient.data if isinstance(gradient, minigrad.Tensor) else gradient
        np.testing.assert_array_equal(now, before)


def test_set_to_none_and_zeros():
    (w,) = parameters((3,))
    optimizer = optim.SGD([w])
    backward([w])
    optimizer.zero_grad(set_to_none=False)
    np.testing.assert_array_equal(w.grad.data, np.zeros(3))
    optimizer.zero_grad()
    assert w.grad is None


def test_zeroed_gradients_stay_in_the_arena():
    params = parameters((3,), (4,))
    optimizer = optim.SGD(params, lr=0.1)
    for _ in range(2):
        optimizer.zero_grad(set_to_none=False)
        backward(params)
        assert arenas(optimizer)[0].whole()
        optimizer.step()
    np.testing.assert_allclose(params[0].grad.data, 2 * params[0].data / 0.8, rtol=1e-6)


def test_gradients_accumulate_over_backward_passes():
    (w,) = parameters((3,))
    optimizer = optim.SGD([w], lr=1.0)
    before = w.data.copy()
    for _ in range(3):
        w.sum().backward()
    optimizer.step()
    np.testing.assert_allclose(w.data, before - 3.0, rtol=1e-6)


def test_a_graph_from_before_the_step_is_detected_as_stale():
    for params in (parameters((3,), (2,)), [minigrad.from_numpy(np.ones(3, np.float32)).requires_grad_()]):
        held = [p.data for p in params] if len(params) == 1 else None
        optimizer = optim.SGD(params, lr=0.1)
        loss = (params[0] * params[0]).sum()
        loss.backward(retain_graph=True)
        optimizer.step()
        with pytest.raises(GraphError, match="changed in place"):
            loss.backward()
        del held


def test_an_optimizer_and_its_arena_go_when_nobody_needs_them():
    params = parameters((3,), (4,))
    optimizer = optim.Adam(params)
    arena = weakref.ref(arenas(optimizer)[0].p.base)
    gone = weakref.ref(optimizer)
    gc.disable()
    try:
        del optimizer
        assert gone() is None, "no reference cycle"
    finally:
        gc.enable()
    assert params[0].slot is None
    second = optim.Adam(params)
    assert len(arenas(second)[0].members) == 2, "the next optimizer takes over"
    assert arena() is None


def test_read_only_memory_is_an_error_before_anything_changes():
    array = np.ones(3, np.float32)
    array.flags.writeable = False
    w, v = minigrad.from_numpy(array), minigrad.ones(3, requires_grad=True)
    w.requires_grad = True
    optimizer = optim.SGD([v, w], lr=0.1)
    w.grad, v.grad = minigrad.ones(3), minigrad.ones(3)
    with pytest.raises(ValueError, match="read-only"):
        optimizer.step()
    np.testing.assert_array_equal(v.data, np.ones(3))


def test_a_parameter_may_not_change_its_shape():
    (w,) = parameters((3,))
    optimizer = optim.SGD([w], lr=0.1, momentum=0.9)
    w.grad = minigrad.ones(3)
    optimizer.step()
    w.data = np.ones(5, np.float32)
    w.grad = minigrad.ones(5)
    with pytest.raises(ValueError, match="keeps its shape"):
        optimizer.step()


def test_empty_parameters_are_no_trouble():
    params = [minigrad.zeros(0, 3, requires_grad=True), minigrad.ones(2, requires_grad=True)]
    optimizer = optim.Adam(params, lr=0.5)
    sum((p.sum() for p in params), minigrad.tensor(0.0)).backward()
    optimizer.step()
    np.testing.assert_allclose(params[1].data, 0.5)
