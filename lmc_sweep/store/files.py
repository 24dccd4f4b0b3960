"""Where the files of a store are: in a directory of this machine, or on object storage behind a mirror.

Everything that reads a store reads a directory with the store's layout: the store itself, or the mirror, a
copy of what was read so far. What differs between the two is here and in ``mirror``, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal, Protocol

from lmc_sweep.store import layout
from lmc_sweep.store.directory import Stamp

Bytes = bytes | bytearray | memoryview
State = Literal["whole", "damaged", "absent"]
Judge = Callable[[Path], bool]
"""Says of a file, wherever it lies, whether its content is what it should be."""


class Files(Protocol):
    """The files of one store. Paths are relative to the store, with slashes.

    Attributes:
        root: The directory that is read.
        uri: What people are told, and may type: a path, or a URI such as ``s3://bucket/prefix``.
        address: What another process opens, from any working directory.
        has_mounts: Whether another store, or none, may stand under the same path after a write.
        advice_seconds: Least time between two pieces of advice of one process.
    """

    @property
    def root(self) -> Path: ...
    @property
    def uri(self) -> str: ...
    @property
    def address(self) -> str: ...
    @property
    def has_mounts(self) -> bool: ...
    @property
    def advice_seconds(self) -> float: ...

    def told(self, path: str | Path) -> str:
        """A file as people are told of it; a path below ``root`` may be given as it is."""

    # what makes it a store

    def read_marker(self) -> bytes:
        """The content of ``store.json``; FileNotFoundError where there is none."""

    def strangers(self) -> list[str]:
        """Names at the top that are no part of a store, unfinished files left out."""

    def is_untouched(self) -> bool:
        """Whether nothing at all is there."""

    def require_writable(self) -> None:
        """Raises StoreError where a store could not be made or written; leaves everything as it is."""

    def establish(self, content: bytes) -> None:
        """Writes ``store.json`` unless it is there, and whatever must be there for it."""

    def settle_root(self) -> None:
        """Makes the store's own entry survive a loss of power."""

    # reading

    def records(self, folder: str) -> dict[str, Stamp]:
        """Names and stamps in a folder of records, which are then in ``root``.

        No row is missed because somebody compacts meanwhile.
        """

    def artifacts(self, folders: Iterable[str]) -> dict[str, Stamp]:
        """Paths and stamps of what lies in folders of tensors, whether it is in ``root`` or not."""

    def artifact_problem(self, path: str, stamp: Stamp | None) -> str | None:
        """Why a file of tensors with this stamp cannot be used, without reading it; None: nothing known."""

    def bring(self, paths: Iterable[str]) -> None:
        """Sees to it that files are in ``root``, if they are anywhere."""

    def renew(self, paths: Iterable[str]) -> bool:
        """Makes the copies in ``root`` what the store has; False where there are no copies."""

    def content(self, path: str) -> bytes | None:
        """What a small file says in the store itself; None where there is none."""

    def original(self, path: str) -> AbstractContextManager[Path]:
        """A directory in which the file lies as the store has it, and not as an earlier copy has it."""

    def state(self, path: str) -> State:
        """What is under the name of a file of tensors, by reading all of it."""

    def walk(self) -> Iterator[tuple[str, int, float]]:
        """Every file: path, bytes, time of its last change in seconds since 1970."""

    # writing

    def make_folder(self, folder: Path) -> None:
        """Makes a folder below ``root`` for unfinished files."""

    def publish(self, path: str, chunks: Iterable[Bytes], replace: bool) -> None:
        """One try at a file that is then whole, durable and seen by everybody, or absent."""

    def reveal(self, staged: Path, path: str) -> None:
        """One try at giving a staged file its own name."""

    def settle(self, path: str) -> None:
        """Makes a file that somebody else published survive a loss of power."""

    def delete(self, paths: Collection[str]) -> None:
        """Deletes files; one that is not there is no error."""

    def set_aside(self, path: str, is_good: Judge) -> str | None:
        """Where in ``quarantine/`` a file was moved; None where it has gone, or is in order by now."""

    def alone(self) -> AbstractContextManager[bool]:
        """Whether no other compaction is known to be at work."""

    def for_each(self, action: Callable[[str], object], names: Iterable[str]) -> None:
        """Does the same for several names, at once where each waits for a network."""

    # advice

    def write_advice(self, path: str, content: bytes) -> None:
        """Replaces a small file; a loss of power may undo it."""

    def read_advice(self, path: str) -> bytes | None:
        """A small file; None where it cannot be read."""

    def glob(self, pattern: str) -> list[str]:
        """Files whose paths match, each part by itself; ``*`` is the only sign that means others."""

    def exists(self, path: str) -> bool:
        """Whether a file is there."""

    def remove(self, path: str) -> None:
        """Deletes a small file."""

    def remove_folder(self, folder: str) -> None:
        """Deletes small files below a folder, as many as can be."""


def open_files(uri: str | Path) -> Files:
    """The files of the store at ``uri``, which need not be there; StoreError where there can be none."""
    from lmc_sweep.store.local_files import LocalFiles

    if not layout.is_remote(uri):
        return LocalFiles(layout.local_path(uri))
    from lmc_sweep.store.mirror import Mirror
    from lmc_sweep.store.objects import open_objects

    return Mirror(open_objects(str(uri)))
