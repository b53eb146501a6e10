"""Are the gradients right? They are compared with differences of the values: gradcheck and gradgradcheck.

For y = f(x), column j of the Jacobian J is measured by moving x_j alone:

    J_ij  ~  (f_i(x + eps e_j) - f_i(x - eps e_j)) / (2 eps)

A backward pass with upstream gradient v computes v^T J. Two kinds of v are tried, because a wrong rule may be right
for some: each unit vector (row i of J, which names the element at fault), and random v. An all-ones v would not see
a convolution whose kernel is flipped, or a rule that forgets to multiply by g.

References
----------
https://docs.pytorch.org/docs/stable/generated/torch.autograd.gradcheck.gradcheck.html
"""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minigrad import backward, graph
from minigrad.errors import ArgumentError, DTypeError, GraphError
from minigrad.grad_mode import enable_grad
from minigrad.graph import Node, Op, wrap
from minigrad.tensor import Tensor

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]


class GradcheckError(GraphError):
    """A gradient computed by backward differs from the one that finite differences measure.

    Attributes
    ----------
    op : name of the operation whose own rule was found wrong, or None
    input, output : numbers of the tensors whose derivative differs
    index : the element of the input, a tuple
    analytic, numeric : what backward gave, and what was measured

    Examples
    --------
    >>> import minigrad
    >>> x = minigrad.tensor([3.0], dtype="float64", requires_grad=True)
    >>> try:
    ...     gradcheck(lambda x: x * x.detach(), (x,))  # the second factor is hidden from the gradient
    ... except GradcheckError as error:
    ...     print(error.analytic, round(error.numeric, 6))
    3.0 6.0
    """

    op: str | None = None
    input: int | None = None
    output: int | None = None
    index: tuple[int, ...] | None = None
    analytic: float | None = None
    numeric: float | None = None


def gradcheck(
    func: Callable,
    inputs: Tensor | Sequence[Any],
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_grad_dtypes: bool = False,
    fast_mode: bool = False,
) -> bool:
    """Compare the gradients of `func` with finite differences.

    Two values agree if |analytic - numeric| <= atol + rtol |numeric|.

    Parameters
    ----------
    func : callable
        Takes the inputs and returns a Tensor or a tuple of them. An op will do.
    inputs : Tensor or tuple
        Tensors with `requires_grad` are checked; the others, and other arguments, are passed on. Use float64: in
        float32 the rounding of f is larger than what is looked for.
    eps : float
        How far an element is moved to each side.
    atol, rtol : float
        Absolute and relative tolerance.
    raise_exception : bool
        Without it the answer to a wrong gradient is False.
    nondet_tol : float
        How much two backward passes with the same upstream gradient may differ.
    check_grad_dtypes : bool
        Also check that a gradient has its input's dtype.
    fast_mode : bool
        Compare u^T J v for a few random u and v instead of all of J. Quick, but it cannot name an element.

    Returns
    -------
    bool
        True if all agree.

    Raises
    ------
    GradcheckError
        It names the operation, the input and its element, and both values.

    Examples
    --------
    >>> import minigrad
    >>> x = minigrad.tensor([0.5, 2.0], dtype="float64", requires_grad=True)
    >>> gradcheck(lambda x: x.log() * x, (x,))
    True
    """
    try:
        _Check(func, inputs, eps, atol, rtol, nondet_tol, check_grad_dtypes).run(fast_mode)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(
    func: Callable,
    inputs: Tensor | Sequence[Any],
    grad_outputs: Tensor | Sequence[Tensor] | None = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_grad_dtypes: bool = False,
    fast_mode: bool = False,
) -> bool:
    """Compare second derivatives with finite differences: `gradcheck` of (inputs, v) -> v^T J.

    Parameters
    ----------
    grad_outputs : Tensor or sequence of Tensors, optional
        The upstream gradients v at which to check; random ones by default.

    The other parameters, the result and the errors are those of `gradcheck`.

    Examples
    --------
    >>> import minigrad
    >>> x = minigrad.tensor([0.5, 2.0], dtype="float64", requires_grad=True)
    >>> gradgradcheck(lambda x: x.log() * x, (x,))
    True
    """
    given = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    outputs = _tensors(func(*given))
    if grad_outputs is None:
        rng = np.random.default_rng(1)
        vs = [Tensor(_random(rng, y), requires_grad=True) for y in outputs if y.requires_grad]
    else:
        vs = [v.detach().requires_grad_() for v in _tensors(grad_outputs)]

    def first_derivative(*arguments: Any) -> tuple:
        xs, upstream = arguments[: len(given)], arguments[len(given) :]
        wanted = [x for x in xs if isinstance(x, Tensor) and x.requires_grad]
        with enable_grad():
            ys = [y for y in _tensors(func(*xs)) if y.requires_grad]
            found = backward.run(ys, upstream, wanted, create_graph=True)
        return tuple(g for g in found if g is not None)

    first_derivative.__name__ = f"the gradient of {_name_of(func)}"
    return gradcheck(
        first_derivative,
        (*given, *vs),
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
        nondet_tol=nondet_tol,
        check_grad_dtypes=check_grad_dtypes,
        fast_mode=fast_mode,
    )


