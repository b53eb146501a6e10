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

import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn

import numpy as np

from minigrad.devices import check_device
from minigrad.errors import ArgumentError, DeviceError, DTypeError, MinigradError
from minigrad.grad_mode import no_grad
from minigrad.nn.messages import NoSuchAttributeError, locate
from minigrad.nn.state import LoadResult, fitting
from minigrad.ops.promotion import as_dtype
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

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> class Scale(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.factor = nn.Parameter(minigrad.tensor(2.0))
    ...
    ...     def forward(self, x):
    ...         return self.factor * x
    >>> list(Scale().state_dict().items())
    [('factor', tensor(2.))]
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


class Module:
    """Base class of all layers and models: subclass it, make layers in `__init__`, use them in `forward`.

    An error that a layer raises says which layer of which model it was, with the layer's printed form.

    Attributes
    ----------
    training : bool
        True until `eval()`; Dropout and BatchNorm look at it.

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.nn.Module.html

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> class Residual(nn.Module):
    ...     def __init__(self, width):
    ...         super().__init__()
    ...         self.fc = nn.Linear(width, width)
    ...
    ...     def forward(self, x):
    ...         return x + self.fc(x).relu()
    >>> model = Residual(4)
    >>> model(minigrad.zeros(2, 4)).shape, [name for name, _ in model.named_parameters()]
    ((2, 4), ['fc.weight', 'fc.bias'])
    """

    training: bool

    # Grows when an attribute is set or deleted, or a hook comes or goes: what somebody has found out about the module
    # holds as long as it is the same (`fusion.py`).
    _revision: int = 0

    def __init__(self) -> None:
        self._buffer_names: dict[str, bool] = {}  # name -> kept in state_dict
        self._forward_hooks: dict[int, Callable] = {}
        self._forward_pre_hooks: dict[int, Callable] = {}
        self.training = True

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """The computation; a subclass defines it."""
        raise NotImplementedError(f"{type(self).__name__} has no forward(): define it in the class.")

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        try:
            if not self._forward_hooks and not self._forward_pre_hooks:
                return self.forward(*inputs, **options)
            for before in list(self._forward_pre_hooks.values()):
                inputs, options = before(self, inputs, options)
            output = self.forward(*inputs, **options)
            for after in list(self._forward_hooks.values()):
                output = after(self, inputs, options, output)
            return output
        except MinigradError as error:
            locate(error, self)
            raise

    # ---- attributes --------------------------------------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        before = self.__dict__.get(name)
        if before is None:
            if isinstance(value, Parameter | Module) and "_buffer_names" not in self.__dict__:
                self._explain_missing_init()
        elif isinstance(before, Parameter | Module) and value is not None:
            kind = Parameter if isinstance(before, Parameter) else Module
            if not isinstance(value, kind):
                raise DTypeError(
                    f"{type(self).__name__}: {name} is a {kind.__name__}; expected another one or None in its place, "
                    f"got {type(value).__name__}. " + _REPLACING[kind.__name__]
                )
        elif isinstance(before, Tensor) and name in self._buffer_names and not isinstance(value, Tensor | None):
            raise DTypeError(
                f"{type(self).__name__}: {name} is a buffer; expected a Tensor or None in its place, "
                f"got {type(value).__name__}."
            )
        object.__setattr__(self, name, value)
        self._revise()

    def _revise(self) -> None:
        self.__dict__["_revision"] = self._revision + 1

    def __delattr__(self, name: str) -> None:
        if name not in self.__dict__:
            getattr(self, name)  # says that there is none, or what it is
        object.__delattr__(self, name)
        self._revise()
        self._buffer_names.pop(name, None)

    def __getattr__(self, name: str) -> Any:
        # Only called when there is no such attribute.
        if "_buffer_names" not in self.__dict__ and name in _MADE_BY_INIT:
            self._explain_missing_init()
        if isinstance(getattr(type(self), name, None), property):
            return object.__getattribute__(self, name)  # it raised an AttributeError itself, and does so again
        raise NoSuchAttributeError(self, name)

    def _explain_missing_init(self) -> NoReturn:
        name = type(self).__name__
        raise AttributeError(f"{name}: call super().__init__() first in {name}.__init__().")

    def _check_free(self, name: str, kind: str, taken: bool) -> None:
        """Raise unless `name` can be the name of a parameter, a buffer or a module here."""
        if not isinstance(name, str) or not name or "." in name:
            raise ArgumentError(
                f"{type(self).__name__}: expected a name for the {kind} that is not empty and without a dot, "
                f"got {name!r}."
            )
        if not taken and hasattr(self, name):
            raise ArgumentError(
                f"{type(self).__name__}: {name!r} is no name for a {kind}: it is taken by another attribute."
            )

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Set the attribute `name` to a Parameter, or to None for one that this module does without."""
        self._check_free(name, "parameter", isinstance(vars(self).get(name, self), Parameter | None))
        if not isinstance(param, Parameter | None):
            raise DTypeError(f"register_parameter: {name}: expected a Parameter or None, got {type(param).__name__}.")
        setattr(self, name, param)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Keep a tensor that is state but not learned, such as a running mean, as the attribute `name`.

        One that is not `persistent` is left out of `state_dict()`.
        """
        self._check_free(name, "buffer", name in self._buffer_names)
        if not isinstance(tensor, Tensor | None):
            raise DTypeError(f"register_buffer: {name}: expected a Tensor or None, got {type(tensor).__name__}.")
        self._buffer_names[name] = persistent
        setattr(self, name, tensor)

    def add_module(self, name: str, module: Module | None) -> None:
        """Set the attribute `name`, which may be a number as text, to a module."""
        if not isinstance(module, Module | None):
            raise DTypeError(f"{type(self).__name__}: expected modules, got {type(module).__name__} as {name!r}.")
        self._check_free(name, "module", isinstance(vars(self).get(name, self), Module | None) and name in vars(self))
        setattr(self, name, module)

    # ---- walking -----------------------------------------------------------------------------------------------------

    def _own_parameters(self) -> Iterator[tuple[str, Parameter]]:
        return ((name, value) for name, value in vars(self).items() if isinstance(value, Parameter))

    def _own_buffers(self) -> Iterator[tuple[str, Tensor]]:
        return ((name, vars(self)[name]) for name in self._buffer_names if vars(self)[name] is not None)

    def _own_modules(self) -> Iterator[tuple[str, Module]]:
        return ((name, value) for name, value in vars(self).items() if isinstance(value, Module))

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules that are attributes of this one, each once."""
        return _each_once(self._own_modules())

    def children(self) -> Iterator[Module]:
        """The modules that are attributes of this one, each once."""
        return (child for _, child in self.named_children())

    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This module (under the name '') and all below it with dotted names, each once or under each of its names."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, child in self._own_modules():
            yield from child.named_modules(memo, f"{prefix}.{name}" if prefix else name, remove_duplicate)

    def modules(self) -> Iterator[Module]:
        """This module and all below it, each once."""
        return (module for _, module in self.named_modules())

    def _named(self, own: str, prefix: str, recurse: bool, remove_duplicate: bool) -> Iterator[tuple[str, Any]]:
        modules = self.named_modules(None, prefix, remove_duplicate) if recurse else [(prefix, self)]
        every = (
            (f"{path}.{name}" if path else name, value)
            for path, module in modules
            for name, value in getattr(module, own)()
        )
        return _each_once(every) if remove_duplicate else every

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """The parameters here and below with dotted names; a shared one once, under its first name."""
        return self._named("_own_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters here and below, each once."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """The buffers here and below with dotted names; a shared one once, under its first name."""
        return self._named("_own_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The buffers here and below, each once."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def num_parameters(self, trainable_only: bool = False) -> int:
        """The number of elements of all parameters, shared ones counted once."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad or not trainable_only)

    def get_submodule(self, target: str) -> Module:
        """The module of a dotted name, such as 'encoder.0'; '' is this one. AttributeError if there is none."""
        found: Any = self
        for name in target.split(".") if target else ():
            found = getattr(found, name)
            if not isinstance(found, Module):
                raise AttributeError(f"{type(self).__name__}: {target!r}: {name!r} is a {type(found).__name__}.")
        return found

    def _get(self, target: str, kind: str) -> Any:
        path, _, name = target.rpartition(".")
        owner = self.get_submodule(path)
        found = getattr(owner, name)
        if not (isinstance(found, Parameter) if kind == "parameter" else name in owner._buffer_names):
            raise AttributeError(f"{type(self).__name__}: {target!r} is no {kind}, it is a {type(found).__name__}.")
        return found

    def get_parameter(self, target: str) -> Parameter:
        """The parameter of a dotted name, such as 'encoder.0.weight'. AttributeError if there is none."""
        return self._get(target, "parameter")

    def get_buffer(self, target: str) -> Tensor:
        """The buffer of a dotted name, such as 'bn.running_mean'. AttributeError if there is none."""
        return self._get(target, "buffer")

    def apply(self, fn: Callable[[Module], Any]) -> Module:
        """Call `fn` on every module below and then on this one."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    # ---- state -------------------------------------------------------------------------------------------------------

    def train(self, mode: bool = True) -> Module:
        """Set `training` here and below; a child that defines `train` itself, to stay frozen say, is asked."""
        if not isinstance(mode, bool):
            raise DTypeError(f"train: expected True or False, got {mode!r}.")
        self.training = mode
        for child in self.children():
            child.train(mode)
        return self

    def eval(self) -> Module:
        """The same as `train(False)`."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Module:
        """Set `requires_grad` of every parameter; False freezes them."""
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget every parameter's gradient, or fill it with zeros."""
        for parameter in self.parameters():
            if set_to_none:
                parameter.grad = None
            elif parameter.grad is not None:
                parameter.grad.zero_()

    def to(self, *target: Any, dtype: Any = None, device: Any = None, non_blocking: bool = False) -> Module:
        """Convert floating-point parameters, their gradients and buffers, in place, to another floating-point dtype.

        The parameters stay the same objects, so an optimizer that was made before goes on with them. `target` is a
        dtype, a tensor whose dtype is wanted, or a device; the only device is 'cpu', where nothing blocks.
        """
        for given in (*target, device):
            if isinstance(given, Tensor):
                dtype = given.dtype
            elif isinstance(given, str) and not hasattr(np, given):
                check_device(given, f"{type(self).__name__}.to")
            elif given is not None:
                dtype = given
        if dtype is None:
            return self
        wanted = as_dtype(dtype)
        if wanted.kind != "f":
            raise DTypeError(f"{type(self).__name__}.to: expected a floating-point dtype, got {wanted.name}.")
        for tensor in (*self.parameters(), *self.buffers()):
            if tensor.is_floating_point() and tensor.dtype != wanted:
                grad, tensor.grad = tensor.grad, None
                tensor.data = tensor.data.astype(wanted)
                if grad is not None:
                    tensor.grad = grad.detach().to(wanted)
        return self

    def float(self) -> Module:
        """The same as `to(float32)`."""
        return self.to(np.float32)

    def double(self) -> Module:
        """The same as `to(float64)`."""
        return self.to(np.float64)

    def half(self) -> Module:
        """The same as `to(float16)`."""
        return self.to(np.float16)

    def cpu(self) -> Module:
        """This module."""
        return self

    def cuda(self, *_: Any, **__: Any) -> NoReturn:
        """Raise DeviceError."""
        raise DeviceError("cuda: minigrad computes on the CPU only. Leave .cuda() out.")

    def state_dict(self, *, prefix: str = "", keep_vars: bool = False) -> OrderedDict[str, Tensor]:
        """Parameters and persistent buffers by name, sharing the module's memory.

        The order is PyTorch's: a module's own parameters, its own buffers, then its children.

        Parameters
        ----------
        prefix : str
            Put before every name.
        keep_vars : bool
            True gives the parameters themselves; by default they are detached.
        """
        state: OrderedDict[str, Tensor] = OrderedDict()
        self._collect_state(state, prefix)
        return state if keep_vars else OrderedDict((name, value.detach()) for name, value in state.items())

    def _collect_state(self, state: OrderedDict[str, Tensor], prefix: str) -> None:
        for name, parameter in self._own_parameters():
            state[prefix + name] = parameter
        for name, buffer in self._own_buffers():
            if self._buffer_names[name]:
                state[prefix + name] = buffer
        for name, module in self._own_modules():  # a shared child appears under each of its names, as in PyTorch
            module._collect_state(state, f"{prefix}{name}.")

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> LoadResult:
        """Copy values into the parameters and buffers of the same names.

        Parameters
        ----------
        state_dict : mapping from name to Tensor or array
            Of this library or of PyTorch: tensors of either, or numpy arrays. Values are cast to the module's dtype.
        strict : bool
            True: the names must be exactly those of this module.

        Raises
        ------
        ArgumentError, ShapeError, DTypeError
            Lists every missing, unexpected and misshapen name at once; nothing has been loaded then.
        """
        own = self.state_dict()
        arrays, result = fitting(own, state_dict, strict, type(self).__name__)
        with no_grad():
            for key, array in arrays.items():
                own[key].copy_(from_numpy(array))
        return result

    # ---- hooks and words ---------------------------------------------------------------------------------------------

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, inputs)` before each forward; what it returns, if not None, are the inputs.

        Parameters
        ----------
        hook : function
            `inputs` is the tuple of positional arguments. With `with_kwargs` it is called with
            `(module, inputs, options)` and returns None or both.
        prepend : bool
            True calls it before the hooks that are there already.

        Returns
        -------
        RemovableHandle
            Its `remove()` takes the hook away.
        """

        def before(module: Module, inputs: tuple, options: dict) -> tuple[tuple, dict]:
            if with_kwargs:
                replaced = hook(module, inputs, options)
                if replaced is not None and not (isinstance(replaced, tuple) and len(replaced) == 2):
                    raise DTypeError(
                        f"forward pre-hook with_kwargs: expected None or (inputs, options), got {replaced!r:.60}."
                    )
                return (inputs, options) if replaced is None else replaced
            replaced = hook(module, inputs)
            if replaced is None:
                return inputs, options
            return replaced if isinstance(replaced, tuple) else (replaced,), options

        return _hooked(self, self._forward_pre_hooks, before, prepend)

    def register_forward_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, inputs, output)` after each forward; what it returns, if not None, is the output.

        With `with_kwargs` it is called with `(module, inputs, options, output)`. See `register_forward_pre_hook`.
        """

        def after(module: Module, inputs: tuple, options: dict, output: Any) -> Any:
            replaced = hook(module, inputs, options, output) if with_kwargs else hook(module, inputs, output)
            return output if replaced is None else replaced

        return _hooked(self, self._forward_hooks, after, prepend)

    def extra_repr(self) -> str:
        """What stands in the parentheses of this module's printed form."""
        return ""

    def _repr_lines(self) -> list[str]:
        """A line, or several, for each child."""
        return [f"({name}): {module!r}" for name, module in self._own_modules()]

    def __repr__(self) -> str:
        lines = self._repr_lines()
        extra = self.extra_repr()
        if extra and (lines or "\n" in extra):
            lines = extra.split("\n") + lines
        if not lines:
            return f"{type(self).__name__}({extra})"
        inside = "\n".join(lines).replace("\n", "\n  ")
        return f"{type(self).__name__}(\n  {inside}\n)"


_MADE_BY_INIT = ("_buffer_names", "_forward_hooks", "_forward_pre_hooks", "training")
_REPLACING = {
    "Parameter": "Wrap it in nn.Parameter, or change its elements under no_grad() with .copy_().",
    "Module": "Delete the attribute first if it is to become something else.",
}


def _each_once(named: Iterator[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    seen = set()
    for name, value in named:
        if value not in seen:
            seen.add(value)
            yield name, value


class _HookHandle(RemovableHandle):
    def __init__(self, module: Module, hooks: dict[int, Callable], hook: Callable) -> None:
        super().__init__(hooks, hook)
        self._module = weakref.ref(module)
        module._revise()

    def remove(self) -> None:
        super().remove()
        module = self._module()
        if module is not None:
            module._revise()


def _hooked(module: Module, hooks: dict[int, Callable], hook: Callable, prepend: bool) -> RemovableHandle:
    others = dict(hooks)
    handle = _HookHandle(module, hooks, hook)
    if prepend:
        for key in others:
            hooks[key] = hooks.pop(key)
    return handle
