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
    """Deletes unfinished files that nobody writes to any more; returns how many there were."""
    folders = [
        *(root / layout.RECORDS / name for name in TABLES),
        *(root / one for one in layout.ARTIFACT_FOLDERS),
    ]
    unfinished = [path for folder in folders for path in folder.glob(".*.tmp")]
    count = 0
    for path in [*unfinished, *(root / layout.COMPACTING).glob("*")]:
        if time.time() - _touched(path) <= ABANDONED_SECONDS:
            continue
        if path.is_dir():
            remove_folder(path)
        else:
            with contextlib.suppress(OSError):
                path.unlink()
        count += 1
    return count


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
