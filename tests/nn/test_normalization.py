"""Normalisation layers against PyTorch with the same weights, in training and evaluation, over several steps."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad
import minigrad.nn.functional as F
from minigrad import nn, optim
from minigrad.backward import run
from minigrad.errors import ArgumentError, DTypeError, ShapeError
from minigrad.optim.swa_utils import AveragedModel, update_bn

# layer, positional arguments, options, input shape
CASES: list[tuple[str, tuple, dict[str, Any], tuple[int, ...]]] = [
    ("BatchNorm1d", (3,), {}, (6, 3)),
    ("BatchNorm1d", (3,), {}, (4, 3, 5)),
    ("BatchNorm1d", (40,), {"momentum": 0.4}, (7, 40)),
    ("BatchNorm1d", (5,), {"momentum": None}, (6, 5)),
    ("BatchNorm1d", (3,), {"affine": False}, (6, 3, 2)),
    ("BatchNorm1d", (3,), {"track_running_stats": False}, (6, 3)),
    ("BatchNorm1d", (16,), {"eps": 0.1}, (1, 16, 6)),
    ("BatchNorm1d", (3,), {"momentum": 0.0}, (6, 3)),
    ("BatchNorm2d", (3,), {}, (4, 3, 5, 6)),
    ("BatchNorm2d", (1,), {}, (4, 1, 3, 3)),
    ("BatchNorm2d", (16,), {"momentum": None}, (2, 16, 7, 7)),
    ("BatchNorm2d", (20,), {"eps": 0.01, "momentum": 0.9}, (3, 20, 4, 4)),
    ("BatchNorm2d", (8,), {"affine": False}, (2, 8, 9, 3)),
    ("BatchNorm2d", (4,), {"track_running_stats": False}, (2, 4, 5, 5)),
    ("BatchNorm2d", (4,), {"track_running_stats": False, "affine": False}, (2, 4, 5, 5)),
    ("BatchNorm2d", (5,), {"momentum": 1.0}, (9, 5, 1, 1)),
    ("LayerNorm", (7,), {}, (5, 7)),
    ("LayerNorm", (7,), {"bias": False}, (2, 3, 7)),
    ("LayerNorm", ((3, 7),), {}, (2, 3, 7)),
    ("LayerNorm", ([4, 3, 2],), {"eps": 0.1}, (5, 4, 3, 2)),
    ("LayerNorm", (64,), {"elementwise_affine": False}, (4, 5, 64)),
    ("LayerNorm", (129,), {}, (33, 129)),
    ("LayerNorm", (6,), {}, (6,)),
    ("LayerNorm", (16,), {"eps": 1e-12}, (1, 1, 16)),
    ("RMSNorm", (7,), {}, (5, 7)),
    ("RMSNorm", (7,), {"eps": 1e-3}, (2, 3, 7)),
    ("RMSNorm", ((3, 7),), {}, (2, 3, 7)),
    ("RMSNorm", ([4, 3],), {"eps": 0.1}, (5, 4, 3)),
    ("RMSNorm", (64,), {"elementwise_affine": False}, (4, 5, 64)),
    ("RMSNorm", (129,), {}, (33, 129)),
    ("RMSNorm", (6,), {}, (6,)),
    ("RMSNorm", (16,), {"eps": 1e-12}, (1, 1, 16)),
    ("GroupNorm", (1, 4), {}, (3, 4, 5)),
    ("GroupNorm", (2, 4), {}, (3, 4, 5, 6)),
    ("GroupNorm", (4, 4), {"eps": 0.1}, (3, 4, 5, 6)),
    ("GroupNorm", (2, 6), {"affine": False}, (2, 6, 3, 3)),
    ("GroupNorm", (2, 8), {}, (5, 8)),
    ("GroupNorm", (4, 32), {}, (2, 32, 7, 7)),
    ("GroupNorm", (3, 18), {}, (2, 18, 4, 4)),
    ("GroupNorm", (1, 3), {}, (1, 3, 2, 3, 4)),
    ("InstanceNorm1d", (3,), {}, (4, 3, 5)),
    ("InstanceNorm1d", (3,), {"affine": True}, (4, 3, 5)),
    ("InstanceNorm1d", (3,), {"track_running_stats": True}, (4, 3, 5)),
    ("InstanceNorm1d", (3,), {"affine": True, "track_running_stats": True, "momentum": 0.3}, (4, 3, 5)),
    ("InstanceNorm1d", (3,), {"eps": 0.1}, (3, 6)),
    ("InstanceNorm1d", (17,), {"affine": True}, (2, 17, 3)),
    ("InstanceNorm1d", (1,), {"affine": True}, (2, 1, 9)),
    ("InstanceNorm1d", (3,), {"affine": True}, (3, 6)),
    ("InstanceNorm2d", (3,), {}, (4, 3, 5, 2)),
    ("InstanceNorm2d", (3,), {"affine": True}, (4, 3, 5, 2)),
    ("InstanceNorm2d", (3,), {"track_running_stats": True}, (4, 3, 5, 2)),
    ("InstanceNorm2d", (3,), {"affine": True, "track_running_stats": True, "momentum": 0.3}, (4, 3, 5, 2)),
    ("InstanceNorm2d", (3,), {"eps": 0.1}, (3, 6, 2)),
    ("InstanceNorm2d", (17,), {"affine": True}, (2, 17, 3, 3)),
    ("InstanceNorm2d", (1,), {"affine": True}, (2, 1, 9, 2)),
    ("InstanceNorm2d", (16,), {"affine": True}, (16, 6, 2)),
]
IDS = [f"{name}-{i}" for i, (name, *_) in enumerate(CASES)]


def twins(torch: Any, case: tuple, dtype: type) -> tuple[nn.Module, Any]:
    """Our layer and PyTorch's, with the same random weights."""
    name, arguments, options, _ = case
    rng = np.random.default_rng(7)
    ours = getattr(nn, name)(*arguments, **options).to(dtype)
    theirs = getattr(torch.nn, name)(*arguments, **options).to(getattr(torch, np.dtype(dtype).name))
    assert list(ours.state_dict()) == list(theirs.state_dict())
    state = {key: rng.uniform(0.5, 1.5, value.shape) for key, value in ours.named_parameters()}
    theirs.load_state_dict({key: torch.tensor(value) for key, value in state.items()}, strict=False)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def close(ours: Any, theirs: Any, tolerance: float) -> None:
    theirs = theirs.detach().numpy()
    assert ours.shape == theirs.shape
    bound = tolerance * max(1.0, float(np.abs(theirs).max(initial=0)))
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=bound)


