"""`python -m minigrad compare DATASET`: optimizers x schedules x seeds as one sweep, on all processors or a cluster."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import importlib
import json
import math
import signal
import statistics
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minigrad.commands import arguments as args
from minigrad.commands import tasks
from minigrad.commands.experiment import Settings, folder_name, prepare, settle, train
from minigrad.commands.folders import results_folder
from minigrad.commands.threads import limited
from minigrad.errors import ArgumentError, CheckpointError, MinigradError, NonFiniteError
from minigrad.io import write_atomically

__all__ = ["Outcome", "Row", "add_parser", "run", "sweep", "table"]

BACKENDS = ("loky", "dask", "ray")
RESULTS = "results.json"


def add_parser(commands: Any) -> None:
    """Add `compare` and its options to the command line."""
    parser = args.add_command(
        commands,
        "compare",
        "train with several optimizers, schedules and seeds, and compare",
        "Train once for each optimizer, schedule and seed, in parallel. Prints a table with the mean and the standard\n"
        "deviation over the seeds, and draws the learning curves. Every run uses one thread, so its numbers are\n"
        "those of `train --threads 1` with the same options, whatever --jobs is. A sweep that was interrupted goes on\n"
        "where it was when it is started again with the same --out.",
        [
            "compare digits --optimizers sgd momentum adam --seeds 0 1 2 --epochs 10",
            "compare spirals --optimizers adam:lr=0.01 adam:lr=0.001 --schedules constant cosine",
            "compare digits --jobs 8 --backend dask        (the cluster of DASK_SCHEDULER_ADDRESS)",
        ],
    )
    parser.add_argument("dataset", metavar="DATASET", help=f"{', '.join(tasks.TASKS)}")
    parser.add_argument("--optimizers", nargs="+", metavar="NAME", default=["sgd", "momentum", "adam", "adamw"],
                        help="with options as in adam:lr=0.01:betas=0.9,0.95 "
                        "(default: sgd momentum adam adamw)")  # fmt: skip
    parser.add_argument("--schedules", nargs="+", metavar="NAME",
                        help="with options as in step:gamma=0.5 (default: what `train` takes)")  # fmt: skip
    parser.add_argument(
        "--seeds", nargs="+", type=args.seed, default=[0, 1, 2], metavar="N", help="of the runs (default: 0 1 2)"
    )
    args.add_training(parser)
    parser.add_argument("--jobs", type=args.whole, metavar="N", help="runs at the same time "
                        "(default: one for each processor)")  # fmt: skip
    parser.add_argument("--backend", choices=BACKENDS, default="loky", help="of joblib: processes on this machine, or "
                        "a cluster of Dask or Ray (default: loky)")  # fmt: skip
    parser.add_argument("--out", metavar="DIR", help="folder for the results (default: a new one in runs/)")
    args.add_json(parser)
    parser.set_defaults(run=run)


@dataclass(frozen=True)
class Outcome:
    """What one run came to.

    Attributes
    ----------
    settings : Settings
    metric : str
        What `scores` are: 'accuracy', a fraction of 1, or 'mae', the mean absolute error.
    scores, test_losses, train_losses : list of float
        One number for each epoch; none for a run that diverged.
    diverged : str or None
        What was said when it did.
    """

    settings: Settings
    metric: str
    scores: list[float]
    test_losses: list[float]
    train_losses: list[float]
    diverged: str | None = None


@dataclass(frozen=True)
class Row:
    """One optimizer with one schedule, over the seeds.

    Attributes
    ----------
    optimizer, schedule, lr
        As in `Settings`.
    seeds, diverged : int
        How many runs there were, and how many of them diverged. Those are left out of the following.
    mean, deviation : float or None
        Of the last epoch's test metric; the standard deviation is that of a sample (n - 1), None for one run.
    loss_mean, loss_deviation : float or None
        The same of the test loss.
    """

    optimizer: str
    schedule: str
    lr: float
    seeds: int
    diverged: int
    mean: float | None
    deviation: float | None
    loss_mean: float | None
    loss_deviation: float | None


def run(arguments: argparse.Namespace) -> int:
    """Run the sweep, draw and print; returns the exit code."""
    data = tasks.load(arguments.dataset, arguments.data, tuple(arguments.augment or ()))
    plan = _plan(arguments, data)
    for settings in {(one.optimizer, one.schedule): one for one in plan}.values():
        prepare(settings, data)  # a mistake in an option is found before anything is trained
    out = results_folder(arguments.out, f"compare-{folder_name(arguments.dataset)}")
    done = _read(out / RESULTS, plan)
    quiet = arguments.json
    if not quiet:
        held = f", {len(done)} of them done before" if done else ""
        print(f"{arguments.dataset}: {len(plan)} runs with {plan[0].model}, epochs: {plan[0].epochs}{held}")
    started = time.perf_counter()
    left = [settings for settings in plan if settings not in done]
    # Absolute: a worker of a cluster runs in a folder of its own.
    folder = arguments.data and str(Path(arguments.data).resolve())
    for outcome in sweep(left, folder, arguments.jobs, arguments.backend):
        done[outcome.settings] = outcome
        _write(out / RESULTS, done.values())
        if not quiet:
            print(f"{len(done):>{len(str(len(plan)))}}/{len(plan)}  {_line(outcome)}", flush=True)
    outcomes = [done[settings] for settings in plan]
    rows = summarise(outcomes)
    if all(row.seeds == row.diverged for row in rows):
        raise MinigradError(f"every run diverged; the first: {outcomes[0].diverged}")
    from minigrad.commands.compare_picture import draw

    picture = out / "curves.png"
    draw(outcomes, picture, f"{arguments.dataset}, {plan[0].model}")
    files = [str(out / RESULTS), str(picture)]
    if quiet:
        print(json.dumps({
            "dataset": arguments.dataset,
            "model": plan[0].model,
            "epochs": plan[0].epochs,
            "batch_size": plan[0].batch_size,
            "seeds": arguments.seeds,
            "metric": outcomes[0].metric,
            "rows": [dataclasses.asdict(row) for row in rows],
            "runs": [dataclasses.asdict(outcome) for outcome in outcomes],
            "files": files,
        }, indent=1))  # fmt: skip
        return 0
    print()
    print(table(rows, outcomes[0].metric))
    print(f"\n{len(left)} runs in {time.perf_counter() - started:.1f} s")
    print(f"files: {', '.join(files)}")
    return 0


def _plan(arguments: argparse.Namespace, data: tasks.Data) -> list[Settings]:
    """The settings of every run, those of one optimizer and schedule beside each other."""
    plan = []
    for optimizer in arguments.optimizers:
        for schedule in arguments.schedules or [None]:
            for seed in arguments.seeds:
                one = argparse.Namespace(**vars(arguments))
                one.optimizer, one.schedule, one.seed, one.lr = optimizer, schedule, seed, None
                plan.append(settle(one, data))
    if len(set(plan)) < len(plan):
        raise ArgumentError("compare: the same optimizer, schedule and seed would run twice. Name each once.")
    return plan


def sweep(plan: list[Settings], folder: str | None, jobs: int | None, backend: str) -> Iterator[Outcome]:
    """Carry out runs in parallel and hand each outcome on when it is there, in whatever order."""
    if not plan:
        return
    import joblib

    # One thread in each process: the processors are shared by the runs, and the sums of a matrix product do not
    # depend on how many processors there are.
    inner = {"inner_max_num_threads": 1} if backend == "loky" else {}
    with _cluster(backend), joblib.parallel_config(backend=backend, n_jobs=jobs or -1, **inner):
        if backend == "loky":
            _start_workers(joblib)
        # Ray's backend gives its results only when all are there.
        parallel = joblib.Parallel(return_as="list" if backend == "ray" else "generator_unordered")
        yield from parallel(joblib.delayed(measure)(settings, folder) for settings in plan)


def _start_workers(joblib: Any) -> None:
    """Start the processes in such a way that Ctrl-C, which a terminal sends to all of them, is the main one's alone.

    What ignores a signal hands that on to the processes that it starts; each would print a traceback otherwise.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        joblib.Parallel()(joblib.delayed(int)() for _ in range(2))
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def _cluster(backend: str) -> Iterator[None]:
    """The connection that a backend of joblib needs: to the cluster that the environment names, or to one started here.

    Dask reads the address from DASK_SCHEDULER_ADDRESS, Ray from RAY_ADDRESS.
    """
    if backend == "dask":
        with _imported("distributed", backend).Client(dashboard_address=":0"):
            yield
        return
    if backend == "ray":
        _imported("ray.util.joblib", backend).register_ray()
    yield


