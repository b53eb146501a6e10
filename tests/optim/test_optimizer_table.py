"""The table of optimizers is complete, and the sizes of states in it are what is really kept."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import minigrad
from minigrad import optim
from minigrad.optim.table import ROWS, listing


def test_every_optimizer_has_a_row():
    classes = {
        name
        for name, cls in vars(optim).items()
        if inspect.isclass(cls) and issubclass(cls, optim.Optimizer) and cls is not optim.Optimizer
    }
    assert classes - {"Adagrad"} == {row.name for row in ROWS}  # PyTorch's spelling of AdaGrad


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_bytes_of_state_are_those_that_a_step_leaves_behind(row):
    w = minigrad.tensor(np.ones((8, 16), np.float32), requires_grad=True)
    optimizer = getattr(optim, row.name)([w])

    def closure():
        optimizer.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        return loss

    if row.name == "LBFGS":
        optimizer = optim.LBFGS([w], lr=0.01, max_iter=4)
        optimizer.step(closure)
        state = optimizer.state[w]
        held = [state["d"], state["prev_flat_grad"], *state["old_dirs"], *state["old_stps"]]
        assert sum(x.nbytes for x in held) == (8 * 3 + 8) * w.numel(), "h = 3 pairs"
        return
    optimizer.step(closure)
    arrays = [x for x in optimizer.state.get(w, {}).values() if isinstance(x, minigrad.Tensor)]
    expected = 4 * (8 + 16) if row.name == "Adafactor" else int(row.bytes) * w.numel()
    assert sum(x.nbytes for x in arrays) == expected


def test_the_listing_has_a_line_for_each_and_straight_columns():
    lines = listing().splitlines()
    assert len(lines) == len(ROWS) + 2
    assert lines[0].split()[:2] == ["optimizer", "update"]
    assert max(map(len, lines)) <= 150
