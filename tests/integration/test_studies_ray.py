"""Every study beside ``barriers`` at once, on a private Ray cluster and in one process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from chaos_processes import finish, in_peace, said

from lmc_sweep.kinds import KINDS
from lmc_sweep.store.schema import TABLE_OF_KIND, TABLES
from lmc_sweep.store.store import Store

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(600)]

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


def test_ray_and_one_process_give_the_same_rows_of_every_study(tmp_path: Path) -> None:
    """Every kind has items, ids are the same, and numbers are equal bit for bit; a rerun does nothing."""
    alone = in_peace(tmp_path / "alone", SWEEP)
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    assert 0 == finish(tmp_path, "run", "sweep.yaml"), said(tmp_path)[-2000:]
    expected, found = numbers(alone), numbers(tmp_path / "store")
    assert set(KINDS) == {kind for kind, table in TABLE_OF_KIND.items() if found[table.name]}
    assert expected == found
    assert 0 == finish(tmp_path, "run", "sweep.yaml"), said(tmp_path)[-2000:]
    assert "Everything is there" in said(tmp_path) or "nothing to do" in said(tmp_path)
    assert [] == Store(tmp_path / "store").nondeterminism()
