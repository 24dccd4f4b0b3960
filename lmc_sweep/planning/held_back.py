"""Items that are not tried again by themselves, and what waits for them.

Code of the user's own that raises will raise again: what failed so is held back, whichever sweep it failed
in, until somebody who has mended it releases the failure (``lmc-sweep retry``, table ``retries``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lmc_sweep.kinds import KINDS
from lmc_sweep.planning.item_classes import Item
from lmc_sweep.store.store import Store

FAILS_EVERY_TIME = frozenset({"user_error"})
"""Classes of errors (``lmc_sweep.execution.causes``) after which trying again is left to a person."""

_QUERY = """
    SELECT kind, item_id, bool_or(coalesce(list_contains([{causes}], cause), false) AND NOT released)
    FROM (
        SELECT kind, unnest(item_ids) AS item_id, cause,
            failure_id IN (SELECT failure_id FROM retries) AS released
        FROM failures
    ) GROUP BY kind, item_id
"""


def failed_items(store: Store) -> dict[tuple[str, str], bool]:
    """Kind and id of items that failed and have no result; true for those that only a person releases."""
    causes = ", ".join(f"'{name}'" for name in sorted(FAILS_EVERY_TIME))
    rows = store.sql(_QUERY.format(causes=causes)).fetchall()
    return {(kind, item_id): is_held for kind, item_id, is_held in rows}


def held_back(
    left: Mapping[str, Sequence[Item]], failed: Mapping[tuple[str, str], bool]
) -> dict[str, frozenset[str]]:
    """Ids, by kind, of those items that failed for good and were not released since."""
    return {
        kind: frozenset(item.id for item in left[kind] if failed.get((kind, item.id), False)) for kind in left
    }


def blocked(
    left: Mapping[str, Sequence[Item]], held: Mapping[str, frozenset[str]]
) -> dict[str, frozenset[str]]:
    """Ids, by kind, of those items that need one that is held back, or need one that does."""
    unavailable = set().union(*held.values())
    found: dict[str, frozenset[str]] = {}
    for kind in (known for known in KINDS if known in left):
        waiting = frozenset(
            item.id
            for item in left[kind]
            if item.id not in held[kind] and not unavailable.isdisjoint(item.requires)
        )
        unavailable |= waiting
        found[kind] = waiting
    return found
