"""Gradient clipping: against steps that a few huge gradients would make useless.

All functions change `.grad` in place and take what `model.parameters()` gives, a Tensor, or a list of them; tensors
without a gradient are passed over. Norms are summed in float64, so a float32 gradient of 1e30 is clipped, not lost.
`nn.utils` has the same functions.

| function | what it bounds |
| --- | --- |
| `clip_grad_norm_` | the norm of all gradients together |
| `clip_grad_norm_each_` | the norm of each gradient |
| `clip_grad_value_` | each element |
| `adaptive_clip_grad_` | the norm of each unit's gradient, relative to the norm of the unit's weights |
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from minigrad.errors import ArgumentError, DTypeError, NonFiniteError
from minigrad.graph import wrap
from minigrad.kernels import optimizers as kernels
from minigrad.optim import schedule_checks as check
from minigrad.tensor import Tensor
from minigrad.versions import mark_changed

__all__ = [
    "adaptive_clip_grad_",
    "clip_grad_norm_",
    "clip_grad_norm_each_",
    "clip_grad_value_",
    "clip_grads_with_norm_",
    "get_total_norm",
]

Tensors = Tensor | Iterable[Tensor]


def clip_grad_norm_(
    parameters: Tensors,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    *,
    eps: float = 0.0,
) -> Tensor:
    """Scale all gradients by one factor, so that their norm as one vector is at most `max_norm`.

        g ← g · min(1, max_norm / (‖g‖_p + eps))

    Parameters
    ----------
    parameters : Tensor or iterable of Tensors
    max_norm : float
        Zero or more; infinity to measure the norm and clip nothing.
    norm_type : float
        p: 2, 1, any number above zero, or `math.inf` for the largest element.
    error_if_nonfinite : bool
        Raise if the norm is NaN or infinite. Otherwise the gradients become NaN or 0, as in PyTorch.
    eps : float
        0 clips to `max_norm` exactly; PyTorch has 1e-6.

    Returns
    -------
    Tensor
        The norm before clipping, a float64 scalar.

    Raises
    ------
    NonFiniteError
        See `error_if_nonfinite`; nothing is changed then.

    References
    ----------
    Pascanu, Mikolov and Bengio, On the difficulty of training recurrent neural networks, arXiv:1211.5063.
    https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.clip_grad_norm_.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.optim import clip_grad_norm_
    >>> w = minigrad.zeros(2, requires_grad=True)
    >>> (w * minigrad.tensor([3.0, 4.0])).sum().backward()
    >>> clip_grad_norm_(w, 1.0).item()
    5.0
    >>> w.grad
    tensor([0.6, 0.8])
    """
    max_norm = _limit("clip_grad_norm_", max_norm)
    eps = check.nonnegative("clip_grad_norm_", "eps", eps)
    grads = _gradients("clip_grad_norm_", parameters)
    total = _total_norm("clip_grad_norm_", grads, norm_type, error_if_nonfinite)
    _scale_down(grads, max_norm, total, eps)
    return wrap(np.array(total))


def clip_grad_norm_each_(parameters: Tensors, max_norm: float, norm_type: float = 2.0) -> None:
    """Scale each gradient by its own factor, so that its norm is at most `max_norm`.

        g_k ← g_k · min(1, max_norm / ‖g_k‖_p)            for each tensor k

    It is what `clipnorm` does in Keras.

    Parameters
    ----------
    parameters : Tensor or iterable of Tensors
    max_norm : float
        Zero or more.
    norm_type : float
        p, as in `clip_grad_norm_`.

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.optim import clip_grad_norm_each_
    >>> a, b = minigrad.zeros(2, requires_grad=True), minigrad.zeros(1, requires_grad=True)
    >>> (a * minigrad.tensor([3.0, 4.0])).sum().backward()
    >>> (0.5 * b).sum().backward()
    >>> clip_grad_norm_each_([a, b], 1.0)
    >>> a.grad, b.grad
    (tensor([0.6, 0.8]), tensor([0.5]))
    """
    max_norm = _limit("clip_grad_norm_each_", max_norm)
    for grad in _gradients("clip_grad_norm_each_", parameters):
        _scale_down([grad], max_norm, _total_norm("clip_grad_norm_each_", [grad], norm_type, False), 0.0)


def clip_grad_value_(parameters: Tensors, clip_value: float) -> None:
    """Clip every element of the gradients to [-clip_value, clip_value].

    Parameters
    ----------
    parameters : Tensor or iterable of Tensors
    clip_value : float
        Zero or more.

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.clip_grad_value_.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.optim import clip_grad_value_
    >>> w = minigrad.zeros(3, requires_grad=True)
    >>> (w * minigrad.tensor([-7.0, 0.5, 2.0])).sum().backward()
    >>> clip_grad_value_(w, 1.0)
    >>> w.grad
    tensor([-1. ,  0.5,  1. ])
    """
    clip_value = check.nonnegative("clip_grad_value_", "clip_value", clip_value)
    for grad in _gradients("clip_grad_value_", parameters):
        np.clip(grad, -clip_value, clip_value, out=grad)
        mark_changed(grad)


def adaptive_clip_grad_(parameters: Tensors, clip_factor: float = 0.01, eps: float = 1e-3) -> None:
    """Adaptive gradient clipping: bound each unit's gradient relative to its weights.

        G_i ← G_i · min(1, λ max(‖W_i‖, ε) / ‖G_i‖)

    W_i are the weights of unit i: a row of a matrix (out, in), a filter of a convolution (out, in, kh, kw). A bias or a
    scale, having one dimension, is taken as one unit.

    Parameters
    ----------
    parameters : Tensor or iterable of Tensors
        The paper leaves out the last layer.
    clip_factor : float
        λ.
    eps : float
        ε, so that weights which start at zero can leave it.

    References
    ----------
    Brock, De, Smith and Simonyan, High-performance large-scale image recognition without normalization,
    arXiv:2102.06171.

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.optim import adaptive_clip_grad_
    >>> w = minigrad.tensor([[3.0, 4.0], [0.6, 0.8]], requires_grad=True)
    >>> (w * minigrad.tensor([[0.3, 0.4], [3.0, 4.0]])).sum().backward()
    >>> adaptive_clip_grad_(w, clip_factor=0.5)  # rows: 0.5 <= 0.5 · 5 stays; 5 > 0.5 · 1 is scaled to it
    >>> w.grad
    tensor([[0.3, 0.4],
            [0.3, 0.4]])
    """
    clip_factor = check.nonnegative("adaptive_clip_grad_", "clip_factor", clip_factor)
    eps = check.nonnegative("adaptive_clip_grad_", "eps", eps)
    for p in _tensors("adaptive_clip_grad_", parameters):
        if p.grad is None:
            continue
        grad = p.grad._data
        norm = _unit_norms(grad)
        bound = clip_factor * np.maximum(_unit_norms(p._data), eps)
        factor = np.divide(bound, norm, out=np.ones_like(norm), where=norm > bound)
        grad *= factor.astype(grad.dtype)
        mark_changed(grad)


def get_total_norm(tensors: Tensors, norm_type: float = 2.0, error_if_nonfinite: bool = False) -> Tensor:
    """Return the norm of all the tensors as one vector, a float64 scalar.

    Parameters
    ----------
    tensors : Tensor or iterable of Tensors
        The tensors themselves, not their gradients.
    norm_type, error_if_nonfinite
        As in `clip_grad_norm_`.

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.get_total_norm.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.optim import get_total_norm
    >>> get_total_norm([minigrad.tensor([3.0]), minigrad.tensor([0.0, 4.0])]).item()
    5.0
    """
    arrays = [tensor._data for tensor in _tensors("get_total_norm", tensors)]
    return wrap(np.array(_total_norm("get_total_norm", arrays, norm_type, error_if_nonfinite)))


def clip_grads_with_norm_(
    parameters: Tensors, max_norm: float, total_norm: Tensor | float, *, eps: float = 0.0
) -> None:
    """Scale all gradients as `clip_grad_norm_` does, for a norm that is known already.

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.clip_grads_with_norm_.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.optim import clip_grads_with_norm_, get_total_norm
    >>> w = minigrad.zeros(2, requires_grad=True)
    >>> (w * minigrad.tensor([3.0, 4.0])).sum().backward()
    >>> clip_grads_with_norm_(w, 1.0, get_total_norm(w.grad))
    >>> w.grad
    tensor([0.6, 0.8])
    """
    max_norm = _limit("clip_grads_with_norm_", max_norm)
    eps = check.nonnegative("clip_grads_with_norm_", "eps", eps)
    _scale_down(_gradients("clip_grads_with_norm_", parameters), max_norm, float(total_norm), eps)


def _tensors(owner: str, given: Tensors) -> list[Tensor]:
    tensors = [given] if isinstance(given, Tensor) else list(given)
    for i, tensor in enumerate(tensors):
        if not isinstance(tensor, Tensor):
            raise DTypeError(f"{owner}: expected Tensors, got {type(tensor).__name__} at position {i}.")
    return tensors


def _gradients(owner: str, parameters: Tensors) -> list[np.ndarray]:
    return [p.grad._data for p in _tensors(owner, parameters) if p.grad is not None]


def _limit(owner: str, max_norm: float) -> float:
    """`max_norm`, zero or more; infinity, which clips nothing, is how one asks for the norm alone."""
    if max_norm == math.inf:
        return math.inf
    return check.nonnegative(owner, "max_norm", max_norm, "zero or more")


def _scale_down(grads: list[np.ndarray], max_norm: float, total: float, eps: float) -> None:
    """Multiply by max_norm / (total + eps) where that is below 1, or NaN."""
    if total + eps <= max_norm:
        return
    factor = max_norm / (total + eps)
    for grad in grads:
        # A factor below the normal numbers of the dtype would lose its digits.
        dtype = grad.dtype if factor >= np.finfo(grad.dtype).tiny else np.float64
        with np.errstate(invalid="ignore"):  # infinity times 0: the caller did not ask for an error
            np.multiply(grad, factor, out=grad, dtype=dtype, casting="unsafe")
        mark_changed(grad)


def _total_norm(owner: str, arrays: list[np.ndarray], norm_type: float, error_if_nonfinite: bool) -> float:
    p = float(norm_type)
    if not p > 0:
        raise ArgumentError(f"{owner}: expected norm_type to be a number above zero or math.inf, got {norm_type!r}.")
    if p == math.inf:
        total = float(np.max([_largest(x) for x in arrays], initial=0.0))
    else:
        with np.errstate(over="ignore"):
            total = float(np.sum([_power_sum(x, p) for x in arrays])) ** (1 / p)
        if not 0 < total < math.inf and (largest := _total_norm(owner, arrays, math.inf, False)) not in (0.0, total):
            # Over- or underflow of float64: measure in units of the largest element.
            with np.errstate(all="ignore"):
                total = largest * float(np.sum([_power_sum(x / largest, p) for x in arrays])) ** (1 / p)
    if error_if_nonfinite and not math.isfinite(total):
        raise NonFiniteError(
            f"{owner}: the norm of order {p} of the gradients is {total}. Lower the learning rate, or look for "
            "the layer whose gradient is not finite; error_if_nonfinite=False clips anyway."
        )
    return total


def _largest(x: np.ndarray) -> float:
    """max |x_i|, or NaN if one is"""
    return float(max(np.max(x, initial=0.0), -np.min(x, initial=0.0))) if not np.isnan(x).any() else math.nan


def sum_of_squares(x: np.ndarray) -> float:
    """sum x_i², in float64"""
    return _power_sum(x, 2.0)


def _power_sum(x: np.ndarray, p: float) -> float:
    """sum |x_i|^p in float64, added up chunk by chunk: the same bits for any number of threads"""
    flat = np.ascontiguousarray(x, np.float64 if x.dtype.itemsize == 8 else np.float32).reshape(-1)
    sums = np.empty(-(-flat.size // kernels.CHUNK))
    kernel = kernels.square_sums if p == 2.0 else kernels.power_sums
    exponent = () if p == 2.0 else (p,)
    (kernel if sums.size > 8 else kernel.serial)(flat, sums, *exponent)
    return float(sums.sum())


def _unit_norms(x: np.ndarray) -> np.ndarray:
    """The norm over all dimensions but the first, kept as 1; over all where there is but one."""
    axes = tuple(range(1, x.ndim)) if x.ndim > 1 else None
    return np.sqrt(np.sum(np.square(x, dtype=np.float64), axis=axes, keepdims=True))
