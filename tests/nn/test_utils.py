"""nn.utils: parameters as one vector, and back."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad
from minigrad import nn, optim
from minigrad.errors import ArgumentError, ShapeError


def test_a_vector_of_parameters_goes_back_into_another_model() -> None:
    source, target = nn.Linear(3, 2), nn.Linear(3, 2)
    vector = nn.utils.parameters_to_vector(source.parameters())
    np.testing.assert_array_equal(vector.data, np.concatenate([source.weight.data.ravel(), source.bias.data]))
    nn.utils.vector_to_parameters(vector.detach(), target.parameters())
    for mine, other in zip(source.parameters(), target.parameters(), strict=True):
        np.testing.assert_array_equal(mine.data, other.data)


def test_the_vector_carries_the_gradient() -> None:
    layer = nn.Linear(3, 2)
    (nn.utils.parameters_to_vector(layer.parameters()) ** 2).sum().backward()
    np.testing.assert_allclose(layer.weight.grad.data, 2 * layer.weight.data, rtol=1e-6)


def test_a_vector_of_another_length_changes_nothing() -> None:
    layer = nn.Linear(3, 2)
    before = layer.weight.data.copy()
    with pytest.raises(ShapeError, match=r"expected a vector of 8 elements, got shape \(7,\)"):
        nn.utils.vector_to_parameters(minigrad.zeros(7), layer.parameters())
    np.testing.assert_array_equal(layer.weight.data, before)
    with pytest.raises(ArgumentError, match="at least one parameter"):
        nn.utils.parameters_to_vector([])


def test_clipping_is_that_of_optim() -> None:
    assert nn.utils.clip_grad_norm_ is optim.clip_grad_norm_
    assert nn.utils.clip_grad_value_ is optim.clip_grad_value_
