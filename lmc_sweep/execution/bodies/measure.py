"""Measuring a batch of curves."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from lmc_sweep.execution.bodies import barrier_rows
from lmc_sweep.execution.bodies.inputs import (
    inputs_of,
    labels_of,
    permutation_spec_of,
    program_of,
    statistics_of,
)
from lmc_sweep.execution.bodies.members import load_member
from lmc_sweep.execution.task import Machine
from lmc_sweep.planning.items import BarrierItem
from lmc_sweep.store.store import Store
from workers.architectures import StackedProgram
from workers.interpolation.interpolate import Curves, interpolate
from workers.interpolation.layers import moving_sets
from workers.params import ParamStack, rows
from workers.permutation import permute
from workers.specs import Correction, NetworkKind, Split


def measure_batch(store: Store, items: Sequence[BarrierItem], machine: Machine) -> None:
    """Measures the curves of aligned networks of one architecture on all their examples."""
    ids = list(dict.fromkeys(item.alignment.id for item in items))
    fetched = store.fetch("alignments", ids, ["alignment_id", "permutations", "row", "inputs_json"])
    aligned = {entry["alignment_id"]: entry for entry in fetched}
    by_members: dict[tuple[int, int], list[BarrierItem]] = defaultdict(list)
    for item in items:
        by_members[item.member_a, item.member_b].append(item)
    measured: list[dict[str, Any]] = []
    for (a, b), of_members in by_members.items():
        measured += _measure(store, of_members, aligned, (a, b), machine.device)
    store.commit("barriers", measured)


def _measure(
    store: Store,
    items: Sequence[BarrierItem],
    aligned: dict[str, dict[str, Any]],
    members: tuple[int, int],
    device: str,
) -> Iterable[dict[str, Any]]:
    """Rows of the curves between two members, all alignments of a split together."""
    alignments = list({item.alignment.id: item.alignment for item in items}.values())
    cell = alignments[0].cell
    program, spec = program_of(cell), permutation_spec_of(cell)
    sources = [aligned[alignment.id] for alignment in alignments]
    # What the alignment read, not what the networks' records say by now: permutations belong to weights.
    read = [json.loads(source["inputs_json"]) for source in sources]
    permutations = store.load_permutations(sources)
    ends = []
    for member in members:
        networks = [alignment.networks for alignment in alignments]
        params = load_member(store, program, read, networks, member, device)
        own = {
            group: permutations[f"member{member}.{group}"]
            for group in spec.groups
            if f"member{member}.{group}" in permutations
        }
        permute.validate(own, spec, len(alignments))
        ends.append(permute.apply(params, own, spec) if own else params)
    position = {alignment.id: k for k, alignment in enumerate(alignments)}
    by_question: dict[tuple[Split, Correction], list[BarrierItem]] = defaultdict(list)
    for item in items:
        by_question[item.split, item.correction].append(item)
    for (split, correction), of_question in by_question.items():
        segment = _Segment(cell, program, ends[0], ends[1], split, correction, device)
        for item, columns in _by_layers(segment, of_question, position):
            source = aligned[item.alignment.id]
            origins = read[position[item.alignment.id]]["networks"]
            inputs = {
                "permutations": [source["permutations"], source["row"]],
                "networks": [origins[member] for member in members],
                **columns.pop("inputs"),
            }
            yield {**barrier_rows.described(item), **columns, "inputs_json": json.dumps(inputs)}


@dataclass(frozen=True)
class _Segment:
    """Two stacks of networks and the examples on which what lies between them is measured."""

    cell: NetworkKind
    program: StackedProgram
    params_a: ParamStack
    params_b: ParamStack
    split: Split
    correction: Correction
    device: str

    def curves(self, chosen: Sequence[int], alphas: Sequence[float], layers: str | None = None) -> Curves:
        """Curves of some rows, of all layers or of those that ``each:NAME`` or ``cumulative:NAME`` names."""
        moving = None
        if layers is not None:
            groups, _, name = layers.partition(":")
            moving = moving_sets(self.program, "each" if groups == "each" else "cumulative")[name]
        return interpolate(
            self.program,
            rows(self.params_a, chosen),
            rows(self.params_b, chosen),
            alphas,
            inputs_of(self.cell, self.split, self.device),
            labels_of(self.cell.data, self.split, self.cell.label_noise, self.device),
            correction=self.correction,
            statistics=None if self.correction == "none" else statistics_of(self.cell, self.device),
            moving=moving,
        )


def _by_layers(
    segment: _Segment, items: Sequence[BarrierItem], position: dict[str, int]
) -> Iterable[tuple[BarrierItem, dict[str, Any]]]:
    """What was measured for each item; the chord of layers is that of the two networks, measured once."""
    by_layers: dict[str | None, list[BarrierItem]] = defaultdict(list)
    for item in items:
        by_layers[item.layers].append(item)
    partial = list(dict.fromkeys(item.alignment.id for item in items if item.layers is not None))
    whole = segment.curves([position[one] for one in partial], (0.0, 1.0)) if partial else None
    for layers, of_layers in by_layers.items():
        start = time.perf_counter()
        chosen = [position[item.alignment.id] for item in of_layers]
        curves = segment.curves(chosen, of_layers[0].alphas, layers)
        seconds = (time.perf_counter() - start) / len(of_layers)
        for k, item in enumerate(of_layers):
            inputs: dict[str, Any] = {}
            if whole is None or layers is None:
                columns = barrier_rows.measured(item, curves, k, curves, k)
            else:
                row = partial.index(item.alignment.id)
                columns = barrier_rows.measured(item, curves, k, whole, row)
                inputs["chord"] = barrier_rows.chord(whole, row)
            yield item, {**columns, "measure_seconds": seconds, "inputs": inputs}
