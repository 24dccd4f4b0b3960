"""A drawing written to a file, whole or not at all."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from lmc_sweep.errors import SweepError
from lmc_sweep.store.publish import publish

DOTS_PER_INCH = 300
# No time of writing: the same store gives the same file, byte for byte.
_METADATA: dict[str, dict[str, Any]] = {
    ".png": {"Software": None},
    ".svg": {"Date": None},
    ".pdf": {"CreationDate": None},
}


def check_output(path: Path) -> None:
    """Refuse a file name whose ending is no format: asked before anything is drawn."""
    if path.suffix.lower() not in _METADATA:
        known = ", ".join(_METADATA)
        raise SweepError(
            f"{path}: a figure's file ends in one of {known}. Name it {path.stem}.png, for instance"
        )


def save(figure: Any, path: Path) -> None:
    """Writes a matplotlib ``Figure`` as PNG, SVG or PDF, by the ending of ``path``, replacing any old one."""
    import matplotlib

    check_output(path)
    content = io.BytesIO()
    suffix = path.suffix.lower()
    with matplotlib.rc_context({"svg.hashsalt": "lmc_sweep", "pdf.fonttype": 42}):
        figure.savefig(content, format=suffix[1:], dpi=DOTS_PER_INCH, metadata=_METADATA[suffix])
    publish(path, [content.getbuffer()], replace=True)
