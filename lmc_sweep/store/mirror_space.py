"""Where copies of stores on object storage are kept on this machine, and how much of them.

All of it may be deleted at any time, which costs downloads and no result.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from lmc_sweep.data.locations import user_cache
from lmc_sweep.errors import StoreError
from lmc_sweep.store import layout

READING = ".reading"
"""Folder of files that are read once and not kept."""

_MOST_BYTES = 20_000_000_000
_LEFT_SHARE = 0.9  # of the limit is kept when room is made, so that it need not be made at once again
_IN_USE_SECONDS = 60.0
_ABANDONED_SECONDS = 25 * 3600.0  # a large file may arrive slowly, and nothing changes in its folder
_LONGEST_NAME = 60


def mirror_folder(uri: str) -> Path:
    """The folder of the copies of one store, below ``$LMC_SWEEP_CACHE`` or the user's cache directory."""
    named = os.environ.get("LMC_SWEEP_CACHE", "")
    cache = Path(named).expanduser().absolute() if named else user_cache()
    shown = re.sub(r"[^A-Za-z0-9]+", "-", uri).strip("-")[:_LONGEST_NAME]
    return cache / "stores" / f"{shown}-{hashlib.sha256(uri.encode()).hexdigest()[:16]}"


def asked_bytes() -> int | None:
    """The limit that ``LMC_SWEEP_CACHE_BYTES`` sets; None where it is not set; StoreError for no number."""
    text = os.environ.get("LMC_SWEEP_CACHE_BYTES", "")
    if not text:
        return None
    try:
        asked = float(text)
        if not 0 <= asked < 2**63:
            raise ValueError
    except ValueError:
        raise StoreError(
            f"LMC_SWEEP_CACHE_BYTES: must be a number of bytes, not {text!r}. For instance 20e9"
        ) from None
    return int(asked)


def require_room(root: Path) -> None:
    """Raises OSError where no copy can be kept."""
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=root) as file:
        file.write(b"room")


def make_room(root: Path, asked: int | None) -> None:
    """Deletes the copies of tensors that were not used for longest, where they are more than the limit.

    What was used within the last minute stays, whatever the limit. Errors cost room alone.

    Args:
        asked: The limit in bytes; None: 20 GB, or half of what the disk has for it where that is less.
    """
    found = sorted(_tensors(root))
    held = sum(size for _, size, _ in found)
    limit = asked
    if limit is None:
        with contextlib.suppress(OSError):
            limit = min(_MOST_BYTES, (shutil.disk_usage(root).free + held) // 2)
    if limit is None or held <= limit:
        return
    for used_at, size, path in found:
        if held <= _LEFT_SHARE * limit or time.time() - used_at < _IN_USE_SECONDS:
            return
        with contextlib.suppress(OSError):
            path.unlink()
            held -= size


def remove_abandoned(root: Path) -> None:
    """Deletes what processes that died were reading."""
    for folder in (root / READING).glob("*"):
        with contextlib.suppress(OSError):
            if time.time() - folder.lstat().st_mtime > _ABANDONED_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)


def _tensors(root: Path) -> Iterator[tuple[float, int, Path]]:
    """When each copy of a file of tensors was last used, its bytes, and where it is."""
    for folder in layout.ARTIFACT_FOLDERS:
        with contextlib.suppress(OSError), os.scandir(root / folder) as scanned:
            for entry in scanned:
                with contextlib.suppress(OSError):
                    status = entry.stat(follow_symlinks=False)
                    yield status.st_atime, status.st_size, Path(entry.path)
