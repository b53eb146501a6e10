"""The backward walk: from a result back to the leaves, once through each node.

1. Collect the nodes that the result depends on, with a stack: no recursion, so depth does not matter.
2. Sort them by birth. An input is always born before the output, so going through them in descending order
   reaches a node only after everything that used it: its gradient is complete.
3. At each node, call the rule and add what it returns to the gradients of the node's inputs. A leaf adds it to
   `.grad`.

    z = x * y;  L = z + z          births:  mul 1, add 2
    add:  g = 1        -> z gets 1, and once more 1: together 2
    mul:  g = 2        -> x.grad = 2 y,  y.grad = 2 x

What can be found wrong before the first gradient is computed (a freed node, an array changed in place) is found in
step 1, and `.grad` is written when all gradients are there: an error leaves every `.grad` as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigrad.errors import DTypeError, GraphError, ShapeError
from minigrad.graph import Node, Variable, wrap
from minigrad.ops.cast import cast
from minigrad.ops.shape import sum_to
from minigrad.places import Into, free_slot, place
from minigrad.quiet import quietly
from minigrad.versions import last_change, mark_changed

Edge = Node | Variable

# Called with (node, upstream gradient, gradients of its inputs) at each node while somebody watches the pass.
observer: Callable[[Node, Any, Sequence[Any]], None] | None = None


def run(
    roots: Sequence[Any],
    gradients: Sequence[Any],
    wanted: Sequence[Any] | None = None,
    retain_graph: bool = False,
    create_graph: bool = False,
) -> list[Any]:
    """Differentiate sum_k <gradients[k], roots[k]>.

    Parameters
    ----------
    roots : Tensors that require a gradient
    gradients : for each root its upstream gradient, a Tensor of its shape; None stands for 1 and needs a scalar root
    wanted : Tensors, optional
        The tensors whose gradients to return; no `.grad` is touched then. Without it, gradients are added to the
        `.grad` of every leaf, and the result is empty.
    retain_graph : keep the graph for another pass
    create_graph : record the pass itself, so that the gradients can be differentiated; it keeps the graph too

    Returns
    -------
    list of Tensors, or None where a wanted tensor does not influence the roots

    Raises
    ------
    GraphError
        For a root without a gradient, a non-scalar root without `gradients`, a graph that was freed, or a saved
        array that was changed in place.
    """
    sums = _Sums(create_graph)
    for root, gradient in zip(roots, gradients, strict=True):
        sums.add(_edge(root), _seed(root, gradient, create_graph))

    targets = None if wanted is None else [_edge(tensor, "an input of grad()") for tensor in wanted]
    order, reach = _collect(list(sums.of), targets)
    kept = set(targets or ())
    found: dict[Edge, Any] = {}
    retained: list[tuple[Any, Any]] = []
    watch = observer

    with quietly(recording=create_graph):
        while order:
            node = order.pop()  # the youngest; the list lets go of it
            g = sums.of.pop(node, None)
            if g is not None:  # None: every path to this node ended in a rule that gave None
                if node.hooks:
                    g = _call_hooks(node.hooks, g)
                if node.retained is not None and (tensor := node.retained()) is not None:
                    retained.append((tensor, g))
                if node in kept:
                    found[node] = g
                if reach is not None and reach.isdisjoint(node.edges):
                    continue  # a wanted tensor from which no path leads to another: its rule is not needed
                input_gradients = _apply(node, g, create_graph)
                if watch is not None:
                    input_gradients = tuple(gx() if callable(gx) else gx for gx in input_gradients)
                    watch(node, g, input_gradients)
                for edge, gx in zip(node.edges, input_gradients, strict=True):
                    if edge is not None and gx is not None and (reach is None or edge in reach):
                        if type(gx) is Into:
                            gx = gx.write(None if targets is not None or edge in sums.of else place(edge))
                        sums.add(edge, gx() if callable(gx) else gx, node)
            if not (retain_graph or create_graph):
                node.free()

        # A node that is left is a root from which no path leads to a wanted tensor.
        ends = [(leaf, g) for leaf, g in sums.of.items() if isinstance(leaf, Variable)]
        leaves = [(leaf, _call_hooks(leaf._hooks, g) if leaf._hooks else g) for leaf, g in ends]
        for tensor, g in retained if targets is not None else retained + leaves:
            accumulate(tensor, g)

    if targets is None:
        return []
    found.update(leaves)
    # Copies: a gradient may be a view of another one, or of an array that the graph still needs.
    return [g if g is None or isinstance(g, Variable) else wrap(np.array(g)) for g in map(found.get, targets)]


def run_into_grad(
    roots: Sequence[Any],
    gradients: Sequence[Any],
    inputs: Sequence[Any] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
) -> None:
    """Add the gradients to `.grad` of every leaf, or of `inputs` alone; the parameters are those of `run`."""
    retain_graph = bool(create_graph if retain_graph is None else retain_graph)
    inputs = None if inputs is None else list(inputs)
    found = run(roots, gradients, inputs, retain_graph, create_graph)
    for tensor, g in zip(inputs or (), found, strict=True):
        # To a computed tensor that retains its gradient the pass has added it already.
        if g is not None and not (isinstance(tensor.node, Node) and tensor.node.retained):
            accumulate(tensor, g if create_graph else g._data)


class _Sums:
    """The gradients on their way: for each edge, the sum of what has arrived."""

    def __init__(self, create_graph: bool) -> None:
        self.of: dict[Any, Any] = {}
        self.create_graph = create_graph
        self._ours: set[Edge] = set()  # the sums that we allocated, and may add to in place

    def add(self, edge: Edge, g: Any, source: Node | None = None) -> None:
        """Add `g`, after undoing the broadcasting and the promotion of the op that it came from."""
        if g.shape != edge.shape:
            try:
                g = sum_to(g, shape=edge.shape)
            except ShapeError as error:
                name = source.name if source else "backward"
                raise ShapeError(
                    f"{name}: its rule gave a gradient of shape {g.shape} for an input of shape {edge.shape}."
                ) from error
        if g.dtype != edge.dtype:
            g = cast(g, dtype=edge.dtype)
        so_far = self.of.get(edge)
        if so_far is None:
            self.of[edge] = g
        elif self.create_graph:
            self.of[edge] = so_far + g
        elif edge in self._ours:
            so_far += g
        else:
            # Not in place: the first gradient may be shared with another input (add gives both the same).
            self.of[edge] = np.asarray(so_far + g)
            self._ours.add(edge)


def _collect(roots: list[Edge], targets: list[Edge] | None) -> tuple[list[Node], set[Edge] | None]:
    """All nodes below the roots by ascending birth.

    With targets, only the nodes that lead to one, and the set of the edges worth following.
    """
    seen = set(roots)
    stack = [edge for edge in roots if isinstance(edge, Node)]
    nodes = []
    while stack:
        node = stack.pop()
        nodes.append(node)
        for edge in node.edges:
            if edge is not None and edge not in seen:
                seen.add(edge)
                if isinstance(edge, Node):
                    stack.append(edge)
    nodes.sort(key=_birth)
    reach = None
    if targets is not None:
        reach = set(targets)
        needed = []
        for node in nodes:
            if node in reach or not reach.isdisjoint(node.edges):
                reach.add(node)
                needed.append(node)
        nodes = needed
    _check(nodes, reach)
    return nodes, reach


def _birth(node: Node) -> int:
    return node.birth


def _check(nodes: list[Node], reach: set[Edge] | None) -> None:
    """Raise GraphError when a node whose rule is needed was freed, or an array that it saved was changed since."""
    changed = last_change()
    for node in nodes:
        if reach is not None and reach.isdisjoint(node.edges):
            continue
        if node.inputs is None:
            raise GraphError(
                f"backward: the graph was freed at {node.name}{node.where()}: an earlier backward pass has used it. "
                "Give retain_graph=True to the earlier call, or compute the loss again."
            )
        if node.birth < changed:
            node.check_unchanged()


def _apply(node: Node, g: Any, create_graph: bool) -> Sequence[Any]:
    """The gradients of the node's inputs, by its rule."""
    op = node.op
    if op.rule is None:
        raise GraphError(f"backward: {op.name} has no gradient rule. Add one with @{op.name}.vjp.")
    if op.once and create_graph:
        raise GraphError(
            f"backward: {op.name} is fused and can be differentiated only once, but create_graph=True was asked "
            "for. Build the expression from single operations, or leave create_graph out."
        )
    output: Any = node.output
    if create_graph and output is not None:
        output = wrap(output, node)
    answer = op.rule(g, node if output is None else output, *_read(node, create_graph), **node.params)
    if type(answer) not in (tuple, list) or len(answer) != len(node.edges):
        got = f"{len(answer)}" if isinstance(answer, tuple | list) else f"a {type(answer).__name__}"
        raise GraphError(
            f"{op.name}: expected its rule to return a tuple of {len(node.edges)} gradients, one for each input "
            f"(None where there is none), got {got}."
        )
    return answer


