"""Tensor: an array that knows how it was made, so that it can be differentiated.

    >>> import minigrad
    >>> w = minigrad.tensor([1.0, 2.0], requires_grad=True)
    >>> loss = (w * w).sum()
    >>> loss.backward()
    >>> w.grad
    tensor([2., 4.])

Names, defaults and results are PyTorch's. The mathematics is in `minigrad/ops`: an op put into the class body below
is a method. What stands here is what makes an array a Tensor: its gradient, its graph, its printed form.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import numpy as np

from minigrad import backward as backward_walk
from minigrad.errors import ArgumentError, DeviceError, DTypeError, GraphError, ShapeError
from minigrad.graph import Node, Op, Variable, mode, wrap
from minigrad.ops import arithmetic, compare, exponential, index, linalg, reduce, select, shape
from minigrad.ops.cast import cast
from minigrad.ops.promotion import category, default_dtype
from minigrad.versions import mark_changed

__all__ = ["Tensor", "from_numpy"]


def _array(data: Any, dtype: Any = None) -> np.ndarray:
    """A new array of `data`: a Tensor, an array (its dtype is kept), or nested Python numbers (floats are float32)."""
    if isinstance(data, Variable):
        data = data._data
    if dtype is None and not isinstance(data, np.ndarray | np.generic):
        data = _unwrapped(data)
        try:
            data = np.array(data)
        except ValueError as error:
            raise ShapeError(f"tensor: expected nested lists of equal lengths, got ragged ones ({error}).") from None
        if data.dtype == np.float64:
            dtype = default_dtype
    try:
        array = np.array(data, dtype=dtype, order="C")
    except (ValueError, TypeError) as error:
        raise DTypeError(f"tensor: expected numbers, got {type(data).__name__} {data!r:.60} ({error}).") from None
    category(array.dtype)
    return array


def _unwrapped(data: Any) -> Any:
    """Nested lists in which Tensors have become arrays."""
    if isinstance(data, Variable):
        return data._data
    return [_unwrapped(x) for x in data] if isinstance(data, list | tuple) else data


class Tensor(Variable):
    """An n-dimensional array with a gradient.

    Parameters
    ----------
    data : Tensor, ndarray, number or nested list of numbers
        It is copied. The dtype of an array is kept; Python floats become float32, integers int64.
    dtype : numpy dtype, optional
    requires_grad : bool
        True for a leaf whose gradient `backward` is to compute. Only floating-point tensors have one.

    Raises
    ------
    ShapeError, DTypeError
        For ragged lists, elements that are no numbers, or an integer tensor with a gradient.

    References
    ----------
    https://docs.pytorch.org/docs/stable/tensors.html
    """

    __slots__ = ()
    __array_priority__ = 1000  # an ndarray on the left of an operator leaves it to the Tensor

    def __init__(self, data: Any, dtype: Any = None, requires_grad: bool = False) -> None:
        self._data = _array(data, dtype)
        self._grad = None
        self._hooks = None
        self._requires_grad = False
        self.node = None
        self.slot = None
        self.requires_grad = requires_grad

    # ---- what it holds -----------------------------------------------------------------------------------------

    @property
    def data(self) -> np.ndarray:
        """The elements. Assigning another array rebinds it; the graph still has the old one."""
        return self._data

    @data.setter
    def data(self, value: Any) -> None:
        value = value._data if isinstance(value, Variable) else value
        if not isinstance(value, np.ndarray):
            raise DTypeError(f"data: expected an array or a Tensor, got {type(value).__name__}.")
        category(value.dtype)
        self._data = value

    @property
    def grad(self) -> Tensor | None:
        """dL/dx after backward(), summed over the calls since it was last None; a Tensor of this shape."""
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None and not isinstance(value, Tensor):
            raise DTypeError(f"grad: expected a Tensor or None, got {type(value).__name__}.")
        if value is not None and (value.shape != self.shape or value.dtype != self.dtype):
            raise ShapeError(
                f"grad: expected {self.dtype.name} {self.shape} like the tensor, got {value.dtype.name} {value.shape}."
            )
        self._grad = value

    @property
    def requires_grad(self) -> bool:
        """True when operations on this tensor are recorded."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if self.node is not None and not value:
            raise GraphError("requires_grad: only a leaf can be switched off. Use detach() on a computed tensor.")
        if value and self._data.dtype.kind != "f":
            raise DTypeError(
                f"requires_grad: only floating-point tensors have gradients, this one is {self.dtype.name}. "
                "Convert it with .float()."
            )
        self._requires_grad = bool(value)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        self.requires_grad = requires_grad
        return self

    @property
    def grad_fn(self) -> Node | Variable | None:
        """The node that made this tensor; None for a leaf."""
        return self.node

    @property
    def is_leaf(self) -> bool:
        """True for a tensor made by the user, not by a recorded operation."""
        return self.node is None

    @property
    def ndim(self) -> int:
        return self._data.ndim

    @property
    def device(self) -> str:
        return "cpu"

    @property
    def itemsize(self) -> int:
        return self._data.itemsize

    @property
    def nbytes(self) -> int:
        return self._data.nbytes

    def size(self, dim: int | None = None) -> Any:
        return self.shape if dim is None else self.shape[shape.wrap_dim(dim, self.ndim, "size")]

    def numel(self) -> int:
        return self._data.size

    def dim(self) -> int:
        return self._data.ndim

    def stride(self) -> tuple[int, ...]:
        """Steps between neighbours along each dimension, in elements."""
        return tuple(step // self._data.itemsize for step in self._data.strides)

    def is_contiguous(self) -> bool:
        return self._data.flags.c_contiguous

    def is_floating_point(self) -> bool:
        return self._data.dtype.kind == "f"

    # ---- out of the graph, into numpy and Python -------------------------------------------------------------------

    def detach(self) -> Tensor:
        """The same memory outside of the graph."""
        return wrap(self._data)

    def numpy(self) -> np.ndarray:
        """The elements as an array that shares this memory."""
        if self._requires_grad:
            raise GraphError("numpy: this tensor requires a gradient, which numpy would lose. Use .detach().numpy().")
        return self._data

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.numpy(), dtype=dtype, copy=bool(copy) or None)

    def item(self) -> Any:
        """The one element as a Python number."""
        if self._data.size != 1:
            raise ShapeError(f"item: expected a tensor with one element, got shape {self.shape}.")
        return self._data.item()

    def tolist(self) -> Any:
        return self._data.tolist()

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self._data.dtype.kind not in "biu":
            raise DTypeError(f"index: expected an integer tensor, got {self.dtype.name}.")
        return int(self.item())

    def __bool__(self) -> bool:
        if self._data.size != 1:
            raise ShapeError(
                f"bool: the truth of a tensor of shape {self.shape} is not defined. Use .any() or .all()."
            )
        return bool(self._data.item())

    def __len__(self) -> int:
        if not self.shape:
            raise ShapeError("len: a 0-d tensor has no length.")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        values = np.array2string(self._data, separator=", ", prefix="tensor(", precision=4, threshold=1000)
        notes = [values]
        if self._data.size > 1000:
            notes.append(f"shape={self.shape}")
        if self.dtype not in (default_dtype, np.int64, np.bool_):
            notes.append(f"dtype={self.dtype.name}")
        if self.node is not None:
            notes.append(f"grad_fn=<{getattr(self.node, 'name', 'leaf')}>")
        elif self._requires_grad:
            notes.append("requires_grad=True")
        return f"tensor({', '.join(notes)})"

    def __deepcopy__(self, memo: dict) -> Tensor:
        if self.node is not None:
            raise GraphError("deepcopy: only leaves can be copied. Use .detach().clone() on a computed tensor.")
        copied = type(self).__new__(type(self))
        Tensor.__init__(copied, self._data, requires_grad=self._requires_grad)
        memo[id(self)] = copied
        if self._grad is not None:
            copied._grad = wrap(np.array(self._grad._data))
        copied.__dict__.update(getattr(self, "__dict__", {}))
        return copied

    # ---- dtype and device --------------------------------------------------------------------------------------------

    def to(self, *target: Any, dtype: Any = None, device: Any = None) -> Tensor:
        """The tensor in another dtype. The only device is 'cpu'."""
        for given in (*target, device):
            if isinstance(given, str) and not given.startswith("float") and given != "cpu":
                raise DeviceError(f"to: minigrad computes on the CPU only, got device {given!r}.")
            if isinstance(given, Tensor):
                dtype = given.dtype
            elif given is not None and given != "cpu":
                dtype = given
        return self if dtype is None or np.dtype(dtype) == self.dtype else cast(self, dtype=np.dtype(dtype))

    def type_as(self, other: Tensor) -> Tensor:
        return self.to(other.dtype)

    def float(self) -> Tensor:
        return self.to(np.float32)

    def double(self) -> Tensor:
        return self.to(np.float64)

    def half(self) -> Tensor:
        return self.to(np.float16)

    def int(self) -> Tensor:
        return self.to(np.int32)

    def long(self) -> Tensor:
        return self.to(np.int64)

    def bool(self) -> Tensor:
        return self.to(np.bool_)

    def cpu(self) -> Tensor:
        return self

    def cuda(self, *_: Any, **__: Any) -> NoReturn:
        raise DeviceError("cuda: minigrad computes on the CPU only. Leave .cuda() out.")

    # ---- the graph ---------------------------------------------------------------------------------------------------

    def backward(
        self, gradient: Tensor | None = None, retain_graph: Any = None, create_graph: Any = False, inputs: Any = None
    ) -> None:
        """Add dL/dx to `.grad` of every leaf x that this tensor L depends on.

        Parameters
        ----------
        gradient : Tensor, optional
            The upstream gradient, of this shape. A scalar needs none.
        retain_graph : bool
            Keep the graph for another backward pass; it is freed otherwise.
        create_graph : bool
            Record the pass, so that the gradients can be differentiated; implies `retain_graph`.
        inputs : Tensor or list of Tensors, optional
            Add to the `.grad` of these alone.

        Raises
        ------
        GraphError, ShapeError
            See `minigrad.backward.run`.
        """
        retain = bool(create_graph if retain_graph is None else retain_graph)
        if inputs is None:
            backward_walk.run([self], [gradient], None, retain, create_graph)
            return
        wanted = [inputs] if isinstance(inputs, Tensor) else list(inputs)
        for tensor, g in zip(
            wanted, backward_walk.run([self], [gradient], wanted, retain, create_graph), strict=True
        ):
            if g is not None:
                backward_walk.accumulate(tensor, g if create_graph else g._data)

    def retain_grad(self) -> None:
        """Keep `.grad` of this tensor although it is not a leaf."""
        if not self._requires_grad:
            raise GraphError("retain_grad: this tensor does not require a gradient.")
        if isinstance(self.node, Node):
            self.node.retained = weakref.ref(self)

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
        """Call `hook(grad)` when this tensor's gradient is complete; what it returns, if not None, replaces it."""
        if not self._requires_grad:
            raise GraphError("register_hook: this tensor does not require a gradient.")
        owner = self if self.node is None else self.node
        name = "_hooks" if isinstance(owner, Variable) else "hooks"
        hooks = getattr(owner, name)
        if hooks is None:
            hooks = {}
            setattr(owner, name, hooks)
        return RemovableHandle(hooks, hook)

    # ---- operators ---------------------------------------------------------------------------------------------------

    __add__ = __radd__ = add = arithmetic.add
    __sub__ = sub = subtract = arithmetic.sub
    __mul__ = __rmul__ = mul = multiply = arithmetic.mul
    __truediv__ = div = divide = arithmetic.div
    __pow__ = pow = arithmetic.pow
    __neg__ = neg = negative = arithmetic.neg
    __matmul__ = matmul = linalg.matmul
    __eq__ = eq = compare.eq  # type: ignore[assignment]
    __ne__ = ne = compare.ne  # type: ignore[assignment]
    __lt__ = lt = compare.lt
    __le__ = le = compare.le
    __gt__ = gt = compare.gt
    __ge__ = ge = compare.ge
    __hash__ = Variable.__hash__

    def __rsub__(self, other: Any) -> Tensor:
        return arithmetic.sub(other, self)

    def __rtruediv__(self, other: Any) -> Tensor:
        return arithmetic.div(other, self)

    def __rpow__(self, other: Any) -> Tensor:
        return arithmetic.pow(other, self)

    def __rmatmul__(self, other: Any) -> Tensor:
        return linalg.matmul(other, self)

    # ---- element by element ------------------------------------------------------------------------------------------

    exp = exponential.exp
    log = exponential.log
    relu = select.relu

    # ---- reductions --------------------------------------------------------------------------------------------------

    sum = reduce.sum
    mean = reduce.mean
    argmax = reduce.argmax

    # ---- shapes and parts --------------------------------------------------------------------------------------------

    def reshape(self, *sizes: Any) -> Tensor:
        return shape.reshape(self, shape=_sizes(sizes))

    view = reshape

    def permute(self, *dims: Any) -> Tensor:
        return shape.permute(self, dims=_sizes(dims))

    def expand(self, *sizes: Any) -> Tensor:
        """Repeat dimensions of length 1, without a copy; -1 keeps a length."""
        wanted = _sizes(sizes)
        kept = (1,) * (len(wanted) - self.ndim) + self.shape
        return shape.expand(self, shape=tuple(k if n == -1 else n for n, k in zip(wanted, kept, strict=True)))

    @property
    def T(self) -> Tensor:
        return shape.permute(self, dims=tuple(range(self.ndim))[::-1])

    @property
    def mT(self) -> Tensor:
        """The last two dimensions exchanged."""
        if self.ndim < 2:
            raise ShapeError(f"mT: expected at least two dimensions, got shape {self.shape}.")
        return shape.permute(self, dims=(*range(self.ndim - 2), self.ndim - 1, self.ndim - 2))

    def __getitem__(self, key: Any) -> Tensor:
        return index.getitem(self, index=_plain_index(key))

    def __setitem__(self, key: Any, value: Any) -> None:
        self._check_in_place("assignment to elements")
        self._data[_plain_index(key)] = value._data if isinstance(value, Variable) else value
        mark_changed(self._data)

    # ---- in place, under no_grad -------------------------------------------------------------------------------------

    def _check_in_place(self, what: str) -> None:
        if self._requires_grad and mode.enabled:
            raise GraphError(
                f"{what}: a tensor that requires a gradient cannot be changed in place while operations are "
                "recorded. Do it inside `with minigrad.no_grad():`, or compute a new tensor."
            )

    def copy_(self, source: Any) -> Tensor:
        """Overwrite the elements with those of `source`, broadcast and cast to this dtype."""
        self._check_in_place("copy_")
        array = source._data if isinstance(source, Variable) else np.asarray(source)
        try:
            np.copyto(self._data, array, casting="unsafe")
        except ValueError:
            raise ShapeError(f"copy_: shape {array.shape} cannot be broadcast to {self.shape}.") from None
        mark_changed(self._data)
        return self

    def fill_(self, value: Any) -> Tensor:
        return self.copy_(value)

    def zero_(self) -> Tensor:
        return self.copy_(0)


