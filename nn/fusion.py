"""Which layers run as one: the only place where minigrad chooses a fused kernel over the single ones.

`Sequential` asks `steps` what to call. Neighbours in the table below are called together, because one pass over
memory does the work of all of them; everything else is called layer by layer.

    Conv2d, ReLU, MaxPool2d       conv2d_relu_max_pool2d
    ReLU, MaxPool2d               relu_max_pool2d
    Linear, ReLU                  linear_relu

The results are the same, bit for bit, and so are the gradients, but for those of a 3x3 convolution of 16 channels or
more before max-pooling. They differ in the last digits, because `kernels/conv_winners.py` adds up what won its window
number by number, and without the pooling `kernels/conv_winograd.py` adds up tiles; and where all is not finite, because
the zeros of the losers are not multiplied, and zero times infinity would be NaN. Layers are left alone when
somebody wants to see what passes between them, through a forward hook, when a subclass may do something else, and
inside `no_fusion()`:

    with nn.no_fusion():
        model(x)          # every layer on its own
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any

from minigrad.errors import MinigradError
from minigrad.nn.activation import ReLU
from minigrad.nn.arguments import sides
from minigrad.nn.convolution import Conv2d
from minigrad.nn.linear import Linear
from minigrad.nn.module import Module
from minigrad.nn.pooling import MaxPool2d
from minigrad.ops.fused import conv2d_relu_max_pool2d, linear_relu, relu_max_pool2d
from minigrad.tensor import Tensor

__all__ = ["no_fusion", "steps"]

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


def steps(layers: Sequence[Module]) -> Sequence[Step]:
    """What to call one after another in place of `layers`: the layers themselves, or one function for several."""
    if not _allowed.get() or _FIRST.isdisjoint(map(type, layers)):
        return layers
    chosen: list[Step] = []
    i = 0
    while i < len(layers):
        step, count = _first_step(layers, i)
        chosen.append(step)
        i += count
    return chosen


def _first_step(layers: Sequence[Module], i: int) -> tuple[Step, int]:
    """The step that begins with layer i, and how many layers it does."""
    for kinds, fits, together in _BEGINNING_WITH.get(type(layers[i]), ()):
        run = layers[i : i + len(kinds)]
        # Exact classes: a subclass may have a forward of its own.
        if tuple(map(type, run)) == kinds and not any(map(_is_watched, run)) and fits(*run):
            return functools.partial(_together, together, run), len(run)
    return layers[i], 1


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
    border = _sides(conv.padding, conv.kernel_size, conv.stride, conv.dilation, "Conv2d")
    return conv2d_relu_max_pool2d(
        x,
        conv.weight,
        conv.bias,
        stride=conv.stride,
        padding=border,
        dilation=conv.dilation,
        groups=conv.groups,
        kernel_size=pool.kernel_size,
    )


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


def _always(_linear: Any, _relu: Any) -> bool:
    return True


def _linear_relu(linear: Any, _relu: Any, x: Tensor) -> Tensor:
    return linear_relu(x, linear.weight, linear.bias)


# The layers, what must hold of them, and what runs in their place.
_Fusion = tuple[tuple[type[Module], ...], Callable[..., bool], Callable[..., Tensor]]
_FUSIONS: list[_Fusion] = [
    ((Conv2d, ReLU, MaxPool2d), _touching_windows, _conv2d_relu_max_pool2d),
    ((ReLU, MaxPool2d), _plain_pool, _relu_max_pool2d),
    ((Linear, ReLU), _always, _linear_relu),
]
_BEGINNING_WITH: dict[type[Module], list[_Fusion]] = {}
for _fusion in _FUSIONS:
    _BEGINNING_WITH.setdefault(_fusion[0][0], []).append(_fusion)
_FIRST = frozenset(_BEGINNING_WITH)
