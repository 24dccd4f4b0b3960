"""A small sweep that asks every study beside ``barriers`` at once, and all that a store measured of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lmc_sweep.store.schema import TABLE_OF_KIND, TABLES
from lmc_sweep.store.store import Store

SWEEP = """
name: studies
store: store
networks:
  - dataset: digits
    architecture: {name: mlp, width: 4, depth: 1}
    training: {max_epochs: 3}
    seeds: 4
all_pairs: {alignments: [{method: identity}, {method: weight_matching}], interpolation: {alphas: 3}}
canonical: {averages: [2], treatments: [{treatment: raw}, {treatment: sorted}, {treatment: merged}]}
ensembles: {methods: [{method: functional_difference}, {method: subspace}]}
initialization: {input_dims: 2, widths: [8, 16], seeds: 2, num_inputs: 50, num_draws: 4}
permutation_paths:
  teachers: {inputs: 2, hidden: [3], outputs: 1, activation: tanh, num_points: 50, seeds: 2}
  pairs: all
  num_steps: 4
  max_evaluations: 50
  permutation_points: {hessian: true}
"""
_OF_THE_RUN = {
    "created_at",
    "environment_id",
    "inputs_json",
    "details_json",
    "checkpoint",
    "permutations",
    "row",
}
"""Columns that say when, where and from which files."""
_STUDY_TABLES = (
    *(table.name for table in TABLE_OF_KIND.values()),
    "permutation_points",
    "canonical_averages",
)


def numbers(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """All that was measured, by table: ids and figures, without times and places."""
    store = Store(path)
    found = {}
    for name in _STUDY_TABLES:
        kept = [
            one for one in TABLES[name].by_name if one not in _OF_THE_RUN and not one.endswith("_seconds")
        ]
        rows = store.relation(name).project(", ".join(f'"{one}"' for one in kept)).fetchall()
        found[name] = sorted(rows, key=lambda row: str(row[0]))
    return found
