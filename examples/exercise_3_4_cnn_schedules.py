"""Exercise 3.4: a small CNN under six learning rate schedules: what they do on the way, and what is left at the end.

    python examples/exercise_3_4_cnn_schedules.py                 # digits: a quarter of a minute on two cores
    python examples/exercise_3_4_cnn_schedules.py --data DIR      # and MNIST and Fashion-MNIST: under a minute
    python examples/exercise_3_4_cnn_schedules.py --quick         # few and short runs

The question
------------
The schedules of section 3.5 all begin or peak at a rate α and differ in how they leave it:

    constant           α_t = α
    step               α_t = α γ^⌊t/s⌋                     here γ = 1/10 and three steps
    exponential        α_t = α e^(-λt)                     here down to α/100
    cosine             α_t = α/2 (1 + cos(πt/T))
    warmup-cosine      first α t/T_warmup, for 5 % of the run, then cosine
    one-cycle          up from α/25 for 30 % of the run, then down to nearly 0

Which of them makes the better network?

The experiment
--------------
The network is conv-relu-pool, conv-relu-pool, linear (`minigrad/models.py`), trained by SGD with momentum 0.9. An
accuracy from one run says little: another seed, that is other first weights and another order of the images, gives
another accuracy. So every schedule is run with the same seeds, and compared seed by seed: the difference d_s between
two schedules on seed s has no part in what a lucky seed gives to both.

A learning rate that suits one schedule may not suit another. So each schedule is first run at several α, and keeps the
one with the best mean accuracy on validation images, which are neither in the training set nor in the test set. Then it
is run with other seeds, and only there the test images are looked at.

What the numbers can say
------------------------
From n seeds the mean difference is known to a standard error SE = sd(d)/√n. If the seeds' differences are about
normal, mean ± t SE holds the true difference with 95 % probability, where t is a quantile of Student's distribution
with n - 1 degrees of freedom. Fifteen pairs of schedules give fifteen chances to be fooled: t is taken for 1 - 0.05/15,
so that all intervals hold together (Bonferroni). Two schedules whose interval contains 0 are not distinguishable by
this experiment, which is not to say that they are equal. The intervals are about seeds: other test images would move
all accuracies.

References
----------
I. Loshchilov and F. Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts (arXiv:1608.03983).
P. Goyal et al., Accurate, Large Minibatch SGD (arXiv:1706.02677), on warm-up.
L. N. Smith and N. Topin, Super-Convergence (arXiv:1708.07120), on one-cycle.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import itertools
import math
import multiprocessing
import os
import signal
import sys
import textwrap
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import lesson
import numpy as np

import minigrad
from minigrad import datasets, models, nn, optim
from minigrad.errors import DataError
from minigrad.optim import schedules

SCHEDULES = ("constant", "step", "exponential", "cosine", "warmup-cosine", "one-cycle")
COLOURS = (lesson.BLACK, lesson.BLUE, lesson.SKY, lesson.GREEN, lesson.ORANGE, lesson.PURPLE)
CHECKS = 10  # how often a run looks at the validation images


# ---- one run ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Task:
    """A dataset, and how much of it fits the time."""

    name: str
    size: int  # height and width of the images
    width: tuple[int, int]  # channels of the two convolutions
    batch_size: int
    training: int  # images
    validation: int
    epochs: int
    rates: tuple[float, ...]  # the α to choose from
    trials: int  # seeds with which they are tried
    seeds: int  # other seeds, with which the schedules are compared

    @property
    def steps(self) -> int:
        return self.epochs * -(-self.training // self.batch_size)


DIGITS = Task("digits", 8, (16, 32), 32, 1150, 287, 8, rates=(0.05, 0.1, 0.2), trials=2, seeds=12)
MNIST = Task("mnist", 28, (8, 16), 64, 6400, 1000, 1, rates=(0.05, 0.1), trials=1, seeds=8)
TASKS = (DIGITS, MNIST, replace(MNIST, name="fashion-mnist"))
QUICK = (
    replace(DIGITS, epochs=2, rates=(0.05, 0.1), trials=1, seeds=3),
    *(replace(task, training=1280, rates=(0.05,), seeds=3) for task in TASKS[1:]),
)


@dataclass
class Run:
    """What one run did."""

    schedule: str
    alpha: float
    seed: int
    rates: np.ndarray  # α_t, (steps,)
    losses: np.ndarray  # of each mini-batch before its step, (steps,)
    norms: np.ndarray  # ‖∇L‖ over all parameters, (steps,)
    validation: np.ndarray  # accuracy at CHECKS + 1 times from before the first step to after the last
    test: float  # accuracy after the last step; NaN where it was not looked at
    seconds: float  # of training, without the looks at validation and test images


@functools.cache
def images(name: str, root: str | None) -> tuple[Any, Any]:
    """The training and the test set."""
    if name == "digits":
        return datasets.Digits(train=True), datasets.Digits(train=False)
    load = {"mnist": datasets.MNIST, "fashion-mnist": datasets.FashionMNIST}[name]
    return load(root, train=True), load(root, train=False)


def accuracy_of(model: nn.Module, batches: datasets.DataLoader) -> float:
    """The part of the images whose highest score is that of their label."""
    right = count = 0
    with minigrad.no_grad():
        for x, labels in batches:
            right += int((model(x).argmax(1) == labels).sum().item())
            count += len(labels)
    return right / count


def train(task: Task, root: str | None, schedule: str, alpha: float, seed: int, trial: bool) -> Run:
    """Train the network once. Schedule, rate and seed are all that differs between two runs of a task."""
    everything, test = images(task.name, root)
    # Which images are held out is the same in each run.
    order = np.random.default_rng(0).permutation(len(everything))
    training = datasets.Subset(everything, order[: task.training])
    validation = datasets.Subset(everything, order[task.training : task.training + task.validation])

    generator = minigrad.manual_seed(seed)
    model = models.cnn(task.size, width=task.width)
    loader = datasets.DataLoader(training, task.batch_size, shuffle=True, generator=generator)
    held_out, last = datasets.DataLoader(validation, 500), datasets.DataLoader(test, 500)
    loss_of = nn.CrossEntropyLoss()
    # A rate that is too high is a result here, not an error.
    optimizer = optim.SGDMomentum(
        model.parameters(), lr=schedules.by_name(schedule, alpha, task.steps), momentum=0.9, nonfinite="skip"
    )

    rates, losses, norms = [], [], []
    checks = set(np.linspace(0, task.steps, CHECKS + 1).astype(int))
    accuracies, seconds = [accuracy_of(model, held_out)], 0.0
    for _ in range(task.epochs):
        for x, labels in loader:
            started = time.perf_counter()
            loss = loss_of(model(x), labels)
            optimizer.zero_grad()
            loss.backward()
            norms.append(optim.get_total_norm([p.grad for p in model.parameters()]).item())
            optimizer.step()
            seconds += time.perf_counter() - started
            losses.append(loss.item())
            rates.append(optimizer.lr)
            if len(losses) in checks:
                accuracies.append(accuracy_of(model, held_out))
    accuracy = math.nan if trial else accuracy_of(model, last)
    return Run(
        schedule, alpha, seed, rates=np.array(rates), losses=np.array(losses), norms=np.array(norms),
        validation=np.array(accuracies), test=accuracy, seconds=seconds,
    )  # fmt: skip


# ---- all runs, on all cores ------------------------------------------------------------------------------------------


@contextlib.contextmanager
def processes() -> Iterator[ProcessPoolExecutor]:
    """One process a core and one thread a process: the runs do not wait for each other."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    # Read by each process when it starts. 'spawn', because a fork of a process that has threads may hang.
    os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1", NUMBA_NUM_THREADS="1")
    # Two steps here compile the kernels; the processes then load them from the cache.
    train(replace(DIGITS, training=64, epochs=1), None, "constant", 0.05, 0, trial=True)
    # Ctrl-C is for this process, which ends the others.
    ignore = (signal.SIGINT, signal.SIG_IGN)
    pool = ProcessPoolExecutor(cores, multiprocessing.get_context("spawn"), signal.signal, ignore)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)  # after an error or Ctrl-C the runs that wait are not begun


