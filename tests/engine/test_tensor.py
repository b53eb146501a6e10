"""A Tensor on its own: what it says, what it converts to, how it is changed in place, and which names it has."""

from __future__ import annotations

import copy
import re
from pathlib import Path

import numpy as np
import pytest

import minigrad
from minigrad import autograd, no_grad
from minigrad.errors import DeviceError, DimError, DTypeError, GraphError, ShapeError
from minigrad.methods import Operations
from minigrad.ops.samples import draw

torch = pytest.importorskip("torch")

# ---- names -----------------------------------------------------------------------------------------------------------

FUNCTIONS = """
tensor as_tensor zeros ones full empty arange linspace eye rand randn randint randperm bernoulli manual_seed Generator
zeros_like ones_like full_like empty_like rand_like randn_like randint_like from_numpy
add sub mul div floor_divide remainder neg pow exp exp2 expm1 log log2 log10 log1p sqrt rsqrt square reciprocal abs sign
sin cos tan asin acos atan sinh cosh tanh erf sigmoid relu clamp maximum minimum where floor ceil round lerp addcmul
addcdiv eq ne lt le gt ge logical_and logical_or logical_xor logical_not isnan isinf isfinite isclose allclose equal
sum mean var std prod max min amax amin argmax argmin all any logsumexp norm cumsum cumprod sort topk median
reshape flatten unflatten transpose permute movedim squeeze unsqueeze broadcast_to tile cat stack split chunk unbind
flip roll tril triu diagonal gather scatter scatter_add index_select masked_fill take_along_dim
matmul dot outer mv mm bmm einsum trace
""".split()  # noqa: SIM905
METHODS_ONLY = [
    "view",
    "repeat",
    "expand",
    "T",
    "mT",
    "size",
    "dim",
    "numel",
    "item",
    "tolist",
    "numpy",
    "detach",
    "to",
]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_function_exists_and_is_public(name):
    assert name in minigrad.__all__
    assert (getattr(minigrad, name).__doc__ or "").strip()


@pytest.mark.parametrize(
    "name", METHODS_ONLY + [name for name in FUNCTIONS if hasattr(torch.Tensor, name) and name != "bernoulli"]
)
def test_what_is_a_method_in_pytorch_is_one_here(name):
    assert hasattr(minigrad.Tensor, name)


def test_no_name_is_invented():
    ours = {name for name in dir(minigrad.Tensor) if not name.startswith("_")}
    assert ours - set(dir(torch.Tensor)) == {"node", "slot"}
    functions = {
        name
        for name in minigrad.__all__
        if str(getattr(getattr(minigrad, name), "__module__", "")).startswith("minigrad.ops")
    }
    assert {name for name in functions if not hasattr(torch, name)} == {"pad"}
    assert minigrad.linalg.norm.__doc__


def test_the_engine_reads_in_one_sitting():
    folder = Path(minigrad.__file__).parent
    lines = sum(len((folder / f"{name}.py").read_text().splitlines()) for name in ("tensor", "graph", "backward"))
    assert lines < 1000


# ---- printed form ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (minigrad.tensor([1.0, 2.5]), "tensor([1. , 2.5])"),
        (minigrad.tensor([1, 2]), "tensor([1, 2])"),
        (minigrad.tensor(True), "tensor(True)"),
        (minigrad.zeros(1, dtype=minigrad.float64), "tensor([0.], dtype=float64)"),
        (minigrad.zeros(1, requires_grad=True), "tensor([0.], requires_grad=True)"),
        (minigrad.ones(1, requires_grad=True) * 2, "tensor([2.], grad_fn=<mul>)"),
        (minigrad.ones(1, requires_grad=True).detach(), "tensor([1.])"),
        (minigrad.zeros(2, 0), "tensor([], shape=(2, 0))"),
    ],
)
def test_repr_shows_values_dtype_and_the_op(x, text):
    assert repr(x) == text


def test_a_long_tensor_is_shortened_and_shows_its_shape():
    text = repr(minigrad.zeros(100, 100))
    assert "..." in text
    assert "shape=(100, 100)" in text
    assert len(text) < 700


def test_a_zero_dimensional_tensor_formats_like_its_number():
    loss = minigrad.tensor(0.123456, requires_grad=True) * 1
    assert f"{loss:.3f} {minigrad.tensor(7):03d}" == "0.123 007"
    assert f"{minigrad.tensor([1.0])}" == "tensor([1.])"


# ---- conversions -----------------------------------------------------------------------------------------------------


