"""Copies on this machine of files on object storage: brought many at once, let go when not needed."""

from __future__ import annotations

import contextlib
import errno
import os
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from lmc_sweep.store import layout, mirror_space
from lmc_sweep.store.directory import Stamp
from lmc_sweep.store.files import Bytes

if TYPE_CHECKING:
    from lmc_sweep.store.objects import Objects

_THREADS = 16  # requests at a time: each waits for the network, not for this machine
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
            at_once(self._download, missing)
            mirror_space.make_room(self._root, self._most_bytes)

    def renew(self, paths: Iterable[str]) -> None:
        """Makes copies what their originals are now."""
        at_once(self._download, [path for path in dict.fromkeys(paths) if _is_inside(path)])

    def take_over(self, folder: str, found: Mapping[str, Stamp]) -> dict[str, Stamp]:
        """Brings the records that a listing names, and lets those go that it does not.

        Returns:
            The same names with the stamps of the copies, by which a reader knows that one was brought anew.
        """
        here = self._lying(folder)
        wanted = {name: stamp for name, stamp in found.items() if name.endswith(".parquet")}
        missing = [name for name, stamp in wanted.items() if name not in here or here[name][0] != stamp[0]]
        if missing:
            at_once(self._download, [f"{folder}/{name}" for name in missing])
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
        temporary = target.parent / f".{target.name}.{uuid.uuid4().hex}.tmp"
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

    def _download(self, path: str) -> None:
        """Makes a copy; none where there is no such file any more."""
        target = self._root / path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except FileNotFoundError as error:  # of the disk, which says nothing of the file
            raise NotADirectoryError(
                errno.ENOTDIR, "no folder can be made here", str(target.parent)
            ) from error
        try:
            self._objects.download(path, target)
        except FileNotFoundError:
            self.forget(path)

    def _is_used(self, path: str) -> bool:
        """Whether there is a copy, which counts as used from now on."""
        try:
            status = (self._root / path).stat()
            os.utime(self._root / path, ns=(time.time_ns(), status.st_mtime_ns))
        except OSError:
            return False
        return True


def at_once(action: Callable[[str], object], paths: Iterable[str]) -> None:
    """Does the same for several paths, many at a time; the first error is raised."""
    each = list(paths)
    if len(each) < 2:
        for path in each:
            action(path)
        return
    with ThreadPoolExecutor(min(_THREADS, len(each))) as threads:
        for _ in threads.map(action, each):
            pass


def _is_inside(path: str) -> bool:
    """Whether a path, which a row may name, stays below the store."""
    return all(part not in ("", ".", "..") for part in path.split("/"))