class RemovableHandle:
    """What `register_hook` returns; `remove()` takes the hook away."""

    _numbers = iter(range(2**62))

    def __init__(self, hooks: dict[int, Callable], hook: Callable) -> None:
        self._hooks, self._key = hooks, next(self._numbers)
        hooks[self._key] = hook

    def remove(self) -> None:
        self._hooks.pop(self._key, None)


Op.result = Tensor


def from_numpy(array: np.ndarray) -> Tensor:
    """A Tensor that shares the memory of `array`: a change of one is a change of the other."""
    if not isinstance(array, np.ndarray):
        raise DTypeError(f"from_numpy: expected an array, got {type(array).__name__}. Use minigrad.tensor(...).")
    category(array.dtype)
    return wrap(array)


def _sizes(given: tuple) -> tuple[int, ...]:
    """`f(2, 3)` and `f((2, 3))` mean the same."""
    sizes = given[0] if len(given) == 1 and isinstance(given[0], tuple | list) else given
    try:
        return tuple(int(n) for n in sizes)
    except (TypeError, ValueError):
        raise ArgumentError(f"expected integers as lengths or dimensions, got {given}.") from None


def _plain_index(key: Any) -> Any:
    """The index with arrays in place of Tensors and lists."""
    if isinstance(key, tuple):
        return tuple(_plain_index(part) for part in key)
    if isinstance(key, Variable):
        return key._data
    return np.asarray(key) if isinstance(key, list) else key
