"""Bad input: every constructor argument out of its range, parameters that are none, gradients that are not finite."""

from __future__ import annotations

import inspect
import math
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import nn, optim
from minigrad.errors import ArgumentError, DTypeError, GraphError, MinigradError, NonFiniteError

CLASSES = [
    "SGD", "GD", "SGDMomentum", "Nesterov", "AdaGrad", "RMSprop", "Adadelta", "Adam", "AdamW", "Adamax", "NAdam",
    "RAdam", "ASGD", "Rprop", "Adafactor", "Muon", "LBFGS", "Lion", "LARS", "LAMB", "AdaBelief", "Yogi", "Adan",
    "ScheduleFreeSGD", "ScheduleFreeAdamW", "Prodigy",
]  # fmt: skip
every_class = pytest.mark.parametrize("name", CLASSES)
# What each kind of argument must not be. Every argument of every class is in here by its name.
BAD: dict[str, list[Any]] = {
    "lr": [-1.0, math.nan, math.inf, "fast", None, [0.1]],
    "betas": [(1.0, 0.9), (-0.1, 0.9), (0.9,), 0.9, (0.9, math.nan)],
    "eps": [-1e-8, math.nan, "small"],
    "weight_decay": [-0.1, math.inf, None],
    "momentum": [-0.5, 1.0, math.nan],
    "dampening": [-0.1, 1.5],
    "nesterov": ["yes", 1, None],
    "maximize": [1, None, "no"],
    "amsgrad": [1, None],
    "decoupled_weight_decay": [1, None],
    "lr_decay": [-0.1, math.inf],
    "initial_accumulator_value": [-1.0, math.nan],
    "eps_in_sqrt": [1, None],
    "alpha": [math.nan, "x"],
    "centered": [1, None],
    "rho": [-0.1, 1.1, math.nan],
    "momentum_decay": [-1.0, math.inf],
    "lambd": [-1.0, math.nan],
    "t0": [-1.0, math.nan],
    "etas": [(1.0, 1.2), (0.5, 0.9), (0.0, 1.2), 0.5, (0.5, math.inf)],
    "step_sizes": [(1.0, 0.5), (-1.0, 50.0), 1.0, (0.1, math.nan)],
    "beta2_decay": [0.1, math.nan],
    "d": [0.5, 0.0, math.nan],
    "ns_coefficients": [(1.0, 2.0), 3.0, (1.0, 2.0, math.nan)],
    "ns_steps": [0, 100, 2.5, True],
    "adjust_lr_fn": ["other", 1],
    "max_iter": [0, 1.5],
    "max_eval": [0, 2.5],
    "tolerance_grad": [-1.0, math.nan],
    "tolerance_change": [-1.0, math.nan],
    "history_size": [0, 1.5],
    "line_search_fn": ["armijo", True],
    "trust_coefficient": [0.0, -1.0, math.nan],
    "max_size": [0.0, -1.0, math.nan],
    "warmup_steps": [-1, 2.5],
    "d0": [0.0, -1.0, math.nan],
    "d_coef": [0.0, math.inf],
}
# The same name with another meaning.
BAD_HERE: dict[tuple[str, str], list[Any]] = {
    ("Adafactor", "eps"): [1e-3, (-1.0, 1e-3), (None, -1.0), (None, None)],
    ("RMSprop", "alpha"): [-0.1, 1.1, math.nan],
    ("Adan", "betas"): [(0.9, 0.9), (1.0, 0.9, 0.9), (0.9, 0.9, math.nan)],
    ("ScheduleFreeSGD", "momentum"): [0.0, 1.0],
    ("ScheduleFreeAdamW", "betas"): [(0.0, 0.9), (0.9, 1.0)],
    ("Muon", "nesterov"): [1, None],
}


def parameter() -> minigrad.Tensor:
    return minigrad.ones(2, 2, requires_grad=True)


@every_class
def test_every_hyper_parameter_out_of_range_is_an_error_that_names_it(name):
    cls = getattr(optim, name)
    assert cls.rules.keys() <= BAD.keys()
    for argument in cls.rules:
        for value in BAD_HERE.get((name, argument), BAD[argument]):
            if argument == "lr" and value is None and issubclass(cls, optim.SGD):
                continue  # None is the default there
            try:
                with pytest.raises(MinigradError) as error:
                    cls([parameter()], **{argument: value})
            except TypeError:  # GD and others do not have all arguments of SGD
                continue
            assert argument in str(error.value), (argument, value)
            assert name in str(error.value)
            with pytest.raises(MinigradError):  # in a group too
                cls([{"params": [parameter()], argument: value}])


@every_class
def test_the_hyper_parameters_of_the_signature_are_those_of_the_rules(name):
    cls = getattr(optim, name)
    signature = set(inspect.signature(cls.__init__).parameters) - {"self", "params", "options", "nonfinite"}
    assert signature - {"beta1", "beta2"} <= cls.rules.keys()
    optimizer = cls([parameter()])
    assert list(optimizer.defaults) == [rule for rule in optimizer.defaults if rule in cls.rules]
    assert optimizer.defaults.keys() == cls.rules.keys()


