"""Operations of your own in PyTorch's form: a class with a forward and a backward that share a context.

    class Exp(Function):
        @staticmethod
        def forward(ctx, x):
            z = x.exp()
            ctx.save_for_backward(z)
            return z

        @staticmethod
        def backward(ctx, g):
            (z,) = ctx.saved_tensors
            return g * z

    Exp.apply(x)

`@op` in `minigrad/graph.py` says the same in two functions on arrays, and is faster. A Function works on Tensors, keeps
what it likes in its context and may have several outputs:

    a ──┐                  ┌── Node(output 0) ── u      u, v = Pair.apply(a, b)
        ├── Node(Pair) ────┤
    b ──┘                  └── Node(output 1) ── v

A node of the engine has one gradient, so the gradients of u and v travel to `Pair` end to end in one vector.

References
----------
https://docs.pytorch.org/docs/stable/autograd.html#torch.autograd.Function
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, ClassVar, NoReturn

import numpy as np

from minigrad import graph
from minigrad.errors import DTypeError, GraphError
from minigrad.grad_mode import is_recording, no_grad
from minigrad.graph import Node, Op, Variable, make_node, wrap
from minigrad.ops.cast import cast
from minigrad.ops.index import getitem, setitem_zeros
from minigrad.ops.shape import reshape
from minigrad.versions import changed_since

__all__ = ["Function", "FunctionCtx", "once_differentiable"]


class FunctionCtx:
    """What forward leaves for backward. Any attribute may be set; tensors belong in `save_for_backward`.

    Attributes
    ----------
    needs_input_grad : for each argument of `apply`, whether a gradient for it is of use
    saved_tensors : in backward, what `save_for_backward` was given, as Tensors that lead back to where they came from
    """

    def __init__(self, needs_input_grad: tuple[bool, ...]) -> None:
        self.needs_input_grad = needs_input_grad
        self.saved_tensors: tuple = ()
        self._to_save: tuple = ()
        self._without_gradient: tuple = ()
        self._materialize = True
        self._arrived: set[int] = set()  # the outputs that a gradient has reached in this backward pass

    def save_for_backward(self, *tensors: Any) -> None:
        """Keep inputs, outputs or other tensors for backward, which finds them in `saved_tensors`.

        Unlike attributes they are checked for changes in place, freed with the graph, and an output among them does
        not keep itself alive.
        """
        for tensor in tensors:
            if tensor is not None and not isinstance(tensor, Variable):
                raise DTypeError(
                    f"save_for_backward: expected Tensors or None, got {type(tensor).__name__}. "
                    "Keep other things as attributes of ctx."
                )
        self._to_save = tensors

    def mark_non_differentiable(self, *outputs: Any) -> None:
        """Say that these outputs have no gradient, such as indices."""
        self._without_gradient = outputs

    def set_materialize_grads(self, value: bool) -> None:
        """With False, backward gets None instead of zeros for an output that no gradient has reached."""
        self._materialize = bool(value)

    def mark_dirty(self, *_: Any) -> NoReturn:
        """Not offered: a Function cannot change its inputs in place."""
        raise GraphError("mark_dirty: a Function cannot change its inputs in place. Return a new tensor.")


class _Application(Node):
    """The node of one call of a Function: the context, what it saved, and where each output's gradient stands."""

    __slots__ = ("context", "outputs", "saved")

    context: FunctionCtx
    outputs: list[_Output]
    # Each array with the edge to what made it. For output k of the call itself it is k: an edge would be a cycle.
    saved: list[tuple[np.ndarray, Node | Variable | int | None] | None]

    def free(self) -> None:
        super().free()
        self.saved = []

    def check_unchanged(self) -> None:
        for i, saved in enumerate(self.saved):
            if saved is not None and changed_since(saved[0], self.birth):
                raise GraphError(
                    f"backward: saved tensor {i} of {self.name}, shape {saved[0].shape}, was changed in place after "
                    f"the forward pass{self.where()}. Change it after backward(), or work on a clone()."
                )

    def restored(self) -> tuple:
        """The saved arrays as Tensors."""
        tensors: list[Any] = []
        for saved in self.saved:
            if saved is None:
                tensors.append(None)
                continue
            array, edge = saved
            if isinstance(edge, int):
                edge = self.edge_to(edge)
            # A leaf that still has this array is handed back itself.
            tensors.append(edge if isinstance(edge, Variable) and edge._data is array else wrap(array, edge))
        return tuple(tensors)

    def edge_to(self, k: int) -> Node | None:
        """What output k leads to: this node where it is the only one, else a node that places its gradient."""
        output = self.outputs[k]
        if not output.differentiable:
            return None
        if len(self.outputs) == 1:
            return self
        return make_node(_place, (self,), (), None, {"k": k}, np.broadcast_to(np.zeros((), output.dtype), output.shape))


