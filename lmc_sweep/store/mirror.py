"""A store on object storage, read through a mirror: a directory of this machine with the store's layout.

A store's files never change under their names, but for a few small ones that are replaced whole. So a copy
is as good as the file: what is missing is brought when it is read, and everything that reads a directory
reads the mirror. What exists, and how large it is, is always asked of the object storage itself. Many
processes may use one mirror: every file enters it by a rename.
"""

from __future__ import annotations

import contextlib
import errno
import shutil
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lmc_sweep.errors import StoreError
from lmc_sweep.store import artifacts, layout, mirror_space
from lmc_sweep.store.at_once import at_once
from lmc_sweep.store.copies import Copies
from lmc_sweep.store.directory import Stamp
from lmc_sweep.store.files import Bytes, Judge, State
from lmc_sweep.store.listed_objects import listed_beside_compaction, matches, plain, same_content
from lmc_sweep.store.object_errors import AGAIN, ObjectError
from lmc_sweep.store.terms import named_errors, require_there

if TYPE_CHECKING:
    from lmc_sweep.store.objects import Objects

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
        self._copies = Copies(objects, self.root)
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
            tops = self.objects.tops()
        return sorted(top for top in tops - {*layout.FOLDERS, layout.MARKER} if not top.startswith("."))

    def is_untouched(self) -> bool:
        with self._reading():
            return not self.objects.tops()

    def require_writable(self) -> None:
        # Nobody can be asked whether one may write. What is tried here is refused for want of the right to,
        # and else because the name is taken: there the store's own marker stands, with this content.
        with self._reading():
            marker: bytes | None = None
            try:
                marker = self.read_marker()
            except FileNotFoundError:
                self.objects.tops()
            mirror_space.require_room(self.root)  # after the service has answered: nothing is made for none
        if marker is None:
            return
        with named_errors(self.told(layout.MARKER)):
            self.objects.put(layout.MARKER, [marker], replace=False)

    def establish(self, content: bytes) -> None:
        self.objects.put(layout.MARKER, [content], replace=False)

    def settle_root(self) -> None:
        pass  # what was put is there to stay

    # reading

    def records(self, folder: str) -> dict[str, Stamp]:
        with self._reading():
            return self._copies.take_over(folder, listed_beside_compaction(self.objects, folder))

    def artifacts(self, folders: Iterable[str]) -> dict[str, Stamp]:
        with self._reading():
            return {
                f"{folder}/{name}": stamp
                for folder in folders
                for name, stamp in plain(folder, self.objects.list(folder)).items()
            }

    def artifact_problem(self, path: str, stamp: Stamp | None) -> str | None:
        return "is missing" if stamp is None else None  # it was put whole, or not at all

    def bring(self, paths: Iterable[str]) -> None:
        with self._reading():
            self._copies.bring(paths)

    def renew(self, paths: Iterable[str]) -> bool:
        with self._reading():
            self._copies.renew(paths)
        return True

    def content(self, path: str) -> bytes | None:
        try:
            return self.objects.get(path)
        except FileNotFoundError:
            return None

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
            self._copies.keep(path, chunks)

    def reveal(self, staged: Path, path: str) -> None:
        self.objects.put(path, _pieces(staged), replace=False)

    def settle(self, path: str) -> None:
        pass

    def delete(self, paths: Collection[str]) -> None:
        def one(path: str) -> None:
            self.objects.delete(path)
            self._copies.forget(path)

        at_once(one, paths)

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
            while target in taken and not same_content(taken[target], before):
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

    def for_each(self, action: Callable[[str], object], names: Iterable[str]) -> None:
        at_once(action, names)

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
        return sorted(path for path in found if matches(path.split("/"), wanted))

    def exists(self, path: str) -> bool:
        with self._reading(), self._advising():
            return self.objects.exists(path)

    def remove(self, path: str) -> None:
        with self._advising():
            self.objects.delete(path)

    def remove_folder(self, folder: str) -> None:
        with contextlib.suppress(OSError), self._advising():
            at_once(self.objects.delete, self.objects.list(folder))

    # copies

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
            raise ObjectError(errno.EAGAIN, "the service did not answer just now", self.uri, AGAIN)
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError:
            self._resting_until = time.monotonic() + _REST_SECONDS
            raise


def _pieces(file: Path) -> Iterator[bytes]:
    """The content of a file."""
    with file.open("rb") as opened:
        while chunk := opened.read(_CHUNK_BYTES):
            yield chunk
