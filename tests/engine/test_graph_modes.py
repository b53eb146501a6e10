"""no_grad, enable_grad, inference_mode and set_grad_enabled: as blocks, as decorators, in threads."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import minigrad
from minigrad.autograd import set_grad_enabled
from minigrad.errors import DTypeError, GraphError

torch = pytest.importorskip("torch")

W = minigrad.ones(2, requires_grad=True)


def recorded() -> bool:
    return (W * 2.0).requires_grad


def test_no_grad_and_inference_mode_record_nothing_and_enable_grad_records_again():
    assert recorded()
    for off in (minigrad.no_grad, minigrad.inference_mode):
        with off():
            assert not recorded()
            with minigrad.enable_grad():
                assert recorded()
            assert not recorded()
        assert recorded()


def test_the_mode_comes_back_after_an_exception():
    with pytest.raises(KeyError), minigrad.no_grad():
        raise KeyError
    assert recorded()


@pytest.mark.parametrize("decorate", [minigrad.no_grad, minigrad.no_grad(), minigrad.inference_mode()])
def test_a_decorator_works_with_and_without_parentheses(decorate):
    @decorate
    def evaluate(argument, *, keyword):
        """What it says."""
        return argument, keyword, recorded()

    assert evaluate(1, keyword=2) == (1, 2, False)
    assert evaluate.__doc__ == "What it says."
    assert recorded()


def test_a_decorated_function_may_call_itself():
    @minigrad.no_grad
    def countdown(n):
        return [recorded()] + (countdown(n - 1) if n else [])

    assert countdown(3) == [False] * 4
    assert recorded()


@pytest.mark.parametrize("library", [minigrad, torch])
def test_a_decorated_generator_runs_each_step_in_its_mode_and_its_user_in_theirs(library):
    @library.no_grad()
    def steps():
        got = yield library.is_grad_enabled()
        yield got, library.is_grad_enabled()

    generator = steps()
    assert next(generator) is False
    assert library.is_grad_enabled()
    assert generator.send("sent") == ("sent", False)
    assert library.is_grad_enabled()
    generator.close()


def test_inference_mode_false_leaves_recording_as_it_is():
    with minigrad.inference_mode(False):
        assert recorded()
    with minigrad.no_grad(), minigrad.inference_mode(False):
        assert not recorded()


def test_set_grad_enabled_switches_at_once_or_for_a_block_as_in_pytorch():
    for library, switch in ((minigrad, set_grad_enabled), (torch, torch.set_grad_enabled)):
        with switch(False):
            assert not library.is_grad_enabled()
        assert library.is_grad_enabled()
        switch(False)
        assert not library.is_grad_enabled()
        switch(True)
        assert library.is_grad_enabled()

        @switch(False)
        def evaluate(library=library):
            return library.is_grad_enabled()

        assert library.is_grad_enabled()
        assert evaluate() is False
        assert library.is_grad_enabled()


def test_modes_take_booleans_and_functions_only():
    with pytest.raises(DTypeError, match="True or False"):
        set_grad_enabled(1)
    with pytest.raises(DTypeError, match="function"):
        minigrad.no_grad(3)


def test_each_thread_has_its_own_mode():
    inside, release = threading.Event(), threading.Event()
    other = []

    def evaluate():
        with minigrad.no_grad():
            inside.set()
            release.wait(10)
            other.append(recorded())

    thread = threading.Thread(target=evaluate)
    thread.start()
    assert inside.wait(10)
    assert recorded()
    release.set()
    thread.join()
    assert other == [False]
    fresh = []
    with minigrad.no_grad():  # a new thread does not inherit it, as in PyTorch
        thread = threading.Thread(target=lambda: fresh.append(recorded()))
        thread.start()
        thread.join()
    assert fresh == [True]


def test_threads_that_differentiate_at_once_do_not_disturb_each_other():
    results = {}

    def work(seed):
        x = minigrad.tensor(np.full(3, float(seed)), requires_grad=True)
        for _ in range(50):
            x.grad = None
            (x * x * x).sum().backward()
        results[seed] = x.grad.tolist()

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {seed: [3.0 * seed**2] * 3 for seed in range(4)}


# ---- leaves and detach -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("library", [minigrad, torch])
def test_is_leaf_and_requires_grad_follow_how_a_tensor_was_made(library):
    x = library.ones(2, requires_grad=True)
    plain = library.ones(2)
    computed = x * 2.0
    with library.no_grad():
        unrecorded = x * 2.0
    table = [(t.is_leaf, t.requires_grad, t.grad_fn is None) for t in (x, plain, computed, unrecorded, plain * 2.0)]
    assert table == [
        (True, True, True),
        (True, False, True),
        (False, True, False),
        (True, False, True),
        (True, False, True),
    ]


@pytest.mark.parametrize("library", [minigrad, torch])
def test_detach_shares_memory_and_stops_gradients(library):
    x = library.ones(2, requires_grad=True)
    stopped = (x * 3.0).detach()
    assert not stopped.requires_grad
    (x * stopped).sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]  # not 6: stopped counts as a constant
    alias = x.detach()
    alias[0] = 9.0
    assert x.tolist() == [9.0, 1.0]


def test_only_a_leaf_can_stop_requiring_a_gradient():
    x = minigrad.ones(2, requires_grad=True)
    with pytest.raises(GraphError, match="detach"):
        (x * 2.0).requires_grad = False
    x.requires_grad_(False)
    assert not (x * 2.0).requires_grad


def test_comparisons_and_argmax_never_require_a_gradient():
    x = minigrad.tensor([1.0, 2.0], requires_grad=True)
    assert not (x > 1.5).requires_grad
    assert not x.argmax().requires_grad
