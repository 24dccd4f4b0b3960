"""The bodies of the tasks: read, call the workers, commit. Nothing else.

Artifacts are written before the record file that names them, so an attempt that dies leaves at most an
unnamed file behind.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from workers.training.train import train

from lmc_sweep import data
from lmc_sweep.planning.identity import canonical_json
from lmc_sweep.planning.items import AlignmentItem, BarrierItem, NetworkItem
from lmc_sweep.store.store import Store
from workers.alignment.align import MidpointObjective, align
from workers.architectures import StackedProgram, build
from workers.datasets.tensors import normalize
from workers.interpolation.barriers import barrier, midpoint_barrier
from workers.interpolation.interpolate import Curves, interpolate
from workers.params import ParamStack, num_parameters, row
from workers.permutation import permute
from workers.permutation.check import check_function_preserved
from workers.permutation.derive import derive_permutation_spec
from workers.permutation.spec import PermutationSpec
from workers.specs import NetworkSpec

CHECKED_EXAMPLES = 64
CHECKED_TOLERANCE = 1e-3  # relative, in float32: the order of sums changes


@lru_cache(maxsize=8)
def _inputs(dataset: str, split: str, device: str) -> Tensor:
    """Normalized images of a split on a device, kept between the batches of this process."""
    loaded = data.load(dataset)
    images: Tensor = normalize(loaded.images(split).to(device), loaded.definition)
    return images


@lru_cache(maxsize=32)
def _labels(dataset: str, split: str, label_noise: float, device: str) -> Tensor:
    labels: Tensor = data.load(dataset).labels(split, label_noise).to(device)
    return labels


def _program(spec: NetworkSpec) -> tuple[StackedProgram, PermutationSpec]:
    """The program of a network's architecture, and where its hidden units can be permuted."""
    definition = data.load(spec.dataset).definition
    program = build(spec.architecture, definition)
    example = program.prepare(torch.zeros(1, *definition.shape, device="meta"))
    return program, derive_permutation_spec(program.module, example)


def _on(params: ParamStack, device: str) -> ParamStack:
    return {name: tensor.to(device) for name, tensor in params.items()}


def train_batch(store: Store, items: Sequence[NetworkItem], device: str) -> None:
    """Trains networks of one architecture as one stack."""
    first = items[0].spec
    program, _ = _program(first)
    trained = train(program, [item.spec for item in items], data.load(first.dataset), device=device)
    checkpoint = store.write_tensors("networks", trained.params, None)
    size = num_parameters(row(trained.params, 0))
    rows = [
        {
            "network_id": item.id,
            "cell_id": item.cell_id,
            "dataset": item.spec.dataset,
            "architecture": item.spec.architecture.name,
            "width": item.spec.architecture.width,
            "depth": item.spec.architecture.depth,
            "seed": item.spec.seed,
            "label_noise": item.spec.label_noise,
            "learning_rate": item.spec.training.learning_rate,
            "batch_size": item.spec.training.batch_size,
            "max_epochs": item.spec.training.max_epochs,
            "epochs_trained": trained.epochs_trained[k],
            "stop_reason": trained.stop_reason[k],
            "train_loss": trained.train_loss[k],
            "train_error": trained.train_error[k],
            "test_loss": trained.test_loss[k],
            "test_error": trained.test_error[k],
            "num_parameters": size,
            "checkpoint": checkpoint,
            "row": k,
            "train_seconds": trained.train_seconds[k],
            "device": device,
            "spec_json": canonical_json(item.spec),
        }
        for k, item in enumerate(items)
    ]
    store.commit("networks", rows)


