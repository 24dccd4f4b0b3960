"""A store on object storage, read through a mirror: a directory of this machine with the store's layout.

A store's files never change under their names, but for a few small ones that are replaced whole. So a copy
is as good as the file: what is missing is brought when it is read, and everything that reads a directory
reads the mirror. What exists, and how large it is, is always asked of the object storage itself. Many
processes may use one mirror: every file enters it by a rename.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from lmc_sweep.errors import StoreError
from lmc_sweep.store import artifacts, layout, mirror_space
from lmc_sweep.store.directory import Stamp
from lmc_sweep.store.files import Bytes, Judge, State
from lmc_sweep.store.terms import named_errors, require_there

if TYPE_CHECKING:
    from lmc_sweep.store.objects import Objects, ObjectStamp

T = TypeVar("T")

_THREADS = 16  # requests at a time: each waits for the network, not for this machine
_PAGE = 1000  # names of one request: a listing of no more is of one moment
_ROUNDS = 100
_SETTLED_SECONDS = 600.0
"""A copy that is younger and that a listing does not name may have been written since the listing began."""
_REST_SECONDS = 30.0
"""How long advice is given up after it failed: nobody should wait for it again and again."""
_CHUNK_BYTES = 1 << 22


class Mirror:
    """The files of a store on object storage, and their copies in ``root``."""

    has_mounts = False
    advice_seconds = 5.0

    def __init__(self, objects: Objects) -> None:
        self.objects = objects
        self.uri = self.address = objects.uri
        self.root = mirror_space.mirror_folder(objects.uri)
        self._most_bytes = mirror_space.asked_bytes()
        self._resting_until = 0.0

    def told(self, path: str | Path) -> str:
        if isinstance(path, Path):
            path = path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else str(path)
        return f"{self.uri}/{path}" if path not in ("", ".") else self.uri

    # what makes it a store

    def read_marker(self) -> bytes:
        return self.objects.get(layout.MARKER)

    def strangers(self) -> list[str]:
        with self._reading():
            tops = {path.partition("/")[0] for path in self.objects.list()}
        return sorted(top for top in tops - {*layout.FOLDERS, layout.MARKER} if not top.startswith("."))

    def is_untouched(self) -> bool:
        with self._reading():
            return not self.objects.exists(layout.MARKER) and not self.objects.list()

    def establish(self, content: bytes) -> None:
        self.objects.put(layout.MARKER, [content], replace=False)

    def settle_root(self) -> None:
        pass  # what was put is there to stay

    # reading

    def records(self, folder: str) -> dict[str, Stamp]:
        with self._reading():
            found = self._listed_beside_compaction(folder)
            self._take_over(folder, found)
        return found

    def artifacts(self, folders: Iterable[str]) -> dict[str, Stamp]:
        with self._reading():
            return {
                f"{folder}/{name}": stamp
                for folder in folders
                for name, stamp in self._listed(folder).items()
            }

    def artifact_problem(self, path: str, stamp: Stamp | None) -> str | None:
        return "is missing" if stamp is None else None  # it was put whole, or not at all

    def bring(self, paths: Iterable[str]) -> None:
        missing = [path for path in dict.fromkeys(paths) if _is_inside(path) and not self._is_used(path)]
        if missing:
            with self._reading():
                _at_once(self._download, missing)
            mirror_space.make_room(self.root, self._most_bytes)

    def renew(self, paths: Iterable[str]) -> bool:
        with self._reading():
            _at_once(self._download, [path for path in dict.fromkeys(paths) if _is_inside(path)])
        return True

    @contextmanager
    def original(self, path: str) -> Iterator[Path]:
        mirror_space.remove_abandoned(self.root)
        folder = self.root / mirror_space.READING / uuid.uuid4().hex
        try:
            with self._reading(), contextlib.suppress(FileNotFoundError):
                self.objects.download(path, folder / path)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def state(self, path: str) -> State:
        with self._reading():
            if not self.objects.exists(path):
                return "absent"
        with self.original(path) as root:
            return "whole" if artifacts.content_problem(root / path) is None else "damaged"

    def walk(self) -> Iterator[tuple[str, int, float]]:
        with self._reading():
            found = self.objects.list()
        for path, stamp in sorted(found.items()):
            yield path, stamp.size, stamp.modified_ns / 1e9

    # writing

    def make_folder(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)

    def publish(self, path: str, chunks: Iterable[Bytes], replace: bool) -> None:
        self.objects.put(path, chunks, replace)
        with contextlib.suppress(OSError):  # it exists now; a copy that cannot be kept is brought when read
            self._keep(path, chunks)

    def reveal(self, staged: Path, path: str) -> None:
        self.objects.put(path, _pieces(staged), replace=False)

    def settle(self, path: str) -> None:
        pass

    def delete(self, paths: Collection[str]) -> None:
        def one(path: str) -> None:
            self.objects.delete(path)
            self._forget(path)

        _at_once(one, list(paths))

    def set_aside(self, path: str, is_good: Judge) -> str | None:
        folder, _, name = path.rpartition("/")
        with self._reading(), named_errors(self.told(path)):
            before = self.objects.list(folder).get(path)
            if before is None:
                return None
            with self.original(path) as root:
                if is_good(root / path):
                    return None
            aside = f"{layout.QUARANTINE}/{folder}"
            taken, number = self.objects.list(aside), 0
            target = f"{aside}/{name}"
            while target in taken and not _same_content(taken[target], before):
                number += 1
                target = f"{aside}/{name}.{number}"
            if target not in taken:  # else the process that copied it died before it came to deleting
                self.objects.copy(path, target)
            if self.objects.list(folder).get(path) != before:  # somebody put it in order meanwhile
                self.objects.delete(target)
                return None
            self.delete([path])
        return target

    @contextmanager
    def alone(self) -> Iterator[bool]:
        yield True  # there are no locks: two compactions are right, and twice the work

    # advice

    def write_advice(self, path: str, content: bytes) -> None:
        with named_errors(self.told(path)), self._advising():
            require_there(self)
            self.objects.put(path, [content], replace=True)

    def read_advice(self, path: str) -> bytes | None:
        with contextlib.suppress(OSError), self._advising():
            return self.objects.get(path)
        return None

    def glob(self, pattern: str) -> list[str]:
        wanted = pattern.split("/")
        folder = "/".join(wanted[: next(i for i, part in enumerate(wanted) if "*" in part)])
        with self._reading(), self._advising():
            found = self.objects.list(folder)
        return sorted(path for path in found if _matches(path.split("/"), wanted))

    def exists(self, path: str) -> bool:
        with self._reading(), self._advising():
            return self.objects.exists(path)

    def remove(self, path: str) -> None:
        with self._advising():
            self.objects.delete(path)

    def remove_folder(self, folder: str) -> None:
        with contextlib.suppress(OSError), self._advising():
            _at_once(self.objects.delete, list(self.objects.list(folder)))

    # copies

    def _listed(self, folder: str) -> dict[str, Stamp]:
        """Names and stamps in a folder, unfinished files and folders left out."""
        start = len(folder) + 1
        return {
            path[start:]: (stamp.size, stamp.modified_ns, stat.S_IFREG)
            for path, stamp in self.objects.list(folder).items()
            if "/" not in path[start:] and not path[start:].startswith(".")
        }

    def _listed_beside_compaction(self, folder: str) -> dict[str, Stamp]:
        """The same, such that every row that was there when this began lies in a file that is named.

        Several pages are not of one moment: see ``directory.entries_beside_compaction``.
        """
        for _ in range(_ROUNDS):
            found = self._listed(folder)
            if len(found) <= _PAGE:
                break
            if {name for name in self._listed(folder) if layout.is_compacted(name)} <= found.keys():
                break
        return found

    def _take_over(self, folder: str, found: dict[str, Stamp]) -> None:
        """Brings the records that a listing names, and lets those go that it does not."""
        here: dict[str, os.stat_result] = {}
        with contextlib.suppress(FileNotFoundError), os.scandir(self.root / folder) as scanned:
            for entry in scanned:
                with contextlib.suppress(OSError):
                    here[entry.name] = entry.stat(follow_symlinks=False)
        missing = [
            f"{folder}/{name}"
            for name, stamp in found.items()
            if name.endswith(".parquet") and (name not in here or here[name].st_size != stamp[0])
        ]
        _at_once(self._download, missing)
        for name in here.keys() - found.keys():
            if time.time() - here[name].st_mtime > _SETTLED_SECONDS:
                self._forget(f"{folder}/{name}")

    def _download(self, path: str) -> None:
        """Puts a copy of a file into the mirror; none where there is no such file any more."""
        try:
            self.objects.download(path, self.root / path)
        except FileNotFoundError:
            self._forget(path)

    def _keep(self, path: str, chunks: Iterable[Bytes]) -> None:
        """Puts what was written into the mirror, too."""
        target = self.root / path
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
            mirror_space.make_room(self.root, self._most_bytes)

    def _forget(self, path: str) -> None:
        """Takes a copy away."""
        with contextlib.suppress(OSError):
            (self.root / path).unlink()

    def _is_used(self, path: str) -> bool:
        """Whether there is a copy, which counts as used from now on."""
        try:
            status = (self.root / path).stat()
            os.utime(self.root / path, ns=(time.time_ns(), status.st_mtime_ns))
        except OSError:
            return False
        return True

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Turns what object storage, or the disk of the mirror, answers into one line with the remedy."""
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            if (remedy := getattr(error, "remedy", None)) is not None:
                where = error.filename or self.uri
                raise StoreError(f"{where}: cannot be read: {error.strerror}. {remedy}.") from error
            raise StoreError(
                f"{self.root}: cannot hold copies of {self.uri}: {error.strerror or error}. Free some space, "
                "or name a folder on another disk in LMC_SWEEP_CACHE."
            ) from error

    @contextmanager
    def _advising(self) -> Iterator[None]:
        """Refuses advice at once for a while after it failed."""
        if time.monotonic() < self._resting_until:
            raise OSError(errno.EAGAIN, "object storage did not answer just now", self.uri)
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError:
            self._resting_until = time.monotonic() + _REST_SECONDS
            raise


def _at_once(action: Callable[[str], T], paths: list[str]) -> None:
    """Does the same for several paths, many at a time; the first error is raised."""
    if len(paths) < 2:
        for path in paths:
            action(path)
        return
    with ThreadPoolExecutor(min(_THREADS, len(paths))) as threads:
        for _ in threads.map(action, paths):
            pass


def _pieces(file: Path) -> Iterator[bytes]:
    """The content of a file."""
    with file.open("rb") as opened:
        while chunk := opened.read(_CHUNK_BYTES):
            yield chunk


def _is_inside(path: str) -> bool:
    """Whether a path, which a row may name, stays below the store."""
    return all(part not in ("", ".", "..") for part in path.split("/"))


def _matches(parts: list[str], wanted: list[str]) -> bool:
    """Whether a path matches a pattern, part by part."""
    return len(parts) == len(wanted) and all(map(fnmatchcase, parts, wanted))


def _same_content(one: ObjectStamp, other: ObjectStamp) -> bool:
    """Whether two objects certainly have one content."""
    return one.size == other.size and one.etag is not None and one.etag == other.etag
