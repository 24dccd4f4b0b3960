"""Failures that no run tries again by itself, released so that the next one does.

An exception of the user's own code would be raised again, so its items are left alone until somebody who
has changed something says so. A release belongs to one failure: an item that fails again leaves a new
failure, which has to be released anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lmc_sweep.analysis.failures import OpenFailure, open_failures
from lmc_sweep.errors import SweepError
from lmc_sweep.kinds import KINDS

if TYPE_CHECKING:
    from lmc_sweep.store.store import Store

SHORTEST_PREFIX = 4
"""Characters of an id that are enough to name it, as for ``lmc-sweep repro``."""


def release(store: Store, sweep: str | None = None, ids: Sequence[str] = ()) -> list[OpenFailure]:
    """The failures that were released now: those that were held back, of one sweep or of all.

    Args:
        ids: Only failures of these items (or with these ids, or what either begins with); all when empty.

    Raises:
        SweepError: If one of the ids names no failure without a result, and no result either.
    """
    found = open_failures(store, sweep)
    chosen = [failure for failure in found if not ids or any(_names(one, failure) for one in ids)]
    for one in ids:
        if not any(_names(one, failure) for failure in found) and not _has_result(store, one):
            if len(one) < SHORTEST_PREFIX:
                raise SweepError(f"{one!r}: give at least {SHORTEST_PREFIX} characters of an id")
            where = f"sweep {sweep}" if sweep else "any sweep"
            raise SweepError(
                f"{store.uri}: no failure of {where} is of item {one!r}, or has that id. "
                f"`lmc-sweep query {store.uri} 'SELECT failure_id, item_ids FROM failures'` lists them"
            )
    held = [failure for failure in chosen if failure.is_held]
    rows = {failure.failure_id: failure.sweep for failure in held}
    if rows:
        store.commit("retries", [{"failure_id": key, "sweep": of} for key, of in rows.items()])
    return held


def _names(text: str, failure: OpenFailure) -> bool:
    """Whether a text is the id of a failure or of one of its items, or how one of those begins."""
    known = _ids(failure)
    return text in known or (len(text) >= SHORTEST_PREFIX and any(one.startswith(text) for one in known))


def _ids(failure: OpenFailure) -> tuple[str, ...]:
    """The id of a failure and those of its items."""
    return failure.failure_id, *failure.item_ids


def _has_result(store: Store, item_id: str) -> bool:
    """Whether an item has a result by now, so that there is nothing to try again."""
    return any(store.held(kind, [item_id]) for kind in KINDS)
