"""The libraries that a page carries: plotly.js from the package plotly, DataTables from the package itables.

They are read as files: importing plotly takes a second, and neither package's Python is needed.
"""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path

from lmc_sweep.errors import SweepError

_ENDING = re.compile(r"<(/script|/style|!--)", re.IGNORECASE)


def plotting_program() -> str:
    """plotly.js (MIT), minified, with its license; it puts ``Plotly`` into the window."""
    return _text("plotly", "plotly/package_data/plotly.min.js")


def tables_program() -> str:
    """DataTables and its extensions with jQuery (MIT), as a module whose default export is ``DataTable``."""
    return _text("itables", "itables/html/dt_bundle.js")


def tables_styles() -> str:
    """The styles of DataTables."""
    return _text("itables", "itables/html/dt_bundle.css")


def _text(package: str, path: str) -> str:
    """A file of an installed package, as it may stand inside of a script element.

    What would end the element, or begin a comment in it, can only be part of a string or of a pattern, where
    the backslash changes nothing.
    """
    try:
        file = Path(str(importlib.metadata.distribution(package).locate_file(path)))
        text = file.read_text(encoding="utf-8")
    except (importlib.metadata.PackageNotFoundError, OSError):
        raise SweepError(
            f"report: the package {package} is not installed, or lacks {path}. Run: pip install {package}"
        ) from None
    return _ENDING.sub(r"<\\\1", text)
