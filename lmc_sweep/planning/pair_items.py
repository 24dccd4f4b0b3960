"""Networks, and what the study ``barriers`` asks of them: the items of a cell, each with its id.

Pair k of a cell joins its listed seeds 2k and 2k+1 (group k its seeds nk to nk+n-1 with n members), so
more seeds or pairs never change existing ones. Model pair k is the first member of real pair k and a
permutation of it that derives from (network_id, k) alone, the same for every method. Planted pair k is
the same, of a copy to which noise was added before; with each level of noise it is another pair.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from itertools import combinations, product
from typing import Any

from lmc_sweep.config.applicability import obstacle
from lmc_sweep.config.sweep import BarriersStudy, Cell
from lmc_sweep.planning.identity import Fragment, canonical, fragment, identify, method_numerics
from lmc_sweep.planning.item_classes import AlignmentItem, BarrierItem, NetworkItem
from lmc_sweep.planning.layers import moving_layers
from workers.architectures.traits import has_batch_norm
from workers.specs import CheckpointSpec, NetworkSpec


def network_items(cell: Cell) -> list[NetworkItem]:
    """The networks of a cell, one per listed seed, in that order."""
    data = cell.data
    kind: dict[str, Any] = {
        "dataset": data.dataset,
        "input_size": data.input_size,
        "num_train": data.num_train,
        "num_test": data.num_test,
        "subset_seed": data.subset_seed,
        "user_data": data.user,
        "label_noise": cell.label_noise,
        "architecture": cell.architecture,
    }
    if cell.training is None:
        return _checkpoint_items(cell, kind)
    first = NetworkSpec(**kind, training=cell.training, seed=cell.seeds[0])
    cell_id = cell_identity(first)
    shared = {name: fragment(value) for name, value in canonical(first).items()}
    return [
        NetworkItem(identify("network", {**shared, "seed": seed}), cell_id, replace(first, seed=seed))
        for seed in cell.seeds
    ]


def _checkpoint_items(cell: Cell, kind: dict[str, Any]) -> list[NetworkItem]:
    """Networks from files: each is named by its content, and their cell by the pattern of the files.

    So a file that is added changes neither the cell nor the names of the others.
    """
    found = []
    for seed, file in zip(cell.seeds, cell.checkpoints, strict=True):
        spec = CheckpointSpec(**kind, sha256=file.sha256, seed=seed)
        content = {name: value for name, value in canonical(spec).items() if name != "seed"}
        shared = {name: value for name, value in content.items() if name != "sha256"}
        cell_id = identify("cell", {**shared, "checkpoints": cell.pattern})
        found.append(NetworkItem(identify("network", content), cell_id, spec, file.path))
    return found


def cell_identity(spec: NetworkSpec) -> str:
    """Id of what a network shares with the others of its cell: everything but the seed."""
    shared = {name: value for name, value in canonical(spec).items() if name != "seed"}
    return identify("cell", shared)


def alignment_items(cell: list[NetworkItem], study: BarriersStudy) -> Iterator[AlignmentItem]:
    """The alignments that a study asks of a cell's networks, those without a meaning left out."""
    size = study.networks_per_alignment
    num_pairs = study.num_pairs(len(cell))
    kind = cell[0].spec
    for world in study.worlds:
        methods = [
            (method, {"method": fragment(method), **method_numerics(method)})
            for method in study.alignments
            if obstacle(method, world, kind.architecture, kind.data) is None
        ]
        for noise in study.planted_noise if world == "planted" else (None,):
            for k in range(num_pairs):
                members = cell[k * size : (k + 1) * size]
                if world != "real":
                    members = [members[0]] * size
                networks = tuple(member.id for member in members)
                pair: dict[str, Any] = {"world": world, "networks": networks}
                if world != "real":
                    pair["k"] = k
                if noise is not None:
                    pair["noise"] = noise
                pair_id = identify("pair", pair)
                shared = fragment(pair)
                seeds = tuple(member.spec.seed for member in members)
                for method, written in methods:
                    yield AlignmentItem(
                        id=identify("alignment", {"pair": shared, **written}),
                        cell_id=members[0].cell_id,
                        pair_id=pair_id,
                        pair_index=k,
                        world=world,
                        networks=networks,
                        seeds=seeds,
                        method=method,
                        cell=members[0].spec,
                        planted_noise=noise,
                    )


def left_out(study: BarriersStudy, cells: Sequence[Cell], num_pairs: Callable[[int], int]) -> Counter[str]:
    """Why alignments are not planned, with how many: methods that some networks or worlds have no use for.

    Args:
        study: What is asked.
        cells: Of which networks.
        num_pairs: Pairs per world of a cell with so many seeds.
    """
    reasons: Counter[str] = Counter()
    for cell in cells:
        for world, method in product(study.worlds, study.alignments):
            reason = obstacle(method, world, cell.architecture, cell.data)
            if reason is not None:
                levels = len(study.planted_noise) if world == "planted" else 1
                reasons[f"{method.method}: {reason}"] += levels * num_pairs(len(cell.seeds))
    return reasons


def barrier_items(alignment: AlignmentItem, study: BarriersStudy) -> Iterator[BarrierItem]:
    """The curves that a study asks of an alignment: pairs of members, splits, corrections, layers.

    Batch-norm statistics are not reset where there are none.
    """
    asked = study.interpolation
    alphas = _written(asked.alphas)
    corrections = [
        correction
        for correction in asked.corrections
        if correction != "reset_bn" or has_batch_norm(alignment.cell.architecture)
    ]
    pairs = combinations(range(len(alignment.networks)), 2)
    moving = moving_layers(asked.layers, alignment.cell)
    for (a, b), split, correction, layers in product(pairs, asked.splits, corrections, moving):
        what: dict[str, Any] = {
            "alignment": alignment.id,
            "members": [a, b],
            "split": split,
            "correction": correction,
            "alphas": alphas,
        }
        if layers is not None:
            what["layers"] = layers
        yield BarrierItem(identify("barrier", what), alignment, a, b, split, correction, asked.alphas, layers)


@cache
def _written(alphas: tuple[float, ...]) -> Fragment:
    """Canonical JSON of the grid: the same for every curve of a sweep."""
    return fragment(alphas)
