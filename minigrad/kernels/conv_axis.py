"""Which rows of the input a row of the result is made of, along one axis of a convolution.

Going forward, row i of the result meets row i*s + p*d - pad of the input through row p of the kernel.

Going back, row h of the input collects from the rows i with h = i*s + p*d - pad. For stride 1 that is a convolution of
g with the kernel turned around. For stride s, the rows h that leave the remainder r when divided by s meet only those
kernel rows p for which r + pad - p*d is divisible by s, and for those

    i = (h - r) / s + (r + pad - p*d) / s

so each remainder is a *phase*: a convolution with some of the kernel's rows, at stride 1, that fills every s-th row.
No product with an inserted zero is ever computed. The forward pass is one phase.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Axis", "Phase", "backward_axis", "forward_axis"]

Pair = tuple[int, int]


class Phase(NamedTuple):
    """One axis of a phase: output rows `first, first + out_step, ...` and the kernel rows that they meet.

    `taps` are pairs (kernel row, row of x minus `step` times the phase row).
    """

    first: int
    length: int
    taps: tuple[Pair, ...]


class Axis(NamedTuple):
    """The phases of one axis; from one phase row to the next it is `step` rows in x and `out_step` rows in y."""

    step: int
    out_step: int
    phases: tuple[Phase, ...]

    @property
    def length(self) -> int:
        """The most rows in a phase."""
        return max(phase.length for phase in self.phases)

    @property
    def low(self) -> int:
        """The first row of x that phase row 0 meets."""
        return min((e for phase in self.phases for _, e in phase.taps), default=0)

    @property
    def span(self) -> int:
        """The rows of x from the first to the last that one phase row meets."""
        return max((e for phase in self.phases for _, e in phase.taps), default=0) - self.low + 1


def forward_axis(count: int, kernel: int, stride: int, pad: int, dilation: int) -> Axis:
    """The axis of a forward convolution with `count` outputs: i meets i*s + p*d - pad.

    Examples
    --------
    >>> forward_axis(4, kernel=3, stride=2, pad=1, dilation=1).phases
    (Phase(first=0, length=4, taps=((0, -1), (1, 0), (2, 1))),)
    """
    return Axis(stride, 1, (Phase(0, count, tuple((p, p * dilation - pad) for p in range(kernel))),))


def backward_axis(size: int, kernel: int, stride: int, pad: int, dilation: int) -> Axis:
    """The axis of an input gradient with `size` rows: h = q*s + r meets q + (r + pad - p*d) / s where that is whole.

    Examples
    --------
    >>> for phase in backward_axis(7, kernel=3, stride=2, pad=1, dilation=1).phases:
    ...     print(phase)
    Phase(first=0, length=4, taps=((1, 0),))
    Phase(first=1, length=3, taps=((0, 1), (2, 0)))
    """
    phases = []
    for r in range(min(stride, size)):
        meets = [(p, r + pad - p * dilation) for p in range(kernel)]
        taps = tuple((p, e // stride) for p, e in meets if e % stride == 0)
        phases.append(Phase(r, -(-(size - r) // stride), taps))
    return Axis(1, stride, tuple(phases))
