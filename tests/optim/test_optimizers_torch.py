"""Each optimizer that PyTorch has, against PyTorch live: random settings, 100 steps, and what happens in a real run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import optim
from minigrad.backward import accumulate

torch = pytest.importorskip("torch")

# Each run has two groups of different random settings: 20 configurations of each class, in each dtype.
RUNS = 10
STEPS = 100
SHAPES = [(3, 4), (5,), (2, 3, 2, 2), ()]
MATRICES = [(3, 4), (6, 2), (5, 5)]


def either(rng: np.random.Generator, *values: Any) -> Any:
    return values[rng.integers(len(values))]


def betas(rng: np.random.Generator) -> tuple[float, float]:
    return float(rng.uniform(0.0, 0.95)), float(rng.uniform(0.5, 0.999))


def decay(rng: np.random.Generator) -> float:
    return either(rng, 0.0, 0.01, 0.1)


def sgd(rng):
    momentum = either(rng, 0.0, 0.5, 0.9)
    nesterov = bool(momentum and rng.random() < 0.5)
    dampening = 0.0 if nesterov else either(rng, 0.0, 0.3)
    return {"lr": rng.uniform(0.001, 0.1), "momentum": momentum, "nesterov": nesterov, "dampening": dampening,
            "weight_decay": decay(rng)}  # fmt: skip


def adam(rng):
    return {"lr": rng.uniform(1e-4, 0.1), "betas": betas(rng), "eps": either(rng, 1e-8, 1e-3),
            "weight_decay": decay(rng), "amsgrad": bool(rng.integers(2))}  # fmt: skip


def adamax(rng):
    return {
        "lr": rng.uniform(1e-4, 0.1),
        "betas": betas(rng),
        "weight_decay": decay(rng),
        "eps": either(rng, 1e-8, 1e-3),
    }


def nadam(rng):
    return {"lr": rng.uniform(1e-4, 0.1), "betas": betas(rng), "weight_decay": decay(rng),
            "momentum_decay": either(rng, 0.0, 4e-3, 0.1), "decoupled_weight_decay": bool(rng.integers(2))}  # fmt: skip


def radam(rng):
    return {"lr": rng.uniform(1e-4, 0.1), "betas": betas(rng), "weight_decay": decay(rng),
            "decoupled_weight_decay": bool(rng.integers(2))}  # fmt: skip


def adagrad(rng):
    return {"lr": rng.uniform(0.001, 0.1), "lr_decay": either(rng, 0.0, 0.05), "weight_decay": decay(rng),
            "initial_accumulator_value": either(rng, 0.0, 0.5), "eps": either(rng, 1e-10, 1e-3)}  # fmt: skip


def rmsprop(rng):
    # A centered variance of nearly nothing plus a small eps amplifies rounding: not a question of the formula.
    return {"lr": rng.uniform(1e-4, 0.01), "alpha": rng.uniform(0.8, 0.99), "eps": either(rng, 1e-3, 1e-2),
            "weight_decay": decay(rng), "momentum": either(rng, 0.0, 0.9),
            "centered": bool(rng.integers(2))}  # fmt: skip


def adadelta(rng):
    return {"lr": rng.uniform(0.1, 2.0), "rho": rng.uniform(0.5, 0.99), "eps": either(rng, 1e-6, 1e-3),
            "weight_decay": decay(rng)}  # fmt: skip


def asgd(rng):
    return {"lr": rng.uniform(0.001, 0.1), "lambd": either(rng, 1e-4, 0.1), "alpha": either(rng, 0.75, 1.0),
            "t0": either(rng, 1e6, 10.0), "weight_decay": decay(rng)}  # fmt: skip


def rprop(rng):
    return {"lr": rng.uniform(1e-3, 0.1), "etas": either(rng, (0.5, 1.2), (0.3, 1.5)),
            "step_sizes": either(rng, (1e-6, 50.0), (1e-3, 0.05))}  # fmt: skip


def adafactor(rng):
    return {"lr": rng.uniform(1e-3, 0.1), "beta2_decay": either(rng, -0.8, -0.5),
            "eps": either(rng, (None, 1e-3), (1e-4, 0.1)),
            "d": either(rng, 1.0, 2.0), "weight_decay": decay(rng)}  # fmt: skip


def muon(rng):
    return {"lr": rng.uniform(1e-3, 0.05), "weight_decay": decay(rng), "momentum": either(rng, 0.0, 0.9, 0.95),
            "nesterov": bool(rng.integers(2)), "ns_steps": either(rng, 3, 5),
            "adjust_lr_fn": either(rng, None, "original", "match_rms_adamw")}  # fmt: skip


CLASSES = {
    "SGD": sgd,
    "Adam": adam,
    "AdamW": adam,
    "Adamax": adamax,
    "NAdam": nadam,
    "RAdam": radam,
    "Adagrad": adagrad,
    "RMSprop": rmsprop,
    "Adadelta": adadelta,
    "ASGD": asgd,
    "Rprop": rprop,
    "Adafactor": adafactor,
    "Muon": muon,
}
WITHOUT_MAXIMIZE = ("Muon",)
OURS = {"Adagrad": {"eps_in_sqrt": False}, "RMSprop": {"eps_in_sqrt": False}}


class Pair:
    """The same run in both libraries: two groups of different settings over five parameters."""

    def __init__(self, name: str, seed: int, dtype: str) -> None:
        rng = self.rng = np.random.default_rng(seed)
        shapes = MATRICES if name == "Muon" else SHAPES
        values = [np.asarray(rng.standard_normal(shape), dtype) for shape in shapes]
        self.theirs = [torch.tensor(value, requires_grad=True) for value in values]
        self.ours = [minigrad.tensor(value, requires_grad=True) for value in values]
        self.reach = [0.0] * len(shapes)
        draw = CLASSES[name]
        settings = [draw(rng), draw(rng)]
        common = {} if name in WITHOUT_MAXIMIZE else {"maximize": bool(rng.random() < 0.2)}
        for setting in settings:  # PyTorch reads this one from the constructor alone, not from the groups
            if "initial_accumulator_value" in setting:
                common["initial_accumulator_value"] = setting.pop("initial_accumulator_value")
        self.their_optimizer = getattr(torch.optim, name)(
            [{"params": self.theirs[:2], **settings[0]}, {"params": self.theirs[2:], **settings[1]}], **common
        )
        self.our_optimizer = getattr(optim, name)(
            [{"params": self.ours[:2], **settings[0]}, {"params": self.ours[2:], **settings[1]}],
            **common, **OURS.get(name, {}),
        )  # fmt: skip

    def give_gradients(self) -> None:
        """Random ones; sometimes None, sometimes zero, sometimes added up over two backward passes."""
        for ours, theirs in zip(self.ours, self.theirs, strict=True):
            fate = self.rng.random()
            if fate < 0.05:
                continue
            g = np.asarray(self.rng.standard_normal(ours.shape) * (0.0 if fate < 0.1 else 1.0), ours.dtype)
            accumulate(ours, g)  # what backward does with the gradient of a leaf
            theirs.grad = torch.tensor(g)
            if fate > 0.9:
                accumulate(ours, g)
                theirs.grad += torch.tensor(g)

    def intervene(self) -> None:
        """What users do in mid-run: change a rate, change parameters in place."""
        for a, b in zip(self.our_optimizer.param_groups, self.their_optimizer.param_groups, strict=True):
            a["lr"] *= 0.5
            b["lr"] *= 0.5
        with minigrad.no_grad(), torch.no_grad():
            self.ours[0].copy_(self.ours[0] * 0.5)
            self.theirs[0].copy_(self.theirs[0] * 0.5)

    def run(self, steps: int) -> None:
        for t in range(steps):
            if t == 50:
                self.intervene()
            self.our_optimizer.zero_grad()
            self.their_optimizer.zero_grad()
            self.give_gradients()
            self.our_optimizer.step()
            self.their_optimizer.step()
            self.reach = [max(r, abs(p.data).max()) for r, p in zip(self.reach, self.ours, strict=True)]

    def distance(self) -> float:
        """The largest difference, relative to the largest value that its tensor had on the way."""
        pairs = [(ours.data, theirs.detach().numpy()) for ours, theirs in zip(self.ours, self.theirs, strict=True)]
        return max(np.abs(a - b).max() / reach for (a, b), reach in zip(pairs, self.reach, strict=True))


@pytest.fixture
def double_scalars():
    """PyTorch keeps scalar state (NAdam's product, ASGD's rate) in the default dtype: compare float64 with float64."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture(autouse=True)
def newton_schulz_in_full_precision(monkeypatch):
    """PyTorch's Muon rounds its iterations to bfloat16; here both compute in the dtype of the parameters."""
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)


@pytest.mark.parametrize("seed", range(RUNS))
@pytest.mark.parametrize("name", CLASSES)
def test_float64_runs_agree_with_pytorch_to_1e_10(name, seed, double_scalars):
    pair = Pair(name, seed, "float64")
    pair.run(STEPS)
    assert pair.distance() < 1e-10


@pytest.mark.parametrize("seed", range(RUNS))
@pytest.mark.parametrize("name", CLASSES)
def test_float32_runs_agree_with_pytorch_to_1e_5(name, seed):
    pair = Pair(name, seed, "float32")
    pair.run(STEPS)
    assert pair.distance() < 1e-5
