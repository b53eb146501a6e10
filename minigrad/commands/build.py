"""From the words of the command line to a model, an optimizer and a schedule."""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import minigrad
from minigrad import models, nn, optim
from minigrad.commands.spec import Spec, call, choose, keywords, parse
from minigrad.errors import ArgumentError, MinigradError
from minigrad.evaluation import evaluating
from minigrad.optim import schedules

__all__ = [
    "MODELS",
    "OPTIMIZERS",
    "WRAPPERS",
    "Choice",
    "build_model",
    "build_optimizer",
    "build_schedule",
    "choice_of",
    "options_of",
    "peak_lr",
]


# ---- models ----------------------------------------------------------------------------------------------------------


def _square(name: str) -> Callable[[tuple[int, ...], int], dict[str, Any]]:
    """The arguments of a network of square images."""

    def arguments(input_shape: tuple[int, ...], outputs: int) -> dict[str, Any]:
        if len(input_shape) != 3:
            raise ArgumentError(
                f"--model {name}: expected a dataset of images, got samples of shape {input_shape}. Use --model mlp."
            )
        channels, height, width = input_shape
        if height != width:
            raise ArgumentError(
                f"--model {name}: expected square images, got {height}x{width} pixels. Use --model mlp."
            )
        return {"size": height, "channels": channels, "classes": outputs}

    return arguments


def _mlp(input_shape: tuple[int, ...], outputs: int) -> dict[str, Any]:
    return {"inputs": math.prod(input_shape), "outputs": outputs}


def _lstm(input_shape: tuple[int, ...], outputs: int) -> dict[str, Any]:
    if len(input_shape) == 3:  # an image is read row by row
        channels, _, width = input_shape
        return {"inputs": channels * width, "outputs": outputs}
    if len(input_shape) != 2:
        raise ArgumentError(
            f"--model lstm: expected a dataset of sequences or images, got samples of shape {input_shape}. "
            "Use --model mlp."
        )
    return {"inputs": input_shape[1], "outputs": outputs}


# Name -> the function in `models`, and its arguments for inputs and outputs of a given shape.
MODELS: dict[str, tuple[Callable[..., nn.Module], Callable[[tuple[int, ...], int], dict[str, Any]]]] = {
    "cnn": (models.cnn, _square("cnn")),
    "resnet": (models.resnet, _square("resnet")),
    "mlp": (models.mlp, _mlp),
    "lstm": (models.lstm, _lstm),
}


def is_file(text: str) -> bool:
    """Whether `--model` names a function in a Python file, and not one of `MODELS`."""
    name = parse(text, "--model").name
    return ".py:" in name or name.endswith(".py")


def build_model(text: str, input_shape: tuple[int, ...], outputs: int) -> nn.Module:
    """The model for samples of `input_shape`, with `outputs` numbers for each.

    Parameters
    ----------
    text : str
        `NAME`, `NAME:KEY=VALUE` or `path/to/file.py:function`. The function gets `input_shape` and `outputs` if it
        has arguments of these names, and the options.

    Raises
    ------
    ArgumentError
        There is no such model, file or function, it has no such option, or what it returns does not fit.
    """
    spec = parse(text, "--model")
    if is_file(text):
        function = _function_in_file(spec.name)
        known = keywords(function)
        about = {"input_shape": input_shape, "outputs": outputs}
        given = {name: value for name, value in about.items() if name in known}
        model = call(function, spec, "--model", given)
        if not isinstance(model, nn.Module):
            raise ArgumentError(
                f"--model {text}: expected the function to return a minigrad.nn.Module, got {type(model).__name__}."
            )
    else:
        choose(spec.name, [*MODELS, "path/to/file.py:function"], "--model")
        make, arguments = MODELS[spec.name]
        model = call(make, spec, "--model", arguments(input_shape, outputs))
    _try(model, text, input_shape, outputs)
    return model


def _function_in_file(name: str) -> Callable[..., Any]:
    path, _, function = name.rpartition(":")
    if not path.endswith(".py"):
        raise ArgumentError(f"--model {name}: expected path/to/file.py:function, got no function. Name it.")
    file = Path(path)
    if not file.is_file():
        raise ArgumentError(f"--model: there is no file {path}. Give the path of a Python file, then :function.")
    # A name of its own: `import` of the same file elsewhere makes another module.
    label = f"_minigrad_model_{file.stem}"
    module_spec = importlib.util.spec_from_file_location(label, file)
    assert module_spec is not None
    assert module_spec.loader is not None
    module = importlib.util.module_from_spec(module_spec)
    sys.modules[label] = module
    sys.path.insert(0, str(file.resolve().parent))  # as when Python runs the file: its neighbours can be imported
    try:
        module_spec.loader.exec_module(module)
    except Exception as error:
        raise ArgumentError(f"--model: {path} cannot be imported: {type(error).__name__}: {error}") from error
    finally:
        sys.path.pop(0)
    found = getattr(module, function, None)
    if not callable(found):
        has = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise ArgumentError(f"--model: {path} has no function {function!r}; it has {', '.join(has) or 'none'}.")
    return found


