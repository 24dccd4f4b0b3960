"""Stores of small sweeps, computed body by body: what tests of stored results need, without a driver."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lmc_sweep.config import parse_sweep
from lmc_sweep.config.sweep import Sweep
from lmc_sweep.execution.bodies import BODIES
from lmc_sweep.execution.task import Machine
from lmc_sweep.planning.batching import batches
from lmc_sweep.planning.items import items
from lmc_sweep.store.store import Store
from workers.device import threads

SWEEP = """
name: small
store: unused
networks:
  - dataset: digits
    architecture: {name: mlp, width: [3, 5], depth: 1}
    training: {max_epochs: 1}
    seeds: 3
barriers:
  worlds: [real, model, planted]
  pairs: 1
  alignments: [{method: random}, {method: weight_matching}]
  interpolation: {alphas: 3, splits: [test]}
"""
MACHINE = Machine("cpu", 2e9)


def compute(path: Path, text: str = SWEEP, overrides: Sequence[str] = ()) -> Store:
    """A store that holds everything a sweep asks for."""
    sweep = parse_sweep(text, overrides=overrides)
    store = Store.create(path)
    planned = items(sweep)
    named = [(kind, item.id) for kind, of_kind in planned.items() for item in of_kind]
    store.record_sweep(sweep.name, sweep.text, named)
    complete(store, sweep)
    return Store(path)


def complete(store: Store, sweep: Sweep) -> None:
    """Computes what a store lacks of a sweep."""
    for kind, of_kind in items(sweep).items():
        missing = [item for item in of_kind if item.id not in store.ids(kind)]
        for batch in batches({kind: missing}, lambda item: 0.1, 1e9, 1):
            with threads(1):
                BODIES[kind](store, batch.items, MACHINE)
