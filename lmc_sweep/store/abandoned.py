"""What writers that died have left: files that no reader looks at, taken away once they are old."""

from __future__ import annotations

import contextlib
import shutil
import time
from pathlib import Path

from lmc_sweep.store import layout
from lmc_sweep.store.schema import TABLES

ABANDONED_SECONDS = 3600.0
"""An unfinished file that nobody has written to for this long has no writer any more."""


def remove_abandoned(root: Path) -> int:
    """Deletes unfinished files that nobody writes to any more; returns how many there were.

    Only what has a name that writers give, in folders that lie in the store itself: a link leads to files
    of somebody else's.
    """
    count = 0
    for folder in _folders(root):
        for path in folder.glob(".*.tmp"):
            if not path.is_dir() and _is_old(path):
                with contextlib.suppress(OSError):
                    path.unlink()
                    count += 1
    compacting = root / layout.COMPACTING
    for path in [] if compacting.is_symlink() else compacting.glob("*"):
        if layout.is_run_id(path.name) and path.is_dir() and not path.is_symlink() and _is_old(path):
            remove_folder(path)
            count += 1
    return count


def _folders(root: Path) -> list[Path]:
    """Where writers leave unfinished files, no links among them or above them."""
    runs = f"{layout.SWEEPS}/*/runs/*"
    patterns = [
        layout.ENVIRONMENTS,
        *layout.ARTIFACT_FOLDERS,
        *(f"{layout.RECORDS}/{name}" for name in TABLES),
    ]
    patterns += [f"{layout.SWEEPS}/*", runs, f"{runs}/started"]
    found = [folder for pattern in patterns for folder in root.glob(pattern) if folder.is_dir()]
    inside = [
        folder
        for folder in found
        if not any(one.is_symlink() for one in (folder, *folder.parents) if root in one.parents)
    ]
    return [root, *inside]


def _is_old(path: Path) -> bool:
    """Whether nothing in a file or folder was written to for long."""
    return time.time() - _touched(path) > ABANDONED_SECONDS


def _touched(path: Path) -> float:
    """When something in a file or folder was last written to."""
    found = time.time()
    with contextlib.suppress(OSError):
        found = max(one.lstat().st_mtime for one in (path, *path.rglob("*")))
    return found


def remove_folder(folder: Path) -> None:
    """Deletes a folder of unfinished files, and the one around it if that is empty then."""
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        folder.parent.rmdir()
