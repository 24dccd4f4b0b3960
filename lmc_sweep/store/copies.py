"""Copies on this machine of files on object storage: brought many at once, let go when not needed."""

from __future__ import annotations

import contextlib
import errno
import filecmp
import os
import time
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lmc_sweep.store import layout, mirror_space
from lmc_sweep.store.at_once import at_once
from lmc_sweep.store.directory import Stamp
from lmc_sweep.store.files import Bytes

if TYPE_CHECKING:
    from lmc_sweep.store.objects import Objects

_TRIES = 5  # at a copy, where somebody deletes the mirror meanwhile
_SETTLED_SECONDS = 600.0
"""A copy that is younger and that a listing does not name may have been written since the listing began."""


class Copies:
    """The copies of one store, in a folder that any process of this machine may change at any time."""

    def __init__(self, objects: Objects, root: Path) -> None:
        self._objects, self._root = objects, root
        self._most_bytes = mirror_space.asked_bytes()

    def bring(self, paths: Iterable[str]) -> None:
        """Sees to it that there are copies, which count as used from now on."""
        missing = [path for path in dict.fromkeys(paths) if _is_inside(path) and not self._is_used(path)]
        if missing:
            at_once(self._bring, missing)
            mirror_space.make_room(self._root, self._most_bytes)

    def renew(self, paths: Iterable[str]) -> None:
        """Makes copies what their originals are now; one that is that already is left as it is.

        So whoever knows a copy by its stamp does not take it for another one each time that it is renewed.
        """
        at_once(self._renew, [path for path in dict.fromkeys(paths) if _is_inside(path)])

    def take_over(self, folder: str, found: Mapping[str, Stamp]) -> dict[str, Stamp]:
        """Brings the records that a listing names, and lets those go that it does not.

        Returns:
            The same names with the stamps of the copies, by which a reader knows that one was brought anew.
        """
        here = self._lying(folder)
        wanted = {name: stamp for name, stamp in found.items() if name.endswith(".parquet")}
        missing = [name for name, stamp in wanted.items() if not _may_be(name, here.get(name), stamp)]
        if missing:
            at_once(self._bring, [f"{folder}/{name}" for name in missing])
            for name in missing:
                if layout.record_digest(name) is None:
                    _set_time(self._root / folder / name, wanted[name][1])
        for name in here.keys() - found.keys():
            if time.time_ns() - here[name][1] > _SETTLED_SECONDS * 1e9:
                self.forget(f"{folder}/{name}")
        if missing:
            here = self._lying(folder)
        return {**found, **{name: here[name] for name in wanted if name in here}}

    def keep(self, path: str, chunks: Iterable[Bytes]) -> None:
        """Makes a copy of what was just written."""
        target = self._root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.parent / f".{uuid.uuid4().hex}.tmp"
        try:
            with temporary.open("xb") as file:
                for chunk in chunks:
                    file.write(chunk)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
        if layout.inside(path):
            mirror_space.make_room(self._root, self._most_bytes)

    def forget(self, path: str) -> None:
        """Takes a copy away."""
        with contextlib.suppress(OSError):
            (self._root / path).unlink()

    def _lying(self, folder: str) -> dict[str, Stamp]:
        """Names and stamps of the copies in a folder."""
        here: dict[str, Stamp] = {}
        with contextlib.suppress(FileNotFoundError), os.scandir(self._root / folder) as scanned:
            for entry in scanned:
                with contextlib.suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    here[entry.name] = (status.st_size, status.st_mtime_ns, status.st_mode)
        return here

    def _bring(self, path: str) -> None:
        """Makes a copy; none where there is no such file any more."""
        self._download(path, self._root / path)

    def _renew(self, path: str) -> None:
        """Makes a copy what its original is; none where there is no such file any more."""
        target = self._root / path
        fresh = target.parent / f".{uuid.uuid4().hex}.tmp"
        try:
            if self._download(path, fresh) and not _is_equal(fresh, target):
                fresh.replace(target)
        except OSError as error:
            # deleted with the mirror: it is brought when it is read; or a name that no file can have
            if error.errno not in (errno.ENOENT, errno.ENAMETOOLONG):
                raise
        finally:
            with contextlib.suppress(OSError):
                fresh.unlink()

    def _download(self, path: str, target: Path) -> bool:
        """Whether there is such an object, whose content is then at a path of this machine."""
        for tries_left in reversed(range(_TRIES)):
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                self._objects.download(path, target)
            except FileNotFoundError as error:
                if _is_of_the_store(error):
                    self.forget(path)
                    return False
                if not tries_left:  # of the disk, which says nothing of the file
                    raise NotADirectoryError(
                        errno.ENOTDIR, "no folder can be made here", str(target.parent)
                    ) from error
            except OSError as error:
                if error.errno != errno.ENAMETOOLONG:  # who reads it finds the same, and says so
                    raise
                return False
            else:
                return True
        raise AssertionError("unreachable")

    def _is_used(self, path: str) -> bool:
        """Whether there is a copy that may be believed, which counts as used from now on."""
        name = path.rpartition("/")[2]
        if layout.artifact_digest(name) is None and layout.record_digest(name) is None:
            return False  # nothing tells what its content should be
        try:
            status = (self._root / path).stat()
        except OSError:
            return False
        with contextlib.suppress(OSError):  # of somebody else's, or on a disk that is read-only
            os.utime(self._root / path, ns=(time.time_ns(), status.st_mtime_ns))
        return True


def _may_be(name: str, copy: Stamp | None, original: Stamp) -> bool:
    """Whether a copy may be that of a record, as far as stamps tell; a hash in the name tells the rest.

    Without a hash the copy carries the time of the original's last change.
    """
    if copy is None or copy[0] != original[0]:
        return False
    return layout.record_digest(name) is not None or copy[1] == original[1]


def _set_time(path: Path, modified_ns: int) -> None:
    """Gives a copy the time of its original's last change."""
    with contextlib.suppress(OSError):
        os.utime(path, ns=(time.time_ns(), modified_ns))


def _is_equal(one: Path, other: Path) -> bool:
    """Whether two files of this machine have one content; not where one of them is none."""
    try:
        return not other.is_symlink() and filecmp.cmp(one, other, shallow=False)
    except OSError:
        return False


def _is_of_the_store(error: FileNotFoundError) -> bool:
    """Whether an object is missing, and not a folder of this machine."""
    return not Path(str(error.filename)).is_absolute()


def _is_inside(path: str) -> bool:
    """Whether a path, which a row may name, stays below the store."""
    return all(part not in ("", ".", "..") for part in path.split("/"))
