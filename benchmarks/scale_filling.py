"""Large stores without the days that computing them would take: rows of the real schema, made-up numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lmc_sweep.planning.identity import canonical_json
from lmc_sweep.planning.items import AlignmentItem, BarrierItem, Item, NetworkItem
from lmc_sweep.planning.plan import Plan
from lmc_sweep.store.schema import TABLE_OF_KIND
from workers.specs import NetworkSpec

if TYPE_CHECKING:
    from lmc_sweep.store.store import Store

SWEEP = """
name: scale
store: {store}
networks:
  - dataset: digits
    architecture: {{name: mlp, width: [4, 8, 16, 32, 64, 96, 128, 192, 256, 512], depth: 1}}
    training: {{max_epochs: 20}}
    seeds: {seeds}
barriers:
  worlds: [real, model]
  alignments:
    - {{method: identity}}
    - {{method: weight_matching}}
    - {{method: simulated_annealing, steps: 2000}}
  interpolation: {{alphas: 11, splits: [train, test]}}
"""
"""Ten cells. A pair of seeds asks for 2 networks, 6 alignments and 12 curves: 20 items."""

METHODS = ("identity", "weight_matching", "simulated_annealing", "random")
NUM_ALPHAS = 11


def sweep_text(store: str, num_items: int) -> str:
    """A sweep file of so many items, a multiple of 200."""
    return SWEEP.format(store=store, seeds=num_items // 100)


def complete(store: Store, plan: Plan, batch_size: int | None = None) -> int:
    """Commits a row for every item of a plan, in a file per batch, and returns how many files that made."""
    import torch

    num_files = 0
    for batch in plan.batches:
        for part in _parts(batch.items, batch_size or len(batch.items)):
            ones = {"ones": torch.full((1, 4), float(num_files))}
            folder = {"network": "networks", "alignment": "permutations"}.get(batch.kind)
            artifact = store.write_tensors(folder, ones) if folder else ""
            rows = [row(item, artifact, index) for index, item in enumerate(part)]
            store.commit(TABLE_OF_KIND[batch.kind].name, rows)
            num_files += 1
    return num_files


def row(item: Item, artifact: str, index: int) -> dict[str, Any]:
    """The row of an item, as if it had been computed."""
    if isinstance(item, NetworkItem):
        return _network(item, artifact, index)
    if isinstance(item, AlignmentItem):
        return _alignment(item, artifact, index)
    return _barrier(item)


def _network(item: NetworkItem, artifact: str, index: int) -> dict[str, Any]:
    spec = item.spec
    assert isinstance(spec, NetworkSpec)
    return {
        "network_id": item.id,
        "cell_id": item.cell_id,
        "dataset": spec.dataset,
        "architecture": spec.architecture.name,
        "width": spec.architecture.width,
        "depth": spec.architecture.depth,
        "seed": spec.seed,
        "label_noise": spec.label_noise,
        "learning_rate": spec.training.learning_rate,
        "batch_size": spec.training.batch_size,
        "max_epochs": spec.training.max_epochs,
        "epochs_trained": spec.training.max_epochs,
        "stop_reason": "max_epochs",
        "train_loss": 0.05,
        "train_error": 0.01,
        "test_loss": 0.1,
        "test_error": 0.03,
        "num_parameters": 1000,
        "checkpoint": artifact,
        "row": index,
        "train_seconds": 0.05,
        "device": "cpu",
        "spec_json": canonical_json(spec),
        "optimizer": spec.training.optimizer,
    }


def _alignment(item: AlignmentItem, artifact: str, index: int) -> dict[str, Any]:
    moves = item.method.method != "identity"
    return {
        "alignment_id": item.id,
        "cell_id": item.cell_id,
        "pair_id": item.pair_id,
        "world": item.world,
        "method": item.method.method,
        "method_json": canonical_json(item.method),
        "networks": list(item.networks),
        "permutations": artifact if moves else None,
        "row": index if moves else None,
        "objective": "inner_product",
        "objective_start": 1.0,
        "objective_end": 2.0,
        "num_evaluations": 8,
        "align_seconds": 0.02,
        "outcome": "converged",
    }


def _barrier(item: BarrierItem) -> dict[str, Any]:
    alignment = item.alignment
    spec = alignment.cell
    return {
        "barrier_id": item.id,
        "alignment_id": alignment.id,
        "cell_id": item.cell_id,
        "pair_id": alignment.pair_id,
        "world": alignment.world,
        "method": alignment.method.method,
        "method_json": canonical_json(alignment.method),
        "dataset": spec.dataset,
        "architecture": spec.architecture.name,
        "width": spec.architecture.width,
        "depth": spec.architecture.depth,
        "label_noise": spec.label_noise,
        "network_a": alignment.networks[item.member_a],
        "network_b": alignment.networks[item.member_b],
        "member_a": item.member_a,
        "member_b": item.member_b,
        "seed_a": alignment.seeds[item.member_a],
        "seed_b": alignment.seeds[item.member_b],
        "split": item.split,
        "correction": item.correction,
        "num_examples": 1438,
        **_curve(len(item.alphas), alignment.pair_index),
    }


def barrier_rows(numbers: range, num_cells: int) -> Iterator[dict[str, Any]]:
    """Rows of numbered curves of a store with so many cells, 1,000 to a cell."""
    now = datetime.now(UTC)
    for number in numbers:
        cell = number // 1000 % num_cells
        method, world = METHODS[number % 4], ("real", "model")[number // 4 % 2]
        yield {
            **curve_ids(number, num_cells),
            "world": world,
            "method": method,
            "method_json": f'{{"method":"{method}"}}',
            "dataset": "digits",
            "architecture": "mlp",
            "width": 2 ** (2 + cell % 8),
            "depth": 1,
            "label_noise": 0.0,
            "member_a": 0,
            "member_b": 1,
            "seed_a": number,
            "seed_b": number + 1,
            "split": "train",
            "correction": "none",
            "num_examples": 1438,
            "created_at": now,
            **_curve(NUM_ALPHAS, number),
        }


def curve_ids(number: int, num_cells: int) -> dict[str, str]:
    """Every identity in the row of a numbered curve."""
    cell, pair = number // 1000 % num_cells, number % 1000 // 8
    return {
        "barrier_id": f"{number:032x}",
        "alignment_id": f"a{number:031x}",
        "cell_id": cell_id(cell),
        "pair_id": f"c{cell:015x}{pair:016x}",
        "network_a": f"d{cell:015x}{2 * pair:016x}",
        "network_b": f"d{cell:015x}{2 * pair + 1:016x}",
    }


def cell_id(cell: int) -> str:
    """Identity of a made-up cell."""
    return f"b{cell:031x}"


def _curve(num_alphas: int, number: int) -> Mapping[str, Any]:
    """A curve of a plausible shape that differs from item to item, as real ones do."""
    alphas = [k / (num_alphas - 1) for k in range(num_alphas)]
    height = 0.5 + math.sin(number)
    losses = [0.05 + height * 4 * alpha * (1 - alpha) for alpha in alphas]
    return {
        "alphas": alphas,
        "losses": losses,
        "errors": [loss / 10 for loss in losses],
        "loss_barrier": max(0.0, height),
        "error_barrier": max(0.0, height / 10),
        "loss_midpoint_barrier": height,
        "error_midpoint_barrier": height / 10,
        "endpoint_disagreement": 0.02,
        "measure_seconds": 0.01,
    }


def _parts(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """The items in runs of at most so many."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
