"""What a model is made of, and what a step with it costs: `print(minigrad.summary(model, (1, 28, 28)))`.

Nothing is guessed from the names of layers. The model is run once on a batch, and watched:

- every op that is called says which arrays it multiplies, so the multiply-adds are right for layers of your own too;
- afterwards the graph is walked from the outputs, and the arrays that its nodes keep are counted, each once. That is
  the memory held until `backward`; it belongs to the layer whose node keeps it first.

Afterwards the model is as it was before: the training flags, the buffers, the hooks, the states of the generators.
"""

from __future__ import annotations

import contextlib
import math
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minigrad import graph
from minigrad.errors import ArgumentError, DTypeError, MinigradError
from minigrad.grad_mode import enable_grad
from minigrad.graph import Node
from minigrad.held import kept, owner
from minigrad.nn.containers import Sequential
from minigrad.nn.module import Module
from minigrad.ops.promotion import as_dtype, default_dtype
from minigrad.random import Generator, default_generator
from minigrad.tensor import Tensor, from_numpy

__all__ = ["Row", "Summary", "summary"]

# For each op that multiplies and adds: how often, from its inputs' shapes and its output's.
Shapes = Sequence[tuple[int, ...]]
_MULTIPLY_ADDS: dict[str, Callable[[Shapes, tuple[int, ...]], int]] = {
    "attention": lambda x, z: math.prod(x[0][:-1]) * x[1][-2] * (x[0][-1] + x[2][-1]),
    "conv2d": lambda x, z: math.prod(z) * math.prod(x[1][1:]),
    "conv2d_input_grad": lambda x, z: math.prod(x[0]) * math.prod(x[1][1:]),  # the transposed convolution
    "gru_layer": lambda x, z: math.prod(x[0][:-1]) * (math.prod(x[2]) + math.prod(x[3])),
    "linear": lambda x, z: math.prod(z) * x[1][1],
    "lstm_layer": lambda x, z: math.prod(x[0][:-1]) * (math.prod(x[3]) + math.prod(x[4])),
    "matmul": lambda x, z: math.prod(z) * x[0][-1],
    "packed_attention": lambda x, z: 2 * math.prod(z) * z[1],
    "rnn_layer": lambda x, z: math.prod(x[0][:-1]) * (math.prod(x[2]) + math.prod(x[3])),
}


# In place of a shape, of a layer that did not come to its end.
_UNKNOWN = "does not fit"


@dataclass
class Row:
    """One layer of the table.

    Attributes
    ----------
    name : str
        Dotted, as in `named_modules()`; '' is the model itself.
    kind : str
        The layer's class.
    input_shape, output_shape : tuple
        The shape of the tensor, or nested tuples of shapes, with None for None; of the last call.
    parameters : int
        Elements of its own parameters; those that an earlier row has counted are not counted again.
    multiply_adds : int
        Of matrix products and convolutions that it calls itself, not of its children; what works element by element
        is not counted.
    held_bytes : int
        Memory that its part of the graph keeps for backward, besides parameters, buffers and the model's inputs.
    calls : int
        How often it was called.
    """

    name: str
    kind: str
    input_shape: Any = _UNKNOWN
    output_shape: Any = _UNKNOWN
    parameters: int = 0
    multiply_adds: int = 0
    held_bytes: int = 0
    calls: int = 0


