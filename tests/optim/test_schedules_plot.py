"""Plots: every schedule draws itself, and the gallery draws them all, without a warning."""

from __future__ import annotations

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from minigrad.errors import ArgumentError
from minigrad.optim import schedules as s
from minigrad.optim.schedule_plot import draw_gallery, plot_gallery

matplotlib.use("Agg")


@pytest.fixture
def pyplot():
    import matplotlib.pyplot as plt

    yield plt
    plt.close("all")


@pytest.mark.parametrize(("name", "schedule", "equation"), s.gallery(), ids=s.names())
def test_every_schedule_draws_itself_without_being_told_how_far(name, schedule, equation, pyplot):
    ax = schedule.plot()
    ax.figure.canvas.draw()
    (line,) = ax.lines
    x, y = line.get_data()
    assert x[0] == 0
    assert x[-1] == pytest.approx(schedule.horizon)
    np.testing.assert_array_equal(y, schedule(x))
    assert ax.get_xlabel() == "step t"
    assert ax.get_ylabel() == "value"


def test_horizon_shows_the_whole_of_a_schedule_that_ends():
    assert s.warmup(100).then(s.cosine(0.1, 900)).horizon > 1000
    assert (2 * s.cosine(0.1, 900)).horizon > 900
    assert s.constant(0.1).horizon == 100
    assert s.exponential(0.1, gamma=1.0).horizon == 100
    assert s.inverse_time(0.1, 0.0).horizon == 100


def test_plot_takes_a_length_or_the_steps_and_draws_on_given_axes(pyplot):
    _, axes = pyplot.subplots(1, 2)
    assert s.cosine(0.1, 10).plot(50, ax=axes[0]) is axes[0]
    assert axes[0].lines[0].get_xdata()[-1] == 50
    s.cosine(0.1, 10).plot([0, 5, 10], ax=axes[1])
    np.testing.assert_allclose(axes[1].lines[0].get_ydata(), [0.1, 0.05, 0.0], atol=1e-17)
    for steps in (0, -5, [-1, 3], "many"):
        with pytest.raises(ArgumentError):
            s.cosine(0.1, 10).plot(steps, ax=axes[0])


@pytest.fixture(scope="module")
def gallery_canvas():
    canvas = FigureCanvasAgg(draw_gallery())
    canvas.draw()
    return canvas


def test_the_gallery_has_a_labelled_panel_for_each_name_and_cuts_nothing_off(gallery_canvas):
    figure, renderer = gallery_canvas.figure, gallery_canvas.get_renderer()
    panels, page = figure.axes, figure.bbox
    assert [panel.get_title(loc="left") for panel in panels] == s.names()
    boxes = [panel.get_tightbbox(renderer) for panel in panels]
    lefts = [panel.get_window_extent().x0 for panel in panels]
    for i, (panel, box) in enumerate(zip(panels, boxes, strict=True)):
        (line,) = panel.lines
        assert 0 <= line.get_ydata().min() <= line.get_ydata().max() <= panel.get_ylim()[1]
        assert page.x0 <= box.x0 < box.x1 <= page.x1
        assert page.y0 <= box.y0 < box.y1 <= page.y1
        assert not any(box.overlaps(other) for other in boxes[i + 1 :])
        # The equation stands between the frame and the name, and ends before the next panel begins.
        equation = panel.texts[0].get_window_extent(renderer)
        title = panel._left_title.get_window_extent(renderer)
        assert panel.get_window_extent().y1 < equation.y0 < equation.y1 < title.y0 + 2
        assert equation.x1 < min([left for left in lefts if left > lefts[i] + 1], default=page.x1)
    assert figure.get_supxlabel() == "step t"
    assert figure.get_supylabel() == "learning rate α_t"


def test_the_lines_are_of_the_colour_blind_safe_palette(gallery_canvas):
    assert {panel.lines[0].get_color() for panel in gallery_canvas.figure.axes} == {"#0072B2"}


def test_the_gallery_is_written_as_png(tmp_path):
    path = tmp_path / "schedules.png"
    plot_gallery(path)
    image = matplotlib.image.imread(path)
    assert min(image.shape[:2]) > 1000
    assert image[..., :3].std() > 0.05