def _imported(module: str, backend: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise ArgumentError(
            f"--backend {backend}: expected the package {package} to be installed ({error}). "
            f"Install it: pip install {package}"
        ) from error


def measure(settings: Settings, folder: str | None = None) -> Outcome:
    """Carry out one run on one thread. It is a function of its settings alone."""
    with limited(1):
        data = tasks.load(settings.dataset, folder, settings.augment)
        experiment = prepare(settings, data)
        diverged = None
        try:
            history = train(experiment, progress=False)
        except NonFiniteError as error:
            diverged, rows = str(error), []
        else:
            rows = history.rows
            if history.interrupted:
                raise KeyboardInterrupt  # which `fit` keeps for itself; half a run is not an outcome
    metric = data.metrics[0].name
    return Outcome(
        settings,
        metric,
        [row.values[f"test_{metric}"] for row in rows],
        [row.test_loss for row in rows],
        [row.train_loss for row in rows],
        diverged,
    )


# ---- what came of it ------------------------------------------------------------------------------------------------


def summarise(outcomes: list[Outcome]) -> list[Row]:
    """A row for each optimizer and schedule, the best first."""
    groups: dict[tuple[str, str], list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault((outcome.settings.optimizer, outcome.settings.schedule), []).append(outcome)
    rows = []
    for (optimizer, schedule), runs in groups.items():
        whole = [run for run in runs if run.diverged is None]
        rows.append(
            Row(
                optimizer,
                schedule,
                runs[0].settings.lr,
                len(runs),
                len(runs) - len(whole),
                *_mean_and_deviation([run.scores[-1] for run in whole]),
                *_mean_and_deviation([run.test_losses[-1] for run in whole]),
            )
        )
    # The higher the accuracy, the lower the error, the better.
    sign = -1 if outcomes[0].metric == "accuracy" else 1
    return sorted(rows, key=lambda row: math.inf if row.mean is None else sign * row.mean)


def _mean_and_deviation(values: list[float]) -> tuple[float | None, float | None]:
    mean = statistics.fmean(values) if values else None
    return mean, statistics.stdev(values) if len(values) > 1 else None


def table(rows: list[Row], metric: str) -> str:
    """The rows as text."""
    scale, unit = (100, "test accuracy (%)") if metric == "accuracy" else (1, "test MAE")
    digits = 2 if metric == "accuracy" else 4
    cells = [("optimizer", "schedule", "lr", unit, "test loss", "seeds")]
    for row in rows:
        cells.append((
            row.optimizer,
            row.schedule,
            f"{row.lr:g}",
            _with_deviation(row.mean, row.deviation, digits, scale),
            _with_deviation(row.loss_mean, row.loss_deviation, 4),
            f"{row.seeds}, {row.diverged} diverged" if row.diverged else str(row.seeds),
        ))  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)) for line in cells]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(line.rstrip() for line in lines)