def align_batch(store: Store, items: Sequence[AlignmentItem], device: str) -> None:
    """Aligns groups of networks of one architecture by one method."""
    cell, method = items[0].cell, items[0].method
    program, spec = _program(cell)
    stored = [
        _on(store.load_networks([item.networks[m] for item in items]), device)
        for m in range(len(items[0].networks))
    ]
    starts = [_random_starts(items, spec, member) for member in range(len(stored))]
    members = [permute.apply(params, start, spec) for params, start in zip(stored, starts, strict=True)]
    inputs = program.prepare(_inputs(cell.dataset, "train", device))
    labels = _labels(cell.dataset, "train", cell.label_noise, device)
    found = align(
        method,
        members,
        spec,
        names=[item.pair_id for item in items],
        objective=MidpointObjective(program, inputs, labels),
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
    read = store.fetch(
        "networks", sorted({n for item in items for n in item.networks}), ["network_id", "checkpoint", "row"]
    )
    origin = {entry["network_id"]: [entry["checkpoint"], entry["row"]] for entry in read}
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
            "objective_start": _finite(found.objective_start[k]),
            "objective_end": _finite(found.objective_end[k]),
            "num_evaluations": int(found.num_evaluations[k]),
            "align_seconds": float(found.seconds[k]),
            "outcome": found.outcome[k],
            "details_json": json.dumps(found.details[k]),
            "inputs_json": json.dumps({"networks": [origin[network] for network in item.networks]}),
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


def measure_batch(store: Store, items: Sequence[BarrierItem], device: str) -> None:
    """Measures the curves of aligned networks of one architecture on all their examples."""
    ids = list(dict.fromkeys(item.alignment.id for item in items))
    fetched = store.fetch("alignments", ids, ["alignment_id", "permutations", "row"])
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
    program, spec = _program(cell)
    sources = [aligned[alignment.id] for alignment in alignments]
    permutations = store.load_permutations(sources)
    ends = []
    for member in members:
        params = _on(store.load_networks([alignment.networks[member] for alignment in alignments]), device)
        own = {
            group: permutations[f"member{member}.{group}"]
            for group in spec.groups
            if f"member{member}.{group}" in permutations
        }
        ends.append(permute.apply(params, own, spec) if own else params)
    position = {alignment.id: k for k, alignment in enumerate(alignments)}
    by_split: dict[str, list[BarrierItem]] = defaultdict(list)
    for item in items:
        by_split[item.split].append(item)
    for split, of_split in by_split.items():
        start = time.perf_counter()
        chosen = [position[item.alignment.id] for item in of_split]
        curves = interpolate(
            program,
            {name: tensor[chosen] for name, tensor in ends[0].items()},
            {name: tensor[chosen] for name, tensor in ends[1].items()},
            of_split[0].alphas,
            program.prepare(_inputs(cell.dataset, split, device)),
            _labels(cell.dataset, split, cell.label_noise, device),
        )
        seconds = (time.perf_counter() - start) / len(of_split)
        for k, item in enumerate(of_split):
            source = aligned[item.alignment.id]
            yield {
                **_described(item),
                **_measured(curves, k, item),
                "measure_seconds": seconds,
                "inputs_json": json.dumps({"permutations": [source["permutations"], source["row"]]}),
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
    }


def _measured(curves: Curves, k: int, item: BarrierItem) -> dict[str, Any]:
    """The columns of a barrier that were measured; null where a loss is not finite."""
    finite = bool(torch.isfinite(curves.losses[k]).all())
    same_network = item.alignment.networks[item.member_a] == item.alignment.networks[item.member_b]
    alphas = torch.tensor(curves.alphas, dtype=torch.float64)

    def derived(rule: Callable[[Tensor, Tensor], Tensor], values: Tensor) -> float | None:
        return float(rule(values[k : k + 1], alphas)[0]) if finite else None

    return {
        "num_examples": curves.num_examples,
        "alphas": list(curves.alphas),
        "losses": [_finite(value) for value in curves.losses[k]],
        "errors": [float(value) if finite else None for value in curves.errors[k]],
        "loss_barrier": derived(barrier, curves.losses),
        "error_barrier": derived(barrier, curves.errors),
        "loss_midpoint_barrier": derived(midpoint_barrier, curves.losses),
        "error_midpoint_barrier": derived(midpoint_barrier, curves.errors),
        # A permutation keeps the function, so a network never disagrees with itself: rounding aside, zero.
        "endpoint_disagreement": 0.0
        if same_network
        else float(curves.endpoint_disagreement[k])
        if finite
        else None,
    }


def _finite(value: Tensor) -> float | None:
    """The number, or None where it is not finite: the store holds no NaN."""
    return float(value) if bool(torch.isfinite(torch.as_tensor(value))) else None


BODIES: dict[str, Callable[[Store, Sequence[Any], str], None]] = {
    NetworkItem.kind: train_batch,
    AlignmentItem.kind: align_batch,
    BarrierItem.kind: measure_batch,
}
