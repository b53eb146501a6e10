"""The graph: what an operation is, and what it remembers for the backward pass.

An operation is two plain functions on arrays that stand next to each other, the forward and its gradient rule:

    @op
    def mul(x, y, /):
        '''z = x * y'''
        return x * y

    @mul.vjp
    def mul(g, _z, x, y):
        return g * y, g * x

Calling `mul(a, b)` on Tensors computes the forward on their arrays. When one of them requires a gradient, the
result also gets a `Node`: the op, the arrays the rule will read, and an edge to each input's own node.

    a ──┐
        ├── Node(mul) ── c      c = a * b;  c.node.edges == [a, b]: `a` and `b` are leaves, made by no op
    b ──┘

The rule takes g = dL/dz, the output z and the inputs, and gives dL/dx for each input: a *vector-Jacobian product*.
In an ordinary backward pass they are all arrays. Under `create_graph=True` they are Tensors; the rule is written in
operators and ops, which work on both, so its own computation is recorded and can be differentiated again.

Parameters of a forward before the `/` are its inputs, those after it are options with PyTorch's names and order. So
the op is the public function too, and, put into the class body of Tensor, the method: `sum(x, 1)`, `x.sum(dim=1)`.

What a rule may say:

- A parameter whose name begins with an underscore is not read, so it is not kept in memory. In its place the rule
  gets something with the right `.shape` and `.dtype` (or None for an input without a gradient).
- A gradient may be a function without arguments; backward calls it only if that input wants a gradient. An `Into`
  (`places.py`) is one that can write a large gradient to where it is wanted in the end.
- None is the gradient of an input that has none, such as a label.
- It ignores broadcasting and promotion: backward sums a gradient to its input's shape and casts it to its dtype.

A forward may return `(z, extras)`: the dict of extras reaches the rule as keyword arguments, as the op's own do.
"""

from __future__ import annotations

import functools
import inspect
import sys
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from minigrad.errors import DTypeError, GraphError, MinigradError, ShapeError
from minigrad.grad_mode import enable_grad, inference_mode, is_grad_enabled, is_recording, no_grad
from minigrad.quiet import quiet, reset_errors, set_errors
from minigrad.versions import changed_since, tick

__all__ = [
    "Node", "Op", "Variable", "enable_grad", "inference_mode", "is_grad_enabled", "no_grad", "op", "registry",
]  # fmt: skip