class _Output:
    """One value that forward returned, and the part of the joint gradient that is its own."""

    __slots__ = ("differentiable", "dtype", "shape", "span")

    def __init__(self, value: Any, start: int, differentiable: bool) -> None:
        self.differentiable = differentiable
        self.shape = value.shape if isinstance(value, Variable) else ()
        self.dtype = value.dtype if isinstance(value, Variable) else None
        self.span = slice(start, start + (math.prod(self.shape) if differentiable else 0))


class _FunctionOp(Op):
    """A Function as the engine's op: what its nodes point at, and what gradcheck can call alone."""

    def __init__(self, function: type[Function]) -> None:
        super().__init__(function.forward, None, True, False)
        self.name, self.__doc__ = function.__name__, function.__doc__
        self.function = function
        self.rule = functools.partial(_rule, function)

    def __call__(self, *inputs: Any, **_: Any) -> Any:
        return self.function.apply(*inputs)


class Function:
    """Base class of operations in PyTorch's form: override `forward` and `backward`, call `apply`.

    `forward(ctx, *args)` computes on Tensors, unrecorded. `backward(ctx, *grads)` gets a gradient for each output and
    returns one for each argument of `apply`, None where there is none. Written in operations on Tensors, it can be
    differentiated again. Instead of taking `ctx`, forward may leave it to `setup_context(ctx, inputs, output)`.

    Examples
    --------
    >>> import minigrad
    >>> class Cube(Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x * x * x
    ...     @staticmethod
    ...     def backward(ctx, g):
    ...         (x,) = ctx.saved_tensors
    ...         return 3 * x * x * g
    >>> x = minigrad.tensor(2.0, requires_grad=True)
    >>> Cube.apply(x).backward()
    >>> x.grad
    tensor(12.)
    """

    _op: ClassVar[Op]

    def __init__(self) -> None:
        name = type(self).__name__
        raise GraphError(f"{name}: a Function is not made but applied. Call {name}.apply(...).")

    def __init_subclass__(cls) -> None:
        cls._op = _FunctionOp(cls)

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """The result, from `(ctx, *args)` or, where `setup_context` is overridden, from the arguments alone."""
        raise NotImplementedError("Function: override forward(ctx, *args).")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Any) -> None:
        """Fill `ctx` after a forward that does not take it."""
        raise NotImplementedError("Function: override setup_context(ctx, inputs, output).")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """The gradient of each argument of `apply`, from those of the outputs."""
        raise NotImplementedError("Function: override backward(ctx, *grad_outputs).")

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Call `forward` on the arguments and record the call. Tensors inside of lists are not seen."""
        edges = tuple(_edge_of(x) if isinstance(x, Variable) else None for x in args)
        ctx = FunctionCtx(tuple(edge is not None for edge in edges))
        with no_grad():
            if cls.setup_context is Function.setup_context:
                result = cls.forward(ctx, *args)
            else:
                result = cls.forward(*args)
                cls.setup_context(ctx, args, result)
        several = isinstance(result, tuple)
        values: tuple = result if several else (result,)
        if not any(isinstance(value, Variable) for value in values):
            raise DTypeError(
                f"{cls.__name__}: expected forward to return a Tensor or a tuple of Tensors, got {result!r:.60}."
            )
        if is_recording() and any(ctx.needs_input_grad):
            tensors: list[Any] = _recorded(cls._op, ctx, edges, values)
        else:
            tensors = [wrap(value._data) if isinstance(value, Variable) else value for value in values]
        if graph.observer is not None:
            for tensor in tensors:
                if isinstance(tensor, Variable):
                    graph.observer(cls._op, args, {}, tensor._data, tensor.node)
        return tuple(tensors) if several else tensors[0]


def once_differentiable(backward: Callable) -> Callable:
    """Decorator of a `backward` that computes outside of the graph: its gradients cannot be differentiated.

    Asking for the second derivative is an error, instead of a result in which this function's part is missing.
    """

    @functools.wraps(backward)
    def unrecorded(*args: Any) -> Any:
        with no_grad():
            return backward(*args)

    unrecorded.once = True  # type: ignore[attr-defined]
    return unrecorded


def _edge_of(tensor: Variable) -> Node | Variable | None:
    """Where a gradient of the tensor goes: to what made it, to itself as a leaf, or nowhere."""
    if not tensor._requires_grad:
        return None
    return tensor if tensor.node is None else tensor.node


def _recorded(op: Op, ctx: FunctionCtx, edges: tuple, values: tuple) -> list[Any]:
    """The values that forward returned, with nodes that lead to the call."""
    outputs: list[_Output] = []
    start = 0
    for value in values:
        differentiable = (
            isinstance(value, Variable)
            and value.dtype.kind == "f"
            and not any(value is marked for marked in ctx._without_gradient)
        )
        outputs.append(_Output(value, start, differentiable))
        start = outputs[-1].span.stop
    if len(values) == 1:
        joint = values[0]._data
    else:
        dtypes = [output.dtype for output in outputs if output.differentiable]
        joint = np.broadcast_to(np.zeros((), np.result_type(np.float16, *dtypes)), (start,))
    node = make_node(op, edges, (), None, {}, joint, _Application)
    node.context, node.outputs, node.saved = ctx, outputs, []
    for tensor in ctx._to_save:
        number = next((k for k, value in enumerate(values) if value is tensor), None)
        if tensor is None:
            node.saved.append(None)
        elif number is not None:
            node.saved.append((tensor._data, number))
        else:
            node.saved.append((tensor._data, _edge_of(tensor)))
    ctx._to_save = ctx._without_gradient = ()
    return [
        wrap(value._data, node.edge_to(k)) if isinstance(value, Variable) else value for k, value in enumerate(values)
    ]


def _rule(function: type[Function], g: Any, node: _Application, *edges: Any) -> tuple:
    """The Function's own backward, between the engine's gradients and its Tensors."""
    name, ctx, recorded = node.name, node.context, isinstance(g, Variable)
    ctx.saved_tensors = node.restored()
    try:
        answer = function.backward(ctx, *_apart(node, g))
    finally:
        ctx.saved_tensors = ()
        ctx._arrived.clear()
    gradients = list(answer) if isinstance(answer, tuple) else [answer]
    while len(gradients) > len(edges) and gradients[-1] is None:
        gradients.pop()
    if len(gradients) != len(edges):
        raise GraphError(
            f"{name}: expected backward to return {len(edges)} gradients, one for each argument of apply (None where "
            f"there is none), got {len(gradients)}."
        )
    for i, (gx, edge) in enumerate(zip(gradients, edges, strict=True)):
        if gx is not None and not isinstance(gx, Variable):
            raise DTypeError(f"{name}: expected gradient {i} to be a Tensor or None, got {type(gx).__name__}.")
        if gx is None or edge is None:
            gradients[i] = None
        elif not recorded:
            gradients[i] = gx._data
        elif getattr(function.backward, "once", False):
            sources = (*node.edges, _edge_of(g))
            gradients[i] = wrap(gx._data, make_node(_refuse, sources, (), None, {"name": name}, gx._data))
    return tuple(gradients)


def _apart(node: _Application, g: Any) -> list[Any]:
    """The gradient of each output, out of the joint one."""
    if not isinstance(g, Variable):
        g = wrap(np.asarray(g))
    if len(node.outputs) == 1:
        return [g]
    gradients: list[Any] = []
    for k, output in enumerate(node.outputs):
        if output.dtype is None or not (node.context._materialize or k in node.context._arrived):
            gradients.append(None)
        elif output.differentiable:
            part = reshape(getitem(g, index=output.span), shape=output.shape)
            gradients.append(part if part.dtype == output.dtype else cast(part, dtype=output.dtype))
        else:
            gradients.append(wrap(np.zeros(output.shape, output.dtype)))
    return gradients


def output(application: Any, k: int) -> NoReturn:
    """z = output k of a Function"""
    raise NotImplementedError("Function.apply makes the outputs; only their gradient rule is an op's.")


_place = Op(output, None, True, False)


@_place.vjp
def _place_rule(g: Any, _z: Any, _application: Any, k: int) -> tuple:
    # The others' parts stay zero; the engine adds up what comes from all of them.
    _application.context._arrived.add(k)
    span, shape = _application.outputs[k].span, _application.shape
    return (setitem_zeros(reshape(g, shape=(-1,)), index=span, shape=shape),)


def once(*_: Any) -> NoReturn:
    """z = a gradient that was computed outside of the graph"""
    raise NotImplementedError("It is computed in a backward marked once_differentiable; here is only its rule.")


_refuse = Op(once, None, True, False)


@_refuse.vjp
def _refuse_rule(_g: Any, _z: Any, *_inputs: Any, name: str) -> NoReturn:
    raise GraphError(
        f"{name}: its backward is marked once_differentiable, but a second derivative was asked for. Write backward in "
        "operations on Tensors and leave the mark out."
    )