def _read(node: Node, create_graph: bool) -> Sequence[Any]:
    """What the rule gets as inputs: arrays or, under create_graph, Tensors that carry on the graph."""
    inputs, keeps = node.inputs, node.op._keeps_input
    if not inputs:
        return node.edges
    if not create_graph:
        return inputs if node.op._reads_all else [x if keeps[i] else node.edges[i] for i, x in enumerate(inputs)]
    return [
        (_joined(x, edge) if isinstance(x, np.ndarray) else x) if keeps[i] else edge
        for i, (x, edge) in enumerate(zip(inputs, node.edges, strict=True))
    ]


def _joined(saved: np.ndarray, edge: Edge | None) -> Any:
    """A saved array as the Tensor it was: what is computed from it leads back to where it came from."""
    if edge is None or saved.dtype == edge.dtype:
        return wrap(saved, edge)
    return cast(wrap(saved.astype(edge.dtype), edge), dtype=saved.dtype)  # the op had promoted it


def accumulate(leaf: Any, g: Any) -> None:
    """leaf.grad += g; the first gradient is copied, into the optimizer's slot where there is one."""
    if isinstance(g, Variable):
        leaf._grad = g if leaf._grad is None else leaf._grad + g
    elif leaf._grad is None:
        slot = leaf.slot if leaf.slot is not None and g is leaf.slot._data else free_slot(leaf)
        if slot is None:
            leaf._grad = wrap(np.array(g, order="C"))
        else:
            slot.fill(g)
            leaf._grad = slot
    elif leaf._grad.node is not None or not leaf._grad._data.flags.writeable:
        leaf._grad = leaf._grad + wrap(g)
    else:
        leaf._grad._data += g
        mark_changed(leaf._grad._data)  # a graph may have used the old value


