"""The summary: how much there is, how far the sweeps are, and what alignment did to the barriers."""

from __future__ import annotations

from typing import Any

from lmc_sweep.analysis.density import CONTROLS
from lmc_sweep.analysis.progress import SweepStatus, sweep_status
from lmc_sweep.errors import SweepError
from lmc_sweep.kinds import ALWAYS_SHOWN, KIND_NAMES, KINDS
from lmc_sweep.report.model import Note, Progress, ProgressBars, Section, Summary, Tile, Tiles
from lmc_sweep.report.scope import WHOLE, Scope
from lmc_sweep.report.wording import counted, duration, moment, number
from lmc_sweep.store.schema import TABLE_OF_KIND


def overview(scope: Scope) -> Section:
    """What was run, how much of it is there, and the mean barriers by method."""
    statuses = [sweep_status(scope.store, name) for name in scope.sweeps]
    blocks: list[Any] = [_tiles(scope, statuses), *(_progress(status) for status in statuses)]
    if not statuses:
        blocks.append(Note("No sweep is recorded in this store.", is_warning=True))
    blocks += [table for quantity in ("loss", "error") if (table := _means(scope, quantity)) is not None]
    return Section("summary", "Summary", tuple(blocks))


def headline(scope: Scope) -> tuple[str, ...]:
    """Sentences that say how complete a report is, and what it rests on."""
    statuses = [sweep_status(scope.store, name) for name in scope.sweeps]
    found = _counts(scope)
    told = [
        _in_all(scope, found),
        " ".join(_completeness(status) for status in statuses) or "No sweep is recorded.",
    ]
    told += _falls(scope)
    if found["first"] is not None:
        told.append(f"Results from {moment(found['first'])} to {moment(found['last'])} UTC.")
    return tuple(told)


def _in_all(scope: Scope, found: dict[str, Any]) -> str:
    """How much there is, of what is asked for."""
    parts = [f"{counted(found['networks'], 'network')} in {counted(len(scope.cells), 'cell')}"]
    parts = parts if scope.concerns("network") else []
    if scope.concerns("barrier"):
        parts += [counted(found["pairs"], "pair"), counted(found["barriers"], "barrier")]
    parts += [f"{num:,} {_name(kind, num)}" for kind, num in found["others"].items()]
    return f"{', '.join(parts)}."


def _name(kind: str, number_of: int) -> str:
    """A kind in words: 1 barrier matrix, 2 barrier matrices."""
    return kind.replace("_", " ") if number_of == 1 else KIND_NAMES[kind]


def _falls(scope: Scope) -> list[str]:
    """What the best search does to the mean train loss barrier of the real world, in a sentence."""
    rows = scope.ask(f"""
        SELECT method, method_json, avg(mean) AS mean FROM (
            SELECT method, method_json, cell_id, avg(loss_barrier) AS mean FROM barriers
            WHERE {WHOLE} AND world = 'real' AND split = 'train' AND correction = 'none'
                AND {scope.of_sweep("barrier")} GROUP BY ALL)
        GROUP BY ALL HAVING mean IS NOT NULL ORDER BY mean, method_json""")
    before = [row["mean"] for row in rows if row["method"] == "identity"]
    searches = [row for row in rows if row["method"] not in CONTROLS]
    if not before or not searches:
        return []
    label, after = scope.methods[searches[0]["method_json"]], searches[0]["mean"]
    return [
        f"In the real world the mean train loss barrier over cells is {number(before[0])} nats before "
        f"alignment and {number(after)} after {label}."
    ]


def _completeness(status: SweepStatus) -> str:
    """One sweep in a sentence: complete, or what it lacks; and whether anything failed."""
    left = {name: kind.total - kind.done for name, kind in status.kinds.items()}
    failed = sum(kind.failed for kind in status.kinds.values())
    failures = f" {counted(failed, 'item')} failed." if failed else " No failures."
    if status.is_complete:
        return f"Sweep {status.sweep} is complete.{failures}"
    if not any(kind.total for kind in status.kinds.values()):
        return f"Sweep {status.sweep}: no items are recorded, or their record is damaged."
    lacking = ", ".join(counted(count, name) for name, count in left.items() if count)
    return f"Sweep {status.sweep} ({status.state}) lacks {lacking}.{failures}"


def _counts(scope: Scope) -> dict[str, Any]:
    """Numbers of rows, the first and last time, and seconds of work."""
    barriers, networks = scope.of_sweep("barrier"), scope.of_sweep("network")
    alignments = scope.of_sweep("alignment")
    (found,) = scope.ask(f"""
        SELECT * FROM
        (SELECT count(*) AS networks, coalesce(sum(train_seconds), 0) AS train_seconds,
            count(*) FILTER (stop_reason = 'diverged') AS diverged,
            min(created_at) AS n_first, max(created_at) AS n_last FROM networks WHERE {networks}),
        (SELECT count(*) AS alignments, coalesce(sum(align_seconds), 0) AS align_seconds
            FROM alignments WHERE {alignments}),
        (SELECT count(*) AS barriers, coalesce(sum(measure_seconds), 0) AS measure_seconds,
            count(DISTINCT (world, pair_id, member_a, member_b)) AS pairs,
            count(DISTINCT (pair_id, member_a, member_b)) FILTER (world = 'real') AS real_pairs,
            count(DISTINCT (pair_id, member_a, member_b)) FILTER (world = 'model') AS model_pairs,
            min(created_at) AS b_first, max(created_at) AS b_last FROM barriers WHERE {barriers})""")
    names = ("n_first", "n_last", "b_first", "b_last")
    others = _others(scope)
    times = [row[name] for row in (found, *others.values()) for name in names if row.get(name) is not None]
    return {
        **found,
        "others": {kind: row["num"] for kind, row in others.items()},
        "other_seconds": sum(row["seconds"] for row in others.values()),
        "first": min(times, default=None),
        "last": max(times, default=None),
    }


