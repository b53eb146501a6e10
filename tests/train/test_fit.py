"""fit, evaluate and predict against loops written by hand, closed forms and plain numpy."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import datasets, models, nn, optim
from minigrad.callbacks import Callback, TerminateOnNaN
from minigrad.errors import ArgumentError, DTypeError, NonFiniteError
from minigrad.history import EpochRow
from minigrad.metrics import MAE, Accuracy, TopK
from minigrad.nn import functional as F
from minigrad.progress import Bar, Lines, clock
from minigrad.run import Run
from minigrad.train import evaluate, fit, predict

CROSS_ENTROPY = nn.CrossEntropyLoss()


def mean_square(output: Any, target: Any) -> Any:
    return ((output - target) ** 2).mean()


def mlp(seed: int = 0, double: bool = True) -> nn.Module:
    minigrad.manual_seed(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.Tanh(), nn.Linear(8, 10))
    return model.double() if double else model


def digit_batches(size: int, count: int = 24) -> list[tuple[Any, Any]]:
    images, labels = datasets.Digits().gather(np.arange(count))
    images = images.double()
    return [(images[i : i + size], labels[i : i + size]) for i in range(0, count, size)]


def parameters(model: nn.Module) -> np.ndarray:
    return np.concatenate([p.data.reshape(-1) for p in model.parameters()])


# ---- the loop -------------------------------------------------------------------------------------------------------


def test_fit_is_the_loop_that_one_writes_by_hand() -> None:
    batches, by_hand = digit_batches(5), mlp()
    optimizer = optim.Adam(by_hand.parameters(), lr=0.01)
    losses, right = [], 0
    for _ in range(2):
        right = 0
        for x, y in batches:
            scores = by_hand(x)
            loss = F.cross_entropy(scores, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            right += int((scores.data.argmax(1) == y.data).sum())
    model = mlp()
    history = fit(model, optim.Adam(model.parameters(), lr=0.01), F.cross_entropy, batches, 2, progress=False)
    assert parameters(model).tobytes() == parameters(by_hand).tobytes()
    assert history.step_losses == losses
    assert history.rows[1].train_accuracy == right / 24
    sizes = [5, 5, 5, 5, 4]
    assert history.rows[1].train_loss == pytest.approx(np.average(losses[5:], weights=sizes), rel=1e-14)
    assert (history.rows[1].epoch, history.rows[1].step) == (2, 10)


def test_the_same_fit_needs_no_closure_for_adam_and_gives_one_to_sam_and_lbfgs() -> None:
    """A convex quadratic with a known minimum: least squares, whose solution numpy finds."""
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((40, 3)), np.array([[1.0], [-2.0], [0.5]])
    batch = [(minigrad.tensor(x), minigrad.tensor(x @ w))]
    makers: list[tuple[Callable[[Any], Any], int, float]] = [
        (lambda p: optim.LBFGS(p, line_search_fn="strong_wolfe"), 5, 1e-6),
        (lambda p: optim.SGD(p, lr=0.2, momentum=0.5, nesterov="lookahead"), 150, 1e-6),
        (lambda p: optim.Adam(p, lr=0.1), 400, 1e-3),
        (lambda p: optim.SAM(optim.SGD(p, lr=0.1), rho=1e-4), 150, 1e-3),
    ]
    for make, epochs, tolerance in makers:
        minigrad.manual_seed(1)
        model = nn.Linear(3, 1, bias=False).double()
        history = fit(model, make(model.parameters()), mean_square, batch, epochs, progress=False)
        np.testing.assert_allclose(model.weight.data, w.T, atol=tolerance)
        assert len(history.step_losses) == epochs  # one a step, however often the closure was evaluated


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("k", [2, 3, 4])
def test_accumulating_k_batches_is_the_big_batch(k: int, reduction: str) -> None:
    """24 samples in batches of 3; with k = 3 the last step has two of them, 6 samples."""
    loss = nn.CrossEntropyLoss(reduction=reduction)
    lr = 0.5 if reduction == "mean" else 0.02
    big, small = mlp(), mlp()
    at_once = fit(
        big, optim.SGD(big.parameters(), lr=lr, momentum=0.9), loss, digit_batches(3 * k), 3, clip_norm=0.3,
        progress=False,
    )  # fmt: skip
    in_parts = fit(
        small, optim.SGD(small.parameters(), lr=lr, momentum=0.9), loss, digit_batches(3), 3, clip_norm=0.3,
        progress=False, accumulate=k,
    )  # fmt: skip
    np.testing.assert_allclose(parameters(small), parameters(big), rtol=0, atol=1e-12)
    np.testing.assert_allclose(in_parts.step_losses, at_once.step_losses, rtol=1e-12)
    np.testing.assert_allclose(in_parts.step_grad_norms, at_once.step_grad_norms, rtol=1e-11)
    assert [row.step for row in in_parts.rows] == [row.step for row in at_once.rows]
    for ours, theirs in zip(in_parts.rows, at_once.rows, strict=True):
        assert ours.train_loss == pytest.approx(theirs.train_loss, rel=1e-12)
        assert ours.train_accuracy == theirs.train_accuracy


def test_batches_of_unequal_sizes_are_weighted_by_their_samples() -> None:
    images, labels = digit_batches(24)[0]
    parts = [(images[:1], labels[:1]), (images[1:20], labels[1:20]), (images[20:], labels[20:])]
    big, small = mlp(), mlp()
    fit(big, optim.SGD(big.parameters(), lr=1.0), CROSS_ENTROPY, [(images, labels)], 2, progress=False)
    fit(small, optim.SGD(small.parameters(), lr=1.0), CROSS_ENTROPY, parts, 2, progress=False, accumulate=3)
    np.testing.assert_allclose(parameters(small), parameters(big), rtol=0, atol=1e-12)


def test_sam_and_accumulation_work_together() -> None:
    big, small = mlp(), mlp()
    for model, size, k in ((big, 12, 1), (small, 3, 4)):
        optimizer = optim.SAM(optim.SGD(model.parameters(), lr=0.3), rho=0.1)
        fit(model, optimizer, CROSS_ENTROPY, digit_batches(size), 2, progress=False, accumulate=k)
    np.testing.assert_allclose(parameters(small), parameters(big), rtol=0, atol=1e-12)


def test_clipping_bounds_the_step_and_the_history_has_the_norm_before_it() -> None:
    model = mlp()
    before = parameters(model)
    history = fit(
        model, optim.SGD(model.parameters(), lr=1.0), CROSS_ENTROPY, digit_batches(24), 1, clip_norm=1e-3,
        progress=False,
    )  # fmt: skip
    assert np.linalg.norm(parameters(model) - before) == pytest.approx(1e-3, rel=1e-9)
    again = mlp()
    ((x, y),) = digit_batches(24)
    F.cross_entropy(again(x), y).backward()
    norm = np.sqrt(sum((p.grad.data**2).sum() for p in again.parameters()))
    assert history.step_grad_norms == [pytest.approx(norm, rel=1e-12)]


def test_a_schedule_is_followed_step_by_step() -> None:
    model = mlp()
    schedule = optim.schedules.cosine(0.1, 10)
    history = fit(model, optim.SGD(model.parameters(), lr=schedule), CROSS_ENTROPY, digit_batches(5), 2, progress=False)
    assert history.step_lrs == [schedule(t) for t in range(10)]
    assert history.rows[0].lr == schedule(4)


def test_regression_has_losses_and_no_accuracy() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((30, 4)).astype(np.float32), rng.standard_normal((30, 2)).astype(np.float32)
    data = datasets.TensorDataset(x, y)
    model = nn.Linear(4, 2)
    history = fit(
        model, optim.SGD(model.parameters(), lr=0.1), mean_square, datasets.DataLoader(data, batch_size=10), 2, data,
        progress=False,
    )  # fmt: skip
    assert history.columns() == ["epoch", "step", "train_loss", "test_loss", "lr", "seconds"]
    assert evaluate(model, mean_square, data)._fields == ("loss",)
    prediction = x @ model.weight.data.T + model.bias.data
    measured = evaluate(model, mean_square, data, [MAE()])
    assert measured.loss == pytest.approx(((prediction - y) ** 2).mean(), rel=1e-6)
    assert measured.mae == pytest.approx(np.abs(prediction - y).mean(), rel=1e-6)


def test_models_with_several_inputs_get_them() -> None:
    class Product(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(minigrad.tensor([1.0]))

        def forward(self, a: Any, b: Any) -> Any:
            return self.scale * a * b

    a, b = np.arange(1.0, 5.0, dtype=np.float32), np.arange(2.0, 6.0, dtype=np.float32)
    batches = [(minigrad.tensor(a), minigrad.tensor(b), minigrad.tensor(3 * a * b))]
    model = Product()
    fit(model, optim.SGD(model.parameters(), lr=0.004), mean_square, batches, 60, progress=False)
    assert model.scale.item() == pytest.approx(3.0, abs=1e-4)
    assert predict(model, batches).tolist() == pytest.approx((3 * a * b).tolist(), abs=1e-2)


def test_schedule_free_is_measured_and_left_as_its_average() -> None:
    """The averaged weights, which eval() shows, are what the test loss is of, and what fit leaves behind."""
    ((x, y),) = batches = digit_batches(24)
    model = mlp()
    optimizer = optim.ScheduleFreeSGD(model.parameters(), lr=1.0)
    history = fit(model, optimizer, CROSS_ENTROPY, batches, 3, batches, progress=False)
    assert not optimizer.training
    by_hand = mlp()
    other = optim.ScheduleFreeSGD(by_hand.parameters(), lr=1.0)
    for _ in range(3):
        other.zero_grad()
        F.cross_entropy(by_hand(x), y).backward()
        other.step()
    other.eval()
    assert parameters(model).tobytes() == parameters(by_hand).tobytes()
    assert history.rows[-1].test_loss == F.cross_entropy(by_hand(x), y).item()


def test_an_optimizer_that_accumulates_itself_is_flushed_at_the_end_of_the_epoch() -> None:
    model, other = mlp(), mlp()
    fit(model, optim.accumulate(optim.SGD(model.parameters(), lr=0.5), 2), CROSS_ENTROPY, digit_batches(8), 2,
        progress=False)  # fmt: skip
    fit(other, optim.SGD(other.parameters(), lr=0.5), CROSS_ENTROPY, digit_batches(8), 2, progress=False, accumulate=2)
    np.testing.assert_allclose(parameters(model), parameters(other), rtol=0, atol=1e-12)


def test_the_model_trains_in_train_mode_and_is_measured_in_eval_mode() -> None:
    modes: list[tuple[str, bool, bool]] = []

    class Spy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(2, 2)
            self.frozen = nn.Dropout()

        def forward(self, x: Any) -> Any:
            modes.append((what[0], self.training, self.frozen.training))
            return self.inner(x)

    model, what = Spy(), ["fit"]
    data = datasets.TensorDataset(np.ones((4, 2), np.float32), np.array([0, 1, 0, 1]))
    model.eval()
    fit(model, optim.SGD(model.parameters()), CROSS_ENTROPY, datasets.DataLoader(data, batch_size=4), 1, data,
        progress=False)  # fmt: skip
    assert modes == [("fit", True, True), ("fit", False, False)]
    what[0] = "evaluate"
    model.train()
    model.frozen.eval()
    evaluate(model, CROSS_ENTROPY, data)
    assert modes[-1] == ("evaluate", False, False)
    assert (model.training, model.frozen.training) == (True, False)  # each module as it was


# ---- evaluate and predict -------------------------------------------------------------------------------------------


def test_evaluate_is_the_mean_over_samples_whatever_the_batches() -> None:
    model = mlp(double=False)
    digits = datasets.Digits(train=False)
    images, labels = digits.gather(np.arange(len(digits)))
    scores = model(images).data.astype(np.float64)
    log_p = scores - np.log(np.exp(scores).sum(1, keepdims=True))
    loss = -log_p[np.arange(360), labels.data].mean()
    for data in (digits, datasets.DataLoader(digits, batch_size=77), [(images, labels)]):
        measured = evaluate(model, CROSS_ENTROPY, data, {"accuracy": Accuracy(), "top3": TopK(3)})
        assert measured.loss == pytest.approx(loss, rel=1e-6)
        assert measured.accuracy == (scores.argmax(1) == labels.data).mean()
        assert measured.top3 == np.mean([labels.data[i] in np.argsort(-scores[i])[:3] for i in range(360)])
    mean_loss, accuracy = evaluate(model, CROSS_ENTROPY, digits)  # without asking: these two
    assert mean_loss == pytest.approx(loss, rel=1e-6)
    assert accuracy == measured.accuracy


def test_predict_gives_the_same_rows_for_every_kind_of_data() -> None:
    model = mlp(double=False)
    digits = datasets.Digits(train=False)
    images, labels = digits.gather(np.arange(360))
    expected = model(images).data
    kinds = [images, images.data, digits, datasets.DataLoader(digits, batch_size=50), [(images, labels)], [images]]
    for data in kinds:
        np.testing.assert_allclose(predict(model, data, batch_size=100), expected, rtol=1e-5, atol=1e-6)
    assert not minigrad.tensor(predict(model, images[:2])).requires_grad


def test_predict_puts_the_parts_of_a_tuple_together() -> None:
    class Two(nn.Module):
        def forward(self, x: Any) -> Any:
            return x * 2, x.sum(1)

    x = np.arange(10.0).reshape(5, 2)
    double, total = predict(Two(), x, batch_size=2)
    assert (double == 2 * x).all()
    assert (total == x.sum(1)).all()


# ---- what is not finite ---------------------------------------------------------------------------------------------


class Overflowing(nn.Module):
    """exp of something large, once the input is large."""

    def forward(self, x: Any) -> Any:
        return x.exp()


def overflowing() -> nn.Module:
    minigrad.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 3), Overflowing(), nn.Linear(3, 2))


def finite_then(x: list[list[float]]) -> list[tuple[Any, Any]]:
    good = minigrad.tensor([[0.1, 0.2]])
    return [(good, minigrad.tensor([0])), (minigrad.tensor(x), minigrad.tensor([1]))]


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        (finite_then([[3000.0, -3000.0]]), r"The first output that is not finite is that of 1 \(Overflowing\)"),
        (finite_then([[float("nan"), 0.0]]), "The inputs of the batch are not finite: look at the data"),
    ],
)
def test_a_loss_that_is_not_finite_names_the_layer_and_makes_no_step(batches: Any, message: str) -> None:
    model, reference = overflowing(), overflowing()
    fit(reference, optim.SGD(reference.parameters(), lr=0.1), CROSS_ENTROPY, batches[:1], 1, progress=False)
    with pytest.raises(NonFiniteError, match=rf"fit: the loss is (nan|inf) at step 2\..*{message}"):
        fit(model, optim.SGD(model.parameters(), lr=0.1), CROSS_ENTROPY, batches, 1, progress=False)
    assert parameters(model).tobytes() == parameters(reference).tobytes()


def test_a_gradient_that_is_not_finite_names_the_layer_whose_output_it_is_of() -> None:
    class Root(nn.Module):
        def forward(self, x: Any) -> Any:
            return x.relu().sqrt()  # at 0: value 0, derivative infinite, times relu's 0 is NaN

    minigrad.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 2), Root(), nn.Linear(2, 2))
    batch = [(minigrad.tensor([[0.0, 0.0]]), minigrad.tensor([0]))]
    model[0].bias.data[...] = -1.0
    with pytest.raises(NonFiniteError, match=r"the gradient of .* first gradient .* output of 0 \(Linear\)"):
        fit(model, optim.SGD(model.parameters()), CROSS_ENTROPY, batch, 1, progress=False)
    assert all(np.isfinite(p.data).all() for p in model.parameters())


def test_parameters_that_are_not_finite_are_named_first() -> None:
    model = overflowing()
    model[2].weight.data[0, 0] = np.inf
    with pytest.raises(NonFiniteError, match=r"The parameter 2\.weight is not finite \(1 of 6 elements\)"):
        fit(model, optim.SGD(model.parameters()), CROSS_ENTROPY, finite_then([[0.0, 0.0]]), 1, progress=False)


def test_the_search_leaves_random_state_and_buffers_alone() -> None:
    minigrad.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Dropout(0.5), Overflowing(), nn.Linear(3, 2))
    batch = [(minigrad.tensor([[1.0, 2.0], [2.0, 1.0]]) * 1e30, minigrad.tensor([0, 1]))]
    model[4].weight.data[...] = 1e38
    with pytest.raises(NonFiniteError):
        fit(model, optim.SGD(model.parameters()), CROSS_ENTROPY, batch, 1, progress=False)
    after = minigrad.random.default_generator.get_state(), model[1].num_batches_tracked.item()
    minigrad.manual_seed(0)
    again = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Dropout(0.5), Overflowing(), nn.Linear(3, 2))
    again[4].weight.data[...] = 1e38
    again(batch[0][0])
    assert (minigrad.random.default_generator.get_state(), again[1].num_batches_tracked.item()) == after


def test_terminate_on_nan_ends_the_run_in_place_of_an_error() -> None:
    model = overflowing()
    batches = finite_then([[3000.0, -3000.0]])
    history = fit(
        model, optim.SGD(model.parameters(), lr=0.1), CROSS_ENTROPY, batches, 5, progress=False,
        callbacks=[TerminateOnNaN()],
    )  # fmt: skip
    assert "1 (Overflowing)" in history.stopped
    assert len(history.step_losses) == 1
    assert history.rows == []
    assert np.isfinite(parameters(model)).all()


def test_an_optimizer_that_skips_such_steps_goes_on() -> None:
    model = overflowing()
    optimizer = optim.SGD(model.parameters(), lr=0.1, nonfinite="skip")
    history = fit(model, optimizer, CROSS_ENTROPY, finite_then([[3000.0, -3000.0]]), 3, progress=False)
    assert len(history.step_losses) == 6
    assert (optimizer.steps, optimizer.skipped) == (3, 3)


# ---- Ctrl-C ---------------------------------------------------------------------------------------------------------


class CtrlCAt(Callback):
    """Sends SIGINT to this process, in the middle of step `at`: when its gradients are there."""

    def __init__(self, at: int) -> None:
        self.at = at

    def on_gradients(self, run: Run) -> None:
        if run.step + 1 == self.at:
            os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_waits_for_the_end_of_the_step() -> None:
    model, reference = mlp(), mlp()
    handler = signal.getsignal(signal.SIGINT)
    history = fit(
        model, optim.Adam(model.parameters()), CROSS_ENTROPY, digit_batches(4), 3, progress=False,
        callbacks=[CtrlCAt(8)],
    )  # fmt: skip
    assert history.interrupted
    assert len(history.step_losses) == 8
    assert [row.epoch for row in history.rows] == [1]
    assert signal.getsignal(signal.SIGINT) is handler
    fit(reference, optim.Adam(reference.parameters()), CROSS_ENTROPY, digit_batches(4) + digit_batches(4)[:2], 1,
        progress=False)  # fmt: skip
    assert parameters(model).tobytes() == parameters(reference).tobytes()


def test_ctrl_c_while_measuring_keeps_the_epoch_for_the_resumed_run() -> None:
    class Batches:
        def __iter__(self) -> Iterator[Any]:
            os.kill(os.getpid(), signal.SIGINT)
            yield from digit_batches(4)

    model = mlp()
    history = fit(model, optim.Adam(model.parameters()), CROSS_ENTROPY, digit_batches(12), 3, Batches(), progress=False)
    assert history.interrupted
    assert len(history.step_losses) == 2
    assert history.rows == []


def test_in_another_thread_fit_works_and_leaves_signals_alone() -> None:
    found: list[int] = []

    def work() -> None:
        model = mlp()
        history = fit(model, optim.SGD(model.parameters()), CROSS_ENTROPY, digit_batches(12), 1, progress=False)
        found.append(len(history.step_losses))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [2]


# ---- what is shown --------------------------------------------------------------------------------------------------


def train_shown(capsys: pytest.CaptureFixture, **options: Any) -> str:
    model = mlp()
    fit(model, optim.SGD(model.parameters(), lr=0.25), CROSS_ENTROPY, digit_batches(6), 2, digit_batches(12), **options)
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err


def test_without_a_terminal_there_is_a_line_an_epoch(capsys: pytest.CaptureFixture) -> None:
    lines = train_shown(capsys).splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("epoch 1/2  loss ")
    assert all(part in lines[1] for part in ("  accuracy ", "  test loss ", "  test accuracy ", " %", "  lr 0.25  "))


def test_somebody_who_reports_epochs_and_somebody_who_wants_nothing_see_no_lines(
    capsys: pytest.CaptureFixture,
) -> None:
    rows: list[EpochRow] = []
    assert train_shown(capsys, on_epoch=rows.append) == ""
    assert [row.epoch for row in rows] == [1, 2]
    assert train_shown(capsys, progress=False) == ""
    assert train_shown(capsys, progress="lines", on_epoch=rows.append).count("\n") == 2


def test_the_bar_shows_loss_metric_rate_and_time_left(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minigrad.progress._INTERVAL", 0.0)
    shown = train_shown(capsys, progress="bar")
    assert "epoch 1/2" in shown
    for part in ("loss ", "accuracy ", " %", "lr 0.25", " left", " in all", "50%"):
        assert part in shown
    assert shown.count("\n") >= 2  # the lines of the epochs stay


def test_the_bar_takes_data_of_unknown_length(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minigrad.progress._INTERVAL", 0.0)

    class Stream:
        def __iter__(self) -> Iterator[Any]:
            return iter(digit_batches(6))

    model = mlp()
    fit(model, optim.SGD(model.parameters()), CROSS_ENTROPY, Stream(), 1, progress="bar")
    assert "epoch 1/1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.9, "9.9 s"), (12.3, "12 s"), (185.2, "3:05"), (59.9, "60 s"), (7207, "2:00:07")],
)
def test_times_are_as_short_as_they_are_long(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_bars_need_a_terminal_and_lines_do_not() -> None:
    assert Bar.every_step
    assert not Lines.every_step


# ---- mistakes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"epochs": 0}, ArgumentError, "epochs"),
        ({"epochs": 2.5}, ArgumentError, "epochs"),
        ({"accumulate": 0}, ArgumentError, "accumulate"),
        ({"clip_norm": -1.0}, ArgumentError, "positive clip_norm"),
        ({"progress": "loud"}, ArgumentError, "'bar' or 'lines', got 'loud'"),
        ({"callbacks": [print]}, DTypeError, "made from Callback"),
        ({"data": []}, ArgumentError, "at least one batch"),
        ({"data": [np.zeros((2, 64))]}, DTypeError, r"batches \(x, y\)"),
        ({"test_data": []}, ArgumentError, "at least one batch, got none"),
        ({"metrics": Accuracy()}, DTypeError, r"metrics=\[...\]"),
    ],
)
def test_a_mistake_is_named(options: dict[str, Any], error: type[Exception], message: str) -> None:
    model = models.cnn(size=8)
    arguments: dict[str, Any] = {"data": digit_batches(12), "epochs": 1, "progress": False, **options}
    with pytest.raises(error, match=message):
        fit(mlp() if "data" not in options else model, optim.SGD(model.parameters()), CROSS_ENTROPY, **arguments)


def test_clipping_parts_of_an_accumulated_gradient_is_refused() -> None:
    model = mlp()
    optimizer = optim.accumulate(optim.SGD(model.parameters()), 2)
    with pytest.raises(ArgumentError, match="Use accumulate=k"):
        fit(model, optimizer, CROSS_ENTROPY, digit_batches(12), 1, clip_norm=1.0, progress=False)
