"""The tables of ``lmc-sweep compare``, for people."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from rich.console import Console

from lmc_sweep.analysis.comparison import Comparison, Similarity
from lmc_sweep.cli.console import table

MEANS = ("pairs", "real", "model", "real - model", "95 %", "p", "margin", "p equivalent", "verdict")
DISTANCES = ("KS", "p", "Wasserstein", "p")
COEFFICIENTS = ("pearson", "spearman", "concordance")


def compare_lines(found: Similarity, limit: int | None) -> str:
    """Tables of means, of recovery, of distances and of correlations; then the cells, the first ``limit``."""
    compared = [one for one in found.overall if one.difference is not None]
    parts = [
        _lines(
            "Means over cells (p-values after Holm)",
            [*_NAMES, "cells", *MEANS],
            [_means(one) for one in compared],
        )
        if compared
        else "",
        _recovery([one for one in found.overall if one.recovery_rate]),
        _distances(compared),
        _correlations(compared),
        _within(compared),
        _cells(found.cells, limit),
    ]
    return "\n".join(part for part in parts if part)


_NAMES = ("method", "split", "correction")
_CORRELATION_COLUMNS = [*_NAMES, "correlation", "real, model", "95 %", "at half", "real half/half"]


def _names(one: Comparison) -> list[str]:
    return [one.method, one.split, one.correction]


def _means(one: Comparison) -> list[Any]:
    return [*_names(one), one.num_cells, *_mean_columns(one)]


def _mean_columns(one: Comparison) -> list[str]:
    """Under MEANS; blank from the difference on where there is no comparison."""
    found, adjusted = one.difference, one.adjusted
    pairs = f"{one.num_real_pairs}+{one.num_model_pairs}"
    if found is None or adjusted is None:
        worlds = [_number(one.real_mean), _number(one.model_mean)]
        return [pairs, *worlds, *[""] * (len(MEANS) - 4), one.verdict]
    return [
        pairs,
        _number(one.real_mean),
        _number(one.model_mean),
        _number(found.difference.value),
        f"{_number(found.difference.low)} to {_number(found.difference.high)}",
        _share(adjusted.p_value),
        _number(found.margin),
        _share(adjusted.p_equivalence),
        one.verdict + (f", but for {one.num_solved_cells} solved" if one.num_solved_cells else ""),
    ]


def _recovery(rows: Sequence[Comparison]) -> str:
    """Where searches leave no barrier in our model."""
    if not rows:
        return ""
    columns = [
        *_NAMES,
        "pairs of our model without barrier",
        "cells solved, not compared",
        "real barrier in them",
    ]
    return _lines(
        "Recovery in our model, where an answer exists by construction",
        columns,
        [
            [*_names(one), f"{one.recovery_rate:.1%}", one.num_solved_cells, _number(one.residual)]
            for one in rows
        ],
    )


def _distances(rows: Sequence[Comparison]) -> str:
    """Distances within cells, and what they are between halves."""
    columns = [*_NAMES, *DISTANCES, "KS at half", "real half/half", "Wasserstein at half", "real half/half"]
    made = [
        [
            *_names(one),
            _number(one.distances.kolmogorov_smirnov),
            _share(one.adjusted.p_kolmogorov_smirnov),
            _number(one.distances.wasserstein),
            _share(one.adjusted.p_wasserstein),
            *(
                _number(getattr(half, name, None))
                for name in ("kolmogorov_smirnov", "wasserstein")
                for half in (one.at_half, one.ceiling)
            ),
        ]
        for one in rows
        if one.distances is not None and one.adjusted is not None
    ]
    return (
        _lines("Distances between distributions, means over cells (p-values after Holm)", columns, made)
        if made
        else ""
    )


def _correlations(rows: Sequence[Comparison]) -> str:
    """Correlations over cells, at half the size, and between halves of the real world."""
    made = []
    for one in rows:
        if one.over_cells is None:
            made.append([*_names(one), "", f"undefined: {one.undefined_because}", "", "", ""])
            continue
        for name in COEFFICIENTS:
            found = getattr(one.over_cells, name)
            made.append(
                [
                    *_names(one),
                    name,
                    _number(found.value),
                    f"{_number(found.low)} to {_number(found.high)}",
                    _number(getattr(one.at_half, name, None)),
                    _number(getattr(one.ceiling, name, None)),
                ]
            )
    return _lines("Correlations of mean barriers over cells", _CORRELATION_COLUMNS, made) if made else ""


def _within(rows: Sequence[Comparison]) -> str:
    """Correlations within cells: by rank beside the ceiling, and by the network that two pairs share."""
    made = []
    for one in rows:
        for joined, inside in (("rank", one.by_rank), ("network", one.by_network)):
            for name in ("pearson", "concordance"):
                found = getattr(inside, name, None)
                if found is None:
                    continue
                halves = [
                    _number(getattr(half, f"within_{name}", None)) if joined == "rank" else ""
                    for half in (one.at_half, one.ceiling)
                ]
                interval = f"{_number(found.low)} to {_number(found.high)}"
                made.append([*_names(one), f"{name}, by {joined}", _number(found.value), interval, *halves])
    title = "Correlations within cells (by rank any two samples rise together: see the halves)"
    return _lines(title, _CORRELATION_COLUMNS, made) if made else ""


def _cells(cells: Sequence[Comparison], limit: int | None) -> str:
    """A row per cell."""
    rows = []
    for one in cells[:limit] if limit else cells:
        assert one.cell is not None
        dataset, architecture, width, depth, noise = one.cell.subject
        sizes = [f"{name} {size}" for name, size in (("depth", depth), ("width", width)) if size is not None]
        noisy = [f"noise {noise:g}"] if noise else []
        subject = " ".join([dataset, architecture, *sizes, *noisy])
        rows.append([subject, *_names(one), *_mean_columns(one)])
    text = _lines("Cells (p-values after Benjamini-Hochberg)", ["cell", *_NAMES, *MEANS], rows)
    if limit and len(cells) > limit:
        text += f"... {len(cells) - limit} more cells; --output FILE or --format csv writes all\n"
    return text


def _lines(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Aligned columns below a title."""
    out = Console(width=10_000, highlight=False, no_color=True)
    with out.capture() as captured:
        out.print(table("", list(columns), [list(row) for row in rows]), markup=False)
    lines = [title, *(line.rstrip() for line in captured.get().splitlines() if line.strip())]
    return "\n".join(lines) + "\n"


def _number(value: float | None) -> str:
    """Three digits; blank where there is none."""
    return "" if value is None or not math.isfinite(value) else f"{value:.3g}"


def _share(value: float | None) -> str:
    """A p-value."""
    return "" if value is None else "<0.001" if value < 0.001 else f"{value:.3f}"