@every_class
@pytest.mark.parametrize(
    ("params", "kind", "message"),
    [
        (list, ArgumentError, "none"),
        (lambda: iter([]), ArgumentError, "only once"),
        (lambda: [{"params": []}], ArgumentError, "none"),
        (lambda: parameter(), DTypeError, "iterable"),
        (lambda: 0.1, DTypeError, "iterable"),
        (lambda: "weights", DTypeError, "iterable"),
        (lambda: nn.Linear(2, 2), DTypeError, r"model.parameters\(\)"),
        (lambda: {parameter()}, DTypeError, "fixed order"),
        (lambda: [np.ones(2)], DTypeError, "expected Tensors to optimise, got ndarray"),
        (lambda: [parameter() * 2], GraphError, "computed by an operation"),
        (lambda: [{"parameters": [parameter()]}], DTypeError, "'params'"),
        (lambda: [("w", parameter()), parameter()], ArgumentError, "names for all"),
    ],
)
def test_things_that_are_no_parameters(name, params, kind, message):
    with pytest.raises(kind, match=message):
        getattr(optim, name)(params())


@every_class
def test_a_parameter_given_twice(name):
    w = parameter()
    with pytest.raises(ArgumentError, match="given twice"):
        getattr(optim, name)([w, w])
    if name != "LBFGS":
        with pytest.raises(ArgumentError, match="given twice"):
            getattr(optim, name)([{"params": [w]}, {"params": [w]}])
        optimizer = getattr(optim, name)([w])
        with pytest.raises(ArgumentError, match="given twice"):
            optimizer.add_param_group({"params": [w]})
        assert len(optimizer.param_groups) == 1


def test_a_generator_used_twice_is_explained():
    weights = (p for p in [parameter()])
    optim.SGD(weights)
    with pytest.raises(ArgumentError, match="was it used before"):
        optim.Adam(weights)


@pytest.mark.parametrize("switch", ["foreach", "fused", "capturable", "differentiable"])
def test_pytorchs_switches_between_implementations_are_explained(switch):
    with pytest.raises(DTypeError, match="minigrad has one"):
        optim.Adam([parameter()], **{switch: True})


def test_an_unknown_argument_is_answered_with_the_nearest_one():
    with pytest.raises(DTypeError, match="Did you mean weight_decay"):
        optim.Adam([parameter()], weight_decy=0.1)


def test_without_parameters_the_learning_rate_needs_its_name():
    with pytest.raises(DTypeError, match=r"lr=\.\.\."):
        optim.SGD(0.1)


# ---- gradients that are not finite -----------------------------------------------------------------------------------


def setup(**options: Any) -> tuple[list[minigrad.Tensor], optim.Optimizer]:
    params = [minigrad.ones(3, requires_grad=True), minigrad.ones(2, 2, requires_grad=True)]
    optimizer = optim.SGD([("weight", params[0]), ("bias", params[1])], lr=0.5, momentum=0.9, **options)
    for _ in range(2):
        optimizer.zero_grad()
        sum((p.sum() for p in params), minigrad.tensor(0.0)).backward()
        optimizer.step()
    optimizer.zero_grad()
    sum((p.sum() for p in params), minigrad.tensor(0.0)).backward()
    return params, optimizer


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("clip", [{}, {"global_clipnorm": 1.0}])
def test_a_gradient_that_is_not_finite_is_an_error_that_names_the_parameter_and_changes_nothing(value, clip):
    params, optimizer = setup(**clip)
    params[1].grad.data[1, 0] = value
    before = [p.data.copy() for p in params], optimizer.state_dict(), params[0].grad.data.copy()
    kind = "1 NaN and 0 infinities" if math.isnan(value) else "0 NaN and 1 infinities"
    with pytest.raises(NonFiniteError, match=f"gradient of bias has {kind} among 4 elements, at step 2"):
        optimizer.step()
    assert all(np.array_equal(p.data, value) for p, value in zip(params, before[0], strict=True))
    after = optimizer.state_dict()
    assert after["steps"] == before[1]["steps"]
    for i in (0, 1):
        a, b = after["state"][i]["momentum_buffer"], before[1]["state"][i]["momentum_buffer"]
        assert np.array_equal(a.data, b.data)
    assert np.array_equal(params[0].grad.data, before[2])


def test_parameters_without_a_name_are_named_by_place_and_shape():
    w, v = parameter(), parameter()
    optimizer = optim.Adam([{"params": [w]}, {"params": [v]}])
    w.grad, v.grad = minigrad.ones(2, 2), minigrad.full((2, 2), math.nan)
    with pytest.raises(NonFiniteError, match=r"parameter 0 of group 1, shape \(2, 2\)"):
        optimizer.step()


