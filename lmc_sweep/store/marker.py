"""``store.json``: the file that makes a directory, or a prefix of a bucket, a store."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

from lmc_sweep.errors import StoreError
from lmc_sweep.store.files import Files, open_files
from lmc_sweep.store.layout import MARKER
from lmc_sweep.store.schema import SCHEMA_VERSION
from lmc_sweep.store.terms import patiently

_FORMAT = "lmc_sweep store"
_HOW_TO_MAKE = "`lmc-sweep run SWEEP.yaml --store {path}` makes a new one"


def check(files: Files) -> bytes:
    """What the marker says; StoreError unless there is a store that this program can read."""
    try:
        content = files.read_marker()
        found = json.loads(content)
    except (FileNotFoundError, NotADirectoryError):
        raise StoreError(f"{files.uri}: {_absence(files)}.") from None
    except (OSError, ValueError, RecursionError) as error:
        remedy = getattr(error, "remedy", None)  # of object storage, which knows who can do what
        if isinstance(error, OSError) and remedy is not None:
            raise StoreError(f"{files.uri}: cannot be read: {error.strerror}. {remedy}.") from error
        raise StoreError(f"{files.told(MARKER)}: cannot be read: {error}") from error
    if not isinstance(found, dict) or found.get("format") != _FORMAT:
        raise StoreError(
            f"{files.told(MARKER)}: is not the marker of a store. {_HOW_TO_MAKE.format(path=files.uri)}."
        )
    version = found.get("schema_version")
    if not isinstance(version, int) or version > SCHEMA_VERSION:
        raise StoreError(
            f"{files.uri}: the store has schema version {version}, and this program knows up to "
            f"{SCHEMA_VERSION}. Update lmc-sweep."
        )
    return content


def _absence(files: Files) -> str:
    """What is there instead of a store."""
    if files.root.exists() and not files.root.is_dir():
        return "is a file, not a store. Name a directory"
    if not files.is_untouched():
        return "is not a store (it has no store.json) and not empty. Name a store, or a new directory"
    doubt = "its disk may not be mounted; " if files.has_mounts else "its name may be another; "
    return f"there is no store here. If there should be one, {doubt}{_HOW_TO_MAKE.format(path=files.uri)}"


def may_become(uri: str | Path) -> bool:
    """Whether there is no store, and one may be made there: nothing stands in its way, or it is under way."""
    files = open_files(uri)
    try:
        return not files.exists(MARKER) and not files.strangers()
    except OSError:
        return False


def make(files: Files) -> None:
    """Makes a store, unless there is one; StoreError where there is something else.

    The id is random: by it a writer knows its store from another one that has taken its place. Of two that
    make a store at once one writes the marker, and both read it.
    """
    if not files.exists(MARKER):
        strangers = _strangers(files)
        if strangers:
            raise StoreError(
                f"{files.uri}: is not a store and not empty (it holds {strangers[0]!r}). "
                "Choose a new directory."
            )
        made = {"format": _FORMAT, "schema_version": SCHEMA_VERSION, "store_id": uuid.uuid4().hex}
        content = json.dumps(made, sort_keys=True).encode() + b"\n"
        patiently(lambda: files.establish(content), files.told(MARKER), None)
    files.settle_root()  # whoever made it may have died before that
    check(files)


def _strangers(files: Files) -> list[str]:
    """What is there and is no part of a store; nothing where there is none."""
    try:
        return files.strangers()
    except OSError as error:
        raise StoreError(
            f"{files.uri}: cannot be a store: {error.strerror}. Choose a new directory."
        ) from error
