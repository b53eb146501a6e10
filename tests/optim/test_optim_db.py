"""PyTorch's own table of optimizer configurations and error inputs, run here.

`torch.testing._internal.common_optimizers.optim_db` is what PyTorch tests its optimizers with: 91 configurations and
124 error inputs in the version that CI installs. All are run but those in `EXCLUDED` and `EXCLUDED_ERRORS`.
"""

from __future__ import annotations

import sys
import types
import unittest
import warnings
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import optim
from minigrad.errors import MinigradError

torch = pytest.importorskip("torch")

# Its test runner imports this package for comparing printed text, which is not needed here.
if "expecttest" not in sys.modules:
    stub = types.ModuleType("expecttest")
    stub.TestCase = unittest.TestCase
    sys.modules["expecttest"] = stub
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from torch.testing._internal.common_optimizers import optim_db

EXCLUDED = {"SparseAdam": "minigrad has no sparse tensors"}
EXCLUDED_ERRORS = {"does not support complex parameters": "minigrad has no complex tensors"}
OURS = {"Adagrad": {"eps_in_sqrt": False}, "RMSprop": {"eps_in_sqrt": False}}

# PyTorch's RMSprop has another default for the decay than the course module.
DEFAULTS = {"RMSprop": {"alpha": 0.99}}


def names() -> list[tuple[str, Any]]:
    return [(info.optim_cls.__name__, info) for info in optim_db if info.optim_cls.__name__ not in EXCLUDED]


CONFIGURATIONS = [(name, entry.kwargs) for name, info in names() for entry in info.optim_inputs_func(device="cpu")]
ERRORS = [
    (name, error.optimizer_error_input)
    for name, info in names()
    for error in info.optim_error_inputs_func(device="cpu", dtype=torch.float32)
    if error.optimizer_error_input.desc not in EXCLUDED_ERRORS
]


def translated(value: Any) -> Any:
    """A PyTorch value as ours: tensors, parameters, and the containers they are in."""
    if isinstance(value, torch.Tensor):
        return minigrad.tensor(value.detach().numpy(), requires_grad=value.requires_grad)
    if isinstance(value, dict):
        return {key: translated(x) for key, x in value.items()}
    if isinstance(value, list | tuple):
        same: dict[int, Any] = {}
        return type(value)(same.setdefault(id(x), translated(x)) for x in value)
    return value


def test_the_table_is_the_one_that_was_counted():
    if torch.__version__.startswith("2.13."):
        assert len(CONFIGURATIONS) == 91 - 4  # SparseAdam has 4
        assert len(ERRORS) == 124 - 10 - 2  # SparseAdam has 10, and two are about complex parameters


@pytest.fixture
def exact(monkeypatch):
    """Muon iterates in full precision, and scalars are float64 as here."""
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize(
    ("name", "settings"), CONFIGURATIONS, ids=[f"{n}-{i}" for i, (n, _) in enumerate(CONFIGURATIONS)]
)
def test_configuration(name, settings, exact):
    """Ten steps towards a random matrix, in float64, with the loss and its gradient computed by each library."""
    rng = np.random.default_rng(0)
    start, target = rng.standard_normal((2, 5, 3))
    theirs, ours = torch.tensor(start, requires_grad=True), minigrad.tensor(start, requires_grad=True)
    settings = {key: x.double() if isinstance(x, torch.Tensor) else x for key, x in settings.items()}
    their_target, our_target = torch.tensor(target), minigrad.tensor(target)
    their_optimizer = getattr(torch.optim, name)([theirs], **settings)
    our_optimizer = getattr(optim, name)(
        [ours], **{**DEFAULTS.get(name, {}), **translated(settings)}, **OURS.get(name, {})
    )

    def closure(optimizer: Any, w: Any, goal: Any) -> Any:
        def evaluate() -> Any:
            optimizer.zero_grad()
            off = w - goal
            loss = (off * off * off * off).sum() + (off * off).sum()
            loss.backward()
            return loss

        return evaluate

    for _ in range(10):
        expected = their_optimizer.step(closure(their_optimizer, theirs, their_target))
        loss = our_optimizer.step(closure(our_optimizer, ours, our_target))
        assert loss.item() == pytest.approx(expected.item(), rel=1e-10, abs=1e-20)
    np.testing.assert_allclose(ours.data, theirs.detach().numpy(), rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize(("name", "entry"), ERRORS, ids=[f"{n}-{e.desc}".replace(" ", "_") for n, e in ERRORS])
def test_error_input(name, entry):
    """What PyTorch refuses, or warns of, is refused here, by one of the public errors."""
    params = translated(entry.params)
    if params is None:
        params = [minigrad.ones(2, 2, requires_grad=True)]
    if isinstance(params, list) and isinstance(params[0], dict) and "duplicate" in entry.desc:
        params[1]["params"] = params[0]["params"]  # the same parameter again
    with pytest.raises(MinigradError) as error:
        getattr(optim, name)(params, **translated(entry.kwargs))
    assert isinstance(error.value, ValueError | TypeError)
