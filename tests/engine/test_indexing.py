"""x[...] and x[...] = y in every form, against PyTorch, and against numpy where PyTorch has no negative steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import no_grad
from minigrad.errors import DTypeError, GraphError, ShapeError
from minigrad.ops.samples import draw

torch = pytest.importorskip("torch")

SHAPE = (3, 4, 5)
INTEGERS, COLUMN = np.array([2, 0, 0]), np.array([[1], [3]])
MASK = draw(*SHAPE) > 0
ROWS = np.array([True, False, True])
COLUMNS = np.array([True, False, True, True])

INDICES: dict[str, Any] = {
    "an integer": 1,
    "a negative integer": -1,
    "three integers": (0, 1, -2),
    "a slice": slice(1, None),
    "slices": (slice(None), slice(None, None, 2), slice(-3, -1)),
    "an empty slice": slice(2, 1),
    "an ellipsis": ...,
    "an ellipsis and an integer": (..., 2),
    "an integer, an ellipsis, a slice": (1, ..., slice(0, 2)),
    "None": (None, 0, None, ..., None),
    "an array": INTEGERS,
    "a list": [2, 0, 0],
    "a negative array": np.array([-1, -3]),
    "an empty list": [],
    "an array of two dimensions": np.array([[1, 2], [0, 1]]),
    "two arrays": (INTEGERS, np.array([1, 1, 3])),
    "two arrays broadcast against each other": (INTEGERS, COLUMN),
    "an array after a slice": (slice(None), INTEGERS),
    "two arrays with a slice between": (INTEGERS, slice(None), np.array([4, 0, 0])),
    "an integer before an array": (1, INTEGERS),
    "an integer and an array with a slice between": (0, slice(None), INTEGERS),
    "an array and an integer with a slice between": (INTEGERS, slice(1, 3), 2),
    "an array, None, an array": (INTEGERS, None, INTEGERS),
    "None before an array": (None, INTEGERS),
    "an array after an ellipsis": (..., INTEGERS),
    "an array before an ellipsis": (INTEGERS, ..., 0),
    "a mask": MASK,
    "a mask of rows": ROWS,
    "a mask of columns": (slice(None), COLUMNS),
    "a mask after an ellipsis": (..., np.array([True, False, False, True, True])),
    "a mask of two dimensions": MASK[..., 0],
    "a mask and an integer": (ROWS, 2),
    "a mask and a slice": (ROWS, slice(1, 3), slice(None, None, 2)),
    "a mask that is all false": np.zeros(SHAPE, np.bool_),
    "a mask and an array": (ROWS, np.array([1, 2])),
}


def in_torch(key: Any) -> Any:
    if isinstance(key, tuple):
        return tuple(in_torch(part) for part in key)
    return torch.from_numpy(key) if isinstance(key, np.ndarray) else key


def in_minigrad(key: Any) -> Any:
    if isinstance(key, tuple):
        return tuple(in_minigrad(part) for part in key)
    return minigrad.from_numpy(key) if isinstance(key, np.ndarray) else key


@pytest.mark.parametrize("form", INDICES)
def test_reading_and_its_gradient_are_those_of_pytorch(form):
    data = draw(*SHAPE)
    x = minigrad.tensor(data, requires_grad=True)
    theirs = torch.from_numpy(data.copy()).requires_grad_()
    z, expected = x[in_minigrad(INDICES[form])], theirs[in_torch(INDICES[form])]
    assert z.shape == tuple(expected.shape)
    np.testing.assert_array_equal(z.data, expected.detach().numpy())
    g = draw(*z.shape, seed=1)
    z.backward(minigrad.tensor(g))
    expected.backward(torch.from_numpy(g))
    np.testing.assert_allclose(x.grad.data, theirs.grad.numpy(), rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("form", [form for form in INDICES if form not in ("two arrays", "an array of two dimensions")])
def test_writing_is_that_of_pytorch(form):
    ours, theirs = minigrad.tensor(draw(*SHAPE)), torch.from_numpy(draw(*SHAPE).copy())
    values = draw(*ours[in_minigrad(INDICES[form])].shape, seed=2)
    key = INDICES[form]
    if any(isinstance(part, np.ndarray) and part is INTEGERS for part in (key if isinstance(key, tuple) else (key,))):
        values = np.full_like(values, 7.0)  # an element that is named twice may get either value
    ours[in_minigrad(key)] = minigrad.tensor(values)
    theirs[in_torch(key)] = torch.from_numpy(values)
    np.testing.assert_array_equal(ours.data, theirs.numpy())
    ours[in_minigrad(key)] = 0.5
    theirs[in_torch(key)] = 0.5
    np.testing.assert_array_equal(ours.data, theirs.numpy())


@pytest.mark.parametrize("key", [slice(None, None, -1), (slice(2, None, -2), slice(None), slice(-1, 0, -3))])
def test_steps_may_be_negative_as_in_numpy(key):
    data = draw(*SHAPE)
    x = minigrad.tensor(data, requires_grad=True)
    np.testing.assert_array_equal(x[key].data, data[key])
    g = draw(*data[key].shape, seed=1)
    x[key].backward(minigrad.tensor(g))
    expected = np.zeros(SHAPE)
    expected[key] = g
    np.testing.assert_array_equal(x.grad.data, expected)


def test_an_element_named_three_times_gets_three_gradients():
    x = minigrad.zeros(3, requires_grad=True)
    x[[1, 1, 1, 2]].backward(minigrad.tensor([1.0, 10.0, 100.0, 5.0]))
    assert x.grad.tolist() == [0.0, 111.0, 5.0]


def test_a_zero_dimensional_tensor_is_an_integer_in_an_index():
    x = minigrad.tensor(draw(2, 3, 4))
    one = minigrad.tensor(1)
    assert x[one].shape == (3, 4)
    assert x[one, :, [0, 1, 1]].shape == tuple(torch.zeros(2, 3, 4)[torch.tensor(1), :, [0, 1, 1]].shape) == (3, 3)


def test_a_part_by_integers_and_slices_shares_memory():
    x = minigrad.zeros(2, 3)
    x[0].fill_(1)
    x[1, 2].fill_(5)
    assert x.tolist() == [[1.0, 1.0, 1.0], [0.0, 0.0, 5.0]]
    x[[0]].fill_(9)  # by an array: a copy
    assert x[0].tolist() == [1.0, 1.0, 1.0]


def test_writing_broadcasts_casts_and_respects_views():
    x = minigrad.zeros(2, 3, dtype=minigrad.int64)
    x[:, 1:] = minigrad.tensor([1.7, -2.7])
    assert x.tolist() == [[0, 1, -2], [0, 1, -2]]
    x.T[0] = 9
    assert x.tolist() == [[9, 1, -2], [9, 1, -2]]
    x[x > 5] -= 4
    assert x.tolist() == [[5, 1, -2], [5, 1, -2]]


def test_writing_that_would_lose_a_gradient_is_refused():
    x = minigrad.zeros(3, requires_grad=True)
    with pytest.raises(
        GraphError, match=r"assignment to elements: a tensor that requires a gradient cannot be changed"
    ):
        x[0] = 1.0
    with no_grad():
        x[0] = 1.0
    assert x.tolist() == [1.0, 0.0, 0.0]
    with pytest.raises(GraphError, match=r"the gradient of the operand would be lost"):
        minigrad.zeros(3)[0] = x[0]


def test_writing_what_does_not_fit_is_refused_and_changes_nothing():
    x = minigrad.zeros(2, 3)
    with pytest.raises(
        ShapeError, match=r"assignment to elements: could not broadcast .*\(the tensor has shape \(2, 3\)\)"
    ):
        x[:, 0] = minigrad.ones(3)
    with pytest.raises(IndexError, match=r"index: index 2 is out of bounds"):
        x[2] = 1.0
    with pytest.raises((DTypeError, ShapeError), match=r"assignment to elements"):
        x[0] = "a"
    with pytest.raises(GraphError, match=r"only looks at memory that cannot be written"):
        minigrad.ones(1).expand(3)[0] = 2.0
    assert x.tolist() == [[0.0] * 3] * 2


def test_writing_after_the_forward_pass_is_noticed_by_backward():
    w = minigrad.ones(3, requires_grad=True)
    x = minigrad.ones(3)
    loss = (w * x).sum()
    x[1] = 5.0
    with pytest.raises(GraphError, match=r"input 1 of mul, shape \(3,\), was changed in place"):
        loss.backward()
    assert w.grad is None