@pytest.mark.parametrize("case", CASES, ids=IDS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-10), (np.float32, 1e-5)])
def test_layers_are_pytorchs_over_three_steps_and_in_evaluation(case: tuple, dtype: type, tolerance: float) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = twins(torch, case, dtype)
    rng = np.random.default_rng(1)
    there, here = (library.optim.SGD(m.parameters(), lr=0.1) if list(m.parameters()) else None
                   for library, m in ((torch, theirs), (minigrad, ours)))  # fmt: skip
    for step in range(5):
        if step == 3:
            ours.eval()
            theirs.eval()
        values = (rng.standard_normal(case[3]) * (step + 1) + step).astype(dtype)
        g = rng.standard_normal(case[3]).astype(dtype)
        x, xt = minigrad.tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)
        y, yt = ours(x), theirs(xt)
        assert y.dtype == dtype
        close(y.data, yt, tolerance)
        ours.zero_grad()
        theirs.zero_grad()
        y.backward(minigrad.tensor(g))
        yt.backward(torch.tensor(g))
        close(x.grad.data, xt.grad, tolerance)
        for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            close(mine.grad.data, other.grad, tolerance)
        for optimizer in (here, there):
            if optimizer is not None:
                optimizer.step()
        for (key, mine), other in zip(ours.state_dict().items(), theirs.state_dict().values(), strict=True):
            assert mine.dtype == (np.int64 if key == "num_batches_tracked" else dtype)
            close(mine.data, other, tolerance)


