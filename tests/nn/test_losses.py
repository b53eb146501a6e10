"""Losses against PyTorch, live: value, gradients of input and target, second derivatives; and what bad input gets."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad
import minigrad.nn.functional as F
from minigrad import nn
from minigrad.backward import run
from minigrad.errors import ArgumentError, DimError, DTypeError, ShapeError

Shape = tuple[int, ...]
rng = np.random.default_rng(20)


def normal(*shape: int) -> np.ndarray:
    return np.asarray(rng.standard_normal(shape))


def share(*shape: int) -> np.ndarray:
    return np.asarray(rng.uniform(0.02, 0.98, shape))


def signs(*shape: int) -> np.ndarray:
    return np.asarray(rng.choice([-1.0, 1.0], shape))


def distribution(*shape: int) -> np.ndarray:
    q = rng.uniform(0.1, 1.0, shape)
    return q / q.sum(1 if len(shape) > 1 else 0, keepdims=True)


def log_softmax(z: np.ndarray) -> np.ndarray:
    axis = 1 if z.ndim > 1 else 0
    return z - np.log(np.exp(z).sum(axis, keepdims=True))


def labels(classes: int, *shape: int) -> np.ndarray:
    return rng.integers(0, classes, shape)


# function, positional arguments, options. Floating-point arguments are variables, but for those in `fixed`.
CASES: list[tuple[str, list[np.ndarray], dict[str, Any]]] = []


def case(name: str, *arguments: np.ndarray, **options: Any) -> None:
    CASES.append((name, list(arguments), options))


for name, options in [
    ("mse_loss", [{}]),
    ("l1_loss", [{}]),
    ("smooth_l1_loss", [{}, {"beta": 0.3}, {"beta": 0.0}, {"beta": 2.5}]),
    ("huber_loss", [{}, {"delta": 0.3}, {"delta": 2.5}]),
]:
    for option in options:
        for shape in [(5,), (3, 4), (2, 3, 2), ()]:
            case(name, normal(*shape), normal(*shape), **option)
for name in ("mse_loss", "l1_loss", "huber_loss"):
    for shape in [(5,), (3, 4), (2, 1, 3), (1,)]:
        case(name, normal(*shape), normal(*shape), weight=share(*shape))

case("cross_entropy", normal(6, 4), labels(4, 6))
case("cross_entropy", normal(6, 4), labels(4, 6), weight=share(4))
case("cross_entropy", normal(6, 4), labels(4, 6), label_smoothing=0.2)
case("cross_entropy", normal(6, 4), labels(4, 6), weight=share(4), label_smoothing=0.1, ignore_index=2)
case("cross_entropy", 30 * normal(6, 4), labels(4, 6), ignore_index=-1)
case("cross_entropy", normal(5), np.array(3))
case("cross_entropy", normal(2, 3, 4), labels(3, 2, 4), weight=share(3))
case("cross_entropy", normal(2, 3, 2, 2), labels(3, 2, 2, 2), label_smoothing=0.3, ignore_index=0)
case("cross_entropy", normal(6, 4), distribution(6, 4))
case("cross_entropy", normal(6, 4), distribution(6, 4), weight=share(4), label_smoothing=0.2)
case("cross_entropy", normal(4), distribution(4))
case("cross_entropy", normal(2, 3, 4), distribution(2, 3, 4), weight=share(3))
case("nll_loss", log_softmax(normal(6, 4)), labels(4, 6))
case("nll_loss", log_softmax(normal(6, 4)), labels(4, 6), weight=share(4))
case("nll_loss", log_softmax(normal(6, 4)), labels(4, 6), ignore_index=1)
case("nll_loss", log_softmax(normal(6, 4)), labels(4, 6), weight=share(4), ignore_index=0)
case("nll_loss", log_softmax(normal(5)), np.array(3))
case("nll_loss", log_softmax(normal(2, 3, 4)), labels(3, 2, 4))
case("nll_loss", log_softmax(normal(2, 3, 2, 2)), labels(3, 2, 2, 2), weight=share(3), ignore_index=2)
case("nll_loss", normal(1, 2), labels(2, 1))
for shape in [(5,), (3, 4), (2, 3, 2), ()]:
    case("binary_cross_entropy", share(*shape), share(*shape))
    case("binary_cross_entropy", share(*shape), np.asarray(np.round(share(*shape))), weight=share(*shape[-1:]))
    case("binary_cross_entropy_with_logits", normal(*shape), share(*shape))
    case("binary_cross_entropy_with_logits", np.asarray(40 * normal(*shape)), np.asarray(np.round(share(*shape))))
    case("binary_cross_entropy_with_logits", normal(*shape), share(*shape), weight=share(*shape))
    case(
        "binary_cross_entropy_with_logits", normal(*shape), share(*shape), pos_weight=np.asarray(3 * share(*shape[-1:]))
    )
    case("kl_div", normal(*shape), share(*shape))
    case("kl_div", normal(*shape), normal(*shape), log_target=True)
case("binary_cross_entropy", np.array([0.0, 1.0, 0.5, 0.3]), np.array([0.0, 1.0, 1.0, 0.0]))
case("kl_div", log_softmax(normal(3, 4)), np.array([[0.0, 1, 0, 0], [0.5, 0.5, 0, 0], [0.25] * 4]))
for full in (False, True):
    for var in [(3, 4), (3, 1), (3,)]:
        case("gaussian_nll_loss", normal(3, 4), normal(3, 4), share(*var), full=full)
    case("gaussian_nll_loss", normal(5), normal(5), 1e-3 * share(5), full=full, eps=1e-3)
    for log_input in (False, True):
        case("poisson_nll_loss", 3 * share(4), 3 * share(4), log_input=log_input, full=full)
        case("poisson_nll_loss", share(2, 3), 5 * share(2, 3), log_input=log_input, full=full, eps=1e-3)
for margin in (0.0, 0.2, 0.5, 1.0):
    for shape in [(5,), (3, 4)]:
        case("hinge_embedding_loss", normal(*shape), signs(*shape), margin=margin)
        case("margin_ranking_loss", normal(*shape), normal(*shape), signs(*shape), margin=margin)
        case("soft_margin_loss", (1 + 5 * margin) * normal(*shape), signs(*shape))
    case("cosine_embedding_loss", normal(4, 3), normal(4, 3), signs(4), margin=margin)
    case("cosine_embedding_loss", normal(3), normal(3), signs(), margin=margin)
    for swap in (False, True):
        case("triplet_margin_loss", normal(4, 3), normal(4, 3), normal(4, 3), margin=margin + 1.5, swap=swap)
case("triplet_margin_loss", normal(4, 3), normal(4, 3), normal(4, 3), p=3.0)
case("triplet_margin_loss", normal(3), normal(3), normal(3), p=1.0, margin=2.0)

REDUCTIONS = ("none", "mean", "sum")
# PyTorch announces that its 'mean' of the divergence will become 'batchmean'.
pytestmark = pytest.mark.filterwarnings("ignore:reduction. 'mean' divides the total loss")
# These are numbers to PyTorch, not variables.
FIXED = {"hinge_embedding_loss": {1}, "soft_margin_loss": {1}, "margin_ranking_loss": {2}, "cosine_embedding_loss": {2}}


def in_torch(torch: Any, x: Any, dtype: type) -> Any:
    return torch.tensor(x.astype(dtype) if x.dtype.kind == "f" else x) if isinstance(x, np.ndarray) else x


def in_minigrad(x: Any, dtype: type) -> Any:
    return minigrad.tensor(x.astype(dtype) if x.dtype.kind == "f" else x) if isinstance(x, np.ndarray) else x


def variables(name: str, arguments: list) -> list[int]:
    """The places of the floating-point arguments, but for a target with zeros, where PyTorch's own gradient is NaN."""
    fixed = FIXED.get(name, set()) | {i for i, x in enumerate(arguments) if i and not x.all()}
    return [i for i, x in enumerate(arguments) if x.dtype.kind == "f" and i not in fixed]


