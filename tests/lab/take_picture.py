"""Takes the README's picture of the lab: `python tests/lab/take_picture.py`, with Chromium and its driver installed."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

from conftest import started_browser
from PIL import Image

from minigrad import lab

TARGET = Path(__file__).parents[2] / "examples" / "pictures" / "lab.png"
ADDRESS = (
    "surface=rosenbrock&optimizers=gd,momentum,nesterov,adagrad,adam&schedule=warmup-cosine"
    "&momentum.lr=0.0006&nesterov.lr=0.0006"
)


def main() -> None:
    """Take the picture and write it with 256 colours, which makes it small."""
    with tempfile.TemporaryDirectory() as folder, started_browser(Path(folder)) as browser:
        page = Path(folder, "lab.html")
        page.write_text(lab.page(), encoding="utf-8")
        browser.look(1280, 830)
        browser.open(page, ADDRESS)
        picture = Image.open(io.BytesIO(browser.picture())).convert("RGB")
    few = picture.quantize(256, method=Image.Quantize.MAXCOVERAGE, kmeans=2, dither=Image.Dither.NONE)
    few.save(TARGET, optimize=True)
    print(f"{TARGET}: {TARGET.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
