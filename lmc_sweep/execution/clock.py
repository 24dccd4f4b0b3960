"""The times that a driver goes by."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Clock:
    """A clock that only runs forward, for every decision, and the one on the wall, for what people read.

    Attributes:
        now: Seconds of the first, from any beginning: to set the machine's time changes nothing.
        wall: Seconds since 1970.
        sleep: Waits so many seconds.
    """

    now: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