def test_every_loss_has_at_least_eight_cases() -> None:
    names = [name for name, _, _ in CASES]
    assert min(names.count(name) * len(REDUCTIONS) for name in names) >= 24


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("index", range(len(CASES)), ids=[f"{name}-{i}" for i, (name, _, _) in enumerate(CASES)])
def test_value_and_gradients_are_those_of_pytorch(index: int, reduction: str) -> None:
    torch = pytest.importorskip("torch")
    name, arguments, options = CASES[index]
    for dtype, tolerance in [(np.float64, 1e-10), (np.float32, 1e-5)]:
        ours = [in_minigrad(x, dtype) for x in arguments]
        theirs = [in_torch(torch, x, dtype) for x in arguments]
        wanted = variables(name, arguments)
        for i in wanted:
            ours[i].requires_grad_()
            theirs[i].requires_grad_()
        truth = getattr(torch.nn.functional, name)(
            *theirs, reduction=reduction, **{key: in_torch(torch, value, dtype) for key, value in options.items()}
        )
        loss = getattr(F, name)(
            *ours, reduction=reduction, **{key: in_minigrad(value, dtype) for key, value in options.items()}
        )
        assert loss.shape == tuple(truth.shape)
        assert loss.dtype == dtype
        close(loss.data, truth.detach().numpy(), tolerance)
        g = np.random.default_rng(index).uniform(0.5, 1.5, loss.shape).astype(dtype)
        truth.backward(torch.tensor(g))
        loss.backward(minigrad.tensor(g))
        for i in wanted:
            close(ours[i].grad.data, theirs[i].grad.numpy(), tolerance)


