"""Writes the tiny store of the present schema version that later versions must be able to read.

``python tests/support/write_golden_store.py tests/golden/store_v1``: once per schema version, never again.
"""

from __future__ import annotations

import sys
from pathlib import Path
from unittest import mock

import torch

sys.path.insert(0, str(Path(__file__).parent))
from store_rows import row

from lmc_sweep.store import environment
from lmc_sweep.store.compaction import compact
from lmc_sweep.store.store import Store
from lmc_sweep.store.study_tables import STUDY_TABLES

ENVIRONMENT = {"lmc_sweep": "0.1.0", "python": "3.11", "packages": {"torch": "2.15.0"}, "gpu": None}


def write(path: Path) -> None:
    """Two networks, two alignments, a trace, barriers, a failure, a sweep, and a row of every study."""
    store = Store.create(path)
    stack = {
        "layers.0.weight": torch.arange(12.0).reshape(2, 3, 2),
        "layers.0.bias": torch.tensor([[0.5] * 3, [1.5] * 3]),
    }
    checkpoint = store.write_tensors("networks", stack)
    common = {
        "dataset": "digits",
        "architecture": "mlp",
        "width": 3,
        "depth": 1,
        "environment_id": store.record_environment(),
    }
    networks = [
        row(
            "networks",
            f"network{k}",
            seed=k,
            row=k,
            checkpoint=checkpoint,
            stop_reason="loss_reached",
            **common,
        )
        for k in range(2)
    ]
    networks.append(
        row(
            "networks",
            "diverged",
            minutes=1,
            seed=2,
            row=0,
            checkpoint=checkpoint,
            stop_reason="diverged",
            train_loss=None,
            **common,
        )
    )
    store.commit("networks", networks)
    spec = '{"groups": {"layers.0": 3}, "axes": []}'
    permutations = store.write_tensors(
        "permutations", {"member1.layers.0": torch.tensor([[2, 0, 1]])}, {"spec": spec}
    )
    store.commit(
        "alignments",
        [
            row("alignments", "real", world="real", networks=["network0", "network1"]),
            row(
                "alignments",
                "model",
                world="model",
                networks=["network0"] * 2,
                permutations=permutations,
                row=0,
            ),
        ],
    )
    store.commit(
        "search_traces",
        [row("search_traces", "trace", alignment_id="model", temperatures=[], acceptances=[])],
    )
    for minutes, loss_barrier in ((0, 0.25), (5, 0.75)):  # an id twice: the first counts
        store.commit(
            "barriers",
            [row("barriers", "barrier", minutes=minutes, alignment_id="real", loss_barrier=loss_barrier)],
        )
    store.commit("failures", [row("failures", "failure", kind="barrier", item_ids=["barrier", "missing"])])
    store.commit("attempts", [row("attempts", "attempt", sweep="golden", cause="deadline")])
    store.commit("retries", [row("retries", "failure", sweep="golden")])
    for table in STUDY_TABLES:
        store.commit(table.name, [row(table.name, f"of {table.name}")])
    compact(store, grace_seconds=0)  # of the two files of barriers
    store.record_sweep("golden", "name: golden\n", [("network", "network0"), ("barrier", "barrier")])


if __name__ == "__main__":
    with mock.patch.object(environment, "describe", return_value=ENVIRONMENT):
        write(Path(sys.argv[1]))
