"""The networks of cells with their units in order: their distances, and their averages."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from lmc_sweep.execution.bodies.inputs import inputs_of, labels_of, permutation_spec_of, program_of
from lmc_sweep.execution.task import Machine
from lmc_sweep.planning.identity import canonical_json, identify
from lmc_sweep.planning.study_canonical import CanonicalFormItem
from lmc_sweep.store.store import Store
from workers.canonical_forms.canonical_form import NUM_BINS, Average, CanonicalForm, Spread, canonical_form
from workers.canonical_forms.specs import Sorted
from workers.params import ParamStack

_FIGURES = ("train_loss", "train_error", "test_loss", "test_error")


def canonical_batch(store: Store, items: Sequence[CanonicalFormItem], machine: Machine) -> None:
    """Cells one after another; the averages of a cell are committed before its row.

    Whatever ends the process in between, no row lacks its averages.
    """
    for item in items:
        _measure(store, item, machine)


def _measure(store: Store, item: CanonicalFormItem, machine: Machine) -> None:
    """One cell under one treatment."""
    start = time.perf_counter()
    cell, spec = item.cell, item.spec
    assert cell is not None
    told = store.fetch("networks", spec.networks, ["checkpoint", "row", *_FIGURES])
    origins = [(row["checkpoint"], row["row"]) for row in told]

    def read(members: Sequence[int]) -> ParamStack:
        return store.load_rows([origins[member] for member in members])

    splits = spec.splits if spec.averages else ()
    found = canonical_form(
        spec,
        read,
        program_of(cell),
        permutation_spec_of(cell),
        {
            split: (
                inputs_of(cell, split, machine.device),
                labels_of(cell.data, split, cell.label_noise, machine.device),
            )
            for split in splits
        },
        machine.max_bytes,
    )
    averages = list(_averages(item, found, told)) if found is not None else []
    if averages:
        store.commit("canonical_averages", averages)
    row = {
        **_described(item),
        **_measured(item, found),
        "spec_json": canonical_json(spec),
        "measure_seconds": time.perf_counter() - start,
        "inputs_json": json.dumps({"networks": [list(origin) for origin in origins]}),
    }
    store.commit("canonical_forms", [row])


def _described(item: CanonicalFormItem) -> dict[str, Any]:
    """The columns that say what was looked at, and how."""
    cell, treatment = item.cell, item.spec.treatment
    assert cell is not None
    return {
        "canonical_id": item.id,
        "cell_id": item.cell_id,
        "treatment": treatment.treatment,
        "key": treatment.key if isinstance(treatment, Sorted) else None,
        "power": treatment.power if isinstance(treatment, Sorted) else None,
        "treatment_json": canonical_json(treatment),
        "dataset": cell.dataset,
        "architecture": cell.architecture.name,
        "width": cell.architecture.width,
        "depth": cell.architecture.depth,
        "label_noise": cell.label_noise,
    }


def _measured(item: CanonicalFormItem, found: CanonicalForm | None) -> dict[str, Any]:
    """The columns that were measured; empty lists and nulls where there is nothing to compare."""
    spec = item.spec
    num = 0 if found is None else len(found.members)
    shared = {
        "num_networks": len(spec.networks),
        "num_finite": num,
        "num_pairs": num * (num - 1) // 2,
        "epsilons": list(spec.epsilons),
        "num_bins": NUM_BINS,
    }
    if found is None:
        lists = ("tensors", "near_before", "near_after", "bin_edges", "bins_before", "bins_after")
        spreads = (f"{name}_{when}" for name in ("min", "max", "mean") for when in ("before", "after"))
        nulls = ("num_duplicates", "num_ambiguous", "order_seconds")
        return {
            **shared,
            **{name: [] for name in (*lists, *spreads)},
            **dict.fromkeys(nulls),
            "duplicates_json": "[]",
        }
    return {
        **shared,
        "tensors": list(found.tensors),
        **_spread(found.before, "before"),
        **_spread(found.after, "after"),
        "num_duplicates": sum(len(same) - 1 for same in found.equal),
        "duplicates_json": json.dumps(found.equal),
        "num_ambiguous": found.num_ambiguous,
        "near_before": list(found.near_before),
        "near_after": list(found.near_after),
        "bin_edges": list(chain.from_iterable(found.edges)),
        "order_seconds": found.order_seconds,
    }


def _spread(found: Spread, when: str) -> dict[str, Any]:
    """The columns of the distances before or after."""
    return {
        f"min_{when}": list(found.smallest),
        f"max_{when}": list(found.largest),
        f"mean_{when}": list(found.mean),
        f"bins_{when}": list(chain.from_iterable(found.counts)),
    }


def _averages(
    item: CanonicalFormItem, found: CanonicalForm, told: Sequence[dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    """One row per average and split."""
    for average in found.averages:
        what = {
            "canonical_form": item.id,
            "num_networks": len(average.members),
            "group": average.group,
            "split": average.split,
        }
        yield {
            "average_id": identify("canonical_average", what),
            **_described(item),
            "num_networks": len(average.members),
            "group_index": average.group,
            "split": average.split,
            "num_examples": average.num_examples,
            "loss": average.loss,
            "error": average.error,
            "mean_member_loss": _mean(average, "loss", told),
            "mean_member_error": _mean(average, "error", told),
            "networks": [item.spec.networks[member] for member in average.members],
        }


def _mean(average: Average, figure: str, told: Sequence[dict[str, Any]]) -> float | None:
    """Of a figure that the networks' own rows tell; None where one of them tells none."""
    values = [told[member][f"{average.split}_{figure}"] for member in average.members]
    return None if None in values else sum(values) / len(values)
