"""Which layers run as one: the only place where minigrad chooses a fused kernel over the single ones.

`Sequential` calls its layers through a `Runner`, which calls neighbours in the table below together, because one pass
over memory does the work of all of them:

    Conv2d, ReLU, MaxPool2d       conv2d_relu_max_pool2d
    ReLU, MaxPool2d               relu_max_pool2d
    Linear, ReLU                  linear_relu

From the second batch of a shape on, neighbours that are nothing but convolutions, linear layers, ReLU and Flatten run
as one operation, `chain` (`ops/chain.py`): the same kernels, without Python between them. Everything else is called
layer by layer.

The results are the same, bit for bit, and so are the gradients, but for those of a 3x3 convolution of 16 channels or
more before max-pooling. They differ in the last digits, because `kernels/conv_winners.py` adds up what won its window
number by number, and without the pooling `kernels/conv_winograd.py` adds up tiles; and where all is not finite, because
the zeros of the losers are not multiplied, and zero times infinity would be NaN. Layers are left alone when
somebody wants to see what passes between them, through a forward hook, when a subclass may do something else, and
inside `no_fusion()`; under `minigrad.debug()` there are no chains:

    with nn.no_fusion():
        model(x)          # every layer on its own
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import operator
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any, NamedTuple

from minigrad.errors import MinigradError
from minigrad.nn.activation import ReLU
from minigrad.nn.arguments import sides
from minigrad.nn.convolution import Conv2d
from minigrad.nn.flatten import Flatten
from minigrad.nn.linear import Linear
from minigrad.nn.module import Module
from minigrad.nn.pooling import MaxPool2d
from minigrad.ops.chain import Link, Networks, chain
from minigrad.ops.conv import conv2d
from minigrad.ops.fused import conv2d_relu_max_pool2d, linear_relu, relu_max_pool2d
from minigrad.ops.linalg import linear as ops_linear
from minigrad.ops.select import relu
from minigrad.ops.shape import flatten
from minigrad.tensor import Tensor

__all__ = ["Runner", "no_fusion"]

Step = Callable[[Tensor], Tensor]

_sides = functools.lru_cache(maxsize=64)(sides)  # a layer's own arguments, checked in each forward pass

_allowed: ContextVar[bool] = ContextVar("minigrad_fusion", default=True)


@contextlib.contextmanager
def no_fusion() -> Iterator[None]:
    """Run every layer on its own while the context lasts; also a decorator. Each Python thread has its own switch.

    Examples
    --------
    >>> import minigrad
    >>> from minigrad import nn
    >>> model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2))
    >>> x = minigrad.randn(2, 1, 8, 8)
    >>> with nn.no_fusion():
    ...     y = model(x)
    >>> minigrad.equal(model(x), y)
    True
    """
    before = _allowed.set(False)
    try:
        yield
    finally:
        _allowed.reset(before)


_revision = operator.attrgetter("_revision")


class Runner:
    """Calls layers one after another, those that can be together as one; `Sequential` keeps one for its layers.

    What it found out holds as long as none of their attributes is set, and no hook comes or goes.
    """

    def __init__(self, layers: Sequence[Module]) -> None:
        self._layers = layers
        self._revisions = sum(map(_revision, layers))
        self._steps = _with_chains(_found(layers))

    def __call__(self, x: Tensor) -> Tensor:
        for step in self._steps if _allowed.get() else self._layers:
            x = step(x)
        return x

    def holds(self) -> bool:
        """Whether it may be called again."""
        return self._revisions == sum(map(_revision, self._layers))  # they only grow

    def __reduce__(self) -> tuple:
        return type(None), ()  # a copy of a Sequential has None in its place, and finds out for itself


class _Found(NamedTuple):
    """What to call for one layer or several, and what it is in a chain, if it can be in one."""

    step: Step
    link: Link | None = None
    weights: tuple[Any, ...] = ()


def _found(layers: Sequence[Module]) -> list[_Found]:
    found: list[_Found] = []
    i = 0
    while i < len(layers):
        one, count = _first(layers, i)
        found.append(one)
        i += count
    return found


def _first(layers: Sequence[Module], i: int) -> tuple[_Found, int]:
    """What begins with layer i, and how many layers it does."""
    for kinds, fits, together, link_of in _BEGINNING_WITH.get(type(layers[i]), ()):
        run = layers[i : i + len(kinds)]
        # Exact classes: a subclass may have a forward of its own.
        if tuple(map(type, run)) == kinds and not any(map(_is_watched, run)) and fits(*run):
            step = run[0] if together is None else functools.partial(_together, together, run)
            return _Found(step, *(link_of(*run) if link_of else ())), len(run)
    return _Found(layers[i]), 1


def _with_chains(found: Sequence[_Found]) -> list[Step]:
    """The steps, with one chain in the place of neighbours that can be in one."""
    steps: list[Step] = []
    for in_chain, some in itertools.groupby(found, lambda one: one.link is not None):
        run = list(some)
        # Flatten and ReLU alone are not worth it.
        if in_chain and sum(bool(one.weights) for one in run) > 1:
            steps.append(_Chain(run))
        else:
            steps += [one.step for one in run]
    return steps


class _Chain:
    """Neighbours that run as one operation where there is a network for x, and one after another elsewhere."""

    def __init__(self, found: Sequence[_Found]) -> None:
        self._steps = [one.step for one in found]
        self._weights = [w for one in found for w in one.weights]
        self._networks = Networks([one.link for one in found if one.link is not None])

    def __call__(self, x: Tensor) -> Tensor:
        network = self._networks.find(x, self._weights)
        if network is not None:
            return chain(x, *self._weights, links=self._networks.links, network=network)
        for step in self._steps:
            x = step(x)
        return x


def _together(fused: Callable[..., Tensor], run: Sequence[Any], x: Tensor) -> Tensor:
    try:
        return fused(*run, x)
    except MinigradError:
        pass
    for layer in run:  # to have the error of the layer that it is about, with its name
        x = layer(x)
    return x


def _is_watched(layer: Module) -> bool:
    return bool(layer._forward_hooks or layer._forward_pre_hooks)


def _touching_windows(conv: Any, _relu: Any, pool: Any) -> bool:
    """Whether the kernel's windows can be pooled block by block: they lie side by side, and the border is zero."""
    return (
        pool.stride == pool.kernel_size
        and pool.padding == (0, 0)
        and conv.padding_mode == "zeros"
        and _plain_pool(_relu, pool)
        and pool.dilation == (1, 1)
        and not pool.ceil_mode
    )


