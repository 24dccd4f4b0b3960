"""Aligning a batch of pairs."""

from __future__ import annotations

import json
from collections.abc import Sequence

from lmc_sweep.execution.bodies.inputs import (
    finite,
    inputs_of,
    labels_of,
    on_device,
    permutation_spec_of,
    program_of,
)
from lmc_sweep.planning.identity import canonical_json
from lmc_sweep.planning.items import AlignmentItem
from lmc_sweep.store.store import Store
from workers.alignment.align import Examples, align
from workers.permutation import permute
from workers.permutation.check import check_function_preserved
from workers.permutation.spec import PermutationSpec

CHECKED_EXAMPLES = 64
CHECKED_TOLERANCE = 1e-3  # relative, in float32: the order of sums changes


def align_batch(store: Store, items: Sequence[AlignmentItem], device: str) -> None:
    """Aligns groups of networks of one architecture by one method."""
    cell, method = items[0].cell, items[0].method
    program, spec = program_of(cell), permutation_spec_of(cell)
    origins = [store.origins([item.networks[m] for item in items]) for m in range(len(items[0].networks))]
    stored = [on_device(store.load_rows(of_member), device) for of_member in origins]
    starts = [_random_starts(items, spec, member) for member in range(len(stored))]
    members = [permute.apply(params, start, spec) for params, start in zip(stored, starts, strict=True)]
    inputs = inputs_of(cell, "train", device)
    labels = labels_of(cell.data, "train", cell.label_noise, device)
    found = align(
        method,
        members,
        spec,
        names=[item.pair_id for item in items],
        examples=Examples(program, inputs, labels),
    )
    totals = [
        permute.compose(start, {group: index.cpu() for group, index in then.items()})
        for start, then in zip(starts, found.permutations, strict=True)
    ]
    for params, total in zip(stored, totals, strict=True):
        check_function_preserved(program, params, total, spec, inputs[:CHECKED_EXAMPLES], CHECKED_TOLERANCE)
    path = store.write_tensors(
        "permutations",
        {
            f"member{m}.{group}": index
            for m, total in enumerate(totals)
            for group, index in total.items()
            if m > 0
        },
        {"spec": spec.to_json()},
    )
    rows = [
        {
            "alignment_id": item.id,
            "cell_id": item.cell_id,
            "pair_id": item.pair_id,
            "world": item.world,
            "method": method.method,
            "method_json": canonical_json(method),
            "networks": list(item.networks),
            "permutations": path,
            "row": k,
            "objective": found.objective,
            "objective_start": finite(found.objective_start[k]),
            "objective_end": finite(found.objective_end[k]),
            "num_evaluations": int(found.num_evaluations[k]),
            "align_seconds": float(found.seconds[k]),
            "outcome": found.outcome[k],
            "details_json": json.dumps(found.details[k]),
            "inputs_json": json.dumps({"networks": [of_member[k] for of_member in origins]}),
        }
        for k, item in enumerate(items)
    ]
    store.commit("alignments", rows)


def _random_starts(
    items: Sequence[AlignmentItem], spec: PermutationSpec, member: int
) -> permute.PermutationStack:
    """The permutation from which each item's member starts: of world ``model`` uniform, else none.

    It derives from (network_id, k) and the member alone, so every method starts from the same one.
    """
    start = permute.identity(spec, len(items))
    if member == 0:
        return start
    for position, item in enumerate(items):
        if item.world == "model":
            drawn = permute.random(spec, "model_pair", item.networks[0], item.pair_index, member)
            for group, index in drawn.items():
                start[group][position] = index
    return start
