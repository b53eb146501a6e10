"""Callbacks and the history: tables of sequences, files read back, pictures looked into."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

import minigrad
from minigrad import datasets, nn, optim
from minigrad.callbacks import (
    Callback,
    Checkpoint,
    CSVLogger,
    EarlyStopping,
    GradientMonitor,
    LRScheduler,
    Timer,
)
from minigrad.checkpoint import newest, read_checkpoint
from minigrad.errors import ArgumentError, DataError, DTypeError
from minigrad.history import EpochRow, History
from minigrad.monitors import gradient_norms
from minigrad.optim import lr_scheduler
from minigrad.run import Run
from minigrad.train import fit

LOSS = nn.CrossEntropyLoss()
NAN = math.nan


def small_model(seed: int = 0) -> nn.Module:
    minigrad.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 5), nn.Tanh(), nn.Linear(5, 10))


def digits(size: int = 10, count: int = 40) -> datasets.DataLoader:
    return datasets.DataLoader(datasets.Subset(datasets.Digits(), range(count)), batch_size=size)


def train(*callbacks: Callback, epochs: int = 3, lr: float = 0.1, **options: Any) -> tuple[nn.Module, History]:
    model = small_model()
    optimizer = optim.SGD(model.parameters(), lr=lr)
    history = fit(model, optimizer, LOSS, digits(), epochs, callbacks=callbacks, progress=False, **options)
    return model, history


class Moments(Callback):
    """Notes what is called."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def on_begin(self, run: Run) -> None:
        self.seen.append("begin")

    def on_gradients(self, run: Run) -> None:
        self.seen.append(f"gradients {run.step + 1}")

    def on_step(self, run: Run) -> None:
        self.seen.append(f"step {run.step} batch {run.batch}")

    def on_epoch(self, run: Run, row: EpochRow) -> None:
        self.seen.append(f"epoch {row.epoch}")

    def on_end(self, run: Run) -> None:
        self.seen.append("end")


def test_the_moments_come_in_their_order() -> None:
    moments = Moments()
    model = small_model()
    fit(model, optim.SGD(model.parameters()), LOSS, digits(20), 2, callbacks=[moments], progress=False)
    steps = [[f"gradients {n}", f"step {n} batch {1 + (n - 1) % 2}"] for n in (1, 2, 3, 4)]
    assert moments.seen == ["begin", *steps[0], *steps[1], "epoch 1", *steps[2], *steps[3], "epoch 2", "end"]


# ---- EarlyStopping --------------------------------------------------------------------------------------------------


class Scripted(Callback):
    """Puts given numbers into the history in place of what was measured."""

    order = -1

    def __init__(self, name: str, values: list[float]) -> None:
        self.name, self.numbers = name, values

    def on_epoch(self, run: Run, row: EpochRow) -> None:
        row.values[self.name] = self.numbers[row.epoch - 1]  # type: ignore[index]


@pytest.mark.parametrize(
    ("options", "values", "stops_after", "best_epoch"),
    [
        ({"patience": 1}, [3, 2, 1, 1, 0], 4, 3),
        ({"patience": 2}, [3, 2, 2.5, 2.5, 0], 4, 2),
        ({"patience": 2}, [3, 2, 2.5, 1.9, 2, 2], 6, 4),
        ({"patience": 3}, [1, 2, 3, 4, 0], 4, 1),
        ({"patience": 2}, [5, 4, 3, 2, 1], None, 5),
        ({"patience": 2, "min_delta": 0.5}, [3, 2.6, 2.4, 1.8, 1.7, 1.6], 6, 4),
        ({"patience": 1, "min_delta": 0.5}, [3, 2.5, 1], 2, 1),  # by exactly min_delta is not by more
        ({"patience": 2, "mode": "max"}, [1, 2, 1.5, 1.5, 9], 4, 2),
        ({"patience": 2}, [NAN, 3, NAN, NAN, 1], 4, 2),
        ({"patience": 2}, [NAN, NAN, 1], 2, 0),
        ({"patience": 1}, [math.inf, 3, 2, math.inf], 4, 3),
    ],
)
def test_early_stopping_waits_for_patience_epochs_in_a_row(
    options: dict[str, Any], values: list[float], stops_after: int | None, best_epoch: int
) -> None:
    stopping = EarlyStopping("score_loss", **options)
    _, history = train(Scripted("score_loss", values), stopping, epochs=len(values))
    assert len(history.rows) == (stops_after or len(values))
    assert stopping.best_epoch == best_epoch
    assert bool(history.stopped) == (stops_after is not None)
    if best_epoch:
        assert stopping.best == values[best_epoch - 1]


