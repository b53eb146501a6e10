"""Large gradients are looked at for NaN while backward copies them, and again only when they may have changed."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import optim
from minigrad.errors import NonFiniteError
from minigrad.kernels.jit import jit_disabled
from minigrad.kernels.optimizers import copy_and_look, has_nonfinite
from minigrad.optim import arena, slot
from minigrad.optim import optimizer as optimizer_module

pytestmark = pytest.mark.skipif(jit_disabled(), reason="without compiled kernels every gradient is read by the step")

SIZES = {"large": (300, 100), "larger": (20011,), "small": (7, 3)}


@pytest.fixture(autouse=True)
def small_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (slot, arena):
        monkeypatch.setattr(module, "LOOK_FROM", 20000)
    monkeypatch.setattr(optimizer_module, "PARALLEL_FROM", 0)  # it asks the arena always


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many numbers each look of a step reads."""
    sizes: list[int] = []

    def noted(g: np.ndarray, look: Callable[[np.ndarray], bool] = arena._all_finite) -> bool:
        sizes.append(g.size)
        return look(g)

    monkeypatch.setattr(arena, "_all_finite", noted)
    return sizes


def trained(names: tuple[str, ...] = ("large", "larger", "small")) -> tuple[list[Any], Any, Callable[..., None]]:
    """Parameters in an arena, their optimizer after two steps, and a function that makes new gradients."""
    rng = np.random.default_rng(0)
    parameters = [minigrad.tensor(rng.standard_normal(SIZES[name], np.float32), requires_grad=True) for name in names]
    optimizer = optim.Adam(parameters, lr=0.01)

    def backward(factor: float = 0.5) -> None:
        optimizer.zero_grad()
        for p in parameters:
            (p * factor).sum().backward()

    for _ in range(2):
        backward()
        optimizer.step()
    backward()
    assert all(isinstance(p.grad, slot.Slot) for p in parameters)
    return parameters, optimizer, backward


def test_a_step_reads_the_small_gradients_alone(reads: list[int]) -> None:
    parameters, optimizer, _ = trained()
    reads.clear()
    optimizer.step()
    assert reads == [parameters[2].grad._data.size]


def test_gradients_that_are_all_small_are_read_at_one_go(reads: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    _, optimizer, _ = trained(("small", "small", "small"))
    reads.clear()
    optimizer.step()
    assert len(reads) == 1
    monkeypatch.setattr(slot, "LOOK_FROM", 1 << 30)  # a large arena of small tensors
    _, optimizer, _ = trained()
    reads.clear()
    optimizer.step()
    assert len(reads) == 1


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("which", [0, 1, 2])
def test_backward_brings_a_number_that_is_not_finite(which: int, bad: float) -> None:
    parameters, optimizer, _ = trained()
    optimizer.zero_grad()
    for i, p in enumerate(parameters):
        factor = np.full(p.shape, 0.5, np.float32)
        if i == which:
            factor.reshape(-1)[-1] = bad
        (p * minigrad.Tensor(factor)).sum().backward()
    before = [p.detach().numpy().copy() for p in parameters]
    with pytest.raises(NonFiniteError, match=f"parameter {which} of group 0"):
        optimizer.step()
    for p, values in zip(parameters, before, strict=True):
        np.testing.assert_array_equal(p.detach().numpy(), values)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [0, 1, 3, 8, 17, 64, 1000, 70001])
def test_every_number_is_looked_at_and_large_ones_are_finite(size: int, dtype: type) -> None:
    x = np.full(size, np.finfo(dtype).max, dtype)  # their sum would not be finite
    copied = np.empty_like(x)
    assert not copy_and_look(x, copied)
    looks = has_nonfinite, has_nonfinite.serial
    assert not any(look(x) for look in looks)
    for place in {0, size // 2, size - 1} if size else ():
        for bad in (np.nan, np.inf, -np.inf):
            y = x.copy()
            y[place] = bad
            assert all(look(y) for look in looks)
            assert copy_and_look(y, copied)
            np.testing.assert_array_equal(copied, y)


def in_place(grad: Any) -> None:
    with minigrad.no_grad():
        grad.mul_(float("inf"))


def of_a_view(grad: Any) -> None:
    with minigrad.no_grad():
        grad[0].fill_(float("nan"))


def of_an_element(grad: Any) -> None:
    with minigrad.no_grad():
        grad[3, 7] = float("nan")


def through_numpy(grad: Any) -> None:
    grad.numpy()[1, 1] = np.nan


def through_data(grad: Any) -> None:
    grad.data[2, 2] = np.nan


def through_detach(grad: Any) -> None:
    grad.detach().numpy()[4, 4] = np.nan


def through_the_array_protocol(grad: Any) -> None:
    np.asarray(grad)[5, 5] = np.nan


def through_a_copy(grad: Any) -> None:
    copy.copy(grad).numpy()[6, 6] = np.nan  # it shares the memory


CHANGES = [
    in_place, of_a_view, of_an_element,
    through_numpy, through_data, through_detach, through_the_array_protocol, through_a_copy,
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_changes_a_gradient_afterwards_is_seen(change: Callable[[Any], None]) -> None:
    parameters, optimizer, backward = trained()
    change(parameters[0].grad)
    with pytest.raises(NonFiniteError, match="parameter 0 of group 0"):
        optimizer.step()
    backward()
    optimizer.step()  # and a new gradient is as good as any


def test_a_copy_of_a_gradient_is_a_tensor() -> None:
    parameters, _, _ = trained()
    grad = parameters[2].grad
    for copied in (copy.copy(grad), copy.deepcopy(grad), pickle.loads(pickle.dumps(grad)), grad.clone()):
        assert type(copied) is minigrad.Tensor
        np.testing.assert_array_equal(copied.numpy(), grad.numpy())
    assert copy.copy(grad).numpy() is grad.numpy()
    assert not np.shares_memory(copy.deepcopy(grad).numpy(), grad.numpy())


def test_a_second_gradient_that_is_added(reads: list[int]) -> None:
    parameters, optimizer, _ = trained(("large",))
    (parameters[0] * float("nan")).sum().backward()
    with pytest.raises(NonFiniteError):
        optimizer.step()
    parameters, optimizer, _ = trained(("large",))
    (parameters[0] * 0.25).sum().backward()
    reads.clear()
    optimizer.step()
    assert reads == [SIZES["large"][0] * SIZES["large"][1]]


def test_the_numbers_are_those_of_an_optimizer_that_reads_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for look_from in (20000, 1 << 40):
        for module in (slot, arena):
            monkeypatch.setattr(module, "LOOK_FROM", look_from)
        parameters, optimizer, backward = trained()
        for i in range(3):
            backward(0.1 * i)
            optimizer.step()
        found.append([p.detach().numpy().tobytes() for p in parameters])
    assert found[0] == found[1]


def test_gradients_in_another_order_or_dtype_are_copied_too() -> None:
    place = slot.Slot(np.zeros((200, 150), np.float32))
    values = np.random.default_rng(0).standard_normal((150, 200)).astype(np.float32)
    place.fill(values.T)
    np.testing.assert_array_equal(place._data, values.T)
    assert not place.known_finite()
    place.fill(np.ascontiguousarray(values.T))
    np.testing.assert_array_equal(place._data, values.T)
    assert place.known_finite()
    place.fill(np.ones((200, 150)))
    assert (place._data == 1).all()
    assert not place.known_finite()
