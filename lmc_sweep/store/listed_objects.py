"""What a listing of object storage says of a folder of a store."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from lmc_sweep.store import layout
from lmc_sweep.store.directory import Stamp

if TYPE_CHECKING:
    from lmc_sweep.store.objects import Objects, ObjectStamp

_PAGE = 1000  # names of one request: a listing of fewer is of one moment
_ROUNDS = 100


def listed_beside_compaction(objects: Objects, folder: str) -> dict[str, Stamp]:
    """Names and stamps in a folder, among them all that hold rows which were there when this began.

    Several pages are not of one moment: see ``directory.entries_beside_compaction``.
    """
    for _ in range(_ROUNDS):
        listed = objects.list(folder)
        found = plain(folder, listed)
        if len(listed) < _PAGE:
            break
        again = plain(folder, objects.list(folder))
        if {name for name in again if layout.is_compacted(name)} <= found.keys():
            break
    return found


def plain(folder: str, listed: Mapping[str, ObjectStamp]) -> dict[str, Stamp]:
    """Names and stamps of what lies in a folder itself, unfinished files left out."""
    start = len(folder) + 1
    return {
        path[start:]: (stamp.size, stamp.modified_ns, stat.S_IFREG)
        for path, stamp in listed.items()
        if "/" not in path[start:] and not path[start:].startswith(".")
    }


def matches(parts: list[str], wanted: list[str]) -> bool:
    """Whether a path matches a pattern, part by part."""
    return len(parts) == len(wanted) and all(map(fnmatchcase, parts, wanted))


def same_content(one: ObjectStamp, other: ObjectStamp) -> bool:
    """Whether two objects certainly have one content."""
    return one.size == other.size and one.etag is not None and one.etag == other.etag