def test_early_stopping_says_why_and_brings_the_best_weights_back() -> None:
    best = train(epochs=2)[0]
    stopping = EarlyStopping("score_accuracy", patience=2, restore_best=True)
    model, history = train(Scripted("score_accuracy", [0.5, 0.9, 0.8, 0.9, 1.0]), stopping, epochs=5)
    assert history.stopped == "score_accuracy has not become better than 0.9 of epoch 2 for 2 epochs"
    for ours, theirs in zip(model.parameters(), best.parameters(), strict=True):
        assert ours.data.tobytes() == theirs.data.tobytes()


def test_what_is_better_is_known_for_losses_errors_and_accuracies_and_asked_for_else() -> None:
    modes = {
        name: EarlyStopping(name).mode for name in ("test_loss", "test_mae", "test_accuracy", "test_top5_accuracy")
    }
    assert modes == {"test_loss": "min", "test_mae": "min", "test_accuracy": "max", "test_top5_accuracy": "max"}
    with pytest.raises(ArgumentError, match="Say mode='max' or 'min'"):
        EarlyStopping("test_bleu")


def test_a_column_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(ArgumentError, match=r"train_loss, train_accuracy.*got 'test_loss'. Give fit test_data"):
        train(EarlyStopping("test_loss"))


# ---- Checkpoint -----------------------------------------------------------------------------------------------------


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_checkpoints_are_best_last_and_every_so_often_of_which_some_are_kept(tmp_path: Path) -> None:
    keeper = Checkpoint(tmp_path / "run", monitor="score_loss", every_steps=5, keep=2)
    train(Scripted("score_loss", [3.0, 1.0, 2.0, 4.0]), keeper, epochs=4)  # 16 steps
    assert names(tmp_path / "run") == [
        "best.safetensors", "last.safetensors", "step-00000010.safetensors", "step-00000015.safetensors",
    ]  # fmt: skip
    steps = {path.stem: len(read_checkpoint(path).history["step_losses"]) for path in (tmp_path / "run").iterdir()}
    assert steps == {"best": 8, "last": 16, "step-00000010": 10, "step-00000015": 15}
    assert newest(tmp_path / "run") == tmp_path / "run" / "last.safetensors"


def test_checkpoints_of_epochs_are_kept_all_if_asked_and_last_can_be_left_out(tmp_path: Path) -> None:
    train(Checkpoint(tmp_path, every_epochs=2, keep=None, last=False), epochs=5)
    assert names(tmp_path) == ["step-00000008.safetensors", "step-00000016.safetensors"]


def test_a_stop_in_the_middle_of_an_epoch_leaves_it_in_last(tmp_path: Path) -> None:
    class Stop(Callback):
        def on_step(self, run: Run) -> None:
            if run.step == 6:
                run.stop("enough")

    train(Stop(), Checkpoint(tmp_path))
    checkpoint = read_checkpoint(tmp_path / "last.safetensors")
    assert len(checkpoint.history["step_losses"]) == 6
    assert (checkpoint.extra["fit"]["epoch"], checkpoint.extra["fit"]["batch"]) == (2, 2)


def test_a_checkpoint_says_what_it_is_about(tmp_path: Path) -> None:
    train(Checkpoint(tmp_path), epochs=1, about={"model": "mlp", "width": [64, 5]})
    assert read_checkpoint(tmp_path / "last.safetensors").about == {"model": "mlp", "width": [64, 5]}


