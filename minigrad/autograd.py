"""Gradients by hand: `grad`, `backward` of several roots, grad modes, and operations of your own.

The names are those of `torch.autograd`. How a gradient is computed stands in `minigrad/backward.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minigrad import backward as backward_walk
from minigrad import functional
from minigrad.errors import GraphError, ShapeError
from minigrad.function import Function, FunctionCtx, once_differentiable
from minigrad.grad_mode import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from minigrad.gradcheck import gradcheck, gradgradcheck
from minigrad.graph import Variable
from minigrad.tensor import Tensor

__all__ = [
    "Function",
    "FunctionCtx",
    "backward",
    "enable_grad",
    "functional",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "inference_mode",
    "is_grad_enabled",
    "no_grad",
    "once_differentiable",
    "set_grad_enabled",
]


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    *,
    allow_unused: bool | None = None,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradients of sum_k <grad_outputs[k], outputs[k]> with respect to the inputs; no `.grad` is touched.

    Parameters
    ----------
    outputs : Tensor or sequence of Tensors
    inputs : Tensor or sequence of Tensors
        Leaves or computed tensors.
    grad_outputs : Tensor or sequence of Tensors, optional
        For each output its upstream gradient, of its shape. None stands for 1 and needs a scalar.
    retain_graph : bool, optional
        Keep the graph for another pass; the default is the value of `create_graph`.
    create_graph : bool
        Record the computation of the gradients, so that they can be differentiated.
    allow_unused : bool, optional
        Give None for an input that no output depends on. The default is an error, or zeros with `materialize_grads`.
    materialize_grads : bool
        Give zeros in place of None.

    Returns
    -------
    tuple of Tensors, one for each input

    Raises
    ------
    GraphError
        For an input that the outputs do not depend on, and as `minigrad.backward.run`.

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.autograd.grad.html

    Examples
    --------
    >>> import minigrad
    >>> x = minigrad.tensor(3.0, requires_grad=True)
    >>> (slope,) = minigrad.autograd.grad(x * x * x, x, create_graph=True)
    >>> slope.item()
    27.0
    >>> minigrad.autograd.grad(slope, x)
    (tensor(18.),)
    """
    if allow_unused is False and materialize_grads:
        raise GraphError("grad: materialize_grads=True gives zeros for unused inputs, so allow_unused cannot be False.")
    roots, wanted = _several(outputs), _several(inputs)
    found = backward_walk.run(
        roots,
        _matching("grad", grad_outputs, roots),
        wanted,
        create_graph if retain_graph is None else retain_graph,
        create_graph,
    )
    for i, (tensor, g) in enumerate(zip(wanted, found, strict=True)):
        if g is not None:
            continue
        if materialize_grads:
            found[i] = Tensor(tensor.data * 0)
        elif not allow_unused:
            raise GraphError(
                f"grad: input {i}, shape {tensor.shape}, was not used to compute the outputs. Give allow_unused=True "
                "to get None for it, or materialize_grads=True for zeros."
            )
    return tuple(found)


def backward(
    tensors: Tensor | Sequence[Tensor],
    grad_tensors: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensor | Sequence[Tensor] | None = None,
) -> None:
    """Add the gradients of sum_k <grad_tensors[k], tensors[k]> to `.grad` of every leaf, or of `inputs` alone.

    `Tensor.backward` is the same for one root.

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.autograd.backward.html

    Examples
    --------
    >>> import minigrad
    >>> x = minigrad.tensor(3.0, requires_grad=True)
    >>> minigrad.autograd.backward([x * x, x * 2])
    >>> x.grad
    tensor(8.)
    """
    roots = _several(tensors)
    gradients = _matching("backward", grad_tensors, roots)
    wanted = None if inputs is None else _several(inputs)
    backward_walk.run_into_grad(roots, gradients, wanted, retain_graph, create_graph)


def _several(tensors: Any) -> list[Any]:
    return [tensors] if isinstance(tensors, Variable) else list(tensors)


def _matching(name: str, gradients: Any, roots: list[Any]) -> list[Any]:
    """One upstream gradient, or None, for each root."""
    given = [None] * len(roots) if gradients is None else _several(gradients)
    if len(given) != len(roots):
        raise ShapeError(f"{name}: expected one upstream gradient for each of {len(roots)} roots, got {len(given)}.")
    return given