@pytest.mark.parametrize("case", [c for c in CASES if c[2].get("eps", 1) > 1e-9], ids=str)
@pytest.mark.parametrize("training", [True, False])
def test_second_derivatives_are_pytorchs(case: tuple, training: bool) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = twins(torch, case, np.float64)
    ours.train(training)
    theirs.train(training)
    rng = np.random.default_rng(2)
    values, g, v = rng.standard_normal((3, *case[3]))
    x, xt = minigrad.tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)
    gt, g = torch.tensor(g, requires_grad=True), minigrad.tensor(g, requires_grad=True)
    wanted, wanted_there = [x, *ours.parameters()], [xt, *theirs.parameters()]
    first = run([ours(x)], [g], wanted, create_graph=True)
    first_there = torch.autograd.grad(theirs(xt), wanted_there, gt, create_graph=True)
    phi = sum((a * a * 0.5).sum() for a in first) + (first[0] * minigrad.tensor(v)).sum()
    phi_there = sum((a * a * 0.5).sum() for a in first_there) + (first_there[0] * torch.tensor(v)).sum()
    second = run([phi], [None], [*wanted, g])
    second_there = torch.autograd.grad(phi_there, [*wanted_there, gt], allow_unused=True)
    for mine, other in zip(second, second_there, strict=True):
        if other is not None:
            close(np.zeros(other.shape) if mine is None else mine.data, other, 1e-8)


@pytest.mark.parametrize("name", ["BatchNorm2d", "GroupNorm"])
def test_the_memory_layout_changes_nothing(name: str) -> None:
    rng = np.random.default_rng(0)
    values, g = rng.standard_normal((2, 3, 8, 6, 5)).astype(np.float32)
    layer = nn.BatchNorm2d(8) if name == "BatchNorm2d" else nn.GroupNorm(2, 8)
    found = []
    for place in (lambda a: a, lambda a: np.ascontiguousarray(a.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)):
        x = minigrad.from_numpy(place(values)).requires_grad_()
        layer.zero_grad()
        y = layer(x)
        y.backward(minigrad.from_numpy(place(g)))
        found.append([y.data, x.grad.data, layer.weight.grad.data.copy(), layer.bias.grad.data.copy()])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def test_evaluation_does_not_mix_the_samples_of_a_batch() -> None:
    minigrad.manual_seed(0)
    layer = nn.BatchNorm1d(4)
    layer(minigrad.randn(20, 4) * 3 + 1)
    layer.eval()
    x = minigrad.randn(5, 4)
    alone = np.concatenate([layer(x[i : i + 1]).data for i in range(5)])
    np.testing.assert_allclose(layer(x).data, alone, rtol=1e-6)


def test_momentum_none_is_the_plain_mean_over_batches() -> None:
    layer = nn.BatchNorm1d(2, momentum=None)
    batches = np.random.default_rng(0).standard_normal((5, 8, 2)).astype(np.float32)
    for batch in batches:
        layer(minigrad.tensor(batch))
    np.testing.assert_allclose(layer.running_mean.data, batches.mean((0, 1)), rtol=1e-5)
    np.testing.assert_allclose(layer.running_var.data, batches.var(1, ddof=1).mean(0), rtol=1e-5)
    assert layer.num_batches_tracked.item() == 5
    layer.reset_running_stats()
    assert layer.running_mean.tolist() == [0.0, 0.0]
    assert layer.running_var.tolist() == [1.0, 1.0]
    assert layer.num_batches_tracked.item() == 0


def test_running_statistics_move_without_a_graph_too() -> None:
    layer = nn.BatchNorm1d(1)
    with minigrad.no_grad():
        layer(minigrad.tensor([[1.0], [3.0]]))
    assert layer.running_mean.item() == pytest.approx(0.2)
    assert layer.running_var.item() == pytest.approx(0.9 + 0.1 * 2)
    assert not layer.running_mean.requires_grad


