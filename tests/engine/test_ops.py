"""Every op in the registry, on every one of its samples: value, first and second derivative.

Values are compared with PyTorch in both float dtypes and with numpy where it has the function. The first derivative,
under a random upstream gradient, is compared with PyTorch's and with central differences of the forward; the second
with central differences of the first. What is not called the same in PyTorch stands in the tables below.
"""

from __future__ import annotations

import importlib
import inspect
import math
import pkgutil
from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import ops
from minigrad.backward import run
from minigrad.errors import GraphError
from minigrad.graph import Op, registry
from minigrad.kernels.dropout import philox
from minigrad.ops.samples import Sample, strided

torch = pytest.importorskip("torch")
F = torch.nn.functional

for _, name, _ in pkgutil.iter_modules(ops.__path__):
    importlib.import_module(f"minigrad.ops.{name}")

OPS = sorted(name for name, op in registry.items() if op.forward.__module__.startswith("minigrad.ops."))
CASES = [
    pytest.param(registry[name], sample, id=f"{name}-{i}")
    for name in OPS
    for i, sample in enumerate(registry[name].samples() if registry[name].samples else ())
]


# ---- the same in PyTorch ---------------------------------------------------------------------------------------------


def torch_index(x: Any, index: Any) -> Any:
    """x[index] where PyTorch has no negative steps: a slice becomes the list of its places."""
    if isinstance(index, slice):
        return x[torch.arange(*index.indices(len(x)))]
    parts = index if isinstance(index, tuple) else (index,)
    return x[tuple(torch.from_numpy(part) if isinstance(part, np.ndarray) else part for part in parts)]


def torch_set(x: Any, index: Any, shape: tuple[int, ...]) -> Any:
    places = torch_index(torch.arange(math.prod(shape)).reshape(shape), index)
    return torch.zeros(math.prod(shape), dtype=x.dtype).index_add(0, places.reshape(-1), x.reshape(-1)).reshape(shape)


def torch_recurrence(a: Any, b: Any, dim: int) -> Any:
    z = []
    for a_i, b_i in zip(a.unbind(dim), b.unbind(dim), strict=True):
        z.append(b_i if not z else a_i * z[-1] + b_i)
    return torch.stack(z, dim) if z else b * 1


def torch_conv2d(x: Any, w: Any, bias: Any, padding: Any = ((0, 0), (0, 0)), **how: Any) -> Any:
    return F.conv2d(F.pad(x, (*padding[1], *padding[0])), w, bias, **how)


def torch_conv2d_input_grad(g: Any, w: Any, input_shape: tuple[int, ...], **how: Any) -> Any:
    x = torch.zeros(input_shape, dtype=g.dtype, requires_grad=True)
    return torch.autograd.grad(torch_conv2d(x, w, None, **how), x, g, create_graph=True)[0]


def torch_conv2d_weight_grad(g: Any, x: Any, weight_shape: tuple[int, ...], **how: Any) -> Any:
    w = torch.zeros(weight_shape, dtype=g.dtype, requires_grad=True)
    return torch.autograd.grad(torch_conv2d(x, w, None, **how), w, g, create_graph=True)[0]


def torch_winners(
    index: Any, width: int, kernel_size: Any, stride: Any, padding: Any = (0, 0), dilation: Any = (1, 1)
) -> Any:
    """The places in the flattened images of the elements that won their windows."""
    u, v = index.long() // kernel_size[1], index.long() % kernel_size[1]
    rows = torch.arange(index.shape[2])[:, None] * stride[0] + u * dilation[0] - padding[0]
    columns = torch.arange(index.shape[3]) * stride[1] + v * dilation[1] - padding[1]
    return (rows * width + columns).flatten(-2)


def torch_pool_gather(x: Any, index: Any, **window: Any) -> Any:
    return x.flatten(-2).gather(-1, torch_winners(index, x.shape[-1], **window)).reshape(index.shape)


def torch_pool_scatter(g: Any, index: Any, input_shape: tuple[int, ...], **window: Any) -> Any:
    zeros = torch.zeros((*input_shape[:-2], math.prod(input_shape[-2:])), dtype=g.dtype)
    winners = torch_winners(index, input_shape[-1], **window)
    return zeros.scatter_add(-1, winners, g.flatten(-2)).reshape(input_shape)


