"""minigrad: reverse-mode automatic differentiation and training, from scratch.

The names are PyTorch's, so that `import minigrad as torch` runs an ordinary program.
"""

import minigrad.allocator  # isort: skip
import minigrad.idle_threads  # noqa: F401  isort: skip (before numpy)

import numpy as np

from minigrad.creation import (
    arange,
    as_tensor,
    empty,
    empty_like,
    eye,
    full,
    full_like,
    linspace,
    ones,
    ones_like,
    tensor,
    zeros,
    zeros_like,
)
from minigrad.devices import cuda, device
from minigrad.grad_mode import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from minigrad.graph import op
from minigrad.io import load, save
from minigrad.kernels.jit import get_num_threads, set_num_threads
from minigrad.kernels.warmup import warmup
from minigrad.ops import linalg
from minigrad.ops.arithmetic import abs, add, addcdiv, addcmul, div, lerp, mul, neg, sub
from minigrad.ops.arrange import diagonal, flip, pad, roll, tile, tril, triu
from minigrad.ops.cast import clone
from minigrad.ops.compare import allclose, eq, equal, ge, gt, isclose, isfinite, isinf, isnan, le, lt, ne
from minigrad.ops.einsum import einsum
from minigrad.ops.exponential import exp, exp2, expm1, log, log1p, log2, log10
from minigrad.ops.extremes import amax, amin, argmax, argmin, argsort, max, median, min, sort, topk
from minigrad.ops.gather import gather, index_select, scatter, scatter_add, take_along_dim
from minigrad.ops.joining import cat, chunk, split, stack, unbind
from minigrad.ops.linalg import bmm, dot, matmul, mm, mv, outer, trace
from minigrad.ops.logical import (
    bitwise_and,
    bitwise_not,
    bitwise_or,
    bitwise_xor,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
)
from minigrad.ops.norms import norm
from minigrad.ops.powers import pow, reciprocal, rsqrt, sqrt, square
from minigrad.ops.reduce import all, any, logsumexp, mean, std, sum, var
from minigrad.ops.rounding import ceil, floor, floor_divide, remainder, round, sign
from minigrad.ops.scan import cumprod, cumsum, prod
from minigrad.ops.select import clamp, masked_fill, maximum, minimum, relu, where
from minigrad.ops.shape import (
    broadcast_to,
    flatten,
    movedim,
    permute,
    reshape,
    squeeze,
    transpose,
    unflatten,
    unsqueeze,
)
from minigrad.ops.softmax import log_softmax, softmax
from minigrad.ops.special import erf, sigmoid
from minigrad.ops.trigonometric import acos, asin, atan, cos, cosh, sin, sinh, tan, tanh
from minigrad.random import (
    Generator,
    bernoulli,
    manual_seed,
    rand,
    rand_like,
    randint,
    randint_like,
    randn,
    randn_like,
    randperm,
)
from minigrad.tensor import Tensor, from_numpy

# What stands on the names above.
from minigrad import autograd, datasets, functional, nn, optim  # isort: skip
from minigrad.debug import debug  # isort: skip
from minigrad.draw import draw  # isort: skip
from minigrad.explain import explain  # isort: skip
from minigrad.gradcheck import gradcheck, gradgradcheck  # isort: skip
from minigrad.summary import summary  # isort: skip

__version__ = "0.1.0"

float16 = half = np.dtype(np.float16)
float32 = float = np.dtype(np.float32)
float64 = double = np.dtype(np.float64)
uint8 = np.dtype(np.uint8)
int8 = np.dtype(np.int8)
int16 = np.dtype(np.int16)
int32 = int = np.dtype(np.int32)
int64 = long = np.dtype(np.int64)
bool = np.dtype(np.bool_)

__all__ = [
    "Generator",
    "Tensor",
    "abs",
    "acos",
    "add",
    "addcdiv",
    "addcmul",
    "all",
    "allclose",
    "amax",
    "amin",
    "any",
    "arange",
    "argmax",
    "argmin",
    "argsort",
    "as_tensor",
    "asin",
    "atan",
    "autograd",
    "bernoulli",
    "bitwise_and",
    "bitwise_not",
    "bitwise_or",
    "bitwise_xor",
    "bmm",
    "bool",
    "broadcast_to",
    "cat",
    "ceil",
    "chunk",
    "clamp",
    "clone",
    "cos",
    "cosh",
    "cuda",
    "cumprod",
    "cumsum",
    "datasets",
    "debug",
    "device",
    "diagonal",
    "div",
    "dot",
    "double",
    "draw",
    "einsum",
    "empty",
    "empty_like",
    "enable_grad",
    "eq",
    "equal",
    "erf",
    "exp",
    "exp2",
    "explain",
    "expm1",
    "eye",
    "flatten",
    "flip",
    "float",
    "float16",
    "float32",
    "float64",
    "floor",
    "floor_divide",
    "from_numpy",
    "full",
    "full_like",
    "functional",
    "gather",
    "ge",
    "get_num_threads",
    "gradcheck",
    "gradgradcheck",
    "gt",
    "half",
    "index_select",
    "inference_mode",
    "int",
    "int8",
    "int16",
    "int32",
    "int64",
    "is_grad_enabled",
    "isclose",
    "isfinite",
    "isinf",
    "isnan",
    "le",
    "lerp",
    "linalg",
    "linspace",
    "load",
    "log",
    "log1p",
    "log2",
    "log10",
    "log_softmax",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "logsumexp",
    "long",
    "lt",
    "manual_seed",
    "masked_fill",
    "matmul",
    "max",
    "maximum",
    "mean",
    "median",
    "min",
    "minimum",
    "mm",
    "movedim",
    "mul",
    "mv",
    "ne",
    "neg",
    "nn",
    "no_grad",
    "norm",
    "ones",
    "ones_like",
    "op",
    "optim",
    "outer",
    "pad",
    "permute",
    "pow",
    "prod",
    "rand",
    "rand_like",
    "randint",
    "randint_like",
    "randn",
    "randn_like",
    "randperm",
    "reciprocal",
    "relu",
    "remainder",
    "reshape",
    "roll",
    "round",
    "rsqrt",
    "save",
    "scatter",
    "scatter_add",
    "set_grad_enabled",
    "set_num_threads",
    "sigmoid",
    "sign",
    "sin",
    "sinh",
    "softmax",
    "sort",
    "split",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "std",
    "sub",
    "sum",
    "summary",
    "take_along_dim",
    "tan",
    "tanh",
    "tensor",
    "tile",
    "topk",
    "trace",
    "transpose",
    "tril",
    "triu",
    "uint8",
    "unbind",
    "unflatten",
    "unsqueeze",
    "var",
    "warmup",
    "where",
    "zeros",
    "zeros_like",
]
