"""Rows of ``permutation_points``, from the networks at the ends of paths."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lmc_sweep.execution.bodies.permutation_points import point_rows
from lmc_sweep.store.schema import TABLES
from lmc_sweep.store.store import Store
from workers.permutation_points import DenseShape, Loss, PermutationPointsSpec, duplicated, outputs, with_ones
from workers.permutation_points.statements import MEANINGS


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_rows_have_the_columns_of_the_table(activation: str, tmp_path: Path) -> None:
    """Every column of the schema and none besides; the store takes them, and asks by them in SQL."""
    draws = torch.Generator().manual_seed(1)
    small = DenseShape((2, 3, 2), activation)  # type: ignore[arg-type]
    flat = torch.randn(1, small.num_parameters, generator=draws, dtype=torch.float64)
    shape, network = duplicated(small, flat, 1, [0, 1, 2, 0])
    inputs = with_ones(torch.randn(20, 2, generator=draws, dtype=torch.float64))
    loss = Loss(shape, inputs, outputs(shape, network, inputs) * 1.5)
    spec = PermutationPointsSpec(hessian=activation == "tanh", order=2)
    rows = point_rows("path", "cell", loss, network[0], 1, (0, 3), spec)
    added = {"created_at", "environment_id"}
    for row in rows:
        assert set(TABLES["permutation_points"].by_name) - added == set(row)
        assert set(MEANINGS) >= {*row["held"], *row["falsified"]}
    assert 3 == len({row["point_id"] for row in rows})
    store = Store.create(tmp_path)
    store.commit("permutation_points", rows)
    asked = "SELECT copies, critical FROM permutation_points ORDER BY point_order, copies DESC"
    found = store.sql(asked).fetchall()
    assert [[2], [3], [2, 2]] == [copies for copies, _ in found]
    assert rows == point_rows("path", "cell", loss, network[0], 1, (0, 3), spec)
