"""`python -m minigrad evaluate DATASET --checkpoint FILE`: how good a trained model is, class by class."""

from __future__ import annotations

import argparse
import json
import math
from typing import Any

import numpy as np

from minigrad import datasets
from minigrad.commands import arguments as args
from minigrad.commands import stored, tasks
from minigrad.commands.folders import results_folder
from minigrad.commands.threads import limited
from minigrad.confusion import ConfusionMatrix
from minigrad.errors import ArgumentError
from minigrad.evaluation import evaluate
from minigrad.metrics import MAE, RMSE, Accuracy, TopK

__all__ = ["add_parser", "run"]

BATCH = 500
# How many pairs of classes that are taken for each other are named.
PAIRS = 5


def add_parser(commands: Any) -> None:
    """Add `evaluate` and its options to the command line."""
    parser = args.add_command(
        commands,
        "evaluate",
        "measure a trained model on a dataset",
        "Print loss, accuracy and top-k accuracy, recall and precision of each class and what is taken for what;\n"
        "for a regression the mean absolute and the root mean square error.",
        [
            "evaluate digits --checkpoint runs/digits",
            "evaluate mnist --data DIR --checkpoint runs/mnist/model.safetensors --top-k 2 --out report",
            "evaluate sine --checkpoint runs/sine --split train --json",
        ],
    )
    parser.add_argument("dataset", metavar="DATASET", help=", ".join(tasks.TASKS))
    parser.add_argument(
        "--checkpoint", required=True, metavar="PATH", help="the weights, a checkpoint, or a run's folder"
    )
    parser.add_argument("--data", metavar="DIR", help="folder with the files of mnist or fashion-mnist")
    parser.add_argument("--model", metavar="MODEL", help="the model, where the file does not say it or it is "
                        "path/to/file.py:function")  # fmt: skip
    parser.add_argument("--split", choices=["test", "train"], default="test", help="which samples (default: test)")
    parser.add_argument("--top-k", type=args.whole, default=3, metavar="K",
                        help="right if among the K likeliest (default: 3, or as many as there are)")  # fmt: skip
    parser.add_argument("--out", metavar="DIR", help="folder for the picture of the confusion matrix")
    args.add_threads(parser)
    args.add_json(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Measure and print; returns the exit code."""
    trained = stored.read(arguments.checkpoint)
    with limited(arguments.threads):
        data = tasks.load(arguments.dataset, arguments.data)
        if trained.dataset is not None and (trained.input_shape, trained.outputs) != (data.input_shape, data.outputs):
            raise ArgumentError(
                f"{trained.path} was trained on {trained.dataset}, with samples of shape {trained.input_shape} and "
                f"{trained.outputs} outputs; got {arguments.dataset}, with {data.input_shape} and {data.outputs}."
            )
        if arguments.out and not data.classifies:
            raise ArgumentError(f"--out: {arguments.dataset} has no classes, so no confusion matrix. Leave it out.")
        model = trained.build(arguments.model, data.input_shape, data.outputs)
        samples = data.test if arguments.split == "test" else data.train
        out = results_folder(arguments.out, "") if arguments.out else None
        batches = datasets.DataLoader(samples, batch_size=BATCH)
        if data.classifies:
            matrix = ConfusionMatrix(data.classes)
            k = min(arguments.top_k, data.outputs)
            measured = evaluate(model, data.loss, batches, {"accuracy": Accuracy(), "top_k": TopK(k), "recall": matrix})
        else:
            measured = evaluate(model, data.loss, batches, {"mae": MAE(), "rmse": RMSE()})
    found: dict[str, Any] = {
        "dataset": arguments.dataset,
        "split": arguments.split,
        "samples": len(samples),
        "checkpoint": str(trained.path),
        "model": arguments.model or trained.model,
        "loss": measured.loss,
    }
    if data.classifies:
        found |= {
            "accuracy": matrix.accuracy,
            "top_k": {"k": k, "accuracy": measured.top_k},
            "classes": _classes(matrix),
            "confusion": matrix.counts.tolist(),
        }
        if out is not None:
            picture = out / "confusion.png"
            matrix.plot(picture, f"{arguments.dataset}, {arguments.split}: accuracy {100 * matrix.accuracy:.2f} %")
            found["files"] = [str(picture)]
    else:
        found |= {"mae": measured.mae, "rmse": measured.rmse}
    if arguments.json:
        print(json.dumps(found, indent=1))
        return 0
    print(f"{arguments.dataset}: {len(samples):,} {arguments.split} samples, {trained.path}")
    if data.classifies:
        _show(found, matrix)
    else:
        print(f"loss {found['loss']:.6g}  mean absolute error {found['mae']:.6g}  root mean square {found['rmse']:.6g}")
    return 0


def _classes(matrix: ConfusionMatrix) -> list[dict[str, Any]]:
    """Each class with its numbers; None where there is nothing to divide by."""
    columns = {"recall": matrix.recall, "precision": matrix.precision, "f1": matrix.f1}
    return [
        {
            "name": name,
            "samples": int(matrix.counts[i].sum()),
            **{key: None if math.isnan(values[i]) else float(values[i]) for key, values in columns.items()},
        }
        for i, name in enumerate(matrix.names)
    ]


def _show(found: dict[str, Any], matrix: ConfusionMatrix) -> None:
    k, top = found["top_k"]["k"], found["top_k"]["accuracy"]
    print(f"loss {found['loss']:.4f}  accuracy {100 * found['accuracy']:.2f} %  top-{k} accuracy {100 * top:.2f} %\n")
    width = max(5, *(len(name) for name in matrix.names))
    print(f"{'class':<{width}}  samples  recall  precision      F1")
    for row in found["classes"]:
        r, p, f = (
            f"{100 * row[key]:.1f} %" if row[key] is not None else "none" for key in ("recall", "precision", "f1")
        )
        print(f"{row['name']:<{width}}  {row['samples']:>7}  {r:>7}  {p:>8}  {f:>7}")
    wrong = matrix.counts - np.diag(np.diag(matrix.counts))
    pairs = [np.unravel_index(at, wrong.shape) for at in np.argsort(-wrong, axis=None, kind="stable")[:PAIRS]]
    mistakes = [f"{matrix.names[i]} → {matrix.names[j]} ({wrong[i, j]})" for i, j in pairs if wrong[i, j]]
    if mistakes:
        print(f"\nmost frequent mistakes, true → predicted: {', '.join(mistakes)}")
    if "files" in found:
        print(f"files: {', '.join(found['files'])}")
