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
MOST_POINTS = 1000
"""Drawings of more points are embedded as pixels: their lines would take more room, and a browser's time."""
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
    shown.sort(key=lambda drawing: drawing.is_wide)  # the narrow ones stand side by side
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
    return Drawing(figure.name, figure.summary, mime, content, float(made.get_figwidth()))


def _encoded(made: Any) -> tuple[str, bytes]:
    """A drawing as SVG, or as PNG where that is smaller to read and to send; drawn once."""
    import matplotlib

    content = io.BytesIO()
    if _num_points(made) > MOST_POINTS:
        made.savefig(content, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
        return "image/png", content.getvalue()
    with matplotlib.rc_context({"svg.hashsalt": "lmc_sweep"}):
        made.savefig(content, format="svg", metadata={"Date": None})
    return "image/svg+xml", content.getvalue()


def _num_points(made: Any) -> int:
    """Points that a drawing's lines and clouds are made of."""
    from matplotlib.collections import Collection
    from matplotlib.lines import Line2D

    lines, clouds = made.findobj(Line2D), made.findobj(Collection)
    return sum(len(line.get_xdata()) for line in lines) + sum(len(one.get_offsets()) for one in clouds)
