"""Metrics against counts by hand, plain numpy, and scikit-learn's published example."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import minigrad
from minigrad.confusion import ConfusionMatrix
from minigrad.errors import ArgumentError, DTypeError, ShapeError
from minigrad.evaluation import Sums
from minigrad.metrics import MAE, RMSE, Accuracy, BinaryAccuracy, Mean, Metric, TopK, named_metrics

RNG = np.random.default_rng(0)
SCORES = RNG.standard_normal((200, 7)).astype(np.float32)
LABELS = RNG.integers(0, 7, 200)


def test_accuracy_counts_the_samples_whose_class_has_the_highest_score() -> None:
    right = sum(max(range(7), key=lambda c: SCORES[i, c]) == LABELS[i] for i in range(200))
    assert Accuracy()(SCORES, LABELS) == right / 200
    assert Accuracy()(minigrad.tensor(SCORES), minigrad.tensor(LABELS)) == right / 200


def test_accuracy_takes_sequences_pictures_and_soft_targets() -> None:
    scores = RNG.standard_normal((4, 3, 5, 6))
    labels = RNG.integers(0, 3, (4, 5, 6))
    by_hand = np.mean([
        scores[n, :, i, j].argmax() == labels[n, i, j] for n in range(4) for i in range(5) for j in range(6)
    ])  # fmt: skip
    assert Accuracy()(scores, labels) == pytest.approx(by_hand, abs=1e-15)
    soft = np.eye(7)[LABELS] * 0.9 + 0.1 / 7
    assert Accuracy()(SCORES, soft) == Accuracy()(SCORES, LABELS)


def test_accuracy_leaves_out_the_label_that_is_to_be_ignored() -> None:
    labels = LABELS.copy()
    labels[::3] = -100
    kept = labels != -100
    assert Accuracy(ignore_index=-100)(SCORES, labels) == Accuracy()(SCORES[kept], LABELS[kept])
    assert np.isnan(Accuracy(ignore_index=-100)(SCORES[:2], np.array([-100, -100])))


@pytest.mark.parametrize("k", [1, 2, 5, 7])
def test_top_k_looks_among_the_k_highest_scores(k: int) -> None:
    right = sum(LABELS[i] in np.argsort(-SCORES[i], kind="stable")[:k] for i in range(200))
    assert TopK(k)(SCORES, LABELS) == right / 200


def test_top_1_is_the_accuracy_also_with_equal_scores_and_nan() -> None:
    scores = RNG.integers(0, 2, (300, 4)).astype(float)  # ties everywhere
    labels = RNG.integers(0, 4, 300)
    assert TopK(1)(scores, labels) == Accuracy()(scores, labels)
    assert TopK(2)(np.full((10, 3), np.nan), np.arange(10) % 3) == 0.0


def test_top_k_agrees_with_pytorch_on_pictures() -> None:
    torch = pytest.importorskip("torch")
    scores = RNG.standard_normal((3, 6, 4, 4))
    labels = RNG.integers(0, 6, (3, 4, 4))
    best = torch.from_numpy(scores).topk(2, dim=1).indices.numpy()
    assert TopK(2)(scores, labels) == (best == labels[:, None]).any(1).mean()


def test_binary_accuracy_compares_sides_of_the_threshold() -> None:
    logits, targets = np.array([-2.0, -0.1, 0.1, 3.0]), np.array([0, 1, 1, 1])
    assert BinaryAccuracy()(logits, targets) == 0.75
    assert BinaryAccuracy()(logits[:, None], targets.astype(np.float32)) == 0.75
    assert BinaryAccuracy(0.5)(1 / (1 + np.exp(-logits)), targets) == 0.75


def test_errors_of_regression_are_those_of_the_definitions() -> None:
    x, y = RNG.standard_normal((50, 3)).astype(np.float32), RNG.standard_normal((50, 3))
    assert MAE()(x, y) == pytest.approx(np.abs(x - y).mean(), rel=1e-12)
    assert RMSE()(x, y) == pytest.approx(np.sqrt(((x - y) ** 2).mean()), rel=1e-12)
    assert MAE()(x[:, :1], y[:, 0]) == pytest.approx(np.abs(x[:, 0] - y[:, 0]).mean(), rel=1e-12)


@pytest.mark.parametrize("metric", [Accuracy(), TopK(3), MAE(), RMSE(), ConfusionMatrix(7)], ids=repr)
@pytest.mark.parametrize("sizes", [[200], [1] * 200, [64, 64, 64, 8], [3, 197]])
def test_the_value_over_batches_is_that_of_all_samples(metric: Metric, sizes: list[int]) -> None:
    x, y = (SCORES, LABELS) if metric.better == "max" else (SCORES, SCORES[::-1].copy())
    sums = Sums(lambda output, target: None, {"m": metric})
    start = 0
    for n in sizes:
        sums.add(0.0, minigrad.tensor(x[start : start + n]), minigrad.tensor(y[start : start + n]))
        start += n
    assert sums.values()["m"] == pytest.approx(metric(x, y), rel=1e-12)


def test_a_function_is_a_metric_weighted_by_batch_sizes() -> None:
    seen = []

    def largest(x: minigrad.Tensor, y: minigrad.Tensor) -> minigrad.Tensor:
        seen.append(len(x))
        return (x - y).abs().max()

    sums = Sums(lambda output, target: None, named_metrics("test", [largest]))
    sums.add(0.0, minigrad.tensor([1.0, 4.0]), minigrad.tensor([0.0, 0.0]))
    sums.add(0.0, minigrad.tensor([10.0]), minigrad.tensor([0.0]))
    assert sums.values()["largest"] == (2 * 4.0 + 10.0) / 3
    assert seen == [2, 1]  # batch by batch, as they came


# ---- confusion matrix -----------------------------------------------------------------------------------------------

# The example in scikit-learn's documentation of confusion_matrix.
TRUE, PREDICTED = np.array([2, 0, 2, 2, 0, 1]), np.array([0, 0, 2, 2, 0, 2])


def test_the_confusion_matrix_is_that_of_scikit_learns_example() -> None:
    matrix = ConfusionMatrix(["ant", "bird", "cat"]).add(PREDICTED, TRUE)
    assert matrix.counts.tolist() == [[2, 0, 0], [0, 0, 1], [1, 0, 2]]
    assert matrix.accuracy == 4 / 6
    np.testing.assert_allclose(matrix.recall, [1.0, 0.0, 2 / 3])
    np.testing.assert_allclose(matrix.precision, [2 / 3, np.nan, 2 / 3])  # no sample was called a bird
    np.testing.assert_allclose(matrix.f1, [0.8, 0.0, 2 / 3])
    assert str(matrix).splitlines()[3].split() == ["cat", "1", "0", "2"]


def test_scores_and_predicted_labels_count_the_same() -> None:
    of_scores = ConfusionMatrix(7).add(SCORES, LABELS).counts
    of_labels = ConfusionMatrix(7).add(SCORES[:120].argmax(1), LABELS[:120]).add(SCORES[120:], LABELS[120:]).counts
    by_hand = np.zeros((7, 7), int)
    for true, predicted in zip(LABELS, SCORES.argmax(1), strict=True):
        by_hand[true, predicted] += 1
    assert (of_scores == by_hand).all()
    assert (of_labels == by_hand).all()


def test_as_a_metric_it_is_the_mean_recall_and_keeps_the_counts() -> None:
    matrix = ConfusionMatrix(3)
    value = matrix(np.eye(3)[PREDICTED], TRUE)
    assert value == pytest.approx((1.0 + 0.0 + 2 / 3) / 3)
    assert matrix.counts.sum() == 6


def test_its_picture_has_the_classes_and_every_count_that_is_not_zero(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from matplotlib.figure import Figure

    drawn: list[Figure] = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: (drawn.append(self), save(self, *a, **k))[1])
    ConfusionMatrix(["ant", "bird", "cat"]).add(PREDICTED, TRUE).plot(tmp_path / "c.png")
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")
    axes, bar = drawn[0].axes
    assert [text.get_text() for text in axes.get_yticklabels()] == ["ant", "bird", "cat"]
    assert sorted(int(text.get_text()) for text in axes.texts) == [1, 1, 2, 2]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")
    assert bar.get_ylabel() == "fraction of the true class"
    assert axes.get_title() == "accuracy 66.67 % of 6 samples"


# ---- mistakes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metric", "output", "target", "error", "message"),
    [
        (Accuracy(), np.zeros((3, 2)), np.zeros(4, int), ShapeError, r"scores \(3, 2\) and int64 \(4,\)"),
        (Accuracy(), np.zeros(3), np.zeros(3, int), ShapeError, r"scores \(N, C, ...\)"),
        (Accuracy(), np.zeros((3, 2)), np.zeros(3), ShapeError, "float64"),
        (TopK(3), np.zeros((3, 2)), np.zeros(3, int), ArgumentError, "k of at most 2, the number of classes, got 3"),
        (TopK(1), np.zeros((3, 2)), np.array([0, 1, 2]), ArgumentError, "labels from 0 to 1, got 0 to 2"),
        (MAE(), np.zeros((3, 1)), np.zeros((3, 3)), ShapeError, "of one shape"),
        (RMSE(), np.zeros((3, 2)), np.zeros(3), ShapeError, "of one shape"),
        (ConfusionMatrix(2), np.array([0, 1]), np.array([0, 2]), ArgumentError, "true labels from 0 to 1, got 0 to 2"),
        (ConfusionMatrix(2), np.array([0, -1]), np.array([0, 1]), ArgumentError, "predicted labels from 0 to 1"),
    ],
)
def test_what_does_not_fit_is_named(
    metric: Metric, output: np.ndarray, target: np.ndarray, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        metric(output, target)


def test_a_column_beside_a_row_is_never_broadcast_to_a_square() -> None:
    assert MAE()(np.zeros((3, 1)), np.array([1.0, 2.0, 3.0])) == 2.0


@pytest.mark.parametrize(
    ("metrics", "error", "message"),
    [
        (Accuracy(), DTypeError, r"Write metrics=\[...\]"),
        ([Accuracy(), Accuracy()], ArgumentError, "two metrics have the name 'accuracy'"),
        ({"top-5": TopK(5)}, ArgumentError, "expected an identifier"),
        ({"loss": MAE()}, ArgumentError, "other than 'loss'"),
        ([lambda x, y: 0.0], ArgumentError, "got '<lambda>'"),
        (["accuracy"], DTypeError, "Mean: expected a function"),
    ],
)
def test_metrics_need_names_that_are_columns(metrics: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        named_metrics("fit", metrics)  # type: ignore[arg-type]


@pytest.mark.parametrize("make", [lambda: TopK(0), lambda: ConfusionMatrix(0), lambda: ConfusionMatrix([]),
                                  lambda: ConfusionMatrix("ab"), lambda: Mean(abs, better="most")])  # fmt: skip
def test_constructors_refuse_nonsense(make: object) -> None:
    with pytest.raises(ArgumentError):
        make()  # type: ignore[operator]
