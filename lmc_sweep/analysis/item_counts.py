"""How many items of each kind a sweep asks for, has, and waits for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lmc_sweep.analysis.failures import OpenFailure, held_items
from lmc_sweep.analysis.run_advice import RunAdvice
from lmc_sweep.kinds import ALWAYS_SHOWN, KINDS
from lmc_sweep.store.schema import TABLE_OF_KIND
from lmc_sweep.store.sql_text import literal

if TYPE_CHECKING:
    from lmc_sweep.store.store import Store


@dataclass(frozen=True)
class KindStatus:
    """How far one kind of items is.

    Attributes:
        done: Items that have results.
        failed: Items without a result of which a failure is recorded.
        blocked: Items that wait for those, as the newest run says.
        held: Failed items that a run leaves alone until ``lmc-sweep retry`` releases them.
        rate_per_second: Items done per second of late, by all runs that are alive.
    """

    total: int = 0
    done: int = 0
    failed: int = 0
    blocked: int = 0
    held: int = 0
    rate_per_second: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain data: an entry of ``kinds`` in ``lmc-sweep status --json``."""
        return {
            "done": self.done,
            "total": self.total,
            "failed": self.failed,
            "blocked": self.blocked,
            "held": self.held,
            "rate_per_second": self.rate_per_second,
        }


def kind_statuses(
    store: Store,
    sweep: str,
    runs: tuple[RunAdvice, ...],
    alive: Mapping[str, float | None],
    failures: list[OpenFailure],
) -> dict[str, KindStatus]:
    """Counts from the store; only rates, and what is blocked, are from the runs' advice."""
    failed: dict[str, set[str]] = {kind: set() for kind in KINDS}
    for failure in failures:
        failed.setdefault(failure.kind, set()).update(failure.item_ids)
    held = held_items(failures)
    counted = _counts(store, sweep)
    kinds = {}
    for kind in KINDS:
        total, done = counted.get(kind, (0, 0))
        if kind not in ALWAYS_SHOWN and not total and not failed[kind]:
            continue
        told = runs[-1].kinds.get(kind) if runs else None
        left = total - done - len(failed[kind])
        kinds[kind] = KindStatus(
            total=total,
            done=done,
            failed=len(failed[kind]),
            blocked=min(told.blocked, max(left, 0)) if told else 0,
            held=len(held.get(kind, ())),
            rate_per_second=_rate(kind, [run for run in runs if run.run_id in alive]),
        )
    return kinds


def _rate(kind: str, at_work: list[RunAdvice]) -> float | None:
    """Items per second of all runs at work together; None where none says it."""
    told = [run.kinds[kind].rate_per_second for run in at_work if kind in run.kinds]
    rates = [rate for rate in told if rate is not None]
    return round(sum(rates), 4) if rates else None


def _counts(store: Store, sweep: str) -> dict[str, tuple[int, int]]:
    """By kind, how many items a sweep asks for and how many of them have results."""
    done = " UNION ALL ".join(
        f"SELECT '{kind}' AS kind, {table.key} AS item_id FROM {table.name}"
        for kind, table in TABLE_OF_KIND.items()
    )
    query = f"""
        WITH done AS ({done})
        SELECT kind, count(*) AS total, count(done.item_id) AS done
        FROM (SELECT kind, item_id FROM sweep_items WHERE sweep = {literal(sweep)}) AS asked
        LEFT JOIN done USING (kind, item_id) GROUP BY kind"""
    return {row["kind"]: (row["total"], row["done"]) for row in store.answer(query).to_pylist()}
