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

from minigrad import graph
from minigrad.backward import run
from minigrad.graph import Variable, enable_grad, op, wrap
from minigrad.kernels.jit import get_num_threads, jit_disabled
from minigrad.ops.conv import conv2d
from minigrad.ops.fused import conv2d_relu_max_pool2d, linear_relu
from minigrad.ops.linalg import linear
from minigrad.ops.promotion import same_float
from minigrad.ops.recorded import recorded_gradients
from minigrad.ops.samples import Sample, draw
from minigrad.ops.select import relu
from minigrad.ops.shape import flatten
from minigrad.places import Into

__all__ = ["Link", "Networks", "chain", "one_by_one"]

# Of so many layouts of its input a chain has networks; with more than that it begins again.
_MOST_LAYOUTS = 16


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
        return one_by_one(links, x, weights), {"bases": None}
    z, bases = found
    return z, {"bases": bases}


@chain.vjp
def chain(g: Any, z: Any, x: Any, *weights: Any, links: Sequence[Link], network: Any = None, bases: Any) -> tuple:
    if bases is not None and isinstance(g, np.ndarray):
        back = network.backward(g, bases)
        return (back.input_grad, *back.weight_grads(Into))
    return gradients_one_by_one(links, g, x, *weights)


def gradients_one_by_one(links: Sequence[Link], g: Any, *inputs: Any) -> tuple:
    """The gradients of the inputs of a chain, by the rules of its single operations; None for a bias that is not there.

    Of Tensors they are Tensors, which can be differentiated again; of arrays they are arrays.
    """

    def compute(x: Any, *weights: Any) -> Any:
        return one_by_one(links, x, weights)

    if not isinstance(g, np.ndarray):
        return recorded_gradients(compute, g, inputs)
    leaves = [None if a is None else wrap(a).requires_grad_() for a in inputs]
    with enable_grad():
        found = iter(run([compute(*leaves)], [wrap(g)], [leaf for leaf in leaves if leaf is not None]))
    return tuple(None if leaf is None else next(found)._data for leaf in leaves)


class Networks:
    """The networks of a chain, for each layout of its input that comes for the second time.

    For one batch it is not worth it; and who looks at a graph once sees the single operations.
    """

    def __init__(self, links: Sequence[Link]) -> None:
        self.links = links
        self._seen: set[Any] = set()
        self._networks: dict[Any, Any] = {}  # None where there are no kernels for it

    def find(self, x: Any, weights: Sequence[Any]) -> Any:
        """The network for x and these weights, all of them Tensors; None if the operations should run one by one.

        They do under `minigrad.debug()`, which looks at each.
        """
        if graph.observer is not None or not isinstance(x, Variable):
            return None
        data = x._data
        key = data.shape, data.strides, data.dtype, get_num_threads()
        try:
            return self._networks[key]
        except KeyError:
            pass
        if key not in self._seen:
            if len(self._seen) >= _MOST_LAYOUTS:
                self._seen.clear()
                self._networks.clear()
            self._seen.add(key)
            return None
        made = None if jit_disabled() else self._planned(data, weights)
        self._networks[key] = made
        return made

    def _planned(self, x: np.ndarray, weights: Sequence[Any]) -> Any:
        from minigrad.kernels.network import network  # brings Numba with it

        layers = [(link.op.__name__, link.weights, link.options) for link in self.links]
        return network(layers, x, [None if w is None else w._data for w in weights])


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
