"""Small networks and a plain training loop for the scripts of this folder."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

import minigrad
from minigrad import datasets, nn
from minigrad.errors import DataError
from minigrad.nn import functional as F


class Data(NamedTuple):
    """Training and test data as arrays: images as rows (N, pixels), labels (N,)."""

    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    name: str


def digits() -> Data:
    """The handwritten digits that come with minigrad: 1,437 to train with and 360 to test with, 8x8 pixels."""
    return _arrays(datasets.Digits(train=True), datasets.Digits(train=False), "digits")


def fashion(samples: int, test_samples: int) -> Data:
    """The first images of Fashion-MNIST where its files are found (MINIGRAD_DATA), else the digits."""
    try:
        data = _arrays(datasets.FashionMNIST(train=True), datasets.FashionMNIST(train=False), "Fashion-MNIST")
    except DataError:
        data = digits()
    return Data(data.x[:samples], data.y[:samples], data.x_test[:test_samples], data.y_test[:test_samples], data.name)


def _arrays(train: Any, test: Any, name: str) -> Data:
    parts = []
    for part in (train, test):
        parts += [(part.images.reshape(len(part), -1) / part.white).astype(np.float32), part.labels]
    # The network sees numbers of mean 0 and variance 1.
    mean, std = parts[0].mean(), parts[0].std()
    return Data((parts[0] - mean) / std, parts[1], (parts[2] - mean) / std, parts[3], name)


def noisy_labels(data: Data, fraction: float, seed: int) -> Data:
    """The data with a fraction of the training labels replaced by random ones; the test labels stay true."""
    rng = np.random.default_rng(seed)
    wrong = rng.random(len(data.y)) < fraction
    return data._replace(y=np.where(wrong, rng.integers(0, 10, len(data.y)), data.y))


class MLP(nn.Module):
    """Linear layers of the given sizes, with an activation between them."""

    def __init__(
        self,
        sizes: Iterable[int],
        activation: Callable[[Any], Any] = F.relu,
        init: Callable[[Any], Any] = lambda weight: nn.init.kaiming_normal_(weight, nonlinearity="relu"),
    ) -> None:
        super().__init__()
        sizes = list(sizes)
        self.layers = [nn.Linear(n_in, n_out) for n_in, n_out in itertools.pairwise(sizes)]
        self.activation = activation
        for i, layer in enumerate(self.layers):
            setattr(self, f"layer{i}", layer)  # found as a submodule
            init(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Any) -> Any:
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
        return self.layers[-1](x)


@dataclass
class Run:
    """What a training run went through."""

    losses: list[float] = field(default_factory=list)  # of each step's batch
    test_losses: list[float] = field(default_factory=list)  # after each epoch
    test_accuracies: list[float] = field(default_factory=list)
    diverged: bool = False

    @property
    def accuracy(self) -> float:
        """After the last epoch; of a diverged run 0.1, which is guessing."""
        return 0.1 if self.diverged else self.test_accuracies[-1]

    @property
    def test_loss(self) -> float:
        return math.inf if self.diverged else self.test_losses[-1]

    def final_loss(self, steps: int) -> float:
        """The mean training loss of the last steps."""
        return math.inf if self.diverged else float(np.mean(self.losses[-steps:]))


def train(
    model: nn.Module,
    optimizer: Any,
    data: Data,
    epochs: int,
    batch_size: int,
    seed: int,
    on_step: Callable[[int], None] | None = None,
    measure: bool = True,
) -> Run:
    """Train a classifier; a run whose loss is NaN or above 1,000 ends there.

    Parameters
    ----------
    on_step : function of the step's number, called between backward and the update, optional
    measure : whether to test after each epoch, or only after the last
    """
    run = Run()
    rng = np.random.default_rng(seed)
    step = 0
    for epoch in range(epochs):
        order = rng.permutation(len(data.x))
        # The last, smaller batch is left out, so that every step averages over the same number.
        for start in range(0, len(order) - batch_size + 1, batch_size):
            batch = order[start : start + batch_size]
            loss = F.cross_entropy(model(minigrad.from_numpy(data.x[batch])), minigrad.from_numpy(data.y[batch]))
            run.losses.append(loss.item())
            if not run.losses[-1] < 1000:
                run.diverged = True
                return run
            optimizer.zero_grad()
            loss.backward()
            if on_step is not None:
                on_step(step)
            optimizer.step()
            step += 1
        if measure or epoch == epochs - 1:
            loss_value, accuracy = test(model, data.x_test, data.y_test)
            run.test_losses.append(loss_value)
            run.test_accuracies.append(accuracy)
            if not loss_value < 1000:
                run.diverged = True
                return run
    return run


def test(model: nn.Module, x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Mean loss and accuracy."""
    with minigrad.no_grad():
        scores = model(minigrad.from_numpy(x))
        loss = F.cross_entropy(scores, minigrad.from_numpy(y)).item()
    return loss, float((scores.data.argmax(1) == y).mean())


def best(rates: Iterable[float], score: Callable[[float], float]) -> tuple[float, dict[float, float]]:
    """The learning rate with the lowest score, and the score of each: the same budget for whatever is compared."""
    scores = {rate: score(rate) for rate in rates}
    return min(scores, key=lambda rate: scores[rate]), scores