def close(ours: np.ndarray, theirs: np.ndarray, tolerance: float) -> None:
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance * max(1.0, float(np.abs(theirs).max())))


# Twice differentiable in PyTorch too, and away from its kinks.
SMOOTH = [i for i, (name, x, _) in enumerate(CASES) if not (name == "binary_cross_entropy" and not x[0].all())]


@pytest.mark.parametrize("index", SMOOTH, ids=[f"{CASES[i][0]}-{i}" for i in SMOOTH])
def test_second_derivative_is_that_of_pytorch(index: int) -> None:
    torch = pytest.importorskip("torch")
    name, arguments, options = CASES[index]
    ours = [in_minigrad(x, np.float64) for x in arguments]
    theirs = [in_torch(torch, x, np.float64) for x in arguments]
    wanted = variables(name, arguments)
    for i in wanted:
        ours[i].requires_grad_()
        theirs[i].requires_grad_()
    truth = getattr(torch.nn.functional, name)(
        *theirs, **{key: in_torch(torch, value, np.float64) for key, value in options.items()}
    )
    loss = getattr(F, name)(*ours, **{key: in_minigrad(value, np.float64) for key, value in options.items()})
    v = [np.random.default_rng(i).uniform(0.5, 1.5, arguments[i].shape) for i in wanted]
    first = run([loss], [None], [ours[i] for i in wanted], create_graph=True)
    first_there = torch.autograd.grad(truth, [theirs[i] for i in wanted], create_graph=True)
    phi = sum((gx * minigrad.tensor(direction)).sum() for gx, direction in zip(first, v, strict=True))
    phi_there = sum((gx * torch.tensor(direction)).sum() for gx, direction in zip(first_there, v, strict=True))
    if not phi_there.requires_grad:
        return
    second = run([phi], [None], [ours[i] for i in wanted]) if phi.requires_grad else [None] * len(wanted)
    second_there = torch.autograd.grad(phi_there, [theirs[i] for i in wanted], allow_unused=True)
    for mine, other in zip(second, second_there, strict=True):
        other = 0.0 if other is None else other.numpy(force=True)
        close(np.zeros_like(other) if mine is None else mine.data, other, 1e-9)


