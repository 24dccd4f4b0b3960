"""Measuring a batch of curves."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from lmc_sweep.execution.bodies.inputs import (
    finite,
    inputs_of,
    labels_of,
    on_device,
    permutation_spec_of,
    program_of,
    statistics_of,
)
from lmc_sweep.planning.identity import canonical_json
from lmc_sweep.planning.items import BarrierItem
from lmc_sweep.store.store import Store
from workers.interpolation.barriers import barrier, midpoint_barrier
from workers.interpolation.interpolate import Curves, interpolate
from workers.permutation import permute
from workers.specs import Correction, NetworkSpec, Split


def measure_batch(store: Store, items: Sequence[BarrierItem], device: str) -> None:
    """Measures the curves of aligned networks of one architecture on all their examples."""
    ids = list(dict.fromkeys(item.alignment.id for item in items))
    fetched = store.fetch("alignments", ids, ["alignment_id", "permutations", "row", "inputs_json"])
    aligned = {entry["alignment_id"]: entry for entry in fetched}
    by_members: dict[tuple[int, int], list[BarrierItem]] = defaultdict(list)
    for item in items:
        by_members[item.member_a, item.member_b].append(item)
    rows: list[dict[str, Any]] = []
    for (a, b), of_members in by_members.items():
        rows += _measure(store, of_members, aligned, (a, b), device)
    store.commit("barriers", rows)


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
    read = [json.loads(source["inputs_json"])["networks"] for source in sources]
    permutations = store.load_permutations(sources)
    ends = []
    for member in members:
        params = on_device(
            store.load_rows([(of_pair[member][0], of_pair[member][1]) for of_pair in read]), device
        )
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
    for (split, correction), of_split in by_question.items():
        statistics = None if correction == "none" else statistics_of(cell, device)
        start = time.perf_counter()
        chosen = [position[item.alignment.id] for item in of_split]
        curves = interpolate(
            program,
            {name: tensor[chosen] for name, tensor in ends[0].items()},
            {name: tensor[chosen] for name, tensor in ends[1].items()},
            of_split[0].alphas,
            inputs_of(cell, split, device),
            labels_of(cell.data, split, cell.label_noise, device),
            correction=correction,
            statistics=statistics,
        )
        seconds = (time.perf_counter() - start) / len(of_split)
        for k, item in enumerate(of_split):
            source, networks = aligned[item.alignment.id], read[position[item.alignment.id]]
            yield {
                **_described(item),
                **_measured(curves, k, item),
                "measure_seconds": seconds,
                "inputs_json": json.dumps(
                    {
                        "permutations": [source["permutations"], source["row"]],
                        "networks": [networks[member] for member in members],
                    }
                ),
            }


def _described(item: BarrierItem) -> dict[str, Any]:
    """The columns of a barrier that say what was measured."""
    alignment = item.alignment
    return {
        "barrier_id": item.id,
        "alignment_id": alignment.id,
        "cell_id": alignment.cell_id,
        "pair_id": alignment.pair_id,
        "world": alignment.world,
        "method": alignment.method.method,
        "method_json": canonical_json(alignment.method),
        "dataset": alignment.cell.dataset,
        "architecture": alignment.cell.architecture.name,
        "width": alignment.cell.architecture.width,
        "depth": alignment.cell.architecture.depth,
        "label_noise": alignment.cell.label_noise,
        "network_a": alignment.networks[item.member_a],
        "network_b": alignment.networks[item.member_b],
        "member_a": item.member_a,
        "member_b": item.member_b,
        "seed_a": alignment.seeds[item.member_a],
        "seed_b": alignment.seeds[item.member_b],
        "split": item.split,
        "correction": item.correction,
        "save_at": alignment.cell.training.save_at if isinstance(alignment.cell, NetworkSpec) else None,
    }


def _measured(curves: Curves, k: int, item: BarrierItem) -> dict[str, Any]:
    """The columns of a barrier that were measured; null where a loss is not finite."""
    is_finite = bool(torch.isfinite(curves.losses[k]).all())
    same_network = item.alignment.networks[item.member_a] == item.alignment.networks[item.member_b]
    alphas = torch.tensor(curves.alphas, dtype=torch.float64)
    # A permutation keeps the function, so a network never disagrees with itself: rounding aside, zero.
    disagreement = 0.0 if same_network else float(curves.endpoint_disagreement[k])

    def derived(rule: Callable[[Tensor, Tensor], Tensor], values: Tensor) -> float | None:
        return float(rule(values[k : k + 1], alphas)[0]) if is_finite else None

    return {
        "num_examples": curves.num_examples,
        "alphas": list(curves.alphas),
        "losses": [finite(value) for value in curves.losses[k]],
        "errors": [float(value) if is_finite else None for value in curves.errors[k]],
        "loss_barrier": derived(barrier, curves.losses),
        "error_barrier": derived(barrier, curves.errors),
        "loss_midpoint_barrier": derived(midpoint_barrier, curves.losses),
        "error_midpoint_barrier": derived(midpoint_barrier, curves.errors),
        "endpoint_disagreement": disagreement if is_finite else None,
    }
