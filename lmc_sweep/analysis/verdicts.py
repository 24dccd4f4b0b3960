"""Whether what was measured bears a claim out: a statistic with its interval, against bounds."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any, Literal

import numpy as np

from lmc_sweep.analysis.claim_statistics import (
    BY_DRAWN_POINTS,
    BY_EXPONENT,
    BY_POINT,
    STATISTICS,
    Draws,
    Points,
    UndefinedError,
)
from lmc_sweep.analysis.claims import Claim
from lmc_sweep.analysis.clusters import clusters
from lmc_sweep.analysis.slopes import slope
from workers.seeding import derive_seed

NUM_RESAMPLES = 2000
NO_SUCH = "the store has no such barriers"

Verdict = Literal["holds", "fails", "not measured"]
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Part:
    """One part of a claim, such as one line of its figure.

    Attributes:
        part: What it is called.
        x: Its place, where every point is a part of its own.
        low: The least value of the statistic with which it holds.
        high: The largest.
        printed: What the paper prints.
        measured: The statistic of the pairs as they are.
        interval: Ends of its 95 % interval.
        num_pairs: Pairs, or groups of networks aligned together, that went in.
        verdict: Whether it holds.
        why: Of a part that is not measured, what is missing.
        note: How it was measured, where the query tells.
    """

    part: str
    x: float | None
    low: float
    high: float
    printed: float | None
    measured: float | None = None
    interval: tuple[float, float] | None = None
    num_pairs: int = 0
    verdict: Verdict = "not measured"
    why: str = ""
    note: str = ""


def judged(claim: Claim, rows: Sequence[Row]) -> tuple[Part, ...]:
    """The parts of a claim with their verdicts: those that the rows give, and the paper's others.

    A part holds where the whole 95 % interval lies within the claim's bounds, and fails where it lies
    outside. Where a bound lies in the interval, the pairs do not tell. The interval is the percentile
    interval of NUM_RESAMPLES draws of each point's pairs with replacement; barriers of one pair, of one group
    aligned together, or of pairs that share networks are drawn together. With few pairs it is rough, and too
    narrow. For a correlation the points are drawn in their place; an exponent's interval is Student's t over
    pairs, of which each has values of its own at every point.

    Args:
        claim: With a query.
        rows: What its query gave: part, x, pair, value, and side or fits, and in a column
            ``note`` how it was measured; where they are known, ``networks`` of the pair. Null values are
            left out.
    """
    by_part: dict[tuple[str, float | None], list[Row]] = defaultdict(list)
    for row in rows:
        if row["value"] is not None and math.isfinite(row["value"]):
            by_part[str(row["part"]), float(row["x"]) if claim.statistic == BY_POINT else None].append(row)
    absent = [key for key in _expected(claim) if key not in by_part]
    found = sorted(by_part, key=lambda key: (_place(claim, key[0]), key[0], key[1] or 0.0))
    return (
        *(_measured(_empty(claim, key), claim, by_part[key]) for key in found),
        *(replace(_empty(claim, key), why=NO_SUCH) for key in absent),
    )


def overall(parts: Sequence[Part]) -> Verdict:
    """Of a claim: it fails where a part fails, and holds where some hold and none fails."""
    verdicts = {part.verdict for part in parts}
    if "fails" in verdicts:
        return "fails"
    return "holds" if "holds" in verdicts else "not measured"


def _expected(claim: Claim) -> list[tuple[str, float | None]]:
    """Parts that the paper has."""
    if claim.statistic == BY_POINT:
        return [(told.part, told.x) for told in claim.printed]
    named = [*claim.parts, *(told.part for told in claim.printed)]
    return [(name, None) for name in dict.fromkeys(named)]


def _place(claim: Claim, part: str) -> int:
    """The paper's parts in its order, then others."""
    order = list(dict.fromkeys([*claim.parts, *(told.part for told in claim.printed)]))
    return order.index(part) if part in order else len(order)


def _empty(claim: Claim, key: tuple[str, float | None]) -> Part:
    low, high = claim.bounds(*key)
    return Part(part=key[0], x=key[1], low=low, high=high, printed=claim.printed_value(*key))


