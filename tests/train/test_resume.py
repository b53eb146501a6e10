"""A run that is stopped in the middle of an epoch and resumed is, bit for bit, the run that was not stopped."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import datasets, nn, optim
from minigrad.callbacks import Callback, Checkpoint, EarlyStopping, GradientMonitor, LRScheduler
from minigrad.checkpoint import newest, read_checkpoint, save_checkpoint
from minigrad.datasets import transforms
from minigrad.errors import CheckpointError
from minigrad.history import History
from minigrad.optim import lr_scheduler, schedules
from minigrad.random import default_generator
from minigrad.run import Run
from minigrad.state_tree import pack
from minigrad.train import fit

SAMPLES, BATCH = 26, 4  # 7 steps an epoch, the last one with 2 samples
EPOCHS = 3
TOTAL = 21


def model_and_data(prefetch: int = 0) -> tuple[nn.Module, datasets.DataLoader]:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 6), nn.Tanh(), nn.Dropout(0.3), nn.Linear(6, 10))
    digits = datasets.Digits(transform=transforms.RandomShift(1))
    part = datasets.Subset(digits, range(SAMPLES))
    return model, datasets.DataLoader(part, batch_size=BATCH, shuffle=True, prefetch=prefetch)


def small_rate() -> schedules.Schedule:
    return schedules.one_cycle(0.01, TOTAL)


def _muon(model: nn.Module) -> Any:
    return optim.Composite.route(
        model.named_parameters(),
        [
            (lambda name, p: p.ndim == 2, lambda ps: optim.Muon(ps, lr=small_rate())),
            (None, lambda ps: optim.AdamW(ps, lr=3e-3)),
        ],
    )


# What is made in another way than X(parameters, lr=schedule).
SPECIAL: dict[str, Callable[[nn.Module], Any]] = {
    "LBFGS": lambda model: optim.LBFGS(model.parameters(), lr=0.1, max_iter=4),
    "LBFGS, strong Wolfe": lambda model: optim.LBFGS(
        model.parameters(), lr=0.5, max_iter=3, history_size=2, line_search_fn="strong_wolfe"
    ),
    "Muon": _muon,
    "Composite": lambda model: optim.Composite(
        optim.SGD([model[1].weight], lr=0.1, momentum=0.9), optim.Adam([model[1].bias, *model[4].parameters()])
    ),
    "Lookahead": lambda model: optim.Lookahead(optim.Adam(model.parameters(), lr=small_rate()), k=3),
    "SAM": lambda model: optim.SAM(optim.SGD(model.parameters(), lr=small_rate(), momentum=0.9)),
    "SAM, adaptive": lambda model: optim.SAM(optim.AdamW(model.parameters(), lr=0.01), adaptive=True),
    "accumulate": lambda model: optim.accumulate(optim.Adam(model.parameters(), lr=small_rate()), k=2),
    "Lookahead of SAM": lambda model: optim.Lookahead(optim.SAM(optim.Adam(model.parameters(), lr=0.01)), k=2),
    "SGD, PyTorch's Nesterov": lambda model: optim.SGD(model.parameters(), lr=0.02, momentum=0.9, nesterov=True),
    "SGD, look-ahead Nesterov": lambda model: optim.SGD(
        model.parameters(), lr=small_rate(), momentum=0.9, nesterov="lookahead", weight_decay=0.01
    ),
    "RMSprop, centered, momentum": lambda model: optim.RMSprop(
        model.parameters(), lr=0.003, momentum=0.9, centered=True
    ),
    "Adam, amsgrad, two groups": lambda model: optim.Adam(
        [{"params": model[1].parameters(), "lr": 0.02}, {"params": model[4].parameters(), "betas": (0.8, 0.9)}],
        lr=small_rate(),
        amsgrad=True,
    ),
    "Adam, clipped": lambda model: optim.Adam(model.parameters(), lr=0.01, global_clipnorm=0.5),
    "Adafactor, momentum": lambda model: optim.Adafactor(model.parameters(), lr=0.01),
}

CLASSES = {
    name: value
    for name, value in vars(optim).items()
    if name in optim.__all__ and inspect.isclass(value) and issubclass(value, optim.Optimizer)
}
PLAIN = sorted(set(CLASSES) - set(SPECIAL) - {"Optimizer"})


def make_optimizer(name: str, model: nn.Module) -> Any:
    return SPECIAL[name](model) if name in SPECIAL else CLASSES[name](model.parameters(), lr=small_rate())


class StopAt(Callback):
    def __init__(self, step: int) -> None:
        self.at = step

    def on_step(self, run: Run) -> None:
        if run.step == self.at:
            run.stop("the test wants it")


def train(
    name: str, seed: int, folder: Path | None = None, stop: int | None = None, prefetch: int = 0, **options: Any
) -> tuple[nn.Module, Any, History]:
    minigrad.manual_seed(seed)
    model, loader = model_and_data(prefetch)
    optimizer = make_optimizer(name, model)
    callbacks: list[Callback] = [Checkpoint(folder, last=False, every_steps=stop)] if folder else []
    callbacks += [StopAt(stop)] if stop else []
    loss = nn.CrossEntropyLoss()
    history = fit(model, optimizer, loss, loader, EPOCHS, callbacks=callbacks, progress=False, **options)
    return model, optimizer, history


def bits(model: nn.Module) -> dict[str, bytes]:
    return {name: tensor.data.tobytes() for name, tensor in model.state_dict().items()}


def state_bits(part: Any) -> tuple[Any, dict[str, bytes]]:
    arrays: dict[str, np.ndarray] = {}
    return pack(part.state_dict(), "state", arrays), {name: array.tobytes() for name, array in arrays.items()}


def test_every_optimizer_is_in_the_table_below() -> None:
    wrappers = {"SAM", "Lookahead", "Composite", "accumulate"}
    assert wrappers <= set(SPECIAL)
    classes = {name for name in optim.__all__ if inspect.isclass(getattr(optim, name))} - {"Optimizer"}
    assert classes <= set(PLAIN) | set(SPECIAL)
    assert len(PLAIN) >= 20


@pytest.mark.parametrize("name", [*PLAIN, *SPECIAL])
def test_a_resumed_run_is_the_run_that_was_not_stopped(name: str, tmp_path: Path) -> None:
    """Shuffle, augmentation, dropout and schedule go on; step 9 is in the second epoch, after its second batch."""
    whole_model, whole_optimizer, whole = train(name, seed=1)
    _, _, first = train(name, seed=1, folder=tmp_path, stop=9)
    assert len(first.step_losses) == 9
    path = newest(tmp_path)
    assert path is not None
    resumed_model, resumed_optimizer, resumed = train(name, seed=2, resume=path)

    assert bits(resumed_model) == bits(whole_model)
    assert resumed.step_losses == whole.step_losses
    assert resumed.step_lrs == whole.step_lrs
    assert [row.values for row in resumed.rows] == [row.values for row in whole.rows]
    assert state_bits(resumed_optimizer) == state_bits(whole_optimizer)
    assert len(set(whole.step_losses)) == TOTAL  # nothing stands still


@pytest.mark.parametrize("stop", [1, 6, 7, 8, 20])
@pytest.mark.parametrize("prefetch", [0, 3])
def test_it_may_be_stopped_after_any_step(stop: int, prefetch: int, tmp_path: Path) -> None:
    """Step 7 is the last of the first epoch, step 20 the last but one of the run; batches made ahead do not count."""
    whole_model, _, whole = train("AdamW", seed=3, prefetch=prefetch)
    train("AdamW", seed=3, folder=tmp_path, stop=stop, prefetch=prefetch)
    resumed_model, _, resumed = train("AdamW", seed=4, resume=newest(tmp_path), prefetch=2 - prefetch // 2)
    assert bits(resumed_model) == bits(whole_model)
    assert [row.values for row in resumed.rows] == [row.values for row in whole.rows]


def test_a_run_may_be_stopped_again_and_again(tmp_path: Path) -> None:
    whole_model, _, whole = train("RMSprop", seed=3)
    train("RMSprop", seed=3, folder=tmp_path, stop=2)
    for stop in (5, 9, 15):
        train("RMSprop", seed=0, folder=tmp_path, stop=stop, resume=newest(tmp_path))
    resumed_model, _, resumed = train("RMSprop", seed=0, resume=newest(tmp_path))
    assert bits(resumed_model) == bits(whole_model)
    assert resumed.step_losses == whole.step_losses


def test_accumulated_batches_and_clipping_are_resumed(tmp_path: Path) -> None:
    options: dict[str, Any] = {"accumulate": 2, "clip_norm": 0.5}  # 4 steps an epoch
    whole_model, _, whole = train("Adam", seed=5, **options)
    train("Adam", seed=5, folder=tmp_path, stop=6, **options)
    resumed_model, _, resumed = train("Adam", seed=6, resume=newest(tmp_path), **options)
    assert len(whole.step_losses) == 12
    assert bits(resumed_model) == bits(whole_model)
    assert resumed.step_grad_norms == whole.step_grad_norms


def test_a_list_of_batches_goes_on_after_the_last_one_that_was_done(tmp_path: Path) -> None:
    batches = list(datasets.DataLoader(datasets.Subset(datasets.Digits(), range(20)), batch_size=4))

    def run(seed: int, **options: Any) -> nn.Module:
        minigrad.manual_seed(seed)
        model, _ = model_and_data()
        optimizer = optim.Adam(model.parameters())
        fit(model, optimizer, nn.CrossEntropyLoss(), batches, 2, progress=False, **options)
        return model

    whole = run(1)
    run(1, callbacks=[Checkpoint(tmp_path, every_steps=8, last=False), StopAt(8)])
    assert bits(run(2, resume=newest(tmp_path))) == bits(whole)


# ---- schedulers and callbacks -----------------------------------------------------------------------------------

SCHEDULERS: dict[str, tuple[Callable[[Any], Any], dict[str, Any]]] = {
    "StepLR": (lambda o: lr_scheduler.StepLR(o, 3), {"per": "step"}),
    "MultiStepLR": (lambda o: lr_scheduler.MultiStepLR(o, [4, 12]), {"per": "step"}),
    "ConstantLR": (lambda o: lr_scheduler.ConstantLR(o, 0.5, 12), {"per": "step"}),
    "LinearLR": (lambda o: lr_scheduler.LinearLR(o, 0.1, 1.0, 15), {"per": "step"}),
    "ExponentialLR": (lambda o: lr_scheduler.ExponentialLR(o, 0.9), {"per": "step"}),
    "PolynomialLR": (lambda o: lr_scheduler.PolynomialLR(o, 18, 2.0), {"per": "step"}),
    "CosineAnnealingLR": (lambda o: lr_scheduler.CosineAnnealingLR(o, TOTAL), {"per": "step"}),
    "CosineAnnealingWarmRestarts": (lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 4, 2), {"per": "step"}),
    "CyclicLR": (lambda o: lr_scheduler.CyclicLR(o, 1e-3, 1e-2, 4, cycle_momentum=False), {"per": "step"}),
    "OneCycleLR": (lambda o: lr_scheduler.OneCycleLR(o, 1e-2, total_steps=TOTAL + 1), {"per": "step"}),
    "LambdaLR": (lambda o: lr_scheduler.LambdaLR(o, lambda t: 1 / (1 + t)), {"per": "step"}),
    "MultiplicativeLR": (lambda o: lr_scheduler.MultiplicativeLR(o, lambda t: 0.95), {"per": "step"}),
    "SequentialLR": (
        lambda o: lr_scheduler.SequentialLR(
            o, [lr_scheduler.LinearLR(o, 0.1, 1.0, 5), lr_scheduler.ExponentialLR(o, 0.9)], [5]
        ),
        {"per": "step"},
    ),
    "ChainedScheduler": (
        lambda o: lr_scheduler.ChainedScheduler(
            [lr_scheduler.ExponentialLR(o, 0.9), lr_scheduler.ReduceLROnPlateau(o, patience=0, threshold=0.5)]
        ),
        {"monitor": "test_loss"},
    ),
    "ReduceLROnPlateau": (
        lambda o: lr_scheduler.ReduceLROnPlateau(o, patience=0, threshold=0.5),
        {"monitor": "train_loss"},
    ),
    "SWALR": (lambda o: lr_scheduler.SWALR(o, 1e-4, 12), {"per": "step"}),
}


@pytest.mark.parametrize("name", SCHEDULERS)
def test_schedulers_are_resumed(name: str, tmp_path: Path) -> None:
    make, options = SCHEDULERS[name]

    def run(seed: int, *callbacks: Callback, resume: Any = None) -> tuple[nn.Module, History, Any]:
        minigrad.manual_seed(seed)
        model, loader = model_and_data()
        optimizer = optim.AdamW(model.parameters(), lr=0.01)
        scheduler = make(optimizer)
        history = fit(
            model, optimizer, nn.CrossEntropyLoss(), loader, EPOCHS, loader.dataset, progress=False, resume=resume,
            callbacks=[LRScheduler(scheduler, **options), *callbacks],
        )  # fmt: skip
        return model, history, scheduler

    model, whole, scheduler = run(1)
    run(1, Checkpoint(tmp_path, every_steps=10, last=False), StopAt(10))
    resumed_model, resumed, resumed_scheduler = run(2, resume=newest(tmp_path))
    assert resumed.step_lrs == whole.step_lrs
    assert len(set(whole.step_lrs)) > 1
    assert bits(resumed_model) == bits(model)
    assert resumed_scheduler.state_dict() == scheduler.state_dict()


def test_callbacks_go_on_with_what_they_know(tmp_path: Path) -> None:
    def run(seed: int, *more: Callback, resume: Any = None) -> tuple[nn.Module, EarlyStopping, GradientMonitor]:
        minigrad.manual_seed(seed)
        model, loader = model_and_data()
        optimizer = optim.SGD(model.parameters(), lr=3.0)  # so large that the test loss goes up and down
        stopping = EarlyStopping("test_loss", patience=50, restore_best=True)
        monitor = GradientMonitor(every=2)
        fit(
            model, optimizer, nn.CrossEntropyLoss(), loader, 8, loader.dataset, progress=False, resume=resume,
            callbacks=[stopping, monitor, *more],
        )  # fmt: skip
        return model, stopping, monitor

    model, stopping, monitor = run(1)
    assert stopping.best_epoch < 8
    for name, folder, stop in (("before the best epoch", tmp_path / "a", 2), ("after it", tmp_path / "b", 52)):
        run(1, Checkpoint(folder, every_steps=stop, last=False), StopAt(stop))
        path = newest(folder)
        resumed_model, resumed_stopping, resumed_monitor = run(2, resume=path)
        assert bits(resumed_model) == bits(model), name
        assert vars(resumed_stopping)["best"] == stopping.best
        assert resumed_stopping.best_epoch == stopping.best_epoch
        assert resumed_stopping.waited == stopping.waited
        assert resumed_monitor.norms == monitor.norms
        assert resumed_monitor.steps == monitor.steps == list(range(2, 57, 2))


# ---- a loop of one's own ----------------------------------------------------------------------------------------


def test_a_loop_by_hand_is_resumed_too(tmp_path: Path) -> None:
    def begin(seed: int) -> tuple[nn.Module, Any, datasets.DataLoader]:
        minigrad.manual_seed(seed)
        model, loader = model_and_data(prefetch=2)
        return model, optim.NAdam(model.parameters(), lr=0.01), loader

    def loop(model: nn.Module, optimizer: Any, loader: datasets.DataLoader, step: int, save_at: int | None) -> None:
        while step < 14:
            for x, y in loader:
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(x), y).backward()
                optimizer.step()
                step += 1
                if step == save_at:
                    save_checkpoint(
                        tmp_path / "hand.safetensors", model=model, optimizer=optimizer, loader=loader,
                        extra={"step": step},
                    )  # fmt: skip
                    return

    whole = begin(1)
    loop(*whole, 0, None)
    loop(*begin(1), 0, 9)
    model, optimizer, loader = begin(2)
    checkpoint = read_checkpoint(tmp_path / "hand.safetensors")
    checkpoint.restore(model=model, optimizer=optimizer, loader=loader, generator=default_generator)
    loop(model, optimizer, loader, checkpoint.extra["step"], None)
    assert bits(model) == bits(whole[0])


def test_generators_of_the_loader_and_of_modules_are_resumed(tmp_path: Path) -> None:
    class Noisy(nn.Module):
        def __init__(self, seed: int) -> None:
            super().__init__()
            self.noise = minigrad.Generator(seed)
            self.inner = nn.Linear(2, 2)

        def forward(self, x: Any) -> Any:
            return self.inner(x + minigrad.randn(*x.shape, generator=self.noise))

    model, own = Noisy(1), minigrad.Generator(5)
    loader = datasets.DataLoader(list(np.arange(20.0)), batch_size=3, shuffle=True, generator=7)
    batches = iter(loader)
    for _ in range(3):
        next(batches)
    model(minigrad.zeros(1, 2))
    own.numpy.random(3)
    path = save_checkpoint(tmp_path / "a.safetensors", model=model, loader=loader, generator=own)
    expected = [batch.tolist() for batch in batches], model.noise.numpy.random(), own.numpy.random()

    again, other = Noisy(2), minigrad.Generator(6)
    new_loader = datasets.DataLoader(list(np.arange(20.0)), batch_size=3, shuffle=True, generator=8)
    read_checkpoint(path).restore(model=again, loader=new_loader, generator=other)
    assert ([batch.tolist() for batch in new_loader], again.noise.numpy.random(), other.numpy.random()) == expected


# ---- what does not fit --------------------------------------------------------------------------------------------


def test_a_checkpoint_of_another_run_changes_nothing(tmp_path: Path) -> None:
    train("Adam", seed=1, folder=tmp_path, stop=3)
    path = newest(tmp_path)
    assert path is not None
    minigrad.manual_seed(9)
    model, loader = model_and_data()
    cases: dict[str, tuple[Any, Any, str]] = {
        "optimizer": (optim.AdamW(model.parameters()), loader, "of the class 'Adam', and the one given is 'AdamW'"),
        "loader": (
            optim.Adam(model.parameters()),
            datasets.DataLoader(loader.dataset, batch_size=5, shuffle=True),
            "batch_size=5, got 4",
        ),
    }
    before = bits(model), default_generator.get_state()
    for optimizer, data, message in cases.values():
        stopping = EarlyStopping()
        with pytest.raises(CheckpointError, match=message):
            fit(model, optimizer, nn.CrossEntropyLoss(), data, 3, progress=False, resume=path, callbacks=[stopping])
        assert (bits(model), default_generator.get_state()) == before
        assert optimizer.state_dict()["state"] == {}
        assert data.position == 0


def test_a_checkpoint_that_fit_did_not_write_says_what_to_do(tmp_path: Path) -> None:
    model, loader = model_and_data()
    path = save_checkpoint(tmp_path / "a.safetensors", model=model)
    with pytest.raises(CheckpointError, match=r"Apply it with restore\(\)"):
        fit(model, optim.SGD(model.parameters()), nn.CrossEntropyLoss(), loader, 1, progress=False, resume=path)


def test_a_run_that_was_interrupted_while_an_epoch_was_measured_does_not_train_it_twice(tmp_path: Path) -> None:
    class Stop:
        def __iter__(self) -> Any:
            raise KeyboardInterrupt

    def run(test_data: Any, **options: Any) -> tuple[History, np.ndarray]:
        minigrad.manual_seed(0)
        model, data = model_and_data()
        optimizer = optim.Adam(model.parameters(), lr=0.01)
        found = fit(model, optimizer, nn.CrossEntropyLoss(), data, 2, test_data, progress=False, **options)
        return found, np.concatenate([p.detach().numpy().ravel() for p in model.parameters()])

    whole, expected = run(None)
    stopped, _ = run(Stop(), callbacks=[Checkpoint(tmp_path)])
    assert stopped.interrupted
    assert len(stopped.step_losses) == 7
    resumed, parameters = run(None, callbacks=[Checkpoint(tmp_path)], resume=newest(tmp_path))
    assert resumed.step_losses == whole.step_losses
    assert parameters.tobytes() == expected.tobytes()