# ---- the others -----------------------------------------------------------------------------------------------------


def test_the_csv_of_epochs_is_that_of_the_history_and_comes_back_bit_for_bit(tmp_path: Path) -> None:
    _, history = train(CSVLogger(tmp_path / "a" / "h.csv"), test_data=digits().dataset)
    assert History.from_csv(tmp_path / "a" / "h.csv").rows == history.rows
    history.to_csv(tmp_path / "b.csv")
    assert (tmp_path / "b.csv").read_bytes() == (tmp_path / "a" / "h.csv").read_bytes()
    header = (tmp_path / "b.csv").read_text().splitlines()[0]
    assert header == "epoch,step,train_loss,train_accuracy,test_loss,test_accuracy,lr,seconds"


def test_a_history_with_different_columns_and_strange_numbers_comes_back(tmp_path: Path) -> None:
    rows = [
        EpochRow(1, 10, {"train_loss": 0.1 + 0.2, "test_loss": math.inf}, 1e-300, 0.0),
        EpochRow(2, 20, {"train_loss": 5e-324, "test_mae": -0.0}, 0.1, 1e9),
    ]
    History(rows).to_csv(tmp_path / "h.csv")
    assert History.from_csv(tmp_path / "h.csv").rows == rows
    assert History(rows).column("test_loss")[0] == math.inf
    assert math.isnan(History(rows).column("test_loss")[1])


@pytest.mark.parametrize("text", ["a,b\n1,2\n", "epoch,step,lr,seconds\n1,x,0.1,2\n", "epoch,step,lr,seconds\n1,2\n"])
def test_another_table_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "h.csv").write_text(text)
    with pytest.raises(DataError, match=r"that History\.to_csv wrote"):
        History.from_csv(tmp_path / "h.csv")


def test_the_csv_of_steps_has_every_step_once_also_after_a_resumption(tmp_path: Path) -> None:
    keeper = Checkpoint(tmp_path / "run", every_steps=3, last=False)
    logger = CSVLogger(tmp_path / "steps.csv", per="step")
    logger.block = 2
    train(keeper, logger, clip_norm=1.0)
    whole = (tmp_path / "steps.csv").read_text()
    _, history = train(CSVLogger(tmp_path / "steps.csv", per="step"), clip_norm=1.0,
                       resume=tmp_path / "run" / "step-00000006.safetensors")  # fmt: skip
    assert (tmp_path / "steps.csv").read_text() == whole
    rows = list(csv.DictReader(whole.splitlines()))
    assert [int(row["step"]) for row in rows] == list(range(1, 13))
    assert [float(row["loss"]) for row in rows] == history.step_losses
    assert [float(row["grad_norm"]) for row in rows] == history.step_grad_norms


def test_a_scheduler_steps_after_epochs_or_steps() -> None:
    def rates(per: str) -> list[float]:
        model = small_model()
        optimizer = optim.SGD(model.parameters(), lr=1.0)
        scheduler = LRScheduler(lr_scheduler.ExponentialLR(optimizer, 0.5), per)
        return fit(model, optimizer, LOSS, digits(20), 2, callbacks=[scheduler], progress=False).step_lrs

    assert rates("epoch") == [1.0, 1.0, 0.5, 0.5]
    assert rates("step") == [1.0, 0.5, 0.25, 0.125]


def test_reduce_on_plateau_gets_the_number_it_watches() -> None:
    model = small_model()
    optimizer = optim.SGD(model.parameters(), lr=1.0)
    plateau = lr_scheduler.ReduceLROnPlateau(optimizer, patience=1, factor=0.1)
    values = [3.0, 2.0, 2.0, 2.0, 2.0]  # the second bad epoch, the fourth, brings the fall
    history = fit(
        model, optimizer, LOSS, digits(40), 5, progress=False,
        callbacks=[Scripted("score", values), LRScheduler(plateau, monitor="score")],
    )  # fmt: skip
    assert history.step_lrs == pytest.approx([1.0, 1.0, 1.0, 1.0, 0.1])