@dataclass
class Summary:
    """What `summary` found; its text is the table.

    Attributes
    ----------
    model : str
        The class of the model.
    inputs : list of str
        Shape and dtype of each input.
    rows : list of Row
        In the order of the first calls; modules that only hold others are left out.
    total_parameters, trainable_parameters, parameter_bytes : int
        Shared parameters counted once.
    multiply_adds : int
        Of one forward pass over the batch.
    held_bytes : int
        What the layers hold for backward, called one by one: the sum of the rows.
    fused_bytes : int
        What a step of the model really holds: less, where `Sequential` runs neighbours as one.
    batch_size : int or None
    """

    model: str
    inputs: list[str]
    rows: list[Row]
    total_parameters: int
    trainable_parameters: int
    parameter_bytes: int
    multiply_adds: int
    held_bytes: int
    fused_bytes: int
    batch_size: int | None

    def __str__(self) -> str:
        return "\n".join([f"{self.model} on {', '.join(self.inputs)}", "", *_table(self.rows), "", *self._totals()])

    __repr__ = __str__

    def _totals(self) -> list[str]:
        frozen = self.total_parameters - self.trainable_parameters
        parameters = f"{self.total_parameters:,}, {_size(self.parameter_bytes)}"
        products = f"{self.multiply_adds:,}"
        if self.batch_size:
            products += f", {self.multiply_adds // self.batch_size:,} a sample"
        held = _size(self.held_bytes)
        if self.fused_bytes != self.held_bytes:
            held += f"; {_size(self.fused_bytes)} as Sequential runs them"
        lines = [
            ("parameters", parameters + (f"; {frozen:,} of them frozen" if frozen else "")),
            ("multiply-adds", products),
            ("held for backward", held),
        ]
        return [f"{name:<17}  {text}" for name, text in lines]


def summary(
    model: Module,
    input_shape: Any,
    dtype: Any = None,
    batch_size: int | None = 32,
) -> Summary:
    """The layers of a model with their output shapes, parameters, multiply-adds and memory held for backward.

    Parameters
    ----------
    model : Module
        It is run in the mode that it is in, training or evaluation, and is unchanged afterwards.
    input_shape : tuple of ints, or a list with one of them for each input of the model
        Without the batch. A Tensor in place of a shape is used as it is.
    dtype : dtype, or a list with one for each input
        By default that of the model's parameters. Inputs of an integer dtype are zeros, others random.
    batch_size : int or None
        Put before each shape; None takes the shapes as they are.

    Returns
    -------
    Summary
        Its text is the table; its fields are the figures.

    Raises
    ------
    MinigradError
        Of the class that the layer raised, where something does not fit: the layer's name, what it expected and
        what it got, and the table up to it.

    Examples
    --------
    >>> from minigrad import nn
    >>> model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))
    >>> summary(model, (1, 8, 8), batch_size=2)
    Sequential on (2, 1, 8, 8) float32
    <BLANKLINE>
    layer  type     output shape  parameters  multiply-adds  held for backward
    --------------------------------------------------------------------------
    0      Conv2d   (2, 4, 6, 6)          40          2,592                0 B
    1      ReLU     (2, 4, 6, 6)           0              0            1.1 KiB
    2      Flatten  (2, 144)               0              0                0 B
    3      Linear   (2, 10)            1,450          2,880            1.1 KiB
    --------------------------------------------------------------------------
                                       1,490          5,472            2.2 KiB
    <BLANKLINE>
    parameters         1,490, 5.8 KiB
    multiply-adds      5,472, 2,736 a sample
    held for backward  2.2 KiB
    """
    if not isinstance(model, Module):
        raise DTypeError(f"summary: expected a Module, got {type(model).__name__}.")
    if batch_size is not None and (isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1):
        raise ArgumentError(f"summary: expected batch_size as a positive integer or None, got {batch_size!r}.")
    inputs = _inputs(model, input_shape, dtype, batch_size)
    described = [f"{x.shape} {x.dtype.name}" for x in inputs]
    watch = _Watch(model)
    with _without_a_trace(model), enable_grad():
        given = {id(owner(x.data)) for x in (*inputs, *model.parameters(), *model.buffers())}
        try:
            with watch.watching():
                outputs = model(*inputs)
        except MinigradError as error:
            raise watch.explained(error) from error
        held = sum(size for row, size in watch.held(outputs, given))
        del outputs
        fused = held
        if any(isinstance(module, Sequential) for module in model.modules()):  # it may fuse where nobody watches
            fused = sum(size for _, size in kept(model(*inputs), given))
    parameters = list(model.parameters())
    return Summary(
        model=type(model).__name__,
        inputs=described,
        rows=watch.shown(),
        total_parameters=sum(p.numel() for p in parameters),
        trainable_parameters=sum(p.numel() for p in parameters if p.requires_grad),
        parameter_bytes=sum(p.data.nbytes for p in parameters),
        multiply_adds=sum(row.multiply_adds for row in watch.rows.values()),
        held_bytes=held,
        fused_bytes=fused,
        batch_size=batch_size,
    )