def test_a_tensor_of_one_element_is_a_number():
    x = minigrad.tensor([[2.5]])
    assert (float(x), int(x), bool(x), x.item()) == (2.5, 2, True, 2.5)
    assert [10, 20, 30][minigrad.tensor(1)] == 20
    assert x.tolist() == [[2.5]]
    assert len(minigrad.zeros(3, 2)) == 3
    assert [row.tolist() for row in minigrad.tensor([[1, 2], [3, 4]])] == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("mistake", "error", "message"),
    [
        (lambda: minigrad.zeros(2).item(), ShapeError, r"item: expected a tensor with one element, got shape \(2,\)"),
        (lambda: bool(minigrad.zeros(2)), ShapeError, r"the truth of a tensor of shape \(2,\) is not defined"),
        (lambda: len(minigrad.tensor(1.0)), ShapeError, r"len: a 0-d tensor has no length"),
        (lambda: [0, 1][minigrad.tensor(1.0)], DTypeError, r"index: expected an integer tensor, got float32"),
        (lambda: minigrad.ones(1, requires_grad=True).numpy(), GraphError, r"numpy: this tensor requires a gradient"),
        (
            lambda: minigrad.zeros(1).cuda(),
            DeviceError,
            r"cuda: minigrad computes on the CPU only. Leave .cuda\(\) out",
        ),
        (lambda: minigrad.zeros(1).to("cuda:0"), DeviceError, r"to: minigrad computes on the CPU only, got .*'cuda:0'"),
        (lambda: minigrad.zeros(1).to(device="mps"), DeviceError, r"got device 'mps'"),
        (lambda: minigrad.zeros(2, 3).size(2), DimError, r"size: dimension 2 is out of range for 2 dimensions"),
        (
            lambda: minigrad.arange(2).requires_grad_(),
            DTypeError,
            r"only floating-point tensors have gradients, .* int64",
        ),
    ],
)
def test_a_conversion_that_cannot_be_is_refused(mistake, error, message):
    with pytest.raises(error, match=message):
        mistake()


def test_dtypes_change_with_to_and_its_short_forms():
    x = minigrad.tensor([1.6, -1.6])
    for changed, dtype in [
        (x.double(), minigrad.float64),
        (x.half(), minigrad.float16),
        (x.long(), minigrad.int64),
        (x.int(), minigrad.int32),
        (x.bool(), minigrad.bool),
        (x.to(minigrad.float64), minigrad.float64),
        (x.to("cpu", minigrad.int8), minigrad.int8),
        (x.to("float64"), minigrad.float64),
        (x.to(dtype=minigrad.uint8), minigrad.uint8),
        (x.to(minigrad.arange(2)), minigrad.int64),
    ]:
        assert changed.dtype == dtype
    assert x.long().tolist() == [1, -1]
    assert x.to("cpu") is x.to(x) is x.float() is x.cpu() is x
    assert x.to(minigrad.device("cpu"), non_blocking=True) is x


def test_a_cast_is_differentiated_back_to_the_dtype_it_came_from():
    x = minigrad.ones(2, requires_grad=True)
    (x.double() * 3).sum().backward()
    assert x.grad.dtype == minigrad.float32
    assert x.grad.tolist() == [3.0, 3.0]


def test_sizes_and_strides_are_those_of_pytorch():
    for ours, theirs in [
        (minigrad.zeros(2, 3, 4), torch.zeros(2, 3, 4)),
        (minigrad.zeros(2, 3).T, torch.zeros(2, 3).T),
    ]:
        assert ours.size() == tuple(theirs.size())
        assert ours.size(-1) == theirs.size(-1)
        assert (ours.dim(), ours.ndim, ours.numel()) == (theirs.dim(), theirs.ndim, theirs.numel())
        assert ours.stride() == theirs.stride()
        assert ours.is_contiguous() == theirs.is_contiguous()
        assert ours.contiguous().stride() == theirs.contiguous().stride()
        assert (ours.itemsize, ours.nbytes) == (theirs.itemsize, theirs.nbytes)
        assert ours.is_floating_point()
    x = minigrad.zeros(2)
    assert x.contiguous() is x


def test_numpy_and_detach_share_memory_and_array_copies_on_request():
    x = minigrad.zeros(3)
    x.numpy()[0] = 1.0
    x.detach()[1] = 2.0
    assert x.tolist() == [1.0, 2.0, 0.0]
    assert np.asarray(x) is not None
    assert np.shares_memory(np.asarray(x), x.data)
    assert not np.shares_memory(np.array(x), x.data)
    assert np.asarray(x, dtype=np.int64).tolist() == [1, 2, 0]
    np.testing.assert_allclose(np.exp(x), np.exp([1.0, 2.0, 0.0]), rtol=1e-6)


