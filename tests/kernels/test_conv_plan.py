"""The tables of a convolution hold each product of the formula exactly once."""

from __future__ import annotations

import itertools

import pytest

from minigrad.kernels.conv_axis import backward_axis, forward_axis


def geometries(stride: int, dilation: int) -> list[tuple[int, int, int, int, int]]:
    """Sizes, kernels and paddings in which the kernel fits: (size, kernel, stride, pad, dilation)."""
    return [
        (size, kernel, stride, pad, dilation)
        for size, kernel, pad in itertools.product((1, 2, 5, 8, 11), (1, 2, 3), (0, 1, 2))
        if size + 2 * pad >= dilation * (kernel - 1) + 1
    ]


steps = pytest.mark.parametrize(("stride", "dilation"), list(itertools.product((1, 2, 3, 5), (1, 2, 3))))


def outputs(size: int, kernel: int, stride: int, pad: int, dilation: int) -> int:
    return (size + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1


@steps
def test_forward_axis_meets_the_rows_of_the_formula(stride: int, dilation: int) -> None:
    for geometry in geometries(stride, dilation):
        _, kernel, _, pad, _ = geometry
        axis = forward_axis(outputs(*geometry), kernel, stride, pad, dilation)
        met = {(i * axis.step + e, p, i) for phase in axis.phases for p, e in phase.taps for i in range(phase.length)}
        assert met == {
            (i * stride + p * dilation - pad, p, i) for i in range(outputs(*geometry)) for p in range(kernel)
        }


@steps
def test_backward_axis_is_the_forward_axis_read_from_the_other_end(stride: int, dilation: int) -> None:
    for geometry in geometries(stride, dilation):
        size, kernel, _, pad, _ = geometry
        count = outputs(*geometry)
        axis = backward_axis(size, kernel, stride, pad, dilation)
        met = [
            (phase.first + q * axis.out_step, p, q * axis.step + e)
            for phase in axis.phases
            for q in range(phase.length)
            for p, e in phase.taps
            if 0 <= q * axis.step + e < count
        ]
        forward = [
            (i * stride + p * dilation - pad, p, i)
            for i in range(count)
            for p in range(kernel)
            if 0 <= i * stride + p * dilation - pad < size
        ]
        assert sorted(met) == sorted(forward)


@steps
def test_phases_fill_every_row_of_the_input_once(stride: int, dilation: int) -> None:
    for size, kernel, _, pad, _ in geometries(stride, dilation):
        axis = backward_axis(size, kernel, stride, pad, dilation)
        rows = [phase.first + q * axis.out_step for phase in axis.phases for q in range(phase.length)]
        assert sorted(rows) == list(range(size))
