"""Tables and lines for people, on standard error."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lmc_sweep.durations import YEAR_HOURS, about
from lmc_sweep.kinds import KIND_NAMES, in_singular

_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}

PIPE_COLUMNS = 200


def console() -> Console:
    """A console on standard error; plain, and wide enough for every table, where that is not a terminal."""
    made = Console(stderr=True, highlight=False)
    return made if made.is_terminal else Console(stderr=True, highlight=False, width=PIPE_COLUMNS)


def say(out: Console, text: str) -> None:
    """Prints a line as it is; the terminal wraps it, nothing else does."""
    out.print(printable(text), soft_wrap=True, markup=False)


def printable(text: str) -> str:
    """A text whose control characters are written out: to a terminal they are commands.

    Names of files, messages and ids may be those of a stranger's store.
    """
    return text.translate(_CONTROLS)


def duration(seconds: float | None) -> str:
    """Seconds as people read them: 8 s, 4 min 10 s, 3 h 05 min."""
    if seconds is None:
        return "?"
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 100:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 72:
        return f"{hours} h {minutes:02d} min"
    return f"{hours / 24:.1f} days" if hours < YEAR_HOURS else f"{hours / YEAR_HOURS:,.1f} years"


def eta(seconds: float | None, low: float | None = None, high: float | None = None) -> str:
    """Time to the end, with its range where that is known: ETA 12 min (8 to 20 min)."""
    if seconds is None:
        return "ETA not known yet"
    if low is None or high is None:
        return f"ETA {about(seconds)}"
    least, most = about(low), about(high)
    if least == most:
        return f"ETA {about(seconds)}"
    number, _, unit = least.partition(" ")
    return f"ETA {about(seconds)} ({number if most.endswith(f' {unit}') else least} to {most})"


def times(seconds: float | None, estimated: float | None, deadline: float | None = None) -> str:
    """A batch's age and what was expected; its deadline too, once that is well past: 35 s of about 2 s.

    Where neither shows in tenths of a second and in seconds, the age alone is told, without a figure.
    """
    if seconds is not None and seconds < 0.05 and estimated and estimated < 0.5:
        return "less than 0.1 s"
    expected = f" of about {about(estimated)}" if estimated else ""
    expected = " of less than 1 s" if estimated and estimated < 0.5 else expected
    is_late = deadline is not None and seconds is not None and seconds > 2 * (estimated or 0.0) + 10
    return f"{duration(seconds)}{expected}{f', deadline {about(deadline)}' if deadline and is_late else ''}"


def two_digits(number: float) -> str:
    """A number in two digits without an exponent: 0.035, 2.7, 140."""
    return f"{float(f'{number:.2g}'):.10f}".rstrip("0").rstrip(".")


def rate(per_second: float | None) -> str:
    """A rate in the unit in which it is no small fraction: 3.2/s, 12/min, 4.5/h; empty for none."""
    if not per_second:
        return ""
    for unit, seconds in (("s", 1), ("min", 60)):
        if per_second * seconds >= 1:
            return f"{per_second * seconds:.2g}/{unit}" if per_second < 100 else f"{per_second:.0f}/{unit}"
    return f"{per_second * 3600:.2g}/h"


def counted(number: int, kind: str) -> str:
    """A number of items in words: 1 canonical form, 12 barriers."""
    return f"{number} {in_singular(kind) if number == 1 else KIND_NAMES.get(kind, kind)}"


def clipped(text: str, num_characters: int) -> str:
    """The first line of a text, or as much of it as there is room for."""
    first = text.splitlines()[0] if text else ""
    return first if len(first) <= num_characters else first[: num_characters - 3] + "..."


def size(num_bytes: float) -> str:
    """Bytes as people read them."""
    for unit in ("B", "kB", "MB", "GB"):
        if num_bytes < 1000:
            return f"{num_bytes:.3g} {unit}"
        num_bytes /= 1000
    return f"{num_bytes:.3g} TB"


def table(title: str, columns: list[str], rows: list[list[Any]]) -> Table:
    """A plain table; every column but the first is aligned to the right."""
    heading = Text(printable(title)) if title else None  # a string would be read as markup, as cells
    made = Table(title=heading, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for position, name in enumerate(columns):
        made.add_column(name, justify="left" if position == 0 else "right", no_wrap=True)
    for row in rows:
        made.add_row(*[Text(printable(str(cell))) for cell in row])
    return made
