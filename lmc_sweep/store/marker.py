"""``store.json``: the file that makes a directory a store."""

from __future__ import annotations

import contextlib
import json
import uuid
from pathlib import Path

from lmc_sweep.errors import StoreError
from lmc_sweep.store.layout import FOLDERS, MARKER, local_path
from lmc_sweep.store.publish import publish, sync_directory
from lmc_sweep.store.schema import SCHEMA_VERSION

_FORMAT = "lmc_sweep store"
_HOW_TO_MAKE = "`lmc-sweep run SWEEP.yaml --store {path}` makes a new one"


def check(root: Path) -> bytes:
    """What the marker says; StoreError unless the directory is a store that this program can read."""
    try:
        content = (root / MARKER).read_bytes()
        found = json.loads(content)
    except (FileNotFoundError, NotADirectoryError):
        if root.is_dir() and any(root.iterdir()):
            told = "is not a store (it has no store.json) and not empty. Name a store, or a new directory"
        elif root.exists() and not root.is_dir():
            told = "is a file, not a store. Name a directory"
        else:
            told = (
                "there is no store here. If there should be one, its disk may not be mounted; "
                f"{_HOW_TO_MAKE.format(path=root)}"
            )
        raise StoreError(f"{root}: {told}.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise StoreError(f"{root / MARKER}: cannot be read: {error}") from error
    if not isinstance(found, dict) or found.get("format") != _FORMAT:
        raise StoreError(f"{root / MARKER}: is not the marker of a store. {_HOW_TO_MAKE.format(path=root)}.")
    version = found.get("schema_version")
    if not isinstance(version, int) or version > SCHEMA_VERSION:
        raise StoreError(
            f"{root}: the store has schema version {version}, and this program knows up to {SCHEMA_VERSION}. "
            "Update lmc-sweep."
        )
    return content


def may_become(uri: str | Path) -> bool:
    """Whether there is no store, and one may be made there: nothing stands in its way, or it is under way."""
    root = local_path(uri)
    try:
        names = {entry.name for entry in root.iterdir()}
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return MARKER not in names and all(name.startswith(".") or name in FOLDERS for name in names)


def make(root: Path) -> None:
    """Makes the directory a store, unless it is one; StoreError where it holds something else.

    The id is random: by it a writer knows its store from another one that has taken its place.
    """
    path = root / MARKER
    if not path.exists():
        strangers = sorted({entry.name for entry in _entries(root)} - set(FOLDERS))
        if strangers:
            raise StoreError(
                f"{root}: is not a store and not empty (it holds {strangers[0]!r}). Choose a new directory."
            )
        made = {"format": _FORMAT, "schema_version": SCHEMA_VERSION, "store_id": uuid.uuid4().hex}
        publish(path, [json.dumps(made, sort_keys=True).encode() + b"\n"])
    for folder in (root, root.parent):  # whoever made it may have died before that
        with contextlib.suppress(OSError):  # the parent may be somebody else's
            sync_directory(folder)
    check(root)


def _entries(root: Path) -> list[Path]:
    """What the directory holds, unfinished files left out; nothing where there is none."""
    try:
        return [entry for entry in root.iterdir() if not entry.name.startswith(".")]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StoreError(f"{root}: cannot be a store: {error.strerror}. Choose a new directory.") from error
