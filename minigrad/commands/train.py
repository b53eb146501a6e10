"""`python -m minigrad train DATASET`: train a model and keep what came of it, or go on with a run that was ended."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from pathlib import Path
from typing import Any

from minigrad import io
from minigrad.callbacks import Checkpoint as Keeper
from minigrad.checkpoint import Checkpoint, newest, read_checkpoint
from minigrad.commands import arguments as args
from minigrad.commands import build, stored, tasks
from minigrad.commands.experiment import Experiment, Settings, folder_name, prepare, settle, train
from minigrad.commands.folders import results_folder
from minigrad.commands.threads import limited
from minigrad.errors import ArgumentError, CheckpointError, MinigradError
from minigrad.evaluation import evaluate
from minigrad.history import EpochRow, History
from minigrad.progress import Lines

__all__ = ["add_parser", "run"]


def add_parser(commands: Any) -> None:
    """Add `train` and its options to the command line."""
    parser = args.add_command(
        commands,
        "train",
        "train a model and write its curves, weights and checkpoints",
        "Train a model on a dataset. The folder of the run gets history.csv, curves.png, model.safetensors (the\n"
        "weights) and last.safetensors (the checkpoint with which --resume goes on, bit for bit).",
        [
            "train digits",
            "train mnist --data DIR --epochs 3 --schedule one-cycle",
            "train digits --model net.py:make:width=32 --optimizer adamw:weight_decay=0.1:betas=0.9,0.95",
            "train spirals:classes=5 --schedule cosine:alpha_min=1e-4 --clip-norm 1 --out runs/five",
            "train --resume runs/digits",
        ],
    )
    sets = f"{', '.join(tasks.TASKS)}; synthetic ones with options as in spirals:classes=5"
    parser.add_argument("dataset", nargs="?", metavar="DATASET", help=sets)
    args.add_training(parser)
    parser.add_argument("--optimizer", metavar="NAME",
                        help="with options as in adamw:weight_decay=0.1:betas=0.9,0.95; "
                        "`python -m minigrad optimizers` lists them (default: by the dataset)")  # fmt: skip
    parser.add_argument("--lr", type=args.positive, metavar="X",
                        help="learning rate; of a schedule, its highest (default: it suits the optimizer)")  # fmt: skip
    parser.add_argument("--schedule", metavar="NAME",
                        help="with options as in step:gamma=0.5:s=100, times in optimizer steps; "
                        "`python -m minigrad schedules` lists them (default: one-cycle)")  # fmt: skip
    parser.add_argument("--seed", type=args.seed, metavar="N", help="of all random numbers (default: 0)")
    args.add_threads(parser)
    parser.add_argument("--resume", nargs="?", const="", metavar="PATH",
                        help="go on with the run of this checkpoint or folder, with its settings; without PATH, the "
                        "newest in runs/")  # fmt: skip
    parser.add_argument("--checkpoint-every", type=args.whole, metavar="N",
                        help="keep a checkpoint of every N epochs, beside the last one")  # fmt: skip
    parser.add_argument("--out", metavar="DIR", help="folder for the results (default: a new one in runs/)")
    args.add_json(parser, "the result as an object")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Train, report and save; returns the exit code."""
    checkpoint = None
    if arguments.resume is not None:
        checkpoint = _find(arguments.resume, arguments.dataset)
        settings = _settings_of(checkpoint, arguments)
        data = tasks.load(settings.dataset, arguments.data, settings.augment)
    else:
        if arguments.dataset is None:
            raise ArgumentError(f"expected a DATASET: {', '.join(tasks.TASKS)}; or --resume.")
        data = tasks.load(arguments.dataset, arguments.data, tuple(arguments.augment or ()))
        settings = settle(arguments, data)
    with limited(arguments.threads):
        experiment = prepare(settings, data)
        out = checkpoint.path.parent if checkpoint else results_folder(arguments.out, folder_name(settings.dataset))
        return _train(experiment, out, checkpoint, arguments)


def _train(experiment: Experiment, out: Path, checkpoint: Checkpoint | None, arguments: argparse.Namespace) -> int:
    quiet = arguments.json
    if not quiet:
        _announce(experiment, checkpoint)
    about = stored.about(experiment.settings, experiment.data)
    keeper = Keeper(out, every_epochs=arguments.checkpoint_every, keep=None)
    on_bar = sys.stderr.isatty() and not quiet
    # A bar leaves a line for each epoch behind, on stderr: on a terminal those on stdout would be the same again.
    report = None if quiet or (on_bar and sys.stdout.isatty()) else _report(experiment.settings.epochs)
    started = time.perf_counter()
    try:
        history = train(
            experiment, callbacks=[keeper], resume=checkpoint, about=about,
            on_epoch=report, progress="bar" if on_bar else False,
        )  # fmt: skip
    except MinigradError:
        with contextlib.suppress(OSError):
            out.rmdir()  # a run that failed leaves no empty folder behind; one with files in it stays
        raise
    seconds = time.perf_counter() - started

    # What was trained is on the disk before anything else is done with it.
    # One string, not one for each fact: equal runs give equal files.
    io.save(experiment.model.state_dict(), out / stored.WEIGHTS, {"minigrad": json.dumps(about)})
    history.to_csv(out / "history.csv")
    result = _result(experiment, history, seconds, out)
    history.plot(out / "curves.png", f"{result['dataset']}: {experiment.settings.label}, {_score(result)}")
    if history.interrupted and not quiet:
        print(
            f"\nInterrupted in epoch {len(history.rows) + 1} after {len(history.step_losses)} steps: "
            f"what was trained so far is saved. Go on with: python -m minigrad train --resume {out}",
            file=sys.stderr,
        )
    if quiet:
        print(json.dumps(result, indent=1))
    else:
        print(f"{_score(result)}, trained in {seconds:.1f} s")
        print(f"files: {', '.join(result['files'].values())}")
    return 130 if history.interrupted else 0


