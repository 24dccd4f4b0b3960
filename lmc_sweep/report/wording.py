"""Numbers, times and counts as a report writes them."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any


def counted(number_of: int, word: str) -> str:
    """``1 cell``, ``3,000 networks``."""
    return f"{number_of:,} {word if number_of == 1 else word + 's'}"


def number(value: float | None) -> str:
    """Three digits, also where they are zeros, so that columns line up; empty where there is none."""
    if value is None or not math.isfinite(value):
        return ""
    if value == 0:
        return "0"
    return f"{value:,.0f}" if 999.5 <= abs(value) < 1e6 else f"{value:#.3g}".rstrip(".")


def interval(low: float | None, high: float | None) -> str:
    """``0.1 to 0.2``; empty where there is none."""
    return f"{number(low)} to {number(high)}" if number(low) or number(high) else ""


def duration(seconds: float) -> str:
    """Seconds as people read them: 8.1 s, 4 min, 3.5 h."""
    for unit, length in (("s", 100.0), ("min", 100.0), ("h", 72.0)):
        if seconds < length:
            return f"{seconds:.2g} {unit}" if seconds < 10 else f"{seconds:.0f} {unit}"
        seconds /= 24 if unit == "h" else 60
    return f"{seconds:.1f} days"


def moment(time: Any) -> str:
    """A time of the store (UTC) to the minute."""
    if not isinstance(time, datetime):
        return str(time)
    return (time if time.tzinfo is None else time.astimezone(UTC)).strftime("%Y-%m-%d %H:%M")


def size(num_bytes: float) -> str:
    """Bytes as people read them."""
    for unit in ("B", "kB", "MB", "GB"):
        if num_bytes < 1000:
            return f"{num_bytes:.3g} {unit}"
        num_bytes /= 1000
    return f"{num_bytes:.3g} TB"
