"""How long a run puts up with a store that cannot be used, and when it tries again.

A full disk, a mount that is gone for a minute: no item is to blame, nothing is given up, and whatever was
computed in vain is computed again once the store is back.
"""

from __future__ import annotations

from lmc_sweep.execution.progress import Reporter, StopRequest, stop_in_order
from lmc_sweep.redaction import redact

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0
PATIENCE_SECONDS = 300.0
"""How long a store may be unusable before a run stops in order."""


class Patience:
    """What one party, the driver or its workers, has seen of the store."""

    def __init__(self, limit_seconds: float | None = None) -> None:
        self.limit_seconds = PATIENCE_SECONDS if limit_seconds is None else limit_seconds
        self._since: float | None = None
        self._last = 0.0
        self._pause = 0.0
        self.pause_ends = 0.0
        """Until then nothing is tried."""
        self.message = ""

    @property
    def is_failing(self) -> bool:
        """Whether the store could not be used when it was last asked."""
        return self._since is not None

    def failed(self, now: float, message: str) -> float | None:
        """Books a failure. Returns the seconds until the next try where this is the first of a row."""
        self.message, self._last = message, now
        first = self._since is None
        if self._since is None:
            self._since, self._pause = now, 0.0
        if first or now >= self.pause_ends:  # what failed within one pause counts once
            self._pause = min(max(2 * self._pause, FIRST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)
            self.pause_ends = now + self._pause
        return self._pause if first else None

    def worked(self) -> bool:
        """Books a success; returns whether there were failures before."""
        mended, self._since = self._since is not None, None
        self.pause_ends = 0.0
        return mended

    @property
    def is_over(self) -> bool:
        """Whether the store was found unusable again and again, for too long."""
        return self._since is not None and self._last - self._since >= self.limit_seconds


def store_failed(patience: Patience, now: float, message: str, reporter: Reporter, stop: StopRequest) -> None:
    """Books that the store could not be used, tells so once, and stops in order when that lasts."""
    pause = patience.failed(now, message)
    if pause is not None:
        reporter.noticed(f"{redact(message)}; trying again in {pause:g} s")
    if patience.is_over:
        told = f"the store could not be used for {patience.limit_seconds:g} s. {message}"
        stop_in_order(stop, reporter, told)
