"""Convolutions and poolings of random configurations against PyTorch: what a table of cases may have left out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import nn

Drawn = tuple[dict[str, Any], tuple[int, ...]]


def size_after(n: int, k: int, s: int, p: int, d: int) -> int:
    return (n + 2 * p - d * (k - 1) - 1) // s + 1


def a_convolution(rng: np.random.Generator, dims: int) -> Drawn:
    while True:
        groups = int(rng.choice([1, 1, 2, 3]))
        kernel, stride, dilation, padding = (
            rng.integers(*range_, dims).tolist() for range_ in ((1, 5), (1, 4), (1, 4), (0, 4))
        )
        size = rng.integers(3, 9, dims).tolist()
        mode = str(rng.choice(["zeros", "reflect", "replicate", "circular"]))
        fits = min(map(size_after, size, kernel, stride, padding, dilation)) >= 1
        if fits and (mode == "zeros" or max(np.subtract(padding, size)) < 0):
            break
    options: dict[str, Any] = {"in_channels": groups * int(rng.integers(1, 3)), "bias": bool(rng.integers(2))}
    options |= {"out_channels": groups * int(rng.integers(1, 4)), "groups": groups, "padding_mode": mode}
    options |= {"kernel_size": tuple(kernel), "stride": tuple(stride)}
    options |= {"dilation": tuple(dilation), "padding": tuple(padding)}
    return options, (int(rng.integers(1, 4)), options["in_channels"], *size)


def a_transposed_convolution(rng: np.random.Generator, dims: int) -> Drawn:
    while True:
        options, shape = a_convolution(rng, dims)
        room = np.maximum(options["stride"], options["dilation"])
        extra = rng.integers(0, room)
        of = (options[key] for key in ("kernel_size", "stride", "dilation", "padding"))
        geometry = zip(shape[2:], *of, strict=True)
        least = [(n - 1) * s - 2 * p + d * (k - 1) + 1 for n, k, s, d, p in geometry]
        if min(np.add(least, extra)) >= 1:
            return {**options, "padding_mode": "zeros", "output_padding": tuple(extra.tolist())}, shape


def a_max_pooling(rng: np.random.Generator, dims: int) -> Drawn:
    while True:
        kernel, stride, dilation, size = (
            rng.integers(*range_, dims).tolist() for range_ in ((1, 5), (1, 5), (1, 4), (3, 10))
        )
        padding = [int(rng.integers(0, k // 2 + 1)) for k in kernel]
        if min(map(size_after, size, kernel, stride, padding, dilation)) >= 1:
            break
    options: dict[str, Any] = {"ceil_mode": bool(rng.integers(2))}
    options |= {"kernel_size": tuple(kernel), "stride": tuple(stride)}
    options |= {"dilation": tuple(dilation), "padding": tuple(padding)}
    return options, (int(rng.integers(1, 4)), int(rng.integers(1, 4)), *size)


def an_average_pooling(rng: np.random.Generator, dims: int) -> Drawn:
    while True:
        options, shape = a_max_pooling(rng, dims)
        del options["dilation"]
        fits = map(size_after, shape[2:], options["kernel_size"], options["stride"], options["padding"], (1,) * dims)
        if min(fits) >= 1:
            break
    options["count_include_pad"] = bool(rng.integers(2))
    if dims == 2 and rng.integers(3) == 0:
        options["divisor_override"] = int(rng.integers(1, 9))
    return options, shape


def an_adaptive_pooling(rng: np.random.Generator, dims: int) -> Drawn:
    wanted = rng.integers(1, 8, dims).tolist()
    size = rng.integers(1, 10, dims).tolist()
    return {"output_size": tuple(wanted) if dims == 2 else wanted[0]}, (2, 2, *size)


DRAWS = {
    "Conv": a_convolution,
    "ConvTranspose": a_transposed_convolution,
    "MaxPool": a_max_pooling,
    "AvgPool": an_average_pooling,
    "AdaptiveAvgPool": an_adaptive_pooling,
    "AdaptiveMaxPool": an_adaptive_pooling,
}


@pytest.mark.parametrize("dims", [1, 2])
@pytest.mark.parametrize("kind", DRAWS)
def test_forty_random_configurations_agree_with_pytorch(kind: str, dims: int) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng([dims, *kind.encode()])
    for _ in range(40):
        options, shape = DRAWS[kind](rng, dims)
        theirs = getattr(torch.nn, f"{kind}{dims}d")(**options).double()
        ours = getattr(nn, f"{kind}{dims}d")(**options).double()
        ours.load_state_dict(theirs.state_dict())
        x = rng.permutation(int(np.prod(shape))).reshape(shape) / 7.0  # all different: one maximum in each window
        our_x, their_x = minigrad.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        y, expected = ours(our_x), theirs(their_x)
        assert y.shape == tuple(expected.shape), (options, shape)
        g = rng.normal(size=y.shape)
        y.backward(minigrad.tensor(g))
        expected.backward(torch.tensor(g))
        pairs = [(y.detach(), expected.detach()), (our_x.grad, their_x.grad)]
        pairs += [(p.grad, q.grad) for p, q in zip(ours.parameters(), theirs.parameters(), strict=True)]
        for mine, other in pairs:
            scale = max(1.0, float(other.abs().max()))
            np.testing.assert_allclose(
                mine.numpy(), other.numpy(), rtol=1e-10, atol=1e-11 * scale, err_msg=f"{options} {shape}"
            )
