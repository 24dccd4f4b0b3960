"""The figures of ``lmc-sweep plot`` as files within the report."""

from __future__ import annotations

import io
from typing import Any

from lmc_sweep.errors import SweepError
from lmc_sweep.figures.registry import FIGURES, Figure
from lmc_sweep.figures.sheet import shows_nothing
from lmc_sweep.report.model import Column, Drawing, Section, Table
from lmc_sweep.report.scope import Scope

TITLE = "Figures"
LEAD = (
    "As lmc-sweep plot draws them with their default options; lmc-sweep plot STORE lists the options of each."
)
LARGEST_SVG_BYTES = 200_000
"""Drawings with more lines than that are embedded as pixels."""
DOTS_PER_INCH = 150


def drawings(scope: Scope) -> Section:
    """Every figure that has something to show; the others with the reason."""
    shown: list[Drawing] = []
    empty: list[tuple[str, str, str]] = []
    for figure in FIGURES.values():
        found = _drawn(scope, figure)
        if isinstance(found, Drawing):
            shown.append(found)
        else:
            empty.append((figure.name, figure.summary, found))
    columns = (Column("Figure"), Column("What it shows"), Column("Why not"))
    without = Table("figures-not-shown", "Figures with nothing to show", columns, empty, "None.")
    return Section("figures", TITLE, (*shown, *((without,) if empty else ())), LEAD)


def _drawn(scope: Scope, figure: Figure) -> Drawing | str:
    """A figure's file, or why there is none."""
    try:
        made = figure.draw(scope.store, scope.sweep, {})
        reason = shows_nothing(made)
        if reason is not None:
            return reason
        mime, content = _encoded(made)
    except SweepError as error:
        return str(error)
    except Exception as error:  # one figure's bug on an odd store must not cost the report; its text is shown
        return f"could not be drawn: {type(error).__name__}: {error}"
    return Drawing(figure.name, figure.summary, mime, content)


def _encoded(made: Any) -> tuple[str, bytes]:
    """A drawing as SVG, or as PNG where that is smaller to read and to send."""
    import matplotlib

    content = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "lmc_sweep"}):
        made.savefig(content, format="svg", metadata={"Date": None})
    if content.tell() <= LARGEST_SVG_BYTES:
        return "image/svg+xml", content.getvalue()
    content = io.BytesIO()
    made.savefig(content, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    return "image/png", content.getvalue()