def run_all(pool: ProcessPoolExecutor, task: Task, root: str | None, choices: list[tuple[Any, ...]]) -> list[Run]:
    """A run for each (schedule, α, seed, trial), in that order."""
    from tqdm import tqdm

    runs = [pool.submit(train, task, root, *choice) for choice in choices]
    return [run.result() for run in tqdm(runs, task.name, leave=False, disable=None)]  # None: only on a terminal


def choose_rates(pool: ProcessPoolExecutor, task: Task, root: str | None) -> dict[str, float]:
    """For each schedule the α with the best mean validation accuracy."""
    if len(task.rates) == 1:
        return dict.fromkeys(SCHEDULES, task.rates[0])
    seeds = range(task.seeds, task.seeds + task.trials)
    runs = run_all(pool, task, root, [(*c, True) for c in itertools.product(SCHEDULES, task.rates, seeds)])
    print(f"   Validation accuracy in % at the peak rate α, {task.trials} trials each; * is chosen:")
    print(f"     {'':<15}" + "".join(f"{alpha:>9g}" for alpha in task.rates))
    chosen = {}
    for schedule in SCHEDULES:
        means = {
            alpha: float(np.mean([r.validation[-1] for r in runs if (r.schedule, r.alpha) == (schedule, alpha)]))
            for alpha in task.rates
        }
        best = chosen[schedule] = max(means, key=lambda alpha: means[alpha])
        row = "".join(f"{100 * mean:>8.2f}{'*' if alpha == best else ' '}" for alpha, mean in means.items())
        print(f"     {schedule:<15}{row}")
    return chosen