def test_scheduler_mistakes_are_named() -> None:
    model, other = small_model(), small_model()
    optimizer = optim.SGD(model.parameters(), lr=1.0)
    scheduler = LRScheduler(lr_scheduler.StepLR(optim.SGD(other.parameters(), lr=1.0), 1))
    with pytest.raises(ArgumentError, match="not one of the optimizer that was given"):
        fit(model, optimizer, LOSS, digits(), 1, callbacks=[scheduler], progress=False)
    with pytest.raises(ArgumentError, match="Chain them with ChainedScheduler"):
        fit(model, optimizer, LOSS, digits(), 1, callbacks=[scheduler, scheduler], progress=False)
    with pytest.raises(ArgumentError, match="ReduceLROnPlateau needs a metric"):
        LRScheduler(lr_scheduler.ReduceLROnPlateau(optimizer))
    with pytest.raises(DTypeError, match="expected a scheduler, got float"):
        LRScheduler(0.1)


def test_a_scheduler_may_be_one_of_a_wrapped_optimizer() -> None:
    model = small_model()
    inner = optim.SGD(model.parameters(), lr=1.0)
    scheduler = LRScheduler(lr_scheduler.StepLR(inner, 1, gamma=0.5))
    history = fit(model, optim.Lookahead(inner), LOSS, digits(40), 3, callbacks=[scheduler], progress=False)
    assert history.step_lrs == [1.0, 0.5, 0.25]


def test_gradient_norms_are_those_of_the_layers_parameters() -> None:
    model = small_model()
    x, y = next(iter(digits()))
    nn.functional.cross_entropy(model(x), y).backward()
    found = gradient_norms(model)
    assert list(found) == ["1", "3"]
    for name in found:
        flat = np.concatenate([p.grad.data.reshape(-1) for p in model[int(name)].parameters()]).astype(np.float64)
        assert found[name] == pytest.approx(np.linalg.norm(flat), rel=1e-6)


def test_the_monitor_records_every_nth_step_before_clipping(tmp_path: Path) -> None:
    everywhere, sometimes = GradientMonitor(), GradientMonitor(every=4)
    train(everywhere, clip_norm=1e-3)
    _, history = train(sometimes, clip_norm=1e-3)
    assert everywhere.steps == list(range(1, 13))
    assert sometimes.steps == [4, 8, 12]
    for layer in ("1", "3"):
        assert sometimes.norms[layer] == everywhere.norms[layer][3::4]
    total = np.sqrt(np.square(everywhere.norms["1"]) + np.square(everywhere.norms["3"]))
    np.testing.assert_allclose(history.step_grad_norms, total, rtol=1e-6)
    assert min(total) > 1e-3


def test_without_clipping_the_history_has_the_monitors_norms_and_nan_between() -> None:
    _, history = train(GradientMonitor(every=3))
    known = [math.isfinite(norm) for norm in history.step_grad_norms]
    assert known == [step % 3 == 0 for step in range(1, 13)]
    assert train()[1].step_grad_norms == []


def test_the_timer_counts_what_was_done_and_ends_the_run_at_its_limit() -> None:
    timer = Timer()
    _, history = train(timer)
    assert timer.steps == 12
    assert len(timer.epoch_seconds) == 3
    assert 0 < timer.training_seconds <= sum(timer.epoch_seconds) <= history.rows[-1].seconds + 0.1
    assert timer.seconds_per_step == timer.training_seconds / 12
    _, stopped = train(Timer(limit=1e-9))
    assert len(stopped.step_losses) == 1
    assert stopped.stopped == "the time limit of 1e-09 s was reached"


# ---- pictures -------------------------------------------------------------------------------------------------------


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    drawn: list[Figure] = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: (drawn.append(self), save(self, *a, **k))[1])
    return drawn