# ---- inputs ----------------------------------------------------------------------------------------------------------


def _inputs(model: Module, input_shape: Any, dtype: Any, batch_size: int | None) -> list[Tensor]:
    several = isinstance(input_shape, list | tuple) and any(isinstance(s, list | tuple | Tensor) for s in input_shape)
    shapes = list(input_shape) if several else [input_shape]
    dtypes = list(dtype) if isinstance(dtype, list | tuple) else [dtype] * len(shapes)
    if len(dtypes) != len(shapes):
        raise ArgumentError(f"summary: expected one dtype, or {len(shapes)} for the inputs, got {len(dtypes)}.")
    usual = next((p.dtype for p in model.parameters()), default_dtype)
    rng = np.random.default_rng(0)
    made = []
    for shape, wanted in zip(shapes, dtypes, strict=True):
        if isinstance(shape, Tensor):
            made.append(shape)
            continue
        whole = isinstance(shape, list | tuple) and all(isinstance(n, int) and n >= 0 for n in shape)
        if not whole:
            raise ArgumentError(f"summary: expected a shape such as (1, 28, 28), or a list of them, got {shape!r:.60}.")
        size = tuple(shape) if batch_size is None else (batch_size, *shape)
        kind = usual if wanted is None else as_dtype(wanted)
        made.append(from_numpy((rng.normal(size=size) if kind.kind == "f" else np.zeros(size)).astype(kind)))
    return made


# ---- watching a forward pass -----------------------------------------------------------------------------------------


class _Watch:
    """Which layer is running, which op it calls, which node it makes."""

    def __init__(self, model: Module) -> None:
        self.model = model
        self.rows: dict[Module, Row] = {}  # in the order of the first calls
        self.names = {module: name for name, module in model.named_modules()}
        self.running: list[Module] = []
        self.row_of: weakref.WeakKeyDictionary[Node, Row] = weakref.WeakKeyDictionary()
        self.before = graph.observer

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        handles = []
        try:
            for module in self.names:
                handles.append(module.register_forward_pre_hook(self.enter))
                handles.append(module.register_forward_hook(self.leave, prepend=True))
            graph.observer = self.note
            yield
        finally:
            graph.observer = self.before
            for handle in handles:
                handle.remove()

    def enter(self, module: Module, inputs: tuple) -> None:
        row = self.rows.setdefault(module, Row(self.names[module], type(module).__name__))
        row.calls += 1
        row.input_shape = _shape(inputs[0] if len(inputs) == 1 else inputs)
        self.running.append(module)

    def leave(self, module: Module, _inputs: tuple, output: Any) -> None:
        self.rows[module].output_shape = _shape(output)
        self.running.pop()

    def note(self, op: Any, inputs: tuple, params: dict, z: np.ndarray, node: Node | None) -> None:
        if self.before is not None:
            self.before(op, inputs, params, z, node)
        if not self.running:
            return
        row = self.rows[self.running[-1]]
        if node is not None:
            self.row_of[node] = row
        count = _MULTIPLY_ADDS.get(op.name)
        if count is not None:
            row.multiply_adds += count([getattr(x, "shape", ()) for x in inputs], z.shape)

    def held(self, outputs: Any, given: set[int]) -> list[tuple[Row, int]]:
        """What the nodes keep, entered into the rows."""
        root = self.rows[self.model]
        found = [(self.row_of.get(node, root), size) for node, size in kept(outputs, given)]
        for row, size in found:
            row.held_bytes += size
        return found

    def shown(self) -> list[Row]:
        """The rows that say something: layers, and what does work of its own or has parameters."""
        seen: set[Any] = set()
        for row in self.rows.values():
            row.parameters = 0
        for name, module in self.model.named_modules():
            row_of_user = self._nearest_called(name, module)
            for parameter in module.parameters(recurse=False):
                if parameter not in seen and row_of_user is not None:
                    seen.add(parameter)
                    row_of_user.parameters += parameter.numel()
        return [
            row
            for module, row in self.rows.items()
            if not any(True for _ in module.children()) or row.parameters or row.multiply_adds or row.held_bytes
        ]

    def _nearest_called(self, name: str, module: Module) -> Row | None:
        """The row of the module or, if it was not called itself, that of the one around it which uses its weights."""
        while module not in self.rows:
            if not name:
                return None
            name = name.rpartition(".")[0]
            module = self.model.get_submodule(name)
        return self.rows[module]

    def explained(self, error: MinigradError) -> MinigradError:
        """The same error, with the layer, what came to it, and the table so far."""
        module = self.running[-1] if self.running else self.model
        row = self.rows.get(module, Row(self.names[module], type(module).__name__))
        layer = f"layer {row.name!r}, {row.kind}," if row.name else f"{row.kind} itself"
        reached = [r for r in self.shown() if r.output_shape != _UNKNOWN or r is row]
        table = "\n".join(_table(reached, columns=5))  # without a result there is no graph to measure
        return type(error)(f"summary: {layer} does not take its input, of shape {row.input_shape}. {error}\n\n{table}")