def test_a_deep_copy_is_a_leaf_of_its_own():
    x = minigrad.ones(2, requires_grad=True)
    (x * 3).sum().backward()
    other = copy.deepcopy(x)
    other.data[0] = 9.0
    assert x.tolist() == [1.0, 1.0]
    assert other.requires_grad
    assert other.grad.tolist() == [3.0, 3.0]
    with pytest.raises(GraphError, match=r"deepcopy: only leaves can be copied"):
        copy.deepcopy(x * 2)


def test_comparison_with_what_is_no_number_is_false():
    x = minigrad.tensor([1.0, 2.0])
    assert (x == None) is False  # noqa: E711
    assert (x != None) is True  # noqa: E711
    assert (x == "a") is False
    assert (x == 1).tolist() == [True, False]
    assert x in [x]
    assert {x: 1}[x] == 1


# ---- in place --------------------------------------------------------------------------------------------------------

OPERANDS = {
    "add_": (2.0,), "sub_": (2.0,), "mul_": (2.0,), "div_": (2.0,), "pow_": (2.0,), "floor_divide_": (2.0,),
    "remainder_": (2.0,), "lerp_": ("y", 0.25), "addcmul_": ("y", "y"), "addcdiv_": ("y", "y"), "clamp_": (0.4, 0.7),
    "masked_fill_": ("mask", 3.0), "scatter_": (0, "index", 5.0), "scatter_add_": (0, "index", "y"), "fill_": (3.0,),
    "copy_": ("y",),
}  # fmt: skip
IN_PLACE = [name for name in dir(Operations) if re.fullmatch(r"[a-z0-9_]*[a-z0-9]_", name)]


def test_every_element_wise_operation_has_its_form_in_place():
    functions = {name for name in FUNCTIONS if hasattr(torch.Tensor, name + "_")}
    without = {"where", "squeeze", "unsqueeze", "transpose", "eq", "ne", "lt", "le", "gt", "ge", "cumsum", "cumprod"}
    without |= {"logical_and", "logical_or", "logical_xor", "logical_not", "bernoulli"}
    assert {name + "_" for name in functions - without} <= set(IN_PLACE)
    assert {name for name in IN_PLACE if not hasattr(torch.Tensor, name)} == set()


def operands(t, name: str) -> tuple:
    y = torch.from_numpy(draw(3, 4, low=0.5, seed=1)) if t is torch else minigrad.tensor(draw(3, 4, low=0.5, seed=1))
    given = {"y": y, "mask": y > 1, "index": t.tensor([[0, 2, 1, 0], [1, 1, 1, 1]])}
    return tuple(given[x] if isinstance(x, str) else x for x in OPERANDS.get(name, ()))


@pytest.mark.parametrize("name", IN_PLACE)
def test_the_form_in_place_is_that_of_pytorch_and_is_refused_where_it_would_be_recorded(name):
    data = draw(3, 4, low=0.2, high=0.9)
    x, theirs = minigrad.tensor(data), torch.from_numpy(data.copy())
    memory = x.data
    assert getattr(x, name)(*operands(minigrad, name)) is x
    getattr(theirs, name)(*operands(torch, name))
    assert x.data is memory
    np.testing.assert_allclose(memory, theirs.numpy(), rtol=1e-13)

    w = minigrad.tensor(data, requires_grad=True)
    with pytest.raises(
        GraphError, match=rf"(^|\W){name}: a tensor that requires a gradient cannot be changed in place"
    ):
        getattr(w, name)(*operands(minigrad, name))
    np.testing.assert_array_equal(w.data, data)
    with no_grad():
        getattr(w, name)(*operands(minigrad, name))
    assert w.is_leaf
    assert w.requires_grad
    np.testing.assert_allclose(w.data, theirs.numpy(), rtol=1e-13)


def test_options_reach_the_form_in_place():
    x = minigrad.ones(2)
    x.add_(minigrad.tensor([1.0, 2.0]), alpha=-0.5).addcdiv_(minigrad.ones(2), minigrad.ones(2), value=10.0).zero_()
    assert x.tolist() == [0.0, 0.0]
    assert minigrad.ones(2).add_(minigrad.tensor([1.0, 2.0]), alpha=-0.5).tolist() == [0.5, 0.0]