def _call_hooks(hooks: dict[int, Callable[[Any], Any]], g: Any) -> Any:
    """The gradient after each hook, in the order they were registered; a hook may return another one."""
    raw = not isinstance(g, Variable)
    for hook in list(hooks.values()):
        seen: Any = _as_tensor(g)
        answer = hook(seen)
        if answer is None:
            continue
        if not isinstance(answer, Variable) or (answer.shape, answer.dtype) != (seen.shape, seen.dtype):
            got = f"{answer.dtype.name} {answer.shape}" if isinstance(answer, Variable) else type(answer).__name__
            raise ShapeError(
                f"hook {getattr(hook, '__name__', hook)!r}: expected None or a Tensor like the gradient, "
                f"{seen.dtype.name} {seen.shape}, got {got}."
            )
        g = answer._data if raw else answer
    return g


def _as_tensor(g: Any) -> Any:
    return g if g is None or isinstance(g, Variable) else wrap(np.asarray(g))


def _edge(tensor: Any, role: str = "the root of backward()") -> Edge:
    if not isinstance(tensor, Variable):
        raise DTypeError(f"backward: expected a Tensor as {role}, got {type(tensor).__name__}.")
    if not tensor._requires_grad:
        raise GraphError(
            f"backward: {role}, shape {tensor.shape}, does not require a gradient: no input of it has "
            "requires_grad=True, or it was made under no_grad()."
        )
    return tensor if tensor.node is None else tensor.node


def _seed(root: Any, gradient: Any, create_graph: bool) -> Any:
    """The upstream gradient of a root: 1 for a scalar, else what the caller gave, checked."""
    if gradient is None:
        if root._data.size != 1:
            raise GraphError(
                f"backward: the root has shape {root.shape}; without a gradient argument it must be a scalar. "
                "Reduce it first (loss.sum() or loss.mean()), or give backward(gradient) of its shape."
            )
        one = np.array(1, root._data.dtype) if root._data.ndim == 0 else np.ones_like(root._data)
        return wrap(one) if create_graph else one
    if not isinstance(gradient, Variable):
        raise DTypeError(f"backward: expected gradient to be a Tensor or None, got {type(gradient).__name__}.")
    if gradient.shape != root.shape:
        raise ShapeError(
            f"backward: the gradient has shape {gradient.shape}, the root {root.shape}; they must be the same."
        )
    return gradient if create_graph else gradient._data
