"""The backward pass in words: `print(explain(loss))`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minigrad.errors import ArgumentError
from minigrad.graph import Node
from minigrad.listing import formula, gradient_formulas, input_names, rule_place
from minigrad.tensor import Tensor
from minigrad.tracing import Step, Trace, trace

__all__ = ["Explanation", "explain"]

_WIDTH = 120


class Explanation(str):
    """A text that a notebook or the prompt shows with its line breaks."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def explain(
    root: Tensor,
    gradient: Tensor | None = None,
    names: Mapping[str, Tensor] | None = None,
    max_nodes: int = 100,
) -> Explanation:
    """Walk through the backward pass of `root`, node by node, and say what each rule does.

    The pass is really run, so the norms are those that `root.backward()` gives; the graph is kept and no `.grad` is
    written. Hooks are called, since they are part of the pass.

    Parameters
    ----------
    root : Tensor
        A loss, or any tensor with a `gradient`.
    gradient : Tensor, optional
        The upstream gradient, of the root's shape.
    names : mapping from names to Tensors, optional
        What to call the leaves, such as `dict(model.named_parameters())`.
    max_nodes : int
        Of a longer graph the first `max_nodes` of the pass are shown, and all leaves.

    Returns
    -------
    str
        For each node: the op and its formula, the line of code that made it (when it was made under
        `minigrad.debug()`), the norm of the gradient that arrives, the rule, and where its results go.

    Examples
    --------
    >>> import minigrad
    >>> w = minigrad.tensor(0.5, requires_grad=True)
    >>> explain((w * w).exp(), names={"w": w})  # doctest: +ELLIPSIS
    Backward from exp: 2 nodes, 1 leaf.
    <BLANKLINE>
     1  exp  ()               z = e^x
        arrives  |g| = 1
        rule     g_x = g * z                          minigrad/ops/exponential.py:...
        gives    x: |g| = 1.284  to 2 mul
    <BLANKLINE>
     2  mul  ()               z = x y
        arrives  |g| = 1.284
        rule     g_x = g * y                          minigrad/ops/arithmetic.py:...
                 g_y = g * x
        gives    x: |g| = 0.642  to leaf w
                 y: |g| = 0.642  to leaf w
    <BLANKLINE>
    Leaves
        w  ()  |grad| = 1.284
    """
    if max_nodes < 1:
        raise ArgumentError(f"explain: expected max_nodes >= 1, got {max_nodes}.")
    seen = trace(root, gradient, names)
    numbers = {step.node: i for i, step in enumerate(seen.steps, start=1)}
    start = seen.root.name if isinstance(seen.root, Node) else f"leaf {seen.name(seen.root)}"
    blocks = [f"Backward from {start}: {_count(len(seen.steps), 'node')}, {_count(len(seen.leaves), 'leaf')}."]
    blocks += [_block(step, numbers, seen) for step in seen.steps[:max_nodes]]
    if len(seen.steps) > max_nodes:
        blocks.append(f"... {len(seen.steps) - max_nodes} more nodes; explain(loss, max_nodes=...) shows them.")
    blocks.append("\n".join(["Leaves", *(_leaf_line(leaf, norm, seen) for leaf, norm in seen.leaves)]))
    return Explanation("\n\n".join(blocks))


def _block(step: Step, numbers: dict[Node, int], seen: Trace) -> str:
    node = step.node
    head = f"{numbers[node]:2}  {node.name}  {_shape(node)}"
    lines = [f"{head:<26}{formula(node.op)}".rstrip()]
    if "links" in node.params:  # of a chain
        names = ", ".join(link.op.__name__ for link in node.params["links"])
        lines.append(f"    as one   {names}; nn.no_fusion() shows every layer")
    if node.line:
        lines.append(f"    made at  {node.line}")
    lines.append(f"    arrives  {_norm(step.norm)}")
    rule = list(gradient_formulas(node.op)) or ["see there"]
    place = rule_place(node.op)
    first, *others = rule
    width = max(36, *map(len, rule))
    lines.append(f"    rule     {first:<{width}} {place}".rstrip())
    lines += [f"             {other}" for other in others]
    word = "gives"
    for name, edge, norm in zip(_input_names(node), node.edges, step.input_norms, strict=True):
        if edge is not None:
            where = f"{numbers[edge]} {edge.name}" if isinstance(edge, Node) else _called(seen, edge)
            lines.append(f"    {word:<8} {name}: {_norm(norm):<12} to {where}")
            word = ""
    return "\n".join(_cut(line) for line in lines)


def _leaf_line(leaf: Any, norm: float | None, seen: Trace) -> str:
    return f"    {seen.name(leaf)}  {_shape(leaf)}  {_norm(norm).replace('|g|', '|grad|')}"


def _called(seen: Trace, leaf: Any) -> str:
    name = seen.name(leaf)
    return f"{name} {_shape(leaf)}" if name == "leaf" else f"leaf {name}"


def _input_names(node: Node) -> list[str]:
    """The names of the op's inputs; those of a list are numbered."""
    names = input_names(node.op)
    if len(names) == len(node.edges):
        return names
    return [f"{names[-1] if names else 'x'}[{i}]" for i in range(len(node.edges))]


def _shape(x: Any) -> str:
    return str(tuple(x.shape)) if x.dtype.name == "float32" else f"{x.dtype.name} {tuple(x.shape)}"


def _norm(norm: float | None) -> str:
    return "no gradient" if norm is None else f"|g| = {norm:.4g}"


def _count(n: int, what: str) -> str:
    plural = {"leaf": "leaves"}.get(what, f"{what}s")
    return f"{n} {what if n == 1 else plural}"


def _cut(line: str) -> str:
    return line if len(line) <= _WIDTH else line[: _WIDTH - 4] + " ..."
