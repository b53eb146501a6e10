"""A backward pass that is watched: which nodes it goes through, and how large the gradients are.

`explain` and `draw` show what is found here. The pass keeps the graph and writes no `.grad`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minigrad import backward
from minigrad.errors import DTypeError, GraphError
from minigrad.graph import Node, Variable
from minigrad.tensor import Tensor

__all__ = ["Step", "Trace", "trace"]


@dataclass(frozen=True)
class Step:
    """One node of the pass.

    Attributes
    ----------
    node : Node
    norm : float or None
        The Euclidean norm of the gradient of its output; None where no gradient arrived.
    input_norms : the norm of what its rule gave each input, None where it gave nothing
    """

    node: Node
    norm: float | None
    input_norms: tuple[float | None, ...]


@dataclass(frozen=True)
class Trace:
    """A watched backward pass.

    Attributes
    ----------
    root : Node or Tensor
    steps : the nodes in the order of the pass, from the root back
    leaves : the leaves in the order in which they were reached, each with the norm of its whole gradient
    names : what to call a leaf, by its id
    """

    root: Any
    steps: list[Step]
    leaves: list[tuple[Any, float | None]]
    names: dict[int, str]

    def name(self, leaf: Any) -> str:
        """What the caller calls the leaf, else "leaf"."""
        return self.names.get(id(leaf), "leaf")


def trace(root: Tensor, gradient: Tensor | None = None, names: Mapping[str, Tensor] | None = None) -> Trace:
    """Run the backward pass of `root` and note what happens at each node.

    Parameters
    ----------
    root : Tensor
        With one element, unless `gradient` is given.
    gradient : Tensor, optional
        The upstream gradient of the root.
    names : mapping from names to Tensors, optional
        What to call the leaves, such as `dict(model.named_parameters())`.

    Raises
    ------
    GraphError
        As `backward` does: no gradient required, not a scalar, or the graph was freed.
    """
    if not isinstance(root, Tensor):
        raise DTypeError(f"trace: expected a Tensor, got {type(root).__name__}.")
    nodes, leaves = _reachable(root)
    seen: dict[Node, Step] = {}

    def note(node: Node, g: Any, input_gradients: Sequence[Any]) -> None:
        norms = tuple(None if edge is None else _norm(gx) for edge, gx in zip(node.edges, input_gradients, strict=True))
        seen[node] = Step(node, _norm(g), norms)

    # A tensor that retains its gradient would get this pass's too.
    retained = [(tensor, tensor._grad) for node in nodes if node.retained and (tensor := node.retained()) is not None]
    before, backward.observer = backward.observer, note
    try:
        found = backward.run([root], [gradient], leaves, retain_graph=True)
    finally:
        backward.observer = before
        for tensor, grad in retained:
            tensor._grad = grad
    return Trace(
        root if root.node is None else root.node,
        [seen.get(node) or Step(node, None, (None,) * len(node.edges)) for node in reversed(nodes)],
        [(leaf, _norm(g)) for leaf, g in zip(leaves, found, strict=True)],
        {id(tensor): name for name, tensor in (names or {}).items()},
    )


def _reachable(root: Tensor) -> tuple[list[Node], list[Any]]:
    """The nodes below the root by ascending birth, and the leaves that they lead to."""
    start = root if root.node is None else root.node
    if not root.requires_grad:
        raise GraphError("trace: this tensor does not require a gradient, so there is no graph to show.")
    seen: dict[Any, None] = {start: None}
    stack: list[Any] = [start]
    while stack:
        edge = stack.pop()
        for below in edge.edges if isinstance(edge, Node) else ():
            if below is not None and below not in seen:
                seen[below] = None
                stack.append(below)
    nodes = sorted((edge for edge in seen if isinstance(edge, Node)), key=lambda node: node.birth)
    return nodes, [edge for edge in seen if isinstance(edge, Variable)]


def _norm(g: Any) -> float | None:
    if g is None:
        return None
    return float(np.linalg.norm(np.asarray(g._data if isinstance(g, Variable) else g, np.float64)))