def _announce(experiment: Experiment, checkpoint: Checkpoint | None) -> None:
    settings, data = experiment.settings, experiment.data
    kind = "images" if len(data.input_shape) == 3 else "samples"
    if checkpoint is not None:
        done = len((checkpoint.history or {}).get("step_losses", ()))
        print(f"going on with {checkpoint.path}: {done:,} of {experiment.steps:,} steps are done")
    print(
        f"{settings.dataset}: {len(data.train):,} training and {len(data.test):,} test {kind}, {settings.model} with "
        f"{experiment.model.num_parameters():,} parameters, {experiment.steps:,} steps of "
        f"{settings.batch_size * settings.accumulate}, {settings.label}, lr {settings.lr:g}, seed {settings.seed}"
    )


def _report(epochs: int) -> Any:
    lines = Lines(sys.stdout)

    def line(row: EpochRow) -> None:
        lines.end(row, epochs)

    return line


def _result(experiment: Experiment, history: History, seconds: float, out: Path) -> dict[str, Any]:
    """What `--json` prints. The test numbers are those of the weights that were written."""
    settings, data = experiment.settings, experiment.data
    last = history.rows[-1] if history.rows else None
    if history.interrupted or last is None:  # the model has moved on since the last whole epoch
        measured = evaluate(experiment.model, experiment.loss, experiment.test_batches, data.metrics)
        tested = dict(zip(measured._fields, measured, strict=True))
    else:
        tested = {name.removeprefix("test_"): v for name, v in last.values.items() if name.startswith("test_")}
    files = {
        "history": "history.csv",
        "curves": "curves.png",
        "weights": stored.WEIGHTS,
        "checkpoint": stored.CHECKPOINT,
    }
    return {
        "dataset": settings.dataset,
        "model": settings.model,
        "parameters": experiment.model.num_parameters(),
        "optimizer": settings.optimizer,
        "schedule": settings.schedule,
        "lr": settings.lr,
        "batch_size": settings.batch_size,
        "seed": settings.seed,
        "epochs": len(history.rows),
        "steps": len(history.step_losses),
        "interrupted": history.interrupted,
        **{f"test_{name}": value for name, value in tested.items()},
        "train_loss": None if last is None else last.values["train_loss"],
        "seconds": seconds,
        "files": {what: str(out / name) for what, name in files.items()},
    }


def _score(result: dict[str, Any]) -> str:
    if "test_accuracy" in result:
        return f"test accuracy {100 * result['test_accuracy']:.2f} %"
    return f"test mean absolute error {result['test_mae']:.4g}"


# ---- going on --------------------------------------------------------------------------------------------------------


def _find(where: str, dataset: str | None) -> Checkpoint:
    """The checkpoint that `--resume` means: a file, the newest in a folder, or the newest of all runs."""
    if where:
        path = Path(where)
        if not path.exists():
            raise ArgumentError(f"--resume: there is no {where}. Give a checkpoint or the folder of a run.")
        found = newest(path) if path.is_dir() else path
        if found is None:
            raise ArgumentError(f"--resume: there is no checkpoint in {where}. Give the folder of a run.")
        return read_checkpoint(found)
    folders = [path for path in Path("runs").iterdir() if path.is_dir()] if Path("runs").is_dir() else []
    files = [file for folder in folders if (file := newest(folder)) is not None]
    for file in sorted(files, key=lambda file: file.stat().st_mtime_ns, reverse=True):
        checkpoint = read_checkpoint(file)
        if dataset is None or checkpoint.about.get("dataset") == dataset:
            return checkpoint
    what = "run" if dataset is None else f"run on {dataset}"
    raise ArgumentError(f"--resume: there is no {what} with a checkpoint in runs/. Give the folder of one.")


def _settings_of(checkpoint: Checkpoint, arguments: argparse.Namespace) -> Settings:
    """The settings that the run was begun with; options that say otherwise are refused."""
    if "settings" not in checkpoint.about:
        raise CheckpointError(f"{checkpoint.path} was not written by `train`, which alone can go on with its runs.")
    settings = Settings.from_values(checkpoint.about["settings"])
    for name in ("dataset", "model", "optimizer", "lr", "schedule", "epochs", "batch_size", "seed", "clip_norm",
                 "accumulate", "augment"):  # fmt: skip
        given, held = getattr(arguments, name), getattr(settings, name)
        given = tuple(given) if isinstance(given, list) else given
        if given is not None and given != held:
            option = "DATASET" if name == "dataset" else "--" + name.replace("_", "-")
            raise ArgumentError(
                f"{option}: the run in {checkpoint.path.parent} was begun with {held}, got {given}. A run goes on with "
                "its settings: leave the option out, or begin a new run."
            )
    if arguments.out and Path(arguments.out).resolve() != checkpoint.path.parent.resolve():
        raise ArgumentError(f"--out: the run goes on in its folder, {checkpoint.path.parent}. Leave it out.")
    if build.is_file(settings.model) and arguments.model is None:
        raise ArgumentError(
            f"--resume: the model was made by {settings.model}, and a checkpoint runs no code. If you trust the file, "
            f"add --model {settings.model}"
        )
    return settings
