"""`python -m minigrad predict FILE --checkpoint FILE`: what a trained model says about a picture or an array."""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np

import minigrad
from minigrad import nn
from minigrad.commands import arguments as args
from minigrad.commands import sample_file, stored, tasks
from minigrad.commands.spec import parse
from minigrad.commands.threads import limited
from minigrad.errors import ArgumentError
from minigrad.nn import functional as F
from minigrad.tensor import from_numpy

__all__ = ["add_parser", "run"]

# Columns of the longest bar.
BAR = 30
BATCH = 500


def add_parser(commands: Any) -> None:
    """Add `predict` and its options to the command line."""
    parser = args.add_command(
        commands,
        "predict",
        "ask a trained model about a picture or an array",
        "Read a picture (PNG and others) or a .npy file, bring it to the form of the dataset that the model was\n"
        "trained on, say what was done to it, and print the probability of each class.",
        [
            "predict seven.png --checkpoint runs/digits/model.safetensors",
            "predict samples.npy --checkpoint runs/moons --json",
        ],
    )
    parser.add_argument("file", metavar="FILE", help="a picture, or a .npy file with one sample or a batch")
    parser.add_argument(
        "--checkpoint", required=True, metavar="PATH", help="the weights, a checkpoint, or a run's folder"
    )
    parser.add_argument("--model", metavar="MODEL", help="the model, where it is path/to/file.py:function")
    parser.add_argument("--invert", choices=["auto", "yes", "no"], default="auto",
                        help="dark on bright to bright on dark (default: auto, by the picture's edge)")  # fmt: skip
    parser.add_argument("--top", type=args.whole, metavar="K", help="print only the K likeliest classes")
    args.add_threads(parser)
    args.add_json(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Read, predict and print; returns the exit code."""
    trained = stored.read(arguments.checkpoint)
    if trained.dataset is None:
        raise ArgumentError(
            f"--checkpoint: {trained.path} does not say what its inputs are. Expected a file written by `train`."
        )
    with limited(arguments.threads):
        model = trained.build(arguments.model, trained.input_shape, trained.outputs)
        task = tasks.TASKS.get(parse(trained.dataset, "DATASET").name)
        samples = sample_file.read(
            arguments.file,
            trained.input_shape,
            content=task.content if task else None,
            white=task.white if task else 255,
            invert=arguments.invert,
        )
        outputs = _outputs(model, samples.array)
    if trained.classes:
        answers = [_classified(row, trained.classes) for row in F.softmax(from_numpy(outputs), dim=1).numpy()]
    else:
        answers = [{"values": row.tolist()} for row in outputs]
    if arguments.json:
        print(json.dumps({"file": arguments.file, "steps": samples.steps, "predictions": answers}, indent=1))
        return 0
    print(f"{arguments.file}: {', '.join(samples.steps)}")
    for number, answer in enumerate(answers):
        if len(answers) > 1:
            print(f"\nsample {number}")
        _show(answer, arguments.top)
    return 0


def _outputs(model: nn.Module, array: np.ndarray) -> np.ndarray:
    with minigrad.no_grad():
        parts = [model(from_numpy(array[i : i + BATCH])).numpy() for i in range(0, len(array), BATCH)]
    return np.concatenate(parts)


def _classified(row: np.ndarray, classes: tuple[str, ...]) -> dict[str, Any]:
    best = int(row.argmax())
    return {
        "class": classes[best],
        "index": best,
        "probability": float(row[best]),
        "probabilities": dict(zip(classes, map(float, row), strict=True)),
    }


def _show(answer: dict[str, Any], top: int | None) -> None:
    if "values" in answer:
        print("predicted " + ", ".join(f"{value:.6g}" for value in answer["values"]))
        return
    print(f"predicted {answer['class']}, probability {100 * answer['probability']:.1f} %")
    ranked = sorted(answer["probabilities"].items(), key=lambda item: -item[1])[:top]
    width = max(len(name) for name, _ in ranked)
    for name, p in ranked:
        print(f"  {name:<{width}}  {100 * p:5.1f} %  {'#' * round(BAR * p)}".rstrip())
