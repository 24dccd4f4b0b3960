"""The plan: what a sweep asks, what the store holds, what is left, in which batches, at what cost."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, get_args

from lmc_sweep.config.sweep import Kind, Sweep
from lmc_sweep.planning.batching import Batch, batches
from lmc_sweep.planning.cost import stored_bytes
from lmc_sweep.planning.items import KINDS, Item, items, left_out
from lmc_sweep.planning.rates import Rates, rates
from lmc_sweep.store.store import Store

_MEASURED = {
    "network": ("networks", "network_id", "train_seconds", "epochs_trained"),
    "alignment": ("alignments", "alignment_id", "align_seconds", None),
    "barrier": ("barriers", "barrier_id", "measure_seconds", None),
}


@dataclass(frozen=True)
class Plan:
    """What a sweep asks and what is left of it."""

    sweep: Sweep
    items: dict[str, list[Item]]
    done: dict[str, frozenset[str]]
    """Ids of the sweep's items that the store holds, by kind."""
    reasons: dict[str, Counter[str]]
    """Why the others are to be done, by kind."""
    batches: list[Batch]
    rates: Rates
    num_slots: int
    left_out: Counter[str]
    """Why some alignments are not planned at all, with how many."""
    held_back: dict[str, frozenset[str]] = field(default_factory=lambda: dict.fromkeys(KINDS, frozenset()))
    """Ids, by kind, of items whose recorded failure is not tried again until it is released."""
    blocked: dict[str, frozenset[str]] = field(default_factory=lambda: dict.fromkeys(KINDS, frozenset()))
    """Ids, by kind, of items that wait for those."""

    def num_to_do(self, kind: str) -> int:
        """Items of a kind that are left."""
        return len(self.items[kind]) - len(self.done[kind])

    @property
    def complete(self) -> bool:
        """Whether nothing is left."""
        return not self.batches

    def seconds(self, kind: str | None = None) -> float:
        """Estimated worker seconds that are left, of one kind or of all."""
        return sum(batch.seconds for batch in self.batches if kind in (None, batch.kind))

    @property
    def wall_seconds(self) -> float:
        """Estimated duration on ``num_slots`` workers: their share of the work, or the longest chain."""
        chain = sum(max((b.seconds for b in self.batches if b.kind == kind), default=0.0) for kind in KINDS)
        return max(self.seconds() / self.num_slots, chain)

    def summary(self) -> dict[str, Any]:
        """The plan as plain data: ``lmc-sweep plan --json``."""
        kinds = {}
        for kind in KINDS:
            left = [batch for batch in self.batches if batch.kind == kind]
            kinds[kind] = {
                "items": len(self.items[kind]),
                "done": len(self.done[kind]),
                "to_do": self.num_to_do(kind),
                "reasons": dict(self.reasons[kind]),
                "batches": len(left),
                "seconds": round(self.seconds(kind), 3),
                "bytes": sum(stored_bytes(item) for batch in left for item in batch.items),
            }
        return {
            "sweep": self.sweep.name,
            "store": self.sweep.store,
            "kinds": kinds,
            "slots": self.num_slots,
            "wall_seconds": round(self.wall_seconds, 3),
            "estimate_from": self.rates.source,
            "left_out": dict(self.left_out),
        }


def make_plan(sweep: Sweep, store: Store | None, num_slots: int) -> Plan:
    """The plan of a sweep against a store, or against nothing where there is no store yet."""
    asked = items(sweep)
    held = {kind: store.ids(kind) if store else set() for kind in KINDS}
    done = {kind: frozenset(item.id for item in asked[kind] if item.id in held[kind]) for kind in KINDS}
    left = {kind: [item for item in asked[kind] if item.id not in done[kind]] for kind in KINDS}
    known = rates(asked, _measured(store, done) if store else {})
    threads = {kind: max(1, int(sweep.execution.resources(kind)[0])) for kind in get_args(Kind)}
    return Plan(
        sweep=sweep,
        items=asked,
        done=done,
        reasons=_reasons(left, store),
        batches=batches(left, known.seconds, sweep.execution.max_stack_bytes, num_slots, threads),
        rates=known,
        num_slots=num_slots,
        left_out=left_out(sweep),
    )


def _measured(store: Store, done: dict[str, frozenset[str]]) -> dict[str, dict[str, dict[str, float]]]:
    """Seconds of the sweep's finished items, and epochs of its networks."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for kind, (table, id_column, seconds, epochs) in _MEASURED.items():
        if not done[kind]:
            continue
        columns = [id_column, seconds, *([epochs] if epochs else [])]
        fetched = getattr(store, table)().project(", ".join(columns)).fetchall()
        found[kind] = {
            row[0]: {"seconds": row[1] or 0.0, "epochs": row[2] if epochs else 0.0}
            for row in fetched
            if row[0] in done[kind]
        }
    return found


def _reasons(left: dict[str, list[Item]], store: Store | None) -> dict[str, Counter[str]]:
    """Per kind, how many of the items that are left were never run and how many failed before."""
    failed = set()
    if store:
        failed = {item_id for (ids,) in store.failures().project("item_ids").fetchall() for item_id in ids}
    return {
        kind: Counter("failed before" if item.id in failed else "not in the store" for item in of_kind)
        for kind, of_kind in left.items()
    }
