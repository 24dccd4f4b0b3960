"""A store in a directory of this machine, or of a disk that several share: it is read where it is."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from stat import S_ISREG

from lmc_sweep.errors import StoreError
from lmc_sweep.store import artifacts, directory, layout, moving, publish
from lmc_sweep.store.directory import Stamp
from lmc_sweep.store.files import Bytes, Judge, State
from lmc_sweep.store.terms import named_errors, require_there


class LocalFiles:
    """The files of a store in a directory."""

    has_mounts = True
    advice_seconds = 0.0

    def __init__(self, path: Path) -> None:
        self.root = path
        self.uri = str(path)

    @property
    def address(self) -> str:
        return str(self.root.resolve())

    def told(self, path: str | Path) -> str:
        return str(self.root / path)

    def read_marker(self) -> bytes:
        return (self.root / layout.MARKER).read_bytes()

    def strangers(self) -> list[str]:
        try:
            names = {entry.name for entry in self.root.iterdir() if not entry.name.startswith(".")}
        except FileNotFoundError:
            return []
        return sorted(names - {*layout.FOLDERS, layout.MARKER})

    def is_untouched(self) -> bool:
        return not self.root.exists() or (self.root.is_dir() and not any(self.root.iterdir()))

    def require_writable(self) -> None:
        root = self.root
        nearest = next(folder for folder in (root, *root.parents) if folder.exists())
        if not nearest.is_dir():
            raise StoreError(
                f"{root}: {nearest} is a file. Choose a directory, for instance runs/quickstart."
            )
        if not os.access(nearest, os.W_OK | os.X_OK):
            raise StoreError(f"{root}: {nearest} cannot be written. Choose another directory, or allow it.")

    def establish(self, content: bytes) -> None:
        publish.make_directory(self.root)
        publish.write_whole(self.root / layout.MARKER, [content], replace=False)

    def settle_root(self) -> None:
        for folder in (self.root, self.root.parent):
            with contextlib.suppress(OSError):  # the parent may be somebody else's
                publish.sync_directory(folder)

    def records(self, folder: str) -> dict[str, Stamp]:
        return directory.entries_beside_compaction(self.root / folder)

    def artifacts(self, folders: Iterable[str]) -> dict[str, Stamp]:
        return {
            f"{folder}/{name}": stamp
            for folder in folders
            for name, stamp in directory.entries(self.root / folder).items()
        }

    def artifact_problem(self, path: str, stamp: Stamp | None) -> str | None:
        if stamp is not None and not S_ISREG(stamp[2]):
            return "is not a regular file"
        return artifacts.size_problem(self.root / path)

    def bring(self, paths: Iterable[str]) -> None:
        pass

    def renew(self, paths: Iterable[str]) -> bool:
        return False

    def content(self, path: str) -> bytes | None:
        file = self.root / path
        return file.read_bytes() if file.is_file() else None

    @contextmanager
    def original(self, path: str) -> Iterator[Path]:
        yield self.root

    def state(self, path: str) -> State:
        file = self.root / path
        if file.exists() and artifacts.content_problem(file) is None:
            return "whole"
        return "damaged" if os.path.lexists(file) else "absent"

    def walk(self) -> Iterator[tuple[str, int, float]]:
        return directory.walk(self.root)

    def make_folder(self, folder: Path) -> None:
        publish.make_directory(folder, self.root)

    def publish(self, path: str, chunks: Iterable[Bytes], replace: bool) -> None:
        target = self.root / path
        publish.make_directory(target.parent, self.root)
        publish.write_whole(target, chunks, replace)

    def reveal(self, staged: Path, path: str) -> None:
        target = self.root / path
        publish.make_directory(target.parent, self.root)
        publish.name_whole(staged, target)

    def settle(self, path: str) -> None:
        publish.make_durable(self.root / path, self.root)

    def delete(self, paths: Collection[str]) -> None:
        for path in paths:
            (self.root / path).unlink(missing_ok=True)
        for folder in sorted({path.rpartition("/")[0] for path in paths}):
            publish.sync_directory(self.root / folder)

    def set_aside(self, path: str, is_good: Judge) -> str | None:
        return moving.set_aside(self.root, path, is_good)

    def alone(self) -> AbstractContextManager[bool]:
        return directory.alone(self.root / layout.RECORDS)

    def for_each(self, action: Callable[[str], object], names: Iterable[str]) -> None:
        for name in names:
            action(name)

    def write_advice(self, path: str, content: bytes) -> None:
        with named_errors(self.root / path):
            require_there(self)
            publish.write_unsynced(self.root / path, content)

    def read_advice(self, path: str) -> bytes | None:
        file = self.root / path
        try:
            return file.read_bytes() if file.is_file() else None  # reading a pipe would wait for ever
        except OSError:
            return None

    def glob(self, pattern: str) -> list[str]:
        return sorted(path.relative_to(self.root).as_posix() for path in self.root.glob(pattern))

    def exists(self, path: str) -> bool:
        return (self.root / path).exists()

    def remove(self, path: str) -> None:
        (self.root / path).unlink()

    def remove_folder(self, folder: str) -> None:
        shutil.rmtree(self.root / folder, ignore_errors=True)