def _with_deviation(mean: float | None, deviation: float | None, digits: int, scale: float = 1) -> str:
    if mean is None:
        return "diverged"
    spread = "" if deviation is None else f" ± {scale * deviation:.{digits}f}"
    return f"{scale * mean:.{digits}f}{spread}"


def _line(outcome: Outcome) -> str:
    settings = outcome.settings
    what = f"{settings.optimizer}, {settings.schedule}, seed {settings.seed}"
    if outcome.diverged is not None:
        return f"{what}: diverged"
    score = f"{100 * outcome.scores[-1]:.2f} %" if outcome.metric == "accuracy" else f"{outcome.scores[-1]:.4f}"
    return f"{what}: test {outcome.metric} {score}"


# ---- the file with which a sweep goes on ----------------------------------------------------------------------------


def _write(path: Path, outcomes: Iterable[Outcome]) -> None:
    text = json.dumps([dataclasses.asdict(outcome) for outcome in outcomes], indent=1)
    write_atomically(path, text.encode())


def _read(path: Path, plan: list[Settings]) -> dict[Settings, Outcome]:
    """The runs of the plan that are in the file already."""
    if not path.is_file():
        return {}
    try:
        found = [
            Outcome(**{**values, "settings": Settings.from_values(values["settings"])})
            for values in json.loads(path.read_bytes())
        ]
    except (ValueError, TypeError, KeyError, CheckpointError) as error:
        raise ArgumentError(
            f"--out: {path} is not a file that `compare` wrote ({error}). Give another folder."
        ) from error
    return {outcome.settings: outcome for outcome in found if outcome.settings in plan}