@pytest.mark.parametrize(
    ("mistake", "error", "message"),
    [
        (
            lambda: minigrad.arange(2).add_(0.5),
            DTypeError,
            r"add_: the result is float32, which does not fit into int64",
        ),
        (
            lambda: minigrad.ones(2).add_(minigrad.ones(3, 2)),
            ShapeError,
            r"add_: the result has shape \(3, 2\), .* \(2,\)",
        ),
        (lambda: minigrad.ones(2).copy_(minigrad.ones(3)), ShapeError, r"copy_: shape \(3,\) does not fit into \(2,\)"),
        (
            lambda: minigrad.ones(1).expand(2).zero_(),
            GraphError,
            r"zero_: .* only looks at memory that cannot be written",
        ),
        (
            lambda: minigrad.ones(2).mul_(minigrad.ones(2, requires_grad=True)),
            GraphError,
            r"mul_: .* the gradient of the operand would be lost",
        ),
    ],
)
def test_a_change_in_place_that_does_not_fit_is_refused(mistake, error, message):
    with pytest.raises(error, match=message):
        mistake()


def test_a_change_in_place_is_noticed_by_backward():
    w, x = minigrad.ones(2, requires_grad=True), minigrad.ones(2)
    loss = (w * x).sum()
    x.add_(1)
    with pytest.raises(GraphError, match=r"input 1 of mul, shape \(2,\), was changed in place"):
        loss.backward()


def test_an_update_with_an_operator_keeps_the_leaf_under_no_grad():
    w = minigrad.ones(2, requires_grad=True)
    (w * 3).sum().backward()
    memory, same = w.data, w
    with no_grad():
        w -= 0.1 * w.grad
        w += 1
        w *= 2
        w /= 4
    assert w is same
    assert w.data is memory
    assert w.requires_grad
    np.testing.assert_allclose(w.data, (1 - 0.3 + 1) * 2 / 4, rtol=1e-6)


def test_an_update_with_an_operator_is_recorded_where_gradients_are():
    x = minigrad.tensor([1.0, 2.0], requires_grad=True)
    total = 0
    for factor in (1.0, 2.0):
        total += (x * factor).sum()
    running = minigrad.zeros(2)
    running += x
    running *= x
    (total + running.sum()).backward()
    assert x.grad.tolist() == [3.0 + 2.0, 3.0 + 4.0]
    with pytest.raises(GraphError, match=r"add_: a tensor that requires a gradient cannot be changed in place"):
        x += 1


def test_an_update_with_an_operator_keeps_shape_and_dtype():
    x = minigrad.ones(2, dtype=minigrad.float64, requires_grad=True)
    running = minigrad.zeros(2)
    running += x
    running *= 2
    running //= 2
    assert running.dtype == minigrad.float32
    whole = minigrad.arange(3)
    whole **= 2
    whole %= 3
    assert whole.tolist() == [0, 1, 1]
    for wrong in (minigrad.ones(3, 2, requires_grad=True), minigrad.ones(3, 2)):
        with pytest.raises(ShapeError, match=r"add_: the result has shape \(3, 2\), which does not fit into \(2,\)"):
            running += wrong
    with pytest.raises(DTypeError, match=r"mul_: the result is float64, which does not fit into int64"):
        whole *= minigrad.ones(3, dtype=minigrad.float64, requires_grad=True)


def test_operators_work_from_both_sides_and_unary_ones_too():
    x = minigrad.tensor([2.0, -3.0])
    assert (1 - x).tolist() == [-1.0, 4.0]
    assert (6 / x).tolist() == [3.0, -2.0]
    assert (2**x).tolist() == [4.0, 0.125]
    assert (7 // x).tolist() == [3.0, -3.0]
    assert (7 % x).tolist() == [1.0, -2.0]
    assert abs(x).tolist() == [2.0, 3.0]
    assert (+x) is x
    assert (-x).tolist() == [-2.0, 3.0]
    assert (np.eye(2, dtype=np.float32) @ x).tolist() == [2.0, -3.0]
    assert (~(x > 0) | (x == 2)).tolist() == [True, True]


def test_a_root_that_does_not_depend_on_the_wanted_tensor_gives_none():
    x, y = minigrad.ones(2, requires_grad=True), minigrad.ones(2, requires_grad=True)
    assert autograd.grad((y * 2).sum(), x, allow_unused=True) == (None,)
    (zeros,) = autograd.grad((y * 2).sum(), x, materialize_grads=True)
    assert zeros.tolist() == [0.0, 0.0]
    (gx,) = autograd.grad([(y * 2).sum(), (x * 3).sum()], x)
    assert gx.tolist() == [3.0, 3.0]
