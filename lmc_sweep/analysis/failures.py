"""Recorded failures without a result since: of which items, by which cause, and whether a run waits."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lmc_sweep.execution.causes import CAUSES
from lmc_sweep.planning.held_back import FAILS_EVERY_TIME
from lmc_sweep.store.sql_text import literal

if TYPE_CHECKING:
    from lmc_sweep.store.store import Store

UNKNOWN_CAUSE = "error"
"""The class of failures from before classes were recorded."""


@dataclass(frozen=True)
class OpenFailure:
    """One recorded failure with those of its items that a sweep asks for and that have no result.

    Attributes:
        sweep: The sweep that asks for the items; the one in which they failed may be another.
        cause: Name of one of ``lmc_sweep.execution.causes.CAUSES``.
        released: Whether ``lmc-sweep retry`` released it.
    """

    failure_id: str
    sweep: str
    kind: str
    item_ids: tuple[str, ...]
    error_type: str
    message: str
    cause: str
    attempts: int
    released: bool

    @property
    def is_held(self) -> bool:
        """Whether a run leaves its items alone until they are released."""
        cause = CAUSES.get(self.cause)
        return cause is not None and not cause.again and not self.released


@dataclass(frozen=True)
class FailureGroup:
    """Failures of one sweep, kind and cause, with the first line of their message in common."""

    kind: str
    cause: str
    error_type: str
    message: str
    item_ids: tuple[str, ...]
    attempts: int
    """The most that any of them took."""
    num_held: int
    """Items that a run leaves alone until they are released."""
    num_released: int = 0
    """Items that ``lmc-sweep retry`` released, and that no run has tried since."""

    @property
    def is_of_user_code(self) -> bool:
        """Whether what raised is the user's own, and has to be there to be repeated."""
        return self.cause in FAILS_EVERY_TIME

    def command(self, store: str) -> str:
        """The command that repeats one of them."""
        return repro_command(store, self.item_ids[0], user_code=self.is_of_user_code)

    def as_json(self, store: str) -> dict[str, Any]:
        """Plain data: an entry of ``failures`` in ``lmc-sweep status --json``."""
        return {
            "kind": self.kind,
            "cause": self.cause,
            "error_type": self.error_type,
            "message": self.message,
            "item_ids": list(self.item_ids[:3]),
            "num_items": len(self.item_ids),
            "num_held": self.num_held,
            "num_released": self.num_released,
            "attempts": self.attempts,
            "reproduce": self.command(store),
        }


def open_failures(store: Store, sweep: str | None = None) -> list[OpenFailure]:
    """Failures of items that a sweep, or any, asks for today and that have no result; the oldest first."""
    which = "" if sweep is None else f"WHERE sweep = {literal(sweep)}"
    query = f"""
        WITH open AS MATERIALIZED (SELECT * FROM failures),
        items AS (
            SELECT failure_id, kind, unnest(item_ids) AS item_id, generate_subscripts(item_ids, 1) AS position
            FROM open
        ),
        asked AS (
            SELECT sweep, failure_id, list(item_id ORDER BY position) AS item_ids
            FROM items JOIN (SELECT sweep, kind, item_id FROM sweep_items {which}) USING (kind, item_id)
            GROUP BY ALL
        )
        SELECT failure_id, asked.sweep, kind, asked.item_ids, error_type, message,
            coalesce(cause, '{UNKNOWN_CAUSE}') AS cause, attempts,
            failure_id IN (SELECT failure_id FROM retries) AS released
        FROM asked JOIN open USING (failure_id) ORDER BY created_at, failure_id, asked.sweep"""
    if not store.answer("SELECT 1 FROM failures LIMIT 1").num_rows:  # the rest reads every item of a sweep
        return []
    return [
        OpenFailure(**{**row, "item_ids": tuple(row["item_ids"])}) for row in store.answer(query).to_pylist()
    ]


def repro_command(store: str, item_id: str, *, user_code: bool) -> str:
    """The command that computes an item again; for code of the user's own, with the leave to import it."""
    allowed = " --user-code" if user_code else ""
    return f"lmc-sweep repro {shlex.quote(store)} {item_id}{allowed}"


def grouped(failures: list[OpenFailure]) -> list[FailureGroup]:
    """Failures of one sweep by what they have in common, the largest group first, equal ones by name."""
    found: dict[tuple[str, str, str, str], list[OpenFailure]] = {}
    for failure in failures:
        first_line = failure.message.splitlines()[0] if failure.message else ""
        found.setdefault((failure.kind, failure.cause, failure.error_type, first_line), []).append(failure)
    groups = [
        FailureGroup(
            *key,
            item_ids=tuple(dict.fromkeys(item for failure in of_group for item in failure.item_ids)),
            attempts=max(failure.attempts for failure in of_group),
            num_held=len(held := {item for f in of_group if f.is_held for item in f.item_ids}),
            num_released=len({item for f in of_group if f.released for item in f.item_ids} - held),
        )
        for key, of_group in found.items()
    ]
    return sorted(groups, key=lambda g: (-len(g.item_ids), g.kind, g.cause, g.error_type, g.message))


def held_items(failures: list[OpenFailure]) -> dict[str, set[str]]:
    """Ids by kind of the items that a run leaves alone until they are released."""
    held: dict[str, set[str]] = {}
    for failure in failures:
        if failure.is_held:
            held.setdefault(failure.kind, set()).update(failure.item_ids)
    return held
