"""Layers that run as one give the bits of the layers alone, and step aside when somebody looks between them."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad
from minigrad import nn
from minigrad.errors import MinigradError

RNG = np.random.default_rng(0)

# layers, input shape, dtype: the CNN's pair, unequal sides, an odd image, stride, groups, no bias, ReLU and pool alone.
NETS = {
    "conv-relu-pool": (lambda: [nn.Conv2d(3, 20, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)], (5, 3, 12, 12)),
    "same": (lambda: [nn.Conv2d(2, 5, (2, 3), padding="same"), nn.ReLU(), nn.MaxPool2d((2, 3))], (4, 2, 9, 11)),
    "stride": (lambda: [nn.Conv2d(1, 8, 5, stride=2), nn.ReLU(), nn.MaxPool2d(2)], (3, 1, 28, 28)),
    "groups": (lambda: [nn.Conv2d(4, 8, 3, groups=2, bias=False), nn.ReLU(), nn.MaxPool2d(3)], (2, 4, 11, 8)),
    "dilation": (lambda: [nn.Conv2d(2, 16, 3, dilation=2), nn.ReLU(), nn.MaxPool2d(2)], (2, 2, 13, 13)),
    "overlapping": (lambda: [nn.Conv2d(2, 4, 3), nn.ReLU(), nn.MaxPool2d(3, 2, 1)], (2, 2, 12, 12)),
    "relu-pool": (lambda: [nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True)], (3, 5, 7, 7)),
    "linear-relu": (lambda: [nn.Linear(7, 9), nn.ReLU(), nn.Linear(9, 4, bias=False), nn.ReLU(inplace=True)], (5, 7)),
    "wide linear-relu": (lambda: [nn.Linear(300, 90), nn.ReLU()], (2, 64, 300)),
    "twice": (
        lambda: [
            nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(8, 17, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        ],
        (4, 1, 28, 28),
    ),
}  # fmt: skip


def op_names(z):
    names, stack = [], [z.node]
    while stack:
        node = stack.pop()
        names.append(node.name)
        stack.extend(edge for edge in node.edges if hasattr(edge, "op"))
    return names


def results(net, x, g):
    x = minigrad.tensor(x, requires_grad=True)
    net.zero_grad()
    z = net(x)
    z.backward(minigrad.tensor(g(z.shape), dtype=z.dtype))
    return op_names(z), [z.data, x.grad.data, *(p.grad.data.copy() for p in net.parameters())]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NETS)
def test_fused_layers_give_the_same_bits(name, dtype):
    layers, shape = NETS[name]
    minigrad.manual_seed(1)
    net = nn.Sequential(*layers()).to(getattr(minigrad, dtype))
    x = RNG.standard_normal(shape).astype(dtype)
    x[0] = 0  # ties
    upstream = np.random.default_rng(2)
    seed = upstream.bit_generator.state

    def g(shape):
        upstream.bit_generator.state = seed
        return upstream.standard_normal(shape)

    names, fused = results(net, x, g)
    with nn.no_fusion():
        single_names, single = results(net, x, g)
    assert len(names) < len(single_names)
    for a, b in zip(fused, single, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_hook_sees_what_passes_between_the_layers():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2))
    seen = []
    handle = net[1].register_forward_hook(lambda module, inputs, output: seen.append(output.shape))
    x = minigrad.randn(1, 1, 8, 8)
    watched = net(x)
    assert seen == [(1, 2, 6, 6)]
    handle.remove()
    assert minigrad.equal(net(x), watched)
    assert len(seen) == 1
    assert op_names(net(x)) == ["conv2d_relu_max_pool2d"]


def test_a_subclass_keeps_its_own_forward():
    class Shifted(nn.ReLU):
        def forward(self, x):
            return super().forward(x - 1)

    net = nn.Sequential(nn.Conv2d(1, 2, 3), Shifted(), nn.MaxPool2d(2))
    x = minigrad.randn(1, 1, 8, 8)
    want = nn.functional.max_pool2d((net[0](x) - 1).relu(), 2)
    assert minigrad.equal(net(x), want)


def test_one_image_without_a_batch_is_pooled_too():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2))
    x = minigrad.randn(1, 1, 8, 8)
    assert minigrad.equal(net(x[0]), net(x)[0])


def test_errors_are_those_of_the_layers():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2))
    for x in (minigrad.randn(2, 3, 8, 8), minigrad.randn(8, 8), minigrad.randn(1, 1, 2, 2), minigrad.randn(1, 1, 3, 3)):
        with pytest.raises(MinigradError) as fused:
            net(x)
        with nn.no_fusion(), pytest.raises(MinigradError) as single:
            net(x)
        assert type(fused.value) is type(single.value)
        assert str(fused.value) == str(single.value)


def test_the_fused_operation_can_be_differentiated_twice():
    minigrad.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)).double()
    x = minigrad.tensor(RNG.standard_normal((2, 1, 6, 6)), requires_grad=True)

    def second():
        (first,) = minigrad.autograd.grad((net(x) ** 3).sum(), x, create_graph=True)
        return minigrad.autograd.grad((first**2).sum(), [x, net[0].weight])

    fused = second()
    with nn.no_fusion():
        for a, b in zip(fused, second(), strict=True):
            np.testing.assert_allclose(a.data, b.data, rtol=1e-12)
