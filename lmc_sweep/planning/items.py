"""The items of a sweep: everything that it asks for, each with its id."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from lmc_sweep.config.sweep import Sweep
from lmc_sweep.kinds import KINDS
from lmc_sweep.planning import pair_items
from lmc_sweep.planning.item_classes import (
    AlignmentItem,
    BarrierItem,
    Item,
    NetworkItem,
    StudyItem,
    trajectory,
)
from lmc_sweep.planning.pair_items import (
    alignment_items,
    barrier_items,
    cell_identity,
    network_items,
)
from lmc_sweep.planning.studies import STUDIES

__all__ = [
    "KINDS",
    "AlignmentItem",
    "BarrierItem",
    "Item",
    "NetworkItem",
    "StudyItem",
    "alignment_items",
    "barrier_items",
    "cell_identity",
    "items",
    "left_out",
    "network_items",
    "trajectory",
]


def items(sweep: Sweep) -> dict[str, list[Item]]:
    """Every item of a sweep by kind, each id once."""
    found: dict[str, dict[str, Item]] = {kind: {} for kind in KINDS}
    cells = [network_items(cell) for cell in sweep.networks]
    for networks in cells:
        _add(found, networks)
        if sweep.barriers is None:
            continue
        for alignment in alignment_items(networks, sweep.barriers):
            if alignment.id not in found["alignment"]:
                _add(found, [alignment])
                _add(found, barrier_items(alignment, sweep.barriers))
    for key, asked in sweep.studies.items():
        _add(found, STUDIES[key].items(asked, cells))
    return {kind: list(by_id.values()) for kind, by_id in found.items()}


def left_out(sweep: Sweep) -> Counter[str]:
    """Why alignments are not planned, with how many: methods that some networks or worlds have no use for."""
    reasons: Counter[str] = Counter()
    if sweep.barriers is not None:
        reasons += pair_items.left_out(sweep.barriers, sweep.networks, sweep.barriers.num_pairs)
    for key, asked in sweep.studies.items():
        reasons += STUDIES[key].left_out(asked, sweep.networks)
    return reasons


def _add(found: dict[str, dict[str, Item]], more: Iterable[Item]) -> None:
    for item in more:
        found[item.kind].setdefault(item.id, item)
