"""What goes into a report: ``SECTIONS`` is the one list; a new study adds a function to it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from lmc_sweep import __version__
from lmc_sweep.errors import SweepError
from lmc_sweep.report.all_pairs_section import all_pairs_section
from lmc_sweep.report.barrier_table import barrier_table
from lmc_sweep.report.canonical_section import canonical_section
from lmc_sweep.report.cell_tables import cell_tables
from lmc_sweep.report.claim_cards import claim_cards
from lmc_sweep.report.density_plot import density_plot
from lmc_sweep.report.drawings import drawings
from lmc_sweep.report.ensembles_section import ensembles_section
from lmc_sweep.report.failure_tables import failure_tables
from lmc_sweep.report.initialization_section import initialization_section
from lmc_sweep.report.legible import require_json
from lmc_sweep.report.model import Note, ReportData, Section
from lmc_sweep.report.overview import headline, overview
from lmc_sweep.report.path_section import path_section
from lmc_sweep.report.provenance import code_and_hardware, provenance
from lmc_sweep.report.scope import Scope, make_scope
from lmc_sweep.report.similarity_tables import similarity_tables
from lmc_sweep.report.snapshot import Snapshot
from lmc_sweep.report.wording import counted, moment
from lmc_sweep.report.words import words
from lmc_sweep.store.sql_text import literal

if TYPE_CHECKING:
    from lmc_sweep.store.store import Store

SECTIONS: tuple[tuple[str, Callable[[Scope], Section]], ...] = (
    ("Summary", overview),
    ("Density plot", density_plot),
    ("Statistical comparison", similarity_tables),
    ("Claims", claim_cards),
    ("All pairs", all_pairs_section),
    ("Canonical forms", canonical_section),
    ("Ensembles", ensembles_section),
    ("Permutation paths", path_section),
    ("Random networks", initialization_section),
    ("Figures", drawings),
    ("Cells", cell_tables),
    ("Barriers", barrier_table),
    ("Failures and retries", failure_tables),
    ("Provenance", provenance),
    ("Words", words),
)
"""What each section is called where it cannot be made, and the function that makes it.

One without blocks, of a study that was not asked, is left out.
"""

ABOUT = {
    "Density plot": "barrier",
    "Statistical comparison": "barrier",
    "Barriers": "barrier",
    "Cells": "network",
}
"""The kind of item that a section is about: it is left out where only others are asked for."""

OF_WORLDS = ("Density plot", "Statistical comparison")
"""Sections that set the real world against our model: left out where there is no pair of our model."""


def gather(
    store: Store,
    named: str,
    sweep: str | None = None,
    claims: Path | None = None,
    now: datetime | None = None,
) -> ReportData:
    """Everything that the report of a store says. A section that cannot be made says why.

    Args:
        named: The store as the user named it.
        sweep: One sweep; None for everything in the store.
        claims: A file of claims; None where there is none.
        now: When the report is made; None for the present.

    Raises:
        StoreError: If descriptions of rows are no JSON.
    """
    store = Snapshot(store.files.address)
    require_json(store, named)
    scope = make_scope(store, named, sweep, claims)
    return ReportData(
        title=sweep or ", ".join(scope.sweeps) or store.uri.rstrip("/").rpartition("/")[2],
        subtitle=f"Report of {named}, written {moment(now or datetime.now(UTC))} UTC",
        headline=_headline(scope),
        warnings=(*scope.trouble, *_warnings(store)),
        cells=scope.cells,
        sections=tuple(
            one
            for one in (made(scope, name, make) for name, make in SECTIONS if _is_told(scope, name))
            if one.blocks
        ),
        footer=f"Written by lmc_sweep {__version__}. The file holds everything that it shows.",
    )


def _is_told(scope: Scope, name: str) -> bool:
    """Whether what a section is about is asked for."""
    if name in OF_WORLDS and not _has_our_model(scope):
        return False
    return name not in ABOUT or scope.concerns(ABOUT[name])


def _has_our_model(scope: Scope) -> bool:
    """Whether pairs of our model are there, or might come: not where all that is asked for is there."""
    barriers = f"FROM barriers WHERE {scope.of_sweep('barrier')}"
    try:
        worlds = {row["world"] for row in scope.ask(f"SELECT DISTINCT world {barriers}")}
        if not worlds or "model" in worlds:
            return True
        of_sweep = "" if scope.sweep is None else f" AND sweep = {literal(scope.sweep)}"
        asked = f"SELECT DISTINCT item_id FROM sweep_items WHERE kind = 'barrier'{of_sweep}"
        missing = f"SELECT 1 AS one FROM ({asked}) WHERE item_id NOT IN (SELECT barrier_id FROM barriers)"
        return bool(scope.ask(f"{missing} LIMIT 1"))
    except SweepError:  # what cannot be read is told where it would stand
        return True


def made(scope: Scope, name: str, make: Callable[[Scope], Section]) -> Section:
    """One section, or why there is none."""
    try:
        return make(scope)
    except SweepError as error:
        text = f"This part of the store cannot be told: {error}"
        return Section(make.__name__.replace("_", "-"), name, (Note(text, is_warning=True),))


def _headline(scope: Scope) -> tuple[str, ...]:
    """The sentences at the top; where the store cannot say them, that."""
    try:
        computed_with = code_and_hardware(scope)
        return (*headline(scope), *([f"Computed with {computed_with}."] if computed_with else []))
    except SweepError as error:
        return (f"The store cannot be summarized: {error}",)


def _warnings(store: Store) -> tuple[str, ...]:
    """That files are left out, or results disagree."""
    told = []
    try:
        if problems := store.problems():
            told.append(
                f"{counted(len(problems), 'file')} left out of every result: see Failures and retries."
            )
        if findings := store.nondeterminism():
            told.append(f"{counted(len(findings), 'result')} computed twice with other numbers: see there.")
    except SweepError as error:
        told.append(str(error))
    return tuple(told)
