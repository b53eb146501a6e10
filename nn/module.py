"""Module and Parameter: a model is an object whose attributes are parameters, buffers and other modules.

There is no registry. A module's parameters are found by walking its attributes:

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.hidden = nn.Linear(784, 128)     # found as hidden.weight, hidden.bias
            self.out = nn.Linear(128, 10)

        def forward(self, x):                     # (N, 784) -> (N, 10)
            return self.out(self.hidden(x).relu())

Names, order and layout of `state_dict()` are PyTorch's, so that weights cross in both directions.
"""

from __future__ import annotations

import difflib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from minigrad.errors import ArgumentError, DTypeError, ShapeError
from minigrad.graph import no_grad
from minigrad.tensor import RemovableHandle, Tensor, from_numpy

__all__ = ["LoadResult", "Module", "Parameter"]


class Parameter(Tensor):
    """A Tensor that a module learns: assigned to an attribute, it is one of the module's parameters.

    Parameters
    ----------
    data : Tensor
        Its memory is shared, not copied.
    requires_grad : bool
        False freezes the parameter: optimizers skip it.
    """

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        if isinstance(data, Tensor):
            super().__init__(0.0)
            self.data = data.data
            self.requires_grad = requires_grad
        else:
            super().__init__(data, requires_grad=requires_grad)

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


