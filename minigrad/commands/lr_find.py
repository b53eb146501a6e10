"""`python -m minigrad lr-find DATASET`: raise the learning rate until training breaks, and say where to begin."""

from __future__ import annotations

import argparse
import io
import json
from typing import Any

import minigrad
from minigrad import datasets, optim
from minigrad.commands import arguments as args
from minigrad.commands import build, tasks
from minigrad.commands.experiment import folder_name
from minigrad.commands.threads import limited
from minigrad.errors import ArgumentError, MinigradError
from minigrad.io import write_atomically

__all__ = ["add_parser", "run"]


def add_parser(commands: Any) -> None:
    """Add `lr-find` and its options to the command line."""
    parser = args.add_command(
        commands,
        "lr-find",
        "try learning rates from low to high on a few batches, and suggest one",
        "Train a copy of the model for a few steps while the learning rate grows, draw the loss over the rate, and\n"
        "suggest the rate to begin with (the range test of Smith, arXiv:1506.01186).",
        [
            "lr-find digits",
            "lr-find mnist --data DIR --optimizer momentum:weight_decay=5e-4 --batch-size 128",
            "lr-find spirals --model mlp:hidden=32,32 --json",
        ],
    )
    parser.add_argument("dataset", metavar="DATASET", help=", ".join(tasks.TASKS))
    parser.add_argument("--data", metavar="DIR", help="folder with the files of mnist or fashion-mnist")
    args.add_model(parser, "the one that suits the dataset")
    parser.add_argument("--optimizer", default="adam", metavar="NAME",
                        help="with options as in adamw:weight_decay=0.1; `python -m minigrad optimizers` lists them "
                        "(default: adam)")  # fmt: skip
    parser.add_argument(
        "--batch-size", type=args.whole, metavar="N", help="samples in a step (default: by the dataset)"
    )
    parser.add_argument("--lr-min", type=args.positive, default=1e-7, metavar="X", help="lowest rate (default: 1e-7)")
    parser.add_argument("--lr-max", type=args.positive, default=10.0, metavar="X", help="highest rate (default: 10)")
    parser.add_argument("--steps", type=args.whole, default=100, metavar="N", help="rates to try (default: 100)")
    parser.add_argument("--seed", type=args.seed, default=0, metavar="N", help="of all random numbers (default: 0)")
    args.add_threads(parser)
    parser.add_argument("--out", metavar="FILE", help="the picture, .png, .pdf or .svg "
                        "(default: runs/lr-find-DATASET.png)")  # fmt: skip
    args.add_json(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Test, draw and print; returns the exit code."""
    with limited(arguments.threads):
        data = tasks.load(arguments.dataset, arguments.data)
        picture = arguments.out or f"runs/lr-find-{folder_name(arguments.dataset)}.png"
        args.check_picture(picture, "--out")
        task = tasks.TASKS[data.name]
        name = arguments.model or task.model
        batch_size = arguments.batch_size or task.batch_size
        generator = minigrad.manual_seed(arguments.seed)
        model = build.build_model(name, data.input_shape, data.outputs)
        optimizer = build.build_optimizer(arguments.optimizer, model, build.peak_lr(arguments.optimizer, None))
        batches = datasets.DataLoader(data.train, batch_size=batch_size, shuffle=True, generator=generator)
        result = optim.lr_range_test(
            model, optimizer, data.loss, batches, arguments.lr_min, arguments.lr_max, arguments.steps
        )
    try:
        suggestion, steepest, tenth = result.suggestion, result.steepest, result.tenth_of_minimum
    except ArgumentError as error:
        raise MinigradError(f"{error} Lower --lr-min does the first.") from error
    _draw(result, picture, f"{arguments.dataset}: {name}, {arguments.optimizer}, batches of {batch_size}")
    if arguments.json:
        found = {
            "dataset": arguments.dataset,
            "model": name,
            "optimizer": arguments.optimizer,
            "batch_size": batch_size,
            "seed": arguments.seed,
            "suggestion": suggestion,
            "steepest": steepest,
            "tenth_of_minimum": tenth,
            "diverged_at": result.diverged_at,
            "lrs": result.lrs.tolist(),
            "losses": result.losses.tolist(),
            "smoothed": result.smoothed.tolist(),
            "picture": str(picture),
        }
        print(json.dumps(found, indent=1))
        return 0
    print(f"{arguments.dataset}, {name}, {arguments.optimizer}, batches of {batch_size}: {result}")
    given = "".join(
        f" --{option} {value}"
        for option, value in (("model", arguments.model), ("batch-size", arguments.batch_size))
        if value is not None
    )
    command = f"python -m minigrad train {arguments.dataset}{given} --optimizer {arguments.optimizer}"
    print(f"suggested learning rate {suggestion:.2g}: {command} --lr {suggestion:.2g}")
    print(f"files: {picture}")
    return 0


def _draw(result: Any, path: str, title: str) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 4.2), layout="constrained")
    axes = result.plot(figure.add_subplot())
    axes.set_title(title, loc="left", fontsize=10)
    picture = io.BytesIO()
    figure.savefig(picture, dpi=120, format=path.rpartition(".")[2].lower())
    write_atomically(path, picture.getvalue())
