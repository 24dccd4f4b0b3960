"""What the driver itself writes into the store: failures, and attempts without results.

Rows wait here until the store takes them; a run goes on meanwhile, and may lose no more by it than the
reasons of what it did.
"""

from __future__ import annotations

from collections import Counter
from typing import Any
from uuid import uuid4

from lmc_sweep.errors import StoreError
from lmc_sweep.execution.task import ItemFailure
from lmc_sweep.redaction import redact
from lmc_sweep.store.store import Store

MESSAGE_CHARACTERS = 1000
MOST_ROWS = 10_000
"""Rows that wait at a time; further attempts are only counted then, failures are always kept."""


class Recorder:
    """Rows of the tables ``failures`` and ``attempts`` on their way into the store."""

    def __init__(self, store: Store, sweep: str) -> None:
        self._store, self._sweep = store, sweep
        self._rows: dict[str, list[dict[str, Any]]] = {"failures": [], "attempts": []}
        self.attempts: Counter[str] = Counter()
        """Attempts that ended without results, by cause."""

    def failed(self, failure: ItemFailure, attempts: int) -> None:
        """Takes down items that are given up."""
        self._rows["failures"].append(
            {
                "sweep": self._sweep,
                "failure_id": uuid4().hex,
                "kind": failure.kind,
                "item_ids": list(failure.item_ids),
                "error_type": storable(failure.error_type),
                "message": storable(redact(failure.message)),
                "traceback": storable(redact(failure.traceback)),
                "attempts": attempts,
                "cause": failure.cause,
            }
        )

    def ended(self, failure: ItemFailure, number: int, seconds: float) -> None:
        """Takes down an attempt that ended without the results of these items."""
        self.attempts[failure.cause] += 1
        if len(self._rows["attempts"]) >= MOST_ROWS:
            return
        self._rows["attempts"].append(
            {
                "attempt_id": uuid4().hex,
                "sweep": self._sweep,
                "kind": failure.kind,
                "item_ids": list(failure.item_ids),
                "cause": failure.cause,
                "attempt": number,
                "seconds": seconds,
                "error_type": storable(failure.error_type),
                "message": storable(redact(failure.message)[:MESSAGE_CHARACTERS]),
            }
        )

    def __len__(self) -> int:
        """Rows that wait."""
        return sum(map(len, self._rows.values()))

    @property
    def has_failures(self) -> bool:
        """Whether failures wait: what is given up should be known to the next run."""
        return bool(self._rows["failures"])

    def flush(self) -> str | None:
        """Writes what waits. Returns why the store did not take it; None where nothing waits any more."""
        for table, rows in self._rows.items():
            if not rows:
                continue
            try:
                self._store.commit(table, rows)
            except (StoreError, OSError) as error:
                return str(error)
            self._rows[table] = []
        return None


def storable(text: str) -> str:
    """The text with what UTF-8 cannot hold written out: the bytes of a file name that is no text, say.

    Otherwise the row that quotes it could never be stored, nor any row that waits with it.
    """
    return text.encode(errors="backslashreplace").decode()