def torch_avg_pool_input_grad(g: Any, input_shape: tuple[int, ...], **window: Any) -> Any:
    x = torch.zeros(input_shape, dtype=g.dtype, requires_grad=True)
    return torch.autograd.grad(F.avg_pool2d(x, **window), x, g, create_graph=True)[0]


def torch_embedding_weight_grad(index: Any, g: Any, shape: tuple[int, int], padding_idx: int | None = None) -> Any:
    kept = torch.ones(index.shape, dtype=g.dtype) if padding_idx is None else (index != padding_idx).to(g.dtype)
    rows = (g * kept[..., None]).reshape(-1, shape[1])
    return torch.zeros(shape, dtype=g.dtype).index_add(0, index.reshape(-1), rows)


def torch_recurrent(kind: str, states: int, x: Any, *operands: Any, nonlinearity: str = "tanh") -> Any:
    """PyTorch's cell, step by step, in the packed form of our op: outputs, then the cell state of an LSTM."""
    cell = getattr(torch, f"{kind}_{nonlinearity}_cell" if kind == "rnn" else f"{kind}_cell")
    state, weights, outputs = operands[:states], operands[states:], []
    for x_t in x:
        state = cell(x_t, state if states > 1 else state[0], *weights)
        state = state if states > 1 else (state,)
        outputs.append(state[0])
    return torch.stack([*outputs, *state[1:]])


def torch_standardize(x: Any, dim: Any, eps: float = 1e-5) -> Any:
    return (x - x.mean(dim, keepdim=True)) / torch.sqrt(x.var(dim, correction=0, keepdim=True) + eps)


def torch_conv2d_relu_max_pool2d(x: Any, w: Any, bias: Any, kernel_size: Any = (2, 2), **how: Any) -> Any:
    y = torch_conv2d(x, w, bias, **how)
    return y[:, :, :: kernel_size[0], :: kernel_size[1]] if y.numel() == 0 else F.max_pool2d(F.relu(y), kernel_size)


def torch_gelu_slope(x: Any, **how: Any) -> Any:
    x = x if x.requires_grad else x.detach().requires_grad_()
    return torch.autograd.grad(F.gelu(x, **how).sum(), x, create_graph=True)[0]


def torch_normalized(x: Any, w: Any, b: Any, dim: Any, affine: Any, eps: float = 1e-5) -> Any:
    z = x if dim is None else torch_standardize(x, dim, eps)
    z = z if w is None else z * w.reshape(affine)
    return z if b is None else z + b.reshape(affine)


def torch_batch_normalize(x: Any, w: Any, b: Any, eps: float = 1e-5) -> Any:
    return torch_normalized(x, w, b, (0, *range(2, x.ndim)), (-1, *[1] * (x.ndim - 2)), eps)


def torch_group_normalize(x: Any, w: Any, b: Any, num_groups: int, eps: float = 1e-5) -> Any:
    groups = x.reshape(x.shape[0], num_groups, -1) if x.numel() else x  # F.group_norm wants no bias without a weight
    z = torch_standardize(groups, -1, eps).reshape(x.shape)
    return torch_normalized(z, w, b, None, (-1, *[1] * (x.ndim - 2)))


def torch_layer_normalize(
    x: Any, w: Any, b: Any, normalized_shape: Any, eps: float = 1e-5, centred: bool = True
) -> Any:
    if centred:
        return F.layer_norm(x, normalized_shape, w, b, eps)
    z = F.rms_norm(x, normalized_shape, w, eps)
    return z if b is None else z + b


def torch_channel_affine(x: Any, m: Any, a: Any, b: Any) -> Any:
    m, a, b = (each.reshape(-1, *[1] * (x.ndim - 2)) for each in (m, a, b))
    return (x - m) * a + b


