"""How much memory a graph keeps for the backward pass: counted, array by array."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from minigrad.graph import Node
from minigrad.tensor import Tensor

__all__ = ["kept", "owner"]


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _tensors(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)


def owner(array: np.ndarray) -> np.ndarray:
    """The array whose memory `array` looks at: a view keeps all of it."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _arrays(value: Any) -> Iterator[np.ndarray]:
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, Tensor):
        yield value.data
    elif isinstance(value, dict):
        yield from _arrays(list(value.values()))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _arrays(item)


def kept(outputs: Any, given: set[int]) -> list[tuple[Node, int]]:
    """The nodes below `outputs` by birth, and the bytes that each is the first to keep; without the `given` memory."""
    nodes: dict[Node, None] = {}
    stack: list[Any] = [tensor.grad_fn for tensor in _tensors(outputs)]
    while stack:
        node = stack.pop()
        if isinstance(node, Node) and node not in nodes:
            nodes[node] = None
            stack.extend(node.edges)
    counted = set(given)
    found = []
    for node in sorted(nodes, key=lambda node: node.birth):
        size = 0
        for array in _arrays([node.inputs, node.output, node.params, getattr(node, "saved", None)]):
            whole = owner(array)
            if id(whole) not in counted:
                counted.add(id(whole))
                size += whole.nbytes
        found.append((node, size))
    return found
