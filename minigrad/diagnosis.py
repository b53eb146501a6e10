"""Where a NaN or an infinity came from: which layer of the model made the first one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from minigrad.evaluation import Loss, split_batch
from minigrad.nn.module import Module
from minigrad.random import default_generator
from minigrad.tensor import Tensor

__all__ = ["first_nonfinite"]


def first_nonfinite(model: Module, loss: Loss, batches: list[Any]) -> str:
    """Repeat a step, and say where the first number appears that is not finite.

    Looked at are, in this order: the parameters, the inputs, the outputs of the modules as they are computed, the
    loss, the gradients of those outputs as they are computed. The model, its buffers and the random state are left as
    they were; its gradients are cleared.

    Parameters
    ----------
    model : Module
    loss : function of outputs and targets
    batches : list of (x, y) or (x1, x2, ..., y)

    Returns
    -------
    str
        A sentence that names the module as `named_modules` does, with its class.

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
    >>> model[2].bias.data[0] = np.inf
    >>> first_nonfinite(model, nn.CrossEntropyLoss(), [])
    'The parameter 2.bias is not finite (1 of 1 elements).'
    """
    for name, parameter in model.named_parameters():
        bad = np.count_nonzero(~np.isfinite(parameter.data))
        if bad:
            return f"The parameter {name} is not finite ({bad} of {parameter.data.size} elements)."
    buffers = {name: buffer.data.copy() for name, buffer in model.named_buffers()}
    random = default_generator.get_state()
    calls: list[tuple[str, list[Tensor]]] = []  # each call of a module, in order, with its outputs
    handles = [
        module.register_forward_hook(_recorder(f"{name or 'the model'} ({type(module).__name__})", calls))
        for name, module in model.named_modules()
    ]
    try:
        for batch in batches:
            found = _search(model, loss, batch, calls)
            if found:
                return found
            calls.clear()
    finally:
        for handle in handles:
            handle.remove()
        model.zero_grad()
        for name, buffer in model.named_buffers():
            buffer.data[...] = buffers[name]
        default_generator.set_state(random)
    return "Repeating the step found nothing that is not finite: it appears only at the optimizer's own points."


def _recorder(label: str, calls: list[tuple[str, list[Tensor]]]) -> Any:
    def record(module: Module, inputs: tuple, output: Any) -> None:
        outputs = list(_tensors(output))
        for tensor in outputs:
            if tensor.requires_grad and not tensor.is_leaf:
                tensor.retain_grad()
        calls.append((label, outputs))

    return record


def _search(model: Module, loss: Loss, batch: Any, calls: list[tuple[str, list[Tensor]]]) -> str:
    inputs, target = split_batch("fit", batch)
    for what, part in (("inputs", inputs), ("targets", target)):
        if any(map(_is_bad, _tensors(part))):
            return f"The {what} of the batch are not finite: look at the data."
    output = model(*inputs)
    for label, outputs in calls:
        if any(map(_is_bad, outputs)):
            return f"The first output that is not finite is that of {label}."
    value = loss(output, target)
    if _is_bad(value):
        return "All outputs of the model are finite: the loss function makes it."
    value.backward()
    for label, outputs in reversed(calls):
        if any(tensor.grad is not None and _is_bad(tensor.grad) for tensor in outputs):
            return f"Going backward, the first gradient that is not finite is that of the output of {label}."
    for name, parameter in model.named_parameters():
        if parameter.grad is not None and _is_bad(parameter.grad):
            return f"The gradients of all outputs are finite, that of the parameter {name} is not."
    return ""


def _is_bad(tensor: Tensor) -> bool:
    return tensor.data.dtype.kind == "f" and not np.isfinite(tensor.data).all()


def _tensors(value: Any) -> Iterator[Tensor]:
    """The tensors in nested tuples, lists and dicts."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple | list):
        for part in value:
            yield from _tensors(part)
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))