def _measured(part: Part, claim: Claim, rows: Sequence[Row]) -> Part:
    """The part with its statistic, its interval and its verdict."""
    points, least, num_pairs = _points(rows, claim.name, part.part)
    noted = sorted({str(row["note"]) for row in rows if row.get("note")})
    part = replace(part, num_pairs=num_pairs, note="; ".join(noted))
    if claim.statistic == BY_EXPONENT:
        return _with_exponent(part, rows)
    try:
        drawn = STATISTICS[claim.statistic or BY_POINT](points)
    except UndefinedError as missing:
        return replace(part, why=str(missing))
    if not math.isfinite(drawn[0]) or not np.isfinite(drawn[1:]).any():
        return replace(part, why="undefined: barriers of 0, or all alike")
    part = replace(part, measured=float(drawn[0]))
    if least < 2:
        what = "one pair" if num_pairs < 2 else "one pair, or of pairs that share networks,"
        return replace(part, why=f"a point of {what} has no interval: more pairs are needed")
    low, high = _interval(drawn)
    more = "points" if claim.statistic == BY_DRAWN_POINTS else "pairs"
    return _with_verdict(part, low, high, more)


def _with_exponent(part: Part, rows: Sequence[Row]) -> Part:
    """The part with the power of x by which values change: its mean over pairs, and Student's t interval."""
    values: dict[tuple[str, float], list[float]] = defaultdict(list)
    for row in rows:
        values[str(row["pair"]), float(row["x"])].append(float(row["value"]))
    numbers = {pair: number for number, pair in enumerate(sorted({pair for pair, _ in values}))}
    found = slope((numbers[pair], x, fmean(of_pair)) for (pair, x), of_pair in values.items())
    if found is None:
        return replace(part, why="it takes 2 points, and a pair with values above 0 at all of them")
    part = replace(part, measured=found.value, num_pairs=found.num_seeds)
    if found.low is None or found.high is None:
        return replace(part, why="one pair has no interval: more pairs are needed")
    return _with_verdict(part, found.low, found.high, "pairs")


def _with_verdict(part: Part, low: float, high: float, more: str) -> Part:
    """The part with an interval and what follows from it; ``more`` of what would tell where nothing does."""
    part = replace(part, interval=(low, high))
    if not math.isfinite(part.low) and not math.isfinite(part.high):
        return replace(part, why="the paper prints no value for this")
    if part.low <= low and high <= part.high:
        return replace(part, verdict="holds")
    if high < part.low or low > part.high:
        return replace(part, verdict="fails")
    return replace(part, why=f"a bound lies in the interval: more {more} would tell")


def _interval(drawn: Draws) -> tuple[float, float]:
    """Percentile interval at 95 %; draws in which the statistic is undefined are left out."""
    low, high = np.quantile(drawn[1:][np.isfinite(drawn[1:])], [0.025, 0.975])
    return float(low), float(high)


def _points(rows: Sequence[Row], *names: str) -> tuple[Points, int, int]:
    """The points of one part; the fewest clusters of pairs of one, and the number of pairs in all."""
    by_key: dict[tuple[str, float], list[Row]] = defaultdict(list)
    fits: dict[float, list[bool]] = defaultdict(list)
    for row in rows:
        by_key[row.get("side") or "", float(row["x"])].append(row)
        fits[float(row["x"])].append(bool(row.get("fits")))
    keys = sorted(by_key)
    values = {key: _clustered(by_key[key]) for key in keys}
    points = Points(
        x=np.array([x for _, x in keys]),
        means=np.stack([_draws(values[key], (*names, repr(key[1]))) for key in keys], axis=1),
        is_first=np.array([side == "first" for side, _ in keys]),
        fits=np.array([all(fits[x]) for _, x in keys]),
    )
    sizes = [len(values[key]) for key in keys]
    return points, min(sizes), len({str(row["pair"]) for row in rows})


def _clustered(rows: Sequence[Row]) -> dict[str, list[float]]:
    """The values of one point by cluster: those of one pair, and of pairs that share networks.

    A cluster is called by its first pair, so that the same pairs have the same draws on both sides.
    """
    ordered = sorted(rows, key=lambda row: str(row["pair"]))
    found: dict[int, list[float]] = defaultdict(list)
    names: dict[int, str] = {}
    shared = clusters([(("pair", str(row["pair"])), *row.get("networks", ())) for row in ordered])
    for row, cluster in zip(ordered, shared, strict=True):
        found[cluster].append(float(row["value"]))
        names.setdefault(cluster, str(row["pair"]))
    return {names[cluster]: own for cluster, own in found.items()}


def _draws(clusters: Mapping[str, Sequence[float]], names: Sequence[str]) -> Draws:
    """The mean of all values, and those of draws of clusters: the same pairs of both sides together."""
    pairs = sorted(clusters)
    sums = np.array([sum(clusters[pair]) for pair in pairs])
    counts = np.array([len(clusters[pair]) for pair in pairs])
    stream = np.random.default_rng(derive_seed("bootstrap", "claim", *names, *pairs))
    drawn = stream.integers(len(clusters), size=(NUM_RESAMPLES, len(clusters)))
    means: Draws = np.concatenate([[sums.sum() / counts.sum()], sums[drawn].sum(1) / counts[drawn].sum(1)])
    return means
