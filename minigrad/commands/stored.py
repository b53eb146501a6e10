"""A trained model from the file that `train` wrote: its weights, and the words from which it is built again."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import minigrad
from minigrad import nn
from minigrad.checkpoint import read_checkpoint
from minigrad.commands import build, tasks
from minigrad.commands.experiment import Settings
from minigrad.commands.spec import parse
from minigrad.errors import ArgumentError, CheckpointError, MinigradError
from minigrad.tensor import from_numpy
from minigrad.tensor_file import read_tensors

__all__ = ["CHECKPOINT", "WEIGHTS", "Stored", "about", "read"]

# What `train` calls its files.
CHECKPOINT, WEIGHTS = "last.safetensors", "model.safetensors"

# Samples with more numbers than this are not what a file of this package describes.
LARGEST_SAMPLE = 1_000_000


def about(settings: Settings, data: tasks.Data) -> dict[str, Any]:
    """What is written into a file so that its model can be built again without the dataset."""
    return {
        "version": minigrad.__version__,
        "dataset": settings.dataset,
        "model": settings.model,
        "input_shape": list(data.input_shape),
        "outputs": data.outputs,
        "classes": list(data.classes),
        "settings": {**asdict(settings), "augment": list(settings.augment)},
    }


@dataclass(frozen=True)
class Stored:
    """Weights from a file; what `about` said of them, or None for a file that was not written by `train`."""

    path: Path
    arrays: dict[str, np.ndarray]
    dataset: str | None = None
    model: str | None = None
    input_shape: tuple[int, ...] = ()
    outputs: int = 0
    classes: tuple[str, ...] = ()

    def build(self, model: str | None, input_shape: tuple[int, ...], outputs: int) -> nn.Module:
        """The model with its weights, in evaluation mode.

        Parameters
        ----------
        model : str or None
            `--model`, which says what the file cannot: a model that comes from a Python file is only run when the user
            names it, never because a checkpoint does.
        input_shape, outputs
            See `build.build_model`.
        """
        name = model or self.model
        if name is None:
            raise ArgumentError(
                f"--checkpoint: {self.path} does not say which model it holds. Name it: --model NAME, or "
                "--model path/to/file.py:function."
            )
        if model is None and build.is_file(name):
            raise ArgumentError(
                f"--checkpoint: the model in {self.path} was made by {name}, and a checkpoint runs no code. "
                f"If you trust the file, add --model {name}"
            )
        network = build.build_model(name, input_shape, outputs)
        try:
            network.load_state_dict({key: from_numpy(array) for key, array in self.arrays.items()})
        except MinigradError as error:
            raise CheckpointError(f"the weights in {self.path} are not those of the model {name}: {error}") from error
        return network.eval()


def read(path: str) -> Stored:
    """Read a checkpoint, a file of weights, or the folder of a run.

    Raises
    ------
    ArgumentError, CheckpointError
        The file is missing; damaged, or something else.
    """
    file = Path(path)
    if not file.exists():
        raise ArgumentError(f"--checkpoint: there is no {path}. Give the file or the folder that `train` wrote.")
    if file.is_dir():
        file = next((file / name for name in (WEIGHTS, CHECKPOINT) if (file / name).is_file()), file / WEIGHTS)
    content = read_tensors(file, "--checkpoint")
    if content.checked:
        checkpoint = read_checkpoint(file)
        return _described(file, checkpoint.model, checkpoint.about)
    try:
        words = json.loads(content.metadata.get("minigrad", "{}"))
    except ValueError:
        words = {}
    return _described(file, content.arrays, words if isinstance(words, dict) else {})


def _described(file: Path, arrays: dict[str, np.ndarray], words: dict[str, Any]) -> Stored:
    if "input_shape" not in words:
        return Stored(file, arrays)
    shape, outputs, classes = words["input_shape"], words.get("outputs"), words.get("classes")
    dataset, model = words.get("dataset"), words.get("model")
    # A width that is in no array of the file would only make a model that takes much memory.
    largest = max((n for array in arrays.values() for n in array.shape), default=0)
    if not (
        isinstance(shape, list | tuple)
        and all(type(n) is int and n > 0 for n in shape)
        and math.prod(shape) <= LARGEST_SAMPLE
        and type(outputs) is int
        and 0 < outputs <= largest
        and isinstance(classes, list | tuple)
        and all(isinstance(name, str) for name in classes)
        and len(classes) in (0, outputs)
        and isinstance(dataset, str)
        and isinstance(model, str)
        and all(number <= largest for number in _numbers(model))
    ):
        raise CheckpointError(f"{file}: what it says of its model makes no sense. It was not written by `train`.")
    return Stored(file, arrays, dataset, model, tuple(shape), outputs, tuple(classes))


def _numbers(model: str) -> list[float]:
    """The numbers among the options of a model."""
    values = parse(model, "--checkpoint").options.values()
    flat = [number for value in values for number in (value if isinstance(value, tuple) else (value,))]
    return [number for number in flat if isinstance(number, int | float)]
