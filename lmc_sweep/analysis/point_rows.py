"""Rows of the table ``permutation_points``: what is critical where neurons are one."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workers.permutation_points.statements import MEANINGS, Statement

if TYPE_CHECKING:
    from lmc_sweep.analysis.path_rows import Path
    from lmc_sweep.store.store import Store

COLUMNS = (
    "path_id",
    "copies",
    "loss",
    "critical",
    "point_gradient_norm",
    "plateau_gradient_norm",
    "num_zero_added",
    "num_zero_predicted",
    "num_zero_paper",
    "num_negative_added",
    "num_negative_predicted",
    "nearest_kink",
    "held",
    "falsified",
)
"""Columns that are read."""


@dataclass(frozen=True)
class Point:
    """One permutation point, as the columns of the table say; ``path`` leads to it."""

    path: Path
    copies: tuple[int, ...]
    loss: float | None
    critical: bool | None
    point_gradient_norm: float | None
    plateau_gradient_norm: float | None
    num_zero_added: int | None
    num_zero_predicted: int | None
    num_zero_paper: int
    num_negative_added: int | None
    num_negative_predicted: int | None
    nearest_kink: float | None
    held: tuple[str, ...]
    falsified: tuple[str, ...]

    @property
    def is_predicted(self) -> bool:
        """Whether zero modes and falling directions that the copies add are those of the block."""
        return (self.num_zero_added, self.num_negative_added) == (
            self.num_zero_predicted,
            self.num_negative_predicted,
        )


def read(store: Store, paths: Iterable[Path]) -> list[Point]:
    """The points at the ends of these paths, by order and copies."""
    of = {one.path_id: one for one in paths}
    rows: list[dict[str, Any]] = [
        dict(zip(COLUMNS, row, strict=True))
        for row in store.permutation_points().project(", ".join(COLUMNS)).fetchall()
        if row[0] in of
    ]
    found = [point(of[row["path_id"]], row) for row in rows]
    return sorted(found, key=lambda one: (sum(one.copies) - len(one.copies), one.copies))


def point(path: Path, row: dict[str, Any]) -> Point:
    """One row of the table."""
    plain: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in row.items()
    }
    del plain["path_id"]
    return Point(path=path, **plain)


def by_copies(points: Iterable[Point]) -> dict[tuple[str, tuple[int, ...]], list[Point]]:
    """The points of each kind of network and way to share the copies."""
    found: dict[tuple[str, tuple[int, ...]], list[Point]] = defaultdict(list)
    for one in points:
        found[one.path.words, one.copies].append(one)
    return found


def statement_counts(points: Sequence[Point]) -> dict[Statement, tuple[int, int]]:
    """Of every statement that was tested, at how many points it holds, and at how many it does not."""
    held = Counter(name for one in points for name in one.held)
    falsified = Counter(name for one in points for name in one.falsified)
    return {name: (held[name], falsified[name]) for name in MEANINGS if held[name] or falsified[name]}
