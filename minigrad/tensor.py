"""Tensor: an array that knows how it was made, so that it can be differentiated.

    >>> import minigrad
    >>> w = minigrad.tensor([1.0, 2.0], requires_grad=True)
    >>> loss = (w * w).sum()
    >>> loss.backward()
    >>> w.grad
    tensor([2., 4.])

Names, defaults and results are PyTorch's. The mathematics is in `minigrad/ops`, and `minigrad/methods.py` makes it
methods and operators. What stands here is what makes an array a Tensor: its gradient, its graph, its printed form.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minigrad import backward as backward_walk
from minigrad.convert import to_array
from minigrad.errors import DTypeError, GraphError, ShapeError
from minigrad.graph import Node, Op, Variable, wrap
from minigrad.handle import RemovableHandle
from minigrad.methods import Operations
from minigrad.ops.promotion import category
from minigrad.printing import text_of

__all__ = ["RemovableHandle", "Tensor", "from_numpy"]


class Tensor(Operations):
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
        self._data = to_array(data, dtype)
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
        slot = self.slot
        if slot is not None and (slot._data.dtype != value.dtype or slot._data.shape != value.shape):
            self.slot = None  # an optimizer made it for gradients of another kind
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
        """Set `requires_grad`, and return this tensor."""
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
        return np.array(self.numpy(), dtype=dtype, copy=copy)

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
            raise ShapeError(f"bool: the truth of a tensor of shape {self.shape} is not defined. Use .any() or .all().")
        return bool(self._data.item())

    def __len__(self) -> int:
        if not self.shape:
            raise ShapeError("len: a 0-d tensor has no length.")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __format__(self, spec: str) -> str:
        """A 0-d tensor formats like its number: f"{loss:.4f}"."""
        return format(self.item(), spec) if spec and not self.shape else format(str(self), spec)

    def __repr__(self) -> str:
        return text_of(self)

    def __deepcopy__(self, memo: dict) -> Tensor:
        if self.node is not None:
            raise GraphError("deepcopy: only leaves can be copied. Use .detach().clone() on a computed tensor.")
        copied = type(self).__new__(type(self))
        Tensor.__init__(copied, self._data, requires_grad=self._requires_grad)
        memo[id(self)] = copied
        if self._grad is not None:
            copied._grad = wrap(np.array(self._grad._data))
        if hasattr(self, "__dict__"):  # a subclass may have attributes of its own
            copied.__dict__.update(self.__dict__)
        return copied

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
        wanted = [inputs] if isinstance(inputs, Tensor) else inputs
        backward_walk.run_into_grad([self], [gradient], wanted, retain_graph, create_graph)

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


Op.result = Tensor


def from_numpy(array: np.ndarray) -> Tensor:
    """A Tensor that shares the memory of `array`: a change of one is a change of the other."""
    if not isinstance(array, np.ndarray):
        raise DTypeError(f"from_numpy: expected an array, got {type(array).__name__}. Use minigrad.tensor(...).")
    category(array.dtype)
    return wrap(array)
