"""Damaged files set aside: moved to ``quarantine/`` within the store, never deleted, never over another file.

What they held then counts as missing, and the next run computes it again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from stat import S_ISREG
from typing import Any

from lmc_sweep.errors import StoreError
from lmc_sweep.store import artifact_checks, layout, records
from lmc_sweep.store.files import Files, Judge
from lmc_sweep.store.findings import Finding
from lmc_sweep.store.inspection import GoodRecord, inputs_of, read_record
from lmc_sweep.store.provenance import description_problem
from lmc_sweep.store.schema import TABLES
from lmc_sweep.store.terms import Terms

_ROWS_PER_FILE = 5000


def repair(files: Files, findings: Iterable[Finding]) -> dict[str, str]:
    """The files of findings that were set aside, by path, with where they are now.

    Of a record of which single rows are at fault, the others are written anew before it is set aside: one
    compacted file may hold most of a table.
    """
    at_fault: dict[str, set[str]] = {}
    ids: dict[str, set[str]] = {}
    for finding in findings:
        if finding.is_movable:
            at_fault.setdefault(finding.path, set())
            ids.setdefault(finding.path, set()).update(finding.ids)
            if finding.artifact is not None:
                at_fault[finding.path].add(finding.artifact)
    moved = {}
    for path, artifacts in at_fault.items():
        if artifacts or ids[path]:
            _write_others(files, path, artifacts, ids[path])
        target = set_aside(files, path)
        if target is not None:
            moved[path] = target
    return moved


def _write_others(files: Files, path: str, artifacts: set[str], ids: set[str]) -> None:
    """Publishes the rows of a record that neither build on what is not there nor have these ids."""
    table = TABLES[path.split("/")[1]]
    found = read_record(files.root, table, path)
    if not isinstance(found, GoodRecord):
        return
    checked = {artifact: artifact_checks.check(files, artifact) for artifact in artifacts}
    terms = Terms(files, files.read_marker())

    def is_sound(row: Mapping[str, Any]) -> bool:
        named = list(inputs_of(row.get("inputs_json")) or ())
        if table.artifact is not None:
            named.append((row[table.artifact], row["row"]))
        return row[str(table.key)] not in ids and all(
            checked[artifact].problem is None and checked[artifact].has_row(index)
            for artifact, index in named
            if artifact in checked
        )

    for part in found.data.to_batches(max_chunksize=_ROWS_PER_FILE):
        if others := [row for row in part.to_pylist() if is_sound(row)]:
            records.write(table, others, datetime.now(UTC), terms)


def set_aside(files: Files, path: str) -> str | None:
    """Where in the store a file was moved; None where it has gone, or is whole by now.

    A running driver may have put a good file of tensors, or a good environment, in the place of a damaged
    one since that was found: such a file is left, or put back.
    """
    parts = path.split("/")
    if len(parts) < 2 or parts[0] not in layout.FOLDERS or not all(parts) or {".", ".."} & set(parts):
        raise StoreError(
            f"{files.uri}: {path!r} is not the path of a file in the store: it stays where it is"
        )
    return files.set_aside(path, _judge(parts))


def _judge(parts: list[str]) -> Judge:
    """What says of a file whether it is good under this path; nothing does of a record."""
    folder, name = parts[0], parts[-1]
    if folder == layout.ENVIRONMENTS:
        return lambda file: description_problem(file, Path(name).stem) is None
    promised = layout.artifact_digest(name) if len(parts) == 2 else None
    if promised is None:
        return lambda file: False
    return lambda file: _digest(file) == promised and artifact_checks.is_sound(file, folder)


def _digest(file: Path) -> str | None:
    """SHA-256 of a file's content; None where it is no regular file that can be read."""
    try:
        if not S_ISREG(file.lstat().st_mode):
            return None
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError:
        return None
