"""Measuring a batch of random networks."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

from lmc_sweep.execution.task import Machine
from lmc_sweep.planning.identity import canonical_json
from lmc_sweep.planning.study_initialization import InitializationItem
from lmc_sweep.store.store import Store
from workers.initialization.measure import measure


def initialization_batch(store: Store, items: Sequence[InitializationItem], machine: Machine) -> None:
    """Draws pairs of networks of one shape, matches their units, and measures them as one stack.

    In double precision on the CPU, whatever the machine has: assignments are found there.
    """
    start = time.perf_counter()
    found = measure([item.spec for item in items])
    seconds = (time.perf_counter() - start) / len(items)
    rows = []
    for item, measured in zip(items, found, strict=True):
        spec = item.spec
        rows.append(
            {
                "initialization_id": item.id,
                "cell_id": item.cell_id,
                "input_dim": spec.input_dim,
                "width": spec.width,
                "matching": spec.matching,
                "grid_cells": None if spec.grid_cells is None else str(spec.grid_cells),
                "activation": spec.activation,
                "seed": spec.seed,
                "num_inputs": spec.num_inputs,
                "num_draws": spec.num_draws,
                "delta": spec.delta,
                "alphas": list(spec.alphas),
                "deviations": list(measured.deviation_means),
                "deviation_mean": measured.deviation_mean,
                "deviation_midpoint": measured.deviation_means[spec.alphas.index(0.5)],
                "deviation_quantile": measured.deviation_quantile,
                "deviation_max": measured.deviation_max,
                "output_rms": measured.output_rms,
                "matching_distance": measured.matching_distance,
                "cells_per_axis": measured.cells_per_axis,
                "num_unmatched": measured.num_unmatched,
                "proof_bound": measured.proof_bound,
                "spec_json": canonical_json(spec),
                "measure_seconds": seconds,
                "inputs_json": json.dumps({"networks": []}),
            }
        )
    store.commit("initialization", rows)