def _plain_pool(_relu: Any, pool: Any) -> bool:
    return not pool.return_indices


def _conv2d_relu_max_pool2d(conv: Any, relu: Any, pool: Any, x: Tensor) -> Tensor:
    if x.ndim != 4 or x.shape[1] != conv.in_channels:
        return pool(relu(conv(x)))  # one image, or an error in the layer's own words
    return conv2d_relu_max_pool2d(x, conv.weight, conv.bias, **_geometry(conv), kernel_size=pool.kernel_size)


def _relu_max_pool2d(relu: Any, pool: Any, x: Tensor) -> Tensor:
    if x.ndim != 4:
        return pool(relu(x))
    return relu_max_pool2d(
        x,
        kernel_size=pool.kernel_size,
        stride=pool.stride,
        padding=pool.padding,
        dilation=pool.dilation,
        ceil_mode=pool.ceil_mode,
    )


def _always(*_: Any) -> bool:
    return True


def _linear_relu(linear: Any, _relu: Any, x: Tensor) -> Tensor:
    return linear_relu(x, linear.weight, linear.bias)


def _zero_border(conv: Any) -> bool:
    return conv.padding_mode == "zeros"


def _flattens_images(flatten: Any) -> bool:
    return flatten.start_dim == 1 and flatten.end_dim in (-1, 3)


# ---- what layers are in a chain: the operation, and its weights ------------------------------------------------------


def _conv_link(conv: Any) -> tuple[Link, tuple]:
    return Link(conv2d, 2, _geometry(conv)), (conv.weight, conv.bias)


def _conv_relu_pool_link(conv: Any, _relu: Any, pool: Any) -> tuple[Link, tuple]:
    options = {**_geometry(conv), "kernel_size": pool.kernel_size}
    return Link(conv2d_relu_max_pool2d, 2, options), (conv.weight, conv.bias)


def _geometry(conv: Any) -> dict[str, Any]:
    border = _sides(conv.padding, conv.kernel_size, conv.stride, conv.dilation, "Conv2d")
    return {"stride": conv.stride, "padding": border, "dilation": conv.dilation, "groups": conv.groups}


def _linear_link(linear: Any) -> tuple[Link, tuple]:
    return Link(ops_linear, 2, {}), (linear.weight, linear.bias)


def _linear_relu_link(linear: Any, _relu: Any) -> tuple[Link, tuple]:
    return Link(linear_relu, 2, {}), (linear.weight, linear.bias)


def _relu_link(_relu: Any) -> tuple[Link]:
    return (Link(relu, 0, {}),)


def _flatten_link(_flatten: Any) -> tuple[Link]:
    return (Link(flatten, 0, {"start_dim": 1}),)


class _Fusion(NamedTuple):
    """The layers, what must hold of them, what runs in their place (None: the one layer itself), and in a chain."""

    kinds: tuple[type[Module], ...]
    fits: Callable[..., bool]
    together: Callable[..., Tensor] | None
    link_of: Callable[..., tuple] | None


# The first one that fits is taken.
_FUSIONS = [
    _Fusion((Conv2d, ReLU, MaxPool2d), _touching_windows, _conv2d_relu_max_pool2d, _conv_relu_pool_link),
    _Fusion((ReLU, MaxPool2d), _plain_pool, _relu_max_pool2d, None),
    _Fusion((Linear, ReLU), _always, _linear_relu, _linear_relu_link),
    _Fusion((Conv2d,), _zero_border, None, _conv_link),
    _Fusion((Linear,), _always, None, _linear_link),
    _Fusion((ReLU,), _always, None, _relu_link),
    _Fusion((Flatten,), _flattens_images, None, _flatten_link),
]
_BEGINNING_WITH: dict[type[Module], list[_Fusion]] = {}
for _fusion in _FUSIONS:
    _BEGINNING_WITH.setdefault(_fusion.kinds[0], []).append(_fusion)
