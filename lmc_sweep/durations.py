"""How long things are expected to take, in words."""

from __future__ import annotations

YEAR_HOURS = 365 * 24


def about(seconds: float) -> str:
    """Seconds as an estimate is told, which knows no odd seconds: 8 s, 12 min, 3.5 h."""
    for unit, length in (("s", 100), ("min", 100), ("h", 72)):
        if seconds < length:
            return f"{seconds:.2g} {unit}" if seconds < 10 and unit == "h" else f"{seconds:.0f} {unit}"
        seconds /= 24 if unit == "h" else 60
    if seconds * 24 >= YEAR_HOURS:
        return f"{seconds * 24 / YEAR_HOURS:,.1f} years"
    return f"{seconds:.2g} days" if seconds < 10 else f"{seconds:.0f} days"