def test_kl_batchmean_divides_by_the_rows() -> None:
    torch = pytest.importorskip("torch")
    x, y = log_softmax(normal(3, 4)), distribution(3, 4)
    truth = torch.nn.functional.kl_div(torch.tensor(x), torch.tensor(y), reduction="batchmean").item()
    assert F.kl_div(minigrad.tensor(x), minigrad.tensor(y), reduction="batchmean").item() == pytest.approx(truth, 1e-12)
    assert truth == pytest.approx(float((y * (np.log(y) - x)).sum() / 3), rel=1e-12)


@pytest.mark.parametrize("dim", [0, 1, -1])
def test_cosine_similarity_is_that_of_pytorch(dim: int) -> None:
    torch = pytest.importorskip("torch")
    a, b = normal(3, 4, 2), normal(3, 4, 2)
    a[0] = 0
    ta, tb = torch.tensor(a, requires_grad=True), torch.tensor(b, requires_grad=True)
    ma, mb = minigrad.tensor(a, requires_grad=True), minigrad.tensor(b, requires_grad=True)
    truth, ours = torch.cosine_similarity(ta, tb, dim), nn.CosineSimilarity(dim)(ma, mb)
    close(ours.data, truth.detach().numpy(), 1e-12)
    assert np.abs(ours.data).max() <= 1 + 1e-12


# layer, its options, the arguments of a call
LAYERS: list[tuple[str, dict[str, Any], list[np.ndarray]]] = [
    ("CrossEntropyLoss", {"weight": share(4), "ignore_index": 1, "label_smoothing": 0.1}, [normal(6, 4), labels(4, 6)]),
    ("NLLLoss", {"weight": share(4), "ignore_index": 1}, [log_softmax(normal(6, 4)), labels(4, 6)]),
    ("MSELoss", {}, [normal(3, 4), normal(3, 4)]),
    ("L1Loss", {}, [normal(3, 4), normal(3, 4)]),
    ("SmoothL1Loss", {"beta": 0.4}, [normal(3, 4), normal(3, 4)]),
    ("HuberLoss", {"delta": 0.4}, [normal(3, 4), normal(3, 4)]),
    ("BCELoss", {"weight": share(4)}, [share(3, 4), share(3, 4)]),
    ("BCEWithLogitsLoss", {"weight": share(4), "pos_weight": 2 * share(4)}, [normal(3, 4), share(3, 4)]),
    ("KLDivLoss", {"log_target": True}, [log_softmax(normal(3, 4)), log_softmax(normal(3, 4))]),
    ("GaussianNLLLoss", {"full": True, "eps": 0.01}, [normal(3, 4), normal(3, 4), share(3, 4)]),
    ("PoissonNLLLoss", {"log_input": False, "full": True, "eps": 0.01}, [share(3, 4), 3 * share(3, 4)]),
    ("CosineEmbeddingLoss", {"margin": 0.1}, [normal(3, 4), normal(3, 4), signs(3)]),
    ("HingeEmbeddingLoss", {}, [normal(3, 4), signs(3, 4)]),
    ("MarginRankingLoss", {}, [normal(3, 4), normal(3, 4), signs(3, 4)]),
    ("SoftMarginLoss", {}, [normal(3, 4), signs(3, 4)]),
    ("TripletMarginLoss", {"margin": 2.0, "swap": True}, [normal(3, 4), normal(3, 4), normal(3, 4)]),
]


@pytest.mark.parametrize(("name", "options", "arguments"), LAYERS, ids=[name for name, _, _ in LAYERS])
def test_layers_hand_their_options_on(name: str, options: dict[str, Any], arguments: list[np.ndarray]) -> None:
    torch = pytest.importorskip("torch")
    for reduction in (*REDUCTIONS, *(["batchmean"] if name == "KLDivLoss" else [])):
        theirs = getattr(torch.nn, name)(
            reduction=reduction, **{key: in_torch(torch, value, np.float64) for key, value in options.items()}
        )
        ours = getattr(nn, name)(
            reduction=reduction, **{key: in_minigrad(value, np.float64) for key, value in options.items()}
        )
        truth = theirs(*(in_torch(torch, x, np.float64) for x in arguments)).numpy()
        close(ours(*(in_minigrad(x, np.float64) for x in arguments)).data, truth, 1e-12)
        assert list(ours.state_dict()) == list(theirs.state_dict())


