"""A training run, from the settings that decide it to the objects that carry it out.

`train`, `compare` and `lr-find` all come through here, so equal settings mean the same numbers in each of them.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import minigrad
from minigrad import datasets, nn
from minigrad.commands import build, tasks
from minigrad.commands.spec import parse
from minigrad.errors import CheckpointError
from minigrad.history import History
from minigrad.train import fit

__all__ = ["Experiment", "Settings", "folder_name", "prepare", "settle", "train"]

# Sets up to this size go through a full-batch optimizer whole, unless --batch-size says otherwise.
FULL_BATCH = 10_000


_KINDS: dict[str, Any] = {
    "str": str,
    "int": int,
    "float": int | float,
    "float | None": int | float | None,
    "tuple[str, ...]": tuple,
}


@dataclass(frozen=True)
class Settings:
    """All that decides what a run computes. What does not (threads, folders) is not part of it."""

    dataset: str
    model: str
    optimizer: str
    lr: float
    schedule: str
    epochs: int
    batch_size: int
    seed: int
    clip_norm: float | None
    accumulate: int
    augment: tuple[str, ...]

    @classmethod
    def from_values(cls, values: Any) -> Settings:
        """The settings from a dictionary out of a file, where nothing is taken on trust.

        Raises
        ------
        CheckpointError
            A value is missing, or is not of its type.
        """
        try:
            settings = cls(**{**values, "augment": tuple(values["augment"])})
        except (TypeError, KeyError) as error:
            raise CheckpointError(
                f"the settings cannot be read ({error}). They were not written by this version."
            ) from error
        for field in dataclasses.fields(cls):
            value = getattr(settings, field.name)
            if isinstance(value, bool) or not isinstance(value, _KINDS[str(field.type)]):
                raise CheckpointError(f"the settings cannot be read: {field.name} is {value!r:.60}.")
        return settings

    @property
    def label(self) -> str:
        return f"{self.optimizer}, {self.schedule}"


@dataclass
class Experiment:
    """The objects of a run that has not begun."""

    settings: Settings
    data: tasks.Data
    model: nn.Module
    loss: nn.Module
    batches: datasets.DataLoader
    test_batches: datasets.DataLoader
    optimizer: Any
    generator: minigrad.Generator

    @property
    def steps(self) -> int:
        """How many optimizer steps the whole run makes."""
        return self.settings.epochs * math.ceil(len(self.batches) / self.settings.accumulate)


def settle(arguments: Any, data: tasks.Data) -> Settings:
    """The settings that the options of a command stand for, with the dataset's defaults where they are silent."""
    task = tasks.TASKS[data.name]
    optimizer = arguments.optimizer or task.optimizer
    lr = task.lr if arguments.optimizer is None and arguments.lr is None else arguments.lr
    choice = build.choice_of(optimizer)
    batch_size = arguments.batch_size
    if batch_size is None:
        whole = choice.full_batch and len(data.train) <= FULL_BATCH
        batch_size = len(data.train) if whole else task.batch_size
    return Settings(
        dataset=arguments.dataset,
        model=arguments.model or task.model,
        optimizer=optimizer,
        lr=build.peak_lr(optimizer, lr),
        schedule=arguments.schedule or choice.schedule,
        epochs=arguments.epochs or task.epochs,
        batch_size=batch_size,
        seed=arguments.seed or 0,
        clip_norm=arguments.clip_norm,
        accumulate=arguments.accumulate or 1,
        augment=tuple(arguments.augment or ()),
    )


def prepare(settings: Settings, data: tasks.Data) -> Experiment:
    """Build everything that the run needs, from its seed.

    Raises
    ------
    ArgumentError
        A model, an optimizer or a schedule does not exist or does not take its options.
    """
    generator = minigrad.manual_seed(settings.seed)
    model = build.build_model(settings.model, data.input_shape, data.outputs)
    batches = datasets.DataLoader(data.train, batch_size=settings.batch_size, shuffle=True, generator=generator)
    test_batches = datasets.DataLoader(data.test, batch_size=500)
    steps = settings.epochs * math.ceil(len(batches) / settings.accumulate)
    schedule = build.build_schedule(settings.schedule, settings.lr, steps)
    optimizer = build.build_optimizer(settings.optimizer, model, schedule)
    return Experiment(settings, data, model, data.loss, batches, test_batches, optimizer, generator)


def folder_name(dataset: str) -> str:
    """A dataset's name as part of a file name: `spirals:classes=5` without its options."""
    return parse(dataset, "DATASET").name


def train(experiment: Experiment, **options: Any) -> History:
    """Carry the run out; `options` are those arguments of `fit` that do not change what it computes."""
    settings = experiment.settings
    return fit(
        experiment.model,
        experiment.optimizer,
        experiment.loss,
        experiment.batches,
        settings.epochs,
        experiment.test_batches,
        settings.clip_norm,
        metrics=experiment.data.metrics,
        accumulate=settings.accumulate,
        **options,
    )
