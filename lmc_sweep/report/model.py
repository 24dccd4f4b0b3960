"""What a report consists of, as plain values: sections of blocks. Nothing here knows HTML or the store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

Value = str | int | float | bool | None

ColumnKind = Literal["text", "choice", "number", "share", "count", "cell", "id"]
"""``choice``: few values, picked from a list. ``share``: a p-value. ``cell``: a place among the cells."""


@dataclass(frozen=True)
class Column:
    """One column of a table; ``title`` says what it is, with its unit, where the heading does not."""

    heading: str
    kind: ColumnKind = "text"
    title: str = ""


@dataclass(frozen=True)
class Table:
    """Rows that the reader sorts and filters; ``empty`` stands in the place of none, ``note`` above them."""

    kind: ClassVar[str] = "table"
    name: str
    caption: str
    columns: tuple[Column, ...]
    rows: Sequence[Sequence[Value]]
    empty: str = "Nothing here."
    note: str = ""


@dataclass(frozen=True)
class Note:
    """A paragraph; a warning tells what is missing or wrong."""

    kind: ClassVar[str] = "note"
    text: str
    is_warning: bool = False


@dataclass(frozen=True)
class Facts:
    """Terms and what there is to say of them."""

    kind: ClassVar[str] = "facts"
    pairs: tuple[tuple[str, str], ...]
    title: str = ""


@dataclass(frozen=True)
class Tile:
    """One number of the summary: what, how much, and a line below."""

    name: str
    number: str
    below: str = ""


@dataclass(frozen=True)
class Tiles:
    """The numbers with which a report begins."""

    kind: ClassVar[str] = "tiles"
    tiles: tuple[Tile, ...]


@dataclass(frozen=True)
class Progress:
    """How many of the items of one kind have results."""

    name: str
    done: int
    total: int
    below: str = ""

    @property
    def percent(self) -> float:
        """Share in percent, 100 only where nothing is left."""
        return 100.0 * self.done / self.total if self.total else 0.0


@dataclass(frozen=True)
class ProgressBars:
    """How far one sweep is; ``state`` as ``lmc-sweep status`` tells it."""

    kind: ClassVar[str] = "progress"
    title: str
    state: str
    bars: tuple[Progress, ...]


@dataclass(frozen=True)
class Summary:
    """A small table that is read as a whole: no controls."""

    kind: ClassVar[str] = "summary"
    caption: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Listing:
    """A text as it is, such as a sweep file; folded where it is not ``is_open``."""

    kind: ClassVar[str] = "listing"
    title: str
    text: str
    is_open: bool = False


@dataclass(frozen=True)
class Drawing:
    """A figure as a file of its own: SVG or PNG; ``inches`` is how wide it is meant to be."""

    kind: ClassVar[str] = "drawing"
    name: str
    summary: str
    mime: str
    content: bytes
    inches: float

    @property
    def is_wide(self) -> bool:
        """Whether it is made for two columns of print: half of a page is too narrow for its letters."""
        return self.inches > 5


@dataclass(frozen=True)
class Card:
    """One claim: its verdict, what was measured, and the parts as a small table."""

    kind: ClassVar[str] = "card"
    name: str
    verdict: str
    claim: str
    measured: str
    parts: Summary | None


@dataclass(frozen=True)
class Look:
    """Symbol, color and filling of a method's points, as matplotlib names the symbol."""

    label: str
    symbol: str
    color: str
    is_filled: bool


@dataclass(frozen=True)
class Points:
    """Points of one method: places in the report's cells, and barriers of the two worlds."""

    look: int
    cells: Sequence[int]
    real: Sequence[float]
    model: Sequence[float]


@dataclass(frozen=True)
class PlotView:
    """One choice of what is plotted: ``choices`` by the names of the plot's controls."""

    choices: tuple[str, ...]
    unit: str
    axis: str
    clouds: tuple[Points, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class DensityPlot:
    """The density plot with everything that its controls can show."""

    kind: ClassVar[str] = "plot"
    name: str
    caption: str
    controls: tuple[tuple[str, tuple[str, ...]], ...]
    looks: tuple[Look, ...]
    views: tuple[PlotView, ...]
    linear_below: float


Block = Table | Note | Facts | Tiles | ProgressBars | Summary | Listing | Drawing | Card | DensityPlot


@dataclass(frozen=True)
class Section:
    """A part of the report with its own heading, and an entry among the contents, which may be shorter."""

    name: str
    title: str
    blocks: tuple[Block, ...]
    lead: str = ""
    entry: str = ""


@dataclass(frozen=True)
class Cell:
    """What a group of networks share, in words and column by column."""

    cell_id: str
    label: str
    settings: tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class ReportData:
    """A whole report: everything that is rendered, and nothing that would have to be looked up."""

    title: str
    subtitle: str
    headline: tuple[str, ...]
    warnings: tuple[str, ...]
    cells: tuple[Cell, ...]
    sections: tuple[Section, ...]
    footer: str
