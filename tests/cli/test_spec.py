"""`NAME:KEY=VALUE`: the one form of names with options, and what is built from it."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest

import minigrad
from minigrad import nn, optim
from minigrad.commands import build, tasks
from minigrad.commands.spec import parse
from minigrad.errors import ArgumentError
from minigrad.optim import schedules


@pytest.mark.parametrize(
    ("text", "name", "options"),
    [
        ("adam", "adam", {}),
        ("adam:eps=1e-6", "adam", {"eps": 1e-6}),
        ("adamw:betas=0.9,0.95:amsgrad=true", "adamw", {"betas": (0.9, 0.95), "amsgrad": True}),
        ("mlp:hidden=none", "mlp", {"hidden": None}),
        ("piecewise:boundaries=100,:values=0.1,0.01", "piecewise", {"boundaries": (100,), "values": (0.1, 0.01)}),
        ("wsd:cooldown=1-sqrt", "wsd", {"cooldown": "1-sqrt"}),
        ("dir/net.py:make:width=3", "dir/net.py:make", {"width": 3}),
    ],
)
def test_a_name_is_read_with_its_options(text: str, name: str, options: dict) -> None:
    spec = parse(text, "--x")
    assert (spec.name, spec.options) == (name, options)


@pytest.mark.parametrize("text", ["adam:eps=", "adam:=3", "adam:a=1:b", ":a=1", "", "adam:a=1:a=2", "adam:2=3"])
def test_what_is_not_of_the_form_is_refused_and_quoted(text: str) -> None:
    with pytest.raises(ArgumentError, match=r"^--x: .*"):
        parse(text, "--x")


def _model() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))


@pytest.mark.parametrize("name", build.OPTIMIZERS)
def test_every_optimizer_is_built_with_its_rate_and_makes_a_step(name: str) -> None:
    minigrad.manual_seed(0)
    model = _model()
    lr = build.peak_lr(name, None)
    optimizer = build.build_optimizer(name, model, lr)
    assert optimizer.param_groups[0]["lr"] == lr
    x, y = minigrad.randn(8, 3), minigrad.zeros(8, dtype=minigrad.int64)
    before = [p.data.copy() for p in model.parameters()]

    def closure() -> minigrad.Tensor:
        optimizer.zero_grad()
        loss = nn.CrossEntropyLoss()(model(x), y)
        loss.backward()
        return loss

    optimizer.step(closure)
    assert all((p.data != old).any() for p, old in zip(model.parameters(), before, strict=True))


def test_every_public_optimizer_class_can_be_named() -> None:
    classes = {
        value for value in vars(optim).values() if isinstance(value, type) and issubclass(value, optim.Optimizer)
    }
    named = {choice.make for choice in build.OPTIMIZERS.values()}
    assert classes - named == {optim.Optimizer, optim.Nesterov}  # `nesterov` is SGD's, which needs no closure
    assert build.OPTIMIZERS["nesterov"].settings["nesterov"] is True


def test_the_options_reach_the_constructor() -> None:
    optimizer = build.build_optimizer("adamw:weight_decay=0.25:betas=0.5,0.75:clipnorm=3", _model(), 0.1)
    assert optimizer.param_groups[0]["weight_decay"] == 0.25
    assert optimizer.param_groups[0]["betas"] == (0.5, 0.75)
    assert optimizer.clipnorm == 3
    nesterov = build.build_optimizer("nesterov:momentum=0.5", _model(), 0.1).param_groups[0]
    assert (nesterov["momentum"], nesterov["nesterov"]) == (0.5, True)


def test_an_optimizer_around_another_has_its_own_options_and_hands_on_the_others() -> None:
    sam = build.build_optimizer("sam:base=adamw:rho=0.25:weight_decay=0.5", _model(), 0.1)
    assert isinstance(sam, optim.SAM)
    assert isinstance(sam.optimizer, optim.AdamW)
    assert (sam.rho, sam.param_groups[0]["weight_decay"], sam.param_groups[0]["lr"]) == (0.25, 0.5, 0.1)
    lookahead = build.build_optimizer("lookahead:k=3", _model(), build.peak_lr("lookahead", None))
    assert isinstance(lookahead, optim.Lookahead)
    assert isinstance(lookahead.optimizer, optim.Adam)
    assert (lookahead.k, lookahead.param_groups[0]["lr"]) == (3, build.OPTIMIZERS["adam"].lr)


def test_the_learning_rate_comes_from_the_option_the_name_or_the_default() -> None:
    assert build.peak_lr("adam:lr=0.5", None) == 0.5
    assert build.peak_lr("adam", 0.25) == 0.25
    assert build.peak_lr("adam", None) == build.OPTIMIZERS["adam"].lr
    assert build.peak_lr("prodigy", None) == 1.0  # the constructor's


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("adamx", "--optimizer: expected one of sgd, .*; got 'adamx'. Did you mean 'adamax'"),
        ("adam:weightdecay=1", "adam has no option 'weightdecay'; it has betas, .*Did you mean 'weight_decay'"),
        ("adam:betas=2,3", r"expected betas\[0\] to be a number from 0 up to and without 1, got 2"),
        ("adam:params=3", "has no option 'params'"),
        ("nesterov:nesterov=false", "has no option 'nesterov'"),
        ("adamw:decoupled_weight_decay=true", "adamw has no option 'decoupled_weight_decay'"),
        ("sam:base=sdg", "--optimizer base: expected one of sgd, .*Did you mean 'sgd'"),
        ("sam:base=adam:rhoo=1", "sam has no option 'rhoo'; it has betas"),
        ("sam:rho=-1", "SAM: expected rho"),
        ("sam:base=muon", "muon shares its work with AdamW, and cannot be a base"),
        ("adam:lr=-1", "expected lr to be a number above 0, got -1"),
        ("adam:lr=true", "expected lr to be a number above 0, got True"),
    ],
)
def test_an_optimizer_that_is_not_there_or_not_so_says_what_is(text: str, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        build.build_optimizer(text, _model(), build.peak_lr(text, None))


@pytest.mark.parametrize("name", schedules.names())
def test_each_schedule_is_the_same_when_its_own_values_are_given_as_options(name: str) -> None:
    plain = schedules.by_name(name, 0.1, 1000)
    values = build.options_of(plain, 0.1)
    text = name
    for key, value in values.items():
        if value is not None and not (name == "exponential" and key == "gamma"):
            written = ",".join(map(repr, value)) if isinstance(value, tuple) else str(value)
            text += f":{key}={written}"
    t = np.linspace(0, 1200, 97)
    np.testing.assert_array_equal(build.build_schedule(text, 0.1, 1000)(t), plain(t))


def test_options_of_a_schedule_are_in_its_formula() -> None:
    assert build.build_schedule("step:gamma=0.5:s=10", 0.8, 100)(25) == pytest.approx(0.2)
    assert build.build_schedule("exponential:gamma=0.5", 1.0, 100)(3) == pytest.approx(0.125)
    assert build.build_schedule("cosine:alpha_min=0.01", 0.1, 100)(100) == pytest.approx(0.01)
    both = build.build_schedule("warmup-step:T_warmup=10:gamma=0.5", 0.1, 90)
    assert both(5) == pytest.approx(0.05)
    assert both(30) == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cosin", "Did you mean 'cosine'"),
        ("cosine:gamma=1", "--schedule: cosine has no option 'gamma'; it has T, alpha_min, periodic.*peak is --lr"),
        ("cosine:alpha_max=1", "has no option 'alpha_max'"),
        ("constant:s=1", "constant has no option 's'; it has none"),
        ("step:gamma=-1", "gamma"),
    ],
)
def test_a_schedule_that_is_not_there_or_not_so_says_what_is(text: str, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        build.build_schedule(text, 0.1, 100)


# ---- models ----------------------------------------------------------------------------------------------------------


def test_models_fit_the_shape_of_the_data() -> None:
    for name, shape, outputs in (
        ("cnn", (1, 8, 8), 10),
        ("resnet:width=4", (3, 8, 8), 5),
        ("mlp:hidden=5", (7,), 3),
        ("lstm:hidden=6", (9, 2), 1),
    ):
        model = build.build_model(name, shape, outputs)
        assert tuple(model(minigrad.zeros(4, *shape)).shape) == (4, outputs)
    assert build.build_model("lstm:hidden=4", (3, 8, 5), 2)(minigrad.zeros(4, 3, 8, 5)).shape == (4, 2)
    assert build.build_model("mlp:hidden=none", (4, 4), 3).num_parameters() == 16 * 3 + 3


def test_a_function_in_a_file_gets_shape_outputs_and_options(tmp_path: Path) -> None:
    (tmp_path / "part.py").write_text("WIDTH = 4\n")
    file = tmp_path / "net.py"
    file.write_text(
        "from part import WIDTH\nfrom minigrad import nn\n"
        "def net(input_shape, outputs, width=WIDTH):\n"
        "    return nn.Sequential(nn.Linear(input_shape[0], width), nn.Linear(width, outputs))\n"
    )
    model = build.build_model(f"{file}:net:width=7", (3,), 2)
    assert [p.shape for p in model.parameters()] == [(7, 3), (7,), (2, 7), (2,)]
    assert model.training


@pytest.mark.parametrize(
    ("source", "function", "message"),
    [
        ("def net(): return 3", "net", "expected the function to return a minigrad.nn.Module, got int"),
        ("def net(): pass", "other", "has no function 'other'; it has net"),
        ("net = 3", "net", "has no function 'net'; it has none"),
        ("def net(:", "net", "cannot be imported: SyntaxError"),
        ("import no_such_thing", "net", "cannot be imported: ModuleNotFoundError"),
        ("def net(): raise ValueError('I am broken')", "net", "I am broken"),
        ("def net(a, b): pass", "net", "missing 2 required positional arguments"),
        (
            "from minigrad import nn\ndef net(): return nn.Linear(3, 5)",
            "net",
            r"expected outputs of shape \(2, 2\) for 2 samples of shape \(3,\), got shape \(2, 5\)",
        ),
        ("from minigrad import nn\ndef net(): return nn.Linear(4, 2)", "net", r"does not take a batch of samples of"),
    ],
)
def test_a_file_that_does_not_give_a_fitting_model_says_why(
    tmp_path: Path, source: str, function: str, message: str
) -> None:
    file = tmp_path / "net.py"
    file.write_text(source)
    with pytest.raises(ArgumentError, match=message):
        build.build_model(f"{file}:{function}", (3,), 2)


@pytest.mark.parametrize(
    ("text", "shape", "message"),
    [
        ("nowhere.py:net", (3,), "there is no file nowhere.py"),
        ("nowhere.py", (3,), "expected path/to/file.py:function, got no function"),
        ("transformer", (3,), "expected one of cnn, .*path/to/file.py:function; got 'transformer'"),
        ("cnn", (3,), r"expected a dataset of images, got samples of shape \(3,\)"),
        ("cnn", (1, 8, 9), "expected square images, got 8x9"),
        ("cnn:width=8", (1, 8, 8), "expected width as the channels of two convolutions, such as"),
        ("resnet", (1, 3, 3), "expected images of at least 4 pixels a side"),
        ("lstm", (3,), "expected a dataset of sequences or images"),
        ("mlp:hiden=3", (3,), "has no option 'hiden'; it has hidden, activation. Did you mean 'hidden'"),
        ("mlp:inputs=3", (3,), "has no option 'inputs'"),
        ("mlp:hidden=0", (3,), "expected hidden to be whole numbers of at least 1, got 0"),
        ("mlp:activation=relus", (3,), "expected activation to be one of relu"),
    ],
)
def test_a_model_that_is_not_there_or_does_not_fit_says_why(text: str, shape: tuple, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        build.build_model(text, shape, 2)


def test_the_forget_gates_of_the_lstm_start_one_higher() -> None:
    """With all else at 0 a cell keeps the share sigmoid(1) of its state, and not one half."""
    model = build.build_model("lstm:hidden=3", (4, 2), 1)
    bias = model.recurrent.bias_ih_l0.data  # type: ignore[attr-defined]
    bound = 1 / math.sqrt(3)
    assert (np.abs(bias[3:6] - 1) <= bound).all()
    assert (np.abs(np.delete(bias, [3, 4, 5])) <= bound).all()


# ---- datasets --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name, task in tasks.TASKS.items() if not task.has_files])
def test_every_dataset_has_two_parts_of_its_shape(name: str) -> None:
    data = tasks.load(name)
    for part in (data.train, data.test):
        x, y = part[[0, 1]]
        assert tuple(x.shape) == (2, *data.input_shape)
        assert tuple(y.shape) == ((2,) if data.classifies else (2, data.outputs))
    assert len(data.train) > len(data.test) > 100


def test_a_synthetic_set_does_not_depend_on_the_seed_of_the_run_and_its_parts_are_apart() -> None:
    minigrad.manual_seed(1)
    first = tasks.load("moons")
    minigrad.manual_seed(2)
    second = tasks.load("moons")
    np.testing.assert_array_equal(first.train[[5]][0].data, second.train[[5]][0].data)
    assert not set(first.train.indices) & set(first.test.indices)


def test_options_of_a_dataset_reach_it() -> None:
    data = tasks.load("spirals:classes=5:samples=30")
    assert (data.outputs, len(data.train), len(data.test)) == (5, 20, 10)


@pytest.mark.parametrize(
    ("text", "folder", "augment", "message"),
    [
        ("spiral", None, (), "Did you mean 'spirals'"),
        ("spirals:arms=5", None, (), "spirals has no option 'arms'; it has samples, classes, turns, noise"),
        ("spirals:samples=2", None, (), "at least 3 samples"),
        ("spirals:noise=-1", None, (), "noise|deviation"),
        ("digits:samples=3", None, (), "digits has no options"),
        ("digits", "folder", (), "--data: digits needs no files"),
        ("moons", None, ("shift:pixels=1",), "--augment: expected a dataset of images, got moons"),
        ("digits", None, ("turn",), "--augment: expected one of shift, crop"),
        ("digits", None, ("shift:px=1",), "shift has no option 'px'; it has pixels, fill"),
        ("digits", None, ("shift:pixels=-1",), "pixels"),
    ],
)
def test_a_dataset_that_is_not_there_or_not_so_says_why(text: str, folder: str, augment: tuple, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        tasks.load(text, folder, augment)


def test_settings_are_the_same_after_a_journey_through_json() -> None:
    import json

    from minigrad.commands.experiment import Settings

    settings = Settings("moons", "mlp", "adam", 0.1, "cosine", 3, 16, 0, None, 1, ("shift:pixels=1",))
    assert Settings.from_values(json.loads(json.dumps(dataclasses.asdict(settings)))) == settings
