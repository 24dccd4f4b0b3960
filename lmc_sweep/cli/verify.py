"""``lmc-sweep verify``."""

from __future__ import annotations

import json
import os
import shlex
import time
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lmc_sweep.cli.arguments import AsJson, StorePath, SweepName
from lmc_sweep.cli.repro import UserCode
from lmc_sweep.errors import StoreError
from lmc_sweep.redaction import redact

if TYPE_CHECKING:
    from lmc_sweep.execution.sampling import Sampled
    from lmc_sweep.store.findings import Verification
    from lmc_sweep.store.store import Store

TOLD_SECONDS = 5.0


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("verify")(verify_command)


def verify_command(
    store: StorePath,
    sample: Annotated[
        int,
        typer.Option(
            "--sample",
            min=0,
            metavar="N",
            help="Measure N barriers, drawn at random, again; without any, N results of other studies.",
        ),
    ] = 0,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, metavar="S", help="Which N; without it, others each time.")
    ] = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Move damaged files to STORE/quarantine; nothing is deleted.")
    ] = False,
    user_code: UserCode = False,
    sweep: SweepName = None,
    as_json: AsJson = False,
) -> None:
    """Check every file of a store, and measure some barriers again from stored weights and permutations.

    Every record and every file of tensors that one names is read in full and compared with the hash in its
    name. Exit code 0 if all results are sound, 1 if something costs results, or a barrier measured again
    differs. What --repair sets aside counts as missing: the next run computes it again.

      lmc-sweep verify runs/small --sample 5
    """
    from lmc_sweep.cli import verify_lines
    from lmc_sweep.cli.console import console
    from lmc_sweep.execution import agreement, sampling
    from lmc_sweep.store.repair import repair as set_aside
    from lmc_sweep.store.store import Store
    from lmc_sweep.store.verification import verify

    if seed is not None and not sample:
        raise StoreError("--seed has no effect without --sample N. Leave it out, or say how many to draw")
    if user_code and not sample:
        raise StoreError(
            "--user-code has no effect without --sample N. Leave it out, or say how many to draw"
        )
    opened = Store(store)
    if sweep is not None and sweep not in opened.sweeps():
        known = ", ".join(opened.sweeps()) or "none"
        raise StoreError(f"{opened.uri}: no sweep {sweep!r} here. Known sweeps: {known}")
    out = console()
    found = verify(opened, _Watch())
    moved = set_aside(opened.files, found.findings) if repair else {}
    drawn_with = int.from_bytes(os.urandom(4)) if seed is None else seed
    sampled = list(_sampled(opened, sample, drawn_with, sweep, user_code))
    requeued = _requeued(opened, sweep) if repair else []
    if as_json:
        told = _as_json(found, sweep, moved, requeued, sampled, drawn_with if sample else None)
        typer.echo(json.dumps(told, indent=2))
    else:
        verify_lines.show(out, opened, found, sweep, moved, requeued if repair else None)
        verify_lines.show_sample(out, sampled, drawn_with)
    bad = {agreement.DIFFERENT, sampling.CANNOT}
    if not found.is_clean or any(one.verdict in bad for one in sampled):
        raise typer.Exit(1)


class _Watch:
    """Says how far verification is, every few seconds of a long one."""

    def __init__(self) -> None:
        self._start = self._last = time.monotonic()

    def __call__(self, read: int, total: int) -> None:
        from lmc_sweep.cli.console import console, duration, say, size

        now = time.monotonic()
        if now - self._last < TOLD_SECONDS or not read:
            return
        self._last = now
        left = (now - self._start) * (total - read) / read
        say(console(), f"Read {size(read)} of {size(total)}; ETA {duration(left)}")


def _sampled(store: Store, count: int, seed: int, sweep: str | None, user_code: bool) -> list[Sampled]:
    """Barriers that were measured again, or results of other studies."""
    from lmc_sweep.execution.sampling import draw, drawable, sample

    if not count:
        return []
    kinds = drawable(store, sweep)
    drawn = sample(store, {key: kinds[key] for key in draw(kinds, count, seed)}, user_code=user_code)
    return [replace(one, reason=redact(one.reason)) for one in drawn]


def _requeued(store: Store, only: str | None) -> list[dict[str, Any]]:
    """Per sweep, the items by kind that its next run computes, and the command."""
    from lmc_sweep.kinds import ALWAYS_SHOWN, KINDS

    found = []
    for name in store.sweeps():
        if only not in (None, name):
            continue
        missing = {kind: len(store.item_ids(name, kind) - store.ids(kind)) for kind in KINDS}
        missing = {kind: count for kind, count in missing.items() if count or kind in ALWAYS_SHOWN}
        if any(missing.values()):
            file = shlex.quote(store.sweep_file(name))
            command = f"lmc-sweep run {file} --store {shlex.quote(store.uri)}"
            found.append({"sweep": name, "missing": missing, "command": command})
    return found


def _as_json(
    found: Verification,
    sweep: str | None,
    moved: dict[str, str],
    requeued: list[dict[str, Any]],
    sampled: list[Sampled],
    seed: int | None,
) -> dict[str, Any]:
    """What ``--json`` prints."""
    import math

    drawn: dict[str, list[dict[str, Any]]] = {"barriers": [], "others": []}
    for one in sampled:
        columns = {
            part.name: part.difference if math.isfinite(part.difference) else None for part in one.compared
        }
        is_barrier = one.kind == "barrier"
        name: dict[str, Any] = {"barrier_id": one.id} if is_barrier else {"kind": one.kind, "id": one.id}
        told = {**name, "verdict": one.verdict, "same_environment": one.same_environment}
        entry = {**told, "reason": one.reason or None, "differences": columns}
        drawn["barriers" if is_barrier else "others"].append(entry)
    return {
        "clean": found.is_clean,
        "findings": [asdict(finding) for finding in found.findings],
        "sweeps": [asdict(count) for count in found.sweeps if sweep in (None, count.sweep)],
        "num_records": found.num_records,
        "num_rows": found.num_rows,
        "num_artifacts": found.num_artifacts,
        "num_bytes": found.num_bytes,
        "lost": {kind: sorted(ids) for kind, ids in found.lost.items()},
        "moved": moved,
        "requeued": requeued,
        "sample": {"seed": seed, **drawn} if seed is not None else None,
    }