def test_logits_of_any_size_cost_what_they_should() -> None:
    x = minigrad.tensor([1e4, -1e4, 1e4, -1e4], dtype=np.float64, requires_grad=True)
    losses = F.binary_cross_entropy_with_logits(x, minigrad.tensor([0.0, 1.0, 1.0, 0.0]).double(), reduction="none")
    assert losses.tolist() == [1e4, 1e4, 0.0, 0.0]
    losses.sum().backward()
    assert x.grad.tolist() == [1.0, -1.0, 0.0, 0.0]


def test_a_sure_and_wrong_probability_costs_a_hundred_as_in_pytorch() -> None:
    x, y = minigrad.tensor([0.0, 1.0]), minigrad.tensor([1.0, 0.0])
    assert F.binary_cross_entropy(x, y, reduction="none").tolist() == [100.0, 100.0]


def test_ignored_rows_count_for_nothing_even_where_they_are_infinite() -> None:
    x = minigrad.tensor([[-np.inf, 0.0], [-1.0, -2.0]], dtype=np.float64, requires_grad=True)
    loss = F.nll_loss(x, minigrad.tensor([7, 1]), ignore_index=7)
    assert loss.item() == 2.0
    loss.backward()
    assert x.grad.tolist() == [[0.0, 0.0], [0.0, -1.0]]


@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
def test_the_mean_over_nothing_is_nan_as_in_pytorch(name: str) -> None:
    loss = getattr(F, name)(minigrad.zeros(2, 3), minigrad.tensor([1, 1]), ignore_index=1)
    assert np.isnan(loss.item())


def test_cross_entropy_is_nll_of_log_softmax() -> None:
    x, y = minigrad.tensor(normal(6, 4)), minigrad.tensor(labels(4, 6))
    assert F.cross_entropy(x, y).item() == pytest.approx(F.nll_loss(F.log_softmax(x, dim=1), y).item(), rel=1e-12)


def t(*shape: int) -> minigrad.Tensor:
    return minigrad.ones(*shape) * 0.5


