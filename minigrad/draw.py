"""A picture of the graph: `minigrad.draw(loss)`.

The nodes stand in layers, each above what uses it. An edge that spans several layers is led through a place of its own
in each, so that it passes between the boxes. The order within a layer is found by sweeping up and down and putting
every box near the middle of its neighbours, which leaves few crossings.

References
----------
Sugiyama, K., Tagawa, S., Toda, M. (1981). Methods for visual understanding of hierarchical system structures. IEEE
Transactions on Systems, Man, and Cybernetics 11(2).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

from minigrad.errors import ArgumentError
from minigrad.graph import Node
from minigrad.tensor import Tensor
from minigrad.tracing import Trace, trace

__all__ = ["draw"]

_MOST_NODES = 400
_SWEEPS = 12
# In inches: a box, the gap beside it, the distance of layers, the width of a passing edge.
_HEIGHT, _GAP, _LAYER, _PASSING = 0.46, 0.22, 0.78, 0.12
_LETTER = 0.075  # the width of a letter at size 8


class _Box:
    """A node, a leaf, or (without an edge) the place where an edge passes a layer."""

    def __init__(self, layer: int, edge: Any = None, lines: tuple[str, ...] = (), norm: float | None = None) -> None:
        self.layer = layer
        self.edge = edge
        self.lines = lines
        self.norm = norm
        self.width = max(len(line) for line in lines) * _LETTER + 0.18 if lines else _PASSING
        self.above: list[_Box] = []  # what it is computed from
        self.below: list[_Box] = []
        self.x = 0.0
        # How firmly it holds its place: a passing edge stays straight, operations form a column, leaves step aside.
        self.weight = 8.0 if edge is None else 4.0 if isinstance(edge, Node) else 0.1


def draw(
    root: Tensor,
    gradient: Tensor | None = None,
    names: Mapping[str, Tensor] | None = None,
    path: Any = None,
    ax: Any = None,
) -> Any:
    """Draw the graph of `root`: operations, shapes, and the norms of the gradients that a backward pass brings.

    Leaves stand at the top, the root at the bottom. The darker a box, the larger its gradient; a pale one far from the
    root is a gradient that vanishes. The pass is run as in `explain`: the graph is kept, no `.grad` is written.

    Parameters
    ----------
    root : Tensor
        A loss, or any tensor with a `gradient`.
    gradient : Tensor, optional
        The upstream gradient, of the root's shape.
    names : mapping from names to Tensors, optional
        What to call the leaves, such as `dict(model.named_parameters())`.
    path : str or path, optional
        Also save the picture there; the ending gives the format.
    ax : matplotlib Axes, optional
        Draw into these axes instead of a new figure of a fitting size.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ArgumentError
        For a graph of more than 400 nodes, which no page can show.

    Examples
    --------
    >>> import minigrad
    >>> w = minigrad.tensor([3.0, 4.0], requires_grad=True)
    >>> figure = draw((w * w).sum(), names={"w": w})
    >>> sorted(text.get_text() for text in figure.axes[0].texts)
    ['mul (2,)\\n|g| = 1.41', 'sum ()\\n|g| = 1', 'w (2,)\\n|g| = 10']
    """
    from matplotlib import pyplot

    seen = trace(root, gradient, names)
    count = len(seen.steps) + len(seen.leaves)
    if count > _MOST_NODES:
        raise ArgumentError(
            f"draw: the graph has {count} nodes and leaves; a picture shows at most {_MOST_NODES}. "
            "Draw a part of it, or print explain(loss)."
        )
    layers = _layered(seen)
    _ordered(layers)
    _placed(layers)
    boxes = [box for layer in layers for box in layer]
    left = min(box.x - box.width / 2 for box in boxes) - 0.15
    right = max(box.x + box.width / 2 for box in boxes) + 0.15
    top = _HEIGHT / 2 + 0.15
    bottom = -(len(layers) - 1) * _LAYER - _HEIGHT / 2 - 0.15
    if ax is None:
        figure = pyplot.figure(figsize=(right - left, top - bottom))
        ax = figure.add_axes((0, 0, 1, 1))
    ax.set_xlim(left, right)
    ax.set_ylim(bottom, top)
    ax.set_aspect("equal")
    ax.axis("off")
    shade = _shading([box.norm for box in boxes if box.norm])
    for box in boxes:
        _draw_box(ax, box, seen, shade)
        if box.edge is not None:
            for source in box.above:
                _draw_edge(ax, source, box)
    if path is not None:
        ax.figure.savefig(path, dpi=150)
    return ax.figure


# ---- where things stand ------------------------------------------------------------------------------------------


def _layered(seen: Trace) -> list[list[_Box]]:
    """Boxes in layers from the top. A node stands one layer above the highest of those that use it."""
    depth: dict[Any, int] = {seen.root: 0}
    for step in seen.steps:  # from the root back: those that use a node come before it
        for edge in step.node.edges:
            if edge is not None:
                depth[edge] = max(depth.get(edge, 0), depth[step.node] + 1)
    deepest = max(depth.values())
    boxes: dict[Any, _Box] = {}
    for step in seen.steps:
        node = step.node
        boxes[node] = _Box(deepest - depth[node], node, _labels(node.name, node, step.norm), step.norm)
    for leaf, norm in seen.leaves:
        boxes[leaf] = _Box(deepest - depth[leaf], leaf, _labels(seen.name(leaf), leaf, norm), norm)
    layers: list[list[_Box]] = [[] for _ in range(deepest + 1)]
    for box in boxes.values():
        layers[box.layer].append(box)
    for step in seen.steps:
        for edge in dict.fromkeys(step.node.edges):  # the same tensor twice is one line
            if edge is not None:
                _connect(boxes[edge], boxes[step.node], layers)
    return layers


def _labels(name: str, x: Any, norm: float | None) -> tuple[str, str]:
    dtype = "" if x.dtype.name == "float32" else f" {x.dtype.name}"
    return f"{name} {tuple(x.shape)}{dtype}", "no gradient" if norm is None else f"|g| = {norm:.3g}"


def _connect(source: _Box, target: _Box, layers: list[list[_Box]]) -> None:
    """Link two boxes through a passing place in every layer between them."""
    before = source
    for layer in range(source.layer + 1, target.layer):
        passing = _Box(layer)
        layers[layer].append(passing)
        before.below.append(passing)
        passing.above.append(before)
        before = passing
    before.below.append(target)
    target.above.append(before)


def _ordered(layers: list[list[_Box]]) -> None:
    """Sort every layer so that few lines cross: by the mean position of the neighbours, sweeping down and up."""
    for layer in layers:
        for i, box in enumerate(layer):
            box.x = float(i)
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        for layer in layers if down else reversed(layers):
            middle = {id(box): _mean([n.x for n in (box.above if down else box.below)], box.x) for box in layer}
            layer.sort(key=lambda box: middle[id(box)])
            for i, box in enumerate(layer):
                box.x = i - (len(layer) - 1) / 2


def _placed(layers: list[list[_Box]]) -> None:
    """Give every box its place from left to right: near its neighbours, in the order found, without overlap."""
    for layer in layers:
        _spread(layer, [box.x for box in layer])
    for sweep in range(4 * _SWEEPS):
        for layer in layers if sweep % 2 == 0 else reversed(layers):
            _spread(layer, [_pull(box) for box in layer])


def _pull(box: _Box) -> float:
    """Where the neighbours would have the box: their mean, each by its weight."""
    neighbours = box.above + box.below
    return sum(n.weight * n.x for n in neighbours) / sum(n.weight for n in neighbours) if neighbours else box.x


def _spread(layer: list[_Box], wanted: list[float]) -> None:
    """The places nearest to the wanted ones (in the weighted sum of squares) that keep order and distance.

    With the distances taken off, the places only have to ascend: neighbours that do not are pooled at their mean.
    """
    offsets = [0.0]
    for a, b in itertools.pairwise(layer):
        offsets.append(offsets[-1] + (a.width + b.width) / 2 + _GAP)
    pools: list[tuple[float, float, int]] = []  # (mean, weight, number of boxes)
    for box, x, offset in zip(layer, wanted, offsets, strict=True):
        mean, weight, number = x - offset, box.weight, 1
        while pools and pools[-1][0] > mean:
            other, other_weight, other_number = pools.pop()
            mean = (mean * weight + other * other_weight) / (weight + other_weight)
            weight += other_weight
            number += other_number
        pools.append((mean, weight, number))
    means = [mean for mean, _, number in pools for _ in range(number)]
    for box, mean, offset in zip(layer, means, offsets, strict=True):
        box.x = mean + offset


def _mean(values: list[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


# ---- ink ---------------------------------------------------------------------------------------------------------


def _shading(norms: list[float]) -> Any:
    """A function from a norm to a colour, on a logarithmic scale from the smallest norm here to the largest."""
    from matplotlib import colormaps

    logs = [math.log10(norm) for norm in norms if math.isfinite(norm)]
    low, high = (min(logs), max(logs)) if logs else (0.0, 0.0)
    map_ = colormaps["Blues"]

    def shade(norm: float | None) -> Any:
        if norm is None:
            return "white"
        if not math.isfinite(norm):
            return "#f4a6a0"
        part = 0.0 if norm == 0 else 0.5 if high == low else (math.log10(norm) - low) / (high - low)
        return map_(0.05 + 0.4 * part)

    return shade


def _draw_box(ax: Any, box: _Box, seen: Trace, shade: Any) -> None:
    from matplotlib.patches import FancyBboxPatch

    if box.edge is None:
        return
    y = -box.layer * _LAYER
    is_leaf = not isinstance(box.edge, Node)
    ax.add_patch(
        FancyBboxPatch(
            (box.x - box.width / 2, y - _HEIGHT / 2),
            box.width,
            _HEIGHT,
            boxstyle=f"round,pad=0,rounding_size={0.2 if is_leaf else 0.05}",
            facecolor=shade(box.norm),
            edgecolor="#b35900" if is_leaf else "#1f3a5f",
            linewidth=2.0 if is_leaf or box.edge is seen.root else 1.0,
            zorder=2,
        )
    )
    ax.text(box.x, y, "\n".join(box.lines), ha="center", va="center", fontsize=8, linespacing=1.3, zorder=3)


def _draw_edge(ax: Any, source: _Box, target: _Box) -> None:
    """A curve down from the box where the edge begins, through its passing places, to the target's upper side."""
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path

    points = [target]
    while source.edge is None:
        points.append(source)
        source = source.above[0]
    points.append(source)
    points.reverse()
    x, y = points[0].x, -points[0].layer * _LAYER - _HEIGHT / 2
    vertices, codes = [(x, y)], [Path.MOVETO]
    for box in points[1:]:
        passing = box.edge is None
        x_end = box.x
        y_end = -box.layer * _LAYER + (_HEIGHT / 2)
        bend = (y - y_end) / 2
        vertices += [(x, y - bend), (x_end, y_end + bend), (x_end, y_end)]
        codes += [Path.CURVE4] * 3
        x, y = x_end, y_end
        if passing:
            y = -box.layer * _LAYER - _HEIGHT / 2
            vertices.append((x, y))
            codes.append(Path.LINETO)
    arrow = FancyArrowPatch(
        path=Path(vertices, codes), arrowstyle="-|>", mutation_scale=9, color="#555555", linewidth=0.9, zorder=1
    )
    ax.add_patch(arrow)
