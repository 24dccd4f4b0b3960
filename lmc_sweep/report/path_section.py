"""Permutation paths: barriers and kinds of paths, and what is critical where they lead."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from statistics import fmean

from lmc_sweep.analysis.path_rows import KINDS, Path, levels, of_networks, read
from lmc_sweep.analysis.point_rows import Point, by_copies, statement_counts
from lmc_sweep.analysis.point_rows import read as read_points
from lmc_sweep.report.cell_tables import trimmed
from lmc_sweep.report.model import Block, Column, Note, Section, Table, Value
from lmc_sweep.report.scope import Scope
from lmc_sweep.report.wording import counted
from workers.permutation_points.statements import MEANINGS

TITLE = "Permutation paths"
LEAD = (
    "Paths of low loss from a network to itself with two neurons of a layer interchanged (Brea et al. 2019): "
    "the two come together at minimal loss, and the way back is the mirror image. The barrier is the highest "
    "loss found by minimization above that of the start; with beginnings, the losses count as well at which "
    "minimization begins whenever the distance has shrunk."
)
_PATHS = (
    Column("Networks", "choice", "data set, activation, neurons of every layer, and which layer"),
    Column("Loss", "choice", "squared, relative_squared or cross_entropy"),
    Column("Number", "count", "networks"),
    Column("Paths", "count", "one for each pair of neurons"),
    Column("Monotone", "count", "paths on which the loss rises all the way"),
    Column("Intermediate saddle", "count", "paths on which it falls and rises again"),
    Column("Minimum", "count", "paths on which it falls towards the permutation point"),
    Column("Barrier", "number", "mean over paths"),
    Column("With beginnings", "number", "mean over paths"),
    Column("Lowest barrier", "number", "of the pairs of a network, mean over networks"),
    Column("Losses reached", "number", "different ones at the permutation points of a network, mean"),
)
_POINTS = (
    Column("Networks", "choice", "data set, activation, neurons of every layer, and which layer"),
    Column("Copies", "choice", "how often each repeated neuron stands there"),
    Column("Points", "count"),
    Column("Critical", "count", "gradient below 1e-9, the reduced network's below 1e-10"),
    Column("Not polished", "count", "points of which that is not known"),
    Column("Zero modes", "text", "that the copies add, at critical points"),
    Column("Predicted", "count", "critical points with the zero modes and the saddle index of the block"),
    Column("Paper", "count", "zero modes that the paper states"),
    Column("Off the line", "number", "least gradient at distance 1 in the steepest direction of equal loss"),
    Column("Nearest kink", "number", "least distance to where a ReLU turns"),
)
_STATEMENTS = (
    Column("Networks", "choice", "data set, activation, neurons of every layer, and which layer"),
    Column("Statement", "choice"),
    Column("As printed"),
    Column("Holds", "count", "points"),
    Column("Falsified", "count", "points"),
)


def path_section(scope: Scope) -> Section:
    """Paths by kind of network, points by copies, statements; without blocks where no path was found."""
    paths, num_left_out = read(scope.store, scope.sweep)
    if not paths:
        return Section("permutation-paths", TITLE, ())
    groups: dict[tuple[str, str, str], list[Path]] = defaultdict(list)
    for one in paths:
        groups[one.words, one.loss, one.settings].append(one)
    rows = [_paths(of) for of in groups.values()]
    blocks: list[Block] = [trimmed(Table("paths", "Paths by network", _PATHS, rows))]
    if points := read_points(scope.store, paths):
        of_points = [_points(words, of) for (words, _), of in sorted(by_copies(points).items())]
        told = [
            (words, name, MEANINGS[name], holds, fails)
            for words in dict.fromkeys(point.path.words for point in points)
            for name, (holds, fails) in statement_counts(
                [point for point in points if point.path.words == words]
            ).items()
        ]
        blocks.append(trimmed(Table("points", "Permutation points by copies", _POINTS, of_points)))
        blocks.append(Table("statements", "Statements of the paper at these points", _STATEMENTS, told))
    if num_left_out:
        blocks.append(Note(f"Left out: {counted(num_left_out, 'path')} with losses that are not finite."))
    return Section("permutation-paths", TITLE, tuple(blocks), LEAD)


def _paths(paths: Sequence[Path]) -> tuple[Value, ...]:
    """Under _PATHS."""
    kinds = Counter(one.kind for one in paths)
    networks = of_networks(paths)
    return (
        paths[0].words,
        paths[0].loss,
        len(networks),
        len(paths),
        *(kinds[kind] for kind in KINDS),
        fmean(one.barrier for one in paths),
        _mean(one.barrier_entered for one in paths),
        fmean(min(one.barrier for one in of) for of in networks),
        fmean(len(levels(of)) for of in networks),
    )


def _points(words: str, points: Sequence[Point]) -> tuple[Value, ...]:
    """Under _POINTS."""
    critical = [point for point in points if point.critical]
    added = sorted({point.num_zero_added for point in critical if point.num_zero_added is not None})
    off = [point.plateau_gradient_norm for point in critical if point.plateau_gradient_norm is not None]
    kinks = [point.nearest_kink for point in points if point.nearest_kink is not None]
    return (
        words,
        " + ".join(map(str, points[0].copies)),
        len(points),
        len(critical),
        sum(point.critical is None for point in points),
        " to ".join(map(str, (added[:1] if len(added) == 1 else [*added[:1], *added[-1:]]))),
        sum(point.is_predicted for point in critical),
        points[0].num_zero_paper,
        min(off, default=None),
        min(kinks, default=None),
    )


def _mean(values: Iterable[float | None]) -> float | None:
    """None where a value is missing."""
    found = list(values)
    known = [value for value in found if value is not None]
    return fmean(known) if known and len(known) == len(found) else None
