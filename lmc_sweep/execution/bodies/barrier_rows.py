"""The columns of a barrier: what was measured, and what came out."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lmc_sweep.execution.bodies.inputs import finite
from lmc_sweep.planning.identity import canonical_json
from lmc_sweep.planning.items import BarrierItem
from workers.interpolation.barriers import barrier, midpoint_barrier
from workers.interpolation.curves import Curves
from workers.interpolation.layers import layer_barrier
from workers.specs import NetworkSpec


def described(item: BarrierItem) -> dict[str, Any]:
    """The columns that say what was measured."""
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
        "planted_noise": alignment.planted_noise,
        "layers": item.layers,
    }


def measured(item: BarrierItem, curves: Curves, k: int, networks: Curves, row: int) -> dict[str, Any]:
    """The columns that were measured; null where a loss is not finite.

    Args:
        item: What was asked.
        curves: Of the segment along which the item's layers move.
        k: Their row.
        networks: Of the segment between the two networks; the same curves where all layers move.
        row: Their row.
    """
    ends = {name: _ends(getattr(networks, name), row) for name in ("losses", "errors")}
    is_finite = bool(curves.losses[k].isfinite().all() and ends["losses"].isfinite().all())
    same_network = item.alignment.world == "model" or item.alignment.planted_noise == 0
    # A permutation keeps the function, so a network never disagrees with itself: rounding aside, zero.
    disagreement = 0.0 if same_network else float(networks.endpoint_disagreement[row])
    derived: dict[str, float | None] = {}
    for kind in ("loss", "error"):
        name = "losses" if kind == "loss" else "errors"
        heights = _heights(getattr(curves, name)[k : k + 1], ends[name], curves.alphas, item.layers is None)
        for column, value in zip((f"{kind}_barrier", f"{kind}_midpoint_barrier"), heights, strict=True):
            derived[column] = float(value) if is_finite else None
    return {
        "num_examples": curves.num_examples,
        "alphas": list(curves.alphas),
        "losses": [finite(value) for value in curves.losses[k]],
        "errors": [float(value) if is_finite else None for value in curves.errors[k]],
        **derived,
        "endpoint_disagreement": disagreement if is_finite else None,
    }


def chord(networks: Curves, row: int) -> dict[str, list[float | None]]:
    """Losses and errors of the two networks: the ends of the line above which a barrier is measured."""
    return {
        name: [finite(value) for value in _ends(getattr(networks, name), row)[0]]
        for name in ("losses", "errors")
    }


def _ends(values: Tensor, row: int) -> Tensor:
    """Figures of the two networks of a pair, (1, 2)."""
    return values[row : row + 1, [0, -1]]


def _heights(
    values: Tensor, ends: Tensor, alphas: tuple[float, ...], moves_all: bool
) -> tuple[Tensor, Tensor]:
    """Height of a curve above the chord of the two networks: its maximum, and that at 1/2."""
    positions = torch.tensor(alphas, dtype=torch.float64)
    if moves_all:
        return barrier(values, positions)[0], midpoint_barrier(values, positions)[0]
    middle = values[:, alphas.index(0.5)] - ends.mean(1)
    return layer_barrier(values, ends, positions)[0], middle[0]
