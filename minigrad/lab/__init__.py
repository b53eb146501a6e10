"""The optimizer lab: a page in which optimizers run side by side on surfaces that one can see.

`page()` is the page, `python -m minigrad lab` writes it. `run(address)` makes the runs of a page's address again, with
minigrad's own tensors and optimizers.

The page is put together from sources that read on their own:

| file | what it has |
| --- | --- |
| `settings.json` | surfaces, optimizers, schedules: names, formulas, defaults, limits |
| `formulas.js` | what is computed |
| `settings.js` | a setting, and how it is written in the page's address |
| `mathml.js` | formulas from text |
| `plot.js` | contours, paths and curves |
| `fields.js` | sliders and boxes for numbers |
| `page.js` | the other controls, the animation, the results |
| `page.html`, `page.css` | the frame |
"""

from __future__ import annotations

from minigrad.lab.page import page
from minigrad.lab.run import Path, noise, run
from minigrad.lab.settings import Setting, read_address

__all__ = ["Path", "Setting", "noise", "page", "read_address", "run"]
