"""The lab as one HTML file: the sources beside this file, put into `page.html`."""

from __future__ import annotations

import base64
import hashlib
import json
from importlib.resources import files

from minigrad.lab.settings import SETTINGS

__all__ = ["SCRIPTS", "page", "source"]

#: The page's programs, in the order in which they build on each other.
SCRIPTS = ("formulas.js", "settings.js", "mathml.js", "plot.js", "fields.js", "page.js")


def source(name: str) -> str:
    """The text of a file of the lab."""
    return files("minigrad.lab").joinpath(name).read_text(encoding="utf-8")


def page() -> str:
    """Return the lab as the text of one HTML file, which needs no other file and no network.

    The page's policy (`Content-Security-Policy`) names the hashes of its one script and its one style sheet; everything
    else is forbidden, above all to fetch anything.

    Examples
    --------
    >>> from minigrad import lab
    >>> text = lab.page()
    >>> text.count("<script>"), "default-src 'none'" in text
    (1, True)
    """
    settings = json.dumps(SETTINGS, ensure_ascii=False, separators=(",", ":"))
    script = "\n".join(["", f"const SETTINGS = {settings};", *map(source, SCRIPTS)])
    style = "\n" + source("page.css")
    parts = {"style-hash": _hash(style), "script-hash": _hash(script), "style": style, "script": script}
    text = source("page.html")
    for name, part in parts.items():
        text = text.replace(f"{{{{{name}}}}}", part)
    return text


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