def _others(scope: Scope) -> dict[str, dict[str, Any]]:
    """Rows of other studies by kind: their number, seconds of work, first and last time."""
    found = {}
    for kind in KINDS:
        if kind in ALWAYS_SHOWN or not scope.concerns(kind):
            continue
        (row,) = scope.ask(f"""
            SELECT count(*) AS num, coalesce(sum(measure_seconds), 0) AS seconds,
                min(created_at) AS n_first, max(created_at) AS n_last
            FROM {TABLE_OF_KIND[kind].name} WHERE {scope.of_sweep(kind)}""")
        if row["num"]:
            found[kind] = row
    return found


def _tiles(scope: Scope, statuses: list[SweepStatus]) -> Tiles:
    """The numbers with which the report begins."""
    found = _counts(scope)
    failed = sum(kind.failed for status in statuses for kind in status.kinds.values())
    attempts = sum(sum(status.attempts.values()) for status in statuses)
    worlds = f"{found['real_pairs']:,} real world, {found['model_pairs']:,} our model"
    measured = found["measure_seconds"] + found["other_seconds"]
    shares = {"train": found["train_seconds"], "align": found["align_seconds"], "measure": measured}
    told = ", ".join(f"{name} {duration(seconds)}" for name, seconds in shares.items())
    tiles: list[Tile] = []
    if scope.concerns("network"):
        tiles.append(Tile("Networks", f"{found['networks']:,}", f"{counted(len(scope.cells), 'cell')}"))
    if scope.concerns("barrier"):
        tiles += [
            Tile("Pairs", f"{found['pairs']:,}", worlds),
            Tile("Alignments", f"{found['alignments']:,}", counted(len(scope.methods), "method")),
            Tile("Barriers", f"{found['barriers']:,}", _diverged(found["diverged"])),
        ]
    tiles += [Tile(KIND_NAMES[kind].capitalize(), f"{num:,}") for kind, num in found["others"].items()]
    tiles += [
        Tile(
            "Failed items",
            f"{failed:,}",
            f"{counted(attempts, 'attempt')} lost and made again" if attempts else "no attempt lost",
        ),
        Tile("Worker time", duration(sum(shares.values())), told if scope.concerns("network") else ""),
    ]
    return Tiles(tuple(tiles))


def _diverged(number_of: int) -> str:
    return f"{counted(number_of, 'network')} diverged" if number_of else "no network diverged"


def _progress(status: SweepStatus) -> ProgressBars:
    """Bars of one sweep, by kind."""
    bars = tuple(
        Progress(KIND_NAMES[name], kind.done, kind.total, f"{kind.failed:,} failed" if kind.failed else "")
        for name, kind in status.kinds.items()
        if kind.total
    )
    return ProgressBars(status.sweep, status.state, bars)


def _means(scope: Scope, quantity: str) -> Summary | None:
    """Means over cells of the cells' mean barriers, by method, world and split; None where there are none."""
    try:
        rows = scope.ask(f"""
            SELECT method_json, world, split, correction, avg(mean) AS mean, sum(pairs) AS pairs FROM (
                SELECT method_json, world, split, correction, cell_id,
                    avg({quantity}_barrier) AS mean, count({quantity}_barrier) AS pairs
                FROM barriers WHERE {WHOLE} AND world IN ('real', 'model') AND {scope.of_sweep("barrier")}
                GROUP BY ALL) GROUP BY ALL ORDER BY split DESC, correction""")
    except SweepError:  # the sections that need the table say what is wrong with it
        return None
    if not rows:
        return None
    found = {(r["method_json"], r["world"], r["split"], r["correction"]): r for r in rows}
    kinds = list(dict.fromkeys((row["split"], row["correction"]) for row in rows))
    worlds = [world for world in ("real", "model") if any(row["world"] == world for row in rows)]
    names = {"real": "real world", "model": "our model"}
    told = {
        (split, correction): split if {c for _, c in kinds} == {"none"} else f"{split}, {correction}"
        for split, correction in kinds
    }
    headings = ("Method", *(f"{told[kind]}, {names[world]}" for kind in kinds for world in worlds))
    unit = "nats" if quantity == "loss" else "fraction"
    return Summary(
        f"Mean {quantity} barrier over cells ({unit}), largest height over all alphas",
        headings,
        tuple(
            (label, *(_entry(found.get((text, world, *kind))) for kind in kinds for world in worlds))
            for text, label in scope.methods.items()
            if any((text, world, *kind) in found for kind in kinds for world in worlds)
        ),
    )


def _entry(row: dict[str, Any] | None) -> str:
    return "" if row is None or row["mean"] is None else number(row["mean"])
