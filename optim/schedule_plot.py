"""The gallery: every named schedule in one figure of small multiples."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from minigrad.optim.schedule_base import LINE_COLOUR, PLOT_POINTS
from minigrad.optim.schedules import gallery

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_gallery", "plot_gallery"]

COLUMNS = 4


def draw_gallery(lr: float = 0.1, total_steps: int = 1000) -> Figure:
    """Return a figure with one panel for each named schedule, all on the same scales.

    Parameters
    ----------
    lr : float
        The learning rate at the peak.
    total_steps : int
        The length of the run that the schedules are built for.
    """
    # A Figure of its own needs no display and no pyplot state, and is freed with its last reference.
    from matplotlib.figure import Figure

    entries = gallery(lr, total_steps)
    rows = -(-len(entries) // COLUMNS)
    figure = Figure(figsize=(4.0 * COLUMNS, 2.75 * rows), layout="constrained")
    panels = figure.subplots(rows, COLUMNS, sharex=True, sharey=True)
    # The last step of the run is the one before total_steps, where a repeating schedule would begin anew.
    steps = np.linspace(0.0, total_steps, PLOT_POINTS)[:-1]
    for panel, (name, schedule, equation) in zip(panels.flat, entries, strict=False):
        values = schedule(steps)
        panel.fill_between(steps, values, color=LINE_COLOUR, alpha=0.12, linewidth=0)
        panel.plot(steps, values, color=LINE_COLOUR, linewidth=1.8)
        cases = equation.replace("; ", "\n")
        text = panel.text(0.0, 1.03, cases, transform=panel.transAxes, fontsize=8, verticalalignment="bottom")
        # The title's pad keeps room for it; as a part of the layout its width would shrink the panel.
        text.set_in_layout(False)
        panel.set_title(name, fontsize=12, fontweight="bold", loc="left", pad=32 if "\n" in cases else 19)
        panel.grid(alpha=0.3)
        panel.tick_params(labelbottom=True, labelleft=True)
    for panel in panels.flat[len(entries) :]:
        panel.remove()
    panels.flat[0].set_xlim(0, total_steps)
    panels.flat[0].set_ylim(0, 1.08 * lr)
    figure.supxlabel("step t")
    figure.supylabel("learning rate α_t")
    figure.suptitle(f"Schedules for a run of {total_steps:,} steps with a peak of {lr:g}\n", fontsize=15)
    return figure


def plot_gallery(path: str | os.PathLike[str], lr: float = 0.1, total_steps: int = 1000) -> None:
    """Draw the gallery and write it to `path`; the ending chooses the format (png, svg, pdf).

    Examples
    --------
    >>> plot_gallery("schedules.png")  # doctest: +SKIP
    """
    draw_gallery(lr, total_steps).savefig(path, dpi=110)
