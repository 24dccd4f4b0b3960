"""Other drivers that work on the same sweep at the same time, and how to stay out of their way.

They share nothing but the store. What both compute is stored twice and read once: to work from opposite
ends and to skip what is there by now saves time, and nothing depends on it.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from lmc_sweep.errors import StoreError
from lmc_sweep.store import processes
from lmc_sweep.store.store import Store

ALIVE_SECONDS = 30.0
"""A run that has not been heard of for this long is taken for gone."""
ASK_SECONDS = 2.0


class Companions:
    """What is known of the other runs of a sweep."""

    def __init__(self, store: Store, sweep: str, run_id: str, wall: Callable[[], float] = time.time) -> None:
        self._store, self._sweep, self._run_id, self._wall = store, sweep, run_id, wall
        self._asked: float | None = None
        self._held_asked = 0.0
        self.any_alive = False
        """Whether another run was alive when this was last looked up."""

    def should_reverse(self, now: float, is_reversed: bool) -> bool:
        """Looks other runs up, at most every other second. Whether to turn the own order round.

        Whoever comes second turns round. Of two that began together, that with the larger id does.
        """
        pause = max(ASK_SECONDS, self._store.files.advice_seconds)
        if self._asked is not None and now - self._asked < pause:
            return False
        first, self._asked = self._asked is None, now
        alive = self._alive()
        self.any_alive = bool(alive)
        return not is_reversed and any(
            not told.get("is_reversed") and (first or str(told["run_id"]) < self._run_id) for told in alive
        )

    def held(self, kind: str, ids: list[str], now: Callable[[], float]) -> set[str]:
        """Those of the ids that the store holds by now; looked up while another run is alive, and seldom.

        Looking up takes no more than a twentieth of the time.
        """
        start = now()
        if not self.any_alive or start < self._held_asked:
            return set()
        try:
            held = self._store.held(kind, ids)
        except (StoreError, OSError):
            return set()
        self._held_asked = now() + 20 * (now() - start)
        return held

    def _alive(self) -> list[dict[str, object]]:
        try:
            runs = self._store.read_runs(self._sweep)
        except (StoreError, OSError):
            return []
        return [told for told in runs if told["run_id"] != self._run_id and self._is_alive(told)]

    def _is_alive(self, told: dict[str, object]) -> bool:
        updated = told.get("updated_at")
        heard = isinstance(updated, int | float) and abs(self._wall() - updated) < ALIVE_SECONDS
        return heard and told.get("state") == "running" and not processes.is_gone(told.get("process"))