def _try(model: nn.Module, text: str, input_shape: tuple[int, ...], outputs: int) -> None:
    """Run two samples of zeros through the model, so that a wrong shape is found before the training begins."""
    try:
        with evaluating(model):
            y = model(minigrad.zeros(2, *input_shape))
    except (MinigradError, TypeError, ValueError) as error:
        raise ArgumentError(
            f"--model {text}: it does not take a batch of samples of shape {input_shape}: {error}"
        ) from error
    if not isinstance(y, minigrad.Tensor) or tuple(y.shape) != (2, outputs):
        got = f"shape {tuple(y.shape)}" if isinstance(y, minigrad.Tensor) else type(y).__name__
        raise ArgumentError(
            f"--model {text}: expected outputs of shape {(2, outputs)} for 2 samples of shape {input_shape}, got {got}."
        )


# ---- optimizers ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Choice:
    """An optimizer on the command line: its class, the peak learning rate that suits small networks, and its kind.

    Attributes
    ----------
    make : the class in `optim`
    lr : its default here; None takes the constructor's
    settings : defaults of its arguments that are not the constructor's
    full_batch : whether it is made for the whole training set in each step
    schedule : the default of `--schedule` with it
    hidden : arguments that only say what another one says, or that the class sets itself
    """

    make: type
    lr: float | None = None
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    full_batch: bool = False
    schedule: str = "one-cycle"
    hidden: tuple[str, ...] = ()

    @property
    def options(self) -> dict[str, Any]:
        """What `NAME:KEY=VALUE` takes, `lr` beside it, with the defaults."""
        known = keywords(self.make, ("params", "lr", *self.hidden))
        return {key: self.settings.get(key, parameter.default) for key, parameter in known.items()}


OPTIMIZERS = {
    "sgd": Choice(optim.SGD, 0.1),
    "momentum": Choice(optim.SGDMomentum, 0.05),
    "nesterov": Choice(optim.SGD, 0.05, {"momentum": 0.9, "nesterov": True}, hidden=("nesterov",)),
    "adagrad": Choice(optim.AdaGrad, 0.02),
    "rmsprop": Choice(optim.RMSprop, 0.002),
    "adam": Choice(optim.Adam, 0.003, hidden=("beta1", "beta2")),
    "adamw": Choice(optim.AdamW, 0.003, hidden=("beta1", "beta2", "decoupled_weight_decay")),
    "adadelta": Choice(optim.Adadelta),
    "adamax": Choice(optim.Adamax, 0.005),
    "nadam": Choice(optim.NAdam, 0.003),
    "radam": Choice(optim.RAdam, 0.003),
    "adabelief": Choice(optim.AdaBelief, 0.003),
    "yogi": Choice(optim.Yogi, 0.01),
    "adan": Choice(optim.Adan, 0.003),
    "lion": Choice(optim.Lion, 0.0005),
    "adafactor": Choice(optim.Adafactor),
    "muon": Choice(optim.Muon, 0.02),
    "lars": Choice(optim.LARS, 5.0),
    "lamb": Choice(optim.LAMB, 0.01),
    "prodigy": Choice(optim.Prodigy),
    "schedule-free-sgd": Choice(optim.ScheduleFreeSGD, 0.5, schedule="constant"),
    "schedule-free-adamw": Choice(optim.ScheduleFreeAdamW, 0.003, schedule="constant"),
    "asgd": Choice(optim.ASGD, 0.1, schedule="constant"),
    "gd": Choice(optim.GD, 0.1, full_batch=True, schedule="constant"),
    "rprop": Choice(optim.Rprop, full_batch=True, schedule="constant"),
    "lbfgs": Choice(optim.LBFGS, full_batch=True, schedule="constant"),
}


# Optimizers around another one, and the one that it is if `base=NAME` does not say. Options that are not their own are
# those of the base: sam:base=adamw:rho=0.1:weight_decay=0.1.
WRAPPERS: dict[str, tuple[type, str]] = {"sam": (optim.SAM, "momentum"), "lookahead": (optim.Lookahead, "adam")}


def choice_of(text: str) -> Choice:
    """The optimizer that `NAME` or `NAME:KEY=VALUE` means; for one around another, that other one."""
    spec = parse(text, "--optimizer")
    name = choose(spec.name, [*OPTIMIZERS, *WRAPPERS], "--optimizer")
    if name in WRAPPERS:
        name = choose(str(spec.options.get("base", WRAPPERS[name][1])), OPTIMIZERS, "--optimizer base")
    return OPTIMIZERS[name]


