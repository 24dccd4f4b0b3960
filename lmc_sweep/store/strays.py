"""What lies in a store beside its results: unfinished files, files of nobody, tensors that no row names."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass

from lmc_sweep.store import layout
from lmc_sweep.store.files import Files

_RUNS = "runs"


@dataclass(frozen=True)
class Stray:
    """A file that no result needs.

    Attributes:
        path: Relative to the store.
        num_bytes: Its size.
        age_seconds: Since it was last written.
    """

    path: str
    num_bytes: int
    age_seconds: float


@dataclass(frozen=True)
class Strays:
    """What lies in a store, sorted out.

    Attributes:
        artifacts: Files with the names of artifacts, named by rows or not.
        temporaries: Unfinished files of writers, live or dead.
        foreign: What no program of ours writes there.
        quarantined: What was set aside.
        linked: Folders of the store that are symbolic links.
    """

    artifacts: tuple[Stray, ...]
    temporaries: tuple[Stray, ...]
    foreign: tuple[Stray, ...]
    quarantined: tuple[Stray, ...]
    linked: tuple[str, ...]


def scan(files: Files, tables: Collection[str]) -> Strays:
    """Every file of a store but its records, which are listed elsewhere."""
    artifacts, temporaries, foreign, quarantined = [], [], [], []
    now = time.time()
    linked = [name for name in _folders(tables) if (files.root / name).is_symlink()]
    for path, num_bytes, changed_at in files.walk():
        stray = Stray(path, num_bytes, max(0.0, now - changed_at))
        parts = path.split("/")
        if parts[0] == layout.QUARANTINE:
            quarantined.append(stray)
        elif any(part.startswith(".") for part in parts):
            temporaries.append(stray)
        elif parts[0] in layout.ARTIFACT_FOLDERS and len(parts) == 2 and layout.artifact_digest(parts[1]):
            artifacts.append(stray)
        elif not _is_ours(parts, tables):
            foreign.append(stray)
    return Strays(tuple(artifacts), tuple(temporaries), tuple(foreign), tuple(quarantined), tuple(linked))


def _folders(tables: Collection[str]) -> list[str]:
    """Folders in which results lie."""
    return [*layout.FOLDERS, *(f"{layout.RECORDS}/{table}" for table in tables)]


def _is_ours(parts: list[str], tables: Collection[str]) -> bool:
    """Whether a file that is neither tensors nor unfinished has its place in a store."""
    match parts:
        case [layout.MARKER]:
            return True
        case [layout.RECORDS, table, name]:
            return table in tables and name.endswith(".parquet")  # whether it is good is told elsewhere
        case [layout.ENVIRONMENTS, name]:
            return name.endswith(".json")
        case [layout.SWEEPS, _, "sweep.yaml"]:
            return True
        case [layout.SWEEPS, _, folder, *_]:
            return folder == _RUNS
    return False
