"""minigrad.draw: what stands in the picture, and that it can be read."""

from __future__ import annotations

import itertools
import subprocess
import sys

import matplotlib
import numpy as np
import pytest

import minigrad
from minigrad.draw import draw
from minigrad.errors import ArgumentError, GraphError

matplotlib.use("Agg")
from matplotlib import pyplot


@pytest.fixture(autouse=True)
def close():
    yield
    pyplot.close("all")


def leaf(*shape):
    return minigrad.tensor(np.random.default_rng(len(shape)).standard_normal(shape), requires_grad=True)


def forty_nodes():
    """Attention-like blocks with residual edges: operations, long edges, shared leaves."""
    names = {"x": leaf(5, 8)}
    h = names["x"]
    for i in range(3):
        q, k, v = leaf(8, 8), leaf(8, 8), leaf(8, 8)
        names |= {f"block{i}.q": q, f"block{i}.k": k, f"block{i}.v": v}
        scores = ((h @ q) @ (h @ k).mT * 0.01).exp()
        h = h + (scores / scores.sum(1, keepdim=True)) @ (h @ v) * 0.1
    return (h * h).mean() + (names["block0.q"] * names["block0.q"]).sum(), names


def boxes_of(figure):
    """Each text with the rectangle around it, in data units."""
    ax = figure.axes[0]
    figure.canvas.draw()
    rounded = [patch for patch in ax.patches if patch.__class__.__name__ == "FancyBboxPatch"]
    return ax, ax.texts, rounded


def test_every_node_and_leaf_stands_in_the_picture_with_shape_and_norm():
    w = minigrad.tensor([3.0, 4.0], requires_grad=True)
    figure = draw((w * w).sum(), names={"weight": w})
    _, texts, _ = boxes_of(figure)
    assert sorted(text.get_text() for text in texts) == [
        "mul (2,)\n|g| = 1.41",
        "sum ()\n|g| = 1",
        "weight (2,)\n|g| = 10",
    ]


def test_forty_nodes_do_not_overlap_and_their_text_fits_its_box():
    loss, names = forty_nodes()
    figure = draw(loss, names=names)
    ax, texts, rounded = boxes_of(figure)
    assert len(texts) == len(rounded) >= 40
    places = [(p.get_x(), p.get_y(), p.get_x() + p.get_width(), p.get_y() + p.get_height()) for p in rounded]
    for a, b in itertools.combinations(places, 2):
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
    to_data = ax.transData.inverted()
    for text, (left, low, right, high) in zip(texts, places, strict=True):
        extent = text.get_window_extent().transformed(to_data)
        assert left <= extent.x0 <= extent.x1 <= right
        assert low <= extent.y0 <= extent.y1 <= high
    for place in places:  # inside of the picture
        assert ax.get_xlim()[0] < place[0] < place[2] < ax.get_xlim()[1]
        assert ax.get_ylim()[0] < place[1] < place[3] < ax.get_ylim()[1]
    assert min(text.get_fontsize() for text in texts) >= 8


def test_edges_lead_down_from_a_box_to_a_box_and_pass_between_the_others():
    loss, names = forty_nodes()
    ax, _, rounded = boxes_of(draw(loss, names=names))
    places = [(p.get_x(), p.get_y(), p.get_x() + p.get_width(), p.get_y() + p.get_height()) for p in rounded]
    arrows = [patch for patch in ax.patches if patch.__class__.__name__ == "FancyArrowPatch"]
    assert len(arrows) >= 40
    for arrow in arrows:
        path = arrow._path_original
        (x0, y0), (x1, y1) = path.vertices[0], path.vertices[-1]
        assert y0 > y1
        assert any(left <= x0 <= right and abs(y0 - low) < 1e-9 for left, low, right, high in places)
        assert any(left <= x1 <= right and abs(y1 - high) < 1e-9 for left, low, right, high in places)
        points = path.interpolated(1).to_polygons(closed_only=False)[0][1:-1]
        for x, y in points:
            assert not any(
                left + 0.02 < x < right - 0.02 and low + 0.02 < y < high - 0.02 for left, low, right, high in places
            )


def test_a_chain_is_a_straight_column_with_its_leaves_beside_it():
    x = minigrad.tensor(np.ones((2, 6)))
    h = x
    for _ in range(4):
        h = ((h @ leaf(6, 6)) + leaf(6)).exp() * 0.01
    _, texts, _ = boxes_of(draw(h.sum()))
    columns = [text.get_position()[0] for text in texts if not text.get_text().startswith("leaf")]
    assert max(columns) - min(columns) < 0.6


def test_a_larger_gradient_is_darker():
    w = minigrad.tensor(1.0, requires_grad=True)
    y = w
    for _ in range(5):
        y = y * 10.0
    _, texts, rounded = boxes_of(draw(y))
    by_height = sorted(zip([t.get_position()[1] for t in texts], [p.get_facecolor() for p in rounded], strict=True))
    brightness = [sum(colour[:3]) for _, colour in by_height]
    assert brightness == sorted(brightness, reverse=True)  # from the root up: 1, 10, ..., 100000
    assert brightness[0] > brightness[-1]


def test_it_writes_no_grad_and_keeps_the_graph():
    w = minigrad.tensor([3.0, 4.0], requires_grad=True)
    loss = (w * w).sum()
    draw(loss)
    assert w.grad is None
    loss.backward()
    assert w.grad.tolist() == [6.0, 8.0]


def test_the_picture_is_saved_where_asked(tmp_path):
    w = minigrad.tensor([3.0, 4.0], requires_grad=True)
    draw((w * w).sum(), path=tmp_path / "graph.png")
    assert (tmp_path / "graph.png").read_bytes().startswith(b"\x89PNG")
    draw((w * w).sum(), path=tmp_path / "graph.svg")
    assert b"<svg" in (tmp_path / "graph.svg").read_bytes()


def test_it_draws_into_given_axes():
    figure, axes = pyplot.subplots(1, 2)
    w = minigrad.tensor([3.0, 4.0], requires_grad=True)
    assert draw((w * w).sum(), ax=axes[1]) is figure
    assert len(axes[1].texts) == 3
    assert len(axes[0].texts) == 0


def test_a_graph_too_large_for_a_page_is_refused_with_a_remedy():
    w = minigrad.tensor(1.0, requires_grad=True)
    y = w
    for _ in range(500):
        y = y * 1.0
    with pytest.raises(ArgumentError, match=r"501 nodes and leaves.*explain"):
        draw(y)


def test_what_has_no_graph_is_refused():
    with pytest.raises(GraphError, match="does not require a gradient"):
        draw(minigrad.ones(2))


def test_importing_it_does_not_import_matplotlib():
    code = "import sys; from minigrad import draw, explain, debug, autograd; print('matplotlib' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
