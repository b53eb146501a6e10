"""What a layer says about arguments and inputs that do not fit: which layer, what it expected, what came."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import nn
from minigrad.errors import ArgumentError, DTypeError, ShapeError

z = minigrad.zeros
Case = tuple[Callable[[], Any], type, str]

CONSTRUCTORS: list[Case] = [
    (lambda: nn.Linear(0, 3), ArgumentError, "Linear: expected positive numbers of features, got 0, 3"),
    (lambda: nn.Linear("3", 2), ArgumentError, "Linear: .*got '3', 2"),  # type: ignore[arg-type]
    (lambda: nn.Linear(2.0, 2), ArgumentError, "Linear: .*got 2.0, 2"),  # type: ignore[arg-type]
    (lambda: nn.Conv1d(3, 4, 3, groups=2), ArgumentError, "Conv1d: .*divides, got in_channels=3, out_.*groups=2"),
    (lambda: nn.Conv2d(4, 5, 3, groups=2), ArgumentError, "Conv2d: .*divides, got in_channels=4, out_channels=5"),
    (lambda: nn.ConvTranspose2d(3, 4, 3, groups=2), ArgumentError, "ConvTranspose2d: .*groups divides"),
    (lambda: nn.Conv2d(0, 4, 3), ArgumentError, "Conv2d: in_channels: expected an integer of at least 1, got 0"),
    (lambda: nn.Conv2d(3, 4, 0), ArgumentError, "Conv2d: kernel_size: expected an integer of at least 1"),
    (lambda: nn.Conv2d(3, 4, (3, 3, 3)), ArgumentError, r"Conv2d: kernel_size: .*or 2 of them, got \(3, 3, 3\)"),
    (lambda: nn.Conv1d(3, 4, (3, 3)), ArgumentError, r"Conv1d: kernel_size: .*got \(3, 3\)"),  # type: ignore[arg-type]
    (lambda: nn.Conv2d(3, 4, 3, stride=0), ArgumentError, "Conv2d: stride: expected an integer of at least 1.*got 0"),
    (lambda: nn.Conv2d(3, 4, 3, stride=1.5), ArgumentError, "Conv2d: stride: .*got 1.5"),  # type: ignore[arg-type]
    (lambda: nn.Conv2d(3, 4, 3, dilation=0), ArgumentError, "Conv2d: dilation: expected an integer of at least 1"),
    (lambda: nn.Conv2d(3, 4, 3, padding=-1), ArgumentError, "Conv2d: padding: expected an integer of at least 0"),
    (lambda: nn.Conv2d(3, 4, 3, padding="sane"), ArgumentError, "Conv2d: .*'same', 'valid' or numbers, got 'sane'"),
    (lambda: nn.Conv1d(3, 4, 3, 2, padding="same"), ArgumentError, "Conv1d: padding='same' needs stride 1"),
    (lambda: nn.Conv2d(3, 4, 3, padding_mode="mirror"), ArgumentError, "Conv2d: .*'circular', got 'mirror'"),
    (lambda: nn.ConvTranspose2d(3, 4, 3, padding_mode="reflect"), ArgumentError, "padding_mode 'zeros', got 'reflect'"),
    (lambda: nn.ConvTranspose1d(3, 4, 3, output_padding=1), ArgumentError, r"ConvTranspose1d: .*below.*got \(1,\)"),
    (lambda: nn.ConvTranspose2d(3, 4, 3, padding="same"), ArgumentError, "ConvTranspose2d: padding: .*got 'same'"),  # type: ignore[arg-type]
    (lambda: nn.MaxPool2d(0), ArgumentError, "MaxPool2d: kernel_size: expected an integer of at least 1.*got 0"),
    (lambda: nn.MaxPool2d(2, padding=2), ArgumentError, r"MaxPool2d: padding is at most half the kernel, got \(2, 2\)"),
    (lambda: nn.AvgPool1d(3, padding=2), ArgumentError, r"AvgPool1d: padding is at most half the kernel, got \(2,\)"),
    (lambda: nn.MaxPool1d(2, stride=0), ArgumentError, "MaxPool1d: stride: expected an integer of at least 1"),
    (lambda: nn.MaxPool2d(2, dilation=0), ArgumentError, "MaxPool2d: dilation: expected"),
    (lambda: nn.AvgPool2d(2, divisor_override=0), ArgumentError, "AvgPool2d: divisor_override: expected an integer"),
    (lambda: nn.AdaptiveAvgPool2d(0), ArgumentError, "AdaptiveAvgPool2d: output_size: expected an integer of at least"),
    (lambda: nn.AdaptiveMaxPool2d((2, 3, 4)), ArgumentError, r"AdaptiveMaxPool2d: output_size: .*got \(2, 3, 4\)"),
    (lambda: nn.AdaptiveAvgPool1d(None), ArgumentError, "AdaptiveAvgPool1d: output_size: .*got None"),
    (lambda: nn.Flatten("1"), ArgumentError, "Flatten: start_dim: expected an integer"),  # type: ignore[arg-type]
    (lambda: nn.Unflatten(1, 5), ArgumentError, "Unflatten: .*as a tuple of ints, got 5"),  # type: ignore[arg-type]
    (lambda: nn.Unflatten(1, (-1, -1)), ArgumentError, r"Unflatten: expected at most one -1.*got \(-1, -1\)"),
]

CALLS: list[Case] = [
    (lambda: nn.Linear(3, 2)(z(4, 5)), ShapeError, r"expected input \(..., 3\).*got \(4, 5\).*\[in Linear\("),
    (lambda: nn.Conv1d(3, 4, 3)(z(2, 1, 8)), ShapeError, r"expected input with 3 channels.*got 1.*\[in Conv1d\(3, 4"),
    (lambda: nn.Conv2d(3, 4, 3)(z(2, 1, 8, 8)), ShapeError, r"expected input with 3 channels.*got 1.*\[in Conv2d\(3"),
    (
        lambda: nn.Conv2d(4, 4, 3, groups=2)(z(2, 2, 8, 8)),
        ShapeError,
        r"4 channels for weight \(4, 2, 3, 3\) and groups=2, got 2",
    ),
    (lambda: nn.ConvTranspose2d(3, 4, 3)(z(2, 1, 8, 8)), ShapeError, r"with 3 channels.*got 1.*\[in ConvTranspose2d\("),
    (lambda: nn.Conv1d(1, 4, 5)(z(2, 1, 3)), ShapeError, r"kernel of 5 .*longer than input \(2, 1, 3\).*\[in Conv1d\("),
    (
        lambda: nn.Conv2d(1, 4, 5)(z(2, 1, 3, 3)),
        ShapeError,
        r"\(2, 1, 3, 3\) is 3 .*a kernel of size 5.*\[in Conv2d\(1, 4, ker",
    ),
    (lambda: nn.Conv2d(1, 4, 3)(z(8, 8)), ShapeError, r"images \(N, C, H, W\).*got shape \(8, 8\).*\[in Conv2d\("),
    (lambda: nn.Conv1d(1, 4, 3)(z(1, 1, 8, 8)), ShapeError, r"signals \(N, C, L\).*got shape \(1, 1, 8, 8\)"),
    (lambda: nn.ConvTranspose1d(1, 4, 3)(z(8)), ShapeError, r"signals \(N, C, L\).*\(8,\).*\[in ConvTranspose1d\("),
    (lambda: nn.MaxPool2d(2)(z(8, 8)), ShapeError, r"images \(N, C, H, W\).*\[in MaxPool2d\("),
    (lambda: nn.MaxPool2d(5)(z(1, 4, 4)), ShapeError, r"window of \(5, 5\).*does not fit.*\[in MaxPool2d\(kernel"),
    (lambda: nn.AvgPool2d(5)(z(2, 1, 4, 4)), ShapeError, r"window of \(5, 5\).*\(2, 1, 4, 4\).*\[in AvgPool2d\("),
    (lambda: nn.MaxPool1d(5)(z(2, 1, 4)), ShapeError, r"does not fit.*\[in MaxPool1d\("),
    (lambda: nn.AdaptiveAvgPool2d(2)(z(2, 1, 0, 4)), ShapeError, r"at least one pixel.*\[in AdaptiveAvgPool2d\("),
    (lambda: nn.AdaptiveMaxPool1d(2)(z(4)), ShapeError, r"signals \(N, C, L\).*\[in AdaptiveMaxPool1d\("),
    (
        lambda: nn.Conv2d(1, 1, 3, padding=4, padding_mode="reflect")(z(1, 4, 4)),
        ShapeError,
        r"too large to reflect a length of 4.*\[in Conv2d\(",
    ),
    (
        lambda: nn.Conv1d(1, 1, 3, padding=5, padding_mode="circular")(z(1, 4)),
        ShapeError,
        r"too large to circular a length of 4.*\[in Conv1d\(",
    ),
    (
        lambda: nn.ConvTranspose2d(1, 1, 3, stride=2)(z(1, 4, 4), output_size=(20, 9)),
        ShapeError,
        r"output_size from \(9, 9\) to \(10, 10\) for input \(1, 4, 4\), got \(20, 9\).*\[in ConvTranspose2d\(",
    ),
    (
        lambda: nn.ConvTranspose2d(1, 1, 3)(z(1, 4, 4), output_size=(9,)),
        ShapeError,
        r"expected output_size of 2 or 3 numbers, got \(9,\)",
    ),
    (lambda: nn.ConvTranspose2d(1, 1, 2, padding=3)(z(1, 4, 4)), ShapeError, r"output would have the size \[-1, -1\]"),
    (lambda: nn.Conv2d(1, 1, 3)(z(1, 4, 4).double()), DTypeError, r"one dtype, got float64, float32.*\[in Conv2d\("),
    (lambda: nn.Conv2d(1, 1, 3)(z(1, 4, 4).long()), DTypeError, r"one dtype, got int64.*\[in Conv2d\("),
    (lambda: nn.Unflatten(1, (2, 5))(z(3, 12)), ShapeError, r"length 12, which is not \(2, 5\).*\[in Unflatten\("),
    (lambda: nn.Flatten(2)(z(3, 4)), IndexError, r"flatten: .*\[in Flatten\("),
]


@pytest.mark.parametrize(("call", "error", "message"), CONSTRUCTORS, ids=[message for _, _, message in CONSTRUCTORS])
def test_bad_arguments_are_found_when_the_layer_is_made(call: Callable, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize(("call", "error", "message"), CALLS, ids=[message for _, _, message in CALLS])
def test_bad_inputs_name_the_layer_what_it_expected_and_what_came(call: Callable, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_something_else_than_a_tensor_is_told_apart() -> None:
    for layer, x in ((nn.Conv2d(1, 1, 3), np.zeros((1, 4, 4))), (nn.MaxPool2d(2), [[1.0]]), (nn.Linear(2, 2), "text")):
        with pytest.raises(DTypeError, match=r"expected.*Tensor.*\[in " + type(layer).__name__):
            layer(x)
