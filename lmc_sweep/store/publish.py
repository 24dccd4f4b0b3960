"""One file becomes visible whole, or not at all, whatever dies in between.

The content goes to a temporary name in the same directory (dot first: no reader looks at it), is synced,
and appears under its own name in one step: ``link``, which refuses a name that is taken, or ``rename``
where the file system has no links. Then the directory is synced, so that what was published survives a
loss of power. A process killed before that step leaves a temporary file and nothing else.
"""

from __future__ import annotations

import contextlib
import errno
import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lmc_sweep.errors import StoreError

Bytes = bytes | bytearray | memoryview

# What file systems without hard links answer to link(): FAT and some network and FUSE mounts.
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL}


def publish(path: Path, chunks: Iterable[Bytes], *, replace: bool = False) -> None:
    """Writes a file so that it is either absent or whole and on disk; StoreError where that fails.

    A name that is taken is left as it is: names of records are unique and names of artifacts say what
    the content is, so whoever was first has published the same.

    Args:
        replace: Put the new content in the place of a file that is already there, in one step.
    """
    with _named_errors(path):
        make_directory(path.parent)
        temporary = path.parent / f".{path.name}.{uuid.uuid4().hex}.tmp"
        try:
            _write_synced(temporary, chunks)
            if replace:
                temporary.replace(path)
            else:
                _link(temporary, path)
            sync_directory(path.parent)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()


def replace_unsynced(path: Path, content: bytes) -> None:
    """Writes advice: whole or not at all to every reader, but a loss of power may undo it."""
    with _named_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.parent / f".{path.name}.{uuid.uuid4().hex}.tmp"
        try:
            temporary.write_bytes(content)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def make_directory(path: Path) -> None:
    """Makes a directory and its missing parents, each entered durably in its parent."""
    if path.is_dir():
        return
    make_directory(path.parent)
    with contextlib.suppress(FileExistsError):  # another writer was first
        path.mkdir()
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Makes the entries of a directory survive a loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EBADF):  # some network mounts cannot sync directories
            raise
    finally:
        os.close(descriptor)


def _write_synced(path: Path, chunks: Iterable[Bytes]) -> None:
    """Writes a new file and waits until the disk has it."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        for chunk in chunks:
            view = memoryview(chunk)
            while view.nbytes:
                view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _link(temporary: Path, path: Path) -> None:
    """Gives the file its own name, unless that is taken."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        return
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if not path.exists():
            temporary.replace(path)


@contextmanager
def _named_errors(path: Path) -> Iterator[None]:
    """Turns what the system answers into one line that names the file and the remedy."""
    try:
        yield
    except OSError as error:
        remedy = _REMEDIES.get(
            error.errno or 0, "Check the disk or mount that holds it, then run the same command again"
        )
        raise StoreError(f"{path}: cannot be written: {error.strerror or error}. {remedy}.") from error


_REMEDIES = {
    errno.EACCES: "Choose a store that you may write to",
    errno.EPERM: "Choose a store that you may write to",
    errno.EROFS: "Choose a store on a disk that is not read-only",
    errno.ENOSPC: "Free some space, then run the same command again: what had finished is stored",
    errno.EDQUOT: "Free some of your quota, then run the same command again: what had finished is stored",
    errno.ENOTDIR: "A file stands where a directory belongs: choose another path",
}
