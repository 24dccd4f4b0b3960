"""What ``lmc-sweep verify`` prints for people."""

from __future__ import annotations

import shlex
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lmc_sweep.cli.console import counted, duration, say, size, table
from lmc_sweep.kinds import KIND_NAMES

if TYPE_CHECKING:
    from rich.console import Console

    from lmc_sweep.execution.sampling import Sampled
    from lmc_sweep.store.findings import Finding, Verification
    from lmc_sweep.store.store import Store

SHOWN = 20
"""Findings of a kind that are listed; --json lists all."""


def show(
    out: Console,
    store: Store,
    found: Verification,
    sweep: str | None,
    moved: Mapping[str, str],
    requeued: Sequence[Mapping[str, Any]] | None,
) -> None:
    """What was read, what is wrong, and what is to be done about it."""
    from lmc_sweep.store.findings import KINDS

    rows = ", ".join(f"{count} {name}" for name, count in found.num_rows.items() if count)
    say(
        out,
        f"Read {found.num_records} record files ({rows or 'no rows'}) and {found.num_artifacts} files of "
        f"tensors, {size(found.num_bytes)}.",
    )
    by_kind: dict[str, list[Finding]] = defaultdict(list)
    for finding in found.findings:
        by_kind[finding.kind].append(finding)
    for kind, heading in KINDS.items():
        if by_kind[kind]:
            _show_kind(out, heading, by_kind[kind])
    _show_counts(out, found, sweep)
    for path, target in list(moved.items())[:SHOWN]:
        say(out, f"set aside: {path} -> {target}")
    if len(moved) > SHOWN:
        say(out, f"... and {len(moved) - SHOWN} more files set aside")
    for entry in requeued or ():
        counts = ", ".join(f"{count} {KIND_NAMES[kind]}" for kind, count in entry["missing"].items() if count)
        say(out, f"Sweep {entry['sweep']}: {counts} are to be computed: {entry['command']}")
    if requeued is not None and not moved:
        say(out, "Nothing was there to set aside.")
    if found.is_clean:
        say(out, "All results are sound.")
    elif requeued is None:
        movable = sum(finding.is_movable for finding in found.findings)
        command = f"lmc-sweep verify {shlex.quote(store.uri)} --repair"
        told = f"{command} sets {movable} {'file' if movable == 1 else 'files'} aside" if movable else ""
        say(out, f"Not all results are sound. {told}".strip())


def _show_kind(out: Console, heading: str, findings: Sequence[Finding]) -> None:
    """A heading and a line per finding, a long list cut."""
    total = sum(finding.num_bytes or 0 for finding in findings)
    say(out, f"{heading}: {len(findings)}{f', {size(total)}' if total else ''}")
    for finding in findings[:SHOWN]:
        aged = (
            f" ({size(finding.num_bytes or 0)}, {duration(finding.age_seconds)} old)"
            if finding.age_seconds is not None
            else ""
        )
        say(out, f"  {finding.path}: {finding.message}{aged}")
    if len(findings) > SHOWN:
        say(out, f"  ... and {len(findings) - SHOWN} more; --json lists all")


def _show_counts(out: Console, found: Verification, sweep: str | None) -> None:
    """Per sweep, done as ``status`` counts, and sound; only where these differ, or items are missing."""
    counts = [one for one in found.sweeps if sweep in (None, one.sweep)]
    rows = [[one.sweep, KIND_NAMES[one.kind], f"{one.done}/{one.total}", one.sound] for one in counts]
    if rows:
        out.print(table("", ["sweep", "", "done", "sound"], rows))
    if any(one.done != one.sound for one in counts):
        say(out, "status and plan count as done what is not sound, until --repair has set its files aside.")


def show_sample(out: Console, sampled: Sequence[Sampled], seed: int) -> None:
    """How results that were computed again compare."""
    from lmc_sweep.execution.sampling import CANNOT, LEFT_OUT

    if not sampled:
        return
    kinds = Counter(one.kind for one in sampled)
    verdicts = Counter(one.verdict for one in sampled)
    told = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items())
    same = sum(one.same_environment for one in sampled)
    measured = sum(bool(one.compared) for one in sampled)
    counts = ", ".join(counted(count, kind) for kind, count in kinds.items())
    say(out, f"{counts} drawn with --seed {seed}: {told}.")
    if measured:
        say(out, f"{same} of {measured} were computed by code, packages and hardware like these.")
        worst: dict[str, float] = defaultdict(float)
        unequal: Counter[str] = Counter()
        known: Counter[str] = Counter()
        for one in sampled:
            for part in one.compared:
                known[part.name] += 1
                worst[part.name] = max(worst[part.name], part.difference)
                unequal[part.name] += part.difference != 0
        rows = [[name, known[name] - unequal[name], unequal[name], f"{worst[name]:.3g}"] for name in worst]
        out.print(table("", ["column", "equal", "not equal", "largest difference"], rows))
    for one in [one for one in sampled if one.verdict in (CANNOT, LEFT_OUT)][:SHOWN]:
        say(out, f"  {one.id}: {one.verdict}: {one.reason}")