class Variable:
    """What the graph knows of a Tensor: an array, its gradient, and the node that made it.

    `node` is None for a leaf: a tensor that the user made. `slot` is where an optimizer wants a leaf's gradient
    written. `Tensor` adds everything that users see.
    """

    __slots__ = ("__weakref__", "_data", "_grad", "_hooks", "_requires_grad", "node", "slot")

    _data: np.ndarray
    _grad: Any
    _hooks: dict[int, Callable[[Any], Any]] | None
    _requires_grad: bool
    node: Node | Variable | None
    slot: Any

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each dimension."""
        return self._data.shape

    @property
    def dtype(self) -> np.dtype:
        """The type of the elements, a numpy dtype."""
        return self._data.dtype


# The cyclic collector visits all that it tracks about five times while a graph grows, and took most of the time of a
# long one. So inputs are a tuple (one of arrays alone is not tracked), and nodes share shapes and empty params.
_shapes: dict[tuple[int, ...], tuple[int, ...]] = {}
_intern = _shapes.setdefault
_new = object.__new__
_NO_PARAMS: dict[str, Any] = {}


class Node:
    """One application of an op: everything its rule needs, and the edges to where the gradients go.

    A node knows its parents and never its own output Tensor, so a graph has no reference cycle: when the last
    Tensor that needs it goes, it goes.
    """

    __slots__ = (
        "__weakref__", "birth", "dtype", "edges", "hooks", "inputs", "line", "op", "output", "params", "retained",
        "shape",
    )  # fmt: skip

    op: Op
    edges: Sequence[Node | Variable | None]  # to the node that made each input, the leaf itself, or None: no gradient
    inputs: tuple | None  # each input's array where the rule reads it, else None; () where it reads none of them
    output: np.ndarray | None  # the output's array where the rule reads it
    params: dict[str, Any]  # the keyword arguments of the call, and the forward's extras
    shape: tuple[int, ...]  # of the output
    dtype: np.dtype
    birth: int  # a number that grows; inputs are always born before outputs
    hooks: dict[int, Callable[[Any], Any]] | None  # functions that see, and may replace, the output's gradient
    retained: weakref.ref[Variable] | None  # the output Tensor, if it asked to keep its gradient
    line: str | None  # of the user's code that made it, recorded under `minigrad.debug()`

    @property
    def name(self) -> str:
        return self.op.name

    @property
    def freed(self) -> bool:
        """True once a backward pass has used the node and let its arrays go."""
        return self.inputs is None

    def free(self) -> None:
        """Let the arrays go. The edges stay: another pass must find out whether it needs this node."""
        self.inputs = self.output = None
        self.params = _NO_PARAMS

    def check_unchanged(self) -> None:
        """Raise GraphError when an array that the rule reads was changed in place since the forward pass."""
        saved = [("output", self.output)]
        saved += [(f"input {i}", array) for i, array in enumerate(self.inputs or ())]
        for which, array in saved:
            if isinstance(array, np.ndarray) and changed_since(array, self.birth):
                raise GraphError(
                    f"backward: {which} of {self.name}, shape {array.shape}, was changed in place after the forward "
                    f"pass used it{self.where()}. Change it after backward(), or work on a clone()."
                )

    def where(self) -> str:
        return f" at {self.line}" if self.line else ""

    def __repr__(self) -> str:
        return f"<{self.name} node, {self.dtype.name} {self.shape}>"


# ---- ops -----------------------------------------------------------------------------------------------------------

registry: dict[str, Op] = {}

# Called with (op, inputs, params, output array, node or None) after each op while `minigrad.debug()` is on.
observer: Callable[[Op, tuple, dict, np.ndarray, Any], None] | None = None


def make_node(
    op: Op, edges: Sequence, inputs: tuple, output: np.ndarray | None, params: dict, z: np.ndarray, kind: Any = Node
) -> Any:
    # Not Node.__init__: a plain function is called in a tenth of a microsecond less.
    node = _new(kind)
    node.op = op
    node.edges = edges
    node.inputs = inputs
    node.output = output
    node.params = params
    shape = z.shape
    node.shape = _intern(shape, shape)
    node.dtype = z.dtype
    node.hooks = None
    node.retained = None
    node.line = None
    node.birth = tick()
    return node


class Op:
    """A differentiable operation: `forward`, and `rule`, its vector-Jacobian product.

    Called with at least one Tensor it returns a Tensor; with arrays alone, as in a gradient rule of an ordinary
    backward pass, it returns an array and records nothing.
    """

    result: Any  # the class of the results; tensor.py sets it to Tensor

    def __init__(
        self, forward: Callable, prepare: Callable[[list], list] | None, differentiable: bool, once: bool
    ) -> None:
        self.name = forward.__name__
        self.forward = forward
        self.prepare = prepare
        self.differentiable = differentiable
        self.once = once
        self.rule: Callable | None = None
        self.samples: Callable[[], Iterable] | None = None
        self._keeps_output = False
        self._keeps_input: Sequence[bool] = ()
        self._reads_all = self._reads_any = False
        parameters = list(inspect.signature(forward).parameters.values())
        inputs = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.VAR_POSITIONAL)]
        variadic = any(p.kind is p.VAR_POSITIONAL for p in inputs)
        self._most_inputs = sys.maxsize if variadic else len(inputs)
        self._options = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
        functools.update_wrapper(self, forward)

    def vjp(self, rule: Callable) -> Op:
        """Decorator: `rule(g, z, *inputs, **params)` gives the gradient of each input."""
        names = [
            ("*" if p.kind is p.VAR_POSITIONAL else "") + p.name
            for p in inspect.signature(rule).parameters.values()
            if p.kind is not p.KEYWORD_ONLY and p.kind is not p.VAR_KEYWORD
        ]
        self._keeps_output = not names[1].startswith("_")
        inputs = names[2:][: self._most_inputs]  # after them come the options
        self._keeps_input = [not name.lstrip("*").startswith("_") for name in inputs]
        if names[-1].startswith("*"):
            self._keeps_input = _Endless(self._keeps_input)
        self._reads_all, self._reads_any = False not in self._keeps_input, True in self._keeps_input
        self.rule = rule
        self.__dict__.pop("call", None)  # it was made for the rule before
        return self

    def sampled(self, samples: Callable[[], Iterable]) -> Callable[[], Iterable]:
        """Decorator: the inputs on which the test suite checks the op (see `ops/samples.py`)."""
        self.samples = samples
        return samples

    def __set_name__(self, owner: type, name: str) -> None:
        """In the body of the class Tensor an op is a method."""
        setattr(owner, name, functools.wraps(self.forward)(self._made_call()))

    def __call__(self, *inputs: Any, **params: Any) -> Any:
        return self.call(*inputs, **params)

    @functools.cached_property
    def call(self) -> Callable:
        """What calling the op does; made at the first call, when the rule is known."""
        return self._made_call()

    def _made_call(self) -> Callable:
        # A closure: a method that looks its attributes up in each call took 0.35 microseconds longer.
        forward, prepare, most_inputs = self.forward, self.prepare, self._most_inputs
        reads_all, reads_any, keeps_output = self._reads_all, self._reads_any, self._keeps_output
        differentiable, ndarray = self.differentiable, np.ndarray

        def call(*inputs: Any, **params: Any) -> Any:
            if len(inputs) > most_inputs:
                inputs, params = self._split(inputs, params)
            arrays = []
            edges: list[Node | Variable | None] = []
            wraps = tracked = False
            for x in inputs:
                if isinstance(x, Variable):
                    wraps = True
                    arrays.append(x._data)
                    if x._requires_grad:
                        tracked = True
                        node = x.node
                        edges.append(x if node is None else node)
                    else:
                        edges.append(None)
                else:
                    arrays.append(x)
                    edges.append(None)

            errors = set_errors(quiet)
            try:
                if prepare is not None:
                    arrays = prepare(arrays)
                z = forward(*arrays, **params) if params else forward(*arrays)
            except MinigradError:
                raise
            except (ValueError, IndexError, TypeError) as error:
                raise self._explained(error, arrays, params) from error
            finally:
                reset_errors(errors)

            if type(z) is not ndarray:
                if type(z) is tuple:
                    z, params = z[0], {**params, **z[1]}
                z = np.asarray(z) if wraps else z
            if not wraps:
                return z

            node = None
            if tracked and differentiable and is_recording():
                kept = tuple(arrays) if reads_all else self._kept(arrays) if reads_any else ()
                node = make_node(self, edges, kept, z if keeps_output else None, params or _NO_PARAMS, z)
            if observer is not None:
                observer(self, inputs, params, z, node)
            tensor = _new(Op.result)  # `wrap(z, node)`, without the call
            tensor._data = z
            tensor._grad = None
            tensor._hooks = None
            tensor._requires_grad = node is not None
            tensor.node = node
            tensor.slot = None
            return tensor

        def call_on_two(x: Any, y: Any, **params: Any) -> Any:
            # The commonest call, two Tensors of one floating-point dtype: the same without lists and loops.
            if not params and observer is None and isinstance(x, Variable) and isinstance(y, Variable):
                a, b = x._data, y._data
                if a.dtype is b.dtype and a.ndim and a.dtype.kind == "f":
                    errors = set_errors(quiet)
                    try:
                        z = forward(a, b)
                    except (ValueError, IndexError, TypeError):
                        z = None  # the other call finds words for it
                    finally:
                        reset_errors(errors)
                    if type(z) is ndarray:
                        if not ((x._requires_grad or y._requires_grad) and is_recording()):
                            return wrap(z)
                        to_x = None if not x._requires_grad else x if x.node is None else x.node
                        to_y = None if not y._requires_grad else y if y.node is None else y.node
                        kept = (a, b) if reads_all else self._kept([a, b]) if reads_any else ()
                        return wrap(z, make_node(self, (to_x, to_y), kept, z if keeps_output else None, _NO_PARAMS, z))
            return call(x, y, **params)

        return call_on_two if most_inputs == 2 and prepare is not None and differentiable else call

    def _kept(self, arrays: list) -> tuple:
        """The arrays that the rule reads, with None in place of the others."""
        keeps = self._keeps_input
        return tuple([a if keeps[i] else None for i, a in enumerate(arrays)])

    def _split(self, arguments: tuple, params: dict) -> tuple[tuple, dict]:
        """Arguments given by position: the inputs, and the options among them by name."""
        inputs, values = arguments[: self._most_inputs], arguments[self._most_inputs :]
        named = dict(zip(self._options, values, strict=False))
        twice = named.keys() & params.keys()
        if len(values) > len(self._options) or twice:
            raise DTypeError(
                f"{self.name}: expected {self.name}{inspect.signature(self.forward)}, "
                + (f"got {sorted(twice)} twice." if twice else f"got {len(arguments)} positional arguments.")
            )
        return inputs, {**named, **params}

    def _explained(self, error: Exception, arrays: list, params: dict) -> MinigradError:
        """The public error for what numpy says, naming the op and what it was given."""
        given = ", ".join(
            f"{a.dtype.name} {a.shape}" if isinstance(a, np.ndarray) else f"{type(a).__name__} {a!r:.60}"
            for a in arrays
        )
        options = "".join(f", {key}={value!r}" for key, value in params.items() if value is not None)
        kind = DTypeError if isinstance(error, TypeError) else ShapeError
        return kind(f"{self.name}({given}{options}): {error}")

    def __repr__(self) -> str:
        return f"<op {self.name}>"


class _Endless(list):
    """A list whose last element goes on for ever."""

    def __getitem__(self, index: Any) -> Any:
        return super().__getitem__(min(index, len(self) - 1))


def wrap(array: np.ndarray, node: Node | Variable | None = None) -> Any:
    """A Tensor around `array`, without a copy; `node` is where its gradient goes."""
    tensor = _new(Op.result)
    tensor._data = array
    tensor._grad = None
    tensor._hooks = None
    tensor._requires_grad = node is not None
    tensor.node = node
    tensor.slot = None
    return tensor


def op(
    forward: Callable | None = None,
    *,
    prepare: Callable[[list], list] | None = None,
    differentiable: bool = True,
    once: bool = False,
) -> Any:
    """Decorator that makes an `Op` of a forward function and registers it under the function's name.

    Parameters
    ----------
    forward : function of arrays (positional) and options (keyword) that returns an array
        Its docstring's first line is the formula.
    prepare : function, optional
        Turns the list of inputs into the arrays that `forward` and the rule get, such as `ops.promotion.promote`. It
        leaves floating-point arrays of one dtype as they are.
    differentiable : bool
        False for operations without a derivative (comparisons, argmax): their results never require a gradient.
    once : bool
        True when the rule calls a kernel that cannot be differentiated again; `create_graph` then says so.

    Examples
    --------
    >>> import minigrad
    >>> from minigrad.graph import op
    >>> @op
    ... def cube(x, /):
    ...     '''z = x^3'''
    ...     return x * x * x
    >>> @cube.vjp
    ... def cube(g, _z, x):
    ...     return (g * 3 * x * x,)
    >>> x = minigrad.tensor(2.0, requires_grad=True)
    >>> cube(x).backward()
    >>> x.grad
    tensor(12.)
    """

    def make(function: Callable) -> Op:
        made = Op(function, prepare, differentiable, once)
        registry[made.name] = made
        return made

    return make if forward is None else make(forward)
