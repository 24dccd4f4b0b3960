"""On real MNIST: weight matching removes most of the barrier between wide networks."""

from __future__ import annotations

from pathlib import Path

import pytest

from lmc_sweep import data
from lmc_sweep.config import parse_sweep
from lmc_sweep.execution.run import run

SWEEP = """
name: mnist256
store: {store}
networks:
  - dataset: mnist
    num_train: 30000
    architecture: {{name: mlp, width: 256}}
    training: {{max_epochs: 6}}
    seeds: 4
barriers:
  worlds: [real]
  alignments: [{{method: identity}}, {{method: weight_matching}}]
  interpolation: {{splits: [train]}}
"""


@pytest.mark.data
@pytest.mark.slow
def test_weight_matching_leaves_less_than_a_tenth_of_the_barrier(tmp_path: Path) -> None:
    """Width 256: the loss barrier after matching is below a tenth of the identity's, in each pair."""
    if not data.present("mnist"):
        pytest.skip("MNIST is not under LMC_SWEEP_DATA")
    result = run(parse_sweep(SWEEP.format(store=tmp_path / "s")), inline=True)
    query = "SELECT method, list(loss_barrier ORDER BY pair_id) FROM barriers GROUP BY method"
    barriers = dict(result.store.sql(query).fetchall())
    pairs = zip(barriers["identity"], barriers["weight_matching"], strict=True)
    ratios = [after / before for before, after in pairs]
    assert 2 == len(ratios)
    assert max(ratios) < 0.1, ratios
