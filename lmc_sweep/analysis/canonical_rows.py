"""Rows of the tables ``canonical_forms`` and ``canonical_averages`` as values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from lmc_sweep.analysis.cell_rows import KIND_COLUMNS, Kind
from lmc_sweep.store.sql_text import literal

if TYPE_CHECKING:
    from lmc_sweep.store.store import Store

TREATMENT_ORDER = ("raw", "sorted", "matched", "merged")
LOOKS_OF = {"raw": "identity", "sorted": "node_sort", "matched": "weight_matching", "merged": "merge_many"}
"""Treatment to the method of the same idea, whose look it has."""


@dataclass(frozen=True)
class Spread:
    """Distances of one tensor over all pairs: smallest, largest, mean, and a histogram."""

    smallest: float
    largest: float
    mean: float
    edges: tuple[float, ...]
    counts: tuple[int, ...]

    def coarser(self) -> Spread:
        """The same with neighboring bins joined, as many as suit the number of pairs: the rule of Rice."""
        num, wanted = len(self.counts), 2 * sum(self.counts) ** (1 / 3)
        joined = next((k for k in range(1, num + 1) if num % k == 0 and num / k <= wanted), num)
        counts = tuple(sum(self.counts[k : k + joined]) for k in range(0, num, joined))
        return replace(self, edges=self.edges[::joined], counts=counts)

    @property
    def densities(self) -> list[float]:
        """Share of the pairs in each bin, per unit of distance; 0 where all distances are equal."""
        total = sum(self.counts)
        widths = [high - low for low, high in pairwise(self.edges)]
        return [n / total / width if width else 0.0 for n, width in zip(self.counts, widths, strict=True)]


@dataclass(frozen=True)
class Average:
    """The mean of some networks on a split: its loss and error, and those of the networks in the mean."""

    num_networks: int
    group_index: int
    split: str
    loss: float | None
    error: float | None
    mean_member_loss: float | None
    mean_member_error: float | None


@dataclass(frozen=True)
class Form:
    """A cell under one treatment; ``columns`` are those of its row."""

    columns: dict[str, Any]
    averages: tuple[Average, ...]

    @property
    def kind(self) -> Kind:
        """What the networks of the cell are."""
        return Kind(*(self.columns[name] for name in KIND_COLUMNS))

    @property
    def label(self) -> str:
        """``raw``, ``sorted, lexicographic``, ``sorted, power 1.5``."""
        return treatment_label(self.columns)

    @property
    def tensors(self) -> list[str]:
        """Names of the tensors, and ``all``; none where too few networks are finite."""
        return list(self.columns["tensors"])

    def spread(self, tensor: str, when: str) -> Spread:
        """The distances of a tensor ``before`` or ``after`` units were put in order."""
        row, k, bins = self.columns, self.tensors.index(tensor), self.columns["num_bins"]
        return Spread(
            smallest=row[f"min_{when}"][k],
            largest=row[f"max_{when}"][k],
            mean=row[f"mean_{when}"][k],
            edges=tuple(row["bin_edges"][k * (bins + 1) : (k + 1) * (bins + 1)]),
            counts=tuple(row[f"bins_{when}"][k * bins : (k + 1) * bins]),
        )

    def change(self, tensor: str) -> float | None:
        """Relative change of the mean distance of a tensor; None where it was 0."""
        before, after = self.spread(tensor, "before").mean, self.spread(tensor, "after").mean
        return after / before - 1 if before else None


def treatment_label(row: dict[str, Any]) -> str:
    """A treatment in words; ``row`` has the columns treatment, key and power."""
    if row["key"] is None:
        return str(row["treatment"])
    power = f" {row['power']:g}" if row["power"] is not None else ""
    return f"{row['treatment']}, {row['key']}{power}"


def read(store: Store, sweep: str | None) -> list[Form]:
    """The cells of a store, or of one sweep in it, under every treatment, treatments in their order."""
    asked = "true"
    if sweep is not None:
        asked = (
            f"canonical_id IN (SELECT item_id FROM sweep_items WHERE sweep = {literal(sweep)} "
            "AND kind = 'canonical_form')"
        )
    rows = store.answer(f"SELECT * FROM canonical_forms WHERE {asked}").to_pylist()
    names = ("num_networks", "group_index", "split", "loss", "error", "mean_member_loss", "mean_member_error")
    of_form: dict[str, list[Average]] = {row["canonical_id"]: [] for row in rows}
    for found in store.answer(
        f"SELECT canonical_id, {', '.join(names)} FROM canonical_averages WHERE {asked}"
    ).to_pylist():
        if found["canonical_id"] in of_form:
            of_form[found["canonical_id"]].append(Average(**{name: found[name] for name in names}))
    forms = [Form(row, tuple(sorted(of_form[row["canonical_id"]], key=_place))) for row in rows]
    return sorted(forms, key=_order)


def of_one_cell(forms: Sequence[Form], begins: str = "") -> list[Form]:
    """The forms of one cell and set of networks: of most networks, then of most treatments.

    Args:
        forms: Of any cells.
        begins: How the cell's id begins.
    """
    groups: dict[tuple[str, int], list[Form]] = {}
    for form in forms:
        if form.columns["cell_id"].startswith(begins) and form.tensors:
            key = (form.columns["cell_id"], form.columns["num_networks"])
            groups.setdefault(key, []).append(form)
    chosen = max(groups, key=lambda key: (key[1], len(groups[key]), key[0]), default=None)
    return once(groups[chosen]) if chosen is not None else []


def once(forms: Iterable[Form]) -> list[Form]:
    """Each treatment once: of several forms that differ in what else was asked, that with most averages."""
    found: dict[str, Form] = {}
    for form in forms:
        text = form.columns["treatment_json"]
        if text not in found or len(form.averages) > len(found[text].averages):
            found[text] = form
    return list(found.values())


def _place(average: Average) -> tuple[str, int, int]:
    return average.split, average.num_networks, average.group_index


def _order(form: Form) -> tuple[Any, ...]:
    row = form.columns
    place = TREATMENT_ORDER.index(row["treatment"]) if row["treatment"] in TREATMENT_ORDER else 9
    return row["cell_id"], place, row["key"] or "", row["power"] or 0.0, row["canonical_id"]
