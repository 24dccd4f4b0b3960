"""What lies in a directory that others write to and compact at the same time.

A directory is not read in one instant: a name that appears behind the reader's position is missed, and
one that is deleted ahead of it as well. Compaction first publishes the file that holds the rows, then
deletes the files that held them. A reader that fell between the two would lose rows, so a listing is
believed only if no compacted file can have appeared behind its back.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lmc_sweep.errors import StoreError
from lmc_sweep.store import layout

Stamp = tuple[int, int, int]
"""Size, modification time in nanoseconds, and mode of a file, its links not followed."""

_ROUNDS = 100
_CLOCK_STEP_NS = (
    50_000_000  # far above the step of file systems' clocks: two changes in one step look like one
)


def entries(directory: Path) -> dict[str, Stamp]:
    """Name and stamp of every entry but the unfinished ones; nothing where there is no directory."""
    found: dict[str, Stamp] = {}
    with _told(directory), os.scandir(directory) as scanned:
        for entry in scanned:
            if entry.name.startswith("."):
                continue
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            found[entry.name] = (status.st_size, status.st_mtime_ns, status.st_mode)
    return found


def entries_beside_compaction(directory: Path) -> dict[str, Stamp]:
    """The entries, such that every row that was there when this began lies in a file that is named.

    Either the directory did not change while it was read, which its modification time tells, or a second
    reading sees the same compacted files as the first: whatever was published before the second began
    would be among them, and what the first missed because it was deleted was published anew before that.
    """
    for _ in range(_ROUNDS):
        before, started = _modified(directory), time.time_ns()
        found = entries(directory)
        if before is None or (_modified(directory) == before and started - before > _CLOCK_STEP_NS):
            break
        if {name for name in _names(directory) if layout.is_compacted(name)} <= found.keys():
            break
    return found


def walk(root: Path) -> Iterator[tuple[str, int, float]]:
    """Every file below a folder, links not followed: path relative to it, bytes, time of its last change."""
    for folder, _, names in os.walk(root):
        for name in sorted(names):
            file = Path(folder) / name
            try:
                status = file.lstat()
            except OSError:  # it has gone since
                continue
            yield str(file.relative_to(root)), status.st_size, status.st_mtime


@contextmanager
def alone(directory: Path) -> Iterator[bool]:
    """Whether nobody else holds this lock here. It spares work; nothing depends on it.

    The lock is on the directory itself and ends with its process, however that ends.
    """
    import fcntl

    try:
        descriptor = os.open(directory, os.O_RDONLY)
    except FileNotFoundError:
        yield True
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        except OSError:
            pass  # a file system without locks
        yield True
    finally:
        os.close(descriptor)


def _modified(directory: Path) -> int | None:
    """When an entry of the directory last came or went, in nanoseconds; None where there is none."""
    with _told(directory):
        return directory.stat().st_mtime_ns
    return None


def _names(directory: Path) -> list[str]:
    """The names in the directory alone, which is quicker."""
    with _told(directory):
        return os.listdir(directory)  # noqa: PTH208  patched by tests as every call of the store is
    return []


@contextmanager
def _told(directory: Path) -> Iterator[None]:
    """Passes over a directory that is not there; StoreError where the system will not list one that is."""
    try:
        yield
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreError(
            f"{directory}: cannot be listed: {error.strerror}. Check the disk or mount that holds it, then "
            "run the same command again."
        ) from error
