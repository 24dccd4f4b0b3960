"""Aligning a batch of pairs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from lmc_sweep.execution.bodies.inputs import (
    finite,
    inputs_of,
    labels_of,
    permutation_spec_of,
    program_of,
)
from lmc_sweep.execution.bodies.members import described, load_member, starts
from lmc_sweep.execution.task import Machine
from lmc_sweep.planning.identity import canonical_json, identify
from lmc_sweep.planning.items import AlignmentItem
from lmc_sweep.store.store import Store
from workers.alignment.align import AlignmentResult, Examples, align
from workers.alignment.methods import Oracle
from workers.alignment.planted import recovered, undone
from workers.permutation import permute
from workers.permutation.check import check_function_preserved

CHECKED_EXAMPLES = 64
CHECKED_TOLERANCE = 1e-3  # relative, in float32: the order of sums changes


def align_batch(store: Store, items: Sequence[AlignmentItem], machine: Machine) -> None:
    """Aligns groups of networks of one architecture by one method.

    Traces are committed before the alignments that they tell of: whatever ends the process in between,
    no alignment lacks its traces.
    """
    cell, method, device = items[0].cell, items[0].method, machine.device
    program, spec = program_of(cell), permutation_spec_of(cell)
    networks = [item.networks for item in items]
    num_members = len(networks[0])
    # Of all items in one look: each look opens every file that it finds a row in.
    origins = store.origins([network_id for of_item in networks for network_id in of_item])
    read = [described(item, origins[k * num_members : (k + 1) * num_members]) for k, item in enumerate(items)]
    stored = [load_member(store, program, read, networks, member, device) for member in range(num_members)]
    begun = [starts(items, spec, member) for member in range(num_members)]
    inputs = inputs_of(cell, "train", device)
    if isinstance(method, Oracle):
        found = undone(begun, spec, len(items))
    else:
        found = align(
            method,
            [permute.apply(params, start, spec) for params, start in zip(stored, begun, strict=True)],
            spec,
            names=[item.pair_id for item in items],
            examples=Examples(program, inputs, labels_of(cell.data, "train", cell.label_noise, device)),
            max_bytes=machine.max_bytes,
        )
    totals = [
        permute.compose(start, {group: index.cpu() for group, index in then.items()})
        for start, then in zip(begun, found.permutations, strict=True)
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
    traces = list(_traces(items, found))
    if traces:
        store.commit("search_traces", traces)
    shares = recovered(totals[1:]) if spec.groups else None
    rows = [
        {
            **_described(item),
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
            "inputs_json": json.dumps(read[k]),
            "planted_noise": item.planted_noise,
            "recovered": float(shares[k]) if shares is not None and _is_known(item, found, k) else None,
        }
        for k, item in enumerate(items)
    ]
    store.commit("alignments", rows)


def _is_known(item: AlignmentItem, found: AlignmentResult, k: int) -> bool:
    """Whether the answer of a search is known, and there was one to search for."""
    return item.world != "real" and found.outcome[k] != "non_finite"


def _described(item: AlignmentItem) -> dict[str, Any]:
    """The columns that say what was aligned, and how."""
    return {
        "alignment_id": item.id,
        "cell_id": item.cell_id,
        "pair_id": item.pair_id,
        "world": item.world,
        "method": item.method.method,
        "method_json": canonical_json(item.method),
    }


def _traces(items: Sequence[AlignmentItem], found: AlignmentResult) -> Iterator[dict[str, Any]]:
    """Rows of ``search_traces``, one per alignment and chain; none for methods that do not search."""
    for item, of_item in zip(items, found.traces, strict=bool(found.traces)):
        for trace in of_item:
            yield {
                "trace_id": identify("trace", {"alignment": item.id, "chain": trace.chain}),
                **_described(item),
                "chain": trace.chain,
                "evaluations": [int(count) for count in trace.evaluations],
                "seconds": [float(value) for value in trace.seconds],
                "objectives": [float(value) for value in trace.objective],
                "best_objectives": [float(value) for value in trace.best],
                "temperatures": [float(value) for value in trace.temperature],
                "acceptances": [float(value) for value in trace.acceptance],
            }
