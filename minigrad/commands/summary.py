"""`python -m minigrad summary MODEL`: the layers of a model, their shapes, parameters, products and memory."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import Any

import minigrad
from minigrad.commands import arguments as args
from minigrad.commands import build, stored
from minigrad.errors import ArgumentError
from minigrad.summary import summary

__all__ = ["add_parser", "run"]

# Those of MNIST.
INPUT_SHAPE, OUTPUTS = (1, 28, 28), 10


def add_parser(commands: Any) -> None:
    """Add `summary` and its options to the command line."""
    parser = args.add_command(
        commands,
        "summary",
        "print the layers of a model with shapes, parameters and memory",
        "Run a model once on a batch of random numbers and print, layer by layer, the output shape, the parameters,\n"
        "the multiply-adds and the memory that is held for the backward pass.",
        [
            "summary cnn --input-shape 1x28x28 --outputs 10",
            "summary net.py:make:width=32 --input-shape 2 --outputs 3",
            "summary --checkpoint runs/digits --json",
        ],
    )
    parser.add_argument(
        "model", nargs="?", metavar="MODEL", help=f"{args.MODEL_HELP}; that of the checkpoint if not given"
    )
    parser.add_argument("--checkpoint", metavar="PATH", help="the weights, a checkpoint, or a run's folder")
    parser.add_argument("--input-shape", type=args.shape, metavar="SHAPE", help="of a sample (default: 1x28x28)")
    parser.add_argument("--outputs", type=args.whole, metavar="N", help="classes or numbers (default: 10)")
    parser.add_argument("--batch-size", type=args.whole, default=32, metavar="N", help="samples (default: 32)")
    args.add_json(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the table; returns the exit code."""
    if arguments.checkpoint is None:
        if arguments.model is None:
            raise ArgumentError("expected a MODEL, such as cnn or path/to/file.py:function; or --checkpoint.")
        minigrad.manual_seed(0)
        shape = arguments.input_shape or INPUT_SHAPE
        model = build.build_model(arguments.model, shape, arguments.outputs or OUTPUTS)
    else:
        trained = stored.read(arguments.checkpoint)
        shape = arguments.input_shape or trained.input_shape
        outputs = arguments.outputs or trained.outputs
        if not shape or not outputs:
            raise ArgumentError(
                f"--checkpoint: {trained.path} does not say what its inputs are. Add --input-shape and --outputs."
            )
        model = trained.build(arguments.model, shape, outputs)
    found = summary(model, shape, batch_size=arguments.batch_size)
    print(json.dumps(asdict(found), indent=1) if arguments.json else found)
    return 0
