"""The figures that can be drawn: ``FIGURES`` is the one place where a name becomes a figure.

Matplotlib is imported when one is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lmc_sweep.errors import SweepError
from lmc_sweep.figures import density

if TYPE_CHECKING:
    from lmc_sweep.figures.options import Option
    from lmc_sweep.store.store import Store


@dataclass(frozen=True)
class Figure:
    """One figure: its options, and the function from a store, a sweep's name and options to a drawing.

    Without a sweep, everything in the store is shown. ``draw`` returns a matplotlib ``Figure``, also
    where there is nothing to show yet: then it says so.
    """

    name: str
    summary: str
    options: tuple[Option, ...]
    draw: Callable[[Store, str | None, Mapping[str, str]], Any]


FIGURES: dict[str, Figure] = {
    figure.name: figure
    for figure in (
        Figure(
            name="density",
            summary="Barriers in the real world against our model, before and after alignment",
            options=density.OPTIONS,
            draw=density.draw,
        ),
    )
}


def draw(name: str, store: Store, sweep: str | None = None, options: Mapping[str, str] | None = None) -> Any:
    """The named figure as a matplotlib ``Figure``; SweepError for names and values that are not known."""
    if name not in FIGURES:
        raise SweepError(f"unknown figure {name!r}. Known figures: {', '.join(FIGURES)}")
    return FIGURES[name].draw(store, sweep, options or {})