def test_update_bn_gives_the_statistics_of_all_the_data() -> None:
    """With batches of one size the mean over batches is that over the data; the model is averaged, then measured."""
    minigrad.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 16, 2))
    averaged = AveragedModel(model)
    averaged.update_parameters(model)
    batches = [(minigrad.randn(10, 1, 6, 6) * 2 + 1, minigrad.zeros(10)) for _ in range(4)]
    averaged.module[1].momentum = 0.3
    averaged.eval()
    update_bn(batches, averaged)
    outputs = np.stack([averaged.module[0](x).data for x, _ in batches]).astype(np.float64)
    norm = averaged.module[1]
    np.testing.assert_allclose(norm.running_mean.data, outputs.mean((0, 1, 3, 4)), rtol=1e-5)
    each = outputs.transpose(0, 2, 1, 3, 4).reshape(4, 3, -1)
    np.testing.assert_allclose(norm.running_var.data, each.var(2, ddof=1).mean(0), rtol=1e-5)
    assert norm.num_batches_tracked.item() == 4
    assert norm.momentum == 0.3
    assert not averaged.training
    assert model[1].num_batches_tracked.item() == 0


def test_update_bn_is_pytorchs() -> None:
    torch = pytest.importorskip("torch")
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Linear(3, 2), nn.BatchNorm1d(2))
    there = torch.nn.Sequential(
        torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3), torch.nn.ReLU(), torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2)
    )
    there.load_state_dict({key: torch.tensor(value.numpy()) for key, value in model.state_dict().items()})
    batches = np.random.default_rng(0).standard_normal((3, 6, 4)).astype(np.float32)
    update_bn([minigrad.tensor(batch) for batch in batches], model)
    torch.optim.swa_utils.update_bn([torch.tensor(batch) for batch in batches], there)
    for mine, other in zip(model.state_dict().values(), there.state_dict().values(), strict=True):
        close(mine.data, other, 1e-5)


def test_decay_groups_leave_every_norm_out() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.GroupNorm(2, 8), nn.InstanceNorm2d(8, affine=True), nn.Flatten(),
        nn.Linear(8, 4), nn.LayerNorm((4,)), nn.RMSNorm(4), nn.LayerNorm((2, 2)), nn.BatchNorm1d(4),
    )  # fmt: skip
    decaying, spared = optim.decay_groups(model, 0.1)
    assert [name for name, _ in decaying["params"]] == ["0.weight", "5.weight"]
    assert {name for name, _ in spared["params"]} == {name for name, _ in model.named_parameters()} - {
        "0.weight", "5.weight",
    }  # fmt: skip
    assert spared["weight_decay"] == 0.0


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_a_new_layer_starts_as_pytorchs_does_and_resets_to_that(case: tuple) -> None:
    torch = pytest.importorskip("torch")
    name, arguments, options, shape = case
    ours, theirs = getattr(nn, name)(*arguments, **options), getattr(torch.nn, name)(*arguments, **options)
    for _ in range(2):
        for (key, mine), (there, other) in zip(ours.state_dict().items(), theirs.state_dict().items(), strict=True):
            assert key == there
            np.testing.assert_array_equal(mine.data, other.numpy())
        ours(minigrad.rand(*shape, generator=minigrad.Generator(0)))
        for parameter in ours.parameters():
            parameter.data[...] = 7
        ours.reset_parameters()


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_repr_is_pytorchs(case: tuple) -> None:
    torch = pytest.importorskip("torch")
    name, arguments, options, _ = case
    there = repr(getattr(torch.nn, name)(*arguments, **options))
    assert repr(getattr(nn, name)(*arguments, **options)) == re.sub(r", bias=\w+", "", there)


def t(*shape: int) -> minigrad.Tensor:
    return minigrad.ones(*shape)


