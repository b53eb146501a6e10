"""Derivatives of functions: what `torch.func` and `torch.autograd.functional` have.

    grad, value_and_grad            take a function and give a function (as in torch.func)
    vjp, jvp, jacobian, hessian, hvp  take a function and the point, and give numbers (as in torch.autograd.functional)

Write J for the Jacobian of y = f(x), J_ij = dy_i / dx_j, and H for the Hessian of a scalar f:

    vjp  v^T J    one backward pass: `v` is the upstream gradient
    jvp  J v      two: v^T J is linear in v, so differentiating it by v gives J^T, applied to the direction
    hvp  H v      two: the gradient of <grad f, v>; H itself is never formed

Everything is built from `minigrad.backward.run`. `f` is called on fresh tensors with the values of the inputs, so no
`.grad` of the caller's is touched.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigrad import backward
from minigrad.errors import ArgumentError, DTypeError, GraphError, ShapeError
from minigrad.grad_mode import enable_grad, is_grad_enabled
from minigrad.ops.joining import stack
from minigrad.tensor import Tensor

__all__ = ["grad", "hessian", "hvp", "jacobian", "jvp", "value_and_grad", "vjp"]

Argnums = int | tuple[int, ...]


def grad(func: Callable, argnums: Argnums = 0, has_aux: bool = False) -> Callable:
    """The function that computes the gradient of `func`.

    Parameters
    ----------
    func : callable
        Returns a scalar Tensor (with `has_aux`, a tuple of it and anything else).
    argnums : int or tuple of ints
        The positional arguments to differentiate by. Each is a Tensor, or a list, tuple or dict of Tensors.
    has_aux : bool
        The function returned gives `(gradient, aux)`.

    Returns
    -------
    callable
        Takes the arguments of `func` and gives a gradient in the form of the argument; a tuple of them for a tuple
        `argnums`. Where an argument requires a gradient (as it does inside another `grad`), so does the result.

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.func.grad.html

    Examples
    --------
    >>> import minigrad
    >>> cube = lambda x: x * x * x
    >>> x = minigrad.tensor(2.0)
    >>> grad(cube)(x), grad(grad(cube))(x)
    (tensor(12.), tensor(12.))
    """
    with_value = value_and_grad(func, argnums, has_aux)

    def gradient(*args: Any, **kwargs: Any) -> Any:
        value, found = with_value(*args, **kwargs)
        return (found, value[1]) if has_aux else found

    return gradient


def value_and_grad(func: Callable, argnums: Argnums = 0, has_aux: bool = False) -> Callable:
    """The function that computes `func` and its gradient: `(value, gradient)`, or `((value, aux), gradient)`.

    Parameters are those of `grad`.

    Examples
    --------
    >>> import minigrad
    >>> def loss(weights, x):
    ...     return ((x * weights["w"] + weights["b"]) ** 2).sum()
    >>> weights = {"w": minigrad.tensor(3.0), "b": minigrad.tensor(1.0)}
    >>> value, slope = value_and_grad(loss)(weights, minigrad.tensor([1.0, 2.0]))
    >>> value.item(), slope["w"].item(), slope["b"].item()
    (65.0, 36.0, 22.0)
    """
    chosen = argnums if isinstance(argnums, tuple) else (argnums,)
    if not chosen or not all(isinstance(i, int) for i in chosen):
        raise ArgumentError(f"grad: expected argnums to be an integer or a tuple of integers, got {argnums!r}.")

    def both(*args: Any, **kwargs: Any) -> Any:
        if not all(-len(args) <= i < len(args) for i in chosen):
            raise ArgumentError(f"grad: argnums={argnums} does not fit {len(args)} positional arguments.")
        create_graph = is_grad_enabled() and any(leaf.requires_grad for leaf in _leaves(args))
        placed = list(args)
        for i in chosen:
            placed[i] = _mapped(lambda x: _fresh(x, create_graph), args[i])
        with enable_grad():
            result = func(*placed, **kwargs)
            value, aux = result if has_aux else (result, None)
            if not isinstance(value, Tensor) or value.numel() != 1:
                got = f"shape {value.shape}" if isinstance(value, Tensor) else type(value).__name__
                raise ShapeError(f"grad: expected the function to return a Tensor with one element, got {got}.")
            variables = [leaf for i in chosen for leaf in _leaves(placed[i])]
            gradients = _product([value], variables, [None], create_graph, False, "grad")
        found = dict(zip(map(id, variables), gradients, strict=True))
        slopes = [_mapped(lambda x: found[id(x)], placed[i]) for i in chosen]
        value = value if create_graph else value.detach()
        answer = tuple(slopes) if isinstance(argnums, tuple) else slopes[0]
        return ((value, aux) if has_aux else value), answer

    return both


def vjp(func: Callable, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple:
    """The product v^T J of a vector and the Jacobian of `func` at `inputs`.

    Parameters
    ----------
    func : callable
        Takes the inputs and returns a Tensor or a tuple of Tensors.
    inputs : Tensor or tuple of Tensors
    v : Tensor or tuple of Tensors, optional
        Of the shapes of the outputs. One output with one element needs none.
    create_graph : bool
        Let the results be differentiated.
    strict : bool
        An output that does not depend on an input is an error instead of a zero derivative.

    Returns
    -------
    (outputs, vjp) : the value of `func`, and v^T J in the form of `inputs`

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.autograd.functional.vjp.html

    Examples
    --------
    >>> import minigrad
    >>> x = minigrad.tensor([1.0, 2.0])
    >>> vjp(lambda x: x * x, x, minigrad.tensor([1.0, 10.0]))
    (tensor([1., 4.]), tensor([ 2., 40.]))
    """
    xs, ys, one_x, one_y = _called("vjp", func, inputs, create_graph)
    vs = _directions("vjp", v, ys, "outputs")
    with enable_grad():
        found = _product(ys, xs, vs, create_graph, strict, "vjp")
    return _result(ys, one_y, create_graph), _result(found, one_x, create_graph)


def jvp(func: Callable, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple:
    """The product J v of the Jacobian of `func` at `inputs` and a direction: how the outputs change along it.

    Parameters are those of `vjp`; `v` has the shapes of the inputs.

    Returns
    -------
    (outputs, jvp) : the value of `func`, and J v in the form of the outputs

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.autograd.functional.jvp.html

    Examples
    --------
    >>> import minigrad
    >>> x = minigrad.tensor([1.0, 2.0])
    >>> jvp(lambda x: x.sum() * x, x, minigrad.tensor([1.0, 0.0]))
    (tensor([3., 6.]), tensor([4., 2.]))
    """
    xs, ys, _, one_y = _called("jvp", func, inputs, create_graph)
    vs = _directions("jvp", v, xs, "inputs")
    with enable_grad():
        us = [Tensor(np.zeros(y.shape, y.dtype), requires_grad=True) for y in ys]
        pulled = _product(ys, xs, us, True, strict, "jvp")  # u^T J, linear in u
        found = _product(pulled, us, vs, create_graph, False, "jvp")
    return _result(ys, one_y, create_graph), _result(found, one_y, create_graph)


def jacobian(func: Callable, inputs: Any, create_graph: bool = False, strict: bool = False) -> Any:
    """All derivatives of the outputs of `func` by its inputs, one backward pass for each output element.

    Parameters are those of `vjp`.

    Returns
    -------
    Tensor or nested tuples of Tensors
        For one output and one input a Tensor of shape `output.shape + input.shape`. A tuple of inputs gives a tuple
        of those, a tuple of outputs a tuple of what each output gives.

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.autograd.functional.jacobian.html

    Examples
    --------
    >>> import minigrad
    >>> jacobian(lambda x: x.sum() * x, minigrad.tensor([1.0, 2.0]))
    tensor([[4., 1.],
            [2., 5.]])
    """
    xs, ys, one_x, one_y = _called("jacobian", func, inputs, create_graph)
    rows = []
    with enable_grad():
        for y in ys:
            basis = np.eye(y.numel(), dtype=y.dtype).reshape(y.numel(), *y.shape)
            pulled = [_product([y], xs, [Tensor(e)], create_graph, strict, "jacobian", again=True) for e in basis]
            row = [
                stack([found[i] for found in pulled]).reshape((*y.shape, *x.shape))
                if pulled
                else Tensor(np.zeros((*y.shape, *x.shape), x.dtype))
                for i, x in enumerate(xs)
            ]
            rows.append(_result(row, one_x, create_graph))
    return rows[0] if one_y else tuple(rows)


def hessian(func: Callable, inputs: Any, create_graph: bool = False, strict: bool = False) -> Any:
    """All second derivatives of a scalar `func` by its inputs: the Jacobian of the gradient.

    Parameters are those of `vjp`; `func` returns one Tensor with one element.

    Returns
    -------
    Tensor or tuple of tuples of Tensors
        For one input a Tensor of shape `input.shape + input.shape`; for several, block (i, j) is of shape
        `inputs[i].shape + inputs[j].shape`.

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.autograd.functional.hessian.html

    Examples
    --------
    >>> import minigrad
    >>> hessian(lambda x: x[0] * x[1] * x[1], minigrad.tensor([1.0, 2.0]))
    tensor([[0., 4.],
            [4., 2.]])
    """

    def gradient(*xs: Any) -> Any:
        ys = _outputs("hessian", func, xs)[0]
        _check_scalar("hessian", ys)
        found = _product(ys, list(xs), [None], True, strict, "hessian")
        return found[0] if isinstance(inputs, Tensor) else tuple(found)

    return jacobian(gradient, inputs, create_graph, strict)


def hvp(func: Callable, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple:
    """The product H v of the Hessian of a scalar `func` at `inputs` and a direction, without forming H.

    Parameters are those of `vjp`; `v` has the shapes of the inputs.

    Returns
    -------
    (output, hvp) : the value of `func`, and H v in the form of the inputs

    References
    ----------
    Pearlmutter, B. (1994). Fast exact multiplication by the Hessian. Neural Computation 6(1).
    https://docs.pytorch.org/docs/stable/generated/torch.autograd.functional.hvp.html

    Examples
    --------
    >>> import minigrad
    >>> hvp(lambda x: (x * x * x).sum(), minigrad.tensor([1.0, 2.0]), minigrad.tensor([1.0, 1.0]))
    (tensor(9.), tensor([ 6., 12.]))
    """
    xs, ys, one_x, _ = _called("hvp", func, inputs, create_graph)
    vs = _directions("hvp", v, xs, "inputs")
    _check_scalar("hvp", ys)
    with enable_grad():
        gradient = _product(ys, xs, [None], True, strict, "hvp")
        found = _product(gradient, xs, vs, create_graph, strict, "hvp")
    return _result(ys, True, create_graph), _result(found, one_x, create_graph)


# ---- the point, the outputs, the products ------------------------------------------------------------------------


def _fresh(x: Any, create_graph: bool) -> Tensor:
    """A tensor with the values of `x` to differentiate by; it leads back to `x` where that is to go on."""
    if not isinstance(x, Tensor):
        raise DTypeError(f"expected a Tensor to differentiate by, got {type(x).__name__} {x!r:.60}.")
    if create_graph and x.requires_grad:
        with enable_grad():
            return x.reshape(x.shape)
    return x.detach().requires_grad_()


def _called(name: str, func: Callable, inputs: Any, create_graph: bool) -> tuple[list[Any], list[Any], bool, bool]:
    """The fresh inputs, the outputs, and whether each of the two is one Tensor instead of a tuple."""
    one = isinstance(inputs, Tensor)
    given = (inputs,) if one else inputs
    if not isinstance(given, tuple | list) or not given:
        raise DTypeError(f"{name}: expected inputs to be a Tensor or a tuple of Tensors, got {type(inputs).__name__}.")
    xs = [_fresh(x, create_graph) for x in given]
    with enable_grad():
        ys, one_y = _outputs(name, func, xs)
    return xs, ys, one, one_y


def _outputs(name: str, func: Callable, xs: Sequence[Any]) -> tuple[list[Any], bool]:
    result = func(*xs)
    ys = list(result) if isinstance(result, tuple | list) else [result]
    for y in ys:
        if not isinstance(y, Tensor):
            raise DTypeError(f"{name}: expected the function to return Tensors, got {type(y).__name__}.")
    return ys, isinstance(result, Tensor)


def _directions(name: str, v: Any, like: list[Any], what: str) -> list[Any]:
    """`v` as one Tensor for each of `like`, checked; 1 for a single element."""
    if v is None:
        if len(like) != 1 or like[0].numel() != 1:
            raise ArgumentError(f"{name}: v can be left out only where the {what} are one tensor with one element.")
        return [Tensor(np.ones(like[0].shape, like[0].dtype))]
    vs = [v] if isinstance(v, Tensor) else list(v)
    if [getattr(direction, "shape", None) for direction in vs] != [x.shape for x in like]:
        raise ShapeError(
            f"{name}: expected v to have the shapes of the {what}, {[x.shape for x in like]}, "
            f"got {[getattr(direction, 'shape', type(direction).__name__) for direction in vs]}."
        )
    return vs


def _check_scalar(name: str, ys: list[Any]) -> None:
    if len(ys) != 1 or ys[0].numel() != 1:
        raise ShapeError(
            f"{name}: expected the function to return one Tensor with one element, got shapes {[y.shape for y in ys]}."
        )


def _product(
    ys: list[Any], xs: list[Any], vs: list[Any], create_graph: bool, strict: bool, name: str, again: bool = False
) -> list[Any]:
    """sum_k vs[k]^T dys[k]/dx for each x: zeros where nothing depends on it, or an error if strict.

    `again` keeps the graph for another product.
    """
    tracked = [(y, v) for y, v in zip(ys, vs, strict=True) if y.requires_grad]
    if strict and len(tracked) < len(ys):
        raise GraphError(f"{name}: an output does not depend on the inputs, and strict=True asks for an error.")
    found = backward.run([y for y, _ in tracked], [v for _, v in tracked], xs, again, create_graph)
    for i, g in enumerate(found):
        if strict and g is None:
            raise GraphError(f"{name}: the outputs do not depend on input {i}, and strict=True asks for an error.")
    return [Tensor(np.zeros(x.shape, x.dtype)) if g is None else g for x, g in zip(xs, found, strict=True)]


def _result(tensors: Sequence[Any], one: bool, create_graph: bool) -> Any:
    """Tensors in the form the caller's have, out of the graph unless it is to go on."""
    handed = tuple(tensor if create_graph else tensor.detach() for tensor in tensors)
    return handed[0] if one else handed


# ---- lists, tuples and dicts of Tensors --------------------------------------------------------------------------


def _leaves(tree: Any) -> list[Any]:
    """The Tensors of a nested list, tuple or dict."""
    if isinstance(tree, dict):
        tree = list(tree.values())
    if isinstance(tree, list | tuple):
        return [leaf for part in tree for leaf in _leaves(part)]
    return [tree] if isinstance(tree, Tensor) else []


def _mapped(function: Callable[[Any], Any], tree: Any) -> Any:
    """The same nesting with each element replaced."""
    if isinstance(tree, dict):
        return {key: _mapped(function, part) for key, part in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(_mapped(function, part) for part in tree)
    return function(tree)