def peak_lr(text: str, lr: float | None) -> float:
    """The learning rate at the peak of the schedule: that of `--lr`, of `NAME:lr=...`, or the optimizer's default."""
    spec = parse(text, "--optimizer")
    choice = choice_of(text)
    own = spec.options.get("lr")
    if own is None:
        default = choice.lr if choice.lr is not None else keywords(choice.make)["lr"].default
        return float(default if lr is None else lr)
    if lr is not None:
        raise ArgumentError(f"--lr: {text!r} gives a learning rate already. Give one of the two.")
    if isinstance(own, bool) or not isinstance(own, int | float) or not 0 < own < math.inf:
        raise ArgumentError(f"--optimizer {text}: expected lr to be a number above 0, got {own!r}.")
    return float(own)


def build_optimizer(text: str, model: nn.Module, lr: Any) -> Any:
    """The optimizer over the parameters of `model`; `lr` is a number or a schedule.

    SAM and Lookahead are made around another one, which has the options that are not theirs.
    Muon steps matrices only: the parameters of other shapes go to AdamW at a tenth of its rate.
    """
    spec = parse(text, "--optimizer")
    choice = choice_of(text)
    around = WRAPPERS.get(spec.name)
    outer = list(keywords(around[0], ("optimizer",))) if around else []
    beside = {"lr", *outer, *(("base",) if around else ())}
    whole, spec = spec, Spec(text, spec.name, {k: value for k, value in spec.options.items() if k not in beside})

    def make(parameters: Any) -> Any:
        own = {key: value for key, value in choice.settings.items() if key not in spec.options}
        return call(choice.make, spec, "--optimizer", {"lr": lr, **own}, (parameters,), choice.options)

    if around:
        if choice.make is optim.Muon:
            raise ArgumentError(f"--optimizer {text}: muon shares its work with AdamW, and cannot be a base.")
        own = Spec(text, spec.name, {key: whole.options[key] for key in outer if key in whole.options})
        return call(around[0], own, "--optimizer", {}, (make(model.parameters()),))
    if choice.make is not optim.Muon:
        return make(model.parameters())
    return optim.Composite.route(
        model.named_parameters(),
        [(lambda name, p: p.ndim == 2, make), (None, lambda named: optim.AdamW(named, lr=lr * 0.1))],
    )


# ---- schedules -------------------------------------------------------------------------------------------------------


def build_schedule(text: str, lr: float, steps: int) -> schedules.Schedule:
    """The schedule with the peak `lr` for a run of `steps`, with the options of `NAME:KEY=VALUE`."""
    spec = parse(text, "--schedule")
    choose(spec.name, schedules.names(), "--schedule")
    schedule = schedules.by_name(spec.name, lr, steps)
    if not spec.options:
        return schedule
    parts = _parts(schedule)
    own = [_arguments(part, lr) for part in parts]
    for key in spec.options:
        if not any(key in fields for fields in own):
            known = sorted(set().union(*own))
            raise ArgumentError(
                f"--schedule: {spec.name} has no option {key!r}; it has {', '.join(known) or 'none'}, "
                "in optimizer steps where they are times. The peak is --lr."
            )
    try:
        changed = [
            _replaced(part, {key: value for key, value in spec.options.items() if key in fields})
            for part, fields in zip(parts, own, strict=True)
        ]
    except (MinigradError, TypeError, ValueError) as error:
        raise ArgumentError(f"--schedule {text}: {error}") from error
    return functools.reduce(lambda a, b: a * b, changed)


def options_of(schedule: schedules.Schedule, lr: float) -> dict[str, Any]:
    """What `NAME:KEY=VALUE` takes for a schedule that was built with the peak `lr`, with the values that it has."""
    return {key: value for part in _parts(schedule) for key, value in _arguments(part, lr).items()}


def _parts(schedule: schedules.Schedule) -> tuple[Any, ...]:
    return schedule.factors if isinstance(schedule, schedules.product) else (schedule,)


def _arguments(schedule: Any, lr: float) -> dict[str, Any]:
    """The arguments of a schedule but for its peak, with their values."""
    values = {field.name: getattr(schedule, field.name) for field in dataclasses.fields(schedule)}
    return {key: value for key, value in values.items() if key != "alpha_target" and (key not in _PEAKS or value != lr)}


# What the schedules call the learning rate that `--lr` sets, beside a warm-up's `alpha_target`, which may be open.
_PEAKS = {"alpha", "alpha_0", "alpha_max"}


def _replaced(schedule: Any, options: dict[str, Any]) -> Any:
    if isinstance(schedule, schedules.exponential) and "gamma" in options:
        options = {"decay": None, **options}  # the two are forms of one number
    return dataclasses.replace(schedule, **options)
