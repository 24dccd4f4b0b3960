"""A card for every claim: what the store says of it, by which query."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from lmc_sweep.analysis.claims import At, Claim, Quantity, Split
from lmc_sweep.analysis.verdicts import NO_SUCH, Part, Verdict, judged, overall
from lmc_sweep.errors import SweepError
from lmc_sweep.store.sql_text import literal

if TYPE_CHECKING:
    from lmc_sweep.store.store import Store

COLUMNS = ("part", "x", "pair", "value")
SIDES = ("first", "second")

_SEARCH = "method_json ->> '$.objective' AS objective, TRY_CAST(method_json ->> '$.steps' AS BIGINT) AS steps"
"""Columns that a query finds in ``{barriers}`` and ``{groups}`` besides those of the table."""

_AT_END = "cell_id NOT IN (SELECT cell_id FROM networks WHERE save_at IS NOT NULL)"
"""That a row is of networks at the end of their training, for tables that do not say so themselves."""


@dataclass(frozen=True)
class View:
    """Which barrier is meant where a claim does not say; by default, what the paper's scripts report."""

    quantity: Quantity = "error"
    at: At = "midpoint"
    split: Split = "train"

    def of(self, claim: Claim) -> View:
        """The view of a claim, which may insist on its own."""
        return View(claim.quantity or self.quantity, claim.at or self.at, claim.split or self.split)

    @property
    def column(self) -> str:
        """The column of ``barriers`` that is meant."""
        return f"{self.quantity}_barrier" if self.at == "supremum" else f"{self.quantity}_midpoint_barrier"

    def words(self, query: str) -> str:
        """What a claim's query means by a barrier: ``error barrier at alpha 1/2, split train``; or no more
        than the split, or nothing, where it asks of none."""
        where = "at alpha 1/2" if self.at == "midpoint" else "at its highest"
        split = f"split {self.split}"
        if "{barrier" in query or "{groups}" in query:
            return f"{self.quantity} barrier {where}, {split}"
        return split if "{split}" in query else ""


@dataclass(frozen=True)
class Card:
    """A claim with its parts and its verdict; ``query`` is what the store was asked, if anything was."""

    claim: Claim
    view: View
    parts: tuple[Part, ...]
    verdict: Verdict
    why: str
    query: str | None

    @property
    def measured(self) -> str:
        """What was measured, in words."""
        words = self.view.words(self.claim.query or "")
        return f"{self.claim.measure}; {words}" if words else str(self.claim.measure)


def card(store: Store, claim: Claim, view: View, sweep: str | None = None) -> Card:
    """The card of one claim.

    Args:
        store: What is asked; its guard lets one SELECT pass.
        claim: One claim.
        view: Which barrier is meant where the claim does not say.
        sweep: Barriers and networks of this sweep alone; None for all of the store.

    Raises:
        SweepError: If the claim's query is wrong, or does not give the columns that it should.
    """
    own = view.of(claim)
    if claim.query is None:
        return Card(claim, own, (), "not measured", claim.lacks or "", None)
    query = filled(claim.query, own, sweep)
    parts = judged(claim, _rows(store, claim, query))
    if all(part.measured is None for part in parts):
        reasons = {part.why for part in parts} or {NO_SUCH}
        files = f" (sweeps that ask for them: {', '.join(claim.sweeps)})" if claim.sweeps else ""
        why = f"{'; '.join(sorted(reasons))}{files}"
        return Card(claim, own, parts, "not measured", why, query)
    return Card(claim, own, parts, overall(parts), "", query)


def training_examples(store: Store, sweep: str | None = None) -> dict[str, tuple[int, int]]:
    """Fewest and most training examples of a network, by data set: claims do not tell subsets apart."""
    of_networks = filled("{networks}", View(), sweep)
    table = store.answer(
        f"SELECT dataset, min(num_train) AS fewest, max(num_train) AS most FROM {of_networks} "
        "WHERE num_train IS NOT NULL GROUP BY dataset ORDER BY dataset"
    )
    return {row["dataset"]: (row["fewest"], row["most"]) for row in table.to_pylist()}


def filled(query: str, view: View, sweep: str | None) -> str:
    """The query with its placeholders filled, as ``lmc-sweep query`` takes it."""
    where = f"split = '{view.split}' AND layers IS NULL AND save_at IS NULL"
    barriers = (
        f"SELECT *, {_SEARCH} FROM barriers WHERE {where}{_of_sweep('barrier', sweep)} AND alignment_id IN "
    )
    values = {
        "barriers": f"({barriers}(SELECT alignment_id FROM alignments WHERE len(networks) = 2))",
        "groups": f"({barriers}(SELECT alignment_id FROM alignments WHERE len(networks) > 2))",
        "ensembles": f"(SELECT * FROM ensembles WHERE {_AT_END}{_of_sweep('ensemble', sweep)})",
        "initialization": f"(SELECT * FROM initialization WHERE true{_of_sweep('initialization', sweep)})",
        "networks": f"(SELECT * FROM networks WHERE save_at IS NULL{_of_sweep('network', sweep)})",
        "barrier": view.column,
        "quantity": view.quantity,
        "split": view.split,
    }
    for name, value in values.items():
        query = query.replace(f"{{{name}}}", value)
    return query.strip()


def _of_sweep(kind: str, sweep: str | None) -> str:
    """A further condition: that the sweep's newest plan asks for the row."""
    if sweep is None:
        return ""
    asked = f"SELECT item_id FROM sweep_items WHERE sweep = {literal(sweep)} AND kind = '{kind}'"
    return f" AND {kind}_id IN ({asked})"


def _rows(store: Store, claim: Claim, query: str) -> list[dict[str, Any]]:
    """What the query gives, with the columns that a claim needs."""
    try:
        table = store.answer(query)
    except SweepError as error:
        raise SweepError(f"claim {claim.name}: {error}") from None
    missing = [name for name in COLUMNS if name not in table.column_names]
    needed = {"side_ratio": "side", "peak_from_fit": "fits"}.get(claim.statistic or "")
    if needed is not None and needed not in table.column_names:
        missing.append(needed)
    if missing:
        raise SweepError(
            f"claim {claim.name}: its query gives no column {', '.join(missing)}. "
            f"Statistic {claim.statistic} needs {', '.join([*COLUMNS, *([needed] if needed else [])])}"
        )
    rows: list[dict[str, Any]] = table.to_pylist()
    for row in rows:
        if any(row[name] is None for name in COLUMNS[:3]):
            raise SweepError(f"claim {claim.name}: its query gives a row without part, x or pair: {row}")
        if not all(isinstance(row[name], int | float | Decimal | None) for name in ("x", "value")):
            raise SweepError(f"claim {claim.name}: x and value must be numbers, not those of {row}")
        if row.get("side") is not None and row["side"] not in SIDES:
            raise SweepError(f"claim {claim.name}: side must be 'first' or 'second', not {row['side']!r}")
    networks = _networks_of_pairs(store)
    return [{**row, "networks": networks.get(str(row["pair"]), ())} for row in rows]


def _networks_of_pairs(store: Store) -> dict[str, tuple[str, ...]]:
    """By pair_id the networks of every pair of world real: the others are of one network each."""

    def ask() -> list[tuple[str, tuple[str, ...]]]:
        table = store.answer("SELECT DISTINCT pair_id, networks FROM alignments WHERE world = 'real'")
        return [(row["pair_id"], tuple(row["networks"])) for row in table.to_pylist()]

    return dict(store.kept(("networks of pairs",), ask))