def torch_dropout(x: Any, p: float, key: int) -> Any:
    """The op's formula, with its plain twin of the generator: PyTorch drops other elements."""
    order = (0, 2, 3, 1) if x.ndim == 4 else tuple(range(x.ndim))
    shape = [x.shape[i] for i in order]
    block = np.arange(-(-x.numel() // 256) * 64, dtype=np.uint32)
    words = philox(np.stack([block, 0 * block, 0 * block, 0 * block], -1), (key % 2**32, key // 2**32))
    words = words.reshape(-1, 64, 4).swapaxes(1, 2).reshape(-1)[: x.numel()].reshape(shape)
    kept = torch.from_numpy(np.asarray(words >= p * 2**32).transpose(np.argsort(order)))
    return x * kept / (1 - p) if p < 1 else x * 0


def torch_attention(q: Any, k: Any, v: Any, mask: Any, scale: float, causal: bool = False) -> Any:
    scores = scale * q @ k.mT
    scores = scores if mask is None else scores + mask
    if causal:
        scores = scores.masked_fill(~torch.ones(scores.shape[-2:], dtype=torch.bool).tril(), -math.inf)
    return scores.softmax(-1) @ v


def torch_packed_attention(x: Any, mask: Any, heads: int, **how: Any) -> Any:
    parts = x.unflatten(-1, (3, heads, x.shape[-1] // 3 // heads)).permute(2, 0, 3, 1, 4)
    return torch_attention(*parts, mask, **how).transpose(1, 2).flatten(2)


def torch_chain(x: Any, *weights: Any, links: Any) -> Any:
    given = iter(weights)
    for link in links:
        call = torch.flatten if link.op.__name__ == "flatten" else in_torch(link.op)
        x = call(x, *islice(given, link.weights), **link.options)
    return x


TORCH: dict[str, Callable] = {
    "argmedian": lambda x, dim: torch.median(x, dim, keepdim=True).indices,
    "argsort": lambda x, **how: torch.argsort(x, stable=True, **how),
    "attention": torch_attention,
    "avg_pool2d_input_grad": torch_avg_pool_input_grad,
    "binary_cross_entropy": lambda x, y: F.binary_cross_entropy(*torch.broadcast_tensors(x, y), reduction="none"),
    "batch_normalize": torch_batch_normalize,
    "cast": lambda x, dtype: x.to(torch.float64) if x.dtype == torch.float64 else x.double(),
    # PyTorch's celu and hardsigmoid have 1 / alpha and 1 / 6 in float32, for every dtype.
    "celu": lambda x, alpha=1.0: torch.where(x > 0, x, alpha * torch.expm1(x / alpha)),
    "chain": torch_chain,
    "channel_affine": torch_channel_affine,
    "channel_sums": lambda g: g.sum((0, 2, 3)),
    "clip": torch.clamp,
    "hardsigmoid": lambda x: torch.clamp(x / 6 + 0.5, 0, 1),
    "group_normalize": torch_group_normalize,
    "huber": lambda x, y, delta=1.0: F.huber_loss(*torch.broadcast_tensors(x, y), "none", delta),
    "isclose": lambda x, y, **how: torch.isclose(x, torch.as_tensor(y, dtype=x.dtype), **how),
    "concatenate": lambda *xs, dim: torch.cat(xs, dim),
    "constant_pad": lambda x, widths, value=0: F.pad(x, [n for pair in widths[::-1] for n in pair], value=value),
    "conv2d": torch_conv2d,
    "conv2d_input_grad": torch_conv2d_input_grad,
    "conv2d_relu_max_pool2d": torch_conv2d_relu_max_pool2d,
    "conv2d_weight_grad": torch_conv2d_weight_grad,
    "diagonal_zeros": lambda x, shape, **how: torch.diagonal_scatter(torch.zeros(shape, dtype=x.dtype), x, **how),
    "dropout": torch_dropout,
    "embedding_weight_grad": torch_embedding_weight_grad,
    "expand": lambda x, shape: torch.broadcast_to(x, shape),
    "flip": lambda x, dims: torch.flip(x, [dims] if isinstance(dims, int) else dims),
    "fold": lambda x, size, **window: F.fold(x, size, **window),
    "gather_along": lambda x, index, dim: torch.gather(x, dim, index),
    "gelu_slope": torch_gelu_slope,
    "getitem": torch_index,
    "gru_layer": partial(torch_recurrent, "gru", 1),
    "layer_normalize": torch_layer_normalize,
    "logsumexp": lambda x, dim, **how: torch.logsumexp(x, tuple(range(x.ndim)) if dim == () else dim, **how),
    "lstm_layer": partial(torch_recurrent, "lstm", 2),
    "masked_scale": lambda x, mask, scale: x * mask * scale,
    "max_pool2d_gather": torch_pool_gather,
    "max_pool2d_positions": lambda x, **window: F.max_pool2d(x, **window, return_indices=True)[1],
    "max_pool2d_scatter": torch_pool_scatter,
    "linear_relu": lambda x, weight, bias: F.relu(F.linear(x, weight, bias)),
    "middle": torch.median,
    "prelu": lambda x, weight: torch.where(x > 0, x, weight * x),
    "packed_attention": torch_packed_attention,
    "recurrence": torch_recurrence,
    "rnn_layer": partial(torch_recurrent, "rnn", 1),
    "relu_max_pool2d": lambda x, **window: F.max_pool2d(F.relu(x), **window),
    "scatter_add_along": lambda x, index, src, dim: torch.scatter_add(x, dim, index, src),
    "scatter_along": lambda x, index, src, dim: torch.scatter(x, dim, index, src),
    "setitem_zeros": torch_set,
    "softmax_cross_entropy": F.cross_entropy,
    "standardize": torch_standardize,
    "sum_to": lambda x, shape: x.sum_to_size(shape),
}

# Of two elements scattered to one place PyTorch gives both the gradient, although only the last one is in the result.
TORCH_GRADIENT_IS_ANOTHER = {"scatter_along"}

SAME_IN_NUMPY = [
    "abs", "add", "argmax", "argmin", "all", "any", "amax", "amin", "bitwise_and", "bitwise_or",
    "bitwise_xor", "ceil", "cos", "cosh", "cumprod", "cumsum", "exp", "exp2", "expm1", "floor",
    "floor_divide", "isfinite", "isinf", "isnan", "log", "log10", "log1p", "log2", "logical_and",
    "logical_not", "logical_or", "logical_xor", "matmul", "maximum", "mean", "minimum", "prod", "reciprocal",
    "remainder", "reshape", "round", "roll", "sign", "sin", "sinh", "sqrt", "square", "sum", "tan", "tanh",
    "tril", "triu", "where",
]  # fmt: skip
NUMPY_NAMES = {
    "acos": "arccos", "asin": "arcsin", "atan": "arctan", "neg": "negative", "div": "divide", "mul":
    "multiply", "sub": "subtract", "pow": "power", "eq": "equal", "ne": "not_equal", "lt": "less", "le":
    "less_equal", "gt": "greater", "ge": "greater_equal", "bitwise_not": "invert", "permute": "transpose",
}  # fmt: skip
NUMPY: dict[str, Callable] = {name: getattr(np, name) for name in SAME_IN_NUMPY}
NUMPY |= {name: getattr(np, there) for name, there in NUMPY_NAMES.items()}
NUMPY |= {
    "addcdiv": lambda x, y1, y2, value=1: x + value * y1 / y2,
    "addcmul": lambda x, y1, y2, value=1: x + value * y1 * y2,
    "constant_pad": lambda x, widths, value=0: np.pad(x, widths, constant_values=value),
    "erf": np.vectorize(math.erf, otypes=[float]),
    "expand": np.broadcast_to,
    "flip": lambda x, dims: np.flip(x, dims if isinstance(dims, int) else tuple(dims)),
    "gather_along": lambda x, index, dim: np.take_along_axis(x, index, dim),
    "lerp": lambda x, end, weight: (1 - weight) * x + weight * end,
    "rsqrt": lambda x: x**-0.5,
    "sigmoid": lambda x: 0.5 * (1 + np.tanh(x / 2)),
    "svdvals": lambda x: np.linalg.svd(x, compute_uv=False),
    "vector_norm": lambda x, ord=2, dim=None, keepdim=False: np.linalg.norm(x, ord, dim, keepdim),
}
# Class weights are numbers to PyTorch, not variables.
WITHOUT_GRADIENT = {"softmax_cross_entropy": (2,)}

# Operations on rows, matrices and images: there is no 0-d case.
HAS_DIMENSIONS = {
    "attention", "avg_pool2d", "avg_pool2d_input_grad", "batch_normalize", "chain", "channel_affine", "channel_sums",
    "concatenate", "conv2d", "conv2d_input_grad", "conv2d_relu_max_pool2d", "conv2d_weight_grad", "diagonal",
    "diagonal_zeros", "fold", "group_normalize", "gru_layer", "layer_normalize", "linear", "linear_relu", "lstm_layer",
    "matmul", "max_pool2d", "max_pool2d_gather", "max_pool2d_positions", "max_pool2d_scatter", "packed_attention",
    "recurrence", "relu_max_pool2d", "rnn_layer", "softmax_cross_entropy", "standardize", "svdvals", "tril", "triu",
    "unfold",
}  # fmt: skip

NUMPY_OPTIONS = {"dim": "axis", "keepdim": "keepdims", "dims": "axis", "shifts": "shift", "diagonal": "k"}


def in_torch(op: Op) -> Callable:
    for place in (F, torch, torch.linalg):
        if op.name not in TORCH and hasattr(place, op.name):
            return getattr(place, op.name)
    assert op.name in TORCH, f"{op.name} is not called so in PyTorch: add it to the table TORCH"
    return TORCH[op.name]


pytestmark = pytest.mark.filterwarnings(
    "ignore:.*degrees of freedom is <= 0", "ignore:Mean of empty slice", "ignore:invalid value encountered"
)


def torch_inputs(op: Op, sample: Sample, dtype: type = np.float64) -> list[Any]:
    """The same in PyTorch, whose first operand must be a tensor."""
    made = [to_torch(x, dtype) for x in sample.inputs]
    if made and isinstance(made[0], int | float):
        made[0] = torch.tensor(made[0], dtype=getattr(torch, np.dtype(dtype).name))
    for place in float_places(op, sample):
        made[place].requires_grad_()
    return made


def to_torch(x: Any, dtype: type = np.float64) -> Any:
    if not isinstance(x, np.ndarray):
        return x
    return torch.from_numpy(np.array(x, dtype=dtype if x.dtype.kind == "f" else None))


def torch_call(op: Op, inputs: list[Any], sample: Sample) -> Any:
    options = dict(sample.options)
    if op.name not in ("getitem", "setitem_zeros"):
        options = {key: to_torch(value) for key, value in options.items()}
    if "dtype" in options:
        options["dtype"] = getattr(torch, np.dtype(options["dtype"]).name)
    return in_torch(op)(*inputs, **options)


# ---- calling an op, as a function of the float arrays among its inputs ----------------------------------------------


def float_places(op: Op, sample: Sample) -> list[int]:
    """The inputs that have a gradient."""
    fixed = WITHOUT_GRADIENT.get(op.name, ())
    return [
        i for i, x in enumerate(sample.inputs) if i not in fixed and isinstance(x, np.ndarray) and x.dtype.kind == "f"
    ]


def leaves(op: Op, sample: Sample, dtype: type = np.float64) -> list[Any]:
    """The sample's inputs as Tensors, those with a gradient as leaves."""
    inputs = [
        minigrad.tensor(x, dtype=dtype if x.dtype.kind == "f" else None) if isinstance(x, np.ndarray) else x
        for x in sample.inputs
    ]
    for place in float_places(op, sample):
        inputs[place].requires_grad_()
    return inputs


def upstream(shape: tuple[int, ...], seed: int = 3) -> np.ndarray:
    return np.asarray(
        np.random.default_rng(seed).uniform(0.5, 1.5, shape) * np.random.default_rng(seed + 1).choice([-1, 1], shape)
    )


def value(op: Op, arrays: list[np.ndarray], sample: Sample) -> np.ndarray:
    inputs = list(sample.inputs)
    for place, array in zip(float_places(op, sample), arrays, strict=True):
        inputs[place] = array
    return np.asarray(
        op(*(minigrad.tensor(x) if isinstance(x, np.ndarray) else x for x in inputs), **sample.options).data
    )


def gradients(
    op: Op, arrays: list[np.ndarray], g: np.ndarray, sample: Sample, layout: Callable = np.array
) -> list[np.ndarray]:
    """dL/dx of every float input, where dL/dz is g."""
    inputs: list[Any] = [minigrad.tensor(x) if isinstance(x, np.ndarray) else x for x in sample.inputs]
    wanted = []
    for place, array in zip(float_places(op, sample), arrays, strict=True):
        inputs[place] = minigrad.from_numpy(layout(array)).requires_grad_()
        wanted.append(inputs[place])
    z = op(*inputs, **sample.options)
    return [np.asarray(found.data) for found in run([z], [minigrad.tensor(g)], wanted)]


def differentiable(op: Op, sample: Sample) -> bool:
    return op.differentiable and bool(float_places(op, sample))


# ---- the claims ------------------------------------------------------------------------------------------------------


def test_there_are_at_least_110_ops():
    assert len(OPS) >= 110


@pytest.mark.parametrize("name", OPS)
def test_every_op_has_a_formula_a_rule_and_samples_of_at_least_five_kinds(name):
    op = registry[name]
    assert (inspect.getdoc(op.forward) or "").startswith("z"), f"{name}: the docstring begins with the formula"
    assert op.rule is not None or not op.differentiable, f"{name} has no gradient rule"
    assert op.samples is not None, f"{name} has no samples"
    kinds = {repr(sample) for sample in op.samples()}
    assert len(kinds) >= 5, f"{name} has samples of {len(kinds)} kinds only"
    arrays = [x for sample in op.samples() for x in sample.inputs if isinstance(x, np.ndarray)]
    assert name in HAS_DIMENSIONS or any(x.ndim == 0 for x in arrays), f"{name} has no 0-d sample"
    assert any(x.size == 0 for x in arrays), f"{name} has no empty sample"


@pytest.mark.parametrize(("op", "sample"), CASES)
def test_value_is_that_of_pytorch(op, sample):
    for dtype, rtol, atol in [(np.float64, 1e-12, 1e-13), (np.float32, 2e-5, 2e-6)]:
        z = op(*leaves(op, sample, dtype), **sample.options)
        expected = torch_call(op, torch_inputs(op, sample, dtype), sample).detach().numpy()
        assert z.shape == expected.shape
        assert z.dtype == expected.dtype
        np.testing.assert_allclose(z.data, expected, rtol=rtol, atol=atol)


def numpy_options(name: str, sample: Sample) -> dict[str, Any] | None:
    """The sample's options in numpy's names; None where numpy has no such thing."""
    options, x = dict(sample.options), sample.inputs[0]
    if {"alpha", "rounding_mode"} & options.keys():
        return None
    if name == "constant_pad":  # numpy pads no 0-d arrays and does not cut off
        return options if x.ndim and min(map(min, options["widths"])) >= 0 else None
    if name == "vector_norm":  # numpy's norm over two axes is that of matrices
        return options if isinstance(options.get("dim"), int) else None
    if name == "gather_along":  # numpy's index has all of the other dimensions
        return options if options["dim"] == 0 and x.shape and x.shape[1:] == sample.inputs[1].shape[1:] else None
    if name in ("expand", "reshape", "flip"):
        return options
    if name == "permute":
        return {"axes": options["dims"]}
    options = {NUMPY_OPTIONS.get(key, key): value for key, value in options.items()}
    if not np.ndim(x) and options.get("axis") not in (None, ()):
        return None  # a 0-d array has no axis in numpy
    if options.get("axis") == ():
        options["axis"] = None
    return options


@pytest.mark.parametrize(
    ("op", "sample"),
    [c for c in CASES if c.values[0].name in NUMPY and numpy_options(c.values[0].name, c.values[1]) is not None],
)
def test_value_is_that_of_numpy(op, sample):
    options = numpy_options(op.name, sample)
    with np.errstate(all="ignore"):
        expected = NUMPY[op.name](*sample.inputs, **options)
    np.testing.assert_allclose(op(*leaves(op, sample), **sample.options).data, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(("op", "sample"), CASES)
def test_memory_layout_changes_nothing(op, sample):
    inputs = [minigrad.from_numpy(strided(x)) if isinstance(x, np.ndarray) else x for x in sample.inputs]
    z = op(*leaves(op, sample), **sample.options)
    np.testing.assert_allclose(op(*inputs, **sample.options).data, z.data, rtol=1e-13, atol=1e-14)
    if differentiable(op, sample):
        arrays = [sample.inputs[i] for i in float_places(op, sample)]
        g = upstream(z.shape)
        for ours, same in zip(
            gradients(op, arrays, strided(g), sample, layout=strided), gradients(op, arrays, g, sample), strict=True
        ):
            np.testing.assert_allclose(ours, same, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize(("op", "sample"), [case for case in CASES if differentiable(*case.values)])
def test_gradient_is_that_of_pytorch_and_of_central_differences(op, sample):
    arrays = [sample.inputs[i] for i in float_places(op, sample)]
    z = value(op, arrays, sample)
    g = upstream(z.shape)
    ours = gradients(op, arrays, g, sample)
    for x, gx in zip(arrays, ours, strict=True):
        assert gx.shape == x.shape
        assert gx.dtype == np.float64

    if op.name not in TORCH_GRADIENT_IS_ANOTHER:
        inputs = torch_inputs(op, sample)
        wanted = [inputs[i] for i in float_places(op, sample)]
        z = torch_call(op, inputs, sample)
        theirs = torch.autograd.grad(z, wanted, torch.from_numpy(g), allow_unused=True)
        for gx, expected in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(gx, 0.0 if expected is None else expected.numpy(), rtol=1e-10, atol=1e-11)

    if sample.options.get("padding_idx") is not None:
        return  # its row is told to have no gradient, though the value depends on it
    h = 1e-5
    for k, x in enumerate(arrays):
        for i in np.ndindex(x.shape):
            ends = []
            for step in (h, -h):
                moved = [a.copy() for a in arrays]
                moved[k][i] += step
                ends.append((value(op, moved, sample) * g).sum())
            assert ours[k][i] == pytest.approx((ends[0] - ends[1]) / (2 * h), rel=1e-6, abs=1e-8)


@pytest.mark.parametrize(("op", "sample"), [case for case in CASES if differentiable(*case.values)])
def test_second_derivative_is_that_of_central_differences(op, sample):
    arrays = [sample.inputs[i] for i in float_places(op, sample)]
    g = upstream(value(op, arrays, sample).shape)
    points = [*arrays, g]
    v = [upstream(x.shape, seed=7 + i) for i, x in enumerate(arrays)]

    # phi = <v, dL/dx> is a function of the inputs and of g.
    inputs = leaves(op, sample)
    variables = [inputs[i] for i in float_places(op, sample)]
    g_leaf = minigrad.tensor(g, requires_grad=True)
    z = op(*inputs, **sample.options)
    if op.once:
        with pytest.raises(GraphError, match=rf"{op.name} is fused and can be differentiated only once"):
            run([z], [g_leaf], variables, create_graph=True)
        return
    first = run([z], [g_leaf], variables, create_graph=True)
    phi = minigrad.tensor(0.0, dtype=np.float64)
    for direction, gx in zip(v, first, strict=True):
        phi = phi + (gx * minigrad.tensor(direction)).sum()
    second = run([phi], [None], [*variables, g_leaf]) if phi.requires_grad else [None] * len(points)

    def phi_at(moved: list[np.ndarray]) -> float:
        return sum(float((a * b).sum()) for a, b in zip(gradients(op, moved[:-1], moved[-1], sample), v, strict=True))

    h = 1e-5
    for attempt in range(2):
        d = [upstream(x.shape, seed=20 * attempt + i) for i, x in enumerate(points)]
        analytic = sum(float((s.data * b).sum()) for s, b in zip(second, d, strict=True) if s is not None)
        ahead = phi_at([x + h * b for x, b in zip(points, d, strict=True)])
        behind = phi_at([x - h * b for x, b in zip(points, d, strict=True)])
        assert analytic == pytest.approx((ahead - behind) / (2 * h), rel=2e-6, abs=1e-7)