# ---- what they say ---------------------------------------------------------------------------------------------------


def student_quantile(p: float, freedom: int) -> float:
    """The t below which a Student-distributed number with so many degrees of freedom lies with probability p > 1/2."""
    c = math.gamma((freedom + 1) / 2) / (math.sqrt(freedom * math.pi) * math.gamma(freedom / 2))

    def below(t: float) -> float:
        x = np.linspace(0, t, 4001)
        y = c * (1 + x * x / freedom) ** (-(freedom + 1) / 2)
        return 0.5 + float(((y[1:] + y[:-1]) / 2).sum() * (x[1] - x[0]))

    low, high = 0.0, 1000.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if below(middle) < p else (low, middle)
    return low


@dataclass
class Difference:
    """Of the test accuracy of two schedules, seed by seed, in percent."""

    mean: float
    error: float  # standard error of the mean
    reach: float  # half of the interval that holds for all pairs together

    @property
    def clear(self) -> bool:
        return abs(self.mean) > self.reach


def compare(a: list[Run], b: list[Run]) -> Difference:
    d = 100 * np.array([x.test - y.test for x, y in zip(a, b, strict=True)])
    pairs = math.comb(len(SCHEDULES), 2)
    error = float(d.std(ddof=1)) / math.sqrt(len(d))
    return Difference(float(d.mean()), error, student_quantile(1 - 0.05 / (2 * pairs), len(d) - 1) * error)


def smooth(values: np.ndarray, width: int) -> np.ndarray:
    """The running mean over `width` steps, (steps - width + 1,)."""
    return np.convolve(values, np.ones(width) / width, "valid")