BAD: list[tuple[Callable[[], Any], type, str]] = [
    (lambda: nn.BatchNorm2d(3)(t(2, 4, 3, 3)), ShapeError,
     "BatchNorm2d: expected input (N, C, H, W) with C=3 channels, got shape (2, 4, 3, 3)"),
    (lambda: nn.BatchNorm2d(3)(t(2, 3)), ShapeError, "expected input (N, C, H, W) with C=3"),
    (lambda: nn.BatchNorm1d(3)(t(3)), ShapeError, "BatchNorm1d: expected input (N, C) or (N, C, L) with C=3"),
    (lambda: nn.BatchNorm1d(3)(t(1, 3)), ShapeError, "more than one value for each channel in training, got (1, 3)"),
    (lambda: nn.BatchNorm1d(3)(t(0, 3)), ShapeError, "more than one value for each channel in training, got (0, 3)"),
    (lambda: nn.BatchNorm1d(3)(t(4, 3).long()), DTypeError, "expected floating-point input, got int64"),
    (lambda: nn.BatchNorm1d(3)(t(4, 3).double()), DTypeError, "expected operands of one dtype"),
    (lambda: nn.BatchNorm1d(0), ArgumentError, "BatchNorm1d: expected a positive number of features, got 0"),
    (lambda: nn.BatchNorm2d(2.5), ArgumentError, "expected a positive number of features, got 2.5"),
    (lambda: nn.BatchNorm2d(3, momentum=1.5), ArgumentError, "expected momentum in [0, 1], or None"),
    (lambda: nn.BatchNorm2d(3, eps=-1.0), ArgumentError, "BatchNorm2d: expected eps >= 0, got -1.0"),
    (lambda: nn.LayerNorm(3)(t(2, 4)), ShapeError, "layer_norm: expected input (..., 3), got shape (2, 4)"),
    (lambda: nn.LayerNorm((2, 0)), ArgumentError, "LayerNorm: expected normalized_shape as a positive number"),
    (lambda: nn.LayerNorm(()), ArgumentError, "LayerNorm: expected normalized_shape"),
    (lambda: nn.RMSNorm((2, 3))(t(4, 3)), ShapeError, "rms_norm: expected input (..., 2, 3), got shape (4, 3)"),
    (lambda: nn.RMSNorm("3"), ArgumentError, "RMSNorm: expected normalized_shape"),
    (lambda: nn.GroupNorm(3, 4), ArgumentError, "groups that divides num_channels, got num_groups=3, num_channels=4"),
    (lambda: nn.GroupNorm(2, 4)(t(2, 6)), ShapeError, "GroupNorm: expected input (N, C, ...) with C=4 channels"),
    (lambda: nn.InstanceNorm2d(3)(t(2, 3, 1, 1)), ShapeError, "more than one position a channel, got (2, 3, 1, 1)"),
    (lambda: nn.InstanceNorm1d(3)(t(2, 4, 5)), ShapeError, "InstanceNorm1d: expected input (N, C, L) with C=3"),
    (lambda: F.batch_norm(t(2, 3), None, t(3)), ArgumentError, "expected running_mean, which is used"),
    (lambda: F.batch_norm(t(2, 3), t(2), t(3)), ShapeError, "expected running_mean of shape (3,), got (2,)"),
    (lambda: F.batch_norm(t(2, 3), None, None, t(4), None, True), ShapeError, "weight of shape (3,), got (4,)"),
    (lambda: F.layer_norm(t(2, 3), (3,), t(2)), ShapeError, "layer_norm: expected weight of shape (3,), got (2,)"),
    (lambda: F.group_norm(t(2, 3), 2), ShapeError, "with C divisible by num_groups=2, got (2, 3)"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), BAD, ids=range(len(BAD)))
def test_bad_input_names_what_was_expected_and_what_came(call: Callable, error: type, message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        call()


def test_a_refused_batch_leaves_the_statistics_as_they_were() -> None:
    layer = nn.BatchNorm2d(3)
    for bad in (t(1, 3, 1, 1), t(2, 4, 3, 3)):
        with pytest.raises(ShapeError):
            layer(bad)
    assert layer.num_batches_tracked.item() == 0
    assert layer.running_mean.tolist() == [0.0, 0.0, 0.0]