y2 = minigrad.tensor([0, 1])
BAD: list[tuple[Callable[[], Any], type, str]] = [
    (
        lambda: F.mse_loss(t(3), t(3, 1)),
        ShapeError,
        "mse_loss: expected input and target of the same shape, got (3,) and (3, 1)",
    ),
    (lambda: F.l1_loss(t(3), t(4)), ShapeError, "got (3,) and (4,)"),
    (lambda: F.huber_loss(t(3), t(3), delta=0.0), ArgumentError, "expected delta > 0, got 0.0"),
    (lambda: F.smooth_l1_loss(t(3), t(3), beta=-1.0), ArgumentError, "expected beta >= 0, got -1.0"),
    (
        lambda: F.mse_loss(t(3), t(3), "avg"),
        ArgumentError,
        "mse_loss: expected reduction 'none', 'mean', 'sum', got 'avg'",
    ),
    (lambda: F.mse_loss(t(3).long(), t(3)), DTypeError, "expected floating-point input, got int64"),
    (lambda: F.mse_loss(t(3), t(3), weight=t(1)), ShapeError, "expected weight of the input's shape (3,), got (1,)"),
    (lambda: nn.MSELoss("avg"), ArgumentError, "MSELoss: expected reduction 'none', 'mean', 'sum', got 'avg'"),
    (lambda: nn.KLDivLoss("avg"), ArgumentError, "KLDivLoss: expected reduction 'none', 'mean', 'sum', 'batchmean'"),
    (lambda: nn.MSELoss("batchmean"), ArgumentError, "got 'batchmean'"),
    (lambda: nn.CrossEntropyLoss(label_smoothing=1.5), ArgumentError, "expected label_smoothing in [0, 1], got 1.5"),
    (lambda: nn.CrossEntropyLoss(weight=[1, 2]), DTypeError, "expected weight as a Tensor, got list"),
    (lambda: nn.HuberLoss(delta=-1.0), ArgumentError, "HuberLoss: expected delta > 0"),
    (lambda: nn.SmoothL1Loss(beta=-1.0), ArgumentError, "SmoothL1Loss: expected beta >= 0"),
    (lambda: nn.TripletMarginLoss(margin=0.0), ArgumentError, "TripletMarginLoss: expected margin > 0"),
    (lambda: nn.GaussianNLLLoss(eps=0.0), ArgumentError, "GaussianNLLLoss: expected eps > 0"),
    (lambda: F.cross_entropy(t(2, 3), minigrad.tensor([0, 3])), DimError, "from 0 to 2 for 3 classes"),
    (lambda: F.cross_entropy(t(2, 3), minigrad.tensor([0])), ShapeError, "expected labels of shape (2,)"),
    (lambda: F.cross_entropy(t(2, 3), y2, weight=t(2)), ShapeError, "a weight for each class, shape (3,), got (2,)"),
    (
        lambda: F.cross_entropy(t(2, 3), t(2, 3) * 3),
        ArgumentError,
        "probabilities from 0 to 1 as target, got 1.5 to 1.5",
    ),
    (lambda: F.cross_entropy(t(), y2), ShapeError, "got a 0-d tensor"),
    (
        lambda: F.nll_loss(t(2, 3), minigrad.tensor([-1, 0])),
        DimError,
        "from 0 to 2 for 3 classes (or ignore_index=-100), got -1",
    ),
    (lambda: F.nll_loss(t(2, 3), t(2)), DTypeError, "nll_loss: expected integer labels, got float32"),
    (
        lambda: F.nll_loss(t(2, 3), y2.reshape(2, 1)),
        ShapeError,
        "expected labels of shape (2,) for scores of shape (2, 3)",
    ),
    (lambda: F.nll_loss(t(2, 3), y2, weight=t(4)), ShapeError, "nll_loss: expected a weight for each class"),
    (
        lambda: F.binary_cross_entropy(t(3) * 3, t(3)),
        ArgumentError,
        "from 0 to 1 as input, got 1.5 to 1.5. Logits go to",
    ),
    (lambda: F.binary_cross_entropy(t(3), t(3) * -1), ArgumentError, "from 0 to 1 as target, got -0.5 to -0.5"),
    (lambda: F.binary_cross_entropy(t(1) * np.nan, t(1)), ArgumentError, "from 0 to 1 as input, got nan"),
    (
        lambda: F.binary_cross_entropy(t(3), t(3), weight=t(2)),
        ShapeError,
        "weight that spreads to shape (3,), got (2,)",
    ),
    (lambda: F.binary_cross_entropy_with_logits(t(3), t(3) * 4), ArgumentError, "from 0 to 1 as target, got 2 to 2"),
    (
        lambda: F.binary_cross_entropy_with_logits(t(3), t(3), pos_weight=t(2, 3)),
        ShapeError,
        "expected pos_weight that spreads",
    ),
    (
        lambda: F.kl_div(t(3), t(3) * -1),
        ArgumentError,
        "got -0.5 to -0.5. Logarithms of probabilities need log_target=True",
    ),
    (lambda: F.kl_div(t(), t(), "batchmean"), ShapeError, "expected a batch"),
    (lambda: F.gaussian_nll_loss(t(2, 3), t(2, 3), t(3, 3)), ShapeError, "expected var of shape (2, 3)"),
    (lambda: F.gaussian_nll_loss(t(3), t(3), -1.0), ArgumentError, "expected var >= 0, got -1"),
    (lambda: F.hinge_embedding_loss(t(3), t(3)), ArgumentError, "expected targets of 1 and -1, got 0.5 to 0.5"),
    (lambda: F.cosine_embedding_loss(t(2, 3), t(2, 3), t(3)), ShapeError, "expected two inputs (N, D) and target (N,)"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD, ids=range(len(BAD)))
def test_bad_input_names_what_was_expected_and_what_came(call: Callable, error: type, message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        call()