def test_the_learning_curves_have_a_panel_for_each_number_with_its_unit(tmp_path: Path, figures: list[Figure]) -> None:
    _, history = train(test_data=digits().dataset, clip_norm=1.0)
    history.plot(tmp_path / "curves.png", "a title")
    panels = figures[0].axes
    labels = [axes.get_ylabel() for axes in panels]
    assert labels == ["cross-entropy (nats)", "accuracy (%)", "gradient norm ‖g‖₂", "learning rate"]
    assert panels[-1].get_xlabel() == "optimizer step"
    lines = {line.get_label(): line for line in panels[1].get_lines()}
    assert lines["test"].get_ydata().tolist() == [100 * row.test_accuracy for row in history.rows]
    assert lines["training, mean of the epoch"].get_xdata().tolist() == [4, 8, 12]
    # Not told apart by colour alone.
    assert len({(to_hex(line.get_color()), line.get_linestyle()) for line in lines.values()}) == 2
    assert lines["test"].get_linestyle() != lines["training, mean of the epoch"].get_linestyle()
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_curves_of_an_empty_run_and_of_regression_are_drawn(tmp_path: Path, figures: list[Figure]) -> None:
    History().plot(tmp_path / "empty.png")
    row = EpochRow(1, 2, {"train_loss": 0.0, "train_mae": 0.5, "test_mae": 0.4}, 0.1, 1.0)
    History([row], [1.0, 0.0], [0.1, 0.1], loss_name="MSELoss").plot(tmp_path / "r.png")
    assert [axes.get_ylabel() for axes in figures[1].axes] == ["mean square error", "MAE", "learning rate"]
    assert figures[1].axes[0].get_yscale() == "linear"  # a loss of 0 has no logarithm


def test_few_layers_are_lines_and_many_are_rows(tmp_path: Path, figures: list[Figure]) -> None:
    few = GradientMonitor()
    train(few)
    few.plot(tmp_path / "few.png")
    (axes,) = figures[0].axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["1 (Linear)", "3 (Linear)"]
    assert axes.get_yscale() == "log"
    assert len({line.get_linestyle() for line in axes.get_lines()}) == 2

    many = GradientMonitor()
    many.steps, many.norms = [1, 2, 3], {f"layer{i}": [10.0**-i] * 3 for i in range(12)}
    many.plot(tmp_path / "many.png")
    axes, bar = figures[1].axes
    assert len(axes.get_yticklabels()) == 12
    assert bar.get_ylabel() == "log₁₀ of the gradient norm ‖g‖₂"
    np.testing.assert_allclose(axes.collections[0].get_array().reshape(12, 3)[:, 0], -np.arange(12.0))
    with pytest.raises(ArgumentError, match="nothing was measured"):
        GradientMonitor().plot(tmp_path / "none.png")


def test_the_table_has_aligned_columns() -> None:
    _, history = train(epochs=2)
    lines = str(history).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[0].split() == ["epoch", "step", "train_loss", "train_accuracy", "lr", "seconds"]
    assert lines[2].split()[:2] == ["2", "8"]
    with pytest.raises(ArgumentError, match="expected one of epoch, step, train_loss"):
        history.column("test_los")
    with pytest.raises(AttributeError, match="no 'test_loss'; it has train_loss, train_accuracy"):
        _ = history.rows[0].test_loss


@pytest.mark.parametrize(
    "make",
    [
        lambda: EarlyStopping(patience=0),
        lambda: EarlyStopping(min_delta=-1.0),
        lambda: EarlyStopping(mode="best"),
        lambda: Checkpoint("x", every_steps=0),
        lambda: Checkpoint("x", keep=0),
        lambda: CSVLogger("x", per="minute"),
        lambda: GradientMonitor(every=0),
        lambda: Timer(limit=0.0),
    ],
)
def test_constructors_refuse_nonsense(make: Any) -> None:
    with pytest.raises(ArgumentError):
        make()
