"""Checkpoints: everything that a training run needs to go on bit for bit, in one safetensors file.

    save_checkpoint("run/last.safetensors", model=model, optimizer=optimizer, loader=batches)
    ...
    checkpoint = read_checkpoint("run/last.safetensors")
    checkpoint.restore(model=model, optimizer=optimizer, loader=batches, generator=default_generator)

The arrays of the model and of the optimizer are arrays of the file, with names such as `model.0.weight` and
`optimizer.state.0.exp_avg`; the rest is JSON in its metadata (`state_tree.py`). So nothing in a checkpoint can run,
any safetensors reader can look into it, and `minigrad.load` reads its arrays. A checksum of the whole file tells damage
from content (`tensor_file.py`), and a file is put in place in one step (`io.py`): a checkpoint that is there is whole.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from minigrad import __version__
from minigrad.errors import CheckpointError, MinigradError
from minigrad.io import replacing
from minigrad.nn.module import Module
from minigrad.optim.saved import without_copies
from minigrad.random import Generator, default_generator
from minigrad.state_tree import pack, unpack
from minigrad.tensor_file import parse_json, read_tensors, write_tensors

__all__ = ["MISFITS", "SUFFIX", "Checkpoint", "newest", "read_checkpoint", "save_checkpoint"]

#: What the names of checkpoint files end in.
SUFFIX = ".safetensors"

_FORMAT = 1
_PARTS = ("model", "optimizer", "scheduler", "loader", "random", "history", "extra", "about", "made_with")

#: What a damaged state can make the code raise that loads it.
MISFITS = (MinigradError, AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError)


def save_checkpoint(
    path: str | os.PathLike[str],
    *,
    model: Module,
    optimizer: Any = None,
    scheduler: Any = None,
    loader: Any = None,
    generator: Generator | None = None,
    history: Any = None,
    extra: Mapping[str, Any] | None = None,
    about: Mapping[str, Any] | None = None,
) -> Path:
    """Write a checkpoint: the whole file or, whatever happens, nothing.

    Save between two steps: gradients are not part of a checkpoint.

    Parameters
    ----------
    path : str or path-like
        The file. One that is there is replaced in one step.
    model : Module
        Its parameters and buffers, and the generators among its modules' attributes.
    optimizer, scheduler, loader, history : optional
        Anything with `state_dict()`.
    generator : Generator, optional
        One that the run draws from, beside the default generator, which is always saved, and the loader's own.
    extra : mapping, optional
        More state, of tensors, numbers, strings, lists, tuples and dicts; for example that of your own loop.
    about : mapping, optional
        What somebody who finds the file needs to know: the model's name and arguments, the dataset, the options.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    DTypeError
        For something in a state that cannot be saved; its place is named.
    OSError
        When the file cannot be written; an old one is still there then.

    Examples
    --------
    >>> import tempfile
    >>> from minigrad import nn, optim
    >>> model = nn.Linear(3, 2)
    >>> optimizer = optim.Adam(model.parameters(), lr=0.1)
    >>> path = save_checkpoint(tempfile.mkdtemp() + "/a.safetensors", model=model, optimizer=optimizer)
    >>> sorted(read_checkpoint(path).model)
    ['bias', 'weight']
    """
    given = {"optimizer": optimizer, "scheduler": scheduler, "loader": loader, "history": history}
    random: dict[str, Any] = {
        "default": default_generator.get_state(),
        "model": {name: one.get_state() for name, one in _generators_of(model).items()},
    }
    if generator is not None and generator is not default_generator:
        random["generator"] = generator.get_state()
    tree: dict[str, Any] = {
        "model": model.state_dict(),
        **{name: without_copies(part) for name, part in given.items() if part is not None},
        "random": random,
        "extra": extra or {},
        "about": about or {},
        "made_with": {"minigrad": __version__, "optimizer": _class_of(optimizer), "scheduler": _class_of(scheduler)},
    }
    arrays: dict[str, np.ndarray] = {}
    packed = {"checkpoint": _FORMAT, **{name: pack(part, name, arrays) for name, part in tree.items()}}
    text = json.dumps(packed, separators=(",", ":"), allow_nan=False)
    with replacing(path) as file:
        write_tensors(file, arrays, {"minigrad": text}, checksum=True)
    return Path(path)


def read_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read and check a checkpoint; nothing is applied yet.

    Memory stays within a small multiple of the file's size, whatever the file says.

    Raises
    ------
    CheckpointError
        When the file is missing, cut, damaged, or not a checkpoint.
    """
    file = read_tensors(path, "read_checkpoint")
    text = file.metadata.get("minigrad")
    if text is None or not file.checked:
        raise CheckpointError(
            f"read_checkpoint: expected a checkpoint, got {path}, a safetensors file of another kind. "
            "minigrad.load reads its tensors."
        )
    try:
        packed = parse_json(text)
        if not isinstance(packed, dict):
            raise ValueError("its description is not a dictionary")
        if (version := packed.pop("checkpoint", None)) != _FORMAT:
            raise ValueError(f"it has the format {version!r:.20}, and this version reads format {_FORMAT}")
        tree = unpack(packed, file.arrays)
        if not tree.keys() <= set(_PARTS) or not all(isinstance(part, dict) for part in tree.values()):
            raise ValueError(f"it has the parts {', '.join(tree):.200}")
        model = tree.pop("model", None)
        if model is None or not all(isinstance(value, np.ndarray) for value in model.values()):
            raise ValueError("its model is not a dictionary of arrays")
    except (ValueError, RecursionError) as error:
        raise CheckpointError(
            f"read_checkpoint: expected a checkpoint, got {path}, which is damaged or of another version: {error}."
        ) from None
    return Checkpoint(path=Path(path), model=model, **tree)


