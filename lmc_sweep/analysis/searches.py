"""What each method of search costs and reaches, on the same pairs: tables as rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lmc_sweep.analysis.cell_rows import grouped
from lmc_sweep.analysis.clusters import clusters_of
from lmc_sweep.analysis.intervals import Mean, mean_with_interval
from lmc_sweep.analysis.method_labels import method_labels
from lmc_sweep.analysis.search_rows import Pair, Place, Searched, same_pairs

REACHED = 1e-12
"""Two shares of the same count of examples that differ by less are the same: rounding of float64."""


@dataclass(frozen=True)
class MethodRow:
    """One method at one place: barriers before and after on the same pairs, and what the search took.

    ``before`` is the barrier of the same pairs with method identity; None where that was not measured.
    ``seconds`` and ``num_evaluations`` are means over the searches; ``outcomes`` counts how they ended.
    """

    place: Place
    method_json: str
    label: str
    before: Mean | None
    after: Mean
    seconds: float | None
    num_evaluations: float | None
    outcomes: dict[str, int]


@dataclass(frozen=True)
class RecoveryRow:
    """One method against one noise: what it put back, and how far it stays above the oracle.

    Attributes:
        noise: Of the planted copy, in standard deviations of each tensor.
        recovered: Mean share of units that are back in their place.
        num_complete: Searches that put back every unit.
        num_searches: All of them.
        above_oracle: Mean over pairs of the barrier minus the oracle's; None without an oracle.
    """

    place: Place
    method_json: str
    label: str
    noise: float
    recovered: Mean
    num_complete: int
    num_searches: int
    above_oracle: Mean | None


@dataclass(frozen=True)
class GapRow:
    """One method at one place against the exact optimum: ``gap`` is its barrier minus brute force's."""

    place: Place
    method_json: str
    label: str
    gap: Mean
    num_optimal: int
    num_pairs: int


def method_table(rows: Sequence[Searched]) -> tuple[list[MethodRow], int]:
    """One row per place and method, on the same pairs, and how many pairs were left out for that."""
    kept, num_dropped = same_pairs(rows)
    labels = method_labels({row.method_json for row in kept})
    before = {row.pair: row.value for row in kept if row.name == "identity"}
    found = []
    for (place, method), of_method in grouped(kept, lambda row: (row.place, row.method_json)).items():
        searches = one_per_search(of_method)
        values = [before[row.pair] for row in of_method if row.pair in before]
        found.append(
            MethodRow(
                place=place,
                method_json=method,
                label=labels[method],
                before=_mean(of_method, values) if len(values) == len(of_method) else None,
                after=barrier_mean(of_method),
                seconds=_plain_mean(row.seconds for row in searches),
                num_evaluations=_plain_mean(row.num_evaluations for row in searches),
                outcomes=dict(sorted(Counter(row.outcome for row in searches).items())),
            )
        )
    return sorted(found, key=lambda row: (row.place.order, row.label)), num_dropped


def recovery_table(rows: Sequence[Searched]) -> tuple[list[RecoveryRow], int]:
    """One row per place, method and noise, on the same pairs, of world planted; and the pairs left out."""
    kept, num_dropped = same_pairs([row for row in rows if row.noise is not None])
    labels = method_labels({row.method_json for row in kept})
    oracle = {row.pair: row.value for row in kept if row.name == "oracle"}
    found = []
    for (place, method, noise), group in grouped(
        kept, lambda row: (row.place, row.method_json, row.noise)
    ).items():
        shares = [(row.recovered, row.group) for row in one_per_search(group) if row.recovered is not None]
        if not shares or noise is None:
            continue
        both = [row for row in group if oracle.get(row.pair) is not None]
        found.append(
            RecoveryRow(
                place=place,
                method_json=method,
                label=labels[method],
                noise=noise,
                recovered=mean_with_interval([share for share, _ in shares]),
                num_complete=sum(share == 1 for share, _ in shares),
                num_searches=len(shares),
                above_oracle=_mean(both, [_gap(row, oracle) for row in both]) if both else None,
            )
        )
    return sorted(found, key=lambda row: (row.place.order, row.label, row.noise)), num_dropped


def gap_table(rows: Sequence[Searched], objective: str) -> tuple[list[GapRow], int]:
    """One row per place and method against the brute force that minimized ``objective`` on all examples.

    Only places with such a brute force are there; it must have looked at every permutation.
    """
    exact = [
        row
        for row in rows
        if row.name == "brute_force"
        and row.outcome == "exact"
        and row.method.get("objective") == objective
        and row.method.get("num_examples") is None
    ]
    optimum = {row.pair: row.value for row in exact if row.value is not None}
    places = {row.place for row in exact}
    kept, num_dropped = same_pairs(
        [row for row in rows if row.place in places and (row.name != "brute_force" or row in exact)]
    )
    kept = [row for row in kept if row.pair in optimum]
    labels = method_labels({row.method_json for row in kept})
    found = []
    for (place, method), of_method in grouped(kept, lambda row: (row.place, row.method_json)).items():
        gaps = [_gap(row, optimum) for row in of_method]
        found.append(
            GapRow(
                place=place,
                method_json=method,
                label=labels[method],
                gap=_mean(of_method, gaps),
                num_optimal=sum(gap <= REACHED for gap in gaps),
                num_pairs=len(gaps),
            )
        )
    return sorted(found, key=lambda row: (row.place.order, row.label)), num_dropped


def barrier_mean(rows: Sequence[Searched]) -> Mean:
    """Mean barrier with its interval over groups of networks; at least one row, all with a value."""
    return _mean(rows, [row.value for row in rows])


def one_per_search(rows: Iterable[Searched]) -> list[Searched]:
    """The first row of each search: one of five networks has ten pairs."""
    first: dict[Hashable, Searched] = {}
    for row in rows:
        first.setdefault((row.group, row.method_json), row)
    return list(first.values())


def _mean(rows: Sequence[Searched], values: Sequence[float | None]) -> Mean:
    """Mean with an interval over groups of rows that share no networks."""
    known = [(value, row) for row, value in zip(rows, values, strict=True) if value is not None]
    return mean_with_interval([value for value, _ in known], clusters_of(row for _, row in known))


def _gap(row: Searched, reference: Mapping[Pair, float | None]) -> float:
    """The row's barrier minus that of the reference on the same pair."""
    other = reference[row.pair]
    assert row.value is not None
    assert other is not None
    return row.value - other


def _plain_mean(values: Iterable[float | None]) -> float | None:
    """The mean of those that were recorded."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
