"""Making ensembles of pairs of networks, and measuring them."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

from lmc_sweep.execution.bodies.inputs import (
    dataset_of,
    finite,
    inputs_of,
    labels_of,
    on_device,
    permutation_spec_of,
    program_of,
)
from lmc_sweep.execution.task import Machine
from lmc_sweep.planning.identity import canonical_json
from lmc_sweep.planning.study_ensembles import EnsembleItem
from lmc_sweep.store.store import Store
from workers.ensembles.line_step import FIRST, SECOND
from workers.ensembles.make import Ensembles, make_ensembles
from workers.ensembles.measure import PREDICTORS, EnsembleFigures, end_cosines, measure_ensembles
from workers.specs import NetworkSpec, Split


def ensembles_batch(store: Store, items: Sequence[EnsembleItem], machine: Machine) -> None:
    """Makes and measures ensembles of networks of one architecture by one method.

    Of networks whose lines start from their initializations, nothing is read.
    """
    begun = time.perf_counter()
    cell, spec, device = items[0].cell, items[0].spec, machine.device
    assert cell is not None
    program, method = program_of(cell), spec.method
    places: list[tuple[str, int]] = []
    trained = None
    if method.reads_networks:
        # Of all items in one look: each look opens every file that it finds a row in.
        places = store.origins([network_id for item in items for network_id in item.networks])
        first, second = (on_device(store.load_rows(places[at::2]), device) for at in (0, 1))
        trained = (first, second)
    specs = [tuple(member.spec for member in item.members) for item in items]
    made = make_ensembles(
        method,
        program,
        dataset_of(cell.data, device),
        names=[item.pair_id for item in items],
        trained=trained,
        units=permutation_spec_of(cell) if method.permutes else None,
        specs=[(a, b) for a, b in specs if isinstance(a, NetworkSpec) and isinstance(b, NetworkSpec)],
        label_noise=cell.label_noise,
        device=device,
        max_bytes=machine.max_bytes,
    )
    figures: dict[Split, EnsembleFigures] = {
        split: measure_ensembles(
            program,
            made.first,
            made.second,
            inputs_of(cell, split, device),
            labels_of(cell.data, split, cell.label_noise, device),
        )
        for split in spec.splits
    }
    cosines = end_cosines(made.first, made.second)
    checkpoint = _write(store, made) if method.learns_line else None
    seconds = (time.perf_counter() - begun) / len(items)
    rows = [
        {
            **_described(item),
            **_measured(figures, k),
            "cosine": finite(cosines[k]),
            "epochs_trained": made.epochs_trained[k],
            "stop_reason": made.stop_reason[k],
            "align_seconds": made.align_seconds[k],
            "train_seconds": made.train_seconds[k],
            "checkpoint": checkpoint,
            "row": k if checkpoint is not None else None,
            "measure_seconds": seconds,
            "inputs_json": json.dumps({"networks": [list(place) for place in places[2 * k : 2 * k + 2]]}),
        }
        for k, item in enumerate(items)
    ]
    store.commit("ensembles", rows)


def _write(store: Store, made: Ensembles) -> str:
    """Writes the ends of the lines, one row each."""
    ends = {
        prefix + name: tensor.cpu()
        for prefix, end in ((FIRST, made.first), (SECOND, made.second))
        for name, tensor in end.items()
    }
    return store.write_tensors("networks", ends)


def _described(item: EnsembleItem) -> dict[str, Any]:
    """The columns that say what the ensemble is of."""
    cell, spec = item.cell, item.spec
    assert cell is not None
    return {
        "ensemble_id": item.id,
        "cell_id": item.cell_id,
        "pair_id": item.pair_id,
        "method": spec.method.method,
        "method_json": canonical_json(spec.method),
        "dataset": cell.dataset,
        "architecture": cell.architecture.name,
        "width": cell.architecture.width,
        "depth": cell.architecture.depth,
        "label_noise": cell.label_noise,
        "network_a": item.networks[0],
        "network_b": item.networks[1],
        "seed_a": item.members[0].spec.seed,
        "seed_b": item.members[1].spec.seed,
        "spec_json": canonical_json(spec),
    }


def _measured(figures: dict[Split, EnsembleFigures], k: int) -> dict[str, float | None]:
    """The figures of one ensemble, null of splits that were not asked for and where a loss is not finite."""
    splits: tuple[Split, ...] = ("train", "test")
    names = [
        f"{split}_{name}_{what}" for split in splits for name in PREDICTORS for what in ("loss", "error")
    ]
    found: dict[str, float | None] = dict.fromkeys([*names, *(f"{split}_disagreement" for split in splits)])
    for split, of_split in figures.items():
        losses = [finite(loss) for loss in of_split.losses[:, k]]
        for name, loss, error in zip(PREDICTORS, losses, of_split.errors[:, k].tolist(), strict=True):
            found[f"{split}_{name}_loss"] = loss
            found[f"{split}_{name}_error"] = None if loss is None else error
        if None not in losses[:2]:
            found[f"{split}_disagreement"] = float(of_split.disagreement[k])
    return found
