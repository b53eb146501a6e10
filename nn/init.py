"""Weight initialisation: Xavier/Glorot and He/Kaiming, orthogonal, and what else a layer may start from.

A layer of n_in inputs adds up n_in products, so Var(y) = n_in Var(w) Var(x). For a signal whose variance neither
vanishes nor explodes through many layers, Var(w) must be near 1/n_in; ReLU drops half of it, which asks for 2/n_in.

    Xavier uniform   W ~ U(-a, a),    a = gain sqrt(6 / (n_in + n_out))      sigmoid, tanh
    Xavier normal    W ~ N(0, s^2),   s = gain sqrt(2 / (n_in + n_out))
    He uniform       W ~ U(-a, a),    a = gain sqrt(3 / n_in)                ReLU: gain = sqrt(2)
    He normal        W ~ N(0, s^2),   s = gain / sqrt(n_in)

The second argument of N in the course module's formula for He, sqrt(2/n_in), is the standard deviation s.

With He's weights the variance of the sums y is the same in every layer of a ReLU network. tanh shrinks what it is
given, so that with Xavier's weights alone (gain 1) a signal fades, if slowly: after l layers its variance is about
1 / (2 l). With gain 5/3 it settles near 0.42 instead, from wherever it starts.

Every function changes its tensor in place, outside of the graph, and returns it. Random numbers come from
`generator`, or from the one that `minigrad.manual_seed` sets.

References
----------
X. Glorot and Y. Bengio, Understanding the difficulty of training deep feedforward neural networks, AISTATS 2010.
K. He et al., Delving deep into rectifiers, arXiv:1502.01852.
A. Saxe et al., Exact solutions to the nonlinear dynamics of learning in deep linear networks, arXiv:1312.6120.
D. Mishkin and J. Matas, All you need is a good init, arXiv:1511.06422 (LSUV).
https://docs.pytorch.org/docs/stable/nn.init.html
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.errors import ArgumentError, NonFiniteError, ShapeError
from minigrad.graph import no_grad
from minigrad.random import Generator, default_generator
from minigrad.tensor import Tensor

__all__ = [
    "calculate_gain",
    "constant_",
    "dirac_",
    "eye_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "lsuv_",
    "normal_",
    "ones_",
    "orthogonal_",
    "trunc_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> Tensor:
    """W ~ U(a, b)

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import init
    >>> x = init.uniform_(minigrad.empty(1000), -2.0, 2.0)
    >>> bool(x.min() >= -2), bool(x.max() <= 2)
    (True, True)
    """
    if not a <= b:
        raise ArgumentError(f"uniform_: expected a <= b, got a={a}, b={b}.")
    values = (generator or default_generator).numpy.uniform(a, b, tensor.shape)
    with no_grad():
        return tensor.copy_(values)


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None) -> Tensor:
    """W ~ N(mean, std^2)

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import init
    >>> x = init.normal_(minigrad.empty(10_000), mean=1.0, std=0.1)
    >>> abs(x.mean().item() - 1) < 0.01, abs(x.std().item() - 0.1) < 0.01
    (True, True)
    """
    if not std >= 0:
        raise ArgumentError(f"normal_: expected std >= 0, got {std}.")
    values = (generator or default_generator).numpy.normal(mean, std, tensor.shape)
    with no_grad():
        return tensor.copy_(values)


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """W ~ N(mean, std^2) given a <= W <= b: what falls outside is drawn anew.

    The bounds are numbers, not multiples of std; the standard deviation that comes out is less than std.

    Raises
    ------
    ArgumentError
        a > b, std is not positive, or [a, b] holds less than one in 1,000 draws.

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import init
    >>> x = init.trunc_normal_(minigrad.empty(1000), std=2.0, a=-1.0, b=1.0)
    >>> bool(x.min() >= -1), bool(x.max() <= 1)
    (True, True)
    """
    if not a <= b or not std > 0:
        raise ArgumentError(f"trunc_normal_: expected a <= b and std > 0, got a={a}, b={b}, std={std}.")
    low, high = (0.5 * math.erfc((mean - bound) / (std * math.sqrt(2))) for bound in (a, b))
    if high - low < 1e-3:
        raise ArgumentError(
            f"trunc_normal_: expected bounds that hold part of N({mean}, {std}^2), got [{a}, {b}], which holds "
            f"{high - low:.1e} of it."
        )
    stream = (generator or default_generator).numpy
    values = np.asarray(stream.normal(mean, std, tensor.shape))
    while (outside := (values < a) | (values > b)).any():
        values[outside] = stream.normal(mean, std, int(outside.sum()))
    with no_grad():
        tensor.copy_(values)
    # Rounding to float32 may step over a bound.
    np.clip(tensor.data, a, b, out=tensor.data)
    return tensor


def constant_(tensor: Tensor, val: float) -> Tensor:
    """W = val

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import init
    >>> init.constant_(minigrad.empty(2), 0.5)
    tensor([0.5, 0.5])
    """
    with no_grad():
        return tensor.fill_(val)


def zeros_(tensor: Tensor) -> Tensor:
    """W = 0

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import init
    >>> init.zeros_(minigrad.empty(2))
    tensor([0., 0.])
    """
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """W = 1

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import init
    >>> init.ones_(minigrad.empty(2))
    tensor([1., 1.])
    """
    return constant_(tensor, 1.0)


def eye_(tensor: Tensor) -> Tensor:
    """W = I: a linear layer that hands on as many of its inputs as it has outputs.

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import init
    >>> init.eye_(minigrad.empty(2, 3))
    tensor([[1., 0., 0.],
            [0., 1., 0.]])
    """
    if tensor.ndim != 2:
        raise ShapeError(f"eye_: expected a matrix, got shape {tensor.shape}.")
    with no_grad():
        return tensor.copy_(np.eye(tensor.shape[0], tensor.shape[1]))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """W[o, c] = 1 in the middle of the kernel where o = c in its group, else 0: a convolution that hands its input on.

    Shapes: (out, in / groups, *kernel), with one to three kernel dimensions

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import functional as F
    >>> from minigrad.nn import init
    >>> w, x = init.dirac_(minigrad.empty(2, 2, 3)), minigrad.randn(1, 2, 6)
    >>> bool((F.conv1d(x, w, padding=1) == x).all())  # the convolution hands its input on
    True
    """
    if tensor.ndim not in (3, 4, 5):
        raise ShapeError(f"dirac_: expected the weight of a convolution, got shape {tensor.shape}.")
    if groups < 1 or tensor.shape[0] % groups:
        raise ArgumentError(f"dirac_: expected groups that divide {tensor.shape[0]} output channels, got {groups}.")
    out = tensor.shape[0] // groups
    values = np.zeros(tensor.shape)
    middle = tuple(n // 2 for n in tensor.shape[2:])
    for c in range(min(out, tensor.shape[1])):
        place: tuple[Any, ...] = (slice(c, None, out), c, *middle)
        values[place] = 1
    with no_grad():
        return tensor.copy_(values)


def fans(tensor: Tensor) -> tuple[int, int]:
    """n_in and n_out of a weight: (out, in) of Linear, (out, in/groups, *kernel) of a convolution."""
    if tensor.ndim < 2:
        raise ShapeError(f"init: a weight of at least two dimensions has fans, got shape {tensor.shape}.")
    kernel = math.prod(tensor.shape[2:])
    return tensor.shape[1] * kernel, tensor.shape[0] * kernel


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor by which weights must grow to make up for what the nonlinearity takes from the variance.

        linear, identity, conv1d ... conv_transpose3d, sigmoid    1
        tanh                                                      5/3
        relu                                                      sqrt(2)
        leaky_relu of slope `param` (0.01 by default)             sqrt(2 / (1 + param^2))
        selu                                                      3/4

    Examples
    --------
    >>> calculate_gain("tanh")
    1.6666666666666667
    """
    gains = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 3 / 4}
    gains |= {f"conv{transpose}{n}d": 1.0 for transpose in ("", "_transpose") for n in (1, 2, 3)}
    if nonlinearity == "leaky_relu":
        if isinstance(param, bool) or not isinstance(param, int | float | None):
            raise ArgumentError(f"calculate_gain: expected the slope of leaky_relu as a number, got {param!r}.")
        slope = 0.01 if param is None else float(param)
        return math.sqrt(2 / (1 + slope**2))
    if nonlinearity not in gains:
        raise ArgumentError(f"nonlinearity: expected one of {', '.join([*gains, 'leaky_relu'])}, got {nonlinearity!r}.")
    return gains[nonlinearity]


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """W ~ U(-a, a), a = gain sqrt(6 / (n_in + n_out))

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import init
    >>> x = init.xavier_uniform_(minigrad.empty(200, 400))  # bounds ±√(6 / 600) = ±0.1
    >>> 0.099 < x.max().item() <= 0.1
    True
    """
    n_in, n_out = fans(tensor)
    a = gain * math.sqrt(6 / (n_in + n_out))
    return uniform_(tensor, -a, a, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """W ~ N(0, s^2), s = gain sqrt(2 / (n_in + n_out))

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import init
    >>> x = init.xavier_normal_(minigrad.empty(100, 100))  # std √(2 / 200) = 0.1
    >>> abs(x.std().item() - 0.1) < 0.01
    True
    """
    n_in, n_out = fans(tensor)
    return normal_(tensor, 0.0, gain * math.sqrt(2 / (n_in + n_out)), generator)


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    """s = gain / sqrt(n), n being n_in or n_out as `mode` says."""
    if mode not in ("fan_in", "fan_out"):
        raise ArgumentError(f"mode: expected 'fan_in' or 'fan_out', got {mode!r}.")
    n = fans(tensor)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(n)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """W ~ U(-b, b), b = gain sqrt(3 / n); `a` is the slope of a leaky ReLU, 0 for ReLU

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import init
    >>> x = init.kaiming_uniform_(minigrad.empty(200, 600))  # bounds ±√(6 / 600) = ±0.1
    >>> 0.099 < x.max().item() <= 0.1
    True
    """
    bound = math.sqrt(3) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """W ~ N(0, s^2), s = gain / sqrt(n); `a` is the slope of a leaky ReLU, 0 for ReLU

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.nn import init
    >>> x = init.kaiming_normal_(minigrad.empty(100, 200))  # std √(2 / 200) = 0.1
    >>> abs(x.std().item() - 0.1) < 0.01
    True
    """
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


def orthogonal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """W = gain Q, the rows of Q orthonormal where W is wide, the columns where it is tall.

    Q is uniformly distributed among all such matrices: it is that of the QR decomposition of a normal matrix, its
    columns multiplied by the signs of R's diagonal. A weight of more than two dimensions counts as (out, all others).

    Raises
    ------
    ShapeError
        Of a tensor of less than two dimensions.

    Examples
    --------
    >>> import minigrad
    >>> w = orthogonal_(minigrad.empty(2, 3))
    >>> bool(minigrad.allclose(w @ w.T, minigrad.eye(2), atol=1e-6))
    True

    References
    ----------
    F. Mezzadri, How to generate random matrices from the classical compact groups, arXiv:math-ph/0609050.
    """
    if tensor.ndim < 2:
        raise ShapeError(f"orthogonal_: expected at least two dimensions, got shape {tensor.shape}.")
    rows, columns = tensor.shape[0], math.prod(tensor.shape[1:])
    normal = (generator or default_generator).numpy.standard_normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(normal)
    q = q * np.where(np.diagonal(r) < 0, -1.0, 1.0)
    with no_grad():
        return tensor.copy_(gain * (q.T if rows < columns else q).reshape(tensor.shape))


def lsuv_(
    model: Any,
    batch: Any,
    std: float = 1.0,
    tolerance: float = 0.1,
    max_iterations: int = 10,
    generator: Generator | None = None,
) -> Any:
    """Layer-sequential unit variance: orthogonal weights, then each layer scaled until its outputs have variance std^2.

    Layer by layer in the order in which the batch runs through them, W ← W std / √Var(y), y being what the layer makes
    of the batch, until Var(y) is within `tolerance` of std^2; biases start at 0. It needs no formula for the
    activations between the layers, because it looks at what they do.

    Parameters
    ----------
    model : Module
        Its modules with a `weight` of at least two dimensions are the layers, but for embeddings and recurrent ones.
    batch : Tensor, or tuple of Tensors
        What `model(*batch)` is called with; a few dozen samples are enough.
    std : float
    tolerance : float
        Relative, of the variance.
    max_iterations : int
        For each layer; one is enough where outputs are linear in the weight.
    generator : Generator, optional

    Returns
    -------
    The model. Its buffers are left as they were.

    Raises
    ------
    ArgumentError
        The model has no such layer that the batch reaches, or an argument is out of range.
    NonFiniteError
        The outputs of a layer do not vary, or are not finite; it is named.

    References
    ----------
    D. Mishkin and J. Matas, All you need is a good init, arXiv:1511.06422, algorithm 1.

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> model = nn.Sequential(nn.Linear(20, 50), nn.ReLU(), nn.Linear(50, 5))
    >>> x = 30 * minigrad.randn(64, 20)
    >>> abs(lsuv_(model, x)(x).var().item() - 1) < 0.1
    True
    """
    if not std > 0 or not tolerance > 0 or max_iterations < 1:
        raise ArgumentError(
            "lsuv_: expected positive std and tolerance and at least one iteration, got "
            f"std={std}, tolerance={tolerance}, max_iterations={max_iterations}."
        )
    inputs = tuple(batch) if isinstance(batch, tuple | list) else (batch,)
    outputs: dict[str, np.ndarray] = {}

    def watch(name: str) -> Any:
        def hook(module: Any, inputs: tuple, output: Tensor) -> None:
            outputs[name] = output.data.astype(np.float64)

        return hook

    layers = {name: module for name, module in model.named_modules() if _has_scale(module)}
    buffers = [(buffer, buffer.data.copy()) for buffer in model.buffers()]
    handles = [module.register_forward_hook(watch(name)) for name, module in layers.items()]
    try:
        with no_grad():
            model(*inputs)
            order = list(outputs)
            if not order:
                raise ArgumentError(f"lsuv_: {type(model).__name__} has no layer with a weight that the batch reaches.")
            for name in order:
                orthogonal_(layers[name].weight, generator=generator)
                if getattr(layers[name], "bias", None) is not None:
                    zeros_(layers[name].bias)
            for name in order:
                for _ in range(max_iterations):
                    model(*inputs)
                    variance = float(outputs[name].var())
                    if not 0 < variance < math.inf:
                        raise NonFiniteError(
                            f"lsuv_: expected the outputs of layer {name!r} to vary, got variance {variance}. Give a "
                            "batch of different, finite samples."
                        )
                    if abs(variance / std**2 - 1) < tolerance:
                        break
                    layers[name].weight.copy_(layers[name].weight.data * (std / math.sqrt(variance)))
    finally:
        for handle in handles:
            handle.remove()
        for buffer, before in buffers:
            buffer.data[...] = before
    return model


def _has_scale(module: Any) -> bool:
    """Whether the outputs of a module grow in proportion to its weight."""
    weight = vars(module).get("weight")
    return isinstance(weight, Tensor) and weight.ndim >= 2 and "Embedding" not in type(module).__name__


def default_(weight: Tensor, bias: Tensor | None) -> None:
    """PyTorch's default for Linear and convolutions: weight and bias ~ U(-k, k), k = 1/sqrt(n_in)."""
    n_in, _ = fans(weight)
    k = 1 / math.sqrt(n_in)
    uniform_(weight, -k, k)
    if bias is not None:
        uniform_(bias, -k, k)
