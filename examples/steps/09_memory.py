"""Step 9: the graph goes when it is not needed, without a garbage collector.

A graph holds the arrays of the forward pass; for a convolution network they are most of the memory. Python frees an
object when its last reference goes, unless references run in a circle: then it stays until the cyclic collector
comes, at a time nobody chose. A node that knows its own output (as many engines have it, for its gradient) makes such
a circle: output -> node -> output.

Here the node is a thing apart. It knows its inputs' nodes and the arrays that its rule will read, never its output:

    Tensor ──► Node ──► Nodes of the inputs          no arrow goes back

And backward frees as it goes: a node's arrays are let go as soon as its rule has run, so the memory falls while the
gradients are computed. A second backward through the same graph is then an error, which says what to do.

Next: the rules compute with arrays, so a gradient is the end of the line. Step 10 differentiates gradients.
"""

from __future__ import annotations

import gc
import itertools
import tracemalloc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

births = itertools.count()


class Node:
    """One application of an operation: its rule, what the rule reads, and where the gradients go."""

    def __init__(self, rule: Callable, saved: tuple, edges: list[Node | Tensor]) -> None:
        self.rule, self.edges, self.birth = rule, edges, next(births)
        self.saved: tuple | None = saved


class Tensor:
    def __init__(self, data: Any, node: Node | None = None) -> None:
        self.data = np.asarray(data, np.float64)
        self.grad: np.ndarray | None = None
        self.node = node  # None: a leaf, made by the user

    def tanh(self) -> Tensor:
        z = np.tanh(self.data)
        return Tensor(z, Node(lambda g, z: (g * (1 - z * z),), (z,), [self.node or self]))

    def sum(self) -> Tensor:
        rule = lambda g, shape: (np.broadcast_to(g, shape),)  # noqa: E731
        return Tensor(self.data.sum(), Node(rule, (self.data.shape,), [self.node or self]))

    def backward(self, free: bool = True) -> None:
        seen, stack, nodes = {self.node}, [self.node], []
        while stack:
            nodes.append(node := stack.pop())
            new = [edge for edge in node.edges if isinstance(edge, Node) and edge not in seen]
            seen.update(new)
            stack += new
        del seen
        if any(node.saved is None for node in nodes):
            raise RuntimeError("this graph was freed by an earlier backward; compute the loss again")
        nodes.sort(key=lambda node: node.birth)
        gradients: dict[Any, Any] = {self.node: np.ones_like(self.data)}
        while nodes:
            node = nodes.pop()
            for edge, g in zip(node.edges, node.rule(gradients.pop(node), *node.saved), strict=True):
                gradients[edge] = gradients.get(edge, 0) + g
            if free:
                node.saved = None
        for leaf, g in gradients.items():
            leaf.grad = g if leaf.grad is None else leaf.grad + g


def megabytes() -> float:
    return tracemalloc.get_traced_memory()[0] / 1e6


def main() -> None:
    gc.disable()  # from here on only reference counting frees anything
    tracemalloc.start()
    x, depth = Tensor(np.full(125_000, 0.5)), 10  # one megabyte
    empty = megabytes()
    y = x
    for _ in range(depth):
        y = y.tanh()
    full = megabytes() - empty
    loss, watched = y.sum(), weakref.ref(y.node)
    del y
    loss.backward()
    after = megabytes() - empty
    print(f"{depth} operations on 1 MB: the graph holds {full:.1f} MB, after backward {after:.1f} MB (the gradient)")

    z, slope = 0.5, 1.0
    for _ in range(depth):
        z = np.tanh(z)
        slope *= 1 - z * z
    error = np.abs(x.grad - slope).max()
    print(f"gradient {x.grad[0]:.9f}, expected {slope:.9f}")
    try:
        loss.backward()
        raise SystemExit("expected an error")
    except RuntimeError as message:
        print(f"a second backward: {message}")
    del loss
    print(f"the nodes are gone without the collector: {watched() is None}")
    gc.enable()
    tracemalloc.stop()
    if not (error < 1e-14 and full > 9.9 and after < 1.2 and watched() is None):
        raise SystemExit("memory was not freed, or the gradient is wrong")


if __name__ == "__main__":
    main()