class _Check:
    """One comparison: the function, the point, and the tolerances."""

    def __init__(
        self,
        func: Callable,
        inputs: Any,
        eps: float,
        atol: float,
        rtol: float,
        nondet_tol: float,
        dtypes: bool,
        look_inside: bool = True,
    ) -> None:
        if eps <= 0 or atol < 0 or rtol < 0 or nondet_tol < 0:
            raise ArgumentError(
                f"gradcheck: expected eps > 0 and tolerances >= 0, got eps={eps}, atol={atol}, rtol={rtol}, "
                f"nondet_tol={nondet_tol}."
            )
        self.func, self.eps, self.atol, self.rtol = func, eps, atol, rtol
        self.nondet_tol, self.dtypes, self.look_inside = nondet_tol, dtypes, look_inside
        self.rng = np.random.default_rng(0)
        self.arguments = [inputs] if isinstance(inputs, Tensor) else list(inputs)
        self.checked = [i for i, x in enumerate(self.arguments) if isinstance(x, Tensor) and x.requires_grad]
        if not self.checked:
            raise ArgumentError("gradcheck: expected at least one input with requires_grad=True.")
        for i in self.checked:
            if self.arguments[i].dtype != np.float64:
                warnings.warn(
                    f"gradcheck: input {i} is {self.arguments[i].dtype.name}; differences need float64 to be exact "
                    "enough. Convert it with .double().",
                    stacklevel=4,
                )
        # Copies in the same order of memory: the caller's inputs are never moved.
        self.point = {i: np.copy(self.arguments[i].data, order="K") for i in self.checked}

    def run(self, fast: bool) -> None:
        (self._compare_directions if fast else self._compare_elements)()

    # ---- values and gradients

    def outputs(self) -> tuple[list[Tensor], list[Tensor]]:
        """The function at the point, and the leaves it was called with."""
        arguments = list(self.arguments)
        for i, array in self.point.items():
            arguments[i] = wrap(np.copy(array, order="K")).requires_grad_()
        with enable_grad():
            ys = _tensors(self.func(*arguments))
        return ys, [arguments[i] for i in self.checked]

    def values(self) -> list[np.ndarray]:
        return [np.array(y.data, np.float64) for y in self.outputs()[0]]

    def pulled(self, upstream: Sequence[np.ndarray]) -> list[np.ndarray]:
        """v^T J for every checked input, by a backward pass."""
        ys, leaves = self.outputs()
        pairs = [(y, Tensor(v.astype(y.dtype))) for y, v in zip(ys, upstream, strict=True) if y.requires_grad]
        found = backward.run([y for y, _ in pairs], [v for _, v in pairs], leaves)
        for i, g, leaf in zip(self.checked, found, leaves, strict=True):
            if self.dtypes and g is not None and g.dtype != leaf.dtype:
                raise GradcheckError(
                    f"{self._name()}: expected the gradient of input {i} to be {leaf.dtype.name}, got {g.dtype.name}."
                )
        return [
            np.zeros(leaf.shape) if g is None else np.asarray(g.data, np.float64)
            for g, leaf in zip(found, leaves, strict=True)
        ]

    def moved(self, i: int, step: np.ndarray) -> list[np.ndarray]:
        """(f(x_i + step) - f(x_i - step)) / (2 eps) for every output."""
        start = self.point[i]
        try:
            self.point[i] = start + step
            high = self.values()
            self.point[i] = start - step
            low = self.values()
        finally:
            self.point[i] = start
        return [(a - b) / (2 * self.eps) for a, b in zip(high, low, strict=True)]

    # ---- comparisons

    def _compare_elements(self) -> None:
        shapes = [y.shape for y in self.values()]
        tracked = [y.requires_grad for y in self.outputs()[0]]
        random = [self.rng.uniform(0.1, 1.0, shape) * self.rng.choice([-1.0, 1.0], shape) for shape in shapes]
        numeric = [self._jacobian(i, shapes) for i in self.checked]

        for k, shape in enumerate(shapes):
            for at in np.ndindex(*shape) if tracked[k] else ():
                upstream = [np.zeros(s) for s in shapes]
                upstream[k][at] = 1.0
                column = (Ellipsis, *at)
                for i, analytic, measured in zip(self.checked, self.pulled(upstream), numeric, strict=True):
                    self._require(analytic, measured[k][column], i, k, f"element {at} of output {k}")
            if not any(tracked):
                for i, measured in zip(self.checked, numeric, strict=True):
                    flat = measured[k].reshape(*self.point[i].shape, -1)
                    worst = np.abs(flat).max(axis=-1, initial=0.0)
                    self._require(np.zeros(worst.shape), worst, i, k, f"output {k}, which has no gradient")

        # The same again for random upstream gradients: all outputs at once.
        pulls = [k for k, is_tracked in enumerate(tracked) if is_tracked]
        expected = [
            sum((measured[k] * random[k]).sum(axis=tuple(range(-len(shapes[k]), 0))) for k in pulls)
            for measured in numeric
        ]
        first, second = self.pulled(random), self.pulled(random)
        for i, a, b, wanted in zip(self.checked, first, second, expected, strict=True):
            self._require(a, np.broadcast_to(wanted, a.shape), i, 0, "the outputs times a random upstream gradient")
            apart = float(np.abs(a - b).max(initial=0.0))
            if apart > self.nondet_tol:
                raise GradcheckError(
                    f"{self._name()}: two backward passes with the same upstream gradient differ by {apart:.3g} at "
                    f"input {i}; nondet_tol={self.nondet_tol} was allowed."
                )

    def _jacobian(self, i: int, shapes: list[tuple[int, ...]]) -> list[np.ndarray]:
        """For every output the array of its derivatives by input i, of shape input + output."""
        x = self.point[i]
        columns = [np.zeros((*x.shape, *shape)) for shape in shapes]
        for at in np.ndindex(*x.shape):
            step = np.zeros_like(x)
            step[at] = self.eps
            for column, change in zip(columns, self.moved(i, step), strict=True):
                column[at] = change
        return columns

    def _compare_directions(self, directions: int = 3) -> None:
        for _ in range(directions):
            ys = self.outputs()[0]
            upstream = [_random(self.rng, y) * y.requires_grad for y in ys]
            for i, analytic in zip(self.checked, self.pulled(upstream), strict=True):
                v = _random(self.rng, self.point[i])
                v /= np.linalg.norm(v) or 1.0
                numeric = sum(float((u * d).sum()) for u, d in zip(upstream, self.moved(i, self.eps * v), strict=True))
                if not self._close(float((analytic * v).sum()), numeric):
                    self._fail(i, None, None, float((analytic * v).sum()), numeric, "u^T J v for random u and v")

    def _close(self, analytic: Any, numeric: Any) -> Any:
        with np.errstate(invalid="ignore"):
            near = np.abs(analytic - numeric) <= self.atol + self.rtol * np.abs(numeric)
        return near | (np.isnan(analytic) & np.isnan(numeric)) | (analytic == numeric)

    def _require(self, analytic: np.ndarray, numeric: np.ndarray, i: int, k: int, of: str) -> None:
        close = self._close(analytic, numeric)
        if close.all():
            return
        excess = np.where(close, -1.0, np.nan_to_num(np.abs(analytic - numeric), nan=np.inf, posinf=np.inf))
        at = tuple(int(n) for n in np.unravel_index(int(excess.argmax()), excess.shape))
        self._fail(i, k, at, float(analytic[at]), float(numeric[at]), of)

    def _fail(
        self, i: int, k: int | None, at: tuple[int, ...] | None, analytic: float, numeric: float, of: str
    ) -> None:
        culprit = self._wrong_op() if self.look_inside else None
        where = "" if at is None else f" at index {at}"
        error = GradcheckError(
            f"{self._name()}: wrong gradient of input {i}{where} for {of}: analytic {analytic:.10g}, "
            f"numeric {numeric:.10g} (they differ by {abs(analytic - numeric):.3g}; allowed is atol={self.atol:g} + "
            f"rtol={self.rtol:g} |numeric|)."
            + ("" if culprit is None else f" Look at the rule of {culprit.name}{_place(culprit)}.")
        )
        error.op = None if culprit is None else culprit.name
        error.input, error.output, error.index, error.analytic, error.numeric = i, k, at, analytic, numeric
        raise error

    def _name(self) -> str:
        return f"gradcheck of {_name_of(self.func)}"

    # ---- which op of the function it is

    def _wrong_op(self) -> Op | None:
        """The first op inside the function whose own rule fails, each checked alone on what it was called with."""
        calls: list[tuple[Op, tuple, Node]] = []

        def note(op: Op, inputs: tuple, _params: dict, _output: np.ndarray, node: Node | None) -> None:
            if node is not None and op.rule is not None:
                calls.append((op, inputs, node))

        before, graph.observer = graph.observer, note
        try:
            self.outputs()
        finally:
            graph.observer = before
        for op, inputs, node in calls:
            if not self._alone(op, inputs, node):
                return op
        return None

    def _alone(self, op: Op, inputs: tuple, node: Node) -> bool:
        """Whether the op alone passes, in random directions."""
        options = {key: value for key, value in node.params.items() if key in op._options}
        arguments = [
            Tensor(x.data, np.float64, edge is not None) if isinstance(x, Tensor) and x.is_floating_point() else x
            for x, edge in zip(inputs, node.edges, strict=True)
        ]
        if not any(isinstance(x, Tensor) and x.requires_grad for x in arguments):
            return True
        try:
            alone = functools.partial(op, **options)
            _Check(alone, arguments, self.eps, self.atol, self.rtol, np.inf, False, look_inside=False).run(fast=True)
        except GradcheckError:
            return False
        return True


def _tensors(result: Any) -> list[Any]:
    tensors = [result] if isinstance(result, Tensor) else result
    if not isinstance(tensors, tuple | list) or not all(isinstance(y, Tensor) for y in tensors):
        raise DTypeError(f"gradcheck: expected the function to return Tensors, got {type(result).__name__}.")
    return list(tensors)


def _random(rng: np.random.Generator, like: Any) -> np.ndarray:
    """Numbers of random sign, none of them near zero, in the shape and dtype of `like`."""
    size = rng.uniform(0.1, 1.0, like.shape)
    return np.asarray(size * rng.choice([-1.0, 1.0], like.shape), like.dtype)


def _name_of(func: Callable) -> str:
    return getattr(func, "name", None) or getattr(func, "__name__", None) or repr(func)


def _place(op: Op) -> str:
    """Where the rule stands, to be clicked at."""
    try:
        code = inspect.unwrap(op.rule).__code__  # type: ignore[arg-type]
    except AttributeError:
        return ""
    return f" ({Path(code.co_filename).name}:{code.co_firstlineno})"
