"""Results that were computed twice and do not agree: a finding about the numerics, not an error."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lmc_sweep.store.columns import FLAG
from lmc_sweep.store.schema import COUNT, COUNTS, REAL, REALS, Column, Table

RELATIVE_TOLERANCE = 1e-6
ABSOLUTE_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Nondeterminism:
    """One column of one id that two record files disagree about; the first of each pair counts."""

    table: str
    id: str
    column: str
    values: tuple[Any, Any]
    files: tuple[str, str]


def compared_columns(table: Table) -> list[Column]:
    """The numeric columns that a second computation must reproduce: not times, not positions in files."""
    return [
        column
        for column in table.columns
        if column.type in (COUNT, COUNTS, REAL, REALS, FLAG)
        and column.name != "row"
        and not f"_{column.name}".endswith("_seconds")
    ]


def differences(
    table: Table, key: str, rows: Sequence[tuple[str, Mapping[str, Any]]]
) -> Iterator[Nondeterminism]:
    """Where the later rows of an id differ from the first beyond the tolerance; rows are (file, values)."""
    first_file, first = rows[0]
    for file, row in rows[1:]:
        for column in compared_columns(table):
            values = (first[column.name], row[column.name])
            if not _agree(*values):
                yield Nondeterminism(table.name, key, column.name, values, (first_file, file))


def _agree(a: Any, b: Any) -> bool:
    """Whether two values are equal within the tolerance; null agrees with null alone."""
    if a is None or b is None:
        return a is b
    if isinstance(a, list):
        return len(a) == len(b) and all(map(_agree, a, b))
    return math.isclose(a, b, rel_tol=RELATIVE_TOLERANCE, abs_tol=ABSOLUTE_TOLERANCE)
