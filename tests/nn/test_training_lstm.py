"""A small real training: an LSTM remembers two numbers over fifty steps, and needs gradient clipping for it.

The adding problem: to answer the mean has a squared error of 1/6; below it, the network remembers. The learning rate is
one at which plain SGD with momentum learns quickly, if it survives: now and then the gradient of fifty steps explodes,
and one such step throws the weights to where nothing comes back from. Clipping the norm keeps the direction and bounds
the step. It is the rate that needs the clipping, not the problem: at 0.3 a run with 32 units and batches of 64 got
there without.
"""

from __future__ import annotations

import numpy as np
import pytest

import minigrad
from minigrad import nn, optim
from minigrad.datasets import adding_problem
from minigrad.errors import NonFiniteError

LENGTH, HIDDEN, BATCH, STEPS = 50, 24, 32, 4000
GOAL = 0.01
NEVER = 1e30  # a norm at which nothing is clipped


def arrays(samples: int, seed: int) -> list[np.ndarray]:
    return [np.asarray(a) for a in adding_problem(samples, LENGTH, generator=seed).tensors]


class Adder(nn.Module):
    """The last hidden state of an LSTM, read by a linear layer: (N, T, 2) -> (N, 1)."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(2, HIDDEN, batch_first=True)
        self.head = nn.Linear(HIDDEN, 1)
        # Forget gates that start open, as F. Gers et al. recommend: the memory is there from the first step.
        self.lstm.bias_ih_l0.data[HIDDEN : 2 * HIDDEN] += 1

    def forward(self, x: minigrad.Tensor) -> minigrad.Tensor:
        _, (h_n, _) = self.lstm(x)
        return self.head(h_n[-1])


def train(max_norm: float) -> tuple[list[float], float]:
    """Train until the goal or the end; the test errors after every hundred steps, and the largest gradient's norm.

    A run whose gradient is no number any more ends there, with an infinite error.
    """
    minigrad.manual_seed(1)
    x, y = arrays(20_000, seed=1)
    test_x, test_y = (minigrad.tensor(a) for a in arrays(1000, seed=2))
    rng = np.random.default_rng(1)
    net, loss_of = Adder(), nn.MSELoss()
    optimizer = optim.SGD(net.parameters(), lr=1.0, momentum=0.9)
    errors: list[float] = []
    largest = 0.0
    for step in range(1, STEPS + 1):
        chosen = rng.integers(0, len(x), BATCH)
        loss = loss_of(net(minigrad.tensor(x[chosen])), minigrad.tensor(y[chosen]))
        optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(net.parameters(), max_norm)
        largest = max(largest, float(norm))
        try:
            optimizer.step()
        except NonFiniteError:
            return [*errors, float("inf")], largest
        if step % 100 == 0:
            with minigrad.no_grad():
                errors.append(loss_of(net(test_x), test_y).item())
            if errors[-1] < GOAL:
                break
    return errors, largest


@pytest.mark.slow
def test_an_lstm_solves_the_adding_problem_with_clipping_and_fails_without() -> None:
    clipped, _ = train(max_norm=0.05)
    assert clipped[0] > 0.12  # at first it answers the mean, or worse
    assert clipped[-1] < GOAL  # 1/17 of what the best constant answer has

    errors, largest = train(max_norm=NEVER)
    assert largest > 100
    assert errors[-1] == float("inf")
    assert min(errors) > 0.12
