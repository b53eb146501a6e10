"""Sums of products, written with index letters: einsum, on top of one matrix product for each pair of operands."""

from __future__ import annotations

import math
from typing import Any

from minigrad.errors import ArgumentError, DTypeError, ShapeError
from minigrad.graph import Variable
from minigrad.ops.arrange import diagonal
from minigrad.ops.linalg import matmul
from minigrad.ops.reduce import sum
from minigrad.ops.shape import permute, reshape

__all__ = ["einsum"]

# An ellipsis stands for these, the last one for the last dimension, so that they are aligned on the right.
_ELLIPSIS = tuple(range(-64, 0))

Labels = tuple[Any, ...]  # one for each dimension: a letter, or a number out of _ELLIPSIS


def einsum(equation: str, *operands: Any) -> Any:
    """The sum over all indices that are not in the output, of the product of the operands.

    "ij,jk->ik" is the matrix product z_ik = sum_j x_ij y_jk. An index that an operand has twice runs along its
    diagonal. '...' stands for any dimensions, broadcast against each other. Without '->' the output has the indices
    that occur once, in alphabetical order, after those of '...'.

    Parameters
    ----------
    equation : str
    *operands : Tensors, or one list of them

    References
    ----------
    https://docs.pytorch.org/docs/stable/generated/torch.einsum.html

    Examples
    --------
    >>> import minigrad
    >>> x = minigrad.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> minigrad.einsum("ii", x)
    tensor(5.)
    >>> minigrad.einsum("ij,kj->ik", x, x)
    tensor([[ 5., 11.],
            [11., 25.]])
    """
    if len(operands) == 1 and isinstance(operands[0], list | tuple):
        operands = tuple(operands[0])
    if not operands or not all(isinstance(x, Variable) for x in operands):
        raise DTypeError(f"einsum: expected an equation and Tensors, got {equation!r} and {operands!r:.60}.")
    inputs, output = _parsed(equation, [x.shape for x in operands])

    lengths: dict[Any, int] = {}
    for labels, x in zip(inputs, operands, strict=True):
        for label, n in zip(labels, x.shape, strict=True):
            if lengths.get(label, 1) != 1 and n not in (1, lengths[label]):
                raise ShapeError(
                    f"einsum: index {label!r} of {equation!r} has lengths {lengths[label]} and {n} in shapes "
                    f"{', '.join(str(y.shape) for y in operands)}."
                )
            lengths[label] = n if lengths.get(label, 1) == 1 else lengths[label]

    terms = [_on_diagonals(labels, x) for labels, x in zip(inputs, operands, strict=True)]
    so_far, z = terms[0]
    for i, (labels, x) in enumerate(terms[1:], start=1):
        later = {label for rest, _ in terms[i + 1 :] for label in rest}
        so_far, z = _product(so_far, z, labels, x, lengths, wanted=later | set(output))
    so_far, z = _summed(so_far, z, set(output))
    return permute(z, tuple(so_far.index(label) for label in output))


def _parsed(equation: str, shapes: list[tuple[int, ...]]) -> tuple[list[Labels], Labels]:
    """The labels of each operand and of the output."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(shapes):
        raise ArgumentError(f"einsum: {equation!r} has {len(terms)} operands, got {len(shapes)}.")
    inputs = [_labels(term, len(shape), equation) for term, shape in zip(terms, shapes, strict=True)]
    named = [label for labels in inputs for label in labels]
    dots = tuple(label for label in _ELLIPSIS if label in named)
    if not arrow:
        return inputs, (*dots, *sorted({n for n in named if isinstance(n, str) and named.count(n) == 1}))
    output = _labels(right, len(right.replace("...", "")) + len(dots) if "..." in right else len(right), equation)
    if len(set(output)) != len(output):
        raise ArgumentError(f"einsum: the output of {equation!r} names an index twice.")
    if missing := [label for label in output if label not in named]:
        raise ArgumentError(f"einsum: no operand of {equation!r} has the output's index {missing[0]!r}.")
    return inputs, output


def _labels(term: str, ndim: int, equation: str) -> Labels:
    before, dots, after = term.partition("...")
    letters = before + after
    if letters and not (letters.isascii() and letters.isalpha()):
        raise ArgumentError(f"einsum: expected letters, '...', ',' and '->' in the equation, got {equation!r}.")
    rest = ndim - len(letters)
    if rest < 0 or (rest > 0 and not dots):
        raise ShapeError(f"einsum: {term!r} in {equation!r} names {len(letters)} dimensions of an operand with {ndim}.")
    return (*before, *(_ELLIPSIS[len(_ELLIPSIS) - rest :]), *after)


def _on_diagonals(labels: Labels, x: Any) -> tuple[Labels, Any]:
    """Each label once: `ii` becomes the diagonal of its two dimensions."""
    for label in labels:
        while labels.count(label) > 1:
            first = labels.index(label)
            second = labels.index(label, first + 1)
            if x.shape[first] != x.shape[second]:
                raise ShapeError(f"einsum: {label!r} twice needs two equal lengths, got shape {x.shape}.")
            x = diagonal(x, 0, first, second)
            labels = (*(name for i, name in enumerate(labels) if i not in (first, second)), label)
    return labels, x


def _summed(labels: Labels, x: Any, wanted: set) -> tuple[Labels, Any]:
    """x summed over the labels that nothing else has."""
    gone = tuple(i for i, label in enumerate(labels) if label not in wanted)
    return (tuple(label for label in labels if label in wanted), sum(x, gone)) if gone else (labels, x)


def _product(
    x_labels: Labels, x: Any, y_labels: Labels, y: Any, lengths: dict[Any, int], wanted: set
) -> tuple[Labels, Any]:
    """Two operands into one by a matrix product over the labels that are not wanted any more."""
    x_labels, x = _summed(x_labels, x, wanted | set(y_labels))
    y_labels, y = _summed(y_labels, y, wanted | set(x_labels))
    # A length of 1 where the other has n is repeated: to the product it is as if the dimension were not there.
    x_labels, x = _without_ones(x_labels, x, lengths, y_labels)
    y_labels, y = _without_ones(y_labels, y, lengths, x_labels)
    both = [label for label in x_labels if label in y_labels]
    batch, inner = [b for b in both if b in wanted], [b for b in both if b not in wanted]
    rows, columns = [a for a in x_labels if a not in both], [a for a in y_labels if a not in both]

    def shaped(labels: Labels, a: Any, *groups: list) -> Any:
        a = permute(a, tuple(labels.index(label) for group in groups for label in group))
        ends = [len(groups[0]), len(groups[0]) + len(groups[1])]
        return reshape(a, (*a.shape[: ends[0]], math.prod(a.shape[ends[0] : ends[1]]), math.prod(a.shape[ends[1] :])))

    sizes = dict(zip(x_labels + y_labels, x.shape + y.shape, strict=True))
    z = matmul(shaped(x_labels, x, batch, rows, inner), shaped(y_labels, y, batch, inner, columns))
    labels = (*batch, *rows, *columns)
    return labels, reshape(z, tuple(sizes[label] for label in labels))


def _without_ones(labels: Labels, x: Any, lengths: dict[Any, int], others: Labels) -> tuple[Labels, Any]:
    kept = [i for i, label in enumerate(labels) if not (x.shape[i] == 1 != lengths[label] and label in others)]
    if len(kept) == len(labels):
        return labels, x
    return tuple(labels[i] for i in kept), reshape(x, tuple(x.shape[i] for i in kept))
