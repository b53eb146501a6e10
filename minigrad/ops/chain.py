"""A row of layers as one operation, for networks whose kernels take less time than finding them.

    chain    z = f_n(... f_2(f_1(x, W_1, b_1), W_2, b_2) ...)

Each f is one of the operations of `ops/conv.py`, `ops/fused.py`, `ops/linalg.py`; `nn/fusion.py` decides when a chain
stands in for them. In an ordinary pass it runs the same kernels with the same plans, written down once for a shape of x
(`kernels/network.py`), so the results and the gradients are those of the single operations, bit for bit. Whatever was
not planned for (another dtype, `create_graph`) is done by the single operations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from minigrad.backward import run
from minigrad.graph import enable_grad, op, wrap
from minigrad.ops.conv import conv2d
from minigrad.ops.fused import conv2d_relu_max_pool2d, linear_relu
from minigrad.ops.linalg import linear
from minigrad.ops.promotion import same_float
from minigrad.ops.recorded import recorded_gradients
from minigrad.ops.samples import Sample, draw
from minigrad.ops.select import relu
from minigrad.ops.shape import flatten
from minigrad.places import Into

__all__ = ["Link", "chain", "one_by_one"]


class Link(NamedTuple):
    """One operation of a chain.

    Attributes
    ----------
    op : what to call with the input, its weights and its options
    weights : how many of the chain's weights are its own; None stands for a bias that is not there
    options : its keyword arguments
    """

    op: Callable[..., Any]
    weights: int
    options: dict[str, Any]


def one_by_one(links: Sequence[Link], x: Any, weights: Sequence[Any]) -> Any:
    """The chain as single operations, of Tensors or of arrays."""
    given = iter(weights)
    for link in links:
        x = link.op(x, *islice(given, link.weights), **link.options)
    return x


@op(prepare=same_float)
def chain(x: np.ndarray, /, *weights: np.ndarray | None, links: Sequence[Link], network: Any = None) -> Any:
    """z = f_n(... f_2(f_1(x, W_1, b_1), W_2, b_2) ...)"""
    found = None if network is None else network.forward(x, weights)
    if found is None:
        return one_by_one(links, x, weights), {"memory": None}
    z, memory = found
    return z, {"memory": memory}


@chain.vjp
def chain(g: Any, z: Any, x: Any, *weights: Any, links: Sequence[Link], network: Any = None, memory: Any) -> tuple:
    if memory is not None and isinstance(g, np.ndarray):
        back = network.backward(g, z, x, weights, memory)
        wanted = [found and (Into(found[0]) if found[1] else found[0]) for found in back.weight_grads()]
        return (back.input_grad, *wanted)

    def compute(x: Any, *weights: Any) -> Any:
        return one_by_one(links, x, weights)

    if not isinstance(g, np.ndarray):
        return recorded_gradients(compute, g, (x, *weights))
    leaves = [None if w is None else wrap(w).requires_grad_() for w in (x, *weights)]
    with enable_grad():
        found = iter(run([compute(*leaves)], [wrap(g)], [leaf for leaf in leaves if leaf is not None]))
    return tuple(None if leaf is None else next(found)._data for leaf in leaves)


_POOLED = Link(conv2d_relu_max_pool2d, 2, {"padding": ((1, 1), (1, 1)), "kernel_size": (2, 2)})
_CONV, _STRIDED = Link(conv2d, 2, {}), Link(conv2d, 2, {"stride": (2, 2)})
_RELU, _FLAT = Link(relu, 0, {}), Link(flatten, 0, {"start_dim": 1})
_LINEAR, _LINEAR_RELU = Link(linear, 2, {}), Link(linear_relu, 2, {})


@chain.sampled
def _samples() -> list[Sample]:
    image, w, b = draw(2, 1, 4, 4), draw(2, 1, 3, 3, seed=1), draw(2, seed=2)
    return [
        Sample(image, w, b, draw(3, 8, seed=3), draw(3, seed=4), links=(_POOLED, _FLAT, _LINEAR)),
        Sample(image, w, None, draw(2, 2, 1, 1, seed=2), b, links=(_CONV, _RELU, _STRIDED)),
        Sample(draw(5, 4), draw(3, 4, seed=1), None, draw(2, 3, seed=2), b, links=(_LINEAR_RELU, _LINEAR)),
        Sample(draw(5, 4), draw(2, 4, seed=1), b, draw(3, 2, seed=3), None, links=(_LINEAR_RELU, _LINEAR_RELU)),
        Sample(draw(0, 4), draw(2, 4, seed=1), b, draw(2, 2, seed=3), b, links=(_LINEAR, _LINEAR)),
    ]