class LoadResult(NamedTuple):
    """What `load_state_dict(strict=False)` left out on either side."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Module:
    """Base class of all layers and models: subclass it, make layers in `__init__`, use them in `forward`.

    Attributes
    ----------
    training : bool
        True until `eval()`; Dropout and BatchNorm look at it.

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html
    """

    training: bool

    def __init__(self) -> None:
        self.training = True
        self._buffer_names: dict[str, bool] = {}  # name -> kept in state_dict
        self._forward_hooks: dict[int, Callable] = {}
        self._forward_pre_hooks: dict[int, Callable] = {}

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """The computation; a subclass defines it."""
        raise NotImplementedError(f"{type(self).__name__} has no forward(): define it in the class.")

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        if not self._forward_hooks and not self._forward_pre_hooks:
            return self.forward(*inputs, **options)
        for hook in list(self._forward_pre_hooks.values()):
            replaced = hook(self, inputs)
            if replaced is not None:
                inputs = replaced if isinstance(replaced, tuple) else (replaced,)
        output = self.forward(*inputs, **options)
        for hook in list(self._forward_hooks.values()):
            replaced = hook(self, inputs, output)
            output = output if replaced is None else replaced
        return output

    def __getattr__(self, name: str) -> Any:
        # Only called when there is no such attribute.
        if name in ("_buffer_names", "_forward_hooks", "_forward_pre_hooks", "training"):
            raise AttributeError(
                f"{type(self).__name__}: call super().__init__() first in {type(self).__name__}.__init__()."
            )
        known = [key for key in (*vars(self), *dir(type(self))) if not key.startswith("_")]
        near = difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}.{hint}")

    # ---- walking ---------------------------------------------------------------------------------------------------

    def _own_parameters(self) -> Iterator[tuple[str, Parameter]]:
        return ((name, value) for name, value in vars(self).items() if isinstance(value, Parameter))

    def _own_buffers(self) -> Iterator[tuple[str, Tensor]]:
        return ((name, vars(self)[name]) for name in self._buffer_names if vars(self)[name] is not None)

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules that are attributes of this one, each once."""
        seen = set()
        for name, value in vars(self).items():
            if isinstance(value, Module) and value not in seen:
                seen.add(value)
                yield name, value

    def children(self) -> Iterator[Module]:
        return (child for _, child in self.named_children())

    def named_modules(self, memo: set[Module] | None = None, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module (under the name '') and all below it, each once, with dotted names."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        memo.add(self)
        yield prefix, self
        for name, child in self.named_children():
            yield from child.named_modules(memo, f"{prefix}.{name}" if prefix else name)

    def modules(self) -> Iterator[Module]:
        return (module for _, module in self.named_modules())

    def named_parameters(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Parameter]]:
        """The parameters here and below with dotted names; a shared one once, under its first name."""
        seen = set()
        for path, module in self.named_modules(prefix=prefix) if recurse else [(prefix, self)]:
            for name, parameter in module._own_parameters():
                if parameter not in seen:
                    seen.add(parameter)
                    yield f"{path}.{name}" if path else name, parameter

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Tensor]]:
        for path, module in self.named_modules(prefix=prefix) if recurse else [(prefix, self)]:
            for name, buffer in module._own_buffers():
                yield f"{path}.{name}" if path else name, buffer

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def num_parameters(self, trainable_only: bool = False) -> int:
        """The number of elements of all parameters, shared ones counted once."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad or not trainable_only)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Keep a tensor that is state but not learned, such as a running mean, as the attribute `name`."""
        if not name.isidentifier() or (hasattr(self, name) and name not in self._buffer_names):
            raise ArgumentError(
                f"register_buffer: {name!r} is no attribute name, or is taken in {type(self).__name__}."
            )
        self._buffer_names[name] = persistent
        setattr(self, name, tensor)

    def apply(self, function: Callable[[Module], Any]) -> Module:
        """Call `function` on every module below and then on this one."""
        for child in self.children():
            child.apply(function)
        function(self)
        return self

    # ---- state -----------------------------------------------------------------------------------------------------

    def train(self, mode: bool = True) -> Module:
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Module:
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Module:
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        for parameter in self.parameters():
            if set_to_none:
                parameter.grad = None
            elif parameter.grad is not None:
                parameter.grad.zero_()

    def to(self, dtype: Any) -> Module:
        """Convert floating-point parameters and buffers, in place, to another dtype."""
        if dtype == "cpu":
            return self
        for tensor in (*self.parameters(), *self.buffers()):
            if tensor.is_floating_point():
                converted = tensor.detach().to(dtype)
                tensor.grad = None
                tensor.data = converted.data
        return self

    def float(self) -> Module:
        return self.to(np.float32)

    def double(self) -> Module:
        return self.to(np.float64)

    def state_dict(self) -> OrderedDict[str, Tensor]:
        """Parameters and persistent buffers by name, sharing the module's memory.

        The order is PyTorch's: a module's own parameters, its own buffers, then its children.
        """
        state: OrderedDict[str, Tensor] = OrderedDict()
        self._collect_state(state, "")
        return state

    def _collect_state(self, state: OrderedDict[str, Tensor], prefix: str) -> None:
        for name, parameter in self._own_parameters():
            state[prefix + name] = parameter.detach()
        for name, buffer in self._own_buffers():
            if self._buffer_names[name]:
                state[prefix + name] = buffer.detach()
        for name, value in vars(self).items():
            if isinstance(value, Module):  # a shared child appears under each of its names, as in PyTorch
                value._collect_state(state, f"{prefix}{name}.")

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> LoadResult:
        """Copy values into the parameters and buffers of the same names.

        Parameters
        ----------
        state_dict : mapping from name to Tensor or array
            Of this library, or of PyTorch as numpy arrays.
        strict : bool
            True: the names must be exactly those of this module.

        Raises
        ------
        ArgumentError
            Lists every missing, unexpected and misshapen name at once; nothing has been loaded then.
        """
        own = self.state_dict()
        arrays = {key: _as_array(key, value) for key, value in state_dict.items()}
        missing = [key for key in own if key not in arrays]
        unexpected = [key for key in arrays if key not in own]
        misshapen = [
            f"{key}: expected {own[key].shape}, got {array.shape}"
            for key, array in arrays.items()
            if key in own and own[key].shape != array.shape
        ]
        if misshapen or (strict and (missing or unexpected)):
            found = [("missing", missing if strict else []), ("unexpected", unexpected if strict else [])]
            found.append(("of another shape", misshapen))
            listing = "; ".join(f"{what}: {', '.join(names)}" for what, names in found if names)
            error = ShapeError if misshapen else ArgumentError
            raise error(f"load_state_dict: {type(self).__name__} was not changed. {listing}.")
        with no_grad():
            for key, tensor in own.items():
                if key in arrays:
                    tensor.copy_(from_numpy(arrays[key]))
        return LoadResult(missing, unexpected)

    # ---- hooks and words ---------------------------------------------------------------------------------------------

    def register_forward_hook(self, hook: Callable[[Module, tuple, Any], Any]) -> RemovableHandle:
        """Call `hook(module, inputs, output)` after each forward; what it returns, if not None, is the output."""
        return RemovableHandle(self._forward_hooks, hook)

    def register_forward_pre_hook(self, hook: Callable[[Module, tuple], Any]) -> RemovableHandle:
        """Call `hook(module, inputs)` before each forward; what it returns, if not None, are the inputs."""
        return RemovableHandle(self._forward_pre_hooks, hook)

    def extra_repr(self) -> str:
        """What stands in the parentheses of this module's printed form."""
        return ""

    def __repr__(self) -> str:
        lines = []
        for name, value in vars(self).items():
            if isinstance(value, Module):
                lines.append(f"  ({name}): " + repr(value).replace("\n", "\n  "))
        if not lines:
            return f"{type(self).__name__}({self.extra_repr()})"
        return f"{type(self).__name__}({self.extra_repr()}\n" + "\n".join(lines) + "\n)"


def _as_array(key: str, value: Any) -> np.ndarray:
    """The values of a Tensor of any library that can give a numpy array."""
    if isinstance(value, Tensor):
        return value.data
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise DTypeError(
            f"load_state_dict: {key}: expected a Tensor or an array, got {type(value).__name__}."
        ) from error
    if array.dtype.kind not in "biuf":
        raise DTypeError(f"load_state_dict: {key}: expected numbers, got dtype {array.dtype}.")
    return array
