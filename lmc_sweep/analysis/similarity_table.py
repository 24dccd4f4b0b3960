"""Comparisons of the worlds as rows of a table, for files and programs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from lmc_sweep.analysis.comparison import Comparison
from lmc_sweep.analysis.halves import Likeness


def similarity_rows(comparisons: Iterable[Comparison]) -> list[dict[str, Any]]:
    """One flat row per comparison, all with the same columns; None for what is undefined."""
    return [_row(one) for one in comparisons]


def _row(one: Comparison) -> dict[str, Any]:
    cell, found, apart, across, adjusted = (
        one.cell,
        one.difference,
        one.distances,
        one.over_cells,
        one.adjusted,
    )
    subject = cell.subject if cell is not None else (None,) * 5
    row: dict[str, Any] = {
        "level": "overall" if cell is None else "cell",
        "method": one.method,
        "method_json": one.method_json,
        "split": one.split,
        "correction": one.correction,
        "cell_id": None if cell is None else cell.cell_id,
        **dict(zip(("dataset", "architecture", "width", "depth", "label_noise"), subject, strict=True)),
        "num_cells": one.num_cells,
        "num_solved_cells": one.num_solved_cells,
        "num_real_pairs": one.num_real_pairs,
        "num_model_pairs": one.num_model_pairs,
        "num_clusters": one.num_clusters,
        "recovery_rate": one.recovery_rate,
        "residual": one.residual,
        "real_mean": one.real_mean,
        "model_mean": one.model_mean,
    }
    for name in ("real", "model", "difference"):
        estimate = getattr(found, name, None)
        if name == "difference":
            row["difference"] = getattr(estimate, "value", None)
        row[f"{name}_low"] = getattr(estimate, "low", None)
        row[f"{name}_high"] = getattr(estimate, "high", None)
    row |= {
        "standard_error": getattr(found, "standard_error", None),
        "degrees_of_freedom": getattr(found, "degrees", None),
        "p_difference": getattr(found, "p_value", None),
        "p_difference_adjusted": getattr(adjusted, "p_value", None),
        "margin": getattr(found, "margin", None),
        "difference_low_90": None if found is None else found.inner[0],
        "difference_high_90": None if found is None else found.inner[1],
        "p_equivalence": getattr(found, "p_equivalence", None),
        "p_equivalence_adjusted": getattr(adjusted, "p_equivalence", None),
    }
    for name in ("kolmogorov_smirnov", "wasserstein"):
        row[name] = getattr(apart, name, None)
        row[f"p_{name}"] = getattr(apart, f"p_{name}", None)
        row[f"p_{name}_plain"] = getattr(apart, f"p_{name}_plain", None)
        row[f"p_{name}_adjusted"] = getattr(adjusted, f"p_{name}", None)
    for name in ("pearson", "spearman", "concordance"):
        coefficient = getattr(across, name, None)
        row[name] = getattr(coefficient, "value", None)
        row[f"{name}_low"] = getattr(coefficient, "low", None)
        row[f"{name}_high"] = getattr(coefficient, "high", None)
    for joined, inside in (("within", one.by_rank), ("network", one.by_network)):
        for name in ("pearson", "concordance"):
            coefficient = getattr(inside, name, None)
            row[f"{joined}_{name}"] = getattr(coefficient, "value", None)
            row[f"{joined}_{name}_low"] = getattr(coefficient, "low", None)
            row[f"{joined}_{name}_high"] = getattr(coefficient, "high", None)
    for name, likeness in (("half", one.at_half), ("ceiling", one.ceiling)):
        row |= {f"{name}_{field.name}": getattr(likeness, field.name, None) for field in fields(Likeness)}
    row |= {"verdict": one.verdict, "undefined_because": one.undefined_because}
    return {name: None if value != value else value for name, value in row.items()}  # NaN is not JSON