def newest(folder: str | os.PathLike[str]) -> Path | None:
    """The checkpoint in a folder that was written last and is whole; None if there is none, or no folder.

    Other files, and unfinished ones, are passed over. Of files written within one tick of the clock it is the last by
    name. So this begins a run, or goes on with the one that is there:

        fit(..., callbacks=[Checkpoint("run")], resume=newest("run"))

    Raises
    ------
    CheckpointError
        When the folder cannot be read.
    """
    found = []
    try:
        for path in Path(folder).iterdir():
            if path.suffix == SUFFIX and not path.name.startswith("."):
                with contextlib.suppress(FileNotFoundError):  # somebody else has just removed it
                    found.append((path.stat().st_mtime_ns, path.name, path))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CheckpointError(f"newest: cannot look into {folder}: {error.strerror}. Check the path.") from None
    for _, _, path in sorted(found, reverse=True):
        with contextlib.suppress(CheckpointError):
            read_checkpoint(path)
            return path
    return None


@dataclass(frozen=True, repr=False)
class Checkpoint:
    """What a checkpoint file holds: arrays and plain data. `restore` applies it.

    Attributes
    ----------
    path : Path
        Where it was read.
    model : dict of arrays
        For `Module.load_state_dict`.
    optimizer, scheduler, loader, history : dict or None
        What their `state_dict()` returned; None for what was not saved.
    random : dict
        The states of the generators: 'default', 'generator' and, by name, 'model'.
    extra, about : dict
        What was given to `save_checkpoint`.
    made_with : dict
        The version of minigrad, and the classes of the optimizer and the scheduler.
    """

    path: Path
    model: dict[str, np.ndarray]
    random: dict[str, Any] = field(default_factory=dict)
    optimizer: dict[str, Any] | None = None
    scheduler: dict[str, Any] | None = None
    loader: dict[str, Any] | None = None
    history: dict[str, Any] | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)
    made_with: dict[str, Any] = field(default_factory=dict)

    def restore(
        self,
        *,
        model: Module | None = None,
        optimizer: Any = None,
        scheduler: Any = None,
        loader: Any = None,
        generator: Generator | None = None,
    ) -> None:
        """Put objects into the saved state. All of it fits, or nothing is changed.

        Parameters
        ----------
        model, optimizer, scheduler, loader : optional
            Made with the arguments of those that were saved.
        generator : Generator, optional
            `minigrad.random.default_generator`, for all that draws from it (dropout, a loader without a generator of
            its own), or the one that was given to `save_checkpoint`.

        Raises
        ------
        CheckpointError
            When an object does not fit to its state, or the state is not in the checkpoint.
        """
        for name, part in (("optimizer", optimizer), ("scheduler", scheduler), ("loader", loader)):
            if part is not None and getattr(self, name) is None:
                raise CheckpointError(f"restore: {self.path} has no {name} to restore. Leave {name}= out.")
        undo: list[Callable[[], Any]] = []
        part = "model"
        try:
            if model is not None:
                self._check_model(model)
            # The scheduler comes after the optimizer: both set learning rates, and the scheduler's word is the last.
            for part, target, state in (
                ("optimizer", optimizer, self.optimizer),
                ("scheduler", scheduler, self.scheduler),
                ("loader", loader, self.loader),
            ):
                if target is not None:
                    self._check_class(part, target)
                    undo.append(partial(target.load_state_dict, target.state_dict()))
                    target.load_state_dict(state)
            part = "random state"
            for name, one in _generators_of(model).items() if model is not None else ():
                undo.append(partial(one.set_state, one.get_state()))
                one.set_state(self.random["model"][name])
            if generator is not None:
                undo.append(partial(generator.set_state, generator.get_state()))
                generator.set_state(self.random["default" if generator is default_generator else "generator"])
            part = "model"
            if model is not None:
                model.load_state_dict(self.model)
        except MISFITS as error:
            for step in reversed(undo):
                step()
            what = f"KeyError {error}" if isinstance(error, KeyError) else str(error)
            raise CheckpointError(
                f"restore: the {part} in {self.path} does not fit the one given, and nothing was changed. {what}"
            ) from error

    def _check_model(self, model: Module) -> None:
        """Raise for what `load_state_dict` would refuse, and for another dtype, which it would round silently."""
        own = {name: tensor.data for name, tensor in model.state_dict().items()}
        if own.keys() != self.model.keys():
            missing, unexpected = sorted(own.keys() - self.model.keys()), sorted(self.model.keys() - own.keys())
            raise CheckpointError(
                f"{type(model).__name__} has {', '.join(missing) or 'nothing'} that is not in the checkpoint, and the "
                f"checkpoint has {', '.join(unexpected) or 'nothing'} that is not in the model."
            )
        for name, array in own.items():
            saved = self.model[name]
            if (saved.shape, saved.dtype) != (array.shape, array.dtype):
                raise CheckpointError(
                    f"{name}: expected {array.dtype} in shape {array.shape}, got {saved.dtype} in {saved.shape}."
                )

    def _check_class(self, part: str, target: Any) -> None:
        saved, ours = self.made_with.get(part), _class_of(target)
        if saved is not None and saved != ours:
            raise CheckpointError(f"It is of the class {saved!r:.80}, and the one given is {ours!r}.")

    def __repr__(self) -> str:
        there = [name for name in ("optimizer", "scheduler", "loader", "history") if getattr(self, name) is not None]
        return f"Checkpoint({str(self.path)!r}: {', '.join(['model', *there])}, about={self.about!r:.200})"


def _generators_of(model: Module) -> dict[str, Generator]:
    """The generators that modules keep for themselves, by name; the default generator is saved for all."""
    return {
        f"{path}.{name}": value
        for path, module in model.named_modules()
        for name, value in vars(module).items()
        if isinstance(value, Generator) and value is not default_generator
    }


def _class_of(part: Any) -> str | None:
    """The name of a class; for an optimizer around others with theirs: Lookahead(Adam)."""
    if part is None:
        return None
    inner = vars(part).get("optimizers") or ([part.optimizer] if "optimizer" in vars(part) else [])
    # A scheduler has an optimizer too, which is not inside it.
    inside = ", ".join(str(_class_of(one)) for one in inner) if hasattr(part, "zero_grad") else ""
    return f"{type(part).__name__}({inside})" if inside else type(part).__name__
