"""On real MNIST: repair removes most of what matching leaves between deep networks without batch norm."""

from __future__ import annotations

from pathlib import Path

import pytest

from lmc_sweep import data
from lmc_sweep.config import parse_sweep
from lmc_sweep.execution.run import run

SWEEP = """
name: deep
store: {store}
networks:
  - dataset: mnist
    num_train: 5000
    architecture: {{name: mlp, width: 256, depth: 10}}
    training: {{optimizer: adam, learning_rate: 0.0003, max_epochs: 6}}
    seeds: 2
barriers:
  worlds: [real]
  alignments: [{{method: weight_matching, restarts: 2}}]
  interpolation: {{splits: [train], corrections: [none, repair]}}
"""


@pytest.mark.data
@pytest.mark.slow
def test_repair_removes_half_of_the_barrier_left_by_matching(tmp_path: Path) -> None:
    """Ten hidden layers of 256 units: with repair the loss barrier is less than half of that without."""
    if not data.present("mnist"):
        pytest.skip("MNIST is not under LMC_SWEEP_DATA")
    result = run(parse_sweep(SWEEP.format(store=tmp_path / "s")), inline=True)
    query = "SELECT correction, loss_barrier FROM barriers"
    barriers = dict(result.store.sql(query).fetchall())
    assert {"none", "repair"} == set(barriers)
    assert barriers["repair"] < 0.5 * barriers["none"], barriers
