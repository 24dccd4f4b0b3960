"""The plan: what a sweep asks, what the store holds, what is left, in which batches, at what cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

from lmc_sweep.config.sweep import Kind, Sweep
from lmc_sweep.kinds import ALWAYS_SHOWN, KINDS
from lmc_sweep.planning.batching import Batch, batches
from lmc_sweep.planning.cost import stored_bytes
from lmc_sweep.planning.held_back import blocked, failed_items, held_back
from lmc_sweep.planning.items import Item, items, left_out
from lmc_sweep.planning.rates import Rates, rates
from lmc_sweep.store.schema import TABLE_OF_KIND
from lmc_sweep.store.store import Store

HELD_BACK = "held back: fails every time; lmc-sweep retry STORE releases it"
BLOCKED = "blocked: needs what is held back"

_SECONDS = {"network": "train_seconds", "alignment": "align_seconds"}
"""Columns that say how long an item took; of every other kind, ``measure_seconds``."""


@dataclass(frozen=True)
class Plan:
    """What a sweep asks and what is left of it."""

    sweep: Sweep
    items: dict[str, list[Item]]
    done: dict[str, frozenset[str]]
    """Ids of the sweep's items that the store holds, by kind."""
    reasons: dict[str, Counter[str]]
    """Why the others are not done yet, by kind."""
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
        """Items of a kind that a run would do: the others are done, held back, or blocked."""
        not_done = self.held_back[kind] | self.blocked[kind]
        return len(self.items[kind]) - len(self.done[kind]) - len(not_done)

    @property
    def num_held_back(self) -> int:
        """Items of all kinds that are held back, and that wait for those."""
        return sum(len(self.held_back[kind]) + len(self.blocked[kind]) for kind in KINDS)

    @property
    def complete(self) -> bool:
        """Whether every item is done. Without batches, yet not complete: all that is left is held back."""
        return not self.batches and not self.num_held_back

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
            if kind not in ALWAYS_SHOWN and not self.items[kind]:
                continue
            left = [batch for batch in self.batches if batch.kind == kind]
            kinds[kind] = {
                "items": len(self.items[kind]),
                "done": len(self.done[kind]),
                "to_do": self.num_to_do(kind),
                "held_back": len(self.held_back[kind]),
                "blocked": len(self.blocked[kind]),
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
    done = {
        kind: frozenset(store.held(kind, [item.id for item in asked[kind]]) if store else ())
        for kind in KINDS
    }
    left = {kind: [item for item in asked[kind] if item.id not in done[kind]] for kind in KINDS}
    failed = failed_items(store) if store else {}
    held = held_back(left, failed)
    waiting = blocked(left, held)
    to_do = {
        kind: [item for item in left[kind] if item.id not in held[kind] and item.id not in waiting[kind]]
        for kind in KINDS
    }
    known = rates(asked, _measured(store, asked, done, to_do) if store else {})
    threads = {kind: max(1, int(sweep.execution.resources(kind)[0])) for kind in get_args(Kind)}
    return Plan(
        sweep=sweep,
        items=asked,
        done=done,
        reasons=_reasons(to_do, held, waiting, failed),
        batches=batches(to_do, known.seconds, sweep.execution.max_stack_bytes, num_slots, threads),
        rates=known,
        num_slots=num_slots,
        left_out=left_out(sweep),
        held_back=held,
        blocked=waiting,
    )


def _measured(
    store: Store,
    asked: Mapping[str, Sequence[Item]],
    done: Mapping[str, frozenset[str]],
    to_do: Mapping[str, Sequence[Item]],
) -> dict[str, dict[str, dict[str, float]]]:
    """Seconds of the sweep's finished items, and epochs of its networks, of the kinds that are to be done.

    Of a store that many sweeps share, the rows of this one's cells alone are read.
    """
    found: dict[str, dict[str, dict[str, float]]] = {}
    for kind, table in TABLE_OF_KIND.items():
        if not done[kind] or not to_do[kind]:
            continue
        epochs = "epochs_trained" if kind == "network" else None
        cells = ", ".join(f"'{cell_id}'" for cell_id in sorted({item.cell_id for item in asked[kind]}))
        columns = [str(table.key), _SECONDS.get(kind, "measure_seconds"), *([epochs] if epochs else [])]
        rows = store.relation(table.name).filter(f"cell_id IN ({cells})").project(", ".join(columns))
        found[kind] = {
            row[0]: {"seconds": row[1] or 0.0, "epochs": row[2] if epochs else 0.0}
            for row in rows.fetchall()
            if row[0] in done[kind]
        }
    return found


def _reasons(
    to_do: Mapping[str, Sequence[Item]],
    held: Mapping[str, frozenset[str]],
    waiting: Mapping[str, frozenset[str]],
    failed: Mapping[tuple[str, str], bool],
) -> dict[str, Counter[str]]:
    """Per kind, why items are not done: never run, failed before, held back, or waiting for such items."""
    found = {}
    for kind, of_kind in to_do.items():
        reasons = Counter(
            "failed before" if (kind, item.id) in failed else "not in the store" for item in of_kind
        )
        if held[kind]:
            reasons[HELD_BACK] = len(held[kind])
        if waiting[kind]:
            reasons[BLOCKED] = len(waiting[kind])
        found[kind] = reasons
    return found