def test_skip_leaves_the_step_out_and_counts_it():
    params, optimizer = setup(nonfinite="skip")
    params[0].grad.data[0] = math.inf
    before = [p.data.copy() for p in params]
    optimizer.step()
    assert all(np.array_equal(p.data, value) for p, value in zip(params, before, strict=True))
    assert (optimizer.skipped, optimizer.steps) == (1, 2)
    params[0].grad.data[0] = 1.0
    optimizer.step()
    assert (optimizer.skipped, optimizer.steps) == (1, 3)


def test_ignore_lets_it_through():
    params, optimizer = setup(nonfinite="ignore")
    params[0].grad.data[0] = math.nan
    optimizer.step()
    assert math.isnan(params[0].data[0])
    assert np.isfinite(params[1].data).all()


def test_a_large_finite_gradient_is_not_taken_for_an_infinite_one():
    w = minigrad.ones(2, requires_grad=True)
    optimizer = optim.SGD([w], lr=1e-30)
    w.grad = minigrad.tensor(np.array([1e30, 3e38], np.float32))
    optimizer.step()
    np.testing.assert_allclose(w.data, [0.0, 1 - 3e8], rtol=1e-6)


def test_an_unknown_policy():
    with pytest.raises(ArgumentError, match="'raise', 'skip', 'ignore'"):
        optim.SGD([parameter()], nonfinite="warn")


# ---- the rest --------------------------------------------------------------------------------------------------------


def test_look_ahead_without_a_closure_is_explained_and_an_error_in_the_closure_brings_the_parameters_back():
    w = minigrad.ones(2, requires_grad=True)
    optimizer = optim.Nesterov([w], lr=0.1)

    def closure(fail: bool = False) -> minigrad.Tensor:
        optimizer.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        if fail:
            raise RuntimeError("no more data")
        return loss

    with pytest.raises(ArgumentError, match="Give step\\(closure\\)"):
        optimizer.step()
    optimizer.step(closure)
    before = w.data.copy()
    with pytest.raises(RuntimeError, match="no more data"):
        optimizer.step(lambda: closure(fail=True))
    np.testing.assert_array_equal(w.data, before)


@pytest.mark.parametrize("options", [{"momentum": 0.0}, {"momentum": 0.9, "dampening": 0.1}])
@pytest.mark.parametrize("form", [True, "lookahead"])
def test_nesterov_needs_momentum_and_no_dampening(options, form):
    with pytest.raises(ArgumentError, match="momentum above zero and no dampening"):
        optim.SGD([parameter()], lr=0.1, nesterov=form, **options)


def test_update_and_step_are_for_different_optimizers():
    with pytest.raises(ArgumentError, match="use step"):
        optim.SGD([parameter()]).update([np.ones(2)], [np.ones(2)])


@pytest.mark.parametrize(
    ("params", "grads", "message"),
    [
        ([np.ones(2)], [np.ones(2), np.ones(2)], "expected 1 gradients"),
        ([np.ones(2)], [np.ones(3)], "its gradient"),
        ([np.ones(2, int)], [np.ones(2)], "arrays of floats"),
        ([1.0], [1.0], "arrays of floats"),
    ],
)
def test_bad_arrays_for_update(params, grads, message):
    with pytest.raises(MinigradError, match=message):
        optim.SGD(lr=0.1).update(params, grads)


def test_update_needs_the_same_shapes_each_time():
    optimizer = optim.SGD(lr=0.1)
    optimizer.update([np.ones(2)], [np.ones(2)])
    with pytest.raises(MinigradError, match="as in the first call"):
        optimizer.update([np.ones(3)], [np.ones(3)])


def test_the_repr_tells_what_there_is():
    optimizer = optim.Adam([parameter()], lr=0.01)
    parameter_count = repr(optimizer)
    for part in ("Adam(", "1 tensors, 4 parameters", "lr=0.01", "betas=(0.9, 0.999)", "steps made: 0"):
        assert part in parameter_count


def test_hooks_run_around_the_step_and_can_be_removed():
    w = minigrad.ones(1, requires_grad=True)
    optimizer = optim.SGD([w], lr=0.5)
    seen = []
    before = optimizer.register_step_pre_hook(lambda opt, args, kwargs: seen.append(("before", w.item())))
    after = optimizer.register_step_post_hook(lambda opt, args, kwargs: seen.append(("after", w.item())))
    w.grad = minigrad.ones(1)
    optimizer.step()
    assert seen == [("before", 1.0), ("after", 0.5)]
    before.remove()
    after.remove()
    optimizer.step()
    assert len(seen) == 2


def test_setting_lr_sets_every_group():
    optimizer = optim.SGD([{"params": [parameter()]}, {"params": [parameter()], "lr": 0.5}], lr=0.1)
    optimizer.lr = 0.25
    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.25]
    with pytest.raises(ArgumentError):
        optimizer.lr = -1.0


def test_a_learning_rate_may_be_a_tensor_that_is_read_in_each_step():
    w, lr = minigrad.ones(1, requires_grad=True), minigrad.tensor(0.5)
    optimizer = optim.SGD([w], lr=lr)
    w.grad = minigrad.ones(1)
    optimizer.step()
    lr.fill_(0.25)
    optimizer.step()
    assert w.item() == 0.25