def report(task: Task, runs: dict[str, list[Run]]) -> None:
    """Print what became of each schedule."""
    print(f"   At the chosen rate, {task.seeds} other seeds, mean and standard deviation:")
    print(f"     {'':<15}     α    test accuracy %    last training loss    last ‖∇L‖    half way: val. %    seconds")
    for schedule, group in runs.items():
        accuracy = 100 * np.array([r.test for r in group])
        loss, norm = last(group, "losses"), last(group, "norms")
        half = 100 * np.mean([r.validation[CHECKS // 2] for r in group])
        seconds = np.mean([r.seconds for r in group])
        print(f"     {schedule:<15}  {group[0].alpha:>4g}    {accuracy.mean():>6.2f} ± {accuracy.std(ddof=1):<6.2f}    "
              f"{loss:>18.4f}    {norm:>9.3f}    {half:>16.2f}    {seconds:>7.2f}")  # fmt: skip


def last(group: list[Run], name: str) -> float:
    """The mean of losses or norms over the last tenth of the steps and over the seeds."""
    values = np.array([getattr(run, name) for run in group])
    return float(values[:, -max(1, values.shape[1] // 10) :].mean())


def conclude(task: Task, chosen: dict[str, list[Run]]) -> None:
    """Say what can be said, and what cannot."""
    print("   Test accuracy less that of the constant rate, seed by seed: mean ± standard error, 95 % interval")
    for schedule in SCHEDULES[1:]:
        d = compare(chosen[schedule], chosen["constant"])
        verdict = ("better" if d.mean > 0 else "worse") if d.clear else "not distinguishable from constant"
        print(f"     {schedule:<15} {d.mean:>+6.2f} ± {d.error:.2f}    "
              f"[{d.mean - d.reach:+.2f}, {d.mean + d.reach:+.2f}]    {verdict}")  # fmt: skip
    pairs = list(itertools.combinations(SCHEDULES, 2))
    clear = [(a, b) for a, b in pairs if compare(chosen[a], chosen[b]).clear]
    ranked = sorted(SCHEDULES, key=lambda s: -float(np.mean([r.test for r in chosen[s]])))
    listed = ": " + ", ".join(" > ".join(sorted(pair, key=ranked.index)) for pair in clear) if clear else ""
    told = (
        f"Conclusion: {len(clear)} of {len(pairs)} pairs of schedules can be told apart on {task.seeds} seeds{listed}."
    )
    print(textwrap.fill(told, 110, initial_indent="   ", subsequent_indent="   ", break_on_hyphens=False))
    half = max(SCHEDULES, key=lambda s: float(np.mean([r.validation[CHECKS // 2] for r in chosen[s]])))
    lowest = min(SCHEDULES, key=lambda s: last(chosen[s], "losses"))
    ratio = last(chosen["constant"], "losses") / last(chosen[lowest], "losses")
    print(f"   On the way: half way {half} leads on the validation images; at the end {lowest} has the lowest training")
    print(f"   loss, a factor of {ratio:.1f} below that of the constant rate.")
    tied = [s for s in ranked[1:] if not compare(chosen[ranked[0]], chosen[s]).clear]
    if tied:
        print(f"   The highest test accuracy is {ranked[0]}'s; not distinguishable from it: {', '.join(tied)}.")
    else:
        print(f"   {ranked[0]} has a better test accuracy than every other.")


def draw(task: Task, chosen: dict[str, list[Run]], out: Any) -> None:
    picture, axes = lesson.figure(14, 8, 2, 3)
    (rate, loss, norm), (accuracy, final, difference) = axes
    width = max(2, task.steps // 30)
    steps = np.arange(1, task.steps + 1)
    middle = steps[width - 1 :] - width / 2
    checks = np.linspace(0, task.steps, CHECKS + 1)
    for i, (schedule, colour) in enumerate(zip(SCHEDULES, COLOURS, strict=True)):
        group = chosen[schedule]
        style = {"color": colour, "linewidth": 1.5}
        rate.plot(steps, group[0].rates, label=schedule, **style)
        loss.plot(middle, smooth(np.mean([r.losses for r in group], axis=0), width), **style)
        norm.plot(middle, smooth(np.mean([r.norms for r in group], axis=0), width), **style)
        accuracy.plot(checks, 100 * np.mean([r.validation for r in group], axis=0), marker="o", markersize=3, **style)
        tests = 100 * np.array([r.test for r in group])
        final.plot(tests, np.full(len(tests), i) + 0.18, ".", color=colour, alpha=0.6, markersize=7)
        final.errorbar(tests.mean(), i - 0.1, xerr=tests.std(ddof=1), fmt="s", color=colour, capsize=4, markersize=6)
        if i:
            d = compare(group, chosen["constant"])
            difference.errorbar(d.mean, i, xerr=d.reach, fmt="none", color=colour, capsize=4, linewidth=1)
            difference.errorbar(d.mean, i, xerr=d.error, fmt="s", color=colour, linewidth=3, markersize=6)
    title = f"A small CNN on {task.name}: {task.steps} steps of SGD with momentum, mean of {task.seeds} seeds"
    picture.legend(*rate.get_legend_handles_labels(), loc="outside upper center", ncols=6, frameon=False, title=title,
                   title_fontsize=13, fontsize=11)  # fmt: skip
    rate.set(ylabel="learning rate $α_t$", title="a   The schedules")
    loss.set(yscale="log", ylabel="training loss, cross-entropy (nats)", title="b   Training loss")
    norm.set(yscale="log", ylabel="gradient norm ‖∇L‖", title="c   Gradient norm")
    accuracy.set(ylabel="validation accuracy (%)", title="d   Accuracy on the way")
    means = 100 * np.array([np.mean([r.validation for r in group], axis=0)[2:] for group in chosen.values()])
    accuracy.set_ylim(means.min() - 1, min(100, means.max() + 1))
    for ax in (rate, loss, norm, accuracy):
        ax.set_xlabel("step")
        ax.set_xlim(0, task.steps)
    for ax, title in (
        (final, "e   In the end: each seed, mean ± deviation"),
        (difference, "f   Difference to the constant rate"),
    ):
        ax.set_yticks(range(len(SCHEDULES)), SCHEDULES)
        ax.set_ylim(len(SCHEDULES) - 0.4, -0.6)
        ax.set_title(title)
        ax.grid(axis="y", visible=False)
    final.set_xlabel("test accuracy (%)")
    difference.axvline(0, color=lesson.BLACK, linewidth=1)
    difference.set_xlabel(
        "difference of test accuracies (percentage points)\nthick: ± standard error, thin: 95 % interval"
    )
    lesson.save(picture, out, f"exercise_3_4_{task.name}")


def available(arguments: argparse.Namespace) -> tuple[list[tuple[Task, str | None]], list[str]]:
    """The tasks whose images are here, each with the folder to look in; the names of the others."""
    tasks: list[tuple[Task, str | None]] = []
    missing = []
    for task in QUICK if arguments.quick else TASKS:
        root = None if task.name == "digits" else arguments.data
        try:
            images(task.name, root)
        except DataError:
            if arguments.data:
                raise
            missing.append(task.name)
        else:
            tasks.append((task, root))
    return tasks, missing


def main(arguments: argparse.Namespace) -> None:
    tasks, missing = available(arguments)
    with processes() as pool:
        for task, root in tasks:
            started = time.perf_counter()
            print(f"{task.name}: {task.training:,} training images, {task.steps} steps of {task.batch_size}")
            rates = choose_rates(pool, task, root)
            choices = [(schedule, rates[schedule], seed, False) for schedule in SCHEDULES for seed in range(task.seeds)]
            runs = run_all(pool, task, root, choices)
            groups = {schedule: [run for run in runs if run.schedule == schedule] for schedule in SCHEDULES}
            report(task, groups)
            conclude(task, groups)
            draw(task, groups, arguments.out)
            print(f"   {time.perf_counter() - started:.1f} s in all\n")
    for name in missing:
        print(f"{name}: left out, its files are not here (--data DIR, or MINIGRAD_DATA).")


def options() -> lesson.Parser:
    parser = lesson.Parser("exercise_3_4", __doc__)
    parser.add_argument("--data", metavar="DIR", help="folder with mnist/ and fashion-mnist/ (default: MINIGRAD_DATA)")
    return parser


if __name__ == "__main__":
    sys.exit(lesson.run(main, options()))