def _shape(value: Any) -> Any:
    """The shape of a tensor; of a tuple or a dict of them, those of each."""
    if isinstance(value, dict):
        return {key: _shape(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return tuple(_shape(item) for item in value)
    return value.shape if isinstance(value, Tensor) else None if value is None else type(value).__name__


# ---- leaving no trace ------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _without_a_trace(model: Module) -> Iterator[None]:
    """Put back, also after an error, what a forward pass changes: modes, buffers, states of generators."""
    modules = list(model.modules())
    modes = [(module, module.training) for module in modules]
    # The pass works on copies. The buffers' own memory is never written to, so graphs that need it stay valid.
    buffers = [
        (module, name, buffer, buffer.data)
        for module in modules
        for name, buffer in module.named_buffers(recurse=False)
    ]
    generators = {default_generator: default_generator.get_state()}
    for module in modules:
        for value in vars(module).values():
            if isinstance(value, Generator):
                generators[value] = value.get_state()
    for _, _, buffer, data in buffers:
        buffer.data = data.copy()
    try:
        yield
    finally:
        for module, name, buffer, data in buffers:
            buffer.data = data
            setattr(module, name, buffer)
        for module, mode in modes:
            module.training = mode
        for generator, state in generators.items():
            generator.set_state(state)


# ---- words -----------------------------------------------------------------------------------------------------------


def _size(number: float) -> str:
    """Bytes in a unit that leaves few digits."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024 or unit == "GiB":
            break
        number /= 1024
    return f"{number:.0f} B" if unit == "B" else f"{number:.1f} {unit}"


def _table(rows: Iterable[Row], columns: int = 6) -> list[str]:
    head = ["layer", "type", "output shape", "parameters", "multiply-adds", "held for backward"][:columns]
    rows = list(rows)
    body: list[list[str]] = [
        [
            (row.name or "(itself)") + (f" x{row.calls}" if row.calls > 1 else ""),
            row.kind,
            str(row.output_shape),
            f"{row.parameters:,}",
            f"{row.multiply_adds:,}",
            _size(row.held_bytes),
        ][:columns]
        for row in rows
    ]
    totals = [
        *("", "", ""),
        f"{sum(row.parameters for row in rows):,}",
        f"{sum(row.multiply_adds for row in rows):,}",
        _size(sum(row.held_bytes for row in rows)),
    ][:columns]
    widths = [max(len(line[i]) for line in (head, totals, *body)) for i in range(len(head))]

    def aligned(line: Sequence[str]) -> str:
        cells = [
            text.ljust(w) if i < 3 else text.rjust(w) for i, (text, w) in enumerate(zip(line, widths, strict=True))
        ]
        return "  ".join(cells).rstrip()

    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    return [aligned(head), rule, *map(aligned, body), rule, aligned(totals)]
