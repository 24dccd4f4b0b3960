"""Damaged files set aside: moved to ``quarantine/`` within the store, never deleted, never over another file.

What they held then counts as missing, and the next run computes it again. The move is two steps, a
second name and the removal of the first; killed between them, the next repair finishes it.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lmc_sweep.errors import StoreError
from lmc_sweep.store import artifact_checks, layout, records
from lmc_sweep.store.findings import Finding
from lmc_sweep.store.inspection import GoodRecord, inputs_of, read_record
from lmc_sweep.store.provenance import description_problem
from lmc_sweep.store.publish import NO_LINKS, make_directory, sync_directory
from lmc_sweep.store.schema import TABLES

_ROWS_PER_FILE = 5000


def repair(root: Path, findings: Iterable[Finding]) -> dict[str, str]:
    """The files of findings that were set aside, by path, with where they are now.

    Of a record of which single rows are at fault, the others are written anew before it is set aside: one
    compacted file may hold most of a table.
    """
    at_fault: dict[str, set[str]] = {}
    for finding in findings:
        if finding.is_movable:
            at_fault.setdefault(finding.path, set())
            if finding.artifact is not None:
                at_fault[finding.path].add(finding.artifact)
    moved = {}
    for path, artifacts in at_fault.items():
        if artifacts:
            _write_others(root, path, artifacts)
        target = set_aside(root, path)
        if target is not None:
            moved[path] = target
    return moved


def _write_others(root: Path, path: str, artifacts: set[str]) -> None:
    """Publishes the rows of a record that do not build on what is not there, as they are."""
    table = TABLES[path.split("/")[1]]
    found = read_record(root, table, path)
    if not isinstance(found, GoodRecord):
        return
    checked = {artifact: artifact_checks.check(root, artifact) for artifact in artifacts}

    def is_sound(row: Mapping[str, Any]) -> bool:
        named = list(inputs_of(row.get("inputs_json")) or ())
        if table.artifact is not None:
            named.append((row[table.artifact], row["row"]))
        return all(
            checked[artifact].problem is None and checked[artifact].has_row(index)
            for artifact, index in named
            if artifact in checked
        )

    for part in found.data.to_batches(max_chunksize=_ROWS_PER_FILE):
        if others := [row for row in part.to_pylist() if is_sound(row)]:
            records.write(root, table, others, datetime.now(UTC))


def set_aside(root: Path, path: str) -> str | None:
    """Where in the store a file was moved; None where it has gone, or is whole by now.

    A running driver may have put a good file of tensors, or a good environment, in the place of a damaged
    one since that was found: such a file is left, or put back.
    """
    parts = path.split("/")
    if len(parts) < 2 or parts[0] not in layout.FOLDERS or not all(parts) or {".", ".."} & set(parts):
        raise StoreError(f"{root}: {path!r} is not the path of a file in the store, and stays where it is")
    for folder in (layout.QUARANTINE, *("/".join(parts[:depth]) for depth in range(1, len(parts)))):
        for place in (folder, f"{layout.QUARANTINE}/{folder}"):
            if (root / place).is_symlink():
                raise StoreError(f"{root / place}: is a symbolic link: nothing is moved from there, or there")
    source = root / path
    promised = layout.artifact_digest(source.name) if len(parts) == 2 else None
    found = artifact_checks.check(root, path) if promised else None
    if found is not None and found.problem is None:
        return None
    is_environment = parts[0] == layout.ENVIRONMENTS
    if is_environment and description_problem(source, source.stem) is None:
        return None
    try:
        target = _move(source, root / layout.QUARANTINE / path)
    except OSError as error:
        raise StoreError(f"{source}: cannot be set aside: {error.strerror}. Repair as its owner") from error
    if target is None:
        return None
    is_good = found is not None and not found.has_right_content and _digest(target) == promised
    if is_good or (is_environment and description_problem(target, source.stem) is None):
        with contextlib.suppress(FileExistsError):
            os.link(target, source, follow_symlinks=False)
        target.unlink()
        sync_directory(source.parent)
        return None
    return str(target.relative_to(root))


def _move(source: Path, target: Path) -> Path | None:
    """The free name beside ``target`` that the file has now; None where it has gone."""
    make_directory(target.parent)
    for number in itertools.count():
        named = target if number == 0 else target.with_name(f"{target.name}.{number}")
        try:
            if os.path.lexists(named):
                if not os.path.samestat(named.lstat(), source.lstat()):
                    continue  # something else was set aside under this name
                is_double = True
            else:
                is_double = _give_name(source, named)
            sync_directory(named.parent)
            if is_double:
                _remove_name(source, named)
            sync_directory(source.parent)
        except FileNotFoundError:
            return None
        except FileExistsError:
            continue
        return named
    raise AssertionError("unreachable")


def _give_name(source: Path, target: Path) -> bool:
    """Gives a file another name; whether it has the first one still, as where the file system has links."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        source.rename(target)
        return False
    return True


def _remove_name(source: Path, kept: Path) -> None:
    """Takes the first of a file's two names away; another file that has that name by now keeps it.

    A name cannot be compared and removed in one step, so it is moved out of everybody's way before that.
    """
    if not os.path.samestat(source.lstat(), kept.lstat()):
        return
    aside = source.with_name(f".{source.name}.{uuid.uuid4().hex}.tmp")  # unfinished, if we die here
    source.rename(aside)
    if not os.path.samestat(aside.lstat(), kept.lstat()):
        with contextlib.suppress(FileExistsError):
            os.link(aside, source, follow_symlinks=False)
    aside.unlink()


def _digest(file: Path) -> str | None:
    """SHA-256 of a file's content; None where it is no regular file that can be read."""
    if file.is_symlink():
        return None
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError:
        return None
